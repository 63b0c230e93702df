"""Dead code: equations, carried slots and branch results that nothing reads."""

from __future__ import annotations

from tracejit.ir.program import Atom, Eqn, Program, Region, Var, replace_region
from tracejit.ops.control import CALLS, checkpoint

Live = set[Var]


def eliminate_dead(program: Program) -> Program:
    """The Program without what neither its results nor an effect depend on."""
    return replace_region(program, needed(program.region))


def needed(region: Region) -> Region:
    """The region without what neither its results nor an effect depend on."""
    return _region(region, set())


def _region(region: Region, live: Live, results: list[Atom] | None = None) -> Region:
    """A region cut down to some of its results; `live` grows by what it reads."""
    results = region.results if results is None else results
    live.update(a for a in results if isinstance(a, Var))
    kept: list[Eqn] = []
    for eqn in reversed(region.eqns):
        if has_effect(eqn) or any(v in live for v in eqn.outputs):
            kept.append(_equation(eqn, live))
    kept.reverse()
    return Region(region.params, kept, results)


def has_effect(eqn: Eqn) -> bool:
    """Whether it must stay though nothing reads it: a check, here or inside."""
    return eqn.prim.effect or any(has_effect(e) for r in eqn.regions for e in r.eqns)


def _equation(eqn: Eqn, live: Live) -> Eqn:
    if eqn.prim.name == "cond":
        new = _cond(eqn, live)
    elif eqn.prim.name in ("for", "while"):
        new = _loop(eqn, live)
    elif eqn.prim in CALLS:
        new = _call(eqn, live)
    else:
        new = eqn
    live.update(a for a in new.inputs if isinstance(a, Var))
    return new


def _cond(eqn: Eqn, live: Live) -> Eqn:
    kept = [k for k, v in enumerate(eqn.outputs) if v in live]
    regions = [_region(r, live, [r.results[k] for k in kept]) for r in eqn.regions]
    return _changed(eqn, eqn.inputs, [eqn.outputs[k] for k in kept], regions)


def _call(eqn: Eqn, live: Live) -> Eqn:
    """A call; a checkpoint without the results and the inputs that are not read."""
    if eqn.prim is not checkpoint:
        regions = [_region(r, set()) for r in eqn.regions]
        return _changed(eqn, eqn.inputs, eqn.outputs, regions)
    kept = [k for k, v in enumerate(eqn.outputs) if v in live]
    (body,) = eqn.regions
    read: Live = set()
    body = _region(body, read, [body.results[k] for k in kept])
    pairs = zip(eqn.inputs, body.params, strict=True)
    used = [(a, p) for a, p in pairs if p in read]
    body.params = [p for _, p in used]
    inputs = [a for a, _ in used]
    return _changed(eqn, inputs, [eqn.outputs[k] for k in kept], [body])


def _loop(eqn: Eqn, live: Live) -> Eqn:
    """Slots that are read after the loop, or by what decides or computes such slots.

    To a fixpoint: a slot that only keeps itself going is dead.
    """
    *tests, body = eqn.regions
    carried = body.params[len(body.params) - len(eqn.outputs) :]
    kept = {k for k, v in enumerate(eqn.outputs) if v in live}
    while True:
        inside: Live = set()
        new_tests = [_region(test, inside) for test in tests]
        results = [body.results[k] for k in sorted(kept)]
        new_body = _region(body, inside, results)
        read = {k for k, v in enumerate(carried) if v in inside}
        for test in tests:
            read |= {k for k, v in enumerate(test.params) if v in inside}
        if read <= kept:
            break
        kept |= read
    live |= inside
    new = loop_without(eqn, sorted(kept))
    for region, cut in zip(new.regions, [*new_tests, new_body], strict=True):
        region.eqns = cut.eqns
    return new


def loop_without(eqn: Eqn, kept: list[int]) -> Eqn:
    """A loop with some of its carried slots only; its equations are not looked at."""
    count = len(eqn.outputs)
    first = len(eqn.inputs) - count
    regions = []
    for region in eqn.regions:
        head = len(region.params) - count
        params = [*region.params[:head], *(region.params[head + k] for k in kept)]
        results = region.results
        if region is eqn.regions[-1]:
            results = [results[k] for k in kept]
        regions.append(Region(params, region.eqns, results))
    inputs = [*eqn.inputs[:first], *(eqn.inputs[first + k] for k in kept)]
    new = _changed(eqn, inputs, [eqn.outputs[k] for k in kept], regions)
    # A counted `while` counts its trips in its last slot.
    if count - 1 not in kept:
        new.params = {k: v for k, v in eqn.params.items() if k != "counted"}
    return new


def _changed(
    eqn: Eqn, inputs: list[Atom], outputs: list[Var], regions: list[Region]
) -> Eqn:
    return Eqn(eqn.prim, inputs, outputs, eqn.params, regions, eqn.loc, eqn.origin)
