"""`scipy.linalg` as programs, by name: SciPy itself is not imported.

Options that say how to compute (`overwrite_a`, `check_finite`, drivers) do not arrive
here; see `frontend.scipy_calls`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.program import Atom
from tracejit.ops import factor, numpy_linalg, numpy_norms, spectral
from tracejit.ops.matrices import (
    adjoint,
    band,
    conjugated,
    identity,
    mirrored,
    product,
    symmetric,
    turned,
)
from tracejit.ops.numpy_linalg import (
    factors_of,
    floats,
    matrix,
    number,
    require,
    square,
    together,
    with_columns,
)
from tracejit.ops.numpy_names import apply, emit, unsupported
from tracejit.ops.numpy_shape import concatenate, known_int, part, reshape
from tracejit.ops.promote import INT, broadcast_to, convert, full, result_type, strong

#: Programs by the name under which SciPy documents the function.
SCIPY: dict[str, Callable[..., Any]] = {}


def scipy(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter the program of a SciPy function."""

    def enter(program: Callable[..., Any]) -> Callable[..., Any]:
        SCIPY[name] = program
        return program

    return enter


def doubled(x: Atom) -> Atom:
    """In double precision."""
    return convert(x, result_type(x, np.float64(0)))


# Systems of equations -----------------------------------------------------------------


def _is_vector(b: Any) -> bool:
    return strong(b).aval.ndim == 1


#: How SciPy says which matrix is meant: itself, its transpose or its adjoint.
_TURNS = {0: "N", 1: "T", 2: "C"}


def _triangular(
    a: Atom, b: Atom, lower: bool, trans: str = "N", unit: bool = False
) -> Atom:
    """op(T)⁻¹ b with a triangle T of a."""
    if not unit:
        diagonal = factor.diagonals(a)
        ok = apply(np.not_equal, diagonal, 0)
        require(ok, "singular matrix: resolution failed")
    options = {"lower": lower, "trans": trans != "N", "unit": unit}
    if trans == "C":
        return conjugated(factor.solve_triangular(a, conjugated(b), **options))
    return factor.solve_triangular(a, b, **options)


@scipy("scipy.linalg.solve_triangular")
def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False
) -> Atom:
    """`scipy.linalg.solve_triangular`."""
    turn = _TURNS.get(trans, trans)
    return with_columns(
        square(a),
        b,
        _is_vector(b),
        lambda a, b: _triangular(a, b, bool(lower), turn, bool(unit_diagonal)),
    )


@scipy("scipy.linalg.solve")
def solve(
    a: Any, b: Any, lower: bool = False, assume_a: Any = None, transposed: bool = False
) -> Atom:
    """`scipy.linalg.solve`: of a matrix of some kind, what makes it up is read."""
    a = square(a)
    kind = assume_a or "gen"
    if kind.endswith("triangular"):
        return solve_triangular(a, b, int(transposed), kind.startswith("lower"))
    if kind.startswith("pos"):
        low = numpy_linalg.cholesky_factor(a if lower else adjoint(a))
        return cho_solve((low, True), b)
    if kind in ("sym", "symmetric"):
        a = symmetric(a if lower else turned(a))
    elif kind in ("her", "hermitian"):
        a = mirrored(a if lower else adjoint(a))
    elif kind in ("diagonal", "tridiagonal"):
        a = band(a, 0 if kind == "diagonal" else 1)

    def run(a: Atom, b: Atom) -> Atom:
        found = factors_of(a, "Matrix is singular.")
        return factor.lu_solve(*found, b, trans=bool(transposed))

    return with_columns(a, b, _is_vector(b), run)


@scipy("scipy.linalg.inv")
def inv(a: Any, assume_a: Any = None, lower: bool = False) -> Atom:
    """`scipy.linalg.inv`."""
    return solve(
        a, identity(square(a).aval.shape, floats(a).aval.dtype), lower, assume_a
    )


