"""What loops and branches become, and how carried arrays keep one buffer through them.

A carried array has a *slot*, the buffer that it is in at the start and the end of every
trip. Updates write into the slot; a value made anew is stored elsewhere and the two
buffers change names; a copy is made only where neither will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from tracejit.ir.cost import rounds
from tracejit.ir.primitive import Elementwise
from tracejit.ir.program import Atom, Eqn, Region, Var
from tracejit.ops.shape import broadcast
from tracejit.optimize.buffers import Scope, captured, origin
from tracejit.optimize.lowering import REPEATED, Lowering, Rule, loc_in
from tracejit.optimize.nest import (
    Affine,
    Buffer,
    Check,
    If,
    Let,
    Loop,
    Node,
    Rotate,
    While,
    scalar_var,
)
from tracejit.optimize.pull import Home, resolved
from tracejit.optimize.statements import StoreStmt, TogetherStmt

Slots: TypeAlias = list[Buffer | None]
Moves: TypeAlias = list[tuple[Buffer, Buffer]]


def check(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    low.failures.append(eqn.params["error"])
    scope.items.append(Check(eqn.inputs[0], len(low.failures)))


# Loops --------------------------------------------------------------------------------


def for_(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    lo, hi, step, *inits = eqn.inputs
    (body,) = eqn.regions
    index, *params = body.params
    slots = _enter(low, eqn, inits, params, scope)
    nodes = _trip(low, body, params, slots, scope)
    start, stop, stride = (resolved(x, low.integers) for x in (lo, hi, step))
    reverse = eqn.params["reverse"]
    if stride.constant == -1:  # the same upwards, in the opposite order
        start, stop, stride, reverse = stop + 1, start + 1, Affine.of(1), not reverse
    loop = Loop(index, start, stop, stride, nodes, reverse, eqn.loc, rounds(eqn))
    loop.carried = [slot for slot in slots if slot is not None]
    scope.items.append(loop)
    _leave(low, eqn, params, slots, scope)


def while_(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    test, body = eqn.regions
    slots = _enter(low, eqn, eqn.inputs, body.params, scope)
    # Test and body name the carried values differently: one more name for each.
    inner = Scope(test, scope, loop=True)
    for slot, param, var in zip(slots, test.params, body.params, strict=True):
        if slot is None:
            inner.items.append(Let(param, var))
        else:
            low.buffers.settle(param, slot)
    low.region(inner)
    tests = low.fuser.nodes(inner.items)
    for slot, var in zip(slots, body.params, strict=True):
        if slot is not None:
            low.buffers.hand_over(slot, var)
    nodes = _trip(low, body, body.params, slots, scope)
    carried = [slot for slot in slots if slot is not None]
    ok, expected = test.results[0], rounds(eqn)
    scope.items.append(While(tests, ok, nodes, eqn.loc, expected, carried))
    _leave(low, eqn, body.params, slots, scope)


def _enter(
    low: Lowering,
    eqn: Eqn,
    inits: Sequence[Atom],
    params: Sequence[Var],
    scope: Scope,
) -> Slots:
    """The slot of each carried array; carried scalars are assigned to their params."""
    inside = captured(eqn)
    slots: Slots = []
    for init, param in zip(inits, params, strict=True):
        if not param.aval.shape:
            scope.items.append(Let(param, init))
            slots.append(None)
            continue
        slot = low.buffers.buffer_of(init)
        if slot is None or not _may_take(low, slot, slots, inside, scope):
            new = low.buffers.new(param.aval, param.hint)
            (low.fill if slot is None else low.copy)(new, init, scope)
            slot = new
        slots.append(slot)
    for slot, param in zip(slots, params, strict=True):
        if slot is not None:
            low.overwrite(slot, scope, inside)
            low.buffers.hand_over(slot, param)
    again = "every round of a loop would compute it anew"
    low.want((v for v in inside if low.cost(v) > REPEATED and v.aval.shape), again)
    return slots


def _may_take(
    low: Lowering, buffer: Buffer, slots: Slots, inside: set[Var], scope: Scope
) -> bool:
    """Whether a loop may take over the buffer of one of its inits."""
    return (
        buffer not in slots
        and low.buffers.free_for(buffer, scope)
        and inside.isdisjoint(low.buffers.holds[buffer])
    )


def _trip(
    low: Lowering, body: Region, params: Sequence[Var], slots: Slots, scope: Scope
) -> list[Node]:
    """The nodes of a loop's body, which end with every carried value in place."""
    inner = Scope(body, scope, loop=True)
    low.region(inner)
    moves = _deliver(low, inner, slots)
    kept: list[Node] = []
    lets: list[Node] = []
    for param, slot, result in zip(params, slots, body.results, strict=True):
        if slot is not None or result is param:
            continue
        if isinstance(result, Var) and result in params:
            # Another slot's value, read before that is assigned.
            old, result = result, scalar_var(result.aval.dtype, result.hint)
            kept.append(Let(result, old))
        lets.append(Let(param, result))
    rotations = [Rotate(moves)] if moves else []
    return [*low.fuser.nodes(inner.items), *kept, *lets, *rotations]


