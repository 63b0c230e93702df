"""Stencils and marching schemes, in place, on slices or cell by cell."""

from __future__ import annotations

import numpy as np

from tests.corpus.programs.kernels import arrays
from tests.corpus.table import program

STEPS = 4


@program(arrays(9, 9))
def jacobi_1d(A, B):
    for _ in range(1, STEPS):
        B[1:-1] = 0.33333 * (A[:-2] + A[1:-1] + A[2:])
        A[1:-1] = 0.33333 * (B[:-2] + B[1:-1] + B[2:])


@program(arrays((6, 6), (6, 6)))
def jacobi_2d(A, B):
    for _ in range(1, STEPS):
        B[1:-1, 1:-1] = 0.2 * (
            A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1]
        )
        A[1:-1, 1:-1] = 0.2 * (
            B[1:-1, 1:-1] + B[1:-1, :-2] + B[1:-1, 2:] + B[2:, 1:-1] + B[:-2, 1:-1]
        )


@program(arrays((6, 6)))
def seidel_2d(A):
    N = A.shape[0]
    for _ in range(STEPS):
        for i in range(1, N - 1):
            A[i, 1:-1] += (
                A[i - 1, :-2]
                + A[i - 1, 1:-1]
                + A[i - 1, 2:]
                + A[i, 2:]
                + A[i + 1, :-2]
                + A[i + 1, 1:-1]
                + A[i + 1, 2:]
            )
            for j in range(1, N - 1):
                A[i, j] += A[i, j - 1]
                A[i, j] /= 9.0


@program(arrays((6, 6)))
def seidel_scalar(A):
    for _ in range(STEPS):
        for i in range(1, A.shape[0] - 1):
            for j in range(1, A.shape[1] - 1):
                A[i, j] = np.tanh(
                    0.3 * (A[i - 1, j] + A[i, j - 1] + A[i, j + 1] + A[i + 1, j])
                )
    return A


@program(arrays((5, 5, 5), (5, 5, 5)))
def heat_3d(A, B):
    def step(src, dst):
        dst[1:-1, 1:-1, 1:-1] = (
            0.125 * (src[2:, 1:-1, 1:-1] - 2.0 * src[1:-1, 1:-1, 1:-1])
            + 0.125 * src[:-2, 1:-1, 1:-1]
            + 0.125 * (src[1:-1, 2:, 1:-1] - 2.0 * src[1:-1, 1:-1, 1:-1])
            + 0.125 * src[1:-1, :-2, 1:-1]
            + 0.125 * (src[1:-1, 1:-1, 2:] + src[1:-1, 1:-1, :-2])
            + src[1:-1, 1:-1, 1:-1]
        )

    for _ in range(1, STEPS):
        step(A, B)
        step(B, A)


@program(arrays((5, 6), (5, 6), (5, 6), 3))
def fdtd_2d(ex, ey, hz, fict):
    for t in range(len(fict)):
        ey[0, :] = fict[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])


@program(arrays((6, 6)))
def adi(u):
    N = u.shape[0]
    v = np.empty(u.shape, dtype=u.dtype)
    p = np.empty(u.shape, dtype=u.dtype)
    q = np.empty(u.shape, dtype=u.dtype)
    a, b, c, d, f = -0.4, 1.8, -0.4, 0.3, 0.3
    for _ in range(2):
        v[0, 1 : N - 1] = 1.0
        p[1 : N - 1, 0] = 0.0
        q[1 : N - 1, 0] = v[0, 1 : N - 1]
        for j in range(1, N - 1):
            p[1 : N - 1, j] = -c / (a * p[1 : N - 1, j - 1] + b)
            q[1 : N - 1, j] = (
                -d * u[j, 0 : N - 2]
                + (1.0 + 2.0 * d) * u[j, 1 : N - 1]
                - f * u[j, 2:N]
                - a * q[1 : N - 1, j - 1]
            ) / (a * p[1 : N - 1, j - 1] + b)
        v[N - 1, 1 : N - 1] = 1.0
        for j in range(N - 2, 0, -1):
            v[j, 1 : N - 1] = p[1 : N - 1, j] * v[j + 1, 1 : N - 1] + q[1 : N - 1, j]
        u[1 : N - 1, 1 : N - 1] = v[1 : N - 1, 1 : N - 1]
    return u


