"""Whole programs with loops and branches, their tangents and adjoints, compiled and as
plain Python, against the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transform.programs import PROGRAMS, build
from tracejit.backend.numba_build import compile_program
from tracejit.ir.evaluate import evaluate
from tracejit.ir.program import Program
from tracejit.optimize.passes import optimize
from tracejit.transform.jvp import jvp
from tracejit.transform.vjp import vjp


def primal(program: Program) -> Program:
    return program


def tangent(program: Program) -> Program:
    return jvp(program, range(len(program.inputs)))


def adjoint(program: Program) -> Program:
    return vjp(program, range(len(program.inputs)), seed=True)


def second(program: Program) -> Program:
    return optimize(tangent(optimize(adjoint(program))))


def arguments(program: Program) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(0.2, 1.1, v.aval.shape) for v in program.inputs]


@pytest.mark.parametrize("transform", [primal, tangent, adjoint, second])
@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_equals_interpreted(name, transform):
    fn, shapes = PROGRAMS[name]
    program = transform(build(fn, *shapes))
    args = arguments(program)
    given = [a.copy() for a in args]
    expected = evaluate(program, args)
    got = compile_program(program)(args)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13)
    for before, after in zip(given, args, strict=True):
        np.testing.assert_array_equal(before, after)
