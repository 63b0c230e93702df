"""What depends on gathered rows alone, computed before they are gathered.

    f(table[k]) with many k                  f(table)[k]

Each row is worked on once, however often it is gathered, and the adjoint adds up what
comes back to `f(table)` before it goes on to `table`. Rows that nobody gathers take no
part: in place of their numbers, which may be anything, `f` gets ones, so that nothing
undefined comes back from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.builder import bind, building
from tracejit.ir.primitive import zeros
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
)
from tracejit.ops.elementwise import select
from tracejit.ops.index import gather, scatter_set
from tracejit.ops.shape import broadcast

#: So many times as many rows must be gathered as there are.
OFTEN = 2
#: What must be saved for each row gathered; a number loaded counts 1.
LEAST = 12.0
#: Up to this cost a value is computed anew from others that are gathered anyway.
TRIFLE = 1.0
#: A product of two numbers, added up.
TERM = 0.5


def work_on_rows(program: Program) -> Program:
    """The Program with work on gathered rows done before they are gathered."""
    return replace_region(program, _region(program.region))


def _region(region: Region) -> Region:
    eqns = [
        replace(e, regions=[_region(r) for r in e.regions]) if e.regions else e
        for e in region.eqns
    ]
    region = Region(region.params, eqns, region.results)
    for index in _indices(region):
        rows = _Rows.of(region, index)
        if rows.worth_it():
            region = rows.rewritten()
    return region


def _indices(region: Region) -> list[Atom]:
    """What rows are gathered by, some of them several times."""
    found: dict[Atom, None] = {}
    for eqn in region.eqns:
        if _gathers_rows(eqn):
            found[eqn.inputs[1]] = None
    return list(found)


def _gathers_rows(eqn: Eqn) -> bool:
    if eqn.prim is not gather or eqn.params["axes"] != (0,):
        return False
    x, index = eqn.inputs
    many = index.aval.ndim == 1 and index.aval.size >= OFTEN * x.aval.shape[0] > 0
    return many and x.aval.dtype.kind == "f"


# Which equations keep rows apart ------------------------------------------------------


def _same_rows(eqn: Eqn) -> bool:
    """Whether row k of the result depends on row k of the operands alone."""
    name, params = eqn.prim.name, eqn.params
    if eqn.prim.kind == "elementwise":
        return True
    if name == "getitem":
        first, size, step = eqn.inputs[1], params["sizes"][0], params["steps"][0]
        whole = size is not None and int(size) == int(eqn.inputs[0].aval.shape[0])
        return whole and step == 1 and isinstance(first, Literal) and first.value == 0
    if name == "broadcast":
        return bool(params["axes"]) and params["axes"][0] == 0
    if name == "reshape":
        (x,) = eqn.inputs
        return bool(eqn.out.aval.shape) and x.aval.shape[0] == eqn.out.aval.shape[0]
    if name in ("sum", "prod", "max", "min"):
        return 0 not in params["axes"]
    if name == "transpose":
        return bool(params["perm"][0] == 0)
    if name == "flip":
        return 0 not in params["axes"]
    return name == "concatenate" and params["axis"] != 0


#: Params that hold the extent of the rows' axis, first.
_SHAPED = ("shape", "sizes")


def _cost(eqn: Eqn) -> float:
    """What an element takes."""
    if eqn.prim.kind == "elementwise":
        return eqn.prim.cost if eqn.prim.cost > 1 else 0.5
    if eqn.prim.name in ("sum", "prod", "max", "min"):
        (x,) = eqn.inputs
        return TERM * x.aval.size / max(eqn.out.aval.size, 1)
    return 0.0


@dataclass
class _Rows:
    """The work that depends on the rows gathered by `index`, and on what all share.

    `own` are the equations of that work, with the gathers; `shared` broadcast something
    else along the rows. `edge` is what other equations read of it.
    """

    region: Region
    index: Atom
    count: int = 0
    own: dict[Var, Eqn] = field(default_factory=dict)
    shared: dict[Var, Eqn] = field(default_factory=dict)
    edge: dict[Var, None] = field(default_factory=dict)
    kept: set[Var] = field(default_factory=set)

    @classmethod
    def of(cls, region: Region, index: Atom) -> _Rows:
        rows = cls(region, index)
        for eqn in region.eqns:
            rows.take(eqn)
        rows.find_edge()
        return rows

    def take(self, eqn: Eqn) -> None:
        """Note an equation if it is of this work."""
        if _gathers_rows(eqn) and eqn.inputs[1] is self.index:
            count = eqn.inputs[0].aval.shape[0]
            if not self.own or count == self.count:
                self.count = count
                self.own[eqn.out] = eqn
        elif not self.own or eqn.regions or not eqn.prim.single:
            return
        elif eqn.prim is broadcast and 0 not in eqn.params["axes"]:
            if eqn.out.aval.shape and eqn.out.aval.shape[0] == self.index.aval.shape[0]:
                self.shared[eqn.out] = eqn
        elif any(a in self.own for a in eqn.inputs):
            if all(map(self.fits, eqn.inputs)) and _same_rows(eqn):
                self.own[eqn.out] = eqn

    def fits(self, atom: Atom) -> bool:
        return not atom.aval.shape or atom in self.own or atom in self.shared

    def find_edge(self) -> None:
        """What others read; not what they may as well compute from the rest of that."""
        while True:
            read = {v for e in self.region.eqns if not self.moves(e) for v in e.uses()}
            read |= {r for r in self.region.results if isinstance(r, Var)}
            read &= self.own.keys() - self.kept
            self.edge = {v: None for v in self.own if v in read}
            trifles = {v for v in self.edge if self.is_trifle(v)}
            if not trifles:
                return
            self.kept |= trifles

    def moves(self, eqn: Eqn) -> bool:
        """Whether nobody needs what an equation computes, other than on all rows."""
        return any(v in self.own and v not in self.kept for v in eqn.outputs)

    def is_trifle(self, var: Var) -> bool:
        eqn = self.own[var]
        if eqn.prim.name in ("broadcast", "reshape", "transpose", "flip"):
            return True  # no fewer numbers than it is made of
        view = eqn.prim.name == "getitem"
        cheap = eqn.prim.kind == "elementwise" and _cost(eqn) <= TRIFLE
        there = self.edge.keys() | self.kept
        return (view or cheap) and all(a in there for a in eqn.inputs if a in self.own)

    def needed(self) -> dict[Var, Eqn]:
        """The equations that lead to the edge."""
        found: dict[Var, Eqn] = {}
        wanted = set(self.edge)
        for var, eqn in reversed(self.own.items()):
            if var in wanted:
                found[var] = eqn
                wanted.update(a for a in eqn.inputs if isinstance(a, Var))
        return dict(reversed(found.items()))

    def worth_it(self) -> bool:
        many = int(self.index.aval.size)
        if not self.edge or many < OFTEN * int(self.count):
            return False
        needed = self.needed()
        work = sum(_cost(e) * e.out.aval.size for e in needed.values()) / many
        gathers = [v for v, e in needed.items() if e.prim is gather]
        loads = sum(v.aval.size for v in self.edge) / many
        before = sum(v.aval.size for v in gathers) / many
        work *= 1.0 - int(self.count) / many
        return work - max(loads - before, 0) >= LEAST

    # Code -----------------------------------------------------------------------------

    def rewritten(self) -> Region:
        """The region with the work done on all rows, and its edge gathered."""
        needed = self.needed()
        env: dict[Var, Atom] = {}
        twins: dict[Atom, Atom] = {}
        eqns: list[Eqn] = []
        used: Atom | None = None
        for eqn in self.region.eqns:
            if not self.moves(eqn):
                eqns.append(reading(eqn, env))
            if not any(v in needed for v in eqn.outputs):
                continue
            with building() as builder, builder.open() as made:
                builder.loc, builder.origin = eqn.loc, eqn.origin
                if eqn.prim is gather:
                    used = self.used() if used is None else used
                    new = _safe(substitute(eqn.inputs[:1], env)[0], used)
                else:
                    new = self.twin(eqn, twins, env)
                if isinstance(new, Var):
                    new.hint = eqn.out.hint
                twins[eqn.out] = new
                if eqn.out in self.edge:
                    env[eqn.out] = gather(new, self.index, axes=(0,))
            eqns += made
        return Region(self.region.params, eqns, substitute(self.region.results, env))

    def used(self) -> Atom:
        """Which rows are gathered."""
        flag = np.dtype(bool)
        none = zeros(Aval(flag, (self.count,)))
        true = broadcast(Literal(True, flag), shape=self.index.aval.shape, axes=())
        return scatter_set(none, true, self.index, axes=(0,))

    def twin(self, eqn: Eqn, twins: dict[Atom, Atom], env: dict[Var, Atom]) -> Atom:
        """The same work on all rows."""
        inputs: list[Atom] = []
        for atom in eqn.inputs:
            spread = self.shared.get(atom) if isinstance(atom, Var) else None
            if spread is not None and atom not in twins:
                shape = (self.count, *atom.aval.shape[1:])
                x = substitute(spread.inputs, env)
                twins[atom] = broadcast(*x, shape=shape, axes=spread.params["axes"])
            (here,) = substitute([atom], env)
            inputs.append(twins.get(atom, here))
        params = dict(eqn.params)
        for name in _SHAPED:
            if name in params and eqn.prim.kind != "elementwise":
                params[name] = (self.count, *params[name][1:])
        new: Atom = bind(eqn.prim, *inputs, **params)
        return new


def _safe(x: Atom, used: Atom) -> Atom:
    """The rows that are used, and ones."""
    mask = broadcast(used, shape=x.aval.shape, axes=(0,))
    ones = broadcast(Literal(1.0, x.aval.dtype), shape=x.aval.shape, axes=())
    rows: Atom = select(mask, x, ones)
    return rows


__all__ = ["work_on_rows"]
