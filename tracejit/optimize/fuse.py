"""The loop tree that statements over arrays are fused into.

Going through the statements in order, each joins the first loop of its extent that
comes after all it depends on, if what it shares with the statements there is touched at
the loop's own index only; so again inside that loop.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tracejit.ir.program import Eqn, Literal, Var
from tracejit.optimize.nest import (
    INT64,
    ZERO,
    Accumulate,
    Affine,
    Buffer,
    Call,
    Check,
    Grow,
    If,
    Index,
    Let,
    Load,
    Loop,
    Node,
    Parallel,
    Reset,
    Rotate,
    Store,
    While,
    children,
    scalar_var,
)
from tracejit.optimize.pull import Body, Home, Range
from tracejit.optimize.statements import Stmt, StoreStmt
from tracejit.optimize.traffic import value_of

#: Stand-ins for the loop indices of each depth, so that accesses can be compared.
LANES = [scalar_var(INT64) for _ in range(64)]


#: Where the tests of a loop's index hold, and where the arrays end that they are of.
Bounds: TypeAlias = tuple[Affine, Affine, Affine, Affine]


# What a piece of code touches --------------------------------------------------------


@dataclass(slots=True)
class Touched:
    """Reads and writes of scalars and of buffers; index None is anywhere."""

    reads: list[tuple[Buffer, Index | None]] = field(default_factory=list)
    writes: list[tuple[Buffer, Index | None]] = field(default_factory=list)
    scalars_read: set[Var] = field(default_factory=set)
    scalars_written: set[Var] = field(default_factory=set)
    ranges: list[Range] = field(default_factory=list)
    barrier: bool = False

    @property
    def read(self) -> Iterator[Any]:
        """The scalars and buffers that are read."""
        yield from self.scalars_read
        yield from (buffer for buffer, _ in self.reads)

    @property
    def written(self) -> Iterator[Any]:
        """The scalars and buffers that are written to."""
        yield from self.scalars_written
        yield from (buffer for buffer, _ in self.writes)

    def add(self, node: Node, anywhere: bool) -> None:
        """Include a node; `anywhere` forgets the indices (it has loops of its own)."""
        read, written = self.scalars_read, self.scalars_written
        if isinstance(node, Eqn):
            read.update(a for a in node.inputs if isinstance(a, Var))
            written.update(node.outputs)
        elif isinstance(node, Load):
            self.reads.append((node.buffer, None if anywhere else _place(node)))
            read.update(v for a in node.index for v in a.vars)
            written.add(node.out)
        elif isinstance(node, Store):
            self.writes.append((node.buffer, None if anywhere else _place(node)))
            read.update(v for a in node.index for v in a.vars)
            read.update([node.value] if isinstance(node.value, Var) else [])
        elif isinstance(node, Let | Accumulate):
            value = node.value
            read.update(value.vars if isinstance(value, Affine) else vars_of([value]))
            written.add(node.target)
        elif isinstance(node, Grow | Reset):
            self.writes.append((node.buffer, None))
            if isinstance(node, Grow):
                read.update(node.row.vars)
            elif node.source is not None:
                self.reads.append((node.source, None))
        elif isinstance(node, Rotate):
            for target, source in node.moves:
                self.writes.append((target, None))
                self.reads.append((source, None))
        elif isinstance(node, Call):
            self.reads += [(b, None) for b in node.reads]
            self.writes += [(b, None) for b in node.writes]
            read.update(vars_of(node.args))
        else:
            self.add_block(node, anywhere)

    def add_block(
        self, node: Loop | Parallel | While | If | Check, anywhere: bool
    ) -> None:
        self.barrier |= isinstance(node, Check)
        self.scalars_read.update(
            v
            for name in ("lo", "hi", "step")
            for v in getattr(node, name, Affine.of(0)).vars
        )
        if isinstance(node, Loop):
            self.scalars_written.add(node.index)
        for atom in (getattr(node, "ok", None), getattr(node, "pred", None)):
            self.scalars_read.update(vars_of([atom]))
        for inner in children(node):
            self.add(inner, anywhere=anywhere or not isinstance(node, If))


def _place(node: Load | Store) -> Index:
    """Where a buffer is touched, whatever axes of extent 1 it is seen with."""
    return tuple(i for i, n in zip(node.index, node.shape, strict=True) if n != 1)


def vars_of(items: Sequence[Any]) -> Iterator[Var]:
    for item in items:
        if isinstance(item, Var):
            yield item
        elif isinstance(item, Affine):
            yield from item.vars


# The loop tree ---------------------------------------------------------------------


Item: TypeAlias = Any  # Node | Stmt
Member: TypeAlias = tuple[Item, Touched]


class Recorded:
    """Under which numbers the scalars and buffers were touched, and written."""

    def __init__(self) -> None:
        self.touched: dict[Any, list[int]] = {}
        self.written: dict[Any, list[int]] = {}
        self.barriers: list[int] = []

    def add(self, touched: Touched, number: int) -> None:
        for thing in touched.written:
            self.written.setdefault(thing, []).append(number)
            self.touched.setdefault(thing, []).append(number)
        for thing in touched.read:
            self.touched.setdefault(thing, []).append(number)
        if touched.barrier:
            self.barriers.append(number)

    def conflicting(self, touched: Touched) -> Iterator[Sequence[int]]:
        """The numbers of all that must stay before; barriers are for the caller."""
        yield self.barriers
        for thing in touched.read:
            yield self.written.get(thing, ())
        for thing in touched.written:
            yield self.touched.get(thing, ())


class Group:
    """Statements that share a loop, or one node that stands alone (`extent` None)."""

    def __init__(self, extent: int | None, member: Member):
        self.extent = extent
        self.members = [member]
        self.record = Recorded()
        self.recorded = 0

    def conflicting(self, touched: Touched) -> list[Member]:
        """The members that what touches this must not run before, or beside."""
        if touched.barrier:
            return self.members
        for number in range(self.recorded, len(self.members)):
            self.record.add(self.members[number][1], number)
        self.recorded = len(self.members)
        numbers = set().union(*self.record.conflicting(touched))
        return [self.members[k] for k in sorted(numbers)]


class Groups:
    """The loops at one depth, in order, as members are put into them."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.record = Recorded()
        self.by_extent: dict[int, list[int]] = {}

    def last(self, touched: Touched) -> int:
        """The last group that must stay before what touches this; -1: there is none."""
        if touched.barrier:
            return len(self.groups) - 1
        found = self.record.conflicting(touched)
        return max((max(numbers) for numbers in found if numbers), default=-1)

    def first(self, extent: int, after: int) -> int | None:
        """The first loop of this extent after a group."""
        numbers = self.by_extent.get(int(extent), [])
        k = bisect_right(numbers, after)
        return numbers[k] if k < len(numbers) else None

    def add(self, member: Member, number: int) -> None:
        self.groups[number].members.append(member)
        self.record.add(member[1], number)

    def append(self, extent: int | None, member: Member) -> None:
        number = len(self.groups)
        self.groups.append(Group(extent, member))
        self.record.add(member[1], number)
        if extent is not None:
            self.by_extent.setdefault(int(extent), []).append(number)


