"""Recurrences on small arrays: gated networks, alignment, GARCH, an equilibrium."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.workload import SAME, Workload, fast


@fast
def add_product(out, W, v):
    """Add `v @ W` to `out`, reading W by rows: no sum runs across a register."""
    for i in range(v.size):
        row = W[i]
        for j in range(out.size):
            out[j] += v[i] * row[j]


@fast
def logistic(x):
    return 1.0 / (1.0 + math.exp(-x))


# --- a gated recurrent unit


def gru(W, U, b, xs):
    n = U.shape[1]
    h = np.zeros(n)
    loss = 0.0
    for t in range(xs.shape[0]):
        a = W @ xs[t] + b
        z = 1.0 / (1.0 + np.exp(-(a[:n] + U[:n] @ h)))
        r = 1.0 / (1.0 + np.exp(-(a[n : 2 * n] + U[n : 2 * n] @ h)))
        g = np.tanh(a[2 * n :] + U[2 * n :] @ (r * h))
        h = (1.0 - z) * h + z * g
        loss += np.sum(h * h)
    return loss


def gru_jax(W, U, b, xs):
    from jax import lax

    n = U.shape[1]
    inputs = xs @ W.T + b

    def step(h, a):
        gates = 1.0 / (1.0 + np.exp(-(a[: 2 * n] + U[: 2 * n] @ h)))
        z, r = gates[:n], gates[n:]
        h = (1.0 - z) * h + z * np.tanh(a[2 * n :] + U[2 * n :] @ (r * h))
        return h, np.sum(h * h)

    return np.sum(lax.scan(step, np.zeros(n), inputs)[1])


@fast
def products(xs, W, b):
    """`W @ x + b` of every x."""
    out = np.dot(xs, W.T)
    for t in range(out.shape[0]):
        for i in range(b.size):
            out[t, i] += b[i]
    return out


@fast
def gru_states(W, U, b, xs):
    """All states, the reset ones (r h), and all gates: z, r, candidate."""
    steps, n = xs.shape[0], U.shape[1]
    gates = products(xs, W, b)
    both, last = U[: 2 * n].T.copy(), U[2 * n :].T.copy()
    h, reset = np.zeros((steps + 1, n)), np.empty((steps, n))
    for t in range(steps):
        old, new, kept, a = h[t], h[t + 1], reset[t], gates[t]
        add_product(a[: 2 * n], both, old)
        for i in range(2 * n):
            a[i] = logistic(a[i])
        for i in range(n):
            kept[i] = a[n + i] * old[i]
        add_product(a[2 * n :], last, kept)
        for i in range(n):
            g = math.tanh(a[2 * n + i])
            a[2 * n + i] = g
            new[i] = old[i] + a[i] * (g - old[i])
    return h, reset, gates


@fast
def sum_of_squares(rows):
    value = 0.0
    for v in rows.flat:
        value += v * v
    return value


@fast
def gru_primal(W, U, b, xs):
    return sum_of_squares(gru_states(W, U, b, xs)[0])


@fast
def gru_hand(W, U, b, xs):
    # The gates become the cotangents of what they were computed from, so that each
    # weight's gradient is one product of all steps.
    h, reset, gates = gru_states(W, U, b, xs)
    steps, n = reset.shape
    h_bar, kept_bar = np.zeros(n), np.empty(n)
    for t in range(steps - 1, -1, -1):
        old, a = h[t], gates[t]
        kept_bar[:] = 0.0
        for i in range(n):
            bar = h_bar[i] + 2.0 * h[t + 1, i]
            z, g = a[i], a[2 * n + i]
            h_bar[i] = bar * (1.0 - z)
            a[i] = bar * (g - old[i]) * z * (1.0 - z)
            a[2 * n + i] = bar * z * (1.0 - g * g)
        add_product(kept_bar, U[2 * n :], a[2 * n :])
        for i in range(n):
            r = a[n + i]
            h_bar[i] += kept_bar[i] * r
            a[n + i] = kept_bar[i] * old[i] * r * (1.0 - r)
        add_product(h_bar, U[: 2 * n], a[: 2 * n])
    U_bar = np.empty_like(U)
    U_bar[: 2 * n] = np.dot(gates[:, : 2 * n].copy().T, h[:-1])
    U_bar[2 * n :] = np.dot(gates[:, 2 * n :].copy().T, reset)
    b_bar = np.zeros_like(b)
    for t in range(steps):
        for i in range(3 * n):
            b_bar[i] += gates[t, i]
    return sum_of_squares(h), np.dot(gates.T, xs), U_bar, b_bar


def make_gru(steps):
    rng = np.random.default_rng(0)
    hidden, inputs = 48, 16
    return (
        rng.normal(size=(3 * hidden, inputs)) / np.sqrt(inputs),
        rng.normal(size=(3 * hidden, hidden)) / np.sqrt(hidden),
        np.zeros(3 * hidden),
        rng.normal(size=(steps, inputs)),
    )


# --- long short-term memory, all gates by one matrix


def lstm(W, b, xs, ys):
    n = W.shape[0] // 4
    h = np.zeros(n)
    c = np.zeros(n)
    loss = 0.0
    for x, y in zip(xs, ys, strict=True):
        a = W @ np.concatenate((x, h)) + b
        i = 1.0 / (1.0 + np.exp(-a[:n]))
        f = 1.0 / (1.0 + np.exp(-a[n : 2 * n]))
        o = 1.0 / (1.0 + np.exp(-a[2 * n : 3 * n]))
        c = f * c + i * np.tanh(a[3 * n :])
        h = o * np.tanh(c)
        loss += np.sum((h - y) ** 2)
    return loss


def lstm_jax(W, b, xs, ys):
    from jax import lax

    n, m = W.shape[0] // 4, xs.shape[1]
    inputs, U = xs @ W[:, :m].T + b, W[:, m:]

    def step(state, now):
        h, c = state
        a, y = now
        a = a + U @ h
        i, f, o = (1.0 / (1.0 + np.exp(-a[: 3 * n]))).reshape(3, n)
        c = f * c + i * np.tanh(a[3 * n :])
        h = o * np.tanh(c)
        return (h, c), np.sum((h - y) ** 2)

    return np.sum(lax.scan(step, (np.zeros(n), np.zeros(n)), (inputs, ys))[1])


@fast
def lstm_states(W, b, xs):
    """What was multiplied by W (inputs beside states), the cells, their tanh, and the
    gates: input, forget, output, candidate."""
    steps, m, n = xs.shape[0], xs.shape[1], b.size // 4
    both = np.zeros((steps + 1, m + n))
    both[:steps, :m] = xs
    gates = products(xs, W[:, :m].copy(), b)
    U = W[:, m:].T.copy()
    cells, bent = np.zeros((steps + 1, n)), np.empty((steps, n))
    for t in range(steps):
        h, new, a = both[t, m:], both[t + 1, m:], gates[t]
        add_product(a, U, h)
        for i in range(3 * n):
            a[i] = logistic(a[i])
        for i in range(n):
            a[3 * n + i] = math.tanh(a[3 * n + i])
            cells[t + 1, i] = a[n + i] * cells[t, i] + a[i] * a[3 * n + i]
            bent[t, i] = math.tanh(cells[t + 1, i])
            new[i] = a[2 * n + i] * bent[t, i]
    return both, cells, bent, gates


@fast
def lstm_primal(W, b, xs, ys):
    both = lstm_states(W, b, xs)[0]
    value = 0.0
    for t in range(ys.shape[0]):
        for i in range(ys.shape[1]):
            value += (both[t + 1, xs.shape[1] + i] - ys[t, i]) ** 2
    return value


@fast
def lstm_hand(W, b, xs, ys):
    both, cells, bent, gates = lstm_states(W, b, xs)
    steps, n = bent.shape
    m = xs.shape[1]
    U = W[:, m:].copy()
    h_bar, c_bar, b_bar = np.zeros(n), np.zeros(n), np.zeros(4 * n)
    value = 0.0
    for t in range(steps - 1, -1, -1):
        a = gates[t]
        for k in range(n):
            e = both[t + 1, m + k] - ys[t, k]
            value += e * e
            bar = h_bar[k] + 2.0 * e
            i, f, o, g = a[k], a[n + k], a[2 * n + k], a[3 * n + k]
            c = c_bar[k] + bar * o * (1.0 - bent[t, k] ** 2)
            a[k] = c * g * i * (1.0 - i)
            a[n + k] = c * cells[t, k] * f * (1.0 - f)
            a[2 * n + k] = bar * bent[t, k] * o * (1.0 - o)
            a[3 * n + k] = c * i * (1.0 - g * g)
            c_bar[k] = c * f
        h_bar[:] = 0.0
        add_product(h_bar, U, a)
        for k in range(4 * n):
            b_bar[k] += a[k]
    return value, np.dot(gates.T, both[:-1]), b_bar


def make_lstm(steps):
    rng = np.random.default_rng(0)
    hidden, inputs = 32, 16
    return (
        rng.normal(size=(4 * hidden, inputs + hidden)) / np.sqrt(inputs + hidden),
        rng.normal(size=4 * hidden),
        rng.normal(size=(steps, inputs)),
        rng.uniform(-1.0, 1.0, (steps, hidden)),
    )


# --- dynamic time warping with a soft minimum


def soft_dtw(x, y, gamma):
    n, m = len(x), len(y)
    D = np.full((n + 1, m + 1), 1e10)
    D[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            a, b, c = D[i - 1, j], D[i, j - 1], D[i - 1, j - 1]
            low = min(a, b, c)
            s = (
                np.exp((low - a) / gamma)
                + np.exp((low - b) / gamma)
                + np.exp((low - c) / gamma)
            )
            D[i, j] = (x[i - 1] - y[j - 1]) ** 2 + low - gamma * np.log(s)
    return D[n, m]


def soft_dtw_jax(x, y, gamma):
    from jax import lax

    def row(above, point):
        def cell(left, around):
            up, corner, cost = around
            three = np.array([up, left, corner])
            low = np.min(three)
            new = cost + low - gamma * np.log(np.sum(np.exp((low - three) / gamma)))
            return new, new

        around = (above[1:], above[:-1], (point - y) ** 2)
        _, cells = lax.scan(cell, np.float64(1e10), around)
        new = np.concatenate((np.full(1, 1e10), cells))
        return new, None

    first = np.full(y.shape[0] + 1, 1e10).at[0].set(0.0)
    return lax.scan(row, first, x)[0][-1]


@fast
def soft_min_weights(a, b, c, scale):
    """The least of three, and `exp(scale (least - each))`: one of them is 1."""
    if a <= b and a <= c:
        return a, 1.0, math.exp((a - b) * scale), math.exp((a - c) * scale)
    if b <= c:
        return b, math.exp((b - a) * scale), 1.0, math.exp((b - c) * scale)
    return c, math.exp((c - a) * scale), math.exp((c - b) * scale), 1.0


@fast
def soft_dtw_primal(x, y, gamma):
    m = y.size
    row = np.full(m + 1, 1e10)
    row[0] = 0.0
    for i in range(x.size):
        corner, left = row[0], 1e10
        row[0] = left
        for j in range(m):
            up = row[j + 1]
            low, p, q, r = soft_min_weights(up, left, corner, 1.0 / gamma)
            left = (x[i] - y[j]) ** 2 + low - gamma * math.log(p + q + r)
            row[j + 1], corner = left, up
    return row[m]


@fast
def soft_dtw_hand(x, y, gamma):
    # The tape: the weights of two of the three ways into each cell; they add to one.
    n, m = x.size, y.size
    row = np.full(m + 1, 1e10)
    row[0] = 0.0
    tape = np.empty((n, m, 2))
    for i in range(n):
        corner, left = row[0], 1e10
        row[0] = left
        for j in range(m):
            up = row[j + 1]
            low, p, q, r = soft_min_weights(up, left, corner, 1.0 / gamma)
            s = p + q + r
            tape[i, j, 0], tape[i, j, 1] = p / s, q / s
            left = (x[i] - y[j]) ** 2 + low - gamma * math.log(s)
            row[j + 1], corner = left, up
    value = row[m]
    x_bar, y_bar = np.zeros(n), np.zeros(m)
    bars = row  # of this row of cells and, behind it, of the row above
    bars[:] = 0.0
    bars[m] = 1.0
    for i in range(n - 1, -1, -1):
        total, left, corner = 0.0, 0.0, 0.0
        for j in range(m - 1, -1, -1):
            bar = bars[j + 1] + left
            d = 2.0 * (x[i] - y[j]) * bar
            total += d
            y_bar[j] -= d
            up = tape[i, j, 0] * bar
            left = tape[i, j, 1] * bar
            bars[j + 1] = up + corner
            corner = bar - up - left
        bars[0] = corner
        x_bar[i] = total
    return value, x_bar, y_bar


def make_soft_dtw(n):
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(size=n))
    return x, x[: n - n // 8] + 0.3 * rng.normal(size=n - n // 8), 0.5


# --- the fixed point of a layer, iterated until it stands still


def equilibrium(W, U, b, x):
    z = np.zeros(W.shape[0])
    change = 1.0
    while change > 1e-12:
        new = np.tanh(W @ z + U @ x + b)
        change = np.max(np.abs(new - z))
        z = new
    return np.sum(z * z)


@fast
def equilibrium_step(columns, c, z, new):
    new[:] = c
    add_product(new, columns, z)
    change = 0.0
    for i in range(c.size):
        new[i] = math.tanh(new[i])
        change = max(change, abs(new[i] - z[i]))
    return change


@fast
def equilibrium_primal(W, U, b, x):
    c, columns = np.dot(U, x) + b, W.T.copy()
    z, new = np.zeros(c.size), np.empty(c.size)
    change = 1.0
    while change > 1e-12:
        change = equilibrium_step(columns, c, z, new)
        z, new = new, z
    return sum_of_squares(z)


@fast
def equilibrium_hand(W, U, b, x):
    n = b.size
    c, columns = np.dot(U, x) + b, W.T.copy()
    tape = np.zeros((32, n))  # all iterates, the first of them zero
    steps, change = 0, 1.0
    while change > 1e-12:
        if steps + 1 == tape.shape[0]:
            longer = np.empty((2 * tape.shape[0], n))
            longer[: steps + 1] = tape
            tape = longer
        change = equilibrium_step(columns, c, tape[steps], tape[steps + 1])
        steps += 1
    delta = np.empty((steps, n))
    bar, c_bar = 2.0 * tape[steps], np.zeros(n)
    for k in range(steps - 1, -1, -1):
        for i in range(n):
            d = bar[i] * (1.0 - tape[k + 1, i] ** 2)
            delta[k, i] = d
            c_bar[i] += d
        bar[:] = 0.0
        add_product(bar, W, delta[k])
    U_bar = np.empty_like(U)
    for i in range(n):
        for j in range(x.size):
            U_bar[i, j] = c_bar[i] * x[j]
    x_bar = np.dot(c_bar, U)
    W_bar = np.dot(delta.T, tape[:steps])
    return sum_of_squares(tape[steps]), W_bar, U_bar, c_bar, x_bar


def make_equilibrium(n):
    rng = np.random.default_rng(0)
    return (
        0.6 * rng.normal(size=(n, n)) / np.sqrt(n),
        rng.normal(size=(n, 10)),
        rng.normal(size=n),
        rng.normal(size=10),
    )


# --- GARCH(1, 1): a variance that follows the squares before it


def garch(theta, r):
    omega, alpha, beta = theta
    n = len(r)
    sigma2 = np.zeros(n)
    sigma2[0] = np.var(r)
    for t in range(1, n):
        sigma2[t] = omega + alpha * r[t - 1] ** 2 + beta * sigma2[t - 1]
    return 0.5 * np.sum(np.log(2.0 * np.pi * sigma2) + r**2 / sigma2)


def garch_jax(theta, r):
    from jax import lax

    omega, alpha, beta = theta

    def step(s, old):
        s = omega + alpha * old**2 + beta * s
        return s, s

    first = np.var(r)
    _, rest = lax.scan(step, first, r[:-1])
    sigma2 = np.concatenate((first[None], rest))
    return 0.5 * np.sum(np.log(2.0 * np.pi * sigma2) + r**2 / sigma2)


@fast
def garch_primal(theta, r):
    omega, alpha, beta = theta[0], theta[1], theta[2]
    s = np.var(r)
    value = 0.0
    for t in range(r.size):
        square = r[t] * r[t]
        value += math.log(2.0 * np.pi * s) + square / s
        s = omega + alpha * square + beta * s
    return 0.5 * value


@fast
def garch_hand(theta, r):
    # Three numbers are carried by three tangents: one pass, and no tape.
    omega, alpha, beta = theta[0], theta[1], theta[2]
    s = np.var(r)
    p = q = u = 0.0  # the derivatives of s by omega, alpha and beta
    value = p_bar = q_bar = u_bar = 0.0
    for t in range(r.size):
        square, inverse = r[t] * r[t], 1.0 / s
        value += math.log(2.0 * np.pi * s) + square * inverse
        bar = inverse - square * inverse * inverse
        p_bar += bar * p
        q_bar += bar * q
        u_bar += bar * u
        p, q, u = 1.0 + beta * p, square + beta * q, s + beta * u
        s = omega + alpha * square + beta * s
    return 0.5 * value, 0.5 * np.array([p_bar, q_bar, u_bar])


def make_garch(n):
    return np.array([0.1, 0.1, 0.8]), np.random.default_rng(0).normal(size=n)


WORKLOADS = (
    Workload(
        "gru",
        gru,
        make_gru,
        (100,),
        gru_primal,
        gru_hand,
        argnums=(0, 1, 2),
        jax=gru_jax,
        autograd=SAME,
    ),
    Workload(
        "lstm",
        lstm,
        make_lstm,
        (100,),
        lstm_primal,
        lstm_hand,
        argnums=(0, 1),
        jax=lstm_jax,
        autograd=SAME,
    ),
    Workload(
        "soft-dtw",
        soft_dtw,
        make_soft_dtw,
        (120,),
        soft_dtw_primal,
        soft_dtw_hand,
        argnums=(0, 1),
        jax=soft_dtw_jax,
    ),
    Workload(
        "equilibrium",
        equilibrium,
        make_equilibrium,
        (120,),
        equilibrium_primal,
        equilibrium_hand,
        argnums=(0, 1, 2, 3),
        autograd=SAME,
    ),
    Workload(
        "garch",
        garch,
        make_garch,
        (5000,),
        garch_primal,
        garch_hand,
        jax=garch_jax,
    ),
)
