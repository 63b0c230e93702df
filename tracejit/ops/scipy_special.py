"""`scipy.special` as programs, by name: SciPy itself is not imported.

Its ufuncs are entered into `numpy_names.SPECIAL`, its other functions into `SCIPY`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit.ir.program import Atom
from tracejit.ops import special
from tracejit.ops.elementwise import (
    div,
    eq,
    exp,
    expm1,
    ge,
    gt,
    log,
    log1p,
    logaddexp,
    logical_and,
    mul,
    neg,
    select,
    sub,
)
from tracejit.ops.numpy_names import SPECIAL, apply, emit
from tracejit.ops.numpy_reduce import normal_axes, sum_
from tracejit.ops.numpy_shape import known_int, reshape
from tracejit.ops.promote import broadcast_shapes, broadcast_to, convert, strong
from tracejit.ops.scipy_families import UFUNCS
from tracejit.ops.scipy_functions import (
    gammainc,
    gammaincc,
    gammainccinv,
    log1p_ratio,
    wofz,
)
from tracejit.ops.scipy_linalg import scipy

# Ufuncs -------------------------------------------------------------------------------


def _logit(p: Atom) -> Atom:
    """log(p / (1 - p)); about 1/2, where that is 0, by what is small there."""
    middle = logical_and(gt(p, 0.3), gt(0.65, p))
    near = log1p(
        div(sub(mul(select(middle, p, 0.5), 2), 1), 1 - select(middle, p, 0.5))
    )
    return select(middle, near, log(div(p, 1 - p)))


def _entropy(x: Atom) -> Atom:
    """-x log x, which is 0 at 0 and -∞ below."""
    inside = -special.xlogy(x, x)
    return select(ge(x, 0), inside, select(gt(0, x), -math.inf, x))


def _rel_entr(x: Atom, y: Atom) -> Atom:
    """x log(x / y) where both are positive, 0 where x is 0, ∞ elsewhere."""
    positive = logical_and(gt(x, 0), gt(y, 0))
    a, b = select(positive, x, 1), select(positive, y, 1)
    nothing = logical_and(eq(x, 0), ge(y, 0))
    outside = select(nothing, 0 * x, _infinite(x, y))
    return select(positive, mul(a, log(div(a, b))), outside)


def _infinite(x: Atom, y: Atom) -> Atom:
    """∞, or NaN where an operand is."""
    return select(emit("isnan", x + y), x + y, math.inf)


def _kl_div(x: Atom, y: Atom) -> Atom:
    """x log(x / y) - x + y where that is defined, as `rel_entr` is."""
    return _rel_entr(x, y) + sub(y, x)


def _log_expit(x: Atom) -> Atom:
    return neg(logaddexp(neg(x), 0))


def _ndtri(p: Atom) -> Atom:
    return mul(special.erfcinv(mul(p, 2)), -math.sqrt(2))


def _modified(n: int, scaled: bool) -> Callable[[Atom], Atom]:
    return lambda x: special.bessel_i(x, n=n, scaled=scaled)


def _exprel(x: Atom) -> Atom:
    """(exp(x) - 1) / x; near 0 a series, good to the last digit and twice derived."""
    small = gt(1e-5, emit("abs", x))
    safe = select(small, 1, x)
    series = 1 + mul(x, 0.5 + mul(x, 1 / 6 + mul(x, 1 / 24)))
    large = select(eq(x, math.inf), x, div(expm1(safe), safe))
    return select(small, series, large)


def _boxcox(x: Atom, power: Atom) -> Atom:
    """(x ** power - 1) / power, which is log x for 0."""
    logs = log(x)
    return mul(logs, _exprel(mul(power, logs)))


def _boxcox1p(x: Atom, power: Atom) -> Atom:
    """The transform of 1 + x."""
    logs = log1p(x)
    return mul(logs, _exprel(mul(power, logs)))


def _inverse_boxcox(function: Any) -> Callable[..., Atom]:
    """log x is log(1 + power y) / power, which is y for 0."""
    return lambda y, power: function(mul(y, log1p_ratio(mul(power, y))))


def _huber(delta: Atom, r: Atom) -> Atom:
    """r²/2 up to delta, then a line; ∞ where delta is negative."""
    size = emit("abs", r)
    line = mul(delta, sub(size, mul(delta, 0.5)))
    out = select(gt(size, delta), line, mul(mul(r, r), 0.5))
    return select(gt(0, delta), _infinite(delta, r), out)


def _pseudo_huber(delta: Atom, r: Atom) -> Atom:
    """delta² (sqrt(1 + (r / delta)²) - 1), without the difference."""
    positive = gt(delta, 0)
    safe = select(positive, delta, 1)
    slope = div(r, safe)
    out = div(mul(r, r), 1 + emit("sqrt", 1 + mul(slope, slope)))
    # It is 0 where one of them is, ∞ for a negative delta.
    out = select(eq(delta, 0), mul(delta, r), out)
    return select(gt(0, delta), _infinite(delta, r), out)


def _voigt(x: Atom, sigma: Atom, gamma: Atom) -> Atom:
    """The real part of w(z) / (sigma sqrt(2π)), z = (x + i gamma) / (sigma sqrt(2))."""
    narrow = eq(sigma, 0)
    width = select(narrow, 1, sigma)
    z = emit("complex", div(x, width), div(gamma, width)) * math.sqrt(0.5)
    gaussian = div(emit("real", wofz(z)), mul(width, math.sqrt(2 * math.pi)))
    below = mul(x, x) + mul(gamma, gamma)
    lorentz = div(mul(gamma, 1 / math.pi), select(narrow, below, 1))
    return select(narrow, lorentz, gaussian)


def _radian(degrees: Atom, minutes: Atom, seconds: Atom) -> Atom:
    """An angle in degrees, minutes and seconds, in radians."""
    minutes = minutes + div(seconds, 60)
    return mul(degrees + div(minutes, 60), math.pi / 180)


def _all(prims: Any) -> Callable[..., Any]:
    """The program of a ufunc, which may have several results."""
    if not isinstance(prims, list):
        return prims
    return lambda *xs: tuple([prim(*xs) for prim in prims])


SPECIAL.update({name: _all(prims) for name, prims in UFUNCS.items()})
SPECIAL.update(
    {
        **{
            name: getattr(special, name)
            for name in (
                "erf erfc erfcx erfinv erfcinv ndtr log_ndtr gamma betaln beta expit "
                "xlogy xlog1py"
            ).split()
        },
        "gammaln": special.lgamma,
        "psi": special.digamma,
        "logit": _logit,
        "log_expit": _log_expit,
        "entr": _entropy,
        "rel_entr": _rel_entr,
        "kl_div": _kl_div,
        "ndtri": _ndtri,
        "j0": lambda x: special.bessel_j(x, n=0),
        "j1": lambda x: special.bessel_j(x, n=1),
        "i0": _modified(0, False),
        "i1": _modified(1, False),
        "i0e": _modified(0, True),
        "i1e": _modified(1, True),
        "exprel": _exprel,
        "boxcox": _boxcox,
        "boxcox1p": _boxcox1p,
        "inv_boxcox": _inverse_boxcox(exp),
        "inv_boxcox1p": _inverse_boxcox(expm1),
        "huber": _huber,
        "pseudo_huber": _pseudo_huber,
        "voigt_profile": _voigt,
        "chdtr": lambda v, x: gammainc(mul(v, 0.5), mul(x, 0.5)),
        "chdtrc": lambda v, x: gammaincc(mul(v, 0.5), mul(x, 0.5)),
        "chdtri": lambda v, p: mul(gammainccinv(mul(v, 0.5), p), 2),
        "gdtr": lambda a, b, x: gammainc(b, mul(a, x)),
        "gdtrc": lambda a, b, x: gammaincc(b, mul(a, x)),
        "exp10": lambda x: exp(mul(x, math.log(10))),
        "radian": _radian,
        "round": lambda x: emit("rint", x),
        **{name: partial(emit, name) for name in "exp2 expm1 log1p cbrt".split()},
    }
)

# Other functions ----------------------------------------------------------------------


@scipy("scipy.special.polygamma")
def polygamma(n: Any, x: Any) -> Atom:
    """`scipy.special.polygamma` of a known order."""
    n, x = known_int(n, "scipy.special.polygamma"), convert(x, np.float64)
    return special.polygamma(x, n=n) if n else special.digamma(x)


@scipy("scipy.special.multigammaln")
def multigammaln(a: Any, d: Any) -> Atom:
    """`scipy.special.multigammaln`."""
    d, a = known_int(d, "scipy.special.multigammaln"), convert(a, np.float64)
    total: Any = sub(a, 0.0) * 0 + d * (d - 1) * 0.25 * math.log(math.pi)
    for j in range(d):
        total = total + special.lgamma(sub(a, 0.5 * j))
    return total


@scipy("scipy.special.softplus")
def softplus(x: Any) -> Atom:
    """`scipy.special.softplus`."""
    return logaddexp(_floats(x), 0)


def _floats(x: Any) -> Atom:
    x = strong(x)
    return x if x.aval.inexact else convert(x, np.float64)


def _over(x: Any, axis: Any) -> tuple[Atom, tuple[int, ...], tuple[int, ...]]:
    """An array, the axes to reduce, and its shape with these of extent 1."""
    x = _floats(x)
    axes = normal_axes(axis, x.aval.ndim)
    ones = tuple([1 if k in axes else n for k, n in enumerate(x.aval.shape)])
    return x, axes, ones


@scipy("scipy.special.logsumexp")
def logsumexp(
    a: Any,
    axis: Any = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
) -> Any:
    """`scipy.special.logsumexp`."""
    if b is not None:
        shape = broadcast_shapes(strong(a).aval.shape, strong(b).aval.shape)
        a, b = (broadcast_to(_floats(x), shape) for x in (a, b))
    x, axes, ones = _over(a, axis)
    out: Any = special.logsumexp(x, axes=axes) if axes else x
    sign: Any = 1 + 0 * out
    if b is not None:
        scale = broadcast_to(reshape(out, ones), x.aval.shape)
        # What is infinitely small does not shift.
        finite = apply(np.isfinite, scale)
        scale = select(finite, scale, 0)
        weighted = apply(np.multiply, b, exp(sub(x, scale)))
        total = sum_(weighted, axes)
        sign = apply(np.sign, total)
        logs = apply(np.log, apply(np.absolute, total) if return_sign else total)
        out = logs + select(apply(np.isfinite, out), out, 0)
    results = [reshape(y, ones) if keepdims else y for y in (out, sign)]
    return tuple(results) if return_sign else results[0]


@scipy("scipy.special.log_softmax")
def log_softmax(x: Any, axis: Any = None) -> Atom:
    """`scipy.special.log_softmax`."""
    x, axes, ones = _over(x, axis)
    if not axes:
        return sub(x, x)
    total = reshape(special.logsumexp(x, axes=axes), ones)
    return sub(x, broadcast_to(total, x.aval.shape))


@scipy("scipy.special.softmax")
def softmax(x: Any, axis: Any = None) -> Atom:
    """`scipy.special.softmax`."""
    return exp(log_softmax(x, axis))
