"""Statements over a part of an array that join the loop over the whole of it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tracejit import make_ir, value_and_grad
from tracejit.backend.numba_build import compile_program
from tracejit.optimize.late import fill_late


def upwind(u, nu):
    u = u.copy()
    for _ in range(3):
        u[1:-1] = u[1:-1] * (u[1:-1] - u[:-2]) + nu * (u[2:] - 2.0 * u[1:-1])
    return np.sum(u**2)


def plate(u, nu):
    u = u.copy()
    for _ in range(2):
        u[1:-1, 2:] += nu * u[1:-1, 1:-1] * (u[2:, :-2] - u[:-2, 2:])
    return np.sum(u**2)


def waves(u, c):
    old, new = u.copy(), u.copy()
    for _ in range(3):
        new[1:-1] = old[1:-1] + c * u[1:-1] * (old[2:] - 2.0 * old[1:-1] + old[:-2])
        old, new = new, old
    return np.sum(old * old * u)


def shape(name, n):
    return (n, n + 1) if name == "plate" else (n,)


PROGRAMS = {"upwind": upwind, "plate": plate, "waves": waves}


@pytest.mark.parametrize("n", [4, 9, 12, 40])
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_are_those_of_the_interpreter(name, n):
    u = np.random.default_rng(n).uniform(size=shape(name, n))
    f = PROGRAMS[name]
    value, (u_bar, c_bar) = value_and_grad(f, (0, 1))(u, 0.3)
    expected, (u_want, c_want) = value_and_grad(f, (0, 1), backend="numpy")(u, 0.3)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(u_bar, u_want, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(c_bar, c_want, rtol=1e-11)


def loops_backwards(f, *args):
    """The numbers of loops in the loops over time, forwards and backwards."""
    program = make_ir(value_and_grad(f, (0, 1)))(*args)
    lines = compile_program(program).source.splitlines()
    counts = []
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 4
        if re.match(r"    for (v\d*) in", line):
            counts.append(0)
        elif depth == 2 and line.lstrip().startswith("for "):
            counts[-1] += 1
        elif depth == 1 and not line.lstrip().startswith("#"):
            counts.append(0)
    return [count for count in counts if count > 1]


def test_a_sum_over_the_inner_cells_needs_no_loop_of_its_own():
    # Either loop over time has one over the inner cells and one over the others.
    assert loops_backwards(upwind, np.ones(40), 0.3) == [2, 2]


def test_constants_are_written_when_the_older_contents_have_been_read():
    program = make_ir(value_and_grad(waves, (0, 1)))(np.ones(40), 0.3)
    late = fill_late(program)
    texts = [str(p) for p in (program, late)]
    assert texts[0] != texts[1]
    assert str(fill_late(late)) == texts[1]
    assert sorted(e.prim.name for e in program.walk()) == sorted(
        e.prim.name for e in late.walk()
    )
