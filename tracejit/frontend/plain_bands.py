"""Systems of band matrices, `scipy.linalg.solve_banded`, as plain NumPy.

Staged as a user's helper would be: the time grows with the extent, as in LAPACK.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def _by_rows(lower: int, upper: int, ab: Any) -> Any:
    """The matrix row by row, each from its first element on; `lower` rows of zeros."""
    n, width = ab.shape[1], lower + upper + 1
    row = np.arange(n)[:, None]
    column = np.maximum(row - lower, 0) + np.arange(width)
    there = (column < n) & (column <= row + upper)
    found = ab[np.where(there, upper + row - column, 0), np.where(there, column, 0)]
    rows = np.zeros((n + lower, width), np.result_type(ab, 1.0))
    rows[:n] = np.where(there, found, 0)
    return rows


def _exchanged(x: Any, k: int, other: Any) -> None:
    """Exchange two rows."""
    kept = x[k].copy()
    x[k] = x[other]
    x[other] = kept


def solve_banded(
    l_and_u: Any,
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """`scipy.linalg.solve_banded`: elimination with partial pivoting.

    Golub and Van Loan, Matrix Computations, section 4.3.
    """
    lower, upper = l_and_u
    ab, b = np.asarray(ab), np.asarray(b)
    rows, n = _by_rows(lower, upper, ab), ab.shape[1]
    width, sides = lower + upper + 1, b.reshape((n, -1))
    dtype = np.result_type(ab, b, 1.0)
    right = np.zeros((n + lower, sides.shape[1]), dtype)
    right[:n] = sides
    for k in range(n):
        if lower > 0:
            best = k + np.argmax(np.abs(rows[k : k + lower + 1, 0]))
            _exchanged(rows, k, best)
            _exchanged(right, k, best)
        if rows[k, 0] == 0:
            raise np.linalg.LinAlgError("singular matrix")
        for i in range(1, lower + 1):
            factor = rows[k + i, 0] / rows[k, 0]
            rows[k + i, :-1] = rows[k + i, 1:] - factor * rows[k, 1:]
            rows[k + i, -1] = 0.0
            right[k + i] -= factor * right[k]
    x = np.zeros((n + width, sides.shape[1]), dtype)
    for k in range(n - 1, -1, -1):
        x[k] = (right[k] - rows[k, 1:] @ x[k + 1 : k + width]) / rows[k, 0]
    return x[:n].reshape(b.shape)


#: By the names of SciPy's functions.
PROGRAMS = {"scipy.linalg.solve_banded": solve_banded}
