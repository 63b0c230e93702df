"""Rows of recurrences run side by side where none comes too early, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backend.random_programs import run_as_python
from tracejit import grad, make_ir, value_and_grad
from tracejit.backend.numba_source import write
from tracejit.optimize.lower import lower


def sweep(A, w):
    A = A.copy()
    n, m = A.shape
    for i in range(1, n - 1):
        for j in range(1, m - 1):
            A[i, j] = w * (A[i - 1, j] + A[i, j - 1] + A[i, j + 1] + A[i + 1, j])
    return np.sum(A * A)


def upwards(A, w):
    A = A.copy()
    n, m = A.shape
    for i in range(n - 2, -1, -1):
        for j in range(m - 2, -1, -1):
            A[i, j] = np.sin(A[i + 1, j] * w + A[i, j + 1]) + A[i + 1, j + 1]
    return np.sum(A * A)


def distance(A, w):
    n, m = A.shape
    D = np.zeros((n + 1, m + 1))
    for i in range(1, n + 1):
        D[i, 0] = D[i - 1, 0] + w
        for j in range(1, m + 1):
            if A[i - 1, j - 1] > 0.7:
                D[i, j] = D[i - 1, j - 1] + A[i - 1, j - 1]
            else:
                D[i, j] = min(D[i - 1, j], D[i, j - 1]) + w
    return D[n, m]


def chains(A, w):
    total = 0.0
    for i in range(A.shape[0]):
        s = w
        for j in range(A.shape[1]):
            s = w * s + np.sin(s) * A[i, j]
            total += s
    return total


def corners(A, w):  # a row reads what the one before wrote a cell further on
    A = A.copy()
    n, m = A.shape
    for i in range(1, n):
        for j in range(1, m - 1):
            A[i, j] = w * A[i - 1, j + 1] + 0.5 * A[i, j - 1]
    return np.sum(A * A)


def one_row(A, w):  # all rows are the same one
    A = A.copy()
    n, m = A.shape
    for _ in range(n):
        for j in range(1, m):
            A[0, j] = w * A[0, j - 1] + 0.5 * A[0, j]
    return np.sum(A * A)


def far_corners(A, w):
    A = A.copy()
    n, m = A.shape
    for i in range(n - 2, -1, -1):
        for j in range(m - 2, 2, -1):
            A[i, j] = np.sin(w * A[i + 1, j - 3]) + 0.5 * A[i, j + 1]
    return np.sum(A * A)


def handed_on(A, w):  # a row begins with what the one before ended with
    s = w
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            s = np.sin(s) * A[i, j] + w
    return s


def last_first(A, w):  # after a row, what the next one begins with
    A = A.copy()
    n, m = A.shape
    for i in range(1, n):
        for j in range(1, m):
            A[i, j] = w * A[i, j - 1] + A[i - 1, j]
        A[n - 1, 0] += A[i, m - 1]
    return np.sum(A * A)


def much(A, w):  # the next row need not wait for a cell in the same round
    n, m = A.shape
    D = np.ones((n + 1, m + 1))
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            a, b, c = D[i - 1, j], D[i, j - 1], D[i - 1, j - 1]
            low = min(a, b, c)
            s = np.exp((low - a) / w) + np.exp((low - b) / w) + np.exp((low - c) / w)
            D[i, j] = (A[i - 1, j - 1] - 0.3) ** 2 + low - w * np.log(s)
    return D[n, m]


TOGETHER = [sweep, upwards, distance, chains]
LAGGING = [corners, one_row, far_corners]
ALONE = [handed_on, last_first]


def summed(A, w):  # the way back adds every row to the same cells
    return np.sum(np.exp(w * (A @ A[0])))


def filtered(x, w):  # the way back adds each row a cell further on
    out = np.zeros(len(x) - len(w) + 1)
    for k in range(len(w)):
        out += w[k] * x[k : k + len(out)]
    return np.sum(out**3)


def spread(x, w):  # two cells further on, and already on the way there
    out = np.zeros(len(x) + 2 * len(w))
    for k in range(len(w)):
        for i in range(len(x)):
            out[2 * k + i] += w[k] * x[i]
    return np.sum(out**3)


def text(f, *args):
    return write(lower(make_ir(f)(*args))).text


def cells(n, m):
    return np.random.default_rng(n).uniform(0.1, 1.0, (n, m))


@pytest.mark.parametrize("f", TOGETHER)
def test_rows_run_side_by_side(f):
    assert " // 4" in text(f, cells(9, 8), 0.3)
    assert " // " in text(grad(f), cells(9, 8), 0.3)


@pytest.mark.parametrize("f", LAGGING)
def test_two_rows_run_with_a_lag(f):
    assert " // 2" in text(f, cells(9, 8), 0.3)


def test_a_row_of_much_work_runs_a_cell_behind():
    lines = text(much, cells(9, 8), 0.3)
    assert " // 2" in lines and "in range(1, 2):" in lines


def test_rows_that_add_to_the_same_cells_run_side_by_side():
    args = np.ones((400, 30)), np.ones(30)
    lines = text(grad(lambda A, w: np.sum(np.exp(A @ w)), 1), *args).splitlines()
    added = [line.strip() for line in lines if "out[j_" in line and "+" in line]
    assert len(added) == 5, "four rows at a time, and the rest one by one"


def test_rows_that_do_much_else_run_one_by_one():
    def energy(x):
        total = 0.0
        for i in range(len(x)):
            for j in range(len(x)):
                d = x[j] - x[i]
                total += np.sqrt(0.1 + d * d) / (0.1 + d * d * np.sqrt(0.2 + d * d))
        return total

    assert " // " not in text(grad(energy), np.ones(30))


@pytest.mark.parametrize("f", ALONE)
def test_rows_that_wait_for_others_do_not(f):
    assert " // " not in text(f, cells(9, 8), 0.3)


def test_rounds_that_do_not_wait_are_left_to_vector_instructions():
    def scaled(A, w):
        A = A.copy()
        for i in range(1, A.shape[0]):
            for j in range(A.shape[1]):
                A[i, j] += w * A[i - 1, j]
        return np.sum(A)

    assert " // " not in text(scaled, cells(9, 8), 0.3)


@pytest.mark.parametrize("f", [*TOGETHER, *LAGGING, *ALONE, much, summed])
@pytest.mark.parametrize(
    ("n", "m"), [(1, 5), (2, 5), (5, 6), (8, 1), (8, 2), (8, 3), (8, 4), (11, 5)]
)
def test_any_number_of_rows(f, n, m):
    both = value_and_grad(f, (0, 1))
    A = cells(n, m)
    value, grads = value_and_grad(f, (0, 1), backend="numpy")(A, 0.3)
    np.testing.assert_allclose(value, f(A, 0.3), rtol=1e-12)
    found = run_as_python(make_ir(both)(A, 0.3), (A, 0.3))
    for x, y in zip(found, (value, *grads), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("f", [filtered, spread])
@pytest.mark.parametrize(("n", "m"), [(9, 9), (10, 9), (12, 10), (11, 9), (30, 13)])
def test_rows_that_slide_along_are_added_up_in_one_place(f, n, m):
    x, w = cells(1, n)[0], cells(2, m)[1]
    both = make_ir(value_and_grad(f, (0, 1)))(x, w)
    value, grads = value_and_grad(f, (0, 1), backend="numpy")(x, w)
    np.testing.assert_allclose(value, f(x, w), rtol=1e-12)
    for a, b in zip(run_as_python(both, (x, w)), (value, *grads), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert " // 4" in write(lower(both)).text or len(x) - len(w) < 9


def test_compiled():
    x, w = cells(1, 60)[0], cells(2, 11)[1]
    for mine, other in zip(
        grad(filtered, (0, 1))(x, w),
        grad(filtered, (0, 1), backend="numpy")(x, w),
        strict=True,
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-10)
    A = cells(8, 7)
    np.testing.assert_allclose(
        grad(distance)(A, 0.3), grad(distance, backend="numpy")(A, 0.3), rtol=1e-10
    )
