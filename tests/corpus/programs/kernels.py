"""Linear algebra kernels of scientific computing, written with loops and slices."""

from __future__ import annotations

import numpy as np

from tests.corpus.table import program


def arrays(*shapes):
    """Arguments of these shapes, of random normals."""
    return lambda rng: tuple(rng.normal(size=s) for s in shapes)


def spd(n, *shapes):
    """A positive definite matrix, and others."""

    def make(rng):
        B = rng.normal(size=(n, n))
        return (B @ B.T / n + 2 * np.eye(n), *(rng.normal(size=s) for s in shapes))

    return make


# Products -----------------------------------------------------------------------------


@program(lambda rng: (1.5, 1.2, *arrays((4, 5), (4, 3), (3, 5))(rng)))
def gemm(alpha, beta, C, A, B):
    C[:] = alpha * A @ B + beta * C


@program(lambda rng: (1.5, 1.2, *arrays((4, 5), (4, 3), (3, 5))(rng)))
def gemm_loops(alpha, beta, C, A, B):
    NI, NJ = C.shape
    NK = A.shape[1]
    for i in range(NI):
        for j in range(NJ):
            C[i, j] *= beta
        for k in range(NK):
            for j in range(NJ):
                C[i, j] += alpha * A[i, k] * B[k, j]
    return C


@program(arrays((4, 5), 5))
def atax(A, x):
    return (A @ x) @ A


@program(arrays((4, 5), 5))
def atax_loops(A, x):
    M, N = A.shape
    y = np.zeros(N, dtype=A.dtype)
    for i in range(M):
        tmp = A[i, 0] * x[0]
        for j in range(1, N):
            tmp += A[i, j] * x[j]
        for j in range(N):
            y[j] += A[i, j] * tmp
    return y


@program(arrays((4, 3), 3, 4))
def bicg(A, p, r):
    return r @ A, A @ p


@program(arrays(4, 4, 4, 4, (4, 4)))
def mvt(x1, x2, y1, y2, A):
    x1 += A @ y1
    x2 += y2 @ A


@program(lambda rng: (1.5, 1.2, *arrays((4, 4), (4, 4), 4)(rng)))
def gesummv(alpha, beta, A, B, x):
    n = len(x)
    y = np.empty_like(x)
    for i in range(n):
        tmp, total = 0.0, 0.0
        for j in range(n):
            tmp += A[i, j] * x[j]
            total += B[i, j] * x[j]
        y[i] = alpha * tmp + beta * total
    return y


@program(lambda rng: (1.5, 1.2, *arrays((4, 4), 4, 4, 4, 4, 4, 4, 4, 4)(rng)))
def gemver(alpha, beta, A, u1, v1, u2, v2, w, x, y, z):
    A += np.outer(u1, v1) + np.outer(u2, v2)
    x += beta * y @ A + z
    w += alpha * A @ x


@program(lambda rng: (1.5, 1.2, *arrays((3, 5), (3, 4), (4, 6), (6, 5))(rng)))
def k2mm(alpha, beta, D, A, B, C):
    D[:] = alpha * A @ B @ C + beta * D


@program(lambda rng: (1.5, 1.2, *arrays((4, 4), (4, 3))(rng)))
def syrk(alpha, beta, C, A):
    for i in range(A.shape[0]):
        C[i, : i + 1] *= beta
        for k in range(A.shape[1]):
            C[i, : i + 1] += alpha * A[i, k] * A[: i + 1, k]


@program(lambda rng: (1.5, 1.2, *arrays((4, 4), (4, 3), (4, 3))(rng)))
def syr2k(alpha, beta, C, A, B):
    for i in range(A.shape[0]):
        C[i, : i + 1] *= beta
        for k in range(A.shape[1]):
            C[i, : i + 1] += (
                A[: i + 1, k] * alpha * B[i, k] + B[: i + 1, k] * alpha * A[i, k]
            )


@program(lambda rng: (1.5, 1.2, *arrays((4, 5), (4, 4), (4, 5))(rng)))
def symm(alpha, beta, C, A, B):
    temp2 = np.empty((C.shape[1],), dtype=C.dtype)
    C *= beta
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            C[:i, j] += alpha * B[i, j] * A[i, :i]
            temp2[j] = B[:i, j] @ A[i, :i]
        C[i, :] += alpha * B[i, :] * A[i, i] + alpha * temp2


@program(lambda rng: (1.5, *arrays((4, 4), (4, 5))(rng)))
def trmm(alpha, A, B):
    for i in range(B.shape[0]):
        for j in range(B.shape[1]):
            B[i, j] += np.dot(A[i + 1 :, i], B[i + 1 :, j])
    B *= alpha


