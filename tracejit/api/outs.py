"""Results in arrays of the caller's: `out=`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from itertools import combinations
from typing import Any

import numpy as np

from tracejit.base.errors import OverlapError, ReadOnlyError, TreeMismatchError
from tracejit.base.pytree import one_level, unflatten
from tracejit.runtime.quick import OUT


def takes_out(fn: Callable[..., Any]) -> bool:
    """Whether `out` is ours: the function has no such parameter.

    >>> takes_out(lambda x: x), takes_out(lambda x, out=None: x)
    (True, False)
    """
    try:
        parameters = signature(fn).parameters.values()
    except (TypeError, ValueError):
        return False
    return not any(p.name == OUT or p.kind is Parameter.VAR_KEYWORD for p in parameters)


def into(value: Any, out: Any) -> Any:
    """`value` with its leaves written into the arrays `out`, a structure like it.

    Where that has None, the value stays what it is. All is checked before anything is
    written: raises `TreeMismatchError`, `ReadOnlyError` or `OverlapError`.

    >>> kept = np.empty(2)
    >>> into((3.0, np.ones(2)), (None, kept))[1] is kept
    True
    """
    pairs: list[tuple[np.ndarray, Any]] = []
    whole = _paired(value, out, pairs)
    arrays = [array for array, _ in pairs]
    if any(np.may_share_memory(a, b) for a, b in combinations(arrays, 2)):
        raise OverlapError(
            "arrays of `out` share memory with one another",
            cure="give every result an array of its own",
        )
    # A result may be an argument, which may be where another one is to go.
    for array, leaf in [(a, _apart(x, arrays)) for a, x in pairs]:
        array[...] = leaf
    return whole


def _apart(leaf: Any, arrays: list[np.ndarray]) -> Any:
    shared = any(np.may_share_memory(leaf, array) for array in arrays)
    return leaf.copy() if shared else leaf


def _paired(value: Any, out: Any, pairs: list[tuple[np.ndarray, Any]]) -> Any:
    """What is returned; `pairs` gets each array with what is written to it."""
    if out is None:
        return value
    parts = one_level(value)
    if parts is None:
        pairs.append((_fitting(out, value), value))
        return out
    inner = one_level(out)
    if inner is None or inner[1] != parts[1]:
        found = type(out).__name__ if inner is None else inner[1]
        raise TreeMismatchError(
            f"`out` has a {found} where the result is a {parts[1]}",
            cure="give an array, or None, for each result, nested in the same way",
        )
    both = zip(parts[0], inner[0], strict=True)
    return unflatten(parts[1], [_paired(v, o, pairs) for v, o in both])


def _fitting(out: Any, value: Any) -> np.ndarray:
    """An array of the shape and dtype of a result."""
    model = np.asarray(value)
    wanted = f"shape {model.shape}, dtype {model.dtype}"
    cure = f"give an array of {wanted}, or None"
    if not isinstance(out, np.ndarray):
        raise TreeMismatchError(
            f"`out` has a {type(out).__name__} where the result is of {wanted}",
            cure=cure,
        )
    if (out.shape, out.dtype) != (model.shape, model.dtype):
        raise TreeMismatchError(
            f"`out` has shape {out.shape}, dtype {out.dtype} where the result is of "
            f"{wanted}",
            cure=cure,
        )
    if not out.flags.writeable:
        raise ReadOnlyError(
            "an array of `out` is read-only", cure="give one that is not"
        )
    return out
