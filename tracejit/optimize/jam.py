"""Rows of a recurrence, run side by side.

    for i: for j: a[i, j] = f(a[i, j - 1], a[i - 1, j])

Every cell waits for the one before it, so that the processor is idle most of the time;
but the next row, a cell behind, need not wait for the end of this one:

    for i in steps of 2: for j: a[i, j] = …; a[i + 1, j] = …

So it is with rows that add to the same cells, `a[j] += x[i, j] * y[i]`: these are then
loaded and stored once for several rows.

A row that needs cells further along the one before it runs as many cells behind, with
the ends of both in loops of their own (and at least one, if cells take long):

    for i: for j: a[i, j] = f(a[i, j - 1], a[i - 1, j + 1])

What a cell is computed from, and how, stays the same (unroll and jam: Callahan, Cocke
and Kennedy, 1988). It is done where no round that is now later than one of the next
row touches what that one does, which linear inequalities decide; sums alone may be
taken in another order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from tracejit.ir import affine
from tracejit.ir.affine import Form
from tracejit.ir.aval import Aval
from tracejit.ir.inequalities import possible
from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Eqn, Literal, Var
from tracejit.optimize.clones import Renamed, clone
from tracejit.optimize.nest import (
    INT64,
    Accumulate,
    Affine,
    If,
    Let,
    Load,
    Loop,
    Node,
    Store,
    Symbol,
    children,
    scalar_var,
)
from tracejit.optimize.registers import drop_unread, plain_sums
from tracejit.optimize.traffic import trips
from tracejit.optimize.walks import assigned, everything, reads_of

#: How many rows run side by side, where their loop has at most so many nodes; of those
#: that have to lag behind by some cells, up to so many, two.
ROWS, LAGS = ((24, 4), (120, 2)), 4
#: The nodes that this may add to a kernel: each takes time to compile.
MOST = 1500
#: Adding to one cell is much of what so many nodes do.
MUCH = 12
#: What may stand in such a loop.
PLAIN = (Eqn, Load, Store, Let, Accumulate, If)


def jam(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel with such rows run side by side."""
    reads = Counter(v for node in everything(nodes) for v in reads_of(node))
    return drop_unread(_Jam(reads).block(nodes, ()))


@dataclass
class _Jam:
    """`reads`: how often a kernel reads each scalar; `left`: what may yet be added."""

    reads: Counter[Var]
    left: int = MOST

    def block(self, nodes: Sequence[Node], around: tuple[Loop, ...]) -> list[Node]:
        out: list[Node] = []
        for node in nodes:
            inside = (*around, node) if isinstance(node, Loop) else around
            for name in ("body", "then", "otherwise"):
                if hasattr(node, name):
                    setattr(node, name, self.block(getattr(node, name), inside))
            out += self.loop(node, around) if isinstance(node, Loop) else [node]
        return out

    def loop(self, loop: Loop, around: tuple[Loop, ...]) -> list[Node]:
        size = sum(1 for _ in everything(loop.body))
        count = next((rows for most, rows in ROWS if size <= most), 1)
        rows = _Rows.of(loop, around) if count > 1 else None
        if rows is None:
            return [loop]
        inside = Counter(v for n in everything([loop]) for v in reads_of(n))
        rows.find_sums()
        gains = rows.add_in_place() or waits(rows.inner)
        slide = 0 if gains else rows.slide()
        own = rows.own(self.reads - inside) if gains or slide else None
        found = rows.way(count, slide) if own is not None else None
        if own is None or found is None:
            return [loop]
        count, lag = found
        more = size * (count if lag == 0 else 3 * count)
        span = (loop.hi - loop.lo).constant
        if more > self.left or (span is not None and span < count):
            return [loop]
        self.left -= more
        return rows.side_by_side(count, lag, own)


