"""Models: logistic regression, a perceptron with one hidden layer, an RNN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks import polynomials
from benchmarks.workload import SAME, Function, Workload, fast

# --- logistic regression


def logistic(w, X, y):
    return np.mean(np.log1p(np.exp(-y * (X @ w))))


def logistic_primal_by(m: Any) -> Function:
    @fast
    def primal(w, X, y):
        z = np.dot(X, w)
        value = 0.0
        for i in range(y.size):
            value += m.log1p(m.exp(-y[i] * z[i]))
        return value / y.size

    return primal


def logistic_by(m: Any) -> Function:
    @fast
    def hand(w, X, y):
        # Two BLAS products. Reading X once, row by row, is slower (1.8 times): a row is
        # too short to pay for loading and storing the gradient anew.
        z = np.dot(X, w)
        value = 0.0
        for i in range(y.size):
            e = m.exp(-y[i] * z[i])
            value += m.log1p(e)
            z[i] = -y[i] * e / ((1.0 + e) * y.size)
        return value / y.size, np.dot(z, X)

    return hand


def make_logistic(n):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 50))
    y = np.sign(X @ rng.normal(size=50) + 0.1)
    return 0.1 * rng.normal(size=50), X, y


# --- a multilayer perceptron with softmax cross-entropy


def perceptron(W1, b1, W2, b2, X, labels):
    h = np.tanh(X @ W1 + b1)
    z = h @ W2 + b2
    z = z - np.max(z, axis=1, keepdims=True)
    logp = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(logp[np.arange(labels.shape[0]), labels])


def perceptron_tools_by(m: Any) -> tuple[Function, Function]:
    """The hidden layer, and the exponentials of a row, with the functions of `m`."""

    @fast
    def hidden(W1, b1, X):
        h = np.dot(X, W1)
        for i in range(h.shape[0]):
            for j in range(h.shape[1]):
                h[i, j] = m.tanh(h[i, j] + b1[j])
        return h

    @fast
    def row_softmax(row, b):
        """Add b, leave the exponentials over their largest in row; return their sum and
        the largest itself."""
        top = -np.inf
        for j in range(row.size):
            row[j] += b[j]
            top = max(top, row[j])
        total = 0.0
        for j in range(row.size):
            row[j] = m.exp(row[j] - top)
            total += row[j]
        return total, top

    return hidden, row_softmax


def perceptron_primal_by(m: Any) -> Function:
    hidden, row_softmax = perceptron_tools_by(m)

    @fast
    def primal(W1, b1, W2, b2, X, labels):
        z = np.dot(hidden(W1, b1, X), W2)
        value = 0.0
        for i in range(labels.size):
            right = z[i, labels[i]] + b2[labels[i]]
            total, top = row_softmax(z[i], b2)
            value += math.log(total) - (right - top)
        return value / labels.size

    return primal


def perceptron_by(m: Any) -> Function:
    hidden, row_softmax = perceptron_tools_by(m)

    @fast
    def hand(W1, b1, W2, b2, X, labels):
        n = labels.size
        h = hidden(W1, b1, X)
        z = np.dot(h, W2)
        b1_bar, b2_bar = np.zeros_like(b1), np.zeros_like(b2)
        value = 0.0
        for i in range(n):  # z becomes its own cotangent, softmax - one_hot, over n
            row = z[i]
            right = row[labels[i]] + b2[labels[i]]
            total, top = row_softmax(row, b2)
            value += math.log(total) - (right - top)
            scale = 1.0 / (total * n)
            for j in range(row.size):
                row[j] *= scale
            row[labels[i]] -= 1.0 / n
            for j in range(row.size):
                b2_bar[j] += row[j]
        W2_bar = np.dot(h.T, z)
        a = np.dot(z, W2.T)
        for i in range(n):
            for j in range(a.shape[1]):
                a[i, j] *= 1.0 - h[i, j] * h[i, j]
                b1_bar[j] += a[i, j]
        return value / n, np.dot(X.T, a), b1_bar, W2_bar, b2_bar

    return hand


def make_perceptron(n):
    rng = np.random.default_rng(0)
    inputs, hidden, classes = 64, 128, 10
    return (
        rng.normal(size=(inputs, hidden)) / np.sqrt(inputs),
        np.zeros(hidden),
        rng.normal(size=(hidden, classes)) / np.sqrt(hidden),
        np.zeros(classes),
        rng.normal(size=(n, inputs)),
        rng.integers(classes, size=n),
    )


# --- a recurrent network, one state at a time


def rnn(W, U, b, xs, ys):
    h = np.zeros(W.shape[0])
    loss = 0.0
    for t in range(xs.shape[0]):
        h = np.tanh(W @ h + U @ xs[t] + b)
        loss += np.sum((h - ys[t]) ** 2)
    return loss


def rnn_jax(W, U, b, xs, ys):
    from jax import lax

    def step(h, now):
        x, y = now
        h = np.tanh(W @ h + U @ x + b)
        return h, np.sum((h - y) ** 2)

    _, losses = lax.scan(step, np.zeros(W.shape[0]), (xs, ys))
    return np.sum(losses)


@fast
def dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


def rnn_states_by(m: Any) -> Function:
    @fast
    def states(W, U, b, xs):
        """All states: the inputs' products at once, then the recurrence on top."""
        steps, n = xs.shape[0], b.size
        inputs = np.dot(xs, U.T)
        h = np.zeros((steps + 1, n))
        for t in range(steps):
            old, new, a = h[t], h[t + 1], inputs[t]
            for i in range(n):
                new[i] = m.tanh(dot(W[i], old) + a[i] + b[i])
        return h

    return states