@program(lambda rng: (0.25, rng.normal(size=(5, 6))))
def deriche(alpha, img):
    k = (1.0 - np.exp(-alpha)) ** 2
    k /= 1.0 + alpha * np.exp(-alpha) - np.exp(2.0 * alpha)
    a1 = k
    a2 = k * np.exp(-alpha) * (alpha - 1.0)
    b1 = 2.0 ** (-alpha)
    b2 = -np.exp(-2.0 * alpha)
    y1 = np.empty_like(img)
    y1[:, 0] = a1 * img[:, 0]
    y1[:, 1] = a1 * img[:, 1] + a2 * img[:, 0] + b1 * y1[:, 0]
    for j in range(2, img.shape[1]):
        y1[:, j] = a1 * img[:, j] + a2 * img[:, j - 1]
        y1[:, j] += b1 * y1[:, j - 1] + b2 * y1[:, j - 2]
    y2 = np.empty_like(img)
    y2[:, -1] = 0.0
    y2[:, -2] = a1 * img[:, -1]
    for j in range(img.shape[1] - 3, -1, -1):
        y2[:, j] = a1 * img[:, j + 1] + a2 * img[:, j + 2]
        y2[:, j] += b1 * y2[:, j + 1] + b2 * y2[:, j + 2]
    return y1 + y2


@program(arrays(8))
def burgers_upwind(u):
    dt, dx = 0.05, 0.3
    for _ in range(5):
        un = u.copy()
        for i in range(1, len(u)):
            if un[i] > 0:
                u[i] = un[i] - un[i] * dt / dx * (un[i] - un[i - 1])
            else:
                u[i] = un[i] - un[i] * dt / dx * (un[(i + 1) % len(u)] - un[i])
    return u


@program(arrays(8, 8))
def leapfrog_wave(u, v):
    c2 = 0.2
    prev, cur = u, v
    for _ in range(6):
        nxt = np.zeros_like(cur)
        nxt[1:-1] = 2 * cur[1:-1] - prev[1:-1]
        nxt[1:-1] += c2 * (cur[2:] - 2 * cur[1:-1] + cur[:-2])
        prev, cur = cur, nxt
    return cur


@program(lambda rng: (0.2, rng.normal(size=(5, 5)), rng.normal(size=(5, 5))))
def gray_scott(dt, u, v):
    def laplacian(z):
        return (
            np.roll(z, 1, 0)
            + np.roll(z, -1, 0)
            + np.roll(z, 1, axis=1)
            + np.roll(z, -1, axis=1)
            - 4 * z
        )

    for _ in range(3):
        uvv = u * v * v
        u += dt * (0.16 * laplacian(u) - uvv + 0.06 * (1 - u))
        v += dt * (0.08 * laplacian(v) + uvv - 0.12 * v)


@program(arrays((6, 6), (6, 6)))
def cavity_pressure(p, b):
    pn = np.empty_like(p)
    for _ in range(4):
        pn[:] = p.copy()
        p[1:-1, 1:-1] = (
            pn[1:-1, 2:] + pn[1:-1, 0:-2] + pn[2:, 1:-1] + pn[0:-2, 1:-1]
        ) / 4 - b[1:-1, 1:-1] / 4
        p[:, -1] = p[:, -2]
        p[0, :] = p[1, :]
        p[:, 0] = p[:, 1]
        p[-1, :] = 0


@program(arrays((5, 5, 3)))
def vertical_advection(u):
    ni, nj, nk = u.shape
    ccol = np.ndarray((ni, nj, nk), dtype=u.dtype)
    dcol = np.ndarray((ni, nj, nk), dtype=u.dtype)
    for k in range(1):
        ccol[:, :, k] = 0.25 * u[:, :, k + 1]
        dcol[:, :, k] = u[:, :, k]
    for k in range(1, nk):
        divided = 1.0 / (2.0 + 0.1 * np.tanh(ccol[:, :, k - 1]))
        ccol[:, :, k] = 0.25 * divided
        dcol[:, :, k] = (u[:, :, k] - dcol[:, :, k - 1] * 0.25) * divided
    for k in range(nk - 2, -1, -1):
        dcol[:, :, k] -= ccol[:, :, k] * dcol[:, :, k + 1]
    return dcol


