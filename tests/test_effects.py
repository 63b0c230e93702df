"""What functions do to objects of the outside: every call does it, under `grad` too.

Each class has a method `f(self, x)` that returns a number and changes `self`. Two
instances live side by side, one of them plain; after every call they must be alike.
"""

from __future__ import annotations

import collections
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.runtime.dispatch import RetraceWarning

CLASSES: list[type] = []


def case(cls: type) -> type:
    CLASSES.append(cls)
    return cls


@case
class Counter:
    """What optimisation libraries count."""

    def __init__(self):
        self.nfev, self.hits, self.log = 0, {"f": 0}, []
        self.evaluations = [0, 0]

    def f(self, x):
        self.nfev += 1
        self.hits["f"] += 2
        self.evaluations[1] += 1
        self.log.append("called")
        return np.sum(x**2)


@case
class Adam:
    """Numbers and arrays that the call changes as well as reads."""

    def __init__(self):
        self.t, self.m, self.v = 0, np.zeros(3), 0.0

    def f(self, x):
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * x
        self.v = 0.9 * self.v + 0.1 * np.sum(x**2)
        return np.sum(self.m / (1 - 0.9**self.t)) + self.v


@case
class Layer:
    """What a layer keeps for its backward pass."""

    def __init__(self):
        self.W, self.cache, self.history = np.arange(9.0).reshape(3, 3) / 9, None, []

    def f(self, x):
        z = self.W @ x
        a = np.tanh(z)
        self.cache = (x, z, {"a": a})
        self.history.append(a)
        return a.sum()


@case
class Best:
    """The best so far: stores in a branch on data."""

    def __init__(self):
        self.best, self.at, self.improved = np.inf, np.zeros(3), 0

    def f(self, x):
        value = np.sum(x**2)
        if value < self.best:
            self.best, self.at = value, x.copy()
            self.improved += 1
        return value


@case
class Integrator:
    """Counters in loops, one of them as long as the data says."""

    def __init__(self):
        self.calls, self.total, self.count = 0, 0.0, {"steps": 0, "rounds": 0}

    def slope(self, y):
        self.calls += 1
        return -y

    def f(self, x):
        y = x
        for _ in range(6):
            y = y + 0.1 * self.slope(y)
            self.total += y[0]
        while np.sum(y) > 0.1:
            y = y * 0.9
            self.count["steps"] += 1
        self.count["rounds"] += 1
        return np.sum(y)


@case
class Branches:
    def __init__(self):
        self.above, self.below = 0, 0

    def f(self, x):
        if x[0] > 0.8:
            self.above += 1
        else:
            self.below += 2
        total = 0.0
        for v in x:
            if v > 1:
                self.above += 1
                total += v
            total += 1
        return total * x[0]


@case
class Settings:
    """Plain values: flags, modes, products, sets, keys."""

    def __init__(self):
        self.k, self.n, self.first, self.mode = 1.5, 3, True, "idle"
        self.sizes, self.seen = set(), {}

    def f(self, x):
        self.k *= 2
        self.n -= 1
        if self.first:
            self.first = False
        self.mode = "busy"
        self.sizes.add(len(x))
        self.seen[len(x)] = x[0]
        return np.sum(x) * 2


@case
class History:
    """A list that is appended to, then asked how long it is."""

    def __init__(self):
        self.history, self.found = [], {}

    def f(self, x):
        for i in range(3):
            self.history.append(x[i])
            self.found[i] = x[i] * 2
        self.found["sum"] = sum(self.history[-3:])
        return self.found["sum"] + len(self.history)


@case
class Lazy:
    """What is computed at the first call and kept."""

    def __init__(self):
        self._weights = None

    @property
    def weights(self):
        if self._weights is None:
            self._weights = np.linspace(1, 2, 3)
        return self._weights

    def f(self, x):
        if not hasattr(self, "scale"):
            self.scale = np.ones(3) * 2
        return (x * self.weights * self.scale).sum()


@case
class Momentum:
    """Arrays written to in place, and bound anew."""

    def __init__(self):
        self.m, self.n, self.kept = np.ones(3), np.ones(3), [np.zeros(3)]

    def f(self, x):
        self.m *= 0.9
        self.m += x
        self.n = self.n * 0.9 + x
        self.kept[0][1:] += self.n[:2]
        for k in range(3):
            self.kept[0][k] *= x[k]
        if x[0] > 0.7:
            self.kept[0][0] = x[1]
        before, self.m = self.m, self.m * 1.0
        before[0] = 5.0
        return np.sum(self.m * self.n * before) + np.sum(self.kept[0])


@case
class Nested:
    """Objects, lists and dicts inside."""

    def __init__(self):
        self.parts = [Counter(), Counter()]
        self.table = [[0, 0], [0, 0]]
        self.totals = collections.defaultdict(float)

    def f(self, x):
        self.parts[1].nfev += 1
        self.table[0][1] += 1
        self.table[1][0] = x[0]
        self.totals["x"] += x[1]
        return sum(p.f(x) for p in self.parts)


