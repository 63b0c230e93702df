"""Every program gives, staged and interpreted, what it gives as plain Python."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from tests.frontend import class_programs, function_programs, python_programs
from tests.frontend.hard_programs import HARD
from tests.frontend.programs import CASES
from tests.frontend.running import outcome, run

assert class_programs and function_programs and python_programs  # enter theirs
ALL = [*CASES, *((*case, {}) for case in HARD)]


@pytest.mark.parametrize(
    "fn, args, options", [c[:2] + c[3:] for c in ALL], ids=[c[2] for c in ALL]
)
def test_staged_equals_plain(fn, args, options):
    want = fn(*copy.deepcopy(args), **options)
    got = run(fn, *copy.deepcopy(args), **options)
    for a, b in zip(outcome(want), outcome(got), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)
        assert np.shape(a) == np.shape(b)