@program(arrays((2, 6, 6, 2), (3, 3, 2, 3), 3))
def conv2d_bias(image, weights, bias):
    K = weights.shape[0]
    N, H, W = image.shape[0], image.shape[1] - K + 1, image.shape[2] - K + 1
    out = np.empty((N, H, W, weights.shape[3]), dtype=image.dtype)
    for i in range(H):
        for j in range(W):
            out[:, i, j, :] = np.sum(
                image[:, i : i + K, j : j + K, :, np.newaxis] * weights[np.newaxis],
                axis=(1, 2, 3),
            )
    return out + bias


@program(arrays((6, 6), (3, 3)))
def convolution_scalar(image, kernel):
    h, w = image.shape
    out = np.zeros((h - 2, w - 2))
    for i in range(h - 2):
        for j in range(w - 2):
            acc = 0.0
            for di in range(3):
                for dj in range(3):
                    acc += image[i + di, j + dj] * kernel[di, dj]
            out[i, j] = acc
    return out


@program(arrays((2, 4, 6, 3)))
def maxpool2d(x):
    out = np.empty((x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]), x.dtype)
    for i in range(x.shape[1] // 2):
        for j in range(x.shape[2] // 2):
            window = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, :]
            out[:, i, j, :] = np.max(window, axis=(1, 2))
    return out


@program(arrays((6, 3), (6, 3), 6), single=False)
def nbody(pos, vel, mass):
    m = np.abs(mass) + 0.5
    acc = np.zeros_like(pos)
    for _ in range(3):
        for i in range(len(m)):
            acc[i] = 0.0
            for j in range(len(m)):
                if i == j:
                    continue
                d = pos[j] - pos[i]
                r2 = d @ d + 0.1
                acc[i] += m[j] * d / (r2 * np.sqrt(r2))
        vel += 0.01 * acc
        pos += 0.01 * vel
    return 0.5 * np.sum(m * np.sum(vel**2, axis=1))


@program(arrays((6, 3), 6))
def nbody_vectorised(pos, mass):
    x, y, z = pos[:, 0:1], pos[:, 1:2], pos[:, 2:3]
    dx, dy, dz = x.T - x, y.T - y, z.T - z
    inv_r3 = dx**2 + dy**2 + dz**2 + 0.1**2
    inv_r3[inv_r3 > 0] = inv_r3[inv_r3 > 0] ** (-1.5)
    ax = (dx * inv_r3) @ mass
    ay = (dy * inv_r3) @ mass
    az = (dz * inv_r3) @ mass
    return np.stack((ax, ay, az)).T


@program(arrays(7, 7))
def lax_wendroff_with_ghosts(h, hu):
    g, r = 9.8, 0.02
    h += 3.0 - h * 0.9
    for _ in range(3):
        hp = np.concatenate(([h[1]], h, [h[-2]]))
        qp = np.concatenate(([-hu[1]], hu, [-hu[-2]]))
        flux = qp**2 / hp + 0.5 * g * hp**2
        h -= r * (qp[2:] - qp[:-2])
        hu -= r * (flux[2:] - flux[:-2])
    return h, hu


@program(lambda rng: (rng.normal(size=(4, 4)) * 0.3, rng.normal(size=(4, 4)) * 0.3))
def smooth_life_in_window(grid, rate):
    padded = np.zeros((6, 6))
    for _ in range(3):
        padded[1:-1, 1:-1] = grid
        neighbours = np.zeros_like(grid)
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                if di or dj:
                    neighbours += padded[1 + di : 5 + di, 1 + dj : 5 + dj]
        grid = np.tanh(grid + rate * neighbours)
    return grid
