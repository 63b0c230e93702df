"""Work that a mask makes void is skipped; the results are the same."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, make_ir, value_and_grad
from tracejit.backend.numba_source import write
from tracejit.optimize.lower import lower


def nearest(x, c):
    total = 0.0
    for i in range(len(x)):
        near = 1e9
        for k in range(len(c)):
            near = min(near, np.sqrt((x[i] - c[k]) ** 2 + 1.0))
        total += near
    return total


def farthest(x, c):
    total = 0.0
    for i in range(len(x)):
        far = -1e9
        for k in range(len(c)):
            far = np.maximum(far, np.exp(np.sin(x[i] - c[k])) / c[k])
        total += far * x[i]
    return total


def kept(x, c):
    s = 0.0
    for i in range(len(x)):
        y = np.log(c[i % 5] + x[i] ** 2)
        s = np.where(y > 0.3, 0.5 * s + y, s * x[i])
    return s


def running(x, c):
    low, total = 1e9, 0.0
    for i in range(len(x)):
        low = min(low, np.exp(x[i]) * c[0])
        total += low * low
    return total


def capped(x, c):
    s = 1.0
    for i in range(len(x)):
        s = min(s * np.tanh(x[i]), c[0]) + min(s / np.cosh(x[i]), c[1])
    return s


def masks_in_masks(x, c):
    s = 0.3
    for i in range(len(x)):
        d = 2.0 - (s - x[i]) ** 2 * c[i % 5]
        root = 0.5 * (s + np.sqrt(np.maximum(d, 1e-9)) * np.exp(x[i] * c[0]))
        s = np.where(d > 1.0, root, np.minimum(s, x[i]) + c[1])
    return s


def elementwise(x, c):
    return np.sum(np.where(x > 0.5, np.exp(x) / np.sqrt(x), 0.0)) + c[0]


PROGRAMS = [nearest, farthest, kept, running, capped, masks_in_masks, elementwise]
RNG = np.random.default_rng(0)
X, C = RNG.uniform(0.5, 1.5, 20), RNG.uniform(0.5, 1.5, 30)
TIES = np.repeat(X[:5], 4), np.repeat(C[:2], 15)


def text(f):
    lines = write(lower(make_ir(grad(f, argnums=(0, 1)))(X, C))).text.splitlines()
    return "\n".join(line for line in lines if "#" not in line)


def test_the_way_back_of_an_extremum_branches():
    back = text(nearest).rpartition("for k")[2]
    before, branch, after = back.partition("if ")
    assert branch and "math." not in before and "math." in after


def test_vector_code_does_not():
    assert "if " not in text(elementwise)


@pytest.mark.parametrize("f", PROGRAMS)
@pytest.mark.parametrize("args", [(X, C), TIES], ids=["plain", "ties"])
def test_values_and_gradients(f, args):
    value, slopes = value_and_grad(f, argnums=(0, 1))(*args)
    wanted, others = value_and_grad(f, argnums=(0, 1), backend="numpy")(*args)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for slope, other in zip(slopes, others, strict=True):
        np.testing.assert_allclose(slope, other, rtol=1e-10, atol=1e-13)
