"""Custom rules: what a call is replaced by before it is differentiated.

    y = custom_jvp(x; f, rule)          x' = alias(x); t = seed(x)
                                        out, dot = rule(x', t)
                                        y = join(out, dot)

    y = custom_vjp(x; f, fwd, bwd)      x' = alias(x)
                                        out, res = fwd(x')
                                        y = joined(out, res, x; bwd)

`alias` has its operand's value and no tangent, `seed` is zero and has its operand's
tangent, `join` has the value of its first operand and the tangent of its second. So
the rule of `custom_jvp` is differentiated in its tangents, where these are zero, and
is free to use loops and branches. The tangent of `joined` is one linear equation

    ẏ = pull(res, ẋ; bwd)               x̄ = bwd(res, ȳ)

which, where it is not transposed, is what transposing `bwd` gives. Once differentiated,
x' is x, t is zero, and y is `out` (`closed`): the next derivative goes through the
rules' own bodies. That is what JAX does, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracejit.base.errors import CustomRuleError, InternalError
from tracejit.ir.aval import Aval
from tracejit.ir.builder import bind, building, current
from tracejit.ir.primitive import Primitive, Structured, zeros
from tracejit.ir.program import (
    Atom,
    Eqn,
    Program,
    Region,
    Var,
    clone_eqn,
    clone_region,
    substitute,
    walk,
)
from tracejit.ir.rewrite import Rewriter, rewrite
from tracejit.ops.control import cond, custom_jvp, custom_vjp, for_, while_
from tracejit.transform.linearize import active_slots, spread
from tracejit.transform.modes import MODES

CUSTOM = (custom_jvp, custom_vjp)

#: Emits the forward form of a linear equation; its outputs.
Push = Callable[[Eqn], Sequence[Atom]]


@dataclass(eq=False)
class Marker(Structured):
    """`value`: which operand it stands for; `tangent`: whose tangent it has."""

    value: int | None = None
    tangent: int | None = None

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return [inputs[0].aval]

    def linear_operands(self, inputs: list[Atom], params: dict[str, Any]) -> list[int]:
        return [] if self.tangent is None else [self.tangent]

    def jvp(
        self,
        inputs: list[Atom],
        tangents: list[Atom | None],
        outputs: list[Var],
        params: dict[str, Any],
    ) -> list[Atom | None]:
        return [None if self.tangent is None else tangents[self.tangent]]


@dataclass(eq=False)
class Joined(Structured):
    """The results of `fwd`; `args` of its last operands are the function's own."""

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return [a.aval for a in inputs[: params["outs"]]]

    def linear_operands(self, inputs: list[Atom], params: dict[str, Any]) -> list[int]:
        return list(range(len(inputs) - params["args"], len(inputs)))

    def jvp(
        self,
        inputs: list[Atom],
        tangents: list[Atom | None],
        outputs: list[Var],
        params: dict[str, Any],
    ) -> list[Atom | None]:
        first = len(inputs) - params["args"]
        inexact = [k for k in range(first, len(inputs)) if inputs[k].aval.inexact]
        wrt = [n for n, k in enumerate(inexact) if tangents[k] is not None]
        dots = [tangents[k] for k in inexact if tangents[k] is not None]
        moving = [v for v in outputs if v.aval.inexact]
        if not dots or not moving:
            return [None] * len(outputs)
        known = inputs[params["outs"] : first]
        options = {k: params[k] for k in ("bwd", "consts", "name")}
        slopes = iter(
            bind(
                pull,
                *known,
                *dots,
                known=len(known),
                wrt=tuple(wrt),
                avals=[v.aval for v in moving],
                **options,
            )
        )
        return [next(slopes) if v.aval.inexact else None for v in outputs]


@dataclass(eq=False)
class Pull(Structured):
    """Linear in all but the first `known` operands: the residuals, then `consts`."""

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return params["avals"]


def _never(*args: Any, **params: Any) -> Any:
    raise InternalError("this is there while a derivative is taken, and only then")


alias = Marker("alias", _never, value=0)
seed = Marker("seed", _never, tangent=0)
join = Marker("join", _never, value=0, tangent=1)
joined = Joined("joined", _never, single=False, cost=math.inf)
pull = Pull("pull", _never, single=False)


# Opening ------------------------------------------------------------------------------


def opened(region: Region, active: Sequence[Var]) -> Region:
    """The region with the rules of custom calls that `active` variables reach."""
    if not any(eqn.prim in CUSTOM for eqn in walk(region)):
        return region
    with building():
        return _Opener(_open).region(region, set(active))


def closed(program: Program) -> Program:
    """The derived Program with what `opened` put there resolved."""
    if not any(eqn.prim in (alias, seed, join, joined) for eqn in program.walk()):
        return program
    return rewrite(program, _close)


def _close(eqn: Eqn, rewriter: Rewriter) -> Sequence[Atom] | None:
    if isinstance(eqn.prim, Marker):
        value = eqn.prim.value
        return [zeros(eqn.out.aval) if value is None else eqn.inputs[value]]
    return eqn.inputs[: eqn.params["outs"]] if eqn.prim is joined else None


