"""Programs that collect what they compute in lists, and look at it afterwards."""

from __future__ import annotations

import numpy as np

from tests.corpus.programs.kernels import arrays
from tests.corpus.table import program


@program(lambda rng: (np.array([1.0, 0.0]), 0.3, 1.2))
def damped_oscillator(y, damping, stiffness):
    def slope(y):
        return np.array([y[1], -stiffness * y[0] - damping * y[1]])

    ts, path = [0.0], [y]
    for k in range(25):
        h = 0.1
        k1 = slope(path[-1])
        k2 = slope(path[-1] + h / 2 * k1)
        path.append(path[-1] + h * k2)
        ts.append((k + 1) * h)
    path, ts = np.array(path), np.array(ts)
    return np.trapezoid(path[:, 0] ** 2, ts) + path[-1] @ path[-1]


@program(arrays((12, 3), (4, 3), (4, 4), (4,)))
def recurrent_states(inputs, win, wrec, bias):
    hidden = []
    h = np.zeros(4)
    for x in inputs:
        h = np.tanh(win @ x + wrec @ h + bias)
        hidden.append(h)
    stacked = np.stack(hidden)
    scores = [np.dot(h, bias) for h in hidden]
    weights = np.exp(scores - np.max(scores))
    return (weights[:, None] * stacked).sum(axis=0) / weights.sum()


@program(arrays((20,), (2,)))
def autoregression(noise, phi):
    series = [0.1, 0.2]
    for e in noise:
        series.append(phi[0] * 0.5 * series[-1] - 0.3 * phi[1] * series[-2] + e)
    lagged = list(zip(series[1:-1], series[:-2], strict=True))
    residuals = np.array(series[2:]) - np.array(lagged) @ phi
    return np.sum(residuals**2) / len(residuals)


@program(lambda rng: (rng.normal(size=5), rng.normal(size=(5, 5)) * 0.3, 0.1))
def descent_with_history(x, a, rate):
    q = a.T @ a + np.eye(5)
    history = {"loss": [], "step": []}
    for _ in range(40):
        gradient = q @ x - 1.0
        history["loss"].append(0.5 * x @ q @ x - np.sum(x))
        history["step"].append(np.sqrt(np.sum(gradient**2)))
        if history["step"][-1] < 0.05:
            break
        x = x - rate * gradient
    return np.sum(np.array(history["loss"])) / len(history["loss"]) + min(
        history["step"]
    )


@program(lambda rng: (rng.normal(size=30), 0.4))
def peaks(signal, threshold):
    found = []
    for k in range(1, len(signal) - 1):
        left, here, right = signal[k - 1], signal[k], signal[k + 1]
        if here > threshold and here > left and here > right:
            shift = 0.5 * (left - right) / (left - 2 * here + right)
            found.append((k + shift, here - 0.25 * (left - right) * shift))
    total = 0.0
    for place, height in found:
        total += height**2 * np.sin(place)
    return total + len(found)


@program(arrays((10, 2), (10,)))
def kernel_matrix(points, values):
    gram = [[np.exp(-np.sum((p - q) ** 2)) for q in points] for p in points]
    gram = np.array(gram) + 0.1 * np.eye(len(points))
    return values @ np.linalg.solve(gram, values)


@program(lambda rng: (0.2 + rng.random(16),))
def running_quantities(returns):
    wealth, drawdowns = [1.0], []
    for r in returns:
        wealth.append(wealth[-1] * (1.0 + 0.1 * (r - 0.6)))
        drawdowns.append(1.0 - wealth[-1] / max(wealth))
    windows = [np.mean(wealth[i : i + 4]) for i in range(len(wealth) - 3)]
    return sum(drawdowns) + max(drawdowns) + np.sum(np.diff(windows) ** 2)


@program(arrays((9, 4), (4,)))
def layers_and_back(weights, x):
    outputs = [x]
    for w in weights:
        outputs.append(np.tanh(outputs[-1] * w + 0.1))
    back = []
    for out, w in zip(reversed(outputs), weights[::-1], strict=False):
        back.append(out * w)
    return np.concatenate(outputs) @ np.concatenate([*back, x])
