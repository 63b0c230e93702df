"""Loops of independent rounds with products in them, as products of matrices.

    for k: out[k] = W2 @ tanh(W1 @ x[k] + b)      out = tanh(x @ W1.T + b) @ W2.T
    for k: J[k] = (e_k * d) @ W                   J = d[:, None] * W

Every value of a round has the rounds as its first axis then, and the loop is gone. A
round may read anything from outside, write into its own part of an array, and, where
it is derivative code, add to what is the same for all. Products in a row of their own
make a product of matrices; the seeds of a Jacobian are an identity, of which nothing
is left. Loops inside of such a loop are taken in the same way.

All stays as it is without a product that gains by it, where rounds have decisions of
their own to make, and where their values would take more memory than `MOST_BYTES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tracejit.ir.builder import building, current
from tracejit.ir.program import (
    Atom,
    Eqn,
    Literal,
    Program,
    Region,
    Var,
    reading,
    replace_region,
    substitute,
    walk,
)
from tracejit.ops.control import for_
from tracejit.ops.dead import has_effect
from tracejit.ops.elementwise import add, mul
from tracejit.ops.index import acc_slice, gather, getitem, setitem
from tracejit.ops.linalg import dot
from tracejit.ops.reduce import sum_
from tracejit.ops.shape import broadcast, iota, reshape, transpose
from tracejit.optimize.chains import permuted, rest, size_of
from tracejit.optimize.products import (
    INT,
    LEAST_SIDE,
    MOST_BYTES,
    Loop,
    Term,
    is_long,
    starts_of,
)


class CannotBatch(Exception):
    """A round does what has no form for all rounds at once."""


def batch_maps(program: Program) -> Program:
    """The Program with such loops as products of matrices."""
    with building():
        return replace_region(program, _region(program.region))


def _region(region: Region) -> Region:
    """A region without the loops that gain by it."""
    env: dict[Var, Atom] = {}
    with current().open() as eqns:
        for old in region.eqns:
            eqn = reading(old, env)
            found = _tried(eqn)
            if found is not None:
                env.update(zip(old.outputs, found, strict=True))
            else:
                eqn.regions = [_region(r) for r in eqn.regions]
                current().append(eqn)
    return Region(region.params, eqns, substitute(region.results, env))


def _tried(eqn: Eqn) -> list[Atom] | None:
    """Emit what stands for a loop, if it gains by that."""
    if not is_long(eqn) or not any(map(_of_product, walk(eqn.regions[0]))):
        return None
    try:
        with current().open() as emitted:
            rounds = _Rounds(eqn)
            results = rounds.run()
    except CannotBatch:
        return None
    if not rounds.gains or rounds.bytes > MOST_BYTES:
        return None
    current().stack[-1].extend(emitted)
    return results


def _of_product(eqn: Eqn) -> bool:
    """Whether this is a product of arrays, or of what is left of one's derivative."""
    return eqn.prim is dot or (eqn.origin is not None and eqn.origin.prim is dot)


