"""What a call costs beside the computing: programs that take less than a microsecond.

Each is compared with a hand-written njit function, called alike, and with `jax.jit`,
NumPy arrays in and out. `from disk`: the kernel is loaded, not compiled.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.contestants import module
from benchmarks.options import formula, formula_hand, formula_primal
from benchmarks.timing import fastest
from benchmarks.workload import disagreement, fast, with_numpy

Function = Callable[..., Any]


@fast
def formula_slopes(x, y, z):
    return formula_hand(x, y, z)[1:]


def weighted(a, b, c):
    return np.sum(np.tanh(a * b) * c)


@fast
def weighted_hand(a, b, c):
    da, db, dc = np.empty_like(a), np.empty_like(a), np.empty_like(a)
    value = 0.0
    for i in range(a.size):
        t = math.tanh(a[i] * b[i])
        value += t * c[i]
        slope = (1.0 - t * t) * c[i]
        da[i], db[i], dc[i] = slope * b[i], slope * a[i], t
    return value, (da, db, dc)


def of_dict(params):
    return np.sum(np.tanh(params["a"] * params["b"]) * params["c"])


GRAVITY = 9.81


def fall(t, height=100.0):
    return height - 0.5 * GRAVITY * t * t


@dataclass(frozen=True)
class Call:
    """A transform of a function, its arguments, and the same by hand."""

    name: str
    transform: str
    f: Function
    args: tuple
    hand: Function | None = None
    argnums: int | tuple[int, ...] | None = 0
    keywords: tuple[tuple[str, Any], ...] = ()

    def of(self, package: Any, f: Function) -> Function:
        options = {} if self.argnums is None else {"argnums": self.argnums}
        return getattr(package, self.transform)(f, **options)


THREE, SMALL = (0.7, -0.4, 0.3), tuple(np.random.default_rng(0).normal(size=(3, 8)))
PARAMETERS = dict(zip("abc", SMALL, strict=True))
CALLS = (
    Call("three floats", "jit", formula, THREE, formula_primal, argnums=None),
    Call("their slopes", "grad", formula, THREE, formula_slopes, (0, 1, 2)),
    Call("both", "value_and_grad", formula, THREE, formula_hand, (0, 1, 2)),
    Call("three arrays", "value_and_grad", weighted, SMALL, weighted_hand, (0, 1, 2)),
    Call("a dict of them", "value_and_grad", of_dict, (PARAMETERS,)),
    Call("np.float64", "value_and_grad", fall, (np.float64(2.0),)),
    Call("a keyword", "value_and_grad", fall, (2.0,), keywords=(("height", 90.0),)),
)


def with_jax(call: Call) -> Function | None:
    jax, numpy = module("jax"), module("jax.numpy")
    if jax is None:
        return None
    jax.config.update("jax_enable_x64", True)
    f = with_numpy(call.f, numpy)
    gradient = jax.jit(f if call.argnums is None else call.of(jax, f))
    keywords = dict(call.keywords)
    flatten = jax.tree_util.tree_map
    return lambda: flatten(np.asarray, gradient(*call.args, **keywords))


def contestants(call: Call) -> dict[str, Function]:
    """Ours, compiled and loaded from disk, the hand's and JAX's."""
    tracejit = import_module("tracejit")
    build = import_module("tracejit.backend.numba_build")
    keywords = dict(call.keywords)
    ours = partial(call.of(tracejit, call.f), *call.args, **keywords)
    expected = ours()
    build._loaded.clear()
    loaded = partial(call.of(tracejit, call.f), *call.args, **keywords)
    found = {"tracejit": ours, "from disk": loaded}
    if call.hand is not None:
        found["hand"] = partial(call.hand, *call.args)
    jax = with_jax(call)
    if jax is not None:
        found["jax"] = jax
    for name, other in found.items():
        result = other()
        if not isinstance(call.args[0], dict) and disagreement(result, expected) > 1e-8:
            raise ArithmeticError(f"{call.name}: {name} is wrong")
    return found


START = """
from time import perf_counter
start = perf_counter()
import numpy as np
middle = perf_counter()
from tracejit import value_and_grad
imported = perf_counter()
def formula(x, y, z):
    return np.sin(x * y) + x * np.exp(-z * z) / (1.0 + y * y)
value_and_grad(formula, argnums=(0, 1, 2))(0.7, -0.4, 0.3)
done = perf_counter()
print(middle - start, imported - middle, done - imported)
"""


def start(rounds: int) -> list[float]:
    """Seconds to import NumPy, to import tracejit, to the first result from disk."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TRACEJIT_CACHE_DIR": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        path = os.path.join(cache, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(START)
        times = []
        for _ in range(rounds + 1):
            command = [sys.executable, path]
            told = subprocess.run(
                command, env=environment, check=True, capture_output=True, text=True
            )
            times.append([float(t) for t in told.stdout.split()])
    return [min(column) for column in zip(*times[1:], strict=True)]


def report(only: list[str] | None, rounds: int) -> None:
    """Print a line for each call, in ns, and what a process needs to start."""
    names = ("hand", "tracejit", "from disk", "jax")
    print(f"{'call (ns)':<16}" + "".join(f"{name:>12}" for name in names))
    for call in CALLS:
        if only and call.name not in only:
            continue
        seconds = fastest(contestants(call), rounds)
        cells = [f"{seconds[n] * 1e9:.0f}" if n in seconds else "-" for n in names]
        print(f"{call.name:<16}" + "".join(f"{c:>12}" for c in cells), flush=True)
    if not only:
        numpy, ours, first = start(rounds)
        print(
            f"a process: import numpy {numpy:.3f} s, import tracejit {ours:.3f} s, "
            f"first result, from disk, {first:.3f} s"
        )
