"""Places that lifted code writes to: variables, attributes, containers, boxes.

A place can be read, set and compared; a probe ends with a list of the places that it
changed, whatever they are, and loops and branches treat them all alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracejit.frontend.aliases import keeps_list
from tracejit.frontend.box import Box
from tracejit.frontend.session import Session, session
from tracejit.frontend.stand_in import Stale
from tracejit.ir.program import Atom, Var
from tracejit.ops.control import Failure, check


class _Undefined:
    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = _Undefined()

#: A name that only some runs define is kept in its frame under this and its name.
MAYBE = "?"


@dataclass(eq=False)
class Maybe:
    """The value of a variable that was assigned in some runs only.

    `defined` is a traced bool; without a `value` none could be put in the program.
    """

    value: Any
    defined: Any
    why: str = ""


class Frame:
    """The local variables of one call of a lifted function, as attributes."""

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not in the frame's dict.
        maybe = self.__dict__.get(MAYBE + name)
        if maybe is None:
            raise UnboundLocalError(
                f"cannot access local variable '{name}' where it is not associated "
                "with a value"
            )
        loc = session().builder.loc
        message = (
            f"cannot access local variable '{name}': no branch that ran assigned it"
        )
        check(maybe.defined.read(), error=Failure(UnboundLocalError, (message,), loc))
        return maybe.value

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value
        # Programs and kernels are read by people: they know the user's names.
        var = value.value if type(value) is Box and value.base is None else None
        if isinstance(var, Var) and not var.hint and name[0] != "_":
            var.hint = name

    def __delattr__(self, name: str) -> None:
        if name not in self.__dict__:
            getattr(self, name)
            name = MAYBE + name
        del self.__dict__[name]


def new_frame() -> Frame:
    """A frame, noted as made here: a loop around does not carry its variables."""
    return session().make(Frame())


class Place:
    """Somewhere a value is kept. `key` is equal for equal places.

    `logged`: writes enter the log; a Watch sees to the variables of its own frame.
    """

    key: Any
    owner: Any
    logged = True

    def get(self) -> Any:
        raise NotImplementedError

    def set(self, value: Any) -> None:
        raise NotImplementedError


class Variable(Place):
    """A local variable of a lifted function."""

    def __init__(self, frame: Frame, name: str, logged: bool = False):
        self.owner, self.name, self.logged = frame, name, logged
        self.key = "variable", id(frame), name

    def get(self) -> Any:
        values = self.owner.__dict__
        found = values.get(self.name, UNDEFINED)
        return (
            found
            if found is not UNDEFINED
            else values.get(MAYBE + self.name, UNDEFINED)
        )

    def set(self, value: Any) -> None:
        values = self.owner.__dict__
        values.pop(MAYBE + self.name, None)
        values.pop(self.name, None)
        if value is not UNDEFINED:
            values[MAYBE + self.name if isinstance(value, Maybe) else self.name] = value

    def __str__(self) -> str:
        return f"`{self.name}`"


class AttributePlace(Place):
    """An attribute of an object."""

    def __init__(self, obj: Any, name: str):
        self.owner, self.name = obj, name
        self.key = "attribute", id(obj), name

    def get(self) -> Any:
        return getattr(self.owner, self.name, UNDEFINED)

    def set(self, value: Any) -> None:
        if value is UNDEFINED:
            delattr(self.owner, self.name)
        elif isinstance(self.owner, type):
            setattr(self.owner, self.name, value)
        else:
            # Frozen dataclasses are written to in their own __init__ only.
            object.__setattr__(self.owner, self.name, value)

    def __str__(self) -> str:
        return f"`{type(self.owner).__name__}.{self.name}`"


def base_of(container: list[Any] | dict[Any, Any]) -> Any:
    """`list` or `dict`, whose methods do what they say."""
    return dict if isinstance(container, dict) else list


class Contents(Place):
    """All elements of a list, dict, set or deque."""

    def __init__(self, obj: Any):
        self.owner = obj
        self.key = "contents", id(obj)

    def get(self) -> Any:
        return self.owner.copy()

    def set(self, value: Any) -> None:
        if isinstance(self.owner, list):
            list.__setitem__(self.owner, slice(None), value)
            return
        self.owner.clear()
        (self.owner.extend if hasattr(self.owner, "extend") else self.owner.update)(
            value
        )

    def __str__(self) -> str:
        return f"a {type(self.owner).__name__}"


class Buffer(Place):
    """The contents of a root box. Its value is an Atom, or Stale."""

    def __init__(self, box: Box):
        self.owner = box
        self.key = "buffer", id(box)

    def get(self) -> Atom | Stale:
        box = self.owner
        return box.value if isinstance(box.value, Stale) else box.read()

    def set(self, value: Atom | Stale) -> None:
        if isinstance(value, Stale):
            self.owner.go_stale(value)
        elif keeps_list(self.owner):  # what it is twin of stays: elements were appended
            self.owner.rebind_alone(value)
        else:
            self.owner.write(value)

    def restore(self, value: Atom | Stale) -> None:
        """Set it again to what it was at some point: no twin is new to that."""
        self.owner.rebind_alone(value)

    def __str__(self) -> str:
        return f"an array of type {self.owner.aval}"


def assign(place: Place, value: Any) -> None:
    """Set a place from outside of lifted code, logged where its writes are."""
    if place.logged:
        session().record(place)
    place.set(value)


class Watch:
    """Finds out which places of the surroundings a piece of lifted code changes."""

    def __init__(self, frame: Frame):
        self.trace: Session = session()
        self.frame = frame
        self.mark = len(self.trace.log)
        self.before = dict(frame.__dict__)
        self.depth = self.trace.depth

    def changes(self) -> dict[Any, Place]:
        """Changed places that existed before, by key."""
        found: dict[Any, Place] = {}
        now = self.frame.__dict__
        for name in {**self.before, **now}:
            if self.before.get(name, UNDEFINED) is not now.get(name, UNDEFINED):
                place: Place = Variable(self.frame, name.removeprefix(MAYBE))
                found[place.key] = place
        for entry in self.trace.log[self.mark :]:
            if not self._made_inside(entry.target):
                target = entry.target
                place = Buffer(target.root) if isinstance(target, Box) else target
                found[place.key] = place
        return found

    def _made_inside(self, target: Any) -> bool:
        if isinstance(target, Box):
            home = target.root.region
            return not any(home is r for r in self.trace.builder.stack[: self.depth])
        return self.trace.is_new(target.owner, self.depth)

    def undo(self) -> None:
        """Put everything that existed before back as it was."""
        log = self.trace.log
        while len(log) > self.mark:
            entry = log.pop()
            if not self._made_inside(entry.target):
                entry.undo()
        self.restore_frame()

    def restore_frame(self) -> None:
        self.frame.__dict__.clear()
        self.frame.__dict__.update(self.before)
