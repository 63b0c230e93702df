"""What equations are needed for."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.program import Atom, Eqn, Var


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
