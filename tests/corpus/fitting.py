"""Programs as the judge wants them: float arguments, float results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.corpus.judge import Make
from tests.corpus.table import Program
from tracejit.base.pytree import flatten, unflatten


def fitted(program: Program, dtype: Any) -> tuple[Callable[..., Any], Make]:
    """A function of the floats among the arguments, and what makes those.

    Complex arrays are pairs of real ones; numbers that count and arrays of integers
    stay what they are. A program that returns nothing has its arguments for a result.
    """
    kinds = [_kind(x) for x in flatten(program.make(dtype))[0]]
    treedef = flatten(program.make(dtype))[1]
    fixed = [x for x in flatten(program.make(dtype))[0] if _kind(x) == "fixed"]

    def make() -> tuple[Any, ...]:
        moving = []
        for x, kind in zip(flatten(program.make(dtype))[0], kinds, strict=True):
            if kind == "complex":
                moving += [x.real.copy(), x.imag.copy()]
            elif kind == "float":
                moving.append(x)
        return tuple(moving)

    def fn(*moving: Any) -> Any:
        rest, still = iter(moving), iter(fixed)
        leaves = []
        for kind in kinds:
            if kind == "complex":
                real, imag = next(rest), next(rest)
                leaves.append(real + 1j * imag)
            elif kind == "float":
                leaves.append(next(rest))
            else:
                x = next(still)
                leaves.append(x.copy() if isinstance(x, np.ndarray) else x)
        args = unflatten(treedef, leaves)
        value = program.fn(*args)
        results, out_tree = flatten(args if value is None else value)
        return unflatten(out_tree, [_parts(y) for y in results])

    return fn, make


def _kind(x: Any) -> str:
    """How an argument moves: "float", "complex", or "fixed"."""
    dtype = getattr(x, "dtype", np.dtype(type(x)))
    return {"f": "float", "c": "complex"}.get(dtype.kind, "fixed")


def _parts(y: Any) -> Any:
    """A complex result as the pair of its parts."""
    return (np.real(y), np.imag(y)) if np.iscomplexobj(y) else y
