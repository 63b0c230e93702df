"""Special functions that SciPy computes, each with its derivatives.

Formulas are those of the NIST Digital Library of Mathematical Functions (DLMF).
`unknown` stands for a derivative, by an order as a rule, that has no closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tracejit.ir.primitive import REGISTRY, Elementwise, cast_to
from tracejit.ops.elementwise import (
    abs_,
    cos,
    exp,
    floor,
    gt,
    log,
    log1p,
    maximum,
    select,
    sin,
    sinh,
    sqrt,
)
from tracejit.ops.special import (
    SLOPE,
    digamma,
    erf,
    lgamma,
    xlog1py,
    xlogy,
)
from tracejit.ops.special import betaln as log_beta
from tracejit.ops.ufuncs import by_scipy, unknown

ORDER = (0.3, 3.0)
SHAPE = (0.6, 4.0)
INSIDE = (0.25, 0.75)
POSITIVE = (0.7, 5.0)
WHOLE = (1, 5)
#: A real order, and a number that may be complex.
COMPLEX: Any = {"dtypes": ("f", "fc")}


def as_real(n: Any, x: Any) -> Any:
    """A number, which may be an integer, in the dtype of another."""
    return cast_to(n, x.aval.dtype)


# Γ and its relatives ------------------------------------------------------------------

rgamma = by_scipy("rgamma", lambda y, x: -(y * digamma(x)), domain=(POSITIVE,))
loggamma = by_scipy("loggamma", lambda y, x: digamma(x), domain=(POSITIVE,))
gammasgn = by_scipy("gammasgn", None, domain=((-0.9, 3.0),))
poch = by_scipy(
    "poch",
    lambda y, z, m: y * (digamma(z + m) - digamma(z)),
    lambda y, z, m: y * digamma(z + m),
    domain=(SHAPE, SHAPE),
)
binom = by_scipy(
    "binom",
    lambda y, n, k: y * (digamma(n + 1) - digamma(n - k + 1)),
    lambda y, n, k: y * (digamma(n - k + 1) - digamma(k + 1)),
    domain=((4.0, 7.0), (0.6, 3.0)),
)


def _gamma_density(a: Any, x: Any) -> Any:
    """x^(a-1) exp(-x) / Γ(a)"""
    return exp(xlogy(a - 1, x) - x - lgamma(a))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """x^(a-1) (1-x)^(b-1) / B(a, b)"""
    return exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - log_beta(a, b))


gammainc = by_scipy(
    "gammainc",
    unknown("gammainc(a, x) by a"),
    lambda y, a, x: _gamma_density(a, x),
    domain=(SHAPE, POSITIVE),
)
gammaincc = by_scipy(
    "gammaincc",
    unknown("gammaincc(a, x) by a"),
    lambda y, a, x: -_gamma_density(a, x),
    domain=(SHAPE, POSITIVE),
)
gammaincinv = by_scipy(
    "gammaincinv",
    unknown("gammaincinv(a, y) by a"),
    lambda x, a, y: 1 / _gamma_density(a, x),
    domain=(SHAPE, INSIDE),
)
gammainccinv = by_scipy(
    "gammainccinv",
    unknown("gammainccinv(a, y) by a"),
    lambda x, a, y: -1 / _gamma_density(a, x),
    domain=(SHAPE, INSIDE),
)


def _of_beta(name: str, slope: Callable[..., Any]) -> Any:
    by_shape = unknown(f"{name}(a, b, x) by a and b")
    shapes = (SHAPE, SHAPE, INSIDE)
    return by_scipy(name, by_shape, by_shape, slope, domain=shapes)


betainc = _of_beta("betainc", lambda y, a, b, x: _beta_density(a, b, x))
betaincc = _of_beta("betaincc", lambda y, a, b, x: -_beta_density(a, b, x))
betaincinv = _of_beta("betaincinv", lambda x, a, b, y: 1 / _beta_density(a, b, x))
betainccinv = _of_beta("betainccinv", lambda x, a, b, y: -1 / _beta_density(a, b, x))

# Elementary functions that keep digits ------------------------------------------------

DEGREE = math.pi / 180

cosm1 = by_scipy("cosm1", lambda y, x: -sin(x))
sindg = by_scipy("sindg", lambda y, x: DEGREE * cosdg(x))
cosdg: Elementwise = by_scipy("cosdg", lambda y, x: -DEGREE * sindg(x))
tandg = by_scipy("tandg", lambda y, x: DEGREE * (1 + y * y))
cotdg = by_scipy("cotdg", lambda y, x: -DEGREE * (1 + y * y), domain=((20, 160),))
powm1 = by_scipy(
    "powm1",
    lambda z, x, y: y * exp((y - 1) * log(x)),
    lambda z, x, y: (1 + z) * log(x),
    domain=(POSITIVE, (-2, 2)),
)

# Distributions ------------------------------------------------------------------------

ROOT_TWO_PI = math.sqrt(2 * math.pi)

ndtri_exp = by_scipy(
    "ndtri_exp",
    lambda x, y: ROOT_TWO_PI * exp(y + 0.5 * (x * x)),
    domain=((-3.0, -0.3),),
)
owens_t = by_scipy(
    "owens_t",
    lambda y, h, a: (
        (-0.5 / ROOT_TWO_PI) * (exp(-0.5 * (h * h)) * erf(a * h * math.sqrt(0.5)))
    ),
    lambda y, h, a: (0.5 / math.pi) * (exp(-0.5 * (h * h) * (1 + a * a)) / (1 + a * a)),
)


def _t_density(df: Any, t: Any) -> Any:
    """Of Student's distribution."""
    body = log1p(t * t / df) * (0.5 * (df + 1))
    return exp(-log_beta(0.5, 0.5 * df) - 0.5 * log(df) - body)


