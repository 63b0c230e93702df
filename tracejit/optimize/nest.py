"""The loop-nest IR: what a Program is lowered to before it is written as source.

    Node   ::= Eqn            a primitive on scalars (its outputs are scalars)
             | Load, Store    one element of a buffer
             | Let            (re)binds a scalar: loop-carried values, accumulators
             | Loop, While, If, Check, Call, Rotate
             | Grow, Reset    tapes whose length is not known beforehand
    index  ::= one Affine per axis

Scalars are Vars of shape (). Arrays are Buffers: flat, C-contiguous memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tracejit.base.source import UNKNOWN, SrcLoc
from tracejit.ir.affine import Form
from tracejit.ir.aval import Aval, expr_of
from tracejit.ir.cost import ASSUMED_ROUNDS
from tracejit.ir.program import Atom, Eqn, Literal, Note, Var

#: Integers in this range are emitted as they stand, others are kernel arguments.
SMALL = range(-8, 9)
#: A loop has no more parts than a word has bits, which say who has taken which.
MOST_PARTS = 64
#: The elements of what may be on the stack: those of a small matrix.
LARGEST_LOCAL = 64
INT64 = np.dtype(np.int64)


@dataclass(frozen=True, slots=True)
class Size:
    """An extent or another integer that source text takes as an argument."""

    expr: str
    value: int = field(compare=False)


Symbol: TypeAlias = Var | Size


class Affine:
    """An integer `Σ coefficient * symbol + const`."""

    __slots__ = ("const", "key", "terms")

    def __init__(self, terms: dict[Symbol, int], const: int = 0):
        self.terms = {s: c for s, c in terms.items() if c}
        self.const = const
        self.key = (frozenset(self.terms.items()), const)

    @staticmethod
    def of(x: Any) -> Affine:
        """From an int (or Extent), an integer Atom, or an Affine."""
        if isinstance(x, Affine):
            return x
        if isinstance(x, Literal):
            x = x.value
        if isinstance(x, Var):
            return Affine({x: 1})
        if int(x) in SMALL:
            return Affine({}, int(x))
        return Affine({Size(expr_of(x), int(x)): 1})

    def __add__(self, other: Any) -> Affine:
        other = Affine.of(other)
        terms = dict(self.terms)
        for symbol, c in other.terms.items():
            terms[symbol] = terms.get(symbol, 0) + c
        return Affine(terms, self.const + other.const)

    def times(self, factor: int) -> Affine:
        return Affine(
            {s: c * factor for s, c in self.terms.items()}, self.const * factor
        )

    def __sub__(self, other: Any) -> Affine:
        return self + Affine.of(other).times(-1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def vars(self) -> Iterator[Var]:
        return (s for s in self.terms if isinstance(s, Var))

    @property
    def form(self) -> Form:
        """In terms of variables alone: sizes are numbers."""
        terms = {s: c for s, c in self.terms.items() if isinstance(s, Var)}
        sizes = sum(c * s.value for s, c in self.terms.items() if isinstance(s, Size))
        return Form(self.const + sizes, terms)

    @property
    def constant(self) -> int | None:
        """The value, where it does not depend on any symbol."""
        return None if self.terms else self.const


ZERO = Affine({}, 0)
Index: TypeAlias = tuple[Affine, ...]


@dataclass(eq=False, slots=True)
class Buffer:
    """Flat memory given by the caller: an input, a result or a temporary.

    An input whose role is "written" is the caller's array, to be updated in place.

    `rotates` marks one whose name is rebound in a loop, so that which memory it names
    after the loop is not known while compiling. A tape is memory of the kernel's own,
    which grows by rows: `rows` holds how many there are; they come as zeros unless
    each is `written_first`. `memory` is where it lies if it takes turns (see `turns`).
    """

    aval: Aval
    hint: str = ""
    role: str = "temporary"
    rotates: bool = False
    rows: Var | None = None
    written_first: bool = False
    memory: Buffer | None = None

    @property
    def writable(self) -> bool:
        return self.role != "input"


@dataclass(slots=True, eq=False)
class Load:
    """out = buffer[index], where the buffer is seen as an array of shape `shape`."""

    out: Var
    buffer: Buffer
    shape: tuple[int, ...]
    index: Index
    loc: SrcLoc = UNKNOWN


@dataclass(slots=True, eq=False)
class Store:
    """buffer[index] = value, or the two combined by the primitive `op`."""

    buffer: Buffer
    shape: tuple[int, ...]
    index: Index
    value: Atom
    op: str | None = None
    loc: SrcLoc = UNKNOWN


@dataclass(slots=True, eq=False)
class Let:
    """target = value; carried scalars are assigned several times.

    What is `hidden` LLVM cannot see through: to it, the target is just any number.
    """

    target: Var
    value: Atom | Affine
    hidden: bool = False


@dataclass(slots=True, eq=False)
class Accumulate:
    """target = op(target, value), `op` a primitive; a sum may be reassociated."""

    target: Var
    op: str
    value: Atom


@dataclass(slots=True, eq=False)
class Loop:
    """for index in range(lo, hi, step), or the same indices in the opposite order.

    `rounds` is how many are to be expected, where the bounds do not say; `carried` are
    the buffers that hand what they hold to the next round, of a loop of the program's
    own (None: of one made for whole arrays). `remark`: whether it is for threads.
    """

    index: Var
    lo: Affine
    hi: Affine
    step: Affine
    body: list[Node]
    reverse: bool = False
    loc: SrcLoc = UNKNOWN
    rounds: float | None = None
    carried: Sequence[Buffer] | None = None
    remark: str = ""


@dataclass(slots=True, eq=False)
class Parallel:
    """The parts of a loop, `body` for each `index` below `count`, shared by `threads`.

    They may run at the same time; what a part assigns to is its own.
    """

    index: Var
    count: Affine
    threads: Affine
    body: list[Node]
    loc: SrcLoc = UNKNOWN


@dataclass(slots=True, eq=False)
class While:
    """while True: test; if not ok: break; body. As to `carried`, see `Loop`."""

    test: list[Node]
    ok: Atom
    body: list[Node]
    loc: SrcLoc = UNKNOWN
    rounds: float = ASSUMED_ROUNDS
    carried: Sequence[Buffer] | None = None


@dataclass(slots=True, eq=False)
class If:
    pred: Atom
    then: list[Node]
    otherwise: list[Node]
    loc: SrcLoc = UNKNOWN


@dataclass(slots=True, eq=False)
class Check:
    """Returns `number` from the kernel where `ok` is False."""

    ok: Atom
    number: int


@dataclass(slots=True, eq=False)
class Rotate:
    """Buffer names rebound all at once: each target names what its source named."""

    moves: list[tuple[Buffer, Buffer]]


@dataclass(slots=True, eq=False)
class Grow:
    """Makes room in a tape for row `row`; new rows are zero."""

    buffer: Buffer
    row: Affine


@dataclass(slots=True, eq=False)
class Reset:
    """Makes a tape a copy of another one, or zero."""

    buffer: Buffer
    source: Buffer | None = None


@dataclass(slots=True, eq=False)
class Call:
    """A routine called by name; `args` are Buffers, Affines and Atoms."""

    name: str
    args: list[Any]
    reads: list[Buffer]
    writes: list[Buffer]
    loc: SrcLoc = UNKNOWN


Node: TypeAlias = (
    Eqn
    | Load
    | Store
    | Let
    | Accumulate
    | Loop
    | Parallel
    | While
    | If
    | Check
    | Rotate
    | Grow
    | Reset
    | Call
)


@dataclass(slots=True, eq=False)
class Kernel:
    """A lowered Program.

    `params` are the scalar Vars and input Buffers in the Program's order; `results`
    hold each result, a Buffer per result (scalars in one of shape ()). `notes` say
    why arrays on the way are stored, or computed several times.
    """

    name: str
    params: list[Var | Buffer]
    results: list[Buffer]
    body: list[Node]
    failures: list[Any]
    copies_in_loops: int = 0
    notes: list[Note] = field(default_factory=list)

    @property
    def outputs(self) -> list[Buffer]:
        """The buffers whose contents outlive the kernel."""
        given = [p for p in self.params if isinstance(p, Buffer)]
        return [*self.results, *(b for b in given if b.role == "written")]


def size_of(shape: Iterable[int]) -> int:
    return math.prod(int(n) for n in shape)


def is_local(buffer: Buffer) -> bool:
    """Whether a temporary is so small, at any size of the others, that it is better
    not the caller's: what is stored in it need not be in memory then."""
    fixed = all(Affine.of(n).constant is not None for n in buffer.aval.shape)
    return fixed and size_of(buffer.aval.shape) <= LARGEST_LOCAL


def scalar_var(dtype: Any, hint: str = "") -> Var:
    return Var(Aval(np.dtype(dtype)), hint)


#: The parts of nodes that hold nodes.
BLOCKS = ("test", "body", "then", "otherwise")


def children(node: Node) -> Iterator[Node]:
    """The nodes right inside a block."""
    for name in BLOCKS:
        yield from getattr(node, name, ())
