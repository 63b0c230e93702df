"""Numbers taken out of arrays, in derived code and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transform.programs import build
from tracejit import grad, make_ir
from tracejit.ir.check import check
from tracejit.ir.evaluate import evaluate
from tracejit.optimize import passes
from tracejit.optimize.factors import take_out_factors

RNG = np.random.default_rng(0)
D, C, R = RNG.normal(size=(9, 3)), RNG.normal(size=(9, 3)), RNG.uniform(0.5, 1.5, 9)


def force(d, c, r):
    total = 0.0
    for i in range(len(r)):
        total += np.sum(c[i] * np.sin(r[0] * d[i] / (r[i] * np.sqrt(r[i]))))
    return total


def direction(d, c, r):
    total = 0.0
    for i in range(len(r)):
        total += np.sum(np.tanh(c[i] * d[i] / np.linalg.norm(d[i])))
    return total * r[0]


def at_once(d, c, r):
    return np.sum(np.sin(d / r[0]) * c / (r[1] * r[2]))


def either(d, c, r):
    total = 0.0
    for i in range(len(r)):
        v = d[i] / r[i]
        total += np.sum(np.where(c[i] > 0.0, v * r[i], v / r[i] ** 2))
    return total


def root(d, c, r):
    total = 0.0
    for i in range(len(r)):
        x = np.sin(r[i]) + 2.0
        total += np.exp(x * np.sqrt(x)) * c[0, i % 3]
    return total * d[0, 0]


FUNCTIONS = [force, direction, at_once, either, root]


@pytest.fixture(autouse=True)
def _without_the_pass(monkeypatch):
    others = [(n, p) for n, p in passes.LAST_PASSES if p is not take_out_factors]
    monkeypatch.setattr(passes, "LAST_PASSES", others)


def adjoint(f, *args):
    return make_ir(grad(f, argnums=(0, 1, 2)))(*args)


def products(program):
    """Of arrays, as often as they run."""
    names = ("mul", "div")
    return sum(e.prim.name in names and bool(e.out.aval.shape) for e in program.walk())


@pytest.mark.parametrize("f", FUNCTIONS)
def test_gradients_are_what_they_were(f):
    program = adjoint(f, D, C, R)
    ours = take_out_factors(program)
    check(ours)
    got, want = (evaluate(p, [D, C, R]) for p in (ours, program))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("f", [force, direction, at_once])
def test_fewer_products_of_arrays(f):
    program = adjoint(f, D, C, R)
    assert products(take_out_factors(program)) < products(program)


def test_a_root_times_what_it_is_the_root_of():
    program = adjoint(root, D, C, R)
    assert any(e.prim.name == "div" for e in program.walk())
    assert not any(e.prim.name == "div" for e in take_out_factors(program).walk())


def test_the_user_s_own_products_stay():
    program = build(lambda x: (x * 3.7) / 0.3 * 1.9, (3,))
    assert str(take_out_factors(program)) == str(program)


def test_single_precision_stays():
    args = [x.astype(np.float32) for x in (D, C, R)]
    program = adjoint(at_once, *args)
    assert products(take_out_factors(program)) == products(program)


def far(d, c, r):
    total = 0.0
    for i in range(len(r)):
        total += np.sum(c[i] * np.tanh(d[i] / r[i]))
    return total


def farther(d, c, r):
    total = 0.0
    for i in range(len(r)):
        total += np.sum(c[i] * np.tanh(r[0] / d[i] / r[i]))
    return total


@pytest.mark.parametrize("f", [far, farther])
def test_where_a_cotangent_is_zero_an_infinite_number_contributes_nothing(f):
    d, r = np.abs(D), R.copy()
    d[3, 0] = d[4] = r[5] = 0.0 if f is farther else 1.0
    r[5] = 0.0
    program = adjoint(f, d, C, r)
    with np.errstate(all="ignore"):
        got, want = (
            evaluate(p, [d, C, r]) for p in (take_out_factors(program), program)
        )
    for a, b in zip(got, want, strict=True):
        assert np.all(np.isfinite(a))
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)
