"""The public transforms as a user calls them, on both backends."""

from __future__ import annotations

import copy
import dataclasses
import functools
import gc
import pickle
import weakref
from collections import namedtuple

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import NonDifferentiableError, NonScalarOutputError
from tracejit.runtime.dispatch import RetraceWarning
from tracejit.testing import compilations

both = pytest.mark.parametrize("backend", ["numpy", "numba"])


@both
def test_scalars_in_scalars_out(backend):
    def e(a, b):
        return (a + b) * (b + 1)

    value, grads = tj.value_and_grad(e, argnums=(0, 1), backend=backend)(2.0, 1.0)
    assert (value, grads) == (6.0, (2.0, 5.0))
    assert type(value) is float and all(type(g) is float for g in grads)


@both
def test_argnums_select_and_order(backend):
    def f(a, b, c):
        return np.sum(a) * b + c * c

    a = np.arange(3.0)
    assert tj.grad(f, argnums=2, backend=backend)(a, 2.0, 3.0) == 6.0
    db, da = tj.grad(f, argnums=(1, 0), backend=backend)(a, 2.0, 3.0)
    assert db == 3.0
    np.testing.assert_array_equal(da, [2.0, 2.0, 2.0])


@both
def test_keywords_and_defaults(backend):
    @tj.grad(argnums=(0, 1), backend=backend)
    def f(x, scale=2.0, *, power=2):
        return scale * np.sum(x**power)

    x = np.array([1.0, 3.0])
    for dx, ds in (f(x), f(x=x), f(x, scale=2.0), f(x, 2.0, power=2)):
        np.testing.assert_allclose(dx, 4 * x)
        assert ds == 10.0
    np.testing.assert_allclose(f(x, power=3)[0], 6 * x**2)


@both
def test_has_aux(backend):
    def f(x):
        y = x * x
        return np.sum(y), {"y": y, "name": "aux"}

    x = np.array([1.0, 2.0])
    g, aux = tj.grad(f, has_aux=True, backend=backend)(x)
    np.testing.assert_array_equal(g, 2 * x)
    np.testing.assert_array_equal(aux["y"], x * x)
    assert aux["name"] == "aux"
    (value, aux), g = tj.value_and_grad(f, has_aux=True, backend=backend)(x)
    assert value == 5.0 and set(aux) == {"y", "name"}


Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Layer:
    w: np.ndarray
    b: float


@both
def test_pytrees(backend):
    def f(params):
        point, layers, extra = params
        total = point.x * point.y
        for layer in layers:
            total = total + np.sum(layer.w) * layer.b
        return total + extra["c"][0] ** 2

    params = (
        Point(2.0, 3.0),
        [Layer(np.ones(2), 0.5), Layer(np.ones(3), 2.0)],
        {"c": (4.0,)},
    )
    point, layers, extra = tj.grad(f, backend=backend)(params)
    assert point == Point(3.0, 2.0) and extra == {"c": (8.0,)}
    assert [type(layer) for layer in layers] == [Layer, Layer]
    np.testing.assert_array_equal(layers[0].w, [0.5, 0.5])
    assert (layers[0].b, layers[1].b) == (2.0, 3.0)


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_follow_numpy(backend, dtype):
    def f(x):
        return np.sum(np.exp(x) * 2.0)

    x = np.arange(3, dtype=dtype)
    value, g = tj.value_and_grad(f, backend=backend)(x)
    assert value.dtype == g.dtype == dtype
    np.testing.assert_allclose(g, 2 * np.exp(x), rtol=4 * np.finfo(dtype).eps)


@both
def test_methods_do_not_count_self(backend):
    class Model:
        def __init__(self, scale):
            self.scale = scale
            self.calls = 0

        @tj.grad(backend=backend)
        def slope(self, x):
            self.calls += 1
            return self.scale * np.sum(x * x)

    one, two = Model(1.0), Model(2.0)
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(one.slope(x), 2 * x)
    np.testing.assert_array_equal(two.slope(x), 4 * x)
    one.scale = 5.0
    np.testing.assert_array_equal(one.slope(x), 10 * x)


