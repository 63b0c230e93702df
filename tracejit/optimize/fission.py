"""Loops over rows taken in blocks, with each kind of work in a loop of its own.

    for i in range(n):                  for start in range(0, n, ROWS):
        s = 0                               for i in start to stop:
        for j in range(m):                      s = 0
            s += X[i, j] * w[j]                 for j in range(m): s += X[i, j] * w[j]
        out[i] = exp(s)                         t[i - start] = s
                                            for i in start to stop:
                                                out[i] = exp(t[i - start])

LLVM makes vectors of innermost loops without a chain through their rounds only: before,
of no `exp`, and of short loops in vain. So what is costly leaves the loops that others
stand in, or that a recurrence runs through; and of a loop within a loop that has few
rounds the rows become the inner one. Within a block, rows are still in the cache.

Two nodes may be parted where no row touches what another one does. What does not part
stays in one loop, in the order that it had: scalars handed from row to row, arrays that
rows share. Sums may be reordered, and so stand anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeAlias

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import REGISTRY, Elementwise
from tracejit.ir.program import Eqn, Var
from tracejit.optimize.clones import Renamed, clone
from tracejit.optimize.nest import (
    INT64,
    Accumulate,
    Affine,
    Buffer,
    Call,
    If,
    Let,
    Load,
    Loop,
    Node,
    Rotate,
    Store,
    scalar_var,
)
from tracejit.optimize.registers import plain_sums
from tracejit.optimize.units import (
    CHAIN,
    CHEAP,
    LONG,
    SHORT_LOOP,
    VECTOR,
    Unit,
    arranged,
)
from tracejit.optimize.unroll import expected, rounds, unrolled
from tracejit.optimize.walks import assigned, everything, reads_of

#: Rows in a block: what they hand on stays in the nearest cache.
ROWS = 128
#: From this cost on a function pays for a loop of its own.
COSTLY = 10
#: So many operations for each sum that goes where data say pay for a loop of theirs.
MUCH = 6
#: Shorter loops make poor vectors, or not so short ones with loops in them.
SHORT, SHORT_WITH_LOOPS = 16, 33
#: Loops of so many rounds are taken apart, into so many nodes.
TAKEN_APART, SMALL_BODY = 8, 96
#: So many numbers of a row are put side by side.
MOST_LIFTED = 16
#: Longer bodies are left alone, but for those that sums of rows hold up.
LONGEST, LONGEST_HELD_UP = 160, 420

PLAIN = (Eqn, Load, Store, Let, Accumulate)


def fission(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel, with the loops that gain by it taken in blocks."""
    return _block(nodes, _uses(nodes))


def _uses(nodes: Sequence[Node]) -> Counter[Var | Buffer]:
    """How often each scalar is read and each buffer touched."""
    return Counter(
        thing
        for node in everything(nodes)
        for things in (reads_of(node), _buffers(node))
        for thing in things
    )


def _buffers(node: Node) -> Iterator[Buffer]:
    """The buffers that a node itself touches."""
    for name in ("buffer", "source"):
        buffer = getattr(node, name, None)
        if isinstance(buffer, Buffer):
            yield buffer
    if isinstance(node, Call):
        yield from (*node.reads, *node.writes)
    elif isinstance(node, Rotate):
        yield from (b for move in node.moves for b in move)


def _block(nodes: Sequence[Node], uses: Counter[Var | Buffer]) -> list[Node]:
    out: list[Node] = []
    for node in nodes:
        new = Rows(node, uses).blocked() if isinstance(node, Loop) else None
        if new is None:
            for name in ("body", "then", "otherwise"):
                if hasattr(node, name):
                    setattr(node, name, _block(getattr(node, name), uses))
        out.append(new or node)
    return out


@dataclass
class Leaf:
    """Nodes for a loop of their own over the rows."""

    nodes: list[Node]


@dataclass
class Turned:
    """A short loop around loops over the rows."""

    loop: Loop
    parts: list[Part]


Part: TypeAlias = Leaf | Turned


