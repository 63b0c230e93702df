"""Reverse mode: linearize, transpose, supply the residuals."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.builder import building
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var
from tracejit.transform.linearize import Tangents, count_trips, linearize, tangent_of
from tracejit.transform.residuals import Supplier, thread_through
from tracejit.transform.transpose import Cotangents, Transposer, add_ct


def vjp(program: Program, wrt: Sequence[int], *, seed: bool = False) -> Program:
    """`program` and its adjoint in one.

    Inputs are `(*inputs, *cotangents of the inexact results)`; with `seed` the first
    result, a scalar, has the cotangent 1 and the others have none. Results are
    `(*results, *cotangents of the inputs in wrt)`.
    """
    region = count_trips(program.region)
    inputs = [region.params[k] for k in wrt]
    tangents: Tangents = {}
    for var in inputs:
        tangents[var] = Var(var.aval, f"d{var.hint}" if var.hint else "")
    dots = [v for v in tangents.values() if isinstance(v, Var)]
    with building() as builder, builder.open() as linear:
        linearize(region.eqns, tangents)

    seeds: list[Var] = []
    cts: Cotangents = {}
    transposer = Transposer(set(dots))
    with building() as builder, builder.open() as transposed:
        for result in region.results[:1] if seed else region.results:
            if not result.aval.inexact:
                continue
            ct: Atom = Literal(1.0, result.aval.dtype)
            if not seed:
                ct = Var(result.aval, f"{getattr(result, 'hint', '') or 'out'}_bar")
                seeds.append(ct)
            tangent = tangent_of(result, tangents)
            if isinstance(tangent, Var):
                add_ct(cts, tangent, ct)
        transposer.eqns(linear, cts)
        grads = [cts[v] if v in cts else zeros(v.aval) for v in dots]
    transposed = alive(transposed, grads)
    supplier = Supplier(transposer.pairs)
    supplier.supply(transposed)
    primal = thread_through(region.eqns, supplier.threads)
    return Program(
        f"{program.name}_adjoint",
        Region(
            [*region.params, *seeds],
            [*primal, *transposed],
            [*region.results, *grads],
        ),
        "adjoint",
    )


def alive(eqns: Sequence[Eqn], results: Sequence[Atom]) -> list[Eqn]:
    """The equations that the results depend on, in regions too.

    Only with them gone do the free variables of a region tell what it needs.
    """
    live = {a for a in results if isinstance(a, Var)}
    kept: list[Eqn] = []
    for eqn in reversed(eqns):
        if not eqn.prim.effect and not any(v in live for v in eqn.outputs):
            continue
        for region in eqn.regions:
            region.eqns = alive(region.eqns, region.results)
        live.update(eqn.uses())
        kept.append(eqn)
    return kept[::-1]
