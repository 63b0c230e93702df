"""Arrays that take turns in one piece of memory, each when the one before is dead.

    t = A @ B                         t = A @ B
    for i: h[i] = tanh(t[i])          for i: t[i] = tanh(t[i])
    u = h @ C                         u = t @ C

An array lives from the first node that touches it to the last one, and throughout a
loop in which a round may find what another has left. It may begin to live in the loop
that another one ends in, if every cell is done with before it is written to. A result
lends its memory until it begins to live itself. To LLVM, different names are different
memory: arrays that share it have one name.

Who takes turns with whom is decided by what extents are called, not by how large they
are, so that the text of a kernel is the same at all sizes. The memory is that of the
largest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, TypeAlias

from tracejit.ir.aval import expr_of
from tracejit.optimize.nest import (
    Affine,
    Buffer,
    If,
    Kernel,
    Load,
    Loop,
    Node,
    Parallel,
    Store,
    While,
    children,
    is_local,
)
from tracejit.optimize.walks import assigned, buffers_of, everything

Access: TypeAlias = Load | Store
Around: TypeAlias = tuple[Node, ...]
#: Of the rooms that are free, so many are looked at, those left last.
LATEST = 16


@dataclass(eq=False)
class Life:
    """When an array is alive, in numbers of nodes, and what is asked of its memory.

    `extents` are the names of those that are no small numbers, in alphabetical order;
    `copies`: it is one array for each thread, side by side.
    """

    buffer: Buffer
    begin: int
    end: int
    extents: tuple[str, ...]
    copies: bool

    @property
    def kind(self) -> Any:
        """Alike in arrays that may take turns."""
        return self.buffer.aval.dtype, len(self.extents), self.copies

    @property
    def size(self) -> Any:
        """Alike in arrays that are equally large whatever their extents are."""
        small = (int(n) for n in self.buffer.aval.shape if not _is_named(n))
        return self.kind, self.extents, math.prod(small)


@dataclass(eq=False)
class Room:
    """Memory that arrays take turns in; a result's, which lends it, perhaps."""

    lives: list[Life] = field(default_factory=list)
    result: Life | None = None

    def likeness(self, life: Life) -> tuple[bool, int, bool, int]:
        """How well an array fits in: whether exactly, what extents it has in common
        with the last one, how lately that was touched."""
        last = self.lives[-1] if self.lives else self.result
        assert last is not None
        common = Counter(last.extents) & Counter(life.extents)
        fits = last.size == life.size
        return fits, common.total(), bool(self.lives), last.end


def take_turns(kernel: Kernel) -> None:
    """Let temporaries of a kernel that are not alive at once lie in the same memory."""
    results = set(kernel.results)
    lives = _Lives(kernel.body)
    found = [lives.of(b) for b in lives.touches if _is_movable(b) or b in results]
    found.sort(key=lambda life: life.begin)
    rooms = _Rooms(lives, [life for life in found if life.buffer in results])
    for life in found:
        if life.buffer not in results:
            rooms.enter(life)
    for room in rooms.all:
        _move_in(room)


class _Rooms:
    """Rooms, to which arrays come in the order in which they begin to live."""

    def __init__(self, lives: _Lives, results: Sequence[Life]):
        self.lives = lives
        self.all = [Room([], life) for life in results]
        #: Those of results that nobody has been in, by size.
        self.lent: dict[Any, list[Room]] = {}
        for room, life in zip(self.all, results, strict=True):
            self.lent.setdefault(life.size, []).append(room)
        #: Those that nobody is in now, by kind, the one left last at the end.
        self.free: dict[Any, list[Room]] = {}
        #: The others, by the end of who is in.
        self.taken: dict[int, list[Room]] = {}
        self.ends: list[int] = []

    def enter(self, life: Life) -> None:
        """Find a room for an array."""
        while self.ends and self.ends[0] < life.begin:
            for room in self.taken.pop(heappop(self.ends), []):
                self.free.setdefault(room.lives[-1].kind, []).append(room)
        around = self.lives.end_of(life.begin)
        lists = [self.free.get(life.kind, []), self.taken.get(around, [])]
        lists.append(self.lent.get(life.size, []))
        fitting = [
            (room, rooms)
            for rooms in lists
            for room in rooms[-LATEST:]
            if self.lives.is_free(room, life)
        ]
        if fitting:
            room, rooms = max(fitting, key=lambda pair: pair[0].likeness(life))
            rooms.remove(room)
        else:
            self.all.append(room := Room())
        room.lives.append(life)
        if life.end not in self.taken:
            heappush(self.ends, life.end)
        self.taken.setdefault(life.end, []).append(room)


def _move_in(room: Room) -> None:
    """Have the arrays of a room lie in one, which is new where none is a result."""
    buffers = [life.buffer for life in room.lives]
    if room.result is not None:
        memory = room.result.buffer
    elif len(buffers) > 1:
        hints = {b.hint for b in buffers}
        largest = max(buffers, key=lambda b: b.aval.nbytes)
        memory = Buffer(largest.aval, hints.pop() if len(hints) == 1 else "")
    else:
        return
    for buffer in buffers:
        buffer.memory = memory


def _is_movable(buffer: Buffer) -> bool:
    return (
        buffer.role == "temporary"
        and not buffer.rotates
        and buffer.rows is None
        and not is_local(buffer)
    )


def _is_named(extent: int) -> bool:
    return Affine.of(extent).constant is None


