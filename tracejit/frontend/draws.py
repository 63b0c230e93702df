"""Random draws: inputs of the Program, made anew at every call, in program order.

A draw in a staged loop is one input for all rounds, stacked, of which a round reads
its own part.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from tracejit.base.errors import ImpureCallError, StagingError
from tracejit.frontend.box import Box, box_of, from_plain, is_static, plain
from tracejit.frontend.outside import is_outside
from tracejit.frontend.session import session
from tracejit.frontend.trace import Draw
from tracejit.ir.aval import Aval
from tracejit.ir.builder import fresh
from tracejit.ops.promote import supported

_SOURCES = np.random.Generator | np.random.RandomState | random.Random
_REFUSED = {"shuffle", "seed", "setstate", "set_state", "spawn", "bytes", "permuted"}
#: Behind `np.random.normal` and `random.gauss`.
_SHARED = (np.random.mtrand._rand, random._inst)


def is_draw(fn: Any) -> bool:
    """Whether a callable is a method of a random generator."""
    return isinstance(getattr(fn, "__self__", None), _SOURCES)


class Stacked:
    """A draw in staged loops. `path`: for each loop around it, itself and its trips."""

    def __init__(self, var: Any, make: Callable[[], Any], path: Sequence[Any]):
        self.var, self.make, self.path = var, make, tuple(path)


def draw(fn: Any, args: Any, kwargs: Any) -> Any:
    """Call a method of a random generator."""
    trace = session()
    source, loc = fn.__self__, trace.builder.loc
    if fn.__name__ in _REFUSED:
        raise ImpureCallError(
            f"`{fn.__name__}` changes the state of a random generator",
            loc,
            "do it outside and pass the result as an argument",
        )
    if not all(map(is_static, [*args, *kwargs.values()])):
        raise StagingError(
            f"`{fn.__name__}` is given traced values",
            loc,
            "draw standard numbers and scale them: `m + s * rng.normal(size=n)`",
        )
    values = tuple(map(plain, args))
    options = {k: plain(v) for k, v in kwargs.items()}

    def make() -> Any:
        return fn(*values, **options)

    if source not in _SHARED and not is_outside(source):
        return _seeded(make, fn)
    value = _sample(source, make)
    array = np.asarray(value)
    aval = Aval(supported(array.dtype), array.shape)
    kind = "array" if isinstance(value, np.ndarray) else "python"
    kind = "scalar" if isinstance(value, np.generic) else kind
    rounds = trace.counters
    if trace.inside != len(rounds) or not all(t.counted for _, t, _ in rounds):
        raise StagingError(
            f"`{fn.__name__}` is drawn in a branch or a loop of unknown length",
            loc,
            "draw all numbers before it",
        )
    counts = tuple([len(trips) for _, trips, _ in rounds])
    var = fresh(aval.update(shape=(*counts, *aval.shape)))
    path = [(loop, len(trips)) for _, trips, loop in rounds]
    trace.effects.append(Stacked(var, make, path))
    box: Box = box_of(var, "array" if rounds else kind)
    for counter, trips, _ in rounds:
        index = box_of(counter, "python")
        start, step = trips.plain.start, trips.plain.step
        index = index - start if start else index
        box = box[index // step if step != 1 else index]
    return box


def _seeded(make: Callable[[], Any], fn: Any) -> Any:
    """A generator made by the function itself gives the same numbers every time."""
    trace = session()
    if not trace.certain:
        raise StagingError(
            f"`{fn.__name__}` cannot be drawn twice, as staging a loop does",
            trace.builder.loc,
            "draw all numbers before the loop",
        )
    return from_plain(make())


def _sample(source: Any, make: Callable[[], Any]) -> Any:
    """What a draw gives, while the generator stays as it was."""
    if isinstance(source, np.random.Generator):
        bits = source.bit_generator
        saved = bits.state
        try:
            return make()
        finally:
            bits.state = saved
    get, put = (
        (source.getstate, source.setstate)
        if isinstance(source, random.Random)
        else (source.get_state, source.set_state)
    )
    state = get()
    try:
        return make()
    finally:
        put(state)


def ordered(stacked: Sequence[Stacked]) -> list[Draw]:
    """Draws that, called one after the other, draw as the plain program does."""
    out: list[Draw] = []
    for _, group in groupby(stacked, key=lambda s: s.path[:1]):
        members = list(group)
        if not members[0].path:
            out += [Draw(s.var, s.make) for s in members]
            continue
        drawn: dict[int, np.ndarray[Any, Any]] = {}
        for k, member in enumerate(members):
            out.append(Draw(member.var, _Member(members, k, drawn)))
    return out


class _Member:
    """One of several draws in the same loop: the first one draws for all."""

    def __init__(self, members: list[Stacked], k: int, drawn: dict[int, Any]):
        self.members, self.k, self.drawn = members, k, drawn

    def __call__(self) -> Any:
        if self.k == 0:
            for k, member in enumerate(self.members):
                aval = member.var.aval
                self.drawn[k] = np.empty(aval.shape, aval.dtype)
            self.fill(list(range(len(self.members))), 0, ())
        return self.drawn.pop(self.k)

    def fill(self, which: list[int], level: int, index: tuple[int, ...]) -> None:
        """Draw for the loops inside `level`, at one round of those around."""

        def loop_of(k: int) -> Any:
            return self.members[k].path[level : level + 1]

        for loop, group in groupby(which, key=loop_of):
            inner = list(group)
            if not loop:
                for k in inner:
                    self.drawn[k][index] = self.members[k].make()
                continue
            for turn in range(loop[0][1]):
                self.fill(inner, level + 1, (*index, turn))
