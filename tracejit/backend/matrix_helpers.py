"""Functions of matrices that kernels call by name, in plain Python.

Arrays are flat; matrices lie row by row, `batch` of them behind one another. Where
LAPACK must have columns, a matrix is turned on its way in and out, so that NumPy's
results come out to the last bit, signs of vectors included. A factorisation that fails
is NaN. Numba compiles these as they stand, but for those that reach outside.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit.backend import lapack

# What `numba_compile` replaces --------------------------------------------------------

_tj_getrf = partial(lapack.run, "getrf")
_tj_getri = partial(lapack.run, "getri")
_tj_potrf = partial(lapack.run, "potrf")
_tj_trsm = partial(lapack.run, "trsm")
_tj_geqrf = partial(lapack.run, "geqrf")
_tj_orgqr = partial(lapack.run, "orgqr")
_tj_syevd = partial(lapack.run, "syevd")
_tj_gesdd = partial(lapack.run, "gesdd")
_tj_geev = partial(lapack.run, "geev")


def _tj_gemm(
    ta: bool,
    tb: bool,
    m: int,
    n: int,
    k: int,
    alpha: float,
    a: Any,
    lda: int,
    b: Any,
    ldb: int,
    beta: float,
    c: Any,
    ldc: int,
) -> None:
    """c (m, n) = alpha op(a) (m, k) @ op(b) (k, n) + beta c.

    `ta` and `tb` say what lies transposed; rows are lda, ldb, ldc numbers apart.
    """
    left = _tj_rows(a, k, m, lda).T if ta else _tj_rows(a, m, k, lda)
    right = _tj_rows(b, n, k, ldb).T if tb else _tj_rows(b, k, n, ldb)
    out = _tj_rows(c, m, n, ldc)
    out[...] = alpha * (left @ right) + (beta * out if beta else 0)


def _tj_gemms(
    ta: bool,
    tb: bool,
    batch: int,
    m: int,
    n: int,
    k: int,
    a: Any,
    b: Any,
    c: Any,
) -> None:
    """c = op(a) @ op(b) of matrices that lie one behind the other."""
    lda, ldb = m if ta else k, k if tb else n
    for i in range(batch):
        x, y, z = _tj_at(a, i * m * k), _tj_at(b, i * k * n), _tj_at(c, i * m * n)
        _tj_gemm(ta, tb, m, n, k, 1.0, x, lda, y, ldb, 0.0, z, n)


def _tj_syrk(
    ta: bool, n: int, k: int, alpha: float, a: Any, lda: int, beta: float, c: Any
) -> None:
    """The lower triangle of c (n, n) = alpha op(a) @ op(a).T + beta c."""
    left = _tj_rows(a, k, n, lda).T if ta else _tj_rows(a, n, k, lda)
    out = _tj_rows(c, n, n, n)
    new = alpha * (left @ left.T) + (beta * out if beta else 0)
    out[...] = np.where(np.tri(n, dtype=bool), new, out)


def _tj_gram(ta: bool, n: int, k: int, a: Any, c: Any) -> None:
    """c (n, n) = op(a) (n, k) @ op(a).T: half of it is computed."""
    _tj_syrk(ta, n, k, 1.0, a, n if ta else k, 0.0, c)
    _tj_mirror(n, c)


def _tj_mirror(n: int, a: Any) -> None:
    """The upper triangle as the lower one is, block by block: columns lie apart."""
    for first in range(0, n, 16):
        last = min(first + 16, n)
        for i in range(first, n):
            for j in range(first, min(i, last)):
                a[j * n + i] = a[i * n + j]


def _tj_rows(x: Any, rows: int, columns: int, apart: int) -> Any:
    """A view of a flat array as a matrix."""
    strides = apart * x.itemsize, x.itemsize
    return np.lib.stride_tricks.as_strided(x, (rows, columns), strides)


def _tj_at(array: Any, start: int) -> Any:
    """The array from an element on."""
    return array[start:]


def _tj_integer(work: Any, k: int) -> int:
    """The k-th of the integers that LAPACK has written into `work`."""
    return work.view(lapack.integer_dtype())[k]


def _tj_set_integer(work: Any, k: int, value: int) -> None:
    """Make the k-th of the integers that LAPACK will read from `work` this one."""
    work.view(lapack.integer_dtype())[k] = value


# Pieces -------------------------------------------------------------------------------


def _tj_turn(rows: int, columns: int, source: Any, target: Any) -> None:
    """target = the transpose of source, a matrix of so many rows and columns."""
    for i in range(rows):
        for j in range(columns):
            target[j * rows + i] = source[i * columns + j]


def _tj_turn_square(n: int, a: Any) -> None:
    for i in range(n):
        for j in range(i):
            above = a[j * n + i]
            a[j * n + i] = a[i * n + j]
            a[i * n + j] = above


def _tj_is_small(n: int) -> bool:
    """Whether loops are faster than a call."""
    return n <= 8


def _tj_fail(size: int, x: Any) -> None:
    for k in range(size):
        x[k] = np.nan


# Systems of equations -----------------------------------------------------------------


def _tj_substitute(
    lower: bool, trans: bool, unit: bool, n: int, m: int, t: Any, x: Any
) -> None:
    """x (n, m) = op(T)⁻¹ x, of a few unknowns: a call of LAPACK would cost more."""
    row, column = (1, n) if trans else (n, 1)
    forward = lower != trans
    for step in range(n):
        i = step if forward else n - 1 - step
        first, last = (0, i) if forward else (i + 1, n)
        for c in range(m):
            rest = x[i * m + c]
            for k in range(first, last):
                rest -= t[i * row + k * column] * x[k * m + c]
            x[i * m + c] = rest if unit else rest / t[i * row + i * column]


def _tj_eliminate(n: int, a: Any, pivots: Any) -> None:
    """L and U in place of a, of a few unknowns: LAPACK's dgetf2, and as it pivots."""
    for j in range(n):
        top = j
        for i in range(j + 1, n):
            if abs(a[i * n + j]) > abs(a[top * n + j]):
                top = i
        pivots[j] = top
        _tj_swap_rows(j, top, n, a)
        if a[j * n + j] != 0:
            for i in range(j + 1, n):
                factor = a[i * n + j] / a[j * n + j]
                a[i * n + j] = factor
                for k in range(j + 1, n):
                    a[i * n + k] -= factor * a[j * n + k]


