"""What a call does to arrays of objects, closures and globals: what NumPy would do."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import tracejit as tj
from tests.test_arguments import X, both, same
from tracejit.base.errors import OverlapError

TABLE = np.zeros(6)


@both
def test_captured_arrays(backend):
    local = np.ones(6)
    state = {"w": np.ones(6), "list": [np.ones(6)]}

    def fn(x):
        TABLE[1:] += x[1:]
        local[0] = np.sum(TABLE)
        state["w"] *= 2
        state["list"][0][1] -= 1
        return np.sum(local)

    TABLE[:] = 0
    jitted = tj.jit(fn, backend=backend)
    held = [state["w"], state["list"][0]]
    for k in range(1, 4):
        total = jitted(X)
        same(TABLE[1:], k * X[1:])
        same(local[0], k * np.sum(X[1:]))
        same(total, local[0] + 5)
        same(state["w"], np.full(6, 2.0**k))
        assert state["list"][0][1] == 1 - k
        assert state["w"] is held[0] and state["list"][0] is held[1]
    slope = tj.grad(fn, backend=backend)
    for k in range(4, 6):  # by a derivative, too: they are no arguments
        same(slope(X), np.array([0.0, 1.0, 1.0, 1.0, 1.0, 1.0]))
        same(TABLE[1:], k * X[1:])
        same(state["w"], np.full(6, 2.0**k))
        assert state["list"][0][1] == 1 - k


@both
def test_arrays_of_objects(backend):
    class Model:
        def __init__(self):
            self.w = np.ones(6)
            self.inner = SimpleNamespace(v=np.zeros(6))
            self.steps = 0

        def step(self, g):
            self.inner.v *= 0.9
            self.inner.v += g
            self.w -= 0.1 * self.inner.v
            return np.sum(self.w)

    ours, theirs = Model(), Model()
    step = tj.jit(ours.step, backend=backend)
    for k in range(4):
        w, v = ours.w, ours.inner.v
        same(step(X * k), theirs.step(X * k))
        same(ours.w, theirs.w)
        same(ours.inner.v, theirs.inner.v)
        assert ours.w is w and ours.inner.v is v
    ours.w = np.zeros(6)
    theirs.w = np.zeros(6)
    same(step(X), theirs.step(X))
    same(ours.w, theirs.w)
    w, value_and_grad = ours.w, tj.value_and_grad(ours.step, backend=backend)
    for _ in range(3):
        same(value_and_grad(X)[0], theirs.step(X))
        same(ours.w, theirs.w)
        assert ours.w is w


@both
def test_what_is_written_does_not_reach_the_sweep(backend):
    weights = np.arange(1.0, 7.0)

    def fn(x):
        total = np.sum(weights * x**2)
        weights[:] *= -1.0
        return total

    before = weights.copy()
    _, pull = tj.vjp(fn, X, backend=backend)
    same(weights, -before)
    same(pull(1.0)[0], 2 * before * X)
    weights[:] = 0.0
    same(pull(1.0)[0], 2 * before * X)


def test_derivatives_within_one_another_write_to_arrays_once():
    state = np.ones(6)

    def inner(x):
        state[:] *= x
        return np.sum(state**2)

    def outer(x):
        return np.sum(tj.grad(inner)(x)) + np.sum(state)

    ours = tj.value_and_grad(outer, backend="numpy")
    for _ in range(2):
        value, slope = ours(X)
        same(state, X)
        same(value, np.sum(2 * X) + np.sum(X))
        same(slope, np.full(6, 2.0) + 1.0)
        state[:] = 1.0
    tj.grad(lambda x: tj.grad(lambda a: inner(a * x))(2.0), backend="numpy")(X)
    same(state, 2.0 * X)


def test_an_argument_is_left_alone_under_another_name():
    table = np.arange(6.0)

    def fn(x):
        table[:] = 0.0
        return np.sum(x**2)

    with pytest.raises(OverlapError, match="shares memory"):
        tj.grad(fn, backend="numpy")(table)
    with pytest.raises(OverlapError, match="shares memory"):
        tj.jit(lambda: tj.grad(fn)(table), backend="numpy")()
    same(table, np.arange(6.0))


def test_a_read_only_array_of_the_outside():
    table = np.arange(6.0)
    table.setflags(write=False)

    def fn(x):
        table[0] = x[0]
        return np.sum(table)

    with pytest.raises(ValueError, match="read-only"):
        tj.grad(fn, backend="numpy")(X)


@both
def test_an_argument_that_is_captured_as_well(backend):
    table = np.arange(6.0)

    def fn(x):
        x += 1
        return np.sum(table)

    jitted = tj.jit(fn, backend=backend)
    other = X.copy()
    assert jitted(other) == 15.0
    assert jitted(table) == 21.0
    assert jitted(table[:3]) == 24.0
    assert jitted(other) == 24.0


def test_one_array_by_two_names():
    first = np.zeros(6)
    second = first[::-1]

    def fn(x):
        first[0] = x[0]
        return np.sum(second[-1])

    assert tj.jit(fn, backend="numpy")(X) == X[0] == first[0]


def test_decisions_on_an_array_that_is_written_to():
    order = np.array([2, 0, 1])

    def fn(x):
        names = ["a", "b", "c"]
        order[:] = order[::-1].copy()
        return x[order[0]], names[int(order[0])]

    jitted = tj.jit(fn, backend="numpy")
    for _ in range(3):
        expected = order[::-1].copy()
        value, name = jitted(X)
        same(order, expected)
        assert (value, name) == (X[order[0]], "abc"[order[0]])
