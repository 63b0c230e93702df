"""A kernel as Python source.

The text runs un-jitted on flat NumPy arrays, too. It holds no size: every extent and
every computed number is an argument, so that the text, and with it the compiled code,
is the same for all of them. Its arguments: the Program's inputs, its results, the
temporaries, then integers and floats in order of first use. It returns 0, or the number
of the check that failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.backend.names import Names, number
from tracejit.base.source import SrcLoc
from tracejit.ir.aval import expr_of
from tracejit.ir.primitive import REGISTRY, Elementwise
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.optimize.nest import (
    SMALL,
    Accumulate,
    Affine,
    Buffer,
    Call,
    Check,
    Grow,
    If,
    Index,
    Kernel,
    Let,
    Load,
    Loop,
    Node,
    Parallel,
    Reset,
    Rotate,
    Size,
    Store,
    While,
    is_local,
    size_of,
)
from tracejit.optimize.walks import assigned, buffers_of, common_buffers, everything

#: From this cost on an operation is worth vectors, wherever its operands lie.
DEAR = 5
INDENT = "    "
#: Register reductions whose order is free, by helpers that tell LLVM so.
REASSOCIABLE = {
    "add": "_tj_add",
    "mul": "_tj_mul",
    "maximum": "_tj_max",
    "minimum": "_tj_min",
}


@dataclass
class Source:
    """The text of a kernel and what its arguments are, in order.

    An argument is a Buffer, a Var (a scalar input), a Size or a Literal.
    """

    name: str
    text: str
    arguments: list[Any]
    kernel: Kernel
    key: str = field(default="")
    #: Memory of the kernel's own, which grows.
    tapes: list[Buffer] = field(default_factory=list)

    @property
    def signature(self) -> tuple[str, ...]:
        """The types of the arguments: a dtype's name, with a star for a pointer."""
        return tuple(map(type_of, self.arguments))


def type_of(argument: Any) -> str:
    if isinstance(argument, Size):
        return "int64"
    name = argument.aval.dtype.name
    if not isinstance(argument, Buffer) and argument.aval.dtype.kind != "c":
        return name
    return "uint8*" if name == "bool" else name + "*"


def write(kernel: Kernel) -> Source:
    """The source of a kernel."""
    return Writer(kernel).source()


