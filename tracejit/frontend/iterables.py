"""Python's builtins that make and consume lists and iterators."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from tracejit.base.errors import StagingError
from tracejit.base.pytree import LEAF
from tracejit.frontend.box import Box, box_of
from tracejit.frontend.branches import choose, if_, not_, traced, truth
from tracejit.frontend.carry import Carried
from tracejit.frontend.dispatch import dispatch
from tracejit.frontend.generators import STOPPING, Expression, Generator
from tracejit.frontend.grown import FEW, Grown, grown_in, opened
from tracejit.frontend.growth import append
from tracejit.frontend.lift import NO_META, Meta
from tracejit.frontend.loops import for_
from tracejit.frontend.ordering import in_order
from tracejit.frontend.outside import imported, iter_, own_iterator, plain_range
from tracejit.frontend.places import Frame, new_frame
from tracejit.frontend.session import session
from tracejit.frontend.state import binary, users_method
from tracejit.frontend.trips import Cursor, cursor_of, enumerate_, zip_
from tracejit.frontend.undecided import settled
from tracejit.frontend.yields import STOP
from tracejit.ops.control import Failure, check

#: The variables of `sum`: the total goes from round to round.
SUMMING = Meta(SimpleNamespace(head=["total"], again=["total"]))


def call(fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call a function as lifted code would."""
    return session().call(fn, *args, **kwargs)


def argument(value: Any) -> Any:
    """An argument of a function that is not lifted."""
    return plain_range(imported(opened(value)))


def whole(value: Any) -> Any:
    """An argument of a function that consumes all of an iterator."""
    if isinstance(value, Generator):
        return opened(_gathered(value))
    array = None if type(value) is Box else users_method(value, "__array__")
    return argument(value) if array is None else call(array, value)


def _map(fn: Any, *values: Any) -> Any:
    def lazy(rows: Any) -> Any:
        return (call(fn, *row) for row in iter_(rows))

    def run(emit: Any, rows: Any, frame: Frame, meta: Meta) -> None:
        def one(row: Any) -> None:
            emit(call(fn, *row))

        for_(frame, rows, one, meta)

    def whole(rows: Any) -> list[Any]:
        if not isinstance(rows, Cursor) or rows.is_short(FEW):
            return list(lazy(rows))
        out: list[Any] = session().make([])
        run(partial(append, out), rows, new_frame(), NO_META)
        return out

    rows = zip_(*values)
    if not isinstance(rows, Cursor):
        rows = session().make(zip(*map(iter_, values), strict=False))
    return Expression(rows, lazy, run, whole)


def _filter(fn: Any, values: Any) -> Any:
    def keeps(value: Any) -> Any:
        return value if fn is None else call(fn, value)

    def run(emit: Any, values: Any, frame: Frame, meta: Meta) -> None:
        def one(value: Any) -> None:
            if_(frame, keeps(value), partial(emit, value), None, meta)

        for_(frame, values, one, meta)

    source = iter_(values) if grown_in(values) is None else values
    return Expression(source, lambda rest: filter(keeps, iter_(rest)), run, picks=True)


def _enumerate(values: Any, start: Any = 0) -> Any:
    values = own_iterator(values)
    if not isinstance(values, Generator) or not values.can_push:
        return enumerate_(values, start)

    def run(emit: Any, values: Any, frame: Frame, meta: Meta) -> None:
        frame.count = start

        def one(value: Any) -> None:
            count, frame.count = frame.count, binary("add", frame.count, 1)
            emit((count, value))

        for_(frame, values, one, meta.carrying("count"))

    return Expression(values, lambda rest: enumerate(rest, start), run, nested=True)


def _reduce(fn: Any, values: Any, *initial: Any) -> Any:
    cursor = cursor_of(own_iterator(values))
    if cursor is None or cursor.is_short(FEW):
        fold = functools.reduce
        return fold(lambda a, b: call(fn, a, b), iter_(values), *initial)
    frame = new_frame()
    frame.total = initial[0] if initial else _next(cursor)

    def join(value: Any) -> None:
        frame.total = call(fn, frame.total, value)

    for_(frame, cursor, join, SUMMING)
    return frame.total


def _lister(cls: type) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        if cls is list and args and isinstance(args[0], Generator | Cursor):
            return _gathered(own_iterator(args[0]))
        if cls is list and args and (grown := grown_in(args[0])) is not None:
            return session().make(grown.part(slice(None)))
        args = tuple([elements(a) for a in args])
        return session().make(cls(*args, **kwargs))

    return make


