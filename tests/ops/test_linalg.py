"""`np.linalg` on traced arrays: values, derivatives to second order, kernels."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.ops.linalg_programs import PROGRAMS

CASES = pytest.mark.parametrize("name", PROGRAMS)


def outputs(out):
    return list(out) if isinstance(out, tuple) else [out]


def assert_close(got, wanted, tolerance):
    for mine, theirs in zip(outputs(got), outputs(wanted), strict=True):
        assert np.shape(mine) == np.shape(theirs)
        assert np.asarray(mine).dtype == np.asarray(theirs).dtype
        scale = np.max(np.abs(theirs), initial=1.0)
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * scale)


@CASES
def test_value(name):
    f, x = PROGRAMS[name]
    assert_close(tj.jit(f, backend="numpy")(x), f(x), 1e-12)


@CASES
def test_derivatives(name):
    f, x = PROGRAMS[name]
    tj.check_grads(f, (x,), order=2, backend="numpy")


def test_a_complete_factorisation_needs_no_reflections():
    """LAPACK leaves out reflections of columns that are zero already."""
    f = lambda a: tuple(np.linalg.qr(a, mode="complete"))  # noqa: E731
    a = np.random.default_rng(0).normal(size=(5, 3))
    for x in (
        np.vstack([np.triu(a[:3]), a[3:] * 0]),
        a * [[1, 1, 1], *[[0, 1, 1]] * 4],
    ):
        assert_close(tj.jit(f, backend="numpy")(x), f(x), 1e-13)


def weighted(f, x):
    """A number that depends on every result, and needs no adjoint of zeros."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=np.shape(y)) for y in outputs(f(x))]
    return lambda x: sum(
        np.sum(w * y) for w, y in zip(weights, outputs(f(x)), strict=True)
    )


#: Programs that between them call every routine, on one matrix and on several.
COMPILED = [
    *("solve matrix", "solve batch", "solve broadcast", "inv batch", "tensorsolve"),
    *("lstsq wide", "det 3", "det negative", "slogdet batch", "cholesky batch"),
    *(
        "cholesky of a gram",
        "qr tall",
        "qr wide",
        "qr batch",
        "qr complete",
        "eigh",
        "eigh batch",
    ),
    *(
        "svd tall",
        "svd full",
        "svd hermitian",
        "svd wide",
        "svd batch",
        "pinv",
        "matrix_power -2",
        "matrix_rank",
    ),
    *("norm 3", "matrix norm nuc", "norm axes", "cond fro", "multi_dot"),
]


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name):
    f, x = PROGRAMS[name]
    g = weighted(f, x)
    value, gradient = tj.value_and_grad(g)(x)
    wanted, slope = tj.value_and_grad(g, backend="numpy")(x)
    assert_close(value, wanted, 1e-11)
    assert_close(gradient, slope, 1e-9)


@CASES
def test_single_precision(name):
    f, x = PROGRAMS[name]
    narrow = x.astype(np.float32)
    got = tj.jit(f, backend="numpy")(narrow)
    assert_close(got, f(narrow), 2e-4)
    slope = tj.grad(weighted(f, x), backend="numpy")(x)
    (mine,) = tj.vjp(f, narrow, backend="numpy")[1](_cotangents(f, x, got))
    assert mine.dtype == np.float32
    scale = np.max(np.abs(slope), initial=1.0)
    np.testing.assert_allclose(mine / scale, slope / scale, atol=2e-3)


def _cotangents(f, x, got):
    rng = np.random.default_rng(1)
    weights = [
        rng.normal(size=np.shape(y)).astype(np.asarray(y).dtype)[()]
        for y in outputs(got)
    ]
    return tuple(weights) if isinstance(f(x), tuple) else weights[0]
