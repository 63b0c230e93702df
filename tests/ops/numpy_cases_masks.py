"""What of NumPy works on elements that a traced mask picks; see `numpy_cases`."""

from __future__ import annotations

from tests.ops.numpy_cases import _DATA, constant, smooth

MASKS = {
    "A[mask, i] = …": smooth(
        "z = A.copy(); z[A[:, 0] > 0, 1] = a; return z",
        "z = A.copy(); z[1, A[1] > 0] = 5.0; return z",
        "z = A.copy(); z[A[:, 0] > 0, 1:3] = x[:2]; return z",
        "z = A.copy(); z[A[:, 0] > 0, 1] += A[A[:, 0] > 0, 2]; return z",
        "z = T.copy(); z[0, T[0] > 0] = a; return z",
        "z = T.copy(); z[0, :, T[0, 0] > 0] = x[:3]; return z",
    ),
    "A[:, mask] = …": smooth(
        "z = A.copy(); z[:, A[0] > 0] *= 2; return z",
        "z = A.copy(); z[:, A[0] > 0] = x[:3, None]; return z",
        "z = T.copy(); z[:, :, T[0, 0] > 0] *= B[:2, :3, None]; return z",
        "z = T.copy(); z[:, T[0, :, 0] > 0] += x[:4]; return z",
    ),
    "ufunc.at(A, mask)": smooth(
        "z = x.copy(); np.add.at(z, x > 0, a); return z",
        "z = x.copy(); np.multiply.at(z, x > 0, y[0]); return z",
    ),
    "A[mask].sum(axis)": smooth(
        "A[A[:, 0] > 0].sum(axis=0)",
        "np.sum(A[A[:, 0] > 0].sum(axis=1) ** 2)",
        "T[:, T[0] > 0].sum(axis=1)",
        "T[0, :, T[0, 0] > 0].sum(axis=0)",
        "A[:, A[0] > 0].max(axis=-1)",
        "np.sum(A[A[:, 0] > 0].mean(axis=1, keepdims=False))",
        "np.std(x[x > 0], ddof=1)",
        "np.average(x[x > 0], weights=np.abs(y[x > 0]))",
        "np.median(x[x > 0])",
        "np.percentile(x[x > 0], 30)",
        "sum(x[x > 0]) + max(x[x > 0])",
        refused={"np.sum(A[A[:, 0] > 0].max(axis=1, keepdims=True))": _DATA},
    ),
    "A[mask] @ B": smooth(
        "x[x > 0] @ y[x > 0]",
        "np.dot(x[x > 0], y[x > 0])",
        "A[x[:3] > 0].T @ A[x[:3] > 0]",
        "np.sum(A[x[:3] > 0] @ x[:4])",
        "np.sum(S @ S[:, x[:4] > 0])",
        "x[:3][x[:3] > 0] @ A[x[:3] > 0]",
        "np.linalg.norm(x[x > 0])",
        "np.sum(np.linalg.norm(A[A[:, 0] > 0], axis=1))",
        refused={"A[x[:3] > 0] @ A[x[:3] > 0].T": _DATA},
    ),
    "A[mask][i]": smooth(
        "x[x > 0][0]",
        "x[x > 0][-1] * x[x > 0][1]",
        "A[A[:, 0] > 0][0]",
        "np.sum(A[A[:, 0] > 0][:, 1])",
        "u = x[x > 0]; v = u[u > 0.5]; return np.sum(v * 3)",
        "u = x[x > 0]; w = u; w *= 2; return np.sum(u)",
        "np.cumsum(x[x > 0])[-1]",
        "np.sum(np.where(x[x > 0] > 1, 1.0, x[x > 0]))",
        "np.max(A[A > 0].reshape(-1)) + A[A > 0].ravel().sum()",
    ),
    "len(A[mask])": smooth(
        "np.sum(x[x > 0]) / len(x[x > 0])",
        "np.sum(x[x > 0]) / x[x > 0].shape[0] + A[A > 0].size * a",
    ),
    "np.nonzero(mask)": smooth(
        "np.sum(x[np.where(x > 0)])",
        "np.sum(A[np.nonzero(A > 0)])",
        "z = x.copy(); z[np.where(x > 0)[0]] *= 2; return z",
        "k = np.where(x[:-1] > 0)[0]; return np.sum(x[:-1][k] * x[k + 1])",
        refused={
            "z = x.copy(); z[np.where(x[:-1] > 0)[0] + 1] = 0; return z": _DATA,
        },
    ),
    "np.nonzero(mask)[0][i]": constant(
        "np.where(x > 0)[0][0]",
        "np.nonzero(x > 0)[0][-1]",
        "len(np.flatnonzero(x > 0))",
        "np.argwhere(A > 0)[1]",
        "np.argmax(x[x > 0]) + np.argmin(x[x < 0])",
    ),
}
