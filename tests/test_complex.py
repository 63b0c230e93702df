"""Complex numbers end to end, on both backends: closed forms and numeric differences.

The convention is JAX's: the gradient of a real function of x + iy is ∂f/∂x - i ∂f/∂y.
"""

from __future__ import annotations

import cmath

import numpy as np
import pytest

from tracejit import grad, jit, jvp, value_and_grad, vjp
from tracejit.base.errors import NonScalarOutputError, TreeMismatchError
from tracejit.testing import check_grads, compilations

Z = np.array([1 + 2j, 3 - 1j, -0.5 + 0.3j, -1.2 - 0.7j])
X = np.array([0.1, 0.5, 2.0, -0.7])

backends = pytest.mark.parametrize("backend", ["numpy", "numba"])


# Closed forms -------------------------------------------------------------------------


@backends
def test_square_of_the_modulus(backend):
    slope = grad(lambda z: np.sum(np.abs(z) ** 2), backend=backend)(Z)
    np.testing.assert_allclose(slope, 2 * Z.conj(), rtol=1e-14)
    assert slope.dtype == np.complex128


@backends
def test_parts(backend):
    slope = grad(lambda z: np.sum(z.real * 2 + z.imag * 3), backend=backend)(Z)
    np.testing.assert_allclose(slope, np.full(4, 2 - 3j))


@backends
def test_real_part_of_a_holomorphic_function(backend):
    slope = grad(lambda z: np.sum(np.exp(z) * z).real, backend=backend)(Z)
    np.testing.assert_allclose(slope, np.exp(Z) * (Z + 1), rtol=1e-13)


@backends
def test_real_argument_real_gradient(backend):
    def energy(x, z):
        field = np.exp(1j * x) * z
        return np.sum(np.abs(field + 1.0) ** 2)

    slope = grad(energy, backend=backend)(X, Z)
    field = np.exp(1j * X) * Z
    np.testing.assert_allclose(slope, 2 * (1j * field).real, rtol=1e-13)
    assert slope.dtype == np.float64


@backends
def test_modulus_has_slope_zero_at_the_origin(backend):
    at = np.array([0j, 3 + 4j])
    slope = grad(lambda z: np.sum(np.abs(z)), backend=backend)(at)
    np.testing.assert_allclose(slope, [0, 0.6 - 0.8j])


@backends
def test_single_precision_stays(backend):
    z = Z.astype(np.complex64)
    value, slope = value_and_grad(
        lambda z: np.sum(np.abs(z * np.float32(2)) ** 2), backend=backend
    )(z)
    assert value.dtype == np.float32 and slope.dtype == np.complex64
    np.testing.assert_allclose(slope, 8 * z.conj(), rtol=1e-6)


@backends
def test_python_numbers(backend):
    assert jit(lambda z: z * 2 + 1, backend=backend)(1 + 2j) == 3 + 4j
    slope = grad(lambda z: (z * z).real, backend=backend)(1 + 2j)
    assert type(slope) is complex and slope == 2 + 4j

    def turned(a, z):
        return abs(cmath.exp(1j * a) * z + complex(a, 2.0)) + cmath.phase(z)

    check_grads(turned, (0.3, 1 + 0.2j), backend=backend)


@backends
def test_forward_and_reverse(backend):
    fn = lambda z: np.sin(z) / (z + 3)  # noqa: E731
    value, slope = jvp(fn, (Z,), (1j * Z,), backend=backend)
    partial = np.cos(Z) / (Z + 3) - np.sin(Z) / (Z + 3) ** 2
    np.testing.assert_allclose(value, fn(Z), rtol=1e-13)
    np.testing.assert_allclose(slope, partial * 1j * Z, rtol=1e-13)
    _, pull = vjp(fn, Z, backend=backend)
    np.testing.assert_allclose(pull(1j + Z)[0], partial * (1j + Z), rtol=1e-13)


# Programs -----------------------------------------------------------------------------


def mandelbrot(c):
    z = np.zeros_like(c)
    for _ in range(6):
        z = z * z + c
    return np.sum(np.abs(z) ** 2)


def escape(c):
    z, n = 0j, 0
    while abs(z) < 2 and n < 50:
        z = z * z + c
        n += 1
    return abs(z) + n


