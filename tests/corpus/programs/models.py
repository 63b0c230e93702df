"""Statistics, learning, finance, geometry and signals."""

from __future__ import annotations

import math

import numpy as np

from tests.corpus.programs.kernels import arrays, spd
from tests.corpus.table import program

LOG2PI = math.log(2 * math.pi)


@program(lambda rng: (0.3, 1.2, rng.normal(size=8)))
def normal_loglik(mu, sigma, x):
    return -np.sum((x - mu) ** 2) / (2 * sigma**2) - len(x) * (
        np.log(sigma) + 0.5 * LOG2PI
    )


@program(spd(3, 3, (5, 3)))
def multivariate_normal_loglik(S, mu, X):
    L = np.linalg.cholesky(S)
    z = np.linalg.solve(L, (X - mu).T)
    return -0.5 * np.sum(z**2) - len(X) * (
        np.sum(np.log(np.diag(L))) + 0.5 * len(mu) * LOG2PI
    )


@program(lambda rng: (rng.normal(size=2), rng.normal(size=2), 0.3, rng.normal(size=9)))
def mixture_loglik(mu, logsigma, logit, x):
    w = 1 / (1 + np.exp(-logit))
    sigma = np.exp(0.3 * logsigma)
    logp = -0.5 * ((x[:, None] - mu) / sigma) ** 2 - np.log(sigma)
    logp = logp + np.log(np.array([w, 1 - w]))
    m = np.max(logp, axis=1, keepdims=True)
    return np.sum(m[:, 0] + np.log(np.sum(np.exp(logp - m), axis=1)))


@program(lambda rng: (rng.normal(size=3), rng.normal(size=(9, 3))))
def logistic_regression_loss(w, X):
    y = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])
    z = X @ w
    return np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))


@program(lambda rng: (rng.normal(size=3), rng.normal(size=(9, 3)) * 0.3))
def poisson_regression_loss(w, X):
    counts = np.array([0, 1, 3, 2, 0, 5, 1, 2, 1])
    rate = np.exp(X @ w)
    return np.sum(rate - counts * np.log(rate))


@program(lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(7, 3))))
def softmax_cross_entropy(W, X):
    labels = np.array([0, 3, 1, 2, 2, 0, 1])
    z = X @ W
    z = z - np.max(z, axis=1, keepdims=True)
    logp = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(logp[np.arange(len(labels)), labels])


@program(lambda rng: (rng.uniform(0.3, 2, size=6), rng.normal(size=6)))
def cox_partial_likelihood(times, risk):
    order = np.argsort(-times)
    r = risk[order]
    cumulative = np.cumsum(np.exp(r))
    return np.sum(r - np.log(cumulative))


@program(lambda rng: (rng.normal(size=12),))
def moments(x):
    m = x.mean()
    d = x - m
    v = np.mean(d**2)
    return m, v, np.mean(d**3) / v**1.5, np.mean(d**4) / v**2 - 3


@program(lambda rng: (rng.normal(size=10), rng.normal(size=10)))
def huber_and_quantile(y, f):
    r = y - f
    huber = np.where(np.abs(r) <= 0.8, 0.5 * r**2, 0.8 * (np.abs(r) - 0.4))
    pinball = np.maximum(0.9 * r, -0.1 * r)
    return huber.mean() + pinball.sum()


@program(lambda rng: (rng.normal(size=10),))
def welford(x):
    mean, m2 = 0.0, 0.0
    for n, value in enumerate(x, start=1):
        delta = value - mean
        mean += delta / n
        m2 += delta * (value - mean)
    return mean, m2 / (len(x) - 1)


@program(arrays(9))
def trimmed_and_median(x):
    s = np.sort(x)
    return np.mean(s[2:-2]), np.median(x), s[-1] - s[0]


@program(arrays((6, 3), (6, 3)))
def gaussian_process_loglik(X, Z):
    d = np.sum((X[:, None, :] - X[None, :, :]) ** 2, axis=-1)
    K = np.exp(-0.5 * d) + 0.3 * np.eye(len(X))
    y = np.sin(Z[:, 0])
    L = np.linalg.cholesky(K)
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, y))
    return 0.5 * y @ alpha + np.sum(np.log(np.diagonal(L)))


@program(
    lambda rng: (rng.normal(size=(4, 3)), rng.normal(size=3), *mlp_parameters(rng))
)
def mlp(X, y, W1, b1, W2, b2):
    layers = [(W1, b1), (W2, b2)]
    h = X
    for k, (W, b) in enumerate(layers):
        h = h @ W + b
        if k < len(layers) - 1:
            h = np.maximum(h, 0.1 * h)
    return np.mean((h - y) ** 2)


