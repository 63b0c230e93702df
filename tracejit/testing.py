"""Checking gradients against numbers, for users' tests and for our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.api.forward import jvp
from tracejit.api.reverse import grad, vjp
from tracejit.backend.numba_build import compile_count
from tracejit.base.pytree import flatten, unflatten


def compilations() -> int:
    """How many kernels this process has compiled so far."""
    return compile_count()


def numerical_jvp(
    fn: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> list[np.ndarray]:
    """The derivative along `tangents` by central differences, extrapolated once.

    Returns the leaves of the result's tangent. The step is the cube root of the
    dtype's precision, the best for central differences (Press et al., Numerical
    Recipes, section 5.7).
    """
    leaves, treedef = flatten(tuple(primals))
    dots = flatten(tuple(tangents))[0]
    eps = max(np.finfo(np.asarray(d).dtype).eps for d in dots)

    def moved(h: float) -> list[np.ndarray]:
        args = [_moved(x, h, d) for x, d in zip(leaves, dots, strict=True)]
        out = flatten(fn(*unflatten(treedef, args)))[0]
        return [_widest(y) for y in out]

    def slope(h: float) -> list[np.ndarray]:
        return [
            (up - down) / (2 * h) for up, down in zip(moved(h), moved(-h), strict=True)
        ]

    step = float(eps ** (1 / 3))
    coarse, fine = slope(2 * step), slope(step)
    return [(4 * f - c) / 3 for f, c in zip(fine, coarse, strict=True)]


def _widest(y: Any) -> np.ndarray:
    return np.asarray(y, complex if np.iscomplexobj(y) else float)


def _paired(a: Sequence[Any], b: Sequence[Any]) -> float:
    """What a change b comes to under a cotangent a: without conjugation, as in JAX."""
    return sum(float(np.sum(x * y).real) for x, y in zip(a, b, strict=True))


def _moved(x: Any, h: float, d: Any) -> Any:
    moved = np.asarray(x) + np.asarray(x).dtype.type(h) * np.asarray(d)
    if isinstance(x, np.ndarray):
        return moved.copy()
    return moved.item() if isinstance(x, float | complex) else moved[()]


def check_grads(
    fn: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    *,
    rtol: float | None = None,
    backend: str | None = None,
    seed: int = 0,
) -> None:
    """Compare derivatives of `fn` at `args` with central differences.

    Arguments: `order`, up to which derivatives are compared; `modes`, "fwd" (jvp) and
    "rev" (vjp); `rtol`, by default 1e-6 in float64 and 2e-2 in float32.

    Raises `AssertionError` where they differ. Differences see nothing at kinks, where
    they average both sides, and little where the function saturates.

    >>> check_grads(lambda x: x * x * x, (2.0,), order=2, backend="numpy")
    """
    rng = np.random.default_rng(seed)
    leaves, treedef = flatten(tuple(args))
    dots = [_like(rng, x) for x in leaves]
    tangents = unflatten(treedef, dots)
    single = any(np.asarray(x).dtype.char in "fF" for x in leaves)
    tolerance = rtol if rtol is not None else (2e-2 if single else 1e-6)
    expected = numerical_jvp(fn, args, tangents)
    scale = max([1.0, *(float(np.max(np.abs(e), initial=0.0)) for e in expected)])
    if "fwd" in modes:
        _, slopes = jvp(fn, tuple(args), tangents, backend=backend)
        for got, want in zip(flatten(slopes)[0], expected, strict=True):
            np.testing.assert_allclose(
                got, want, rtol=tolerance, atol=tolerance * scale, err_msg="jvp"
            )
    if "rev" in modes:
        value, pull = vjp(fn, *args, backend=backend)
        outs, out_tree = flatten(value)
        cts = [_like(rng, y) for y in outs]
        pulled = flatten(pull(unflatten(out_tree, cts)))[0]
        total, wanted = _paired(pulled, dots), _paired(cts, expected)
        np.testing.assert_allclose(
            total, wanted, rtol=tolerance, atol=tolerance * scale, err_msg="vjp"
        )
    if order > 1:
        weights = [_like(rng, y) for y in flatten(fn(*args))[0]]

        def weighted(*xs: Any) -> Any:
            outs = flatten(fn(*xs))[0]
            terms = (np.sum(w * y) for w, y in zip(weights, outs, strict=True))
            return sum(t.real if np.iscomplexobj(t) else t for t in terms)

        gradient = grad(weighted, argnums=tuple(range(len(args))), backend=backend)
        check_grads(
            gradient,
            args,
            order - 1,
            modes,
            rtol=tolerance * 10,
            backend=backend,
            seed=seed + 1,
        )


def _like(rng: np.random.Generator, x: Any) -> Any:
    """A random direction of the type of `x`."""
    array = np.asarray(x)
    draw = rng.normal(size=array.shape)
    if array.dtype.kind == "c":
        draw = draw + 1j * rng.normal(size=array.shape)
    draw = draw.astype(array.dtype)
    if isinstance(x, np.ndarray):
        return draw
    if isinstance(x, np.generic):
        return array.dtype.type(draw)
    return complex(draw) if isinstance(x, complex) else float(draw)
