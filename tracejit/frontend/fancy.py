"""Indexing by arrays: integers gather and scatter, boolean masks select.

The indexed axes come first in a `gather`; where NumPy puts them at the place of the
first array instead, a transpose follows. A mask whose values are known becomes arrays
of integers. One that is traced cannot decide a shape, but it can choose what is
written: `A[mask] = v` is a select.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.errors import (
    DataDependentShapeError,
    IndexRangeError,
)
from tracejit.frontend.bounds import index_atom, normal_slice
from tracejit.frontend.box import (
    C_ORDER,
    UNKNOWN,
    Box,
    as_box,
    box_of,
    from_plain,
    is_static,
    operand,
    plain,
)
from tracejit.frontend.lens import Part, c_ordered
from tracejit.frontend.masked import Masked
from tracejit.frontend.trace import current_trace
from tracejit.ir.program import Atom
from tracejit.ops.numpy_names import emit, where
from tracejit.ops.promote import BOOL, INT, broadcast_shapes, broadcast_to, convert, fit


def is_array(entry: Any) -> bool:
    """Whether an entry of a key is an array or a mask, so that it gathers."""
    if type(entry) is Box:
        return bool(entry.aval.shape) or entry.aval.dtype == BOOL
    if isinstance(entry, np.ndarray):
        return bool(entry.ndim) or entry.dtype == BOOL
    return isinstance(entry, bool | np.bool_ | list | tuple)


def is_array_of_one(entry: Any) -> bool:
    """Whether it is an integer in an array without axes, not a scalar."""
    if type(entry) is Box:
        return entry.kind == "array" and not entry.aval.shape
    return isinstance(entry, np.ndarray) and not entry.ndim


def is_flag(entry: Any) -> bool:
    """Whether it is a single True or False that is known."""
    if isinstance(entry, list | tuple) or not (is_array(entry) and is_static(entry)):
        return False
    return not axes_taken(entry) and _dtype(entry) == BOOL


def axes_taken(entry: Any) -> int:
    """How many axes of the array an entry of a key consumes."""
    if entry is None or entry is Ellipsis:
        return 0
    if is_array(entry) and not isinstance(entry, list | tuple):
        if _dtype(entry) == BOOL:
            return len(np.shape(entry) if type(entry) is not Box else entry.aval.shape)
    return 1


def _dtype(entry: Any) -> Any:
    return entry.aval.dtype if type(entry) is Box else np.asarray(entry).dtype


def _settle(entries: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Lists as arrays, known masks as arrays of integers, other arrays as they are."""
    settled: list[Any] = []
    for k, entry in enumerate(entries):
        if isinstance(entry, list | tuple):
            entry = as_box(entry) if entry else np.zeros(0, INT)
        if not is_array(entry):
            settled.append(entry)
        elif _dtype(entry) == BOOL:
            if not is_static(entry) and entry.concrete() is None:
                raise DataDependentShapeError(
                    "a traced mask decides how many elements there are",
                    current_trace().builder.loc,
                    "np.where(mask, x, 0), or A[mask] = v for a single v",
                )
            mask = np.asarray(plain(entry))
            require_fit(mask.shape, shape, sum(map(axes_taken, entries[:k])))
            settled.extend(mask.nonzero())
        else:
            settled.append(plain(entry) if is_static(entry) else entry)
    return settled


@dataclass
class Plan:
    """An index by arrays: a basic part, then a gather, then its axes in order.

    `perm` puts the axes of the gather (those of the indices, then the rest) into
    NumPy's order; `shape` adds the new axes.
    """

    part: Part
    axes: tuple[int, ...]
    indices: list[Atom]
    perm: tuple[int, ...]
    shape: tuple[int, ...]


