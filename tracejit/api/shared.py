"""What the public transforms share: their calls, and the checks of their arguments."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType
from typing import Any
from weakref import ref

import numpy as np

from tracejit.api.outs import into, takes_out
from tracejit.base.errors import (
    NonDifferentiableError,
    NonScalarOutputError,
    TreeMismatchError,
)
from tracejit.base.pytree import TreeDef, flatten
from tracejit.base.tracebacks import for_users
from tracejit.frontend.box import Box, as_box, box_of
from tracejit.frontend.calls import call
from tracejit.frontend.stage import Staged
from tracejit.frontend.trace import staging
from tracejit.ir.program import Program, Region, replace_region
from tracejit.ops.promote import convert as cast
from tracejit.runtime.arguments import Arguments, is_traced
from tracejit.runtime.dispatch import (
    Dispatcher,
    Wrap,
    boxed,
    convert,
    dtype_of,
    result_loc,
    unflatten_results,
)
from tracejit.runtime.inline import name_of
from tracejit.runtime.quick import OUT

Function = Callable[..., Any]
Argnums = int | Sequence[int]


class Transformed(Dispatcher):
    """A function under a transform, called like the function.

    A call comes, in this order, from the entry in C (which Python is not asked for, see
    `Quick`), the entry of the last call, or one that is looked up or staged; while
    staging, its program joins the one being built. Subclasses say what it `returns`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.served(args, kwargs)
        except Exception as error:
            for_users(error)
            raise

    def served(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a call returns that the entry in C does not serve."""
        if staging() and any(type(x) is Box for x in flatten((args, kwargs))[0]):
            return call(self, *args, **kwargs)  # by code that is not lifted
        with_out = OUT in kwargs and takes_out(self.py_func)
        out = kwargs[OUT] if with_out else None
        keywords = {k: v for k, v in kwargs.items() if not (with_out and k == OUT)}
        recent = self.recent(args, keywords)
        if recent is not None:
            entry, traced = recent
            arguments = entry.arguments
        else:
            arguments = self.bind(args, keywords)
            entry, traced = self.entry(arguments), arguments.traced()
        results = entry(traced)
        # Only now: the entry in C takes over the memory that this call leaves.
        arrange = partial(self.returns, entry.arguments, entry.staged)
        form = keywords if out is None else kwargs
        self.hasten(entry, args, form, arguments, arrange, out)
        value = self.returns(arguments, entry.staged, results)
        return value if out is None else into(value, out)

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
        return unflatten_results(staged, results, wrap)


def without_value(program: Program, n: int) -> Program:
    """The program without its first `n` results; what only they need is cleaned."""
    region = program.region
    kept = Region(region.params, region.eqns, region.results[n:])
    return replace_region(program, kept)


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


def require_pair(staged: Staged, fn: Function) -> None:
    """With `has_aux`, what the function returns is a pair."""
    tree = staged.out_tree
    if tree.kind is not tuple or len(tree.children) != 2:
        raise NonScalarOutputError(
            f"{name_of(fn)} returns a {tree}, not a pair",
            result_loc(staged, fn),
            "with has_aux=True, `return loss, aux`",
        )


def differentiated(staged: Staged, has_aux: bool) -> int:
    """How many results of the Program are: with `has_aux`, those of the first part."""
    leaves = differentiated_tree(staged, has_aux).num_leaves
    return sum(kind != "static" for kind in staged.out_kinds[:leaves])


def differentiated_tree(staged: Staged, has_aux: bool) -> TreeDef:
    """The structure of what is differentiated."""
    return staged.out_tree.children[0] if has_aux else staged.out_tree


class _Kept(dict[Any, Any]):
    """What was made for one function, by key.

    It lies on the function, for a function and its programs refer to one another: so
    they go together, when nobody has the function any more.
    """

    owner: Callable[[], Any] = staticmethod(lambda: None)

    def __reduce__(self) -> Any:
        return _Kept, ()  # a copied function begins anew


_NAME = "__tracejit_programs__"
#: For what they cannot lie on, as methods of objects: the last few.
_others: OrderedDict[Any, dict[Any, Any]] = OrderedDict()
_OTHERS = 16
_kept_lock = threading.Lock()


def program_of(fn: Function, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` returned for this function and key before, or returns now."""
    with _kept_lock:
        try:
            held = _kept_on(fn) if _holds(fn) else _kept_beside(fn)
        except TypeError:  # not hashable
            return make()
        if key not in held:
            held[key] = make()
        return held[key]


def _holds(fn: Function) -> bool:
    return isinstance(fn, FunctionType | partial | Dispatcher)


def _kept_on(fn: Function) -> dict[Any, Any]:
    kept = vars(fn).get(_NAME)
    if kept is None or kept.owner() is not fn:  # `functools.wraps` copies attributes
        kept = _Kept()
        kept.owner = ref(fn)
        setattr(fn, _NAME, kept)
    return kept


def _kept_beside(fn: Function) -> dict[Any, Any]:
    held = _others.setdefault(fn, {})
    _others.move_to_end(fn)
    if len(_others) > _OTHERS:
        _others.popitem(last=False)
    return held


def decorator(fn: Function | None, make: Callable[[Function], Any]) -> Any:
    """Serve `@grad` and `@grad(argnums=1)` alike."""
    return make if fn is None else make(fn)


def leaves_like(tree: Any, model: Any, what: str) -> list[Any]:
    """The leaves of `tree`, which has the structure, shapes and dtypes of `model`."""
    leaves, treedef = flatten(tree)
    models, wanted = flatten(model)
    if treedef != wanted:
        raise TreeMismatchError(
            f"{what} have the structure {treedef}, not {wanted}",
            cure="give one array for each, nested in the same way",
        )
    return [_like(leaf, m, what) for leaf, m in zip(leaves, models, strict=True)]


def _like(leaf: Any, model: Any, what: str) -> Any:
    """One leaf, of the shape and dtype of its model; a box while staging."""
    shape, wanted = _type_of(leaf), _type_of(model)
    if shape[0] != wanted[0]:
        raise TreeMismatchError(
            f"{what} have shape {shape[0]} where {wanted[0]} is needed",
            cure="give them the shape of the value they belong to",
        )
    dtype = wanted[1] if wanted[1].kind in "fc" else shape[1]
    if shape[1].kind == "c" and dtype.kind == "f":
        raise TreeMismatchError(
            f"{what} are complex where the value is of dtype {dtype}",
            cure="give their real part",
        )
    if staging():
        return box_of(cast(as_box(leaf).read(), dtype))
    array = np.asarray(leaf).astype(dtype)
    return array if array.ndim else array[()]


def _type_of(leaf: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if isinstance(leaf, Box):
        return leaf.aval.shape, leaf.aval.dtype
    array = np.asarray(leaf)
    return array.shape, array.dtype
