"""Transposes move behind what is computed of them, and vanish in sums and products."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, jit, make_ir

RNG = np.random.default_rng(0)
X, Y = RNG.uniform(0.5, 2, (2, 4, 3))
CUBE = RNG.normal(size=(2, 3, 4))


def transposes(fn, *args):
    return [e for e in make_ir(jit(fn))(*args).walk() if e.prim.name == "transpose"]


GONE = {
    "sum": lambda x, y: np.sum(x.T, axis=1),
    "max": lambda x, y: np.max(x.T * 2, axis=0),
    "mean": lambda x, y: np.mean(np.exp(x.T) - y.T, axis=1),
    "any": lambda x, y: np.any(x.T > y.T, axis=0),
    "spread": lambda x, y: np.sum(x.T * np.arange(4.0), axis=0),
    "product": lambda x, y: (x.T - x.T.mean()) @ (y - 1.0),
    "twice": lambda x, y: (x.T / y.T).T,
}


@pytest.mark.parametrize("name", GONE)
def test_those_that_vanish(name):
    fn = GONE[name]
    assert not transposes(fn, X, Y)
    np.testing.assert_allclose(jit(fn)(X, Y), fn(X, Y), rtol=1e-14)


def cube(x):
    return x[:, :, None] + x[0] * x[1, :, None]


STAY = {
    "beside": lambda x, y: x[:3].T + y[:3],
    "turned": lambda x, y: np.prod(cube(x).transpose(2, 0, 1) * x[0, 0], axis=1),
    "two ways": lambda x, y: cube(x).transpose(2, 0, 1) * cube(x).transpose(1, 2, 0),
    "spread": lambda x, y: cube(x).transpose(2, 0, 1) * y[0] + y[1][:, None],
    "result": lambda x, y: np.sqrt(x.T) * y[0, 0],
}


@pytest.mark.parametrize("name", STAY)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_values(name, backend):
    fn, x = STAY[name], RNG.uniform(0.5, 2, (3, 3))
    np.testing.assert_allclose(jit(fn, backend=backend)(x, x), fn(x, x), rtol=1e-14)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize(
    "perm", [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
)
def test_reductions_along_any_axes(axes, perm):
    def fn(x):
        return np.sum(x.transpose(perm), axis=axes), np.max(
            x.transpose(perm), axis=axes
        )

    for mine, theirs in zip(jit(fn, backend="numpy")(CUBE), fn(CUBE), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-13)


@pytest.mark.parametrize("perm", [(1, 2, 3, 0), (2, 0, 3, 1), (3, 0, 1, 2)])
@pytest.mark.parametrize("axis", range(4))
def test_what_is_left_of_four_axes(perm, axis):
    def fn(x):
        return np.sum(x.transpose(perm), axis=axis)

    x = RNG.normal(size=(2, 3, 4, 5))
    found = jit(fn, backend="numpy")(x)
    np.testing.assert_allclose(found, fn(x), rtol=1e-13, atol=1e-15)


def test_what_is_overwritten_later_is_read_first():
    def fn(x):
        y = x.copy()
        t = y.T * 2
        y[0, 0] = 7.0
        return np.sum(t.T * y) + np.sum(t, axis=0)

    np.testing.assert_allclose(jit(fn)(X), fn(X), rtol=1e-14)
    slope = grad(lambda x: np.sum(fn(x)))
    other = grad(lambda x: np.sum(fn(x)), backend="numpy")
    np.testing.assert_allclose(slope(X), other(X), rtol=1e-13)
