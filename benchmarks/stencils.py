"""Stencils: differences by slices, in place and between buffers, and cell by cell."""

from __future__ import annotations

import numpy as np

from benchmarks.loops import sum_of_squares
from benchmarks.workload import Workload, fast

# --- the heat equation on a plate, in place, by slices: linear, so without a tape


def heat_2d(u, c, steps):
    u = u.copy()
    for _ in range(steps):
        u[1:-1, 1:-1] += c * (
            u[2:, 1:-1]
            + u[:-2, 1:-1]
            + u[1:-1, 2:]
            + u[1:-1, :-2]
            - 4.0 * u[1:-1, 1:-1]
        )
    return np.sum(u**2)


def heat_2d_jax(u, c, steps):
    from jax import lax

    def step(_, u):
        around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
        return u.at[1:-1, 1:-1].add(c * (around - 4.0 * u[1:-1, 1:-1]))

    return np.sum(lax.fori_loop(0, steps, step, u) ** 2)


@fast
def heat_2d_step(old, new, c):
    for i in range(1, old.shape[0] - 1):
        up, down, left = old[i - 1, 1:-1], old[i + 1, 1:-1], old[i, :-2]
        here, right, out = old[i, 1:-1], old[i, 2:], new[i, 1:-1]
        for j in range(out.size):
            around = up[j] + down[j] + left[j] + right[j]
            out[j] = here[j] + c * (around - 4.0 * here[j])


@fast
def heat_2d_run(u, c, steps):
    old, new = u.copy(), u.copy()
    for _ in range(steps):
        heat_2d_step(old, new, c)
        old, new = new, old
    return old


@fast
def heat_2d_primal(u, c, steps):
    return sum_of_squares(heat_2d_run(u, c, steps))


@fast
def heat_2d_hand(u, c, steps):
    # The step is its own transpose inside; the border cells, which are read and never
    # written, only collect.
    final = heat_2d_run(u, c, steps)
    value = sum_of_squares(final)
    border = 2.0 * final
    border[1:-1, 1:-1] = 0.0
    old = 2.0 * final - border
    new = np.zeros_like(old)
    n, m = old.shape
    for _ in range(steps):
        for j in range(1, m - 1):
            border[0, j] += c * old[1, j]
            border[n - 1, j] += c * old[n - 2, j]
        for i in range(1, n - 1):
            border[i, 0] += c * old[i, 1]
            border[i, m - 1] += c * old[i, m - 2]
        heat_2d_step(old, new, c)
        old, new = new, old
    return value, old + border


def make_heat_2d(n):
    return np.random.default_rng(0).uniform(size=(n, n)), 0.2, 100


# --- the same in a block, and by the conductivity too


def heat_3d(u, c, steps):
    u = u.copy()
    for _ in range(steps):
        u[1:-1, 1:-1, 1:-1] += c * (
            u[2:, 1:-1, 1:-1]
            + u[:-2, 1:-1, 1:-1]
            + u[1:-1, 2:, 1:-1]
            + u[1:-1, :-2, 1:-1]
            + u[1:-1, 1:-1, 2:]
            + u[1:-1, 1:-1, :-2]
            - 6.0 * u[1:-1, 1:-1, 1:-1]
        )
    return np.sum(u**2)


def heat_3d_jax(u, c, steps):
    from jax import lax

    def step(_, u):
        around = u[2:, 1:-1, 1:-1] + u[:-2, 1:-1, 1:-1] + u[1:-1, 2:, 1:-1]
        around += u[1:-1, :-2, 1:-1] + u[1:-1, 1:-1, 2:] + u[1:-1, 1:-1, :-2]
        flow = around - 6.0 * u[1:-1, 1:-1, 1:-1]
        return u.at[1:-1, 1:-1, 1:-1].add(c * flow)

    return np.sum(lax.fori_loop(0, steps, step, u) ** 2)


@fast
def heat_3d_step(old, new, c):
    n, m, _ = old.shape
    for i in range(1, n - 1):
        for j in range(1, m - 1):
            up, down = old[i - 1, j, 1:-1], old[i + 1, j, 1:-1]
            front, behind = old[i, j - 1, 1:-1], old[i, j + 1, 1:-1]
            left, here, right = old[i, j, :-2], old[i, j, 1:-1], old[i, j, 2:]
            out = new[i, j, 1:-1]
            for k in range(out.size):
                around = up[k] + down[k] + front[k] + behind[k] + left[k] + right[k]
                out[k] = here[k] + c * (around - 6.0 * here[k])


@fast
def heat_3d_primal(u, c, steps):
    old, new = u.copy(), u.copy()
    for _ in range(steps):
        heat_3d_step(old, new, c)
        old, new = new, old
    return sum_of_squares(old.ravel())