@both
def test_captured_values_are_never_stale(backend):
    table = np.array([1.0, 2.0])
    state = {"k": 1.0}

    @tj.grad(backend=backend)
    def f(x):
        return np.sum(x * table) * state["k"]

    x = np.ones(2)
    np.testing.assert_array_equal(f(x), [1.0, 2.0])
    table[0] = 10.0
    np.testing.assert_array_equal(f(x), [10.0, 2.0])
    state["k"] = 2.0
    np.testing.assert_array_equal(f(x), [20.0, 4.0])
    table = np.array([3.0, 4.0])
    np.testing.assert_array_equal(f(x), [6.0, 8.0])


@both
def test_arguments_are_not_mutated(backend):
    def f(x):
        x *= 2.0
        x[0] = 0.0
        return np.sum(x * x)

    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(tj.grad(f, backend=backend)(x), [0.0, 16.0])
    np.testing.assert_array_equal(x, [1.0, 2.0])


@both
def test_results_are_fresh(backend):
    f = tj.grad(lambda x: np.sum(x), backend=backend)
    x = np.ones(3)
    first = f(x)
    second = f(x)
    first[0] = 7.0
    assert second[0] == 1.0 and x[0] == 1.0


@both
def test_jvp_and_vjp(backend):
    def f(x, c):
        return c * x[1:], np.sum(x)

    x = np.array([1.0, 2.0, 3.0])
    dx = np.array([0.5, 1.0, -1.0])
    (y, s), (dy, ds) = tj.jvp(f, (x, 2.0), (dx, 1.0), backend=backend)
    np.testing.assert_array_equal(y, 2 * x[1:])
    np.testing.assert_array_equal(dy, 2 * dx[1:] + x[1:])
    assert (s, ds) == (6.0, 0.5)
    value, pull = tj.vjp(f, x, 2.0, backend=backend)
    np.testing.assert_array_equal(value[0], 2 * x[1:])
    xbar, cbar = pull((np.array([1.0, 10.0]), 100.0))
    np.testing.assert_array_equal(xbar, [100.0, 102.0, 120.0])
    assert cbar == 32.0


@both
def test_second_order(backend):
    def f(x):
        for i in range(1, len(x)):
            x[i] += np.sin(x[i - 1]) * x[i]
        return np.sum(x**3)

    tj.check_grads(f, (np.linspace(0.1, 0.9, 5),), order=2, backend=backend)


@both
def test_grad_of_grad_of_a_scalar(backend):
    f = tj.grad(tj.grad(lambda x: x**4), backend=backend)
    assert f(2.0) == 48.0


@both
def test_gradients_inside_a_function(backend):
    def inner(x, c):
        return c * np.sum(x**3)

    def outer(x):
        g = tj.grad(inner)(x, 2.0)
        return np.sum(g * x)

    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(tj.grad(outer, backend=backend)(x), 18 * x**2)


def test_errors_name_the_cause():
    with pytest.raises(NonScalarOutputError, match=r"shape \(3,\)"):
        tj.grad(lambda x: 2 * x)(np.ones(3))
    with pytest.raises(NonDifferentiableError, match="int64"):
        tj.grad(lambda x: np.sum(x) * 1.0)(np.arange(3))
    with pytest.raises(NonDifferentiableError, match="an int"):
        tj.grad(lambda x: x * 1.0)(3)
    with pytest.raises(NonDifferentiableError, match="positional"):
        tj.grad(lambda x: x * 1.0, argnums=2)(3.0)


def test_a_new_size_compiles_nothing():

    @tj.grad
    def f(x):
        h = 1.0 / (x.shape[0] - 1)
        x[1:-1] += h * (x[2:] - x[:-2])
        return np.sum(x * x) * h

    f(np.ones(20))
    before = compilations()
    for n in (21, 40, 300):
        x = np.random.default_rng(n).normal(size=n)
        tj.check_grads(f.py_func, (x,), order=1, backend="numpy")
        np.testing.assert_allclose(f(x), tj.grad(f.py_func, backend="numpy")(x))
    assert compilations() == before


