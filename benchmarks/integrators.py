"""Ordinary and partial differential equations, step by step."""

from __future__ import annotations

import numpy as np

from benchmarks.loops import sum_of_squares
from benchmarks.workload import SAME, Workload, fast

# --- Van der Pol's oscillator by Runge-Kutta, on numbers, with a running cost


def vanderpol(mu, y0, h, steps):
    def rate(x, v):
        return v, mu * (1.0 - x * x) * v - x

    x, v = y0[0], y0[1]
    cost = 0.0
    for _ in range(steps):
        a, b = rate(x, v)
        c, d = rate(x + 0.5 * h * a, v + 0.5 * h * b)
        e, f = rate(x + 0.5 * h * c, v + 0.5 * h * d)
        p, q = rate(x + h * e, v + h * f)
        x = x + h / 6.0 * (a + 2.0 * c + 2.0 * e + p)
        v = v + h / 6.0 * (b + 2.0 * d + 2.0 * f + q)
        cost += h * (x * x + v * v)
    return cost


def vanderpol_jax(mu, y0, h, steps):
    from jax import lax

    def rate(x, v):
        return v, mu * (1.0 - x * x) * v - x

    def step(_, state):
        x, v, cost = state
        a, b = rate(x, v)
        c, d = rate(x + 0.5 * h * a, v + 0.5 * h * b)
        e, f = rate(x + 0.5 * h * c, v + 0.5 * h * d)
        p, q = rate(x + h * e, v + h * f)
        x = x + h / 6.0 * (a + 2.0 * c + 2.0 * e + p)
        v = v + h / 6.0 * (b + 2.0 * d + 2.0 * f + q)
        return x, v, cost + h * (x * x + v * v)

    return lax.fori_loop(0, steps, step, (y0[0], y0[1], np.float64(0.0)))[2]


@fast
def vanderpol_rate(mu, x, v):
    return v, mu * (1.0 - x * x) * v - x


@fast
def vanderpol_stages(mu, x, v, h):
    """The points of the four stages, and the one that the step ends at."""
    a, b = vanderpol_rate(mu, x, v)
    x1, v1 = x + 0.5 * h * a, v + 0.5 * h * b
    c, d = vanderpol_rate(mu, x1, v1)
    x2, v2 = x + 0.5 * h * c, v + 0.5 * h * d
    e, f = vanderpol_rate(mu, x2, v2)
    x3, v3 = x + h * e, v + h * f
    p, q = vanderpol_rate(mu, x3, v3)
    x4 = x + h / 6.0 * (a + 2.0 * c + 2.0 * e + p)
    v4 = v + h / 6.0 * (b + 2.0 * d + 2.0 * f + q)
    return x1, v1, x2, v2, x3, v3, x4, v4


@fast
def vanderpol_primal(mu, y0, h, steps):
    x, v = y0[0], y0[1]
    cost = 0.0
    for _ in range(steps):
        _, _, _, _, _, _, x, v = vanderpol_stages(mu, x, v, h)
        cost += h * (x * x + v * v)
    return cost


@fast
def vanderpol_back(mu, x, v, A, B):
    """The cotangents of x, v and mu, from those of the rates at (x, v)."""
    w = 1.0 - x * x
    return -B * (2.0 * mu * x * v + 1.0), A + B * mu * w, B * w * v


@fast
def vanderpol_hand(mu, y0, h, steps):
    tape = np.empty((steps + 1, 2))  # x and v; the stages are computed again
    tape[0, 0], tape[0, 1] = y0[0], y0[1]
    cost = 0.0
    for k in range(steps):
        _, _, _, _, _, _, x, v = vanderpol_stages(mu, tape[k, 0], tape[k, 1], h)
        tape[k + 1, 0], tape[k + 1, 1] = x, v
        cost += h * (x * x + v * v)
    X = V = mu_bar = 0.0  # cotangents of the state
    for k in range(steps - 1, -1, -1):
        x, v = tape[k, 0], tape[k, 1]
        x1, v1, x2, v2, x3, v3, x4, v4 = vanderpol_stages(mu, x, v, h)
        X, V = X + 2.0 * h * x4, V + 2.0 * h * v4
        s, t = h / 6.0 * X, h / 6.0 * V
        P, Q, m3 = vanderpol_back(mu, x3, v3, s, t)
        E, F, m2 = vanderpol_back(mu, x2, v2, 2.0 * s + h * P, 2.0 * t + h * Q)
        A, B = 2.0 * s + 0.5 * h * E, 2.0 * t + 0.5 * h * F
        C, D, m1 = vanderpol_back(mu, x1, v1, A, B)
        A, B, m0 = vanderpol_back(mu, x, v, s + 0.5 * h * C, t + 0.5 * h * D)
        mu_bar += m0 + m1 + m2 + m3
        X, V = X + P + E + C + A, V + Q + F + D + B
    return cost, mu_bar, np.array([X, V])


