"""`checkpoint`: less memory for the price of computing once more."""

from __future__ import annotations

from typing import Any

from tracejit.api.decorated import Decorated
from tracejit.api.shared import Function, decorator
from tracejit.frontend.rules import checkpointed


class Checkpoint(Decorated):
    """A function of which reverse mode keeps what it reads, and nothing else."""

    def __init__(self, fun: Function, snapshots: int | None = None):
        super().__init__(fun)
        self.snapshots = snapshots

    def __tracejit_call__(self, *args: Any, **kwargs: Any) -> Any:
        return checkpointed(self.fun, self.name, args, kwargs, self.snapshots)


def checkpoint(fun: Function | None = None, *, snapshots: int | None = None) -> Any:
    """Have reverse mode run a function again instead of saving what it computes.

    Arguments: `fun`, any function that tracejit can stage; `snapshots`, how many of
    their states the outermost loops in it save each, at least 1. Returns a function
    that computes the same, with the same derivatives. What these need of its inner
    values is computed again, going backwards, from what the function reads: its
    arguments and what it captures. A loop whose body is such a function saves its state
    alone.

    With `snapshots` a loop in the function saves no tape over its rounds. Going
    backwards, it runs on from the states that it has saved, to each round in turn: T
    rounds are run r T - β(s + 1, r - 1) times in all, where β(s, r) = (s + r)! / s! r!
    and r is the least number with β(s, r) ≥ T (A. Griewank and A. Walther, algorithm
    799, ACM Trans. Math. Softw. 26, 2000). `grad(f, memory="64 MB")` chooses the number
    by itself. Raises `ValueError` where `snapshots` is not positive.

    >>> import numpy as np
    >>> from tracejit import grad
    >>> def total(u):
    ...     for _ in range(100):
    ...         u = checkpoint(lambda v: np.sin(np.sin(np.sin(v))))(u)
    ...     return np.sum(u)
    >>> grad(total, backend="numpy")(np.zeros(3))
    array([1., 1., 1.])
    """
    if snapshots is not None and snapshots < 1:
        raise ValueError(f"snapshots must be at least 1, not {snapshots}")
    return decorator(fun, lambda f: Checkpoint(f, snapshots))
