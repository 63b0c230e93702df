"""Arrays whose identity a loop or branch made uncertain.

`a, b = b, a` in a staged loop carries two contents; which of the two arrays made before
the loop is then called `a` depends on the number of trips. So the boxes that stand for
carried and merged arrays are *twins* of all that they may be. A write to a box makes
its twins stale, and at the first reading of a stale box staging begins again, with the
references of that loop or branch in the program (see `references`): nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.frontend.box import C_ORDER, UNKNOWN, Box
from tracejit.frontend.lens import Strides, c_strides
from tracejit.frontend.session import session
from tracejit.frontend.stand_in import Stale

#: A leaf of a merged place: the place's key and the leaf's position.
Key = tuple[Any, int]


@dataclass(frozen=True)
class Links:
    """What the merged arrays of one branch or loop may be.

    `outer`: arrays of the surroundings, by leaf; `pairs`: leaves that may be one array;
    `layouts`: how they lie in memory, UNKNOWN where they differ; `mixed`: leaves of
    which only some may be written to; `kept`: arrays of the surroundings of which they
    may be a part, as elements of lists, each with what Stale is told.
    """

    outer: Mapping[Key, Mapping[int, Box]]
    pairs: frozenset[tuple[Key, Key]]
    layouts: Mapping[Key, Strides]
    mixed: frozenset[Key]
    kept: Mapping[Key, Mapping[int, tuple[Box, Any]]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Links):
            return False
        if (self.pairs, self.layouts) != (other.pairs, other.layouts):
            return False
        mine, theirs = (
            [{k: set(v) for k, v in found.items()} for found in (x.outer, x.kept)]
            for x in (self, other)
        )
        return mine == theirs

    def entangle(self, boxes: Mapping[Key, Box], source: Any) -> None:
        """Make the boxes of leaves twins of all that may be the same array.

        Those made here are twins of each other only if they are `pairs`. `source` is
        what Stale is told.
        """
        twins: dict[Key, dict[int, Box]] = {}
        for key, box in boxes.items():
            box._layout = self.layouts.get(key, C_ORDER)
            if box._layout is UNKNOWN or key in self.mixed:
                session().vague.add(source)
            if key in self.mixed:
                box.unsure = Stale(source)
            box.origins = tuple(self.outer.get(key, {}).values())
            twins[key] = {id(r): r for r in box.origins}
            for root in box.origins:
                twins[key].update((id(t), t) for t, _ in root.twins)
        if any(twins.values()) or self.pairs:
            session().merged.add(source)
        for key, box in boxes.items():
            for twin in twins[key].values():
                _pair(box, twin, source)
            for array, form in self.kept.get(key, {}).values():
                _pair(box, array, form)
        for a, b in self.pairs:
            if a in boxes and b in boxes:
                _pair(boxes[a], boxes[b], source)


NO_LINKS = Links({}, frozenset(), {}, frozenset(), {})


def _pair(a: Box, b: Box, source: Any) -> None:
    a.twins.append((b, source))
    b.twins.append((a, source))


def share(array: Box, element: Box, source: Any) -> None:
    """Note that a list is kept in `array`, and that `element` is a part of the list.

    The array is its own first twin: two views of it may be one object.
    """
    if not keeps_list(array):
        array.twins.insert(0, (array, source))
    if not any(twin is element for twin, _ in array.twins):
        _pair(array, element, source)


def keeps_list(box: Box) -> bool:
    """Whether it is an array that a list is kept in."""
    return bool(box.twins) and box.twins[0][0] is box


def links(sources: Mapping[Key, Sequence[Any]]) -> Links:
    """The Links of leaves that are one of `sources`, one for each way to come here.

    In a loop the ways are: before the first round, and from the round before.
    """
    roots = {key: [_roots(s) for s in ways] for key, ways in sources.items()}
    outer = {key: _origins(ways) for key, ways in roots.items()}
    kept = {key: _lists(ways) for key, ways in roots.items()}
    keys = list(roots)
    pairs = {
        (a, b)
        for k, a in enumerate(keys)
        for b in keys[:k]
        if any(_may_meet(x, y) for x, y in zip(roots[a], roots[b], strict=True))
    }
    return Links(
        {k: v for k, v in outer.items() if v},
        frozenset(pairs),
        {key: _layout(ways) for key, ways in sources.items()},
        frozenset(key for key, ways in sources.items() if _is_mixed(ways)),
        {k: v for k, v in kept.items() if v},
    )


def _layout(ways: Sequence[Box | None]) -> Strides:
    """The common layout of arrays."""
    found = {settled_layout(box) for box in ways if box is not None}
    return found.pop() if len(found) == 1 else UNKNOWN


def settled_layout(box: Box) -> Strides:
    """The layout of a box, C_ORDER wherever it is that in effect."""
    strides, shape = box.strides_in_elements, box.aval.shape
    if strides is None:
        return UNKNOWN
    by_rows = zip(c_strides(shape), strides, shape, strict=True)
    if box.aval.size == 0 or all(a == b for a, b, n in by_rows if n != 1):
        return C_ORDER
    return strides


def _is_mixed(ways: Sequence[Box | None]) -> bool:
    """Whether they are not all alike in what NumPy says of a write."""
    return len({(b.kind == "array", b.readonly) for b in ways if b is not None}) > 1


def _roots(box: Box | None) -> list[Box]:
    """The arrays that hold the contents of a box, which may be one of several."""
    if box is None or box.kind != "array":
        return []
    return [one.root for one in box.root.one_of] or [box.root]


def _origins(ways: Sequence[list[Box]]) -> dict[int, Box]:
    """The arrays of the surroundings that these may be."""
    found = [r for roots in ways for root in roots for r in root.origins or (root,)]
    return {id(r): r for r in found if is_open(r)}


def _lists(ways: Sequence[list[Box]]) -> dict[int, tuple[Box, Any]]:
    """The arrays of the surroundings that lists are kept in of which these may be."""
    twins = [twin for roots in ways for root in roots for twin in root.twins]
    return {id(t): (t, s) for t, s in twins if keeps_list(t) and is_open(t)}


def _may_meet(some: list[Box], others: list[Box]) -> bool:
    """Whether two names may stand for one array, at one and the same time."""
    return any(
        a is b or any(twin is b for twin, _ in a.twins) for a in some for b in others
    )


def is_open(box: Box) -> bool:
    """Whether a box was made in a region that is still open."""
    return any(box.region is region for region in session().builder.stack)


def same_array(a: Box, b: Box) -> bool:
    """`a is b`, where that is certain."""
    if a is b:
        return True
    for twin, source in a.root.twins:
        if twin is b.root:
            raise session().stale_read(Stale(source), a.aval)
    return False
