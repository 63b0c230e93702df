"""Eigenvalues and singular values, with their vectors; leading axes are batches.

The rules are those of `factor`, for complex matrices, too. Vectors are defined up to a
factor of modulus 1 (where values coincide, up to a rotation of those that belong to
one value). Real ones have the derivative of the sign that LAPACK happens to choose;
complex ones of `eigh` and `svd` turn no more than they must, as in JAX: what depends on
how they are turned is not a function of the matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import Nonlinear, cast_to, zeros
from tracejit.ops.complex_parts import complex_, imag, real
from tracejit.ops.elementwise import (
    abs_,
    div,
    eq,
    gt,
    mul,
    neg,
    real_dtype,
    select,
)
from tracejit.ops.factor import COSTLY, failing, lu, lu_solve, same_shape, turning
from tracejit.ops.index import getitem
from tracejit.ops.matrices import (
    adjoint,
    by_column,
    by_row,
    column_sums,
    conjugated,
    identity,
    mirrored,
    product,
    real_part,
    rows_of,
    scaled,
)
from tracejit.ops.reduce import argmax, max_
from tracejit.ops.shape import broadcast, concatenate


def _real(a: Aval) -> Any:
    return real_dtype(a.dtype)


# eigh(a): the eigenvalues, ascending, and the eigenvectors as columns.


def _eigh_shape(a: Aval) -> tuple[Aval, Aval]:
    return Aval(_real(a), a.shape[:-1]), same_shape(a)


def _eigh_tangent(outputs: Any, inputs: Any, tangents: Any) -> Any:
    """w' = diag(Vᴴ A' V) and V' = V (F ∘ Vᴴ A' V), F_ij = 1 / (w_j - w_i) off the
    diagonal: infinite where eigenvalues coincide, as their vectors have no derivative.
    """
    (w, v), (t,) = outputs, tangents
    moved = product(mirrored(t), v)
    unit = identity(v.aval.shape, w.aval.dtype)
    gaps = by_column(w, v) - by_row(w, v) + unit
    within = product(adjoint(v), moved)
    return (
        real_part(column_sums(mul(conjugated(v), moved))),
        product(v, scaled(within, div(1, gaps) - unit)),
    )


def _spread_samples(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for shape in ((3, 3), (2, 4, 4), (1, 1)):
        mixed = rng.normal(size=shape)
        apart = np.eye(shape[-1]) * (1 + 4 * np.arange(shape[-1]))
        found.append(((apart + 0.5 * (mixed + np.swapaxes(mixed, -1, -2)),), {}))
    return [*found, ((np.array([[1.5 + 0j]]),), {})]


eigh: Nonlinear = Nonlinear(
    "eigh",
    failing(_eigh_shape)(lambda a: tuple(np.linalg.eigh(a))),
    _eigh_shape,
    tangent=_eigh_tangent,
    single=False,
    samples=_spread_samples,
    cost=COSTLY,
    complex=True,
)

# eig(a): the eigenvalues of any matrix, and eigenvectors of norm 1 as columns. Both are
# complex, even where every eigenvalue turns out to be real.


def _eig_shape(a: Aval) -> tuple[Aval, Aval]:
    dtype = np.result_type(a.dtype, np.complex64)
    return Aval(dtype, a.shape[:-1]), Aval(dtype, same_shape(a).shape)


@failing(_eig_shape)
def _eig(a: Any) -> Any:
    dtype = np.result_type(a.dtype, np.complex64)
    w, v = np.linalg.eig(a)
    return w.astype(dtype), v.astype(dtype)


def _eig_tangent(outputs: Any, inputs: Any, tangents: Any) -> Any:
    """With X = V⁻¹ A' V: w' = diag X, and V' = V (F ∘ X) + V C, F as in `eigh`.

    The diagonal C keeps what LAPACK makes of vectors: of norm 1, with a largest
    component that is real.
    """
    (w, v), (t,) = outputs, tangents
    moved = product(cast_to(t, v.aval.dtype), v)
    inside = lu_solve(v, *lu(v), moved, trans=False)
    unit = identity(v.aval.shape, v.aval.dtype)
    gaps = by_column(w, v) - by_row(w, v) + unit
    dv = product(v, mul(inside, div(1, gaps) - unit))
    grows = real(column_sums(mul(conjugated(v), dv)))
    real_places = select(eq(imag(v), 0), abs_(real(v)), 0)
    largest = argmax(real_places, axis=v.aval.ndim - 2)
    here = eq(rows_of(v.aval.shape), by_column(largest, v))
    turns = div(
        column_sums(select(here, imag(dv), 0)), column_sums(select(here, real(v), 0))
    )
    change = complex_(neg(grows), neg(turns))
    return column_sums(mul(inside, unit)), dv + mul(v, by_column(change, v))


def _general_samples(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for shape in ((3, 3), (2, 4, 4), (1, 1)):
        apart = np.eye(shape[-1]) * (1 + 4 * np.arange(shape[-1]))
        found.append(((apart + 0.7 * rng.normal(size=shape),), {}))
    spiral = np.array([[1.0, -2, 0.3], [2, 1.5, 0.4], [0.1, -0.2, 3]])
    complex_one = found[0][0][0] * turning((3, 3))
    return [*found, ((spiral,), {}), ((complex_one,), {})]


eig: Nonlinear = Nonlinear(
    "eig",
    _eig,
    _eig_shape,
    tangent=_eig_tangent,
    single=False,
    samples=_general_samples,
    cost=COSTLY,
    complex=True,
)

# svd(a; full): U, the singular values, descending, and Vᴴ, no larger than they must be,
# or both square, if `full`.


def _svd_shape(a: Aval, full: bool) -> tuple[Aval, Aval, Aval]:
    *lead, m, n = a.shape
    k = min(m, n)
    rows, columns = (m, n) if full else (k, k)
    return (
        a.update(shape=(*lead, m, rows)),
        Aval(_real(a), (*lead, k)),
        a.update(shape=(*lead, columns, n)),
    )


def _svd_tangent(outputs: Any, inputs: Any, tangents: Any, full: bool) -> Any:
    """With D = Uᴴ A' V and F_ij = 1 / (s_j² - s_i²) off the diagonal: s' = Re diag D,
    U' = U (F ∘ (D S + S Dᴴ) + i Im(diag D) S⁻¹) + (1 - U Uᴴ) A' V S⁻¹, and V' alike,
    but without the term that is imaginary."""
    (u, s, vt), (t,) = outputs, tangents
    *_, m, n = t.aval.shape
    k = s.aval.shape[-1]
    if full:
        (u, more_u), (vt, more_vt) = _split(u, k, 1), _split(vt, k, 2)
    v = adjoint(vt)
    right, left = product(t, v), product(adjoint(t), u)
    inner = product(adjoint(u), right)
    unit = identity(inner.aval.shape, s.aval.dtype)
    columns, rows = by_column(s, inner), by_row(s, inner)
    f = div(1, mul(columns - rows, columns + rows) + unit) - unit
    one, other = scaled(inner, columns), scaled(inner, rows)
    turns = scaled(one + adjoint(one), f)
    if t.aval.dtype.kind == "c":
        skew = 0.5 * (inner - adjoint(inner))
        turns = turns + scaled(skew, div(unit, columns))
    du = product(u, turns)
    dv = product(v, scaled(other + adjoint(other), f))
    if m > n:
        du = du + _divided(right - product(u, inner), s)
    if n > m:
        dv = dv + _divided(left - product(v, adjoint(inner)), s)
    ds = real_part(column_sums(mul(conjugated(u), right)))
    dvt = adjoint(dv)
    if full:
        du = _joined(du, _beyond(u, du, more_u), 1)
        dvt = _joined(dvt, adjoint(_beyond(v, dv, adjoint(more_vt))), 2)
    return du, ds, dvt


def _divided(x: Any, s: Any) -> Any:
    return div(x, cast_to(by_column(s, x), x.aval.dtype))


def _split(x: Any, k: int, axis: int) -> tuple[Any, Any]:
    """The first k along an axis that is counted from the end, and the others."""
    axis = x.aval.ndim - axis
    shape = list(x.aval.shape)
    pieces = []
    for start, size in ((0, k), (k, shape[axis] - k)):
        starts = [np.int64(start if j == axis else 0) for j in range(len(shape))]
        sizes = tuple(size if j == axis else n for j, n in enumerate(shape))
        pieces.append(getitem(x, *starts, sizes=sizes, steps=(1,) * len(shape)))
    return pieces[0], pieces[1]


def _joined(x: Any, more: Any, axis: int) -> Any:
    return concatenate(x, more, axis=x.aval.ndim - axis)


def _beyond(q: Any, dq: Any, rest: Any) -> Any:
    """How columns orthogonal to those of q follow them: N' = -Q Q'ᴴ N.

    Of several they are a basis of a space, and it is the space that has a derivative.
    """
    return neg(product(q, product(adjoint(dq), rest)))


def _rectangular(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for m, n, *lead in ((3, 3), (5, 3), (2, 4), (3, 2, 2), (1, 1)):
        apart = np.eye(m, n) * (2 + 3 * np.arange(n))
        found.append(apart + 0.3 * rng.normal(size=(*lead, m, n)))
    return found


def _svd_samples(rng: np.random.Generator) -> list[Any]:
    matrices = _rectangular(rng)
    found: list[Any] = [((a,), {"full": False}) for a in matrices]
    # One vector that is orthogonal to the others is defined, up to its sign.
    found += [((a,), {"full": True}) for a in (matrices[0], matrices[1][:4])]
    found.append(((matrices[1][:2],), {"full": True}))
    return [*found, ((np.array([[2 - 1j]]),), {"full": False})]


svd: Nonlinear = Nonlinear(
    "svd",
    failing(_svd_shape)(lambda a, full: tuple(np.linalg.svd(a, full))),
    _svd_shape,
    tangent=_svd_tangent,
    single=False,
    samples=_svd_samples,
    cost=COSTLY,
    complex=True,
)

# pinv(a; rcond): the pseudo-inverse. Its derivative needs no singular vectors, so that
# singular values may coincide.


def _pinv_program(a: Any, rcond: float) -> Any:
    u, s, vt = svd(a, full=False)
    axis = s.aval.ndim - 1
    if not min(a.aval.shape):
        return zeros(_pinv_shape(a.aval, rcond))
    largest = max_(s, axes=(axis,))
    largest = broadcast(largest, shape=s.aval.shape, axes=tuple(range(axis)))
    kept = gt(s, mul(largest, rcond))
    inverse = select(kept, div(1, select(kept, s, 1)), 0)
    v = adjoint(vt)
    return product(scaled(v, by_column(inverse, v)), adjoint(u))


def _pinv_tangent(p: Any, inputs: Any, tangents: Any, rcond: float) -> Any:
    """Golub and Pereyra (1973), for constant rank:
    P' = -P A' P + P Pᴴ A'ᴴ (1 - A P) + (1 - P A) A'ᴴ Pᴴ P."""
    (a,), (t,) = inputs, tangents
    before = product(product(p, adjoint(p)), adjoint(t))
    after = product(adjoint(t), product(adjoint(p), p))
    out = before - product(product(before, a), p)
    out = out + after - product(p, product(a, after))
    return out - product(product(p, t), p)


def _pinv_shape(a: Aval, rcond: float) -> Aval:
    *lead, m, n = a.shape
    return a.update(shape=(*lead, n, m))


pinv: Nonlinear = Nonlinear(
    "pinv",
    failing(_pinv_shape)(lambda a, rcond: np.linalg.pinv(a, rcond)),
    _pinv_shape,
    tangent=_pinv_tangent,
    program=_pinv_program,
    samples=lambda rng: [((a,), {"rcond": 1e-15}) for a in _rectangular(rng)],
    cost=COSTLY,
    complex=True,
)