def _gathered(values: Any) -> Any:
    """What an iterator of ours gives, in a list; anything else as it is."""
    if isinstance(values, Cursor):
        return _listed(values)
    return values.collect() if isinstance(values, Generator) else values


def _listed(values: Cursor) -> list[Any]:
    """All that an iterator gives."""
    if values.is_short(FEW):
        return session().make(list(values))
    out: list[Any] = session().make([])
    for_(new_frame(), values, partial(append, out), NO_META)
    return out


def elements(values: Any) -> Any:
    """What to iterate over, all of it."""
    values = own_iterator(values)
    return iter_(values if isinstance(values, Cursor) else _gathered(values))


def _sum(values: Any, start: Any = 0) -> Any:
    values = own_iterator(values)
    grown = grown_in(values)
    if grown is not None and grown.form.tree == LEAF:
        return _total(grown, start)
    pushed = isinstance(values, Generator) and values.can_push
    if not pushed and not isinstance(values, Cursor):
        return dispatch(sum)(argument(values), argument(start))  # type: ignore[misc]
    frame = new_frame()
    frame.total = start

    def add(value: Any) -> None:
        frame.total = binary("add", frame.total, value)

    for_(frame, values, add, SUMMING)
    return frame.total


def _total(grown: Grown, start: Any) -> Any:
    """The sum of a list that is kept in an array."""
    total = _as_element(grown, call(np.sum, grown.stacked(), axis=0))
    return total if type(start) is int and start == 0 else binary("add", start, total)


def _as_element(grown: Grown, value: Box) -> Box:
    """A number that NumPy computed, of the kind that the elements have."""
    leaf = grown.form.leaves[0]
    python = isinstance(leaf, Carried) and leaf.kind == "python"
    return box_of(value.read(), "python") if python else value


def _len(values: Any) -> Any:
    grown = grown_in(values)
    return dispatch(len)(values) if grown is None else grown.length  # type: ignore[misc]


def _truth(stop: bool) -> Callable[[Any], Any]:
    """`any` (which stops at a true value) and `all` (at a false one)."""

    def program(values: Any) -> Any:
        if isinstance(values, Box):
            return dispatch(any if stop else all)(values)  # type: ignore[misc]
        frame = new_frame()
        setattr(frame, STOP, False)

        def look(value: Any) -> None:
            setattr(frame, STOP, truth(value) if stop else not_(value))

        for_(frame, values, look, STOPPING)
        found = getattr(frame, STOP)
        return found if stop else not_(found)

    return program


def _extremum(fn: Any, symbol: str) -> Callable[..., Any]:
    """`max` and `min`, by a key too, which may be traced."""

    def program(*args: Any, **kwargs: Any) -> Any:
        key = kwargs.get("key")
        args = tuple([_gathered(own_iterator(a)) for a in args])
        grown = grown_in(args[0]) if len(args) == 1 and not kwargs else None
        if grown is not None and grown.of_numbers:
            found = call(np.max if fn is max else np.min, grown.stacked())
            return _as_element(grown, found)
        key = _given if grown is not None else key
        cursor = cursor_of(args[0]) if len(args) == 1 and key is not None else None
        if cursor is not None and not cursor.is_short(FEW) and len(kwargs) < 2:
            return _by_key(cursor, key, symbol)
        if len(args) == 1 and not isinstance(args[0], Box | list | tuple | Generator):
            args = (list(elements(args[0])),)
        values = args if len(args) > 1 else args[0]
        tuples = isinstance(values, list | tuple) and any(
            isinstance(v, tuple) for v in values
        )
        if key is None and not tuples:
            return dispatch(fn)(*map(whole, args), **kwargs)  # type: ignore[misc]
        key = _given if key is None else key
        values = list(elements(values))
        if not values:
            return fn((), **kwargs)
        best = values[0], call(key, values[0])
        for value in values[1:]:
            new = value, call(key, value)
            better = truth(binary(symbol, new[1], best[1]))
            best = choose(better, partial(_given, new), partial(_given, best))
        return best[0]

    return program


