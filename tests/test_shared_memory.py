"""Arguments that share memory, results that are the caller's memory: as in NumPy."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

import tracejit as tj
from tests.test_arguments import X, adds, both, same
from tracejit.base.errors import OverlapError

# Memory that is shared --------------------------------------------------------------


def crossing(x, y):
    x[0] = 7.0
    y *= 2.0
    x[1:] += y[:-1]
    return np.sum(x * y)


def reading(x, y):
    x += 2 * y
    return np.sum(y)


SHARED = {
    "twice": lambda b: (b, b),
    "shifted": lambda b: (b[1:], b[:-1]),
    "reversed": lambda b: (b[::-1], b),
    "overlapping steps": lambda b: (b[::2], b[:6]),
    "interleaved": lambda b: (b[::2], b[1::2]),
    "halves": lambda b: (b[:6], b[6:]),
    "one within": lambda b: (b[2:5], b[3:6]),
}


@both
@pytest.mark.parametrize("how", SHARED)
@pytest.mark.parametrize("fn", [crossing, reading], ids=lambda f: f.__name__)
def test_shared_memory(fn, how, backend):
    jitted = tj.jit(fn, backend=backend)
    for _ in range(2):
        ours, theirs = np.arange(12.0), np.arange(12.0)
        expected = fn(*SHARED[how](theirs))
        same(jitted(*SHARED[how](ours)), expected)
        same(ours, theirs)
    apart = np.arange(12.0), np.arange(12.0)
    n = len(SHARED[how](apart[0])[0])
    a, b = np.ones(n), np.ones(n)
    same(jitted(a, b), fn(np.ones(n), np.ones(n)))


MATRICES = {
    "transposed": lambda b: (b, b.T),
    "rows and columns": lambda b: (b[1:], b[:-1]),
    "inside": lambda b: (b[1:-1, 1:-1], b[:-2, 2:]),
    "inside, transposed": lambda b: (b[1:-1, 1:-1].T, b[:-2, 2:]),
    "a block and all": lambda b: (b[1:3, 1:3], b[2:, 2:]),
    "columns backwards": lambda b: (b[:, ::-1], b),
}


@both
@pytest.mark.parametrize("how", MATRICES)
def test_shared_matrices(how, backend):
    jitted = tj.jit(reading, backend=backend)
    ours, theirs = np.arange(16.0).reshape(4, 4), np.arange(16.0).reshape(4, 4)
    for _ in range(2):
        same(jitted(*MATRICES[how](ours)), reading(*MATRICES[how](theirs)))
        same(ours, theirs)


def test_one_trace_for_each_way_to_share():
    jitted = tj.jit(reading, backend="numpy")
    b = np.arange(8.0)
    for _ in range(3):
        for x, y in [(b[1:], b[:-1]), (b[:-1], b[1:]), (b[1:], b[1:]), (b[1:], X)]:
            if len(x) == len(y):
                jitted(x, y)
    assert sum(map(len, jitted.entries.values())) == 3


def test_arrays_only_read_may_share_memory():
    jitted = tj.jit(lambda x, y: np.sum(x * y), backend="numpy")
    assert jitted(X, X) == np.sum(X * X) == jitted(X, X[::-1][::-1])
    assert len(jitted.entries) == 1
    same(tj.grad(lambda x, y: np.sum(x * y), backend="numpy")(X, X), X)


def test_three_arguments_and_an_unrelated_one():
    def fn(a, b, c, d):
        a += b
        d += c
        b[0] = d[1]

    like = np.arange(9.0)
    ours, theirs = like.copy(), like.copy()
    d, e = np.ones(3), np.ones(3)
    tj.jit(fn, backend="numpy")(ours[:3], ours[2:5], ours[4:7], d)
    fn(theirs[:3], theirs[2:5], theirs[4:7], e)
    same(ours, theirs)
    same(d, e)


@both
def test_identity_of_one_array_passed_twice(backend):
    def fn(x, y):
        x[0] += 1
        return 1.0 if x is y else 0.0

    jitted = tj.jit(fn, backend=backend)
    x = X.copy()
    assert jitted(x, X.copy()) == 0.0
    assert jitted(x, x) == 1.0
    assert jitted(x, X.copy()) == 0.0


def test_memory_that_cannot_be_shared_exactly():
    raw = np.zeros(64, np.uint8)
    floats, shifted = raw[:48].view(float), raw[4:52].view(float)
    jitted = tj.jit(reading, backend="numpy")
    with pytest.raises(OverlapError, match="whole elements"):
        jitted(floats, shifted)
    with pytest.raises(TypeError, match="dtypes"):
        jitted(floats, floats.view(np.int64))
    folded = np.lib.stride_tricks.as_strided(np.zeros(4), (3, 2), (8, 8))
    with pytest.raises(OverlapError, match="elements share"):
        tj.jit(adds, backend="numpy")(folded)


@both
def test_derivatives_refuse_shared_memory_that_is_written_to(backend):
    value_and_grad = tj.value_and_grad(crossing, backend=backend)
    x = X.copy()
    expected = value_and_grad(x, X)
    for _ in range(2):
        with pytest.raises(OverlapError, match=r"x\.copy"):
            value_and_grad(x, x)
        same(value_and_grad(x, X)[1], expected[1])


def test_shared_memory_by_the_entry_in_c():
    jitted = tj.jit(reading)
    x, y = np.arange(6.0), np.ones(6)
    jitted(x, y)
    jitted(x, y)
    if jitted.fast is None:
        pytest.skip("no entry in C here")
    fast = jitted.fast
    assert fast(x, y) == 6.0
    for pair in [(x, x), (y, y)]:
        before = pair[0].copy()
        assert fast(*pair) is NotImplemented
        same(pair[0], before)
    base = np.arange(7.0)
    assert fast(base[1:], base[:-1]) is NotImplemented
    base = np.arange(12.0)
    assert fast(base[:6], base[6:]) == np.sum(base[6:])
    frozen = X.copy()
    frozen.setflags(write=False)
    assert fast(frozen, y) is NotImplemented
    assert fast(y, frozen) == np.sum(X)


# Results that are the caller's memory -----------------------------------------------


@both
def test_an_argument_returned_is_that_argument(backend):
    def fn(x, y):
        x += y
        return x, (y, np.sum(x))

    jitted = tj.jit(fn, backend=backend)
    for _ in range(3):
        x, y = X.copy(), np.ones(6)
        a, (b, total) = jitted(x, y)
        assert a is x and b is y and total == np.sum(X + 1)
    identity = tj.jit(lambda x: x, backend=backend)
    for _ in range(3):
        assert identity(x) is x
        assert identity(x[::2]).base is x


@both
def test_a_view_returned_is_a_view(backend):
    def fn(x):
        x[0] = 9.0
        rows = x.reshape(2, 3)
        return x[1:], rows.T, x[::-2], rows[1, 0], x + 0

    ours, theirs = X.copy(), X.copy()
    results, expected = tj.jit(fn, backend=backend)(ours), fn(theirs)
    for a, b in zip(results, expected, strict=True):
        same(a, b)
        assert np.shares_memory(a, ours) == np.shares_memory(b, theirs)
        assert np.asarray(a).strides == np.asarray(b).strides
    results[0][0] = expected[0][0] = 100.0
    same(ours, theirs)


def test_a_view_whose_place_depends_on_data_is_a_copy():
    def fn(x):
        return x.reshape(2, 3)[int(x[5] > 0)]

    same(tj.jit(fn, backend="numpy")(X), X[3:])


@both
def test_views_of_shared_memory_are_returned(backend):
    def fn(x, y):
        x[0] = 5.0
        return x, y[1:]

    b = np.arange(6.0)
    for _ in range(2):
        x = b[:4]
        one, other = tj.jit(fn, backend=backend)(x, b[2:])
        assert one is x and np.shares_memory(other, b)
        same(other, b[3:])


def test_references_are_neither_lost_nor_kept():
    def fn(x, y):
        x += y
        return x, None, y, np.sum(x)

    jitted, x, y = tj.jit(fn), np.zeros(6), np.zeros(6)
    for _ in range(3):
        jitted(x, y)
    if jitted.fast is None:
        pytest.skip("no entry in C here")
    things = [x, y, None, jitted.fast]
    gc.collect()
    before = [sys.getrefcount(t) for t in things], sys.getallocatedblocks()
    for _ in range(300):
        jitted(x, y)
        assert jitted.fast(x, x) is NotImplemented
        assert jitted.fast(x) is NotImplemented
    gc.collect()
    after = [sys.getrefcount(t) for t in things], sys.getallocatedblocks()
    assert max(abs(a - b) for a, b in zip(after[0], before[0], strict=True)) < 20
    assert abs(after[1] - before[1]) < 50
