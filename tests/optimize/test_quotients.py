"""Quotients guessed are those of NumPy, bit by bit, however extreme."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import jit, make_ir, value_and_grad
from tracejit.backend.numba_source import write
from tracejit.optimize.lower import lower


def swept(d, m):
    x, out = 0.0, np.empty(len(d))
    for i in range(len(d)):
        out[i] = (d[i] - x) / m[i]
        x = out[i] if abs(out[i]) < 1e300 else 1.0
    return out


def scaled(d, m):
    x, out = 0.0, np.empty(len(d))
    for i in range(len(d)):
        out[i] = -((d[i] + x) / m[0])
        x = out[i] if abs(out[i]) < 1e300 else 1.0
    return out


def thirds(d, m):
    x, out = 0.0, np.empty(len(d))
    for i in range(len(d)):
        x = (x + d[i]) / 3.0
        out[i] = x
    return out


def halves(d, m):
    x = 0.0
    for i in range(len(d)):
        x = (x + d[i]) / 2.0
    return x


def summed(d, m):
    x = d[0]
    for i in range(len(d)):
        x = (d[i] - x) / m[i]
    return x


def fraction(d, m):
    x = 0.0
    for i in range(len(d)):
        x = d[i] / (m[i] + x)
    return x


def apart(d, m):
    out = np.empty(len(d))
    for i in range(len(d)):
        out[i] = d[i] / m[i]
    return out


RNG = np.random.default_rng(0)
PLAIN = RNG.normal(size=50), RNG.uniform(1.0, 2.0, 50)


def guessed(f, args=PLAIN):
    return "_tj_foreseen" in write(lower(make_ir(f)(*args))).text


@pytest.mark.parametrize("f", [swept, scaled, thirds, summed])
def test_what_rounds_wait_for_is_guessed(f):
    assert guessed(f)


@pytest.mark.parametrize("f", [halves, fraction, apart])
def test_nothing_else_is(f):
    assert not guessed(f)


def test_single_precision_is_left_alone():
    single = [x.astype(np.float32) for x in PLAIN]
    assert not guessed(summed, single)


def numbers(count):
    """Of every magnitude, and those that are none."""
    exponents = RNG.uniform(-324, 308.2, count)
    found = 10.0**exponents * RNG.choice([-1.0, 1.0], count)
    near = RNG.normal(size=count)
    some = RNG.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1.0, -3.0], count)
    kind = RNG.integers(0, 8, count)
    return np.where(kind == 0, some, np.where(kind < 4, found, near))


@pytest.mark.parametrize("f", [swept, scaled, thirds])
def test_no_bit_changes(f):
    compiled = jit(f)
    for trial in range(20):
        d, m = PLAIN if trial == 0 else (numbers(400), numbers(400))
        with np.errstate(all="ignore"):
            got, want = compiled(d, m), f(d, m)
        bits = [np.where(np.isnan(x), np.nan, x).view(np.int64) for x in (got, want)]
        np.testing.assert_array_equal(*bits)


@pytest.mark.parametrize("f", [swept, scaled, thirds])
def test_gradients(f):
    def loss(d, m):
        return np.sum(f(d, m) ** 2)

    value, slopes = value_and_grad(loss, argnums=(0, 1))(*PLAIN)
    wanted, others = value_and_grad(loss, argnums=(0, 1), backend="numpy")(*PLAIN)
    np.testing.assert_allclose(value, wanted, rtol=1e-13)
    for slope, other in zip(slopes, others, strict=True):
        np.testing.assert_allclose(slope, other, rtol=1e-11, atol=1e-13)
