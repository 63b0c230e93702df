"""Loop-invariant equations move out of loops, where that is safe and cheap to hold.

Numbers move always. Arrays move where they are expensive to compute, with what they
need: a cheap one is recomputed in the loop's nest for less than its reading costs. So
do arrays in another form, which cost nothing: but their cotangents, formed anew in each
round, would cost as much as all of the array.
A cell of an array that the loop carries is read before it if no round writes there.
Nothing moves that could fail where the loop would not have run it, nothing that makes
or changes a buffer, and nothing out of a branch.
"""

from __future__ import annotations

from dataclasses import replace

from tracejit.ir.primitive import Elementwise, Multilinear
from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var, replace_region
from tracejit.ir.ranges import Part, Ranges
from tracejit.ops.control import trip_range
from tracejit.ops.dead import has_effect
from tracejit.ops.index import acc_slice, getitem, setitem
from tracejit.ops.shape import reshape, transpose

#: In flops per element: from here on an array is kept rather than recomputed.
EXPENSIVE = 10


def hoist(program: Program) -> Program:
    """The Program with invariant equations in front of their loops."""
    ranges = Ranges({v: eqn for eqn in program.walk() for v in eqn.outputs})
    return replace_region(program, _region(program.region, ranges))


def _region(region: Region, ranges: Ranges) -> Region:
    eqns: list[Eqn] = []
    for eqn in region.eqns:
        if eqn.prim.name == "for":
            ranges.enter(eqn)
        if eqn.regions:
            eqn = _with(eqn, [_region(r, ranges) for r in eqn.regions])
        if eqn.prim.name in ("for", "while"):
            moved, eqn = _out_of(eqn, ranges)
            eqns += moved
        eqns.append(eqn)
    return Region(region.params, eqns, region.results)


def _with(eqn: Eqn, regions: list[Region]) -> Eqn:
    return Eqn(
        eqn.prim, eqn.inputs, eqn.outputs, eqn.params, regions, eqn.loc, eqn.origin
    )


def _out_of(loop: Eqn, ranges: Ranges) -> tuple[list[Eqn], Eqn]:
    """The equations that leave a loop, and the loop without them."""
    known = runs(loop)
    moved: list[Eqn] = []
    regions = []
    for region in loop.regions:
        varying = set(region.params)
        for eqn in region.eqns:
            varying.update(eqn.outputs)
        eqns = region.eqns
        if loop.prim.name == "for":
            eqns = _read_before(loop, region, varying, ranges)
        chosen = _chosen(eqns, varying, known, ranges)
        moved += [e for e in eqns if e in chosen]
        pairs = zip(region.eqns, eqns, strict=True)
        rest = [old for old, e in pairs if e not in chosen]
        regions.append(Region(region.params, rest, region.results))
    return moved, _with(loop, regions) if moved else loop


def _read_before(
    loop: Eqn, region: Region, varying: set[Var], ranges: Ranges
) -> list[Eqn]:
    """The equations of a body, reading from before the loop what it leaves alone: the
    cells of a carried array that no round writes to."""
    before: dict[Var, tuple[Atom, list[Part]]] = {}
    slots = zip(loop.inputs[3:], region.params[1:], region.results, strict=True)
    for init, param, result in slots:
        written = _written(region, param, result, ranges) if param.aval.shape else None
        if written is not None:
            parts, versions = written
            before.update(dict.fromkeys(versions, (init, parts)))
    eqns = []
    for eqn in region.eqns:
        if eqn.prim is getitem and eqn.inputs[0] in before and not eqn.out.aval.shape:
            init, parts = before[eqn.inputs[0]]
            starts = eqn.inputs[1:]
            here = ranges.part(starts, eqn)
            if varying.isdisjoint(starts) and all(
                ranges.apart(here, part) for part in parts
            ):
                eqn = replace(eqn, inputs=[init, *starts])
        eqns.append(eqn)
    return eqns


def _written(
    region: Region, first: Var, last: Atom, ranges: Ranges
) -> tuple[list[Part], list[Var]] | None:
    """The parts of an array that a region writes to, from its first version to its
    last, and the versions; None where it is written otherwise."""
    made = {v: eqn for eqn in region.eqns for v in eqn.outputs}
    parts: list[Part] = []
    versions: list[Var] = [first]
    while last is not first:
        eqn = made.get(last)  # type: ignore[arg-type]
        if eqn is None:
            return None
        versions.append(last)  # type: ignore[arg-type]
        if eqn.prim in (setitem, acc_slice):
            parts.append(ranges.part(eqn.inputs[2:], eqn))
            last = eqn.inputs[0]
        elif eqn.prim.name == "for":
            k = eqn.outputs.index(last)  # type: ignore[arg-type]
            (body,) = eqn.regions
            inner = _written(body, body.params[1 + k], body.results[k], ranges)
            if inner is None:
                return None
            parts += inner[0]
            last = eqn.inputs[3 + k]
        else:
            return None
    return parts, versions


def runs(loop: Eqn) -> bool:
    """Whether the body is known to run at least once, and no check could stop it."""
    if has_effect(loop):
        return False
    bounds = [a.value for a in loop.inputs[:3] if isinstance(a, Literal)]
    counted = loop.prim.name == "for" and len(bounds) == 3
    return counted and bool(trip_range(*bounds))


def _chosen(eqns: list[Eqn], local: set[Var], known: bool, ranges: Ranges) -> set[Eqn]:
    """What leaves a region: invariant equations that are worth it, and their needs."""
    makers: dict[Var, Eqn] = {}
    for eqn in eqns:
        outside = all(a not in local or a in makers for a in eqn.inputs)
        if outside and is_safe(eqn, known, ranges):
            makers.update((v, eqn) for v in eqn.outputs)
    chosen: set[Eqn] = set()
    for eqn in reversed(eqns):
        mine = eqn.outputs and eqn.outputs[0] in makers
        if mine and (eqn in chosen or _worth_it(eqn)):
            chosen.add(eqn)
            chosen.update(makers[a] for a in eqn.inputs if a in makers)
    return chosen


def is_safe(eqn: Eqn, known: bool, ranges: Ranges) -> bool:
    """Whether it may run before a loop, which is `known` to run it at least once."""
    if eqn.regions or eqn.prim.effect or eqn.prim.updates or not eqn.inputs:
        return False
    if any(0 in a.aval.shape for a in eqn.inputs):
        return False  # an extremum of nothing
    if known or eqn.prim.name not in ("gather", "getitem"):
        return True
    return eqn.prim is getitem and is_inside(eqn, ranges)


def is_inside(eqn: Eqn, ranges: Ranges) -> bool:
    """Whether a `getitem`, or a `setitem`, is proved to stay inside its array."""
    x, *starts = eqn.inputs if eqn.prim is getitem else (eqn.inputs[0], *eqn.inputs[2:])
    axes = zip(starts, eqn.params["sizes"], x.aval.shape, strict=True)
    return all(
        isinstance(start, Literal)
        or (size is None and ranges.inside(ranges.form(start), extent))
        for start, size, extent in axes
    )


def _worth_it(eqn: Eqn) -> bool:
    if not any(v.aval.shape for v in eqn.outputs):
        return True
    if eqn.prim in (reshape, transpose):
        return True
    return isinstance(eqn.prim, Elementwise | Multilinear) and (
        eqn.prim.cost >= EXPENSIVE
    )
