"""Programs with arrays of traced length, as people write them."""

from __future__ import annotations

import numpy as np


def lu(A):
    A = A.copy()
    n = A.shape[0]
    for i in range(n):
        for j in range(i):
            A[i, j] -= A[i, :j] @ A[:j, j]
            A[i, j] /= A[j, j]
        for j in range(i, n):
            A[i, j] -= A[i, :i] @ A[:i, j]
    return A


def trisolve(L, b):
    n = len(b)
    x = np.zeros(n)
    for i in range(n):
        x[i] = (b[i] - L[i, :i] @ x[:i]) / L[i, i]
    return x


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


def symm(alpha, beta, C, A, B):
    temp2 = np.empty((C.shape[1],), dtype=C.dtype)
    C = C * beta
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            C[:i, j] += alpha * B[i, j] * A[i, :i]
            temp2[j] = B[:i, j] @ A[i, :i]
        C[i, :] += alpha * B[i, :] * A[i, i] + alpha * temp2
    return C


def syrk(alpha, beta, C, A):
    C = C.copy()
    for i in range(A.shape[0]):
        C[i, : i + 1] *= beta
        for k in range(A.shape[1]):
            C[i, : i + 1] += alpha * A[i, k] * A[: i + 1, k]
    return C


def trmm(alpha, A, B):
    B = B.copy()
    for i in range(B.shape[0]):
        for j in range(B.shape[1]):
            B[i, j] += np.dot(A[i + 1 :, i], B[i + 1 :, j])
    return B * alpha


def cov(data):
    M = data.shape[1]
    mean = np.mean(data, axis=0)
    data = data - mean
    c = np.zeros((M, M), dtype=data.dtype)
    for i in range(M):
        c[i:M, i] = c[i, i:M] = data[:, i] @ data[:, i:M] / (data.shape[0] - 1)
    return c


def gauss(A, b):
    A = A.copy()
    b = b.copy()
    n = len(b)
    for k in range(n - 1):
        m = A[k + 1 :, k] / A[k, k]
        A[k + 1 :, k:] -= np.outer(m, A[k, k:])
        b[k + 1 :] -= m * b[k]
    x = np.zeros(n)
    for k in range(n - 1, -1, -1):
        x[k] = (b[k] - np.dot(A[k, k + 1 :], x[k + 1 :])) / A[k, k]
    return x


def house(A):
    A, n = A.copy(), A.shape[1]
    for k in range(n):
        v = A[k:, k].copy()
        s = np.linalg.norm(v)
        v[0] += np.sign(v[0]) * s
        v = v / np.linalg.norm(v)
        A[k:, k:] -= 2 * np.outer(v, v @ A[k:, k:])
    return A


def moving_average(x):
    y = np.zeros_like(x)
    for i in range(len(x)):
        y[i] = x[max(0, i - 3) : i + 1].mean()
    return y


def stats(x):
    t = 0.0
    for i in range(1, len(x)):
        s = x[:i]
        t += (
            np.std(s)
            + s.max() * 0.5
            + np.median(s)
            + s.sum()
            + len(s)
            + s[-1]
            + np.sqrt(s**2 + 1).mean()
        )
    return t


def shift(x):
    x = x.copy()
    for i in range(1, len(x)):
        x[1 : i + 1] = x[:i] * 1.1
        x[:i] = x[:i][::-1] + x[i]
    return x


def gs(A):
    m, n = A.shape
    Q = np.zeros((m, n))
    R = np.zeros((n, n))
    for j in range(n):
        v = A[:, j].copy()
        R[:j, j] = Q[:, :j].T @ A[:, j]
        v -= Q[:, :j] @ R[:j, j]
        R[j, j] = np.linalg.norm(v)
        Q[:, j] = v / R[j, j]
    return Q + (R**2).sum()


def chol(A):
    n = len(A)
    L = np.zeros_like(A)
    for i in range(n):
        L[i, i] = np.sqrt(A[i, i] - np.sum(L[i, :i] ** 2))
        L[i + 1 :, i] = (A[i + 1 :, i] - L[i + 1 :, :i] @ L[i, :i]) / L[i, i]
    return L


def datak(x):
    k = int(np.argmax(x))
    return x[:k].sum() * 2 + np.mean(x[k:]) + np.concatenate([x[:k], x[k + 1 :]]).prod()


