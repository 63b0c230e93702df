"""Black and Scholes' prices: of many options at once, of a single one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from benchmarks import polynomials
from benchmarks.workload import SAME, Function, Workload, fast

# --- many options: their summed price by the prices of what they are on, and all Greeks


def black_scholes(S, K, T, r, sigma):
    root = sigma * np.sqrt(T)
    d1 = (np.log(S / K) + (r + 0.5 * sigma**2) * T) / root
    d2 = d1 - root
    here = 0.5 * (1.0 + special.erf(d1 / np.sqrt(2.0)))
    there = 0.5 * (1.0 + special.erf(d2 / np.sqrt(2.0)))
    return np.sum(S * here - K * np.exp(-r * T) * there)


def prices_by(m: Any) -> Function:
    """The price, with the functions of `m`."""

    @fast
    def prices(S, K, T, r, sigma):
        half = math.sqrt(0.5)
        value = 0.0
        for i in range(S.size):
            v = sigma[i] * math.sqrt(T[i])
            d1 = (m.log(S[i] / K[i]) + (r + 0.5 * sigma[i] * sigma[i]) * T[i]) / v
            here = 0.5 + 0.5 * m.erf(d1 * half)
            there = 0.5 + 0.5 * m.erf((d1 - v) * half)
            value += S[i] * here - K[i] * m.exp(-r * T[i]) * there
        return value

    return prices


def deltas_by(m: Any) -> Function:
    """The price and its derivative by S: what d1 adds cancels out."""

    @fast
    def deltas(S, K, T, r, sigma):
        half = math.sqrt(0.5)
        g = np.empty_like(S)
        value = 0.0
        for i in range(S.size):
            v = sigma[i] * math.sqrt(T[i])
            d1 = (m.log(S[i] / K[i]) + (r + 0.5 * sigma[i] * sigma[i]) * T[i]) / v
            here = 0.5 + 0.5 * m.erf(d1 * half)
            there = 0.5 + 0.5 * m.erf((d1 - v) * half)
            value += S[i] * here - K[i] * m.exp(-r * T[i]) * there
            g[i] = here
        return value, g

    return deltas


def greeks_by(m: Any) -> Function:
    """The price and its derivatives by S, T, r and sigma."""

    @fast
    def greeks(S, K, T, r, sigma):
        half, unit = math.sqrt(0.5), 1.0 / math.sqrt(2.0 * math.pi)
        delta, theta, vega = np.empty_like(S), np.empty_like(S), np.empty_like(S)
        value, rho = 0.0, 0.0
        for i in range(S.size):
            root = math.sqrt(T[i])
            v = sigma[i] * root
            d1 = (m.log(S[i] / K[i]) + (r + 0.5 * sigma[i] * sigma[i]) * T[i]) / v
            here = 0.5 + 0.5 * m.erf(d1 * half)
            there = 0.5 + 0.5 * m.erf((d1 - v) * half)
            paid = K[i] * m.exp(-r * T[i]) * there
            dense = S[i] * unit * m.exp(-0.5 * d1 * d1)
            value += S[i] * here - paid
            rho += T[i] * paid
            delta[i] = here
            theta[i] = 0.5 * dense * sigma[i] / root + r * paid
            vega[i] = dense * root
        return value, delta, theta, rho, vega

    return greeks


def make_options(n):
    rng = np.random.default_rng(0)
    S, K = rng.uniform(80.0, 120.0, n), rng.uniform(80.0, 120.0, n)
    return S, K, rng.uniform(0.2, 2.0, n), 0.03, rng.uniform(0.1, 0.5, n)


# --- a single option, priced by three numbers


def one_option(S, sigma, T):
    root = sigma * np.sqrt(T)
    d1 = (np.log(S / 100.0) + (0.03 + 0.5 * sigma**2) * T) / root
    here = 0.5 * (1.0 + special.erf(d1 / np.sqrt(2.0)))
    there = 0.5 * (1.0 + special.erf((d1 - root) / np.sqrt(2.0)))
    return S * here - 100.0 * np.exp(-0.03 * T) * there


@fast
def one_option_primal(S, sigma, T):
    root = sigma * math.sqrt(T)
    d1 = (math.log(S / 100.0) + (0.03 + 0.5 * sigma * sigma) * T) / root
    here = 0.5 + 0.5 * math.erf(d1 * math.sqrt(0.5))
    there = 0.5 + 0.5 * math.erf((d1 - root) * math.sqrt(0.5))
    return S * here - 100.0 * math.exp(-0.03 * T) * there


@fast
def one_option_hand(S, sigma, T):
    root_T = math.sqrt(T)
    root = sigma * root_T
    d1 = (math.log(S / 100.0) + (0.03 + 0.5 * sigma * sigma) * T) / root
    here = 0.5 + 0.5 * math.erf(d1 * math.sqrt(0.5))
    there = 0.5 + 0.5 * math.erf((d1 - root) * math.sqrt(0.5))
    paid = 100.0 * math.exp(-0.03 * T) * there
    dense = S * math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
    theta = 0.5 * dense * sigma / root_T + 0.03 * paid
    return S * here - paid, here, dense * root_T, theta


# --- a formula of three numbers


def formula(x, y, z):
    return np.sin(x * y) + x * np.exp(-z * z) / (1.0 + y * y)


@fast
def formula_primal(x, y, z):
    return math.sin(x * y) + x * math.exp(-z * z) / (1.0 + y * y)


@fast
def formula_hand(x, y, z):
    s, c = math.sin(x * y), math.cos(x * y)
    d = 1.0 / (1.0 + y * y)
    e = math.exp(-z * z) * d
    return s + x * e, c * y + e, c * x - 2.0 * x * y * e * d, -2.0 * x * z * e


WORKLOADS = (
    Workload(
        "options",
        black_scholes,
        make_options,
        (100_000,),
        prices_by(polynomials),
        deltas_by(math),
        hand_vector=deltas_by(polynomials),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "greeks",
        black_scholes,
        make_options,
        (100_000,),
        prices_by(polynomials),
        greeks_by(math),
        hand_vector=greeks_by(polynomials),
        argnums=(0, 2, 3, 4),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "one-option",
        one_option,
        lambda _: (105.0, 0.2, 0.7),
        (1,),
        one_option_primal,
        one_option_hand,
        argnums=(0, 1, 2),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "formula",
        formula,
        lambda _: (0.7, -0.4, 0.3),
        (1,),
        formula_primal,
        formula_hand,
        argnums=(0, 1, 2),
        jax=SAME,
        autograd=SAME,
    ),
)
