"""Programs that use linear algebra as people do, and what goes wrong in them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import MatrixShapeError
from tracejit.testing import compilations

BACKENDS = pytest.mark.parametrize("backend", ["numpy", "numba"])


def spread(rng, n, d):
    return rng.uniform(-2, 2, size=(n, d))


def gaussian_process(theta, x, y):
    """The negative log marginal likelihood of a Gaussian process."""
    length, scale, noise = np.exp(theta)
    gaps = (x[:, None, :] - x[None, :, :]) / length
    k = scale * np.exp(-0.5 * np.sum(gaps**2, axis=-1)) + noise * np.eye(len(x))
    factor = np.linalg.cholesky(k)
    alpha = np.linalg.solve(factor.T, np.linalg.solve(factor, y))
    fit = 0.5 * y @ alpha + np.sum(np.log(np.diag(factor)))
    return fit + 0.5 * len(x) * np.log(2 * np.pi)


def gaussian_process_by_slogdet(theta, x, y):
    """The same, written another way."""
    length, scale, noise = np.exp(theta)
    gaps = (x[:, None, :] - x[None, :, :]) / length
    k = scale * np.exp(-0.5 * np.sum(gaps**2, axis=-1)) + noise * np.eye(len(x))
    _, size = np.linalg.slogdet(k)
    fit = 0.5 * y @ np.linalg.solve(k, y) + 0.5 * size
    return fit + 0.5 * len(x) * np.log(2 * np.pi)


def kalman(params, observed):
    """The log likelihood of a Kalman filter with two states, step by step."""
    drift, q, r = params
    f = np.array([[1.0, 0.1], [0.0, 1.0]])
    h = np.array([[1.0, 0.0], [0.5, 0.5]])
    f[1, 0] = -drift
    mean, cov = np.zeros(2), np.eye(2)
    total = 0.0
    for t in range(observed.shape[0]):
        mean = f @ mean
        cov = f @ cov @ f.T + q * np.eye(2)
        gap = observed[t] - h @ mean
        s = h @ cov @ h.T + r * np.eye(2)
        gain = np.linalg.solve(s, h @ cov).T
        mean = mean + gain @ gap
        cov = (np.eye(2) - gain @ h) @ cov
        total -= 0.5 * (gap @ np.linalg.solve(s, gap) + np.linalg.slogdet(s)[1])
    return total


def assert_derivatives(f, x, backend):
    """Against differences if interpreted; compiled against interpreted."""
    if backend == "numpy":
        tj.check_grads(f, (x,), order=2, backend=backend)
    else:
        wanted = tj.grad(f, backend="numpy")(x)
        np.testing.assert_allclose(tj.grad(f)(x), wanted, rtol=1e-9)


THETA = np.array([0.1, -0.2, -1.5])


@BACKENDS
@pytest.mark.parametrize("program", [gaussian_process, gaussian_process_by_slogdet])
def test_gaussian_process(program, backend):
    rng = np.random.default_rng(0)
    x, y = spread(rng, 12, 2), rng.normal(size=12)
    value = tj.jit(program, backend=backend)(THETA, x, y)
    np.testing.assert_allclose(value, program(THETA, x, y), rtol=1e-12)
    assert_derivatives(lambda t: program(t, x, y), THETA, backend)


@BACKENDS
def test_kalman_filter(backend):
    observed = np.random.default_rng(1).normal(size=(15, 2))
    params = np.array([0.3, 0.2, 0.5])
    value = tj.jit(kalman, backend=backend)(params, observed)
    np.testing.assert_allclose(value, kalman(params, observed), rtol=1e-12)
    assert_derivatives(lambda p: kalman(p, observed), params, backend)


def test_sizes_share_a_kernel():
    def f(a, b):
        q, _ = np.linalg.qr(a)
        w, v = np.linalg.eigh(a.T @ a)
        s = np.linalg.svd(a, compute_uv=False)
        x = np.linalg.solve(a.T @ a + np.eye(a.shape[1]), b)
        return np.sum(q) + np.sum(w) + np.sum(v[:, 0]) + np.sum(s) + np.sum(x)

    rng = np.random.default_rng(2)
    g = tj.grad(f)
    counts = []
    for n, m in ((30, 20), (40, 11)):
        a, b = rng.normal(size=(n, m)), rng.normal(size=m)
        g(a, b)
        counts.append(compilations())
    assert counts[0] == counts[1]


# What NumPy says of matrices that will not do -----------------------------------------


@BACKENDS
@pytest.mark.parametrize(
    ("function", "matrix", "message"),
    [
        (np.linalg.inv, np.ones((3, 3)), "Singular matrix"),
        (lambda a: np.linalg.solve(a, np.ones(2)), np.zeros((2, 2)), "Singular matrix"),
        (np.linalg.cholesky, -np.eye(3), "Matrix is not positive definite"),
        (
            np.linalg.cholesky,
            np.stack([np.eye(2), np.array([[1.0, 2], [2, 1]])]),
            "Matrix is not positive definite",
        ),
        (np.linalg.svd, np.full((2, 2), np.nan), "SVD did not converge"),
    ],
)
def test_runtime_failure(function, matrix, message, backend):
    with pytest.raises(np.linalg.LinAlgError, match=message):
        function(matrix)
    with pytest.raises(np.linalg.LinAlgError, match=message):
        tj.jit(lambda a: np.sum(function(a)[0]), backend=backend)(matrix)


@BACKENDS
def test_nothing_fails_in_a_branch_not_taken(backend):
    def f(a, go):
        return np.sum(np.linalg.inv(a)) if go > 0 else np.sum(a)

    assert tj.jit(f, backend=backend)(np.zeros((2, 2)), -1.0) == 0


@BACKENDS
def test_nan_passes(backend):
    a = np.array([[1.0, np.nan], [0.0, 1.0]])
    low = a.T.copy()
    for f, x in ((np.linalg.inv, a), (np.linalg.cholesky, low)):
        np.testing.assert_array_equal(tj.jit(f, backend=backend)(x), f(x))


@BACKENDS
def test_determinants_of_singular_matrices(backend):
    ones = np.ones((4, 4))
    assert tj.jit(np.linalg.det, backend=backend)(ones) == 0
    sign, size = tj.jit(lambda a: tuple(np.linalg.slogdet(a)), backend=backend)(ones)
    assert (sign, size) == (0, -np.inf)
    small = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 1.0]])
    slope = tj.grad(np.linalg.det, backend=backend)(small)
    wanted = [[-2, -2, 2], [1, 1, -1], [0, 0, 0]]
    np.testing.assert_allclose(slope, wanted, atol=1e-12)


def test_shapes_are_refused():
    with pytest.raises(MatrixShapeError, match="square"):
        tj.jit(np.linalg.inv)(np.ones((2, 3)))
    with pytest.raises(MatrixShapeError, match="two-dimensional"):
        tj.jit(np.linalg.cholesky)(np.ones(3))
    with pytest.raises(MatrixShapeError, match="rows"):
        tj.jit(np.linalg.solve)(np.eye(3), np.ones(2))


# Conventions --------------------------------------------------------------------------


def test_a_norm_has_no_slope_at_zero():
    for f in (np.linalg.norm, lambda x: np.linalg.norm(x, 3)):
        np.testing.assert_array_equal(tj.grad(f)(np.zeros(3)), np.zeros(3))


def test_the_lower_triangle_is_what_is_read():
    """The derivative is that of NumPy's function, by every element for itself; along
    symmetric directions it is the derivative of symmetric matrices."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=(3, 3))
    a = a @ a.T + 3 * np.eye(3)
    for f in (
        lambda a: np.sum(np.sin(np.linalg.cholesky(a))),
        lambda a: np.sum(np.sin(np.linalg.eigvalsh(a))),
    ):
        slope = tj.grad(f, backend="numpy")(a)
        assert not np.any(np.triu(slope, 1))
        other = tj.grad(lambda a: f(a.T), backend="numpy")(a)  # noqa: B023
        np.testing.assert_array_equal(other, slope.T)


