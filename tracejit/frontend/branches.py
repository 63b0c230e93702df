"""`if`, the ternary, `and`, `or`, `not` and chained comparisons on traced data.

Both branches are run, one after the other, each into a region of its own; what the
first one wrote is undone before the second. What either one changed becomes a result
of the `cond`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np

from tracejit.base.errors import InternalError, StagingError
from tracejit.base.pytree import LEAF, flatten
from tracejit.frontend.aliases import links
from tracejit.frontend.box import Box, call, is_static
from tracejit.frontend.carry import (
    Carried,
    Referred,
    Spec,
    array_leaves,
    avals,
    decode,
    encode,
    leaf_type,
    same,
    spec_of,
)
from tracejit.frontend.grown import Form, bounds, grown_in
from tracejit.frontend.growth import growing, need_of, same_steps
from tracejit.frontend.lift import Meta
from tracejit.frontend.outside import current
from tracejit.frontend.places import (
    UNDEFINED,
    Buffer,
    Contents,
    Frame,
    Maybe,
    Place,
    Variable,
    Watch,
    assign,
)
from tracejit.frontend.references import References
from tracejit.frontend.session import Raised, Restage, session
from tracejit.frontend.stand_in import Stale
from tracejit.frontend.state import binary
from tracejit.frontend.trees import Merge, containers, freeze
from tracejit.frontend.undecided import Optional, Undecided, narrowed
from tracejit.ir.aval import Aval
from tracejit.ir.builder import new_region
from tracejit.ir.program import Atom, Eqn, Region, walk
from tracejit.ops.control import check, cond
from tracejit.ops.promote import bound

_TRUTH = Aval(np.dtype(bool))


def traced(value: Any) -> bool:
    """Whether only the program that runs will know the value."""
    return isinstance(value, Box) and not is_static(value)


def condition(value: Any) -> Any:
    """A value to decide by: of a list kept in arrays, whether it has elements."""
    if type(value) is Optional:
        there = value.given if value.known is None else value.known
        return all_of(there, lambda: value.value)
    grown = grown_in(value)
    return value if grown is None else grown.length > 0


def _decided(value: Any) -> Any:
    """A value to decide by that is the result, too."""
    grown = grown_in(value)
    if grown is not None and bounds(grown.length)[0] < 1:
        grown.refuse()
    return value


def truth(value: Any) -> Any:
    """The truth of a value: a Python bool, or a traced one."""
    value = condition(value)
    if not traced(value):
        return bool(value)
    return value if value.aval == _TRUTH else call(bool, value)


class Branch:
    """One side of a traced `if`, run into a region of its own.

    `assumed`: the condition, and whether it is true in this branch.
    """

    def __init__(
        self,
        frame: Frame,
        run: Callable[[], Any],
        assumed: tuple[Atom, bool] | None = None,
    ):
        trace = session()
        self.assumed = assumed
        watch = Watch(frame)
        self.diverges = False
        self.effects: list[Any] = []
        self.frozen: dict[int, Any] = {}
        begun, frozen = len(trace.effects), trace.frozen.copy()
        self.value: Any = None
        self.changes: dict[Any, tuple[Place, Any]] = {}
        try:
            with trace.builder.open() as self.eqns:
                try:
                    with self.assuming():
                        self.value = self.narrowed(run())
                except Raised:
                    self.diverges = True
                except Exception as error:
                    trace.escaped = error
                    raise
                changed = watch.changes()
                self.changes = {k: (p, p.get()) for k, p in changed.items()}
                self.effects = trace.effects[begun:]
        finally:
            del trace.effects[begun:]
            self.frozen = trace.frozen
            inside = {
                k: v for k, v in trace.frozen.items() if trace.is_new(v[0], watch.depth)
            }
            trace.frozen = frozen | inside
            watch.undo()

    def require_whole(self, place: Place, spec: Spec, value: Any) -> None:
        """Refuse to merge a container that this branch wrote to: that is undone."""
        if isinstance(value, Maybe):
            value = value.value
        if value is UNDEFINED or isinstance(place, Buffer):
            return
        written = {id(p.owner) for p, _ in self.changes.values()}
        if any(id(obj) in written for obj in containers(spec.tree, value)):
            raise StagingError(
                f"{place} is replaced on one path and written to on another",
                session().builder.loc,
                "do the same on all paths",
            )

    def require_apart(self, place: Place) -> None:
        """Refuse to change what was put into a list before, when it runs once more."""
        found = self.frozen.get(id(place.owner))
        if found is not None and type(found[1]) is Form:
            error = StagingError(
                f"{place} is put into a growing list and changed in the next round",
                session().builder.loc,
                "append a copy of it",
            )
            raise session().unsure(error, {found[1]})

    def accept(self) -> None:
        """The branch becomes part of the program: its draws and prints count."""
        session().effects.extend(self.effects)
        session().frozen |= self.frozen

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Emit into this branch again, where arrays hold what it wrote."""
        trace = session()
        mark = len(trace.log)
        with trace.builder.reopen(self.eqns):
            try:
                for place, value in self.changes.values():
                    if isinstance(place, Buffer):
                        place.restore(value)
                yield
            finally:
                trace.undo_to(mark)

    def assuming(self) -> Any:
        """What is staged in the block may rely on the condition."""
        return session().assuming(*self.assumed) if self.assumed else nullcontext()

    def narrowed(self, value: Any) -> Any:
        """A value that is None here, or surely is not, as what it is."""
        with self.assuming():
            return narrowed(value)

    def after(self, place: Place) -> Any:
        """The value of a place at the end of the branch."""
        if place.key in self.changes:
            return self.narrowed(self.changes[place.key][1])
        return self.narrowed(current(place))


