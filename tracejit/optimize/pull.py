"""Array values evaluated at an index, inside the loops that are open.

An array without a buffer is never computed as a whole: `Body.at` asks its equation for
one element, which asks its operands, so that elementwise chains, slices, broadcasts
and transposes become scalar code and index arithmetic in the loop that needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from tracejit.base.source import UNKNOWN, SrcLoc
from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.optimize.nest import (
    INT64,
    ZERO,
    Accumulate,
    Affine,
    Buffer,
    If,
    Index,
    Let,
    Load,
    Loop,
    Node,
    Store,
    Symbol,
    scalar_var,
)
from tracejit.optimize.traffic import value_of

#: The depth of what changes in the innermost loop, wherever that is.
INNERMOST = 1 << 30
#: A condition that is known not to hold.
FALSE = Literal(False, np.dtype(bool))
#: A loop's index, bounds that it may lie in, and those beyond which there is no array.
Range: TypeAlias = tuple[Var, Affine, Affine, Affine, Affine]


@dataclass(frozen=True, slots=True)
class Home:
    """Where an array lives: a buffer, seen with the array's shape in C order."""

    buffer: Buffer
    shape: tuple[int, ...]


@dataclass(slots=True)
class Level:
    """The code of one open loop, and what it has computed so far."""

    nodes: list[Node] = field(default_factory=list)
    known: dict[tuple[Var, Index], Atom] = field(default_factory=dict)


