"""Kernels as high-performance computing writes them: buffers, counters, masks, ints."""

from __future__ import annotations

import numpy as np

from tests.corpus.programs.kernels import arrays
from tests.corpus.table import program

# Meshes and fields --------------------------------------------------------------------


@program(lambda rng: (5, 4, rng.normal(size=(7, 6, 3)), rng.normal(size=(7, 6, 3))))
def horizontal_diffusion(M, N, field, coeff):
    lap = 4.0 * field[1 : M + 1, 1 : N + 1] - (
        field[2 : M + 2, 1 : N + 1]
        + field[0:M, 1 : N + 1]
        + field[1 : M + 1, 2 : N + 2]
        + field[1 : M + 1, 0:N]
    )
    flux = lap[1:, :] - lap[:-1, :]
    inner = field[2 : M + 1, 1 : N + 1] - field[1:M, 1 : N + 1]
    flux = np.where(flux * inner > 0, 0, flux)
    out = np.zeros((M - 1, N, field.shape[2]), dtype=field.dtype)
    out[:, :, :] = field[1:M, 1 : N + 1, :] - coeff[1:M, 1 : N + 1, :] * flux
    return out


@program(lambda rng: (6, rng.normal(size=(3, 4, 6)), 1 + rng.random((3, 4, 6))))
def implicit_vertical_sweep(K, phi, w):
    ccol = np.ndarray(phi.shape, dtype=phi.dtype)
    dcol = np.ndarray(phi.shape, dtype=phi.dtype)
    for k in range(1):
        gcv = 0.25 * (w[:, :, k + 1] + w[:, :, k])
        cs = gcv * 0.5
        ccol[:, :, k] = gcv * 0.3
        bcol = 2.0 - ccol[:, :, k]
        dcol[:, :, k] = phi[:, :, k] - cs * (phi[:, :, k + 1] - phi[:, :, k])
        divided = 1.0 / bcol
        ccol[:, :, k] = ccol[:, :, k] * divided
        dcol[:, :, k] = dcol[:, :, k] * divided
    for k in range(1, K - 1):
        acol = -0.25 * w[:, :, k]
        ccol[:, :, k] = 0.25 * w[:, :, k + 1]
        bcol = 2.0 - acol - ccol[:, :, k]
        dcol[:, :, k] = phi[:, :, k] + 0.1 * phi[:, :, k - 1]
        divided = 1.0 / (bcol - ccol[:, :, k - 1] * acol)
        ccol[:, :, k] = ccol[:, :, k] * divided
        dcol[:, :, k] = (dcol[:, :, k] - (dcol[:, :, k - 1]) * acol) * divided
    for k in range(K - 1, K):
        dcol[:, :, k] = phi[:, :, k] - 0.5 * dcol[:, :, k - 1]
    data = dcol[:, :, K - 1].copy()
    out = np.empty_like(phi)
    out[:, :, K - 1] = data
    for k in range(K - 2, -1, -1):
        datacol = dcol[:, :, k] - ccol[:, :, k] * data[:, :]
        data[:] = datacol
        out[:, :, k] = 2.0 * (datacol - phi[:, :, k])
    return out


def momentum_source(b, rho, dt, u, v, dx, dy):
    b[1:-1, 1:-1] = rho * (
        1
        / dt
        * (
            (u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx)
            + (v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy)
        )
        - ((u[1:-1, 2:] - u[1:-1, 0:-2]) / (2 * dx)) ** 2
        - ((v[2:, 1:-1] - v[0:-2, 1:-1]) / (2 * dy)) ** 2
    )


