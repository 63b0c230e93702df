"""Loops that reverse mode goes through from snapshots, not by a tape of every round.

    u, kept = march(u; loop)      ū = march(u, ū, kept; the rounds backwards)

A march is a call of a loop that leaves snapshots of what it carries while it runs. Its
transpose is another one: `revolve` brings back the state that each round began with,
and the adjoint of that round, tapes of its own included, is all that is in memory
beside the snapshots. What it accumulates goes from round to round.

The rounds of a `while` are counted when it has run: then the state it began with is
the only snapshot, and the first way forward is gone twice.

Which loops are marches is said by `Saving`: all the outermost ones from a number of
`snapshots`, or those whose tapes do not fit into `memory`, a number of bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from tracejit.base.errors import MemoryBudgetError
from tracejit.ir.builder import building, current
from tracejit.ir.primitive import zeros
from tracejit.ir.program import (
    Atom,
    Eqn,
    Literal,
    Program,
    Region,
    Var,
    clone_eqn,
    clone_region,
    substitute,
    walk,
)
from tracejit.ops.control import checkpoint, cond, for_, march, while_
from tracejit.transform.checkpoint import adjoint_of, run_again
from tracejit.transform.linearize import active_slots, count_trips, spread
from tracejit.transform.modes import MODES, TAPE, Saving
from tracejit.transform.revolve import (
    ZERO,
    advance,
    backwards,
    needed_slots,
    new_stack,
    rounds_of,
)

#: Bytes of a snapshot beside its state: the round that it belongs to.
ROUND = 8


# Which loops --------------------------------------------------------------------------


def marched(region: Region, wrt: Sequence[Var], saving: Saving) -> Region:
    """The region with the loops that `saving` picks as marches."""
    if saving == TAPE:
        return region
    loops = dict(_outermost(region.eqns, set(wrt)))
    if not loops:
        return region
    if saving.snapshots is not None:
        plans = {loop: (saving, math.inf) for loop in loops}
    else:
        plans = _budgets(region, wrt, loops, saving)
    with building():
        return _rewritten(region, loops, plans)


def parted(region: Region, saving: Saving) -> tuple[Saving, Saving]:
    """What the loops of a region may save, and those inside of checkpoints in it."""
    if saving.memory is None:
        return saving, TAPE
    if all(eqn.prim is not checkpoint for eqn in walk(region)):
        return saving, TAPE
    half = Saving(memory=saving.memory // 2)
    return half, half


def _outermost(eqns: Sequence[Eqn], active: set[Var]) -> list[tuple[Eqn, set[Var]]]:
    """Loops that derivatives go through, with what they read that is active."""
    found = []
    for eqn in eqns:
        if eqn.prim is cond:
            for branch in eqn.regions:
                found += _outermost(branch.eqns, set(active))
        elif eqn.prim in (for_, while_):
            reached = {v for v in eqn.uses() if v in active}
            outs = set(reached)
            spread([eqn], outs)
            if not outs.isdisjoint(eqn.outputs):
                found.append((eqn, reached))
        spread([eqn], active)
    return found


def _budgets(
    region: Region,
    wrt: Sequence[Var],
    loops: Mapping[Eqn, set[Var]],
    saving: Saving,
) -> dict[Eqn, tuple[Saving, float]]:
    """The bytes for each loop whose tapes do not fit, with what these would take.

    Loops with tapes smaller than their share have them; the others share the rest.
    """
    assert saving.memory is not None
    tapes: Mapping[Var, float] = MODES["tapes"](region, wrt)
    sizes = {loop: tapes.get(loop.outputs[0], 0) for loop in loops}
    memory, left = saving.memory, dict(sizes)
    while left:
        share = memory // len(left)
        small = [loop for loop, size in left.items() if size <= share]
        if not small:
            return {loop: (Saving(memory=share), sizes[loop]) for loop in left}
        memory -= sum(int(left.pop(loop)) for loop in small)
    return {}


def _rewritten(
    region: Region,
    loops: Mapping[Eqn, set[Var]],
    plans: Mapping[Eqn, tuple[Saving, float]],
) -> Region:
    with current().open() as eqns:
        for eqn in region.eqns:
            if eqn in plans:
                with current().at(eqn.loc, eqn.origin):
                    _march(eqn, loops[eqn], *plans[eqn])
                continue
            if eqn.prim is cond:
                regions = [_rewritten(r, loops, plans) for r in eqn.regions]
                eqn = replace(eqn, regions=regions)
            current().append(eqn)
    return Region(region.params, eqns, region.results)


# The way forward ----------------------------------------------------------------------


def _march(loop: Eqn, active: set[Var], saving: Saving, tape: float) -> None:
    """Emit the march that a loop becomes."""
    (counted,) = count_trips(Region([], [loop], [])).eqns
    free = list(dict.fromkeys(loop.uses()))
    plain = _closed(free, [loop], loop.outputs)
    wrt = tuple(k for k, v in enumerate(free) if v in active)
    inner = _Inner(plain, wrt)
    inner.settle(saving, tape)
    with current().open() as eqns:
        if loop.prim is for_:
            finals, kept = _forward(clone_eqn(loop, {}), inner.saved, inner.size)
        else:
            copy = clone_eqn(counted, {})
            current().append(copy)
            end = len(loop.outputs)
            finals, kept = copy.outputs[:end], copy.outputs[-1:]
    full = _closed(free, eqns, [*finals, *kept])
    turn = Turn(inner, len(kept))
    outs = march(*free, regions=[full], name="loop", turn=turn)
    for var, out in zip(loop.outputs, outs, strict=False):
        out.hint = var.hint
    eqn = current().stack[-1][-1]
    eqn.outputs[: len(loop.outputs)] = loop.outputs


def _forward(
    loop: Eqn, saved: Sequence[int], size: int
) -> tuple[Sequence[Atom], Sequence[Atom]]:
    """Emit a `for` that leaves snapshots: what it carries in the end, and they."""
    rounds, inits = rounds_of(loop), loop.inputs[3:]
    # The body's checks are not known to hold yet.
    rounds = replace(rounds, body=loop.regions[0])
    stack = new_stack(size, [inits[k] for k in saved])
    parts = min(size, rounds.known)
    often = (parts, rounds.known / max(parts, 1))
    stack, state = advance(rounds, ZERO, rounds.count, stack, inits, saved, often)
    return state, stack


def _closed(free: Sequence[Var], eqns: list[Eqn], results: Sequence[Atom]) -> Region:
    """A region whose parameters stand for all that it reads."""
    return clone_region(Region(list(free), eqns, list(results)), {})


# The way back -------------------------------------------------------------------------


class _Inner:
    """A loop by itself: what its way back reads, and takes.

    `plain` is the loop in a closed region, `wrt` are those of its parameters that may
    have cotangents. `saved` are the slots that the way back needs the states of.
    """

    def __init__(self, plain: Region, wrt: Sequence[int]):
        self.plain, self.wrt = plain, wrt
        self.size, self.saved = 0, list[int]()
        self.saving = TAPE

    def settle(self, saving: Saving, tape: float) -> None:
        """Choose the number of snapshots, and how a round is gone back through."""
        plain = clone_region(self.plain, {})
        (loop,) = count_trips(plain).eqns
        wrt = [plain.params[k] for k in self.wrt]
        outs = range(len(plain.results))
        with building() as builder, builder.open():
            step = Step(loop, wrt, outs)
            program, onto = step.program(), step.wrt
            inside = MODES["tapes"](program.region, [program.inputs[k] for k in onto])
            self.saved = needed_slots(rounds_of(loop).body, step.reads())
        state = sum(step.carried[k].aval.nbytes for k in self.saved) + ROUND
        if saving.snapshots is not None:
            self.size = saving.snapshots
        else:
            assert saving.memory is not None
            memory, bytes_inside = saving.memory, sum(inside.values())
            calls = any(eqn.prim is checkpoint for eqn in walk(program.region))
            if calls or bytes_inside > memory // 2:  # it has to do with less itself
                bytes_inside = memory // 2
                self.saving = Saving(memory=bytes_inside)
            self.size = (memory - int(bytes_inside)) // state
            if self.size < 1:
                least = state + int(bytes_inside)
                raise MemoryBudgetError(
                    f"a loop has {memory} bytes to be reversed in, and one of the "
                    f"states that it goes through takes {least} with the tape of a "
                    "round",
                    loop.loc,
                    f"memory={least} or more for this loop"
                    + (f"; its tape takes {int(tape)}" if tape < math.inf else ""),
                )
        count = rounds_known(loop)
        if count is not None:
            self.size = max(min(self.size, count), 1)


def rounds_known(loop: Eqn) -> int | None:
    """How many rounds a loop has, where staging knows it."""
    if loop.prim is not for_ or not all(
        isinstance(a, Literal) for a in loop.inputs[:3]
    ):
        return None
    return len(range(*(int(a.value) for a in loop.inputs[:3])))  # type: ignore[union-attr]


class Step:
    """One round of a loop as a Program of its own, and its adjoint.

    The cotangents are those of the slots `slots`, which may reach the outputs `outs`,
    and of the captured variables in `captured`.
    """

    def __init__(self, loop: Eqn, wrt: Sequence[Var], outs: Sequence[int]):
        self.rounds = rounds_of(loop)
        body = self.rounds.body
        self.index, *self.carried = body.params
        self.free = [v for v in body.free_vars() if v not in self.carried]
        inits = loop.inputs[3:] if loop.prim is for_ else loop.inputs
        tangents: dict[Var, Atom] = {v: v for v in wrt}
        active = active_slots(body, self.carried, inits, tangents)
        self.slots = self._reaching({k for k in outs if k in active}, active)
        self.captured = [v for v in self.free if v in tangents and v.aval.inexact]
        self.results = [body.results[k] for k in self.slots]
        places = {v: k for k, v in enumerate(self.inputs)}
        moving = [*(self.carried[k] for k in self.slots), *self.captured]
        #: Of the Program's inputs, those with cotangents; the last are accumulated.
        self.wrt = [places[v] for v in moving]

    @property
    def inputs(self) -> list[Var]:
        return [self.index, *self.carried, *self.free]

    def _reaching(self, slots: set[int], active: Sequence[int]) -> list[int]:
        """The active slots that these are computed from, round for round."""
        body = self.rounds.body
        reached: dict[int, set[int]] = {}
        for k in active:
            found = {self.carried[k]}
            spread(body.eqns, found)
            reached[k] = {j for j in active if body.results[j] in found}
        while True:
            more = {k for k in active if not slots.isdisjoint(reached[k])}
            if more <= slots:
                return sorted(slots)
            slots = slots | more

    def program(self) -> Program:
        body = self.rounds.body
        return Program("round", _closed(self.inputs, body.eqns, self.results))

    def adjoint(self, saving: Saving) -> Region:
        """(*inputs, *cotangents, *accumulators) -> both, going back one round."""
        count = len(self.captured)
        program = MODES["onto"](self.program(), self.wrt, count, saving)
        return program.region

    def reads(self) -> set[int]:
        """The slots whose states the adjoint reads."""
        region = self.adjoint(TAPE)
        used = Region([], region.eqns, region.results).free_vars()
        carried = region.params[1 : len(self.carried) + 1]
        return {k for k, v in enumerate(carried) if v in used}


@dataclass(frozen=True, eq=False)
class Turn:
    """How reverse mode goes through a march: `keeps` results are for its way back."""

    inner: _Inner
    keeps: int

    def __call__(
        self, eqn: Eqn, out_cts: Sequence[Atom | None], apart: bool, saving: Saving
    ) -> list[Any]:
        """Emit the transpose of the linear form; cotangents for its `wrt`."""
        plain, wrt, outs = self.inner.plain, eqn.params["wrt"], eqn.params["outs"]
        count = len(plain.params)
        some = [k for k, ct in zip(outs, out_cts, strict=True) if ct is not None]
        cts = [ct for ct in out_cts if ct is not None]
        kept = eqn.inputs[count : count + self.keeps]
        with building() as builder, builder.open() as eqns:
            params = [Var(v.aval, v.hint) for v in plain.params]
            bars = [Var(ct.aval, "bar") for ct in cts]
            stack = [Var(a.aval, getattr(a, "hint", "")) for a in kept]
            seeds = dict(zip(some, bars, strict=True))
            found = self._back(params, wrt, seeds, stack)
        region = Region([*params, *bars, *stack], eqns, found)
        back = Back(partial(adjoint_of, plain, wrt, some, "loop"))
        inputs = [*eqn.inputs[:count], *cts, *kept]
        return march(*inputs, regions=[region], name="back", turn=back)

    def _back(
        self,
        params: list[Var],
        wrt: Sequence[int],
        seeds: Mapping[int, Var],
        kept: list[Var],
    ) -> list[Atom]:
        """Emit the rounds backwards; cotangents of the parameters in `wrt`."""
        inner = self.inner
        env: dict[Var, Atom] = dict(zip(inner.plain.params, params, strict=True))
        loop = clone_eqn(inner.plain.eqns[0], env)
        inits: Sequence[Atom] = loop.inputs[3:]
        if loop.prim is while_:
            (loop,) = count_trips(Region([], [loop], [])).eqns
            inits = loop.inputs
        step = Step(loop, [params[k] for k in wrt], list(seeds))
        rounds, stack = step.rounds.only(inner.saved), list[Atom](kept)
        if loop.prim is while_:
            rounds = replace(rounds, count=kept[0])
            stack = new_stack(inner.size, [inits[k] for k in inner.saved])
        adjoint = step.adjoint(inner.saving)

        def turn(index: Atom, state: list[Atom], carried: list[Atom]) -> list[Atom]:
            full: list[Atom] = [zeros(v.aval) for v in step.carried]
            for k, atom in zip(inner.saved, state, strict=True):
                full[k] = atom
            region = clone_region(adjoint, {})
            args = [index, *full, *step.free, *carried]
            mapped: dict[Var, Atom] = dict(zip(region.params, args, strict=True))
            copies = [clone_eqn(eqn, mapped) for eqn in region.eqns]
            for copy in copies:
                current().append(copy)
            return substitute(region.results, mapped)

        starts = [seeds.get(k) or zeros(step.carried[k].aval) for k in step.slots]
        accs = [zeros(v.aval) for v in step.captured]
        found = backwards(rounds, stack, [*starts, *accs], turn)
        return _gathered(params, wrt, inits, step, found)


def _gathered(
    params: Sequence[Var],
    wrt: Sequence[int],
    inits: Sequence[Atom],
    step: Step,
    found: Sequence[Atom],
) -> list[Atom]:
    """The cotangents of the parameters that slots began with and rounds captured."""
    begun = [inits[k] for k in step.slots]
    totals: dict[Atom, Any] = {}
    for atom, ct in zip([*begun, *step.captured], found, strict=True):
        totals[atom] = totals[atom] + ct if atom in totals else ct
    return [totals.get(params[k]) or zeros(params[k].aval) for k in wrt]


@dataclass(frozen=True, eq=False)
class Back:
    """How reverse mode goes through a way back: as through that of a taped loop.

    `plain` makes that, a closed region on the first inputs; the others are snapshots.
    """

    plain: Callable[[], Region]
    keeps: ClassVar[int] = 0

    def __call__(
        self, eqn: Eqn, out_cts: Sequence[Atom | None], apart: bool, saving: Saving
    ) -> list[Any]:
        """Emit the transpose of the linear form; cotangents for its `wrt`."""
        body = self.plain()
        count = len(body.params)
        wrt = tuple(k for k in eqn.params["wrt"] if k < count)
        params = eqn.params | {"body": body, "wrt": wrt}
        plain = replace(eqn, inputs=eqn.inputs[:count], params=params)
        found: list[Any] = run_again(plain, out_cts, apart, saving)
        return [*found, *[None] * (len(eqn.params["wrt"]) - len(wrt))]
