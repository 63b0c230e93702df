"""Arrays of traced length: `x[:i]` where `i` counts a loop or comes from data."""

from __future__ import annotations

import numpy as np
import pytest

from tests.corpus.judge import RIGHT, judge
from tests.frontend import ragged_programs as programs
from tracejit import grad, jit, make_ir, vjp
from tracejit.base.errors import (
    CastingError,
    DataDependentShapeError,
    IndexRangeError,
    ShapeMismatchError,
)
from tracejit.ir.program import walk

RNG = np.random.default_rng(0)


def spd(n):
    a = RNG.normal(size=(n, n))
    return a @ a.T + n * np.eye(n)


def normal(*shape):
    return RNG.normal(size=shape)


PROGRAMS = {
    "lu": (spd(6),),
    "trisolve": (np.tril(spd(6)), normal(6)),
    "durbin": (normal(6) * 0.3,),
    "symm": (1.3, 0.7, normal(5, 4), normal(5, 5), normal(5, 4)),
    "syrk": (1.3, 0.7, normal(5, 5), normal(5, 3)),
    "trmm": (1.2, normal(5, 5), normal(5, 4)),
    "cov": (normal(8, 4),),
    "gauss": (spd(5), normal(5)),
    "house": (normal(6, 4),),
    "moving_average": (normal(8),),
    "stats": (normal(7),),
    "shift": (normal(6),),
    "gs": (normal(6, 4),),
    "chol": (spd(5),),
    "datak": (normal(7),),
    "prefix": (normal(7),),
    "zer": (normal(6),),
    "strides": (normal(7),),
    "matrices": (normal(5, 6),),
    "mixed": (normal(6),),
    "pieces": (normal(6),),
    "either": (normal(5) * 0.5, normal(5) * 0.5),
    "counted": (np.array([0.3, -0.2, 0.8, 1.4, 0.1]),),
    "sparse_product": (normal(12), normal(6)),
    "sparse_rows": (normal(12), normal(6, 2)),
    "sparse_transpose": (normal(12), normal(6)),
    "permuted_prefixes": (normal(12), normal(6)),
}
COMPILED = ("lu", "gauss", "shift", "datak", "matrices", "mixed", "sparse_transpose")


@pytest.fixture
def never_unrolled(monkeypatch):
    monkeypatch.setattr("tracejit.frontend.loops.MAX_UNROLLED", 0)


def judged(name, backend):
    verdict = judge(
        getattr(programs, name), lambda: tuple(map(np.copy, PROGRAMS[name])), backend
    )
    assert verdict.kind == RIGHT, verdict.why


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_numpy_without_unrolling(name, never_unrolled):
    judged(name, "numpy")


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name, never_unrolled):
    judged(name, "numba")


def test_single_precision():
    x = normal(5).astype(np.float32)
    value, pull = vjp(programs.single, x, backend="numpy")
    np.testing.assert_allclose(value, programs.single(x), rtol=1e-6)
    assert value.dtype == np.float32
    np.testing.assert_allclose(pull(np.ones(5, np.float32))[0], [5, 4, 3, 2, 1])


def test_the_program_does_not_grow_with_the_array():
    sizes = [sum(1 for _ in walk(make_ir(programs.lu)(spd(n)).region)) for n in (3, 12)]
    assert sizes[0] == sizes[1]


def test_what_is_used_at_once_is_not_stored():
    def f(x):
        t = 0.0
        for i in range(1, len(x)):
            t += np.sum(np.sin(x[:i]) * x[:i])
        return t

    names = [eqn.prim.name for eqn in walk(make_ir(f)(normal(5)).region)]
    assert "setitem" not in names


def test_arguments_stay():
    x = normal(6)
    before = x.copy()
    grad(lambda x: np.sum(programs.shift(x)), backend="numpy")(x)
    np.testing.assert_array_equal(x, before)


def test_lengths_that_differ():
    def f(x, k):
        k = int(k)
        return np.sum(x[:k] * x[k:])

    x = normal(6)
    np.testing.assert_allclose(jit(f, backend="numpy")(x, 3.0), np.sum(x[:3] * x[3:]))
    with pytest.raises(ShapeMismatchError, match="lengths differ"):
        jit(f, backend="numpy")(x, 2.0)


def test_an_index_past_the_length():
    def f(x, k):
        return x[: int(k)][3]

    x = normal(6)
    assert jit(f, backend="numpy")(x, 5.0) == x[3]
    with pytest.raises(IndexRangeError):
        jit(f, backend="numpy")(x, 3.0)


def test_maximum_of_nothing():
    def f(x, k):
        return x[: int(k)].max()

    with pytest.raises(ValueError, match="zero-size array"):
        jit(f, backend="numpy")(normal(4), 0.0)


def test_casting_in_place():
    def f(x):
        counts = np.zeros(len(x), dtype=int)
        for i in range(len(x)):
            counts[:i] += x[:i]
        return counts.sum()

    with pytest.raises(CastingError):
        jit(f, backend="numpy")(normal(4))


def test_what_is_not_done_is_refused_at_its_line():
    def f(x):
        return np.fft.fft(x[: int(x[0])]).real.sum()

    with pytest.raises(DataDependentShapeError) as found:
        jit(f, backend="numpy")(np.array([2.0, 1.0, 0.5]))
    assert "np.fft.fft(x[: int(x[0])])" in str(found.value)
    assert "fft needs to know" in str(found.value)


def test_a_result_of_traced_length():
    with pytest.raises(DataDependentShapeError, match="a result"):
        jit(lambda x: x[: int(x[0])], backend="numpy")(np.array([2.0, 1.0, 0.5]))


def test_what_is_not_done_unrolls_loops_that_are_counted():
    def f(x):
        t = 0.0
        for i in range(1, len(x)):
            t += np.abs(np.fft.fft(x[:i])).sum()
        return t

    x = normal(4)
    np.testing.assert_allclose(jit(f, backend="numpy")(x), f(x))
