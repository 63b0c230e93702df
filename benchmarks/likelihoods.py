"""Likelihoods of sequences, computed by recursion: HMM, CRF, Kalman filter."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.workload import SAME, Workload, fast

# --- a hidden Markov model, forward in log space


def hmm(log_start, log_A, log_B, seen):
    alpha = log_start + log_B[:, seen[0]]
    for t in range(1, len(seen)):
        paths = alpha[:, None] + log_A
        top = paths.max(axis=0)
        alpha = top + np.log(np.sum(np.exp(paths - top), axis=0)) + log_B[:, seen[t]]
    top = alpha.max()
    return top + np.log(np.sum(np.exp(alpha - top)))


def hmm_jax(log_start, log_A, log_B, seen):
    from jax import lax

    def log_sum_exp(x):
        top = np.max(x, axis=0)
        return top + np.log(np.sum(np.exp(x - top), axis=0))

    def step(alpha, now):
        return log_sum_exp(alpha[:, None] + log_A) + log_B[:, now], None

    alpha = log_start + log_B[:, seen[0]]
    return log_sum_exp(lax.scan(step, alpha, seen[1:])[0])


@fast
def step_weights(alpha, AT, weights, out):
    """Leave in row j of `weights` what each way into j has of its sum, and the log
    of the sum in `out`."""
    k = alpha.size
    for j in range(k):
        row, into = weights[j], AT[j]
        top = -np.inf
        for i in range(k):
            row[i] = alpha[i] + into[i]
            top = max(top, row[i])
        total = 0.0
        for i in range(k):
            row[i] = math.exp(row[i] - top)
            total += row[i]
        scale = 1.0 / total
        for i in range(k):
            row[i] *= scale
        out[j] = top + math.log(total)


@fast
def log_sum_exp(x, shares):
    """The log of the sum of exponentials; leaves in `shares` each one's of the sum."""
    top = x.max()
    total = 0.0
    for i in range(x.size):
        shares[i] = math.exp(x[i] - top)
        total += shares[i]
    for i in range(x.size):
        shares[i] /= total
    return top + math.log(total)


@fast
def hmm_primal(log_start, log_A, log_B, seen):
    k = log_start.size
    AT = log_A.T.copy()
    alpha, new, row = log_start + log_B[:, seen[0]], np.empty(k), np.empty(k)
    for t in range(1, seen.size):
        for j in range(k):
            for i in range(k):
                row[i] = alpha[i] + AT[j, i]
            top = row.max()
            total = 0.0
            for i in range(k):
                total += math.exp(row[i] - top)
            new[j] = top + math.log(total) + log_B[j, seen[t]]
        alpha, new = new, alpha
    return log_sum_exp(alpha, row)


@fast
def step_back(weights, bar, AT_bar, new_bar):
    """From the cotangents of the sums to those of what they were made of."""
    new_bar[:] = 0.0
    for j in range(bar.size):
        row, into, b = weights[j], AT_bar[j], bar[j]
        for i in range(new_bar.size):
            v = b * row[i]
            into[i] += v
            new_bar[i] += v


@fast
def hmm_hand(log_start, log_A, log_B, seen):
    # The tape: the weights. Exponentials cost far more than their storage.
    k, n = log_start.size, seen.size
    AT = log_A.T.copy()
    tape = np.empty((n - 1, k, k))
    alpha, new = log_start + log_B[:, seen[0]], np.empty(k)
    for t in range(1, n):
        step_weights(alpha, AT, tape[t - 1], new)
        for j in range(k):
            new[j] += log_B[j, seen[t]]
        alpha, new = new, alpha
    bar = np.empty(k)
    value = log_sum_exp(alpha, bar)
    AT_bar, B_bar = np.zeros((k, k)), np.zeros_like(log_B)
    new_bar = alpha
    for t in range(n - 1, 0, -1):
        for j in range(k):
            B_bar[j, seen[t]] += bar[j]
        step_back(tape[t - 1], bar, AT_bar, new_bar)
        bar, new_bar = new_bar, bar
    for j in range(k):
        B_bar[j, seen[0]] += bar[j]
    return value, bar, AT_bar.T.copy(), B_bar


def make_hmm(n):
    rng = np.random.default_rng(0)
    states, symbols = 12, 20

    def log_rows(*shape):
        return np.log(rng.dirichlet(np.ones(shape[-1]), shape[:-1]))

    start, A, B = log_rows(states), log_rows(states, states), log_rows(states, symbols)
    return start, A, B, rng.integers(symbols, size=n)


# --- a linear chain of labels: what the right ones have of all, in scalar loops


