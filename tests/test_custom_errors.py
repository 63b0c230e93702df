"""Rules of custom_vjp and custom_jvp that do not fit their function."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tracejit import custom_jvp, custom_vjp, grad, jvp
from tracejit.base.errors import CustomRuleError

X = np.array([0.3, -0.8, 1.1])
interpreted = functools.partial(grad, backend="numpy")


def raises(what: str):
    return pytest.raises(CustomRuleError, match=what)


def ruled(fwd, bwd):
    f = custom_vjp(lambda x: x * 2.0)
    f.defvjp(fwd, bwd)
    return f


def test_rules_that_do_not_fit():
    with raises("no rule has been given"):
        grad(custom_vjp(np.sin), backend="numpy")(1.0)
    with raises("no rule has been given"):
        grad(custom_jvp(np.sin), backend="numpy")(1.0)
    good = lambda x: (x * 2.0, x)  # noqa: E731
    with raises("not a tuple"):
        interpreted(ruled(good, lambda x, ct: ct))(1.0)
    with raises("each of 1 arguments"):
        interpreted(ruled(good, lambda x, ct: (ct, ct)))(1.0)
    with raises(r"shape \(2,\) where \(\) is needed"):
        interpreted(ruled(good, lambda x, ct: (ct * np.ones(2),)))(1.0)
    with raises("is complex"):
        interpreted(ruled(good, lambda x, ct: (ct * 1j,)))(1.0)
    with raises("not a pair"):
        interpreted(ruled(lambda x: x * 2.0, lambda x, ct: (ct,)))(1.0)
    with raises("and function returns"):
        interpreted(ruled(lambda x: ((x, x), x), lambda x, ct: (ct,)))(1.0)
    f = custom_jvp(lambda x: x * 2.0)
    f.defjvp(lambda primals, tangents: primals[0] * 2.0)
    with raises("not a pair"):
        interpreted(f)(1.0)


def test_rules_that_are_not_linear():
    f = custom_jvp(lambda x: x * 2.0)
    f.defjvp(lambda primals, tangents: (primals[0] * 2.0, tangents[0] ** 2))
    for derivative in (grad(f, backend="numpy"), lambda x: jvp(f, (x,), (1.0,))):
        with raises("not linear in the tangents"):
            derivative(1.0)
    f.defjvp(lambda p, t: (p[0] * 2.0, np.where(t[0] > 0, t[0], 0.0)))
    with raises("not linear in the tangents"):
        interpreted(lambda x: f(x))(1.0)
    # A backward rule may be anything, but then there is no forward mode.
    clipped = ruled(lambda x: (x * 2.0, None), lambda _, ct: (np.clip(ct, -1, 1),))
    assert interpreted(lambda x: clipped(x) * 9.0)(1.0) == 1.0
    with raises("not linear in the cotangents"):
        jvp(clipped, (1.0,), (1.0,), backend="numpy")


def test_a_linear_loop_that_carries_values_beside_tangents_is_linear():
    @custom_jvp
    def power(x):
        return x**4

    @power.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        y, dy = 1.0, 0.0
        for _ in range(4):
            y, dy = y * x, dy * x + y * t
        return y, dy

    assert interpreted(power)(2.0) == 32.0
    assert interpreted(grad(power))(2.0) == 48.0


def test_values_that_a_rule_knows_nothing_about():
    def outer(x):
        @custom_vjp
        def f(y):
            return x * y

        f.defvjp(lambda y: (f(y), None), lambda _, ct: (ct * x,))
        return f(2.0 * x)

    with raises("a value that it captures"):
        interpreted(outer)(1.0)


def test_a_function_that_changes_its_argument():
    @custom_vjp
    def f(x):
        x[0] = 1.0
        return x

    f.defvjp(lambda x: (f(x), None), lambda _, ct: (ct,))
    with raises("changes its argument"):
        interpreted(lambda x: np.sum(f(x)))(X)


def test_a_function_that_stores_what_it_computes():
    class Model:
        @functools.partial(custom_vjp, nondiff_argnums=(0,))
        def f(self, x):
            self.last = x * 2.0
            return self.last

    Model.f.defvjp(lambda self, x: (x * 2.0, None), lambda self, _, ct: (ct,))
    with raises("stores a traced value"):
        interpreted(Model().f)(1.0)


def test_keyword_only_arguments():
    f = custom_vjp(lambda x, *, k: x * k)
    f.defvjp(lambda x, k: (x * k, k), lambda k, ct: (ct * k, None))
    with raises("keyword-only"):
        interpreted(lambda x: f(x, k=2.0))(1.0)
