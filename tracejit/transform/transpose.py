"""Turning a linear program around: cotangents flow from its outputs to its inputs.

    ẏ = a ẋ                     x̄ += a ȳ
    ẏ = getitem(Ȧ, i)           Ā = acc_slice(Ā, ȳ, i)          never zeros + add
    Ȧ' = setitem(Ȧ, v̇, i)      v̄ += Ā'[i];  Ā = setitem(Ā', 0, i)
    for i: ċ = body(i, ċ)       for i, reversed: c̄ = bodyᵀ(i, c̄)
    ẏ = cond(p; a, b)           x̄ = cond(p; aᵀ, bᵀ)

What is not used contributes nothing, not even where a slope is infinite: the side that
a choice did not take, and an element, or a round's value, that nobody read. Their
cotangents are 0, and 0 times infinity would be NaN: see `Transposer.chosen`.

What the linear program computes from primal values alone stands first, unchanged. The
cotangent of a variable that a loop or a branch captures is carried through it, so that
an array's accumulator is allocated once, outside. Transposed regions still read the
primal's local variables: `residuals` supplies them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tracejit.ir.builder import current
from tracejit.ir.primitive import Elementwise, Mask, scale, zeros
from tracejit.ir.program import Atom, Eqn, Region, Var
from tracejit.ops.control import cond, emit_for, for_
from tracejit.ops.elementwise import (
    logical_and,
    logical_not,
    logical_or,
    ne,
    select,
    unless_zero,
)
from tracejit.transform.checkpoint import turned
from tracejit.transform.custom import pull, pulled
from tracejit.transform.linearize import linear_checkpoint
from tracejit.transform.modes import TAPE, Saving

Cotangents = dict[Var, Atom]
#: Predicates that hold, or do not, wherever a cotangent is not 0.
Choices = tuple[tuple[Atom, bool], ...]

#: Linear functions that may leave parts of their operand out.
PARTS = frozenset({"getitem", "setitem", "gather", "scatter_set"})
#: A function that has one of these in its slope may have an infinite one.
POLES = frozenset({"div", "pow", "log"})


class Transposer:
    """Transposes the linear equations that depend on `linear` variables.

    `pairs` maps each transposed loop or branch to the primal one whose local
    variables it may read. `poles`, of the function of that name, are slopes; `saving`
    is what loops in checkpoints may save.
    """

    def __init__(self, linear: set[Var], poles: set[Atom], saving: Saving = TAPE):
        self.linear, self.saving = linear, saving
        #: Of the outermost equations, in the stack of open regions.
        self.depth = 0
        self.pairs: dict[Eqn, Eqn] = {}
        #: Slopes that may be infinite, and what is made of them.
        self.poles = poles
        #: Cotangents that may be 0 for not being used, and what they come of: 0 where
        #: a choice fell otherwise, or, without choices, wherever it turns out.
        self.chosen: dict[Atom, tuple[Atom, Choices]] = {}
        #: That all of some choices fell so, and the region that it is computed in.
        self.joined: dict[Any, tuple[list[Eqn], Atom]] = {}

    def eqns(self, eqns: Sequence[Eqn], cts: Cotangents) -> None:
        """Emit the transpose of `eqns`; `cts` goes from outputs to inputs."""
        self.depth = self.depth or len(current().stack)
        self.mark(eqns)
        linear = [eqn for eqn in eqns if self.depends(eqn)]
        for eqn in eqns:
            if not self.depends(eqn):
                current().append(eqn)
        for eqn in reversed(linear):
            out_cts = [cts.pop(v, None) for v in eqn.outputs]
            if any(ct is not None for ct in out_cts):
                with current().at(eqn.loc, eqn.origin):
                    self.eqn(eqn, out_cts, cts)

    def mark(self, eqns: Sequence[Eqn]) -> None:
        """Add to `linear` what these equations compute from it."""
        for eqn in eqns:
            if self.depends(eqn):
                self.linear.update(eqn.outputs)

    def depends(self, eqn: Eqn) -> bool:
        return any(v in self.linear for v in eqn.uses())

    def is_linear(self, atom: Atom) -> bool:
        return isinstance(atom, Var) and atom in self.linear

    def eqn(self, eqn: Eqn, out_cts: Sequence[Atom | None], cts: Cotangents) -> None:
        if eqn.prim is for_:
            self.for_(eqn, out_cts, cts)
        elif eqn.prim is cond:
            self.cond(eqn, out_cts, cts)
        elif eqn.prim is pull:
            self.call(eqn, pulled(eqn, out_cts), cts)
        elif eqn.prim is linear_checkpoint:
            beside = len(current().stack) == self.depth
            self.call(eqn, turned(eqn, out_cts, beside, self.saving), cts)
        else:
            self.plain(eqn, out_cts[0], cts)

    def plain(self, eqn: Eqn, ct: Any, cts: Cotangents) -> None:
        """One equation without regions."""
        prim: Any = eqn.prim
        accumulate: dict[int, Callable[..., Any]] = getattr(prim, "accumulate", {})
        # Last operand first: what is read from `ct` precedes what overwrites it.
        for k in reversed(prim.linear_operands(eqn.inputs, eqn.params)):
            var = eqn.inputs[k]
            if not self.is_linear(var):
                continue
            assert isinstance(var, Var)
            if k in accumulate:
                dense = var in cts and cts[var] not in self.chosen
                acc = cts[var] if var in cts else zeros(var.aval)
                cts[var] = accumulate[k](acc, ct, *eqn.inputs, **eqn.params)
                if not dense:
                    self.perhaps_unused(cts[var])
            else:
                self.add(cts, var, self.transposed(eqn, k, ct))

    def transposed(self, eqn: Eqn, k: int, ct: Any) -> Any:
        """The cotangent of operand k, a choice on the way being made last.

        The cotangent of the side that `select` did not take is 0, and what it meets
        further on may be infinite: so a choice is remembered, and elementwise rules
        are applied to what it chose from. It is made anew after each of them; all but
        the last are dead.
        """
        prim: Any = eqn.prim
        rule = prim.transpose_rule(k)
        if not isinstance(prim, Elementwise):
            out = rule(ct, *eqn.inputs, **eqn.params)
            if ct in self.chosen or prim.name in PARTS:
                self.perhaps_unused(out)
            return out
        raw, choices = self.chosen.get(ct, (ct, ()))
        if prim is select:
            out = rule(ct, *eqn.inputs, **eqn.params)
            choices = (*self.as_one(choices), (eqn.inputs[0], k == 1))
        else:
            before, raw = raw, rule(raw, *eqn.inputs, **eqn.params)
            if raw is before:
                return ct
            out = raw
            for pred, where in choices:
                out = scale(Mask(pred, where), out)
            if ct in self.chosen and not choices and self.has_poles(eqn):
                out = raw = _or_nothing(ct, raw)
        if ct in self.chosen or choices:
            self.chosen[out] = raw, choices
        return out

    def as_one(self, choices: Choices) -> Choices:
        """Choices as a single one, so that each of a long row of them costs as much."""
        if len({pred.aval.shape for pred, _ in choices}) != 1 or len(choices) == 1:
            return choices
        region = current().stack[-1]
        key = id(region), choices
        if key not in self.joined:
            self.joined[key] = region, _all_of(choices)
        return ((self.joined[key][1], True),)

    def has_poles(self, eqn: Eqn) -> bool:
        """Whether the slope that a linear equation multiplies by may be infinite."""
        slopes = (a for a in eqn.inputs if not self.is_linear(a))
        return _divides(eqn) or any(a in self.poles for a in slopes)

    def perhaps_unused(self, ct: Atom) -> None:
        """Parts of `ct` may be 0 since nobody uses what they belong to."""
        if isinstance(ct, Var):
            self.chosen[ct] = ct, ()

    def call(self, eqn: Eqn, found: Sequence[Atom | None], cts: Cotangents) -> None:
        """A linear equation whose last operands have these cotangents."""
        dots = eqn.inputs[len(eqn.inputs) - len(found) :]
        for dot, ct in zip(dots, found, strict=True):
            if ct is not None and self.is_linear(dot):
                self.perhaps_unused(ct)
                self.add(cts, dot, ct)  # type: ignore[arg-type]

    def add(self, cts: Cotangents, var: Var, ct: Atom) -> None:
        """Add `ct` to the cotangent of `var`."""
        before = cts.get(var)
        add_ct(cts, var, ct)
        if before is not None and before in self.chosen and ct in self.chosen:
            either = united(self.chosen[before][1], self.chosen[ct][1])
            self.chosen[cts[var]] = cts[var], either

    def for_(self, eqn: Eqn, out_cts: Sequence[Atom | None], cts: Cotangents) -> None:
        (body,) = eqn.regions
        lo, hi, step, *inits = eqn.inputs
        index, *carried = body.params
        reached = self.reached(
            body, {k for k, ct in enumerate(out_cts) if ct is not None}
        )
        slots = [k for k, var in enumerate(carried) if var in reached]
        captured = [v for v in body.free_vars() if v in reached]

        entering = [_new_ct(carried[k]) for k in slots]
        accs = [_new_ct(v) for v in captured]
        for ct in (*entering, *accs):
            self.perhaps_unused(ct)
        with current().open() as emitted:
            inner: Cotangents = dict(zip(captured, accs, strict=True))
            for k, ct in zip(slots, entering, strict=True):
                result = body.results[k]
                if self.is_linear(result):
                    self.add(inner, result, ct)  # type: ignore[arg-type]
            self.eqns(body.eqns, inner)
            leaving = [
                inner[v] if v in inner else zeros(v.aval)
                for v in [*(carried[k] for k in slots), *captured]
            ]
        region = Region([index, *entering, *accs], emitted, leaving)
        starts = [_or_zeros(out_cts[k], carried[k]) for k in slots]
        starts += [_or_zeros(cts.get(v), v) for v in captured]
        outs = emit_for(lo, hi, step, starts, region, not eqn.params["reverse"])
        self.pair(eqn)
        for ct in outs:
            self.perhaps_unused(ct)
        # The accumulators began with what `cts` held: replace before adding.
        cts.update(zip(captured, outs[len(slots) :], strict=True))
        for k, out in zip(slots, outs, strict=False):
            init = inits[k]
            if isinstance(init, Var) and self.is_linear(init):
                self.add(cts, init, out)

    def cond(self, eqn: Eqn, out_cts: Sequence[Atom | None], cts: Cotangents) -> None:
        branches = []
        for branch in eqn.regions:
            self.mark(branch.eqns)
            captured = [v for v in branch.free_vars() if v in self.linear]
            inner: Cotangents = {v: cts[v] for v in captured if v in cts}
            with current().open() as emitted:
                for result, ct in zip(branch.results, out_cts, strict=True):
                    if ct is not None and self.is_linear(result):
                        self.add(inner, result, ct)  # type: ignore[arg-type]
                self.eqns(branch.eqns, inner)
            branches.append((emitted, inner, captured))
        # Absent stays absent until both sides are seen.
        changed = [
            v
            for v in dict.fromkeys(v for _, _, captured in branches for v in captured)
            if any(
                v in inner and inner[v] is not cts.get(v) for _, inner, _ in branches
            )
        ]
        if not changed:
            return
        regions = []
        for emitted, inner, _ in branches:
            with current().open() as more:
                results = [
                    _or_zeros(inner[v] if v in inner else cts.get(v), v)
                    for v in changed
                ]
            regions.append(Region([], [*emitted, *more], results))
        outs = cond(eqn.inputs[0], regions=regions)
        self.pair(eqn)
        for ct in outs:
            self.perhaps_unused(ct)
        cts.update(zip(changed, outs, strict=True))

    def pair(self, eqn: Eqn) -> None:
        """The loop or branch just emitted reads the locals of `eqn`'s primal."""
        assert eqn.origin is not None
        self.pairs[current().stack[-1][-1]] = eqn.origin

    def reached(self, body: Region, slots: set[int]) -> set[Var]:
        """Variables of a loop's body that get a cotangent, by fixpoint.

        `slots` are those that have one after the loop; it grows.
        """
        carried = body.params[1:]
        self.linear.update(carried)
        self.mark(body.eqns)
        while True:
            live = {r for k in slots if self.is_linear(r := body.results[k])}
            self.spread_back(body.eqns, live)  # type: ignore[arg-type]
            more = {k for k, var in enumerate(carried) if var in live}
            if more <= slots:
                return live | {carried[k] for k in slots}  # type: ignore[return-value]
            slots |= more

    def spread_back(self, eqns: Sequence[Eqn], live: set[Var]) -> None:
        """Add to `live` the linear variables that (may) reach it."""
        for eqn in reversed(eqns):
            slots = {k for k, v in enumerate(eqn.outputs) if v in live}
            if not slots:
                continue
            if eqn.prim is cond:
                for branch in eqn.regions:
                    self.mark(branch.eqns)
                    inner = {r for k in slots if self.is_linear(r := branch.results[k])}
                    self.spread_back(branch.eqns, inner)  # type: ignore[arg-type]
                    live |= inner  # type: ignore[arg-type]
            elif eqn.prim is for_:
                live |= self.reached(eqn.regions[0], slots)
                inits = (eqn.inputs[3 + k] for k in slots)
                live.update(v for v in inits if self.is_linear(v))  # type: ignore[misc]
            else:
                live.update(v for v in eqn.uses() if v in self.linear)


