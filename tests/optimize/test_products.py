"""Products of all rounds of a loop are taken at once, and nothing else is changed."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, hessian, value_and_grad
from tracejit.ir.check import check
from tracejit.ir.evaluate import evaluate
from tracejit.ir.program import walk
from tracejit.optimize import products
from tracejit.optimize.passes import optimize

RNG = np.random.default_rng(0)
T, N, M = 11, 12, 10
W, U, V = (RNG.normal(size=s) / 4 for s in ((N, N), (N, M), (M, N)))
XS, WIDE = RNG.normal(size=(T, M)), RNG.normal(size=(T, 3, N))


def recurrent(W, U, xs):
    h = np.zeros(W.shape[0])
    for t in range(len(xs)):
        h = np.tanh(W @ h + U @ xs[t])
    return np.sum(h * h)


def gated(W, U, xs):
    """Two products of a sum by one matrix, and a sum of products for each row."""
    h = c = np.zeros(W.shape[0])
    for t in range(len(xs)):
        g = np.tanh(W @ h + U @ xs[t])
        c = np.sin(W @ c) * g + U @ xs[t]
        h = np.tanh(c)
    return np.sum(h * c)


def backwards(W, U, xs):
    h = np.zeros(W.shape[0])
    for t in range(len(xs) - 1, -1, -1):
        h = np.tanh(W @ h + U @ xs[t])
    return np.sum(h)


def by_twos(W, U, xs):
    h = np.zeros(W.shape[0])
    for t in range(1, 2 * len(xs) - 1, 2):
        h = np.tanh(W @ h + U @ xs[t // 2])
    for t in range(len(xs) - 1, -11, -2):
        h = np.tanh(W @ h + U @ xs[abs(t)])
    for t in range(1, len(wide := np.vstack((xs, xs))) - 1, 2):
        h = np.tanh(W @ h + U @ wide[t + 1])
    return np.sum(h)


def shifted(W, U, xs):
    h = np.zeros(W.shape[0])
    for t in range(2, len(xs)):
        h = np.tanh(W @ h + U @ xs[t - 1] - U @ xs[t])
    return np.sum(h * h)


def of_columns(W, U, xs):
    columns = xs.T.copy()
    h = np.zeros(W.shape[0])
    for t in range(columns.shape[1]):
        h = np.tanh(h @ W + columns[:, t] @ U.T)
    return np.sum(h * h)


def by_batches(W, U, xs):
    h = np.zeros((3, W.shape[0]))
    for t in range(len(xs)):
        h = np.tanh(h @ W + xs[t])
    return np.sum(h * h) + 0 * np.sum(U)


def by_turned_batches(W, U, xs):
    h = np.zeros((W.shape[0], 3))
    for t in range(len(xs)):
        h = np.tanh(W @ h + xs[t].T)
    return np.sum(h * h) + 0 * np.sum(U)


def of_views(W, U, xs):
    """Matrices that are parts of others, and one in another form."""
    n = len(U)
    both = np.hstack((W, U)).ravel()[: n * (n + xs.shape[1])]
    h = np.zeros(n)
    for t in range(len(xs)):
        matrix = both.reshape(n, -1)
        h = np.tanh(matrix[:, :n] @ h + matrix[:, n:] @ xs[t])
    return np.sum(h * h)


def nested(W, U, xs):
    total = 0.0
    for k in range(9):
        h = np.full(W.shape[0], 0.1 * k)
        for t in range(len(xs)):
            h = np.tanh(W @ h + U @ xs[t])
        total += np.sum(h)
    return total


def derive(fn, *args):
    """The gradient's Program by all arguments, before it is cleaned."""
    derived = grad(fn, argnums=tuple(range(len(args))))
    arguments = derived.bind(args, {})
    staged, program = derived.stage(arguments)
    return derived.derive(staged, program, arguments)


def in_loops(program):
    """The axes of the products in loops: of the operands and of the result."""
    return [
        (sorted(a.aval.ndim for a in e.inputs), e.out.aval.ndim)
        for loop in program.walk()
        if loop.prim.name == "for"
        for e in walk(loop.regions[0])
        if e.prim.name == "dot"
    ]


