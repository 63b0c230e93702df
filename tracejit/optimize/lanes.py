"""Lanes: elements that a loop never lets meet.

    for t in range(n): x = x + h * f(x)        x[i] goes its way, whatever x[j] does

A *lane* is one index along one axis of such arrays. From the axis of one array follow
those of the others, equation by equation, with loops and branches. What is not found
to keep lanes apart makes an *exchange*, and rules the loop out. A sum over all lanes is
a *partial*: what some of them contribute to it may be added to what the others do, so
only what is linear may be made of it, and it only be added to what is carried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tracejit.ir.primitive import Elementwise
from tracejit.ir.program import Atom, Eqn, Literal, Region, Var
from tracejit.ops.control import cond, for_
from tracejit.ops.dead import has_effect
from tracejit.optimize.merge import only_added_to

#: Two arrays, and which axis of the first is which one of the second.
Link: TypeAlias = tuple[Atom, Atom, dict[int, int]]


class ExchangeError(Exception):
    """Lanes meet."""


@dataclass
class Lanes:
    """The axis that lanes lie along, of the arrays that have them; and the partials.

    `made` are the equations of what is bound around.
    """

    axes: dict[Var, int]
    made: Mapping[Var, Eqn]
    partial: set[Var] = field(default_factory=set)
    seen: set[Var] = field(default_factory=set)
    strict: bool = True

    def add(self, eqn: Eqn) -> bool:
        """Take an equation in, if it keeps lanes apart; else nothing changes."""
        axes, partial, seen = dict(self.axes), set(self.partial), set(self.seen)
        try:
            self.spread(eqn)
            if not seen.isdisjoint(self.axes.keys() - axes.keys()):
                raise ExchangeError  # what was taken to be the same for all lanes
            self.check(eqn)
        except ExchangeError:
            self.axes, self.partial, self.seen = axes, partial, seen
            return False
        self.seen.update(eqn.uses())
        self.seen.update(eqn.outputs)
        return True

    # Which axes ----------------------------------------------------------------------

    def spread(self, eqn: Eqn) -> None:
        """Follow the axes that are known through an equation and its regions."""
        found = [link for e in _inside(eqn) for link in links(e) or ()]
        found += [(b, a, {k: i for i, k in table.items()}) for a, b, table in found]
        more = True
        while more:
            more = False
            for a, b, table in found:
                axis = self.axes.get(a)  # type: ignore[arg-type]
                if axis is None or axis not in table or not isinstance(b, Var):
                    continue
                more |= b not in self.axes
                if self.axes.setdefault(b, table[axis]) != table[axis]:
                    raise ExchangeError

    def axis(self, atom: Atom) -> int | None:
        return self.axes.get(atom) if isinstance(atom, Var) else None

    # What is allowed -----------------------------------------------------------------

    def check(self, eqn: Eqn) -> None:
        """Raise ExchangeError if lanes meet; note what is a partial."""
        if eqn.prim is for_:
            self.loop(eqn)
        elif eqn.prim is cond:
            self.branches(eqn)
        elif any(a in self.partial for a in eqn.inputs):
            self.of_partial(eqn)
        elif any(self.axis(a) is not None for a in (*eqn.inputs, *eqn.outputs)):
            self.of_lanes(eqn)
        elif has_effect(eqn) or not self.same_for_all(eqn.uses()):
            raise ExchangeError

    def same_for_all(self, atoms: object) -> bool:
        """Whether values are neither of lanes nor partials."""
        return all(a not in self.axes and a not in self.partial for a in atoms)  # type: ignore[attr-defined]

    def of_lanes(self, eqn: Eqn) -> None:
        found = links(eqn)
        if found is None:
            raise ExchangeError
        linked = {a for a, _, _ in found} | {b for _, b, _ in found}
        if not self.same_for_all(a for a in eqn.inputs if a not in linked):
            raise ExchangeError
        for a, b, table in found:
            one, other = self.axis(a), self.axis(b)
            if one is None:
                grows = eqn.prim.name == "broadcast" and other not in table.values()
                if other is not None and not grows:
                    raise ExchangeError
            elif one in table:
                if table[one] != other:
                    raise ExchangeError
            elif eqn.prim.name == "sum" and other is None:
                self.partial.add(eqn.out)
            else:
                raise ExchangeError

    def of_partial(self, eqn: Eqn) -> None:
        """Linear functions of partials alone, whose factors are the same for all."""
        if any(self.axis(a) is not None for a in (*eqn.inputs, *eqn.outputs)):
            raise ExchangeError
        where = [k for k, a in enumerate(eqn.inputs) if a in self.partial]
        if self.strict and where not in _LINEAR.get(eqn.prim.name, ()):
            raise ExchangeError
        self.partial.update(eqn.outputs)

    def loop(self, eqn: Eqn) -> None:
        (body,) = eqn.regions
        inits, params = eqn.inputs[3:], body.params[1:]
        if not self.same_for_all(eqn.inputs[:3]):
            raise ExchangeError
        slots = list(zip(params, inits, body.results, eqn.outputs, strict=True))
        self.partial.update(p for p, init, *_ in slots if init in self.partial)
        strict, self.strict = self.strict, False
        while True:  # which slots are partials, before all else is told
            self.region(body)
            new = {p for p, _, r, _ in slots if r in self.partial} - self.partial
            if not new:
                break
            self.partial |= new
        self.partial.update(out for p, _, _, out in slots if p in self.partial)
        self.strict = strict
        if strict:
            self.region(body)
            for param, init, result, _ in slots:
                if param in self.partial and not (
                    (init in self.partial or self.zero(init))
                    and only_added_to(param, result, body, whose="anyone's")
                ):
                    raise ExchangeError
        self.require(links(eqn) or [])

    def branches(self, eqn: Eqn) -> None:
        if not self.same_for_all(eqn.inputs):
            raise ExchangeError
        for region in eqn.regions:
            self.region(region)
            if self.strict and any(r in self.partial for r in region.results):
                raise ExchangeError
        self.require(links(eqn) or [])

    def region(self, region: Region) -> None:
        for eqn in region.eqns:
            self.check(eqn)

    def require(self, found: Sequence[Link]) -> None:
        """Lanes lie along the same axis of both arrays of each pair."""
        for a, b, table in found:
            one, other = self.axis(a), self.axis(b)
            if (None if one is None else table[one]) != other:
                raise ExchangeError

    def zero(self, atom: Atom) -> bool:
        eqn = self.made.get(atom) if isinstance(atom, Var) else None
        if eqn is not None and eqn.prim.name == "broadcast":
            (atom,) = eqn.inputs
        return isinstance(atom, Literal) and not atom.runtime and atom.value == 0


#: By linear primitive: which operands may be partials, together.
_LINEAR: dict[str, Sequence[list[int]]] = {
    **dict.fromkeys(("add", "sub", "acc_slice"), ([0, 1],)),
    **dict.fromkeys(("neg", "div", "broadcast", "reshape", "transpose"), ([0],)),
    **dict.fromkeys(("sum", "getitem"), ([0],)),
    "mul": ([0], [1]),
}


# How the arrays of an equation go together --------------------------------------------


def links(eqn: Eqn) -> list[Link] | None:
    """The arrays of an equation in pairs; None if its primitive is not known here."""
    if isinstance(eqn.prim, Elementwise):
        return [_alike(a, eqn.out) for a in eqn.inputs if a.aval.shape]
    rule = _LINKS.get(eqn.prim.name)
    return None if rule is None else rule(eqn)


def _alike(a: Atom, b: Atom) -> Link:
    return a, b, {k: k for k in range(a.aval.ndim)}


def _of_part(eqn: Eqn) -> list[Link]:
    """A part that is whole along some axes; those of an update, of its result too."""
    x, part = eqn.inputs[0], eqn.out
    starts = eqn.inputs[1:]
    found = []
    if eqn.prim.updates:
        found = [_alike(x, eqn.out)]
        part, starts = eqn.inputs[1], eqn.inputs[2:]  # type: ignore[assignment]
    table: dict[int, int] = {}
    kept = 0
    params = eqn.params
    rows = zip(x.aval.shape, starts, params["sizes"], params["steps"], strict=True)
    for axis, (extent, start, size, step) in enumerate(rows):
        first = isinstance(start, Literal) and start.value == 0
        if size is not None:
            if first and int(size) == int(extent) and step == 1 and not x.aval.grows:
                table[axis] = kept
            kept += 1
    return [*found, (x, part, table)]


def _of_broadcast(eqn: Eqn) -> list[Link]:
    return [(eqn.inputs[0], eqn.out, dict(enumerate(eqn.params["axes"])))]


def _of_sum(eqn: Eqn) -> list[Link]:
    (x,) = eqn.inputs
    kept = [k for k in range(x.aval.ndim) if k not in eqn.params["axes"]]
    return [(x, eqn.out, {axis: k for k, axis in enumerate(kept)})]


def _of_transpose(eqn: Eqn) -> list[Link]:
    return [(eqn.inputs[0], eqn.out, {p: k for k, p in enumerate(eqn.params["perm"])})]


def _of_reshape(eqn: Eqn) -> list[Link]:
    """Axes of extent 1 come and go."""
    (x,), out = eqn.inputs, eqn.out
    one, other = (
        [k for k, n in enumerate(a.aval.shape) if int(n) != 1] for a in (x, out)
    )
    if [x.aval.shape[k] for k in one] != [out.aval.shape[k] for k in other]:
        return [(x, out, {})]
    return [(x, out, dict(zip(one, other, strict=True)))]


def _of_concatenate(eqn: Eqn) -> list[Link]:
    apart = [k for k in range(eqn.out.aval.ndim) if k != eqn.params["axis"]]
    return [(x, eqn.out, {k: k for k in apart}) for x in eqn.inputs]


def _of_for(eqn: Eqn) -> list[Link]:
    (body,) = eqn.regions
    slots = zip(body.params[1:], eqn.inputs[3:], body.results, eqn.outputs, strict=True)
    return [_alike(param, x) for param, *others in slots for x in others]


def _of_cond(eqn: Eqn) -> list[Link]:
    return [
        _alike(out, result)
        for region in eqn.regions
        for out, result in zip(eqn.outputs, region.results, strict=True)
    ]


def _of_room(eqn: Eqn) -> list[Link]:
    return []


_LINKS: dict[str, Callable[[Eqn], list[Link]]] = {
    **dict.fromkeys(("getitem", "setitem", "acc_slice"), _of_part),
    **dict.fromkeys(("sum", "max", "min", "prod", "any", "all"), _of_sum),
    "broadcast": _of_broadcast,
    "transpose": _of_transpose,
    "reshape": _of_reshape,
    "concatenate": _of_concatenate,
    "for": _of_for,
    "cond": _of_cond,
    "empty": _of_room,
}


def _inside(eqn: Eqn) -> list[Eqn]:
    return [eqn, *(e for r in eqn.regions for inner in r.eqns for e in _inside(inner))]


__all__ = ["Lanes", "links"]
