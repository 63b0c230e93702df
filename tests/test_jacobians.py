"""`jacfwd`, `jacrev`, `jacobian`, `hessian`, `hvp`, `linearize`: shapes and numbers."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tracejit as tj
from tracejit import grad, jit, jvp, make_ir, vjp
from tracejit.base.errors import (
    NonDifferentiableError,
    NonScalarOutputError,
    TreeMismatchError,
)
from tracejit.ir.cost import flops, multiplications
from tracejit.testing import compilations, numerical_jvp

jacfwd = partial(tj.jacfwd, backend="numpy")
jacrev = partial(tj.jacrev, backend="numpy")
jacobian = partial(tj.jacobian, backend="numpy")
hessian = partial(tj.hessian, backend="numpy")
hvp = partial(tj.hvp, backend="numpy")
linearize = partial(tj.linearize, backend="numpy")

transforms = pytest.mark.parametrize("jacobian_of", [jacfwd, jacrev, jacobian])
both = pytest.mark.parametrize("backend", ["numpy", "numba"])


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def by_numbers(f, x):
    columns = [numerical_jvp(f, (x,), (e.reshape(x.shape),))[0] for e in np.eye(x.size)]
    return np.stack(columns, axis=-1).reshape(*np.shape(f(x)), *x.shape)


# Programs -----------------------------------------------------------------------------

WEIGHTS = np.random.default_rng(0).normal(size=(5, 3, 2))


def array_code(x):
    return np.tanh(WEIGHTS @ x.T).sum(axis=2) * np.sin(x[0, 0])


def fills(x):
    out = np.zeros((2, 3))
    for i in range(2):
        for j in range(3):
            out[i, j] = np.sin(x[i, j % 2]) * x[1 - i, 0] + out[i - 1, j] * x[0, 1]
    return out


def recurrence(x):
    u = x.copy()
    for _ in range(4):
        u[1:] += 0.2 * np.cos(u[:-1])
        if u[0, 0] > 0.3:
            u[0] *= 0.9 * u[1, 1]
    return u[:, 0]


def converges(x):
    h = np.tanh(x)
    while np.sum(h * h) > 0.2:
        h = 0.7 * np.sin(h) + 0.05 * h[::-1]
    return h


@pytest.mark.parametrize("f", [array_code, fills, recurrence, converges])
@transforms
def test_against_numbers(f, jacobian_of, rng):
    x = rng.normal(size=(3, 2)) if f is array_code else rng.normal(size=(2, 2))
    got = jacobian_of(f)(x)
    assert got.shape == np.shape(f(x)) + x.shape and got.dtype == np.float64
    assert_allclose(got, by_numbers(f, x), atol=1e-8)


@pytest.mark.parametrize("f", [fills, recurrence, converges])
def test_second_order_against_numbers(f, rng):
    x = rng.normal(size=(2, 2))

    def loss(x):
        return np.sum(f(x) ** 2)

    numbers = by_numbers(grad(loss, backend="numpy"), x)
    assert_allclose(hessian(loss)(x), numbers, atol=1e-7)
    v = rng.normal(size=(2, 2))
    product = np.tensordot(numbers, v, 2)
    assert_allclose(hvp(loss, (x,), (v,)), product, atol=1e-7)


@pytest.mark.parametrize("f", [fills, recurrence, converges])
@pytest.mark.parametrize("name", ["jacfwd", "jacrev"])
def test_compiled(f, name, rng):
    x = rng.normal(size=(2, 2))
    got = getattr(tj, name)(f)(x)
    assert_allclose(got, getattr(tj, name)(f, backend="numpy")(x), rtol=1e-11)


def test_a_compiled_hessian(rng):
    def rosenbrock(x):
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    x = rng.normal(size=12)
    a, b = np.arange(11), np.arange(1, 12)
    expected = np.zeros((12, 12))
    expected[a, a] += 1200.0 * x[:-1] ** 2 - 400.0 * x[1:] + 2.0
    expected[b, b] += 200.0
    expected[a, b] -= 400.0 * x[:-1]
    expected[b, a] -= 400.0 * x[:-1]
    compiled = tj.hessian(rosenbrock)
    assert_allclose(compiled(x), expected, rtol=1e-12, atol=1e-10)
    before = compilations()
    assert compiled(rng.normal(size=31)).shape == (31, 31)
    assert compilations() == before  # another size


# Structures, shapes, dtypes -----------------------------------------------------------


@dataclass
class State:
    position: np.ndarray
    speed: float


@transforms
def test_structures_of_results_and_arguments(jacobian_of, rng):
    def f(state, scale, power=2):
        moved = state.position * scale + state.speed
        return {"moved": moved, "energy": (state.speed**power, np.sum(moved))}

    state = State(rng.normal(size=3), 0.5)
    by_state, by_scale = zip(
        *(
            (jac[0], jac[1])
            for jac in _leaves(jacobian_of(f, argnums=(0, 1))(state, 2.0))
        ),
        strict=True,
    )
    moved, energy, total = by_state
    assert type(moved) is State
    assert_allclose(moved.position, 2.0 * np.eye(3))
    assert_allclose(moved.speed, np.ones(3))
    assert_array_equal(energy.position, np.zeros(3))
    assert energy.speed == 1.0 and type(energy.speed) is float
    assert_allclose(total.position, [2.0] * 3)
    assert total.speed == 3.0
    assert_allclose(by_scale[0], state.position)
    assert by_scale[1] == 0.0
    (only,) = jacobian_of(f, argnums=(1,))(state, 2.0)["energy"][1]
    assert_allclose(only, np.sum(state.position))


def _leaves(jac):
    assert list(jac) == ["moved", "energy"] and type(jac["energy"]) is tuple
    return [jac["moved"], *jac["energy"]]


@transforms
def test_numbers_by_numbers(jacobian_of):
    slope = jacobian_of(lambda x: x**3)
    assert slope(2.0) == 12.0 and type(slope(2.0)) is float
    assert type(slope(np.float64(2.0))) is np.float64
    assert slope(np.array(2.0)).shape == () and type(slope(np.array(2.0))) is np.ndarray
    rows = jacobian_of(lambda x: np.array([x, x * x]))(3.0)
    assert_array_equal(rows, [1.0, 6.0])


@transforms
def test_arrays_without_elements(jacobian_of):
    assert jacobian_of(np.sin)(np.zeros((0, 2))).shape == (0, 2, 0, 2)
    assert jacobian_of(lambda x: x[:0] * 2.0)(np.ones(3)).shape == (0, 3)
    assert_array_equal(jacobian_of(np.sum)(np.zeros(0)), np.zeros(0))


@transforms
def test_zero_derivatives(jacobian_of):
    x = np.array([1.5, -0.5])
    assert_array_equal(jacobian_of(np.floor)(x), np.zeros((2, 2)))
    assert_array_equal(jacobian_of(lambda x: np.ones(3))(x), np.zeros((3, 2)))
    assert_array_equal(jacobian_of(lambda x: x)(x), np.eye(2))


def test_dtypes(rng):
    x = rng.normal(size=3).astype(np.float32)

    def widen(x):
        return x.astype(np.float64) ** 2

    assert jacfwd(np.sin)(x).dtype == jacrev(np.sin)(x).dtype == np.float32
    assert jacfwd(widen)(x).dtype == np.float64  # the result's
    assert jacrev(widen)(x).dtype == np.float32  # the argument's
    for mode in ("fwd", "rev", "auto"):
        dtypes = {"fwd": np.float64, "rev": np.float32, "auto": np.float64}
        assert jacobian(widen, mode=mode)(x).dtype == dtypes[mode]
    assert hessian(lambda x: np.sum(x**3))(x).dtype == np.float32


@transforms
def test_complex_numbers(jacobian_of, rng):
    z = rng.normal(size=2) + 1j * rng.normal(size=2)
    got = jacobian_of(lambda z: z**2 * z[::-1], holomorphic=True)(z)
    a, b = z
    expected = [[2 * a * b, a * a], [b * b, 2 * a * b]]
    assert_allclose(got, expected, rtol=1e-12)


def test_between_real_and_complex(rng):
    x = rng.normal(size=2)
    wave = jacfwd(lambda x: np.exp(1j * x))(x)
    assert_allclose(wave, np.diag(1j * np.exp(1j * x)), rtol=1e-12)
    assert_allclose(jacobian(lambda x: np.exp(1j * x))(x), wave, rtol=1e-12)
    z = np.exp(1j * x)

    def real(z):
        return np.stack([np.abs(z) ** 2, z.real])

    rows = jacrev(real)(z)
    for k in range(2):
        for part in range(2):
            row = grad(lambda z, k=k, part=part: real(z)[part, k], backend="numpy")(z)
            assert_allclose(rows[part, k], row, rtol=1e-12)
    assert_array_equal(jacobian(real)(z), rows)


@transforms
def test_has_aux(jacobian_of):
    def f(x):
        return x**2, {"name": "squares", "sum": np.sum(x), "n": len(x)}

    x = np.array([1.0, 3.0])
    jac, aux = jacobian_of(f, has_aux=True)(x)
    assert_array_equal(jac, np.diag(2.0 * x))
    assert aux == {"name": "squares", "sum": 4.0, "n": 2}


def test_aux_of_second_and_other_derivatives():
    def f(x):
        return np.sum(x**3), ("aux", x[0] + 1.0)

    x = np.array([1.0, 2.0])
    second, aux = hessian(f, has_aux=True)(x)
    assert_array_equal(second, np.diag(6.0 * x))
    assert aux == ("aux", 2.0)
    value, slope, aux = jvp(f, (x,), (np.ones(2),), has_aux=True, backend="numpy")
    assert (value, slope, aux) == (9.0, 15.0, ("aux", 2.0))
    value, push, aux = linearize(f, x, has_aux=True)
    assert (value, push(np.ones(2)), aux) == (9.0, 15.0, ("aux", 2.0))
    value, pull, aux = vjp(f, x, has_aux=True, backend="numpy")
    assert_array_equal(pull(2.0)[0], 6.0 * x**2)
    assert aux == ("aux", 2.0)


@transforms
def test_keywords_defaults_and_decorators(jacobian_of):
    @jacobian_of
    def f(x, scale=2.0, *, shift=1.0):
        return x * scale + shift

    x = np.ones(2)
    assert_array_equal(f(x), 2.0 * np.eye(2))
    assert_array_equal(f(x, scale=3.0), 3.0 * np.eye(2))
    assert_array_equal(f(x=x, shift=5.0), 2.0 * np.eye(2))


def test_hessian_of_several_arguments(rng):
    def f(p, c):
        return np.sum(p["a"] ** 2 * p["b"]) * c

    a, b = rng.normal(size=(2, 2))
    h = hessian(f, argnums=(0, 1))({"a": a, "b": b}, 3.0)
    by_p, by_c = h  # and in each place of them, by both again
    assert_allclose(by_p["a"][0]["a"], np.diag(6.0 * b))
    assert_allclose(by_p["a"][0]["b"], np.diag(6.0 * a))
    assert_allclose(by_p["b"][0]["b"], np.zeros((2, 2)))
    assert_allclose(by_p["a"][1], 2.0 * a * b)
    assert_allclose(by_c[0]["b"], a**2)
    assert by_c[1] == 0.0
    by_c = hvp(f, ({"a": a, "b": b}, 3.0), ({"a": 0 * a, "b": 0 * b}, 1.0))
    assert_allclose(by_c[0]["a"], 2.0 * a * b)
    assert by_c[1] == 0.0


def test_hessian_of_an_array(rng):
    x = rng.normal(size=2)
    got = hessian(lambda x: np.outer(x, x))(x)
    expected = np.zeros((2, 2, 2, 2))
    for i in range(2):
        for j in range(2):
            expected[i, j, i, j] += 1.0
            expected[i, j, j, i] += 1.0
    assert_array_equal(got, expected)


# The primal runs once, and in the cheaper direction -----------------------------------


def loops_of(program):
    return [eqn for eqn in program.eqns if eqn.prim.name == "for"]


@pytest.mark.parametrize("jacobian_of", [tj.jacfwd, tj.jacrev])
def test_the_function_is_computed_outside_of_the_rows(jacobian_of):
    def f(x):
        y = np.exp(x)
        for i in range(1, 4):
            y[i] = np.sin(y[i] * y[i - 1])
        return y

    program = make_ir(jacobian_of(f))(np.ones(4))
    *_, rows = loops_of(program)
    inside = [e.prim.name for e in rows.regions[0].eqns]
    inside += [
        e.prim.name
        for r in rows.regions
        for e in r.eqns
        for s in e.regions
        for e in s.eqns
    ]
    assert not {"exp", "sin", "cos"} & set(inside)
    assert {"exp", "sin", "cos"} <= {e.prim.name for e in program.walk()}


def network(x):
    for W in LAYERS:
        x = W @ x
    return x


LAYERS = [
    np.random.default_rng(m).normal(size=(m, n))
    for n, m in [(10, 6), (6, 8), (8, 2), (2, 1)]
]


def test_layers_cost_least_in_reverse():
    """10 → 6 → 8 → 2 → 1: 124 multiplications in reverse and 660 forward, but for those
    by the columns of the identity that it begins with."""
    x = np.ones(10)
    forward = make_ir(jacobian(network, mode="fwd"))(x)
    reverse = make_ir(jacobian(network, mode="rev"))(x)
    value = 6 * 10 + 8 * 6 + 2 * 8 + 1 * 2  # of the function, where it is needed
    assert multiplications(make_ir(network)(x)) == value
    assert multiplications(forward) == 660 + 10 * 6 * 10
    assert multiplications(reverse) == 124 + 1 * 2
    chosen = make_ir(jacobian(network))(x)
    assert multiplications(chosen) == multiplications(reverse)
    assert flops(chosen) < flops(forward)
    assert_allclose(jacobian(network)(x), np.linalg.multi_dot(LAYERS[::-1]), rtol=1e-12)


def test_the_cheaper_direction_is_taken():
    def wide(x):
        return np.outer(np.sin(x), np.arange(1.0, 30.0))

    def narrow(x):
        return np.stack([np.sum(np.sin(x)), np.sum(x**2)])

    def names(f, x):
        return make_ir(jacobian(f))(x).name

    assert "jacfwd" in names(wide, np.ones(2))
    assert "jacrev" in names(narrow, np.ones(40))


def test_a_derivative_by_one_number_saves_nothing():
    def f(c):
        x = np.zeros(3)
        for _ in range(1000):
            x = x + 0.01 * np.sin(c - x)
        return x

    program = make_ir(jacfwd(f))(0.4)
    assert max(v.aval.size for eqn in program.walk() for v in eqn.outputs) == 3
    assert_allclose(jacfwd(f)(0.4), jacrev(f)(0.4), rtol=1e-12)


# linearize and vjp --------------------------------------------------------------------


def recurrent(W):
    h = np.ones(2)
    for _ in range(5):
        h = np.exp(-0.5 * W @ h)  # its derivative reads h, and what becomes of it
    return h


def test_a_state_that_is_read_before_and_after_its_round(rng):
    """Forward sweeps cannot take from the next round what reverse sweeps do."""
    W = rng.normal(size=(2, 2))
    numbers = by_numbers(recurrent, W)
    assert_allclose(jacfwd(recurrent)(W), numbers, atol=1e-9)
    assert_allclose(jacrev(recurrent)(W), numbers, atol=1e-9)
    _, push = linearize(recurrent, W)
    assert_allclose(push(W), np.tensordot(numbers, W, 2), atol=1e-9)


@pytest.mark.parametrize("f", [array_code, fills, recurrence, converges])
@both
def test_linearize(f, backend, rng):
    x = rng.normal(size=(3, 2)) if f is array_code else rng.normal(size=(2, 2))
    value, push = tj.linearize(f, x, backend=backend)
    assert_allclose(value, f(x), rtol=1e-12)
    for _ in range(3):
        v = rng.normal(size=x.shape)
        _, expected = jvp(f, (x,), (v,), backend="numpy")
        assert_allclose(push(v), expected, rtol=1e-10, atol=1e-13)


def test_the_value_and_what_comes_later_are_of_one_call():
    """Changed arguments, captured arrays and new draws are of the next one."""
    source = np.random.default_rng(2)
    w = np.array([2.0, 3.0])

    def f(x):
        return w * x**2 * source.normal(size=2)

    x = np.array([1.0, 4.0])
    for begin in (linearize, partial(vjp, backend="numpy")):
        w[:], x[:] = [2.0, 3.0], [1.0, 4.0]
        value, go_on = begin(f, x)
        w[:], x[:] = 0.0, 7.0
        slope = go_on(np.ones(2))
        slope = slope[0] if type(slope) is tuple else slope
        assert_allclose(slope, 2.0 * value / [1.0, 4.0], rtol=1e-12)


def test_pulls_run_the_reverse_sweep_alone():
    def f(x):
        return np.exp(np.sin(x))

    @jit(backend="numpy")
    def pulls(x, cts):
        _, pull = vjp(f, x)
        for k in range(3):
            cts[k] = pull(cts[k])[0]
        return cts

    x = np.ones(4)
    program = make_ir(pulls)(x, np.eye(3, 4))
    (loop,) = loops_of(program)
    assert not {"sin", "cos", "exp"} & {e.prim.name for e in loop.regions[0].eqns}
    slopes = np.cos(x) * np.exp(np.sin(x))
    assert_allclose(pulls(x, np.eye(3, 4)), np.eye(3, 4) * slopes, rtol=1e-12)


def test_linear_functions_of_structures():
    def f(p, k):
        return {"y": p["a"] * k, "n": np.argmax(p["a"])}

    a = np.array([1.0, 5.0])
    value, push = linearize(f, {"a": a}, 3.0)
    assert value["n"] == 1
    tangent = push({"a": np.ones(2)}, 0.5)
    assert_allclose(tangent["y"], 3.0 + 0.5 * a)
    assert tangent["n"] == 0.0


def module_level(x):
    return np.outer(x, x)


@transforms
def test_pickling(jacobian_of):
    again = pickle.loads(pickle.dumps(jacobian_of(module_level)))
    x = np.array([1.0, 2.0])
    assert_array_equal(again(x), jacobian_of(module_level)(x))


# Errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: jacfwd(np.sin)(3), "argument 0 of sin is differentiated but holds"),
        (lambda: jacrev(np.sin)(np.arange(3)), "dtype int64"),
        (lambda: jacfwd(np.sin, argnums=1)(1.0), "argnums names argument 1"),
        (lambda: jacfwd(np.argmax)(np.ones(3)), "a result of argmax is of dtype int"),
        (lambda: jacrev(lambda x: (x, 1))(1.0), "of dtype int64, not float"),
        (lambda: jacobian(lambda x: (x, "n"))(1.0), "some are not numbers"),
        (lambda: jacfwd(np.exp)(1j), "complex128, not real"),
        (lambda: jacrev(lambda x: 1j * x)(1.0), "complex128, not real"),
        (lambda: jacobian(np.exp)(1j), "not real"),
        (lambda: jacfwd(np.exp, holomorphic=True)(1.0), "float64, not complex"),
        (lambda: jacrev(np.abs, holomorphic=True)(1j), "float64, not complex"),
        (lambda: hessian(lambda n: n * n)(3), "is differentiated but holds an int"),
        (lambda: hvp(np.sin, (3,), (1,)), "is differentiated but holds an int"),
        (lambda: linearize(np.sin, 3), "is differentiated but holds an int"),
    ],
)
def test_what_has_no_jacobian(make, message):
    with pytest.raises(NonDifferentiableError, match=message):
        make()


def test_other_errors():
    with pytest.raises(NonScalarOutputError, match="not a pair"):
        jacfwd(np.sin, has_aux=True)(1.0)
    with pytest.raises(NonScalarOutputError, match="scalar output"):
        hvp(np.sin, (np.ones(2),), (np.ones(2),))
    with pytest.raises(ValueError, match="mode must be one of"):
        jacobian(np.sin, mode="reverse")
    _, push = linearize(np.sin, np.ones(2))
    with pytest.raises(TreeMismatchError, match="have shape"):
        push(np.ones(3))
    with pytest.raises(TreeMismatchError, match="structure"):
        push(np.ones(2), np.ones(2))
    with pytest.raises(TreeMismatchError, match="complex"):
        push(1j * np.ones(2))

    @jit(backend="numpy")
    def staged(x):
        return vjp(np.sin, x)[1](np.ones(5))

    with pytest.raises(TreeMismatchError, match="have shape"):
        staged(np.ones(2))
