"""Derivatives of a Program as sweeps beside it, which may be run more than once.

    primal          with tapes of what the sweeps read
    forward sweep   tangents of the results, from tangents of some inputs
    reverse sweep   cotangents of some inputs, from cotangents of some results

A sweep is emitted where the caller stands: at the end of the Program, or in a loop over
the columns or rows of a Jacobian. The primal is run once whatever their number, and
with it the factors that do not depend on the direction: they stand in its loops, where
`residuals` saves them or has them recomputed, as they cost.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Hashable, Mapping, Sequence

from tracejit.ir.builder import building, current
from tracejit.ir.primitive import Elementwise, Primitive
from tracejit.ir.program import Atom, Eqn, Program, Region, Var, substitute
from tracejit.ops.control import cond, for_, while_
from tracejit.ops.twins import key_of_eqn
from tracejit.transform.checkpoint import push_checkpoint
from tracejit.transform.custom import (
    Push,
    opened,
    pull,
    push,
    pushed,
    require_linear_rules,
)
from tracejit.transform.linearize import (
    Tangents,
    count_trips,
    linear_checkpoint,
    linearize,
    tangent_of,
)
from tracejit.transform.modes import MODES, TAPE, Saving
from tracejit.transform.residuals import Supplier, substitute_in
from tracejit.transform.snapshots import marched, parted
from tracejit.transform.threads import thread_through
from tracejit.transform.transpose import Cotangents, Transposer, add_ct, poles

#: Linear equations that have a form of their own where they are not transposed.
PUSHES: dict[Primitive, Push] = {pull: push, linear_checkpoint: push_checkpoint}


class Sweeps:
    """Sweeps of `program`, emitted into the current builder.

    `wrt` are the inputs that may be differentiated by; `shared`: factors are computed
    in the primal, not in every sweep; `saving`: what loops save for reverse sweeps. The
    Program made of it all is to be `closed`.
    """

    def __init__(
        self,
        program: Program,
        wrt: Sequence[Var],
        shared: bool = True,
        saving: Saving = TAPE,
    ):
        self.name = program.name
        around, self.inside = parted(program.region, saving)
        region = marched(program.region, wrt, around)
        self.region = count_trips(opened(region, wrt))
        self.shared = shared
        self.supplier = Supplier({}, self.region)

    def forward(self, seeds: Mapping[Var, Atom]) -> list[Atom | None]:
        """Tangents of the results, given those of some inputs; None is a zero."""
        starts = {dot(var): seed for var, seed in seeds.items()}
        tangents: Tangents = dict(zip(seeds, starts, strict=True))
        linear = self._linear(tangents)
        dots = [tangent_of(r, tangents) for r in self.region.results]
        linear, dots = pushed(linear, dots, PUSHES)
        linear = alive(linear, [dot for dot in dots if dot is not None])
        linear = self._settled(linear, set(starts))
        self._pair(linear)
        self.supplier.supply(linear)
        substitute_in(Region([], linear, []), starts)
        current().stack[-1].extend(linear)
        return [starts.get(d, d) if isinstance(d, Var) else d for d in dots]

    def reverse(
        self,
        wrt: Sequence[Var],
        seeds: Mapping[int, Atom],
        onto: Mapping[Var, Atom] | None = None,
    ) -> list[Atom | None]:
        """Cotangents of the inputs `wrt`; `seeds` are those of results by position.

        `onto`: what those of some inputs are added to.
        """
        starts = [dot(var) for var in wrt]
        tangents: Tangents = dict(zip(wrt, starts, strict=True))
        linear = self._linear(tangents)
        ends = {k: tangent_of(self.region.results[k], tangents) for k in seeds}
        linear = alive(linear, [end for end in ends.values() if end is not None])
        steep = poles(linear)
        linear = self._settled(linear, set(starts))
        before = onto or {}
        cts: Cotangents = {
            d: before[x] for x, d in zip(wrt, starts, strict=True) if x in before
        }
        transposer = Transposer(set(starts), steep, self.inside)
        for ct in cts.values():
            transposer.perhaps_unused(ct)
        with current().open() as transposed:
            for k, end in ends.items():
                if isinstance(end, Var):
                    add_ct(cts, end, seeds[k])
            transposer.eqns(linear, cts)
        grads = [cts.get(v) for v in starts]
        transposed = alive(transposed, [g for g in grads if g is not None])
        self.supplier.pairs.update(transposer.pairs)
        self.supplier.supply(transposed)
        current().stack[-1].extend(transposed)
        return grads

    def primal(self) -> list[Eqn]:
        """The Program's equations, saving what the sweeps emitted so far read."""
        return thread_through(self.region.eqns, self.supplier.threads)

    def _linear(self, tangents: Tangents) -> list[Eqn]:
        with current().open() as linear:
            linearize(self.region.eqns, tangents)
        require_linear_rules(self.region, linear)
        reuse(self.region.eqns, Region([], linear, []), ChainMap())
        return linear

    def _settled(self, linear: list[Eqn], varying: set[Var]) -> list[Eqn]:
        return settle(self.region.eqns, linear, varying, not self.shared)

    def _pair(self, linear: Sequence[Eqn]) -> None:
        """Linear loops and branches read the locals of those they derive from."""
        for eqn in linear:
            if eqn.prim not in (for_, cond):
                continue
            if eqn.origin is not None and eqn.origin.regions:
                self.supplier.pairs[eqn] = eqn.origin
                for region in eqn.regions:
                    self._pair(region.eqns)


