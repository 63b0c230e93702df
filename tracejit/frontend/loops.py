"""`for` and `while`, staged by running the body as a probe (see `probing`).

A loop that cannot be staged has its first round peeled off (`best = None`) and is tried
again, then it is unrolled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from tracejit.base.errors import (
    StagingError,
    TracejitError,
    UnrollLimitError,
)
from tracejit.frontend.box import Box, box_of
from tracejit.frontend.branches import (
    Branch,
    all_of,
    branch,
    none_of,
    not_,
    source_of,
    traced,
    truth,
)
from tracejit.frontend.generators import Generator, log_changes
from tracejit.frontend.growth import growing, most_rounds
from tracejit.frontend.lift import Meta
from tracejit.frontend.outside import iter_, own_iterator, require_new
from tracejit.frontend.places import (
    Frame,
    Watch,
)
from tracejit.frontend.probing import (
    GIVES_UP,
    INDEX,
    Loop,
    NothingTraced,
)
from tracejit.frontend.session import session
from tracejit.frontend.trips import Cursor, Trips, UsedInside, trips_of
from tracejit.frontend.undecided import settled
from tracejit.ir.builder import fresh, new_region
from tracejit.ir.program import Atom, Literal, Region, Var, walk
from tracejit.ops.control import emit_for
from tracejit.ops.control import while_ as while_primitive
from tracejit.ops.elementwise import gt, logical_and, lt
from tracejit.ops.promote import convert

MAX_UNROLLED = 10_000
#: Rounds that a loop may run as plain Python before it is tried no more.
PEELED = 2


# for ----------------------------------------------------------------------------------


def for_(frame: Frame, values: Any, body: Callable[[Any], Any], meta: Meta) -> None:
    """`for … in values: body(…)`."""
    values = own_iterator(settled(values))
    if isinstance(values, Generator) and values.can_push:
        _push(frame, values, body, meta)
    elif isinstance(values, Cursor):
        try:
            _go_through(frame, values, body, meta)
        except UsedInside:
            round_ = Round(body, values.take)
            while_(frame, values.more, round_, meta)
        values.end(none_of(*_flags(frame, meta)))
    else:
        _go_through(frame, values, body, meta)


class Round:
    """A round of a loop, with the value that `take()` gives, of those in `trips`."""

    def __init__(
        self,
        body: Callable[[Any], Any],
        take: Callable[[], Any],
        trips: Trips | None = None,
    ):
        self.body, self.take, self.trips = body, take, trips
        self.__code__ = source_of(body)

    def __call__(self) -> None:
        value = self.take()
        left = self._positions()
        self.body(value)
        now = self._positions()
        if any(a is not b for a, b in zip(left, now, strict=True)):
            raise UsedInside

    def _positions(self) -> list[Any]:
        return [] if self.trips is None else self.trips.positions


def _go_through(
    frame: Frame, values: Any, body: Callable[[Any], Any], meta: Meta
) -> None:
    """All rounds of a `for`; those of an iterator leave it where they come to."""
    cursor = values if isinstance(values, Cursor) else None
    trips = cursor.rest(bool(meta.exits)) if cursor else trips_of(values)
    if trips is None:
        _unroll(frame, iter_(values), body, meta, None)
        return
    cause: Exception | None = None
    if source_of(body) not in session().advice.unroll:
        for tries in range(PEELED):
            if trips.counted and not len(trips):
                return
            firm = trips.counted and tries == 0
            stage = partial(_stage_for, frame, trips, body, meta, firm)
            try:
                rounds, few = most_rounds(trips), not trips.counted
                growing(source_of(body), rounds, stage, few)
                trips.finish()
                return
            except NothingTraced:
                break
            except (*GIVES_UP, UsedInside) as error:
                raise error
            except Exception as error:
                cause = error
            if not trips.counted:
                raise _unstageable("loop", cause) from cause
            _unroll(frame, trips, body, meta, cause, 1)
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

    values.push(emit, bool(meta.exits))
    if none_of(*_flags(frame, meta)) is True:
        values.ended()


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


def _unstageable(what: str, cause: Exception | None) -> Exception:
    if isinstance(cause, TracejitError | NameError):
        return cause
    return StagingError(f"the {what} cannot be staged: {cause}", session().builder.loc)


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
    most: int | None = None,
) -> None:
    """Run the loop as Python does; a traced `break` guards the rounds after it."""
    trace = session()
    trips = values if isinstance(values, Trips) else None
    takes = (
        (partial(_given, value) for value in values) if trips is None else trips.takes()
    )
    for take in islice(takes, most):
        before = len(trace.builder.stack[-1])
        go = none_of(*_flags(frame, meta))
        if not traced(go):
            if not go:
                return
            body(take())
        else:
            branch(frame, go, Round(body, take, trips), lambda: None, meta.head)
        if len(trace.builder.stack[-1]) > before:
            count_unrolled(cause)


def _given(value: Any) -> Any:
    return value


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
    frame: Frame, trips: Trips, body: Callable[[Any], Any], meta: Meta, firm: bool
) -> None:
    with _attempt(frame, source_of(body)):
        _for(Loop(frame, meta, source_of(body), trips.counted, trips, firm), body)


def _for(loop: Loop, body: Callable[[Any], Any]) -> None:
    trips = loop.trips
    assert trips is not None

    def run() -> Var:
        counter = loop.counter()
        loop.bind(counter)
        counters = session().counters
        counters.append((counter, trips, loop))
        try:
            Round(body, partial(trips.at, box_of(counter, "python")), trips)()
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
    if trips.counted:
        ends = trips.plain[0], trips.plain[-1] + trips.plain.step
        last.interval = min(ends), max(ends)
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
            firm = not traced(now) and tries == PEELED
            tries -= 1
            stage = partial(
                _stage_while, frame, condition, body, meta, not traced(now), firm
            )
            try:
                growing(source_of(body), None, stage, traced(now), traced(now))
                return
            except NothingTraced as error:
                tries, cause = 0, error
            except GIVES_UP as error:
                raise error
            except Exception as error:
                cause = error
            if traced(now):
                now.concrete(False)  # staging may begin again with that known
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
    firm: bool,
) -> None:
    with _attempt(frame, source_of(body)):
        loop = Loop(frame, meta, source_of(body), runs, firm=firm)
        _while(loop, condition, body)


def _while(loop: Loop, condition: Callable[[], Any], body: Callable[[], Any]) -> None:
    frame = loop.frame

    def run() -> None:
        loop.bind()
        body()

    probe = loop.fixpoint(run, plain=loop.runs)
    if probe is None:
        raise NothingTraced
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
