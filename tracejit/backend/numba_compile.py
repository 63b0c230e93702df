"""The one module that imports numba: from source text to object code.

It is loaded when a kernel has to be compiled, never on a warm start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import compiler, cpu, registry
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from tracejit.backend.helpers import HELPERS, plain_globals


@intrinsic
def _reassociable_add(typingctx: Any, total: Any, value: Any) -> Any:
    """An addition that may be reordered with its like, so that sums vectorise."""
    if total != value:
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(total, types.Float):
            return builder.fadd(*args, flags=("reassoc", "contract"))
        return builder.add(*args)

    return total(total, value), codegen


_COMPILED: dict[str, Any] = {
    name: njit(error_model="numpy")(f) for name, f in HELPERS.items()
} | {"_tj_add": _reassociable_add}


def kernel_globals() -> dict[str, Any]:
    """The globals of a kernel that Numba compiles."""
    return plain_globals() | _COMPILED


def _numba_type(name: str) -> Any:
    dtype = name.rstrip("*")
    scalar = types.boolean if dtype == "bool" else getattr(types, dtype)
    return types.CPointer(scalar) if name.endswith("*") else scalar


def _flags(fastmath: bool) -> compiler.Flags:
    flags = compiler.Flags()
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.nrt = False
    flags.noalias = True
    flags.error_model = "numpy"
    # Contraction is the one liberty that leaves compensated sums exact.
    flags.fastmath = cpu.FastMathOptions(True if fastmath else {"contract"})
    return flags


def compile_object(
    function: Callable[..., Any], signature: tuple[str, ...], fastmath: bool
) -> tuple[bytes, str, list[str]]:
    """Object code, the symbol of its entry, and the symbols it needs from outside."""
    target = registry.cpu_target
    result = compiler.compile_extra(
        target.typing_context,
        target.target_context,
        function,
        tuple(map(_numba_type, signature)),
        types.int64,
        _flags(fastmath),
        {},
    )
    library = result.library
    with global_compiler_lock:
        module = library._final_module
        code = library.codegen._tm.emit_object(module)
    needs = [
        f.name
        for f in module.functions
        if f.is_declaration and not f.name.startswith("llvm.")
    ]
    return code, result.fndesc.llvm_func_name, needs


__all__ = ["compile_object", "ir", "kernel_globals", "np"]
