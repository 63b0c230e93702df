"""What a Program costs to run, counted on paper.

A loop costs its body times its rounds; where their number is known only when it runs,
a round number is assumed, the same for all such loops: good for comparing two programs
of one function, not for telling seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tracejit.ir.aval import Aval
from tracejit.ir.program import Atom, Eqn, Literal, Program, Region

#: Rounds of a loop that runs as long as the data say.
ASSUMED_ROUNDS = 100

Count = Callable[[Eqn], float]


def flops(program: Program) -> float:
    """Floating-point operations, where a function counts by its primitive's `cost`."""
    return counted(program.region, flops_of)


def multiplications(program: Program) -> float:
    """Multiplications of numbers, those in products of arrays among them."""
    return counted(program.region, multiplications_of)


def counted(region: Region, of: Count) -> float:
    """The sum over all equations of what they count, as often as they run.

    Of a branch's two sides the dearer one counts.
    """
    total = 0.0
    for eqn in region.eqns:
        inner = [counted(r, of) for r in eqn.regions]
        if eqn.prim.name == "cond":
            total += max(inner)
        elif eqn.prim.name in ("for", "while"):
            total += rounds(eqn) * sum(inner)
        elif inner:  # a call, without its rules
            total += inner[0]
        else:
            total += of(eqn)
    return total


def rounds(loop: Eqn) -> float:
    """How often the body of a loop runs, as far as it is known."""
    if "rounds" in loop.params:  # who made it says so
        return loop.params["rounds"]
    if loop.prim.name == "for":
        lo, hi, step = map(_middle, loop.inputs[:3])
        if lo is not None and hi is not None and step:
            return max(math.ceil((hi - lo) / step), 0)
    return ASSUMED_ROUNDS


def _middle(bound: Atom) -> float | None:
    """A bound's value, or the middle of what it may be, as of an outer loop's index."""
    if isinstance(bound, Literal):
        return float(bound.value)
    return None if bound.interval is None else sum(bound.interval) / 2


def tape_bytes(program: Program) -> float:
    """Bytes of all tapes and snapshots; rows whose number the data say are assumed."""
    rooms = (e.out.aval for e in program.walk() if e.params.get("tape"))
    return sum(a.nbytes if not a.grows else growing_bytes(a) for a in rooms)


def growing_bytes(aval: Aval) -> float:
    """Bytes of a tape that grows, of an assumed length."""
    return ASSUMED_ROUNDS * aval.update(shape=aval.shape[1:]).nbytes


def flops_of(eqn: Eqn) -> float:
    """Of one equation without regions."""
    if eqn.prim.name == "dot":
        return 2 * multiplications_of(eqn)
    if eqn.prim.updates:  # in place: only what is written
        return eqn.prim.cost * eqn.inputs[1].aval.size
    if eqn.prim.name in ("getitem", "gather"):
        return eqn.prim.cost * eqn.out.aval.size
    sizes = (a.aval.size for a in [*eqn.inputs, *eqn.outputs])
    return eqn.prim.cost * max(sizes, default=0)


def multiplications_of(eqn: Eqn) -> float:
    """Of one equation without regions."""
    if eqn.prim.name == "dot":
        left = eqn.inputs[0].aval.shape
        contracted = eqn.params["contract"][0]
        return eqn.out.aval.size * math.prod(left[k] for k in contracted)
    return eqn.out.aval.size if eqn.prim.name == "mul" else 0
