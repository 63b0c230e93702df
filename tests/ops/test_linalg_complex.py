"""`np.linalg` on complex matrices, and what is complex of real ones.

Vectors are defined up to a phase: so programs ask what does not depend on it.
"""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.ops.linalg_programs import _ordered as ordered
from tests.ops.test_linalg import assert_close, outputs

RNG = np.random.default_rng(11)


def drawn(*shape):
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


def general(*shape):
    return drawn(*shape) + np.eye(*shape[-2:]) * (3 + 2 * np.arange(shape[-1]))


def positive(*shape):
    root = drawn(*shape)
    return root @ np.conj(np.swapaxes(root, -1, -2)) + shape[-1] * np.eye(shape[-1])


def hermitian(*shape):
    x = general(*shape)
    return x + np.conj(np.swapaxes(x, -1, -2))


def real_general(*shape):
    return RNG.normal(size=shape) + 2 * np.eye(shape[-1])


B, B2, W = drawn(3), drawn(3, 2), drawn(5, 2)
BATCH = drawn(2, 3, 2)


def dagger(x):
    return np.conj(np.swapaxes(x, -1, -2))


def projectors(v):
    """What vectors span, whatever their phases."""
    return v[:, :2] @ dagger(v[:, :2]), v[..., :1] * np.conj(v[..., :1])


def exponential(a):
    """exp(iA) by eigenvalues."""
    w, v = np.linalg.eigh(a)
    return (v * np.exp(1j * w / 5)) @ dagger(v)


def of_svd(a, full):
    u, s, vh = np.linalg.svd(a, full_matrices=full)
    k = len(s)
    back = (u[:, :k] * s**2) @ vh[:k]
    return back, s, u[:, k:] @ dagger(u[:, k:]), u[:, :1] @ vh[:1]


def of_hermitian_svd(a):
    u, s, vh = np.linalg.svd(a, hermitian=True)
    return (u * s**2) @ vh, s