@fast
def heat_3d_back(old, new, c, u):
    """One step back inside, with the cotangent of c: the flow of the cotangents, times
    the state before the step."""
    c_bar = 0.0
    n, m, _ = old.shape
    for i in range(1, n - 1):
        for j in range(1, m - 1):
            up, down = old[i - 1, j, 1:-1], old[i + 1, j, 1:-1]
            front, behind = old[i, j - 1, 1:-1], old[i, j + 1, 1:-1]
            left, here, right = old[i, j, :-2], old[i, j, 1:-1], old[i, j, 2:]
            out, before = new[i, j, 1:-1], u[i, j, 1:-1]
            for k in range(out.size):
                around = up[k] + down[k] + front[k] + behind[k] + left[k] + right[k]
                flow = around - 6.0 * here[k]
                c_bar += flow * before[k]
                out[k] = here[k] + c * flow
    return c_bar


@fast
def heat_3d_border(old, border):
    """Add to each border cell what its neighbour inside has."""
    n, m, p = old.shape
    for j in range(1, m - 1):
        for k in range(1, p - 1):
            border[0, j, k] += old[1, j, k]
            border[n - 1, j, k] += old[n - 2, j, k]
    for i in range(1, n - 1):
        for k in range(1, p - 1):
            border[i, 0, k] += old[i, 1, k]
            border[i, m - 1, k] += old[i, m - 2, k]
        for j in range(1, m - 1):
            border[i, j, 0] += old[i, j, 1]
            border[i, j, p - 1] += old[i, j, p - 2]


@fast
def heat_3d_hand(u, c, steps):
    # The tape is the states themselves. The border keeps its values, so its part of
    # the cotangent of c is one product in the end.
    n, m, p = u.shape
    tape = np.empty((steps + 1, n, m, p))
    tape[0] = u
    for t in range(steps):
        tape[t + 1, 0], tape[t + 1, n - 1] = u[0], u[n - 1]
        tape[t + 1, :, 0], tape[t + 1, :, m - 1] = u[:, 0], u[:, m - 1]
        tape[t + 1, :, :, 0], tape[t + 1, :, :, p - 1] = u[:, :, 0], u[:, :, p - 1]
        heat_3d_step(tape[t], tape[t + 1], c)
    final = tape[steps]
    old, new, border = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
    old[1:-1, 1:-1, 1:-1] = 2.0 * final[1:-1, 1:-1, 1:-1]
    c_bar = 0.0
    for t in range(steps - 1, -1, -1):
        heat_3d_border(old, border)
        c_bar += heat_3d_back(old, new, c, tape[t])
        old, new = new, old
    c_bar += np.sum(border * u)
    edge = 2.0 * u
    edge[1:-1, 1:-1, 1:-1] = 0.0
    return sum_of_squares(final.ravel()), old + c * border + edge, c_bar


def make_heat_3d(n):
    return np.random.default_rng(0).uniform(size=(n, n, n)), 0.1, 20


# --- Burgers' equation, upwind, in place: nonlinear, and by the viscosity too


def burgers(u, k, nu, steps):
    u = u.copy()
    for _ in range(steps):
        u[1:-1] = (
            u[1:-1]
            - k * u[1:-1] * (u[1:-1] - u[:-2])
            + nu * (u[2:] - 2.0 * u[1:-1] + u[:-2])
        )
    return np.sum(u**2)


def burgers_jax(u, k, nu, steps):
    from jax import lax

    def step(_, u):
        left, here, right = u[:-2], u[1:-1], u[2:]
        new = here - k * here * (here - left) + nu * (right - 2.0 * here + left)
        return u.at[1:-1].set(new)

    return np.sum(lax.fori_loop(0, steps, step, u) ** 2)


@fast
def burgers_step(old, new, k, nu):
    left, here, right, out = old[:-2], old[1:-1], old[2:], new[1:-1]
    for i in range(out.size):
        flow = right[i] - 2.0 * here[i] + left[i]
        out[i] = here[i] - k * here[i] * (here[i] - left[i]) + nu * flow


@fast
def burgers_primal(u, k, nu, steps):
    old, new = u.copy(), u.copy()
    for _ in range(steps):
        burgers_step(old, new, k, nu)
        old, new = new, old
    return sum_of_squares(old)


@fast
def burgers_back(old, new, k, nu, u):
    """One step back inside, where the border of `old` is zero."""
    left, here, right, out = old[:-2], old[1:-1], old[2:], new[1:-1]
    before, at, after = u[:-2], u[1:-1], u[2:]
    nu_bar = 0.0
    for i in range(out.size):
        flow = right[i] - 2.0 * here[i] + left[i]
        nu_bar += flow * at[i]
        slope = here[i] * (2.0 * at[i] - before[i]) - right[i] * after[i]
        out[i] = here[i] - k * slope + nu * flow
    return nu_bar


