"""Equations in matrices and functions of them, by eigenvalues.

    sylvester(a, b, q)        X with A X + X B = Q
    sqrtm(a)                  X with X X = A
    function_of(a; power)     A ** power, or, if that is None, log A

Of real matrices the results are real: whether they may be is checked by who asks. Where
a matrix cannot be diagonalised the results are wrong, which is checked, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.primitive import Nonlinear, cast_to
from tracejit.ops.elementwise import abs_, div, exp, log, lt, mul, select, sqrt
from tracejit.ops.factor import COSTLY, lu, lu_solve, same_shape, turning
from tracejit.ops.matrices import by_column, by_row, product, real_part, turned
from tracejit.ops.spectral import eig


def _as(x: Any, like: Any) -> Any:
    """A complex result in the dtype of an operand; of real ones, its real part."""
    return x if like.aval.dtype.kind == "c" else cast_to(real_part(x), like.aval.dtype)


def _left_divided(v: Any, x: Any) -> Any:
    return lu_solve(v, *lu(v), x, trans=False)


def _right_divided(x: Any, v: Any) -> Any:
    return turned(lu_solve(v, *lu(v), turned(x), trans=True))


# sylvester ----------------------------------------------------------------------------


def _sylvester(a: Any, b: Any, q: Any) -> Any:
    w, v = np.linalg.eig(a)
    u, z = np.linalg.eig(b)
    sums = w[..., :, None] + u[..., None, :]

    def solved(q: Any) -> Any:
        inner = np.linalg.solve(v, q @ z) / sums
        return v @ inner @ np.linalg.inv(z)

    with np.errstate(all="ignore"):
        x = solved(q)
        x = x + solved(q - a @ x - x @ b)
    return x.astype(q.dtype) if np.iscomplexobj(q) else x.real.astype(q.dtype)


def _sylvester_program(a: Any, b: Any, q: Any) -> Any:
    """With A = V W V⁻¹ and B = Z U Z⁻¹, X = V ((V⁻¹ Q Z)_ij / (w_i + u_j)) Z⁻¹; what
    is left of Q after that is solved for once more."""
    (w, v), (u, z) = eig(a), eig(b)

    def solved(q: Any) -> Any:
        inner = _left_divided(v, product(cast_to(q, v.aval.dtype), z))
        sums = by_row(w, inner) + by_column(u, inner)
        return _as(_right_divided(product(v, div(inner, sums)), z), q)

    x = solved(q)
    return x + solved(q - product(a, x) - product(x, b))


def _sylvester_tangent(x: Any, inputs: Any, tangents: Any) -> Any:
    """A X' + X' B = Q' - A' X - X B'."""
    (a, b, _), (ta, tb, right) = inputs, tangents
    for moved in (
        None if ta is None else -product(ta, x),
        None if tb is None else -product(x, tb),
    ):
        if moved is not None:
            right = moved if right is None else right + moved
    return sylvester(a, b, right)


def _pairs(rng: np.random.Generator) -> list[Any]:
    def well(*shape: int) -> Any:
        return rng.normal(size=shape) + np.eye(shape[-1]) * (4 + np.arange(shape[-1]))

    found = [(well(3, 3), well(2, 2), rng.normal(size=(3, 2)))]
    found.append((well(2, 3, 3), well(2, 3, 3), rng.normal(size=(2, 3, 3))))
    turned_one = tuple(x * turning(x.shape) for x in found[0][:1])
    return [*found, (*turned_one, *(x + 0j for x in found[0][1:]))]


sylvester: Nonlinear = Nonlinear(
    "sylvester",
    _sylvester,
    lambda a, b, q: q,
    {2: lambda ct, a, b, q: sylvester(turned(a), turned(b), ct)},
    tangent=_sylvester_tangent,
    program=_sylvester_program,
    active=(0, 1, 2),
    samples=lambda rng: [(operands, {}) for operands in _pairs(rng)],
    cost=COSTLY,
    complex=True,
)