@dataclass
class _Rows:
    """A loop over rows: what it does before and after its one loop along a row."""

    loop: Loop
    before: list[Node]
    inner: Loop
    after: list[Node]
    around: tuple[Loop, ...]

    @classmethod
    def of(cls, loop: Loop, around: tuple[Loop, ...]) -> _Rows | None:
        inner = [node for node in loop.body if isinstance(node, Loop)]
        if len(inner) != 1 or not _is_plain(loop.body, inner[0]):
            return None
        row = inner[0]
        own = {loop.index, *(v for node in loop.body for v in assigned(node))}
        if {loop.step.constant, row.step.constant} != {1}:
            return None
        if not own.isdisjoint((*row.lo.vars, *row.hi.vars)):
            return None
        at = loop.body.index(row)
        return cls(loop, loop.body[:at], row, loop.body[at + 1 :], around)

    # Scalars --------------------------------------------------------------------------

    def find_sums(self) -> None:
        """Have accumulations for what is but a sum."""
        self.inner.body = plain_sums(self.inner.body)
        self.loop.body = plain_sums(self.loop.body)
        at = self.loop.body.index(self.inner)
        self.before, self.after = self.loop.body[:at], self.loop.body[at + 1 :]

    def own(self, outside: Counter[Var]) -> set[Var] | None:
        """The scalars that each row has for itself; None where rows hand one on, or
        where one is read `outside`. Sums that all rows add to are nobody's own.
        """
        inside = list(everything(self.loop.body))
        targets = {n.target for n in inside if isinstance(n, Let | Accumulate)}
        own = targets - self.sums(inside)
        fresh = set(_first_set(self.loop.body, set()))
        return own if own <= fresh and not any(outside[v] for v in own) else None

    def sums(self, inside: Sequence[Node]) -> set[Var]:
        """Scalars that are added to, and read by copies alone that end where they
        began: `t += e`, or `c = o; for …: c += e; o = c`."""
        reads = Counter(v for node in inside for v in reads_of(node))
        set_by = Counter(n.target for n in inside if isinstance(n, Let))
        started = {n.target: n.value for n in self.before if isinstance(n, Let)}
        ended = {n.value: n.target for n in self.after if isinstance(n, Let)}
        found: set[Var] = set()
        for total in {n.target for n in inside if isinstance(n, Accumulate)}:
            copies = [total]
            for _ in self.after if total in started else ():
                if copies[-1] is started[total] or copies[-1] not in ended:
                    break
                copies.append(ended[copies[-1]])
            if total not in started:
                closed = not set_by[total] and not reads[total]
            else:
                closed = copies[-1] is started[total]
                closed &= all(set_by[v] == reads[v] == 1 for v in copies)
            if closed:
                found.update(copies)
        return found

    # Cells ----------------------------------------------------------------------------

    def add_in_place(self) -> bool:
        """Whether much of what rows do is to add to the same cells, or to change them:
        those are loaded and stored once for several of them."""
        own = {v for node in self.before for v in assigned(node)} | {self.loop.index}
        read = {(n.buffer, n.index) for n in self.inner.body if isinstance(n, Load)}
        cells = sum(
            isinstance(node, Store)
            and (_adds(node) or (node.buffer, node.index) in read)
            and any(self.inner.index in i.terms for i in node.index)
            and own.isdisjoint(v for i in node.index for v in i.vars)
            for node in self.inner.body
        )
        return 0 < len(self.inner.body) <= MUCH * cells

    def slide(self) -> int:
        """How many cells further along each row adds to what the last one added to: as
        many behind, it adds to the same cell. 0, if rows are not of this kind."""
        row, index = self.inner.index, self.loop.index
        own = {v for node in self.before for v in assigned(node)}
        found: list[int] = []
        for node in self.inner.body:
            if isinstance(node, Store) and _adds(node):
                along = [i for i in node.index if row in i.terms]
                across = [i for i in node.index if index in i.terms]
                moved = any(v in own for i in node.index for v in i.vars)
                if moved or along != across or len(along) != 1:
                    return 0
                if along[0].terms[row] != 1:
                    return 0
                found.append(along[0].terms[index])
        few = len(self.inner.body) <= MUCH * len(found)
        one_way = not (self.inner.reverse or self.loop.reverse)
        alike = len(set(found)) == 1 and 1 <= found[0] <= LAGS
        return found[0] if few and one_way and alike else 0

    def way(self, count: int, slide: int = 0) -> tuple[int, int] | None:
        """How many rows may run side by side, each so many cells behind the last."""
        if slide:
            free = all(self.independent(d, d * slide) for d in range(1, count))
            return (count, slide) if free else None
        if all(self.independent(d, 0) for d in range(1, count)):
            # So much is done for a cell that the next round does not begin before this
            # one ends: a row had better not wait for the other in the same round.
            behind = count == 2 and not self.independent(1, -1)
            return count, int(behind)
        lags = range(LAGS + 1) if count > 2 else range(1, LAGS + 1)
        lag = next((k for k in lags if self.independent(1, k)), None)
        return None if lag is None else (2, lag)

    def independent(self, distance: int, lag: int) -> bool:
        """Whether the row so many rounds later may run `lag` cells behind one."""
        first, row, last = map(_accesses, (self.before, self.inner.body, self.after))
        beside = [(row, first), (last, first), (last, row)]
        return not any(
            self.meet(a, b, distance, ahead)
            for ahead, pairs in ((lag, [(row, row)]), (None, beside))
            for ours, theirs in pairs
            for a in ours
            for b in theirs
        )

    def meet(self, a: Any, b: Any, distance: int, lag: int | None) -> bool:
        """Whether `a`, in a row, may touch what `b` does in that later one, where `a`
        is more than `lag` cells further along."""
        if a.buffer is not b.buffer or not {type(a), type(b)} - {Load}:
            return False
        if _adds(a) and _adds(b):
            return False
        if a.shape != b.shape:
            return True
        sizes: dict[Symbol, Var] = {}
        here, there = _Renamer(sizes, {}), _Renamer(sizes, self.others(distance))
        zero = [
            affine.add(here(x), there(y), -1)
            for x, y in zip(a.index, b.index, strict=True)
        ]
        natural = [
            form
            for loop in (*self.around, self.loop, self.inner)
            for name in (here, there)
            for form in _bounds(loop, name)
        ]
        if lag is not None:
            way = -1 if self.inner.reverse else 1
            ours, theirs = (name(Affine.of(self.inner.index)) for name in (here, there))
            ahead = affine.add(ours, theirs, -1)
            natural.append(Form(-1 - lag, {v: way * c for v, c in ahead.terms.items()}))
        return possible(zero, natural)

    def others(self, distance: int) -> dict[Symbol, Form]:
        """What the scalars of a row are called in another one."""
        bound = {v for node in everything(self.loop.body) for v in assigned(node)}
        names: dict[Symbol, Form] = {v: Form(0, {_like(v): 1}) for v in bound}
        way = -distance if self.loop.reverse else distance
        names[self.loop.index] = Form(way, {self.loop.index: 1})
        return names

    # Code -----------------------------------------------------------------------------

    def side_by_side(self, count: int, lag: int, own: set[Var]) -> list[Node]:
        """Groups of rows, and those that are left, which come last."""
        loop = self.loop
        start, groups = self.groups(count, (count - 1) * lag)
        group, done = scalar_var(INT64), Affine({groups: count})
        first = Affine({group: count})
        at = loop.hi - 1 - first if loop.reverse else loop.lo + first
        copies = [
            self.row(at - k if loop.reverse else at + k, own) for k in range(count)
        ]
        body = [
            *(node for rows in copies for node in rows.before),
            *self.along([rows.inner for rows in copies], lag),
            *(node for rows in copies for node in rows.after),
        ]
        ends = (loop.lo, loop.hi - done) if loop.reverse else (loop.lo + done, loop.hi)
        bounds = Affine.of(0), Affine.of(groups), Affine.of(1)
        together = Loop(group, *bounds, body, loc=loop.loc, rounds=trips(loop) / count)
        left = replace(loop, lo=ends[0], hi=ends[1], rounds=(count - 1) / 2)
        return [*start, together, left]

    def groups(self, count: int, lag: int) -> tuple[list[Node], Var]:
        """How many groups of rows there are: none, if rows are shorter than the lag."""
        span, some, groups = (scalar_var(INT64) for _ in range(3))
        nodes: list[Node] = [
            Let(span, self.loop.hi - self.loop.lo),
            Eqn(REGISTRY["maximum"], [span, Literal(0, INT64)], [some]),
            Eqn(REGISTRY["floor_divide"], [some, Literal(count, INT64)], [groups]),
        ]
        if not lag:
            return nodes, groups
        length, long, enough = scalar_var(INT64), scalar_var(bool), scalar_var(INT64)
        nodes += [
            Let(length, self.inner.hi - self.inner.lo),
            Eqn(REGISTRY["ge"], [length, Literal(lag, INT64)], [long]),
            Eqn(REGISTRY["select"], [long, groups, Literal(0, INT64)], [enough]),
        ]
        return nodes, enough

    def along(self, rows: list[Loop], lag: int) -> list[Node]:
        """Rows side by side; or two, of which the second is behind, by ends and all."""
        lo, hi, reverse = self.inner.lo, self.inner.hi, self.inner.reverse
        if not lag:
            return [self.part(lo, hi, [(row, 0) for row in rows])]
        way, last = -1 if reverse else 1, (len(rows) - 1) * lag
        first, behind, ends = [], [], []
        for k, row in enumerate(rows):
            ahead = (len(rows) - 1 - k) * lag
            here, there = (last - ahead, ahead) if reverse else (ahead, last - ahead)
            first += [self.part(lo, lo + here, [(row, 0)])] if here else []
            behind.append((row, -way * k * lag))
            ends += [self.part(hi - there, hi, [(row, 0)])] if there else []
        if reverse:
            return [*ends, self.part(lo, hi - last, behind), *first]
        return [*first, self.part(lo + last, hi, behind), *ends]

    def part(self, lo: Affine, hi: Affine, rows: list[tuple[Loop, int]]) -> Loop:
        """Rounds of rows, each with its distance to the loop's index."""
        index = scalar_var(INT64, self.inner.index.hint)
        body: list[Node] = []
        for row, distance in rows:
            here, at = scalar_var(INT64, index.hint), Affine.of(index) + distance
            nodes = clone(row.body, {row.index: here})
            body += [Let(here, at), *(_placed(node, here, at) for node in nodes)]
        return replace(self.inner, index=index, lo=lo, hi=hi, body=body)

    def row(self, at: Affine, own: set[Var]) -> _Rows:
        """A copy of what is done in row `at`, with scalars of its own."""
        index = scalar_var(INT64, self.loop.index.hint)
        renamed: Renamed = {self.loop.index: index}
        renamed |= {v: _like(v) for v in own}
        body = [_placed(node, index, at) for node in clone(self.loop.body, renamed)]
        body.insert(0, Let(index, at))
        rows = _Rows.of(replace(self.loop, body=body), self.around)
        assert rows is not None
        return rows


