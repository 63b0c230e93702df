"""Reading a primal value again where the loops have left it.

    for t in range(n): x[t + 1] = f(x[t])        x[t] is still there at the end

An array that is in one slot of every loop on the way out ends as an array of the
Program, or of a round of the loops further out, where it is new. A part of it that was
read, or written, in some round is there unchanged if no write that comes later meets
it: a write of the same round to a later version, or any write of a later round. Indices
are linear in the loops' own; a later round is one that agrees in the indices of some
outer loops and is further on in the next one. That such a round writes to the part,
within the bounds of its loops, is a system of linear inequalities, and has to have no
solution (`ir.inequalities`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.ir import affine
from tracejit.ir.affine import Form
from tracejit.ir.builder import current
from tracejit.ir.inequalities import possible
from tracejit.ir.program import Atom, Eqn, Literal, Region, Var, clone_eqn, substitute
from tracejit.ir.ranges import Part, Ranges, ends_of
from tracejit.ops.control import cond, for_, while_
from tracejit.ops.index import getitem, setitem
from tracejit.transform.threads import Path, loop_index
from tracejit.transform.undo import (
    WRITES,
    Chain,
    carried,
    chain_of,
    part_shape,
    slot_of,
    version_before,
)

ONE = Form(1, {})


@dataclass(frozen=True)
class Reading:
    """A part of an array from further out: what was read or written in some round."""

    #: Local to this many of the loops and branches around the round.
    depth: int
    array: Var
    starts: Sequence[Atom]
    params: Mapping[str, Any]
    #: What the starts are computed by, from indices and from outside.
    needs: Sequence[Eqn]

    def emit(self) -> Any:
        """Read it, where the loops' indices are those of the round."""
        env: dict[Var, Atom] = {}
        for eqn in self.needs:
            current().append(clone_eqn(eqn, env))
        return getitem(self.array, *substitute(self.starts, env), **self.params)


