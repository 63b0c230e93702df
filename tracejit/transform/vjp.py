"""Reverse mode: one reverse sweep behind the primal."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.builder import building
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Atom, Literal, Program, Region, Var
from tracejit.transform.custom import closed
from tracejit.transform.modes import MODES
from tracejit.transform.sweeps import Sweeps


def vjp(program: Program, wrt: Sequence[int], *, seed: bool = False) -> Program:
    """`program` and its adjoint in one.

    Inputs are `(*inputs, *cotangents of the inexact results)`; with `seed` the first
    result, a scalar, has the cotangent 1 and the others have none. Results are
    `(*results, *cotangents of the inputs in wrt)`.
    """
    inputs = [program.inputs[k] for k in wrt]
    sweeps = Sweeps(program, inputs, shared=False)
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
    return closed(Program(f"{program.name}_adjoint", derived, "adjoint"))


MODES["vjp"] = vjp
