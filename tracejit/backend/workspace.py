"""Memory for temporaries that all functions share: fresh pages cost more than most
kernels that fill them.

A call takes a block and gives it back when it has ended, so that there are as many as
calls have run at one time, each as large as the largest of them needed.
"""

from __future__ import annotations

from collections import Counter
from weakref import finalize

import numpy as np

#: Blocks that no call has. A list's pop and append are atomic: no two threads get one.
_free: list[np.ndarray] = []
#: How many functions there are by the bytes that they need.
_needed: Counter[int] = Counter()


def take(nbytes: int) -> np.ndarray:
    """A block of at least `nbytes`, which nobody else uses; raises `MemoryError`."""
    try:
        block = _free.pop()
    except IndexError:
        return np.empty(nbytes, np.uint8)
    if block.nbytes >= nbytes:
        return block
    del block  # before there is a larger one
    return np.empty(nbytes, np.uint8)


def give(block: np.ndarray) -> None:
    """Let further calls have a block."""
    if block.nbytes <= max(_needed, default=0):
        _free.append(block)


def claim(owner: object, nbytes: int) -> None:
    """Blocks of that size are kept as long as `owner` lives."""
    _needed[nbytes] += 1
    finalize(owner, _forget, nbytes).atexit = False


def _forget(nbytes: int) -> None:
    _needed[nbytes] -= 1
    if not _needed[nbytes]:
        del _needed[nbytes]
    most = max(_needed, default=0)
    _free[:] = [block for block in _free if block.nbytes <= most]
