"""Looking inside: the Program of a function at any stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.api.jit import Jit
from tracejit.api.reverse import Grad
from tracejit.backend.numba_build import compile_program
from tracejit.ir.cost import flops
from tracejit.ir.program import Program
from tracejit.runtime.dispatch import Dispatcher, Options, Transform
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


def cost(fn: Callable[..., Any]) -> Callable[..., float]:
    """What a call costs on paper, in floating-point operations.

    Returns a function of the same arguments that returns their number: of `grad(f)`,
    that of the gradient. Functions such as `exp` count by their price, loops whose
    length follows from the data as 100 rounds, branches by the dearer side. `jacobian`
    compares its two directions so.

    >>> import numpy as np
    >>> cost(lambda A, x: A @ x)(np.ones((3, 4)), np.ones(4))
    24.0
    """
    program = make_ir(fn)
    return lambda *args, **kwargs: flops(program(*args, **kwargs))


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
    options = Options("numpy")
    if stage in ("staged", "clean"):
        plain = Jit(user, options)
        staged, program = plain.trace(plain.bind(args, kwargs))
        return staged.program if stage == "staged" else program
    derived = Dispatcher(user, _in_all_floats(vjp), options)
    if stage == "tangent":
        derived = Dispatcher(user, _in_all_floats(jvp), options)
    elif isinstance(fn, Grad):
        derived = fn
    program = derived.trace(derived.bind(args, kwargs))[1]
    return compile_program(program).source if stage == "source" else program


def _in_all_floats(transform: Transform) -> Transform:
    """The transform in every float that the program reads, whatever is asked for."""

    def of(program: Program, wrt: Sequence[int]) -> Program:
        floats = [k for k, v in enumerate(program.inputs) if v.aval.inexact]
        return transform(program, floats)

    return of
