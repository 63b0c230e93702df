"""Python's builtins and `math` on boxes.

They give what they give on numbers: `float(x)` a Python number that is traced, `max`
of several numbers a choice, `math.sin` the function.
"""

from __future__ import annotations

import bisect
import cmath
import functools
import math
import operator
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.errors import (
    OperandTypeError,
    ShapeMismatchError,
)
from tracejit.frontend import numpy_calls
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    as_box,
    box_of,
    call,
    has_box,
    is_static,
    operand,
    plain,
)
from tracejit.frontend.masked import Masked
from tracejit.frontend.numpy_calls import python_number
from tracejit.frontend.operators import apply
from tracejit.frontend.trace import current_trace
from tracejit.ir.program import Literal
from tracejit.ops import numpy_names, special
from tracejit.ops.control import Failure, check
from tracejit.ops.extrema import first_max, first_min
from tracejit.ops.promote import (
    BOOL,
    COMPLEX,
    FLOAT,
    INT,
    convert,
    keep_interval,
    shape_text,
    strong,
)


def handles(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter what a function does on boxes; without one it is the function itself."""

    def enter(program: Callable[..., Any]) -> Callable[..., Any]:
        for fn in functions:
            HANDLERS[fn] = _handler(fn, program)
        return program

    return enter


def _handler(fn: Any, program: Callable[..., Any]) -> Callable[..., Any]:
    def handler(*args: Any, **kwargs: Any) -> Any:
        if not has_box(*args, *kwargs.values()):
            return fn(*args, **kwargs)
        return program(*args, **kwargs)

    return handler


# Numbers ------------------------------------------------------------------------------


def _scalar(x: Any, what: str) -> Any:
    """The only element of a box, as an operand."""
    if x.aval.shape:
        raise OperandTypeError(
            f"only 0-dimensional arrays can be converted to {what}: "
            f"this has shape {shape_text(x.aval.shape)}",
            current_trace().builder.loc,
            "take an element, x[0], or convert all: x.astype(…)",
        )
    return strong(operand(x))


@handles(float)
def float_(x: Any) -> Any:
    """`float(x)`."""
    if is_static(x):
        return float(plain(x))
    return box_of(convert(_scalar(x, "Python scalars"), FLOAT), "python")


@handles(complex)
def complex_(re: Any, im: Any = 0.0) -> Any:
    """`complex(re, im)`: re + im * 1j."""
    parts = [convert(_scalar(as_box(x), "Python scalars"), COMPLEX) for x in (re, im)]
    turned = numpy_names.apply(np.multiply, parts[1], Literal(1j, COMPLEX))
    return box_of(numpy_names.apply(np.add, parts[0], turned), "python")


@handles(int, math.trunc)
def int_(x: Any, *base: Any) -> Any:
    """`int(x)`: towards zero."""
    if is_static(x):
        return int(plain(x))
    atom = _scalar(x, "Python scalars")
    if atom.aval.inexact:
        _require_finite(atom)
    out = box_of(keep_interval(convert(atom, INT), atom), "python")
    out.linear = x.linear
    return out


def _require_finite(atom: Any) -> None:
    """What Python finds out when it converts, the program does, too."""
    loc = current_trace().builder.loc
    for name, error, what in (
        ("isnan", ValueError, "NaN"),
        ("isinf", OverflowError, "infinity"),
    ):
        ok = numpy_names.emit("logical_not", numpy_names.emit(name, atom))
        text = f"cannot convert float {what} to integer"
        check(ok, error=Failure(error, (text,), loc))


@handles(bool)
def bool_(x: Any) -> Any:
    """`bool(x)`."""
    if is_static(x):
        return bool(plain(x))
    if x.aval.size != 1:
        raise _ambiguous(x, "x.any(), x.all(), or np.where")
    return box_of(convert(x.reshaped(()).read(), BOOL), "python")


@handles(abs)
def abs_(x: Any) -> Any:
    """`abs(x)`."""
    return apply(np.absolute, x)


@handles(round)
def round_(x: Any, ndigits: Any = None) -> Any:
    """`round(x)`: half to even; an int where no digits are asked for."""
    if ndigits is None and x.kind == "python":
        return int_(call(np.rint, x))
    out = call(np.round, x, plain(ndigits) or 0)
    return python_number(out) if x.kind == "python" else out


@handles(divmod)
def divmod_(a: Any, b: Any) -> Any:
    """`divmod(a, b)`."""
    return apply(np.divmod, a, b)


@handles(pow, math.pow)
def pow_(x: Any, n: Any) -> Any:
    """`pow(x, n)`."""
    return x**n


# Several values -----------------------------------------------------------------------


def _values(args: Any) -> list[Any]:
    (values,) = args if len(args) == 1 else (args,)
    return list(values)


def _extremum(fn: Any, keep: np.ufunc, reduction: Any) -> Callable[..., Any]:
    """`max` and `min`: of a vector the reduction, else one after another."""

    def program(*args: Any, key: Any = None, **default: Any) -> Any:
        if key is not None:
            raise numpy_names.unsupported(
                f"{fn.__name__}(key=…)", "np.argmax, and index with it"
            )
        if len(args) == 1 and type(args[0]) is Box and args[0].aval.ndim == 1:
            return call(reduction, args[0])
        values = _values(args)
        if not has_box(*values):
            return fn(values, **default)
        return functools.reduce(lambda a, b: _choose(keep, a, b), values)

    return program


def _choose(keep: np.ufunc, a: Any, b: Any) -> Any:
    """`b if b > a else a`, on numbers; where they are equal, both have a part."""
    if is_static(a) and is_static(b):
        a, b = plain(a), plain(b)
        return b if (b > a if keep is np.maximum else b < a) else a
    a, b = _exactly(a, b), _exactly(b, a)
    out = apply(keep, a, b)
    if out.aval.shape:
        raise _ambiguous(out, "np.maximum or np.minimum")
    if not out.aval.inexact:
        return out
    # NumPy hands any NaN on; Python never prefers one that comes second.
    first_of = first_max if keep is np.maximum else first_min
    both = [convert(operand(x), out.aval.dtype) for x in (a, b)]
    return box_of(first_of(*both), out.kind)


def _exactly(a: Any, b: Any) -> Any:
    """`a`, as a number of Python's beside one: picking one of two rounds neither."""
    a, b = as_box(a), as_box(b)
    wider = b.kind == "python" and b.aval.dtype.itemsize > a.aval.dtype.itemsize
    if a.kind != "scalar" or not (wider and a.aval.inexact and b.aval.inexact):
        return a
    return box_of(convert(operand(a), b.aval.dtype), "python")


def _ambiguous(x: Any, cure: str) -> ShapeMismatchError:
    """The error for the truth of an array, as NumPy words it."""
    return ShapeMismatchError(
        "The truth value of an array with more than one element is ambiguous. "
        f"Use a.any() or a.all(): this has shape {shape_text(x.aval.shape)}",
        current_trace().builder.loc,
        cure,
    )


HANDLERS[max] = _handler(max, _extremum(max, np.maximum, np.max))
HANDLERS[min] = _handler(min, _extremum(min, np.minimum, np.min))


@handles(sum, math.fsum)
def sum_(values: Any, start: Any = 0) -> Any:
    """`sum(values)`: of a vector a reduction, else one after another."""
    if type(values) is Box and values.aval.ndim == 1:
        total = call(np.sum, values)
        return total if is_static(start) and start == 0 else start + total
    out = start
    for x in values:
        out = out + x
    return out


def _truth(ufunc: np.ufunc, reduction: Any) -> Callable[..., Any]:
    def program(values: Any) -> Any:
        if type(values) is Box and values.aval.ndim == 1:
            return call(reduction, values)
        return functools.reduce(lambda a, b: apply(ufunc, a, b), map(bool_, values))

    return program


HANDLERS[any] = _handler(any, _truth(np.logical_or, np.any))
HANDLERS[all] = _handler(all, _truth(np.logical_and, np.all))


def len_(x: Any) -> Any:
    """`len(x)`: an Extent."""
    if type(x) is Masked:
        return x.shape[0]
    if type(x) is not Box or not x.aval.shape:
        return len(x)
    return x.aval.shape[0]


HANDLERS[len] = len_


# Statistics and searching -------------------------------------------------------------

_STATISTICS: dict[Any, tuple[Any, dict[str, Any]]] = {
    statistics.mean: (np.mean, {}),
    statistics.fmean: (np.mean, {}),
    statistics.median: (np.median, {}),
    statistics.pvariance: (np.var, {}),
    statistics.variance: (np.var, {"ddof": 1}),
    statistics.pstdev: (np.std, {}),
    statistics.stdev: (np.std, {"ddof": 1}),
}


def _statistic(fn: Any, to_float: bool) -> Callable[[Any], Any]:
    reduction, options = _STATISTICS[fn]

    def program(values: Any) -> Any:
        out = call(reduction, numpy_calls.asarray(values), **options)
        python = to_float or not any(x.kind == "scalar" for x in map(as_box, values))
        return float_(out) if python else out

    return program


for _fn in _STATISTICS:
    HANDLERS[_fn] = _handler(_fn, _statistic(_fn, _fn is statistics.fmean))


def _bisect(side: str) -> Callable[[Any, Any], Any]:
    def program(values: Any, x: Any) -> Any:
        return int_(call(np.searchsorted, numpy_calls.asarray(values), x, side))

    return program


HANDLERS[bisect.bisect_left] = _handler(bisect.bisect_left, _bisect("left"))
HANDLERS[bisect.bisect_right] = _handler(bisect.bisect_right, _bisect("right"))


# Types --------------------------------------------------------------------------------

_PYTHON_TYPES = {"f": float, "i": int, "u": int, "b": bool, "c": complex}


def type_of(x: Any) -> type:
    """The type of what a box stands for."""
    if type(x) is not Box:
        return type(x)
    if x.kind == "array":
        return np.ndarray
    return _PYTHON_TYPES[x.aval.dtype.kind] if x.kind == "python" else x.aval.dtype.type


HANDLERS[isinstance] = lambda x, cls: (
    issubclass(type_of(x), cls) if type(x) is Box else isinstance(x, cls)
)
HANDLERS[type] = lambda *args: type_of(args[0]) if len(args) == 1 else type(*args)
HANDLERS[callable] = lambda x: type(x) is not Box and callable(x)
HANDLERS[np.isscalar] = lambda x: (
    x.kind != "array" if type(x) is Box else np.isscalar(x)
)
HANDLERS[np.iscomplexobj] = lambda x: (
    x.aval.dtype.kind == "c" if type(x) is Box else np.iscomplexobj(x)
)
HANDLERS[np.isrealobj] = lambda x: (
    x.aval.dtype.kind != "c" if type(x) is Box else np.isrealobj(x)
)


def _numpy_type(dtype: Any) -> Callable[[Any], Any]:
    def convert_to(x: Any = 0) -> Any:
        """`np.float64(x)`: a NumPy scalar."""
        if type(x) is not Box or is_static(x):
            return dtype(plain(x))
        if x.aval.ndim:
            return numpy_calls.astype(x, dtype)
        return box_of(convert(operand(x), dtype), "scalar")

    return convert_to


for _type in (
    np.float64,
    np.float32,
    np.complex128,
    np.complex64,
    np.int64,
    np.int32,
    np.int16,
    np.int8,
    np.uint64,
    np.uint32,
    np.uint16,
    np.uint8,
    np.bool_,
):
    HANDLERS[_type] = _numpy_type(_type)


# math ---------------------------------------------------------------------------------

_SAME_NAME = (
    "cbrt copysign cos cosh degrees exp exp2 expm1 fabs fmod isfinite isinf isnan "
    "log10 log1p log2 radians sin sinh sqrt tan tanh"
).split()
_ARC = "acos acosh asin asinh atan atan2 atanh".split()

_MATH = {getattr(math, name): getattr(np, name) for name in _SAME_NAME}
_MATH |= {getattr(math, name): getattr(np, f"arc{name[1:]}") for name in _ARC}


def _on_floats(ufunc: np.ufunc) -> Callable[..., Any]:
    """The ufunc, on Python numbers: the result is one."""
    return lambda *args: apply(ufunc, *map(float_, args))


for _fn, _ufunc in _MATH.items():
    HANDLERS[_fn] = _handler(_fn, _on_floats(_ufunc))


def _on_complex(ufunc: np.ufunc) -> Callable[..., Any]:
    """The ufunc, on complex numbers of Python's: the result is one."""
    return lambda x: apply(ufunc, complex_(x))


for _fn, _ufunc in _MATH.items():
    _of_cmath = getattr(cmath, _fn.__name__, None)
    if _of_cmath:
        HANDLERS[_of_cmath] = _handler(_of_cmath, _on_complex(_ufunc))


@handles(cmath.log)
def clog(z: Any, *base: Any) -> Any:
    """`cmath.log(z)`, or to a base."""
    out = apply(np.log, complex_(z))
    return out / clog(base[0]) if base else out


@handles(cmath.phase)
def phase(z: Any) -> Any:
    """`cmath.phase(z)`."""
    z = complex_(z)
    return apply(np.arctan2, z.imag, z.real)


@handles(math.log)
def log(x: Any, *base: Any) -> Any:
    """`math.log(x)`, or to a base."""
    out = apply(np.log, float_(x))
    return out / log(base[0]) if base and has_box(*base) else _to_base(out, *base)


def _to_base(out: Any, *base: Any) -> Any:
    return out / math.log(base[0]) if base else out


def _special(primitive: Any) -> Callable[[Any], Any]:
    return lambda x: box_of(primitive(strong(operand(float_(x)))), "python")


for _fn, _primitive in (
    (math.erf, special.erf),
    (math.erfc, special.erfc),
    (math.gamma, special.gamma),
    (math.lgamma, special.lgamma),
):
    HANDLERS[_fn] = _handler(_fn, _special(_primitive))


@handles(math.isclose)
def isclose(a: Any, b: Any, *, rel_tol: float = 1e-09, abs_tol: float = 0.0) -> Any:
    """`math.isclose`."""
    largest = apply(np.maximum, abs_(float_(a)), abs_(float_(b)))
    bound = apply(np.maximum, rel_tol * largest, abs_tol)
    near = abs_(a - b) <= bound
    return bool_(apply(np.logical_or, a == b, near & np.isfinite(largest)))


@handles(math.dist)
def dist(p: Any, q: Any) -> Any:
    """`math.dist`: the distance of two points."""
    return hypot(*[a - b for a, b in zip(p, q, strict=True)])


@handles(math.ldexp)
def ldexp(x: Any, n: Any) -> Any:
    """`math.ldexp(x, n)`."""
    return float_(x) * 2.0**n


@handles(math.modf)
def modf(x: Any) -> Any:
    """`math.modf(x)`: fraction and whole, both of the sign of x."""
    whole = apply(np.trunc, float_(x))
    return apply(np.copysign, float_(x) - whole, float_(x)), whole


@handles(math.hypot)
def hypot(*coordinates: Any) -> Any:
    """`math.hypot` of any number of coordinates."""
    return functools.reduce(
        lambda a, b: apply(np.hypot, a, b), map(float_, coordinates)
    )


@handles(math.floor)
def floor(x: Any) -> Any:
    """`math.floor(x)`: an int."""
    return int_(apply(np.floor, float_(x)))


@handles(math.ceil)
def ceil(x: Any) -> Any:
    """`math.ceil(x)`: an int."""
    return int_(apply(np.ceil, float_(x)))


@handles(math.prod)
def prod(values: Any, *, start: Any = 1) -> Any:
    """`math.prod(values)`."""
    return functools.reduce(operator.mul, values, start)
