"""Primitives that are short for a program of others, written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tracejit.ir.builder import Builder, building
from tracejit.ir.program import (
    Atom,
    Program,
    Region,
    Var,
    replace_region,
    substitute,
    walk,
)


def expand(program: Program) -> Program:
    """The Program with every such primitive written out, once derivatives are taken."""
    if not any(_text(eqn.prim) for eqn in walk(program.region)):
        return program
    with building() as builder:
        return replace_region(program, _region(program.region, {}, builder))


def _text(prim: Any) -> Any:
    return getattr(prim, "program", None)


def _region(region: Region, env: dict[Var, Atom], builder: Builder) -> Region:
    with builder.open() as eqns:
        for eqn in region.eqns:
            inputs = substitute(eqn.inputs, env)
            written = _text(eqn.prim)
            if written is None:
                regions = [_region(r, env, builder) for r in eqn.regions]
                eqns.append(replace(eqn, inputs=inputs, regions=regions))
                continue
            with builder.at(eqn.loc, eqn.origin):
                out = written(*inputs, **eqn.params)
            outs = [out] if eqn.prim.single else out
            env.update(zip(eqn.outputs, outs, strict=True))
    return Region(region.params, eqns, substitute(region.results, env))
