"""Products and systems take the form that costs least, and come out as they did."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tracejit import grad, jit, make_ir, value_and_grad
from tracejit.ir.evaluate import evaluate
from tracejit.optimize import chains

RNG = np.random.default_rng(0)
N = 20
A, B, C = (RNG.normal(size=(N, N)) for _ in "ABC")
WIDE = RNG.normal(size=(N, N + 3))
U, V = RNG.normal(size=(2, N))
K = A @ A.T + N * np.eye(N)


def loss(x):
    return np.sum(np.sin(x) * x)


def chain(A, B, v):
    return loss(A @ B @ v)


def row_chain(v, A, B):
    return loss(v @ (A @ B))


def outer(u, v, A):
    return loss(np.outer(u, v) @ A)


def scaled_rows(d, A):
    return loss(np.diag(d) @ A)


def scaled_columns(A, d):
    return loss(A @ np.diag(d))


def row_sums(A):
    return loss(A @ np.ones((A.shape[1], A.shape[0])))


def trace(A, B):
    return np.sin(np.trace(A @ B))


def upper_trace(A, B):
    return loss(np.diag(A @ B, 2))


def lower_trace(A, B):
    return loss(np.diag(A @ B, -1))


def transposed_trace(A, B):
    return loss(np.diag(A.T @ B.T))


def quadratic(A, v):
    return v @ np.linalg.inv(A) @ v + np.linalg.slogdet(A)[1]


def gaussian(K, y):
    return 0.5 * y @ np.linalg.solve(K, y) + 0.5 * np.linalg.slogdet(K)[1]


def by_factor(K, y):
    L = np.linalg.cholesky(K)
    white = np.linalg.solve(L, y)
    return white @ white + np.sum(np.log(np.diag(L)))


def back_again(K, y):
    L = np.linalg.cholesky(K)
    return loss(np.linalg.solve(L.T, np.linalg.solve(L, y)))


def of_triangles(A, y):
    return loss(np.linalg.solve(np.tril(A), y) + np.linalg.solve(np.triu(A), y))


def orthogonal(A, y):
    q, r = np.linalg.qr(A)
    return loss(np.linalg.solve(r, q.T @ y))


def spread_product(A, B):
    return loss(np.sum(A[:, :, None] * B[None, :, :], axis=1))


def spread_batches(A, B):
    return loss(np.sum(A[:, None, :] * np.sin(B)[:, :, None] * 1.0, axis=0))


def gram(A):
    return loss(A.T @ A)


def twice(A, B):
    return loss(A @ B) + loss(A @ np.sin(B))


CASES = [
    (spread_product, (A, WIDE)),
    (spread_batches, (A, WIDE)),
    (gram, (WIDE,)),
    (twice, (A, WIDE)),
    (chain, (A, B, V)),
    (row_chain, (V, A, B)),
    (outer, (U, V, WIDE)),
    (scaled_rows, (V, WIDE)),
    (scaled_columns, (WIDE.T.copy(), V)),
    (row_sums, (WIDE,)),
    (trace, (A, B)),
    (trace, (WIDE, WIDE.T.copy())),
    (upper_trace, (A, WIDE)),
    (lower_trace, (A, WIDE)),
    (transposed_trace, (WIDE, WIDE.T.copy())),
    (quadratic, (K, V)),
    (quadratic, (A + 9 * np.eye(N), V)),
    (gaussian, (K, V)),
    (by_factor, (K, V)),
    (back_again, (K, V)),
    (of_triangles, (A + 9 * np.eye(N), V)),
    (orthogonal, (K, V)),
]


def without(monkeypatch):
    """No rule of these is in force."""
    monkeypatch.setattr(chains, "RULES", {})


def adjoint(f, args):
    return make_ir(value_and_grad(f, argnums=tuple(range(len(args)))))(*args)


def count(program):
    return Counter(eqn.prim.name for eqn in program.walk())


@pytest.mark.parametrize(("f", "args"), CASES, ids=lambda x: getattr(x, "__name__", ""))
def test_the_same_comes_out(f, args, monkeypatch):
    found = evaluate(adjoint(f, args), args)
    without(monkeypatch)
    for mine, plain in zip(found, evaluate(adjoint(f, args), args), strict=True):
        np.testing.assert_allclose(mine, plain, rtol=1e-9, atol=1e-9)


def flops(program):
    """Products of numbers in all the products of arrays."""
    dots = [e for e in program.walk() if e.prim.name == "dot"]
    return sum(chains.work(*e.inputs, e.params["contract"][0]) for e in dots)


@pytest.mark.parametrize(
    ("f", "args", "most"),
    [
        (chain, (A, B, V), N**3 + 6 * N**2),  # A @ B is the user's
        (outer, (U, V, WIDE), N**2 * (N + 3) + 6 * N * (N + 3)),
        (scaled_rows, (V, WIDE), N**2 * (N + 3)),
        (trace, (A, B), 0),
        (quadratic, (K, V), 6 * N**2),
        (gram, (A,), 2 * N**3),
        (spread_product, (A, B), 3 * N**3),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_derivatives_take_few_products(f, args, most):
    assert flops(adjoint(f, args)) <= most


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (3,), (1, 0), (2, 3), (0, 2)])
def test_products_of_more_axes_in_another_order(axes, behind):
    x, y = RNG.normal(size=(5, 6, 4)), RNG.normal(size=(4, 7, 3))
    extents = [(5, 6, 7, 3)[k] for k in axes]
    b = RNG.normal(size=(*extents, 2))
    own = list(range(len(axes)))

    def f(x, y, b):
        first = np.tensordot(x, y, 1)
        if behind:
            return np.tensordot(first, b, (axes, own))
        return np.tensordot(b, first, (own, axes))

    program = make_ir(jit(f, fastmath=True))(x, y, b)
    plain = make_ir(jit(f))(x, y, b)
    np.testing.assert_allclose(*evaluate(program, (x, y, b)), f(x, y, b), rtol=1e-9)
    split = axes == (0, 2)  # between both: nothing to be gained
    assert (flops(program) == flops(plain)) == split


def test_a_sum_of_spread_products_is_a_product():
    program = make_ir(jit(spread_product))(A, WIDE)
    assert flops(program) == N**2 * (N + 3)


def test_what_the_user_multiplies_is_rounded_as_it_stands():
    program = make_ir(jit(lambda A, B, v: A @ B @ v))(A, B, V)
    assert flops(program) == N**3 + N**2
    program = make_ir(jit(lambda A, B, v: A @ B @ v, fastmath=True))(A, B, V)
    assert flops(program) == 2 * N**2


def test_zeros_off_a_users_diagonal_meet_infinities():
    wide = np.where(WIDE > 2, np.inf, WIDE)
    with np.errstate(invalid="ignore"):
        expected = np.diag(V) @ wide
        found = jit(lambda d, A: np.diag(d) @ A, backend="numpy")(V, wide)
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


@pytest.mark.parametrize("f", [by_factor, back_again], ids=lambda f: f.__name__)
def test_triangles_are_not_factorised(f):
    assert count(adjoint(f, (K, V)))["lu"] == 0


def test_one_factor_and_one_inverse_serve_value_and_gradient():
    found = count(adjoint(quadratic, (K, V)))
    assert found["lu"] == 1
    assert found["lu_inverse"] == 1
    solves = [e for e in adjoint(quadratic, (K, V)).walk() if e.prim.name == "lu_solve"]
    assert not any(e.out.aval.shape == (N, N) for e in solves)


def test_a_triangle_with_zero_on_its_diagonal_is_singular():
    def f(a):
        return np.sum(np.linalg.solve(np.triu(a), np.ones(2)))

    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        grad(f)(np.array([[1.0, 2.0], [3.0, 0.0]]))


@pytest.mark.parametrize("n", [1, 3, 31, 32, 33, 65, 100])
def test_cotangents_of_a_factor_by_blocks(n):
    root, weight = RNG.normal(size=(2, n, n))
    matrix = root @ root.T + n * np.eye(n)

    def f(a):
        return np.sum(weight * np.linalg.cholesky(a))

    plain = grad(f, backend="numpy")(matrix)
    np.testing.assert_allclose(grad(f)(matrix), plain, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
@pytest.mark.parametrize("n", [40, 50])
def test_grams_and_inverses(n, dtype):
    tall = RNG.normal(size=(n, 45)).astype(dtype)
    if dtype == "complex128":
        tall = tall + 1j * RNG.normal(size=tall.shape)
    tight = {"rtol": 2e-3, "atol": 2e-3} if dtype == "float32" else {"rtol": 1e-9}
    for f in (lambda a: a @ a.T, lambda a: a.T @ a):
        np.testing.assert_allclose(jit(f)(tall), f(tall), **tight)
    square = (tall @ tall.T / 45 + 3 * np.eye(n)).astype(dtype)
    found = jit(np.linalg.inv)(square)
    np.testing.assert_allclose(found, np.linalg.inv(square), atol=1e-4, rtol=1e-4)
