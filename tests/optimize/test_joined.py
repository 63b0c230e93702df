"""Arrays put together from parts, read where the parts are: loops split by ranges."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.optimize.kernels import text_of
from tracejit import jit, make_ir, value_and_grad


def shifted(u):
    return np.sum((np.roll(u, -1) - 2.0 * u + np.roll(u, 2)) ** 2 * u)


def laplacian(u):
    near = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1)
    return np.sum((near - 4.0 * u) ** 2 * u)


def corners(u):
    return np.sum(np.roll(np.roll(u, 1, 0), -1, 1) * u**2)


def half_turned(u):
    return np.sum(np.roll(u, len(u) // 2, 0) * u**2)


def variation(u):
    p = np.pad(u, 1, mode="edge")
    across, down = p[1:-1, 2:] - p[1:-1, 1:-1], p[2:, 1:-1] - p[1:-1, 1:-1]
    return np.sum(np.sqrt(across**2 + down**2 + 0.1))


def bordered(u):
    p = np.pad(u, ((1, 2), (0, 1)), constant_values=u[0, 0])
    return np.sum((p[1:, 1:] * p[:-1, :-1]) ** 2 + p[1:, 1:])


def slopes(u):
    down, across = np.gradient(u)
    return np.sum(down * down * across)


def differences(u):
    return np.sum(np.diff(u, axis=0, prepend=0.0, append=1.0) ** 2)


def backwards(u):
    ring = np.concatenate([u[1:], u[:1]])[::-1]
    return np.sum(ring * u**2) + np.sum(ring[3:-2][::-1] ** 3)


def every_other(u):
    p = np.pad(u, ((2, 2), (0, 0)))
    return np.sum(p[:-4:2] * p[3::2][: len(p[:-4:2])])


def summed_up(u):
    return np.sum(np.cumsum(np.concatenate([u[:1] * 2.0, np.sin(u)]), axis=0) ** 2)


def picked(u):
    k = np.arange(len(u)) * 3 % len(u)
    return np.sum(np.roll(u, 2, 0)[k] ** 2 * np.pad(u, ((1, 1), (0, 0)))[k])


def advected(u):
    for _ in range(3):
        u = u - 0.1 * u * (u - np.roll(u, 1)) + 0.1 * (np.roll(u, -1) - u)
    return np.sum(u**2)


def upwind(u):
    for _ in range(3):
        p = np.pad(u, 1, mode="edge")
        u = u - 0.1 * np.maximum(u, 0.0) * (u - p[1:-1, :-2]) + 0.1 * p[2:, 2:]
    return np.sum(u**2)


def of_three(u):
    rows = u[:, :3].copy()
    for v in u[0]:
        np.putmask(rows, rows, v * np.roll(rows, 1, axis=1))
    return np.sum(rows * u[:, :3])


def by_hand(u):
    v = np.zeros_like(u)
    v[1:] += u[:-1]
    v[:1] += u[-1:]
    v[:-1] += u[1:] ** 2
    v[-1] += u[0]
    v[1] += u[2]
    return np.sum(v**3)


#: Slices that leave out where a loop would be split, or reach beyond it.
def sliced(u):
    v = u.copy()
    v[1:] += u[:-1]
    v[:-1] += u[1:] ** 2
    return np.sum(v[:3] ** 2) + np.sum(v[4:7] ** 3) + np.sum(v[-2:] ** 2)


ROWS = (shifted, backwards, advected, by_hand, sliced)
PROGRAMS = (*ROWS, laplacian, corners, half_turned, variation, bordered, slopes)
PROGRAMS += (differences, every_other, summed_up, upwind)


def argument(f, n):
    shape = (n,) if f in (shifted, backwards, advected) else (n, n + 1)
    return np.random.default_rng(n).normal(size=shape)


@pytest.mark.parametrize("n", [9, 14])
@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_kernels_do_what_the_interpreter_does(f, n):
    text_of(value_and_grad(f), argument(f, n))


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_values_are_numpys(f):
    u = argument(f, 10)
    np.testing.assert_allclose(jit(f, backend="numpy")(u), f(u), rtol=1e-12)


@pytest.mark.parametrize(
    "f", [laplacian, upwind, sliced, picked, of_three], ids=lambda f: f.__name__
)
def test_compiled_gradients_are_those_of_the_interpreter(f):
    u = argument(f, 40)
    value, mine = value_and_grad(f)(u)
    np.testing.assert_allclose(value, f(u), rtol=1e-12)
    other = value_and_grad(f, backend="numpy")(u)[1]
    np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-12)


def stored(text):
    """The temporary arrays that a kernel writes to."""
    return {name for name in re.findall(r"^ +(\w+)\[.*\] = ", text, re.M)} - {
        name for name in re.findall(r"^ +(\w*out\w*)\[.*\] = ", text, re.M)
    }


@pytest.mark.parametrize("f, count", [(shifted, 0), (laplacian, 2), (differences, 0)])
def test_what_is_put_together_is_not_stored(f, count):
    # What is: two cotangents that are dear to compute anew.
    assert len(stored(text_of(value_and_grad(f), argument(f, 20)))) == count


def test_the_adjoint_of_a_shift_is_a_shift():
    text = str(make_ir(value_and_grad(shifted))(np.ones(20)))
    assert text.count("concatenate") == 4
    assert ".add(" not in text


def test_one_kernel_serves_all_sizes():
    texts = {
        text_of(value_and_grad(laplacian), argument(laplacian, n)) for n in (20, 50)
    }
    assert len(texts) == 1
