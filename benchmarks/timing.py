"""Ratios of interleaved minima: contestants take turns, so a slow spell of the
machine falls on all of them, and the fastest round of each is what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter

ROUND = 0.05  # seconds a round should last
SLOW = 1.0  # seconds: a call that takes longer is timed once


def seconds(call: Callable[[], object], times: int = 1) -> float:
    """The mean time of a few calls in a row."""
    start = perf_counter()
    for _ in range(times):
        call()
    return (perf_counter() - start) / times


def per_round(call: Callable[[], object]) -> tuple[int, float]:
    """How many calls fill a round, and the time of one of them."""
    times = 1
    while (each := seconds(call, times)) * times < ROUND / 4:
        times *= 4
    return max(1, round(ROUND / each)), each


def fastest(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The fastest round of each contestant, in seconds a call."""
    first = {name: per_round(call) for name, call in calls.items()}
    best = {name: each for name, (_, each) in first.items()}
    for _ in range(rounds):
        for name, call in calls.items():
            if best[name] < SLOW:
                best[name] = min(best[name], seconds(call, first[name][0]))
    return best
