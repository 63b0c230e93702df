"""A loop and its adjoint in one pass, where neither waits for the other.

    for i: s += f(x[i])                        for i: s += f(x[i])
    for i, reversed: x̄[i] += f'(x[i]) s̄            x̄[i] += f'(x[i]) s̄

An adjoint loop shares the Var of its index with its primal. If it needs nothing that
the primal loop computes (no tape, and a cotangent that is known before), and if its
rounds only add to what it carries, so that they may come in any order, the two run
together and share what both compute. So do the loops inside them.

One that stays alone runs forwards if its rounds may come in any order: memory is read
ahead, and vectors need not be turned around.
"""

from __future__ import annotations

from dataclasses import replace

from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var, replace_region
from tracejit.ops.dead import has_effect
from tracejit.ops.elementwise import add
from tracejit.ops.index import acc_slice


def merge_loops(program: Program) -> Program:
    """The Program with adjoint loops joined to their primal ones, or run forwards."""
    return replace_region(program, _region(program.region))


def _region(region: Region) -> Region:
    eqns = list(region.eqns)
    k = 0
    while k < len(eqns):
        if eqns[k].prim.name == "for":
            eqns = _merge_at(eqns, k)
        if eqns[k].regions:
            regions = [_region(r) for r in eqns[k].regions]
            eqns[k] = replace(eqns[k], regions=regions)
        if eqns[k].prim.name == "for":
            eqns[k] = _forwards(eqns[k])
        k += 1
    return Region(region.params, eqns, region.results)


def _merge_at(eqns: list[Eqn], k: int) -> list[Eqn]:
    """Join a later adjoint of the loop at `k`, if there is one that may be joined."""
    primal = eqns[k]
    later = next((e for e in eqns[k + 1 :] if _is_adjoint(e, primal)), None)
    if later is None or not (any_order(later) or any_order(primal)):
        return eqns
    # What the adjoint needs, directly or not, must not come from the primal loop.
    at = eqns.index(later)
    needed = set(later.uses())
    before: list[Eqn] = []
    for eqn in reversed(eqns[k + 1 : at]):
        if not needed.isdisjoint(eqn.outputs):
            if has_effect(eqn):
                return eqns
            needed.update(eqn.uses())
            before.append(eqn)
    if not needed.isdisjoint(primal.outputs):
        return eqns
    rest = [e for e in eqns[k + 1 :] if e is not later and e not in before]
    return [*eqns[:k], *reversed(before), _joined(primal, later), *rest]


def _is_adjoint(eqn: Eqn, primal: Eqn) -> bool:
    if eqn.prim is not primal.prim:
        return False
    shared = eqn.regions[0].params[0] is primal.regions[0].params[0]
    bounds = zip(eqn.inputs[:3], primal.inputs[:3], strict=True)
    return shared and all(_same(a, b) for a, b in bounds)


def _same(a: Atom, b: Atom) -> bool:
    if isinstance(a, Literal) and isinstance(b, Literal):
        return a.key() == b.key()
    return a is b


def _joined(primal: Eqn, adjoint: Eqn) -> Eqn:
    """One loop with the slots of both, in the order that one of them needs."""
    (first,), (second,) = primal.regions, adjoint.regions
    region = Region(
        [*first.params, *second.params[1:]],
        [*first.eqns, *second.eqns],
        [*first.results, *second.results],
    )
    order = primal if any_order(adjoint) else adjoint
    return replace(
        primal,
        inputs=[*primal.inputs, *adjoint.inputs[3:]],
        outputs=[*primal.outputs, *adjoint.outputs],
        params=order.params,
        regions=[region],
    )


def _forwards(loop: Eqn) -> Eqn:
    """A loop with its rounds in ascending order where that makes no difference."""
    if not loop.params["reverse"] or not any_order(loop):
        return loop
    return replace(loop, params=loop.params | {"reverse": False})


def any_order(loop: Eqn) -> bool:
    """Whether the rounds of a `for` may come in any order, but for rounding."""
    (body,) = loop.regions
    return not has_effect(loop) and all(
        only_added_to(param, result, body)
        for param, result in zip(body.params[1:], body.results, strict=True)
    )


def only_added_to(param: Var, result: Atom, body: Region, whose: str = "ours") -> bool:
    """Whether a slot goes through additions alone, and is read by nothing else.

    Sums of derivatives are `ours`, to be formed in any order.
    """
    readers = [e for e in body.eqns if param in e.uses()]
    also_result = sum(r is param for r in body.results)
    if param is result:
        return not readers and also_result == 1
    if len(readers) != 1 or also_result:
        return False
    (eqn,) = readers
    if eqn.prim.name == "cond":
        sides = zip(*(r.results for r in eqn.regions), strict=True)
        for out, results in zip(eqn.outputs, sides, strict=True):
            pairs = zip(results, eqn.regions, strict=True)
            if all(only_added_to(param, r, region, whose) for r, region in pairs):
                return only_added_to(out, result, body, whose)
        return False
    if sum(a is param for a in eqn.inputs) != 1:
        return False
    if eqn.prim is add or (eqn.prim is acc_slice and eqn.inputs[0] is param):
        if eqn.prim is add and eqn.origin is None and whose == "ours":
            return False
        return only_added_to(eqn.out, result, body, whose)
    if eqn.prim.name == "for" and param in eqn.inputs[3:]:
        slot = eqn.inputs[3:].index(param)
        (inner,) = eqn.regions
        if param in inner.free_vars():
            return False
        return only_added_to(
            inner.params[1 + slot], inner.results[slot], inner, whose
        ) and only_added_to(eqn.outputs[slot], result, body, whose)
    return False
