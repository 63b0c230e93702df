"""What a choice leaves out contributes nothing to a derivative, not even a NaN."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad


def by_where(x):
    r = np.sqrt(x)
    return np.sum(np.triu(np.where(r > 0, 1.0 / r, r), 1))


def by_mask(x):
    r = np.sqrt(x)
    r[r > 0] = 1.0 / r[r > 0]
    return np.sum(np.triu(r, 1))


def by_two_masks(x):
    r = np.sqrt(x)
    near, far = (x > 0.1) & (x < 1), x >= 1
    return np.sum(np.where(near, r, 0.0)) + np.sum(np.where(far, 2 * r, 0.0))


def slope(name, x):
    if name == "by_two_masks":
        return np.where(x >= 1, 2.0, 1.0) * np.where(x > 0.1, 0.5, 0) / np.sqrt(x)
    return np.triu(-0.5 * x**-1.5, 1)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("fn", [by_where, by_mask, by_two_masks])
def test_of_several_uses(fn, backend):
    x = np.abs(np.random.default_rng(0).normal(size=(3, 3))) + 0.2
    x[np.diag_indices(3)] = 0  # where the slope of the root is infinite
    with np.errstate(all="ignore"):
        expected = np.nan_to_num(slope(fn.__name__, x), posinf=0)
    np.testing.assert_allclose(grad(fn, backend=backend)(x), expected, rtol=1e-12)


@pytest.mark.parametrize("fn", [by_where, by_mask])
def test_of_second_derivatives(fn):
    x = np.abs(np.random.default_rng(0).normal(size=(3, 3)))
    x[np.diag_indices(3)] = 0

    def total(x):
        return np.sum(grad(fn, backend="numpy")(x))

    with np.errstate(divide="ignore"):
        expected = np.triu(0.75 * x**-2.5, 1)
    np.testing.assert_allclose(grad(total, backend="numpy")(x), expected, rtol=1e-12)
