"""A few random programs in the suite; `python -m tests.corpus` runs many."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.corpus import judge as judging
from tests.corpus.faults import FAULTS, found_after, planted
from tests.corpus.generator import Writer
from tests.corpus.judge import CRASHED, REFUSED, RIGHT, UNFIT, WRONG, judge
from tests.corpus.running import judge_text, shrink
from tracejit import vjp

INTERPRETED, COMPILED = 60, 10


def fit_programs(seed, count):
    """Sources of programs that plain NumPy runs to finite numbers."""
    found = 0
    for k in itertools.count(seed):
        text = Writer(k).text
        verdict = judge_text(text, "numpy")
        if verdict.kind != UNFIT:
            yield text, verdict
            found += 1
        if found == count:
            return


def test_interpreted():
    verdicts = []
    for text, verdict in fit_programs(0, INTERPRETED):
        assert verdict.kind not in (WRONG, CRASHED), f"{verdict.why}\n{text}"
        verdicts.append(verdict)
    kinds = [v.kind for v in verdicts]
    assert kinds.count(REFUSED) < 0.05 * INTERPRETED
    assert sum(v.kind == RIGHT and v.numeric for v in verdicts) > 0.6 * INTERPRETED


def test_compiled():
    for text, interpreted in fit_programs(1_000_000, COMPILED):
        if interpreted.kind == RIGHT:
            verdict = judge_text(text, "numba")
            assert verdict.kind == RIGHT, f"{verdict.why}\n{text}"


# The judge must be able to say no, and the generator to reach what is judged ----------


def f(x):
    return np.sin(x) * x.sum()


def make():
    return (np.array([0.3, -0.2, 0.9]),)


VALUE_FAULTS = {
    "value": lambda y: y * 1.001,
    "dtype": lambda y: y.astype(np.float32),
    "shape": lambda y: y[:-1],
}
GRADIENT_FAULTS = {
    "scale": lambda g: g * 1.001,
    "dtype": lambda g: g.astype(np.float32),
    "shape": lambda g: g[None],
}


@pytest.mark.parametrize("fault", VALUE_FAULTS)
def test_the_judge_finds_false_values(fault, monkeypatch):
    assert judge(f, make).kind == RIGHT

    def lying(fn, *args, **options):
        value, pull = vjp(fn, *args, **options)
        return VALUE_FAULTS[fault](value), pull

    monkeypatch.setattr(judging, "vjp", lying)
    assert judge(f, make).kind == WRONG


@pytest.mark.parametrize("fault", GRADIENT_FAULTS)
def test_the_judge_finds_false_gradients(fault, monkeypatch):
    def lying(fn, *args, **options):
        value, pull = vjp(fn, *args, **options)
        return value, lambda ct: tuple(map(GRADIENT_FAULTS[fault], pull(ct)))

    monkeypatch.setattr(judging, "vjp", lying)
    assert judge(f, make).kind == WRONG


def test_the_judge_finds_changed_arguments(monkeypatch):
    def changing(fn, *args, **options):
        args[0][0] += 1e-3
        return vjp(fn, *make(), **options)

    monkeypatch.setattr(judging, "vjp", changing)
    assert judge(f, make).kind == WRONG


#: Faults that few programs find; the rest takes `python -m tests.corpus.faults`.
QUICKLY_FOUND = (
    "a view is a copy",
    "a carried value is taken for an invariant",
    "an array written in a branch stays as it was",
    "minus is transposed as plus",
    "acc_slice overwrites",
    "a reversed loop runs forwards",
    "what a write replaced keeps its cotangent",
    "a write that another one follows is dead",
)


@pytest.mark.parametrize("what", QUICKLY_FOUND)
def test_random_programs_find_planted_faults(what):
    (one,) = [fault for fault in FAULTS if fault.what == what]
    assert found_after(one, 0, 40)


def test_there_are_enough_faults_and_they_are_taken_out_again():
    assert len({fault.what for fault in FAULTS}) == len(FAULTS) >= 20
    for fault in FAULTS:
        with planted(fault):  # what it changes is still there to be changed
            pass
    assert judge(f, make).kind == RIGHT


def test_failing_programs_are_made_small():
    text = "\n".join(
        [
            "import numpy as np",
            "def make(): return (np.ones(3), 0.5)",
            "def f(x, s):",
            "    y = x * 2",
            "    for i in range(3):",
            "        y = y + np.sin(s) * i",
            "    if s > 0:",
            "        y = y * 2",
            "    return y[y > s] * s",
        ]
    )
    assert judge_text(text).kind == REFUSED
    small = shrink(text)
    assert judge_text(small).kind == REFUSED
    assert len(small.splitlines()) <= 8
