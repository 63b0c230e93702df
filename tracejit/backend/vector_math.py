"""What computes several values of exp, sin, pow … at once.

Most are polynomials of ours (`numba_polynomials`). For others glibc on x86-64 has
vector functions, in libmvec. Kernels name, beside every scalar function, those that
stand for it in vectorised loops; where there are none, loops stay scalar. All may
differ from the C library's scalar functions in the last places: `python -m
benchmarks.accuracy` prints by how much.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tracejit.backend.blas import address_in

#: How many arguments each function of the C library takes.
ARITY = {
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log10", "log1p"), 1),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan"), 1),
    **dict.fromkeys(("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"), 1),
    **dict.fromkeys(("erf", "erfc", "cbrt"), 1),
    **dict.fromkeys(("atan2", "pow", "hypot"), 2),
}
#: Scalar name → the vector functions for it, each with its mark and its lanes.
Variants = Mapping[str, Mapping[str, tuple[str, int]]]
#: Bytes of a number, by the letter that ends the names of its functions.
_WIDTHS = {"": 8, "f": 4}
#: Instruction sets: the letter in names, bytes of a vector, what the CPU must have.
_SETS = (
    ("b", 16, frozenset[str]()),
    ("d", 32, frozenset({"avx2", "fma"})),
    ("e", 64, frozenset({"avx512f", "avx512dq"})),
)
#: What the CPU must have, that numbers are taken apart by its instructions.
_AVX512 = {"avx512f", "avx512dq", "avx512vl"}
#: LLVM makes of functions that it knows by name intrinsics, which have no vector form.
#: Of these two it does not, but computes both at once in scalar code.
_BY_NAME = {"sin", "cos", "sinf", "cosf"}


def alias(scalar: str) -> str:
    """The name by which kernels call a scalar function that has vector functions."""
    return scalar if scalar in _BY_NAME else f"tracejit_{scalar}"


def _scalars() -> Iterator[tuple[str, int, int]]:
    """(name, number of arguments, bytes of a number) of every function."""
    for function, arity in ARITY.items():
        for suffix, width in _WIDTHS.items():
            yield function + suffix, arity, width


def _vectors(scalar: str, arity: int, width: int) -> Iterator[Any]:
    """(name, mark, lanes, features needed) of the vector functions for a scalar one."""
    for letter, size, needed in _SETS:
        mark = f"_ZGV{letter}N{size // width}{'v' * arity}"
        yield f"{mark}_{scalar}", mark, size // width, needed


@cache
def addresses() -> dict[str, int]:
    """Where the functions are, by the names in kernels; empty without libmvec."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return {}
    try:
        library, scalars = ctypes.CDLL("libmvec.so.1"), ctypes.CDLL("libm.so.6")
    except OSError:
        return {}
    found = {}
    for scalar, arity, width in _scalars():
        names = [name for name, *_ in _vectors(scalar, arity, width)]
        if all(hasattr(library, name) for name in names):
            found.update({name: address_in(library, name) for name in names})
            found[alias(scalar)] = address_in(scalars, scalar)
    return found


@dataclass(frozen=True)
class Library:
    """What kernels may compute functions by, beside the C library's scalar ones.

    `polynomials`: formulas of ours, which take multiplication and addition in one.
    `avx512`: they may take numbers apart by instructions of AVX-512.
    """

    variants: Variants = field(default_factory=dict)
    polynomials: bool = False
    avx512: bool = False

    def key(self) -> tuple[str, ...]:
        """What tells its kernels from those of another."""
        names = [name for known in self.variants.values() for name in known]
        return (str(self.polynomials), str(self.avx512), *names)


def library(features: Set[str]) -> Library:
    """All there is for a CPU with `features`."""
    fused = "fma" in features or platform.machine() in ("arm64", "aarch64")
    return Library(variants(features), fused, _AVX512 <= features)


def variants(features: Set[str]) -> Variants:
    """The vector functions that a CPU with `features` can run."""
    known = addresses()
    return {
        scalar: {
            name: (mark, lanes)
            for name, mark, lanes, needed in _vectors(scalar, arity, width)
            if needed <= features
        }
        for scalar, arity, width in _scalars()
        if alias(scalar) in known
    }
