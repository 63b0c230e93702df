"""One class per cause. Each says what, where, why, and what to write instead."""

from __future__ import annotations

from tracejit.base.source import SrcLoc


class TracejitError(Exception):
    """The base of every error that tracejit itself raises.

    Its subclasses also derive from the builtin that NumPy or Python would raise, so
    that `except TypeError` goes on working:

        grad(lambda x: x)(np.ones(3))             # NonScalarOutputError, a TypeError
        grad(lambda x: np.sum(x))(np.ones(3))     # write this
    """

    def __init__(self, message: str, loc: SrcLoc | None = None, cure: str = ""):
        self.message, self.loc, self.cure = message, loc, cure
        parts = [message]
        if cure:
            parts.append(f"  Instead: {cure}")
        if loc is not None and loc.line:
            parts.append("  " + loc.caret().replace("\n", "\n  "))
        super().__init__("\n".join(parts))


class InternalError(TracejitError, AssertionError):
    """A Program that breaks the rules of its own grammar: a bug of tracejit.

    # no user program should raise it; please report the one that did
    """
