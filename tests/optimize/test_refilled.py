"""Arrays that a loop fills alike in every round are filled once, others are not."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import make_ir, value_and_grad


def swept(x, a):
    c = np.zeros(len(x))
    for _ in range(4):
        c[0] = a[0]
        for i in range(1, len(x)):
            c[i] = a[i] - 0.5 * c[i - 1]
        x = x * c
    return np.sum(x)


def swept_down(x, a):
    c = np.zeros(len(x))
    for _ in range(4):
        c[-1] = a[0]
        for i in range(len(x) - 2, -1, -1):
            c[i] = a[i] - 0.5 * c[i + 1]
        x = x * c
    return np.sum(x) + c[1]


def by_slices(x, a):
    """The border is never written: it stays what it was."""
    c = a.copy()
    for _ in range(4):
        c[1:3] = a[0]
        c[3:-1] = 2.0 * c[2] * a[1]
        x = x * c
    return np.sum(x)


def used_up(x, a):
    """What was filled changes with x in the end: the next round fills it anew."""
    c = np.zeros(len(x))
    for _ in range(4):
        c[:] = a
        for i in range(1, len(x)):
            c[i] = c[i] - 0.3 * c[i - 1]
        x = x * c
        c[0] = x[1]
    return np.sum(x * c)


def summed(x, a):
    c = np.zeros(len(x))
    for _ in range(4):
        for i in range(len(x)):
            c[i] = 0.5 * c[i] + a[i]
        x = x * c
    return np.sum(x)


def ahead(x, a):
    """Each cell is read before it is filled."""
    c = np.ones(len(x))
    for _ in range(4):
        c[0] = a[0]
        for i in range(len(x) - 1):
            c[i] = a[i] + 0.5 * c[i + 1]
        x = x * c
    return np.sum(x)


def behind(x, a):
    """Read again in the round that fills it, but another cell."""
    c = np.ones(len(x))
    for _ in range(4):
        s = 0.0
        for i in range(len(x) - 1):
            c[i] = a[i]
            s += c[i + 1]
        x = x * c * s
    return np.sum(x)


def before(x, a):
    c = np.zeros(len(x))
    for _ in range(4):
        x = x * (1.0 + c[2])
        for i in range(len(x)):
            c[i] = a[i]
        x = x * c
    return np.sum(x)


def exchanged(x, a):
    c, d = np.zeros(len(x)), np.ones(len(x))
    for _ in range(5):
        c[1:] = a[1:]
        x = x * (c + d)
        c, d = d, c
        c = 2.0 * c
    return np.sum(x)


def half(x, a):
    c = np.zeros(len(x))
    for _ in range(4):
        for i in range(len(x) // 2):
            c[i] = a[i]
        for i in range(len(x) // 2, len(x)):
            c[i] = a[i] + c[len(x) - 1 - i] + c[i]
        x = x * c
    return np.sum(x)


def sometimes(x, a):
    c = np.zeros(len(x))
    for t in range(4):
        if t % 2 == 1:
            c[:] = a
        for i in range(len(x)):
            x[i] *= 1.0 + c[i]
    return np.sum(x)


def perhaps_never(x, a):
    c = np.ones(len(x))
    for _ in range(int(a[0] - 3.0)):
        for i in range(len(x)):
            c[i] = a[i]
        x = x * c
    return np.sum(x * c)


def by_rows(x, a):
    c = np.zeros((len(x), 2))
    for _ in range(4):
        for i in range(len(x)):
            c[i] = a[i]
        for i in range(1, len(x)):
            c[i, 1] = c[i - 1, 0] + c[i, 1]
        x = x * c[:, 1]
    return np.sum(x)


def last_round(x, a):
    """The rows are filled as far as the round has come."""
    c = np.zeros(len(x))
    for t in range(1, 5):
        for i in range(t):
            c[i] = a[i]
        x = x + c
    return np.sum(x * c)


PROGRAMS = {
    swept: 1,
    swept_down: 1,
    by_slices: 1,
    used_up: 2,
    summed: 2,
    ahead: 2,
    behind: 2,
    before: 2,
    exchanged: 3,
    half: 2,
    sometimes: 2,
    perhaps_never: 2,
    by_rows: 2,
    last_round: 2,
}


def arguments():
    rng = np.random.default_rng(0)
    return tuple(rng.uniform(0.5, 1.5, (2, 9)))


@pytest.mark.parametrize(("f", "carried"), PROGRAMS.items())
def test_arrays_carried_by_the_outer_loop(f, carried):
    (*_, loop) = (
        e for e in make_ir(f)(*arguments()).region.eqns if e.prim.name == "for"
    )
    assert sum(bool(v.aval.shape) for v in loop.outputs) == carried


@pytest.mark.parametrize("f", PROGRAMS)
def test_values_and_gradients(f):
    x, a = arguments()
    value, slopes = value_and_grad(f, argnums=(0, 1), backend="numpy")(x, a)
    np.testing.assert_allclose(value, f(x.copy(), a), rtol=1e-13)
    way = np.random.default_rng(1).normal(size=(2, 9))
    up, down = (f(x + h * way[0], a + h * way[1]) for h in (1e-6, -1e-6))
    exact = np.sum(slopes[0] * way[0]) + np.sum(slopes[1] * way[1])
    np.testing.assert_allclose(exact, (up - down) / 2e-6, rtol=1e-6)
