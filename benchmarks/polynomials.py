"""exp, log, log1p, tanh, sin, cos and erf that LLVM inlines and vectorises.

Numba calls the C library's functions for one number at a time; an expert who wants
vectors writes the polynomials out, once, as here, and inlines them in every loop. They
have the names of `math`, which they stand in for: within 4 ulp of the truth (erf: of
1), for finite arguments (sin and cos: below 10⁵).

They may be contracted, not reassociated: that would undo the two-part reductions.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

inlined = njit(fastmath={"contract"}, error_model="numpy", forceinline=True)

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
HALF_PI_PARTS = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
ONE = 0x3FF0000000000000
SQRT_HALF = 0x3FE6A09E667F3BCD

pi = math.pi
sqrt = math.sqrt


@inlined
def two_to(k):
    """2.0**k, for an integer k that gives a normal number."""
    return np.int64((k + 1023) << 52).view(np.float64)


@inlined
def reduced(x):
    """(r, k) with x = r + k log 2 and k an integer: |r| is at most half of log 2."""
    k = np.floor(x * 1.4426950408889634 + 0.5)
    return x - k * LN2_HIGH - k * LN2_LOW, np.int64(k)


@inlined
def expm1_of_reduced(r):
    """exp(r) - 1 by its Taylor series."""
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    return r + r * r * p


@inlined
def exp(x):
    r, k = reduced(min(max(x, -708.0), 709.0))
    e = expm1_of_reduced(r)
    scale = two_to(k)
    return scale * e + scale


@inlined
def tanh(x):
    # expm1(2 |x|) / (expm1(2 |x|) + 2); from 20 on it is 1
    r, k = reduced(min(2.0 * abs(x), 40.0))
    scale = two_to(k)
    e = scale * expm1_of_reduced(r) + (scale - 1.0)
    return math.copysign(e / (e + 2.0), x)


@inlined
def log_and_rest(x, rest):
    """log(x) + rest, of a normal positive x: 2 atanh(f / (2 + f)) of its mantissa."""
    bits = np.float64(x).view(np.int64)
    k = (bits - SQRT_HALF) >> 52  # so that the mantissa is about 1
    f = np.int64(bits - (k << 52)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.0 / 23.0
    p = p * z + 1.0 / 21.0
    p = p * z + 1.0 / 19.0
    p = p * z + 1.0 / 17.0
    p = p * z + 1.0 / 15.0
    p = p * z + 1.0 / 13.0
    p = p * z + 1.0 / 11.0
    p = p * z + 1.0 / 9.0
    p = p * z + 1.0 / 7.0
    p = p * z + 1.0 / 5.0
    p = p * z + 1.0 / 3.0
    half = 0.5 * f * f  # log(1 + f) = f - (half - s (half + 2 z p))
    n = np.float64(k)
    low = s * (half + 2.0 * z * p) + (n * LN2_LOW + rest)
    return n * LN2_HIGH + (f - (half - low))


@inlined
def log(x):
    return log_and_rest(x, 0.0)


@inlined
def log1p(x):
    u = 1.0 + x
    return log_and_rest(u, (x - (u - 1.0)) / u)


@inlined
def quarter(x):
    """(r, q) with x = r + q pi / 2 and q an integer: |r| is at most pi / 4."""
    q = np.floor(x * (2.0 / math.pi) + 0.5)
    a, b, c = HALF_PI_PARTS
    return x - q * a - q * b - q * c, np.int64(q)


@inlined
def sin_of_reduced(r):
    z = r * r
    p = -1.0 / 1307674368000.0
    p = p * z + 1.0 / 6227020800.0
    p = p * z - 1.0 / 39916800.0
    p = p * z + 1.0 / 362880.0
    p = p * z - 1.0 / 5040.0
    p = p * z + 1.0 / 120.0
    p = p * z - 1.0 / 6.0
    return r + r * z * p


@inlined
def cos_of_reduced(r):
    z = r * r
    p = 1.0 / 20922789888000.0
    p = p * z - 1.0 / 87178291200.0
    p = p * z + 1.0 / 479001600.0
    p = p * z - 1.0 / 3628800.0
    p = p * z + 1.0 / 40320.0
    p = p * z - 1.0 / 720.0
    p = p * z + 1.0 / 24.0
    return 1.0 - z * (0.5 - z * p)


@inlined
def of_quarter(r, q):
    """sin(r + q pi / 2)."""
    s, c = sin_of_reduced(r), cos_of_reduced(r)
    value = c if q & 1 else s
    return -value if q & 2 else value


@inlined
def sin(x):
    r, q = quarter(x)
    return of_quarter(r, q)


@inlined
def cos(x):
    r, q = quarter(x)
    return of_quarter(r, q + 1)


@inlined
def erf(x):
    # (1 + 2 |x|) erfc(|x|) exp(x²) as a polynomial in (|x| - 3.75) / (|x| + 3.75),
    # interpolated at Chebyshev's points: 1.5e-16 off at most.
    a = min(abs(x), 6.0)
    t = (a - 3.75) / (a + 3.75)
    p = -2.7293941332533855e-09
    p = p * t - 1.952790162974837e-09
    p = p * t + 3.256499083798513e-08
    p = p * t + 1.8778501156468795e-08
    p = p * t - 2.4996538037405243e-07
    p = p * t - 5.0816911811698186e-08
    p = p * t + 1.7438577411359181e-06
    p = p * t - 9.79297529099823e-07
    p = p * t - 1.143961526007595e-05
    p = p * t + 2.238759272534769e-05
    p = p * t + 5.164737123871838e-05
    p = p * t - 0.0002901553656394713
    p = p * t + 0.00029371408777227685
    p = p * t + 0.0017556261692276722
    p = p * t - 0.00974657962081509
    p = p * t + 0.028362277371370044
    p = p * t - 0.058693398584491845
    p = p * t + 0.09230432116435616
    p = p * t - 0.10880393014193915
    p = p * t + 0.08227673848999159
    p = p * t + 0.0035854154854663067
    p = p * t - 0.14024059858554522
    p = p * t + 1.2375126308378275
    return math.copysign(1.0 - p * exp(-a * a) / (1.0 + 2.0 * a), x)
