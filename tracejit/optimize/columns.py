"""Arrays of short rows laid out by columns, each a buffer of its own.

    for i: for j: … x[j, 0] … x[j, 1] … x[j, 2]

reads three numbers that lie side by side. Vector instructions want the same number of
several rows instead, and put them together by a dozen permutations for each three
loads. With a buffer for every column they load them as they lie; and what is stored in
one column is known to be no other one's.

A temporary is laid out like that from the start. An argument is copied before, and a
result behind all else: where a loop comes back to every row again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from tracejit.ir.program import Var
from tracejit.optimize.held import whole_buffers
from tracejit.optimize.nest import (
    INT64,
    Affine,
    Buffer,
    Kernel,
    Load,
    Loop,
    Node,
    Rotate,
    Store,
    While,
    children,
    scalar_var,
    size_of,
)
from tracejit.optimize.traffic import trips

#: Rows of no more numbers than these are taken apart.
WIDEST = 8
#: Copying is worth it for rows that are read, or written, so many times each.
OFTEN = 8

Access: TypeAlias = Load | Store
Around: TypeAlias = tuple[Loop | While, ...]


@dataclass
class Accesses:
    """How a kernel touches one array: its nodes with the loops around each."""

    nodes: list[tuple[Access, Around]] = field(default_factory=list)
    odd: bool = False


def split_columns(kernel: Kernel, nodes: list[Node]) -> list[Node]:
    """The nodes of a kernel with such arrays taken apart, which changes them."""
    found: dict[Buffer, Accesses] = {}
    rotations: list[Rotate] = []
    for node, around in _walk(nodes, ()):
        if isinstance(node, Load | Store):
            found.setdefault(node.buffer, Accesses()).nodes.append((node, around))
        elif isinstance(node, Rotate):
            rotations.append(node)
        else:
            for buffer in whole_buffers(node):
                found.setdefault(buffer, Accesses()).odd = True
    chosen = _chosen(found, rotations)
    columns = {b: _columns_of(b) for b in chosen}
    for buffer, parts in columns.items():
        for access, _ in found[buffer].nodes:
            k = access.index[-1].const
            access.buffer, access.shape = parts[k], access.shape[:-1]
            access.index = access.index[:-1]
    for rotation in rotations:
        rotation.moves = [
            move
            for a, b in rotation.moves
            for move in zip(columns.get(a, [a]), columns.get(b, [b]), strict=True)
        ]
    before: list[Node] = []
    after: list[Node] = []
    for buffer, parts in columns.items():
        if buffer.role == "input":
            before.append(_copy(buffer, parts, out=False))
        elif buffer in kernel.results:
            after.append(_copy(buffer, parts, out=True))
    return [*before, *nodes, *after]


def _walk(nodes: Sequence[Node], around: Around) -> Iterator[tuple[Node, Around]]:
    for node in nodes:
        yield node, around
        inside = (*around, node) if isinstance(node, Loop | While) else around
        yield from _walk(list(children(node)), inside)


# Which --------------------------------------------------------------------------------


def _chosen(found: dict[Buffer, Accesses], rotations: Sequence[Rotate]) -> list[Buffer]:
    """The arrays that are better taken apart; those that change names go together."""
    may = {b for b, accesses in found.items() if _may_split(b, accesses)}
    better = {b for b in may if _gains(b, found[b])}
    moves = [move for rotation in rotations for move in rotation.moves]
    while True:
        bad = {b for move in moves for b in move if not may.issuperset(move)}
        more = {b for move in moves for b in move if not better.isdisjoint(move)}
        if may.isdisjoint(bad) and better >= more:
            return [b for b in found if b in better & may]
        may -= bad
        better |= more


def _may_split(buffer: Buffer, accesses: Accesses) -> bool:
    """Whether every access says which column, and goes through rows in some order."""
    shape = buffer.aval.shape
    if accesses.odd or buffer.role == "written" or buffer.rows or len(shape) < 2:
        return False
    if Affine.of(shape[-1]).constant not in range(2, WIDEST + 1):
        return False
    for node, around in accesses.nodes:
        indices = {loop.index for loop in around if isinstance(loop, Loop)}
        rows = {v for i in node.index[:-1] for v in i.vars}
        if node.shape != shape or node.index[-1].constant is None or rows - indices:
            return False
    return True


def _gains(buffer: Buffer, accesses: Accesses) -> bool:
    """Whether an innermost loop goes along the rows, in another that repeats it."""
    for node, around in accesses.nodes:
        if not around or not isinstance(around[-1], Loop):
            continue
        rows: set[Var] = {v for i in node.index[:-1] for v in i.vars}
        if abs(node.index[-2].terms.get(around[-1].index, 0)) != 1:
            continue
        if all(isinstance(loop, Loop) and loop.index in rows for loop in around):
            continue
        times = 1.0
        for loop in around:
            times *= loop.rounds if isinstance(loop, While) else trips(loop)
        count = size_of(buffer.aval.shape[:-1])
        if buffer.role == "temporary" or times >= OFTEN * count:
            return True
    return False


# How ----------------------------------------------------------------------------------


def _columns_of(buffer: Buffer) -> list[Buffer]:
    """A temporary for each column."""
    shape = buffer.aval.shape
    aval = buffer.aval.update(shape=shape[:-1])
    new = replace(buffer, aval=aval, role="temporary")
    return [replace(new) for _ in range(int(shape[-1]))]


def _copy(whole: Buffer, parts: Sequence[Buffer], out: bool) -> Node:
    """The loops that copy an array's rows to its columns, or `out` of them."""
    shape = whole.aval.shape
    rows = [scalar_var(INT64, "i") for _ in shape[:-1]]
    index = tuple(map(Affine.of, rows))
    nodes: list[Node] = []
    for k, part in enumerate(parts):
        number = scalar_var(whole.aval.dtype, whole.hint)
        places = [(whole, shape, (*index, Affine.of(k))), (part, shape[:-1], index)]
        source, target = places[::-1] if out else places
        nodes += [Load(number, *source), Store(*target, number)]
    for row, extent in zip(reversed(rows), reversed(shape[:-1]), strict=True):
        bounds = Affine.of(0), Affine.of(extent), Affine.of(1)
        nodes = [Loop(row, *bounds, nodes)]
    (loop,) = nodes
    return loop


__all__ = ["split_columns"]