def _tj_solve_triangular(
    lower: bool, trans: bool, unit: bool, batch: int, n: int, m: int, a: Any, x: Any
) -> None:
    """x (n, m) = op(T)⁻¹ x, with T a triangle of a.

    Column by column our matrices are transposed: so T stands on the right.
    """
    if _tj_is_small(n):
        for k in range(batch):
            t, b = _tj_at(a, k * n * n), _tj_at(x, k * n * m)
            _tj_substitute(lower, trans, unit, n, m, t, b)
        return
    if m == 0:
        return
    # The letters L and U, T and N, U and N.
    side = 85 if lower else 76
    turn = 84 if trans else 78
    ones = 85 if unit else 78
    for k in range(batch):
        t, b = _tj_at(a, k * n * n), _tj_at(x, k * n * m)
        _tj_trsm(82, side, turn, ones, m, n, 1.0, t, n, b, m)


def _tj_lu(batch: int, n: int, a: Any, pivots: Any, work: Any) -> None:
    """L and U in place of a, and the pivots, counted from 0."""
    for k in range(batch):
        own, first = _tj_at(a, k * n * n), k * n
        if _tj_is_small(n):
            _tj_eliminate(n, own, _tj_at(pivots, first))
            continue
        _tj_turn_square(n, own)
        _tj_getrf(n, n, own, max(n, 1), work)
        _tj_turn_square(n, own)
        for i in range(n):
            pivots[first + i] = _tj_integer(work, i) - 1


def _tj_order_of(batch: int, n: int, pivots: Any, order: Any) -> None:
    """The order of rows that exchanging each with its pivot makes."""
    for first in range(0, batch * n, max(n, 1)):
        for i in range(n):
            order[first + i] = i
        for i in range(n):
            p = pivots[first + i]
            here = order[first + i]
            order[first + i] = order[first + p]
            order[first + p] = here


def _tj_swap_rows(i: int, j: int, m: int, x: Any) -> None:
    for c in range(m):
        here = x[i * m + c]
        x[i * m + c] = x[j * m + c]
        x[j * m + c] = here


def _tj_lu_solve(
    trans: bool, batch: int, n: int, m: int, factors: Any, pivots: Any, x: Any
) -> None:
    """x (n, m) = op(a)⁻¹ x, with the factors and pivots of a."""
    for k in range(batch):
        f, b, first = _tj_at(factors, k * n * n), _tj_at(x, k * n * m), k * n
        if trans:
            _tj_solve_triangular(False, True, False, 1, n, m, f, b)
            _tj_solve_triangular(True, True, True, 1, n, m, f, b)
            for i in range(n - 1, -1, -1):
                _tj_swap_rows(i, pivots[first + i], m, b)
        else:
            for i in range(n):
                _tj_swap_rows(i, pivots[first + i], m, b)
            _tj_solve_triangular(True, False, True, 1, n, m, f, b)
            _tj_solve_triangular(False, False, False, 1, n, m, f, b)


