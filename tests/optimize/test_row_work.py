"""Work on gathered rows is done once for each row, and never where none is gathered."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tracejit import grad, make_ir, value_and_grad

RNG = np.random.default_rng(0)
MANY = 60
K, L = RNG.integers(0, 5, size=(2, MANY))
P, Y = RNG.normal(size=(MANY, 3)), RNG.normal(size=MANY)


def turned(C):
    r = C[K]
    angle = np.sqrt(np.sum(r**2, axis=1))[:, None]
    axis = r / angle
    along = np.sum(axis * P, axis=1, keepdims=True)
    p = np.cos(angle) * P + np.sin(angle) * np.cross(axis, P)
    return np.sum((p + (1.0 - np.cos(angle)) * along * axis) ** 3)


def embedded(C):
    return np.sum((np.tanh(np.exp(C[K])) @ np.ones((3, 2)) - P[:, :2]) ** 2)


def softmax(C):
    x = C[K]
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return np.sum(np.log(e / np.sum(e, axis=1, keepdims=True))[:, 0] * Y)


def pairs(C):
    return np.sum(np.exp(-np.sum((np.tanh(C[K]) - np.tanh(np.sin(C[L]))) ** 2, axis=1)))


def segments(C):
    out = np.zeros((5, 3))
    np.add.at(out, K, np.exp(np.sin(C[K])) * Y[:, None])
    return np.sum(out**2)


def looped(C):
    total = 0.0
    for t in range(4):
        total = total + np.sum(np.sin(np.exp(C[K]) * t) * Y[:, None])
        C = 0.9 * C
    return total


def overwritten(C):
    C = C.copy()
    first = np.exp(np.sin(C[K]))
    C[2] = 0.5
    return np.sum((first - np.exp(np.sin(C[K]))) ** 2 * Y[:, None]) + np.sum(C)


PROGRAMS = (turned, embedded, softmax, pairs, segments, looped, overwritten)


def of_rows(f, *args):
    """The names of the functions that a program computes, and of how many rows."""
    lines = str(make_ir(value_and_grad(f))(*args)).splitlines()
    calls = (re.search(r"= (\w+)\(.*# f64\[(\d+)", line) for line in lines)
    return {(m[1], int(m[2])) for m in calls if m}


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_gradients_are_numeric_ones(f):
    C, d = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 3))
    value, slope = value_and_grad(f, backend="numpy")(C)
    assert value == pytest.approx(f(C), rel=1e-12)
    numeric = (f(C + 1e-5 * d) - f(C - 1e-5 * d)) / 2e-5
    assert np.sum(slope * d) == pytest.approx(numeric, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("f", [turned, segments], ids=lambda f: f.__name__)
def test_compiled_gradients_are_those_of_the_interpreter(f):
    C = RNG.normal(size=(7, 3))
    want = value_and_grad(f, backend="numpy")(C)
    value, slope = value_and_grad(f)(C)
    assert value == pytest.approx(want[0], rel=1e-12)
    np.testing.assert_allclose(slope, want[1], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    "f, name", [(turned, "sqrt"), (turned, "cos"), (pairs, "tanh")]
)
def test_functions_are_computed_once_for_each_row(f, name):
    rows = {n for other, n in of_rows(f, np.ones((7, 3))) if other == name}
    assert rows == {7}


def test_rows_are_worked_on_as_they_come_where_there_are_as_many():
    assert ("cos", MANY) in of_rows(turned, np.ones((MANY // 2 + 1, 3)))


def light(C):
    return np.sum((C[K] * 2.0 - P) ** 2)


def test_what_is_cheap_stays():
    assert ".set(" not in str(make_ir(grad(light))(np.ones((7, 3))))
    assert ".set(" in str(make_ir(grad(pairs))(np.ones((7, 3))))


@pytest.mark.parametrize("nobodys", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("f", [turned, softmax, pairs], ids=lambda f: f.__name__)
def test_rows_that_nobody_gathers_have_no_slope(f, nobodys):
    C = RNG.normal(size=(7, 3))
    want = grad(f, backend="numpy")(C)
    C[5:] = nobodys  # where the angle is 0, its slope is infinite
    for backend in ("numpy", "numba") if f is turned else ("numpy",):
        slope = grad(f, backend=backend)(C)
        np.testing.assert_allclose(slope, want, rtol=1e-11, atol=1e-12)
        assert not slope[5:].any()
