"""Bounds of integers, and parts that are apart, against every round of real loops."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from tracejit.ir.affine import Form
from tracejit.ir.aval import Aval
from tracejit.ir.program import Var
from tracejit.ir.ranges import Part, Ranges

Values = dict[Var, int]


def value(form: Form, values: Values) -> int:
    return form.const + sum(c * values[v] for v, c in form.terms.items())


def some_form(rng: random.Random, variables: list[Var]) -> Form:
    terms = {v: rng.choice((-1, 1, 1, 2)) for v in variables if rng.random() < 0.5}
    return Form(rng.randint(-3, 6), terms)


def nest(rng: random.Random) -> tuple[Ranges, list[Var], list[Values]]:
    """Loops whose bounds depend on outer indices, and the values of every round."""
    ranges, indices = Ranges({}), []
    rounds: list[Values] = [{}]
    for _ in range(rng.randint(1, 3)):
        index, step = Var(Aval(np.dtype(np.int64))), rng.choice((1, 1, 2, -1))
        lo, hi = some_form(rng, indices), some_form(rng, indices)
        ranges.bind(index, lo, hi, step)
        rounds = [
            {**r, index: i}
            for r in rounds
            for i in range(value(lo, r), value(hi, r), step)
        ]
        indices.append(index)
    return ranges, indices, rounds


def cells(part: Part, values: Values) -> Iterator[set[int]]:
    for start, size, step in part:
        first = value(start, values)
        yield {first + k * step for k in range(1 if size is None else size)}


def test_least_values_and_parts_apart_hold_in_every_round():
    rng, proved = random.Random(0), 0
    for _ in range(2000):
        ranges, indices, rounds = nest(rng)
        form = some_form(rng, indices)
        least = ranges.least(form)
        if least is not None:
            assert all(value(form, r) >= least for r in rounds)
        a, b = (
            [(some_form(rng, indices), rng.choice((None, 0, 2)), rng.choice((1, -2)))]
            for _ in range(2)
        )
        if ranges.apart(a, b):
            proved += bool(rounds)
            for r in rounds:
                (x,), (y,) = cells(a, r), cells(b, r)
                assert x.isdisjoint(y)
    assert proved > 100


@pytest.mark.parametrize(("low", "expected"), [(1, True), (0, False)])
def test_rows_below_the_pivot_are_not_its_row(low, expected):
    ranges, k, i = Ranges({}), *(Var(Aval(np.dtype(np.int64))) for _ in range(2))
    ranges.bind(k, Form(0, {}), Form(7, {}), 1)
    ranges.bind(i, Form(low, {k: 1}), Form(7, {}), 1)
    here, there = ([(Form(0, {v: 1}), None, 1)] for v in (i, k))
    assert ranges.apart(here, there) is expected
    assert ranges.inside(Form(0, {i: 1}), 7)
    assert not ranges.inside(Form(1, {i: 1}), 7)


def test_an_interval_bounds_what_no_loop_does():
    ranges, i = Ranges({}), Var(Aval(np.dtype(np.int64)))
    assert ranges.least(Form(0, {i: -2})) is None
    i.interval = 0, 4
    assert ranges.least(Form(1, {i: -2})) == -7
