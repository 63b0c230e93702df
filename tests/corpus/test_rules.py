"""The command that counts which rules fire."""

from __future__ import annotations

import numpy as np

from tests.corpus import rules
from tests.corpus.table import Program


def negated(x, y):
    return np.sum(np.exp(-x) * y / x)


def test_firings_and_what_is_left_are_counted(monkeypatch, capsys):
    maker = Program(negated, lambda rng: (rng.uniform(1, 2, 5), rng.uniform(1, 2, 5)))
    monkeypatch.setattr(rules, "PROGRAMS", [maker])
    rules.main(["--most", "3"])
    heading, fired, left = capsys.readouterr().out.split("\n\n")
    assert heading == "1 programs"
    counts = {
        line.split(None, 2)[2]: int(line.split()[0]) for line in fired.split("\n")[1:]
    }
    assert counts["(-x) * y  →  -(x * y)"] > 0
    assert counts["p & False  →  False"] == 0
    assert len(left.strip().split("\n")) == 4
