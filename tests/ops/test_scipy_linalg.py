"""`scipy.linalg` on traced arrays."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.ops.linalg_programs import _general, _positive, _symmetric
from tests.ops.test_linalg import assert_close, weighted

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


@pytest.mark.parametrize("name", ["solve", "cho_solve", "lu_solve", "expm large"])
def test_compiled(name):
    f, x = PROGRAMS[name]
    g = weighted(f, x)
    value, gradient = tj.value_and_grad(g)(x)
    wanted, slope = tj.value_and_grad(g, backend="numpy")(x)
    assert_close(value, wanted, 1e-11)
    assert_close(gradient, slope, 1e-9)
