"""The registry's tests can fail: every falsified derivative statement is caught."""

from __future__ import annotations

import pytest

from tests.mutate import mutants

MUTANTS = list(mutants())


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.prim.name}-{m.what}")
def test_caught(mutant):
    assert mutant.caught_by(), "no check of this primitive noticed a derivative 1 % off"
