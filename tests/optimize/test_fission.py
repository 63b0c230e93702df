"""Rows in blocks: the same results, and loops of the shape that vectors need."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit
from tests.backend.random_programs import Maker, arguments, run_as_python
from tracejit import make_ir, value_and_grad
from tracejit.backend.numba_source import write
from tracejit.ir.evaluate import evaluate
from tracejit.optimize import fission
from tracejit.optimize.lower import lower
from tracejit.optimize.nest import Buffer, Let, Load, Loop
from tracejit.optimize.walks import everything


@pytest.fixture
def few_rows(monkeypatch):
    """Blocks of two rows, and of everything that may be parted."""
    monkeypatch.setattr(fission, "ROWS", 2)
    monkeypatch.setattr(fission, "COSTLY", 1)


@pytest.mark.parametrize("block", range(8))
def test_random_programs(few_rows, block):
    for seed in range(9000 + 25 * block, 9025 + 25 * block):
        program = Maker(seed).program(4 + seed % 9)
        given = arguments(program)
        got = run_as_python(program, given)
        for mine, theirs in zip(got, evaluate(program, given), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10)


def regression(w, X, y):
    return np.mean(np.log1p(np.exp(-y * (X @ w))))


def survival(w, X, y):
    return np.sum(y * np.log(np.cumsum(np.exp(X @ w))))


def softmax(w, X, y):
    z = X * w
    p = np.exp(z - np.max(z, axis=1)[:, None])
    return np.sum(y * np.log(np.sum(p, axis=1)))


def clusters(w, X, y):
    d = X[:, None, :2] - X[None, :5, :2]
    return np.sum(np.log(np.sum(np.exp(-np.sum(d * d, axis=2)), axis=1)) * y) * w[0]


def written_out(w, X, y):
    out = np.zeros(y.shape[0])
    for i in range(y.shape[0]):
        total = 0.0
        for j in range(w.shape[0]):
            total += X[i, j] * w[j]
        out[i] = np.exp(total) * y[i]
    return np.sum(out**2)


def recurrence(w, X, y):
    state, total = 0.1, 0.0
    for i in range(y.shape[0]):
        state = 0.5 * state + np.exp(X[i, 0]) * w[0]
        total += np.sin(y[i]) * state
    return total


def neighbours(w, X, y):
    x = X[:, 0].copy()
    for i in range(1, y.shape[0]):
        x[i] = np.exp(-y[i]) + 0.5 * x[i - 1]
    return np.sum(np.sin(x)) * w[1]


def histogram(w, X, y):
    bins = np.zeros(4)
    for i in range(y.shape[0]):
        bins[int(abs(y[i]) * 10.0) % 4] += np.exp(X[i] @ w)
    return np.sum(bins**2)


PROGRAMS = [regression, survival, softmax, clusters, written_out]
PROGRAMS += [recurrence, neighbours, histogram]


def given(n, columns=6):
    rng = np.random.default_rng(0)
    w, X = 0.3 * rng.normal(size=columns), rng.normal(size=(n, columns))
    return w, X, rng.normal(size=n)


@pytest.mark.parametrize("f", PROGRAMS)
@pytest.mark.parametrize("n", [1, 2, 7])
def test_numpy_functions(few_rows, f, n):
    args = given(max(n, 5) if f is clusters else n)
    program = tracejit.make_ir(value_and_grad(f, (0, 1)))(*args)
    value, (by_w, by_X) = value_and_grad(f, (0, 1), backend="numpy")(*args)
    got = run_as_python(program, list(args[: len(program.inputs)]))
    for mine, theirs in zip(got, (value, by_w, by_X), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("f", PROGRAMS)
def test_compiled_with_a_last_block_that_is_not_full(f):
    args = given(2 * fission.ROWS + 3)
    value, (by_w, by_X) = value_and_grad(f, (0, 1), backend="numpy")(*args)
    got = value_and_grad(f, (0, 1))(*args)
    np.testing.assert_allclose(got[0], value, rtol=1e-10)
    np.testing.assert_allclose(got[1][0], by_w, rtol=1e-10)
    np.testing.assert_allclose(got[1][1], by_X, rtol=1e-10, atol=1e-14)


def kernel(f, n):
    return lower(tracejit.make_ir(value_and_grad(f))(*given(n, 12)))


@pytest.mark.parametrize("f", [regression, survival, softmax, clusters, written_out])
def test_functions_stand_in_innermost_loops(f):
    loops = [n for n in everything(kernel(f, 500).body) if isinstance(n, Loop)]
    costly = [loop for loop in loops if any(map(fission._is_costly, loop.body))]
    assert costly
    for loop in costly:
        inner = [node for node in loop.body if isinstance(node, Loop)]
        assert all(map(fission._is_taken_apart, inner))


def test_functions_leave_the_chain_that_runs_through_the_rows():
    nodes = everything(kernel(recurrence, 500).body)
    loops = [n for n in nodes if isinstance(n, Loop) and n.index.hint == "i"]
    chained = [loop for loop in loops if any(isinstance(n, Let) for n in loop.body)]
    assert chained
    for loop in chained:
        assert not any(map(fission._is_costly, loop.body))


def test_what_only_a_block_looks_at_has_no_other_rows():
    source = write(kernel(softmax, 10 * fission.ROWS))
    sizes = [b.aval.size for b in source.arguments if isinstance(b, Buffer)]
    n = 10 * fission.ROWS
    assert sizes.count(12 * n) <= 2, "X, and at most what the way back needs of it"


def nearest(w, X, y):
    d = X[:, None, :6] - X[None, :9, :6]
    return np.sum(np.min(np.sum(d * d, axis=2), axis=1) * y) * w[0]


def test_numbers_of_a_row_that_a_short_loop_comes_back_to_lie_side_by_side():
    args = given(500, 12)
    nodes = everything(lower(tracejit.make_ir(value_and_grad(nearest))(*args)).body)
    short = [n for n in nodes if isinstance(n, Loop) and n.index.hint == "j"]
    turned = [n for n in short if any(isinstance(r, Loop) for r in n.body)]
    assert turned
    loads = [n for n in everything(turned) if isinstance(n, Load)]
    from_X = [n for n in loads if n.shape == (500, 12)]
    short_indices = {n.index for n in turned}
    of_rows = [n for n in from_X if short_indices.isdisjoint(n.index[0].vars)]
    assert from_X
    assert not of_rows, "these are read once for a block, not in every round"


def test_numbers_side_by_side_are_right(few_rows):
    args = given(20, 12)
    program = tracejit.make_ir(value_and_grad(nearest))(*args)
    expected = value_and_grad(nearest, backend="numpy")(*args)
    got = run_as_python(program, list(args))
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10)


def test_a_sum_of_costly_functions_stays_one_loop():
    def total(x):
        s = 0.0
        for j in range(len(x)):
            s += np.sin(x[j])
        return s

    lines = write(lower(make_ir(total)(np.ones(300)))).text.splitlines()
    assert sum(line.strip().startswith("for ") for line in lines) == 1
