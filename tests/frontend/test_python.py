"""What staging makes of counters, generators, `try` and nests of loops."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from tests.frontend.running import inputs, result, run
from tests.frontend.test_staging import X, primitives
from tracejit import grad, jit
from tracejit.base.errors import FenceError, TracedValueError
from tracejit.frontend.branches import Branch
from tracejit.frontend.stage import stage
from tracejit.ir.evaluate import evaluate

# Counters -----------------------------------------------------------------------------


def test_a_counter_at_the_top_needs_no_program():
    class Problem:
        calls = 0

        def f(self, x):
            self.calls += 1
            return x.sum()

    staged = stage(Problem().f, (X,))
    assert len(staged.effects) == 1 and staged.stores is None
    assert not staged.trace.captured and not staged.trace.guards


def test_a_counter_in_a_branch_is_computed_beside_the_program():
    class Problem:
        calls = 0

        def f(self, x):
            if x[0] > 0:
                self.calls += 1
            return x.sum()

    staged = stage(Problem().f, (X,))
    assert len(staged.stores.results) == len(staged.program.results) == 1
    assert [c.what for c in staged.trace.captured.values()] == ["self.calls"]
    assert not any("calls" in guard.what for guard in staged.trace.guards.values())


# Generators ---------------------------------------------------------------------------


def test_the_loops_of_generators_stay_loops():
    def halves(x):
        for i in range(len(x)):
            yield x[i] / 2

    def f(x):
        total = 0.0
        for v in halves(x):
            total += v
        return total + sum(v * v for v in x)

    short, long = stage(f, (X,)), stage(f, (np.ones(1000),))
    assert len(primitives(short)) == len(primitives(long))
    assert primitives(long).count("for") == 2


def test_pulled_generators_decide_nothing():
    def positive(x):
        for v in x:
            if v > 0:
                yield v

    def f(x):
        return next(positive(x))

    with pytest.raises(TracedValueError):
        stage(f, (X,))


def test_a_clause_that_data_would_run():
    def tries(x):
        try:
            if x < 0:
                raise ValueError
        except ValueError:
            x = 0.0
        return x

    assert jit(tries, backend="numpy")(1.0) == 1.0
    with pytest.raises(FenceError, match=r"`try` cannot catch .* ValueError"):
        jit(tries, backend="numpy")(-1.0)


def test_a_factorisation_in_a_try():
    def f(A):
        try:
            return np.linalg.inv(A).sum()
        except np.linalg.LinAlgError:
            return 0.0

    A = np.diag([1.0, 2.0, 4.0])
    np.testing.assert_allclose(jit(f, backend="numpy")(A), 1.75)
    with pytest.raises(FenceError, match="LinAlgError"):
        jit(f, backend="numpy")(0 * A)


def test_try_catches_nothing_that_a_branch_decides():
    def f(x):
        try:
            if x[0] > 100:
                x = x + np.ones(3)
        except ValueError:
            x = x * 2
        return x

    with pytest.raises(FenceError, match="depends on traced data"):
        stage(f, (X,))

    def g(x):
        with contextlib.suppress(KeyError):
            if x[0] > 100:
                x = {}["k"]
        return x

    with pytest.raises(FenceError, match="depends on traced data"):
        stage(g, (X,))


def test_probes_grow_with_the_depth_of_a_nest_and_do_not_double(monkeypatch):
    def f(x):
        y = x.copy()
        s = 0.0
        for i in range(3):
            for j in range(4):
                for k in range(5):
                    for m in range(6):
                        t = 0.0
                        for n in range(7):
                            t += y[i] * x[n - m]
                        s += t
                        y[j] = np.tanh(s * k)
        return y, s

    probes = []
    init = Branch.__init__

    def counting(self, *args):
        probes.append(self)
        init(self, *args)

    monkeypatch.setattr(Branch, "__init__", counting)
    got = result(staged := stage(f, (X,)), evaluate(staged.program, inputs(staged)))
    assert len(probes) < 25
    np.testing.assert_allclose(got[0], f(X)[0])


def test_a_guess_that_does_not_fit_is_dropped():
    def f(x, table):
        out = []
        for c in [1.0, 1, None]:
            total, k = 0, 0
            for i in range(3):
                if c is not None:
                    total = total + c * i
                    x = x + k
                    k = k + 1
                else:
                    x = x * table[k]
            out.append(total // 2)
        return x, out

    table = {0: 2.0}
    x, out = run(f, X, table)
    want, numbers = f(X, table)
    np.testing.assert_allclose(x, want)
    kinds = [[np.asarray(n).dtype for n in ns] for ns in (out, numbers)]
    assert kinds[0] == kinds[1] and out == numbers


# Tracebacks ---------------------------------------------------------------------------


def test_tracebacks_show_the_users_frames(monkeypatch):
    def helper(v):
        return np.linalg.cholesky(v)

    def f(x):
        for _ in range(3):
            y = helper(x)
        return y

    def files():
        with pytest.raises(ValueError) as info:
            stage(f, (X,))
        # The first two are this test and `stage` itself.
        return [(e.path.name, e.name) for e in info.traceback[2:]]

    inner = [name for file, name in files() if file == "test_python.py"]
    assert inner[0] == "f" and inner[-1] == "helper"
    assert len(inner) == len(files())
    monkeypatch.setenv("TRACEJIT_FULL_TRACEBACK", "1")
    assert len(files()) > len(inner)


def test_generators_in_loops_settle():
    def f(x):
        s = 0.0
        for i in range(len(x)):
            s += sum(x[i] * x[j] for j in range(i))
        return s

    assert primitives(stage(f, (X,))).count("for") == 2
    np.testing.assert_allclose(run(f, X), f(X))


def test_functions_of_arrays_of_the_outside_may_have_any_length():
    labels = np.array([0, 1, 0])

    def f(x):
        groups = [x[labels == k].mean() * (k + 1) for k in np.unique(labels)]
        return sum(groups) + np.bincount(labels).size

    slope, x = grad(f, backend="numpy"), X[:3]
    np.testing.assert_allclose(slope(x), [0.5, 2.0, 0.5])
    labels[2] = 1
    np.testing.assert_allclose(slope(x), [1.0, 1.0, 1.0])
    with pytest.raises(IndexError, match="boolean index did not match"):
        slope(X)


def test_a_ufunc_makes_numpys_numbers_of_pythons():
    def f(A, s):
        return A * np.abs(s), A * abs(s), A + np.add(s, 1.0), A + (s + 1.0)

    A = np.ones((2, 2), np.float32)
    found = jit(f, backend="numpy")(A, 0.25)
    expected = f(A, 0.25)
    assert [y.dtype for y in found] == [y.dtype for y in expected]
    assert found[0].dtype == np.float64 and found[1].dtype == np.float32