def _leave(
    low: Lowering, eqn: Eqn, params: Sequence[Var], slots: Slots, scope: Scope
) -> None:
    """Name what a loop leaves behind."""
    for out, param, slot in zip(eqn.outputs, params, slots, strict=True):
        if slot is not None:
            low.buffers.hand_over(slot, out)
        elif out in scope.last:
            scope.items.append(Let(out, param))


def _deliver(low: Lowering, scope: Scope, slots: Slots) -> Moves:
    """Bring the results of a body into their slots.

    Values computed last are stored there directly, if nothing else needs what the slots
    hold; else they are stored elsewhere and the buffers change names.
    """
    moves: Moves = []
    results = scope.region.results
    homes: Slots = [low.buffers.buffer_of(r) for r in results]
    done = {s for s, home in zip(slots, homes, strict=True) if s and s is home}
    lazy = {
        slot: result
        for slot, result, home in zip(slots, results, homes, strict=True)
        if slot is not None and home is None and isinstance(result, Var)
    }
    done.update(_fill(low, lazy, results, scope))
    for slot, value, source in zip(slots, results, homes, strict=True):
        if slot is None or slot in done:
            continue
        taken = done.union(b for _, b in moves)
        if source is None or source in taken or not _local(low, source, scope, slots):
            spare = low.buffers.new(slot.aval, slot.hint)
            (low.fill if source is None else low.copy)(spare, value, scope)
            source = spare
        moves.append((slot, source))
    return close_cycles(moves)


def _fill(
    low: Lowering, lazy: dict[Buffer, Var], results: Sequence[Atom], scope: Scope
) -> set[Buffer]:
    """Compute what can be computed right into the buffers that it is to be in."""
    done: set[Buffer] = set()
    for shape in dict.fromkeys(r.aval.shape for r in lazy.values()):
        same = {s: r for s, r in lazy.items() if r.aval.shape == shape}
        chosen = _together(low, same, results)
        done.update(chosen)
        entangled = _entangled(low, chosen)
        for alone in [s for s in chosen if s not in entangled]:
            low.fill(alone, chosen[alone], scope)
        if entangled:
            stores = [_store(slot, chosen[slot]) for slot in entangled]
            loc, value = loc_in(scope), stores[0].value
            scope.items.append(TogetherStmt(shape, value, loc, stores=stores))
    return done


def _together(
    low: Lowering, chosen: dict[Buffer, Var], results: Sequence[Atom]
) -> dict[Buffer, Var]:
    """Results to compute into their slots all at once, element by element.

    They may read each other's slots, at the element's own index only; no other result
    may read those slots.
    """
    while True:
        others = [r for r in results if r not in chosen.values()]
        bad = {
            slot
            for slot in chosen
            if any(_reads_elsewhere(low, slot, r) for r in chosen.values())
            or any(isinstance(r, Var) and slot in low.buffers_read(r) for r in others)
        }
        if not bad:
            return chosen
        chosen = {s: r for s, r in chosen.items() if s not in bad}


def _entangled(low: Lowering, chosen: dict[Buffer, Var]) -> list[Buffer]:
    """The slots that another result reads, and those of the results that do."""
    found: dict[Buffer, None] = {}
    for slot in chosen:
        for reader, result in chosen.items():
            if reader is not slot and slot in low.buffers_read(result):
                found.update({slot: None, reader: None})
    return list(found)


def _reads_elsewhere(low: Lowering, slot: Buffer, result: Var) -> bool:
    """Whether an element of `result` takes more of `slot` than that element."""
    return low.reads_elsewhere(_store(slot, result))


def _store(slot: Buffer, result: Var) -> StoreStmt:
    shape = result.aval.shape
    return StoreStmt(shape, result, home=Home(slot, shape))


