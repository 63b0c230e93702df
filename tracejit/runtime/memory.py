"""How the arrays of a call lie in memory, looked at where one of them is written to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from tracejit.base.errors import OverlapError, UnsupportedDTypeError
from tracejit.frontend.lens import may_meet_itself
from tracejit.frontend.memory import Memory, Stretch, Where
from tracejit.frontend.stage import Staged

#: Whether two arrays share an element is asked with this much effort; those that may
#: are taken to.
EFFORT = 10_000
MAX_ROUNDS = 4

Arrays = Mapping[Where, np.ndarray]


def stage_in_memory(
    make: Callable[[Memory], Staged], traced: Iterable[Any], acting: bool
) -> Staged:
    """What `make` stages, for memory as that of the arguments is.

    Which arrays are written to is only known once it has been staged.
    """
    memory, traced = Memory(), list(traced)
    for _ in range(MAX_ROUNDS):
        staged = make(memory)
        found = memory_of(staged, traced)
        if found == memory:
            return staged
        if not acting:
            break
        memory = found
    raise OverlapError(
        f"{staged.program.name} writes to an array that shares memory with another one",
        None,
        "pass a copy: f(x, x.copy())",
    )


def memory_of(staged: Staged, traced: Collection[Any]) -> Memory:
    """How the arrays lie that a trace writes to, and those that it reads."""
    writes = staged.writes
    if not writes.exclusive:
        return Memory()
    arrays = _arrays(staged, traced)
    frozen = [p for p in writes.written if not arrays[p].flags.writeable]
    arrays = {p: arrays[p] for p in writes.used}
    stretches = [_stretch(arrays, group) for group in groups(arrays, writes.exclusive)]
    return Memory(tuple(stretches), frozenset(frozen if writes.acting else ()))


def _arrays(staged: Staged, traced: Iterable[Any]) -> dict[Where, np.ndarray]:
    """The arrays of a call, by place."""
    arrays: dict[Where, Any] = dict(enumerate(traced))
    for place, captured in staged.trace.captured.items():
        arrays[place] = captured.fetch()
    return {k: x for k, x in arrays.items() if isinstance(x, np.ndarray)}


def stretches(staged: Staged, traced: Iterable[Any]) -> list[np.ndarray]:
    """The memory that arrays of a call share, as flat arrays."""
    found = staged.writes.memory.stretches
    if not found:
        return []
    arrays = _arrays(staged, traced)
    return [_flat(stretch, arrays) for stretch in found]


def groups(arrays: Arrays, exclusive: Collection[Where]) -> list[list[Where]]:
    """Places of arrays that share memory, one of which is in `exclusive`."""
    spans = {p: span(a) for p, a in arrays.items() if a.size}
    group_of: dict[Where, list[Where]] = {}
    for place in exclusive:
        if place not in spans:
            continue
        array = arrays[place]
        if not array.flags.c_contiguous and may_meet_itself(array.shape, array.strides):
            group_of.setdefault(place, [place])
        low, high = spans[place]
        for other, (start, stop) in spans.items():
            apart = stop <= low or high <= start
            if apart or other == place or not _share(array, arrays[other]):
                continue
            mine = group_of.setdefault(place, [place])
            theirs = group_of.setdefault(other, [other])
            if mine is not theirs:
                mine += theirs
                group_of.update(dict.fromkeys(theirs, mine))
    return list({id(g): g for g in group_of.values()}.values())


def span(array: np.ndarray) -> tuple[int, int]:
    """The addresses of an array's first byte, and of the one after its last."""
    low = high = array.__array_interface__["data"][0]
    for extent, stride in zip(array.shape, array.strides, strict=True):
        reach = (extent - 1) * stride
        low, high = min(low, low + reach), max(high, high + reach)
    return low, high + array.itemsize


def _share(a: np.ndarray, b: np.ndarray) -> bool:
    try:
        return np.shares_memory(a, b, max_work=EFFORT)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def _stretch(arrays: Arrays, group: Collection[Where]) -> Stretch:
    places = sorted(group, key=repr)
    first = arrays[places[0]]
    low, high = _ends(arrays, places)
    size = first.itemsize
    members = []
    for place in places:
        array = arrays[place]
        offset = array.__array_interface__["data"][0] - low
        if array.dtype != first.dtype or not array.dtype.isnative:
            raise UnsupportedDTypeError(
                f"arrays of dtypes {first.dtype} and {array.dtype} share memory, and "
                "one of them is written to",
                None,
                "pass a copy: f(x, x.copy())",
            )
        if any(n % size for n in (offset, *array.strides)):
            raise OverlapError(
                "arrays share memory that is written to, but not whole elements of it",
                None,
                "pass a copy: f(x, x.copy())",
            )
        strides = tuple([s // size for s in array.strides])
        members.append((place, offset // size, strides))
    return Stretch(tuple(members), (high - low) // size, first.dtype)


def _ends(arrays: Arrays, places: Iterable[Where]) -> tuple[int, int]:
    spans = [span(arrays[p]) for p in places]
    return min(low for low, _ in spans), max(high for _, high in spans)


class _Window:
    """Memory seen through NumPy's array interface; `holds` keep it alive."""

    def __init__(self, interface: dict[str, Any], holds: list[np.ndarray]):
        self.__array_interface__, self.holds = interface, holds


def _flat(stretch: Stretch, arrays: Arrays) -> np.ndarray:
    """The memory of a stretch, as an array."""
    places = [place for place, *_ in stretch.members]
    low, _ = _ends(arrays, places)
    interface = {
        "data": (low, False),
        "shape": (stretch.size,),
        "typestr": stretch.dtype.str,
        "version": 3,
    }
    return np.asarray(_Window(interface, [arrays[p] for p in places]))