def mlp_parameters(rng):
    return [rng.normal(size=s) for s in ((3, 5), 5, (5, 3), 3)]


@program(lambda rng: ({"W": rng.normal(size=(3, 3)), "b": [rng.normal(size=3)]},))
def network_in_a_dict(params):
    h = np.ones(3)
    for _ in range(3):
        h = np.tanh(params["W"] @ h + params["b"][0])
    return {"out": h, "loss": np.sum(h**2)}


@program(arrays((4, 6), 6, 6))
def layer_norm(x, gain, bias):
    mean = np.mean(x, axis=-1, keepdims=True)
    var = np.var(x, axis=-1, keepdims=True)
    return gain * (x - mean) / np.sqrt(var + 1e-5) + bias


@program(arrays((4, 3), (4, 3), (4, 2)))
def attention(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[-1])
    mask = np.triu(np.ones((4, 4)), 1).astype(bool)
    scores = np.where(mask, -1e9, scores)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights @ v


@program(lambda rng: (rng.normal(size=(2, 8)), rng.normal(size=(3, 2, 3))))
def conv1d_by_windows(x, w):
    windows = np.stack([x[:, i : i + 3] for i in range(x.shape[1] - 2)])
    out = np.einsum("tck,ock->ot", windows, w)
    return np.maximum(out, 0).max(axis=1)


@program(arrays((5, 4), (3, 4)))
def embedding_lookup(table, query):
    ids = np.array([0, 2, 2, 4])
    vectors = table[ids]
    return np.tanh(vectors @ query.T).sum(axis=0)


@program(lambda rng: (np.exp(rng.normal(size=5) * 0.1), 1.02, 0.03, 0.25, 0.7))
def black_scholes(S, K, r, vol, T):
    def cdf(z):
        return 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))

    d1 = (np.log(S / K) + (r + 0.5 * vol**2) * T) / (vol * np.sqrt(T))
    d2 = d1 - vol * np.sqrt(T)
    return S * cdf(d1) - K * np.exp(-r * T) * cdf(d2)


@program(lambda rng: (1.0, 1.03, 0.02, 0.3), single=False)
def binomial_american_put(S, K, r, sigma):
    n = 8
    dt = 1.0 / n
    u = math.exp(sigma * math.sqrt(dt))
    p = (math.exp(r * dt) - 1 / u) / (u - 1 / u)
    value = np.zeros(n + 1)
    for j in range(n + 1):
        value[j] = max(K - S * u ** (n - 2 * j), 0.0)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1):
            hold = math.exp(-r * dt) * (p * value[j] + (1 - p) * value[j + 1])
            value[j] = max(hold, K - S * u ** (i - 2 * j))
    return value[0]


@program(lambda rng: (1.0, 0.05, 0.2, rng.normal(size=(6, 10))))
def monte_carlo_asian(S0, r, sigma, z):
    steps = z.shape[1]
    dt = 1.0 / steps
    drift = (r - 0.5 * sigma**2) * dt
    path = S0 * np.exp(np.cumsum(drift + sigma * np.sqrt(dt) * z, axis=1))
    payoff = np.maximum(path.mean(axis=1) - 0.95, 0)
    return np.exp(-r) * payoff.mean()


@program(lambda rng: (0.04, np.array([-0.8, 0.1, 0.1, 1.0])))
def internal_rate_of_return(rate, flows):
    for _ in range(8):
        value, slope = 0.0, 0.0
        for t, c in enumerate(flows):
            value += c / (1 + rate) ** t
            slope -= t * c / (1 + rate) ** (t + 1)
        rate = rate - value / slope
    return rate


@program(lambda rng: (rng.normal(size=4), rng.normal(size=(20, 4)) * 0.02))
def portfolio_drawdown(w, returns):
    w = np.exp(w) / np.sum(np.exp(w))
    wealth, peak, worst = 1.0, 1.0, 0.0
    for r in returns @ w:
        wealth *= 1 + r
        peak = max(peak, wealth)
        worst = max(worst, 1 - wealth / peak)
    return wealth, worst


@program(arrays((7, 2)))
def polygon_area_and_centroid(p):
    x, y = p[:, 0], p[:, 1]
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = 0.5 * np.sum(cross)
    cx = np.sum((x + np.roll(x, -1)) * cross) / (6 * area)
    cy = np.sum((y + np.roll(y, -1)) * cross) / (6 * area)
    return area, np.array([cx, cy])


