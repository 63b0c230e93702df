"""Γ, the error function and their like as polynomials (see `numba_polynomials`)."""

from __future__ import annotations

import math
from collections.abc import Callable

from tracejit.backend.numba_numbers import Number
from tracejit.backend.numba_polynomials import (
    LEAST_EXPONENT,
    exp,
    exponential,
    log,
    sine_and_cosine,
)

#: (1 + 9y / 8) exp(y²) erfc(y), which hardly changes near 0, in powers of
#: (y - 4) / (y + 4), y ≥ 0.
_ERFCX = (
    (
        *(0.7534970169378377, -0.1918791495553914, 0.10434091383446449),
        *(-0.03355820178681906, -0.009163084533401493, 0.025115050344537072),
        *(-0.023617493542370104, 0.015287501095913215, -0.0073348600736728095),
        *(0.0024808651749520373, -0.0004357682105115183, -7.752697128959513e-05),
        *(7.485631947737232e-05, -1.455647086428526e-05, -5.0237395390291754e-06),
        *(3.0312721218540346e-06, 3.996688969916109e-08, -4.198771537472956e-07),
        *(5.463985116860722e-08, 5.315576576774215e-08, -1.2579987678044589e-08),
        *(-6.093635403039267e-09, 1.8843081136370885e-09, 4.574764614218228e-10),
        -1.5773294795448928e-10,
    ),
    (
        *(0.7534969900727021, -0.19187918513036994, 0.10434291069143783),
        *(-0.033557657835781296, -0.009187004125952969, 0.025113585342610788),
        *(-0.023512707107314245, 0.015284230965136158, -0.007543695169778387),
        *(0.002498974183975417, -0.00023988300159254368, -0.00010330021345127207),
    ),
)
#: log Γ(2 + d) / d in powers of d + 5/16, -0.8 ≤ d ≤ 0.2.
_LGAMMA = (
    *(0.3147276063191975, 0.37165640899417257, -0.09206600029828035),
    *(0.03358060404992577, -0.014391169042667986, 0.006718424100897929),
    *(-0.003302054101155945, 0.001678337575488229, -0.0008731284438046802),
    *(0.0004619804367545842, -0.0002475866239960024, 0.00013402595697937204),
    *(-7.313761942844573e-05, 4.0148478966104926e-05, -2.2174519211303822e-05),
    *(1.2448783024914968e-05, -6.94314817410808e-06, 3.4385336568826743e-06),
    *(-1.9289419269427863e-06, 1.8693594458871165e-06, -1.0475354837170934e-06),
)
#: What log Γ(x) is more than (x - 1/2) log x - x + log(2π) / 2, times x, in powers of
#: 1 / x², x ≥ 8.2.
_STIRLING = (
    *(0.08333333333333333, -0.002777777777774801, 0.0007936507904473484),
    *(-0.0005952367992009458, 0.0008414997721466612, -0.0018922596436540546),
    0.005110089477607608,
)
#: What log x - 1 / 2x is more than Γ'(x) / Γ(x), times x², in powers of 1 / x², x ≥ 6.
_DIGAMMA = (
    *(0.08333333333333331, -0.008333333333269816, 0.003968253919003407),
    *(-0.004166652061092718, 0.00757361286391859, -0.020918984836582246),
    *(0.0752592913650159, -0.23056224811611956),
)
#: x (x + 1) … (x + 5), and its derivative.
_RISING = (0.0, 120.0, 274.0, 225.0, 85.0, 15.0, 1.0)
_RISING_SLOPE = (120.0, 548.0, 675.0, 340.0, 75.0, 6.0)


def _scaled_tail(y: Number) -> Number:
    """exp(y²) erfc(y) for y ≥ 0."""
    bounded = y.at_most(1e9 if y.single else 1e17)
    turned = (bounded - 4.0) / (bounded + 4.0)
    first, *others = _ERFCX[y.single]
    # The first term apart from the others, so that it is rounded once.
    # Both halved, as the divisor may be too large.
    return 0.5 * turned.fma(turned.polynomial(others), first) / y.fma(0.5625, 0.5)


