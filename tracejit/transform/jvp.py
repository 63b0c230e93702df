"""Forward mode: the linear program woven into the primal, loop by loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracejit.ir.builder import building
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Eqn, Program, Region, Var
from tracejit.ops.control import checkpoint, cond, for_, march, while_
from tracejit.transform.custom import (
    closed,
    opened,
    pull,
    push,
    pushed,
    require_linear_rules,
)
from tracejit.transform.linearize import (
    Tangents,
    count_trips,
    linear_checkpoint,
    linearize,
    tangent_of,
)
from tracejit.transform.modes import MODES


def jvp(program: Program, wrt: Sequence[int], count: int | None = None) -> Program:
    """`program` with tangents: inputs `(*inputs, *tangents of the inputs in wrt)`.

    Results are `(*results, *tangents of the inexact results)`, of the first `count`.
    """
    inputs = [program.inputs[k] for k in wrt]
    region = count_trips(opened(program.region, inputs))
    tangents: Tangents = {}
    for var in inputs:
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
        require_linear_rules(region, linear)
        slopes, results = pushed(linear, results, {pull: push})
    derived = Region(
        [*region.params, *dots],
        weave(region.eqns, slopes),
        [*region.results, *results],
    )
    return closed(Program(f"{program.name}_jvp", derived, "tangent"))


MODES["jvp"] = jvp


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
        twin = next((e for e in mine if e.regions or e.prim is linear_checkpoint), None)
        if twin is None or not eqn.regions:
            woven += [eqn, *mine]
            continue
        at = mine.index(twin)
        woven += [*mine[:at], _join(eqn, twin), *mine[at + 1 :]]
    return woven + last


def _join(eqn: Eqn, twin: Eqn) -> Eqn:
    """One loop or branch that does the work of both."""
    prim = eqn.prim
    if eqn.prim is cond:
        regions = [
            Region([], weave(a.eqns, b.eqns), [*a.results, *b.results])
            for a, b in zip(eqn.regions, twin.regions, strict=True)
        ]
        inputs = eqn.inputs
    elif eqn.prim is for_:
        regions = [_join_body(eqn.regions[0], twin.regions[0])]
        inputs = [*eqn.inputs, *twin.inputs[3:]]
    elif eqn.prim in (checkpoint, march):
        dots = twin.inputs[len(twin.inputs) - len(twin.params["wrt"]) :]
        inputs = [*eqn.inputs, *dots]
        regions = [_with_tangents(eqn, twin)]
        prim = checkpoint
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
    # Nor do the tangents turn back where a march does.
    params = {k: v for k, v in eqn.params.items() if k not in ("counted", "turn")}
    new = replace(eqn, inputs=inputs, outputs=outputs, params=params, regions=regions)
    new.prim = prim
    return new


def _join_body(body: Region, twin: Region) -> Region:
    return Region(
        [*body.params, *twin.params[1:]],
        weave(body.eqns, twin.eqns),
        [*body.results, *twin.results],
    )


def _with_tangents(eqn: Eqn, twin: Eqn) -> Region:
    """The body of a checkpoint in forward mode: the tangents that `twin` asks for."""
    (body,) = eqn.regions
    both = jvp(Program(eqn.params["name"], body), twin.params["wrt"]).region
    slopes = iter(both.results[len(body.results) :])
    found = {k: next(slopes) for k, r in enumerate(body.results) if r.aval.inexact}
    results = [*both.results[: len(body.results)]]
    return Region(
        both.params, both.eqns, [*results, *(found[k] for k in twin.params["outs"])]
    )
