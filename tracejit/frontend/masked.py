"""`A[mask]` where the mask is traced: elements of which nobody knows how many.

They can be computed with one by one, summed up, picked from again, and stored where
they, or others picked by the same mask, came from: `A[mask] += v`,
`A[mask, 0] = np.sqrt(B[mask])`, `np.mean(A[mask])`. That is done on the whole array and
chosen at the end. All else needs their number to be known, and is an error.

`np.nonzero(mask)` is of the same kind: the indices of those elements. What NumPy's
functions do on them is in `masked_calls`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from tracejit.base.errors import DataDependentShapeError, IndexRangeError
from tracejit.base.source import SrcLoc
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    as_box,
    box_of,
    call,
    copied,
    known_box,
    leaves,
)
from tracejit.frontend.trace import current_trace
from tracejit.ir.program import Atom, Eqn, Literal
from tracejit.ops.control import Failure, check, stop_gradient
from tracejit.ops.numpy_names import FUNCTIONS, emit
from tracejit.ops.promote import BOOL, broadcast_to, convert

#: What NumPy's functions do on such elements; `masked_calls` fills it.
PROGRAMS: dict[Any, Callable[..., Any]] = {}


class Masked:
    """Elements of `values` (of any value where `mask` is False).

    The mask lies along the axes of `values` from `lead` on; what it picks is one axis,
    in their place. `safe` says that the others are values that a picked element could
    have, too: no function of them is infinite or NaN where those of the picked ones
    are not. `axis`: they are the indices along this axis of what the mask picks.
    `sites` are the places in the source where they were picked.
    """

    __slots__ = ("axis", "lead", "mask", "safe", "sites", "values")
    __array_priority__ = 1001.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: Box, mask: Box, lead: int = 0, safe: bool = False):
        self.values, self.mask, self.lead, self.safe = values, mask, lead, safe
        self.axis: int | None = None
        self.sites: frozenset[SrcLoc] = frozenset()

    def of(
        self, values: Box, lead: int = 0, mask: Box | None = None, safe: bool = False
    ) -> Masked:
        """Others that were made of these, picked in the same place of the source."""
        made = Masked(values, self.mask if mask is None else mask, lead, safe)
        made.sites = self.sites
        return made

    # What there is --------------------------------------------------------------------

    @property
    def rest(self) -> int:
        """How many axes come after those of the mask."""
        return self.values.aval.ndim - self.mask.aval.ndim - self.lead

    @property
    def places(self) -> tuple[int, ...]:
        """The axes of the values along which the mask lies."""
        return tuple(range(self.lead, self.lead + self.mask.aval.ndim))

    @property
    def count(self) -> Any:
        """How many elements the mask picks: a traced number."""
        return HANDLERS[int](call(np.sum, self.mask))

    @property
    def shape(self) -> tuple[Any, ...]:
        shape, end = self.values.aval.shape, self.lead + self.mask.aval.ndim
        return (*shape[: self.lead], self.count, *shape[end:])

    @property
    def size(self) -> Any:
        shape = list(self.shape)
        count = shape.pop(self.lead)
        return count * int(np.prod(shape))

    @property
    def ndim(self) -> int:
        return self.lead + 1 + self.rest

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.aval.dtype

    def like(self, values: Box) -> Masked:
        """Elements of other values, picked by the same mask, with as many axes after.

        They were computed from values that are safe.
        """
        lead = values.aval.ndim - self.mask.aval.ndim - self.rest
        return self.of(values, lead, safe=True)

    # Whole arrays ---------------------------------------------------------------------

    def whole(self, other: Any) -> Any:
        """Another operand, to be computed with the whole array."""
        if type(other) is Masked:
            if not same_value(other.mask.read(), self.mask.read()):
                self.refuse("elements picked by two masks cannot be paired", other)
            if other.rest != self.rest:
                self.refuse("they are paired with elements of other shapes", other)
            return other.everywhere()
        if not isinstance(other, Box | np.ndarray):
            return other
        other = as_box(other)
        if not self.spans(other):
            self.refuse("a whole array is paired with them")
        shape = other.aval.shape
        place = len(shape) - self.rest - 1
        if place < 0:
            return other
        ones = (1,) * self.mask.aval.ndim
        return other.reshape((*shape[:place], *ones, *shape[place + 1 :]))

    def spans(self, other: Box) -> bool:
        """Whether each part of an array is meant for all that is picked."""
        place = other.aval.ndim - self.rest - 1
        return place < 0 or other.aval.shape[place] == 1

    def everywhere(self) -> Box:
        """The whole array, with a picked element in place of those that are not.

        Else `log` of a number that was left out would be infinite, and its slope, times
        a cotangent of 0, NaN.
        """
        if self.safe:
            return self.values
        values, mask = self.values.read(), self.mask.read()

        def emitted() -> Box:
            first = call(np.argmax, self.mask.reshape(-1))
            one = self.flattened()[(slice(None),) * self.lead + (first,)]
            shape = list(self.values.aval.shape)
            for k in self.places:
                shape[k] = 1
            # Nothing is made of it: it has no part in a derivative.
            atom = stop_gradient(as_box(one).reshape(tuple(shape)).read())
            return self.chosen(self.values, box_of(atom))

        key = "everywhere", values, mask, self.lead
        return current_trace().memoized(key, emitted)

    def chosen(self, values: Any, other: Any) -> Box:
        """The values where the mask holds, elsewhere `other`."""
        dtype = values.aval.dtype
        sides = [convert(as_box(v).read(), dtype) for v in (values, other)]
        return box_of(FUNCTIONS[np.where](self.spread(), *sides))

    def flattened(self, values: Any = None) -> Box:
        """The values (or others) with one axis in place of those of the mask."""
        values = self.values if values is None else values
        shape, end = values.aval.shape, self.lead + self.mask.aval.ndim
        return values.reshape((*shape[: self.lead], self.mask.aval.size, *shape[end:]))

    def spread(self) -> Atom:
        """The mask with as many axes as the values."""
        mask, values = self.mask.read(), self.values.aval
        if self.rest:
            mask = emit("reshape", mask, shape=mask.aval.shape + (1,) * self.rest)
        return broadcast_to(mask, values.shape)

    # Views and copies -----------------------------------------------------------------

    def astype(self, dtype: Any, **options: Any) -> Masked:
        """A cast of every element."""
        values = self.values.astype(dtype, **options)
        return self.of(values, self.lead, safe=self.safe)

    def copy(self) -> Masked:
        """The same elements, of which there is no alias."""
        return self.of(copied(self.values), self.lead, safe=self.safe)

    def flatten(self, order: str = "C") -> Masked:
        """A copy with one axis."""
        return self.ravel(order).copy()

    def ravel(self, order: str = "C") -> Masked:
        """One axis of all elements."""
        if self.ndim == 1:
            return self
        if order != "C":
            self.refuse("their order in memory needs to know")
        return self.of(self.values, 0, box_of(self.spread()), self.safe)

    def reshape(self, *shape: Any) -> Masked:
        """`reshape(-1)`; no other shape is known to fit."""
        if shape not in ((-1,), ((-1,),), ([-1],)):
            self.refuse("a shape needs to know")
        return self.ravel()

    @property
    def T(self) -> Masked:
        """The transpose of a matrix."""
        if self.ndim == 1:
            return self
        if self.ndim > 2:
            self.refuse(".T of more than two axes needs to know")
        ndim, m = self.values.aval.ndim, self.mask.aval.ndim
        perm = (*range(m, ndim), *range(m)) if self.rest else (*range(1, ndim), 0)
        values = self.values.transposed(perm)
        return self.of(values, 1 - self.lead, safe=self.safe)

    def refuse(self, why: str, other: Masked | None = None) -> NoReturn:
        """The number of elements is needed: staging begins again, or gives up.

        Then they are packed, and the `other` ones that they meet.
        """
        self.mask.concrete()
        error = DataDependentShapeError(
            f"how many elements a traced mask picks depends on data: {why}",
            current_trace().builder.loc,
            "np.where(mask, x, 0) in place of x[mask], with one name for one mask",
        )
        sites = self.sites if other is None else self.sites | other.sites
        raise current_trace().packed_at(error, sites)

    # Protocols ------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kw: Any) -> Any:
        if ufunc is np.matmul and method == "__call__":
            return run(ufunc, *args, **kw)
        if method != "__call__" or kw:
            self.refuse(f"np.{ufunc.__name__}.{method} needs to know")
        return HANDLERS["ufunc"](ufunc, method, *args)

    def __array_function__(self, fn: Any, types: Any, args: Any, kw: Any) -> Any:
        return run(fn, *args, **kw)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.refuse("an array needs to know")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "py_func":
            raise AttributeError(name)
        fn = getattr(np, name, None)
        if fn not in PROGRAMS:
            self.refuse(f".{name} needs to know")
        return lambda *args, **kw: run(fn, self, *args, **kw)

    def __matmul__(self, other: Any) -> Any:
        return run(np.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return run(np.matmul, other, self)

    def __len__(self) -> NoReturn:
        self.refuse("len() needs to know")

    def __iter__(self) -> NoReturn:
        self.refuse("a loop needs to know")

    def __bool__(self) -> NoReturn:
        self.refuse("a decision needs to know")

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        self.refuse("a part of them cannot be written to")

    # Picking again --------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        """One of them, a part of each, or those that a second mask picks."""
        first, *more = key if isinstance(key, tuple) else (key,)
        if self.lead:
            self.refuse("an index needs to know")
        if isinstance(first, slice) and first == slice(None):
            key = (*(slice(None),) * self.mask.aval.ndim, *more)
            part = self.values[key]
            if type(part) is not Box:
                other = part if type(part) is Masked else None
                self.refuse("two axes of unknown length are in the result", other)
            return self.of(part, safe=self.safe)
        if type(first) is Masked and first.dtype == BOOL and first.ndim == 1:
            values = self.whole_rows(first)
            mask = call(np.logical_and, self.mask, first.everywhere())
            picked = self.of(values, 0, mask)
            return picked[(slice(None), *more)] if more else picked
        if not (isinstance(first, int | np.integer) or is_scalar_index(first)):
            self.refuse("an index needs to know")
        return self.flattened()[(self.place_of(first), *more)]

    def whole_rows(self, mask: Masked) -> Box:
        """The values, to be picked from by a mask that was picked by the same one."""
        if not same_value(mask.mask.read(), self.mask.read()):
            self.refuse("elements picked by two masks cannot be paired", mask)
        return self.values

    def order(self) -> Box:
        """The places of all elements, those that are picked first."""
        key = "order", self.mask.read()
        left_out = call(np.logical_not, self.mask.reshape(-1))
        return current_trace().memoized(key, lambda: call(np.argsort, left_out))

    def place_of(self, k: Any) -> Any:
        """Where, among all, the element number `k` of the picked ones stands."""
        place: Any = as_box(k)
        count = self.count
        if not isinstance(k, int) or k < 0:
            place = place + call(np.where, place < 0, count, 0)
        fits = call(np.logical_and, place >= 0, place < count)
        text = "index is out of bounds for the elements that a mask picks"
        failure = Failure(IndexRangeError, (text,), current_trace().builder.loc)
        check(convert(fits.read(), BOOL), error=failure)
        if isinstance(k, int) and k == 0:
            return call(np.argmax, self.mask.reshape(-1))
        return self.order()[call(np.clip, place, 0, self.mask.aval.size - 1)]


def picked(values: Box, mask: Box, lead: int = 0) -> Any:
    """What a mask picks here: a Masked, or where that did not do, packed."""
    trace = current_trace()
    if trace.builder.loc in trace.packing:
        return HANDLERS["pack"](values, mask, lead)
    found = Masked(copied(values), copied(mask), lead)
    found.sites = frozenset([trace.builder.loc])
    return found


def is_scalar_index(x: Any) -> bool:
    """Whether it is a traced integer."""
    return type(x) is Box and not x.aval.shape and x.aval.dtype.kind in "iu"


def run(fn: Any, *args: Any, **kwargs: Any) -> Any:
    """A NumPy function, with elements picked by a mask among its arguments."""
    program = PROGRAMS.get(fn)
    if program is None:
        found = next(a for a in leaves([*args, *kwargs.values()]) if type(a) is Masked)
        found.refuse(f"np.{getattr(fn, '__name__', fn)} needs to know")
    return program(*args, **kwargs)


def elementwise(fn: Callable[..., Any], *args: Any) -> Any:
    """A function of each element, at least one operand being a `Masked`."""
    model = max((a for a in args if type(a) is Masked), key=lambda a: a.ndim)
    out = fn(*[model.whole(a) for a in args])
    return tuple(map(model.like, out)) if isinstance(out, tuple) else model.like(out)


# Indices of elements ------------------------------------------------------------------


def nonzero(mask: Box) -> tuple[Any, ...]:
    """`np.nonzero(mask)`: the indices along each axis of what a traced mask picks."""
    shape, mask = mask.aval.shape, copied(mask)
    found = []
    for k, n in enumerate(shape):
        ones = tuple([n if k == j else 1 for j in range(len(shape))])
        grid = known_box(np.arange(int(n)).reshape(ones))
        indices = picked(call(np.broadcast_to, grid, shape), mask)
        if type(indices) is Masked:
            indices.axis, indices.mask = k, mask
        found.append(indices)
    return tuple(found)


def is_picked(key: Any) -> bool:
    """Whether a key consists of picked indices alone."""
    entries = key if isinstance(key, tuple) else (key,)
    return bool(entries) and all(type(e) is Masked for e in entries)


def mask_of(key: Any, shape: tuple[int, ...]) -> Box | None:
    """The mask, if a key is the indices of all that it picks of an array's elements."""
    entries = key if isinstance(key, tuple) else (key,)
    mask = entries[0].mask
    axes = [e.axis if e.mask is mask else None for e in entries]
    fits = mask.aval.shape == shape[: mask.aval.ndim]
    return mask if fits and axes == list(range(mask.aval.ndim)) else None


# Masks that are computed twice --------------------------------------------------------


def same_value(a: Atom, b: Atom) -> bool:
    """Whether two Atoms are the same function of the same values."""
    if a is b:
        return True
    if isinstance(a, Literal) and isinstance(b, Literal):
        return a.aval == b.aval and repr(a.value) == repr(b.value)
    if isinstance(a, Literal) or isinstance(b, Literal):
        return False
    one, other = _origin(a), _origin(b)
    if one is None or other is None or one.prim is not other.prim or one.regions:
        return False
    if one.params != other.params or len(one.inputs) != len(other.inputs):
        return False
    if one.outputs.index(a) != other.outputs.index(b):
        return False
    return all(map(same_value, one.inputs, other.inputs))


def _origin(var: Atom) -> Eqn | None:
    """The equation of an open region that computes a Var."""
    for eqns in reversed(current_trace().builder.stack):
        for eqn in reversed(eqns):
            if var in eqn.outputs:
                return eqn
    return None
