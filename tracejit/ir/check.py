"""Is a Program well formed? Run after every transform in tests.

Every Var is bound once and used in its scope; types are those that the primitives'
own rules give; regions fit the equation that holds them. The Var of a loop's index may
be bound by several loops, one after another: a reversed loop shares its primal's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.config import config
from tracejit.base.errors import InternalError, UnsupportedError
from tracejit.ir.aval import Aval
from tracejit.ir.primitive import unknown_slope
from tracejit.ir.program import Eqn, Literal, Program, Region, Var
from tracejit.ir.text import eqn_text

INDEX = Aval(np.dtype(np.int64))
TRUTH = Aval(np.dtype(bool))


def checked(program: Program) -> Program:
    """The Program itself, checked where the configuration asks for it."""
    if config().check:
        check(program)
    return program


def check(program: Program) -> None:
    """Raise an InternalError, with the equation at fault, unless well formed."""
    checker = _Checker(program)
    checker.enter(program.region, program.name, index=False)
    written = [program.inputs[k] for k in program.writes]
    finals = program.results[len(program.results) - len(written) :]
    if why := _differ("what is written is", finals, written):
        checker.fail(why, None)


def refuse_unknown(program: Program) -> Program:
    """The Program itself, unless it needs a derivative that there is no formula for."""
    for eqn in program.walk():
        if eqn.prim is unknown_slope:
            raise UnsupportedError(
                f"{eqn.params['what']} is not known in closed form",
                eqn.loc,
                "differentiate by the other arguments; this one must be constant",
            )
    return program


class _Checker:
    def __init__(self, program: Program):
        self.program = program
        self.scope: set[Var] = set()
        self.bound: set[Var] = set()
        self.loop_vars: set[Var] = set()

    def fail(self, why: str, eqn: Eqn | None) -> None:
        where = f"Program {self.program.name!r} ({self.program.stage}): {why}"
        if eqn is None:
            raise InternalError(where)
        text = eqn_text(eqn).replace("\n", "\n    ")
        raise InternalError(f"{where}\n    {text}", eqn.loc)

    def bind(self, var: Var, eqn: Eqn | None, index: bool = False) -> None:
        reused = index and var in self.loop_vars and var not in self.scope
        if var in self.bound and not reused:
            self.fail(f"{var} is bound twice", eqn)
        self.bound.add(var)
        self.scope.add(var)

    def use(self, atom: Any, eqn: Eqn | None) -> None:
        if isinstance(atom, Literal):
            return
        if not isinstance(atom, Var):
            self.fail(f"{atom!r} is neither a Var nor a Literal", eqn)
        if atom not in self.scope:
            free = (
                "is out of scope" if atom in self.bound else "is bound nowhere before"
            )
            self.fail(f"{atom} {free}", eqn)

    def enter(self, region: Region, what: Any, index: bool) -> None:
        """Check a region in the present scope; `index`: its first parameter is one."""
        eqn = what if isinstance(what, Eqn) else None
        for k, param in enumerate(region.params):
            self.bind(param, eqn, index and k == 0)
        if eqn is not None:
            self.loop_vars.update(region.params)
        for inner in region.eqns:
            self.equation(inner)
        for atom in region.results:
            self.use(atom, eqn)
        self.scope.difference_update(region.params)
        for inner in region.eqns:
            self.scope.difference_update(inner.outputs)

    def equation(self, eqn: Eqn) -> None:
        for atom in eqn.inputs:
            self.use(atom, eqn)
        fits = _REGIONS.get(eqn.prim.name, _no_regions)
        why = fits(eqn)
        if why:
            self.fail(why, eqn)
        for region in eqn.regions:
            self.enter(region, eqn, eqn.prim.name == "for")
        try:
            ruled = eqn.prim.out_avals(eqn.inputs, eqn.params, eqn.regions)
        except (AssertionError, IndexError, TypeError, ValueError) as error:
            self.fail(f"{eqn.prim.name} does not take this: {error}", eqn)
        found = [v.aval for v in eqn.outputs]
        if ruled != found:
            self.fail(f"outputs are {_types(found)}, not {_types(ruled)}", eqn)
        for var in eqn.outputs:
            self.bind(var, eqn)


def _types(avals: Sequence[Aval]) -> str:
    return "(" + ", ".join(map(str, avals)) + ")"


def _differ(what: str, found: Sequence[Any], ruled: Sequence[Any]) -> str:
    """A complaint where the types of these Atoms are not those of the others."""
    mine, theirs = [a.aval for a in found], [a.aval for a in ruled]
    return "" if mine == theirs else f"{what} {_types(mine)}, not {_types(theirs)}"


def _no_regions(eqn: Eqn) -> str:
    return "it holds a region" if eqn.regions else ""


def _for(eqn: Eqn) -> str:
    (body,) = eqn.regions
    inits = eqn.inputs[3:]
    counters = [*eqn.inputs[:3], *body.params[:1]]
    if len(counters) < 4 or any(a.aval != INDEX for a in counters):
        return f"bounds, step and index are {_types([a.aval for a in counters])}"
    return _differ("the body takes", body.params[1:], inits) or _differ(
        "the body returns", body.results, inits
    )


def _while(eqn: Eqn) -> str:
    test, body = eqn.regions
    if [a.aval for a in test.results] != [TRUTH]:
        return "the test returns no single bool"
    return (
        _differ("the test takes", test.params, eqn.inputs)
        or _differ("the body takes", body.params, eqn.inputs)
        or _differ("the body returns", body.results, eqn.inputs)
    )


def _cond(eqn: Eqn) -> str:
    then, otherwise = eqn.regions
    if [a.aval for a in eqn.inputs] != [TRUTH]:
        return "it takes no single bool"
    if then.params or otherwise.params:
        return "a branch has parameters"
    return _differ("the branches return", then.results, otherwise.results)


def _call(eqn: Eqn) -> str:
    """A call's body takes the inputs; all of its regions are closed."""
    if any(region.free_vars() for region in eqn.regions):
        return "a region of a call captures variables"
    return _differ("the body takes", eqn.regions[0].params, eqn.inputs)


_REGIONS = {"for": _for, "while": _while, "cond": _cond}
_REGIONS |= dict.fromkeys(("checkpoint", "march", "custom_jvp", "custom_vjp"), _call)
