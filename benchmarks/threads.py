"""`python -m benchmarks --suite threads`: value and gradient on one thread and on more.

Programs of loops and of whole arrays, each at sizes below and above that from which on
loops are shared: below, the two kernels are the same. `alone` is the time on one
thread, `shared` that on all of them in multiples of it (below 1 is faster), and `apart`
how far the results are from each other; those of two shared calls must be the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import geometric_mean
from typing import Any

import numpy as np

from benchmarks.timing import fastest
from benchmarks.workload import disagreement, leaves
from tracejit import value_and_grad
from tracejit.api.threads import threads_of

RNG = np.random.default_rng(0)


def elements(x: Any, w: float) -> Any:
    out, s = np.zeros(len(x)), 0.0
    for i in range(len(x)):
        out[i] = math.exp(-x[i] * w) + math.sin(x[i])
        s += out[i] ** 2
    return s


def rows(A: Any, w: Any) -> Any:
    out = np.zeros(A.shape[0])
    for i in range(A.shape[0]):
        t = 0.0
        for j in range(A.shape[1]):
            t += A[i, j] * w[j]
        out[i] = math.tanh(t)
    return np.sum(out**2)


def stencil(u: Any, c: float) -> Any:
    v = np.zeros(len(u))
    for i in range(1, len(u) - 1):
        v[i] = math.sin(u[i - 1]) + c * u[i] ** 2 + u[i + 1] * u[i - 1]
    return np.sum(v * v)


def jacobi(u: Any, c: float) -> Any:
    u = u.copy()
    for _ in range(20):
        new = u.copy()
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                near = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
                new[i, j] = u[i, j] + c * math.tanh(near - 4 * u[i, j])
        u[:] = new
    return np.sum(u**2)


def heat(u: Any, c: float) -> Any:
    u = u.copy()
    for _ in range(20):
        v = u[1:-1, 1:-1]
        near = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
        u[1:-1, 1:-1] += c * (near - 4 * v) * (1 - v)
    return np.sum(u**2)


def pairs(x: Any, q: Any) -> Any:
    e = 0.0
    for i in range(len(x)):
        for j in range(i):
            e += q[i] * q[j] / math.sqrt((x[i] - x[j]) ** 2 + 0.1)
    return e


def paths(z: Any, start: float, vol: float) -> Any:
    total = 0.0
    for p in range(z.shape[0]):
        s, a = start, 0.0
        for t in range(z.shape[1]):
            s = s * math.exp(vol * z[p, t] - 0.5 * vol * vol)
            a += s
        total += max(a / z.shape[1] - start, 0.0)
    return total / z.shape[0]


def histogram(x: Any, w: Any) -> Any:
    h = np.zeros(20)
    for i in range(len(x)):
        h[int(x[i] * 20)] += w[i] * x[i]
    return np.sum(h**2)


def own_arrays(A: Any) -> Any:
    s, m = 0.0, A.shape[1]
    for i in range(A.shape[0]):
        t = np.zeros(m)
        for j in range(1, m):
            t[j] = math.sin(A[i, j]) + t[j - 1]
        for j in range(m):
            s += t[j] ** 2
    return s


def whole(x: Any, y: Any) -> Any:
    return np.sum(np.exp(-(x**2)) * np.sin(y) + np.log1p(x * x))


def _vectors(n: int, count: int = 2) -> tuple[Any, ...]:
    return tuple(RNG.random(n) for _ in range(count))


def _with(*numbers: float) -> Callable[[int], tuple[Any, ...]]:
    return lambda n: (RNG.random(n), *numbers)


def _square(*numbers: float) -> Callable[[int], tuple[Any, ...]]:
    return lambda n: (RNG.random((n, n)), *numbers)


#: Function, what makes its arguments of a size, and the sizes.
PROGRAMS: dict[str, tuple[Callable[..., Any], Callable[[int], Any], Sequence[int]]] = {
    "elements": (elements, _with(0.7), (1_000, 10_000, 100_000)),
    "rows": (rows, lambda n: (RNG.random((n, 300)), RNG.random(300)), (100, 1_000)),
    "stencil": (stencil, _with(0.3), (1_000, 10_000, 100_000)),
    "jacobi": (jacobi, _square(0.1), (20, 100, 300)),
    "heat": (heat, _square(0.1), (30, 100, 300)),
    "pairs": (pairs, _vectors, (100, 300, 1_000)),
    "paths": (paths, lambda n: (RNG.normal(size=(n, 100)), 1.0, 0.2), (20, 200, 2_000)),
    "histogram": (histogram, lambda n: _vectors(n), (1_000, 30_000, 200_000)),
    "own-arrays": (own_arrays, lambda n: (RNG.random((n, 200)),), (10, 100, 1_000)),
    "whole": (whole, _vectors, (1_000, 10_000, 100_000)),
}


def measure(name: str, size: int, threads: int, rounds: int) -> tuple[float, ...]:
    """Seconds alone, seconds shared, and how far apart the results are."""
    f, make, _ = PROGRAMS[name]
    args = make(size)
    floats = tuple(range(len(args)))
    alone = value_and_grad(f, floats)
    shared = value_and_grad(f, floats, parallel=threads)
    expected, first = leaves(alone(*args)), leaves(shared(*args))
    for mine, again in zip(first, leaves(shared(*args)), strict=True):
        if not np.array_equal(mine, again):
            raise ArithmeticError(f"{name}: another result at the second call")
    calls = {"alone": partial(alone, *args), "shared": partial(shared, *args)}
    found = fastest(calls, rounds)
    return found["alone"], found["shared"], disagreement(first, expected)


def report(only: Sequence[str] | None, rounds: int) -> None:
    """Print the table."""
    threads = max(threads_of(True), 2)
    shared = f"{threads} threads"
    print(f"{'program':<12}{'n':>9}{'alone (µs)':>12}{shared:>12}{'apart':>10}")
    largest = []
    for name, (_, _, sizes) in PROGRAMS.items():
        if only and name not in only:
            continue
        for size in sizes:
            alone, together, apart = measure(name, size, threads, rounds)
            ratio = f"{together / alone:.2f}"
            line = f"{name:<12}{size:>9}{alone * 1e6:>12.4g}{ratio:>12}{apart:>10.1e}"
            print(line, flush=True)
        largest.append(together / alone)
    print(f"geometric mean at the largest sizes: {geometric_mean(largest):.3g}")
