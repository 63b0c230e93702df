"""What the first release promises, as a user would check it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import (
    DataDependentShapeError,
    FenceError,
    IndexRangeError,
    NonDifferentiableError,
    NonScalarOutputError,
    OutsideStoreError,
    StagingError,
    TracedValueError,
    UnsupportedDTypeError,
)
from tracejit.testing import compilations

both = pytest.mark.parametrize("backend", ["numpy", "numba"])


def seidel(T, n):
    def f(A, w):
        A = A.copy()
        for _ in range(T):
            for i in range(1, n - 1):
                for j in range(1, n - 1):
                    A[i, j] = np.tanh(
                        w
                        * (
                            A[i - 1, j]
                            + A[i, j - 1]
                            + A[i, j]
                            + A[i, j + 1]
                            + A[i + 1, j]
                        )
                    )
        return np.sum(A * A)

    return f


@both
def test_a_triple_loop_in_place(backend):
    A = np.random.default_rng(0).normal(size=(6, 6))
    tj.check_grads(seidel(3, 6), (A, 0.3), order=1, backend=backend)


def test_the_number_of_trips_changes_no_source():
    A = np.random.default_rng(0).normal(size=(12, 12))
    texts = {
        tj.show(tj.grad(seidel(T, 12), argnums=(0, 1)), A, 0.3, stage="source")
        for T in (50, 51, 100_000)
    }
    assert len(texts) == 1


def test_a_new_size_compiles_nothing_in_two_dimensions():
    rng = np.random.default_rng(0)
    tj.grad(seidel(20, 12))(rng.normal(size=(12, 12)), 0.3)
    before = compilations()
    for n in (13, 20, 31):
        A = rng.normal(size=(n, n))
        np.testing.assert_allclose(
            tj.grad(seidel(20, n))(A, 0.3),
            tj.grad(seidel(20, n), backend="numpy")(A, 0.3),
            rtol=1e-10,
        )
    assert compilations() == before


# Errors -----------------------------------------------------------------------------

OUTSIDE = []


def not_scalar(x):
    return x * 2


def shape_from_data(x):
    positive = x[x > 0]
    return np.sum(np.tile(positive, 2))


def tries(x):
    try:
        if x[0] > 0:
            raise ValueError("positive")
        y = np.sum(x)
    except ValueError:
        y = x[0]
    return y


def branches_of_two_shapes(x):
    y = x if x[0] > 0 else x[:1]
    return np.sum(y)


def stores_outside(x):
    OUTSIDE.append(SimpleNamespace(v=x[0]))
    return np.sum(x)


def runs_over(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i + 1]
    return s


def indexes_by_data(x):
    s = 0.0
    for i in range(3):
        s += x[int(x[i] * 10)]
    return s


def indexes_a_dict(x):
    return {0: 1.0, 1: 2.0}[int(x[0])] * x[1]


X = np.array([0.5, -1.0, 2.0])


@both
@pytest.mark.parametrize(
    "fn, error, line",
    [
        (not_scalar, NonScalarOutputError, "return x * 2"),
        (shape_from_data, DataDependentShapeError, "np.tile("),
        (tries, FenceError, 'raise ValueError("positive")'),
        (branches_of_two_shapes, StagingError, "y = x if x[0] > 0 else x[:1]"),
        (stores_outside, OutsideStoreError, "OUTSIDE.append("),
        (runs_over, IndexRangeError, "s += x[i + 1]"),
        (indexes_by_data, IndexRangeError, "s += x[int(x[i] * 10)]"),
        (indexes_a_dict, TracedValueError, "{0: 1.0, 1: 2.0}[int(x[0])]"),
    ],
)
def test_errors_name_the_users_line(backend, fn, error, line):
    x = X.copy()
    with pytest.raises(error) as caught:
        tj.grad(fn, backend=backend)(x)
    assert __file__ in str(caught.value) and line in str(caught.value)
    np.testing.assert_array_equal(x, X)
    assert not OUTSIDE


@pytest.mark.parametrize(
    "x, error",
    [
        (np.arange(3), NonDifferentiableError),
        (np.array([True]), NonDifferentiableError),
        (X.astype(np.float16), UnsupportedDTypeError),
        (X.astype(np.longdouble), UnsupportedDTypeError),
        (np.ma.array(X), UnsupportedDTypeError),
    ],
)
def test_arguments_that_are_refused(x, error):
    with pytest.raises(error) as caught:
        tj.grad(lambda x: np.sum(x * 1.0))(x)
    assert "Instead" in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_python_decisions_without_source_are_refused():
    namespace = {"np": np}
    exec("def f(x):\n    return np.sum(x) * float(x[0])", namespace)
    with pytest.raises(TracedValueError, match="float"):
        tj.grad(namespace["f"])(X)


def test_boundscheck_can_be_left_out():
    def f(x, k):
        return x[k[0]]

    k = np.array([1])
    np.testing.assert_array_equal(
        tj.grad(f, boundscheck=False)(X, k), np.array([0.0, 1.0, 0.0])
    )
    assert "check" not in str(tj.make_ir(tj.grad(f, boundscheck=False))(X, k))
    with pytest.raises(IndexRangeError):
        tj.grad(f)(X, np.array([3]))
