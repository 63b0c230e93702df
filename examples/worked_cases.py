"""Five worked cases of lectures on computational graphs, with their numbers.

python examples/worked_cases.py
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np

from tracejit import grad, jvp, make_ir, value_and_grad, vjp


def parameter_reuse():
    """W is used twice; its derivative is the sum over its uses."""

    def both(W, b1, b2, x):
        Z1 = W @ x + b1
        Z2 = W @ Z1 + b2
        return np.sum(Z2)

    def apart(first, second, b1, b2, x):
        return np.sum(second @ (first @ x + b1) + b2)

    rng = np.random.default_rng(0)
    W, b1, b2, x = (rng.normal(size=s) for s in ((3, 3), 3, 3, 3))
    shared = grad(both)(W, b1, b2, x)
    first, second = grad(apart, argnums=(0, 1))(W, W, b1, b2, x)
    print("1. dZ2/dW with W used twice\n", shared)
    print("   the sum of the derivatives by each use\n", first + second)


def chain_rule():
    """z = f(f(f(w))): each f(...) is computed once and stored, not three times."""

    def z(w):
        x = np.sin(w)
        y = np.sin(x)
        return np.sin(y)

    w = 0.5
    x, y = np.sin(w), np.sin(np.sin(w))
    print(f"2. dz/dw = {grad(z)(w):.12f}, f'(y) f'(x) f'(w) = ", end="")
    print(f"{np.cos(y) * np.cos(x) * np.cos(w):.12f}")
    print("   and as a program, which computes each sine once:")
    print(make_ir(grad(z))(w))


def graph():
    """e = (a + b)(b + 1), walked backwards."""

    def e(a, b):
        return (a + b) * (b + 1)

    value, (by_a, by_b) = value_and_grad(e, argnums=(0, 1))(2.0, 1.0)
    print(f"3. e = {value}, de/da = {by_a}, de/db = {by_b}")

    def cost(y, r):
        return -np.log(y[r])

    y, r = np.array([0.2, 0.5, 0.3]), 1
    print(f"   cross entropy: dC/dy = {grad(cost)(y, r)}, -1/y_r = {-1.0 / y[r]}")


def multiplications(program, seed):
    """Scalar multiplications in the products of Jacobians that `seed` runs through,
    but for the first of them: the seed is a column of an identity."""
    reached, count = {seed}, 0
    for eqn in program.eqns:
        if reached.isdisjoint(eqn.uses()):
            continue  # the primal's own
        reached.update(eqn.outputs)
        if eqn.prim.name == "dot" and seed not in eqn.inputs:
            left, _ = eqn.avals()
            contracted, _ = eqn.params["contract"]
            count += prod(eqn.out.aval.shape) * prod(left.shape[k] for k in contracted)
    return count


def both_directions():
    """Layers 10 -> 6 -> 8 -> 2 -> 1: the same Jacobian, from either end."""
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(m, n)) for n, m in pairwise((10, 6, 8, 2, 1))]

    def network(x):
        for W in layers:
            x = W @ x
        return x

    def reverse(x, seed):
        _, pull = vjp(network, x)
        return pull(seed)[0]

    def forward(x, seed):
        return jvp(network, (x,), (seed,))[1]

    x = rng.normal(size=10)
    row = reverse(x, np.ones(1))
    columns = [forward(x, seed)[0] for seed in np.eye(10)]
    off = np.max(np.abs(row - columns))
    print(f"4. reverse and forward accumulation differ by {off:.1e}")
    adjoint, tangent = make_ir(reverse)(x, np.ones(1)), make_ir(forward)(x, x)
    by_reverse = multiplications(adjoint, adjoint.inputs[1])
    by_forward = 10 * multiplications(tangent, tangent.inputs[1])  # a run per input
    print(f"   multiplications: {by_reverse} in reverse, {by_forward} forward")
    return by_reverse, by_forward


def recurrent():
    """One W_h used at every step: its gradient is the sum over the steps."""
    rng = np.random.default_rng(0)
    steps, n = 5, 4
    W_h, W_x = 0.5 * rng.normal(size=(n, n)), rng.normal(size=(n, 3))
    xs = rng.normal(size=(steps, 3))

    def loss(W_h, W_x, xs):
        h = np.zeros(n)
        for t in range(steps):
            h = np.tanh(W_h @ h + W_x @ xs[t])
        return np.sum(h**2)

    def unrolled(copies, W_x, xs):
        h = np.zeros(n)
        for t in range(steps):
            h = np.tanh(copies[t] @ h + W_x @ xs[t])
        return np.sum(h**2)

    copies = np.stack([W_h] * steps)
    off = grad(loss)(W_h, W_x, xs) - np.sum(grad(unrolled)(copies, W_x, xs), axis=0)
    print(f"5. shared W_h against the sum over its copies: {np.max(np.abs(off)):.1e}")


def main():
    parameter_reuse()
    chain_rule()
    graph()
    both_directions()
    recurrent()


if __name__ == "__main__":
    main()
