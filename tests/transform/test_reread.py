"""What an array still has when the loops have run is not saved beside it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transform.programs import at, branch, build, loop, put, total
from tracejit import check_grads, grad, jacobian, make_ir, value_and_grad
from tracejit.ir.check import check
from tracejit.ir.evaluate import evaluate
from tracejit.ops import elementwise as ew
from tracejit.optimize.passes import optimize
from tracejit.transform.reread import Rereader
from tracejit.transform.vjp import vjp

RNG = np.random.default_rng(0)
A = np.eye(5) * 5 + RNG.random((5, 5))


def recurrence(x, a):
    y = np.zeros(9)
    y[0] = x
    for t in range(8):
        y[t + 1] = y[t] * (a - y[t])
    return np.sum(y * y)


def backwards(x, a):
    y = np.zeros(9)
    y[8] = x
    for t in range(7, -1, -1):
        y[t] = y[t + 1] * (a - y[t + 1])
    return np.sum(y * y)


def garch(w, r):
    h, total = np.full(len(r), w), 0.0
    for t in range(1, len(r)):
        h[t] = w + 0.1 * r[t - 1] ** 2 + 0.8 * h[t - 1]
        total += np.log(h[t]) + r[t] ** 2 / h[t]
    return total


def paths(c):
    """Each cell from three that are done."""
    n, m = c.shape
    D = np.zeros((n + 1, m + 1))
    for i in range(n):
        for j in range(m):
            D[i + 1, j + 1] = c[i, j] * D[i, j + 1] + D[i + 1, j] * D[i, j] + 1.0
    return D[n, m]


def rows(B, x):
    alpha = np.zeros((7, 5))
    alpha[0] = x
    for t in range(1, 7):
        alpha[t] = alpha[t - 1] * (B @ x) * alpha[t - 1]
        alpha[t] /= np.sum(alpha[t])
    return np.sum(alpha[3:] ** 2)


def lu(A):
    A = A.copy()
    n = len(A)
    for k in range(n):
        for i in range(k + 1, n):
            A[i, k] /= A[k, k]
            for j in range(k + 1, n):
                A[i, j] -= A[i, k] * A[k, j]
    return np.sum(np.log(np.diag(A))) + A[2, 1]


def cholesky(A):
    A = A @ A.T
    n = len(A)
    L = np.zeros((n, n))
    for j in range(n):
        s = A[j, j]
        for k in range(j):
            s -= L[j, k] ** 2
        L[j, j] = np.sqrt(s)
        for i in range(j + 1, n):
            s = A[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            L[i, j] = s / L[j, j]
    return np.sum(L)


def tridiagonal(a, b):
    n = len(a)
    c, d, x = np.zeros(n), np.zeros(n), np.zeros(n)
    c[0], d[0] = a[0] / b[0], a[1] / b[0]
    for i in range(1, n):
        m = b[i] - a[i] * c[i - 1]
        c[i] = a[i] / m
        d[i] = (a[-i] - a[i] * d[i - 1]) / m
    x[n - 1] = d[n - 1]
    for i in range(n - 2, -1, -1):
        x[i] = d[i] - c[i] * x[i + 1]
    return np.sum(x * x)


def with_branches(x, y):
    out = np.zeros(len(x))
    for i in range(1, len(x)):
        if y[i] > 0:
            out[i] = out[i - 1] * out[i - 1] + x[i]
        else:
            out[i] = x[i] * out[i - 1]
    return np.sum(out)


def written_behind(x):
    """Cells that are read, and another part of the array that is written later."""
    y = np.zeros(12)
    y[0] = x
    for t in range(8):
        y[t + 1] = y[t] * y[t] + 0.3
    for t in range(9, 12):
        y[t] = y[t - 1] * y[t - 1]
    y[11] = 1.0
    return np.sum(y * y)


def by_twos(x):
    """Even and odd cells, in one array."""
    y = np.ones(12) * x
    for t in range(5):
        y[2 * t + 1] = y[2 * t] * y[2 * t]
    return np.sum(y)


def halves(x):
    """One half of an array is overwritten in each round, the other one is read."""
    y = np.concatenate((x, x))
    for t in range(4):
        y[3:] = y[:3] * y[:3] * x[t % 3]
    return np.sum(y * y)


KEPT = [
    (halves, RNG.random(3)),
    (recurrence, 0.3, 2.0),
    (backwards, 0.3, 2.0),
    (garch, 0.2, RNG.normal(size=9)),
    (paths, RNG.random((4, 5))),
    (rows, RNG.random((5, 5)), RNG.random(5)),
    (lu, A),
    (cholesky, A),
    (tridiagonal, RNG.random(6), RNG.random(6) + 3),
    (with_branches, RNG.random(6), RNG.normal(size=6)),
    (written_behind, 0.3),
    (by_twos, 0.3),
]


def adjoint(fn, args):
    return make_ir(grad(fn, argnums=tuple(range(len(args)))))(*args)


def tapes(program):
    return [e for e in program.eqns if e.prim.name == "empty"]


@pytest.mark.parametrize("fn, args", [(f, a) for f, *a in KEPT])
def test_what_is_still_there_is_not_saved(fn, args):
    saved = tapes(adjoint(fn, args))
    assert not saved
    check_grads(fn, args, order=2, modes=["rev"], backend="numpy")


@pytest.mark.parametrize("fn, args", [(lu, [A]), (paths, [RNG.random((4, 5))])])
def test_compiled(fn, args):
    compiled, plain = (value_and_grad(fn, backend=b)(*args) for b in ("numba", "numpy"))
    np.testing.assert_allclose(compiled[0], plain[0], rtol=1e-13)
    np.testing.assert_allclose(compiled[1], plain[1], rtol=1e-12)


def test_in_rows_of_a_jacobian():
    def fn(c):
        D = np.ones((4, 5))
        for i in range(1, 4):
            for j in range(1, 5):
                D[i, j] = c[i, j] * D[i - 1, j] * D[i, j - 1]
        return D[-1]

    c = RNG.random((4, 5))
    rev, fwd = (jacobian(fn, mode=m, backend="numpy")(c) for m in ("rev", "fwd"))
    np.testing.assert_allclose(rev, fwd, rtol=1e-12)


# What must not be read again ----------------------------------------------------------


def seidel(u):
    u = u.copy()
    for _ in range(3):
        for i in range(1, len(u) - 1):
            u[i] = u[i - 1] * u[i + 1] * u[i]
    return np.sum(u)


def one_cell(u):
    y = np.zeros(3)
    for i in range(len(u)):
        y[1] = y[1] * y[0] + u[i] * u[i]
        y[0] = np.sin(u[i] * y[1])
    return y[1]


def overwritten_behind(x):
    y = np.zeros(9)
    y[0] = x
    for t in range(8):
        y[t + 1] = y[t] * y[t]
    for t in range(3, 5):
        y[t] = y[t - 1] * x
    return np.sum(y)


def other_branch(x, z):
    """A cell that the other branch overwrites in a later round."""
    y = x.copy()
    for i in range(1, len(x) - 1):
        if z[i] > 0:
            y[i] = y[i - 1] * y[i + 1]
        else:
            y[i - 1] = y[i] * y[i]
    return np.sum(y * y)


PLACES = np.array([3, 1, 4, 0, 3])


def by_data(x):
    y = x.copy()
    for i in range(len(x)):
        y[PLACES[i]] = y[i] * y[i]
    return np.sum(y * y)


@pytest.mark.parametrize(
    "fn, args",
    [
        (seidel, (RNG.random(6),)),
        (one_cell, (RNG.random(4),)),
        (overwritten_behind, (0.9,)),
        (other_branch, (RNG.random(8), RNG.normal(size=8))),
        (by_data, (RNG.random(5),)),
    ],
)
def test_what_is_overwritten_is_saved(fn, args):
    check_grads(fn, args, order=2, modes=["rev"], backend="numpy")
    assert tapes(adjoint(fn, args))


# Random loops -------------------------------------------------------------------------


class Writer:
    """A random nest of loops that reads and writes cells of one array."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.bounds = []

    def bound(self, indices):
        pick = self.rng.integers(4)
        if indices and pick < 2:
            return indices[-1] + 1 if pick else indices[-1]
        return int(self.rng.integers(0, 2))

    def cell(self, indices):
        """Two indices of the array, linear in those of the loops."""
        return [self.form(indices) for _ in range(2)]

    def form(self, indices):
        chosen = self.rng.permutation(len(indices))[: self.rng.integers(0, 3)]
        factors = self.rng.choice([1, 1, 1, -1, 2], size=len(chosen))
        out = int(self.rng.integers(0, 3)) - 3 * sum(f for f in factors if f < 0)
        for k, factor in zip(chosen, factors, strict=True):
            term = indices[k] * int(factor) if factor != 1 else indices[k]
            out = term + out
        return out

    def statement(self, x, indices):
        value = at(x, *self.cell(indices)) * at(x, *self.cell(indices))
        for _ in range(self.rng.integers(0, 2)):
            value = value + ew.sin(at(x, *self.cell(indices)))
        return put(x, 0.5 * value, *self.cell(indices))

    def body(self, x, indices, depth):
        for _ in range(self.rng.integers(1, 3)):
            kind = self.rng.integers(5)
            if kind == 4 and depth < 2:  # an array of this round alone
                y = self.loop(x * 1.0, indices, depth + 1)
                x = put(x, ew.sin(at(y, *self.cell(indices))), *self.cell(indices))
            elif kind < 2 and depth < 2 + (self.rng.random() < 0.2):
                x = self.loop(x, indices, depth + 1)
            elif kind == 2:
                pred = ew.gt(at(x, *self.cell(indices)), 0.6)
                x = branch(
                    pred,
                    lambda x=x: self.statement(x, indices),
                    lambda x=x: self.statement(x, indices),
                )
            else:
                x = self.statement(x, indices)
        return x

    def loop(self, x, indices, depth):
        step = int(self.rng.choice([1, 1, 2, -1]))
        lo, hi = self.bound(indices), int(self.rng.integers(2, 4))
        if step < 0:
            lo, hi = hi - 1, (lo - 1 if isinstance(lo, int) else lo)
        inside = lambda i, x: self.body(x, [*indices, i], depth)  # noqa: E731
        reverse = bool(self.rng.integers(2))
        return loop(lo, hi, [x], inside, step=step, reverse=reverse)

    def program(self, x):
        for _ in range(self.rng.integers(1, 3)):
            x = self.loop(x, [], 1)
            if self.rng.integers(2):
                x = self.statement(x, [])
        return total(x * x)


def test_random_loops(monkeypatch):
    """The same gradients as where everything is saved."""
    x = RNG.uniform(0.3, 1.2, size=(15, 15))
    found = []
    search = Rereader.search

    def counted(self, *args):
        found.append(search(self, *args))
        return found[-1]

    for seed in range(20):
        program = build(Writer(seed).program, (15, 15))
        monkeypatch.setattr(Rereader, "search", counted)
        again = vjp(program, [0], seed=True)
        check(again)
        monkeypatch.setattr(Rereader, "search", lambda *args: None)
        saved = vjp(program, [0], seed=True)
        for derived in (again, optimize(again, last=True)):
            got, want = evaluate(derived, [x]), evaluate(saved, [x])
            np.testing.assert_allclose(got[1], want[1], rtol=1e-10, err_msg=str(seed))
    assert sum(reading is not None for reading in found) > 100
    assert sum(reading is None for reading in found) > 100