PROGRAMS = {
    "solve": (lambda a: np.linalg.solve(a, B), general(3, 3)),
    "solve batch": (lambda a: np.linalg.solve(a, BATCH), general(3, 3)),
    "solve real side": (lambda a: np.linalg.solve(a, B2.real), general(3, 3)),
    "solve real matrix": (lambda b: np.linalg.solve(REAL, b), B2),
    "inv": (np.linalg.inv, general(2, 3, 3)),
    **{f"det {n}": (np.linalg.det, general(n, n)) for n in (1, 2, 3, 4, 6)},
    "det exchanged": (np.linalg.det, general(4, 4)[[1, 0, 3, 2]]),
    "slogdet": (lambda a: tuple(np.linalg.slogdet(a)), general(2, 4, 4)),
    "cholesky": (np.linalg.cholesky, positive(2, 3, 3)),
    "cholesky upper": (lambda a: np.linalg.cholesky(a, upper=True), positive(3, 3)),
    "qr": (lambda a: tuple(np.linalg.qr(a)), general(4, 4)),
    "qr tall": (lambda a: tuple(np.linalg.qr(a)), general(5, 3)),
    "qr complete": (lambda a: tuple(np.linalg.qr(a, "complete")), general(2, 5, 3)),
    "qr wide": (lambda a: tuple(np.linalg.qr(a)), general(3, 5)),
    "eigvalsh": (np.linalg.eigvalsh, hermitian(2, 3, 3)),
    "eigvalsh upper": (lambda a: np.linalg.eigvalsh(a, "U"), hermitian(4, 4)),
    "eigh": (exponential, hermitian(4, 4)),
    "eigh vectors": (lambda a: projectors(np.linalg.eigh(a)[1]), hermitian(4, 4)),
    "eig": (lambda a: tuple(np.linalg.eig(a)), general(4, 4)),
    "eigvals": (np.linalg.eigvals, general(2, 3, 3)),
    "svd": (lambda a: of_svd(a, False), general(4, 4)),
    "svd tall": (lambda a: of_svd(a, False), general(5, 3)),
    "svd full": (lambda a: of_svd(a, True), general(5, 3)),
    "svd full wide": (lambda a: of_svd(dagger(a), True), general(3, 5)),
    "svd hermitian": (of_hermitian_svd, hermitian(3, 3) - 4 * np.eye(3)),
    "svdvals": (np.linalg.svdvals, general(2, 3, 4)),
    "pinv": (np.linalg.pinv, general(5, 3)),
    "lstsq": (lambda a: np.linalg.lstsq(a, W)[:2], general(5, 3)),
    "norm": (np.linalg.norm, general(3, 4)),
    **{
        f"norm {o}": (ordered(np.linalg.norm, o), drawn(5))
        for o in (1, 2, 3, -1, 0, np.inf, -np.inf)
    },
    **{
        f"matrix norm {o}": (ordered(np.linalg.norm, o), general(3, 4))
        for o in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
    **{
        f"cond {p}": (ordered(np.linalg.cond, p), general(3, 3))
        for p in (None, -2, 1, "fro")
    },
    "matrix_power": (lambda a: np.linalg.matrix_power(a, -2), general(3, 3)),
    "matrix_rank": (lambda a: a * np.linalg.matrix_rank(a), general(4, 3)),
    "tensorinv": (
        lambda a: np.linalg.tensorinv(a, ind=1),
        drawn(4, 2, 2) + np.eye(4).reshape(4, 2, 2) * 4,
    ),
    "real eigvals": (lambda a: np.linalg.eigvals(a), SPIRAL := real_general(4, 4)),
    "real eig": (lambda a: tuple(np.linalg.eig(a)), SPIRAL),
    "real eig batch": (lambda a: tuple(np.linalg.eig(a)), np.stack([SPIRAL, SPIRAL.T])),
    "spectral radius": (lambda a: np.max(np.abs(np.linalg.eigvals(a))), SPIRAL + 1),
}
REAL = real_general(3, 3)
CASES = pytest.mark.parametrize("name", PROGRAMS)


@CASES
def test_value(name):
    f, x = PROGRAMS[name]
    assert_close(tj.jit(f, backend="numpy")(x), f(x), 1e-12)


@CASES
def test_derivatives(name):
    f, x = PROGRAMS[name]
    tj.check_grads(f, (x,), order=2, backend="numpy", rtol=1e-5)


def real_sum(f, x):
    """A real number that depends on every part of every result."""
    rng = np.random.default_rng(1)
    weights = [
        rng.normal(size=np.shape(y)) + 1j * rng.normal(size=np.shape(y))
        for y in outputs(f(x))
    ]
    return lambda x: sum(
        np.sum(w * y).real for w, y in zip(weights, outputs(f(x)), strict=True)
    )


COMPILED = [
    *("solve batch", "inv", "det 4", "slogdet", "cholesky", "qr tall", "eigh"),
    *("eig", "svd full", "svd full wide", "pinv", "norm 3", "real eig batch"),
]


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name):
    f, x = PROGRAMS[name]
    g = real_sum(f, x)
    value, gradient = tj.value_and_grad(g)(x)
    wanted, slope = tj.value_and_grad(g, backend="numpy")(x)
    assert_close(value, wanted, 1e-11)
    assert_close(gradient, slope, 1e-9)


@CASES
def test_single_precision(name):
    f, x = PROGRAMS[name]
    narrow = x.astype(np.complex64 if np.iscomplexobj(x) else np.float32)
    got, wanted = tj.jit(f, backend="numpy")(narrow), f(narrow)
    assert_close(got, tuple(outputs(wanted)), 1e-3)
    g = real_sum(f, x)
    slope = tj.grad(g, backend="numpy")(narrow)
    assert slope.dtype == narrow.dtype
    exact = tj.grad(g, backend="numpy")(x)
    scale = np.max(np.abs(exact), initial=1.0)
    np.testing.assert_allclose(slope / scale, exact / scale, atol=2e-3)


def test_the_gradient_is_conjugate():
    """As JAX's: of log |det A|² it is A⁻ᵀ, not its conjugate."""
    a = general(4, 4)
    slope = tj.grad(lambda a: 2 * np.linalg.slogdet(a)[1], backend="numpy")(a)
    np.testing.assert_allclose(slope, 2 * np.linalg.inv(a).T, rtol=1e-10)


def test_eigenvalues_that_happen_to_be_real_stay_complex():
    w = tj.jit(np.linalg.eigvals, backend="numpy")(np.diag([1.0, 2.0]))
    assert w.dtype == np.complex128


def test_no_eigenvalues_of_nan():
    with pytest.raises(np.linalg.LinAlgError, match="infs or NaNs"):
        tj.jit(np.linalg.eigvals, backend="numpy")(np.full((2, 2), np.nan))
