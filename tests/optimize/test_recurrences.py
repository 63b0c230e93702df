"""Chains of derivative code as one multiply-add a round: the results are the same."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, jit, make_ir, value_and_grad
from tracejit.backend.numba_source import write
from tracejit.optimize.lower import lower


def swept(x, m):
    y = np.zeros(len(x))
    y[0] = x[0]
    for i in range(1, len(x)):
        y[i] = (x[i] - m[i - 1] * y[i - 1]) / m[i]
    return np.sum(y[:6] ** 2)


def damped(x, m):
    s, total = 1.0, 0.0
    for i in range(len(x)):
        s = (s * x[i] - 0.5 * s) * m[i] + x[i] * x[i]
        total += s
    return total


def turned(x, m):
    s = 0.3
    for i in range(len(x)):
        s = x[i] - m[i] * (0.2 * s - x[i] * (s + 1.0))
    return s


def filtered(x, m):
    y, out = 0.0, np.empty(len(x))
    for i in range(len(x)):
        y = y - 0.1 * (y - x[i]) / m[i]
        out[i] = np.tanh(y)
    return out @ out


def nonlinear(x, m):
    s = 0.3
    for i in range(len(x)):
        s = m[i] * np.sin(x[i] * s) * (s + x[i])
    return s


def crossed(x, m):
    p, q = 1.0, 0.5
    for i in range(len(x)):
        p, q = p * m[i] * x[i] + 0.1 * q, q * x[i] * m[i] - 0.2 * p
    return p * q


def carries_a_maximum(x, m):
    s = 0.3
    for i in range(len(x)):
        s = np.maximum(s * m[i] * x[i], s * 0.5 * m[i])
    return s


def excess(x, m):
    s, most = 0.0, 0.0
    for i in range(len(x)):
        s = max(0.0, s * m[i] * x[i] + x[i] - 1.0)
        most = most + s * s
    return most


def limited(x, m):
    s = 0.3
    for i in range(len(x)):
        s = np.clip(s * 1.1, 0.1, 0.9) * m[i] * x[i]
    return s


PROGRAMS = [
    swept,
    damped,
    turned,
    filtered,
    nonlinear,
    crossed,
    carries_a_maximum,
    excess,
    limited,
]
X, M = np.random.default_rng(0).uniform(0.5, 1.5, (2, 12))


def text(f, fast=False, args=(X, M)):
    program = make_ir(grad(f, argnums=(0, 1), fastmath=fast))(*args)
    return write(lower(program, fast=fast)).text


@pytest.mark.parametrize("f", [swept, damped, turned, filtered, excess, limited])
def test_they_are_shortened(f):
    assert "_tj_if_finite" in text(f)


def test_not_where_nothing_is_gained():
    def plain(x, m):
        s = 0.0
        for i in range(len(x)):
            s = s * m[i] + x[i]
        return s

    assert "_tj_if_finite" not in text(plain)


def test_the_users_own_under_fastmath_alone():
    program = make_ir(jit(damped))(X, M)
    assert "_tj_if_finite" not in write(lower(program)).text
    assert "_tj_if_finite" in write(lower(program, fast=True)).text


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("f", PROGRAMS)
def test_values_and_gradients(f, fast):
    value, slopes = value_and_grad(f, argnums=(0, 1), fastmath=fast)(X, M)
    wanted, others = value_and_grad(f, argnums=(0, 1), backend="numpy")(X, M)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for slope, other in zip(slopes, others, strict=True):
        np.testing.assert_allclose(slope, other, rtol=1e-10)


def test_single_precision():
    x, m = X.astype(np.float32), M.astype(np.float32)
    slopes = grad(swept, argnums=(0, 1))(x, m)
    for slope, other in zip(slopes, grad(swept, argnums=(0, 1))(X, M), strict=True):
        assert slope.dtype == np.float32
        np.testing.assert_allclose(slope, other, rtol=2e-4)


@pytest.mark.parametrize("f", [swept, filtered])
@pytest.mark.parametrize("pole", [0.0, 1e-320, np.inf, np.nan])
def test_infinite_slopes(f, pole):
    m = M.copy()
    m[8] = pole
    with np.errstate(all="ignore"):
        slopes = grad(f, argnums=(0, 1))(X, m)
        wanted = grad(f, argnums=(0, 1), backend="numpy")(X, m)
    for slope, want in zip(slopes, wanted, strict=True):
        np.testing.assert_array_equal(np.isnan(slope), np.isnan(want))
        np.testing.assert_allclose(slope, want, rtol=1e-10)


def test_a_product_of_factors_that_overflows():
    def f(x, m):
        s = x[0]
        for i in range(1, len(x)):
            s = s * m[i] * x[i]
        return s * 1e-300

    x, m = X.copy(), M.copy()
    x[0], x[5], m[5] = 1e-250, 1e200, 1e200
    assert "_tj_if_finite" in text(f)
    slope, want = grad(f)(x, m), grad(f, backend="numpy")(x, m)
    assert np.all(np.isfinite(want))
    np.testing.assert_allclose(slope, want, rtol=1e-10)
