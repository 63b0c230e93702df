"""The BLAS that NumPy itself has loaded, by address.

NumPy's wheels bring OpenBLAS; its C interface can be reached through the extension
module that links to it. Kernels call it under names of our own, so that object code
means the same in every process; where it is not found, products are plain loops.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

#: How builds of BLAS spell a C routine, and the width of their integers.
_SPELLINGS = [
    ("scipy_cblas_{}64_", 64),
    ("cblas_{}64_", 64),
    ("scipy_cblas_{}", 32),
    ("cblas_{}", 32),
]
#: The letter that a routine's name starts with, by dtype; the routines kernels call.
LETTERS = {"float64": "d", "float32": "s", "complex128": "z", "complex64": "c"}
ROUTINES = ("gemm", "syrk")


def symbol(routine: str, width: int) -> str:
    """The name by which object code calls a routine with integers of some width."""
    return f"tracejit_{routine}_{width}"


def names() -> list[str]:
    """Of every routine for every dtype."""
    return [letter + name for name in ROUTINES for letter in LETTERS.values()]


@cache
def addresses() -> dict[str, int]:
    """The address of every routine, by our name for it; empty if there is no BLAS."""
    try:
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    except (OSError, AttributeError):
        return {}
    for spelling, width in _SPELLINGS:
        if all(hasattr(library, spelling.format(name)) for name in names()):
            return {
                symbol(name, width): address_in(library, spelling.format(name))
                for name in names()
            }
    return {}


def address_in(library: ctypes.CDLL, name: str) -> int:
    """Where a shared library has a routine."""
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


def integer_width() -> int:
    """The width of the integers that the BLAS found takes."""
    return int(next(iter(addresses())).rpartition("_")[2])
