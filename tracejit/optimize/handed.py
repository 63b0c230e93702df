"""What a round has stored is not loaded again.

    for i: t[i, 0] = x; t[i, 1] = y; s += t[i, 0] * t[i, 1]

Where a store and a load of one place stand in one block, and nothing between them may
write there, the number that was stored is at hand. Often nobody loads the array then,
and it need not be stored either: arrays of a few columns, put together and taken apart
in the same round, stay in registers, and what LLVM is left with is a loop that it makes
vectors of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Literal, Var, substitute
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
from tracejit.optimize.walks import assigned, buffers_of, everything, reads_of

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
    place = _place(access)
    shape, places = known.get(access.buffer, ((), {}))
    return places.get(place[1]) if shape == place[0] else None


def _place(access: Load | Store) -> tuple[tuple[int, ...], Index]:
    """How an array is seen and where, whatever axes of extent 1 it is seen with."""
    axes = [k for k, n in enumerate(access.shape) if n != 1]
    shape = tuple([access.shape[k] for k in axes])
    return shape, tuple([access.index[k] for k in axes])


def _stored(node: Store, known: Known) -> list[Node]:
    """The store, of a number rather than added to one that is at hand."""
    before: list[Node] = []
    old = None if node.op is None else _there(node, known)
    if node.op is not None and old is not None:
        both = scalar_var(node.buffer.aval.dtype)
        before = [Eqn(REGISTRY[node.op], [old, node.value], [both], loc=node.loc)]
        node = Store(node.buffer, node.shape, node.index, both, loc=node.loc)
    shape, index = _place(node)
    seen, places = known.get(node.buffer, (shape, {}))
    kept = {i: v for i, v in places.items() if seen == shape and apart(i, index, {})}
    if node.op is None and node.value.aval.dtype == node.buffer.aval.dtype:
        kept[index] = node.value
    known[node.buffer] = shape, kept
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


# Sums that are short ------------------------------------------------------------------


def name_sums(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel with a name for each step of a sum that one block forms.

    Such a sum, of a small loop taken apart, is arithmetic like any other then.
    """
    count = Counter(v for n in everything(nodes) for v in (*assigned(n), *reads_of(n)))
    return _steps_named(nodes, count)


def _steps_named(nodes: Sequence[Node], count: Counter[Var]) -> list[Node]:
    for node in nodes:
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, _steps_named(getattr(node, name), count))
    return _named_apart(nodes, count)


def _named_apart(nodes: Sequence[Node], count: Counter[Var]) -> list[Node]:
    """A block in which what is added up step by step has a name after each step.

    `count`: how often each scalar is named in all. It must be set to a number first,
    and named nowhere else.
    """
    names: dict[Var, Atom] = {}
    seen: set[Var] = set()
    sums = _own_sums(nodes, count)
    out: list[Node] = []
    for node in nodes:
        target = getattr(node, "target", None)
        if target in sums and isinstance(node, Let) and target not in seen:
            names[target] = node.value  # type: ignore[assignment]
        elif target in names and isinstance(node, Accumulate):
            total = scalar_var(target.aval.dtype, target.hint)
            inputs = substitute([target, node.value], names)
            out.append(Eqn(REGISTRY[node.op], inputs, [total]))
            names[target] = total
        else:
            out.append(_reading(node, names))
        seen.update(reads_of(node), assigned(node))
    return out


def _own_sums(nodes: Sequence[Node], count: Counter[Var]) -> set[Var]:
    """Sums that are set to a number once, and named in this block alone."""
    here = Counter(v for n in nodes for v in (*assigned(n), *reads_of(n)))
    set_by = Counter(n.target for n in nodes if isinstance(n, Let))
    first: dict[Var, Node] = {}
    for node in nodes:
        for v in (*assigned(node), *reads_of(node)):
            first.setdefault(v, node)
    return {
        n.target
        for n in nodes
        if isinstance(n, Accumulate)
        and n.target.aval.dtype.kind == "f"
        and here[n.target] == count[n.target]
        and set_by[n.target] == 1
        and isinstance(start := first[n.target], Let)
        and start.target is n.target
        and isinstance(start.value, Literal)
    }


def _reading(node: Node, names: dict[Var, Atom]) -> Node:
    """A node that reads other scalars."""
    if isinstance(node, Eqn):
        return replace(node, inputs=substitute(node.inputs, names))
    if isinstance(node, Store | Let | Accumulate) and isinstance(node.value, Var):
        return replace(node, value=names.get(node.value, node.value))
    return node


__all__ = ["hand_on", "name_sums"]
