"""`np.linalg` as programs: composed of factorisations, solves and products.

What NumPy finds out while it runs (a singular matrix, one that is not positive
definite) the program checks, and raises NumPy's LinAlgError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.base.errors import MatrixShapeError
from tracejit.ir.builder import current
from tracejit.ir.program import Atom, Literal
from tracejit.ops import control, factor, matrices, spectral
from tracejit.ops.matrices import adjoint
from tracejit.ops.numpy_names import (
    apply,
    emit,
    imag,
    implements,
    real,
    unsupported,
    where,
)
from tracejit.ops.numpy_products import dot, matmul
from tracejit.ops.numpy_reduce import (
    any_,
    normal_axis,
    prod,
    sum_,
)
from tracejit.ops.numpy_shape import (
    concatenate,
    expand_dims,
    known_int,
    part,
    permuted,
    reshape,
)
from tracejit.ops.promote import (
    INT,
    Weak,
    broadcast_shapes,
    broadcast_to,
    convert,
    full,
    result_type,
    shape_text,
    strong,
)

# Operands and checks ------------------------------------------------------------------


def floats(x: Any) -> Atom:
    """An array as `np.linalg` computes with it."""
    x = strong(x)
    return x if x.aval.inexact else convert(x, np.float64)


def matrix(x: Any) -> Atom:
    """Matrices of floats in the last two axes, or an error."""
    x = floats(x)
    if x.aval.ndim < 2:
        raise MatrixShapeError(
            f"{x.aval.ndim}-dimensional array given. "
            "Array must be at least two-dimensional",
            current().loc,
            "a matrix: np.atleast_2d(x)",
        )
    return x


def square(x: Any) -> Atom:
    """Square matrices, or an error."""
    x = matrix(x)
    n, m = x.aval.shape[-2:]
    if n != m:
        raise MatrixShapeError(
            f"Last 2 dimensions of the array must be square, not {int(n)} by {int(m)}",
            current().loc,
            "np.linalg.lstsq or np.linalg.pinv",
        )
    return x


def number(x: Any, what: str) -> Any:
    """An option that must be known while staging."""
    x = x.atom if isinstance(x, Weak) else x
    if isinstance(x, Atom) and not isinstance(x, Literal):
        raise unsupported(f"{what} that is traced", "a Python number")
    return x.value if isinstance(x, Literal) else x


def require(ok: Atom, message: str) -> None:
    """Raise LinAlgError where this is not so everywhere."""
    if ok.aval.shape:
        ok = emit("all", ok, axes=tuple(range(ok.aval.ndim)))
    error = control.Failure(np.linalg.LinAlgError, (message,), current().loc)
    control.check(ok, error=error)


def square_of(x: Atom) -> Atom:
    """The square of the modulus: a real number."""
    if x.aval.dtype.kind != "c":
        return apply(np.square, x)
    return apply(np.add, apply(np.square, real(x)), apply(np.square, imag(x)))


def _first(x: Atom, ndim: int) -> Atom:
    """The elements at the start of the last so many axes."""
    for axis in range(x.aval.ndim - ndim, x.aval.ndim):
        x = part(x, axis, 0, 1)
    return x


def result(call: Any, *parts: Any) -> Any:
    """The parts in the kind of tuple that NumPy returns."""
    kind = type(call)
    return kind(*parts) if hasattr(kind, "_fields") else parts


_UNIT = np.eye(1)
_SLOGDET, _QR = np.linalg.slogdet(_UNIT), np.linalg.qr(_UNIT)
_EIGH, _SVD = np.linalg.eigh(_UNIT), np.linalg.svd(_UNIT)
_EIG = np.linalg.eig(_UNIT)


# Systems of equations -----------------------------------------------------------------


def factors_of(a: Atom, singular: str = "Singular matrix") -> tuple[Atom, ...]:
    """The matrices and their factors, none of them singular."""
    found = factor.lu(a)
    pivots = factor.diagonals(found[0])
    require(emit("ne", pivots, Literal(0, pivots.aval.dtype)), singular)
    return (a, *found)


def together(a: Atom, b: Atom) -> tuple[Atom, Atom]:
    """Both of one dtype, with the same leading axes."""
    dtype = result_type(a, b)
    lead = broadcast_shapes(a.aval.shape[:-2], b.aval.shape[:-2])
    a, b = convert(a, dtype), convert(b, dtype)
    return (
        broadcast_to(a, (*lead, *a.aval.shape[-2:])),
        broadcast_to(b, (*lead, *b.aval.shape[-2:])),
    )


def with_columns(
    a: Atom, b: Any, vector: bool, run: Callable[[Atom, Atom], Atom]
) -> Atom:
    """`run(a, b)` on matrices of equal leading axes; b may be a vector."""
    b = floats(b)
    b = expand_dims(b, 1) if vector else matrix(b)
    if a.aval.shape[-2] != b.aval.shape[-2]:
        raise MatrixShapeError(
            f"matrices of shapes {shape_text(a.aval.shape)} and "
            f"{shape_text(b.aval.shape)} have different numbers of rows",
            current().loc,
        )
    out = run(*together(a, b))
    return reshape(out, out.aval.shape[:-1]) if vector else out


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Atom:
    """`np.linalg.solve`."""
    a = square(a)

    def run(a: Atom, b: Atom) -> Atom:
        return factor.lu_solve(*factors_of(a), b, trans=False)

    return with_columns(a, b, strong(b).aval.ndim == 1, run)


@implements(np.linalg.inv)
def inv(a: Any) -> Atom:
    """`np.linalg.inv`."""
    a = square(a)
    return factor.lu_inverse(*factors_of(a))


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Atom:
    """`np.linalg.tensorsolve`."""
    a, b = floats(a), floats(b)
    if axes is not None:
        moved = [normal_axis(k, a.aval.ndim) for k in axes]
        rest = [k for k in range(a.aval.ndim) if k not in moved]
        a = permuted(a, (*rest, *moved))
    shape = a.aval.shape[b.aval.ndim :]
    flat = reshape(a, (b.aval.size, math.prod(shape)))
    return reshape(solve(flat, reshape(b, (b.aval.size,))), shape)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Atom:
    """`np.linalg.tensorinv`."""
    a, ind = floats(a), known_int(ind, "np.linalg.tensorinv")
    first, last = a.aval.shape[:ind], a.aval.shape[ind:]
    flat = reshape(a, (math.prod(first), math.prod(last)))
    return reshape(inv(flat), (*last, *first))


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Atom, ...]:
    """`np.linalg.lstsq`: of least norm; residuals as if of full rank.

    NumPy returns no residuals where the rank is not full, which depends on the data.
    """
    a = matrix(a)
    m, n = a.aval.shape
    eps = float(np.finfo(a.aval.dtype).eps)
    cut = number(rcond, "rcond")
    cut = eps * max(m, n) if cut is None else eps if cut == -1 else cut
    vector = strong(b).aval.ndim == 1

    def run(a: Atom, b: Atom) -> Atom:
        return matmul(spectral.pinv(a, rcond=float(cut)), b)

    x = with_columns(a, b, vector, run)
    gap = apply(np.subtract, b, dot(a, x))
    shape = (1,) if vector else gap.aval.shape[1:]
    residuals = full(0, (0,), real(gap).aval.dtype)
    if m > n:
        residuals = reshape(sum_(square_of(gap), 0), shape)
    s = svdvals(a)
    return x, residuals, convert(rank_of(s, float(cut)), np.int32), s


# Determinants -------------------------------------------------------------------------


def _turns(factors: Atom, pivots: Atom) -> Atom:
    """1 or -1: each exchange of rows turns the sign of the determinant."""
    rows = emit("iota", size=pivots.aval.shape[-1], dtype=INT)
    stays = apply(np.equal, pivots, broadcast_to(rows, pivots.aval.shape))
    dtype = factors.aval.dtype
    return prod(where(stays, convert(1, dtype), convert(-1, dtype)), -1)


def _parts(a: Atom) -> tuple[Atom, Atom]:
    """The sign of the determinant, or its phase, and the logarithm of its modulus."""
    factors, pivots = factor.lu(a)
    pivot, size = factor.diagonals(factors), factor.log_det(a, factors, pivots)
    turns = _turns(factors, pivots)
    if a.aval.dtype.kind != "c":
        return apply(np.multiply, turns, prod(apply(np.sign, pivot), -1)), size
    angle = imag(size)
    phase = apply(np.exp, emit("complex", convert(0, angle.aval.dtype), angle))
    singular = any_(apply(np.equal, pivot, 0), -1)
    return where(singular, 0, apply(np.multiply, turns, phase)), real(size)


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """`np.linalg.slogdet`."""
    return result(_SLOGDET, *_parts(square(a)))


@implements(np.linalg.det)
def det(a: Any) -> Atom:
    """`np.linalg.det`; up to 3 by 3 written out, which has a derivative throughout."""
    a = square(a)
    n = a.aval.shape[-1]
    if n in (1, 2, 3):
        rows = [[_element(a, i, j) for j in range(n)] for i in range(n)]
        return _expanded(rows)
    sign, size = _parts(a)
    return apply(np.multiply, sign, apply(np.exp, size))


def _element(a: Atom, i: int, j: int) -> Atom:
    ndim = a.aval.ndim
    one = part(part(a, ndim - 2, i, 1), ndim - 1, j, 1)
    return reshape(one, a.aval.shape[:-2])


def _expanded(rows: Sequence[Sequence[Atom]]) -> Atom:
    """A determinant by its first row."""
    if len(rows) == 1:
        return rows[0][0]
    total: Any = None
    for j, first in enumerate(rows[0]):
        minor = [[*row[:j], *row[j + 1 :]] for row in rows[1:]]
        term = apply(np.multiply, first, _expanded(minor))
        combine = np.add if j % 2 == 0 else np.subtract
        total = term if total is None else apply(combine, total, term)
    return total


# Factorisations -----------------------------------------------------------------------


def cholesky_factor(a: Atom) -> Atom:
    """The lower factor, or LinAlgError; NaN in, NaN out."""
    if not a.aval.size:
        return factor.cholesky(a)
    given = apply(np.isnan, _first(a, 2))  # before: the factor may lie where `a` was
    out = factor.cholesky(a)
    found = apply(np.isnan, _first(out, 2))
    ok = apply(np.logical_or, apply(np.logical_not, found), given)
    require(ok, "Matrix is not positive definite")
    return out


@implements(np.linalg.cholesky)
def cholesky(a: Any, *, upper: bool = False) -> Atom:
    """`np.linalg.cholesky`."""
    a = square(a)
    return adjoint(cholesky_factor(adjoint(a))) if upper else cholesky_factor(a)


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """`np.linalg.qr`; of wide matrices, the first columns give Q."""
    a = matrix(a)
    m, n = a.aval.shape[-2:]
    if mode not in ("reduced", "r", "complete"):
        raise unsupported(f"np.linalg.qr(mode={mode!r})", "mode='reduced'")
    axis = a.aval.ndim - 1
    if m >= n:
        q, r = factor.qr(a)
    else:
        q, r = factor.qr(part(a, axis, 0, m))
        rest = matmul(adjoint(q), part(a, axis, m, n - m))
        r = concatenate([r, rest], axis)
    if mode == "complete" and m > n:
        below = full(0, (*r.aval.shape[:-2], m - n, n), r.aval.dtype)
        q = concatenate([q, _completing(q)], axis)
        r = concatenate([r, below], axis - 1)
    return r if mode == "r" else result(_QR, q, r)


def _completing(q: Atom) -> Atom:
    """The other columns of the product of Householder reflections that begins with q.

    Such a product is 1 - Y T Yᴴ. With W = Q - 1 = -Y T Y₁ᴴ, where W₁, Y₁ are the first
    rows and W₂ the others, its last columns are those of 1 + W W₁⁻ᴴ W₂ᴴ. (Where no
    reflection was needed, W₁ is singular, and its pseudo-inverse serves.)
    """
    axis = q.aval.ndim - 2
    *_, m, n = q.aval.shape
    lead = q.aval.shape[:-2]
    top = part(q, axis, 0, n)
    top = apply(np.subtract, top, matrices.identity(top.aval.shape, q.aval.dtype))
    low = part(q, axis, n, m - n)
    inverse = spectral.pinv(top, rcond=1e-6)
    right = matmul(adjoint(inverse), adjoint(low))
    corner = matrices.identity((*lead, m - n, m - n), q.aval.dtype)
    last = apply(np.add, corner, matmul(low, right))
    return concatenate([matmul(top, right), last], axis)


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """`np.linalg.eigh`."""
    a = square(a)
    if UPLO.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    w, v = spectral.eigh(a if UPLO.upper() == "L" else adjoint(a))
    return result(_EIGH, _converged(w, "Eigenvalues did not converge"), v)


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Atom:
    """`np.linalg.eigvalsh`."""
    return eigh(a, UPLO)[0]


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    """`np.linalg.eig`: always complex, where NumPy's type depends on the values."""
    w, v = spectral.eig(square(a))
    return result(_EIG, _converged(w, "Array must not contain infs or NaNs"), v)


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Atom:
    """`np.linalg.eigvals`: always complex, as `eig`."""
    return eig(a)[0]