@scipy("scipy.linalg.lstsq")
def lstsq(a: Any, b: Any, cond: Any = None) -> tuple[Atom, ...]:
    """`scipy.linalg.lstsq`."""
    x, residuals, rank, s = numpy_linalg.lstsq(a, b, -1 if cond is None else cond)
    if _is_vector(b) and residuals.aval.size:
        residuals = reshape(residuals, ())
    return x, residuals, convert(rank, INT), s


@scipy("scipy.linalg.pinv")
def pinv(a: Any, *, rtol: Any = None) -> Atom:
    """`scipy.linalg.pinv`."""
    return numpy_linalg.pinv(a, rtol=number(rtol, "rtol"))


# Cholesky and LU ----------------------------------------------------------------------


def _lower_factor(a: Atom, lower: bool) -> Atom:
    found = numpy_linalg.cholesky_factor(a if lower else adjoint(a))
    return found if lower else adjoint(found)


@scipy("scipy.linalg.cholesky")
def cholesky(a: Any, lower: bool = False) -> Atom:
    """`scipy.linalg.cholesky`: upper, unless it is said otherwise."""
    return _lower_factor(square(a), bool(lower))


@scipy("scipy.linalg.cho_factor")
def cho_factor(a: Any, lower: bool = False) -> tuple[Atom, bool]:
    """`scipy.linalg.cho_factor`; the other triangle, which is arbitrary, is zero."""
    return _lower_factor(square(a), bool(lower)), bool(lower)


@scipy("scipy.linalg.cho_solve")
def cho_solve(c_and_lower: Any, b: Any) -> Atom:
    """`scipy.linalg.cho_solve`."""
    c, lower = c_and_lower
    low = bool(known_int(lower, "scipy.linalg.cho_solve"))

    def run(c: Atom, b: Atom) -> Atom:
        half = _triangular(c, b, low, "N" if low else "C")
        return _triangular(c, half, low, "C" if low else "N")

    return with_columns(square(c), b, _is_vector(b), run)


@scipy("scipy.linalg.lu_factor")
def lu_factor(a: Any) -> tuple[Atom, Atom]:
    """`scipy.linalg.lu_factor` of a square matrix."""
    a = matrix(a)
    if a.aval.shape[-1] != a.aval.shape[-2]:
        raise unsupported("scipy.linalg.lu_factor of a matrix that is not square", "qr")
    factors, pivots = factor.lu(a)
    return factors, convert(pivots, np.int32)


@scipy("scipy.linalg.lu_solve")
def lu_solve(lu_and_piv: Any, b: Any, trans: Any = 0) -> Atom:
    """`scipy.linalg.lu_solve`."""
    factors, pivots = lu_and_piv
    turn = _TURNS.get(trans, trans)

    def run(f: Atom, b: Atom) -> Atom:
        order = broadcast_to(convert(pivots, INT), f.aval.shape[:-1])
        swap = factor.permutation(order, f)
        if turn != "N":
            half = _triangular(f, b, False, turn)
            return product(turned(swap), _triangular(f, half, True, turn, True))
        half = _triangular(f, product(swap, b), True, unit=True)
        return _triangular(f, half, False)

    return with_columns(square(factors), b, _is_vector(b), run)


@scipy("scipy.linalg.lu")
def lu(a: Any, permute_l: bool = False, p_indices: bool = False) -> tuple[Atom, ...]:
    """`scipy.linalg.lu` of a square matrix: a = P L U."""
    a = matrix(a)
    if a.aval.shape[-1] != a.aval.shape[-2]:
        raise unsupported("scipy.linalg.lu of a matrix that is not square", "qr")
    factors, pivots = factor.lu(a)
    unit = identity(a.aval.shape, a.aval.dtype)
    low = factor.lower_part(factors, strict=True) + unit
    up = factor.upper_part(factors)
    if p_indices and not permute_l:
        order = factor.order_of(pivots)
        return emit("argsort", order, axis=order.aval.ndim - 1), low, up
    swap = turned(factor.permutation(pivots, a))
    return (product(swap, low), up) if permute_l else (swap, low, up)


@scipy("scipy.linalg.det")
def det(a: Any) -> Atom:
    """`scipy.linalg.det`: in double precision."""
    return numpy_linalg.det(doubled(square(a)))


