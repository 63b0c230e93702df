"""Things to loop over that can be indexed by a traced counter.

`range` and arrays, and the iterators that `iter`, `enumerate`, `zip` and `reversed`
make of them. Iterated by plain Python they behave as what they stand for: an iterator
gives each element once. How far it has come is a place like any other, so a loop that
data ends early, or a `next` in a branch, leaves it where Python would.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

from tracejit.frontend.box import Box, call
from tracejit.frontend.grown import grown_in, opened
from tracejit.frontend.masked import Masked
from tracejit.frontend.places import AttributePlace, assign
from tracejit.frontend.ragged import Ragged
from tracejit.frontend.session import session
from tracejit.ir.aval import Extent
from tracejit.ir.program import Var
from tracejit.ops.control import Failure, check
from tracejit.ops.promote import interval_of


class Trips:
    """The values `at(counter)` for a counter that runs from `lo` to `hi` by `step`."""

    def __init__(
        self, lo: Any, hi: Any, step: Any = 1, at: Callable[[Any], Any] | None = None
    ):
        if not isinstance(step, Box) and step == 0:
            raise ValueError("range() arg 3 must not be zero")
        self.lo, self.hi, self.step = lo, hi, step
        self.is_range = at is None and self.counted
        self.at = at or (lambda i: i)

    @property
    def plain(self) -> range:
        """The counter's values as a `range`; an error where they are traced."""
        return range(*(b if type(b) is int else b.__index__() for b in self.bounds))

    @property
    def bounds(self) -> tuple[Any, Any, Any]:
        return self.lo, self.hi, self.step

    @property
    def counted(self) -> bool:
        """Whether the number of trips is known while staging."""
        return not any(isinstance(b, Box) for b in self.bounds)

    def after(self, skipped: int) -> Trips:
        """All trips but the first ones."""
        return Trips(self.lo + skipped * self.step, self.hi, self.step, self.at)

    def __iter__(self) -> Iterator[Any]:
        # One by one: a round may write to what later ones read.
        return map(self.at, self.plain)

    def __len__(self) -> int:
        return len(self.plain)

    def __getitem__(self, key: Any) -> Any:
        picked = self.plain[key]
        if isinstance(picked, range):
            return Trips(picked.start, picked.stop, picked.step, self.at)
        return self.at(picked)

    def __contains__(self, value: Any) -> bool:
        return value in self.plain

    def __reversed__(self) -> Trips:
        trips = self.plain
        if trips.step == 1 and trips.start == 0:
            return Trips(self.hi - 1, -1, -1, self.at)
        back = trips[::-1]
        return Trips(back.start, back.stop, back.step, self.at)

    @property
    def from_zero(self) -> Trips:
        """The same values for a counter that starts at 0 and goes by 1."""
        if not isinstance(self.step, Box) and self.step == 1:
            lo, at = self.lo, self.at
            if not isinstance(lo, Box) and lo == 0:
                return self
            return Trips(0, self.hi - lo, 1, lambda k: at(k + lo))
        trips, at = self.plain, self.at
        start, step = trips.start, trips.step
        return Trips(0, len(trips), 1, lambda k: at(start + k * step))

    def takes(self) -> Iterator[Callable[[], Any]]:
        """For each round, what takes its value."""
        return (partial(self.at, k) for k in self.plain)

    @property
    def positions(self) -> list[Any]:
        """How far that has come which the values are taken from."""
        return []

    def finish(self) -> None:
        """All rounds have run."""

    def __repr__(self) -> str:
        return f"range({self.lo}, {self.hi}, {self.step})"


def trips_of(value: Any) -> Trips | None:
    """Something to loop over as Trips, if a counter can index it."""
    if isinstance(value, Trips):
        return value
    if isinstance(value, range):
        return Trips(value.start, value.stop, value.step)
    if isinstance(value, Cursor):
        return value.rest()
    grown = grown_in(value)
    if grown is not None:
        return Trips(0, grown.length, 1, grown.item_of(value))
    if isinstance(value, Box) and value.aval.shape:
        return Trips(0, value.aval.shape[0], 1, lambda i: value[i])
    if isinstance(value, Ragged):
        return Trips(0, value.shape[0], 1, value.__getitem__)
    if isinstance(value, Masked):
        value.order()  # once, before the loop
        return Trips(0, value.shape[0], 1, lambda i: value[i])
    return None


def range_(*args: Any) -> Any:
    """`range`, of traced bounds too, and keeping the names of extents."""
    plain = [a if type(a) in (int, Box) else _integer(a) for a in args]
    if all(type(a) is int for a in plain):
        return range(*plain)
    lo, hi, step = (0, *plain, 1) if len(plain) == 1 else (*plain, 1)[:3]
    return Trips(lo, hi, step)


