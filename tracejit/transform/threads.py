"""Values carried from the top of a Program down into its loops: tapes and pointers.

A tape saves a variable of the innermost loop on its path; a pointer counts the rows of
tapes that grow. `thread_through` is the primal with all of them carried along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.builder import building, current
from tracejit.ir.primitive import REGISTRY, zeros
from tracejit.ir.program import (
    Atom,
    Eqn,
    Literal,
    Region,
    Var,
)
from tracejit.ops import elementwise as ew
from tracejit.ops.control import cond, for_, row_of, while_
from tracejit.ops.index import setitem
from tracejit.ops.shape import empty

INT = np.dtype(np.int64)

#: A region of a primal loop or branch, from the outermost inwards.
Path = tuple[tuple[Eqn, int], ...]


@dataclass(eq=False)
class Thread:
    """A value carried from the top of the Program down `path`, updated at its end.

    A tape saves `saved` there; a pointer (`saved` None) adds the trips of the loop
    `counts` after it. `final` is its value when the primal has run.
    """

    path: Path
    aval: Aval
    saved: Var | None = None
    counts: Eqn | None = None
    index: Index | None = None
    final: Var = field(init=False)
    inner: Var = field(init=False)

    def __post_init__(self) -> None:
        hint = f"{self.saved.hint}_tape" if self.saved and self.saved.hint else "tape"
        self.final = Var(self.aval, hint if self.saved else "rows")
        #: Its parameter in the innermost loop on the path.
        self.inner = Var(self.aval, self.final.hint)


@dataclass
class Index:
    """Where a tape saves: a start per leading axis, and the axes' extents."""

    dims: tuple[int, ...]
    parts: list[tuple[str, Any]]

    def starts(self) -> list[Atom]:
        """Emit the counters; they read index variables shared with the primal."""
        return [_PARTS[kind](data) for kind, data in self.parts]


def _counter(eqn: Eqn) -> Atom:
    """The trips completed by a `for` or a counted `while`, read inside its body."""
    index = loop_index(eqn)
    if eqn.prim is while_:
        return index
    lo, _, step = eqn.inputs[:3]
    return _divided(ew.sub(index, lo), step)


def _divided(distance: Atom, step: Any) -> Atom:
    if isinstance(step, Literal):
        step = int(step.value)
    if isinstance(step, int) and step in (1, -1):
        return distance if step == 1 else ew.neg(distance)
    return REGISTRY["floor_divide"](distance, step)


def _row(data: tuple[Eqn, Thread | None]) -> Atom:
    eqn, pointer = data
    counter = _counter(eqn)
    return counter if pointer is None else ew.add(pointer.inner, counter)


_PARTS: dict[str, Any] = {"offset": lambda data: row_of(*data), "row": _row}


def loop_index(eqn: Eqn) -> Var:
    """The Var that a loop's body and its linear and transposed forms share."""
    return eqn.regions[0].params[0] if eqn.prim is for_ else eqn.regions[1].params[-1]


def tape_slice(index: Index, var: Var) -> tuple[list[Any], tuple[Any, ...]]:
    starts = [*index.starts(), *([0] * var.aval.ndim)]
    sizes = (*([None] * len(index.dims)), *var.aval.shape)
    return starts, sizes


def thread_through(eqns: Sequence[Eqn], threads: Sequence[Thread]) -> list[Eqn]:
    """The primal with every thread carried to its end; `final`s are bound here."""
    with building() as builder, builder.open() as out:
        values: dict[Thread, Atom] = {
            t: _room(t.aval) if t.saved is not None else Literal(0, INT)
            for t in threads
        }
        _thread_eqns(eqns, values, 0)
    return out


def _room(aval: Aval) -> Atom:
    """A tape to be written before it is read."""
    if not aval.shape:
        return zeros(aval)
    return empty(shape=aval.shape, dtype=aval.dtype, tape=True)


