"""Neighbouring cells kept in registers while a loop slides along them.

    for j: a[j] = f(a[j - 1], a[j], a[j + 1])

reads back in each trip what the last one wrote. Here the cells around j become
registers: a trip loads the one cell that enters the window, works on the registers,
stores the one cell that leaves it, and hands the others on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tracejit.ir.program import Eqn, Literal, Var
from tracejit.optimize.nest import (
    Accumulate,
    Affine,
    Buffer,
    Check,
    Index,
    Let,
    Load,
    Loop,
    Node,
    Store,
    scalar_var,
)
from tracejit.optimize.walks import assigned, if_it_ran

#: The most cells worth a register each.
WIDEST = 8


@dataclass(slots=True)
class Window:
    """Accesses of one buffer along one line, by their offsets to the loop's index."""

    axis: int
    line: Index
    buffer: Buffer
    shape: tuple[int, ...]
    offsets: set[int] = field(default_factory=set)
    written: bool = False

    def index(self, where: Affine) -> Index:
        """The cell of this line at a value of the loop's index."""
        line = list(self.line)
        line[self.axis] = line[self.axis] + where
        return tuple(line)

    def apart(self, other: Window) -> bool:
        """Whether two lines have no cell in common."""
        if self.shape != other.shape:
            return False  # one of them looks at the buffer through a reshape
        pairs = zip(self.line, other.line, strict=True)
        distances = [
            (a - b).constant for k, (a, b) in enumerate(pairs) if k != self.axis
        ]
        return self.axis == other.axis and any(d for d in distances if d is not None)


def slide(loop: Loop) -> list[Node]:
    """The loop with its windows in registers, and what goes before and after it."""
    plain = (Eqn, Load, Store, Let, Accumulate, Check)
    if loop.step.constant != 1 or not all(isinstance(n, plain) for n in loop.body):
        return [loop]
    moving = {v for node in loop.body for v in assigned(node)} | {loop.index}
    stored = dict.fromkeys(n.buffer for n in loop.body if isinstance(n, Store))
    before: list[Node] = []
    after: list[Node] = []
    for buffer in stored:
        for window in _windows(loop, buffer, moving):
            start, end = _apply(loop, window)
            before += start
            after += end
    return [*before, loop, *after]


def _windows(loop: Loop, buffer: Buffer, moving: set[Var]) -> list[Window]:
    """The lines of a buffer that are written and read at several cells."""
    windows: dict[Index, Window] = {}
    for node in loop.body:
        if not isinstance(node, Load | Store) or node.buffer is not buffer:
            continue
        if isinstance(node, Store) and node.op not in (None, "add"):
            return []
        found = _line(node.index, loop.index, moving)
        if found is None:
            return []
        axis, line, offset = found
        window = windows.setdefault(line, Window(axis, line, buffer, node.shape))
        window.offsets.add(offset)
        window.written |= isinstance(node, Store)
    every = list(windows.values())
    if not all(a is b or a.apart(b) for a in every for b in every):
        return []
    return [
        w
        for w in every
        if w.written and 1 < max(w.offsets) - min(w.offsets) + 1 <= WIDEST
    ]


def _line(index: Index, var: Var, moving: set[Var]) -> tuple[int, Index, int] | None:
    """The axis that `var` runs along, the index without it, the constant beside it."""
    axes = [k for k, i in enumerate(index) if var in i.terms]
    others = {v for i in index for v in i.vars} - {var}
    if len(axes) != 1 or index[axes[0]].terms[var] != 1 or others & moving:
        return None
    (axis,) = axes
    offset = index[axis].const
    line = list(index)
    line[axis] = line[axis] - var - offset
    return axis, tuple(line), offset


def _apply(loop: Loop, window: Window) -> tuple[list[Node], list[Node]]:
    """Rewrite the loop's body; what loads the window first and stores it last."""
    lo, hi = min(window.offsets), max(window.offsets)
    cells = {c: _cell(window) for c in range(lo, hi + 1)}
    order = list(cells) if not loop.reverse else list(cells)[::-1]
    # In the order of sliding: the first leaves, the last enters.
    leaving, entering = order[0], order[-1]
    here = Affine.of(loop.index)

    def load(c: int, where: Affine) -> Load:
        place = window.index(where + c)
        return Load(cells[c], window.buffer, window.shape, place, loop.loc)

    def store(c: int, where: Affine) -> Store:
        place = window.index(where + c)
        return Store(window.buffer, window.shape, place, cells[c], None, loop.loc)

    body: list[Node] = [load(entering, here)]
    for node in loop.body:
        body.append(_on_cells(node, window, cells, loop.index))
    body.append(store(leaving, here))
    for old, new in zip(order[1:], order, strict=False):
        body.append(Let(cells[new], cells[old]))
    loop.body = body
    first = loop.lo if not loop.reverse else loop.hi - 1
    behind = loop.hi if not loop.reverse else loop.lo - 1
    zero = Literal(window.buffer.aval.dtype.type(0).item(), window.buffer.aval.dtype)
    start: list[Node] = [Let(cell, zero) for cell in cells.values()]
    start += if_it_ran(loop, [load(c, first) for c in order[:-1]])
    return start, if_it_ran(loop, [store(c, behind) for c in order[:-1]])


def _cell(window: Window) -> Var:
    return scalar_var(window.buffer.aval.dtype, window.buffer.hint)


def _on_cells(node: Node, window: Window, cells: dict[int, Var], index: Var) -> Node:
    """An access to the window's line as one to its register."""
    if not isinstance(node, Load | Store) or node.buffer is not window.buffer:
        return node
    offset = (node.index[window.axis] - window.line[window.axis] - index).constant
    if offset is None or node.index != window.index(Affine.of(index) + offset):
        return node
    if isinstance(node, Load):
        return Let(node.out, cells[offset])
    if node.op == "add":
        return Accumulate(cells[offset], "add", node.value)
    return Let(cells[offset], node.value)


def slide_all(nodes: Sequence[Node]) -> list[Node]:
    """Every innermost loop, by `slide`."""
    out: list[Node] = []
    for node in nodes:
        for name in ("body", "then", "otherwise"):
            if hasattr(node, name):
                setattr(node, name, slide_all(getattr(node, name)))
        out += slide(node) if isinstance(node, Loop) else [node]
    return out