def pressure_poisson(nit, p, dx, dy, b):
    pn = np.empty_like(p)
    pn = p.copy()
    for q in range(nit):
        pn = p.copy()
        p[1:-1, 1:-1] = (
            (pn[1:-1, 2:] + pn[1:-1, 0:-2]) * dy**2
            + (pn[2:, 1:-1] + pn[0:-2, 1:-1]) * dx**2
        ) / (2 * (dx**2 + dy**2)) - dx**2 * dy**2 / (2 * (dx**2 + dy**2)) * b[
            1:-1, 1:-1
        ]
        p[:, -1] = p[:, -2]
        p[0, :] = p[1, :]
        p[:, 0] = p[:, 1]
        p[-1, :] = 0


@program(
    lambda rng: (
        6,
        7,
        2,
        2,
        *(0.3 * rng.normal(size=(7, 6)) for _ in range(3)),
        0.01,
        1.0,
        0.1,
    )
)
def lid_driven_cavity(nx, ny, nt, nit, u, v, p, dt, rho, nu):
    un = np.empty_like(u)
    vn = np.empty_like(v)
    b = np.zeros((ny, nx))
    dx = 2.0 / (nx - 1)
    dy = 2.0 / (ny - 1)
    for n in range(nt):
        un = u.copy()
        vn = v.copy()
        momentum_source(b, rho, dt, u, v, dx, dy)
        pressure_poisson(nit, p, dx, dy, b)
        u[1:-1, 1:-1] = (
            un[1:-1, 1:-1]
            - un[1:-1, 1:-1] * dt / dx * (un[1:-1, 1:-1] - un[1:-1, 0:-2])
            - dt / (2 * rho * dx) * (p[1:-1, 2:] - p[1:-1, 0:-2])
            + nu * dt / dx**2 * (un[1:-1, 2:] - 2 * un[1:-1, 1:-1] + un[1:-1, 0:-2])
        )
        v[1:-1, 1:-1] = vn[1:-1, 1:-1] - dt / (2 * rho * dy) * (
            p[2:, 1:-1] - p[0:-2, 1:-1]
        )
        u[0, :] = 0
        u[:, 0] = 0
        u[-1, :] = 1
        v[:, -1] = 0


@program(lambda rng: (rng.normal(size=(5, 6)), rng.normal(size=(5, 6)), 0.01))
def periodic_channel_until_steady(u, p, dt):
    udiff = 1.0
    steps = 0
    while udiff > 0.05 and steps < 6:
        un = u.copy()
        u[1:-1, 1:-1] = un[1:-1, 1:-1] + dt * (
            un[1:-1, 2:] - 2 * un[1:-1, 1:-1] + un[1:-1, 0:-2] - p[1:-1, 1:-1]
        )
        u[1:-1, -1] = un[1:-1, -1] + dt * (un[1:-1, 0] - un[1:-1, -2])
        u[0, :] = 0
        u[-1, :] = 0
        udiff = (np.sum(np.abs(u)) - np.sum(np.abs(un))) / np.sum(np.abs(u))
        udiff = abs(udiff)
        steps += 1
    return u, steps


