"""exp, log, sin, tanh … as polynomials, for vectors where LLVM makes vectors of loops.

Every function is a formula on `Number`, good to 2 ulp or better on the whole line,
special values included, without branches. Coefficients are minimax, for the relative
error of the result, found by Remez's exchange; float64 first, float32 second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tracejit.backend.numba_numbers import Number, Truth, Word

Parts = tuple[float, ...]
#: log 2 and its like as sums of numbers of their precision. They are positive
#: where multiples of infinity must not cancel, and those of -0 be -0.
_LN2 = (
    (0.6931471805599453, 2.3190468138462996e-17),
    (0.6931471228599548, 5.769998878690785e-08),
)
_LOG10_2 = (
    (0.30102999566398114, 5.270742310347266e-17),
    (0.3010299801826477, 1.5481333548450493e-08),
)
_HALF_PI = (
    (1.5707963267948966, 6.123233995736765e-17, 1.082856673921914e-32),
    (1.570796251296997, 7.549789415861596e-08, 5.390302953474238e-15),
)

#: (exp(r) - 1 - r) / r², |r| ≤ log(2) / 2.
_EXP = (
    (
        *(0.5000000000000013, 0.166666666666667, 0.04166666666651445),
        *(0.00833333333330701, 0.0013888888947298718, 0.0001984126991777673),
        *(2.4801489622295993e-05, 2.7557215963070593e-06, 2.763140331109838e-07),
        2.5117967241521174e-08,
    ),
    (
        *(0.5000000095725583, 0.16666518310098935, 0.04166620404055272),
        *(0.008368953210849238, 0.0013950608748944414),
    ),
)
#: (sin(r) - r) / r³ in powers of r², |r| ≤ π / 4.
_SIN = (
    (
        *(-0.16666666666666632, 0.0083333333333222, -0.00019841269829629183),
        *(2.755731362741799e-06, -2.5050747648565533e-08, 1.5896169025026894e-10),
    ),
    (-0.166666547997987, 0.008332168729144725, -0.0001951598494904344),
)
#: (cos(r) - 1 + r² / 2) / r⁴ in powers of r², |r| ≤ π / 4.
_COS = (
    (
        *(0.041666666666666595, -0.0013888888888873836, 2.480158728929362e-05),
        *(-2.7557314295550974e-07, 2.087571526206442e-09, -1.1359218770504395e-11),
    ),
    (0.0416666466278255, -0.0013887355311285386, 2.4436998429813514e-05),
)
#: 2 atanh(s) / s - 2 in powers of s² from the first, s = f / (2 + f), in float64;
#: (log(1 + f) - f + f² / 2) / f³ in float32; 1 + f between √½ and √2,
#: which serve a little below too.
_LOG = (
    (
        *(0.6666666666666734, 0.39999999999414326, 0.2857142874247595),
        *(0.2222219856325413, 0.18183564882245182, 0.15314035381953117),
        0.14796110331388546,
    ),
    (
        *(0.3333331671402427, -0.25000810480114455, 0.20002287392676132),
        *(-0.16624551233767543, 0.14181164315896103, -0.13128762169948985),
        *(0.1288185175393315, -0.0785983571669413),
    ),
)
#: (arctan(x) - x) / x³ in powers of x², 0 ≤ x ≤ 1.
_ATAN = (
    (
        *(-0.3333333333333307, 0.19999999999951476, -0.14285714282575887),
        *(0.11111111007047121, -0.0909090700333662, 0.07692279843058344),
        *(-0.06666404086421138, 0.05880527976232032, -0.05253519233947338),
        *(0.04722324415818625, -0.04219184459683489, 0.03664201836395639),
        *(-0.02990402226311735, 0.021985047387991043, -0.013900736863099915),
        *(0.00719662457401818, -0.0028849792011484835, 0.000831342745391719),
        *(-0.00015216528253367924, 1.3225507889814152e-05),
    ),
    (
        *(-0.33333299083139073, 0.1999854819987535, -0.14264241221784446),
        *(0.1095218434074591, -0.08403447191845803, 0.05795754461196626),
        *(-0.031177796240322683, 0.010914577580339766, -0.0017936150139482776),
    ),
)
#: (arcsin(x) - x) / x³ in powers of x², 0 ≤ x ≤ 1/2.
_ASIN = (
    (
        *(0.16666666666665383, 0.07500000000343003, 0.04464285682351246),
        *(0.030381959330191166, 0.022371753545508948, 0.017359770809197726),
        *(0.013884601110547725, 0.012173263736368954, 0.006510913763485577),
        *(0.019573758120260822, -0.01629386629544541, 0.031958839454254935),
    ),
    (
        *(0.1666665987256065, 0.07500510902580401, 0.04451571999727131),
        *(0.03181762863415542, 0.01440251133832273, 0.03756535605165093),
    ),
)

# Exponentials and logarithms ----------------------------------------------------------


#: Where exp is 0, and where it is infinite.
_EXPONENTS = ((-746.0, 710.0), (-104.0, 89.0))


def exponential(x: Number, low: Number | None = None) -> tuple[Number, Number]:
    """k and exp(x - k log 2) - 1, for the integer k that makes it small.

    With `low`, smaller by far than 1, exp(x + low - k log 2) - 1.
    """
    k, _ = x.rounded(1 / math.log(2))
    high, lower = _LN2[x.single]
    r = k.fma(-lower, k.fma(-high, x))
    r = r if low is None else r + low
    return k, (r * r).fma(r.polynomial(_EXP[x.single]), r)


def within_exponents(x: Number) -> Number:
    """x, or the next number that has the same exponential."""
    low, high = _EXPONENTS[x.single]
    return x.at_least(low).at_most(high)


def exp(x: Number) -> Number:
    k, small = exponential(within_exponents(x))
    return (small + 1.0).scaled(k)


def exp2(x: Number) -> Number:
    low, high = (-151.0, 129.0) if x.single else (-1076.0, 1025.0)
    x = x.at_least(low).at_most(high)
    k, _ = x.rounded()
    r = (x - k) * math.log(2)
    small = (r * r).fma(r.polynomial(_EXP[x.single]), r)
    return (small + 1.0).scaled(k)


def _less_one(x: Number) -> Number:
    """exp(x) - 1 for x ≤ 0, but for the sign of zero."""
    k, small = exponential(x.at_least(-20.0 if x.single else -40.0))
    power = k.power_of_two()
    return small.fma(power, power - 1.0)


def expm1(x: Number) -> Number:
    low, high = (-20.0, 89.0) if x.single else (-40.0, 710.0)
    k, small = exponential(x.at_least(low).at_most(high))
    inverse = (-k).at_least(-float(x.bias)).power_of_two()
    return ((1.0 - inverse) + small).scaled(k).copysign(x)


def _split(x: Number) -> tuple[Number, Number]:
    """e and m - 1, for x = m 2 ** e and m between 45/64 and 45/32; x is normal.

    With AVX-512, x is any number that is not negative.
    """
    if x.avx512:
        e, m = x.taken_apart()
        over = m >= 1.40625
        return (e + 1.0).where(over, e), (0.5 * m).where(over, m) - 1.0
    one, root = (0x3F800000, 0x3F340000) if x.single else (0x3FF << 52, 0x3FE68 << 44)
    word = x.bits() + (one - root)
    # The exponent becomes the last bits of a number above 2 ** fraction.
    above = x.of(2.0**x.fraction).bits()
    e = ((word >> x.fraction) | above).number() - (2.0**x.fraction + x.bias)
    m = ((word & ((1 << x.fraction) - 1)) + root).number()
    return e, m - 1.0


def _terms(e: Number, f: Number, low: Number | None = None) -> Number:
    """What log(2 ** e (1 + f)) + low is more than f and the high part of e log 2.

    `low` is smaller by far than f.
    """
    half = 0.5 * f * f
    lower = _LN2[f.single][1]
    if f.single:
        rest = (f * f * f) * f.polynomial(_LOG[1])
    else:
        s = f / (f + 2.0)
        square = s * s
        rest = s * (half + square * square.polynomial(_LOG[0]))
    rest = rest if low is None else rest + low
    return e.fma(lower, rest) - half


def _logarithm(e: Number, f: Number, low: Number | None = None) -> Number:
    return e.fma(_LN2[f.single][0], f + _terms(e, f, low))


def _other_logarithm(x: Number, factor: float, unit: Parts) -> Number:
    """The logarithm that is a multiple of log x, and `unit` for 2."""
    e, f = normal_split(x)
    rest = _terms(x.of(0.0), f) * factor
    rest = e.fma(unit[1], rest) if unit[1] else rest
    return _on_the_line(e.fma(unit[0], f.fma(factor, rest)), x)


def _on_the_line(y: Number, x: Number) -> Number:
    """A logarithm y of x, also where x is no positive number."""
    if x.avx512:
        return y
    y = y.where(x < math.inf, math.inf)
    return y.where(x > 0.0, x.of(-math.inf).where(x.equals(0.0), math.nan))


def normal_split(x: Number) -> tuple[Number, Number]:
    """The same of any positive number."""
    if x.avx512:
        return _split(x)
    least, raised = (2.0**-126, 24) if x.single else (2.0**-1022, 54)
    tiny = x < least
    e, f = _split((x * 2.0**raised).where(tiny, x))
    return (e - float(raised)).where(tiny, e), f


def log(x: Number) -> Number:
    e, f = normal_split(x)
    return _on_the_line(_logarithm(e, f), x)


def log2(x: Number) -> Number:
    return _other_logarithm(x, math.log2(math.e), (1.0, 0.0))


def log10(x: Number) -> Number:
    return _other_logarithm(x, math.log10(math.e), _LOG10_2[x.single])


def log1p(x: Number) -> Number:
    u = x + 1.0
    # What u has lost of 1 + x, exactly, up to where it does not matter; 1, which it is
    # at most, where it is infinity less infinity.
    lost = x - (u - 1.0)
    lost = lost.where(lost < 1.0, 1.0)
    e, f = _split(u)
    # The ends where the power would not be a number, or not be normal.
    back = (-e).at_most(float(x.bias)) if x.avx512 else (-e).at_least(-float(x.bias))
    lost = lost * back.power_of_two()
    # Times a guess at the slope 1 / (1 + f).
    y = _on_the_line(_logarithm(e, f, f.fma(-lost, lost)), u)
    return y.copysign(x)


# Trigonometric functions --------------------------------------------------------------


@dataclass
class _Turned:
    """An argument less the nearest multiple of π / 2: sine and cosine of that."""

    quarters: Word
    sine: Number
    cosine: Number


def _turned(x: Number) -> _Turned:
    k, quarters = x.rounded(2 / math.pi)
    r = x
    for part in _HALF_PI[x.single]:
        r = k.fma(-part, r)
    return _Turned(quarters, *sine_and_cosine(r))


def sine_and_cosine(r: Number) -> tuple[Number, Number]:
    """Of an argument between -π / 4 and π / 4."""
    square = r * r
    # A product, so that the sine of -0 is -0.
    sine = r * square.fma(square.polynomial(_SIN[r.single]), 1.0)
    rest = square * square
    rest = rest.fma(square.polynomial(_COS[r.single]), square.fma(-0.5, 1.0))
    return sine, rest


def _wave(turned: _Turned, quarters: Word) -> Number:
    """The sine of the argument that is r and so many quarters of a turn."""
    y = turned.cosine.where(quarters.is_odd(), turned.sine)
    return (y.bits() ^ ((quarters >> 1) << (y.fraction + y.exponent))).number()


def sin(x: Number) -> Number:
    turned = _turned(x)
    return _wave(turned, turned.quarters).unless_far("sin", x)


def cos(x: Number) -> Number:
    turned = _turned(x)
    return _wave(turned, turned.quarters + 1).unless_far("cos", x)


def tan(x: Number) -> Number:
    turned = _turned(x)
    odd = turned.quarters.is_odd()
    above = (-turned.cosine).where(odd, turned.sine)
    below = turned.sine.where(odd, turned.cosine)
    return (above / below).unless_far("tan", x)


def _arc(x: Number) -> Number:
    """arctan(x), 0 ≤ x ≤ 1."""
    square = x * x
    return (x * square).fma(square.polynomial(_ATAN[x.single]), x)


def atan(x: Number) -> Number:
    size = abs(x)
    far = size > 1.0
    y = _arc((1.0 / size).where(far, size))
    high, low, *_ = _HALF_PI[x.single]
    return (high - (y - low)).where(far, y).copysign(x)


def atan2(y: Number, x: Number) -> Number:
    high, low, *_ = _HALF_PI[x.single]
    up, along = abs(y), abs(x)
    steep = up > along
    above, below = along.where(steep, up), up.where(steep, along)
    # Two infinities are a diagonal, and so to speak are two zeros.
    same = above.equals(below)
    ratio = (above / below).where(~same, 1.0)
    out = _arc(ratio.where(~above.equals(0.0), 0.0))
    out = (high - (out - low)).where(steep, out)
    left = x.of(1.0).copysign(x) < 0.0
    out = (2 * high - (out - 2 * low)).where(left, out)
    out = out.where(x.is_number() & y.is_number(), x + y)
    return out.copysign(y)


def _half_arc(x: Number) -> tuple[Truth, Number]:
    """Whether |x| < 1/2, and arcsin(|x|) there, elsewhere arcsin(√((1 - |x|) / 2))."""
    size = abs(x)
    near = size < 0.5
    square = (size * size).where(near, (1.0 - size) * 0.5)
    root = size.where(near, square.sqrt())
    return near, (root * square).fma(square.polynomial(_ASIN[x.single]), root)


def asin(x: Number) -> Number:
    near, y = _half_arc(x)
    high, low, *_ = _HALF_PI[x.single]
    return y.where(near, high - (2.0 * y - low)).copysign(x)


def acos(x: Number) -> Number:
    near, y = _half_arc(x)
    high, low, *_ = _HALF_PI[x.single]
    left = x < 0.0
    middle = high - (y.copysign(x) - low)
    return middle.where(near, (2 * high - (2.0 * y - 2 * low)).where(left, 2.0 * y))


# Hyperbolic functions -----------------------------------------------------------------


def sinh(x: Number) -> Number:
    low = 89.6 if x.single else 711.0
    k, small = exponential(abs(x).at_most(low))
    # Half of exp(|x|) - 1; exp(|x|) itself may be too large.
    inverse = (-k).at_least(-float(x.bias)).power_of_two()
    half = ((1.0 - inverse) + small).scaled(k - 1.0)
    bounded = half.at_most(1e37 if x.single else 1e300)
    return (half + bounded / (2.0 * bounded + 1.0)).copysign(x)


def cosh(x: Number) -> Number:
    low = 89.6 if x.single else 711.0
    k, small = exponential(abs(x).at_most(low))
    half = (small + 1.0).scaled(k - 1.0)
    return half + 0.25 / half


def tanh(x: Number) -> Number:
    y = _less_one(-2.0 * abs(x))
    return (y / (y + 2.0)).copysign(x)


#: By the name in `math`.
POLYNOMIALS: dict[str, Callable[..., Number]] = {
    f.__name__: f
    for f in (
        *(exp, exp2, expm1, log, log2, log10, log1p),
        *(sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, tanh),
    )
}
