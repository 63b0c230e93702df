"""Loops reversed from snapshots: the same numbers, as many states, as many rounds."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from tests.corpus.fitting import fitted
from tests.corpus.judge import RIGHT, judge
from tests.corpus.test_corpus import PROGRAMS
from tracejit import (
    check_grads,
    checkpoint,
    grad,
    hvp,
    jacrev,
    jit,
    jvp,
    make_ir,
    value_and_grad,
    vjp,
)
from tracejit.api.budget import bytes_of
from tracejit.base.errors import MemoryBudgetError
from tracejit.ir.program import Program
from tracejit.ops import elementwise as ew
from tracejit.ops.shape import empty

X = np.array([0.3, -0.8, 1.1, 0.4])
STATE = X.nbytes + 8


def saved(program: Program) -> list[int]:
    """Bytes of all stacks and tapes, wherever they are."""
    return [e.out.aval.nbytes for e in program.walk() if e.prim is empty]


def runs(span: int, snapshots: int) -> int:
    """How often rounds are run at least, by the closed formula."""
    r = next(r for r in range(span + 1) if comb(snapshots + r, r) >= span)
    return r * span - comb(snapshots + r, r - 1) if r else 0


def sines(u, steps):
    for _ in range(steps):
        u = np.sin(u)
    return np.sum(u)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 50])
@pytest.mark.parametrize("snapshots", [1, 2, 3, 5, 60])
def test_rounds_are_run_as_often_as_the_formula_says(steps, snapshots, monkeypatch):
    found = []
    sin = ew.sin.impl
    monkeypatch.setattr(ew.sin, "impl", lambda x: found.append(1) or sin(x))

    # A state for each round is not worth saving: the budget is for fewer.
    def loss(u):
        return checkpoint(lambda u: sines(u, steps), snapshots=snapshots)(u)

    slope = grad(loss, backend="numpy")(X)
    # The loss comes after the last round and is gone through first: one step more.
    assert len(found) == runs(steps + 1, min(snapshots, steps))
    monkeypatch.undo()
    np.testing.assert_allclose(slope, grad(lambda u: sines(u, steps))(X), rtol=1e-12)


def test_as_many_states_are_saved():
    program = make_ir(grad(checkpoint(lambda u: sines(u, 500), snapshots=7)))(X)
    assert sum(saved(program)) == 7 * STATE
    budget = make_ir(grad(lambda u: sines(u, 500), memory=1000))(X)
    assert sum(saved(budget)) == 1000 // STATE * STATE


def test_loops_that_fit_have_their_tapes():
    plain = make_ir(grad(lambda u: sines(u, 20)))(X)
    assert str(make_ir(grad(lambda u: sines(u, 20), memory=20 * 32))(X)) == str(plain)
    assert sum(saved(plain)) == 20 * X.nbytes


# Loops of all kinds: arguments are an array and a number.


def stencil(u, c):
    u = u.copy()
    for _ in range(9):
        u[1:-1] += 0.1 * c * u[1:-1] * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.sum(u**2)


def counted_down(u, c):
    s = u
    for k in range(11, 1, -2):
        s = np.sin(s * k) + c * u
    return np.sum(s)


def of_data(u, c):
    s = u * 1.0
    for k in range(int(8 + u[0])):
        s = np.tanh(s) * c + u[k % 4]
    return np.sum(s)


def until(u, c):
    s, n = u * 1.0, 0
    while np.max(np.abs(s)) > 0.1:
        s = np.where(s > 0, 0.5 * np.sin(s), 0.7 * s) * c
        n += 1
        if n > 30:
            break
    return np.sum(s * u) + n


def numbers(u, c):
    x, y, t = u[0], u[1], 0
    for _ in range(12):
        x, y = x + 0.1 * y * c, y - 0.1 * np.sin(x) * u[t % 3]
        t += 1
    return x * y


def swapped(u, c):
    a, b = u * c, np.cos(u)
    for _ in range(7):
        a, b = np.sin(b), a * b
    return np.sum(a * b)


def nested(u, c):
    u = u.copy()
    for _ in range(6):
        for k in range(1, 4):
            u[k] = np.sin(u[k] + c * u[k - 1]) * u[k]
    return np.sum(u)


def ragged(u, c):
    s = 0.0
    for i in range(4):
        for k in range(i, 4):
            s = np.sin(s + u[i] * u[k]) * c
    return s


def filled(u, c):
    out = np.zeros((10, 4))
    v = u
    for t in range(10):
        v = np.sin(v) * c
        out[t] = v**2
    return np.sum(out * np.arange(40.0).reshape(10, 4))


def read(u, c):
    s = 0.0
    for k in range(4):
        s = np.exp(0.1 * s) * u[k] + c
    return s


def branched(u, c):
    s = u
    if c > 0:
        for _ in range(8):
            s = np.sin(s) * c
    else:
        for _ in range(3):
            s = np.cos(s)
    for _ in range(5):
        if np.sum(s) > 0:
            s = s * s
        else:
            s = np.exp(s) * u
    return np.sum(s)


def left_early(u, c):
    s = u
    for k in range(20):
        s = np.sin(s) * c + 0.1
        if s[0] < 0.3:
            return np.sum(s) * k
    return np.sum(s)


def never(u, c):
    s = u
    for _ in range(0):
        s = np.sin(s)
    for _ in range(int(c) - 5):
        s = np.sin(s)
    return np.sum(s * s)


KINDS = [
    *(stencil, counted_down, of_data, until, numbers, swapped, nested, ragged),
    *(filled, read, branched, left_early, never),
]


@pytest.mark.parametrize("f", KINDS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("snapshots", [1, 3])
def test_loops_of_all_kinds(f, snapshots):
    less = checkpoint(f, snapshots=snapshots)
    expected = value_and_grad(f, (0, 1), backend="numpy")(X, 0.9)
    for backend in ("numpy", "numba") if snapshots > 1 else ("numpy",):
        value, slopes = value_and_grad(less, (0, 1), backend=backend)(X, 0.9)
        assert value == pytest.approx(expected[0], rel=1e-13)
        np.testing.assert_allclose(slopes[0], expected[1][0], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(slopes[1], expected[1][1], rtol=1e-11, atol=1e-13)
    assert jit(less, backend="numpy")(X, 0.9) == f(X, 0.9)


@pytest.mark.parametrize("f", KINDS, ids=lambda f: f.__name__)
def test_second_derivatives(f):
    def curvature(f, **options):
        def inner(u, c):
            return np.sum(grad(f, **options)(u, c) * np.cos(X))

        return grad(inner, (0, 1), backend="numpy")(X, 0.9)

    want = curvature(f)
    for got in (curvature(checkpoint(f, snapshots=2)), curvature(f, memory=300)):
        np.testing.assert_allclose(got[0], want[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(got[1], want[1], rtol=1e-9, atol=1e-12)
    slope = grad(f, memory=300)
    got = jvp(lambda u: slope(u, 0.9), (X,), (np.cos(X),), backend="numpy")[1]
    want = hvp(lambda u: f(u, 0.9), (X,), (np.cos(X),))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("f", [counted_down, swapped], ids=lambda f: f.__name__)
def test_reversed_loops_are_reversed_from_snapshots(f):
    """The gradient's own loop runs backwards; its states are cotangents."""

    def curvature(u, c):
        return np.sum(grad(f)(u, c) * np.cos(X))

    slopes = grad(curvature, (0, 1), memory=500, backend="numpy")
    got, want = slopes(X, 0.9), grad(curvature, (0, 1), backend="numpy")(X, 0.9)
    stacks = [
        e.out.aval.shape for e in make_ir(slopes)(X, 0.9).walk() if e.prim is empty
    ]
    assert any(shape[0] < 9 for shape in stacks)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-9, atol=1e-12)


