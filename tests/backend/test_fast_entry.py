"""Calls that go by the entry in C: the same results, or the way through Python."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from tracejit import grad, jit, value_and_grad
from tracejit.backend import fast_entry, numba_build
from tracejit.base.config import override

pytestmark = pytest.mark.skipif(
    not fast_entry._works(), reason="the entry does not know this Python or NumPy"
)


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def weighted(a, x, c):
    return np.sum(np.tanh(a @ x) ** 2) * c


def numbers(a, b):
    return a * b + np.sin(a), (b, a - b)


def doubled(x):
    y = 2 * x
    return y, y, np.sum(y)


def integers(x):
    return (x > 1).astype(np.int32), np.max(x) > 2.0


def power(x, n, y, how, flip):
    for _ in range(n % 7):
        x = x * y
    x = -x if flip else x
    return np.sum(x) if how == "sum" else x[0]


X = np.linspace(0.5, 1.5, 10)
CASES = [
    (value_and_grad(power, (0, 2)), (X, 3, 1.5, None, False)),
    (value_and_grad(power), (X, -1, 1.5, "sum", True)),
    (value_and_grad(power), (X, 10**30, 1.5, None, False)),
    (grad(rosenbrock), (X,)),
    (value_and_grad(rosenbrock), (X,)),
    (value_and_grad(rosenbrock), (X.astype(np.float32),)),
    (value_and_grad(weighted, (0, 1, 2)), (X.reshape(2, 5), X[:5].copy(), 1.5)),
    (value_and_grad(weighted, (2,)), (X.reshape(2, 5), X[:5].copy(), 1.5)),
    (jit(numbers), (0.5, -2.0)),
    (jit(doubled), (X.reshape(2, 5),)),
    (jit(integers), (3 * X,)),
    (jit(doubled), (np.zeros((0, 3)),)),
]


def hasten(f, *args):
    """Call until the entry in C serves; the result of the way through Python."""
    expected = f(*args)
    f(*args)
    assert f.fast is not None
    return expected


def same(a, b):
    """Equal, bit by bit, and of the same types."""
    assert type(a) is type(b)
    if type(a) is tuple:
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same(one, other)
        return
    assert np.asarray(a).dtype == np.asarray(b).dtype
    assert np.shape(a) == np.shape(b)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("f, args", CASES)
def test_results_are_those_of_the_way_through_python(f, args):
    expected = hasten(f, *args)
    for _ in range(3):
        found = f.fast(*args)
        assert found is not NotImplemented
        same(found, expected)
        same(f(*args), expected)


class Own(np.ndarray):
    pass


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: (x[:-1].copy(), y),
        lambda x, y: (x.astype(np.float32), y),
        lambda x, y: (x.astype(">f8"), y),
        lambda x, y: (np.asfortranarray(x), y),
        lambda x, y: (x[:, ::-1], y),
        lambda x, y: (x.reshape(-1), y),
        lambda x, y: (x, np.float64(y)),
        lambda x, y: (x, 2),
        lambda x, y: (x.view(Own), y),
    ],
)
def test_other_arguments_go_the_way_through_python(change):
    f = jit(lambda x, y: x * y)
    x = np.arange(6.0).reshape(2, 3)
    hasten(f, x, 2.0)
    fast, args = f.fast, change(x, 2.0)
    assert fast(*args) is NotImplemented
    for _ in range(3):
        np.testing.assert_array_equal(f(*args), args[0] * args[1])
    np.testing.assert_array_equal(f(x, 2.0), 2 * x)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, n, y, how, flip: (x, n + 1, y, how, flip),
        lambda x, n, y, how, flip: (x, -n, y, how, flip),
        lambda x, n, y, how, flip: (x, n + 2**64, y, how, flip),
        lambda x, n, y, how, flip: (x, True, y, how, flip),
        lambda x, n, y, how, flip: (x, float(n), y, how, flip),
        lambda x, n, y, how, flip: (x, n, y, "sum", flip),
        lambda x, n, y, how, flip: (x, n, y, how, False),
        lambda x, n, y, how, flip: (x, n, y, how, 1),
    ],
)
@pytest.mark.parametrize("n", [1, -1])
def test_numbers_that_a_trace_relies_on_are_looked_at(n, change):
    f = jit(power)
    args = (X, n, 2.0, None, True)
    hasten(f, *args)
    fast, other = f.fast, change(*args)
    assert fast(*other) is NotImplemented
    if type(other[1]) is float:
        return  # no number of rounds
    for _ in range(3):
        assert f(*other) == power(*other)
        assert f(*args) == power(*args)


def test_arrays_from_a_pickle_are_served():
    """Their dtype is an object of its own."""
    f = jit(lambda x, y: x * y)
    hasten(f, X, 2.0)
    x = pickle.loads(pickle.dumps(X))
    assert x.dtype is not X.dtype
    same(f.fast(x, 2.0), X * 2.0)


def test_keywords_and_wrong_counts():
    f = jit(lambda x, y: x * y)
    hasten(f, X, 2.0)
    np.testing.assert_array_equal(f(X, y=3.0), 3 * X)
    for args in [(X,), (X, 2.0, 2.0), ()]:
        assert f.fast(*args) is NotImplemented
        with pytest.raises(TypeError):
            f(*args)


def test_what_draws_or_leaves_something_has_no_entry():
    rng, seen = np.random.default_rng(0), []

    @jit
    def noisy(x):
        return x + rng.normal()

    @jit
    def told(x):
        seen.append(1)
        return x + 1

    for f in (noisy, told):
        for _ in range(3):
            f(X)
        assert f.fast is None
    assert len(seen) == 3


# References -------------------------------------------------------------------------


@pytest.mark.parametrize("f, args", CASES)
def test_references_are_neither_lost_nor_kept(f, args):
    hasten(f, *args)
    things = [*args, NotImplemented, None, np.dtype(float), np.dtype(np.int32), f.fast]
    gc.collect()
    before = [sys.getrefcount(t) for t in things], sys.getallocatedblocks()
    for _ in range(500):
        f.fast(*args)
        f.fast(*args[:-1])
    gc.collect()
    after = [sys.getrefcount(t) for t in things], sys.getallocatedblocks()
    assert max(abs(a - b) for a, b in zip(after[0], before[0], strict=True)) < 5
    assert abs(after[1] - before[1]) < 100


def test_results_die_with_their_owners():
    f = value_and_grad(weighted, (0, 1))
    args = X.reshape(2, 5), X[:5].copy(), 1.5
    hasten(f, *args)
    value, grads = f(*args)
    assert [sys.getrefcount(g) for g in grads] == [3, 3]  # loop, tuple, call
    assert type(value) is np.float64
    dead = [weakref.ref(g) for g in grads]
    del grads
    assert [d() for d in dead] == [None, None]


def test_a_plan_dies_with_its_function():
    f = jit(lambda x: x + 1)
    hasten(f, X)
    plan = weakref.ref(f.fast.__self__[0])
    gc.collect()
    assert plan() is not None
    del f
    gc.collect()
    assert plan() is None


def test_a_result_that_is_held_is_not_written_again():
    x = np.ones(20_000)  # large enough to be recycled
    f = jit(lambda x, c: x * c)
    hasten(f, x, 1.0)
    held = [f(x, float(k)) for k in range(5)]
    for k, array in enumerate(held):
        assert (array == k).all()
    views = [f(x, float(k))[5:7] for k in range(5)]
    for k, view in enumerate(views):
        assert (view == k).all()


@pytest.mark.parametrize("by_entry", [True, False])
def test_a_recycled_result_is_as_new(by_entry, monkeypatch):
    if not by_entry:
        monkeypatch.setattr(fast_entry, "_works", lambda: False)
    x = np.ones(20_000)
    f = jit(lambda x, c: x * c)
    for spoil in [
        lambda a: setattr(a, "shape", (200, 100)),
        lambda a: setattr(a, "dtype", np.int64),
        lambda a: a.setflags(write=False),
    ]:
        for _ in range(3):
            out = f(x, 2.0)
            assert out.shape == x.shape and out.dtype == x.dtype
            assert out.flags.writeable and (out == 2).all()
            spoil(out)
            del out
    assert (f.fast is not None) == by_entry


# Errors -----------------------------------------------------------------------------


def test_a_failed_check_raises():
    @jit
    def pick(x, where):
        return x[int(where)] * 2.0

    hasten(pick, X, 1.0)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(20):
        with pytest.raises(IndexError, match="index"):
            pick(X, 99.0)
        assert pick(X, 3.0) == 2 * X[3]
    gc.collect()
    assert sys.getallocatedblocks() - before < 200


def in_new_process(program, cache):
    env = {**os.environ, "TRACEJIT_CACHE_DIR": str(cache)}
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=True, env=env
    )


def outer(x):
    return x[:, None] * x[None, :]


def test_a_failed_allocation_raises_memory_error(tmp_path):
    in_new_process(
        """
        import resource
        import numpy as np
        from tests.backend.test_fast_entry import hasten, outer
        from tracejit import jit
        f, x = jit(outer), np.ones(4200)
        hasten(f, x)
        old = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + (32 << 20)
        for _ in range(3):
            resource.setrlimit(resource.RLIMIT_AS, (limit, old[1]))
            try:
                f.fast(x)
            except MemoryError:
                pass
            else:
                raise AssertionError("no MemoryError")
            resource.setrlimit(resource.RLIMIT_AS, old)
            assert f.fast(x).sum() == 4200**2
        """,
        tmp_path,
    )


# Threads ----------------------------------------------------------------------------


def test_threads_do_not_meet_in_temporaries():
    f = value_and_grad(weighted, (0, 1))
    rng = np.random.default_rng(0)
    inputs = [(rng.normal(size=(40, 40)), rng.normal(size=40), 1.5) for _ in range(4)]
    hasten(f, *inputs[0])
    (entry,) = (e for es in f.entries.values() for e in es)
    assert entry.run.workspace_bytes > 0
    expected = [f(*args) for args in inputs]
    wrong = []

    def work(k):
        for _ in range(300):
            value, (a, x) = f(*inputs[k])
            right, (b, y) = expected[k]
            if value != right or (a != b).any() or (x != y).any():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_other_threads_run_beside_a_kernel():
    @jit
    def long(x, trips):
        while trips > 0:
            x = np.sin(x) + 0.5
            trips -= 1.0
        return x

    hasten(long, 0.1, 10.0)
    running, ticks = threading.Event(), 0

    def work():
        running.set()
        assert long.fast(0.1, 3e7) is not NotImplemented
        running.clear()

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    while running.is_set():
        time.sleep(0.001)
        ticks += 1
    thread.join()
    assert ticks > 20


# Elsewhere --------------------------------------------------------------------------


def test_it_serves_kernels_from_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(numba_build, "_loaded", {})
    with override(cache_dir=tmp_path):
        value_and_grad(rosenbrock)(X)
    in_new_process(
        """
        import sys
        import numpy as np
        from tests.backend.test_fast_entry import X, hasten, rosenbrock, same
        from tracejit import value_and_grad
        f = value_and_grad(rosenbrock)
        same(hasten(f, X), f.fast(X))
        assert "numba" not in sys.modules
        """,
        tmp_path,
    )


@pytest.mark.parametrize("what", ["_is_known", "_has_known_layout", "_probe"])
def test_elsewhere_the_way_through_python_serves(what, monkeypatch):
    monkeypatch.setattr(fast_entry, what, lambda: False)
    fast_entry._works.cache_clear()
    f = value_and_grad(rosenbrock)
    results = [f(X) for _ in range(3)]
    assert f.fast is None
    same(results[0], results[2])
    monkeypatch.undo()
    fast_entry._works.cache_clear()
    hasten(value_and_grad(rosenbrock), X)


def test_all_that_the_entry_is_written_by_is_in_its_key():
    here = Path(fast_entry.__file__)
    for name in fast_entry._WRITERS:
        for line in here.with_name(name).read_text().splitlines():
            if line.startswith("from tracejit."):
                package, module = line.split()[1].rsplit(".", 1)
                assert package == "tracejit.backend"
                assert f"{module}.py" in fast_entry._WRITERS
