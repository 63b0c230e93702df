"""The caller's arrays: how they lie in memory, and what a call does to them.

An array of the caller's, an argument or one that is captured, has a *place*: the number
of the argument's leaf, or the key of what is captured. Arrays that share memory are
views of one *stretch*, a flat input of the Program, so that a write into one shows in
the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tracejit.base.errors import OutsideStoreError, OverlapError
from tracejit.frontend.box import C_ORDER, Box, box_of, constant
from tracejit.frontend.lens import Lens, Part, Scattered, Shape, c_strides
from tracejit.frontend.session import Session
from tracejit.frontend.trace import current_trace
from tracejit.frontend.views import read_only, reshape, transpose
from tracejit.ir.aval import Aval
from tracejit.ir.builder import fresh
from tracejit.ir.program import Atom, Program, Region, Var

#: The number of an argument's leaf, or the key of a captured array.
Where: TypeAlias = Any


@dataclass(frozen=True)
class Stretch:
    """Memory that arrays of one dtype share: `size` elements.

    `members` are (place, offset, strides) of each, in elements.
    """

    members: tuple[tuple[Where, int, tuple[int, ...]], ...]
    size: int
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Memory:
    """What a trace relies on: which arrays share memory, and which are read-only."""

    stretches: tuple[Stretch, ...] = ()
    frozen: frozenset[Where] = frozenset()

    @property
    def shared(self) -> set[Where]:
        """The places of the arrays that share memory."""
        return {place for s in self.stretches for place, *_ in s.members}


@dataclass(frozen=True)
class Alias:
    """A result that is an array of the caller's, by its position among the inputs, or a
    view of it: `lenses` lead to it."""

    position: int
    lenses: tuple[Lens, ...] = ()

    def of(self, inputs: Sequence[Any]) -> Any:
        """The result, given the inputs."""
        found = inputs[self.position]
        for lens in reversed(self.lenses):
            found = lens.of(found)
        return found


@dataclass
class Writes:
    """What a call does to the caller's arrays.

    `memory` is what it was staged for. By place: arrays that are `written` to; those
    that are `exclusive`, which sharing memory makes a difference for; those that are
    `used` at all. Where arguments
    are to change, too (`acting`): `finals`, by position among the inputs, are what
    they hold in the end, `shapes` what was assigned to `x.shape`, and `aliases`, by
    number, the results that are of the caller's memory.
    """

    acting: bool = False
    memory: Memory = field(default_factory=Memory)
    written: frozenset[Where] = frozenset()
    exclusive: frozenset[Where] = frozenset()
    used: frozenset[Where] = frozenset()
    finals: dict[int, Atom] = field(default_factory=dict)
    shapes: dict[int, Shape] = field(default_factory=dict)
    aliases: dict[int, Alias] = field(default_factory=dict)

    @property
    def simple(self) -> bool:
        """Whether all that is done is to write into arrays that lie apart."""
        views = any(alias.lenses for alias in self.aliases.values())
        return not (self.memory.stretches or self.shapes or views)

    def program(self, pure: Program) -> Program:
        """`pure` with these effects: its results are those that are computed, then what
        is written."""
        results = [r for k, r in enumerate(pure.results) if k not in self.aliases]
        results += self.finals.values()
        region = Region(pure.region.params, pure.region.eqns, results)
        return Program(pure.name, region, writes=tuple(self.finals))


class Caller:
    """The boxes that stand for the caller's arrays while a function is staged."""

    def __init__(self, memory: Memory):
        self.memory = memory
        #: The box of every array and the input that it starts as, by place.
        self.boxes: dict[Where, tuple[Box, Var]] = {}
        self.stretches = [
            box_of(fresh(Aval(s.dtype, (s.size,)), "shared"), layout=C_ORDER)
            for s in memory.stretches
        ]
        self.inputs: list[Var] = [s.value for s in self.stretches]

    def box(self, place: Where, var: Var, box: Box) -> Box:
        """The box for the array at `place`, which is the input `var`: `box`, or one
        that shares memory."""
        shared = self._shared(place, var.aval.shape)
        if shared is not None and box.known:
            raise OverlapError(
                "Python decides on the contents of an array that shares memory with "
                "another one, which is written to",
                current_trace().builder.loc,
                "pass a copy of the one or the other",
            )
        box = box if shared is None else shared
        if place in self.memory.frozen:
            box = read_only(box)
        self.boxes[place] = box, var
        return box

    def _shared(self, place: Where, shape: Shape) -> Box | None:
        for stretch, flat in zip(self.memory.stretches, self.stretches, strict=True):
            spots = {where: (start, steps) for where, start, steps in stretch.members}
            if place not in spots:
                continue
            for other, spot in spots.items():
                box, _ = self.boxes.get(other, (None, None))
                same = box is not None and box.aval.shape == shape
                if same and spot == spots[place]:
                    return box  # one array, passed twice
            return part_of(flat, shape, *spots[place])
        return None

    def finish(self, trace: Session, results: Sequence[Any], acting: bool) -> Findings:
        """What has become of the arrays, and which of `results` are their memory."""
        shared = self.memory.shared
        found = Findings(
            {var for place, (_, var) in self.boxes.items() if place in shared}
        )
        for place, (box, var) in self.boxes.items():
            if place not in shared and _is_changed(trace, place, box, var):
                found.written[var] = box
                found.places.add(place)
        for stretch, flat, var in zip(
            self.memory.stretches, self.stretches, self.inputs, strict=True
        ):
            if flat.value is not var:
                found.written[var] = flat
                found.places.update(where for where, *_ in stretch.members)
        if acting:
            self._act(trace, results, found)
        return found

    def _act(self, trace: Session, results: Sequence[Any], found: Findings) -> None:
        for place in found.places:
            if is_loose(place):
                raise OutsideStoreError(
                    "a value is stored into an array that a library made",
                    None,
                    "work on a copy of it",
                )
        compared = set(map(id, trace.compared))
        found.compared = {p for p, (b, _) in self.boxes.items() if id(b) in compared}
        found.finals = {var: box.root.read() for var, box in found.written.items()}
        own = {
            place: entry for place, entry in self.boxes.items() if not is_loose(place)
        }
        for box, var in own.values():
            if box.aval.shape != var.aval.shape:
                found.shapes[var] = tuple(box.aval.shape)
        variables = {id(box): var for box, var in own.values()}
        roots = {id(box.root): var for box, var in own.values()}
        roots |= zip(map(id, self.stretches), self.inputs, strict=True)
        for number, leaf in enumerate(results):
            if not isinstance(leaf, Box) or leaf.kind != "array":
                continue
            if id(leaf) in variables:
                found.aliases[number] = variables[id(leaf)], ()
                continue
            lenses = _lenses(leaf)
            if lenses is not None and id(leaf.root) in roots:
                found.aliases[number] = roots[id(leaf.root)], lenses


