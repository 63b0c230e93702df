"""When Python needs the value of a traced box: what may be done about it.

A value that depends on no argument can be known after all: by unrolling the loop that
computed it, or by pinning the captured arrays that it was computed from.
"""

from __future__ import annotations

from typing import Any

from tracejit.frontend.box import Box
from tracejit.frontend.session import Session, session
from tracejit.ir.program import Eqn, Var


def concretize(box: Box) -> Any:
    """Begin again with what would make the value known; None where nothing would."""
    trace = session()
    atom = box.read()
    if not isinstance(atom, Var):
        return None
    made = {
        v: eqn for region in trace.builder.stack for eqn in region for v in eqn.outputs
    }
    leaves, loops = _origins(trace, atom, made)
    inputs = {c.var: key for key, c in trace.captured.items()}
    if any(leaf not in inputs for leaf in leaves):
        return None
    for key in loops:
        if key not in trace.advice.unroll:
            raise trace.restage(unroll=key)
    pins = {inputs[leaf] for leaf in leaves} - trace.advice.pinned
    if pins:
        raise trace.restage(pinned=pins)
    return None


def _origins(
    trace: Session, atom: Var, made: dict[Var, Eqn]
) -> tuple[set[Var], list[Any]]:
    """What a value is computed from: variables nothing open defines, and loops."""
    leaves: set[Var] = set()
    loops: list[Any] = []
    seen: set[Var] = set()
    todo = [atom]
    while todo:
        var = todo.pop()
        if var in seen:
            continue
        seen.add(var)
        if var in trace.made_by:
            loops.append(trace.made_by[var])
        if var in made:
            todo += made[var].uses()
        else:
            leaves.add(var)
    return leaves, loops
