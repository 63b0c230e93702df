"""Loops over whole arrays run in blocks of elements, where those never meet."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, make_ir, value_and_grad
from tracejit.backend.numba_source import write
from tracejit.ir.check import check
from tracejit.ir.evaluate import evaluate
from tracejit.optimize import blocks
from tracejit.optimize.blocks import in_blocks
from tracejit.optimize.expand import expand
from tracejit.optimize.lower import lower

N = 601  # no number of whole blocks


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 128)
    monkeypatch.setattr(blocks, "LEAST", 0)


def logistic(r, x):
    for _ in range(20):
        x = r * x * (1.0 - x)
    return np.sum(x**2)


def oscillators(x, v, mu):
    x, v = x.copy(), v.copy()
    for _ in range(15):
        a = mu * (1.0 - x * x) * v - x
        x += 0.1 * v
        v += 0.1 * a
    return np.mean((x - 1.0) ** 2)


def paths(Z, s0, mu, sigma):
    """Time runs along the last axis, and the paths are kept."""
    S = np.zeros((Z.shape[0], Z.shape[1] + 1))
    S[:, 0] = s0
    for t in range(Z.shape[1]):
        S[:, t + 1] = S[:, t] * np.exp(0.01 * mu + 0.1 * sigma * Z[:, t])
    return np.mean(np.maximum(S[:, -1] - 1.0, 0.0)) + np.mean(S[:, 3])


def orbits(p, v, k):
    """Lanes are rows."""
    for _ in range(12):
        r2 = np.sum(p**2, axis=1) + 0.1
        v = v - 0.05 * k * p / r2[:, None]
        p = p + 0.05 * v
    return np.sum(p**2)


def escaping(a, b):
    """Lanes lie along two axes; a sum is taken in every round."""
    x, y, s = np.zeros_like(a), np.zeros_like(a), 0.0
    for _ in range(15):
        alive = x * x + y * y < 4.0
        x, y = (
            np.where(alive, x * x - y * y + a, x),
            np.where(alive, 2 * x * y + b, y),
        )
        s += np.mean(np.exp(-x * x))
    return s


def tracked(x, seen, k):
    loss = 0.0
    for t in range(len(seen)):
        for _ in range(2):
            x = x - k[0] * np.sin(x) + k[1]
        loss += np.sum((x - seen[t]) ** 2)
    return loss


def alternating(u, f):
    u = u.copy()
    for i in range(11):
        if i % 2 == 0:
            u += 0.1 * f * np.cos(u)
        else:
            u -= 0.05 * u**3
    return np.sum(u * f)


def relaxed(x, k):
    """A sum over lanes decides nothing, but is carried on by more than additions."""
    m = 0.0
    for _ in range(12):
        m = 0.5 * m + np.sum(x)
        x = x - k * np.sin(x)
    return m


def meeting(x, k):
    for _ in range(12):
        x = x - k * (np.sin(x) - np.mean(x))
    return np.sum(x**2)


def neighbours(x, k):
    x = x.copy()
    for _ in range(12):
        x[1:-1] += k * (x[2:] - x[1:-1])
    return np.sum(x**2)


def searching(x, k):
    """A loop that is the same for all lanes, of a length that data decides."""
    for _ in range(4):
        h = np.floor(9.0 * k)
        while h > 1.0:
            h = np.floor(0.5 * h)
        x = x - h * k * np.sin(x)
    return np.sum(x**2)


def counted(x, k):
    """What is added in every round is no share of lanes."""
    n = 0.0
    for _ in range(12):
        x = x - k * np.sin(x)
        n = n + k
    return np.sum(x) + n


def clocked(x, k):
    t = 0.0
    for _ in range(12):
        x = x - k * np.sin(x + t)
        t += 0.1
    return np.sum(x**2)


def stopped(x, k):
    for _ in range(12):
        x = x - k * np.sin(x)
        if np.max(x) < 0.1:
            break
    return np.sum(x**2)


def of_a_sum(x, k):
    """The adjoint waits for the sum, and so the tape is as long as all lanes."""
    for _ in range(12):
        x = x - k * np.sin(x)
    return np.sqrt(np.sum(x**2))


def components(y, k):
    """Lanes lie along the second axis, and rows are put together."""
    for _ in range(6):
        slope = np.array([y[1], -k * np.sin(y[0]) - 0.1 * y[1]])
        y = y + 0.1 * slope
    return np.sum(y[0] ** 2)


def remembered(x, a):
    kept = np.zeros((9, len(x)))
    for t in range(9):
        x = a * np.sin(x) + 0.5 * x
        kept[t] = x
    return np.sum(kept[4:] ** 2) + np.sum(np.mean(kept, axis=0) ** 3)


rng = np.random.default_rng(0)
X, Y = rng.random(N) + 0.1, rng.random(N)
APART = {
    logistic: (3.5 + 0.2 * X, Y),
    oscillators: (X, Y, 0.7),
    paths: (rng.normal(size=(N, 9)), 1.0, 0.1, 0.2),
    orbits: (rng.random((N, 2)), rng.random((N, 2)), 0.3),
    escaping: (rng.random((61, 17)) - 1.0, rng.random((61, 17))),
    tracked: (X, rng.random((5, N)), np.array([0.1, 0.2])),
    alternating: (rng.random((30, 40)), rng.random((30, 40))),
    clocked: (X, 0.3),
    searching: (X, 0.3),
    components: (rng.random((2, N)), 1.3),
    remembered: (X, 0.7),
}
MEETING = {
    counted: (X, 0.3),
    relaxed: (X, 0.3),
    meeting: (X, 0.3),
    neighbours: (X, 0.3),
    stopped: (X, 0.3),
    of_a_sum: (X, 0.3),
}


def flat(results):
    return np.concatenate([np.ravel(r) for r in results])


@pytest.mark.parametrize("fn", [*APART, *MEETING], ids=lambda fn: fn.__name__)
def test_same_results(fn):
    args = (APART | MEETING)[fn]
    program = expand(make_ir(value_and_grad(fn, argnums=(0, 1)))(*args))
    blocked = in_blocks(program)
    check(blocked)
    assert ("block in range" in str(blocked)) == (fn in APART)
    args = [a for v, a in zip(program.inputs, args, strict=False)]
    want, got = flat(evaluate(program, args)), flat(evaluate(blocked, args))
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("fn", [paths, orbits, alternating, remembered])
def test_compiled(fn):
    args = APART[fn]
    got = value_and_grad(fn, argnums=(0, 1))(*args)
    want = value_and_grad(fn, argnums=(0, 1), backend="numpy")(*args)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    for a, b in zip(got[1], want[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14)


def test_the_user_array_is_left_alone():
    x = X.copy()
    value_and_grad(oscillators)(x, Y, 0.7)
    assert (x == X).all()


def test_what_fits_in_the_cache_stays_together(monkeypatch):
    program = make_ir(grad(logistic))(3.5 + X, Y)
    assert "block" in str(in_blocks(program))
    monkeypatch.setattr(blocks, "LEAST", 21 * N * 8 + 3 * N * 8)
    assert "block" not in str(in_blocks(program))


def test_few_lanes_stay_together():
    program = make_ir(grad(logistic))(3.5 + X[:100], Y[:100])
    assert "block" not in str(in_blocks(program))


@pytest.mark.parametrize("fn", [alternating, remembered])
def test_what_is_carried_on_stays_where_it_is(fn):
    """Buffers that change names keep LLVM from telling them apart."""
    program = make_ir(grad(fn))(*APART[fn])
    assert "spare" not in write(lower(program)).text
