"""Forward mode: `jvp`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tracejit.api.options import options_of
from tracejit.api.shared import (
    Function,
    check_differentiable,
    differentiated,
    leaves_like,
    program_of,
    require_pair,
)
from tracejit.api.sweeps import begin, tangent_of
from tracejit.base.tracebacks import outermost
from tracejit.frontend.box import HANDLERS
from tracejit.frontend.stage import Staged
from tracejit.frontend.trace import staging
from tracejit.ir.program import Program
from tracejit.runtime.arguments import Arguments
from tracejit.runtime.dispatch import (
    Dispatcher,
    Options,
    boxed,
    convert,
    unflatten_results,
)
from tracejit.transform.jvp import jvp as jvp_program
from tracejit.transform.split import linearized


class Jvp(Dispatcher):
    """The forward program of `jvp(f, primals, tangents)`."""

    def __init__(self, fn: Function, count: int, has_aux: bool, options: Options):
        super().__init__(fn, jvp_program, options, tuple(range(count)))
        self.has_aux = has_aux
        self.recipe = (count, has_aux, options)

    def derive(self, staged: Staged, program: Program, arguments: Arguments) -> Program:
        count = differentiated(staged, self.has_aux)
        return jvp_program(program, self.wrt(arguments), count)

    def check_inputs(self, arguments: Arguments) -> None:
        check_differentiable(self.py_func, arguments, self.argnums)

    def check_outputs(self, staged: Staged) -> None:
        if self.has_aux:
            require_pair(staged, self.py_func)


@outermost
def jvp(
    fn: Function,
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    has_aux: bool = False,
    backend: str | None = None,
    parallel: bool | int = False,
) -> Any:
    """The value of `fn(*primals)` and its derivative along `tangents`.

    Arguments: `primals`, a sequence of arguments; `tangents`, one for each, of the
    same structure, shapes and dtypes. Returns `(value, tangent of the value)`. With
    `has_aux`, `fn` returns `(value, aux)`, and the result is `(value, tangent, aux)`.

    >>> jvp(lambda x: x * x, (3.0,), (1.0,), backend="numpy")
    (9.0, 6.0)
    """
    options = options_of(backend, parallel=parallel)
    recipe = (len(primals), has_aux, options)
    dots = leaves_like(tuple(tangents), tuple(primals), "tangents")
    if staging():
        program = Jvp(fn, *recipe)
        arguments = program.bind(tuple(primals), {})
        staged, results = program.inline(arguments, dots)
    else:
        program = program_of(fn, (Jvp, *recipe), partial(Jvp, fn, *recipe))
        arguments = program.bind(tuple(primals), {})
        entry = program.entry(arguments)
        staged, results = entry.staged, entry(arguments.traced(), dots)
    wrap = boxed if staging() else convert
    count = len(staged.program.results)
    value = unflatten_results(staged, results[:count], wrap)
    slope = tangent_of(staged, results[count:], has_aux, wrap)
    return (value[0], slope, value[1]) if has_aux else (value, slope)


@outermost
def linearize(
    fn: Function,
    *primals: Any,
    has_aux: bool = False,
    backend: str | None = None,
    parallel: bool | int = False,
) -> Any:
    """The value of `fn(*primals)` and its derivative there, as a linear function.

    Returns `(value, fn_jvp)`; `fn_jvp(*tangents)`, given one for every primal, of the
    same structure and shapes, returns the tangent of the value. With `has_aux`, `fn`
    returns `(value, aux)`, and the result is `(value, fn_jvp, aux)`.

    The function is computed once, with what its derivative needs; every call of
    `fn_jvp` costs the linear part alone. For one direction `jvp` is cheaper: it saves
    nothing. (Loops whose length follows from the data are run again in every
    call.)

    >>> value, push = linearize(lambda x, y: x * y, 3.0, 2.0, backend="numpy")
    >>> value, push(1.0, 0.0), push(0.0, 1.0)
    (6.0, 2.0, 3.0)
    """
    options = options_of(backend, parallel=parallel)
    begun = begin(fn, linearized, primals, has_aux, options)
    whole = (begun.value, begun.push)
    return (*whole, begun.aux) if has_aux else whole


HANDLERS[jvp] = jvp
HANDLERS[linearize] = linearize
