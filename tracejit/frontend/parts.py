"""NumPy's functions that insert, delete, pick and replace elements, on boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.errors import DataDependentShapeError, ShapeMismatchError
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    as_box,
    call,
    copied,
    is_static,
    known_box,
    leaves,
    operand,
    plain,
)
from tracejit.frontend.indexing import assign
from tracejit.frontend.masked import Masked, is_picked
from tracejit.frontend.numpy_calls import array, asarray, astype, library
from tracejit.frontend.operators import outside
from tracejit.frontend.picking import grid, take
from tracejit.frontend.trace import current_trace
from tracejit.frontend.views import flat, moveaxis, ravel, reshape
from tracejit.ops.numpy_names import unsupported
from tracejit.ops.numpy_reduce import normal_axis
from tracejit.ops.promote import result_type


def _loc() -> Any:
    return current_trace().builder.loc


def run(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of the user's, as lifted code would."""
    lifting = getattr(current_trace(), "call", None)
    if lifting is not None:
        return lifting(fn, *args, **kwargs)
    return (HANDLERS.get(fn) or fn)(*args, **kwargs)


def _static(x: Any, what: str) -> Any:
    """Positions, which decide a shape."""
    if any(not is_static(v) and v.concrete() is None for v in leaves([x])):
        raise DataDependentShapeError(
            f"the positions that {what} works at are traced", _loc(), "known positions"
        )
    if isinstance(x, list | tuple):
        return [plain(v) for v in x]
    return plain(x)


def new_array(shape: Any, *sources: Any) -> Box:
    """An array to be filled, of the common dtype of others."""
    return known_box(np.zeros(shape, result_type(*map(operand, sources))), shape)


# Inserting and deleting ---------------------------------------------------------------


@library(np.delete, arrays=1)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    """`np.delete`: what is left is gathered."""
    box = asarray(arr)
    box, axis = (ravel(box), 0) if axis is None else (box, axis)
    axis = normal_axis(axis, box.aval.ndim)
    if is_picked(obj):
        kept = call(np.ones, box.aval.shape[axis], bool)
        kept[obj] = False
        return box[(*(slice(None),) * axis, kept)]
    kept = np.delete(np.arange(int(box.aval.shape[axis])), _static(obj, "np.delete"))
    return take(box, known_box(kept), axis)


@library(np.insert, arrays=1)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """`np.insert`: old and new elements stored where NumPy puts them."""
    box, obj = asarray(arr), _static(obj, "np.insert")
    box, axis = (ravel(box), 0) if axis is None else (box, axis)
    axis = normal_axis(axis, box.aval.ndim)
    n = int(box.aval.shape[axis])
    values = array(values, box.aval.dtype, copy=None, ndmin=box.aval.ndim)
    if np.ndim(obj) == 0 and not isinstance(obj, slice):
        values = moveaxis(values, 0, axis)
        obj = [obj] * int(values.aval.shape[axis])
        obj = obj if len(obj) != 1 else obj[0]
    # Where old elements end up is what inserting marks among their numbers says.
    marks = np.insert(np.arange(n), obj, -1)
    out = new_array(
        (*box.aval.shape[:axis], len(marks), *box.aval.shape[axis + 1 :]), box
    )
    lead = (slice(None),) * axis
    out[(*lead, np.flatnonzero(marks >= 0))] = box
    out[(*lead, _places_of_new(obj, n))] = values
    return out


def _places_of_new(obj: Any, n: int) -> Any:
    """Where each inserted element ends up, in the order in which they are given."""
    indices = np.arange(n)[obj] if isinstance(obj, slice) else np.atleast_1d(obj)
    if indices.dtype == bool:
        indices = np.flatnonzero(indices)
    indices = np.where(indices < 0, indices + n, indices).astype(int)
    order = np.argsort(indices, kind="stable")
    indices[order] += np.arange(len(indices))
    return indices


@library(np.resize, arrays=1)
def resize(a: Any, new_shape: Any) -> Any:
    """`np.resize`: repeated as often as it takes."""
    box = ravel(asarray(a))
    shape = new_shape if isinstance(new_shape, tuple | list) else (new_shape,)
    index = np.resize(np.arange(int(box.aval.size)), tuple(map(plain, shape)))
    return box[known_box(index)]


@library(np.block, arrays=0)
def block(arrays: Any) -> Any:
    """`np.block`: joined along the last axis first."""

    def depth(x: Any) -> int:
        return 1 + depth(x[0]) if isinstance(x, list) else 0

    levels = depth(arrays)
    ndim = max(levels, *(as_box(x).aval.ndim for x in leaves([arrays])))

    def joined(x: Any, level: int) -> Any:
        if not isinstance(x, list):
            return array(x, copy=None, ndmin=ndim)
        parts = [joined(part, level - 1) for part in x]
        return call(np.concatenate, parts, axis=-level)

    return joined(arrays, levels) if levels else copied(asarray(arrays))


# Picking ------------------------------------------------------------------------------


