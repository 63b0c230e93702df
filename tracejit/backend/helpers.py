"""Functions that kernels call by name, in plain Python.

Numba compiles them as they stand, except those that `numba_compile` replaces by
instructions Python cannot name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.backend.names import DTYPES


def _tj_add(total: Any, value: Any) -> Any:
    """One term of a sum that may be taken in any order."""
    return total + value


def _tj_mul(total: Any, value: Any) -> Any:
    """One factor of a product that may be taken in any order."""
    return total * value


def _tj_max(best: Any, value: Any) -> Any:
    """The greater, or NaN if there is one."""
    return best if best >= value or best != best else value


def _tj_min(best: Any, value: Any) -> Any:
    """The smaller, or NaN if there is one."""
    return best if best <= value or best != best else value


def _tj_trips(lo: int, hi: int, step: int) -> int:
    """The length of range(lo, hi, step)."""
    if step > 0:
        return max((hi - lo + step - 1) // step, 0)
    return max((lo - hi - step - 1) // -step, 0)


#: By the name they have in kernels.
HELPERS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (_tj_add, _tj_mul, _tj_max, _tj_min, _tj_trips)
}


def plain_globals() -> dict[str, Any]:
    """The globals of a kernel that runs as plain Python."""
    dtypes = {name: getattr(np, name) for name in DTYPES}
    return {"math": math, "np": np} | dtypes | {"bool": np.bool_} | HELPERS
