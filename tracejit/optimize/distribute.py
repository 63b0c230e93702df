"""What inner loops do alike in every round of the loop around them is done before it.

    for t:                                    for i:
        for i:                                    m = b[i] - a[i] * c[i - 1]
            m = b[i] - a[i] * c[i - 1]            c[i], M[i] = p[i] / m, m
            c[i] = p[i] / m                   for t:
            x[i] = (x[i] - x[i - 1]) / m          for i:
                                                      x[i] = (x[i] - x[i - 1]) / M[i]

A carried slot of an inner loop is fixed, as an equation is, if nothing that it comes of
changes from round to round of the outer one. A loop of which all is fixed moves out
whole, with what fills the arrays that it starts from. Of another one, the fixed part is
a loop of its own; what the rest reads of that is computed again where it is cheap, and
stored in an array else. Loops in it are divided alike. An array that the outer loop
carries and fills alike in every round (see `refilled`) is fixed, too.

Nothing moves that could fail where the outer loop would not have run it, and nothing is
computed otherwise than it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace
from typing import Any

from tracejit.ir.builder import building, current
from tracejit.ir.program import (
    Atom,
    Eqn,
    Program,
    Region,
    Var,
    clone_region,
    reading,
    replace_region,
    walk,
)
from tracejit.ir.ranges import Ranges
from tracejit.ops.control import cond, for_, known_range, row_of, rows_of, while_
from tracejit.ops.dead import has_effect, loop_without
from tracejit.ops.index import getitem, setitem
from tracejit.ops.shape import empty
from tracejit.optimize.hoist import is_inside, is_safe, runs
from tracejit.optimize.refilled import Filling

#: In flops per element: from here on a number is stored rather than computed again.
DEAR = 3

#: What is stored of one value takes at most this many bytes.
MOST_BYTES = 1 << 24


def distribute(program: Program) -> Program:
    """The Program with the fixed parts of inner loops in front of the outer ones."""
    ranges = Ranges({v: eqn for eqn in program.walk() for v in eqn.outputs})
    with building():
        return replace_region(program, _region(program.region, Filling(ranges)))


def _region(region: Region, filling: Filling) -> Region:
    eqns: list[Eqn] = []
    read = {*region.results, *(v for eqn in region.eqns for v in eqn.uses())}
    for eqn in region.eqns:
        if eqn.prim is for_:
            filling.ranges.enter(eqn)
        if eqn.regions:
            eqn = replace(eqn, regions=[_region(r, filling) for r in eqn.regions])
        if eqn.prim in (for_, while_):
            around = _Around(eqn, filling, read)
            eqns += around.before
            eqn = around.rest
        eqns.append(eqn)
    return Region(region.params, eqns, region.results)


class _Around:
    """An outer loop: what goes `before` it, and the `rest`, the loop without that.

    `read` is what is read in the region that it stands in.
    """

    def __init__(self, loop: Eqn, filling: Filling, read: Set[Atom]):
        self.loop, self.filling, self.ranges = loop, filling, filling.ranges
        self.before: list[Eqn] = []
        self.rest = loop
        self.known = runs(loop)
        self.body = loop.regions[-1]
        self.count = len(loop.outputs)
        self.params = self.body.params[len(self.body.params) - self.count :]
        #: Slots that are not done with if what they are filled with is fixed.
        self.refilled = {k for k in range(self.count) if self.is_refilled(k, read)}
        #: What may differ from round to round, or is to be treated as if it did.
        self.varying: set[Var] = set(self.body.params)
        self.varying.difference_update(self.params[k] for k in self.refilled)
        if self.refilled or any(eqn.prim is for_ for eqn in self.body.eqns):
            count = -1
            while count < len(self.varying):
                slots = [(self.params[k], self.body.results[k]) for k in self.refilled]
                self.settle(self.body, slots)
                count = len(self.varying)
                self.part()

    def is_refilled(self, k: int, read: Set[Atom]) -> bool:
        """Whether a slot's array is the same after all rounds, as far as it is the
        loop's own doing, and where it does not run nobody asks."""
        if not (self.known or self.loop.outputs[k] not in read):
            return False
        if self.loop.prim is while_:
            return False  # what a test reads of it
        param, result = self.params[k], self.body.results[k]
        return bool(param.aval.shape) and self.filling.is_refilled(
            self.body, param, result
        )

    # What is fixed --------------------------------------------------------------------

    def mark(self, eqns: Iterable[Eqn]) -> None:
        """Add to `varying` what these equations make of it."""
        for eqn in eqns:
            if eqn.prim is for_ and self.is_fixed(eqn.inputs[:3]):
                self.mark_loop(eqn)
            elif eqn.prim is for_ or not (
                self.is_movable(eqn) and self.is_fixed(eqn.uses())
            ):
                self.leave(eqn)

    def mark_loop(self, eqn: Eqn) -> None:
        (body,) = eqn.regions
        slots = (eqn.inputs[3:], body.params[1:], body.results, eqn.outputs)
        self.settle(body, list(zip(*slots, strict=True)))

    def settle(self, body: Region, slots: Sequence[tuple[Atom, ...]]) -> None:
        """Mark a loop's body; a slot varies in all of its variables or in none."""
        count = -1
        while count < len(self.varying):
            count = len(self.varying)
            self.mark(body.eqns)
            for slot in slots:
                if not self.is_fixed(slot):
                    self.varying.update(a for a in slot if isinstance(a, Var))

    def leave(self, eqn: Eqn) -> None:
        """An equation varies, with all that is in it."""
        self.varying.update(eqn.outputs)
        for region in eqn.regions:
            self.varying.update(region.params)
            for inner in region.eqns:
                self.leave(inner)

    def is_fixed(self, atoms: Iterable[Atom]) -> bool:
        return self.varying.isdisjoint(atoms)

    def is_movable(self, eqn: Eqn) -> bool:
        """Whether it may run once, be it that the loop would not have run it."""
        if eqn.prim is cond:
            return all(self.is_movable(e) for r in eqn.regions for e in r.eqns)
        if eqn.prim.updates:
            known = self.known or (eqn.prim is setitem and is_inside(eqn, self.ranges))
            return known
        return is_safe(eqn, self.known, self.ranges) or not eqn.inputs

    # The parts ------------------------------------------------------------------------

    def part(self) -> None:
        """Find what goes before the loop; or add to `varying` what better stays."""
        fixed, eqns, wanted = self.divided(self.body.eqns)
        makers = {v: eqn for eqn in fixed for v in eqn.outputs}
        moved: set[Eqn] = set()
        alike = [k for k in self.refilled if self.is_fixed([self.params[k]])]
        wanted += [makers[v] for k in alike if (v := self.body.results[k]) in makers]
        while wanted:
            eqn = wanted.pop()
            if eqn not in moved:
                moved.add(eqn)
                wanted += [makers[v] for v in eqn.uses() if v in makers]
        rest = [eqn for eqn in eqns if eqn not in moved]
        self.varying.update(_overwritten(rest, {v for e in moved for v in e.outputs}))
        self.before, self.rest = [eqn for eqn in fixed if eqn in moved], self.loop
        if self.before:
            self.rest = self.without(rest, alike)

    def without(self, eqns: list[Eqn], alike: list[int]) -> Eqn:
        """The loop with these equations, whose slots that are filled `alike` before it
        hand that on."""
        inputs, results = list(self.loop.inputs), list(self.body.results)
        first = len(inputs) - self.count
        inits = {self.params[k]: inputs[first + k] for k in alike}
        self.before = [reading(eqn, inits) for eqn in self.before]
        for k in alike:
            inputs[first + k], results[k] = results[k], self.params[k]
        region = replace(self.body, eqns=eqns, results=results)
        regions = [*self.loop.regions[:-1], region]
        return replace(self.loop, inputs=inputs, regions=regions)

    def divided(self, eqns: Iterable[Eqn]) -> tuple[list[Eqn], list[Eqn], list[Eqn]]:
        """The fixed equations; all, with loops divided; and those that are to move."""
        fixed: list[Eqn] = []
        every: list[Eqn] = []
        loops: list[Eqn] = []
        for eqn in eqns:
            first: list[Eqn] = []
            rest: Eqn | None = eqn
            whole = bool(eqn.outputs) and not has_effect(eqn)  # a check reads the rest
            if whole and self.is_fixed(eqn.outputs):
                first, rest = [eqn], None
            elif eqn.prim is for_ and self.is_fixed(eqn.inputs[:3]):
                first, rest = self.split(eqn)
            fixed += first
            every += [*first, rest] if rest else first
            loops += [e for e in first if e.prim is for_]
        return fixed, every, loops

    def split(self, loop: Eqn) -> tuple[list[Eqn], Eqn]:
        """The fixed part of a loop, if there is one, and the rest.

        `varying` grows where something had better not be divided.
        """
        (body,) = loop.regions
        params = body.params[1:]
        mine = [k for k, v in enumerate(loop.outputs) if self.is_fixed((v, params[k]))]
        others = [k for k in range(len(params)) if k not in mine]
        fixed, every, _ = self.divided(body.eqns)
        part = _Part(body, mine, fixed)
        rest = [eqn for eqn in every if eqn not in part.fixed]
        again, stored = part.supply(rest, [body.results[k] for k in others])
        known = known_range(loop)
        if known is None or not (mine or stored):
            self.leave(loop)
            return [], loop
        rows = rows_of(known)
        self.varying.update(v for v in stored if not part.is_storable(v, rows))
        self.varying.update(
            params[k]
            for k in mine
            if not params[k].aval.shape and part.is_cheap(params[k])
        )
        first, tables = self.tabled(loop, part, stored, known)
        with current().at(loop.loc, loop.origin), current().open() as reads:
            for var in stored:
                place = _place(body.params[0], var, known)
                getitem(tables[var], *place, **_row(var))
                reads[-1].outputs = [var]
        kept = [eqn for eqn in every if eqn in again or eqn not in part.fixed]
        region = replace(body, eqns=[*reads, *kept])
        return first, loop_without(replace(loop, regions=[region]), others)

    def tabled(
        self, loop: Eqn, part: _Part, stored: list[Var], known: tuple[int, int, int]
    ) -> tuple[list[Eqn], dict[Var, Var]]:
        """The fixed part as a loop; in which arrays it stores which values."""
        tables = {v: _table(v, known) for v in stored}
        region = part.alone(stored)
        count = len(part.slots)
        with current().at(loop.loc, loop.origin), current().open() as eqns:
            rooms = [
                empty(shape=t.aval.shape, dtype=t.aval.dtype) for t in tables.values()
            ]
            with current().open() as writes:
                for k, var in enumerate(stored, count):
                    region.params.append(_table(var, known))
                    place = _place(region.params[0], var, known)
                    region.results[k] = setitem(
                        region.params[-1], region.results[k], *place, **_row(var)
                    )
        region.eqns += writes
        inits = [loop.inputs[3 + k] for k in part.slots]
        outputs = [loop.outputs[k] for k in part.slots]
        first = replace(
            loop,
            inputs=[*loop.inputs[:3], *inits, *rooms],
            outputs=[*outputs, *tables.values()],
            regions=[region],
        )
        self.ranges.enter(first)
        made = [*eqns, first, *walk(region)]
        self.ranges.defs.update((v, eqn) for eqn in made for v in eqn.outputs)
        return [*eqns, first], tables


