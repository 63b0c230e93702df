"""NumPy's functions that make views: they alias, so they are made on boxes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.errors import ShapeMismatchError
from tracejit.frontend.box import (
    HANDLERS,
    UNKNOWN,
    Box,
    as_box,
    copied,
    has_box,
    plain,
)
from tracejit.frontend.lens import Broadcasted, Part, Reshaped, c_ordered
from tracejit.frontend.numpy_calls import asarray
from tracejit.frontend.trace import current_trace
from tracejit.ops.numpy_names import unsupported
from tracejit.ops.numpy_products import subscripts
from tracejit.ops.numpy_reduce import normal_axes, normal_axis
from tracejit.ops.numpy_shape import diagonal_place
from tracejit.ops.promote import broadcast_shapes, shape_text


def _loc() -> Any:
    return current_trace().builder.loc


def size(box: Box) -> int:
    """How many elements; an Extent where the shape has one."""
    shape = box.aval.shape
    total = shape[0] if shape else 1
    for n in shape[1:]:
        total = total * n
    return total


def reshape(
    x: Any, shape: Any = None, order: str = "C", *, copy: Any = None, **old: Any
) -> Box:
    """`np.reshape`: a view where NumPy makes one."""
    box = asarray(x)
    if box.one_of:
        return box.each(lambda one: reshape(one, shape, order, copy=copy, **old))
    shape = old.pop("newshape", shape)
    new = list(shape) if isinstance(shape, tuple | list) else [shape]
    new = [n if isinstance(n, int) else plain(n).__index__() for n in new]
    if order == "F":
        # Fortran order reads the axes backwards, and writes them so.
        flipped = reshape(transpose(box), tuple(new[::-1]), copy=copy)
        return transpose(flipped)
    ordered = c_ordered(box.aval.shape, box.strides_in_elements)
    if order != "C" and not (order in "AK" and ordered):
        raise unsupported(f"reshape with order={order!r}", "order='C' or 'F'")
    if new.count(-1) > 1:
        raise ShapeMismatchError("can only specify one unknown dimension", _loc())
    total = size(box)
    if -1 in new:
        at = new.index(-1)
        rest = math.prod(map(int, new[:at] + new[at + 1 :]))
        if rest and int(total) % rest == 0:
            new[at] = _quotient(total, box.aval.shape, new[:at] + new[at + 1 :])
    if -1 in new or math.prod(map(int, new)) != total:
        raise ShapeMismatchError(
            f"cannot reshape array of size {int(total)} into shape {shape_text(new)}",
            _loc(),
        )
    out = box.reshaped(tuple(new))
    return copied(out) if copy else out


def _quotient(total: int, shape: Any, rest: list[int]) -> int:
    """The extent that -1 stands for, by a name that all sizes share."""
    left = list(shape)
    for n in rest:
        if n in left:
            left.remove(n)
        elif n != 1:
            for m in rest:
                total = total // m
            return total
    out = left[0] if left else 1
    for n in left[1:]:
        out = out * n
    return out


def ravel(x: Any, order: str = "C") -> Box:
    """`np.ravel`: a view of what is contiguous, else a copy."""
    box = asarray(x)
    if box.one_of:
        return box.each(lambda one: ravel(one, order))
    out = reshape(box, (size(box),), order)
    strides = out.strides_in_elements
    strided = strides is not None and out.aval.size > 1 and strides != (1,)
    return copied(out) if strided else out


def flat(box: Box) -> Box:
    """`x.flat`: always the elements themselves, in C order."""
    return box.through(Reshaped(box.aval.shape, (size(box),)))


def transpose(x: Any, axes: Any = None) -> Box:
    """`np.transpose`: a view."""
    box = asarray(x)
    ndim = box.aval.ndim
    if axes is None:
        perm = tuple(reversed(range(ndim)))
    else:
        perm = tuple([normal_axis(a, ndim) for a in axes])
        if sorted(perm) != list(range(ndim)):
            raise ShapeMismatchError("axes don't match array", _loc())
    return box if perm == tuple(range(ndim)) else box.transposed(perm)


def swapaxes(x: Any, axis1: Any, axis2: Any) -> Box:
    """`np.swapaxes`."""
    ndim = asarray(x).aval.ndim
    perm = list(range(ndim))
    a, b = normal_axis(axis1, ndim), normal_axis(axis2, ndim)
    perm[a], perm[b] = b, a
    return transpose(x, perm)


def moveaxis(x: Any, source: Any, destination: Any) -> Box:
    """`np.moveaxis`."""
    ndim = asarray(x).aval.ndim

    def listed(axes: Any) -> list[int]:
        axes = axes if isinstance(axes, tuple | list | range) else (axes,)
        return [normal_axis(a, ndim) for a in axes]

    source, destination = listed(source), listed(destination)
    perm = [k for k in range(ndim) if k not in source]
    for to, axis in sorted(zip(destination, source, strict=True)):
        perm.insert(to, axis)
    return transpose(x, perm)


def squeeze(x: Any, axis: Any = None) -> Box:
    """`np.squeeze`."""
    box = asarray(x)
    shape = box.aval.shape
    axes = normal_axes(axis, len(shape)) if axis is not None else None
    if axes is None:
        axes = tuple([k for k, n in enumerate(shape) if n == 1])
    if any(shape[k] != 1 for k in axes):
        raise ShapeMismatchError(
            "cannot select an axis to squeeze out which has size not equal to one",
            _loc(),
        )
    return box.reshaped(tuple([n for k, n in enumerate(shape) if k not in axes]))


def expand_dims(x: Any, axis: Any) -> Box:
    """`np.expand_dims`."""
    box = asarray(x)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = box.aval.ndim + len(axes)
    places = normal_axes(tuple(axes), ndim)
    rest = iter(box.aval.shape)
    return box.reshaped(tuple([1 if k in places else next(rest) for k in range(ndim)]))


def broadcast_to(x: Any, shape: Any) -> Box:
    """`np.broadcast_to`: a view that is not written to."""
    box = asarray(x)
    new = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    have = box.aval.shape
    lead = len(new) - len(have)
    fits = lead >= 0 and all(n in (1, m) for n, m in zip(have, new[lead:], strict=True))
    if not fits:
        raise ShapeMismatchError(
            "operands could not be broadcast together with remapped shapes "
            f"[original->remapped]: {shape_text(have)} and requested shape "
            f"{shape_text(new)}",
            _loc(),
        )
    return box.through(Broadcasted(have, new))


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Box, ...]:
    """`np.broadcast_arrays`."""
    boxes = [asarray(x) for x in args]
    shape = broadcast_shapes(*(b.aval.shape for b in boxes))
    return tuple([broadcast_to(b, shape) for b in boxes])


def flip(x: Any, axis: Any = None) -> Box:
    """`np.flip`: a view with negative steps."""
    box = asarray(x)
    axes = normal_axes(axis, box.aval.ndim)
    key = tuple(
        [slice(None, None, -1 if k in axes else 1) for k in range(box.aval.ndim)]
    )
    return box[(*key, ...)]


def meshgrid(
    *xs: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True
) -> tuple[Box, ...]:
    """`np.meshgrid`."""
    boxes = [asarray(x) for x in xs]
    grids = []
    for k, box in enumerate(boxes):
        axis = 1 - k if indexing == "xy" and k < 2 and len(boxes) > 1 else k
        extents = [size(box) if j == axis else 1 for j in range(len(boxes))]
        grids.append(box.reshaped(tuple(extents)))
    grids = grids if sparse else list(broadcast_arrays(*grids))
    return tuple([copied(g) if copy else g for g in grids])


def read_only(box: Box) -> Box:
    """A view of all of it that NumPy does not let one write to."""
    return box.through(Broadcasted(box.aval.shape, box.aval.shape))


def diagonal_view(box: Box, offset: int, axis1: int, axis2: int) -> Box:
    """The diagonal of two axes, as the last axis."""
    if box.one_of:
        return box.each(lambda one: diagonal_view(one, offset, axis1, axis2))
    ndim = box.aval.ndim
    first, second = normal_axis(axis1, ndim), normal_axis(axis2, ndim)
    rest = [k for k in range(ndim) if k not in (first, second)]
    box = transpose(box, (*rest, first, second))
    *lead, n, m = box.aval.shape
    start, extent = diagonal_place(n, m, offset)
    flat = box.through(Reshaped(box.aval.shape, (*lead, n * m)))
    ones = (1,) * len(lead)
    starts = (*(0 for _ in lead), start)
    part = Part(flat.aval.shape, starts, (*lead, extent), (*ones, m + 1))
    view = flat.through(part)
    strides = box.strides_in_elements
    if strides is not None:
        view._layout = (*strides[:-2], strides[-2] + strides[-1])
    return view


def diagonal(x: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Box:
    """`np.diagonal`: a view that is not written to."""
    return read_only(diagonal_view(asarray(x), plain(offset), axis1, axis2))


def diag(x: Any, k: Any = 0) -> Any:
    """`np.diag`: of a matrix it is a view, like `np.diagonal`."""
    box = asarray(x)
    return diagonal(box, k) if box.aval.ndim == 2 else _MATRIX_OF_DIAGONAL(box, k)


def einsum(*args: Any, **options: Any) -> Any:
    """`np.einsum`: of one array, without sums, it is a view."""
    operands = [x for x in args if type(x) is Box]
    if len(operands) == 1 and len(args) <= 3 and not options:
        (box,) = operands
        atoms = [x.read() if x is box else x for x in args]
        _, (names,), output = subscripts(atoms)
        if set(names) == set(output):
            return _relabelled(box, names, output)
    out = _EINSUM(*args, **options)
    if type(out) is Box and out.aval.ndim > 1:
        out._layout = UNKNOWN
    return out


def _relabelled(box: Box, names: str, output: str) -> Box:
    for name in output:
        while names.count(name) > 1:
            i = names.index(name)
            j = names.index(name, i + 1)
            box = diagonal_view(box, 0, i, j)
            names = names[:i] + names[i + 1 : j] + names[j + 1 :] + name
    return transpose(box, [names.index(n) for n in output])


_MATRIX_OF_DIAGONAL, _EINSUM = HANDLERS[np.diag], HANDLERS[np.einsum]


def _atleast(ndim: int) -> Callable[..., Any]:
    def at_least(*args: Any) -> Any:
        out = [_raised(asarray(x), ndim) for x in args]
        return out[0] if len(out) == 1 else tuple(out)

    return at_least


def _raised(box: Box, ndim: int) -> Box:
    """Axes of extent 1 where np.atleast_nd puts them."""
    have = box.aval.shape
    if len(have) >= ndim:
        return box
    if ndim == 3:
        shape = {0: (1, 1, 1), 1: (1, *have, 1), 2: (*have, 1)}[len(have)]
    else:
        shape = (1,) * (ndim - len(have)) + have
    return box.reshaped(shape)


def array_split(x: Any, sections: Any, axis: int = 0, exact: bool = False) -> list[Box]:
    """`np.array_split`; `np.split` wants equal parts."""
    box = asarray(x)
    axis = normal_axis(axis, box.aval.ndim)
    extent = box.aval.shape[axis]
    if isinstance(sections, int | np.integer):
        count, more = divmod(int(extent), int(sections))
        if exact and more:
            raise ShapeMismatchError(
                "array split does not result in an equal division", _loc()
            )
        sizes = [count + 1] * more + [count] * (sections - more)
        cuts = [0, *np.cumsum(sizes).tolist()]
    else:
        cuts = [0, *map(plain, sections), extent]
    lead = (slice(None),) * axis
    pairs = itertools.pairwise(cuts)
    return [box[(*lead, slice(a, b))] for a, b in pairs]


def _split_along(axis: int) -> Callable[..., list[Box]]:
    def split(x: Any, sections: Any) -> list[Box]:
        along = axis if axis != 1 or asarray(x).aval.ndim > 1 else 0
        return array_split(x, sections, along, exact=True)

    return split


def rot90(x: Any, k: int = 1, axes: Any = (0, 1)) -> Box:
    """`np.rot90`."""
    a, b = axes
    turns = {
        0: lambda y: y,
        1: lambda y: swapaxes(flip(y, b), a, b),
        2: lambda y: flip(flip(y, a), b),
        3: lambda y: flip(swapaxes(y, a, b), b),
    }
    return turns[k % 4](asarray(x))


_VIEWS: dict[Any, Callable[..., Any]] = {
    np.reshape: reshape,
    np.ravel: ravel,
    np.transpose: transpose,
    np.permute_dims: transpose,
    np.matrix_transpose: lambda x: swapaxes(x, -1, -2),
    np.linalg.matrix_transpose: lambda x: swapaxes(x, -1, -2),
    np.swapaxes: swapaxes,
    np.moveaxis: moveaxis,
    np.squeeze: squeeze,
    np.expand_dims: expand_dims,
    np.broadcast_to: broadcast_to,
    np.broadcast_arrays: broadcast_arrays,
    np.diag: diag,
    np.diagonal: diagonal,
    np.linalg.diagonal: lambda x, *, offset=0: diagonal(x, offset, -2, -1),
    np.einsum: einsum,
    np.real: lambda x: asarray(x).real,
    np.imag: lambda x: asarray(x).imag,
    np.meshgrid: meshgrid,
    np.flip: flip,
    np.flipud: lambda x: flip(x, 0),
    np.fliplr: lambda x: flip(x, 1),
    np.rot90: rot90,
    np.atleast_1d: _atleast(1),
    np.atleast_2d: _atleast(2),
    np.atleast_3d: _atleast(3),
    np.array_split: array_split,
    np.split: lambda x, n, axis=0: array_split(x, n, axis, exact=True),
    np.vsplit: _split_along(0),
    np.hsplit: _split_along(1),
    np.dsplit: _split_along(2),
}


def _handler(fn: Any, view: Callable[..., Any]) -> Callable[..., Any]:
    def handler(*args: Any, **kwargs: Any) -> Any:
        if not has_box(*args, *kwargs.values()):
            return fn(*args, **kwargs)
        return view(*args, **kwargs)

    return handler


for _fn, _view in _VIEWS.items():
    HANDLERS[_fn] = _handler(_fn, _view)

HANDLERS[np.result_type] = lambda *args: np.result_type(
    *(_typed(x) if type(x) is Box else x for x in args)
)


def _typed(box: Box) -> Any:
    """What stands for a box in NumPy's promotion: a dtype, or a number of Python's."""
    return box.aval.dtype if box.kind != "python" else box.aval.dtype.type(0).item()


HANDLERS[np.shape] = lambda x: as_box(x).aval.shape if has_box(x) else np.shape(x)
HANDLERS[np.ndim] = lambda x: as_box(x).aval.ndim if has_box(x) else np.ndim(x)
HANDLERS[np.size] = lambda x, axis=None: (
    np.size(x, axis)
    if not has_box(x)
    else size(as_box(x))
    if axis is None
    else as_box(x).aval.shape[axis]
)
