"""Recurrences: integrators, filters, recurrent networks, dynamic programming."""

from __future__ import annotations

import math

import numpy as np

from tests.corpus.programs.kernels import arrays, spd
from tests.corpus.table import program


@program(lambda rng: (np.array([1.0, 0.8]), np.array([1.1, 0.4, 0.3, 0.9])))
def lotka_volterra_rk4(y, p):
    def f(y):
        u, v = y
        return np.array([p[0] * u - p[1] * u * v, p[2] * u * v - p[3] * v])

    h = 0.05
    for _ in range(20):
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + h / 2 * k2)
        k4 = f(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


@program(lambda rng: (0.3, 0.0, 1.7))
def pendulum_symplectic(theta, omega, length):
    for _ in range(30):
        omega -= 0.05 * 9.81 / length * math.sin(theta)
        theta += 0.05 * omega
    return theta**2 + omega


@program(lambda rng: (np.array([1.0, 1.1, 0.9]), 10.0, 28.0, 2.6))
def lorenz_trajectory(state, sigma, rho, beta):
    path = np.zeros((8, 3))
    path[0] = state
    for k in range(7):
        x, y, z = path[k]
        d = np.array([sigma * (y - x), x * (rho - z) - y, x * y - beta * z])
        path[k + 1] = path[k] + 0.01 * d
    return path


@program(lambda rng: (1.3, 0.7), single=False)
def adaptive_step_integrator(y, rate):
    t, h = 0.0, 0.1
    while t < 1.0:
        if t + h > 1.0:
            h = 1.0 - t
        euler = y + h * rate * y
        heun = y + h / 2 * (rate * y + rate * euler)
        if abs(heun - euler) < 0.05:
            t += h
            y = heun
            h *= 1.3
        else:
            h *= 0.5
        if h < 1e-6:
            break
    return y


@program(lambda rng: (2.0, 0.9))
def implicit_euler_with_newton(y, k):
    for _ in range(6):
        z = y
        for _ in range(12):
            residual = z - y + 0.1 * k * z**3
            if abs(residual) < 1e-12:
                break
            z = z - residual / (1 + 0.3 * k * z**2)
        y = z
    return y


@program(arrays((5, 3), (4, 3), (4, 4), 4, 4))
def rnn(xs, Wx, Wh, b, h):
    for x in xs:
        h = np.tanh(Wx @ x + Wh @ h + b)
    return np.sum(h**2)


@program(arrays((5, 3), (12, 3), (12, 3), 12))
def lstm(xs, W, U, b):
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    n = U.shape[1]
    h, c = np.zeros(n), np.zeros(n)
    outputs = []
    for t in range(xs.shape[0]):
        z = W @ xs[t] + U @ h + b
        i, f, o = sigmoid(z[:n]), sigmoid(z[n : 2 * n]), sigmoid(z[2 * n : 3 * n])
        g = np.tanh(z[3 * n :])
        c = f * c + i * g
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs)


@program(arrays((6, 2), (3, 2), (3, 3), (3, 2), (3, 3), (3, 2), (3, 3)))
def gru(xs, Wz, Uz, Wr, Ur, Wh, Uh):
    h = np.zeros(3)
    for x in xs:
        z = 1 / (1 + np.exp(-(Wz @ x + Uz @ h)))
        r = 1 / (1 + np.exp(-(Wr @ x + Ur @ h)))
        h = (1 - z) * h + z * np.tanh(Wh @ x + Uh @ (r * h))
    return h


