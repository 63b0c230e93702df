"""Time the workloads, print the table, write the JSON."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module, metadata
from math import inf
from pathlib import Path
from statistics import geometric_mean
from time import perf_counter
from typing import Any

from benchmarks import as_written, calls, growth, memory, staging, threads
from benchmarks.contestants import contestants
from benchmarks.peers import PEERS
from benchmarks.suites import SUITES, workloads
from benchmarks.timing import fastest
from benchmarks.workload import Workload, disagreement

FRAMEWORKS = ("tracejit", "fastmath", "interpreted", "jax", "autograd", *PEERS)
TOLERANCE = 1e-8


def compilations() -> int:
    """How many kernels tracejit has compiled so far in this process."""
    return int(import_module("tracejit.testing").compilations())


def measure(
    work: Workload, size: int, rounds: int, who: Sequence[str] = FRAMEWORKS
) -> dict[str, Any]:
    """One row: seconds a call of everyone who got the gradient right."""
    args = work.make(size)
    expected = work.hand(*args)
    work.primal(*args)
    calls: dict[str, Callable[[], Any]] = {
        "hand": partial(work.hand, *args),
        "primal": partial(work.primal, *args),
    }
    vector = work.hand_vector
    if vector is not None:
        vector(*args)
        calls["hand_vector"] = partial(vector, *args)
    row: dict[str, Any] = {"name": work.name, "size": size, "errors": {}}
    for name, call in contestants(work, args):
        if name not in who:
            continue
        try:
            if isinstance(call, Exception):
                raise call
            before = compilations() if name == "tracejit" else 0
            start = perf_counter()
            result = call()
            if name == "tracejit":
                row["first_call"] = perf_counter() - start
                row["compilations"] = compilations() - before
            if (off := disagreement(result, expected)) > TOLERANCE:
                raise ArithmeticError(f"the gradient is off by {off:.1e}")
        except Exception as error:
            row["errors"][name] = f"{type(error).__name__}: {error}"
        else:
            calls[name] = call
    row["seconds"] = fastest(calls, rounds)
    return row


HEADER = (
    f"{'workload':<14}{'n':>9}{'hand (µs)':>12}{'/ primal':>10}"
    f"{'tracejit':>10}{'/ primal':>10}"
    + "".join(f"{name:>{max(len(name) + 2, 9)}}" for name in FRAMEWORKS[1:])
    + f"{'first (s)':>11}{'compiled':>10}"
)


def line(row: dict[str, Any]) -> str:
    """A row of the table: times of the (faster) hand-written gradient and ratios to
    it; of it and of ours, ratios to the primal."""
    seconds = best_hand(row)
    hand = seconds["hand"]

    def ratio(name: str, to: str = "hand") -> str:
        if name in row["errors"]:
            return "failed"
        return f"{seconds[name] / seconds[to]:.4g}" if name in seconds else "-"

    first = f"{row['first_call']:.2f}" if "first_call" in row else "-"
    return (
        f"{row['name']:<14}{row['size']:>9}{hand * 1e6:>12.4g}"
        f"{ratio('hand', 'primal'):>10}"
        f"{ratio('tracejit'):>10}{ratio('tracejit', 'primal'):>10}"
        + "".join(f"{ratio(n):>{max(len(n) + 2, 9)}}" for n in FRAMEWORKS[1:])
        + f"{first:>11}{row.get('compilations', '-'):>10}"
    )


def best_hand(row: dict[str, Any]) -> dict[str, float]:
    """The times of a row, that of the faster hand-written gradient for `hand`."""
    seconds = row["seconds"]
    return seconds | {"hand": min(seconds["hand"], seconds.get("hand_vector", inf))}


def summary(suite: str, rows: Sequence[dict[str, Any]]) -> str:
    """What a suite comes to: geometric means, and the slowest against the hand."""
    done = [best_hand(row) for row in rows if "tracejit" in row["seconds"]]
    if not done:
        return f"{suite}: no gradient of ours was right"
    to_hand = [s["tracejit"] / s["hand"] for s in done]
    fast = [s["fastmath"] / s["hand"] for s in done if "fastmath" in s]
    to_primal = [s["tracejit"] / s["primal"] for s in done]
    by_hand = [s["hand"] / s["primal"] for s in done]
    return (
        f"{suite}: {len(done)} of {len(rows)} gradients right; geometric means: "
        f"tracejit / hand {_mean_and_most(to_hand)}, "
        + (f"with fastmath=True {_mean_and_most(fast)}, " if fast else "")
        + f"tracejit / primal {geometric_mean(to_primal):.3g}, "
        f"hand / primal {geometric_mean(by_hand):.3g}"
    )


def _mean_and_most(ratios: Sequence[float]) -> str:
    return f"{geometric_mean(ratios):.3g} (at most {max(ratios):.3g})"


def machine() -> dict[str, str]:
    """What the figures depend on."""
    packages = (
        "tracejit",
        "numba",
        "numpy",
        "jax",
        "autograd",
        "torch",
        "pytensor",
        "casadi",
    )
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def chosen(suite: str, options: argparse.Namespace) -> list[Workload]:
    """The workloads of a suite that were asked for."""
    return [w for w in workloads(suite) if not options.only or w.name in options.only]


#: The suites with tables of their own.
TABLES: dict[str, Callable[[argparse.Namespace], None]] = {
    "staging": lambda options: staging.main(["--repeat", str(options.repeat)]),
    "memory": lambda options: memory.report(),
    "as-written": lambda options: as_written.report(chosen("loops", options)),
    "threads": lambda options: threads.report(options.only, options.repeat),
    "calls": lambda options: calls.report(options.only, options.repeat),
    "growth": lambda options: growth.report(chosen("loops", options), options.repeat),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--suite", choices=(*SUITES, *TABLES), action="append", help="only"
    )
    parser.add_argument("--only", metavar="NAME", action="append", help="workloads")
    parser.add_argument("--repeat", type=int, default=7, help="rounds (default 7)")
    parser.add_argument(
        "--who", choices=FRAMEWORKS, action="append", help="only these contestants"
    )
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).with_name("results.json")
    )
    options = parser.parse_args(arguments)
    suites = options.suite or list(SUITES)
    for name in [name for name in suites if name in TABLES]:
        suites.remove(name)
        TABLES[name](options)
    if not suites:
        return 0
    rows: list[dict[str, Any]] = []
    print(HEADER)
    for suite in suites:
        for work in chosen(suite, options):
            for size in work.sizes:
                row = measure(work, size, options.repeat, options.who or FRAMEWORKS)
                rows.append({"suite": suite, **row})
                print(line(rows[-1]), flush=True)
    for suite in suites:
        if of_suite := [row for row in rows if row["suite"] == suite]:
            print(summary(suite, of_suite))
    report = {"machine": machine(), "workloads": rows}
    options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        for name, error in row["errors"].items():
            print(f"\n{row['name']} {row['size']}, {name}: {error.splitlines()[0]}")
    return int(any("tracejit" in row["errors"] for row in rows))