stdtr = by_scipy(
    "stdtr",
    unknown("stdtr(df, t) by df"),
    lambda y, df, t: _t_density(df, t),
    domain=(POSITIVE, (-2, 2)),
)
stdtrit = by_scipy(
    "stdtrit",
    unknown("stdtrit(df, p) by df"),
    lambda t, df, p: 1 / _t_density(df, t),
    domain=((2.0, 5.0), INSIDE),
)


def _f_density(m: Any, n: Any, x: Any) -> Any:
    """Of Fisher's distribution, by way of the beta distribution of m x / (m x + n)."""
    below = m * x + n
    part = m * x / below
    return _beta_density(0.5 * m, 0.5 * n, part) * (m * n / (below * below))


_by_freedom = unknown("fdtr(dfn, dfd, x) and its like by degrees of freedom")
fdtr = by_scipy(
    "fdtr",
    _by_freedom,
    _by_freedom,
    lambda y, m, n, x: _f_density(m, n, x),
    domain=(POSITIVE,) * 3,
)
fdtrc = by_scipy(
    "fdtrc",
    _by_freedom,
    _by_freedom,
    lambda y, m, n, x: -_f_density(m, n, x),
    domain=(POSITIVE,) * 3,
)
fdtri = by_scipy(
    "fdtri",
    _by_freedom,
    _by_freedom,
    lambda x, m, n, p: 1 / _f_density(m, n, x),
    domain=((2.0, 5.0), (2.0, 5.0), INSIDE),
)


def _poisson(k: Any, m: Any) -> Any:
    """The probability of k events, of which m are expected."""
    k = floor(k)
    return exp(xlogy(k, m) - m - lgamma(k + 1))


pdtr = by_scipy(
    "pdtr", None, lambda y, k, m: -_poisson(k, m), domain=((2.1, 2.9), POSITIVE)
)
pdtrc = by_scipy(
    "pdtrc", None, lambda y, k, m: _poisson(k, m), domain=((2.1, 2.9), POSITIVE)
)


def _of_successes(shape: Callable[..., Any]) -> Callable[..., Any]:
    """The slope by p of a distribution of counts: that of the betainc that it is."""

    def slope(y: Any, k: Any, n: Any, p: Any) -> Any:
        return shape(floor(as_real(k, p)), floor(as_real(n, p)), p)

    return slope


COUNTS: Any = {"domain": ((1, 3), (4, 6), INSIDE), "dtypes": ("i", "i", "f")}
bdtr = by_scipy(
    "bdtr",
    None,
    None,
    _of_successes(lambda k, n, p: -_beta_density(k + 1, n - k, p)),
    domain=((1.1, 1.9), (4, 6), INSIDE),
    dtypes=("f", "i", "f"),
)
bdtrc = by_scipy(
    "bdtrc",
    None,
    None,
    _of_successes(lambda k, n, p: _beta_density(k + 1, n - k, p)),
    domain=((1.1, 1.9), (4, 6), INSIDE),
    dtypes=("f", "i", "f"),
)
nbdtr = by_scipy(
    "nbdtr",
    None,
    None,
    _of_successes(lambda k, n, p: _beta_density(n, k + 1, p)),
    **COUNTS,
)
nbdtrc = by_scipy(
    "nbdtrc",
    None,
    None,
    _of_successes(lambda k, n, p: -_beta_density(n, k + 1, p)),
    **COUNTS,
)

