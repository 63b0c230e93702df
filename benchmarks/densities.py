"""Densities: mixtures, kernels, particles, Gaussian processes; centres of clusters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks import polynomials
from benchmarks.workload import SAME, Function, Workload, fast

#: Observations that a nest takes at a time, so that its loops run along them.
BLOCK = 64

# --- a mixture of Gaussians with axes of their own


def mixture(alpha, mu, log_sigma, X):
    z = (X[:, None, :] - mu) * np.exp(-log_sigma)
    weight = alpha - np.log(np.sum(np.exp(alpha))) - np.sum(log_sigma, axis=1)
    logp = weight - 0.5 * np.sum(z**2, axis=2)
    top = np.max(logp, axis=1)
    return np.sum(top + np.log(np.sum(np.exp(logp - top[:, None]), axis=1)))


def mixture_tools_by(m: Any) -> tuple[Function, Function]:
    """What depends on the parameters alone, and a block of observations."""

    @fast
    def constants(alpha, log_sigma):
        total = 0.0
        for k in range(alpha.size):
            total += math.exp(alpha[k])
        weight, inverse = np.empty_like(alpha), np.empty_like(log_sigma)
        for k in range(alpha.size):
            weight[k] = alpha[k] - math.log(total)
            for d in range(log_sigma.shape[1]):
                weight[k] -= log_sigma[k, d]
                inverse[k, d] = math.exp(-log_sigma[k, d])
        return weight, inverse, total

    @fast
    def block_shares(x, weight, mu, inverse, n, z, p, top, total):
        """Leave each component's share of n observations in p; return the value."""
        components, dims = mu.shape
        for i in range(n):
            top[i] = -np.inf
            total[i] = 0.0
        for k in range(components):
            for i in range(n):
                p[k, i] = weight[k]
            for d in range(dims):
                for i in range(n):
                    z[k, d, i] = (x[d, i] - mu[k, d]) * inverse[k, d]
                    p[k, i] -= 0.5 * z[k, d, i] * z[k, d, i]
            for i in range(n):
                top[i] = max(top[i], p[k, i])
        for k in range(components):
            for i in range(n):
                p[k, i] = m.exp(p[k, i] - top[i])
                total[i] += p[k, i]
        value = 0.0
        for i in range(n):
            value += top[i] + m.log(total[i])
            total[i] = 1.0 / total[i]
        for k in range(components):
            for i in range(n):
                p[k, i] *= total[i]
        return value

    return constants, block_shares


