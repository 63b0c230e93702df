"""Dear work that a mask makes void is skipped, in loops that are scalar code anyway.

    for k: a[k] += g * (0.5 / sqrt(x)) if m else 0; g = 0 if m else g

is the way back of a running minimum, say: for all but a few k nothing is added. A round
waits for what the one before has left of g, so that no vector instructions will come of
this loop, and `if m:` around all that only the sums need is cheaper than to compute it
in vain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.ops.elementwise import add, neg, select, sub
from tracejit.optimize.foresee import is_chain
from tracejit.optimize.nest import (
    BLOCKS,
    Accumulate,
    Check,
    If,
    Let,
    Load,
    Loop,
    Node,
    Store,
)
from tracejit.optimize.walks import assigned, everything, reads_of

#: In flops: what costs less is computed rather than a branch taken.
DEAR = 10.0
#: What may stand in such a loop.
PLAIN = (Eqn, Load, Store, Let, Accumulate, Check)
Sum: TypeAlias = Accumulate | Store


def skip_void(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel with such work in innermost loops behind a branch."""
    return _block(nodes, Counter(v for n in everything(nodes) for v in reads_of(n)))


def _block(nodes: Sequence[Node], reads: Counter[Var]) -> list[Node]:
    for node in nodes:
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, _block(getattr(node, name), reads))
        if isinstance(node, Loop) and is_chain(node.body):
            if all(isinstance(n, PLAIN) for n in node.body):
                node.body = _skipped(node.body, reads)
    return list(nodes)


def _skipped(body: list[Node], reads: Counter[Var]) -> list[Node]:
    masks: dict[Atom, Var] = {}
    sums: dict[Var, list[Sum]] = {}
    for node in body:
        if isinstance(node, Eqn):
            mask = _mask_of(node, masks)
            if mask is not None:
                masks[node.out] = mask
        elif isinstance(node, Sum) and node.op == "add" and node.value in masks:
            sums.setdefault(masks[node.value], []).append(node)
    for mask, members in sums.items():
        body = _Branch(body, mask, members, reads).body()
    return body


def _mask_of(eqn: Eqn, masks: Mapping[Atom, Var]) -> Var | None:
    """Where alone a number is not 0, if that is known; also of others."""
    if eqn.prim in (neg, add, sub):
        (mask, *more) = {masks.get(a) for a in eqn.inputs}
        return None if more else mask
    return eqn.inputs[0] if _is_masked(eqn) else None  # type: ignore[return-value]


def _is_masked(eqn: Eqn) -> bool:
    """Whether a number is 0 but where a mask holds."""
    if eqn.prim is not select:
        return False
    mask, _, other = eqn.inputs
    return isinstance(mask, Var) and isinstance(other, Literal) and not other.value


class _Branch:
    """Sums of what one mask lets through, and all that is computed for them alone."""

    def __init__(
        self, body: list[Node], mask: Var, sums: list[Sum], reads: Counter[Var]
    ):
        self.whole, self.mask, self.sums = body, mask, sums
        inside = everything(body)
        self.rebound = {n.target for n in inside if isinstance(n, Let | Accumulate)}
        self.inside: set[Node] = set(sums)
        left = Counter(reads)
        left[mask] += 1
        for node in reversed(body):
            if node not in self.inside and self.is_void(node, left):
                self.inside.add(node)
            if node in self.inside:
                left.subtract(reads_of(node))

    def is_void(self, node: Node, left: Counter[Var]) -> bool:
        """Whether nobody else reads what a node makes, and it can be made later."""
        if not isinstance(node, Eqn | Load) or any(left[v] for v in assigned(node)):
            return False
        return self.rebound.isdisjoint({*reads_of(node), *assigned(node)})

    def body(self) -> list[Node]:
        if self.cost() < DEAR or not self.may_move():
            return self.whole
        then = [self.let_through(n) for n in self.whole if n in self.inside]
        out: list[Node] = []
        for node in self.whole:
            if node not in self.inside:
                out.append(node)
            elif node is self.sums[-1]:
                out.append(If(self.mask, then, []))
        return out

    def cost(self) -> float:
        return sum(n.prim.cost for n in self.inside if isinstance(n, Eqn))

    def let_through(self, node: Node) -> Node:
        """What is masked by what holds here is that itself."""
        if isinstance(node, Eqn) and _is_masked(node):
            mask, value, _ = node.inputs
            if mask is self.mask:
                return Let(node.out, value)
        return node

    def may_move(self) -> bool:
        """Whether all may be done where the last sum is: what is between does nothing
        but add to the same memory, or to the same sums."""
        first = next(k for k, n in enumerate(self.whole) if n in self.inside)
        last = self.whole.index(self.sums[-1])
        outside = [n for n in self.whole[first:last] if n not in self.inside]
        between = list(everything(outside))
        others = [n for n in between if not isinstance(n, Sum) or n.op != "add"]
        stored = {n.buffer for n in self.sums if isinstance(n, Store)}
        loaded = {n.buffer for n in self.inside if isinstance(n, Load)}
        written = {n.buffer for n in between if isinstance(n, Store)}
        touched = {n.buffer for n in others if isinstance(n, Load | Store)} | loaded
        totals = {n.target for n in self.sums if isinstance(n, Accumulate)}
        known = {v for n in between for v in reads_of(n)}
        known.update(v for n in others for v in assigned(n))
        fixed = all(self.rebound.isdisjoint(reads_of(n)) for n in self.inside)
        apart = stored.isdisjoint(touched) and loaded.isdisjoint(written)
        return fixed and apart and totals.isdisjoint(known)


__all__ = ["skip_void"]