def raise_again(eqns: Sequence[Eqn]) -> None:
    """A region that always runs ended in a `raise`: so does what is around it."""
    error = next(e.params["error"] for e in reversed(eqns) if e.prim is check)
    check(False, error=error)
    raise Raised


def if_(
    frame: Frame,
    test: Any,
    then: Callable[[], Any],
    orelse: Callable[[], Any] | None,
    meta: Meta,
) -> None:
    """`if test: then() else: orelse()`."""
    orelse, test = orelse or _nothing, condition(test)
    if not traced(test):
        (then if test else orelse)()
        return
    branch(frame, test, then, orelse, meta.live)


def _nothing() -> None:
    return None


def branch(
    frame: Frame,
    test: Any,
    then: Callable[[], Any],
    orelse: Callable[[], Any],
    live: frozenset[str] | None,
) -> Any:
    """Stage both sides; the merged value of `then()` and `orelse()`, if they have one.

    `live` are the variables of `frame` that matter afterwards (None: all of them).
    """
    pred = truth(test).read()
    run = partial(_branch, frame, pred, then, orelse, live)
    try:
        return growing(source_of(then), 1, run, few=True)
    except (Restage, Raised, InternalError):
        raise
    except Exception:
        test.concrete(False)  # staging may begin again with that known
        raise


def _branch(
    frame: Frame,
    pred: Atom,
    then: Callable[[], Any],
    orelse: Callable[[], Any],
    live: frozenset[str] | None,
) -> Any:
    first = Branch(frame, then, (pred, True))
    if first.diverges:
        # What follows a raise is the other side alone, outside of any `cond`.
        first.accept()
        _emit(pred, first.eqns, [], [], [])
        return orelse()
    second = Branch(frame, orelse, (pred, False))
    if second.diverges:
        second.accept()
        _emit(pred, [], second.eqns, [], [])
        return then()
    emit = partial(_emit, pred, first.eqns, second.eqns)
    return _merge(frame, (first, second), live, source_of(then), emit)


def source_of(run: Callable[..., Any]) -> Any:
    """A name of the place in the source of a branch or a loop's body."""
    while isinstance(run, partial):
        run = run.func
    return run.__code__


def alone(run: Callable[[], Any], emit: Callable[[Region], list[Atom]]) -> Any:
    """Stage `run()`, which always runs, into a region; its value.

    `emit` makes an equation of the region, and returns its results outside of it.
    """
    frame, trace = Frame(), session()

    def once() -> Any:
        with trace.entered(trace.once):
            return run()

    side = Branch(frame, once)
    if side.diverges:
        raise_again(side.eqns)

    def emitted(results: list[Atom]) -> list[Atom]:
        return emit(Region([], side.eqns, results))

    return _merge(frame, (side,), None, None, emitted)


