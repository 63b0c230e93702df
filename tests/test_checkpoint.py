"""checkpoint: the same numbers from fewer saved ones."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.corpus.fitting import fitted
from tests.corpus.judge import RIGHT, judge
from tests.corpus.test_corpus import PROGRAMS
from tracejit import (
    check_grads,
    checkpoint,
    grad,
    hessian,
    jacfwd,
    jacobian,
    jacrev,
    jit,
    jvp,
    linearize,
    make_ir,
    value_and_grad,
)
from tracejit.ir.program import Program
from tracejit.ops.control import checkpoint as call
from tracejit.ops.shape import empty

X = np.array([0.3, -0.8, 1.1])


def step(u):
    for _ in range(3):
        u = np.sin(u) * np.exp(-(u**2)) + np.tanh(u) * u
    return u


def run(step, steps=20):
    def loss(u):
        for _ in range(steps):
            u = step(u)
        return np.sum(u**2)

    return loss


def taped(program: Program) -> int:
    """Bytes of all tapes that a program's own loops carry."""
    own = [e for e in program.eqns if e.prim is empty]
    return sum(e.out.aval.nbytes for e in own)


def test_the_numbers_are_the_same():
    plain, less = run(step), run(checkpoint(step))
    for backend in ("numpy", "numba"):
        value, slope = value_and_grad(less, backend=backend)(X)
        expected, wanted = value_and_grad(plain, backend=backend)(X)
        assert value == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(slope, wanted, rtol=1e-12)
    assert jvp(less, (X,), (X,), backend="numpy") == pytest.approx(
        jvp(plain, (X,), (X,), backend="numpy")
    )
    assert jit(less, backend="numpy")(X) == less(X) == plain(X)
    assert linearize(less, X, backend="numpy")[1](X) == pytest.approx(
        linearize(plain, X, backend="numpy")[1](X)
    )


def test_a_loop_saves_its_state_alone():
    plain = make_ir(grad(run(step)))(X)
    less = make_ir(grad(run(checkpoint(step))))(X)
    assert taped(less) == 20 * X.nbytes
    assert taped(plain) >= 60 * X.nbytes


def test_second_order_saves_less_too():
    def curvature(step):
        return grad(lambda u: np.sum(grad(run(step))(u) * X))

    plain, less = make_ir(curvature(step))(X), make_ir(curvature(checkpoint(step)))(X)
    assert taped(less) < taped(plain) / 3
    got = curvature(checkpoint(step))(X)
    np.testing.assert_allclose(got, curvature(step)(X), rtol=1e-10)


def test_what_is_computed_again_is_not_found_to_be_computed_already():
    def loss(u):
        return np.sum(checkpoint(step)(u) ** 2)

    program = make_ir(value_and_grad(loss))(X)
    again = [e for e in program.eqns if e.prim is call]
    assert len(again) == 1
    assert sum(e.prim.name == "sin" for e in again[0].regions[0].eqns) or any(
        e.prim.name == "for" for e in again[0].regions[0].eqns
    )
    # The tapes of its inner loop live in the call alone.
    assert taped(program) == 0


def test_jacobians():
    def state(step, u):
        for _ in range(3):
            u = step(u) * u[::-1]
        return u

    for matrix in (jacfwd, jacrev, jacobian):
        less = matrix(lambda u: state(checkpoint(step), u), backend="numpy")(X)
        plain = matrix(lambda u: state(step, u), backend="numpy")(X)
        np.testing.assert_allclose(less, plain, rtol=1e-12)
    less = hessian(run(checkpoint(step), 2), backend="numpy")(X)
    np.testing.assert_allclose(less, hessian(run(step, 2), backend="numpy")(X))


def test_nested():
    def inner(u):
        return np.sin(np.sin(u) * u)

    def outer(u):
        for _ in range(4):
            u = checkpoint(inner)(u) + u
        return u

    less, plain = run(checkpoint(outer), 5), None

    def outer_plain(u):
        for _ in range(4):
            u = inner(u) + u
        return u

    plain = run(outer_plain, 5)
    np.testing.assert_allclose(grad(less)(X), grad(plain)(X), rtol=1e-12)
    assert taped(make_ir(grad(less))(X)) == 5 * X.nbytes
    check_grads(less, (0.1 * X,), backend="numpy", rtol=1e-5)


def test_it_may_read_and_write_what_it_likes():
    """Closures, arguments changed in place, results that are arguments, counters."""

    class Model:
        calls = 0

        def __init__(self):
            self.w = np.array([1.0, 2.0, 3.0])

        @checkpoint
        def forward(self, u, *, scale=1.0):
            self.calls += 1
            return scale * np.tanh(self.w * u)

    def change(u, history, k):
        u[1:] += u[:-1] ** 2
        history[k] = np.sum(u)
        return u

    def loss(model, u, w, step):
        u = u.copy()
        history = np.zeros(4)
        for k in range(4):
            v = step(u, history, k)
            u = v * w + u
        return np.sum(model.forward(u, scale=2.0) * history[:3]) + history[3]

    def derivative(step):
        model = Model()
        return grad(lambda u, w: loss(model, u, w, step), argnums=(0, 1))

    plain, less = derivative(change), derivative(checkpoint(change))
    for got, want in zip(less(X, 0.5), plain(X, 0.5), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_branches_and_data_dependent_loops_inside():
    def halve(u):
        n = 0.0
        while np.max(np.abs(u)) > 0.1:
            u = np.where(u > 0, 0.5 * np.sin(u), 0.7 * u)
            n = n + np.sum(u**2)
            if n > 3.0:
                break
        return u, n

    def loss(u, halve=halve):
        total = 0.0
        for k in range(3):
            v, n = halve(u * (k + 1))
            total = total + n * np.sum(v)
        return total

    less = grad(lambda u: loss(u, checkpoint(halve)))
    np.testing.assert_allclose(less(X), grad(loss)(X), rtol=1e-12)


def test_errors_of_the_function_are_its_own():
    @checkpoint
    def f(x):
        if x.ndim != 1:
            raise ValueError("one axis, please")
        return np.sum(x**2)

    assert grad(f, backend="numpy")(X) == pytest.approx(2 * X)
    with pytest.raises(ValueError, match="one axis"):
        grad(f, backend="numpy")(np.ones((2, 2)))


@pytest.mark.parametrize(
    "program", [p for p in PROGRAMS if not p.refused][::12], ids=lambda p: p.name
)
def test_programs_of_every_style(program):
    f, make = fitted(program, np.float64)
    verdict = judge(checkpoint(f), make, "numpy", program.narrow)
    assert verdict.kind == RIGHT, verdict.why


def test_effects_inside_happen_once():
    """It runs once, as code around it does: iterators advance, counters count."""
    numbers = [1.0, 2.0, 3.0]

    @checkpoint
    def f(x, **options):
        rest = iter(numbers)
        options["y"] = x * next(rest)
        return {"y": options["y"] * next(rest), "n": len(options)}

    def loss(x):
        found = f(x, n=2)
        return found["y"] * found["n"]

    assert grad(loss, backend="numpy")(1.0) == 4.0


def test_it_looks_like_its_function():
    decorated = checkpoint(step)
    assert decorated.__name__ == "step"
    np.testing.assert_array_equal(decorated(X), step(X))
    again = pickle.loads(pickle.dumps(decorated))
    np.testing.assert_array_equal(again(X), step(X))
