"""`A[mask]` where the mask is traced: elements of which nobody knows how many.

They can be computed with one by one and stored where they, or others picked by the
same mask, came from: `A[mask] += v`, `A[mask] = np.sqrt(B[mask])`. That is done on
the whole array and chosen at the end. All else needs their number, and is an error.
"""

from __future__ import annotations

from typing import Any, NoReturn

from tracejit.base.errors import DataDependentShapeError
from tracejit.frontend.box import HANDLERS, Box
from tracejit.frontend.trace import current_trace


class Masked:
    """Elements of `values` (of any value where `mask` is False)."""

    __slots__ = ("mask", "values")
    __array_priority__ = 1001.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: Box, mask: Box):
        self.values, self.mask = values, mask

    def whole(self, other: Any) -> Any:
        """Another operand, to be computed with the whole array."""
        if type(other) is Masked:
            if other.mask.read() is not self.mask.read():
                self.refuse("elements picked by two masks cannot be paired")
            return other.values
        if type(other) is Box:
            rest = self.values.aval.ndim - self.mask.aval.ndim
            if other.aval.ndim > rest:
                self.refuse("an array cannot be paired with elements picked by a mask")
        return other

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

    def __array_function__(self, fn: Any, types: Any, args: Any, kw: Any) -> NoReturn:
        self.refuse(f"np.{fn.__name__} needs to know")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.refuse("an array needs to know")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self.refuse(f".{name} needs to know")

    def __len__(self) -> NoReturn:
        self.refuse("len() needs to know")

    def __iter__(self) -> NoReturn:
        self.refuse("a loop needs to know")

    def __bool__(self) -> NoReturn:
        self.refuse("a decision needs to know")

    def __getitem__(self, key: Any) -> NoReturn:
        self.refuse("an index needs to know")
