"""`vmap`: the same as plain calls, lane by lane, stacked."""

from __future__ import annotations

import copy
import pickle
from collections import namedtuple
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tracejit import check_grads, grad, jacfwd, jacrev, jit, make_ir, value_and_grad
from tracejit import vmap as compiled_vmap
from tracejit.base.errors import (
    MappedAxisError,
    StagingError,
    UnsupportedDTypeError,
    UnsupportedError,
)
from tracejit.base.pytree import flatten
from tracejit.testing import compilations

vmap = partial(compiled_vmap, backend="numpy")
both = pytest.mark.parametrize("backend", ["numpy", "numba"])


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def stacked(f, *columns):
    """What `vmap(f)` is to give: plain calls on copies, and their results stacked."""
    rows = [f(*(copy.deepcopy(c[k]) for c in columns)) for k in range(len(columns[0]))]
    parts = zip(*(flatten(r)[0] for r in rows), strict=True)
    return [np.stack([np.asarray(p) for p in part]) for part in parts]


# Programs of one lane -----------------------------------------------------------------


def trips_of_its_own(x):
    n = 0
    total = x[0]
    while total < 4.0:
        total = total + x[n % 3] ** 2 + 0.5
        n += 1
    return total, n


def branch_of_its_own(x):
    if x[0] > x[1]:
        return np.sin(x) * 2.0
    return x[::-1] / 3.0


def writes_in_place(x):
    x[1:] += x[:-1]
    x *= 2.0
    y = np.zeros(4)
    y[:3] = x
    y[3] = x.max()
    return y


def fills_an_array(x):
    out = np.empty((2, 3))
    for i in range(2):
        for j in range(3):
            out[i, j] = x[j] ** (i + 1)
    return out


def leaves_early(x):
    for i in range(3):
        if x[i] > 0.5:
            return x[i]
    return -1.0


def single_precision(x):
    return (x.astype(np.float32) * np.float32(2)).sum(), x > 0


def sorts(x):
    return np.sort(x), np.argmax(x), np.median(x)


def solves(x):
    A = np.outer(x, x) + 3.0 * np.eye(3)
    return np.linalg.solve(A, x)


PROGRAMS = [
    trips_of_its_own,
    branch_of_its_own,
    writes_in_place,
    fills_an_array,
    leaves_early,
    single_precision,
    sorts,
    solves,
]


@pytest.mark.parametrize("f", PROGRAMS)
@both
def test_as_plain_calls(f, backend, rng):
    xs = rng.normal(size=(5, 3))
    got = flatten(compiled_vmap(f, backend=backend)(xs))[0]
    expected = stacked(f, xs)
    assert [g.dtype for g in got] == [e.dtype for e in expected]
    for g, e in zip(got, expected, strict=True):
        assert_allclose(g, e, rtol=1e-12)


@pytest.mark.parametrize("f", [trips_of_its_own, branch_of_its_own, solves])
def test_gradients_of_lanes_and_lanes_of_gradients(f, rng):
    xs = rng.normal(size=(4, 3))

    def total(x):
        return sum(np.sum(np.sin(y)) for y in flatten(f(x))[0])

    slopes = np.stack([grad(total, backend="numpy")(x) for x in xs])
    assert_allclose(vmap(grad(total))(xs), slopes, rtol=1e-12)
    lanes = compiled_vmap(total)
    whole = grad(lambda xs: np.sum(lanes(xs)), backend="numpy")
    assert_allclose(whole(xs), slopes, rtol=1e-12)
    check_grads(lanes, (xs,), backend="numpy")


def test_gradient_by_what_every_lane_shares(rng):
    """By an argument that is not mapped, and by one that the function captures."""
    xs, w = rng.normal(size=(6, 3)), rng.normal(size=3)

    def loss(w, xs):
        return np.sum(compiled_vmap(lambda x: np.tanh(x @ w) ** 2)(xs))

    def same(w, xs):
        lanes = compiled_vmap(lambda w, x: np.tanh(x @ w) ** 2, in_axes=(None, 0))
        return np.sum(lanes(w, xs))

    plain = grad(lambda w, xs: np.sum(np.tanh(xs @ w) ** 2), backend="numpy")(w, xs)
    assert_allclose(grad(loss, backend="numpy")(w, xs), plain, rtol=1e-12)
    assert_allclose(grad(same, backend="numpy")(w, xs), plain, rtol=1e-12)
    check_grads(loss, (w, xs), backend="numpy")


