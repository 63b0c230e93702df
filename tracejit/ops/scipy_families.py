"""Families of special functions that SciPy computes, which their derivatives stay in.

Bessel, Airy, Kelvin and Struve functions, and orthogonal polynomials: the derivative is
a neighbour in the family (NIST Digital Library of Mathematical Functions, DLMF).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tracejit.ir.primitive import REGISTRY, Elementwise
from tracejit.ops.elementwise import eq, exp, gt, maximum, select, sign, sqrt, trunc
from tracejit.ops.scipy_functions import (
    COMPLEX,
    ORDER,
    POSITIVE,
    SHAPE,
    WHOLE,
    as_real,
    cosine_integral,
    fresnel_c,
    fresnel_s,
    hyperbolic_cosine_integral,
    hyperbolic_sine_integral,
    jacobi_am,
    jacobi_cn,
    jacobi_dn,
    jacobi_sn,
    rgamma,
    sine_integral,
)
from tracejit.ops.special import bessel_i, bessel_j, xlogy
from tracejit.ops.ufuncs import PREFIX, by_scipy, unknown

# Bessel functions ---------------------------------------------------------------------


def _cylinder(
    name: str, before: float, after: float, more: Any = None, **options: Any
) -> Any:
    """One with slope before * f(v - 1) + after * f(v + 1) (DLMF 10.6.1, 10.29.1)."""

    def slope(y: Any, v: Any, x: Any) -> Any:
        f = REGISTRY[name]
        total = before * f(v - 1, x) + after * f(v + 1, x)
        return total if more is None else total + more(y, v, x)

    options.setdefault("domain", (ORDER, POSITIVE))
    return by_scipy(name, unknown(f"{name}(v, x) by the order v"), slope, **options)


jv = _cylinder("jv", 0.5, -0.5, **COMPLEX)
yv = _cylinder("yv", 0.5, -0.5, **COMPLEX)
iv = _cylinder("iv", 0.5, 0.5, **COMPLEX)
kv = _cylinder("kv", -0.5, -0.5, **COMPLEX)
hankel1 = _cylinder("hankel1", 0.5, -0.5, dtypes=("f", "c"))
hankel2 = _cylinder("hankel2", 0.5, -0.5, dtypes=("f", "c"))
kve = _cylinder("kve", -0.5, -0.5, lambda y, v, x: y, **COMPLEX)
# Of real numbers these are scaled by |x| and by 1; of complex ones by what has no
# complex derivative.
ive = _cylinder("ive", 0.5, 0.5, lambda y, v, x: -(sign(x) * y))
jve = _cylinder("jve", 0.5, -0.5)
yve = _cylinder("yve", 0.5, -0.5)


def _of_whole_order(name: str, sign_after: float) -> Any:
    """Y_n' or K_n', without an order below 0: n f / x +- f(n + 1) (DLMF 10.6.2)."""

    def slope(y: Any, n: Any, x: Any) -> Any:
        return trunc(as_real(n, x)) * y / x + sign_after * REGISTRY[name](n + 1, x)

    return by_scipy(
        name,
        unknown(f"{name}(n, x) by the order n"),
        slope,
        domain=(WHOLE, POSITIVE),
        dtypes=("i", "f"),
    )


yn = _of_whole_order("yn", -1)
kn = _of_whole_order("kn", -1)
y0 = by_scipy("y0", lambda y, x: -y1(x), domain=(POSITIVE,))
y1: Elementwise = by_scipy("y1", lambda y, x: y0(x) - y / x, domain=(POSITIVE,))
k0 = by_scipy("k0", lambda y, x: -k1(x), domain=(POSITIVE,))
k1: Elementwise = by_scipy("k1", lambda y, x: -(k0(x) + y / x), domain=(POSITIVE,))
k0e = by_scipy("k0e", lambda y, x: y - k1e(x), domain=(POSITIVE,))
k1e: Elementwise = by_scipy("k1e", lambda y, x: y - k0e(x) - y / x, domain=(POSITIVE,))


def _spherical(name: str, before: float, after: float) -> tuple[Any, Any]:
    """One with (before n f(n - 1) + after (n + 1) f(n + 1)) / (2n + 1) as its slope.

    (DLMF 10.51.2)
    """

    def slope(n: Any, x: Any) -> Any:
        f, order = REGISTRY[name], as_real(n, x)
        # The first term is 0 for n = 0, whatever stands for f(-1).
        low, high = f(maximum(n - 1, 0), x), f(n + 1, x)
        total = before * (order * low) + after * ((order + 1) * high)
        return total / (2 * order + 1)

    value = by_scipy(
        name,
        unknown(f"{name[1:]}(n, x) by the order n"),
        lambda y, n, x: slope(n, x),
        domain=((0, 4), POSITIVE),
        dtypes=("i", "fc"),
    )
    return value, slope


spherical_jn, spherical_jn_d = _spherical("_spherical_jn", 1, -1)
spherical_yn, spherical_yn_d = _spherical("_spherical_yn", 1, -1)
spherical_in, spherical_in_d = _spherical("_spherical_in", 1, 1)
spherical_kn, spherical_kn_d = _spherical("_spherical_kn", -1, -1)


def _struve_rest(v: Any, x: Any) -> Any:
    """(x/2)^v / (2 sqrt(π) Γ(v + 3/2)) (DLMF 11.4.29)"""
    power = exp(xlogy(v, 0.5 * x))
    return (0.5 / math.sqrt(math.pi)) * (power * rgamma(v + 1.5))


struve = _cylinder("struve", 0.5, -0.5, lambda y, v, x: _struve_rest(v, x))
modstruve = _cylinder("modstruve", 0.5, 0.5, lambda y, v, x: _struve_rest(v, x))

# Airy and Kelvin functions ------------------------------------------------------------


def _parts(name: str, *slopes: Callable[..., Any], **options: Any) -> list[Any]:
    """All results of a function of one number, which are each other's derivatives."""
    out: list[Any] = []

    def rule(slope: Callable[..., Any]) -> Callable[..., Any]:
        return lambda y, x: slope(x, *out)

    for k, slope in enumerate(slopes):
        out.append(by_scipy(name, rule(slope), part=k, **options))
    return out