def _direct(low: Lowering, slot: Buffer, result: Var, results: Sequence[Atom]) -> bool:
    """Whether a result can be computed into `slot`, which it may read itself."""
    for other in results:
        if isinstance(other, Var) and other is not result:
            if slot in low.buffers_read(other):
                return False
    return not _reads_elsewhere(low, slot, result)


def _local(low: Lowering, buffer: Buffer, scope: Scope, slots: Slots) -> bool:
    """Whether a buffer belongs to this body alone: a temporary or a slot of it."""
    mine = all(v in scope.own for v in low.buffers.holds[buffer])
    return buffer in slots or (buffer.writable and mine)


def close_cycles(moves: Moves) -> Moves:
    """A permutation: the temporaries that moved in get the memory that was let go."""
    source_of = dict(moves)
    sources = set(source_of.values())
    for target in [t for t in source_of if t not in sources]:
        last = target
        while last in source_of:
            last = source_of[last]
        source_of[last] = target
    for buffer in source_of:
        buffer.rotates = True
    return list(source_of.items())


# Branches -----------------------------------------------------------------------------


def cond(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    slots = _joined(low, eqn, scope)
    branches = []
    for branch in eqn.regions:
        inner = Scope(branch, scope)
        holds = {b: list(held) for b, held in low.buffers.holds.items()}
        low.region(inner)
        _deliver_branch(low, inner, slots)
        for out, slot, result in zip(eqn.outputs, slots, branch.results, strict=True):
            if slot is None and out in scope.last:
                inner.items.append(Let(out, result))
        branches.append(low.fuser.nodes(inner.items))
        low.buffers.holds.update(holds)
    then, otherwise = branches
    scope.items.append(If(eqn.inputs[0], then, otherwise, eqn.loc))
    for out, slot in zip(eqn.outputs, slots, strict=True):
        if slot is not None:
            low.buffers.hand_over(slot, out)


def _joined(low: Lowering, eqn: Eqn, scope: Scope) -> Slots:
    """The buffer that both branches leave each result in.

    Best is that of the array which the branches update, if it dies here.
    """
    slots: Slots = []
    for k, out in enumerate(eqn.outputs):
        if not out.aval.shape:
            slots.append(None)
            continue
        found = [low.buffers.buffer_of(origin(r.results[k], r)) for r in eqn.regions]
        found.append(_next_slot(low, eqn, out, scope))
        free = [
            b
            for b in found
            if b is not None
            and b.aval == out.aval
            and b not in slots
            and low.buffers.free_for(b, scope)
        ]
        slots.append(free[0] if free else low.buffers.new(out.aval, out.hint))
    inside = captured(eqn)
    for slot in slots:
        if slot is not None:
            low.overwrite(slot, scope, inside)
    return slots


def _next_slot(low: Lowering, eqn: Eqn, out: Var, scope: Scope) -> Buffer | None:
    """The slot that a branch's result is going to, if each of its elements is computed
    of what the slot has at that place."""
    pointwise = all(
        isinstance(e.prim, Elementwise)
        or e.prim is broadcast
        or (not e.regions and all(a.aval.shape != out.aval.shape for a in e.inputs[:1]))
        for branch in eqn.regions
        for e in branch.eqns
    )
    return low.next_slot(out, scope) if pointwise else None


def _deliver_branch(low: Lowering, scope: Scope, slots: Slots) -> None:
    """Bring the results of a branch into their slots, by copies where needed."""
    results = scope.region.results
    homes = {r: low.buffers.buffer_of(r) for r in results}
    lazy = {
        slot: result
        for slot, result in zip(slots, results, strict=True)
        if slot is not None and homes[result] is None and isinstance(result, Var)
    }
    done = _fill(low, lazy, results, scope)
    late: Moves = []
    for slot, result in zip(slots, results, strict=True):
        if slot is None or slot in done or homes[result] is slot:
            continue
        assert isinstance(result, Var)
        if _direct(low, slot, result, results):
            low.fill(slot, result, scope)
            continue
        new = low.buffers.new(result.aval, result.hint)
        low.fill(new, result, scope)
        late.append((slot, new))
    for slot, new in late:
        moved = Var(new.aval, new.hint)
        low.buffers.settle(moved, new)
        low.copy(slot, moved, scope)


RULES: dict[str, Rule] = {"for": for_, "while": while_, "cond": cond, "check": check}