class Rereader:
    """Finds what of a Program's values is still there when it has run."""

    def __init__(self, region: Region):
        self.outside = {*region.params, *(v for e in region.eqns for v in e.outputs)}
        self.defs: dict[Any, Eqn] = {}
        self.ranges = Ranges(self.defs)
        self.region_of: dict[Eqn, Region] = {}
        #: By value: the writes of it, as it is, to parts of arrays.
        self.written: dict[Any, list[Eqn]] = {}
        #: By array: equations beside the one that made it that change it, or hold those
        #: that do.
        self.takers: dict[Any, dict[Eqn, None]] = {}
        for eqn in region.eqns:
            self.survey(eqn, region, ())
        self.found: dict[Var, Reading | None] = {}

    def survey(self, eqn: Eqn, region: Region, around: tuple[Eqn, ...]) -> None:
        """Note what an equation makes, writes and changes."""
        around = (*around, eqn)
        self.region_of[eqn] = region
        self.defs.update((v, eqn) for v in eqn.outputs)
        if eqn.prim is setitem and eqn.inputs[1].aval.shape == part_shape(eqn):
            self.written.setdefault(eqn.inputs[1], []).append(eqn)
        taken = eqn.inputs[:1] if eqn.prim.updates else []
        if eqn.prim in (for_, while_):
            taken = carried(eqn)[0]
        for array in taken:
            home = self.region_of.get(self.defs.get(array))  # type: ignore[arg-type]
            beside = (e for e in around if self.region_of[e] is home)
            self.takers.setdefault(array, {})[next(beside, around[0])] = None
        for inner in eqn.regions:
            for part in inner.eqns:
                self.survey(part, inner, around)

    def reading(self, var: Var, path: Path) -> Reading | None:
        """How to read a variable, local to the end of a path, when all has run."""
        if var not in self.found:
            eqn, which = path[-1]
            self.found[var] = self.search(var, eqn.regions[which], path)
        return self.found[var]

    def search(self, var: Var, body: Region, path: Path) -> Reading | None:
        made = self.defs.get(var)
        writes = self.written.get(var, [])
        reads = [made] if made is not None and made.prim is getitem else []
        for eqn in [*reads, *writes]:
            if self.region_of[eqn] is body:
                array = eqn.inputs[0] if eqn in reads else eqn.out
                found = self.place(eqn, array, path)
                if found is not None:
                    return found
        return None

    def place(self, eqn: Eqn, array: Atom, path: Path) -> Reading | None:
        """The part that an equation reads or writes, if it stays as it is."""
        if not isinstance(array, Var) or array.aval.grows:
            return None
        starts = eqn.inputs[1:] if eqn.prim is getitem else eqn.inputs[2:]
        known = {loop_index(e) for e, _ in path if e.prim is not cond}
        needs = self.needs(starts, known | self.outside)
        if needs is None:
            return None
        final = self.final(array, self.ranges.part(starts, eqn), path)
        return None if final is None else Reading(*final, starts, eqn.params, needs)

    def needs(self, atoms: Sequence[Atom], known: set[Var]) -> list[Eqn] | None:
        """What computes integers from `known` ones; None where other things enter."""
        found: dict[Eqn, None] = {}
        for atom in atoms:
            if isinstance(atom, Literal) or atom in known:
                continue
            if atom not in self.defs or atom in self.ranges.form(atom).terms:
                return None
            eqn = self.defs[atom]
            before = self.needs(eqn.inputs, known)
            if before is None:
                return None
            found |= dict.fromkeys([*before, eqn])
        return list(found)

    def final(self, array: Var, part: Part, path: Path) -> tuple[int, Var] | None:
        """What an array, in a version local to a path, ends as, and how far out.

        There it is local to as many loops and branches of the path, and new in each of
        their rounds.
        """
        home = len(path)
        while home and slot_of(*path[home - 1], array, small=False) is None:
            home -= 1
        steps: list[tuple[int, list[tuple[Eqn, Var, bool]]]] = []
        out, last, version = home, None, array
        while out and (found := slot_of(*path[out - 1], version, small=False)):
            k, chain = found
            steps.append((out, self.steps(path[out - 1], k, chain, version, last)))
            last, out = path[out - 1][0], out - 1
            version = last.outputs[k]
        if out == home:
            return None
        bounds = [bound for eqn, _ in path for bound in self.bounds(eqn)]
        first = len(_loops(path[:out]))
        for depth, made in steps:
            loops = _loops(path[:depth])
            for step, new, later in made:
                if self.met(part, bounds, loops, first, step, new, later):
                    return None
        end = self.after(version, part, bounds, _loops(path[:out]))
        return None if end is None else (out, end)

    def steps(
        self, place: tuple[Eqn, int], k: int, chain: Chain, version: Var, last: Any
    ) -> list[tuple[Eqn, Var, bool]]:
        """What writes to an array in a region, and whether after a version of it.

        `last`, the loop or branch there that is on the path, has been looked at.
        """
        eqn, which = place
        at = chain.versions.index(version)
        found = [(s, v, n < at) for n, (s, v) in enumerate(chain.each())]
        for region in eqn.regions if eqn.prim is cond else []:
            if region is not eqn.regions[which]:
                other = chain_of(region, region.results[k], small=False)
                assert other is not None
                found += [(s, v, False) for s, v in other.each()]
        return [step for step in found if step[0] is not last]

    def after(
        self, array: Var, part: Part, bounds: list[Form], loops: list[Eqn]
    ) -> Var | None:
        """The last version of an array that the region around goes on to change."""
        while array in self.takers:
            if len(self.takers[array]) > 1:
                return None
            (eqn,) = self.takers[array]
            following = (
                v for v in eqn.outputs if version_before(eqn, v, small=False) is array
            )
            version = next(following, None)
            if version is None:
                return None
            if self.met(part, bounds, loops, len(loops), eqn, version, True):
                return None
            array = version
        return array

    # Writes ---------------------------------------------------------------------------

    def met(
        self,
        part: Part,
        bounds: list[Form],
        loops: list[Eqn],
        first: int,
        step: Eqn,
        version: Var,
        later: bool,
    ) -> bool:
        """Whether a step that makes a version may write to a part that was read before.

        The part and the step are in the same `loops`, and the array lives in one round
        of the `first` ones; `bounds` are those of the indices where it was read. In the
        same round, the step comes `later`, or before.
        """
        for nest, place in self.writes(step, version):
            for level in range(first, len(loops)):
                if self.meets(part, bounds, loops, level, nest, place):
                    return True
            if later and self.meets(part, bounds, loops, len(loops), nest, place):
                return True
        return False

    def writes(
        self, step: Eqn, version: Var
    ) -> Iterator[tuple[list[Eqn], Part | None]]:
        """The parts that a step writes to, and the loops of it that are around."""
        if step.prim in WRITES:
            yield [], self.ranges.part(step.inputs[2:], step)
        elif not step.regions:
            yield [], None
        else:
            k = step.outputs.index(version)
            around = [] if step.prim is cond else [step]
            for region in step.regions if step.prim is cond else step.regions[-1:]:
                chain = chain_of(region, region.results[k], small=False)
                assert chain is not None
                for inner, made in chain.each():
                    for nest, part in self.writes(inner, made):
                        yield [*around, *nest], part

    def meets(
        self,
        part: Part,
        bounds: list[Form],
        loops: list[Eqn],
        level: int,
        nest: list[Eqn],
        place: Part | None,
    ) -> bool:
        """Whether a write may meet a part in a round that is later at this level.

        In the rounds of outer loops they agree; everything else that differs between
        rounds has a value of its own where it is written.
        """
        same = self.outside | {loop_index(eqn) for eqn in loops[:level]}
        other: dict[Var, Var] = {}

        def there(form: Form) -> Form:
            terms = {
                v if v in same else other.setdefault(v, Var(v.aval)): factor
                for v, factor in form.terms.items()
            }
            return Form(form.const, terms)

        around = [*loops[level:], *nest]
        natural = [*bounds, *(there(b) for e in around for b in self.bounds(e))]
        zero = []
        if level < len(loops):
            here = Form(0, {loop_index(loops[level]): 1})
            way = _direction(loops[level])
            if way is not None:
                ahead = affine.add(there(here), here, -1)
                ahead = affine.mul(ahead, Form(way, {})) or ahead
                natural.append(affine.add(ahead, ONE, -1))
        for axis, written in zip(part, place or (), strict=place is not None):
            (first, last), (start, end) = ends_of(axis), map(there, ends_of(written))
            if axis[1] is None and written[1] is None:
                zero.append(affine.add(first, start, -1))
                continue
            natural.append(affine.add(end, first, -1))
            natural.append(affine.add(last, start, -1))
        return possible(zero, natural)

    def bounds(self, eqn: Eqn) -> list[Form]:
        """What is at least 0 in every round of a loop."""
        if eqn.prim is cond:
            return []
        index = Form(0, {loop_index(eqn): 1})
        if eqn.prim is while_:
            return [index]
        lo, hi = map(self.ranges.form, eqn.inputs[:2])
        step = eqn.inputs[2]
        if not isinstance(step, Literal):
            return []
        if step.value < 0:
            return [affine.add(lo, index, -1), _less(hi, index)]
        return [affine.add(index, lo, -1), _less(index, hi)]


def _less(a: Form, b: Form) -> Form:
    """What is at least 0 where a < b."""
    return affine.add(affine.add(b, a, -1), ONE, -1)


def _loops(path: Path) -> list[Eqn]:
    return [eqn for eqn, _ in path if eqn.prim is not cond]


def _direction(eqn: Eqn) -> int | None:
    """1 where a loop's index grows from round to round, -1 where it falls."""
    if eqn.prim is while_:
        return 1
    step = eqn.inputs[2]
    if not isinstance(step, Literal):
        return None
    return 1 if (step.value > 0) != eqn.params["reverse"] else -1
