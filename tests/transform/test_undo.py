"""Arrays overwritten piece by piece are put back on the way back, not saved whole."""

from __future__ import annotations

import numpy as np
import pytest

from tests.corpus.judge import RIGHT, judge
from tracejit import check_grads, grad, make_ir

RNG = np.random.default_rng(1)
HALF = RNG.uniform(0.5, 1, size=6)


def branch(A, b):
    A = A.copy()
    n = len(b)
    s = 0.0
    for i in range(n):
        if b[i] > 0:
            A[i] = A[i] * b[i] + np.sum(A[:i] * A[:i]) * 0.1
        else:
            A[n - 1 - i] = np.sin(A[i])
            A[i] = A[i] * 0.5 + 1.0
        for j in range(i):
            s += 0.1 * np.sin(A[j] * A[i]) * A[j]
    return s + np.sum(A)


def branch2(A, b):
    A = A.copy()
    n = len(b)
    s = 0.0
    for i in range(n):
        if b[i] > 0:
            for j in range(n):
                s += A[j] ** 2 * b[i]
            A[i] = A[i] * b[i]
            for j in range(n):
                s += A[j] ** 3
        else:
            for j in range(n):
                s += np.cos(A[j])
    return s + np.sum(A)


def whil(A):
    A = A.copy()
    n = len(A)
    k = 0
    s = 0.0
    while k < 2 * n and s < 50.0:
        i = k % n
        A[i] = A[i] * 1.1 + 0.1 * A[(i + 1) % n] ** 2
        for j in range(n):
            s += 0.1 * A[j] * A[j] * A[i]
        k += 1
    return s


def two(A, B):
    A, B = A.copy(), B.copy()
    n = len(A)
    for i in range(n):
        for j in range(n):
            A[i, j] += np.sum(B[i, :j] * A[j, :j])
            B[j, i] = B[j, i] * A[i, j]
        A[i, 0] = B[i, i]
    return A + B


def swap(A):
    A = A.copy()
    n = len(A)
    for i in range(n):
        for j in range(i + 1, n):
            t = A[i] * A[j]
            A[i], A[j] = A[j] + 0.1 * t, A[i]
        A[i] = A[i] + np.sum(A[i:] ** 2) * 0.1
    return A


def rows(A):
    A = A.copy()
    n = A.shape[0]
    for k in range(n):
        for i in range(n):
            if i != k:
                f = A[i, k] / A[k, k]
                A[i] -= f * A[k]
        A[k] = A[k] / A[k, k]
    return A


def brk(A):
    A = A.copy()
    n = len(A)
    for i in range(1, n):
        A[i] = A[i] + np.sum(A[:i] ** 2) * 0.1
        if A[i] > 2.0:
            break
        A[0] = A[0] * A[i]
    return A


def early(A):
    A = A.copy()
    n = len(A)
    s = 0.0
    for i in range(n):
        for j in range(n):
            if A[j] > 1.5:
                break
            s += A[j] ** 2 * A[i]
            A[j] = A[j] * 1.05 + 0.01 * s
    return s


def tworesults(A):
    A = A.copy()
    B = np.zeros_like(A)
    n = len(A)
    for i in range(n):
        A[i] = np.sum(A * A) * 0.1 + A[i]
        B[i] = np.sum(A[:i] ** 2)
        A[n - 1 - i] += B[i] * 0.1
    return A, B, np.sum(A * B)


def other_branch(A, b):
    if b[0] > 0:
        for i in range(len(b)):
            if A[0] > b[i]:
                A[2] -= b[1] * A[i]
            else:
                A[:] = np.sum(A) * b
    else:
        A = A + b
    return A


CASES = [
    (other_branch, HALF + 0.1, np.abs(RNG.normal(size=6))),
    (branch, RNG.normal(size=6), RNG.normal(size=6)),
    (branch2, RNG.normal(size=5), RNG.normal(size=5)),
    (whil, HALF[:4]),
    (two, RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4))),
    (swap, RNG.normal(size=5) * 0.5),
    (rows, RNG.normal(size=(4, 4)) + 3 * np.eye(4)),
    (brk, HALF),
    (early, HALF[:4]),
    (tworesults, RNG.normal(size=5) * 0.5),
]
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__name__)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@cases
def test_gradient(case, backend):
    fn, *args = case
    verdict = judge(fn, lambda: tuple([a.copy() for a in args]), backend)
    assert verdict.kind == RIGHT, verdict.why


def scalar(fn):
    def f(*args):
        found = fn(*args)
        parts = found if isinstance(found, tuple) else (found,)
        return sum(np.sum(np.sin(part)) for part in parts)

    return f


@cases
def test_second_order(case, monkeypatch):
    monkeypatch.setenv("TRACEJIT_BACKEND", "numpy")
    fn, *args = case
    check_grads(scalar(fn), tuple(args), order=2)


def tapes(fn, *args):
    """The shapes of what the primal saves."""
    numbers = tuple(range(len(args)))
    text = str(make_ir(grad(scalar(fn), argnums=numbers))(*args))
    return [
        line.split("#")[1].strip() for line in text.splitlines() if "empty(" in line
    ]


def test_no_tape_holds_the_array_for_every_round():
    assert tapes(two, np.ones((4, 4)), np.ones((4, 4))).count("f64[4,4]") == 4
    assert not any("4,4,4" in tape for tape in tapes(two, np.eye(4), np.eye(4)))
    assert tapes(branch2, np.ones(5), np.ones(5)) == ["f64[5]", "f64[5]"]


def test_a_write_of_the_whole_array_saves_it():
    def f(u):
        u = u.copy()
        for _ in range(3):
            u[1:] = u[1:] * u[1:] + u[:-1]
        return u

    assert tapes(f, np.ones(6)) == ["f64[3,5]"]


def test_swapped_arrays_are_saved():
    def f(u, v):
        for i in range(3):
            w = v.copy()
            w[i] = np.sum(u * u)
            u, v = v, w
        return u + v

    args = HALF[:3], HALF[3:]
    verdict = judge(f, lambda: args, "numpy")
    assert verdict.kind == RIGHT, verdict.why
    assert "f64[3,3]" in tapes(f, *args)


def test_what_all_rounds_read_in_parts_is_saved_whole():
    """n rounds of n pairs read n positions: n numbers a step, not n * n."""

    def attraction(x, steps):
        for _ in range(steps):
            force = np.zeros_like(x)
            for i in range(len(x)):
                for j in range(len(x)):
                    d = x[j] - x[i]
                    force[i] += d / (1.0 + d * d)
            x = x + 0.01 * force
        return np.sum(x**2)

    text = str(make_ir(grad(attraction))(RNG.normal(size=11), 13))
    assert "empty(shape=(13, 11)" in text
    assert text.count("empty(") == 1
