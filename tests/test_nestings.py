"""Every transform of every transform, against numeric differences of the inner one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tracejit import (
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jit,
    jvp,
    linearize,
    value_and_grad,
    vjp,
    vmap,
)
from tracejit.base.config import override
from tracejit.testing import numerical_jvp

# Programs ----------------------------------------------------------------------------

W = np.array([[0.3, -0.5, 0.2], [0.1, 0.4, -0.3], [-0.2, 0.6, 0.5]])
X = np.array([0.7, -0.4, 0.9])


def smooth(x):
    return np.tanh(W @ x) * np.sin(x)


def in_place(x):
    u = x.copy()
    for _ in range(3):
        u[1:] += 0.3 * np.sin(u[:-1])
        u[0] *= 1.1
    return u


def rounds_by_data(x):
    h = x * 1.0
    n = 0
    while np.sum(h * h) > 0.3:
        if h[0] > 0.2:
            h = 0.7 * np.tanh(h)
        else:
            h = 0.6 * np.sin(h) + 0.01 * h[::-1]
        n += 1
    return h * (1 + n)


def scalar_loops(x):
    y = np.zeros(2)
    for i in range(2):
        s = 0.0
        for j in range(3):
            if x[j] > 0.1 * j:
                s += x[j] * np.exp(-0.1 * s)
        y[i] = s * x[i]
    return y


# Each transform as one from functions of a vector to functions of a vector, ours and by
# numbers ------------------------------------------------------------------------------


def weighted(f):
    def total(x):
        y = f(x)
        return np.sum(y * np.cos(np.arange(len(y))))

    return total


def flat(transform):
    def flattened(f):
        derivative = transform(f)
        return lambda x: np.ravel(derivative(x))

    return flattened


def with_value(f):
    both = value_and_grad(weighted(f))

    def joined(x):
        value, slope = both(x)
        return np.append(slope, value)

    return joined


def two_lanes(f):
    lanes = vmap(f)
    return lambda x: np.ravel(lanes(np.stack([x, 0.5 * x])))


def pushed(f):
    return lambda x: jvp(f, (x,), (np.cos(x),))[1]


def pulled(f):
    def back(x):
        value, pull = vjp(f, x)
        return pull(0.5 * value)[0]

    return back


def twice_linear(f):
    def both(x):
        _, push = linearize(f, x)
        return push(np.cos(x)) + push(x)

    return both


def squares(f):
    return lambda x: 0.5 * np.sum(f(x) ** 2)


OURS = {
    "grad": lambda f: grad(weighted(f)),
    "value_and_grad": with_value,
    "jacfwd": flat(jacfwd),
    "jacrev": flat(jacrev),
    "jacobian": flat(jacobian),
    "hessian": lambda f: flat(hessian)(weighted(f)),
    "vmap": two_lanes,
    "jvp": pushed,
    "vjp": pulled,
    "linearize": twice_linear,
    "hvp": lambda f: lambda x: hvp(squares(f), (x,), (np.cos(x),)),
    "jit": jit,
}


def matrix(f, x):
    return np.stack([numerical_jvp(f, (x,), (e,))[0] for e in np.eye(len(x))], axis=1)


NUMBERS = {
    "grad": lambda f, x: np.cos(np.arange(len(f(x)))) @ matrix(f, x),
    "value_and_grad": lambda f, x: np.append(NUMBERS["grad"](f, x), weighted(f)(x)),
    "jacfwd": lambda f, x: np.ravel(matrix(f, x)),
    "jacrev": lambda f, x: np.ravel(matrix(f, x)),
    "jacobian": lambda f, x: np.ravel(matrix(f, x)),
    "hessian": lambda f, x: np.ravel(matrix(grad(weighted(f)), x)),
    "vmap": lambda f, x: np.concatenate([f(x), f(0.5 * x)]),
    "jvp": lambda f, x: matrix(f, x) @ np.cos(x),
    "vjp": lambda f, x: 0.5 * f(x) @ matrix(f, x),
    "linearize": lambda f, x: matrix(f, x) @ (np.cos(x) + x),
    "hvp": lambda f, x: matrix(grad(squares(f)), x) @ np.cos(x),
    "jit": lambda f, x: f(x),
}


def check(f, names):
    """The outermost transform of the others, which other tests have checked."""
    outer, *inner = names
    for name in reversed(inner):
        f = OURS[name](f)
    expected = NUMBERS[outer](f, X)
    got = OURS[outer](f)(X)
    assert got.shape == expected.shape
    scale = 1.0 + np.max(np.abs(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6 * scale)


@pytest.fixture
def interpreted():
    with override(backend="numpy"):
        yield


PAIRS = list(itertools.product(OURS, OURS))


@pytest.mark.parametrize("names", PAIRS, ids="-of-".join)
def test_every_pair_on_loops_that_data_end(names, interpreted):
    check(rounds_by_data, names)


@pytest.mark.parametrize("k", range(0, len(PAIRS), 2))
def test_some_pairs_on_other_programs(k, interpreted):
    check((smooth, in_place, scalar_loops)[k // 2 % 3], PAIRS[k])


TRIPLES = [tuple(np.random.default_rng(k).choice(list(OURS), 3)) for k in range(24)]


@pytest.mark.parametrize("names", TRIPLES, ids="-of-".join)
def test_some_triples(names, interpreted):
    check(rounds_by_data, names)


@pytest.mark.parametrize(
    "f, names",
    [
        (scalar_loops, ("jacfwd", "vmap")),
        (smooth, ("vmap", "hessian")),
        (rounds_by_data, ("vmap", "grad")),
        (rounds_by_data, ("grad", "vmap")),
        (rounds_by_data, ("hvp", "vjp")),
        (in_place, ("jacrev", "linearize")),
        (in_place, ("vmap", "vmap")),
    ],
)
def test_some_compiled(f, names):
    check(f, names)
