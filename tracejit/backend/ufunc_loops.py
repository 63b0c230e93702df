"""The inner loops of ufuncs, by address: how kernels call functions of SciPy.

A ufunc keeps, for each combination of dtypes, a loop and a pointer that the loop is
given (`PyUFuncObject` in NumPy's C interface). Object code names both by symbols of
ours; the ufunc is looked up when code that needs it is about to be loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Sequence

import numpy as np

from tracejit.ops.ufuncs import loop_of, scipy_ufunc

_LOOP, _DATA = "tracejit_loop_", "tracejit_data_"


class _Head(ctypes.Structure):
    """The fields of a ufunc, behind those of every object, up to its types."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("nin", "nout", "nargs", "identity")),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        *((name, ctypes.c_int) for name in ("ntypes", "reserved")),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_char)),
    ]


def symbols(name: str, dtypes: Sequence[np.dtype]) -> tuple[str, str]:
    """The names by which object code calls a loop, and refers to its pointer."""
    kinds = "".join(dtype.char for dtype in dtypes)
    return f"{_LOOP}{name}_{kinds}", f"{_DATA}{name}_{kinds}"


def address(symbol: str) -> int | None:
    """What a symbol stands for in this process; None where it is not ours.

    >>> address("tracejit_loop_gammainc_ddd") is None
    False
    """
    for prefix in (_LOOP, _DATA):
        if symbol.startswith(prefix):
            name, _, kinds = symbol.removeprefix(prefix).rpartition("_")
            with contextlib.suppress(ImportError, AttributeError):
                return _find(scipy_ufunc(name), kinds, prefix is _LOOP)
    return None


def _find(ufunc: np.ufunc, kinds: str, loop: bool) -> int | None:
    head = _Head.from_address(id(ufunc) + object.__basicsize__)
    spelled = bytes(np.dtype(kind).num for kind in kinds)
    for k in range(head.ntypes):
        if head.types[k * head.nargs : (k + 1) * head.nargs] == spelled:
            return (head.functions if loop else head.data)[k]
    return None


__all__ = ["address", "loop_of", "symbols"]