def _converged(values: Atom, message: str) -> Atom:
    """The values themselves, or LinAlgError where they are NaN."""
    if values.aval.size:
        require(apply(np.logical_not, apply(np.isnan, _first(values, 1))), message)
    return values


def _svd(a: Atom, full: bool = False) -> tuple[Atom, Atom, Atom]:
    u, s, vt = spectral.svd(a, full=full)
    return u, _converged(s, "SVD did not converge"), vt


def _hermitian_svd(a: Atom) -> tuple[Atom, Atom, Atom]:
    """By eigenvalues: their signs go into the vectors on the right."""
    w, u = eigh(a)
    s, axis, shape = apply(np.absolute, w), w.aval.ndim - 1, u.aval.shape
    places = emit("flip", emit("argsort", s, axis=axis), axes=(axis,))
    swap = apply(np.equal, matrices.rows_of(shape), matrices.by_column(places, u))
    sign, wide = apply(np.sign, w), convert(swap, u.aval.dtype)
    vt = adjoint(matmul(matrices.scaled(u, matrices.by_column(sign, u)), wide))
    ordered = matmul(expand_dims(s, axis), convert(swap, s.aval.dtype))
    return matmul(u, wide), reshape(ordered, s.aval.shape), vt


@implements(np.linalg.svd)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """`np.linalg.svd`."""
    a = matrix(a)
    parts = _hermitian_svd(square(a)) if hermitian else None
    if parts is None:
        square_one = a.aval.shape[-1] == a.aval.shape[-2]
        full_ones = full_matrices and compute_uv and not square_one
        parts = _svd(a, full_ones)
    return result(_SVD, *parts) if compute_uv else parts[1]


