"""`scipy.linalg`: functions of matrices, and equations whose unknown is a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.builder import current, fresh, new_region
from tracejit.ir.program import Atom
from tracejit.ops import control, factor, matrix_functions, numpy_linalg
from tracejit.ops.matrices import adjoint, identity, mirrored, product
from tracejit.ops.numpy_linalg import matrix, number, require, square, svdvals, together
from tracejit.ops.numpy_names import apply, imag, real, unsupported
from tracejit.ops.numpy_norms import norm
from tracejit.ops.numpy_products import kron, matmul
from tracejit.ops.numpy_reduce import max_, sum_
from tracejit.ops.numpy_shape import concatenate, part, reshape
from tracejit.ops.promote import INT, convert, full, result_type
from tracejit.ops.scipy_linalg import doubled, scipy

# Functions of matrices ----------------------------------------------------------------

#: The coefficients of the [13/13] Padé approximant of exp, and the norm up to which it
#: is exact in double precision (Higham, 2005).
_PADE = (
    *(64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800),
    *(129060195264000, 10559470521600, 670442572800, 33522128640, 1323241920),
    *(40840800, 960960, 16380, 182, 1),
)
_THETA = 5.371920351148152


@scipy("scipy.linalg.expm")
def expm(a: Any) -> Atom:
    """`scipy.linalg.expm`: scaled by a power of 2, approximated, squared as often."""
    a = square(a)
    if not a.aval.size:
        return a
    dtype = a.aval.dtype
    size = max_(sum_(apply(np.absolute, a), -2))
    halvings = apply(np.ceil, apply(np.log2, apply(np.divide, size, _THETA)))
    # log2(0) is an infinity, which is no integer.
    halvings = apply(np.maximum, halvings, 0.0)
    x = apply(np.multiply, a, apply(np.exp2, apply(np.negative, halvings)))
    unit = identity(a.aval.shape, dtype)
    powers = [unit, product(x, x)]
    powers.append(product(powers[1], powers[1]))
    powers.append(product(powers[1], powers[2]))

    def series(first: int) -> Atom:
        """Every other term from `first` on, but for the factor x of the odd ones."""
        terms = _PADE[first::2]
        high = _combined(powers[1:], terms[4:])
        return _combined(powers, terms[:4]) + product(powers[3], high)

    odd, even = product(x, series(1)), series(0)
    factors = factor.lu(even - odd)
    out = factor.lu_solve(even - odd, *factors, even + odd, trans=False)
    return _squared(out, convert(halvings, INT))


def _combined(matrices: Any, coefficients: Any) -> Atom:
    total: Any = None
    for x, c in zip(matrices, coefficients, strict=True):
        term = x * float(c)
        total = term if total is None else total + term
    return total


def _squared(x: Atom, times: Atom) -> Atom:
    """`x` squared so many times, in a loop."""
    index = fresh(Aval(INT))
    carried = fresh(x.aval)
    with current().open() as eqns:
        out = product(carried, carried)
    body = new_region([index, carried], eqns, [out])
    return control.emit_for(0, times, 1, [x], body, False)[0]


def _complex(a: Atom) -> Atom:
    return convert(a, np.result_type(a.aval.dtype, np.complex64))


def _turned_by(a: Atom, factor: complex) -> Atom:
    """exp(factor A)."""
    return expm(apply(np.multiply, _complex(a), factor))


def _half(a: Atom, b: Atom, combine: np.ufunc, unit: complex = 1) -> Atom:
    return apply(np.divide, apply(combine, a, b), 2 * unit)


@scipy("scipy.linalg.cosm")
def cosm(A: Any) -> Atom:
    """`scipy.linalg.cosm`."""
    a = square(A)
    if a.aval.dtype.kind != "c":
        return real(_turned_by(a, 1j))
    return _half(_turned_by(a, 1j), _turned_by(a, -1j), np.add)


@scipy("scipy.linalg.sinm")
def sinm(A: Any) -> Atom:
    """`scipy.linalg.sinm`."""
    a = square(A)
    if a.aval.dtype.kind != "c":
        return imag(_turned_by(a, 1j))
    return _half(_turned_by(a, 1j), _turned_by(a, -1j), np.subtract, 1j)


@scipy("scipy.linalg.tanm")
def tanm(A: Any) -> Atom:
    """`scipy.linalg.tanm`."""
    return numpy_linalg.solve(cosm(A), sinm(A))


def _both(a: Atom) -> tuple[Atom, Atom]:
    return expm(a), expm(apply(np.negative, a))


@scipy("scipy.linalg.coshm")
def coshm(A: Any) -> Atom:
    """`scipy.linalg.coshm`."""
    return _half(*_both(square(A)), np.add)


@scipy("scipy.linalg.sinhm")
def sinhm(A: Any) -> Atom:
    """`scipy.linalg.sinhm`."""
    return _half(*_both(square(A)), np.subtract)


@scipy("scipy.linalg.tanhm")
def tanhm(A: Any) -> Atom:
    """`scipy.linalg.tanhm`."""
    return numpy_linalg.solve(coshm(A), sinhm(A))


@scipy("scipy.linalg.expm_frechet")
def expm_frechet(A: Any, E: Any, method: Any = None, compute_expm: bool = True) -> Any:
    """`scipy.linalg.expm_frechet`: a block of the exponential of [[A, E], [0, A]]."""
    a, e = together(doubled(square(A)), doubled(square(E)))
    n = a.aval.shape[-1]
    below = concatenate([full(0, a.aval.shape, a.aval.dtype), a], 1)
    whole = expm(concatenate([concatenate([a, e], 1), below], 0))
    top = part(whole, 0, 0, n)
    change = part(top, 1, n, n)
    return (part(top, 1, 0, n), change) if compute_expm else change


# By eigenvalues -----------------------------------------------------------------------

_NOT_APART = (
    "the eigenvectors of this matrix are too close to one another, or there is no "
    "solution"
)


def _require_small(gap: Atom, *sizes: Atom) -> None:
    """LinAlgError where an equation does not hold."""
    scale: Any = 0
    for size in sizes:
        scale = apply(np.add, scale, norm(size, axis=(-2, -1)))
    eps = float(np.finfo(gap.aval.dtype).eps) ** 0.5
    ok = apply(np.less_equal, norm(gap, axis=(-2, -1)), apply(np.multiply, scale, eps))
    require(ok, _NOT_APART)


def _require_real(a: Atom, what: str) -> None:
    """A real matrix with a negative eigenvalue has no real root or logarithm."""
    if a.aval.dtype.kind == "c" or not a.aval.size:
        return
    w = numpy_linalg.eigvals(a)
    edge = apply(np.multiply, max_(apply(np.absolute, w)), -1e-12)
    negative = apply(
        np.logical_and, apply(np.equal, imag(w), 0), apply(np.less, real(w), edge)
    )
    text = f"{what} of this real matrix is complex: convert it, as by a.astype(complex)"
    require(apply(np.logical_not, negative), text)


@scipy("scipy.linalg.sqrtm")
def sqrtm(A: Any) -> Atom:
    """`scipy.linalg.sqrtm`: of a real matrix real, or LinAlgError."""
    a = square(A)
    _require_real(a, "the square root")
    x = matrix_functions.sqrtm(a)
    _require_small(apply(np.subtract, product(x, x), a), a)
    return x


def _function(a: Atom, power: float | None, what: str) -> Atom:
    _require_real(a, what)
    return matrix_functions.function_of(a, power=power)


@scipy("scipy.linalg.logm")
def logm(A: Any) -> Atom:
    """`scipy.linalg.logm`: of a real matrix real, or LinAlgError."""
    a = square(A)
    x = _function(a, None, "the logarithm")
    _require_small(apply(np.subtract, expm(x), a), a)
    return x


@scipy("scipy.linalg.fractional_matrix_power")
def fractional_matrix_power(A: Any, t: Any) -> Atom:
    """`scipy.linalg.fractional_matrix_power`: of a real matrix real, or LinAlgError."""
    a, power = square(A), number(t, "the power")
    if float(power).is_integer():
        return numpy_linalg.matrix_power(a, int(power))
    x = _function(a, float(power), "the power")
    root = matrix_functions.function_of(x, power=1 / float(power))
    if abs(power) <= 1:  # of others, another branch may come back
        _require_small(apply(np.subtract, root, a), a)
    return x


@scipy("scipy.linalg.signm")
def signm(A: Any) -> Atom:
    """`scipy.linalg.signm`: A (A²)^(-1/2)."""
    a = square(A)
    return numpy_linalg.solve(sqrtm(product(a, a)), a)


# Equations ----------------------------------------------------------------------------


@scipy("scipy.linalg.solve_sylvester")
def solve_sylvester(a: Any, b: Any, q: Any) -> Atom:
    """`scipy.linalg.solve_sylvester`: A X + X B = Q."""
    a, b, q = square(a), square(b), matrix(q)
    dtype = result_type(a, b, q)
    a, b, q = (convert(x, dtype) for x in (a, b, q))
    x = matrix_functions.sylvester(a, b, q)
    left, right = product(a, x), product(x, b)
    gap = apply(np.subtract, apply(np.add, left, right), q)
    _require_small(gap, left, right, q)
    return x


@scipy("scipy.linalg.solve_continuous_lyapunov")
def solve_continuous_lyapunov(a: Any, q: Any) -> Atom:
    """`scipy.linalg.solve_continuous_lyapunov`: A X + X Aᴴ = Q."""
    a = square(a)
    return solve_sylvester(a, adjoint(a), q)


#: The extent from which on SciPy takes the bilinear form.
_DIRECT = 10


@scipy("scipy.linalg.solve_discrete_lyapunov")
def solve_discrete_lyapunov(a: Any, q: Any, method: Any = None) -> Atom:
    """`scipy.linalg.solve_discrete_lyapunov`: A X Aᴴ - X + Q = 0."""
    a, q = together(doubled(square(a)), doubled(square(q)))
    n = a.aval.shape[-1]
    unit = identity(a.aval.shape, a.aval.dtype)
    if method == "direct" or (method is None and n < _DIRECT):
        conjugate = apply(np.conjugate, a)
        big = identity((n * n, n * n), a.aval.dtype)
        system = apply(np.subtract, big, kron(a, conjugate))
        return reshape(numpy_linalg.solve(system, reshape(q, (n * n,))), (n, n))
    if method not in (None, "bilinear"):
        raise ValueError(f"Unknown solver {method}")
    star = adjoint(a)
    inverse = numpy_linalg.inv(apply(np.add, star, unit))
    b = matmul(apply(np.subtract, star, unit), inverse)
    left = numpy_linalg.solve(apply(np.add, a, unit), q)
    c = apply(np.multiply, matmul(left, inverse), -2)
    return solve_continuous_lyapunov(adjoint(b), c)


# Spaces -------------------------------------------------------------------------------


def _full_rank(a: Atom, relative: Any) -> int:
    """The lesser extent, or LinAlgError where the rank is less."""
    eps = float(np.finfo(a.aval.dtype).eps) * max(a.aval.shape)
    cut = number(relative, "rcond")
    s = svdvals(a)
    k = s.aval.shape[0]
    edge = apply(np.multiply, part(s, 0, 0, 1), eps if cut is None else float(cut))
    text = "the rank is not full, on which the shape of the result depends"
    require(apply(np.greater, part(s, 0, k - 1, 1), edge), text)
    return k


@scipy("scipy.linalg.null_space")
def null_space(A: Any, rcond: Any = None) -> Atom:
    """`scipy.linalg.null_space` of a matrix of full rank."""
    a = matrix(A)
    k = _full_rank(a, rcond)
    vt = numpy_linalg.svd(a)[2]
    return adjoint(part(vt, 0, k, a.aval.shape[1] - k))


@scipy("scipy.linalg.orth")
def orth(A: Any, rcond: Any = None) -> Atom:
    """`scipy.linalg.orth` of a matrix of full rank."""
    a = matrix(A)
    _full_rank(a, rcond)
    return numpy_linalg.svd(a, False)[0]


@scipy("scipy.linalg.polar")
def polar(a: Any, side: str = "right") -> tuple[Atom, Atom]:
    """`scipy.linalg.polar`."""
    if side not in ("left", "right"):
        raise ValueError("`side` must be either 'right' or 'left'")
    w, s, vt = numpy_linalg.svd(matrix(a), False)
    s = convert(s, w.aval.dtype)
    if side == "left":
        return matmul(w, vt), matmul(apply(np.multiply, w, s), adjoint(w))
    v = adjoint(vt)
    return matmul(w, vt), matmul(apply(np.multiply, v, s), vt)


@scipy("scipy.linalg.orthogonal_procrustes")
def orthogonal_procrustes(A: Any, B: Any) -> tuple[Atom, Atom]:
    """`scipy.linalg.orthogonal_procrustes`."""
    a, b = together(matrix(A), matrix(B))
    u, s, vt = numpy_linalg.svd(matmul(adjoint(a), b))
    return matmul(u, vt), sum_(s)


@scipy("scipy.linalg.pinvh")
def pinvh(a: Any, lower: bool = True, return_rank: bool = False) -> Atom:
    """`scipy.linalg.pinvh`: one triangle is read."""
    if return_rank:
        raise unsupported("scipy.linalg.pinvh(return_rank=True)", "matrix_rank")
    a = square(a)
    return numpy_linalg.pinv(mirrored(a if lower else adjoint(a)), rtol=None)
