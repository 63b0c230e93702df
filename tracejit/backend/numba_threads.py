"""The code by which a kernel has threads run the parts of a loop.

What the parts are told lies on the kernel's stack: a word for the number of the first
part that failed, with its status below, and the arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from tracejit.backend.numba_values import WORD, Arithmetic, Value
from tracejit.backend.thread_pool import POINTER, RUN

#: What a kernel's text calls: (part, parts, threads, arguments…) -> status.
THREADS = "threads"
#: The bits of a word that hold a status, below the number of a part.
STATUS = (1 << 32) - 1
NONE = WORD(-1)


def run_parts(
    code: Arithmetic, part: ir.Function, parts: Value, threads: Value, args: Any
) -> Any:
    """Emit the call of `part` for every number below `parts`; the first status, or 0.

    Args:
        code: where the call is to stand.
        part: by Numba's convention, of a number and what `args` are.
        parts: how many there are.
        threads: how many share them.
        args: the further arguments.
    """
    builder = code.builder
    content = ir.LiteralStructType([WORD, *(a.llvm.type for a in args)])
    with builder.goto_entry_block():
        told = builder.alloca(content)
    fields = [_field(builder, told, k) for k in range(len(args) + 1)]
    for value, field in zip((NONE, *(a.llvm for a in args)), fields, strict=True):
        builder.store(value, field)
    called = _called_with(code.context, part, content, [a.type for a in args])
    kind = ir.FunctionType(ir.VoidType(), [WORD] * 4)
    run = cgutils.get_or_insert_function(builder.module, kind, RUN)
    addresses = [builder.ptrtoint(place, WORD) for place in (called, told)]
    builder.call(run, [*addresses, parts.llvm, threads.llvm])
    failed = builder.load(fields[0])
    fine = builder.icmp_unsigned("==", failed, NONE)
    return builder.select(fine, WORD(0), builder.and_(failed, WORD(STATUS)))


def _field(builder: ir.IRBuilder, told: Any, k: int) -> Any:
    return builder.gep(told, [ir.IntType(32)(0), ir.IntType(32)(k)])


def _called_with(
    context: Any, part: ir.Function, content: Any, kinds: Sequence[Any]
) -> ir.Function:
    """void called(told, number): the part, with its arguments from where they lie."""
    kind = ir.FunctionType(ir.VoidType(), [POINTER, WORD])
    called = ir.Function(part.module, kind, f"{part.name}.called")
    called.linkage = "internal"
    builder = ir.IRBuilder(called.append_basic_block())
    told = builder.bitcast(called.args[0], content.as_pointer())
    number = called.args[1]
    values = [builder.load(_field(builder, told, k + 1)) for k in range(len(kinds))]
    packer = context.get_arg_packer((types.int64, *kinds))
    packed = packer.as_arguments(builder, [number, *values])
    status = builder.alloca(WORD)
    exception = part.args[1].type
    builder.call(part, [status, exception(None), *packed])
    found = builder.load(status)
    with builder.if_then(builder.icmp_signed("!=", found, WORD(0))):
        failed = builder.or_(builder.shl(number, WORD(32)), found)
        builder.atomic_rmw("umin", _field(builder, told, 0), failed, "monotonic")
    builder.ret_void()
    return called