class _Opener:
    """Walks down with what is active; `rule` replaces active custom calls."""

    def __init__(self, rule: Callable[[_Opener, Eqn, list[bool]], Sequence[Atom]]):
        self.rule = rule
        self.env: dict[Var, Atom] = {}

    def region(self, region: Region, active: set[Var]) -> Region:
        with current().open() as eqns:
            self.emit(region.eqns, active)
        return Region(region.params, eqns, substitute(region.results, self.env))

    def emit(self, eqns: Sequence[Eqn], active: set[Var]) -> None:
        for eqn in eqns:
            inner = self.entering(eqn, active)
            spread([eqn], active)
            new = replace(eqn, inputs=substitute(eqn.inputs, self.env))
            if eqn.prim in CUSTOM and any(a in active for a in eqn.inputs):
                with current().at(eqn.loc, eqn.origin):
                    outs = self.rule(self, new, [a in active for a in eqn.inputs])
                self.env.update(zip(eqn.outputs, outs, strict=True))
                continue
            if eqn.prim in (for_, while_, cond):
                new.regions = [self.region(r, set(inner)) for r in eqn.regions]
            current().append(new)

    def entering(self, eqn: Eqn, active: set[Var]) -> set[Var]:
        """What is active inside the regions of an equation."""
        if eqn.prim not in (for_, while_):
            return active
        first, inits = (1, 3) if eqn.prim is for_ else (0, 0)
        body = eqn.regions[-1]
        carried = body.params[first:]
        dots: dict[Var, Atom] = {v: v for v in active}
        slots = active_slots(body, carried, eqn.inputs[inits:], dots)
        return active | {carried[k] for k in slots}


def _open(opener: _Opener, eqn: Eqn, active: list[bool]) -> Sequence[Atom]:
    count, name = eqn.params["args"], eqn.params["name"]
    if len(eqn.regions) == 1:
        raise InternalError(f"{name} was staged without its rules", eqn.loc)
    if any(active[count:]):
        raise CustomRuleError(
            f"{name} is differentiated by a value that it captures, which its rule "
            "knows nothing about",
            eqn.loc,
            "pass the value as an argument",
        )
    opened = _open_jvp if eqn.prim is custom_jvp else _open_vjp
    return opened(eqn, eqn.inputs[:count], eqn.inputs[count:])


def _open_jvp(eqn: Eqn, args: list[Atom], consts: list[Atom]) -> list[Atom]:
    body, rule = eqn.regions
    name = eqn.params["name"]
    seeds = [bind(seed, a, name=name) for a in args if a.aval.inexact]
    region = clone_region(rule, {})
    env = dict(zip(region.params, [*map(_alias, args), *seeds, *consts], strict=True))
    # What the rule itself applies to tangents is differentiated as it is written.
    opener = _Opener(_write_out)
    opener.env.update(env)
    dots = [p for p in region.params if isinstance(env[p], Var) and env[p] in seeds]
    opener.emit(region.eqns, set(dots))
    results = substitute(region.results, opener.env)
    slopes = iter(results[len(body.results) :])
    return [
        bind(join, out, next(slopes)) if out.aval.inexact else out
        for out in results[: len(body.results)]
    ]


def _write_out(opener: _Opener, eqn: Eqn, active: list[bool]) -> Sequence[Atom]:
    region = clone_region(eqn.regions[0], {})
    opener.env.update(zip(region.params, eqn.inputs, strict=True))
    reached = {
        p for p, is_active in zip(region.params, active, strict=True) if is_active
    }
    opener.emit(region.eqns, reached)
    return substitute(region.results, opener.env)


def _open_vjp(eqn: Eqn, args: list[Atom], consts: list[Atom]) -> list[Atom]:
    _, fwd, bwd = eqn.regions
    region = clone_region(fwd, {})
    env = dict(zip(region.params, [*map(_alias, args), *consts], strict=True))
    for inner in region.eqns:
        current().append(clone_eqn(inner, env))
    results = substitute(region.results, env)
    options = {
        "bwd": bwd,
        "consts": len(consts),
        "outs": len(eqn.outputs),
        "args": len(args),
        "name": eqn.params["name"],
    }
    return bind(joined, *results, *consts, *args, **options)


def _alias(atom: Atom) -> Atom:
    return bind(alias, atom) if isinstance(atom, Var) and atom.aval.inexact else atom


# Linear equations of custom_vjp -------------------------------------------------------


def pulled(eqn: Eqn, out_cts: Sequence[Atom | None]) -> list[Atom]:
    """Emit `bwd`: the cotangents of the tangents that `pull` is linear in."""
    params = eqn.params
    cts = [
        zeros(aval) if ct is None else ct
        for ct, aval in zip(out_cts, params["avals"], strict=True)
    ]
    results = _emit(clone_region(params["bwd"], {}), _operands(eqn, cts))
    return [results[k] for k in params["wrt"]]