class _Renamer:
    """Indices as forms, in which some symbols are called otherwise."""

    def __init__(self, sizes: dict[Symbol, Var], names: dict[Symbol, Form]):
        self.sizes, self.names = sizes, names

    def __call__(self, value: Affine) -> Form:
        out = Form(value.const, {})
        for symbol, factor in value.terms.items():
            if symbol not in self.names and not isinstance(symbol, Var):
                symbol = self.sizes.setdefault(symbol, scalar_var(INT64))
            form = self.names.get(symbol)
            terms = Form(0, {symbol: 1}) if form is None else form  # type: ignore[dict-item]
            part = affine.mul(terms, Form(factor, {}))
            assert part is not None
            out = affine.add(out, part)
        return out


def _bounds(loop: Loop, name: _Renamer) -> Iterator[Form]:
    """What is at least 0 in every round of a loop."""
    if loop.step.constant == 1:
        yield name(Affine.of(loop.index) - loop.lo)
        yield name(loop.hi - 1 - loop.index)


def _like(var: Var) -> Var:
    return Var(Aval(var.aval.dtype), var.hint)


def _adds(access: Load | Store) -> bool:
    floats = access.buffer.aval.dtype.kind == "f"
    return isinstance(access, Store) and access.op == "add" and floats


def _accesses(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in everything(nodes) if isinstance(node, Load | Store)]


