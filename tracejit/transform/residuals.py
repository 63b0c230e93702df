"""Supplying the primal values that a derivative reads.

A transposed loop, or a linear one that stands apart from its primal, names variables
that are local to the primal loop's body. Each is supplied in the first way that fits:

    captured     it is bound outside the loop, or is the loop's index
    recomputed   by cheap equations, from the index, captured or other residuals
    handed down  what an iteration carries out is what the next one carries in, so
                 if that is taped, going backwards it is the value read last
    taped        saved in an array indexed by the enclosing loops' counters

Which values are taped is a minimum vertex cut (`cut`) between what cannot be
recomputed and what is needed, weighted by bytes. Tapes are ordinary arrays, zero at
the top of the Program and carried through every loop and branch down to the variable
that they save, so that nesting and second order need no rules of their own.

A loop whose number of trips is known only when it has run makes its tapes growable:
their rows are counted by a pointer, carried through the loops outside it, whose value
on entry to the loop is a residual like any other. A growable array made inside of a
loop, as by the derivative of a function called there, cannot be saved round by round:
what made it is run again, loops and all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tracejit.base.errors import UnsupportedError
from tracejit.ir.aval import GROW, Aval
from tracejit.ir.builder import building, current
from tracejit.ir.primitive import REGISTRY, zeros
from tracejit.ir.program import (
    Atom,
    Eqn,
    Literal,
    Region,
    Var,
    clone_eqn,
    substitute,
    walk,
)
from tracejit.ops import elementwise as ew
from tracejit.ops.control import cond, for_, while_
from tracejit.ops.index import getitem, setitem
from tracejit.ops.shape import empty
from tracejit.transform.cut import min_vertex_cut

INT = np.dtype(np.int64)

#: Recomputing costs at most this many flops per element and equation.
CHEAP = 3

#: The weight of a growable array, of which there can be no tape.
HUGE = 1 << 60

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


def _offset(data: tuple[Var, int, int]) -> Atom:
    index, low, step = data
    return _divided(index if low == 0 else ew.sub(index, Literal(low, INT)), step)


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


_PARTS: dict[str, Any] = {"offset": _offset, "row": _row}


def loop_index(eqn: Eqn) -> Var:
    """The Var that a loop's body and its linear and transposed forms share."""
    return eqn.regions[0].params[0] if eqn.prim is for_ else eqn.regions[1].params[-1]


def known_range(eqn: Eqn) -> tuple[int, int, int] | None:
    """Least index, greatest index + 1 and step of a `for`, where staging knew them."""
    if eqn.prim is not for_:
        return None
    lo, hi, step = eqn.inputs[:3]
    if not isinstance(step, Literal):
        return None
    if isinstance(lo, Literal) and isinstance(hi, Literal):
        if step.value == 1:
            # Extents keep their expression through this subtraction.
            return lo.value, max(hi.value, lo.value), 1
        trips = range(int(lo.value), int(hi.value), int(step.value))
        ends = (trips[0], trips[-1]) if trips else (0, -1)
        return min(ends), max(ends) + 1, abs(int(step.value))
    interval = loop_index(eqn).interval
    if interval is None:
        return None
    return interval[0], interval[1] + 1, abs(int(step.value))