def plan(box: Box, entries: list[Any]) -> Plan:
    """How to read or write this key."""
    shape = box.aval.shape
    starts, sizes, steps = [0] * len(shape), list(shape), [1] * len(shape)
    arrays: dict[int, Any] = {}
    before: list[int | None] = []  # axes (None: new) left of the first array
    after: list[int | None] = []
    places: list[int] = []
    axis = 0
    for place, entry in enumerate(entries):
        rest = after if places else before
        if entry is None:
            rest.append(None)
            continue
        if isinstance(entry, slice):
            starts[axis], sizes[axis], steps[axis] = normal_slice(
                entry, shape[axis], axis
            )
            rest.append(axis)
        else:
            places.append(place)
            arrays[axis] = entry
        axis += 1
    if places[-1] - places[0] != len(places) - 1:  # apart: their axes come first
        before, after = [], before + after
    part = Part(shape, tuple(starts), tuple(sizes), tuple(steps))
    indices = [index_atom(e, shape[k], k) for k, e in arrays.items()]
    common = broadcast_shapes(*(i.aval.shape for i in indices))
    indices = [broadcast_to(i, common) for i in indices]
    left = [k for k in before if k is not None]
    right = [k for k in after if k is not None]
    order = {k: len(common) + n for n, k in enumerate(sorted(left + right))}
    perm = [order[k] for k in left] + list(range(len(common)))
    perm += [order[k] for k in right]
    final = [1 if k is None else sizes[k] for k in before]
    final += [*common, *(1 if k is None else sizes[k] for k in after)]
    return Plan(part, tuple(arrays), indices, tuple(perm), tuple(final))


def gather(box: Box, entries: list[Any]) -> Any:
    """`box[key]`, a copy."""
    entries = _settle(entries, box.aval.shape)
    if box.known and all(map(_static_entry, entries)):
        return from_plain(box.array[tuple(_plain_entry(e) for e in entries)])
    p = plan(box, entries)
    x = box.through(p.part).read()
    out = emit("gather", x, *p.indices, axes=p.axes)
    if p.perm != tuple(range(len(p.perm))):
        out = emit("transpose", out, perm=p.perm)
    if out.aval.shape != p.shape:
        out = emit("reshape", out, shape=p.shape)
    leading = p.axes == tuple(range(len(p.axes))) and p.indices[0].aval.ndim <= 1
    ordered = leading and c_ordered(box.aval.shape, box.strides_in_elements)
    return box_of(out, layout=C_ORDER if ordered else UNKNOWN)


def scatter(
    box: Box, entries: list[Any], value: Any, prim: str = "scatter_set"
) -> None:
    """`box[key] = value`; `scatter_add` adds instead, as often as a cell is named."""
    if isinstance(value, list | tuple):
        value = as_box(value)
    entries = _settle(entries, box.aval.shape)
    static = all(map(_static_entry, entries)) and is_static(value)
    if static and prim == "scatter_set" and box.stays_known():
        array = box.array.copy()
        array[tuple(_plain_entry(e) for e in entries)] = plain(value)
        box.write_known(array)
        return
    p = plan(box, entries)
    atom = fit(convert(operand(value), box.aval.dtype), p.shape)
    shape = _without_new(p)
    if atom.aval.shape != shape:
        atom = emit("reshape", atom, shape=shape)
    if p.perm != tuple(range(len(p.perm))):
        inverse = tuple([p.perm.index(k) for k in range(len(p.perm))])
        atom = emit("transpose", atom, perm=inverse)
    part = box.through(p.part)
    part.write(emit(prim, part.read(), atom, *p.indices, axes=p.axes))


def _without_new(p: Plan) -> tuple[int, ...]:
    """The shape of the part before new axes are added, in NumPy's order."""
    common = p.indices[0].aval.shape
    rest = [n for k, n in enumerate(p.part.shape) if k not in p.axes]
    natural = (*common, *rest)
    return tuple([natural[k] for k in p.perm])


def _static_entry(entry: Any) -> bool:
    if isinstance(entry, slice):
        return all(map(is_static, (entry.start, entry.stop, entry.step)))
    return is_static(entry)


def _plain_entry(entry: Any) -> Any:
    if isinstance(entry, slice):
        return slice(plain(entry.start), plain(entry.stop), plain(entry.step))
    return plain(entry)


def is_traced_mask(entry: Any) -> bool:
    """Whether an entry of a key is a mask that is only known when the program runs."""
    return type(entry) is Box and entry.aval.dtype == BOOL and not is_static(entry)


def write_masked(place: Masked, value: Any) -> None:
    """`box[mask] = value` for a traced mask: chosen element by element."""
    box = place.values
    if isinstance(value, list | tuple):
        value = as_box(value)
    new = convert(operand(place.whole(value)), box.aval.dtype)
    box.write(where(place.spread(), fit(new, box.aval.shape), box.read()))


def require_fit(mask: tuple[int, ...], shape: tuple[int, ...], lead: int) -> None:
    """A mask must have the extents of the axes that it picks along."""
    if tuple(mask) != tuple(shape[lead : lead + len(mask)]):
        raise IndexRangeError(
            "boolean index did not match indexed array: its shape is "
            f"{tuple(map(int, mask))}, the array's {tuple(map(int, shape))}",
            current_trace().builder.loc,
        )
