"""Factorisations of matrices, and solving with them; leading axes are batches.

Their tangents are those of M. Giles, "Collected matrix derivative results for forward
and reverse mode algorithmic differentiation" (2008), in the forms that JAX's
documentation gives. They are written in products and triangular solves, so that they
have derivatives themselves.

Of a symmetric matrix the lower triangle is read and nothing else, as in NumPy. So the
derivative by what lies above the diagonal is zero, and that by what lies below counts
for both: along symmetric directions this is the derivative of symmetric matrices.

A factorisation that fails is NaN; `numpy_linalg` checks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval, aval_of
from tracejit.ir.primitive import Constant, Nonlinear
from tracejit.ops.elementwise import abs_, cast, div, eq, gt, log, mul, select
from tracejit.ops.index import gather
from tracejit.ops.matrices import (
    INT,
    by_column,
    by_row,
    column_sums,
    identity,
    lower_part,
    mirrored,
    product,
    turned,
    upper_part,
)
from tracejit.ops.reduce import max_, sum_
from tracejit.ops.shape import broadcast, iota, transpose

#: Factorising again costs more than saving a factor, whatever its size.
COSTLY = 1000


def _failing(shape: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    """NumPy's function, with NaN in place of an exception for what it cannot do."""

    def guard(function: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(a: Any, *rest: Any, **params: Any) -> Any:
            try:
                return function(a, *rest, **params)
            except np.linalg.LinAlgError:
                if a.ndim > 2:
                    parts = [guarded(*xs, **params) for xs in zip(a, *rest)]  # noqa: B905
                    if isinstance(parts[0], tuple):
                        return tuple(map(np.stack, zip(*parts, strict=True)))
                    return np.stack(parts)
                out = shape(*map(aval_of, (a, *rest)), **params)
                if isinstance(out, Aval):
                    return np.full(out.shape, np.nan, out.dtype)
                return tuple(np.full(x.shape, np.nan, x.dtype) for x in out)

        return guarded

    return guard


def _square_samples(rng: np.random.Generator, *more: Any) -> list[Any]:
    """Well-conditioned matrices, none of them near a change of pivots."""
    found: list[Any] = []
    for shape in ((3, 3), (2, 4, 4), (1, 1)):
        n = shape[-1]
        mixed = np.eye(n)[::-1] * (3 + np.arange(n)) + 0.3 * rng.normal(size=shape)
        found.append(mixed)
    return found


# Triangular systems -------------------------------------------------------------------
# solve_triangular(a, b; lower, trans, unit): x with op(T) x = b, where T is a triangle
# of a (`unit`: with ones for its diagonal) and op its transpose if `trans`.


def _triangle(a: Any, lower: bool, unit: bool) -> Any:
    """The part of `a` that is read, and the derivative is by."""
    return lower_part(a, strict=unit) if lower else upper_part(a, strict=unit)


def _second(a: Aval, b: Aval, *rest: Aval, **params: Any) -> Aval:
    assert a.shape[-1] == a.shape[-2] == b.shape[-2], (a, b)
    assert a.shape[:-2] == b.shape[:-2], (a, b)
    return b


@_failing(_second)
def _solve_triangular(a: Any, b: Any, lower: bool, trans: bool, unit: bool) -> Any:
    t = np.tril(a) if lower else np.triu(a)
    if unit:
        t[..., range(a.shape[-1]), range(a.shape[-1])] = 1
    return np.linalg.solve(np.swapaxes(t, -1, -2) if trans else t, b)


def _solve_triangular_tangent(
    x: Any, inputs: Any, tangents: Any, lower: bool, trans: bool, unit: bool
) -> Any:
    """x' = T⁻¹ (b' - T' x)."""
    (a, _), (ta, tb) = inputs, tangents
    right = tb
    if ta is not None:
        t = _triangle(ta, lower, unit)
        moved = -product(turned(t) if trans else t, x)
        right = moved if tb is None else tb + moved
    return solve_triangular(a, right, lower=lower, trans=trans, unit=unit)


def _solve_triangular_transpose(
    ct: Any, a: Any, b: Any, lower: bool, trans: bool, unit: bool
) -> Any:
    return solve_triangular(a, ct, lower=lower, trans=not trans, unit=unit)


def _triangular_samples(rng: np.random.Generator) -> list[Any]:
    def case(lower: bool, trans: bool, unit: bool, a: Any, b: Any) -> Any:
        diagonal = 2 * np.eye(a[-1])
        operands = 0.5 * rng.normal(size=a) + diagonal, rng.normal(size=b)
        return operands, {"lower": lower, "trans": trans, "unit": unit}

    return [
        case(True, False, False, (3, 3), (3, 2)),
        case(False, True, False, (3, 3), (3, 1)),
        case(True, True, True, (2, 3, 3), (2, 3, 2)),
        case(False, False, True, (4, 4), (4, 3)),
    ]


solve_triangular: Nonlinear = Nonlinear(
    "solve_triangular",
    _solve_triangular,
    _second,
    {1: _solve_triangular_transpose},
    tangent=_solve_triangular_tangent,
    active=(0, 1),
    samples=_triangular_samples,
    cost=COSTLY,
)

# lu(a): the factors in one matrix (below the diagonal L, whose own diagonal is ones,
# and U), and the pivots: each row k was exchanged with row pivots[k], one by one.
# order_of(pivots): the order of rows that makes: a[order] = L U.


def _lu_shape(a: Aval) -> tuple[Aval, Aval]:
    assert a.shape[-1] == a.shape[-2], a
    return a, Aval(INT, a.shape[:-1])


def _lu(a: Any) -> tuple[Any, Any]:
    """Gaussian elimination by blocks of columns; NumPy has none for us to call."""
    out = np.array(a)
    pivots = np.zeros(a.shape[:-1], INT)
    for k in np.ndindex(a.shape[:-2]):
        pivots[k] = _eliminate(out[k])
    return out, pivots


_BLOCK = 32


def _eliminate(a: Any) -> Any:
    n = len(a)
    pivots = np.arange(n)
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        for j in range(start, stop):
            p = pivots[j] = j + np.argmax(np.abs(a[j:, j]))
            swapped = np.array([p, j])
            a[swapped[::-1]] = a[swapped]
            if a[j, j] != 0:
                a[j + 1 :, j] /= a[j, j]
            a[j + 1 :, j + 1 : stop] -= np.outer(a[j + 1 :, j], a[j, j + 1 : stop])
        if stop < n:
            block = np.tril(a[start:stop, start:stop], -1) + np.eye(stop - start)
            a[start:stop, stop:] = np.linalg.solve(block, a[start:stop, stop:])
            a[stop:, stop:] -= a[stop:, start:stop] @ a[start:stop, stop:]
    return pivots


def _order_of(pivots: Any) -> Any:
    order = np.empty_like(pivots)
    for k in np.ndindex(pivots.shape[:-1]):
        order[k] = np.arange(pivots.shape[-1])
        for i, p in enumerate(pivots[k]):
            order[k][[i, p]] = order[k][[p, i]]
    return order


order_of = Constant(
    "order_of",
    _order_of,
    lambda pivots: pivots,
    samples=lambda rng: [
        ((np.array([2, 1, 3, 3]),), {}),
        ((np.array([[1, 1, 2], [2, 2, 2]]),), {}),
    ],
)


def permutation(pivots: Any, like: Any) -> Any:
    """The matrix that exchanges the rows of others, of the type of `like`, so."""
    shape = like.aval.shape
    columns = iota(size=shape[-1], dtype=INT)
    columns = broadcast(columns, shape=shape, axes=(len(shape) - 1,))
    rows = by_row(order_of(pivots), like)
    return cast(eq(rows, columns), dtype=like.aval.dtype)


def _lu_tangent(outputs: Any, inputs: Any, tangents: Any) -> Any:
    """With F = L⁻¹ P A' U⁻¹: L' = L tril(F, -1) and U' = triu(F) U."""
    (factors, pivots), (t,) = outputs, tangents
    moved = product(permutation(pivots, t), t)
    f = solve_triangular(factors, moved, lower=True, trans=False, unit=True)
    f = turned(
        solve_triangular(factors, turned(f), lower=False, trans=True, unit=False)
    )
    below, above = lower_part(f, strict=True), upper_part(f)
    # L has ones on its diagonal, which are not stored.
    left = product(lower_part(factors, strict=True), below) + below
    return left + product(above, upper_part(factors)), None


lu: Nonlinear = Nonlinear(
    "lu",
    _lu,
    _lu_shape,
    tangent=_lu_tangent,
    single=False,
    samples=lambda rng: [((a,), {}) for a in _square_samples(rng)],
    cost=COSTLY,
)

# lu_solve(a, *lu(a), b; trans): x with op(a) x = b. The factors are another form of
# `a`, by which the derivative is: theirs is not asked for.


def _lu_solve_shape(a: Aval, f: Aval, pivots: Aval, b: Aval, trans: bool) -> Aval:
    return _second(a, b)


@_failing(_lu_solve_shape)
def _lu_solve(a: Any, f: Any, pivots: Any, b: Any, trans: bool) -> Any:
    return np.linalg.solve(np.swapaxes(a, -1, -2) if trans else a, b)


def _lu_solve_tangent(x: Any, inputs: Any, tangents: Any, trans: bool) -> Any:
    """x' = A⁻¹ (b' - A' x)."""
    *factors, _ = inputs
    ta, *_, tb = tangents
    right = tb
    if ta is not None:
        moved = -product(turned(ta) if trans else ta, x)
        right = moved if tb is None else tb + moved
    return lu_solve(*factors, right, trans=trans)


def _lu_solve_transpose(
    ct: Any, a: Any, f: Any, pivots: Any, b: Any, trans: bool
) -> Any:
    return lu_solve(a, f, pivots, ct, trans=not trans)


def _lu_solve_samples(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for trans, a in zip((False, True, False), _square_samples(rng), strict=True):
        b = rng.normal(size=(*a.shape[:-1], 2))
        found.append(((a, *_lu(a), b), {"trans": trans}))
    return found


lu_solve: Nonlinear = Nonlinear(
    "lu_solve",
    _lu_solve,
    _lu_solve_shape,
    {3: _lu_solve_transpose},
    tangent=_lu_solve_tangent,
    active=(0, 3),
    samples=_lu_solve_samples,
    cost=COSTLY,
)

# log_abs_det(a, *lu(a)): log |det a|.


def diagonals(x: Any) -> Any:
    """The diagonals of square matrices."""
    ndim = x.aval.ndim
    places = iota(size=x.aval.shape[-1], dtype=INT)
    out = gather(x, places, places, axes=(ndim - 2, ndim - 1))
    return out if ndim == 2 else transpose(out, perm=(*range(1, ndim - 1), 0))


def _log_abs_det_program(a: Any, factors: Any, pivots: Any) -> Any:
    logs = log(abs_(diagonals(factors)))
    return sum_(logs, axes=(logs.aval.ndim - 1,))


def _log_abs_det_tangent(y: Any, inputs: Any, tangents: Any) -> Any:
    """y' = trace(A⁻¹ A')."""
    a, t = inputs[0], tangents[0]
    unit = identity(a.aval.shape, a.aval.dtype)
    inverse = lu_solve(*inputs, unit, trans=True)
    return sum_(mul(inverse, t), axes=(t.aval.ndim - 2, t.aval.ndim - 1))


log_abs_det: Nonlinear = Nonlinear(
    "log_abs_det",
    lambda a, factors, pivots: np.asarray(np.linalg.slogdet(a)[1])[()],
    lambda a, factors, pivots: a.update(shape=a.shape[:-2]),
    tangent=_log_abs_det_tangent,
    program=_log_abs_det_program,
    samples=lambda rng: [((a, *_lu(a)), {}) for a in _square_samples(rng)],
    cost=COSTLY,
)

# cholesky(a): the lower triangular L with L Lᵀ = a.


def _same(a: Aval) -> Aval:
    assert a.shape[-1] == a.shape[-2], a
    return a


def _cholesky_tangent(factor: Any, inputs: Any, tangents: Any) -> Any:
    """L' = L Φ(L⁻¹ A' L⁻ᵀ), where Φ is the lower triangle with half the diagonal."""
    (t,) = tangents

    def divided(x: Any) -> Any:
        return solve_triangular(factor, x, lower=True, trans=False, unit=False)

    middle = divided(turned(divided(mirrored(t))))
    half = 0.5 * (lower_part(middle) + lower_part(middle, strict=True))
    return product(factor, half)


def _positive(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for shape in ((3, 3), (2, 4, 4), (1, 1)):
        root = rng.normal(size=shape)
        found.append(root @ np.swapaxes(root, -1, -2) + shape[-1] * np.eye(shape[-1]))
    return found


cholesky: Nonlinear = Nonlinear(
    "cholesky",
    _failing(_same)(np.linalg.cholesky),
    _same,
    tangent=_cholesky_tangent,
    samples=lambda rng: [((a,), {}) for a in _positive(rng)],
    cost=COSTLY,
)

# qr(a) of matrices with at least as many rows as columns, Q having as many as `a`.


def _qr_shape(a: Aval) -> tuple[Aval, Aval]:
    *lead, m, n = a.shape
    assert m >= n, a
    return a, a.update(shape=(*lead, n, n))


def _qr_tangent(outputs: Any, inputs: Any, tangents: Any) -> Any:
    """With C = A' R⁻¹: Q' = Q (Ω - QᵀC) + C and R' = (QᵀC - Ω) R, Ω antisymmetric."""
    (q, r), (t,) = outputs, tangents
    c = solve_triangular(r, turned(t), lower=False, trans=True, unit=False)
    c = turned(c)
    inner = product(turned(q), c)
    below = lower_part(inner, strict=True)
    rest = inner - (below - turned(below))
    return c - product(q, rest), product(rest, r)


def _tall_samples(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for m, n, *lead in ((3, 3), (5, 3), (4, 2, 2), (2, 1)):
        mixed = np.eye(m, n) * (3 + np.arange(n)) + 0.5 * rng.normal(size=(*lead, m, n))
        found.append(((mixed,), {}))
    return found


qr: Nonlinear = Nonlinear(
    "qr",
    lambda a: tuple(np.linalg.qr(a)),
    _qr_shape,
    tangent=_qr_tangent,
    single=False,
    samples=_tall_samples,
    cost=COSTLY,
)

# eigh(a): the eigenvalues, ascending, and the eigenvectors as columns.


def _eigh_shape(a: Aval) -> tuple[Aval, Aval]:
    return a.update(shape=a.shape[:-1]), _same(a)


def _eigh_tangent(outputs: Any, inputs: Any, tangents: Any) -> Any:
    """w' = diag(Vᵀ A' V) and V' = V (F ∘ Vᵀ A' V), F_ij = 1 / (w_j - w_i) off the
    diagonal: infinite where eigenvalues coincide, as their vectors have no derivative.
    """
    (w, v), (t,) = outputs, tangents
    moved = product(mirrored(t), v)
    unit = identity(v.aval.shape, v.aval.dtype)
    gaps = by_column(w, v) - by_row(w, v) + unit
    within = product(turned(v), moved)
    return (
        column_sums(mul(v, moved)),
        product(v, mul(within, div(1, gaps) - unit)),
    )


def _spread_samples(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for shape in ((3, 3), (2, 4, 4), (1, 1)):
        mixed = rng.normal(size=shape)
        apart = np.eye(shape[-1]) * (1 + 4 * np.arange(shape[-1]))
        found.append(((apart + 0.5 * (mixed + np.swapaxes(mixed, -1, -2)),), {}))
    return found


eigh: Nonlinear = Nonlinear(
    "eigh",
    _failing(_eigh_shape)(lambda a: tuple(np.linalg.eigh(a))),
    _eigh_shape,
    tangent=_eigh_tangent,
    single=False,
    samples=_spread_samples,
    cost=COSTLY,
)

# svd(a): U, the singular values, descending, and Vᵀ, no larger than they must be.


def _svd_shape(a: Aval) -> tuple[Aval, Aval, Aval]:
    *lead, m, n = a.shape
    k = min(m, n)
    shapes = (*lead, m, k), (*lead, k), (*lead, k, n)
    return tuple(a.update(shape=s) for s in shapes)  # type: ignore[return-value]


def _svd_tangent(outputs: Any, inputs: Any, tangents: Any) -> Any:
    """With D = Uᵀ A' V and F_ij = 1 / (s_j² - s_i²) off the diagonal: s' = diag D,
    U' = U (F ∘ (D S + S Dᵀ)) + (1 - U Uᵀ) A' V S⁻¹, and V' alike."""
    (u, s, vt), (t,) = outputs, tangents
    right = product(t, turned(vt))
    left = product(turned(t), u)
    inner = product(turned(u), right)
    unit = identity(inner.aval.shape, s.aval.dtype)
    columns, rows = by_column(s, inner), by_row(s, inner)
    f = div(1, mul(columns - rows, columns + rows) + unit) - unit
    scaled, other = mul(inner, columns), mul(inner, rows)
    du = product(u, mul(f, scaled + turned(scaled)))
    dv = product(turned(vt), mul(f, other + turned(other)))
    *_, m, n = t.aval.shape
    if m > n:
        beyond = right - product(u, inner)
        du = du + div(beyond, by_column(s, beyond))
    if n > m:
        beyond = left - product(turned(vt), turned(inner))
        dv = dv + div(beyond, by_column(s, beyond))
    return du, column_sums(mul(u, right)), turned(dv)


def _rectangular_samples(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for m, n, *lead in ((3, 3), (5, 3), (2, 4), (3, 2, 2), (1, 1)):
        apart = np.eye(m, n) * (2 + 3 * np.arange(n))
        found.append(((apart + 0.3 * rng.normal(size=(*lead, m, n)),), {}))
    return found


svd: Nonlinear = Nonlinear(
    "svd",
    _failing(_svd_shape)(lambda a: tuple(np.linalg.svd(a, full_matrices=False))),
    _svd_shape,
    tangent=_svd_tangent,
    single=False,
    samples=_rectangular_samples,
    cost=COSTLY,
)

# pinv(a; rcond): the pseudo-inverse. Its derivative needs no singular vectors, so that
# singular values may coincide.


def _pinv_program(a: Any, rcond: float) -> Any:
    u, s, vt = svd(a)
    axis = s.aval.ndim - 1
    largest = max_(s, axes=(axis,))
    largest = broadcast(largest, shape=s.aval.shape, axes=tuple(range(axis)))
    kept = gt(s, mul(largest, rcond))
    inverse = select(kept, div(1, select(kept, s, 1)), 0)
    v = turned(vt)
    return product(mul(v, by_column(inverse, v)), turned(u))


def _pinv_tangent(p: Any, inputs: Any, tangents: Any, rcond: float) -> Any:
    """Golub and Pereyra (1973), for constant rank:
    P' = -P A' P + P Pᵀ A'ᵀ (1 - A P) + (1 - P A) A'ᵀ Pᵀ P."""
    (a,), (t,) = inputs, tangents
    before = product(product(p, turned(p)), turned(t))
    after = product(turned(t), product(turned(p), p))
    out = before - product(product(before, a), p)
    out = out + after - product(p, product(a, after))
    return out - product(product(p, t), p)


def _pinv_shape(a: Aval, rcond: float) -> Aval:
    *lead, m, n = a.shape
    return a.update(shape=(*lead, n, m))


pinv: Nonlinear = Nonlinear(
    "pinv",
    _failing(_pinv_shape)(lambda a, rcond: np.linalg.pinv(a, rcond)),
    _pinv_shape,
    tangent=_pinv_tangent,
    program=_pinv_program,
    samples=lambda rng: [
        (operands, {"rcond": 1e-15}) for operands, _ in _rectangular_samples(rng)
    ],
    cost=COSTLY,
)