class Writer:
    """Writes nodes as indented lines; comments are kept apart from the code."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.names = Names()
        self.lines: list[str] = []
        self.depth = 1
        self.extra: dict[Any, Any] = {}
        self.temporaries: dict[Buffer, None] = {}
        #: Temporaries that are the kernel's own, or the function's that runs a part.
        self.locals: dict[Buffer, None] = {}
        #: Tapes of the function being written.
        self.tapes: list[Buffer] = []
        #: The names that the function being written mentions.
        self.mentioned: dict[str, None] = {}
        #: The texts of the functions that run parts of loops.
        self.parts: dict[str, str] = {}
        self.common = common_buffers(kernel.body)
        self.loc: SrcLoc | None = None
        #: The index of the innermost loop, if it is better in vectors.
        self.along: Var | None = None

    def source(self) -> Source:
        kernel = self.kernel
        name = self.names.fresh(kernel.name)
        for param in kernel.params:
            self.name(param)
        headings = self.load_complex()
        for result in kernel.results:
            self.names(result, result.hint or "out")
        self.function(self.common, kernel.body)
        arguments = [*kernel.params, *dict.fromkeys(kernel.results)]
        arguments += [b for b in self.temporaries if b not in arguments]
        arguments += self.extra.values()
        heading = ", ".join(headings.get(a) or self.name(a) for a in arguments)
        lines = [*self.parts.values(), f"def {name}({heading}):", *self.lines, ""]
        source = Source(name, "\n".join(lines), arguments, kernel)
        source.tapes = [
            b for b in buffers_of(everything(kernel.body)) if b.role == "tape"
        ]
        source.key = digest(self.code(heading), *source.signature)
        return source

    def function(self, buffers: Collection[Buffer], nodes: Sequence[Node]) -> None:
        """Write the lines of a function, whose own are what `buffers` holds of tapes
        and of what is on the stack."""
        self.tapes = [b for b in buffers if b.role == "tape"]
        self.block(nodes)
        self.free_tapes()
        self.line("return 0")
        mine = [b for b in self.locals if b in buffers]
        self.lines = [*self.local_lines(mine), *self.tape_lines(), *self.lines]

    def code(self, heading: str) -> str:
        """The text without comments, which name files and lines."""
        lines = [ln for text in self.parts.values() for ln in text.splitlines()]
        lines += [heading, *self.lines]
        return "\n".join(ln for ln in lines if not ln.lstrip().startswith("#"))

    def load_complex(self) -> dict[Any, str]:
        """Complex numbers come by address: load them. Their addresses' names."""
        headings = {}
        for param in self.kernel.params:
            if not isinstance(param, Buffer) and param.aval.dtype.kind == "c":
                headings[param] = self.names.fresh(f"{self.name(param)}_at")
                self.line(f"{self.name(param)} = {headings[param]}[0]")
        return headings

    # Pieces -------------------------------------------------------------------------

    def line(self, text: str) -> None:
        self.lines.append(INDENT * self.depth + text)

    def comment(self, loc: SrcLoc) -> None:
        """Name the user's line, where it is not the one named last."""
        if loc.line and (self.loc is None or str(loc) != str(self.loc)):
            self.loc = loc
            text = loc.text
            self.line(f"# {loc}" + (f": {text}" if text else ""))

    def block(self, nodes: Sequence[Node], otherwise: str = "pass") -> None:
        for node in nodes:
            getattr(self, "write_" + type(node).__name__.lower())(node)
        if not nodes:
            self.line(otherwise)

    def indented(self, nodes: Sequence[Node]) -> None:
        self.depth += 1
        self.block(nodes)
        self.depth -= 1

    def name(self, thing: Any) -> str:
        if isinstance(thing, Size):
            return self.argument(thing, thing, "n")
        if isinstance(thing, Literal):
            return self.atom(thing)
        if isinstance(thing, Buffer):
            thing = thing.memory or thing
        hint = thing.hint
        if isinstance(thing, Buffer) and thing.role == "temporary":
            (self.locals if is_local(thing) else self.temporaries)[thing] = None
            hint = hint or "t"
        return self.mention(self.names(thing, hint))

    def mention(self, name: str) -> str:
        self.mentioned[name] = None
        return name

    def argument(self, key: Any, thing: Any, hint: str) -> str:
        """A number that the text takes as an argument."""
        self.extra.setdefault(key, thing)
        return self.mention(self.names(key, hint))

    def atom(self, atom: Atom) -> str:
        if isinstance(atom, Var):
            return self.name(atom)
        value, dtype = atom.value, atom.aval.dtype
        if dtype.kind in "iu" and int(value) not in SMALL:
            return self.argument((expr_of(value), dtype), atom, "n")
        if dtype.kind == "f" and atom.runtime:
            return self.argument((repr(value), dtype), atom, "c")
        if dtype.kind == "c" and atom.runtime:
            parts = [Literal(x, float, runtime=True) for x in (value.real, value.imag)]
            text = f"complex({', '.join(map(self.atom, parts))})"
            return text if dtype == np.complex128 else f"{dtype.name}({text})"
        return number(value, dtype.name)

    def operand(self, atom: Atom) -> str:
        """An atom that stands inside an expression."""
        text = self.atom(atom)
        return f"({text})" if text.startswith("-") else text

    def affine(self, value: Affine) -> str:
        """`i + 2 * j - 1`"""
        text = ""
        for symbol, factor in value.terms.items():
            name = self.name(symbol)
            part = name if abs(factor) == 1 else f"{abs(factor)} * {name}"
            text += (" - " if factor < 0 else " + ") + part
        if value.const or not text:
            text += (" - " if value.const < 0 else " + ") + str(abs(value.const))
        text = text.removeprefix(" + ")
        return "-" + text[3:] if text.startswith(" - ") else text

    def offset(self, shape: Sequence[int], index: Index) -> str:
        """Where an element lies in flat, C-contiguous memory."""
        if not index:
            return "0"
        text = self.affine(index[0])
        strided = self.along in index[0].terms
        for extent, i in zip(shape[1:], index[1:], strict=True):
            simple = text.isidentifier() or text.isdigit()
            row = text if simple else f"({text})"
            factor = self.affine(Affine.of(extent))
            if strided and Affine.of(extent).constant is None:
                factor = f"_tj_stride({factor})"
            strided = strided or self.along in i.terms
            text = f"{row} * {factor}"
            text = self.affine(i) if row == "0" else f"{text} + {self.affine(i)}"
            text = text.replace("+ -", "- ").removesuffix(" + 0")
        return text

    # Nodes --------------------------------------------------------------------------

    def write_eqn(self, node: Eqn) -> None:
        self.comment(node.loc)
        prim = node.prim
        assert isinstance(prim, Elementwise)
        operands = [self.operand(a) for a in node.inputs]
        dtype = node.out.aval.dtype
        of_complex = any(a.aval.dtype.kind == "c" for a in node.inputs)
        text = prim.code(operands, dtype, node.params, of_complex)
        # Numba widens these in arithmetic.
        if dtype.kind in "iu" and dtype != np.int64:
            text = f"{dtype.name}({text})"
        self.line(f"{self.name(node.out)} = {text}")

    def write_load(self, node: Load) -> None:
        self.comment(node.loc)
        place = self.offset(node.shape, node.index)
        buffer = self.name(node.buffer)
        if not node.out.hint and node.out not in self.names.of:
            self.names(node.out, f"{buffer}_")
        # Booleans lie in memory as bytes.
        test = " != 0" if node.out.aval.dtype == bool else ""
        self.line(f"{self.name(node.out)} = {buffer}[{place}]{test}")

    def write_store(self, node: Store) -> None:
        self.comment(node.loc)
        place = f"{self.name(node.buffer)}[{self.offset(node.shape, node.index)}]"
        value = self.atom(node.value)
        if node.op is not None:
            value = self.combined(node.op, place, node.value)
        self.line(f"{place} = {value}")

    def combined(self, op: str, old: str, value: Atom) -> str:
        """An old value and a new one, combined by a primitive."""
        prim = REGISTRY[op]
        assert isinstance(prim, Elementwise)
        return prim.code([old, self.operand(value)], value.aval.dtype, {})

    def write_let(self, node: Let) -> None:
        value = node.value
        text = self.affine(value) if isinstance(value, Affine) else self.atom(value)
        text = f"_tj_hidden({text})" if node.hidden else text
        self.line(f"{self.name(node.target)} = {text}")

    def write_accumulate(self, node: Accumulate) -> None:
        target = self.name(node.target)
        helper = REASSOCIABLE.get(node.op)
        if helper is not None:
            value = f"{helper}({target}, {self.atom(node.value)})"
        else:
            value = self.combined(node.op, target, node.value)
        self.line(f"{target} = {value}")

    def write_loop(self, node: Loop) -> None:
        self.comment(node.loc)
        if self.depth == 1:
            self.settle_tapes(node)
        bounds = list(map(self.affine, (node.lo, node.hi, node.step)))
        if node.reverse:
            # The last index first; the range is empty where the forward one is.
            lo, hi, step = bounds
            if node.step.constant == 1:
                first, end = self.affine(node.hi - 1), self.affine(node.lo - 1)
                text = f"range({first}, {end}, -1)"
            else:
                last = f"{lo} + _tj_trips({lo}, {hi}, {step}) * ({step}) - ({step})"
                text = f"range({last}, {lo} - ({step}), -({step}))"
        elif node.step.constant == 1:
            bounds.pop()
            text = f"range({', '.join(bounds[bounds[0] == '0' :])})"
        else:
            text = f"range({', '.join(bounds)})"
        self.line(f"for {self.name(node.index)} in {text}:")
        around = self.along
        self.along = node.index if _is_for_vectors(node) else None
        self.indented(node.body)
        self.along = around

    def write_parallel(self, node: Parallel) -> None:
        """A function for one round, and a call that has threads run all."""
        self.comment(node.loc)
        name = self.names.fresh(f"{self.kernel.name}_part")
        args = ", ".join(self.part(name, node))
        self.loc = None
        count, threads = self.affine(node.count), self.affine(node.threads)
        call = f"_tj_threads({name}, {count}, {threads}, {args})"
        if not any(isinstance(n, Check) for n in everything(node.body)):
            self.line(call)
            return
        status = self.names.fresh("status")
        self.line(f"{status} = {call}")
        self.line(f"if {status} != 0:")
        self.depth += 1
        self.free_tapes()
        self.line(f"return {status}")
        self.depth -= 1

    def part(self, name: str, node: Parallel) -> list[str]:
        """Write the function for one round; the names of its further arguments."""
        around = self.lines, self.depth, self.mentioned, self.locals, self.tapes
        self.lines, self.depth, self.mentioned, self.locals = [], 1, {}, {}
        own = [b for b in buffers_of(everything(node.body)) if b not in self.common]
        self.function(own, node.body)
        bound: list[Any] = [v for n in everything([node]) for v in assigned(n)]
        bound += [b for b in self.locals if b in own]
        bound += [x for b in self.tapes for x in (b, b.rows)]
        names = {self.names(thing) for thing in bound}
        args = [n for n in self.mentioned if n not in names]
        heading = ", ".join([self.names(node.index), *args])
        self.parts[name] = "\n".join([f"def {name}({heading}):", *self.lines, "", ""])
        inner = [b for b in self.locals if b not in own]
        self.lines, self.depth, self.mentioned, self.locals, self.tapes = around
        self.locals.update(dict.fromkeys(inner))
        self.mentioned.update(dict.fromkeys(args))
        return args

    def write_while(self, node: While) -> None:
        self.comment(node.loc)
        self.line("while True:")
        self.depth += 1
        self.block(node.test, "")
        self.line(f"if not {self.atom(node.ok)}:")
        self.line(INDENT + "break")
        self.block(node.body)
        self.depth -= 1

    def write_if(self, node: If) -> None:
        self.comment(node.loc)
        self.line(f"if {self.atom(node.pred)}:")
        self.indented(node.then)
        if node.otherwise:
            self.line("else:")
            self.indented(node.otherwise)

    def write_check(self, node: Check) -> None:
        self.line(f"if not {self.atom(node.ok)}:")
        self.depth += 1
        self.free_tapes()
        self.line(f"return {node.number}")
        self.depth -= 1

    def write_rotate(self, node: Rotate) -> None:
        """Each cycle of renamings through one spare name."""
        source_of: dict[Any, Any] = dict(node.moves)
        source_of |= {a.rows: b.rows for a, b in node.moves if a.rows}
        for target in [t for t in source_of if t not in source_of.values()]:
            while target in source_of:
                source = source_of.pop(target)
                self.line(f"{self.name(target)} = {self.name(source)}")
                target = source
        while source_of:
            first = next(iter(source_of))
            spare = self.names.fresh("spare")
            self.line(f"{spare} = {self.name(first)}")
            target, source = first, source_of.pop(first)
            while source is not first:
                self.line(f"{self.name(target)} = {self.name(source)}")
                target, source = source, source_of.pop(source)
            self.line(f"{self.name(target)} = {spare}")

    def local_lines(self, buffers: Sequence[Buffer]) -> list[str]:
        lines = []
        for buffer in buffers:
            dtype, size = type_of(buffer).rstrip("*"), size_of(buffer.aval.shape)
            lines.append(f"{INDENT}{self.name(buffer)} = _tj_local({dtype}(0), {size})")
        return lines

    # Tapes --------------------------------------------------------------------------

    def tape_lines(self) -> list[str]:
        """Every tape starts without rows."""
        lines = []
        for tape in self.tapes:
            dtype = type_of(tape).rstrip("*")
            lines.append(f"{INDENT}{self.name(tape)} = _tj_tape({dtype}(0))")
            lines.append(f"{INDENT}{self.name(tape.rows)} = 0")
        return lines

    def free_tapes(self) -> None:
        for tape in self.tapes:
            self.line(f"_tj_free({self.name(tape)})")

    def row_size(self, tape: Buffer) -> str:
        """How many numbers one row has, as a factor."""
        extents = [self.affine(Affine.of(n)) for n in tape.aval.shape[1:]]
        return "".join(f" * {n}" for n in extents)

    def write_grow(self, node: Grow) -> None:
        tape, rows = self.name(node.buffer), self.name(node.buffer.rows)
        size, row = self.row_size(node.buffer), self.affine(node.row)
        more = self.names.fresh("more")
        self.line(f"if {row} >= {rows}:")
        self.line(f"{INDENT}{more} = max(2 * {rows}, {row} + 1, 16)")
        room = f"_tj_grow({tape}, {rows}{size}, {more}{size})"
        if node.buffer.written_first:
            room = f"_tj_realloc({tape}, {more}{size})"
        self.line(f"{INDENT}{tape} = {room}")
        self.line(f"{INDENT}{rows} = {more}")

    def settle_tapes(self, node: Loop) -> None:
        """Before a loop that only reads tapes: what it reads is no argument's.

        The compiler knows this of what an allocation returns, but not where a loop
        may have moved it; and without knowing it, it keeps to scalar code.
        """
        grown = {n.buffer for n in everything([node]) if isinstance(n, Grow)}
        for tape in buffers_of(everything([node])):
            if tape in self.tapes and tape not in grown:
                name = self.name(tape)
                size = f"{self.name(tape.rows)}{self.row_size(tape)}"
                self.line(f"{name} = _tj_realloc({name}, {size})")

    def write_reset(self, node: Reset) -> None:
        tape, rows = self.name(node.buffer), self.name(node.buffer.rows)
        size = self.row_size(node.buffer)
        if node.source is None:
            self.line(f"_tj_clear({tape}, {rows}{size})")
            return
        source, more = self.name(node.source), self.name(node.source.rows)
        self.line(f"if {rows} < {more}:")
        self.line(f"{INDENT}{tape} = _tj_grow({tape}, {rows}{size}, {more}{size})")
        self.line(f"{INDENT}{rows} = {more}")
        self.line(f"_tj_copy({tape}, {source}, {more}{size})")

    def write_call(self, node: Call) -> None:
        self.comment(node.loc)
        args = ", ".join(map(self.call_argument, node.args))
        self.line(f"{node.name}({args})")

    def call_argument(self, arg: Any) -> str:
        if isinstance(arg, Affine):
            return self.affine(arg)
        return self.name(arg) if isinstance(arg, Buffer) else self.atom(arg)


def _is_for_vectors(loop: Loop) -> bool:
    """Whether vectors pay though some data lie apart: others lie side by side, or
    there are roots or functions."""
    accesses = (n for n in loop.body if isinstance(n, Load | Store) and n.index)
    return any(loop.index in n.index[-1].terms for n in accesses) or any(
        isinstance(n, Eqn) and n.prim.cost >= DEAR for n in loop.body
    )


def digest(*parts: str) -> str:
    """A key for content."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
