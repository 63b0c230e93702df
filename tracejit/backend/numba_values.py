"""What can be done with values of LLVM whose Numba types are known.

What operations mean is Numba's: the types of their results and the code for each come
from its tables. The most frequent ones are written down here, as Numba has them.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import _Intrinsic

from tracejit.base.errors import InternalError

WORD = ir.IntType(64)
BINARY: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
UNARY: dict[type, Any] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
COMPARED: dict[type, tuple[str, Any]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
}
#: Arithmetic that is one instruction: of int64, and of floats.
INTEGERS = {operator.add: "add", operator.sub: "sub", operator.mul: "mul"}
FLOATS = {
    operator.add: "fadd",
    operator.sub: "fsub",
    operator.mul: "fmul",
    operator.truediv: "fdiv",
}


class Value(NamedTuple):
    """A value and its Numba type; `const` where the text states the number."""

    type: Any
    llvm: Any
    const: Any = None


class Unit:
    """What the functions of one module share."""

    def __init__(self, typing: Any, context: Any, module: ir.Module, flags: Any):
        self.typing, self.context, self.module = typing, context, module
        self.flags = tuple(flags)
        self.known: dict[Any, Any] = {}
        self.helpers: dict[Any, tuple[ir.Function, Any]] = {}

    def resolved(self, function: Any, kinds: tuple[Any, ...]) -> tuple[Any, Any]:
        """A function's signature for these types, and its implementation."""
        key = function, kinds
        if key not in self.known:
            kind = self.typing.resolve_value_type(function)
            signature = self.typing.resolve_function_type(kind, kinds, {})
            if signature is None:
                raise InternalError(f"nothing is known of {function} for {kinds}")
            self.known[key] = signature, self.context.get_function(kind, signature)
        found: tuple[Any, Any] = self.known[key]
        return found


