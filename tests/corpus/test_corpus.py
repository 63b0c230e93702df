"""Every program of the corpus: value, gradient, both precisions, and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.corpus.fitting import fitted
from tests.corpus.judge import REFUSED, RIGHT, judge
from tests.corpus.programs import (
    histories,
    hpc_kernels,
    hpc_science,
    hpc_signals,
    idioms,
    kernels,
    learning,
    models,
    objectives,
    own_numbers,
    pythonic,
    science,
    sequences,
    stencils,
)
from tests.corpus.table import PROGRAMS, Program

_TABLES = (histories, kernels, models, objectives, pythonic, sequences, stencils)
_MORE = (hpc_kernels, hpc_science, hpc_signals, idioms, learning, own_numbers, science)
assert all((*_TABLES, *_MORE))

#: Compiling takes a second or so each: of every style the suite does one in so many.
COMPILED_EVERY = 9


def assert_right(program: Program, dtype: Any, backend: str = "numpy") -> None:
    narrow = program.narrow or dtype == np.float32
    verdict = judge(*fitted(program, dtype), backend, narrow)
    expected = REFUSED if program.refused else RIGHT
    assert verdict.kind == expected, verdict.why
    assert verdict.why.startswith(program.refused)


def cases(programs: list[Program]) -> Any:
    return pytest.mark.parametrize("program", programs, ids=[p.name for p in programs])


@cases(PROGRAMS)
def test_as_numpy_and_numeric_differences(program):
    assert_right(program, np.float64)


@cases([p for p in PROGRAMS if p.single and not p.refused])
def test_in_single_precision(program):
    assert_right(program, np.float32)


@cases([p for p in PROGRAMS if not p.refused][::COMPILED_EVERY])
def test_compiled(program):
    assert_right(program, np.float64, "numba")


def test_there_are_enough_and_few_are_refused():
    assert len(PROGRAMS) >= 150
    assert len({p.name for p in PROGRAMS}) == len(PROGRAMS)
    assert sum(bool(p.refused) for p in PROGRAMS) <= 3
