"""Things to loop over that can be indexed by a traced counter.

`range`, arrays, and `enumerate`, `zip` and `reversed` of them. Iterated by plain
Python they behave as what they stand for.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import Any

import numpy as np

from tracejit.frontend.box import Box, call
from tracejit.frontend.grown import grown_in, opened
from tracejit.frontend.masked import Masked
from tracejit.frontend.ragged import Ragged
from tracejit.ir.aval import Extent
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

    def __repr__(self) -> str:
        return f"range({self.lo}, {self.hi}, {self.step})"


def trips_of(value: Any) -> Trips | None:
    """Something to loop over as Trips, if a counter can index it."""
    if isinstance(value, Trips):
        return value
    if isinstance(value, range):
        return Trips(value.start, value.stop, value.step)
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


def enumerate_(values: Any, start: Any = 0) -> Any:
    """`enumerate`."""
    trips = trips_of(values)
    if trips is None:
        return enumerate(values, start)
    trips = trips.from_zero
    at = trips.at
    return Trips(0, trips.hi, 1, lambda k: (k + start if start else k, at(k)))


def zip_(*values: Any, strict: bool = False) -> Any:
    """`zip`; staged where all of them can be indexed by one counter."""
    all_trips = [trips_of(v) for v in values]
    counted = [t is not None and t.counted for t in all_trips]
    if not values or None in all_trips or (strict and not all(counted)):
        return zip(*map(opened, values), strict=strict)
    trips = [t.from_zero for t in all_trips if t is not None]
    if strict and len({int(t.hi) for t in trips}) > 1:
        return zip(*trips, strict=True)
    if all(counted):
        shortest = min((t.hi for t in trips), key=int)
    else:
        shortest = reduce(partial(call, np.minimum), [t.hi for t in trips])
    return Trips(0, shortest, 1, lambda k: tuple([t.at(k) for t in trips]))


def reversed_(values: Any) -> Any:
    """`reversed`."""
    trips = trips_of(values)
    return reversed(values) if trips is None else trips.__reversed__()


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


HANDLERS = {range: range_, enumerate: enumerate_, zip: zip_, reversed: reversed_}