def _merge(
    frame: Frame,
    sides: Sequence[Branch],
    live: frozenset[str] | None,
    source: Any,
    emit: Callable[..., list[Atom]],
) -> Any:
    """Put the places that the sides changed; `emit` takes the results of each."""
    places = {k: p for side in sides for k, (p, _) in side.changes.items()}
    for place in places.values():
        if isinstance(place, Contents):
            afters = [side.after(place) for side in sides]
            if (error := need_of(place, place.get(), afters)) is not None:
                raise error
    grown = same_steps(places, [side.after for side in sides])
    for side in sides:
        side.accept()
    result = _Result()
    if any(side.value is not None for side in sides):
        places[result.key] = result
    dead = [p for p in places.values() if _is_dead(p, frame, live)]
    stale = stale_after([side.changes for side in sides])
    lost = [place for place, _ in stale]
    other = [*dead, *lost, *(place for place, _ in grown)]
    kept = [p for p in places.values() if p not in other]
    either = [
        (place, values)
        for place in kept
        if isinstance(place, Variable)
        and _differ(values := [side.after(place) for side in sides])
    ]
    kept = [place for place in kept if all(place is not p for p, _ in either)]
    refer = source in session().advice.refer
    past = {
        p.key: [s.value if p is result else s.after(p) for s in sides] for p in kept
    }
    specs = [spec_of(place, past[place.key], refer=refer) for place in kept]
    ways: dict[Any, list[Any]] = {}
    for place, spec in zip(kept, specs, strict=True):
        for k, value in enumerate(past[place.key]):
            sides[k].require_whole(place, spec, value)
            for leaf, box in array_leaves(place, spec, value).items():
                ways.setdefault((place.key, leaf), [None for _ in sides])[k] = box
    held = References()
    held.widen(referred(zip(kept, specs, strict=True)), ways)
    results: list[list[Atom]] = [[] for _ in sides]
    for k, side in enumerate(sides):
        with side.entered():
            for place, spec in zip(kept, specs, strict=True):
                results[k] += encode(place, spec, past[place.key][k])
            results[k] += held.encode({key: boxes[k] for key, boxes in ways.items()})
    outs = emit(*results)
    split = len(outs) - len(held.types())
    arrays, rest = held.decode(outs[split:]), iter(outs)
    boxes: dict[Any, Box] = {}
    merges: list[Merge] = []
    for place, spec in zip(kept, specs, strict=True):
        boxes |= put(place, spec, [next(rest) for _ in avals(spec)], arrays)
        merges.append(merge_of(place, spec, past[place.key]))
    links(ways).entangle(boxes, source)
    freeze(merges, None)
    for place, change in grown:
        assign(place, place.get() + change)
    for place in dead:
        assign(place, UNDEFINED)
    for place, values in either:
        assign(place, Undecided(str(place), values))
    for place, value in stale:
        place.set(value)
    return result.value


def _differ(values: Sequence[Any]) -> bool:
    """Whether they are unlike objects, none of which a program can hold."""
    if any(v is None or v is UNDEFINED for v in values):
        return False
    if any(isinstance(v, Maybe | Optional) for v in values):
        return False
    if any(leaf_type(v) or flatten(v)[1] != LEAF for v in values):
        return False
    return not all(same(values[0], v) for v in values[1:])


def referred(places: Iterable[tuple[Place, Spec]]) -> dict[Any, Aval]:
    """The types of the leaves that are kept by reference."""
    return {
        (place.key, k): leaf.aval
        for place, spec in places
        for k, leaf in enumerate(spec.leaves)
        if isinstance(leaf, Referred)
    }


def stale_after(
    changes: Iterable[dict[Any, tuple[Place, Any]]],
) -> list[tuple[Place, Stale]]:
    """Arrays that one side at least leaves stale, each with what it holds."""
    found = {
        key: (place, value)
        for side in changes
        for key, (place, value) in side.items()
        if isinstance(value, Stale)
    }
    return list(found.values())


