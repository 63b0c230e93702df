"""Stores behind the loads of their round.

    for i: t[i] = u[i]; v[i] = f(u[i], u[i + 1])

LLVM hands u[i + 1] on to the next round, as its u[i], in a register, and then finds
that t[i] is stored before the register's next value is there: the loop stays scalar.
It need not: what is loaded between is of other memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.program import Eqn
from tracejit.optimize.nest import BLOCKS, Accumulate, Let, Load, Loop, Node, Store
from tracejit.optimize.walks import assigned, reads_of


def sink_stores(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with the stores of innermost loops as late as they can be."""
    for node in nodes:
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, sink_stores(getattr(node, name)))
        plain = (Eqn, Load, Store, Let, Accumulate)
        if isinstance(node, Loop) and all(isinstance(n, plain) for n in node.body):
            node.body = _sunk(node.body)
    return list(nodes)


def _sunk(body: Sequence[Node]) -> list[Node]:
    out: list[Node] = []
    waiting: list[Store] = []
    for node in body:
        if isinstance(node, Store):
            waiting.append(node)
            continue
        last = max((k for k, s in enumerate(waiting) if _before(s, node)), default=-1)
        out += waiting[: last + 1]
        del waiting[: last + 1]
        out.append(node)
    return out + waiting


def _before(store: Store, node: Node) -> bool:
    """Whether a store must come before a node that follows it."""
    if isinstance(node, Load) and node.buffer is store.buffer:
        return True
    return not set(assigned(node)).isdisjoint(reads_of(store))
