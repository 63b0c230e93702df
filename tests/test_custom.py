"""Rules of the user's own: custom_vjp, custom_jvp and stop_gradient."""

from __future__ import annotations

import functools
import pickle
from collections import namedtuple

import numpy as np
import pytest

from tracejit import (
    check_grads,
    custom_jvp,
    custom_vjp,
    grad,
    hessian,
    jacfwd,
    jacobian,
    jacrev,
    jit,
    jvp,
    linearize,
    show,
    stop_gradient,
    value_and_grad,
    vjp,
    vmap,
)

X = np.array([0.3, -0.8, 1.1])
interpreted = functools.partial(grad, backend="numpy")


@custom_vjp
def tripled(x):
    """Its value is sin, its rule says three times the slope."""
    return np.sin(x)


tripled.defvjp(lambda x: (tripled(x), np.cos(x)), lambda c, ct: (3.0 * c * ct,))


@custom_jvp
def doubled(x):
    return np.sin(x)


@doubled.defjvp
def _doubled_rule(primals, tangents):
    (x,), (t,) = primals, tangents
    return doubled(x), 2.0 * np.cos(x) * t


def doubled_rule_of(x):
    return _doubled_rule((x,), (1.0,))[1]


# Values and first derivatives ---------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_rule_is_used(backend):
    assert tripled(0.4) == np.sin(0.4)
    assert jit(tripled, backend=backend)(0.4) == pytest.approx(np.sin(0.4))
    got = grad(lambda x: np.sum(tripled(x)), backend=backend)(X)
    np.testing.assert_allclose(got, 3 * np.cos(X), rtol=1e-14)
    got = grad(lambda x: np.sum(doubled(x)), backend=backend)(X)
    np.testing.assert_allclose(got, 2 * np.cos(X), rtol=1e-14)


def test_both_modes_of_both_kinds():
    for fn, factor in ((tripled, 3.0), (doubled, 2.0)):
        value, slope = jvp(fn, (X,), (np.ones(3),), backend="numpy")
        np.testing.assert_allclose(value, np.sin(X))
        np.testing.assert_allclose(slope, factor * np.cos(X), rtol=1e-14)
        value, pull = vjp(fn, X, backend="numpy")
        np.testing.assert_allclose(pull(np.ones(3))[0], factor * np.cos(X), rtol=1e-14)
        value, push = linearize(fn, X, backend="numpy")
        np.testing.assert_allclose(push(np.ones(3)), factor * np.cos(X), rtol=1e-14)


def test_second_derivatives_go_through_the_bodies_of_rules():
    # d/dx 3 cos(x): of `bwd`, whose residual is natural
    assert interpreted(grad(tripled))(0.4) == pytest.approx(-3 * np.sin(0.4))
    assert interpreted(grad(grad(tripled)))(0.4) == pytest.approx(-3 * np.cos(0.4))
    # d/dx 2 cos(x), three times
    assert interpreted(grad(doubled))(0.4) == pytest.approx(-2 * np.sin(0.4))
    assert interpreted(grad(grad(doubled)))(0.4) == pytest.approx(-2 * np.cos(0.4))
    outer = interpreted(lambda x: jvp(doubled, (x,), (1.0,))[1])
    assert outer(0.4) == pytest.approx(-2 * np.sin(0.4))
    slope = jvp(grad(tripled), (0.4,), (1.0,), backend="numpy")[1]
    assert slope == pytest.approx(-3 * np.sin(0.4))


def test_a_rule_may_apply_its_function_to_its_own_results():
    @custom_jvp
    def f(x):
        return np.exp(x)

    f.defjvps(lambda t, y, x: t * f(x))  # every derivative is the function
    g = f
    for _ in range(3):
        g = grad(g)
    assert interpreted(g)(0.7) == pytest.approx(np.exp(0.7))


def test_a_derivative_that_does_not_reach_the_call_leaves_its_rule():
    """The inner derivative is by `y`; the outer one must still meet the rule."""

    @custom_vjp
    def f(x):
        return x**2

    f.defvjp(lambda x: (x**2, x), lambda x, ct: (ct * 100.0 * x,))

    def inner(y, x):
        return y**2 * f(x)

    got = interpreted(lambda x: grad(inner)(1.5, x))(2.0)
    assert got == pytest.approx(2 * 1.5 * 100.0 * 2.0)


