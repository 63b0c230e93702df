"""Loops of a few rounds that add up whole arrays, written out.

    for k in range(3):                       out = 0 + w[0] * x[0:n] + w[1] * x[1:n + 1]
        out += w[k] * x[k : k + n]                 + w[2] * x[2:n + 2]

Each round would go through the arrays again; written out, all of them are one pass, and
so are the sums and the slices added to of the adjoint. It is done where rounds do not
read other cells of what they carry: nothing more is computed then, and in that order.
"""

from __future__ import annotations

from dataclasses import replace

from tracejit.ir.aval import Aval
from tracejit.ir.program import (
    Atom,
    Eqn,
    Literal,
    Program,
    Region,
    Var,
    clone_eqn,
    reading,
    replace_region,
    substitute,
)
from tracejit.ops.control import for_, known_range, trip_range
from tracejit.optimize.clean import simplify
from tracejit.optimize.merge import only_added_to
from tracejit.optimize.nest import Affine

#: So many rounds, and so many equations in all, are written out.
ROUNDS, EQUATIONS = 8, 80
#: What is but another look at arrays, or a sum of one.
VIEWS = {"getitem", "broadcast", "transpose", "flip"}


def write_out(program: Program) -> Program:
    """The Program with such loops written out."""
    region = _region(program.region)
    if region is program.region:
        return program
    return simplify(replace_region(program, region))


def _region(region: Region) -> Region:
    eqns: list[Eqn] = []
    env: dict[Var, Atom] = {}
    changed = False
    for eqn in region.eqns:
        regions = [_region(r) for r in eqn.regions]
        if any(new is not old for new, old in zip(regions, eqn.regions, strict=True)):
            eqn, changed = replace(eqn, regions=regions), True
        if _may_be_written_out(eqn):
            eqns += _rounds(eqn, env)
            changed = True
        else:
            eqns.append(reading(eqn, env) if env else eqn)
    if not changed:
        return region
    return Region(region.params, eqns, substitute(region.results, env))


def _rounds(loop: Eqn, env: dict[Var, Atom]) -> list[Eqn]:
    """The rounds of a loop, one after the other; `env` learns what they leave."""
    (body,) = loop.regions
    index, *slots = body.params
    lo, hi, step, *carried = substitute(loop.inputs, env)
    out: list[Eqn] = []
    for k in trip_range(lo.value, hi.value, step.value, loop.params["reverse"]):  # type: ignore[union-attr]
        names = {**env, index: Literal(k, index.aval.dtype)}
        names |= dict(zip(slots, carried, strict=True))
        out += [clone_eqn(eqn, names) for eqn in body.eqns]
        carried = substitute(body.results, names)
    env.update(zip(loop.outputs, carried, strict=True))
    return out


def _may_be_written_out(loop: Eqn) -> bool:
    if loop.prim is not for_ or not all(
        isinstance(a, Literal) for a in loop.inputs[:3]
    ):
        return False
    lo, hi, _ = known_range(loop) or (0, 0, 1)
    rounds = len(range(int(lo), int(hi)))
    (body,) = loop.regions
    named = all(Affine.of(n).constant is not None for n in (lo, hi))
    if not named or not 1 < rounds <= ROUNDS or rounds * len(body.eqns) > EQUATIONS:
        return False
    if not any(_is_long(v.aval) for eqn in body.eqns for v in eqn.outputs):
        return False
    return all(map(_is_plain, body.eqns)) and all(
        _keeps_cells(param, result, body)
        for param, result in zip(body.params[1:], body.results, strict=True)
    )


def _is_long(aval: Aval) -> bool:
    return any(Affine.of(n).constant is None for n in aval.shape) and not aval.grows


def _is_plain(eqn: Eqn) -> bool:
    name = eqn.prim.name
    known = eqn.prim.kind == "elementwise" or name in VIEWS
    return known or name in ("sum", "acc_slice")


def _keeps_cells(param: Var, result: Atom, body: Region) -> bool:
    """Whether a round reads of what it carries a cell for the same cell alone, or adds
    to it; numbers may go any way."""
    if not param.aval.shape or only_added_to(param, result, body, whose="anyone's"):
        return True
    carried = {param}
    for eqn in body.eqns:
        if not carried.isdisjoint(eqn.inputs):
            total = eqn.prim.name == "sum" and not eqn.out.aval.shape
            if eqn.prim.kind != "elementwise" and not total:
                return False
            carried.update([] if total else eqn.outputs)
    others = zip(body.params[1:], body.results, strict=True)
    return all(p is param or r not in carried for p, r in others)


__all__ = ["write_out"]
