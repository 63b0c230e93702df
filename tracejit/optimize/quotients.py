"""Quotients that a chain of rounds need not wait for.

    for i: x = (d[i] - a[i] * x) / m[i]

waits 17 cycles a round, 13 of them for the division. But the divisor does not hang on
the round before: its reciprocal r is at hand early, and so is what that lacks, s. Of a
numerator n, `n * r + n * s` is the quotient but for some of 10¹⁵ and those that
overflow, one multiply-add after n: the second product is of what n is made of. It is
taken for a guess to go on with, and the division itself, which nobody waits for then,
tells whether it was right. No value changes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

from tracejit.ir.primitive import Elementwise
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.ops.elementwise import add, div, mul, neg, sqrt, sub, unless_zero
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
    scalar_var,
)
from tracejit.optimize.walks import assigned, carried, everything, operands

#: The nodes of a round that has the time to wait for a chain.
LARGEST = 64
#: Cycles that a quotient takes, and that pass between two divisions.
LATENCY, BETWEEN = 13, 5
#: What may stand in such a loop.
PLAIN = (Eqn, Load, Store, Let, Accumulate, Check, If)


def written(name: str, emit: str) -> Elementwise:
    """A primitive of kernels alone, as a helper of theirs."""
    prim = copy(unless_zero)
    prim.name, prim.emit = name, emit
    return prim


FMA = written("fma", "_tj_fma({0}, {1}, {2})")
FORESEEN = written("foreseen", "_tj_foreseen({0}, {1})")


def guess_quotients(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with such quotients of innermost loops guessed."""
    out: list[Node] = []
    for node in nodes:
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, guess_quotients(getattr(node, name)))
        if isinstance(node, Loop) and _may_wait(node.body):
            before, node.body = _guessed(node.body)
            out += before
        out.append(node)
    return out


def _may_wait(body: Sequence[Node]) -> bool:
    """Whether a round may wait for a quotient of the one before."""
    inside = list(everything(body))
    plain = len(inside) <= LARGEST and all(isinstance(n, PLAIN) for n in inside)
    divides = any(isinstance(n, Eqn) and n.prim is div for n in body)
    return plain and divides and bool(carried(body))


def _guessed(body: list[Node]) -> tuple[list[Node], list[Node]]:
    """What goes before a loop, and its body with the guesses."""
    chain = _Chain(body)
    quotients = [n for n in body if isinstance(n, Eqn) and chain.waits_for(n)]
    inner = {n.inputs[1] for n in quotients} & chain.assigned
    inside = everything(body)
    units = sum(isinstance(n, Eqn) and n.prim in (div, sqrt) for n in inside)
    if (units + len(inner)) * BETWEEN >= LATENCY * _in_a_row(body, quotients):
        return [], body
    guesses = _Guesses(chain)
    out: list[Node] = []
    for node in body:
        if isinstance(node, Eqn) and node in quotients:
            out += guesses.quotient(node)
        else:
            out.append(node)
    return guesses.before, out


def _in_a_row(body: Sequence[Node], quotients: Sequence[Node]) -> int:
    """How many of these quotients wait for one another in a round, at most."""
    depth: dict[Var, int] = {}
    for node in body:
        read = {v for n in everything([node]) for v in operands(n)}
        here = max((depth.get(v, 0) for v in read), default=0)
        depth.update(dict.fromkeys(_bound(node), here + (node in quotients)))
    return max(depth.values(), default=0)


