"""Algebra as a table of rules, both sides written in the primitives' own vocabulary.

    Rule(lambda x, y: x - (-y), lambda x, y: x + y)

A rule prints itself, counts its firings, and is tested numerically. Its scope:

    exact      the same value bit for bit, whatever the operands: fires everywhere
    derived    the same but for rounding or the sign of a zero: fires only on equations
               that a derivative transform made, whose rounding is not the user's
    fast       equal on paper only: fires under `fastmath`

A rule fires where what it leaves costs no more than what it makes dead. `python -m
tests.corpus.rules` counts the firings, and what is left that a rule could be about.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.builder import building
from tracejit.ir.primitive import Primitive
from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var
from tracejit.ir.text import expression
from tracejit.ops import elementwise as ew
from tracejit.ops.twins import COMMUTATIVE
from tracejit.optimize.view import View

Side = Callable[..., Any]
Bindings = dict[Var, Atom]


@dataclass
class Rule:
    """`before` becomes `after`; parameters named p stand for booleans.

    `dtypes` are the NumPy kinds of the result for which it holds.
    """

    before: Side
    after: Side
    scope: str = "exact"
    dtypes: str = "fiub"
    fired: int = 0
    params: list[Var] = field(init=False)
    pattern: Program = field(init=False, repr=False)
    defs: dict[Var, Eqn] = field(init=False, repr=False)
    cost: float = field(init=False)

    def __post_init__(self) -> None:
        self.params = [
            _parameter(name) for name in inspect.signature(self.before).parameters
        ]
        self.pattern = self._trace(self.before)
        self.defs = {e.out: e for e in self.pattern.eqns}
        self.cost = sum(eqn.prim.cost for eqn in self._trace(self.after).eqns)

    def _trace(self, side: Side) -> Program:
        with building() as builder, builder.open() as eqns:
            out = side(*self.params)
        return Program("side", Region(self.params, eqns, [out]))

    def __str__(self) -> str:
        return f"{_expression(self.pattern)}  →  {_expression(self._trace(self.after))}"

    @property
    def root(self) -> Primitive:
        """The primitive of the equation that the rule replaces."""
        return self.pattern.eqns[-1].prim

    def may_fit(self, forms: Sequence[Any]) -> bool:
        """Whether operands of these `View.form`s are such as the rule is about."""
        orders = [forms, forms[::-1]] if self.root in COMMUTATIVE else [forms]
        wants = self.pattern.eqns[-1].inputs
        return any(
            all(map(self._may_be, wants, order)) for order in orders if len(order)
        )

    def _may_be(self, want: Atom, form: Any) -> bool:
        if isinstance(want, Literal):
            return form is Literal
        return want not in self.defs or form is self.defs[want].prim

    def apply(self, eqn: Eqn, view: View) -> Any:
        """Emit the other side if the rule fits this equation; None if not."""
        if eqn.out.aval.dtype.kind not in self.dtypes:
            return None
        if self.scope == "derived" and eqn.origin is None:
            return None
        root = self.pattern.eqns[-1]
        for bindings, dying in _match(root, eqn, self.defs, view, {}, eqn.prim.cost):
            direct = set(eqn.inputs)
            held = (a for a in bindings.values() if a not in direct)
            if self.cost <= dying and all(map(view.movable, held)):
                self.fired += 1
                return self.after(*(bindings[p] for p in self.params))
        return None


def _parameter(name: str) -> Var:
    return Var(Aval(np.dtype(bool if name == "p" else np.float64)), name)


def _match(
    pattern: Eqn,
    eqn: Eqn,
    defs: dict[Var, Eqn],
    view: View,
    bindings: Bindings,
    dying: float,
) -> Iterator[tuple[Bindings, float]]:
    """Ways in which an equation fits, with what the equations cost that would be dead
    then."""
    if eqn.prim is not pattern.prim or eqn.params != pattern.params:
        return
    orders = [eqn.inputs]
    if eqn.prim in COMMUTATIVE:
        orders.append(eqn.inputs[::-1])
    for inputs in orders:
        found = [(bindings, dying)]
        for want, atom in zip(pattern.inputs, inputs, strict=True):
            found = [
                new
                for known, dead in found
                for new in _match_atom(want, atom, defs, view, known, dead)
            ]
        yield from found


def _match_atom(
    want: Atom,
    atom: Atom,
    defs: dict[Var, Eqn],
    view: View,
    bindings: Bindings,
    dying: float,
) -> Iterator[tuple[Bindings, float]]:
    if isinstance(want, Literal):
        literal = view.literal(atom)
        # Neither 0.0 for -0.0 nor a number that will be another at another size.
        if literal is not None and not literal.runtime:
            ours, theirs = float(want.value), float(literal.value)
            if ours == theirs and np.signbit(ours) == np.signbit(theirs):
                yield bindings, dying
    elif want in defs:
        inner = view.defs.get(atom) if isinstance(atom, Var) else None
        if inner is not None:
            dies = inner.prim.single and view.uses.get(inner.out, 0) == 1
            dead = dying + (inner.prim.cost if dies else 0)
            yield from _match(defs[want], inner, defs, view, bindings, dead)
    elif want not in bindings:
        yield bindings | {want: atom}, dying
    elif view.same(bindings[want], atom):
        yield bindings, dying


def _expression(program: Program) -> str:
    """A pattern as one expression."""
    texts: dict[Var, str] = {p: p.hint for p in program.inputs}
    compound: set[Var] = set()  # in need of parentheses beside an operator

    def text(atom: Atom, infix: bool = False) -> str:
        code = repr(atom.value) if isinstance(atom, Literal) else texts[atom]
        return f"({code})" if infix and (atom in compound or code[0] == "-") else code

    for eqn in program.eqns:
        call = expression(eqn, [text(a) for a in eqn.inputs])
        infix = not call.startswith(f"{eqn.prim.name}(")
        if infix:
            compound.add(eqn.out)
            call = expression(eqn, [text(a, infix) for a in eqn.inputs])
        texts[eqn.out] = call
    return text(program.results[0])


# The table ----------------------------------------------------------------------------

_EXACT: list[tuple[Side, Side]] = [
    (lambda x: x * 1, lambda x: x),
    (lambda x: x / 1, lambda x: x),
    (lambda x: x - 0, lambda x: x),
    (lambda x: x + -0.0, lambda x: x),
    (lambda x: -0.0 - x, lambda x: -x),
    (lambda x: x * -1, lambda x: -x),
    (lambda x: x / -1, lambda x: -x),
    (lambda x: ew.neg(-x), lambda x: x),
    (lambda x, y: x - (-y), lambda x, y: x + y),
    (lambda x, y: x + (-y), lambda x, y: x - y),
    (lambda x, y: (-x) * (-y), lambda x, y: x * y),
    (lambda x, y: (-x) / (-y), lambda x, y: x / y),
    (lambda x, y: (-x) * y, lambda x, y: -(x * y)),
    (lambda x, y: (-x) / y, lambda x, y: -(x / y)),
    (lambda x, y: x / (-y), lambda x, y: -(x / y)),
    (lambda x: ew.integer_pow(x, n=1), lambda x: x),
    (lambda x: ew.integer_pow(x, n=2), lambda x: x * x),
    (lambda x: ew.abs_(ew.abs_(x)), lambda x: ew.abs_(x)),
    (lambda x: ew.abs_(-x), lambda x: ew.abs_(x)),
    (lambda x: ew.maximum(x, x), lambda x: x),
    (lambda x: ew.minimum(x, x), lambda x: x),
    (lambda p, x: ew.select(p, x, x), lambda p, x: x),
    (
        lambda p, x, y: ew.select(ew.logical_not(p), x, y),
        lambda p, x, y: ew.select(p, y, x),
    ),
    (lambda p: ew.logical_not(ew.logical_not(p)), lambda p: p),
    (lambda p: ew.logical_and(p, False), lambda p: Literal(False, bool)),
    (lambda p: ew.logical_and(p, True), lambda p: p),
    (lambda p: ew.logical_or(p, True), lambda p: Literal(True, bool)),
    (lambda p: ew.logical_or(p, False), lambda p: p),
]

_EXACT_FOR_INTEGERS: list[tuple[Side, Side]] = [
    (lambda x: x + 0, lambda x: x),
    (lambda x: 0 - x, lambda x: -x),
]

_DERIVED: list[tuple[Side, Side]] = [
    # The sign of a zero in a sum of cotangents means nothing.
    (lambda x: x + 0, lambda x: x),
    (lambda x: 0 - x, lambda x: -x),
    (lambda x, y: (-x) - y, lambda x, y: -(x + y)),
    # Signs go outwards, to where a sum takes them in.
    (lambda x, y: ew.unless_zero(x, -y), lambda x, y: -ew.unless_zero(x, y)),
    (lambda p, x: ew.select(p, -x, 0), lambda p, x: -ew.select(p, x, 0)),
    (lambda p, x: ew.select(p, 0, -x), lambda p, x: -ew.select(p, 0, x)),
    # Slopes of squares come twice; those of powers are powers.
    (lambda x, y: x + y + y, lambda x, y: x + y * 2),
    (lambda x: ew.pow_(x, 0.5), lambda x: ew.sqrt(x)),
    (lambda x: ew.pow_(x, 1.5), lambda x: x * ew.sqrt(x)),
    (lambda x: ew.pow_(x, -0.5), lambda x: 1 / ew.sqrt(x)),
    (lambda x: ew.pow_(x, -1.5), lambda x: 1 / (x * ew.sqrt(x))),
    # Cotangents of one choice, side by side.
    (
        lambda p, x, y: ew.select(p, 0, x) + ew.select(p, y, 0),
        lambda p, x, y: ew.select(p, y, x),
    ),
    (
        lambda p, x, y: ew.select(p, 0, x) - ew.select(p, y, 0),
        lambda p, x, y: ew.select(p, -y, x),
    ),
    (
        lambda p, x, y: ew.select(p, x, 0) - ew.select(p, 0, y),
        lambda p, x, y: ew.select(p, x, -y),
    ),
    (
        lambda p, x, y, z: ew.select(p, x, y) + ew.select(p, z, 0),
        lambda p, x, y, z: ew.select(p, x + z, y),
    ),
    (
        lambda p, x, y, z: ew.select(p, x, y) + ew.select(p, 0, z),
        lambda p, x, y, z: ew.select(p, x, y + z),
    ),
]

_FAST: list[tuple[Side, Side]] = [
    (lambda x: ew.log(ew.exp(x)), lambda x: x),
    (lambda x: ew.exp(ew.log(x)), lambda x: x),
    (lambda x: ew.sqrt(x) * ew.sqrt(x), lambda x: x),
    (lambda x, y: ew.exp(x) * ew.exp(y), lambda x, y: ew.exp(x + y)),
    (lambda x, y, z: x * y + x * z, lambda x, y, z: x * (y + z)),
    (lambda x, y: ew.unless_zero(x, y), lambda x, y: y),  # where no slope is infinite
]

RULES: list[Rule] = [
    *(Rule(*sides) for sides in _EXACT),
    *(Rule(*sides, dtypes="iu") for sides in _EXACT_FOR_INTEGERS),
    *(Rule(*sides, scope="derived", dtypes="f") for sides in _DERIVED),
    *(Rule(*sides, scope="fast", dtypes="f") for sides in _FAST),
]


class Table:
    """The rules in force, found by what an equation is and what made its operands."""

    def __init__(self, *, fast: bool):
        self.by_root: dict[Primitive, list[Rule]] = {}
        allowed = {"exact", "derived"} | ({"fast"} if fast else set())
        for rule in RULES:
            if rule.scope in allowed:
                self.by_root.setdefault(rule.root, []).append(rule)
        self.by_forms: dict[tuple[Any, ...], list[Rule]] = {}

    def rules(self, eqn: Eqn, view: View) -> list[Rule]:
        """Those that may fit an equation: most fit none, which is found out at once."""
        rules = self.by_root.get(eqn.prim)
        if rules is None:
            return []
        forms = [view.form(a) for a in eqn.inputs]
        key = (eqn.prim, *forms)
        if key not in self.by_forms:
            self.by_forms[key] = [rule for rule in rules if rule.may_fit(forms)]
        return self.by_forms[key]


#: By whether `fast` rules are in force.
TABLES = {fast: Table(fast=fast) for fast in (False, True)}
