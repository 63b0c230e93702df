"""Elements that a loop reads and writes again and again, held in registers.

    for j: a[i] = a[i] + f(a[j])        j in range(i), say

is r = a[i]; for j: r = r + f(a[j]); a[i] = r: where it stands does not change, and
whatever else of the array the loop touches is provably another element. LLVM would
have to know that as well; and a sum in a register is one that it may reorder.

A temporary of few elements, each named by numbers wherever it is touched, is as many
registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.optimize.nest import (
    BLOCKS,
    Affine,
    Buffer,
    Call,
    Check,
    Grow,
    Index,
    Let,
    Load,
    Loop,
    Node,
    Reset,
    Rotate,
    Store,
    scalar_var,
)
from tracejit.optimize.walks import assigned, everything, if_it_ran

#: So many elements of one array are worth a register each.
MOST = 8

#: The least and the greatest value of the indices around.
Bounds: TypeAlias = dict[Var, tuple[Affine, Affine]]


@dataclass
class Accesses:
    """How a loop touches one array; `held` are the registers of fixed places."""

    nodes: list[Load | Store] = field(default_factory=list)
    odd: bool = False
    held: dict[Index, Var] = field(default_factory=dict)


def hold(loop: Loop, bounds: Bounds) -> list[Node]:
    """The loop with the elements that it keeps coming back to in registers.

    Args:
        loop: it is changed; loops in it had their turn.
        bounds: of the indices of the loops around it.
    """
    if loop.step.constant != 1:
        return [loop]
    inside = list(everything(loop.body))
    changing = {loop.index, *(v for node in inside for v in assigned(node))}
    known = bounds | bounds_of([loop, *inside])
    may_fail = any(isinstance(node, Check) for node in inside)
    start: list[Node] = []
    loads: list[Node] = []
    stores: list[Node] = []
    for buffer, accesses in _accesses(inside).items():
        if buffer.role == "written" and may_fail:
            continue  # what was written before a failure is the caller's
        if not _may_hold(loop, buffer, accesses, changing, known):
            continue
        loop.body = _with_registers(loop.body, buffer, accesses.held)
        for index, register in accesses.held.items():
            place = buffer, accesses.nodes[0].shape, index
            zero = buffer.aval.dtype.type(0).item()
            start.append(Let(register, Literal(zero, buffer.aval.dtype)))
            loads.append(Load(register, *place, loop.loc))
            stores.append(Store(*place, register, None, loop.loc))
    if not start:
        return [loop]
    return [*start, *if_it_ran(loop, loads), loop, *if_it_ran(loop, stores)]


def hold_small(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel with its smallest temporaries in registers."""
    start: list[Node] = []
    out = list(nodes)
    for buffer, accesses in _accesses(list(everything(nodes))).items():
        touched = accesses.nodes
        places = dict.fromkeys(n.index for n in touched)
        if buffer.role != "temporary" or accesses.odd or len(places) > MOST:
            continue
        known = all(i.constant is not None for index in places for i in index)
        if buffer.rows or not known or len({tuple(n.shape) for n in touched}) != 1:
            continue
        values = _by_values(out, buffer, len(touched))
        if values is not None:
            out = values
            continue
        dtype = buffer.aval.dtype
        zero = Literal(dtype.type(0).item(), dtype)
        held = {index: scalar_var(dtype, buffer.hint) for index in places}
        start += [Let(register, zero) for register in held.values()]
        out = _with_registers(out, buffer, held)
    return [*start, *out]


def _by_values(nodes: Sequence[Node], buffer: Buffer, count: int) -> list[Node] | None:
    """The nodes with a new scalar for each value of a place, where a block has all the
    `count` accesses and stores before it loads: nothing goes from round to round."""
    direct = [n for n in nodes if isinstance(n, Load | Store) and n.buffer is buffer]
    if not direct:
        for node in nodes:
            for name in BLOCKS:
                inner = getattr(node, name, ())
                if any(getattr(n, "buffer", None) is buffer for n in everything(inner)):
                    new = _by_values(inner, buffer, count)
                    if new is not None:
                        setattr(node, name, new)
                    return None if new is None else list(nodes)
        return None
    out: list[Node] = []
    now: dict[Index, Var] = {}
    for node in nodes:
        if not isinstance(node, Load | Store) or node.buffer is not buffer:
            out.append(node)
        elif isinstance(node, Store) and node.op is None:
            now[node.index] = scalar_var(buffer.aval.dtype, buffer.hint)
            out.append(Let(now[node.index], node.value))
        elif node.index not in now or len(direct) < count:
            return None
        elif isinstance(node, Load):
            out.append(Let(node.out, now[node.index]))
        else:
            both = scalar_var(buffer.aval.dtype)
            inputs: list[Atom] = [now[node.index], node.value]
            out.append(Eqn(REGISTRY[node.op or ""], inputs, [both], loc=node.loc))
            now[node.index] = both
    return out if len(direct) == count else None


