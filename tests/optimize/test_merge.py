"""A loop and its adjoint run together where neither waits for the other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transform.programs import PROGRAMS, at, branch, build, loop, put, total
from tracejit.ir.check import check
from tracejit.ir.evaluate import evaluate
from tracejit.ops import elementwise as ew
from tracejit.optimize.merge import merge_loops
from tracejit.optimize.passes import optimize
from tracejit.transform.vjp import vjp


def loops(program):
    return sum(e.prim.name == "for" for e in program.walk())


def sine_sum(x):
    return loop(0, x.aval.shape[0], [0.0], lambda i, s: s + ew.sin(at(x, i)))


def pairs(x):
    n = x.aval.shape[0]

    def body(i, s):
        return loop(0, n, [s], lambda j, s: s + ew.sin(at(x, i) * at(x, j)))

    return loop(0, n, [0.0], body)


def squared(x):
    s = sine_sum(x)
    return s * s


def filled(x):
    out = loop(0, x.aval.shape[0], [x], lambda i, y: put(y, ew.sin(at(y, i)), i))
    return total(out * out)


@pytest.mark.parametrize(
    "fn, before, after",
    [(sine_sum, 2, 1), (pairs, 4, 2), (squared, 2, 2), (filled, 2, 2)],
)
def test_which_loops_are_merged(fn, before, after):
    program = vjp(build(fn, (5,)), [0], seed=True)
    merged = optimize(program)
    assert (loops(program), loops(merged)) == (before, after)
    x = np.linspace(0.2, 1.3, 5)
    for got, want in zip(evaluate(merged, [x]), evaluate(program, [x]), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)


def chained(x):
    return total(loop(1, 5, [x], lambda i, y: put(y, ew.sin(at(y, i - 1)), i)))


def others(x):
    n = x.aval.shape[0]

    def body(i, y):
        def inner(j, y):
            d = at(x, i) - at(x, j)
            return branch(
                ew.ne(i, j), lambda: put(y, at(y, i) + d * d * d, i), lambda: y
            )

        return loop(0, n, [y], inner)

    y = loop(0, n, [x], body)
    return total(y * y)


def test_what_waits_runs_forwards_where_the_order_makes_no_difference():
    program = vjp(build(others, (5,)), [0], seed=True)
    turned = [e.params["reverse"] for e in program.walk() if e.prim.name == "for"]
    merged = optimize(program)
    now = [e.params["reverse"] for e in merged.walk() if e.prim.name == "for"]
    assert turned == [False, False, True, True] and not any(now)
    x = np.linspace(0.2, 1.3, 5)
    for got, want in zip(evaluate(merged, [x]), evaluate(program, [x]), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13)


def test_rounds_that_wait_for_each_other_keep_their_order():
    program = vjp(build(chained, (5,)), [0], seed=True)
    ours = [e for e in optimize(program).walk() if e.prim.name == "for"]
    assert ours[-1].params["reverse"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_merging_changes_no_result(name):
    fn, shapes = PROGRAMS[name]
    program = vjp(build(fn, *shapes), range(len(shapes)), seed=True)
    merged = merge_loops(program)
    check(merged)
    rng = np.random.default_rng(0)
    args = [rng.uniform(0.2, 1.1, s) for s in shapes]
    for got, want in zip(evaluate(merged, args), evaluate(program, args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13)
