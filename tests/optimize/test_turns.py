"""Temporaries that take turns in one piece of memory, and those that must not.

The kernels run as plain Python, on the memory that they would be given.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from tests.backend.random_programs import run_as_python
from tracejit import jit, make_ir, value_and_grad
from tracejit.backend.numba_build import workspace
from tracejit.backend.numba_source import write
from tracejit.base.pytree import flatten
from tracejit.ir.evaluate import evaluate
from tracejit.optimize.lower import lower
from tracejit.optimize.nest import Buffer

rng = np.random.default_rng(0)


def adjoint(f, *args):
    """The program of value and gradient in all floats, and its inputs."""
    floats = [k for k, x in enumerate(args) if flatten(x)[0][0].dtype.kind == "f"]
    return make_ir(value_and_grad(f, tuple(floats)))(*args), flatten(args)[0]


def room(program, threads=1):
    """The bytes of a kernel's temporaries."""
    return workspace(write(lower(program, threads=threads)))[1]


def kept_apart(program):
    """The temporaries of a kernel, one by one, as bytes."""
    arguments = write(lower(program)).arguments
    buffers = [a for a in arguments if isinstance(a, Buffer)]
    return sorted(b.aval.nbytes for b in buffers if b.role == "temporary")


def agree(program, args, threads=1):
    got = run_as_python(program, args, threads=threads)
    for mine, theirs in zip(got, evaluate(program, args), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10)


def layers(weights, X):
    h = X
    for W in weights:
        h = np.tanh(h @ W)
    return np.sum(h**2)


def test_adjoints_of_layers_keep_what_they_need_and_one_array_more():
    n, width, depth = 40, 12, 8
    weights = [rng.normal(size=(width, width)) for _ in range(depth)]
    program, args = adjoint(layers, weights, rng.normal(size=(n, width)))
    assert room(program) <= (depth + 1) * n * width * 8
    agree(program, args)


def test_arrays_of_several_sizes_take_turns():
    sizes = [30, 20, 25, 10, 15]
    weights = [rng.normal(size=(m, n)) for m, n in pairwise(sizes)]
    program, args = adjoint(layers, weights, rng.normal(size=(40, 30)))
    assert len(kept_apart(program)) <= len(weights) + 1
    agree(program, args)


def test_a_result_lends_its_memory():
    def f(A, B):  # A @ B is dead before the result begins
        return (np.tanh(A @ B) @ B) ** 2 @ B

    A, B = rng.normal(size=(2, 9, 9))
    program = make_ir(jit(f))(A, B)
    assert kept_apart(program) == [9 * 9 * 8]
    agree(program, [A, B])


def test_the_text_is_the_same_at_all_sizes():
    def text(sizes):
        weights = [rng.random((m, n)) for m, n in pairwise(sizes)]
        program, _ = adjoint(layers, weights, rng.random((sizes[0] + 5, sizes[0])))
        return write(lower(program)).key

    assert text([30, 20, 25, 10]) == text([11, 40, 12, 70])


def test_what_is_read_again_in_a_row_is_kept():
    def f(A, B):
        Z = A @ B
        E = np.exp(Z)  # of each row before Z is read again
        return E / E.sum(axis=1, keepdims=True) * Z

    A, B = rng.normal(size=(2, 9, 9))
    program = make_ir(jit(f))(A, B)
    assert kept_apart(program) == [9 * 9 * 8]
    agree(program, [A, B])


def test_factors_lie_where_their_matrix_died():
    A = rng.normal(size=(9, 9))
    program = make_ir(jit(lambda A: np.linalg.cholesky(A @ A.T)))(A)
    assert kept_apart(program) == []
    agree(program, [A])


def test_what_a_routine_reads_is_not_what_it_writes():
    scipy_linalg = pytest.importorskip("scipy.linalg")

    def f(A):
        L = np.linalg.cholesky(A @ A.T)
        return scipy_linalg.solve_triangular(L, L, lower=True, trans=1)

    A = rng.normal(size=(6, 6))
    np.testing.assert_allclose(jit(f)(A), f(A), rtol=1e-9)


def both_sides(A, one):
    L = np.linalg.cholesky(A @ A.T + one)
    P = L @ L
    X = np.linalg.solve(P, P) + np.linalg.solve(P.T, L)
    return np.sum(X * np.linalg.solve(X @ P + 9 * one, P))


# What must not ------------------------------------------------------------------------


def neighbours(x):
    t = np.exp(np.cumsum(x))
    d = np.cumsum(t[1:] * t[:-1])  # reads what lies beside, and is read backwards
    return np.sum(d[::-1] * d)


def turned(A):
    t = np.cumsum(np.sin(A), axis=0)
    u = np.cumsum(t.T, axis=1) + t
    return np.sum(np.cumsum(u, axis=0)[::-1] * t)


def carried(u, steps):
    kept = np.cumsum(u)
    for k in range(steps):
        t = np.cumsum(u * kept)
        if k > 1:
            kept = np.cumsum(t)[::-1] / 10
        u = np.cos(np.cumsum(t)) + u
    return np.sum(u * kept)


def data_long(u):
    rounds = 0
    while np.sum(u) < 40 and rounds < 9:
        t = np.cumsum(u)
        u = np.cumsum(np.roll(t, 1)) / t.size + u
        rounds += 1
    return np.sum(u**3)


def sides(u, v):
    t = np.cumsum(u)
    w = np.cumsum(np.exp(-v))
    if t[2] > 1:
        s = np.cumsum(w * t)
        r = np.cumsum(s[::-1])
    else:
        r = np.cumsum(np.cumsum(w)[::-1])
    return np.sum(r * t) + np.sum(w)


def rows_of_rows(A):
    total = 0.0
    for i in range(A.shape[0]):
        t = np.cumsum(A[i])
        s = np.cumsum(t[::-1] * t)
        for j in range(3):
            s = np.cumsum(np.sin(s)) + A[j] * t
        total += np.sum(s * t)
    return total


def solved(A, b):
    x = np.linalg.solve(A, b)
    y = np.linalg.solve(A.T, np.cumsum(x))
    return np.sum(np.linalg.solve(A + np.outer(x, y), x) * np.cumsum(y))


def numbers(x, w):
    s = 0.0
    v = np.zeros(len(x))
    for i in range(1, len(x) - 1):
        v[i] = math.sin(x[i - 1]) * w + x[i + 1]
    t = np.cumsum(v * v)
    for i in range(len(x)):
        s += t[i] * v[len(x) - 1 - i]
    return s


PROGRAMS = [
    (neighbours, rng.random(12)),
    (turned, rng.random((6, 6))),
    (carried, rng.random(9), np.int64(5)),
    (data_long, rng.random(9)),
    (sides, rng.random(9), rng.random(9)),
    (rows_of_rows, rng.random((5, 7))),
    (both_sides, rng.random((6, 6)), np.eye(6)),
    (solved, rng.random((5, 5)) + 5 * np.eye(5), rng.random(5)),
    (numbers, rng.random(20), np.float64(0.7)),
    (layers, [rng.random((4, 4)) for _ in range(4)], rng.random((9, 4))),
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", PROGRAMS, ids=lambda case: case[0].__name__)
def test_what_is_needed_is_there(case, threads, monkeypatch):
    for name in ("ENOUGH", "ENOUGH_AWAKE", "ENOUGH_ROUND"):
        monkeypatch.setattr(f"tracejit.optimize.parallel.{name}", 0.0)
    monkeypatch.setattr("tracejit.optimize.parallel.PART", 1e-9)
    program, args = adjoint(*case)
    agree(program, args, threads)
