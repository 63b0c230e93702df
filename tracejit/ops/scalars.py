"""Special functions of numbers: plain code, which runs in Python and under Numba alike.

Numbers are float64; some functions take float32 too. NumPy's functions are called,
not those of `math`, where an argument may be too large: an infinity comes out and no
exception.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

ROOT_PI = math.sqrt(math.pi)


def mapped(function: Callable[..., float]) -> Callable[..., Any]:
    """A function of numbers at every element, in the dtype of the arrays.

    Static parameters come first in the function, and by name here.
    """

    def call(*arrays: Any, **params: Any) -> Any:
        fixed = tuple(params.values())
        of_numbers = np.frompyfunc(
            lambda *xs: function(*fixed, *map(np.float64, xs)), len(arrays), 1
        )
        dtype = np.asarray(arrays[0]).dtype
        with np.errstate(all="ignore"):
            return np.asarray(of_numbers(*map(np.asarray, arrays))).astype(dtype)

    return call


def lgamma(x: float) -> float:
    """log |Γ(x)|; infinite at the poles 0, -1, …"""
    if x <= 0 and x == np.floor(x):
        return np.inf
    return np.inf if x > 1e305 else math.lgamma(x)


def gamma(x: float) -> float:
    """Γ(x); NaN at the poles but 0, where the sign of zero decides."""
    if x == 0:
        return np.copysign(np.inf, x)
    if x < 0 and x == np.floor(x):
        return np.nan
    if np.abs(x) < 1e-300:
        return 1 / x
    return np.inf if x > 171.7 else math.gamma(x)


def digamma(x: float) -> float:
    """The derivative of log Γ: reflected, moved up by its recurrence, then a series."""
    x = np.float64(x)
    if x <= 0 and x == np.floor(x):
        return np.nan if x < 0 else np.copysign(np.inf, -x)
    out = 0.0
    if x < 0:
        turn = x - np.floor(x + 0.5)
        out = -math.pi / np.tan(math.pi * turn)
        x = 1 - x
    while x < 10:
        out -= 1 / x
        x += 1
    w = 1 / (x * x)
    # B_2k / 2k, from the highest term that counts down.
    series = 1 / 132 - w * (691 / 32760 - w * (1 / 12))
    series = w * (1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w * series))))
    return out + np.log(x) - 0.5 / x - series


def polygamma(n: int, x: float) -> float:
    """The n-th derivative of digamma, n ≥ 1: (-1)^(n+1) n! ζ(n + 1, x)."""
    if x <= 0 and x == np.floor(x):
        return np.inf
    s = n + 1.0
    if x > 0:
        total = hurwitz(s, x)
    else:
        # The terms of negative base are those of another sum, with a sign.
        last = -x - np.floor(-x)
        total = hurwitz(s, 1 - last)
        below = hurwitz(s, last) - hurwitz(s, 1 - x)
        total += below if n % 2 else -below
    return total * math.gamma(s) * (1 if n % 2 else -1)


def hurwitz(s: float, x: float) -> float:
    """ζ(s, x) = Σ (x + k)^-s, for x > 0."""
    if x == np.inf:
        return 0.0
    total = 0.0
    while x < 11 + s:
        total += x**-s
        x += 1
    # Euler and Maclaurin: ∫ + 1/2 + Σ B_2k / (2k)! s (s+1) … x^-(s+2k-1)
    total += x ** (1 - s) / (s - 1) + 0.5 * x**-s
    term = s * x ** (-s - 1)
    w = 1 / (x * x)
    total += term / 12
    term *= (s + 1) * (s + 2) * w
    total -= term / 720
    term *= (s + 3) * (s + 4) * w
    total += term / 30240
    term *= (s + 5) * (s + 6) * w
    total -= term / 1209600
    term *= (s + 7) * (s + 8) * w
    total += term / 47900160
    term *= (s + 9) * (s + 10) * w
    total -= term * 691 / 1307674368000
    term *= (s + 11) * (s + 12) * w
    return total + term / 74724249600


def _stirling(x: float) -> float:
    """What log Γ(x) is more than (x - 1/2) log x - x + log(2π) / 2, for x ≥ 10."""
    w = 1 / (x * x)
    series = 1 / 1188 - w * (691 / 360360 - w / 156)
    series = 1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w * series)))
    return series / x


def betaln(a: float, b: float) -> float:
    """log |B(a, b)|, without differences of large numbers."""
    low, high = min(a, b), max(a, b)
    if low <= 0 or high < 10:
        return lgamma(a) + lgamma(b) - lgamma(a + b)
    rest = _stirling(high) - _stirling(high + low)
    shrunk = -np.log1p(low / high)
    if low < 10:
        return (
            lgamma(low) + (high - 0.5) * shrunk - low * np.log(high + low) + low + rest
        )
    turned = np.log(low / (high + low))
    half = 0.5 * math.log(2 * math.pi) - 0.5 * np.log(low)
    return (high - 0.5) * shrunk + low * turned + half + _stirling(low) + rest


def beta(a: float, b: float) -> float:
    """B(a, b)."""
    if max(a, b) < 20 and min(a, b) > -20:
        whole = gamma(a + b)
        if whole != whole:  # a pole below: nothing is left
            return 0.0 if gamma(a) == gamma(a) and gamma(b) == gamma(b) else np.nan
        return gamma(a) * gamma(b) / whole
    return np.exp(betaln(a, b))


# The error function's relatives -------------------------------------------------------


def erfcx(x: float) -> float:
    """exp(x²) erfc(x): a continued fraction where the product would not do."""
    x = np.float64(x)
    if x < 5:
        return np.exp(x * x) * math.erfc(x)
    below = x
    for k in range(40, 0, -1):
        below = x + 0.5 * k / below
    return 1 / (ROOT_PI * below)


def ndtr(x: float) -> float:
    """The normal distribution function: erfc(-x / √2) / 2."""
    x = np.float64(x)
    z = -x * math.sqrt(0.5)
    if not np.abs(z) < 30:
        return x if x != x else (1.0 if x > 0 else 0.0)
    # What z lost by rounding, by halves whose products are exact; erfc(z) falls by
    # 2z times that, relatively, where it is small.
    high = np.floor(-x * 2.0**20) / 2.0**20
    root_high, root_low = 0.7071067690849304, 1.210161710447897e-08
    lost = (high * root_high - z) + high * root_low + (-x - high) * math.sqrt(0.5)
    tail = 0.5 * math.erfc(z)
    return tail - lost * np.exp(-z * z) / ROOT_PI


def log_ndtr(x: float) -> float:
    """The logarithm of the normal distribution function."""
    z = x / math.sqrt(2)
    if x < -1:
        return np.log(0.5 * erfcx(-z)) - z * z
    return np.log1p(-0.5 * math.erfc(z))


def erfcinv(c: float) -> float:
    """The inverse of erfc, by Halley's steps from a rational guess."""
    if c > 1.5:
        return -erfcinv_below(2 - c)
    if c > 0.5:
        return erfinv(1 - c)
    return erfcinv_below(c)