# Boost's functions, which SciPy's distributions are made of.
_WHOLE_COUNT: Any = {"domain": ((1, 3), (3.6, 5.9), INSIDE), "dtypes": ("i", "f", "f")}


def _binomial_slopes(y: Any, k: Any, n: Any, p: Any) -> tuple[Any, Any]:
    k = as_real(k, p)
    by_n = digamma(n + 1) - digamma(n - k + 1) + log1p(-p)
    return y * by_n, y * (k - n * p) / (p * (1 - p))


def _negative_slopes(y: Any, k: Any, n: Any, p: Any) -> tuple[Any, Any]:
    k = as_real(k, p)
    by_n = digamma(n + k) - digamma(n) + log(p)
    return y * by_n, y * (n / p - k / (1 - p))


def _boost(name: str, *slopes: Any, **options: Any) -> Any:
    return by_scipy(f"_{name}", *slopes, **options)


beta_pdf = _boost(
    "beta_pdf",
    lambda y, x, a, b: y * ((a - 1) / x - (b - 1) / (1 - x)),
    lambda y, x, a, b: y * (log(x) - digamma(a) + digamma(a + b)),
    lambda y, x, a, b: y * (log1p(-x) - digamma(b) + digamma(a + b)),
    domain=(INSIDE, SHAPE, SHAPE),
)
beta_ppf = _boost(
    "beta_ppf",
    lambda x, p, a, b: 1 / _beta_density(a, b, x),
    *[unknown("betaincinv(a, b, y) by a and b")] * 2,
    domain=(INSIDE, SHAPE, SHAPE),
)
for _name, _direction in (("ppf", 1), ("isf", -1)):
    _boost(
        f"cauchy_{_name}",
        lambda y, p, loc, scale, sign=_direction: (
            (sign * math.pi) * (scale + (y - loc) * (y - loc) / scale)
        ),
        lambda y, p, loc, scale: 1,
        lambda y, p, loc, scale: (y - loc) / scale,
        domain=(INSIDE, (-2, 2), SHAPE),
    )
for _name, _slopes in (("binom", _binomial_slopes), ("nbinom", _negative_slopes)):
    _boost(
        f"{_name}_pmf",
        unknown(f"the probabilities of stats.{_name} by the count"),
        lambda *xs, f=_slopes: f(*xs)[0],
        lambda *xs, f=_slopes: f(*xs)[1],
        **_WHOLE_COUNT,
    )


def _of_counts(name: str, slope: Callable[..., Any]) -> None:
    """A distribution function of counts, which is a betainc of p."""
    by_shape = unknown(f"the distribution function of stats.{name} by the number")
    for kind, sign in (("cdf", -1), ("sf", 1)):
        _boost(
            f"{name}_{kind}",
            unknown(f"the distribution function of stats.{name} by the count"),
            by_shape,
            lambda y, k, n, p, sign=sign: sign * slope(as_real(k, p), n, p),
            **_WHOLE_COUNT,
        )


_of_counts("binom", lambda k, n, p: _beta_density(k + 1, n - k, p))
_of_counts("nbinom", lambda k, n, p: -_beta_density(n, k + 1, p))

# Error functions and integrals --------------------------------------------------------

erfi = by_scipy("erfi", lambda y, x: SLOPE * exp(x * x), domain=((-1, 1),))
dawsn = by_scipy("dawsn", lambda y, x: 1 - 2 * (x * y))
wofz = by_scipy("wofz", lambda y, z: -2 * (z * y) + 1j * SLOPE, dtypes="c")


def ratio_at_zero(function: Any, x: Any, *series: float) -> Any:
    """function(x) / x, near 0 by its series, which serves its derivatives, too."""
    small = gt(1e-2, abs_(x))
    total: Any = 0 * x + series[-1]
    for coefficient in reversed(series[:-1]):
        total = total * x + coefficient
    safe = select(small, 1, x)
    return select(small, total, function(safe) / safe)


def log1p_ratio(x: Any) -> Any:
    """log(1 + x) / x"""
    return ratio_at_zero(log1p, x, *((-1) ** k / (k + 1) for k in range(12)))


def _sinc(x: Any) -> Any:
    return ratio_at_zero(sin, x, 1, 0, -1 / 6, 0, 1 / 120, 0, -1 / 5040, 0, 1 / 362880)


