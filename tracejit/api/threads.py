"""How many threads share a loop, as users ask for it."""

from __future__ import annotations

from tracejit.base.config import config


def threads_of(parallel: bool | int) -> int:
    """A number of threads: 1 for False, all that there are for True.

    >>> threads_of(False), threads_of(4)
    (1, 4)
    """
    if isinstance(parallel, bool):
        return config().threads if parallel else 1
    if not isinstance(parallel, int) or parallel < 1:
        raise ValueError(
            f"parallel must be True, False or a number of threads, not {parallel!r}"
        )
    return parallel
