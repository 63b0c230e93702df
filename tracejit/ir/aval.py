"""Types of the IR: dtype and shape. Extents are ints that remember their origin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


class Extent(int):
    """An int computed from array shapes, with the expression it came from.

    Its value serves this trace; `expr` gives it a name that is the same for every
    size, so that two sizes yield the same source text (DESIGN.md, Shapes).
    """

    expr: str

    def __new__(cls, value: int, expr: str) -> Extent:
        self = super().__new__(cls, value)
        self.expr = expr
        return self

    def __getnewargs__(self) -> tuple[int, str]:  # type: ignore[override]
        return int(self), self.expr

    def _binary(self, other: Any, value: Any, symbol: str, swap: bool = False) -> Any:
        if value is NotImplemented or type(other) not in (int, Extent, bool):
            return value
        a, b = expr_of(self), expr_of(other)
        return Extent(value, f"({b}{symbol}{a})" if swap else f"({a}{symbol}{b})")

    def __add__(self, other: Any) -> Any:
        return self._binary(other, int.__add__(self, other), "+")

    def __radd__(self, other: Any) -> Any:
        return self._binary(other, int.__radd__(self, other), "+", True)

    def __sub__(self, other: Any) -> Any:
        return self._binary(other, int.__sub__(self, other), "-")

    def __rsub__(self, other: Any) -> Any:
        return self._binary(other, int.__rsub__(self, other), "-", True)

    def __mul__(self, other: Any) -> Any:
        return self._binary(other, int.__mul__(self, other), "*")

    def __rmul__(self, other: Any) -> Any:
        return self._binary(other, int.__rmul__(self, other), "*", True)

    def __floordiv__(self, other: Any) -> Any:
        return self._binary(other, int.__floordiv__(self, other), "//")

    def __mod__(self, other: Any) -> Any:
        return self._binary(other, int.__mod__(self, other), "%")


def expr_of(n: int) -> str:
    """The name of an extent that does not change with its value, if it has one."""
    return n.expr if isinstance(n, Extent) else str(int(n))


class _Grow(Extent):
    """The leading extent of a tape whose length is known only when the loop ends."""

    def __repr__(self) -> str:
        return "grow"


GROW = _Grow(0, "grow")


@dataclass(frozen=True, slots=True)
class Aval:
    """The abstract value of a Var: its dtype and shape."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        # Kernels know the machine's own order of bytes; arguments are cast to it.
        if not self.dtype.isnative:
            object.__setattr__(self, "dtype", np.dtype(self.dtype.type))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def grows(self) -> bool:
        """Whether this is a growable tape (its leading extent is GROW)."""
        return bool(self.shape) and self.shape[0] is GROW

    @property
    def inexact(self) -> bool:
        """Whether values of this type have derivatives: floats and complex."""
        return self.dtype.kind in "fc"

    def update(self, **changes: Any) -> Aval:
        return Aval(changes.get("dtype", self.dtype), changes.get("shape", self.shape))

    def __str__(self) -> str:
        kind = {"f": "f", "i": "i", "u": "u", "c": "c", "b": "bool"}[self.dtype.kind]
        name = kind if kind == "bool" else f"{kind}{self.dtype.itemsize * 8}"
        extents = ",".join(repr(n) if n is GROW else str(int(n)) for n in self.shape)
        return f"{name}[{extents}]"


def aval_of(value: Any) -> Aval:
    """The Aval of a NumPy array or scalar, or of a Python number."""
    array = np.asarray(value)
    return Aval(array.dtype, array.shape)