def mixture_primal_by(m: Any) -> Function:
    constants, block_shares = mixture_tools_by(m)

    @fast
    def primal(alpha, mu, log_sigma, X):
        weight, inverse, _ = constants(alpha, log_sigma)
        components, dims = mu.shape
        z, p = np.empty((components, dims, BLOCK)), np.empty((components, BLOCK))
        x, top, total = np.empty((dims, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
        value = 0.0
        for start in range(0, X.shape[0], BLOCK):
            n = min(BLOCK, X.shape[0] - start)
            for i in range(n):
                for d in range(dims):
                    x[d, i] = X[start + i, d]
            value += block_shares(x, weight, mu, inverse, n, z, p, top, total)
        return value

    return primal


def mixture_by(m: Any) -> Function:
    constants, block_shares = mixture_tools_by(m)

    @fast
    def hand(alpha, mu, log_sigma, X):
        weight, inverse, total_alpha = constants(alpha, log_sigma)
        components, dims = mu.shape
        z, p = np.empty((components, dims, BLOCK)), np.empty((components, BLOCK))
        x, top, total = np.empty((dims, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
        alpha_bar, mu_bar = np.zeros(components), np.zeros((components, dims))
        sigma_bar = np.zeros((components, dims))
        value = 0.0
        for start in range(0, X.shape[0], BLOCK):
            n = min(BLOCK, X.shape[0] - start)
            for i in range(n):
                for d in range(dims):
                    x[d, i] = X[start + i, d]
            value += block_shares(x, weight, mu, inverse, n, z, p, top, total)
            for k in range(components):
                own = 0.0
                for i in range(n):
                    own += p[k, i]
                alpha_bar[k] += own
                for d in range(dims):
                    once, twice = 0.0, 0.0
                    for i in range(n):
                        once += p[k, i] * z[k, d, i]
                        twice += p[k, i] * z[k, d, i] * z[k, d, i]
                    mu_bar[k, d] += once * inverse[k, d]
                    sigma_bar[k, d] += twice - own
        for k in range(components):
            alpha_bar[k] -= X.shape[0] * math.exp(alpha[k]) / total_alpha
        return value, alpha_bar, mu_bar, sigma_bar

    return hand


def make_mixture(n):
    rng = np.random.default_rng(0)
    shape = 10, 5
    alpha, mu = rng.normal(size=10), rng.normal(size=shape)
    return alpha, mu, 0.3 * rng.normal(size=shape), rng.normal(size=(n, 5))


# --- the distance of points to the nearest of some centres


def k_means(centres, X):
    squares = np.sum((X[:, None, :] - centres[None, :, :]) ** 2, axis=2)
    return np.mean(np.min(squares, axis=1))


@fast
def nearest(x, centres):
    best, where = np.inf, 0
    for k in range(centres.shape[0]):
        total = 0.0
        for d in range(x.size):
            e = x[d] - centres[k, d]
            total += e * e
        if total < best:
            best, where = total, k
    return best, where


@fast
def k_means_primal(centres, X):
    value = 0.0
    for i in range(X.shape[0]):
        value += nearest(X[i], centres)[0]
    return value / X.shape[0]


@fast
def k_means_hand(centres, X):
    n, dims = X.shape
    x, best = np.empty((dims, BLOCK)), np.empty(BLOCK)
    squares, where = np.empty(BLOCK), np.empty(BLOCK, np.int64)
    bar = np.zeros_like(centres)
    value = 0.0
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        for i in range(size):
            best[i] = np.inf
            for d in range(dims):
                x[d, i] = X[start + i, d]
        for k in range(centres.shape[0]):
            for i in range(size):
                squares[i] = 0.0
            for d in range(dims):
                for i in range(size):
                    e = x[d, i] - centres[k, d]
                    squares[i] += e * e
            for i in range(size):
                where[i] = k if squares[i] < best[i] else where[i]
                best[i] = min(best[i], squares[i])
        for i in range(size):
            value += best[i]
            for d in range(dims):
                bar[where[i], d] += centres[where[i], d] - x[d, i]
    for k in range(centres.shape[0]):
        for d in range(dims):
            bar[k, d] *= 2.0 / n
    return value / n, bar


def make_k_means(n):
    rng = np.random.default_rng(0)
    return rng.normal(size=(16, 8)), rng.normal(size=(n, 8))


# --- a density by kernels, and its log-likelihood


def kernel_density(log_h, points, seen):
    z = (seen[:, None] - points[None, :]) * np.exp(-log_h)
    return np.mean(np.log(np.mean(np.exp(-0.5 * z**2), axis=1))) - log_h


def kernel_density_primal_by(m: Any) -> Function:
    @fast
    def primal(log_h, points, seen):
        inverse = math.exp(-log_h)
        value = 0.0
        for i in range(seen.size):
            total = 0.0
            for j in range(points.size):
                z = (seen[i] - points[j]) * inverse
                total += m.exp(-0.5 * z * z)
            value += math.log(total / points.size)
        return value / seen.size - log_h

    return primal


def kernel_density_by(m: Any) -> Function:
    @fast
    def hand(log_h, points, seen):
        n, inverse = seen.size, math.exp(-log_h)
        e, bar = np.empty(points.size), np.zeros(points.size)
        value, h_bar = 0.0, 0.0
        for i in range(n):
            total, along = 0.0, 0.0
            for j in range(points.size):
                z = (seen[i] - points[j]) * inverse
                own = m.exp(-0.5 * z * z)
                total += own
                along += own * z * z
                e[j] = own * z
            value += math.log(total / points.size)
            h_bar += along / total
            scale = inverse / (total * n)
            for j in range(points.size):
                bar[j] += e[j] * scale
        return value / n - log_h, h_bar / n - 1.0, bar

    return hand


def make_kernel_density(n):
    rng = np.random.default_rng(0)
    return -0.5, rng.normal(size=n), rng.normal(size=n)


# --- one step of a particle filter, and what it says of the parameters


def particle_step(theta, x, noise, y):
    moved = theta[0] * x + theta[1] * x / (1.0 + x**2) + np.exp(theta[2]) * noise
    log_w = -0.5 * ((y - moved**2 / 20.0) * np.exp(-theta[3])) ** 2 - theta[3]
    top = np.max(log_w)
    return top + np.log(np.mean(np.exp(log_w - top)))


@fast
def particle_weights(theta, x, noise, y, moved, log_w):
    a, b, q, inverse = theta[0], theta[1], math.exp(theta[2]), math.exp(-theta[3])
    top = -np.inf
    for i in range(x.size):
        v = a * x[i] + b * x[i] / (1.0 + x[i] * x[i]) + q * noise[i]
        e = (y - v * v * 0.05) * inverse
        moved[i] = v
        log_w[i] = -0.5 * e * e
        top = max(top, log_w[i])
    return top


def particle_primal_by(m: Any) -> Function:
    @fast
    def primal(theta, x, noise, y):
        moved, log_w = np.empty_like(x), np.empty_like(x)
        top = particle_weights(theta, x, noise, y, moved, log_w)
        total = 0.0
        for i in range(x.size):
            total += m.exp(log_w[i] - top)
        return top - theta[3] + math.log(total / x.size)

    return primal


def particle_by(m: Any) -> Function:
    @fast
    def hand(theta, x, noise, y):
        moved, log_w = np.empty_like(x), np.empty_like(x)
        top = particle_weights(theta, x, noise, y, moved, log_w)
        inverse = math.exp(-theta[3])
        total, a, b, q, r = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(x.size):
            w = m.exp(log_w[i] - top)
            e = (y - moved[i] * moved[i] * 0.05) * inverse
            total += w
            r += w * e * e
            bar = w * e * moved[i]  # but for what is common to all
            a += bar * x[i]
            b += bar * x[i] / (1.0 + x[i] * x[i])
            q += bar * noise[i]
        g = np.empty(4)
        scale = 0.1 * inverse / total
        g[0], g[1], g[2] = a * scale, b * scale, q * scale * math.exp(theta[2])
        g[3] = r / total - 1.0
        return top - theta[3] + math.log(total / x.size), g

    return hand


def make_particle_step(n):
    rng = np.random.default_rng(0)
    theta = np.array([0.5, 5.0, 0.3, 0.1])
    return theta, 3.0 * rng.normal(size=n), rng.normal(size=n), 1.7


# --- the marginal likelihood of a Gaussian process


def gaussian_process(theta, X, y):
    squares = np.sum((X[:, None, :] - X[None, :, :]) ** 2, axis=2)
    K = np.exp(2.0 * theta[1] - 0.5 * squares * np.exp(-2.0 * theta[0]))
    K = K + np.exp(2.0 * theta[2]) * np.eye(y.shape[0])
    L = np.linalg.cholesky(K)
    white = np.linalg.solve(L, y)
    return 0.5 * np.sum(white**2) + np.sum(np.log(np.diag(L)))


def covariance_by(m: Any) -> Function:
    @fast
    def covariance(theta, X):
        """The matrix, symmetric; squared distances are left above its diagonal."""
        n, dims = X.shape
        scale, noise = 0.5 * math.exp(-2.0 * theta[0]), math.exp(2.0 * theta[2])
        XT = X.T.copy()
        K, squares = np.empty((n, n)), np.empty((n, n))
        for i in range(n):
            row, own = squares[i], K[i]
            for j in range(i):
                row[j] = 0.0
            for d in range(dims):
                along, here = XT[d], XT[d, i]
                for j in range(i):
                    e = along[j] - here
                    row[j] += e * e
            for j in range(i):
                own[j] = m.exp(2.0 * theta[1] - scale * row[j])
            own[i] = math.exp(2.0 * theta[1]) + noise
            for j in range(i):
                K[j, i] = own[j]
        return K, squares

    return covariance


@fast
def likelihood_of(K, y):
    """The value, the inverse of K and its product with y."""
    inverse = np.linalg.inv(K)
    solved = np.dot(inverse, y)
    value = 0.0
    for d in np.diag(np.linalg.cholesky(K)):
        value += math.log(d)
    return value + 0.5 * np.dot(y, solved), inverse, solved


def gaussian_process_primal_by(m: Any) -> Function:
    covariance = covariance_by(m)

    @fast
    def primal(theta, X, y):
        L = np.linalg.cholesky(covariance(theta, X)[0])
        value = 0.0
        white = np.empty_like(y)
        for i in range(y.size):
            row = L[i]
            total = y[i]
            for j in range(i):
                total -= row[j] * white[j]
            white[i] = total / row[i]
            value += math.log(row[i]) + 0.5 * white[i] * white[i]
        return value

    return primal


def gaussian_process_by(m: Any) -> Function:
    covariance = covariance_by(m)

    @fast
    def hand(theta, X, y):
        K, squares = covariance(theta, X)
        value, inverse, solved = likelihood_of(K, y)
        # The sum over K of (inverse - solved solvedᵀ) / 2 times dK, by halves.
        length, size, trace = 0.0, 0.0, 0.0
        signal = math.exp(2.0 * theta[1])
        for i in range(y.size):
            row, own, back = squares[i], K[i], inverse[i]
            for j in range(i):
                bar = (back[j] - solved[i] * solved[j]) * own[j]
                size += bar
                length += bar * row[j]
            trace += back[i] - solved[i] * solved[i]
        g = np.empty(3)
        g[0] = length * math.exp(-2.0 * theta[0])
        g[1] = 2.0 * size + trace * signal
        g[2] = trace * math.exp(2.0 * theta[2])
        return value, g

    return hand


def make_gaussian_process(n):
    rng = np.random.default_rng(0)
    return np.array([0.2, 0.1, -0.7]), rng.normal(size=(n, 3)), rng.normal(size=n)


WORKLOADS = (
    Workload(
        "mixture",
        mixture,
        make_mixture,
        (1000,),
        mixture_primal_by(polynomials),
        mixture_by(math),
        hand_vector=mixture_by(polynomials),
        argnums=(0, 1, 2),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "k-means",
        k_means,
        make_k_means,
        (2000,),
        k_means_primal,
        k_means_hand,
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "density",
        kernel_density,
        make_kernel_density,
        (400,),
        kernel_density_primal_by(polynomials),
        kernel_density_by(math),
        hand_vector=kernel_density_by(polynomials),
        argnums=(0, 1),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "particles",
        particle_step,
        make_particle_step,
        (10_000,),
        particle_primal_by(polynomials),
        particle_by(math),
        hand_vector=particle_by(polynomials),
        jax=SAME,
        autograd=SAME,
    ),
    Workload(
        "gp",
        gaussian_process,
        make_gaussian_process,
        (200,),
        gaussian_process_primal_by(polynomials),
        gaussian_process_by(math),
        hand_vector=gaussian_process_by(polynomials),
        jax=SAME,
        autograd=SAME,
    ),
)
