"""Derivatives of derivatives: every mode in every other, and closures among them."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tracejit import (
    check_grads,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jit,
    jvp,
    linearize,
    stop_gradient,
    value_and_grad,
    vjp,
    vmap,
)

X = np.array([0.3, -0.8, 1.1])
interpreted = functools.partial(grad, backend="numpy")


def forward(fn):
    """The derivative of a function of one number, in forward mode."""
    return lambda x: jvp(fn, (x,), (1.0,))[1]


def backward(fn):
    return lambda x: vjp(fn, x)[1](1.0)[0]


def pushed(fn):
    return lambda x: linearize(fn, x)[1](1.0)


DERIVATIVES = {"grad": grad, "jvp": forward, "vjp": backward, "linearize": pushed}
DERIVATIVES |= {"jacfwd": jacfwd, "jacrev": jacrev}


@pytest.mark.parametrize("outer", DERIVATIVES)
@pytest.mark.parametrize("inner", DERIVATIVES)
def test_second_derivatives_in_every_pair_of_modes(inner, outer):
    def f(x):
        return np.sin(x) * x**3

    second = DERIVATIVES[outer](DERIVATIVES[inner](f))
    x = 0.7
    expected = (6 * x - x**3) * np.sin(x) + 6 * x**2 * np.cos(x)
    assert jit(second, backend="numpy")(x) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("modes", [("jvp",) * 4, ("grad",) * 4, ("jvp", "grad") * 2])
def test_fourth_derivative(modes):
    f = lambda x: np.exp(2 * x)  # noqa: E731
    for mode in modes:
        f = DERIVATIVES[mode](f)
    assert jit(f, backend="numpy")(0.3) == pytest.approx(16 * np.exp(0.6), rel=1e-12)


@pytest.mark.parametrize("outer", DERIVATIVES)
@pytest.mark.parametrize("inner", DERIVATIVES)
def test_tangents_of_two_derivatives_are_kept_apart(inner, outer):
    """d/dx x d/dy (x + y) is 1: the inner derivative must not see the outer tangent."""
    d, e = DERIVATIVES[inner], DERIVATIVES[outer]
    confusing = e(lambda x: x * d(lambda y: x + y)(2.0))
    assert jit(confusing, backend="numpy")(3.0) == 1.0
    # d/dx (d/dy x² y at y = x) x = d/dx x³
    deeper = e(lambda x: d(lambda y: y * x * x)(x) * x)
    assert jit(deeper, backend="numpy")(2.0) == 12.0


def test_three_levels_of_closures():
    def outer(a):
        def middle(b):
            return grad(lambda c: a * b * c**2)(b) * b  # 2ab³

        return grad(middle)(a)  # 6ab², where b is a

    assert interpreted(outer)(2.0) == 72.0


def test_what_is_outer_is_a_constant_inside():
    def f(x):
        y = x**2
        return grad(lambda z: y * z)(1.0)

    assert interpreted(f)(3.0) == 6.0
    # A stopped value is stopped for all derivatives around it.
    assert interpreted(lambda x: grad(lambda y: stop_gradient(y) * y)(x))(3.0) == 0.0


def test_products_with_the_hessian():
    def f(x):
        return np.sum(np.sin(x) * x[::-1] ** 2)

    v = np.array([1.0, -2.0, 0.5])
    expected = hessian(f, backend="numpy")(X) @ v
    ways = {
        "reverse over reverse": interpreted(lambda x: np.dot(grad(f)(x), v))(X),
        "forward over reverse": jvp(grad(f), (X,), (v,), backend="numpy")[1],
        "reverse over forward": interpreted(lambda x: jvp(f, (x,), (v,))[1])(X),
        "hvp": hvp(f, (X,), (v,), backend="numpy"),
        "vjp of grad": vjp(grad(f), X, backend="numpy")[1](v)[0],
    }
    for way, got in ways.items():
        np.testing.assert_allclose(got, expected, rtol=1e-12, err_msg=way)


def test_a_pullback_is_linear_in_its_cotangent():
    def f(ct):
        return np.sum(vjp(np.sin, X)[1](ct)[0] ** 2)

    np.testing.assert_allclose(interpreted(f)(np.ones(3)), 2 * np.cos(X) ** 2)


def test_a_pullback_remembers_its_primals():
    def f(x):
        z = x * 1.0
        _, pull = vjp(lambda q: q**2, z)
        z[:] = 0.0
        return np.sum(pull(np.ones(3))[0] * x)

    np.testing.assert_allclose(interpreted(f)(X), 4 * X)


def test_jacobians_of_jacobians():
    def f(x):
        return np.array([x[0] * x[1] ** 2, np.sin(x[2])])

    matrices = [a(b(f)) for a in (jacfwd, jacrev) for b in (jacfwd, jacrev)]
    first, *others = [jit(m, backend="numpy")(X) for m in matrices]
    assert first.shape == (2, 3, 3)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-12)
    third = jacfwd(jacfwd(jacfwd(f)), backend="numpy")(X)
    assert third.shape == (2, 3, 3, 3)
    assert third[0, 0, 1, 1] == 2.0
    got = interpreted(lambda x: np.sum(jacobian(f)(x) ** 2))(X)
    expected = interpreted(
        lambda x: x[1] ** 4 + (2 * x[0] * x[1]) ** 2 + np.cos(x[2]) ** 2
    )(X)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_vmap_among_derivatives():
    cube = lambda y: y**3  # noqa: E731
    slopes = vmap(grad(cube), backend="numpy")(X)
    np.testing.assert_allclose(slopes, 3 * X**2)
    got = interpreted(lambda x: np.sum(vmap(grad(cube))(x)))(X)
    np.testing.assert_allclose(got, 6 * X)
    got = jacrev(vmap(forward(cube)), backend="numpy")(X)
    np.testing.assert_allclose(got, np.diag(6 * X))


# Derivatives in programs --------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_descent_is_differentiated(backend):
    def descended(x):
        for _ in range(3):
            x = x - 0.1 * grad(lambda y: np.sum(np.sin(y) * y))(x)
        return np.sum(x**2)

    def by_hand(x):
        for _ in range(3):
            x = x - 0.1 * (np.cos(x) * x + np.sin(x))
        return np.sum(x**2)

    got = grad(descended, backend=backend)(X)
    np.testing.assert_allclose(got, interpreted(by_hand)(X), rtol=1e-12)


def test_hyperparameters_of_an_optimiser():
    def inner(w, data):
        return np.sum((w * data - 1) ** 2)

    def outer(rate, data):
        w, momentum = np.zeros(3), np.zeros(3)
        for _ in range(4):
            momentum = 0.9 * momentum - rate * grad(inner)(w, data)
            w = w + momentum
        return inner(w, data)

    check_grads(outer, (0.01, X), order=2, backend="numpy")


def test_newton_iterations_with_a_gradient_inside():
    def root(a):
        x = 1.0
        f = lambda x: x**3 - a  # noqa: E731
        while abs(f(x)) > 1e-12:
            x = x - f(x) / grad(f)(x)
        return x

    assert interpreted(root)(8.0) == pytest.approx(1 / 12)


def test_value_and_gradient_together():
    def f(x):
        value, slope = value_and_grad(lambda y: np.sum(y**3))(x)
        (_, aux), _ = value_and_grad(lambda y: (y[0] ** 2, y * 2), has_aux=True)(x)
        return value * np.sum(slope) + aux[1]

    def by_hand(x):
        return np.sum(x**3) * 3 * np.sum(x**2) + 2 * x[1]

    np.testing.assert_allclose(interpreted(f)(X), interpreted(by_hand)(X), rtol=1e-12)


def test_an_inner_function_that_writes_to_its_argument():
    def inner(y):
        y[0] = y[1] ** 2
        return np.sum(y**2)

    def by_hand(x):
        return np.sum(np.array([0.0, 4 * x[1] ** 3 + 2 * x[1], 2 * x[2]]) * x)

    got = interpreted(lambda x: np.sum(grad(inner)(x) * x))(X)
    np.testing.assert_allclose(got, interpreted(by_hand)(X), rtol=1e-12)


# Corners ------------------------------------------------------------------------------


def test_results_that_do_not_depend_on_the_argument():
    zero = interpreted(lambda x, y: np.sum(y**2))(X, X)
    np.testing.assert_array_equal(zero, np.zeros(3))
    assert interpreted(lambda x: 3.0)(2.0) == 0.0
    assert interpreted(grad(lambda x: 2.0 * x))(1.0) == 0.0
    np.testing.assert_array_equal(hessian(np.sum, backend="numpy")(X), np.zeros((3, 3)))


def test_one_array_as_two_arguments():
    a, b = interpreted(lambda x, y: np.sum(x * y**2), argnums=(0, 1))(X, X)
    np.testing.assert_allclose(a, X**2)
    np.testing.assert_allclose(b, 2 * X * X)
    a, b = interpreted(lambda xs: np.sum(xs[0] * xs[1]))([X, X])
    np.testing.assert_allclose([a, b], [X, X])


def test_identities():
    assert interpreted(lambda x: x)(2.0) == 1.0
    value, pull = vjp(lambda x: x, X, backend="numpy")
    np.testing.assert_array_equal(pull(X)[0], X)
    assert value is not X
    assert interpreted(grad(grad(lambda x: x**2)))(1.0) == 0.0


@pytest.mark.parametrize(
    "code",
    [
        "np.sum(grad(f)(x) ** 2)",
        "np.sum(hessian(f)(x))",
        "np.sum(vmap(np.square)(x) * jit(f)(x))",
        "np.sum(vjp(f, x)[1](1.0)[0] * jvp(f, (x,), (x,))[1])",
    ],
)
def test_transforms_can_be_called_by_code_without_source(code):
    def f(x):
        total = 0.0
        for v in x:
            total += np.sin(v) * total + v
        return total

    names = {**globals(), "f": f}
    outer = eval(f"lambda x: {code}", names)
    check_grads(outer, (np.linspace(0.1, 1.0, 4),), order=1)
