"""One axis of an index: wrapped, clipped and checked.

Integers count from the end where they are negative, and are checked: while staging
where they are known or bounded, else by the program. The bounds of a slice are known,
or differ by what is known (`x[i : i + 3]`), or make a Span of traced length (`x[:i]`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.errors import (
    IndexRangeError,
    OperandTypeError,
    ShapeMismatchError,
)
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    call,
    constant,
    integer_form,
    is_static,
    plain,
)
from tracejit.frontend.lens import start_atom
from tracejit.frontend.ragged import Span
from tracejit.frontend.trace import current_trace
from tracejit.ir import affine
from tracejit.ir.program import Atom, Literal
from tracejit.ops.control import Failure, check
from tracejit.ops.numpy_names import emit
from tracejit.ops.promote import INT, convert, interval_of


def normal_index(index: Any, extent: int, axis: int) -> Any:
    """An integer index, from 0 on and in range: an int, or an int64 Atom."""
    if is_static(index):
        k = plain(index)
        k = k if isinstance(k, int) else int(k)
        if not -extent <= k < extent:
            raise IndexRangeError(
                f"index {int(k)} is out of bounds for axis {axis} "
                f"with size {int(extent)}",
                current_trace().builder.loc,
                f"an index from {-int(extent)} to {int(extent) - 1}",
            )
        return k + extent if k < 0 else k
    trace = current_trace()
    atom = convert(index.read(), INT)
    return trace.memoized(
        ("index", atom, int(extent)), lambda: _wrapped(atom, extent, axis)
    )


def _wrapped(atom: Atom, extent: int, axis: int) -> Atom:
    """A traced index: wrapped where it may be negative, checked where it may be out."""
    lo, hi = interval_of(atom) or (-(2**63), 2**63 - 1)
    size, zero = start_atom(extent), Literal(0, INT)
    if hi < 0:
        out = emit("add", atom, size)
    elif lo < 0:
        negative = emit("lt", atom, zero)
        out = emit("select", negative, emit("add", atom, size), atom)
    else:
        out = atom
    text = out_of_bounds(extent, axis)
    if lo < -extent:
        require(emit("ge", out, zero), text, out)
    if hi >= extent:
        require(emit("lt", out, size), text, out)
    if out is not atom and current_trace().boundscheck:
        out.interval = 0, int(extent) - 1
    return out


def require(ok: Atom, text: str, *values: Atom) -> None:
    """Check in the program that an index is in range."""
    trace = current_trace()
    if trace.boundscheck:
        check(ok, *values, error=Failure(IndexRangeError, (text,), trace.builder.loc))


def normal_slice(key: slice, extent: int, axis: int) -> tuple[Any, int, int]:
    """Start, size and step of a slice."""
    step = 1 if key.step is None else as_int(key.step, "a slice's step")
    if step == 0:
        raise ShapeMismatchError(
            "slice step cannot be zero", current_trace().builder.loc
        )
    if not (is_static(key.start) and is_static(key.stop)):
        return _traced_slice(key, extent, step, axis)
    start = _bound(key.start, extent, step, True)
    stop = _bound(key.stop, extent, step, False)
    size = stop - start if step > 0 else start - stop
    if size <= 0:
        return 0, 0, 1
    if abs(step) != 1:
        size = (size + (abs(step) - 1)) // abs(step)
    return start, size, step


def _bound(bound: Any, extent: int, step: int, first: bool) -> int:
    """A bound of a slice, within the axis; going down it ends at -1."""
    lowest, highest = (0, extent) if step > 0 else (-1, extent - 1)
    if bound is None:
        return lowest if first == (step > 0) else highest
    k = as_int(plain(bound), "a slice's bound")
    if k < 0:
        k = k + extent
    return lowest if k < lowest else highest if k > highest else k


def _settled(bound: Any) -> Any:
    """A bound by its value, if staging can tell it for whatever arguments."""
    found = None if is_static(bound) else bound.concrete(of_arguments=False)
    return bound if found is None else found


def _traced_slice(key: slice, extent: int, step: int, axis: int) -> Any:
    """A slice with traced bounds: a Span where they differ by what is traced, too."""
    first = integer_form(0 if key.start is None else key.start)
    last = integer_form(extent if key.stop is None else key.stop)
    size = affine.difference(last, first) if first and last else None
    if size is None or step != 1:
        ends = _settled(key.start), _settled(key.stop)
        if all(map(is_static, ends)):
            return normal_slice(slice(ends[0], ends[1], step), extent, axis)
        return 0, span_of(slice(*ends, step), extent, extent), 1
    if size <= 0:
        return 0, 0, 1
    if is_static(key.start):
        return plain(key.start) or 0, size, step
    start = convert(key.start.read(), INT)
    text = f"slice is out of bounds for axis {axis} with size {int(extent)}"
    lo, hi = interval_of(start) or (-(2**63), 2**63 - 1)

    def checked() -> Atom:
        # NumPy would shorten the slice, or count from the end: a shape on its own.
        if lo < 0:
            require(emit("ge", start, Literal(0, INT)), text, start)
        if hi > extent - size:
            require(emit("le", start, start_atom(extent - size)), text, start)
        return start

    memo = ("slice", start, int(extent), int(size))
    return current_trace().memoized(memo, checked), size, step


def span_of(key: slice, extent: Any, bound: int) -> Span:
    """A slice, by any bounds, of an axis of any length, which is `bound` at most."""
    step = key.step
    if step > 0:
        start, stop = (
            _clipped(bound, default, extent, 0)
            for bound, default in ((key.start, 0), (key.stop, extent))
        )
        room = stop - start
    else:
        start, stop = (
            _clipped(bound, default, extent, -1)
            for bound, default in ((key.start, extent - 1), (key.stop, -1))
        )
        room = start - stop
    if abs(step) != 1:
        room = (room + (abs(step) - 1)) // abs(step)
    lo, _ = _interval(room)
    if lo < 0:
        room = call(np.maximum, room, 0)
    if abs(step) != 1:
        bound = (bound + (abs(step) - 1)) // abs(step)
    return Span(start, step, room, bound)


def _clipped(bound: Any, default: Any, extent: Any, low: int) -> Any:
    """A bound of a slice within the axis; `low`: where it ends in front."""
    if bound is None:
        return default
    if is_static(bound):
        bound = as_int(plain(bound), "a slice's bound")
        if type(extent) is not Box:
            return _bound(bound, extent, -1 if low else 1, True)
    elif bound.kind != "python":
        bound = HANDLERS[int](bound)
    lo, hi = _interval(bound)
    least, most = _interval(extent)
    if hi < 0:
        bound = bound + extent
        lo, hi = -(2**63), most - 1
    elif lo < 0:
        bound = call(np.where, bound < 0, bound + extent, bound)
        bound = HANDLERS[int](bound)
        lo, hi = -(2**63), 2**63 - 1
    if lo < low:
        bound = call(np.maximum, bound, low)
    if hi > least + low:
        bound = call(np.minimum, bound, extent + low)
    return bound


def _interval(value: Any) -> tuple[int, int]:
    if type(value) is not Box:
        return int(value), int(value)
    return interval_of(value.read()) or (-(2**63), 2**63 - 1)


def as_int(value: Any, what: str) -> int:
    """An integer that Python needs while staging."""
    if isinstance(value, int):
        return value
    if type(value) is Box:
        value = value.concretize(what)
    try:
        return value.__index__()
    except (AttributeError, TypeError):
        raise OperandTypeError(
            f"{what} must be an integer, not {type(value).__name__}",
            current_trace().builder.loc,
        ) from None


def out_of_bounds(extent: int, axis: int) -> str:
    """What the program says of an index out of range; the index it cannot name."""
    return f"index is out of bounds for axis {axis} with size {int(extent)}"


def _require_integers(dtype: Any) -> None:
    if dtype.kind not in "iu":
        raise OperandTypeError(
            "arrays used as indices must be of integer (or boolean) type",
            current_trace().builder.loc,
            "convert them: index.astype(int)",
        )


def index_atom(entry: Any, extent: int, axis: int) -> Atom:
    """An integer or an array of them as an operand: in range, int64."""
    if type(entry) is Box and entry.aval.shape:
        return _traced_index(entry, extent, axis)
    if type(entry) is Box or not np.ndim(entry):
        return start_atom(normal_index(entry, extent, axis))
    array = np.asarray(entry)
    _require_integers(array.dtype)
    bad = array[(array < -extent) | (array >= extent)]
    if bad.size:
        raise IndexRangeError(
            f"index {bad.flat[0]} is out of bounds for axis {axis} "
            f"with size {int(extent)}",
            current_trace().builder.loc,
        )
    array = np.where(array < 0, array + int(extent), array).astype(INT)
    return constant(array, array.shape)


def _traced_index(box: Box, extent: int, axis: int) -> Atom:
    trace = current_trace()
    _require_integers(box.aval.dtype)
    atom = convert(box.read(), INT)
    size, zero = start_atom(extent), Literal(0, INT)

    def wrapped() -> Atom:
        out = emit("select", emit("lt", atom, zero), emit("add", atom, size), atom)
        if trace.boundscheck:
            inside = emit("logical_and", emit("ge", out, zero), emit("lt", out, size))
            ok = emit("all", inside, axes=tuple(range(out.aval.ndim)))
            require(ok, out_of_bounds(extent, axis))
        return out

    return trace.memoized(("indices", atom, int(extent)), wrapped)
