"""The Trace of one call of `stage`, with what lifting needs to know beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import Any

from tracejit.base.errors import TracejitError, UnknownAliasError
from tracejit.base.source import UNKNOWN, SrcLoc, is_installed
from tracejit.frontend.trace import Trace, Write, current_trace
from tracejit.ir.builder import Builder
from tracejit.ir.program import Eqn, Literal, Var

#: In place of a value: there is none, or none was asked for.
MISSING = object()

NOTHING: Mapping[Any, Any] = {}

#: Marks the globals of lifted code, and with them its frames.
LIFTED = "__tracejit_lifted__"


#: Room in lists that grow in loops of an unknown number of rounds, to begin with.
ROOM = 1024


class Restage(Exception):
    """Staging must begin again, with what `Session.advice` has learnt."""


class Raised(Exception):
    """The staged branch being run ends in a `raise`: it has become a check."""


@dataclass
class Advice:
    """What earlier attempts at staging this call found out.

    `unroll`: loops (by place in the source) to unroll; `inputs`: numbers of the
    outside, by key, that the call changes as well as reads; `pinned`: captured arrays,
    such numbers and arguments, by key, whose values Python decides on; `refer`: loops
    and branches whose references to arrays are values of the program; `packed`: places
    in the source where what a mask picks is an array of its own; `picked`: loops that
    put numbers of Python's into lists, of which data takes some out; `listed`: loops
    and branches in which lists are not kept in arrays (see `grown`), and why; `room`:
    for how many elements there is room in lists of which nobody knows how long they
    get.
    """

    unroll: set[Any] = field(default_factory=set)
    inputs: set[Any] = field(default_factory=set)
    pinned: set[Any] = field(default_factory=set)
    refer: set[Any] = field(default_factory=set)
    packed: set[SrcLoc] = field(default_factory=set)
    picked: set[Any] = field(default_factory=set)
    listed: dict[Any, TracejitError] = field(default_factory=dict)
    room: int = ROOM

    def settle(self) -> bool:
        """Decide on the values of all numbers after all; whether that is news."""
        news = bool(self.inputs - self.pinned)
        self.pinned |= self.inputs
        return news


class Count(int):
    """What a counter of the outside has been counted up to, in `n += 1`.

    What it started from is not relied on: each call adds what this one did. Where its
    value is needed after all, the counter becomes an input.
    """

    key: Any
    steps: int

    @classmethod
    def at(cls, value: int, key: Any, steps: int = 0) -> Count:
        """The counter at `key`, that many steps further than it was."""
        count = cls(value)
        count.key, count.steps = key, steps
        return count

    def moved(self, steps: int) -> Count:
        """The counter, further on."""
        return Count.at(int(self) + steps, self.key, self.steps + steps)


class SourceBuilder(Builder):
    """A Builder that reads the user's location off the running lifted code."""

    _locations: dict[tuple[CodeType, int], SrcLoc]

    def __init__(self) -> None:
        self._locations = {}
        self._fixed: SrcLoc | None = None
        super().__init__()

    @property
    def loc(self) -> SrcLoc:
        if self._fixed is not None:
            return self._fixed
        found = self._location(sys._getframe(1))
        if found is None:
            return UNKNOWN
        loc, frame = found
        if not is_installed(loc.file):
            return loc
        # A library was lifted: it is the line that called it which the user knows.
        inside, caller = loc, self._location(frame.f_back)
        while caller is not None and is_installed(caller[0].file):
            caller = self._location(caller[1].f_back)
        return inside if caller is None else replace(caller[0], inside=inside)

    @loc.setter
    def loc(self, loc: SrcLoc) -> None:
        self._fixed = None if loc is UNKNOWN else loc

    def _location(self, frame: FrameType | None) -> tuple[SrcLoc, FrameType] | None:
        """Of the innermost lifted code from a frame on, and its frame."""
        while frame is not None:
            if LIFTED in frame.f_globals:
                key = frame.f_code, frame.f_lasti
                if key not in self._locations:
                    self._locations[key] = location(*key)
                return self._locations[key], frame
            frame = frame.f_back
        return None

    @contextmanager
    def at(self, loc: SrcLoc, origin: Eqn | None = None) -> Iterator[None]:
        saved = self._fixed, self.origin
        self._fixed, self.origin = loc, origin
        try:
            yield
        finally:
            self._fixed, self.origin = saved

    @contextmanager
    def reopen(self, eqns: list[Eqn]) -> Iterator[None]:
        """Append to a region that was closed, as one that is open here."""
        depth = len(self.stack)
        self.stack.append(eqns)
        try:
            yield
        finally:
            del self.stack[depth:]