def test_inside_a_rule_other_rules_hold():
    @custom_vjp
    def outer(x):
        return tripled(x) * x

    outer.defvjp(
        lambda x: (outer(x), x), lambda x, ct: (ct * grad(lambda z: tripled(z) * z)(x),)
    )
    expected = 3 * np.cos(0.4) * 0.4 + np.sin(0.4)
    assert interpreted(outer)(0.4) == pytest.approx(expected)


# Where it is called -------------------------------------------------------------------


def test_in_loops_branches_and_helpers():
    def helper(x, k):
        return tripled(x) + k * doubled(x)

    def f(x):
        for k in range(4):
            if np.sum(x) > 0.5:
                x = helper(x, k)
            else:
                x = x * 1.5
        while np.max(x) > 1.0:
            x = doubled(x) * 0.5
        return np.sum(x**2)

    def by_hand(x):
        """Forward, with the rules written out."""
        t = np.ones_like(x)
        for k in range(4):
            if np.sum(x) > 0.5:
                x, t = (1 + k) * np.sin(x), (3 + 2 * k) * np.cos(x) * t
            else:
                x, t = x * 1.5, t * 1.5
        while np.max(x) > 1.0:
            x, t = 0.5 * np.sin(x), np.cos(x) * t
        return np.sum(2 * x * t)

    for backend in ("numpy", "numba"):
        slope = jvp(f, (X,), (np.ones(3),), backend=backend)[1]
        assert slope == pytest.approx(by_hand(X), rel=1e-12)
        assert np.sum(grad(f, backend=backend)(X)) == pytest.approx(by_hand(X))


def test_second_order_in_a_loop():
    @custom_vjp
    def f(x):
        return np.tanh(x)

    f.defvjp(lambda x: (f(x), x), lambda x, ct: (ct / np.cosh(x) ** 2,))

    @custom_jvp
    def g(x):
        return np.sin(x)

    g.defjvps(lambda t, y, x: t * np.cos(x))

    def program(x):
        for _ in range(3):
            x = f(x) + 0.5 * g(x) * x
        return np.sum(x)

    check_grads(program, (X,), order=2, backend="numpy")


def test_rules_with_loops_branches_and_in_place_writes():
    @custom_jvp
    def cumulated(x):
        return np.cumsum(x**2)

    @cumulated.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        y, dy = np.zeros_like(x), np.zeros_like(x)
        total, slope = 0.0, 0.0
        for i in range(len(x)):
            total = total + x[i] ** 2
            if x[i] != 0.0:
                slope = slope + 2 * x[i] * t[i]
            y[i], dy[i] = total, slope
        return y, dy

    @custom_vjp
    def shifted(x):
        return np.cumsum(x)

    def backward(n, ct):
        out = np.zeros(n)
        total = 0.0
        for i in range(n - 1, -1, -1):
            total = total + ct[i]
            out[i] = total
        return (out,)

    shifted.defvjp(lambda x: (np.cumsum(x), len(x)), backward)
    weights = np.array([1.0, 2.0, 0.5])
    for fn in (cumulated, shifted):
        program = functools.partial(lambda f, x: np.sum(weights * f(x) ** 2), fn)
        check_grads(program, (X,), order=2, backend="numpy")
        got = grad(lambda x, f=fn: np.sum(weights * f(x) ** 2))(X)
        np.testing.assert_allclose(got, interpreted(program)(X), rtol=1e-13)


def test_vmap():
    rows = np.array([[0.1, 0.2], [0.3, 0.4]])
    got = vmap(grad(lambda r: np.sum(tripled(r))), backend="numpy")(rows)
    np.testing.assert_allclose(got, 3 * np.cos(rows))
    got = interpreted(lambda a: np.sum(vmap(doubled)(a)))(rows)
    np.testing.assert_allclose(got, 2 * np.cos(rows))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_fixed_points_are_differentiated_implicitly(backend):
    """The rule iterates, too, on a pullback; its own derivative goes through that."""

    @functools.partial(custom_vjp, nondiff_argnums=(0,))
    def fixed_point(f, a, x):
        while abs(f(a, x) - x) > 1e-12:
            x = f(a, x)
        return x

    def fwd(f, a, x):
        end = fixed_point(f, a, x)
        return end, (a, end)

    def bwd(f, residuals, ct):
        a, end = residuals
        _, pull = vjp(lambda x: f(a, x), end)
        w, before = ct, ct + 1.0
        while abs(w - before) > 1e-14:
            before = w
            w = ct + pull(w)[0]
        return vjp(lambda a: f(a, end), a)[1](w)[0], None

    fixed_point.defvjp(fwd, bwd)

    def root(a):
        return fixed_point(lambda a, x: 0.5 * (x + a / x), a, 1.0)

    assert grad(root, backend=backend)(3.0) == pytest.approx(0.5 / np.sqrt(3.0))
    second = grad(grad(root), backend=backend)(3.0)
    assert second == pytest.approx(-0.25 * 3.0**-1.5)