def _is_plain(nodes: Iterable[Node], but: Node | None = None) -> bool:
    return all(
        (node is but or isinstance(node, PLAIN)) and _is_plain(children(node))
        for node in nodes
    )


def _placed(node: Node, index: Var, at: Affine) -> Node:
    """A node with `at` in place of an index, where that says where cells are."""
    for name in ("body", "then", "otherwise"):
        if hasattr(node, name):
            inner = [_placed(n, index, at) for n in getattr(node, name)]
            setattr(node, name, inner)
    if not isinstance(node, Load | Store):
        return node
    change = at - index
    places = [i + change.times(i.terms.get(index, 0)) for i in node.index]
    return replace(node, index=tuple(places))


def _first_set(nodes: Sequence[Node], seen: set[Var]) -> Iterator[Var]:
    """Scalars that are assigned, whatever branch is taken, before they are read.

    `seen` are those read or assigned so far; it grows.
    """
    for node in nodes:
        seen.update(reads_of(node))
        if isinstance(node, If):
            sides = [set(seen), set(seen)]
            then = set(_first_set(node.then, sides[0]))
            both = then & set(_first_set(node.otherwise, sides[1]))
            seen |= sides[0] | sides[1]
            yield from both
            continue
        if isinstance(node, Let) and node.target not in seen:
            yield node.target
        seen.update(assigned(node))
        if isinstance(node, Loop):
            yield from _first_set(node.body, seen)


