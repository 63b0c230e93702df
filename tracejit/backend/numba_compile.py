"""The one module that imports numba: from source text to object code.

It is loaded when a kernel has to be compiled, never on a warm start.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils, compiler, cpu, registry
from numba.core.compiler_lock import global_compiler_lock
from numba.core.fastmathpass import rewrite_module
from numba.core.targetconfig import ConfigStack
from numba.extending import intrinsic

from tracejit.backend import (
    blas,
    helpers,
    numba_lapack,
    numba_math,
    numba_ufuncs,
    numba_vectors,
)
from tracejit.backend.numba_lower import lowered
from tracejit.backend.numba_threads import THREADS
from tracejit.backend.numba_values import Unit
from tracejit.backend.object_cache import ObjectCode
from tracejit.backend.object_code import RUN
from tracejit.backend.vector_math import Library
from tracejit.ops import scalars
from tracejit.optimize.nest import SMALL


def _combining(by: Callable[..., Any]) -> Any:
    """An intrinsic of two values of one type; `by(builder, type, a, b)` emits it."""

    @intrinsic
    def combine(typingctx: Any, total: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return by(builder, total, *args)

        return total(total, total), codegen

    return combine


def _on_parts(name: str, builder: Any, a: Any, b: Any) -> Any:
    """Arithmetic of complex numbers, which are pairs."""
    flags = "reassoc", "contract"
    ar, ai, br, bi = (builder.extract_value(z, k) for z in (a, b) for k in (0, 1))
    if name == "add":
        parts = builder.fadd(ar, br, flags=flags), builder.fadd(ai, bi, flags=flags)
    else:
        rr, ii, ri, ir_ = (
            builder.fmul(x, y, flags=flags)
            for x, y in ((ar, br), (ai, bi), (ar, bi), (ai, br))
        )
        parts = builder.fsub(rr, ii, flags=flags), builder.fadd(ri, ir_, flags=flags)
    for k, part in enumerate(parts):
        a = builder.insert_value(a, part, k)
    return a


def _arithmetic(name: str) -> Callable[..., Any]:
    """Arithmetic that may be reordered with its like, so that it vectorises."""

    def emit(builder: Any, kind: Any, a: Any, b: Any) -> Any:
        if isinstance(kind, types.Float):
            return getattr(builder, "f" + name)(a, b, flags=("reassoc", "contract"))
        if isinstance(kind, types.Complex):
            return _on_parts(name, builder, a, b)
        return getattr(builder, name)(a, b)

    return emit


def _extremum(name: str, sign: str) -> Callable[..., Any]:
    """An extremum that lets NaN through; one instruction, which vectorises."""

    def emit(builder: Any, kind: Any, a: Any, b: Any) -> Any:
        if isinstance(kind, types.Float):
            both = ir.FunctionType(a.type, [a.type, a.type])
            f = builder.module.declare_intrinsic(f"llvm.{name}", [a.type], both)
            return builder.call(f, [a, b])
        signed = getattr(kind, "signed", False)
        compare = builder.icmp_signed if signed else builder.icmp_unsigned
        return builder.select(compare(sign, a, b), a, b)

    return emit


@intrinsic
def _select(typingctx: Any, pred: Any, a: Any, b: Any) -> Any:
    """No branch: LLVM would evaluate each side's cone, unsafe arguments included."""
    kind = typingctx.unify_types(a, b)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return kind(types.boolean, kind, kind), codegen


@intrinsic
def _unless_zero(typingctx: Any, a: Any, x: Any) -> Any:
    """A branch that is hardly ever taken: `x` mostly is a multiple of `a`, and what
    comes next need not wait for a comparison. In vectors it is a selection again."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = args[1].type(0)
        rare = builder.and_(
            builder.fcmp_ordered("==", args[0], args[0].type(0)),
            builder.fcmp_unordered("!=", args[1], zero),
        )
        before = builder.block
        with builder.if_then(rare, likely=False):
            cleared = builder.block
        out = builder.phi(args[1].type)
        out.add_incoming(args[1], before)
        out.add_incoming(zero, cleared)
        return out

    if isinstance(x, types.Float) and isinstance(a, types.Float):
        return x(a, x), codegen
    return None


#: Whether this processor multiplies and adds with one rounding.
_HAS_FMA = llvm.get_host_cpu_features().get("fma", False)


@intrinsic
def _foreseen(typingctx: Any, guess: Any, x: Any) -> Any:
    """`x` by a branch that is hardly ever taken: what comes next goes on with a guess
    of it, and need not wait for `x`, with which the guess is compared bit by bit."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not _HAS_FMA:
            return args[1]
        kind, word = args[1].type, ir.IntType(64)
        function = ir.FunctionType(kind, [kind])
        # To LLVM these are any numbers: it would take what is equal for the same.
        guessed = builder.call(ir.InlineAsm(function, "", "=x,0"), args[:1])
        bits = [builder.bitcast(v, word) for v in (guessed, args[1])]
        before = builder.block
        with builder.if_then(builder.icmp_unsigned("!=", *bits), likely=False):
            exact = ir.InlineAsm(function, "", "=x,0", side_effect=True)
            value = builder.call(exact, args[1:])
            missed = builder.block
        out = builder.phi(kind)
        out.add_incoming(guessed, before)
        out.add_incoming(value, missed)
        return out

    both = types.float64
    return (both(both, both), codegen) if x == guess == both else None


