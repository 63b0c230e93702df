"""Fills made as late as they can be, when the older contents have been read.

    v = x̄[1:-1]                       v = x̄[1:-1]
    ȳ = x̄.at[1:-1].set(0)             z = f(v)
    z = f(v)                          ȳ = x̄.at[1:-1].set(0)

What is written in place forces all that is yet to be read into memory of its own.
"""

from __future__ import annotations

from dataclasses import replace

from tracejit.ir.program import Eqn, Literal, Program, Region, Var, replace_region
from tracejit.ops.index import setitem
from tracejit.ops.shape import broadcast


def fill_late(program: Program) -> Program:
    """The Program with writes of constants moved to before their first use."""
    return replace_region(program, _region(program.region))


def _region(region: Region) -> Region:
    made = {v: eqn for eqn in region.eqns for v in eqn.outputs}
    waiting: dict[Var, Eqn] = {}
    eqns: list[Eqn] = []

    def place(eqn: Eqn) -> None:
        for var in eqn.uses():
            if var in waiting:
                place(waiting.pop(var))
        eqns.append(eqn)

    for eqn in region.eqns:
        if eqn.regions:
            eqn = replace(eqn, regions=[_region(r) for r in eqn.regions])
        if eqn.prim is setitem and _is_fill(eqn, made):
            waiting[eqn.out] = eqn
        else:
            place(eqn)
    for eqn in list(waiting.values()):
        if waiting.pop(eqn.out, None) is not None:
            place(eqn)
    return Region(region.params, eqns, region.results)


def _is_fill(eqn: Eqn, made: dict[Var, Eqn]) -> bool:
    """Whether a part is set to one known number."""
    value = eqn.inputs[1]
    if isinstance(value, Var) and value in made and made[value].prim is broadcast:
        value = made[value].inputs[0]
    return isinstance(value, Literal) and bool(eqn.inputs[1].aval.shape)
