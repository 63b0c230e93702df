"""`for` and `while`, staged by running the body as a probe.

A probe runs the body once into a region and finds the places that it changes; these
are carried, and the body runs again with parameters in their stead until the types
stay. What the probes wrote is undone. A loop that cannot be staged has its first round
peeled off (`best = None`) and is tried again, then it is unrolled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from tracejit.base.errors import (
    FenceError,
    StagingError,
    TracejitError,
    UnrollLimitError,
)
from tracejit.frontend.aliases import NO_LINKS, links
from tracejit.frontend.box import Box, box_of
from tracejit.frontend.branches import (
    Branch,
    all_of,
    branch,
    merge_of,
    none_of,
    not_,
    put,
    referred,
    source_of,
    traced,
    truth,
)
from tracejit.frontend.carry import Spec, array_leaves, avals, encode, spec_of
from tracejit.frontend.generators import Generator, log_changes
from tracejit.frontend.grown import Length
from tracejit.frontend.growth import Lengths, growing, most_rounds, need_of, of_data
from tracejit.frontend.guesses import guesses, is_untouched, remember
from tracejit.frontend.lift import Meta
from tracejit.frontend.outside import current, iter_, own_iterator, require_new
from tracejit.frontend.places import (
    UNDEFINED,
    Frame,
    Place,
    Variable,
    Watch,
    assign,
)
from tracejit.frontend.references import References
from tracejit.frontend.session import Restage, session
from tracejit.frontend.stand_in import Stale
from tracejit.frontend.trees import Merge, freeze
from tracejit.frontend.trips import Trips, interval, trips_of
from tracejit.ir.aval import Aval
from tracejit.ir.builder import fresh, new_region
from tracejit.ir.program import Atom, Literal, Region, Var, walk
from tracejit.ops.control import emit_for
from tracejit.ops.control import while_ as while_primitive
from tracejit.ops.elementwise import gt, logical_and, lt
from tracejit.ops.promote import convert

NO_PAST = object()
INDEX = Aval(np.dtype(np.int64))
MAX_ROUNDS = 12
MAX_UNROLLED = 10_000
#: Rounds that a loop may run as plain Python before it is tried no more.
PEELED = 2


class _NothingTraced(Exception):
    """The body computes with plain Python values alone."""


class Slot:
    """A carried place: its type, and its value before the loop and after a round."""

    def __init__(self, place: Place, spec: Spec, before: Any, after: Any):
        self.place, self.spec, self.before, self.after = place, spec, before, after

    def params(self) -> list[Var]:
        """Fresh parameters for a region."""
        if isinstance(self.place, Variable):
            hint = self.place.name
        else:
            hint = getattr(self.place.get(), "hint", "")
        return [fresh(aval, hint) for aval in avals(self.spec)]

    def past(self, before: bool) -> list[Any]:
        """The values that the place may hold: `before` the loop too, or after it."""
        has_past = before and self.before is not NO_PAST
        return [self.before, self.after] if has_past else [self.after]

    def init(self) -> list[Atom]:
        """The values before the loop."""
        before = UNDEFINED if self.before is NO_PAST else self.before
        return encode(self.place, self.spec, before)


class Loop:
    """The staging of one loop: its slots, widened round by round."""

    def __init__(
        self,
        frame: Frame,
        meta: Meta,
        source: Any,
        runs: bool,
        trips: Trips | None = None,
    ):
        self.frame, self.meta, self.source = frame, meta, source
        self.runs = runs  # surely at least once
        self.trips, self.lengths = trips, Lengths(trips)
        self.slots: dict[Any, Slot] = {}
        self.dead: dict[Any, Place] = {}
        self.stale: dict[Any, tuple[Place, Stale]] = {}
        self.links = NO_LINKS
        self.refer = source in session().advice.refer
        self.held = References()
        self.params: list[Var] = []
        self.boxes: dict[Any, Box] = {}
        #: The parameters of places that are carried because they were before.
        self.guessed: dict[Any, Var | None] = {}
        for place, spec in guesses(frame, source):
            before = self._before(place)
            if before is not NO_PAST:
                self.slots[place.key] = Slot(place, spec, before, before)
                self.guessed[place.key] = None

    def counter(self) -> Var:
        """A fresh counter, of a `for`."""
        assert self.trips is not None
        counter = fresh(INDEX)
        counter.interval = interval(self.trips)
        return counter

    def bind(self, counter: Var | None = None) -> None:
        """Put fresh parameters into the carried places, for the round of `counter`."""
        self.params, self.boxes = [], {}
        merges: list[Merge] = []
        cells = [fresh(aval) for aval in self.held.types()]
        arrays = self.held.decode(cells)
        for key, slot in self.slots.items():
            new = slot.params()
            if key in self.lengths.changes:
                self.lengths.bound(key, slot.before, new[0])
            if key in self.guessed:
                self.guessed[key] = new[0]
            self.boxes |= put(slot.place, slot.spec, new, arrays)
            merges.append(merge_of(slot.place, slot.spec, slot.past(True)))
            self.params += new
        self.params += cells
        self.links.entangle(self.boxes, self.source)
        freeze(merges, self.source)
        for place, value in self.stale.values():
            place.set(value)
        self.lengths.bind(None if counter is None else box_of(counter, "python"))

    def fixpoint(self, run: Callable[[], Any], plain: bool = True) -> Branch | None:
        """Probe until the types settle: the last probe, or None if all is done.

        `run` binds the parameters, and runs the body.

        The loop is done when it changes nothing that matters. `plain`: it is given
        up when it emits nothing, as it computes with plain values of Python alone.
        """
        for _ in range(MAX_ROUNDS):
            try:
                probe = Branch(self.frame, run)
                settled = self.widen(probe)
            except Exception as error:
                if not self.guessed or isinstance(error, _GIVES_UP):
                    raise
                self.forget()
                continue
            if self._guessed_too_much(probe):
                self.forget()
                continue
            if not probe.eqns and plain:
                probe.accept()
                if self.slots or probe.effects:
                    raise _NothingTraced
                self.finish([])
                return None
            if settled:
                found = [(slot.place, slot.spec) for slot in self.slots.values()]
                remember(self.frame, self.source, found)
                probe.accept()
                return probe
        names = ", ".join(str(slot.place) for slot in self.slots.values())
        raise StagingError(f"the types of {names} never settle")

    def _guessed_too_much(self, probe: Branch) -> bool:
        return any(
            key not in probe.changes or is_untouched(probe.changes[key][1], given)
            for key, given in self.guessed.items()
        )

    def forget(self) -> None:
        """Begin again, without guesses."""
        for found in (self.slots, self.dead, self.stale, self.guessed):
            found.clear()
        self.lengths.clear()
        self.links, self.held = NO_LINKS, References()

    def widen(self, probe: Branch) -> bool:
        """Take in what a probe changed; whether nothing was new."""
        if probe.diverges:
            raise StagingError("every round of the loop ends in a `raise`")
        settled = True
        for key, (place, after) in probe.changes.items():
            if self._is_dead(place):
                self.dead[key] = place
                continue
            if isinstance(after, Stale):
                settled &= key in self.stale
                self.stale[key] = place, after
                self.slots.pop(key, None)
                continue
            slot = self.slots.get(key)
            before = slot.before if slot else self._before(place)
            probe.require_apart(place)
            seen = self._seen(before, after)
            error = need_of(place, before, seen, self.lengths.known(before))
            if error is not None:
                raise error if self._is_of_data(probe, after) else _of_numbers(place)
            if isinstance(place, Length):
                settled &= self.lengths.widen(place, before, after)
                if self.lengths.is_step(key):
                    continue
            old = slot.spec if slot else None
            spec = spec_of(place, seen, old, self.refer)
            probe.require_whole(place, spec, after)
            settled &= spec == old
            self.slots[key] = Slot(place, spec, before, after)
        ways = self._ways(before=True)
        new = links(ways)
        settled &= new == self.links
        self.links = new
        types = referred((slot.place, slot.spec) for slot in self.slots.values())
        return not self.held.widen(types, ways) and settled

    def _ways(self, before: bool) -> dict[Any, list[Any]]:
        """For every carried array, what it was `before` and what a round made it."""
        ways: dict[Any, list[Any]] = {}
        for key, slot in self.slots.items():
            past = slot.before if before and slot.before is not NO_PAST else UNDEFINED
            for k, value in enumerate((past, slot.after)):
                leaves = array_leaves(slot.place, slot.spec, value)
                for leaf, box in leaves.items():
                    ways.setdefault((key, leaf), [None, None])[k] = box
        return ways

    def _is_dead(self, place: Place) -> bool:
        return self._is_own(place) and place.name not in self.meta.head  # type: ignore

    def _is_own(self, place: Place) -> bool:
        return isinstance(place, Variable) and place.owner is self.frame

    def _before(self, place: Place) -> Any:
        # A variable that every round assigns first has no past.
        if self.runs and self._is_own(place) and place.name not in self.meta.again:  # type: ignore
            return NO_PAST
        return current(place)

    def _is_of_data(self, probe: Branch, grown: list[Any]) -> bool:
        """Whether more than the counter decides on what a list holds.

        Where it does not, Python's own numbers in it are worth more than a loop.
        """
        rounds = self.lengths.rounds
        return rounds is None or rounds > MAX_UNROLLED or of_data(probe.eqns, grown)

    def _seen(self, before: Any, after: Any) -> list[Any]:
        return [after] if before is NO_PAST else [before, after]

    def inits(self) -> list[Atom]:
        """The values of the parameters before the loop."""
        atoms = [atom for slot in self.slots.values() for atom in slot.init()]
        return atoms + self.held.encode(self._way(0))

    def _way(self, k: int) -> dict[Any, Any]:
        return {key: boxes[k] for key, boxes in self._ways(before=True).items()}

    def results(self, probe: Branch) -> list[Atom]:
        """What the body hands on; emitted into its region."""
        with probe.entered():
            atoms = [
                atom
                for slot in self.slots.values()
                for atom in encode(slot.place, slot.spec, slot.after)
            ]
            return atoms + self.held.encode(self._way(1))

    def carried_flags(self) -> list[Slot]:
        """The flags that are traced and end the loop early."""
        return [
            slot
            for slot in self.slots.values()
            if self._is_own(slot.place)
            and slot.place.name in self.meta.exits  # type: ignore[attr-defined]
            and slot.spec.carried
        ]

    def finish(self, outs: Sequence[Atom], counter: Var | None = None) -> None:
        """Store the final values; `counter` is where an ended loop stopped."""
        # Where the body surely ran, nothing is what it was before the loop.
        final = links(self._ways(before=not self.runs))
        rest = iter(outs)
        arrays = self.held.decode(outs[len(outs) - len(self.held.types()) :])
        made = [out for out in outs if isinstance(out, Var)]
        session().made_by.update(dict.fromkeys(made, self.source))
        boxes: dict[Any, Box] = {}
        merges: list[Merge] = []
        for slot in self.slots.values():
            atoms = [next(rest) for _ in avals(slot.spec)]
            if slot.place.key in self.lengths.changes:
                self.lengths.bound(slot.place.key, slot.before, atoms[0], after=True)
            boxes |= put(slot.place, slot.spec, atoms, arrays)
            past = slot.past(not self.runs)
            merges.append(merge_of(slot.place, slot.spec, past))
        final.entangle(boxes, self.source)
        freeze(merges, self.source)
        for place in self.dead.values():
            assign(place, UNDEFINED)
        for place, value in self.stale.values():
            place.set(value)
        self.lengths.finish(None if counter is None else box_of(counter, "python"))


# for ----------------------------------------------------------------------------------


def for_(frame: Frame, values: Any, body: Callable[[Any], Any], meta: Meta) -> None:
    """`for … in values: body(…)`."""
    values = own_iterator(values)
    if isinstance(values, Generator) and values.can_push(bool(meta.exits)):
        _push(frame, values, body, meta)
        return
    trips = trips_of(values)
    if trips is None:
        _unroll(frame, iter_(values), body, meta, None)
        return
    cause: Exception | None = None
    if source_of(body) not in session().advice.unroll:
        for _ in range(PEELED):
            if trips.counted and not len(trips):
                return
            stage = partial(_stage_for, frame, trips, body, meta)
            try:
                growing(source_of(body), most_rounds(trips), stage)
                return
            except _NothingTraced:
                break
            except _GIVES_UP as error:
                raise error
            except Exception as error:
                cause = error
            if not trips.counted:
                raise _unstageable("loop", cause) from cause
            _unroll(frame, [trips.at(trips.plain[0])], body, meta, cause)
            if _must_stop(frame, meta):
                return
            trips = trips.after(1)
    _unroll(frame, trips, body, meta, cause)


def _push(
    frame: Frame, values: Generator, body: Callable[[Any], Any], meta: Meta
) -> None:
    """Run the body wherever the generator yields."""
    require_new(values)

    def emit(value: Any) -> Any:
        before = dict(frame.__dict__)
        body(value)
        log_changes(frame, before, meta.head)
        return not_(none_of(*_flags(frame, meta)))

    values.push(emit)


@contextmanager
def _attempt(frame: Frame, key: Any) -> Iterator[None]:
    """Stage the loop `key` in the block; when that fails, nothing has changed."""
    trace, watch = session(), Watch(frame)
    frozen, effects = trace.frozen.copy(), len(trace.effects)
    try:
        with trace.staging_loop(key):
            yield
    except Exception:
        watch.undo()
        trace.frozen = frozen
        del trace.effects[effects:]
        raise


#: What no other way of staging the loop would cure.
_GIVES_UP = (Restage, FenceError, UnrollLimitError)


def _unstageable(what: str, cause: Exception | None) -> Exception:
    if isinstance(cause, TracejitError | NameError):
        return cause
    return StagingError(f"the {what} cannot be staged: {cause}", session().builder.loc)


def _of_numbers(place: Place) -> StagingError:
    return StagingError(
        f"{place} gets plain numbers of Python's", session().builder.loc
    )


def _must_stop(frame: Frame, meta: Meta) -> bool:
    go = none_of(*_flags(frame, meta))
    return not traced(go) and not go


def _flags(frame: Frame, meta: Meta) -> list[Any]:
    return [getattr(frame, name) for name in meta.exits]


def _unroll(
    frame: Frame,
    values: Iterable[Any],
    body: Callable[[Any], Any],
    meta: Meta,
    cause: Exception | None,
) -> None:
    """Run the loop as Python does; a traced `break` guards the rounds after it."""
    trace = session()
    for value in values:
        before = len(trace.builder.stack[-1])
        go = none_of(*_flags(frame, meta))
        if not traced(go):
            if not go:
                return
            body(value)
        else:
            branch(frame, go, partial(body, value), lambda: None, meta.head)
        if len(trace.builder.stack[-1]) > before:
            count_unrolled(cause)


def count_unrolled(cause: Exception | None) -> None:
    """Count a round that put equations into the program; too many are an error."""
    trace = session()
    trace.unrolled += 1
    if trace.unrolled > MAX_UNROLLED:
        why = f" It could not be staged because: {cause}" if cause else ""
        raise UnrollLimitError(
            f"more than {MAX_UNROLLED} rounds of loops were unrolled.{why}",
            trace.builder.loc,
            "loop over a range or an array, and index arrays with the counter",
        ) from cause


def _stage_for(
    frame: Frame, trips: Trips, body: Callable[[Any], Any], meta: Meta
) -> None:
    with _attempt(frame, source_of(body)):
        _for(Loop(frame, meta, source_of(body), trips.counted, trips), body)


def _for(loop: Loop, body: Callable[[Any], Any]) -> None:
    trips = loop.trips
    assert trips is not None

    def run() -> Var:
        counter = loop.counter()
        loop.bind(counter)
        counters = session().counters
        counters.append((counter, trips, loop))
        try:
            body(trips.at(box_of(counter, "python")))
        finally:
            counters.pop()
        return counter

    probe = loop.fixpoint(run, plain=trips.counted)
    if probe is None:
        return
    region = new_region([probe.value, *loop.params], probe.eqns, loop.results(probe))
    lo, hi, step = (_index(b) for b in trips.bounds)
    stopped: list[Any] = []
    if loop.carried_flags():
        *stopped, outs = _for_with_exits(loop, region, trips)
    elif loop.slots or any(eqn.prim.effect for eqn in walk(region)):
        outs = emit_for(lo, hi, step, loop.inits(), region, reverse=False)
    else:
        outs = []
    loop.finish(outs, *stopped)


def _index(bound: Any) -> Atom:
    if isinstance(bound, Box):
        return convert(bound.read(), np.int64)
    return session().literal(bound, np.int64)


def _for_with_exits(loop: Loop, region: Region, trips: Trips) -> tuple[Var, list[Atom]]:
    """A `for` that data may end early, as a `while` that carries the counter.

    Gives the counter's last value and the other results.
    """
    lo, hi, step = (_index(b) for b in trips.bounds)
    if not isinstance(step, Literal):
        raise StagingError("a loop with a traced step cannot be left early")
    trace = session()
    counter = region.params[0]
    with trace.builder.reopen(region.eqns):
        region.results.insert(0, counter + step)
    index = fresh(INDEX)

    def condition() -> Any:
        loop.bind(index)
        inside = (lt if step.value > 0 else gt)(index, hi)
        go = none_of(*_flags(loop.frame, loop.meta))
        return logical_and(inside, convert(go.read(), bool))

    test = Branch(loop.frame, condition)
    check = new_region([index, *loop.params], test.eqns, [test.value])
    last, *outs = while_primitive(lo, *loop.inits(), regions=[check, region])
    return last, outs


# while --------------------------------------------------------------------------------


def while_(
    frame: Frame, test: Callable[[], Any], body: Callable[[], Any], meta: Meta
) -> None:
    """`while test(): body()`."""

    def condition() -> Any:
        return all_of(none_of(*_flags(frame, meta)), test)

    trace = session()
    cause: Exception | None = None
    tries = 0 if source_of(body) in trace.advice.unroll else PEELED
    while True:
        now = condition()
        if not traced(now) and not now:
            return
        if traced(now) or tries > 0:
            tries -= 1
            stage = partial(_stage_while, frame, condition, body, meta, not traced(now))
            try:
                growing(source_of(body), None, stage)
                return
            except _NothingTraced as error:
                tries, cause = 0, error
            except _GIVES_UP as error:
                raise error
            except Exception as error:
                cause = error
            if traced(now):
                raise _unstageable("loop", cause) from cause
        before = len(trace.builder.stack[-1])
        body()
        if len(trace.builder.stack[-1]) > before:
            count_unrolled(cause)


def _stage_while(
    frame: Frame,
    condition: Callable[[], Any],
    body: Callable[[], Any],
    meta: Meta,
    runs: bool,
) -> None:
    with _attempt(frame, source_of(body)):
        _while(Loop(frame, meta, source_of(body), runs), condition, body)


def _while(loop: Loop, condition: Callable[[], Any], body: Callable[[], Any]) -> None:
    frame = loop.frame

    def run() -> None:
        loop.bind()
        body()

    probe = loop.fixpoint(run, plain=loop.runs)
    if probe is None:
        raise _NothingTraced
    params = loop.params

    def decide() -> Atom:
        loop.bind()
        watch = Watch(frame)
        go = truth(condition())
        if not traced(go):
            raise StagingError("its condition does not depend on traced data")
        if watch.changes():
            raise StagingError("its condition changes variables")
        return convert(go.read(), bool)

    test = Branch(frame, decide)
    regions = [
        new_region(loop.params, test.eqns, [test.value]),
        new_region(params, probe.eqns, loop.results(probe)),
    ]
    loop.finish(while_primitive(*loop.inits(), regions=regions))
