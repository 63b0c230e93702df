"""One class per cause. Each says what, where, why, and what to write instead."""

from __future__ import annotations

import numpy as np

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


class TracedValueError(TracejitError, TypeError):
    """Python needs the value of something that is only known when the program runs.

    def f(x):
        return table[int(x[0])]     # TracedValueError: a list index

    def f(x):
        table = np.array([1.0, 2.0, 4.0])
        return table[x[0].astype(int)]     # write this: index an array
    """


class UnsupportedError(TracejitError, NotImplementedError):
    """A function or an option that tracejit has no derivative program for.

    np.median(x)                # UnsupportedError
    np.sort(x)[len(x) // 2]     # write it in terms of functions that there are
    """


class UnsupportedDTypeError(TracejitError, TypeError):
    """A dtype that compiled programs do not know.

    x.astype(np.float16)     # UnsupportedDTypeError; so are longdouble and object
    x.astype(np.float32)     # write this
    """


class OperandTypeError(TracejitError, TypeError):
    """No version of the function takes operands of these dtypes.

    (x > 0) - (y > 0)      # OperandTypeError: NumPy does not subtract bools
    (x > 0) ^ (y > 0)      # write this
    """


class CastingError(TracejitError, TypeError):
    """A result that the array it is stored into cannot hold.

    n = np.zeros(3, dtype=int)
    n += 0.5                     # CastingError: float into int
    n = n + 0.5                  # write this
    """


class ShapeMismatchError(TracejitError, ValueError):
    """Shapes that do not fit one another.

    np.ones(3) + np.ones(4)              # ShapeMismatchError
    np.ones((3, 1)) + np.ones(4)         # write this for all pairs
    """


class AxisRangeError(TracejitError, np.exceptions.AxisError):
    """An axis that the array does not have.

    np.sum(np.ones(3), axis=1)     # AxisRangeError
    np.sum(np.ones(3), axis=0)     # write this
    """


class IndexRangeError(TracejitError, IndexError):
    """An index outside of the array.

    x = np.ones(3)
    x[3]                # IndexRangeError
    x[len(x) - 1]       # write this for the last element
    """


class DataDependentShapeError(TracejitError, NotImplementedError):
    """A shape that depends on the data; shapes must follow from shapes.

    np.sum(x[x > 0])                   # DataDependentShapeError
    np.sum(np.where(x > 0, x, 0))      # write this
    """


class ReadOnlyError(TracejitError, ValueError):
    """A write into a view that NumPy makes read-only.

    np.broadcast_to(x, (3, 4))[0] = 1            # ReadOnlyError
    np.broadcast_to(x, (3, 4)).copy()[0] = 1     # write this
    """


class UnknownAliasError(TracejitError, NotImplementedError):
    """A write where it depends on memory layout whether NumPy makes a view or a copy.

    y = (x.T + z).reshape(-1)
    y[0] = 1.0                           # UnknownAliasError: is x.T + z changed?
    y = (x.T + z).reshape(-1).copy()     # write this
    """
