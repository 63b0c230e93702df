"""Whole-array programs: neighbours by slices, chains of elementwise functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks import polynomials
from benchmarks.workload import SAME, Function, Workload, fast

# --- Rosenbrock's function, neighbours by slices


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@fast
def rosenbrock_primal(x):
    here, there = x[:-1], x[1:]
    value = 0.0
    for i in range(here.size):
        d, e = there[i] - here[i] * here[i], 1.0 - here[i]
        value += 100.0 * d * d + e * e
    return value


@fast
def rosenbrock_hand(x):
    n = x.size
    g = np.empty_like(x)
    d, e = x[1] - x[0] * x[0], 1.0 - x[0]
    value = 100.0 * d * d + e * e
    g[0] = -400.0 * x[0] * d - 2.0 * e
    before, here, there, inner = x[:-2], x[1:-1], x[2:], g[1:-1]
    for i in range(n - 2):  # gathered, not scattered: each gradient is written once
        d, e = there[i] - here[i] * here[i], 1.0 - here[i]
        value += 100.0 * d * d + e * e
        back = here[i] - before[i] * before[i]
        inner[i] = 200.0 * back - 400.0 * here[i] * d - 2.0 * e
    g[n - 1] = 200.0 * (x[n - 1] - x[n - 2] * x[n - 2])
    return value, g


def make_vector(n):
    return (np.random.default_rng(0).uniform(-1.5, 1.5, n),)


# --- a chain of elementwise functions


def chain(x):
    return np.sum(np.sin(x) * np.exp(-(x**2)) + np.log1p(x * x))


def chain_primal_by(m: Any) -> Function:
    """The chain, with the functions of `m`."""

    @fast
    def primal(x):
        value = 0.0
        for i in range(x.size):
            v = x[i]
            value += m.sin(v) * m.exp(-v * v) + m.log1p(v * v)
        return value

    return primal


def chain_by(m: Any) -> Function:
    @fast
    def hand(x):
        g = np.empty_like(x)
        value = 0.0
        for i in range(x.size):
            v = x[i]
            s, c, q, e = m.sin(v), m.cos(v), v * v, m.exp(-v * v)
            value += s * e + m.log1p(q)
            g[i] = (c - 2.0 * v * s) * e + 2.0 * v / (1.0 + q)
        return value, g

    return hand


# --- the heat equation, in place, by slices


def heat(u, c, steps):
    u = u.copy()
    for _ in range(steps):
        u[1:-1] += c * (u[2:] - 2.0 * u[1:-1] + u[:-2])
    return np.sum(u**2)


def heat_jax(u, c, steps):
    # `np` is jax.numpy here: see `workload.with_numpy`.
    from jax import lax

    def step(_, u):
        return u.at[1:-1].add(c * (u[2:] - 2.0 * u[1:-1] + u[:-2]))

    return np.sum(lax.fori_loop(0, steps, step, u) ** 2)


@fast
def heat_step(old, new, c):
    left, here, right, out = old[:-2], old[1:-1], old[2:], new[1:-1]
    for i in range(out.size):
        out[i] = here[i] + c * (right[i] - 2.0 * here[i] + left[i])


@fast
def heat_run(u, c, steps):
    old, new = u.copy(), u.copy()
    for _ in range(steps):
        heat_step(old, new, c)
        old, new = new, old
    return old


@fast
def heat_primal(u, c, steps):
    value = 0.0
    for v in heat_run(u, c, steps):
        value += v * v
    return value


@fast
def heat_hand(u, c, steps):
    # Linear in u: no tape. The step is its own transpose inside; the border cells,
    # which are read and never written, only collect.
    final = heat_run(u, c, steps)
    value = 0.0
    for v in final:
        value += v * v
    n = u.size
    old, new = 2.0 * final, np.zeros(n)
    first, last = old[0], old[n - 1]
    old[0] = old[n - 1] = 0.0
    for _ in range(steps):
        first += c * old[1]
        last += c * old[n - 2]
        heat_step(old, new, c)
        old, new = new, old
    old[0], old[n - 1] = first, last
    return value, old


def make_heat(n):
    return np.random.default_rng(0).uniform(size=n), 0.2, 500


# --- Newton's iteration on a whole array, until all of it has converged


def newton(a):
    x = np.ones_like(a)
    step = np.ones_like(a)
    while np.max(np.abs(step)) > 1e-12:  # solves x**3 + x == a
        step = (x**3 + x - a) / (3.0 * x**2 + 1.0)
        x = x - step
    return np.sum(x * x)


@fast
def newton_step(x, a, out):
    largest = 0.0
    for i in range(a.size):
        v = x[i]
        step = (v * v * v + v - a[i]) / (3.0 * v * v + 1.0)
        out[i] = v - step
        largest = max(largest, abs(step))
    return largest


@fast
def newton_primal(a):
    x = np.ones_like(a)
    while newton_step(x, a, x) > 1e-12:
        pass
    value = 0.0
    for v in x:
        value += v * v
    return value


@fast
def newton_hand(a):
    n = a.size
    tape = np.empty((16, n))  # x before each step
    tape[0] = 1.0
    k, largest = 0, 1.0
    while largest > 1e-12:
        if k + 1 == tape.shape[0]:
            longer = np.empty((2 * k + 2, n))
            longer[: k + 1] = tape
            tape = longer
        largest = newton_step(tape[k], a, tape[k + 1])
        k += 1
    value = 0.0
    x_bar, a_bar = np.empty(n), np.zeros(n)
    for i in range(n):
        value += tape[k, i] * tape[k, i]
        x_bar[i] = 2.0 * tape[k, i]
    for j in range(k - 1, -1, -1):
        x = tape[j]
        for i in range(n):
            v = x[i]
            r = 1.0 / (3.0 * v * v + 1.0)
            a_bar[i] += x_bar[i] * r
            x_bar[i] *= (v * v * v + v - a[i]) * 6.0 * v * r * r
    return value, a_bar


def make_newton(n):
    return (np.random.default_rng(0).uniform(-5.0, 5.0, n),)


WORKLOADS = (
    Workload(
        "rosenbrock",
        rosenbrock,
        make_vector,
        (10, 100_000),
        rosenbrock_primal,
        rosenbrock_hand,
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "chain",
        chain,
        make_vector,
        (100, 10_000, 1_000_000),
        chain_primal_by(polynomials),
        chain_by(math),
        hand_vector=chain_by(polynomials),
        jax=SAME,
        autograd=SAME,
    ),
    Workload("heat", heat, make_heat, (1000,), heat_primal, heat_hand, jax=heat_jax),
    Workload(
        "newton",
        newton,
        make_newton,
        (1000,),
        newton_primal,
        newton_hand,
        autograd=SAME,
    ),
)