@dataclass
class Findings:
    """Writes, while the positions of inputs are not known: they go by Var.

    `members` are the inputs that share memory.
    """

    members: set[Var]
    written: dict[Var, Box] = field(default_factory=dict)
    places: set[Where] = field(default_factory=set)
    compared: set[Where] = field(default_factory=set)
    finals: dict[Var, Atom] = field(default_factory=dict)
    shapes: dict[Var, Shape] = field(default_factory=dict)
    aliases: dict[int, tuple[Var, tuple[Lens, ...]]] = field(default_factory=dict)

    @property
    def needed(self) -> set[Var]:
        """Inputs that must stay though nothing may read them."""
        aliased = {var for var, _ in self.aliases.values()}
        return {*self.written, *self.shapes, *aliased, *self.members}

    def writes(self, caller: Caller, region: Region, acting: bool) -> Writes:
        """With positions; `region` is that of the Program, which is complete."""
        position = {var: k for k, var in enumerate(region.params)}
        read = set(
            Region(
                [], region.eqns, [*region.results, *self.finals.values()]
            ).free_vars()
        )
        places = {place for place, (_, var) in caller.boxes.items() if var in read}
        for stretch, var in zip(caller.memory.stretches, caller.inputs, strict=True):
            if var in read:
                places.update(where for where, *_ in stretch.members)
        return Writes(
            acting,
            caller.memory,
            frozenset(self.places),
            frozenset(self.places | self.compared),
            frozenset(self.places | self.compared | places),
            {position[var]: atom for var, atom in self.finals.items()},
            {position[var]: shape for var, shape in self.shapes.items()},
            {
                k: Alias(position[var], lenses)
                for k, (var, lenses) in self.aliases.items()
            },
        )


def is_loose(place: Where) -> bool:
    """Whether an array was met in no place of the outside: a library may have made it
    in this trace."""
    return isinstance(place, tuple) and place[0] == "array"


def _is_changed(trace: Session, place: Where, box: Box, var: Var) -> bool:
    root = box.root
    if root.known:
        return root.array.tobytes() != trace.captured[place].pinned
    return root.value is not var


def may_share(a: Box, b: Box) -> bool:
    """Whether two views of one array may have elements in common."""
    found, root = (_lenses(a), _lenses(b)), a.root
    if None in found or len(found[0] or ()) + len(found[1] or ()) == 0:
        return True
    real = np.empty(root.aval.shape, root.aval.dtype)
    one, other = (Alias(0, lenses or ()).of([real]) for lenses in found)
    return np.shares_memory(one, other)


def _lenses(box: Box) -> tuple[Lens, ...] | None:
    """Those from the root to a view; None where one depends on data."""
    lenses: list[Lens] = []
    while box.base is not None:
        assert box.lens is not None
        if not box.lens.static:
            return None
        lenses.append(box.lens)
        box = box.base
    return tuple(lenses)


def part_of(flat: Box, shape: Shape, offset: int, strides: tuple[int, ...]) -> Box:
    """The view of flat memory that has this offset and these strides."""
    if not shape:
        return flat.through(Part(flat.aval.shape, (offset,), (None,), (1,)))
    if len(shape) == 1:
        return flat.through(Part(flat.aval.shape, (offset,), shape, strides))
    order = sorted(range(len(shape)), key=lambda k: -strides[k])
    ordered = tuple([shape[k] for k in order])
    if tuple([strides[k] for k in order]) == c_strides(ordered):
        size = math.prod(map(int, shape))
        run = flat.through(Part(flat.aval.shape, (offset,), (size,), (1,)))
        back = [order.index(k) for k in range(len(shape))]
        return transpose(reshape(run, ordered), back)
    table = np.full(shape, offset, np.int64)
    for axis, step in enumerate(strides):
        tail = (1,) * (len(shape) - axis - 1)
        table += (np.arange(shape[axis]) * step).reshape(-1, *tail)
    index = constant(table, shape)
    return flat.through(Scattered(flat.aval.shape, offset, shape, strides, index))
