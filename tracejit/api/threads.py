"""How many threads share a loop, as users ask for it."""

from __future__ import annotations

import os
import warnings

from tracejit.base.config import config


def threads_of(parallel: bool | int) -> int:
    """A number of threads: 1 for False, all that there are for True.

    Warns, and returns 1, where the system has no POSIX threads.

    >>> threads_of(False), threads_of(4)
    (1, 4)
    """
    if not isinstance(parallel, int) or (parallel < 1 and parallel is not False):
        raise ValueError(
            f"parallel must be True, False or a number of threads, not {parallel!r}"
        )
    asked = config().threads if parallel is True else max(parallel, 1)
    if asked > 1 and os.name != "posix":
        warnings.warn("loops stay serial: there are no POSIX threads", stacklevel=4)
        return 1
    return int(asked)
