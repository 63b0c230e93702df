"""Array code on signals, images, graphs and sparse matrices, as people write it."""

from __future__ import annotations

import numpy as np

from tests.corpus.programs.kernels import arrays
from tests.corpus.table import program

ROW_PTR = np.array([0, 2, 3, 5, 8], dtype=np.int32)
COL_IDX = np.array([0, 2, 1, 0, 3, 1, 2, 3], dtype=np.int32)


@program(lambda rng: (rng.normal(size=8), rng.normal(size=4)))
def power_method_on_sparse_rows(values, x):
    for _ in range(3):
        y = np.zeros_like(x)
        for i in range(len(ROW_PTR) - 1):
            lo, hi = ROW_PTR[i], ROW_PTR[i + 1]
            y[i] = np.dot(values[lo:hi], x[COL_IDX[lo:hi]])
        x = y / np.linalg.norm(y)
    return x


@program(lambda rng: (rng.normal(size=8), rng.normal(size=4)))
def sparse_transpose_by_scatter(values, x):
    y = np.zeros(4, dtype=values.dtype)
    for i in range(4):
        cols = COL_IDX[ROW_PTR[i] : ROW_PTR[i + 1]]
        y[cols] += values[ROW_PTR[i] : ROW_PTR[i + 1]] * x[i]
    return y


@program(lambda rng: (rng.normal(size=(5, 6)), rng.normal(size=(3, 3))))
def filter_by_strided_windows(image, kernel):
    h, w = image.shape
    s = image.strides
    windows = np.lib.stride_tricks.as_strided(
        image, (h - 2, w - 2, 3, 3), (s[0], s[1], s[0], s[1])
    )
    smooth = np.einsum("ijkl,kl->ij", windows, kernel)
    local = np.lib.stride_tricks.sliding_window_view(smooth, (2, 2))
    return local.max(axis=(2, 3)) - local.mean(axis=(-2, -1))


@program(lambda rng: (rng.normal(size=7), rng.normal(size=7)))
def fit_and_extrapolate(t, y):
    slope, intercept = np.polyfit(t, y, 1)
    curve = np.polyfit(t, y - slope * t, 2, w=1.0 + np.arange(7) / 7)
    return slope * 2.0 + intercept + np.polyval(curve, 0.5)


@program(arrays((4, 5)))
def peaks_of_a_landscape(z):
    i, j = np.unravel_index(np.argmax(z), z.shape)
    level = np.maximum.accumulate(z, axis=1)
    soft = np.logaddexp.accumulate(z, axis=0)
    return z[i, j], level[:, -1], soft[-1], np.logaddexp.reduce(z.ravel())


@program(lambda rng: (rng.normal(size=12), 3))
def frames_with_overlap(signal, hop):
    frames = np.stack([signal[k : k + 6] for k in range(0, len(signal) - 5, hop)])
    window = np.hanning(6)
    spectrum = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    return np.log(spectrum + 1e-2).mean(axis=0)


@program(lambda rng: (rng.normal(size=9), rng.normal(size=9) * 0.3))
def median_and_clipping_filter(x, noise):
    y = x + noise
    out = y.copy()
    for i in range(1, len(y) - 1):
        out[i] = np.median(y[i - 1 : i + 2])
    spikes = np.abs(y - out) > 0.2
    y[spikes] = out[spikes]
    return y, np.count_nonzero(spikes)


EDGES = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]])


@program(lambda rng: (EDGES.copy(), rng.random(5), rng.random(4)))
def pagerank_on_edges(edges, weight, start):
    rank = start / start.sum()
    degree = np.zeros(4)
    np.add.at(degree, edges[:, 0], weight)
    for _ in range(5):
        new = np.full(4, 0.15 / 4)
        for e, (a, b) in enumerate(edges):
            new[b] += 0.85 * rank[a] * weight[e] / degree[a]
        rank = new
    return rank


@program(lambda rng: (rng.normal(size=(6, 6)),))
def blocked_product(A):
    n, b = A.shape[0], 2
    C = np.zeros((n, n), dtype=A.dtype)
    for i in range(0, n, b):
        for j in range(0, n, b):
            for k in range(0, n, b):
                left, right = A[i : i + b, k : k + b], A[k : k + b, j : j + b]
                C[i : i + b, j : j + b] += left @ right
    return C


@program(lambda rng: (rng.normal(size=(6, 6)) + 6 * np.eye(6),))
def right_looking_lu(A):
    n = A.shape[0]
    for k in range(n - 1):
        A[k + 1 :, k] /= A[k, k]
        A[k + 1 :, k + 1 :] -= np.outer(A[k + 1 :, k], A[k, k + 1 :])


@program(lambda rng: (rng.normal(size=(6, 6)), rng.normal(size=6)))
def upper_hessenberg_by_reflections(A, v):
    n = A.shape[0]
    for k in range(n - 2):
        x = A[k + 1 :, k].copy()
        x[0] += np.sign(x[0]) * np.linalg.norm(x)
        x /= np.linalg.norm(x)
        A[k + 1 :, k:] -= 2.0 * np.outer(x, x @ A[k + 1 :, k:])
        A[:, k + 1 :] -= 2.0 * np.outer(A[:, k + 1 :] @ x, x)
    return A @ v


@program(lambda rng: (rng.normal(size=10), rng.random(10)))
def thresholds_by_where(x, w):
    hot = np.where(x > 0)[0]
    total = np.sum(x[hot] * w[hot])
    first, last = hot[0], hot[-1]
    x[hot] = np.sqrt(x[hot])
    return total + x[first] - x[last] + np.mean(w[x > 0.5]), len(hot)
