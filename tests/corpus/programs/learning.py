"""Losses, metrics, likelihoods and small models, as people write them from scratch."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field

import numpy as np

from tests.corpus.programs.kernels import arrays, spd
from tests.corpus.table import program

EPS = 1e-12
LABELS = np.array([0, 2, 1, 1, 0, 2])


def positive(*shapes, low=0.2, high=1.8):
    """Arguments of these shapes, of positive numbers."""
    return lambda rng: tuple(rng.uniform(low, high, size=s) for s in shapes)


# Losses -------------------------------------------------------------------------------


def to_categorical(y, num_classes=None):
    if num_classes is None:
        num_classes = int(np.max(y)) + 1
    out = np.zeros((y.shape[0], num_classes))
    out[np.arange(y.shape[0]), y] = 1
    return out


@program(positive((6, 3)))
def cross_entropy_of_clipped(p):
    p = p / p.sum(axis=1, keepdims=True)
    p = np.clip(p, EPS, 1 - EPS)
    return -np.sum(to_categorical(LABELS) * np.log(p)) / p.shape[0]


class Loss:
    """A base class whose `__call__` reduces what `forward` gives."""

    def __init__(self, reduction="mean", **options):
        self.reduction = reduction
        self.options = {"delta": 1.0, "gamma": 2.0, **options}
        self.history = []

    def __call__(self, y, f):
        loss = self.forward(y, f)
        if self.reduction == "mean":
            value = loss.mean()
        elif self.reduction == "sum":
            value = loss.sum()
        else:
            raise NotImplementedError(f"unknown reduction {self.reduction!r}")
        self.history.append(value)
        return value

    def forward(self, y, f):
        raise NotImplementedError


class Huber(Loss):
    def forward(self, y, f):
        d, r = self.options["delta"], np.abs(y - f)
        return np.where(r <= d, 0.5 * r**2, d * (r - 0.5 * d))


class Focal(Loss):
    def forward(self, y, f):
        p = 1 / (1 + np.exp(-f))
        t = (y > 0).astype(float)
        q = t * p + (1 - t) * (1 - p)
        return -((1 - q) ** self.options["gamma"]) * np.log(q + 1e-9)


class LogCosh(Loss):
    def forward(self, y, f):
        return np.logaddexp(y - f, f - y) - math.log(2)


LOSSES = {cls.__name__.lower(): cls for cls in (Huber, Focal, LogCosh)}


@program(arrays(7, 7))
def losses_by_name(y, f):
    losses = [LOSSES[name](delta=0.5) for name in ("huber", "focal", "logcosh")]
    losses.append(Huber(reduction="sum"))
    total = sum(loss(y, f) for loss in losses)
    return total + sum(v for loss in losses for v in loss.history)


@program(arrays((5, 4), (5, 4), (5, 4)))
def triplet_and_contrastive(a, p, n):
    def distance(u, v):
        return np.sqrt(np.sum((u - v) ** 2, axis=-1) + 1e-9)

    triplet = np.maximum(distance(a, p) - distance(a, n) + 0.5, 0.0)
    z = np.concatenate([a, p]) / np.linalg.norm(
        np.concatenate([a, p]), axis=1, keepdims=True
    )
    s = z @ z.T / 0.5
    m = len(a)
    np.fill_diagonal(s, -1e3)
    labels = np.concatenate([np.arange(m) + m, np.arange(m)])
    logits = s - s.max(axis=1, keepdims=True)
    contrast = np.log(np.exp(logits).sum(1)) - logits[np.arange(2 * m), labels]
    return triplet.mean() + contrast.mean()


@program(arrays(9, 9))
def hinge_quantile_and_tweedie(y, f):
    sign = np.sign(y)
    hinge = np.mean(np.maximum(0, 1 - sign * f) ** 2)
    pinball = sum(
        np.mean(np.where(y >= f, q * (y - f), (q - 1) * (y - f)))
        for q in (0.1, 0.5, 0.9)
    )
    mu, power = np.exp(f), 1.5
    deviance = 2 * np.mean(mu ** (2 - power) / (2 - power) + mu ** (1 - power) * 0.3)
    return hinge + pinball + deviance


@program(positive((4, 6), (4, 6)))
def divergences(p, q):
    p, q = (m / m.sum(axis=1, keepdims=True) for m in (p, q))
    m = 0.5 * (p + q)

    def kl(a, b):
        return np.sum(a * np.log(a / b), axis=1)

    js = 0.5 * kl(p, m) + 0.5 * kl(q, m)
    hellinger = np.sqrt(np.sum((np.sqrt(p) - np.sqrt(q)) ** 2, axis=1)) / np.sqrt(2)
    bhattacharyya = -np.log(np.sum(np.sqrt(p * q), axis=1))
    wasserstein = np.sum(np.abs(np.cumsum(p - q, axis=1)), axis=1)
    return np.stack([js, hellinger, bhattacharyya, wasserstein])


# Metrics ------------------------------------------------------------------------------


class Metrics:
    """Metrics as methods with options; each checks what it is given first."""

    def __init__(self, y_true, y_pred):
        self.y_true, self.y_pred = self.checked(y_true, y_pred)

    @staticmethod
    def checked(y, f):
        y, f = np.asarray(y), np.asarray(f)
        if y.shape != f.shape:
            raise ValueError(f"{y.shape} is not {f.shape}")
        if not np.issubdtype(f.dtype, np.floating):
            f = f.astype(float)
        if y.ndim == 1:
            y, f = y.reshape(-1, 1), f.reshape(-1, 1)
        return y, f

    @property
    def residuals(self):
        return self.y_true - self.y_pred

    def r2(self, multi="mean"):
        total = np.sum((self.y_true - self.y_true.mean(axis=0)) ** 2, axis=0)
        out = 1 - np.sum(self.residuals**2, axis=0) / total
        return out.mean() if multi == "mean" else out

    def rmse(self):
        return np.sqrt(np.mean(self.residuals**2))

    def smape(self):
        scale = np.abs(self.y_true) + np.abs(self.y_pred)
        return 2 * np.mean(np.abs(self.residuals) / scale)

    def median(self):
        return np.median(np.abs(self.residuals))

    def nash_sutcliffe_of_logs(self):
        y, f = np.log(np.abs(self.y_true) + 1), np.log(np.abs(self.y_pred) + 1)
        return 1 - np.sum((y - f) ** 2) / np.sum((y - np.mean(y)) ** 2)

    def correlation(self):
        y, f = self.y_true.ravel(), self.y_pred.ravel()
        return np.corrcoef(y, f)[0, 1]

    def all(self, *names, **options):
        out = {}
        for name in names:
            try:
                out[name] = getattr(self, name)(**options.get(name, {}))
            except AttributeError:
                warnings.warn(f"no metric {name}", stacklevel=2)
        return out


@program(arrays(9, 9))
def metrics_by_name(y, f):
    names = ["r2", "rmse", "smape", "median", "nash_sutcliffe_of_logs", "correlation"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Metrics(y, f).all(*names, "none", r2={"multi": "raw"})
    return [found[name] for name in names]


@program(arrays((5, 4), (5, 4)))
def pairwise_distances(X, Y):
    d = {
        "euclidean": lambda a, b: np.sqrt(np.sum((a - b) ** 2)),
        "manhattan": lambda a, b: np.sum(np.abs(a - b)),
        "chebyshev": lambda a, b: np.max(np.abs(a - b)),
        "minkowski": lambda a, b, p=3: np.sum(np.abs(a - b) ** p) ** (1 / p),
        "cosine": lambda a, b: 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)),
        "canberra": lambda a, b: np.sum(np.abs(a - b) / (np.abs(a) + np.abs(b))),
    }
    out = np.zeros((len(d), len(X), len(Y)))
    for k, name in enumerate(sorted(d)):
        for i, x in enumerate(X):
            for j, y in enumerate(Y):
                out[k, i, j] = d[name](x, y)
    return out


# Kernels and Gaussian processes -------------------------------------------------------


class Kernel:
    """Kernels that add and multiply."""

    def __add__(self, other):
        return Combined(self, other, np.add)

    def __mul__(self, other):
        other = other if isinstance(other, Kernel) else Constant(other)
        return Combined(self, other, np.multiply)

    __rmul__ = __mul__


class Combined(Kernel):
    def __init__(self, a, b, op):
        self.a, self.b, self.op = a, b, op

    def __call__(self, X, Y):
        return self.op(self.a(X, Y), self.b(X, Y))


@dataclass
class Constant(Kernel):
    value: float

    def __call__(self, X, Y):
        return np.full((len(X), len(Y)), self.value)


@dataclass
class RBF(Kernel):
    length: float = 1.0

    def __call__(self, X, Y):
        d2 = ((X[:, None, :] - Y[None, :, :]) / self.length) ** 2
        return np.exp(-0.5 * d2.sum(-1))


@dataclass
class Periodic(Kernel):
    length: float = 1.0
    period: float = 2.0

    def __call__(self, X, Y):
        d = np.sum(np.abs(X[:, None] - Y[None]), axis=-1)
        return np.exp(-2 * (np.sin(np.pi * d / self.period) / self.length) ** 2)


@program(lambda rng: (0.8, 1.3, rng.normal(size=(6, 2)), rng.normal(size=6)))
def gaussian_process_of_kernels(length, scale, X, y):
    kernel = scale * RBF(length) + Periodic(period=3.0) * RBF(2.0)
    K = kernel(X, X) + 1e-2 * np.eye(len(X))
    L = np.linalg.cholesky(K)
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, y))
    fit = -0.5 * y @ alpha
    return fit - np.log(np.diag(L)).sum() - 0.5 * len(X) * np.log(2 * np.pi)


@program(spd(4, (7, 4), 4))
def mahalanobis_and_student_t(S, X, mu):
    P = np.linalg.inv(S)
    d = X - mu
    m2 = np.einsum("ij,jk,ik->i", d, P, d)
    nu, k = 4.0, S.shape[0]
    _, logdet = np.linalg.slogdet(S)
    const = math.lgamma((nu + k) / 2) - math.lgamma(nu / 2) - k / 2 * math.log(nu)
    return np.sum(const - 0.5 * logdet - (nu + k) / 2 * np.log1p(m2 / nu))


# Likelihoods --------------------------------------------------------------------------


@program(positive(3, 8))
def gamma_weibull_and_negative_binomial(theta, x):
    a, b, r = theta
    gamma = sum((a - 1) * math.log(v) - v / b for v in x) - len(x) * (
        math.lgamma(a) + a * math.log(b)
    )
    weibull = np.sum(np.log(a / b) + (a - 1) * np.log(x / b) - (x / b) ** a)
    counts = np.arange(8)
    p = r / (r + b)
    nb = sum(
        math.lgamma(k + r) - math.lgamma(r) - math.lgamma(k + 1.0)
        for k in counts.tolist()
    ) + np.sum(r * np.log(p) + counts * np.log1p(-p))
    return gamma, weibull, nb


@program(lambda rng: (rng.normal(size=5), rng.normal(size=(8, 3))))
def ordinal_probit_like(theta, X):
    beta, cuts = theta[:3], np.cumsum(np.concatenate([theta[3:4], np.exp(theta[4:])]))
    y = np.array([0, 1, 2, 1, 0, 2, 2, 1])
    eta = X @ beta

    def cdf(z):
        return 0.5 * (1 + np.tanh(z * math.sqrt(2 / math.pi)))

    edges = np.concatenate([[-20.0], cuts, [20.0]])
    p = cdf(edges[y + 1] - eta) - cdf(edges[y] - eta)
    return np.sum(np.log(p + 1e-9))


@program(lambda rng: (rng.normal(size=(3, 3)), rng.normal(size=12)))
def mixture_by_em(init, x):
    """Three rounds of expectation maximisation, then the likelihood."""
    mu, s, w = init[0].copy(), np.exp(0.3 * init[1]), np.exp(init[2])
    w = w / w.sum()
    for _ in range(3):
        logp = -0.5 * ((x[:, None] - mu) / s) ** 2 - np.log(s) + np.log(w)
        logp -= logp.max(axis=1, keepdims=True)
        r = np.exp(logp)
        r /= r.sum(axis=1, keepdims=True)
        n = r.sum(axis=0) + 0.1
        mu = (r * x[:, None]).sum(axis=0) / n
        s = np.sqrt((r * (x[:, None] - mu) ** 2).sum(axis=0) / n + 0.05)
        w = n / n.sum()
    return np.sum(np.log(np.exp(-0.5 * ((x[:, None] - mu) / s) ** 2) @ (w / s)))


# Layers and training ------------------------------------------------------------------


class Dense:
    def __init__(self, n_in, n_out, rng):
        self.W = rng.normal(size=(n_in, n_out)) / np.sqrt(n_in)
        self.b = np.zeros(n_out)
        self.cache = None

    def forward(self, x):
        z = x @ self.W + self.b
        self.cache = (x, z)
        return np.tanh(z)


class Sequential:
    def __init__(self, *layers):
        self.layers = list(layers)

    def __call__(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    @property
    def penalty(self):
        return sum(np.sum(layer.cache[1] ** 2) for layer in self.layers)


NETWORK = Sequential(
    Dense(3, 5, np.random.default_rng(0)), Dense(5, 2, np.random.default_rng(1))
)


@program(arrays((4, 3)))
def layers_that_keep_their_inputs(x):
    out = NETWORK(x)
    return np.mean(out**2) + 0.1 * NETWORK.penalty


class BatchNorm:
    """Running statistics: state that a call changes and reads."""

    def __init__(self, n):
        self.mean, self.var, self.momentum, self.seen = np.zeros(n), np.ones(n), 0.9, 0

    def __call__(self, x, training=True):
        if training:
            mean, var = x.mean(axis=0), x.var(axis=0)
            self.mean = self.momentum * self.mean + (1 - self.momentum) * mean
            self.var = self.momentum * self.var + (1 - self.momentum) * var
            self.seen += len(x)
        else:
            mean, var = self.mean, self.var
        return (x - mean) / np.sqrt(var + 1e-5)


@program(arrays((5, 3)))
def running_statistics(x):
    norm = BatchNorm(x.shape[1])
    for k in range(3):
        norm(x + k)
    return norm(x, training=False), norm.seen


@dataclass
class RMSProp:
    lr: float = 0.1
    rho: float = 0.9
    state: dict = field(default_factory=dict)

    def step(self, name, value, gradient):
        cache = self.state.get(name)
        cache = gradient**2 if cache is None else cache
        self.state[name] = self.rho * cache + (1 - self.rho) * gradient**2
        return value - self.lr * gradient / (np.sqrt(self.state[name]) + 1e-3)


@program(arrays((6, 3), 3))
def trained_by_rmsprop(X, w):
    """Hyperparameters through training: the gradient of what training ends with."""
    y, optimizer, b = np.sign(X[:, 0]), RMSProp(), 0.0
    for _ in range(5):
        p = 1 / (1 + np.exp(-(X @ w + b)))
        error = p - (y + 1) / 2
        w = optimizer.step("w", w, X.T @ error / len(X) + 0.01 * w)
        b = optimizer.step("b", b, np.mean(error))
    return np.mean(np.logaddexp(0, -y * (X @ w + b)))


@program(arrays((2, 6, 6, 1), (3, 3, 1, 2)))
def convolution_layer_by_columns(X, W):
    """im2col with fancy indices, a product, and pooling by reshaping."""
    n, h, w, c = X.shape
    fr, fc = W.shape[:2]
    oh, ow = h - fr + 1, w - fc + 1
    i0, j0 = np.repeat(np.arange(fr), fc), np.tile(np.arange(fc), fr)
    i1, j1 = np.repeat(np.arange(oh), ow), np.tile(np.arange(ow), oh)
    i, j = i0.reshape(-1, 1) + i1, j0.reshape(-1, 1) + j1
    columns = X[:, i, j, :]  # n, fr * fc, oh * ow, c
    out = np.tensordot(columns, W.reshape(fr * fc, c, -1), axes=([1, 3], [0, 1]))
    out = np.maximum(out.reshape(n, oh, ow, -1), 0.1 * out.reshape(n, oh, ow, -1))
    return out.reshape(n, oh // 2, 2, ow // 2, 2, -1).mean(axis=(2, 4))


@program(arrays((7, 3)))
def decision_stumps_softly(X):
    """A tree of nested dicts, descended with soft decisions."""
    tree = {
        "at": (0, 0.1),
        "left": {"leaf": -1.0},
        "right": {"at": (2, -0.3), "left": {"leaf": 0.5}, "right": {"leaf": 2.0}},
    }

    def value(node, x):
        if "leaf" in node:
            return node["leaf"]
        column, threshold = node["at"]
        go = 1 / (1 + np.exp(-5 * (x[column] - threshold)))
        return (1 - go) * value(node["left"], x) + go * value(node["right"], x)

    return np.array([value(tree, x) for x in X])
