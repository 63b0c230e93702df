"""Products of all rounds of a loop at once, before it or behind it.

    for t: y = dot(M, x[t])        P = dot(x, M); for t: y = P[t]
    for t: A += dot(a, b)          for t: S[t], T[t] = a, b
                                   A += dot(S, T), contracted over t as well
    for t: X[t] += dot(M, a)       for t: S[t] = a
                                   X += dot(S, M)

The gradient of a matrix that every round multiplies by is a sum of outer products. Each
of them reads and writes the whole matrix, where two rows would do; and one product of
matrices takes less time than many of a matrix and a row. Rows that are read from an
array at the loop's index need not be stored. Sums are moved in derivative code, where
they may be formed in any order. All stays as it is where rows would take more memory
than `MOST_BYTES`, or products are too small for that to pay.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from tracejit.ir.builder import building, current
from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var, replace_region
from tracejit.ir.ranges import Ranges
from tracejit.ops import elementwise as ew
from tracejit.ops.control import for_, trip_range
from tracejit.ops.index import acc_slice, getitem, setitem
from tracejit.ops.linalg import dot
from tracejit.ops.shape import empty, reshape, transpose
from tracejit.optimize.hoist import is_safe, runs

INT = np.dtype(np.int64)

#: What costs nothing: it is read through.
VIEWS = (getitem, reshape, transpose)

#: Rows that are stored for one sum take at most this many bytes.
MOST_BYTES = 1 << 26

#: A product pays if it has this many times the elements of the rows stored for it,
LEAST_GAIN = 3
#: no side shorter than this: up to it, products are unrolled and kept in registers,
LEAST_SIDE = 9
#: no more terms in each of its sums: longer ones gain nothing by being one,
MOST_TERMS = 32
#: and is formed in at least this many rounds.
LEAST_ROUNDS = 8


def gather_products(program: Program) -> Program:
    """The Program with such products before and behind their loops."""
    with building():
        return replace_region(program, _region(program.region))


def _region(region: Region) -> Region:
    with current().open() as eqns:
        for eqn in region.eqns:
            if eqn.regions:
                eqn = replace(eqn, regions=[_region(r) for r in eqn.regions])
            if not is_long(eqn) or not Loop(eqn).rewritten():
                current().append(eqn)
    return Region(region.params, eqns, region.results)


def is_long(eqn: Eqn) -> bool:
    """Whether this is a `for` that is known to make enough rounds."""
    bounds = [a.value for a in eqn.inputs[:3] if isinstance(a, Literal)]
    counted = eqn.prim is for_ and len(bounds) == 3
    return counted and len(trip_range(*bounds)) >= LEAST_ROUNDS


class Term(NamedTuple):
    """What a round adds to a slot, or (`at`, an `acc_slice`) to a part of it."""

    value: Any
    at: Eqn | None = None


class Loop:
    """A loop with known bounds whose products are looked for."""

    def __init__(self, eqn: Eqn):
        self.eqn = eqn
        (self.body,) = eqn.regions
        bounds: Any = eqn.inputs[:3]
        self.lo, hi, self.step = (b.value for b in bounds)
        trips = len(trip_range(self.lo, hi, self.step))
        # An extent keeps its name through a subtraction.
        self.trips = hi - self.lo if self.step == 1 else trips
        self.local = set(self.body.params)
        self.reads: Counter[Any] = Counter(self.body.results)
        self.defs: dict[Any, Eqn] = {}
        self.ranges = Ranges(self.defs)
        #: Views of what is outside: they go before a loop that is rewritten.
        self.outside: list[Eqn] = []
        for inner in self.body.eqns:
            known = inner.prim in VIEWS and self.local.isdisjoint(inner.inputs)
            if known and is_safe(inner, runs(eqn), self.ranges):
                self.outside.append(inner)
            else:
                self.local.update(inner.outputs)
            self.defs.update((v, inner) for v in inner.outputs)
            self.reads.update(inner.uses())
        #: The rows of each value that is stored, when the loop has run.
        self.rows: dict[Any, Var] = {}

    def rewritten(self) -> bool:
        """Emit the loop with its products beside it, if it has any that pay."""
        before = [eqn for eqn in self.body.eqns if self.known_before(eqn)]
        sums: dict[int, list[Term]] = {}
        for k, param in enumerate(self.body.params[1:]):
            terms = self.terms(param, self.body.results[k])
            if any(map(self.pays, terms)):
                sums[k] = terms
        if not before and not sums:
            return False
        current().stack[-1].extend(self.outside)
        table = {eqn: self.table(eqn) for eqn in before}
        outputs, results = list(self.eqn.outputs), list(self.body.results)
        with current().open() as body:
            for eqn in self.body.eqns:
                if eqn not in self.outside:
                    self.equation(eqn, table)
            for k, terms in sums.items():
                outputs[k] = Var(outputs[k].aval, outputs[k].hint)
                rest = [t for t in terms if not self.pays(t)]
                with current().at(self.eqn.loc, self.eqn.origin):
                    results[k] = self.added(self.body.params[1 + k], rest)
        behind = {k: [t for t in sums[k] if self.pays(t)] for k in sums}
        self.emit(body, outputs, results, [t for k in behind for t in behind[k]])
        for k, terms in behind.items():
            self.sum(outputs[k], terms, self.eqn.outputs[k])
        return True

    # Which ----------------------------------------------------------------------------

    def known_before(self, eqn: Eqn) -> bool:
        """Whether this is a product of a matrix and of rows of another one."""
        if not self.turns_matrix(eqn):
            return False
        return any(self.read(a) is not None for a in eqn.inputs)

    def turns_matrix(self, eqn: Eqn | None) -> bool:
        """Whether this is a product of a row with a matrix from outside that pays."""
        if eqn is None or eqn.prim is not dot or eqn.params["batch"]:
            return False
        row, matrix = self.row_and_matrix(eqn)
        return (
            row in self.local
            and matrix not in self.local
            and (row.aval.ndim, matrix.aval.ndim, eqn.out.aval.ndim) == (1, 2, 1)
            and min(matrix.aval.shape) >= LEAST_SIDE
            and max(row.aval.nbytes, eqn.out.aval.nbytes) * self.trips <= MOST_BYTES
        )

    def row_and_matrix(self, eqn: Eqn) -> tuple[Any, Any]:
        a, b = eqn.inputs
        return (a, b) if a.aval.ndim <= b.aval.ndim else (b, a)

    def terms(self, param: Var, result: Atom) -> list[Term]:
        """What a slot has added to it, if nothing else happens to it."""
        terms = self.summands(result)
        if self.reads[param] != 1 or Term(param) not in terms:
            return []
        terms.remove(Term(param))
        return terms

    def summands(self, atom: Any) -> list[Term]:
        """The terms of a sum that derivatives have formed and nothing else reads."""
        eqn = self.defs.get(atom)
        if eqn is None or eqn.origin is None or self.reads[atom] != 1:
            return [Term(atom)]
        if eqn.prim is ew.add:
            return [term for a in eqn.inputs for term in self.summands(a)]
        if eqn.prim is acc_slice:
            added = self.summands(eqn.inputs[1])
            if all(term.at is None for term in added):
                parts = [Term(term.value, eqn) for term in added]
                return [*self.summands(eqn.inputs[0]), *parts]
        return [Term(atom)]

    def pays(self, term: Term) -> bool:
        """Whether a term is a product that is better taken behind the loop."""
        eqn = self.defs.get(term.value)
        if eqn is None or eqn.prim is not dot or self.reads[term.value] != 1:
            return False
        if term.at is not None and not self.local.isdisjoint(starts_of(term.at)):
            return self.moving_axis(term.at) is not None and self.turns_matrix(eqn)
        if eqn.params["batch"] or not self.local.issuperset(eqn.inputs):
            return False
        stored = [a for a in eqn.inputs if self.read(a) is None]
        a, contract = eqn.inputs[0].aval, eqn.params["contract"][0]
        terms = math.prod(a.shape[k] for k in contract)
        side = a.size // max(terms, 1)
        return (
            terms <= MOST_TERMS
            and min(side, eqn.out.aval.size // max(side, 1)) >= LEAST_SIDE
            and eqn.out.aval.size >= LEAST_GAIN * sum(a.aval.size for a in stored)
            and sum(a.aval.nbytes for a in stored) * self.trips <= MOST_BYTES
        )

    def read(self, atom: Any) -> tuple[Eqn, int] | None:
        """Where a value is a row of an array, one a round: the reading, the axis."""
        eqn = self.defs.get(atom)
        if eqn is None or eqn.prim is not getitem or eqn.inputs[0] in self.local:
            return None
        axis = self.moving_axis(eqn)
        return None if axis is None else (eqn, axis)

    def moving_axis(self, eqn: Eqn) -> int | None:
        """The axis along which a part is one further in each round, if just that.

        All rounds are known to be inside of the array: a check may come before.
        """
        starts, sizes = starts_of(eqn), eqn.params["sizes"]
        moving = [k for k, start in enumerate(starts) if start in self.local]
        if len(moving) != 1 or sizes[moving[0]] is not None:
            return None
        (axis,) = moving
        start = self.ranges.form(starts[axis])
        first = self.lo + start.const
        ends = first, first + (self.trips - 1) * self.step
        inside = all(0 <= end < eqn.inputs[0].aval.shape[axis] for end in ends)
        return axis if inside and start.terms == {self.body.params[0]: 1} else None

    # How ------------------------------------------------------------------------------

    def table(self, eqn: Eqn) -> Any:
        """Emit, before the loop, the products of all rounds."""
        with current().at(eqn.loc, eqn.origin):
            return self.products(eqn)

    def products(self, eqn: Eqn) -> Any:
        """Emit the products of a matrix with all rows, as rows."""
        row, matrix = self.row_and_matrix(eqn)
        contracted = eqn.params["contract"][eqn.inputs.index(matrix)]
        rows = self.matrix(row, ())
        return dot(rows, matrix, contract=((1,), contracted), batch=0)

    def equation(self, eqn: Eqn, table: dict[Eqn, Any]) -> None:
        """Emit an equation of the body, or the reading of what is known before."""
        if eqn not in table:
            current().append(eqn)
            return
        with current().at(eqn.loc, eqn.origin):
            starts, sizes = [self.row(), 0], (None, *eqn.out.aval.shape)
            getitem(table[eqn], *starts, sizes=sizes, steps=(1, 1))
        current().stack[-1][-1].outputs = eqn.outputs

    def added(self, total: Any, terms: Sequence[Term]) -> Any:
        """Emit what is added to a slot."""
        for at, group in groupby(terms, attrgetter("at")):
            part = functools.reduce(ew.add, [term.value for term in group])
            if at is None:
                total = ew.add(total, part)
            else:
                total = acc_slice(total, part, *starts_of(at), **at.params)
        return total

    def emit(
        self,
        body: list[Eqn],
        outputs: list[Var],
        results: list[Any],
        terms: Sequence[Term],
    ) -> None:
        """Emit the loop, which stores the rows that the terms need."""
        inits, params = list(self.eqn.inputs), list(self.body.params)
        products = [self.defs[term.value] for term in terms]
        operands = [a for eqn in products for a in eqn.inputs if a in self.local]
        for atom in dict.fromkeys(operands):
            if self.read(atom) is not None:
                continue
            aval = atom.aval.update(shape=(self.trips, *atom.aval.shape))
            hint = getattr(atom, "hint", "")
            rows, out = (Var(aval, f"{hint}_rows" if hint else "rows") for _ in "12")
            inits.append(empty(shape=aval.shape, dtype=aval.dtype))
            with current().open() as writes:
                starts = [self.row(), *([0] * atom.aval.ndim)]
                sizes = (None, *atom.aval.shape)
                steps = (1,) * len(sizes)
                results.append(setitem(rows, atom, *starts, sizes=sizes, steps=steps))
            body += writes
            params.append(rows)
            outputs.append(out)
            self.rows[atom] = out
        region = Region(params, body, results)
        new = replace(self.eqn, inputs=inits, outputs=outputs, regions=[region])
        current().append(new)

    def row(self) -> Any:
        """The number of the round, counted from the loop's first bound."""
        index: Any = self.body.params[0]
        distance = index - Literal(self.lo, INT) if self.lo else index
        if self.step in (1, -1):
            return distance if self.step == 1 else -distance
        return REGISTRY["floor_divide"](distance, Literal(self.step, INT))

    def sum(self, total: Any, terms: Sequence[Term], out: Var) -> None:
        """Emit a slot's sum: what the loop leaves of it, and the products."""
        for term in terms:
            eqn = self.defs[term.value]
            with current().at(eqn.loc, eqn.origin):
                if term.at is None or self.moving_axis(term.at) is None:
                    total = self.added(total, [Term(self.product(eqn), term.at)])
                else:
                    total = self.add_products(total, eqn, term.at)
        current().stack[-1][-1].outputs = [out]

    def product(self, eqn: Eqn) -> Any:
        """Emit a product that is contracted over the rounds, too."""
        sides = zip(eqn.inputs, eqn.params["contract"], strict=True)
        a, b = (self.matrix(atom, axes) for atom, axes in sides)
        out = dot(a, b, contract=((0,), (0,)), batch=0)
        return _reshaped(out, eqn.out.aval.shape)

    def add_products(self, total: Any, eqn: Eqn, at: Eqn) -> Any:
        """Emit the products of all rounds, each added to its part of an array."""
        part = self.products(eqn)
        starts, params, axis = self.all_rounds(at)
        if axis:
            part = transpose(part, perm=(1, 0))
        return acc_slice(total, part, *starts, **params)

    def matrix(self, atom: Any, contract: tuple[int, ...]) -> Any:
        """An operand in all rounds: a row for each of the terms, of all rounds."""
        rows, axis = self.rows.get(atom), 0
        if rows is None:
            eqn, _ = self.read(atom)  # type: ignore[misc]
            starts, params, axis = self.all_rounds(eqn)
            rows = getitem(eqn.inputs[0], *starts, **params)
        others = [k for k in range(rows.aval.ndim) if k != axis]
        first = [others[k] for k in contract]
        perm = (axis, *first, *(k for k in others if k not in first))
        if perm != tuple(range(len(perm))):
            rows = transpose(rows, perm=perm)
        shape, split = rows.aval.shape, 1 + len(contract)
        return _reshaped(rows, (_size(shape[:split]), _size(shape[split:])))

    def all_rounds(self, eqn: Eqn) -> tuple[list[Any], dict[str, Any], int]:
        """A part of every round as one: its place, and the rounds' axis in it."""
        axis: Any = self.moving_axis(eqn)
        starts = list(starts_of(eqn))
        sizes, steps = (list(eqn.params[name]) for name in ("sizes", "steps"))
        start = self.ranges.form(starts[axis])
        starts[axis] = Literal(self.lo + start.const, INT)
        along = sum(n is not None for n in sizes[:axis])
        sizes[axis], steps[axis] = self.trips, self.step
        return starts, {"sizes": tuple(sizes), "steps": tuple(steps)}, along


def starts_of(eqn: Eqn) -> list[Any]:
    return eqn.inputs[1:] if eqn.prim is getitem else eqn.inputs[2:]


def _size(shape: tuple[int, ...]) -> int:
    """The product of extents, named as the one is if there is only one."""
    return functools.reduce(operator.mul, shape)


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    return x if x.aval.shape == shape else reshape(x, shape=shape)
