"""Derivatives of whole Programs, for rooms below those that take them.

What a call is differentiated to is a derivative of its body: `vjp` and `jvp` enter
themselves here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MODES: dict[str, Callable[..., Any]] = {}


@dataclass(frozen=True)
class Saving:
    """What the outermost loops save for reverse mode; without a limit, all it reads.

    `snapshots`: each as many of its states; `memory`: all of them as many bytes.
    """

    snapshots: int | None = None
    memory: int | None = None


#: No limit.
TAPE = Saving()