def erfcinv_below(c: float) -> float:
    """The inverse of erfc where that is below 1/2 (Press et al., section 6.2.2)."""
    if not 0 < c < 2:
        return np.inf if c == 0 else np.nan
    t = np.sqrt(-2 * np.log(c / 2))
    guess = (2.30753 + t * 0.27061) / (1 + t * (0.99229 + t * 0.04481))
    y = (t - guess) / math.sqrt(2)
    for _ in range(3):
        # The error in units of the slope, which underflows where erfc does.
        error = (erfcx(y) - np.exp(y * y + np.log(c))) * (ROOT_PI / 2)
        y += error / (1 - y * error)
    return y


def erfinv(x: float) -> float:
    """The inverse of erf."""
    if np.abs(x) > 0.5:
        return np.copysign(erfcinv_below(1 - np.abs(x)), x)
    y = x * (ROOT_PI / 2)
    y = y * (1 + y * y / 3)
    for _ in range(3):
        error = (math.erf(y) - x) * (ROOT_PI / 2) * np.exp(y * y)
        y -= error / (1 + y * error)
    return y


# Bessel functions of integer order ----------------------------------------------------


def _hankel(n: int, x: float) -> tuple[float, float]:
    """The two asymptotic series of J_n for x ≥ 25: with cosine, and with sine."""
    mu = 4.0 * n * n
    p, q, term = 1.0, 0.0, 1.0
    for k in range(1, 40):
        factor = (mu - (2 * k - 1) ** 2) / (k * 8 * x)
        if np.abs(factor) > 1:
            break
        term *= factor
        if k % 4 == 1:
            q += term
        elif k % 4 == 2:
            p -= term
        elif k % 4 == 3:
            q -= term
        else:
            p += term
    return p, q


