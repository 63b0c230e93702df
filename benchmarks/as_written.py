"""Which of the programs other frameworks differentiate as they are written.

`python -m benchmarks --suite as-written`: each program with nothing changed but the
module that is its `np`, in a process of its own, for a minute at most.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.contestants import with_autograd, with_jax
from benchmarks.suites import workloads
from benchmarks.timing import fastest
from benchmarks.workload import SAME, Workload, disagreement

FRAMEWORKS = ("jax", "autograd")
LIMIT = 60.0  # seconds for staging, compiling and two calls


def attempt(work: Workload, framework: str) -> str:
    """How many times the hand-written gradient's time, or why there is none."""
    args = work.make(work.sizes[0])
    expected = work.hand(*args)
    as_is = dataclasses.replace(work, **{framework: SAME})
    make = {"jax": with_jax, "autograd": with_autograd}[framework]
    start = perf_counter()
    try:
        call = make(as_is, args)
        if call is None:
            return "not installed"
        off = disagreement(call(), expected)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    first = perf_counter() - start
    if off > 1e-8:
        return f"a wrong gradient, off by {off:.1e}"
    seconds = fastest({"it": call, "hand": lambda: work.hand(*args)}, 1)
    return f"{seconds['it'] / seconds['hand']:.4g} times, first call {first:.3g} s"


def rows(works: Sequence[Workload]) -> Iterator[tuple[str, str, str]]:
    """Program, framework and outcome."""
    for work in works:
        for framework in FRAMEWORKS:
            code = f"from {__name__} import main; main({work.name!r}, {framework!r})"
            try:
                done = subprocess.run(
                    [sys.executable, "-c", code],
                    cwd=Path(__file__).resolve().parent.parent,
                    env={**os.environ, "JAX_ENABLE_X64": "1"},
                    capture_output=True,
                    text=True,
                    timeout=LIMIT,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                outcome = f"nothing within {LIMIT:.0f} s"
            else:
                outcome = (done.stdout.splitlines() or ["the process died"])[-1]
            yield work.name, framework, outcome


def main(name: str, framework: str) -> None:
    """One program by one framework, in this process."""
    (work,) = (work for work in workloads("loops") if work.name == name)
    print(attempt(work, framework))


def report(works: Sequence[Workload]) -> None:
    """Print the table."""
    for name, framework, outcome in rows(works):
        print(f"{name:<16}{framework:<10}{outcome}", flush=True)