def crf(scores, trans, labels):
    n, k = scores.shape
    alpha = scores[0].copy()
    new = np.zeros(k)
    gold = scores[0, labels[0]]
    for t in range(1, n):
        for j in range(k):
            top = alpha[0] + trans[0, j]
            for i in range(1, k):
                top = max(top, alpha[i] + trans[i, j])
            total = 0.0
            for i in range(k):
                total += np.exp(alpha[i] + trans[i, j] - top)
            new[j] = scores[t, j] + top + np.log(total)
        alpha[:] = new
        gold += trans[labels[t - 1], labels[t]] + scores[t, labels[t]]
    top = np.max(alpha)
    return top + np.log(np.sum(np.exp(alpha - top))) - gold


def crf_jax(scores, trans, labels):
    from jax import lax

    def log_sum_exp(x):
        top = np.max(x, axis=0)
        return top + np.log(np.sum(np.exp(x - top), axis=0))

    def step(alpha, now):
        return now + log_sum_exp(alpha[:, None] + trans), None

    gold = np.sum(scores[np.arange(labels.shape[0]), labels])
    gold += np.sum(trans[labels[:-1], labels[1:]])
    return log_sum_exp(lax.scan(step, scores[0], scores[1:])[0]) - gold


@fast
def crf_primal(scores, trans, labels):
    n, k = scores.shape
    trans_T = trans.T.copy()
    alpha, new, row = scores[0].copy(), np.empty(k), np.empty(k)
    gold = scores[0, labels[0]]
    for t in range(1, n):
        for j in range(k):
            for i in range(k):
                row[i] = alpha[i] + trans_T[j, i]
            top = row.max()
            total = 0.0
            for i in range(k):
                total += math.exp(row[i] - top)
            new[j] = scores[t, j] + top + math.log(total)
        alpha, new = new, alpha
        gold += trans[labels[t - 1], labels[t]] + scores[t, labels[t]]
    return log_sum_exp(alpha, row) - gold


@fast
def crf_hand(scores, trans, labels):
    n, k = scores.shape
    trans_T = trans.T.copy()
    tape = np.empty((n - 1, k, k))
    alpha, new = scores[0].copy(), np.empty(k)
    gold = scores[0, labels[0]]
    for t in range(1, n):
        step_weights(alpha, trans_T, tape[t - 1], new)
        for j in range(k):
            new[j] += scores[t, j]
        alpha, new = new, alpha
        gold += trans[labels[t - 1], labels[t]] + scores[t, labels[t]]
    scores_bar, trans_T_bar = np.empty((n, k)), np.zeros((k, k))
    value = log_sum_exp(alpha, scores_bar[n - 1]) - gold
    for t in range(n - 1, 0, -1):
        step_back(tape[t - 1], scores_bar[t], trans_T_bar, scores_bar[t - 1])
    for t in range(n):
        scores_bar[t, labels[t]] -= 1.0
        if t > 0:
            trans_T_bar[labels[t], labels[t - 1]] -= 1.0
    return value, scores_bar, trans_T_bar.T.copy()


def make_crf(n):
    rng = np.random.default_rng(0)
    k = 9
    return rng.normal(size=(n, k)), rng.normal(size=(k, k)), rng.integers(k, size=n)


# --- a Kalman filter: the likelihood of what was measured


def kalman(F, Q, H, R, zs):
    n = F.shape[0]
    x = np.zeros(n)
    P = np.eye(n)
    loss = 0.0
    for z in zs:
        x = F @ x
        P = F @ P @ F.T + Q
        y = z - H @ x
        S = H @ P @ H.T + R
        K = P @ H.T @ np.linalg.inv(S)
        x = x + K @ y
        P = (np.eye(n) - K @ H) @ P
        loss += 0.5 * (y @ np.linalg.solve(S, y) + np.log(np.linalg.det(S)))
    return loss


def kalman_jax(F, Q, H, R, zs):
    from jax import lax

    n = F.shape[0]

    def step(state, z):
        x, P = state
        x = F @ x
        P = F @ P @ F.T + Q
        y = z - H @ x
        S = H @ P @ H.T + R
        inverse = np.linalg.inv(S)
        K = P @ H.T @ inverse
        loss = 0.5 * (y @ inverse @ y + np.log(np.linalg.det(S)))
        return (x + K @ y, P - K @ (H @ P)), loss

    return np.sum(lax.scan(step, (np.zeros(n), np.eye(n)), zs)[1])


N, M = 4, 2  # states and measurements: constants, so that loops over them unroll


@fast
def kalman_predict(F, Q, x, P, x_new, P_new, FP):
    for i in range(N):
        s = 0.0  # sums are locals: Numba must store what it adds up in an array
        for k in range(N):
            s += F[i, k] * x[k]
        x_new[i] = s
        for j in range(N):
            s = 0.0
            for k in range(N):
                s += F[i, k] * P[k, j]
            FP[i, j] = s
    for i in range(N):
        for j in range(N):
            s = Q[i, j]
            for k in range(N):
                s += FP[i, k] * F[j, k]
            P_new[i, j] = s