def test_eigenvalues_that_coincide():
    slope = tj.grad(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2))(np.eye(3))
    np.testing.assert_allclose(slope, 2 * np.eye(3), atol=1e-15)


@BACKENDS
def test_empty(backend):
    nothing = np.zeros((0, 0))
    for f in (np.linalg.inv, np.linalg.cholesky, np.linalg.det):
        got = tj.jit(f, backend=backend)(nothing)
        np.testing.assert_array_equal(got, f(nothing))


def run_with(found, body):
    """Python code in a process that finds this LAPACK."""
    text = (
        "from tracejit.backend import lapack\n"
        f"lapack._found = lambda: ({found}, 32)\n"
        "import numpy as np, tracejit as tj\n"
        f"{body}\n"
    )
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=100
    )


def test_without_lapack_it_says_so():
    done = run_with("{}", "tj.jit(lambda a: np.linalg.inv(a - 0.12345))(np.eye(3))")
    assert "UnsupportedError: this NumPy gives no access to its LAPACK" in done.stderr


def test_scipys_lapack_serves_too():
    pytest.importorskip("scipy")
    body = (
        "a = np.arange(16.0).reshape(4, 4) + 9 * np.eye(4)\n"
        "f = lambda a: (np.linalg.inv(a), *np.linalg.svd(a), *np.linalg.qr(a))\n"
        "for x, y in zip(tj.jit(f)(a), f(a), strict=True):\n"
        "    np.testing.assert_allclose(x, y, atol=1e-13)"
    )
    done = run_with("lapack._of_scipy()", body)
    assert done.returncode == 0, done.stderr
