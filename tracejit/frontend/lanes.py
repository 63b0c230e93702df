"""`vmap` while staging: the function is staged once, for one lane of a parallel loop.

    for k in range(lanes): out[k] = fn(x[k], …)

A lane runs exactly the user's program, with its own branches taken and its own number
of rounds: there are no rules for batches. It sees the arguments as they are on entry,
and what it does to them stays in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.base.errors import (
    MappedAxisError,
    UnsupportedDTypeError,
    UnsupportedError,
)
from tracejit.base.pytree import TreeDef, unflatten
from tracejit.frontend.box import (
    C_ORDER,
    UNKNOWN,
    Box,
    as_box,
    box_of,
    copied,
)
from tracejit.frontend.calls import call
from tracejit.frontend.lens import c_strides
from tracejit.frontend.outside import is_count
from tracejit.frontend.places import Buffer, Frame, Watch, assign
from tracejit.frontend.session import session
from tracejit.frontend.stage import results_of
from tracejit.frontend.trips import Trips
from tracejit.ir.builder import current
from tracejit.ir.program import Atom, Eqn, Var
from tracejit.ops.rows import Row, row, rows

#: Which axis of the stacks each result's lanes are put along; None: it has no lanes.
Places = Callable[[TreeDef, Sequence[Atom]], Sequence[int | None]]


class Lanes:
    """The staging of one map: `count` lanes of `fn`, whose arguments' leaves have them
    along `axes` (None: every lane gets the whole)."""

    def __init__(self, fn: Callable[..., Any], count: int, axes: Sequence[int | None]):
        self.fn, self.count, self.axes = fn, count, axes

    def stage(
        self, leaves: Sequence[Any], treedef: TreeDef, places: Places, what: str
    ) -> Any:
        """Emit the loop; the results, stacked, in the structure `fn` returns."""
        given = [
            as_box(leaf) if axis is not None else leaf
            for leaf, axis in zip(leaves, self.axes, strict=True)
        ]
        for box, axis in zip(given, self.axes, strict=True):
            if axis is not None:
                box.read()  # in front of the loop, where it is at home
        self.watch = Watch(Frame())
        kept: list[Any] = []

        def lane(k: Var) -> Sequence[Row]:
            args, kwargs = unflatten(treedef, self._lane(given, k))
            kinds, atoms, others, tree = self._call(k, args, kwargs, what)
            for other in others.values():
                raise UnsupportedDTypeError(
                    f"{what} returns a {type(other).__name__}, which cannot be stacked",
                    session().builder.loc,
                    "return arrays and numbers",
                )
            axes = places(tree, atoms)
            whole = [a for a, axis in zip(atoms, axes, strict=True) if axis is None]
            kept.extend([kinds, tree, axes, self._out_of_lanes(whole, k, what)])
            stacked = zip(atoms, axes, strict=True)
            return [(atom, axis) for atom, axis in stacked if axis is not None]

        stacks = iter(rows(self.count, lane))
        kinds, tree, axes, whole = kept
        rest = iter(whole)
        results = [
            box_of(next(rest), kind) if axis is None else box_of(next(stacks))
            for kind, axis in zip(kinds, axes, strict=True)
        ]
        return unflatten(tree, results)

    def _lane(self, given: Sequence[Any], k: Var) -> list[Any]:
        """The arguments of lane `k`: its part of every array, or the whole."""
        lane: list[Any] = []
        for box, axis in zip(given, self.axes, strict=True):
            if axis is not None:
                part = row(box.read(), k, axis)
                kind = "array" if part.aval.shape else "scalar"
                lane.append(box_of(part, kind, _layout(box, axis)))
            elif type(box) is not Box:
                lane.append(box)
            elif box.known:
                lane.append(copied(box))
            else:
                lane.append(box_of(box.read(), box.kind, box._layout))
        return lane

    def _call(self, k: Var, args: Any, kwargs: Any, what: str) -> Any:
        trace = session()
        trips = Trips(0, self.count, 1)
        trace.counters.append((k, trips, self))
        try:
            with trace.entered(trace.lanes):
                found = results_of(call(self.fn, *args, **kwargs))
        finally:
            trace.counters.pop()
        for place in self.watch.changes().values():
            if isinstance(place, Buffer) or not is_count(place, place.get()):
                raise UnsupportedError(
                    f"{what}, which is mapped here, changes {place} outside of it: "
                    "lanes do not see one another",
                    trace.builder.loc,
                    "return the value, or write a loop",
                )
            counted = place.get()
            log = trace.log[self.watch.mark :]
            writes = [w for w in log if getattr(w.target, "key", None) == place.key]
            steps = counted - int(writes[0].before)  # of one lane
            assign(place, counted.moved(steps * (int(self.count) - 1)))
        return found

    def _out_of_lanes(self, whole: Sequence[Atom], k: Var, what: str) -> list[Atom]:
        """Results that every lane computes alike: computed once, before the lanes."""
        if not whole:
            return []
        builder = current()
        lane, before = builder.stack[-1], builder.stack[-2]
        varying: set[Var] = {k}
        alike: list[Eqn] = []
        own: list[Eqn] = []
        for eqn in lane:
            if varying.isdisjoint(eqn.uses()):
                alike.append(eqn)
            else:
                own.append(eqn)
                varying.update(eqn.outputs)
        if any(atom in varying for atom in whole):
            raise MappedAxisError(
                f"{what} returns what differs from lane to lane where out_axes is None",
                builder.loc,
                "give the axis to stack it along",
            )
        before.extend(alike)
        lane[:] = own
        return list(whole)


def _layout(box: Box, axis: int) -> Any:
    """How a part of the array lies in memory."""
    strides = box.strides_in_elements
    if strides is None:
        return UNKNOWN
    shape = box.aval.shape[:axis] + box.aval.shape[axis + 1 :]
    rest = strides[:axis] + strides[axis + 1 :]
    whole = all(a == b for a, b in zip(rest, c_strides(shape), strict=True))
    return C_ORDER if whole else rest