def _thread_eqns(eqns: Sequence[Eqn], values: dict[Thread, Atom], depth: int) -> None:
    """Emit `eqns` with the threads of `values`, which pass through them."""
    ends = {t.saved: t for t in values if t.saved and len(t.path) == depth}
    for eqn in eqns:
        here = [t for t in values if len(t.path) > depth and t.path[depth][0] is eqn]
        if here:
            _thread_eqn(eqn, here, values, depth)
        else:
            current().append(eqn)
        for t in values:
            if t.counts is eqn and len(t.path) == depth:
                values[t] = ew.add(values[t], trips_of(eqn))
        for var in eqn.outputs:
            if var in ends:
                _save(ends[var], values)


def _save(thread: Thread, values: dict[Thread, Atom]) -> None:
    assert thread.index is not None and thread.saved is not None
    if not thread.index.dims:
        values[thread] = thread.saved
        return
    starts, sizes = tape_slice(thread.index, thread.saved)
    steps = (1,) * len(sizes)
    values[thread] = setitem(
        values[thread], thread.saved, *starts, sizes=sizes, steps=steps
    )


def _thread_eqn(
    eqn: Eqn, here: list[Thread], values: dict[Thread, Atom], depth: int
) -> None:
    """Emit a loop or branch with the threads `here` as further slots."""
    # The counter of a `while` stays its last slot.
    counted = eqn.prim is while_ and eqn.params.get("counted", False)
    entering = [values[t] for t in here]
    outputs = [t.final if depth == 0 else Var(t.aval, t.final.hint) for t in here]
    inputs = list(eqn.inputs)
    if eqn.prim is not cond:
        inputs = _insert(inputs, entering, counted)
    regions = [
        _thread_region(eqn, k, here, values, depth, counted)
        for k in range(len(eqn.regions))
    ]
    values.update(zip(here, outputs, strict=True))
    all_outputs = _insert(eqn.outputs, outputs, counted)
    current().append(replace(eqn, inputs=inputs, outputs=all_outputs, regions=regions))


def _thread_region(
    eqn: Eqn,
    k: int,
    here: list[Thread],
    values: dict[Thread, Atom],
    depth: int,
    counted: bool,
) -> Region:
    region = eqn.regions[k]
    is_test = eqn.prim is while_ and k == 0
    inner = {t: values[t] for t in here}
    params: list[Var] = []
    if eqn.prim is not cond:
        for t in here:
            innermost = all(e.prim is cond for e, _ in t.path[depth + 1 :])
            own = innermost and not is_test
            params.append(t.inner if own else Var(t.aval, t.final.hint))
        inner = dict(zip(here, params, strict=True))
    all_params = _insert(region.params, params, counted)
    if is_test:
        return Region(all_params, region.eqns, region.results)
    active = {t: inner[t] for t in here if t.path[depth][1] == k}
    with current().open() as eqns:
        for t in active:
            if len(t.path) == depth + 1 and t.saved in all_params:
                _save(t, active)
        _thread_eqns(region.eqns, active, depth + 1)
    inner |= active
    results = _insert(region.results, [inner[t] for t in here], counted)
    return Region(all_params, eqns, results)


def _insert(items: Sequence[Any], more: Sequence[Any], before_last: bool) -> list[Any]:
    at = len(items) - before_last
    return [*items[:at], *more, *items[at:]]


def trips_of(eqn: Eqn) -> Atom:
    """How often a loop ran, read after it."""
    if eqn.prim is while_:
        return eqn.outputs[-1]
    lo, hi, step = eqn.inputs[:3]
    sign = ew.select(ew.gt(step, Literal(0, INT)), Literal(1, INT), Literal(-1, INT))
    distance = ew.sub(ew.add(ew.sub(hi, lo), step), sign)
    trips = REGISTRY["floor_divide"](distance, step)
    return REGISTRY["maximum"](trips, Literal(0, INT))
