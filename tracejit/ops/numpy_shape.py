"""NumPy's functions that rearrange arrays, as programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.errors import ShapeMismatchError
from tracejit.ir.builder import current
from tracejit.ir.program import Atom
from tracejit.ops import shape as _shape
from tracejit.ops.numpy_names import emit, implements
from tracejit.ops.numpy_reduce import normal_axis
from tracejit.ops.promote import (
    convert,
    result_type,
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


@implements(np.concatenate)
def concatenate(xs: Sequence[Any], axis: Any = 0, dtype: Any = None) -> Atom:
    """`np.concatenate`."""
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
def stack(xs: Sequence[Any], axis: Any = 0, dtype: Any = None) -> Atom:
    """`np.stack`."""
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
