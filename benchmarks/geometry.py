"""Cameras and points, principal axes, and Lorenz' equations on a ring."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.workload import SAME, Workload, fast

# --- residuals of points seen by cameras: rotation (3), translation (3), lens (3)


def reprojection(cameras, points, seen, camera, point):
    c, p = cameras[camera], points[point]
    r = c[:, :3]
    angle = np.sqrt(np.sum(r**2, axis=1))[:, None]
    axis = r / angle
    cos, sin = np.cos(angle), np.sin(angle)
    along = np.sum(axis * p, axis=1)[:, None]
    p = cos * p + sin * np.cross(axis, p) + (1.0 - cos) * along * axis + c[:, 3:6]
    xy = -p[:, :2] / p[:, 2:]
    square = np.sum(xy**2, axis=1)
    lens = c[:, 6] * (1.0 + square * (c[:, 7] + square * c[:, 8]))
    return np.sum((lens[:, None] * xy - seen) ** 2)


@fast
def rotations(cameras):
    """The matrix of every camera, row by row: Rodrigues' formula, once for each."""
    out = np.empty((cameras.shape[0], 9))
    for i in range(cameras.shape[0]):
        x, y, z = cameras[i, 0], cameras[i, 1], cameras[i, 2]
        angle = math.sqrt(x * x + y * y + z * z)
        x, y, z = x / angle, y / angle, z / angle
        c, s = math.cos(angle), math.sin(angle)
        t = 1.0 - c
        R = out[i]
        R[0], R[1], R[2] = c + t * x * x, t * x * y - s * z, t * x * z + s * y
        R[3], R[4], R[5] = t * x * y + s * z, c + t * y * y, t * y * z - s * x
        R[6], R[7], R[8] = t * x * z - s * y, t * y * z + s * x, c + t * z * z
    return out


@fast
def of_rotation(r, G, out):
    """The gradient by a rotation vector from that by its matrix."""
    x, y, z = r[0], r[1], r[2]
    angle = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / angle, y / angle, z / angle
    c, s = math.cos(angle), math.sin(angle)
    t = 1.0 - c
    u, v, w = G[7] - G[5], G[2] - G[6], G[3] - G[1]
    a = 2.0 * G[0] * x + (G[1] + G[3]) * y + (G[2] + G[6]) * z
    b = (G[1] + G[3]) * x + 2.0 * G[4] * y + (G[5] + G[7]) * z
    d = (G[2] + G[6]) * x + (G[5] + G[7]) * y + 2.0 * G[8] * z
    turn = c * (x * u + y * v + z * w)
    turn += s * (0.5 * (a * x + b * y + d * z) - (G[0] + G[4] + G[8]))
    a, b, d = s * u + t * a, s * v + t * b, s * w + t * d
    inner = a * x + b * y + d * z
    out[0] = x * turn + (a - x * inner) / angle
    out[1] = y * turn + (b - y * inner) / angle
    out[2] = z * turn + (d - z * inner) / angle


@fast
def reprojection_primal(cameras, points, seen, camera, point):
    matrices = rotations(cameras)
    value = 0.0
    for i in range(camera.size):
        c, R, p = cameras[camera[i]], matrices[camera[i]], points[point[i]]
        x = R[0] * p[0] + R[1] * p[1] + R[2] * p[2] + c[3]
        y = R[3] * p[0] + R[4] * p[1] + R[5] * p[2] + c[4]
        z = R[6] * p[0] + R[7] * p[1] + R[8] * p[2] + c[5]
        u, v = -x / z, -y / z
        square = u * u + v * v
        lens = c[6] * (1.0 + square * (c[7] + square * c[8]))
        a, b = lens * u - seen[i, 0], lens * v - seen[i, 1]
        value += a * a + b * b
    return value


@fast
def reprojection_hand(cameras, points, seen, camera, point):
    matrices = rotations(cameras)
    G = np.zeros_like(matrices)
    cameras_bar, points_bar = np.zeros_like(cameras), np.zeros_like(points)
    value = 0.0
    for i in range(camera.size):
        c, R, p = cameras[camera[i]], matrices[camera[i]], points[point[i]]
        c_bar, R_bar = cameras_bar[camera[i]], G[camera[i]]
        p_bar = points_bar[point[i]]
        x = R[0] * p[0] + R[1] * p[1] + R[2] * p[2] + c[3]
        y = R[3] * p[0] + R[4] * p[1] + R[5] * p[2] + c[4]
        z = R[6] * p[0] + R[7] * p[1] + R[8] * p[2] + c[5]
        inverse = -1.0 / z
        u, v = x * inverse, y * inverse
        square = u * u + v * v
        slope = c[7] + square * c[8]
        bend = 1.0 + square * slope
        lens = c[6] * bend
        a, b = lens * u - seen[i, 0], lens * v - seen[i, 1]
        value += a * a + b * b
        a, b = 2.0 * a, 2.0 * b
        lens_bar = a * u + b * v
        bend_bar = lens_bar * c[6]
        square_bar = 2.0 * bend_bar * (slope + square * c[8])
        c_bar[6] += lens_bar * bend
        c_bar[7] += bend_bar * square
        c_bar[8] += bend_bar * square * square
        u_bar, v_bar = a * lens + square_bar * u, b * lens + square_bar * v
        x, y = u_bar * inverse, v_bar * inverse
        z = (u_bar * u + v_bar * v) * inverse
        c_bar[3] += x
        c_bar[4] += y
        c_bar[5] += z
        for j in range(3):
            R_bar[j] += x * p[j]
            R_bar[3 + j] += y * p[j]
            R_bar[6 + j] += z * p[j]
            p_bar[j] += x * R[j] + y * R[3 + j] + z * R[6 + j]
    for i in range(cameras.shape[0]):
        of_rotation(cameras[i], G[i], cameras_bar[i])
    return value, cameras_bar, points_bar


