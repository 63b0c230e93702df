"""Complex numbers in NumPy's order: by real part, then by imaginary part.

What has a NaN in either part is neither before nor behind anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.ops.complex_parts import imag, real
from tracejit.ops.elementwise import (
    eq,
    le,
    logical_and,
    logical_or,
    lt,
    mul,
    ne,
    select,
)


def not_a_number(x: Any) -> Any:
    """Whether either part is NaN."""
    re, im = real(x), imag(x)
    return logical_or(ne(re, re), ne(im, im))


def _before(a: Any, b: Any, second: Callable[..., Any]) -> Any:
    ra, ia, rb, ib = real(a), imag(a), real(b), imag(b)
    numbers = logical_and(eq(ia, ia), eq(ib, ib))
    first = logical_and(lt(ra, rb), numbers)
    return logical_or(first, logical_and(eq(ra, rb), second(ia, ib)))


def _extreme(before: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def choose(a: Any, b: Any) -> Any:
        """The first if it is NaN; of equal ones half of each, as of real numbers."""
        chosen = select(logical_or(before(a, b), not_a_number(a)), a, b)
        return select(eq(a, b), mul(a + b, 0.5), chosen)

    return choose


#: What stands for primitives that compare.
ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "lt": lambda a, b: _before(a, b, lt),
    "gt": lambda a, b: _before(b, a, lt),
    "le": lambda a, b: _before(a, b, le),
    "ge": lambda a, b: _before(b, a, le),
    "maximum": _extreme(lambda a, b: _before(b, a, le)),
    "minimum": _extreme(lambda a, b: _before(a, b, le)),
}
