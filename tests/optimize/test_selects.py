"""Rounds that are left out: of sums by a selection, of all else by loops apart."""

from __future__ import annotations

import numpy as np
import pytest

from tests.optimize.kernels import text_of
from tracejit import check_grads, grad, jit

X = np.random.default_rng(0).normal(size=12)
P = np.random.default_rng(1).normal(size=(12, 3))


def inverses(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if j == i:
                continue
            s -= 1.0 / (x[i] - x[j]) ** 2  # infinite in the round left out
    return s


def two_places(p):
    f = np.zeros_like(p)
    for i in range(len(p)):
        for j in range(len(p)):
            if i != j:
                d = p[j] - p[i]
                r = np.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2 + 0.1)
                f[i] += d / r**3
                f[j] -= 0.1 * d
                f[j] -= np.sin(r)
    return f


def two_sums(x):
    s, n = 0.0, 0
    for i in range(len(x)):
        for j in range(1, len(x)):
            s += 0.1 * x[j]
            if i + 1 != j:
                s = 1.0 + (s + x[j] * x[i])
                n += j
    return s + n


def on_both_sides(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                s += x[i] * x[j]
            else:
                s -= x[i] * x[i]
    return s


def one_of_two(x):
    out = np.zeros(len(x))
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                y = x[i] - x[j]
            else:
                y = 0.25
            out[i] += y * x[j]
    return out


def beside_the_array(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x) + 1):
            if j != len(x):
                s += x[j] * x[i]
    return s


def by_an_index(x):
    s, order = 0.0, np.argsort(x)
    for i in range(len(x)):
        for j in range(len(x)):
            if j != i:
                s += x[order[j]] / x[i]
    return s


def of_integers(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if j != i:
                s += x[i] * (12 // (i - j))
    return s


def with_memory(x):
    s = 0.0
    for i in range(len(x)):
        last = 0.0
        for j in range(len(x)):
            if j != i:
                s += last * x[i]
                last = x[j]
    return s


def overwritten(x):
    x = x.copy()
    for i in range(len(x)):
        for j in range(len(x)):
            if j != i:
                x[j] = 0.5 * x[j] + 0.1 * x[i]
    return x


SELECTED = [(two_places, P), (two_sums, X), (one_of_two, X), (with_memory, X)]
OTHERS = [
    *[(on_both_sides, X), (beside_the_array, X), (by_an_index, X), (of_integers, X)],
    (overwritten, X),
]


@pytest.mark.parametrize("fn, x", SELECTED + OTHERS)
def test_numbers(fn, x):
    for n in (1, 2, 12):
        text_of(fn, x[:n])
    text_of(grad(lambda x: np.sum(fn(x))), x)


@pytest.mark.parametrize("fn, x", SELECTED)
def test_sums_go_on_in_the_round_left_out(fn, x):
    for f in (fn, grad(lambda x: np.sum(fn(x)))):
        text = text_of(f, x)
        assert "_tj_select" in text
        assert " " * 12 + "if" not in text


@pytest.mark.parametrize("fn, x", OTHERS)
def test_what_cannot_be_left_unread_or_undone_stays(fn, x):
    assert "(-0.0)" not in text_of(fn, x)


@pytest.mark.parametrize("fn, x", [*SELECTED, (inverses, X)])
def test_compiled(fn, x):
    np.testing.assert_allclose(jit(fn)(x), fn(x), rtol=1e-12)
    check_grads(fn, (x,), order=1)