@fast
def kalman_gain(H, R, z, x, P, y, T, G, K, PH):
    """Leave the innovation in y, the inverse of its covariance S in T, H P in G, the
    gain in K and P H' in PH; return the determinant of S."""
    for a in range(M):
        s = z[a]
        for k in range(N):
            s -= H[a, k] * x[k]
        y[a] = s
        for j in range(N):
            p = q = 0.0
            for k in range(N):
                p += H[a, k] * P[k, j]
                q += P[j, k] * H[a, k]
            G[a, j], PH[j, a] = p, q
    for a in range(M):
        for b in range(M):
            s = R[a, b]
            for k in range(N):
                s += G[a, k] * H[b, k]
            T[a, b] = s
    det = T[0, 0] * T[1, 1] - T[0, 1] * T[1, 0]
    T[0, 0], T[1, 1] = T[1, 1] / det, T[0, 0] / det
    T[0, 1], T[1, 0] = -T[0, 1] / det, -T[1, 0] / det
    for i in range(N):
        for a in range(M):
            s = 0.0
            for b in range(M):
                s += PH[i, b] * T[b, a]
            K[i, a] = s
    return det


@fast
def kalman_update(x, P, y, T, G, K, x_new, P_new):
    """The next state; returns y' T y."""
    for i in range(N):
        s = x[i]
        for a in range(M):
            s += K[i, a] * y[a]
        x_new[i] = s
        for j in range(N):
            s = P[i, j]
            for a in range(M):
                s -= K[i, a] * G[a, j]
            P_new[i, j] = s
    square = 0.0
    for a in range(M):
        for b in range(M):
            square += y[a] * T[a, b] * y[b]
    return square


@fast
def kalman_primal(F, Q, H, R, zs):
    x, P, x1, P1 = np.zeros(N), np.eye(N), np.empty(N), np.empty((N, N))
    y, T, G, K = np.empty(M), np.empty((M, M)), np.empty((M, N)), np.empty((N, M))
    PH, FP = np.empty((N, M)), np.empty((N, N))
    value = 0.0
    for t in range(zs.shape[0]):
        kalman_predict(F, Q, x, P, x1, P1, FP)
        det = kalman_gain(H, R, zs[t], x1, P1, y, T, G, K, PH)
        value += 0.5 * (math.log(det) + kalman_update(x1, P1, y, T, G, K, x, P))
    return value


@fast
def kalman_update_back(x_bar, P_bar, y, T, G, K, y_bar, S_bar, G_bar, PH_bar):
    """x' = x + K y, P' = P - K G with T = inv(S) and K = P H' T, and what is added to
    the value, 1/2 (y' T y + log det S)."""
    for a in range(M):
        s = 0.0
        for b in range(M):
            s += 0.5 * (T[a, b] + T[b, a]) * y[b]
        for i in range(N):
            s += K[i, a] * x_bar[i]
        y_bar[a] = s
        for j in range(N):
            s = 0.0
            for i in range(N):
                s -= K[i, a] * P_bar[i, j]
            G_bar[a, j] = s
    for i in range(N):
        for a in range(M):
            s = x_bar[i] * y[a]
            for j in range(N):
                s -= P_bar[i, j] * G[a, j]
            S_bar[a, 0] = s  # of K, for the moment
        for b in range(M):
            s = 0.0
            for a in range(M):
                s += S_bar[a, 0] * T[b, a]
            PH_bar[i, b] = s
    for a in range(M):
        for b in range(M):
            p = q = 0.0
            for c in range(M):
                p += T[c, a] * y[c]
                q += T[b, c] * y[c]
            s = 0.5 * (T[b, a] - p * q)  # dT = -T dS T
            for i in range(N):
                s -= K[i, a] * PH_bar[i, b]
            S_bar[a, b] = s


@fast
def kalman_gain_back(
    H, x, P, G, y_bar, S_bar, G_bar, PH_bar, x_bar, P_bar, H_bar, R_bar
):
    """S = G H' + R, G = H P, PH = P H', y = z - H x."""
    for a in range(M):
        for b in range(M):
            R_bar[a, b] += S_bar[a, b]
    for a in range(M):
        for j in range(N):
            p, q = G_bar[a, j], H_bar[a, j]
            for b in range(M):
                p += S_bar[a, b] * H[b, j]
                q += S_bar[b, a] * G[b, j]
            G_bar[a, j], H_bar[a, j] = p, q
    for a in range(M):
        for k in range(N):
            s = H_bar[a, k] - y_bar[a] * x[k]
            for j in range(N):
                s += G_bar[a, j] * P[k, j] + PH_bar[j, a] * P[j, k]
            H_bar[a, k] = s
    for k in range(N):
        s = x_bar[k]
        for a in range(M):
            s -= H[a, k] * y_bar[a]
        x_bar[k] = s
        for j in range(N):
            s = P_bar[k, j]
            for a in range(M):
                s += H[a, k] * G_bar[a, j] + PH_bar[k, a] * H[a, j]
            P_bar[k, j] = s


