"""A body's results for k = 0, 1, … stacked: the lanes of a map, the rows of a matrix.

    for k in range(count): out = setitem(out, body(k), …, k, …)

Every round writes a part of its own and reads none: the rounds are independent, and
being a `for` like any other it needs no rules for its derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tracejit.ir.aval import Aval, Extent
from tracejit.ir.builder import current
from tracejit.ir.program import Atom, Literal, Region, Var
from tracejit.ops.control import emit_for
from tracejit.ops.index import getitem, setitem
from tracejit.ops.shape import empty

INDEX = Aval(np.dtype(np.int64))

#: What is stacked, and the axis of the stack that counts.
Row = tuple[Atom, int]


def rows(count: int, body: Callable[[Var], Sequence[Row]]) -> list[Atom]:
    """Emit `body` for every k below `count`; its results stacked along their axes."""
    index = Var(INDEX, "k")
    index.interval = (0, max(int(count) - 1, 0))
    stacks: list[Var] = []
    written: list[Atom] = []
    with current().open() as eqns:
        for atom, axis in body(index):
            shape = atom.aval.shape
            full = (*shape[:axis], count, *shape[axis:])
            stacks.append(Var(atom.aval.update(shape=full)))
            sizes = (*shape[:axis], None, *shape[axis:])
            starts = [index if size is None else 0 for size in sizes]
            steps = (1,) * len(sizes)
            written.append(setitem(stacks[-1], atom, *starts, sizes=sizes, steps=steps))
    inits = [empty(shape=v.aval.shape, dtype=v.aval.dtype) for v in stacks]
    region = Region([index, *stacks], eqns, written)
    runtime = isinstance(count, Extent) or count > 2
    bound = Literal(count, INDEX.dtype, runtime)
    return emit_for(0, bound, 1, inits, region, reverse=False)


def row(x: Atom, k: Atom, axis: int) -> Atom:
    """Part `k` of an array along an axis, which vanishes."""
    sizes = tuple(None if a == axis else n for a, n in enumerate(x.aval.shape))
    starts = [k if size is None else 0 for size in sizes]
    return getitem(x, *starts, sizes=sizes, steps=(1,) * len(sizes))
