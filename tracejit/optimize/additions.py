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
from tracejit.optimize.registers import promoted, sum_chain
from tracejit.optimize.walks import everything, reads_of


def gather_additions(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel with such stores, in registers where they can be."""
    reads = Counter(v for node in everything(nodes) for v in reads_of(node))
    return _block(nodes, reads)


def _block(nodes: Sequence[Node], reads: Counter[Var]) -> list[Node]:
    out: list[Node] = []
    for node in added_in_place(nodes, reads):
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, _block(getattr(node, name), reads))
        out += promoted(node) if isinstance(node, Loop) else [node]
    return out


def added_in_place(nodes: Sequence[Node], reads: Counter[Var]) -> list[Node]:
    """The nodes of one block with such stores; `reads` is how often all is read."""
    made = {n.out: n for n in nodes if isinstance(n, Eqn) and n.prim.single}
    loads: list[Load] = []
    instead: dict[Node, list[Node]] = {}
    for node in nodes:
        if isinstance(node, Load):
            loads.append(node)
        elif isinstance(node, Store):
            chain = _chain(node, loads, made, reads)
            if chain is not None:
                load, terms = chain
                instead[load] = []
                instead.update((eqn, []) for eqn, _, _ in terms)
                instead[node] = [n for term in terms for n in _added(node, *term)]
            loads = [n for n in loads if n.buffer is not node.buffer]
        elif isinstance(node, Let | Accumulate):
            loads = [n for n in loads if not _moves(node.target, n)]
        elif not isinstance(node, Eqn):
            loads = []
    return [n for node in nodes for n in instead.get(node, [node])]


def _chain(
    store: Store, loads: Sequence[Load], made: dict[Var, Eqn], reads: Counter[Var]
) -> tuple[Load, list[tuple[Eqn, Atom, bool]]] | None:
    """The load of what a store overwrites, and what is added to it until then."""
    if store.op is not None or not isinstance(store.value, Var):
        return None
    place = store.buffer, store.index, tuple(store.shape)
    for load in loads:
        if (load.buffer, load.index, tuple(load.shape)) == place:
            chain, _ = sum_chain(load.out, store.value, made, {}, reads)
            if chain and store.buffer.aval.dtype.kind != "b":
                return load, chain[::-1]
    return None


def _moves(var: Var, load: Load) -> bool:
    return any(var in i.terms for i in load.index)


def _added(store: Store, add: Eqn, value: Atom, minus: bool) -> list[Node]:
    if not minus:
        return [replace(store, value=value, op="add")]
    negative = scalar_var(store.buffer.aval.dtype)
    turned = Eqn(REGISTRY["neg"], [value], [negative], loc=add.loc)
    return [turned, replace(store, value=negative, op="add")]


__all__ = ["added_in_place", "gather_additions"]
