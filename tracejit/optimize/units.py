"""Nodes of a loop's body put in an order in which those of one kind stand together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from tracejit.optimize.nest import Node

# Kinds of nodes: those for vectors; loops; chains through the rows; what goes anywhere.
VECTOR, LONG, SHORT_LOOP, CHAIN, CHEAP = "vector", "long", "short", "chain", "cheap"


@dataclass
class Unit:
    """Nodes that stay together, by their positions, and how they are to run."""

    nodes: list[tuple[int, Node]]
    kind: str = CHEAP


def arranged(
    units: Sequence[Unit], after: Sequence[set[int]]
) -> Iterator[tuple[str, list[Node]]]:
    """The units in an order that they may run in, those of one kind together.

    What goes anywhere goes with what reads it first, or, if nothing does, with what it
    reads last.
    """
    cheap = {k for k, unit in enumerate(units) if unit.kind == CHEAP}
    above = _all_before(after)
    ends = [k for k in cheap if not any(k in earlier for earlier in after)]
    left = set(range(len(units)))

    def fitting(kind: str | None) -> list[int]:
        ready = [k for k in sorted(left - cheap) if above[k] & left <= cheap]
        kind = units[ready[0]].kind if ready and kind is None else kind
        return [k for k in ready if units[k].kind == kind]

    def nodes(taken: set[int]) -> list[Node]:
        left.difference_update(taken)
        pairs = sorted((pair for k in taken for pair in units[k].nodes), key=_position)
        return [node for _, node in pairs]

    while left - cheap:
        found = fitting(None)
        kind = units[found[0]].kind
        if kind == SHORT_LOOP:
            needed = above[found[0]] & left
            if needed:
                yield CHEAP, nodes(needed)
            yield kind, nodes({found[0]})
            continue
        taken: list[Node] = []
        while found:
            taken += nodes(set(found).union(*(above[k] & left for k in found)))
            found = fitting(kind)
        for k in ends:
            if k in left and above[k] & left <= cheap:
                taken += nodes({k} | above[k] & left)
        yield kind, taken
    if left:
        yield CHEAP, nodes(set(left))


def _position(pair: tuple[int, Node]) -> int:
    return pair[0]


def _all_before(after: Sequence[set[int]]) -> list[set[int]]:
    """For each unit all that it comes after, by way of others as well."""
    above: dict[int, set[int]] = {}
    order = TopologicalSorter(dict(enumerate(after))).static_order()
    for k in order:
        above[k] = after[k].union(*(above[e] for e in after[k]))
    return [above[k] for k in range(len(after))]


__all__ = ["CHAIN", "CHEAP", "LONG", "SHORT_LOOP", "VECTOR", "Unit", "arranged"]
