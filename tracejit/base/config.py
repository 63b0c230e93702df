"""Settings read from the environment once, changed by tests through `override`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TRACEJIT_CACHE_DIR") or Path(base) / "tracejit")


def _default_threads() -> int:
    """`NUMBA_NUM_THREADS`, or the cores that this process may run on."""
    asked = os.environ.get("NUMBA_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    mine = getattr(os, "sched_getaffinity", None)
    return len(mine(0)) if mine else os.cpu_count() or 1


@dataclass(frozen=True)
class Config:
    """`check`: verify every Program after every transform; `cache_dir`: kernels.

    `vector_math`: loops may call the C library's vector functions, where it has them.
    `threads`: how many share a loop under `parallel=True`.
    """

    check: bool = os.environ.get("TRACEJIT_CHECK", "") not in ("", "0")
    cache_dir: Path = field(default_factory=_default_cache)
    backend: str = os.environ.get("TRACEJIT_BACKEND", "numba")
    vector_math: bool = os.environ.get("TRACEJIT_VECTOR_MATH", "1") not in ("", "0")
    threads: int = field(default_factory=_default_threads)


_current = Config()


def config() -> Config:
    """The settings in force."""
    return _current


@contextmanager
def override(**changes: object) -> Iterator[Config]:
    """Change settings for the length of a `with` block."""
    global _current
    saved, _current = _current, replace(_current, **changes)  # type: ignore[arg-type]
    try:
        yield _current
    finally:
        _current = saved
