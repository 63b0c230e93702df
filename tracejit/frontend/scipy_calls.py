"""SciPy's functions on boxes, by name: SciPy is imported by the user or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.frontend.box import HANDLERS, has_box
from tracejit.frontend.numpy_calls import handler_of
from tracejit.ops import scipy_special
from tracejit.ops.scipy_linalg import SCIPY

_PROGRAMS_COME_FROM = (scipy_special,)

#: Options that say how to compute, not what.
_MANNER = {
    *("overwrite_a", "overwrite_b", "overwrite_c", "check_finite"),
    *("lwork", "lapack_driver", "driver"),
}


def scipy_handler(fn: Any) -> Callable[..., Any] | None:
    """What a function of SciPy does on boxes, if there is a program for it."""
    module = getattr(fn, "__module__", None)
    if not isinstance(module, str) or not module.startswith("scipy."):
        return None
    # `scipy.linalg._basic` is where `scipy.linalg.solve` happens to be written.
    package = ".".join(module.split(".")[:2])
    program = SCIPY.get(f"{package}.{getattr(fn, '__name__', '')}")
    if program is None:
        return None
    inner = handler_of(fn, program, arrays=0)

    def handler(*args: Any, **kwargs: Any) -> Any:
        if not has_box(*args, *kwargs.values()):
            return fn(*args, **kwargs)
        return inner(*args, **{k: v for k, v in kwargs.items() if k not in _MANNER})

    HANDLERS[fn] = handler
    return handler
