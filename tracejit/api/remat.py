"""`checkpoint`: less memory for the price of computing once more."""

from __future__ import annotations

from typing import Any

from tracejit.api.decorated import Decorated
from tracejit.api.shared import Function
from tracejit.frontend.rules import checkpointed


class Checkpoint(Decorated):
    """A function of which reverse mode keeps what it reads, and nothing else."""

    def __tracejit_call__(self, *args: Any, **kwargs: Any) -> Any:
        return checkpointed(self.fun, self.name, args, kwargs)


def checkpoint(fun: Function) -> Checkpoint:
    """Have reverse mode run a function again instead of saving what it computes.

    Arguments: `fun`, any function that tracejit can stage. Returns a function that
    computes the same, with the same derivatives. What these need of its inner values
    is computed again, going backwards, from what the function reads: its arguments and
    what it captures. A loop whose body is such a function saves its state alone.

    >>> import numpy as np
    >>> from tracejit import grad
    >>> def total(u):
    ...     for _ in range(100):
    ...         u = checkpoint(lambda v: np.sin(np.sin(np.sin(v))))(u)
    ...     return np.sum(u)
    >>> grad(total, backend="numpy")(np.zeros(3))
    array([1., 1., 1.])
    """
    return Checkpoint(fun)
