"""`scipy.stats`: the methods of distributions, by the formulas that SciPy has.

`norm.logpdf(x, loc, scale)` is what `_logpdf((x - loc) / scale) - log(scale)` is in the
support; only that formula, plain NumPy code of SciPy's, is staged. What SciPy does
around it works on arrays whose shapes depend on data, and is done here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tracejit.frontend.box import Box, as_box, has_box, is_static, leaves
from tracejit.frontend.calls import call
from tracejit.frontend.numpy_calls import on_plain
from tracejit.frontend.scipy_calls import STAGED
from tracejit.frontend.session import session
from tracejit.frontend.where_computed import where_computed
from tracejit.ops.numpy_names import unsupported
from tracejit.ops.ufuncs import scipy_ufunc

INF = np.inf
#: In double precision, unlike a number of Python's.
NAN = np.float64(np.nan)


@dataclass(frozen=True)
class Method:
    """A function of a number, x: its formula in the support, its values outside.

    `scaled(y, scale)` is what the scale makes of the formula's value y; `open` says
    that the ends of the support are outside.
    """

    formula: str
    below: float
    above: float
    open: bool = True
    scaled: Callable[[Any, Any], Any] = lambda y, scale: y


CONTINUOUS = {
    "pdf": Method("_pdf", 0.0, 0.0, False, lambda y, scale: y / scale),
    "logpdf": Method(
        "_logpdf", -INF, -INF, False, lambda y, scale: y - call(np.log, scale)
    ),
    "cdf": Method("_cdf", 0.0, 1.0),
    "logcdf": Method("_logcdf", -INF, 0.0),
    "sf": Method("_sf", 1.0, 0.0),
    "logsf": Method("_logsf", 0.0, -INF),
}
DISCRETE = {
    "pmf": Method("_pmf", 0.0, 0.0, False),
    "logpmf": Method("_logpmf", -INF, -INF, False),
    **{name: CONTINUOUS[name] for name in ("cdf", "logcdf", "sf", "logsf")},
}
#: Methods that are functions of a probability; which end is that of probability 0?
INVERSES = {"ppf": ("_ppf", "ab"), "isf": ("_isf", "ba")}


def parts(dist: Any, x: Any, args: Any, kwds: Any) -> tuple[Any, Any, Any, Any, Any]:
    """x, shapes, location, scale, and whether these are valid."""
    shapes, loc, scale = dist._parse_args(*args, **kwds)
    values = [call(np.asarray, v) for v in (x, *shapes, loc, scale)]
    x, shapes, loc, scale = values[0], values[1:-2], values[-2], values[-1]
    valid = call(np.logical_and, call(dist._argcheck, *shapes), scale > 0)
    return x, shapes, loc, scale, valid


def continuous(method: Method, dist: Any, x: Any, *args: Any, **kwds: Any) -> Any:
    """A method of a distribution of real numbers."""
    x, shapes, loc, scale, valid = parts(dist, x, args, kwds)
    low, high = call(dist._get_support, *shapes)
    x = (x - loc) / scale
    check = dist._open_support_mask if method.open else dist._support_mask
    inside = call(np.logical_and, valid, call(check, x, *shapes))

    def formula(x: Any, scale: Any, *shapes: Any) -> Any:
        return method.scaled(call(getattr(dist, method.formula), x, *shapes), scale)

    outside = partial(_outside, method, x, low, high, valid)
    return where_computed(inside, formula, (x, scale, *shapes), outside)


def discrete(method: Method, dist: Any, k: Any, *args: Any, **kwds: Any) -> Any:
    """A method of a distribution of integers."""
    k, shapes, loc, _, valid = parts(dist, k, args, kwds)
    low, high = call(dist._get_support, *shapes)
    k = k - loc
    inside = call(np.logical_and, k >= low, k < high if method.open else k <= high)
    if not method.open:
        inside = call(np.logical_and, inside, call(dist._nonzero, k, *shapes))
    inside = call(np.logical_and, inside, call(np.isfinite, k))

    def formula(k: Any, *shapes: Any) -> Any:
        value = call(getattr(dist, method.formula), k, *shapes)
        return value if "log" in method.formula else call(np.clip, value, 0.0, 1.0)

    outside = partial(_outside, method, k, low, high, valid)
    inside = call(np.logical_and, valid, inside)
    return where_computed(inside, formula, (k, *shapes), outside)


def _outside(method: Method, x: Any, low: Any, high: Any, valid: Any) -> Any:
    """The value at x below the support or above it; NaN for what is not valid."""
    wrong = call(np.logical_or, call(np.logical_not, valid), call(np.isnan, x))
    value: Any = method.below
    if method.below != method.above:
        over = x >= high if method.below < method.above else x > low
        value = call(np.where, over, method.above, method.below)
    return call(np.where, wrong, np.nan, value)


def inverse(name: str, kind: str, dist: Any, q: Any, *args: Any, **kwds: Any) -> Any:
    """The quantile of a probability."""
    formula, ends = INVERSES[name]
    q, shapes, loc, scale, valid = parts(dist, q, args, kwds)
    low, high = call(dist._get_support, *shapes)
    at = {"a": low - 1 if kind == "discrete" else low, "b": high}
    inside = call(np.logical_and, valid, call(np.logical_and, 0 < q, q < 1))

    def computed(q: Any, loc: Any, scale: Any, *shapes: Any) -> Any:
        return call(getattr(dist, formula), q, *shapes) * scale + loc

    def outside() -> Any:
        first, last = (_moved(at[end], loc, scale) for end in ends)
        value = call(np.where, q == 1, last, np.nan)
        value = call(np.where, q == 0, first, value)
        return call(np.where, valid, value, np.nan)

    return where_computed(inside, computed, (q, loc, scale, *shapes), outside)


def _moved(end: Any, loc: Any, scale: Any) -> Any:
    """An end of the support; one that is infinite depends on nothing."""
    finite = call(np.isfinite, end)
    moved = call(np.where, finite, end, 0.0) * scale + loc
    return call(np.where, finite, moved, end)


def _handler(fn: Any, program: Callable[..., Any]) -> Callable[..., Any]:
    """What a method does on boxes: SciPy's own code where nothing is traced."""

    def handler(dist: Any, *args: Any, **kwds: Any) -> Any:
        values = list(leaves([*args, *kwds.values()]))
        if not any(type(x) is Box for x in values):
            return fn(dist, *args, **kwds)
        if all(map(is_static, values)):
            return on_plain(fn, (dist, *args), kwds)
        out = program(dist, *args, **kwds)
        return tuple(map(_scalar, out)) if isinstance(out, tuple) else _scalar(out)

    return handler


