"""Indexing by arrays of traced length: `x[indices[a:b]]`, read and written.

Each element is one access at a traced index, so that nothing is as long as the most
there can be but what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.frontend.bounds import normal_index
from tracejit.frontend.box import HANDLERS, Box, as_box, box_of, call, copied
from tracejit.frontend.indexing import expand, getitem
from tracejit.frontend.lens import Part
from tracejit.frontend.ragged import (
    WHOLE,
    Counters,
    Env,
    Formula,
    Leaf,
    Ragged,
    nest,
    put_into,
    read_from,
    stored,
)
from tracejit.frontend.ragged_elements import finished, ragged, taking
from tracejit.ir.program import Atom
from tracejit.ops.promote import convert, fit


def _settled(box: Box, key: Any) -> tuple[list[Any], int]:
    """The entries of a key, one for each axis, and which one is the Ragged."""
    entries = expand(key, box.aval.ndim)
    at = [k for k, e in enumerate(entries) if type(e) is Ragged]
    index, others = entries[at[0]], [e for e in entries if type(e) is not Ragged]
    simple = all(e == slice(None) or _is_integer(e) for e in others if e is not None)
    simple = simple and not any(e is None for e in others)
    if len(at) > 1 or index.ndim != 1 or index.dtype.kind not in "iu" or not simple:
        index.refuse("this index")
    numbers = [k for k, e in enumerate(entries) if _is_integer(e)]
    if any(not _is_integer(e) for e in entries[min([*numbers, at[0]]) : at[0]]):
        index.refuse("this index")  # NumPy would put its axis first
    if any(not _is_integer(e) for e in entries[at[0] + 1 : max([*numbers, at[0]])]):
        index.refuse("this index")
    return entries, at[0]


def _is_integer(entry: Any) -> bool:
    return not (entry is None or isinstance(entry, slice) or type(entry) is Ragged)


def _axes(entries: Sequence[Any], at: int) -> list[Any]:
    """The axes of what a key picks."""
    span = entries[at].spans[0]
    kept = [k for k, e in enumerate(entries) if k == at or not _is_integer(e)]
    return [span if k == at else WHOLE for k in kept]


def gather(box: Box, key: Any) -> Any:
    """`box[key]`, a copy."""
    entries, at = _settled(box, key)
    places = entries[at].formula()
    whole = Ragged(box, (WHOLE,) * box.aval.ndim).formula(stored=True)

    def element(counters: Counters, env: Env) -> Box:
        place = places.at(counters, env)
        values = whole.at([], env)
        return as_box(getitem(values, (*entries[:at], place, *entries[at + 1 :])))

    moved = [Leaf(leaf.ragged, leaf.atom, None) for leaf in whole.leaves]
    return finished(Formula(element, (*places.leaves, *moved)), _axes(entries, at))


def scatter(box: Box, key: Any, value: Any, ufunc: np.ufunc | None = None) -> None:
    """`box[key] = value`; with a ufunc, that of what is there and the value."""
    box.require_writable()
    if box.one_of:  # nobody knows which: into a copy, and that back into it
        whole = copied(box)
        scatter(whole, key, value, ufunc)
        box.write(whole.read())
        return
    entries, at = _settled(box, key)
    axes = _axes(entries, at)
    root, before = box.root, box.root.read()
    index = entries[at]
    places = index.formula()
    values = taking(ragged(value), axes)
    if any(leaf.atom is before for leaf in values.leaves):
        values = taking(stored(values, axes), axes)

    def body(counters: Counters, carried: Sequence[Atom]) -> list[Atom]:
        place = places.at(counters, {})
        view = _element(box, [*entries[:at], place, *entries[at + 1 :]])
        new = values.at(counters, {})
        if ufunc is not None:
            new = call(ufunc, box_of(read_from(view, carried[0])), new)
        atom = fit(convert(as_box(new).read(), box.aval.dtype), view.aval.shape)
        return [put_into(view, carried[0], atom)]

    (after,) = nest(index.spans, [before], body)
    root.write(after)


def _element(box: Box, entries: list[Any]) -> Box:
    """The part of a box at an index along some axes: a view."""
    shape = box.aval.shape
    starts: list[Any] = []
    sizes: list[int | None] = []
    for k, (entry, extent) in enumerate(zip(entries, shape, strict=True)):
        whole = isinstance(entry, slice)
        starts.append(0 if whole else normal_index(entry, extent, k))
        sizes.append(extent if whole else None)
    return box.through(Part(shape, tuple(starts), tuple(sizes), (1,) * len(shape)))


HANDLERS["gather at ragged"] = gather
HANDLERS["scatter at ragged"] = scatter