@library(np.compress)
def compress(condition: Any, a: Any, axis: Any = None) -> Any:
    """`np.compress`."""
    box, mask = asarray(a), asarray(condition)
    if axis is None:
        box, axis = ravel(box), 0
    if is_static(mask) or mask.concrete() is not None:
        return take(box, known_box(np.flatnonzero(plain(mask))), axis)
    lead = (slice(None),) * normal_axis(axis, box.aval.ndim)
    return box[(*lead, astype(mask, bool))]


def extract(condition: Any, arr: Any) -> Any:
    """`np.extract`: where the mask is traced, nobody knows how many elements."""
    if is_static(condition) and type(arr) is not Box:
        return np.extract(condition, arr)
    mask = ravel(astype(asarray(condition), bool))
    values = ravel(asarray(arr))
    return compress(mask, values)


HANDLERS[np.extract] = extract


@library(np.choose, arrays=1)
def choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    """`np.choose`: elements of the arrays that another one numbers."""
    index: Any = asarray(a)
    listed = choices if isinstance(choices, list | tuple) else list(asarray(choices))
    dtype = call(np.result_type, *map(as_box, listed))
    listed = [astype(asarray(c), dtype, copy=False) for c in listed]
    index, *boxes = call(np.broadcast_arrays, index, *listed)
    if mode == "clip":
        index = call(np.clip, index, 0, len(boxes) - 1)
    elif mode == "wrap":
        index = index % len(boxes)
    stacked = call(np.stack, boxes)
    key = grid(reshape(index, (1, *index.aval.shape)), 0)
    return stacked[key][0]


# Replacing ----------------------------------------------------------------------------


def _target(x: Any) -> Box:
    if type(x) is not Box:
        raise outside(x)
    x.require_writable()
    return x


def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """`np.put`: into the elements in C order; few values are repeated."""
    box = flat(_target(a))
    index: Any = ravel(asarray(ind))
    count, extent = index.aval.size, box.aval.size
    if mode != "raise":
        index = (
            index % extent if mode == "wrap" else call(np.clip, index, 0, extent - 1)
        )
    box[index] = resize(v, count) if count else 0


HANDLERS[np.put] = put


def place(arr: Any, mask: Any, vals: Any) -> None:
    """`np.place`: values one after another.

    Where the mask is traced: one value, or as many as the mask picks.
    """
    box = _target(arr)
    mask = astype(asarray(mask), bool)
    if type(vals) is Masked:
        flat(box)[ravel(mask)] = vals
        return
    vals = ravel(asarray(vals))
    if vals.aval.size == 1:
        box[mask] = vals[0]
        return
    where = np.flatnonzero(_static(mask, "np.place"))
    put(box, known_box(where), vals)


HANDLERS[np.place] = place


def putmask(a: Any, mask: Any, values: Any) -> None:
    """`np.putmask`: each value belongs to the place of the same number."""
    box, values = _target(a), asarray(values)
    if values.aval.shape != box.aval.shape:
        values = resize(values, box.aval.shape)
    cast = astype(values, box.aval.dtype)
    assign(box, call(np.where, asarray(mask), cast, box))


HANDLERS[np.putmask] = putmask


def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    """`np.put_along_axis`."""
    box, indices = _target(arr), asarray(indices)
    if axis is None:
        box, axis = flat(box), 0
    box[grid(indices, normal_axis(axis, box.aval.ndim), box.aval.shape)] = values


HANDLERS[np.put_along_axis] = put_along_axis


# Functions of parts -------------------------------------------------------------------


@library(np.piecewise, arrays=1)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """`np.piecewise`: the last condition that holds decides."""
    scalar = as_box(x).aval.shape == ()
    box = reshape(asarray(x), (1,)) if scalar else asarray(x)
    if isinstance(condlist, list | tuple) and np.ndim(condlist[0] if condlist else 0):
        conditions = [asarray(c) for c in condlist]
    elif isinstance(condlist, list | tuple):
        conditions = [asarray(c) for c in condlist]
    else:
        conditions = list(condlist) if condlist.ndim > box.aval.ndim else [condlist]
    conditions = [
        call(np.broadcast_to, astype(asarray(c), bool), box.aval.shape)
        for c in conditions
    ]
    if len(funclist) == len(conditions) + 1:
        some = conditions[0]
        for c in conditions[1:]:
            some = call(np.logical_or, some, c)
        conditions.append(call(np.logical_not, some))
    if len(funclist) != len(conditions):
        n = len(conditions)
        raise ShapeMismatchError(
            f"with {n} condition(s), either {n} or {n + 1} functions are expected",
            _loc(),
        )
    out: Any = call(np.zeros_like, box)
    for condition, function in zip(conditions, funclist, strict=True):
        value = function
        if callable(function):
            value = run(function, box[condition], *args, **kw)
        out[condition] = value
    return reshape(out, ()) if scalar else out


