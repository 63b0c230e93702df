"""What a call means on boxes: `dispatch(np.sum)` is the function to call instead."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit.frontend import (
    builtin_calls,
    indexing,
    layout,
    masked_calls,
    methods,
    numpy_calls,
    operators,
    packing,
    padding,
    parts,
    picking,
    ragged_gather,
    ragged_whole,
    series,
    sorting,
    statistics,
    ufunc_methods,
    windows,
)
from tracejit.frontend.box import (
    C_ORDER,
    HANDLERS,
    UNKNOWN,
    Box,
    as_box,
    box_of,
    known_box,
)
from tracejit.frontend.scipy_calls import scipy_handler

_HANDLERS_COME_FROM = (
    builtin_calls,
    indexing,
    layout,
    masked_calls,
    methods,
    numpy_calls,
    operators,
    packing,
    padding,
    parts,
    picking,
    ragged_gather,
    ragged_whole,
    series,
    sorting,
    statistics,
    ufunc_methods,
    windows,
)

__all__ = [
    "C_ORDER",
    "UNKNOWN",
    "Box",
    "as_box",
    "box_of",
    "dispatch",
    "known_box",
]


def dispatch(fn: Any) -> Callable[..., Any] | None:
    """What to call in place of `fn` while staging, or None for `fn` itself.

    The handlers take boxes and plain values. Where no box is involved they are the
    plain function, except that arrays made by NumPy (`np.zeros`, `np.array`, …) come
    out as known boxes, because traced values may be stored into them later.
    """
    if isinstance(fn, np.ufunc):
        return operators.ufunc_handler(fn, "__call__")
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, np.ufunc):  # np.add.reduce and its like
        return operators.ufunc_handler(owner, fn.__name__)
    if isinstance(fn, np.vectorize):
        return partial(parts.vectorized, fn)
    try:
        return HANDLERS.get(fn) or scipy_handler(fn)
    except TypeError:  # not hashable
        return None