def make_vanderpol(steps):
    return 1.5, np.array([1.0, 0.2]), 0.01, steps


# --- Lorenz' equations by Runge-Kutta, on arrays of three


def lorenz(p, y0, h, steps):
    def rate(y):
        return np.array(
            [
                p[0] * (y[1] - y[0]),
                y[0] * (p[1] - y[2]) - y[1],
                y[0] * y[1] - p[2] * y[2],
            ]
        )

    y = y0
    for _ in range(steps):
        a = rate(y)
        b = rate(y + 0.5 * h * a)
        c = rate(y + 0.5 * h * b)
        d = rate(y + h * c)
        y = y + h / 6.0 * (a + 2.0 * b + 2.0 * c + d)
    return np.sum(y**2)


def lorenz_jax(p, y0, h, steps):
    from jax import lax

    def rate(y):
        return np.stack(
            [
                p[0] * (y[1] - y[0]),
                y[0] * (p[1] - y[2]) - y[1],
                y[0] * y[1] - p[2] * y[2],
            ]
        )

    def step(_, y):
        a = rate(y)
        b = rate(y + 0.5 * h * a)
        c = rate(y + 0.5 * h * b)
        d = rate(y + h * c)
        return y + h / 6.0 * (a + 2.0 * b + 2.0 * c + d)

    return np.sum(lax.fori_loop(0, steps, step, y0) ** 2)


@fast
def lorenz_rate(p, y):
    s, r, b = p
    x, y, z = y
    return s * (y - x), x * (r - z) - y, x * y - b * z


@fast
def moved(y, h, d):
    return y[0] + h * d[0], y[1] + h * d[1], y[2] + h * d[2]


@fast
def lorenz_stages(p, y, h):
    """The points of the later three stages, and the one that the step ends at."""
    a = lorenz_rate(p, y)
    y1 = moved(y, 0.5 * h, a)
    b = lorenz_rate(p, y1)
    y2 = moved(y, 0.5 * h, b)
    c = lorenz_rate(p, y2)
    y3 = moved(y, h, c)
    d = lorenz_rate(p, y3)
    e = (
        a[0] + 2.0 * b[0] + 2.0 * c[0] + d[0],
        a[1] + 2.0 * b[1] + 2.0 * c[1] + d[1],
        a[2] + 2.0 * b[2] + 2.0 * c[2] + d[2],
    )
    return y1, y2, y3, moved(y, h / 6.0, e)


@fast
def lorenz_primal(p, y0, h, steps):
    p, y = (p[0], p[1], p[2]), (y0[0], y0[1], y0[2])
    for _ in range(steps):
        _, _, _, y = lorenz_stages(p, y, h)
    return y[0] * y[0] + y[1] * y[1] + y[2] * y[2]


@fast
def lorenz_back(p, y, A):
    """The cotangents of y and of p, from that of the rates at y."""
    s, r, b = p
    x, y, z = y
    y_bar = (
        -s * A[0] + (r - z) * A[1] + y * A[2],
        s * A[0] - A[1] + x * A[2],
        -x * A[1] - b * A[2],
    )
    return y_bar, (A[0] * (y - x), A[1] * x, -A[2] * z)


