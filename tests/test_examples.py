"""The examples run on real input and reach what they promise."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from examples import digits, heat


def test_digits_are_learned(capsys):
    assert digits.main() >= 0.96
    printed = capsys.readouterr().out
    pairs = re.findall(r": +(\S+), by finite difference +(\S+)", printed)
    assert len(pairs) == 4
    for ours, theirs in pairs:
        assert float(ours) == pytest.approx(float(theirs), abs=1e-8)


def test_heat_is_recovered_and_drawn(tmp_path):
    _, true, measured, found = heat.recover(np.random.default_rng(0))
    error, before = (np.sqrt(np.mean((u - true) ** 2)) for u in (found, measured))
    assert error < 0.5 * before
    heat.main(str(tmp_path / "heat.png"))
    assert (tmp_path / "heat.png").stat().st_size > 10_000