class _Rounds:
    """All rounds of a loop: `known` has the values that differ from round to round,
    with the rounds as their first axis, and, in its body, those that do not."""

    def __init__(self, eqn: Eqn):
        if eqn.prim is not for_ or has_effect(eqn):
            raise CannotBatch
        if not all(isinstance(a, Literal) for a in eqn.inputs[:3]):
            raise CannotBatch
        self.gains, self.bytes = False, 0
        (body,) = eqn.regions
        self.eqn = replace(eqn, regions=[self.straight(body)])
        self.loop = Loop(self.eqn)
        (self.body,) = self.eqn.regions
        self.count = self.loop.trips
        self.known: dict[Atom, Any] = {}
        self.same: dict[Atom, Any] = {}

    def straight(self, body: Region) -> Region:
        """The body with its inner loops taken at once."""
        env: dict[Var, Atom] = {}
        with current().open() as eqns:
            for old in body.eqns:
                eqn = reading(old, env)
                if not eqn.regions:
                    current().append(eqn)
                    continue
                inner = _Rounds(eqn)
                env.update(zip(old.outputs, inner.run(), strict=True))
                self.gains |= inner.gains
                self.bytes += inner.bytes
        return Region(body.params, eqns, substitute(body.results, env))

    def run(self) -> list[Atom]:
        """Emit all rounds; what the slots have in the end."""
        index = self.body.params[0]
        slots = list(zip(self.body.params[1:], self.body.results, strict=True))
        inits = self.eqn.inputs[3:]
        plans = [
            self.plan(*slot, init) for slot, init in zip(slots, inits, strict=True)
        ]
        needed = {value for plan in plans for value, _ in plan}
        wanted = []
        for eqn in reversed(self.body.eqns):
            if not needed.isdisjoint(eqn.outputs):
                needed.update(eqn.uses())
                wanted.append(eqn)
        if not needed.isdisjoint(set(self.body.params[1:]) - self.same.keys()):
            raise CannotBatch
        with current().at(self.eqn.loc, self.eqn.origin):
            trips: Any = iota(size=self.count, dtype=INT)
            if self.loop.step != 1:
                trips = mul(trips, self.loop.step)
            self.known[index] = add(trips, self.loop.lo) if self.loop.lo else trips
        for eqn in reversed(wanted):
            with current().at(eqn.loc, eqn.origin):
                self.equation(eqn)
        results: list[Atom] = []
        for init, plan, (_, result) in zip(inits, plans, slots, strict=True):
            made = self.loop.defs.get(result)
            origin = made.origin if made is not None else None
            with current().at(self.eqn.loc, origin):
                for value, at in plan:
                    init = self.added(init, value, at)
            results.append(init)
        return results

    # Slots ----------------------------------------------------------------------------

    def plan(self, param: Var, result: Atom, init: Atom) -> list[Term]:
        """What all rounds write into a slot, in order, or add to it."""
        if result is param:
            return []
        writes = self.writes(param, result)
        if writes:
            self.same[param] = init  # where a round reads it, no other one writes
            return writes
        terms = self.loop.terms(param, result)
        if not terms:
            raise CannotBatch
        return terms

    def writes(self, param: Var, result: Atom) -> list[Term]:
        """The updates of a part that is each round's own."""
        found: list[Term] = []
        places: set[tuple[int, int] | None] = set()
        while result is not param:
            eqn = self.loop.defs.get(result)
            if eqn is None or eqn.prim not in (setitem, acc_slice):
                return []
            if self.loop.reads[result] != 1:
                return []
            places.add(self.place(eqn))
            found.append(Term(eqn.inputs[1], eqn))
            result = eqn.inputs[0]
        wrote = {term.at for term in found}
        readers = [e for e in self.body.eqns if param in e.inputs and e not in wrote]
        alone = all(e.prim is getitem and param is e.inputs[0] for e in readers)
        places.update(map(self.place, readers) if alone else [])
        mine = alone and len(places) == 1 and None not in places
        return found[::-1] if mine and param not in self.body.results else []

    def place(self, eqn: Eqn) -> tuple[int, int] | None:
        """The axis of an array along which every round has a part of its own, and at
        which distance from its number that is."""
        axis = self.loop.moving_axis(eqn)
        if axis is None:
            return None
        return axis, self.loop.ranges.form(starts_of(eqn)[axis]).const

    def added(self, total: Any, value: Atom, at: Eqn | None) -> Any:
        """Emit a slot with what all rounds write into it, or add to it."""
        if at is not None and not self.loop.local.isdisjoint(starts_of(at)):
            if self.loop.moving_axis(at) is None:
                raise CannotBatch
            starts, params, axis = self.loop.all_rounds(at)
            rows = self.spread(value)
            part = permuted(
                rows, [*range(1, axis + 1), 0, *range(axis + 1, rows.aval.ndim)]
            )
            update: Any = at.prim
            return update(total, part, *starts, **params)
        self.gains |= self.is_outer(value)
        change = sum_(self.spread(value), axes=(0,))
        if at is None:
            return add(total, change)
        return acc_slice(total, change, *starts_of(at), **at.params)

    def is_outer(self, value: Atom) -> bool:
        """Whether it is the outer product of two others: the sum of all is a product
        of matrices."""
        made = self.loop.defs.get(value)
        if made is None or made.prim is not mul or min(value.aval.shape, default=0) < 1:
            return False
        sides = [self.loop.defs.get(a) for a in made.inputs]
        if any(side is None or side.prim is not broadcast for side in sides):
            return False
        first, second = (set(side.params["axes"]) for side in sides if side)
        sizes = [size_of(value, tuple(axes)) for axes in (first, second)]
        apart = not first & second and len(first | second) == value.aval.ndim
        return apart and min(*sizes, int(self.count)) >= LEAST_SIDE

    # Equations ------------------------------------------------------------------------

    def spread(self, atom: Atom) -> Any:
        """The value of an atom in all rounds."""
        if atom in self.known:
            return self.known[atom]
        atom = self.same.get(atom, atom)
        shape = (self.count, *atom.aval.shape)
        return broadcast(atom, shape=shape, axes=tuple(range(1, len(shape))))

    def differs(self, atom: Atom) -> bool:
        return atom in self.known

    def equation(self, eqn: Eqn) -> None:
        """Emit an equation for all rounds."""
        if not any(map(self.differs, eqn.inputs)):
            inputs = [self.same.get(a, a) for a in eqn.inputs]
            prim: Any = eqn.prim
            found = prim(*inputs, **eqn.params)
            found = [found] if prim.single else found
            self.same.update(zip(eqn.outputs, found, strict=True))
            return
        rule = (
            _elementwise if eqn.prim.kind == "elementwise" else RULES.get(eqn.prim.name)
        )
        if rule is None:
            raise CannotBatch
        inputs = [self.same.get(a, a) for a in eqn.inputs]
        self.known[eqn.out] = rule(self, replace(eqn, inputs=inputs))