class Fuser:
    """Turns the items of a region, in order, into nodes."""

    def __init__(
        self,
        homes: dict[Var, Home],
        defs: dict[Var, Eqn],
        integers: dict[Var, Affine],
        arrange: Callable[[Fuser, list[Member]], list[Member]],
    ):
        self.homes, self.defs, self.integers = homes, defs, integers
        #: What the statements of a region are made before they are put in loops.
        self.arrange = arrange
        #: For each lazy value: the loops and indices where it was computed, and by whom
        #: it was asked for.
        self.computed: dict[Var, tuple[set[Any], set[Var | None]]] = {}
        self.repeated: set[Var] = set()

    def nodes(self, items: Sequence[Item]) -> list[Node]:
        members = [(item, self.touched(item)) for item in items]
        members = self.arrange(self, fills_first(members))
        out: list[Node] = []
        for group in self.groups(members, 0):
            if group.extent is None and not isinstance(group.members[0][0], Stmt):
                out.append(group.members[0][0])
                continue
            body = Body(self.homes, self.defs, self.integers)
            self.emit(group, body, ())
            self.note(body)
            out += body.levels[0].nodes
        return out

    def note(self, body: Body) -> None:
        self.repeated |= body.repeated
        for var, index, by in body.computed:
            places, asked = self.computed.setdefault(var, (set(), set()))
            places.add((id(body), index))
            asked.add(by)

    def touched(self, item: Item) -> Touched:
        """What an item reads and writes, in terms of the `LANES` indices."""
        touched = Touched()
        if not isinstance(item, Stmt):
            touched.add(item, anywhere=False)
            return touched
        body, first = Body(self.homes, self.defs, self.integers), scalar_var(bool).id
        body.depth_of, body.surveys = dict.fromkeys(LANES, 0), True
        index = tuple(Affine.of(v) for v in LANES[: len(item.extents)])
        kept = index[: item.reduced] if item.reduced is not None else index
        item.before(body, kept)
        item.element(body, index)
        item.after(body, kept)
        for level in body.levels:
            for node in level.nodes:
                touched.add(node, anywhere=False)
        touched.scalars_read -= touched.scalars_written
        inner = touched.scalars_written.union(LANES)
        touched.ranges = [
            bounds
            for bounds in body.ranges
            if all(inner.isdisjoint(bound.vars) for bound in bounds[1:])
        ]
        # What was made just now nobody else can know.
        touched.scalars_written = {v for v in touched.scalars_written if v.id < first}
        return touched

    def groups(self, members: list[tuple[Item, Touched]], depth: int) -> list[Group]:
        """Members distributed over loops at this depth."""
        found = Groups()
        for member in members:
            item, touched = member
            if not isinstance(item, Stmt) or len(item.extents) <= depth:
                found.append(None, member)
                continue
            extent, last = item.extents[depth], found.last(touched)
            home = found.first(extent, last)
            if last >= 0:
                group = found.groups[last]
                fits = group.extent is not None and int(group.extent) == int(extent)
                if fits and self.aligned(group, member, depth):
                    home = last
            if home is None:
                found.append(extent, member)
            else:
                found.add(member, home)
        return found.groups

    def aligned(self, group: Group, member: tuple[Item, Touched], depth: int) -> bool:
        """Whether each iteration of the shared loop touches elements of its own."""
        return all(
            self.aligned_pair(m, member, depth) for m in group.conflicting(member[1])
        )

    def aligned_pair(self, first: Any, second: Any, depth: int) -> bool:
        (earlier, a), (_, b) = first, second
        if a.scalars_written & b.scalars_read or b.barrier:
            return False
        if earlier.reduced is not None and depth >= earlier.reduced:
            return not clashes(a, b)
        return all(_same_lane(x, y, depth) for x, y in clashes(a, b))

    def emit(self, group: Group, body: Body, index: Index) -> None:
        """The code of a group, in the loops that `index` runs over."""
        if group.extent is None:
            for stmt, _ in group.members:
                body.loc = stmt.loc
                stmt.element(body, index)
            return
        depth = len(index)
        reducing = [s for s, _ in group.members if s.reduced == depth]
        for stmt in reducing:
            body.loc = stmt.loc
            stmt.before(body, index)
        ranges = self.ranges(group, depth)
        if ranges:
            self.split(group, body, index, ranges)
        else:
            var = self.index_at(depth)
            body.open_loop(var)
            self.inside(group, body, (*index, Affine.of(var)))
            body.close_loop(var, 0, group.extent, group.members[0][0].loc)
        for stmt in reducing:
            body.loc = stmt.loc
            stmt.after(body, index)

    def inside(self, group: Group, body: Body, index: Index) -> None:
        for inner in self.groups(group.members, len(index)):
            self.emit(inner, body, index)

    def index_at(self, depth: int) -> Var:
        return scalar_var(INT64, "ijklmn"[depth % 6])

    def ranges(self, group: Group, depth: int) -> list[Bounds]:
        """What the index of a group's loop is tested for, if it is worth a loop each.

        Small loops are unrolled; scans must go through their elements in order.
        """
        assert group.extent is not None
        small = Affine.of(group.extent).constant is not None
        if small or any(s.ordered for s, _ in group.members):
            return []
        lane = LANES[depth]
        found = (r for _, touched in group.members for r in touched.ranges)
        return list(
            dict.fromkeys(
                (lo, hi, start, end) for var, lo, hi, start, end in found if var is lane
            )
        )

    def split(
        self,
        group: Group,
        body: Body,
        index: Index,
        ranges: Sequence[Bounds],
    ) -> None:
        """One loop over where all tests hold, without them, and one over the rest."""
        assert group.extent is not None
        loc, depth = group.members[0][0].loc, len(index)
        los, his = ([bounds[k] for bounds in ranges] for k in range(2))
        # What reads a part of an array may leave out where the tests change.
        whole = Affine.of(group.extent)
        los += [ZERO for bounds in ranges if bounds[2] != ZERO]
        his += [whole for bounds in ranges if bounds[3] != whole]
        lo = body.extremum("maximum", los)
        hi = body.extremum("minimum", his)
        if len(his) > 1:
            hi = body.extremum("maximum", [lo, hi])
        var = self.index_at(depth)
        body.open_loop(var)
        known = {(var, *bounds) for bounds in ranges}
        body.assumed |= known
        self.inside(group, body, (*index, Affine.of(var)))
        body.assumed -= known
        rounds = _rounds(los, his)
        body.close_loop(var, lo, hi, loc, rounds)
        # What lies before and behind is run through by one counter.
        counter = self.index_at(depth)
        body.open_loop(counter)
        here = body.integer(Affine.of(counter))
        beyond = body.integer(Affine.of(counter) + hi - lo)
        first = body.scalar("lt", here, body.integer(lo))
        var = body.scalar("select", first, here, beyond)
        saved, body.again = body.again, True
        self.inside(group, body, (*index, Affine.of(var)))
        body.again = saved
        rest = None if rounds is None else group.extent - rounds
        body.close_loop(counter, 0, lo - hi + group.extent, loc, rest)


