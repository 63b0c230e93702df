"""Kernels and their helpers as LLVM instructions, straight from the syntax tree.

What operations mean is Numba's: the types of their results and the code for each come
from its tables. What Numba does on its way there, by bytecode, control-flow graphs and
inference to a fixpoint, is for any Python; it took most of the time to compile. Our
text is simpler: a name has one type, loops run over ranges. A name that is assigned
once is the value itself, others are memory that LLVM turns into registers.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial, reduce
from types import FunctionType
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from tracejit.backend.names import DTYPES
from tracejit.backend.numba_scopes import (
    Part,
    copied_names,
    is_large,
    parts,
    reads_in,
    variables,
    waits,
)
from tracejit.backend.numba_threads import THREADS, run_parts
from tracejit.backend.numba_values import UNARY, WORD, Arithmetic, Unit, Value
from tracejit.base.errors import InternalError

#: Operators of which both sides of a condition may be computed: none can fail.
HARMLESS = (ast.Add, ast.Sub, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)
HARMLESS_IF_UNREAD = (*HARMLESS, ast.LShift, ast.RShift)


class Targets(NamedTuple):
    """Where `continue` and `break` lead."""

    again: ir.Block
    after: ir.Block


def two_at_once(module: ir.Module) -> ir.MDValue:
    """What tells LLVM to run two vectors of rounds of a loop at once.

    By the registers that it takes LLVM would run one, and wait for every result.
    """
    name, count = "llvm.loop.interleave.count", ir.Constant(ir.IntType(32), 2)
    way = module.add_metadata([ir.MetaDataString(module, name), count])
    made = ir.MDValue(module, (way,), name=str(len(module.metadata)))
    made.operands = made, way  # loops are told apart by such references
    return made


class Lowering(Arithmetic):
    """One function, by Numba's convention: (result *, exception **, arguments…) -> 0.

    A helper's result is stored behind a pointer without a type: its type is only known
    when the function is done.
    """

    def __init__(
        self,
        unit: Unit,
        tree: ast.FunctionDef,
        namespace: Mapping[str, Any],
        name: str,
        kinds: Sequence[Any],
        result: Any,
    ):
        super().__init__(unit)
        self.namespace = namespace
        convention = self.context.call_conv
        shape = convention.get_function_type(result, kinds)
        self.function = ir.Function(unit.module, shape, name)
        names = [a.arg for a in tree.args.args]
        is_kernel = result is not types.voidptr
        convention.decorate_function(self.function, names, kinds, noalias=is_kernel)
        self.function.attributes.add("nounwind")
        if not is_kernel:
            self.function.linkage = "internal"
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        #: What is returned, if there is something.
        self.result: Any = types.int64 if is_kernel else types.none
        self.values: dict[str, Value] = {}
        self.places: dict[str, Value] = {}
        self.variables = variables(tree)
        #: Of a kernel that is taken apart: how often each name is read in it, and the
        #: names that may be of the same memory.
        self.reads: Counter[str] | None = None
        if is_kernel and is_large(tree):
            self.reads, self.copied = reads_in(tree.body), copied_names(tree)
        self.loops: list[Targets] = []
        packer = self.context.get_arg_packer(kinds)
        given = packer.from_arguments(
            self.builder, convention.get_arguments(self.function)
        )
        for argument, kind, value in zip(names, kinds, given, strict=True):
            self.bind(argument, Value(kind, value))
        start = self.function.append_basic_block("start")
        entry = self.builder.block
        self.builder.position_at_end(start)
        self.block(tree.body)
        if not self.builder.block.is_terminated:
            self.builder.ret(ir.IntType(32)(0))
        ir.IRBuilder(entry).branch(start)

    # Names ----------------------------------------------------------------------------

    def bind(self, name: str, value: Value) -> None:
        """A name's value, from here on."""
        if name not in self.variables:
            self.values[name] = value._replace(const=None)
            return
        if name not in self.places:
            llvm = self.context.get_value_type(value.type)
            with self.builder.goto_entry_block():
                place = self.builder.alloca(llvm, name=name)
            self.places[name] = Value(value.type, place)
        kind, place, _ = self.places[name]
        if self.common(kind, value.type) != kind:
            raise InternalError(f"{name} is {kind}, then {value.type}")
        self.builder.store(self.cast(value, kind).llvm, place)

    def name(self, node: ast.Name) -> Any:
        if node.id in self.values:
            return self.values[node.id]
        if node.id in self.places:
            kind, place, _ = self.places[node.id]
            return Value(kind, self.builder.load(place))
        found = self.namespace.get(node.id)
        return self.known(vars(builtins)[node.id] if found is None else found)

    # Statements -----------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt]) -> None:
        reads = self.reads
        for statement in body if reads is None else parts(body, reads):
            getattr(self, "do_" + type(statement).__name__.lower())(statement)
            if self.builder.block.is_terminated:
                return

    def do_part(self, part: Part) -> None:
        """Statements as a function of their own, which is not put back in place."""
        bound = self.values.keys() | self.places.keys()
        inputs = [ast.Name(n, ast.Load()) for n in sorted(part.inputs & bound)]
        args = [self.name(node) for node in inputs]
        results: list[ast.expr] = [ast.Name(n, ast.Load()) for n in part.outputs]
        body = [*part.body, ast.Return(ast.Tuple(results))] if results else part.body
        tree = function_of([node.id for node in inputs], body)
        name = f"{self.function.name}.{len(self.unit.module.functions)}"
        kinds = tuple(a.type for a in args)
        lowering = Lowering(self.unit, tree, self.namespace, name, kinds, types.voidptr)
        lowering.function.attributes.add("noinline")
        given = self.context.call_conv.get_arguments(lowering.function)
        shared = self.copied.union(part.outputs)
        for node, kind, argument in zip(inputs, kinds, given, strict=True):
            if isinstance(kind, types.CPointer) and node.id not in shared:
                argument.add_attribute("noalias")
                argument.add_attribute("captures(none)")
        value = self.called((lowering.function, lowering.result), args)
        for k, output in enumerate(part.outputs):
            self.bind(output, self.part(value, k))

    def do_assign(self, node: ast.Assign) -> None:
        (target,) = node.targets
        pairs = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
        if pairs:
            values = [self.value(e) for e in node.value.elts]  # type: ignore[attr-defined]
            for place, value in zip(target.elts, values, strict=True):  # type: ignore[attr-defined]
                self.assign(place, value)
        else:
            self.assign(target, self.value(node.value))

    def assign(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.bind(target.id, value)
        elif isinstance(target, ast.Tuple):
            for k, place in enumerate(target.elts):
                self.assign(place, self.part(value, k))
        else:
            assert isinstance(target, ast.Subscript)
            self.stored(value, *self.element(target))

    def do_augassign(self, node: ast.AugAssign) -> None:
        target, value = node.target, self.value(node.value)
        if isinstance(target, ast.Name):
            self.bind(target.id, self.binary(type(node.op), self.name(target), value))
            return
        assert isinstance(target, ast.Subscript)
        kind, place = self.element(target)
        old = self.loaded(kind, place)
        self.stored(self.binary(type(node.op), old, value), kind, place)

    def do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.value(node.value)

    def do_pass(self, node: ast.Pass) -> None:
        pass

    def do_return(self, node: ast.Return) -> None:
        if node.value is not None:
            value, (place, _) = self.value(node.value), self.function.args[:2]
            if self.result is types.none:
                self.result = value.type
            value = self.cast(value, self.result)
            place = self.builder.bitcast(place, value.llvm.type.as_pointer())
            self.builder.store(value.llvm, place)
        self.builder.ret(ir.IntType(32)(0))

    def do_break(self, node: ast.Break) -> None:
        self.builder.branch(self.loops[-1].after)

    def do_continue(self, node: ast.Continue) -> None:
        self.builder.branch(self.loops[-1].again)

    def do_if(self, node: ast.If) -> None:
        test = self.truth(node.test)
        then = self.function.append_basic_block("then")
        after = ir.Block(self.function, "next")
        otherwise = self.function.append_basic_block("else") if node.orelse else after
        self.builder.cbranch(test, then, otherwise)
        for block, body in ((then, node.body), (otherwise, node.orelse)):
            if block is not after:
                self.builder.position_at_end(block)
                self.block(body)
                if not self.builder.block.is_terminated:
                    self.builder.branch(after)
        self.go_on(after)

    def go_on(self, block: ir.Block) -> None:
        """Continue in a block that could not be put behind the others before."""
        self.function.blocks.append(block)
        self.builder.position_at_end(block)

    def do_while(self, node: ast.While) -> None:
        head = self.function.append_basic_block("while")
        after = ir.Block(self.function, "next")
        self.builder.branch(head)
        self.builder.position_at_end(head)
        if not (isinstance(node.test, ast.Constant) and node.test.value is True):
            inside = self.function.append_basic_block("do")
            self.builder.cbranch(self.truth(node.test), inside, after)
            self.builder.position_at_end(inside)
        self.rounds(node.body, Targets(head, after))
        self.go_on(after)

    def rounds(self, body: Sequence[ast.stmt], targets: Targets) -> None:
        """The body of a loop, up to its next round."""
        self.loops.append(targets)
        self.block(body)
        self.loops.pop()
        if not self.builder.block.is_terminated:
            self.builder.branch(targets.again)

    def do_for(self, node: ast.For) -> None:
        """Tested at its end, and once before: no round that is not run is begun."""
        assert isinstance(node.iter, ast.Call) and isinstance(node.target, ast.Name)
        lo, step, runs = self.range(node.iter.args)
        builder, before = self.builder, self.builder.block
        body = self.function.append_basic_block("for")
        after = ir.Block(self.function, "next")
        builder.cbranch(runs(lo), body, after)
        builder.position_at_end(body)
        index = builder.phi(WORD, node.target.id)
        index.add_incoming(lo, before)
        self.bind(node.target.id, Value(types.int64, index))
        again = ir.Block(self.function, "again")
        self.rounds(node.body, Targets(again, after))
        self.go_on(again)
        following = builder.add(index, step, flags=("nsw",))
        index.add_incoming(following, again)
        last = builder.cbranch(runs(following), body, after)
        if waits(node.body):
            last.set_metadata("llvm.loop", two_at_once(builder.module))
        self.go_on(after)

    def range(self, args: Sequence[ast.expr]) -> Any:
        """Where a range begins, its step, and whether an index is in it."""
        bounds = [self.cast(self.value(a), types.int64) for a in args]
        if len(bounds) == 1:
            bounds.insert(0, self.known(0))
        if len(bounds) == 2:
            bounds.append(self.known(1))
        lo, hi, step = bounds
        builder = self.builder
        if step.const is not None:
            sign = "<" if step.const > 0 else ">"
            return (
                *(lo.llvm, step.llvm),
                lambda index: builder.icmp_signed(sign, index, hi.llvm),
            )
        upwards = builder.icmp_signed(">", step.llvm, WORD(0))

        def runs(index: Any) -> Any:
            below = builder.icmp_signed("<", index, hi.llvm)
            above = builder.icmp_signed(">", index, hi.llvm)
            return builder.select(upwards, below, above)

        return lo.llvm, step.llvm, runs

    # Expressions ----------------------------------------------------------------------

    def value(self, node: ast.expr) -> Any:
        return getattr(self, "of_" + type(node).__name__.lower())(node)

    def of_name(self, node: ast.Name) -> Any:
        return self.name(node)

    def of_constant(self, node: ast.Constant) -> Any:
        return self.known(node.value)

    def of_tuple(self, node: ast.Tuple) -> Value:
        values = [self.value(e) for e in node.elts]
        kind = types.Tuple([v.type for v in values])
        made = self.context.make_tuple(self.builder, kind, [v.llvm for v in values])
        return Value(kind, made)

    def of_subscript(self, node: ast.Subscript) -> Value:
        if isinstance(node.value, ast.Call):  # f(x)[1]
            return self.part(self.value(node.value), ast.literal_eval(node.slice))
        return self.loaded(*self.element(node))

    def element(self, node: ast.Subscript) -> tuple[Any, Any]:
        """The type of an element and where it is."""
        array = self.value(node.value)
        index = self.cast(self.value(node.slice), types.int64)
        place = self.builder.gep(array.llvm, [index.llvm])
        return array.type.dtype, place

    def of_attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        if not isinstance(owner, Value):
            return self.known(getattr(owner, node.attr))
        return self.attribute(owner, node.attr)

    def of_unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return Value(types.boolean, self.builder.not_(self.as_truth(value)))
        if isinstance(node.op, ast.USub):
            if value.const is not None:
                return self.known(-value.const)
            if isinstance(value.type, types.Float):
                return Value(value.type, self.builder.fneg(value.llvm))
        return self.apply(UNARY[type(node.op)], [value])

    def of_binop(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        return self.binary(type(node.op), left, right)

    def of_compare(self, node: ast.Compare) -> Value:
        left, tests = self.value(node.left), []
        (first, *_), combine = node.ops, self.builder.and_
        if isinstance(first, ast.In):
            assert isinstance(node.comparators[0], ast.Tuple)
            among = map(self.value, node.comparators[0].elts)
            tests = [self.compared(ast.Eq, left, each) for each in among]
            combine = self.builder.or_
        else:
            for op, right_node in zip(node.ops, node.comparators, strict=True):
                right = self.value(right_node)
                tests.append(self.compared(type(op), left, right))
                left = right
        return Value(types.boolean, reduce(combine, tests))

    def truth(self, node: ast.expr) -> Any:
        return self.as_truth(self.value(node))

    def of_boolop(self, node: ast.BoolOp) -> Value:
        """`a and b`: a branch where b must not be computed before a is known."""
        both = isinstance(node.op, ast.And)
        found = self.truth(node.values[0])
        for other in node.values[1:]:
            if harmless(other, HARMLESS):
                combine = self.builder.and_ if both else self.builder.or_
                found = combine(found, self.truth(other))
                continue
            shortcut, start = ir.IntType(1)(not both), self.builder.block
            more = self.function.append_basic_block("and" if both else "or")
            after = ir.Block(self.function, "next")
            targets = (more, after) if both else (after, more)
            self.builder.cbranch(found, *targets)
            self.builder.position_at_end(more)
            test, end = self.truth(other), self.builder.block
            self.builder.branch(after)
            self.go_on(after)
            found = self.builder.phi(ir.IntType(1))
            found.add_incoming(shortcut, start)
            found.add_incoming(test, end)
        return Value(types.boolean, found)

    def of_ifexp(self, node: ast.IfExp) -> Value:
        test = self.truth(node.test)
        sides = (node.body, node.orelse)
        if all(harmless(side, HARMLESS_IF_UNREAD) for side in sides):
            a, b = (self.value(side) for side in sides)
            kind = self.common(a.type, b.type)
            a, b = self.cast(a, kind), self.cast(b, kind)
            return Value(kind, self.builder.select(test, a.llvm, b.llvm))
        return self.branches(test, sides)

    def branches(self, test: Any, sides: tuple[ast.expr, ast.expr]) -> Value:
        """One of two values, the other of which is not computed."""
        builder = self.builder
        then, other = map(self.function.append_basic_block, ("then", "else"))
        after = ir.Block(self.function, "next")
        builder.cbranch(test, then, other)
        values, ends = [], []
        for block, side in zip((then, other), sides, strict=True):
            builder.position_at_end(block)
            values.append(self.value(side))
            ends.append(builder.block)
        kind = self.common(*[v.type for v in values])
        incoming = []
        for end, value in zip(ends, values, strict=True):
            builder.position_at_end(end)
            incoming.append((self.cast(value, kind).llvm, builder.block))
            builder.branch(after)
        self.go_on(after)
        found = builder.phi(self.context.get_value_type(kind))
        for value, block in incoming:
            found.add_incoming(value, block)
        return Value(kind, found)

    # Calls ----------------------------------------------------------------------------

    def of_call(self, node: ast.Call) -> Any:
        args = [self.value(a) for a in node.args]
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value)
            if isinstance(owner, Value):  # z.conjugate()
                return self.method(owner, node.func.attr)
            return self.call(getattr(owner, node.func.attr), args)
        return self.call(self.value(node.func), args)

    def call(self, function: Any, args: list[Any]) -> Value:
        if isinstance(function, FunctionType):
            return self.call_helper(function, args)
        if function is THREADS:
            return self.call_threads(*args)
        if function in (min, max):
            return reduce(partial(self.extremum, function), args)
        return self.apply(function, args)

    def call_threads(
        self, part: ast.FunctionDef, parts: Value, threads: Value, *args: Value
    ) -> Value:
        """A function of the text, called for every part of a loop by threads."""
        kinds = (types.int64, *(a.type for a in args))
        name = f"{self.function.name}.{part.name}"
        called = Lowering(self.unit, part, self.namespace, name, kinds, types.int64)
        called.function.linkage = "internal"
        status = run_parts(self, called.function, parts, threads, args)
        return Value(types.int64, status)

    def call_helper(self, function: FunctionType, args: Sequence[Value]) -> Value:
        kinds = tuple(a.type for a in args)
        return self.called(helper(self.unit, function, kinds), args)

    def called(self, made: tuple[Any, Any], args: Sequence[Value]) -> Value:
        """What a function of ours returns; it comes with the type of its result."""
        callee, kind = made
        builder = self.builder
        room = ir.IntType(8).as_pointer()(None)
        if kind is not types.none:
            place = cgutils.alloca_once(builder, self.context.get_value_type(kind))
            room = builder.bitcast(place, room.type)
        kinds = tuple(a.type for a in args)
        packed = self.context.get_arg_packer(kinds).as_arguments(
            builder, [a.llvm for a in args]
        )
        result, exception = (a.type for a in callee.args[:2])
        room = builder.bitcast(room, result)
        builder.call(callee, [room, exception(None), *packed])
        if kind is types.none:
            return Value(kind, self.context.get_dummy_value())
        return Value(kind, builder.load(place))


def helper(unit: Unit, f: FunctionType, kinds: tuple[Any, ...]) -> Any:
    """A Python function of ours for these types: the LLVM function, and the type of
    its result."""
    key = f, kinds
    if key not in unit.helpers:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(f))).body
        assert isinstance(tree, ast.FunctionDef)
        name = f"{f.__name__}.{len(unit.helpers)}"
        lowering = Lowering(unit, tree, f.__globals__, name, kinds, types.voidptr)
        unit.helpers[key] = lowering.function, lowering.result
    return unit.helpers[key]


def function_of(names: Sequence[str], body: list[ast.stmt]) -> ast.FunctionDef:
    """A function of these arguments."""
    arguments = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])
    return ast.FunctionDef("part", arguments, body, [])


def harmless(node: ast.expr, operators: tuple[type, ...]) -> bool:
    """Whether an expression can be computed though nobody asks for it."""
    for part in ast.walk(node):
        if isinstance(part, ast.BinOp) and not isinstance(part.op, operators):
            return False
        if isinstance(part, ast.Call):
            name = getattr(part.func, "id", None)
            if name not in DTYPES:
                return False
        if isinstance(part, ast.Subscript | ast.BoolOp | ast.IfExp | ast.Attribute):
            return False
    return True


def lowered(
    text: str, namespace: Mapping[str, Any], kinds: Sequence[Any], unit: Unit
) -> ir.Function:
    """The LLVM function of a kernel's text, with its helpers beside it."""
    *parts, tree = ast.parse(text).body
    assert isinstance(tree, ast.FunctionDef)
    namespace = {**namespace, **{part.name: part for part in parts}}  # type: ignore[attr-defined]
    name = f"tracejit_kernel_{tree.name}"
    return Lowering(unit, tree, namespace, name, kinds, types.int64).function
