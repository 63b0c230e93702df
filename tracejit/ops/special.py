"""Special functions: elementwise primitives whose code is in `scalars`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import REGISTRY, Elementwise, Nonlinear, elementwise
from tracejit.ops import scalars
from tracejit.ops.elementwise import (
    POSITIVE,
    exp,
    isfinite,
    log,
    log1p,
    mul,
    select,
    sign,
    sub,
)
from tracejit.ops.reduce import max_, sum_
from tracejit.ops.shape import broadcast

SLOPE = 2 / math.sqrt(math.pi)


def _special(function: Any, *partials: Any, params: str = "", **options: Any) -> Any:
    """An elementwise primitive by code of its own, which computes in float64 but where
    kernels have vector functions for it (`wide=False`)."""
    name = function.__name__
    kind = "float64({{{}}})" if options.pop("wide", True) else "{{{}}}"
    operands = [kind.format(k) for k in range(len(partials))]
    call = ", ".join([*(f"{{{p}}}" for p in params.split()), *operands])
    return elementwise(
        name,
        scalars.mapped(function),
        *partials,
        emit=f"{{dtype}}(_tj_{name}({call}))",
        cost=options.pop("cost", 40),
        **options,
    )


# The error function and the normal distribution ---------------------------------------

erf = elementwise(
    "erf",
    scalars.mapped(math.erf),
    lambda y, x: SLOPE * exp(-(x * x)),
    emit="math.erf({0})",
    cost=15,
)
erfc = elementwise(
    "erfc",
    scalars.mapped(math.erfc),
    lambda y, x: -SLOPE * exp(-(x * x)),
    emit="math.erfc({0})",
    cost=15,
)
erfcx = _special(scalars.erfcx, lambda y, x: 2 * (x * y) - SLOPE, wide=False)
erfinv = _special(
    scalars.erfinv, lambda y, x: (1 / SLOPE) * exp(y * y), domain=((-0.9, 0.9),)
)
erfcinv = _special(
    scalars.erfcinv, lambda y, x: (-1 / SLOPE) * exp(y * y), domain=((0.1, 1.9),)
)
ndtr = _special(
    scalars.ndtr,
    lambda y, x: (1 / math.sqrt(2 * math.pi)) * exp(-0.5 * (x * x)),
    wide=False,
    cost=20,
)
log_ndtr = _special(
    scalars.log_ndtr,
    # The ratio of density and distribution, which is finite far below.
    lambda y, x: (1 / math.sqrt(2 * math.pi)) * exp(-0.5 * (x * x) - y),
)

# Γ and its relatives ------------------------------------------------------------------

lgamma = elementwise(
    "lgamma",
    scalars.mapped(scalars.lgamma),
    lambda y, x: digamma(x),
    emit="math.lgamma({0})",
    domain=((-0.9, 6.0),),
    cost=30,
)
gamma = _special(scalars.gamma, lambda y, x: y * digamma(x), domain=((-0.8, 5.0),))
digamma: Elementwise = _special(
    scalars.digamma,
    lambda y, x: polygamma(x, n=1),
    wide=False,
    domain=((-0.8, 5.0),),
)
polygamma: Elementwise = _special(
    scalars.polygamma,
    lambda y, x, n: polygamma(x, n=n + 1),
    params="n",
    domain=((0.8, 5.0),),
    sample_params=({"n": 1}, {"n": 2}),
)
betaln = _special(
    scalars.betaln,
    lambda y, a, b: digamma(a) - digamma(a + b),
    lambda y, a, b: digamma(b) - digamma(a + b),
    domain=((0.5, 15.0),) * 2,
)
beta = _special(
    scalars.beta,
    lambda y, a, b: y * (digamma(a) - digamma(a + b)),
    lambda y, a, b: y * (digamma(b) - digamma(a + b)),
    domain=((0.5, 3.0),) * 2,
)

# Bessel functions of integer order ----------------------------------------------------


def _bessel_j_slope(y: Any, x: Any, n: int) -> Any:
    after = bessel_j(x, n=n + 1)
    return 0.5 * (bessel_j(x, n=n - 1) - after) if n else -after


bessel_j: Elementwise = _special(
    scalars.bessel_j,
    _bessel_j_slope,
    params="n",
    sample_params=({"n": 0}, {"n": 1}, {"n": 3}),
)


def _bessel_i_slope(y: Any, x: Any, n: int, scaled: bool) -> Any:
    slope = bessel_i(x, n=n + 1, scaled=scaled)
    if n:
        slope = 0.5 * (bessel_i(x, n=n - 1, scaled=scaled) + slope)
    return slope - sign(x) * y if scaled else slope


bessel_i: Elementwise = _special(
    scalars.bessel_i,
    _bessel_i_slope,
    params="n scaled",
    domain=(POSITIVE,),
    sample_params=tuple({"n": n, "scaled": s} for n in (0, 2) for s in (False, True)),
)

# Logistic functions and products with logarithms --------------------------------------


def _expit(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, np.ones_like(small), small) / (1 + small)


expit: Elementwise = elementwise(
    "expit",
    _expit,
    # 1 - y as a function of its own: no digits are lost where y is near 1.
    lambda y, x: y * expit(-x),
    # Of |x|, which neither overflows nor loses the smallest values.
    emit="_tj_select({0} >= 0, {dtype}(1), math.exp(-abs({0})))"
    " / ({dtype}(1) + math.exp(-abs({0})))",
    cost=15,
)


def _times_log(function: Any) -> Any:
    def impl(a: Any, b: Any) -> Any:
        nothing = (a == 0) & ~np.isnan(b)
        return np.where(nothing, np.zeros_like(a), a * function(b))

    return impl


xlogy = elementwise(
    "xlogy",
    _times_log(np.log),
    lambda y, a, b: log(b),
    lambda y, a, b: a / b,
    emit="({dtype}(0) if {0} == 0 and not math.isnan({1}) else {0} * math.log({1}))",
    domain=((-2, 2), POSITIVE),
    cost=12,
)
xlog1py = elementwise(
    "xlog1py",
    _times_log(np.log1p),
    lambda y, a, b: log1p(b),
    lambda y, a, b: a / (1 + b),
    emit="({dtype}(0) if {0} == 0 and not math.isnan({1}) else {0} * math.log1p({1}))",
    domain=((-2, 2), (-0.9, 0.9)),
    cost=12,
)

# logsumexp(x; axes): log Σ exp(x), shifted by the maximum. ----------------------------

Axes = tuple[int, ...]


def _spread(y: Any, x: Any, axes: Axes) -> Any:
    """What was reduced, in the shape that it had; infinities as 0."""
    kept = tuple(k for k in range(x.aval.ndim) if k not in axes)
    finite = select(isfinite(y), y, 0)
    return broadcast(finite, shape=x.aval.shape, axes=kept)


def _logsumexp(x: Any, axes: Axes) -> Any:
    top = np.max(x, axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
    return np.log(np.sum(np.exp(x - top), axis=axes)) + np.squeeze(top, axes)


def _logsumexp_shape(x: Aval, axes: Axes) -> Aval:
    return x.update(shape=tuple(n for k, n in enumerate(x.shape) if k not in axes))


def _logsumexp_program(x: Any, axes: Axes) -> Any:
    top = max_(x, axes=axes)
    total = log(sum_(exp(sub(x, _spread(top, x, axes))), axes=axes))
    return total + select(isfinite(top), top, 0)


def _logsumexp_tangent(y: Any, inputs: Any, tangents: Any, axes: Axes) -> Any:
    """y' = Σ softmax(x) x'."""
    (x,), (t,) = inputs, tangents
    return sum_(mul(exp(sub(x, _spread(y, x, axes))), t), axes=axes)


logsumexp = Nonlinear(
    "logsumexp",
    _logsumexp,
    _logsumexp_shape,
    tangent=_logsumexp_tangent,
    program=_logsumexp_program,
    samples=lambda rng: [
        ((rng.normal(size=shape),), {"axes": axes})
        for shape, axes in (((4,), (0,)), ((2, 3), (1,)), ((2, 3), (0, 1)))
    ],
    cost=20,
)

__all__ = [name for name in REGISTRY if name in globals()]