airy = _parts(
    "airy",
    lambda x, a, da, b, db: da(x),
    lambda x, a, da, b, db: x * a(x),
    lambda x, a, da, b, db: db(x),
    lambda x, a, da, b, db: x * b(x),
    dtypes="fc",
)


def _rooted(x: Any) -> Any:
    """√x, and 0 for what is negative: there the factor of Bi is 1."""
    positive = gt(x, 0)
    return select(positive, sqrt(select(positive, x, 1)), 0)


airye = _parts(
    "airye",
    lambda x, a, da, b, db: da(x) + sqrt(x) * a(x),
    lambda x, a, da, b, db: x * a(x) + sqrt(x) * da(x),
    lambda x, a, da, b, db: db(x) - _rooted(x) * b(x),
    lambda x, a, da, b, db: x * b(x) - _rooted(x) * db(x),
    domain=(POSITIVE,),
)
ber = by_scipy("ber", lambda y, x: berp(x))
bei = by_scipy("bei", lambda y, x: beip(x))
berp: Elementwise = by_scipy("berp", lambda y, x: -bei(x) - y / x, domain=(POSITIVE,))
beip: Elementwise = by_scipy("beip", lambda y, x: ber(x) - y / x, domain=(POSITIVE,))
ker = by_scipy("ker", lambda y, x: kerp(x), domain=(POSITIVE,))
kei = by_scipy("kei", lambda y, x: keip(x), domain=(POSITIVE,))
kerp: Elementwise = by_scipy("kerp", lambda y, x: -kei(x) - y / x, domain=(POSITIVE,))
keip: Elementwise = by_scipy("keip", lambda y, x: ker(x) - y / x, domain=(POSITIVE,))


def _j(n: int, x: Any) -> Any:
    return bessel_j(x, n=n)


def _i(x: Any) -> Any:
    return bessel_i(x, n=0, scaled=False)


itj0y0 = _parts(
    "itj0y0", lambda x, *f: _j(0, x), lambda x, *f: y0(x), domain=(POSITIVE,)
)
iti0k0 = _parts("iti0k0", lambda x, *f: _i(x), lambda x, *f: k0(x), domain=(POSITIVE,))
itstruve0 = by_scipy("itstruve0", lambda y, x: struve(0, x), domain=(POSITIVE,))
itmodstruve0 = by_scipy(
    "itmodstruve0", lambda y, x: modstruve(0, x), domain=(POSITIVE,)
)

# Parabolic cylinder functions ---------------------------------------------------------


# D_v and its derivative: y'' = (x²/4 - v - 1/2) y (DLMF 12.2.2).
_by_order = unknown("pbdv(v, x) by the order v")
pbdv: Any = [
    by_scipy("pbdv", _by_order, slope, part=k, domain=(ORDER, (-2, 2)))
    for k, slope in enumerate(
        (
            lambda y, v, x: pbdv[1](v, x),
            lambda y, v, x: (0.25 * (x * x) - v - 0.5) * pbdv[0](v, x),
        )
    )
]

