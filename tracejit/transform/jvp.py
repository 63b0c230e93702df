"""Forward mode: the linear program woven into the primal, loop by loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracejit.ir.builder import building
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Eqn, Program, Region, Var
from tracejit.ops.control import cond, for_, while_
from tracejit.transform.linearize import Tangents, count_trips, linearize, tangent_of


def jvp(program: Program, wrt: Sequence[int], count: int | None = None) -> Program:
    """`program` with tangents: inputs `(*inputs, *tangents of the inputs in wrt)`.

    Results are `(*results, *tangents of the inexact results)`, of the first `count`.
    """
    region = count_trips(program.region)
    tangents: Tangents = {}
    for k in wrt:
        var = region.params[k]
        tangents[var] = Var(var.aval, f"d{var.hint}" if var.hint else "")
    dots = [v for v in tangents.values() if isinstance(v, Var)]
    with building() as builder, builder.open() as linear:
        linearize(region.eqns, tangents)
        results = [
            zeros(r.aval) if t is None else t
            for r in region.results[:count]
            if r.aval.inexact
            for t in [tangent_of(r, tangents)]
        ]
    eqns = weave(region.eqns, linear)
    params = [*region.params, *dots]
    return Program(
        f"{program.name}_jvp",
        Region(params, eqns, [*region.results, *results]),
        "tangent",
    )


def weave(primal: Sequence[Eqn], linear: Sequence[Eqn]) -> list[Eqn]:
    """Each linear equation after the primal one that it derives from.

    A linear loop or branch joins its primal: there its body's references are in scope.
    """
    derived: dict[Eqn, list[Eqn]] = {eqn: [] for eqn in primal}
    last: list[Eqn] = []
    for eqn in linear:
        # What stands at the end (zeros for results) has no origin.
        derived.get(eqn.origin, last).append(eqn)  # type: ignore[arg-type]
    woven: list[Eqn] = []
    for eqn in primal:
        mine = derived[eqn]
        twin = next((e for e in mine if e.regions), None)
        if twin is None:
            woven += [eqn, *mine]
            continue
        at = mine.index(twin)
        woven += [*mine[:at], _join(eqn, twin), *mine[at + 1 :]]
    return woven + last


def _join(eqn: Eqn, twin: Eqn) -> Eqn:
    """One loop or branch that does the work of both."""
    if eqn.prim is cond:
        regions = [
            Region([], weave(a.eqns, b.eqns), [*a.results, *b.results])
            for a, b in zip(eqn.regions, twin.regions, strict=True)
        ]
        inputs = eqn.inputs
    elif eqn.prim is for_:
        regions = [_join_body(eqn.regions[0], twin.regions[0])]
        inputs = [*eqn.inputs, *twin.inputs[3:]]
    else:
        assert eqn.prim is while_
        test, body = eqn.regions
        regions = [
            Region(
                [*test.params, *(Var(p.aval) for p in twin.regions[0].params[1:])],
                test.eqns,
                test.results,
            ),
            _join_body(body, twin.regions[0]),
        ]
        inputs = [*eqn.inputs, *twin.inputs[3:]]
    outputs = [*eqn.outputs, *twin.outputs]
    # A counted `while` counts in its last slot no longer.
    params = {k: v for k, v in eqn.params.items() if k != "counted"}
    return replace(eqn, inputs=inputs, outputs=outputs, params=params, regions=regions)


def _join_body(body: Region, twin: Region) -> Region:
    return Region(
        [*body.params, *twin.params[1:]],
        weave(body.eqns, twin.eqns),
        [*body.results, *twin.results],
    )
