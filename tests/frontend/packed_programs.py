"""Programs that need to know how many elements a mask picks, as people write them."""

from __future__ import annotations

import numpy as np


def two_masks(x, y):
    return np.sum(x[x > 0] * y[y > 0]) + np.dot(x[x > 0], y[y < 0])


def known_length(x, y):
    m = x > np.median(x)
    z = np.zeros(len(x))
    z[m] = y[: len(x) // 2]
    return np.sum((x[m] - np.arange(4.0)) ** 2) + z @ y


def joined(x, y):
    z = np.concatenate([x[x > 0], y[y < 0]])
    w = np.append(x[x > 0], x[x <= 0])
    return np.sum(z**3) + np.sum(w * np.arange(8)) + len(z)


def in_order(x, y):
    v = np.sort(x[x > 0])
    k = np.argsort(y[y > 0])
    return v[0] + np.sum(np.diff(v) ** 2) + np.sum(v * y[y > 0][k])


def parts(x, y):
    v = x[x > 0]
    s = np.sum(v[::2] ** 2) + np.sum((v[:-1] - v[1:]) ** 2) + np.sum(v[1:3])
    return s + np.sum(v[::-1] * y[y > 0])


def written(x, y):
    v = x[x > 0]
    w = v[1:]
    v[0] = 3.0
    w *= 2.0
    v[v > 2.5] *= y[0]
    return np.sum(v**2)


def several_writes(x, y):
    z = x.copy()
    z[x > 0] += y[y > 0]
    k = np.where(x[:-1] > 0)[0]
    z[k + 1] = y[k] ** 2
    Z = np.outer(z, y)
    Z[Z > 0] = Z[Z < 0][::-1]
    return np.sum(z**2) + np.sum(Z * np.arange(8))


def loops(x, y):
    s = 0.0
    for a, b in zip(x[x > 0], y[y > 0], strict=False):
        s = s * 0.9 + a * b
    for k, a in enumerate(x[x > 0][1:]):
        s += a * k
    for i in np.flatnonzero(x > 0):
        s += x[i] * y[i]
    return s


def inside_of_a_loop(x, y):
    s = 0.0
    for t in range(5):
        v = x[x > y[t]]
        if len(v) > 1:
            s += np.sum(v[1:] * v[:-1])
    return s


def pairs(x, y):
    v = x[x > 0]
    s = np.sum((v[:, None] - v) ** 2) + np.sum(np.outer(v, y[y < 0]) ** 3)
    return s + np.trapezoid(y[x > 0], v)


def submatrix(x, y):
    A, m = np.outer(x, y) + 5 * np.eye(8), x > 0
    B = A[m][:, m]
    s = np.linalg.solve(B, y[m]).sum() + np.linalg.slogdet(B)[1]
    return s + np.sum(np.linalg.inv(B) ** 2) + np.sum((A[m] @ A[m].T) ** 2)


def fitted(x, y):
    m = x > 0
    line = np.polyfit(x[m], y[m], 1)
    rows = np.column_stack([x[m], np.ones(np.count_nonzero(m))])
    c = np.linalg.lstsq(rows, y[m], rcond=None)[0]
    return line.sum() + c[0] ** 2 + np.corrcoef(x[m], y[m])[0, 1]


def statistics(x, y):
    v = x[x > 0] * y[y > 0]
    s = np.median(v) + v.std() + v.max() + np.ptp(v) + np.percentile(v, 20)
    return s + np.sum(np.cumsum(v) ** 2) + np.sum(np.cumprod(v)) + v.mean()


def buffers(x, y):
    v = x[x > 0]
    z = np.zeros(len(v))
    z[:] = v
    z[1:] += v[:-1]
    for i in range(len(v)):
        z[i] = z[i] ** 2 + y[i]
    return np.sum(z * np.linspace(0, 1, v.size))


def indices(x, y):
    k = np.nonzero(x > 0)[0]
    s = np.sum(x[k[1:]] - x[k[:-1]]) + np.sum(np.diff(k) * x[k][1:])
    return s + np.sum(np.delete(x, k) ** 2) + np.sum(np.compress(x > 0, y) * y[k])


def lists(x, y):
    squares = [v**2 for v in x[x > 0]]
    found = []
    for i in np.flatnonzero(y > 0):
        found.append(y[i] * i)
    return sum(squares) * np.array(found).max() + len(squares)


def complex_numbers(x, y):
    z = x + 1j * y
    return np.abs(z[x > 0] * np.conj(z[y > 0])).sum()


def nothing(x, y):
    v, w = x[x > 100], y[y > 100]
    return x[0] + np.sum(v * w) + np.sum(np.sort(v)[::2]) + len(np.append(v, w))
