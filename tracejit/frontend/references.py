"""Which array a name stands for, as a value of the program.

    b = x if c else y           where[b] = select(c, 0, 1)       of (x, y)
    b += 1                      x' = select(where[b] == 0, x + 1, x)
                                y' = select(where[b] == 1, y + 1, y)

A branch or loop whose merged arrays are told apart later (see `aliases`) is staged so:
for each of them there is a number that says which of its *forms* it has at run time. A
form is a way to see a *root*: an array of the surroundings, or a *cell*, which is new
and holds what an array made inside has come to be. Two names of one such array share
the cell of the one that comes first, so that cells never alias each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracejit.base.errors import UnknownAliasError
from tracejit.frontend.aliases import Key, is_open, settled_layout
from tracejit.frontend.box import UNKNOWN, Box, box_of
from tracejit.frontend.lens import (
    Broadcasted,
    Lens,
    Part,
    Strides,
    Unsure,
    unsure_alias,
)
from tracejit.frontend.session import session
from tracejit.frontend.stand_in import Stale, StandIn
from tracejit.ir.aval import Aval
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Atom, Literal
from tracejit.ops.numpy_names import emit, where
from tracejit.ops.promote import INT, convert

WHICH = Aval(INT)
#: Whether something holds at run time; True where that is known while staging.
Flag = Any


class Either(StandIn):
    """One of several boxes: the one whose number is `which` at run time."""

    def __init__(self, which: Atom, boxes: Sequence[Box]):
        self.which, self.boxes = which, tuple(boxes)

    def flag(self, k: int) -> Atom:
        """Whether it is box k."""
        key = "either", self.which, k
        return session().memoized(key, lambda: emit("eq", self.which, _number(k)))

    def read(self, box: Box) -> Atom:
        dtype = box.aval.dtype
        *ways, out = [convert(one.read(), dtype) for one in self.boxes]
        for k in reversed(range(len(ways))):
            out = where(self.flag(k), ways[k], out)
        return out

    def write(self, box: Box, atom: Atom) -> None:
        for k, one in enumerate(self.boxes):
            new = convert(atom, one.aval.dtype)
            one.write(where(self.flag(k), new, one.read()))

    def each(self, fn: Callable[[Box], Box]) -> Box:
        return either(self.which, [fn(one) for one in self.boxes])


def either(which: Atom, boxes: Sequence[Box], dtype: Any = None) -> Box:
    """A box that is one of several of one shape."""
    first = boxes[0]
    if len(boxes) == 1 and dtype in (None, first.aval.dtype):
        return first
    layouts = {settled_layout(one) for one in boxes}
    layout = layouts.pop() if len(layouts) == 1 else UNKNOWN
    dtype = dtype or np.result_type(*(one.aval.dtype for one in boxes))
    aval = first.aval.update(dtype=dtype)
    return Box(Either(which, boxes), aval, "array", layout=layout)


def _number(k: int) -> Literal:
    return Literal(k, INT)


@dataclass(frozen=True)
class Cell:
    """A root made by the branch or loop, at home with the leaf `key`."""

    key: Key
    aval: Aval
    layout: Strides


@dataclass(frozen=True)
class Form:
    """A way to see a root; `root` is the id of an array, or a Cell.

    `lenses` lead from the root outwards; their traced starts are left out.
    """

    root: int | Cell
    lenses: tuple[Lens, ...]
    layout: Strides

    @property
    def starts(self) -> int:
        """How many starts are traced."""
        found = [s for x in self.lenses if isinstance(x, Part) for s in x.starts]
        return sum(s is None for s in found)

    def on(self, root: Box, starts: Iterator[Atom]) -> Box:
        """The view of a root that has this form."""
        box = root
        for lens in self.lenses:
            if isinstance(lens, Part):
                filled = [next(starts) if s is None else s for s in lens.starts]
                lens = replace(lens, starts=tuple(filled))
            box = box.through(lens)
        if box is not root:
            box._layout = self.layout
        return box


@dataclass
class Sight:
    """A box as a view of one root: `flag` says whether it is the one meant."""

    flag: Flag
    root: Box
    inner: bool
    lenses: tuple[Lens, ...]
    starts: tuple[Atom, ...]
    layout: Strides

    def form(self, cell: Key | None) -> Form:
        """The form it has, by the leaf whose cell the root is kept in."""
        if not self.inner:
            return Form(id(self.root), self.lenses, self.layout)
        assert cell is not None
        return Form(self.cell(cell), self.lenses, self.layout)

    def cell(self, key: Key) -> Cell:
        """The cell in which the leaf `key` keeps the root."""
        return Cell(key, self.root.aval, settled_layout(self.root))


def _sight(flag: Flag, box: Box, outer: Mapping[int, Box]) -> Sight:
    lenses: list[Lens] = []
    starts: list[Atom] = []
    root = box
    while root.base is not None:
        assert root.lens is not None
        lenses.insert(0, root.lens)
        root = root.base
    for k, lens in enumerate(lenses):
        if isinstance(lens, Unsure):
            raise unsure_alias()
        if isinstance(lens, Part):
            starts += [s for s in lens.starts if not isinstance(s, int)]
            kept = tuple([s if isinstance(s, int) else None for s in lens.starts])
            lenses[k] = replace(lens, starts=kept)
    inner = id(root) not in outer
    if inner and root.twins:  # what it may be would be lost
        aval, (_, source) = root.aval, root.twins[0]
        raise session().stale_read(Stale(source), aval)
    if box.kind != "array":  # a number: of its own, and never written to
        lenses.append(Broadcasted(box.aval.shape, box.aval.shape))
        inner = True
    layout = settled_layout(box)
    return Sight(flag, root, inner, tuple(lenses), tuple(starts), layout)


class References:
    """The forms of the merged arrays of one branch or loop, by leaf."""

    def __init__(self) -> None:
        self.forms: dict[Key, list[Form]] = {}
        self.cells: dict[Cell, None] = {}
        self.outer: dict[int, Box] = {}
        self.avals: dict[Key, Aval] = {}

    def widen(
        self, avals: Mapping[Key, Aval], ways: Mapping[Key, Sequence[Box | None]]
    ) -> bool:
        """Take in what leaves may be, one way after the other; was anything new?

        `avals` are the types of the merged leaves.
        """
        before = sum(map(len, self.forms.values())), dict(self.avals)
        self.avals = dict(avals)
        for key in avals:
            self.forms.setdefault(key, [])
        for key in [k for k in self.forms if k not in avals]:
            del self.forms[key]
        for boxes in ways.values():
            for root in [r for b in boxes if b is not None for r in _roots_of(b)]:
                if is_open(root):
                    self.outer[id(root)] = root
        for k in range(max((len(boxes) for boxes in ways.values()), default=0)):
            self._widen({key: boxes[k] for key, boxes in ways.items()})
        return before != (sum(map(len, self.forms.values())), self.avals)

    def _widen(self, way: Mapping[Key, Box | None]) -> None:
        sights = self._sights(way, flags=False)
        for key, seen in sights.items():
            for sight in seen:
                for other, _ in self._homes(sights, key, sight):
                    form = sight.form(other)
                    if form not in self.forms[key]:
                        self.forms[key].append(form)
                    if isinstance(form.root, Cell):
                        self.cells.setdefault(form.root)

    def _sights(
        self, way: Mapping[Key, Box | None], flags: bool = True
    ) -> dict[Key, list[Sight]]:
        """What every leaf may be on one way, with flags in the current region."""
        found: dict[Key, list[Sight]] = {}
        for key in self.forms:
            box = way.get(key)
            if box is not None:
                ways = ways_of(box, flags)
                found[key] = [_sight(flag, one, self.outer) for flag, one in ways]
        return found

    def _homes(
        self, sights: Mapping[Key, list[Sight]], key: Key, sight: Sight
    ) -> list[tuple[Key | None, Flag]]:
        """Leaves whose cell may hold a root, and when: the first that holds counts."""
        if not sight.inner:
            return [(None, True)]
        homes: list[tuple[Key | None, Flag]] = []
        for other, seen in sights.items():
            if other == key:
                break
            for one in seen:
                if one.inner and one.root is sight.root:
                    homes.append((other, one.flag))
                    if one.flag is True and len(seen) == 1:
                        return homes
        return [*homes, (key, True)]

    # In and out -----------------------------------------------------------------------

    def types(self) -> list[Aval]:
        """The types of what is carried: numbers of forms, starts, contents of cells."""
        out: list[Aval] = []
        for forms in self.forms.values():
            out += [WHICH] * (len(forms) > 1)
            out += [WHICH] * sum(form.starts for form in forms)
        return out + [cell.aval for cell in self.cells]

    def encode(self, way: Mapping[Key, Box | None]) -> list[Atom]:
        """The Atoms that stand for the leaves on one way; in the current region."""
        sights = self._sights(way)
        out: list[Atom] = []
        contents: dict[Cell, Atom] = {}
        for key, forms in self.forms.items():
            seen = sights.get(key, [])
            number: Atom = _number(0)
            starts: list[Atom] = [_number(0)] * sum(form.starts for form in forms)
            for sight in reversed(seen):
                code: Atom = _number(0)
                for home, flag in reversed(self._homes(sights, key, sight)):
                    form = sight.form(home)
                    code = _if(flag, _number(forms.index(form)), code)
                    self._put_starts(forms, form, sight, starts)
                number = _if(sight.flag, code, number)
                cell = sight.cell(key)
                if sight.inner and cell in self.cells:
                    now = sight.root.read()
                    before = contents.get(cell, now)
                    contents[cell] = _if(sight.flag, now, before)
            out += [convert(number, INT)] if len(forms) > 1 else []
            out += [convert(s, INT) for s in starts]
        return out + [
            contents[cell] if cell in contents else zeros(cell.aval)
            for cell in self.cells
        ]

    def _put_starts(
        self, forms: list[Form], form: Form, sight: Sight, starts: list[Atom]
    ) -> None:
        at = sum(one.starts for one in forms[: forms.index(form)])
        for k, start in enumerate(sight.starts):
            starts[at + k] = _if(sight.flag, start, starts[at + k])

    def decode(self, atoms: Sequence[Atom]) -> dict[Key, Box]:
        """The boxes of the leaves."""
        count = len(atoms) - len(self.cells)
        rest = iter(atoms[:count])
        roots: dict[Any, Box] = dict(self.outer)
        for cell, atom in zip(self.cells, atoms[count:], strict=True):
            roots[cell] = box_of(atom, layout=cell.layout)
        boxes: dict[Key, Box] = {}
        for key, forms in self.forms.items():
            which = next(rest) if len(forms) > 1 else _number(0)
            ones = [form.on(roots[form.root], rest) for form in forms]
            boxes[key] = either(which, ones, self.avals[key].dtype)
        return boxes


def ways_of(box: Box, flags: bool = True) -> list[tuple[Flag, Box]]:
    """The boxes that a box is one of, each with its flag."""
    value = box.value
    if not isinstance(value, Either):
        return [(True, box)]
    return [
        (value.flag(k) if flags else False, one) for k, one in enumerate(value.boxes)
    ]


def _roots_of(box: Box) -> list[Box]:
    return [one.root for _, one in ways_of(box, False)]


def _if(flag: Flag, then: Atom, orelse: Atom) -> Atom:
    return then if flag is True or then is orelse else where(flag, then, orelse)


def same_form(a: Box, b: Box) -> Flag:
    """`a is b`, as a flag; an error where views may be one object or two."""
    flag: Any = False
    for first, one in ways_of(a, True):
        for second, other in ways_of(b, True):
            if one is other:
                both = [f for f in (first, second) if f is not True]
                now = emit("logical_and", *both) if len(both) > 1 else both[0]
                flag = now if flag is False else emit("logical_or", flag, now)
            elif one.base is not None and one.base is other.base:
                raise UnknownAliasError(
                    "whether two views are one object depends on traced data",
                    session().builder.loc,
                    "compare what they are views of",
                )
    return flag