def test_forward_over_a_budget_keeps_to_it():
    """The tangent of a gradient carries snapshots of tangents: twice the bytes."""
    slope = grad(lambda u: sines(u, 500), memory=1000)

    def along(u):
        return jvp(slope, (u,), (X,))[1]

    stacks = saved(make_ir(along)(X))
    assert sum(stacks) <= 2 * 1000


@pytest.mark.parametrize("f", [stencil, nested, until], ids=lambda f: f.__name__)
def test_sweeps_that_come_later(f):
    def vector(u):
        return np.array([f(u, 0.9), f(u * 2, 0.9)])

    value, pull = vjp(vector, X, memory=250, backend="numpy")
    plain, plainly = vjp(vector, X, backend="numpy")
    np.testing.assert_allclose(value, plain)
    for ct in np.eye(2):
        np.testing.assert_allclose(pull(ct)[0], plainly(ct)[0], rtol=1e-11)
    rows = jacrev(lambda u: checkpoint(lambda v: f(v, 0.9) * v, snapshots=2)(u))(X)
    np.testing.assert_allclose(rows, jacrev(lambda u: f(u, 0.9) * u)(X), rtol=1e-11)


def test_inner_loops_are_taped_by_round():
    def loss(u, inner=6):
        for _ in range(50):
            for _ in range(inner):
                u = np.sin(u) * u
        return np.sum(u)

    tape = 6 * X.nbytes  # of u, and one of sin(u)
    assert saved(make_ir(grad(loss))(X)) == [50 * tape, 50 * tape]
    memory = 2 * tape + 12 * STATE
    program = make_ir(grad(loss, memory=memory))(X)
    assert sorted(saved(program)) == sorted([12 * 8, 12 * X.nbytes, tape, tape])
    # A round that takes more than half is reversed from snapshots itself.
    tight = make_ir(grad(loss, memory=8 * STATE))(X)
    assert sum(saved(tight)) <= 8 * STATE
    got = grad(loss, memory=8 * STATE)(X)
    np.testing.assert_allclose(got, grad(loss)(X), rtol=1e-12)


