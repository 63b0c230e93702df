"""Layers of networks: convolutions by slices, normalisation of rows, attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks import polynomials
from benchmarks.workload import SAME, Function, Workload, fast

# --- a convolution along a line


def conv_1d(w, x, y):
    n = y.size
    out = np.zeros(n)
    for k in range(w.size):
        out += w[k] * x[k : k + n]
    return np.mean((out - y) ** 2)


@fast
def conv_1d_errors(w, x, y, e):
    value = 0.0
    for i in range(y.size):
        d = -y[i]
        for k in range(WIDTH):
            d += w[k] * x[i + k]
        e[i] = d
        value += d * d
    return value / y.size


@fast
def conv_1d_primal(w, x, y):
    value = 0.0
    for i in range(y.size):
        d = -y[i]
        for k in range(WIDTH):
            d += w[k] * x[i + k]
        value += d * d
    return value / y.size


@fast
def conv_1d_hand(w, x, y):
    # Errors with room on both sides: the gradient by x is gathered from them.
    n, scale = y.size, 2.0 / y.size
    e = np.zeros(n + 2 * WIDTH - 2)
    inner = e[WIDTH - 1 : n + WIDTH - 1]
    value = conv_1d_errors(w, x, y, inner)
    w_bar, x_bar = np.empty(WIDTH), np.empty_like(x)
    for k in range(WIDTH):
        total = 0.0
        for i in range(n):
            total += inner[i] * x[i + k]
        w_bar[k] = scale * total
    for j in range(x.size):
        total = 0.0
        for k in range(WIDTH):
            total += w[k] * e[j + WIDTH - 1 - k]
        x_bar[j] = scale * total
    return value, w_bar, x_bar


WIDTH = 9


def make_conv_1d(n):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=n + WIDTH - 1), rng.normal(size=n)
    return rng.normal(size=WIDTH), x, y


# --- a convolution of an image, rectified


def conv_2d(w, image, y):
    rows, columns = y.shape
    out = np.zeros((rows, columns))
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            out += w[i, j] * image[i : i + rows, j : j + columns]
    return np.sum((np.maximum(out, 0.0) - y) ** 2)


@fast
def conv_2d_row(w, above, here, below, y, e):
    """Leave a row's cotangents in e; return its share of the value."""
    value = 0.0
    for j in range(y.size):
        out = w[0, 0] * above[j] + w[0, 1] * above[j + 1] + w[0, 2] * above[j + 2]
        out += w[1, 0] * here[j] + w[1, 1] * here[j + 1] + w[1, 2] * here[j + 2]
        out += w[2, 0] * below[j] + w[2, 1] * below[j + 1] + w[2, 2] * below[j + 2]
        d = max(out, 0.0) - y[j]
        value += d * d
        e[j] = 2.0 * d if out > 0.0 else 0.0
    return value


@fast
def conv_2d_primal(w, image, y):
    value = 0.0
    e = np.empty(y.shape[1])
    for i in range(y.shape[0]):
        value += conv_2d_row(w, image[i], image[i + 1], image[i + 2], y[i], e)
    return value


@fast
def conv_2d_hand(w, image, y):
    rows, columns = y.shape
    e = np.zeros((rows + 4, columns + 4))  # two cells of room on each side
    w_bar, image_bar = np.zeros((3, 3)), np.empty_like(image)
    value = 0.0
    for i in range(rows):
        own = e[i + 2, 2:-2]
        value += conv_2d_row(w, image[i], image[i + 1], image[i + 2], y[i], own)
        for k in range(3):
            row = image[i + k]
            a, b, c = 0.0, 0.0, 0.0
            for j in range(columns):
                a += own[j] * row[j]
                b += own[j] * row[j + 1]
                c += own[j] * row[j + 2]
            w_bar[k, 0] += a
            w_bar[k, 1] += b
            w_bar[k, 2] += c
    for i in range(rows + 2):
        low, mid, top, out = e[i], e[i + 1], e[i + 2], image_bar[i]
        for j in range(columns + 2):
            total = w[0, 0] * top[j + 2] + w[0, 1] * top[j + 1] + w[0, 2] * top[j]
            total += w[1, 0] * mid[j + 2] + w[1, 1] * mid[j + 1] + w[1, 2] * mid[j]
            total += w[2, 0] * low[j + 2] + w[2, 1] * low[j + 1] + w[2, 2] * low[j]
            out[j] = total
    return value, w_bar, image_bar


def make_conv_2d(n):
    rng = np.random.default_rng(0)
    image, y = rng.normal(size=(n + 2, n + 2)), rng.normal(size=(n, n))
    return rng.normal(size=(3, 3)), image, y


# --- rows normalised to mean 0 and variance 1


def layer_norm(gamma, beta, x, y):
    mean = np.mean(x, axis=1, keepdims=True)
    var = np.var(x, axis=1, keepdims=True)
    out = (x - mean) / np.sqrt(var + 1e-5) * gamma + beta
    return np.mean((out - y) ** 2)