@implements(np.linalg.svdvals)
def svdvals(a: Any) -> Atom:
    """`np.linalg.svdvals`."""
    return _svd(matrix(a))[1]


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = ...) -> Any:
    """`np.linalg.pinv`."""
    a = matrix(a)
    cut = number(rcond, "rcond")
    if cut is None:
        cut = 1e-15 if rtol is ... else number(rtol, "rtol")
    if cut is None:
        cut = max(a.aval.shape[-2:]) * float(np.finfo(a.aval.dtype).eps)
    return spectral.pinv(a, rcond=float(cut))


# Powers and ranks --------------------------------------------------------------------


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Atom:
    """`np.linalg.matrix_power`, by repeated squaring."""
    n = known_int(n, "np.linalg.matrix_power")
    base = square(a) if n < 0 else strong(a)
    if n == 0:
        return matrices.identity(square(a).aval.shape, base.aval.dtype)
    base, n = (inv(base), -n) if n < 0 else (base, n)
    out: Any = None
    while n:
        if n & 1:
            out = base if out is None else matmul(out, base)
        n >>= 1
        base = matmul(base, base) if n else base
    return out


def rank_of(s: Atom, relative: float) -> Atom:
    """How many singular values are no less than a part of the largest."""
    if not s.aval.shape[-1]:
        return full(0, s.aval.shape[:-1], INT)
    edge = apply(np.multiply, part(s, s.aval.ndim - 1, 0, 1), relative)
    return sum_(convert(apply(np.greater, s, edge), INT), -1)


# Products -----------------------------------------------------------------------------


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Any]) -> Atom:
    """`np.linalg.multi_dot`, in the order that takes the fewest multiplications."""
    atoms = [strong(x) for x in arrays]
    first, last = atoms[0].aval.ndim == 1, atoms[-1].aval.ndim == 1
    extents = [1] if first else [atoms[0].aval.shape[0]]
    extents += [x.aval.shape[-1] for x in atoms[:-1]]
    extents += [1] if last else [atoms[-1].aval.shape[-1]]
    # best[i, j]: the cost of the product from i to j, and where it is split.
    best: dict[Any, Any] = {(i, i): (0, i) for i in range(len(atoms))}
    for width in range(1, len(atoms)):
        for i in range(len(atoms) - width):
            j = i + width
            best[i, j] = min(
                (
                    best[i, k][0]
                    + best[k + 1, j][0]
                    + int(extents[i]) * int(extents[k + 1]) * int(extents[j + 1]),
                    k,
                )
                for k in range(i, j)
            )

    def product(i: int, j: int) -> Atom:
        if i == j:
            return atoms[i]
        k = best[i, j][1]
        return dot(product(i, k), product(k + 1, j))

    return product(0, len(atoms) - 1)


implements(np.linalg.matmul)(matmul)
