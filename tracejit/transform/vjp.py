"""Reverse mode: one reverse sweep behind the primal."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.builder import building
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Atom, Literal, Program, Region, Var
from tracejit.ops.dead import eliminate_dead
from tracejit.transform.custom import closed
from tracejit.transform.modes import MODES, TAPE, Saving
from tracejit.transform.sweeps import Sweeps


def vjp(
    program: Program,
    wrt: Sequence[int],
    *,
    seed: bool = False,
    saving: Saving = TAPE,
) -> Program:
    """`program` and its adjoint in one.

    Inputs are `(*inputs, *cotangents of the inexact results)`; with `seed` the first
    result, a scalar, has the cotangent 1 and the others have none. Results are
    `(*results, *cotangents of the inputs in wrt)`. `saving`: what loops may save.
    """
    inputs = [program.inputs[k] for k in wrt]
    sweeps = Sweeps(program, inputs, shared=False, saving=saving)
    region = sweeps.region
    params: list[Var] = []
    seeds: dict[int, Atom] = {}
    for k, result in enumerate(region.results[:1] if seed else region.results):
        if seed:
            seeds[k] = Literal(1.0, result.aval.dtype)
        elif result.aval.inexact:
            hint = getattr(result, "hint", "") or "out"
            params.append(Var(result.aval, f"{hint}_bar"))
            seeds[k] = params[-1]
    with building() as builder, builder.open() as reverse:
        found = sweeps.reverse(inputs, seeds)
        grads = [
            zeros(v.aval) if ct is None else ct
            for v, ct in zip(inputs, found, strict=True)
        ]
    derived = Region(
        [*region.params, *params],
        [*sweeps.primal(), *reverse],
        [*region.results, *grads],
    )
    adjoint = Program(f"{program.name}_adjoint", derived, "adjoint")
    adjoint.residuals = sweeps.supplier.decisions.told
    return closed(adjoint)


def onto(program: Program, wrt: Sequence[int], count: int, saving: Saving) -> Program:
    """The adjoint alone, for rounds of a loop: the last `count` of `wrt` accumulate.

    Inputs are `(*inputs, *cotangents of the results, *what these are added to)`,
    results are the cotangents of the inputs in `wrt`.
    """
    inputs = [program.inputs[k] for k in wrt]
    sweeps = Sweeps(program, inputs, shared=False, saving=saving)
    region = sweeps.region
    seeds = [Var(r.aval, "bar") for r in region.results]
    accs = [Var(v.aval, f"{v.hint}_bar") for v in inputs[len(inputs) - count :]]
    with building() as builder, builder.open() as reverse:
        before = dict(zip(inputs[len(inputs) - count :], accs, strict=True))
        found = sweeps.reverse(inputs, dict(enumerate(seeds)), before)
        grads = [
            zeros(v.aval) if ct is None else ct
            for v, ct in zip(inputs, found, strict=True)
        ]
    params = [*region.params, *seeds, *accs]
    derived = Region(params, [*sweeps.primal(), *reverse], grads)
    return eliminate_dead(closed(Program("adjoint", derived, "adjoint")))


MODES["vjp"] = vjp
MODES["onto"] = onto