@program(arrays((2, 3, 4), (4, 4)))
def doitgen(A, C4):
    R, Q, P = A.shape
    for r in range(R):
        for q in range(Q):
            total = np.zeros(P, A.dtype)
            for p in range(P):
                for s in range(P):
                    total[p] += A[r, q, s] * C4[s, p]
            A[r, q, :] = total


@program(arrays((2, 3, 4), (4, 4)))
def doitgen_reshaped(A, C4):
    NR, NQ, NP = A.shape
    A[:] = np.reshape(np.reshape(A, (NR, NQ, 1, NP)) @ C4, (NR, NQ, NP))


# Factorisations and solvers -----------------------------------------------------------


@program(spd(5))
def cholesky_in_place(A):
    A[0, 0] = np.sqrt(A[0, 0])
    for i in range(1, A.shape[0]):
        for j in range(i):
            A[i, j] -= np.dot(A[i, :j], A[j, :j])
            A[i, j] /= A[j, j]
        A[i, i] -= np.dot(A[i, :i], A[i, :i])
        A[i, i] = np.sqrt(A[i, i])


@program(spd(5))
def cholesky_scalar(A):
    n = A.shape[0]
    L = np.zeros_like(A)
    for i in range(n):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            if i == j:
                L[i, i] = s**0.5
            else:
                L[i, j] = s / L[j, j]
    return L


@program(spd(5))
def lu(A):
    for i in range(A.shape[0]):
        for j in range(i):
            A[i, j] -= A[i, :j] @ A[:j, j]
            A[i, j] /= A[j, j]
        for j in range(i, A.shape[0]):
            A[i, j] -= A[i, :i] @ A[:i, j]


@program(spd(5, 5))
def ludcmp(A, b):
    n = A.shape[0]
    x = np.zeros_like(b)
    y = np.zeros_like(b)
    for i in range(n):
        for j in range(i):
            A[i, j] -= A[i, :j] @ A[:j, j]
            A[i, j] /= A[j, j]
        for j in range(i, n):
            A[i, j] -= A[i, :i] @ A[:i, j]
    for i in range(n):
        y[i] = b[i] - A[i, :i] @ y[:i]
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - A[i, i + 1 :] @ x[i + 1 :]) / A[i, i]
    return x, y


@program(spd(5, 5, 5))
def trisolv(L, x, b):
    for i in range(x.shape[0]):
        x[i] = (b[i] - L[i, :i] @ x[:i]) / L[i, i]