class Supplier:
    """Supplies residuals to the transposed regions in `pairs`; see the module."""

    def __init__(self, pairs: dict[Eqn, Eqn]):
        self.pairs = pairs
        self.threads: list[Thread] = []
        self.tapes: dict[Var, Thread] = {}
        self.pointers: dict[Eqn, Thread] = {}
        #: Pointers' parameters, by the body of the loop that carries them.
        self.extra: dict[Region, list[Var]] = {}

    def supply(self, eqns: Iterable[Eqn], path: Path = ()) -> None:
        """Rewrite the transposed regions among `eqns` so that they read tapes."""
        for eqn in eqns:
            if eqn not in self.pairs:
                continue
            primal = self.pairs[eqn]
            for k, region in enumerate(eqn.regions):
                which = k if primal.prim is cond else len(primal.regions) - 1
                self.region(eqn, region, (*path, (primal, which)))

    def region(self, eqn: Eqn, region: Region, path: Path) -> None:
        # Innermost first: what an inner region recomputes from is needed here.
        self.supply(region.eqns, path)
        primal, which = path[-1]
        body = primal.regions[which]
        bound = {v for eqn in body.eqns for v in eqn.outputs}
        bound.update(body.params)
        bound.update(self.extra.get(body, ()))
        if primal.prim is not cond:
            bound.discard(loop_index(primal))
        needed = [v for v in region.free_vars() if v in bound]
        if not needed:
            return
        taped, recomputed = plan(body, bound, needed, _around(path))
        env: dict[Var, Atom] = {}
        handed = handed_down(primal, taped) if _runs_backwards(eqn, primal) else {}
        with building() as builder, builder.open() as reads:
            for var in taped:
                if var not in handed:
                    env[var] = self.tape(var, path)
            for var, (entering, leaving) in handed.items():
                env[var] = hand_down(eqn, var, env[entering], leaving)
            reads += _run_again(recomputed, env, exactly=_decides(region))
        substitute_in(region, env)
        region.eqns[:0] = reads

    def tape(self, var: Var, path: Path) -> Atom:
        """Have `var` saved at the end of `path`; emit its reading."""
        if var not in self.tapes:
            if var.aval.grows:
                raise UnsupportedError(
                    "a derivative of this order needs a tape of tapes, for a loop "
                    "whose length follows from the data",
                    path[-1][0].loc,
                    "give the loop a number of rounds that shapes and numbers fix",
                )
            index = self.index(path)
            aval = var.aval.update(shape=(*index.dims, *var.aval.shape))
            self.tapes[var] = Thread(path, aval, saved=var, index=index)
            self.threads.append(self.tapes[var])
        thread = self.tapes[var]
        index = thread.index  # type: ignore[assignment]
        if not index.dims:
            return thread.final
        starts, sizes = _tape_slice(index, var)
        steps = (1,) * len(sizes)
        return getitem(thread.final, *starts, sizes=sizes, steps=steps)

    def index(self, path: Path) -> Index:
        dims: list[int] = []
        parts: list[tuple[str, Any]] = []
        for depth, (eqn, _) in enumerate(path):
            if eqn.prim is cond:
                continue
            known = known_range(eqn)
            if known is None:
                # Rows are counted from here on: what was outside is in the pointer.
                dims, parts = [GROW], [("row", (eqn, self.pointer(path[:depth], eqn)))]
                continue
            low, high, step = known
            extent = high - low if step == 1 else -((low - high) // step)
            dims.append(extent)
            parts.append(("offset", (loop_index(eqn), low, step)))
        return Index(tuple(dims), parts)

    def pointer(self, path: Path, eqn: Eqn) -> Thread | None:
        """The count of rows on entry to `eqn`; None where that is 0."""
        loops = [e for e, _ in path if e.prim is not cond]
        if not loops:
            return None
        if eqn not in self.pointers:
            thread = Thread(path, Aval(INT), counts=eqn)
            self.pointers[eqn] = thread
            self.threads.append(thread)
            body = loops[-1].regions[-1]
            self.extra.setdefault(body, []).append(thread.inner)
        return self.pointers[eqn]


def _runs_backwards(eqn: Eqn, primal: Eqn) -> bool:
    """Whether a loop goes through the rounds of its primal in the opposite order."""
    return eqn.params.get("reverse", False) != primal.params.get("reverse", False)


def handed_down(primal: Eqn, taped: Sequence[Var]) -> dict[Var, tuple[Var, Var]]:
    """Of a loop's taped variables, those carried out of a slot whose entry is taped.

    Each comes with what the slot carries in and with its value after the loop.
    """
    if primal.prim is cond:
        return {}
    body = primal.regions[-1]
    carried = body.params[1:] if primal.prim is for_ else body.params
    slots = zip(carried, body.results, primal.outputs, strict=True)
    return {
        leaving: (entering, last)
        for entering, leaving, last in slots
        if isinstance(leaving, Var)
        and leaving is not entering
        and leaving not in body.params
        and {entering, leaving} <= set(taped)
    }


def hand_down(eqn: Eqn, var: Var, read: Atom, last: Var) -> Var:
    """Carry `read`, of this iteration, to the one run next, the one before it."""
    (region,) = eqn.regions
    handed = Var(var.aval, var.hint)
    eqn.inputs.append(last)
    eqn.outputs.append(Var(var.aval, var.hint))
    region.params.append(handed)
    region.results.append(read)
    return handed


def _run_again(eqns: list[Eqn], env: dict[Var, Atom], exactly: bool) -> list[Eqn]:
    """Copies of primal equations; `env` grows by what they compute.

    Unless it must come out `exactly` as in the primal, this is derivative code, whose
    rounding is ours: it has an origin.
    """
    inner = dict(env)  # grows by what regions bind, too: indices that others share
    copies = [clone_eqn(eqn, inner) for eqn in eqns]
    env.update((v, inner[v]) for eqn in eqns for v in eqn.outputs)
    if not exactly and not any(_chooses(eqn) for eqn in eqns):
        for copy, eqn in zip(copies, eqns, strict=True):
            copy.origin = eqn
    return copies


def _decides(region: Region) -> bool:
    """Whether a transposed region decides anything by primal values."""
    return any(_chooses(eqn) for eqn in walk(region))


def _chooses(eqn: Eqn) -> bool:
    """Whether a float enters a comparison, a rounding or a branch."""
    return any(a.aval.inexact for a in eqn.inputs) and any(
        not v.aval.inexact for v in eqn.outputs
    )


def _tape_slice(index: Index, var: Var) -> tuple[list[Any], tuple[Any, ...]]:
    starts = [*index.starts(), *([0] * var.aval.ndim)]
    sizes = (*([None] * len(index.dims)), *var.aval.shape)
    return starts, sizes


def _around(path: Path) -> set[Var]:
    """What the loops and branches around the innermost region of a path bind.

    Indices are not counted: derivatives have them, too.
    """
    around: set[Var] = set()
    for eqn, which in path[:-1]:
        body = eqn.regions[which]
        around.update(body.params, *(e.outputs for e in body.eqns))
        if eqn.prim is not cond:
            around.discard(loop_index(eqn))
    return around


def plan(
    body: Region,
    bound: set[Var],
    needed: Sequence[Var],
    around: set[Var] = frozenset(),  # type: ignore[assignment]
) -> tuple[list[Var], list[Eqn]]:
    """What to tape, and the equations that recompute the rest of `needed`.

    What is bound outside can be read; but a part of an array bound `around`, in loops
    outside, is not to be read again where that has the whole array saved.
    """
    defs = {v: eqn for eqn in body.eqns for v in eqn.outputs}
    sources, edges = [], []
    seen: set[Var] = set()
    stack = list(needed)
    while stack:
        var = stack.pop()
        if var in seen:
            continue
        seen.add(var)
        eqn = defs.get(var)
        if eqn is None or not (is_cheap(eqn) or var.aval.grows):
            sources.append(var)
            continue
        for source in eqn.uses():
            if source in bound or (source in around and _is_part(var, source)):
                edges.append((source, var))
                stack.append(source)
    weights = {v: HUGE if v.aval.grows else max(v.aval.nbytes, 1) for v in seen}
    saved = min_vertex_cut(weights, edges, sources, needed)
    recompute: set[Eqn] = set()
    stack = [v for v in needed if v not in saved]
    while stack:
        eqn = defs[stack.pop()]
        if eqn in recompute:
            continue
        recompute.add(eqn)
        stack += [v for v in eqn.uses() if v in bound and v not in saved]
    order = {v: k for k, v in enumerate([*body.params, *defs])}
    taped = sorted(saved & bound, key=lambda v: order.get(v, -1))
    return taped, [eqn for eqn in body.eqns if eqn in recompute]


def _is_part(var: Var, source: Var) -> bool:
    """Whether a value has fewer bytes than what it is computed from."""
    return source.aval.grows or source.aval.nbytes > var.aval.nbytes


def is_cheap(eqn: Eqn) -> bool:
    """Whether an equation may be run again going backwards."""
    prim = eqn.prim
    return not eqn.regions and not prim.updates and prim.cost <= CHEAP


def substitute_in(region: Region, env: dict[Var, Atom]) -> None:
    """Replace uses in place: transposed regions belong to us alone."""
    for eqn in region.eqns:
        eqn.inputs = substitute(eqn.inputs, env)
        for inner in eqn.regions:
            substitute_in(inner, env)
    region.results = substitute(region.results, env)


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
    return empty(shape=aval.shape, dtype=aval.dtype) if aval.shape else zeros(aval)


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
                values[t] = ew.add(values[t], _trips(eqn))
        for var in eqn.outputs:
            if var in ends:
                _save(ends[var], values)


def _save(thread: Thread, values: dict[Thread, Atom]) -> None:
    assert thread.index is not None and thread.saved is not None
    if not thread.index.dims:
        values[thread] = thread.saved
        return
    starts, sizes = _tape_slice(thread.index, thread.saved)
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


def _trips(eqn: Eqn) -> Atom:
    """How often a loop ran, read after it."""
    if eqn.prim is while_:
        return eqn.outputs[-1]
    lo, hi, step = eqn.inputs[:3]
    sign = ew.select(ew.gt(step, Literal(0, INT)), Literal(1, INT), Literal(-1, INT))
    distance = ew.sub(ew.add(ew.sub(hi, lo), step), sign)
    trips = REGISTRY["floor_divide"](distance, step)
    return REGISTRY["maximum"](trips, Literal(0, INT))
