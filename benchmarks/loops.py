"""Scalar loops: what NumPy users are told not to write, and Numba users write."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.workload import SAME, Workload, fast

# --- Gauss-Seidel sweeps in place: a linear update, which needs no tape, and one
# --- through tanh, which needs the cells it wrote


def seidel(A, w, sweeps):
    A = A.copy()
    n = A.shape[0]
    for _ in range(sweeps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = w * (
                    A[i - 1, j] + A[i, j - 1] + A[i, j] + A[i, j + 1] + A[i + 1, j]
                )
    return np.sum(A * A)


def seidel_tanh(A, w, sweeps):
    A = A.copy()
    n = A.shape[0]
    for _ in range(sweeps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = np.tanh(
                    w
                    * (A[i - 1, j] + A[i, j - 1] + A[i, j] + A[i, j + 1] + A[i + 1, j])
                )
    return np.sum(A * A)


def seidel_by_scans(A, w, sweeps, act):
    """The sweep as JAX can say it without copying A at every cell: one scan over the
    rows, which carries the row above, and one along each, which carries the left."""
    import jax.numpy as jnp
    from jax import lax

    def cell(left, around):
        new = act(w * (left + around))
        return new, new

    def row(above, rows):
        here, below = rows
        around = above[1:-1] + here[1:-1] + here[2:] + below[1:-1]
        _, inner = lax.scan(cell, here[0], around)
        new = here.at[1:-1].set(inner)
        return new, new

    def sweep(_, A):
        _, inner = lax.scan(row, A[0], (A[1:-1], A[2:]))
        return A.at[1:-1].set(inner)

    A = lax.fori_loop(0, sweeps, sweep, A)
    return jnp.sum(A * A)


def seidel_jax(A, w, sweeps):
    return seidel_by_scans(A, w, sweeps, lambda x: x)


def seidel_tanh_jax(A, w, sweeps):
    import jax.numpy as jnp

    return seidel_by_scans(A, w, sweeps, jnp.tanh)


@fast
def sum_of_squares(A):
    value = 0.0
    for v in A.flat:
        value += v * v
    return value


@fast
def seidel_row(above, here, below, w, scratch):
    # What does not depend on the cell to the left goes first, several at a time; the
    # chain that is left is one multiply-add a cell (2.3 times faster than one loop).
    up, mid, right, down = above[1:-1], here[1:-1], here[2:], below[1:-1]
    for j in range(mid.size):
        scratch[j] = w * (up[j] + mid[j] + right[j] + down[j])
    left = here[0]
    for j in range(mid.size):
        left = scratch[j] + w * left
        mid[j] = left


@fast
def seidel_tanh_row(above, here, below, w, tape):
    left = here[0]
    for j in range(1, here.size - 1):
        left = math.tanh(w * (left + (above[j] + here[j] + here[j + 1] + below[j])))
        here[j] = left
        tape[j] = left


@fast
def seidel_run(A, w, sweeps):
    A = A.copy()
    scratch = np.empty(A.shape[1])
    for _ in range(sweeps):
        for i in range(1, A.shape[0] - 1):
            seidel_row(A[i - 1], A[i], A[i + 1], w, scratch)
    return A


@fast
def seidel_primal(A, w, sweeps):
    return sum_of_squares(seidel_run(A, w, sweeps))


@fast
def seidel_row_back(above, here, below, w, scratch):
    # v is the cotangent of the sum a new cell was made from; it goes to the five that
    # went in: the one to the left is in the chain, the others are added afterwards.
    # Three rows are written where the primal writes one: 1.6 times its work on top.
    up, mid, down = above[1:-1], here[1:-1], below[1:-1]
    v = 0.0
    for j in range(mid.size - 1, -1, -1):
        v = w * mid[j] + w * v
        scratch[j + 1] = v
    here[0] += v
    here[-1] += scratch[mid.size]
    scratch[0] = 0.0  # the border cell sends nothing to its right
    for j in range(mid.size):
        v = scratch[j + 1]
        up[j] += v
        down[j] += v
        mid[j] = v + scratch[j]


@fast
def seidel_hand(A, w, sweeps):
    A = seidel_run(A, w, sweeps)
    bar = 2.0 * A
    scratch = np.empty(A.shape[1])
    for _ in range(sweeps):
        for i in range(A.shape[0] - 2, 0, -1):
            seidel_row_back(bar[i - 1], bar[i], bar[i + 1], w, scratch)
    return sum_of_squares(A), bar


@fast
def seidel_tanh_primal(A, w, sweeps):
    A = A.copy()
    scratch = np.empty(A.shape[1])
    for _ in range(sweeps):
        for i in range(1, A.shape[0] - 1):
            seidel_tanh_row(A[i - 1], A[i], A[i + 1], w, scratch)
    return sum_of_squares(A)


@fast
def seidel_tanh_row_back(above, here, below, w, y):
    up, mid, down = above[1:-1], here[1:-1], below[1:-1]
    right, old = 0.0, here[-1]
    for j in range(mid.size - 1, -1, -1):
        v = w * (1.0 - y[j + 1] * y[j + 1]) * (mid[j] + right)
        here[j + 2] = old + v
        up[j] += v
        down[j] += v
        old, right = v, v
    here[0] += right
    here[1] = old


@fast
def seidel_tanh_hand(A, w, sweeps):
    A = A.copy()
    n, m = A.shape
    tape = np.empty((sweeps, n, m))
    for t in range(sweeps):
        for i in range(1, n - 1):
            seidel_tanh_row(A[i - 1], A[i], A[i + 1], w, tape[t, i])
    bar = 2.0 * A
    for t in range(sweeps - 1, -1, -1):
        for i in range(n - 2, 0, -1):
            seidel_tanh_row_back(bar[i - 1], bar[i], bar[i + 1], w, tape[t, i])
    return sum_of_squares(A), bar


def make_seidel(n):
    return np.random.default_rng(0).uniform(size=(n, n)), 0.2, 20


# --- the potential of n bodies, over pairs


def pairs(x):
    n = x.shape[0]
    energy = 0.0
    for i in range(n):
        for j in range(i):
            dx = x[i, 0] - x[j, 0]
            dy = x[i, 1] - x[j, 1]
            dz = x[i, 2] - x[j, 2]
            energy -= 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz + 0.01)
    return energy


def pairs_by_matrix(x):
    d = x[:, None, :] - x[None, :, :]
    inverse = 1.0 / np.sqrt(np.sum(d * d, axis=2) + 0.01)
    return -0.5 * (np.sum(inverse) - x.shape[0] / np.sqrt(0.01))


@fast
def pairs_primal(x):
    columns = x.T.copy()  # by coordinate, so that the inner loop reads in order
    X, Y, Z = columns[0], columns[1], columns[2]
    energy = 0.0
    for i in range(x.shape[0]):
        a, b, c = X[i], Y[i], Z[i]
        for j in range(i):
            dx, dy, dz = a - X[j], b - Y[j], c - Z[j]
            energy -= 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz + 0.01)
    return energy


@fast
def pairs_hand(x):
    n = x.shape[0]
    columns = x.T.copy()
    X, Y, Z = columns[0], columns[1], columns[2]
    bars = np.zeros((3, n))
    P, Q, R = bars[0], bars[1], bars[2]
    energy = 0.0
    for i in range(n):
        a, b, c = X[i], Y[i], Z[i]
        p = q = r = 0.0
        for j in range(i):
            dx, dy, dz = a - X[j], b - Y[j], c - Z[j]
            s = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz + 0.01)
            energy -= s
            s3 = s * s * s
            p += dx * s3
            q += dy * s3
            r += dz * s3
            P[j] -= dx * s3
            Q[j] -= dy * s3
            R[j] -= dz * s3
        P[i] += p
        Q[i] += q
        R[i] += r
    return energy, bars.T.copy()


def make_pairs(n):
    return (np.random.default_rng(0).uniform(-1.0, 1.0, (n, 3)),)


# --- Kepler's equation by Newton's iteration, one `while` for each anomaly


def kepler(M, e):
    total = 0.0
    for i in range(M.shape[0]):
        E = M[i]
        step = 1.0
        while abs(step) > 1e-10:
            step = (E - e * np.sin(E) - M[i]) / (1.0 - e * np.cos(E))
            E -= step
        total += np.cos(E)
    return total


@fast
def kepler_primal(M, e):
    total = 0.0
    for i in range(M.size):
        E, step = M[i], 1.0
        while abs(step) > 1e-10:
            step = (E - e * math.sin(E) - M[i]) / (1.0 - e * math.cos(E))
            E -= step
        total += math.cos(E)
    return total


@fast
def kepler_hand(M, e):
    # Each anomaly stands alone: forward and backward at once, on a tape of one trip's
    # sine, reciprocal and step per iteration, which stays in cache.
    tape = np.empty((64, 3))
    M_bar = np.empty_like(M)
    e_bar = total = 0.0
    for i in range(M.size):
        E, step, k = M[i], 1.0, 0
        while abs(step) > 1e-10:
            if k == tape.shape[0]:
                longer = np.empty((2 * k, 3))
                longer[:k] = tape
                tape = longer
            s, c = math.sin(E), math.cos(E)
            r = 1.0 / (1.0 - e * c)
            step = (E - e * s - M[i]) * r
            tape[k, 0], tape[k, 1], tape[k, 2] = s, r, step
            E -= step
            k += 1
        total += math.cos(E)
        E_bar, m_bar = -math.sin(E), 0.0
        for j in range(k - 1, -1, -1):
            # E' = E - F(E)/F'(E): dE'/dE = F F''/F'^2, dE'/dM = 1/F', and by e,
            # (sin E + F cos E F'^-1 ...), with e cos E = 1 - F'.
            s, r, step = tape[j, 0], tape[j, 1], tape[j, 2]
            m_bar += E_bar * r
            cosine = (1.0 - 1.0 / r) / e
            e_bar += E_bar * (s - step * cosine) * r
            E_bar *= step * r * e * s
        M_bar[i] = m_bar + E_bar
    return total, M_bar, e_bar


def make_kepler(n):
    return np.random.default_rng(0).uniform(0.0, 2.0 * np.pi, n), 0.6


# --- Lotka-Volterra by Runge-Kutta: a thousand steps on two scalars


def lotka(p, steps):
    x, y, h = 1.0, 0.5, 0.01
    for _ in range(steps):
        a = p[0] * x - p[1] * x * y
        b = p[2] * x * y - p[3] * y
        x1, y1 = x + 0.5 * h * a, y + 0.5 * h * b
        c = p[0] * x1 - p[1] * x1 * y1
        d = p[2] * x1 * y1 - p[3] * y1
        x2, y2 = x + 0.5 * h * c, y + 0.5 * h * d
        q = p[0] * x2 - p[1] * x2 * y2
        r = p[2] * x2 * y2 - p[3] * y2
        x3, y3 = x + h * q, y + h * r
        s = p[0] * x3 - p[1] * x3 * y3
        t = p[2] * x3 * y3 - p[3] * y3
        x = x + h / 6.0 * (a + 2.0 * c + 2.0 * q + s)
        y = y + h / 6.0 * (b + 2.0 * d + 2.0 * r + t)
    return x * x + y * y


def lotka_jax(p, steps):
    from jax import lax

    def rate(x, y):
        return p[0] * x - p[1] * x * y, p[2] * x * y - p[3] * y

    def step(_, state):
        x, y = state
        h = 0.01
        a, b = rate(x, y)
        c, d = rate(x + 0.5 * h * a, y + 0.5 * h * b)
        q, r = rate(x + 0.5 * h * c, y + 0.5 * h * d)
        s, t = rate(x + h * q, y + h * r)
        return (
            x + h / 6.0 * (a + 2.0 * c + 2.0 * q + s),
            y + h / 6.0 * (b + 2.0 * d + 2.0 * r + t),
        )

    x, y = lax.fori_loop(0, steps, step, (np.float64(1.0), np.float64(0.5)))
    return x * x + y * y


@fast
def lotka_stages(p, x, y, h):
    """The rates of the four stages and the points they were taken at."""
    p0, p1, p2, p3 = p
    a, b = p0 * x - p1 * x * y, p2 * x * y - p3 * y
    x1, y1 = x + 0.5 * h * a, y + 0.5 * h * b
    c, d = p0 * x1 - p1 * x1 * y1, p2 * x1 * y1 - p3 * y1
    x2, y2 = x + 0.5 * h * c, y + 0.5 * h * d
    q, r = p0 * x2 - p1 * x2 * y2, p2 * x2 * y2 - p3 * y2
    x3, y3 = x + h * q, y + h * r
    s, t = p0 * x3 - p1 * x3 * y3, p2 * x3 * y3 - p3 * y3
    x4 = x + h / 6.0 * (a + 2.0 * c + 2.0 * q + s)
    y4 = y + h / 6.0 * (b + 2.0 * d + 2.0 * r + t)
    return x1, y1, x2, y2, x3, y3, x4, y4


@fast
def lotka_primal(p, steps):
    x, y, h = 1.0, 0.5, 0.01
    p = (p[0], p[1], p[2], p[3])
    for _ in range(steps):
        _, _, _, _, _, _, x, y = lotka_stages(p, x, y, h)
    return x * x + y * y


@fast
def lotka_hand(p, steps):
    h = 0.01
    p = (p[0], p[1], p[2], p[3])
    p0, p1, p2, p3 = p
    tape = np.empty((steps + 1, 2))  # x and y; the stages are computed again
    tape[0, 0], tape[0, 1] = 1.0, 0.5
    for k in range(steps):
        _, _, _, _, _, _, x, y = lotka_stages(p, tape[k, 0], tape[k, 1], h)
        tape[k + 1, 0], tape[k + 1, 1] = x, y
    x, y = tape[steps, 0], tape[steps, 1]
    value = x * x + y * y
    X, Y = 2.0 * x, 2.0 * y  # cotangents of the state
    g0 = g1 = g2 = g3 = 0.0
    for k in range(steps - 1, -1, -1):
        x, y = tape[k, 0], tape[k, 1]
        x1, y1, x2, y2, x3, y3, _, _ = lotka_stages(p, x, y, h)
        # Fourth stage: (A, B) is the cotangent of the rates at (x3, y3).
        A, B = h / 6.0 * X, h / 6.0 * Y
        U, V = A * (p0 - p1 * y3) + B * p2 * y3, -A * p1 * x3 + B * (p2 * x3 - p3)
        g0, g1 = g0 + A * x3, g1 - A * x3 * y3
        g2, g3 = g2 + B * x3 * y3, g3 - B * y3
        SX, SY = X + U, Y + V
        # Third.
        A, B = h / 3.0 * X + h * U, h / 3.0 * Y + h * V
        U, V = A * (p0 - p1 * y2) + B * p2 * y2, -A * p1 * x2 + B * (p2 * x2 - p3)
        g0, g1 = g0 + A * x2, g1 - A * x2 * y2
        g2, g3 = g2 + B * x2 * y2, g3 - B * y2
        SX, SY = SX + U, SY + V
        # Second.
        A, B = h / 3.0 * X + 0.5 * h * U, h / 3.0 * Y + 0.5 * h * V
        U, V = A * (p0 - p1 * y1) + B * p2 * y1, -A * p1 * x1 + B * (p2 * x1 - p3)
        g0, g1 = g0 + A * x1, g1 - A * x1 * y1
        g2, g3 = g2 + B * x1 * y1, g3 - B * y1
        SX, SY = SX + U, SY + V
        # First.
        A, B = h / 6.0 * X + 0.5 * h * U, h / 6.0 * Y + 0.5 * h * V
        U, V = A * (p0 - p1 * y) + B * p2 * y, -A * p1 * x + B * (p2 * x - p3)
        g0, g1 = g0 + A * x, g1 - A * x * y
        g2, g3 = g2 + B * x * y, g3 - B * y
        X, Y = SX + U, SY + V
    return value, np.array([g0, g1, g2, g3])


def make_lotka(steps):
    return np.array([1.1, 0.4, 0.3, 0.8]), steps


# --- an array filled element by element


def fill(x):
    out = np.zeros(x.shape[0])
    for i in range(x.shape[0]):
        v = x[i]
        if v > 0.0:
            out[i] = np.sin(v) * v
        else:
            out[i] = np.exp(v) - 1.0
    return np.sum(out * out)


def fill_at_once(x):
    return np.sum(np.where(x > 0.0, np.sin(x) * x, np.exp(x) - 1.0) ** 2)


@fast
def fill_primal(x):
    value = 0.0
    for i in range(x.size):
        v = x[i]
        y = math.sin(v) * v if v > 0.0 else math.exp(v) - 1.0
        value += y * y
    return value


@fast
def fill_hand(x):
    g = np.empty_like(x)
    value = 0.0
    for i in range(x.size):
        v = x[i]
        if v > 0.0:
            s, c = math.sin(v), math.cos(v)
            y, d = s * v, c * v + s
        else:
            d = math.exp(v)
            y = d - 1.0
        value += y * y
        g[i] = 2.0 * y * d
    return value, g


def make_fill(n):
    return (np.random.default_rng(0).uniform(-2.0, 2.0, n),)


WORKLOADS = (
    Workload(
        "seidel",
        seidel,
        make_seidel,
        (100,),
        seidel_primal,
        seidel_hand,
        jax=seidel_jax,
    ),
    Workload(
        "seidel-tanh",
        seidel_tanh,
        make_seidel,
        (100,),
        seidel_tanh_primal,
        seidel_tanh_hand,
        jax=seidel_tanh_jax,
    ),
    Workload(
        "pairs",
        pairs,
        make_pairs,
        (300,),
        pairs_primal,
        pairs_hand,
        jax=pairs_by_matrix,
        autograd=pairs_by_matrix,
    ),
    Workload(
        "kepler",
        kepler,
        make_kepler,
        (1000,),
        kepler_primal,
        kepler_hand,
        argnums=(0, 1),
        autograd=SAME,
    ),
    Workload(
        "lotka",
        lotka,
        make_lotka,
        (1000,),
        lotka_primal,
        lotka_hand,
        jax=lotka_jax,
        autograd=SAME,
    ),
    Workload(
        "fill",
        fill,
        make_fill,
        (32_000,),
        fill_primal,
        fill_hand,
        jax=fill_at_once,
        autograd=fill_at_once,
    ),
)
