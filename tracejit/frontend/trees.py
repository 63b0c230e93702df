"""Trees of values at one place, compared: what is common stays the object it is.

Merging `[a, b]` with `[c, b]` makes a new list. Where one of the lists is older than
the branch or loop, writing to it or to the new one would tell them apart; so both are
frozen: a write to either is an error, or has the loop unrolled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from tracejit.base.errors import StagingError
from tracejit.base.pytree import LEAF, TreeDef, flatten, one_level
from tracejit.frontend.box import Box
from tracejit.frontend.session import session
from tracejit.frontend.undecided import Optional

#: A leaf of a value that is not there, as there is None in its place.
ABSENT = object()


def common_tree(values: Sequence[Any], what: str, firm: bool = False) -> TreeDef:
    """The structure that values share; an object that all of them have is a leaf.

    None and something else is an Optional; `firm`: unless one of them is that yet.
    """
    first = values[0]
    if all(v is first for v in values) and (len(values) > 1 or not _is_fresh(first)):
        return LEAF
    present = [v for v in values if v is not None]
    optional = any(type(v) is Optional for v in values)
    if optional or (0 < len(present) < len(values) and not firm):
        inner = [v.value if type(v) is Optional else v for v in present]
        return TreeDef(Optional, ("value", "given"), (common_tree(inner, what), LEAF))
    levels = [one_level(v) for v in values]
    if all(level is None for level in levels):
        return LEAF
    known = [level for level in levels if level is not None]
    if len(known) < len(levels) or any(k[1] != known[0][1] for k in known):
        raise StagingError(
            f"{what} is {_describe(first)} or {_describe(_other(values))}",
            session().builder.loc,
            "give it the same structure on every path",
        )
    tree = known[0][1]
    columns = zip(*(children for children, _ in known), strict=True)
    children = tuple([common_tree(column, what, firm) for column in columns])
    return TreeDef(tree.kind, tree.meta, children)


def _is_fresh(obj: Any) -> bool:
    trace = session()
    return isinstance(obj, tuple) or trace.is_new(obj, trace.depth)


def _other(values: Sequence[Any]) -> Any:
    first = one_level(values[0])
    for value in values:
        level = one_level(value)
        if (level and level[1]) != (first and first[1]):
            return value
    return values[-1]


def _describe(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, Box):
        return f"a value of type {value.aval}"
    tree = flatten(value)[1]
    text = repr(value) if tree.kind is None else f"of structure {tree}"
    return text if len(text) < 80 else text[:76] + " ..."


def leaves_as(tree: TreeDef, value: Any) -> list[Any]:
    """The leaves of a value, by a structure that it has."""
    if tree.kind is None:
        return [value]
    if value is ABSENT:
        return [ABSENT] * tree.num_leaves
    if tree.kind is Optional:
        inner, given = _taken_apart(value)
        return [*leaves_as(tree.children[0], inner), given]
    level = one_level(value)
    assert level is not None, (tree, value)
    pairs = zip(tree.children, level[0], strict=True)
    return [leaf for child, part in pairs for leaf in leaves_as(child, part)]


def _taken_apart(value: Any) -> tuple[Any, Any]:
    """What an Optional, or what may stand in its place, has for leaves."""
    if type(value) is Optional:
        return value.value, value.given
    return (ABSENT, False) if value is None else (value, True)


def containers(tree: TreeDef, value: Any) -> Iterator[Any]:
    """The mutable containers of a value that a structure takes apart.

    ABSENT stands for those that are not there.
    """
    if tree.kind is None:
        return
    if tree.kind is Optional:
        inner = ABSENT if value is ABSENT else _taken_apart(value)[0]
        yield from containers(tree.children[0], inner)
        return
    if not issubclass(tree.kind, tuple | NoneType):
        yield value
    if value is ABSENT:
        for child in tree.children:
            yield from containers(child, ABSENT)
        return
    level = one_level(value)
    assert level is not None, (tree, value)
    for child, part in zip(tree.children, level[0], strict=True):
        yield from containers(child, part)


@dataclass
class Merge:
    """A place's new value and what it was made of; `keeps` the outermost object."""

    tree: TreeDef
    new: Any
    sources: Sequence[Any]
    keeps: bool = False

    def containers(self) -> Iterator[tuple[Any, list[Any]]]:
        """New containers, each with what it was merged from."""
        columns = [list(containers(self.tree, s)) for s in self.sources]
        for k, made in enumerate(containers(self.tree, self.new)):
            if k or not self.keeps:
                sources = [column[k] for column in columns]
                yield made, [s for s in sources if s is not ABSENT]


def freeze(merges: Sequence[Merge], source: Any) -> None:
    """Allow no more writes to containers that others may stand for as well.

    These are new ones merged from older or frozen ones, or from what another new one
    was merged from, and all of the older ones.
    """
    trace = session()
    made = [pair for merge in merges for pair in merge.containers()]
    uses = Counter(
        id(obj) for _, old in made for obj in {id(o): o for o in old}.values()
    )
    for new, sources in made:
        older = [o for o in sources if not trace.is_new(o, trace.depth)]
        frozen = any(id(o) in trace.frozen or uses[id(o)] > 1 for o in sources)
        for obj in [new, *older] if older or frozen else []:
            trace.frozen.setdefault(id(obj), (obj, source))
