"""Elementwise primitives: one line each. `y` is the output, `x`, `a`, `b` operands.

`emit` is scalar code for Numba with `math`, `np` and the kernels' helpers at hand;
under plain Python its operands are NumPy scalars, so that a division by zero gives an
infinity there too. What it calls of `math` is vectorised in loops. This file has more
than 600 lines because every such primitive is declared here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.ir.builder import as_atom
from tracejit.ir.primitive import REGISTRY, Elementwise, Mask, elementwise
from tracejit.ir.program import Arithmetic

POSITIVE = (0.1, 3.0)
UNIT = (-0.9, 0.9)
STEP = (0.05, 0.45)  # between two jumps
REAL = "fiu"
HOLOMORPHIC = "fc"  # its partial is the complex derivative
ARITHMETIC = "fiuc"
ORDERED = "fiub"
INTEGERS = "iub"

# Arithmetic -----------------------------------------------------------------------

add = elementwise(
    "add",
    np.add,
    lambda y, a, b: 1,
    lambda y, a, b: 1,
    emit="{0} + {1}",
    dtypes=ARITHMETIC,
)
sub = elementwise(
    "sub",
    np.subtract,
    lambda y, a, b: 1,
    lambda y, a, b: -1,
    emit="{0} - {1}",
    dtypes=ARITHMETIC,
)
mul = elementwise(
    "mul",
    np.multiply,
    lambda y, a, b: b,
    lambda y, a, b: a,
    emit="{0} * {1}",
    dtypes=ARITHMETIC,
)
div = elementwise(
    "div",
    np.true_divide,
    lambda y, a, b: 1 / b,
    lambda y, a, b: -(y / b),
    emit="{0} / {1}",
    emit_complex="{dtype}(_tj_complex_div({0}, {1}))",
    domain=((-2, 2), POSITIVE),
    dtypes=HOLOMORPHIC,
    cost=3,
)
neg = elementwise("neg", np.negative, lambda y, x: -1, emit="-{0}", dtypes="fic")

Arithmetic.operators.update(add=add, sub=sub, mul=mul, div=div, neg=neg)

# The sign of floor_divide and mod is the divisor's, as in Python; that of fmod is the
# dividend's, as in C. Their steps have derivative 0.

floor_divide: Elementwise = elementwise(
    "floor_divide",
    np.floor_divide,
    None,
    None,
    emit="{0} // {1}",
    domain=((-2, 2), POSITIVE),
    dtypes=REAL,
    cost=5,
)
mod = elementwise(
    "mod",
    np.remainder,
    lambda y, a, b: 1,
    lambda y, a, b: -floor_divide(a, b),
    emit="{0} % {1}",
    domain=((-2, 2), POSITIVE),
    dtypes=REAL,
    cost=5,
)
fmod = elementwise(
    "fmod",
    np.fmod,
    lambda y, a, b: 1,
    lambda y, a, b: -trunc(a / b),
    emit="np.fmod({0}, {1})",
    domain=((-2, 2), POSITIVE),
    dtypes="f",
    cost=5,
)

# Powers -----------------------------------------------------------------------------


def _pow_base(y: Any, a: Any, b: Any) -> Any:
    # a**0 is 1 everywhere: its slope is 0, also at a = 0, where 0 * 0**-1 is NaN.
    constant = logical_and(eq(a, 0), eq(b, 0))
    return b * pow_(select(constant, 1, a), b - 1)


def _pow_exponent(y: Any, a: Any, b: Any) -> Any:
    # At a = 0 the limit is 0 for b > 0, where log(0) * 0 would be NaN.
    return y * log(select(eq(a, 0), 1, a))


pow_: Elementwise = elementwise(
    "pow",
    np.power,
    _pow_base,
    _pow_exponent,
    emit="_tj_pow({0}, {1})",
    emit_complex="{dtype}(_tj_complex_pow({0}, {1}))",
    domain=(POSITIVE, (0, 3)),
    dtypes=ARITHMETIC,
    cost=20,
)


def _integer_pow(x: Any, n: int) -> Any:
    """By repeated squaring, in the order in which Numba expands `x ** n`."""
    x = np.asarray(x)
    out, square, rest = np.ones_like(x), x, abs(n)
    while rest:
        if rest & 1:
            out = out * square
        rest >>= 1
        if rest:
            square = square * square
    return 1 / out if n < 0 else out


def _integer_pow_partial(y: Any, x: Any, n: int) -> Any:
    if n in (0, 1):
        return n
    return 2 * x if n == 2 else n * integer_pow(x, n=n - 1)


def _integer_pow_samples(rng: np.random.Generator) -> list[Any]:
    shapes = (3,), (), (0,)
    real = [
        ((rng.uniform(0.1, 3, shape),), {"n": n})
        for n in (0, 1, 2, 5, -1, -3)
        for shape in shapes
    ]
    turned = [((x[0] * np.exp(2j),), params) for x, params in real]
    whole = [((rng.integers(-3, 4, 5),), {"n": n}) for n in (0, 1, 2, 5)]
    return [*real, *turned, *whole]


integer_pow: Elementwise = elementwise(
    "integer_pow",
    _integer_pow,
    _integer_pow_partial,
    emit="{0} ** {n}",
    emit_complex="{dtype}(_tj_integer_pow({0}, {n}))",
    dtypes=ARITHMETIC,
    samples=_integer_pow_samples,
    cost=2,
)
sqrt: Elementwise = elementwise(
    "sqrt",
    np.sqrt,
    lambda y, x: 0.5 / y,
    emit="math.sqrt({0})",
    domain=(POSITIVE,),
    dtypes=HOLOMORPHIC,
    cost=3,
)
cbrt = elementwise(
    "cbrt",
    np.cbrt,
    lambda y, x: 1 / (3 * (y * y)),
    emit="math.cbrt({0})",
    domain=(POSITIVE,),
    cost=15,
)
hypot = elementwise(
    "hypot",
    np.hypot,
    # A norm has slope 0 at the origin.
    lambda y, a, b: a / select(eq(y, 0), 1, y),
    lambda y, a, b: b / select(eq(y, 0), 1, y),
    emit="math.hypot({0}, {1})",
    cost=5,
)

# Exponentials and logarithms --------------------------------------------------------

exp: Elementwise = elementwise(
    "exp",
    np.exp,
    lambda y, x: y,
    emit="math.exp({0})",
    emit_complex="{dtype}(_tj_complex_exp({0}))",
    dtypes=HOLOMORPHIC,
    cost=10,
)
exp2 = elementwise(
    "exp2",
    np.exp2,
    lambda y, x: math.log(2) * y,
    emit="math.exp2({0})",
    dtypes=HOLOMORPHIC,
    cost=10,
)
expm1 = elementwise(
    "expm1",
    np.expm1,
    lambda y, x: y + 1,
    emit="math.expm1({0})",
    dtypes=HOLOMORPHIC,
    cost=10,
)
log: Elementwise = elementwise(
    "log",
    np.log,
    lambda y, x: 1 / x,
    emit="math.log({0})",
    dtypes=HOLOMORPHIC,
    domain=(POSITIVE,),
    cost=10,
)
log2 = elementwise(
    "log2",
    np.log2,
    lambda y, x: (1 / math.log(2)) / x,
    emit="math.log2({0})",
    dtypes=HOLOMORPHIC,
    domain=(POSITIVE,),
    cost=10,
)
log10 = elementwise(
    "log10",
    np.log10,
    lambda y, x: (1 / math.log(10)) / x,
    emit="math.log10({0})",
    dtypes=HOLOMORPHIC,
    domain=(POSITIVE,),
    cost=10,
)
log1p = elementwise(
    "log1p",
    np.log1p,
    lambda y, x: 1 / (1 + x),
    emit="math.log1p({0})",
    dtypes=HOLOMORPHIC,
    domain=(UNIT,),
    cost=10,
)
logaddexp = elementwise(
    "logaddexp",
    np.logaddexp,
    lambda y, a, b: exp(a - y),
    lambda y, a, b: exp(b - y),
    # The difference of two equal infinities is NaN; no call stands under a condition.
    emit="({0} if {0} > {1} else {1})"
    " + math.log1p(math.exp(-abs({0} - {1} if {0} != {1} else {dtype}(0))))",
    cost=25,
)

# Trigonometry -----------------------------------------------------------------------

sin = elementwise(
    "sin",
    np.sin,
    lambda y, x: cos(x),
    emit="math.sin({0})",
    dtypes=HOLOMORPHIC,
    cost=10,
)
cos: Elementwise = elementwise(
    "cos",
    np.cos,
    lambda y, x: -sin(x),
    emit="math.cos({0})",
    dtypes=HOLOMORPHIC,
    cost=10,
)
tan = elementwise(
    "tan",
    np.tan,
    lambda y, x: 1 + y * y,
    emit="math.tan({0})",
    dtypes=HOLOMORPHIC,
    domain=(UNIT,),
    cost=15,
)
arcsin = elementwise(
    "arcsin",
    np.arcsin,
    lambda y, x: 1 / sqrt((1 - x) * (1 + x)),
    emit="math.asin({0})",
    dtypes=HOLOMORPHIC,
    domain=(UNIT,),
    cost=10,
)
arccos = elementwise(
    "arccos",
    np.arccos,
    lambda y, x: -1 / sqrt((1 - x) * (1 + x)),
    emit="math.acos({0})",
    dtypes=HOLOMORPHIC,
    domain=(UNIT,),
    cost=10,
)
arctan = elementwise(
    "arctan",
    np.arctan,
    lambda y, x: 1 / (1 + x * x),
    emit="math.atan({0})",
    dtypes=HOLOMORPHIC,
    cost=10,
)
arctan2 = elementwise(
    "arctan2",
    np.arctan2,
    lambda y, a, b: b / (a * a + b * b),
    lambda y, a, b: -a / (a * a + b * b),
    emit="math.atan2({0}, {1})",
    domain=(POSITIVE, (-2, 2)),
    cost=15,
)
sinh: Elementwise = elementwise(
    "sinh",
    np.sinh,
    lambda y, x: cosh(x),
    emit="math.sinh({0})",
    dtypes=HOLOMORPHIC,
    cost=10,
)
cosh: Elementwise = elementwise(
    "cosh",
    np.cosh,
    lambda y, x: sinh(x),
    emit="math.cosh({0})",
    dtypes=HOLOMORPHIC,
    cost=10,
)
tanh = elementwise(
    "tanh",
    np.tanh,
    lambda y, x: 1 - y * y,
    emit="math.tanh({0})",
    dtypes=HOLOMORPHIC,
    cost=10,
)
arcsinh = elementwise(
    "arcsinh",
    np.arcsinh,
    lambda y, x: 1 / sqrt(1 + x * x),
    emit="math.asinh({0})",
    dtypes=HOLOMORPHIC,
    cost=15,
)


def _arccosh_partial(y: Any, x: Any) -> Any:
    # Left of the imaginary axis the root of the product has the other sign.
    if x.aval.dtype.kind == "c":
        return 1 / (sqrt(x - 1) * sqrt(x + 1))
    return 1 / sqrt((x - 1) * (x + 1))


arccosh = elementwise(
    "arccosh",
    np.arccosh,
    _arccosh_partial,
    emit="math.acosh({0})",
    dtypes=HOLOMORPHIC,
    domain=((1.1, 3.0),),
    cost=15,
)
arctanh = elementwise(
    "arctanh",
    np.arctanh,
    lambda y, x: 1 / ((1 - x) * (1 + x)),
    emit="math.atanh({0})",
    dtypes=HOLOMORPHIC,
    domain=(UNIT,),
    cost=15,
)

# Signs, rounding, choice of the larger ----------------------------------------------


def real_dtype(x: Any) -> Any:
    """The dtype of the parts of numbers of a dtype."""
    return np.empty(0, x).real.dtype


def _abs_partial(y: Any, x: Any) -> Any:
    if x.aval.dtype.kind != "c":
        return sign(x)
    # The projection on the direction of x; at the origin the slope is 0.
    # By parts: a complex quotient overflows where the numbers are subnormal.
    size = select(eq(y, 0), 1, y)
    across, up = REGISTRY["real"](x) / size, REGISTRY["imag"](x) / size
    direction = REGISTRY["complex"](across, neg(up))
    return lambda tangent: REGISTRY["real"](tangent * direction)


abs_ = elementwise(
    "abs",
    np.abs,
    _abs_partial,
    emit="abs({0})",
    emit_complex="{dtype}(math.hypot({0}.real, {0}.imag))",
    domain=(POSITIVE,),
    result=real_dtype,
    dtypes=ARITHMETIC,
)
sign: Elementwise = elementwise("sign", np.sign, None, emit="np.sign({0})", dtypes=REAL)
floor = elementwise("floor", np.floor, None, emit="np.floor({0})", domain=(STEP,))
ceil = elementwise("ceil", np.ceil, None, emit="np.ceil({0})", domain=(STEP,))
trunc: Elementwise = elementwise(
    "trunc", np.trunc, None, emit="np.trunc({0})", domain=(STEP,)
)
rint = elementwise("rint", np.rint, None, emit="np.rint({0})", domain=(STEP,))
copysign: Elementwise = elementwise(
    "copysign",
    np.copysign,
    lambda y, a, b: sign(a) * copysign(1, b),
    None,
    emit="math.copysign({0}, {1})",
)


def _wins(no_worse: Any, a: Any, b: Any) -> Any:
    """The share of a tangent that `a` gets: all, half of it in a tie, or nothing.

    A choice and no product: what loses contributes nothing, were it NaN.
    """
    wins, tie = no_worse(a, b), logical_and(no_worse(a, b), no_worse(b, a))
    return lambda dt: select(wins, halved(tie, dt), 0)


def halved(tie: Any, tangent: Any) -> Any:
    """Of two between which is to be chosen, the part that each has in a tie, or all."""
    return tangent * select(tie, as_atom(0.5, tangent.aval.dtype), 1)


# NaN in either operand comes out, as in NumPy.
maximum = elementwise(
    "maximum",
    np.maximum,
    lambda y, a, b: _wins(ge, a, b),
    lambda y, a, b: _wins(ge, b, a),
    emit="({0} if {0} >= {1} or {0} != {0} else {1})",
    dtypes=ORDERED,
)
minimum = elementwise(
    "minimum",
    np.minimum,
    lambda y, a, b: _wins(le, a, b),
    lambda y, a, b: _wins(le, b, a),
    emit="({0} if {0} <= {1} or {0} != {0} else {1})",
    dtypes=ORDERED,
)

# Comparison and choice -------------------------------------------------------------


def _comparison(name: str, ufunc: Any, symbol: str, dtypes: str = ORDERED) -> Any:
    return elementwise(
        name,
        ufunc,
        None,
        None,
        emit=f"{{0}} {symbol} {{1}}",
        result="bool",
        dtypes=dtypes,
    )


lt: Elementwise = _comparison("lt", np.less, "<")
le: Elementwise = _comparison("le", np.less_equal, "<=")
gt: Elementwise = _comparison("gt", np.greater, ">")
ge: Elementwise = _comparison("ge", np.greater_equal, ">=")
eq: Elementwise = _comparison("eq", np.equal, "==", ORDERED + "c")
ne = _comparison("ne", np.not_equal, "!=", ORDERED + "c")


def _select_dtype(pred: Any, a: Any, b: Any) -> Any:
    return a


select: Elementwise = elementwise(
    "select",
    np.where,
    None,
    lambda y, p, a, b: Mask(p),
    lambda y, p, a, b: Mask(p, False),
    emit="_tj_select({0}, {1}, {2})",
    result=_select_dtype,
    dtypes=("b", "fiubc", "fiubc"),
)
# `x`, but 0 where `a` is: what a derivative multiplies by may be infinite there.
unless_zero: Elementwise = elementwise(
    "unless_zero",
    lambda a, x: np.where(np.not_equal(a, 0), x, np.zeros_like(x)),
    None,
    lambda y, a, x: Mask(ne(a, 0)),
    emit="_tj_select({0} != 0, {1}, {dtype}(0))",
    dtypes="fc",
)
isnan = elementwise("isnan", np.isnan, None, emit="math.isnan({0})", result="bool")
isinf = elementwise("isinf", np.isinf, None, emit="math.isinf({0})", result="bool")
isfinite = elementwise(
    "isfinite", np.isfinite, None, emit="math.isfinite({0})", result="bool"
)

# Logic and bits: both operands are always evaluated. -------------------------------

logical_and: Elementwise = elementwise(
    "logical_and",
    np.logical_and,
    None,
    None,
    emit="{0} & {1}",
    result="bool",
    dtypes="b",
)
logical_or = elementwise(
    "logical_or", np.logical_or, None, None, emit="{0} | {1}", result="bool", dtypes="b"
)
logical_xor = elementwise(
    "logical_xor",
    np.logical_xor,
    None,
    None,
    emit="{0} != {1}",
    result="bool",
    dtypes="b",
)
logical_not = elementwise(
    "logical_not", np.logical_not, None, emit="not {0}", result="bool", dtypes="b"
)
bitwise_and = elementwise(
    "bitwise_and", np.bitwise_and, None, None, emit="{0} & {1}", dtypes=INTEGERS
)
bitwise_or = elementwise(
    "bitwise_or", np.bitwise_or, None, None, emit="{0} | {1}", dtypes=INTEGERS
)
bitwise_xor = elementwise(
    "bitwise_xor", np.bitwise_xor, None, None, emit="{0} ^ {1}", dtypes=INTEGERS
)
bitwise_not = elementwise("bitwise_not", np.invert, None, emit="~{0}", dtypes="iu")

# Shifting by the width or more gives 0 (or -1) in NumPy, anything at all in machine
# code; a negative count is an unsigned one beyond the width.
shift_left = elementwise(
    "shift_left",
    np.left_shift,
    None,
    None,
    emit="({0} << {1} if 0 <= {1} < {bits} else {dtype}(0))",
    domain=((-20, 20), (0, 5)),
    dtypes="iu",
)
shift_right = elementwise(
    "shift_right",
    np.right_shift,
    None,
    None,
    emit="({0} >> ({1} if 0 <= {1} < {bits} else {dtype}({bits} - 1)))",
    domain=((-20, 20), (0, 5)),
    dtypes="i",
)

# Casts ------------------------------------------------------------------------------


def _cast_impl(x: Any, dtype: Any) -> Any:
    return np.asarray(x).astype(dtype)


def _cast_result(x: Any, dtype: Any) -> Any:
    return dtype


cast = elementwise(
    "cast",
    _cast_impl,
    lambda y, x, dtype: 1,
    result=_cast_result,
    dtypes="fiub",
    complex=True,
    emit="{dtype}({0})",
    sample_params=tuple(
        {"dtype": np.dtype(d)} for d in ("f8", "f4", "i8", "b1", "c16")
    ),
)

__all__ = [name for name in REGISTRY if name in globals()]
