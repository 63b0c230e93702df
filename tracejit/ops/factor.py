"""Factorisations of matrices, and solving with them; leading axes are batches.

Their tangents are those of M. Giles, "Collected matrix derivative results for forward
and reverse mode algorithmic differentiation" (2008), in the forms that JAX's
documentation gives. They are written in products and triangular solves, so that they
have derivatives themselves.

Of a symmetric (Hermitian) matrix the lower triangle is read and nothing else, as in
NumPy. So the derivative by what lies above the diagonal is zero, and that by what lies
below counts for both: along symmetric directions this is the derivative of symmetric
matrices.

Rules hold for complex matrices, too: ᴴ is the conjugate transpose. Systems are solved
with A or Aᵀ, never with Aᴴ, which would not be linear in A.

A factorisation that fails is NaN; `numpy_linalg` checks for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval, aval_of
from tracejit.ir.builder import current
from tracejit.ir.primitive import Constant, Nonlinear
from tracejit.ops.complex_parts import complex_, imag
from tracejit.ops.elementwise import abs_, cast, eq, log, mul
from tracejit.ops.index import gather
from tracejit.ops.matrices import (
    INT,
    adjoint,
    by_row,
    identity,
    lower_part,
    mirrored,
    product,
    turned,
    upper_part,
)
from tracejit.ops.reduce import sum_
from tracejit.ops.shape import broadcast, iota, transpose

#: Factorising again costs more than saving a factor, whatever its size.
COSTLY = 1000


def failing(shape: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
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


def turning(shape: tuple[int, ...]) -> Any:
    """Numbers of modulus 1 in different directions."""
    return np.exp(1j * np.arange(1, math.prod(shape) + 1).reshape(shape))


def _square_samples(rng: np.random.Generator) -> list[Any]:
    """Well-conditioned matrices, none of them near a change of pivots."""
    found: list[Any] = []
    for shape in ((3, 3), (2, 4, 4), (1, 1)):
        n = shape[-1]
        mixed = np.eye(n)[::-1] * (3 + np.arange(n)) + 0.3 * rng.normal(size=shape)
        found.append(mixed)
    return [*found, found[0] * turning((3, 3))]


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


@failing(_second)
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
    complex=True,
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


def _size(x: Any) -> Any:
    """The modulus as LAPACK measures it when it looks for a pivot."""
    return np.abs(x.real) + np.abs(x.imag)


def _eliminate(a: Any) -> Any:
    n = len(a)
    pivots = np.arange(n)
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        for j in range(start, stop):
            p = pivots[j] = j + np.argmax(_size(a[j:, j]))
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
    complex=True,
)

# lu_solve(a, *lu(a), b; trans): x with op(a) x = b. The factors are another form of
# `a`, by which the derivative is: theirs is not asked for.


def _lu_solve_shape(a: Aval, f: Aval, pivots: Aval, b: Aval, trans: bool) -> Aval:
    return _second(a, b)


@failing(_lu_solve_shape)
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
    cases = zip((False, True, False, True), _square_samples(rng), strict=True)
    for trans, a in cases:
        b = np.asarray(rng.normal(size=(*a.shape[:-1], 2)), a.dtype)
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
    complex=True,
)

# lu_inverse(a, *lu(a)): the inverse, which is a factor of its own derivative.


def _lu_inverse_tangent(x: Any, inputs: Any, tangents: Any) -> Any:
    """X' = -X A' X."""
    return -product(x, product(tangents[0], x))


lu_inverse: Nonlinear = Nonlinear(
    "lu_inverse",
    failing(lambda a, f, pivots: a)(lambda a, f, pivots: np.linalg.inv(a)),
    lambda a, f, pivots: a,
    tangent=_lu_inverse_tangent,
    samples=lambda rng: [((a, *_lu(a)), {}) for a in _square_samples(rng)],
    cost=COSTLY,
    complex=True,
)

# log_det(a, *lu(a)): log |det a| of real matrices; of complex ones a logarithm of the
# determinant, but for its sign, which depends on the pivots.


def diagonals(x: Any) -> Any:
    """The diagonals of square matrices."""
    ndim = x.aval.ndim
    places = iota(size=x.aval.shape[-1], dtype=INT)
    out = gather(x, places, places, axes=(ndim - 2, ndim - 1))
    return out if ndim == 2 else transpose(out, perm=(*range(1, ndim - 1), 0))


def _log_det(a: Any, factors: Any, pivots: Any) -> Any:
    if not np.iscomplexobj(a):
        return np.asarray(np.linalg.slogdet(a)[1])[()]
    return np.sum(np.log(np.diagonal(_lu(a)[0], axis1=-2, axis2=-1)), axis=-1)


def _log_det_program(a: Any, factors: Any, pivots: Any) -> Any:
    found = diagonals(factors)
    logs = log(found if found.aval.dtype.kind == "c" else abs_(found))
    return sum_(logs, axes=(logs.aval.ndim - 1,))


def _log_det_tangent(y: Any, inputs: Any, tangents: Any) -> Any:
    """y' = trace(A⁻¹ A')."""
    t = tangents[0]
    inverse = turned(lu_inverse(*inputs))
    return sum_(mul(inverse, t), axes=(t.aval.ndim - 2, t.aval.ndim - 1))


log_det: Nonlinear = Nonlinear(
    "log_det",
    _log_det,
    lambda a, factors, pivots: a.update(shape=a.shape[:-2]),
    tangent=_log_det_tangent,
    program=_log_det_program,
    samples=lambda rng: [((a, *_lu(a)), {}) for a in _square_samples(rng)],
    cost=COSTLY,
    complex=True,
)

# cholesky(a): the lower triangular L with L Lᴴ = a.
# cholesky_push(L, t): its tangent along t, of real matrices.
# cholesky_pull(L, ct): the transpose of that. Neither reads what is above a diagonal.


def same_shape(a: Aval, *rest: Aval) -> Aval:
    """The shape rule of what makes one square matrix of others."""
    assert a.shape[-1] == a.shape[-2], a
    return a


def linear_in_second(of: Callable[[], Nonlinear], program: Callable[..., Any]) -> Any:
    """The tangent of a primitive that is linear in its second operand.

    By the first one, it is the tangent of a program of other primitives.
    """

    def by_first(inputs: Any, change: Any) -> Any:
        with current().open() as eqns:
            out = program(*inputs)
        known = {inputs[0]: change}
        for eqn in eqns:
            current().append(eqn)
            given = [known.get(a) for a in eqn.inputs]
            found = eqn.prim.jvp(eqn.inputs, given, eqn.outputs, eqn.params)
            known.update(zip(eqn.outputs, found, strict=True))
        return known[out]

    def tangent(y: Any, inputs: Any, tangents: Any) -> Any:
        first, second = tangents
        if inputs[0] is inputs[1]:
            return by_first(inputs, first)  # goes through both
        if second is not None:
            second = of()(inputs[0], second)
        if first is None:
            return second
        first = by_first(inputs, first)
        return first if second is None else first + second

    return tangent


def _half(x: Any) -> Any:
    """Φ: the lower triangle with half the diagonal."""
    return 0.5 * (lower_part(x) + lower_part(x, strict=True))


def _pushed(factor: Any, t: Any) -> Any:
    """L' = L Φ(L⁻¹ A' L⁻ᴴ)."""

    def divided(x: Any) -> Any:
        return solve_triangular(factor, x, lower=True, trans=False, unit=False)

    half = _half(divided(adjoint(divided(mirrored(t)))))
    return product(lower_part(factor), half)


def _pulled(factor: Any, ct: Any) -> Any:
    """With S = L⁻ᵀ Φ(Lᵀ L̄) L⁻¹: the lower triangle of S, and of Sᵀ but its diagonal."""

    def divided(x: Any) -> Any:
        return solve_triangular(factor, x, lower=True, trans=True, unit=False)

    factor = lower_part(factor)
    half = _half(product(turned(factor), lower_part(ct)))
    found = turned(divided(turned(divided(half))))
    return lower_part(found) + lower_part(turned(found), strict=True)


def _cholesky_pull(factor: Any, ct: Any) -> Any:
    """The same of arrays."""
    t = np.swapaxes(np.tril(factor), -1, -2)
    inner = np.tril(t @ np.tril(ct))
    inner[..., range(t.shape[-1]), range(t.shape[-1])] /= 2
    half = np.linalg.solve(t, inner)
    found = np.linalg.solve(t, np.swapaxes(half, -1, -2))
    return np.tril(found) + np.tril(np.swapaxes(found, -1, -2), -1)


def _cholesky_push(factor: Any, t: Any) -> Any:
    left = np.tril(factor)
    whole = np.tril(t) + np.swapaxes(np.tril(t, -1), -1, -2)
    half = np.swapaxes(np.linalg.solve(left, whole), -1, -2)
    inner = np.tril(np.linalg.solve(left, half))
    inner[..., range(t.shape[-1]), range(t.shape[-1])] /= 2
    return left @ inner


def _factor_samples(rng: np.random.Generator) -> list[Any]:
    factors = [np.linalg.cholesky(a) for a in _positive(rng)[:-1]]
    return [((x, rng.normal(size=x.shape)), {}) for x in factors]


cholesky_push: Nonlinear = Nonlinear(
    "cholesky_push",
    _cholesky_push,
    same_shape,
    {1: lambda ct, factor, t: cholesky_pull(factor, ct)},
    tangent=linear_in_second(lambda: cholesky_push, _pushed),
    program=_pushed,
    active=(0, 1),
    samples=_factor_samples,
    cost=COSTLY,
)
cholesky_pull: Nonlinear = Nonlinear(
    "cholesky_pull",
    failing(same_shape)(_cholesky_pull),
    same_shape,
    {1: lambda ct, factor, bar: cholesky_push(factor, ct)},
    tangent=linear_in_second(lambda: cholesky_pull, _pulled),
    active=(0, 1),
    samples=_factor_samples,
    cost=COSTLY,
)


def _cholesky_tangent(factor: Any, inputs: Any, tangents: Any) -> Any:
    (t,) = tangents
    tangent = _pushed if t.aval.dtype.kind == "c" else cholesky_push
    return tangent(factor, t)


def _positive(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for shape in ((3, 3), (2, 4, 4), (1, 1)):
        root = rng.normal(size=shape)
        found.append(root @ np.swapaxes(root, -1, -2) + shape[-1] * np.eye(shape[-1]))
    root = rng.normal(size=(3, 3)) * turning((3, 3))
    return [*found, root @ root.conj().T + 3 * np.eye(3)]


cholesky: Nonlinear = Nonlinear(
    "cholesky",
    failing(same_shape)(np.linalg.cholesky),
    same_shape,
    tangent=_cholesky_tangent,
    samples=lambda rng: [((a,), {}) for a in _positive(rng)],
    cost=COSTLY,
    complex=True,
)

# qr(a) of matrices with at least as many rows as columns, Q having as many as `a`.


def _qr_shape(a: Aval) -> tuple[Aval, Aval]:
    *lead, m, n = a.shape
    assert m >= n, a
    return a, a.update(shape=(*lead, n, n))


def _qr_tangent(outputs: Any, inputs: Any, tangents: Any) -> Any:
    """With C = A' R⁻¹: Q' = Q (Ω - QᴴC) + C and R' = (QᴴC - Ω) R, where Ω is the
    antihermitian matrix that leaves R' triangular and its diagonal real."""
    (q, r), (t,) = outputs, tangents
    c = solve_triangular(r, turned(t), lower=False, trans=True, unit=False)
    c = turned(c)
    inner = product(adjoint(q), c)
    below = lower_part(inner, strict=True)
    rest = inner - (below - adjoint(below))
    if q.aval.dtype.kind == "c":
        unit = identity(rest.aval.shape, rest.aval.dtype)
        rest = rest - mul(unit, complex_(0, imag(inner)))
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
    complex=True,
)
