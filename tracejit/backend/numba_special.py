"""Γ, the error function and their like as polynomials (see `numba_polynomials`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tracejit.backend.numba_numbers import Number, Truth
from tracejit.backend.numba_polynomials import (
    Parts,
    exp,
    exponential,
    log,
    sine_and_cosine,
    within_exponents,
)
from tracejit.backend.numba_powers import cbrt, hypot, pow
from tracejit.backend.numba_tables import DIGAMMA, ERF, LGAMMA, TAIL, TAIL_POINTS

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
#: So near to 0, Γ(x) is 1 / |x|.
_TINY = 1e-30
#: log (2π) / 2 - 1/2.
_STIRLING = 0.5 * math.log(2 * math.pi) - 0.5


def _scaled_tail(y: Number) -> Number:
    """exp(y²) erfc(y) for y ≥ 0; with AVX-512, for y up to 29."""
    if y.avx512:
        # Two bits of the exponent and the first two of the fraction.
        place = (y + 2.0).bits() >> (y.fraction - 2)
        return (y - place.pick(TAIL_POINTS)).near(place, TAIL[y.single])
    bounded = y.at_most(1e9 if y.single else 1e17)
    turned = (bounded - 4.0) / (bounded + 4.0)
    first, *others = _ERFCX[y.single]
    # The first term apart from the others, so that it is rounded once.
    # Both halved, as the divisor may be too large.
    return 0.5 * turned.fma(turned.polynomial(others), first) / y.fma(0.5625, 0.5)


def _under_bell(x: Number, factor: float, tail: Number) -> Number:
    """tail exp(-factor x²), of the square before it is rounded.

    What exp(-factor * (x * x)) of kernels computes, it computes alike: once for both.
    """
    square = x * x
    exponent = -square if factor == 1.0 else -factor * square
    k, small = exponential(within_exponents(exponent))
    lost = (-factor * x.fma(x, -square)).where(square < 1600.0, 0.0)
    small = small + lost.fma(small, lost)
    return small.fma(tail, tail).scaled(k)


def erf(x: Number) -> Number:
    step, end = (0.265, 4.1) if x.single else (0.4, 6.15)
    size = abs(x).at_most(end)
    k, place = size.rounded(1 / step)
    return k.fma(-step, size).near(place, ERF[x.single]).copysign(x)


def erfc(x: Number) -> Number:
    size = abs(x).at_most(11.0 if x.single else 28.0)
    tail = _under_bell(x, 1.0, _scaled_tail(size))
    return (2.0 - tail).where(x < 0.0, tail)


def ndtr(x: Number) -> Number:
    """The normal distribution function."""
    size = abs(x).at_most(15.0 if x.single else 39.0)
    tail = _under_bell(x, 0.5, 0.5 * _scaled_tail(size * math.sqrt(0.5)))
    return (1.0 - tail).where(x > 0.0, tail)


@dataclass
class _Placed:
    """Where a number's size is among the points of the tables of Γ."""

    size: Number
    small: Truth  # up to 5/4, whose value is found from that one further
    large: Truth  # beyond 33/4, where there is a series
    inverse: Number
    terms: Number  # by the table, or of the series

    @classmethod
    def of(cls, x: Number, tables: tuple[Parts, ...]) -> _Placed:
        """The place of x in one of the tables."""
        size = abs(x)
        k, word = size.at_most(8.6).rounded(2.0)
        small, large = k < 2.5, k > 16.5
        inverse = 1.0 / size
        d = (inverse * inverse).where(large, k.fma(-0.5, size))
        place = word.where(small, word - 2)
        return cls(size, small, large, inverse, d.near(place, tables[x.single]))


def _half_turns(x: Number) -> tuple[Truth, Number, Number]:
    """Whether x is near an integer rather than a half, and, up to one sign of both,
    what then are sin(πx) and cos(πx), and otherwise cos(πx) and -sin(πx)."""
    halves = (2.0 * x).rint()
    half = 0.5 * halves
    sine, cosine = sine_and_cosine((x - half) * math.pi)
    return half.rint().equals(half), sine, cosine


def lgamma(x: Number) -> Number:
    """log |Γ(x)|: Stirling's series, a table, or that at x + 1; reflected below 0."""
    at = _Placed.of(x, LGAMMA)
    logs = log(at.size)
    above = (at.size - 0.5).fma(logs - 1.0, at.inverse.fma(at.terms, _STIRLING))
    below = at.terms - logs.where(at.small, 0.0)
    y = above.where(at.large, below)

    def reflected() -> Number:
        whole, sine, cosine = _half_turns(at.size)
        out = (math.log(math.pi) - log(abs(sine.where(whole, cosine)))) - (logs + y)
        return out.where(~at.size.rint().equals(at.size), math.inf)

    return y.unless(x < -_TINY, reflected)


def digamma(x: Number) -> Number:
    """Γ'(x) / Γ(x), as log |Γ(x)| is found."""
    at = _Placed.of(x, DIGAMMA)
    square = at.inverse * at.inverse
    above = log(at.size) - at.inverse.fma(0.5, square * at.terms)
    y = above.where(at.large, at.terms - at.inverse.where(at.small, 0.0))

    def reflected() -> Number:
        whole, sine, cosine = _half_turns(x)
        over, under = cosine.where(whole, -sine), sine.where(whole, cosine)
        out = (over / under).fma(-math.pi, y + at.inverse)
        out = out.where(~x.rint().equals(x), math.nan)
        return out.where(x < -_TINY, -1.0 / x)

    return y.unless(~(x > 0.0), reflected)


def erfcx(x: Number) -> Number:
    """exp(x²) erfc(x)."""
    size = abs(x)
    tail = _scaled_tail(size.at_most(29.0))
    square = x * x

    def far() -> Number:
        high = math.sqrt(1 / math.pi) / size
        half = 0.5 / (size * size)
        terms = half * half.polynomial((-1.0, 3.0, -15.0, 105.0, -945.0))
        return high.fma(terms, high)

    def left() -> Number:
        lost = x.fma(x, -square).where(square < math.inf, 0.0)
        high = 2.0 * exp(square)
        return lost.fma(high, high).where(high < math.inf, math.inf) - tail

    return tail.unless(size > 28.0, far).unless(x < 0.0, left)


#: By the name in `math`, and by that of a helper of kernels.
SPECIAL: dict[str, Callable[..., Number]] = {"lgamma": lgamma}
HELPERS: dict[str, Callable[..., Number]] = {
    f.__name__: f for f in (ndtr, digamma, erfcx)
}
#: What is better computed by the C library, where that has a vector function: unless
#: the CPU has AVX-512; always.
LOOKED_UP: dict[str, Callable[..., Number]] = {f.__name__: f for f in (erf, erfc, pow)}
SUBSTITUTES: dict[str, Callable[..., Number]] = LOOKED_UP | {
    f.__name__: f for f in (cbrt, hypot)
}