def _integer(value: Any) -> Any:
    return value if isinstance(value, Extent) else operator.index(value)


# Iterators ----------------------------------------------------------------------------


class UsedInside(Exception):
    """The body of a loop over an iterator takes elements of it itself."""


class Source:
    """What one iterator or more take their elements from, one after the other.

    `position`: how many were taken, by now; an int, or traced.
    """

    def __init__(self, values: Any, trips: Trips):
        self.values, self._trips = values, trips.from_zero
        self.position: Any = 0

    @property
    def trips(self) -> Trips:
        """All elements; of a list, also those that were appended since."""
        grown = grown_in(self.values)
        return self._trips if grown is None else Trips(0, grown.length, 1, self.at)

    def at(self, k: Any) -> Any:
        """The element at a position."""
        return self._trips.at(k)

    def move(self, position: Any) -> None:
        """Go on from there."""
        assign(AttributePlace(self, "position"), position)


class Counting(Source):
    """The numbers from `start` on, without an end."""

    def __init__(self, start: Any):
        super().__init__(None, Trips(0, 0, 1, partial(_plus, start)))


class Resumable(Iterator[Any]):
    """An iterator of ours: `resumes` where it was left, also after an undone probe."""

    resumes = True


class Cursor(Resumable):
    """An iterator: a round takes an element from each source, in order.

    `join` makes what it gives of them; one source may be there several times. All of
    them end together if it is `strict`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        join: Callable[[list[Any]], Any],
        strict: bool = False,
    ):
        self.sources, self.join, self.strict = sources, join, strict
        self.sure = False  # that there is another round, for the one to be taken now

    @property
    def ends(self) -> list[tuple[Source, Any]]:
        """The sources that have an end, with where it is."""
        found = [s for s in self.sources if not isinstance(s, Counting)]
        return [(s, s.trips.hi) for s in found]

    def rest(self, moves: bool = False) -> Rest:
        """All rounds that are left; each of them `moves` the sources, or none."""
        return Rest(self, moves)

    def is_short(self, few: int) -> bool:
        """Whether there are at most so many rounds."""
        rest = self.rest()
        return rest.counted and len(rest) <= few

    def more(self) -> Any:
        """Whether there is another round."""
        return self.rest().hi > 0

    def take(self) -> Any:
        """The elements of the next round, which there is."""
        return self.rest(moves=True).at(0)

    def end(self, ended: Any = True) -> None:
        """Where it has `ended`: take on, until one of the sources has no more."""
        if self.strict:
            self._require_ends(ended)
        for source, end in self.ends if len(self.sources) > 1 else []:
            ended = call(np.logical_and, ended, source.position < end)
            source.move(_plus(source.position, call(int, ended)))

    def _require_ends(self, ended: Any) -> None:
        """Where it has `ended`, all sources have."""
        for source, end in self.ends:
            last = call(np.equal, source.position, end)
            fine = call(np.logical_or, call(np.logical_not, ended), last)
            if isinstance(fine, Box):
                text = "the arguments of zip(…, strict=True) differ in length"
                failure = Failure(ValueError, (text,), session().builder.loc)
                check(fine.read(), error=failure)

    def __next__(self) -> Any:
        sure, self.sure = self.sure, False
        if sure or self.more():
            return self.take()
        self.end()
        raise StopIteration


class Rest(Trips):
    """The rounds that an iterator has left; each of them `moves` it, or none."""

    def __init__(
        self, cursor: Cursor, moves: bool, starts: Any = None, skipped: int = 0
    ):
        self.cursor, self.moves = cursor, moves
        self.starts = starts or self.positions
        begun = dict(zip(map(id, cursor.sources), self.starts, strict=True))
        for source, end in cursor.ends:
            _bound(begun[id(source)], end)
        counts = [
            _over(_minus(end, begun[id(source)]), self.stride(source))
            for source, end in cursor.ends
        ]
        if any(isinstance(n, Box) for n in counts):
            rounds = reduce(partial(call, np.minimum), counts)
        else:
            rounds = min(counts, key=int)
            rounds = rounds if int(rounds) > 0 else 0
        super().__init__(skipped, rounds, 1, self._take)

    @property
    def positions(self) -> list[Any]:
        return [source.position for source in self.cursor.sources]

    def stride(self, source: Source) -> int:
        """How many elements of a source a round takes."""
        return self.cursor.sources.count(source)

    def _take(self, k: Any) -> Any:
        sources, values = self.cursor.sources, []
        for n, (source, start) in enumerate(zip(sources, self.starts, strict=True)):
            nth = sources[:n].count(source)
            place = _plus(start, _times(k, self.stride(source)))
            values.append(source.at(_plus(nth, place)))
        if self.moves:
            self._skip(_plus(1, k))
        return self.cursor.join(values)

    def _skip(self, rounds: Any) -> None:
        """Move on from where it began."""
        pairs = zip(self.cursor.sources, self.starts, strict=True)
        moves = {id(s): (s, start) for s, start in pairs}
        for source, start in moves.values():
            source.move(_plus(start, _times(rounds, self.stride(source))))

    def after(self, skipped: int) -> Rest:
        if not any(isinstance(p, Box) for p in self.positions):
            return Rest(self.cursor, self.moves)  # the body may have taken some, too
        # Where data has ended the loop, no more rounds are run.
        return Rest(self.cursor, self.moves, self.starts, self.lo + skipped)

    def takes(self) -> Iterator[Callable[[], Any]]:
        rest = Rest(self.cursor, True, self.starts, self.lo)
        while len(rest):
            yield partial(rest.at, rest.lo)
            rest = rest.after(1)

    def finish(self) -> None:
        if not self.moves:
            self._skip(self.hi if self.counted else call(np.maximum, self.hi, 0))


def _bound(position: Any, end: Any) -> None:
    """No position is beyond the end."""
    if isinstance(position, Box) and not isinstance(end, Box):
        atom = position.read()
        if isinstance(atom, Var) and atom.interval is None:
            atom.interval = 0, max(int(end), 0)


def _plus(a: Any, b: Any) -> Any:
    return b if type(a) is int and a == 0 else a if type(b) is int and b == 0 else b + a


def _minus(a: Any, b: Any) -> Any:
    return a if type(b) is int and b == 0 else a - b


def _times(a: Any, n: int) -> Any:
    return a if n == 1 else a * n


def _over(a: Any, n: int) -> Any:
    return a if n == 1 else a // n


def cursor_of(values: Any) -> Cursor | None:
    """What `iter` gives, if a counter can index it."""
    if isinstance(values, Cursor):
        return values
    trips = trips_of(values)
    if trips is None:
        return None
    return Cursor([session().make(Source(values, trips))], operator.itemgetter(0))


def _joined(cursors: Sequence[Cursor], strict: bool = False) -> Cursor:
    """One that gives a tuple of what each of them gives."""
    sources = [s for cursor in cursors for s in cursor.sources]

    def join(values: list[Any]) -> Any:
        rest = iter(values)
        parts = [[next(rest) for _ in c.sources] for c in cursors]
        return tuple([c.join(p) for c, p in zip(cursors, parts, strict=True)])

    return Cursor(sources, join, strict)


def enumerate_(values: Any, start: Any = 0) -> Any:
    """`enumerate`."""
    cursor = cursor_of(values)
    if cursor is None:
        return enumerate(values, start)
    count = session().make(Counting(start))
    return Cursor(
        [*cursor.sources, count],
        lambda parts: (parts[-1], cursor.join(parts[:-1])),
        cursor.strict,
    )


def zip_(*values: Any, strict: bool = False) -> Any:
    """`zip`; staged where all of them can be indexed by one counter."""
    cursors = [cursor_of(v) for v in values]
    found = [c for c in cursors if c is not None]
    if not values or len(found) < len(values) or any(c.strict for c in found):
        return zip(*map(opened, values), strict=strict)
    rests = [c.rest() for c in found] if strict else []
    if all(r.counted for r in rests):
        if len({int(r.hi) for r in rests}) > 1:
            return zip(*found, strict=True)
        strict = False
    return _joined(found, strict)


def reversed_(values: Any) -> Any:
    """`reversed`."""
    trips = None if isinstance(values, Cursor) else trips_of(values)
    return reversed(values) if trips is None else cursor_of(trips.__reversed__())


def interval(trips: Trips) -> tuple[int, int] | None:
    """The least and greatest value of the counter, where they are known.

    Traced bounds count with their own: the inner loop of a triangle has them.
    """
    if trips.counted:
        plain = trips.plain
        return (min(plain[0], plain[-1]), max(plain[0], plain[-1])) if plain else None
    lo, hi = _bounds(trips.lo), _bounds(trips.hi)
    if isinstance(trips.step, Box) or lo is None or hi is None:
        return None
    least, greatest = (lo[0], hi[1] - 1) if trips.step > 0 else (hi[0] + 1, lo[1])
    return (least, greatest) if least <= greatest else None


def _bounds(value: Any) -> tuple[int, int] | None:
    """What is known of a bound of a range."""
    return interval_of(value.read()) if isinstance(value, Box) else (value, value)


HANDLERS = {range: range_, zip: zip_, reversed: reversed_}