@program(lambda rng: (4, 8, rng.normal(size=(8, 8)), rng.normal(size=8)))
def fdtd_with_source(tmax, N, ez, src):
    hx = np.zeros((N, N))
    hy = np.zeros((N, N), dtype=np.float64)
    for t in range(tmax):
        hx[:, :-1] += 0.4 * (ez[:, 1:] - ez[:, :-1])
        hy[:-1] -= 0.4 * np.diff(ez, axis=0)
        ez[1:, 1:] += 0.3 * (hy[1:, 1:] - hy[:-1, 1:] - hx[1:, 1:] + hx[1:, :-1])
        ez[N // 2, N // 2] += src[t] * np.sin(0.5 * t)
        ez[0] = ez[-1] = 0
        ez[:, 0], ez[:, -1] = ez[:, 1], ez[:, -2]
    return ez


# Counters that bound slices -----------------------------------------------------------


@program(arrays((5, 5)))
def lu_by_dot(A):
    A = A + 5 * np.eye(5)
    for i in range(A.shape[0]):
        for j in range(i):
            A[i, j] -= A[i, :j] @ A[:j, j]
            A[i, j] /= A[j, j]
        for j in range(i, A.shape[0]):
            A[i, j] -= A[i, :i] @ A[:i, j]
    return A


@program(lambda rng: (5, rng.normal(size=(5, 5))))
def cholesky_by_dot(N, A):
    A[:] = A @ A.T + 3 * np.eye(N)
    A[0, 0] = np.sqrt(A[0, 0])
    for i in range(1, N):
        for j in range(i):
            A[i, j] -= np.dot(A[i, :j], A[j, :j])
            A[i, j] /= A[j, j]
        A[i, i] -= np.dot(A[i, :i], A[i, :i])
        A[i, i] = np.sqrt(A[i, i])


@program(arrays((5, 5), 5))
def solve_by_substitution(L, b):
    x = np.empty_like(b)
    n = L.shape[0]
    for i in range(n):
        x[i] = (b[i] - L[i, :i] @ x[:i]) / (2 + L[i, i] ** 2)
    y = np.zeros(n, dtype=x.dtype)
    for i in range(n - 1, -1, -1):
        y[i] = (x[i] - L[i + 1 :, i] @ y[i + 1 :]) / (2 + L[i, i] ** 2)
    return y


@program(arrays(6))
def levinson_durbin(r):
    y = np.empty_like(r)
    alpha = -r[0] / 4
    beta = 1.0
    y[0] = -r[0] / 4
    for k in range(1, r.shape[0]):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] / 4 + np.dot(np.flip(r[:k]) / 4, y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return y


@program(arrays((4, 6)))
def gram_schmidt_by_columns(A):
    Q = np.zeros_like(A)
    R = np.zeros((A.shape[1], A.shape[1]), dtype=A.dtype)
    for k in range(A.shape[0]):
        nrm = np.dot(A[:, k], A[:, k])
        R[k, k] = np.sqrt(nrm)
        Q[:, k] = A[:, k] / R[k, k]
        for j in range(k + 1, A.shape[1]):
            R[k, j] = np.dot(Q[:, k], A[:, j])
            A[:, j] -= Q[:, k] * R[k, j]
    return Q, R


@program(lambda rng: (6, rng.normal(size=(6, 6)), rng.normal(size=6)))
def triangular_sums(n, A, x):
    total = 0.0
    for i in range(n):
        for j in range(i, n, 2):
            total += A[i, j] * x[j - i]
        total += np.sum(A[i, : i + 1]) * np.max(x[i:])
    return total


@program(
    lambda rng: (np.float32(0.5), rng.normal(size=(4, 3)), rng.normal(size=(4, 3)))
)
def symmetric_update_by_rows(alpha, C, A):
    S = np.zeros((A.shape[0], A.shape[0]), dtype=C.dtype)
    for i in range(A.shape[0]):
        S[i, : i + 1] += alpha * (A[i] * A[: i + 1]).sum(axis=1)
        S[:i, i] = S[i, :i]
    return S @ C


# Integers beside floats ---------------------------------------------------------------


def csr(rng):
    indptr = np.array([0, 2, 3, 3, 6], dtype=np.uint32)
    indices = np.array([0, 3, 1, 0, 2, 3], dtype=np.uint32)
    return indptr, indices, rng.normal(size=6), rng.normal(size=4)


@program(csr)
def sparse_times_dense(A_row, A_col, A_val, x):
    y = np.empty(A_row.size - 1, A_val.dtype)
    for i in range(A_row.size - 1):
        cols = A_col[A_row[i] : A_row[i + 1]]
        vals = A_val[A_row[i] : A_row[i + 1]]
        y[i] = vals @ x[cols]
    return y


@program(csr)
def sparse_times_dense_by_cells(indptr, indices, data, x):
    y = np.zeros(len(indptr) - 1)
    for row in range(len(indptr) - 1):
        for k in range(indptr[row], indptr[row + 1]):
            y[row] += data[k] * x[indices[k]]
    return y


@program(lambda rng: (np.array([3, 1, 0, 2, 2, 1, 0, 3]), rng.normal(size=(4, 4))))
def best_pairing(seq, gain):
    N = seq.shape[0]
    table = np.zeros((N, N))
    for i in range(N - 1, -1, -1):
        for j in range(i + 1, N):
            table[i, j] = max(table[i, j], table[i, j - 1])
            table[i, j] = max(table[i, j], table[i + 1, j])
            if i < j - 1:
                match = gain[seq[i], seq[j]] if seq[i] + seq[j] == 3 else 0.0
                table[i, j] = max(table[i, j], table[i + 1, j - 1] + match)
            for k in range(i + 1, j):
                table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])
    return table[0, N - 1]


