"""What the entry of calls has to know of a call: how to read it, run it, answer it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.base.pytree import (
    LEAF,
    TreeDef,
    by_attributes,
    by_items,
    one_level,
    unflatten,
)


@dataclass(frozen=True)
class Given:
    """An object of the call in the structure that it returns; see `Reading`."""

    number: int


@dataclass(frozen=True)
class Leaf:
    """A result in the structure that a call returns: which, and as what kind."""

    kind: str
    number: int | Given


@dataclass(frozen=True)
class Step:
    """Objects read from another one; `kind` is a name in `entry_words`."""

    kind: str
    source: int = 0
    type: Any = None
    count: int = 1
    extra: Any = None


@dataclass
class Reading:
    """How calls of one form are taken apart.

    Objects have numbers: first what the caller gives, positional arguments and then
    those by the keywords `names`, then what the steps read, in their order. `inputs`
    are those that the kernel gets, with their types (`origins` has the arguments that
    these are copies of, by number); `same` those that must be what
    they were; `donated` are inputs, `outs` arrays for results: (object, result).
    """

    positional: int
    names: tuple[str, ...]
    steps: list[Step] = field(default_factory=list)
    inputs: list[tuple[int, type]] = field(default_factory=list)
    same: list[tuple[int, Any]] = field(default_factory=list)
    origins: dict[int, int] = field(default_factory=dict)
    donated: Sequence[int] = ()
    outs: list[tuple[int, int]] = field(default_factory=list)

    @property
    def given(self) -> int:
        return self.positional + len(self.names)

    def read(self, kind: str, source: int = 0, *args: Any, **kwargs: Any) -> range:
        """Add a step; the numbers of what it reads."""
        first = self.given + sum(step.count for step in self.steps)
        step = Step(kind, source, *args, **kwargs)
        self.steps.append(step)
        return range(first, first + step.count)

    def add_input(self, number: int, value: Any) -> None:
        """Let the kernel get an object that is like `value`."""
        if type(value) is np.ndarray and not value.flags.c_contiguous:
            pack = _Packer(value.strides)
            (packed,) = self.read("OPENED", number, None, 1, pack)
            self.origins[packed] = number
            number = packed
        self.inputs.append((number, type(value)))

    def open(self, number: int, tree: TreeDef) -> list[int]:
        """Take an object apart; the numbers of its leaves."""
        if tree.kind is None:
            return [number]
        count, kind, meta = len(tree.children), tree.kind, tree.meta
        if kind is type(None):
            self.same.append((number, None))
            return []
        if kind is tuple:
            parts = self.read("TUPLE", number, kind, count)
        elif kind is list:
            parts = self.read("LIST", number, kind, count)
        elif kind is dict:
            parts = self.read("DICT", number, kind, count, meta)
        elif by_items(tree):
            parts = self.read("TUPLE", number, kind, count)
        elif by_attributes(tree):
            parts = self.read("ATTRIBUTES", number, kind, count, meta)
        else:
            one = TreeDef(kind, meta, (LEAF,) * count)
            parts = self.read("OPENED", number, None, count, _Opener(one))
        pairs = zip(parts, tree.children, strict=True)
        return [leaf for part, child in pairs for leaf in self.open(part, child)]


def placed(tree: Any, out: Any, number: int, reading: Reading) -> Any:
    """What a call returns that gets arrays for its results, `out`, as an object.

    Raises `ValueError` where C cannot tell what goes where.
    """
    if out is None:
        reading.same.append((number, None))
        return tree
    if isinstance(tree, Leaf):
        if isinstance(tree.number, Given):
            raise ValueError("a result that is an argument")
        reading.outs.append((number, tree.number))
        return Leaf("array", Given(number))
    one, other = one_level(tree), one_level(out)
    if one is None or other is None:
        raise ValueError("no result is computed there")
    numbers = reading.open(number, one[1])
    parts = zip(one[0], other[0], numbers, strict=True)
    return unflatten(one[1], [placed(t, o, n, reading) for t, o, n in parts])


@dataclass(frozen=True)
class _Packer:
    """Makes arrays with these strides contiguous, as kernels need them."""

    strides: tuple[int, ...]

    def __call__(self, array: Any) -> tuple[np.ndarray] | None:
        if type(array) is not np.ndarray or array.strides != self.strides:
            return None
        return (np.ascontiguousarray(array),)


@dataclass(frozen=True)
class _Opener:
    """Takes containers apart that C knows nothing of."""

    wanted: TreeDef

    def __call__(self, thing: Any) -> tuple[Any, ...] | None:
        found = one_level(thing)
        if found is None or found[1] != self.wanted:
            return None
        return tuple(found[0])


@dataclass
class Call:
    """What the entry has to know of a kernel.

    `slots` are the kernel's arguments as words, those fixed for all calls filled in;
    `inputs` are (slot, dtype, shape) of what `reading` reads, in that order, `results`
    the same; inputs in `written` are written to, those in `exclusive` share no memory
    with others; `fail(status)` is the error that a status other than 0 stands for;
    `recycled` are the results whose memory serves again; `temporaries` are (slot,
    offset) in a block of `room` bytes; `run` is the address of the kernel, which
    `owner` keeps; one that is `brief` keeps the GIL.
    """

    run: int
    fail: Callable[[int], Any]
    slots: list[int]
    reading: Reading
    inputs: list[tuple[int, np.dtype[Any], tuple[int, ...]]]
    results: list[tuple[int, np.dtype[Any], tuple[int, ...]]]
    written: Sequence[int] = ()
    exclusive: Sequence[int] = ()
    recycled: Sequence[int] = ()
    temporaries: Sequence[tuple[int, int]] = ()
    room: int = 0
    owner: Any = None
    brief: bool = False