# Orthogonal polynomials (DLMF 18.9.15 to 18.9.26) -------------------------------------


def _polynomial(name: str, slope: Callable[..., Any], *shapes: Any) -> Any:
    """One of some degree n: `slope(n, *shapes, x)`, where n is no integer any more."""
    by_degree = unknown(f"{name}(n, …, x) by what is not x")

    def rule(y: Any, n: Any, *rest: Any) -> Any:
        order = as_real(n, rest[-1])
        # A constant has slope 0, whatever the polynomial of degree -1 may be.
        return select(eq(order, 0), 0, slope(order, _below(n), *rest))

    return by_scipy(
        name,
        *[by_degree] * (len(shapes) + 1),
        rule,
        domain=((0, 4), *shapes, (-0.9, 0.9)),
        dtypes=("i", *"f" * (len(shapes) + 1)),
    )


def _below(n: Any) -> Any:
    """A degree less by one; not below 0 where there are no other polynomials."""
    return maximum(n - 1, 0) if n.aval.dtype.kind in "iu" else n - 1


eval_jacobi = _polynomial(
    "eval_jacobi",
    lambda n, m, a, b, x: (
        0.5 * ((n + a + b + 1) * REGISTRY["eval_jacobi"](m, a + 1, b + 1, x))
    ),
    SHAPE,
    SHAPE,
)
eval_sh_jacobi = _polynomial(
    "eval_sh_jacobi",
    lambda n, m, p, q, x: n * REGISTRY["eval_sh_jacobi"](m, p + 2, q + 1, x),
    (2.0, 3.0),
    SHAPE,
)
eval_gegenbauer = _polynomial(
    "eval_gegenbauer",
    lambda n, m, a, x: 2 * (a * REGISTRY["eval_gegenbauer"](m, a + 1, x)),
    SHAPE,
)
eval_legendre = _polynomial(
    "eval_legendre",
    lambda n, m, x: 0.5 * ((n + 1) * eval_jacobi(m, 1, 1, x)),
)
eval_sh_legendre = _polynomial(
    "eval_sh_legendre",
    lambda n, m, x: (n + 1) * eval_jacobi(m, 1, 1, 2 * x - 1),
)
eval_chebyt = _polynomial("eval_chebyt", lambda n, m, x: n * eval_chebyu(m, x))
eval_chebyu: Elementwise = _polynomial(
    "eval_chebyu", lambda n, m, x: 2 * eval_gegenbauer(m, 2, x)
)
eval_chebyc = _polynomial("eval_chebyc", lambda n, m, x: n * eval_chebyu(m, 0.5 * x))
eval_chebys = _polynomial("eval_chebys", lambda n, m, x: eval_gegenbauer(m, 2, 0.5 * x))
eval_sh_chebyt = _polynomial(
    "eval_sh_chebyt", lambda n, m, x: 2 * (n * eval_chebyu(m, 2 * x - 1))
)
eval_sh_chebyu = _polynomial(
    "eval_sh_chebyu", lambda n, m, x: 4 * eval_gegenbauer(m, 2, 2 * x - 1)
)
eval_hermite = _polynomial(
    "eval_hermite", lambda n, m, x: 2 * (n * REGISTRY["eval_hermite"](m, x))
)
eval_hermitenorm = _polynomial(
    "eval_hermitenorm", lambda n, m, x: n * REGISTRY["eval_hermitenorm"](m, x)
)
eval_laguerre = _polynomial("eval_laguerre", lambda n, m, x: -eval_genlaguerre(m, 1, x))
eval_genlaguerre: Elementwise = _polynomial(
    "eval_genlaguerre",
    lambda n, m, a, x: -REGISTRY["eval_genlaguerre"](m, a + 1, x),
    SHAPE,
)

#: Programs by the name of the ufunc: of its result, or a list of them for several.
UFUNCS: dict[str, Any] = {
    **{
        name: prim
        for name, prim in REGISTRY.items()
        if getattr(prim, "emit", "").startswith(f"{PREFIX}{name}_")
    },
    "sici": [sine_integral, cosine_integral],
    "shichi": [hyperbolic_sine_integral, hyperbolic_cosine_integral],
    "fresnel": [fresnel_s, fresnel_c],
    "ellipj": [jacobi_sn, jacobi_cn, jacobi_dn, jacobi_am],
    **{"airy": airy, "airye": airye, "itj0y0": itj0y0, "iti0k0": iti0k0},
    "pbdv": pbdv,
    **{"_spherical_jn_d": spherical_jn_d, "_spherical_yn_d": spherical_yn_d},
    **{"_spherical_in_d": spherical_in_d, "_spherical_kn_d": spherical_kn_d},
}