def poles(eqns: Sequence[Eqn]) -> set[Atom]:
    """What a linear program computes by a division or the like, in regions too."""
    found: set[Atom] = set()

    def walk(eqns: Sequence[Eqn]) -> None:
        for eqn in eqns:
            for region in eqn.regions:
                walk(region.eqns)
            if _divides(eqn) or not found.isdisjoint(eqn.inputs):
                found.update(eqn.outputs)

    walk(eqns)
    return found


def _divides(eqn: Eqn) -> bool:
    return eqn.prim.name in POLES or (
        eqn.prim.name == "integer_pow" and eqn.params["n"] < 0
    )


def _or_nothing(ct: Any, slope: Any) -> Any:
    """A cotangent times a slope, or 0 where the cotangent is 0."""
    if ct.aval == slope.aval:
        return unless_zero(ct, slope)
    return scale(Mask(ne(ct, 0)), slope)


def add_ct(cts: Cotangents, var: Var, ct: Atom) -> None:
    """Add `ct` to the cotangent of `var`."""
    cts[var] = cts[var] + ct if var in cts else ct


def united(a: Choices, b: Choices) -> Choices:
    """Choices that hold wherever all of `a` or all of `b` do."""
    common = tuple([choice for choice in a if choice in b])
    rests = [[c for c in choices if c not in common] for choices in (a, b)]
    if not all(rests):
        return common
    (pred, where), *more = rests[0]
    if not more and rests[1] == [(pred, not where)]:
        return common  # one side of a choice, and the other one
    if len({p.aval.shape for rest in rests for p, _ in rest}) > 1:
        return common
    first, second = map(_all_of, rests)
    return (*common, (logical_or(first, second), True))


def _all_of(choices: Sequence[tuple[Atom, bool]]) -> Atom:
    preds = [pred if where else logical_not(pred) for pred, where in choices]
    return functools.reduce(logical_and, preds)


def _new_ct(var: Var) -> Var:
    return Var(var.aval, f"{var.hint.removeprefix('d')}_bar" if var.hint else "")


def _or_zeros(ct: Atom | None, var: Var) -> Atom:
    return zeros(var.aval) if ct is None else ct
