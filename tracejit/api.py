"""The public transforms: JAX's names, argument order and return shapes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tracejit.base.errors import (
    NonDifferentiableError,
    NonScalarOutputError,
    TreeMismatchError,
)
from tracejit.base.pytree import flatten, unflatten
from tracejit.frontend.box import HANDLERS
from tracejit.frontend.calls import call
from tracejit.frontend.stage import Staged
from tracejit.ir.program import Program, Region
from tracejit.runtime.dispatch import (
    Arguments,
    Dispatcher,
    Options,
    Wrap,
    boxed,
    convert,
    dtype_of,
    is_traced,
    leaf_kind,
    result_loc,
    unflatten_results,
)
from tracejit.runtime.inline import name_of
from tracejit.transform.jvp import jvp as jvp_program
from tracejit.transform.vjp import vjp as vjp_program

Function = Callable[..., Any]
Argnums = int | Sequence[int]


class Jit(Dispatcher):
    """`jit(f)`: the value, computed by native loops."""

    def __init__(self, fn: Function, options: Options):
        super().__init__(fn, lambda program, wrt: program, options)
        self.recipe = (options,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fast is not None and not kwargs:
            result = self.fast(*args)
            if result is not NotImplemented:
                return result
        entry = self.recent(args, kwargs)
        if entry is not None:
            self.hasten(entry, partial(unflatten_results, entry.staged))
            return unflatten_results(entry.staged, entry(args))
        arguments = self.bind(args, kwargs)
        entry = self.entry(arguments)
        self.hasten(entry, partial(unflatten_results, entry.staged))
        return unflatten_results(entry.staged, entry(arguments.traced()))

    def __tracejit_call__(self, *args: Any, **kwargs: Any) -> Any:
        return call(self.py_func, *args, **kwargs)


class Grad(Dispatcher):
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
        super().__init__(fn, transform, options, numbers)
        self.single = isinstance(argnums, int)
        self.has_aux = has_aux
        self.with_value = with_value
        self.recipe = (options, argnums, has_aux, with_value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fast is not None and not kwargs:
            result = self.fast(*args)
            if result is not NotImplemented:
                return result
        entry = self.recent(args, kwargs)
        if entry is not None:
            self.hasten(entry, partial(self.returns, entry.arguments, entry.staged))
            return self.returns(entry.arguments, entry.staged, entry(args))
        arguments = self.bind(args, kwargs)
        entry = self.entry(arguments)
        self.hasten(entry, partial(self.returns, entry.arguments, entry.staged))
        results = entry(arguments.traced())
        return self.returns(arguments, entry.staged, results)

    def __tracejit_call__(self, *args: Any, **kwargs: Any) -> Any:
        arguments = self.bind(args, kwargs)
        staged, results = self.inline(arguments)
        return self.returns(arguments, staged, results, boxed)

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

    def wrt(self, arguments: Arguments) -> list[int]:
        check_differentiable(self.py_func, arguments, self.argnums)
        return super().wrt(arguments)

    def check_outputs(self, staged: Staged) -> None:
        name = name_of(self.py_func)
        loc = result_loc(staged, self.py_func)
        children = staged.out_tree.children
        if self.has_aux:
            if staged.out_tree.kind is not tuple or len(children) != 2:
                raise NonScalarOutputError(
                    f"{name} returns a {staged.out_tree}, not a pair",
                    loc,
                    "with has_aux=True, `return loss, aux`",
                )
            tree = children[0]
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


def _value_and_vjp(program: Program, wrt: Sequence[int]) -> Program:
    return vjp_program(program, wrt, seed=True)


def _vjp_alone(program: Program, wrt: Sequence[int]) -> Program:
    return without_value(vjp_program(program, wrt, seed=True), len(program.results))


def without_value(program: Program, n: int) -> Program:
    """The program without its first `n` results; what only they need is cleaned."""
    region = program.region
    kept = Region(region.params, region.eqns, region.results[n:])
    return Program(program.name, kept, program.stage)


def _pullback(program: Program, wrt: Sequence[int]) -> Program:
    return without_value(vjp_program(program, wrt), len(program.results))


def check_differentiable(
    fn: Function, arguments: Arguments, argnums: Sequence[int]
) -> None:
    """Every leaf of the selected arguments is a float."""
    for argnum in argnums:
        if not -len(arguments.args) <= argnum < len(arguments.args):
            raise NonDifferentiableError(
                f"argnums names argument {argnum}, but {name_of(fn)} was called with "
                f"{len(arguments.args)} positional arguments",
                cure="count from 0, `self` excluded",
            )
        for leaf in flatten(arguments.args[argnum])[0]:
            dtype = dtype_of(leaf) if is_traced(leaf) else None
            if dtype is None or dtype.kind not in "fc":
                what = f"{type(leaf).__name__}" + (
                    f" of dtype {dtype}" if dtype else ""
                )
                raise NonDifferentiableError(
                    f"argument {argnum} of {name_of(fn)} is differentiated but holds "
                    f"{_an(what)}",
                    cure="pass floats (x.astype(float)), or leave it out of argnums",
                )


def _an(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


class Vjp(Dispatcher):
    """The reverse program of `vjp(f, *primals)`, which takes cotangents."""

    def __init__(self, fn: Function, argnums: tuple[int, ...], options: Options):
        super().__init__(fn, _pullback, options, argnums)
        self.recipe = (argnums, options)


class Jvp(Dispatcher):
    """The forward program of `jvp(f, primals, tangents)`."""

    def __init__(self, fn: Function, argnums: tuple[int, ...], options: Options):
        super().__init__(fn, jvp_program, options, argnums)
        self.recipe = (argnums, options)


# A function keeps its programs from call to call, as long as it lives.
_programs: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()
_programs_lock = threading.Lock()


def _kept(fn: Function, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` returned for this function and key before, or returns now."""
    with _programs_lock:
        try:
            held = _programs.setdefault(fn, {})
        except TypeError:  # not weakly referable
            return make()
        if key not in held:
            held[key] = make()
        return held[key]


