"""What inner loops do alike in every round goes before the outer one, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import make_ir, value_and_grad


def sweeps(x, a, b):
    """Thomas' sweep, the matrix being the same at every step; arrays made anew."""
    n = x.shape[0]
    for _ in range(4):
        c, d = np.zeros(n), np.zeros(n)
        c[0], d[0] = a[0] / b[0], x[0] / b[0]
        for i in range(1, n):
            m = b[i] - a[i] * c[i - 1]
            c[i] = a[i] / m
            d[i] = (x[i] - a[i] * d[i - 1]) / m
        x = np.zeros(n)
        x[n - 1] = d[n - 1]
        for i in range(n - 2, -1, -1):
            x[i] = d[i] - c[i] * x[i + 1]
    return np.sum(x**2)


def by_rows(x, a, b):
    """The rows' own coefficients, in a loop within the loop over the rows."""
    grid = np.outer(x, b)
    n = x.shape[0]
    for _ in range(3):
        for j in range(n):
            for i in range(1, n):
                w = np.exp(-a[j] * b[i]) / (1.0 + a[i])
                grid[j, i] = w * grid[j, i] + 0.1 * grid[j, i - 1]
    return np.sum(grid**2)


def triangle(x, a, b):
    x = x.copy()
    for _ in range(3):
        for j in range(x.shape[0]):
            for i in range(j):
                x[j] += 0.01 * x[i] / (a[i] + b[j])
    return np.sum(x**2)


def by_twos_and_down(x, a, b):
    x = x.copy()
    for _ in range(3):
        for i in range(x.shape[0] - 1, 0, -2):
            x[i] = x[i] * np.sqrt(a[i] + b[i - 1]) - x[i - 1]
    return np.sum(x**2)


def carried_number(x, a, b):
    """A number that an inner loop carries, and that is read after it."""
    x = x.copy()
    for _ in range(3):
        s = 1.0
        for i in range(x.shape[0]):
            s = s * np.cos(a[i]) + b[i]
            x[i] += 0.1 * s * x[i]
        x[0] = x[0] + s
    return np.sum(x**2)


def perhaps_never(x, a, b):
    """Where the outer loop runs no round, the inner one would read beyond the end."""
    x = x.copy()
    n = x.shape[0]
    for _ in range(int(x[0] * 2.0)):
        for i in range(int(a[0] * 1e9), n):
            x[i] = x[i] * np.exp(b[i]) / a[i - 1]
    return np.sum(x**2)


def until(x, a, b):
    x = x.copy()
    while np.sum(x) > 0.01:
        for i in range(1, x.shape[0]):
            x[i] = 0.3 * x[i] / (b[i] + np.exp(a[i - 1]))
        x[0] *= 0.1
    return np.sum(x**2)


def refilled(x, a, b):
    """What is fixed at first and then written to is not shared between rounds."""
    n = x.shape[0]
    total = 0.0
    for t in range(3):
        c = np.zeros(n)
        for i in range(1, n):
            c[i] = np.exp(a[i]) + 0.5 * c[i - 1]
        c[t] = x[t]
        total += np.sum(c * x)
    return total


def by_branches(x, a, b):
    x = x.copy()
    for _ in range(3):
        for i in range(x.shape[0]):
            w = np.exp(a[i]) if i % 2 == 0 else b[i] / a[i]
            x[i] = 0.5 * w * x[i]
    return np.sum(x**2)


def changing(x, a, b):
    """Nothing is fixed: what the inner loop reads, the outer one changes."""
    x, a = x.copy(), a.copy()
    for t in range(3):
        for i in range(1, x.shape[0]):
            x[i] = x[i] / (b[i] - a[i] * x[i - 1])
        a[t] = a[t] * 0.9
    return np.sum(x**2)


def checked_each_round(x, a, b):
    """A check of what varies, beside a number that is the same in every round."""
    for _ in range(3):
        w = 0.0
        for i in range(x.shape[0]):
            if x[i] > 1e9:
                raise ValueError("too large")
            w = 0.5 * w + np.exp(a[i])
        x = x * w
    return np.sum(x * b)


PROGRAMS = [
    checked_each_round,
    sweeps,
    by_rows,
    triangle,
    by_twos_and_down,
    carried_number,
    perhaps_never,
    until,
    refilled,
    by_branches,
    changing,
]


def arguments(n):
    rng = np.random.default_rng(n)
    x, a, b = rng.uniform(0.5, 1.0, (3, n))
    return x, 0.3 * a, b + 1.0


@pytest.mark.parametrize("n", [3, 11])
@pytest.mark.parametrize("f", PROGRAMS)
def test_values_and_gradients(f, n):
    args = arguments(n)
    value, slopes = value_and_grad(f, argnums=(0, 1, 2), backend="numpy")(*args)
    np.testing.assert_allclose(value, f(*args), rtol=1e-13)
    rng = np.random.default_rng(0)
    way = rng.normal(size=(3, n))
    ahead, behind = (
        [v + h * d for v, d in zip(args, way, strict=True)] for h in (1e-6, -1e-6)
    )
    numeric = (f(*ahead) - f(*behind)) / 2e-6
    exact = sum(np.sum(s * d) for s, d in zip(slopes, way, strict=True))
    np.testing.assert_allclose(exact, numeric, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("f", [sweeps, by_rows, carried_number])
def test_compiled(f):
    args = arguments(11)
    value, slopes = value_and_grad(f, argnums=(0, 1, 2))(*args)
    want, wanted = value_and_grad(f, argnums=(0, 1, 2), backend="numpy")(*args)
    np.testing.assert_allclose(value, want, rtol=1e-13)
    for slope, expected in zip(slopes, wanted, strict=True):
        np.testing.assert_allclose(slope, expected, rtol=1e-11)


def depths(f):
    """In how many loops the dear operations of a function stand."""
    found = []

    def look(region, depth):
        for eqn in region.eqns:
            if eqn.prim.name in ("div", "exp", "sqrt", "cos"):
                found.append(depth)
            for inner in eqn.regions:
                look(inner, depth + (eqn.prim.name in ("for", "while")))

    look(make_ir(f)(*arguments(11)).region, 0)
    return sorted(found)


@pytest.mark.parametrize(
    "f, wanted",
    [
        (sweeps, [0, 1, 1, 2]),  # what stays is d's quotients
        (by_rows, [2, 2]),
        (triangle, [3]),  # cheap to compute again, and a division anyway
        (by_twos_and_down, [1]),
        (carried_number, [1]),
        (perhaps_never, [2, 2]),
        (until, [1, 2]),
        (refilled, [1]),
        (by_branches, [1, 1]),
        (changing, [2]),
    ],
)
def test_what_stays_inside(f, wanted):
    assert depths(f) == wanted
