"""How loops and branches come to keep growing lists in arrays (see `grown`).

The first probe of a loop finds out that a list got longer. The probe is given up, the
list is put into arrays before the loop, with room for all rounds, and the loop is
staged again: by then it changes arrays and a number, as loops do. An inner loop does so
before the outer one, whose probe finds a list that is in arrays after a round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.base.errors import StagingError
from tracejit.base.pytree import flatten
from tracejit.base.source import UNKNOWN
from tracejit.frontend.aliases import share
from tracejit.frontend.box import C_ORDER, Box, box_of
from tracejit.frontend.carry import Carried
from tracejit.frontend.grown import (
    FAR,
    FEW,
    Form,
    Growing,
    Grown,
    Length,
    bounds,
    form_of,
    grown_in,
)
from tracejit.frontend.lens import Part
from tracejit.frontend.outside import is_outside
from tracejit.frontend.places import Contents, Place, assign
from tracejit.frontend.ragged import difference, index_atom
from tracejit.frontend.session import MISSING, session
from tracejit.frontend.trips import Trips, interval
from tracejit.frontend.undecided import narrowed
from tracejit.ir.aval import Aval
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Eqn, Region, Var
from tracejit.ops.promote import convert

#: How often a list may turn out to need more room, or another type.
MAX_TRIES = 12
#: Rounds that Python may run by itself for a list of plain numbers.
MANY = 10_000
#: Room that a list is given beyond what it needs outside of loops.
SPARE = 8


def append(items: list[Any], value: Any) -> None:
    """`items.append(value)`."""
    value = narrowed(value)
    grown, trace = grown_in(items), session()
    trace.require_unfrozen(items)
    if grown is None:
        trace.record(Contents(items))
        items.append(value)
        return
    form = grown.form.joined(form_of(value))
    if form is None:
        grown.refuse()
    _, most = bounds(grown.length)
    full = most >= grown.capacity
    if full and grown.limited and form.alike(grown.form):
        grown.check_room()
    elif full or not form.alike(grown.form):
        room = max(most + 1, grown.capacity) if most < FAR else None
        error = Growing(items, form, room)
        alone = grown.arrays[0].region is trace.builder.stack[-1]
        if not alone or not _put(error, None, 1, few=True):
            raise error
        append(items, value)
        return
    length = grown.length
    grown.put(length if isinstance(length, int) else index_atom(length), value)
    grown.move(1)


def growing(
    source: Any,
    rounds: int | None,
    run: Callable[[], Any],
    few: bool = False,
    endless: bool = False,
) -> Any:
    """`run()`, which stages a loop or branch; lists that grow in it go into arrays.

    `rounds`: at most so many (None: nobody knows). `few`: lists are put into arrays
    however short they get; `endless`: data alone decides when it ends.
    """
    trace = session()
    mark = len(trace.log)
    for _ in range(MAX_TRIES):
        trace.endless += endless
        try:
            return run()
        except Growing as error:
            cause = error
            if source in trace.advice.listed or not _put(error, source, rounds, few):
                break
        finally:
            trace.endless -= endless
    trace.undo_to(mark)
    why = trace.advice.listed.get(source)
    if why is not None:
        unplaced = why.loc is UNKNOWN
        raise StagingError(why.message, cause.loc, why.cure) if unplaced else why
    # Not for the loop around: it will see by itself.
    raise StagingError(cause.message, cause.loc, cause.cure) from cause


def _put(error: Growing, source: Any, rounds: int | None, few: bool) -> bool:
    """Put the list into arrays that are large enough, if that is worthwhile."""
    items, old = error.items, grown_in(error.items)
    room = _room(error, rounds, few)
    limited = room is None and session().endless > 0
    if limited:
        room = max(session().advice.room, 2 * len(items))
    kept = [leaf for leaf in error.form.leaves if isinstance(leaf, Carried)]
    if room is None or not kept or (old is None and not few and room <= FEW):
        return False
    if old is None and id(items) in session().plain_lists:
        picks = {session().plain_lists[id(items)][1]} - {None}
        if picks - session().advice.picked:
            raise session().restage(picked=picks)
    form = error.form
    form.grown_in |= {source} - {None}
    form = session().forms_of_lists.setdefault(form.key, form)
    avals = [Aval(leaf.aval.dtype, (room, *leaf.aval.shape)) for leaf in kept]
    arrays = tuple([box_of(zeros(aval), layout=C_ORDER) for aval in avals])
    trace = session()
    length = len(items) if old is None else old.length
    new = trace.make(Grown(form, arrays, length))
    new.limited = limited
    if old is None:
        for k, value in enumerate(items):
            new.put(k, value)
    else:
        for array, before in zip(arrays, old.arrays, strict=True):
            _copy_into(array, before, form)
    place = Contents(items)
    trace.record(place)
    place.set([new])
    return True


def _room(error: Growing, rounds: int | None, few: bool) -> int | None:
    """How many elements there are at most; None where that is not known."""
    room = error.capacity
    if room is not None and error.growth:
        room = None if rounds is None else room + error.growth * (rounds - 1)
    return None if room is None or room >= FAR else room + SPARE * few


def _copy_into(array: Box, before: Box, form: Form) -> None:
    """The array that a list was kept in, as the first part of a larger one."""
    shape, old = array.aval.shape, before.aval.shape
    atom = convert(before.read(), array.aval.dtype)
    rest = len(shape)
    lens = Part(shape, (0,) * rest, (old[0], *shape[1:]), (1,) * rest)
    array.rebind_alone(lens.put(array.read(), atom))
    for twin, _ in [*before.twins]:
        share(array, twin, form)


def need_of(
    place: Place, before: Any, values: Sequence[Any], counted: bool = False
) -> Growing | None:
    """What to raise where a list is longer in some of `values` than in others.

    These are what it may be after a branch, or before and after a round of a loop;
    `counted`: the length that it had before is one in any round.
    """
    items, trace = place.owner, session()
    if not isinstance(place, Contents) or type(items) is not list:
        return None
    if is_outside(items) or id(items) not in trace.born:
        return None
    if not all(isinstance(value, list) for value in values):
        return None
    old, new = grown_in(before), [grown_in(value) for value in values]
    lengths = [_most(value) for value in (before, *values)]
    same = all(g is new[0] for g in new[1:])
    if new[0] is not None or not same:
        plain = any(grown is None for grown in new)
        grows = not same and (old is None or not plain)
    else:
        grows = len(set(lengths[1:])) > 1
    parts = [x for value in (before, *values) for x in value]
    form = _common(parts) if grows else None
    if form is None:
        return None
    most = max(lengths)
    if old is not None:
        most = max(most, *(g.capacity for g in new if g is not None))
    growth = 0 if counted else max(lengths) - lengths[0]
    return Growing(items, form, most if most < FAR else None, growth)


def of_data(eqns: list[Eqn], values: list[Any]) -> bool:
    """Whether what is put into a list is computed from more than integers."""
    boxes = [x.root.value for x in flatten(values)[0] if type(x) is Box]
    region = Region([], eqns, [v for v in boxes if isinstance(v, Var)])
    return any(
        v.aval.shape or v.aval.dtype.kind not in "iu" for v in region.free_vars()
    )


def same_steps(
    places: Mapping[Any, Place], afters: Sequence[Callable[[Place], Any]]
) -> list[tuple[Place, int]]:
    """Lengths that change by the same on all sides of a branch, and by how much."""
    found: list[tuple[Place, int]] = []
    for place in places.values():
        if isinstance(place, Length):
            changes = {difference(after(place), place.get()) for after in afters}
            (change, *others) = changes
            if change is not None and not others:
                found.append((place, change))
    return found


def _most(values: list[Any]) -> int:
    """How long a list is at most."""
    grown = grown_in(values)
    return len(values) if grown is None else bounds(grown.length)[1]


def _common(values: list[Any]) -> Form | None:
    """The form of elements; of those that are kept in arrays it is known."""
    form: Form | None = None
    for value in values:
        one = value.form if type(value) is Grown else form_of(value)
        if one is None:
            return None
        form = one if form is None else form.joined(one)
        if form is None:
            return None
    return form


# The lengths of lists in a loop -------------------------------------------------------


@dataclass
class Step:
    """A length that changes by the same in every round: `before + change * round`."""

    place: Place
    before: Any
    change: int


class Lengths:
    """What the lengths of lists are in the rounds of a loop, and after it.

    One that grows by the same in every round is computed from the counter, so that
    rows are written where the counter says. Others are carried, between `bounds`.
    """

    def __init__(self, trips: Trips | None):
        self.trips = trips
        self.rounds = most_rounds(trips)
        steps = trips is not None and trips.counted and abs(int(trips.step)) == 1
        self.regular = steps
        self.steps: dict[Any, Step] = {}
        #: By how much, at least and at most, others change in a round.
        self.changes: dict[Any, tuple[int, int] | None] = {}
        #: What they were in the last probe as a round began, and between which bounds.
        self.began: dict[Any, Any] = {}
        self.spans: dict[Any, tuple[int, int]] = {}

    def clear(self) -> None:
        """Begin again."""
        for found in (self.steps, self.changes, self.began, self.spans):
            found.clear()

    def widen(self, place: Length, before: Any, after: Any) -> bool:
        """Take in what a round made of a length; whether that was nothing new."""
        key = place.key
        began = self.began.pop(key, before)
        change = difference(after, began) if self.regular else None
        if change is not None and key not in self.changes:
            new = Step(place, before, change)
            old, self.steps[key] = self.steps.get(key), new
            return old is not None and old.change == change
        self.steps.pop(key, None)
        spans = [self.spans.get(key) or bounds(began), bounds(after)]
        known = self.rounds is not None and max(map(abs, (*spans[0], *spans[1]))) < FAR
        span = tuple(b - a for a, b in zip(*spans, strict=True))
        found: tuple[int, int] | None = span if known else None
        if self.rounds is None and span[1] <= 0 and spans[0][1] < FAR:
            found = 0, 0  # it never gets longer, however many rounds there are
        settled = self.changes.get(key, MISSING) == found
        self.changes[key] = found
        return settled

    def known(self, contents: Any) -> bool:
        """Whether it is a list whose length was bound for any round."""
        grown = grown_in(contents)
        key = None if grown is None else Length(grown).key
        return key in self.steps or key in self.changes

    def is_step(self, key: Any) -> bool:
        """Whether a length is computed from the counter."""
        return key in self.steps

    def bind(self, counter: Box | None) -> None:
        """Set the lengths that are computed from the counter, for one round."""
        for key, step in self.steps.items():
            assert self.trips is not None and counter is not None
            since: Any = counter - self.trips.lo if self.trips.lo != 0 else counter
            since = since if self.trips.step == 1 else -since
            since = since * step.change if step.change != 1 else since
            first = isinstance(step.before, int) and step.before == 0
            self.began[key] = since if first else step.before + since
            assign(step.place, self.began[key])

    def bound(self, place: Place, before: Any, param: Any, after: bool = False) -> None:
        """Say between which bounds a carried length is in a round, or `after` all."""
        key, grown = place.key, place.owner
        change = self.changes[key]
        if not isinstance(param, Var):
            return
        if grown.limited:
            self.spans[key] = param.interval = 0, grown.capacity
        elif change is not None and self.rounds is None:
            self.spans[key] = param.interval = 0, bounds(before)[1]
        elif change is not None and self.rounds is not None:
            least, most = bounds(before)
            times = int(self.rounds) if after else max(int(self.rounds) - 1, 0)
            low, high = (c * times for c in (min(change[0], 0), max(change[1], 0)))
            self.spans[key] = param.interval = max(least + low, 0), most + high

    def finish(self, counter: Box | None) -> None:
        """Set the lengths that were computed from the counter, after the loop.

        `counter` is where it stopped, if it was left early.
        """
        if counter is not None:
            self.bind(counter)
            return
        for step in self.steps.values():
            assert self.trips is not None
            rounds = self.trips.from_zero.hi
            assign(step.place, step.before + step.change * rounds)


def most_rounds(trips: Trips | None) -> int | None:
    """How many rounds there are at most, if that is known."""
    if trips is None:
        return None
    if trips.counted:
        hi = trips.from_zero.hi if abs(int(trips.step)) == 1 else len(trips)
        return max(hi, 0)
    found = interval(trips)
    if found is None or isinstance(trips.step, Box):
        return None
    return (found[1] - found[0]) // abs(int(trips.step)) + 1
