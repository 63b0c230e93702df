"""Types of what loops carry and branches merge, and the way in and out of Atoms.

A place may hold any tree of boxes, numbers and other objects. Its `Spec` says which
leaves become values of the program and which are the same Python object throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.errors import StagingError
from tracejit.base.pytree import LEAF, TreeDef, unflatten
from tracejit.frontend.box import Box, as_box, box_of
from tracejit.frontend.jumps import is_flag
from tracejit.frontend.places import UNDEFINED, Buffer, Maybe, Place, Variable
from tracejit.frontend.session import session
from tracejit.frontend.trees import ABSENT, common_tree, containers, leaves_as
from tracejit.ir.aval import Aval
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Atom
from tracejit.ops.promote import convert

_WEAK: dict[str, Any] = {"b": False, "i": 0, "u": 0, "f": 0.0, "c": 0j}
_NONE: Mapping[int, Box] = {}
_ORDER = {"python": 0, "scalar": 1, "array": 2}


@dataclass(frozen=True)
class Carried:
    """A leaf that is a value of the program: its type and the kind of its box."""

    aval: Aval
    kind: str


@dataclass(frozen=True)
class Referred:
    """A leaf that is an array of this type, kept by `references`."""

    aval: Aval
    kind = "array"


@dataclass(frozen=True)
class Same:
    """A leaf that is one Python object, or equal numbers, throughout."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and same(self.value, other.value)


@dataclass(frozen=True)
class Spec:
    """What a place holds. `maybe`: the last leaf says whether it is defined."""

    tree: TreeDef
    leaves: tuple[Carried | Referred | Same, ...]
    maybe: bool = False

    @property
    def carried(self) -> list[Carried]:
        """The leaves that are values of the program."""
        return [leaf for leaf in self.leaves if isinstance(leaf, Carried)]


def same(a: Any, b: Any) -> bool:
    """One object, or equal plain numbers or strings of one type; NaN equals NaN."""
    if a is b:
        return True
    if type(a) is not type(b) or isinstance(a, Box | np.ndarray):
        return False
    if isinstance(a, float):
        equal = a == b and math.copysign(1, a) == math.copysign(1, b)
        return equal or (math.isnan(a) and math.isnan(b))
    if isinstance(a, complex):
        return repr(a) == repr(b)
    plain = int | str | bytes | np.generic | frozenset | set
    return isinstance(a, plain) and bool(a == b)


def leaf_type(value: Any) -> Carried | None:
    """The type of a box or number; None for any other object."""
    if isinstance(value, bool | int | float | complex | np.generic | np.ndarray):
        value = as_box(value)
    return Carried(value.aval, value.kind) if isinstance(value, Box) else None


def joined(a: Carried | Referred, b: Carried) -> Carried | None:
    """The type that holds both; None where there is none."""
    if a.aval.shape != b.aval.shape:
        return None
    kind = max(a.kind, b.kind, key=_ORDER.__getitem__)
    weak = [t.aval.dtype.kind for t in (a, b) if t.kind == "python"]
    strong = [t.aval.dtype for t in (a, b) if t.kind != "python"]
    dtype = np.result_type(*strong, *(_WEAK[k] for k in weak))
    # Where a dtype is shared it stays: `np.result_type(False, False)` is fine, but an
    # int of Python's must not widen an int32.
    if a.aval.dtype == b.aval.dtype:
        dtype = a.aval.dtype
    return Carried(Aval(dtype, a.aval.shape), kind)


def spec_of(
    place: Place,
    values: Sequence[Any],
    old: Spec | None = None,
    refer: bool = False,
    firm: bool = False,
) -> Spec:
    """The Spec that holds all `values` at a place, and what `old` holds.

    `refer`: arrays are kept by reference. `firm`: what is None stays None.
    """
    if isinstance(place, Buffer):
        return Spec(LEAF, (Carried(place.owner.aval, "array"),))
    present = [v.value if isinstance(v, Maybe) else v for v in values]
    present = [v for v in present if v is not UNDEFINED]
    tree = common_tree(present, _named(place), firm)
    known = old is not None and old.tree == tree
    leaves = old.leaves if known else (None,) * tree.num_leaves  # type: ignore
    for value in present:
        pairs = zip(leaves, leaves_as(tree, value), strict=True)
        leaves = tuple([_with(place, leaf, x) for leaf, x in pairs])
    leaves = tuple([_at_home(leaf) for leaf in leaves])
    if refer:
        leaves = tuple([_referred(leaf) for leaf in leaves])
    some_undefined = any(v is UNDEFINED or isinstance(v, Maybe) for v in values)
    maybe = bool(old and old.maybe) or (some_undefined and not _is_ours(place))
    if maybe and not isinstance(place, Variable):
        raise _unlike(f"{_named(place)} is assigned on some paths only")
    return Spec(tree, leaves, maybe)  # type: ignore[arg-type]