class _Part:
    """The fixed part of a loop's body: some of its `slots` and equations."""

    def __init__(self, body: Region, slots: list[int], fixed: list[Eqn]):
        self.body, self.slots, self.fixed = body, slots, dict.fromkeys(fixed)
        self.makers = {v: eqn for eqn in fixed for v in eqn.outputs}
        self.results = {body.params[1 + k]: body.results[k] for k in slots}

    def alone(self, stored: Sequence[Var]) -> Region:
        """A body of its own, which results in the slots' values and in these."""
        params = [self.body.params[0], *self.results]
        results = [*self.results.values(), *stored]
        return clone_region(Region(params, list(self.fixed), results), {})

    def supply(
        self, rest: list[Eqn], results: list[Atom]
    ) -> tuple[set[Eqn], list[Var]]:
        """What the rest of the body computes again, and what it is to find stored."""
        again: set[Eqn] = set()
        stored: list[Var] = []
        for var in Region([], rest, results).free_vars():
            if var in self.results:
                stored.append(var)
            elif var in self.makers:
                cone = self.cone(var)
                if self.results.keys() & {v for e in cone for v in e.uses()} or (
                    _cost(cone) >= DEAR
                ):
                    stored.append(var)
                else:
                    again.update(cone)
        return again, stored

    def cone(self, var: Var, around: bool = False) -> set[Eqn]:
        """What a value comes of in a round, or in all of them."""
        found: set[Eqn] = set()
        seen: set[Atom] = set()
        stack: list[Atom] = [var]
        while stack:
            atom = stack.pop()
            if atom in seen:
                continue
            seen.add(atom)
            if around and atom in self.results:
                stack.append(self.results[atom])
            elif atom in self.makers:
                found.add(self.makers[atom])
                stack += self.makers[atom].uses()
        return found

    def is_cheap(self, var: Var) -> bool:
        return _cost(self.cone(var, around=True)) < DEAR

    def is_storable(self, var: Var, rows: int) -> bool:
        """Whether a value of every round is worth its room; a carried array is not."""
        if self.is_cheap(var) or rows * var.aval.nbytes > MOST_BYTES:
            return False
        return not var.aval.shape or not self.is_carried(var)

    def is_carried(self, array: Atom) -> bool:
        """Whether an array may be in the buffer of a slot."""
        while array in self.makers:
            eqn = self.makers[array]
            if eqn.prim.updates:
                array = eqn.inputs[0]
            elif eqn.prim is for_:
                array = eqn.inputs[3 + eqn.outputs.index(array)]
            else:
                return eqn.prim is cond
        return array in self.results


