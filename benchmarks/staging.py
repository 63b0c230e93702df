"""`python -m benchmarks --suite staging`: how long tracing takes, by program length.

Milliseconds for each step from a Python function to the source of its gradient's
kernel; Numba's compilation is not among them. The process is warm: the smallest program
of each kind has been through all steps before.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import linecache
from collections.abc import Callable, Iterator, Sequence
from time import process_time
from types import FunctionType
from typing import Any

import numpy as np

from tracejit.backend.numba_source import write
from tracejit.base.garbage import uncollected
from tracejit.frontend.stage import stage
from tracejit.optimize.lower import lower
from tracejit.optimize.passes import optimize
from tracejit.transform.vjp import vjp

SIZES = (50, 100, 500, 1_000, 2_000, 5_000)
STEPS = ("stage", "clean", "vjp", "clean again", "source")


def scalars(n: int) -> tuple[list[str], int]:
    """Straight code on two numbers, two equations to a line."""
    lines = [
        ("a = a * b + 0.5", "b = b - a * 0.25", "a = np.sin(a) * b", "b = b / a + a")[
            k % 4
        ]
        for k in range(n // 2)
    ]
    return [*lines, "return a + b"], 0


def arrays(n: int) -> tuple[list[str], int]:
    """Straight code on two arrays."""
    lines = [
        ("a = a * b + 0.5", "b = b - a * 0.25", "a = np.sin(a) * b", "b = b / (a + 2)")[
            k % 4
        ]
        for k in range(n // 2)
    ]
    return [*lines, "return np.sum(a * b)"], 1000


def loop(n: int) -> tuple[list[str], int]:
    """One loop, all statements in its body."""
    lines, _ = scalars(n)
    body = [f"    {line}" for line in lines[:-1]]
    return ["for i in range(100):", *body, "return a + b"], 0


def in_place(n: int) -> tuple[list[str], int]:
    """Elements and slices of two arrays, read and written."""
    lines = [
        (
            f"a[{k % 7}] = a[{k % 5 + 1}] * b[{k % 11}]",
            "b[1:-1] += 0.1 * (a[2:] - a[:-2])",
            f"b[{k % 13}] = np.cos(b[{k % 3}])",
        )[k % 3]
        for k in range(n // 4)
    ]
    return ["a, b = a.copy(), b.copy()", *lines, "return np.sum(a * b)"], 1000


def calls(n: int) -> tuple[list[str], int]:
    """Helpers that call helpers, on numbers and arrays."""
    lines = [
        ("a = outer(a, b)", "b = inner(b, a)", "b = b * np.mean(a)")[k % 3]
        for k in range(n // 5)
    ]
    return [*lines, "return np.sum(a * b)"], 1000


KINDS: dict[str, Callable[[int], tuple[list[str], int]]] = {
    "scalars": scalars,
    "arrays": arrays,
    "loop": loop,
    "in place": in_place,
    "calls": calls,
}

HELPERS = """
def inner(x, y):
    return x + np.tanh(y * 0.5)

def outer(x, y):
    z = inner(x, y) * 0.5
    return inner(z, x) - 0.1 * z
"""


_numbers = itertools.count()


def function(kind: str, n: int) -> tuple[FunctionType, tuple[Any, Any]]:
    """A function of about `n` equations that is new to the process; its arguments."""
    lines, extent = KINDS[kind](n)
    unseen = f"a = a * {1 + next(_numbers)}.5"
    text = "\n    ".join(["def program(a, b):", unseen, *lines]) + "\n" + HELPERS
    name = f"<{kind} {n}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"np": np}
    exec(compile(text, name, "exec"), namespace)
    x = np.linspace(0.5, 1.5, extent) if extent else 0.5
    return namespace["program"], (x, x + 0.25)


def measure(kind: str, n: int) -> tuple[int, int, list[float]]:
    """Equations staged and of the adjoint, and processor seconds for each step."""
    fn, args = function(kind, n)
    gc.collect()
    times = [process_time()]

    def done(value: Any) -> Any:
        times.append(process_time())
        return value

    with uncollected():
        staged = done(stage(fn, args)).program
        clean = done(optimize(staged))
        adjoint = done(vjp(clean, (0, 1), seed=True))
        adjoint = done(optimize(adjoint))
        done(write(lower(adjoint)))
    seconds = [b - a for a, b in itertools.pairwise(times)]
    return count(staged), count(adjoint), seconds


def count(program: Any) -> int:
    return sum(1 for _ in program.walk())


def rows(kinds: Sequence[str], sizes: Sequence[int], rounds: int) -> Iterator[Any]:
    """The fastest of some rounds, for every kind and size."""
    for kind in kinds:
        measure(kind, min(sizes))
        for n in sizes:
            found = [measure(kind, n) for _ in range(rounds if n <= 1_000 else 1)]
            equations, adjoint, _ = found[0]
            best = [min(step) for step in zip(*(f[2] for f in found), strict=True)]
            yield kind, equations, adjoint, best


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.staging", description=__doc__
    )
    parser.add_argument("--only", choices=KINDS, action="append", help="only these")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--repeat", type=int, default=3, help="rounds (default 3)")
    options = parser.parse_args(arguments)
    columns = "".join(f"{step:>13}" for step in STEPS)
    print(f"{'program':<10}{'equations':>10}{'adjoint':>9}{columns}{'all (ms)':>10}")
    for kind, n, adjoint, seconds in rows(
        options.only or list(KINDS), options.sizes, options.repeat
    ):
        steps = "".join(f"{s * 1e3:13.1f}" for s in seconds)
        total = sum(seconds) * 1e3
        print(f"{kind:<10}{n:>10}{adjoint:>9}{steps}{total:10.1f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