class _Result(Place):
    """Where the value of a ternary goes."""

    key = "result"
    logged = False
    value: Any = None

    def get(self) -> Any:
        return self.value

    def set(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return "the value of this expression"


def _is_dead(place: Place, frame: Frame, live: frozenset[str] | None) -> bool:
    own = isinstance(place, Variable) and place.owner is frame
    return own and live is not None and place.name not in live  # type: ignore


def put(
    place: Place, spec: Spec, atoms: Sequence[Atom], arrays: Mapping[Any, Box]
) -> dict[Any, Box]:
    """Store what a branch or loop computed; the new boxes of arrays, by leaf.

    `arrays` are all that is kept by reference.
    """
    if isinstance(place, Buffer):
        place.set(atoms[0])
        return {}
    own = {leaf: box for (key, leaf), box in arrays.items() if key == place.key}
    value = decode(spec, atoms, own)
    assign(place, value)
    new = {
        k: box
        for k, box in array_leaves(place, spec, value).items()
        if isinstance(spec.leaves[k], Carried)
    }
    return {(place.key, k): box for k, box in new.items()}


def merge_of(place: Place, spec: Spec, past: Sequence[Any]) -> Merge:
    """What was merged at a place that holds its new value by now."""
    plain = [v.value if isinstance(v, Maybe) else v for v in [place.get(), *past]]
    new, *sources = plain
    if isinstance(place, Contents):
        new = place.owner
    if isinstance(place, Buffer):
        return Merge(spec.tree, None, [])
    known = [s for s in sources if s is not UNDEFINED]
    return Merge(spec.tree, new, known, isinstance(place, Contents))


def _emit(
    pred: Atom,
    then: list[Eqn],
    orelse: list[Eqn],
    results: list[Atom],
    others: list[Atom],
) -> list[Atom]:
    """The `cond`, without the results that are one Atom on both sides."""
    differ = [
        k for k, (a, b) in enumerate(zip(results, others, strict=True)) if a is not b
    ]
    out: list[Atom] = list(results)
    sides = [
        new_region([], eqns, [atoms[k] for k in differ])
        for eqns, atoms in ((then, results), (orelse, others))
    ]
    effects = any(eqn.prim.effect for side in sides for eqn in walk(side))
    if differ or effects:
        values = cond(pred, regions=sides)
        for k, value in zip(differ, values, strict=True):
            out[k] = bound("select", value, [pred, results[k], others[k]])
    return out


# Expressions --------------------------------------------------------------------------


def choose(test: Any, then: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
    """`then() if test else orelse()`."""
    test = condition(test)
    if not traced(test):
        return then() if test else orelse()
    return branch(Frame(), test, then, orelse, None)


def and_(first: Any, *rest: Callable[[], Any]) -> Any:
    """`first and rest[0]() and …`; what comes later runs only if needed."""
    for k, thunk in enumerate(rest):
        first = _decided(first)
        if traced(condition(first)):
            return choose(first, _more(and_, rest[k:]), partial(_given, first))
        if not first:
            return first
        first = thunk()
    return first


def or_(first: Any, *rest: Callable[[], Any]) -> Any:
    """`first or rest[0]() or …`; what comes later runs only if needed."""
    for k, thunk in enumerate(rest):
        first = _decided(first)
        if traced(condition(first)):
            inner = first.value if type(first) is Optional else first
            return choose(first, partial(_given, inner), _more(or_, rest[k:]))
        if first:
            return first
        first = thunk()
    return first


def _given(value: Any) -> Any:
    return value


def _more(logic: Callable[..., Any], rest: Sequence[Callable[[], Any]]) -> Any:
    return lambda: logic(rest[0](), *rest[1:])


def all_of(first: Any, *rest: Callable[[], Any]) -> Any:
    """`and` where only the truth of the result matters."""
    return _until(truth(first), False, [_truth_of(thunk) for thunk in rest])


def any_of(first: Any, *rest: Callable[[], Any]) -> Any:
    """`or` where only the truth of the result matters."""
    return _until(truth(first), True, [_truth_of(thunk) for thunk in rest])


def _until(first: Any, stop: bool, rest: Sequence[Callable[[], Any]]) -> Any:
    """The first truth that is `stop`, or else the last; later ones run only if needed.

    What is `stop` whatever the data are, as `x > 0 and False` is, is a known bool.
    """
    for k, thunk in enumerate(rest):
        if traced(first):
            more, known = _more_truths(stop, rest[k:]), partial(_given, stop)
            sides = (known, more) if stop else (more, known)
            return choose(first, *sides)
        if first is stop:
            return first
        first = thunk()
    return first


def _more_truths(stop: bool, rest: Sequence[Callable[[], Any]]) -> Any:
    return lambda: _until(rest[0](), stop, rest[1:])


def _truth_of(thunk: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: truth(thunk())


def not_(value: Any) -> Any:
    """`not value`."""
    value = condition(value)
    return np.logical_not(truth(value)) if traced(value) else not value


def none_of(*flags: Any) -> Any:
    """Whether none of our own flags is set: cheap, so nothing is left out."""
    if any(not traced(f) and f for f in flags):
        return False
    unsure = [f for f in flags if traced(f)]
    if not unsure:
        return True
    some = unsure[0]
    for flag in unsure[1:]:
        some = np.logical_or(some, flag)
    return np.logical_not(some)


def compare(symbols: Sequence[str], left: Any, *rest: Callable[[], Any]) -> Any:
    """`a < b < c`: `a < b and b < c`, where `b` is evaluated once."""
    symbol, *more = symbols
    right = rest[0]()
    result = binary(symbol, left, right)
    if not more:
        return result
    return and_(result, lambda: compare(more, right, *rest[1:]))
