"""What was decided for each primal value that a derivative reads, in words.

    line 12: x[t + 1] = np.sin(x[t]) * a
        x[t]          re-read from `x`
        np.sin(x[t])  taped (49,)

Values have the user's names, or else the text of what computes them.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from tracejit.base.source import UNKNOWN, SrcLoc
from tracejit.ir.aval import Aval
from tracejit.ir.program import Atom, Eqn, Literal, Note, Region, Var
from tracejit.ir.text import expression
from tracejit.ops import elementwise as ew
from tracejit.ops.control import for_, while_
from tracejit.ops.index import getitem
from tracejit.transform.undo import carried

#: Longer names are cut.
LONGEST = 40


class Decisions:
    """Notes of how values are supplied; they are put in words when they are `told`."""

    def __init__(self, region: Region):
        self.region = region
        #: Those that values are read again from.
        self.arrays: set[Var] = set()
        self.notes: dict[tuple[Var, str], Callable[[Names], str]] = {}

    def note(self, var: Var, kind: str, how: Callable[[Names], str]) -> None:
        """`how` a variable is supplied; of each `kind`, it is told once."""
        self.notes.setdefault((var, kind), how)

    def captured(self, eqn: Eqn) -> None:
        """What a transposed loop or branch reads of what is outside of all of them."""
        for region in eqn.regions:
            for var in region.free_vars():
                if var not in self.arrays:
                    self.note(var, "captured", lambda names: "captured")

    def taped(self, var: Var, tape: Aval) -> None:
        """Saved in a tape of this type."""
        self.note(var, "taped", lambda names: f"taped {_shape(tape)}")

    def handed_down(self, var: Var) -> None:
        """From one round to the one that is run next, which is the one before."""
        self.note(var, "handed down", lambda names: "handed down")

    def read_again(self, var: Var, array: Var) -> None:
        """From an array that still has it."""
        self.arrays.add(array)
        self.note(var, "again", lambda names: f"re-read from `{names.array(array)}`")

    def undone(self, version: Var, saved: Aval) -> None:
        """Put back from what the write that made this version replaced."""
        self.note(version, "undone", lambda names: f"undo log {_shape(saved)}")

    def recomputed(
        self, found: Iterable[Var], eqns: Iterable[Eqn], kept: Iterable[Var]
    ) -> None:
        """By these equations, from what is kept and what is bound outside.

        Of indices there is nothing to tell.
        """
        again = {v: eqn for eqn in eqns for v in eqn.outputs}
        known = set(kept)

        def how(var: Var, names: Names) -> str:
            sources = list(dict.fromkeys(_sources(var, again, known)))
            if sources == [var]:
                return f"read from `{names.array(again[var].inputs[0])}`"
            floats = [v for v in sources if v.aval.dtype.kind not in "iub"] or sources
            texts = dict.fromkeys(f"`{names.of(v)}`" for v in floats)
            return f"recomputed: cheap from {', '.join(texts)}"

        for var in found:
            if var.aval.shape or var.aval.dtype.kind not in "iu":
                self.note(var, "recomputed", partial(how, var))

    def told(self) -> tuple[Note, ...]:
        """All notes in the order of the user's lines."""
        names = Names(self.region)
        found = dict.fromkeys(
            Note(
                names.array(var) if kind == "undone" else names.of(var),
                how(names),
                names.loc(var),
            )
            for (var, kind), how in self.notes.items()
            if kind != "captured" or var in names.outside
        )
        return tuple(sorted(found, key=lambda r: (r.loc.line, r.loc.col)))


def _sources(var: Var, again: dict[Var, Eqn], known: set[Var]) -> Iterable[Var]:
    """What a recomputation begins with: parts of arrays from outside are one."""
    eqn = again.get(var)
    if eqn is None or var in known:
        yield var
        return
    if eqn.prim is getitem and eqn.inputs[0] not in again:
        yield var
        return
    for source in eqn.uses():
        yield from _sources(source, again, known)


class Names:
    """The user's names of variables, or what stands for them in the source."""

    def __init__(self, region: Region):
        self.made: dict[Any, Eqn] = {}
        #: What a round leaves in a slot of a loop, and what that begins with.
        self.slots: dict[Any, tuple[Atom, Atom]] = {}
        self.outside = {*region.params, *(v for e in region.eqns for v in e.outputs)}
        self.survey(region)

    def survey(self, region: Region) -> None:
        for eqn in region.eqns:
            self.made.update((v, eqn) for v in eqn.outputs)
            if eqn.prim in (for_, while_):
                inits, params, body = carried(eqn)
                slots = zip(params, inits, body.results, strict=True)
                self.slots.update((p, (result, init)) for p, init, result in slots)
            for inner in eqn.regions:
                self.survey(inner)

    def loc(self, var: Var) -> SrcLoc:
        """Where it is computed, or what a slot begins with; nowhere: an argument."""
        eqn = self.made.get(var)
        if eqn is None and var in self.slots:
            eqn = self.made.get(self.slots[var][1])
        return UNKNOWN if eqn is None else eqn.loc

    def of(self, atom: Atom) -> str:
        """A name for a value: the user's, or the text of what computes it."""
        if isinstance(atom, Literal):
            return repr(atom.value)
        eqn = self.made.get(atom)
        if atom.hint:
            return atom.hint
        if eqn is not None and eqn.prim is getitem:
            array, *starts = eqn.inputs
            return _cut(expression(eqn, [self.array(array), *map(self.index, starts)]))
        return self.written(atom) or self.array(atom)

    def written(self, var: Var) -> str:
        """The source text of what computes it, or the first line of that."""
        eqn = self.made.get(var)
        if eqn is None:
            return ""
        line = linecache.getline(eqn.loc.file, eqn.loc.line)
        text = line[eqn.loc.col : eqn.loc.end_col].strip()
        return _cut(text if eqn.loc.end_col is not None or not text else f"{text} …")

    def index(self, atom: Any) -> str:
        """The text of an index, without what counts it from the end."""
        eqn = self.made.get(atom)
        if eqn is not None and not atom.hint:
            if eqn.prim is ew.select:
                return self.index(eqn.inputs[2])
            if eqn.prim in (ew.add, ew.sub, ew.mul, getitem):
                texts = [self.index(a) for a in eqn.inputs]
                return expression(eqn, texts)
        if isinstance(atom, Literal):
            return repr(atom.value)
        return atom.hint or "…"

    def array(self, atom: Any) -> str:
        """The name of an array: that by which it is written to, if it is."""
        return self.named(atom, set()) or "an array"

    def named(self, atom: Any, seen: set[Any]) -> str:
        if atom in seen:
            return ""
        seen.add(atom)
        eqn = self.made.get(atom)
        others = list(self.slots.get(atom, ()))
        if eqn is not None and eqn.prim.updates:
            target = re.match(r"(\w+)\s*\[", eqn.loc.text)
            if target:
                return target[1]
            others.append(eqn.inputs[0])
        elif eqn is not None and eqn.regions:
            k = eqn.outputs.index(atom)
            others += [region.results[k] for region in eqn.regions[-1:]]
        found = (self.named(other, seen) for other in others)
        return next((name for name in found if name), getattr(atom, "hint", ""))


def _shape(aval: Aval) -> str:
    """Of a tape: its extents, or that it has one more than is known."""
    return "(growing)" if aval.grows else str(tuple(int(n) for n in aval.shape))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
