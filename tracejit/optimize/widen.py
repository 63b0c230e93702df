"""Statements over a part of a space of loops, run in a loop over the whole of it.

    for i in range(1, n - 1): s += x[i] * t[i]
    for i in range(n): y[i] = x[i] + (x[i - 1] if i >= 1 else 0) + …

The second loop is split: into the indices where all its tests hold, and the few others.
The first one goes in as one more test: what both read is then read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from tracejit.ir.program import Atom
from tracejit.optimize.fuse import LANES, Fuser, Member, Touched
from tracejit.optimize.nest import Affine, Index
from tracejit.optimize.pull import Body
from tracejit.optimize.statements import ReduceStmt, Stmt, StoreStmt

#: A part is this much shorter at most, on an axis.
SHORTER = 4
#: Statements of a region among which it is looked for.
MANY = 60


@dataclass(eq=False, slots=True)
class InsideStmt(Stmt):
    """A statement over the part of `extents` that begins at `offsets`."""

    inner: Stmt = None  # type: ignore[assignment]
    offsets: tuple[int, ...] = ()

    @property
    def reduced(self) -> int | None:
        return self.inner.reduced

    def before(self, body: Body, index: Index) -> None:
        self.inner.before(body, index)

    def after(self, body: Body, index: Index) -> None:
        self.inner.after(body, index)

    def element(self, body: Body, index: Index) -> None:
        pred: Atom | None = None
        rows = zip(index, self.offsets, self.inner.extents, self.extents, strict=True)
        for i, offset, size, whole in rows:
            test = body.within(i, Affine.of(offset), size, whole)
            if test is not None:
                both = pred is not None
                pred = body.scalar("logical_and", pred, test) if both else test  # type: ignore
        inner = tuple(i - k for i, k in zip(index, self.offsets, strict=True))
        if pred is None:
            self.inner.element(body, inner)
        else:
            body.only_if(pred, lambda: self.inner.element(body, inner))


def widened(fuser: Fuser, members: list[Member]) -> list[Member]:
    """The statements of a region, some of them in the loops of longer ones."""
    if not 1 < len(members) <= MANY or not any(t.ranges for _, t in members):
        return members
    for k, (item, touched) in enumerate(members):
        if not _may_widen(item):
            continue
        for other, reach in members:
            if not _is_longer(other, reach, item):
                continue
            offsets = _best_offsets(item, touched, other, reach)
            if offsets is None:
                continue
            wide = InsideStmt(
                other.extents, item.value, item.loc, inner=item, offsets=offsets
            )
            member = wide, fuser.touched(wide)
            trial = [*members[:k], member, *members[k + 1 :]]
            if _together(fuser, trial, wide, other):
                members = trial
                break
    return members


def _may_widen(item: Any) -> bool:
    """Whether each element stands for itself, or all are reduced to one number."""
    if isinstance(item, StoreStmt):
        return bool(item.extents) and not item.ordered
    return type(item) is ReduceStmt and item.kept == 0


def _is_longer(other: Any, reach: Touched, item: Stmt) -> bool:
    """Whether a statement is over a slightly larger space, in loops that are split."""
    if not isinstance(other, Stmt) or isinstance(other, InsideStmt) or other.ordered:
        return False
    if not reach.ranges or len(other.extents) != len(item.extents):
        return False
    if other.reduced is not None or other.extents == item.extents:
        return False
    pairs = list(zip(other.extents, item.extents, strict=True))
    return all(
        0 <= int(n) - int(m) <= SHORTER and Affine.of(n).constant is None
        for n, m in pairs
    )


def _best_offsets(
    item: Stmt, touched: Touched, other: Stmt, reach: Touched
) -> tuple[int, ...] | None:
    """Where the part begins so that most of what it reads is read anyway."""
    known = set(reach.reads)
    lanes = LANES[: len(item.extents)]
    pairs = zip(other.extents, item.extents, strict=True)
    best, shared = None, 0
    for offsets in product(*(range(int(n) - int(m) + 1) for n, m in pairs)):
        moved = _moved(touched.reads, dict(zip(lanes, offsets, strict=True)))
        count = sum(read in known for read in moved)
        if count > shared:
            best, shared = offsets, count
    return best


def _moved(reads: Sequence[Any], offsets: dict[Any, int]) -> Iterator[Any]:
    """What is read, in terms of the longer statement's indices."""
    for buffer, index in reads:
        if index is not None:
            yield (
                buffer,
                tuple(
                    i - sum(c * offsets.get(v, 0) for v, c in i.terms.items())
                    for i in index
                ),
            )


def _together(fuser: Fuser, members: list[Member], a: Stmt, b: Stmt) -> bool:
    """Whether two statements come to stand in one innermost loop."""
    for depth in range(len(a.extents)):
        for group in fuser.groups(members, depth):
            items = [item for item, _ in group.members]
            if a in items:
                if b not in items:
                    return False
                members = group.members
                break
    return True