def location(code: CodeType, lasti: int) -> SrcLoc:
    """Where in the source an instruction comes from."""
    line, end_line, col, end_col = _positions(code)[lasti // 2]
    if line is None:
        return SrcLoc(code.co_filename, code.co_firstlineno, function=code.co_name)
    last = end_col if end_line == line else None
    return SrcLoc(code.co_filename, line, col or 0, last, code.co_name)


@lru_cache(maxsize=64)
def _positions(code: CodeType) -> list[tuple[int | None, ...]]:
    """Of every instruction: the list is made once for all of them."""
    return list(code.co_positions())


@dataclass
class Session(Trace):
    """A Trace with the outside objects it met and the functions it lifted."""

    builder: SourceBuilder = field(default_factory=SourceBuilder)
    advice: Advice = field(default_factory=Advice)
    #: Arguments that may be pinned, by the parameters that stand for them.
    arguments: dict[Var, Any] = field(default_factory=dict)
    #: Objects that came from outside, by id: what is read from them is guarded.
    outside: dict[int, tuple[Any, str]] = field(default_factory=dict)
    #: Values of places of the outside when the trace first read them; MISSING where
    #: it assigned them before.
    entries: dict[Any, Any] = field(default_factory=dict)
    #: Lists, dicts and objects made while tracing, with the region they were made in.
    born: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    lifted: dict[int, tuple[Any, FunctionType]] = field(default_factory=dict)
    #: Containers that may not be written to any more (see `trees`), by id.
    frozen: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    #: What places held when they were first written to, by key.
    originals: dict[Any, tuple[Any, Any]] = field(default_factory=dict)
    #: Lists whose elements may have been moved about, by id.
    reordered: set[int] = field(default_factory=set)
    #: Where places were last written to, by key.
    stores: dict[Any, SrcLoc] = field(default_factory=dict)
    #: Arrays whose identity was asked for: `x is y`.
    compared: list[Any] = field(default_factory=list)
    #: Random draws and prints, in order; those of a probe count when it is accepted.
    effects: list[Any] = field(default_factory=list)
    #: Loops being staged, by key, and the counters of the `for` loops whose bodies run.
    active: list[Any] = field(default_factory=list)
    counters: list[Any] = field(default_factory=list)
    #: What loops carry, by place in the source and frame (see `guesses`).
    findings: dict[Any, tuple[Any, Any]] = field(default_factory=dict)
    #: Which loop a variable is the result of.
    made_by: dict[Var, Any] = field(default_factory=dict)
    #: Of the open regions, the places of those that run once wherever their
    #: surroundings do, as those of transforms, and of those that are lanes of a `vmap`.
    once: list[int] = field(default_factory=list)
    lanes: list[int] = field(default_factory=list)
    #: Lists that had better hold plain numbers, by id, and the loops that found that.
    plain_lists: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    #: Those of lists that are kept in arrays (see `grown`), by what they say.
    forms_of_lists: dict[Any, Any] = field(default_factory=dict)
    #: What the branches being staged go by, and whether it is true in them.
    assumed: list[tuple[Any, bool]] = field(default_factory=list)
    #: Loops and branches that merged arrays which may be others.
    merged: set[Any] = field(default_factory=set)
    #: How many loops are being staged of which nobody knows how many rounds they run.
    endless: int = 0
    unrolled: int = 0
    #: The last error that left a staged branch or loop, which may not be run.
    escaped: BaseException | None = None
    #: The call hook, for rooms below it.
    call: Callable[..., Any] = lambda fn, *args, **kwargs: fn(*args, **kwargs)

    def is_pinned(self, key: Any) -> bool:
        """Whether Python decides on the values of a captured array."""
        return key in self.advice.pinned

    @property
    def packing(self) -> Collection[SrcLoc]:
        return self.advice.packed

    def packed_at(self, error: Exception, sites: Collection[SrcLoc]) -> Exception:
        new = set(sites) - self.advice.packed
        return self.restage(packed=new) if new else error

    def record(self, place: Any, *parts: Any) -> None:
        """Log that `place` (see `places`), or parts of it by key, will change."""
        self.require_unfrozen(place.owner)
        before = place.get()
        self.originals.setdefault(place.key, (place, before))
        self.stores[place.key] = self.builder.loc
        assigned = [k for k in (place.key, *parts) if k not in self.entries]
        self.entries.update(dict.fromkeys(assigned, MISSING))

        def undo() -> None:
            place.set(before)
            for key in assigned:
                self.entries.pop(key, None)

        self.log.append(Write(place, undo, before))

    @property
    def inside(self) -> int:
        """How many staged loops and branches are around, lanes among them."""
        return self.depth - 1 - len(self.once)

    @property
    def certain(self) -> bool:
        """Whether what is staged here runs whenever the program does."""
        return self.inside == len(self.lanes)

    def advances(self, iterator: Any) -> bool:
        """Whether what is staged here takes as many items as the program will."""
        if not self.inside:
            return True
        return self.certain and self.is_new(iterator, self.lanes[-1])

    @contextmanager
    def entered(self, places: list[int]) -> Iterator[None]:
        """The innermost open region is one of these, `once` or `lanes`."""
        places.append(self.depth - 1)
        try:
            yield
        finally:
            places.pop()

    def unsure(self, error: TracejitError, sources: set[Any]) -> Exception:
        """Begin again, with the references of those `sources` in the program.

        Where they turn out to be many, with those of all that merged arrays so far. A
        source that is the form of a list has it left alone where it grows.
        """
        listed = {key for s in sources for key in getattr(s, "grown_in", ())}
        if listed - self.advice.listed.keys():
            return self.restage(listed=dict.fromkeys(listed, error))
        new = sources - self.advice.refer - {None}
        if new and self.advice.refer:
            new |= self.merged
        return self.restage(refer=new) if new else error

    def _may_unroll(self, source: Any) -> bool:
        """Whether a loop was staged that can be unrolled in another attempt.

        A loop that data may end is staged whatever the advice.
        """
        busy = source in self.active or source in self.advice.unroll
        return source is not None and not busy

    def literal(self, value: Any, dtype: Any = None) -> Literal:
        if type(value) is Count:
            raise self.restage(inputs=[value.key])
        return super().literal(value, dtype)

    def restage(
        self,
        unroll: Any = None,
        pinned: Iterable[Any] = (),
        inputs: Iterable[Any] = (),
        refer: Iterable[Any] = (),
        packed: Iterable[SrcLoc] = (),
        picked: Iterable[Any] = (),
        listed: Mapping[Any, TracejitError] = NOTHING,
    ) -> Exception:
        """What to raise so that staging begins again with this advice."""
        if unroll is not None:
            self.advice.unroll.add(unroll)
        self.advice.pinned |= set(pinned)
        self.advice.inputs |= set(inputs)
        self.advice.refer |= set(refer)
        self.advice.packed |= set(packed)
        self.advice.picked |= set(picked)
        self.advice.listed = {**listed, **self.advice.listed}
        return Restage()

    @contextmanager
    def assuming(self, pred: Any, truth: bool) -> Iterator[None]:
        """What is staged in the block runs only where `pred` is that."""
        self.assumed.append((pred, truth))
        try:
            yield
        finally:
            self.assumed.pop()

    @contextmanager
    def staging_loop(self, key: Any) -> Iterator[None]:
        """The loop `key` is being staged in the block."""
        self.active.append(key)
        try:
            yield
        finally:
            self.active.pop()

    def require_unfrozen(self, obj: Any) -> None:
        """Raise where other objects may stand for this one as well (see `trees`)."""
        if id(obj) not in self.frozen:
            return
        source = self.frozen[id(obj)][1]
        error = UnknownAliasError(
            f"which {type(obj).__name__} this is depends on a loop or branch on traced "
            "data, so it can only be read",
            self.builder.loc,
            "make a new object",
        )
        if hasattr(source, "grown_in"):
            raise self.unsure(error, {source})
        raise self.restage(unroll=source) if self._may_unroll(source) else error

    def make(self, obj: Any) -> Any:
        """Note that a mutable object was made here."""
        stack = self.builder.stack
        self.born[id(obj)] = obj, stack[-1] if stack else None
        return obj

    def is_new(self, obj: Any, depth: int) -> bool:
        """Whether `obj` was made in no region that encloses the one at `depth`."""
        if id(obj) not in self.born:
            return False
        home = self.born[id(obj)][1]
        return not any(home is region for region in self.builder.stack[:depth])


def session() -> Session:
    """The Session being staged on this thread."""
    trace = current_trace()
    assert isinstance(trace, Session)
    return trace
