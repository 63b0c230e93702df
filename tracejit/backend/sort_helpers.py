"""Functions of kernels that sort and search; see `helpers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _tj_before(a: Any, b: Any) -> bool:
    """Whether `a` comes before `b`: NaN comes last."""
    return a < b or (b != b and a == a)


def _tj_argsort(
    outer: int, n: int, inner: int, x: Any, out: Any, order: Any, spare: Any
) -> None:
    """The order along the middle axis of x (outer, n, inner): a merge sort.

    Runs of 16 are sorted by insertion first.
    """
    for row in range(outer * inner):
        base = row // inner * n * inner + row % inner
        for lo in range(0, n, 16):
            for k in range(lo, min(lo + 16, n)):
                m = k
                while m > lo and _tj_before(
                    x[base + k * inner], x[base + order[m - 1] * inner]
                ):
                    order[m] = order[m - 1]
                    m -= 1
                order[m] = k
        width = 16
        while width < n:
            for lo in range(0, n, 2 * width):
                mid, hi = min(lo + width, n), min(lo + 2 * width, n)
                a, b = lo, mid
                for k in range(lo, hi):
                    if a < mid and (
                        b >= hi
                        or not _tj_before(
                            x[base + order[b] * inner], x[base + order[a] * inner]
                        )
                    ):
                        spare[k] = order[a]
                        a += 1
                    else:
                        spare[k] = order[b]
                        b += 1
            order, spare = spare, order
            width *= 2
        for k in range(n):
            out[base + k * inner] = order[k]


def _tj_searchsorted(right: bool, n: int, count: int, a: Any, v: Any, out: Any) -> None:
    """Where each of `count` values belongs among the n sorted ones, by bisection."""
    for k in range(count):
        lo, hi = 0, n
        while lo < hi:
            mid = (lo + hi) // 2
            if right:
                above = _tj_before(v[k], a[mid])
            else:
                above = not _tj_before(a[mid], v[k])
            if above:
                hi = mid
            else:
                lo = mid + 1
        out[k] = lo


#: By the name they have in kernels.
HELPERS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (_tj_before, _tj_argsort, _tj_searchsorted)
}
