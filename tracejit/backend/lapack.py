"""LAPACK, and what of BLAS it goes with, by address: what kernels call for matrices.

The routines are Fortran's: matrices lie column by column and every argument is a
pointer. NumPy's own library serves, or else SciPy's; `run` calls a routine from plain
Python, `numba_compile` from native code.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from tracejit.backend.blas import address_in
from tracejit.base.errors import UnsupportedError

#: The arguments of each routine: c a character, i an integer, s a number, p an array
#: of numbers, q one of integers. Of real matrices alone: d, an array. Of complex ones
#: alone: r, an array of reals, and n, an integer. Those in `SILENT` have no status.
ROUTINES = {
    "getrf": "iipiq",
    "getri": "ipiqpi",
    "potrf": "cipi",
    "trsm": "cccciispipi",
    "geqrf": "iipippi",
    "orgqr": "iiipippi",
    "syevd": "ccipippirnqi",
    "gesdd": "ciipippipipirq",
    "geev": "ccipipdpipipir",
}
SILENT = {"trsm"}
#: The letter that a routine's name starts with, by dtype; those of complex ones.
LETTERS = {"float64": "d", "float32": "s", "complex128": "z", "complex64": "c"}
COMPLEX = "zc"
#: What complex routines have another name for.
_COMPLEX_NAMES = {"orgqr": "ungqr", "syevd": "heevd"}
#: How builds spell a Fortran routine, and the width of their integers.
_SPELLINGS = [
    ("scipy_{}_64_", 64),
    ("{}_64_", 64),
    ("scipy_{}_", 32),
    ("{}_", 32),
]


def _names() -> Iterator[str]:
    return (name_of(r, dtype) for dtype in LETTERS for r in ROUTINES)


def name_of(routine: str, dtype: str) -> str:
    """What Fortran calls a routine on matrices of a dtype."""
    letter = LETTERS[dtype]
    names = _COMPLEX_NAMES if letter in COMPLEX else {}
    return letter + names.get(routine, routine)


def passed(routine: str, dtype: str) -> list[bool]:
    """Which of a routine's arguments it has on matrices of a dtype."""
    none = "d" if LETTERS[dtype] in COMPLEX else "rn"
    return [kind not in none for kind in ROUTINES[routine]]


def symbol(name: str) -> str:
    """The name by which object code calls a routine."""
    if not _found()[0]:
        raise UnsupportedError(
            "this NumPy gives no access to its LAPACK, which compiled linear algebra "
            "calls",
            cure="install scipy, whose LAPACK then serves, or use backend='numpy'",
        )
    return f"tracejit_{name}_{integer_width()}"


@cache
def _found() -> tuple[dict[str, int], int]:
    """Addresses by routine, and the width of the integers they take."""
    try:
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    except (OSError, AttributeError):
        return _of_scipy(), 32
    for spelling, width in _SPELLINGS:
        if all(hasattr(library, spelling.format(name)) for name in _names()):
            found = {n: address_in(library, spelling.format(n)) for n in _names()}
            return found, width
    return _of_scipy(), 32


def _of_scipy() -> dict[str, int]:
    """SciPy's pointers for Cython; empty where it is not installed."""
    try:
        modules = [
            importlib.import_module(f"scipy.linalg.cython_{kind}").__pyx_capi__
            for kind in ("lapack", "blas")
        ]
    except ImportError:
        return {}
    capsules = modules[1] | modules[0]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]

    def address(capsule: Any) -> int:
        return api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))

    return {name: address(capsules[name]) for name in _names()}


def addresses() -> dict[str, int]:
    """The address of every routine, by our name for it; empty if there is none."""
    return {symbol(name): address for name, address in _found()[0].items()}


def integer_width() -> int:
    return _found()[1]


def integer_dtype() -> Any:
    """Of the integers that routines take."""
    return np.dtype(f"int{integer_width()}")


def run(routine: str, *args: Any) -> int:
    """Call a routine on flat arrays and numbers, from Python; its status."""
    kinds = ROUTINES[routine]
    dtype = args[kinds.index("p")].dtype
    integer = ctypes.c_int64 if integer_width() == 64 else ctypes.c_int32
    make: dict[str, Any] = {"c": ctypes.c_char, "i": integer, "n": integer}
    make["s"] = lambda x: np.full(1, x, dtype)
    chosen = passed(routine, dtype.name)
    held = [
        make[kind](x) if kind in make else x
        for kind, x, here in zip(kinds, args, chosen, strict=True)
        if here
    ]
    status = integer(0)
    pointers: list[Any] = [
        ctypes.c_void_p(x.ctypes.data) if isinstance(x, np.ndarray) else ctypes.byref(x)
        for x in held
    ]
    if routine not in SILENT:
        pointers.append(ctypes.byref(status))
    lengths = [ctypes.c_size_t(1)] * kinds.count("c")
    address = _found()[0][name_of(routine, dtype.name)]
    ctypes.CFUNCTYPE(None)(address)(*pointers, *lengths)
    return status.value
