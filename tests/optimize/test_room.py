"""Tapes of unknown length grow before the loops that fill their rows."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, make_ir
from tracejit.backend.numba_source import write
from tracejit.optimize.lower import lower


def settling(u, tol):
    s, k = 1.0, 0
    while s > tol and k < 40:
        total = 0.0
        for j in range(len(u)):
            total += np.sin(s * u[j]) ** 2
        s, k = 0.95 * s - 1e-2 * total, k + 1
    return s


def squared(u, tol):
    u, k = u.copy(), 0
    while u[0] > tol and k < 20:
        for j in range(len(u)):
            u[j] = 0.9 * u[j] * u[j]
        k += 1
    return np.sum(u)


def ragged(u, tol):
    u, k = u.copy(), 0
    while u[0] > tol and k < len(u):
        for j in range(k):
            for i in range(j):
                u[i] = 0.9 * u[i] * u[j]
        k += 1
    return np.sum(u)


U = np.random.default_rng(0).uniform(0.9, 1.0, 7)


@pytest.mark.parametrize("f", [settling, squared])
def test_the_inner_loop_moves_no_tape(f):
    text = write(lower(make_ir(grad(f))(U, 0.01))).text
    grown = [line for line in text.splitlines() if "_tj_realloc" in line]
    assert grown and not any(line.startswith(" " * 16) for line in grown)


@pytest.mark.parametrize("f", [settling, squared, ragged])
@pytest.mark.parametrize("tol", [0.01, 2.0])
def test_gradients(f, tol):
    got = grad(f, argnums=0)(U, tol)
    want = grad(f, argnums=0, backend="numpy")(U, tol)
    np.testing.assert_allclose(got, want, rtol=1e-11)
