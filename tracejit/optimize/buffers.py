"""Which buffer holds a value, and when one may be overwritten.

An update (`setitem` and its like) writes in place if nothing alive afterwards holds the
buffer, under whatever name: deadness is the buffer's, with all its aliases. A carried
array keeps one buffer through its loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tracejit.ir.aval import Aval
from tracejit.ir.program import Eqn, Region, Var
from tracejit.optimize.nest import INT64, Buffer, scalar_var
from tracejit.optimize.pull import Home


@dataclass(eq=False)
class Scope:
    """A region being lowered: where it stands, and what has been emitted.

    What a loop's body captures is read again by its next trip, so it is alive
    throughout; a branch may overwrite what dies with its `cond`.
    """

    region: Region
    parent: Scope | None = None
    loop: bool = False
    pos: int = -1
    items: list[Any] = field(default_factory=list)
    lazy: dict[Buffer, list[Var]] = field(default_factory=dict)
    last: dict[Var, int] = field(default_factory=dict)
    own: set[Var] = field(default_factory=set)
    made: dict[Var, Eqn] = field(default_factory=dict)
    users: dict[Var, list[Eqn]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own.update(self.region.params)
        for k, eqn in enumerate(self.region.eqns):
            self.made.update(dict.fromkeys(eqn.outputs, eqn))
            for var in eqn.uses():
                self.users.setdefault(var, []).append(eqn)
            self.last.update(dict.fromkeys(eqn.uses(), k))
            self.own.update(eqn.outputs)
        end = len(self.region.eqns)
        results = (a for a in self.region.results if isinstance(a, Var))
        self.last.update(dict.fromkeys(results, end))

    @property
    def in_loop(self) -> bool:
        return self.loop or (self.parent is not None and self.parent.in_loop)

    def alive(self, var: Var) -> bool:
        """Whether `var` is read after the equation being lowered."""
        if self.last.get(var, -1) > self.pos:
            return True
        if var in self.own or self.parent is None:
            return False
        return self.loop or self.parent.alive(var)

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent


class Buffers:
    """All buffers of a kernel and the values they hold."""

    def __init__(self) -> None:
        self.homes: dict[Var, Home] = {}
        self.holds: dict[Buffer, list[Var]] = {}

    def new(self, aval: Aval, hint: str = "", role: str = "temporary") -> Buffer:
        buffer = Buffer(aval, hint, role)
        if aval.grows:
            buffer.role, buffer.rows = "tape", scalar_var(INT64, "rows")
        self.holds[buffer] = []
        return buffer

    def settle(self, var: Var, buffer: Buffer) -> Home:
        """`var` lives in `buffer` from now on."""
        home = self.homes[var] = Home(buffer, var.aval.shape)
        self.holds[buffer].append(var)
        return home

    def hand_over(self, buffer: Buffer, var: Var) -> Home:
        """`var` lives in `buffer`, and what it held before does no longer."""
        self.holds[buffer].clear()
        return self.settle(var, buffer)

    def buffer_of(self, var: Any) -> Buffer | None:
        home = self.homes.get(var)
        return None if home is None else home.buffer

    def alive(self, buffer: Buffer, scope: Scope) -> bool:
        """Whether what the buffer holds is read after the current equation."""
        return any(scope.alive(v) for v in self.holds[buffer])

    def free_for(self, buffer: Buffer, scope: Scope) -> bool:
        """Whether the equation being lowered may overwrite the buffer."""
        return buffer.writable and not self.alive(buffer, scope)


def captured(eqn: Eqn) -> set[Var]:
    """What the regions of an equation read from outside."""
    return {v for region in eqn.regions for v in region.free_vars()}


def origin(var: Any, region: Region) -> Any:
    """The value that `var` is an updated form of, as seen from outside `region`."""
    made = {v: eqn for eqn in region.eqns for v in eqn.outputs}
    while var in made:
        eqn = made[var]
        if eqn.prim.updates:
            var = eqn.inputs[0]
        elif eqn.prim.name in ("for", "while"):
            skip = 3 if eqn.prim.name == "for" else 0
            var = eqn.inputs[skip + eqn.outputs.index(var)]
        elif eqn.prim.name == "cond":
            k = eqn.outputs.index(var)
            roots = {origin(r.results[k], r) for r in eqn.regions}
            if len(roots) != 1:
                return None
            (var,) = roots
        else:
            return None
    return var
