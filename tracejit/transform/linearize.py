"""The linear program of a primal one: how tangents flow, as equations.

`linearize` leaves the primal as it is and emits, beside it, equations that are linear
in the tangents and read the primal's variables directly, those local to loop bodies
included. `jvp` weaves the two together; `transpose` turns the linear one around.

    y = f(x)                       ẏ = f'(x) ẋ
    for i: c = body(i, c)          for i: ċ = body_linear(i, ċ)     the same Var `i`
    while test: c = body(c)        for k in range(trips): ċ = …     after `count_trips`
    y = cond(p; a, b)              ẏ = cond(p; a_linear, b_linear)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tracejit.base.errors import InternalError
from tracejit.ir.aval import Aval
from tracejit.ir.builder import current
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Atom, Eqn, Literal, Region, Var
from tracejit.ops import elementwise as ew
from tracejit.ops.control import Call, checkpoint, cond, emit_for, for_, march, while_

Tangents = dict[Var, Atom]

INT = np.dtype(np.int64)


def count_trips(region: Region) -> Region:
    """Give every `while` a last carried integer that counts its trips."""
    eqns = [_counted(eqn) for eqn in region.eqns]
    return Region(region.params, eqns, region.results)


def _counted(eqn: Eqn) -> Eqn:
    if not eqn.regions:
        return eqn
    regions = [count_trips(r) for r in eqn.regions]
    new = replace(eqn, regions=regions)
    if eqn.prim is not while_ or eqn.params.get("counted"):
        return new
    test, body = regions
    trips, k, k_test = (Var(Aval(INT), "trips") for _ in range(3))
    following = Var(Aval(INT), "trips")
    step = Eqn(ew.add, [k, Literal(1, INT)], [following], loc=eqn.loc)
    new.inputs = [*eqn.inputs, Literal(0, INT)]
    new.outputs = [*eqn.outputs, trips]
    new.params = eqn.params | {"counted": True}
    new.regions = [
        Region([*test.params, k_test], test.eqns, test.results),
        Region([*body.params, k], [*body.eqns, step], [*body.results, following]),
    ]
    return new


def linearize(eqns: Sequence[Eqn], tangents: Tangents) -> None:
    """Emit the linear equations of `eqns`; `tangents` grows by their outputs'."""
    for eqn in eqns:
        with current().at(eqn.loc, origin=eqn):
            outs = _linear_eqn(eqn, tangents)
        for var, tangent in zip(eqn.outputs, outs, strict=True):
            if tangent is not None:
                tangents[var] = tangent


def tangent_of(atom: Atom, tangents: Tangents) -> Atom | None:
    """The tangent of an Atom; None is a zero."""
    return tangents.get(atom) if isinstance(atom, Var) else None


def _linear_eqn(eqn: Eqn, tangents: Tangents) -> Sequence[Atom | None]:
    if eqn.prim is for_:
        return _linear_for(eqn, tangents)
    if eqn.prim is while_:
        return _linear_while(eqn, tangents)
    if eqn.prim is cond:
        return _linear_cond(eqn, tangents)
    if eqn.prim in (checkpoint, march):
        return _linear_checkpoint(eqn, tangents)
    dots = [tangent_of(a, tangents) for a in eqn.inputs]
    if all(dot is None for dot in dots):
        return [None] * len(eqn.outputs)
    return eqn.prim.jvp(eqn.inputs, dots, eqn.outputs, eqn.params)


def _linear_for(eqn: Eqn, tangents: Tangents) -> list[Atom | None]:
    (body,) = eqn.regions
    lo, hi, step, *inits = eqn.inputs
    active = active_slots(body, body.params[1:], inits, tangents)
    region = _linear_body(body, body.params[0], body.params[1:], active, tangents)
    starts = [_instantiate(inits[k], tangents) for k in active]
    outs = emit_for(lo, hi, step, starts, region, eqn.params["reverse"])
    return _scatter(len(inits), active, outs)


def _linear_while(eqn: Eqn, tangents: Tangents) -> list[Atom | None]:
    assert eqn.params.get("counted"), "run `count_trips` first"
    body = eqn.regions[1]
    *carried, index = body.params
    inits = eqn.inputs[:-1]
    active = active_slots(body, carried, inits, tangents)
    region = _linear_body(body, index, carried, active, tangents)
    starts = [_instantiate(inits[k], tangents) for k in active]
    outs = emit_for(0, eqn.outputs[-1], 1, starts, region, False)
    return _scatter(len(eqn.outputs), active, outs)


def _linear_body(
    body: Region, index: Var, carried: list[Var], active: list[int], tangents: Tangents
) -> Region:
    """The linear body, with the primal's own index Var as its index."""
    dots = [_dot(carried[k]) for k in active]
    inner = tangents | dict(zip((carried[k] for k in active), dots, strict=True))
    with current().open() as eqns:
        linearize(body.eqns, inner)
        results = [_instantiate(body.results[k], inner) for k in active]
    return Region([index, *dots], eqns, results)