def rnn_primal_by(m: Any) -> Function:
    states = rnn_states_by(m)

    @fast
    def primal(W, U, b, xs, ys):
        h = states(W, U, b, xs)
        value = 0.0
        for t in range(xs.shape[0]):
            for i in range(b.size):
                value += (h[t + 1, i] - ys[t, i]) ** 2
        return value

    return primal


def rnn_by(m: Any) -> Function:
    states = rnn_states_by(m)

    @fast
    def hand(W, U, b, xs, ys):
        # The states are the tape. The cotangents of all steps are kept too, so that W's
        # and U's gradients are one product each instead of an outer product a step.
        steps, n = xs.shape[0], b.size
        h = states(W, U, b, xs)
        delta = np.empty((steps, n))
        b_bar, h_bar = np.zeros(n), np.zeros(n)
        value = 0.0
        for t in range(steps - 1, -1, -1):
            new, y, d = h[t + 1], ys[t], delta[t]
            for i in range(n):
                e = new[i] - y[i]
                value += e * e
                d[i] = (h_bar[i] + 2.0 * e) * (1.0 - new[i] * new[i])
                b_bar[i] += d[i]
            h_bar[:] = 0.0
            for i in range(n):
                row = W[i]
                for j in range(n):
                    h_bar[j] += d[i] * row[j]
        return value, np.dot(delta.T, h[:-1]), np.dot(delta.T, xs), b_bar

    return hand


def make_rnn(steps):
    rng = np.random.default_rng(0)
    hidden, inputs = 64, 16
    return (
        rng.normal(size=(hidden, hidden)) / np.sqrt(hidden),
        rng.normal(size=(hidden, inputs)) / np.sqrt(inputs),
        np.zeros(hidden),
        rng.normal(size=(steps, inputs)),
        rng.uniform(-1.0, 1.0, (steps, hidden)),
    )


WORKLOADS = (
    Workload(
        "logistic",
        logistic,
        make_logistic,
        (10_000,),
        logistic_primal_by(polynomials),
        logistic_by(math),
        hand_vector=logistic_by(polynomials),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "mlp",
        perceptron,
        make_perceptron,
        (256,),
        perceptron_primal_by(polynomials),
        perceptron_by(math),
        hand_vector=perceptron_by(polynomials),
        argnums=(0, 1, 2, 3),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "rnn",
        rnn,
        make_rnn,
        (100,),
        rnn_primal_by(polynomials),
        rnn_by(math),
        hand_vector=rnn_by(polynomials),
        argnums=(0, 1, 2),
        jax=rnn_jax,
        autograd=SAME,
    ),
)
