"""NumPy's indices on boxes: `A[key]` and `A[key] = v`.

Integers, slices, newaxis and ellipsis make a view (a lens, see `lens`); arrays of
integers and masks gather, scatter and select (see `fancy`). One axis is the matter of
`bounds`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.errors import IndexRangeError, OperandTypeError
from tracejit.frontend import fancy
from tracejit.frontend.bounds import normal_index, normal_slice
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    as_box,
    box_of,
    copied,
    is_static,
    operand,
    plain,
)
from tracejit.frontend.lens import Part, Reshaped
from tracejit.frontend.masked import Masked, is_picked, mask_of, picked
from tracejit.frontend.ragged import NEW, WHOLE, Ragged, Span
from tracejit.frontend.trace import current_trace
from tracejit.ops.promote import INT, convert, fit


def expand(key: Any, ndim: int) -> list[Any]:
    """The entries of a key, its ellipsis written out: one for each axis, and Nones."""
    entries = list(key) if isinstance(key, tuple) else [key]
    used = sum(fancy.axes_taken(e) for e in entries)
    loc = current_trace().builder.loc
    dots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise IndexRangeError("an index can only have a single ellipsis ('...')", loc)
    if used > ndim:
        raise IndexRangeError(
            f"too many indices for array: array is {ndim}-dimensional, but {used} "
            "were indexed",
            loc,
        )
    at = dots[0] if dots else len(entries)
    entries[at : at + 1] = [slice(None)] * (ndim - used)
    return entries


def part_of(entries: list[Any], shape: tuple[int, ...]) -> tuple[Part, list[int]]:
    """Basic indexing as a lens, and the positions of new axes in its result.

    An axis of traced length has a Span for its size.
    """
    starts: list[Any] = []
    sizes: list[Any] = []
    steps: list[int] = []
    new: list[int] = []
    kept = 0
    for entry in entries:
        axis = len(starts)
        if entry is None:
            new.append(kept)
            kept += 1
        elif isinstance(entry, slice):
            start, size, step = normal_slice(entry, shape[axis], axis)
            starts.append(start)
            sizes.append(size)
            steps.append(step)
            kept += 1
        else:
            starts.append(normal_index(entry, shape[axis], axis))
            sizes.append(None)
            steps.append(1)
    return Part(shape, tuple(starts), tuple(sizes), tuple(steps)), new


def view_of(box: Box, part: Part, new: list[int]) -> Any:
    """The view of basic indexing: a box, or a Ragged."""
    if _is_ragged(part):
        return _ragged_view(box, part, new)
    view = box.through(part)
    if new:
        shape = list(part.shape)
        for position in new:
            shape.insert(position, 1)
        view = view.through(Reshaped(part.shape, tuple(shape)))
    return view


def _is_ragged(part: Part) -> bool:
    sizes: tuple[Any, ...] = part.sizes
    return any(isinstance(size, Span) for size in sizes)


def _ragged_view(box: Box, part: Part, new: list[int]) -> Ragged:
    sizes: list[Any] = list(part.sizes)
    axes: list[Any] = [
        size if isinstance(size, Span) else WHOLE for size in sizes if size is not None
    ]
    for k, size in enumerate(sizes):
        sizes[k] = part.base[k] if isinstance(size, Span) else size
    view = box.through(Part(part.base, part.starts, tuple(sizes), part.steps))
    for position in new:
        axes.insert(position, NEW)
    return Ragged(view, axes)


def masked_part(box: Box, entries: list[Any]) -> Masked | None:
    """What a key picks by one traced mask beside basic indices.

    The values are a view: a box, or a Ragged.
    """
    at = [k for k, e in enumerate(entries) if fancy.is_traced_mask(e)]
    arrays = sum(map(fancy.is_array, entries))
    if len(at) != 1 or arrays != 1:
        return None
    mask, (before, after) = entries[at[0]], (entries[: at[0]], entries[at[0] + 1 :])
    fancy.require_fit(
        mask.aval.shape, box.aval.shape, sum(map(fancy.axes_taken, before))
    )
    all_of_it = [slice(None)] * mask.aval.ndim
    view: Any = view_of(box, *part_of([*before, *all_of_it, *after], box.aval.shape))
    lead = sum(e is None or isinstance(e, slice) for e in before)
    advanced = [k for k, e in enumerate(entries) if not _is_basic(e)]
    if lead and advanced[-1] - advanced[0] != len(advanced) - 1:
        # An integer apart from the mask: NumPy puts what is picked first.
        if type(view) is not Box:
            view.refuse("an index by an integer apart from a mask")
        m, ndim = mask.aval.ndim, view.aval.ndim
        picked = tuple(range(lead, lead + m))
        view = view.transposed((*picked, *(k for k in range(ndim) if k not in picked)))
        lead = 0
    return Masked(view, mask, lead)


def _is_basic(entry: Any) -> bool:
    return entry is None or isinstance(entry, slice)


def _is_at_ragged(key: Any) -> bool:
    """Whether an array of traced length is among the indices."""
    return any(type(e) is Ragged for e in (key if isinstance(key, tuple) else (key,)))


def _flags_settled(box: Box, entries: list[Any]) -> tuple[Box, list[Any]]:
    """True and False as indices: an axis of its own, of which one or none is picked."""
    settled, at = [], 0
    for entry in entries:
        if fancy.is_flag(entry):
            box = getitem(box, (*(slice(None),) * at, None, ...))
            entry = np.zeros(1 if plain(entry) else 0, INT)
        settled.append(entry)
        at += fancy.axes_taken(entry)
    return box, settled


def _at_picked(box: Box, key: Any) -> Masked:
    """`box[indices]`, where the indices were picked by a traced mask."""
    entries = key if isinstance(key, tuple) else (key,)
    first = entries[0]
    if any(e.ndim != 1 for e in entries) or len(entries) > box.aval.ndim:
        first.refuse("an index needs to know")
    indices = tuple([first.whole(e) for e in entries])
    values = fancy.gather(box, expand(indices, box.aval.ndim))
    return first.of(values, safe=True)


def getitem(box: Box, key: Any) -> Any:
    """`box[key]`."""
    _require_array(box, box.kind == "python", "is not subscriptable")
    if is_picked(key):
        mask = mask_of(key, box.aval.shape)
        if mask is None:
            return _at_picked(box, key)
        key = mask
    if _is_at_ragged(key):
        return HANDLERS["gather at ragged"](box, key)
    entries = expand(key, box.aval.ndim)
    if any(map(fancy.is_array, entries)):
        box, entries = _flags_settled(box, entries)
        found = masked_part(box, entries)
        if found is None:
            return fancy.gather(box, entries)
        view: Any = found.values
        if type(view) is Ragged:
            return view[(*(slice(None),) * found.lead, found.mask)]
        return picked(found.values, found.mask, found.lead)
    part, new = part_of(entries, box.aval.shape)
    if _is_ragged(part):
        return view_of(box, part, new)
    has_dots = key is Ellipsis or (isinstance(key, tuple) and Ellipsis in map(_id, key))
    if part.shape or new or has_dots:
        view = view_of(box, part, new)
        # An index that is an array without axes picks as an integer, but copies.
        return copied(view) if any(map(fancy.is_array_of_one, entries)) else view
    # A point: the scalar itself, which later writes to the array do not change.
    if box.known and part.static:
        return part.of(box.array)[()]
    return box_of(box.through(part).read(), "scalar")


def _require_array(box: Box, number: bool, what: str) -> None:
    if number:
        raise OperandTypeError(
            f"a {box.kind} number {what}",
            current_trace().builder.loc,
            "np.array(x), which makes an array of it",
        )


def _id(entry: Any) -> Any:
    return entry if entry is Ellipsis else None


def setitem(box: Box, key: Any, value: Any) -> None:
    """`box[key] = value`."""
    _require_array(box, box.kind != "array", "does not support item assignment")
    box.require_writable()
    if is_picked(key):
        first = key[0] if isinstance(key, tuple) else key
        key = mask_of(key, box.aval.shape)
        if key is None:
            first.refuse("a write at computed indices needs to know")
    if _is_at_ragged(key):
        HANDLERS["scatter at ragged"](box, key, value)
        return
    entries = expand(key, box.aval.ndim)
    if any(map(fancy.is_array, entries)):
        box, entries = _flags_settled(box, entries)
        place = masked_part(box, entries)
        part: Any = None if place is None else place.values
        if place is None:
            fancy.scatter(box, entries, value)
        elif type(part) is Ragged:
            part[(*(slice(None),) * place.lead, place.mask)] = value
        elif type(value) is Ragged or not _is_for_each(place, value):
            HANDLERS["unpack"](place, value)
        else:
            fancy.write_masked(place, value)
        return
    part, new = part_of(entries, box.aval.shape)
    view = view_of(box, part, new)
    if type(view) is Ragged or type(value) is Ragged:
        HANDLERS["ragged store"](view, value)
        return
    if type(value) is Box and same_view(view, value):
        return  # the second half of `A[key] += v`, which has written already
    assign(view, value)


def _is_for_each(place: Masked, value: Any) -> bool:
    """Whether it is a value for all that a mask picks, or picked by one, too."""
    is_array = isinstance(value, Box | np.ndarray | list | tuple)
    return not is_array or place.spans(as_box(value))


def same_view(a: Box, b: Box) -> bool:
    """Whether both are the same part of the same array."""
    if a.one_of or b.one_of:
        alike = len(a.one_of) == len(b.one_of) and a.value.which is b.value.which
        return alike and all(map(same_view, a.one_of, b.one_of))
    while a is not b:
        if a.base is None or b.base is None or a.lens != b.lens:
            return False
        a, b = a.base, b.base
    return True


def assign(target: Box, value: Any) -> None:
    """`target[...] = value`: cast and broadcast to the array that is there."""
    if isinstance(value, list | tuple):
        value = as_box(value)
    if is_static(value) and target.stays_known():
        target.write_known(plain(value))
        return
    atom = convert(operand(value), target.aval.dtype)
    target.write(fit(atom, target.aval.shape))


def _iterate(box: Box) -> Any:
    for k in range(len(box)):
        yield getitem(box, k)


for _name, _method in (
    ("__getitem__", getitem),
    ("__setitem__", setitem),
    ("__iter__", _iterate),
):
    setattr(Box, _name, _method)
