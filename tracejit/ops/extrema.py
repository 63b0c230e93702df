"""Python's `min` and `max` of two: the second if it is better, else the first.

So the first is what comes out where the second is NaN, or where they are equal. There
each of them has half of the derivative, as with NumPy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.primitive import Elementwise, elementwise
from tracejit.ops.elementwise import eq, gt, halved, logical_or, lt, select


def _first_of(name: str, better: Any, ufunc: Any, symbol: str) -> Elementwise:
    def first(y: Any, a: Any, b: Any) -> Any:
        return lambda dt: select(better(b, a), 0, halved(eq(a, b), dt))

    def second(y: Any, a: Any, b: Any) -> Any:
        no_worse = logical_or(better(b, a), eq(a, b))
        return lambda dt: select(no_worse, halved(eq(a, b), dt), 0)

    return elementwise(
        name,
        lambda a, b: np.where(ufunc(b, a), b, a),
        first,
        second,
        emit=f"_tj_select({{1}} {symbol} {{0}}, {{1}}, {{0}})",
    )


first_min = _first_of("first_min", lt, np.less, "<")
first_max = _first_of("first_max", gt, np.greater, ">")

__all__ = ["first_max", "first_min"]
