"""What a rewriting rule may know about the program around an equation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tracejit.ir.aval import Aval
from tracejit.ir.program import Atom, Eqn, Literal, Region, Var
from tracejit.ir.ranges import Ranges
from tracejit.ops.linalg import dot
from tracejit.ops.shape import broadcast
from tracejit.ops.twins import key_of
from tracejit.optimize.demand import Where, saved_where, sides


@dataclass
class View:
    """`defs`: the equation that made a Var; `uses`: how often the original is read,
    and `factors`, how often by a `dot` of which the order is free.

    `overwritten` are the arrays that a later equation may want to change in place, and
    `carried` those that the next round of a loop may. A rule that reads one of them
    anew could force a copy of it: see `movable`. `sides`
    are the operands that are all anybody looks at, of a `select`; `saved` tells where
    what is written to a tape is looked at. `fast`: what holds on paper only is allowed.
    """

    defs: dict[Var, Eqn] = field(default_factory=dict)
    uses: Counter[Var] = field(default_factory=Counter)
    factors: Counter[Var] = field(default_factory=Counter)
    overwritten: set[Var] = field(default_factory=set)
    carried: set[Var] = field(default_factory=set)
    sides: dict[Var, int] = field(default_factory=dict)
    saved: dict[Eqn, Where] = field(default_factory=dict)
    fast: bool = False
    ranges: Ranges = field(init=False)

    def __post_init__(self) -> None:
        self.ranges = Ranges(self.defs)

    @classmethod
    def of(cls, region: Region, *, fast: bool = False) -> View:
        view = cls(fast=fast)
        view.survey(region)
        return view

    def survey(self, region: Region) -> None:
        """Count uses and note what may be overwritten, nested regions included."""
        self.sides |= sides(region, self.saved)
        self.saved |= saved_where(region)
        for eqn in region.eqns:
            self.uses.update(_variables(eqn.inputs))
            if eqn.prim is dot and (eqn.origin is not None or self.fast):
                self.factors.update(_variables(eqn.inputs))
            if eqn.prim.updates:
                self.overwritten.update(_variables(eqn.inputs[:1]))
            elif eqn.regions:
                self.overwritten.update(_variables(eqn.inputs))
            for inner in eqn.regions:
                self.survey(inner)
                self.carried.update(_variables(inner.results))
        self.uses.update(_variables(region.results))

    def inherit(self, new: Var, old: Var) -> None:
        """`new` is read wherever `old` was."""
        self.uses[new] += self.uses[old]
        self.factors[new] += self.factors[old]
        if old in self.overwritten:
            self.overwritten.add(new)
        if old in self.carried:
            self.carried.add(new)

    def movable(self, atom: Atom) -> bool:
        """Whether it may be read later than it is now without forcing a copy."""
        free = atom not in self.overwritten and atom not in self.carried
        return not atom.aval.shape or free

    def may_be(self, out: Var, atom: Atom) -> bool:
        """Whether `out`, which reads `atom` element by element, may as well be it.

        Neither is to be overwritten before the round that they belong to is over.
        """
        here = out not in self.overwritten and out not in self.carried
        return self.movable(atom) or (here and atom not in self.overwritten)

    def definition(self, atom: Atom, name: str) -> Eqn | None:
        """The equation that made it, if its primitive is the one of that name."""
        eqn = self.defs.get(atom) if isinstance(atom, Var) else None
        return eqn if eqn is not None and eqn.prim.name == name else None

    def once(self, var: Var) -> bool:
        """Whether it is read only once, so that it dies with its reader."""
        return self.uses[var] == 1

    def literal(self, atom: Atom) -> Literal | None:
        """The number that it is at every element, if known."""
        if isinstance(atom, Literal):
            return atom
        fill = self.definition(atom, "broadcast")
        if fill is None or not isinstance(fill.inputs[0], Literal):
            return None
        return fill.inputs[0]

    def form(self, atom: Atom) -> Any:
        """Literal where its number is known, else the primitive that made it."""
        if self.literal(atom) is not None:
            return Literal
        eqn = self.defs.get(atom)  # type: ignore[arg-type]
        return None if eqn is None else eqn.prim

    def zero(self, atom: Atom) -> bool:
        """Whether it is 0 (or -0.0) at every element."""
        literal = self.literal(atom)
        return literal is not None and not literal.runtime and literal.value == 0

    def is_one(self, atom: Atom) -> bool:
        """Whether it is 1 at every element."""
        literal = self.literal(atom)
        return literal is not None and not literal.runtime and literal.value == 1

    def same(self, a: Atom, b: Atom) -> bool:
        return key_of(a) == key_of(b)


def fitted(atom: Atom, aval: Aval) -> Atom:
    """The atom, or a Literal that stands for an array as that array."""
    if atom.aval.shape == aval.shape:
        return atom
    return broadcast(atom, shape=aval.shape, axes=())


def _variables(atoms: Iterable[Atom]) -> list[Var]:
    return [a for a in atoms if isinstance(a, Var)]
