"""Linear recurrences of derivative code, as one multiply-add a round.

    for i: g = b[i] + g * t[i] * a[i]

waits for two products and a sum of the round before. Products of derivatives may be
taken in any order, so that what is carried becomes `g * c + e`, where c and e do not
hang on the round before: only the multiply-add does. Values that others read stay as
they were computed. Where the result is not finite, it is what the round as it stood
comes to, slopes that are infinite and not asked for included. Under `fastmath`, the
user's own numbers are treated alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from tracejit.ir.primitive import Elementwise, Primitive
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.ops.elementwise import add, div, mul, neg, select, sub, unless_zero
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
from tracejit.optimize.quotients import FMA, emit, written
from tracejit.optimize.walks import assigned, carried, operands, reads_of

#: The nodes of a round that has the time to wait for a chain.
LARGEST = 64
#: Cycles that an operation takes.
SUM, PRODUCT, QUOTIENT, CHOICE, MULTIPLY_ADD = 3, 4, 13, 1, 4
#: The cycles to be gained in a round.
LEAST = 3
#: What may stand in such a loop.
PLAIN = (Eqn, Load, Store, Let, Accumulate)

IF_FINITE = written("if_finite", "_tj_if_finite({0}, {1})")


def shorten(nodes: Sequence[Node], fast: bool = False) -> list[Node]:
    """The nodes with shorter chains in innermost loops; `fast`: the user's, too."""
    for node in nodes:
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, shorten(getattr(node, name), fast))
        if isinstance(node, Loop) and len(node.body) <= LARGEST:
            if all(isinstance(n, PLAIN) for n in node.body) and carried(node.body):
                node.body = _Round(node.body, fast).shortened()
    return list(nodes)


@dataclass
class _Form:
    """`start * factor + rest`, where a factor None is 1, a rest None 0.

    `start` is what the round before has left of a number carried, or None where only
    the rest is there. The round as it stands waits `depth` cycles for this; if a sum
    `fuses` with it, for a product so much less.
    """

    start: Var | None = None
    factor: Atom | None = None
    rest: Atom | None = None
    depth: int = 0
    fuses: int = 0