class Rows:
    """One loop, whose rounds are rows.

    Scalars are each row's own, or `carried` from row to row, or `sums`, which are only
    added to; so are buffers: `mixed` are those in which rows meet.
    """

    def __init__(self, loop: Loop, uses: Counter[Var | Buffer]):
        # A sum that nothing reads on the way is no recurrence.
        self.loop = loop = replace(loop, body=plain_sums(loop.body))
        self.inside = list(everything(loop.body))
        self.uses = uses
        self.rooms: dict[Var | Buffer, Buffer] = {}
        self.short: set[Node] = set()
        self.lifted: set[Var] = set()

    def blocked(self) -> Loop | None:
        """The loop in blocks; None where it may not be, or nothing is gained."""
        loop = self.loop
        # A loop of the user's own has one source for any number of rounds.
        few = expected(loop) if loop.carried is None else rounds(loop)
        if loop.step.constant != 1 or (few is not None and few < ROWS // 2):
            return None
        if not self.may_gain():
            return None
        if len(self.inside) > (LONGEST_HELD_UP if self.scatters else LONGEST):
            return None
        if not all(isinstance(n, (*PLAIN, Loop, If)) for n in self.inside):
            return None
        self.lift_loads()
        self.classify()
        parts = self.parts(self.loop.body)
        if len(parts) == 1 and isinstance(parts[0], Leaf):
            return None
        return self.assembled(parts)

    def may_gain(self) -> bool:
        """Whether there are costly nodes, or loops in loops, and not these alone."""
        self.scatters = self.is_held_up()
        return self.scatters or any(_is_costly(n) or _may_turn(n) for n in self.inside)

    def is_held_up(self) -> bool:
        """Whether much arithmetic could be done in vectors, but for sums of rows that
        go where data say, each after the other."""
        made = {v for n in self.inside for v in assigned(n)}
        plain = all(isinstance(n, PLAIN) for n in self.inside)
        spots = sum(
            isinstance(n, Store)
            and n.op == "add"
            and not made.isdisjoint(v for i in n.index for v in i.vars)
            for n in self.inside
        )
        return plain and 0 < MUCH * spots <= sum(map(_is_arithmetic, self.inside))

    def lift_loads(self) -> None:
        """Take apart the loops in short ones, and out of these what each round loads
        from another place of its row: a block then has it side by side."""
        body: list[Node] = []
        for node in self.loop.body:
            if not _may_turn(node):
                body.append(node)
                continue
            assert isinstance(node, Loop)
            inside = _apart(node.body)
            spread = [n for n in inside if isinstance(n, Load) and self.is_spread(n)]
            spread = spread[:MOST_LIFTED]
            self.lifted |= {n.out for n in spread}
            short = replace(node, body=[n for n in inside if n not in spread])
            self.short.add(short)
            body += [*spread, short]
        self.loop = replace(self.loop, body=body)
        self.inside = list(everything(body))

    def is_spread(self, load: Load) -> bool:
        """Whether the rows have this in places apart, and nobody changes it."""
        stores = (n.buffer for n in self.inside if isinstance(n, Store))
        vars_of = {v for i in load.index for v in i.vars}
        last = self.loop.index in load.index[-1].terms if load.index else True
        if last or vars_of != {self.loop.index}:
            return False
        return load.buffer not in stores

    # What rows share ------------------------------------------------------------------

    def classify(self) -> None:
        made = {v for node in self.inside for v in assigned(node)}
        indices = {n.index for n in self.inside if isinstance(n, Loop)}
        within = _uses(self.loop.body)
        beyond = {v for v in made if self.uses[v] > within[v]}
        early = set(_read_early(self.loop.body, made, set()))
        summed: dict[Var, set[str]] = {}
        for node in self.inside:
            for v in assigned(node):
                op = node.op if isinstance(node, Accumulate) else ""
                summed.setdefault(v, set()).add(op)
        self.sums = {
            v
            for v, ops in summed.items()
            if len(ops) == 1 and "" not in ops and not within[v] and v in early
        }
        self.carried = ((early | beyond) & made) - self.sums
        self.own = made - self.carried - self.sums - indices
        accesses: dict[Buffer, list[Load | Store]] = {}
        for node in self.inside:
            if isinstance(node, Load | Store):
                accesses.setdefault(node.buffer, []).append(node)
        self.stored = {n.buffer for n in self.inside if isinstance(n, Store)}
        free = {b for b in self.stored if _only_summed(accesses[b])}
        axes = {b: self.row_axis(accesses[b]) for b in self.stored}
        self.mixed = {b for b in self.stored - free if axes[b] is None}
        self.ordered = self.stored - free - self.mixed
        #: Those that nobody else looks at, and the axis that is the rows'.
        self.passing = {
            b: axis
            for b, axis in axes.items()
            if axis is not None and self.uses[b] == within[b] and _is_passing(b)
        }

    def row_axis(self, accesses: Sequence[Load | Store]) -> int | None:
        """The axis that is the rows', if each touches elements of its own."""
        first, *rest = accesses
        for k, i in enumerate(first.index):
            own = i.terms == {self.loop.index: 1}
            if own and all(a.shape == first.shape and a.index[k] == i for a in rest):
                return k
        return None

    # What goes together ---------------------------------------------------------------

    def parts(self, body: Sequence[Node]) -> list[Part]:
        """The loops that a block of rows becomes."""
        out: list[Part] = []
        for kind, nodes in arranged(*self.units(body)):
            if kind == SHORT_LOOP:
                (loop,) = nodes
                assert isinstance(loop, Loop)
                out.append(Turned(loop, self.parts(loop.body)))
            else:
                out.append(Leaf(nodes))
        return out

    def units(self, body: Sequence[Node]) -> tuple[list[Unit], list[set[int]]]:
        """What stays together, in order, and for each unit those it comes after."""
        touched = [_Touched(node) for node in body]
        group = list(range(len(body)))
        after: list[set[int]] = [set() for _ in body]
        tied: dict[Any, int] = {}
        for k, mine in enumerate(touched):
            for thing in mine.all & (self.carried | self.mixed):
                group[k] = _merge(group, tied.setdefault(thing, k), k)
            for before in range(k):
                if self.depends(touched[before], mine):
                    after[k].add(before)
        while True:
            graph: dict[int, set[int]] = {g: set() for g in group}
            for k, earlier in enumerate(after):
                graph[group[k]] |= {group[e] for e in earlier} - {group[k]}
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                for other in error.args[1]:
                    _merge(group, error.args[1][0], other)
            else:
                break
        units = [
            Unit([(k, n) for k, n in enumerate(body) if group[k] == g])
            for g in sorted(graph)
        ]
        place = {g: k for k, g in enumerate(sorted(graph))}
        for unit in units:
            unit.kind = self.kind([n for _, n in unit.nodes])
        return units, [{place[e] for e in graph[g]} for g in sorted(graph)]

    def depends(self, a: _Touched, b: _Touched) -> bool:
        """Whether b must stay behind a: one of them writes what the other touches."""
        shared = self.own | self.ordered | self.mixed
        return not shared.isdisjoint((a.written & b.all) | (a.all & b.written))

    def kind(self, nodes: Sequence[Node]) -> str:
        if len(nodes) == 1:
            (node,) = nodes
            if self.is_short(node):
                return SHORT_LOOP
            if not isinstance(node, Loop):
                if isinstance(node, Store) and self.is_scattered(node):
                    return CHAIN
                held_up = self.scatters and _is_arithmetic(node)
                return VECTOR if held_up or _is_costly(node) else CHEAP
            if _is_taken_apart(node):
                return VECTOR if _has_costly([node]) else CHEAP
            return LONG
        return LONG if any(isinstance(n, Loop) for n in nodes) else CHAIN

    def is_scattered(self, store: Store) -> bool:
        """Whether data say where it goes: no two rows are known to be apart."""
        return not self.own.isdisjoint(v for i in store.index for v in i.vars)

    def is_short(self, node: Node) -> bool:
        """Whether a loop is to stand around those over the rows: they do not meet in
        it, and it has as many rounds in each."""
        if node not in self.short:
            return False
        assert isinstance(node, Loop)
        touched = _Touched(node)
        if not touched.all.isdisjoint(self.carried | self.mixed):
            return False
        bounds = {v for a in (node.lo, node.hi, node.step) for v in a.vars}
        return bounds.isdisjoint(self.own | {self.loop.index})

    # Code -----------------------------------------------------------------------------

    def assembled(self, parts: Sequence[Part]) -> Loop:
        """The loop over blocks."""
        loop = self.loop
        self.start, stop = scalar_var(INT64, "start"), scalar_var(INT64, "stop")
        end, whole = scalar_var(INT64), scalar_var(INT64)
        self.stop = Affine.of(stop)
        self.leaves = Counter(
            v
            for leaf in _leaves(parts)
            for v in {x for n in everything(leaf.nodes) for x in _scalars(n)}
        )
        #: What a row's own scalar is again in another loop.
        self.simple = {
            v: node
            for node in loop.body
            for v in assigned(node)
            if v in self.own - self.lifted and self.is_simple(node)
        }
        #: Where rows that are the inner loops leave something for one another.
        turned = [p.loop for p in parts if isinstance(p, Turned)]
        self.across = {b for n in everything(turned) for b in _buffers(n)}
        body = self.code(parts)
        kept = {n.buffer for n in everything(body) if isinstance(n, Load)}
        unread = {self.rooms[v] for v in self.rooms if isinstance(v, Var)} - kept
        nodes: list[Node] = [
            Let(end, Affine.of(self.start) + ROWS),
            Let(whole, loop.hi),
            Eqn(REGISTRY["minimum"], [end, whole], [stop]),
            *_without(body, unread),
        ]
        return replace(loop, index=self.start, step=Affine.of(ROWS), body=nodes)

    def is_simple(self, node: Node) -> bool:
        """Whether it is as well to run a node again: it loads what does not change, or
        is the only one to set a scalar to a number."""
        if isinstance(node, Load):
            moving = {v for i in node.index for v in i.vars} - {self.loop.index}
            return node.buffer not in self.stored and moving.isdisjoint(self.own)
        return False

    def code(self, parts: Sequence[Part]) -> list[Node]:
        out: list[Node] = []
        for part in parts:
            if isinstance(part, Leaf):
                out.append(self.leaf(part.nodes))
            else:
                out.append(replace(part.loop, body=self.code(part.parts)))
        return out

    def leaf(self, nodes: Sequence[Node]) -> Loop:
        """A loop over the rows of a block, for some of what is done for each."""
        index = scalar_var(INT64, self.loop.index.hint)
        renamed: Renamed = {self.loop.index: index}
        place = (Affine.of(index) - self.start,)
        body: list[Node] = []
        made = {v for n in everything(nodes) for v in assigned(n)} & self.own
        for v in dict.fromkeys(_read_early(nodes, self.own, set())):
            if v in self.simple and v not in made:
                body += clone([self.simple[v]], renamed)
            elif self.leaves[v] > 1:
                new = renamed[v] = scalar_var(v.aval.dtype, v.hint)
                room = self.room(v)
                body.append(Load(new, room, room.aval.shape, place, self.loop.loc))
        for v in made:  # what is assigned to several times has one name in this loop
            renamed.setdefault(v, scalar_var(v.aval.dtype, v.hint))
        copies = clone(_apart(nodes), renamed)
        for node in everything(copies):
            if isinstance(node, Let | Accumulate):
                node.target = _named(renamed, node.target)
            elif isinstance(node, Load | Store) and node.buffer in self.passing:
                self.keep_in_block(node, Affine.of(index))
        body += copies
        for v in sorted(made, key=lambda v: v.id):
            if self.leaves[v] > 1 and v not in self.simple:
                room, value = self.room(v), _named(renamed, v)
                body.append(Store(room, room.aval.shape, place, value))
        lo = Affine.of(self.start)
        return Loop(
            index, lo, self.stop, Affine.of(1), body, self.loop.reverse, self.loop.loc
        )

    def keep_in_block(self, node: Load | Store, row: Affine) -> None:
        """An access to what a block of rows alone has need of: it has no other rows."""
        axis, old = self.passing[node.buffer], node.buffer
        others = [k for k in range(len(node.index)) if k != axis]
        # The axis of the innermost loop is the last one.
        place = [*others, axis] if old in self.across else [axis, *others]
        if old not in self.rooms:
            extents = [ROWS if k == axis else node.shape[k] for k in place]
            self.rooms[old] = Buffer(Aval(old.aval.dtype, tuple(extents)), old.hint)
        node.buffer = self.rooms[old]
        node.shape = node.buffer.aval.shape
        index = [row - self.start if k == axis else node.index[k] for k in place]
        node.index = tuple(index)

    def room(self, v: Var) -> Buffer:
        """Where a block keeps a scalar of each of its rows."""
        if v not in self.rooms:
            self.rooms[v] = Buffer(Aval(v.aval.dtype, (ROWS,)), v.hint)
        return self.rooms[v]


@dataclass
class _Touched:
    """The scalars and buffers that a node touches, and writes, with all it holds."""

    node: Node
    all: set[Any] = field(default_factory=set)
    written: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        for node in everything([self.node]):
            self.all.update(_scalars(node))
            self.written.update(assigned(node))
            if isinstance(node, Load | Store):
                self.all.add(node.buffer)
            if isinstance(node, Store):
                self.written.add(node.buffer)


def _scalars(node: Node) -> Iterator[Var]:
    yield from reads_of(node)
    yield from assigned(node)


def _named(renamed: Renamed, v: Var) -> Var:
    new = renamed.get(v, v)
    assert isinstance(new, Var)
    return new


def _merge(group: list[int], a: int, b: int) -> int:
    """Make one group of those of two nodes; its name is the first one's."""
    low, high = sorted((group[a], group[b]))
    group[:] = [low if g == high else g for g in group]
    return low


def _leaves(parts: Sequence[Part]) -> Iterator[Leaf]:
    for part in parts:
        if isinstance(part, Leaf):
            yield part
        else:
            yield from _leaves(part.parts)


def _read_early(nodes: Sequence[Node], of: set[Var], made: set[Var]) -> Iterator[Var]:
    """The scalars among `of` that these nodes read before they are sure to be made."""
    for node in nodes:
        read = [*reads_of(node)]
        if isinstance(node, Accumulate):
            read.append(node.target)
        yield from (v for v in read if v in of and v not in made)
        made = made | set(assigned(node))
        for name in ("body", "then", "otherwise"):
            yield from _read_early(getattr(node, name, ()), of, made)


def _only_summed(accesses: Sequence[Load | Store]) -> bool:
    kinds = {a.op if isinstance(a, Store) else None for a in accesses}
    return kinds == {"add"} and accesses[0].buffer.aval.dtype.kind == "f"


def _is_passing(buffer: Buffer) -> bool:
    """Whether a buffer is memory that the kernel may do without."""
    return buffer.role == "temporary" and not buffer.rotates and buffer.rows is None


def _is_costly(node: Node) -> bool:
    """Whether a node calls a function that there are vectors of."""
    return (
        isinstance(node, Eqn)
        and isinstance(node.prim, Elementwise)
        and node.prim.cost >= COSTLY
        and node.out.aval.dtype.kind == "f"
    )


def _is_arithmetic(node: Node) -> bool:
    return (
        isinstance(node, Eqn) and node.prim.single and node.out.aval.dtype.kind == "f"
    )


def _has_costly(nodes: Sequence[Node]) -> bool:
    return any(_is_costly(n) for n in everything(nodes))


def _may_turn(node: Node) -> bool:
    """Whether a loop is better around those over the rows: it has few rounds, in which
    there is something for vectors."""
    if not isinstance(node, Loop) or _is_taken_apart(node):
        return False
    if node.carried is not None:
        return False  # the user's own: its source serves any number of rounds
    inner = [n for n in everything(node.body) if isinstance(n, Loop)]
    if not all(map(_is_taken_apart, inner)):
        return False
    count = expected(node)
    if count is None or count >= (SHORT_WITH_LOOPS if inner else SHORT):
        return False
    return bool(inner) or _has_costly([node])


def _is_taken_apart(loop: Loop) -> bool:
    """Whether LLVM writes the rounds of a loop one after the other."""
    count = rounds(loop)
    straight = all(isinstance(n, PLAIN) for n in loop.body)
    small = count is not None and count * len(loop.body) <= SMALL_BODY
    return straight and small and count is not None and count <= TAKEN_APART


def _apart(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with their shortest loops taken apart: what is added up in one place
    in each of these rounds then goes to a register (see `registers`)."""
    out: list[Node] = []
    for node in nodes:
        short = isinstance(node, Loop) and _is_taken_apart(node)
        out += unrolled(node) if short else [node]  # type: ignore[arg-type]
    return out


def _without(nodes: Sequence[Node], unread: set[Buffer]) -> list[Node]:
    """The nodes without stores to these buffers."""
    out: list[Node] = []
    for node in nodes:
        if isinstance(node, Store) and node.buffer in unread:
            continue
        if isinstance(node, Loop):
            node.body = _without(node.body, unread)
            if not node.body:
                continue
        out.append(node)
    return out


__all__ = ["fission"]
