"""A function computed only where a mask says so, as `out[mask] = f(x[mask])` does.

The function is given whole arrays, in which those elements that the mask leaves out are
replaced by one that it picks: nothing infinite or NaN comes of them, in no derivative.
Where it picks none, the function is not computed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.frontend.box import Box, call, has_box
from tracejit.frontend.branches import choose, truth


def where_computed(
    mask: Any, f: Callable[..., Any], args: Sequence[Any], otherwise: Callable[[], Any]
) -> Any:
    """`f(*args)` where `mask` is true, and what `otherwise` returns elsewhere.

    Args:
        mask: booleans, of any shape.
        f: works element by element; it is given the arguments broadcast to one shape,
            those that are single numbers apart.
        args: arrays and numbers.
        otherwise: makes a value that broadcasts with the arguments.

    Returns:
        An array of the common shape of mask and arguments, or a number.
    """
    shape = np.broadcast_shapes(*map(np.shape, (mask, *args)))
    dtype = np.dtype(float)

    def whole(value: Any) -> Any:
        nonlocal dtype
        if isinstance(value, float):  # it has the dtype of what it stands in for
            value = dtype.type(value)
        dtype = getattr(value, "dtype", dtype)
        if np.shape(value) == shape:
            return value
        return call(np.array, call(np.broadcast_to, value, shape))

    def computed() -> Any:
        if not np.shape(mask):
            return whole(f(*args))
        place = call(np.argmax, mask.reshape(-1))
        values = f(*[_filled(x, mask, place) for x in args])
        return whole(call(np.where, mask, values, otherwise()))

    if not has_box(mask) and np.all(mask):
        return whole(f(*args))
    if np.shape(mask):
        mask = call(np.broadcast_to, mask, shape)
    some = truth(call(np.any, mask) if np.shape(mask) else mask)
    return choose(some, computed, lambda: whole(otherwise()))


def _filled(x: Any, mask: Box, place: Any) -> Any:
    """What is left out replaced by the element at a place, the first that is picked."""
    if not np.shape(x):
        return x
    x = call(np.broadcast_to, x, mask.aval.shape)
    return call(np.where, mask, x, x.reshape(-1)[place])