def make_reprojection(n):
    rng = np.random.default_rng(0)
    cameras = np.zeros((20, 9))
    cameras[:, :3] = 0.3 * rng.normal(size=(20, 3))
    cameras[:, 3:6] = [0.0, 0.0, -8.0] + 0.3 * rng.normal(size=(20, 3))
    cameras[:, 6:] = [500.0, 0.01, 0.001]
    points = rng.normal(size=(max(3, n // 10), 3))
    seen = 100.0 * rng.normal(size=(n, 2))
    camera, point = rng.integers(20, size=n), rng.integers(len(points), size=n)
    return cameras, points, seen, camera, point


# --- what a few axes leave unexplained


def principal_axes(W, X):
    return np.mean((X - (X @ W) @ W.T) ** 2)


@fast
def principal_axes_errors(W, Z, X):
    """Leave Z Wᵀ - X in a new array; return it and the sum of squares."""
    E = np.dot(Z, W.T)
    value = 0.0
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            E[i, j] -= X[i, j]
            value += E[i, j] * E[i, j]
    return E, value


@fast
def principal_axes_primal(W, X):
    return principal_axes_errors(W, np.dot(X, W), X)[1] / X.size


@fast
def principal_axes_hand(W, X):
    Z = np.dot(X, W)
    E, value = principal_axes_errors(W, Z, X)
    W_bar = np.dot(E.T, Z)
    along = np.dot(X.T, np.dot(E, W))
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            W_bar[i, j] = 2.0 / X.size * (W_bar[i, j] + along[i, j])
    return value / X.size, W_bar


def make_principal_axes(n):
    rng = np.random.default_rng(0)
    return rng.normal(size=(50, 5)) / np.sqrt(50), rng.normal(size=(n, 50))


# --- Lorenz' right-hand side on a ring, against what was measured


def ring(x, y):
    slope = (np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + 8.0
    return np.mean((slope - y) ** 2)


@fast
def ring_error(a, b, here, after, y):
    return (after - a) * b - here + 8.0 - y


@fast
def ring_primal(x, y):
    n = x.size
    value = 0.0
    for i in range(-1, 2):
        value += ring_error(x[i - 2], x[i - 1], x[i], x[i + 1], y[i]) ** 2
    first, second, third, last, own = x[:-3], x[1:-2], x[2:-1], x[3:], y[2:-1]
    for i in range(own.size):
        e = ring_error(first[i], second[i], third[i], last[i], own[i])
        value += e * e
    return value / n


@fast
def ring_hand(x, y):
    # Errors once, with those of both ends beyond them; then gathered.
    n = x.size
    e = np.empty(n + 3)  # e[k + 1] is that of cell k
    value = 0.0
    first, second, third, last = x[:-3], x[1:-2], x[2:-1], x[3:]
    own, out = y[2:-1], e[3:-3]
    for i in range(own.size):
        d = ring_error(first[i], second[i], third[i], last[i], own[i])
        value += d * d
        out[i] = d
    e[1] = ring_error(x[-2], x[-1], x[0], x[1], y[0])
    e[2] = ring_error(x[-1], x[0], x[1], x[2], y[1])
    e[n] = ring_error(x[-3], x[-2], x[-1], x[0], y[-1])
    value += e[1] * e[1] + e[2] * e[2] + e[n] * e[n]
    e[0], e[n + 1], e[n + 2] = e[n], e[1], e[2]
    g, scale = np.empty(n), 2.0 / n
    for i in (0, 1, n - 2, n - 1):
        far = e[i] * x[i - 2] - e[i + 3] * x[(i + 1) % n]
        g[i] = scale * (far + e[i + 2] * (x[(i + 2) % n] - x[i - 1]) - e[i + 1])
    a, b, c, d, out = x[:-4], x[1:-3], x[3:-1], x[4:], g[2:-2]
    before, here, after, beyond = e[2:-5], e[3:-4], e[4:-3], e[5:-2]
    for i in range(out.size):
        far = before[i] * a[i] - beyond[i] * c[i]
        out[i] = scale * (far + after[i] * (d[i] - b[i]) - here[i])
    return value / n, g


def make_ring(n):
    rng = np.random.default_rng(0)
    return rng.normal(size=n), rng.normal(size=n)


WORKLOADS = (
    Workload(
        "reprojection",
        reprojection,
        make_reprojection,
        (5000,),
        reprojection_primal,
        reprojection_hand,
        argnums=(0, 1),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "pca",
        principal_axes,
        make_principal_axes,
        (1000,),
        principal_axes_primal,
        principal_axes_hand,
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "ring",
        ring,
        make_ring,
        (100_000,),
        ring_primal,
        ring_hand,
        jax=SAME,
        autograd=SAME,
    ),
)