@fast
def kalman_predict_back(F, x, P, x_bar, P_bar, FP, V, F_bar, Q_bar):
    """x' = F x, P' = F P F' + Q; leaves the cotangents of x and P in their places."""
    for i in range(N):
        for j in range(N):
            Q_bar[i, j] += P_bar[i, j]
            p = q = 0.0
            for k in range(N):
                p += F[i, k] * P[k, j]
                q += P_bar[i, k] * F[k, j]
            FP[i, j], V[i, j] = p, q
    for i in range(N):
        for j in range(N):
            s = F_bar[i, j] + x_bar[i] * x[j]
            for k in range(N):
                s += P_bar[k, i] * FP[k, j] + V[i, k] * P[j, k]
            F_bar[i, j] = s
    for i in range(N):
        for j in range(N):
            s = 0.0
            for k in range(N):
                s += F[k, i] * V[k, j]
            P_bar[i, j] = s
    for j in range(N):
        s = 0.0
        for k in range(N):
            s += F[k, j] * x_bar[k]
        FP[0, j] = s
    for j in range(N):
        x_bar[j] = FP[0, j]


@fast
def kalman_hand(F, Q, H, R, zs):
    # The tape: states before and after each prediction; the rest is computed again.
    steps = zs.shape[0]
    xs, Ps = np.zeros((steps + 1, N)), np.empty((steps + 1, N, N))
    x1s, P1s = np.empty((steps, N)), np.empty((steps, N, N))
    Ps[0] = np.eye(N)
    y, T, G, K = np.empty(M), np.empty((M, M)), np.empty((M, N)), np.empty((N, M))
    PH, FP, V = np.empty((N, M)), np.empty((N, N)), np.empty((N, N))
    value = 0.0
    for t in range(steps):
        kalman_predict(F, Q, xs[t], Ps[t], x1s[t], P1s[t], FP)
        det = kalman_gain(H, R, zs[t], x1s[t], P1s[t], y, T, G, K, PH)
        square = kalman_update(x1s[t], P1s[t], y, T, G, K, xs[t + 1], Ps[t + 1])
        value += 0.5 * (math.log(det) + square)
    F_bar, Q_bar = np.zeros((N, N)), np.zeros((N, N))
    H_bar, R_bar = np.zeros((M, N)), np.zeros((M, M))
    x_bar, P_bar, y_bar = np.zeros(N), np.zeros((N, N)), np.empty(M)
    S_bar, G_bar, PH_bar = np.empty((M, M)), np.empty((M, N)), np.empty((N, M))
    for t in range(steps - 1, -1, -1):
        x, P = x1s[t], P1s[t]
        kalman_gain(H, R, zs[t], x, P, y, T, G, K, PH)
        kalman_update_back(x_bar, P_bar, y, T, G, K, y_bar, S_bar, G_bar, PH_bar)
        kalman_gain_back(
            H, x, P, G, y_bar, S_bar, G_bar, PH_bar, x_bar, P_bar, H_bar, R_bar
        )
        kalman_predict_back(F, xs[t], Ps[t], x_bar, P_bar, FP, V, F_bar, Q_bar)
    return value, F_bar, Q_bar, H_bar, R_bar


def make_kalman(steps):
    rng = np.random.default_rng(0)
    F = np.eye(N) + 0.1 * np.eye(N, k=2)  # two places and their speeds
    H = np.eye(M, N)
    zs = np.cumsum(rng.normal(size=(steps, M)), axis=0)
    return F, 0.1 * np.eye(N), H, 0.5 * np.eye(M), zs


WORKLOADS = (
    Workload(
        "hmm",
        hmm,
        make_hmm,
        (200,),
        hmm_primal,
        hmm_hand,
        argnums=(0, 1, 2),
        jax=hmm_jax,
        autograd=SAME,
    ),
    Workload(
        "crf",
        crf,
        make_crf,
        (200,),
        crf_primal,
        crf_hand,
        argnums=(0, 1),
        jax=crf_jax,
    ),
    Workload(
        "kalman",
        kalman,
        make_kalman,
        (200,),
        kalman_primal,
        kalman_hand,
        argnums=(0, 1, 2, 3),
        jax=kalman_jax,
        autograd=SAME,
    ),
)
