"""Loops are split at the round that comes to a cell which the others pass by; it
is done as it stands."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import jit, make_ir, value_and_grad
from tracejit.backend.numba_build import compile_program


def paths(D):
    D = D.copy()
    n = D.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                D[i, j] = min(D[i, j], D[i, k] + D[k, j])
    return np.sum(D**2)


def backwards(D):
    D = D.copy()
    n = D.shape[0]
    for k in range(n):
        for j in range(n - 1, -1, -1):
            D[k, j] = 0.5 * D[k, j] + 0.1 * D[k, (n - 1) // 2]
    return np.sum(D**2)


def before_and_after(D):
    """The cell that is read lies before the first round, then in, then behind."""
    D = D.copy()
    n = D.shape[0]
    for k in range(n):
        for j in range(2, n - 1):
            D[0, j] = D[0, j] + 0.1 * D[0, k] * D[1, j]
    return np.sum(D**2)


def added(D):
    D = D.copy()
    n = D.shape[0]
    for k in range(n):
        for j in range(n):
            D[0, k] += 0.1 * D[1, j]
            D[0, j] *= 0.5
    return np.sum(D**2)


def two_cells(D):
    D = D.copy()
    n = D.shape[0]
    for k in range(1, n):
        for j in range(n):
            D[1, j] += 0.001 * D[1, k] * D[1, k - 1]
    return np.sum(D**2)


def by_data(D):
    """Where the loop goes is data: any round may be at the cell."""
    D = D.copy()
    n = D.shape[0]
    for j in range(n):
        D[0, int(D[1, j] * n) % n] += 0.1 * D[0, 2]
    return np.sum(D**2)


PROGRAMS = [paths, backwards, before_and_after, added, two_cells, by_data]


@pytest.mark.parametrize("n", [3, 4, 11])
@pytest.mark.parametrize("f", PROGRAMS)
def test_values_and_gradients(f, n):
    D = np.random.default_rng(n).uniform(0.1, 5.0, (n, n))
    value, slope = value_and_grad(f)(D)
    want, wanted = value_and_grad(f, backend="numpy")(D)
    np.testing.assert_allclose(jit(f)(D), f(D), rtol=1e-13)
    np.testing.assert_allclose(value, want, rtol=1e-13)
    np.testing.assert_allclose(slope, wanted, rtol=1e-11, atol=1e-13)


def loops(f):
    program = make_ir(f)(np.ones((20, 20)))
    lines = compile_program(program).source.splitlines()
    return sum(line.lstrip().startswith("for ") for line in lines)


def test_a_loop_is_split_where_one_round_meets_the_cell():
    # Two more loops than are written (beside the copy's and the sum's two).
    assert loops(paths) == 3 + 2 + 4
    assert loops(before_and_after) == 2 + 4  # there may be no such round
    assert loops(two_cells) == 2 + 4  # two rounds: as it stands
    assert loops(by_data) == 1 + 4
