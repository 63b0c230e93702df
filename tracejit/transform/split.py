"""A Program's value now, and sweeps of its derivative later.

    primal   (*inputs) -> (*results, *residuals)
    sweep    (*residuals, *seeds) -> tangents of the results, or cotangents of inputs

What the sweeps read is saved, or recomputed from what is saved, as `residuals` would
do for a loop: tapes whose length follows from the data cannot be handed out, and the
loops that write them are run again.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.builder import building
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Atom, Eqn, Program, Region, Var, clone_eqn
from tracejit.transform.custom import closed
from tracejit.transform.modes import TAPE, Saving
from tracejit.transform.residuals import plan, substitute_in
from tracejit.transform.sweeps import Sweeps, dot


def linearized(
    program: Program, wrt: Sequence[int], count: int
) -> tuple[Program, Program]:
    """The primal, and the sweep that takes tangents of the inputs in `wrt`.

    It returns those of the inexact ones of the first `count` results.
    """
    seeds = {program.inputs[k]: dot(program.inputs[k]) for k in wrt}
    sweeps = Sweeps(program, list(seeds))
    region = sweeps.region
    with building() as builder, builder.open() as eqns:
        found = list(zip(region.results, sweeps.forward(seeds), strict=True))[:count]
        results = [_or_zeros(t, r) for r, t in found if r.aval.inexact]
    return _split(sweeps, eqns, list(seeds.values()), results, "tangent")


def pulled_back(
    program: Program, wrt: Sequence[int], count: int, saving: Saving = TAPE
) -> tuple[Program, Program]:
    """The primal, and the sweep that takes cotangents of inexact results.

    They are among the first `count`. It returns those of the inputs in `wrt`.
    """
    inputs = [program.inputs[k] for k in wrt]
    sweeps = Sweeps(program, inputs, saving=saving)
    region = sweeps.region
    seeds = {
        k: Var(r.aval, "out_bar")
        for k, r in enumerate(region.results[:count])
        if r.aval.inexact
    }
    with building() as builder, builder.open() as eqns:
        found = zip(inputs, sweeps.reverse(inputs, seeds), strict=True)
        results = [_or_zeros(ct, x) for x, ct in found]
    return _split(sweeps, eqns, list(seeds.values()), results, "adjoint")


def _or_zeros(atom: Atom | None, like: Atom) -> Atom:
    return zeros(like.aval) if atom is None else atom


def _split(
    sweeps: Sweeps, eqns: list[Eqn], seeds: list[Var], results: list[Atom], stage: str
) -> tuple[Program, Program]:
    region = sweeps.region
    primal = sweeps.primal()
    bound = {*region.params, *(v for eqn in primal for v in eqn.outputs)}
    body = Region(region.params, primal, region.results)
    needed = [v for v in Region(seeds, eqns, results).free_vars() if v in bound]
    residuals, again = plan(body, bound, needed)
    env: dict[Var, Atom] = {}
    copies = [clone_eqn(eqn, env) for eqn in again]
    made = {v for eqn in again for v in eqn.outputs} - set(residuals)
    later = Region([*residuals, *seeds], eqns, results)
    substitute_in(later, {v: env[v] for v in made})
    later.eqns = [*copies, *later.eqns]
    name = sweeps.name
    first = Region(region.params, primal, [*region.results, *residuals])
    sweep = Program(f"{name}_{stage}", later, stage)
    return closed(Program(name, first)), closed(sweep)
