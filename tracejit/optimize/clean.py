"""One walk that simplifies: rules, common subexpressions, needless control.

Equations are taken in order. Operands are replaced by what they were found equal to;
then the rules of `forward` and `algebra` are tried; then an equal earlier equation is
looked for among those in scope; what is left is kept. What a rule emits goes through
the same. Loops lose carried slots that never change or that go with another one; a
branch on a known predicate is inlined.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from tracejit.ir.builder import Builder, building
from tracejit.ir.primitive import Primitive
from tracejit.ir.program import (
    Atom,
    Eqn,
    Literal,
    Program,
    Region,
    Var,
    replace_region,
    substitute,
)
from tracejit.ops import control
from tracejit.ops.dead import loop_without
from tracejit.ops.twins import key_of, key_of_eqn
from tracejit.optimize.algebra import TABLES, Table
from tracejit.optimize.forward import forward, may_forward
from tracejit.optimize.view import View, fitted


def simplify(program: Program, *, fast: bool = False) -> Program:
    """The Program after one walk; `fast` allows rules that hold on paper only."""
    with building() as builder:
        cleaner = _Cleaner(builder, View.of(program.region, fast=fast), TABLES[fast])
        return replace_region(program, cleaner.region(program.region))


class _Cleaner:
    def __init__(self, builder: Builder, view: View, table: Table):
        self.builder, self.view = builder, view
        self.table = table
        #: What variables were found equal to.
        self.env: dict[Var, Atom] = {}
        #: Equations in scope, by what they compute.
        self.seen: ChainMap[Hashable, list[Var]] = ChainMap()

    def atoms(self, atoms: Sequence[Atom]) -> list[Atom]:
        return substitute(atoms, self.env)

    def equate(self, old: Var, new: Atom) -> None:
        self.env[old] = new
        if isinstance(new, Var):
            self.view.inherit(new, old)

    def region(self, region: Region) -> Region:
        """A region simplified; what was found equal inside is forgotten outside."""
        for param in region.params:
            self.env.pop(param, None)  # a reversed loop shares its primal's index
        self.seen = self.seen.new_child()
        with self.builder.open() as eqns:
            for eqn in region.eqns:
                self.equation(eqn)
        self.seen = self.seen.parents
        return Region(region.params, eqns, self.atoms(region.results))

    def equation(self, eqn: Eqn) -> None:
        new = Eqn(
            eqn.prim,
            self.atoms(eqn.inputs),
            eqn.outputs,
            eqn.params,
            eqn.regions,
            eqn.loc,
            eqn.origin,
        )
        simplified = _CONTROL.get(eqn.prim, _Cleaner.straight)
        simplified(self, new)

    def keep(self, eqn: Eqn) -> None:
        for var in eqn.outputs:
            self.view.defs[var] = eqn
        self.builder.append(eqn)

    def straight(self, eqn: Eqn) -> None:
        """An equation without regions."""
        if eqn.prim.single and self.rewritten(eqn):
            return
        key = key_of_eqn(eqn)
        twins = None if key is None else self.seen.get(key)
        if twins is not None and all(map(self.view.movable, [*twins, *eqn.outputs])):
            for out, twin in zip(eqn.outputs, twins, strict=True):
                self.equate(out, twin)
            return
        if key is not None:
            self.seen[key] = eqn.outputs
        self.keep(eqn)

    def rewritten(self, eqn: Eqn) -> bool:
        """Whether a rule fitted; what it emitted then stands for the equation."""
        rules = self.table.rules(eqn, self.view)
        if not rules and not may_forward(eqn, self.view):
            return False
        with self.builder.at(eqn.loc, eqn.origin), self.builder.open() as emitted:
            result = forward(eqn, self.view)
            for rule in rules if result is None else ():
                result = rule.apply(eqn, self.view)
                if result is not None:
                    break
            if result is None:
                return False
            result = fitted(result, eqn.out.aval)
        for new in emitted:
            self.view.uses.update(a for a in new.inputs if isinstance(a, Var))
            self.equation(new)
        (atom,) = self.atoms([result])
        self.equate(eqn.out, atom)
        return True

    # Control --------------------------------------------------------------------------

    def check(self, eqn: Eqn) -> None:
        (ok, *_) = eqn.inputs
        if not (isinstance(ok, Literal) and ok.value):
            self.straight(eqn)

    def cond(self, eqn: Eqn) -> None:
        (pred,) = eqn.inputs
        if isinstance(pred, Literal):
            chosen = eqn.regions[0 if pred.value else 1]
            for inner in chosen.eqns:
                self.equation(inner)
            for out, result in zip(
                eqn.outputs, self.atoms(chosen.results), strict=True
            ):
                self.equate(out, result)
            return
        eqn.regions = [self.region(r) for r in eqn.regions]
        then, otherwise = (r.results for r in eqn.regions)
        for out, a, b in zip(eqn.outputs, then, otherwise, strict=True):
            if self.view.same(a, b):
                self.equate(out, a)
        self.keep(eqn)

    def call(self, eqn: Eqn) -> None:
        """A call: its regions are closed, so nothing from outside is in scope."""
        around, self.seen = self.seen, ChainMap()
        eqn.regions = [self.region(r) for r in eqn.regions]
        self.seen = around
        self.keep(eqn)

    def loop(self, eqn: Eqn) -> None:
        """A loop without the slots that hand on their init, or go with another one."""
        first = len(eqn.inputs) - len(eqn.outputs)
        inits, bounds = eqn.inputs[first:], eqn.inputs[:first]
        numbers = [a.value for a in bounds if isinstance(a, Literal)]
        if len(numbers) == 3 and not control.trip_range(*numbers):
            for out, init in zip(eqn.outputs, inits, strict=True):
                self.equate(out, init)
            return
        results = self.atoms(eqn.regions[-1].results)
        slots = [r.params[len(r.params) - len(inits) :] for r in eqn.regions]
        leaders = _leaders(eqn.regions[-1], inits)
        kept = []
        for k, (init, result) in enumerate(zip(inits, results, strict=True)):
            if result is slots[-1][k] or self.view.same(result, init):
                self.replace_slot(eqn, k, init, [init] * len(slots))
            elif leaders[k] != k:
                # The leader may have been replaced itself.
                leader, *params = self.atoms(
                    [eqn.outputs[leaders[k]], *(s[leaders[k]] for s in slots)]
                )
                self.replace_slot(eqn, k, leader, params)
            else:
                kept.append(k)
        new = loop_without(eqn, kept)
        if new.prim is control.for_:
            self.view.ranges.enter(new)
        new.regions = [self.region(r) for r in new.regions]
        self.keep(new)

    def replace_slot(self, eqn: Eqn, k: int, out: Atom, params: list[Atom]) -> None:
        """Slot k is, after the loop, `out`; and in each region one of `params`."""
        self.equate(eqn.outputs[k], out)
        back = k - len(eqn.outputs)
        for region, param in zip(eqn.regions, params, strict=True):
            self.equate(region.params[back], param)


_CONTROL: dict[Primitive, Callable[[_Cleaner, Eqn], None]] = {
    control.check: _Cleaner.check,
    control.cond: _Cleaner.cond,
    control.for_: _Cleaner.loop,
    control.while_: _Cleaner.loop,
    **dict.fromkeys(control.CALLS, _Cleaner.call),
}


def _leaders(body: Region, inits: Sequence[Atom]) -> list[int]:
    """For each carried slot, the first one that always has the same value.

    Those that start alike are taken to be equal, until the results that this gives
    tell some of them apart.
    """
    carried = body.params[len(body.params) - len(inits) :]
    leaders = _first_of_its_kind([key_of(init) for init in inits])
    while len(set(leaders)) < len(leaders):
        env: dict[Var, Atom] = {
            carried[k]: carried[first] for k, first in enumerate(leaders) if first != k
        }
        seen: dict[Hashable, list[Var]] = {}
        for eqn in body.eqns:
            inputs = substitute(eqn.inputs, env)
            key = key_of_eqn(replace(eqn, inputs=inputs))
            twins = eqn.outputs if key is None else seen.setdefault(key, eqn.outputs)
            env.update(zip(eqn.outputs, twins, strict=True))
        results = map(key_of, substitute(body.results, env))
        finer = _first_of_its_kind(list(zip(leaders, results, strict=True)))
        if finer == leaders:
            break
        leaders = finer
    return leaders


def _first_of_its_kind(keys: Sequence[Hashable]) -> list[int]:
    first: dict[Hashable, int] = {}
    return [first.setdefault(key, k) for k, key in enumerate(keys)]