@intrinsic
def _if_finite(typingctx: Any, x: Any, other: Any) -> Any:
    """A branch that is hardly ever taken, as that of `_unless_zero`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        f = builder.module.declare_intrinsic("llvm.fabs", [kind])
        size = builder.call(f, args[:1])
        wild = builder.fcmp_unordered(">=", size, kind(float("inf")))
        before = builder.block
        with builder.if_then(wild, likely=False):
            instead = builder.block
        out = builder.phi(kind)
        out.add_incoming(args[0], before)
        out.add_incoming(args[1], instead)
        return out

    return (x(x, x), codegen) if isinstance(x, types.Float) else None


@intrinsic
def _fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """A product and a sum that nothing comes between."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _HAS_FMA:
            return builder.fma(*args)
        return builder.fadd(builder.fmul(*args[:2]), args[2])

    return a(a, a, a), codegen


@intrinsic
def _hidden(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type])
        return builder.call(ir.InlineAsm(kind, "", "=r,0"), args)

    return x(x), codegen


@intrinsic
def _stride(typingctx: Any, n: Any) -> Any:
    """The greater one of n and a number that n is no less than: extents that the text
    takes as arguments are not `SMALL`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        least = args[0].type(SMALL.stop)
        larger = builder.icmp_signed(">", args[0], least)
        return builder.select(larger, args[0], least)

    return n(n), codegen


@intrinsic
def _null(typingctx: Any, zero: Any) -> Any:
    """A tape without rows."""
    pointer = types.CPointer(zero)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant_null(pointer)

    return pointer(zero), codegen


@intrinsic(prefer_literal=True)
def _local(typingctx: Any, zero: Any, size: Any) -> Any:
    """A few numbers on the stack: LLVM keeps them in registers where it can."""
    pointer = types.CPointer(zero)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = context.get_data_type(zero)
        with builder.goto_entry_block():
            place = builder.alloca(ir.ArrayType(element, size.literal_value))
        return builder.bitcast(place, element.as_pointer())

    return pointer(zero, size), codegen


@intrinsic
def _realloc(typingctx: Any, tape: Any, size: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = cgutils.voidptr_t
        kind = ir.FunctionType(byte, [byte, cgutils.intp_t])
        f = cgutils.get_or_insert_function(builder.module, kind, "realloc")
        pointer, count = args
        width = context.get_abi_sizeof(context.get_data_type(tape.dtype))
        width = cgutils.intp_t(width)
        moved = builder.call(
            f, [builder.bitcast(pointer, byte), builder.mul(count, width)]
        )
        return builder.bitcast(moved, pointer.type)

    return tape(tape, types.intp), codegen


@intrinsic
def _free(typingctx: Any, tape: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = cgutils.voidptr_t
        kind = ir.FunctionType(ir.VoidType(), [byte])
        f = cgutils.get_or_insert_function(builder.module, kind, "free")
        builder.call(f, [builder.bitcast(args[0], byte)])
        return context.get_dummy_value()

    return types.void(tape), codegen


@intrinsic
def _gemm(
    ctx: Any,
    ta: Any,
    tb: Any,
    m: Any,
    n: Any,
    k: Any,
    alpha: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    beta: Any,
    c: Any,
    ldc: Any,
) -> Any:
    """A call of cblas_dgemm, or its like, on row-major matrices."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left, right, m, n, k, one, x, ldx, y, ldy, other, z, ldz = args
        call = _Cblas(context, builder, "gemm", a.dtype)
        m, n, k, ldx, ldy, ldz = map(call.integer, (m, n, k, ldx, ldy, ldz))
        one, other = call.scalar(one, alpha), call.scalar(other, beta)
        turned = map(call.turned, (left, right))
        return call(*turned, m, n, k, one, x, ldx, y, ldy, other, z, ldz)

    flag, size = types.boolean, types.intp
    sizes = [size] * 3
    return types.void(
        flag, flag, *sizes, alpha, a, size, b, size, beta, c, size
    ), codegen


