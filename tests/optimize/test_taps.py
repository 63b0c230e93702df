"""Loops of a few rounds over whole arrays are written out, and so are one pass."""

from __future__ import annotations

import numpy as np
import pytest

from tests.optimize.kernels import text_of
from tracejit import make_ir, value_and_grad
from tracejit.optimize.taps import write_out


def convolved(w, image):
    rows, columns = image.shape[0] - 2, image.shape[1] - 2
    out = np.zeros((rows, columns))
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            out += w[i, j] * image[i : i + rows, j : j + columns]
    return np.sum(np.maximum(out, 0.0) ** 2)


def backwards(w, image):
    out = np.ones(image.shape)
    total = 0.0
    for k in range(2, -1, -1):
        out = out * image + w[k, 0]
        total += np.sum(out * w[k, 1])
    return total


def every_other(w, image):
    out = 0.0 * image
    for k in range(0, 3, 2):
        out += np.sin(image * w[k, k])
    return np.sum(out**2)


def passed_along(w, image):  # a round reads other cells of what the last one left
    out = image.copy()
    for k in range(3):
        out[1:] += w[k, 0] * out[:-1]
    return np.sum(out**2)


def many(w, image):
    out = 0.0 * image
    for k in range(len(image)):
        out += np.sin(image[k] * w[0, 0])
    return np.sum(out**2)


def arguments():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 3)), rng.normal(size=(14, 13))


def loops(program):
    return sum(eqn.prim.name == "for" for eqn in program.walk())


FEW, OTHERS = (convolved, backwards, every_other), (passed_along, many)


@pytest.mark.parametrize("f", [*FEW, *OTHERS], ids=lambda f: f.__name__)
def test_kernels_do_what_the_interpreter_does(f):
    text_of(value_and_grad(f, (0, 1)), *arguments())


@pytest.mark.parametrize("f", FEW, ids=lambda f: f.__name__)
def test_few_rounds_are_written_out(f):
    program = make_ir(f)(*arguments())
    assert loops(program) > loops(write_out(program)) == 0


@pytest.mark.parametrize("f", OTHERS, ids=lambda f: f.__name__)
def test_others_stay_loops(f):
    program = make_ir(f)(*arguments())
    assert write_out(program) is program


def test_a_convolution_and_its_adjoint_are_two_passes():
    program = write_out(make_ir(value_and_grad(convolved, (0, 1)))(*arguments()))
    assert loops(program) == 0
    text = text_of(value_and_grad(convolved, (0, 1)), *arguments())
    # One nest there; one back, of the cells inside and the few others.
    assert sum(line.startswith("    for ") for line in text.splitlines()) <= 4


@pytest.mark.parametrize("f", [convolved, backwards], ids=lambda f: f.__name__)
def test_compiled_gradients_are_those_of_the_interpreter(f):
    args = arguments()
    value, mine = value_and_grad(f, (0, 1))(*args)
    np.testing.assert_allclose(value, f(*args), rtol=1e-12)
    others = value_and_grad(f, (0, 1), backend="numpy")(*args)[1]
    for a, b in zip(mine, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
