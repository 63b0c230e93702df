"""Loops over steps in loops over elements: a few lanes at a time go through all steps.

    for t in range(n):              for i in range(0, len(x), 128):
        x = x + h * f(x)                b = x[i : i + 128]
                                        for t in range(n): b = b + h * f(b)
                                        y[i : i + 128] = b

What is carried, and what a loop saves for its adjoint if that runs through the same
lanes, then stays in the cache. Loops, and what is computed of their arrays before and
after them, go into one loop over blocks as long as lanes do not meet (see `lanes`). The
last block is moved to where it is whole: some lanes are then computed twice, and their
share of a sum is left out the second time. No value changes, but for the order in which
sums are formed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval, Extent, expr_of
from tracejit.ir.builder import building, current
from tracejit.ir.primitive import Elementwise, zeros
from tracejit.ir.program import (
    Atom,
    Eqn,
    Literal,
    Program,
    Region,
    Var,
    clone_eqn,
    replace_region,
    substitute,
    walk,
)
from tracejit.ops import elementwise as ew
from tracejit.ops.control import cond, emit_for, for_
from tracejit.ops.index import getitem, setitem
from tracejit.ops.shape import broadcast, empty, iota, reshape
from tracejit.optimize.lanes import Lanes

INT = np.dtype(np.int64)
#: The elements of a block, and how many blocks make it worth the while. Of shorter ones
#: a round would read what the one before it is still storing.
BLOCK, FEWEST = 256, 4
#: What loops carry and save may take so many bytes of the cache without any blocks.
LEAST = 1 << 22
#: What is a short loop for vector instructions.
SHORT = 48
#: What makes other axes of axes: lanes then lie along one alone.
TURNS = ("transpose", "reshape", "concatenate")
#: Slots of a loop whose axes are tried.
TRIED = 3


def in_blocks(program: Program) -> Program:
    """The Program with loops over whole arrays run in blocks of lanes."""
    return replace_region(program, _region(program.region, {}))


def _region(region: Region, around: Mapping[Var, Eqn]) -> Region:
    made = {**around, **{v: eqn for eqn in region.eqns for v in eqn.outputs}}
    for eqn in region.eqns:
        if eqn.prim is for_ and (cluster := _cluster(eqn, region, made)) is not None:
            return _region(_blocked(region, cluster), around)
    eqns = [
        replace(e, regions=[_region(r, made) for r in e.regions]) if e.regions else e
        for e in region.eqns
    ]
    return Region(region.params, eqns, region.results)


# What goes together ------------------------------------------------------------------


@dataclass
class Cluster:
    """Equations that keep lanes apart; `width` lanes of `count` make a block.

    Lanes may lie along several axes: `more` that follow the first one.
    """

    lanes: Lanes
    members: list[Eqn]
    count: int
    more: int = 0
    width: int = 0

    @property
    def inside(self) -> set[Var]:
        """What the members compute."""
        return {v for eqn in self.members for v in eqn.outputs}


def _cluster(loop: Eqn, region: Region, made: Mapping[Var, Eqn]) -> Cluster | None:
    """The equations that a loop can share blocks with, if it is worth it."""
    slots = [v for v in loop.regions[0].params[1:] if v.aval.shape and v.aval.inexact]
    for slot in slots[:TRIED]:
        for axis, count in enumerate(slot.aval.shape):
            if slot.aval.grows or count < FEWEST:
                continue
            lanes = Lanes({slot: axis}, made)
            if not lanes.add(loop):
                continue
            cluster = Cluster(lanes, _together(loop, region, lanes), count)
            while _along(cluster, slot, axis + cluster.more + 1):
                cluster.more += 1
                cluster.count *= slot.aval.shape[axis + cluster.more]
            cluster.width = _width(cluster)
            if cluster.width and not _shares_tapes(cluster, region, made):
                return cluster
    return None


def _together(loop: Eqn, region: Region, lanes: Lanes) -> list[Eqn]:
    members = {loop}
    at = region.eqns.index(loop)
    ours, theirs = set(loop.outputs), set[Var]()
    for eqn in region.eqns[at + 1 :]:
        uses = set(eqn.uses())
        if uses.isdisjoint(ours | theirs):
            continue
        if uses.isdisjoint(theirs) and lanes.add(eqn):
            members.add(eqn)
            ours.update(eqn.outputs)
        else:
            theirs.update(eqn.outputs)
    # What comes before is taken in if nobody else reads it.
    readers: dict[Var, set[Eqn]] = {}
    for eqn in region.eqns:
        for var in eqn.uses():
            readers.setdefault(var, set()).add(eqn)
    results = set(region.results)
    for eqn in reversed(region.eqns):
        mine = all(readers.get(v, set()) <= members for v in eqn.outputs)
        laned = any(v in lanes.axes for v in eqn.outputs)
        if eqn in members or not (mine and laned) or eqn.regions:
            continue
        if results.isdisjoint(eqn.outputs) and lanes.add(eqn):
            members.add(eqn)
    return [eqn for eqn in region.eqns if eqn in members]


def _along(cluster: Cluster, slot: Var, axis: int) -> bool:
    """Whether lanes may as well lie along a further axis, the next one everywhere."""
    if axis == slot.aval.ndim:
        return False
    lanes, more = Lanes({slot: axis}, cluster.lanes.made), cluster.more + 1
    first = sorted(cluster.members, key=lambda eqn: slot not in _bound(eqn))
    if not all(lanes.add(eqn) for eqn in first):
        return False
    known = cluster.lanes.axes
    turned = any(e.prim.name in TURNS for e in _walk(cluster.members))
    return (
        not turned
        and lanes.partial == cluster.lanes.partial
        and lanes.axes == {v: k + more for v, k in known.items()}
    )


def _bound(eqn: Eqn) -> list[Var]:
    return [v for region in eqn.regions for v in region.params]


def _walk(eqns: Sequence[Eqn]) -> Iterator[Eqn]:
    return walk(Region([], list(eqns), []))


def _width(cluster: Cluster) -> int:
    """The lanes of a block, such that loops over what is computed are long enough; 0
    where there are too few of them."""
    sizes = [
        eqn.out.aval.size // cluster.count
        for eqn in _walk(cluster.members)
        if isinstance(eqn.prim, Elementwise) and eqn.out in cluster.lanes.axes
    ]
    if not sizes or min(sizes) == 0 or _carried_bytes(cluster) < LEAST:
        return 0
    width = -(-BLOCK // max(sizes))
    if width in range(2, 9):  # loops of so few rounds are unrolled
        width = 1 if max(sizes) >= SHORT else 9
    return width if cluster.count >= FEWEST * width else 0


def _carried_bytes(cluster: Cluster) -> int:
    """What the loops carry, tapes included, of all lanes."""
    loops = [eqn for eqn in cluster.members if eqn.prim is for_]
    outs = {v for eqn in loops for v in eqn.outputs if v in cluster.lanes.axes}
    return sum(v.aval.nbytes for v in outs)


def _shares_tapes(cluster: Cluster, region: Region, made: Mapping[Var, Eqn]) -> bool:
    """Whether only one of a loop and its adjoint is there: the tape is then as long."""
    tapes = {
        out
        for eqn in region.eqns
        if eqn.prim is for_
        for out, init in zip(eqn.outputs, eqn.inputs[3:], strict=True)
        if init in made and made[init].params.get("tape")  # type: ignore[index]
    }
    read = {v for eqn in cluster.members for v in eqn.uses()} - cluster.inside
    return not tapes.isdisjoint([*read, *_outputs(cluster, region)])


def _outputs(cluster: Cluster, region: Region) -> list[Var]:
    """What others read of what the members compute."""
    read = {a for a in region.results if isinstance(a, Var)}
    for eqn in region.eqns:
        if eqn not in cluster.members:
            read.update(eqn.uses())
    return [v for eqn in cluster.members for v in eqn.outputs if v in read]


# The loop over blocks ----------------------------------------------------------------


def _blocked(region: Region, cluster: Cluster) -> Region:
    """The region with the cluster's equations as one loop over blocks."""
    members = set(cluster.members)
    needed = {v for eqn in members for v in eqn.uses()} - cluster.inside
    first = region.eqns.index(cluster.members[0])
    late: list[Eqn] = []
    early: list[Eqn] = []
    for eqn in reversed([e for e in region.eqns[first:] if e not in members]):
        if needed.isdisjoint(eqn.outputs):
            late.append(eqn)
        else:
            needed.update(eqn.uses())
            early.append(eqn)
    with building() as builder, builder.open() as eqns:
        _Blocks(cluster).emit(_outputs(cluster, region))
    new = [*region.eqns[:first], *reversed(early), *eqns, *reversed(late)]
    return Region(region.params, new, region.results)


