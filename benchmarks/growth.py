"""Time as loops grow: over three doublings of the work, beside the hand-written one.

It grows from the size that the table of loops has. Twice the work is twice the steps,
where a program has an argument that says how many, and twice the cells (or rounds over
data): half as many again of each side of a square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import log2
from typing import Any

import tracejit
from benchmarks.timing import fastest
from benchmarks.workload import Workload

DOUBLINGS = 3


def steps_of(args: Sequence[Any]) -> int | None:
    """Which argument says how many steps there are: the plain integer among them."""
    return next((k for k, a in enumerate(args) if type(a) is int), None)


def with_steps(args: tuple, steps: int) -> tuple:
    """The arguments, with another number of steps."""
    at = steps_of(args)
    return args if at is None else (*args[:at], steps, *args[at + 1 :])


def times(work: Workload, args: tuple, rounds: int) -> dict[str, float]:
    """Seconds a call of the hand-written gradient and of ours."""
    ours = tracejit.value_and_grad(work.f, argnums=work.argnums)
    ours(*args)
    work.hand(*args)
    calls = {"hand": lambda: work.hand(*args), "tracejit": lambda: ours(*args)}
    return fastest(calls, rounds)


def grown(
    work: Workload, scaled: Callable[[float], tuple], rounds: int
) -> dict[str, float]:
    """By how much the times of both grow when the work does, by `2**DOUBLINGS`."""
    small, large = (times(work, scaled(s), rounds) for s in (1.0, 2.0**DOUBLINGS))
    return {name: large[name] / small[name] for name in small}


def axes(work: Workload) -> Iterator[tuple[str, Callable[[float], tuple]]]:
    """What a program's work grows by, and its arguments at a multiple of the work."""
    size = work.sizes[0]
    args = work.make(size)
    at = steps_of(args)
    if at is not None:
        count = args[at]
        yield "steps", lambda scale: with_steps(args, round(count * scale))
    sides = work_of(work, 2 * size) / work_of(work, size)
    power = max(1, round(log2(sides)))
    yield "cells", lambda scale: work.make(round(size * scale ** (1.0 / power)))


def work_of(work: Workload, size: int) -> float:
    """How long the hand-written gradient takes at a size: by it, how work grows."""
    args = work.make(size)
    work.hand(*args)
    return fastest({"hand": lambda: work.hand(*args)}, 3)["hand"]


def rows(
    works: Sequence[Workload], rounds: int
) -> Iterator[tuple[str, str, dict[str, float]]]:
    """The growth of every program, by everything that it grows by."""
    for work in works:
        for axis, scaled in axes(work):
            yield work.name, axis, grown(work, scaled, rounds)


def report(works: Sequence[Workload], rounds: int) -> None:
    """Print the table."""
    print(f"{'workload':<16}{'axis':>8}{'hand':>9}{'tracejit':>10}{'ratio':>8}")
    for name, axis, by in rows(works, rounds):
        ratio = by["tracejit"] / by["hand"]
        line = f"{by['hand']:>9.3g}{by['tracejit']:>10.3g}{ratio:>8.3g}"
        print(f"{name:<16}{axis:>8}{line}", flush=True)
