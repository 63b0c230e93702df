"""What `vjp` and `linearize` share: the value now, products with the Jacobian later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tracejit.api.shared import (
    Function,
    check_differentiable,
    differentiated,
    leaves_like,
    program_of,
    require_pair,
)
from tracejit.base.pytree import flatten, unflatten
from tracejit.base.tracebacks import outermost
from tracejit.frontend import box
from tracejit.frontend.stage import Staged
from tracejit.frontend.trace import staging
from tracejit.runtime.arguments import Arguments, leaf_kind
from tracejit.runtime.dispatch import Options, Wrap, boxed, convert, unflatten_results
from tracejit.runtime.split import Split, Splitting, Sweep


class Swept(Split):
    """A function of which sweeps are run later; all its arguments are selected."""

    def __init__(
        self,
        fn: Function,
        splitting: Splitting,
        count: int,
        has_aux: bool,
        options: Options,
    ):
        super().__init__(fn, splitting, options, tuple(range(count)))
        self.has_aux = has_aux
        self.recipe = (splitting, count, has_aux, options)

    def differentiated(self, staged: Staged) -> int:
        return differentiated(staged, self.has_aux)

    def check_inputs(self, arguments: Arguments) -> None:
        check_differentiable(self.py_func, arguments, self.argnums)

    def check_outputs(self, staged: Staged) -> None:
        if self.has_aux:
            require_pair(staged, self.py_func)


@dataclass
class Begun:
    """A function computed at `primals`: its value, and what goes on from there."""

    primals: tuple[Any, ...]
    has_aux: bool
    staged: Staged
    value: Any
    aux: Any
    sweep: Sweep
    wrap: Wrap

    @outermost
    def push(self, *tangents: Any) -> Any:
        """The tangent of the value, given one for every primal."""
        seeds = leaves_like(tangents, self.primals, "tangents")
        dots = self.sweep(_atoms(seeds))
        return tangent_of(self.staged, dots, self.has_aux, self.wrap)

    @outermost
    def pull(self, cotangent: Any) -> tuple[Any, ...]:
        """The cotangents of the primals, given that of the value."""
        leaves = leaves_like(cotangent, self.value, "cotangent")
        pairs = zip(leaves, self.staged.out_kinds, strict=False)
        computed = [leaf for leaf, kind in pairs if kind != "static"]
        results = self.staged.program.results[: len(computed)]
        found = zip(computed, results, strict=True)
        grads = self.sweep(_atoms([ct for ct, r in found if r.aval.inexact]))
        inputs, treedef = flatten(self.primals)
        pulled = [
            self.wrap(leaf_kind(x), g) for x, g in zip(inputs, grads, strict=True)
        ]
        return unflatten(treedef, pulled)


def begin(
    fn: Function,
    splitting: Splitting,
    primals: tuple[Any, ...],
    has_aux: bool,
    options: Options,
) -> Begun:
    """Compute a function, or join its Program to the one being staged."""
    make = partial(Swept, fn, splitting, len(primals), has_aux, options)
    if staging():
        program = make()
        staged, results, sweep = program.join(program.bind(primals, {}))
    else:
        key = (splitting, len(primals), has_aux, options)
        program = program_of(fn, key, make)
        staged, results, sweep = program.run(program.bind(primals, {}))
    wrap = boxed if staging() else convert
    value, aux = unflatten_results(staged, results, wrap), None
    if has_aux:
        value, aux = value
    return Begun(primals, has_aux, staged, value, aux, sweep, wrap)


def _atoms(values: Sequence[Any]) -> list[Any]:
    """What a sweep takes: the values themselves, or while staging their Atoms."""
    return [box.as_box(v).read() for v in values] if staging() else list(values)


def tangent_of(
    staged: Staged, dots: Sequence[Any], has_aux: bool, wrap: Wrap = convert
) -> Any:
    """Tangents of the inexact results, in the structure of the value.

    An integer's is zero.
    """
    results, rest = staged.program.results, iter(dots)
    slopes: list[Any] = [None] * len(results)
    for k, result in enumerate(results[: differentiated(staged, has_aux)]):
        slopes[k] = next(rest) if result.aval.inexact else _zero(result.aval.shape)
    whole = unflatten_results(staged, slopes, partial(_wrapped, wrap))
    return whole[0] if has_aux else whole


def _wrapped(wrap: Wrap, kind: str, value: Any) -> Any:
    plain = value is None or isinstance(value, box.Box)
    return value if plain else wrap(kind, value)


def _zero(shape: tuple[int, ...]) -> Any:
    return box.call(np.zeros, shape) if staging() else np.zeros(shape)[()]
