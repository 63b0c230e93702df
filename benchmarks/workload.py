"""What a workload is, and how its gradient is named in each framework."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numba import njit

#: What an expert compiles a kernel with.
fast = njit(fastmath=True, error_model="numpy")

Function = Callable[..., Any]


@dataclass(frozen=True)
class Workload:
    """A plain NumPy function, its arguments by size, and its gradient by hand.

    `hand` takes what `f` takes and returns `(value, *gradients)`, one for each of
    `argnums`; `hand_vector`, where there is one, is the same with `polynomials` in
    place of the C library's functions. `primal` is `f` alone, written by hand in the
    same manner, to show how much of `hand` is the gradient's. `jax` and `autograd` are
    SAME where `f` runs with their `numpy` in place of NumPy's, a function of that
    module where it must be written anew, and None where it cannot be said at all.
    """

    name: str
    f: Function
    make: Callable[[int], tuple]
    sizes: tuple[int, ...]
    primal: Function
    hand: Function
    argnums: int | tuple[int, ...] = 0
    small: int = 7
    jax: str | Function | None = None
    autograd: str | Function | None = None
    hand_vector: Function | None = None


SAME = "same"


def with_numpy(f: Function, numpy: Any, special: Any = None) -> Function:
    """`f` with another module for its `np`, and another for its `scipy.special`: by
    default what stands beside the first."""
    names = {**f.__globals__, "np": numpy, "special": special}
    if special is None and "special" in f.__code__.co_names:
        package = numpy.__name__.removesuffix("numpy")
        names["special"] = import_module(f"{package}scipy.special")
    return types.FunctionType(f.__code__, names, f.__name__, f.__defaults__)


def variant(f: Function, how: str | Function | None, numpy: Any) -> Function | None:
    """`f` as written for the framework whose NumPy is `numpy`."""
    if how is None:
        return None
    return with_numpy(f if isinstance(how, str) else how, numpy)


def leaves(result: Any) -> list[np.ndarray]:
    """The value and the gradients, in whichever nesting a framework returns them."""
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in leaves(part)]
    return [np.asarray(result)]


def disagreement(ours: Any, theirs: Any) -> float:
    """The largest error of a result, each leaf relative to its own largest entry."""
    a, b = leaves(ours), leaves(theirs)
    if [x.shape for x in a] != [x.shape for x in b]:
        return np.inf
    return max(
        float(np.max(np.abs(x - y)) / (np.max(np.abs(y)) + 1e-300))
        for x, y in zip(a, b, strict=True)
    )
