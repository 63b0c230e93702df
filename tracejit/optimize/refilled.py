"""Arrays that a loop carries and fills anew, alike in every round.

    c = np.zeros(n)
    for t:
        c[0] = p[0]                          c is the same after each round:
        for i in range(1, n):                what a round reads of it, it has
            c[i] = p[i] - 0.5 * c[i - 1]     written before

If what is written, and where, is the same in every round, so is what the array holds
after each: in the second round it reads what it read in the first. Cells are told
apart along the first axis, of which rows are written whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from tracejit.ir import affine
from tracejit.ir.affine import Form
from tracejit.ir.program import Atom, Eqn, Literal, Region, Var
from tracejit.ir.ranges import Ranges
from tracejit.ops.control import for_
from tracejit.ops.index import getitem, setitem

ONE = Form(1, {})

#: Rows of an array, from the first to before the last one.
Rows: TypeAlias = tuple[Form, Form]


class Filling:
    """Knows of loops' bodies which arrays they fill; `ranges`, the bounds in them."""

    def __init__(self, ranges: Ranges):
        self.ranges = ranges
        self.makers: dict[Region, dict[Var, Eqn]] = {}
        self.readers: dict[Region, dict[Var, list[Eqn]]] = {}

    def is_refilled(self, body: Region, param: Var, result: Atom) -> bool:
        """Whether a round reads only what it has written of an array that it carries.

        Args:
            body: of the loop.
            param: the array at the start of a round.
            result: the array at the end of it.
        """
        chain = self.chain(body, param, result)
        return bool(chain) and self.follow(body, param, chain, []) is not None

    def look(self, body: Region) -> None:
        """Note who makes and who reads what in a region."""
        if body in self.makers:
            return
        self.makers[body] = {v: eqn for eqn in body.eqns for v in eqn.outputs}
        readers = self.readers[body] = {}
        for eqn in body.eqns:
            for var in dict.fromkeys(eqn.uses()):
                readers.setdefault(var, []).append(eqn)

    def chain(self, body: Region, param: Var, result: Atom) -> list[Eqn]:
        """The equations that write to an array, in order; none if it is made anew."""
        self.look(body)
        found: list[Eqn] = []
        while result is not param:
            eqn = self.makers[body].get(result)  # type: ignore[arg-type]
            if eqn is None or eqn.prim not in (setitem, for_):
                return []
            found.append(eqn)
            first = eqn.prim is setitem
            result = eqn.inputs[0 if first else 3 + eqn.outputs.index(result)]  # type: ignore[arg-type]
        return found[::-1]

    def follow(
        self, body: Region, version: Var, chain: Sequence[Eqn], rows: list[Rows]
    ) -> list[Rows] | None:
        """The rows written when the chain is through, `rows` being written before.

        None where a version but the last one is read in other rows.
        """
        for step in chain:
            if not self.reads_only(body, version, rows, step):
                return None
            if step.prim is setitem:
                more = self.part(step, step.inputs[2:])
                version = step.out
            else:
                slot = step.inputs[3:].index(version)
                more = self.loop(step, slot, rows)
                version = step.outputs[slot]
            if more is None:
                return None
            rows = _joined([*rows, more])
        return rows

    def loop(self, loop: Eqn, slot: int, rows: list[Rows]) -> Rows | None:
        """The rows that a loop writes, one in each round, next to one another."""
        (body,) = loop.regions
        param, result = body.params[1 + slot], body.results[slot]
        chain = self.chain(body, param, result)
        lo, hi, step = loop.inputs[:3]
        if len(chain) != 1 or chain[0].prim is not setitem:
            return None
        (write,) = chain
        part = self.part(write, write.inputs[2:])
        index = body.params[0]
        if part is None or part[0].terms.get(index) != 1:
            return None
        if not isinstance(step, Literal) or abs(step.value) != 1:
            return None
        if affine.add(part[1], part[0], -1) != ONE:
            return None
        ends = self.ranges.form(lo), self.ranges.form(hi)
        if step.value < 0:
            ends = affine.add(ends[1], ONE), affine.add(ends[0], ONE)
        first, end = (affine.replaced(part[0], index, form) for form in ends)
        falls = (step.value < 0) != loop.params["reverse"]
        before = (part[1], end) if falls else (first, part[0])
        inner = self.follow(body, param, chain, _joined([*rows, before]))
        if inner is None or not self.reads_only(body, write.out, inner, results=True):
            return None
        return first, end

    def part(self, eqn: Eqn, starts: Sequence[Atom]) -> Rows | None:
        """The rows that an equation writes whole, or reads some of."""
        sizes, steps = eqn.params["sizes"], eqn.params["steps"]
        if steps[0] != 1:
            return None
        if eqn.prim is setitem:
            shape = eqn.out.aval.shape
            whole = zip(starts[1:], sizes[1:], steps[1:], shape[1:], strict=True)
            if not all(
                isinstance(start, Literal) and not start.value and (s, d) == (n, 1)
                for start, s, d, n in whole
            ):
                return None
        first = self.ranges.form(starts[0])
        count = Form(1 if sizes[0] is None else int(sizes[0]), {})
        return first, affine.add(first, count)

    def reads_only(
        self,
        region: Region,
        version: Var,
        rows: list[Rows],
        step: Eqn | None = None,
        results: bool = False,
    ) -> bool:
        """Whether a version is read in these rows only, but for a `step` of the chain
        and, perhaps, for being one of the results."""
        if version in region.results and not results:
            return False
        self.look(region)
        for eqn in self.readers[region].get(version, []):
            if not all(self.reads_only(r, version, rows) for r in eqn.regions):
                return False
            if eqn is step:
                if eqn.inputs.count(version) != 1:
                    return False
            elif version in eqn.inputs:
                part = self.part(eqn, eqn.inputs[1:]) if eqn.prim is getitem else None
                if part is None or not any(self.within(part, r) for r in rows):
                    return False
        return True

    def within(self, part: Rows, rows: Rows) -> bool:
        below, above = affine.add(rows[0], ONE, -1), affine.add(part[1], ONE, -1)
        return self.ranges.ordered(below, part[0]) and self.ranges.ordered(
            above, rows[1]
        )


def _joined(rows: list[Rows]) -> list[Rows]:
    """The same rows, those next to one another as one."""
    out: list[Rows] = []
    for first, end in rows:
        for other in [r for r in out if r[1] == first or r[0] == end]:
            out.remove(other)
            first, end = (other[0], end) if other[1] == first else (first, other[1])
        out.append((first, end))
    return out
