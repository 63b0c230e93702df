"""Reading what a function finds around it: nothing read is ever stale.

Arrays become inputs of the Program, fetched anew at every call. Numbers, strings,
flags and the identity of objects become guards, asked at every call. What comes from
an object of the outside is of the outside as well.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import partial
from operator import getitem
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tracejit.base.errors import StagingError
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    as_box,
    box_of,
    call,
    captured_box,
    plain,
)
from tracejit.frontend.grown import grown_in
from tracejit.frontend.parts import JOINERS
from tracejit.frontend.places import (
    UNDEFINED,
    AttributePlace,
    Buffer,
    Contents,
    Place,
    Variable,
)
from tracejit.frontend.session import MISSING, Count, Session, session
from tracejit.frontend.trace import Guard
from tracejit.frontend.trips import Resumable, Trips
from tracejit.frontend.undecided import settled

#: Packages whose contents do not change and whose functions are called as they are.
LIBRARIES = frozenset(sys.stdlib_module_names) - {"__main__", "this"} | {
    "numpy",
    "scipy",
    "tracejit",
    "numba",
}
_PLAIN = int | float | complex | str | bytes | np.generic | None | range | slice


def is_library(module: str | None) -> bool:
    """Whether a module belongs to Python, NumPy and the like.

    The functions that `tracejit.testing` makes are made of the user's, and those of
    some other modules of ours are written to be staged like them.
    """
    module = module or ""
    if module == "tracejit.testing" or module.startswith("tracejit.frontend.plain_"):
        return False
    return module.partition(".")[0] in LIBRARIES


def equal(a: Any, b: Any) -> bool:
    """Whether a value is still what it was; NaN equals NaN."""
    if a is b:
        return True
    if not isinstance(a, _PLAIN) or type(a) is not type(b):
        return False
    if isinstance(a, float) and a == b == 0:
        return math.copysign(1, a) == math.copysign(1, b)  # type: ignore[arg-type]
    if isinstance(a, complex):
        return repr(a) == repr(b)
    return bool(a == b) or (a != a and b != b)


def read(key: Any, value: Any, fetch: Callable[[], Any], what: str) -> Any:
    """A value just read from a place of the outside; `fetch` reads it again."""
    if isinstance(value, Box):
        return value
    trace = session()
    entry = trace.entries.setdefault(key, value)
    if isinstance(value, np.ndarray) or _is_input(key, value):
        return capture(key, value, fetch, what)
    if isinstance(value, ModuleType):
        return value
    # What this call assigned before it read it cannot be stale.
    if entry is not MISSING and (entry is value or isinstance(value, _PLAIN)):
        guard(trace, key, entry, fetch, what)
    if not isinstance(value, _PLAIN):
        trace.outside.setdefault(id(value), (value, what))
    return int(value) if type(value) is Count else value


def _is_input(key: Any, value: Any) -> bool:
    """Whether a number of the outside is one of the program's: the call changes it."""
    advice = session().advice
    number = type(value) in (int, float, complex) or isinstance(value, np.number)
    return number and key in advice.inputs and key not in advice.pinned


def outlives(place: Any) -> bool:
    """Whether a place is part of an object that is there after the call."""
    if not isinstance(place, Place) or isinstance(place, Variable | Buffer):
        return False
    owner = place.owner
    inside = id(owner) in session().born or isinstance(owner, FunctionType)
    return not inside or is_outside(owner)


def current(place: Place) -> Any:
    """The value of a place, where a loop or branch may leave it as it is."""
    value = place.get()
    if value is UNDEFINED or value is MISSING or not outlives(place):
        return value
    if not isinstance(place, Contents) or isinstance(place, GlobalPlace):
        return read(place.key, value, place.get, str(place).strip("`"))
    new = imported(place.owner)
    if isinstance(value, dict) and new is not place.owner:
        value.update(new)
        return value
    return new.copy() if new is place.owner else new


def is_count(place: Place, value: Any) -> bool:
    """Whether a place holds a counter of the outside, counted up."""
    return type(value) is Count and value.key == place.key


def to_count(key: Any, value: Any, read: Callable[[], Any]) -> Any:
    """What is read in `n += …`, where `read()` would guard it: no guard on a count."""
    counted = type(value) is Count and value.key == key
    if not (counted or type(value) is int) or key in session().advice.inputs:
        return read()
    session().entries.setdefault(key, value)
    guarded = key in session().guards or session().entries[key] is MISSING
    return value if counted or guarded else Count.at(value, key)


