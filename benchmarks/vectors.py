"""Print what vector math costs: `python -m benchmarks.vectors`.

Every function alone, in a loop over numbers that lie in cache, in nanoseconds an
element: by vectors, by the C library's scalar functions (`accuracy="high"`), and by
vectors in float32. Then a chain of them with its gradient, against the sum of its
functions each alone; and a sum of squares with three gradients, against the memory
bandwidth of a loop of Numba. Contestants of a line take turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numba
import numpy as np

from benchmarks.accuracy import LIMIT, program_of
from benchmarks.timing import fastest
from tracejit import value_and_grad
from tracejit.backend.numba_build import compile_program
from tracejit.ir.primitive import REGISTRY, Elementwise

COUNT = 1 << 14
Call = Callable[[], object]


def operands(name: str, dtype: Any, count: int = COUNT) -> list[np.ndarray]:
    """Numbers that a function is defined for."""
    rng = np.random.default_rng(0)
    primitive = REGISTRY[name]
    assert isinstance(primitive, Elementwise)
    domain = primitive.domain or ((-2, 2),) * primitive.arity
    return [rng.uniform(*bounds, count).astype(dtype) for bounds in domain]


def alone(name: str, dtype: Any, exact: bool = False) -> Call:
    """A call that applies a function to every number."""
    arrays = operands(name, dtype)
    run = compile_program(program_of(name, arrays), exact=exact)
    return lambda: run(arrays)


def nanoseconds(calls: Mapping[str, Call], count: int, rounds: int) -> dict[str, float]:
    """An element, of each."""
    return {k: t / count * 1e9 for k, t in fastest(calls, rounds).items()}


def functions(names: Sequence[str], rounds: int) -> None:
    print(f"{'ns an element':<14}{'vectors':>9}{'scalar':>9}{'float32':>9}{'ratio':>7}")
    for name in names:
        calls = {
            "vectors": alone(name, np.float64),
            "scalar": alone(name, np.float64, exact=True),
            "single": alone(name, np.float32),
        }
        t = nanoseconds(calls, COUNT, rounds)
        ratio = t["vectors"] / t["single"]
        row = f"{t['vectors']:>9.2f}{t['scalar']:>9.2f}{t['single']:>9.2f}{ratio:>7.2f}"
        print(f"{name:<14}{row}", flush=True)


def chain(x: np.ndarray) -> Any:
    return np.sum(np.sin(x) * np.exp(-(x**2)) + np.log1p(x * x))


def squares(a: Any, x: np.ndarray, y: np.ndarray) -> Any:
    return np.sum((a * x + y) ** 2)


@numba.njit(fastmath=True)
def triad(a: float, x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = a * x[i] + y[i]


def chains(count: int, rounds: int) -> None:
    """The chain needs the cosine, too, for its gradient."""
    both = value_and_grad(chain)
    for dtype in (np.float64, np.float32):
        x = operands("sin", dtype, count)[0]
        parts = {name: alone(name, dtype) for name in ("sin", "cos", "exp", "log1p")}
        t = nanoseconds(parts, COUNT, rounds)
        total = sum(t.values())
        mine = nanoseconds({"": lambda x=x: both(x)}, count, rounds)[""]
        print(
            f"chain, {count} {dtype.__name__}: {mine:.2f} ns an element with gradient, "
            f"its functions {total:.2f}: {mine / total:.2f}",
            flush=True,
        )


def bandwidth(count: int, rounds: int) -> None:
    """Ours reads two arrays and writes two; the triad reads two and writes one."""
    slopes = value_and_grad(squares, argnums=(0, 1, 2))
    for dtype in (np.float64, np.float32):
        x, y = (operands("sin", dtype, count)[0] for _ in range(2))
        a, out = dtype(1.5), np.empty(count, dtype)
        calls: dict[str, Call] = {
            "ours": lambda a=a, x=x, y=y: slopes(a, x, y),
            "triad": lambda a=a, x=x, y=y, out=out: triad(a, x, y, out),
        }
        t = nanoseconds(calls, count, rounds)
        size = np.dtype(dtype).itemsize
        ours, theirs = 4 * size / t["ours"], 3 * size / t["triad"]
        print(
            f"squares, {count} {dtype.__name__}: {t['ours']:.2f} ns an element with "
            f"gradients, {ours:.1f} GB/s; a triad {theirs:.1f}: {theirs / ours:.2f}",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.vectors")
    parser.add_argument("names", nargs="*", help="functions; all without")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    functions(given.names or [*LIMIT, "logaddexp"], given.rounds)
    if not given.names:
        chains(1_000_000, given.rounds)
        bandwidth(10_000_000, given.rounds)


if __name__ == "__main__":
    main()