def test_complex_numbers():
    @custom_jvp
    def square(z):
        return z * z

    square.defjvp(lambda p, t: (square(*p), 2 * p[0] * t[0]))
    z = X + 1j
    got = interpreted(lambda z: np.sum(np.abs(square(z))))(z)
    want = interpreted(lambda z: np.sum(np.abs(z * z)))(z)
    np.testing.assert_allclose(got, want, rtol=1e-14)


def test_jacobians_and_hessians():
    def f(x):
        for _ in range(2):
            x = tripled(x) + doubled(x[::-1])
        return x

    columns = [jvp(f, (X,), (e,), backend="numpy")[1] for e in np.eye(3)]
    for matrix in (jacfwd, jacrev, jacobian):
        got = matrix(f, backend="numpy")(X)
        np.testing.assert_allclose(got, np.stack(columns, axis=1), rtol=1e-12)
    curved = hessian(lambda x: np.sum(tripled(x) * x[0]), backend="numpy")(X)
    rows = [
        grad(lambda x, k=k: grad(lambda z: np.sum(tripled(z) * z[0]))(x)[k])(X)
        for k in range(3)
    ]
    np.testing.assert_allclose(curved, rows, rtol=1e-12)


def test_as_a_method_and_on_an_instance():
    class Layer:
        def __init__(self, scale):
            self.scale = scale

        @functools.partial(custom_vjp, nondiff_argnums=(0,))
        def apply(self, x):
            return self.scale * x

        def loss(self, x):
            return np.sum(self.apply(x))

    def fwd(self, x):
        return self.scale * x, None

    def bwd(self, _, ct):
        return (7.0 * self.scale * ct,)

    Layer.apply.defvjp(fwd, bwd)
    layer = Layer(2.0)
    np.testing.assert_array_equal(layer.apply(X), 2 * X)
    np.testing.assert_array_equal(interpreted(layer.loss)(X), np.full(3, 14.0))


# Arguments and results ----------------------------------------------------------------

Pair = namedtuple("Pair", "a b")


def test_structures_of_arguments_and_results():
    @custom_vjp
    def f(params, scale):
        return {"sum": params["w"] + params["p"].a, "diff": [params["w"] * scale]}

    def fwd(params, scale):
        return f(params, scale), (params, scale)

    def bwd(residuals, ct):
        params, scale = residuals
        w = ct["sum"] + 10.0 * ct["diff"][0] * scale
        return {"w": w, "p": Pair(ct["sum"], None)}, np.sum(ct["diff"][0] * params["w"])

    f.defvjp(fwd, bwd)

    def loss(params, scale):
        out = f(params, scale)
        return np.sum(out["sum"] * X) + np.sum(out["diff"][0])

    params = {"w": np.ones(3), "p": Pair(np.zeros(3), np.ones(2))}
    got, slope = interpreted(loss, argnums=(0, 1))(params, 2.0)
    np.testing.assert_allclose(got["w"], X + 20.0)
    assert isinstance(got["p"], Pair)
    np.testing.assert_allclose(got["p"].a, X)
    np.testing.assert_array_equal(got["p"].b, np.zeros(2))
    assert slope == 3.0


def test_nondiff_arguments_keywords_and_defaults():
    @functools.partial(custom_vjp, nondiff_argnums=(0, 2))
    def apply(fn, x, power=2):
        return fn(x) ** power

    def fwd(fn, x, power):
        return apply(fn, x, power), x

    def bwd(fn, power, x, ct):
        return (ct * power * fn(x) * 5.0,)

    apply.defvjp(fwd, bwd)
    assert interpreted(lambda x: apply(np.cos, x))(0.5) == pytest.approx(
        10.0 * np.cos(0.5)
    )
    got = interpreted(lambda x: apply(fn=np.cos, x=x, power=3))(0.5)
    assert got == pytest.approx(15.0 * np.cos(0.5))

    @functools.partial(custom_jvp, nondiff_argnums=(0,))
    def scaled(n, x):
        return n * x

    @scaled.defjvp
    def rule(n, primals, tangents):
        return scaled(n, *primals), 4.0 * n * tangents[0]

    assert interpreted(lambda x: scaled(3, x))(1.0) == 12.0


