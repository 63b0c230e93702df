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
        """Make twins of the boxes of leaves; `source` is told of by Stale."""
        for key, box in boxes.items():
            for root in self.outer.get(key, {}).values():
                _pair(box, root, source)
        for a, b in self.pairs:
            if a in boxes and b in boxes:
                _pair(boxes[a], boxes[b], source)


NO_LINKS = Links({}, frozenset())


def _pair(a: Box, b: Box, source: Any) -> None:
    a.twins.append((b, source))
    b.twins.append((a, source))


def links(
    sources: Mapping[Key, Sequence[Any]], inner: Mapping[Key, Box] | None = None
) -> Links:
    """The Links of leaves that are one of `sources`, one for each way to come here.

    In a loop the ways are: before the first round, and from the round before, where
    `inner` are the boxes that the leaves were in that round.
    """
    inner = inner or {}
    slots = {id(box) for box in inner.values()}
    roots = {key: _roots(ways) for key, ways in sources.items()}
    outer = {key: outer_of(key, sources, inner) for key in sources}
    keys = list(roots)
    pairs = {
        (a, b)
        for k, a in enumerate(keys)
        for b in keys[:k]
        if any(_may_meet(x, y, slots) for x, y in zip(roots[a], roots[b], strict=True))
    }
    return Links({k: v for k, v in outer.items() if v}, frozenset(pairs))


def _may_meet(a: Box | None, b: Box | None, slots: set[int]) -> bool:
    """Whether two boxes may stand for one array at the end of one round or branch."""
    if a is None or b is None:
        return False
    ours, theirs = _reach(a, slots), _reach(b, slots)
    return any(
        k in theirs or any(id(twin) in theirs for twin, _ in box.twins)
        for k, box in ours.items()
    )


def _reach(start: Box, slots: set[int]) -> dict[int, Box]:
    """A box, and what it may be where it was merged itself in a region now closed."""
    found: dict[int, Box] = {}
    todo = [start]
    while todo:
        box = todo.pop()
        if id(box) not in found:
            found[id(box)] = box
            if id(box) not in slots and not is_open(box):
                todo += [twin for twin, _ in box.twins]
    return found


def _roots(ways: Sequence[Any]) -> list[Box | None]:
    return [s.root if isinstance(s, Box) and s.kind == "array" else None for s in ways]


def outer_of(
    start: Key,
    sources: Mapping[Key, Sequence[Any]],
    inner: Mapping[Key, Box],
    first: Mapping[Key, Sequence[Any]] | None = None,
) -> dict[int, Box]:
    """The arrays of the surroundings that a leaf may be, through any number of rounds.

    `first` are the sources of the leaf itself, if these differ.
    """
    by_box = {id(box): key for key, box in inner.items()}
    found: dict[int, Box] = {}
    todo = _roots((first or sources)[start])
    seen: set[int] = set()
    while todo:
        root = todo.pop()
        if root is None or id(root) in seen:
            continue
        seen.add(id(root))
        key = by_box.get(id(root))
        if key is not None:
            todo += _roots(sources[key])
        elif is_open(root):
            found[id(root)] = root
        else:
            # It was merged in a region that is closed by now.
            todo += [twin for twin, _ in root.twins]
    return found


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
