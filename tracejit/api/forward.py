"""Forward mode: `jvp`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.api.shared import Function, check_differentiable, leaves_like, program_of
from tracejit.base.pytree import flatten
from tracejit.frontend.box import HANDLERS
from tracejit.frontend.stage import Staged
from tracejit.runtime.dispatch import (
    Dispatcher,
    Options,
    Wrap,
    boxed,
    convert,
    unflatten_results,
)
from tracejit.transform.jvp import jvp as jvp_program


class Jvp(Dispatcher):
    """The forward program of `jvp(f, primals, tangents)`."""

    def __init__(self, fn: Function, argnums: tuple[int, ...], options: Options):
        super().__init__(fn, jvp_program, options, argnums)
        self.recipe = (argnums, options)


def jvp(
    fn: Function,
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    backend: str | None = None,
) -> tuple[Any, Any]:
    """The value of `fn(*primals)` and its derivative along `tangents`.

    Arguments: `primals`, a sequence of arguments; `tangents`, one for each, of the
    same structure, shapes and dtypes. Returns `(value, tangent of the value)`.

    >>> jvp(lambda x: x * x, (3.0,), (1.0,), backend="numpy")
    (9.0, 6.0)
    """
    argnums = tuple(range(len(primals)))
    options = Options(backend)
    program = program_of(fn, (Jvp, argnums, options), lambda: Jvp(fn, argnums, options))
    arguments = program.bind(tuple(primals), {})
    check_differentiable(fn, arguments, argnums)
    dots = leaves_like(tuple(tangents), tuple(primals), "tangents")
    entry = program.entry(arguments)
    results = entry(arguments.traced(), dots)
    return _value_and_slope(entry.staged, results, convert)


def _value_and_slope(
    staged: Staged, results: Sequence[Any], wrap: Wrap
) -> tuple[Any, Any]:
    atoms = staged.program.results
    value = unflatten_results(staged, results[: len(atoms)], wrap)
    rest = iter(results[len(atoms) :])
    # An integer result has a zero tangent.
    slopes = [
        next(rest) if r.aval.inexact else np.zeros(r.aval.shape)[()] for r in atoms
    ]
    return value, unflatten_results(staged, slopes, wrap)


def _staged_jvp(
    fn: Function, primals: Any, tangents: Any, *, backend: str | None = None
) -> tuple[Any, Any]:
    """`jvp` called while staging."""
    program = Jvp(fn, tuple(range(len(primals))), Options(backend))
    arguments = program.bind(tuple(primals), {})
    check_differentiable(fn, arguments, program.argnums)
    dots = flatten(tuple(tangents))[0]
    staged, results = program.inline(arguments, dots)
    return _value_and_slope(staged, results, boxed)


HANDLERS[jvp] = _staged_jvp