@fast
def lorenz_hand(p, y0, h, steps):
    p, y = (p[0], p[1], p[2]), (y0[0], y0[1], y0[2])
    tape = np.empty((steps, 3))
    for k in range(steps):
        tape[k, 0], tape[k, 1], tape[k, 2] = y
        _, _, _, y = lorenz_stages(p, y, h)
    value = y[0] * y[0] + y[1] * y[1] + y[2] * y[2]
    Y, g = (2.0 * y[0], 2.0 * y[1], 2.0 * y[2]), (0.0, 0.0, 0.0)
    for k in range(steps - 1, -1, -1):
        y = (tape[k, 0], tape[k, 1], tape[k, 2])
        y1, y2, y3, _ = lorenz_stages(p, y, h)
        s = (h / 6.0 * Y[0], h / 6.0 * Y[1], h / 6.0 * Y[2])
        t = (2.0 * s[0], 2.0 * s[1], 2.0 * s[2])
        D, gd = lorenz_back(p, y3, s)
        C, gc = lorenz_back(p, y2, moved(t, h, D))
        B, gb = lorenz_back(p, y1, moved(t, 0.5 * h, C))
        A, ga = lorenz_back(p, y, moved(s, 0.5 * h, B))
        g = (
            g[0] + ga[0] + gb[0] + gc[0] + gd[0],
            g[1] + ga[1] + gb[1] + gc[1] + gd[1],
            g[2] + ga[2] + gb[2] + gc[2] + gd[2],
        )
        Y = (
            Y[0] + A[0] + B[0] + C[0] + D[0],
            Y[1] + A[1] + B[1] + C[1] + D[1],
            Y[2] + A[2] + B[2] + C[2] + D[2],
        )
    return value, np.array(g), np.array(Y)


def make_lorenz(steps):
    return np.array([10.0, 28.0, 8.0 / 3.0]), np.array([1.0, 2.0, 20.0]), 0.002, steps


# --- the heat equation by Crank and Nicolson: a tridiagonal system at every step


def tridiagonal(a, b, c, d):
    """Thomas' sweep: a below the diagonal b, c above it, d on the right."""
    n = d.shape[0]
    upper, right = np.empty(n), np.empty(n)
    upper[0], right[0] = c[0] / b[0], d[0] / b[0]
    for i in range(1, n):
        m = b[i] - a[i] * upper[i - 1]
        upper[i] = c[i] / m
        right[i] = (d[i] - a[i] * right[i - 1]) / m
    x = np.empty(n)
    x[n - 1] = right[n - 1]
    for i in range(n - 2, -1, -1):
        x[i] = right[i] - upper[i] * x[i + 1]
    return x


def crank_nicolson(u, r, steps):
    n = u.shape[0]
    a, b, c = np.empty(n), np.empty(n), np.empty(n)
    a[:], b[:], c[:] = -0.5 * r, 1.0 + r, -0.5 * r
    b[0] = b[n - 1] = 1.0
    c[0] = a[n - 1] = 0.0
    d = np.empty(n)
    for _ in range(steps):
        d[0], d[n - 1] = u[0], u[n - 1]
        d[1:-1] = u[1:-1] + 0.5 * r * (u[2:] - 2.0 * u[1:-1] + u[:-2])
        u = tridiagonal(a, b, c, d)
    return np.sum(u * u)


def crank_nicolson_jax(u, r, steps):
    from jax import lax

    n = u.shape[0]
    below = np.full(n, -0.5 * r).at[0].set(0.0).at[n - 1].set(0.0)
    diagonal = np.full(n, 1.0 + r).at[0].set(1.0).at[n - 1].set(1.0)
    above = np.full(n, -0.5 * r).at[0].set(0.0).at[n - 1].set(0.0)

    def step(_, u):
        flow = 0.5 * r * (u[2:] - 2.0 * u[1:-1] + u[:-2])
        d = u.at[1:-1].add(flow)
        return lax.linalg.tridiagonal_solve(below, diagonal, above, d[:, None])[:, 0]

    return np.sum(lax.fori_loop(0, steps, step, u) ** 2)


@fast
def crank_nicolson_factors(n, r):
    """Of the matrix, which is the same at every step: 1 / m, and what stands beside
    the diagonal, over m. Nothing of a border cell's."""
    inverse, beside = np.ones(n), np.zeros(n)
    for i in range(1, n - 1):
        inverse[i] = 1.0 / (1.0 + r + 0.5 * r * beside[i - 1])
        beside[i] = -0.5 * r * inverse[i]
    return inverse, beside