def _decorator(fn: Function | None, make: Callable[[Function], Any]) -> Any:
    """Serve `@grad` and `@grad(argnums=1)` alike."""
    return make if fn is None else make(fn)


def jit(
    fn: Function | None = None,
    *,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
) -> Any:
    """Compile a NumPy function to native loops.

    Arguments: `fn`, any function that tracejit can stage; `backend`, "numba" or
    "numpy" (interpreted: same results, nothing compiled); `boundscheck`, whether
    indices that could be out of range are checked; `fastmath`, whether sums and
    products may be reassociated freely.

    Returns a function of the same signature with the same results.

    >>> import numpy as np
    >>> @jit(backend="numpy")
    ... def f(x):
    ...     return np.sum(x * x)
    >>> float(f(np.array([1.0, 2.0])))
    5.0
    """
    options = Options(backend, boundscheck, fastmath)
    return _decorator(fn, lambda f: Jit(f, options))


def grad(
    fn: Function | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
) -> Any:
    """The gradient of a function that returns a scalar.

    Arguments: `fn`, a function of arrays and numbers; `argnums`, the argument or
    arguments to differentiate (`self` of a method is not counted); `has_aux`, whether
    `fn` returns `(loss, aux)`; for the others see `jit`.

    Returns a function of the same arguments that returns the gradient: for one argnum
    an array (or pytree) like that argument, for several a tuple of them, with
    `has_aux` a pair `(gradient, aux)`. Dtypes are those of the arguments.

    Raises `NonScalarOutputError` and `NonDifferentiableError`, both `TypeError`s.

    >>> import numpy as np
    >>> @grad(backend="numpy")
    ... def f(x):
    ...     for i in range(1, len(x)):
    ...         x[i] += x[i - 1] ** 2
    ...     return x[-1]
    >>> f(np.array([1.0, 2.0, 3.0]))
    array([12.,  6.,  1.])
    """
    options = Options(backend, boundscheck, fastmath)
    return _decorator(fn, lambda f: Grad(f, options, argnums, has_aux, False))