@program(
    lambda rng: (np.array([3, 1, 0, 2, 2, 1, 0, 3], dtype=np.int32),), single=False
)
def most_pairs(seq):
    N = len(seq)
    table = np.zeros((N, N), np.int32)
    for i in range(N - 1, -1, -1):
        for j in range(i + 1, N):
            if j - 1 >= 0:
                table[i, j] = max(table[i, j], table[i, j - 1])
            if i + 1 < N:
                table[i, j] = max(table[i, j], table[i + 1, j])
            if j - 1 >= 0 and i + 1 < N:
                if i < j - 1:
                    table[i, j] = max(
                        table[i, j],
                        table[i + 1, j - 1] + int(seq[i] + seq[j] == 3),
                    )
                else:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1])
            for k in range(i + 1, j):
                table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])
    return table


POLY = 0x8408


@program(lambda rng: (np.array([1, 200, 3, 77], dtype=np.uint8),), single=False)
def crc_of_bytes(data):
    crc = 0xFFFF
    for byte in data:
        cur_byte = 0xFF & byte
        for _ in range(0, 8):
            if (crc & 0x0001) ^ (cur_byte & 0x0001):
                crc = (crc >> 1) ^ POLY
            else:
                crc >>= 1
            cur_byte >>= 1
    crc = ~crc & 0xFFFF
    crc = (crc << 8) | ((crc >> 8) & 0xFF)
    return crc & 0xFFFF


@program(lambda rng: (rng.normal(size=7), np.arange(7) % 3))
def sums_by_label(values, labels):
    out = np.zeros(labels.max() + 1)
    np.add.at(out, labels, values)
    counts = np.bincount(labels, minlength=3)
    return out / counts, np.bincount(labels, weights=values**2)


@program(lambda rng: (rng.normal(size=(4, 4)), np.array([2, 0, 3, 1])))
def rows_permuted_in_place(A, perm):
    B = np.empty_like(A)
    for i in range(len(perm)):
        B[perm[i]] = A[i] * (perm[i] + 1)
    A[:, perm[::2]] *= B[perm[::2]].T
    return A


@program(
    lambda rng: (np.array([[0, 1, 2], [2, 1, 3], [3, 4, 0]]), rng.normal(size=(5, 2)))
)
def finite_element_assembly(triangles, nodes):
    n = nodes.shape[0]
    K = np.zeros((n, n))
    for e in range(triangles.shape[0]):
        idx = triangles[e]
        P = nodes[idx]
        D = np.array([P[1] - P[0], P[2] - P[0]])
        area = 0.5 * abs(D[0, 0] * D[1, 1] - D[0, 1] * D[1, 0])
        local = np.outer(P[:, 0], P[:, 1]) * area
        for a in range(3):
            for b in range(3):
                K[idx[a], idx[b]] += local[a, b]
    return K


# Escape times, masks ------------------------------------------------------------------


