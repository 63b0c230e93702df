"""Derivatives of straight-line Programs, written as plainly as can be.

What `transform` does with loops and branches, here without them: so the rules of the
registry are tested by themselves, and `transform` has a second opinion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval, aval_of
from tracejit.ir.builder import building
from tracejit.ir.evaluate import evaluate
from tracejit.ir.primitive import Primitive, Unknown, zeros
from tracejit.ir.program import Program, Region, Var


def build(function: Callable[..., Any], avals: Sequence[Aval]) -> Program:
    """The Program of a function that emits equations."""
    params = [Var(aval) for aval in avals]
    with building() as builder, builder.open() as eqns:
        out = function(*params)
    results = out if isinstance(out, list) else [out]
    return Program("test", Region(params, eqns, results))


def primal(prim: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Program:
    """The Program that applies `prim` once."""
    return build(lambda *xs: prim(*xs, **params), [aval_of(x) for x in operands])


def inexact(program: Program) -> list[int]:
    """Positions of the inputs that have tangents, by which derivatives are known."""
    fixed = {
        atom
        for eqn in program.eqns
        for atom, partial in zip(eqn.inputs, partials(eqn.prim), strict=False)
        if isinstance(partial, Unknown)
    }
    inputs = enumerate(program.inputs)
    return [k for k, var in inputs if var.aval.inexact and var not in fixed]


def partials(prim: Primitive) -> tuple[Any, ...]:
    """The partials of an elementwise primitive; of others, none."""
    return getattr(prim, "partials", ())


def jvp(program: Program) -> Program:
    """Inputs and their tangents to the tangents of the results (zeros, where None)."""
    active = inexact(program)
    dots = {program.inputs[k]: Var(program.inputs[k].aval) for k in active}
    tangents: dict[Any, Any] = dict(dots)
    with building() as builder, builder.open() as eqns:
        for eqn in program.eqns:
            builder.append(eqn)
            inner = [tangents.get(atom) for atom in eqn.inputs]
            if any(t is not None for t in inner):
                outs = eqn.prim.jvp(eqn.inputs, inner, eqn.outputs, eqn.params)
                tangents.update(zip(eqn.outputs, outs, strict=True))
        results = [
            zeros(r.aval) if tangents.get(r) is None else tangents[r]
            for r in program.results
        ]
    return Program("jvp", Region([*program.inputs, *dots.values()], eqns, results))


def transpose(linear: Program, count: int) -> Program:
    """`linear` maps its last `count` inputs linearly to its results; turn it around."""
    split = len(linear.inputs) - count
    dots = linear.inputs[split:]
    reached, chain = set(dots), []
    for eqn in linear.eqns:
        if reached.intersection(eqn.inputs):
            reached.update(eqn.outputs)
            chain.append(eqn)
    ones = [Var(r.aval) for r in linear.results]
    cotangents: dict[Any, Any] = {}
    with building() as builder, builder.open() as eqns:
        for result, ct in zip(linear.results, ones, strict=True):
            known = cotangents.get(result)
            cotangents[result] = ct if known is None else known + ct
        eqns += [eqn for eqn in linear.eqns if eqn not in chain]
        for eqn in reversed(chain):
            out = cotangents.get(eqn.out)
            if out is None:
                continue
            for k, atom in enumerate(eqn.inputs):
                if atom in reached:
                    term = eqn.prim.transpose_rule(k)(out, *eqn.inputs, **eqn.params)
                    known = cotangents.get(atom)
                    cotangents[atom] = term if known is None else known + term
        results = [
            zeros(d.aval) if cotangents.get(d) is None else cotangents[d] for d in dots
        ]
    return Program("vjp", Region([*linear.inputs[:split], *ones], eqns, results))


def run(program: Program, *args: Any) -> list[Any]:
    return [np.asarray(out) for out in evaluate(program, args)]


def differences(
    program: Program, args: Sequence[Any], dots: Sequence[Any], step: float = 2e-3
) -> list[Any]:
    """The derivative of the results along `dots`: central, sixth order in `step`."""
    active = inexact(program)

    def at(t: float) -> list[Any]:
        moved = list(args)
        for k, dot in zip(active, dots, strict=True):
            moved[k] = args[k] + t * dot
        return run(program, *moved)

    total: list[Any] = [0.0] * len(program.results)
    for k, weight in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)):
        forth, back = at(k * step), at(-k * step)
        for n, (f, b) in enumerate(zip(forth, back, strict=True)):
            total[n] = total[n] + weight * (f - b) / step
    return total


__all__ = [
    "build",
    "differences",
    "inexact",
    "jvp",
    "primal",
    "run",
    "transpose",
]
