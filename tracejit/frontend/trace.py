"""One run of staging: its builder, its undo log, what it read from outside.

A Trace is current while a user function is being staged. Everything that must be
undone after a probe (a rebound box, a stored item or attribute, an appended list
element) enters `log` with a function that undoes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.base.errors import TracejitError, UnknownAliasError
from tracejit.base.source import SrcLoc
from tracejit.ir.aval import Aval, Extent
from tracejit.ir.builder import Builder, building
from tracejit.ir.program import Literal, Var


@dataclass
class Captured:
    """An array or number read from outside: a runtime input of the Program.

    `fetch()` reads it anew at every call. `pinned` are the bytes that a Python
    decision relied on, if one did.
    """

    var: Var
    value: Any
    fetch: Callable[[], Any]
    what: str
    loc: SrcLoc
    pinned: bytes | None = None


@dataclass
class Guard:
    """A Python value that the trace relied on: `holds()` is asked at each call.

    It may be that `fetch()` must give what it gave, `value`.
    """

    holds: Callable[[], bool]
    what: str
    fetch: Callable[[], Any] | None = None
    value: Any = None


@dataclass
class Draw:
    """A random draw, made anew at every call, in order: an input of the Program."""

    var: Var
    draw: Callable[[], Any]


@dataclass
class Write:
    """A logged write to `target` (a box, a place), its undoing, what was there."""

    target: Any
    undo: Callable[[], None]
    before: Any = None


@dataclass
class Trace:
    """See the module's docstring."""

    builder: Builder = field(default_factory=Builder)
    log: list[Write] = field(default_factory=list)
    captured: dict[Any, Captured] = field(default_factory=dict)
    guards: dict[Any, Guard] = field(default_factory=dict)
    draws: list[Draw] = field(default_factory=list)
    #: Numbers written in the source of lifted functions: emitted as they stand.
    source_numbers: set[Any] = field(default_factory=lambda: {0, 1, 2, -1, 0.5})
    boundscheck: bool = True
    #: How many derivatives may be taken of what is staged here: rules that functions
    #: have of their own are staged for each.
    derivatives: int = 0
    #: Boxes on captured arrays, by key.
    boxes: dict[Any, Any] = field(default_factory=dict)
    #: Told of the box for an array of the caller's; the box to use: (key, Var, box).
    adopt: Callable[[Any, Any, Any], Any] = lambda key, var, box: box
    #: Asked for the value of a traced box that Python needs; None where it has none.
    concretize: Callable[[Any, bool], Any] | None = None
    #: Loops and branches that merged arrays of different layouts.
    vague: set[Any] = field(default_factory=set)
    #: Equations that need not be emitted twice: key -> (region, Atom); see `memoized`.
    memo: dict[Any, tuple[Any, Any]] = field(default_factory=dict)
    #: Integers that are linear in others (see `affine`), by Var.
    forms: dict[Any, Any] = field(default_factory=dict)
    #: How the elements of a Ragged's array are computed: Var -> (axes, formula).
    formulas: dict[Any, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """How many regions are open: 1 at the top level of the Program."""
        return len(self.builder.stack)

    def literal(self, value: Any, dtype: Any = None) -> Literal:
        """A number as a Literal: a runtime argument unless the user wrote it down."""
        if dtype is None:
            dtype = np.asarray(value).dtype
        written = value in self.source_numbers and not isinstance(value, Extent)
        return Literal(value, dtype, runtime=not written)

    def capture(
        self, key: Any, value: Any, fetch: Callable[[], Any], what: str
    ) -> Captured:
        """Make an outside array or number an input; one Var per `key`."""
        if key not in self.captured:
            array = np.asarray(value)
            var = Var(Aval(array.dtype, array.shape), what.rpartition(".")[2])
            self.captured[key] = Captured(var, value, fetch, what, self.builder.loc)
        return self.captured[key]

    @property
    def packing(self) -> Collection[SrcLoc]:
        """Where in the source masks pick elements that are to be packed."""
        return ()

    def packed_at(self, error: Exception, sites: Collection[SrcLoc]) -> Exception:
        """What to raise where elements picked at `sites` would have to be packed."""
        return error

    @contextmanager
    def deriving(self, more: int) -> Iterator[None]:
        """What is staged in the block is differentiated so many times more."""
        self.derivatives += more
        try:
            yield
        finally:
            self.derivatives -= more

    def is_pinned(self, key: Any) -> bool:
        """Whether Python decides on the values of a captured array."""
        return False

    def memoized(self, key: Any, make: Callable[[], Any]) -> Any:
        """`make()`, or what it gave before, while that region is open."""
        stack = self.builder.stack
        found = self.memo.get(key)
        if found is None or not any(r is found[0] for r in stack):
            found = self.memo[key] = stack[-1], make()
        return found[1]

    def stale_read(self, stale: Any, aval: Aval) -> Exception:
        """The error for reading a box that is Stale."""
        error = UnknownAliasError(
            f"which array this {aval} is depends on a loop or branch on traced data, "
            "and one of the candidates was written to since",
            self.builder.loc,
            "copy before the loop or branch, so that no other name shares the array",
        )
        return self.unsure(error, {stale.source})

    def unsure(self, error: TracejitError, sources: set[Any]) -> Exception:
        """What to raise where the loops and branches `sources` left an alias unsure."""
        return error

    def undo_to(self, mark: int) -> None:
        """Undo every logged write since the log had `mark` entries."""
        while len(self.log) > mark:
            self.log.pop().undo()


class _State(threading.local):
    def __init__(self) -> None:
        self.trace: Trace | None = None


_state = _State()


def current_trace() -> Trace:
    """The Trace being staged on this thread."""
    assert _state.trace is not None, "not staging"
    return _state.trace


def staging() -> bool:
    """Whether a user function is being staged on this thread."""
    return _state.trace is not None


@contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    """Make `trace` current, and its builder with it."""
    saved, _state.trace = _state.trace, trace
    try:
        with building(trace.builder):
            yield trace
    finally:
        _state.trace = saved