def _linear_cond(eqn: Eqn, tangents: Tangents) -> list[Atom | None]:
    branches = []
    for branch in eqn.regions:
        inner = dict(tangents)
        with current().open() as eqns:
            linearize(branch.eqns, inner)
        branches.append((branch, eqns, inner))
    active = [
        k
        for k, out in enumerate(eqn.outputs)
        if out.aval.inexact
        and any(tangent_of(b.results[k], t) is not None for b, _, t in branches)
    ]
    if not active:
        return [None] * len(eqn.outputs)
    regions = []
    for branch, eqns, inner in branches:
        with current().open() as more:
            results = [_instantiate(branch.results[k], inner) for k in active]
        regions.append(Region([], [*eqns, *more], results))
    outs = cond(eqn.inputs[0], regions=regions)
    return _scatter(len(eqn.outputs), active, outs)


def _linear_checkpoint(eqn: Eqn, tangents: Tangents) -> list[Atom | None]:
    """The call as one linear equation; what it becomes depends on the mode.

    It reads the inputs and what a march keeps for its way back: its last outputs.
    """
    dots = [tangent_of(a, tangents) for a in eqn.inputs]
    wrt = [k for k, dot in enumerate(dots) if dot is not None]
    (body,) = eqn.regions
    reached = {body.params[k] for k in wrt}
    spread(body.eqns, reached)
    outs = [k for k, r in enumerate(body.results) if r.aval.inexact and r in reached]
    if not outs:
        return [None] * len(eqn.outputs)
    options = {k: v for k, v in eqn.params.items() if k != "apart"}
    turn = options.get("turn")
    slopes = linear_checkpoint(
        *eqn.inputs,
        *(eqn.outputs[len(eqn.outputs) - turn.keeps :] if turn else ()),
        *(dots[k] for k in wrt),
        body=body,
        wrt=tuple(wrt),
        outs=tuple(outs),
        **options,
    )
    return _scatter(len(eqn.outputs), outs, slopes)


class _LinearCheckpoint(Call):
    """`outs` of the body's results, linear in the tangents of the inputs in `wrt`."""

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return [params["body"].results[k].aval for k in params["outs"]]


def _never(*args: Any, **params: Any) -> Any:
    raise InternalError("this is there while a derivative is taken, and only then")


linear_checkpoint = _LinearCheckpoint("linear_checkpoint", _never, single=False)


def active_slots(
    body: Region, carried: list[Var], inits: Sequence[Atom], tangents: Tangents
) -> list[int]:
    """Carried slots that have a tangent, by fixpoint over the loop."""
    active = {
        k for k, init in enumerate(inits) if tangent_of(init, tangents) is not None
    }
    while True:
        known = set(tangents) | {carried[k] for k in active}
        spread(body.eqns, known)
        found = {
            k
            for k, var in enumerate(carried)
            if var.aval.inexact and body.results[k] in known
        }
        if found <= active:
            return sorted(active)
        active |= found


def spread(eqns: Sequence[Eqn], active: set[Var]) -> None:
    """Add to `active` the outputs that (may) depend on it differentiably."""
    for eqn in eqns:
        if eqn.prim is cond:
            for branch in eqn.regions:
                inner = set(active)
                spread(branch.eqns, inner)
                _mark(eqn.outputs, branch.results, inner, active)
        elif eqn.prim in (for_, while_):
            body = eqn.regions[-1]
            first = 1 if eqn.prim is for_ else 0
            carried = body.params[first:]
            inits = eqn.inputs[3 if eqn.prim is for_ else 0 :]
            dots: Tangents = {v: v for v in active}
            for k in active_slots(body, carried, inits, dots):
                active.add(eqn.outputs[k])
        else:
            linear = eqn.prim.linear_operands(eqn.inputs, eqn.params)
            if any(eqn.inputs[k] in active for k in linear):
                active.update(v for v in eqn.outputs if v.aval.inexact)


def _mark(
    outputs: list[Var], results: list[Atom], inner: set[Var], active: set[Var]
) -> None:
    for out, result in zip(outputs, results, strict=True):
        if result in inner and out.aval.inexact:
            active.add(out)


def _dot(var: Var) -> Var:
    return Var(var.aval, f"d{var.hint}" if var.hint else "")


def _instantiate(atom: Atom, tangents: Tangents) -> Atom:
    tangent = tangent_of(atom, tangents)
    return zeros(atom.aval) if tangent is None else tangent


def _scatter(n: int, active: list[int], outs: Sequence[Atom]) -> list[Atom | None]:
    full: list[Atom | None] = [None] * n
    for k, out in zip(active, outs, strict=True):
        full[k] = out
    return full


__all__ = ["active_slots", "count_trips", "linearize", "spread", "tangent_of"]