def test_numpy_functions_and_partials_are_functions_too():
    value, slope = tj.jvp(np.sin, (1.0,), (2.0,))
    assert (value, slope) == (np.sin(1.0), 2 * np.cos(1.0))
    np.testing.assert_array_equal(tj.grad(np.sum)(np.ones(3)), np.ones(3))
    scaled = functools.partial(lambda k, x: k * np.sum(x), 3.0)
    np.testing.assert_array_equal(tj.grad(scaled)(np.ones(2)), [3.0, 3.0])


def test_static_numbers_compile_once():
    def f(x, n):
        s = 0.0
        for i in range(n):
            s += np.sin(x[i % 5]) * n
        return s

    x = np.linspace(0.1, 1.0, 5)
    tj.grad(f)(x, 20)
    before = compilations()
    for n in (21, 50, 1000):
        np.testing.assert_allclose(
            tj.grad(f)(x, n), tj.grad(f, backend="numpy")(x, n), rtol=1e-12
        )
    assert compilations() == before


@both
def test_random_draws_are_made_anew(backend):
    rng = np.random.default_rng(0)

    @tj.value_and_grad(backend=backend)
    def f(x):
        z = rng.normal(size=3)
        s = 0.0
        for _ in range(3):
            s += np.sum(x * z) * rng.normal()
        return s

    x = np.ones(3)
    state = rng.bit_generator.state
    values = [f(x)[0] for _ in range(2)]
    rng.bit_generator.state = state
    for value in values:
        z = rng.normal(size=3)
        assert value == pytest.approx(np.sum(z) * np.sum(rng.normal(size=3)))


def test_retraces_for_one_cause_are_reported():
    scale = 1.0

    def f(x):
        return scale * x

    g = tj.grad(f, backend="numpy")
    with pytest.warns(RetraceWarning, match="scale"):
        for scale in (1.0, 2.0, 3.0, 4.0):
            assert g(5.0) == scale


class Spring:
    def __init__(self, k):
        self.k = k

    @tj.grad(backend="numpy")
    def force(self, x):
        return 0.5 * self.k * x * x


def test_instances_with_decorated_methods_copy_and_pickle():
    spring = Spring(2.0)
    assert spring.force(3.0) == 6.0
    for other in (copy.deepcopy(spring), pickle.loads(pickle.dumps(spring))):
        other.k = 5.0
        assert other.force(3.0) == 15.0
    assert spring.force(3.0) == 6.0


@tj.grad(backend="numpy")
def cube_slope(x):
    return x**3


def fourth(x):
    return x**4


def test_transformed_functions_pickle_by_their_source():
    assert pickle.loads(pickle.dumps(cube_slope)) is cube_slope
    f = pickle.loads(pickle.dumps(tj.value_and_grad(fourth, backend="numpy")))
    assert f(2.0) == (16.0, 32.0)


def test_programs_go_when_their_function_goes():
    def new(k):
        return lambda x: k * x * x

    fn = new(3.0)
    assert tj.vjp(fn, 2.0, backend="numpy")[1](1.0) == (12.0,)
    assert tj.jvp(fn, (2.0,), (1.0,), backend="numpy")[1] == 12.0
    gone = weakref.ref(fn)
    del fn
    gc.collect()
    assert gone() is None


def test_a_wrapper_has_programs_of_its_own():
    def square(x):
        return x * x

    assert tj.jvp(square, (2.0,), (1.0,), backend="numpy") == (4.0, 4.0)

    @functools.wraps(square)
    def fourth(x):
        return square(x) * square(x)

    assert tj.jvp(fourth, (2.0,), (1.0,), backend="numpy") == (16.0, 32.0)
    assert copy.copy(vars(square)["__tracejit_programs__"]) == {}
