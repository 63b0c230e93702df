"""Room on a tape, made before the loop that fills a row of it.

    for j:                              tape.grow(row)
        tape.grow(row)                  for j:
        tape[row, j] = f(u[j])              tape[row, j] = f(u[j])

A loop that may move its tape in any round does not become vector instructions. Room
that is not needed, because the loop does not run, does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.optimize.nest import BLOCKS, Grow, Loop, Node, Reset, Rotate
from tracejit.optimize.walks import assigned, everything


def make_room_early(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with tapes grown outside of the loops in which the row is the same."""
    out: list[Node] = []
    for node in nodes:
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, make_room_early(getattr(node, name)))
        if isinstance(node, Loop):
            early = _early(node)
            node.body = [n for n in node.body if n not in early]
            out += early
        out.append(node)
    return out


def _early(loop: Loop) -> list[Node]:
    inside = list(everything([loop]))
    changing = {v for n in inside for v in assigned(n)}
    renamed = {n.buffer for n in inside if isinstance(n, Reset)}
    for node in inside:
        if isinstance(node, Rotate):
            renamed.update(b for move in node.moves for b in move)
    return [
        n
        for n in loop.body
        if isinstance(n, Grow)
        and n.buffer not in renamed
        and changing.isdisjoint(n.row.vars)
    ]


__all__ = ["make_room_early"]
