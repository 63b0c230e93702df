"""Loops split at the one round that comes to a cell which the others pass by.

    for j in range(n):                   for j in range(0, k): …
        D[i, j] = f(D[i, j], D[i, k])    D[i, k] = f(D[i, k], D[i, k])
                                         for j in range(k + 1, n): …

In both loops D[i, k] does not change, and so goes to a register (see `held`); then LLVM
sees that their rounds do not depend on each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from tracejit.ir.program import Eqn, Var
from tracejit.ir.ranges import Ranges
from tracejit.optimize.clones import clone
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
from tracejit.optimize.walks import assigned

#: Longer bodies are not split: they would stand three times.
LONGEST = 60

Access: TypeAlias = Load | Store


def split_at_cells(nodes: Sequence[Node], ranges: Ranges | None = None) -> list[Node]:
    """The nodes with such loops, the inmost ones, made two loops and a round."""
    ranges = Ranges({}) if ranges is None else ranges
    out: list[Node] = []
    for node in nodes:
        if isinstance(node, Loop):
            enter(node, ranges)
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, split_at_cells(getattr(node, name), ranges))
        out += _parts(node, ranges) if isinstance(node, Loop) else [node]
    return out


def enter(loop: Loop, ranges: Ranges) -> None:
    """Know the bounds of a loop's index, in what is looked at from now on."""
    if loop.step.constant is not None:
        ranges.bind(loop.index, loop.lo.form, loop.hi.form, loop.step.constant)


def _parts(loop: Loop, ranges: Ranges) -> list[Node]:
    plain = (Eqn, Load, Store, Let, Accumulate)
    if loop.step.constant != 1 or not all(isinstance(n, plain) for n in loop.body):
        return [loop]
    meetings = _single_meetings(loop, ranges)
    if len(meetings) != 1 or len(loop.body) > LONGEST:
        return [loop]
    (at,) = meetings
    if not _within(at, loop, ranges):
        return [loop]
    parts: list[Node] = []
    for lo, hi in ((loop.lo, at), (at, at + 1), (at + 1, loop.hi)):
        index = scalar_var(INT64, loop.index.hint)
        body = clone(loop.body, {loop.index: index})
        parts.append(replace(loop, index=index, lo=lo, hi=hi, body=body))
    return parts[::-1] if loop.reverse else parts


def _within(at: Affine, loop: Loop, ranges: Ranges) -> bool:
    """Whether a loop surely has this round."""
    gaps = [ranges.least(gap.form) for gap in (at - loop.lo, loop.hi - 1 - at)]
    return all(gap is not None and gap >= 0 for gap in gaps)


def _single_meetings(loop: Loop, ranges: Ranges) -> set[Affine]:
    """The rounds that come to a cell which does not move, and else is passed by: one
    that the loop only reads, or only adds to, and writes beside."""
    moving = {v for node in loop.body for v in assigned(node)} | {loop.index}
    by_buffer: dict[Buffer, list[Access]] = {}
    for node in loop.body:
        if isinstance(node, Load | Store):
            by_buffer.setdefault(node.buffer, []).append(node)
    found: set[Affine] = set()
    for buffer, accesses in by_buffer.items():
        if buffer.rows is not None or not any(isinstance(a, Store) for a in accesses):
            continue
        if all(_adds(a) for a in accesses):
            continue  # what is added to one place waits in a register
        fixed: dict[object, list[Access]] = {}
        for access in accesses:
            if moving.isdisjoint(v for i in access.index for v in i.vars):
                fixed.setdefault(access.index, []).append(access)
        for place in fixed.values():
            others = [a for a in accesses if a not in place]
            meetings = _meetings(place, others, loop, moving, ranges)
            if meetings is not None and len(meetings) == 1:
                found |= meetings
    return found


def _meetings(
    place: list[Access],
    others: list[Access],
    loop: Loop,
    moving: set[Var],
    ranges: Ranges,
) -> set[Affine] | None:
    """The rounds in which others touch a place; None where that is not known, or where
    the place is not only read, or only added to."""
    reads = all(isinstance(a, Load) for a in place)
    floats = place[0].buffer.aval.dtype.kind == "f"
    if not reads and not (floats and all(_adds(a) for a in place)):
        return None
    found: set[Affine] = set()
    for other in others:
        if reads and isinstance(other, Load):
            continue
        if other.shape != place[0].shape:
            return None
        meeting = _meeting(place[0], other, loop, moving, ranges)
        if meeting is loop:
            return None
        if isinstance(meeting, Affine):
            found.add(meeting)
    return found


def _adds(access: Access) -> bool:
    return isinstance(access, Store) and access.op == "add"


def _meeting(
    place: Access, other: Access, loop: Loop, moving: set[Var], ranges: Ranges
) -> Affine | Loop | None:
    """The round in which an access is at a place; the loop itself where any may be."""
    found: Affine | Loop = loop
    for fixed, running in zip(place.index, other.index, strict=True):
        gap = running - fixed
        below = ranges.least(gap.form)
        above = ranges.least(gap.times(-1).form)
        if (below is not None and below > 0) or (above is not None and above > 0):
            return None
        factor = gap.terms.get(loop.index, 0)
        rest = gap - Affine({loop.index: factor})
        if abs(factor) == 1 and moving.isdisjoint(rest.vars):
            found = rest.times(-factor)
    return found


__all__ = ["enter", "split_at_cells"]