@fast
def crank_nicolson_sweeps(x, beside):
    """Solve for x in place, which is the right side over m and has its borders."""
    last = x[0]
    for i in range(1, x.size - 1):
        last = x[i] - beside[i] * last
        x[i] = last
    last = x[x.size - 1]
    for i in range(x.size - 2, 0, -1):
        last = x[i] - beside[i] * last
        x[i] = last


@fast
def crank_nicolson_step(u, new, r, inverse, beside):
    left, here, right = u[:-2], u[1:-1], u[2:]
    out, scale = new[1:-1], inverse[1:-1]
    for i in range(out.size):
        flow = right[i] - 2.0 * here[i] + left[i]
        out[i] = (here[i] + 0.5 * r * flow) * scale[i]
    new[0], new[u.size - 1] = u[0], u[u.size - 1]
    crank_nicolson_sweeps(new, beside)


@fast
def crank_nicolson_primal(u, r, steps):
    inverse, beside = crank_nicolson_factors(u.size, r)
    old, new = u.copy(), np.empty_like(u)
    for _ in range(steps):
        crank_nicolson_step(old, new, r, inverse, beside)
        old, new = new, old
    return sum_of_squares(old)


@fast
def crank_nicolson_back(z, bar, r, u, new):
    """The cotangent of the state before a step from that of its right side; return
    the cotangent of r that comes of the cells inside."""
    left, here, right, out = z[:-2], z[1:-1], z[2:], bar[1:-1]
    before, after = u[1:-1], new[1:-1]
    r_bar = 0.0
    for i in range(out.size):
        flow = 0.5 * (right[i] - 2.0 * here[i] + left[i])
        r_bar += flow * (before[i] + after[i])
        out[i] = here[i] + r * flow
    return r_bar


@fast
def crank_nicolson_hand(u, r, steps):
    # The matrix is symmetric but for the borders: the cotangent z of the right side
    # solves the same system, with zero borders. That of r is z times half the flows
    # of the states before and after, here the flow of z times the states.
    n = u.size
    inverse, beside = crank_nicolson_factors(n, r)
    tape = np.empty((steps + 1, n))  # the states themselves
    tape[0] = u
    for t in range(steps):
        crank_nicolson_step(tape[t], tape[t + 1], r, inverse, beside)
    bar, z = 2.0 * tape[steps], np.zeros(n)
    bar[0] = bar[n - 1] = first = last = r_bar = 0.0
    for t in range(steps - 1, -1, -1):
        for i in range(1, n - 1):
            z[i] = bar[i] * inverse[i]
        crank_nicolson_sweeps(z, beside)
        first += r * z[1]
        last += r * z[n - 2]
        r_bar += z[1] * u[0] + z[n - 2] * u[n - 1]
        r_bar += crank_nicolson_back(z, bar, r, tape[t], tape[t + 1])
    bar[0], bar[n - 1] = first + 2.0 * u[0], last + 2.0 * u[n - 1]
    return sum_of_squares(tape[steps]), bar, r_bar


def make_crank_nicolson(n):
    return np.random.default_rng(0).uniform(size=n), 0.8, n // 2


WORKLOADS = (
    Workload(
        "vanderpol",
        vanderpol,
        make_vanderpol,
        (10_000,),
        vanderpol_primal,
        vanderpol_hand,
        argnums=(0, 1),
        jax=vanderpol_jax,
        autograd=SAME,
    ),
    Workload(
        "lorenz",
        lorenz,
        make_lorenz,
        (4000,),
        lorenz_primal,
        lorenz_hand,
        argnums=(0, 1),
        jax=lorenz_jax,
        autograd=SAME,
    ),
    Workload(
        "crank-nicolson",
        crank_nicolson,
        make_crank_nicolson,
        (400,),
        crank_nicolson_primal,
        crank_nicolson_hand,
        argnums=(0, 1),
        jax=crank_nicolson_jax,
    ),
)
