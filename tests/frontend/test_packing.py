"""What a mask picks, packed into an array: `x[m1] * y[m2]`, `np.sort(x[m])`."""

from __future__ import annotations

import numpy as np
import pytest

from tests.corpus.judge import RIGHT, judge
from tests.frontend import packed_programs as programs
from tracejit import grad, jit, make_ir, vmap
from tracejit.base.errors import DataDependentShapeError, ShapeMismatchError
from tracejit.ir.program import walk

X = np.array([0.8, -1.1, 1.5, 0.3, -0.6, 2.1, -0.4, -1.7])
Y = X[::-1] * 1.3
NAMES = [name for name in vars(programs) if name not in ("annotations", "np")]
NAMES = [name for name in NAMES if not name.startswith("__")]
COMPILED = ("joined", "several_writes", "submatrix", "buffers", "nothing")


def judged(name, backend, x=X, y=Y):
    fn = getattr(programs, name)
    verdict = judge(fn, lambda: (x.copy(), y.copy()), backend)
    assert verdict.kind == RIGHT, verdict.why


@pytest.mark.parametrize("name", NAMES)
def test_as_numpy(name):
    judged(name, "numpy")


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name):
    judged(name, "numba")


def test_one_program_serves_all_numbers():
    """The number of elements is no constant of the trace."""
    fn = jit(programs.parts, backend="numpy")
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=8)
        np.testing.assert_allclose(fn(x, x[::-1]), programs.parts(x, x[::-1]))


def test_numbers_that_differ_are_an_error():
    def f(x, y):
        return np.sum(x[x > 0] * y[y > 1])

    with pytest.raises(ValueError, match="could not be broadcast"):
        f(X, Y)
    with pytest.raises(ShapeMismatchError, match="lengths differ"):
        grad(f, backend="numpy")(X, Y)

    def g(x, y):
        z = x.copy()
        z[x > 0] = y[:2]
        return np.sum(z)

    with pytest.raises(ShapeMismatchError, match="lengths differ"):
        grad(g, backend="numpy")(X, Y)


def test_what_does_not_need_the_number_stays_whole():
    def loops(fn):
        return [e.prim.name for e in walk(make_ir(fn)(X).region) if e.regions]

    assert loops(lambda x: np.sum(np.exp(x[x > 0]))) == []
    assert loops(lambda x: np.sum(x[x > 0][::2])) != []


def test_not_a_number_comes_last_in_order():
    def f(x):
        return np.sort(x[x != 3.0])[-1], np.argsort(x[x != 3.0])

    x = np.array([1.0, np.nan, np.inf, 3.0, -np.inf])

    def whole(x):
        last, order = f(x)
        return last, np.sum(order * np.arange(4.0))

    assert str(jit(whole, backend="numpy")(x)) == str(whole(x))


def test_in_lanes():
    def f(x):
        return np.sum(x[x > 0][1:] * x[x > 0][:-1])

    rows = np.random.default_rng(0).normal(size=(4, 8))
    got = vmap(grad(f), backend="numpy")(rows)
    want = [grad(f, backend="numpy")(row) for row in rows]
    np.testing.assert_allclose(got, want)


def test_second_derivatives():
    def f(x):
        return np.sum(np.cumsum(x[x > 0]) ** 3)

    def g(x):
        return np.sum(grad(f)(x) ** 2)

    got, step = grad(g, backend="numpy")(X), 1e-6 * np.eye(8)
    want = [(g(X + e) - g(X - e)) / 2e-6 for e in step]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_as_a_result_it_is_refused():
    with pytest.raises(DataDependentShapeError, match="a result"):
        jit(lambda x: x[x > 0] * x[x > 0][::-1], backend="numpy")(X)
