"""Derived divisions share a reciprocal; the user's own stay as they are."""

from __future__ import annotations

import numpy as np

from tests.transform.programs import build, total
from tracejit.ir.evaluate import evaluate
from tracejit.optimize.passes import optimize
from tracejit.optimize.reciprocals import share_reciprocals
from tracejit.transform.vjp import vjp


def quotient(a, b):
    return total(a / b)


def divisions(program):
    return sum(e.prim.name == "div" for e in program.walk())


def test_the_quotient_rule_divides_twice():
    program = vjp(build(quotient, (3,), (3,)), [0, 1], seed=True)
    shared = share_reciprocals(program)
    assert (divisions(program), divisions(shared)) == (3, 2)
    args = [np.array([1.0, 2.0, 3.0]), np.array([0.3, 0.7, 1.1])]
    for got, want in zip(evaluate(shared, args), evaluate(program, args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-15)


def test_the_primal_is_rounded_as_written():
    def f(a, b, c):
        return total(a / c + b / c)

    program = build(f, (3,), (3,), (3,))
    assert divisions(optimize(program)) == 2


def test_on_paper_every_division_is_a_product_with_a_reciprocal():
    def f(a, b, c):
        return total(a / c + b / c)

    program = build(f, (3,), (3,), (3,))
    fast = optimize(program, fast=True, last=True)
    assert divisions(fast) == 1
    args = [np.array([1.0, 2.0, 3.0]), np.array([0.3, 0.7, 1.1]), np.full(3, 0.9)]
    np.testing.assert_allclose(evaluate(fast, args), evaluate(program, args))
    assert divisions(optimize(program, fast=True)) == 2  # derivatives are taken of it
