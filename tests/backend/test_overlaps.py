"""Writes of an array into a part of itself, in another order."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import jit


def turned(x):
    x[::-1] = x
    return x


def turned_in_rounds(x):
    for i in range(3):
        x[0] += i
        x[::-1] = x
    return x


def square(x):
    y = np.zeros((3, 3))
    y[1], y[0] = x, x * 2
    y.T[:] = y
    for i in range(3):
        y[0, 0] += i
        y[::-1] = y
        y[:, ::-1] = y
        y[::-1, ::-1] = y
        y[[2, 0, 1]] = y
        y[1] = y[:, 1]
        y[:, 0] = y[1]
    return y


def shifted(x):
    x[1:] = x[:-1]
    x[:-1] += x[1:]
    x[:] = x[::-1] * 2
    return x


@pytest.mark.parametrize("fn", [turned, turned_in_rounds, square, shifted])
def test_are_as_if_it_were_copied_first(fn):
    mine, other = np.array([1.0, 2, 4]), np.array([1.0, 2, 4])
    np.testing.assert_array_equal(jit(fn)(mine), fn(other))
    np.testing.assert_array_equal(mine, other)
