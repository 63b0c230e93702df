"""What array primitives that must be statements become: reductions, scans, products,
updates, and values put together from parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.optimize.buffers import Scope
from tracejit.optimize.lowering import Lowering, Rule
from tracejit.optimize.nest import INT64, Affine, Grow, Let
from tracejit.optimize.pull import Home
from tracejit.optimize.statements import (
    COMBINES,
    ArgStmt,
    DotStmt,
    OuterStmt,
    Product,
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


# Products -----------------------------------------------------------------------------


def dot(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    """Loops over batch, left, right and contracted axes, ordered for memory."""
    (a, b), out = eqn.inputs, eqn.out
    (ca, cb), batch = eqn.params["contract"], eqn.params["batch"]
    rest_a = [k for k in range(batch, a.aval.ndim) if k not in ca]
    rest_b = [k for k in range(batch, b.aval.ndim) if k not in cb]
    inner = range(out.aval.ndim, out.aval.ndim + len(ca))
    of_a = _loops(a, range(batch), rest_a, range(batch, out.aval.ndim), ca, inner)
    outs_b = range(batch + len(rest_a), out.aval.ndim)
    of_b = _loops(b, range(batch), rest_b, outs_b, cb, inner)
    extents = (*out.aval.shape, *(a.aval.shape[k] for k in ca))
    product = Product((a, b), (of_a, of_b))
    home = low.home_for(out) if out.aval.shape else None
    if not ca:
        assert home is not None
        scope.items.append(OuterStmt(extents, a, eqn.loc, home, out, product=product))
    elif home is None or _contracts_last(a, ca) or _contracts_last(b, cb):
        first, kept = Literal(0, out.aval.dtype), out.aval.ndim
        stmt = DotStmt(extents, a, eqn.loc, out, "add", first, kept, home)
        stmt.product = product
        scope.items.append(stmt)
    else:
        _sum_of_outer(low, eqn, scope, extents, product, home)


def _contracts_last(x: Atom, contract: tuple[int, ...]) -> bool:
    return x.aval.ndim - 1 in contract


def _sum_of_outer(
    low: Lowering,
    eqn: Eqn,
    scope: Scope,
    extents: tuple[int, ...],
    product: Product,
    home: Home,
) -> None:
    """Contracted loops outside, so that the inner ones run along memory."""
    low.fill(home.buffer, Literal(0, eqn.out.aval.dtype), scope)
    ndim, count = eqn.out.aval.ndim, len(extents)
    order = [*range(ndim, count), *range(ndim)]
    place = {old: new for new, old in enumerate(order)}
    loops = tuple(tuple(place[k] for k in own) for own in product.loops)
    scope.items.append(
        OuterStmt(
            tuple(extents[k] for k in order),
            eqn.inputs[0],
            eqn.loc,
            home,
            op="add",
            kept=tuple(place[k] for k in range(ndim)),
            product=Product(product.operands, loops),  # type: ignore[arg-type]
        )
    )


def _loops(
    x: Atom,
    batch: Sequence[int],
    rest: Sequence[int],
    outs: Sequence[int],
    contracted: Sequence[int],
    inner: Sequence[int],
) -> tuple[int, ...]:
    """The loop that runs along each axis of an operand."""
    loop_of = dict(zip(batch, batch, strict=True))
    loop_of.update(zip(rest, outs, strict=False))
    loop_of.update(zip(contracted, inner, strict=True))
    return tuple(loop_of[k] for k in range(x.aval.ndim))


# Updates ------------------------------------------------------------------------------


def update(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    """In place if the old value dies here, else on a copy."""
    x, v, out = eqn.inputs[0], eqn.inputs[1], eqn.out
    assert isinstance(x, Var)
    buffer = low.buffers.buffer_of(x)
    if buffer is None or not low.buffers.free_for(buffer, scope):
        new = low.buffers.new(x.aval, out.hint)
        (low.fill if buffer is None else low.copy)(new, x, scope)
        buffer = new
    low.overwrite(buffer, scope, eqn)
    home = low.buffers.hand_over(buffer, out)
    if buffer.aval.grows:
        scope.items.append(Grow(buffer, Affine.of(eqn.inputs[2])))
    op = "add" if eqn.prim.name in ("acc_slice", "scatter_add") else None
    extents = _extents_of(eqn)
    stmt = StoreStmt(extents, v, eqn.loc, home=home, out=out, op=op, part=eqn)
    if isinstance(v, Var) and v.aval.shape and low.reads_elsewhere(stmt):
        low.wanted.add(v)
    scope.items.append(stmt)


def _extents_of(eqn: Eqn) -> tuple[int, ...]:
    """The shape of the part that an update writes."""
    x, _, *where = eqn.inputs
    if "sizes" in eqn.params:
        return tuple(n for n in eqn.params["sizes"] if n is not None)
    axes = eqn.params["axes"]
    rest = [n for k, n in enumerate(x.aval.shape) if k not in axes]
    return (*where[0].aval.shape, *rest)


# Values put together ------------------------------------------------------------------


def concatenate(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    """Each operand is stored into its part."""
    axis, home = eqn.params["axis"], low.home_for(eqn.out)
    offset = 0
    for x in eqn.inputs:
        starts = [0] * x.aval.ndim
        starts[axis] = offset
        _store_part(eqn, scope, home, x, starts)
        offset = offset + x.aval.shape[axis]


def pad(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    """The border's value everywhere, then the inside."""
    x, value = eqn.inputs
    home = low.home_for(eqn.out)
    low.fill(home.buffer, value, scope)
    _store_part(eqn, scope, home, x, eqn.params["lo"])


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
    low.home_for(eqn.out)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("sum", "prod", "max", "min", "any", "all"), reduce),
    **dict.fromkeys(("argmax", "argmin"), arg_reduce),
    **dict.fromkeys(("cumsum", "cumprod", "recur"), scan),
    **dict.fromkeys(("setitem", "acc_slice", "scatter_set", "scatter_add"), update),
    "dot": dot,
    "concatenate": concatenate,
    "pad": pad,
    "empty": empty,
}
