"""`python -m benchmarks --suite memory`: gradients of long loops within a budget.

Every row is a process of its own that finds its kernel on disk: the second of two, as
Numba, which compiles, takes more memory than most rows. `paper` is what `cost` says
that a call takes, before it runs; `grown` is by how much it raises the peak of the
process, and `process` is that peak.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from tracejit import cost, grad, jit

#: No tape larger than this is tried.
MOST = 2e9


def stencil(u: Any, c: float, steps: int) -> Any:
    u = u.copy()
    for _ in range(steps):
        u[1:-1] += c * u[1:-1] * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.sum(u**2)


def lotka(p: Any, h: float, steps: int) -> Any:
    x, y = p[0], p[1]
    for _ in range(steps):
        u = x + h / 2 * (p[2] * x - p[3] * x * y)
        v = y + h / 2 * (p[4] * x * y - p[5] * y)
        x, y = x + h * (p[2] * u - p[3] * u * v), y + h * (p[4] * u * v - p[5] * v)
    return x * y


def seidel(u: Any, c: float, steps: int) -> Any:
    u = u.copy()
    for _ in range(steps):
        for i in range(1, 49):
            for j in range(1, 49):
                u[i, j] = np.tanh(
                    c * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
                )
    return np.sum(u)


RNG = np.random.default_rng(0)
#: Function, its arguments, and the budgets.
PROGRAMS: dict[str, tuple[Callable[..., Any], Sequence[Any], Sequence[Any]]] = {
    "stencil": (
        stencil,
        (RNG.random(1000), 0.1, 1_000_000),
        (None, "64 MB", "8 MB", "1 MB"),
    ),
    "stencil, fewer steps": (
        stencil,
        (RNG.random(1000), 0.1, 20_000),
        (None, "16 MB", "400 kB"),
    ),
    "Lotka-Volterra": (
        lotka,
        (np.array([1, 1, 1.1, 0.4, 0.1, 0.4]), 1e-5, 1_000_000),
        (None, "1 MB", "4 kB"),
    ),
    "Seidel, tanh": (
        seidel,
        (RNG.random((50, 50)), 0.25, 1000),
        (None, "2 MB", "200 kB"),
    ),
}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def row(name: str, budget: str | None) -> dict[str, float]:
    """One gradient, in this process."""
    function, args, _ = PROGRAMS[name]
    slope = grad(function, memory=budget)
    found = cost(slope)(*args).adjoint
    assert found is not None
    slope.entry(slope.bind(args, {}))
    before = peak()
    seconds = []
    for _ in range(3):
        start = perf_counter()
        slope(*args)
        seconds.append(perf_counter() - start)
    grown = peak() - before
    primal = jit(function)
    primal(*args)
    start = perf_counter()
    primal(*args)
    took = perf_counter() - start
    return {
        "tape": found.tape_bytes,
        "paper": found.peak_bytes,
        "grown": grown,
        "process": peak(),
        "seconds": min(seconds),
        "primal": took,
    }


def measured(name: str, budget: str | None) -> dict[str, float]:
    """The row of a second process."""
    command = [sys.executable, "-m", "benchmarks.memory", name, budget or ""]
    for _ in range(2):
        run = subprocess.run(command, capture_output=True, check=True, env=os.environ)
    return json.loads(run.stdout)


def report() -> None:
    """Print the table."""
    print("| program | budget | tape | paper | grown | process (MB) | s | / primal |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (function, args, budgets) in PROGRAMS.items():
        for budget in budgets:
            found = cost(grad(function, memory=budget))(*args).adjoint
            assert found is not None
            cells = [name, budget or "none", f"{found.tape_bytes / 1e6:.3g}"]
            if found.peak_bytes > MOST:
                cells += ["-"] * 5
            else:
                r = measured(name, budget)
                sizes = (r["paper"], r["grown"], r["process"])
                cells += [f"{size / 1e6:.3g}" for size in sizes]
                times = r["seconds"], r["seconds"] / r["primal"]
                cells += [f"{x:.3g}" for x in times]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    print(json.dumps(row(sys.argv[1], sys.argv[2] or None)))