def _scalar(out: Any) -> Any:
    """What SciPy returns: an array, or a number where that has no axes."""
    return out[()] if type(out) is Box and not out.aval.shape else out


def freeze(fn: Any) -> Callable[..., Any]:
    """A distribution with its parameters: `rv_frozen`, whose methods hand them on."""

    def handler(dist: Any, *args: Any, **kwds: Any) -> Any:
        if not has_box(*args, *kwds.values()):
            return fn(dist, *args, **kwds)
        module = importlib.import_module(fn.__module__)
        discrete = isinstance(dist, module.rv_discrete)
        cls = module.rv_discrete_frozen if discrete else module.rv_continuous_frozen
        frozen = object.__new__(cls)
        frozen.args, frozen.kwds, frozen.dist = args, kwds, dist
        return session().make(frozen)

    return handler


def _no_formula(what: str) -> Callable[..., Any]:
    def refuse(dist: Any, *args: Any, **kwds: Any) -> Any:
        raise unsupported(f"{what} of scipy.stats.{dist.name}, which has no formula,")

    return lambda fn: refuse


def apply_where(fn: Any) -> Callable[..., Any]:
    """`array_api_extra.apply_where`, by which SciPy chooses between formulas."""

    def handler(
        cond: Any, args: Any, f1: Any, f2: Any = None, /, **options: Any
    ) -> Any:
        args = args if isinstance(args, tuple) else (args,)
        if not has_box(cond, *args):
            return fn(cond, args, f1, f2, **options)

        def otherwise() -> Any:
            if f2 is None:
                return options["fill_value"]
            apart = call(np.logical_not, cond)
            return where_computed(apart, partial(call, f2), args, lambda: np.nan)

        return where_computed(cond, partial(call, f1), args, otherwise)

    return handler


def lazy_select(fn: Any) -> Callable[..., Any]:
    """`_lazyselect`: the formula of the last condition that holds."""

    def handler(conditions: Any, formulas: Any, args: Any, default: Any = 0) -> Any:
        if not has_box(*conditions, *args):
            return fn(conditions, formulas, args, default)
        out: Any = as_box(default) * 1.0
        for formula, cond in zip(formulas, conditions, strict=False):
            before = out
            out = where_computed(cond, partial(call, formula), args, lambda: before)  # noqa: B023
        return out

    return handler


# Moments ------------------------------------------------------------------------------


def moment(order: int) -> Callable[..., Any]:
    """The mean (1) or the variance (2), by the formula that SciPy has."""
    name = ("mean", "variance")[order - 1]

    def program(dist: Any, *args: Any, **kwds: Any) -> Any:
        _, shapes, loc, scale, valid = parts(dist, 0.0, args, kwds)
        found = call(dist._stats, *shapes)[order - 1]
        if found is None:
            raise unsupported(f"the {name} of scipy.stats.{dist.name}")
        moved = found * scale + loc if order == 1 else found * scale * scale
        return call(np.where, valid, moved, NAN)

    return program