def test_integers_and_known_arrays_among_the_arguments():
    @custom_jvp
    def pick(x, index, n):
        return x[index] * n

    @pick.defjvp
    def rule(primals, tangents):
        x, index, n = primals
        t, none, zero = tangents
        assert zero == 0.0
        return x[index] * n, 3.0 * t[index] * n + 0.0 * np.sum(none)

    table = np.array([2, 0])
    got = interpreted(lambda x: np.sum(pick(x, table, 2)))(X)
    np.testing.assert_array_equal(got, [6.0, 0.0, 6.0])

    @custom_vjp
    def gathered(x, index):
        return x[index]

    def bwd(residuals, ct):
        n, index = residuals
        out = np.zeros(n)
        np.add.at(out, index, 2.0 * ct)
        return out, None

    gathered.defvjp(lambda x, i: (x[i], (x.shape[0], i)), bwd)
    got = interpreted(lambda x: np.sum(gathered(x, table)))(X)
    np.testing.assert_array_equal(got, [2.0, 0.0, 2.0])


def test_several_uses_and_float32():
    x = X.astype(np.float32)
    got = interpreted(lambda v: np.sum(tripled(v) * tripled(2 * v)))(x)
    assert got.dtype == np.float32
    expected = 3 * (np.cos(X) * np.sin(2 * X) + 2 * np.sin(X) * np.cos(2 * X))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_captured_arrays_are_read_at_every_call():
    w = np.array([1.0, 2.0, 3.0])

    @custom_vjp
    def f(x):
        return w * x

    f.defvjp(lambda x: (w * x, None), lambda _, ct: (2.0 * w * ct,))
    gradient = interpreted(lambda x: np.sum(f(x)))
    np.testing.assert_array_equal(gradient(X), 2 * w)
    w[0] = 5.0
    np.testing.assert_array_equal(gradient(X), [10.0, 4.0, 6.0])


def test_defjvps():
    @custom_jvp
    def f(x, y):
        return x * y

    f.defjvps(lambda t, out, x, y: t * y * 2.0, None)
    got = interpreted(f, argnums=(0, 1))(3.0, 4.0)
    assert got == (8.0, 0.0)


def test_value_and_auxiliary_come_from_the_forward_rule():
    @custom_vjp
    def f(x):
        return x * 2.0

    f.defvjp(lambda x: (x * 2.0 + 1.0, None), lambda _, ct: (ct,))
    assert value_and_grad(f, backend="numpy")(3.0) == (7.0, 1.0)
    assert jit(f, backend="numpy")(3.0) == 6.0


# Its identity -------------------------------------------------------------------------


def test_it_looks_like_its_function_and_pickles():
    assert tripled.__name__ == "tripled"
    assert tripled.__doc__ == "Its value is sin, its rule says three times the slope."
    again = pickle.loads(pickle.dumps(tripled))
    assert again is tripled
    loss = pickle.loads(pickle.dumps(grad(tripled, backend="numpy")))
    assert loss(0.4) == pytest.approx(3 * np.cos(0.4))


def test_show_follows_the_rules(capsys):
    text = show(tripled, 0.4)
    assert "3.0" in text
    assert "3.0" not in show(tripled, 0.4, stage="clean")


# stop_gradient ------------------------------------------------------------------------


def test_stop_gradient():
    assert stop_gradient(3.0) == 3.0
    assert stop_gradient({"a": X})["a"] is X
    for backend in ("numpy", "numba"):
        gradient = grad(lambda x: np.sum(x * stop_gradient(x) ** 2), backend=backend)
        np.testing.assert_allclose(gradient(X), X**2)
    # The stopped factor stays stopped for the second derivative.
    second = interpreted(grad(lambda x: x**2 * stop_gradient(x)))
    assert second(3.0) == 6.0
    value, slope = jvp(lambda x: stop_gradient(x) * x, (3.0,), (1.0,), backend="numpy")
    assert (value, slope) == (9.0, 3.0)
    assert jit(stop_gradient, backend="numpy")(3.0) == 3.0


def test_stop_gradient_of_structures():
    def loss(params):
        frozen = stop_gradient(params)
        return params["a"] * frozen["b"] + frozen["name"].count("x")

    params = {"a": 2.0, "b": 3.0}
    got = interpreted(lambda p: loss({**p, "name": "xx"}))(params)
    assert got == {"a": 3.0, "b": 0.0}


def test_straight_through_estimator():
    def rounded(x):
        return x + stop_gradient(np.round(x) - x)

    gradient = interpreted(lambda x: np.sum(rounded(x) ** 2))
    np.testing.assert_allclose(gradient(X), 2 * np.round(X))
