"""Statements over arrays: what is done at each point of a space of loops.

StoreStmt     a value, or a value accumulated, into a part of a buffer
ReduceStmt    the last axes into a register
DotStmt       the same for a sum of products
ArgStmt       where the last axis has its extremum
ScanStmt      a running sum, product or recurrence along one axis
PointStmt     one element of an array as a scalar
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracejit.base.source import UNKNOWN, SrcLoc
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.optimize.nest import INT64, Affine, If, Index, Let, Load, scalar_var
from tracejit.optimize.pull import Body, Home, gather_index, part_index


@dataclass(eq=False, slots=True)
class Stmt:
    """`reduced` is the depth from which on all loops are reduced into a register."""

    extents: tuple[int, ...]
    value: Atom
    loc: SrcLoc = UNKNOWN

    @property
    def reduced(self) -> int | None:
        return None

    @property
    def ordered(self) -> bool:
        """Whether the loops must be run in order."""
        return False

    def before(self, body: Body, index: Index) -> None:
        """Just before the first reduced loop."""

    def element(self, body: Body, index: Index) -> None:
        """Innermost."""
        raise NotImplementedError

    def after(self, body: Body, index: Index) -> None:
        """Just after the first reduced loop."""


@dataclass(eq=False, slots=True)
class StoreStmt(Stmt):
    """Stores a value, or accumulates it by `op`, in a part of a buffer.

    `part` is the equation that says which part, by starts or by index arrays among its
    operands; `kept` are the loops that index the buffer where some do not.
    """

    home: Home = None  # type: ignore[assignment]
    out: Var | None = None
    op: str | None = None
    part: Eqn | None = None
    kept: tuple[int, ...] | None = None

    @property
    def ordered(self) -> bool:
        # Where indices that are data repeat, the last value stays.
        return self.op is None and self.scattered

    @property
    def scattered(self) -> bool:
        """Whether index arrays say which part: one element may come up twice."""
        return self.part is not None and "sizes" not in self.part.params

    def where(self, body: Body, index: Index) -> Index:
        if self.kept is not None:
            return tuple(index[k] for k in self.kept)
        if self.part is None:
            return index
        operands = self.part.inputs[2:]
        find = gather_index if self.scattered else part_index
        return find(body, operands, self.part, index)

    def term(self, body: Body, index: Index) -> Atom:
        """What is stored for this point."""
        if isinstance(self.value, Var) and self.value is self.out:
            return body.defined(self.value, index)
        return body.at(self.value, index)

    def element(self, body: Body, index: Index) -> None:
        where = self.where(body, index)
        value = self.term(body, index)
        body.store(self.home, where, value, self.op)
        if self.op is None and self.out is not None:
            body.know(self.out, where, value)


@dataclass(eq=False, slots=True)
class TogetherStmt(Stmt):
    """Several stores, each of which may read what the others overwrite."""

    stores: list[StoreStmt] = field(default_factory=list)

    def element(self, body: Body, index: Index) -> None:
        values = [stmt.term(body, index) for stmt in self.stores]
        for stmt, value in zip(self.stores, values, strict=True):
            body.store(stmt.home, index, value)


@dataclass(eq=False, slots=True)
class ReduceStmt(Stmt):
    """Reduces the loops from `kept` on into a register; the others index `home`."""

    out: Var = None  # type: ignore[assignment]
    op: str = "add"
    start: Literal = None  # type: ignore[assignment]
    kept: int = 0
    home: Home | None = None
    register: Var | None = None

    @property
    def reduced(self) -> int | None:
        return self.kept

    def before(self, body: Body, index: Index) -> None:
        self.register = self.new_register(body, self.start)

    def new_register(self, body: Body, start: Literal) -> Var:
        """A variable for the result, or the result itself where it is a scalar."""
        scalar = self.home is None and self.register is None
        register = self.out if scalar else scalar_var(start.aval.dtype, self.out.hint)
        body.emit(Let(register, start))
        body.changing(register)
        return register

    def term(self, body: Body, index: Index) -> Atom:
        """What is reduced at this point."""
        return body.at(self.value, index)

    def element(self, body: Body, index: Index) -> None:
        assert self.register is not None
        body.accumulate(self.register, self.op, self.term(body, index))

    def after(self, body: Body, index: Index) -> None:
        assert self.register is not None
        body.settled(self.register)
        if self.home is not None:
            body.store(self.home, index, self.register)
            body.know(self.out, index, self.register)
        self.register = None


@dataclass(slots=True)
class Product:
    """The terms of a dot: which loops index which operand."""

    operands: tuple[Atom, Atom]
    loops: tuple[tuple[int, ...], tuple[int, ...]]

    def term(self, body: Body, index: Index) -> Atom:
        pairs = zip(self.operands, self.loops, strict=True)
        a, b = (body.at(x, tuple(index[k] for k in own)) for x, own in pairs)
        return body.scalar("mul", a, b)


@dataclass(eq=False, slots=True)
class DotStmt(ReduceStmt):
    """A sum of products into a register."""

    product: Product = None  # type: ignore[assignment]

    def term(self, body: Body, index: Index) -> Atom:
        return self.product.term(body, index)


@dataclass(eq=False, slots=True)
class OuterStmt(StoreStmt):
    """A sum of products accumulated in a buffer, or products stored in it."""

    product: Product = None  # type: ignore[assignment]

    def term(self, body: Body, index: Index) -> Atom:
        return self.product.term(body, index)


@dataclass(eq=False, slots=True)
class ArgStmt(ReduceStmt):
    """The first index along `axis` of the extremum, or of the first NaN."""

    axis: int = 0
    best: Var | None = None
    least: Literal = None  # type: ignore[assignment]

    @property
    def ordered(self) -> bool:
        return True

    def before(self, body: Body, index: Index) -> None:
        self.register = self.new_register(body, self.start)
        self.best = self.new_register(body, self.least)

    def element(self, body: Body, index: Index) -> None:
        assert self.best is not None and self.register is not None
        value = body.at(self.value, moved(index, self.axis))
        better = body.scalar(self.op, value, self.best)
        if self.value.aval.inexact:
            nan = body.scalar("isnan", value)
            had = body.scalar("isnan", self.best)
            first = body.scalar("logical_and", nan, body.scalar("logical_not", had))
            better = body.scalar("logical_or", better, first)
        here = body.integer(index[-1])
        body.emit(If(better, [Let(self.best, value), Let(self.register, here)], []))


@dataclass(eq=False, slots=True)
class ScanStmt(Stmt):
    """Runs along `axis`, innermost, with a register that each element is left of.

    `op` combines register and element; with `factor`, the register is multiplied by
    it first, except at the first element, which has no predecessor.
    """

    out: Var = None  # type: ignore[assignment]
    home: Home = None  # type: ignore[assignment]
    op: str = "add"
    start: Literal = None  # type: ignore[assignment]
    axis: int = 0
    reverse: bool = False
    factor: Atom | None = None
    register: Var = field(default=None)  # type: ignore[assignment]

    @property
    def reduced(self) -> int | None:
        return len(self.extents) - 1

    @property
    def ordered(self) -> bool:
        return True

    def before(self, body: Body, index: Index) -> None:
        self.register = scalar_var(self.start.aval.dtype, self.out.hint)
        body.emit(Let(self.register, self.start))
        body.changing(self.register)

    def element(self, body: Body, index: Index) -> None:
        trip = index[-1]
        if self.reverse:
            trip = Affine.of(self.extents[-1]) - 1 - trip
        where = moved((*index[:-1], trip), self.axis)
        value, last = body.at(self.value, where), self.register
        if self.factor is not None:
            zero = Literal(0, last.aval.dtype)
            first = body.scalar("eq", body.integer(index[-1]), Literal(0, INT64))
            factor = body.at(self.factor, where)
            factor = body.scalar("select", first, zero, factor)
            last = body.scalar("mul", factor, last)
        # A new name in each trip: the register itself changes.
        new = body.scalar(self.op, last, value)
        body.emit(Let(self.register, new))
        body.store(self.home, where, new)


@dataclass(eq=False, slots=True)
class PointStmt(Stmt):
    """One element of an array as a scalar."""

    out: Var = None  # type: ignore[assignment]
    eqn: Eqn = None  # type: ignore[assignment]

    def element(self, body: Body, index: Index) -> None:
        value = body.compute(self.eqn, ())
        last = body.levels[-1].nodes[-1:]
        if last and isinstance(last[0], Load) and last[0].out is value:
            last[0].out = self.out  # freshly loaded: needs no second name
        else:
            body.emit(Let(self.out, value))


def moved(index: Sequence[Affine], axis: int) -> Index:
    """The index whose last entry belongs to `axis`."""
    rest = list(index[:-1])
    return (*rest[:axis], index[-1], *rest[axis:])


def moved_extents(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    """The extents of `shape` with `axis` innermost."""
    return (*shape[:axis], *shape[axis + 1 :], shape[axis])


def first_of(eqn: Eqn) -> Literal:
    """What a reduction starts from: the identity of its operation."""
    dtype: Any = eqn.inputs[0].aval.dtype
    name = eqn.prim.name
    if name in ("sum", "cumsum", "recur"):
        value: Any = 0
    elif name in ("prod", "cumprod", "all"):
        value = 1
    elif name == "any" or dtype.kind == "b":
        value = name in ("min", "argmin")
    else:
        low = name in ("max", "argmax", "cummax")
        value = extreme(dtype, low)
    return Literal(dtype.type(value).item(), dtype)


def extreme(dtype: Any, low: bool) -> Any:
    """The least (or greatest) value of a dtype."""
    if dtype.kind == "f":
        return float("-inf") if low else float("inf")
    bits = 8 * dtype.itemsize
    if dtype.kind == "u":
        return 0 if low else 2**bits - 1
    return -(2 ** (bits - 1)) if low else 2 ** (bits - 1) - 1


#: How each reduction combines two values, by the name of a primitive.
COMBINES = {
    "sum": "add",
    "prod": "mul",
    "max": "maximum",
    "min": "minimum",
    "any": "logical_or",
    "all": "logical_and",
    "argmax": "gt",
    "argmin": "lt",
    "cumsum": "add",
    "cumprod": "mul",
    "recur": "add",
    "cummax": "maximum",
    "cummin": "minimum",
}