class _Lives:
    """When the arrays of a kernel are alive."""

    def __init__(self, body: Sequence[Node]):
        #: By node: its own number, and that of the last one in it.
        self.spans: dict[Node, tuple[int, int]] = {}
        self.starts: dict[int, Node] = {}
        #: By array: the numbers of the nodes that touch it, and what those stand in.
        self.touches: dict[Buffer, list[tuple[int, Around]]] = {}
        self.walk(body, ())

    def walk(self, nodes: Sequence[Node], around: Around) -> None:
        for node in nodes:
            number = len(self.starts)
            self.starts[number] = node
            for buffer in buffers_of([node]):
                self.touches.setdefault(buffer, []).append((number, around))
            self.walk(list(children(node)), (*around, node))
            self.spans[node] = number, len(self.starts) - 1

    def of(self, buffer: Buffer) -> Life:
        """The life of an array; of a result, as far as the kernel touches it."""
        touches = self.touches[buffer]
        begin, end = touches[0][0], touches[-1][0]
        for number, around in touches:
            loop = self.kept_in(buffer, around)
            first, last = self.spans[loop] if loop else (number, number)
            begin, end = min(begin, first), max(end, last)
        common = [n for n in touches[0][1] if isinstance(n, Parallel)]
        copies = any(self.is_within(buffer, part) for part in common)
        names = sorted(expr_of(n) for n in buffer.aval.shape if _is_named(n))
        return Life(buffer, begin, end, tuple(names), copies)

    def kept_in(self, buffer: Buffer, around: Around) -> Node | None:
        """The outermost loop around a touch that hands the array from round to round,
        as far as anyone knows."""
        for node in around:
            if isinstance(node, If):
                continue
            if not self.is_within(buffer, node):
                return node
            own = isinstance(node, Parallel)
            if isinstance(node, Loop | While) and node.carried is not None:
                own = buffer not in node.carried
            if not own or buffer.role != "temporary":
                return node
        return None

    def is_within(self, buffer: Buffer, node: Node) -> bool:
        """Whether only what a node holds touches an array."""
        touches, (first, last) = self.touches[buffer], self.spans[node]
        return first <= touches[0][0] and touches[-1][0] <= last

    def end_of(self, number: int) -> int:
        """The last node in the node of a number."""
        return self.spans[self.starts[number]][1]

    def is_free(self, room: Room, life: Life) -> bool:
        """Whether an array can live in a room."""
        last = room.lives[-1] if room.lives else None
        if last is not None:
            if last.kind != life.kind or (life.copies and last.size != life.size):
                return False
            if not self.precedes(last, life):
                return False
        result = room.result
        return result is None or (
            result.size == life.size and self.precedes(life, result)
        )

    def precedes(self, old: Life, new: Life) -> bool:
        """Whether one array has had its time when another one begins."""
        if old.end < new.begin:
            return True
        loop = self.starts[new.begin]
        if not isinstance(loop, Loop | Parallel) or self.spans[loop][1] != old.end:
            return False
        return _in_turn([loop], old.buffer, new.buffer)


def _in_turn(nodes: Sequence[Node], old: Buffer, new: Buffer) -> bool:
    """Whether a block is done with every cell of an array when it comes to the cell of
    a new one that lies there. Cells are the same where their indices are."""
    began = False
    for node in nodes:
        before, after = _accesses(node, old), _accesses(node, new)
        if before is None or after is None or (before and began):
            return False
        if before and after:
            if isinstance(node, Loop):
                if not _meet_in_one_round(node, before, after):
                    return False
            elif isinstance(node, Parallel):
                # A round of the loop that is shared is run by one part alone.
                inner = [n for n in node.body if _accesses(n, old) or _accesses(n, new)]
                if len(inner) > 1 or not isinstance(inner[0], Loop):
                    return False
            elif not isinstance(node, If):
                return False
            blocks = (getattr(node, name, []) for name in ("body", "then", "otherwise"))
            if not all(_in_turn(block, old, new) for block in blocks):
                return False
        began = began or bool(after)
    return True


def _accesses(node: Node, buffer: Buffer) -> list[Access] | None:
    """The accesses of an array in a node; None where a routine has it."""
    found: list[Access] = []
    for inner in everything([node]):
        if isinstance(inner, Load | Store):
            if inner.buffer is buffer:
                found.append(inner)
        elif buffer in buffers_of([inner]):
            return None
    return found


def _meet_in_one_round(
    loop: Loop, before: Sequence[Access], after: Sequence[Access]
) -> bool:
    """Whether each cell belongs to one round of a loop, in both arrays.

    In the inmost loops all are to touch the same cell: LLVM asks about others.
    """
    moving = {v for node in everything([loop]) for v in assigned(node)}
    direct = {a for a in (*before, *after) if any(a is node for node in loop.body)}
    if len({(a.index, tuple(map(Affine.of, a.shape))) for a in direct}) > 1:
        return False
    return all(
        _same_shape(a, b)
        and any(
            x == y and moving.intersection(x.vars) == {loop.index}
            for x, y in zip(a.index, b.index, strict=True)
        )
        for a in _distinct(before)
        for b in _distinct(after)
    )


def _distinct(accesses: Sequence[Access]) -> Iterator[Access]:
    return iter({a.index: a for a in accesses}.values())


def _same_shape(a: Access, b: Access) -> bool:
    return list(map(Affine.of, a.shape)) == list(map(Affine.of, b.shape))


__all__ = ["take_turns"]