def deviation(dist: Any, *args: Any, **kwds: Any) -> Any:
    """The standard deviation."""
    return call(np.sqrt, moment(2)(dist, *args, **kwds))


def median(dist: Any, *args: Any, **kwds: Any) -> Any:
    """The quantile of 1/2."""
    return call(dist.ppf, 0.5, *args, **kwds)


def interval(dist: Any, confidence: Any, *args: Any, **kwds: Any) -> Any:
    """Where a share of the probability lies, with equal shares on both sides."""
    tail = (1.0 - confidence) / 2
    ends = tail, 1.0 - tail
    return tuple([call(dist.ppf, q, *args, **kwds) for q in ends])


def entropy(dist: Any, *args: Any, **kwds: Any) -> Any:
    """The differential entropy."""
    _, shapes, _, scale, valid = parts(dist, 0.0, args, kwds)
    found = call(dist._entropy, *shapes) + call(np.log, scale)
    return call(np.where, valid, found, NAN)


def log_of(mine: str, other: str) -> Callable[[Any], Callable[..., Any]]:
    """The logarithm of a distribution function: of the smaller one of the two.

    SciPy asks on which side of the median x is, which few have a formula for.
    """

    def handler(dist: Any, *args: Any) -> Any:
        p, rest = (call(getattr(dist, name), *args) for name in (mine, other))
        return where_computed(
            p < 0.5,
            lambda p, rest: call(np.log, p),
            (p, rest),
            lambda: where_computed(
                p >= 0.5, lambda p, rest: call(np.log1p, -rest), (p, rest), lambda: p
            ),
        )

    return lambda fn: handler


# The truncated normal distribution, whose own code works on parts of arrays -----------


def gauss_mass(a: Any, b: Any) -> Any:
    """log(Φ(b) - Φ(a)), in the tail where these are small."""
    ndtr, log_ndtr = map(scipy_ufunc, ("ndtr", "log_ndtr"))

    def tail(a: Any, b: Any) -> Any:
        low, high = call(log_ndtr, a), call(log_ndtr, b)
        return high + call(np.log1p, -call(np.exp, low - high))

    def both(a: Any, b: Any) -> Any:
        return call(np.log1p, -call(ndtr, a) - call(ndtr, -b))

    central = call(np.logical_and, a <= 0, b > 0)
    return where_computed(
        b <= 0,
        tail,
        (a, b),
        lambda: where_computed(
            a > 0,
            lambda a, b: tail(-b, -a),
            (a, b),
            lambda: where_computed(central, both, (a, b), lambda: np.nan),
        ),
    )


def truncated(upper: bool) -> Callable[[Any], Callable[..., Any]]:
    """`_logsf` if `upper`, else `_logcdf`, each by the other where it is about 0."""

    def handler(dist: Any, x: Any, a: Any, b: Any) -> Any:
        whole = gauss_mass(a, b)
        below, above = gauss_mass(a, x) - whole, gauss_mass(x, b) - whole
        mine, other = (above, below) if upper else (below, above)
        return where_computed(
            mine > -0.1,
            lambda y: call(np.log1p, -call(np.exp, y)),
            (other,),
            lambda: mine,
        )

    return lambda fn: handler


def _enter(name: str, program: Callable[..., Any]) -> None:
    STAGED[f"scipy.stats.{name}"] = lambda fn: _handler(fn, program)


for _name, _method in CONTINUOUS.items():
    _enter(f"rv_continuous.{_name}", partial(continuous, _method))
for _name, _method in DISCRETE.items():
    _enter(f"rv_discrete.{_name}", partial(discrete, _method))
for _name in INVERSES:
    for _kind in ("continuous", "discrete"):
        _enter(f"rv_{_kind}.{_name}", partial(inverse, _name, _kind))
for _name, _program in {
    "mean": moment(1),
    "var": moment(2),
    "std": deviation,
    "median": median,
    "interval": interval,
    "entropy": entropy,
}.items():
    _enter(f"rv_generic.{_name}", _program)
STAGED |= {
    "scipy.stats.rv_generic.freeze": freeze,
    "scipy.stats.rv_continuous._logcdf": log_of("_cdf", "_sf"),
    "scipy.stats.rv_continuous._logsf": log_of("_sf", "_cdf"),
    "scipy.stats.rv_continuous._cdf": _no_formula("the distribution function"),
    "scipy.stats.rv_continuous._pdf": _no_formula("the density"),
    "scipy.stats.rv_generic._ppf": _no_formula("the quantile function"),
    "scipy.stats._log_gauss_mass": lambda fn: gauss_mass,
    "scipy.stats.truncnorm_gen._logcdf": truncated(False),
    "scipy.stats.truncnorm_gen._logsf": truncated(True),
    "scipy._lib.apply_where": apply_where,
    "scipy._lib._lazyselect": lazy_select,
}