class Body:
    """Scalar code for array values. `homes` and `defs` say where a value is from,
    `integers` what is known of integer scalars.

    Code is placed in the outermost loop that it depends on.
    """

    def __init__(
        self,
        homes: dict[Var, Home],
        defs: dict[Var, Eqn],
        integers: dict[Var, Affine],
    ):
        self.homes, self.defs, self.integers = homes, defs, integers
        self.levels = [Level()]
        self.depth_of: dict[Symbol, int] = {}
        self.loc: SrcLoc = UNKNOWN
        #: (value, index, the value that asked for it) of everything computed here,
        #: except in code that stands a second time (`again`); and what was computed
        #: in a loop that its index does not depend on.
        self.computed: list[tuple[Var, Index, Var | None]] = []
        self.repeated: set[Var] = set()
        self.asking: Var | None = None
        #: Ranges that a loop's index is tested for, and those it is known to lie in.
        self.ranges: list[Range] = []
        self.assumed: set[Range] = set()
        self.floor = 0
        self.again = False
        #: Whether the code is for few of the elements; and for none at all, but to see
        #: what loops should be split for.
        self.rare = False
        self.surveys = False

    # Loops ------------------------------------------------------------------------

    def open_loop(self, index: Var) -> None:
        self.levels.append(Level())
        self.depth_of[index] = len(self.levels) - 1

    def close_loop(
        self, index: Var, lo: Any, hi: Any, loc: SrcLoc, rounds: float | None = None
    ) -> None:
        body = self.levels.pop().nodes
        bounds = Affine.of(lo), Affine.of(hi), Affine.of(1)
        self.emit(Loop(index, *bounds, body, loc=loc, rounds=rounds))

    def emit(self, node: Node) -> None:
        self.levels[-1].nodes.append(node)

    def depth(self, reads: Iterable[Symbol]) -> int:
        """The outermost level that has all of these."""
        deepest, depth_of = self.floor, self.depth_of
        for symbol in reads:
            depth = depth_of.get(symbol, 0)
            if depth > deepest:
                deepest = depth
        return min(deepest, len(self.levels) - 1)

    def changing(self, register: Var) -> None:
        """`register` changes in the loops about to be opened."""
        self.depth_of[register] = INNERMOST

    def settled(self, register: Var) -> None:
        """`register` keeps its value from here on."""
        self.depth_of[register] = len(self.levels) - 1

    def place(self, node: Node, out: Var, reads: Iterable[Symbol]) -> Var:
        """Append a pure node to the outermost level that has all it reads."""
        depth = self.depth(reads)
        self.depth_of[out] = depth
        self.levels[depth].nodes.append(node)
        return out

    # Conditions -------------------------------------------------------------------

    def within(self, i: Affine, lo: Affine, size: int, whole: int) -> Atom | None:
        """Whether lo <= i < lo + size <= whole; None where that is known to hold.

        Loops are split into where it holds and the rest; where little of the array
        lies within, at one end, into where it does not.
        """
        hi = lo + size
        if lo == ZERO and hi == Affine.of(whole):
            return None
        known = _surely_within(i, lo, hi)
        if known is not None:
            return None if known else FALSE
        end = Affine.of(whole)
        if not is_few(size, whole):
            return None if self.usual(i, lo, hi, end) else self.between(i, lo, hi, end)
        rest = {"first": (hi, end), "last": (ZERO, lo)}.get(
            near(value_of(lo), size, whole)
        )
        rare = rest is not None and self.usual(i, *rest, end)
        return FALSE if rare else self.between(i, lo, hi, end)

    def usual(self, i: Affine, lo: Affine, hi: Affine, end: Affine) -> bool:
        """Whether lo <= i < hi is known to hold; a loop may be split to see to it.

        The index is one of an array that ends at `end`.
        """
        loops = [v for v in i.vars if v in self.depth_of]
        if len(loops) != 1:
            return False
        (var,) = loops
        if i.terms[var] == 1:
            shift = i - var
            tested = var, lo - shift, hi - shift, ZERO - shift, end - shift
        elif i.terms[var] == -1:
            top = i + var + 1
            tested = var, top - hi, top - lo, top - end, top
        else:
            return False
        if tested in self.assumed:
            return True
        if not self.rare:
            self.ranges.append(tested)
        return False

    def between(self, i: Affine, lo: Affine, hi: Affine, end: Affine) -> Atom:
        """Whether lo <= i < hi, for an index of an array that ends at `end`."""
        tests = []
        if lo != ZERO:
            tests.append(self.scalar("ge", self.integer(i), self.integer(lo)))
        if hi != end:
            tests.append(self.scalar("lt", self.integer(i), self.integer(hi)))
        return tests[0] if len(tests) == 1 else self.scalar("logical_and", *tests)

    def parts(
        self,
        index: Index,
        starts: Sequence[Affine],
        sizes: Sequence[int | None],
        shape: Sequence[int],
    ) -> tuple[Index, Atom | None]:
        """An index relative to a part of an array, and whether that has it: None where
        it is known to, FALSE where it is known not to. Axes without a size are gone."""
        inner: list[Affine] = []
        pred: Atom | None = None
        for i, lo, size, whole in zip(index, starts, sizes, shape, strict=True):
            inner += [] if size is None else [i - lo]
            test = self.within(i, lo, 1 if size is None else size, whole)
            if pred is FALSE or test is None:
                continue
            both = pred is not None and test is not FALSE
            pred = self.scalar("logical_and", pred, test) if both else test  # type: ignore
        return tuple(inner), pred

    def only_if(
        self, pred: Atom, then: Callable[[], None], *, rarely: bool = False
    ) -> None:
        """`then()` where `pred` holds; what it computes is known nowhere else.

        Where that is `rarely`, no loop is split for what is tested there.
        """
        self.levels.append(Level())
        saved = self.floor, self.rare
        self.floor, self.rare = len(self.levels) - 1, self.rare or rarely
        then()
        self.floor, self.rare = saved
        nodes = self.levels.pop().nodes
        self.emit(If(pred, nodes, []))

    def either(
        self,
        pred: Atom,
        then: Callable[[], Atom],
        otherwise: Atom,
        *,
        rarely: bool = False,
    ) -> Var:
        """`then()` where `pred` holds; it is computed nowhere else."""
        out = scalar_var(otherwise.aval.dtype)
        self.emit(Let(out, otherwise))
        self.only_if(pred, lambda: self.emit(Let(out, then())), rarely=rarely)
        return self.placed_here(out)

    def placed_here(self, out: Var) -> Var:
        """`out` has its value in the innermost loop."""
        self.depth_of[out] = len(self.levels) - 1
        return out

    # Values -----------------------------------------------------------------------

    def at(self, atom: Atom, index: Index) -> Atom:
        """The element of `atom` at `index`; scalars and Literals are themselves."""
        if isinstance(atom, Literal) or not atom.aval.shape:
            return atom
        key = (atom, index)
        for level in self.levels:
            if key in level.known:
                return level.known[key]
        if atom in self.homes:
            value: Atom = self.load(self.homes[atom], index)
        else:
            value = self.defined(atom, index)
        self.know(atom, index, value)
        return value

    def defined(self, var: Var, index: Index) -> Atom:
        """The element of a value by its definition, whether it is stored or not."""
        if not self.again:
            self.computed.append((var, index, self.asking))
            if self.is_repeated(index):
                self.repeated.add(var)
        saved, self.asking = self.asking, var
        value = self.compute(self.defs[var], index)
        self.asking = saved
        return value

    def is_repeated(self, index: Index) -> bool:
        """Whether what depends on `index` runs in a loop that it does not use."""
        used = {self.depth_of.get(v, 0) for i in index for v in i.terms}
        deepest = max(used) if used else 0
        return deepest > 0 and not used.issuperset(range(1, deepest + 1))

    def know(self, var: Var, index: Index, value: Atom) -> None:
        """Remember a value for as long as the loops stay open that it depends on."""
        reads = [symbol for i in index for symbol in i.terms]
        if isinstance(value, Var):
            reads.append(value)
        self.levels[self.depth(reads)].known[var, index] = value

    def compute(self, eqn: Eqn, index: Index) -> Atom:
        """The element at `index` of the output of `eqn`."""
        if eqn.prim.kind == "elementwise":
            return self.apply(eqn, [self.at(a, index) for a in eqn.inputs])
        if eqn.prim.name in VIEWS:
            where = VIEWS[eqn.prim.name](self, eqn, index)
            return self.at(eqn.inputs[0], where)
        return PULL[eqn.prim.name](self, eqn, index)

    def source(self, atom: Atom, index: Index) -> tuple[Atom, Index]:
        """The array that a view of it shows at `index`, and the place there."""
        while isinstance(atom, Var) and atom not in self.homes and atom.aval.shape:
            eqn = self.defs[atom]
            if eqn.prim.name not in VIEWS:
                break
            index = VIEWS[eqn.prim.name](self, eqn, index)
            atom = eqn.inputs[0]
        return atom, index

    def apply(self, eqn: Eqn, inputs: list[Atom]) -> Var:
        """The primitive of `eqn` on scalars."""
        out = scalar_var(eqn.out.aval.dtype, eqn.out.hint)
        node = Eqn(eqn.prim, inputs, [out], eqn.params, [], eqn.loc, eqn.origin)
        return self.place(node, out, [a for a in inputs if isinstance(a, Var)])

    def load(self, home: Home, index: Index) -> Var:
        out = scalar_var(home.buffer.aval.dtype)
        node = Load(out, home.buffer, home.shape, index, self.loc)
        return self.place(node, out, [symbol for i in index for symbol in i.terms])

    def integer(self, value: Affine) -> Atom:
        """An index as a scalar."""
        if value.constant is not None:
            return Literal(value.constant, INT64)
        if len(value.terms) == 1 and not value.const:
            ((symbol, factor),) = value.terms.items()
            if factor == 1 and isinstance(symbol, Var):
                return symbol
        out = scalar_var(INT64)
        return self.place(Let(out, value), out, list(value.vars))

    def extremum(self, name: str, values: list[Affine]) -> Affine:
        """The greatest or smallest of some integers, by the name of the primitive."""
        known = [v.const for v in values if v.constant is not None]
        others = [v for v in dict.fromkeys(values) if v.constant is None]
        if known:
            best = max(known) if name == "maximum" else min(known)
            others.insert(0, Affine.of(best))
        first, *rest = others
        for value in rest:
            both = self.integer(first), self.integer(value)
            first = Affine.of(self.scalar(name, *both))
        return first

    def choice(self, pred: Atom, yes: Affine, no: Affine) -> Affine:
        """One of two integers."""
        both = self.integer(yes), self.integer(no)
        return Affine.of(self.scalar("select", pred, *both))

    def as_index(self, atom: Atom) -> Affine:
        """An integer scalar as an index."""
        if isinstance(atom, Var) and atom.aval.dtype != INT64:
            atom = self.scalar("cast", atom, dtype=INT64)
        return resolved(atom, self.integers)

    def scalar(self, name: str, *inputs: Atom, **params: Any) -> Var:
        """A primitive on scalars, by its name."""
        prim = REGISTRY[name]
        (aval,) = prim.out_avals(list(inputs), params, [])
        out = scalar_var(aval.dtype)
        node = Eqn(prim, list(inputs), [out], params)
        return self.place(node, out, [a for a in inputs if isinstance(a, Var)])

    def store(
        self, home: Home, index: Index, value: Atom, op: str | None = None
    ) -> None:
        self.emit(Store(home.buffer, home.shape, index, value, op, self.loc))

    def accumulate(self, target: Var, op: str, value: Atom) -> None:
        self.emit(Accumulate(target, op, value))