@case
@dataclass
class Record:
    n: int = 0
    last: Any = None

    def f(self, x):
        self.n += 1
        self.last = x * 2
        return self.last.sum()


@case
class Rewritten:
    """A list that begins anew, a counter that is set back and read."""

    def __init__(self):
        self.history, self.n = [], 5

    def f(self, x):
        self.history.clear()
        for v in x:
            self.history.append(v)
        self.n = 0
        self.n += 2
        return sum(self.history) * self.n


def state(obj: Any) -> Any:
    """Nested lists and dicts of all that an object holds, types of numbers included."""
    if isinstance(obj, np.ndarray):
        return obj.dtype.name, obj.round(9).tolist()
    if isinstance(obj, float | np.floating):
        return type(obj).__name__, round(float(obj), 9)
    if isinstance(obj, dict):
        return {k: state(v) for k, v in obj.items()}
    if isinstance(obj, list | tuple):
        return [type(obj).__name__, *map(state, obj)]
    if type(obj) in CLASSES:
        return state(vars(obj))
    return type(obj).__name__, obj


def transformed(name: str, fn: Any, backend: str) -> Any:
    if name == "jit":
        return tj.jit(fn, backend=backend)
    if name == "grad":
        both = tj.value_and_grad(fn, backend=backend)
        return lambda x: both(x)[0]

    def value_of_vjp(x):
        value, pull = tj.vjp(fn, x, backend=backend)
        pull(1.0)
        return value

    return value_of_vjp


def assert_alike(cls: type, name: str, backend: str) -> None:
    plain, staged = cls(), cls()
    fn = transformed(name, staged.f, backend)
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RetraceWarning)
        for _ in range(5):
            x = rng.uniform(0.2, 1.5, 3)
            np.testing.assert_allclose(fn(x), plain.f(x))
            assert state(staged) == state(plain)


@pytest.mark.parametrize("name", ["jit", "grad", "vjp"])
@pytest.mark.parametrize("cls", CLASSES)
def test_every_call_leaves_what_python_leaves(cls, name):
    assert_alike(cls, name, "numpy")


@pytest.mark.parametrize("cls", [Counter, Best, Integrator])
def test_compiled(cls):
    assert_alike(cls, "grad", "numba")


@pytest.mark.parametrize("cls", [Counter, Adam, Best, Branches])
def test_what_a_call_changes_does_not_retrace_it(cls):
    staged = cls()
    fn = tj.jit(staged.f, backend="numpy")
    rng = np.random.default_rng(0)
    for _ in range(3):  # numbers of Python's may become NumPy's at the first calls
        fn(rng.uniform(0.2, 1.5, 3))
    (entries,) = fn.entries.values()
    before = len(entries)
    for _ in range(5):
        fn(rng.uniform(0.2, 1.5, 3))
    assert len(entries) == before <= 2


def test_counters_in_closures_and_globals():
    count, calls = 0, [0]

    def counted(fn):
        def wrapper(x):
            nonlocal count
            count += 1
            calls[0] += 1
            wrapper.n += 1
            return fn(x)

        wrapper.n = 0
        return wrapper

    f = counted(lambda x: np.sum(x**2))
    g = tj.grad(f, backend="numpy")
    for k in range(1, 4):
        g(np.ones(2))
        assert (count, calls, f.n) == (k, [k], k)
    calls[0] = 10
    g(np.ones(2))
    assert calls == [11]


def test_a_derivative_of_a_derivative_is_one_call():
    counter = Counter()
    second = tj.grad(tj.grad(lambda x: counter.f(x * np.ones(2)), backend="numpy"))
    assert second(3.0) == 4.0 and counter.nfev == 1


@pytest.mark.parametrize("cls", [Layer, Counter, Best])
def test_an_inner_derivative_is_a_call(cls):
    def slope(x):
        return np.sum(tj.grad(staged.f)(2 * x))

    def pulled(x):
        _, pull = tj.vjp(staged.f, 2 * x)
        return np.sum(pull(1.0)[0])

    x = np.array([1.0, 0.2, 0.3])
    for outer in (slope, pulled):
        plain, staged = cls(), cls()
        fn = tj.grad(outer, backend="numpy")
        for k in (1, 2):
            fn(x * k)
            plain.f(2 * x * k)
            assert state(staged) == state(plain)


def test_an_error_leaves_all_as_it_was():
    layer = Layer()

    def f(x):
        layer.f(x)
        return np.sum(x) + None

    with pytest.raises(TypeError):
        tj.grad(f, backend="numpy")(np.ones(3))
    assert layer.cache is None and layer.history == []


def test_every_lane_is_a_call():
    count = 0

    def f(x):
        nonlocal count
        count += 1
        return np.sum(x**2)

    fn = tj.vmap(f, backend="numpy")
    for k in (1, 2):
        fn(np.ones((4, 3)))
        assert count == 4 * k
