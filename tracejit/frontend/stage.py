"""`stage(fn, args, kwargs)`: from a plain function to a Program."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import is_
from types import MethodType
from typing import Any

import numpy as np

from tracejit.base.errors import (
    OutsideStoreError,
    StagingError,
    TracejitError,
    UnsupportedDTypeError,
)
from tracejit.base.pytree import TreeDef, flatten, unflatten
from tracejit.base.tracebacks import for_users
from tracejit.frontend.box import C_ORDER, Box, as_box, box_of, layout_of
from tracejit.frontend.calls import call
from tracejit.frontend.control import HOOKS
from tracejit.frontend.decisions import concretize
from tracejit.frontend.draws import Stacked, ordered
from tracejit.frontend.effects import (
    Effect,
    effects_of,
    left_in_arrays,
    undo_outside,
)
from tracejit.frontend.grown import opened
from tracejit.frontend.masked import Masked
from tracejit.frontend.memory import Caller, Memory, Writes
from tracejit.frontend.places import Contents
from tracejit.frontend.ragged import Ragged
from tracejit.frontend.session import ROOM, Advice, Restage, Session
from tracejit.frontend.trace import Trace, tracing
from tracejit.frontend.trees import containers
from tracejit.frontend.undecided import require_decided, settled
from tracejit.ir.aval import Aval, Extent
from tracejit.ir.builder import fresh, new_region
from tracejit.ir.check import checked
from tracejit.ir.program import Atom, Program, Region, Var
from tracejit.ops.promote import supported

assert HOOKS
MAX_ATTEMPTS = 20


@dataclass
class Leaf:
    """One leaf of the arguments. `kind` None: static, else the kind of its box."""

    name: str
    kind: str | None
    value: Any


@dataclass
class Staged:
    """A function staged for one call.

    The program's inputs are the traced leaves, then `trace.captured`, then
    `trace.draws`. A result is an Atom of the program for every leaf of `out_tree`
    that is an array, NumPy scalar or number (`out_kinds`: "array", "scalar",
    "python"); other leaves are in `out_static`, by position, with kind "static".
    `effects` is what a call does to objects of the outside, and `stores` the program,
    of the same inputs, that computes what they need, if anything.
    What it does to the caller's arrays are its `writes`; `program` has no part in them.
    `pinned` are the names and bytes of inputs, by position, that Python decides on.
    """

    program: Program
    out_tree: TreeDef
    out_kinds: list[str]
    out_static: dict[int, Any]
    trace: Trace
    in_leaves: list[Leaf]
    in_tree: TreeDef
    effects: list[Effect] = field(default_factory=list)
    stores: Program | None = None
    writes: Writes = field(default_factory=Writes)
    pinned: dict[int, tuple[str, bytes]] = field(default_factory=dict)


def stage(
    fn: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
    *,
    static: Sequence[int] = (),
    boundscheck: bool = True,
    name: str | None = None,
    derivatives: int = 0,
    memory: Memory | None = None,
    acting: bool = False,
    moving: Collection[int] = (),
    room: int = ROOM,
) -> Staged:
    """Stage `fn(*args, **kwargs)`; `static` are positions of leaves left untraced.

    `derivatives` says how many will be taken of the Program, at most, and `moving`, by
    which of its inputs; `acting`, that what the function does to arrays of the caller's
    is to be done; `memory`, how they lie; `room`, for how many elements there is in
    lists of which nobody knows how long they get (see `OutOfRoomError`).
    """
    advice, memory = Advice(room=room), memory or Memory()
    for _ in range(MAX_ATTEMPTS):
        try:
            trace = Session(
                boundscheck=boundscheck,
                advice=advice,
                derivatives=derivatives,
                call=call,
                concretize=concretize,
            )
            how = static, moving, name, trace, memory, acting
            return _attempt(fn, args, kwargs or {}, *how)
        except Restage:
            continue
        except Exception as error:
            if isinstance(error, TracejitError) and advice.settle():
                continue
            for_users(error)
            raise
    raise StagingError("staging does not settle")


@dataclass
class _Given:
    """The leaves of the arguments: described, as boxes, and the Program's inputs."""

    described: list[Leaf] = field(default_factory=list)
    boxed: list[Any] = field(default_factory=list)
    params: list[Var] = field(default_factory=list)
    pinned: dict[int, tuple[str, bytes]] = field(default_factory=dict)