# How structure becomes index arithmetic --------------------------------------------

Pull = Callable[[Body, Eqn, Index], Atom]


def _broadcast(body: Body, eqn: Eqn, index: Index) -> Index:
    return tuple(index[a] for a in eqn.params["axes"])


def _transpose(body: Body, eqn: Eqn, index: Index) -> Index:
    where = dict(zip(eqn.params["perm"], index, strict=True))
    return tuple(where[k] for k in range(len(index)))


def _flip(body: Body, eqn: Eqn, index: Index) -> Index:
    return tuple(
        Affine.of(n) - 1 - i if k in eqn.params["axes"] else i
        for k, (i, n) in enumerate(zip(index, eqn.out.aval.shape, strict=True))
    )


def _reshape(body: Body, eqn: Eqn, index: Index) -> Index:
    # Only axes of extent 1 come or go: others were given a buffer, seen with a
    # new shape (see `only_unit_axes`).
    x = eqn.inputs[0]
    kept = [i for i, n in zip(index, eqn.out.aval.shape, strict=True) if n != 1]
    inner = iter(kept)
    return tuple(ZERO if n == 1 else next(inner) for n in x.aval.shape)


def part_index(body: Body, starts: list[Atom], eqn: Eqn, index: Index) -> Index:
    """Where element `index` of a part lies in the whole array."""
    inner = iter(index)
    out = []
    sizes, steps = eqn.params["sizes"], eqn.params["steps"]
    for start, size, step in zip(starts, sizes, steps, strict=True):
        offset = body.as_index(start)
        out.append(offset if size is None else offset + next(inner).times(int(step)))
    return tuple(out)