def _tj_lu_inverse(
    batch: int,
    n: int,
    factors: Any,
    pivots: Any,
    x: Any,
    integers: Any,
    work: Any,
    lwork: int,
) -> None:
    """x (n, n) = a⁻¹, with the factors and pivots of a."""
    for k in range(batch):
        f, own, first = _tj_at(factors, k * n * n), _tj_at(x, k * n * n), k * n
        if _tj_is_small(n):
            for i in range(n):
                for j in range(n):
                    own[i * n + j] = 1 if i == j else 0
            _tj_lu_solve(False, 1, n, n, f, _tj_at(pivots, first), own)
            continue
        _tj_turn(n, n, f, own)
        for i in range(n):
            _tj_set_integer(integers, i, pivots[first + i] + 1)
        if _tj_getri(n, own, n, integers, work, lwork) != 0:
            _tj_fail(n * n, own)
        _tj_turn_square(n, own)


# Factorisations -----------------------------------------------------------------------


def _tj_clear_above(n: int, a: Any) -> None:
    for i in range(n):
        for j in range(i + 1, n):
            a[i * n + j] = 0


def _tj_cholesky(batch: int, n: int, a: Any) -> None:
    """The lower factor in place of a."""
    for k in range(batch):
        own = _tj_at(a, k * n * n)
        # Column by column, our lower triangle is the upper one (letter U).
        if _tj_potrf(85, n, own, max(n, 1)) != 0:
            _tj_fail(n * n, own)
        _tj_clear_above(n, own)


def _tj_pull_column(n: int, count: int, own: Any, bar: Any) -> None:
    """The same of `count` rows and columns of a matrix with n, column by column."""
    for step in range(count):
        k = count - 1 - step
        row, pivot = k * n, own[k * n + k]
        total = bar[row + k]
        for i in range(k + 1, count):
            scaled = bar[i * n + k] / pivot
            bar[i * n + k] = scaled
            total -= scaled * own[i * n + k]
            for j in range(k):
                bar[row + j] -= scaled * own[i * n + j]
                bar[i * n + j] -= scaled * own[row + j]
        total /= pivot
        for j in range(k):
            bar[row + j] -= total * own[row + j]
        bar[row + k] = total / 2


def _tj_pull_left(
    n: int, first: int, last: int, own: Any, bar: Any, corner: Any
) -> None:
    """What the cotangents left of a block of columns lose to it, which is done.

    With R left of the block's diagonal, C below that and B below R: R̄ -= (D̄ + D̄ᵀ) R
    + C̄ᵀ B, and B̄ -= C̄ R.
    """
    count, below, r, b = last - first, n - last, first * n, last * n
    for i in range(count):
        for j in range(i + 1):
            x = bar[r + first + i * n + j]
            corner[i * count + j] = x
            corner[j * count + i] = x
        corner[i * count + i] *= 2
    rows, change = _tj_at(own, r), _tj_at(bar, r)
    _tj_gemm(
        False, False, count, first, count, -1.0, corner, count, rows, n, 1.0, change, n
    )
    done, under, low = _tj_at(bar, b + first), _tj_at(own, b), _tj_at(bar, b)
    if below > 0:
        _tj_gemm(
            True, False, count, first, below, -1.0, done, n, under, n, 1.0, change, n
        )
        _tj_gemm(False, False, below, first, count, -1.0, done, n, rows, n, 1.0, low, n)


def _tj_cholesky_pull(batch: int, n: int, factors: Any, bars: Any, work: Any) -> None:
    """From the cotangent of a factor to that of its matrix, in place.

    By blocks of columns from the right, as in I. Murray, "Differentiation of the
    Cholesky decomposition" (2016), section 3.2. The upper triangle of `bars` is room.
    """
    for k in range(batch):
        own, bar = _tj_at(factors, k * n * n), _tj_at(bars, k * n * n)
        last = n
        while last > 0:
            first, below = max(last - 32, 0), n - last
            r, c, count = first * n + first, last * n + first, last - first
            d, e = _tj_at(own, r), _tj_at(bar, r)
            low, under = _tj_at(bar, c), _tj_at(own, c)
            if below > 0:
                # The letters L, U, N, N: our lower triangles are LAPACK's upper ones.
                _tj_trsm(76, 85, 78, 78, count, below, 1.0, d, n, low, n)
                _tj_gemm(
                    True, False, count, count, below, -1.0, low, n, under, n, 1.0, e, n
                )
            _tj_pull_column(n, count, d, e)
            if first > 0:
                _tj_pull_left(n, first, last, own, bar, work)
            last = first
        _tj_clear_above(n, bar)