def _attempt(
    fn: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    static: Sequence[int],
    moving: Collection[int],
    name: str | None,
    trace: Session,
    memory: Memory,
    acting: bool,
) -> Staged:
    leaves, tree = flatten((tuple(args), dict(kwargs)))
    users = innermost(fn)
    named = list(zip(leaves, _leaf_names(users, args, kwargs), strict=True))
    with tracing(trace), trace.builder.open() as eqns, _undoing(trace):
        caller = Caller(memory)
        trace.adopt = caller.box
        given = _given(trace, caller, named, static, moving)
        call_args, call_kwargs = unflatten(tree, given.boxed)
        for container in containers(tree, (call_args, call_kwargs)):
            trace.make(container)
        if isinstance(users, MethodType):
            _static(trace, users.__self__, "self")
        value = opened(call(fn, *call_args, **call_kwargs))
        kinds, atoms, out_static, out_tree = results_of(value)
        effects, stored = effects_of(trace)
        if acting:
            _nothing_left_in_containers(trace, given.boxed, (call_args, call_kwargs))
        found = caller.finish(trace, flatten(value)[0], acting)
        if not acting:
            # Before places are bound anew, through which the arrays are reached.
            first, contents = left_in_arrays(trace, found.written)
            effects, stored = [*first, *effects], [*contents, *stored]
        undo_outside()
    trace.draws[:] = ordered([e for e in trace.effects if isinstance(e, Stacked)])
    params = given.params
    region = new_region(params, eqns, [*atoms, *stored, *found.finals.values()])
    _drop_unused(trace, region, found.needed)
    params += [c.var for c in trace.captured.values()]
    params += [draw.var for draw in trace.draws]
    params += caller.inputs
    _require_closed(region)
    name = name or _name(users)
    program = checked(Program(name, new_region(params, eqns, atoms)))
    stores = Program(name, new_region(params, eqns, stored)) if stored else None
    for effect in trace.effects:
        if not isinstance(effect, Stacked):
            effect()
    return Staged(
        *(program, out_tree, kinds, out_static, trace, given.described, tree),
        *(effects, stores and checked(stores), found.writes(caller, region, acting)),
        pinned=given.pinned,
    )


def _given(
    trace: Session,
    caller: Caller,
    named: Sequence[tuple[Any, str]],
    static: Sequence[int],
    moving: Collection[int],
) -> _Given:
    """What the function is called with, leaf by leaf."""
    given = _Given()
    for k, (leaf, label) in enumerate(named):
        kind = None if k in static else leaf_kind(leaf)
        given.described.append(Leaf(label, kind, leaf))
        if kind is None:
            given.boxed.append(_static(trace, leaf, label))
            continue
        number = len(given.params)
        var = fresh(_aval(leaf, label), label.rpartition(".")[2])
        box = box_of(var, kind, layout_of(leaf) if kind == "array" else C_ORDER)
        if kind == "array":
            box = caller.box(number, var, box)
        elif number not in moving:
            key = trace.arguments[var] = "argument", k
            if trace.is_pinned(key):
                box = as_box(leaf)
                given.pinned[number] = label, np.asarray(leaf).tobytes()
        given.boxed.append(box)
        given.params.append(var)
    return given


@contextmanager
def _undoing(trace: Session) -> Iterator[None]:
    """Nothing has changed when the block fails."""
    try:
        yield
    except RecursionError as error:
        trace.undo_to(0)
        if isinstance(error, TracejitError):
            raise
        raise StagingError(
            "the recursion does not end, whatever the traced data",
            None,
            "write a loop: a condition on traced data runs both of its branches",
        ) from error
    except BaseException:
        trace.undo_to(0)
        raise


def _require_closed(region: Region) -> None:
    if region.free_vars():
        raise StagingError(
            "a value computed in a staged loop or branch is used after it, in a way "
            "that staging did not see",
            None,
            "assign it to a variable, an item or an attribute",
        )


