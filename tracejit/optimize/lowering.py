"""One attempt at lowering a Program: what is stored where, and what is wanted stored.

The rules (in `array_rules` and `control_rules`) say what each primitive becomes; here
is what they have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, TypeAlias

from tracejit.base.source import SrcLoc
from tracejit.ir.program import Atom, Eqn, Literal, Note, Program, Var
from tracejit.optimize.buffers import Buffers, Scope
from tracejit.optimize.fuse import Fuser
from tracejit.optimize.nest import Affine, Buffer, Kernel, Node, Reset, Rotate, Store
from tracejit.optimize.pull import Home, linear
from tracejit.optimize.statements import PointStmt, StoreStmt
from tracejit.optimize.widen import widened

#: Computing a value again, at this cost in all, is cheaper than storing it. A load
#: costs 1, an arithmetic operation half of that.
CHEAP = 8.0
#: What computing a value in every trip of a loop that it does not depend on may cost.
REPEATED = 2.0
#: Lazy values are nested to this depth: storing one in the loop that goes on to use it
#: takes no store in the end.
DEEPEST = 24
#: Cones are followed up to this size.
LARGE = 64
#: Why a value may be stored.
OVERWRITTEN = "what it is computed from is overwritten before it is read"


class Lowering:
    """`stored` are values not to be lazy, `wanted` those found to need a buffer; and
    why."""

    def __init__(
        self,
        program: Program,
        stored: Mapping[Var, str],
        rules: Mapping[str, Rule],
        blas: bool,
    ):
        self.program, self.stored, self.rules = program, stored, rules
        self.blas = blas
        self.wanted: dict[Var, str] = {}
        self.buffers = Buffers()
        self.defs: dict[Var, Eqn] = {}
        self.cones: dict[Var, dict[Var, float]] = {}
        self.reads: dict[Var, frozenset[Buffer]] = {}
        self.depths: dict[Var, int] = {}
        self.integers: dict[Var, Affine] = {}
        self.fuser = Fuser(self.buffers.homes, self.defs, self.integers, widened)
        self.failures: list[Any] = []
        self.copies_in_loops = 0

    def run(self) -> Kernel:
        region, writes = self.program.region, self.program.writes
        params: list[Var | Buffer] = []
        for k, var in enumerate(region.params):
            if var.aval.shape:
                role = "written" if k in writes else "input"
                buffer = self.buffers.new(var.aval, var.hint, role)
                self.buffers.settle(var, buffer)
                params.append(buffer)
            else:
                params.append(var)
        scope = Scope(region)
        self.region(scope)
        count = len(region.results) - len(writes)
        finals = dict(zip(writes, region.results[count:], strict=True))
        numbers = [a for k, a in finals.items() if not isinstance(params[k], Buffer)]
        results = self.results([*region.results[:count], *numbers], scope)
        names = self.write_back(params, finals, scope)
        body = [*names, *self.fuser.nodes(scope.items)]
        failures, copies = self.failures, self.copies_in_loops
        return Kernel(self.program.name, params, results, body, failures, copies)

    def write_back(
        self, params: list[Any], finals: dict[int, Atom], scope: Scope
    ) -> list[Node]:
        """Leave what arrays hold in the end where the caller has them.

        Most are updated in place, all along. Returns what is to be done at the start.
        """
        names: list[Node] = []
        late: dict[Buffer, Atom] = {}
        for k, atom in finals.items():
            buffer = params[k]
            if not isinstance(buffer, Buffer):
                continue
            if buffer.rotates:  # in the end the name may be that of other memory
                params[k] = self.buffers.new(buffer.aval, buffer.hint, "written")
                names.append(Rotate([(buffer, params[k])]))
                late[params[k]] = atom
            elif self.buffers.buffer_of(atom) is not buffer:
                late[buffer] = atom
        for buffer, atom in late.items():
            if isinstance(atom, Var):
                others = self.buffers_read(atom) & late.keys() - {buffer}
                if others or _reads_back(self, buffer, atom):
                    late[buffer] = self.kept(atom, scope)
        for buffer, atom in late.items():
            self.overwrite(buffer, scope)
            self.fill(buffer, atom, scope)
        return names

    def kept(self, value: Var, scope: Scope) -> Var:
        """A value in a buffer of its own, to be read once its operands are gone."""
        new = self.buffers.new(value.aval, value.hint)
        if self.buffers.buffer_of(value) is None:
            self.want([value], OVERWRITTEN)
        self.fill(new, value, scope)
        moved = Var(value.aval, value.hint)
        self.buffers.settle(moved, new)
        return moved

    def results(self, atoms: Sequence[Atom], scope: Scope) -> list[Buffer]:
        """A buffer of the caller's for each result; the value's own where it can be."""
        out: list[Buffer] = []
        for atom in atoms:
            buffer = self.buffers.buffer_of(atom)
            if buffer is None or not _may_be_result(buffer, atom):
                buffer = self.buffers.new(atom.aval, getattr(atom, "hint", ""))
                if atom.aval.shape:
                    self.fill(buffer, atom, scope)
                else:
                    scope.items.append(Store(buffer, (), (), atom))
            buffer.role = "output"
            out.append(buffer)
        return out

    def want(self, values: Iterable[Var], why: str) -> None:
        """Note values that need a buffer."""
        for value in values:
            self.wanted.setdefault(value, why)

    def notes(self) -> list[Note]:
        """Which arrays on the way are stored, which computed several times, and why."""
        found = {v: f"stored: {why}" for v, why in self.stored.items()}
        for var, (places, _) in self.fuser.computed.items():
            if len(places) > 1 and var.aval.shape and self.cost(var) > 1:
                times = f"computed {len(places)} times, where read"
                found[var] = f"{times}, {self.price(var)}"
        notes = {
            Note(var.hint or eqn.prim.name, how, eqn.loc): None
            for var, how in found.items()
            if (eqn := self.defs.get(var))
        }
        return sorted(notes, key=lambda note: note.loc.line)

    def price(self, var: Var) -> str:
        """What computing a value takes, for people."""
        return f"at {self.cost(var):.3g} loads an element"

    def computed_twice(self) -> dict[Var, str]:
        """Costly lazy values that several loops compute, or one at several indices, or
        again and again."""
        computed = self.fuser.computed
        twice = {
            var
            for var, (places, _) in computed.items()
            if self.cost(var) * (len(places) - 1) > CHEAP
            or (var in self.fuser.repeated and self.cost(var) > REPEATED)
        }
        # What is the same for many elements of another value is stored first: that
        # one may be cheap then.
        twice -= {v for v in twice if self.spreads(v, twice)}
        return {
            v: f"computed several times otherwise, {self.price(v)}"
            for v in twice
            if not computed[v][1] <= twice
        }

    def spreads(self, var: Var, others: set[Var]) -> bool:
        """Whether a value shows one of these, with fewer elements, again and again."""
        size = var.aval.size
        return any(u in others and 2 * u.aval.size <= size for u in self.cones[var])

    def region(self, scope: Scope) -> None:
        """Lower the equations of a region into `scope.items`."""
        for pos, eqn in enumerate(scope.region.eqns):
            scope.pos = pos
            if eqn.prim.name in self.rules:
                self.rules[eqn.prim.name](self, eqn, scope)
            elif eqn.prim.kind == "elementwise" and not eqn.out.aval.shape:
                scope.items.append(eqn)
                value = linear(eqn, self.integers)
                if value is not None:
                    self.integers[eqn.out] = value
            else:
                self.pulled(eqn, scope)
        scope.pos = len(scope.region.eqns)

    # Lazy values ----------------------------------------------------------------------

    def pulled(self, eqn: Eqn, scope: Scope) -> None:
        """A value computed where it is read; a buffer's view if it is a reshape."""
        out = eqn.out
        if eqn.prim.name == "reshape" and self.is_view(eqn):
            return
        self.defs[out] = eqn
        arrays = [a for a in eqn.inputs if isinstance(a, Var) and a.aval.shape]
        self.reads[out] = frozenset().union(*map(self.buffers_read, arrays))
        self.cones[out] = self.cone(eqn, arrays)
        if not out.aval.shape:
            scope.items.append(PointStmt((), out, eqn.loc, out, eqn))
        elif out in self.stored or self.nesting(eqn) > DEEPEST:
            slot = self.next_slot(out, scope)
            if slot is None or self.reads_elsewhere(_store(slot, out)):
                slot = self.buffers.new(out.aval, out.hint)
            else:
                self.overwrite(slot, scope)
            self.fill(slot, out, scope, settle=True)
            self.cones[out] = {out: 1.0}
        else:
            for buffer in self.reads[out]:
                scope.lazy.setdefault(buffer, []).append(out)

    def next_slot(self, out: Var, scope: Scope) -> Buffer | None:
        """The slot in which a loop hands a value on, if nobody needs what it has."""
        region = scope.region
        if not scope.loop or sum(r is out for r in region.results) != 1:
            return None
        k = region.results.index(out) - len(region.results)
        slot = self.buffers.buffer_of(region.params[k])
        free = slot is not None and self.buffers.free_for(slot, scope)
        return slot if free else None

    def cone(self, eqn: Eqn, arrays: list[Var]) -> dict[Var, float]:
        """What computing one element takes, by value: loads and operations."""
        cone: dict[Var, float] = {}
        for var in arrays:
            cone |= self.cones.get(var, {var: 1.0})
        if len(cone) > LARGE:
            cone = {eqn.out: float(LARGE)}
        elif eqn.prim.kind == "elementwise":
            # Arithmetic is cheaper than a load; functions are as declared.
            cone[eqn.out] = eqn.prim.cost if eqn.prim.cost > 1 else 0.5
        return cone

    def nesting(self, eqn: Eqn) -> int:
        """How many lazy values lie one within another."""
        inner = [self.depths.get(a, 0) for a in eqn.inputs if isinstance(a, Var)]
        depth = self.depths[eqn.out] = 1 + max(inner, default=0)
        if depth > DEEPEST:
            self.depths[eqn.out] = 0
        return depth

    def cost(self, var: Var) -> float:
        """What one element of a lazy value costs."""
        return sum(self.cones.get(var, {}).values())

    def is_view(self, eqn: Eqn) -> bool:
        """Whether a reshape is another view of a buffer; else it stays lazy."""
        buffer = self.buffers.buffer_of(eqn.inputs[0])
        if buffer is None or not eqn.out.aval.shape:
            return False
        self.buffers.settle(eqn.out, buffer)
        return True

    def buffers_read(self, var: Var) -> frozenset[Buffer]:
        """The buffers that evaluating `var` reads."""
        buffer = self.buffers.buffer_of(var)
        return frozenset([buffer]) if buffer else self.reads.get(var, frozenset())

    # Storing --------------------------------------------------------------------------

    def fill(
        self, buffer: Buffer, value: Atom, scope: Scope, *, settle: bool = False
    ) -> None:
        """Store a whole value in `buffer`; `settle` makes that its home."""
        if buffer.aval.grows:
            # A tape is copied, or starts as zeros: nothing else is computed of one.
            scope.items.append(Reset(buffer, self.buffers.buffer_of(value)))
            return
        shape = value.aval.shape or buffer.aval.shape
        out = value if isinstance(value, Var) and settle else None
        home = Home(buffer, shape)
        stmt = StoreStmt(shape, self.number(value), loc_in(scope), home=home, out=out)
        scope.items.append(stmt)
        if settle:
            assert isinstance(value, Var)
            self.buffers.settle(value, buffer)

    def number(self, value: Atom) -> Atom:
        """The number that a lazy value is everywhere, or the value."""
        eqn = self.defs.get(value) if isinstance(value, Var) else None
        if eqn is None or eqn.prim.name != "broadcast" or value in self.buffers.homes:
            return value
        (x,) = eqn.inputs
        return x if isinstance(x, Literal) else value

    def copy(self, buffer: Buffer, value: Atom, scope: Scope) -> None:
        """Fill `buffer` with a value that has a buffer already."""
        self.copies_in_loops += scope.in_loop
        self.fill(buffer, value, scope)

    def home_for(self, var: Var) -> Home:
        """A new buffer as the home of `var`."""
        return self.buffers.settle(var, self.buffers.new(var.aval, var.hint))

    def overwrite(
        self, buffer: Buffer, scope: Scope, inside: Set[Var] = frozenset()
    ) -> None:
        """Want a buffer for the lazy values that read `buffer` and live on.

        `inside` are those that the regions of the equation being lowered read.
        """
        for outer in scope.chain():
            found = outer.lazy.get(buffer, [])
            alive = (v for v in found if scope.alive(v) or v in inside)
            self.want(alive, OVERWRITTEN)
        # Those of this scope are dead now, or will have been stored.
        scope.lazy.pop(buffer, None)

    def reads_elsewhere(self, stmt: StoreStmt) -> bool:
        """Whether a store would read, at another index, what it has overwritten.

        Indices that are data may repeat: the same one is then another round's.
        """
        touched = self.fuser.touched(stmt)
        where = touched.writes[0][1]
        return any(
            b is stmt.home.buffer and (stmt.scattered or i != where)
            for b, i in touched.reads
        )


def _reads_back(low: Lowering, buffer: Buffer, value: Var) -> bool:
    """Whether a value cannot be stored in `buffer` while it is computed."""
    if low.buffers.buffer_of(value) is not None:
        return False
    return low.reads_elsewhere(_store(buffer, value))


def _store(buffer: Buffer, value: Var) -> StoreStmt:
    shape = value.aval.shape
    return StoreStmt(shape, value, home=Home(buffer, shape))


def _may_be_result(buffer: Buffer, atom: Atom) -> bool:
    """Whether a value can be handed to the caller in the buffer that it is in."""
    same = buffer.aval.shape == atom.aval.shape
    return same and buffer.role == "temporary" and not buffer.rotates


def loc_in(scope: Scope) -> SrcLoc:
    """The location of the equation being lowered, or of the last one."""
    eqns = scope.region.eqns
    return eqns[min(scope.pos, len(eqns) - 1)].loc if eqns else SrcLoc("", 0)


Rule: TypeAlias = Callable[[Lowering, Eqn, Scope], None]