def _sinhc(x: Any) -> Any:
    return ratio_at_zero(sinh, x, 1, 0, 1 / 6, 0, 1 / 120, 0, 1 / 5040, 0, 1 / 362880)


exp1 = by_scipy("exp1", lambda y, x: -(exp(-x) / x), domain=(POSITIVE,))
expi = by_scipy("expi", lambda y, x: exp(x) / x, domain=(POSITIVE,))


def _expn_slope(y: Any, n: Any, x: Any) -> Any:
    """-E_{n-1}(x), where E_0(x) is exp(-x) / x."""
    lowest = -(exp(-x) * (1 / x + 1 / (x * x)))
    return select(gt(1, n), lowest, -expn(maximum(n - 1, 0), x))


expn = by_scipy(
    "expn",
    unknown("expn(n, x) by n"),
    _expn_slope,
    domain=(WHOLE, POSITIVE),
    dtypes=("i", "f"),
)
sine_integral = by_scipy("sici", lambda y, x: _sinc(x), part=0)
cosine_integral = by_scipy("sici", lambda y, x: cos(x) / x, part=1, domain=(POSITIVE,))
hyperbolic_sine_integral = by_scipy("shichi", lambda y, x: _sinhc(x), part=0)
hyperbolic_cosine_integral = by_scipy(
    "shichi",
    lambda y, x: REGISTRY["cosh"](x) / x,
    part=1,
    domain=(POSITIVE,),
)
fresnel_s = by_scipy("fresnel", lambda y, x: sin((math.pi / 2) * (x * x)), part=0)
fresnel_c = by_scipy("fresnel", lambda y, x: cos((math.pi / 2) * (x * x)), part=1)
spence = by_scipy("spence", lambda y, x: -log1p_ratio(x - 1), domain=((0.5, 2.0),))

# Elliptic integrals -------------------------------------------------------------------


def _ellipk_slope(m: Any) -> Any:
    # Of K = π/2 F(1/2, 1/2; 1; m): no 0/0 at m = 0, and differentiable again.
    return (math.pi / 8) * hyp2f1(1.5, 1.5, 2.0, m)


def _ellipe_slope(m: Any) -> Any:
    return (-math.pi / 8) * hyp2f1(0.5, 1.5, 2.0, m)


def _ellipkm1_slope(y: Any, p: Any) -> Any:
    """-K'(1 - p) = (p K - E) / (2 p (1 - p)), away from p = 1, where it is 0/0."""
    near = gt(p, 0.5)
    safe = select(near, 0.25, p)
    ratio = (safe * ellipkm1(safe) - ellipe(1 - safe)) / (2 * safe * (1 - safe))
    return select(near, -_ellipk_slope(1 - select(near, p, 0.5)), ratio)


ELLIPTIC: Any = {"domain": ((-1.0, 0.8),)}
ellipk = by_scipy("ellipk", lambda y, m: _ellipk_slope(m), **ELLIPTIC)
ellipe = by_scipy("ellipe", lambda y, m: _ellipe_slope(m), **ELLIPTIC)
ellipkm1 = by_scipy("ellipkm1", _ellipkm1_slope, domain=((0.2, 0.8),))


def _root(phi: Any, m: Any) -> Any:
    s = sin(phi)
    return sqrt(1 - m * (s * s))


def _incomplete(phi: Any, m: Any, complete: Any, carlson: Any) -> Any:
    """A derivative by m of an integral up to phi: of whole periods, and of the rest."""
    periods = floor(phi / math.pi + 0.5)
    rest = phi - periods * math.pi
    s, c = sin(rest), cos(rest)
    return 2 * (periods * complete(m)) + s * s * s * carlson(c * c, 1 - m * (s * s)) / 6


ellipkinc = by_scipy(
    "ellipkinc",
    lambda y, phi, m: 1 / _root(phi, m),
    lambda y, phi, m: _incomplete(phi, m, _ellipk_slope, lambda c, d: elliprd(c, 1, d)),
    domain=((-1.2, 1.2), (0.1, 0.8)),
)
ellipeinc = by_scipy(
    "ellipeinc",
    lambda y, phi, m: _root(phi, m),
    lambda y, phi, m: _incomplete(
        phi, m, _ellipe_slope, lambda c, d: -elliprd(c, d, 1)
    ),
    domain=((-1.2, 1.2), (0.1, 0.8)),
)


def _elliprd_slope(d: Any, x: Any, y: Any, z: Any) -> Any:
    """By x: (R_D(x, y, z) - R_D(y, z, x)) / (2 (z - x)); NaN where that is 0/0."""
    gap = z - x
    lost = gt(1e-6 * (abs_(z) + abs_(x)), abs_(gap))
    return 0.5 * (d - elliprd(y, z, x)) / select(lost, math.nan, gap)


