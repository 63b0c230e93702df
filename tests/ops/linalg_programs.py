"""Calls of `np.linalg`, each a function of one array; what it does not read is left
out of its result, and what is not unique is made so."""

from __future__ import annotations

import numpy as np

RNG = np.random.default_rng(5)


def _general(*shape):
    n = shape[-1]
    return RNG.normal(size=shape) + 3 * np.eye(n)


def _positive(*shape):
    root = RNG.normal(size=shape)
    return root @ np.swapaxes(root, -1, -2) + shape[-1] * np.eye(shape[-1])


def _spread(*shape):
    apart = np.eye(shape[-2], shape[-1]) * (1 + 3 * np.arange(shape[-1]))
    return apart + 0.3 * RNG.normal(size=shape)


def _symmetric(*shape):
    x = _spread(*shape)
    return x + np.swapaxes(x, -1, -2)


def _ordered(function, order):
    return lambda x: function(x, order)


B3, B32 = RNG.normal(size=3), RNG.normal(size=(3, 2))
BATCH = RNG.normal(size=(2, 3, 2))
WEIGHTS = RNG.normal(size=(5, 3))


def _of_hermitian_svd(a):
    u, s, vt = np.linalg.svd(a, hermitian=True)
    return u * vt.T, s


PROGRAMS = {
    "solve vector": (lambda a: np.linalg.solve(a, B3), _general(3, 3)),
    "solve matrix": (lambda a: np.linalg.solve(a, B32), _general(3, 3)),
    "solve for itself": (lambda a: np.linalg.solve(a, a.T @ a), _general(3, 3)),
    "solve batch": (lambda a: np.linalg.solve(a, BATCH), _general(2, 3, 3)),
    "solve broadcast": (lambda a: np.linalg.solve(a, BATCH), _general(3, 3)),
    "solve right side": (lambda b: np.linalg.solve(_A, b), RNG.normal(size=(3, 2))),
    "inv": (np.linalg.inv, _general(4, 4)),
    "inv batch": (np.linalg.inv, _general(2, 3, 3)),
    "tensorsolve": (
        lambda a: np.linalg.tensorsolve(a, np.ones((2, 3))),
        RNG.normal(size=(2, 3, 6)) + np.eye(6).reshape(2, 3, 6) * 4,
    ),
    "tensorinv": (
        lambda a: np.linalg.tensorinv(a, ind=1),
        RNG.normal(size=(4, 2, 2)) + np.eye(4).reshape(4, 2, 2) * 4,
    ),
    "lstsq": (lambda a: np.linalg.lstsq(a, WEIGHTS)[0], _spread(5, 3)),
    "lstsq residuals": (lambda a: np.linalg.lstsq(a, WEIGHTS)[1], _spread(5, 3)),
    "lstsq vector": (lambda a: np.linalg.lstsq(a, WEIGHTS[:, 0])[0], _spread(5, 3)),
    "lstsq wide": (lambda a: np.linalg.lstsq(a, B32)[0], _spread(3, 5)),
    **{f"det {n}": (np.linalg.det, _general(n, n)) for n in (1, 2, 3, 4, 6)},
    "det batch": (np.linalg.det, _general(2, 4, 4)),
    "det negative": (np.linalg.det, _general(4, 4)[[1, 0, 2, 3]]),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], _general(4, 4)),
    "slogdet fields": (lambda a: np.linalg.slogdet(a).logabsdet, _general(4, 4)),
    "slogdet batch": (lambda a: np.linalg.slogdet(a)[1], _general(2, 3, 3)),
    "cholesky": (np.linalg.cholesky, _positive(4, 4)),
    "cholesky batch": (np.linalg.cholesky, _positive(2, 3, 3)),
    "cholesky upper": (lambda a: np.linalg.cholesky(a, upper=True), _positive(3, 3)),
    "cholesky of a gram": (
        lambda x: np.linalg.cholesky(x @ x.T + np.eye(4)),
        RNG.normal(size=(4, 3)),
    ),
    "qr": (lambda a: tuple(np.linalg.qr(a)), _spread(4, 4)),
    "qr tall": (lambda a: tuple(np.linalg.qr(a)), _spread(5, 3)),
    "qr wide": (lambda a: tuple(np.linalg.qr(a)), _spread(3, 5)),
    "qr complete": (lambda a: tuple(np.linalg.qr(a, "complete")), _spread(5, 3)),
    "qr complete batch": (lambda a: np.linalg.qr(a, "complete").Q, _spread(2, 4, 1)),
    "qr r": (lambda a: np.linalg.qr(a, mode="r"), _spread(5, 3)),
    "qr batch": (lambda a: np.linalg.qr(a).R, _spread(2, 4, 3)),
    "eigh": (lambda a: tuple(np.linalg.eigh(a)), _symmetric(4, 4)),
    "eigh upper": (lambda a: np.linalg.eigh(a, UPLO="U")[0], _symmetric(4, 4)),
    "eigh batch": (lambda a: np.linalg.eigh(a).eigenvectors, _symmetric(2, 3, 3)),
    "eigvalsh": (np.linalg.eigvalsh, _symmetric(4, 4)),
    "svd": (lambda a: tuple(np.linalg.svd(a)), _spread(3, 3)),
    "svd tall": (lambda a: tuple(np.linalg.svd(a, False)), _spread(5, 3)),
    "svd wide": (
        lambda a: tuple(np.linalg.svd(a, full_matrices=False)),
        _spread(2, 4)[:, :],
    ),
    "svd full": (lambda a: tuple(np.linalg.svd(a)), _spread(4, 3)),
    "svd hermitian": (_of_hermitian_svd, _symmetric(3, 3) - 7 * np.eye(3)),
    "svd batch": (lambda a: np.linalg.svd(a, full_matrices=False).U, _spread(2, 4, 3)),
    "singular values": (lambda a: np.linalg.svd(a, compute_uv=False), _spread(5, 3)),
    "svdvals": (np.linalg.svdvals, _spread(5, 3)),
    "pinv": (np.linalg.pinv, _spread(5, 3)),
    "pinv wide": (np.linalg.pinv, _spread(3, 5)),
    "pinv of orthogonal": (np.linalg.pinv, np.linalg.qr(_general(4, 4))[0][:, :2]),
    "matrix_power 5": (lambda a: np.linalg.matrix_power(a, 5), _spread(3, 3) / 5),
    "matrix_power -2": (lambda a: np.linalg.matrix_power(a, -2), _general(3, 3)),
    "matrix_power 0": (lambda a: np.linalg.matrix_power(a, 0) * a, _general(3, 3)),
    "matrix_rank": (lambda a: a * np.linalg.matrix_rank(a), _spread(4, 3)),
    **{
        f"norm {order}": (
            _ordered(np.linalg.norm, order),
            RNG.normal(size=5),
        )
        for order in (None, 1, 2, 3, 0.5, -1, -2, 0, np.inf, -np.inf)
    },
    **{
        f"matrix norm {order}": (
            _ordered(np.linalg.norm, order),
            _spread(4, 3),
        )
        for order in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
    "norm axes": (
        lambda x: np.linalg.norm(x, ord=1, axis=(2, 0), keepdims=True),
        RNG.normal(size=(3, 2, 4)),
    ),
    "norm axis": (
        lambda x: np.linalg.norm(x, ord=3, axis=1, keepdims=True),
        RNG.normal(size=(3, 2, 4)),
    ),
    "vector_norm": (
        lambda x: np.linalg.vector_norm(x, axis=(0, 2), ord=3),
        RNG.normal(size=(3, 2, 4)),
    ),
    "matrix_norm": (
        lambda x: np.linalg.matrix_norm(x, ord="nuc"),
        _spread(2, 3, 3),
    ),
    **{
        f"cond {order}": (
            _ordered(np.linalg.cond, order),
            _spread(3, 3),
        )
        for order in (None, -2, 1, np.inf, "fro")
    },
    "multi_dot": (
        lambda a: np.linalg.multi_dot([B3, a, _A, a, B32]),
        RNG.normal(size=(3, 3)),
    ),
    "trace of a product": (lambda a: np.linalg.trace(a @ a), RNG.normal(size=(3, 3))),
}
_A = _general(3, 3)
