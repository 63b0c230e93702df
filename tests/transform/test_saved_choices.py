"""What a derivative decides by is saved as bytes, not as the numbers that it compares;
and of two numbers Python's `min` and `max` choose as Python does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracejit import check_grads, grad, make_ir, value_and_grad
from tracejit.ir.program import walk


def shortest(D):
    D = D.copy()
    n = D.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                D[i, j] = min(D[i, j], D[i, k] + D[k, j])
    return np.sum(D**2)


def shortest_by_rows(D):
    for k in range(D.shape[0]):
        D = np.minimum(D, D[:, k, None] + D[k])
    return np.sum(D**2)


def clipped(x):
    for _ in range(5):
        for i in range(1, x.shape[0]):
            x[i] = np.maximum(1.5 * x[i] - x[i - 1], 0.1)
    return np.sum(x**2)


def shrunk(x):
    x = x.copy()
    for _ in range(5):
        for i in range(1, x.shape[0]):
            x[i] = abs(x[i] - 0.3 * x[i - 1]) * 0.9
    return np.sum(x**2)


X = np.random.default_rng(0).uniform(0.1, 2.0, 6)
D = X[:, None] * X[::-1]


def tapes(f, x):
    eqns = walk(make_ir(grad(f))(x).region)
    return [e.out.aval for e in eqns if e.prim.name == "empty"]


@pytest.mark.parametrize(
    ("f", "x", "count"), [(shortest, D, 2), (shortest_by_rows, D, 2), (clipped, X, 2)]
)
def test_choices_are_saved_as_bytes(f, x, count):
    found = tapes(f, x)
    assert [t.dtype for t in found] == [np.dtype(bool)] * count
    check_grads(lambda x: f(x.copy()), (x,), order=1)


def test_what_a_number_is_needed_for_is_saved_once():
    assert len(tapes(shrunk, X)) == 1
    check_grads(shrunk, (X,), order=1)


@pytest.mark.parametrize("pick", [min, max])
@pytest.mark.parametrize(
    ("a", "b"),
    [(1.0, 2.0), (2.0, 1.0), (math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0)],
)
def test_the_one_that_is_chosen_has_all(pick, a, b):
    value, slopes = value_and_grad(lambda a, b: pick(a, b), (0, 1))(a, b)
    chosen = pick(a, b)
    np.testing.assert_array_equal(value, chosen)
    assert slopes == ((1, 0) if chosen is a else (0, 1))


@pytest.mark.parametrize("pick", [min, max, np.minimum, np.maximum])
def test_equal_ones_share(pick):
    both = grad(lambda a, b: 3 * pick(a, b), (0, 1))
    for x in (0.5, math.inf):
        assert both(x, x) == (1.5, 1.5)
    second = grad(lambda a: grad(lambda b: pick(a * b, 2.0 * b))(3.0))
    assert (second(1.0), second(3.0)) == ((1, 0) if "min" in str(pick) else (0, 1))
