"""`math` as kernels see it: functions that LLVM knows how to vectorise.

Each call carries the attribute "vector-function-abi-variant", by which LLVM's loop
vectoriser finds the vector functions that stand for a scalar one. They are declared
and kept alive in @llvm.compiler.used until it runs.
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
from tracejit.backend.vector_math import ARITY, Variants

_USED = "llvm.compiler.used"


def namespace(variants: Variants) -> dict[str, Any]:
    """The globals of kernels that these functions replace."""
    module = ModuleType("math")
    vars(module).update(vars(math))
    for name, arity in ARITY.items():
        setattr(module, name, (_unary if arity == 1 else _binary)(name, variants))
    return {"math": module, "_tj_pow": _power(variants)}


def _unary(name: str, variants: Variants) -> Any:
    @intrinsic
    def function(typingctx: Any, x: Any) -> Any:
        kind = _real(x)
        return kind(kind), _calling(name, variants)

    return function


def _binary(name: str, variants: Variants) -> Any:
    @intrinsic
    def function(typingctx: Any, x: Any, y: Any) -> Any:
        kind = _real(x, y)
        return kind(kind, kind), _calling(name, variants)

    return function


def _power(variants: Variants) -> Any:
    """Powers of real numbers; those of others are Numba's."""

    @intrinsic
    def function(typingctx: Any, x: Any, y: Any) -> Any:
        if isinstance(x, types.Float) and isinstance(y, types.Float):
            kind = _real(x, y)
            return kind(kind, kind), _calling("pow", variants)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.get_function(operator.pow, signature)(builder, args)

        return typingctx.resolve_function_type(operator.pow, (x, y), {}), codegen

    return function


def _calling(name: str, variants: Variants) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, name, args, variants)

    return codegen


def _real(*kinds: Any) -> Any:
    """float32 where all are, else float64."""
    single = all(kind == types.float32 for kind in kinds)
    return types.float32 if single else types.float64


def _call(builder: Any, name: str, args: list[Any], variants: Variants) -> Any:
    """A call of the C library's function, with the vector functions known for it."""
    real = args[0].type
    scalar = name + ("f" if isinstance(real, ir.FloatType) else "")
    kind = ir.FunctionType(real, [real] * len(args))
    known = variants.get(scalar, {})
    symbol = vector_math.alias(scalar) if known else scalar
    f = cgutils.get_or_insert_function(builder.module, kind, symbol)
    call = builder.call(f, args)
    # llvmlite's `add` refuses attributes that it does not know.
    attributes = ["nounwind", "willreturn", "memory(none)"]
    if known:
        names = ",".join(
            f"{mark}_{symbol}({name})" for name, (mark, _) in known.items()
        )
        attributes.append(f'"vector-function-abi-variant"="{names}"')
    set.update(call.attributes, attributes)
    for vector, (_, lanes) in known.items():
        wide = ir.VectorType(real, lanes)
        _keep(builder.module, vector, ir.FunctionType(wide, [wide] * len(args)))
    return call


def _keep(module: Any, name: str, kind: Any) -> None:
    """Declare a function that nothing calls yet, so that no pass forgets it."""
    if name in module.globals:
        return
    f = ir.Function(module, kind, name)
    byte = ir.IntType(8).as_pointer()
    used = module.globals.get(_USED)
    kept = [] if used is None else list(used.initializer.constant)
    kept.append(f.bitcast(byte))
    array = ir.ArrayType(byte, len(kept))
    if used is None:
        used = ir.GlobalVariable(module, array, _USED)
        used.linkage, used.section = "appending", "llvm.metadata"
    used.value_type, used.type = array, array.as_pointer()
    used.initializer = ir.Constant(array, kept)