@fast
def burgers_hand(u, k, nu, steps):
    n = u.size
    tape = np.empty((steps + 1, n))  # the states themselves
    tape[0] = u
    for t in range(steps):
        tape[t + 1, 0], tape[t + 1, n - 1] = u[0], u[n - 1]
        burgers_step(tape[t], tape[t + 1], k, nu)
    final = tape[steps]
    old, new = 2.0 * final, np.zeros(n)
    old[0] = old[n - 1] = first = last = nu_bar = 0.0
    for t in range(steps - 1, -1, -1):
        # The border is read and not written: it only collects.
        here, there = old[1], old[n - 2]
        first += here * (k * tape[t, 1] + nu)
        last += there * nu
        nu_bar += here * u[0] + there * u[n - 1]
        nu_bar += burgers_back(old, new, k, nu, tape[t])
        old, new = new, old
    old[0], old[n - 1] = first + 2.0 * u[0], last + 2.0 * u[n - 1]
    return sum_of_squares(final), old, nu_bar


def make_burgers(n):
    return np.random.default_rng(0).uniform(size=n), 0.2, 0.1, 200


# --- the wave equation, in three buffers that change places, by its speeds too


def wave(u0, c, steps):
    before, u, after = u0.copy(), u0.copy(), u0.copy()
    for _ in range(steps):
        after[1:-1] = (
            2.0 * u[1:-1]
            - before[1:-1]
            + c[1:-1] ** 2 * (u[2:] - 2.0 * u[1:-1] + u[:-2])
        )
        before, u, after = u, after, before
    return np.sum(u**2)


def wave_jax(u0, c, steps):
    from jax import lax

    def step(_, state):
        before, u = state
        flow = c[1:-1] ** 2 * (u[2:] - 2.0 * u[1:-1] + u[:-2])
        return u, u.at[1:-1].set(2.0 * u[1:-1] - before[1:-1] + flow)

    return np.sum(lax.fori_loop(0, steps, step, (u0, u0))[1] ** 2)


@fast
def wave_step(before, old, new, squares):
    left, here, right = old[:-2], old[1:-1], old[2:]
    last, out, q = before[1:-1], new[1:-1], squares[1:-1]
    for i in range(out.size):
        flow = right[i] - 2.0 * here[i] + left[i]
        out[i] = 2.0 * here[i] - last[i] + q[i] * flow


@fast
def wave_primal(u0, c, steps):
    before, old, new = u0.copy(), u0.copy(), u0.copy()
    squares = c * c
    for _ in range(steps):
        wave_step(before, old, new, squares)
        before, old, new = old, new, before
    return sum_of_squares(old)


@fast
def wave_back(v, w, out, squares, q_bar, u):
    """The cotangent of a state, from those of the two that were made from it: v from
    it as the present one, w from it as the past one; both zero at the border."""
    left, here, right = v[:-2], v[1:-1], v[2:]
    p, q, r = squares[:-2], squares[1:-1], squares[2:]
    a, b, c = u[:-2], u[1:-1], u[2:]
    past, inner, bar = w[1:-1], out[1:-1], q_bar[1:-1]
    for i in range(inner.size):
        y = here[i]
        bar[i] += y * (c[i] - 2.0 * b[i] + a[i])
        inner[i] = 2.0 * y - past[i] + p[i] * left[i] - 2.0 * q[i] * y + r[i] * right[i]


@fast
def wave_hand(u0, c, steps):
    n = u0.size
    squares = c * c
    tape = np.empty((steps + 2, n))  # the states themselves; the first stands twice
    tape[0], tape[1] = u0, u0
    for t in range(1, steps + 1):
        tape[t + 1, 0], tape[t + 1, n - 1] = u0[0], u0[n - 1]
        wave_step(tape[t - 1], tape[t], tape[t + 1], squares)
    final = tape[steps + 1]
    v, w, spare = 2.0 * final, np.zeros(n), np.zeros(n)
    v[0] = v[n - 1] = first = last = 0.0
    q_bar = np.zeros(n)
    for t in range(steps, 0, -1):
        first += squares[1] * v[1]
        last += squares[n - 2] * v[n - 2]
        wave_back(v, w, spare, squares, q_bar, tape[t])
        v, w, spare = spare, v, w
    for i in range(n):
        v[i] -= w[i]  # the state before the first is u0 too
        q_bar[i] *= 2.0 * c[i]
    v[0], v[n - 1] = first + 2.0 * u0[0], last + 2.0 * u0[n - 1]
    return sum_of_squares(final), v, q_bar


