"""Vector functions: what stands for a call of a scalar one in a vectorised loop.

Kernels call scalar functions and name, by the attribute "vector-function-abi-variant",
those for vectors. Where these are polynomials of ours, they are linked to the kernel,
and inlined, when its loops are vectors already: a number alone is left to the C
library, whose tables are faster for one than our formulas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from tracejit.backend import rare_code
from tracejit.backend.numba_numbers import PURE, Builder, Number, declare_vectors
from tracejit.backend.numba_polynomials import POLYNOMIALS
from tracejit.backend.numba_special import HELPERS, SPECIAL, SUBSTITUTES

#: What is computed by a polynomial wherever it can.
OWN = POLYNOMIALS | SPECIAL | HELPERS

#: These of one argument share most of their work, which LLVM sees where they stand in
#: the kernel itself, for a number alone as well.
_IN_PLACE = {"sin", "cos"}
_PREFIX = "tracejit_own_"
#: The end of names of functions for machines with AVX-512.
_AVX512 = "z"
_BINARY = {"atan2", "pow", "hypot"}


def call_own(builder: Any, name: str, args: list[Any], avx512: bool) -> Any:
    """A function of ours: in place, or a call, of a vector function in vector loops."""
    if name in _IN_PLACE:
        return OWN[name](*(Number(builder, x) for x in args)).value
    real = args[0].type
    single = isinstance(real, ir.FloatType)
    symbol = f"{_PREFIX}{name}{'_f' if single else ''}"
    kind = ir.FunctionType(real, [real] * len(args))
    call = builder.call(
        cgutils.get_or_insert_function(builder.module, kind, symbol), args
    )
    mark = "v" * len(args)
    way = _AVX512 if avx512 else ""
    vectors = {
        f"{symbol}_{n}{way}": (f"_ZGV_LLVM_N{n}{mark}", n)
        for n in rare_code.lanes(single)
    }
    declare_vectors(builder.module, call, vectors)
    return call


def is_own(symbol: str) -> bool:
    """Whether it is the name of a function of ours."""
    return symbol.startswith((_PREFIX, rare_code.PREFIX))


def called(text: str) -> set[str]:
    """The functions of ours that a module calls; others are only declared."""
    names = re.findall(r"call [^@\n]*@(tracejit_\w+)\(", text)
    return {name for name in names if is_own(name)}


def definitions(needed: Iterable[str]) -> list[str]:
    """Modules with the functions of ours of these names, in LLVM's language."""
    module, names = ir.Module(), set(needed)
    for symbol in sorted(names):
        if symbol.startswith(_PREFIX):
            _define(module, symbol)
    names |= {f.name for f in module.functions}
    return [str(module), rare_code.definitions(names)]


def _define(module: Any, symbol: str) -> None:
    name, *rest = symbol.removeprefix(_PREFIX).split("_")
    single = "f" in rest
    lanes = rest[-1].removesuffix(_AVX512) if rest else ""
    count = int(lanes) if lanes.isdigit() else 1
    real = ir.FloatType() if single else ir.DoubleType()
    kind = real if count == 1 else ir.VectorType(real, count)
    formula: Callable[..., Number] = (OWN | SUBSTITUTES)[name]
    arity = 2 if name in _BINARY else 1
    f = ir.Function(module, ir.FunctionType(kind, [kind] * arity), symbol)
    f.linkage = "linkonce_odr"
    f.attributes.add("alwaysinline")
    builder = Builder(f.append_basic_block(), symbol.endswith(_AVX512))
    if count == 1 and name not in HELPERS:
        # The name is LLVM's to know: of a sine and a cosine it makes one call.
        f = cgutils.get_or_insert_function(
            module, f.ftype, name + ("f" if single else "")
        )
        call = builder.call(f, builder.function.args)
        set.update(call.attributes, PURE)
        builder.ret(call)
    else:
        builder.ret(formula(*(Number(builder, x) for x in f.args)).value)
