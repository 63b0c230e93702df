"""Loop-invariant equations move out of loops, where that is safe and cheap to hold.

Numbers move always. Arrays move where they are expensive to compute, with what they
need: a cheap one is recomputed in the loop's nest for less than its reading costs.
Nothing moves that could fail where the loop would not have run it, nothing that makes
or changes a buffer, and nothing out of a branch.
"""

from __future__ import annotations

from tracejit.ir.primitive import Elementwise, Multilinear
from tracejit.ir.program import Eqn, Literal, Program, Region, Var, replace_region
from tracejit.ops.control import trip_range
from tracejit.optimize.dead import has_effect

#: In flops per element: from here on an array is kept rather than recomputed.
EXPENSIVE = 10


def hoist(program: Program) -> Program:
    """The Program with invariant equations in front of their loops."""
    return replace_region(program, _region(program.region))


def _region(region: Region) -> Region:
    eqns: list[Eqn] = []
    for eqn in region.eqns:
        if eqn.regions:
            eqn = _with(eqn, [_region(r) for r in eqn.regions])
        if eqn.prim.name in ("for", "while"):
            moved, eqn = _out_of(eqn)
            eqns += moved
        eqns.append(eqn)
    return Region(region.params, eqns, region.results)


def _with(eqn: Eqn, regions: list[Region]) -> Eqn:
    return Eqn(
        eqn.prim, eqn.inputs, eqn.outputs, eqn.params, regions, eqn.loc, eqn.origin
    )


def _out_of(loop: Eqn) -> tuple[list[Eqn], Eqn]:
    """The equations that leave a loop, and the loop without them."""
    runs = _runs(loop)
    moved: list[Eqn] = []
    regions = []
    for region in loop.regions:
        varying = set(region.params)
        for eqn in region.eqns:
            varying.update(eqn.outputs)
        chosen = _chosen(region, varying, runs)
        moved += [e for e in region.eqns if e in chosen]
        rest = [e for e in region.eqns if e not in chosen]
        regions.append(Region(region.params, rest, region.results))
    return moved, _with(loop, regions) if moved else loop


def _runs(loop: Eqn) -> bool:
    """Whether the body is known to run at least once, and no check could stop it."""
    if has_effect(loop):
        return False
    bounds = [a.value for a in loop.inputs[:3] if isinstance(a, Literal)]
    counted = loop.prim.name == "for" and len(bounds) == 3
    return counted and bool(trip_range(*bounds))


def _chosen(region: Region, local: set[Var], runs: bool) -> set[Eqn]:
    """What leaves a region: invariant equations that are worth it, and their needs."""
    makers: dict[Var, Eqn] = {}
    for eqn in region.eqns:
        outside = all(a not in local or a in makers for a in eqn.inputs)
        if outside and _safe(eqn, runs):
            makers.update((v, eqn) for v in eqn.outputs)
    chosen: set[Eqn] = set()
    for eqn in reversed(region.eqns):
        mine = eqn.outputs and eqn.outputs[0] in makers
        if mine and (eqn in chosen or _worth_it(eqn)):
            chosen.add(eqn)
            chosen.update(makers[a] for a in eqn.inputs if a in makers)
    return chosen


def _safe(eqn: Eqn, runs: bool) -> bool:
    if eqn.regions or eqn.prim.effect or eqn.prim.updates or not eqn.inputs:
        return False
    if any(0 in a.aval.shape for a in eqn.inputs):
        return False  # an extremum of nothing
    return runs or (
        eqn.prim.name != "gather" and (eqn.prim.name != "getitem" or _in_range(eqn))
    )


def _in_range(eqn: Eqn) -> bool:
    """Whether a `getitem` is proved to stay inside its array."""
    x, *starts = eqn.inputs
    return all(
        isinstance(start, Literal)
        or (
            size is None
            and start.interval is not None
            and 0 <= start.interval[0] <= start.interval[1] < extent
        )
        for start, size, extent in zip(
            starts, eqn.params["sizes"], x.aval.shape, strict=True
        )
    )


def _worth_it(eqn: Eqn) -> bool:
    if not any(v.aval.shape for v in eqn.outputs):
        return True
    return isinstance(eqn.prim, Elementwise | Multilinear) and (
        eqn.prim.cost >= EXPENSIVE
    )
