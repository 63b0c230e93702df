"""Regressions: least squares, Poisson's, Cox's; the log of a sum of exponentials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks import polynomials
from benchmarks.workload import SAME, Function, Workload, fast

# --- least squares with a penalty


def ridge(w, X, y):
    return np.mean((X @ w - y) ** 2) + 0.1 * np.sum(w**2)


@fast
def ridge_primal(w, X, y):
    z = np.dot(X, w)
    value = 0.0
    for i in range(y.size):
        value += (z[i] - y[i]) ** 2
    penalty = 0.0
    for j in range(w.size):
        penalty += w[j] * w[j]
    return value / y.size + 0.1 * penalty


@fast
def ridge_hand(w, X, y):
    # Row by row: so few columns stay in registers or nearly so.
    n, p = X.shape
    g = np.zeros(p)
    value, penalty = 0.0, 0.0
    for i in range(n):
        row = X[i]
        e = -y[i]
        for j in range(p):
            e += row[j] * w[j]
        value += e * e
        for j in range(p):
            g[j] += e * row[j]
    for j in range(p):
        penalty += w[j] * w[j]
        g[j] = 2.0 / n * g[j] + 0.2 * w[j]
    return value / n + 0.1 * penalty, g


def make_ridge(n):
    rng = np.random.default_rng(0)
    return rng.normal(size=10), rng.normal(size=(n, 10)), rng.normal(size=n)


# --- Poisson regression


def poisson(w, X, y):
    eta = X @ w
    return np.mean(np.exp(eta) - y * eta)


def poisson_primal_by(m: Any) -> Function:
    @fast
    def primal(w, X, y):
        eta = np.dot(X, w)
        value = 0.0
        for i in range(y.size):
            value += m.exp(eta[i]) - y[i] * eta[i]
        return value / y.size

    return primal


def poisson_by(m: Any) -> Function:
    @fast
    def hand(w, X, y):
        eta = np.dot(X, w)
        value, scale = 0.0, 1.0 / y.size
        for i in range(y.size):
            e = m.exp(eta[i])
            value += e - y[i] * eta[i]
            eta[i] = (e - y[i]) * scale
        return value * scale, np.dot(eta, X)

    return hand


def make_poisson(n):
    rng = np.random.default_rng(0)
    X, w = 0.3 * rng.normal(size=(n, 20)), rng.normal(size=20)
    return 0.5 * w, X, rng.poisson(np.exp(X @ w)).astype(float)


# --- Cox's partial likelihood, latest times first: those at risk are all above


def cox(beta, X, event):
    eta = X @ beta
    at_risk = np.cumsum(np.exp(eta))
    return -np.sum(event * (eta - np.log(at_risk)))


def cox_primal_by(m: Any) -> Function:
    @fast
    def primal(beta, X, event):
        eta = np.dot(X, beta)
        value, at_risk = 0.0, 0.0
        for i in range(eta.size):
            at_risk += m.exp(eta[i])
            value += event[i] * (m.log(at_risk) - eta[i])
        return value

    return primal


def cox_by(m: Any) -> Function:
    @fast
    def hand(beta, X, event):
        # Exponentials and logarithms stand in loops of their own, which have no sum
        # that runs through them and so can be vectorised.
        eta = np.dot(X, beta)
        n = eta.size
        e, at_risk = np.empty(n), np.empty(n)
        for i in range(n):
            e[i] = m.exp(eta[i])
        total = 0.0
        for i in range(n):
            total += e[i]
            at_risk[i] = total
        value = 0.0
        for i in range(n):
            value += event[i] * (m.log(at_risk[i]) - eta[i])
            at_risk[i] = event[i] / at_risk[i]
        after = 0.0
        for i in range(n - 1, -1, -1):
            after += at_risk[i]
            e[i] = e[i] * after - event[i]
        return value, np.dot(e, X)

    return hand


def make_cox(n):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 10))
    return 0.2 * rng.normal(size=10), X, (rng.random(n) < 0.7).astype(float)


# --- the log of a sum of exponentials of affine functions


def log_sum_exp(x, A, b):
    z = A @ x + b
    top = np.max(z)
    return top + np.log(np.sum(np.exp(z - top)))


def log_sum_exp_primal_by(m: Any) -> Function:
    @fast
    def primal(x, A, b):
        z = np.dot(A, x)
        top = -np.inf
        for i in range(z.size):
            z[i] += b[i]
            top = max(top, z[i])
        total = 0.0
        for i in range(z.size):
            total += m.exp(z[i] - top)
        return top + math.log(total)

    return primal


def log_sum_exp_by(m: Any) -> Function:
    @fast
    def hand(x, A, b):
        z = np.dot(A, x)
        top = -np.inf
        for i in range(z.size):
            z[i] += b[i]
            top = max(top, z[i])
        total = 0.0
        for i in range(z.size):
            z[i] = m.exp(z[i] - top)
            total += z[i]
        g = np.dot(z, A)
        for j in range(g.size):
            g[j] /= total
        return top + math.log(total), g

    return hand


def make_log_sum_exp(n):
    rng = np.random.default_rng(0)
    return rng.normal(size=100), rng.normal(size=(n, 100)), rng.normal(size=n)


WORKLOADS = (
    Workload(
        "ridge",
        ridge,
        make_ridge,
        (200,),
        ridge_primal,
        ridge_hand,
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "poisson",
        poisson,
        make_poisson,
        (10_000,),
        poisson_primal_by(polynomials),
        poisson_by(math),
        hand_vector=poisson_by(polynomials),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "cox",
        cox,
        make_cox,
        (2000,),
        cox_primal_by(polynomials),
        cox_by(math),
        hand_vector=cox_by(polynomials),
        jax=SAME,
    ),
    Workload(
        "lse",
        log_sum_exp,
        make_log_sum_exp,
        (500,),
        log_sum_exp_primal_by(polynomials),
        log_sum_exp_by(math),
        hand_vector=log_sum_exp_by(polynomials),
        jax=SAME,
        autograd=SAME,
    ),
)
