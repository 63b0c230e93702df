"""Derivative code divides by one number once: `a / b, c / b` share `r = 1 / b`.

A product with a reciprocal is not rounded as the quotient is, so equations that come
from the user's own code stay: only derived ones, which have an origin, change. (The
quotient rule alone divides three times by the same number.) Under `fastmath` every
division is such a product: where the denominator is the same in many rounds, so is its
reciprocal, and `distribute` takes it out of them.
"""

from __future__ import annotations

from dataclasses import replace

from tracejit.ir.builder import building
from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var, replace_region
from tracejit.ops.elementwise import div, mul


def share_reciprocals(program: Program, fast: bool = False) -> Program:
    """The Program with repeated derived divisions, or `fast` any, as products."""
    return replace_region(program, _region(program.region, fast))


def _region(region: Region, fast: bool) -> Region:
    quotients: dict[Atom, list[Eqn]] = {}
    for eqn in region.eqns:
        if eqn.prim is div and isinstance(eqn.inputs[1], Var):
            quotients.setdefault(eqn.inputs[1], []).append(eqn)
    reciprocals: dict[Atom, Atom] = {}
    eqns: list[Eqn] = []
    for eqn in region.eqns:
        if eqn.regions:
            regions = [_region(r, fast) for r in eqn.regions]
            eqn = replace(eqn, regions=regions)
        elif eqn.prim is div:
            same = quotients.get(eqn.inputs[1], [])
            eqns += _quotient(eqn, same, reciprocals, fast)
            continue
        eqns.append(eqn)
    return Region(region.params, eqns, region.results)


def _quotient(
    eqn: Eqn, same: list[Eqn], reciprocals: dict[Atom, Atom], fast: bool
) -> list[Eqn]:
    """A division, as a product where another one has the same denominator."""
    above, below = eqn.inputs
    if _is_one(above):
        reciprocals.setdefault(below, eqn.out)
        return [eqn]
    derived = [e for e in same if e.origin is not None]
    shared = below in reciprocals or len(derived) > 1 or _has_reciprocal(derived)
    worth_it = shared and eqn.origin is not None
    if fast and isinstance(below, Var) and eqn.out.aval.dtype.kind == "f":
        worth_it = True
    # In single precision numbers are so small soon that their reciprocals overflow.
    if not worth_it or below.aval.dtype.char in "fF":
        return [eqn]
    with building() as builder, builder.open() as made:
        builder.loc, builder.origin = eqn.loc, eqn.origin
        if below not in reciprocals:
            reciprocals[below] = div(Literal(1.0, below.aval.dtype), below)
        product = mul(above, reciprocals[below])
    made[-1].outputs = eqn.outputs
    assert product.aval == eqn.out.aval
    return made


def _has_reciprocal(quotients: list[Eqn]) -> bool:
    return any(_is_one(e.inputs[0]) for e in quotients)


def _is_one(atom: Atom) -> bool:
    return isinstance(atom, Literal) and atom.value == 1
