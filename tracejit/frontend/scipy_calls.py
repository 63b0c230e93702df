"""SciPy's functions on boxes, by name: SciPy is imported by the user or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.frontend.box import HANDLERS, Box, has_box, is_static, plain
from tracejit.frontend.numpy_calls import Binding, asarray, handler_of
from tracejit.ops import scipy_matrix_functions, scipy_special
from tracejit.ops.numpy_names import unsupported
from tracejit.ops.scipy_linalg import SCIPY
from tracejit.ops.scipy_matrices import PLAIN

_PROGRAMS_COME_FROM = (scipy_matrix_functions, scipy_special)

#: Options that say how to compute, not what.
_MANNER = {
    *("overwrite_a", "overwrite_b", "overwrite_ab", "overwrite_c", "check_finite"),
    *("lwork", "lapack_driver", "driver"),
}
#: Options that are lists of numbers.
_PLACES = {"subset_by_index"}

#: By the full name of a function or method, what makes of it the function on boxes.
STAGED: dict[str, Callable[[Any], Callable[..., Any]]] = {}


def scipy_handler(fn: Any) -> Callable[..., Any] | None:
    """What a function of SciPy does on boxes, if there is a program for it."""
    module = getattr(fn, "__module__", None)
    if not isinstance(module, str) or not module.startswith("scipy."):
        return None
    # `scipy.linalg._basic` is where `scipy.linalg.solve` happens to be written.
    package = ".".join(module.split(".")[:2])
    staged = STAGED.get(f"{package}.{getattr(fn, '__qualname__', '')}")
    if staged is not None:
        HANDLERS[fn] = staged(fn)
        return HANDLERS[fn]
    name = f"{package}.{getattr(fn, '__name__', '')}"
    if name in PLAIN:
        inner = _plainly(fn, PLAIN[name])
    elif name in SCIPY:
        inner = handler_of(fn, SCIPY[name], arrays=0)
    elif package == "scipy.linalg":
        inner = _refused(name)
    else:
        return None

    def handler(*args: Any, **kwargs: Any) -> Any:
        if not has_box(*args, *kwargs.values()):
            return fn(*args, **kwargs)
        args = tuple(map(_listed, args))
        named = {k: v for k, v in kwargs.items() if k not in _MANNER}
        named = {k: v if k in _PLACES else _listed(v) for k, v in named.items()}
        return inner(*args, **named)

    HANDLERS[fn] = handler
    return handler


def _listed(x: Any) -> Any:
    return asarray(x) if isinstance(x, list) else x


def _plainly(fn: Any, program: Callable[..., Any]) -> Callable[..., Any]:
    """A program that is NumPy's functions and nothing else."""
    binding = Binding(fn, program, arrays=0)

    def run(*args: Any, **kwargs: Any) -> Any:
        operands, options = binding(args, kwargs)
        named = {k: _array(v) for k, v in options.items()}
        return program(*map(_array, operands), **named)

    return run


def _array(x: Any) -> Any:
    """Lists as arrays; of pairs of arrays, each."""
    if type(x) is tuple:
        return tuple(map(_array, x))
    x = _listed(x)
    return plain(x) if type(x) is Box and not x.aval.shape and is_static(x) else x


def _refused(name: str) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        raise unsupported(name, "compose it of functions that are")

    return run
