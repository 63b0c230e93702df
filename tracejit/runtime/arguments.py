"""The arguments of a call: what is a runtime input, and what a trace is made for.

Arrays and floats are runtime inputs and enter the signature by dtype and shape; ints,
bools, strings, None and other objects are static and enter by value or identity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.base.pytree import TreeDef, flatten
from tracejit.frontend.box import Box


@dataclass
class Arguments:
    """The arguments of one call, bound and flattened."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    leaves: list[Any] = field(init=False)
    treedef: TreeDef = field(init=False)
    _parts: dict[int, tuple[list[str], TreeDef]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.leaves, self.treedef = flatten((self.args, self.kwargs))

    def part(self, argnum: int) -> tuple[list[str], TreeDef]:
        """The kinds of a positional argument's leaves, and its structure."""
        if argnum not in self._parts:
            leaves, treedef = flatten(self.args[argnum])
            self._parts[argnum] = [leaf_kind(leaf) for leaf in leaves], treedef
        return self._parts[argnum]

    def plain(self) -> list[Any] | None:
        """Dtype and shape of every array in C order, None for a float, Fixed for what
        the Program does not get.

        Where there is anything else, None for the whole.
        """
        specs: list[Any] = []
        for arg in self.args:
            if type(arg) is float:
                specs.append(None)
            elif type(arg) is np.ndarray and arg.flags.c_contiguous:
                specs.append((arg.dtype, arg.shape))
            elif type(arg) in FIXED:
                specs.append(Fixed(arg))
            else:
                return None
        return None if self.kwargs else specs

    def signature(self) -> tuple[Any, ...]:
        return (self.treedef, *map(leaf_signature, self.leaves))

    def traced(self) -> list[Any]:
        """The leaves that are runtime inputs, in order."""
        return [leaf for leaf in self.leaves if is_traced(leaf)]


@dataclass(frozen=True)
class Fixed:
    """An argument that a trace relies on being what it was."""

    value: Any


#: Types of such arguments that are compared by value.
FIXED = (int, bool, str, type(None))


def is_traced(leaf: Any) -> bool:
    """Whether an argument is a runtime input: an array, a NumPy scalar or a float."""
    return isinstance(leaf, np.ndarray | np.generic | float | complex | Box)


def leaf_signature(leaf: Any) -> Any:
    """What a trace relies on about one argument."""
    if isinstance(leaf, np.ndarray):
        # Strides decide what `ravel` and `reshape` make: a view or a copy.
        strides = None if leaf.flags.c_contiguous else leaf.strides
        return type(leaf), leaf.dtype, leaf.shape, strides
    if isinstance(leaf, np.generic):
        return type(leaf)
    if isinstance(leaf, float | complex):
        return type(leaf)
    if isinstance(leaf, int | str | bytes | None):
        return type(leaf), leaf
    # Other objects are static by identity; the entry keeps them alive.
    return type(leaf), id(leaf)


def leaf_kind(leaf: Any) -> str:
    """What an argument is to the user: "array", "scalar" (NumPy's) or "python"."""
    if isinstance(leaf, Box):
        return leaf.kind
    if isinstance(leaf, np.ndarray):
        return "array"
    return "scalar" if isinstance(leaf, np.generic) else "python"
