"""Powers and roots. A power is a logarithm, to more digits than a number has, times,
and exp of that; a root is a guess and a step of Halley's iteration."""

from __future__ import annotations

import math

from tracejit.backend.numba_numbers import Number
from tracejit.backend.numba_polynomials import (
    exponential,
    normal_split,
    within_exponents,
)
from tracejit.backend.numba_tables import LOGARITHMS, RECIPROCALS

#: log 2 to so few bits that its multiples are exact, and what is left.
_LN2 = (
    (0.6931471805598903, 5.497923018708371e-14),
    (0.693145751953125, 1.428606765330187e-06),
)
#: (log(1 + r) - r + r² / 2) / r³, |r| ≤ 0.046.
_CUBIC = (
    (
        *(0.3333333333333333, -0.25, 0.19999999999985138, -0.16666666666652866),
        *(0.14285714342145414, -0.1250000005240252, 0.11111036139498008),
        *(-0.09999930380880474, 0.09131542407945469, -0.08371065348557956),
    ),
    (
        *(0.33333325386047363, -0.24999992549419403, 0.2003013789653778),
        -0.1669303923845291,
    ),
)
#: The cube root of 1 + f, roughly.
_ROOT = (
    (
        *(0.9999992884069832, 0.3333171756762862, -0.11098806690227521),
        *(0.06238806710197051, -0.044545466260479796, 0.026248773426691654),
    ),
    (
        1.0000582245391076,
        0.3337743479819844,
        -0.11540356253166938,
        0.056658027706103224,
    ),
)
#: Beyond, powers overflow or are not normal.
_ORDINARY = (700.0, 86.0)


def _logarithm(x: Number) -> tuple[Number, Number]:
    """log x as a sum, for positive x."""
    e, f = normal_split(x)
    m = f + 1.0
    # The first four bits of the fraction, rounded: of 2 they are those of 1.
    place = (m.bits() + (1 << m.fraction - 5)) >> (m.fraction - 4)
    table = LOGARITHMS[x.single]
    r = m.fma(place.pick(RECIPROCALS), -1.0)  # exact, as these have six bits
    start = e.fma(_LN2[x.single][0], place.pick(table[:16]))  # exact, too
    first = start + r
    minus_half = -0.5 * r
    square = r * minus_half
    second = first + square
    lost = (start - first) + r + ((first - second) + square)
    lost = lost + r.fma(minus_half, -square)
    lost = lost + e.fma(_LN2[x.single][1], place.pick(table[16:]))
    rest = (r * r * r).fma(r.polynomial(_CUBIC[x.single]), lost)
    high = second + rest
    return high, (second - high) + rest


def pow(x: Number, y: Number) -> Number:
    """x to the power y."""
    size = abs(x)
    high, low = _logarithm(size)
    exponent = y * high
    lost = y.fma(low, y.fma(high, -exponent))
    ordinary = (x > 0.0) & (x < math.inf) & (abs(exponent) < _ORDINARY[x.single])
    k, small = exponential(exponent, lost)

    def other() -> Number:
        """Of the rest: negative numbers, zeros, infinities, NaN, huge results."""
        bounded = within_exponents(exponent)
        k, small = exponential(bounded, lost.where(abs(exponent) < 1000.0, 0.0))
        out = (small + 1.0).scaled(k)
        down = y < 0.0
        out = out.where(size > 0.0, y.of(math.inf).where(down, 0.0))
        out = out.where(size < math.inf, y.of(0.0).where(down, math.inf))
        out = out.where(x.is_number() & y.is_number(), x + y)
        half = 0.5 * y
        whole, even = y.rint().equals(y), half.rint().equals(half)
        left = x.of(1.0).copysign(x) < 0.0
        out = (-out).where(left & whole & ~even, out)
        fraction = (x < 0.0) & (size < math.inf) & ~whole
        out = x.of(math.nan).where(fraction, out)
        turning = x.equals(-1.0) & abs(y).equals(math.inf)
        one = x.equals(1.0) | y.equals(0.0) | turning
        return x.of(1.0).where(one, out)

    out = (small + 1.0).scaled(k)
    return out.unless(~ordinary, other)


def cbrt(x: Number) -> Number:
    """The cube root."""
    size = abs(x)
    e, f = normal_split(size)
    k, _ = e.rounded(1 / 3)
    odd = k.fma(-3.0, e)  # -1, 0 or 1
    up, down = 2 ** (1 / 3), 2 ** (-1 / 3)
    # 2 ** (odd / 3) is a parabola through three points.
    factor = odd.fma(odd.fma((up + down) / 2 - 1, (up - down) / 2), 1.0)
    root = f.polynomial(_ROOT[x.single]) * factor
    whole = (f + 1.0) * odd.power_of_two()
    cube = root * root * root
    root = root.fma((whole - cube) / (2.0 * cube + whole), root)
    y = root.scaled(k).copysign(x)
    return y.where((size > 0.0) & (size < math.inf), x)


def hypot(x: Number, y: Number) -> Number:
    """√(x² + y²), infinite where either is."""
    a, b = abs(x), abs(y)
    more = a > b
    large, small = a.where(more, b), b.where(more, a)
    ratio = (small / large).where(large > small, 1.0)
    out = large * ratio.fma(ratio, 1.0).sqrt()
    out = out.where(x.is_number() & y.is_number(), x + y)
    return out.where(~(a.equals(math.inf) | b.equals(math.inf)), math.inf)