@program(arrays((3, 3), (3, 4), 3))
def hmm_forward(logits, emission, start):
    def softmax(z, axis=-1):
        e = np.exp(z - z.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    A, B, alpha = softmax(logits), softmax(emission), softmax(start)
    observed = [0, 2, 3, 1, 2]
    loglik = 0.0
    alpha = alpha * B[:, observed[0]]
    for o in observed[1:]:
        total = alpha.sum()
        loglik += np.log(total)
        alpha = (alpha / total) @ A * B[:, o]
    return loglik + np.log(alpha.sum())


@program(arrays((4, 4), (6, 4)))
def viterbi_score(transition, scores):
    T, K = scores.shape
    best = scores[0].copy()
    back = np.zeros((T, K), dtype=int)
    for t in range(1, T):
        candidates = best[:, None] + transition
        back[t] = np.argmax(candidates, axis=0)
        best = np.max(candidates, axis=0) + scores[t]
    path = np.zeros(T, dtype=int)
    path[-1] = np.argmax(best)
    for t in range(T - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return np.max(best), path


@program(arrays((4, 3), (6, 4)))
def crf_log_partition(pair, unary):
    pair = np.concatenate([pair, pair[:, :1]], axis=1)
    alpha = unary[0]
    for t in range(1, len(unary)):
        z = alpha[:, None] + pair + unary[t][None, :]
        m = np.max(z, axis=0)
        alpha = m + np.log(np.sum(np.exp(z - m), axis=0))
    m = alpha.max()
    return m + np.log(np.sum(np.exp(alpha - m)))


@program(arrays(5, 6))
def dynamic_time_warping(a, b):
    n, m = len(a), len(b)
    D = np.full((n + 1, m + 1), np.inf)
    D[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cost = (a[i - 1] - b[j - 1]) ** 2
            D[i, j] = cost + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])
    return D[n, m]


@program(arrays(5, 6))
def soft_dtw(a, b):
    gamma = 0.5
    R = np.full((len(a) + 1, len(b) + 1), 1e4)
    R[0, 0] = 0.0
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            r = -np.array([R[i - 1, j - 1], R[i - 1, j], R[i, j - 1]]) / gamma
            top = r.max()
            soft = -gamma * (np.log(np.exp(r - top).sum()) + top)
            R[i, j] = (a[i - 1] - b[j - 1]) ** 2 + soft
    return R[-1, -1]


@program(lambda rng: (rng.uniform(0, 2, (5, 4)), rng.uniform(0.5, 1.5, 3)))
def edit_distance_with_costs(match, costs):
    insert, delete, scale = costs
    n, m = match.shape
    previous = [j * insert for j in range(m + 1)]
    for i in range(1, n + 1):
        current = [i * delete]
        for j in range(1, m + 1):
            options = (
                previous[j] + delete,
                current[j - 1] + insert,
                previous[j - 1] + scale * match[i - 1, j - 1],
            )
            current.append(min(options))
        previous = current
    return previous[-1]


@program(arrays((5, 2)))
def kalman_filter(zs):
    F = np.array([[1.0, 0.1], [0.0, 1.0]])
    Q, R = 0.1 * np.eye(2), 0.5 * np.eye(2)
    x, P = np.zeros(2), np.eye(2)
    loglik = 0.0
    for z in zs:
        x = F @ x
        P = F @ P @ F.T + Q
        S = P + R
        det = S[0, 0] * S[1, 1] - S[0, 1] * S[1, 0]
        inv = np.array([[S[1, 1], -S[0, 1]], [-S[1, 0], S[0, 0]]]) / det
        K = P @ inv
        e = z - x
        x = x + K @ e
        P = (np.eye(2) - K) @ P
        loglik += -0.5 * (e @ inv @ e + np.log(det))
    return loglik


@program(lambda rng: (rng.normal(size=8), np.array([0.1, 0.2, 0.6])))
def garch(returns, p):
    omega, alpha, beta = p
    sigma2 = np.zeros(len(returns))
    sigma2[0] = np.var(returns)
    for t in range(1, len(returns)):
        sigma2[t] = omega + alpha * returns[t - 1] ** 2 + beta * sigma2[t - 1]
    return 0.5 * np.sum(np.log(sigma2) + returns**2 / sigma2)


@program(lambda rng: (rng.normal(size=10), np.array([0.5, -0.3]), np.array([0.4])))
def arma_residuals(y, phi, theta):
    e = np.zeros_like(y)
    p, q = len(phi), len(theta)
    for t in range(p, len(y)):
        prediction = 0.0
        for i in range(p):
            prediction += phi[i] * y[t - 1 - i]
        for j in range(q):
            if t - 1 - j >= 0:
                prediction += theta[j] * e[t - 1 - j]
        e[t] = y[t] - prediction
    return np.sum(e[p:] ** 2)


@program(lambda rng: (rng.normal(size=9), 0.3, 0.2))
def holt_smoothing(y, alpha, beta):
    level, trend, sse = y[0], y[1] - y[0], 0.0
    for value in y[1:]:
        forecast = level + trend
        sse += (value - forecast) ** 2
        last = level
        level = alpha * value + (1 - alpha) * forecast
        trend = beta * (level - last) + (1 - beta) * trend
    return sse


@program(lambda rng: (rng.normal(size=10), rng.normal(size=3), rng.normal(size=2)))
def iir_filter_direct_form(x, b, a):
    y = np.zeros_like(x)
    state = np.zeros(len(b) - 1)
    for n in range(len(x)):
        y[n] = b[0] * x[n] + state[0]
        for k in range(len(state) - 1):
            state[k] = state[k + 1] + b[k + 1] * x[n] - 0.1 * a[k] * y[n]
        state[-1] = b[-1] * x[n] - 0.1 * a[-1] * y[n]
    return y


@program(arrays(6, (6, 6)))
def replicator_dynamics(x, payoff):
    x = np.exp(x)
    x /= x.sum()
    for _ in range(10):
        fitness = payoff @ x
        x = x * (1 + 0.1 * (fitness - x @ fitness))
    return x


@program(lambda rng: (rng.uniform(0.1, 0.9, size=5), 3.6))
def coupled_logistic_maps(x, r):
    eps = 0.1
    for _ in range(6):
        f = r * x * (1 - x)
        x = (1 - eps) * f + eps / 2 * (np.roll(f, 1) + np.roll(f, -1))
    return x


@program(lambda rng: (1.4, 0.3, 0.2, 0.1))
def henon_until_escape(a, b, x, y):
    for n in range(50):
        x, y = 1 - a * x * x + y, b * x
        if x * x + y * y > 1.2:
            break
    return x + n * y


@program(lambda rng: (0.95, 0.05, 1.9, np.array([0.9, 0.1, 0.0])))
def sir_epidemic(beta, gamma, r, y):
    s, i, rec = y
    peak = 0.0
    for day in range(25):
        new = beta * s * i
        out = gamma * i
        s, i, rec = s - 0.3 * new, i + 0.3 * (new - out), rec + 0.3 * out
        peak = max(peak, i)
        if day > 15 and i < 0.2:
            return peak
    return peak + rec * r


@program(spd(3, (3, 2), (2, 3)))
def riccati_iteration(P, B, K):
    A = 0.5 * np.eye(3) + 0.1 * np.ones((3, 3))
    for _ in range(4):
        S = np.eye(2) + B.T @ P @ B
        K = np.linalg.solve(S, B.T @ P @ A)
        P = np.eye(3) + A.T @ P @ (A - B @ K)
    return P, K


@program(lambda rng: (rng.normal(size=(4, 3)), rng.normal(size=3)))
def bellman_iteration(reward, value):
    moves = np.array([[0, 1, 2], [1, 2, 0], [2, 2, 1], [0, 0, 1]])
    for _ in range(6):
        q = reward + 0.9 * value[moves]
        value = np.max(q, axis=0)
    return value


@program(lambda rng: (rng.normal(size=(5, 3)), rng.normal(size=3)))
def ring_buffer(xs, w):
    buffer = np.zeros((3, 3))
    out = np.zeros(len(xs))
    for t in range(len(xs)):
        buffer[t % 3] = xs[t]
        out[t] = np.sum(buffer @ w) * 0.5 + out[t - 1]
    return out


@program(lambda rng: (rng.normal(size=7),))
def ctrnn_with_shift_register(x):
    line = np.zeros(4)
    total = 0.0
    for v in x:
        line[1:] = line[:-1]
        line[0] = np.sin(v + line[-1])
        total += line @ np.arange(1.0, 5.0)
    return total, line


@program(arrays((6, 3), (3, 3)))
def double_buffer(grid, W):
    a, b = grid.copy(), np.zeros_like(grid)
    for _ in range(5):
        b[:] = np.tanh(a @ W)
        a, b = b, a
    return a


@program(lambda rng: (rng.normal(size=6), 0.1))
def momentum_descent(x, rate):
    v = np.zeros_like(x)
    for _ in range(12):
        g = 4 * x * (x * x - 1) + 0.2
        v *= 0.8
        v -= rate * 0.1 * g
        x += v
    return np.sum(x)


@program(lambda rng: (rng.normal(size=4), rng.normal(size=(8, 4)), rng.normal(size=8)))
def adam_training(w, X, y):
    m, v = np.zeros(4), np.zeros(4)
    for t in range(1, 6):
        g = 2 * X.T @ (X @ w - y) / len(y)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return np.mean((X @ w - y) ** 2)
