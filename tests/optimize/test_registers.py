"""Accumulations at invariant indices leave their loops; the results stay."""

from __future__ import annotations

import numpy as np

from tests.transform.programs import at, build, loop, put, total
from tracejit.ir.check import check
from tracejit.ir.evaluate import evaluate
from tracejit.ir.program import Program
from tracejit.ops import elementwise as ew
from tracejit.optimize.passes import optimize
from tracejit.optimize.registers import accumulate_in_registers
from tracejit.transform.vjp import vjp


def pairs(x):
    n = x.aval.shape[0]

    def body(i, s):
        return loop(0, n, [s], lambda j, s: s + ew.sin(at(x, i) * at(x, j)))

    return loop(0, n, [0.0], body)


def inner_accumulations(program: Program) -> int:
    """How many `acc_slice`s stand in the innermost loops."""
    inner = [e for e in program.walk() if e.prim.name == "for"]
    bodies = [e.regions[0] for e in inner]
    return sum(
        e.prim.name == "acc_slice"
        for b in bodies
        for e in b.eqns
        if not any(x.prim.name == "for" for x in b.eqns)
    )


def test_one_of_two_accumulations_leaves_the_inner_loop():
    program = optimize(vjp(build(pairs, (6,)), [0], seed=True))
    assert inner_accumulations(program) == 1
    x = np.linspace(0.1, 1.0, 6)
    products = np.outer(x, x)
    np.testing.assert_allclose(
        evaluate(program, [x])[1], 2 * np.cos(products) @ x, rtol=1e-12
    )


def test_nothing_moves_where_the_array_is_read():
    def f(x):
        n = x.aval.shape[0]
        y = loop(0, n, [x], lambda i, x: put(x, at(x, 0) * 2.0, i))
        return total(y)

    program = vjp(build(f, (4,)), [0], seed=True)
    moved = accumulate_in_registers(program)
    check(moved)
    x = np.array([1.0, 2.0, 3.0, 4.0])
    want, got = evaluate(program, [x]), evaluate(moved, [x])
    np.testing.assert_array_equal(want[1], got[1])
