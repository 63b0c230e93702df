"""A transform called while staging: its program joins the one being built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.base.errors import OverlapError
from tracejit.base.pytree import unflatten
from tracejit.frontend.box import Box, as_box, box_of
from tracejit.frontend.calls import call
from tracejit.frontend.effects import holding
from tracejit.frontend.memory import may_share
from tracejit.frontend.places import assign
from tracejit.frontend.session import session
from tracejit.frontend.stage import Staged, results_of
from tracejit.frontend.trace import Write
from tracejit.ir.builder import current, fresh
from tracejit.ir.program import (
    Atom,
    Literal,
    Program,
    Region,
    Var,
    clone_eqn,
    substitute,
)


def name_of(fn: Any) -> str:
    """What a callable is called in messages and programs."""
    return getattr(fn, "__name__", type(fn).__name__)


def inline(
    fn: Callable[..., Any],
    leaves: Sequence[Any],
    treedef: Any,
    is_input: Callable[[Any], bool],
    derive: Callable[[Staged], Program],
    extra: Sequence[Any] = (),
) -> tuple[Staged, list[Atom]]:
    """Stage `fn` in a region of its own, derive a Program from it, emit that here.

    `leaves` and `treedef` are the flattened `(args, kwargs)`; `derive` makes the
    Program, whose inputs are the leaves that `is_input` and then `extra`. Returns
    what staging found out and the results. The region may read variables of the
    enclosing program: to the derived one they are constants, to the outer transform
    they are not.
    """
    trace = session()
    depth, mark = trace.depth, len(trace.log)
    actual = [as_box(leaf).read() for leaf in [*filter(is_input, leaves), *extra]]
    params: list[Var] = []
    with trace.builder.open() as eqns, trace.entered(trace.once):
        inner, copies = [], []
        for leaf in leaves:
            if is_input(leaf):
                box = as_box(leaf)
                params.append(fresh(box.aval))
                leaf = box_of(params[-1], box.kind, box.strides_in_elements)
                copies.append((box, leaf))
            inner.append(leaf)
        args, kwargs = unflatten(treedef, inner)
        kinds, atoms, static, tree = results_of(call(fn, *args, **kwargs))
        stored = [(place, results_of(place.get())) for place in holding(mark)]
        changed = _changed(trace.log[mark:], depth)
        finals = [box.read() for box in changed]
    _require_apart(fn, copies, params, changed)
    # Arrays of the surroundings get what the program computes for them.
    ours = [w for w in trace.log[mark:] if not _is_from_around(w, depth)]
    for write in reversed(trace.log[mark:]):
        if _is_from_around(write, depth):
            write.undo()
    trace.log[mark:] = ours
    name = name_of(fn) if name_of(fn).isidentifier() else "function"
    program = Program(name, Region(params, eqns, atoms))
    staged = Staged(program, tree, kinds, static, trace, [], treedef)
    results = emit(derive(staged), actual)
    wanted = [atom for _, (_, atoms, _, _) in stored for atom in atoms]
    if wanted or finals:
        region = Region(params, eqns, [*finals, *wanted])
        computed = emit(Program(name, region), actual[: len(params)])
        for box, atom in zip(changed, computed, strict=False):
            box.write(atom)
        _store(stored, computed[len(finals) :])
    return staged, results


def _changed(log: Sequence[Write], depth: int) -> list[Box]:
    """The arrays made in one of the first `depth` regions that were written to."""
    boxes = {id(w.target): w.target for w in log if _is_from_around(w, depth)}
    return [box for box in boxes.values() if isinstance(box.value, Var | Literal)]


def _store(stored: Sequence[Any], computed: Sequence[Atom]) -> None:
    """Put into places of the outside what this call computed for them."""
    rest = iter(computed)
    for place, (kinds, _, static, tree) in stored:
        leaves = [
            static[k] if kind == "static" else box_of(next(rest), kind)
            for k, kind in enumerate(kinds)
        ]
        assign(place, unflatten(tree, leaves))


def emit(program: Program, inputs: Sequence[Atom]) -> list[Atom]:
    """Copy a Program's equations to where the builder stands; its results."""
    env: dict[Var, Atom] = dict(zip(program.inputs, inputs, strict=True))
    builder = current()
    for eqn in program.eqns:
        builder.append(clone_eqn(eqn, env))
    return substitute(program.results, env)


def _is_from_around(write: Write, depth: int) -> bool:
    """Whether a write was to an array made in one of the first `depth` regions."""
    return isinstance(write.target, Box) and write.target.depth <= depth


def _require_apart(
    fn: Callable[..., Any],
    copies: Sequence[tuple[Box, Box]],
    params: Sequence[Var],
    changed: Sequence[Box],
) -> None:
    """No array that is written to shares memory with an argument."""
    arrays = [box for box, _ in copies if box.kind == "array"]
    for (box, copy), param in zip(copies, params, strict=True):
        others = [b for b in arrays if b.root is box.root and may_share(b, box)]
        written = copy.root.value is not param and len(others) > 1
        if written or any(box.root is other for other in changed):
            raise OverlapError(
                f"{name_of(fn)} writes to an array that shares memory with another one",
                session().builder.loc,
                "pass a copy: f(x, x.copy())",
            )
