"""What a round has stored is at hand, unless it may be another number by now."""

from __future__ import annotations

import numpy as np
import pytest

from tests.optimize.kernels import text_of
from tracejit import grad, jit, value_and_grad
from tracejit.ir.aval import Aval
from tracejit.ir.program import Var
from tracejit.optimize.handed import hand_on
from tracejit.optimize.nest import (
    INT64,
    Affine,
    Buffer,
    Let,
    Load,
    Loop,
    Store,
    scalar_var,
)

RNG = np.random.default_rng(0)


def put_together(p, q):
    parts = [p[:, 0] * q[:, 1], p[:, 1] * q[:, 0], p[:, 0] - q[:, 0]]
    out = np.stack(parts, axis=1)
    return np.sum(np.sqrt(np.sum(out**2, axis=1))) + np.sum(out[:, 1])


def test_rows_put_together_are_not_stored():
    p, q = RNG.normal(size=(2, 20, 2))
    text = text_of(put_together, p, q)
    assert text.count("] = ") == 1
    text = text_of(value_and_grad(put_together, (0, 1)), p, q)
    stored = {
        line.split("[")[0].strip() for line in text.splitlines() if "] = " in line
    }
    assert stored == {"out", "out_1", "out_2"}


def elsewhere(x):
    """Of two places nobody knows whether they are one."""
    y = np.zeros(len(x))
    s = 0.0
    for i in range(len(x)):
        k = int(x[i] * x[i]) % len(x)
        y[i] = x[i]
        y[k] = 3.0
        s += y[i] * x[k]
    return s + y


def added(x):
    y = np.zeros(len(x))
    s = 0.0
    for i in range(len(x)):
        y[i] = x[i]
        y[i] += 2.0
        y[i] *= y[i]
        s += y[i]
    return s


def on_one_side(x):
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i] = x[i]
        if x[i] > 0:
            y[i] = 7.0
        y[i] += y[i]
    return y


def in_a_loop(x):
    y = np.zeros(len(x))
    s = 0.0
    for i in range(len(x)):
        y[i] = x[i]
        for j in range(len(x)):
            s += y[i] * x[j]
            y[i] = 0.5 * y[i] + s
        for j in range(i, len(x)):
            s += y[i]
            y[j] = s
        s += y[i]
    return s


def renamed(x):
    """The number that was stored is another one by now."""
    y = np.zeros(len(x))
    a, b = x[0], x[1]
    for i in range(len(x)):
        y[i] = a
        a, b = b, a * 0.5
        b = b + y[i]
        y[i] += a
    return y + a


def neighbours(x):
    x = x.copy()
    for i in range(1, len(x)):
        x[i - 1] = x[i] * 2.0
        x[i] = x[i - 1] + x[i]
        x[i - 1] += x[i]
    return x


PROGRAMS = [elsewhere, added, on_one_side, in_a_loop, renamed, neighbours]


@pytest.mark.parametrize("fn", PROGRAMS)
@pytest.mark.parametrize("n", [2, 3, 12])
def test_numbers(fn, n):
    x = RNG.normal(size=n)
    text_of(fn, x)
    text_of(grad(lambda x: np.sum(fn(x) ** 2)), x)


def test_what_may_have_been_overwritten_is_loaded():
    assert "= _result[i_1]" in text_of(elsewhere, RNG.normal(size=12))
    assert text_of(added, RNG.normal(size=12)).count("] = ") == 1


def test_numbers_that_are_assigned_to_since_are_loaded():
    real = Aval(np.dtype(float), ())
    v, w, i = Var(real, "v"), Var(real, "w"), scalar_var(INT64)
    buffer = Buffer(Aval(np.dtype(float), (20,)))
    place = buffer, (20,), (Affine.of(i),)
    store, load = Store(*place, v), Load(w, *place)
    assert isinstance(hand_on([store, load])[1], Let)
    rounds = Affine.of(0), Affine.of(20), Affine.of(1)
    other = scalar_var(INT64)
    for between in (Let(v, w), Let(i, other), Loop(other, *rounds, [Let(v, w)])):
        assert hand_on([store, between, load])[2] is load
    loop = Loop(other, *rounds, [load, Let(v, w)])
    assert hand_on([store, loop])[1].body[0] is load


def test_single_precision_and_truth():
    def f(x, y):
        both = np.stack([x, y], axis=1)
        seen = both > 0
        return np.sum(both * seen, dtype=np.float32) + np.sum(both[:, 0])

    x, y = RNG.normal(size=(2, 20)).astype(np.float32)
    found = jit(f)(x, y)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, f(x, y), rtol=1e-6)
