"""`A[mask]` where the mask is traced: elements of which nobody knows how many.

They can be computed with one by one, summed up, and stored where they, or others picked
by the same mask, came from: `A[mask] += v`, `A[mask] = np.sqrt(B[mask])`,
`np.mean(A[mask])`. That is done on the whole array and chosen at the end. All else
needs their number to be known, and is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from tracejit.base.errors import DataDependentShapeError
from tracejit.frontend.box import HANDLERS, Box, box_of, call
from tracejit.frontend.trace import current_trace
from tracejit.ir.program import Atom, Eqn, Literal
from tracejit.ops.control import Failure, check
from tracejit.ops.numpy_names import FUNCTIONS, emit
from tracejit.ops.promote import broadcast_to


class Masked:
    """Elements of `values` (of any value where `mask` is False).

    `safe` says that the others are values that a picked element could have, too: no
    function of them is infinite or NaN where those of the picked ones are not.
    """

    __slots__ = ("mask", "safe", "values")
    __array_priority__ = 1001.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: Box, mask: Box, safe: bool = False):
        self.values, self.mask, self.safe = values, mask, safe

    def whole(self, other: Any) -> Any:
        """Another operand, to be computed with the whole array."""
        if type(other) is Masked:
            if not same_value(other.mask.read(), self.mask.read()):
                self.refuse("elements picked by two masks cannot be paired")
            return other.everywhere()
        if type(other) is Box:
            rest = self.values.aval.ndim - self.mask.aval.ndim
            if other.aval.ndim > rest:
                self.refuse("an array cannot be paired with elements picked by a mask")
        return other

    def everywhere(self) -> Box:
        """The whole array, with a picked element in place of those that are not.

        Else `log` of a number that was left out would be infinite, and its slope, times
        a cotangent of 0, NaN.
        """
        if not self.safe:
            mask, values = self.mask, self.values
            rest = values.aval.shape[mask.aval.ndim :]
            rows = values.reshape((mask.aval.size, *rest))
            one = rows[call(np.argmax, mask.reshape(-1))]
            chosen = FUNCTIONS[np.where](self.spread(), values.read(), one.read())
            self.values, self.safe = box_of(chosen), True
        return self.values

    def spread(self) -> Atom:
        """The mask with as many axes as the values."""
        mask, values = self.mask.read(), self.values.aval
        ones = (1,) * (values.ndim - mask.aval.ndim)
        if ones:
            mask = emit("reshape", mask, shape=mask.aval.shape + ones)
        return broadcast_to(mask, values.shape)

    @property
    def size(self) -> Any:
        """How many elements there are: a traced number."""
        count = call(np.sum, self.mask)
        rest = self.values.aval.shape[self.mask.aval.ndim :]
        return HANDLERS[int](count) * int(np.prod(rest))

    @property
    def ndim(self) -> int:
        return 1 + self.values.aval.ndim - self.mask.aval.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.aval.dtype

    def astype(self, dtype: Any, **options: Any) -> Masked:
        """A cast of every element."""
        return Masked(self.values.astype(dtype, **options), self.mask, self.safe)

    def copy(self) -> Masked:
        return self

    def refuse(self, why: str) -> NoReturn:
        """The number of elements is needed: staging begins again, or gives up."""
        self.mask.concrete()
        raise DataDependentShapeError(
            f"how many elements a traced mask picks depends on data: {why}",
            current_trace().builder.loc,
            "np.where(mask, x, 0) in place of x[mask], with one name for one mask",
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kw: Any) -> Any:
        if method != "__call__" or kw:
            self.refuse(f"np.{ufunc.__name__}.{method} needs to know")
        return HANDLERS["ufunc"](ufunc, method, *args)

    def __array_function__(self, fn: Any, types: Any, args: Any, kw: Any) -> Any:
        program = REDUCTIONS.get(fn)
        if program is None or type(args[0]) is not Masked:
            self.refuse(f"np.{fn.__name__} needs to know")
        return program(*args, **kw)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.refuse("an array needs to know")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "py_func":
            raise AttributeError(name)
        program = REDUCTIONS.get(getattr(np, name, None))
        if program is None:
            self.refuse(f".{name} needs to know")
        return lambda *args, **kw: program(self, *args, **kw)

    def __len__(self) -> NoReturn:
        self.refuse("len() needs to know")

    def __iter__(self) -> NoReturn:
        self.refuse("a loop needs to know")

    def __bool__(self) -> NoReturn:
        self.refuse("a decision needs to know")

    def __getitem__(self, key: Any) -> NoReturn:
        self.refuse("an index needs to know")


# Reductions of them -------------------------------------------------------------------


def _reduction(fn: Any) -> Callable[..., Any]:
    def program(x: Masked, axis: Any = None, *args: Any, **options: Any) -> Any:
        """Over all elements, or, by `axis=0`, over those that the mask picks."""
        if axis not in (None, 0) or "keepdims" in options or "where" in options:
            x.refuse(f"np.{fn.__name__} with these options needs to know")
        axes = None if axis is None else tuple(range(x.mask.aval.ndim))
        if fn in _EXTREMA:
            options.setdefault("initial", _EXTREMA[fn](x))
        where = box_of(x.spread())
        return call(fn, x.values, axes, *args, where=where, **options)

    return program


def _limit(low: bool) -> Callable[[Masked], Any]:
    """What a maximum (or minimum) of some elements starts from."""

    def start(x: Masked) -> Any:
        message = "zero-size array to reduction operation which has no identity"
        failure = Failure(ValueError, (message,), current_trace().builder.loc)
        check(call(np.any, x.mask).read(), error=failure)
        if x.dtype.kind == "f":
            return -np.inf if low else np.inf
        limits = np.iinfo(x.dtype)
        return int(limits.min if low else limits.max)

    return start


_EXTREMA = {np.max: _limit(True), np.min: _limit(False)}

REDUCTIONS: dict[Any, Callable[..., Any]] = {
    **{fn: _reduction(fn) for fn in (np.sum, np.prod, np.mean, np.var, np.std)},
    **{fn: _reduction(fn) for fn in (np.any, np.all, np.max, np.min)},
    np.amax: _reduction(np.max),
    np.amin: _reduction(np.min),
    np.count_nonzero: lambda x: REDUCTIONS[np.sum](x != 0),
    np.size: lambda x: x.size,
    np.ndim: lambda x: x.ndim,
}


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
