"""Generators: a consumer pulls their values, or its body is run at every `yield`.

    def g(x):                       for v in g(x):
        for i in range(len(x)):         s += v
            yield x[i] * 2

Pulled, a generator runs as Python runs it, and can decide nothing on traced data. So
wherever the whole of it is consumed it is *pushed*: `yield` calls the consumer's body,
in just the order of Python, and the loops and branches around it are staged as any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

from tracejit.base.errors import StagingError
from tracejit.frontend.growth import append
from tracejit.frontend.lift import NO_META, Meta
from tracejit.frontend.places import UNDEFINED, Frame, Variable, new_frame
from tracejit.frontend.session import session
from tracejit.frontend.trace import Write
from tracejit.frontend.trips import Resumable, cursor_of
from tracejit.frontend.yields import STOP


class Generator(Resumable):
    """What a generator function or expression gives.

    `lazy()` is Python's own generator; `each(emit)` calls `emit` with every value,
    until it returns true.
    """

    resumes = False

    def __init__(
        self,
        lazy: Callable[[], Any],
        each: Callable[[Callable[[Any], Any]], Any] | None,
    ):
        self.lazy, self.each = lazy, each
        self.running: Any = None

    def _started(self) -> Any:
        if self.resumes:
            return self.lazy()
        if self.running is None:
            self.running = self.lazy()
        return self.running

    def __next__(self) -> Any:
        return next(self._started())

    def send(self, value: Any) -> Any:
        """As Python's."""
        return self._started().send(value)

    def throw(self, *error: Any) -> Any:
        """As Python's."""
        return self._started().throw(*error)

    def close(self) -> None:
        """As Python's: nothing is left. Python calls it, too, long after staging."""
        running = self.running
        self.running, self.resumes = iter(()), False
        if hasattr(running, "close"):
            running.close()

    @property
    def can_push(self) -> bool:
        """Whether `push` may be called."""
        return self.each is not None and (self.resumes or self.running is None)

    def push(self, emit: Callable[[Any], Any], stops: bool = False) -> None:
        """Call `emit` with all values, or until it returns true if it ever `stops`."""
        assert self.each is not None
        self.running = _Lost()
        self.each(emit)
        if not stops:
            self.ended()

    def ended(self) -> None:
        """All values have been given."""
        self.running = iter(())

    def collect(self) -> list[Any]:
        """All values, in a list."""
        out: list[Any] = session().make([])
        if not self.can_push:
            out.extend(self)
            return out

        def emit(value: Any) -> bool:
            append(out, value)
            return False

        self.push(emit)
        return out


class _Lost(Iterator[Any]):
    """What is left of a generator that a loop goes through, or has left early."""

    def __next__(self, *error: Any) -> Any:
        raise StagingError(
            "a generator is read on in a loop over it, or after one that may end early",
            session().builder.loc,
            "make a list of it first",
        )

    send = throw = __next__

    def close(self) -> None:
        """As Python's."""


class Expression(Generator):
    """A generator expression, `map` or `filter`: a loop over `source`.

    `run(emit, source, frame, meta)` is that loop, with the variables of `frame`.
    `picks`: not every round gives a value. `nested`: there are more loops inside.
    """

    def __init__(
        self,
        source: Any,
        lazy: Callable[[Any], Any],
        run: Callable[[Callable[[Any], Any], Any, Frame, Meta], Any],
        whole: Callable[[Any], list[Any]] | None = None,
        picks: bool = False,
        nested: bool = False,
    ):
        cursor = cursor_of(source)
        self.source = source if cursor is None else cursor
        self.run, self.whole, self.picks = run, whole, picks
        self.resumes = cursor is not None and not nested
        super().__init__(partial(lazy, self.source), self.all)

    def all(self, emit: Callable[[Any], Any]) -> None:
        """Call `emit` with all values."""

        def give(value: Any) -> None:
            emit(value)

        self.run(give, self.source, new_frame(), NO_META)

    def push(self, emit: Callable[[Any], Any], stops: bool = False) -> None:
        if not stops:
            super().push(emit)
            return
        frame = new_frame()
        setattr(frame, STOP, False)

        def give(value: Any) -> None:
            setattr(frame, STOP, emit(value))

        self.running = _Lost()
        self.run(give, self.source, frame, STOPPING)

    def collect(self) -> list[Any]:
        if self.whole is None or not self.can_push:
            return super().collect()
        self.ended()
        return session().make(self.whole(self.source))


#: The loop ends where its body sets a flag.
STOPPING = Meta(SimpleNamespace(live=[STOP], head=[STOP], again=[STOP], exits=[STOP]))


def log_changes(frame: Frame, before: dict[str, Any], live: frozenset[str]) -> None:
    """Log what a consumer's body did to its variables: no Watch sees to that frame.

    Those that nothing reads afterwards are put back.
    """
    past = Frame()
    past.__dict__.update(before)
    names = {name.lstrip("?") for name in {**before, **frame.__dict__}}
    for name in sorted(names):
        place, old = Variable(frame, name, logged=True), Variable(past, name).get()
        if place.get() is old:
            continue
        if name not in live and not (old is UNDEFINED and name.startswith(".")):
            place.set(old)
        else:
            undo = _Restore(place, old)
            session().log.append(Write(place, undo))


class _Restore:
    def __init__(self, place: Variable, value: Any):
        self.place, self.value = place, value

    def __call__(self) -> None:
        self.place.set(self.value)
