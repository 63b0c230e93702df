"""Functions of how numbers are written: exponents, neighbours, common divisors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.primitive import elementwise
from tracejit.ir.program import Atom
from tracejit.ops.elementwise import POSITIVE
from tracejit.ops.numpy_names import COMPOSED, PRIMITIVES, emit

INT32 = np.dtype(np.int32)


def _first(x: Any, *rest: Any) -> Any:
    return x


def _ldexp_samples(rng: np.random.Generator) -> list[Any]:
    shapes: list[Any] = [(4,), (), (2, 3)]
    return [((rng.normal(size=s), rng.integers(-5, 6, s)), {}) for s in shapes]


ldexp: Any = elementwise(
    "ldexp",
    np.ldexp,
    lambda y, x, n: lambda tangent: ldexp(tangent, n),
    None,
    emit="math.ldexp({0}, int({1}))",
    result=_first,
    dtypes=("f", "i"),
    samples=_ldexp_samples,
    cost=5,
)
exponent = elementwise(
    "exponent",
    lambda x: np.frexp(x)[1],
    None,
    emit="int32(math.frexp({0})[1])",
    result=lambda x: INT32,
    domain=(POSITIVE,),
    dtypes="f",
    cost=5,
)
nextafter = elementwise(
    "nextafter",
    np.nextafter,
    lambda y, a, b: 1,
    None,
    emit="np.nextafter({0}, {1})",
    dtypes="f",
    cost=5,
)
spacing = elementwise(
    "spacing", np.spacing, None, emit="np.spacing({0})", dtypes="f", cost=5
)
gcd = elementwise(
    "gcd", np.gcd, None, None, emit="np.gcd({0}, {1})", dtypes="iu", cost=20
)
lcm = elementwise(
    "lcm", np.lcm, None, None, emit="np.lcm({0}, {1})", dtypes="iu", cost=20
)


def _frexp(x: Atom) -> tuple[Atom, Atom]:
    power = emit("exponent", x)
    return emit("ldexp", x, emit("neg", power)), power


PRIMITIVES |= {
    np.ldexp: "ldexp",
    np.nextafter: "nextafter",
    np.spacing: "spacing",
    np.gcd: "gcd",
    np.lcm: "lcm",
}
COMPOSED[np.frexp] = _frexp
