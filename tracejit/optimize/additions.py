"""Elements that are read only to add to them, as stores that add.

    a = h[k]; b = a + w; h[k] = b          is h[k] += w

Of such an array threads may have a copy each (see `parallel`); and where k does not
change in a loop, a register takes what is added (see `registers`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Var
from tracejit.optimize.nest import (
    BLOCKS,
    Accumulate,
    Let,
    Load,
    Loop,
    Node,
    Store,
    scalar_var,
)
from tracejit.optimize.registers import promoted
from tracejit.optimize.walks import assigned, everything, reads_of

_PLAIN = Eqn | Load | Store | Let | Accumulate


def gather_additions(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel with such stores, in registers where they can be."""
    reads = Counter(v for node in everything(nodes) for v in reads_of(node))
    return _block(nodes, reads)


def _block(nodes: Sequence[Node], reads: Counter[Var]) -> list[Node]:
    instead: dict[Node, list[Node]] = {}
    for k, node in enumerate(nodes):
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, _block(getattr(node, name), reads))
        if isinstance(node, Store) and node.op is None:
            found = _addition(nodes, k, node, reads)
            if found is not None:
                load, add, value = found
                instead |= {load: [], add: [], node: _added(node, add, value)}
        elif isinstance(node, Loop):
            instead[node] = promoted(node)
    return [n for node in nodes for n in instead.get(node, [node])]


def _addition(
    nodes: Sequence[Node], end: int, store: Store, reads: Counter[Var]
) -> tuple[Load, Eqn, Atom] | None:
    """The load of what a store overwrites, what adds to it, and the other operand."""
    adds = [n for n in nodes[:end] if isinstance(n, Eqn) and store.value in n.outputs]
    if len(adds) != 1 or reads[adds[0].out] != 1:
        return None
    (add,) = adds
    if add.prim.name not in ("add", "sub") or store.buffer.aval.dtype.kind == "b":
        return None
    for k in range(end - 1, -1, -1):
        node = nodes[k]
        if isinstance(node, Load) and node.out in add.inputs:
            if node.buffer is store.buffer:
                break
        if not isinstance(node, _PLAIN) or _touches(node, store):
            return None
    else:
        return None
    left, right = add.inputs
    first = node.out is left
    same = node.index == store.index and tuple(node.shape) == tuple(store.shape)
    if not same or reads[node.out] != 1 or not (first or add.prim.name == "add"):
        return None
    return node, add, right if first else left


def _touches(node: Node, store: Store) -> bool:
    """Whether a node may change what a store writes, or reads what it overwrites."""
    moved = not set(assigned(node)).isdisjoint(v for i in store.index for v in i.vars)
    same = isinstance(node, Load | Store) and node.buffer is store.buffer
    return same or (moved and isinstance(node, Let | Accumulate))


def _added(store: Store, add: Eqn, value: Atom) -> list[Node]:
    if add.prim.name == "add":
        return [replace(store, value=value, op="add")]
    negative = scalar_var(store.buffer.aval.dtype)
    minus = Eqn(REGISTRY["neg"], [value], [negative], loc=add.loc)
    return [minus, replace(store, value=negative, op="add")]


__all__ = ["gather_additions"]