def guard(
    trace: Session, key: Any, entry: Any, fetch: Callable[[], Any], what: str
) -> None:
    """Rely on `fetch()` giving what it gave when this trace first asked."""
    if key not in trace.guards:
        trace.guards[key] = Guard(
            lambda: equal(entry, _attempt(fetch)),
            what,
            None if entry is MISSING else fetch,
            entry,
        )


def _attempt(fetch: Callable[[], Any]) -> Any:
    try:
        return fetch()
    except (AttributeError, LookupError, NameError, ValueError, TypeError):
        return MISSING


def capture(key: Any, value: Any, fetch: Callable[[], Any], what: str) -> Box:
    """An array of the outside, or a number that the call changes, as an input."""
    trace = session()
    if isinstance(value, np.ndarray):
        return captured_box(key, value, fetch, what)
    if key not in trace.boxes:
        kind = "scalar" if isinstance(value, np.generic) else "python"
        number = trace.capture(key, value, fetch, what)
        trace.boxes[key] = box_of(number.var, kind)
    return trace.boxes[key]


def is_outside(obj: Any) -> bool:
    """Whether an object came from outside of the staged call."""
    return id(obj) in session().outside


def name_of(obj: Any) -> str:
    """What an outside object is called in messages."""
    found = session().outside.get(id(obj))
    return found[1] if found else type(obj).__name__


# Variables ----------------------------------------------------------------------------


class Surroundings:
    """The globals and closure cells of one function."""

    def __init__(self, fn: FunctionType):
        self.fn, self.globals = fn, fn.__globals__
        names = fn.__code__.co_freevars
        self.cells = dict(zip(names, fn.__closure__ or (), strict=True))
        builtins = self.globals.get("__builtins__", {})
        self.builtins = builtins if isinstance(builtins, dict) else vars(builtins)

    def global_(self, name: str) -> Any:
        """Read a global or builtin."""
        scope = self.globals
        if name not in scope:
            if name not in self.builtins:
                raise NameError(f"name {name!r} is not defined", name=name)
            return self.builtins[name]
        value = scope[name]
        key = "global", id(scope), name
        return read(key, value, partial(scope.__getitem__, name), name)

    def all_globals(self) -> dict[str, Any]:
        """`globals()`: a dict of the outside."""
        session().outside.setdefault(id(self.globals), (self.globals, "globals()"))
        return self.globals

    def closure(self, name: str) -> Any:
        """Read a variable of an enclosing function."""
        cell = self.cells[name]
        try:
            value = cell.cell_contents
        except ValueError:
            raise NameError(
                f"cannot access free variable '{name}' where it is not associated "
                "with a value in enclosing scope"
            ) from None
        if name == "__class__":
            return value
        fetch = partial(getattr, cell, "cell_contents")
        return read(("closure", id(cell)), value, fetch, name)

    def set_global(self, name: str, value: Any) -> None:
        """Assign a global."""
        place = GlobalPlace(self.globals, name)
        session().record(place)
        place.set(value)

    def set_closure(self, name: str, value: Any) -> None:
        """Assign a variable of an enclosing function."""
        cell = self.cells[name]
        place = AttributePlace(cell, "cell_contents")
        place.name, place.key = "cell_contents", ("closure", id(cell))
        session().record(place)
        cell.cell_contents = value

    def to_update(self, name: str) -> Any:
        """A variable of the outside that is read in `n += 1`: no guard on a count."""
        if name in self.cells:
            cell = self.cells[name]
            value = _attempt(lambda: cell.cell_contents)
            return to_count(("closure", id(cell)), value, lambda: self.closure(name))
        key = "global", id(self.globals), name
        return to_count(key, self.globals.get(name), lambda: self.global_(name))

    def defaults(self) -> tuple[Any, ...] | None:
        """Default values of the parameters."""
        fn, values = self.fn, self.fn.__defaults__
        if values is None:
            return None
        return tuple(
            [
                read(
                    ("default", id(fn), k),
                    value,
                    lambda k=k: fn.__defaults__[k],  # type: ignore
                    f"{fn.__name__}(default {k})",
                )
                for k, value in enumerate(values)
            ]
        )

    def keyword_defaults(self) -> dict[str, Any] | None:
        """Default values of the keyword-only parameters."""
        fn, values = self.fn, self.fn.__kwdefaults__
        if values is None:
            return None
        return {
            name: read(
                ("default", id(fn), name),
                value,
                lambda name=name: fn.__kwdefaults__[name],  # type: ignore
                f"{fn.__name__}({name}=…)",
            )
            for name, value in values.items()
        }


