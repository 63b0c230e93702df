"""Scientific kernels on arrays of many axes: fields, networks, spectra, particles."""

from __future__ import annotations

import math

import numpy as np

from tests.corpus.programs.kernels import arrays
from tests.corpus.table import program


def crandn(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


# Networks -----------------------------------------------------------------------------


def relu(x):
    return np.maximum(x, 0)


def conv2d(input, weights):
    K = weights.shape[0]
    N = input.shape[0]
    H_out = input.shape[1] - K + 1
    W_out = input.shape[2] - K + 1
    C_out = weights.shape[3]
    output = np.empty((N, H_out, W_out, C_out), dtype=np.float32)
    for i in range(H_out):
        for j in range(W_out):
            output[:, i, j, :] = np.sum(
                input[:, i : i + K, j : j + K, :, np.newaxis]
                * weights[np.newaxis, :, :, :],
                axis=(1, 2, 3),
            )
    return output


def max_pool(x):
    output = np.empty(
        [x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]], dtype=x.dtype
    )
    for i in range(x.shape[1] // 2):
        for j in range(x.shape[2] // 2):
            output[:, i, j, :] = np.max(
                x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, :], axis=(1, 2)
            )
    return output


@program(
    lambda rng: (
        rng.normal(size=(2, 6, 6, 1)),
        rng.normal(size=(3, 3, 1, 2)),
        rng.normal(size=2),
        rng.normal(size=(8, 3)),
        2,
    ),
    narrow=True,
)
def small_convolutional_network(input, w1, b1, fc, N):
    x = relu(conv2d(input, w1) + b1)
    x = max_pool(x)
    x = np.reshape(x, (N, 8))
    return x @ fc


def batchnorm(x, eps=1e-5):
    mean = np.mean(x, axis=0, keepdims=True)
    std = np.std(x, axis=0, keepdims=True)
    return (x - mean) / np.sqrt(std + eps)


@program(
    lambda rng: (*arrays((3, 4, 4, 2), (1, 1, 2, 2), (3, 3, 2, 2))(rng),), narrow=True
)
def residual_block(input, w1, w2):
    padded = np.zeros((input.shape[0], 6, 6, 2), dtype=np.float32)
    padded[:, 1:-1, 1:-1, :] = conv2d(input, w1)
    x = relu(batchnorm(padded))
    x = batchnorm(conv2d(x, w2))
    return relu(x + input)


def softmax(x):
    tmp_max = np.max(x, axis=-1, keepdims=True)
    tmp_out = np.exp(x - tmp_max)
    return tmp_out / np.sum(tmp_out, axis=-1, keepdims=True)


@program(lambda rng: arrays((3, 4), (4, 5), 5, (5, 2), 2)(rng), narrow=True)
def perceptron_in_single(x, w1, b1, w2, b2):
    h = np.zeros((x.shape[0], 5), np.float32)
    h[:] = relu(x @ w1 + b1)
    return softmax(h @ w2 + b2)


@program(arrays((2, 3, 4, 4)))
def softmax_of_scores(x):
    return softmax(x)


@program(arrays((2, 3, 4), (4, 4), (4, 4), (4, 4)))
def attention_with_heads(x, Wq, Wk, Wv):
    B, T, D = x.shape
    H = 2
    q = (x @ Wq).reshape(B, T, H, D // H).transpose(0, 2, 1, 3)
    k = (x @ Wk).reshape(B, T, H, D // H).transpose(0, 2, 1, 3)
    v = (x @ Wv).reshape(B, T, H, D // H).transpose(0, 2, 1, 3)
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(D // H)
    scores[:, :, np.triu_indices(T, 1)[0], np.triu_indices(T, 1)[1]] = -1e9
    out = softmax(scores) @ v
    return out.transpose(0, 2, 1, 3).reshape(B, T, D)


# Quantum and waves --------------------------------------------------------------------


@program(
    lambda rng: (
        rng.integers(0, 3, size=(3, 2)),
        crandn(rng, 3, 2, 2),
        crandn(rng, 2, 2, 2, 2),
        crandn(rng, 2, 3, 2, 2),
    ),
    single=False,
)
def scattering_self_energies(neigh, D, dH, G):
    Sigma = np.zeros_like(G)
    for k in range(G.shape[0]):
        for E in range(G.shape[1]):
            for a in range(neigh.shape[0]):
                for b in range(neigh.shape[1]):
                    if E - b >= 0:
                        dHG = G[k, E - b] @ dH[b, k]
                        dHD = dH[k, b] * D[neigh[a, b], b, k]
                        Sigma[k, E] += dHG @ dHD
    return Sigma


@program(lambda rng: (crandn(rng, 4, 4), crandn(rng, 4, 2), 3), single=False)
def contour_integral(T, Y, slabs):
    P0 = np.zeros(Y.shape, dtype=np.complex128)
    P1 = np.zeros(Y.shape, dtype=np.complex128)
    for idx in range(slabs):
        z = 3 * np.exp(2j * np.pi * (idx + 0.5) / slabs)
        Tz = np.zeros_like(T)
        for n in range(2):
            Tz += np.power(z, n) * T
        Tz += 9 * np.eye(4)
        X = Y if slabs == 1 else np.linalg.solve(Tz, Y)
        if abs(z) < 1.0:
            X = -X
        P0 += X
        P1 += z * X
    return P0, P1


@program(lambda rng: (2, 3, crandn(rng, 8)), single=False)
def stockham_fft(R, K, x):
    N = R**K
    i_coord, j_coord = np.mgrid[0:R, 0:R]
    dft_mat = np.exp(-2.0j * np.pi * i_coord * j_coord / R)
    y = np.empty(N, dtype=np.complex128)
    y[:] = x[:]
    ii_coord, jj_coord = np.mgrid[0:R, 0 : R**K]
    for i in range(K):
        yv = np.reshape(y, (R**i, R, R ** (K - i - 1)))
        tmp_perm = np.transpose(yv, axes=(1, 0, 2))
        D = np.empty((R, R**i, R ** (K - i - 1)), dtype=np.complex128)
        tmp = np.exp(
            -2.0j * np.pi * ii_coord[:, : R**i] * jj_coord[:, : R**i] / R ** (i + 1)
        )
        D[:] = np.repeat(np.reshape(tmp, (R, R**i, 1)), R ** (K - i - 1), axis=2)
        tmp_twid = np.reshape(tmp_perm, (N,)) * np.reshape(D, (N,))
        y[:] = np.reshape(dft_mat @ np.reshape(tmp_twid, (R, R ** (K - 1))), (N,))
    return y


@program(lambda rng: (crandn(rng, 8),), single=False)
def radix_two_fft(x):
    n = x.shape[0]
    levels = int(math.log2(n))
    y = np.empty_like(x)
    for i in range(n):
        rev = int(format(i, f"0{levels}b")[::-1], 2)
        y[rev] = x[i]
    size = 2
    while size <= n:
        half = size // 2
        step = np.exp(-2j * np.pi * np.arange(half) / size)
        for start in range(0, n, size):
            even = y[start : start + half].copy()
            odd = y[start + half : start + size] * step
            y[start : start + half] = even + odd
            y[start + half : start + size] = even - odd
        size *= 2
    return y


@program(lambda rng: (rng.normal(size=8), rng.normal(size=8), 0.05), single=False)
def split_step_schroedinger(psi_re, potential, dt):
    psi = psi_re.astype(complex)
    k = 2 * np.pi * np.fft.fftfreq(len(psi))
    for _ in range(3):
        psi *= np.exp(-0.5j * dt * potential)
        psi = np.fft.ifft(np.exp(-0.5j * dt * k**2) * np.fft.fft(psi))
        psi = psi * np.exp(-0.5j * dt * potential)
    return np.abs(psi) ** 2


@program(lambda rng: (rng.normal(size=(4, 4)),))
def spectral_poisson(rhs):
    n = rhs.shape[0]
    kx, ky = np.meshgrid(np.fft.fftfreq(n) * n, np.fft.fftfreq(n) * n, indexing="ij")
    k2 = kx**2 + ky**2
    k2[0, 0] = 1.0
    hat = np.fft.fft2(rhs)
    hat /= -k2
    hat[0, 0] = 0
    return np.real(np.fft.ifft2(hat))


# Particles ----------------------------------------------------------------------------

G_CONSTANT = 0.7
SOFTENING = 0.1


def get_acceleration(pos, mass):
    x = pos[:, 0:1]
    y = pos[:, 1:2]
    z = pos[:, 2:3]
    dx = x.T - x
    dy = y.T - y
    dz = z.T - z
    inv_r3 = dx**2 + dy**2 + dz**2 + SOFTENING**2
    inv_r3[inv_r3 > 0] = inv_r3[inv_r3 > 0] ** (-1.5)
    ax = G_CONSTANT * (dx * inv_r3) @ mass
    ay = G_CONSTANT * (dy * inv_r3) @ mass
    az = G_CONSTANT * (dz * inv_r3) @ mass
    return np.hstack((ax, ay, az))


def get_energy(pos, vel, mass):
    KE = 0.5 * np.sum(np.sum(mass * vel**2))
    x = pos[:, 0:1]
    y = pos[:, 1:2]
    z = pos[:, 2:3]
    dx = x.T - x
    dy = y.T - y
    dz = z.T - z
    inv_r = np.sqrt(dx**2 + dy**2 + dz**2)
    inv_r[inv_r > 0] = 1.0 / inv_r[inv_r > 0]
    PE = G_CONSTANT * np.sum(np.sum(np.triu(-(mass * mass.T) * inv_r, 1)))
    return KE, PE


@program(lambda rng: (1 + rng.random((4, 1)), *arrays((4, 3), (4, 3))(rng), 3, 0.01))
def gravity_with_energies(mass, pos, vel, Nt, dt):
    vel -= np.mean(mass * vel, axis=0) / np.mean(mass)
    acc = get_acceleration(pos, mass)
    KE = np.ndarray(Nt + 1, dtype=np.float64)
    PE = np.ndarray(Nt + 1, dtype=np.float64)
    KE[0], PE[0] = get_energy(pos, vel, mass)
    t = 0.0
    for i in range(Nt):
        vel += acc * dt / 2.0
        pos += vel * dt
        acc[:] = get_acceleration(pos, mass)
        vel += acc * dt / 2.0
        t += dt
        KE[i + 1], PE[i + 1] = get_energy(pos, vel, mass)
    return KE, PE


@program(lambda rng: (1.5 * rng.normal(size=(5, 3)), 2.0, 1.0))
def lennard_jones_forces(x, cutoff, sigma):
    n = len(x)
    f = np.zeros_like(x)
    e = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            d = x[i] - x[j]
            r2 = d.dot(d) + 0.5
            if r2 < cutoff * cutoff:
                s6 = (sigma**2 / r2) ** 3
                e += 4 * (s6 * s6 - s6)
                fij = 24 * (2 * s6 * s6 - s6) / r2 * d
                f[i] += fij
                f[j] -= fij
    return e, f


@program(lambda rng: (rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), 5))
def particles_deposited_on_a_grid(x, v, cells):
    rho = np.zeros((cells, cells))
    pos = (np.tanh(x) + 1) / 2 * (cells - 1.01)
    base = np.floor(pos).astype(np.int64)
    frac = pos - base
    for p in range(len(pos)):
        i, j = base[p]
        fx, fy = frac[p]
        q = np.sum(v[p] ** 2)
        rho[i, j] += q * (1 - fx) * (1 - fy)
        rho[i + 1, j] += q * fx * (1 - fy)
        rho[i, j + 1] += q * (1 - fx) * fy
        rho[i + 1, j + 1] += q * fx * fy
    return rho


# Statistics and linear algebra --------------------------------------------------------


@program(lambda rng: (4.0, rng.normal(size=(5, 4))))
def covariance_by_rows(float_n, data):
    mean = np.mean(data, axis=0)
    data -= mean
    cov = np.zeros((4, 4), dtype=data.dtype)
    for i in range(4):
        cov[i:4, i] = data[:, i] @ data[:, i:4] / (float_n - 1.0)
        cov[i, i:4] = cov[i:4, i]
    return cov


@program(arrays((5, 4)))
def correlation_by_columns(data):
    mean = np.mean(data, axis=0)
    stddev = np.std(data, axis=0)
    stddev[stddev <= 0.1] = 1.0
    data -= mean
    data /= np.sqrt(len(data)) * stddev
    corr = np.eye(4, dtype=data.dtype)
    for i in range(3):
        corr[i + 1 : 4, i] = data[:, i + 1 : 4].T @ data[:, i]
        corr[i, i + 1 : 4] = corr[i + 1 : 4, i]
    return corr, np.cov(np.transpose(data))


@program(arrays((5, 5)))
def shortest_paths_by_outer(path):
    path[:] = np.abs(path)
    for k in range(path.shape[0]):
        path[:] = np.minimum(path, np.add.outer(path[:, k], path[k, :]))
    return path


@program(arrays((2, 3, 4), (4, 4)))
def tensor_contraction_with_out(A, C):
    w = np.empty((3, 4), A.dtype)
    for r in range(A.shape[0]):
        np.dot(A[r], C, w)
        A[r] = w
    return np.einsum("rqp,rqs->ps", A, A)


@program(arrays((3, 4), (4, 5)))
def positional_out(A, B):
    C = np.empty((3, 5), dtype=A.dtype)
    np.matmul(A, B, C)
    np.multiply(C, 0.5, C)
    np.add(C, 1.0, C)
    np.sqrt(np.abs(C), C)
    np.maximum(C, 0.3, out=C)
    s = np.zeros(5, dtype=A.dtype)
    np.sum(C, 0, None, s)
    return C, s


@program(arrays(12))
def reshaped_by_attribute(x):
    y = x * 2.0
    y.shape = (3, 4)
    y[1] += y[0]
    z = y.T
    z[0] *= 3
    y.shape = -1
    return y


@program(lambda rng: (4, 5))
def grids_from_functions(n, m):
    A = np.fromfunction(lambda i, j: (i * j + 1.0) / n, (n, m))
    x, y = np.mgrid[0:n, 0:m] / n
    B = np.array([[(i * (j + 2) % m) / m for j in range(m)] for i in range(n)])
    return A + x * y - B


@program(lambda rng: (rng.normal(size=(4, 4)), 1e-6))
def symmetric_eigen_by_jacobi(A, tol):
    A = (A + A.T) / 2
    n = A.shape[0]
    sweeps = 0
    while np.sqrt(np.sum(np.tril(A, -1) ** 2)) > tol and sweeps < 8:
        for p in range(n - 1):
            for q in range(p + 1, n):
                if abs(A[p, q]) > 1e-12:
                    theta = (A[q, q] - A[p, p]) / (2 * A[p, q])
                    t = np.sign(theta) / (abs(theta) + np.sqrt(theta**2 + 1))
                    c = 1 / np.sqrt(t * t + 1)
                    s = t * c
                    J = np.eye(n)
                    J[p, p] = J[q, q] = c
                    J[p, q], J[q, p] = s, -s
                    A = J.T @ A @ J
        sweeps += 1
    return np.sort(np.diag(A))


@program(lambda rng: (rng.normal(size=(3, 4, 5)), rng.normal(size=(5, 4))))
def axes_in_every_form(T, M):
    a = np.tensordot(T, M, axes=([2, 1], [0, 1]))
    b = np.einsum("ijk,kj->i", T, M)
    c = np.swapaxes(T, 0, 2).reshape(5, -1).sum(axis=-1)
    d = T[..., np.newaxis, 0].mean(axis=(0, 2))
    e = np.moveaxis(T, -1, 0)[::2, ::-1].max(axis=(1, -1))
    return a + b, c, d, e