def test_the_source_does_not_show_the_number_of_rounds_or_snapshots():
    def source(steps, memory):
        f = grad(lambda u: sines(u, steps), memory=memory)
        dispatcher_entry = f.entry(f.bind((X,), {}))
        return dispatcher_entry.run.source

    first = source(1000, 2000)
    assert source(100_000, 2000) == first
    assert source(54_321, 9000) == first


def test_budgets_are_shared_and_refused():
    def loss(u):
        for _ in range(400):
            u = np.sin(u) * u
        for _ in range(2):
            u = np.cos(u)
        while np.max(u) > 0.2:
            u = u * np.cos(u)
        return np.sum(u)

    program = make_ir(grad(loss, memory=2000))(X)
    assert 1500 < sum(saved(program)) <= 2000
    got = grad(loss, memory=2000)(X)
    np.testing.assert_allclose(got, grad(loss)(X), rtol=1e-11)
    with pytest.raises(MemoryBudgetError, match="states that it goes through"):
        grad(loss, memory=64, backend="numpy")(X)
    assert issubclass(MemoryBudgetError, MemoryError)


def test_checkpoints_in_a_budget():
    step = checkpoint(lambda u: sines(u, 30) * u)

    def loss(u):
        for _ in range(40):
            u = step(u)
        return np.sum(u)

    program = make_ir(grad(loss, memory=1000))(X)
    assert sum(saved(program)) <= 1000
    np.testing.assert_allclose(
        grad(loss, memory=1000)(X), grad(loss)(X), rtol=1e-10, atol=1e-300
    )


def test_amounts():
    assert bytes_of("64 MB") == 64_000_000
    assert bytes_of("2GiB") == 2 << 30
    assert bytes_of("1.5 kb") == 1500
    assert bytes_of(12) == 12
    assert bytes_of(None) is None
    for wrong in ("much", "12 parsecs", -1, "", True):
        with pytest.raises(ValueError, match="memory must be"):
            bytes_of(wrong)
    with pytest.raises(ValueError, match="at least 1"):
        checkpoint(sines, snapshots=0)


def test_numbers_that_are_not_floats_are_carried_along():
    def loss(u):
        seen = np.zeros(4, dtype=int)
        flag = False
        for k in range(10):
            seen[k % 4] += k
            flag = flag or u[0] > 2.0
            u = np.where(flag, u, np.sin(u) + 0.1 * seen)
        return np.sum(u)

    less = checkpoint(loss, snapshots=3)
    np.testing.assert_allclose(grad(less)(X), grad(loss)(X), rtol=1e-12)
    check_grads(less, (X,), backend="numpy")


def test_only_what_the_way_back_needs_is_saved():
    """Not what is merely written, in inner loops either, nor what is only counted."""

    def loss(u):
        out, rows = np.zeros((90, 4)), 0
        for t in range(90):
            for k in range(1, 4):
                u[k] = np.sin(u[k - 1] * u[k])
                out[t, k] = u[k]
            rows += 1
        return np.sum(out**2) * rows

    program = make_ir(grad(checkpoint(loss, snapshots=5)))(X)
    tapes = [size for size in saved(program) if size not in (5 * 8, 5 * X.nbytes)]
    assert len(saved(program)) - len(tapes) == 2
    assert sum(tapes) < 5 * X.nbytes  # of one round
    np.testing.assert_allclose(
        grad(checkpoint(loss, snapshots=5))(X), grad(loss)(X), rtol=1e-11
    )


def test_single_precision():
    x = X.astype(np.float32)
    less = checkpoint(stencil, snapshots=3)
    got = grad(less)(x, np.float32(0.2))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, grad(stencil)(x, np.float32(0.2)), rtol=1e-5)


@pytest.mark.parametrize(
    "program", [p for p in PROGRAMS if not p.refused][::9], ids=lambda p: p.name
)
def test_programs_of_every_style(program):
    f, make = fitted(program, np.float64)
    verdict = judge(checkpoint(f, snapshots=2), make, "numpy", program.narrow)
    assert verdict.kind == RIGHT, verdict.why