def prefix(x):
    s = 0.0
    for i in range(2, len(x)):
        for v in x[:i]:
            s = s + v * x[i]
        s = (
            s
            + np.cumsum(x[:i])[i // 2]
            + np.diff(x[i - 2 :]).sum()
            + sum(x[:i])
            + max(x[:i])
        )
    return s


def zer(x):
    t = 0.0
    for i in range(1, len(x)):
        b = np.zeros(i)
        b[:] = x[:i] ** 2
        b[0] = 3 * x[i]
        b += 1
        t = t + b @ b
    return t


def strides(x):
    t = 0.0
    for i in range(2, len(x)):
        t += (x[i::-1] * x[: i + 1]).sum() + x[:i:2].sum() * x[-i:].prod()
        t += (x[1:i][::-1] ** 2).sum() + np.sum(x[i:][1:]) * x[:i][-1]
    return t


def matrices(A):
    t = 0.0
    for k in range(1, A.shape[0]):
        B = A[:k, 1:]
        t += np.sum(B @ B.T) + np.sum((A[:k, :k] @ A[:k, k:]) ** 2)
        t += np.sum(B.sum(axis=0) ** 2) + np.sum(B.mean(axis=1) ** 2) + B.max()
        t += np.where(B > 0, B, 2 * B).sum() + np.var(B) + (B[:, None, 0] * B).sum()
    return t


def mixed(x):
    x = x.copy()
    n = len(x)
    for i in range(1, n):
        x[:i] = 2.0
        x[i:] *= np.arange(n)[i:]
        x[:i] += x[n - i :] * 0.1
        y = x[:i]
        y += 1.0
        z = np.ones_like(y)
        z[:] = y
        z[-1] = 0.0
        x[0] = z.sum()
    return x


def pieces(x):
    t = 0.0
    for i in range(1, len(x) - 1):
        rest = np.concatenate([x[:i], x[i + 1 :]])
        t += np.sum(rest[:-1] * rest[1:]) + np.append(x[:i], x[0]).sum()
    return t


def single(x):
    out = np.zeros(len(x), dtype=np.float32)
    for i in range(len(x)):
        out[: i + 1] += x[: i + 1]
    return out


def counted(x):
    k = 0
    while k < len(x) - 1 and x[k] < 1.0:
        k += 1
    head, tail = x[:k], x[k:]
    return head.sum() * tail.sum() + len(head)


ROWS = np.array([0, 2, 3, 3, 7, 9, 12])
COLUMNS = np.array([3, 5, 0, 1, 2, -1, 3, 0, 0, 5, 4, -6])


def sparse_product(v, x):
    y = np.empty(6)
    for i in range(6):
        row = slice(ROWS[i], ROWS[i + 1])
        y[i] = v[row] @ x[COLUMNS[row]]
    return y


def sparse_rows(v, X):
    Y = np.zeros((6, 2))
    for i in range(6):
        cols = COLUMNS[ROWS[i] : ROWS[i + 1]]
        Y[i] = v[ROWS[i] : ROWS[i + 1]] @ X[cols]
        Y[i] += X[cols].sum(axis=0) * X[cols, 0].sum()
    return Y


def sparse_transpose(v, x):
    y, z = np.zeros(6), np.zeros(6)
    for i in range(6):
        cols = COLUMNS[ROWS[i] : ROWS[i + 1]]
        y[cols] = v[ROWS[i] : ROWS[i + 1]] * x[i]
        np.add.at(z, cols, v[ROWS[i] : ROWS[i + 1]])
        z[cols] += x[cols]
        x[cols] *= 2
    return y, z, x


def permuted_prefixes(v, x):
    A = np.outer(v[:6], x)
    order = np.array([5, 1, 3, 0, 2, 4])
    s = 0.0
    for i in range(1, 6):
        s += A[i, order[:i]] @ x[order[:i]]
        A[order[:i], 0] = x[:i]
        A[:, order[:i]] *= A[0, order[:i]]
    return s, A


def either(x, y):
    x, y = x.copy(), y.copy()
    for i in range(1, len(x)):
        w = x if y[i] > 0 else y
        w[:i] += x[:i] * y[i]
        w[i:] = w[: len(w) - i] ** 2
        if x[0] > y[0]:
            x, y = y, x
    return x, y