def _at_home(leaf: Any) -> Any:
    """A box made in a region that is closed by now cannot be shared, only its value."""
    if isinstance(leaf, Same) and isinstance(leaf.value, Box):
        stack = session().builder.stack
        if not any(leaf.value.region is region for region in stack):
            return leaf_type(leaf.value)
    return leaf


def _referred(leaf: Any) -> Any:
    array = isinstance(leaf, Carried) and leaf.kind == "array"
    return Referred(leaf.aval) if array else leaf


def _is_ours(place: Place) -> bool:
    return isinstance(place, Variable) and is_flag(place.name)


def _with(place: Place, leaf: Any, value: Any) -> Carried | Same:
    """The type of a leaf that holds `value` as well."""
    if value is ABSENT:
        return leaf
    if leaf is None:
        return Same(value)
    if isinstance(leaf, Same):
        if same(leaf.value, value):
            return leaf
        before = leaf_type(leaf.value)
    else:
        before = leaf
    new = leaf_type(value)
    if before is None or new is None:
        a = leaf.value if isinstance(leaf, Same) else f"a value of type {leaf.aval}"
        raise _unlike(f"{_named(place)} is {_brief(a)} or {_brief(value)}")
    both = joined(before, new)
    if both is None:
        raise _unlike(f"{_named(place)} has shape {_shape(before)} or {_shape(new)}")
    return both


def _shape(leaf: Any) -> str:
    return str(tuple(int(n) for n in leaf.aval.shape))


def _unlike(message: str) -> StagingError:
    return StagingError(
        message,
        session().builder.loc,
        "give it the same type and structure on every path",
    )


def _brief(value: Any) -> str:
    text = (
        value if isinstance(value, str) and value.startswith("a value") else repr(value)
    )
    return text if len(text) < 60 else text[:56] + " ..."


def _named(place: Place) -> str:
    if _is_ours(place):
        return "the result of the function"
    return str(place)


# In and out ---------------------------------------------------------------------------


def encode(place: Place, spec: Spec, value: Any) -> list[Atom]:
    """The Atoms that stand for a place's value; emitted in the current region."""
    if isinstance(place, Buffer):
        return [place.owner.read()]
    if value is UNDEFINED:
        return [*(zeros(leaf.aval) for leaf in spec.carried), *_defined(spec, False)]
    defined = True
    if isinstance(value, Maybe):
        value, defined = value.value, value.defined
    return [*encode_leaves(spec, leaves_as(spec.tree, value)), *_defined(spec, defined)]


def _defined(spec: Spec, flag: Any) -> list[Atom]:
    return [as_box(flag).read()] if spec.maybe else []


def encode_leaves(spec: Spec, leaves: Sequence[Any]) -> list[Atom]:
    return [
        zeros(leaf.aval) if x is ABSENT else convert(as_box(x).read(), leaf.aval.dtype)
        for leaf, x in zip(spec.leaves, leaves, strict=True)
        if isinstance(leaf, Carried)
    ]


def decode(spec: Spec, atoms: Sequence[Atom], arrays: Mapping[int, Box] = _NONE) -> Any:
    """The value that Atoms stand for, in boxes of its own.

    `arrays` are the leaves that are kept by reference, by position.
    """
    rest = iter(atoms)
    leaves = [
        leaf.value
        if isinstance(leaf, Same)
        else arrays[k]
        if isinstance(leaf, Referred)
        else box_of(next(rest), leaf.kind)
        for k, leaf in enumerate(spec.leaves)
    ]
    value = unflatten(spec.tree, leaves)
    for obj in containers(spec.tree, value):
        session().make(obj)
    return Maybe(value, box_of(next(rest), "python")) if spec.maybe else value


def array_leaves(place: Place, spec: Spec, value: Any) -> dict[int, Box]:
    """What a place's value has for arrays, by position; not all of it need be one."""
    value = value.value if isinstance(value, Maybe) else value
    if value is UNDEFINED or isinstance(place, Buffer):
        return {}
    found: dict[int, Box] = {}
    for k, leaf in enumerate(leaves_as(spec.tree, value)):
        merged = spec.leaves[k]
        if leaf is ABSENT:
            continue
        if isinstance(leaf, Box) and leaf.kind == "array":
            found[k] = leaf
        elif not isinstance(merged, Same) and merged.kind == "array":
            found[k] = as_box(leaf)
    return found


def avals(spec: Spec) -> list[Aval]:
    """The types of a value's Atoms."""
    flag = [Aval(np.dtype(bool))] if spec.maybe else []
    return [*(leaf.aval for leaf in spec.carried), *flag]
