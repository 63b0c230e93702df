"""Results in the caller's arrays: `out=`, `donate_argnums=`."""

from __future__ import annotations

import gc
import sys
import weakref
from collections import namedtuple

import numpy as np
import pytest

from tracejit import grad, jacrev, jit, value_and_grad, vmap
from tracejit.backend import fast_entry
from tracejit.base.errors import OverlapError, ReadOnlyError, TreeMismatchError

X, Y = np.linspace(0.5, 1.5, 6), np.linspace(-1.0, 2.0, 6)
Pair = namedtuple("Pair", "a b")


def loss(p, scale):
    return np.sum(np.tanh(p["w"] * p["b"])) * scale


def pair(x, y):
    return x + y, np.sum(x * y)


def shifted(x, y):
    return x + 1.0, x


def step(x):
    return x - 0.1 * np.tanh(x)


P = {"w": X, "b": Y}


def empty(value):
    """Arrays of the structure of a value, with nothing in them yet."""
    if isinstance(value, tuple):
        parts = map(empty, value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list):
        return [*map(empty, value)]
    if isinstance(value, dict):
        return {key: empty(part) for key, part in value.items()}
    return np.full_like(np.asarray(value), 77)


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


CASES = {
    "grad": (grad(loss), (P, 2.0)),
    "value_and_grad": (value_and_grad(loss, (0, 1)), (P, 2.0)),
    "jit": (jit(pair), (X, Y)),
    "interpreted": (value_and_grad(loss, backend="numpy"), (P, 2.0)),
    "jacrev": (jacrev(lambda x: x**2), (X,)),
    "vmap": (vmap(lambda x: x * 2), (X,)),
    "float32": (jit(pair), (X.astype(np.float32), Y.astype(np.float32))),
    "complex": (jit(lambda x: (x * 1j, np.sum(x) * 1j)), (X,)),
    "integers": (jit(lambda x: ((x > 1).astype(np.int32), (x > 1).any())), (X,)),
    "named": (jit(lambda x: Pair(x * 2, [x + 1])), (X,)),
    "methods": (jit(lambda x: {"a": x + 1, "b": x.sum()}), (X,)),
}


@pytest.mark.parametrize("f, args", CASES.values(), ids=CASES)
def test_results_are_put_in_out(f, args):
    expected = f(*args)
    for _ in range(4):
        out = empty(expected)
        found = f(*args, out=out)
        for made, array, wanted in zip(
            *map(leaves, (found, out, expected)), strict=True
        ):
            assert made is array
            np.testing.assert_array_equal(array, wanted)
        if f.options.backend is None and fast_entry._works():
            assert f.fast(*args, out=out) is not NotImplemented


@pytest.mark.parametrize("f, args", CASES.values(), ids=CASES)
def test_out_need_not_be_whole(f, args):
    expected = leaves(f(*args))
    if not isinstance(f(*args), tuple):
        return
    for _ in range(3):
        out = (None, *empty(f(*args))[1:])
        out = type(f(*args))(*out) if hasattr(f(*args), "_fields") else out
        found = f(*args, out=out)
        assert leaves(found)[-1] is leaves(out)[-1]
        for made, wanted in zip(leaves(found), expected, strict=True):
            np.testing.assert_array_equal(made, wanted)
        other = leaves(f(*args, out=out))
        assert not isinstance(other[0], np.ndarray) or other[0] is not leaves(found)[0]


def test_out_may_be_none():
    f = jit(pair)
    for _ in range(3):
        np.testing.assert_array_equal(f(X, Y, out=None)[0], X + Y)


WRONG = [
    (lambda: (np.empty(6), 0.0), TreeMismatchError, "a float where"),
    (lambda: (np.empty(5), np.empty(())), TreeMismatchError, r"shape \(5,\)"),
    (lambda: (np.empty(6, "f4"), None), TreeMismatchError, "float32"),
    (lambda: [np.empty(6), None], TreeMismatchError, "list"),
    (lambda: np.empty(6), TreeMismatchError, "ndarray where"),
    (lambda: (np.broadcast_to(0.0, 6), None), ReadOnlyError, "read-only"),
    (lambda: (X[:], X[0, ...]), OverlapError, "share memory"),
]


@pytest.mark.parametrize("make, kind, text", WRONG)
def test_wrong_arrays_are_refused(make, kind, text):
    f, x = jit(pair), X.copy()
    for _ in range(3):
        with pytest.raises(kind, match=text):
            f(X, Y, out=make())
    np.testing.assert_array_equal(X, x)
    right = f(X, Y, out=(np.empty(6), np.empty(())))
    for _ in range(3):
        with pytest.raises(kind, match=text):
            f(X, Y, out=make())
        np.testing.assert_array_equal(f(X, Y, out=right)[0], X + Y)


