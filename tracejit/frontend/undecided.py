"""Objects that data decides on: they can be shown and handed on, not used.

    kind = "NaN" if np.isnan(x) else "infinity"
    raise ValueError(f"contains {kind}")            fine: it is only shown
    return TABLE[kind]                              an error, here

Arrays and numbers are merged where branches meet; of other objects the program cannot
hold one or the other.
"""

from __future__ import annotations

from typing import Any, NoReturn

from tracejit.base.errors import StagingError
from tracejit.frontend.trace import current_trace


class Undecided:
    """One of several objects; `what` says which name stands for them."""

    def __init__(self, what: str, values: list[Any]):
        self.what, self.values = what, values

    def refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Any use that depends on which it is."""
        raise StagingError(
            f"{self.what} is {self}, which depends on traced data",
            current_trace().builder.loc,
            "decide by numbers and arrays: np.where(…), or a number for each case",
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
