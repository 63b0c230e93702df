"""From a Program to loop nests: what is stored, where, and in which order.

Scalars become registers at once. Array values stay lazy (see `pull`) unless a statement
must store them: results, reductions, updates, what a loop carries, and the values in
`stored`. That set is found by lowering again until nothing more is wanted: a lazy value
is stored if what it reads is overwritten before its last use, if a loop captures it
though it is costly, or if two loops would compute it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var
from tracejit.optimize.buffers import Buffers, Scope, captured, origin
from tracejit.optimize.fuse import Fuser, PointStmt, ReduceStmt, Stmt, StoreStmt
from tracejit.optimize.nest import (
    INT64,
    Affine,
    Buffer,
    Check,
    If,
    Kernel,
    Let,
    Loop,
    Node,
    Rotate,
    Store,
    While,
    scalar_var,
)
from tracejit.optimize.pull import Home, only_unit_axes

#: Computing a value of at most this cost again is cheaper than storing it.
CHEAP = 3.0


def lower(program: Program) -> Kernel:
    """The loop nests of a Program."""
    stored: set[Var] = set()
    while True:
        lowering = Lowering(program, stored)
        kernel = lowering.run()
        wanted = lowering.wanted or lowering.computed_twice()
        if wanted <= stored:
            return kernel
        stored = stored | wanted


class Lowering:
    """One attempt; `wanted` are values found to need a buffer."""

    def __init__(self, program: Program, stored: set[Var]):
        self.program, self.stored = program, stored
        self.wanted: set[Var] = set()
        self.buffers = Buffers()
        self.defs: dict[Var, Eqn] = {}
        self.cost: dict[Var, float] = {}
        self.reads: dict[Var, frozenset[Buffer]] = {}
        self.fuser = Fuser(self.buffers.homes, self.defs)
        self.failures: list[Any] = []
        self.copies_in_loops = 0
        self.rules: dict[str, Callable[[Eqn, Scope], None]] = {
            "sum": self.sum_,
            "setitem": self.update,
            "acc_slice": self.update,
            "scatter_set": self.update,
            "scatter_add": self.update,
            "concatenate": self.concatenate,
            "for": self.for_,
            "while": self.while_,
            "cond": self.cond,
            "check": self.check,
        }

    def run(self) -> Kernel:
        region = self.program.region
        params: list[Var | Buffer] = []
        for var in region.params:
            if var.aval.shape:
                buffer = self.buffers.new(var.aval, var.hint, "input")
                self.buffers.settle(var, buffer)
                params.append(buffer)
            else:
                params.append(var)
        scope = Scope(region)
        self.region(scope)
        results = self.results(region.results, scope)
        body = self.fuser.nodes(scope.items)
        failures, copies = self.failures, self.copies_in_loops
        return Kernel(self.program.name, params, results, body, failures, copies)

    def results(self, atoms: Sequence[Atom], scope: Scope) -> list[Buffer]:
        """A buffer of the caller's for each result; the value's own where it can be."""
        out: list[Buffer] = []
        for atom in atoms:
            buffer = self.buffers.buffer_of(atom)
            if buffer is None or buffer.role != "temporary" or buffer.rotates:
                buffer = self.buffers.new(atom.aval, getattr(atom, "hint", ""))
                home = Home(buffer, atom.aval.shape)
                if atom.aval.shape:
                    scope.items.append(StoreStmt(atom.aval.shape, atom, home=home))
                else:
                    scope.items.append(Store(buffer, (), (), atom))
            buffer.role = "output"
            out.append(buffer)
        return out

    def computed_twice(self) -> set[Var]:
        """Costly lazy values that several loops compute, or one at several indices."""
        computed = self.fuser.computed
        twice = {
            var
            for var, (places, _) in computed.items()
            if len(places) > 1 and self.cost[var] > CHEAP
        }
        return {v for v in twice if not computed[v][1] <= twice}

    # Regions ------------------------------------------------------------------------

    def region(self, scope: Scope) -> None:
        """Lower the equations of a region into `scope.items`."""
        for pos, eqn in enumerate(scope.region.eqns):
            scope.pos = pos
            if eqn.prim.name in self.rules:
                self.rules[eqn.prim.name](eqn, scope)
            elif eqn.prim.kind == "elementwise" and not eqn.out.aval.shape:
                scope.items.append(eqn)
            else:
                self.pulled(eqn, scope)
        scope.pos = len(scope.region.eqns)

    def pulled(self, eqn: Eqn, scope: Scope) -> None:
        """A value computed where it is read; a buffer's view if it is a reshape."""
        out = eqn.out
        if eqn.prim.name == "reshape" and not self.reshaped(eqn, scope):
            return
        self.defs[out] = eqn
        arrays = [a for a in eqn.inputs if isinstance(a, Var) and a.aval.shape]
        self.reads[out] = frozenset().union(*map(self.buffers_read, arrays))
        weight = eqn.prim.cost if eqn.prim.kind == "elementwise" else 0.0
        self.cost[out] = weight + sum(self.cost.get(a, 1.0) for a in arrays)
        if not out.aval.shape:
            scope.items.append(PointStmt((), out, eqn.loc, out, eqn))
        elif out in self.stored:
            self.materialise(out, scope, eqn.loc)
        else:
            scope.lazy.append(out)

    def reshaped(self, eqn: Eqn, scope: Scope) -> bool:
        """Whether a reshape stays lazy; else it is another view of a buffer."""
        (x,) = eqn.inputs
        home = self.buffers.homes.get(x)  # type: ignore[arg-type]
        if home is None or not eqn.out.aval.shape:
            if isinstance(x, Var) and not only_unit_axes(eqn):
                self.wanted.add(x)
            return True
        self.buffers.settle(eqn.out, home.buffer)
        return False

    def buffers_read(self, var: Var) -> frozenset[Buffer]:
        buffer = self.buffers.buffer_of(var)
        return frozenset([buffer]) if buffer else self.reads.get(var, frozenset())

    def materialise(self, var: Var, scope: Scope, loc: Any) -> Buffer:
        """Store a lazy value in a buffer of its own."""
        buffer = self.buffers.new(var.aval, var.hint)
        self.fill(buffer, var, scope, loc)
        self.buffers.settle(var, buffer)
        return buffer

    def fill(self, buffer: Buffer, value: Atom, scope: Scope, loc: Any) -> None:
        """Store a whole value in `buffer`, which becomes its home if it has none."""
        shape = value.aval.shape or buffer.aval.shape
        out = value if isinstance(value, Var) else None
        home = Home(buffer, shape)
        scope.items.append(StoreStmt(shape, value, loc, home=home, out=out))

    def copy(self, buffer: Buffer, value: Var, scope: Scope, loc: Any) -> None:
        """Fill `buffer` with a value that has a buffer already."""
        self.copies_in_loops += scope.in_loop
        self.fill(buffer, value, scope, loc)

    def overwrite(self, buffer: Buffer, scope: Scope, eqn: Eqn) -> None:
        """Want a buffer for the lazy values that read `buffer` and live on."""
        inside = captured(eqn)
        for outer in scope.chain():
            for var in outer.lazy:
                if buffer in self.reads[var] and (scope.alive(var) or var in inside):
                    self.wanted.add(var)

    # Reductions and updates -------------------------------------------------------

    def sum_(self, eqn: Eqn, scope: Scope) -> None:
        self.reduce(eqn, scope, "add", 0)

    def reduce(self, eqn: Eqn, scope: Scope, op: str, start: Any) -> None:
        """Into a register if the last axes vanish, else into a buffer."""
        (x,), axes, out = eqn.inputs, eqn.params["axes"], eqn.out
        extents, ndim = x.aval.shape, x.aval.ndim
        kept = tuple(k for k in range(ndim) if k not in axes)
        first = Literal(out.aval.dtype.type(start).item(), out.aval.dtype)
        trailing = kept == tuple(range(len(kept)))
        home = None
        if out.aval.shape:
            home = self.buffers.settle(out, self.buffers.new(out.aval, out.hint))
        if trailing:
            stmt: Stmt = ReduceStmt(
                extents, x, eqn.loc, out, op, first, len(kept), home
            )
            scope.items.append(stmt)
            return
        assert home is not None
        self.fill(home.buffer, first, scope, eqn.loc)
        scope.items.append(
            StoreStmt(extents, x, eqn.loc, home=home, add=True, kept=kept)
        )

    def update(self, eqn: Eqn, scope: Scope) -> None:
        """In place if the old value dies here, else on a copy."""
        x, v, out = eqn.inputs[0], eqn.inputs[1], eqn.out
        assert isinstance(x, Var)
        buffer = self.buffers.buffer_of(x)
        if buffer is None:
            buffer = self.buffers.new(x.aval, out.hint)
            scope.items.append(
                StoreStmt(x.aval.shape, x, eqn.loc, home=Home(buffer, x.aval.shape))
            )
        elif not self.buffers.free_for(buffer, scope):
            new = self.buffers.new(x.aval, out.hint)
            self.copy(new, x, scope, eqn.loc)
            buffer = new
        self.overwrite(buffer, scope, eqn)
        home = self.buffers.hand_over(buffer, out)
        add = eqn.prim.name in ("acc_slice", "scatter_add")
        extents = self.extents_of(eqn)
        stmt = StoreStmt(extents, v, eqn.loc, home=home, out=out, add=add, part=eqn)
        if isinstance(v, Var) and self.reads_elsewhere(stmt):
            self.wanted.add(v)
        scope.items.append(stmt)

    def extents_of(self, eqn: Eqn) -> tuple[int, ...]:
        """The shape of the part that an update writes."""
        x, _, *where = eqn.inputs
        if "sizes" in eqn.params:
            return tuple(n for n in eqn.params["sizes"] if n is not None)
        axes = eqn.params["axes"]
        rest = [n for k, n in enumerate(x.aval.shape) if k not in axes]
        return (*where[0].aval.shape, *rest)

    def reads_elsewhere(self, stmt: StoreStmt) -> bool:
        """Whether a store would read, at another index, what it has overwritten."""
        touched = self.fuser.touched(stmt)
        (_, where) = touched.writes[0]
        return any(b is stmt.home.buffer and i != where for b, i in touched.reads)

    def concatenate(self, eqn: Eqn, scope: Scope) -> None:
        """Each operand is stored into its part."""
        axis, out = eqn.params["axis"], eqn.out
        buffer = self.buffers.new(out.aval, out.hint)
        home = self.buffers.settle(out, buffer)
        offset = 0
        for x in eqn.inputs:
            shape = x.aval.shape
            starts = [Literal(0, INT64) for _ in shape]
            starts[axis] = Literal(offset, INT64)
            params = {"sizes": shape, "steps": (1,) * len(shape)}
            part = Eqn(eqn.prim, [x, x, *starts], [out], params)
            scope.items.append(StoreStmt(shape, x, eqn.loc, home=home, part=part))
            offset = offset + shape[axis]

    # Control ------------------------------------------------------------------------

    def check(self, eqn: Eqn, scope: Scope) -> None:
        self.failures.append(eqn.params["error"])
        scope.items.append(Check(eqn.inputs[0], len(self.failures)))

    def slots(
        self, eqn: Eqn, inits: Sequence[Atom], params: Sequence[Var], scope: Scope
    ) -> list[Buffer | None]:
        """The buffer of each carried array; scalars are assigned to their params."""
        inside = captured(eqn)
        slots: list[Buffer | None] = []
        for init, param in zip(inits, params, strict=True):
            if not param.aval.shape:
                scope.items.append(Let(param, init))
                slots.append(None)
                continue
            buffer = self.buffers.buffer_of(init)
            takes = (
                buffer is not None
                and self.buffers.free_for(buffer, scope)
                and not inside.intersection(self.buffers.holds[buffer])
                and buffer not in slots
            )
            if buffer is None or not takes:
                new = self.buffers.new(param.aval, param.hint)
                if buffer is None:
                    home = Home(new, init.aval.shape)
                    scope.items.append(
                        StoreStmt(init.aval.shape, init, eqn.loc, home=home)
                    )
                else:
                    self.copy(new, init, scope, eqn.loc)  # type: ignore[arg-type]
                buffer = new
            slots.append(buffer)
        for buffer, param in zip(slots, params, strict=True):
            if buffer is not None:
                self.overwrite(buffer, scope, eqn)
                self.buffers.hand_over(buffer, param)
        for var in inside:
            if var in self.defs and self.cost[var] > CHEAP and var.aval.shape:
                self.wanted.add(var)
        return slots

    def for_(self, eqn: Eqn, scope: Scope) -> None:
        lo, hi, step, *inits = eqn.inputs
        (body,) = eqn.regions
        index, *params = body.params
        slots = self.slots(eqn, inits, params, scope)
        nodes = self.trip(body, params, slots, scope)
        bounds = Affine.of(lo), Affine.of(hi), Affine.of(step)
        scope.items.append(Loop(index, *bounds, nodes, eqn.params["reverse"], eqn.loc))
        self.leave(eqn, params, slots, scope)

    def while_(self, eqn: Eqn, scope: Scope) -> None:
        test, body = eqn.regions
        slots = self.slots(eqn, eqn.inputs, body.params, scope)
        # Test and body name the carried values differently: one more name each.
        inner = Scope(test, scope, loop=True)
        for slot, param, var in zip(slots, test.params, body.params, strict=True):
            if slot is None:
                inner.items.append(Let(param, var))
            else:
                self.buffers.settle(param, slot)
        self.region(inner)
        checks = self.fuser.nodes(inner.items)
        for slot, var in zip(slots, body.params, strict=True):
            if slot is not None:
                self.buffers.hand_over(slot, var)
        nodes = self.trip(body, body.params, slots, scope)
        scope.items.append(While(checks, test.results[0], nodes, eqn.loc))
        self.leave(eqn, body.params, slots, scope)

    def trip(
        self,
        body: Region,
        params: Sequence[Var],
        slots: Sequence[Buffer | None],
        scope: Scope,
    ) -> list[Node]:
        """The nodes of a loop's body, which end with the carried values in place."""
        inner = Scope(body, scope, loop=True)
        self.region(inner)
        moves = self.deliver(inner, slots)
        lets: list[Node] = []
        fresh: list[Node] = []
        for param, slot, result in zip(params, slots, body.results, strict=True):
            if slot is None and result is not param:
                if isinstance(result, Var) and result in params:
                    # Assigned in parallel: another slot's value, before it changes.
                    kept = scalar_var(result.aval.dtype, result.hint)
                    fresh.append(Let(kept, result))
                    result = kept
                lets.append(Let(param, result))
        if moves:
            lets.append(Rotate(moves))
        return [*self.fuser.nodes(inner.items), *fresh, *lets]

    def leave(
        self,
        eqn: Eqn,
        params: Sequence[Var],
        slots: Sequence[Buffer | None],
        scope: Scope,
    ) -> None:
        """Name what a loop leaves behind."""
        for out, param, slot in zip(eqn.outputs, params, slots, strict=True):
            if slot is not None:
                self.buffers.hand_over(slot, out)
            elif scope.last.get(out) is not None:
                scope.items.append(Let(out, param))

    def deliver(
        self, scope: Scope, slots: Sequence[Buffer | None]
    ) -> list[tuple[Buffer, Buffer]]:
        """Bring the results of a body into their slots.

        A value computed last is stored there directly, if nothing else needs what the
        slot holds; else it is stored elsewhere and the buffers change names.
        """
        moves: list[tuple[Buffer, Buffer]] = []
        results = scope.region.results
        used = {
            slot
            for slot, result in zip(slots, results, strict=True)
            if slot is not None and self.buffers.buffer_of(result) is slot
        }
        for slot, result in zip(slots, results, strict=True):
            if slot is None:
                continue
            assert isinstance(result, Var)
            source = self.buffers.buffer_of(result)
            if source is slot:
                continue
            others = [r for r in results if r is not result and isinstance(r, Var)]
            if source is None and self.direct(slot, result, others):
                self.fill(slot, result, scope, scope.region.eqns[-1].loc)
                continue
            if source is None or source in used or not self.local(source, scope, slots):
                new = self.buffers.new(result.aval, result.hint)
                fill = self.fill if source is None else self.copy
                fill(new, result, scope, scope.region.eqns[-1].loc)
                source = new
            used.add(source)
            moves.append((slot, source))
        return close_cycles(moves)

    def direct(self, slot: Buffer, result: Var, others: Sequence[Var]) -> bool:
        """Whether a lazy result can be stored in `slot`, which it may read."""
        if any(slot in self.buffers_read(r) for r in others):
            return False
        stmt = StoreStmt(result.aval.shape, result, home=Home(slot, result.aval.shape))
        return not self.reads_elsewhere(stmt)

    def local(
        self, buffer: Buffer, scope: Scope, slots: Sequence[Buffer | None]
    ) -> bool:
        """Whether a buffer belongs to this body alone: a temporary or a slot of it."""
        mine = all(v in scope.own for v in self.buffers.holds[buffer])
        return buffer in slots or (buffer.writable and mine)

    def cond(self, eqn: Eqn, scope: Scope) -> None:
        slots = self.joined(eqn, scope)
        branches = []
        for branch in eqn.regions:
            inner = Scope(branch, scope)
            holds = {b: list(vs) for b, vs in self.buffers.holds.items()}
            self.region(inner)
            self.deliver_branch(inner, slots)
            for out, slot, result in zip(
                eqn.outputs, slots, branch.results, strict=True
            ):
                if slot is None and scope.last.get(out) is not None:
                    inner.items.append(Let(out, result))
            branches.append(self.fuser.nodes(inner.items))
            self.buffers.holds.update(holds)
        scope.items.append(If(eqn.inputs[0], *branches, loc=eqn.loc))
        for out, slot in zip(eqn.outputs, slots, strict=True):
            if slot is not None:
                self.buffers.hand_over(slot, out)

    def joined(self, eqn: Eqn, scope: Scope) -> list[Buffer | None]:
        """The buffer that both branches leave each result in.

        Best is that of the array which both update, if it dies here.
        """
        slots: list[Buffer | None] = []
        for k, out in enumerate(eqn.outputs):
            if not out.aval.shape:
                slots.append(None)
                continue
            roots = {origin(r.results[k], r) for r in eqn.regions} - {None}
            found = [b for r in roots if (b := self.buffers.buffer_of(r))]
            free = [
                b
                for b in found
                if b.aval == out.aval
                and self.buffers.free_for(b, scope)
                and b not in slots
            ]
            slots.append(free[0] if free else self.buffers.new(out.aval, out.hint))
        for slot in slots:
            if slot is not None:
                self.overwrite(slot, scope, eqn)
        return slots

    def deliver_branch(self, scope: Scope, slots: Sequence[Buffer | None]) -> None:
        """Bring the results of a branch into their slots, by copies where needed."""
        results = scope.region.results
        late: list[tuple[Buffer, Buffer, Var]] = []
        for slot, result in zip(slots, results, strict=True):
            if slot is None or self.buffers.buffer_of(result) is slot:
                continue
            assert isinstance(result, Var)
            others = [r for r in results if r is not result and isinstance(r, Var)]
            if self.direct(slot, result, others):
                self.fill(
                    slot,
                    result,
                    scope,
                    scope.region.eqns[-1:] and scope.region.eqns[-1].loc,
                )
                continue
            new = self.buffers.new(result.aval, result.hint)
            self.fill(new, result, scope, scope.region.eqns[-1].loc)
            late.append((slot, new, result))
        for slot, new, result in late:
            moved = Var(result.aval, result.hint)
            self.buffers.settle(moved, new)
            self.copy(slot, moved, scope, scope.region.eqns[-1].loc)


def close_cycles(moves: list[tuple[Buffer, Buffer]]) -> list[tuple[Buffer, Buffer]]:
    """A permutation: temporaries that moved in get the memory that was let go."""
    source_of = dict(moves)
    targets = set(source_of)
    for target in [t for t in source_of if t not in source_of.values()]:
        last = target
        while last in source_of:
            last = source_of[last]
        if last not in targets:
            moves.append((last, target))
            source_of[last] = target
    for target, _ in moves:
        target.rotates = True
    return moves
