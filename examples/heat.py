"""What was the temperature, half an hour ago? Differentiate 500 in-place time steps.

    python examples/heat.py [heat.png]

A rod cools for 500 steps, and its final temperatures are measured with noise. The
initial ones are recovered by descending the misfit, whose gradient runs the rod's
time backwards; a penalty on roughness decides what the measurement cannot.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np

import tracejit

CELLS, STEPS, C = 200, 500, 0.1
NOISE, ROUGHNESS = 0.005, 0.004


def cool(u, c, steps):
    """The explicit heat equation, in place; the ends keep their temperature."""
    u = u.copy()
    for _ in range(steps):
        u[1:-1] += c * (u[2:] - 2.0 * u[1:-1] + u[:-2])
    return u


def misfit(u, c, steps, measured):
    error = cool(u, c, steps) - measured
    return np.sum(error**2) + ROUGHNESS * np.sum((u[1:] - u[:-1]) ** 2)


def descend(gradient, u, iterations=300):
    """Gradient descent; each step as long as the last two gradients suggest
    (Barzilai and Borwein, 1988). Now and then a step goes up: the best is kept."""
    value, g = gradient(u)
    best, lowest, rate = u, value, 0.1
    for _ in range(iterations):
        new = u - rate * g
        value, new_g = gradient(new)
        if value < lowest:
            best, lowest = new, value
        moved, bent = new - u, new_g - g
        if moved @ moved < 1e-20:
            break
        rate = (moved @ moved) / (moved @ bent)
        u, g = new, new_g
    return best, lowest


def true_profile():
    x = np.linspace(0.0, 1.0, CELLS)
    bumps = np.exp(-(((x - 0.3) / 0.06) ** 2)) + 0.6 * np.exp(-(((x - 0.7) / 0.1) ** 2))
    return x, bumps


def recover(rng):
    """The true, measured and recovered profiles, and the positions."""
    x, true = true_profile()
    measured = cool(true, C, STEPS) + NOISE * rng.normal(size=CELLS)
    gradient = tracejit.value_and_grad(misfit)
    found, value = descend(
        partial(gradient, c=C, steps=STEPS, measured=measured), measured.copy()
    )
    print(f"misfit: {value:.4f}")
    for name, profile in (("measured", measured), ("recovered", found)):
        error = np.sqrt(np.mean((profile - true) ** 2))
        print(f"error of the {name} profile: {error:.4f}")
    return x, true, measured, found


def plot(path, x, true, measured, found):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.0, 4.0), layout="constrained")
    axes.plot(x, true, "k", label="true, at the start")
    axes.plot(x, measured, ".", color="0.6", label="measured, 500 steps later")
    axes.plot(x, found, "C3", label="recovered")
    axes.set(xlabel="position", ylabel="temperature")
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"saved {path}")


def main(path="heat.png"):
    plot(path, *recover(np.random.default_rng(0)))


if __name__ == "__main__":
    main(*sys.argv[1:2])