def _getitem(body: Body, eqn: Eqn, index: Index) -> Index:
    return part_index(body, eqn.inputs[1:], eqn, index)


#: What shows an array at other places: where an element of it is in that array.
VIEWS: dict[str, Callable[[Body, Eqn, Index], Index]] = {
    "broadcast": _broadcast,
    "transpose": _transpose,
    "flip": _flip,
    "reshape": _reshape,
    "getitem": _getitem,
}


def _update(body: Body, eqn: Eqn, index: Index) -> Atom:
    """An array with a part replaced or added to, where all steps are 1."""
    x, v, *starts = eqn.inputs
    corner = [body.as_index(start) for start in starts]
    sizes, shape = eqn.params["sizes"], x.aval.shape
    inner, pred = body.parts(index, corner, sizes, shape)
    adds = eqn.prim.name == "acc_slice"
    if pred is None and not adds:
        return body.at(v, inner)
    base = body.at(x, index)
    if pred is FALSE:
        return base

    def new() -> Atom:
        part = body.at(v, inner)
        added = adds and not (isinstance(base, Literal) and base.value == 0)
        return body.scalar("add", base, part) if added else part

    rarely = any(map(is_few, (n or 1 for n in sizes), shape))
    return new() if pred is None else body.either(pred, new, base, rarely=rarely)


def _pad(body: Body, eqn: Eqn, index: Index) -> Atom:
    x, value = eqn.inputs
    corner = [Affine.of(n) for n in eqn.params["lo"]]
    inner, pred = body.parts(index, corner, x.aval.shape, eqn.out.aval.shape)
    if pred is None:
        return body.at(x, inner)
    return (
        value if pred is FALSE else body.either(pred, lambda: body.at(x, inner), value)
    )


def _concatenate(body: Body, eqn: Eqn, index: Index) -> Atom:
    axis, shape = eqn.params["axis"], eqn.out.aval.shape
    i, end = index[axis], Affine.of(shape[axis])
    parts = [(x, Affine.of(start)) for x, start in operands_at(eqn)]
    parts.sort(key=lambda part: -part[0].aval.size)
    sources = [
        body.source(x, (*index[:axis], i - lo, *index[axis + 1 :])) for x, lo in parts
    ]
    x, first = parts[0]
    test = body.within(i, first, x.aval.shape[axis], shape[axis])
    if test is None:
        return body.at(*sources[0])
    if test is FALSE:
        del parts[0], sources[0]
    elif body.surveys:
        body.at(*sources[0])
    tests = [body.between(i, lo, lo + x.aval.shape[axis], end) for x, lo in parts]
    return one_of(body, tests, sources, eqn.out.aval.dtype)


