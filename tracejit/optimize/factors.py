"""Derivative code multiplies arrays by numbers once: `(a * x) * b` is `(a * b) * x`.

    v = x / r                      of a force m * d / (r * r), say
    w = c * (1 / r)                W = c * d
    sum(w * d)                     sum(W) * (1 / r)

An array of a few numbers that is divided by one, as a direction by a distance, has a
derivative in which that number and its reciprocal multiply every element several times
over. Here what is the same for all elements is kept apart, as a number, until the
array is needed, and sums come before it. So they do in `(a * x) * (c / sqrt(x))`,
which is `a * (c * sqrt(x))`.

Products are not rounded alike in another order, so only equations that have an origin
are changed, as in `reciprocals`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tracejit.ir.builder import Builder, building
from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var, replace_region
from tracejit.ops.dead import eliminate_dead
from tracejit.ops.elementwise import div, mul, neg, sqrt, unless_zero
from tracejit.ops.reduce import sum_
from tracejit.ops.shape import broadcast


@dataclass(frozen=True)
class Scaled:
    """`number * array`, or 0 where `guard` is 0; without an array, ones.

    `times` is how many products with numbers were made for it.
    """

    number: Atom
    array: Atom | None = None
    guard: Atom | None = None
    times: int = 0


def take_out_factors(program: Program) -> Program:
    """The Program with such products of derived code rearranged."""
    with building() as builder:
        region = Factors(builder).region(program.region)
    return eliminate_dead(replace_region(program, region))


class Factors:
    """One walk: `scaled` is what arrays are, `made` who makes what, `known` what stands
    for what was replaced, and `own` what the region at hand computes."""

    def __init__(self, builder: Builder):
        self.builder = builder
        self.scaled: dict[Var, Scaled] = {}
        self.made: dict[Var, Eqn] = {}
        self.known: dict[Var, Atom] = {}
        self.own: set[Var] = set()
        #: By `(a * x) * (c / sqrt(x))`: its first factor, and a.
        self.roots: dict[Atom, tuple[Atom, Atom]] = {}

    def region(self, region: Region) -> Region:
        around = self.known, self.own
        self.known, self.own = dict(self.known), set()
        with self.builder.open() as eqns:
            for eqn in region.eqns:
                first = len(eqns)
                with self.builder.at(eqn.loc, eqn.origin):
                    self.equation(eqn)
                for new in eqns[first:]:
                    self.made.update(dict.fromkeys(new.outputs, new))
            results = [self.whole(a) for a in region.results]
        self.known, self.own = around
        return Region(region.params, eqns, results)

    def equation(self, eqn: Eqn) -> None:
        """An equation, and what it is known to compute; dead ones go later."""
        if eqn.prim is broadcast and not eqn.inputs[0].aval.shape:
            self.scaled[eqn.out] = Scaled(self.whole(eqn.inputs[0]))
        elif eqn.prim.name in RULES and eqn.origin is not None and _is_double(eqn.out):
            found = RULES[eqn.prim.name](self, eqn)
            if isinstance(found, Scaled):
                self.scaled[eqn.out] = found
            elif found is not None:
                self.known[eqn.out] = found
        of_parts = eqn.prim.single and eqn.out in self.scaled
        inputs = eqn.inputs if of_parts else [self.whole(a) for a in eqn.inputs]
        regions = [self.region(r) for r in eqn.regions]
        new = replace(eqn, inputs=inputs, regions=regions)
        self.own.update(eqn.outputs)
        self.builder.append(new)

    def whole(self, atom: Atom) -> Atom:
        """What stands for an atom; an array of parts where that takes less."""
        if not isinstance(atom, Var) or atom in self.known:
            return self.known.get(atom, atom)  # type: ignore[arg-type]
        form = self.scaled.get(atom)
        least = 1 if form is None or form.array is None else 2
        if form is None or form.times < least or atom not in self.own:
            return atom
        out = spread(form.number, atom)
        if form.array is not None:
            out = mul(out, form.array)
        if form.guard is not None:
            out = unless_zero(form.guard, out)
        self.known[atom] = out
        return out

    def form(self, atom: Atom) -> Scaled | None:
        return Scaled(atom) if isinstance(atom, Literal) else self.scaled.get(atom)

    # What equations make of such arrays -----------------------------------------------

    def product(self, eqn: Eqn) -> Scaled | Atom | None:
        x, y = map(self.form, eqn.inputs)
        if not eqn.out.aval.shape or (x is None and y is None):
            return self.root(eqn, *eqn.inputs) or self.root(eqn, *eqn.inputs[::-1])
        a, b = (
            form.array if form else self.whole(atom)
            for form, atom in zip((x, y), eqn.inputs, strict=True)
        )
        forms = [f for f in (x, y) if f]
        guards = dict.fromkeys(f.guard for f in forms if f.guard is not None)
        if len(guards) > 1:
            return None
        numbers = [f.number for f in forms]
        number = numbers[0] if len(numbers) == 1 else mul(*numbers)
        array = mul(a, b) if a is not None and b is not None else a or b
        times = sum(f.times for f in forms) + (a is None or b is None)
        return Scaled(number, array, next(iter(guards), None), times)

    def root(self, eqn: Eqn, product: Atom, slope: Atom) -> Atom | None:
        """`(a * x) * (c / sqrt(x))`"""
        made = self.made.get(product), self.made.get(slope)  # type: ignore[arg-type]
        if made[0] is None or made[0].prim is not mul:
            return None
        if made[1] is None or made[1].prim is not div:
            return None
        c, y = made[1].inputs
        below = self.made.get(y)  # type: ignore[arg-type]
        if below is None or below.prim is not sqrt:
            return None
        for a, x in (made[0].inputs, made[0].inputs[::-1]):
            if x is below.inputs[0]:
                self.roots[eqn.out] = product, a
                return mul(a, mul(c, y))
        return None

    def quotient(self, eqn: Eqn) -> Scaled | None:
        x, y = map(self.form, eqn.inputs)
        if y is None or y.array is not None or y.guard is not None:
            return None
        number = div(Literal(1.0, eqn.out.aval.dtype), y.number)
        if x is None:
            return Scaled(number, self.whole(eqn.inputs[0]), None, y.times + 1)
        times = x.times + y.times + 1
        return Scaled(mul(x.number, number), x.array, x.guard, times)

    def negative(self, eqn: Eqn) -> Scaled | None:
        x = self.form(eqn.inputs[0])
        return x and replace(x, number=neg(x.number))

    def guarded(self, eqn: Eqn) -> Scaled | Atom | None:
        guard, x = eqn.inputs
        product, a = self.roots.get(x, (None, None))
        if product is guard and a is not None:
            return unless_zero(a, self.whole(x))  # where x is 0, so is its root
        form, guard = self.form(x), self.whole(guard)
        if form is None or form.array is None or form.guard not in (None, guard):
            return None
        return replace(form, guard=guard)

    def total(self, eqn: Eqn) -> Atom | None:
        (x,), axes = eqn.inputs, eqn.params["axes"]
        form = self.form(x)
        if form is None or form.array is None:
            return None
        array = form.array
        if form.guard is not None and not self.is_tame(array):
            array = unless_zero(form.guard, array)
        total = sum_(array, axes=axes)
        out = mul(spread(form.number, total), total)
        return out if form.guard is None else unless_zero(total, out)

    def is_tame(self, atom: Atom) -> bool:
        """Whether an array is made of what is read by sums and products alone."""
        made = self.made.get(atom)  # type: ignore[arg-type]
        return made is None or (
            made.prim.name in TAME and all(map(self.is_tame, made.inputs))
        )


def spread(number: Atom, like: Atom) -> Atom:
    """A number at every element of an array of the shape of another one."""
    shape = tuple(like.aval.shape)
    if not shape or isinstance(number, Literal):
        return number
    return broadcast(number, shape=shape, axes=())


def _is_double(var: Var) -> bool:
    """In single precision, numbers are so small soon that products of them are 0."""
    return var.aval.dtype == np.float64


RULES: dict[str, Callable[[Factors, Eqn], Scaled | Atom | None]] = {
    "mul": Factors.product,
    "div": Factors.quotient,
    "neg": Factors.negative,
    "unless_zero": Factors.guarded,
    "sum": Factors.total,
}
#: What makes no infinite number of finite ones, but the largest.
TAME = {"getitem", "gather", "broadcast", "reshape", "transpose", "add", "sub", "mul"}
TAME |= {"neg", "sum", "unless_zero"}

__all__ = ["take_out_factors"]
