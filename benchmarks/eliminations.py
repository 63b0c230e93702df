"""Eliminations and min-plus products, written out as loops over elements."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.loops import sum_of_squares
from benchmarks.workload import Workload, fast

# --- a triangular system, by forward substitution


def triangular(L, b):
    n = b.shape[0]
    x = np.zeros(n)
    for i in range(n):
        s = b[i]
        for j in range(i):
            s -= L[i, j] * x[j]
        x[i] = s / L[i, i]
    return np.sum(x**2)


def triangular_jax(L, b):
    from jax.scipy.linalg import solve_triangular

    return np.sum(solve_triangular(L, b, lower=True) ** 2)


@fast
def triangular_run(L, b):
    x = np.empty_like(b)
    for i in range(b.size):
        row, s = L[i], b[i]
        for j in range(i):
            s -= row[j] * x[j]
        x[i] = s / row[i]
    return x


@fast
def triangular_primal(L, b):
    return sum_of_squares(triangular_run(L, b))


@fast
def triangular_hand(L, b):
    x = triangular_run(L, b)
    x_bar, L_bar, b_bar = 2.0 * x, np.zeros_like(L), np.empty_like(b)
    for i in range(b.size - 1, -1, -1):
        row, bars = L[i], L_bar[i]
        v = x_bar[i] / row[i]
        b_bar[i] = v
        bars[i] = -v * x[i]
        for j in range(i):
            bars[j] = -v * x[j]
            x_bar[j] -= v * row[j]
    return sum_of_squares(x), L_bar, b_bar


def make_triangular(n):
    rng = np.random.default_rng(0)
    L = np.tril(rng.normal(size=(n, n)), -1) / np.sqrt(n)
    return L + np.diag(rng.uniform(1.0, 2.0, n)), rng.normal(size=n)


# --- the logarithm of a determinant, by elimination without pivots


def log_determinant(A):
    A = A.copy()
    n = A.shape[0]
    for k in range(n):
        for i in range(k + 1, n):
            A[i, k] /= A[k, k]
            for j in range(k + 1, n):
                A[i, j] -= A[i, k] * A[k, j]
    total = 0.0
    for k in range(n):
        total += np.log(abs(A[k, k]))
    return total


def log_determinant_jax(A):
    from jax import lax

    rows = np.arange(A.shape[0])

    def step(k, A):
        column = np.where(rows > k, A[:, k] / A[k, k], 0.0)
        A = A - np.outer(column, np.where(rows > k, A[k], 0.0))
        return A.at[:, k].set(np.where(rows > k, column, A[:, k]))

    return np.sum(np.log(np.abs(np.diag(lax.fori_loop(0, A.shape[0], step, A)))))


@fast
def eliminated(A):
    A = A.copy()
    n = A.shape[0]
    for k in range(n):
        pivot, inverse = A[k], 1.0 / A[k, k]
        for i in range(k + 1, n):
            row = A[i]
            factor = row[k] * inverse
            row[k] = factor
            for j in range(k + 1, n):
                row[j] -= factor * pivot[j]
    return A


@fast
def sum_of_logarithms(A):
    total = 0.0
    for k in range(A.shape[0]):
        total += math.log(abs(A[k, k]))
    return total


@fast
def log_determinant_primal(A):
    return sum_of_logarithms(eliminated(A))


@fast
def log_determinant_hand(A):
    # What an update reads is final when it is read: nothing but the factors is kept.
    A = eliminated(A)
    n = A.shape[0]
    bar = np.zeros_like(A)
    for k in range(n - 1, -1, -1):
        pivot, pivot_bar = A[k], bar[k]
        inverse = 1.0 / pivot[k]
        at = inverse  # of the logarithm
        for i in range(k + 1, n):
            row, row_bar = A[i], bar[i]
            factor, v = row[k], row_bar[k]
            for j in range(k + 1, n):
                v -= row_bar[j] * pivot[j]
                pivot_bar[j] -= row_bar[j] * factor
            v *= inverse
            row_bar[k] = v
            at -= v * factor
        pivot_bar[k] += at
    return sum_of_logarithms(A), bar


def make_log_determinant(n):
    return (
        np.random.default_rng(0).normal(size=(n, n)) + 2.0 * np.sqrt(n) * np.eye(n),
    )


# --- all shortest paths


def shortest_paths(D):
    D = D.copy()
    n = D.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                D[i, j] = min(D[i, j], D[i, k] + D[k, j])
    return np.sum(D**2)


def shortest_paths_by_rows(D):
    for k in range(D.shape[0]):
        D = np.minimum(D, D[:, k, None] + D[k])
    return np.sum(D**2)


def shortest_paths_jax(D):
    from jax import lax

    def step(k, D):
        return np.minimum(D, D[:, k, None] + D[k])

    return np.sum(lax.fori_loop(0, D.shape[0], step, D) ** 2)


@fast
def shortest_paths_primal(D):
    D = D.copy()
    n = D.shape[0]
    for k in range(n):
        via = D[k]
        for i in range(n):
            row = D[i]
            to = row[k]
            for j in range(n):
                row[j] = min(row[j], to + via[j])
    return sum_of_squares(D.ravel())


@fast
def shortest_paths_row_back(row, via, flags):
    to = 0.0
    for j in range(row.size):
        v = row[j]
        moved = v if flags[j] else 0.0
        row[j] = 0.0 if flags[j] else v
        via[j] += moved
        to += moved
    return to


@fast
def shortest_paths_hand(D):
    # Of every minimum, which of the two it was: a byte. Row and column k do not change
    # at step k, since D[k, k] is not negative.
    D = D.copy()
    n = D.shape[0]
    shorter = np.empty((n, n, n), np.uint8)
    for k in range(n):
        via = D[k]
        for i in range(n):
            row, flags = D[i], shorter[k, i]
            to = row[k]
            for j in range(n):
                other = to + via[j]
                flags[j] = other < row[j]
                row[j] = min(row[j], other)
    bar = 2.0 * D
    for k in range(n - 1, -1, -1):
        via = bar[k]
        for i in range(n):
            to = shortest_paths_row_back(bar[i], via, shorter[k, i])
            bar[i, k] += to
    return sum_of_squares(D.ravel()), bar


def make_shortest_paths(n):
    return (np.random.default_rng(0).uniform(0.1, 5.0, (n, n)),)


WORKLOADS = (
    Workload(
        "triangular",
        triangular,
        make_triangular,
        (500,),
        triangular_primal,
        triangular_hand,
        argnums=(0, 1),
        jax=triangular_jax,
    ),
    Workload(
        "lu",
        log_determinant,
        make_log_determinant,
        (100,),
        log_determinant_primal,
        log_determinant_hand,
        jax=log_determinant_jax,
    ),
    Workload(
        "floyd-warshall",
        shortest_paths,
        make_shortest_paths,
        (100,),
        shortest_paths_primal,
        shortest_paths_hand,
        jax=shortest_paths_jax,
        autograd=shortest_paths_by_rows,
    ),
)
