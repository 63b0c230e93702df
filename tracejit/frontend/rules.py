"""Calls of functions with rules of their own, while staging.

The function and each of its rules are staged into regions that read nothing but their
parameters; what they capture becomes further inputs of the call. Rules are staged once
for every derivative that may be taken, so that a rule may call its own function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.errors import CustomRuleError
from tracejit.base.pytree import TreeDef, flatten, one_level, unflatten
from tracejit.frontend.box import Box, as_box, box_of, copied, is_static
from tracejit.frontend.branches import alone, raise_again
from tracejit.frontend.calls import call
from tracejit.frontend.effects import holding
from tracejit.frontend.session import Raised, session
from tracejit.frontend.stage import results_of
from tracejit.ir.aval import Aval
from tracejit.ir.builder import fresh
from tracejit.ir.primitive import zeros
from tracejit.ir.program import Atom, Region, Var, clone_region
from tracejit.ops import control
from tracejit.ops.promote import convert

Function = Callable[..., Any]


def checkpointed(
    fn: Function, name: str, args: Any, kwargs: Any, snapshots: int | None
) -> Any:
    """Stage `fn(*args, **kwargs)` as a checkpoint; it may do what any function may."""

    def emit(region: Region) -> list[Atom]:
        if not region.eqns:
            return region.results
        captured = region.free_vars()
        (body,) = _closed([region], captured)
        options = {} if snapshots is None else {"snapshots": snapshots}
        return control.checkpoint(
            *captured, regions=[body], name=name, apart=False, **options
        )

    return alone(lambda: call(fn, *args, **kwargs), emit)


def _closed(regions: Sequence[Region], captured: Sequence[Var]) -> list[Region]:
    """Regions with what they capture as further parameters."""
    out = []
    for region in regions:
        env: dict[Var, Atom] = {}
        for var in captured:
            const = env[var] = Var(var.aval, var.hint)
            const.interval = var.interval
        consts = [env[var] for var in captured]
        new = clone_region(region, env)
        out.append(Region([*new.params, *consts], new.eqns, new.results))  # type: ignore
    return out


@contextmanager
def _apart(what: str) -> Iterator[list[Any]]:
    """Collect equations in a region that changes no array from outside of it."""
    trace = session()
    depth, mark = trace.depth, len(trace.log)
    raised = False
    with trace.builder.open() as eqns, trace.entered(trace.once):
        try:
            yield eqns
        except Raised:
            raised = True
        left = holding(mark)
    if raised:
        raise_again(eqns)
    if left:
        raise _misfit(f"{what} stores a traced value in {left[0]}", "return the value")
    for write in trace.log[mark:]:
        if isinstance(write.target, Box) and write.target.depth <= depth:
            raise _misfit(f"{what} changes an array from outside of it")


def _misfit(message: str, cure: str = "") -> CustomRuleError:
    return CustomRuleError(
        message, session().builder.loc, cure or "return what is computed anew"
    )


@dataclass
class Body:
    """The function, staged: its region, and what it returns."""

    region: Region
    boxes: list[Any]
    kinds: list[str]
    static: dict[int, Any]
    tree: TreeDef

    @property
    def results(self) -> list[Atom]:
        return self.region.results


class Custom:
    """A call of a function with rules; `nondiff` are arguments that have none."""

    def __init__(self, fn: Function, name: str, args: Sequence[Any], nondiff: set[int]):
        self.fn, self.name, self.args, self.nondiff = fn, name, args, nondiff
        self.given = [a for k, a in enumerate(args) if k in nondiff]
        rest = tuple([a for k, a in enumerate(args) if k not in nondiff])
        self.leaves, self.tree = flatten(rest)
        self.inputs = [leaf for leaf in self.leaves if _is_input(leaf)]
        self.atoms = [box.read() for box in self.inputs]
        self.moving = [_moves(leaf) for leaf in self.leaves]

    def jvp(self, rule: Function) -> Any:
        """Stage the call; `rule(*nondiff, primals, tangents)`."""
        body, trace = self.staged(), session()
        regions: list[Region] = []
        if trace.derivatives:
            with trace.deriving(-1):
                regions.append(self.rule(rule, body))
        return self.emit(control.custom_jvp, body, regions)

    def vjp(self, fwd: Function, bwd: Function) -> Any:
        """Stage the call; `fwd(*args)` and `bwd(*nondiff, residuals, cotangents)`."""
        body, trace = self.staged(), session()
        regions: list[Region] = []
        if trace.derivatives:
            with trace.deriving(-1):
                regions += self.forward_and_backward(fwd, bwd, body)
        return self.emit(control.custom_vjp, body, regions)

    def emit(self, prim: Any, body: Body, rules: list[Region]) -> Any:
        regions = [body.region, *rules]
        captured = list(dict.fromkeys(v for r in regions for v in r.free_vars()))
        count = len(self.inputs)
        outs = prim(
            *self.atoms,
            *captured,
            regions=_closed(regions, captured),
            name=self.name,
            args=count,
        )
        rest = iter(outs)
        leaves = [
            body.static[k] if kind == "static" else _box_like(box, next(rest), kind)
            for k, (kind, box) in enumerate(zip(body.kinds, body.boxes, strict=True))
        ]
        return unflatten(body.tree, leaves)

    # The function and its rules -------------------------------------------------------

    def parameters(self) -> tuple[list[Var], list[Any]]:
        """Parameters for the inputs, and the arguments' leaves made of them."""
        params: list[Var] = []
        leaves: list[Any] = []
        for leaf in self.leaves:
            if _is_input(leaf):
                params.append(fresh(leaf.aval))
                leaf = box_of(params[-1], leaf.kind, leaf._layout)
            elif isinstance(leaf, Box) and leaf.known:
                leaf = copied(leaf)
            leaves.append(leaf)
        return params, leaves

    def call(self, fn: Function, leaves: Sequence[Any]) -> Any:
        """A call with all arguments, in their order."""
        given, rest = iter(self.given), iter(unflatten(self.tree, leaves))
        order = (k in self.nondiff for k in range(len(self.args)))
        return call(fn, *[next(given if fixed else rest) for fixed in order])

    def staged(self) -> Body:
        trace = session()
        with _apart(self.name) as eqns:
            mark = len(trace.log)
            params, leaves = self.parameters()
            value = self.call(self.fn, leaves)
            kinds, atoms, static, tree = results_of(value)
        own = [leaf for leaf in leaves if isinstance(leaf, Box)]
        for write in trace.log[mark:]:
            box = write.target
            if isinstance(box, Box) and any(box.root is leaf for leaf in own):
                raise _misfit(
                    f"{self.name}, which has a rule of its own, changes its argument",
                    "change a copy, and return it",
                )
        region = Region(params, eqns, atoms)
        return Body(region, flatten(value)[0], kinds, static, tree)

    def rule(self, rule: Function, body: Body) -> Region:
        what = f"the rule of {self.name}"
        with _apart(what) as eqns:
            params, leaves = self.parameters()
            dots = [fresh(box.aval) for box in self.inputs if _moves(box)]
            primals = unflatten(self.tree, leaves)
            tangents = unflatten(self.tree, self.slopes(leaves, dots))
            pair = call(rule, *self.given, primals, tangents)
            if not _is_pair(pair):
                raise _misfit(
                    f"{what} returns {_brief(pair)}, not a pair",
                    "return value, tangent",
                )
            outs = self.like(body, pair[0], f"the value from {what}")
            slopes = self.like(body, pair[1], f"the tangent from {what}")
            moving = zip(slopes, body.results, strict=True)
            results = [*outs, *(s for s, r in moving if r.aval.inexact)]
        return Region([*params, *dots], eqns, results)

    def slopes(self, leaves: Sequence[Any], dots: Sequence[Var]) -> list[Any]:
        """Tangents for the rule; of what has none, zeros."""
        rest = iter(dots)
        return [
            box_of(next(rest), leaf.kind, leaf._layout) if moves else _zero(leaf)
            for leaf, moves in zip(leaves, self.moving, strict=True)
        ]

    def forward_and_backward(
        self, fwd: Function, bwd: Function, body: Body
    ) -> tuple[Region, Region]:
        what = f"fwd of {self.name}"
        with _apart(what) as eqns:
            params, leaves = self.parameters()
            pair = self.call(fwd, leaves)
            if not _is_pair(pair):
                raise _misfit(
                    f"{what} returns {_brief(pair)}, not a pair",
                    "return value, residuals",
                )
            outs = self.like(body, pair[0], f"the value from {what}")
            saved, saved_tree = flatten(pair[1])
            residuals = [x.read() for x in saved if _is_input(x)]
        forward = Region(params, eqns, [*outs, *residuals])

        what = f"bwd of {self.name}"
        with _apart(what) as eqns:
            params = [fresh(atom.aval) for atom in residuals]
            cts = [fresh(r.aval) for r in body.results if r.aval.inexact]
            rest = iter(params)
            again = [_box_like(x, next(rest)) if _is_input(x) else x for x in saved]
            found = call(
                bwd,
                *self.given,
                unflatten(saved_tree, again),
                unflatten(body.tree, self.cotangents(body, cts)),
            )
            results = self.pulled(found, what)
        return forward, Region([*params, *cts], eqns, results)

    def cotangents(self, body: Body, cts: Sequence[Var]) -> list[Any]:
        """Cotangents for the rule: zeros for results that are no floats."""
        given, atoms = iter(cts), iter(body.results)
        leaves: list[Any] = []
        for k, kind in enumerate(body.kinds):
            if kind == "static":
                leaves.append(body.static[k])
                continue
            inexact = next(atoms).aval.inexact
            box = body.boxes[k]
            leaves.append(_box_like(box, next(given), kind) if inexact else _zero(box))
        return leaves

    def pulled(self, found: Any, what: str) -> list[Atom]:
        """What `bwd` returned: a cotangent for every input that has one."""
        children = self.tree.children
        if not isinstance(found, tuple | list) or len(found) != len(children):
            raise _misfit(
                f"{what} returns {_brief(found)}, not a tuple with a cotangent for "
                f"each of {len(children)} arguments",
                "a tuple, with None where the cotangent is zero",
            )
        leaves: list[Any] = []
        for k, (tree, value) in enumerate(zip(children, found, strict=True)):
            mine = _matched(tree, value)
            if mine is None:
                raise _misfit(
                    f"{what} returns {flatten(value)[1]} for argument {k}, which is "
                    f"{tree}",
                    "return what has the structure of the argument",
                )
            leaves += mine
        pairs = zip(self.leaves, leaves, self.moving, strict=True)
        return [
            _fitted(ct, leaf.aval, f"a cotangent from {what}")
            for leaf, ct, moves in pairs
            if moves
        ]

    def like(self, body: Body, value: Any, what: str) -> list[Atom]:
        """The leaves of a rule's result, typed as those of the function are."""
        leaves = _matched(body.tree, value)
        if leaves is None:
            raise _misfit(
                f"{what} is {flatten(value)[1]}, and {self.name} returns {body.tree}",
                "return what has the structure of the function's result",
            )
        computed = [
            x for x, kind in zip(leaves, body.kinds, strict=True) if kind != "static"
        ]
        pairs = zip(computed, body.results, strict=True)
        return [_fitted(x, atom.aval, what) for x, atom in pairs]


