"""`jit`: the function itself, compiled."""

from __future__ import annotations

from typing import Any

from tracejit.api.shared import Function, Transformed, decorator
from tracejit.frontend.calls import call
from tracejit.runtime.dispatch import Options


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
) -> Any:
    """Compile a NumPy function to native loops.

    Arguments: `fn`, any function that tracejit can stage; `backend`, "numba" or
    "numpy" (interpreted: same results, nothing compiled); `boundscheck`, whether
    indices that could be out of range are checked; `fastmath`, whether sums and
    products may be reassociated freely.

    Returns a function of the same signature with the same results.

    >>> import numpy as np
    >>> @jit(backend="numpy")
    ... def f(x):
    ...     return np.sum(x * x)
    >>> float(f(np.array([1.0, 2.0])))
    5.0
    """
    options = Options(backend, boundscheck, fastmath)
    return decorator(fn, lambda f: Jit(f, options))