def innermost(fn: Any) -> Any:
    """The function that transforms, and Numba's, are made of."""
    while hasattr(fn, "py_func"):
        fn = fn.py_func
    return fn


def _drop_unused(trace: Session, region: Region, needed: set[Var]) -> None:
    """Forget captured arrays that only abandoned probes read."""
    used = needed.union(region.free_vars())
    for key, captured in list(trace.captured.items()):
        if captured.var not in used and captured.pinned is None:
            del trace.captured[key]


def leaf_kind(leaf: Any) -> str | None:
    """How an argument is traced; None: it is static."""
    if isinstance(leaf, np.ma.MaskedArray | np.matrix):
        raise UnsupportedDTypeError(
            f"arguments of type {type(leaf).__name__} are not supported",
            cure="pass a plain array: np.asarray(x), x.filled(0), and a mask beside it",
        )
    if isinstance(leaf, np.ndarray):
        return "array"
    if isinstance(leaf, np.generic) and not isinstance(leaf, np.str_ | np.bytes_):
        return "scalar"
    return "python" if type(leaf) in (float, complex) else None


def _aval(leaf: Any, label: str) -> Aval:
    array = np.asarray(leaf)
    extents = (Extent(n, f"{label}.{k}") for k, n in enumerate(array.shape))
    return Aval(supported(array.dtype), tuple(extents))


def _static(trace: Session, leaf: Any, label: str) -> Any:
    if not isinstance(leaf, int | float | complex | str | bytes | type(None)):
        trace.outside[id(leaf)] = leaf, label
    return leaf


def _name(fn: Any) -> str:
    name = getattr(fn, "__name__", type(fn).__name__)
    return name if name.isidentifier() else "function"


def _leaf_names(fn: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Iterator[str]:
    """A name for every leaf of the arguments: `params.w`, `x`, `rest.0`."""
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code else []
    if hasattr(fn, "__func__"):
        names = names[1:]
    for k, arg in enumerate(args):
        base = names[k] if k < len(names) else f"arg{k}"
        yield from _inner_names(arg, base)
    for key, arg in kwargs.items():
        yield from _inner_names(arg, key)


def _inner_names(tree: Any, base: str) -> Iterator[str]:
    leaves, treedef = flatten(tree)
    if treedef.kind is None:
        yield base
        return
    for k in range(len(leaves)):
        yield f"{base}.{k}"


def results_of(value: Any) -> tuple[list[str], list[Atom], dict[int, Any], TreeDef]:
    """Kinds, Atoms, static leaves and structure of what a function returned."""
    leaves, tree = flatten(value)
    given = [*map(settled, leaves)]  # there is no result but arrays and numbers
    if any(a is not b for a, b in zip(leaves, given, strict=True)):
        return results_of(unflatten(tree, given))
    kinds: list[str] = []
    atoms: list[Atom] = []
    others: dict[int, Any] = {}
    for k, leaf in enumerate(leaves):
        if type(leaf) is Masked:
            leaf.refuse("a result needs to know")
        require_decided(leaf)
        if type(leaf) is Ragged:
            leaf.refuse("a result of the function")
        if isinstance(
            leaf, Box | bool | int | float | complex | np.generic | np.ndarray
        ):
            box = as_box(leaf)
            kinds.append(box.kind)
            atoms.append(box.read())
        else:
            kinds.append("static")
            others[k] = leaf
    return kinds, atoms, others, tree


def _nothing_left_in_containers(trace: Session, boxed: list[Any], tree: Any) -> None:
    """The containers among the arguments hold what they held."""
    leaves = flatten(tree)[0]
    if len(leaves) == len(boxed) and all(map(is_, leaves, boxed)):
        return
    stores = [w.target for w in trace.log if isinstance(w.target, Contents)]
    raise OutsideStoreError(
        "a list, dict or object among the arguments is changed: other things are put "
        "into it, or some taken out",
        next((trace.stores.get(place.key) for place in stores), None),
        "return what is wanted, or write into the arrays: `params['w'][:] = …`",
    )