class Arithmetic:
    """Emits operations where its builder stands."""

    builder: ir.IRBuilder

    def __init__(self, unit: Unit):
        self.unit, self.context = unit, unit.context

    # Types ----------------------------------------------------------------------------

    def known(self, thing: Any) -> Any:
        """A number as a value, other things of the outside as they are."""
        if isinstance(thing, bool):
            return Value(types.boolean, ir.IntType(1)(thing), thing)
        if isinstance(thing, int):
            kind = types.int64 if thing < 1 << 63 else types.uint64
            return Value(kind, WORD(thing), thing)
        if isinstance(thing, float):
            return Value(types.float64, ir.DoubleType()(float(thing)), thing)
        return thing

    def common(self, a: Any, b: Any) -> Any:
        """The type that values of two types have in common."""
        kind = self.unit.typing.unify_types(a, b)
        if kind is None:
            raise InternalError(f"{a} and {b} have no common type")
        return kind

    def cast(self, value: Value, kind: Any) -> Value:
        """A value as one of another type, as Numba converts them."""
        if value.type == kind:
            return value
        const = value.const if isinstance(kind, types.Integer) else None
        if const is not None and isinstance(value.type, types.Integer):
            return Value(kind, self.context.get_value_type(kind)(const), const)
        llvm = self.context.cast(self.builder, value.llvm, value.type, kind)
        return Value(kind, llvm)

    def as_truth(self, value: Value) -> Any:
        """Whether it is not zero, as a bit."""
        return self.cast(value, types.boolean).llvm

    # Operators ------------------------------------------------------------------------

    def binary(self, kind: type, a: Value, b: Value) -> Value:
        """An operator on two numbers: an instruction, if they are of one type."""
        function = BINARY[kind]
        if a.type == b.type == types.int64 and function in INTEGERS:
            emit = getattr(self.builder, INTEGERS[function])
            return Value(a.type, emit(a.llvm, b.llvm))
        a, b = self.same_floats(a, b)
        if a.type == b.type and isinstance(a.type, types.Float) and function in FLOATS:
            emit = getattr(self.builder, FLOATS[function])
            return Value(a.type, emit(a.llvm, b.llvm, flags=self.unit.flags))
        if function is operator.pow and isinstance(b.const, int):
            return self.power(a, b)
        return self.apply(function, [a, b])

    def same_floats(self, a: Value, b: Value) -> tuple[Value, Value]:
        """What is computed with two floats is as wide as the wider one."""
        if isinstance(a.type, types.Float) and isinstance(b.type, types.Float):
            kind = max(a.type, b.type, key=lambda t: t.bitwidth)
            return self.cast(a, kind), self.cast(b, kind)
        return a, b

    def power(self, base: Value, exponent: Value) -> Value:
        """A power that the text states, by repeated squaring."""
        signature, _ = self.unit.resolved(operator.pow, (base.type, exponent.type))
        kind, n = signature.return_type, exponent.const
        if kind != base.type or (n < 0 and not isinstance(kind, types.Float)):
            return self.apply(operator.pow, [base, exponent])
        out, rest = None, abs(n)
        square = base
        while rest:
            if rest & 1:
                out = square if out is None else self.binary(ast.Mult, out, square)
            rest >>= 1
            if rest:
                square = self.binary(ast.Mult, square, square)
        if out is None:
            return self.cast(self.known(1), kind)
        one = self.cast(self.known(1), kind)
        return out if n > 0 else self.binary(ast.Div, one, out)

    def compared(self, kind: type, a: Value, b: Value) -> Any:
        """A comparison of two numbers, as a bit."""
        sign, function = COMPARED[kind]
        a, b = self.same_floats(a, b)
        if a.type == b.type and isinstance(a.type, types.Float):
            # NaN differs from everything, itself included.
            how = "fcmp_unordered" if sign == "!=" else "fcmp_ordered"
            emit = getattr(self.builder, how)
            return emit(sign, a.llvm, b.llvm, flags=self.unit.flags)
        if a.type == b.type == types.int64:
            return self.builder.icmp_signed(sign, a.llvm, b.llvm)
        return self.apply(function, [a, b]).llvm

    def extremum(self, function: Any, a: Value, b: Value) -> Value:
        """As in Python: the first, unless the second is beyond it."""
        kind = self.common(a.type, b.type)
        a, b = self.cast(a, kind), self.cast(b, kind)
        beyond = self.compared(ast.Gt if function is max else ast.Lt, b, a)
        return Value(kind, self.builder.select(beyond, b.llvm, a.llvm))

    def apply(self, function: Any, args: Sequence[Value]) -> Value:
        """An operation as Numba implements it for these types."""
        stated = isinstance(function, _Intrinsic) and function._prefer_literal
        kinds = tuple(
            types.literal(a.const) if stated and type(a.const) is int else a.type
            for a in args
        )
        signature, emit = self.unit.resolved(function, kinds)
        values = [
            a.llvm if stated else self.cast(a, kind).llvm
            for a, kind in zip(args, signature.args, strict=True)
        ]
        return Value(signature.return_type, emit(self.builder, values))

    # Memory and parts -----------------------------------------------------------------

    def stored(self, value: Value, kind: Any, place: Any) -> None:
        """Store a value where there is one of a type."""
        llvm = self.cast(value, kind).llvm
        data = self.context.get_value_as_data(self.builder, kind, llvm)
        self.builder.store(data, place)

    def loaded(self, kind: Any, place: Any) -> Value:
        data = self.builder.load(place)
        return Value(kind, self.context.get_data_as_value(self.builder, kind, data))

    def part(self, value: Value, k: int) -> Value:
        """An element of a tuple."""
        return Value(value.type[k], self.builder.extract_value(value.llvm, k))

    def attribute(self, owner: Value, name: str) -> Value:
        """`z.real`"""
        kind = self.unit.typing.resolve_getattr(owner.type, name)
        get = self.context.get_getattr(owner.type, name)
        llvm = get(self.context, self.builder, owner.type, owner.llvm, name)
        return Value(kind, llvm)

    def method(self, owner: Value, name: str) -> Value:
        """`z.conjugate()`"""
        kind = self.unit.typing.resolve_getattr(owner.type, name)
        signature = self.unit.typing.resolve_function_type(kind, (), {})
        emit = self.context.get_function(kind, signature)
        return Value(signature.return_type, emit(self.builder, [owner.llvm]))
