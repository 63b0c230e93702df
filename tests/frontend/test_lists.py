"""Lists that grow in loops: one array each, where nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.corpus.judge import RIGHT, judge
from tests.frontend.list_programs import STAGED, UNROLLED
from tracejit import make_ir
from tracejit.ir.program import walk

RNG = np.random.default_rng(0)
X, M = RNG.normal(size=20) + 0.8, RNG.normal(size=(20, 3))
COMPILED = ("read_back", "rows", "some", "left_early", "nested", "new_in_every_round")


def judged(fn, backend="numpy"):
    verdict = judge(fn, lambda: (0.7, X.copy(), M.copy()), backend)
    assert verdict.kind == RIGHT, verdict.why


def equations(fn, n):
    """How many equations its program has for arguments of `n` rows."""
    program = make_ir(fn)(0.7, np.resize(X, n), np.resize(M, (n, 3)))
    return len(list(walk(program.region)))


def named(fn):
    return fn.__name__


@pytest.mark.parametrize("fn", STAGED, ids=named)
def test_in_arrays(fn):
    judged(fn)
    assert equations(fn, 20) == equations(fn, 30)


@pytest.mark.parametrize("fn", UNROLLED, ids=named)
def test_as_lists(fn):
    judged(fn)


@pytest.mark.parametrize("fn", [f for f in STAGED if f.__name__ in COMPILED], ids=named)
def test_compiled(fn):
    judged(fn, "numba")
