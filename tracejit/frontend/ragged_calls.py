"""NumPy functions, builtins, methods and operators on arrays of traced length."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit.frontend.bounds import normal_index, require, span_of
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    box_of,
    call,
    is_static,
    plain,
)
from tracejit.frontend.indexing import assign as assign_box
from tracejit.frontend.indexing import expand, getitem
from tracejit.frontend.indexing import setitem as set_box
from tracejit.frontend.operators import BINARY, COMPARISONS, UNARY
from tracejit.frontend.packing import along, is_array
from tracejit.frontend.ragged import (
    NEW,
    WHOLE,
    Ragged,
    Span,
    difference,
    from_zero,
    index_atom,
    stored,
)
from tracejit.frontend.ragged_elements import (
    PROGRAMS,
    assign,
    astype,
    does,
    elementwise,
    into,
    ragged,
    store,
    ufunc,
)
from tracejit.frontend.ragged_reduce import axes_of, count, matmul, transpose
from tracejit.frontend.trace import current_trace
from tracejit.ops.numpy_names import emit
from tracejit.ops.promote import INT, interval_of

# Parts and copies ---------------------------------------------------------------------


def part_of(r: Ragged, key: Any) -> Any:
    """The view `r[key]`, by integers, slices and new axes: a Ragged, or a box."""
    box, kept, at = r.box, [], 0
    own = iter(zip(r.axes, r.shape, strict=True))
    for entry in expand(key, r.ndim):
        if entry is None:
            kept.append(NEW)
            continue
        axis, extent = next(own)
        if isinstance(entry, slice):
            if axis is NEW:
                if entry != slice(None):
                    r.refuse("a part of a new axis")
                kept.append(NEW)
                continue
            box, new = _sliced(box, at, axis, extent, entry)
            kept.append(new)
            at += 1
        elif axis is not NEW and is_integer(entry):
            box = _picked(box, at, axis, extent, entry)
        elif axis is NEW and is_static(entry):
            normal_index(entry, 1, at)
        else:
            r.refuse("indexing by an array")
    result = Ragged(box, kept)
    if result.spans:
        return result
    for k, axis in enumerate(kept):
        if axis is NEW:
            box = getitem(box, (*(slice(None),) * k, None, ...))
    return box


def _at_array(r: Ragged, key: Any) -> tuple[Ragged, Any] | None:
    """A view of a Ragged and a key of its box, where an array is among the indices."""
    entries = expand(key, r.ndim)
    at = [k for k, e in enumerate(entries) if is_array(e)]
    if not at:
        return None
    rest = [e for k, e in enumerate(entries) if k not in at]
    if len(at) > 1 or NEW in r.axes or any(not isinstance(e, slice) for e in rest):
        r.refuse("this index by an array")
    view = part_of(r, tuple([*entries[: at[0]], slice(None), *entries[at[0] + 1 :]]))
    index = along(view.axes[at[0]], view.shape[at[0]], entries[at[0]])
    return view, (*(slice(None),) * at[0], index)


def getitem_(r: Ragged, key: Any) -> Any:
    """`r[key]`."""
    found = _at_array(r, key)
    if found is not None:
        view, index = found
        picked = ragged(getitem(view.box, index))
        at, axes = len(index) - 1, list(view.axes)
        axes[at] = picked.axes[at]
        spans = any(isinstance(axis, Span) for axis in axes)
        return Ragged(picked.box, axes) if spans else picked.box
    view = part_of(r, key)
    return view if view.ndim else box_of(view.read(), "scalar")


def is_integer(entry: Any) -> bool:
    if type(entry) is Box:
        return not entry.aval.shape and entry.aval.dtype.kind in "iu"
    return isinstance(entry, int | np.integer) and not isinstance(entry, bool)


def at_index(box: Box, axis: int, entry: Any) -> Any:
    return getitem(box, (*(slice(None),) * axis, entry, ...))


def _picked(box: Box, at: int, axis: Any, extent: Any, index: Any) -> Box:
    """One element along an axis."""
    if axis is WHOLE:
        return at_index(box, at, index)
    if is_static(index):
        index = int(plain(index))
        place = index + extent if index < 0 else index
    else:
        index = HANDLERS[int](index)
        place = HANDLERS[int](call(np.where, index < 0, index + extent, index))
    where = index_atom(place)
    zero = current_trace().literal(0, INT)
    text = "index is out of bounds for an axis of traced length"
    require(emit("ge", where, zero), text, where)
    require(emit("lt", where, index_atom(extent)), text, where)
    return at_index(box, at, axis.start + place * axis.step)


def _sliced(box: Box, at: int, axis: Any, extent: Any, key: slice) -> tuple[Box, Any]:
    """A part of an axis."""
    if axis is WHOLE:
        part = at_index(box, at, key)
        if type(part) is not Ragged:
            return part, WHOLE
        return part.box, part.axes[at]
    step = 1 if key.step is None else plain(key.step)
    inner = span_of(slice(key.start, key.stop, step), extent, axis.bound)
    start = axis.start + inner.start * axis.step
    return box, Span(start, axis.step * step, inner.length, inner.bound)


def setitem(r: Ragged, key: Any, value: Any) -> None:
    """`r[key] = value`."""
    found = _at_array(r, key)
    if found is not None:
        view, index = found
        if len(view.spans) > (type(view.axes[len(index) - 1]) is Span):
            r.refuse("a write at an array of indices")
        set_box(view.box, index, value)
        return
    view = part_of(r, key)
    if type(view) is Ragged or type(value) is Ragged:
        store(view, value)
    else:
        view.require_writable()
        assign_box(view, value)


@does(np.flip, reversed)
def flip(x: Any, axis: Any = None) -> Any:
    """`np.flip`."""
    gone = axes_of(x, axis)
    back, all_ = slice(None, None, -1), slice(None)
    return getitem_(x, tuple([back if k in gone else all_ for k in range(x.ndim)]))


@does(np.flipud)
def flipud(x: Any) -> Any:
    """`np.flipud`."""
    return flip(x, 0)


@does(np.copy, np.array)
def copy(x: Any, dtype: Any = None, **options: Any) -> Any:
    """A copy, of an array or of a list of them."""
    if type(x) is not Ragged:
        ragged_in(x).refuse("an array of such parts")
    if dtype is not None:
        return astype(x, dtype)
    return stored(x.formula(), x.axes)


def ragged_in(values: Any) -> Ragged:
    """The first Ragged in a nest of lists."""
    for value in values:
        if type(value) is Ragged:
            return value
        if isinstance(value, list | tuple):
            return ragged_in(value)
    raise AssertionError("there is one")


@does(np.asarray, np.ascontiguousarray, np.atleast_1d, np.asanyarray)
def asarray(x: Any, dtype: Any = None) -> Any:
    """The array itself."""
    if type(x) is not Ragged:
        ragged_in(x).refuse("an array of such parts")
    return x if dtype is None else astype(x, dtype)


@does(np.ravel)
def ravel(x: Any) -> Any:
    """`np.ravel` of a vector."""
    return x if x.ndim == 1 else x.refuse("flattening it")


#: Arrays are not made as long as this where only staging's bounds say how long.
_FAR = 2**31


def is_bounded(extent: Any) -> bool:
    """Whether a length is traced, but known to be below a bound."""
    if type(extent) is not Box or is_static(extent) or extent.concrete() is not None:
        return False
    _, most = interval_of(extent.read()) or (0, _FAR)
    return most < _FAR


def made(maker: Any) -> Callable[..., Any]:
    """`np.zeros(n)` and its like of a traced length."""

    def program(shape: Any, *args: Any, **options: Any) -> Any:
        extents = list(shape) if isinstance(shape, tuple | list) else [shape]
        bounds: list[int] = []
        axes: list[Any] = []
        for extent in extents:
            if not is_bounded(extent):
                bounds.append(plain(extent))
                axes.append(WHOLE)
                continue
            bounds.append(max(interval_of(extent.read())[1], 0))  # type: ignore[index]
            axes.append(Span(0, 1, call(np.maximum, extent, 0), bounds[-1]))
        return Ragged(call(maker, tuple(bounds), *args, **options), axes)

    return program


def arange(*args: Any, dtype: Any = None) -> Any:
    """`np.arange(n)`, `np.arange(a, b)` of integers."""
    lo, hi = args if len(args) == 2 else (0, *args)
    length = call(np.maximum, hi - lo, 0)
    bound = max(interval_of(length.read())[1], 0)  # type: ignore[index]
    numbers = Ragged(call(np.arange, bound), [Span(0, 1, length, bound)])
    found = numbers if len(args) == 1 else numbers + lo
    return found if dtype is None else astype(found, dtype)


def linspace(start: Any, stop: Any, num: Any, endpoint: bool = True) -> Any:
    """`np.linspace` of a traced number of points."""
    gaps = call(np.maximum, num - 1 if endpoint else num, 1)
    counts = arange(num, dtype=float)
    points = counts * ((stop - start) / gaps) + start
    return call(np.where, counts == gaps, stop, points) if endpoint else points


MAKERS = {fn: made(fn) for fn in (np.zeros, np.ones, np.empty, np.full)}


def maker_of(fn: Any, args: Any) -> Callable[..., Any] | None:
    """What makes an array of traced length, if these arguments are for one."""
    if fn is np.arange:
        integers = all(is_bounded(a) or is_integer(a) for a in args[:2])
        fits = 0 < len(args) <= 2 and integers
        return arange if fits and any(map(is_bounded, args)) else None
    if fn is np.linspace:
        return linspace if len(args) > 2 and is_bounded(args[2]) else None
    if fn not in MAKERS or not args:
        return None
    extents = args[0] if isinstance(args[0], tuple | list) else args[:1]
    return MAKERS[fn] if any(map(is_bounded, extents)) else None


def _like(maker: Any) -> Callable[..., Any]:
    def program(x: Any, *args: Any, dtype: Any = None) -> Any:
        whole = call(maker, x.room, *args, dtype=dtype or x.dtype)
        return Ragged(whole, from_zero(x.axes))

    return program


for _fn, _maker in (
    (np.zeros_like, np.zeros),
    (np.ones_like, np.ones),
    (np.empty_like, np.empty),
    (np.full_like, np.full),
):
    PROGRAMS[_fn] = _like(_maker)


@does(np.concatenate, np.hstack)
def concatenate(parts: Any, axis: int = 0) -> Any:
    """Vectors one after the other; their lengths may add up to what is known."""
    rows = [ragged(part) for part in parts]
    if any(row.ndim != 1 for row in rows):
        ragged_in(parts).refuse("joining these")
    total: Any = 0
    for row in rows:
        total = row.shape[0] + total
    known = difference(total, 0)
    room = sum(row.axes[0].bound if row.spans else row.shape[0] for row in rows)
    size = room if known is None else known
    whole = call(np.zeros, size, np.result_type(*[row.dtype for row in rows]))
    start: Any = 0
    for row in rows:
        assign(Ragged(whole, [Span(start, 1, row.shape[0], room)]), row)
        start = row.shape[0] + start
    return whole if known is not None else Ragged(whole, [Span(0, 1, total, room)])


@does(np.append)
def append(x: Any, values: Any) -> Any:
    """`np.append` to a vector."""
    return concatenate([x, call(np.atleast_1d, values)])


@does(np.diff)
def diff(x: Any, n: int = 1) -> Any:
    """`np.diff` of a vector."""
    if x.ndim != 1 or n != 1:
        x.refuse("np.diff of this")
    return getitem_(x, slice(1, None)) - getitem_(x, slice(None, -1))


PROGRAMS[np.shape] = lambda x: x.shape
PROGRAMS[np.ndim] = lambda x: x.ndim
PROGRAMS[np.size] = lambda x: count(x, None)
PROGRAMS[len] = lambda x: x.shape[0]
PROGRAMS[abs] = lambda x: elementwise(partial(call, np.absolute), x)
PROGRAMS[sum] = lambda x, start=0: PROGRAMS[np.sum](x, 0) + start
PROGRAMS[max] = lambda x: PROGRAMS[np.max](x)
PROGRAMS[min] = lambda x: PROGRAMS[np.min](x)
PROGRAMS[any] = PROGRAMS[np.any]
PROGRAMS[all] = PROGRAMS[np.all]


def program_of(fn: Any) -> Callable[..., Any]:
    """What `fn` does where a Ragged is among its arguments."""
    if isinstance(fn, np.ufunc):
        return partial(ufunc, fn, "__call__")
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, np.ufunc):
        return partial(ufunc, owner, fn.__name__)
    return PROGRAMS.get(fn) or partial(_refused, fn)


def _refused(fn: Any, *args: Any, **kwargs: Any) -> Any:
    ragged_in([*args, *kwargs.values()]).refuse(getattr(fn, "__name__", str(fn)))


# Operators and methods ----------------------------------------------------------------


def _forward(fn: Any) -> Callable[..., Any]:
    return lambda self, other: elementwise(partial(call, fn), self, other)


def _backward(fn: Any) -> Callable[..., Any]:
    return lambda self, other: elementwise(partial(call, fn), other, self)


def _unary(fn: Any) -> Callable[..., Any]:
    return lambda self: elementwise(partial(call, fn), self)


def _in_place(fn: Any) -> Callable[..., Any]:
    def operator(self: Ragged, other: Any) -> Ragged:
        result = elementwise(partial(call, fn), self, other)
        into(self, result, f"ufunc {fn.__name__!r} output")
        return self

    return operator


def _array_ufunc(self: Ragged, fn: Any, method: str, *args: Any, **kw: Any) -> Any:
    return ufunc(fn, method, *args, **kw)


def _array_function(self: Ragged, fn: Any, types: Any, args: Any, kw: Any) -> Any:
    return program_of(fn)(*args, **kw)


def _attribute(self: Ragged, name: str) -> Any:
    if name.startswith("__") or name == "py_func":
        raise AttributeError(name)
    fn = getattr(np, name, None)
    if not callable(fn) or fn not in PROGRAMS:
        self.refuse(f".{name}")
    return partial(PROGRAMS[fn], self)


def _install() -> None:
    for name, fn in BINARY.items():
        if name == "divmod":
            continue
        setattr(Ragged, f"__{name}__", _forward(fn))
        setattr(Ragged, f"__r{name}__", _backward(fn))
        setattr(Ragged, f"__i{name}__", _in_place(fn))
    for name, fn in COMPARISONS.items():
        setattr(Ragged, f"__{name}__", _forward(fn))
    for name, fn in UNARY.items():
        setattr(
            Ragged,
            f"__{name}__",
            lambda self, fn=fn: elementwise(partial(call, fn), self),
        )
    methods: dict[str, Any] = {
        "__matmul__": matmul,
        "__rmatmul__": lambda self, other: matmul(other, self),
        "__getitem__": getitem_,
        "__setitem__": setitem,
        "__array_ufunc__": lambda self, fn, method, *a, **kw: ufunc(
            fn, method, *a, **kw
        ),
        "__array_function__": _array_function,
        "__getattr__": _attribute,
        "astype": astype,
        "copy": copy,
        "flatten": lambda self: copy(ravel(self)),
        "fill": assign,
        "conj": lambda self: elementwise(partial(call, np.conjugate), self),
        "conjugate": lambda self: elementwise(partial(call, np.conjugate), self),
        "T": property(transpose),
        "size": property(lambda self: count(self, None)),
        "real": property(PROGRAMS[np.real]),
        "imag": property(PROGRAMS[np.imag]),
    }
    for name, method in methods.items():
        setattr(Ragged, name, method)


_install()
