"""Cells that a loop leaves alone are read before it; those it may write to are not."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import check_grads, jit, make_ir
from tracejit.ir.program import walk


def eliminate(A, first):
    A = A.copy()
    n = A.shape[0]
    for k in range(n):
        for i in range(k + first, n):
            A[i, k] *= 0.01 * A[k, k]
            for j in range(k + first, n):
                A[i, j] -= A[i, k] * A[k, j]
    return A


def scale_by_first(x):
    x = x.copy()
    for i in range(1, x.shape[0]):
        x[i] = x[i] * x[0]
    return x


def scale_with_first(x):
    x = x.copy()
    for i in range(x.shape[0]):
        x[i] = x[i] * x[0]
    return x


def scale_in_two_loops(x):
    x = x.copy()
    for i in range(2, 4):
        for j in range(2):
            x[i + j] += x[1] * x[i]
            x[j] = x[j] + 1.0
    return x


def nothing_to_read(x):
    x = x.copy()
    for i in range(x.shape[0]):
        for j in range(i + 2, x.shape[0]):  # the last rounds make no trip
            x[i] += x[i + 2] * x[j]
    return x


X = np.random.default_rng(0).uniform(0.5, 1.5, 6)
A = X[:, None] * X + np.diag(np.arange(3.0, 9.0))
PROGRAMS = {
    "below": (lambda A: eliminate(A, 1), A),
    "from": (lambda A: eliminate(A, 0), A),
    "first": (scale_by_first, X),
    "first too": (scale_with_first, X),
    "two loops": (scale_in_two_loops, X),
    "no trips": (nothing_to_read, X),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_derivatives(name):
    f, x = PROGRAMS[name]
    for backend in ("numpy", "numba"):
        np.testing.assert_allclose(jit(f, backend=backend)(x), f(x), rtol=1e-12)
    check_grads(f, (x,), order=1, backend="numpy")


def reads_in_loops(f, x):
    """How many elements the innermost loops read."""
    loops = [e for e in make_ir(f)(x).walk() if e.prim.name == "for"]
    inmost = [e for e in loops if not any(i.regions for i in e.regions[0].eqns)]
    return [
        sum(e.prim.name == "getitem" for e in walk(loop.regions[0])) for loop in inmost
    ]


def test_a_pivot_is_read_once_where_the_loops_pass_it_by():
    assert reads_in_loops(*PROGRAMS["below"]) == [2]  # A[i, j] and A[k, j]
    assert reads_in_loops(*PROGRAMS["from"]) == [3]
    assert reads_in_loops(*PROGRAMS["first"]) == [1]
    assert reads_in_loops(*PROGRAMS["first too"]) == [2]
