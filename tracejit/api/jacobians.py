"""Whole matrices of derivatives: `jacfwd`, `jacrev`, `jacobian`, `hessian`; `hvp`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from tracejit.api.forward import jvp
from tracejit.api.options import options_of
from tracejit.api.reverse import Grad
from tracejit.api.shared import (
    Argnums,
    Function,
    Transformed,
    check_differentiable,
    decorator,
    differentiated,
    differentiated_tree,
    program_of,
    require_pair,
)
from tracejit.base.errors import NonDifferentiableError
from tracejit.base.pytree import TreeDef, flatten, unflatten
from tracejit.base.tracebacks import outermost
from tracejit.frontend.box import HANDLERS
from tracejit.frontend.stage import Staged
from tracejit.ir.cost import flops
from tracejit.ir.program import Program, Region
from tracejit.optimize.passes import optimize
from tracejit.runtime.arguments import Arguments
from tracejit.runtime.dispatch import (
    Accuracy,
    Options,
    Wrap,
    convert,
    dtype_of,
    result_loc,
    unflatten_results,
)
from tracejit.runtime.inline import name_of
from tracejit.transform.jacobian import jacfwd as jacfwd_program
from tracejit.transform.jacobian import jacrev as jacrev_program

MODES = ("fwd", "rev", "auto")


class Jacobian(Transformed):
    """`jacfwd(f)`, `jacrev(f)` and `jacobian(f)`, by `mode`."""

    def __init__(
        self,
        fn: Function,
        options: Options,
        argnums: Argnums,
        has_aux: bool,
        holomorphic: bool,
        mode: str,
    ):
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, not {mode!r}")
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        super().__init__(fn, lambda program, wrt: program, options, numbers)
        self.single = isinstance(argnums, int)
        self.has_aux, self.holomorphic, self.mode = has_aux, holomorphic, mode
        self.recipe = (options, argnums, has_aux, holomorphic, mode)

    def derive(self, staged: Staged, program: Program, arguments: Arguments) -> Program:
        wrt, count = self.wrt(arguments), self.count(staged)
        if self.mode == "fwd":
            return jacfwd_program(program, wrt, count)
        if self.mode == "rev":
            return jacrev_program(program, wrt, count)
        return self._cheaper(program, wrt, count)

    def _cheaper(self, program: Program, wrt: Sequence[int], count: int) -> Program:
        """The direction that is cheaper on paper, where both can be taken."""
        ends = [program.inputs[k] for k in wrt], program.results[:count]
        from_complex, to_complex = (
            not self.holomorphic and any(x.aval.dtype.kind == "c" for x in end)
            for end in ends
        )
        if to_complex:
            if from_complex:
                raise self._unfit("a result", "complex", "real")
            return jacfwd_program(program, wrt, count)
        if from_complex:
            return jacrev_program(program, wrt, count)
        forward = jacfwd_program(program, wrt, count)
        reverse = jacrev_program(program, wrt, count, as_results=True)
        return min(forward, reverse, key=_cost)

    def count(self, staged: Staged) -> int:
        """How many results of the Program are differentiated."""
        return differentiated(staged, self.has_aux)

    def returns(
        self,
        arguments: Arguments,
        staged: Staged,
        results: Sequence[Any],
        wrap: Wrap = convert,
    ) -> Any:
        tree, count = staged.out_tree, self.count(staged)
        blocks = len(results) - (len(staged.program.results) - count)
        rest = iter(results[:blocks])
        rows = [self._row(arguments, rest, k, wrap) for k in staged.out_kinds[:count]]
        if not self.has_aux:
            return _nested(tree, rows)
        values = [*[None] * count, *results[blocks:]]
        aux = unflatten_results(staged, values, partial(_unless_none, wrap))[1]
        return _nested(tree.children[0], rows), aux

    def _row(
        self, arguments: Arguments, blocks: Iterator[Any], kind: str, wrap: Wrap
    ) -> Any:
        """The blocks of one result, in the structure of the selected arguments."""
        row = []
        for argnum in self.argnums:
            kinds, treedef = arguments.part(argnum)
            mine = [wrap(_joint(kind, k), next(blocks)) for k in kinds]
            row.append(_nested(treedef, mine))
        return row[0] if self.single else tuple(row)

    def check_inputs(self, arguments: Arguments) -> None:
        check_differentiable(self.py_func, arguments, self.argnums)
        for argnum in self.argnums:
            for leaf in flatten(arguments.args[argnum])[0]:
                kind = dtype_of(leaf).kind
                if self.holomorphic and kind != "c":
                    raise self._unfit(f"argument {argnum}", dtype_of(leaf), "complex")
                if self.mode == "fwd" and not self.holomorphic and kind == "c":
                    raise self._unfit(f"argument {argnum}", dtype_of(leaf), "real")

    def check_outputs(self, staged: Staged) -> None:
        if self.has_aux:
            require_pair(staged, self.py_func)
        count = self.count(staged)
        if count < differentiated_tree(staged, self.has_aux).num_leaves:
            raise NonDifferentiableError(
                f"{name_of(self.py_func)} returns {staged.out_tree}, of which some are "
                "not numbers",
                result_loc(staged, self.py_func),
                "return it beside the rest, `(result, aux)`, with has_aux=True",
            )
        for result in staged.program.results[:count]:
            dtype = result.aval.dtype
            if dtype.kind not in "fc":
                raise self._unfit("a result", dtype, "float", staged)
            if self.holomorphic and dtype.kind != "c":
                raise self._unfit("a result", dtype, "complex", staged)
            if self.mode == "rev" and not self.holomorphic and dtype.kind == "c":
                raise self._unfit("a result", dtype, "real", staged)

    def _unfit(
        self, what: str, dtype: Any, wanted: str, staged: Staged | None = None
    ) -> NonDifferentiableError:
        cures = {
            "complex": "holomorphic=True is for complex functions of complex numbers",
            "real": "take .real and .imag, or holomorphic=True where f is holomorphic",
            "float": "compute in floating point, or return it with has_aux=True",
        }
        return NonDifferentiableError(
            f"{what} of {name_of(self.py_func)} is of dtype {dtype}, not {wanted}",
            None if staged is None else result_loc(staged, self.py_func),
            cures[wanted],
        )


def _unless_none(wrap: Wrap, kind: str, value: Any) -> Any:
    return None if value is None else wrap(kind, value)


def _joint(result: str, argument: str) -> str:
    """What a derivative is to the user, by what the result and the argument are."""
    kinds = {result, argument}
    return "array" if "array" in kinds else "scalar" if "scalar" in kinds else "python"


def _nested(treedef: TreeDef, leaves: list[Any]) -> Any:
    return leaves[0] if treedef.kind is None else unflatten(treedef, leaves)


def _cost(program: Program) -> float:
    """Of a Program that may stand inside of another one."""
    region = program.region
    closed = Region([*region.params, *region.free_vars()], region.eqns, region.results)
    return flops(optimize(Program(program.name, closed, program.stage)))


def jacfwd(
    fn: Function | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
    accuracy: Accuracy = "fast",
    parallel: bool | int = False,
) -> Any:
    """The Jacobian of a function, column by column in forward mode.

    Arguments: `fn`, a function of arrays and numbers; `argnums`, the argument or
    arguments to differentiate by; `has_aux`, whether `fn` returns `(result, aux)`;
    `holomorphic`, that it is a complex function with a complex derivative; for the
    others see `jit`.

    Returns a function of the same arguments. Where `fn` returns an array of shape
    `out` and the argument has shape `in`, the Jacobian has shape `out + in` and the
    dtype of the result; of nested structures it is the structure of the result, and in
    each place of that, the structure of the argument (a tuple for several `argnums`).
    With `has_aux` a pair `(jacobian, aux)`.

    The function itself is computed once, and its derivative once for every element of
    the arguments: cheap where they have fewer elements than the result.

    Raises `NonDifferentiableError`, a `TypeError`, for integers and other things
    without a derivative, and for complex numbers without `holomorphic`.

    >>> import numpy as np
    >>> jacfwd(lambda x: x**2, backend="numpy")(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    options = options_of(backend, boundscheck, fastmath, accuracy, parallel=parallel)
    return decorator(
        fn, lambda f: Jacobian(f, options, argnums, has_aux, holomorphic, "fwd")
    )


def jacrev(
    fn: Function | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
    accuracy: Accuracy = "fast",
    parallel: bool | int = False,
) -> Any:
    """The Jacobian of a function, row by row in reverse mode; see `jacfwd`.

    It has the dtype of the argument. The function itself is computed once, and its
    derivative once for every element of the result.

    >>> import numpy as np
    >>> f = jacrev(lambda p: p["a"] * p["b"], backend="numpy")
    >>> f({"a": 2.0, "b": np.array([1.0, 3.0])})["a"]
    array([1., 3.])
    """
    options = options_of(backend, boundscheck, fastmath, accuracy, parallel=parallel)
    return decorator(
        fn, lambda f: Jacobian(f, options, argnums, has_aux, holomorphic, "rev")
    )


def jacobian(
    fn: Function | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    mode: str = "auto",
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
    accuracy: Accuracy = "fast",
    parallel: bool | int = False,
) -> Any:
    """The Jacobian of a function in the cheaper direction; see `jacfwd`.

    `mode` is "fwd", "rev", or "auto": both programs are made, and the one with fewer
    operations, counted on paper, is run. The dtype is that of the result, of the
    argument where that is complex and the result is real.

    >>> import numpy as np
    >>> jacobian(lambda x: np.sum(x**2), backend="numpy")(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    options = options_of(backend, boundscheck, fastmath, accuracy, parallel=parallel)
    return decorator(
        fn, lambda f: Jacobian(f, options, argnums, has_aux, holomorphic, mode)
    )


def hessian(
    fn: Function | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
    accuracy: Accuracy = "fast",
    parallel: bool | int = False,
) -> Any:
    """The second derivatives of a function: `jacfwd(jacrev(fn))`.

    Arguments as for `jacfwd`. Of a scalar function of an array of shape `in` it returns
    an array of shape `in + in`; of nested arguments, a structure of structures:
    `h["a"]["b"]` by `a`, then by `b`.

    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1], backend="numpy")(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])
    """
    options = options_of(backend, boundscheck, fastmath, accuracy, parallel=parallel)

    def make(f: Function) -> Jacobian:
        inner = Jacobian(f, options, argnums, has_aux, holomorphic, "rev")
        return Jacobian(inner, options, argnums, has_aux, holomorphic, "fwd")

    return decorator(fn, make)


@outermost
def hvp(
    fn: Function,
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    backend: str | None = None,
    parallel: bool | int = False,
) -> Any:
    """The Hessian of a scalar function times a vector: `jvp(grad(fn), …)[1]`.

    Arguments: `primals`, a sequence of arguments; `tangents`, one for each, of the same
    structure, shapes and dtypes. Returns what `grad` by all of them does: for one
    primal an array (or pytree) like it, for several a tuple. The Hessian is never
    formed: the cost is a few gradients, whatever its size.

    >>> import numpy as np
    >>> x, v = np.array([1.0, 2.0]), np.array([1.0, 0.0])
    >>> hvp(lambda x: x[0] ** 2 * x[1], (x,), (v,), backend="numpy")
    array([4., 2.])
    """
    argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    options = options_of(backend, parallel=parallel)
    recipe = (options, argnums, False, False)
    slope = program_of(fn, (Grad, *recipe), partial(Grad, fn, *recipe))
    return jvp(slope, primals, tangents, backend=backend, parallel=parallel)[1]


HANDLERS[hvp] = hvp