def _rounds(los: Sequence[Affine], his: Sequence[Affine]) -> float | None:
    """How many indices lie in all ranges, where sizes tell."""
    lows = [low for lo in los if (low := value_of(lo)) is not None]
    highs = [high for hi in his if (high := value_of(hi)) is not None]
    if len(lows) + len(highs) < len(los) + len(his):
        return None
    return max(min(highs) - max(lows), 0)


def fills_first(members: list[Member]) -> list[Member]:
    """The members, those in front that store a number in an array nobody has touched.

    Between two statements that fit into one loop they would keep them apart.
    """
    touched: set[Any] = set()
    first: list[Member] = []
    rest: list[Member] = []
    for member in members:
        item, its = member
        fill = isinstance(item, StoreStmt) and isinstance(item.value, Literal)
        fill = (
            fill
            and item.op is None
            and item.part is None
            and not its.scalars_read - {*LANES}
        )
        written = {buffer for buffer, _ in its.writes}
        if fill and touched.isdisjoint(written) and not any(its.reads):
            first.append(member)
        else:
            rest.append(member)
        touched.update(its.read, its.written)
    return [*first, *rest]


def clashes(a: Touched, b: Touched) -> list[tuple[Index | None, Index | None]]:
    """Pairs of accesses to one buffer of which at least one writes."""
    pairs = [(a.writes, b.reads), (a.reads, b.writes), (a.writes, b.writes)]
    return [
        (i, j)
        for mine, theirs in pairs
        for buffer, i in mine
        for other, j in theirs
        if other is buffer
    ]


def _same_lane(i: Index | None, j: Index | None, depth: int) -> bool:
    """Whether two accesses use the loop at `depth` alike, on an axis of its own."""
    if i is None or j is None or len(i) != len(j):
        return False
    lane = LANES[depth]
    return any(
        a == b and lane in a.terms and set(a.terms) & set(LANES) == {lane}
        for a, b in zip(i, j, strict=True)
    )
