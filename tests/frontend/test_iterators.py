"""Iterators give each element once, wherever the loop before them ended."""

from __future__ import annotations

import numpy as np
import pytest

from tests.corpus.judge import RIGHT, judge
from tests.frontend.iterator_programs import STAGED, UNROLLED
from tracejit import grad, jit, make_ir
from tracejit.base.errors import StagingError
from tracejit.ir.program import walk

X = np.random.default_rng(0).normal(size=20) + 0.8
COMPILED = ("on_after_a_break", "nested_in_itself", "merged")


def judged(fn, backend="numpy"):
    verdict = judge(fn, lambda: (0.7, X.copy()), backend)
    assert verdict.kind == RIGHT, verdict.why


def named(fn):
    return fn.__name__


def equations(fn, n):
    """How many equations its program has for `n` elements."""
    return len(list(walk(make_ir(fn)(0.7, np.resize(X, n)).region)))


@pytest.mark.parametrize("fn", STAGED, ids=named)
def test_loops(fn):
    judged(fn)
    assert equations(fn, 40) == equations(fn, 60)


@pytest.mark.parametrize("fn", UNROLLED, ids=named)
def test_unrolled(fn):
    judged(fn)


@pytest.mark.parametrize("fn", [f for f in STAGED if f.__name__ in COMPILED], ids=named)
def test_compiled(fn):
    judged(fn, "numba")


def test_a_loop_over_pairs_is_one_loop():
    def of_pairs(x, y):
        s = 0.0
        for i, (a, b) in enumerate(zip(x, y, strict=True)):
            s += i * a * b
        return s

    def of_indices(x, y):
        s = 0.0
        for i in range(len(x)):
            a, b = x[i], y[i]
            s += i * a * b
        return s

    texts = [str(make_ir(f)(X, X)) for f in (of_pairs, of_indices)]
    assert (
        texts[0].partition("\n")[2].replace("of_pairs", "of_indices")
        == (texts[1].partition("\n")[2])
    )


def test_nothing_is_left():
    def until(x):
        it, s = iter(x), 0.0
        while s < x[0]:
            s = s + next(it) ** 2
        return s

    enough = np.array([1.0, 2.0])
    np.testing.assert_allclose(grad(until, backend="numpy")(enough), [2.0, 0.0])
    with pytest.raises(StopIteration):
        jit(until, backend="numpy")(np.array([0.5, 0.1]))

    def one_too_many(x):
        it = iter(x)
        return next(it) + next(it) + next(it)

    with pytest.raises(StopIteration):
        grad(one_too_many, backend="numpy")(np.ones(2))


def test_they_have_no_length_and_no_places():
    for use in (len, lambda z: z[0], reversed):
        with pytest.raises(TypeError):
            grad(lambda x, use=use: use(zip(x, x, strict=True)), backend="numpy")(X)


def squares(x):
    for v in x:
        yield v * v


def read_on_after_a_break(x):
    g, s = squares(x), 0.0
    for v in g:
        s += v
        if s > 0.5:
            break
    for v in g:
        s += v
    return s


def read_on_inside(x):
    g, s = squares(x), 0.0
    for v in g:
        for w in g:
            s += v * w
    return s


def read_on_with_two_loops(x):
    g, s = (v * w for v in x for w in x), 0.0
    for v in g:
        s += v
        if s > 0.5:
            break
    return s + sum(g)


@pytest.mark.parametrize(
    "fn", [read_on_after_a_break, read_on_inside, read_on_with_two_loops], ids=named
)
def test_what_generators_do_not_keep(fn):
    with pytest.raises(StagingError, match="a generator is read on"):
        grad(fn, backend="numpy")(X)


def test_closed_early():
    def f(x):
        g, m = squares(x), (v * v for v in x)
        s = next(g) + next(m)
        g.close()
        m.close()
        return s + sum(g) + sum(m)

    np.testing.assert_allclose(jit(f, backend="numpy")(X), 2 * X[0] ** 2)

    def pulled(x):
        def outer():
            for v in x:
                yield from (v * k for k in range(1, 3))

        return sum(v for _, v in zip(range(3), outer(), strict=False))

    np.testing.assert_allclose(jit(pulled, backend="numpy")(X), 3 * X[0] + X[1])
