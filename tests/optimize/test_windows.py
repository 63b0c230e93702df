"""Neighbouring cells of a loop are held in registers, in whichever order it runs."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import jit, make_ir, value_and_grad
from tracejit.optimize.lower import lower
from tracejit.optimize.nest import Load, Loop
from tracejit.optimize.walks import everything


def upwards(x, y):
    x = x.copy()
    for i in range(1, x.shape[0]):
        x[i] = y[i] - 0.5 * x[i - 1]
    return np.sum(x**2)


def downwards(x, y):
    x = x.copy()
    for i in range(x.shape[0] - 2, -1, -1):
        x[i] = y[i] - 0.5 * x[i + 1]
    return np.sum(x**2)


def by_twos(x, y):
    x = x.copy()
    for i in range(x.shape[0] - 3, -1, -2):
        x[i] = y[i] - 0.5 * x[i + 2]
    return np.sum(x**2)


def by_data(x, y):
    x = x.copy()
    for i in range(int(y[0] * 2.0), int(y[1] * 2.0) - 1, -1):
        x[i] = y[i] - 0.5 * x[i + 1]
    return np.sum(x**2)


@pytest.mark.parametrize("n", [9, 12])
@pytest.mark.parametrize("f", [upwards, downwards, by_twos, by_data])
def test_values_and_gradients(f, n):
    x, y = np.random.default_rng(n).uniform(size=(2, n))
    value, slopes = value_and_grad(f, argnums=(0, 1))(x, y)
    numpy = value_and_grad(f, argnums=(0, 1), backend="numpy")
    np.testing.assert_allclose(value, numpy(x, y)[0], rtol=1e-13)
    for slope, wanted in zip(slopes, numpy(x, y)[1], strict=True):
        np.testing.assert_allclose(slope, wanted, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(jit(f)(x, y), f(x, y), rtol=1e-13)


@pytest.mark.parametrize("f", [upwards, downwards])
def test_what_the_last_round_wrote_is_not_loaded(f):
    x, y = np.random.default_rng(0).uniform(size=(2, 50))
    kernel = lower(make_ir(f)(x, y))
    loops = [n for n in everything(kernel.body) if isinstance(n, Loop)]
    (sweep,) = [loop for loop in loops if loop.rounds == 49]
    places = [n.index[0] - sweep.index for n in sweep.body if isinstance(n, Load)]
    assert [place.constant for place in places] == [0, 0]  # not the neighbour's