@program(lambda rng: (0.1 + 0.2 * rng.random(5), 0.2 * rng.random(4), 6), single=False)
def mandelbrot_by_masks(x, y, maxiter):
    C = x + np.reshape(y, (len(y), 1)) * 1j
    N = np.zeros(C.shape, dtype=np.int64)
    Z = np.zeros(C.shape, dtype=np.complex128)
    for n in range(maxiter):
        live = np.less(abs(Z), 2.0)
        N[live] = n
        Z[live] = Z[live] ** 2 + C[live]
    N[N == maxiter - 1] = 0
    return Z, N


@program(lambda rng: (rng.normal(size=(5, 5)),))
def diagonal_through_tanh(a):
    trace = 0.0
    for i in range(a.shape[0]):
        trace += np.tanh(a[i, i])
    return a + trace


@program(lambda rng: (rng.normal(size=(4, 5)), rng.normal(size=(4, 5)), 4.0, 3.0, 9.0))
def clipped_combination(array_1, array_2, a, b, c):
    return np.clip(array_1, -0.5, 0.8) * a + array_2 * b + c


@program(lambda rng: (5, 1e-8, *(rng.random(6) for _ in range(2)), rng.normal(size=6)))
def azimuthal_histogram(npt, tiny, radius, weight, data):
    rmax = radius.max() + 1e-3
    res = np.zeros(npt, dtype=np.float64)
    for i in range(npt):
        r1 = rmax * i / npt
        r2 = rmax * (i + 1) / npt
        mask = np.logical_and(r1 <= radius, radius < r2)
        res[i] = (data[mask] * weight[mask]).sum() + tiny
    return res


@program(lambda rng: (np.linspace(0.05, 0.95, 9), rng.normal(size=9), 4))
def histogram_with_weights(radius, data, bins):
    histu = np.histogram(radius, bins)[0]
    histw = np.histogram(radius, bins, weights=data)[0]
    return histw / histu


@program(lambda rng: (rng.random(5), rng.random(5), rng.random(5), rng.random(5)))
def great_circle(theta_1, phi_1, theta_2, phi_2):
    temp = (
        np.sin((theta_2 - theta_1) / 2) ** 2
        + np.cos(theta_1) * np.cos(theta_2) * np.sin((phi_2 - phi_1) / 2) ** 2
    )
    return 2 * np.arctan2(np.sqrt(temp), np.sqrt(1 - temp))


@program(lambda rng: (rng.normal(size=(6, 3)), 0.3))
def thresholded_in_place(x, eps):
    big = np.abs(x) > eps
    x[~big] = 0
    x[big] -= eps * np.sign(x[big])
    x[x > 1.5] = 1.5
    rows = x.sum(axis=1) > 0
    x[rows] *= 2
    x[rows, 0] += 1
    return x, np.sum(x[big]), x[big].mean()


@program(lambda rng: (rng.normal(size=(6, 2)), 1.4))
def neighbours_by_where(pos, cutoff):
    force = np.zeros_like(pos)
    count = 0
    for i in range(len(pos)):
        d = pos - pos[i]
        r2 = np.sum(d**2, axis=1)
        near = np.where((r2 < cutoff**2) & (r2 > 0))[0]
        count += len(near)
        for j in near:
            force[i] += d[j] / (r2[j] + 0.1)
    return force, count


@program(lambda rng: (rng.normal(size=8), 0.2))
def threshold_statistics(signal, level):
    above = signal[signal > level]
    if len(above) == 0:
        return 0.0
    first = np.argmax(signal > level)
    spread = np.sqrt(np.dot(above - above.mean(), above - above.mean()) / len(above))
    return spread + above[0] * above[-1] + signal[first] + np.median(above)


@program(lambda rng: (rng.normal(size=(5, 4)), rng.random(5), 0.5))
def masked_rows_and_columns(A, w, t):
    heavy = w > t
    A[heavy, 0] = 1.0
    A[heavy, 1:3] *= w[heavy][:, None]
    cols = A[0] > 0
    A[:, cols] -= A[:, cols].mean(axis=0)
    A[2, cols] = 0
    return A, A[heavy].T @ w[heavy]