def _tj_cholesky_pull_in_loops(batch: int, n: int, factors: Any, bars: Any) -> None:
    """The same without BLAS."""
    for k in range(batch):
        own, bar = _tj_at(factors, k * n * n), _tj_at(bars, k * n * n)
        _tj_pull_column(n, n, own, bar)
        _tj_clear_above(n, bar)


def _tj_qr(
    batch: int,
    m: int,
    n: int,
    a: Any,
    q: Any,
    r: Any,
    turned: Any,
    tau: Any,
    work: Any,
    lwork: int,
) -> None:
    """q (m, n) and r (n, n) of a (m, n), m >= n."""
    for k in range(batch):
        _tj_turn(m, n, _tj_at(a, k * m * n), turned)
        _tj_geqrf(m, n, turned, max(m, 1), tau, work, lwork)
        own = _tj_at(r, k * n * n)
        for i in range(n):
            for j in range(n):
                own[i * n + j] = turned[j * m + i] if i <= j else 0
        _tj_orgqr(m, n, n, turned, max(m, 1), tau, work, lwork)
        _tj_turn(n, m, turned, _tj_at(q, k * m * n))


def _tj_eigh(
    batch: int,
    n: int,
    a: Any,
    w: Any,
    work: Any,
    lwork: int,
    reals: Any,
    lreals: int,
    integers: Any,
    count: int,
) -> None:
    """Eigenvalues w, and eigenvectors in place of a."""
    for k in range(batch):
        own, values = _tj_at(a, k * n * n), _tj_at(w, k * n)
        _tj_turn_square(n, own)
        # The letters V and L.
        lead = max(n, 1)
        status = _tj_syevd(
            86, 76, n, own, lead, values, work, lwork, reals, lreals, integers, count
        )
        if status != 0:
            _tj_fail(n * n, own)
            _tj_fail(n, values)
        _tj_turn_square(n, own)


def _tj_eig(
    batch: int,
    n: int,
    a: Any,
    w: Any,
    v: Any,
    values: Any,
    others: Any,
    vectors: Any,
    work: Any,
    lwork: int,
    reals: Any,
) -> None:
    """Eigenvalues w and eigenvectors v, both complex, of a, which is overwritten.

    Of a real matrix LAPACK returns their parts: of values as two vectors, of a pair of
    vectors, one the other's conjugate, as two columns.
    """
    for k in range(batch):
        own, first, start = _tj_at(a, k * n * n), k * n, k * n * n
        _tj_turn_square(n, own)
        for j in range(n):
            others[j] = 0
        lead = max(n, 1)
        # The letters N and V.
        status = _tj_geev(
            78,
            86,
            n,
            own,
            lead,
            values,
            others,
            vectors,
            lead,
            vectors,
            lead,
            work,
            lwork,
            reals,
        )
        if status != 0:
            _tj_fail(n, values)
            _tj_fail(n * n, vectors)
        for j in range(n):
            part = others[j].real
            w[first + j] = complex(values[j].real, values[j].imag + part)
            for i in range(n):
                here = vectors[j * n + i]
                value = complex(here.real, here.imag)
                if part > 0:
                    value = complex(here.real, vectors[(j + 1) * n + i].real)
                elif part < 0:
                    value = complex(vectors[(j - 1) * n + i].real, -here.real)
                v[start + i * n + j] = value


def _tj_svd(
    full: bool,
    batch: int,
    m: int,
    n: int,
    a: Any,
    u: Any,
    s: Any,
    vt: Any,
    turned: Any,
    left: Any,
    right: Any,
    work: Any,
    lwork: int,
    reals: Any,
    integers: Any,
) -> None:
    """u (m, k), s (k,) and vt (k, n) of a (m, n), where k is the lesser of m and n.

    If `full`, u is (m, m) and vt is (n, n).
    """
    k = min(m, n)
    rows, columns = (m, n) if full else (k, k)
    top, low = max(m, 1), max(columns, 1)
    # The letters A and S.
    job = 65 if full else 83
    for b in range(batch):
        values = _tj_at(s, b * k)
        _tj_turn(m, n, _tj_at(a, b * m * n), turned)
        status = _tj_gesdd(
            job,
            m,
            n,
            turned,
            top,
            values,
            left,
            top,
            right,
            low,
            work,
            lwork,
            reals,
            integers,
        )
        if status != 0:
            _tj_fail(m * rows, left)
            _tj_fail(k, values)
            _tj_fail(columns * n, right)
        _tj_turn(rows, m, left, _tj_at(u, b * m * rows))
        _tj_turn(n, columns, right, _tj_at(vt, b * columns * n))


#: By the name they have in kernels.
HELPERS: dict[str, Callable[..., Any]] = {
    name: value for name, value in globals().items() if name.startswith("_tj_")
}
