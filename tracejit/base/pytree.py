"""Containers of arrays: flatten to leaves and back.

Known are tuple, list, dict (by insertion order), namedtuple and other classes of tuples
(with what attributes they have, as SciPy's results), dataclass and None (no leaves);
`register_pytree_node` adds others. A TreeDef is hashable and compares by structure, so
that it can key a cache.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TreeDef:
    """The structure of a pytree: `kind` None is a leaf."""

    kind: Any
    meta: Hashable = None
    children: tuple[TreeDef, ...] = ()

    @property
    def num_leaves(self) -> int:
        return 1 if self.kind is None else sum(c.num_leaves for c in self.children)

    def __str__(self) -> str:
        if self.kind is None:
            return "*"
        inner = ", ".join(map(str, self.children))
        return f"{getattr(self.kind, '__name__', self.kind)}({inner})"


LEAF = TreeDef(None)

Flatten = Callable[[Any], tuple[Iterable[Any], Hashable]]
Unflatten = Callable[[Hashable, list[Any]], Any]

_REGISTRY: dict[type, tuple[Flatten, Unflatten]] = {
    tuple: (lambda x: (x, None), lambda meta, xs: tuple(xs)),
    list: (lambda x: (x, None), lambda meta, xs: xs),
    dict: (
        lambda x: (x.values(), tuple(x)),
        lambda keys, xs: dict(zip(keys, xs, strict=True)),  # type: ignore[call-overload]
    ),
    OrderedDict: (
        lambda x: (x.values(), tuple(x)),
        lambda keys, xs: OrderedDict(zip(keys, xs, strict=True)),  # type: ignore[call-overload]
    ),
    defaultdict: (
        lambda x: (x.values(), (x.default_factory, tuple(x))),
        lambda meta, xs: defaultdict(meta[0], zip(meta[1], xs, strict=True)),  # type: ignore[index]
    ),
    type(None): (lambda x: ((), None), lambda meta, xs: None),
}


def register_pytree_node(cls: type, flatten: Flatten, unflatten: Unflatten) -> None:
    """Teach tracejit a container.

    `flatten(x)` returns `(children, metadata)`, with hashable metadata;
    `unflatten(metadata, children)` rebuilds it.

    >>> class Pair:
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    >>> register_pytree_node(
    ...     Pair, lambda p: ((p.a, p.b), None), lambda meta, xs: Pair(*xs)
    ... )
    >>> flatten(Pair(1.0, 2.0))[0]
    [1.0, 2.0]
    """
    _REGISTRY[cls] = (flatten, unflatten)


def _node(tree: Any) -> tuple[Iterable[Any], Hashable] | None:
    """Children and metadata of a container; None for a leaf."""
    cls = type(tree)
    if cls in _REGISTRY:
        return _REGISTRY[cls][0](tree)
    if isinstance(tree, tuple) and not hasattr(cls, "n_fields"):  # not one of C's
        extra = getattr(tree, "__dict__", {})
        return [*tree, *extra.values()], (len(tree), tuple(extra))
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = tuple(f.name for f in dataclasses.fields(tree))
        return [getattr(tree, n) for n in names], names
    return None


def one_level(tree: Any) -> tuple[list[Any], TreeDef] | None:
    """The children of a container, and its structure where they are leaves."""
    node = _node(tree)
    if node is None:
        return None
    children = list(node[0])
    return children, TreeDef(type(tree), node[1], (LEAF,) * len(children))


def by_items(tree: TreeDef) -> bool:
    """Whether a container is of a class of tuples, and has its items alone."""
    kind, meta = tree.kind, tree.meta
    return kind not in _REGISTRY and issubclass(kind, tuple) and meta[1] == ()  # type: ignore[index]


def by_attributes(tree: TreeDef) -> bool:
    """Whether the children of a container are its attributes, named by `meta`."""
    kind = tree.kind
    plain = kind in _REGISTRY or issubclass(kind, tuple)
    return not plain and dataclasses.is_dataclass(kind)


def flatten(tree: Any) -> tuple[list[Any], TreeDef]:
    """The leaves of a pytree, in order, and its structure.

    >>> flatten({"w": 1.0, "b": (2.0, 3.0)})[0]
    [1.0, 2.0, 3.0]
    """
    leaves: list[Any] = []
    return leaves, _visit(tree, leaves)


def _visit(tree: Any, leaves: list[Any]) -> TreeDef:
    """The structure; no closure, which would keep the leaves alive in a cycle."""
    node = _node(tree)
    if node is None:
        leaves.append(tree)
        return LEAF
    children, meta = node
    return TreeDef(type(tree), meta, tuple([_visit(c, leaves) for c in children]))


def unflatten(treedef: TreeDef, leaves: Sequence[Any]) -> Any:
    """The pytree of structure `treedef` with these leaves."""
    return _build(treedef, iter(leaves))


def _build(node: TreeDef, rest: Iterator[Any]) -> Any:
    if node.kind is None:
        return next(rest)
    children = [_build(c, rest) for c in node.children]
    if node.kind in _REGISTRY:
        return _REGISTRY[node.kind][1](node.meta, children)
    if issubclass(node.kind, tuple):
        meta: Any = node.meta
        count, names = meta
        return _tuple(node.kind, children[:count], names, children[count:])
    new = object.__new__(node.kind)  # a dataclass; __init__ may want other things
    for name, child in zip(node.meta, children, strict=True):  # type: ignore[call-overload]
        object.__setattr__(new, name, child)
    return new


def tuple_like(model: tuple[Any, ...], elements: Iterable[Any]) -> Any:
    """A tuple of the class of `model`, and its attributes, with other elements."""
    own = getattr(model, "__dict__", {})
    return _tuple(type(model), elements, own, own.values())


def _tuple(
    cls: type, elements: Iterable[Any], names: Iterable[str], values: Iterable[Any]
) -> Any:
    """An instance of a class of tuples; its `__new__` may want other things."""
    new: Any = tuple.__new__(cls, elements)
    if names:
        vars(new).update(zip(names, values, strict=True))
    return new


def spread(prefix: Any, tree: TreeDef) -> list[Any] | None:
    """What a prefix of a structure says of each of its leaves.

    A number or None stands for all that is below it. None where it is no prefix.

    >>> spread((0, None), flatten((1.0, {"a": 2.0, "b": 3.0}))[1])
    [0, None, None]
    """
    if prefix is None or isinstance(prefix, int):
        return [prefix] * tree.num_leaves
    node = _node(prefix)
    if node is None or type(prefix) is not tree.kind:
        return None
    children = list(node[0])
    if isinstance(prefix, dict):  # by key: the order may be another
        meta: Any = tree.meta
        keys = meta[1] if isinstance(prefix, defaultdict) else meta
        if prefix.keys() != set(keys):
            return None
        children = [prefix[key] for key in keys]
    if len(children) != len(tree.children):
        return None
    found = [spread(c, t) for c, t in zip(children, tree.children, strict=True)]
    return None if None in found else [x for part in found for x in part]  # type: ignore[union-attr]


def tree_map(fn: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Apply `fn` to corresponding leaves; the result has the structure of `tree`."""
    leaves, treedef = flatten(tree)
    others = [flatten(r)[0] for r in rest]
    return unflatten(treedef, [fn(*xs) for xs in zip(leaves, *others, strict=True)])
