"""Loops around products become products of matrices where rounds are independent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_triangular

from tests.optimize.kernels import text_of
from tracejit import grad, hessian, jacfwd, jacrev, jit, make_ir, value_and_grad, vmap
from tracejit.ir.evaluate import evaluate
from tracejit.optimize import maps, passes

RNG = np.random.default_rng(0)
T, N, M = 11, 12, 10
W, V = RNG.normal(size=(N, M)), RNG.normal(size=(M, N))
B, X, Y = RNG.normal(size=N), RNG.normal(size=(T, M)), RNG.normal(size=(T, N))
L = np.tril(RNG.normal(size=(M, M))) + 5 * np.eye(M)
STACK = RNG.normal(size=(3, N, M))


def rows(W, X):
    out = np.zeros((X.shape[0], W.shape[0]))
    for i in range(X.shape[0]):
        out[i] = W @ X[i]
    return out


def columns(W, X):
    out = np.empty((W.shape[0], X.shape[0]))
    for i in range(X.shape[0] - 1, -1, -1):
        out[:, i] = np.tanh(W @ X[i]) * i
    return out


def in_place(W, Y, X):
    Y = Y.copy()
    for i in range(X.shape[0]):
        Y[i] = np.sin(Y[i]) + W @ X[i]
        Y[i, 0] += i
    return Y


def two_layers(W, V, b, X):
    return vmap(lambda x: V @ np.tanh(W @ x + b))(X)


def shifted(W, X):
    out = np.zeros((X.shape[0] - 2, W.shape[0]))
    for i in range(1, X.shape[0] - 1):
        out[i - 1] = W @ (X[i] - 0.5) * np.max(X[i])
    return out


def pairs(X):
    n = X.shape[0]
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            out[i, j] = X[i] @ X[j] + i - j
    return out


def turned(W, X):
    out = np.zeros((X.shape[0], W.shape[0] + 2))
    for i in range(X.shape[0]):
        x = X[i][::-1]
        out[i] = np.concatenate([W @ x, x[:2].cumsum()])
    return out


def batches(stack, X):
    out = np.zeros((X.shape[0], 3, stack.shape[1]))
    for i in range(X.shape[0]):
        out[i] = stack @ X[i]
    return out


def systems(L, X):
    out = np.zeros_like(X)
    for i in range(X.shape[0]):
        out[i] = solve_triangular(L, X[i], lower=True)
    return out @ L


def branches(W, X):
    out = np.zeros((X.shape[0], W.shape[0]))
    for i in range(X.shape[0]):
        out[i] = np.where(X[i, 0] > 0, W @ X[i], np.sqrt(np.abs(X[i, 1])))
    return out


def f(x, W, V, B):
    return V @ np.tanh(W @ x + B)


def bowl(x, W, L):
    return np.sum(np.tanh(W @ x) ** 2) + x @ L @ x


def line(x, t, W, V, B):
    return jacfwd(f)(x, W, V, B) * t + jacrev(f)(x, W, V, B)


CASES = [
    (rows, (W, X)),
    (columns, (W, X)),
    (in_place, (W, Y, X)),
    (two_layers, (W, V, B, X)),
    (shifted, (W, X)),
    (pairs, (X,)),
    (turned, (W, X)),
    (batches, (STACK, X)),
    (systems, (L, X)),
    (branches, (W, X)),
    (jacfwd(f), (X[0], W, V, B)),
    (jacrev(f), (X[0], W, V, B)),
    (hessian(bowl), (X[0], W, L)),
    (line, (X[0], 2.0, W, V, B)),
]


def name(case):
    return getattr(case, "__name__", "") or getattr(case, "name", "")


def loops(program):
    """Those with products in them."""
    return [
        e
        for e in program.walk()
        if e.prim.name == "for"
        and any(x.prim.name == "dot" for x in maps.walk(*e.regions))
    ]


def plainly(monkeypatch, make):
    """What `make` does without the pass."""
    others = [(n, p) for n, p in passes.LAST_PASSES if p is not maps.batch_maps]
    monkeypatch.setattr(passes, "LAST_PASSES", others)
    return make()


def square(fn):
    return lambda *args: np.sum(np.sin(fn(*args)))


@pytest.mark.parametrize(("fn", "args"), CASES, ids=name)
def test_no_loop_is_left_and_the_same_comes_out(fn, args, monkeypatch):
    program = make_ir(fn)(*args)
    assert not loops(program)
    plain = plainly(monkeypatch, lambda: make_ir(fn)(*args))
    for mine, other in zip(evaluate(program, args), evaluate(plain, args), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("fn", "args"), CASES[:10], ids=name)
def test_gradients(fn, args, monkeypatch):
    every = tuple(range(len(args)))
    derived = value_and_grad(square(fn), argnums=every)
    program = make_ir(derived)(*args)
    plain = plainly(monkeypatch, lambda: make_ir(derived)(*args))
    for mine, other in zip(evaluate(program, args), evaluate(plain, args), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-11)


def gathered(W, X):
    out = np.zeros((X.shape[0], W.shape[0]))
    for i in range(X.shape[0]):
        out[i] = W @ np.sin(X[i])[[3, 1, 4, 1, 5, 9, 2, 6, 5, 3]]
    return out


def test_gathers():
    assert not loops(make_ir(gathered)(W, X))
    found = jit(gathered, backend="numpy")(W, X)
    np.testing.assert_allclose(found, gathered(W, X), rtol=1e-12)


def test_the_gradient_of_pairs_is_products_too():
    program = make_ir(grad(square(pairs)))(X)
    assert not [e for e in program.walk() if e.prim.name == "for"]
    found = [e for e in program.walk() if e.prim.name == "dot"]
    assert all(e.out.aval.ndim == 2 for e in found) and len(found) >= 2


def carried(W, X):
    """Each round needs the one before it."""
    out = np.zeros((X.shape[0], W.shape[0]))
    for i in range(1, X.shape[0]):
        out[i] = W @ X[i] + out[i - 1]
    return out


def overlapping(W, X):
    out = np.zeros((X.shape[0] + 1, W.shape[0]))
    for i in range(X.shape[0]):
        out[i] = W @ (2 * X[i])
        out[i + 1] = -out[i]
    return out


def decided(W, X):
    out = np.zeros((X.shape[0], W.shape[0]))
    for i in range(X.shape[0]):
        if X[i, 0] > 0:
            out[i] = W @ np.sin(X[i])
    return out


def ordered_sum(W, X):
    total = np.zeros(W.shape[0])
    for i in range(X.shape[0]):
        total += W @ np.sin(X[i])
    return total


def small(W, X):
    return rows(W[:3, :3], X[:, :3] * 2)


@pytest.mark.parametrize(
    "fn", [carried, overlapping, decided, ordered_sum, small], ids=name
)
def test_what_stays_a_loop(fn):
    program = make_ir(fn)(W, X)
    assert any(e.prim.name == "for" for e in program.walk())
    np.testing.assert_allclose(evaluate(program, (W, X))[0], fn(W, X), rtol=1e-12)


def test_too_much_memory(monkeypatch):
    monkeypatch.setattr(maps, "MOST_BYTES", 100)
    assert loops(make_ir(two_layers)(W, V, B, X))


def test_of_the_seeds_of_a_jacobian_nothing_is_left():
    program = make_ir(jacrev(f))(X[0], W, V, B)
    (product,) = [
        e for e in program.walk() if e.prim.name == "dot" and e.out.aval.ndim == 2
    ]
    assert product.out.aval.shape == (M, M)


# Products by BLAS ---------------------------------------------------------------------

A3, B3 = RNG.normal(size=(3, 20, 21)), RNG.normal(size=(3, 21, 22))
A4 = RNG.normal(size=(2, 17, 3, 16))


@pytest.mark.parametrize(
    ("fn", "args", "call"),
    [
        (lambda a, b: a @ b[0], (A3, B3), "_tj_gemm("),
        (lambda a, b: a @ b[0].T, (A3, A3 + 1), "_tj_gemm("),
        (lambda a, b: np.tensordot(a, b, 2), (A3, A3[0]), ""),
        (lambda a, b: np.tensordot(a, b, ([0, 1], [0, 1])), (A3, A3 + 1), "_tj_gemm("),
        (lambda a, b: a @ b, (A3, B3), "_tj_gemms("),
        (lambda a, b: a.transpose(0, 2, 1) @ b, (A3, A3 + 1), "_tj_gemms(True, False"),
        (lambda a, b: a @ b.transpose(0, 2, 1), (A3, A3 + 1), "_tj_gemms(False, True"),
        (lambda a, b: np.einsum("bqhd,bkhd->bhqk", a, b), (A4, A4 + 1), "_tj_gemms("),
        (lambda a, b: a[:, :8] @ b, (A3, B3), ""),
        (lambda a, b: a[:, :, :0] @ b[:, :0], (A3, B3), ""),
    ],
)
def test_products_of_more_axes(fn, args, call):
    text = text_of(fn, *args)
    assert call in text
    assert bool(call) == ("_tj_gemm" in text)
    np.testing.assert_allclose(jit(fn)(*args), fn(*args), rtol=1e-11, atol=1e-11)
    derived = grad(lambda a, b: np.sum(np.sin(fn(a, b))), argnums=(0, 1))
    plain = grad(derived.py_func, argnums=(0, 1), backend="numpy")
    for mine, other in zip(derived(*args), plain(*args), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)