@both
def test_gradients_per_observation(backend, rng):
    def loss(params, x, y):
        return (np.tanh(x @ params["w"]) * params["a"] - y) ** 2

    params = {"w": rng.normal(size=3), "a": 0.7}
    xs, ys = rng.normal(size=(7, 3)), rng.normal(size=7)
    each = value_and_grad(loss)
    lanes = compiled_vmap(each, in_axes=(None, 0, 0), backend=backend)
    values, grads = lanes(params, xs, ys)
    for k in range(7):
        value, slope = value_and_grad(loss, backend="numpy")(params, xs[k], ys[k])
        assert_allclose(values[k], value, rtol=1e-11)
        assert_allclose(grads["w"][k], slope["w"], rtol=1e-11, atol=1e-15)
        assert_allclose(grads["a"][k], slope["a"], rtol=1e-11, atol=1e-15)


# Axes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("in_axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("out_axis", [0, 1, 2, -1, -2])
def test_any_axis_in_and_out(in_axis, out_axis, rng):
    x = rng.normal(size=(2, 3, 4))
    got = vmap(np.cos, in_axis, out_axis)(x)
    expected = np.moveaxis(np.cos(np.moveaxis(x, in_axis, 0)), 0, out_axis)
    assert_array_equal(got, expected)


Pair = namedtuple("Pair", "a b")


def test_axes_of_nested_arguments_and_results(rng):
    def f(p, q):
        first, second = p["first"], p["second"]
        return {"sum": first.a + second, "rest": (first.b * q[0], [q[1]])}

    a, b, second, u, v = rng.normal(size=(5, 3, 3))
    p = {"first": Pair(a, b), "second": second}
    axes = ({"second": None, "first": Pair(0, 1)}, [1, None])  # keys in another order
    mapped = vmap(f, axes, {"rest": (1, [0]), "sum": -1})
    got = mapped(p, [u, v])
    rows = [
        f({"first": Pair(a[k], b[:, k]), "second": second}, [u[:, k], v])
        for k in range(3)
    ]
    assert list(got) == ["sum", "rest"]
    assert_array_equal(got["sum"], np.stack([r["sum"] for r in rows], -1))
    assert_array_equal(got["rest"][0], np.stack([r["rest"][0] for r in rows], 1))
    assert_array_equal(got["rest"][1][0], np.stack([v] * 3))


def test_keywords_are_mapped_and_defaults_are_not(rng):
    def f(x, scale=2.0, *, shift):
        return x * scale + shift

    xs, shifts = rng.normal(size=(4, 3)), rng.normal(size=4)
    got = vmap(f)(xs, shift=shifts)
    assert_allclose(got, 2.0 * xs + shifts[:, None])


def test_arguments_that_are_not_arrays_are_shared():
    def f(x, how, n, table):
        return (np.sum if how == "sum" else np.max)(x) * n + table[0]

    xs = np.arange(6.0).reshape(3, 2)
    got = vmap(f, in_axes=(0, None, None, None))(xs, "sum", 2, [10.0])
    assert_array_equal(got, [12.0, 20.0, 28.0])


def test_a_size_without_mapped_arguments():
    assert_array_equal(vmap(lambda: 2.0, axis_size=3)(), [2.0] * 3)
    got = vmap(lambda x: x + 1, in_axes=None, axis_size=2)(np.arange(2))
    assert_array_equal(got, [[1, 2], [1, 2]])


def test_no_lanes():
    xs = np.zeros((0, 3))
    value, n = vmap(trips_of_its_own)(xs)
    assert value.shape == n.shape == (0,) and n.dtype == np.int64
    assert vmap(grad(lambda x: np.sum(x**2)))(xs).shape == (0, 3)
    total = grad(lambda xs: np.sum(compiled_vmap(np.sin)(xs)), backend="numpy")
    assert total(xs).shape == (0, 3)