class _Chain:
    """What of a loop's body hangs on the round before, and what the next one needs."""

    def __init__(self, body: Sequence[Node]):
        inside = list(everything(body))
        times = Counter(v for node in inside for v in set(assigned(node)))
        self.assigned: set[Atom] = set(times)
        eqns = (n for n in body if isinstance(n, Eqn) and n.prim.single)
        self.made = {n.out: n for n in eqns if times[n.out] == 1}
        found = set(carried(body))
        pairs = [(set(operands(node)), _bound(node)) for node in inside]
        self.late = _closure(found, pairs)
        self.needed = _closure(found, [(after, before) for before, after in pairs])

    def is_late(self, atom: Atom) -> bool:
        return isinstance(atom, Var) and atom in self.late

    def waits_for(self, eqn: Eqn) -> bool:
        """Whether the next round needs a quotient, whose divisor comes early."""
        if eqn.prim is not div or eqn.out.aval.dtype != float:
            return False
        above, below = eqn.inputs
        if isinstance(below, Literal) and abs(math.frexp(below.value)[0]) in (0, 0.5):
            return False  # dividing by a power of 2 is a product
        late = self.is_late(above) and not self.is_late(below)
        return late and eqn.out in self.made and eqn.out in self.needed


def _bound(node: Node) -> set[Var]:
    """What a node binds, or decides."""
    return {v for n in everything([node]) for v in assigned(n)}


def _closure(found: set[Var], pairs: Sequence[tuple[set[Var], set[Var]]]) -> set[Var]:
    """All that is reached from some variables, where each pair leads on."""
    found, count = set(found), -1
    while count < len(found):
        count = len(found)
        for before, after in pairs:
            if not before.isdisjoint(found):
                found |= after
    return found


@dataclass
class _Guesses:
    """`before` the loop stands what is the same in all of its rounds."""

    chain: _Chain
    before: list[Node] = field(default_factory=list)
    #: By divisor: its reciprocal, and what that lacks.
    known: dict[Atom, tuple[Var, Var]] = field(default_factory=dict)

    def quotient(self, eqn: Eqn) -> list[Node]:
        """A division beside a guess of what it comes to."""
        above, below = eqn.inputs
        made: list[Node] = []
        if below not in self.known:
            fixed = below not in self.chain.assigned
            self.known[below] = _reciprocal(below, self.before if fixed else made)
        whole, rest = self.known[below]
        guess = emit(made, FMA, above, whole, self.times(above, rest, made))
        exact = emit(made, div, *eqn.inputs)
        made.append(Eqn(FORESEEN, [guess, exact], eqn.outputs, loc=eqn.loc))
        return made

    def times(self, atom: Atom, factor: Var, out: list[Node]) -> Var:
        """About `atom * factor`, as early as what `atom` is made of."""
        eqn = self.chain.made.get(atom) if isinstance(atom, Var) else None
        if eqn is None or eqn.prim not in (add, sub, neg):
            return emit(out, mul, *self.product(atom, factor, out))
        last = factor if eqn.prim is add else emit(out, neg, factor)
        if eqn.prim is neg:
            return self.times(eqn.inputs[0], last, out)
        left, right = eqn.inputs
        if self.chain.is_late(right):
            rest = self.times(left, factor, out)
            return emit(out, FMA, *self.product(right, last, out), rest)
        rest = emit(out, mul, right, last)
        return emit(out, FMA, *self.product(left, factor, out), rest)

    def product(self, atom: Atom, factor: Var, out: list[Node]) -> tuple[Atom, Atom]:
        """Two numbers whose product is `atom * factor`, the first one being late."""
        eqn = self.chain.made.get(atom) if isinstance(atom, Var) else None
        if eqn is not None and eqn.prim is mul:
            late, early = sorted(eqn.inputs, key=self.chain.is_late, reverse=True)
            if not self.chain.is_late(early):
                return late, emit(out, mul, early, factor)
        return atom, factor


def _reciprocal(below: Atom, out: list[Node]) -> tuple[Var, Var]:
    one = Literal(1.0, below.aval.dtype)
    whole = emit(out, div, one, below)
    lacks = emit(out, FMA, emit(out, neg, below), whole, one)
    return whole, emit(out, mul, whole, lacks)


def emit(out: list[Node], prim: Elementwise, *inputs: Atom) -> Var:
    """A new scalar, computed by a node that is appended."""
    new = scalar_var(inputs[0].aval.dtype)
    out.append(Eqn(prim, list(inputs), [new]))
    return new


__all__ = ["guess_quotients"]