def dot(var: Var) -> Var:
    """A Var for the tangent of another."""
    return Var(var.aval, f"d{var.hint}" if var.hint else "")


def reuse(
    primal: Sequence[Eqn], linear: Region, known: ChainMap[Hashable, Var]
) -> None:
    """Have a linear region read what the primal computes, too, or itself: not anew.

    The slope of a sine is a cosine, which there may be: what is saved of a round then
    is both. Of arrays this may be more than what they are computed from: only choices.
    """
    known = known.new_child({_scalar(e): e.out for e in primal if _scalar(e)})
    env: dict[Var, Atom] = {}
    kept: list[Eqn] = []
    for eqn in linear.eqns:
        eqn.inputs = substitute(eqn.inputs, env)
        key = _scalar(eqn)
        if key in known:
            env[eqn.out] = known[key]
            continue
        if key is not None:
            known[key] = eqn.out
        kept.append(eqn)
        for region in eqn.regions:
            substitute_in(region, env)
        origin = eqn.origin
        if origin is not None and origin.prim in (for_, while_, cond) and eqn.regions:
            bodies = origin.regions[-len(eqn.regions) :]
            for body, region in zip(bodies, eqn.regions, strict=True):
                reuse(body.eqns, region, known)
    linear.eqns[:] = kept
    linear.results = substitute(linear.results, env)


def _scalar(eqn: Eqn) -> Hashable | None:
    """What an equation on numbers, or a choice, computes; None of any other one."""
    if not isinstance(eqn.prim, Elementwise):
        return None
    return key_of_eqn(eqn) if not eqn.out.aval.shape or _is_choice(eqn) else None


def settle(
    primal: list[Eqn],
    linear: Sequence[Eqn],
    varying: set[Var],
    choices: bool = False,
) -> list[Eqn]:
    """Move what does not depend on `varying` to the primal equation it derives from,
    or to the last one that it reads.

    With `choices`, only what is true or false moves: it takes a byte to save, where
    what it compares may take sixteen. Returns what stays, whose outputs are added to
    `varying`.
    """
    number = {eqn: k for k, eqn in enumerate(primal)}
    made = {v: k for eqn, k in number.items() for v in eqn.outputs}
    moved: list[list[Eqn]] = [[] for _ in primal]
    stays: list[Eqn] = []
    for eqn in linear:
        origin = eqn.origin
        ours = origin is not None and origin in number
        fixed = not eqn.regions and varying.isdisjoint(eqn.uses())
        if ours and fixed and (_is_choice(eqn) or not choices):
            k = max(number[origin], 0, *(made.get(v, 0) for v in eqn.uses()))  # type: ignore[index]
            moved[k].append(eqn)
            made.update(dict.fromkeys(eqn.outputs, k))
            continue
        stays.append(eqn)
        varying.update(eqn.outputs)
        if ours and eqn.prim in (for_, cond) and origin.regions:  # type: ignore[union-attr]
            bodies = origin.regions if eqn.prim is cond else origin.regions[-1:]  # type: ignore[union-attr]
            for region, body in zip(eqn.regions, bodies, strict=True):
                varying.update(region.params[1:])
                region.eqns = settle(body.eqns, region.eqns, varying, choices)
    primal[:] = [e for eqn, k in number.items() for e in (eqn, *moved[k])]
    return stays


def _is_choice(eqn: Eqn) -> bool:
    return all(v.aval.dtype == bool for v in eqn.outputs)


def alive(eqns: Sequence[Eqn], results: Sequence[Atom]) -> list[Eqn]:
    """The equations that the results depend on, in regions too.

    Only with them gone do the free variables of a region tell what it needs.
    """
    live = {a for a in results if isinstance(a, Var)}
    kept: list[Eqn] = []
    for eqn in reversed(eqns):
        if not eqn.prim.effect and not any(v in live for v in eqn.outputs):
            continue
        for region in eqn.regions:
            region.eqns = alive(region.eqns, region.results)
        live.update(eqn.uses())
        kept.append(eqn)
    return kept[::-1]


def tapes(region: Region, wrt: Sequence[Var]) -> dict[Var, float]:
    """Bytes of tapes by the loop that they are for, which its first output names.

    These are the outermost loops; a tape whose length follows from the data counts as
    infinite. Cotangents are those of all results.
    """
    sweeps = Sweeps(Program("tapes", region), wrt, shared=False)
    results = enumerate(sweeps.region.results)
    seeds = {k: Var(r.aval) for k, r in results if r.aval.inexact}
    with building() as builder, builder.open():
        sweeps.reverse(wrt, seeds)
    found: dict[Var, float] = {}
    for thread in sweeps.supplier.threads:
        loops = [eqn for eqn, _ in thread.path if eqn.prim is not cond]
        if loops and thread.saved is not None:
            aval = thread.aval
            size = math.inf if aval.grows else aval.nbytes
            first = loops[0].outputs[0]
            found[first] = found.get(first, 0) + size
    return found


MODES["tapes"] = tapes