class GlobalPlace(Contents):
    """A global variable."""

    def __init__(self, scope: dict[str, Any], name: str):
        self.owner, self.name = scope, name
        self.key = "global", id(scope), name

    def get(self) -> Any:
        return self.owner.get(self.name, MISSING)

    def set(self, value: Any) -> None:
        if value is MISSING:
            del self.owner[self.name]
        else:
            self.owner[self.name] = value

    def __str__(self) -> str:
        return f"global `{self.name}`"


# Attributes and items -----------------------------------------------------------------


def is_users(obj: Any) -> bool:
    """Whether an object is an instance of a class of the user's that can change."""
    if isinstance(obj, tuple | type | ModuleType | FunctionType | MethodType | Enum):
        return False
    return type(obj) is not Box and not is_library(type(obj).__module__)


def meet(obj: Any) -> None:
    """Rely on nothing that is in an object that came in by whatever way."""
    trace = session()
    if id(obj) not in trace.born and is_users(obj):
        trace.outside.setdefault(id(obj), (obj, type(obj).__name__))


def _of_class(obj: Any, name: str) -> type | None:
    """The class of the user's that `obj.name` is a plain attribute of."""
    if name in getattr(obj, "__dict__", ()):
        return None
    owner = next((c for c in type(obj).__mro__ if name in vars(c)), object)
    computed = hasattr(type(vars(owner).get(name)), "__get__")
    return None if computed or is_library(owner.__module__) else owner


def attribute(obj: Any, name: str) -> Any:
    """`obj.name`, where it needs no code of the user's to run."""
    if type(obj) is Box:
        return getattr(obj, name)
    meet(obj)
    if isinstance(obj, ModuleType):
        value = getattr(obj, name)
        if is_library(obj.__name__):
            return value
    elif is_outside(obj):
        value = getattr(obj, name)
        if isinstance(value, MethodType) or _computed(obj, name):
            return value
    else:
        value = getattr(obj, name)
        cls = _of_class(obj, name)
        if cls is not None and id(value) not in session().born:
            key = "attribute", id(cls), name
            what = f"{cls.__name__}.{name}"
            return read(key, value, partial(getattr, cls, name), what)
        if isinstance(value, np.ndarray) and not isinstance(obj, np.ndarray):
            return loose(value)
        return value
    key = "attribute", id(obj), name
    owner = name_of(obj) if not isinstance(obj, ModuleType) else obj.__name__
    return read(key, value, partial(getattr, obj, name), f"{owner}.{name}")


def _computed(obj: Any, name: str) -> bool:
    """Whether reading an attribute makes a new object every time."""
    return getattr(obj, name) is not getattr(obj, name)


def item(obj: Any, key: Any) -> Any:
    """`obj[key]` of a builtin container, or of `np.r_` and `np.c_`."""
    if id(obj) in JOINERS:
        return JOINERS[id(obj)](key)
    if isinstance(obj, dict) and isinstance(key, Box):
        key = plain(key)
    grown = grown_in(obj)
    if grown is not None:
        if isinstance(key, slice):
            return session().make(grown.part(key))
        return grown.element(grown.place_of(key))
    if isinstance(obj, list | tuple) and type(key) is Box and key.concrete() is None:
        return _picked(imported(obj), key)
    if not is_outside(obj):
        if isinstance(obj, defaultdict) and key not in obj:
            session().record(Contents(obj))
            return session().make(obj[key])
        value = obj[key]
        if isinstance(value, list) and isinstance(key, slice):
            return session().make(value)
        return loose(value) if isinstance(value, np.ndarray) else value
    if isinstance(key, slice) or not isinstance(obj, list | tuple | dict):
        return imported(obj)[key]
    if isinstance(obj, list | tuple):
        key = key.__index__()
    return _element(obj, key, obj[key])


