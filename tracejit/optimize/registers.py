"""Accumulations at an index that a loop does not change are kept in a scalar.

    for j: Ā[i] += f(j);  Ā[j] += g(j)        s = 0
                                              for j: s += f(j);  Ā[j] += g(j)
                                              Ā[i] += s

Additions commute, so this is right whatever else the loop adds to the array, as long
as it reads and overwrites nothing of it. The compiler could not know that i and j
differ. Only `acc_slice` is concerned, which staging never emits: the order in which a
user's own sums are formed stays theirs.
"""

from __future__ import annotations

from tracejit.ir.builder import building
from tracejit.ir.primitive import zeros
from tracejit.ir.program import (
    Atom,
    Eqn,
    Program,
    Region,
    Var,
    replace_region,
    substitute,
)
from tracejit.ops.elementwise import add
from tracejit.ops.index import acc_slice


def accumulate_in_registers(program: Program) -> Program:
    """The Program with invariant accumulations moved behind their loops."""
    return replace_region(program, _region(program.region))


def _region(region: Region) -> Region:
    eqns: list[Eqn] = []
    for eqn in region.eqns:
        if eqn.regions:
            # Innermost first: what leaves an inner loop may leave the outer one too.
            regions = [_region(r) for r in eqn.regions]
            eqn = Eqn(
                eqn.prim,
                eqn.inputs,
                eqn.outputs,
                eqn.params,
                regions,
                eqn.loc,
                eqn.origin,
            )
        eqns += _split(eqn) if eqn.prim.name == "for" else [eqn]
    return Region(region.params, eqns, region.results)


def _split(loop: Eqn) -> list[Eqn]:
    """A `for` with its invariant accumulations turned into carried scalars."""
    (body,) = loop.regions
    local = set(body.params)
    for eqn in body.eqns:
        local.update(eqn.outputs)
    readers = _readers(body)
    new = Eqn(
        loop.prim,
        list(loop.inputs),
        list(loop.outputs),
        loop.params,
        [Region(list(body.params), body.eqns, list(body.results))],
        loc=loop.loc,
        origin=loop.origin,
    )
    after: list[Eqn] = []
    for slot, param in enumerate(body.params[1:]):
        if param.aval.shape:
            chain = _chain(param, body.results[slot], readers)
            invariant = [e for e in chain if _is_invariant(e, local)]
            if invariant:
                after += _take_out(new, slot, invariant)
    return [new, *after]


def _take_out(loop: Eqn, slot: int, invariant: list[Eqn]) -> list[Eqn]:
    """Sum what `invariant` add to a slot in scalars; the additions behind the loop."""
    (body,) = loop.regions
    env: dict[Var, Atom] = {}
    for eqn in invariant:
        env[eqn.out] = env.get(eqn.inputs[0], eqn.inputs[0])  # type: ignore[arg-type]
    body.eqns = [_relinked(e, env) for e in body.eqns if e not in invariant]
    body.results = substitute(body.results, env)
    last, loop.outputs[slot] = loop.outputs[slot], Var(loop.outputs[slot].aval)
    array, after = loop.outputs[slot], []
    for k, eqn in enumerate(invariant):
        value = eqn.inputs[1]
        entering, leaving = Var(value.aval), Var(value.aval)
        with building() as builder, builder.open() as sums:
            builder.loc, builder.origin = eqn.loc, eqn.origin
            body.results.append(add(entering, value))
        body.eqns += sums
        body.params.append(entering)
        loop.inputs.append(zeros(value.aval))
        loop.outputs.append(leaving)
        out = last if k == len(invariant) - 1 else Var(last.aval)
        inputs = [array, leaving, *eqn.inputs[2:]]
        after.append(
            Eqn(acc_slice, inputs, [out], eqn.params, loc=eqn.loc, origin=eqn.origin)
        )
        array = out
    return after


def _relinked(eqn: Eqn, env: dict[Var, Atom]) -> Eqn:
    """The equation with its inputs renamed (regions read none of these names)."""
    if not any(a in env for a in eqn.inputs):
        return eqn
    inputs = substitute(eqn.inputs, env)
    return Eqn(
        eqn.prim, inputs, eqn.outputs, eqn.params, eqn.regions, eqn.loc, eqn.origin
    )


def _readers(body: Region) -> dict[Var, list[Eqn | None]]:
    """Who reads each variable; None stands for the results."""
    readers: dict[Var, list[Eqn | None]] = {}
    for eqn in body.eqns:
        for var in eqn.uses():
            readers.setdefault(var, []).append(eqn)
    for atom in body.results:
        if isinstance(atom, Var):
            readers.setdefault(atom, []).append(None)
    return readers


def _chain(param: Var, result: Atom, readers: dict[Var, list[Eqn | None]]) -> list[Eqn]:
    """The `acc_slice`s of a slot, if the body does nothing else with it.

    Between them the slot may pass through inner loops that only add to it.
    """
    chain: list[Eqn] = []
    var = param
    while var is not result:
        if len(readers.get(var, ())) != 1 or readers[var][0] is None:
            return []
        eqn = readers[var][0]
        assert eqn is not None
        if eqn.prim is acc_slice and eqn.inputs[0] is var:
            chain.append(eqn)
            var = eqn.out
        elif eqn.prim.name == "for" and var in eqn.inputs[3:]:
            slot = eqn.inputs[3:].index(var)
            (inner,) = eqn.regions
            inner_readers = _readers(inner)
            through = inner.params[1 + slot]
            if through is not inner.results[slot] and not _chain(
                through, inner.results[slot], inner_readers
            ):
                return []
            var = eqn.outputs[slot]
        else:
            return []
    return chain if readers.get(var) == [None] else []


def _is_invariant(eqn: Eqn, local: set[Var]) -> bool:
    return not eqn.inputs[1].aval.shape and not any(a in local for a in eqn.inputs[2:])
