"""When Python needs the value of a traced box: what may be done about it.

A value that depends on no array that is an argument can be known after all: by
unrolling the loop that computed it, or by pinning what it was computed from: captured
arrays, and numbers that are arguments, unless these are differentiated.
"""

from __future__ import annotations

from typing import Any

from tracejit.frontend.box import Box
from tracejit.frontend.session import Session, session
from tracejit.ir.program import Atom, Eqn, Var
from tracejit.ops.control import cond, for_, while_


def concretize(box: Box, of_arguments: bool = True) -> Any:
    """Begin again with what would make the value known; None where nothing would."""
    trace = session()
    atom = box.read()
    if not isinstance(atom, Var):
        return None
    leaves, loops = _Origins(trace).of(atom)
    inputs = {c.var: key for key, c in trace.captured.items()}
    if of_arguments:
        inputs |= trace.arguments
    if any(leaf not in inputs for leaf in leaves):
        return None
    for key in loops:
        if key not in trace.advice.unroll:
            raise trace.restage(unroll=key)
    pins = {inputs[leaf] for leaf in leaves} - trace.advice.pinned
    if pins:
        raise trace.restage(pinned=pins)
    return None


class _Origins:
    """What values of the open regions are computed from."""

    def __init__(self, trace: Session):
        self.trace = trace
        self.made: dict[Var, tuple[Eqn, int]] = {}
        self.carried: dict[Var, tuple[Eqn, int]] = {}
        for region in trace.builder.stack:
            for eqn in region:
                self._enter(eqn)

    def _enter(self, eqn: Eqn) -> None:
        self.made.update((v, (eqn, k)) for k, v in enumerate(eqn.outputs))
        first = 1 if eqn.prim is for_ else 0
        for region in eqn.regions:
            for k, param in enumerate(region.params):
                self.carried[param] = eqn, k - first
            for inner in region.eqns:
                self._enter(inner)

    def of(self, start: Var) -> tuple[set[Var], list[Any]]:
        """The variables that nothing here defines, and the loops passed on the way."""
        leaves: set[Var] = set()
        loops: list[Any] = []
        todo: list[Atom] = [start]
        seen: set[Var] = set()
        while todo:
            var = todo.pop()
            if not isinstance(var, Var) or var in seen:
                continue
            seen.add(var)
            if var in self.trace.made_by:
                loops.append(self.trace.made_by[var])
            found = self.made.get(var) or self.carried.get(var)
            if found is None:
                leaves.add(var)
            else:
                todo += _parents(*found)
        return leaves, loops


def _parents(eqn: Eqn, k: int) -> list[Atom]:
    """What output `k` of an equation, or what it carries there, depends on."""
    if eqn.prim is cond:
        return [eqn.inputs[0], *(region.results[k] for region in eqn.regions)]
    if eqn.prim is for_:
        bounds = eqn.inputs[:3]
        return (
            bounds if k < 0 else [*bounds, eqn.inputs[3 + k], eqn.regions[0].results[k]]
        )
    if eqn.prim is while_:
        test, body = eqn.regions
        return [eqn.inputs[k], *test.results, body.results[k]]
    return list(eqn.inputs)
