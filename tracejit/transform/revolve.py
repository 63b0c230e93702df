"""A loop's rounds from the last to the first, from a limited number of its states.

    at ≤ goal:   while at < goal: run to the next snapshot's place; snapshot

A stack holds the states that some rounds begin with, the latest on top. Going back, the
state on top is run forwards to the round that is next, with snapshots on the way while
there is room. Where they are taken is the binomial schedule of A. Griewank and A.
Walther (algorithm 799, ACM Trans. Math. Softw. 26, 2000): with `c` snapshots and no
round run more than `r` times, β(c, r) = (c + r)! / (c! r!) rounds can be gone through,
and nothing does with fewer: l rounds take r l - β(c + 1, r - 1) runs of a round.

The schedule is worked out while the program runs: neither the number of rounds nor that
of the snapshots shows in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval, Extent
from tracejit.ir.builder import current
from tracejit.ir.cost import ASSUMED_ROUNDS
from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Literal, Region, Var, clone_region
from tracejit.ops import elementwise as ew
from tracejit.ops.control import check, cond, emit_for, for_, while_
from tracejit.ops.dead import needed
from tracejit.ops.index import setitem
from tracejit.ops.rows import row
from tracejit.ops.shape import empty
from tracejit.transform.threads import trips_of

INT = np.dtype(np.int64)
ZERO, ONE = Literal(0, INT), Literal(1, INT)

#: The place on top of the stack, the rounds it holds states of, and their slots.
Stack = list[Atom]


@dataclass(frozen=True)
class Rounds:
    """What a loop does, by round: `count` of them, counted from 0 as they run.

    `body` is (index, *state) -> state, for some of the loop's slots; it reads what the
    loop captures. Its checks are gone: they have held before.
    """

    count: Atom
    lo: Atom
    step: Atom
    reverse: bool
    body: Region

    def index(self, k: Atom) -> Atom:
        """The loop's index in round `k`."""
        k = ew.sub(ew.sub(self.count, k), ONE) if self.reverse else k
        return _times(self.lo, k, self.step)

    @property
    def known(self) -> float:
        """How many rounds there are, or for an unknown number what is assumed."""
        known = isinstance(self.count, Literal)
        return int(self.count.value) if known else ASSUMED_ROUNDS  # type: ignore[union-attr]

    def run(
        self, at: Atom, to: Atom, state: Sequence[Atom], often: float
    ) -> list[Atom]:
        """Emit the rounds from `at` until `to`; the state that they lead to."""
        body = clone_region(self.body, {})
        if self.reverse:
            at, to = ew.sub(self.count, to), ew.sub(self.count, at)
        lo, hi = (_times(self.lo, k, self.step) for k in (at, to))
        outs = emit_for(lo, hi, self.step, state, body, self.reverse)
        _expect(often)
        return outs

    def only(self, slots: Sequence[int]) -> Rounds:
        """The rounds on some of the slots, which depend on no others."""
        body = clone_region(self.body, {})
        index, *carried = body.params
        results = [body.results[k] for k in slots]
        params = [index, *(carried[k] for k in slots)]
        return replace(self, body=needed(Region(params, body.eqns, results)))


def rounds_of(loop: Eqn) -> Rounds:
    """The rounds of a `for`, or of a counted `while`, which has run."""
    if loop.prim is for_:
        lo, _, step = loop.inputs[:3]
        body, reverse = unchecked(loop.regions[0]), loop.params["reverse"]
        return Rounds(trips_of(loop), lo, step, reverse, body)
    body = unchecked(loop.regions[1])
    body.params.insert(0, Var(Aval(INT), "k"))
    return Rounds(loop.outputs[-1], ZERO, ONE, False, body)


def unchecked(region: Region) -> Region:
    """The region without its checks, in regions of its own too."""
    eqns = []
    for eqn in region.eqns:
        if eqn.prim is not check:
            regions = [unchecked(r) for r in eqn.regions]
            eqns.append(replace(eqn, regions=regions))
    return Region(list(region.params), eqns, list(region.results))


def needed_slots(body: Region, slots: set[int]) -> list[int]:
    """The slots that computing `slots`, round for round, depends on."""
    while True:
        results = [body.results[k] for k in slots]
        used = needed(Region([], body.eqns, results)).free_vars()
        found = slots | {k for k, v in enumerate(body.params[1:]) if v in used}
        if found == slots:
            return sorted(slots)
        slots = found


def new_stack(size: int, state: Sequence[Atom]) -> Stack:
    """A stack for `size` states, with that of round 0 on it."""
    rounds = empty(shape=(_extent(size),), dtype=INT, tape=True)
    stack = [ZERO, _put(rounds, ZERO, ZERO)]
    for atom in state:
        shape = (_extent(size), *atom.aval.shape)
        room = empty(shape=shape, dtype=atom.aval.dtype, tape=True)
        stack.append(_put(room, atom, ZERO))
    return stack


def advance(
    rounds: Rounds,
    at: Atom,
    goal: Atom,
    stack: Stack,
    state: Sequence[Atom],
    saved: Sequence[int],
    often: tuple[float, float],
) -> tuple[Stack, list[Atom]]:
    """Emit the rounds from `at` until `goal`, with snapshots of the slots in `saved`.

    Those before `goal` are yet to be gone through backwards, and one more. `often`: how
    many parts there are to be expected, and of how many rounds.
    """
    size = Literal(stack[1].aval.shape[0], INT, runtime=True)
    depth = len(stack)

    def further(values: list[Any]) -> Atom:
        return ew.lt(values[0], goal)

    def body(values: list[Any]) -> list[Atom]:
        at, stack, state = values[0], values[1 : depth + 1], values[depth + 1 :]
        free = ew.sub(size, stack[0])
        span = ew.sub(ew.add(goal, ONE), at)
        to = ew.add(at, split(span, free))
        state = rounds.run(at, to, state, often[1])
        room = ew.logical_and(ew.lt(to, goal), ew.gt(free, ONE))
        return [to, *_pushed(room, stack, to, [state[k] for k in saved]), *state]

    _, *values = whiled([at, *stack, *state], further, body, often[0])
    return values[:depth], values[depth:]


