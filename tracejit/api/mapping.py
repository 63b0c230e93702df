"""`vmap`: a function of one observation, for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.api.options import options_of
from tracejit.api.shared import Function, Transformed, decorator
from tracejit.base.errors import MappedAxisError
from tracejit.base.pytree import TreeDef, flatten, spread
from tracejit.frontend.box import Box, as_box
from tracejit.frontend.lanes import Lanes
from tracejit.frontend.stage import leaf_kind
from tracejit.ir.program import Atom
from tracejit.runtime.arguments import Arguments
from tracejit.runtime.dispatch import Accuracy, Options
from tracejit.runtime.inline import name_of

#: An axis, None, or a structure of them: a prefix of what it is about.
Axes = Any


class Vmap(Transformed):
    """`vmap(f)`: a loop whose rounds run `f`; it is made while staging."""

    derivatives = 0

    def __init__(
        self,
        fn: Function,
        options: Options,
        in_axes: Axes,
        out_axes: Axes,
        axis_size: int | None,
    ):
        super().__init__(fn, lambda program, wrt: program, options)
        self.staged_as = self
        self.in_axes, self.out_axes, self.axis_size = in_axes, out_axes, axis_size
        self.recipe = (options, in_axes, out_axes, axis_size)
        self.name = name_of(fn)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        # As it is called: `in_axes` are those of the positional arguments.
        return Arguments(args, kwargs)

    def __tracejit_call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, treedef = flatten((args, kwargs))
        axes = self.axes(leaves, treedef)
        lanes = Lanes(self.py_func, self.count(leaves, axes), axes)
        return lanes.stage(leaves, treedef, self.places, self.name)

    def axes(self, leaves: Sequence[Any], treedef: TreeDef) -> list[int | None]:
        """The axis of every leaf of the arguments that counts the lanes."""
        args, kwargs = treedef.children
        given = tuple(self.in_axes) if _is_sequence(self.in_axes) else self.in_axes
        found = spread(given, args)
        if found is None:
            raise MappedAxisError(
                f"in_axes={self.in_axes} does not fit the arguments of {self.name}, "
                f"{args}",
                cure="give an axis, None, or one of these for each positional argument",
            )
        found += [0] * kwargs.num_leaves
        return [
            None if axis is None else self.axis(leaf, axis)
            for leaf, axis in zip(leaves, found, strict=True)
        ]

    def axis(self, leaf: Any, axis: int) -> int:
        """An axis of an argument, counted from the front."""
        mappable = isinstance(leaf, Box) or leaf_kind(leaf) is not None
        shape = as_box(leaf).aval.shape if mappable else ()
        if not -len(shape) <= axis < len(shape):
            what = f"of shape {shape}" if mappable else f"a {type(leaf).__name__}"
            raise MappedAxisError(
                f"{self.name} is to be mapped over axis {axis} of an argument that is "
                f"{what}",
                cure="in_axes=None for what every lane gets as it is; keyword "
                "arguments are mapped over axis 0: bind others by functools.partial",
            )
        return axis % len(shape)

    def count(self, leaves: Sequence[Any], axes: Sequence[int | None]) -> int:
        """How many lanes there are."""
        pairs = zip(leaves, axes, strict=True)
        sizes = [as_box(x).aval.shape[a] for x, a in pairs if a is not None]
        if self.axis_size is not None:
            sizes.append(self.axis_size)
        if not sizes:
            raise MappedAxisError(
                f"no argument of {self.name} is mapped",
                cure="give an axis in in_axes, or axis_size",
            )
        if len(set(map(int, sizes))) > 1:
            raise MappedAxisError(
                f"arguments of {self.name} have different numbers of lanes: "
                f"{', '.join(str(int(n)) for n in sizes)}",
                cure="in_axes=None for what every lane gets as it is",
            )
        return sizes[0]

    def places(self, tree: TreeDef, atoms: Sequence[Atom]) -> list[int | None]:
        """The axis of every result along which the lanes are stacked."""
        found = spread(self.out_axes, tree)
        if found is None:
            raise MappedAxisError(
                f"out_axes={self.out_axes} does not fit what {self.name} returns, "
                f"{tree}",
                cure="give an axis, None, or a structure of them",
            )
        places: list[int | None] = []
        for axis, atom in zip(found, atoms, strict=True):
            ndim = atom.aval.ndim + 1
            if axis is not None and not -ndim <= axis < ndim:
                raise MappedAxisError(
                    f"{self.name} is to be stacked along axis {axis}, and returns "
                    f"shape {atom.aval.shape}",
                    cure=f"an axis from {-ndim} to {ndim - 1}",
                )
            places.append(None if axis is None else axis % ndim)
        return places


def _is_sequence(axes: Axes) -> bool:
    return type(axes) in (list, tuple)


def vmap(
    fn: Function | None = None,
    in_axes: Axes = 0,
    out_axes: Axes = 0,
    *,
    axis_size: int | None = None,
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
    accuracy: Accuracy = "fast",
    parallel: bool | int = False,
) -> Any:
    """Map a function over an axis of its arguments.

    Arguments: `fn`, a function of one lane; `in_axes`, the axis of the positional
    arguments that counts the lanes: a number for all of them, or a tuple with a number,
    None (every lane gets the whole) or a structure of these for each; keyword arguments
    are mapped over axis 0. `out_axes`, where the lanes are put in the results, in the
    same way; None for what does not differ between lanes. `axis_size`, the number of
    lanes, needed where no argument is mapped. For the others see `jit`.

    Returns a function of stacked arguments with stacked results: the same as calling
    `fn` in a loop and stacking what it returns. Lanes run the program of `fn` as it is
    written, each with branches and numbers of rounds of its own. What a lane writes
    into its arguments stays in it, and side effects on other objects happen once.

    Raises `MappedAxisError`, a `ValueError`, where axes do not fit.

    >>> import numpy as np
    >>> rows, v = np.arange(6.0).reshape(3, 2), np.array([1.0, 10.0])
    >>> vmap(lambda a, b: np.sum(a * b), in_axes=(0, None), backend="numpy")(rows, v)
    array([10., 32., 54.])
    """
    options = options_of(backend, boundscheck, fastmath, accuracy, parallel=parallel)
    return decorator(fn, lambda f: Vmap(f, options, in_axes, out_axes, axis_size))
