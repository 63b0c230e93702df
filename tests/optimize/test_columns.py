"""Arrays of short rows by columns: which are, and that it changes no number."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.optimize.kernels import text_of
from tracejit import check_grads, grad, jit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))


def repulsion(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(i):
            d = x[i] - x[j]
            s += 1.0 / (0.1 + d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
    return s


def pushed(x):
    """Positions and velocities over time: their buffers change names."""
    x = x.copy()
    v = np.zeros_like(x)
    for _ in range(9):
        f = np.zeros_like(x)
        for i in range(len(x)):
            for j in range(len(x)):
                d = x[i] - x[j]
                f[i] += d / (0.1 + d[0] ** 2 + d[1] ** 2)
        v, x = v + 0.1 * f, x + 0.1 * v
    return x


def along_a_grid(u):
    u = u.copy()
    for _ in range(20):
        for i in range(1, u.shape[0] - 1):
            for j in range(u.shape[1]):
                u[i, j, 0] += 0.1 * u[i - 1, j, 1]
                u[i, j, 1] -= 0.1 * u[i + 1, j, 0]
    return u


def once(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i, 0] * x[i, 1]
    return s


def by_an_index(x, order):
    s = 0.0
    for i in range(9):
        for j in range(len(order)):
            s += x[order[j], 0] * x[i, 1]
    return s


def which_column(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            s += x[j, (i + 2 * j) % 3] * x[i, 1]
    return s


def into_its_argument(x):
    for i in range(len(x)):
        for j in range(i):
            x[j, 0] += 0.1 * x[i, 1]


def in_rows(text, axes):
    """Whether elements of short rows are read or written inside of more than a copy."""
    inside = " " * 4 * (axes + 1)
    rows = re.compile(rf"^{inside}.*\[.* \* [23]\b", re.MULTILINE)
    return rows.search(text) is not None


GRID = RNG.normal(size=(10, 11, 2))
ORDER = RNG.permutation(20)


@pytest.mark.parametrize(
    "fn, args, rows",
    [
        (repulsion, (X,), False),
        (grad(repulsion), (X,), False),
        (pushed, (X,), False),
        (grad(lambda x: np.sum(pushed(x) ** 2)), (X,), False),
        (along_a_grid, (GRID,), False),
        (by_an_index, (X, ORDER), True),
        (which_column, (X,), True),
    ],
)
def test_which_are_laid_out_by_columns(fn, args, rows):
    assert in_rows(text_of(fn, *args), args[0].ndim) is rows


def test_nothing_is_copied_that_is_read_once():
    assert text_of(once, X).count("for ") == 1
    assert text_of(repulsion, X[:3]).count("for ") == 2


def test_what_is_written_for_the_caller_stays_where_it_is():
    mine, theirs = X.copy(), X.copy()
    jit(into_its_argument)(mine)
    into_its_argument(theirs)
    np.testing.assert_allclose(mine, theirs, rtol=1e-13)


@pytest.mark.parametrize("fn", [repulsion, pushed])
def test_compiled(fn):
    np.testing.assert_allclose(jit(fn)(X), fn(X), rtol=1e-13)
    np.testing.assert_allclose(jit(fn)(X[:0]), fn(X[:0]))
    check_grads(fn, (X[:3],), order=1, backend="numpy")
