"""`scipy.linalg`: matrices made of vectors, and systems given by bands.

These are plain NumPy, so that they hold for arrays and for what stands for them while
tracing. Bands are spread out to whole matrices: what SciPy does in time proportional to
their length here takes the cube of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _places(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The number of the row, as a column, and of the column."""
    return np.arange(rows)[:, None], np.arange(columns)[None, :]


def _dagger(a: Any) -> Any:
    return np.conj(a.T)


# Matrices made of vectors -------------------------------------------------------------


def toeplitz(c: Any, r: Any = None) -> Any:
    """`scipy.linalg.toeplitz`: equal numbers along the diagonals."""
    c = np.ravel(c)
    r = np.conj(c) if r is None else np.ravel(r)
    rows, columns = _places(c.shape[0], r.shape[0])
    return np.concatenate([c[::-1], r[1:]])[c.shape[0] - 1 - rows + columns]


def hankel(c: Any, r: Any = None) -> Any:
    """`scipy.linalg.hankel`: equal numbers along the other diagonals."""
    c = np.ravel(c)
    r = np.zeros_like(c) if r is None else np.ravel(r)
    rows, columns = _places(c.shape[0], r.shape[0])
    return np.concatenate([c, r[1:]])[rows + columns]


def circulant(c: Any) -> Any:
    """`scipy.linalg.circulant`: every column is the one before it, moved down."""
    c = np.ravel(c)
    rows, columns = _places(c.shape[0], c.shape[0])
    return c[(rows - columns) % c.shape[0]]


def companion(a: Any) -> Any:
    """`scipy.linalg.companion`: its eigenvalues are the roots of a polynomial."""
    first = (-a[1:] / a[0])[None, :]
    n = first.shape[1]
    return np.concatenate([first, np.eye(n - 1, n, dtype=first.dtype)])


def leslie(f: Any, s: Any) -> Any:
    """`scipy.linalg.leslie`: how a population changes by age."""
    rows, columns = _places(f.shape[0] - 1, f.shape[0])
    survive = np.where(rows == columns, np.concatenate([s, s[:1]])[None, :], 0)
    return np.concatenate([f[None, :], survive])


def fiedler(a: Any) -> Any:
    """`scipy.linalg.fiedler`: the distances of numbers from one another."""
    return np.abs(a[:, None] - a[None, :])


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """`scipy.linalg.convolution_matrix`: the product with it is a convolution."""
    size = a.shape[0]
    total = size + n - 1
    cut = {"full": 0, "same": min(n, size) - 1, "valid": 2 * (min(n, size) - 1)}[mode]
    rows, columns = _places(total - cut, n)
    places = rows + cut // 2 - columns
    inside = (places >= 0) & (places < size)
    return np.where(inside, a[np.clip(places, 0, size - 1)], 0)


def khatri_rao(a: Any, b: Any) -> Any:
    """`scipy.linalg.khatri_rao`: the Kronecker product, column by column."""
    both = a[:, None, :] * b[None, :, :]
    return both.reshape(a.shape[0] * b.shape[0], a.shape[1])


def kron(a: Any, b: Any) -> Any:
    """`scipy.linalg.kron`."""
    return np.kron(a, b)


def diagsvd(s: Any, M: int, N: int) -> Any:
    """`scipy.linalg.diagsvd`: singular values as a matrix."""
    rows, columns = _places(M, N)
    wide = np.concatenate([s, np.zeros_like(s, shape=max(N - s.shape[0], 0))])
    return np.where(rows == columns, wide[:N][None, :], 0)


def dft(n: int, scale: Any = None) -> Any:
    """`scipy.linalg.dft`: the matrix of the discrete Fourier transform."""
    rows, columns = _places(n, n)
    size = {None: 1.0, "sqrtn": n**0.5, "n": float(n)}[scale]
    return np.exp(-2j * np.pi * rows * columns / n) / size


