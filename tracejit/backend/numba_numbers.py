"""Numbers of kernels as Python objects: arithmetic on them emits LLVM instructions.

Functions of `numba_polynomials` are written with them as formulas. Nothing of them is
reordered, under `fastmath` neither, or contracted but what says `fma`: what is exact on
paper is exact.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from tracejit.backend import rare_code

#: Numba marks what has no mark: all may be reordered, under `fastmath`, and nothing is
#: NaN. This mark says nothing of what is no call.
_EXACT = ("afn",)


class _Flagless(set[str]):
    """The marks of a call that gets none."""

    def add(self, flag: str) -> None:
        pass


def element(kind: Any) -> Any:
    """The type of a vector's elements; of a number, its own."""
    return kind.element if isinstance(kind, ir.VectorType) else kind


def lanes_of(kind: Any) -> int:
    """How many elements a vector has; 1 of a number."""
    return kind.count if isinstance(kind, ir.VectorType) else 1


def alike(kind: Any, other: Any) -> Any:
    """A type of numbers, as vectors of the length of another."""
    return ir.VectorType(other, kind.count) if lanes_of(kind) > 1 else other


def constant(kind: Any, value: Any) -> Any:
    """A number, or a vector of it."""
    one = ir.Constant(element(kind), value)
    return ir.Constant(kind, [one] * kind.count) if lanes_of(kind) > 1 else one


def _rounded(value: float, single: bool) -> float:
    """A number, in the precision that it will have."""
    if single and math.isfinite(value):
        (value,) = struct.unpack("f", struct.pack("f", value))
    return value


class Builder(ir.IRBuilder):
    """Emits the instructions of a function of vectors.

    `avx512`: those of AVX-512 may be among them.
    """

    def __init__(self, block: Any, avx512: bool):
        super().__init__(block)
        self.avx512 = avx512


class Word:
    """An integer as wide as the number whose bits it is."""

    def __init__(self, builder: Any, value: Any):
        self.builder, self.value = builder, value

    def _make(self, name: str, other: Word | int) -> Word:
        if isinstance(other, int):
            other = Word(self.builder, constant(self.value.type, other))
        made = getattr(self.builder, name)(self.value, other.value)
        return Word(self.builder, made)

    def __add__(self, other: Word | int) -> Word:
        return self._make("add", other)

    def __sub__(self, other: Word | int) -> Word:
        return self._make("sub", other)

    def __and__(self, other: Word | int) -> Word:
        return self._make("and_", other)

    def __or__(self, other: Word | int) -> Word:
        return self._make("or_", other)

    def __xor__(self, other: Word | int) -> Word:
        return self._make("xor", other)

    def __lshift__(self, other: int) -> Word:
        return self._make("shl", other)

    def __rshift__(self, other: int) -> Word:
        return self._make("lshr", other)

    def where(self, test: Truth, other: Word | int) -> Word:
        """This where the test holds, else the other."""
        if isinstance(other, int):
            other = Word(self.builder, constant(self.value.type, other))
        made = self.builder.select(test.value, self.value, other.value)
        return Word(self.builder, made)

    def is_odd(self) -> Truth:
        """Whether the last bit is set."""
        bit = (self & 1).value
        zero = constant(bit.type, 0)
        return Truth(self.builder, self.builder.icmp_unsigned("!=", bit, zero))

    def pick(self, numbers: Sequence[float]) -> Number:
        """Of 16 numbers, the one whose place its last four bits say."""
        kind = self.value.type
        wide = element(kind).width == 64
        real = ir.DoubleType() if wide else ir.FloatType()
        table = [ir.Constant(real, _rounded(x, single=not wide)) for x in numbers]
        size = lanes_of(kind) * element(kind).width // 8
        if getattr(self.builder, "avx512", False) and size in (32, 64):
            return Number(self.builder, self._permuted(table, size))
        return Number(self.builder, self._loaded(table))

    def _permuted(self, table: list[Any], size: int) -> Any:
        """The same by instructions that pick of one or two vectors."""
        real, count = table[0].type, lanes_of(self.value.type)
        vector = ir.VectorType(real, count)
        parts = [ir.Constant(vector, table[k : k + count]) for k in range(0, 16, count)]
        suffix = f"{'s' if isinstance(real, ir.FloatType) else 'd'}"
        if len(parts) == 1:
            return self._call(f"permvar.{suffix}f.512", vector, parts[0], self.value)
        name = f"vpermi2var.p{suffix}.{8 * size}"
        pairs = zip(parts[::2], parts[1::2], strict=True)
        found = [self._call(name, vector, a, self.value, b) for a, b in pairs]
        if len(found) == 1:
            return found[0]
        bit = (self & 8).value
        low = self.builder.icmp_unsigned("==", bit, constant(bit.type, 0))
        return self.builder.select(low, *found)

    def _call(self, name: str, kind: Any, *values: Any) -> Any:
        """An intrinsic of AVX-512."""
        f = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(kind, [v.type for v in values]),
            f"llvm.x86.avx512.{name}",
        )
        return self.builder.call(f, values)

    def _loaded(self, table: list[Any]) -> Any:
        """The same from memory, number by number."""
        builder, word = self.builder, ir.IntType(32)
        array = ir.Constant(ir.ArrayType(table[0].type, 16), table)
        place = cgutils.global_constant(builder.module, "tracejit_table", array)
        places = (self & 15).value
        count = lanes_of(places.type)
        if count == 1:
            return builder.load(builder.gep(place, [word(0), places]))
        out = ir.Constant(ir.VectorType(table[0].type, count), ir.Undefined)
        for k in range(count):
            at = builder.extract_element(places, word(k))
            number = builder.load(builder.gep(place, [word(0), at]))
            out = builder.insert_element(out, number, word(k))
        return out

    def number(self) -> Number:
        """The number that has these bits."""
        wide = element(self.value.type).width == 64
        kind = alike(self.value.type, ir.DoubleType() if wide else ir.FloatType())
        return Number(self.builder, self.builder.bitcast(self.value, kind))


