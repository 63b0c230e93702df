"""What a loop carries, found out by probing its body.

A probe runs the body once into a region and finds the places that it changes; these
are carried, and the body runs again with parameters in their stead until the types
stay. What the probes wrote is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.base.errors import (
    FenceError,
    StagingError,
    UnrollLimitError,
)
from tracejit.frontend.aliases import NO_LINKS, links
from tracejit.frontend.box import Box, box_of
from tracejit.frontend.branches import (
    Branch,
    merge_of,
    put,
    referred,
)
from tracejit.frontend.carry import Spec, array_leaves, avals, encode, spec_of
from tracejit.frontend.grown import Length
from tracejit.frontend.growth import (
    MANY,
    Lengths,
    need_of,
    of_data,
)
from tracejit.frontend.guesses import guesses, is_untouched, remember
from tracejit.frontend.lift import Meta
from tracejit.frontend.outside import current
from tracejit.frontend.places import (
    UNDEFINED,
    Frame,
    Place,
    Variable,
    assign,
)
from tracejit.frontend.references import References
from tracejit.frontend.session import Restage, session
from tracejit.frontend.stand_in import Stale
from tracejit.frontend.trees import Merge, freeze
from tracejit.frontend.trips import Trips, interval
from tracejit.ir.aval import Aval
from tracejit.ir.builder import fresh
from tracejit.ir.program import Atom, Var

NO_PAST = object()
INDEX = Aval(np.dtype(np.int64))
MAX_ROUNDS = 12
#: What no other way of staging the loop would cure.
GIVES_UP = (Restage, FenceError, UnrollLimitError)


class NothingTraced(Exception):
    """The body computes with plain Python values alone."""


class Slot:
    """A carried place: its type, and its value before the loop and after a round."""

    def __init__(self, place: Place, spec: Spec, before: Any, after: Any):
        self.place, self.spec, self.before, self.after = place, spec, before, after

    def params(self) -> list[Var]:
        """Fresh parameters for a region."""
        if isinstance(self.place, Variable):
            hint = self.place.name
        else:
            hint = getattr(self.place.get(), "hint", "")
        return [fresh(aval, hint) for aval in avals(self.spec)]

    def past(self, before: bool) -> list[Any]:
        """The values that the place may hold: `before` the loop too, or after it."""
        has_past = before and self.before is not NO_PAST
        return [self.before, self.after] if has_past else [self.after]

    def init(self) -> list[Atom]:
        """The values before the loop."""
        before = UNDEFINED if self.before is NO_PAST else self.before
        return encode(self.place, self.spec, before)


class Loop:
    """The staging of one loop: its slots, widened round by round."""

    def __init__(
        self,
        frame: Frame,
        meta: Meta,
        source: Any,
        runs: bool,
        trips: Trips | None = None,
        firm: bool = False,
    ):
        self.frame, self.meta, self.source = frame, meta, source
        self.firm = firm  # what is None before the loop is not to become something
        self.runs = runs  # surely at least once
        self.trips, self.lengths = trips, Lengths(trips)
        self.slots: dict[Any, Slot] = {}
        self.dead: dict[Any, Place] = {}
        self.stale: dict[Any, tuple[Place, Stale]] = {}
        self.links = NO_LINKS
        self.refer = source in session().advice.refer
        self.held = References()
        self.params: list[Var] = []
        self.boxes: dict[Any, Box] = {}
        #: The parameters of places that are carried because they were before.
        self.guessed: dict[Any, Var | None] = {}
        for place, spec in guesses(frame, source):
            before = self._before(place)
            if before is not NO_PAST:
                self.slots[place.key] = Slot(place, spec, before, before)
                self.guessed[place.key] = None

    def counter(self) -> Var:
        """A fresh counter, of a `for`."""
        assert self.trips is not None
        counter = fresh(INDEX)
        counter.interval = interval(self.trips)
        return counter

    def bind(self, counter: Var | None = None) -> None:
        """Put fresh parameters into the carried places, for the round of `counter`."""
        self.params, self.boxes = [], {}
        merges: list[Merge] = []
        cells = [fresh(aval) for aval in self.held.types()]
        arrays = self.held.decode(cells)
        for key, slot in self.slots.items():
            new = slot.params()
            if key in self.lengths.changes:
                self.lengths.bound(slot.place, slot.before, new[0])
            if key in self.guessed:
                self.guessed[key] = new[0]
            self.boxes |= put(slot.place, slot.spec, new, arrays)
            merges.append(merge_of(slot.place, slot.spec, slot.past(True)))
            self.params += new
        self.params += cells
        self.links.entangle(self.boxes, self.source)
        freeze(merges, self.source)
        for place, value in self.stale.values():
            place.set(value)
        self.lengths.bind(None if counter is None else box_of(counter, "python"))

    def fixpoint(self, run: Callable[[], Any], plain: bool = True) -> Branch | None:
        """Probe until the types settle: the last probe, or None if all is done.

        `run` binds the parameters, and runs the body.

        The loop is done when it changes nothing that matters. `plain`: it is given
        up when it emits nothing, as it computes with plain values of Python alone.
        """
        for _ in range(MAX_ROUNDS):
            try:
                probe = Branch(self.frame, run)
                settled = self.widen(probe)
            except Exception as error:
                if not self.guessed or isinstance(error, GIVES_UP):
                    raise
                self.forget()
                continue
            if self._guessed_too_much(probe):
                self.forget()
                continue
            if not probe.eqns and plain:
                probe.accept()
                if self.slots or probe.effects:
                    raise NothingTraced
                self.finish([])
                return None
            if settled:
                found = [(slot.place, slot.spec) for slot in self.slots.values()]
                remember(self.frame, self.source, found)
                probe.accept()
                return probe
        names = ", ".join(str(slot.place) for slot in self.slots.values())
        raise StagingError(f"the types of {names} never settle")

    def _guessed_too_much(self, probe: Branch) -> bool:
        return any(
            key not in probe.changes or is_untouched(probe.changes[key][1], given)
            for key, given in self.guessed.items()
        )

    def forget(self) -> None:
        """Begin again, without guesses."""
        for found in (self.slots, self.dead, self.stale, self.guessed):
            found.clear()
        self.lengths.clear()
        self.links, self.held = NO_LINKS, References()

    def widen(self, probe: Branch) -> bool:
        """Take in what a probe changed; whether nothing was new."""
        if probe.diverges:
            raise StagingError("every round of the loop ends in a `raise`")
        settled = True
        for key, (place, after) in probe.changes.items():
            if self._is_dead(place):
                self.dead[key] = place
                continue
            if isinstance(after, Stale):
                settled &= key in self.stale
                self.stale[key] = place, after
                self.slots.pop(key, None)
                continue
            slot = self.slots.get(key)
            before = slot.before if slot else self._before(place)
            probe.require_apart(place)
            seen = self._seen(before, after)
            error = need_of(place, before, seen, self.lengths.known(before))
            if error is not None:
                raise error if self._is_of_data(probe, after) else self._plain(place)
            if isinstance(place, Length):
                settled &= self.lengths.widen(place, before, after)
                if self.lengths.is_step(key):
                    continue
            old = slot.spec if slot else None
            spec = spec_of(place, seen, old, self.refer, self.firm)
            probe.require_whole(place, spec, after)
            settled &= spec == old
            self.slots[key] = Slot(place, spec, before, after)
        ways = self._ways(before=True)
        new = links(ways)
        settled &= new == self.links
        self.links = new
        types = referred((slot.place, slot.spec) for slot in self.slots.values())
        return not self.held.widen(types, ways) and settled

    def _ways(self, before: bool) -> dict[Any, list[Any]]:
        """For every carried array, what it was `before` and what a round made it."""
        ways: dict[Any, list[Any]] = {}
        for key, slot in self.slots.items():
            past = slot.before if before and slot.before is not NO_PAST else UNDEFINED
            for k, value in enumerate((past, slot.after)):
                leaves = array_leaves(slot.place, slot.spec, value)
                for leaf, box in leaves.items():
                    ways.setdefault((key, leaf), [None, None])[k] = box
        return ways

    def _is_dead(self, place: Place) -> bool:
        return self._is_own(place) and place.name not in self.meta.head  # type: ignore

    def _is_own(self, place: Place) -> bool:
        return isinstance(place, Variable) and place.owner is self.frame

    def _before(self, place: Place) -> Any:
        # A variable that every round assigns first has no past.
        if self.runs and self._is_own(place) and place.name not in self.meta.again:  # type: ignore
            return NO_PAST
        return current(place)

    def _is_of_data(self, probe: Branch, grown: list[Any]) -> bool:
        """Whether more than the counter decides on what a list holds.

        Where it does not, Python's own numbers in it are worth more than a loop, unless
        data decides which of them stay.
        """
        rounds = self.lengths.rounds
        picked = self.source in session().advice.picked
        return picked or rounds is None or rounds > MANY or of_data(probe.eqns, grown)

    def _plain(self, place: Place) -> StagingError:
        """The error for a list that had better hold plain numbers."""
        trace = session()
        trace.plain_lists[id(place.owner)] = place.owner, self.source
        return StagingError(
            f"{place} gets plain numbers of Python's", trace.builder.loc
        )

    def _seen(self, before: Any, after: Any) -> list[Any]:
        return [after] if before is NO_PAST else [before, after]

    def inits(self) -> list[Atom]:
        """The values of the parameters before the loop."""
        atoms = [atom for slot in self.slots.values() for atom in slot.init()]
        return atoms + self.held.encode(self._way(0))

    def _way(self, k: int) -> dict[Any, Any]:
        return {key: boxes[k] for key, boxes in self._ways(before=True).items()}

    def results(self, probe: Branch) -> list[Atom]:
        """What the body hands on; emitted into its region."""
        with probe.entered():
            atoms = [
                atom
                for slot in self.slots.values()
                for atom in encode(slot.place, slot.spec, slot.after)
            ]
            return atoms + self.held.encode(self._way(1))

    def carried_flags(self) -> list[Slot]:
        """The flags that are traced and end the loop early."""
        return [
            slot
            for slot in self.slots.values()
            if self._is_own(slot.place)
            and slot.place.name in self.meta.exits  # type: ignore[attr-defined]
            and slot.spec.carried
        ]

    def finish(self, outs: Sequence[Atom], counter: Var | None = None) -> None:
        """Store the final values; `counter` is where an ended loop stopped."""
        # Where the body surely ran, nothing is what it was before the loop.
        final = links(self._ways(before=not self.runs))
        rest = iter(outs)
        arrays = self.held.decode(outs[len(outs) - len(self.held.types()) :])
        made = [out for out in outs if isinstance(out, Var)]
        session().made_by.update(dict.fromkeys(made, self.source))
        boxes: dict[Any, Box] = {}
        merges: list[Merge] = []
        for slot in self.slots.values():
            atoms = [next(rest) for _ in avals(slot.spec)]
            if slot.place.key in self.lengths.changes:
                self.lengths.bound(slot.place, slot.before, atoms[0], after=True)
            boxes |= put(slot.place, slot.spec, atoms, arrays)
            past = slot.past(not self.runs)
            merges.append(merge_of(slot.place, slot.spec, past))
        final.entangle(boxes, self.source)
        freeze(merges, self.source)
        for place in self.dead.values():
            assign(place, UNDEFINED)
        for place, value in self.stale.values():
            place.set(value)
        self.lengths.finish(None if counter is None else box_of(counter, "python"))
