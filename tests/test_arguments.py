"""What a call does to its caller's arrays: as NumPy; derivatives spare arguments.

Every program runs twice under `jit` on both backends: staged, and by the entry that
calls like it go by.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import OutsideStoreError, OverlapError, ReadOnlyError

both = pytest.mark.parametrize("backend", ["numpy", "numba"])
X = np.array([3.0, -1.0, 2.0, 0.5, -2.0, 4.0])


def same(ours, theirs):
    single = np.asarray(theirs).dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-6 if single else 1e-12)
    assert np.asarray(ours).dtype == np.asarray(theirs).dtype


def like_numpy(fn, backend, make, calls=3):
    """`jit(fn)` does to the arrays that `make()` gives, and returns, what `fn` does."""
    compiled = tj.jit(fn, backend=backend)
    for _ in range(calls):
        ours, theirs = make(), make()
        expected = fn(*theirs)
        found = compiled(*ours)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
            assert np.shape(a) == np.shape(b)
        assert (expected is None) == (found is None)
        if expected is not None:
            same(found, expected)


# Writes -----------------------------------------------------------------------------


def adds(x):
    x += 1


def stores(x):
    x[0] = x[1] * 2
    x[2:4] = x[:2]


def stencil(x):
    x[1:-1] += 0.1 * (x[2:] - 2 * x[1:-1] + x[:-2])


def steps(x):
    for _ in range(7):
        x[1:-1] += 0.1 * (x[2:] - 2 * x[1:-1] + x[:-2])


def recurrence(x):
    for i in range(1, len(x)):
        x[i] += 0.5 * x[i - 1]


def sorts(x):
    x.sort()


def scatters(x):
    np.add.at(x, np.array([0, 0, 3]), 2.0)


def by_out(x):
    np.multiply(x, 2.0, out=x)
    np.exp(x[:2], x[:2])


def by_view(x):
    middle = x[1:-1]
    flipped = middle[::-1]
    flipped *= 3.0
    flipped[0] = -1.0


def by_mask(x):
    x[x < 0] = 0.0
    x[[4, 5]] += 1.0


def by_helper(x):
    adds(x[::2])
    stores(x)


def by_copyto(x):
    np.copyto(x, x[::-1].copy())


def reverses(x):
    x[:] = x[::-1]


def branches(x):
    if x[0] > 0:
        x[1:] = 5.0
    else:
        x[0] += 1


def grows(x):
    while x[0] < 10:
        x *= 2


def by_rows(x):
    for row in x.reshape(2, 3):
        row += row[0]


def returns_sum(x):
    total = np.sum(x)
    x /= total
    return total


def clears(x):
    x[...] = 0.0


def nothing(x):
    y = x.copy()
    y += 1
    return y


PROGRAMS = [
    adds,
    stores,
    stencil,
    steps,
    recurrence,
    sorts,
    scatters,
    by_out,
    by_view,
    by_mask,
    by_helper,
    by_copyto,
    reverses,
    branches,
    grows,
    by_rows,
    returns_sum,
    clears,
    nothing,
]


@both
@pytest.mark.parametrize("fn", PROGRAMS, ids=lambda fn: fn.__name__)
def test_jit_writes_to_the_callers_array(fn, backend):
    like_numpy(fn, backend, lambda: (X.copy(),))


LAYOUTS = {
    "strided": lambda: np.repeat(X, 2)[::2],
    "reversed": lambda: X.copy()[::-1],
    "column": lambda: np.stack([X, X + 1], 1)[:, 1],
    "float32": lambda: X.astype(np.float32),
    "view": lambda: np.concatenate([[9.0], X, [9.0]])[1:-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fn", PROGRAMS, ids=lambda fn: fn.__name__)
def test_whatever_the_layout(fn, layout):
    like_numpy(fn, "numpy", lambda: (LAYOUTS[layout](),))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_whatever_the_layout_compiled(layout):
    like_numpy(stencil, "numba", lambda: (LAYOUTS[layout](),))


@both
def test_all_of_the_memory_is_as_numpy_leaves_it(backend):
    """Views of the argument, and what lies between its elements."""
    base = np.arange(24.0).reshape(4, 6)
    ours, theirs = base.copy(), base.copy()
    jitted = tj.jit(steps, backend=backend)
    for k in range(3):
        steps(theirs[::2, k])
        jitted(ours[::2, k])
        steps(theirs.T[k])
        jitted(ours.T[k])
    same(ours, theirs)


@both
def test_matrices_and_several_arguments(backend):
    def fn(a, b, c):
        c += a @ b
        b[:, 0] = c[0]
        return np.sum(c)

    def make():
        a = np.arange(9.0).reshape(3, 3)
        return a, a.T + 1, np.asfortranarray(a * 2)

    like_numpy(fn, backend, make)


@both
def test_contents_exchanged(backend):
    def exchange(x, y):
        x[:], y[:] = y.copy(), x.copy()

    def through_a_third(x, y):
        z = x.copy()
        x[:] = y + 1
        y[:] = z * 2

    def in_turns(x, y):
        for _ in range(3):
            x[1:-1] = y[:-2] + y[2:]
            y[1:-1] = x[:-2] + x[2:]

    for fn in (exchange, through_a_third, in_turns):
        like_numpy(fn, backend, lambda: (X.copy(), X * 3))


@both
@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.complex128, bool])
def test_arrays_without_axes(backend, dtype):
    def fn(s):
        s[...] = s * s
        return s + s

    like_numpy(fn, backend, lambda: (np.array(1, dtype),))


@both
def test_empty_arrays(backend):
    like_numpy(adds, backend, lambda: (np.zeros((0, 3)),))


@both
def test_shape_assigned(backend):
    def fn(x):
        x.shape = (2, 3)
        x[0] += 1
        return x[:, 1]

    like_numpy(fn, backend, lambda: (X.copy(),))


def test_casting_is_numpys():
    def halves(x):
        x += 0.5

    ours, theirs = X.astype(np.float32), X.astype(np.float32)
    tj.jit(halves, backend="numpy")(ours)
    halves(theirs)
    same(ours, theirs)
    with pytest.raises(TypeError, match="cast"):
        tj.jit(halves, backend="numpy")(np.arange(3))


def test_a_read_only_array_is_refused():
    frozen = X.copy()
    frozen.setflags(write=False)
    jitted = tj.jit(stores, backend="numpy")
    jitted(X.copy())
    for _ in range(2):
        with pytest.raises(ReadOnlyError, match=r"read-only[^^]*x\[0\] = x\[1\]"):
            jitted(frozen)
    with pytest.raises(ValueError, match="read-only"):
        tj.jit(adds, backend="numba")(np.broadcast_to(1.0, (3,)))
    same(frozen, X)
    x = X.copy()
    jitted(x)
    assert x[0] == -2.0


@both
def test_after_a_failed_check_nothing_runs_twice(backend):
    """As in NumPy, writes made before the error stay; which ones is not promised."""

    def fn(x, k):
        x += 1
        return x[int(k)]

    jitted = tj.jit(fn, backend=backend)
    for _ in range(3):
        x = X.copy()
        assert jitted(x, 2.0) == 3.0
        with pytest.raises(IndexError):
            jitted(x, 99.0)
        assert set(x - X) <= {1.0, 2.0}


# Derivatives ------------------------------------------------------------------------


@both
@pytest.mark.parametrize("fn", [stores, recurrence, by_view], ids=lambda f: f.__name__)
def test_derivatives_leave_the_caller_alone(fn, backend):
    def loss(x):
        fn(x)
        return np.sum(x * x)

    x = X.copy()
    numeric = np.empty(len(x))
    for k in range(len(x)):
        h = np.zeros(len(x))
        h[k] = 1e-6
        numeric[k] = (loss(x + h) - loss(x - h)) / 2e-6
    for _ in range(3):
        np.testing.assert_allclose(tj.grad(loss, backend=backend)(x), numeric, 1e-6)
        value, g = tj.value_and_grad(loss, backend=backend)(x)
        np.testing.assert_allclose(value, loss(X.copy()))
        np.testing.assert_allclose(g, numeric, 1e-6)
        value, pull = tj.vjp(loss, x, backend=backend)
        np.testing.assert_allclose(pull(1.0)[0], numeric, 1e-6)
        value, slope = tj.jvp(loss, (x,), (np.ones(6),), backend=backend)
        np.testing.assert_allclose(slope, np.sum(numeric), 1e-6)
        same(x, X)


def test_derivatives_work_on_copies_of_what_is_read_only():
    x = X.copy()
    x.setflags(write=False)

    def loss(x):
        x *= 2
        return np.sum(x)

    same(tj.grad(loss, backend="numpy")(x), np.full(6, 2.0))


@both
def test_auxiliary_results_are_no_aliases(backend):
    def loss(x):
        x *= 2
        return np.sum(x), x

    x = X.copy()
    _, aux = tj.grad(loss, has_aux=True, backend=backend)(x)
    same(aux, 2 * X)
    same(x, X)
    assert not np.shares_memory(aux, x)


@both
def test_transforms_within_one_another(backend):
    def scale(x, c):
        x *= c
        return np.sum(x)

    inner = tj.jit(scale, backend=backend)

    def outer(x):
        inner(x, 3.0)  # a call like any other: outer sees the write
        g = tj.grad(scale, argnums=1)(x, 2.0)  # works on a copy
        return np.sum(x) + g

    x = X.copy()
    expected = 6 * np.sum(X)
    np.testing.assert_allclose(tj.jit(outer, backend=backend)(x), expected)
    same(x, 3 * X)
    same(tj.grad(outer, backend=backend)(x), np.full(6, 6.0))
    same(x, 3 * X)

    def whole(x):
        return np.sum(tj.jit(tj.grad(outer))(x) * x)

    same(tj.grad(whole, backend=backend)(x), np.full(6, 6.0))


def test_an_inner_derivative_writes_to_what_is_around_it():
    def outer(x):
        work = np.zeros(6)

        def inner(y):
            work[:] = y * y
            return np.sum(work * x)

        g = tj.grad(inner, backend="numpy")(x)
        return np.sum(g) + np.sum(work)

    expected = outer(X)  # with `work` an array of the outside
    np.testing.assert_allclose(expected, np.sum(3 * X * X))
    for _ in range(2):
        np.testing.assert_allclose(tj.jit(outer, backend="numpy")(X), expected)

    def twice(x):
        return tj.grad(lambda a, b: touches(a, b))(x, x)

    def touches(a, b):
        a[0] = 1.0
        return np.sum(a * b)

    with pytest.raises(OverlapError, match="shares memory"):
        tj.jit(twice, backend="numpy")(X.copy())

    def halves(x):
        return tj.grad(touches)(x[:3], x[3:])

    same(tj.jit(halves, backend="numpy")(X.copy()), [0.0, X[4], X[5]])


# Containers -------------------------------------------------------------------------


@both
def test_leaves_of_containers(backend):
    def fn(params):
        params["w"] += 1
        params["layers"][0][:] = 2.0
        return params

    params = {"w": X.copy(), "layers": [X.copy(), X.copy()]}
    w, layer = params["w"], params["layers"][0]
    jitted = tj.jit(fn, backend=backend)
    for k in range(1, 4):
        out = jitted(params)
        same(w, X + k)
        same(layer, np.full(6, 2.0))
        assert out["w"] is w and out["layers"][0] is layer


@pytest.mark.parametrize(
    "change",
    [
        lambda p, x: p.update(w=x * 2),
        lambda p, x: p.pop("w"),
        lambda p, x: p.__setitem__("new", x),
        lambda p, x: p["list"].append(x),
    ],
)
def test_containers_are_not_changed_behind_the_callers_back(change):
    def fn(params, x):
        change(params, x)
        return np.sum(x)

    params = {"w": X.copy(), "list": [1.0]}
    with pytest.raises(OutsideStoreError, match="among the arguments"):
        tj.jit(fn, backend="numpy")(params, X)
    same(params["w"], X)
    assert list(params) == ["w", "list"] and params["list"] == [1.0]
    tj.grad(fn, argnums=1, backend="numpy")(params, X)


# Threads ----------------------------------------------------------------------------


def test_threads_write_to_their_own_arrays():
    jitted = tj.jit(steps)
    expected = X.copy()
    for _ in range(200):
        steps(expected)
    jitted(X.copy())
    wrong = []

    def work():
        x = X.copy()
        for _ in range(200):
            jitted(x)
        if not np.allclose(x, expected):
            wrong.append(x)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