def one_of(
    body: Body, tests: list[Atom], sources: list[tuple[Atom, Index]], dtype: Any
) -> Atom:
    """An element of the source whose test holds; of one array, by a choice of index."""
    x, where = sources[0]
    if all(y is x for y, _ in sources):
        for test, (_, other) in zip(tests[1:], sources[1:], strict=True):
            where = tuple(
                i if i == j else body.choice(test, j, i)
                for i, j in zip(where, other, strict=True)
            )
        return body.at(x, where)
    out = scalar_var(dtype)
    body.emit(Let(out, Literal(dtype.type(0).item(), dtype)))

    def read(x: Atom, where: Index) -> None:
        body.emit(Let(out, body.at(x, where)))

    for k, (test, source) in enumerate(zip(tests, sources, strict=True)):
        body.only_if(test, partial(read, *source), rarely=k > 0)
    return body.placed_here(out)


def operands_at(eqn: Eqn) -> Iterator[tuple[Atom, int]]:
    """What is concatenated, and where each begins."""
    offset = 0
    for x in eqn.inputs:
        yield x, offset
        offset = offset + x.aval.shape[eqn.params["axis"]]


def _iota(body: Body, eqn: Eqn, index: Index) -> Atom:
    value = body.integer(index[0])
    dtype = eqn.out.aval.dtype
    return value if dtype == INT64 else body.scalar("cast", value, dtype=dtype)


def gather_index(body: Body, indices: list[Atom], eqn: Eqn, index: Index) -> Index:
    """Where element `index` of a gathered array lies in the array it is from."""
    axes, n = eqn.params["axes"], indices[0].aval.ndim
    where = {
        axis: body.as_index(body.at(i, index[:n]))
        for axis, i in zip(axes, indices, strict=True)
    }
    rest = iter(index[n:])
    ndim = eqn.inputs[0].aval.ndim
    return tuple(where[k] if k in where else next(rest) for k in range(ndim))


def _gather(body: Body, eqn: Eqn, index: Index) -> Atom:
    x, *indices = eqn.inputs
    return body.at(x, gather_index(body, indices, eqn, index))


def _outer(body: Body, eqn: Eqn, index: Index) -> Atom:
    """An element of a dot that contracts nothing."""
    (a, b), batch = eqn.inputs, eqn.params["batch"]
    n = a.aval.ndim
    return body.scalar(
        "mul", body.at(a, index[:n]), body.at(b, index[:batch] + index[n:])
    )


PULL: dict[str, Pull] = {
    "dot": _outer,
    "iota": _iota,
    "gather": _gather,
    "concatenate": _concatenate,
    "pad": _pad,
    "setitem": _update,
    "acc_slice": _update,
}


def is_few(size: int, whole: int) -> bool:
    """Whether a part of an axis is the smaller one."""
    return 2 * int(size) < int(whole)


def near(start: float | None, size: int, whole: int) -> str:
    """Which quarter of an axis a part lies in, "first" or "last"; "" if in neither."""
    if start is None or (4 * start < 3 * whole and 4 * (start + size) > whole):
        return ""
    return "first" if 4 * (start + size) <= whole else "last"


def _surely_within(i: Affine, lo: Affine, hi: Affine) -> bool | None:
    """Whether lo <= i < hi, at any sizes; None where it depends."""
    above, below = (i - lo).constant, (hi - 1 - i).constant
    if any(d is not None and d < 0 for d in (above, below)):
        return False
    return True if above is not None and below is not None else None


def resolved(atom: Atom, integers: dict[Var, Affine]) -> Affine:
    """An integer scalar by what it was computed from, as far as that is linear."""
    known = integers.get(atom) if isinstance(atom, Var) else None
    return Affine.of(atom) if known is None else known


def linear(eqn: Eqn, integers: dict[Var, Affine]) -> Affine | None:
    """The output of an equation on integer scalars, if it is linear in them."""
    if eqn.out.aval.dtype != INT64 or eqn.prim.name not in ("add", "sub", "neg", "mul"):
        return None
    a, *rest = (resolved(x, integers) for x in eqn.inputs)
    if eqn.prim.name == "neg":
        return a.times(-1)
    (b,) = rest
    if eqn.prim.name == "mul":
        if a.constant is not None:
            return b.times(a.constant)
        return None if b.constant is None else a.times(b.constant)
    return a + b if eqn.prim.name == "add" else a - b


def only_unit_axes(eqn: Eqn) -> bool:
    """Whether a reshape only adds or drops axes of extent 1."""
    (x,) = eqn.inputs
    before = [int(n) for n in x.aval.shape if n != 1]
    return before == [int(n) for n in eqn.out.aval.shape if n != 1]