def _picked(values: list[Any] | tuple[Any, ...], key: Box) -> Any:
    """The number at a traced place in a list of numbers."""
    boxes = [as_box(v) for v in values if isinstance(v, Box | int | float | complex)]
    if len(boxes) < len(values) or any(b.kind == "array" for b in boxes):
        key.__index__()  # which says that it cannot be known
    found = call(np.asarray, list(values))[HANDLERS[int](key)]
    kinds = {box.kind for box in boxes}
    return box_of(found.read(), "python") if kinds == {"python"} else found


def _element(obj: Any, key: Any, value: Any) -> Any:
    where = "item", id(obj), key
    return read(where, value, partial(getitem, obj, key), f"{name_of(obj)}[{key!r}]")


def loose(array: np.ndarray[Any, Any]) -> Any:
    """An array met in an object that is not known to be of the outside."""
    if array.dtype.kind not in "biufc":
        return array
    return captured_box(("array", id(array)), array, lambda: array, "array")


def imported(obj: Any) -> Any:
    """A container of the outside, as one of what `read` makes of its elements."""
    if isinstance(obj, Iterator):
        require_new(obj)
    grown = grown_in(obj)
    if grown is not None:
        return session().make(grown.elements())
    if not is_outside(obj) or not isinstance(
        obj, list | tuple | dict | set | frozenset
    ):
        return obj
    trace = session()
    size_key = "keys", id(obj)
    # What the call has changed by now is not what it relies on.
    _, before = trace.originals.get(("contents", id(obj)), (None, obj))
    keys = list(before) if isinstance(obj, dict | set | frozenset) else len(before)
    entry = trace.entries.setdefault(size_key, keys)

    def unchanged() -> bool:
        now = list(obj) if isinstance(obj, dict | set | frozenset) else len(obj)
        return now == entry

    trace.guards.setdefault(size_key, Guard(unchanged, f"the keys of {name_of(obj)}"))
    if isinstance(obj, set | frozenset):
        return obj
    if isinstance(obj, dict):
        new = {k: _element(obj, k, v) for k, v in obj.items()}
        return trace.make(new)
    elements = [_element(obj, k, v) for k, v in enumerate(obj)]
    if isinstance(obj, list):
        return trace.make(elements)
    plain = hasattr(obj, "_fields") and not getattr(obj, "__dict__", None)
    return type(obj)(*elements) if plain else tuple(elements)


def plain_range(obj: Any) -> Any:
    """A range of known bounds as NumPy and Python know it; the rest as it is."""
    return obj.plain if isinstance(obj, Trips) and obj.is_range else obj


def require_new(iterator: Any) -> None:
    """Refuse to use up, in a probe, an iterator that was there before."""
    if isinstance(iterator, Resumable) and iterator.resumes:
        return
    trace = session()
    home = trace.born.get(id(iterator), (None, None))[1]
    if trace.depth > 1 and home is not trace.builder.stack[-1]:
        raise StagingError(
            f"a {type(iterator).__name__} made before a loop or branch is used up "
            "in it, which cannot be undone",
            trace.builder.loc,
            "make a list of it first",
        )


def own_iterator(values: Any) -> Any:
    """What an object of the user's gives to iterate over; others as they are."""
    run = getattr(type(values), "__iter__", None)
    if isinstance(run, FunctionType) and not is_library(type(values).__module__):
        return session().call(run, values)
    return values


def iter_(values: Any) -> Iterable[Any]:
    """What to iterate over in place of `values`."""
    if isinstance(values, np.ndarray):
        values = loose(values)
    values = own_iterator(settled(values))
    if grown_in(values) is not None:
        return imported(values)
    if type(values) is list and not is_outside(values):
        return Items(values)
    if isinstance(values, list | tuple) and not is_outside(values):
        arrays = any(isinstance(v, np.ndarray) for v in values)
        return (
            [loose(v) if isinstance(v, np.ndarray) else v for v in values]
            if arrays
            else values
        )
    return imported(values)


class Items:
    """The elements of a list that may grow meanwhile, but not come into arrays."""

    def __init__(self, items: list[Any]):
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        k = 0
        while k < len(self.items):
            value = self.items[k]
            yield loose(value) if isinstance(value, np.ndarray) else value
            grown = grown_in(self.items)
            if grown is not None:
                grown.refuse()
            k += 1
