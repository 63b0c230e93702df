"""What array primitives that must be statements become: reductions, scans, products,
updates, and values put together from parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.ir.program import Eqn, Literal, Var
from tracejit.optimize.buffers import Scope
from tracejit.optimize.dot_rules import dot
from tracejit.optimize.lowering import OVERWRITTEN, Lowering, Rule
from tracejit.optimize.nest import INT64, Buffer, Grow, Let
from tracejit.optimize.pull import VIEWS, Home, near, operands_at, resolved
from tracejit.optimize.statements import (
    COMBINES,
    ArgStmt,
    ReduceStmt,
    ScanStmt,
    StoreStmt,
    first_of,
    moved_extents,
)

# Reductions ---------------------------------------------------------------------------


def reduce(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    """Into a register if the last axes vanish, else into a buffer."""
    (x,), axes, out = eqn.inputs, eqn.params["axes"], eqn.out
    kept = tuple(k for k in range(x.aval.ndim) if k not in axes)
    op, first = COMBINES[eqn.prim.name], first_of(eqn)
    home = low.home_for(out) if out.aval.shape else None
    if not axes:
        if home is None:
            scope.items.append(Let(out, x))
        else:
            scope.items.append(StoreStmt(x.aval.shape, x, eqn.loc, home=home, out=out))
    elif kept == tuple(range(len(kept))):
        scope.items.append(
            ReduceStmt(x.aval.shape, x, eqn.loc, out, op, first, len(kept), home)
        )
    else:
        assert home is not None
        low.fill(home.buffer, first, scope)
        scope.items.append(
            StoreStmt(x.aval.shape, x, eqn.loc, home=home, op=op, kept=kept)
        )


def arg_reduce(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (x,), axis, out = eqn.inputs, eqn.params["axis"], eqn.out
    home = low.home_for(out) if out.aval.shape else None
    stmt = ArgStmt(moved_extents(x.aval.shape, axis), x, eqn.loc, out)
    stmt.op, stmt.start, stmt.kept = (
        COMBINES[eqn.prim.name],
        Literal(0, INT64),
        x.aval.ndim - 1,
    )
    stmt.home, stmt.axis, stmt.least = home, axis, first_of(eqn)
    scope.items.append(stmt)


def scan(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    *factors, x = eqn.inputs
    axis, out = eqn.params["axis"], eqn.out
    scope.items.append(
        ScanStmt(
            moved_extents(x.aval.shape, axis),
            x,
            eqn.loc,
            out=out,
            home=low.home_for(out),
            op=COMBINES[eqn.prim.name],
            start=first_of(eqn),
            axis=axis,
            reverse=eqn.params["reverse"],
            factor=factors[0] if factors else None,
        )
    )


# Updates ------------------------------------------------------------------------------


def update(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    """In place if the old value dies here, else on a copy; or, lazily, in passing."""
    x, v, out = eqn.inputs[0], eqn.inputs[1], eqn.out
    assert isinstance(x, Var)
    old = low.buffers.buffer_of(x)
    if _most(eqn):
        lazy = old is None or _one_of_several(eqn, scope) or _clashes(low, eqn, old)
    else:
        lazy = old is None and _near_an_end(eqn) and _most_follow(eqn, scope)
    if lazy:
        low.pulled(eqn, scope)
        return
    buffer = old
    # What is scattered, and where, is read while elements in any order are written.
    # So is an array that is written into itself in another order (`x[::-1] = x`).
    at_once = old is None or not _clashes(low, eqn, old)
    read = [v][at_once:] if _sliced(eqn) else eqn.inputs[1:]
    operands = [a for a in read if isinstance(a, Var)]
    itself = any(low.buffers.buffer_of(a) is old for a in operands)
    if buffer is None or itself or not low.buffers.free_for(buffer, scope):
        buffer = low.buffers.new(x.aval, out.hint)
        (low.fill if old is None else low.copy)(buffer, x, scope)
    low.overwrite(buffer, scope)
    home = low.buffers.hand_over(buffer, out)
    if buffer.aval.grows:
        scope.items.append(Grow(buffer, resolved(eqn.inputs[2], low.integers)))
    if isinstance(v, Var) and _clashes(low, eqn, buffer):
        low.want([v], OVERWRITTEN)
    low.want((a for a in operands if buffer in low.reads.get(a, ())), OVERWRITTEN)
    scope.items.append(_storing(eqn, home))


def _storing(eqn: Eqn, home: Home) -> StoreStmt:
    """An update in place."""
    op = "add" if eqn.prim.name in ("acc_slice", "scatter_add") else None
    extents, v = _extents_of(eqn), eqn.inputs[1]
    return StoreStmt(extents, v, eqn.loc, home=home, out=eqn.out, op=op, part=eqn)


def _clashes(low: Lowering, eqn: Eqn, buffer: Buffer) -> bool:
    """Whether the value that an update stores reads other cells than it overwrites."""
    if not eqn.inputs[1].aval.shape:
        return False
    return low.reads_elsewhere(_storing(eqn, Home(buffer, eqn.out.aval.shape)))


def _sliced(eqn: Eqn) -> bool:
    """Whether starts, not index arrays, say which part an update writes."""
    return "sizes" in eqn.params


def _most(eqn: Eqn) -> bool:
    """Whether an update writes over half of an array along each axis, in steps of 1."""
    x, v, *_ = eqn.inputs
    sizes, steps = eqn.params.get("sizes", ()), eqn.params.get("steps", (0,))
    if not v.aval.shape or None in sizes or any(k != 1 for k in steps):
        return False
    pairs = zip(sizes, x.aval.shape, strict=True)
    return not x.aval.grows and all(2 * int(n) > int(m) for n, m in pairs)


def _one_of_several(eqn: Eqn, scope: Scope) -> bool:
    """Whether another update follows that writes most of the array, or came before.

    Several are done in one pass over the array, which makes it anew.
    """
    users = scope.users.get(eqn.out, [])
    follows = len(users) == 1 and users[0].inputs[0] is eqn.out and _chained(users[0])
    before = scope.made.get(eqn.inputs[0])  # type: ignore[arg-type]
    return follows or (before is not None and _chained(before))


def _chained(eqn: Eqn) -> bool:
    return eqn.prim.name in ("setitem", "acc_slice") and _most(eqn)


def _most_follow(eqn: Eqn, scope: Scope) -> bool:
    """Whether the updates that follow one include one that writes most of the array."""
    users = scope.users.get(eqn.out, [])
    if len(users) != 1 or users[0].inputs[0] is not eqn.out:
        return False
    (user,) = users
    return _chained(user) or (_near_an_end(user) and _most_follow(user, scope))


def _near_an_end(eqn: Eqn) -> bool:
    """Whether an update leaves most of an array alone, from one end of it on."""
    if eqn.prim.name not in ("setitem", "acc_slice") or eqn.inputs[0].aval.grows:
        return False
    params, (x, _, *starts) = eqn.params, eqn.inputs
    return all(
        step == 1
        and isinstance(lo, Literal)
        and (size == whole or near(int(lo.value), size or 1, whole))
        for lo, size, step, whole in zip(
            starts, params["sizes"], params["steps"], x.aval.shape, strict=True
        )
    )


def _extents_of(eqn: Eqn) -> tuple[int, ...]:
    """The shape of the part that an update writes."""
    x, _, *where = eqn.inputs
    if _sliced(eqn):
        return tuple(n for n in eqn.params["sizes"] if n is not None)
    axes = eqn.params["axes"]
    rest = [n for k, n in enumerate(x.aval.shape) if k not in axes]
    return (*where[0].aval.shape, *rest)


# Values put together ------------------------------------------------------------------


def concatenate(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    """Each operand is stored into its part; or read from where it is."""
    axis = eqn.params["axis"]
    sizes = [int(x.aval.shape[axis]) for x in eqn.inputs]
    if _read_in_place(low, eqn, scope, max(sizes), sum(sizes)):
        low.pulled(eqn, scope)
        return
    home = low.home_for(eqn.out)
    for x, start in operands_at(eqn):
        corner = [0] * x.aval.ndim
        corner[axis] = start
        _store_part(eqn, scope, home, x, corner)


def pad(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    """The border's value everywhere, then the inside; or neither is stored."""
    x, value = eqn.inputs
    if _read_in_place(low, eqn, scope, x.aval.size, eqn.out.aval.size):
        low.pulled(eqn, scope)
        return
    home = low.home_for(eqn.out)
    low.fill(home.buffer, value, scope)
    _store_part(eqn, scope, home, x, eqn.params["lo"])