@fast
def normalised(row, out):
    """Leave (row - mean) / deviation in out; return 1 / deviation."""
    n = row.size
    mean, var = 0.0, 0.0
    for j in range(n):
        mean += row[j]
    mean /= n
    for j in range(n):
        d = row[j] - mean
        var += d * d
    scale = 1.0 / math.sqrt(var / n + 1e-5)
    for j in range(n):
        out[j] = (row[j] - mean) * scale
    return scale


@fast
def layer_norm_primal(gamma, beta, x, y):
    h = np.empty(gamma.size)
    value = 0.0
    for i in range(x.shape[0]):
        normalised(x[i], h)
        for j in range(h.size):
            e = h[j] * gamma[j] + beta[j] - y[i, j]
            value += e * e
    return value / x.size


@fast
def layer_norm_hand(gamma, beta, x, y):
    n = gamma.size
    h, h_bar, outer = np.empty(n), np.empty(n), 2.0 / x.size
    gamma_bar, beta_bar, x_bar = np.zeros(n), np.zeros(n), np.empty_like(x)
    value = 0.0
    for i in range(x.shape[0]):
        scale = normalised(x[i], h)
        target, out = y[i], x_bar[i]
        mean, along = 0.0, 0.0
        for j in range(n):
            e = h[j] * gamma[j] + beta[j] - target[j]
            value += e * e
            e *= outer
            beta_bar[j] += e
            gamma_bar[j] += e * h[j]
            h_bar[j] = e * gamma[j]
            mean += h_bar[j]
            along += h_bar[j] * h[j]
        mean /= n
        along /= n
        for j in range(n):
            out[j] = scale * (h_bar[j] - mean - h[j] * along)
    return value / x.size, gamma_bar, beta_bar, x_bar


def make_layer_norm(n):
    rng = np.random.default_rng(0)
    shape = n, 128
    gamma, beta = 1.0 + 0.1 * rng.normal(size=128), 0.1 * rng.normal(size=128)
    return gamma, beta, rng.normal(size=shape), rng.normal(size=shape)


# --- attention, one head


def attention(q, k, v, y):
    z = q @ k.T / np.sqrt(q.shape[1])
    p = np.exp(z - np.max(z, axis=1, keepdims=True))
    p = p / np.sum(p, axis=1, keepdims=True)
    return np.mean((p @ v - y) ** 2)


def attention_weights_by(m: Any) -> Function:
    @fast
    def weights(q, k):
        p = np.dot(q, k.T)
        scale = 1.0 / math.sqrt(q.shape[1])
        for i in range(p.shape[0]):
            row = p[i]
            top = -np.inf
            for j in range(row.size):
                top = max(top, row[j])
            total = 0.0
            for j in range(row.size):
                row[j] = m.exp((row[j] - top) * scale)
                total += row[j]
            inverse = 1.0 / total
            for j in range(row.size):
                row[j] *= inverse
        return p

    return weights


def attention_primal_by(m: Any) -> Function:
    weights = attention_weights_by(m)

    @fast
    def primal(q, k, v, y):
        out = np.dot(weights(q, k), v)
        value = 0.0
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                value += (out[i, j] - y[i, j]) ** 2
        return value / y.size

    return primal


def attention_by(m: Any) -> Function:
    weights = attention_weights_by(m)

    @fast
    def hand(q, k, v, y):
        p = weights(q, k)
        out = np.dot(p, v)
        outer, scale = 2.0 / y.size, 1.0 / math.sqrt(q.shape[1])
        value = 0.0
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                e = out[i, j] - y[i, j]
                value += e * e
                out[i, j] = outer * e
        v_bar = np.dot(p.T, out)
        z_bar = np.dot(out, v.T)
        for i in range(p.shape[0]):
            row, bar = p[i], z_bar[i]
            along = 0.0
            for j in range(row.size):
                along += row[j] * bar[j]
            for j in range(row.size):
                bar[j] = (bar[j] - along) * row[j] * scale
        return value / y.size, np.dot(z_bar, k), np.dot(z_bar.T, q), v_bar

    return hand


def make_attention(n):
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(n, 32)) for _ in range(4))


WORKLOADS = (
    Workload(
        "conv-1d",
        conv_1d,
        make_conv_1d,
        (20_000,),
        conv_1d_primal,
        conv_1d_hand,
        argnums=(0, 1),
        jax=SAME,
    ),
    Workload(
        "conv-2d",
        conv_2d,
        make_conv_2d,
        (128,),
        conv_2d_primal,
        conv_2d_hand,
        argnums=(0, 1),
        jax=SAME,
    ),
    Workload(
        "layer-norm",
        layer_norm,
        make_layer_norm,
        (256,),
        layer_norm_primal,
        layer_norm_hand,
        argnums=(0, 1, 2),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "attention",
        attention,
        make_attention,
        (128,),
        attention_primal_by(polynomials),
        attention_by(math),
        hand_vector=attention_by(polynomials),
        argnums=(0, 1, 2),
        jax=SAME,
        autograd=SAME,
    ),
)
