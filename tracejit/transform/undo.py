"""Undoing writes: a primal array's earlier contents, going backwards.

A loop that overwrites parts of an array (`A[i, j] -= …`) has a new version of it after
every write. Where a derivative reads a version whole, saving it would take an array for
each round. Instead the primal saves what each write replaces, and the transposed loop
carries the array along, from what it was at the end back to what it was at the start:

    A0 ─write→ A1 ─loop→ A2          A2 ─transposed loop→ A1 ─put back→ A0

A `Chain` is the way of one array through a region: its versions, latest first, and the
equation that made each of the next one. It must be the same slot of every loop on the
way out to the top, and the transposed regions must read its versions latest first: then
no version is needed any more when it is put back, and the array is never copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tracejit.ir.program import Atom, Eqn, Literal, Region, Var
from tracejit.ops.control import cond, for_, while_
from tracejit.ops.index import acc_slice, getitem, setitem

INT = np.dtype(np.int64)
WRITES = (setitem, acc_slice)


@dataclass(frozen=True)
class Chain:
    """`versions[k]` comes of `versions[k + 1]` by `steps[k]`; the last is the first."""

    versions: tuple[Var, ...]
    steps: tuple[Eqn, ...]

    @property
    def first(self) -> Var:
        """The version that the region begins with."""
        return self.versions[-1]

    def each(self) -> Iterator[tuple[Eqn, Var]]:
        """The steps, each with the version that it makes."""
        return zip(self.steps, self.versions, strict=False)

    def places(self) -> list[Var]:
        """The variables that say where the writes went: starts, bounds, branches."""
        found: list[Atom] = []
        for step in self.steps:
            if step.prim in WRITES:
                found += step.inputs[2:]
            elif step.prim is for_:
                found += step.inputs[:3]
            else:
                found.append(step.inputs[0] if step.prim is cond else step.outputs[-1])
        return [atom for atom in found if isinstance(atom, Var)]


def carried(eqn: Eqn) -> tuple[list[Atom], list[Var], Region]:
    """Of a loop: what its slots begin with, their parameters, and the body."""
    if eqn.prim is for_:
        (body,) = eqn.regions
        return eqn.inputs[3:], body.params[1:], body
    return eqn.inputs, eqn.regions[1].params, eqn.regions[1]


def chain_of(region: Region, result: Atom, small: bool = True) -> Chain | None:
    """The way to `result` through a region; None where it is no chain of writes.

    `small`: of writes that are better saved than the array.
    """
    if not isinstance(result, Var) or not result.aval.shape:
        return None
    defs = {v: eqn for eqn in region.eqns for v in eqn.outputs}
    versions, steps = [result], []
    while versions[-1] in defs:
        eqn = defs[versions[-1]]
        previous = version_before(eqn, versions[-1], small)
        if not isinstance(previous, Var) or previous.aval != result.aval:
            return None
        versions.append(previous)
        steps.append(eqn)
    return Chain(tuple(versions), tuple(steps))


def version_before(eqn: Eqn, version: Var, small: bool = True) -> Atom | None:
    """The version that an equation makes this one from."""
    if eqn.prim in WRITES and small:
        part = eqn.inputs[1].aval
        return eqn.inputs[0] if 2 * part.nbytes <= version.aval.nbytes else None
    if eqn.prim.updates and not small:
        return eqn.inputs[0]
    if not eqn.regions:
        return None
    k = eqn.outputs.index(version)
    if eqn.prim in (for_, while_):
        inits, params, body = carried(eqn)
        chain = chain_of(body, body.results[k], small)
        return inits[k] if chain is not None and chain.first is params[k] else None
    if eqn.prim is cond:
        chains = [chain_of(branch, branch.results[k], small) for branch in eqn.regions]
        firsts = {None if chain is None else chain.first for chain in chains}
        return firsts.pop() if len(firsts) == 1 else None
    return None


def slot_of(
    primal: Eqn, which: int, var: Var, small: bool = True
) -> tuple[int, Chain] | None:
    """The result of a loop's body or branch whose chain `var` is on."""
    region = primal.regions[which]
    first = len(region.params) - len(region.results)
    for k, result in enumerate(region.results):
        chain = chain_of(region, result, small)
        if chain is None or not chain.steps or var not in chain.versions:
            continue
        if primal.prim is cond:
            if version_before(primal, primal.outputs[k], small) is None:
                continue  # the other branch makes an array of its own
        elif chain.first is not region.params[first + k]:
            continue
        return k, chain
    return None


