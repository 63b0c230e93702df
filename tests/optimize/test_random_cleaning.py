"""Cleaning random Programs and their adjoints changes no value and breaks no rule."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backend.random_programs import Maker, arguments
from tracejit.base.config import override
from tracejit.ir.evaluate import evaluate
from tracejit.optimize.passes import optimize
from tracejit.transform.vjp import vjp


def random_program(seed):
    return Maker(seed).program(4 + seed % 12)


@pytest.mark.parametrize("block", range(10))
def test_primal_is_the_same_bit_for_bit(block):
    for seed in range(20 * block, 20 * block + 20):
        program = random_program(seed)
        with override(check=True):
            cleaned = optimize(program)
        args = arguments(program)
        for a, b in zip(evaluate(program, args), evaluate(cleaned, args), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=str(seed))


@pytest.mark.parametrize("block", range(5))
def test_adjoint_is_the_same_but_for_rounding(block):
    for seed in range(1000 + 10 * block, 1000 + 10 * block + 10):
        program = random_program(seed)
        wrt = range(len(program.inputs))
        adjoint = vjp(program, wrt)
        with override(check=True):
            cleaned = optimize(vjp(optimize(program), wrt))
        args = arguments(program)
        args += [np.ones(r.aval.shape)[()] for r in program.results if r.aval.inexact]
        for a, b in zip(evaluate(adjoint, args), evaluate(cleaned, args), strict=True):
            scale = np.max(np.abs(a), initial=1.0, where=np.isfinite(a))
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * scale)
