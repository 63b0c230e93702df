"""The table of corpus programs: plain functions, each with what makes its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Makes the arguments from a generator: floats, and what is held fixed (see `fitting`).
Maker = Callable[[np.random.Generator], tuple[Any, ...]]


@dataclass(frozen=True)
class Program:
    """A function, its arguments, and what it cannot do.

    `single`: it also makes sense in single precision. `refused`: it is one that
    tracejit refuses today, with an error of this name. `narrow`: it has buffers of
    single precision, whatever its arguments are.
    """

    fn: Callable[..., Any]
    maker: Maker
    single: bool = True
    refused: str = ""
    narrow: bool = False

    @property
    def name(self) -> str:
        return self.fn.__name__

    def make(self, dtype: Any = np.float64) -> tuple[Any, ...]:
        """Fresh arguments, the same at every call."""
        made = self.maker(np.random.default_rng(abs(hash_of(self.name))))
        return tuple(cast(x, dtype) for x in made)


def hash_of(name: str) -> int:
    """A seed from a name that does not differ from process to process."""
    return sum(ord(c) * 31**k for k, c in enumerate(name)) % 2**32


def cast(x: Any, dtype: Any) -> Any:
    """Float arrays in another precision; whatever else as it is."""
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return x.astype(dtype)
    if isinstance(x, tuple | list):
        return type(x)(cast(e, dtype) for e in x)
    if isinstance(x, dict):
        return {k: cast(e, dtype) for k, e in x.items()}
    return x


PROGRAMS: list[Program] = []


def program(
    maker: Maker, single: bool = True, refused: str = "", narrow: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the table; the function stays what it is."""

    def enter(fn: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS.append(Program(fn, maker, single, refused, narrow))
        return fn

    return enter
