"""Of a choice, what nobody looks at is not chosen; what somebody does, is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.optimize.test_clean import names
from tests.transform.programs import total
from tracejit import grad, make_ir
from tracejit.base.source import UNKNOWN
from tracejit.ir.builder import current
from tracejit.ops import elementwise as ew
from tracejit.ops.dead import eliminate_dead
from tracejit.optimize.clean import simplify

N = (5,)


def choices(fn):
    """How many choices are left; the first walk finds that predicates are equal."""
    left = names(fn, N, N, passes=(simplify, simplify, eliminate_dead))
    return left.count("select")


def masked(fill, after, other):
    """A choice, what follows it, and a choice by the same predicate."""

    def program(x, y):
        p = ew.lt(x, y)
        return ew.select(p, after(ew.select(p, x, fill)), other(y))

    return program


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, y: ew.select(ew.lt(x, y), ew.select(ew.lt(x, y), x, 1), y),
        lambda x, y: ew.select(ew.lt(x, y), y, ew.select(ew.lt(x, y), 1, x)),
        lambda x, y: ew.select(ew.lt(x, y), y, ew.sin(ew.select(ew.lt(x, y), x, 1))),
        masked(1, ew.exp, ew.sin),
        masked(1, lambda x: ew.exp(x) * x, lambda y: y),
        lambda x, y: ew.select(ew.le(x, y), ew.select(ew.isnan(x), y, ew.sin(x)), y),
    ],
)
def test_what_is_not_looked_at_is_not_chosen(fn):
    assert choices(fn) == 1


@pytest.mark.parametrize(
    "fn",
    [
        # Under another predicate; looked at elsewhere, too; for an integer. NaN is not
        # equal to anything.
        lambda x, y: ew.select(ew.ne(x, y), ew.select(ew.isnan(x), y, ew.sin(x)), y),
        lambda x, y: ew.select(ew.gt(x, y), ew.sin(ew.select(ew.lt(x, y), x, 1)), y),
        lambda x, y: masked(1, ew.exp, ew.sin)(x, y) + ew.select(ew.lt(x, y), x, 1),
        lambda x, y: ew.select(
            ew.lt(x, y),
            ew.cast(ew.select(ew.lt(x, y), x, 1), dtype=np.dtype(np.int64)),
            0,
        ),
    ],
)
def test_what_is_looked_at_is_chosen(fn):
    assert choices(fn) == 2


def test_a_sum_looks_at_everything():
    def program(x, y):
        p = ew.lt(x, y)
        return total(ew.select(p, x, 1)) * total(ew.select(p, ew.select(p, x, y), y))

    assert choices(program) == 2


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_no_nan_from_where_a_mask_does_not_hold(backend):
    def loss(x):
        y = np.ones_like(x)
        m = x > 0.0
        y[m] = np.sqrt(x[m]) / x[m] + np.log(x[m])
        return np.sum(y)

    x = np.array([-1.0, 0.0, 4.0, np.nan])
    slope = grad(loss, backend=backend)(x)
    np.testing.assert_allclose(slope, [0.0, 0.0, -0.5 * 4.0**-1.5 + 0.25, 0.0])


def escape(a, b):
    x, y, shade = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a)
    for _ in range(6):
        inside = x * x + y * y < 4.0
        real = x[inside] ** 2 - y[inside] ** 2 + a[inside]
        y[inside] = 2.0 * x[inside] * y[inside] + b[inside]
        x[inside] = real
        shade[inside] += np.exp(-(x[inside] ** 2) - y[inside] ** 2)
    return np.mean(shade)


def roots(a, b):
    """Outside of the mask, logarithms are of negative numbers."""
    x = a.copy()
    for _ in range(3):
        m = x > 0.5
        x[m] = x[m] - 0.3 * b[m] * np.log(x[m] - 0.5)
    return np.sum(x**2)


def looked_at(a, b):
    """What is saved is read beyond the mask, too."""
    x, s = a.copy(), np.zeros_like(a)
    for _ in range(4):
        m = x > 0.2
        y = np.where(m, np.exp(np.where(m, x, b)), x)
        s += y * y * np.where(x > 0.1, y, 1.0)
        x = 0.9 * np.sin(y)
    return np.sum(s)


@pytest.mark.parametrize("fn", [escape, roots, looked_at])
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_what_a_loop_saves(fn):
    a, b = np.random.default_rng(0).normal(size=(2, 9))
    slopes = grad(fn, argnums=(0, 1), backend="numpy")(a, b)
    h = 1e-6
    for k, slope in enumerate(slopes):
        for i in range(9):
            step = np.zeros(9)
            step[i] = h
            up, down = ([(a + d, b), (a, b + d)][k] for d in (step, -step))
            assert np.isclose(slope[i], (fn(*up) - fn(*down)) / (2 * h), atol=1e-6)


def test_what_fills_a_mask_goes_though_it_is_saved():
    a, b = np.ones((2, 9))
    assert "argmax" not in str(make_ir(grad(escape, argnums=(0, 1)))(a, b))


def again(x, y):
    """Of a derivative, which says where it comes from."""
    p = ew.lt(x, y)
    part = ew.select(p, ew.sin(x), 0.0)
    with current().at(UNKNOWN, origin=current().stack[-1][-1]):
        return ew.select(p, ew.neg(part + part), 0.0) + ew.cos(part)


def elsewhere(x, y):
    p = ew.lt(x, y)
    part = ew.select(p, ew.sin(x), 0.0)
    with current().at(UNKNOWN, origin=current().stack[-1][-1]):
        return ew.select(p, ew.neg(part + y), 0.0) + ew.cos(part)


def test_what_is_zero_beyond_is_not_chosen_again():
    assert (choices(again), choices(elsewhere)) == (1, 2)
