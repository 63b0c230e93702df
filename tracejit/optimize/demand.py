"""Which side of a choice is all that anybody looks at.

    y = select(p, x, fill); z = exp(y); out = select(p, z, old)

Where `p` does not hold nobody sees `z`, and so nobody sees `y`, which may as well be
`x` there. Staging fills what a mask leaves out, and a derivative makes a choice anew
after every step on the way back: most of these are of this kind.

A value is wanted everywhere, or only where some predicates hold, or do not: where all
that it goes into, element by element, is wanted. What integers are computed from is
wanted everywhere, since dividing by 0 may end the process.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracejit.ir.primitive import Elementwise
from tracejit.ir.program import Atom, Eqn, Region, Var

#: Predicates, and whether they hold.
Where = frozenset[tuple[Atom, bool]]

EVERYWHERE: Where = frozenset()

#: More predicates than this are not told apart.
MOST = 6


def sides(region: Region) -> dict[Var, int]:
    """The operand that alone is looked at, of the `select`s that have one.

    Args:
        region: regions inside of it are not looked into.

    Returns:
        1 or 2 for each such output.
    """
    wanted: dict[Var, Where] = {}
    found: dict[Var, int] = {}
    _want(wanted, region.results, EVERYWHERE)
    for eqn in reversed(region.eqns):
        if not isinstance(eqn.prim, Elementwise):
            _want(wanted, eqn.uses(), EVERYWHERE)
            continue
        where = wanted.get(eqn.out)
        if where is None:
            continue  # nobody looks at it at all
        if eqn.prim.name == "select":
            _choice(eqn, where, wanted, found)
        else:
            integer = eqn.out.aval.dtype.kind in "iu"
            _want(wanted, eqn.inputs, EVERYWHERE if integer else where)
    return found


def _choice(
    eqn: Eqn, where: Where, wanted: dict[Var, Where], found: dict[Var, int]
) -> None:
    pred, *values = eqn.inputs
    for side, holds in ((1, True), (2, False)):
        if (pred, holds) in where:
            found[eqn.out] = side
            _want(wanted, [eqn.inputs[side]], where)
            return
    _want(wanted, [pred], where)
    for value, holds in zip(values, (True, False), strict=True):
        told = isinstance(pred, Var) and len(where) < MOST
        _want(wanted, [value], where | {(pred, holds)} if told else where)


def _want(wanted: dict[Var, Where], atoms: Iterable[Atom], where: Where) -> None:
    for atom in atoms:
        if isinstance(atom, Var):
            wanted[atom] = wanted[atom] & where if atom in wanted else where


__all__ = ["sides"]