# Systems ------------------------------------------------------------------------------


def _of_pair(c_or_cr: Any) -> Any:
    """In double precision, as SciPy computes."""
    pair = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr,)
    return toeplitz(*pair) * np.float64(1)


def solve_toeplitz(c_or_cr: Any, b: Any) -> Any:
    """`scipy.linalg.solve_toeplitz`."""
    return np.linalg.solve(_of_pair(c_or_cr), b)


def matmul_toeplitz(c_or_cr: Any, x: Any) -> Any:
    """`scipy.linalg.matmul_toeplitz`."""
    return _of_pair(c_or_cr) @ x


def solve_circulant(c: Any, b: Any) -> Any:
    """`scipy.linalg.solve_circulant` of one vector."""
    return np.linalg.solve(circulant(c), b)


def _spread(ab: Any, first: int) -> Any:
    """The matrix whose diagonals are the rows of ab, the first this far up."""
    n = ab.shape[1]
    rows, columns = _places(n, n)
    places = first + rows - columns
    inside = (places >= 0) & (places < ab.shape[0])
    return np.where(inside, ab[np.clip(places, 0, ab.shape[0] - 1), columns], 0)


def _lower(ab: Any, lower: bool) -> Any:
    """The lower triangle of a Hermitian matrix that is given by half of its bands."""
    return _spread(ab, 0) if lower else _dagger(_spread(ab, ab.shape[0] - 1))


def _banded(a: Any, count: int, lower: bool) -> Any:
    """The diagonals of a triangle, so many, as rows: `_spread` undone."""
    n = a.shape[0]
    rows, columns = _places(count, n)
    places = columns + (rows if lower else rows - count + 1)
    inside = (places >= 0) & (places < n)
    return np.where(inside, a[np.clip(places, 0, n - 1), columns], 0)


def _cho_solve(low: Any, b: Any) -> Any:
    return np.linalg.solve(_dagger(low), np.linalg.solve(low, b))


def solveh_banded(ab: Any, b: Any, lower: bool = False) -> Any:
    """`scipy.linalg.solveh_banded`."""
    return _cho_solve(np.linalg.cholesky(_lower(ab, lower)), b)


def cholesky_banded(ab: Any, lower: bool = False) -> Any:
    """`scipy.linalg.cholesky_banded`; what lies outside the matrix is zero."""
    low = np.linalg.cholesky(_lower(ab, lower))
    return _banded(low if lower else _dagger(low), ab.shape[0], lower)


def cho_solve_banded(cb_and_lower: Any, b: Any) -> Any:
    """`scipy.linalg.cho_solve_banded`."""
    return _cho_solve(_lower(*cb_and_lower), b)


def eig_banded(a_band: Any, lower: bool = False, eigvals_only: bool = False) -> Any:
    """`scipy.linalg.eig_banded`."""
    w, v = np.linalg.eigh(_lower(a_band, lower))
    return w if eigvals_only else (w, v)


def eigvals_banded(a_band: Any, lower: bool = False) -> Any:
    """`scipy.linalg.eigvals_banded`."""
    return eig_banded(a_band, lower, True)


def eigh_tridiagonal(d: Any, e: Any, eigvals_only: bool = False) -> Any:
    """`scipy.linalg.eigh_tridiagonal`."""
    below = np.concatenate([e, np.zeros_like(e, shape=1)])
    return eig_banded(np.stack([d, below]), True, eigvals_only)


def eigvalsh_tridiagonal(d: Any, e: Any) -> Any:
    """`scipy.linalg.eigvalsh_tridiagonal`."""
    return eigh_tridiagonal(d, e, True)


#: Programs by the name under which SciPy documents the function.
PLAIN: dict[str, Callable[..., Any]] = {
    f"scipy.linalg.{f.__name__}": f
    for f in list(globals().values())
    if callable(f)
    and getattr(f, "__module__", "") == __name__
    and not f.__name__.startswith("_")
}
