"""Functions and arguments for the expressions of the table of support."""

from __future__ import annotations

import ast
import importlib
import linecache
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops import (
    numpy_cases,
    numpy_cases_linalg,
    numpy_cases_masks,
    numpy_cases_math,
    scipy_cases,
)

#: Arguments: what an expression names of these it is a function of.
SAMPLES: dict[str, Any] = {
    "x": np.array([0.83, -0.61, 1.47, 0.29, -1.18]),
    "y": np.array([-0.37, 0.94, 0.52, 1.63, -0.76]),
    "a": 0.43,
    "b": 1.21,
    "A": np.random.default_rng(1).normal(size=(3, 4)),
    "B": np.random.default_rng(2).normal(size=(3, 4)),
    "S": np.random.default_rng(3).normal(size=(4, 4)),
    "T": np.random.default_rng(4).normal(size=(2, 3, 4)),
    "pos": np.array([0.83, 1.61, 2.47, 0.59, 3.18]),
    "unit": np.array([0.31, 0.62, 0.45, 0.78, 0.14]),
}
#: Known arrays: made by NumPy in the function itself.
KNOWN = {
    "k3": "np.array([2, 0, 1])",
    "k5": "np.array([0, 1, 2, 3, 4])",
    "km": "np.array([True, False, True, True, False])",
    "KM": "np.array([[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 1]], dtype=bool)",
    "KI": "np.array([[1, 3], [0, 2], [2, 1]])",
}

#: Modules, by the names that expressions have for them.
MODULES = {
    "sp": "scipy.special",
    "st": "scipy.stats",
    "sl": "scipy.linalg",
    "si": "scipy.integrate",
    "sg": "scipy.signal",
    "sf": "scipy.fft",
    "sd": "scipy.spatial.distance",
    "so": "scipy.optimize",
    "ip": "scipy.interpolate",
    "nd": "scipy.ndimage",
}

SECTIONS = {
    "Making arrays": numpy_cases.CREATION,
    "Shapes": numpy_cases.SHAPES,
    "Indexing": numpy_cases.INDEXING,
    "Sorting and searching": numpy_cases.SORTING,
    "Statistics": numpy_cases.STATISTICS,
    "Elementwise functions": numpy_cases_math.UFUNCS,
    "Options of ufuncs": numpy_cases_math.OPTIONS,
    "Reductions, and methods of ufuncs": numpy_cases_math.REDUCTIONS,
    "Products": numpy_cases_math.PRODUCTS,
    "Linear algebra": numpy_cases_linalg.LINALG,
    "Fourier transforms": numpy_cases_linalg.FOURIER,
    "Series and polynomials": numpy_cases_math.SERIES,
    "Methods and indexing of arrays": numpy_cases_math.METHODS,
    "Elements picked by a mask": numpy_cases_masks.MASKS,
    "Settings, types, and the rest": numpy_cases_math.STATE,
    "scipy.special": scipy_cases.SPECIAL,
    "scipy.linalg": numpy_cases_linalg.SCIPY,
    "scipy.stats": scipy_cases.STATS,
    "The rest of SciPy": scipy_cases.OTHERS,
}
ROUTINES = {name: r for section in SECTIONS.values() for name, r in section.items()}


def _names(text: str) -> set[str]:
    return set(re.findall(r"\b[A-Za-z_]\w*\b", re.sub(r"'[^']*'", "", text)))


def arguments(*expressions: str) -> dict[str, Any]:
    """The samples that expressions name, in order."""
    used = set().union(*map(_names, expressions))
    found = {name: v for name, v in SAMPLES.items() if name in used}
    return found or {"x": SAMPLES["x"]}


def function(*expressions: str) -> Callable[..., Any]:
    """The function of these expressions; of several, their results in a list.

    An expression may be statements, separated by semicolons, that end in a return.
    """
    lines = [f"def f({', '.join(arguments(*expressions))}):", " out = []"]
    used = set().union(*map(_names, expressions))
    known = used & KNOWN.keys()
    lines += [f" {name} = {KNOWN[name]}" for name in sorted(known)]
    for text in expressions:
        *before, last = re.split(r";\s*|\n\s*", text)
        lines += [f" {line}" for line in before]
        lines.append(f" out.append({last.strip().removeprefix('return ')})")
    lines.append(" return out[0]" if len(expressions) == 1 else " return out")
    source = "\n".join(lines) + "\n"
    name = f"<table {hash(source)}>"
    linecache.cache[name] = len(source), None, source.splitlines(True), name
    namespace: dict[str, Any] = {"np": np}
    for short in MODULES.keys() & used:
        namespace[short] = importlib.import_module(MODULES[short])
    exec(compile(ast.parse(source), name, "exec"), namespace)
    return namespace["f"]
