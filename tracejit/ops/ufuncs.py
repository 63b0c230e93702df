"""Ufuncs of SciPy as elementwise primitives: the library's own loops compute them.

SciPy is imported when a program is run or compiled, never before. Kernels call the
same loops by address (`tracejit.backend.ufunc_loops`), so compiled code and NumPy give
the same digits.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from tracejit.ir.primitive import REGISTRY, Elementwise, Unknown, elementwise

#: Where the ufuncs of `scipy.special` are, private ones last.
_MODULES = ("scipy.special", "scipy.special._ufuncs")
#: What kernels call: the number is that of the result, where there are several.
PREFIX = "_tj_ufunc_"
_CALL = re.compile(rf"\b{PREFIX}\w+")


@cache
def scipy_ufunc(name: str) -> np.ufunc:
    """The ufunc of `scipy.special` that has this name.

    >>> scipy_ufunc("gammainc")
    <ufunc 'gammainc'>
    """
    for module in map(importlib.import_module, _MODULES):
        found = getattr(module, name, None)
        if isinstance(found, np.ufunc):
            return found
    raise AttributeError(f"scipy.special has no ufunc {name!r}")


def calls_in(text: str) -> dict[str, tuple[str, int]]:
    """The loops that a kernel's text calls: ufunc and number of the result, by name."""
    return {name: _parts(name) for name in _CALL.findall(text)}


def _parts(name: str) -> tuple[str, int]:
    ufunc, _, part = name.removeprefix(PREFIX).rpartition("_")
    return ufunc, int(part)


def loop_of(ufunc: np.ufunc, dtypes: Sequence[Any]) -> tuple[np.dtype[Any], ...]:
    """The dtypes of the loop for operands of these dtypes: theirs and the results'."""
    given = tuple(map(np.dtype, dtypes))
    return ufunc.resolve_dtypes(given + (None,) * ufunc.nout)


def plain_call(ufunc: str, part: int) -> Callable[..., Any]:
    """A result of a ufunc, in the dtype that `result_dtype` says."""

    def call(*operands: Any) -> Any:
        arrays = list(map(np.asarray, operands))
        with np.errstate(all="ignore"):
            out = scipy_ufunc(ufunc)(*arrays)
        out = out[part] if isinstance(out, tuple) else out
        dtype = result_dtype(*(x.dtype for x in arrays))
        return np.asarray(out).astype(dtype, copy=False)[()]

    return call


def result_dtype(*dtypes: Any) -> Any:
    """That of the operands which are no integers."""
    return np.result_type(*(dtype for dtype in dtypes if dtype.kind in "fc"))


def by_scipy(
    name: str, *partials: Any, part: int | None = None, **options: Any
) -> Elementwise:
    """A primitive that is a ufunc of `scipy.special`, or one of its results.

    Whole orders may be integers; the result has the dtype of the other operands.

    Args:
        name: of the ufunc, and of the primitive (with the number of the result).
        partials: as of `elementwise`; `unknown` where there is no formula.
        part: which of several results.
        options: `domain` and `dtypes` for samples.
    """
    return elementwise(
        name if part is None else f"{name}_{part}",
        plain_call(name, part or 0),
        *partials,
        emit=f"{PREFIX}{name}_{part or 0}"
        f"({', '.join(f'{{{k}}}' for k in range(len(partials)))})",
        result=result_dtype,
        cost=options.pop("cost", 100),
        **options,
    )


def unknown(what: str) -> Unknown:
    """The partial by an operand for which no formula is known."""
    return Unknown(f"the derivative of scipy.special.{what}")


@cache
def is_scipys(ufunc: np.ufunc) -> bool:
    """Whether a ufunc is one of `scipy.special`, and no namesake."""
    modules = [m for m in map(sys.modules.get, _MODULES) if m is not None]
    return ufunc.signature is None and any(
        getattr(module, ufunc.__name__, None) is ufunc for module in modules
    )


def by_name(ufunc: np.ufunc) -> Callable[..., Any]:
    """The program of a ufunc of SciPy that nothing else is known of.

    Its values are SciPy's; a derivative of it is an error.
    """
    several = ufunc.nout > 1
    parts = [
        _undifferentiated(ufunc, k if several else None) for k in range(ufunc.nout)
    ]
    return lambda *xs: tuple([f(*xs) for f in parts]) if several else parts[0](*xs)


def _undifferentiated(ufunc: np.ufunc, part: int | None) -> Any:
    name = ufunc.__name__
    label = name if part is None else f"{name}_{part}"
    if label not in REGISTRY:
        slopes = [unknown(f"{name}, argument {k + 1},") for k in range(ufunc.nin)]
        by_scipy(name, *slopes, part=part, dtypes="fc")
    return REGISTRY[label]
