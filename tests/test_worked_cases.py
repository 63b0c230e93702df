"""The worked cases of five lectures on computational graphs, with their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from examples import worked_cases
from tracejit import check_grads, grad, jvp, make_ir, value_and_grad, vjp

BACKENDS = ("numpy", "numba")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# --- 1. Parameter reuse


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_parameter_used_twice_sums_over_its_uses(rng, backend):
    def shared(W, b1, b2, x):
        Z1 = W @ x + b1
        return np.sum(W @ Z1 + b2)

    def apart(W1, W2, b1, b2, x):
        Z1 = W1 @ x + b1
        return np.sum(W2 @ Z1 + b2)

    W, b1, b2, x = (rng.normal(size=s) for s in ((4, 4), 4, 4, 4))
    ones = np.ones(4)
    by_first, by_second = np.outer(W.T @ ones, x), np.outer(ones, W @ x + b1)
    got = grad(shared, backend=backend)(W, b1, b2, x)
    assert_allclose(got, by_first + by_second, rtol=1e-13)
    one, two = grad(apart, argnums=(0, 1), backend=backend)(W, W, b1, b2, x)
    assert_allclose(one, by_first, rtol=1e-13)
    assert_allclose(two, by_second, rtol=1e-13)


def test_the_jacobian_of_a_composition_is_the_product_of_jacobians(rng):
    A, B = rng.normal(size=(3, 4)), rng.normal(size=(2, 3))

    def inner(x):
        return np.tanh(A @ x)

    def outer(u):
        return np.sin(B @ u)

    def jacobian(f, x):
        return np.stack([jvp(f, (x,), (e,))[1] for e in np.eye(x.size)], axis=1)

    x = rng.normal(size=4)
    whole = jacobian(lambda x: outer(inner(x)), x)
    assert whole.shape == (2, 4)  # rows are outputs
    assert_allclose(whole, jacobian(outer, inner(x)) @ jacobian(inner, x), rtol=1e-12)


# --- 2. The chain rule applied recursively


def f_of_f_of_f(w):
    x = np.sin(w)
    y = np.sin(x)
    return np.sin(y)


@pytest.mark.parametrize("backend", BACKENDS)
def test_f_of_f_of_f(backend):
    w = 0.7
    x = np.sin(w)
    y = np.sin(x)
    value, slope = value_and_grad(f_of_f_of_f, backend=backend)(w)
    assert value == pytest.approx(np.sin(y), rel=1e-15)
    assert slope == pytest.approx(np.cos(y) * np.cos(x) * np.cos(w), rel=1e-14)
    check_grads(f_of_f_of_f, (w,), order=2)


def test_sub_expressions_are_stored_and_not_repeated():
    names = [eqn.prim.name for eqn in make_ir(grad(f_of_f_of_f))(0.7).walk()]
    # f(w) and f(f(w)) once each; the outermost f is not needed by its own derivative.
    assert names.count("sin") == 2
    assert names.count("cos") == 3


def test_work_is_proportional_to_edges():
    """Without sharing, x = sin x cos x repeated n times has 2**n sub-expressions."""

    def length(n):
        def f(x):
            for _ in [None] * n:  # a list: the loop is unrolled
                x = np.sin(x) * np.cos(x)
            return x

        return sum(1 for _ in make_ir(grad(f))(0.3).walk())

    a, b, c = length(4), length(8), length(12)
    assert c - b == b - a


# --- 3. Computational graphs


@pytest.mark.parametrize("backend", BACKENDS)
def test_e_is_six_and_its_derivatives_two_and_five(backend):
    def e(a, b):
        return (a + b) * (b + 1)

    value, slopes = value_and_grad(e, argnums=(0, 1), backend=backend)(2.0, 1.0)
    assert (value, *slopes) == (6.0, 2.0, 5.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_cross_entropy_by_the_probabilities(backend):
    """dC/dy is -1/y_r at the true class r and 0 elsewhere."""

    def cost(y, r):
        return -np.log(y[r])

    y, r = np.array([0.1, 0.2, 0.4, 0.3]), 2
    got = grad(cost, backend=backend)(y, r)
    assert_allclose(got, [0.0, 0.0, -1.0 / 0.4, 0.0], rtol=1e-15)


def softmax(z):
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def test_jacobians_of_an_activation_and_of_softmax(rng):
    z = rng.normal(size=5)

    def jacobian(f):
        return np.stack([vjp(f, z)[1](e)[0] for e in np.eye(5)])

    diagonal = np.diag(1.0 - np.tanh(z) ** 2)
    assert_allclose(jacobian(lambda z: np.tanh(z)), diagonal, atol=1e-15)
    y = softmax(z)
    assert_allclose(jacobian(softmax), np.diag(y) - np.outer(y, y), atol=1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
def test_classifier(rng, backend):
    """dC/dz = y - one_hot(r), dz/da = W; and dz/dW, which has three axes, is never
    formed."""

    def cost(W, a, r):
        return -np.log(softmax(W @ a)[r])

    W, a, r = rng.normal(size=(5, 7)), rng.normal(size=7), 3
    by_z = softmax(W @ a) - np.eye(5)[r]
    by_W, by_a = grad(cost, argnums=(0, 1), backend=backend)(W, a, r)
    assert_allclose(by_W, np.outer(by_z, a), rtol=1e-12)
    assert_allclose(by_a, W.T @ by_z, rtol=1e-12)


def test_the_three_dimensional_derivative_is_never_formed(rng):
    def cost(W, a, r):
        return -np.log(softmax(W @ a)[r])

    program = make_ir(grad(cost))(rng.normal(size=(5, 7)), rng.normal(size=7), 3)
    shapes = [var.aval.shape for eqn in program.walk() for var in eqn.outputs]
    assert (5, 7) in shapes
    assert max(len(shape) for shape in shapes) == 2


# --- 4. Reverse and forward accumulation


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_directions_give_the_same_jacobian(rng, backend):
    layers = [rng.normal(size=s) for s in ((6, 10), (8, 6), (2, 8), (1, 2))]

    def network(x):
        for W in layers:
            x = np.tanh(W @ x)
        return x

    x = rng.normal(size=10)
    row = grad(lambda x: network(x)[0], backend=backend)(x)
    columns = [jvp(network, (x,), (e,))[1][0] for e in np.eye(10)]
    assert row.shape == x.shape  # a gradient has the shape of its argument
    assert_allclose(row, columns, rtol=1e-12)


def test_multiplications_of_either_direction():
    assert worked_cases.both_directions() == (124, 660)


def test_the_derivative_of_a_gradient_is_the_hessian():
    def f(x):
        return np.sum(x[1:] ** 2 * x[:-1])

    x = np.array([1.0, 2.0, 3.0])
    rows = [grad(lambda x, i=i: grad(f)(x)[i])(x) for i in range(3)]
    expected = [[0.0, 4.0, 0.0], [4.0, 2.0, 6.0], [0.0, 6.0, 4.0]]
    assert_allclose(rows, expected, atol=1e-14)


# --- 5. A framework: control flow, and a recurrent network


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_shared_recurrent_weight_sums_over_the_steps(rng, backend):
    steps, n, m = 6, 4, 3

    def shared(W_h, W_x, xs):
        h = np.zeros(n)
        for t in range(steps):
            h = np.tanh(W_h @ h + W_x @ xs[t])
        return np.sum(h**2)

    def apart(copies, W_x, xs):
        h = np.zeros(n)
        for t in range(steps):
            h = np.tanh(copies[t] @ h + W_x @ xs[t])
        return np.sum(h**2)

    W_h, W_x = rng.normal(size=(n, n)), rng.normal(size=(n, m))
    xs = rng.normal(size=(steps, m))
    got = grad(shared, backend=backend)(W_h, W_x, xs)
    by_copy = grad(apart, backend=backend)(np.stack([W_h] * steps), W_x, xs)
    assert_allclose(got, np.sum(by_copy, axis=0), rtol=1e-12)
    assert all(np.any(step) for step in by_copy[1:])
    assert not np.any(by_copy[0])  # the first state it meets is zero


@pytest.mark.parametrize("backend", BACKENDS)
def test_control_flow(backend):
    """Both branches and the number of trips follow the data."""

    def f(x):
        y = x
        while y < 10.0:
            if y > 3.0:
                y = y * x
            else:
                y = y + x * x
        return y

    # 2 -> 6 -> 12: (x + x**2) x;  5 -> 25: x * x.
    slope = grad(f, backend=backend)
    assert slope(2.0) == pytest.approx(2.0 * 2.0 + 3.0 * 2.0**2, rel=1e-14)
    assert slope(5.0) == pytest.approx(2.0 * 5.0, rel=1e-14)


def test_the_example_runs(capsys):
    worked_cases.main()
    printed = capsys.readouterr().out
    assert "e = 6.0, de/da = 2.0, de/db = 5.0" in printed
    assert "124 in reverse, 660 forward" in printed
