"""Views: how to read a part of an array, and how to replace it.

A lens belongs to a view and knows nothing of boxes. `get(x)` reads the view out of its
base, `put(x, v)` is the base with the view replaced by `v` (both on Atoms); `of(array)`
is the NumPy view of a real array. `strides` (in elements) decide, as in NumPy, whether
a reshape is a view; None means that the layout is not known.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracejit.base.errors import OverlapError, UnknownAliasError
from tracejit.frontend.trace import current_trace
from tracejit.ir.program import Atom
from tracejit.ops.index import getitem, setitem
from tracejit.ops.numpy_names import emit
from tracejit.ops.promote import INT, broadcast_to
from tracejit.ops.shape import reshape, transpose

Shape: TypeAlias = tuple[int, ...]
Strides: TypeAlias = tuple[int, ...] | None


def start_atom(start: Any) -> Atom:
    """A start as an operand; one known while staging becomes a Literal."""
    return current_trace().literal(start, INT) if isinstance(start, int) else start


def shifted(start: Any, index: Any, step: int) -> Any:
    """`start + index * step`: an int where both are known while staging."""
    if isinstance(start, int) and isinstance(index, int):
        return start + index * step
    if isinstance(start, int) and start == 0 and step == 1:
        return index

    def emitted() -> Atom:
        offset = start_atom(index)
        if step != 1:
            offset = emit("mul", offset, start_atom(step))
        return emit("add", start_atom(start), offset)

    # One Atom for one place: views of the same part are recognised by their starts.
    return current_trace().memoized(("shifted", start, index, step), emitted)


@dataclass(frozen=True, slots=True)
class Part:
    """Basic indexing: a start, a size (None: a point) and a step for each axis.

    Starts are in range: ints where known while staging, else int64 Atoms.
    """

    base: Shape
    starts: tuple[Any, ...]
    sizes: tuple[int | None, ...]
    steps: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        return tuple([n for n in self.sizes if n is not None])

    @property
    def static(self) -> bool:
        """Whether no start is traced."""
        return all(isinstance(s, int) for s in self.starts)

    @property
    def whole(self) -> bool:
        """Whether it is all of the base, in its order."""
        return (
            self.sizes == self.base
            and all(step == 1 for step in self.steps)
            and all(isinstance(s, int) and s == 0 for s in self.starts)
        )

    def get(self, x: Atom) -> Atom:
        if self.whole:
            return x
        starts = map(start_atom, self.starts)
        return getitem(x, *starts, sizes=self.sizes, steps=self.steps)

    def put(self, x: Atom, v: Atom) -> Atom:
        if self.whole:
            return v
        starts = map(start_atom, self.starts)
        return setitem(x, v, *starts, sizes=self.sizes, steps=self.steps)

    def of(self, array: Any) -> Any:
        key: list[Any] = []
        for start, size, step in zip(self.starts, self.sizes, self.steps, strict=True):
            if size is None:
                key.append(int(start))
            else:
                stop = start + size * step
                key.append(slice(start, None if stop < 0 else stop, step))
        return array[(*key, ...)]

    def strides(self, strides: Strides) -> Strides:
        if strides is None:
            return None
        kept = zip(strides, self.sizes, self.steps, strict=True)
        return tuple([s * step for s, size, step in kept if size is not None])

    def after(self, outer: Part) -> Part:
        """This part of that part, as one part of its base."""
        starts, sizes, steps = list(outer.starts), list(outer.sizes), list(outer.steps)
        axes = [k for k, size in enumerate(outer.sizes) if size is not None]
        inner = zip(axes, self.starts, self.sizes, self.steps, strict=True)
        for axis, start, size, step in inner:
            starts[axis] = shifted(starts[axis], start, steps[axis])
            sizes[axis], steps[axis] = size, steps[axis] * step
        return Part(outer.base, tuple(starts), tuple(sizes), tuple(steps))

    def across(self, perm: Sequence[int]) -> tuple[Part, tuple[int, ...]]:
        """This part of a transposed array: a part of the array, then a transpose."""
        order = [perm.index(k) for k in range(len(perm))]
        base = tuple([self.base[k] for k in order])
        fields: Any = (self.starts, self.sizes, self.steps)
        part = Part(base, *(tuple([f[k] for k in order]) for f in fields))
        kept = [axis for axis in perm if part.sizes[axis] is not None]
        return part, tuple([sorted(kept).index(axis) for axis in kept])


@dataclass(frozen=True, slots=True)
class Transposed:
    """Axes permuted: axis k of the view is axis perm[k] of the base."""

    base: Shape
    perm: tuple[int, ...]
    static = True

    @property
    def shape(self) -> Shape:
        return tuple([self.base[k] for k in self.perm])

    def get(self, x: Atom) -> Atom:
        return transpose(x, perm=self.perm)

    def put(self, x: Atom, v: Atom) -> Atom:
        inverse = tuple([self.perm.index(k) for k in range(len(self.perm))])
        return transpose(v, perm=inverse)

    def of(self, array: Any) -> Any:
        return array.transpose(self.perm)

    def strides(self, strides: Strides) -> Strides:
        return None if strides is None else tuple([strides[k] for k in self.perm])


@dataclass(frozen=True, slots=True)
class Reshaped:
    """The same elements, in C order, at another shape."""

    base: Shape
    shape: Shape
    static = True

    def get(self, x: Atom) -> Atom:
        return reshape(x, shape=self.shape)

    def put(self, x: Atom, v: Atom) -> Atom:
        return reshape(v, shape=self.base)

    def of(self, array: Any) -> Any:
        return array.reshape(self.shape)

    def strides(self, strides: Strides) -> Strides:
        if strides is None:
            return None
        return reshaped_strides(self.base, strides, self.shape)


@dataclass(frozen=True, slots=True)
class Unsure(Reshaped):
    """A reshape that NumPy may do by copying: read-only, and void once `seen` is
    no longer the value of its base."""

    seen: Atom

    def get(self, x: Atom) -> Atom:
        if x is not self.seen:
            raise unsure_alias()
        return reshape(x, shape=self.shape)

    def strides(self, strides: Strides) -> Strides:
        return None


def unsure_alias() -> Exception:
    """The error where view or copy would give different results."""
    trace = current_trace()
    error = UnknownAliasError(
        "whether this reshaped array is a view or a copy depends on the memory layout "
        "of an intermediate result, and one of the two is written to",
        trace.builder.loc,
        "reshape a copy: `x.copy().reshape(…)`",
    )
    return trace.unsure(error, trace.vague)


@dataclass(frozen=True, slots=True)
class Broadcasted:
    """Repeated along new or unit axes; NumPy makes it read-only."""

    base: Shape
    shape: Shape
    static = True

    def get(self, x: Atom) -> Atom:
        return broadcast_to(x, self.shape)

    def put(self, x: Atom, v: Atom) -> Atom:
        raise AssertionError("a read-only view is never written")

    def of(self, array: Any) -> Any:
        return np.broadcast_to(array, self.shape)

    def strides(self, strides: Strides) -> Strides:
        if strides is None:
            return None
        lead = len(self.shape) - len(self.base)
        spread = [
            0 if n != self.shape[k] else s
            for k, (n, s) in enumerate(zip(self.base, strides, strict=True), lead)
        ]
        return (0,) * lead + tuple(spread)


@dataclass(frozen=True, slots=True)
class Component:
    """The real or the imaginary part of complex numbers: `name` says which."""

    base: Shape
    name: str
    static = True

    @property
    def shape(self) -> Shape:
        return self.base

    def get(self, x: Atom) -> Atom:
        return emit(self.name, x)

    def put(self, x: Atom, v: Atom) -> Atom:
        if self.name == "real":
            return emit("complex", v, emit("imag", x))
        return emit("complex", emit("real", x), v)

    def of(self, array: Any) -> Any:
        return getattr(array, self.name)

    def strides(self, strides: Strides) -> Strides:
        return None if strides is None else tuple([2 * s for s in strides])


@dataclass(frozen=True, slots=True)
class Scattered:
    """Any view of flat memory: its offset and its strides, in elements.

    `index` holds the places of its elements, as an operand.
    """

    base: Shape
    offset: int
    shape: Shape
    steps: tuple[int, ...]
    index: Atom
    static = True

    def get(self, x: Atom) -> Atom:
        return emit("gather", x, self.index, axes=(0,))

    def put(self, x: Atom, v: Atom) -> Atom:
        if may_meet_itself(self.shape, self.steps):
            raise OverlapError(
                "an array is written to whose own elements share memory",
                current_trace().builder.loc,
                "work on a copy: x = x.copy()",
            )
        return emit("scatter_set", x, v, self.index, axes=(0,))

    def of(self, array: Any) -> Any:
        steps = [s * array.itemsize for s in self.steps]
        first = array[self.offset :]
        return np.lib.stride_tricks.as_strided(first, self.shape, steps)

    def strides(self, strides: Strides) -> Strides:
        return self.steps


Lens: TypeAlias = Part | Transposed | Reshaped | Broadcasted | Component | Scattered


def may_meet_itself(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two elements of an array may lie at one place in memory."""
    reach = 0
    axes = [(abs(s), n) for s, n in zip(strides, shape, strict=True) if n > 1]
    for step, extent in sorted(axes):
        if step <= reach:
            return True
        reach += step * (extent - 1)
    return False


