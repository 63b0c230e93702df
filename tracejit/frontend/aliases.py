"""Arrays whose identity a loop or branch made uncertain.

`a, b = b, a` in a staged loop carries two contents; which of the two arrays made before
the loop is then called `a` depends on the number of trips. So the boxes that stand for
carried and merged arrays are *twins* of all that they may be. A write to a box makes
its twins stale, and reading a stale box is an error (or has the loop unrolled): the
contents are never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.frontend.box import Box, Stale
from tracejit.frontend.session import session

#: A leaf of a merged place: the place's key and the leaf's position.
Key = tuple[Any, int]


@dataclass(frozen=True)
class Links:
    """What the merged arrays of one branch or loop may be.

    `outer`: arrays of the surroundings, by leaf; `pairs`: leaves that may be one array.
    """

    outer: Mapping[Key, Mapping[int, Box]]
    pairs: frozenset[tuple[Key, Key]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Links) or self.pairs != other.pairs:
            return False
        mine = {k: set(v) for k, v in self.outer.items()}
        return mine == {k: set(v) for k, v in other.outer.items()}

    def entangle(self, boxes: Mapping[Key, Box], source: Any) -> None:
        """Make the boxes of leaves twins of all that may be the same array.

        Those made here are twins of each other only if they are `pairs`. `source` is
        what Stale is told.
        """
        twins: dict[Key, dict[int, Box]] = {}
        for key, box in boxes.items():
            box.origins = tuple(self.outer.get(key, {}).values())
            twins[key] = {id(r): r for r in box.origins}
            for root in box.origins:
                twins[key].update((id(t), t) for t, _ in root.twins)
        for key, box in boxes.items():
            for twin in twins[key].values():
                _pair(box, twin, source)
        for a, b in self.pairs:
            if a in boxes and b in boxes:
                _pair(boxes[a], boxes[b], source)


NO_LINKS = Links({}, frozenset())


def _pair(a: Box, b: Box, source: Any) -> None:
    a.twins.append((b, source))
    b.twins.append((a, source))


def links(sources: Mapping[Key, Sequence[Any]]) -> Links:
    """The Links of leaves that are one of `sources`, one for each way to come here.

    In a loop the ways are: before the first round, and from the round before.
    """
    roots = {key: _roots(ways) for key, ways in sources.items()}
    outer = {key: _origins(ways) for key, ways in roots.items()}
    keys = list(roots)
    pairs = {
        (a, b)
        for k, a in enumerate(keys)
        for b in keys[:k]
        if any(_may_meet(x, y) for x, y in zip(roots[a], roots[b], strict=True))
    }
    return Links({k: v for k, v in outer.items() if v}, frozenset(pairs))


def _roots(ways: Sequence[Any]) -> list[Box | None]:
    return [s.root if isinstance(s, Box) and s.kind == "array" else None for s in ways]


def _origins(roots: Sequence[Box | None]) -> dict[int, Box]:
    """The arrays of the surroundings that these may be."""
    found = [r for root in roots if root is not None for r in root.origins or (root,)]
    return {id(r): r for r in found if is_open(r)}


def _may_meet(a: Box | None, b: Box | None) -> bool:
    """Whether two boxes may stand for one array, at one and the same time."""
    if a is None or b is None:
        return False
    return a is b or any(twin is b for twin, _ in a.twins)


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
