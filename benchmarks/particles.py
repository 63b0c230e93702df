"""Bodies, paths, samples, rays and pixels: much the same for each of many."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.workload import SAME, Workload, fast

# --- bodies that attract each other, over time


def nbody(pos, vel, mass, steps):
    pos = pos.copy()
    vel = vel.copy()
    n = len(mass)
    dt = 0.01
    for _ in range(steps):
        acc = np.zeros((n, 3))
        for i in range(n):
            for j in range(n):
                if i != j:
                    d = pos[j] - pos[i]
                    r2 = d[0] ** 2 + d[1] ** 2 + d[2] ** 2 + 0.01
                    acc[i] += mass[j] * d / (r2 * np.sqrt(r2))
        vel += dt * acc
        pos += dt * vel
    return np.sum(pos**2)


def nbody_at_once(pos, vel, mass, steps):
    """For autograd: all pairs by arrays."""
    dt = 0.01
    for _ in range(steps):
        d = pos[None, :, :] - pos[:, None, :]
        r2 = np.sum(d * d, axis=2) + 0.01
        vel = vel + dt * np.sum((mass / (r2 * np.sqrt(r2)))[:, :, None] * d, axis=1)
        pos = pos + dt * vel
    return np.sum(pos**2)


def nbody_jax(pos, vel, mass, steps):
    from jax import lax

    dt = 0.01

    def step(state, _):
        pos, vel = state
        d = pos[None, :, :] - pos[:, None, :]
        r2 = np.sum(d * d, axis=2) + 0.01
        vel = vel + dt * np.einsum("ij,ijk->ik", mass / (r2 * np.sqrt(r2)), d)
        return (pos + dt * vel, vel), None

    (pos, _), _ = lax.scan(step, (pos, vel), None, steps)
    return np.sum(pos**2)


@fast
def nbody_kick(X, V, mass, dt):
    """Columns of coordinates, so that the inner loop reads in order; a body does not
    attract itself, since its distance to itself is zero."""
    x, y, z = X[0], X[1], X[2]
    for i in range(mass.size):
        a = b = c = 0.0
        for j in range(mass.size):
            p, q, r = x[j] - x[i], y[j] - y[i], z[j] - z[i]
            s = 1.0 / math.sqrt(p * p + q * q + r * r + 0.01)
            f = mass[j] * s * s * s
            a += f * p
            b += f * q
            c += f * r
        V[0, i] += dt * a
        V[1, i] += dt * b
        V[2, i] += dt * c


@fast
def nbody_primal(pos, vel, mass, steps):
    X, V = pos.T.copy(), vel.T.copy()
    dt = 0.01
    for _ in range(steps):
        nbody_kick(X, V, mass, dt)
        for k in range(3):
            for i in range(mass.size):
                X[k, i] += dt * V[k, i]
    return np.sum(X * X)


@fast
def nbody_kick_back(X, A, X_bar, mass, mass_bar):
    """A is the cotangent of the accelerations. Each body gathers from all pairs that
    it is in: nothing is scattered."""
    x, y, z, a, b, c = X[0], X[1], X[2], A[0], A[1], A[2]
    for i in range(mass.size):
        xb = yb = zb = mb = 0.0
        for j in range(mass.size):
            p, q, r = x[j] - x[i], y[j] - y[i], z[j] - z[i]
            s = 1.0 / math.sqrt(p * p + q * q + r * r + 0.01)
            s3 = s * s * s
            u = mass[j] * a[i] - mass[i] * a[j]
            v = mass[j] * b[i] - mass[i] * b[j]
            w = mass[j] * c[i] - mass[i] * c[j]
            t = 3.0 * s3 * s * s * (u * p + v * q + w * r)
            xb += t * p - s3 * u
            yb += t * q - s3 * v
            zb += t * r - s3 * w
            mb -= s3 * (a[j] * p + b[j] * q + c[j] * r)
        X_bar[0, i] += xb
        X_bar[1, i] += yb
        X_bar[2, i] += zb
        mass_bar[i] += mb


@fast
def nbody_hand(pos, vel, mass, steps):
    n, dt = mass.size, 0.01
    tape = np.empty((steps + 1, 3, n))  # positions
    tape[0] = pos.T
    V = vel.T.copy()
    for t in range(steps):
        nbody_kick(tape[t], V, mass, dt)
        for k in range(3):
            for i in range(n):
                tape[t + 1, k, i] = tape[t, k, i] + dt * V[k, i]
    value = np.sum(tape[steps] * tape[steps])
    X_bar, V_bar, A = 2.0 * tape[steps], np.zeros((3, n)), np.empty((3, n))
    mass_bar = np.zeros(n)
    for t in range(steps - 1, -1, -1):
        for k in range(3):
            for i in range(n):
                V_bar[k, i] += dt * X_bar[k, i]
                A[k, i] = dt * V_bar[k, i]
        nbody_kick_back(tape[t], A, X_bar, mass, mass_bar)
    return value, X_bar.T.copy(), V_bar.T.copy(), mass_bar


def make_nbody(n):
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(n, 3)),
        0.1 * rng.normal(size=(n, 3)),
        rng.uniform(0.5, 1.0, n),
        40,
    )


# --- an Asian option: the mean of a price along random paths, all paths at once


def asian(s0, rate, sigma, Z):
    steps, paths = Z.shape
    dt = 1.0 / steps
    price = np.full(paths, s0)
    total = np.zeros(paths)
    for t in range(steps):
        price = price * np.exp(
            (rate - 0.5 * sigma**2) * dt + sigma * np.sqrt(dt) * Z[t]
        )
        total += price
    return np.exp(-rate) * np.mean(np.maximum(total / steps - 1.0, 0.0))


def asian_rebound(s0, rate, sigma, Z):
    """For autograd, which cannot write in place."""
    steps = Z.shape[0]
    dt = 1.0 / steps
    price, total = s0, 0.0
    for t in range(steps):
        price = price * np.exp(
            (rate - 0.5 * sigma**2) * dt + sigma * np.sqrt(dt) * Z[t]
        )
        total = total + price
    return np.exp(-rate) * np.mean(np.maximum(total / steps - 1.0, 0.0))


def asian_jax(s0, rate, sigma, Z):
    from jax import lax

    steps = Z.shape[0]
    dt = 1.0 / steps

    def step(state, z):
        price, total = state
        price = price * np.exp((rate - 0.5 * sigma**2) * dt + sigma * np.sqrt(dt) * z)
        return (price, total + price), None

    zero = np.zeros(Z.shape[1])
    (_, total), _ = lax.scan(step, (zero + s0, zero), Z)
    return np.exp(-rate) * np.mean(np.maximum(total / steps - 1.0, 0.0))


@fast
def asian_primal(s0, rate, sigma, Z):
    steps, paths = Z.shape
    drift, noise = (rate - 0.5 * sigma**2) / steps, sigma / math.sqrt(steps)
    price, total = np.full(paths, s0), np.zeros(paths)
    for t in range(steps):
        z = Z[t]
        for p in range(paths):
            price[p] *= math.exp(drift + noise * z[p])
            total[p] += price[p]
    value = 0.0
    for p in range(paths):
        value += max(total[p] / steps - 1.0, 0.0)
    return math.exp(-rate) * value / paths


@fast
def asian_hand(s0, rate, sigma, Z):
    # The tape: prices. A price times its cotangent is the exponent's, and adds up.
    steps, paths = Z.shape
    drift, noise = (rate - 0.5 * sigma**2) / steps, sigma / math.sqrt(steps)
    price, total = np.empty((steps, paths)), np.zeros(paths)
    old = np.full(paths, s0)
    for t in range(steps):
        z, new = Z[t], price[t]
        for p in range(paths):
            new[p] = old[p] * math.exp(drift + noise * z[p])
            total[p] += new[p]
        old = new
    value, scale = 0.0, math.exp(-rate) / paths
    bar = total
    for p in range(paths):
        gain = total[p] / steps - 1.0
        value += max(gain, 0.0)
        bar[p] = scale / steps if gain > 0.0 else 0.0
    drift_bar = noise_bar = s0_bar = 0.0
    moved = np.zeros(paths)  # prices times their cotangents
    for t in range(steps - 1, -1, -1):
        z, new = Z[t], price[t]
        for p in range(paths):
            moved[p] += bar[p] * new[p]
            drift_bar += moved[p]
            noise_bar += moved[p] * z[p]
    for p in range(paths):
        s0_bar += moved[p]
    value *= scale
    sigma_bar = noise_bar / math.sqrt(steps) - drift_bar * sigma / steps
    return value, s0_bar / s0, drift_bar / steps - value, sigma_bar


def make_asian(paths):
    return 1.0, 0.03, 0.2, np.random.default_rng(0).normal(size=(50, paths))


# --- a histogram whose samples are shared between two bins, against a wanted one


def histogram(x, weights, wanted):
    bins = len(wanted)
    h = np.zeros(bins)
    for i in range(len(x)):
        place = x[i] * (bins - 1)
        k = int(place)
        part = place - k
        h[k] += (1.0 - part) * weights[i]
        h[k + 1] += part * weights[i]
    return np.sum((h - wanted) ** 2)


def histogram_jax(x, weights, wanted):
    place = x * (wanted.shape[0] - 1)
    k = place.astype(int)
    part = place - k
    h = np.zeros(wanted.shape[0]).at[k].add((1.0 - part) * weights)
    h = h.at[k + 1].add(part * weights)
    return np.sum((h - wanted) ** 2)


@fast
def histogram_counts(x, weights, bins):
    h = np.zeros(bins)
    for i in range(x.size):
        place = x[i] * (bins - 1)
        k = np.uint64(place)  # an unsigned index is not looked at for its sign
        right = (place - k) * weights[i]
        h[k] += weights[i] - right
        h[k + np.uint64(1)] += right
    return h


@fast
def histogram_primal(x, weights, wanted):
    h = histogram_counts(x, weights, wanted.size)
    value = 0.0
    for k in range(wanted.size):
        value += (h[k] - wanted[k]) ** 2
    return value


@fast
def histogram_hand(x, weights, wanted):
    bins = wanted.size
    bar = histogram_counts(x, weights, bins)
    value = 0.0
    for k in range(bins):
        d = bar[k] - wanted[k]
        value += d * d
        bar[k] = 2.0 * d
    x_bar, weights_bar = np.empty_like(x), np.empty_like(weights)
    for i in range(x.size):
        place = x[i] * (bins - 1)
        k = np.uint64(place)
        left = bar[k]
        rise = bar[k + np.uint64(1)] - left
        x_bar[i] = (bins - 1) * rise * weights[i]
        weights_bar[i] = left + (place - k) * rise
    return value, x_bar, weights_bar


def make_histogram(n):
    rng = np.random.default_rng(0)
    return rng.uniform(0.0, 0.999, n), rng.uniform(size=n), np.full(64, n / 128)


# --- rays that step by their distance to the nearest sphere, until they touch it


def march(origin, rays, centers, radii):
    depth = 0.0
    for i in range(rays.shape[0]):
        t = 0.0
        for _ in range(100):
            near = 1e9
            for k in range(radii.shape[0]):
                dx = origin[0] + t * rays[i, 0] - centers[k, 0]
                dy = origin[1] + t * rays[i, 1] - centers[k, 1]
                dz = origin[2] + t * rays[i, 2] - centers[k, 2]
                near = min(near, np.sqrt(dx * dx + dy * dy + dz * dz) - radii[k])
            if near < 1e-6:
                break
            t += near
            if t > 20.0:
                break
        depth += t
    return depth


def march_jax(origin, rays, centers, radii):
    """A bounded number of steps for all rays, in which those that arrived stand."""
    from jax import lax

    def step(state, _):
        t, on = state
        to = origin + t[:, None] * rays
        d = to[:, None, :] - centers
        near = np.min(np.sqrt(np.sum(d * d, axis=2)) - radii, axis=1)
        on = on & (near >= 1e-6)
        t = np.where(on, t + near, t)
        return (t, on & (t <= 20.0)), None

    n = rays.shape[0]
    (t, _), _ = lax.scan(step, (np.zeros(n), np.ones(n, bool)), None, 100)
    return np.sum(t)


@fast
def nearest(x, y, z, centers, radii):
    near, which = 1e9, -1
    for k in range(radii.size):
        dx, dy, dz = x - centers[k, 0], y - centers[k, 1], z - centers[k, 2]
        d = math.sqrt(dx * dx + dy * dy + dz * dz) - radii[k]
        if d < near:
            near, which = d, k
    return near, which


@fast
def march_primal(origin, rays, centers, radii):
    depth = 0.0
    for i in range(rays.shape[0]):
        t = 0.0
        for _ in range(100):
            x = origin[0] + t * rays[i, 0]
            y = origin[1] + t * rays[i, 1]
            z = origin[2] + t * rays[i, 2]
            near, _ = nearest(x, y, z, centers, radii)
            if near < 1e-6:
                break
            t += near
            if t > 20.0:
                break
        depth += t
    return depth


@fast
def march_hand(origin, rays, centers, radii):
    # Each ray goes there and back by itself, on a tape of its own steps.
    origin_bar, rays_bar = np.zeros(3), np.empty_like(rays)
    centers_bar, radii_bar = np.zeros_like(centers), np.zeros_like(radii)
    ts, hits = np.empty(100), np.empty(100, np.int64)
    depth = 0.0
    for i in range(rays.shape[0]):
        u, v, w = rays[i, 0], rays[i, 1], rays[i, 2]
        t, steps = 0.0, 0
        for n in range(100):
            ts[n] = t
            near, hits[n] = nearest(
                origin[0] + t * u, origin[1] + t * v, origin[2] + t * w, centers, radii
            )
            if near < 1e-6:
                break
            t += near
            steps = n + 1
            if t > 20.0:
                break
        depth += t
        bar, u_bar, v_bar, w_bar = 1.0, 0.0, 0.0, 0.0
        for n in range(steps - 1, -1, -1):
            t, k = ts[n], hits[n]
            dx = origin[0] + t * u - centers[k, 0]
            dy = origin[1] + t * v - centers[k, 1]
            dz = origin[2] + t * w - centers[k, 2]
            scale = bar / math.sqrt(dx * dx + dy * dy + dz * dz)
            dx, dy, dz = scale * dx, scale * dy, scale * dz
            radii_bar[k] -= bar
            centers_bar[k, 0] -= dx
            centers_bar[k, 1] -= dy
            centers_bar[k, 2] -= dz
            origin_bar[0] += dx
            origin_bar[1] += dy
            origin_bar[2] += dz
            u_bar += t * dx
            v_bar += t * dy
            w_bar += t * dz
            bar += dx * u + dy * v + dz * w
        rays_bar[i, 0], rays_bar[i, 1], rays_bar[i, 2] = u_bar, v_bar, w_bar
    return depth, origin_bar, rays_bar, centers_bar, radii_bar


def make_march(n):
    rng = np.random.default_rng(0)
    rays = np.array([1.0, 0.0, 0.0]) + 0.15 * rng.normal(size=(n, 3))
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    centers = np.array([[5.0, 0.0, 0.0], [6.0, 1.0, 0.5], [7.0, -1.0, 1.0]])
    return np.zeros(3), rays, centers, np.array([0.8, 0.6, 1.0])


# --- Mandelbrot's iteration over a grid, coloured by how long points stay


def mandelbrot(a, b, rounds):
    x = np.zeros_like(a)
    y = np.zeros_like(b)
    shade = np.zeros_like(a)
    for _ in range(rounds):
        inside = x * x + y * y < 4.0
        real = x[inside] ** 2 - y[inside] ** 2 + a[inside]
        y[inside] = 2.0 * x[inside] * y[inside] + b[inside]
        x[inside] = real
        shade[inside] += np.exp(-(x[inside] ** 2 + y[inside] ** 2))
    return np.mean(shade)


def mandelbrot_jax(a, b, rounds):
    from jax import lax

    def step(_, state):
        x, y, shade = state
        inside = x * x + y * y < 4.0
        # A point outside would overflow, and spoil the gradient by 0 * inf.
        u, v = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
        u, v = u * u - v * v + a, 2.0 * u * v + b
        shade = shade + np.where(inside, np.exp(-(u * u + v * v)), 0.0)
        return np.where(inside, u, x), np.where(inside, v, y), shade

    zero = np.zeros_like(a)
    return np.mean(lax.fori_loop(0, rounds, step, (zero, zero, zero))[2])


@fast
def mandelbrot_primal(a, b, rounds):
    value = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            x = y = 0.0
            for _ in range(rounds):
                if x * x + y * y >= 4.0:
                    break
                x, y = x * x - y * y + a[i, j], 2.0 * x * y + b[i, j]
                value += math.exp(-(x * x + y * y))
    return value / a.size


@fast
def mandelbrot_hand(a, b, rounds):
    # Each point goes there and back by itself, on a tape of its own rounds.
    a_bar, b_bar = np.empty_like(a), np.empty_like(b)
    tape = np.empty((rounds + 1, 3))
    value = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            x = y = 0.0
            n = 0
            while n < rounds and x * x + y * y < 4.0:
                tape[n, 0], tape[n, 1] = x, y
                x, y = x * x - y * y + a[i, j], 2.0 * x * y + b[i, j]
                e = math.exp(-(x * x + y * y))
                value += e
                n += 1
                tape[n, 2] = e
            x_bar = y_bar = u = v = 0.0
            for k in range(n - 1, -1, -1):
                e = -2.0 * tape[k + 1, 2]
                x_bar += e * x
                y_bar += e * y
                u += x_bar
                v += y_bar
                x, y = tape[k, 0], tape[k, 1]
                x_bar, y_bar = (
                    2.0 * (x * x_bar + y * y_bar),
                    2.0 * (x * y_bar - y * x_bar),
                )
            a_bar[i, j], b_bar[i, j] = u / a.size, v / a.size
    return value / a.size, a_bar, b_bar


def make_mandelbrot(n):
    a, b = np.meshgrid(np.linspace(-1.9, 0.6, n), np.linspace(-1.1, 1.3, n))
    return a, b, 30


WORKLOADS = (
    Workload(
        "nbody",
        nbody,
        make_nbody,
        (32,),
        nbody_primal,
        nbody_hand,
        argnums=(0, 1, 2),
        jax=nbody_jax,
        autograd=nbody_at_once,
    ),
    Workload(
        "asian",
        asian,
        make_asian,
        (2000,),
        asian_primal,
        asian_hand,
        argnums=(0, 1, 2),
        jax=asian_jax,
        autograd=asian_rebound,
    ),
    Workload(
        "histogram",
        histogram,
        make_histogram,
        (30_000,),
        histogram_primal,
        histogram_hand,
        argnums=(0, 1),
        jax=histogram_jax,
    ),
    Workload(
        "march",
        march,
        make_march,
        (1000,),
        march_primal,
        march_hand,
        argnums=(0, 1, 2, 3),
        jax=march_jax,
        autograd=SAME,
    ),
    Workload(
        "mandelbrot",
        mandelbrot,
        make_mandelbrot,
        (100,),
        mandelbrot_primal,
        mandelbrot_hand,
        argnums=(0, 1),
        jax=mandelbrot_jax,
    ),
)