def in_order(eqns: Sequence[Eqn], chain: Chain, pairs: dict[Eqn, Eqn]) -> bool:
    """Whether transposed equations read the versions of a chain latest first.

    The transpose of a loop or branch on the chain comes after what reads the version
    that it made, and before what reads the one that it began with.
    """
    place = {version: k for k, version in enumerate(chain.versions)}
    least = 0
    for eqn in eqns:
        used = [place[v] for v in eqn.uses() if v in place]
        primal = pairs.get(eqn)
        if primal in chain.steps:
            # It goes from one version to the one before. What a branch begins with is
            # put back in the branch.
            k = chain.steps.index(primal)
            if least > k or any(u > k + (primal.prim is cond) for u in used):
                return False
            if not _in_order_inside(eqn, primal, chain.versions[k], pairs):
                return False
            least = k + 1
        elif used:
            if min(used) < least:
                return False
            least = max(used)
    return True


def mirrored(eqn: Eqn, primal: Eqn) -> list[tuple[Region, int]]:
    """The regions of a transposed equation, and which of the primal they mirror."""
    last = len(primal.regions) - 1
    return [
        (region, k if primal.prim is cond else last)
        for k, region in enumerate(eqn.regions)
    ]


def _in_order_inside(
    eqn: Eqn, primal: Eqn, version: Var, pairs: dict[Eqn, Eqn]
) -> bool:
    slot = primal.outputs.index(version)
    for region, which in mirrored(eqn, primal):
        body = primal.regions[which]
        chain = chain_of(body, body.results[slot])
        if chain is None or not in_order(region.eqns, chain, pairs):
            return False
    return True


def place_of(eqns: Sequence[Eqn], chain: Chain, k: int, pairs: dict[Eqn, Eqn]) -> int:
    """Where to undo step `k`: before the first use of an earlier version."""
    earlier = set(chain.versions[k + 1 :])
    before = set(chain.steps[k + 1 :])
    for at, eqn in enumerate(eqns):
        if pairs.get(eqn) in before or any(v in earlier for v in eqn.uses()):
            return at
    return len(eqns)


def bare(step: Eqn) -> Eqn:
    """A transposed loop or branch that does nothing yet."""
    if step.prim is cond:
        empty = [Region([], [], []) for _ in step.regions]
        return Eqn(cond, step.inputs[:1], [], {}, empty, step.loc, step)
    if step.prim is for_:
        bounds, index = step.inputs[:3], step.regions[0].params[0]
        params = {"reverse": not step.params["reverse"]}
    else:
        zero, one = Literal(0, INT), Literal(1, INT)
        bounds, index = [zero, step.outputs[-1], one], step.regions[1].params[-1]
        params = {"reverse": True}
    return Eqn(for_, bounds, [], params, [Region([index], [], [])], step.loc, step)


def read_before(step: Eqn, body: Region) -> Var:
    """Have the primal read, before it is overwritten, what a write replaces."""
    part = Var(step.inputs[1].aval.update(shape=part_shape(step)), "old")
    inputs = [step.inputs[0], *step.inputs[2:]]
    read = Eqn(getitem, inputs, [part], dict(step.params), [], step.loc, step.origin)
    body.eqns.insert(body.eqns.index(step), read)
    return part


def part_shape(step: Eqn) -> tuple[int, ...]:
    """The shape of the part that is written to."""
    return tuple([n for n in step.params["sizes"] if n is not None])
