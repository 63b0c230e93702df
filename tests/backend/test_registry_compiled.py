"""Every primitive, compiled, against its NumPy implementation: no primitive is named.

All samples of a primitive go into one kernel; of those that SciPy computes, which
differ by their name alone, the samples of twenty.
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
from tracejit.ops.ufuncs import PREFIX

for module in pkgutil.iter_modules(tracejit.ops.__path__, "tracejit.ops."):
    importlib.import_module(module.name)

#: Room that has not been written yet may hold anything.
UNDEFINED = {"empty"}
SAMPLED = sorted(name for name, prim in REGISTRY.items() if prim.samples)
SAMPLED = [name for name in SAMPLED if name not in UNDEFINED]


OF_SCIPY = [n for n in SAMPLED if PREFIX in getattr(REGISTRY[n], "emit", "")]
GROUPS = [(name,) for name in SAMPLED if name not in OF_SCIPY]
GROUPS += [tuple(OF_SCIPY[k : k + 20]) for k in range(0, len(OF_SCIPY), 20)]


def program_of(names):
    """A Program that applies primitives to all of their samples, and its arguments."""
    params, results, args = [], [], []
    with building() as builder, builder.open() as eqns:
        for prim in map(REGISTRY.get, names):
            for operands, static in samples(prim):
                inputs = [Var(aval_of(x)) for x in operands]
                params += inputs
                args += operands
                out = prim(*inputs, **static)
                results += [out] if prim.single else out
    return Program(names[0], Region(params, eqns, results)), args


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: names[0])
def test_compiled_equals_interpreted(names):
    program, args = program_of(names)
    expected = evaluate(program, [np.array(a) if np.ndim(a) else a for a in args])
    got = compile_program(program)(args)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-13, atol=1e-13)