class Truth:
    """What a comparison says."""

    def __init__(self, builder: Any, value: Any):
        self.builder, self.value = builder, value

    def __and__(self, other: Truth) -> Truth:
        return Truth(self.builder, self.builder.and_(self.value, other.value))

    def __or__(self, other: Truth) -> Truth:
        return Truth(self.builder, self.builder.or_(self.value, other.value))

    def __invert__(self) -> Truth:
        return Truth(self.builder, self.builder.not_(self.value))


class Number:
    """A float64 or a float32, or a vector of them, of so many bits of fraction and of
    exponent."""

    def __init__(self, builder: Any, value: Any):
        self.builder, self.value = builder, value
        self.single = isinstance(element(value.type), ir.FloatType)
        self.fraction, self.exponent = (23, 8) if self.single else (52, 11)
        self.bias = (1 << self.exponent - 1) - 1
        self.bytes = lanes_of(value.type) * (4 if self.single else 8)
        #: Whether the instructions of AVX-512 take numbers apart and scale them.
        self.avx512 = isinstance(builder, Builder) and builder.avx512
        self.avx512 &= self.bytes in (16, 32, 64)

    def of(self, value: Any) -> Number:
        """A constant of the same type; a Number is itself."""
        if isinstance(value, Number):
            return value
        value = _rounded(value, self.single)
        return Number(self.builder, constant(self.value.type, value))

    def _make(self, name: str, a: Any, b: Any) -> Number:
        emit = getattr(self.builder, name)
        made = emit(self.of(a).value, self.of(b).value, flags=_EXACT)
        return Number(self.builder, made)

    def __add__(self, other: Any) -> Number:
        return self._make("fadd", self, other)

    def __radd__(self, other: Any) -> Number:
        return self._make("fadd", other, self)

    def __sub__(self, other: Any) -> Number:
        return self._make("fsub", self, other)

    def __rsub__(self, other: Any) -> Number:
        return self._make("fsub", other, self)

    def __mul__(self, other: Any) -> Number:
        return self._make("fmul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Number:
        return self._make("fdiv", self, other)

    def __rtruediv__(self, other: Any) -> Number:
        return self._make("fdiv", other, self)

    def __neg__(self) -> Number:
        return Number(self.builder, self.builder.fneg(self.value))

    def __abs__(self) -> Number:
        return self._intrinsic("fabs")

    def _intrinsic(self, name: str, *others: Any) -> Number:
        values = [self.value, *(self.of(x).value for x in others)]
        kind = ir.FunctionType(self.value.type, [v.type for v in values])
        count = lanes_of(self.value.type)
        width = f"{'' if count == 1 else f'v{count}'}f{32 if self.single else 64}"
        symbol = f"llvm.{name}.{width}"
        f = cgutils.get_or_insert_function(self.builder.module, kind, symbol)
        call = self.builder.call(f, values)
        call.fastmath = _Flagless()
        return Number(self.builder, call)

    def fma(self, factor: Any, term: Any) -> Number:
        """self * factor + term, rounded once."""
        return self._intrinsic("fma", factor, term)

    def copysign(self, sign: Number) -> Number:
        """The magnitude of this with the sign of another."""
        return self._intrinsic("copysign", sign)

    def _compare(self, sign: str, other: Any) -> Truth:
        other = self.of(other).value
        made = self.builder.fcmp_ordered(sign, self.value, other, flags=_EXACT)
        return Truth(self.builder, made)

    def __lt__(self, other: Any) -> Truth:
        return self._compare("<", other)

    def __gt__(self, other: Any) -> Truth:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Truth:
        return self._compare(">=", other)

    def equals(self, other: Any) -> Truth:
        """Whether both are the same number."""
        return self._compare("==", other)

    def is_number(self) -> Truth:
        """Whether it is not NaN."""
        return self.equals(self)

    def where(self, test: Truth, other: Any) -> Number:
        """This where the test holds, else the other."""
        other = self.of(other).value
        return Number(self.builder, self.builder.select(test.value, self.value, other))

    def at_most(self, bound: float) -> Number:
        """The smaller of this and a constant; NaN is kept."""
        return self.of(bound).where(self > bound, self)

    def at_least(self, bound: float) -> Number:
        """The greater of this and a constant; NaN is kept."""
        return self.of(bound).where(self < bound, self)

    def unless_far(self, name: str, x: Number) -> Number:
        """This, but the C library's function of x where that is huge, as it hardly ever
        is (see `rare_code`)."""
        count = lanes_of(self.value.type)
        symbol = rare_code.symbol(name, self.single, count)
        kind = ir.FunctionType(self.value.type, [self.value.type] * 2)
        f = cgutils.get_or_insert_function(self.builder.module, kind, symbol)
        call = self.builder.call(f, [self.value, x.value])
        counts = rare_code.lanes(self.single) if count == 1 else ()
        vectors = {n: rare_code.symbol(name, self.single, n) for n in counts}
        declare_vectors(
            self.builder.module,
            call,
            {vector: (f"_ZGV_LLVM_N{n}vv", n) for n, vector in vectors.items()},
        )
        return Number(self.builder, call)

    def unless(self, test: Truth, make: Callable[[], Number]) -> Number:
        """This, but where the test holds what `make` gives, which is computed only
        where the test holds for some element."""
        builder, count = self.builder, lanes_of(self.value.type)
        some = test.value
        if count > 1:
            mask = builder.bitcast(some, ir.IntType(count))
            some = builder.icmp_unsigned("!=", mask, mask.type(0))
        before = builder.block
        with builder.if_then(some, likely=False):
            made = make().where(test, self).value
            inside = builder.block
        out = builder.phi(made.type)
        out.add_incoming(self.value, before)
        out.add_incoming(made, inside)
        return Number(builder, out)

    def rint(self) -> Number:
        """The integer next to it."""
        return self._intrinsic("rint")

    def sqrt(self) -> Number:
        """The square root."""
        return self._intrinsic("sqrt")

    def widened(self) -> Number:
        """The same number as a float64."""
        if not self.single:
            return self
        kind = alike(self.value.type, ir.DoubleType())
        return Number(self.builder, self.builder.fpext(self.value, kind))

    def narrowed(self, like: Number) -> Number:
        """The number in the precision of another."""
        if self.single or not like.single:
            return self
        return Number(self.builder, self.builder.fptrunc(self.value, like.value.type))

    def bits(self) -> Word:
        """How the number is stored."""
        kind = alike(self.value.type, ir.IntType(32 if self.single else 64))
        return Word(self.builder, self.builder.bitcast(self.value, kind))

    def rounded(self, factor: float = 1.0) -> tuple[Number, Word]:
        """The integer next to self * factor, as a number and in a word's last bits.

        The factor is rounded, the product is not. Integers up to 2 ** (fraction - 2).
        """
        magic = 1.5 * 2.0**self.fraction
        shifted = self.fma(factor, magic)
        return shifted - magic, shifted.bits()

    def _avx512(self, name: str, *others: Any) -> Number:
        """An instruction that looks at all elements and rounds as usual."""
        flag, zero = ir.IntType(32), ir.Constant(self.value.type, ir.Undefined)
        mask = ir.IntType(max(8, lanes_of(self.value.type)))
        values = [self.value, *(getattr(x, "value", x) for x in others)]
        values += [zero, mask(-1)]
        values += [flag(4)] if self.bytes == 64 else []
        kind = ir.FunctionType(self.value.type, [v.type for v in values])
        suffix = f"{'ps' if self.single else 'pd'}.{8 * self.bytes}"
        symbol = f"llvm.x86.avx512.mask.{name}.{suffix}"
        f = cgutils.get_or_insert_function(self.builder.module, kind, symbol)
        call = self.builder.call(f, values)
        call.fastmath = _Flagless()
        return Number(self.builder, call)

    def scaled(self, k: Number) -> Number:
        """self * 2 ** k for integers k, rounded once but where it is subnormal."""
        if self.avx512:
            return self._avx512("scalef", k)
        # By two factors, as one may be too large or too small.
        half, _ = k.rounded(0.5)
        return self * half.power_of_two() * (k - half).power_of_two()

    def taken_apart(self) -> tuple[Number, Number]:
        """e and m, for self = m 2 ** e and 1 ≤ m < 2, of a machine with AVX-512.

        Of 0 and infinity, e is infinite and m is 1; of negative numbers, m is NaN.
        """
        way = ir.Constant(ir.IntType(32), 12)  # NaN below 0, but 1 of -0
        return self._avx512("getexp"), self._avx512("getmant", way)

    def power_of_two(self) -> Number:
        """2 ** self, of an integer between the least and greatest normal exponents."""
        if self.avx512:
            return self.of(1.0).scaled(self)
        shifted = self + (1.5 * 2.0**self.fraction + self.bias)
        return (shifted.bits() << self.fraction).number()

    def polynomial(self, coefficients: Sequence[Any]) -> Number:
        """Σ c[k] self ** k, by pairs of pairs, so that terms need not wait."""
        terms: list[Any] = list(coefficients)
        power = self
        while len(terms) > 1:
            pairs = zip(terms[::2], terms[1::2], strict=False)
            merged = [power.fma(b, a) for a, b in pairs]
            terms = merged + terms[2 * len(merged) :]
            power = power * power if len(terms) > 1 else power
        return self.of(terms[0])

    def near(self, place: Word, table: Sequence[float]) -> Number:
        """A polynomial of this, one of 16, whose coefficients a table has power by
        power. The first is added last, so that it is rounded once."""
        rows = [table[k : k + 16] for k in range(0, len(table), 16)]
        first, *others = (place.pick(row) for row in rows)
        return self.fma(self.polynomial(others), first)


# Vector functions ---------------------------------------------------------------------

_USED = "llvm.compiler.used"
#: What holds of functions of numbers.
PURE = ("nounwind", "willreturn", "memory(none)")


def declare_vectors(
    module: Any, call: Any, vectors: Mapping[str, tuple[str, int]]
) -> None:
    """Tell LLVM's vectoriser what stands for a call of a scalar function.

    `vectors`: name → (mark, lanes). They are declared, and kept alive until it runs.
    """
    # llvmlite's `add` refuses attributes that it does not know.
    attributes = [*PURE]
    if vectors:
        symbol = call.callee.name
        names = ",".join(f"{mark}_{symbol}({v})" for v, (mark, _) in vectors.items())
        attributes.append(f'"vector-function-abi-variant"="{names}"')
    set.update(call.attributes, attributes)
    for name, (_, lanes) in vectors.items():
        wide = ir.VectorType(call.type, lanes)
        _keep(module, name, ir.FunctionType(wide, [wide] * len(call.args)))


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
