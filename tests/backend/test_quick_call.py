"""Transformed functions that C calls are functions like others."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import sys
import threading
import time
import traceback
import weakref

import numpy as np
import pytest

from tracejit import grad, jit, value_and_grad
from tracejit.backend import fast_entry, quick_call
from tracejit.runtime.dispatch import Dispatcher

pytestmark = pytest.mark.skipif(
    not fast_entry._works(), reason="the entry does not know this Python or NumPy"
)
X = np.linspace(0.5, 1.5, 10)
ARGS = (X, 2.0, 1)


def scaled(x, factor, sign):
    """Squares, scaled."""
    return sign * factor * np.sum(x**2)


class Model:
    def __init__(self, factor):
        self.factor = factor

    @value_and_grad
    def loss(self, x):
        return np.sum(x**2) * self.factor


@grad
def slope(x):
    return x**3


def quick(f, *args):
    """`f`, after as many calls as it takes to be called by C."""
    f(*args)
    assert f.fast is not None and f.vectorcall
    return f


def served(f, monkeypatch):
    """What gets to Python of the calls of `f`."""
    calls = []
    own = type(f).served

    def watched(self, args, kwargs):
        calls.append((args, kwargs))
        return own(self, args, kwargs)

    monkeypatch.setattr(type(f), "served", watched)
    return calls


def test_python_is_not_asked(monkeypatch):
    f = quick(value_and_grad(scaled), *ARGS)
    calls = served(f, monkeypatch)
    expected = scaled(*ARGS)
    for call in [lambda: f(X, 2.0, 1), lambda: f(*ARGS), functools.partial(f, *ARGS)]:
        assert call()[0] == expected
    assert next(map(f, [X], [2.0], [1]))[0] == expected
    assert not calls
    f(X[:3].copy(), 2.0, 1)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "args, kwargs",
    [
        ((X, 3.0), {"sign": -1}),
        ((), {"sign": -1, "factor": 3.0, "x": X}),
        ((X.astype(np.float32), 2.0, 1), {}),
    ],
)
def test_other_calls_get_to_python_as_they_are(args, kwargs):
    f = quick(jit(scaled), X, 2.0, 1)
    for _ in range(2):
        np.testing.assert_allclose(f(*args, **kwargs), scaled(*args, **kwargs), 1e-6)
        assert f(*ARGS) == scaled(*ARGS)


def test_wrong_calls_raise_what_they_did():
    f = quick(jit(scaled), X, 2.0, 1)
    for args, kwargs in [((), {}), (ARGS, {"x": X}), (ARGS, {"other": 1})]:
        with pytest.raises(TypeError):
            f(*args, **kwargs)


def test_it_is_what_it_was():
    f = quick(jit(scaled), X, 2.0, 1)
    assert f.__name__ == "scaled" and f.__doc__ == "Squares, scaled."
    assert inspect.signature(f) == inspect.signature(scaled)
    assert callable(f) and "fast" not in vars(f)
    assert f.py_func is scaled
    assert hash(f) == hash(f) and f != jit(scaled)


@pytest.mark.parametrize("again", [copy.copy, lambda f: pickle.loads(pickle.dumps(f))])
def test_a_copy_begins_anew(again):
    f = quick(jit(scaled), X, 2.0, 1)
    other = again(f)
    assert other is not f and other.fast is None and not other.vectorcall
    assert other(*ARGS) == f(*ARGS)
    assert pickle.loads(pickle.dumps(slope)) is slope


def test_methods():
    for factor in (1.0, 3.0):
        model = Model(factor)
        for _ in range(3):
            value, gradient = model.loss(X)
            assert value == np.sum(X**2) * factor
            np.testing.assert_allclose(gradient, 2 * factor * X)


def test_in_transforms():
    f = quick(slope, 2.0)
    assert f(2.0) == 12.0
    assert grad(f)(2.0) == 12.0
    assert f(2.0) == 12.0


def test_errors_have_no_frame_of_ours():
    @jit
    def pick(x, where):
        return x[int(where)] * 2.0

    quick(pick, X, 1.0)
    with pytest.raises(IndexError, match="index") as info:
        pick(X, 99.0)
    files = {f.filename for f in traceback.extract_tb(info.value.__traceback__)}
    assert files == {__file__}


def test_an_entry_lives_as_long_as_it_runs():
    """Although the function forgets it meanwhile, in another thread."""

    @jit
    def long(x, trips):
        while trips > 0:
            x = np.sin(x) + 0.5
            trips -= 1.0
        return x

    quick(long, 0.1, 10.0)
    plan = weakref.ref(long.fast.__self__[0])
    results = []
    thread = threading.Thread(target=lambda: results.append(long(0.1, 3e7)))
    thread.start()
    time.sleep(0.02)
    long.slow_down()
    long.entries.clear()
    long.last = None
    gc.collect()
    kept = plan() is not None
    assert kept or not thread.is_alive()
    thread.join()
    gc.collect()
    assert plan() is None and len(results) == 1


def test_calls_may_take_turns(monkeypatch):
    f = jit(scaled)
    turns = [(X, 2.0, 1), (X[:4].copy(), 2.0, 1), (X, 2.0, -1), (X[:2].copy(), 2.0, 1)]
    for args in turns:
        f(*args)
    calls = served(f, monkeypatch)
    for args in turns * 3:
        np.testing.assert_allclose(f(*args), scaled(*args))
    assert not calls and len(f.more) == 3
    for n in range(3, 9):
        f(X[:n].copy(), 2.0, 1)
    assert len(calls) == 5 and len(f.more) == 3
    for args in turns:
        np.testing.assert_allclose(f(*args), scaled(*args))


def test_a_brief_kernel_keeps_the_lock():
    def loop(x):
        while x > 1:
            x = x / 2
        return x

    for f, args, brief in [
        (jit(scaled), ARGS, True),
        (jit(scaled), (np.ones(100_000), 2.0, 1), False),
        (jit(loop), (2.0,), False),
    ]:
        quick(f, *args)
        (entries,) = f.entries.values()
        assert entries[0].run._brief == brief


def test_references():
    f = quick(jit(scaled), X, 2.0, 1)
    things = [f, X, f.fast, NotImplemented, type(f), scaled]
    f(X, 2.0, sign=-1)
    f(*ARGS)
    gc.collect()
    before = [sys.getrefcount(t) for t in things]
    for _ in range(10_000):
        f(*ARGS)
    for _ in range(50):
        f(X, 2.0, sign=-1)
        f(*ARGS)
    with pytest.raises(TypeError):
        f(X, other=1)
    things[2] = f.fast
    gc.collect()
    after = [sys.getrefcount(t) for t in things]
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < 5


def test_elsewhere_objects_are_called_by_python(monkeypatch):
    monkeypatch.setattr(quick_call, "KNOWN", False)
    kind = type("Plain", (Dispatcher,), {"__call__": lambda self, x: ("python", x)})
    assert not kind.__flags__ & quick_call._HAVE_VECTORCALL
    f = kind(scaled, lambda program, wrt: program, None)
    f.quicken(len, 1)  # an address that nobody looks at
    assert f(3) == ("python", 3)
