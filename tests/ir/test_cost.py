"""Counting operations on paper."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import cost, grad, make_ir, vmap
from tracejit.ir.cost import ASSUMED_ROUNDS, multiplications


def flops(fn, *args):
    return cost(fn)(*args).primal.flops


def times(fn, *args):
    return multiplications(make_ir(fn)(*args))


@pytest.mark.parametrize(
    "shapes, expected",
    [(((3,), (3,)), 3), (((2, 3), (3,)), 6), (((2, 3), (3, 4)), 24)],
)
def test_products_of_arrays(shapes, expected):
    a, b = map(np.ones, shapes)
    assert times(lambda a, b: a @ b, a, b) == expected
    assert flops(lambda a, b: a @ b, a, b) == 2 * expected


def test_elements_are_counted_where_the_work_is():
    x = np.ones((3, 4))
    assert flops(lambda x: x + x, x) == 12
    assert flops(lambda x: np.sum(x), x) == 12
    assert flops(lambda x: np.exp(x), x) > 5 * flops(lambda x: x * x, x)
    assert flops(lambda x: x[0] * 2.0, x) < 12
    assert flops(lambda x: x.T.reshape(2, 6), x) == 0


def loops(x):
    for i in range(1, 5):
        for j in range(3):
            x[i] = x[i] * x[j]
    return x


def until(x):
    while x < 10.0:
        x = x * x
    return x


def either(x):
    return x * x * x if x > 1.0 else x + 1.0


def test_loops_and_branches():
    assert times(loops, np.ones(6)) == 12
    assert times(until, 2.0) == ASSUMED_ROUNDS
    assert times(either, 2.0) == 2
    assert times(vmap(either), np.ones(7)) == 14


def test_a_gradient_costs_a_few_functions():
    def f(W, x):
        return np.sum(np.tanh(W @ x))

    W, x = np.ones((20, 30)), np.ones(30)
    found = cost(grad(f, argnums=(0, 1)))(W, x)
    assert found.adjoint is not None
    assert 2.0 < found.adjoint.flops / found.primal.flops < 4.0
    assert cost(f)(W, x).primal == found.primal