@library(np.apply_over_axes, arrays=0)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    """`np.apply_over_axes`."""
    out = asarray(a)
    for axis in axes if isinstance(axes, list | tuple) else [axes]:
        ndim = out.aval.ndim
        found = asarray(run(func, out, axis))
        out = found if found.aval.ndim == ndim else call(np.expand_dims, found, axis)
    return out


@library(np.apply_along_axis, arrays=0)
def apply_along_axis(func1d: Any, axis: Any, arr: Any, *args: Any, **kw: Any) -> Any:
    """`np.apply_along_axis`: once for each of the others' indices."""
    box = asarray(arr)
    axis = normal_axis(axis, box.aval.ndim)
    rows = moveaxis(box, axis, -1)
    lead = tuple(map(int, rows.aval.shape[:-1]))
    found = [run(func1d, rows[i], *args, **kw) for i in np.ndindex(lead)]
    stacked = call(np.stack, [asarray(f) for f in found])
    rest = stacked.aval.shape[1:]
    out = reshape(stacked, (*lead, *rest))
    return moveaxis(
        out, range(len(lead), len(lead) + len(rest)), range(axis, axis + len(rest))
    )


def vectorized(ufunc: np.vectorize, *args: Any, **kw: Any) -> Any:
    """A call of `np.vectorize(f)`: `f` of every element, or of every core."""
    if ufunc.signature is not None:
        return _with_cores(ufunc, args)
    boxes = call(np.broadcast_arrays, *[asarray(a) for a in args])
    shape = boxes[0].aval.shape
    places = list(np.ndindex(tuple(map(int, shape))))
    found = [run(ufunc.pyfunc, *[b[i] for b in boxes], **kw) for i in places]
    return _gathered(found, shape, ufunc.otypes)


def _gathered(found: list[Any], shape: Any, otypes: Any) -> Any:
    if found and isinstance(found[0], tuple):
        each = zip(*found, strict=True)
        return tuple([_gathered(list(f), shape, None) for f in each])
    parts = [asarray(f) for f in found]
    dtype = otypes[0] if otypes else parts[0].aval.dtype
    stacked = call(np.stack, [astype(p, np.dtype(dtype)) for p in parts])
    return reshape(stacked, (*shape, *stacked.aval.shape[1:]))


def _with_cores(ufunc: np.vectorize, args: Any) -> Any:
    cores = (
        str(ufunc.signature)
        .replace(" ", "")
        .partition("->")[0]
        .strip("()")
        .split("),(")
    )
    counts = [len(c.split(",")) if c else 0 for c in cores]
    boxes = [asarray(a) for a in args]
    leads = [
        b.aval.shape[: b.aval.ndim - n] for b, n in zip(boxes, counts, strict=True)
    ]
    lead = np.broadcast_shapes(*leads)
    boxes = [
        call(np.broadcast_to, b, (*lead, *b.aval.shape[b.aval.ndim - n :]))
        for b, n in zip(boxes, counts, strict=True)
    ]
    found = [run(ufunc.pyfunc, *[b[i] for b in boxes]) for i in np.ndindex(lead)]
    return _gathered(found, lead, ufunc.otypes)


def ndenumerate(x: Any) -> Any:
    """`np.ndenumerate`: pairs of index and element."""
    box = asarray(x)
    return iter([(i, box[i]) for i in np.ndindex(tuple(map(int, box.aval.shape)))])


HANDLERS[np.ndenumerate] = lambda x: (
    ndenumerate(x) if type(x) is Box else np.ndenumerate(x)
)


class Joined:
    """`np.r_` and `np.c_`, of boxes too."""

    def __init__(self, plainly: Any, columns: bool):
        self.plainly, self.columns = plainly, columns

    def __call__(self, key: Any) -> Any:
        entries = key if isinstance(key, tuple) else (key,)
        if not any(type(e) is Box or isinstance(e, list) for e in leaves(entries)):
            return self.plainly[key]
        if isinstance(entries[0], str):
            raise unsupported("np.r_ with a directive", "np.concatenate")
        parts = [self._part(e) for e in entries]
        # Numbers yield to the dtypes of arrays.
        kinds = [
            p if isinstance(e, slice) else e
            for p, e in zip(parts, entries, strict=True)
        ]
        dtype = call(np.result_type, *[as_box(k) for k in kinds])
        parts = [astype(p, dtype, copy=False) for p in parts]
        if self.columns:
            columns = [reshape(p, (-1, 1)) if p.aval.ndim < 2 else p for p in parts]
            return call(np.concatenate, columns, axis=-1)
        return call(np.concatenate, parts)

    def _part(self, entry: Any) -> Box:
        if isinstance(entry, slice):
            entry = slice(*(plain(v) for v in (entry.start, entry.stop, entry.step)))
            return known_box(self.plainly[entry].ravel())
        return array(entry, copy=None, ndmin=1)


#: What `np.r_[…]` is, by the object.
JOINERS = {id(np.r_): Joined(np.r_, False), id(np.c_): Joined(np.c_, True)}
