"""How compiled helpers reach LAPACK: each routine as an intrinsic that calls it."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tracejit.backend import lapack


def _routine(name: str) -> Any:
    """A routine of Fortran's: it is given the address of every argument."""
    kinds = lapack.ROUTINES[name]
    silent = name in lapack.SILENT

    def call(typingctx: Any, *args: Any) -> Any:
        number = args[kinds.index("p")].dtype
        symbol = lapack.symbol(lapack.name_of(name, number.name))
        chosen = lapack.passed(name, number.name)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            integer = ir.IntType(lapack.integer_width())
            stored = {
                "c": (types.int8, ir.IntType(8)),
                "i": (types.Integer.from_bitwidth(integer.width), integer),
                "s": (number, context.get_value_type(number)),
            }
            stored["n"] = stored["i"]
            passed = []
            for kind, given, value, here in zip(
                kinds, args, values, chosen, strict=True
            ):
                if not here:
                    continue
                if kind in stored:
                    target, llvm = stored[kind]
                    value = context.cast(builder, value, given, target)
                    place = cgutils.alloca_once(builder, llvm)
                    builder.store(value, place)
                    value = place
                passed.append(builder.bitcast(value, cgutils.voidptr_t))
            status = cgutils.alloca_once_value(builder, integer(0))
            if not silent:
                passed.append(builder.bitcast(status, cgutils.voidptr_t))
            passed += [ir.IntType(64)(1)] * kinds.count("c")
            kind = ir.FunctionType(ir.VoidType(), [x.type for x in passed])
            f = cgutils.get_or_insert_function(builder.module, kind, symbol)
            builder.call(f, passed)
            found = builder.load(status)
            return builder.sext(found, ir.IntType(64)) if integer.width < 64 else found

        return types.int64(*args), codegen

    # Numba wants to see how many arguments there are.
    names = ", ".join(f"x{k}" for k in range(len(kinds)))
    text = f"lambda typingctx, {names}: call(typingctx, {names})"
    return intrinsic(eval(text, {"call": call}))


@intrinsic
def _at(typingctx: Any, array: Any, start: Any) -> Any:
    """The array from an element on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return array(array, types.intp), codegen


@intrinsic
def _integer(typingctx: Any, work: Any, k: Any) -> Any:
    """The k-th of the integers that LAPACK has written into `work`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(lapack.integer_width())
        start = builder.bitcast(args[0], integer.as_pointer())
        found = builder.load(builder.gep(start, [args[1]]))
        return builder.sext(found, ir.IntType(64)) if integer.width < 64 else found

    return types.int64(work, types.intp), codegen


@intrinsic
def _set_integer(typingctx: Any, work: Any, k: Any, value: Any) -> Any:
    """Make the k-th of the integers that LAPACK will read from `work` this one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(lapack.integer_width())
        start = builder.bitcast(args[0], integer.as_pointer())
        value = args[2]
        value = builder.trunc(value, integer) if integer.width < 64 else value
        builder.store(value, builder.gep(start, [args[1]]))
        return context.get_dummy_value()

    return types.void(work, types.intp, types.int64), codegen


INTRINSICS = {
    "_tj_at": _at,
    "_tj_integer": _integer,
    "_tj_set_integer": _set_integer,
    **{f"_tj_{name}": _routine(name) for name in lapack.ROUTINES},
}
