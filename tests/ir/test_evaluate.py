"""The interpreter writes in place exactly where nobody can see it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transform.programs import at, branch, build, loop, part, put, total
from tracejit.ir.evaluate import evaluate
from tracejit.ops import elementwise as ew
from tracejit.ops.index import setitem
from tracejit.ops.shape import broadcast


@pytest.fixture
def copies(monkeypatch):
    """For each `setitem` that ran, whether it copied."""
    log = []
    impl = setitem.impl

    def logged(*args, inplace, **params):
        log.append(not inplace)
        return impl(*args, inplace=inplace, **params)

    monkeypatch.setattr(setitem, "impl", logged)
    return log


def test_arguments_are_never_changed():
    program = build(lambda x: put(x, 7.0, 1), (3,))
    x = np.zeros(3)
    (out,) = evaluate(program, [x])
    assert out.tolist() == [0, 7, 0] and x.tolist() == [0, 0, 0]


def test_a_loop_copies_an_argument_once(copies):
    program = build(lambda x: loop(0, 5, [x], lambda i, x: put(x, 1.0, i)), (5,))
    x = np.zeros(5)
    (out,) = evaluate(program, [x])
    assert out.tolist() == [1] * 5 and x.tolist() == [0] * 5
    assert copies == [True, False, False, False, False]


def test_a_fresh_array_is_filled_in_place(copies):
    def fn(x):
        out = ew.add(broadcast(0.0, shape=(5,), axes=()), 0.0)
        return loop(0, 5, [out], lambda i, out: put(out, at(x, i), i))

    evaluate(build(fn, (5,)), [np.arange(5.0)])
    assert not any(copies)


def test_through_branches_too(copies):
    def fn(x):
        def cell(i, y):
            big = ew.gt(at(x, i), 2.0)
            return branch(big, lambda: put(y, 9.0, i), lambda: put(y, -9.0, i))

        return loop(0, 5, [x * 1.0], cell)

    (out,) = evaluate(build(fn, (5,)), [np.arange(5.0)])
    assert out.tolist() == [-9, -9, -9, 9, 9]


def test_an_older_value_that_is_read_later_stays_as_it_was(copies):
    def fn(x):
        y = x * 2.0
        z = put(y, 0.0, 0)
        return total(y) + total(z)

    assert evaluate(build(fn, (3,)), [np.ones(3)]) == [6.0 + 4.0]
    assert copies == [True]


def test_a_view_keeps_its_values_when_the_array_is_written(copies):
    def fn(x):
        y = x * 2.0
        v = part(y, 0, 2)
        z = put(y, 0.0, 0)
        return v, z

    v, z = evaluate(build(fn, (3,)), [np.ones(3)])
    assert v.tolist() == [2, 2] and z.tolist() == [0, 2, 2]


def test_swapped_slots_do_not_mix():
    def fn(a, b):
        return tuple(loop(0, 3, [a, b], lambda i, a, b: (b, put(a, at(b, 0) + 1.0, 0))))

    a, b = evaluate(build(fn, (2,), (2,)), [np.zeros(2), np.zeros(2)])
    assert (a.tolist(), b.tolist()) == ([2, 0], [3, 0])


def test_results_are_typed_as_the_program_says():
    program = build(lambda x: (total(x), ew.lt(total(x), 3.0)), (3,))
    out, truth = evaluate(program, [np.ones(3)])
    assert type(out) is np.float64 and type(truth) is np.bool_


def test_odd_numbers_raise_no_warnings():
    (out,) = evaluate(build(lambda x: 1.0 / x, (2,)), [np.zeros(2)])
    assert np.isinf(out).all()
