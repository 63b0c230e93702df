"""Dear work that a mask makes void is skipped, in loops that are scalar code anyway.

    for k: a[k] += g * (0.5 / sqrt(x)) if m else 0; g = 0 if m else g

is the way back of a running minimum, say: for all but a few k nothing is added. A round
waits for what the one before has left of g, so that no vector instructions will come of
this loop, and `if m:` around all that only the sums need is cheaper than to compute it
in vain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.ops.elementwise import select
from tracejit.optimize.foresee import is_chain
from tracejit.optimize.nest import (
    BLOCKS,
    Accumulate,
    Buffer,
    Check,
    If,
    Let,
    Load,
    Loop,
    Node,
    Store,
)
from tracejit.optimize.walks import assigned, everything, operands, reads_of

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
    masked = (n for n in body if isinstance(n, Eqn) and _is_masked(n))
    choices: dict[Atom, Eqn] = {n.out: n for n in masked if reads[n.out] == 1}
    sums: dict[Var, list[Sum]] = {}
    for node in body:
        if isinstance(node, Sum) and node.op == "add" and node.value in choices:
            mask = choices[node.value].inputs[0]
            assert isinstance(mask, Var)
            sums.setdefault(mask, []).append(node)
    for mask, members in sums.items():
        body = _Branch(body, mask, members, choices, reads).body()
    return body


def _is_masked(eqn: Eqn) -> bool:
    """Whether a number is 0 but where a mask holds."""
    if eqn.prim is not select:
        return False
    mask, _, other = eqn.inputs
    return isinstance(mask, Var) and isinstance(other, Literal) and not other.value


class _Branch:
    """Sums of what one mask lets through, and all that is computed for them alone."""

    def __init__(
        self,
        body: list[Node],
        mask: Var,
        sums: list[Sum],
        choices: dict[Atom, Eqn],
        reads: Counter[Var],
    ):
        self.whole, self.mask, self.sums = body, mask, sums
        self.choices = choices
        self.rebound = {n.target for n in body if isinstance(n, Let | Accumulate)}
        self.inside: set[Node] = {*sums, *(choices[n.value] for n in sums)}
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
        then = [self.let_through(n) for n in self.whole if self.is_kept(n)]
        out: list[Node] = []
        for node in self.whole:
            if node not in self.inside:
                out.append(node)
            elif node is self.sums[-1]:
                out.append(If(self.mask, then, []))
        return out

    def cost(self) -> float:
        return sum(n.prim.cost for n in self.inside if isinstance(n, Eqn))

    def is_kept(self, node: Node) -> bool:
        return node in self.inside and node not in self.choices.values()

    def let_through(self, node: Node) -> Node:
        """A sum of what the mask is about."""
        if isinstance(node, Sum) and node in self.sums:
            return replace(node, value=self.choices[node.value].inputs[1])
        return node

    def may_move(self) -> bool:
        """Whether all may be done where the last sum is: what is between does not
        touch the same memory, nor the sums, nor what they read."""
        first = next(k for k, n in enumerate(self.whole) if n in self.inside)
        last = self.whole.index(self.sums[-1])
        between = [n for n in self.whole[first:last] if n not in self.inside]
        stored = {n.buffer for n in self.sums if isinstance(n, Store)}
        loaded = {n.buffer for n in self.inside if isinstance(n, Load)}
        touched = _buffers(between)
        written = _buffers(n for n in between if isinstance(n, Store))
        totals = {n.target for n in self.sums if isinstance(n, Accumulate)}
        known = {v for n in between for v in {*operands(n), *assigned(n)}}
        fixed = all(self.rebound.isdisjoint(reads_of(n)) for n in self.inside)
        return (
            fixed
            and stored.isdisjoint(touched | loaded)
            and loaded.isdisjoint(written)
            and totals.isdisjoint(known)
        )


def _buffers(nodes: Iterable[Node]) -> set[Buffer]:
    return {n.buffer for n in nodes if isinstance(n, Load | Store)}


__all__ = ["skip_void"]
