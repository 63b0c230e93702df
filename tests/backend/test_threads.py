"""Loops on threads: the threads themselves, and kernels that use them."""

from __future__ import annotations

import ctypes
import importlib
import math
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import tracejit as tj
from tracejit import grad, jit, value_and_grad
from tracejit.backend import object_code as object_code  # it starts LLVM
from tracejit.backend import thread_pool
from tracejit.base.config import override

# Threads ------------------------------------------------------------------------------


def test_every_part_runs_once_and_threads_share_them():
    for parts, threads in [(1, 2), (2, 2), (7, 3), (64, 4)]:
        counts = [0] * parts

        def count(k, counts=counts):
            counts[k] += 1

        thread_pool.run(count, parts, threads)
        assert counts == [1] * parts
    who: set[int] = set()

    def wait(k):
        who.add(threading.get_ident())
        time.sleep(0.01)

    thread_pool.run(wait, 8, 2)
    assert len(who) == 2
    who.clear()
    thread_pool.run(wait, 8, 1)
    assert who == {threading.get_ident()}


def test_jobs_of_several_threads_at_once():
    totals = [0] * 4

    def work(number):
        for _ in range(100):

            def count(k):
                totals[number] += 1

            thread_pool.run(count, 5, 3)

    callers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert totals == [500] * 4


# Kernels ------------------------------------------------------------------------------


def waves(x, w):
    out = np.zeros(len(x))
    for i in range(len(x)):
        out[i] = math.exp(-x[i] * w) + math.sin(x[i])
    return np.sum(out**2)


def checked(x, k):
    s = 0.0
    for i in range(len(x)):
        s += x[k[i]] ** 2
    return s


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random(20_000)


def test_results_are_those_of_one_thread_and_always_the_same(x):
    alone = value_and_grad(waves, (0, 1))(x, 0.7)
    shared = value_and_grad(waves, (0, 1), parallel=2)
    first = shared(x, 0.7)
    np.testing.assert_allclose(first[0], alone[0], rtol=1e-12)
    np.testing.assert_allclose(first[1][0], alone[1][0], rtol=1e-12)
    np.testing.assert_allclose(first[1][1], alone[1][1], rtol=1e-12)
    for _ in range(20):
        again = shared(x, 0.7)
        assert (again[0], again[1][1]) == (first[0], first[1][1])
        np.testing.assert_array_equal(again[1][0], first[1][0])


def test_every_transform_takes_threads(x):
    def f(x):
        return np.sum(np.exp(-(x**2)) * np.sin(x))

    def rows(A):
        return np.exp(A) @ np.ones(A.shape[1])

    A, v = x.reshape(100, 200), np.ones(len(x))
    value, pull = tj.vjp(f, x, parallel=2)
    np.testing.assert_allclose(value, f(x), rtol=1e-12)
    np.testing.assert_allclose(pull(1.0)[0], tj.grad(f)(x), rtol=1e-12)
    expected = tj.jvp(f, (x,), (v,))[1]
    np.testing.assert_allclose(tj.jvp(f, (x,), (v,), parallel=2)[1], expected, 1e-10)
    push = tj.linearize(f, x, parallel=2)[1]
    np.testing.assert_allclose(push(v), expected, 1e-10)
    curved = tj.hvp(f, (x,), (v,), parallel=2)
    np.testing.assert_allclose(curved, tj.hvp(f, (x,), (v,)), rtol=1e-10)
    mapped = tj.vmap(lambda row: f(row), parallel=2)(A)
    np.testing.assert_allclose(mapped, [f(row) for row in A], rtol=1e-10)
    np.testing.assert_allclose(tj.jit(rows, parallel=2)(A), rows(A), rtol=1e-12)


def test_a_check_on_a_thread_fails_at_the_users_line(x):
    k = np.arange(len(x))
    f = jit(checked, parallel=2)
    np.testing.assert_allclose(f(x, k), checked(x, k))
    k[[7, 15_000]] = len(x), -len(x) - 1
    with pytest.raises(IndexError, match="out of"):
        f(x, k)


def test_calls_from_threads(x):
    f = grad(waves, parallel=2)
    expected = f(x, 0.7)
    wrong = []

    def call():
        for _ in range(50):
            if not np.array_equal(f(x, 0.7), expected):
                wrong.append(1)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own(x):
    f = grad(waves, parallel=2)
    expected = f(x, 0.7)
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(f(x, 0.7), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(f(x, 0.7), expected)


MODULE = """
import math
import sys
import numpy as np
from tracejit import grad

@grad(parallel=2)
def slope(w):
    x = np.linspace(0, 1, 20_000)
    s = 0.0
    for i in range(len(x)):
        s += math.exp(-x[i] * w) * 0.25
    return s

if __name__ == "__main__":
    print(float(slope(0.7)))
    assert "numba" not in sys.modules
"""


def test_another_process_loads_what_this_one_has_compiled(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    (tmp_path / "on_threads.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    with override(cache_dir=cache):
        expected = float(importlib.import_module("on_threads").slope(0.7))
    command = [sys.executable, str(tmp_path / "on_threads.py")]
    path = os.pathsep.join(sys.path)
    environment = os.environ | {"TRACEJIT_CACHE_DIR": str(cache), "PYTHONPATH": path}
    ended = subprocess.run(command, env=environment, check=True, capture_output=True)
    assert float(ended.stdout) == expected


def test_parallel_is_a_number_of_threads(monkeypatch):
    with override(threads=5):
        assert grad(waves, parallel=True).options.threads == 5
    assert grad(waves, parallel=3).options.threads == 3
    assert grad(waves).options.threads == 1
    with pytest.raises(ValueError, match="number of threads"):
        grad(waves, parallel=0)
    with pytest.raises(ValueError, match="number of threads"):
        grad(waves, parallel="two")
    monkeypatch.setattr(os, "name", "nt")
    with pytest.warns(UserWarning, match="serial"):
        assert grad(waves, parallel=2).options.threads == 1


def blas_threads():
    """How many threads NumPy's BLAS is set to use; None where it does not say."""
    library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    for name in ("scipy_openblas_get_num_threads64_", "openblas_get_num_threads"):
        if hasattr(library, name):
            return getattr(library, name)()
    return None


def test_products_between_shared_loops_leave_blas_as_the_user_has_set_it():
    def loss(W, V, X):
        return np.sum(np.tanh(np.tanh(X @ W) @ V) ** 2)

    rng = np.random.default_rng(0)
    args = *rng.normal(size=(2, 30, 30)), rng.normal(size=(2_000, 30))
    before = blas_threads()
    shared = value_and_grad(loss, (0, 1, 2), parallel=2)
    (value, slopes), (again, others) = shared(*args), shared(*args)
    assert blas_threads() == before
    assert value == again and all(map(np.array_equal, slopes, others))
    alone, expected = value_and_grad(loss, (0, 1, 2))(*args)
    np.testing.assert_allclose(value, alone, rtol=1e-12)
    for mine, theirs in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10)
    text = tj.show(shared, *args)
    assert "on 2 threads" in text and "_tj_gemm" in tj.show(
        shared, *args, stage="source"
    )
