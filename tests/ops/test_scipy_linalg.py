"""`scipy.linalg` on traced arrays."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.ops.linalg_programs import _general, _positive, _symmetric
from tests.ops.test_linalg import assert_close
from tests.ops.test_linalg_complex import real_sum as weighted
from tracejit.base.errors import UnsupportedError

la = pytest.importorskip("scipy.linalg")

RNG = np.random.default_rng(7)
A, S = _general(4, 4), _positive(4, 4)
B, V = RNG.normal(size=(4, 2)), RNG.normal(size=4)


def _triangular(lower, trans):
    return lambda a: la.solve_triangular(a, B, trans=trans, lower=lower)


PROGRAMS = {
    "solve": (lambda a: la.solve(a, B), A),
    "solve vector": (lambda a: la.solve(a, V, check_finite=False), A),
    "solve transposed": (lambda a: la.solve(a, B, transposed=True), A),
    "solve pos": (lambda a: la.solve(a, B, assume_a="pos"), S),
    "solve sym lower": (lambda a: la.solve(a, B, lower=True, assume_a="sym"), S),
    "inv": (la.inv, A),
    "det": (la.det, A),
    "cholesky": (la.cholesky, S),
    "cholesky lower": (lambda a: la.cholesky(a, lower=True), S),
    "cho_solve": (lambda a: la.cho_solve(la.cho_factor(a), B), S),
    "cho_solve lower": (lambda a: la.cho_solve(la.cho_factor(a, lower=True), V), S),
    "cho_solve known factor": (lambda b: la.cho_solve((FACTOR, True), b), B),
    **{
        f"solve_triangular {lower} {trans}": (
            _triangular(lower, trans),
            S,
        )
        for lower in (True, False)
        for trans in (0, 1)
    },
    "solve_triangular unit": (
        lambda a: la.solve_triangular(a, V, lower=True, unit_diagonal=True),
        A,
    ),
    "lu_solve": (lambda a: la.lu_solve(la.lu_factor(a), B), A[::-1].copy()),
    "lu_solve trans": (
        lambda a: la.lu_solve(la.lu_factor(a), B, trans=1),
        A[::-1].copy(),
    ),
    "lu_factor": (lambda a: la.lu_factor(a)[0], A[::-1].copy()),
    "lu": (lambda a: la.lu(a)[1:], A[::-1].copy()),
    "lu permuted": (lambda a: la.lu(a, permute_l=True), A[::-1].copy()),
    "qr": (lambda a: la.qr(a, mode="economic"), RNG.normal(size=(5, 3))),
    "svd": (lambda a: la.svd(a, full_matrices=False)[1], RNG.normal(size=(5, 3))),
    "eigh": (lambda a: la.eigh(a)[1] ** 2, _symmetric(4, 4)),
    "eigh general": (lambda a: la.eigh(a, S, eigvals_only=True), _symmetric(4, 4)),
    "eigh vectors of a pencil": (lambda b: la.eigh(SYMMETRIC, b)[1] ** 2, S),
    "eigvalsh": (la.eigvalsh, _symmetric(4, 4)),
    "pinv": (la.pinv, RNG.normal(size=(5, 3))),
    "norm": (lambda a: la.norm(a, 1), A),
    "lstsq": (lambda a: la.lstsq(a, np.ones(5))[0], RNG.normal(size=(5, 3))),
    "expm": (la.expm, 0.3 * RNG.normal(size=(4, 4))),
    "expm large": (la.expm, 3 * RNG.normal(size=(4, 4))),
    "expm zero": (la.expm, np.zeros((3, 3))),
    "block_diag": (lambda a: la.block_diag(a, V, a.T), RNG.normal(size=(2, 3))),
}
C = A + 1j * RNG.normal(size=(4, 4))
H = C @ C.conj().T
Q = _general(4, 4)
TALL = RNG.normal(size=(5, 3))
BANDS = RNG.normal(size=(3, 4)) + np.array([[0], [6], [0]])
HALF = RNG.normal(size=(2, 4)) + np.array([[0], [6]])
FIRST = 6 * np.eye(4)[0]
MATRICES = {
    **{
        name: (getattr(la, name), V)
        for name in "toeplitz circulant hankel companion fiedler".split()
    },
    "toeplitz of two": (lambda c: la.toeplitz(c, c[::-1] * 2), V),
    "hankel of two": (lambda c: la.hankel(c, 3 * c), V),
    "leslie": (lambda f: la.leslie(f, f[1:]), V),
    "convolution full": (lambda a: la.convolution_matrix(a, 3), V),
    "convolution same": (lambda a: la.convolution_matrix(a, 6, mode="same"), V),
    "convolution valid": (lambda a: la.convolution_matrix(a, 6, mode="valid"), V),
    "khatri_rao": (lambda a: la.khatri_rao(a, a[::-1]), B),
    "diagsvd": (lambda s: la.diagsvd(s, 4, 5), V),
    "dft": (lambda x: la.dft(4, scale="sqrtn") @ x, V),
    "hadamard": (lambda x: la.hadamard(4) @ x, V),
    "block_diag of lists": (lambda x: la.block_diag(x, 1.0, [2.0, 3.0]), B),
}
SYSTEMS = {
    "solve_toeplitz": (lambda c: la.solve_toeplitz(c + FIRST, B), V),
    "solve_toeplitz pair": (lambda c: la.solve_toeplitz((c + FIRST, c), V), V + FIRST),
    "matmul_toeplitz": (lambda c: la.matmul_toeplitz(c, B), V),
    "solve_circulant": (lambda c: la.solve_circulant(c + FIRST, V), V),
    "solve_banded": (lambda ab: la.solve_banded((1, 1), ab, B), BANDS),
    "solveh_banded": (lambda ab: la.solveh_banded(ab, V), HALF),
    "solveh_banded lower": (lambda ab: la.solveh_banded(ab, V, lower=True), HALF[::-1]),
    "cho_solve_banded": (
        lambda ab: la.cho_solve_banded((la.cholesky_banded(ab), False), V),
        HALF,
    ),
    "eigvals_banded": (la.eigvals_banded, HALF),
    "eigvalsh_tridiagonal": (lambda d: la.eigvalsh_tridiagonal(d, d[1:]), V),
    "solve her": (lambda a: la.solve(a, B, assume_a="her"), H),
    "solve her lower": (lambda a: la.solve(a, B, True, assume_a="her"), H),
    "solve sym": (lambda a: la.solve(a, B, assume_a="sym"), C + C.T),
    "solve pos": (lambda a: la.solve(a, B, assume_a="pos"), H),
    "solve diagonal": (lambda a: la.solve(a, B, assume_a="diagonal"), np.diag(V)),
    "solve tridiagonal": (
        lambda a: la.solve(a, B, assume_a="tridiagonal"),
        np.triu(np.tril(A, 1), -1),
    ),
    "cho_solve": (lambda a: la.cho_solve(la.cho_factor(a), B), H),
    "cho_solve lower": (lambda a: la.cho_solve(la.cho_factor(a, True), B), H),
    "triangular adjoint": (lambda a: la.solve_triangular(a, B, trans="C"), C),
    "lu_solve adjoint": (lambda a: la.lu_solve(la.lu_factor(a), B, trans=2), C),
    "sylvester": (lambda a: la.solve_sylvester(a, Q, B @ B.T), A),
    "continuous lyapunov": (lambda a: la.solve_continuous_lyapunov(a, S), A),
    "discrete lyapunov": (lambda a: la.solve_discrete_lyapunov(a / 9, S), A),
    "discrete lyapunov bilinear": (
        lambda a: la.solve_discrete_lyapunov(a / 9, S, method="bilinear"),
        A,
    ),
    "complex lyapunov": (lambda a: la.solve_continuous_lyapunov(a, H), C),
}
FUNCTIONS = {
    **{
        name: (getattr(la, name), A / 3)
        for name in "cosm sinm tanm coshm sinhm tanhm sqrtm logm signm".split()
    },
    **{
        f"complex {name}": (getattr(la, name), C / 3)
        for name in "expm cosm sinm sinhm sqrtm logm".split()
    },
    "sqrtm of unity": (la.sqrtm, np.eye(3)),
    "fractional power": (lambda a: la.fractional_matrix_power(a, 0.3), S),
    "negative power": (lambda a: la.fractional_matrix_power(a, -0.5), S),
    "expm_frechet": (lambda a: la.expm_frechet(a, Q), A / 3),
    "expm_frechet alone": (
        lambda e: la.expm_frechet(A / 3, e, compute_expm=False),
        Q,
    ),
    "polar": (la.polar, TALL),
    "polar left": (lambda a: la.polar(a, side="left"), TALL),
    "procrustes": (lambda a: la.orthogonal_procrustes(a, S), A),
    "null_space": (lambda a: _onto(la.null_space(a)), TALL.T),
    "orth": (lambda a: _onto(la.orth(a)), TALL),
    "pinvh": (la.pinvh, S),
    "eig": (lambda a: la.eig(a), A),
    "eigvals of a pencil": (lambda a: np.sum(la.eigvals(a, Q) ** 3), A),
    "eigvals of a Hermitian pencil": (
        lambda a: la.eigh(a, H + np.eye(4), eigvals_only=True),
        H,
    ),
    "some eigenvalues": (lambda a: la.eigvalsh(a, subset_by_index=[1, 2]), S),
}
PROGRAMS |= MATRICES | SYSTEMS | FUNCTIONS


def _onto(v):
    """The projector on what vectors span: which basis it is does not matter."""
    return v @ v.T


FACTOR = np.linalg.cholesky(S)
SYMMETRIC = _symmetric(4, 4)
CASES = pytest.mark.parametrize("name", PROGRAMS)


@CASES
def test_value(name):
    f, x = PROGRAMS[name]
    assert_close(tj.jit(f, backend="numpy")(x), f(x), 1e-11)


@CASES
def test_derivatives(name):
    f, x = PROGRAMS[name]
    tj.check_grads(f, (x,), order=2, backend="numpy", rtol=1e-5)


COMPILED = ["solve", "cho_solve", "lu_solve adjoint", "expm large", "sqrtm", "toeplitz"]


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name):
    f, x = PROGRAMS[name]
    g = weighted(f, x)
    value, gradient = tj.value_and_grad(g)(x)
    wanted, slope = tj.value_and_grad(g, backend="numpy")(x)
    assert_close(value, wanted, 1e-11)
    assert_close(gradient, slope, 1e-9)


def test_what_has_no_program_is_refused():
    for f in (la.schur, la.ldl, lambda a: la.eig(a, left=True)):
        with pytest.raises(UnsupportedError):
            tj.jit(f, backend="numpy")(A)


def test_functions_that_are_complex_of_real_matrices_are_refused():
    """SciPy's type depends on the values; ours is what it is of most."""
    for f in (la.sqrtm, la.logm):
        with pytest.raises(np.linalg.LinAlgError, match="complex"):
            tj.jit(f, backend="numpy")(-S)


def test_functions_of_matrices_with_equal_eigenvalues():
    w = RNG.normal(size=(3, 3))
    slope = tj.grad(lambda a: np.sum(w * la.logm(a)), backend="numpy")(2 * np.eye(3))
    np.testing.assert_allclose(slope, w / 2, rtol=1e-12)


def test_matrices_that_cannot_be_diagonalised_are_refused():
    jordan = np.array([[2.0, 1.0], [0.0, 2.0]])
    with pytest.raises(np.linalg.LinAlgError, match="eigenvectors"):
        tj.jit(la.logm, backend="numpy")(jordan)


def test_a_space_must_have_the_dimension_that_it_was_traced_with():
    with pytest.raises(np.linalg.LinAlgError, match="rank"):
        tj.jit(la.null_space, backend="numpy")(np.ones((2, 3)))
