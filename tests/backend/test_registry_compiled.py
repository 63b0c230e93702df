"""Every primitive, compiled, against its NumPy implementation: no primitive is named.

All samples of a primitive go into one kernel.
"""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest

import tracejit.ops
from tests.ops.checks import samples
from tracejit.backend.numba_build import compile_program
from tracejit.ir.aval import aval_of
from tracejit.ir.builder import building
from tracejit.ir.evaluate import evaluate
from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Program, Region, Var

for module in pkgutil.iter_modules(tracejit.ops.__path__, "tracejit.ops."):
    importlib.import_module(module.name)

#: Room that has not been written yet may hold anything.
UNDEFINED = {"empty"}
SAMPLED = sorted(name for name, prim in REGISTRY.items() if prim.samples)
SAMPLED = [name for name in SAMPLED if name not in UNDEFINED]


def program_of(name):
    """A Program that applies a primitive to all of its samples, and its arguments."""
    prim = REGISTRY[name]
    params, results, args = [], [], []
    with building() as builder, builder.open() as eqns:
        for operands, static in samples(prim):
            inputs = [Var(aval_of(x)) for x in operands]
            params += inputs
            args += operands
            out = prim(*inputs, **static)
            results += [out] if prim.single else out
    return Program(name, Region(params, eqns, results)), args


@pytest.mark.parametrize("name", SAMPLED)
def test_compiled_equals_interpreted(name):
    program, args = program_of(name)
    expected = evaluate(program, [np.array(a) if np.ndim(a) else a for a in args])
    got = compile_program(program)(args)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-13, atol=1e-13)
