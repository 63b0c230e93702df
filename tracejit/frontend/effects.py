"""What a call leaves behind in objects of the outside: counts, results, histories.

While staging, they are written to as plain Python would. Afterwards all of it is
undone, and an `Effect` does it anew in every call, with the numbers of that call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from tracejit.base.errors import OutsideStoreError
from tracejit.base.pytree import TreeDef, flatten, unflatten
from tracejit.frontend.box import Box
from tracejit.frontend.functions import is_lifted
from tracejit.frontend.grown import Grown, opened
from tracejit.frontend.memory import is_loose
from tracejit.frontend.outside import GlobalPlace, equal, is_outside, outlives
from tracejit.frontend.places import Contents, Place, base_of
from tracejit.frontend.session import MISSING, Count, Session, session
from tracejit.frontend.trace import Guard
from tracejit.ir.aval import Extent
from tracejit.ir.program import Atom, Var


@dataclass
class Effect:
    """`act` on a value whose leaves are static (kind None) or computed in the call."""

    act: Callable[[Any], Any]
    tree: TreeDef
    kinds: list[str | None]
    static: list[Any]

    def happen(self, computed: Iterator[Any], wrap: Callable[[str, Any], Any]) -> None:
        """Do it, taking what `kinds` asks for from the results of the program."""
        leaves = [
            leaf if kind is None else wrap(kind, next(computed))
            for kind, leaf in zip(self.kinds, self.static, strict=True)
        ]
        self.act(unflatten(self.tree, leaves))


@dataclass
class Change:
    """What became of one place of the outside, or of a part of it."""

    key: Any
    place: Place
    before: Any
    now: Any
    act: Callable[[Any], Any]


def effects_of(trace: Session) -> tuple[list[Effect], list[Atom]]:
    """What the staged call does to the outside, and the values that it needs."""
    effects: list[Effect] = []
    atoms: list[Atom] = []
    for change in list(_changes(trace)):
        if _is_own(trace, change.key, change.now):
            continue  # `obj.x += …`: the same array, which was written to
        _require_guard_kept(trace, change)
        now, act = opened(change.now), change.act
        if type(now) is Count and now.key == change.key:
            now, act = now.steps, partial(_step, act, _current(change))
        leaves, tree = flatten(now)
        kinds = [leaf.kind if isinstance(leaf, Box) else None for leaf in leaves]
        static = [None if isinstance(leaf, Box) else _plain(leaf) for leaf in leaves]
        for leaf in static:
            _require_plain(trace, leaf, change.place)
        atoms += [leaf.read() for leaf in leaves if isinstance(leaf, Box)]
        effects.append(Effect(act, tree, kinds, static))
    return effects, atoms


def left_in_arrays(
    trace: Session, written: Mapping[Var, Box]
) -> tuple[list[Effect], list[Atom]]:
    """Effects that leave in arrays of the outside what the call wrote into them.

    Arguments, which are among the inputs that are `written`, are left alone.
    """
    found = [
        (captured.fetch, written[captured.var])
        for key, captured in trace.captured.items()
        if captured.var in written and not is_loose(key)
    ]
    leaf = flatten(0.0)[1]
    effects = [
        Effect(partial(_fill, fetch), leaf, ["array"], [None]) for fetch, _ in found
    ]
    return effects, [box.root.read() for _, box in found]


def _fill(fetch: Callable[[], Any], value: Any) -> None:
    array = fetch()
    array[...] = value.reshape(array.shape)


def undo_outside() -> None:
    """Put the outside back as it was before staging."""
    for write in reversed(session().log):
        if outlives(write.target):
            write.undo()


def holding(mark: int) -> list[Place]:
    """Places of the outside that were given traced values since then."""
    places = [write.target for write in session().log[mark:]]
    written = {p.key: p for p in places if outlives(p)}
    return [p for p in written.values() if _holds_results(p)]


def _holds_results(place: Place) -> bool:
    """Whether a place holds traced values other than the arrays that it held before."""
    trace, value = session(), place.get()
    if isinstance(place, Contents) and isinstance(value, list | dict):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        keyed = [(("item", id(place.owner), k), v) for k, v in pairs]
        values = [v for key, v in keyed if not _is_own(trace, key, v)]
    else:
        values = [] if _is_own(trace, place.key, value) else [value]
    return any(isinstance(leaf, Box) for leaf in flatten(values)[0])


def _is_own(trace: Session, key: Any, value: Any) -> bool:
    """Whether a place holds the array that it held when it was first read."""
    return isinstance(value, Box) and value is trace.boxes.get(key)


def _plain(leaf: Any) -> Any:
    """A count or an extent as the number that Python has there."""
    return int(leaf) if isinstance(leaf, Count | Extent) else leaf


def _step(act: Callable[[Any], Any], current: Callable[[], Any], steps: int) -> None:
    act(current() + steps)


def _current(change: Change) -> Callable[[], Any]:
    """Reads what a counter is at when a call ends."""
    if change.key[0] != "item":
        return change.place.get
    owner, key = change.place.owner, change.key[2]
    return lambda: base_of(owner).__getitem__(owner, key)


def _changes(trace: Session) -> Iterator[Change]:
    written = {w.target.key: w.target for w in trace.log if outlives(w.target)}
    for key, place in written.items():
        before, now = trace.originals[key][1], place.get()
        if not isinstance(place, Contents) or isinstance(place, GlobalPlace):
            kept = key in trace.guards and equal(before, now)
            if (not kept and now is not before) or trace.entries.get(key) is MISSING:
                yield Change(key, place, before, now, place.set)
        elif id(place.owner) in trace.reordered:
            yield _whole(trace, place, before, now)
        elif not _same(before, now):
            yield from _parts(trace, place, before, now)


def _parts(trace: Session, place: Contents, before: Any, now: Any) -> Iterator[Change]:
    """The changes of a container, element by element where they say all."""
    owner = place.owner
    if isinstance(owner, dict) and before.keys() <= now.keys():
        for key, value in now.items():
            if key not in before or value is not before[key]:
                yield _element(place, key, before.get(key), value)
        return
    if isinstance(owner, list) and len(before) <= len(now):
        for k, value in enumerate(before):
            if now[k] is not value:
                yield _element(place, k, value, now[k])
        if len(now) > len(before):
            added = now[len(before) :]
            yield Change(place.key, place, None, added, owner.extend)
        return
    if isinstance(owner, set) and before <= now:
        added = [_plain(e) for e in now - before]
        yield Change(place.key, place, None, added, owner.update)
        return
    yield _whole(trace, place, before, now)


def _whole(trace: Session, place: Contents, before: Any, now: Any) -> Change:
    """All of a container: what went where in it depends on what there was."""
    trace.guards[place.key] = Guard(lambda: _same(before, place.get()), str(place))
    value = now if isinstance(now, list | dict) else list(now)
    return Change(place.key, place, before, value, place.set)


def _element(place: Contents, key: Any, before: Any, now: Any) -> Change:
    owner = place.owner
    where = "item", id(owner), key
    store = partial(base_of(owner).__setitem__, owner, _plain(key))
    return Change(where, place, before, now, store)


def _same(before: Any, now: Any) -> bool:
    """Whether a container holds the same elements, in order."""
    if isinstance(now, dict) and not _same(list(before), list(now)):
        return False
    values = [x.values() if isinstance(x, dict) else x for x in (before, now)]
    return all(equal(a, b) for a, b in zip_longest(*values, fillvalue=MISSING))


def _require_guard_kept(trace: Session, change: Change) -> None:
    """A number that was relied on and then changed is better an input."""
    advice, key = trace.advice, change.key
    before, now = change.before, change.now
    number = isinstance(before, int | float | complex | np.number)
    changed = number and type(before) is not bool and not equal(before, now)
    if changed and key in trace.guards and key not in advice.inputs | advice.pinned:
        raise trace.restage(inputs=[key])


def _require_plain(trace: Session, leaf: Any, place: Place) -> None:
    """Raise where an object would take traced values to the outside."""
    if _holds_traced(leaf, set()):
        raise OutsideStoreError(
            f"a {type(leaf).__name__} made of traced values is stored into {place}, "
            "which comes from outside of the staged function",
            trace.stores.get(place.key),
            "store arrays, numbers, or lists and dicts of them",
        )


def _holds_traced(obj: Any, seen: set[int]) -> bool:
    if isinstance(obj, Box | Grown):
        return True
    if id(obj) in seen:
        return False
    seen.add(id(obj))
    if isinstance(obj, FunctionType):
        return is_lifted(obj)
    parts: Sequence[Any] = ()
    if isinstance(obj, list | tuple | set | frozenset):
        parts = list(obj)
    elif isinstance(obj, dict):
        parts = [*obj.values()]
    elif not is_outside(obj) and not isinstance(obj, type | ModuleType):
        parts = [*getattr(obj, "__dict__", {}).values()]
        parts += [getattr(obj, name, None) for name in getattr(obj, "__slots__", ())]
    return any(_holds_traced(part, seen) for part in parts)