# Other factorisations -----------------------------------------------------------------


@scipy("scipy.linalg.qr")
def qr(a: Any, mode: str = "full", pivoting: bool = False) -> Any:
    """`scipy.linalg.qr`."""
    if pivoting or mode not in ("full", "economic", "r"):
        raise unsupported("scipy.linalg.qr with pivoting or a raw mode", "np.linalg.qr")
    q, r = numpy_linalg.qr(a, "reduced" if mode == "economic" else "complete")
    return (r,) if mode == "r" else (q, r)


@scipy("scipy.linalg.svd")
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """`scipy.linalg.svd`."""
    found = numpy_linalg.svd(a, full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


@scipy("scipy.linalg.svdvals")
def svdvals(a: Any) -> Atom:
    """`scipy.linalg.svdvals`."""
    return numpy_linalg.svdvals(a)


@scipy("scipy.linalg.eigh")
def eigh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    eigvals_only: bool = False,
    subset_by_index: Any = None,
) -> Any:
    """`scipy.linalg.eigh`, also of the generalised problem A v = w B v."""
    a = square(a)
    a = a if lower else adjoint(a)
    if b is None:
        w, v = spectral.eigh(a)
    else:
        a, b = together(a, square(b))
        low = numpy_linalg.cholesky_factor(b if lower else adjoint(b))
        half = _triangular(low, adjoint(_triangular(low, mirrored(a), True)), True)
        w, v = spectral.eigh(half)
        v = _triangular(low, v, True, "C")
    if subset_by_index is not None:
        first, last = (known_int(k, "subset_by_index") for k in subset_by_index)
        w, v = (part(x, x.aval.ndim - 1, first, last + 1 - first) for x in (w, v))
    return w if eigvals_only else (w, v)


@scipy("scipy.linalg.eigvalsh")
def eigvalsh(
    a: Any, b: Any = None, lower: bool = True, subset_by_index: Any = None
) -> Atom:
    """`scipy.linalg.eigvalsh`."""
    return eigh(a, b, lower, True, subset_by_index)


@scipy("scipy.linalg.eig")
def eig(a: Any, b: Any = None, left: bool = False, right: bool = True) -> Any:
    """`scipy.linalg.eig`; of a pencil, the eigenvalues."""
    if left or (b is not None and right):
        raise unsupported(
            "scipy.linalg.eig with left vectors, or with vectors of a pencil",
            "scipy.linalg.eig(a), or scipy.linalg.eigvals(a, b)",
        )
    if b is not None:
        a = numpy_linalg.solve(b, square(a))
    found = numpy_linalg.eig(a)
    return tuple(found) if right else found[0]


@scipy("scipy.linalg.eigvals")
def eigvals(a: Any, b: Any = None) -> Atom:
    """`scipy.linalg.eigvals`."""
    return eig(a, b, right=False)


@scipy("scipy.linalg.norm")
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Atom:
    """`scipy.linalg.norm`."""
    out = numpy_norms.norm(a, ord, axis, keepdims)
    # LAPACK's function for these returns double precision.
    plainly = axis is None and not keepdims and strong(a).aval.ndim == 2
    return doubled(out) if plainly and number(ord, "ord") in (1, np.inf) else out


# Blocks -------------------------------------------------------------------------------


@scipy("scipy.linalg.block_diag")
def block_diag(*blocks: Any) -> Atom:
    """`scipy.linalg.block_diag`."""
    atoms = [strong(b) for b in blocks]
    atoms = [reshape(b, (1,) * (2 - b.aval.ndim) + b.aval.shape) for b in atoms]
    dtype = result_type(*atoms)
    widths = [b.aval.shape[1] for b in atoms]
    rows = []
    for k, block in enumerate(atoms):
        height = block.aval.shape[0]
        parts = [
            convert(block, dtype) if j == k else full(0, (height, width), dtype)
            for j, width in enumerate(widths)
        ]
        rows.append(concatenate(parts, 1))
    return concatenate(rows, 0)
