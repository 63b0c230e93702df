"""NumPy's rules for dtypes and shapes, on Atoms: promotion, casting, broadcasting.

An operand is an Atom, a NumPy scalar (both with a dtype of their own), or a number of
Python's, whose dtype yields to the others (NEP 50): a plain `int`, `float` or `bool`,
or a `Weak` Atom that stands for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tracejit.base.errors import (
    CastingError,
    OperandTypeError,
    ShapeMismatchError,
    UnsupportedDTypeError,
)
from tracejit.ir.aval import Extent
from tracejit.ir.builder import current
from tracejit.ir.primitive import REGISTRY, cast_to
from tracejit.ir.program import Atom, Literal, Var

BOOL = np.dtype(bool)
INT = np.dtype(np.int64)
FLOAT = np.dtype(np.float64)
COMPLEX = np.dtype(np.complex128)
_WEAK_TYPES = {"b": BOOL, "i": int, "u": int, "f": float, "c": complex}


class Weak:
    """An Atom that stands for a number of Python's: its dtype yields to others."""

    __slots__ = ("atom",)

    def __init__(self, atom: Atom):
        self.atom = atom


def dtype_spec(operand: Any) -> Any:
    """What NumPy's promotion wants to know: a dtype, or int or float for weak ones."""
    if isinstance(operand, Var | Literal):
        return operand.aval.dtype
    if isinstance(operand, Weak):
        return _WEAK_TYPES[operand.atom.aval.dtype.kind]
    if isinstance(operand, np.generic):
        return operand.dtype
    if isinstance(operand, bool):
        return BOOL
    return int if isinstance(operand, int) else type(operand)


def shape_of(operand: Any) -> tuple[int, ...]:
    """The shape of an operand; numbers have none."""
    return operand.aval.shape if isinstance(operand, Var | Literal) else ()


def strong(operand: Any) -> Atom:
    """The operand as `np.asarray` would take it: with a dtype of its own."""
    if isinstance(operand, Weak):
        return operand.atom
    if isinstance(operand, Var | Literal):
        return operand
    return Literal(
        operand.item() if isinstance(operand, np.generic) else operand, _own(operand)
    )


def _own(number: Any) -> np.dtype[Any]:
    return supported(np.asarray(number).dtype)


def is_supported(dtype: np.dtype[Any]) -> bool:
    """Whether compiled programs know arrays of this dtype."""
    return dtype.kind in "biu" or dtype.char in "fdFD"


def supported(dtype: Any) -> np.dtype[Any]:
    """The dtype itself, or an error where it is none of ours."""
    dtype = np.dtype(dtype)
    if is_supported(dtype):
        return dtype
    raise UnsupportedDTypeError(
        f"arrays of dtype {dtype} are not supported",
        current().loc,
        "convert to float32, float64, complex64, complex128, an integer dtype or bool",
    )


def convert(operand: Any, dtype: Any) -> Atom:
    """The operand as an Atom of this dtype; a number becomes a Literal of it."""
    dtype = np.dtype(dtype)
    atom = strong(operand)
    if atom.aval.dtype.kind == "c" and dtype.kind in "fiu":
        raise CastingError(
            f"a cast from {atom.aval.dtype} to {dtype} discards the imaginary part",
            current().loc,
            "take the part that is meant: x.real, x.imag or np.abs(x)",
        )
    if not isinstance(atom, Literal):
        return keep_interval(cast_to(atom, dtype), atom)
    if atom.aval.dtype == dtype:
        return atom
    if dtype.kind in "iu" and isinstance(atom.value, int) and atom is not operand:
        value = dtype.type(atom.value)  # NumPy's OverflowError where it does not fit
    else:
        value = np.asarray(atom.scalar).astype(dtype)[()]
    return Literal(value.item(), dtype, atom.runtime)


def computed(number: Any, dtype: Any) -> Literal:
    """A number that follows from shapes: not one that the user wrote down."""
    value = np.dtype(dtype).type(number).item()
    return Literal(value, dtype, runtime=value not in (0, 1, 2, -1))


@cache
def resolve(ufunc: np.ufunc, specs: tuple[Any, ...]) -> tuple[np.dtype[Any], ...]:
    """The dtypes of the loop that NumPy would run: operands, then results."""
    return ufunc.resolve_dtypes(specs + (None,) * ufunc.nout)


def result_type(*operands: Any) -> np.dtype[Any]:
    """The common dtype of operands, as `np.result_type` gives it."""
    if len(operands) == 1:
        return strong(operands[0]).aval.dtype
    specs = [dtype_spec(op) for op in operands]
    return np.result_type(*(s if isinstance(s, np.dtype) else s(0) for s in specs))


