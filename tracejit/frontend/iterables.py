"""Python's builtins that make and consume lists and iterators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from tracejit.base.errors import StagingError
from tracejit.base.pytree import LEAF
from tracejit.frontend.box import Box, box_of
from tracejit.frontend.branches import choose, traced, truth
from tracejit.frontend.carry import Carried
from tracejit.frontend.dispatch import dispatch
from tracejit.frontend.generators import Generator
from tracejit.frontend.grown import FEW, Grown, grown_in, opened
from tracejit.frontend.growth import append
from tracejit.frontend.lift import NO_META, Meta
from tracejit.frontend.loops import for_
from tracejit.frontend.ordering import in_order
from tracejit.frontend.outside import imported, iter_, own_iterator, plain_range
from tracejit.frontend.places import new_frame
from tracejit.frontend.session import session
from tracejit.frontend.state import binary, users_method
from tracejit.frontend.trips import Cursor, cursor_of, zip_
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
    def lazy() -> Any:
        return (call(fn, *row) for row in zip(*map(iter_, values), strict=False))

    rows = zip_(*values)
    if not isinstance(rows, Cursor) or rows.is_short(FEW):
        return lazy()

    def push(emit: Any) -> None:
        def one(row: Any) -> None:
            emit(call(fn, *row))

        for_(new_frame(), rows, one, NO_META)

    def whole() -> list[Any]:
        out: list[Any] = session().make([])
        push(partial(append, out))
        return out

    return Generator(lazy, push, whole)


def _filter(fn: Any, values: Any) -> Any:
    return (v for v in iter_(values) if (v if fn is None else call(fn, v)))


def _reduce(fn: Any, values: Any, *initial: Any) -> Any:
    return functools.reduce(lambda a, b: call(fn, a, b), iter_(values), *initial)


def _lister(cls: type) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        if cls is list and args and isinstance(args[0], Generator | Cursor):
            return _gathered(own_iterator(args[0]))
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
    return iter_(_gathered(values))


def _sum(values: Any, start: Any = 0) -> Any:
    values = own_iterator(values)
    grown = grown_in(values)
    if grown is not None and grown.form.tree == LEAF:
        return _total(grown, start)
    pushed = isinstance(values, Generator) and values.can_push(False)
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
        found: Any = not stop
        for value in iter_(values):
            value = truth(value)
            if not traced(value) and value is stop:
                return stop
            if traced(value):
                join = np.logical_or if stop else np.logical_and
                found = join(found, value) if traced(found) else value
        return found

    return program


def _extremum(fn: Any, symbol: str) -> Callable[..., Any]:
    """`max` and `min` by a key, which may be traced."""

    def program(*args: Any, **kwargs: Any) -> Any:
        key = kwargs.get("key")
        args = tuple([_gathered(a) for a in args])
        grown = grown_in(args[0]) if len(args) == 1 and not kwargs else None
        if grown is not None and grown.of_numbers:
            found = call(np.max if fn is max else np.min, grown.stacked())
            return _as_element(grown, found)
        if len(args) == 1 and not isinstance(args[0], Box | list | tuple | Generator):
            args = (list(elements(args[0])),)
        if key is None:
            return dispatch(fn)(*map(whole, args), **kwargs)  # type: ignore[misc]
        values = list(elements(args[0] if len(args) == 1 else args))
        if not values:
            return fn((), **kwargs)
        best = values[0], call(key, values[0])
        for value in values[1:]:
            new = value, call(key, value)
            better = truth(binary(symbol, new[1], best[1]))
            best = choose(better, partial(_given, new), partial(_given, best))
        return best[0]

    return program


def _given(value: Any) -> Any:
    return value


def sorted_(values: Any, *, key: Any = None, reverse: Any = False) -> Any:
    values = list(elements(values))
    keys = values if key is None else [call(key, v) for v in values]
    return session().make(in_order(values, keys, bool(reverse)))


def _iter(values: Any, *stop: Any) -> Any:
    cursor = None if stop else cursor_of(own_iterator(values))
    return iter(iter_(values), *stop) if cursor is None else cursor


def _next(iterator: Any, *default: Any) -> Any:
    if not isinstance(iterator, Cursor):
        trace = session()
        if not trace.advances(iterator):
            raise StagingError(
                "`next()` cannot be undone, so it cannot run while a loop is staged",
                trace.builder.loc,
                "loop over the iterator with `for`",
            )
        return next(iterator, *default)
    more = truth(iterator.more())
    if default:

        def none() -> Any:
            iterator.end()
            return default[0]

        return choose(more, iterator.take, none)
    if not traced(more):
        return next(iterator)
    failure = Failure(StopIteration, (), session().builder.loc)
    check(more.read(), error=failure)
    return iterator.take()


HANDLERS: dict[Any, Callable[..., Any]] = {
    map: _map,
    filter: _filter,
    functools.reduce: _reduce,
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
