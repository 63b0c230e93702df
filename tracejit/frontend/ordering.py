"""Order among traced values, as Python has it: `sorted`, and `a < b` of tuples."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.base.errors import TracedValueError
from tracejit.base.pytree import flatten, unflatten
from tracejit.frontend.box import Box, as_box, call, has_box, is_static, leaves, plain
from tracejit.frontend.numpy_calls import python_number
from tracejit.frontend.trace import current_trace

Compare = Callable[[str, Any, Any], Any]

#: Comparisons that go by the first pair of elements that differs.
COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}


def lexicographic(symbol: str, a: Sequence[Any], b: Sequence[Any], by: Compare) -> Any:
    """A comparison of two lists or tuples, whose elements are compared `by`."""
    pairs = list(zip(a, b, strict=False))
    if symbol in ("eq", "ne") and len(a) != len(b):
        return symbol == "ne"
    found: Any = getattr(operator, symbol)(len(a), len(b))
    for x, y in reversed(pairs):
        differ = call(bool, by("ne", x, y))
        decided = call(bool, by(symbol, x, y))
        if isinstance(differ, bool):
            found = decided if differ else found
        else:
            found = np.where(differ, decided, found)
    return call(bool, found)


def in_order(values: Sequence[Any], keys: Sequence[Any], reverse: bool) -> list[Any]:
    """The values in the order of their keys; equal ones stay as they stand."""
    count = len(values)
    if count < 2:
        return list(values)
    known = _deciding(keys)
    if known is not None:
        order = sorted(range(count), key=known.__getitem__, reverse=reverse)
        return [values[k] for k in order]
    rows = [[*leaves([key])] for key in keys]
    if len({len(row) for row in rows}) > 1:
        raise _undecided()
    columns = list(zip(*rows, strict=True))
    for leaf in leaves(keys):
        if isinstance(leaf, Box) and leaf.aval.shape:
            call(bool, leaf != leaf)  # an error, as the truth of an array is
    stacks = [call(np.array, list(c[::-1] if reverse else c)) for c in columns]
    places = call(np.lexsort, tuple(stacks[::-1]))
    if reverse:  # from the last to the first: twice turned around, equal ones stay
        places = (count - 1 - places)[::-1]
    parts, trees = zip(*map(flatten, values), strict=True)
    if any(tree != trees[0] for tree in trees):
        raise _undecided()
    picked = [_picked(column, places) for column in zip(*parts, strict=True)]
    return [unflatten(trees[0], [p[k] for p in picked]) for k in range(count)]


def _deciding(keys: Sequence[Any]) -> list[Any] | None:
    """What is known of the keys and puts them in order; None where data does it."""
    if all(map(is_static, leaves(keys))):
        return [_known(key) for key in keys]
    rows = [key if isinstance(key, tuple) else () for key in keys]
    for n in range(1, min(map(len, rows)) + 1):
        heads = [row[:n] for row in rows]
        if not all(isinstance(x, str | int) for head in heads for x in head):
            return None
        if len(set(heads)) == len(keys):
            return heads
    return None


def _known(key: Any) -> Any:
    if isinstance(key, list | tuple) and has_box(*key):
        known = map(_known, key)
        return list(known) if isinstance(key, list) else tuple(known)
    return plain(key)


def _picked(column: Sequence[Any], places: Box) -> list[Any]:
    """One leaf of each value, from the first place to the last."""
    if all(leaf is column[0] for leaf in column):
        return list(column)
    if not all(isinstance(x, Box | bool | int | float | np.generic) for x in column):
        raise _undecided()
    boxes = [as_box(x) for x in column]
    if len({box.aval.shape for box in boxes}) > 1:
        raise _undecided()
    stack = call(np.stack, boxes)
    found = [stack[places[k]] for k in range(len(column))]
    if all(box.kind == "python" for box in boxes):
        return [python_number(x) for x in found]
    return found


def _undecided() -> TracedValueError:
    return TracedValueError(
        "which of these objects comes first depends on traced numbers",
        current_trace().builder.loc,
        "put numbers and arrays of one shape in order, or the positions: np.argsort",
    )
