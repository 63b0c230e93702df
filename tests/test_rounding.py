"""The order of the user's own sums is theirs: compensated summation stays exact."""

from __future__ import annotations

import math

import numpy as np

import tracejit as tj


def kahan(x):
    total, compensation = 0.0, 0.0
    for v in x:
        y = v - compensation
        t = total + y
        compensation = (t - total) - y
        total = t
    return total


def two_sum(a, b):
    s = a + b
    bb = s - a
    return s, (a - (s - bb)) + (b - bb)


def two_product(a, b):
    """Dekker's product: `p + e` is `a * b` exactly. A fused multiply-add breaks it."""
    factor = 134217729.0
    p = a * b
    ca, cb = factor * a, factor * b
    ah, bh = ca - (ca - a), cb - (cb - b)
    al, bl = a - ah, b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def ill_conditioned(n=2000):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, n)
    return np.concatenate([x, -x + 1e-9 * rng.normal(size=n)])


def test_kahan_summation_is_kahan_summation():
    x = ill_conditioned()
    got = tj.jit(kahan)(x)
    assert got == kahan(x)
    naive = 0.0
    for v in x:
        naive += v
    assert abs(got - math.fsum(x)) < abs(naive - math.fsum(x))


def test_two_sum_is_exact():
    a, b = 1.0, 1e-17
    assert tj.jit(two_sum)(a, b) == two_sum(a, b) == (1.0, 1e-17)


def test_two_product_is_exact():
    a, b = 1.0 + 2.0**-30, 1.0 - 2.0**-31
    assert tj.jit(two_product)(a, b) == two_product(a, b)


def test_sums_in_order_round_as_written():
    """`(x + 1) - 1` is not `x`, elementwise and in a loop."""

    def f(x):
        y = (x + 1.0) - 1.0
        s = np.zeros_like(x)
        for i in range(len(x)):
            s[i] = (x[i] + 1e8) - 1e8
        return y, s

    x = np.random.default_rng(1).normal(size=50)
    for got, want in zip(tj.jit(f)(x), f(x), strict=True):
        np.testing.assert_array_equal(got, want)