def _under_bell(x: Number, factor: float, tail: Number) -> Number:
    """tail exp(-factor x²), of the square before it is rounded."""
    square = x * x
    lost = x.fma(x, -square).where(square < 2000.0, 0.0)
    exponent = (-factor * square).at_least(LEAST_EXPONENT[x.single])
    k, small = exponential(exponent, -factor * lost)
    return small.fma(tail, tail).scaled(k)


def erfc(x: Number) -> Number:
    size = abs(x)
    tail = _under_bell(size, 1.0, _scaled_tail(size))
    return (2.0 - tail).where(x < 0.0, tail)


def ndtr(x: Number) -> Number:
    """The normal distribution function."""
    size = abs(x)
    tail = _under_bell(size, 0.5, 0.5 * _scaled_tail(size * math.sqrt(0.5)))
    return (1.0 - tail).where(x > 0.0, tail)


def lgamma(x: Number) -> Number:
    """log |Γ(x)|: from 8.2 on Stirling's series; below, moved to about 2."""
    wide = x.widened()
    large = wide > 8.2
    moved = (wide.at_most(8.2) - 1.7).rint()
    product = wide.where(moved < 0.0, 1.0)
    product = (product * (wide + 1.0)).where(moved < -1.0, product)
    for k in range(1, 7):
        product = (product * (wide - float(k))).where(moved > k - 0.5, product)
    logs = log(wide.where(large, product))
    d = wide - (moved + 2.0)
    logs_below = (-logs).where(moved < 0.0, logs)
    below = d.fma((d + 0.3125).polynomial(_LGAMMA), logs_below)
    inverse = 1.0 / wide
    series = inverse * (inverse * inverse).polynomial(_STIRLING)
    constant = 0.5 * math.log(2 * math.pi) - 0.5
    above = (wide - 0.5).fma(logs - 1.0, series + constant)
    y = above.where(large, below)
    return y.narrowed(x)


def digamma(x: Number) -> Number:
    """Γ'(x) / Γ(x): reflected, moved up by 6 where it is below, then a series."""
    left = x < 0.0
    up = (1.0 - x).where(left, x)
    near = up < 6.0
    safe = up.where(near, 1.0)
    sums = safe.polynomial(_RISING_SLOPE) / safe.polynomial(_RISING)
    moved = (up + 6.0).where(near, up)
    inverse = 1.0 / moved
    square = inverse * inverse
    y = log(moved) - inverse.fma(0.5, square * square.polynomial(_DIGAMMA))
    y = (y - sums).where(near, y)
    return (y - _cotangent(x)).where(left, y).where(~x.equals(0.0), -1.0 / x)


def _cotangent(x: Number) -> Number:
    """π / tan(πx), NaN where that is infinite."""
    halves = (2.0 * x).rint()
    sine, cosine = sine_and_cosine((x - 0.5 * halves) * math.pi)
    half = 0.5 * halves
    whole = half.rint().equals(half)
    above, below = cosine.where(whole, -sine), sine.where(whole, cosine)
    return (math.pi * above / below).where(~x.rint().equals(x), math.nan)


def erfcx(x: Number) -> Number:
    """exp(x²) erfc(x)."""
    tail = _scaled_tail(abs(x))
    square = x * x
    lost = x.fma(x, -square).where(square < math.inf, 0.0)
    high = 2.0 * exp(square)
    high = lost.fma(high, high).where(high < math.inf, math.inf)
    return (high - tail).where(x < 0.0, tail)


#: By the name in `math`; by that of a helper of kernels; and what is better computed by
#: the C library, where that has a vector function.
SPECIAL: dict[str, Callable[..., Number]] = {"lgamma": lgamma}
HELPERS: dict[str, Callable[..., Number]] = {
    f.__name__: f for f in (ndtr, digamma, erfcx)
}
SUBSTITUTES: dict[str, Callable[..., Number]] = {"erfc": erfc}
