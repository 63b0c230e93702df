"""Objects that data decides on: they can be shown and handed on, not used.

    kind = "NaN" if np.isnan(x) else "infinity"
    raise ValueError(f"contains {kind}")            fine: it is only shown
    return TABLE[kind]                              an error, here

Arrays and numbers are merged where branches meet; of other objects the program cannot
hold one or the other. But of a value and None it can: that is a value, and a flag.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from tracejit.base.errors import OperandTypeError, StagingError
from tracejit.frontend.box import Box, call
from tracejit.frontend.session import session
from tracejit.frontend.trace import current_trace
from tracejit.ops.control import Failure, check


class Undecided:
    """One of several objects; `what` says which name stands for them."""

    cure = "decide by numbers and arrays: np.where(…), or a number for each case"

    def __init__(self, what: str, values: list[Any]):
        self.what, self.values = what, values

    def refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Any use that depends on which it is."""
        raise StagingError(
            f"{self.what} is {self}, which depends on traced data",
            current_trace().builder.loc,
            self.cure,
        )

    def __str__(self) -> str:
        return " or ".join(map(_brief, self.values))

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return str(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.refuse()


class Optional(Undecided):
    """None, or a value where the traced bool `given` is true."""

    def __init__(self, value: Any, given: Box):
        self.value, self.given = value, given

    what = "a value"
    cure = "ask `is None` first, and go on with a number or an array"

    @property
    def values(self) -> list[Any]:  # type: ignore[override]
        return [None, self.value]

    @property
    def none(self) -> Box:
        """Whether it is None: one equation, wherever that is asked."""
        flag = self.given
        key = "none", flag.read()
        return session().memoized(key, lambda: call(np.logical_not, flag))

    @property
    def known(self) -> bool | None:
        """Whether it is given, where a branch on that is being staged."""
        trace, flag = session(), self.given.read()
        found = trace.memo.get(("none", flag))
        for atom, truth in reversed(trace.assumed):
            if atom is flag:
                return truth
            if found is not None and atom is found[1].read():
                return not truth
        return None

    def get(self) -> Any:
        """The value; where there is none, the program raises as Python does."""
        if not self.known:
            why = "there is None where a value is needed"
            error = Failure(OperandTypeError, (why,), session().builder.loc)
            check(self.given.read(), error=error)
        return self.value


def narrowed(value: Any) -> Any:
    """An Optional that is surely None, or surely not, as what it is."""
    if type(value) is not Optional or (known := value.known) is None:
        return value
    return value.value if known else None


def settled(value: Any) -> Any:
    """An Optional as its value, which it must have; others as they are."""
    return value.get() if type(value) is Optional else value


def settled_key(key: Any) -> Any:
    """An index, or several, without an Optional."""
    return tuple(map(settled, key)) if type(key) is tuple else settled(key)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:56]} ..."


_USES = """
    eq ne lt le gt ge hash bool len iter getitem contains call index int float complex
    add radd sub rsub mul rmul truediv rtruediv mod rmod and rand or ror enter exit
    setitem array neg abs pow rpow floordiv rfloordiv matmul rmatmul next
""".split()
for _name in _USES:
    setattr(Undecided, f"__{_name}__", Undecided.refuse)


def require_decided(*values: Any) -> None:
    """Raise where one of the values is one that data decides on."""
    for value in values:
        if type(value) is Undecided:
            value.refuse()