def runs(span: int, snapshots: int) -> int:
    """How often rounds are run at least, if `span` ones are gone through backwards."""
    if snapshots == 1:
        return span * (span - 1) // 2
    r, reach = 0, 1
    while reach < span:
        r += 1
        reach = reach * (snapshots + r) // r
    return r * span - reach * r // (snapshots + 1)


def split(span: Atom, free: Atom) -> Atom:
    """How far to the next snapshot, of the `free` ones for the next `span` rounds.

    The state that they begin with is one of them. It is the least of all best places:
    max(β(c, r - 2), l - β(c - 1, r)), where r is the least with β(c, r) ≥ l.
    """
    several = ew.gt(free, ONE)

    def fewer(values: list[Any]) -> Atom:
        return ew.logical_and(ew.lt(values[2], span), several)

    def following(values: list[Any]) -> list[Atom]:
        r, last, now, less, _ = values
        r = ew.add(r, ONE)
        most = ew.add(free, r)
        grown = _quotient(ew.mul(now, most), r)
        shorter = _quotient(ew.mul(less, ew.sub(most, ONE)), r)
        return [r, now, grown, shorter, last]

    # r, β(c, r - 1), β(c, r), β(c - 1, r), β(c, r - 2)
    begin = [ZERO, ZERO, ONE, ONE, ZERO]
    _, _, _, less, before = whiled(begin, fewer, following, 2)
    best = REGISTRY["maximum"](before, ew.sub(span, less))
    best = REGISTRY["maximum"](best, ONE)
    return ew.select(several, best, ew.sub(span, ONE))


def backwards(
    rounds: Rounds,
    stack: Stack,
    carried: Sequence[Atom],
    turn: Callable[[Atom, list[Atom], list[Atom]], Sequence[Atom]],
) -> list[Atom]:
    """Emit `turn(index, state, carried)` for every round, the last one first.

    The stack holds states of all the slots of `rounds`. Returns what is carried.
    """
    depth = len(stack)
    slots = range(depth - 2)
    again = runs(int(rounds.known) + 1, int(stack[1].aval.shape[0])) / rounds.known - 1

    def left(values: list[Any]) -> Atom:
        return ew.gt(values[0], ZERO)

    def body(values: list[Any]) -> list[Atom]:
        end, stack, carried = values[0], values[1 : depth + 1], values[depth + 1 :]
        place, of_rounds, *states = stack
        goal = ew.sub(end, ONE)
        at = row(of_rounds, place, 0)
        state: list[Atom] = [row(s, place, 0) for s in states]
        stack, state = advance(rounds, at, goal, stack, state, slots, (1, again))
        done = ew.eq(row(stack[1], stack[0], 0), goal)
        place = ew.select(done, ew.sub(stack[0], ONE), stack[0])
        carried = list(turn(rounds.index(goal), state, carried))
        return [goal, place, *stack[1:], *carried]

    inits = [rounds.count, *stack, *carried]
    return whiled(inits, left, body, rounds.known)[depth + 1 :]


def whiled(
    inits: Sequence[Atom],
    test: Callable[[list[Any]], Atom],
    body: Callable[[list[Any]], Sequence[Atom]],
    often: float,
) -> list[Any]:
    """Emit a `while`, its regions written as functions of what it carries.

    `often` is how many rounds of it are to be expected.
    """

    def region(function: Callable[[list[Any]], Sequence[Atom]]) -> Region:
        params = [Var(a.aval, getattr(a, "hint", "")) for a in inits]
        with current().open() as eqns:
            results = list(function(list(params)))
        return Region(params, eqns, results)

    outs = while_(*inits, regions=[region(lambda v: [test(v)]), region(body)])
    _expect(often)
    return outs


def _expect(often: float) -> None:
    """Let the loop just emitted count as so many rounds; see `ir.cost`."""
    current().stack[-1][-1].params["rounds"] = float(often)


def _pushed(room: Atom, stack: Stack, at: Atom, state: Sequence[Atom]) -> list[Atom]:
    """Emit a snapshot of a state, if there is room."""
    place, *rows = stack
    with current().open() as eqns:
        top = ew.add(place, ONE)
        filled = [_put(s, x, top) for s, x in zip(rows, [at, *state], strict=True)]
    then = Region([], eqns, [top, *filled])
    return cond(room, regions=[then, Region([], [], list(stack))])


def _put(stack: Atom, value: Atom, k: Atom) -> Any:
    sizes = (None, *value.aval.shape)
    starts = [k, *([0] * value.aval.ndim)]
    return setitem(stack, value, *starts, sizes=sizes, steps=(1,) * len(sizes))


def _times(lo: Atom, k: Atom, step: Atom) -> Any:
    """lo + k * step"""
    far = k if _is(step, 1) else ew.mul(k, step)
    return far if _is(lo, 0) else ew.add(lo, far)


def _is(atom: Atom, number: int) -> bool:
    return isinstance(atom, Literal) and atom.value == number


def _quotient(a: Any, b: Any) -> Any:
    return REGISTRY["floor_divide"](a, b)


def _extent(size: int) -> Extent:
    """It is named apart from all that happens to be as long."""
    return Extent(size, f"snapshots({size})")