def test_results_without_lanes_are_computed_once(rng):
    def f(x, c):
        return x + c, np.exp(c) * 2.0

    xs = rng.normal(size=4)
    mapped = vmap(f, in_axes=(0, None), out_axes=(0, None))
    got = mapped(xs, 1.5)
    assert_array_equal(got[0], xs + 1.5)
    assert got[1] == np.exp(1.5) * 2.0 and type(got[1]) is type(jit(f)(2.0, 1.5)[1])
    (loop,) = [e for e in make_ir(mapped)(xs, 1.5).eqns if e.prim.name == "for"]
    assert "exp" not in [e.prim.name for e in loop.regions[0].eqns]
    with pytest.raises(MappedAxisError, match="differs from lane to lane"):
        vmap(lambda x: x, out_axes=None)(xs)


@both
def test_maps_of_maps(backend, rng):
    x, y = rng.normal(size=3), rng.normal(size=4)
    inner = compiled_vmap(lambda a, b: a * b + a, in_axes=(None, 0))
    outer = compiled_vmap(inner, in_axes=(0, None), backend=backend)
    assert_allclose(outer(x, y), np.outer(x, y) + x[:, None], rtol=1e-15)


# What lanes may do --------------------------------------------------------------------


def test_arguments_of_the_caller_stay_as_they_are(rng):
    xs, c = rng.normal(size=(2, 3, 3))
    before = xs.copy(), c.copy()

    def f(x, c):
        c += x
        x[0] = 7.0
        return np.sum(c) + x[0]

    got = vmap(f, in_axes=(0, None))(xs, c)
    assert_array_equal(xs, before[0])
    assert_array_equal(c, before[1])  # and no lane has seen another's
    assert_allclose(got, [np.sum(c + x) + 7.0 for x in xs], rtol=1e-15)


def test_lanes_write_to_copies_of_arrays_made_while_staging():
    def add(x, c):
        c += x
        return c * 2.0

    @jit(backend="numpy")
    def f(xs):
        c = np.ones(2)
        return compiled_vmap(add, in_axes=(0, None))(xs, c), c

    got, c = f(np.arange(6.0).reshape(3, 2))
    assert_array_equal(got, 2.0 + 2.0 * np.arange(6.0).reshape(3, 2))
    assert_array_equal(c, np.ones(2))


def test_lanes_in_a_staged_loop(rng):
    def f(xs):
        for _ in range(3):
            xs = compiled_vmap(lambda x: x / np.sum(x * x))(xs) + 0.1
        return xs

    xs = rng.normal(size=(4, 3))
    expected = xs
    for _ in range(3):
        expected = expected / np.sum(expected**2, axis=1, keepdims=True) + 0.1
    assert_allclose(jit(f, backend="numpy")(xs), expected, rtol=1e-12)
    check_grads(f, (xs,), backend="numpy")


def test_draws_are_made_for_every_lane():
    source = np.random.default_rng(5)
    again = np.random.default_rng(5)

    def noisy(x):
        first = source.normal()
        return x + first * source.normal(size=2)

    got = vmap(noisy)(np.zeros((3, 2)))
    expected = [again.normal() * again.normal(size=2) for _ in range(3)]
    assert_array_equal(got, expected)


def test_an_iterator_of_the_lane():
    def f(x):
        parts = iter([x[0], x[1] * 2.0])
        return next(parts) + next(parts)

    assert_array_equal(vmap(f)(np.ones((3, 2))), [3.0] * 3)
    shared = iter([1.0, 2.0, 3.0])
    with pytest.raises(StagingError, match="next"):
        vmap(lambda x: x + next(shared))(np.ones(3))


def test_an_error_of_the_function_is_its_own():
    def f(x):
        if x.ndim != 1:
            raise ValueError("one axis, please")
        if x[0] < 0:
            raise ArithmeticError("negative")
        return np.sqrt(x)

    with pytest.raises(ValueError, match="one axis"):
        vmap(f)(np.ones((2, 2, 2)))
    assert_array_equal(vmap(f)(np.ones((2, 2))), np.ones((2, 2)))
    with pytest.raises(ArithmeticError, match="negative"):
        vmap(f)(np.array([[1.0], [-1.0]]))


def test_methods_and_decorators():
    class Model:
        def __init__(self, w):
            self.w = w

        @vmap
        def score(self, x):
            return x @ self.w

        def plain(self, x):
            return x @ self.w

    xs = np.arange(6.0).reshape(3, 2)
    model = Model(np.array([1.0, -1.0]))
    assert_array_equal(model.score(xs), [-1.0] * 3)
    mapped = vmap(model.plain)
    assert_array_equal(mapped(xs), [-1.0] * 3)
    model.w = np.array([1.0, 1.0])  # what is read from outside is never stale
    assert_array_equal(mapped(xs), [1.0, 5.0, 9.0])
    assert_array_equal(model.score(xs), [1.0, 5.0, 9.0])