def value_and_grad(
    fn: Function | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
) -> Any:
    """The value of a scalar function together with its gradient; see `grad`.

    Returns a function that returns `(value, gradient)`, with `has_aux`
    `((value, aux), gradient)`.

    >>> value_and_grad(lambda x: x * x, backend="numpy")(3.0)
    (9.0, 6.0)
    """
    options = Options(backend, boundscheck, fastmath)
    return _decorator(fn, lambda f: Grad(f, options, argnums, has_aux, True))


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
    program = _kept(fn, (Jvp, argnums, options), lambda: Jvp(fn, argnums, options))
    arguments = program.bind(tuple(primals), {})
    check_differentiable(fn, arguments, argnums)
    dots = _like(tuple(tangents), tuple(primals), "tangents")
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


def vjp(
    fn: Function, *primals: Any, backend: str | None = None
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of `fn(*primals)` and the function that pulls cotangents back.

    Returns `(value, vjp_fn)`; `vjp_fn(cotangent)`, given one of the structure and
    shapes of the value, returns a tuple with the cotangent of every primal.

    >>> value, pull = vjp(lambda x, y: x * y, 3.0, 2.0, backend="numpy")
    >>> value, pull(1.0)
    (6.0, (2.0, 3.0))
    """
    argnums = tuple(range(len(primals)))
    options = Options(backend)
    forward = _kept(fn, (Jit, options), lambda: Jit(fn, options))
    program = _kept(fn, (Vjp, argnums, options), lambda: Vjp(fn, argnums, options))
    arguments = program.bind(primals, {})
    check_differentiable(fn, arguments, argnums)
    # The arguments may be changed by their owner before the pull: keep their values.
    kept = Arguments(
        *unflatten(
            arguments.treedef,
            [x.copy() if isinstance(x, np.ndarray) else x for x in arguments.leaves],
        )
    )
    value = forward(*primals)
    entry = program.entry(arguments)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        leaves = _like(cotangent, value, "cotangent")
        kinds = entry.staged.out_kinds
        computed = [c for c, k in zip(leaves, kinds, strict=True) if k != "static"]
        results = entry.staged.program.results
        cts = [c for c, r in zip(computed, results, strict=True) if r.aval.inexact]
        grads = entry(kept.traced(), cts)
        inputs, treedef = flatten(primals)
        pulled = [convert(leaf_kind(x), g) for x, g in zip(inputs, grads, strict=True)]
        return unflatten(treedef, pulled)

    return value, pull


def _like(tree: Any, model: Any, what: str) -> list[Any]:
    """The leaves of `tree`, which has the structure, shapes and dtypes of `model`."""
    leaves, treedef = flatten(tree)
    models, wanted = flatten(model)
    if treedef != wanted:
        raise TreeMismatchError(
            f"{what} have the structure {treedef}, not {wanted}",
            cure="give one array for each, nested in the same way",
        )
    out = []
    for leaf, like in zip(leaves, models, strict=True):
        aval = np.asarray(like)
        array = np.asarray(leaf)
        if array.shape != aval.shape:
            raise TreeMismatchError(
                f"{what} have shape {array.shape} where {aval.shape} is needed",
                cure="give them the shape of the value they belong to",
            )
        dtype = aval.dtype if aval.dtype.kind in "fc" else array.dtype
        if array.dtype.kind == "c" and dtype.kind == "f":
            raise TreeMismatchError(
                f"{what} are complex where the value is of dtype {dtype}",
                cure="give their real part",
            )
        cast = array.astype(dtype)
        out.append(cast if cast.ndim else cast[()])
    return out


def _staged_vjp(
    fn: Function, *primals: Any, backend: str | None = None
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """`vjp` called while staging; the primal's equations are shared afterwards."""
    program = Vjp(fn, tuple(range(len(primals))), Options(backend))
    arguments = program.bind(primals, {})
    check_differentiable(fn, arguments, program.argnums)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        cts = flatten(cotangent)[0]
        _, grads = program.inline(arguments, cts)
        inputs, treedef = flatten(primals)
        pulled = [boxed(leaf_kind(x), g) for x, g in zip(inputs, grads, strict=True)]
        return unflatten(treedef, pulled)

    return call(fn, *primals), pull


HANDLERS[jvp] = _staged_jvp
HANDLERS[vjp] = _staged_vjp