def _cost(eqns: Iterable[Eqn]) -> float:
    """Flops, where an integer costs nothing; a loop is never cheap."""
    return sum(DEAR if eqn.prim is for_ else _flops(eqn) for eqn in eqns)


def _flops(eqn: Eqn) -> float:
    dear = [v for v in eqn.outputs if v.aval.shape or v.aval.dtype.kind not in "iu"]
    return eqn.prim.cost if dear else 0


def _overwritten(eqns: Iterable[Eqn], arrays: set[Var]) -> Iterator[Var]:
    """Those of some arrays that equations change in place."""
    for eqn in eqns:
        changed = eqn.inputs[:1] if eqn.prim.updates else []
        if eqn.prim in (for_, while_):
            changed = eqn.inputs[len(eqn.inputs) - len(eqn.outputs) :]
        yield from (v for v in changed if v.aval.shape and v in arrays)
        for region in eqn.regions:
            yield from _overwritten(region.eqns, arrays)


def _table(var: Var, known: tuple[int, int, int]) -> Var:
    """An array with a row of such values for each round."""
    shape = (rows_of(known), *var.aval.shape)
    return Var(var.aval.update(shape=shape), var.hint)


def _place(index: Var, var: Var, known: tuple[int, int, int]) -> list[Any]:
    low, _, step = known
    return [row_of(index, low, step), *([0] * var.aval.ndim)]


def _row(var: Var) -> dict[str, Any]:
    return {"sizes": (None, *var.aval.shape), "steps": (1,) * (1 + var.aval.ndim)}
