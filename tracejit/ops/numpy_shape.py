"""NumPy's functions that rearrange arrays, as programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tracejit.base.errors import ShapeMismatchError
from tracejit.ir.builder import current
from tracejit.ir.program import Atom, Literal, Var
from tracejit.ops import shape as _shape
from tracejit.ops.numpy_names import apply, emit, implements, unsupported, where
from tracejit.ops.numpy_reduce import normal_axis
from tracejit.ops.promote import (
    INT,
    Weak,
    broadcast_to,
    computed,
    convert,
    full,
    result_type,
    shape_of,
    strong,
)

_DECLARES = (_shape,)


def reshape(x: Atom, shape: Sequence[int]) -> Atom:
    """A reshape, unless it is none."""
    shape = tuple(shape)
    return x if x.aval.shape == shape else emit("reshape", x, shape=shape)


def expand_dims(x: Atom, axis: int) -> Atom:
    """A new axis of extent 1."""
    shape = list(x.aval.shape)
    shape.insert(axis, 1)
    return reshape(x, shape)


#: What NumPy joins: arrays, or the rows of one.
Parts: TypeAlias = Sequence[Any] | Var


def _rows_at(x: Atom, axis: int) -> Atom:
    """The rows of an array along another axis."""
    if not x.aval.shape[0]:
        raise ShapeMismatchError("need at least one array to join", _loc())
    rest = list(range(1, x.aval.ndim))
    perm = (*rest[:axis], 0, *rest[axis:])
    return x if axis == 0 else emit("transpose", x, perm=perm)


@implements(np.concatenate)
def concatenate(xs: Parts, axis: Any = 0, dtype: Any = None) -> Atom:
    """`np.concatenate`."""
    if isinstance(xs, Var):
        return _join_rows(xs, axis, dtype)
    if not xs:
        raise ShapeMismatchError("need at least one array to concatenate", _loc())
    atoms = [strong(x) for x in xs]
    dtype = np.dtype(dtype) if dtype else result_type(*atoms)
    if axis is None:
        atoms, axis = [reshape(x, (x.aval.size,)) for x in atoms], 0
    ndim = atoms[0].aval.ndim
    if not ndim:
        raise ShapeMismatchError(
            "zero-dimensional arrays cannot be concatenated", _loc(), "np.stack(xs)"
        )
    axis = normal_axis(axis, ndim)
    for k, x in enumerate(atoms):
        _require_alike(atoms[0].aval.shape, x.aval.shape, axis, k)
    atoms = [convert(x, dtype) for x in atoms]
    return atoms[0] if len(atoms) == 1 else emit("concatenate", *atoms, axis=axis)


def _join_rows(x: Atom, axis: Any, dtype: Any) -> Atom:
    """The rows of one array, joined: another shape of it, as its axes may lie."""
    x = convert(x, np.dtype(dtype) if dtype else x.aval.dtype)
    if x.aval.ndim < 2:
        raise ShapeMismatchError(
            "zero-dimensional arrays cannot be concatenated", _loc(), "np.stack(xs)"
        )
    if axis is None:
        return reshape(x, (x.aval.size,))
    count, *rest = x.aval.shape
    axis = normal_axis(axis, len(rest))
    rest[axis] = count * rest[axis]
    return reshape(_rows_at(x, axis), rest)


def _require_alike(first: Any, other: Any, axis: int, k: int) -> None:
    if len(first) != len(other):
        raise ShapeMismatchError(
            "all the input array dimensions except for the concatenation axis must "
            f"match exactly, but the array at index 0 has {len(first)} dimension(s) "
            f"and the array at index {k} has {len(other)} dimension(s)",
            _loc(),
        )
    for d, (n, m) in enumerate(zip(first, other, strict=True)):
        if d != axis and n != m:
            raise ShapeMismatchError(
                "all the input array dimensions except for the concatenation axis "
                f"must match exactly, but along dimension {d}, the array at index 0 "
                f"has size {int(n)} and the array at index {k} has size {int(m)}",
                _loc(),
            )


def _loc() -> Any:
    return current().loc


@implements(np.stack)
def stack(xs: Parts, axis: Any = 0, dtype: Any = None) -> Atom:
    """`np.stack`."""
    if isinstance(xs, Var):
        x = _rows_at(xs, normal_axis(axis, xs.aval.ndim))
        return convert(x, np.dtype(dtype)) if dtype else x
    if not xs:
        raise ShapeMismatchError("need at least one array to stack", _loc())
    atoms = [strong(x) for x in xs]
    if any(x.aval.shape != atoms[0].aval.shape for x in atoms):
        raise ShapeMismatchError("all input arrays must have the same shape", _loc())
    axis = normal_axis(axis, atoms[0].aval.ndim + 1)
    return concatenate([expand_dims(x, axis) for x in atoms], axis, dtype)


def array(nested: Any, dtype: Any = None) -> Atom:
    """`np.array` of nested lists of operands."""
    if dtype is None:
        dtype = result_type(*map(strong, _leaves(nested)))
    return convert(_array(nested), dtype)


def _leaves(nested: Any) -> list[Any]:
    if isinstance(nested, list | tuple):
        return [leaf for x in nested for leaf in _leaves(x)]
    return [nested]


def _array(nested: Any) -> Atom:
    if not isinstance(nested, list | tuple):
        return strong(nested)
    parts = [_array(x) for x in nested]
    shapes = {x.aval.shape for x in parts}
    if len(shapes) > 1:
        raise ShapeMismatchError(
            "setting an array element with a sequence: the elements have shapes "
            + ", ".join(sorted(str(tuple(map(int, s))) for s in shapes)),
            _loc(),
            "elements of one shape, or a list of arrays",
        )
    return stack(parts)


# Several arrays as one ----------------------------------------------------------------


def _at_least(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    return (1,) * (ndim - len(shape)) + shape


def _each(xs: Parts, shape_of: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Parts:
    """The parts at other shapes."""
    if isinstance(xs, Var):
        lead, *rest = xs.aval.shape
        return reshape(xs, (lead, *shape_of(tuple(rest))))  # type: ignore[return-value]
    atoms = [strong(x) for x in xs]
    return [reshape(x, shape_of(x.aval.shape)) for x in atoms]


@implements(np.vstack)
def vstack(xs: Parts, dtype: Any = None) -> Atom:
    """`np.vstack`."""
    return concatenate(_each(xs, lambda shape: _at_least(shape, 2)), 0, dtype)


@implements(np.hstack)
def hstack(xs: Parts, dtype: Any = None) -> Atom:
    """`np.hstack`."""
    parts = _each(xs, lambda shape: _at_least(shape, 1))
    ndim = parts.aval.ndim - 1 if isinstance(parts, Var) else parts[0].aval.ndim
    return concatenate(parts, 0 if ndim == 1 else 1, dtype)


@implements(np.column_stack)
def column_stack(xs: Parts) -> Atom:
    """`np.column_stack`: vectors become columns."""

    def as_column(shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = _at_least(shape, 1)
        return shape if len(shape) > 1 else (*shape, 1)

    return concatenate(_each(xs, as_column), 1)


@implements(np.dstack)
def dstack(xs: Parts) -> Atom:
    """`np.dstack`: along the third axis."""

    def as_sheet(shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = _at_least(shape, 2)
        return shape if len(shape) > 2 else (*shape, 1)

    return concatenate(_each(xs, as_sheet), 2)


@implements(np.append)
def append(x: Any, values: Any, axis: Any = None) -> Atom:
    """`np.append`."""
    return concatenate([x, values], axis)


# Parts of arrays ----------------------------------------------------------------------


def part(x: Atom, axis: int, start: int, size: int, step: int = 1) -> Atom:
    """Some elements along one axis."""
    shape = x.aval.shape
    if start == 0 and size == shape[axis] and step == 1:
        return x
    starts: list[Any] = [0] * len(shape)
    starts[axis] = computed(start, INT) if start else 0
    sizes = (*shape[:axis], size, *shape[axis + 1 :])
    steps = (*(1,) * axis, step, *(1,) * (len(shape) - axis - 1))
    return emit("getitem", x, *starts, sizes=sizes, steps=steps)


@implements(np.roll)
def roll(x: Any, shift: Any, axis: Any = None) -> Atom:
    """`np.roll` by numbers that are known."""
    x = strong(x)
    if axis is None:
        flat = reshape(x, (x.aval.size,))
        return reshape(roll(flat, shift, 0), x.aval.shape)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    shifts = shift if isinstance(shift, tuple | list) else (shift,) * len(axes)
    if len(axes) < len(shifts):
        axes = tuple(axes) * len(shifts)
    for by, k in zip(shifts, axes, strict=True):
        k = normal_axis(k, x.aval.ndim)
        extent = x.aval.shape[k]
        by = known_int(by, "np.roll")
        if extent == 0 or by % extent == 0:
            continue
        cut = extent - by if 0 < by < extent else -by % extent
        tail = part(x, k, cut, extent - cut)
        x = emit("concatenate", tail, part(x, k, 0, cut), axis=k)
    return x


def known_int(value: Any, name: str) -> int:
    """An option that must be known while staging."""
    if isinstance(value, Weak):
        value = value.atom
    if isinstance(value, Literal):
        value = value.value
    if isinstance(value, Var):
        raise unsupported(f"{name} with a traced integer", "an int, or a gather: x[i]")
    return value if isinstance(value, int) else value.__index__()


@implements(np.tile)
def tile(x: Any, reps: Any) -> Atom:
    """`np.tile`."""
    x = strong(x)
    reps = tuple(reps) if isinstance(reps, tuple | list) else (reps,)
    counts = [known_int(r, "np.tile") for r in reps]
    ndim = max(len(counts), x.aval.ndim)
    counts = [1] * (ndim - len(counts)) + counts
    x = reshape(x, _at_least(x.aval.shape, ndim))
    pairs = list(zip(counts, x.aval.shape, strict=True))
    x = reshape(x, [n for _, extent in pairs for n in (1, extent)])
    x = broadcast_to(x, [n for pair in pairs for n in pair])
    return reshape(x, [r * n for r, n in pairs])


@implements(np.repeat)
def repeat(x: Any, repeats: Any, axis: Any = None) -> Atom:
    """`np.repeat`, every element equally often."""
    x = strong(x)
    if shape_of(repeats):
        raise unsupported("np.repeat with an array of counts", "x[indices]")
    count = known_int(repeats, "np.repeat")
    if axis is None:
        x, axis = reshape(x, (x.aval.size,)), 0
    k = normal_axis(axis, x.aval.ndim)
    shape = x.aval.shape
    wide = (*shape[: k + 1], count, *shape[k + 1 :])
    x = broadcast_to(expand_dims(x, k + 1), wide)
    return reshape(x, (*shape[:k], shape[k] * count, *shape[k + 1 :]))


# Diagonals and triangles --------------------------------------------------------------


@implements(np.diagonal)
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Atom:
    """`np.diagonal`, a copy; its axis is the last."""
    x = strong(x)
    ndim = x.aval.ndim
    first, second = normal_axis(axis1, ndim), normal_axis(axis2, ndim)
    rest = [k for k in range(ndim) if k not in (first, second)]
    return last_diagonal(permuted(x, (*rest, first, second)), offset)


def permuted(x: Atom, perm: Sequence[int]) -> Atom:
    """A transpose, unless it is none."""
    perm = tuple(perm)
    same = perm == tuple(range(len(perm)))
    return x if same else emit("transpose", x, perm=perm)


def last_diagonal(x: Atom, offset: int) -> Atom:
    """The diagonal of the last two axes: evenly spaced elements of their rows."""
    *lead, n, m = x.aval.shape
    flat = reshape(x, (*lead, n * m))
    start, size = diagonal_place(n, m, offset)
    return part(flat, len(lead), start, size, m + 1)


def diagonal_place(n: int, m: int, offset: int) -> tuple[int, int]:
    """Where a diagonal starts in an n by m matrix, row by row, and its length."""
    row, column = max(-offset, 0), max(offset, 0)
    size = min(n - row, m - column)
    return (row * m + column, size) if size > 0 else (0, 0)


@implements(np.diag)
def diag(x: Any, k: int = 0) -> Atom:
    """`np.diag`: the diagonal of a matrix, or the matrix of a diagonal."""
    x = strong(x)
    k = known_int(k, "np.diag")
    if x.aval.ndim == 2:
        return last_diagonal(x, k)
    if x.aval.ndim != 1:
        raise ShapeMismatchError("Input must be 1- or 2-d.", _loc())
    n = x.aval.shape[0] + abs(k)
    flat = full(0, (n * n,), x.aval.dtype)
    start, size = diagonal_place(n, n, k)
    if size == 0:
        return reshape(flat, (n, n))
    flat = emit("setitem", flat, x, computed(start, INT), sizes=(size,), steps=(n + 1,))
    return reshape(flat, (n, n))


@implements(np.diagflat)
def diagflat(x: Any, k: int = 0) -> Atom:
    """`np.diagflat`."""
    x = strong(x)
    return diag(reshape(x, (x.aval.size,)), k)


def _triangle(upper: bool) -> Any:
    def program(x: Any, k: int = 0) -> Atom:
        """One triangle of the last two axes, the other zero."""
        x = strong(x)
        x = broadcast_to(x, x.aval.shape * 2) if x.aval.ndim == 1 else x
        n, m = x.aval.shape[-2:]
        rows, columns = (emit("iota", size=size, dtype=INT) for size in (n, m))
        rows = emit("broadcast", rows, shape=(n, m), axes=(0,))
        columns = emit("broadcast", columns, shape=(n, m), axes=(1,))
        edge = apply(np.add, rows, known_int(k, "np.tril"))
        compare = np.greater_equal if upper else np.less_equal
        keep = apply(compare, columns, edge)
        return where(broadcast_to(keep, x.aval.shape), x, convert(0, x.aval.dtype))

    return program


tril = implements(np.tril)(_triangle(upper=False))
triu = implements(np.triu)(_triangle(upper=True))


# Padding ------------------------------------------------------------------------------


@implements(np.pad)
def pad(
    x: Any, pad_width: Any, mode: Any = "constant", *, constant_values: Any = 0
) -> Atom:
    """`np.pad` with a constant, or by what is there."""
    x = strong(x)
    widths = sides(pad_width, x.aval.ndim, "pad_width")
    if mode != "constant" and mode not in _BORDERS:
        raise unsupported(f"np.pad(mode={mode!r})", "np.concatenate of the parts")
    values = sides(constant_values, x.aval.ndim, "constant_values")
    for k, (lo, hi) in enumerate(widths):
        lo, hi = known_int(lo, "np.pad"), known_int(hi, "np.pad")
        if mode == "constant":
            x = _pad_constant(x, k, lo, hi, values[k])
        else:
            x = _BORDERS[mode](x, k, lo, hi)
    return x


def sides(value: Any, ndim: int, name: str) -> list[tuple[Any, Any]]:
    """One number, a pair, or a pair for each axis: as a pair for each axis."""
    if not isinstance(value, tuple | list):
        return [(value, value)] * ndim
    if not any(isinstance(v, tuple | list) for v in value):
        pair = tuple(value) * (2 if len(value) == 1 else 1)
        return [pair] * ndim
    pairs = [tuple(v) * (2 if len(v) == 1 else 1) for v in value]
    pairs = pairs * ndim if len(pairs) == 1 else pairs
    if len(pairs) != ndim:
        raise ShapeMismatchError(f"{name} has one pair too many or too few", _loc())
    return pairs


def _pad_constant(x: Atom, axis: int, lo: int, hi: int, values: Any) -> Atom:
    ndim = x.aval.ndim
    sides = [(lo, 0, values[0]), (0, hi, values[1])]
    if values[0] is values[1]:
        sides = [(lo, hi, values[0])]
    for before, after, value in sides:
        if before or after:
            los = tuple([before if k == axis else 0 for k in range(ndim)])
            his = tuple([after if k == axis else 0 for k in range(ndim)])
            x = emit("pad", x, convert(value, x.aval.dtype), lo=los, hi=his)
    return x


def _edge(x: Atom, axis: int, lo: int, hi: int) -> Atom:
    n = x.aval.shape[axis]

    def spread(k: int, count: int) -> Atom:
        shape = (*x.aval.shape[:axis], count, *x.aval.shape[axis + 1 :])
        return broadcast_to(part(x, axis, k, 1), shape)

    return _joined([spread(0, lo), x, spread(n - 1, hi)], axis)


def _joined(parts: list[Atom], axis: int) -> Atom:
    parts = [p for p in parts if p.aval.shape[axis]]
    return parts[0] if len(parts) == 1 else emit("concatenate", *parts, axis=axis)


_BORDERS = {"edge": _edge}
