"""Lists that grow in loops: one array each, where nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.corpus.judge import RIGHT, judge
from tests.frontend.list_hazards import UNROLLED
from tests.frontend.list_programs import STAGED
from tracejit import check_grads, grad, jit, make_ir, show, testing, value_and_grad, vjp
from tracejit.base.errors import (
    IndexRangeError,
    OutOfRoomError,
    StagingError,
    UnknownAliasError,
)
from tracejit.ir.program import walk

RNG = np.random.default_rng(0)
X, M = RNG.normal(size=20) + 0.8, RNG.normal(size=(20, 3))
COMPILED = (
    *("read_back", "rows", "some", "left_early", "nested", "new_in_every_round"),
    *("until_small", "adaptive_steps"),
)


def judged(fn, backend="numpy"):
    verdict = judge(fn, lambda: (0.7, X.copy(), M.copy()), backend)
    assert verdict.kind == RIGHT, verdict.why


def equations(fn, n):
    """How many equations its program has for arguments of `n` rows."""
    program = make_ir(fn)(0.7, np.resize(X, n), np.resize(M, (n, 3)))
    return len(list(walk(program.region)))


def named(fn):
    return fn.__name__


@pytest.mark.parametrize("fn", STAGED, ids=named)
def test_in_arrays(fn):
    judged(fn)
    assert equations(fn, 20) == equations(fn, 30)


@pytest.mark.parametrize("fn", UNROLLED, ids=named)
def test_as_lists(fn):
    judged(fn)


@pytest.mark.parametrize("fn", [f for f in STAGED if f.__name__ in COMPILED], ids=named)
def test_compiled(fn):
    judged(fn, "numba")


def sum_of_squares(x, c, n):
    xs = []
    for _ in range(n):
        x = x + 0.1 * np.sin(c * x)
        xs.append(x)
    return np.sum(np.array(xs) ** 2)


def test_the_source_does_not_know_the_length():
    texts = [
        show(grad(sum_of_squares), 0.5, 1.3, n, stage="source") for n in (10, 100_000)
    ]
    assert texts[0] == texts[1]
    lines = [line.strip() for line in texts[0].splitlines()]
    # Zeros, forwards, slopes of the squares; backwards in blocks: cosines, the rest.
    assert sum(line.startswith("for ") for line in lines) == 6


def test_a_long_list():
    n, h = 100_000, 1e-9
    found = grad(sum_of_squares)(0.5, 0.0, n)  # x stays what it is
    assert found == pytest.approx(2 * 0.5 * n)
    slope = sum_of_squares(0.5, 1.3 + h, 1000) - sum_of_squares(0.5, 1.3 - h, 1000)
    found = grad(sum_of_squares, argnums=1)(0.5, 1.3, 1000)
    assert found == pytest.approx(slope / (2 * h), rel=1e-4)


def test_second_order():
    def f(c, x):
        ys = [c]
        for t in range(len(x)):
            ys.append(np.sin(ys[-1] * c) + x[t])
        return np.sum(np.array(ys) ** 2)

    check_grads(f, (0.7, X), order=2, backend="numpy")


def test_the_list_itself_is_a_result():
    def f(c, x):
        ys, pairs = [], []
        for t in range(len(x)):
            ys.append(x[t] * c)
            pairs.append((x[t], [c]))
        return {"ys": ys, "pairs": pairs}

    found, want = jit(f, backend="numpy")(0.7, X), f(0.7, X)
    assert found == want and type(found["ys"]) is list
    assert type(found["pairs"][0]) is tuple


def test_a_list_of_the_outside_gets_its_elements():
    class Model:
        ys = None

    model = Model()

    def f(c, x):
        model.ys = []
        for t in range(len(x)):
            model.ys.append(x[t] * c)
        return np.sum(np.array(model.ys))

    assert jit(f, backend="numpy")(0.5, X) == pytest.approx(np.sum(X) * 0.5)
    np.testing.assert_allclose(model.ys, X * 0.5)
    assert type(model.ys) is list and type(model.ys[0]) is np.float64


def grown(x, limit):
    ys = []
    for v in x:
        if v > limit:
            ys.append(v)
    return ys


@pytest.mark.parametrize("key", [20, -21, 5, -6])
def test_out_of_range(key):
    def f(x, limit):
        return grown(x, limit)[key]

    x = np.arange(20.0)
    with pytest.raises(IndexRangeError, match="list index out of range"):
        jit(f, backend="numpy")(x, 14.5)
    if -21 < key < 20:
        assert jit(f, backend="numpy")(x, -1.0) == f(x, -1.0)


def test_an_empty_list_has_no_element():
    with pytest.raises(IndexRangeError, match="list index out of range"):
        jit(lambda x, limit: grown(x, limit).pop(), backend="numpy")(X, 1e3)


def test_a_traced_length_is_no_result():
    with pytest.raises(StagingError, match="how many elements") as info:
        jit(grown)(X, 1.0)
    assert "if v > limit" in str(info.value)


def test_one_array_where_data_ends_the_loop():
    def f(x):
        u, ys = np.zeros(3), []
        for _ in range(20):
            u += x
            ys.append(u)
            if u[0] > 5.0:
                break
        return np.sum(np.array(ys))

    with pytest.raises(UnknownAliasError, match="which array this"):
        jit(f)(np.ones(3))


def test_a_list_that_data_makes_grow_while_it_is_looped_over():
    def f(x):
        ys = [x]
        for y in ys:
            ys.append(y + x)
            if y > 5.0:
                break
        return sum(ys)

    with pytest.raises(StagingError):
        jit(f)(1.0)


def steps_to(end, h):
    ys = [h]
    while ys[-1] < end - h / 2:
        ys.append(ys[-1] + h)
    return np.sum(np.array(ys)) * h


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_list_that_gets_longer_than_its_room_is_given_more(backend):
    f = value_and_grad(steps_to, argnums=1, backend=backend)
    for h in (0.1, 0.0006, 0.00009, 0.1):  # 10, 1 667, 11 112 rounds
        n = round(1.0 / h)
        value, slope = f(1.0, h)
        assert value == pytest.approx(n * (n + 1) / 2 * h**2)
        assert slope == pytest.approx(n * (n + 1) * h)
    value, back = vjp(lambda h: steps_to(1.0, h), 0.0006, backend=backend)
    assert back(1.0)[0] == pytest.approx(2 * value / 0.0006)


def test_more_room_is_not_compiled_for():
    f = value_and_grad(steps_to, argnums=1)
    f(1.0, 0.1)
    before = testing.compilations()
    f(1.0, 0.0006)
    assert testing.compilations() == before


def test_a_call_that_wrote_to_its_arguments_is_not_run_again():
    @jit
    def f(x):
        ys = []
        while x[0] < 5000.0:
            x[0] += 1.0
            ys.append(x[0])
        return sum(ys)

    for start in (4500.0, 0.0):
        x = np.array([start])
        if start:
            assert f(x) == sum(range(4501, 5001))
        else:
            with pytest.raises(OutOfRoomError, match="longer than 1024"):
                f(x)
