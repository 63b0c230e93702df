"""Selections that a chain of rounds need not wait for.

    for i: g = a[i] + unless_zero(g, g / m[i])

A selection waits for its comparison, and the next round for the selection. Here the
processor foresees the comparison: but for slopes that are infinite, what is selected
from is 0 wherever it is to be replaced by 0. Loops without such a chain become vector
instructions, for which a selection is the better way.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

from tracejit.ir.program import Eqn, Var
from tracejit.ops.elementwise import unless_zero
from tracejit.optimize.nest import BLOCKS, Let, Loop, Node
from tracejit.optimize.walks import assigned, reads_of

#: The same by a branch.
FORESEEN = copy(unless_zero)
FORESEEN.emit = "_tj_unless_zero({0}, {1})"


def foresee(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with such selections as branches in chains of real numbers."""
    out: list[Node] = []
    for node in nodes:
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, foresee(getattr(node, name)))
        if isinstance(node, Loop) and is_chain(node.body):
            node.body = [_foreseen(n) for n in node.body]
        out.append(node)
    return out


def _foreseen(node: Node) -> Node:
    if isinstance(node, Eqn) and node.prim is unless_zero:
        if node.out.aval.dtype.kind == "f":
            return replace(node, prim=FORESEEN)
    return node


def is_chain(body: Sequence[Node]) -> bool:
    """Whether a round reads a number that the one before has left."""
    read: set[Var] = set()
    made: set[Var] = set()
    for node in body:
        if isinstance(node, Let) and node.target in read:
            return True
        read.update(v for v in reads_of(node) if v not in made)
        made.update(assigned(node))
    return False


__all__ = ["foresee", "is_chain"]
