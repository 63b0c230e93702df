"""Walks over nodes: what a block holds, reads and binds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.optimize.nest import (
    INT64,
    Accumulate,
    Affine,
    Buffer,
    Call,
    Grow,
    If,
    Let,
    Load,
    Loop,
    Node,
    Parallel,
    Reset,
    Rotate,
    Store,
    children,
    scalar_var,
)


def everything(nodes: Iterable[Node]) -> Iterator[Node]:
    """The nodes and all that they hold."""
    for node in nodes:
        yield node
        yield from everything(list(children(node)))


def common_buffers(nodes: Sequence[Node]) -> dict[Buffer, None]:
    """The buffers that nodes touch, but for those of one part that threads run."""
    parts = [n for n in everything(nodes) if isinstance(n, Parallel)]
    inside = [set(everything(part.body)) for part in parts]
    within: set[Node] = set().union(*inside)
    outer = (n for n in everything(nodes) if n not in within)
    count = Counter(b for nodes in inside for b in buffers_of(nodes))
    many = [b for b in buffers_of(everything(nodes)) if count[b] > 1]
    return buffers_of(outer) | dict.fromkeys(many)


def buffers_of(nodes: Iterable[Node]) -> dict[Buffer, None]:
    """The buffers that nodes touch themselves, in order."""
    found: list[Buffer] = []
    for node in nodes:
        if isinstance(node, Load | Store | Grow | Reset):
            found.append(node.buffer)
            if isinstance(node, Reset) and node.source is not None:
                found.append(node.source)
        elif isinstance(node, Rotate):
            found += [b for move in node.moves for b in move]
        elif isinstance(node, Call):
            found += [*node.reads, *node.writes]
    return dict.fromkeys(found)


def reads_of(node: Node) -> Iterator[Var]:
    """The scalars that a node itself reads, not what it holds."""
    for name in ("value", "ok", "pred", "lo", "hi", "step", "row", "count"):
        yield from _vars(getattr(node, name, None))
    for name in ("inputs", "index", "args"):
        part = getattr(node, name, ())
        for item in part if isinstance(part, list | tuple) else ():
            yield from _vars(item)


def _vars(item: object) -> Iterator[Var]:
    if isinstance(item, Var):
        yield item
    elif isinstance(item, Affine):
        yield from item.vars


def assigned(node: Node) -> Iterator[Var]:
    """The scalars that a node binds."""
    for name in ("out", "target", "index"):
        var = getattr(node, name, None)
        if isinstance(var, Var):
            yield var
    if isinstance(node, Eqn):
        yield from node.outputs


def carried(body: Sequence[Node]) -> list[Var]:
    """The real numbers that a round of a loop reads as the one before has left them."""
    read: list[Var] = []
    made: set[Var] = set()
    for node in body:
        read += [v for n in everything([node]) for v in operands(n) if v not in made]
        if not isinstance(node, If):
            made.update(assigned(node))
    bound = {v for node in everything(body) for v in assigned(node)}
    real = (v for v in read if v in bound and v.aval.dtype.kind == "f")
    return list(dict.fromkeys(real))  # in an order that is always the same


def operands(node: Node) -> list[Var]:
    """The scalars that what a node binds hangs on."""
    return [*reads_of(node), *([node.target] if isinstance(node, Accumulate) else [])]


def if_it_ran(loop: Loop, nodes: list[Node]) -> list[Node]:
    """Where a loop made no trip, the place may not exist."""
    span = (loop.hi - loop.lo).constant
    if span is not None:
        return nodes if span > 0 else []
    out: list[Node] = []
    bounds: list[Atom] = []
    for bound in (loop.lo, loop.hi):
        if bound.constant is not None:
            bounds.append(Literal(bound.constant, INT64))
        else:
            bounds.append(scalar_var(INT64))
            out.append(Let(bounds[-1], bound))  # type: ignore[arg-type]
    ran = scalar_var(bool)
    test = Eqn(REGISTRY["lt"], bounds, [ran])
    return [*out, test, If(ran, nodes, [])]