@program(arrays((4, 3), 3))
def rodrigues_rotation(points, w):
    angle = np.sqrt(np.sum(w**2))
    k = w / angle
    c, s = np.cos(angle), np.sin(angle)
    crossed = np.cross(k, points)
    return points * c + crossed * s + np.outer(points @ k, k) * (1 - c)


@program(arrays(4, 4, 3))
def quaternion_product_and_rotation(p, q, v):
    def multiply(a, b):
        w1, x1, y1, z1 = a
        w2, x2, y2, z2 = b
        return np.array(
            [
                w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
                w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
                w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
                w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
            ]
        )

    r = multiply(p / np.linalg.norm(p), q / np.linalg.norm(q))
    conj = r * np.array([1.0, -1, -1, -1])
    return multiply(multiply(r, np.append(0.0, v)), conj)[1:]


@program(lambda rng: (rng.uniform(0.2, 0.6, size=4), np.array([1.0, 0.8, 0.5, 0.3])))
def forward_kinematics(angles, lengths):
    position, heading = np.zeros(2), 0.0
    for a, length in zip(angles, lengths):
        heading += a
        position += length * np.array([np.cos(heading), np.sin(heading)])
    return position


@program(arrays((5, 2), (6, 2)))
def chamfer_and_hausdorff(a, b):
    d = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    return d.min(axis=0).mean() + d.min(axis=1).mean(), max(
        d.min(0).max(), d.min(1).max()
    )


@program(lambda rng: (rng.normal(size=(4, 2)), 0.37))
def de_casteljau(control, t):
    points = control.copy()
    n = len(points)
    for level in range(1, n):
        for i in range(n - level):
            points[i] = (1 - t) * points[i] + t * points[i + 1]
    return points[0]


@program(lambda rng: (np.array([0.0, 1, 2, 3]), rng.normal(size=4), 1.3))
def lagrange_interpolation(xs, ys, x):
    total = 0.0
    for i in range(len(xs)):
        basis = 1.0
        for j in range(len(xs)):
            if i != j:
                basis *= (x - xs[j]) / (xs[i] - xs[j])
        total += ys[i] * basis
    return total


@program(lambda rng: (rng.normal(size=5), rng.uniform(0.1, 3.9, size=6)))
def piecewise_linear_by_hand(table, x):
    i = np.floor(x).astype(int)
    f = x - i
    return (1 - f) * table[i] + f * table[i + 1]


@program(arrays(8))
def discrete_fourier_power(x):
    n = len(x)
    k = np.arange(n)
    angle = 2 * np.pi * np.outer(k, k) / n
    re, im = np.cos(angle) @ x, np.sin(angle) @ x
    return re**2 + im**2


@program(arrays(8))
def haar_wavelet(x):
    y = x.copy()
    n = len(y)
    while n > 1:
        half = n // 2
        a = (y[:n:2] + y[1:n:2]) / np.sqrt(2)
        d = (y[:n:2] - y[1:n:2]) / np.sqrt(2)
        y[:half], y[half:n] = a, d
        n = half
    return y


@program(arrays(10, 3))
def convolution_and_gradient(signal, kernel):
    y = np.convolve(signal, kernel, mode="same")
    return np.gradient(y), np.diff(y, n=2), np.trapezoid(y, dx=0.1)


@program(arrays((5, 6)))
def total_variation_and_sobel(img):
    dx = img[:, 1:] - img[:, :-1]
    dy = img[1:] - img[:-1]
    tv = np.sum(np.sqrt(dx[:-1] ** 2 + dy[:, :-1] ** 2 + 1e-3))
    gx = img[:-2, 2:] + 2 * img[1:-1, 2:] + img[2:, 2:]
    gx -= img[:-2, :-2] + 2 * img[1:-1, :-2] + img[2:, :-2]
    return tv, np.abs(gx).mean()


@program(lambda rng: (rng.normal(size=(4, 4)), rng.uniform(0.2, 2.7, size=(5, 2))))
def bilinear_sampling(img, points):
    out = []
    for p in points:
        i, j = int(p[0]), int(p[1])
        a, b = p[0] - i, p[1] - j
        out.append(
            (1 - a) * (1 - b) * img[i, j]
            + a * (1 - b) * img[i + 1, j]
            + (1 - a) * b * img[i, j + 1]
            + a * b * img[i + 1, j + 1]
        )
    return np.array(out)


@program(lambda rng: (rng.normal(size=6), rng.uniform(0, 1, size=6)))
def histogram_by_kernels(x, weights):
    centres = np.linspace(-2, 2, 5)
    soft = np.exp(-((x[:, None] - centres) ** 2) / 0.5)
    counts = weights @ (soft / soft.sum(axis=1, keepdims=True))
    return -np.sum(counts * np.log(counts + 1e-6))
