"""Elements that a traced mask picks, one after the other: an array of traced length.

The places of the picked ones, in order, are an array of integers; reading and writing
there is indexing by it (see `ragged_gather`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.frontend.bounds import require
from tracejit.frontend.box import (
    C_ORDER,
    HANDLERS,
    Box,
    as_box,
    box_of,
    call,
    copied,
)
from tracejit.frontend.masked import Masked
from tracejit.frontend.ragged import (
    WHOLE,
    Counters,
    Env,
    Formula,
    Ragged,
    Span,
    read_from,
    zeros,
)
from tracejit.frontend.ragged_elements import assign
from tracejit.frontend.ragged_gather import gather, scatter
from tracejit.frontend.trace import current_trace
from tracejit.ir.aval import Aval
from tracejit.ir.program import Atom
from tracejit.ops.numpy_names import emit
from tracejit.ops.promote import BOOL, INT, convert


def places(mask: Box) -> Ragged:
    """The indices, among all elements in C order, of those that a mask picks."""
    key = "places", mask.read()
    return current_trace().memoized(key, lambda: _places(mask))


def _places(mask: Box) -> Ragged:
    flat, n = mask.reshape(-1), mask.aval.size
    count = Masked(flat, flat).count
    axes = [Span(0, 1, count, n)]
    order = _order(flat, n)

    def at(counters: Counters, env: Env) -> Box:
        place = read_from(Ragged(box_of(order), axes).element(counters), order)
        place.interval = 0, max(int(n) - 1, 0)  # type: ignore[union-attr]
        return box_of(place, "scalar")

    current_trace().formulas[order] = axes, Formula(at)
    return Ragged(box_of(order, layout=C_ORDER), axes)


def _order(flat: Box, n: int) -> Atom:
    """The places of the picked ones in front. The others' are zeros, never read."""
    ahead = call(np.cumsum, flat) - 1
    spots = call(np.where, flat, ahead, n)
    room, numbers = zeros(Aval(np.dtype(INT), (n + 1,))), call(np.arange, n)
    order = emit("scatter_set", room, numbers.read(), spots.read(), axes=(0,))
    return box_of(order)[:n].read()


def pack(values: Box, mask: Box, lead: int = 0) -> Any:
    """What a mask along the axes of `values` from `lead` on picks, as a new array."""
    index = (*(slice(None),) * lead, places(mask))
    return gather(Masked(values, mask, lead).flattened(), index)


def unpack(place: Masked, value: Any) -> None:
    """`x[mask] = value` of one value for each."""
    index = (*(slice(None),) * place.lead, places(place.mask))
    if place.mask.aval.ndim == 1:
        scatter(place.values, index, value)
        return
    flat = copied(place.flattened())
    scatter(flat, index, value)
    place.values.write(flat.reshape(place.values.aval.shape).read())


# Arrays as indices into arrays of traced length ---------------------------------------


def is_array(entry: Any) -> bool:
    """Whether an entry of a key is an array along one axis."""
    return isinstance(entry, list | Ragged) or (
        isinstance(entry, Box | np.ndarray) and len(as_box(entry).aval.shape) == 1
    )


def along(axis: Any, extent: Any, entry: Any) -> Any:
    """Where in the box the elements are that an array picks along one axis of a Ragged.

    `extent` is how many elements there are.
    """
    if isinstance(entry, list):
        entry = as_box(entry)
    if entry.dtype == BOOL:
        entry = places(_filled_up(entry, axis, extent))
        return entry if axis is WHOLE else entry * axis.step + axis.start
    if axis is WHOLE:
        return entry
    index = call(np.where, entry < 0, entry + extent, entry)
    inside = call(np.all, call(np.logical_and, index >= 0, index < extent))
    text = "index is out of bounds for an axis of traced length"
    require(convert(as_box(inside).read(), BOOL), text)
    return index * axis.step + axis.start


def _filled_up(mask: Any, axis: Any, extent: Any) -> Box:
    """A mask along an axis, False where there is nothing."""
    if type(mask) is not Ragged and axis is WHOLE:
        return as_box(mask)
    bound = extent if axis is WHOLE else axis.bound
    marks = box_of(zeros(Aval(BOOL, (bound,))), layout=C_ORDER)
    assign(Ragged(marks, [Span(0, 1, extent, bound)]), mask)
    return marks


HANDLERS["pack"] = pack
HANDLERS["unpack"] = unpack
