"""None, or a value: data decides, `is None` asks, any other use wants the value."""

from __future__ import annotations

import numpy as np
import pytest

from tests.corpus.judge import RIGHT, judge
from tests.frontend.optional_programs import OPTIONAL, find
from tracejit import check_grads, grad, jit, make_ir, vmap
from tracejit.base.errors import OperandTypeError, StagingError
from tracejit.ir.program import walk

COMPILED = ("the_one_before", "a_tuple", "a_row_written_to")
X = np.random.default_rng(3).normal(size=12)


def judged(fn, seed, backend="numpy"):
    rng = np.random.default_rng(seed)
    args = rng.normal(size=12), rng.normal(size=(12, 3))
    verdict = judge(fn, lambda: tuple(a.copy() for a in args), backend)
    assert verdict.kind == RIGHT, verdict.why


def equations(fn, n):
    program = make_ir(fn)(np.resize(X, n), np.resize(X, (n, 3)))
    return len(list(walk(program.region)))


def named(fn):
    return fn.__name__


@pytest.mark.parametrize("fn", OPTIONAL, ids=named)
def test_right(fn):
    for seed in range(3):
        judged(fn, seed)
    assert equations(fn, 12) == equations(fn, 30)


@pytest.mark.parametrize(
    "fn", [f for f in OPTIONAL if f.__name__ in COMPILED], ids=named
)
def test_compiled(fn):
    judged(fn, 0, "numba")


def test_twice_and_by_lanes():
    def f(x):
        best = None
        for v in x:
            if v > 0.0 and (best is None or v**3 < best):
                best = v**3
        return 0.0 if best is None else best

    check_grads(f, (X,), backend="numpy")
    rows = np.stack([X, -X, -np.abs(X)])
    np.testing.assert_allclose(vmap(f, backend="numpy")(rows), [f(r) for r in rows])


def test_a_first_round_that_surely_gives_it_a_value_is_run_before_the_loop():
    def f(x):
        best = None
        for v in x:
            if best is None or v > best:
                best = v
        return best

    assert "check" not in str(make_ir(f)(X))
    np.testing.assert_array_equal(grad(f, backend="numpy")(X), X == X.max())


USES = {
    "result": lambda x, k: k,
    "a result's part": lambda x, k: {"k": (k, x)},
    "element": lambda x, k: x[k],
    "part": lambda x, k: x[:k].sum() if x[0] > 9 else x[k:][k],
    "operand": lambda x, k: x[0] * k,
    "function": lambda x, k: np.sin(k) + x[0],
    "store": lambda x, k: x.copy().__setitem__(0, k) or x[0],
    "iteration": lambda x, k: sum(x[:1] for _ in range(k)),
}


@pytest.mark.parametrize("use", USES)
def test_none_where_a_value_is_needed(use):
    def f(x):
        return USES[use](x, find(x, 0.3))

    with pytest.raises(TypeError):
        jit(f, backend="numpy")(-np.ones(3))


def test_a_result_is_a_value():
    def f(x):
        k = find(x, 0.3)
        return x[k] ** 2 if k is not None and x[k] < 9.0 else k

    np.testing.assert_array_equal(jit(f, backend="numpy")(X), f(X))
    np.testing.assert_allclose(
        grad(f, backend="numpy")(X)[find(X, 0.3)], 2 * X[find(X, 0.3)]
    )


def test_the_error_names_the_line():
    def f(x):
        return x[find(x, 0.3)]

    with pytest.raises(OperandTypeError, match=r"x\[find\(x, 0.3\)\]"):
        jit(f, backend="numpy")(-np.ones(3))


@pytest.mark.parametrize(
    "use",
    [
        lambda x, k: np.array([x[0], k]),
        lambda x, k: x * (k in (1, 2)),
    ],
)
def test_what_it_cannot_be(use):
    def f(x):
        return use(x, find(x, 0.3))

    with pytest.raises(StagingError, match="None or"):
        jit(f, backend="numpy")(X)