def make_wave(n):
    rng = np.random.default_rng(0)
    return rng.uniform(size=n), rng.uniform(0.3, 0.7, n), 200


# --- successive over-relaxation of Poisson's equation, cell by cell: linear


def sor(u, b, w, sweeps):
    u = u.copy()
    n, m = u.shape
    for _ in range(sweeps):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                around = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
                u[i, j] = (1.0 - w) * u[i, j] + 0.25 * w * (around - b[i, j])
    return np.sum(u * u)


def sor_jax(u, b, w, sweeps):
    """One scan over the rows, which carries the row above, and one along each."""
    from jax import lax

    def cell(left, around):
        new = around + 0.25 * w * left
        return new, new

    def row(above, rows):
        here, below, source = rows
        around = above[1:-1] + here[2:] + below[1:-1] - source[1:-1]
        _, inner = lax.scan(cell, here[0], (1.0 - w) * here[1:-1] + 0.25 * w * around)
        new = here.at[1:-1].set(inner)
        return new, new

    def sweep(_, u):
        _, inner = lax.scan(row, u[0], (u[1:-1], u[2:], b[1:-1]))
        return u.at[1:-1].set(inner)

    return np.sum(lax.fori_loop(0, sweeps, sweep, u) ** 2)


@fast
def sor_row(above, here, below, b, w, scratch):
    # As in Seidel's sweep: what does not depend on the cell to the left goes first.
    up, mid, right = above[1:-1], here[1:-1], here[2:]
    down, source = below[1:-1], b[1:-1]
    q, keep = 0.25 * w, 1.0 - w
    for j in range(mid.size):
        scratch[j] = keep * mid[j] + q * (up[j] + right[j] + down[j] - source[j])
    left = here[0]
    for j in range(mid.size):
        left = scratch[j] + q * left
        mid[j] = left


@fast
def sor_run(u, b, w, sweeps):
    u = u.copy()
    scratch = np.empty(u.shape[1])
    for _ in range(sweeps):
        for i in range(1, u.shape[0] - 1):
            sor_row(u[i - 1], u[i], u[i + 1], b[i], w, scratch)
    return u


@fast
def sor_primal(u, b, w, sweeps):
    return sum_of_squares(sor_run(u, b, w, sweeps))


@fast
def sor_row_back(above, here, below, b_bar, w, scratch):
    # v is what a new cell hands to each of its four neighbours.
    up, mid, down, source = above[1:-1], here[1:-1], below[1:-1], b_bar[1:-1]
    q, keep = 0.25 * w, 1.0 - w
    v = 0.0
    for j in range(mid.size - 1, -1, -1):
        v = q * (mid[j] + v)
        scratch[j + 1] = v
    here[0] += v
    here[-1] += scratch[mid.size]
    scratch[0] = 0.0  # the border cell sends nothing to its right
    for j in range(mid.size):
        v = scratch[j + 1]
        up[j] += v
        down[j] += v
        source[j] -= v
        # The cell's own cotangent was v / q less what it got from its right.
        mid[j] = keep / q * v + scratch[j]


@fast
def sor_hand(u, b, w, sweeps):
    final = sor_run(u, b, w, sweeps)
    bar, b_bar = 2.0 * final, np.zeros_like(b)
    scratch = np.empty(u.shape[1])
    for _ in range(sweeps):
        for i in range(u.shape[0] - 2, 0, -1):
            sor_row_back(bar[i - 1], bar[i], bar[i + 1], b_bar[i], w, scratch)
    return sum_of_squares(final), bar, b_bar


def make_sor(n):
    rng = np.random.default_rng(0)
    return rng.uniform(size=(n, n)), rng.normal(size=(n, n)), 1.5, 20


WORKLOADS = (
    Workload(
        "heat-2d",
        heat_2d,
        make_heat_2d,
        (128,),
        heat_2d_primal,
        heat_2d_hand,
        jax=heat_2d_jax,
    ),
    Workload(
        "heat-3d",
        heat_3d,
        make_heat_3d,
        (32,),
        heat_3d_primal,
        heat_3d_hand,
        argnums=(0, 1),
        jax=heat_3d_jax,
    ),
    Workload(
        "burgers",
        burgers,
        make_burgers,
        (1000,),
        burgers_primal,
        burgers_hand,
        argnums=(0, 2),
        jax=burgers_jax,
    ),
    Workload(
        "wave",
        wave,
        make_wave,
        (1000,),
        wave_primal,
        wave_hand,
        argnums=(0, 1),
        jax=wave_jax,
    ),
    Workload(
        "sor",
        sor,
        make_sor,
        (100,),
        sor_primal,
        sor_hand,
        argnums=(0, 1),
        jax=sor_jax,
    ),
)
