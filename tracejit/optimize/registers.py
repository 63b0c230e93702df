"""Sums kept in registers: what a loop only adds to, it need not load and store.

    for …: s = s + e          s is read nowhere else: a sum that may be reordered
    for …: b[k] += e          k does not change: r += e in the loop, b[k] += r after it

Either lets LLVM turn the loop into vector instructions. Sums that the user carries
with care (Kahan's, two-sum) read their total more than once and stay as written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from functools import partial

from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.optimize.held import Bounds, bounds_of, hold
from tracejit.optimize.nest import (
    BLOCKS,
    Accumulate,
    Buffer,
    Call,
    Grow,
    If,
    Index,
    Let,
    Load,
    Loop,
    Node,
    Parallel,
    Reset,
    Rotate,
    Store,
    While,
    scalar_var,
)
from tracejit.optimize.walks import assigned, everything, if_it_ran, reads_of


def use_registers(nodes: Sequence[Node], around: Bounds | None = None) -> list[Node]:
    """The nodes with such sums rewritten, in the innermost loops first.

    `around` are the bounds of the loops that they stand in.
    """
    around = around or {}
    out: list[Node] = []
    for node in nodes:
        if isinstance(node, If):
            node.then = use_registers(node.then, around)
            node.otherwise = use_registers(node.otherwise, around)
        elif isinstance(node, Parallel):
            node.body = use_registers(node.body, around)
        elif isinstance(node, While):
            node.body = plain_sums(use_registers(node.body, around), node.test)
        elif isinstance(node, Loop):
            node.body = use_registers(node.body, around | bounds_of([node]))
            for part in promoted(node):
                out += hold(part, around) if part is node else [part]
            node.body = plain_sums(node.body)
            continue
        out.append(node)
    return out


# s = s + e ----------------------------------------------------------------------------


def plain_sums(body: list[Node], test: Sequence[Node] = ()) -> list[Node]:
    """The body of a loop with its plain carried sums as accumulations."""
    inside = list(everything([*test, *body]))
    reads = Counter(v for node in inside for v in reads_of(node))
    made = {n.out: n for n in body if isinstance(n, Eqn) and n.prim.single}
    set_by = Counter(n.target for n in inside if isinstance(n, Let))
    copied: dict[Var, Let] = {}
    instead: dict[Node, list[Node]] = {}
    for node in body:
        if isinstance(node, Let) and set_by[node.target] == 1:
            copied[node.target] = node
        if isinstance(node, Let) and isinstance(node.value, Var):
            total = node.target
            if total.aval.dtype.kind != "f":
                continue
            chain, start = sum_chain(total, node.value, made, copied, reads)
            for eqn, term, minus in chain:
                instead[eqn] = _added(total, term, minus)
            if chain:
                instead[node] = []
                instead.update({start: []} if start else {})
    return [n for node in body for n in instead.get(node, [node])]


def sum_chain(
    total: Var,
    value: Atom,
    made: dict[Var, Eqn],
    copied: dict[Var, Let],
    reads: Counter[Var],
) -> tuple[list[tuple[Eqn, Atom, bool]], Let | None]:
    """The additions that lead from `total` to `value`, if all else is read nowhere.

    They may begin with a copy of `total`, which is returned, too.
    """
    chain: list[tuple[Eqn, Atom, bool]] = []
    copies = [n for v, n in copied.items() if n.value is total and reads[v] == 1]
    start = copies[0] if copies else None
    first = total if start is None else start.target
    if reads[total] != 1:
        return [], None
    while value is not first:
        if not isinstance(value, Var) or value not in made or reads[value] != 1:
            return [], None
        eqn = made[value]
        if eqn.prim.name not in ("add", "sub"):
            return [], None
        left, right = eqn.inputs
        if eqn.prim.name == "add" and not _leads_to(left, first, made):
            left, right = right, left
        chain.append((eqn, right, eqn.prim.name == "sub"))
        value = left
    return chain, start


def _leads_to(atom: Atom, total: Var, made: dict[Var, Eqn]) -> bool:
    """Whether `atom` is `total` with terms added on its left."""
    while isinstance(atom, Var) and atom is not total and atom in made:
        eqn = made[atom]
        if eqn.prim.name not in ("add", "sub"):
            return False
        atom = eqn.inputs[0]
    return atom is total


def _added(total: Var, term: Atom, minus: bool) -> list[Node]:
    if not minus:
        return [Accumulate(total, "add", term)]
    negative = scalar_var(total.aval.dtype)
    return [
        Eqn(REGISTRY["neg"], [term], [negative]),
        Accumulate(total, "add", negative),
    ]


# b[k] += e ----------------------------------------------------------------------------


def promoted(loop: Loop) -> list[Node]:
    """A loop with the accumulations at a fixed place moved behind it."""
    inside = list(everything(loop.body))
    changing = {loop.index, *(v for node in inside for v in assigned(node))}
    only_added = _only_added(inside)
    registers: dict[tuple[Buffer, Index], tuple[Var, Store]] = {}
    body: list[Node] = []
    for node in loop.body:
        if isinstance(node, Store) and node.buffer in only_added:
            if changing.isdisjoint(v for i in node.index for v in i.vars):
                key = node.buffer, node.index
                if key not in registers:
                    dtype = node.buffer.aval.dtype
                    registers[key] = scalar_var(dtype, node.buffer.hint), node
                body.append(Accumulate(registers[key][0], "add", node.value))
                continue
        body.append(node)
    if not registers or loop.step.constant != 1:
        return [loop]
    loop.body = body
    before: list[Node] = []
    after: list[Node] = []
    for register, store in registers.values():
        before.append(Let(register, Literal(0.0, register.aval.dtype)))
        place = store.buffer, store.shape, store.index
        after.append(Store(*place, register, "add", store.loc))
    return [*before, loop, *if_it_ran(loop, after)]


def _only_added(nodes: Sequence[Node]) -> set[Buffer]:
    """Buffers of floats that these nodes touch by adding to them alone."""
    added: set[Buffer] = set()
    other: set[Buffer] = set()
    for node in nodes:
        if isinstance(node, Store) and node.op == "add":
            added.add(node.buffer)
        elif isinstance(node, Call):
            other.update(node.reads, node.writes)
        elif isinstance(node, Rotate):
            other.update(b for move in node.moves for b in move)
        elif isinstance(node, Store | Load | Reset):
            other.add(node.buffer)
            source = getattr(node, "source", None)
            other.update([source] if source else [])
    return {b for b in added - other if b.aval.dtype.kind == "f" and not b.rows}


# What nobody reads --------------------------------------------------------------------


def _not_in(dead: Container[Node], node: Node) -> bool:
    return node not in dead


def drop_unread(nodes: Sequence[Node]) -> list[Node]:
    """The nodes without scalars that nobody reads."""
    while True:
        inside = list(everything(nodes))
        read = {v for node in inside for v in reads_of(node)}
        dead = {
            node
            for node in inside
            if isinstance(node, Eqn | Load | Let | Accumulate)
            and read.isdisjoint(assigned(node))
        }
        if not dead:
            return list(nodes)
        nodes = _filtered(nodes, partial(_not_in, dead))


def drop_dead_stores(nodes: Sequence[Node], results: Sequence[Buffer]) -> list[Node]:
    """The nodes without stores to temporaries whose values were used in registers."""
    live = set(results)
    for node in everything(nodes):
        if isinstance(node, Load):
            live.add(node.buffer)
        elif isinstance(node, Call):
            live.update(node.reads, node.writes)
        elif isinstance(node, Rotate):
            live.update(b for move in node.moves for b in move)
        elif isinstance(node, Reset) and node.source is not None:
            live.add(node.source)
    stores = Store | Reset | Grow
    return _filtered(
        nodes, lambda node: not isinstance(node, stores) or node.buffer in live
    )


def _filtered(nodes: Sequence[Node], keep: Callable[[Node], bool]) -> list[Node]:
    out: list[Node] = []
    for node in nodes:
        if not keep(node):
            continue
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, _filtered(getattr(node, name), keep))
        # A loop that only did what is gone has nothing left to do.
        if not isinstance(node, Loop) or node.body:
            out.append(node)
    return out
