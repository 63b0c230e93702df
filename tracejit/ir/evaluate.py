"""Running a Program in NumPy, equation by equation: the second opinion on any stage.

A value is dropped at its last use. An update (`setitem` and its like) of an array
that nobody else holds, views included, is done in place: Python's reference counts
decide, which sees every alias.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var

# References to a value in a list of operands: the list's, the local name's, the call's.
_OURS = 3


def evaluate(program: Program, args: Sequence[Any]) -> list[Any]:
    """The results of `program` on NumPy arrays or scalars; `args` are not changed."""
    with np.errstate(all="ignore"):
        return Interpreter().run(program.region, list(args))


class Interpreter:
    """Runs regions; one environment serves all nested ones, as their Vars differ."""

    def __init__(self) -> None:
        self.env: dict[Var, Any] = {}
        self.plans: dict[Region, list[tuple[Eqn, list[Var]]]] = {}

    def run(self, region: Region, args: list[Any]) -> list[Any]:
        """Results of a region. `args` is emptied: the region owns what it was given."""
        env = self.env
        env.update(zip(region.params, args, strict=True))
        args.clear()
        if region not in self.plans:
            self.plans[region] = list(zip(region.eqns, last_uses(region), strict=True))
        for eqn, dead in self.plans[region]:
            values = [self.read(atom) for atom in eqn.inputs]
            for var in dead:
                del env[var]
            env.update(zip(eqn.outputs, self.apply(eqn, values), strict=True))
        results = [self.read(atom) for atom in region.results]
        for var in region.params:
            env.pop(var, None)
        for eqn in region.eqns:
            for var in eqn.outputs:
                env.pop(var, None)
        return results

    def read(self, atom: Atom) -> Any:
        return atom.scalar if isinstance(atom, Literal) else self.env[atom]

    def apply(self, eqn: Eqn, values: list[Any]) -> Sequence[Any]:
        prim, params = eqn.prim, eqn.params
        if prim.kind == "structured":
            return prim.evaluate(eqn, values, self.run)  # type: ignore[attr-defined]
        if prim.updates:
            params = params | {"inplace": _owned(values)}
        out = prim.impl(*values, **params)
        return [_typed(out, eqn.out)] if prim.single else out


def _owned(values: list[Any]) -> bool:
    """Whether nobody else, a view included, holds the first operand's buffer."""
    target = values[0]
    return (
        isinstance(target, np.ndarray)
        and target.base is None
        and target.flags.writeable
        and sys.getrefcount(target) <= _OURS
    )


def _typed(out: Any, var: Var) -> Any:
    """NumPy returns scalars for 0-d and sometimes another dtype: hold to the aval."""
    dtype = var.aval.dtype
    if not var.aval.shape:
        return dtype.type(out)
    return out if out.dtype == dtype else out.astype(dtype)


def last_uses(region: Region) -> list[list[Var]]:
    """For every equation, the region's own variables that die with it."""
    alive = {a for a in region.results if isinstance(a, Var)}
    own = set(region.params)
    for eqn in region.eqns:
        own.update(eqn.outputs)
    deaths: list[list[Var]] = []
    for eqn in reversed(region.eqns):
        used = dict.fromkeys(v for v in eqn.uses() if v in own)
        # What an inner region captures must stay until that region has run.
        inner = {v for r in eqn.regions for v in r.free_vars()}
        deaths.append([v for v in used if v not in alive and v not in inner])
        alive.update(used)
    deaths.reverse()
    return deaths
