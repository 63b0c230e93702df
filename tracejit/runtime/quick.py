"""Which calls C may serve, and how it reads their arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tracejit.backend.call_plan import Reading
from tracejit.backend.numba_build import Compiled
from tracejit.frontend.stage import Staged
from tracejit.runtime.arguments import Arguments, is_traced

#: How many positional arguments a call has, and its keywords.
Form = tuple[int, tuple[str, ...]]

#: The keyword by which a call gets arrays for its results.
OUT = "out"

Bind = Callable[[tuple[Any, ...], dict[str, Any]], Arguments]


def quick_entry(
    run: Any,
    staged: Staged,
    form: Form,
    bind: Bind,
    arguments: Arguments,
    donated: Sequence[int],
    arrange: Callable[..., Any],
    out: Any = None,
) -> Callable[..., Any] | None:
    """The entry in C for calls like that of `arguments`, or None.

    `bind` puts what a call of this form gives into its places; `donated` are inputs
    whose memory may serve again; `arrange(results, inputs, wrap)` is what the call
    returns, in the arrays `out` if the form has that.
    """
    if not isinstance(run, Compiled) or not _is_served(staged):
        return None
    reading = _reading(form, bind, arguments, out is not None)
    reading.donated = donated
    trace = staged.trace
    for captured in trace.captured.values():
        (number,) = reading.read("FETCHED", extra=captured.fetch)
        reading.add_input(number, captured.fetch())
    for guard in trace.guards.values():
        plain = guard.fetch is not None
        (number,) = reading.read("FETCHED", extra=guard.fetch if plain else guard.holds)
        reading.same.append((number, guard.value if plain else True))
    exclusive = sorted(staged.writes.exclusive) if staged.writes.exclusive else []
    place = None if out is None else (form[0] + form[1].index(OUT), out)
    return run.fast_entry(reading, arrange, exclusive, place)


def _is_served(staged: Staged) -> bool:
    """Whether calls do nothing but read values and compute with them."""
    trace, writes = staged.trace, staged.writes
    captured = trace.captured.values()
    return (
        writes.simple
        and not (trace.draws or staged.effects or staged.pinned or staged.stores)
        and not any(c.pinned is not None for c in captured)
        and all(type(c.value) is np.ndarray for c in captured)
        and not (captured and writes.exclusive)
    )


class _Raw:
    """Stands for what a call gives."""

    def __init__(self, number: int):
        self.number = number


def _reading(form: Form, bind: Bind, arguments: Arguments, with_out: bool) -> Reading:
    count, names = form
    reading = Reading(count, names)
    named = {name: _Raw(k) for k, name in enumerate(names, count)}
    if with_out:
        del named[OUT]
    bound = bind(tuple(map(_Raw, range(count))), named)
    trees = arguments.treedef.children
    things = [*bound.args, *bound.kwargs.values()]
    leaves = iter(arguments.leaves)
    for thing, tree in zip(things, _all_children(trees), strict=True):
        if isinstance(thing, _Raw):
            number = thing.number
        else:  # the default of a parameter
            (number,) = reading.read("VALUE", extra=thing)
        for leaf in reading.open(number, tree):
            value = next(leaves)
            if is_traced(value):
                reading.add_input(leaf, value)
            else:
                reading.same.append((leaf, value))
    return reading


def _all_children(trees: tuple[Any, ...]) -> Iterator[Any]:
    for tree in trees:
        yield from tree.children
