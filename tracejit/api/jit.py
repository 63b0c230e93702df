"""`jit`: the function itself, compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.api.options import options_of
from tracejit.api.shared import Function, Transformed, decorator
from tracejit.frontend.calls import call
from tracejit.runtime.dispatch import Accuracy, Options


class Jit(Transformed):
    """`jit(f)`: the value, computed by native loops."""

    derivatives = 0

    def __init__(self, fn: Function, options: Options, acting: bool = True):
        super().__init__(fn, lambda program, wrt: program, options, acting=acting)
        self.recipe = (options, acting)

    def __tracejit_call__(self, *args: Any, **kwargs: Any) -> Any:
        return call(self.py_func, *args, **kwargs)


def jit(
    fn: Function | None = None,
    *,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
    accuracy: Accuracy = "fast",
    parallel: bool | int = False,
    donate_argnums: int | Sequence[int] = (),
) -> Any:
    """Compile a NumPy function to native loops.

    Arguments: `fn`, any function that tracejit can stage; `backend`, "numba" or
    "numpy" (interpreted: same results, nothing compiled); `boundscheck`, whether
    indices that could be out of range are checked; `fastmath`, whether sums and
    products may be reassociated freely, quotients be products with a reciprocal, and no
    number or slope be taken for infinite or NaN; `accuracy`, "fast" (exp, log and their
    like are within 4 units in the last place, exp and log within 2, several at once) or
    "high" (the C library's scalar functions); `parallel`, how many threads share the
    loops that have enough to do: True for as many as there are cores (or
    `NUMBA_NUM_THREADS` says), or a number.

    Loops whose rounds do not depend on one another run on threads: over a range, over
    rows, and those that code for whole arrays becomes. What they add up is added up by
    parts, so that it may be rounded otherwise than by one thread; but for one number of
    threads it is the same at every call. `show` tells which loops those are, and why
    others are not.

    Returns a function of the same signature with the same results, which writes into
    the arrays that `fn` writes into: arguments, those of objects, globals. Arguments
    may share memory, and a result may be an argument or a view of one, as in NumPy. If
    an error is raised, some of the writes before it may have been made, or all.

    Calls take one more keyword, `out`, as NumPy's functions do, unless `fn` has such a
    parameter itself: arrays for the results, nested like these, of their shapes and
    dtypes, with an array without axes for a number and None for what is to be made
    anew. They are returned, with the results in them; they may share memory with
    arguments, but not with one another. (After an error they may hold anything. In
    derivatives, `out` is not to be had.)

    All other results are new arrays, which nobody else holds. `donate_argnums` says
    whose memory may serve for them: arrays of these arguments, of the shape and dtype
    of a result, are kept after the call, and a later call puts its result there, if by
    then nobody else holds them. So in `x = step(x)` two arrays take turns; an argument
    that is still held stays what it is, other than with JAX.

    Raises `OverlapError`, a `ValueError`, where memory that is written to is shared in
    parts of elements; `ReadOnlyError`, a `ValueError`, for read-only arrays.

    >>> import numpy as np
    >>> @jit(backend="numpy")
    ... def f(x):
    ...     x *= 2
    ...     return np.sum(x)
    >>> x = np.array([1.0, 2.0])
    >>> float(f(x)), x
    (6.0, array([2., 4.]))
    >>> out = np.empty(2)
    >>> jit(lambda x: x + 1, backend="numpy")(x, out=out) is out
    True
    """
    options = options_of(
        backend,
        boundscheck,
        fastmath,
        accuracy,
        parallel=parallel,
        donate_argnums=donate_argnums,
    )
    return decorator(fn, lambda f: Jit(f, options))