def loop_dtypes(ufunc: np.ufunc, *operands: Any) -> tuple[np.dtype[Any], ...]:
    """The dtypes of the loop for these operands, or our error where there is none."""
    specs = tuple([dtype_spec(op) for op in operands])
    try:
        dtypes = resolve(ufunc, specs)
    except TypeError as error:
        raise OperandTypeError(str(error), current().loc) from None
    for dtype in dtypes:
        supported(dtype)
    return dtypes


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape, or NumPy's ValueError."""
    first = shapes[0]
    if all(s == first for s in shapes):
        return next((s for s in shapes if _named(s)), first)
    ndim = max(len(s) for s in shapes)
    out: list[int] = [1] * ndim
    for shape in shapes:
        for k, n in enumerate(shape, ndim - len(shape)):
            if n == out[k]:
                out[k] = n if isinstance(n, Extent) else out[k]
            elif out[k] == 1:
                out[k] = n
            elif n != 1:
                raise ShapeMismatchError(
                    "operands could not be broadcast together with shapes "
                    + " ".join(
                        str(tuple(map(int, s))).replace(" ", "") for s in shapes
                    ),
                    current().loc,
                    "give them equal extents, or extents of 1, counted from the right",
                )
    return tuple(out)


def _named(shape: tuple[int, ...]) -> bool:
    return any(isinstance(n, Extent) for n in shape)


def broadcast_to(atom: Atom, shape: Sequence[int]) -> Atom:
    """`np.broadcast_to`; the shapes are known to fit."""
    have, shape = atom.aval.shape, tuple(shape)
    if have == shape:
        return atom
    lead = len(shape) - len(have)
    axes = tuple(k for k in range(lead, len(shape)) if have[k - lead] == shape[k])
    kept = tuple(have[k - lead] for k in axes)
    if kept != have:
        atom = REGISTRY["reshape"](atom, shape=kept)
    return REGISTRY["broadcast"](atom, shape=shape, axes=axes)


def fit(atom: Atom, shape: tuple[int, ...]) -> Atom:
    """A value broadcast to the part that it is stored into."""
    have = atom.aval.shape
    while len(have) > len(shape) and have[0] == 1:
        have = have[1:]  # NumPy drops leading extents of 1
    lead = len(shape) - len(have)
    if lead < 0 or any(
        n not in (1, m) for n, m in zip(have, shape[lead:], strict=True)
    ):
        raise ShapeMismatchError(
            f"could not broadcast input array from shape {shape_text(atom.aval.shape)} "
            f"into shape {shape_text(shape)}",
            current().loc,
            "store a value that has the shape of the part",
        )
    if have != atom.aval.shape:
        atom = REGISTRY["reshape"](atom, shape=have)
    return broadcast_to(atom, shape)


def shape_text(shape: Sequence[int]) -> str:
    """A shape as NumPy's messages write it."""
    return str(tuple(map(int, shape))).replace(" ", "")


def full(value: Any, shape: Sequence[int], dtype: Any) -> Atom:
    """An array of equal numbers (a Literal where the shape is ())."""
    return broadcast_to(convert(value, dtype), shape)


# Bounds of integer scalars ------------------------------------------------------------

Interval = tuple[int, int]


def interval_of(atom: Atom) -> Interval | None:
    """Proved bounds of an integer scalar, both inclusive."""
    if isinstance(atom, Var):
        return atom.interval
    return (int(atom.value),) * 2 if atom.aval.dtype.kind in "iu" else None


def keep_interval(atom: Atom, source: Atom) -> Atom:
    """Hand bounds on to an integer that equals another."""
    if isinstance(atom, Var) and atom.interval is None and atom.aval.dtype.kind in "iu":
        atom.interval = interval_of(source)
    return atom


def _corners(fn: Any, a: Interval, b: Interval) -> Interval:
    values = [fn(x, y) for x in a for y in b]
    return min(values), max(values)


def _floordiv(a: Interval, b: Interval) -> Interval | None:
    return _corners(lambda x, y: x // y, a, b) if b[0] > 0 else None


def _mod(a: Interval, b: Interval) -> Interval | None:
    if b[0] <= 0:
        return None
    return a if 0 <= a[0] and a[1] < b[0] else (0, b[1] - 1)


_BOUNDS: dict[str, Any] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": lambda a, b: _corners(lambda x, y: x * y, a, b),
    "neg": lambda a: (-a[1], -a[0]),
    "abs": lambda a: (max(a[0], -a[1], 0), max(abs(a[0]), abs(a[1]))),
    "minimum": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "maximum": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "floor_divide": _floordiv,
    "mod": _mod,
    "select": lambda a, b: (min(a[0], b[0]), max(a[1], b[1])),
}


def bound(name: str, out: Atom, operands: Sequence[Atom]) -> Atom:
    """Record on `out`, the integer scalar `name(*operands)`, what can be proved."""
    if not isinstance(out, Var) or out.aval.shape or out.aval.dtype.kind not in "iu":
        return out
    rule = _BOUNDS.get(name)
    if name == "select":
        operands = operands[1:]
    intervals = [interval_of(x) for x in operands]
    if rule and all(intervals):
        found = rule(*intervals)
        info = np.iinfo(out.aval.dtype)
        if found and info.min <= found[0] and found[1] <= info.max:
            out.interval = found
    return out