def _operands(eqn: Eqn, cts: Sequence[Atom]) -> list[Atom]:
    """The operands of `bwd`: residuals, cotangents, what it captures."""
    known = eqn.inputs[: eqn.params["known"]]
    cut = len(known) - eqn.params["consts"]
    return [*known[:cut], *cts, *known[cut:]]


def _emit(region: Region, args: Sequence[Atom]) -> list[Atom]:
    env = dict(zip(region.params, args, strict=True))
    for eqn in region.eqns:
        current().append(clone_eqn(eqn, env))
    return substitute(region.results, env)


def pushed(
    linear: Sequence[Eqn], results: Sequence[Any], pushes: Mapping[Primitive, Push]
) -> tuple[list[Eqn], list[Any]]:
    """Linear equations and results, with those in `pushes` in their forward form."""

    def rule(eqn: Eqn, rewriter: Rewriter) -> Sequence[Atom] | None:
        if eqn.prim not in pushes:
            return None
        with current().open() as emitted:
            outs = pushes[eqn.prim](eqn)
        for new in emitted:
            new.origin = eqn.origin
            current().append(new)
        return outs

    region = Region([], list(linear), [])
    if not any(eqn.prim in pushes for eqn in walk(region)):
        return region.eqns, list(results)
    rewriter = Rewriter(rule)
    region = rewriter.region(region)
    return region.eqns, substitute(results, rewriter.env)


def push(eqn: Eqn) -> list[Atom]:
    """Emit the forward form of `pull`: `bwd` transposed, applied to the tangents."""
    params = eqn.params
    bwd = clone_region(params["bwd"], {})
    first = params["known"] - params["consts"]
    wrt = list(range(first, first + len(params["avals"])))
    cts = {bwd.params[k] for k in wrt}
    bwd.results = [bwd.results[k] for k in params["wrt"]]
    bwd = _Opener(_write_out).region(bwd, set(cts))
    turned = MODES["vjp"](Program(f"{params['name']}_bwd", bwd), wrt).region
    found = turned.results[len(bwd.results) :]
    _flow(turned.eqns, cts)
    if any(a in cts for a in found):
        raise _nonlinear("the backward rule", "cotangents", eqn, eqn)
    zero = [zeros(aval) for aval in params["avals"]]
    args = [*_operands(eqn, zero), *eqn.inputs[params["known"] :]]
    return _emit(Region(turned.params, turned.eqns, found), args)


# Rules must be linear -----------------------------------------------------------------


def require_linear_rules(region: Region, linear: Sequence[Eqn]) -> None:
    """Raise if a rule of `custom_jvp` is not linear in its tangents.

    Then its derivative in them reads what they are.
    """
    for eqn in walk(region):
        if eqn.prim is not seed:
            continue
        found = set(eqn.outputs)
        _flow(region.eqns, found)
        for inner in walk(Region([], list(linear), [])):
            if any(a in found for a in (*inner.inputs, *_results(inner))):
                raise _nonlinear("the rule", "tangents", eqn, inner)


def _nonlinear(rule: str, what: str, call: Eqn, eqn: Eqn) -> CustomRuleError:
    return CustomRuleError(
        f"{rule} of {call.params['name']} is not linear in the {what}",
        eqn.loc if eqn.loc.line else call.loc,
        "a tangent may be added to others and multiplied by what does not depend on it",
    )


def _results(eqn: Eqn) -> list[Atom]:
    return [a for region in eqn.regions for a in region.results]


def _flow(eqns: Sequence[Eqn], found: set[Var]) -> None:
    """Add to `found` what is computed from it in any way, regions included."""
    for eqn in eqns:
        if eqn.prim is cond:
            for region in eqn.regions:
                _flow(region.eqns, found)
            columns = zip(*(r.results for r in eqn.regions), strict=True)
            for out, column in zip(eqn.outputs, columns, strict=True):
                if any(a in found for a in (eqn.inputs[0], *column)):
                    found.add(out)
        elif eqn.prim in (for_, while_):
            _flow_loop(eqn, found)
        else:
            read = eqn.inputs
            if isinstance(eqn.prim, Marker):
                read = [] if eqn.prim.value is None else [read[eqn.prim.value]]
            if any(a in found for a in read):
                found.update(eqn.outputs)


def _flow_loop(eqn: Eqn, found: set[Var]) -> None:
    """To a fixpoint; the number of trips is computed from bounds and tests."""
    first = len(eqn.inputs) - len(eqn.outputs)
    decided = eqn.inputs[:first]
    if eqn.prim is while_:
        decided = eqn.regions[0].results
    size = -1
    while size != len(found):
        size = len(found)
        for region in eqn.regions:
            _flow(region.eqns, found)
        ends = any(a in found for a in decided)
        back = len(eqn.outputs)
        for k, out in enumerate(eqn.outputs):
            init, result = eqn.inputs[first + k], eqn.regions[-1].results[k]
            if ends or init in found or result in found:
                found.update(r.params[len(r.params) - back + k] for r in eqn.regions)
                found.add(out)
