"""Memory for temporaries: shared by all functions, one block for each running call."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from tests.backend.test_fast_entry import in_new_process
from tracejit import cost, grad, jit, value_and_grad
from tracejit.backend import fast_entry, workspace

N = 200_000


def smooth(x):
    """Two arrays on the way that the result needs whole."""
    y = np.cumsum(x)
    z = np.cumsum(y[::-1] * x)
    return np.sum(z * y)


def other(x):
    return np.sum(np.cumsum(np.cumsum(x)[::-1]) * x)


def large(rng_seed=0, n=N):
    return np.random.default_rng(rng_seed).normal(size=n) / n


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    workspace._free.clear()
    yield
    gc.collect()


def entry_of(f):
    return f.entries[next(iter(f.entries))][0]


@pytest.mark.parametrize("by_entry", [True, False])
def test_functions_take_turns_with_one_block(by_entry, monkeypatch):
    if not by_entry:
        monkeypatch.setattr(fast_entry, "_works", lambda: False)
    f, g, x = jit(smooth), value_and_grad(other), large()
    expected = smooth(x), other(x)
    seen = set()
    for _ in range(4):
        np.testing.assert_allclose(f(x), expected[0], 1e-9)
        np.testing.assert_allclose(g(x)[0], expected[1], 1e-9)
        assert len(workspace._free) == 1
        seen.add(workspace._free[0].ctypes.data)
    assert (f.fast is not None) == (by_entry and fast_entry._works())
    rooms = [entry_of(h).run._room for h in (f, g)]
    assert min(rooms) > fast_entry.LARGE
    assert workspace._free[0].nbytes == max(rooms)
    assert len(seen) <= 2  # it grew once


def test_blocks_go_with_the_functions_that_need_them():
    f, g, x = jit(smooth), jit(smooth), large()
    f(x), g(x[: N // 2].copy())
    needed = entry_of(f).run._room
    f(x)
    assert [b.nbytes for b in workspace._free] == [needed]
    del f
    gc.collect()
    assert not workspace._free  # too large for what is left
    g(x[: N // 2].copy())
    assert [b.nbytes for b in workspace._free] == [entry_of(g).run._room]
    del g
    gc.collect()
    assert not workspace._free


def test_threads_have_blocks_of_their_own():
    f = value_and_grad(smooth)
    inputs = [large(seed) for seed in range(4)]
    expected = [f(x) for x in inputs]
    wrong = []

    def work(k):
        for _ in range(20):
            value, slope = f(inputs[k])
            if value != expected[k][0] or (slope != expected[k][1]).any():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= len(workspace._free) <= 4
    assert len({b.ctypes.data for b in workspace._free}) == len(workspace._free)


def test_it_is_part_of_the_peak():
    x = large()
    f = jit(smooth)
    f(x)
    run, told = entry_of(f).run, cost(f)(x).primal
    assert run.workspace_bytes >= 8 * N
    assert told.peak_bytes == run.workspace_bytes + 8


def test_a_failed_allocation_raises_memory_error(tmp_path):
    in_new_process(
        """
        import resource
        import numpy as np
        from tests.backend.test_workspace import entry_of, smooth
        from tracejit import jit
        from tracejit.backend import workspace
        f, x = jit(smooth), np.ones(8_000_000)
        f(x), f(x)
        assert f.fast is not None
        old = resource.getrlimit(resource.RLIMIT_AS)
        for _ in range(3):
            workspace._free.clear()
            pages = int(open("/proc/self/statm").read().split()[0])
            limit = pages * resource.getpagesize() + (16 << 20)
            resource.setrlimit(resource.RLIMIT_AS, (limit, old[1]))
            try:
                f.fast(x)
            except MemoryError:
                pass
            else:
                raise AssertionError("no MemoryError")
            resource.setrlimit(resource.RLIMIT_AS, old)
            assert np.isclose(f.fast(x), smooth(x))
        """,
        tmp_path,
    )


def test_errors_on_the_way_are_raised(monkeypatch):
    f, x = jit(smooth), large()
    expected = f(x), f(x)
    if f.fast is None:
        pytest.skip("no entry in C here")

    for name in ("_free", "_needed"):
        with monkeypatch.context() as patch:
            patch.setattr(workspace, name, None)
            with pytest.raises((AttributeError, TypeError)):
                f.fast(x)
    assert f(x) == expected[0]


def test_gradients_of_large_arrays_are_right():
    x = large(n=160_000)
    slope = grad(smooth)
    found = [slope(x) for _ in range(3)]
    d = large(7, n=160_000)
    h = 1e-4
    numeric = (smooth(x + h * d) - smooth(x - h * d)) / (2 * h)
    np.testing.assert_allclose(found[-1] @ d, numeric, 1e-5)
    np.testing.assert_array_equal(found[0], found[-1])