def _is_input(leaf: Any) -> bool:
    """Whether only the program that runs will know the value."""
    return isinstance(leaf, Box) and not is_static(leaf)


def _moves(leaf: Any) -> bool:
    return _is_input(leaf) and leaf.aval.inexact


def _box_like(like: Any, atom: Atom, kind: str = "") -> Box:
    """A box of the kind and memory layout of another one."""
    layout = like._layout if isinstance(like, Box) else as_box(like)._layout
    return box_of(atom, kind or like.kind, layout)


def _zero(leaf: Any) -> Any:
    """The tangent of what has none."""
    if isinstance(leaf, bool | int | float | complex):
        return 0.0
    if isinstance(leaf, Box | np.ndarray | np.generic):
        box = as_box(leaf)
        dtype = box.aval.dtype if box.aval.inexact else np.dtype(float)
        return box_of(zeros(Aval(dtype, box.aval.shape)), box.kind, box._layout)
    return None


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2


def _matched(tree: TreeDef, value: Any) -> list[Any] | None:
    """The leaves of a value of this structure; None stands for any number of zeros."""
    if value is None:
        return [None] * tree.num_leaves
    if tree.kind is None:
        return [value] if one_level(value) is None else None
    level = one_level(value)
    if level is None or len(level[0]) != len(tree.children):
        return None
    if (level[1].kind, level[1].meta) != (tree.kind, tree.meta):
        return None
    parts = [_matched(t, v) for t, v in zip(tree.children, level[0], strict=True)]
    if any(part is None for part in parts):
        return None
    return [leaf for part in parts for leaf in part or ()]


def _fitted(value: Any, aval: Aval, what: str) -> Atom:
    """A rule's result as an Atom of this type."""
    if value is None:
        return zeros(aval)
    if not isinstance(value, Box | np.ndarray | np.generic | int | float | complex):
        raise _misfit(f"{what} is {_brief(value)}", "return arrays and numbers")
    atom = as_box(value).read()
    if atom.aval.shape != aval.shape:
        raise _misfit(
            f"{what} has shape {_shape(atom.aval)} where {_shape(aval)} is needed",
            "give it the shape of what it belongs to",
        )
    if atom.aval.dtype.kind == "c" and aval.dtype.kind != "c":
        raise _misfit(
            f"{what} is complex where {aval.dtype} is needed", "take its real part"
        )
    return convert(atom, aval.dtype)


def _shape(aval: Aval) -> tuple[int, ...]:
    return tuple(int(n) for n in aval.shape)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:56] + " ..."
