"""What a root box holds that has no value of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.frontend.trace import current_trace
from tracejit.ir.program import Atom


class StandIn:
    """In place of a box's value: says how the box is read and written."""

    #: The boxes of which it is one.
    boxes: tuple[Any, ...] = ()

    def read(self, box: Any) -> Atom:
        """What `box.read()` gives."""
        raise NotImplementedError

    def write(self, box: Any, atom: Atom) -> None:
        """What `box.write(atom)` does."""
        raise NotImplementedError

    def flag(self, k: int) -> Atom:
        """Whether it is the one of `boxes` with this number."""
        raise NotImplementedError

    def each(self, fn: Callable[[Any], Any]) -> Any:
        """`fn` of the one of `boxes` that it is at run time."""
        raise NotImplementedError


class Stale(StandIn):
    """The value is not known any more.

    A loop or branch made it uncertain which of two arrays a name stands for, then
    one of them was written to. `source` is where, for `Trace.stale_read`.
    """

    def __init__(self, source: Any):
        self.source = source

    def read(self, box: Any) -> Atom:
        raise current_trace().stale_read(self, box.aval)

    def write(self, box: Any, atom: Atom) -> None:
        raise current_trace().stale_read(self, box.aval)
