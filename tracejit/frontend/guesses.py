"""What an inner loop carried in one probe of the loop around it, for the next probe.

Without this every level of a nest would double the number of probes. A guess is exact:
its places have the types that they have before the loop, which are the least that they
can have, and it is dropped where a probe leaves one of them unchanged, or fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tracejit.base.pytree import LEAF
from tracejit.frontend.aliases import is_open
from tracejit.frontend.box import Box
from tracejit.frontend.carry import Carried, Spec, leaf_type
from tracejit.frontend.places import Buffer, Frame, Place, Variable
from tracejit.frontend.session import session
from tracejit.frontend.stand_in import Stale


def remember(frame: Frame, source: Any, found: Iterable[tuple[Place, Spec]]) -> None:
    """Note what the loop `source` of a call carries, in the end."""
    simple = [(p, s) for p, s in found if isinstance(p, Buffer) or _is_number(p, s)]
    session().findings[source, id(frame)] = frame, simple


def _is_number(place: Place, spec: Spec) -> bool:
    (leaf, *more) = spec.leaves or (None,)
    number = isinstance(leaf, Carried) and leaf.kind != "array" and not more
    return isinstance(place, Variable) and number and not spec.maybe


def guesses(frame: Frame, source: Any) -> Iterator[tuple[Place, Spec]]:
    """Places that the loop will carry, if it does what it did, and their types."""
    known, simple = session().findings.get((source, id(frame)), (None, ()))
    for place, spec in simple if known is frame else ():
        if isinstance(place, Buffer):
            if is_open(place.owner) and not isinstance(place.owner.value, Stale):
                yield place, spec
        elif spec.tree == LEAF and leaf_type(place.get()) == spec.leaves[0]:
            yield place, spec


def is_untouched(after: Any, given: Any) -> bool:
    """Whether a place ends a round with the parameter that it began with."""
    return (after.value if isinstance(after, Box) else after) is given