def _elliprd_last(d: Any, x: Any, y: Any, z: Any) -> Any:
    """By z, from the others: R_D is homogeneous of degree -3/2."""
    rest = x * _elliprd_slope(d, x, y, z) + y * _elliprd_slope(d, y, x, z)
    return -(1.5 * d + rest) / z


elliprd: Elementwise = by_scipy(
    "elliprd",
    _elliprd_slope,
    lambda d, x, y, z: _elliprd_slope(d, y, x, z),
    _elliprd_last,
    domain=((0.4, 0.9), (1.2, 1.9), (2.2, 3.0)),
)
elliprf = by_scipy(
    "elliprf",
    lambda f, x, y, z: elliprd(y, z, x) / -6,
    lambda f, x, y, z: elliprd(x, z, y) / -6,
    lambda f, x, y, z: elliprd(x, y, z) / -6,
    domain=((0.4, 0.9), (1.2, 1.9), (2.2, 3.0)),
)
_by_parameter = unknown("ellipj(u, m) by m")
JACOBI: Any = {"domain": ((-2, 2), (0.1, 0.8))}
jacobi_sn = by_scipy(
    "ellipj",
    lambda y, u, m: jacobi_cn(u, m) * jacobi_dn(u, m),
    _by_parameter,
    part=0,
    **JACOBI,
)
jacobi_cn: Elementwise = by_scipy(
    "ellipj",
    lambda y, u, m: -(jacobi_sn(u, m) * jacobi_dn(u, m)),
    _by_parameter,
    part=1,
    **JACOBI,
)
jacobi_dn: Elementwise = by_scipy(
    "ellipj",
    lambda y, u, m: -(m * jacobi_sn(u, m) * jacobi_cn(u, m)),
    _by_parameter,
    part=2,
    **JACOBI,
)
jacobi_am = by_scipy(
    "ellipj", lambda y, u, m: jacobi_dn(u, m), _by_parameter, part=3, **JACOBI
)

# Hypergeometric functions, and others of several parameters --------------------------


def _by_parameters(name: str, count: int) -> list[Any]:
    return [unknown(f"{name} by its parameters, all but the last one")] * count


hyp0f1: Elementwise = by_scipy(
    "hyp0f1",
    *_by_parameters("hyp0f1(v, z)", 1),
    lambda y, v, z: hyp0f1(v + 1, z) / _like(v, z),
    domain=(SHAPE, (-2, 2)),
    **COMPLEX,
)
hyp1f1: Elementwise = by_scipy(
    "hyp1f1",
    *_by_parameters("hyp1f1(a, b, z)", 2),
    lambda y, a, b, z: hyp1f1(a + 1, b + 1, z) * _like(a / b, z),
    domain=(SHAPE, SHAPE, (-2, 2)),
    dtypes=("f", "f", "fc"),
)
hyp2f1: Elementwise = by_scipy(
    "hyp2f1",
    *_by_parameters("hyp2f1(a, b, c, z)", 3),
    lambda y, a, b, c, z: hyp2f1(a + 1, b + 1, c + 1, z) * _like(a * b / c, z),
    domain=(SHAPE, SHAPE, (4.5, 6.0), (-0.8, 0.7)),
)
hyperu: Elementwise = by_scipy(
    "hyperu",
    *_by_parameters("hyperu(a, b, x)", 2),
    lambda y, a, b, x: -(a * hyperu(a + 1, b + 1, x)),
    domain=(SHAPE, SHAPE, POSITIVE),
)


def _like(value: Any, z: Any) -> Any:
    """A real number among complex ones."""
    return value if value.aval.dtype == z.aval.dtype else cast_to(value, z.aval.dtype)


zeta: Elementwise = by_scipy(
    "_zeta",
    unknown("zeta(x, q) by x"),
    lambda y, x, q: -(x * zeta(x + 1, q)),
    domain=((1.5, 4.0), POSITIVE),
)
lambertw = by_scipy(
    "_lambertw",
    lambda w, z, k, tol: exp(-w) / (1 + w),
    None,
    unknown("lambertw(z, k, tol) by its tolerance"),
    dtypes=("c", "i", "f"),
    domain=((0.5, 3.0), (0, 0), (1e-9, 1e-8)),
)
wrightomega = by_scipy("wrightomega", lambda y, z: y / (1 + y))
