"""The collector of reference cycles waits while a Program is made."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from tracejit import grad
from tracejit.base.garbage import uncollected


def test_nested_blocks_end_with_the_outermost():
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_who_has_turned_it_off_finds_it_off():
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_program_that_fails_leaves_it_on():
    def fn(x):
        raise ValueError(f"enabled: {gc.isenabled()}")

    with pytest.raises(ValueError, match="enabled: False"):
        grad(fn, backend="numpy")(np.ones(2))
    assert gc.isenabled()
