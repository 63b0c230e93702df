"""Complex functions that kernels compute part by part, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import jit, value_and_grad

ODD = [0.0, -0.0, 1.0, -2.5, 700.5, 720.0, 1400.0, -720.0, 1e-310, 1e308]
ODD = [*ODD, -1e-200, np.inf, -np.inf, np.nan]
GRID = np.array([complex(a, b) for a in ODD for b in ODD])
RNG = np.random.default_rng(0)
PLAIN = 5 * (RNG.normal(size=500) + 1j * RNG.normal(size=500))


def assert_parts_equal(mine, theirs, rtol):
    """Real and imaginary parts; the sign of what is infinite or 0 included."""
    assert mine.dtype == theirs.dtype
    for a, b in ((mine.real, theirs.real), (mine.imag, theirs.imag)):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-300)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("z", [GRID, PLAIN, PLAIN.astype(np.complex64)])
def test_exponentials(z):
    rtol = 1e-6 if z.dtype == np.complex64 else 1e-13
    assert_parts_equal(jit(lambda z: np.exp(z))(z), np.exp(z), rtol)


@pytest.mark.filterwarnings("ignore")
def test_quotients():
    x, y = np.repeat(GRID, len(GRID)), np.tile(GRID, len(GRID))
    found, expected = jit(lambda x, y: x / y)(x, y), x / y
    tame = np.isfinite(expected) & (abs(expected) > 1e-290)
    np.testing.assert_allclose(found[tame], expected[tame], rtol=1e-14)
    for k in np.flatnonzero(~np.isfinite(expected)):
        assert str(found[k]) == str(expected[k]) or np.isnan(expected[k])
    assert (np.isnan(found) == np.isnan(expected)).all()
    x, y = PLAIN, RNG.permutation(PLAIN)
    np.testing.assert_allclose(jit(lambda x, y: x / y)(x, y), x / y, rtol=1e-15)


def wave(phase, amplitude):
    field = amplitude * np.exp(1j * phase) / (2.0 + np.exp(0.5j * amplitude))
    return np.sum(np.abs(field + 0.3) ** 2)


def test_gradients_are_the_interpreters():
    args = RNG.uniform(0.5, 3, (2, 100))
    value, slopes = value_and_grad(wave, (0, 1))(*args)
    expected, others = value_and_grad(wave, (0, 1), backend="numpy")(*args)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(slopes, others, rtol=1e-11)
