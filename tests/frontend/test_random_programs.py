"""Staging a random program is right or refused, never silently wrong."""

from __future__ import annotations

import copy
import linecache

import numpy as np

from tests.frontend import random_lists
from tests.frontend.random_programs import Writer, helper
from tests.frontend.running import outcome, run
from tracejit.base.errors import TracejitError

PROGRAMS = 150
LISTS = 40


def load(seed: int, writer=Writer):
    """The function of a random program, with source to be found."""
    text = writer(seed).text
    name = f"<random program {seed}>"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    scope = {"np": np, "helper": helper, "__name__": "random_program"}
    exec(compile(text, name, "exec"), scope)
    return scope["f"], text


def is_right(f, text, *args) -> bool:
    """Whether the staged program gives what the plain one gives; False: refused."""
    want = outcome(f(*copy.deepcopy(args)))
    try:
        got = outcome(run(f, *copy.deepcopy(args)))
    except TracejitError:
        return False
    assert len(want) == len(got), text
    for a, b in zip(want, got, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9, err_msg=text)
    return True


def test_random_programs():
    right = 0
    for seed in range(PROGRAMS):
        f, text = load(seed)
        rng = np.random.default_rng(seed)
        right += is_right(f, text, rng.normal(size=4), rng.normal(size=4))
    assert right > 0.55 * PROGRAMS


def test_random_lists():
    rng = np.random.default_rng(0)
    x, m = rng.normal(size=10), rng.normal(size=(10, 3))
    programs = [load(seed, random_lists.Writer) for seed in range(LISTS)]
    right = sum(is_right(f, text, 0.7, x, m) for f, text in programs)
    assert right > 0.5 * LISTS