# Chains -------------------------------------------------------------------------------


def waits(loop: Loop) -> bool:
    """Whether a round needs what the one before it computes, sums apart."""
    needs: dict[Any, set[Any]] = {}

    def follow(nodes: Sequence[Node], choice: set[Var]) -> None:
        for node in nodes:
            inputs = {*reads_of(node), *choice}
            if isinstance(node, If):
                follow([*node.then, *node.otherwise], inputs)
            elif isinstance(node, Store):
                needs.setdefault(node, set()).update(inputs)
            elif not isinstance(node, Accumulate):
                for var in assigned(node):
                    needs.setdefault(var, set()).update(inputs)

    follow(loop.body, set())
    accesses = _accesses(loop.body)
    for at, load in enumerate(accesses):
        for k, store in enumerate(accesses):
            if isinstance(load, Load) and isinstance(store, Store):
                ahead = _ahead(store, load, loop)
                if ahead is not None and (ahead > 0 or (ahead == 0 and k < at)):
                    needs.setdefault(load.out, set()).add(store)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError:
        return True
    return False


def _ahead(store: Store, load: Load, loop: Loop) -> int | None:
    """How many rounds after a store a load comes to its cell, where that is known."""
    if store.buffer is not load.buffer or store.shape != load.shape:
        return None
    found: set[int] = set()
    for a, b in zip(store.index, load.index, strict=True):
        gap, factor = (a - b).constant, b.terms.get(loop.index, 0)
        if gap is None or (gap and abs(factor) != 1):
            return None
        if factor:
            found.add(gap * factor)
    return found.pop() * (-1 if loop.reverse else 1) if len(found) == 1 else None


__all__ = ["jam", "waits"]
