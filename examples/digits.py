"""Handwritten digits: train a two-layer softmax network with the compiled gradient.

    python examples/digits.py

The loss is plain NumPy, its parameters are a dict; `value_and_grad` returns the
gradient as a dict of the same keys.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tracejit

BATCH, EPOCHS, RATE, MOMENTUM = 64, 40, 0.1, 0.9


def scores(params, X):
    hidden = np.tanh(X @ params["W1"] + params["b1"])
    return hidden @ params["W2"] + params["b2"]


def loss(params, X, labels):
    z = scores(params, X)
    z = z - np.max(z, axis=1, keepdims=True)
    log_p = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    decay = np.sum(params["W1"] ** 2) + np.sum(params["W2"] ** 2)
    return -np.mean(log_p[np.arange(len(labels)), labels]) + 1e-4 * decay


def load():
    """Pixels in [0, 1] and labels: training, then held out."""
    X, labels = load_digits(return_X_y=True)
    return train_test_split(X / 16.0, labels, test_size=0.25, random_state=0)


def start(rng, inputs=64, hidden=64, classes=10):
    return {
        "W1": rng.normal(size=(inputs, hidden)) / np.sqrt(inputs),
        "b1": np.zeros(hidden),
        "W2": rng.normal(size=(hidden, classes)) / np.sqrt(hidden),
        "b2": np.zeros(classes),
    }


def train(gradient, params, X, labels, rng):
    """Gradient descent with momentum on shuffled batches of one size."""
    speed = {key: np.zeros_like(p) for key, p in params.items()}
    for _ in range(EPOCHS):
        order = rng.permutation(len(labels))
        for at in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[at : at + BATCH]
            _, grads = gradient(params, X[batch], labels[batch])
            for key in params:
                speed[key] = MOMENTUM * speed[key] - RATE * grads[key]
                params[key] = params[key] + speed[key]
    return params


def difference(params, X, labels, key, index, h=1e-5):
    """A central difference of the loss by one parameter."""

    def at(by):
        moved = {k: p.copy() for k, p in params.items()}
        moved[key][index] += by
        return loss(moved, X, labels)

    return (at(h) - at(-h)) / (2.0 * h)


def time_per_call(f, *args, calls=50):
    f(*args)  # the first call compiles
    begin = perf_counter()
    for _ in range(calls):
        f(*args)
    return (perf_counter() - begin) / calls


def main():
    X, X_test, labels, labels_test = load()
    rng = np.random.default_rng(0)
    gradient = tracejit.value_and_grad(loss)
    params = start(rng)

    _, grads = gradient(params, X[:BATCH], labels[:BATCH])
    for key, index in (("W1", (20, 3)), ("b1", (5,)), ("W2", (7, 2)), ("b2", (4,))):
        by_difference = difference(params, X[:BATCH], labels[:BATCH], key, index)
        print(
            f"d loss / d {key}{list(index)}: {grads[key][index]: .10f}, "
            f"by finite difference {by_difference: .10f}"
        )

    params = train(gradient, params, X, labels, rng)
    accuracy = np.mean(np.argmax(scores(params, X_test), axis=1) == labels_test)
    print(f"held-out accuracy: {100.0 * accuracy:.1f} %")

    interpreted = tracejit.value_and_grad(loss, backend="numpy")
    batch = params, X[:BATCH], labels[:BATCH]
    print(f"a step compiled:    {1e6 * time_per_call(gradient, *batch):7.0f} µs")
    print(f"a step interpreted: {1e6 * time_per_call(interpreted, *batch):7.0f} µs")
    return accuracy


if __name__ == "__main__":
    main()