def schroedinger(psi, potential):
    """Crank-like explicit steps of i ψ' = -ψ''/2 + V ψ, in place."""
    psi = psi.copy()
    change = np.zeros_like(psi)
    for _ in range(5):
        change[1:-1] = 0.5 * (psi[2:] - 2 * psi[1:-1] + psi[:-2])
        psi += 0.05j * (change - potential * psi)
    return np.sum(np.abs(psi[: len(psi) // 2]) ** 2)


def filled(x):
    a = np.zeros(len(x), dtype=complex)
    for i in range(len(x)):
        a[i] = np.exp(1j * x[i]) * x[i]
        if i > 0:
            a[i] += a[i - 1] * 0.5j
    return np.sum(a * a.conj()).real


def through_views(z):
    z = z.copy()
    z.real *= 2
    z.imag[1:] += z.real[:-1] ** 2
    z.real[0] = z.imag[1]
    part = z[1:].imag
    part[0] = 7.0
    z[2] = z[0] * 1j
    z.imag = z.imag - 1
    return np.sum(np.abs(z) ** 3)


def impedance(omega, r, c):
    """The modulus of a ladder of impedances: real to complex to real."""
    z = 0.0
    for _ in range(4):
        z = r + 1 / (1j * omega * c + 1 / (z + r))
    return np.sum(np.abs(z))


def convolved(signal, kernel):
    n = len(signal)
    product = np.fft.rfft(signal) * np.fft.rfft(kernel, n)
    return np.sum(np.fft.irfft(product, n) ** 3)


def spectral_step(psi, k):
    """Half a step in momentum space: two transforms and a phase."""
    return np.sum(np.abs(np.fft.ifft(np.exp(-0.5j * k**2) * np.fft.fft(psi))) ** 4)


RNG = np.random.default_rng(3)
PSI = RNG.normal(size=12) + 1j * RNG.normal(size=12)
PROGRAMS = {
    "mandelbrot": (mandelbrot, (0.2 * Z,)),
    "escape": (escape, (0.5 + 0.5j,)),
    "schroedinger": (schroedinger, (PSI, RNG.normal(size=12))),
    "filled": (filled, (X,)),
    "views": (through_views, (Z,)),
    "impedance": (impedance, (np.array([1.0, 2.0]), 0.7, 0.4)),
    "convolved": (convolved, (RNG.normal(size=12), RNG.normal(size=5))),
    "spectral": (spectral_step, (PSI, RNG.normal(size=12))),
    "prime": (spectral_step, (np.tile(PSI, 4)[:37], RNG.normal(size=37))),
}


@backends
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name, backend):
    fn, args = PROGRAMS[name]
    np.testing.assert_allclose(jit(fn, backend=backend)(*args), fn(*args), rtol=1e-12)
    check_grads(fn, args, order=1, backend=backend)


@pytest.mark.parametrize("name", PROGRAMS)
def test_second_order(name):
    fn, args = PROGRAMS[name]
    check_grads(fn, args, order=2, backend="numpy")


def test_gradient_of_a_convolution_is_a_correlation():
    signal, kernel, weight = (RNG.normal(size=16) for _ in range(3))

    def loss(s):
        return np.sum(weight * np.fft.ifft(np.fft.fft(s) * np.fft.fft(kernel)).real)

    by_hand = [
        sum(weight[(i + k) % 16] * kernel[k] for k in range(16)) for i in range(16)
    ]
    for backend in ("numpy", "numba"):
        np.testing.assert_allclose(grad(loss, backend=backend)(signal), by_hand)


@pytest.mark.parametrize("name", ["schroedinger", "spectral", "prime"])
def test_a_new_size_compiles_nothing(name):
    fn = grad(PROGRAMS[name][0])
    sizes = (37, 41) if name == "prime" else (24, 30, 36)
    before = None
    for n in sizes:
        psi = np.resize(PSI, n)
        fn(psi, psi.real)
        before = before or compilations()
    assert compilations() == before


# Refusals -----------------------------------------------------------------------------


@backends
def test_gradient_of_a_complex_output_is_refused(backend):
    with pytest.raises(NonScalarOutputError, match="complex128"):
        grad(lambda z: np.sum(z), backend=backend)(Z)


def test_a_complex_cotangent_of_a_real_value_is_refused():
    _, pull = vjp(lambda z: np.abs(z), Z, backend="numpy")
    with pytest.raises(TreeMismatchError):
        pull(Z)


def test_the_slope_of_a_size_that_is_subnormal():
    tiny = np.float32(1e-40)
    slope = grad(lambda r: abs(1j * r), backend="numpy")
    assert slope(tiny) == 1.0
