"""What a round has stored is not loaded again.

    for i: t[i, 0] = x; t[i, 1] = y; s += t[i, 0] * t[i, 1]

Where a store and a load of one place stand in one block, and nothing between them may
write there, the number that was stored is at hand. Often nobody loads the array then,
and it need not be stored either: arrays of a few columns, put together and taken apart
in the same round, stay in registers, and what LLVM is left with is a loop that it makes
vectors of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Var
from tracejit.optimize.held import apart
from tracejit.optimize.nest import (
    BLOCKS,
    Accumulate,
    Buffer,
    Index,
    Let,
    Load,
    Node,
    Store,
    scalar_var,
)
from tracejit.optimize.walks import assigned, buffers_of, everything

#: By array: its shape, and what is known to be where.
Known: TypeAlias = dict[Buffer, tuple[tuple[int, ...], dict[Index, Atom]]]


def hand_on(nodes: Sequence[Node], known: Known | None = None) -> list[Node]:
    """The nodes of a block with such loads as what was stored.

    `known` is what the blocks around have stored.
    """
    known = dict(known or {})
    out: list[Node] = []
    for node in nodes:
        if isinstance(node, Load):
            value = _there(node, known)
            out.append(node if value is None else Let(node.out, value))
        elif isinstance(node, Store):
            out += _stored(node, known)
            continue
        elif isinstance(node, Eqn | Let | Accumulate):
            out.append(node)
        else:
            _forget(known, everything([node]))
            for name in BLOCKS:
                if hasattr(node, name):
                    setattr(node, name, hand_on(getattr(node, name), known))
            out.append(node)
        _rebind(known, set(assigned(node)))
    return out


def _there(access: Load | Store, known: Known) -> Atom | None:
    shape, places = known.get(access.buffer, ((), {}))
    return places.get(access.index) if shape == access.shape else None


def _stored(node: Store, known: Known) -> list[Node]:
    """The store, of a number rather than added to one that is at hand."""
    before: list[Node] = []
    old = None if node.op is None else _there(node, known)
    if node.op is not None and old is not None:
        both = scalar_var(node.buffer.aval.dtype)
        before = [Eqn(REGISTRY[node.op], [old, node.value], [both], loc=node.loc)]
        node = Store(node.buffer, node.shape, node.index, both, loc=node.loc)
    shape, places = known.get(node.buffer, (node.shape, {}))
    same = shape == node.shape
    kept = {i: v for i, v in places.items() if same and apart(i, node.index, {})}
    if node.op is None and node.value.aval.dtype == node.buffer.aval.dtype:
        kept[node.index] = node.value
    known[node.buffer] = node.shape, kept
    return [*before, node]


def _forget(known: Known, nodes: Iterable[Node]) -> None:
    """What nodes may write to, or bind, is known no more."""
    inside = list(nodes)
    touched = [n for n in inside if not isinstance(n, Load)]
    for buffer in buffers_of(touched):
        known.pop(buffer, None)
    _rebind(known, {v for node in inside for v in assigned(node)})


def _rebind(known: Known, bound: set[Var]) -> None:
    """Scalars are other ones from here on."""
    if not bound:
        return
    for buffer, (shape, places) in known.items():
        kept = {
            index: value
            for index, value in places.items()
            if value not in bound and bound.isdisjoint(v for i in index for v in i.vars)
        }
        known[buffer] = shape, kept


__all__ = ["hand_on"]
