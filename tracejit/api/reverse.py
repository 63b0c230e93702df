"""Reverse mode: `grad`, `value_and_grad`, `vjp`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from tracejit.api.options import options_of
from tracejit.api.shared import (
    Argnums,
    Function,
    Transformed,
    check_differentiable,
    decorator,
    require_pair,
    without_value,
)
from tracejit.api.sweeps import begin
from tracejit.base.errors import NonScalarOutputError
from tracejit.base.pytree import unflatten
from tracejit.base.tracebacks import outermost
from tracejit.frontend.box import HANDLERS
from tracejit.frontend.stage import Staged
from tracejit.ir.program import Program
from tracejit.runtime.arguments import Arguments
from tracejit.runtime.dispatch import (
    Accuracy,
    Options,
    Wrap,
    convert,
    result_loc,
    unflatten_results,
)
from tracejit.runtime.inline import name_of
from tracejit.runtime.split import Splitting
from tracejit.transform.modes import Saving
from tracejit.transform.split import pulled_back
from tracejit.transform.vjp import vjp as vjp_program


class Grad(Transformed):
    """`grad(f)` and `value_and_grad(f)`: reverse mode of a scalar function."""

    def __init__(
        self,
        fn: Function,
        options: Options,
        argnums: Argnums,
        has_aux: bool,
        with_value: bool,
    ):
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        transform = _value_and_vjp if with_value or has_aux else _vjp_alone
        saving = Saving(memory=options.memory)
        super().__init__(fn, partial(transform, saving=saving), options, numbers)
        self.single = isinstance(argnums, int)
        self.has_aux = has_aux
        self.with_value = with_value
        self.recipe = (options, argnums, has_aux, with_value)

    def returns(
        self,
        arguments: Arguments,
        staged: Staged,
        results: Sequence[Any],
        wrap: Wrap = convert,
    ) -> Any:
        """What the call returns, from the results of the Program."""
        if not (self.with_value or self.has_aux):
            return self.unflatten_grads(arguments, results, wrap)
        n = len(staged.program.results)
        grads = self.unflatten_grads(arguments, results[n:], wrap)
        value = unflatten_results(staged, results[:n], wrap)
        return (value, grads) if self.with_value else (grads, value[1])

    def unflatten_grads(
        self, arguments: Arguments, values: Sequence[Any], wrap: Wrap
    ) -> Any:
        """Gradients in the structure of the selected arguments."""
        rest = iter(values)
        grads = []
        for argnum in self.argnums:
            kinds, treedef = arguments.part(argnum)
            mine = [wrap(kind, next(rest)) for kind in kinds]
            grads.append(mine[0] if treedef.kind is None else unflatten(treedef, mine))
        return grads[0] if self.single else tuple(grads)

    def check_inputs(self, arguments: Arguments) -> None:
        check_differentiable(self.py_func, arguments, self.argnums)

    def check_outputs(self, staged: Staged) -> None:
        name = name_of(self.py_func)
        loc = result_loc(staged, self.py_func)
        if self.has_aux:
            require_pair(staged, self.py_func)
            tree = staged.out_tree.children[0]
        else:
            tree = staged.out_tree
        if tree.kind is not None or staged.out_kinds[0] == "static":
            raise NonScalarOutputError(
                f"grad needs a scalar output; {name} returns {tree}",
                loc,
                "return one number, or use `vjp`; `has_aux=True` for (loss, aux)",
            )
        aval = staged.program.results[0].aval
        if aval.shape:
            raise NonScalarOutputError(
                f"grad needs a scalar output; {name} returns shape {aval.shape}, "
                f"dtype {aval.dtype}",
                loc,
                "reduce it, as by np.sum, or use `vjp`",
            )
        if aval.dtype.kind != "f":
            raise NonScalarOutputError(
                f"grad needs a float output; {name} returns dtype {aval.dtype}",
                loc,
                "compute the loss in floating point; of a complex number take .real, "
                "or use `vjp`",
            )


def _value_and_vjp(program: Program, wrt: Sequence[int], saving: Saving) -> Program:
    return vjp_program(program, wrt, seed=True, saving=saving)


def _vjp_alone(program: Program, wrt: Sequence[int], saving: Saving) -> Program:
    return without_value(_value_and_vjp(program, wrt, saving), len(program.results))


def grad(
    fn: Function | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
    accuracy: Accuracy = "fast",
    memory: int | str | None = None,
    parallel: bool | int = False,
    donate_argnums: int | Sequence[int] = (),
) -> Any:
    """The gradient of a function that returns a scalar.

    Arguments: `fn`, a function of arrays and numbers; `argnums`, the argument or
    arguments to differentiate (`self` of a method is not counted); `has_aux`, whether
    `fn` returns `(loss, aux)`; `memory`, a limit to what loops may save for the way
    back (see below); for the others see `jit`.

    Returns a function of the same arguments that returns the gradient: for one argnum
    an array (or pytree) like that argument, for several a tuple of them, with
    `has_aux` a pair `(gradient, aux)`. Dtypes are those of the arguments.

    Without a limit loops save all that the way back reads and that costs more than a
    few operations to compute: mostly a few numbers a round, which `cost` tells. With
    `memory`, in bytes or as text ("64 MB"), loops whose tapes do not fit save some of
    their states instead, and run on from there going backwards: from s states, T rounds
    run r T times at most, where r is the least with (s + r)! ≥ s! r! T (the binomial
    schedule of Griewank and Walther, 2000). So a thousandth of the states seldom takes
    more than three times as long.

    Raises `NonScalarOutputError` and `NonDifferentiableError`, both `TypeError`s;
    `MemoryBudgetError`, a `MemoryError`, where a loop needs more than `memory`.

    >>> import numpy as np
    >>> @grad(backend="numpy")
    ... def f(x):
    ...     for i in range(1, len(x)):
    ...         x[i] += x[i - 1] ** 2
    ...     return x[-1]
    >>> f(np.array([1.0, 2.0, 3.0]))
    array([12.,  6.,  1.])
    """
    options = options_of(
        backend,
        boundscheck,
        fastmath,
        accuracy,
        parallel=parallel,
        memory=memory,
        donate_argnums=donate_argnums,
    )
    return decorator(fn, lambda f: Grad(f, options, argnums, has_aux, False))


def value_and_grad(
    fn: Function | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
    accuracy: Accuracy = "fast",
    memory: int | str | None = None,
    parallel: bool | int = False,
    donate_argnums: int | Sequence[int] = (),
) -> Any:
    """The value of a scalar function together with its gradient; see `grad`.

    Returns a function that returns `(value, gradient)`, with `has_aux`
    `((value, aux), gradient)`.

    >>> value_and_grad(lambda x: x * x, backend="numpy")(3.0)
    (9.0, 6.0)
    """
    options = options_of(
        backend,
        boundscheck,
        fastmath,
        accuracy,
        parallel=parallel,
        memory=memory,
        donate_argnums=donate_argnums,
    )
    return decorator(fn, lambda f: Grad(f, options, argnums, has_aux, True))


@outermost
def vjp(
    fn: Function,
    *primals: Any,
    has_aux: bool = False,
    backend: str | None = None,
    memory: int | str | None = None,
    parallel: bool | int = False,
) -> Any:
    """The value of `fn(*primals)` and the function that pulls cotangents back.

    Returns `(value, vjp_fn)`; `vjp_fn(cotangent)`, given one of the structure and
    shapes of the value, returns a tuple with the cotangent of every primal. With
    `has_aux`, `fn` returns `(value, aux)`, and the result is `(value, vjp_fn, aux)`.

    The function is computed once, with what its derivative needs; every call of
    `vjp_fn` runs the reverse sweep alone. (Loops whose length follows from the data are
    run again in every sweep.) `memory` is as for `grad`.

    >>> value, pull = vjp(lambda x, y: x * y, 3.0, 2.0, backend="numpy")
    >>> value, pull(1.0)
    (6.0, (2.0, 3.0))
    """
    options = options_of(backend, parallel=parallel, memory=memory)
    begun = begin(fn, _pulling(options.memory), primals, has_aux, options)
    whole = (begun.value, begun.pull)
    return (*whole, begun.aux) if has_aux else whole


@cache
def _pulling(memory: int | None) -> Splitting:
    return partial(pulled_back, saving=Saving(memory=memory))


HANDLERS[vjp] = vjp
