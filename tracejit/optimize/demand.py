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

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import replace

from tracejit.ir.primitive import Elementwise
from tracejit.ir.program import Atom, Eqn, Region, Var, substitute
from tracejit.ops.elementwise import eq, ge, gt, isnan, le, lt
from tracejit.ops.index import getitem, setitem
from tracejit.ops.twins import key_of, key_of_eqn

#: Predicates, and whether they hold.
Where = frozenset[tuple[Atom, bool]]

EVERYWHERE: Where = frozenset()

#: What does not hold for NaN.
ORDER = {lt, le, gt, ge, eq}

#: More predicates than this are not told apart.
MOST = 6


def sides(region: Region, saved: Mapping[Eqn, Where] | None = None) -> dict[Var, int]:
    """The operand that alone is looked at, of the `select`s that have one.

    Args:
        region: regions inside of it are not looked into.
        saved: of writes to tapes in it, where what they save is wanted.

    Returns:
        1 or 2 for each such output.
    """
    return _demand(region, saved or {})[1]


def _demand(
    region: Region, saved: Mapping[Eqn, Where]
) -> tuple[dict[Var, Where], dict[Var, int]]:
    """Where everything in a region is wanted, and the sides of its choices."""
    wanted: dict[Var, Where] = {}
    found: dict[Var, int] = {}
    made: dict[Atom, Eqn] = {e.outputs[0]: e for e in region.eqns if e.outputs}
    _want(wanted, region.results, EVERYWHERE)
    for eqn in reversed(region.eqns):
        if not isinstance(eqn.prim, Elementwise):
            if eqn in saved:
                _want(wanted, eqn.inputs[1:2], saved[eqn])
                _want(wanted, [*eqn.inputs[:1], *eqn.inputs[2:]], EVERYWHERE)
            else:
                _want(wanted, eqn.uses(), EVERYWHERE)
            continue
        where = wanted.get(eqn.out)
        if where is None:
            continue  # nobody looks at it at all
        if eqn.prim.name == "select":
            _choice(eqn, where, wanted, found, made)
        else:
            integer = eqn.out.aval.dtype.kind in "iu"
            _want(wanted, eqn.inputs, EVERYWHERE if integer else where)
    return wanted, found


def _choice(
    eqn: Eqn,
    where: Where,
    wanted: dict[Var, Where],
    found: dict[Var, int],
    made: Mapping[Atom, Eqn],
) -> None:
    pred, *values = eqn.inputs
    for side, holds in ((1, True), (2, False)):
        if (pred, holds) in where or (not holds and _is_number(pred, where, made)):
            found[eqn.out] = side
            _want(wanted, [eqn.inputs[side]], where)
            return
    _want(wanted, [pred], where)
    for value, holds in zip(values, (True, False), strict=True):
        told = isinstance(pred, Var) and len(where) < MOST
        _want(wanted, [value], where | {(pred, holds)} if told else where)


def _is_number(pred: Atom, where: Where, made: Mapping[Atom, Eqn]) -> bool:
    """Whether `pred` asks if a value is NaN that compares well where it is wanted."""
    eqn = made.get(pred)
    if eqn is None or eqn.prim is not isnan:
        return False
    tests = [made[p] for p, holds in where if holds and p in made]
    return any(t.prim in ORDER and eqn.inputs[0] in t.inputs for t in tests)


def _want(wanted: dict[Var, Where], atoms: Iterable[Atom], where: Where) -> None:
    for atom in atoms:
        if isinstance(atom, Var):
            wanted[atom] = wanted[atom] & where if atom in wanted else where


# What is saved ------------------------------------------------------------------------


def saved_where(region: Region) -> dict[Eqn, Where]:
    """Of writes to tapes in a region's loops, where what they save is wanted.

    Those that are left out may be wanted everywhere.
    """
    found: dict[Eqn, Where] = {}
    loops = [eqn for eqn in region.eqns if eqn.prim.name == "for"]
    for primal in loops:
        tapes = dict(_tapes(primal, region))
        for adjoint in loops:
            if tapes and adjoint is not primal and _index(adjoint) is _index(primal):
                found |= _read_where(primal, adjoint, tapes)
    return found


def _index(loop: Eqn) -> Var:
    return loop.regions[0].params[0]


def _tapes(loop: Eqn, region: Region) -> Iterator[tuple[Var, Eqn]]:
    """What a loop does nothing with but write to it, once in a round, and which one
    other equation reads when it has run; and the write."""
    (body,) = loop.regions
    made = {v: eqn for eqn in body.eqns for v in eqn.outputs}
    inside = Counter(v for eqn in body.eqns for v in eqn.uses())
    around = Counter(v for eqn in region.eqns for v in dict.fromkeys(eqn.uses()))
    slots = zip(body.params[1:], body.results, loop.outputs, strict=True)
    for param, result, out in slots:
        write = made.get(result)  # type: ignore[arg-type]
        if write is None or write.prim is not setitem or write.inputs[0] is not param:
            continue
        written_only = inside[param] + inside[write.out] == 1
        if written_only and around[out] == 1 and out not in region.results:
            yield out, write


def _read_where(
    primal: Eqn, adjoint: Eqn, tapes: Mapping[Var, Eqn]
) -> dict[Eqn, Where]:
    """Where an adjoint loop wants what it reads of tapes, in its primal's terms."""
    (body,) = adjoint.regions
    same: dict[Var, Atom] = {}
    reads: dict[Var, list[Var]] = {}
    users_of: dict[Var, list[Eqn]] = {}
    for eqn in body.eqns:
        for var in tapes.keys() & set(eqn.uses()):
            users_of.setdefault(var, []).append(eqn)
    for tape, write in tapes.items():
        users = users_of.get(tape)
        if users and all(_rereads(eqn, tape, write) for eqn in users):
            reads[tape] = [eqn.out for eqn in users]
            same.update(dict.fromkeys(reads[tape], write.inputs[1]))
    known: dict[Hashable, Var] = {
        key: eqn.out
        for eqn in primal.regions[0].eqns
        if isinstance(eqn.prim, Elementwise) and (key := key_of_eqn(eqn))
    }
    for eqn in body.eqns:
        # What has an origin may be rounded in another way.
        if isinstance(eqn.prim, Elementwise) and eqn.origin is None:
            inputs = substitute(eqn.inputs, same)
            twin = known.get(key_of_eqn(replace(eqn, inputs=inputs)))
            if twin is not None:
                same[eqn.out] = twin
    wanted, _ = _demand(body, {})
    found: dict[Eqn, Where] = {}
    for tape, outs in reads.items():
        where = frozenset.intersection(*(wanted.get(v, EVERYWHERE) for v in outs))
        told = {(same[p], holds) for p, holds in where if p in same}
        if told:
            found[tapes[tape]] = frozenset(told)
    return found


def _rereads(eqn: Eqn, tape: Var, write: Eqn) -> bool:
    """Whether an equation reads what `write` has written in the same round."""
    return (
        eqn.prim is getitem
        and eqn.inputs[0] is tape
        and list(map(key_of, eqn.inputs[1:])) == list(map(key_of, write.inputs[2:]))
        and eqn.params == write.params
    )


__all__ = ["saved_where", "sides"]
