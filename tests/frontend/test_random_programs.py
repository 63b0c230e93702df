"""Staging a random program is right or refused, never silently wrong."""

from __future__ import annotations

import linecache

import numpy as np

from tests.frontend.random_programs import Writer, helper
from tests.frontend.running import outcome, run
from tracejit.base.errors import TracejitError

PROGRAMS = 150


def load(seed: int):
    """The function of a random program, with source to be found."""
    text = Writer(seed).text
    name = f"<random program {seed}>"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    scope = {"np": np, "helper": helper, "__name__": "random_program"}
    exec(compile(text, name, "exec"), scope)
    return scope["f"], text


def test_random_programs():
    refused = 0
    for seed in range(PROGRAMS):
        f, text = load(seed)
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=4), rng.normal(size=4)
        want = outcome(f(x.copy(), y.copy()))
        try:
            got = outcome(run(f, x.copy(), y.copy()))
        except TracejitError:
            refused += 1
            continue
        assert len(want) == len(got), text
        for a, b in zip(want, got, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9, err_msg=text)
    assert refused < 0.45 * PROGRAMS