def test_what_is_captured_is_read_at_every_call():
    w = np.array([1.0, 2.0])
    mapped = vmap(lambda x: x @ w)
    assert_array_equal(mapped(np.eye(2)), [1.0, 2.0])
    w[:] = 5.0
    assert_array_equal(mapped(np.eye(2)), [5.0, 5.0])


def module_level(x, c):
    return np.sum(x) * c


def test_pickling():
    mapped = vmap(module_level, in_axes=(1, None), axis_size=2)
    again = pickle.loads(pickle.dumps(mapped))
    xs = np.arange(6.0).reshape(3, 2)
    assert_array_equal(again(xs, 2.0), [12.0, 18.0])


def test_another_number_of_lanes_compiles_nothing(rng):
    mapped = compiled_vmap(lambda x: np.sum(np.sin(x)))
    mapped(rng.normal(size=(20, 21)))
    before = compilations()
    xs = rng.normal(size=(43, 37))
    assert_allclose(mapped(xs), np.sum(np.sin(xs), axis=1), rtol=1e-12)
    assert compilations() == before


def test_jacobians_of_lanes(rng):
    xs = rng.normal(size=(3, 2))
    lanes = compiled_vmap(lambda x: np.array([x[0] * x[1], x[0] + x[1], x[1] ** 3]))
    expected = np.zeros((3, 3, 3, 2))
    for k, (a, b) in enumerate(xs):
        expected[k, :, k] = [[b, a], [1.0, 1.0], [0.0, 3 * b**2]]
    assert_allclose(jacfwd(lanes, backend="numpy")(xs), expected, rtol=1e-12)
    assert_allclose(jacrev(lanes, backend="numpy")(xs), expected, rtol=1e-12)


# Errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: vmap(np.sin)(3.0), "axis 0 of an argument that is of shape"),
        (lambda: vmap(np.sin, in_axes=1)(np.ones(3)), "axis 1 of an argument"),
        (lambda: vmap(np.sin, in_axes=-2)(np.ones(3)), "axis -2 of an argument"),
        (lambda: vmap(lambda x, s: x)(np.ones(3), "s"), "that is a str"),
        (lambda: vmap(lambda x, *, n: x)(np.ones(3), n=2), "functools.partial"),
        (lambda: vmap(np.add)(np.ones(3), np.ones(4)), "numbers of lanes: 3, 4"),
        (lambda: vmap(np.sin, axis_size=4)(np.ones(3)), "numbers of lanes: 3, 4"),
        (lambda: vmap(np.sin, in_axes=None)(np.ones(3)), "no argument"),
        (lambda: vmap(np.sin, in_axes=(None,))(np.ones(3)), "no argument"),
        (lambda: vmap(np.sin, in_axes=(0, 0))(np.ones(3)), "does not fit"),
        (lambda: vmap(np.sum, in_axes=({"a": 0},))({"b": np.ones(3)}), "does not fit"),
        (lambda: vmap(np.sin, out_axes=(0, 0))(np.ones(3)), "does not fit what"),
        (lambda: vmap(np.sin, out_axes=1)(np.ones(3)), "stacked along axis 1"),
        (lambda: vmap(np.sin, out_axes=-2)(np.ones(3)), "stacked along axis -2"),
    ],
)
def test_axes_that_do_not_fit(make, message):
    with pytest.raises(MappedAxisError, match=message):
        make()


def test_results_that_cannot_be_stacked():
    with pytest.raises(UnsupportedDTypeError, match="returns a str"):
        vmap(lambda x: (x, "name"))(np.ones(3))


def test_lanes_do_not_see_one_another():
    total = np.zeros(2)

    def f(x):
        total[:] += x
        return total[0]

    with pytest.raises(UnsupportedError, match="lanes do not see one another"):
        vmap(f)(np.ones((3, 2)))
    seen = [0.0]

    def g(x):
        seen[0] = seen[0] + 1.0
        return x * seen[0]

    with pytest.raises(UnsupportedError, match="lanes do not see one another"):
        vmap(g)(np.ones(3))
    assert_array_equal(total, [0.0, 0.0])
    assert seen == [0.0]