def c_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a fresh array in C order."""
    return tuple([math.prod(map(int, shape[k + 1 :])) for k in range(len(shape))])


def c_ordered(shape: Sequence[int], strides: Strides) -> bool:
    """Whether NumPy allots results of this operand's shape in C order."""
    if strides is None:
        return False
    steps = [abs(s) for n, s in zip(shape, strides, strict=True) if n != 1]
    return all(a >= b > 0 for a, b in itertools.pairwise(steps))


def reshaped_strides(shape: Shape, strides: tuple[int, ...], new: Shape) -> Strides:
    """Strides of the view at the shape `new`, or None where NumPy has to copy.

    Axes are grouped from the left so that each group of old axes holds as many
    elements as its group of new axes; within a group memory must run on evenly.
    """
    if math.prod(new) == 0:
        return c_strides(new)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result = [0] * len(new)
    i = j = 0
    while j < len(new):
        if new[j] == 1:
            j += 1
            continue
        i_end, j_end, held, wanted = i + 1, j + 1, int(old[i][0]), int(new[j])
        while held != wanted:
            if held < wanted:
                held, i_end = held * int(old[i_end][0]), i_end + 1
            else:
                wanted, j_end = wanted * int(new[j_end]), j_end + 1
        for (_, s), (n, t) in zip(old[i : i_end - 1], old[i + 1 : i_end], strict=True):
            if s != n * t:
                return None
        stride = old[i_end - 1][1]
        for k in reversed(range(j, j_end)):
            result[k], stride = stride, stride * int(new[k])
        i, j = i_end, j_end
    return tuple(result)