@intrinsic
def _syrk(
    ctx: Any, ta: Any, n: Any, k: Any, alpha: Any, a: Any, lda: Any, beta: Any, c: Any
) -> Any:
    """A call of cblas_dsyrk, or its like, on row-major matrices: the lower triangle."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left, n, k, one, x, ldx, other, z = args
        call = _Cblas(context, builder, "syrk", a.dtype)
        n, k, ldx = map(call.integer, (n, k, ldx))
        lower = ir.Constant(call.flag, 122)
        one, other = call.scalar(one, alpha), call.scalar(other, beta)
        return call(lower, call.turned(left), n, k, one, x, ldx, other, z, n)

    flag, size = types.boolean, types.intp
    return types.void(flag, size, size, alpha, a, size, beta, c), codegen


class _Cblas:
    """A call of one of BLAS's C routines in the code that a builder makes."""

    flag = ir.IntType(32)

    def __init__(self, context: Any, builder: Any, name: str, dtype: Any):
        self.context, self.builder, self.dtype = context, builder, dtype
        self.width = blas.integer_width()
        self.name = blas.symbol(blas.LETTERS[dtype.name] + name, self.width)

    def scalar(self, value: Any, kind: Any) -> Any:
        """A factor; of complex numbers, where it is stored."""
        made = self.context.cast(self.builder, value, kind, self.dtype)
        if isinstance(self.dtype, types.Float):
            return made
        return cgutils.alloca_once_value(self.builder, made)

    def integer(self, x: Any) -> Any:
        short = ir.IntType(self.width)
        return self.builder.trunc(x, short) if self.width < 64 else x

    def turned(self, flag: Any) -> Any:
        """No transpose is 111, transpose 112."""
        yes, no = ir.Constant(self.flag, 112), ir.Constant(self.flag, 111)
        return self.builder.select(flag, yes, no)

    def __call__(self, *values: Any) -> Any:
        values = (ir.Constant(self.flag, 101), *values)  # matrices lie row by row
        kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
        f = cgutils.get_or_insert_function(self.builder.module, kind, self.name)
        self.builder.call(f, values)
        return self.context.get_dummy_value()


_INTRINSICS = {
    "_tj_gemm": _gemm,
    "_tj_syrk": _syrk,
    "_tj_threads": THREADS,
    "_tj_select": _select,
    "_tj_unless_zero": _unless_zero,
    "_tj_foreseen": _foreseen,
    "_tj_if_finite": _if_finite,
    "_tj_fma": _fma,
    "_tj_hidden": _hidden,
    "_tj_stride": _stride,
    "_tj_add": _combining(_arithmetic("add")),
    "_tj_mul": _combining(_arithmetic("mul")),
    "_tj_max": _combining(_extremum("maximum", ">")),
    "_tj_min": _combining(_extremum("minimum", "<")),
    "_tj_tape": _null,
    "_tj_local": _local,
    "_tj_realloc": _realloc,
    "_tj_free": _free,
    **numba_lapack.INTRINSICS,
}


def _helpers() -> dict[str, Any]:
    """The helpers as Python functions that see intrinsics, and each other, by name."""
    seen: dict[str, Any] = {**helpers.plain_globals(), **scalars.NAMES, **_INTRINSICS}
    own = {k: f for k, f in scalars.NAMES.items() if isinstance(f, FunctionType)}
    for name, f in (own | helpers.HELPERS).items():
        if name not in _INTRINSICS:
            seen[name] = FunctionType(f.__code__, seen, name)
    return {name: seen[name] for name in helpers.HELPERS}


_HELPERS = _helpers()


def kernel_globals(library: Library, text: str) -> dict[str, Any]:
    """The globals of a kernel that Numba compiles."""
    functions = numba_math.namespace(library) | numba_ufuncs.namespace(text)
    known = helpers.plain_globals() | _HELPERS | functions
    # These call functions that there are vectors of.
    for name in ("_tj_complex_exp", "_tj_complex_pow"):
        known[name] = FunctionType(_HELPERS[name].__code__, known, name)
    return known