@pytest.mark.parametrize("f", [jit(step), grad(lambda x: np.sum(np.sin(x) * x[::-1]))])
def test_out_may_share_memory_with_arguments(f):
    big = np.linspace(0.0, 1.0, 9)
    for k in range(4):
        for offset in (0, 1, 3):
            memory = big.copy()
            expected = f(big[:6].copy())
            f(memory[:6].copy(), out=np.empty(6))
            f(memory[:6], out=memory[offset : offset + 6])
            np.testing.assert_array_equal(memory[offset : offset + 6], expected, str(k))


def test_a_result_that_is_an_argument():
    f = jit(shifted)
    for _ in range(4):
        x, y = X.copy(), Y.copy()
        f(x, y, out=(x, y))
        np.testing.assert_array_equal(x, X + 1)
        np.testing.assert_array_equal(y, X)


def test_strided_arrays_are_filled():
    f, x = jit(step), np.ones((3, 4))
    for out in [np.empty((4, 3)).T, np.empty((6, 4))[::2], np.empty((3, 4), order="F")]:
        for _ in range(3):
            assert f(x, out=out) is out
            np.testing.assert_allclose(out, step(x), 1e-14)


def test_a_parameter_of_that_name_is_the_users():
    def f(x, out=None):
        return np.sum(x * out)

    np.testing.assert_array_equal(grad(f)(X, out=Y), Y)

    def g(x, **options):
        return np.sum(x * options["out"])

    np.testing.assert_array_equal(grad(g)(X, out=Y), Y)


def test_functions_that_write():
    def f(x):
        x *= 2
        return np.cumsum(x)

    g = jit(f)
    for _ in range(3):
        x, out = X.copy(), np.empty(6)
        assert g(x, out=out) is out
        np.testing.assert_array_equal(x, 2 * X)
        np.testing.assert_allclose(out, np.cumsum(2 * X))
        x = X.copy()
        g(x, out=x)
        np.testing.assert_allclose(x, np.cumsum(2 * X))


def test_references_of_out():
    f = value_and_grad(loss)
    out = empty(f(P, 2.0))
    things = [out, *leaves(out), X, Y, P, np.dtype(float)]
    f(P, 2.0, out=out)
    gc.collect()
    before = [sys.getrefcount(t) for t in things]
    for _ in range(1000):
        f(P, 2.0, out=out)
    gc.collect()
    after = [sys.getrefcount(t) for t in things]
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < 5


# Donated arguments --------------------------------------------------------------------


def test_donated_arrays_take_turns():
    for n in (6, 20_000):
        f, x, y = jit(step, donate_argnums=0), np.ones(n), np.ones(n)
        places = set()
        for _ in range(20):
            x, y = f(x), step(y)
            np.testing.assert_allclose(x, y)
            places.add(x.ctypes.data)
        if fast_entry._works():
            assert len(places) <= 4
            first = x
            x = f(x)
            last, first = weakref.ref(first), None
            assert f(x) is last()


def test_held_arrays_stay_what_they_are():
    f, x = jit(step, donate_argnums=(0,)), np.ones(6)
    held, wanted = [x], [x.copy()]
    for _ in range(10):
        held.append(f(held[-1]))
        wanted.append(step(wanted[-1]))
    views = [a[1:3] for a in held]
    del x
    for _ in range(5):
        held[-1] = f(held[-1])
    for array, right in zip(held[:-1], wanted[:-1], strict=True):
        np.testing.assert_allclose(array, right)
    held.clear()
    kept = f(np.full(6, 3.0))
    f(f(f(np.zeros(6))))
    np.testing.assert_allclose(kept, step(np.full(6, 3.0)))
    for view, right in zip(views[:-1], wanted[:-1], strict=True):
        np.testing.assert_allclose(view, right[1:3])


def test_donated_gradients():
    f = value_and_grad(loss, donate_argnums=(0, -1))
    expected = value_and_grad(loss)(P, 2.0)
    p = {key: array.copy() for key, array in P.items()}
    for _ in range(5):
        value, found = f(p, 2.0)
        assert value == expected[0]
        for key, array in found.items():
            np.testing.assert_allclose(array, expected[1][key])
        del found
        p = {key: array.copy() for key, array in P.items()}


def test_views_and_arrays_of_others_are_not_donated():
    f = jit(step, donate_argnums=0)
    whole = np.ones((4, 6))
    for _ in range(3):
        for row in whole:
            f(row)
    np.testing.assert_allclose(whole, np.ones((4, 6)))


def test_a_number_that_is_written_to_is_written_to():
    """An array without axes: the kernel gets its value alone."""

    def f(x):
        x += 1
        return x * 2

    g = jit(f)
    for _ in range(4):
        x = np.array(2.0)
        assert g(x) == 6.0 and x == 3.0