def _read_in_place(
    low: Lowering, eqn: Eqn, scope: Scope, most: int, whole: int
) -> bool:
    """Whether an array put together is read from its parts, and none of it stored.

    One part must be most of it: loops are split into where that is read, and the rest.
    Who reads it in no order known beforehand, or in one that must be kept, would ask
    each time where an element is.
    """
    if eqn.out in low.stored or 4 * int(most) < 3 * int(whole):
        return False
    seen: set[Var] = set()
    made = [eqn.out]
    while made:
        var = made.pop()
        if var in seen or any(r is var for r in scope.region.results):
            continue
        seen.add(var)
        for user in scope.users.get(var, []):
            if user.regions or user.prim.name in AS_THEY_COME or _skips(user):
                return False
            if user.prim.kind == "elementwise" or user.prim.name in VIEWS:
                made.append(user.out)
    return eqn.out not in scope.region.results


#: What reads an array at places that are data, or in order.
AS_THEY_COME = {
    *("gather", "scatter_add", "scatter_set", "argmax", "argmin"),
    *("cumsum", "cumprod", "recur", "cummax", "cummin"),
}


def _skips(eqn: Eqn) -> bool:
    """Whether a part is not of neighbours."""
    return any(abs(step) != 1 for step in eqn.params.get("steps", ()))


def _store_part(
    eqn: Eqn, scope: Scope, home: Home, x: Any, starts: Sequence[int]
) -> None:
    """Store `x` into the part of `home` that begins at `starts`."""
    shape = x.aval.shape
    params = {"sizes": shape, "steps": (1,) * len(shape)}
    corner = [Literal(n, INT64) for n in starts]
    part = Eqn(eqn.prim, [x, x, *corner], [eqn.out], params)
    scope.items.append(StoreStmt(shape, x, eqn.loc, home=home, out=eqn.out, part=part))


def empty(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    """Room that is written before it is read: no statement."""
    low.home_for(eqn.out).buffer.written_first = True


RULES: dict[str, Rule] = {
    **dict.fromkeys(("sum", "prod", "max", "min", "any", "all"), reduce),
    **dict.fromkeys(("argmax", "argmin"), arg_reduce),
    **dict.fromkeys(("cumsum", "cumprod", "recur", "cummax", "cummin"), scan),
    **dict.fromkeys(("setitem", "acc_slice", "scatter_set", "scatter_add"), update),
    "dot": dot,
    "concatenate": concatenate,
    "pad": pad,
    "empty": empty,
}
