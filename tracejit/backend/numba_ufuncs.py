"""How kernels call the loops of ufuncs: each as an intrinsic for single numbers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype, from_dtype

from tracejit.backend.object_code import resolves
from tracejit.backend.ufunc_loops import loop_of, symbols
from tracejit.base.errors import InternalError
from tracejit.ops.ufuncs import calls_in, result_dtype, scipy_ufunc


def namespace(text: str) -> dict[str, Any]:
    """What a kernel's text calls of this kind, by name."""
    return {call: _calling(*parts) for call, parts in calls_in(text).items()}


def _calling(name: str, part: int) -> Any:
    """A result of a ufunc, in the dtype that `result_dtype` says."""
    ufunc = scipy_ufunc(name)

    def call(typingctx: Any, *operands: Any) -> Any:
        given = [as_dtype(kind) for kind in operands]
        dtypes, out = loop_of(ufunc, given), from_dtype(result_dtype(*given))
        kinds = [from_dtype(dtype) for dtype in dtypes]
        loop = symbols(name, dtypes)
        if not all([resolves(symbol) for symbol in loop]):  # both: no generator
            raise InternalError(f"{ufunc} has no loop for {dtypes}")

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            places = [
                cgutils.alloca_once(builder, context.get_data_type(kind))
                for kind in kinds
            ]
            stored = zip(operands, kinds, values, places, strict=False)
            for have, kind, value, place in stored:
                value = context.cast(builder, value, have, kind)
                builder.store(context.get_value_as_data(builder, kind, value), place)
            _run_loop(builder, loop, places)
            k = ufunc.nin + part
            found = builder.load(places[k])
            found = context.get_data_as_value(builder, kinds[k], found)
            return context.cast(builder, found, kinds[k], out)

        return out(*operands), codegen

    # Numba wants to see how many arguments there are.
    names = ", ".join(f"x{k}" for k in range(ufunc.nin))
    text = f"lambda typingctx, {names}: call(typingctx, {names})"
    return intrinsic(eval(text, {"call": call}))


def _run_loop(builder: Any, names: tuple[str, str], places: list[Any]) -> None:
    """loop(addresses, &1, strides, data): the strides of one element do not matter."""
    byte, word = cgutils.voidptr_t, ir.IntType(64)
    table = cgutils.alloca_once(builder, byte, size=len(places))
    strides = cgutils.alloca_once(builder, word, size=len(places))
    for k, place in enumerate(places):
        at = builder.gep(table, [word(k)])
        builder.store(builder.bitcast(place, byte), at)
        builder.store(word(0), builder.gep(strides, [word(k)]))
    count = cgutils.alloca_once_value(builder, word(1))
    kind = ir.FunctionType(ir.VoidType(), [table.type, count.type, strides.type, byte])
    loop = cgutils.get_or_insert_function(builder.module, kind, names[0])
    # Declared as a function, as those are what a kernel's needs are listed by.
    nothing = ir.FunctionType(ir.VoidType(), [])
    data = cgutils.get_or_insert_function(builder.module, nothing, names[1])
    builder.call(loop, [table, count, strides, builder.bitcast(data, byte)])
