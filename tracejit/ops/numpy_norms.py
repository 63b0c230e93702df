"""Norms, and what else says how large a matrix is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.program import Atom
from tracejit.ops import factor, matrices
from tracejit.ops.numpy_linalg import (
    floats,
    matrix,
    number,
    rank_of,
    square,
    square_of,
    svdvals,
)
from tracejit.ops.numpy_names import apply, emit, implements, where
from tracejit.ops.numpy_reduce import (
    any_,
    max_,
    min_,
    normal_axes,
    normal_axis,
    root_of_sum,
    sum_,
)
from tracejit.ops.numpy_shape import part, permuted, reshape
from tracejit.ops.promote import INT, convert


@implements(np.linalg.matrix_rank)
def matrix_rank(
    A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None
) -> Atom:
    """`np.linalg.matrix_rank`: a constant."""
    a = floats(A)
    if a.aval.ndim < 2:
        nonzero = emit("any", apply(np.not_equal, a, 0), axes=tuple(range(a.aval.ndim)))
        return convert(nonzero, INT)
    s = svdvals(a)
    if tol is not None:
        return sum_(convert(apply(np.greater, s, tol), INT), -1)
    eps = float(np.finfo(a.aval.dtype).eps)
    given = number(rtol, "rtol")
    return rank_of(s, max(a.aval.shape[-2:]) * eps if given is None else given)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Atom:
    """`np.linalg.cond`."""
    x, p = matrix(x), number(p, "p")
    if p in (None, 2, -2):
        s = svdvals(x)
        axis = s.aval.ndim - 1
        ends = [part(s, axis, k, 1) for k in (0, s.aval.shape[-1] - 1)]
        high, low = (reshape(e, s.aval.shape[:-1]) for e in ends)
        return apply(np.divide, *((low, high) if p == -2 else (high, low)))
    a = square(x)
    unit = matrices.identity(a.aval.shape, a.aval.dtype)
    inverse = factor.lu_solve(a, *factor.lu(a), unit, trans=False)
    product = apply(np.multiply, norm(a, p, (-2, -1)), norm(inverse, p, (-2, -1)))
    # A singular matrix has an inverse of NaN, and an infinite condition.
    sound = apply(np.logical_not, any_(apply(np.isnan, x), (-2, -1)))
    failed = apply(np.logical_and, apply(np.isnan, product), sound)
    return where(failed, np.inf, product)


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Atom:
    """`np.linalg.norm`, whose derivative at 0 is 0."""
    x, ord = floats(x), number(ord, "ord")
    if axis is None and ord is None:
        return root_of_sum(sum_(square_of(x), None, keepdims=keepdims))
    if axis is None:
        axes = list(range(x.aval.ndim))
    else:
        several = axis if isinstance(axis, tuple | list) else (axis,)
        axes = [normal_axis(k, x.aval.ndim) for k in several]
    if len(axes) == 1:
        return _vector_norm(x, 2 if ord is None else ord, axes[0], keepdims)
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    out = _matrix_norm(x, ord, axes)
    if keepdims:
        shape = [1 if k in axes else n for k, n in enumerate(x.aval.shape)]
        out = reshape(out, shape)
    return out


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Atom:
    """`np.linalg.matrix_norm`."""
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.vector_norm)
def vector_norm(
    x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2
) -> Atom:
    """`np.linalg.vector_norm`: over any axes as if they were one."""
    x = floats(x)
    axes = normal_axes(axis, x.aval.ndim)
    return _vector_norm(x, number(ord, "ord"), axes, keepdims)


def _vector_norm(x: Atom, ord: Any, axis: Any, keepdims: bool) -> Atom:
    size = apply(np.absolute, x)
    if ord == 2:
        return root_of_sum(sum_(square_of(x), axis, keepdims=keepdims))
    if ord == np.inf:
        return max_(size, axis, keepdims)
    if ord == -np.inf:
        return min_(size, axis, keepdims)
    if ord == 0:
        nonzero = convert(apply(np.not_equal, x, 0), size.aval.dtype)
        return sum_(nonzero, axis, keepdims=keepdims)
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    if ord == 1:
        return sum_(size, axis, keepdims=keepdims)
    total = sum_(apply(np.power, size, ord), axis, keepdims=keepdims)
    zero = apply(np.equal, total, 0)
    root = apply(np.power, where(zero, 1, total), 1 / ord)
    return where(zero, total, root)


def _matrix_norm(x: Atom, ord: Any, axes: Sequence[int]) -> Atom:
    """Of the matrices in two axes, which vanish."""
    rest = [k for k in range(x.aval.ndim) if k not in axes]
    if len(set(axes)) < 2:
        raise ValueError("Duplicate axes given.")
    x = permuted(x, (*rest, *axes))
    if ord in (None, "fro", "f"):
        return root_of_sum(sum_(square_of(x), (-2, -1)))
    if ord == "nuc":
        return sum_(svdvals(x), -1)
    if ord in (2, -2):
        return (max_ if ord == 2 else min_)(svdvals(x), -1)
    if ord in (1, -1, np.inf, -np.inf):
        sums = sum_(apply(np.absolute, x), -2 if abs(ord) == 1 else -1)
        return (max_ if ord > 0 else min_)(sums, -1)
    raise ValueError("Invalid norm order for matrices.")
