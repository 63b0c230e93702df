"""Looking inside: the Program of a function at any stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.api.jit import Jit
from tracejit.api.reverse import Grad
from tracejit.backend.numba_build import compile_program
from tracejit.ir.program import Program
from tracejit.optimize.passes import optimize
from tracejit.runtime.dispatch import Dispatcher, Options
from tracejit.transform.jvp import jvp
from tracejit.transform.vjp import vjp

STAGES = ("staged", "clean", "tangent", "adjoint", "source")


def make_ir(fn: Callable[..., Any]) -> Callable[..., Program]:
    """The cleaned Program that `fn` runs as: of `grad(f)`, the adjoint.

    Returns a function of the same arguments that returns the Program; printing it
    shows it as Python-like text.

    >>> print(make_ir(lambda a, b: (a + b) * (b + 1))(2.0, 1.0))  # doctest: +ELLIPSIS
    # stage: ...
    """
    dispatcher = fn if isinstance(fn, Dispatcher) else Jit(fn, Options("numpy"))

    def of(*args: Any, **kwargs: Any) -> Program:
        return dispatcher.trace(dispatcher.bind(args, kwargs))[1]

    return of


def show(
    fn: Callable[..., Any], *args: Any, stage: str = "adjoint", **kwargs: Any
) -> str:
    """Print, and return, a function's program at one stage of the pipeline.

    `stage`: "staged" (as traced), "clean", "tangent" (jvp), "adjoint" (vjp in every
    float argument, cleaned), "source" (what Numba compiles), or "all".
    """
    if stage == "all":
        return "\n".join(show(fn, *args, stage=s, **kwargs) for s in STAGES)
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {(*STAGES, 'all')}, not {stage!r}")
    text = str(_at_stage(fn, args, kwargs, stage))
    print(text)
    return text


def _at_stage(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], stage: str
) -> Any:
    user = fn.py_func if isinstance(fn, Dispatcher) else fn
    plain = Jit(user, Options("numpy"))
    staged, program = plain.trace(plain.bind(args, kwargs))
    if stage == "staged":
        return staged.program
    if stage == "clean":
        return program
    wrt = [k for k, v in enumerate(program.inputs) if v.aval.inexact]
    if stage == "tangent":
        return optimize(jvp(program, wrt))
    if isinstance(fn, Grad):
        adjoint = fn.trace(fn.bind(args, kwargs))[1]
    else:
        adjoint = optimize(vjp(program, wrt))
    return adjoint if stage == "adjoint" else compile_program(adjoint).source