class _Blocks:
    """Writes a cluster for a block, and the loop around it."""

    def __init__(self, cluster: Cluster):
        self.cluster, self.axes = cluster, cluster.lanes.axes
        self.partial = cluster.lanes.partial
        name = expr_of(cluster.count)
        self.width = Extent(cluster.width, f"lanes({name})")
        self.blocks = Extent(-(-cluster.count // cluster.width), f"blocks({name})")
        self.env: dict[Var, Atom] = {}
        self.fresh: Any = None

    def emit(self, outputs: Sequence[Var]) -> None:
        """The loop over blocks; its results are `outputs`."""
        loc = self.cluster.members[0].loc
        inside = self.cluster.inside
        read = [v for eqn in self.cluster.members for v in eqn.uses()]
        mine = [v for v in dict.fromkeys(read) if v in self.axes and v not in inside]
        with current().at(loc):
            given = {
                v: self.reshaped(v, self.shape(v, self.cluster.count)) for v in mine
            }
            inits = [self.room(v) for v in outputs]
            block = Var(Aval(INT), "block")
            carried = [Var(a.aval, v.hint) for v, a in zip(outputs, inits, strict=True)]
            with current().open() as eqns:
                results = self.body(block, given, outputs, carried)
            region = Region([block, *carried], eqns, results)
            outs = emit_for(0, Literal(self.blocks, INT), 1, inits, region, False)
            loop = current().stack[-1][-1]
            for k, (var, out) in enumerate(zip(outputs, outs, strict=True)):
                if out.aval == var.aval:
                    loop.outputs[k] = var
                else:
                    self.reshaped(out, var.aval.shape)
                    current().stack[-1][-1].outputs = [var]

    def reshaped(self, var: Var, shape: tuple[int, ...]) -> Any:
        return var if len(shape) == var.aval.ndim else reshape(var, shape=shape)

    def room(self, var: Var) -> Atom:
        """What is carried from block to block, before the first one."""
        if var not in self.axes:
            return zeros(var.aval)
        return empty(shape=self.shape(var, self.cluster.count), dtype=var.aval.dtype)

    def body(
        self,
        block: Var,
        given: Mapping[Var, Var],
        outputs: Sequence[Var],
        carried: Sequence[Var],
    ) -> list[Atom]:
        begin = ew.mul(block, Literal(self.width, INT))
        last = Literal(self.cluster.count - self.width, INT)
        start = ew.minimum(begin, last)
        # How many lanes of the block the one before has had.
        self.fresh = ew.sub(begin, start)
        for var, whole in given.items():
            self.bind(var, getitem(whole, *self.starts(var, start), **self.part(var)))
        for eqn in self.cluster.members:
            self.equation(eqn)
        results: list[Atom] = []
        for var, before in zip(outputs, carried, strict=True):
            value = substitute([var], self.env)[0]
            if var in self.axes:
                starts = self.starts(var, start)
                value = setitem(before, value, *starts, **self.part(var))
            elif var in self.partial:
                value = ew.add(before, value)
            results.append(value)
        return results

    # Shapes of a block's part of arrays: the axes that lanes lie along are one --------

    def starts(self, var: Var, start: Atom) -> list[Any]:
        starts: list[Any] = [np.int64(0)] * (var.aval.ndim - self.cluster.more)
        starts[self.axes[var]] = start
        return starts

    def part(self, var: Var) -> dict[str, Any]:
        sizes = self.shape(var)
        return {"sizes": sizes, "steps": (1,) * len(sizes)}

    def shape(self, var: Var, lanes: int | None = None) -> tuple[int, ...]:
        if var not in self.axes:
            return var.aval.shape
        return self.one(var, var.aval.shape, self.width if lanes is None else lanes)

    def one(self, var: Atom, items: Sequence[Any], new: Any) -> tuple[Any, ...]:
        """Items by axis of an array, with one for all that lanes lie along."""
        axis = self.axes[var]  # type: ignore[index]
        return (*items[:axis], new, *items[axis + 1 + self.cluster.more :])

    def axis(self, var: Atom, axis: int) -> int:
        """The axis of a block's part that one of an array has become."""
        first = self.axes.get(var)  # type: ignore[arg-type]
        if first is None or axis <= first:
            return axis
        return max(axis - self.cluster.more, first)

    # Equations ------------------------------------------------------------------------

    def bind(self, var: Var, value: Any) -> None:
        if isinstance(value, Var) and not value.hint:
            value.hint = var.hint
        self.env[var] = value

    def equation(self, eqn: Eqn) -> None:
        """An equation for the lanes of a block."""
        mine = [*eqn.inputs, *eqn.outputs]
        own = eqn.prim in (for_, cond)
        if not own and not any(v in self.axes for v in mine):
            current().append(clone_eqn(eqn, self.env))
            return
        with current().at(eqn.loc, eqn.origin):
            if eqn.prim is for_:
                outs = self.loop(eqn)
            elif eqn.prim is cond:
                regions = [self.region(r) for r in eqn.regions]
                outs = cond(*substitute(eqn.inputs, self.env), regions=regions)
            else:
                outs = [self.plain(eqn)]
        for var, out in zip(eqn.outputs, outs, strict=True):
            self.bind(var, out)

    def plain(self, eqn: Eqn) -> Any:
        inputs, params = substitute(eqn.inputs, self.env), dict(eqn.params)
        x: Any = eqn.inputs[0] if eqn.inputs else None
        if "shape" in params:
            params["shape"] = self.shape(eqn.out)
        if "sizes" in params and x in self.axes:
            params["sizes"] = self.one(x, params["sizes"], self.width)
            params["steps"] = self.one(x, params["steps"], 1)
            first = len(inputs) - x.aval.ndim
            inputs[first:] = self.one(x, inputs[first:], Literal(0, INT))
        if "axes" in params:
            whole = eqn.out if eqn.prim.name == "broadcast" else x
            axes = [self.axis(whole, k) for k in params["axes"]]
            params["axes"] = tuple(dict.fromkeys(axes))
        if eqn.out in self.partial:
            inputs = [self.once(inputs[0], self.axes[x])]
        return eqn.prim(*inputs, **params)

    def once(self, x: Any, axis: int) -> Any:
        """What a sum over lanes is over: those that no other block has had."""
        number = iota(size=self.width, dtype=INT)
        new = ew.ge(number, broadcast(self.fresh, shape=(self.width,), axes=()))
        if x.aval.ndim > 1:
            new = broadcast(new, shape=x.aval.shape, axes=(axis,))
        return ew.select(new, x, Literal(x.aval.dtype.type(0).item(), x.aval.dtype))

    def loop(self, eqn: Eqn) -> list[Any]:
        inputs = substitute(eqn.inputs, self.env)
        lo, hi, step, *inits = inputs
        region = self.region(eqn.regions[0])
        return emit_for(lo, hi, step, inits, region, eqn.params["reverse"])

    def region(self, region: Region) -> Region:
        params: list[Any] = []
        for var in region.params:
            if var not in self.env:  # a loop and its adjoint share the index
                copy = Var(var.aval.update(shape=self.shape(var)), var.hint)
                copy.interval = var.interval
                self.env[var] = copy
            params.append(self.env[var])
        with current().open() as eqns:
            for eqn in region.eqns:
                self.equation(eqn)
        return Region(params, eqns, substitute(region.results, self.env))