class _Round:
    """Follows a round: what each variable is in terms of those carried into it."""

    def __init__(self, body: Sequence[Node], fast: bool):
        self.body, self.fast = body, fast
        self.starts = {v: scalar_var(v.aval.dtype, v.hint) for v in carried(body)}
        self.reads = Counter(v for n in body for v in reads_of(n))
        self.times = Counter(v for n in body for v in set(assigned(n)))
        #: Of what hangs on the round before. None: it does so otherwise.
        self.forms: dict[Var, _Form | None] = {
            v: _Form(start) for v, start in self.starts.items()
        }
        self.out: list[Node] = []

    def shortened(self) -> list[Node]:
        """The body, with what pays."""
        for node in self.body:
            form = None
            late = any(v in self.forms for v in operands(node))
            if late:
                form = self.form_of(node)
            for var in assigned(node):
                self.forms.pop(var, None)
                if late:
                    self.forms[var] = form
            self.out.append(node)
        gains = [v for v in self.starts if self.gains(v)]
        if not gains:
            return list(self.body)
        ends: list[Node] = []
        for var in gains:
            form = self.forms[var]
            assert form is not None
            whole = self.whole(form)
            ends.append(Let(var, emit(self.out, IF_FINITE, whole, var)))
        starts: list[Node] = [Let(new, v) for v, new in self.starts.items()]
        return self.without_unread([*starts, *self.out, *ends])

    def gains(self, var: Var) -> bool:
        form = self.forms.get(var)
        if form is None or form.start is None or form.factor is None:
            return False
        return form.depth - MULTIPLY_ADD >= LEAST

    def whole(self, form: _Form) -> Var:
        assert form.start is not None and form.factor is not None
        if form.rest is None:
            return emit(self.out, mul, form.start, form.factor)
        return emit(self.out, FMA, form.start, form.factor, form.rest)

    def without_unread(self, nodes: list[Node]) -> list[Node]:
        """The nodes but those of ours that nobody reads."""
        read: set[Var] = set()
        own = set(nodes) - set(self.body)
        kept: list[Node] = []
        for node in reversed(nodes):
            mine = node in own and set(assigned(node)).isdisjoint(self.starts)
            if not mine or not read.isdisjoint(assigned(node)):
                kept.append(node)
                read.update(reads_of(node))
        return kept[::-1]

    # Forms ----------------------------------------------------------------------------

    def form_of(self, node: Node) -> _Form | None:
        """Of what a node binds; None if that is not linear, or the user's own."""
        if isinstance(node, Let) and isinstance(node.value, Var):
            return None if node.hidden else self.of(node.value)
        if isinstance(node, Accumulate) and node.op == "add":
            return self.sum(self.of(node.target), self.of(node.value))
        if not isinstance(node, Eqn) or not (self.fast or node.origin is not None):
            return None
        if not node.prim.single or node.out.aval.dtype.kind != "f":
            return None
        form = self.of_eqn(node.prim, list(map(self.of, node.inputs)))
        if form is not None and self.reads[node.out] > 1:
            form.fuses = 0
        return form

    def of(self, atom: Atom) -> _Form | None:
        if isinstance(atom, Var) and atom in self.forms:
            return copy(self.forms[atom])
        if isinstance(atom, Var) and self.times[atom] > 1:  # for later
            self.out.append(Let(new := scalar_var(atom.aval.dtype), atom))
            atom = new
        return _Form(rest=atom)

    def of_eqn(self, prim: Primitive, forms: list[_Form | None]) -> _Form | None:
        a, b = forms[0], forms[-1]
        if a is None or b is None:
            return None
        if prim is select:
            return self.chosen(a, forms[1], b)
        if prim is neg:
            return self.negative(a)
        if prim in (add, sub):
            return self.sum(a, b if prim is add else self.negative(b))
        if prim is unless_zero and b.start is not None:
            b.fuses = 0  # of what is a multiple of the other one
            return b
        if prim is mul:
            a, b = (b, a) if a.start is None else (a, b)
        if b.start is not None or b.rest is None or prim not in (mul, div):
            return None
        factor = b.rest
        if prim is div:
            factor = emit(self.out, div, Literal(1.0, factor.aval.dtype), factor)
        out = self.scaled(a, factor)
        out.depth = a.depth + (PRODUCT if prim is mul else QUOTIENT)
        out.fuses = SUM if prim is mul else 0
        return out

    def scaled(self, form: _Form, factor: Atom) -> _Form:
        out = copy(form)
        if form.start is not None:
            out.factor = self.combined(mul, form.factor, factor)
        if form.rest is not None:
            out.rest = self.combined(mul, form.rest, factor)
        return out

    def negative(self, form: _Form | None) -> _Form | None:
        if form is None:
            return None
        out = copy(form)
        if form.start is not None:
            one = Literal(-1.0, form.start.aval.dtype)
            out.factor = one if form.factor is None else self.minus(form.factor)
        if form.rest is not None:
            out.rest = self.minus(form.rest)
        return out

    def minus(self, atom: Atom) -> Atom:
        if isinstance(atom, Literal):
            return Literal(-atom.value, atom.aval.dtype, atom.runtime)
        return emit(self.out, neg, atom)

    def sum(self, a: _Form | None, b: _Form | None) -> _Form | None:
        if a is None or b is None:
            return None
        if a.start is None:
            a, b = b, a
        if b.start is not None and b.start is not a.start:
            return None
        out = copy(a)
        if a.start is not None and b.start is not None:
            one = Literal(1.0, a.start.aval.dtype)
            out.factor = emit(self.out, add, a.factor or one, b.factor or one)
        if b.rest is not None:
            out.rest = self.combined(add, a.rest, b.rest)
        out.depth = max(a.depth - a.fuses, b.depth - b.fuses) + SUM
        out.fuses = 0
        return out

    def chosen(self, pred: _Form, a: _Form | None, b: _Form) -> _Form | None:
        """Of a selection that does not hang on the round before."""
        start = b.start if a is None else a.start or b.start
        if a is None or start is None or pred.start is not None or pred.rest is None:
            return None
        if not {a.start, b.start} <= {start, None}:
            return None
        one, zero = (Literal(x, start.aval.dtype) for x in (1.0, 0.0))
        sides = [x.factor or one if x.start else zero for x in (a, b)]
        out = _Form(start, self.choice(pred.rest, *sides))
        if a.rest is not None or b.rest is not None:
            out.rest = self.choice(pred.rest, a.rest or zero, b.rest or zero)
        out.depth = max(a.depth, b.depth) + CHOICE
        return out

    def choice(self, pred: Atom, a: Atom, b: Atom) -> Var:
        new = scalar_var(a.aval.dtype)
        self.out.append(Eqn(select, [pred, a, b], [new]))
        return new

    def combined(self, prim: Elementwise, a: Atom | None, b: Atom) -> Atom:
        """Of two operands; of one, that itself."""
        return b if a is None else emit(self.out, prim, a, b)


__all__ = ["shorten"]
