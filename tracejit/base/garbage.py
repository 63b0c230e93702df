"""Python's collector of reference cycles, while a Program is made."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Pauses:
    """How many blocks of all threads the collector waits for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.enabled = False

    def begin(self) -> None:
        with self.lock:
            if not self.count:
                self.enabled = gc.isenabled()
                gc.disable()
            self.count += 1

    def end(self) -> None:
        with self.lock:
            self.count -= 1
            if not self.count and self.enabled:
                gc.enable()


_pauses = _Pauses()


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector from running in the block.

    A Program in the making only grows. The collector would look through all of it again
    each time it has grown by a quarter, which is a third of the time that a large one
    takes, and find nothing.
    """
    _pauses.begin()
    try:
        yield
    finally:
        _pauses.end()
