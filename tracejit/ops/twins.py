"""Which equations compute the same."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from tracejit.ir.aval import Extent
from tracejit.ir.program import Atom, Eqn, Literal
from tracejit.ops import elementwise as ew
from tracejit.ops.shape import iota

COMMUTATIVE = {
    ew.add,
    ew.mul,
    ew.eq,
    ew.ne,
    ew.logical_and,
    ew.logical_or,
    ew.bitwise_and,
    ew.bitwise_or,
}


def key_of(atom: Atom) -> Hashable:
    """Equal keys mean equal values."""
    return atom.key() if isinstance(atom, Literal) else atom


def key_of_eqn(eqn: Eqn) -> Hashable | None:
    """Equations with equal keys compute the same; None: it is to stay by itself.

    A constant fill stays: one that starts an accumulator is overwritten in place, and
    where it is only read it costs nothing. So does what has regions.
    """
    if eqn.regions:
        return None
    if eqn.outputs and eqn.outputs[0].aval.shape:
        filled = not any(a.aval.shape for a in eqn.inputs)
        if filled and eqn.prim is not iota:
            return None
    operands: Any = tuple(key_of(a) for a in eqn.inputs)
    if eqn.prim in COMMUTATIVE:
        operands = frozenset(operands)
    params = tuple((name, _frozen(p)) for name, p in eqn.params.items())
    try:
        hash(params)
    except TypeError:
        return None
    return eqn.prim, operands, params


def _frozen(param: Any) -> Hashable:
    """Extents are the same only if they are named so: text must not vary with size."""
    if isinstance(param, tuple):
        return tuple([_frozen(p) for p in param])
    return (int(param), param.expr) if isinstance(param, Extent) else param