def bessel_j(n: int, x: float) -> float:
    """J_n(x), n ≥ 0: backward recurrence (Miller), or its asymptotic series."""
    sign = 1.0
    if x < 0:
        sign, x = (-1.0 if n % 2 else 1.0), -x
    if x != x or x == np.inf:
        return np.nan
    if x >= 25 and x >= n * n:
        p, q = _hankel(n, x)
        # cos and sin of x - (2n + 1) π / 4, the multiple of π taken out exactly.
        c, s = np.cos(x), np.sin(x)
        quarter = (2 * n + 1) % 8
        a = 1.0 if quarter in (1, 7) else -1.0
        b = 1.0 if quarter in (1, 3) else -1.0
        # cos φ = (c a + s b) / √2 and sin φ = (s a - c b) / √2
        return sign * ((c * a + s * b) * p - (s * a - c * b) * q) / np.sqrt(math.pi * x)
    if x < 1e-5:
        term = 1.0
        for k in range(1, n + 1):
            term *= 0.5 * x / k
        return sign * term * (1 - 0.25 * x * x / (n + 1))
    start = 2 * (int(max(x, n) + 20 + 4 * np.sqrt(max(x, n))) // 2)
    above, here, out, total = 0.0, 1e-30, 0.0, 0.0
    for k in range(start, 0, -1):
        above, here = here, 2 * k / x * here - above
        if np.abs(here) > 1e100:
            above, here = above * 1e-100, here * 1e-100
            out, total = out * 1e-100, total * 1e-100
        if k - 1 == n:
            out = here
        if k % 2 == 1:
            total += here if k == 1 else 2 * here
    return sign * out / total


def bessel_i(n: int, scaled: bool, x: float) -> float:
    """I_n(x), n ≥ 0, times exp(-|x|) if `scaled`: a power or an asymptotic series."""
    sign = 1.0
    if x < 0:
        sign, x = (-1.0 if n % 2 else 1.0), -x
    if x != x:
        return x
    if x >= 25 and x >= n * n:
        mu = 4.0 * n * n
        total, term = 1.0, 1.0
        for k in range(1, 40):
            factor = -(mu - (2 * k - 1) ** 2) / (k * 8 * x)
            if np.abs(factor) > 1:
                break
            term *= factor
            total += term
        total /= np.sqrt(2 * math.pi * x)
        # Half the exponent twice: the product may be finite where exp(x) is not.
        half = 1.0 if scaled else np.exp(0.5 * x)
        return sign * (total * half) * half
    w = 0.25 * x * x
    term = 1.0
    for k in range(1, n + 1):
        term *= 0.5 * x / k
    total, k = term, 1
    while term > 1e-17 * total:
        term *= w / (k * (k + n))
        total += term
        k += 1
    return sign * total * (np.exp(-x) if scaled else 1.0)


#: What the code here names: constants and other functions of numbers.
NAMES: dict[str, Any] = {
    name: value
    for name, value in globals().items()
    if isinstance(value, float) or getattr(value, "__module__", "") == __name__
}
#: By the name that they have in kernels.
SCALARS: dict[str, Callable[..., Any]] = {
    f"_tj_{f.__name__}": f
    for f in (
        *(lgamma, gamma, digamma, polygamma, betaln, beta),
        *(erfcx, ndtr, log_ndtr, erfinv, erfcinv, bessel_j, bessel_i),
    )
}
