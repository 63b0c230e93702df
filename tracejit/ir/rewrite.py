"""Equations replaced by others, in every region of a Program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tracejit.ir.builder import building, current
from tracejit.ir.program import (
    Atom,
    Eqn,
    Program,
    Region,
    Var,
    replace_region,
    substitute,
)

#: Emits what stands for an equation and returns its outputs; None: it stays.
Rule = Callable[[Eqn, "Rewriter"], Sequence[Atom] | None]


def rewrite(program: Program, rule: Rule) -> Program:
    """The Program with every equation that `rule` knows replaced."""
    with building():
        return replace_region(program, Rewriter(rule).region(program.region))


class Rewriter:
    """Copies regions; `env` maps their variables to what stands for them."""

    def __init__(self, rule: Rule):
        self.rule = rule
        self.env: dict[Var, Atom] = {}

    def region(self, region: Region) -> Region:
        with current().open() as eqns:
            for eqn in region.eqns:
                self.equation(eqn)
        return Region(region.params, eqns, substitute(region.results, self.env))

    def equation(self, eqn: Eqn) -> None:
        new = replace(eqn, inputs=substitute(eqn.inputs, self.env))
        with current().at(eqn.loc, eqn.origin):
            outs = self.rule(new, self)
        if outs is not None:
            self.env.update(zip(eqn.outputs, outs, strict=True))
            return
        new.regions = [self.region(r) for r in eqn.regions]
        current().append(new)

    def run(self, region: Region, args: Sequence[Atom]) -> list[Atom]:
        """A region's equations, emitted here; its results for these arguments."""
        self.env.update(zip(region.params, args, strict=True))
        for eqn in region.eqns:
            self.equation(eqn)
        return substitute(region.results, self.env)
