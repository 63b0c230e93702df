"""Random programs, lowered, against the interpreter: most of them as plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backend.random_programs import Maker, arguments, run_as_python
from tracejit.backend.numba_build import compile_program
from tracejit.ir.evaluate import evaluate


def agree(got, program):
    expected = evaluate(program, arguments(program))
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("block", range(15))
def test_as_plain_python(block):
    for seed in range(20 * block, 20 * block + 20):
        program = Maker(seed).program(4 + seed % 9)
        agree(run_as_python(program, arguments(program)), program)


@pytest.mark.parametrize("seed", range(1000, 1012))
def test_compiled(seed):
    program = Maker(seed).program(10)
    agree(compile_program(program)(arguments(program)), program)