def _elementwise(r: _Rounds, eqn: Eqn) -> Any:
    prim: Any = eqn.prim
    inputs = [a if isinstance(a, Literal) else r.spread(a) for a in eqn.inputs]
    return prim(*inputs, **eqn.params)


def _further(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(k + 1 for k in axes)


def _along(r: _Rounds, eqn: Eqn) -> Any:
    """What goes along some axes, or one: reductions, scans, arrays side by side."""
    prim: Any = eqn.prim
    params = dict(eqn.params)
    if "axis" in params:
        params["axis"] += 1
    else:
        params["axes"] = _further(params["axes"])
    return prim(*map(r.spread, eqn.inputs), **params)


def _broadcast(r: _Rounds, eqn: Eqn) -> Any:
    shape = (r.count, *eqn.params["shape"])
    axes = (0, *_further(eqn.params["axes"]))
    return broadcast(r.spread(eqn.inputs[0]), shape=shape, axes=axes)


def _reshape(r: _Rounds, eqn: Eqn) -> Any:
    return reshape(r.spread(eqn.inputs[0]), shape=(r.count, *eqn.params["shape"]))


def _transpose(r: _Rounds, eqn: Eqn) -> Any:
    return transpose(r.spread(eqn.inputs[0]), perm=(0, *_further(eqn.params["perm"])))


def _dot(r: _Rounds, eqn: Eqn) -> Any:
    """Of two that differ, one a round; of one, a product of matrices."""
    (a, b), (ca, cb), batch = eqn.inputs, eqn.params["contract"], eqn.params["batch"]
    both = r.differs(a) and r.differs(b)
    if both:
        x, y = r.spread(a), r.spread(b)
        contract = _further(ca), _further(cb)
        out = dot(x, y, contract=contract, batch=batch + 1)
    else:
        left = r.differs(a)
        own, other, c_own, c_other = (a, b, ca, cb) if left else (b, a, cb, ca)
        x, ndim = r.spread(own), own.aval.ndim
        # The rounds go behind the axes that run together.
        x = permuted(x, [*range(1, batch + 1), 0, *range(batch + 1, ndim + 1)])
        c_own = _further(c_own)
        out = dot(x, other, contract=(c_own, c_other), batch=batch)
        kept = ndim - batch - len(c_own)
        order = [batch, *range(batch)]
        behind = range(batch + 1, batch + 1 + kept)
        last = range(batch + 1 + kept, out.aval.ndim)
        out = permuted(
            out, [*order, *behind, *last] if left else [*order, *last, *behind]
        )
        free = tuple(k for k in rest(other, c_other) if k >= batch)
        sides = size_of(other, free), size_of(other, c_other), int(r.count)
        r.gains |= not batch and min(sides) >= LEAST_SIDE
    r.bytes += out.aval.nbytes + sum(
        r.spread(v).aval.nbytes for v in (a, b) if r.differs(v)
    )
    return out


def _getitem(r: _Rounds, eqn: Eqn) -> Any:
    x, *starts = eqn.inputs
    sizes, steps = eqn.params["sizes"], eqn.params["steps"]
    if r.differs(x):
        if any(map(r.differs, starts)):
            raise CannotBatch
        whole = {"sizes": (r.count, *sizes), "steps": (1, *steps)}
        return getitem(r.spread(x), 0, *starts, **whole)
    if r.loop.moving_axis(eqn) is not None:
        starts, params, axis = r.loop.all_rounds(eqn)
        rows = getitem(x, *starts, **params)
        others = [k for k in range(rows.aval.ndim) if k != axis]
        return permuted(rows, [axis, *others])
    if any(size is not None for size in sizes):
        raise CannotBatch
    return gather(x, *map(r.spread, starts), axes=tuple(range(len(starts))))


def _update(r: _Rounds, eqn: Eqn) -> Any:
    x, v, *starts = eqn.inputs
    if any(map(r.differs, starts)):
        raise CannotBatch
    update: Any = eqn.prim
    sizes, steps = (r.count, *eqn.params["sizes"]), (1, *eqn.params["steps"])
    return update(r.spread(x), r.spread(v), 0, *starts, sizes=sizes, steps=steps)


def _gather(r: _Rounds, eqn: Eqn) -> Any:
    x, *places = eqn.inputs
    axes = eqn.params["axes"]
    if not r.differs(x):
        return gather(x, *map(r.spread, places), axes=axes)
    if any(map(r.differs, places)):
        raise CannotBatch
    out = gather(r.spread(x), *places, axes=_further(axes))
    ndim = places[0].aval.ndim
    return permuted(out, [ndim, *range(ndim), *range(ndim + 1, out.aval.ndim)])


def _solve(r: _Rounds, eqn: Eqn) -> Any:
    """Right-hand sides of one matrix, side by side."""
    *matrices, b = eqn.inputs
    if any(map(r.differs, matrices)) or b.aval.ndim != 2:
        raise CannotBatch
    n, m = b.aval.shape
    sides = reshape(transpose(r.spread(b), perm=(1, 0, 2)), shape=(n, r.count * m))
    solve: Any = eqn.prim
    out = reshape(solve(*matrices, sides, **eqn.params), shape=(n, r.count, m))
    r.gains |= int(n) >= LEAST_SIDE
    return transpose(out, perm=(1, 0, 2))


RULES: dict[str, Callable[[_Rounds, Eqn], Any]] = {
    **dict.fromkeys(("sum", "prod", "max", "min", "any", "all", "flip"), _along),
    **dict.fromkeys(("argmax", "argmin", "cumsum", "cumprod", "concatenate"), _along),
    "broadcast": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "dot": _dot,
    "getitem": _getitem,
    "setitem": _update,
    "acc_slice": _update,
    "gather": _gather,
    "solve_triangular": _solve,
    "lu_solve": _solve,
}
