"""Loading object code with llvmlite alone: its entry point as a ctypes function."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm

from tracejit.backend import blas, lapack, thread_pool, ufunc_loops, vector_math

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

_KINDS: dict[str, Any] = {
    "float64": ctypes.c_double,
    "float32": ctypes.c_float,
    "bool": ctypes.c_bool,
    **{f"int{bits}": getattr(ctypes, f"c_int{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": getattr(ctypes, f"c_uint{bits}") for bits in (8, 16, 32, 64)},
}
_routines = blas.addresses() | lapack.addresses() | vector_math.addresses()
for _name, _address in _routines.items():
    llvm.add_symbol(_name, _address)
_process = ctypes.CDLL(None)


def resolves(symbol: str) -> bool:
    """Whether code loaded into this process can call `symbol`."""
    return (
        hasattr(_process, symbol)
        or bool(llvm.address_of_symbol(symbol))
        or _is_provided(symbol)
    )


def resolves_alone(symbol: str) -> bool:
    """Whether it is there without Numba, too: in a process that only loads."""
    return symbol in _routines or hasattr(_process, symbol) or _is_provided(symbol)


def _is_provided(symbol: str) -> bool:
    """Whether it is a loop of a ufunc, or what runs threads: known from now on."""
    threads = symbol == thread_pool.RUN
    found = thread_pool.address() if threads else ufunc_loops.address(symbol)
    if found is not None:
        llvm.add_symbol(symbol, found)
    return found is not None


#: By what Numba is told to compile for another CPU than this.
_OTHER_CPU = {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX"}


def host() -> tuple[str, str]:
    """The CPU's name and features: object code serves no other."""
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def vector_library() -> vector_math.Library:
    """What code for this CPU may compute functions by; for another, where Numba is told
    to compile for that."""
    told = _OTHER_CPU & os.environ.keys()
    features = {} if told else llvm.get_host_cpu_features()
    return vector_math.library({name for name, present in features.items() if present})


#: The symbol of a kernel that takes its arguments from a table of words.
RUN = "tracejit_run"
#: Where a kernel would store an exception; ours raise none.
_EXCEPTION = ctypes.c_void_p()


def load(code: bytes) -> Any:
    """An engine that holds object code; the code lives as long as the engine."""
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


class Entry:
    """Loaded object code. It lives as long as this object.

    Numba's convention: (result *, exception **, arguments…) -> error code.
    """

    def __init__(self, code: bytes, symbol: str, signature: Sequence[str]):
        self.engine = load(code)
        self.address = self.engine.get_function_address(symbol)
        #: The same kernel, to be called with the address of a table of its arguments.
        self.run = self.engine.get_function_address(RUN)
        kinds = [ctypes.c_void_p if s[-1] == "*" else _KINDS[s] for s in signature]
        pair = [ctypes.c_void_p, ctypes.c_void_p]
        self.function: Callable[..., int] = ctypes.CFUNCTYPE(
            ctypes.c_int32, *pair, *kinds
        )(self.address)

    def __call__(self, values: Sequence[Any]) -> int:
        """Run; the status that the kernel returns."""
        status = ctypes.c_int64()
        code = self.function(ctypes.byref(status), ctypes.byref(_EXCEPTION), *values)
        assert code == 0, code
        return status.value
