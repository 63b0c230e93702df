"""Rows of one array that may be one and the same, to be told apart one by one.

    for i: for j: a[i, j] = f(a[i, j], a[k, j])

LLVM makes vector code of the inner loop, behind a test that row i is not row k. It
makes that test before the loop over i if it can, for all of its rows at once, which
fails at every k if k is among them: all of it runs as scalar code then. It fails as
well if the rows come from the last to the first, as those of a tape do, for such a test
is made for rising addresses. So the index of a row is hidden from it, and the test
stands where it belongs, before each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracejit.ir.program import Eqn, Var
from tracejit.optimize.held import Bounds, apart, bounds_of
from tracejit.optimize.nest import (
    BLOCKS,
    INT64,
    Accumulate,
    Affine,
    Buffer,
    Let,
    Load,
    Loop,
    Node,
    Store,
    scalar_var,
)

PLAIN = (Eqn, Load, Store, Let, Accumulate)


def hide_rows(nodes: Sequence[Node], around: Bounds | None = None) -> list[Node]:
    """The nodes with such rows hidden in the innermost loops.

    `around` are the bounds of the loops that they stand in.
    """
    around = around or {}
    out: list[Node] = []
    for node in nodes:
        inside = around | bounds_of([node])
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, hide_rows(getattr(node, name), inside))
        if isinstance(node, Loop):
            node.body = [n for inner in node.body for n in _hidden(inner, node, inside)]
        out.append(node)
    return out


def _hidden(loop: Node, outer: Loop, around: Bounds) -> list[Node]:
    """A node, which stands in an `outer` loop; before it, what its index is."""
    if not isinstance(loop, Loop) or not all(isinstance(n, PLAIN) for n in loop.body):
        return [loop]
    if (loop.hi - loop.lo).constant == 1:
        return [loop]
    row, known = outer.index, around | bounds_of([loop])
    accesses = [n for n in loop.body if isinstance(n, Load | Store)]
    stores = [n for n in accesses if isinstance(n, Store)]
    buffers = {
        a.buffer
        for a in stores
        for b in accesses
        if a.buffer is b.buffer and _may_meet(a, b, loop.index, row, known)
    }
    if stores and _falls(outer):
        buffers |= {a.buffer for a in accesses if any(row in i.terms for i in a.index)}
    if not buffers:
        return [loop]
    hidden = scalar_var(INT64, row.hint)
    loop.body = [_renamed(n, buffers, row, hidden) for n in loop.body]
    return [Let(hidden, row, hidden=True), loop]


def _falls(loop: Loop) -> bool:
    """Whether a loop's index may fall from round to round."""
    step = loop.step.constant
    return step is None or (step > 0) == loop.reverse


def _may_meet(
    a: Load | Store, b: Load | Store, along: Var, row: Var, known: Bounds
) -> bool:
    """Whether two rows, of which `row` numbers one, may be the same."""
    if a.shape != b.shape or not all(along in x.index[-1].terms for x in (a, b)):
        return False
    gaps = [x - y for x, y in zip(a.index, b.index, strict=True)]
    return any(row in gap.terms for gap in gaps) and not apart(a.index, b.index, known)


def _renamed(node: Node, buffers: set[Buffer], row: Var, hidden: Var) -> Node:
    if not isinstance(node, Load | Store) or node.buffer not in buffers:
        return node
    change = Affine({hidden: 1, row: -1})
    index = tuple([i + change.times(i.terms.get(row, 0)) for i in node.index])
    return replace(node, index=index)


__all__ = ["hide_rows"]