def bounds_of(nodes: Sequence[Node]) -> Bounds:
    """The bounds of loops' indices."""
    loops = (node for node in nodes if isinstance(node, Loop))
    return {
        node.index: (node.lo, node.hi - 1) for node in loops if node.step.constant == 1
    }


def _accesses(nodes: Sequence[Node]) -> dict[Buffer, Accesses]:
    found: dict[Buffer, Accesses] = {}
    for node in nodes:
        if isinstance(node, Load | Store):
            found.setdefault(node.buffer, Accesses()).nodes.append(node)
        for buffer in whole_buffers(node):
            found.setdefault(buffer, Accesses()).odd = True
    return found


def whole_buffers(node: Node) -> Iterator[Buffer]:
    """Buffers that a node touches as a whole."""
    if isinstance(node, Call):
        yield from (*node.reads, *node.writes)
    elif isinstance(node, Rotate):
        yield from (buffer for move in node.moves for buffer in move)
    elif isinstance(node, Grow | Reset):
        source = getattr(node, "source", None)
        yield from [node.buffer, *([source] if source else [])]


def _may_hold(
    loop: Loop, buffer: Buffer, accesses: Accesses, changing: set[Var], known: Bounds
) -> bool:
    """Whether the fixed places are few, written, there, and apart from all others."""
    nodes = accesses.nodes
    if accesses.odd or buffer.rows or len({tuple(n.shape) for n in nodes}) != 1:
        return False
    fixed = [
        n for n in nodes if changing.isdisjoint(v for i in n.index for v in i.vars)
    ]
    places = list(dict.fromkeys(n.index for n in fixed))
    if not 0 < len(places) <= MOST or not any(isinstance(n, Store) for n in fixed):
        return False
    if buffer.role == "written" and any(
        isinstance(n, Check) for n in everything([loop])
    ):
        return False  # what was written before a failure is the caller's
    # Where only a branch comes there, there may be no such place.
    there = {n.index for n in loop.body if isinstance(n, Load | Store)}
    moving = list(dict.fromkeys(n.index for n in nodes if n not in fixed))
    if not there.issuperset(places) or not all(
        apart(a, b, known)
        for k, a in enumerate(places)
        for b in (*places[k + 1 :], *moving)
    ):
        return False
    dtype = buffer.aval.dtype
    accesses.held = {index: scalar_var(dtype, buffer.hint) for index in places}
    return True


def _with_registers(
    nodes: Sequence[Node], buffer: Buffer, held: dict[Index, Var]
) -> list[Node]:
    out: list[Node] = []
    for node in nodes:
        for name in BLOCKS:
            if hasattr(node, name):
                inner = _with_registers(getattr(node, name), buffer, held)
                setattr(node, name, inner)
        register = None
        if isinstance(node, Load | Store) and node.buffer is buffer:
            register = held.get(node.index)
        if register is None:
            out.append(node)
        elif isinstance(node, Load):
            out.append(Let(node.out, register))
        elif isinstance(node, Store) and node.op is None:
            out.append(Let(register, node.value))
        elif isinstance(node, Store):
            both = scalar_var(buffer.aval.dtype)
            prim = REGISTRY[node.op or ""]
            out.append(Eqn(prim, [register, node.value], [both], loc=node.loc))
            out.append(Let(register, both))
    return out


def apart(a: Index, b: Index, known: Bounds) -> bool:
    """Whether two places are provably different."""
    return any(_not_zero(x - y, known) for x, y in zip(a, b, strict=True))


def _not_zero(difference: Affine, known: Bounds) -> bool:
    return _positive(difference, known) or _positive(difference.times(-1), known)


def _positive(number: Affine, known: Bounds) -> bool:
    """Whether an integer is, even where the indices in it make it least."""
    if number.constant is not None:
        return number.constant > 0
    for var in [v for v in number.vars if v in known]:
        factor = number.terms[var]
        least = known[var][0 if factor > 0 else 1]
        rest = {v: ends for v, ends in known.items() if v is not var}
        if _positive(number - Affine({var: factor}) + least.times(factor), rest):
            return True
    return False


__all__ = ["Bounds", "apart", "bounds_of", "hold", "hold_small", "whole_buffers"]
