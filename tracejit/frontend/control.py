"""The hooks that lifted code calls, by the names that `lift` gives them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tracejit.base.errors import (
    AxisRangeError,
    CastingError,
    FenceError,
    IndexRangeError,
    MatrixShapeError,
    OperandTypeError,
    ReadOnlyError,
    ShapeMismatchError,
    StagingError,
    TracejitError,
)
from tracejit.frontend import (
    branches,
    calls,
    distributions,
    loops,
    matches,
    outside,
    scipy_staged,
    state,
)
from tracejit.frontend.builtin_calls import type_of
from tracejit.frontend.functions import HOOKS
from tracejit.frontend.generators import Expression, Generator
from tracejit.frontend.grown import FEW, grown_in
from tracejit.frontend.growth import append
from tracejit.frontend.lift import NO_META
from tracejit.frontend.outside import imported
from tracejit.frontend.places import new_frame
from tracejit.frontend.session import Raised, Restage, session
from tracejit.frontend.trips import trips_of
from tracejit.frontend.undecided import settled
from tracejit.ir.program import Eqn, walk
from tracejit.ops.control import Failure, check

#: Errors that plain Python or NumPy raises at the same place.
PYTHONS_OWN = (
    AxisRangeError,
    CastingError,
    IndexRangeError,
    MatrixShapeError,
    OperandTypeError,
    ReadOnlyError,
    ShapeMismatchError,
)

#: Its import enters what methods of distributions do.
_HANDLERS_COME_FROM = (distributions, scipy_staged)


def raise_(error: Any, cause: Any = None) -> None:
    """`raise`: in a staged branch or loop it becomes a check that always fails."""
    trace = session()
    exception = error()
    if isinstance(exception, type):
        exception = exception()
    if trace.certain:
        raise exception from cause
    failure = Failure(type(exception), exception.args, trace.builder.loc)
    check(False, error=failure)
    raise Raised


def caught() -> None:
    """An `except` clause begins: what is ours passes through it."""
    exception = sys.exc_info()[1]
    if exception is session().escaped:
        raise _uncatchable() from exception
    ours = isinstance(exception, TracejitError | Raised | Restage)
    if ours and not isinstance(exception, PYTHONS_OWN):
        raise exception  # type: ignore[misc]


def try_begins() -> int:
    """The number of equations before the body of a `try`."""
    return len(session().builder.stack[-1])


def try_ends(mark: int, *types: Callable[[], Any]) -> None:
    """What fails in a `try` only when the program runs, its clauses cannot catch.

    `types` give what the `except` clauses catch (None: everything). Such a failure
    becomes one that says so; as long as it does not come, nothing is wrong.
    """
    for eqn in session().builder.stack[-1][mark:]:
        for part in [eqn, *(e for region in eqn.regions for e in walk(region))]:
            if part.prim is check:
                kind = part.params["error"].kind
                caught = [kinds() or BaseException for kinds in types]
                if any(issubclass(kind, c) for c in caught):
                    _pass_through(part)


def _pass_through(eqn: Eqn) -> None:
    """Let a check in a `try` fail with the error that its clauses are not run."""
    error = _uncatchable()
    if not isinstance(error, FenceError):
        raise error
    failure: Failure = eqn.params["error"]
    (text, *_) = [*map(str, failure.args), ""]
    name = failure.kind.__name__
    message = f"{error.args[0].splitlines()[0]}: {name}: {text}"
    eqn.params["error"] = Failure(FenceError, (message,), eqn.loc)


def _uncatchable() -> TracejitError:
    # What depends on the counter of a loop alone is known where that is unrolled.
    kind = StagingError if session().inside else FenceError
    return kind(
        "`try` cannot catch an error that depends on traced data",
        session().builder.loc,
        "test for the case with `if`, or leave `try` out",
    )


class Context:
    """A context manager in a `with` of lifted code."""

    def __init__(self, manager: Any):
        self.manager = manager

    def _run(self, name: str, *args: Any) -> Any:
        method = state.users_method(self.manager, name)
        if method is not None:
            return calls.call(method, self.manager, *args)
        return getattr(self.manager, name)(*args)

    def __enter__(self) -> Any:
        return self._run("__enter__")

    def __exit__(self, cls: Any, error: Any, traceback: Any) -> Any:
        handled = self._run("__exit__", cls, error, traceback)
        if handled and error is session().escaped:
            raise _uncatchable() from error
        ours = isinstance(error, TracejitError | Raised | Restage)
        return handled and (not ours or isinstance(error, PYTHONS_OWN))


def as_instance(value: Any, cls: Any, count: int, names: tuple[str, ...]) -> Any:
    """The attributes that a class pattern asks for; None: it is no instance."""
    return matches.as_instance(value, cls, count, names, calls.attr, type_of)


def genexp(
    source: Any, lazy: Any, each: Any, filtered: bool, nested: bool
) -> Expression:
    """A generator expression over `source`."""
    source = source if grown_in(source) is not None else outside.iter_(source)

    def whole(source: Any) -> list[Any]:
        return listcomp(
            source, lambda values: list(lazy(values)), each, filtered, nested
        )

    return Expression(source, lazy, each, whole, filtered, nested)


def listcomp(
    source: Any, lazy: Any, each: Any, filtered: bool, nested: bool
) -> list[Any]:
    """A list comprehension over `source`: a loop, unless it is short.

    `filtered`: by an `if`, which only `each` has on traced data.
    """
    trips = trips_of(source)
    if trips is None or (trips.counted and len(trips) <= FEW):
        if not filtered:
            return lazy(source)
        source = list(outside.iter_(source))
    out: list[Any] = session().make([])
    each(partial(append, out), source, new_frame(), NO_META)
    return out


def made(obj: Any) -> Any:
    """A list, set or dict that was written down."""
    return session().make(obj)


HOOKS.update(
    {
        "frame": new_frame,
        "if": branches.if_,
        "for": loops.for_,
        "while": loops.while_,
        "choose": branches.choose,
        "and": branches.and_,
        "or": branches.or_,
        "all_of": branches.all_of,
        "any_of": branches.any_of,
        "not": branches.not_,
        "none_of": branches.none_of,
        "compare": branches.compare,
        "generator": Generator,
        "genexp": genexp,
        "listcomp": listcomp,
        "sequence": lambda value, *how: matches.as_sequence(imported(value), *how),
        "mapping_parts": lambda value, *how: matches.as_mapping(imported(value), *how),
        "class": as_instance,
        "binary": state.binary,
        "unary": state.unary,
        "context": Context,
        "call": calls.call,
        "attr": calls.attr,
        "item": state.get_item,
        "attr_to_update": state.attr_to_update,
        "item_to_update": state.item_to_update,
        "set_attr": state.set_attr,
        "set_item": state.set_item,
        "del_attr": state.del_attr,
        "del_item": state.del_item,
        "set_local": state.set_local,
        "forget": state.forget,
        "iop": state.iop,
        "iter": outside.iter_,
        "mapping": outside.imported,
        "made": made,
        "raise": raise_,
        "caught": caught,
        "try_begins": try_begins,
        "try_ends": try_ends,
        "slice": lambda *bounds: slice(*map(settled, bounds)),
        "super": super,
    }
)