def _by_key(values: Cursor, key: Any, symbol: str) -> Any:
    """The first of the values that no other is better than."""
    more = truth(values.more())
    if traced(more):
        why = "the iterable argument is empty"
        check(more.read(), error=Failure(ValueError, (why,), session().builder.loc))
    frame, kept = new_frame(), ["best", "rank"]
    frame.best = values.take()
    frame.rank = call(key, frame.best)
    meta = Meta(SimpleNamespace(live=kept, head=kept, again=kept))

    def consider(value: Any) -> None:
        rank = call(key, value)

        def better() -> None:
            frame.best, frame.rank = value, rank

        if_(frame, binary(symbol, rank, frame.rank), better, None, meta)

    for_(frame, values, consider, meta)
    return frame.best


def _given(value: Any) -> Any:
    return value


def sorted_(values: Any, *, key: Any = None, reverse: Any = False) -> Any:
    values = _gathered(own_iterator(values))
    grown = grown_in(values)
    if grown is not None and grown.of_numbers and key is None:
        out: list[Any] = session().make([])

        def put(value: Any) -> None:
            append(out, _as_element(grown, value))

        order = call(np.sort, grown.stacked())
        for_(new_frame(), order[::-1] if reverse else order, put, NO_META)
        return out
    values = list(elements(values))
    keys = values if key is None else [call(key, v) for v in values]
    return session().make(in_order(values, keys, bool(reverse)))


def _iter(values: Any, *stop: Any) -> Any:
    cursor = None if stop else cursor_of(own_iterator(values))
    return iter(iter_(values), *stop) if cursor is None else cursor


def _pairwise(values: Any) -> Any:
    values = own_iterator(values)
    ends = [cursor_of(values) for _ in range(0 if isinstance(values, Iterator) else 2)]
    if not ends or ends[1] is None:
        return itertools.pairwise(iter_(values))
    ends[1].sources[0].position = 1
    return zip_(*ends)


def _next(iterator: Any, *default: Any) -> Any:
    if isinstance(iterator, Expression) and iterator.resumes and iterator.picks:
        return _first(iterator, *default)
    cursor = iterator
    if isinstance(iterator, Expression) and iterator.resumes:
        cursor = iterator.source
    if not isinstance(cursor, Cursor):
        trace = session()
        if not trace.advances(iterator):
            raise StagingError(
                "`next()` cannot be undone, so it cannot run while a loop is staged",
                trace.builder.loc,
                "loop over the iterator with `for`",
            )
        return next(iterator, *default)
    more = truth(cursor.more())
    if not traced(more):
        return next(iterator, *default)

    def take() -> Any:
        cursor.sure = True
        return next(iterator)

    def none() -> Any:
        cursor.end()
        return default[0]

    if default:
        return choose(more, take, none)
    _require_more(more)
    return take()


def _first(values: Expression, *default: Any) -> Any:
    """The next of the values that data picks."""
    frame = new_frame()
    setattr(frame, STOP, False)
    frame.value = default[0] if default else None

    def take(value: Any) -> None:
        frame.value = value
        setattr(frame, STOP, True)

    kept = ["value", STOP]
    meta = SimpleNamespace(live=kept, head=kept, again=kept, exits=[STOP])
    for_(frame, values, take, Meta(meta))
    if not default:
        _require_more(getattr(frame, STOP))
    return frame.value if default else settled(frame.value)


def _require_more(more: Any) -> None:
    """Raise StopIteration, in the program if data decides."""
    if not traced(more):
        if not more:
            raise StopIteration
        return
    check(more.read(), error=Failure(StopIteration, (), session().builder.loc))


HANDLERS: dict[Any, Callable[..., Any]] = {
    enumerate: _enumerate,
    map: _map,
    filter: _filter,
    functools.reduce: _reduce,
    itertools.pairwise: _pairwise,
    list: _lister(list),
    dict: _lister(dict),
    set: _lister(set),
    sorted: sorted_,
    iter: _iter,
    tuple: lambda values=(): tuple(elements(values)),
    sum: _sum,
    len: _len,
    next: _next,
    isinstance: lambda x, cls: dispatch(isinstance)(x, cls),  # type: ignore[misc]
    any: _truth(True),
    all: _truth(False),
    max: _extremum(max, "gt"),
    min: _extremum(min, "lt"),
    np.fromiter: lambda values, dtype, count=-1: call(
        np.array, list(elements(values))[: None if count < 0 else count], dtype
    ),
}
