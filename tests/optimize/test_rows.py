"""Rows that may be one and the same are told apart row by row, others all at once."""

from __future__ import annotations

import numpy as np
import pytest

from tests.optimize.kernels import text_of
from tracejit import check_grads, grad, jit, make_ir
from tracejit.backend.numba_source import write
from tracejit.optimize.lower import lower


def through(D):
    D = D.copy()
    n = D.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                D[i, j] = min(D[i, j], D[i, k] + D[k, j])
    return np.sum(D**2)


def eliminated(A):
    A = A.copy()
    n = A.shape[0]
    for k in range(n):
        for i in range(k + 1, n):
            for j in range(k + 1, n):
                A[i, j] -= A[i, k] * A[k, j]
    return np.sum(A**2)


def swept(A):
    A = A.copy()
    n = A.shape[0]
    for k in range(n):
        for i in range(1, n):
            for j in range(n):
                A[i, j] += 0.1 * A[n - i, j] * A[i - 1, k]
    return np.sum(A**2)


def stepped(A):
    """Going back, the rows of the tape come from the last to the first."""
    x = A[0].copy()
    for _ in range(40):
        x[1:-1] = x[1:-1] + 0.1 * x[1:-1] * (x[2:] - x[:-2])
    return np.sum(x**2)


X = np.random.default_rng(0).uniform(0.1, 1.0, (6, 6))


@pytest.mark.parametrize(
    ("f", "meet"), [(through, True), (eliminated, False), (swept, True)]
)
def test_rows_are_hidden_where_they_may_meet(f, meet):
    text = write(lower(make_ir(f)(X))).text
    assert ("_tj_hidden" in text) == meet


def test_rows_that_come_backwards_are_hidden():
    rows = np.random.default_rng(1).uniform(size=(2, 40))  # too long to unroll
    assert "_tj_hidden" not in write(lower(make_ir(stepped)(rows))).text
    assert "_tj_hidden" in write(lower(make_ir(grad(stepped))(rows))).text


@pytest.mark.parametrize("f", [through, eliminated, swept, stepped])
def test_gradients(f):
    np.testing.assert_allclose(grad(f)(X), grad(f, backend="numpy")(X), rtol=1e-12)
    check_grads(f, (X,), order=1)


def down(A):
    """Each column's sum, by a loop that steps from row to row."""
    out = np.zeros(A.shape[1])
    for j in range(A.shape[1]):
        for i in range(A.shape[0]):
            out[j] += np.tanh(A[i, j])
    return out


def added_down(A):
    """Numbers that lie apart are no better added up in vectors."""
    out = np.zeros(A.shape[1])
    for j in range(A.shape[1]):
        for i in range(A.shape[0]):
            out[j] += A[i, j]
    return out


def across(A):
    out = np.zeros(A.shape[0])
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            out[i] += np.tanh(A[i, j])
    return out


@pytest.mark.parametrize(
    ("f", "columns", "stepping"),
    [(down, 9, True), (down, 8, False), (across, 9, False)],
)
def test_extents_that_the_innermost_loop_steps_by(f, columns, stepping):
    """Only those that the text takes as arguments, which are never small."""
    A = np.random.default_rng(1).uniform(size=(40, columns))
    text = text_of(f, A)
    assert ("_tj_stride(n" in text) == stepping
    np.testing.assert_allclose(jit(f)(A), f(A), rtol=1e-13)
    np.testing.assert_allclose(jit(f)(A[:12]), f(A[:12]), rtol=1e-13)
