"""Which programs are run together."""

from __future__ import annotations

from importlib import import_module

from benchmarks.workload import Workload

#: The modules whose workloads a suite runs.
SUITES = {
    "kernels": (
        "arrays",
        "learning",
        "options",
        "regressions",
        "layers",
        "densities",
        "geometry",
    ),
    "loops": (
        "loops",
        "stencils",
        "integrators",
        "eliminations",
        "recursions",
        "likelihoods",
        "particles",
    ),
}


def workloads(suite: str) -> list[Workload]:
    """Every workload of a suite, in the order they are run in."""
    modules = (import_module(f"benchmarks.{name}") for name in SUITES[suite])
    return [work for module in modules for work in module.WORKLOADS]
