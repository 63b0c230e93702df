"""`math` as kernels see it: functions that LLVM knows how to vectorise.

They are polynomials of ours, or calls that carry the attribute
"vector-function-abi-variant", by which LLVM's loop vectoriser finds the vector
functions that stand for a scalar one.
"""

from __future__ import annotations

import math
import operator
from types import ModuleType
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tracejit.backend import vector_math
from tracejit.backend.numba_special import HELPERS, LOOKED_UP, SUBSTITUTES
from tracejit.backend.numba_vectors import OWN, call_own, declare_vectors
from tracejit.backend.vector_math import ARITY, Library


def namespace(library: Library) -> dict[str, Any]:
    """The globals of kernels that these functions replace."""
    module = ModuleType("math")
    vars(module).update(vars(math))
    for name, arity in (ARITY | {"lgamma": 1}).items():
        setattr(module, name, (_unary if arity == 1 else _binary)(name, library))
    own = HELPERS if library.polynomials else ()
    helpers = {f"_tj_{name}": _unary(name, library) for name in own}
    return {"math": module, "_tj_pow": _power(library)} | helpers


def _unary(name: str, library: Library) -> Any:
    @intrinsic
    def function(typingctx: Any, x: Any) -> Any:
        kind = _real(x)
        return kind(kind), _calling(name, library)

    return function


def _binary(name: str, library: Library) -> Any:
    @intrinsic
    def function(typingctx: Any, x: Any, y: Any) -> Any:
        kind = _real(x, y)
        return kind(kind, kind), _calling(name, library)

    return function


def _power(library: Library) -> Any:
    """Powers of real numbers; those of others are Numba's."""

    @intrinsic
    def function(typingctx: Any, x: Any, y: Any) -> Any:
        if isinstance(x, types.Float) and isinstance(y, types.Float):
            kind = _real(x, y)
            return kind(kind, kind), _calling("pow", library)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.get_function(operator.pow, signature)(builder, args)

        return typingctx.resolve_function_type(operator.pow, (x, y), {}), codegen

    return function


def _calling(name: str, library: Library) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, name, args, library)

    return codegen


def _real(*kinds: Any) -> Any:
    """float32 where all are, else float64."""
    single = all(kind == types.float32 for kind in kinds)
    return types.float32 if single else types.float64


def _call(builder: Any, name: str, args: list[Any], library: Library) -> Any:
    """A polynomial of ours, or a call of the C library's function with the vector
    functions known for it."""
    real = args[0].type
    scalar = name + ("f" if isinstance(real, ir.FloatType) else "")
    known = library.variants.get(scalar, {})
    better = LOOKED_UP if library.avx512 else ()
    own = name in OWN or name in (better if known else SUBSTITUTES)
    if library.polynomials and own:
        return call_own(builder, name, args, library.avx512)
    kind = ir.FunctionType(real, [real] * len(args))
    symbol = vector_math.alias(scalar) if known else scalar
    f = cgutils.get_or_insert_function(builder.module, kind, symbol)
    call = builder.call(f, args)
    declare_vectors(builder.module, call, known)
    return call
