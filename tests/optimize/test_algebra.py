"""Every rule of the table, by numbers: both sides, on ordinary and on odd operands."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.ops.straight import build, run
from tracejit.ir.aval import Aval
from tracejit.ir.builder import current
from tracejit.ir.program import Eqn, Program
from tracejit.ops import elementwise as ew
from tracejit.ops.dead import eliminate_dead
from tracejit.ops.shape import broadcast
from tracejit.optimize.algebra import RULES, Rule
from tracejit.optimize.clean import simplify

ODD = [0.0, -0.0, 1.0, -1.0, 2.5, -0.3, 1e-310, 1e308, -1e308, np.inf, -np.inf, np.nan]
KINDS = {"f": np.float64, "i": np.int64, "u": np.uint64}


def kinds(rule: Rule) -> str:
    """Those for which all of its primitives are declared; for booleans alone, "b"."""
    if all(p.hint == "p" for p in rule.params):
        return "b"
    eqns = [*rule.pattern.eqns, *rule._trace(rule.after).eqns]
    numeric = [e.prim.dtypes for e in eqns if isinstance(e.prim.dtypes, str)]
    return "".join(
        k
        for k in "fiu"
        if k in rule.dtypes and all(k in d for d in numeric if d != "b")
    )


def sides(rule: Rule, kind: str, shape: tuple[int, ...]) -> list[Program]:
    dtype = np.dtype(KINDS.get(kind, bool))
    avals = [
        Aval(np.dtype(bool) if p.hint == "p" else dtype, shape) for p in rule.params
    ]
    return [build(side, avals) for side in (rule.before, rule.after)]


CASES = [(rule, kind) for rule in RULES for kind in kinds(rule)]


@pytest.mark.parametrize("rule, kind", CASES, ids=[f"{r}|{k}" for r, k in CASES])
def test_both_sides_are_equal(rule, kind):
    rng = np.random.default_rng(1)
    if kind == "f":
        values = ODD if rule.scope == "exact" else rng.uniform(0.5, 3, 12)
    else:
        values = [0, 1, 2, 3, 7, 2**40] + ([-1, -5] if kind == "i" else [])
    columns = []
    for grid in zip(*itertools.product(values, repeat=len(rule.params)), strict=True):
        columns.append(np.array(grid, KINDS.get(kind, float)))
    args = [
        x > 0 if p.hint == "p" else x for p, x in zip(rule.params, columns, strict=True)
    ]
    before, after = sides(rule, kind, columns[0].shape)
    with np.errstate(all="ignore"):
        (a,), (b,) = run(before, *args), run(after, *args)
    assert a.dtype == b.dtype
    b = np.broadcast_to(b, a.shape)
    if rule.scope == "exact":
        np.testing.assert_array_equal(a, b)
        if kind == "f":
            numbers = ~np.isnan(a)
            np.testing.assert_array_equal(
                np.signbit(a[numbers]), np.signbit(b[numbers])
            )
    else:
        np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize("rule, kind", CASES, ids=[f"{r}|{k}" for r, k in CASES])
def test_the_rule_fires_and_leaves_no_more_than_its_other_side(rule, kind):
    before, _ = sides(rule, kind, (3,))
    if rule.scope == "derived":
        for eqn in before.eqns:
            eqn.origin = eqn
    fired = rule.fired
    program = eliminate_dead(simplify(before, fast=rule.scope == "fast"))
    assert rule.fired == fired + 1
    assert sum(e.prim.cost for e in program.eqns) <= rule.cost


def test_other_rules_leave_the_users_equations_alone():
    for rule in RULES:
        if rule.scope != "exact":
            before, _ = sides(rule, "f", (3,))
            fired = rule.fired
            simplify(before)
            assert rule.fired == fired, str(rule)


def test_a_rule_prints_itself():
    assert str(Rule(lambda x, y: x - (-y), lambda x, y: x + y)) == "x - (-y)  →  x + y"


def test_a_rule_does_not_grow_the_program():
    """(-x) * y → -(x * y) pays only where -x is read by nothing else."""

    def both(x, y):
        n = -x
        return [n * y, n]

    program = build(both, [Aval(np.dtype(float), (3,))] * 2)
    assert [e.prim for e in simplify(program).eqns] == [ew.neg, ew.mul]


def test_a_number_computed_while_staging_matches_no_rule():
    def scaled(x):
        eqn: Eqn
        out = x * 1.0
        (eqn,) = current().stack[-1]
        eqn.inputs[1].runtime = True
        return out

    program = build(scaled, [Aval(np.dtype(float), (3,))])
    assert len(simplify(program).eqns) == 1


def test_a_constant_array_is_its_number():
    def scaled(x):
        return x * broadcast(1.0, shape=(3,), axes=())

    program = build(scaled, [Aval(np.dtype(float), (3,))])
    assert eliminate_dead(simplify(program)).eqns == []
