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

    np.logaddexp.accumulate(x)        # UnsupportedError
    np.log(np.cumsum(np.exp(x)))      # write it in terms of functions that there are
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


class MatrixShapeError(TracejitError, np.linalg.LinAlgError):
    """Arrays that are not the matrices that linear algebra needs.

    np.linalg.inv(np.ones((3, 2)))      # MatrixShapeError
    np.linalg.pinv(np.ones((3, 2)))     # write this
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

    def f(x):
        return x[x > 0]                # DataDependentShapeError: a result
        return np.where(x > 0, x, 0)   # write this
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


class OverlapError(TracejitError, ValueError):
    """A write to an array that shares memory with another one, or with itself, where
    the result of NumPy cannot be had.

    def f(x, y):
        x += 1.0
        return np.sum(x * y)
    grad(f)(x, x)            # OverlapError: which of the two is differentiated?
    grad(f)(x, x.copy())     # write this
    """


class FenceError(TracejitError, NotImplementedError):
    """A construct of Python that cannot be staged.

    async def f(x): ...     # FenceError; so are `exec` and `locals()`
    def f(x): ...           # write plain functions
    """


class StagingError(TracejitError, TypeError):
    """A branch or loop on traced data whose effect cannot be put into a program.

    y = [x] if x > 0 else [x, x]     # StagingError: the branches differ in length
    y = [x, 0.0] if x > 0 else [x, x]     # write this
    """


class OutOfRoomError(TracejitError, MemoryError):
    """A list that a `while` fills got too long, in a call that wrote to its arguments.

    There is room for 1024 elements at first; a call that needs more is run again, which
    one that wrote to its arguments cannot be.

    @jit
    def f(x):
        while x[0] < 5000.0:     # OutOfRoomError
            x[0] += 1.0
            ys.append(x[0])

    for _ in range(10_000):     # write this, with room for so many
        if x[0] >= 5000.0:
            break
    """


class UnrollLimitError(TracejitError, RecursionError):
    """A loop that cannot be staged and is too long to be unrolled.

    for i in range(10**6):
        s += table[i]     # UnrollLimitError, where `table` is a list
    s = np.sum(np.array(table))     # write this: an array, which a loop can index
    """


class OutsideStoreError(TracejitError, TypeError):
    """A traced value stored into an array that outlives the call.

    table = np.zeros(3)
    def f(x):
        table[0] = x                    # OutsideStoreError
        new = table.copy(); new[0] = x  # write this, and return or assign it
        return new
    """


class ImpureCallError(TracejitError, TypeError):
    """A call whose result differs from one run to the next, so it cannot be staged.

    def f(x):
        return x * time.time()     # ImpureCallError
    def f(x, now):
        return x * now             # write this, and pass `time.time()`
    """


class NonScalarOutputError(TracejitError, TypeError):
    """`grad` of a function whose output is not one floating-point number.

    grad(lambda x: x)(np.ones(3))                # NonScalarOutputError
    grad(lambda x: np.sum(x))(np.ones(3))        # write this, or use vjp
    """


class NonDifferentiableError(TracejitError, TypeError):
    """An argument selected by `argnums` that has no derivative: not a float.

    grad(lambda x: x * 2.0)(3)       # NonDifferentiableError: an int
    grad(lambda x: x * 2.0)(3.0)     # write this
    """


class MemoryBudgetError(TracejitError, MemoryError):
    """A loop that cannot be reversed in the memory that it is given.

    grad(f, memory="1 kB")(np.ones(1000))       # MemoryBudgetError: less than a state
    grad(f, memory="100 kB")(np.ones(1000))     # write this
    """


class TreeMismatchError(TracejitError, ValueError):
    """Tangents or cotangents that do not match the values they belong to.

    jvp(f, (x, y), (dx,))         # TreeMismatchError
    jvp(f, (x, y), (dx, dy))      # write this
    """


class MappedAxisError(TracejitError, ValueError):
    """Axes to map over that the arguments or the results do not have alike.

    vmap(f)(np.ones((3, 2)), np.ones(4))                     # MappedAxisError: 3 or 4?
    vmap(f, in_axes=(0, None))(np.ones((3, 2)), np.ones(4))  # write this
    """


class CustomRuleError(TracejitError, TypeError):
    """A rule of `custom_jvp` or `custom_vjp` that does not fit its function.

    f.defvjp(lambda x: (f(x), x), lambda x, ct: ct * x)        # CustomRuleError
    f.defvjp(lambda x: (f(x), x), lambda x, ct: (ct * x,))     # write this: a tuple
    """