# Functions of one matrix --------------------------------------------------------------


def _by_eigenvalues(f: Callable[..., Any]) -> Callable[..., Any]:
    def impl(a: Any, **params: Any) -> Any:
        w, v = np.linalg.eig(a)
        with np.errstate(all="ignore"):
            out = (v * f(w.astype(complex), **params)[..., None, :]) @ np.linalg.inv(v)
        return out.astype(a.dtype) if np.iscomplexobj(a) else out.real.astype(a.dtype)

    return impl


def _spelled(a: Any, f: Callable[[Any], Any]) -> Any:
    """V f(W) V⁻¹."""
    w, v = eig(a)
    return _as(_right_divided(mul(v, by_column(f(w), v)), v), a)


def _apart(rng: np.random.Generator) -> list[Any]:
    found: list[Any] = []
    for shape in ((3, 3), (2, 3, 3), (1, 1)):
        apart = np.eye(shape[-1]) * (2 + 2 * np.arange(shape[-1]))
        found.append(apart + 0.3 * rng.normal(size=shape))
    found.append(found[0] + 0.5j * rng.normal(size=(3, 3)))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    # Eigenvalues that are close to one another.
    return [*found, (turn * [2, 2.03, 4]) @ turn.T]


sqrtm: Nonlinear = Nonlinear(
    "sqrtm",
    _by_eigenvalues(np.sqrt),
    same_shape,
    tangent=lambda x, inputs, tangents: sylvester(x, x, tangents[0]),
    program=lambda a: _spelled(a, sqrt),
    samples=lambda rng: [((a,), {}) for a in _apart(rng)],
    cost=COSTLY,
    complex=True,
)


def _value(w: Any, power: float | None) -> Any:
    return np.log(w) if power is None else np.exp(power * np.log(w))


def _value_program(w: Any, power: float | None) -> Any:
    return log(w) if power is None else exp(mul(log(w), power))


def _series(power: float | None) -> list[float]:
    """The even Taylor coefficients of (f(1 + z) - f(1 - z)) / (2 z), f(1) apart."""
    if power is None:
        return [1 / (2 * k + 1) for k in range(5)]
    found, term = [], 1.0
    for k in range(1, 10):
        term *= (power - k + 1) / k
        found.append(term)
    return found[::2]


def _quotients(w: Any, like: Any, power: float | None) -> Any:
    """(f(w_i) - f(w_j)) / (w_i - w_j); where these are close, by its series."""
    wi, wj = by_row(w, like), by_column(w, like)
    gap, middle = wi - wj, mul(wi + wj, 0.5)
    z = div(gap, middle + middle)
    close = lt(abs_(z), 1e-2)
    square, total = mul(z, z), None
    for coefficient in reversed(_series(power)):
        total = coefficient if total is None else mul(square, total) + coefficient
    near = div(total, middle)
    if power is not None:
        near = mul(near, _value_program(middle, power))
    far = _value_program(wi, power) - _value_program(wj, power)
    return select(close, near, div(far, select(close, 1, gap)))


def _function_tangent(x: Any, inputs: Any, tangents: Any, power: float | None) -> Any:
    """V (F ∘ V⁻¹ A' V) V⁻¹, with F of divided differences (Daleckii and Krein)."""
    (a,), (t,) = inputs, tangents
    w, v = eig(a)
    inner = _left_divided(v, product(cast_to(t, v.aval.dtype), v))
    inner = mul(inner, _quotients(w, inner, power))
    return _as(_right_divided(product(v, inner), v), a)


function_of: Nonlinear = Nonlinear(
    "function_of",
    _by_eigenvalues(_value),
    lambda a, power: same_shape(a),
    tangent=_function_tangent,
    program=lambda a, power: _spelled(a, lambda w: _value_program(w, power)),
    samples=lambda rng: [
        ((a,), {"power": power}) for a in _apart(rng) for power in (None, 0.3, -1.7)
    ],
    cost=COSTLY,
    complex=True,
)