def _numba_type(name: str) -> Any:
    dtype = name.rstrip("*")
    scalar = types.boolean if dtype == "bool" else getattr(types, dtype)
    return types.CPointer(scalar) if name.endswith("*") else scalar


def _flags(fastmath: bool) -> Any:
    flags: Any = compiler.Flags()
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.nrt = False
    flags.noalias = True
    flags.error_model = "numpy"
    # Contraction is the one liberty that leaves compensated sums exact.
    flags.fastmath = cpu.FastMathOptions(True if fastmath else {"contract"})
    return flags


def _shim(kernel: Any) -> str:
    """A function that takes the address of a table with the kernel's arguments.

    Every argument has a word of its own. The kernel's own convention: (result *,
    exception **, arguments…) -> error code, which is never set.
    """
    word = ir.IntType(64)
    kinds = {"double": ir.DoubleType(), "float": ir.FloatType()}
    kinds |= {f"i{bits}": ir.IntType(bits) for bits in (1, 8, 16, 32, 64)}
    pointer = ir.IntType(8).as_pointer()
    types_ = [kinds.get(str(a.type), pointer) for a in kernel.arguments]
    types_[:2] = [word.as_pointer(), pointer.as_pointer()]
    module = ir.Module()
    f = ir.Function(module, ir.FunctionType(ir.IntType(32), types_), kernel.name)
    run = ir.Function(module, ir.FunctionType(word, [word.as_pointer()]), RUN)
    builder = ir.IRBuilder(run.append_basic_block())
    status, exception = builder.alloca(word), builder.alloca(pointer)
    builder.store(word(0), status)
    values = []
    for k, kind in enumerate(types_[2:]):
        place = builder.gep(run.args[0], [word(k)])
        values.append(builder.load(builder.bitcast(place, kind.as_pointer())))
    builder.call(f, [status, exception, *values])
    builder.ret(builder.load(status))
    return str(module)


def compile_object(
    text: str, namespace: dict[str, Any], signature: tuple[str, ...], fastmath: bool
) -> ObjectCode:
    """The object code of a kernel's text, compiled for pointers and numbers."""
    flags = _flags(fastmath)
    cpu_ = registry.cpu_target
    cpu_.typing_context.refresh()
    cpu_.target_context.refresh()
    context = compiler._make_subtarget(cpu_.target_context, flags)
    library = context.codegen().create_library("kernel")
    made = library.create_ir_module("kernel")
    kinds = tuple(map(_numba_type, signature))
    with (
        global_compiler_lock,
        ConfigStack().enter(flags),
        context.push_code_library(library),
    ):
        unit = Unit(cpu_.typing_context, context, made, flags.fastmath.flags)
        kernel = lowered(text, namespace, kinds, unit)
        rewrite_module(made, flags.fastmath)
        module = llvm.parse_assembly(str(made))
        module.verify()
        # What Numba itself compiled for us.
        for other in dict.fromkeys(library._linking_libraries):
            module.link_in(other._get_module_for_linking(), preserve=True)
        codegen = library.codegen
        manager, builder = codegen._module_pass_manager()
        manager.run(module, builder)
        shim = _shim(module.get_function(kernel.name))
        module.link_in(llvm.parse_assembly(shim))
        _link_own(module, codegen._tm)
        code = codegen._tm.emit_object(module)
    needs = tuple(name for name in _declared(module) if not name.startswith("llvm."))
    return ObjectCode(code, kernel.name, needs)


def _declared(module: Any) -> list[str]:
    """The functions that a module names, but does not have; not those of ours, which
    it does not call."""
    return [
        f.name
        for f in module.functions
        if f.is_declaration and not numba_vectors.is_own(f.name)
    ]


def _link_own(module: Any, machine: Any) -> None:
    """Link the vector functions of ours that are called, inlined where they are."""
    needed = numba_vectors.called(str(module))
    if needed:
        for text in numba_vectors.definitions(needed):
            module.link_in(llvm.parse_assembly(text))
        passes = llvm.create_new_module_pass_manager()
        passes.add_always_inliner_pass()
        passes.add_new_gvn_pass()  # what functions of one argument share
        tuning = llvm.create_pipeline_tuning_options()
        passes.run(module, llvm.create_pass_builder(machine, tuning))
