"""Elementwise primitives: one line each. `y` is the output, `x`, `a`, `b` operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.primitive import REGISTRY, Mask, elementwise
from tracejit.ir.program import Arithmetic

POSITIVE = (0.1, 3.0)
UNIT = (-0.9, 0.9)

# Arithmetic -----------------------------------------------------------------------

add = elementwise(
    "add", np.add, lambda y, a, b: 1, lambda y, a, b: 1, emit="{0} + {1}", dtypes="fci"
)
sub = elementwise(
    "sub",
    np.subtract,
    lambda y, a, b: 1,
    lambda y, a, b: -1,
    emit="{0} - {1}",
    dtypes="fci",
)
mul = elementwise(
    "mul",
    np.multiply,
    lambda y, a, b: b,
    lambda y, a, b: a,
    emit="{0} * {1}",
    dtypes="fci",
)
div = elementwise(
    "div",
    np.true_divide,
    lambda y, a, b: 1 / b,
    lambda y, a, b: -(y / b),
    emit="{0} / {1}",
    domain=((-2, 2), POSITIVE),
    dtypes="fc",
    cost=3,
)
neg = elementwise("neg", np.negative, lambda y, x: -1, emit="-{0}", dtypes="fci")

Arithmetic.operators.update(add=add, sub=sub, mul=mul, div=div, neg=neg)

# Comparison and choice -------------------------------------------------------------

lt = elementwise("lt", np.less, None, None, emit="{0} < {1}", result="bool")
le = elementwise("le", np.less_equal, None, None, emit="{0} <= {1}", result="bool")
gt = elementwise("gt", np.greater, None, None, emit="{0} > {1}", result="bool")
ge = elementwise("ge", np.greater_equal, None, None, emit="{0} >= {1}", result="bool")
eq = elementwise("eq", np.equal, None, None, emit="{0} == {1}", result="bool")
ne = elementwise("ne", np.not_equal, None, None, emit="{0} != {1}", result="bool")


def _select_dtype(pred: Any, a: Any, b: Any) -> Any:
    return a


select = elementwise(
    "select",
    np.where,
    None,
    lambda y, p, a, b: Mask(p),
    lambda y, p, a, b: Mask(p, False),
    emit="({1} if {0} else {2})",
    result=_select_dtype,
)
logical_not = elementwise(
    "logical_not", np.logical_not, None, emit="not {0}", result="bool", dtypes="b"
)

# Functions of one variable ----------------------------------------------------------

exp = elementwise("exp", np.exp, lambda y, x: y, emit="math.exp({0})", cost=10)
log = elementwise(
    "log", np.log, lambda y, x: 1 / x, emit="math.log({0})", domain=(POSITIVE,), cost=10
)
sin = elementwise("sin", np.sin, lambda y, x: cos(x), emit="math.sin({0})", cost=10)
cos = elementwise("cos", np.cos, lambda y, x: -sin(x), emit="math.cos({0})", cost=10)
tanh = elementwise(
    "tanh", np.tanh, lambda y, x: 1 - y * y, emit="math.tanh({0})", cost=10
)
sqrt = elementwise(
    "sqrt",
    np.sqrt,
    lambda y, x: 0.5 / y,
    emit="math.sqrt({0})",
    domain=(POSITIVE,),
    cost=3,
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
    dtypes="fcib",
    emit="{dtype}({0})",
)

__all__ = [name for name in REGISTRY if name in globals()]
