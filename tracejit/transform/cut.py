"""Minimum vertex cut: the lightest values to save, the rest being recomputed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node")

INFINITE = 1 << 62


def min_vertex_cut(
    weights: Mapping[Node, int],
    edges: Iterable[tuple[Node, Node]],
    sources: Iterable[Node],
    sinks: Iterable[Node],
) -> set[Node]:
    """A lightest set of nodes that meets every path from a source to a sink.

    Of several lightest sets, the one nearest the sinks: least is recomputed. Every
    node is split into an entrance 2k and an exit 2k + 1 joined by an edge of the
    node's weight; maximum flow (Edmonds-Karp) saturates the cut.

    >>> sorted(min_vertex_cut({"a": 8, "b": 1, "c": 8}, [("a", "b"), ("b", "c")],
    ...                       ["a"], ["c"]))
    ['b']
    """
    number = {node: k for k, node in enumerate(weights)}
    source, sink = 2 * len(number), 2 * len(number) + 1
    residual: list[dict[int, int]] = [{} for _ in range(sink + 1)]

    def join(a: int, b: int, capacity: int) -> None:
        residual[a][b] = residual[a].get(b, 0) + capacity
        residual[b].setdefault(a, 0)

    for node, k in number.items():
        join(2 * k, 2 * k + 1, weights[node])
    for a, b in edges:
        join(2 * number[a] + 1, 2 * number[b], INFINITE)
    for node in sources:
        join(source, 2 * number[node], INFINITE)
    for node in sinks:
        join(2 * number[node] + 1, sink, INFINITE)
    while path := _shortest_path(residual, source, sink):
        flow = min(residual[i][j] for i, j in path)
        for i, j in path:
            residual[i][j] -= flow
            residual[j][i] += flow
    reaching = _reaching(residual, sink)
    return {
        node
        for node, k in number.items()
        if 2 * k + 1 in reaching and 2 * k not in reaching
    }


def _shortest_path(
    residual: list[dict[int, int]], source: int, sink: int
) -> list[tuple[int, int]]:
    parent = {source: source}
    queue = deque([source])
    while queue and sink not in parent:
        a = queue.popleft()
        for b, capacity in residual[a].items():
            if capacity > 0 and b not in parent:
                parent[b] = a
                queue.append(b)
    if sink not in parent:
        return []
    path, b = [], sink
    while b != source:
        path.append((parent[b], b))
        b = parent[b]
    return path


def _reaching(residual: list[dict[int, int]], sink: int) -> set[int]:
    """Nodes from which the sink can still be reached."""
    found = {sink}
    queue = deque([sink])
    while queue:
        b = queue.popleft()
        # residual[b] has every neighbour, as edges are kept in both directions.
        for a in residual[b]:
            if a not in found and residual[a].get(b, 0) > 0:
                found.add(a)
                queue.append(a)
    return found