@program(lambda rng: (0.2 * rng.normal(size=6),))
def durbin(r):
    y = np.empty_like(r)
    alpha = -r[0]
    beta = 1.0
    y[0] = -r[0]
    for k in range(1, r.shape[0]):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + np.dot(np.flip(r[:k]), y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return y


@program(arrays((5, 4)))
def gramschmidt(A):
    Q = np.zeros_like(A)
    R = np.zeros((A.shape[1], A.shape[1]), dtype=A.dtype)
    for k in range(A.shape[1]):
        nrm = np.dot(A[:, k], A[:, k])
        R[k, k] = np.sqrt(nrm)
        Q[:, k] = A[:, k] / R[k, k]
        for j in range(k + 1, A.shape[1]):
            R[k, j] = np.dot(Q[:, k], A[:, j])
            A[:, j] -= Q[:, k] * R[k, j]
    return Q, R


@program(spd(5, 5))
def gauss_elimination_with_pivoting(A, b):
    A, b = A.copy(), b.copy()
    n = len(b)
    for k in range(n - 1):
        p = k + np.argmax(np.abs(A[k:, k]))
        if p != k:
            A[[k, p]] = A[[p, k]]
            b[k], b[p] = b[p], b[k]
        for i in range(k + 1, n):
            factor = A[i, k] / A[k, k]
            A[i, k:] -= factor * A[k, k:]
            b[i] -= factor * b[k]
    x = np.zeros(n)
    for i in range(n - 1, -1, -1):
        x[i] = (b[i] - np.sum(A[i, i + 1 :] * x[i + 1 :])) / A[i, i]
    return x


@program(lambda rng: (rng.normal(size=6), 4 + rng.normal(size=6), *arrays(6, 6)(rng)))
def thomas_tridiagonal(a, b, c, d):
    n = len(d)
    cp, dp = np.zeros(n), np.zeros(n)
    cp[0], dp[0] = c[0] / b[0], d[0] / b[0]
    for i in range(1, n):
        m = b[i] - a[i] * cp[i - 1]
        cp[i] = c[i] / m
        dp[i] = (d[i] - a[i] * dp[i - 1]) / m
    x = dp
    for i in range(n - 2, -1, -1):
        x[i] -= cp[i] * x[i + 1]
    return x


@program(spd(5, 5))
def conjugate_gradients(A, b):
    x = np.zeros_like(b)
    r = b - A @ x
    p = r.copy()
    rs = r @ r
    for _ in range(len(b)):
        Ap = A @ p
        alpha = rs / (p @ Ap)
        x += alpha * p
        r -= alpha * Ap
        new = r @ r
        if np.sqrt(new) < 1e-2:
            break
        p = r + (new / rs) * p
        rs = new
    return x


@program(spd(4, 4))
def jacobi_solver(A, b):
    d = np.diag(A)
    R = A - np.diag(d)
    x = np.zeros(len(b))
    for _ in range(8):
        x = (b - R @ x) / d
    return x


@program(spd(4, 4))
def gauss_seidel_solver(A, b):
    x = np.zeros_like(b)
    for _ in range(4):
        for i in range(len(b)):
            x[i] = (b[i] - A[i, :i] @ x[:i] - A[i, i + 1 :] @ x[i + 1 :]) / A[i, i]
    return x


@program(spd(4))
def power_iteration(A):
    v = np.ones(A.shape[0]) / 2
    for _ in range(10):
        w = A @ v
        v = w / np.linalg.norm(w)
    return v @ A @ v, v


@program(spd(4))
def qr_algorithm_by_givens(A):
    n = A.shape[0]
    for j in range(n - 1):
        for i in range(n - 1, j, -1):
            a, b = A[i - 1, j], A[i, j]
            r = np.hypot(a, b)
            c, s = a / r, b / r
            G = np.array([[c, s], [-s, c]])
            A[i - 1 : i + 1] = G @ A[i - 1 : i + 1]
    return np.triu(A)


@program(arrays((5, 3)))
def householder(A):
    R = A.copy()
    m, n = R.shape
    for k in range(n):
        x = R[k:, k]
        e = np.zeros_like(x)
        e[0] = np.sqrt(np.sum(x**2)) * (1.0 if x[0] >= 0 else -1.0)
        v = x + e
        v = v / np.sqrt(np.sum(v * v))
        R[k:, k:] -= 2.0 * np.outer(v, v @ R[k:, k:])
    return R[:n]


# Data mining --------------------------------------------------------------------------


@program(arrays((6, 4)))
def covariance(data):
    M, N = data.shape[1], float(data.shape[0])
    mean = np.mean(data, axis=0)
    data -= mean
    cov = np.zeros((M, M), dtype=data.dtype)
    for i in range(M):
        cov[i:M, i] = data[:, i] @ data[:, i:M] / (N - 1.0)
        cov[i, i:M] = cov[i:M, i]
    return cov


@program(arrays((6, 4)))
def correlation(data):
    M, n = data.shape[1], float(data.shape[0])
    mean = np.mean(data, axis=0)
    stddev = np.std(data, axis=0)
    stddev[stddev <= 0.1] = 1.0
    data -= mean
    data /= np.sqrt(n) * stddev
    corr = np.eye(M, dtype=data.dtype)
    for i in range(M - 1):
        corr[i + 1 : M, i] = corr[i, i + 1 : M] = data[:, i] @ data[:, i + 1 : M]
    return corr


@program(lambda rng: (rng.uniform(1, 9, size=(5, 5)),))
def floyd_warshall(path):
    for k in range(path.shape[0]):
        path[:] = np.minimum(path[:], np.add.outer(path[:, k], path[k, :]))


@program(lambda rng: (rng.uniform(1, 9, size=(5, 5)),))
def floyd_warshall_loops(path):
    n = len(path)
    for k in range(n):
        for i in range(n):
            for j in range(n):
                through = path[i, k] + path[k, j]
                if through < path[i, j]:
                    path[i, j] = through
    return path


@program(lambda rng: (rng.uniform(0, 1, size=6), rng.uniform(0.4, 1, size=(6, 6))))
def nussinov_weighted(seq, gain):
    n = len(seq)
    table = np.zeros((n, n))
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            table[i, j] = max(table[i, j], table[i, j - 1])
            if i + 1 < n:
                table[i, j] = max(table[i, j], table[i + 1, j])
            if i < j - 1:
                bond = gain[i, j] * seq[i] * seq[j]
                table[i, j] = max(table[i, j], table[i + 1, j - 1] + bond)
            for k in range(i + 1, j):
                table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])
    return table


@program(arrays((8, 3), (4, 3)))
def kmeans_step(points, centres):
    d = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    nearest = np.argmin(d, axis=1)
    new = np.zeros_like(centres)
    for k in range(centres.shape[0]):
        mask = nearest == k
        count = np.sum(mask)
        new[k] = np.sum(points * mask[:, None], axis=0) / (count + 1.0)
    return new, d.min(axis=1).sum()