@pytest.mark.parametrize(
    "fn, left",
    [
        (recurrent, 2),  # W @ h, and its transpose: the recurrence itself
        (gated, 4),
        (backwards, 2),
        (by_twos, 10),  # t // 2 and abs(t) are not one row further a round
        (shifted, 2),
        (of_columns, 2),
        (by_batches, 2),
        (by_turned_batches, 2),
        (of_views, 2),
        (nested, 5),  # what is in both loops counts twice; U @ xs[t] is in neither
    ],
)
def test_which_products_stay_in_loops(fn, left):
    args = (W, U, WIDE if "batches" in fn.__name__ else XS)
    program = derive(fn, *args)
    plain, gathered = optimize(program), optimize(program, last=True)
    check(gathered)
    assert len(in_loops(gathered)) == left
    assert len(in_loops(plain)) > left
    for got, want in zip(evaluate(gathered, args), evaluate(plain, args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


def few_rounds(W, U, xs):
    return recurrent(W, U, xs[:7])


def narrow(W, U, xs):
    return recurrent(W[:8, :8], U[:8], xs)


def in_branches(W, U, xs):
    h = np.ones(W.shape[0])
    for t in range(len(xs)):
        if xs[t, 0] > 0:
            h = np.tanh(W @ h)
        else:
            h = h + U @ xs[t]
    return np.sum(h)


def read_before(W, U, xs):
    """The cotangent of S is read where a product is added to it."""
    S = W
    for t in range(len(xs)):
        S = S + np.outer(U[:, 0], np.sin(S @ W[t]))
    return np.sum(S * S)


def read_between(W, U, xs):
    """Here it is read when one of two products has been added."""
    S, total = W, 0.0
    for t in range(len(xs)):
        S = S + np.outer(U[:, 0], np.sin(S @ W[t]))
        total += np.sum(np.sin(S @ np.sin(W[t])))
    return total


def beyond(W, U, xs):
    h = np.zeros(W.shape[0])
    for t in range(len(xs)):
        h = np.tanh(h + U @ xs[t + 1])
    return np.sum(h)


@pytest.mark.parametrize("fn", [few_rounds, narrow, in_branches, read_before])
def test_which_loops_stay_as_they_are(fn):
    program = derive(fn, W, U, XS)
    assert in_loops(optimize(program, last=True)) == in_loops(optimize(program))


def test_what_is_read_between_two_sums_stays_in_the_loop():
    program = derive(read_between, W, U, XS)
    plain, gathered = optimize(program), optimize(program, last=True)
    for got, want in zip(
        evaluate(gathered, (W, U, XS)), evaluate(plain, (W, U, XS)), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


def test_rows_that_would_take_too_much_memory_are_not_stored(monkeypatch):
    monkeypatch.setattr(products, "MOST_BYTES", T * N * 8 - 1)
    program = derive(recurrent, W, U, XS)
    assert in_loops(optimize(program, last=True)) == in_loops(optimize(program))


def test_what_a_check_would_stop_is_not_read_before_it():
    program = optimize(derive(beyond, W, U, XS), last=True)
    assert ([1, 2], 1) in in_loops(program)
    with pytest.raises(IndexError, match="out of bounds"):
        evaluate(program, (W, U, XS))


@pytest.mark.parametrize("fn", [recurrent, gated, by_turned_batches, nested])
def test_compiled(fn):
    args = (W, U, WIDE if "batches" in fn.__name__ else XS)
    got, want = (
        value_and_grad(fn, argnums=(0, 1, 2), backend=backend)(*args)
        for backend in ("numba", "numpy")
    )
    np.testing.assert_allclose(got[0], want[0], rtol=1e-13)
    for a, b in zip(got[1], want[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_second_derivatives():
    def of_first_row(w):
        return recurrent(np.vstack((w[None], W[1:])), U, XS)

    H, slope = hessian(of_first_row, backend="numpy")(W[0]), grad(of_first_row)
    step = 1e-5 * np.eye(N)[3]
    numeric = (slope(W[0] + step) - slope(W[0] - step)) / 2e-5
    np.testing.assert_allclose(H[3], numeric, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(H, H.T, rtol=1e-10, atol=1e-13)
