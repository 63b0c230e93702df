"""What the structural passes remove, and what they must leave."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.transform.programs import (
    PROGRAMS,
    at,
    branch,
    build,
    loop,
    part,
    put,
    total,
    while_loop,
)
from tracejit.base.config import override
from tracejit.ir.builder import bind, current
from tracejit.ir.check import check
from tracejit.ir.evaluate import evaluate
from tracejit.ir.program import Literal
from tracejit.ops import elementwise as ew
from tracejit.ops.control import Failure
from tracejit.ops.control import check as check_op
from tracejit.ops.dead import eliminate_dead
from tracejit.ops.index import acc_slice, getitem, setitem
from tracejit.ops.linalg import dot
from tracejit.ops.reduce import sum_
from tracejit.ops.shape import broadcast, reshape, transpose
from tracejit.optimize.clean import simplify
from tracejit.optimize.hoist import hoist
from tracejit.optimize.passes import PASSES, optimize
from tracejit.transform.vjp import vjp

RNG = np.random.default_rng(0)
I8 = np.dtype(np.int64)


def arguments(program):
    return [RNG.uniform(0.2, 1.0, v.aval.shape)[()] for v in program.inputs]


def same(before, after):
    """Well formed, and equal in value."""
    check(after)
    args = arguments(before)
    for a, b in zip(evaluate(before, args), evaluate(after, args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def names(fn, *shapes, passes=(simplify, eliminate_dead)):
    """The primitives left of a function, in order, nested ones included."""
    program = cleaned = build(fn, *shapes)
    for function in passes:
        cleaned = function(cleaned)
    same(program, cleaned)
    return [eqn.prim.name for eqn in cleaned.walk()]


@pytest.mark.parametrize("name", PROGRAMS)
def test_whole_programs(name):
    fn, shapes = PROGRAMS[name]
    program = build(fn, *shapes)
    before = vjp(program, range(len(shapes)), seed=True)
    with override(check=True):
        after = optimize(vjp(optimize(program), range(len(shapes)), seed=True))
    args = arguments(program)
    for a, b in zip(evaluate(before, args), evaluate(after, args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert sum(1 for _ in after.walk()) <= sum(1 for _ in before.walk())


@pytest.mark.parametrize("name", PROGRAMS)
def test_passes_leave_their_input_alone(name):
    fn, shapes = PROGRAMS[name]
    program = vjp(build(fn, *shapes), range(len(shapes)), seed=True)
    text = str(program)
    optimize(program)
    assert str(program) == text


def test_driver_records_every_pass():
    record = []
    optimize(build(lambda x: total(ew.sin(x)), (3,)), record=record)
    assert [r.name for r in record][: len(PASSES)] == [name for name, _ in PASSES]
    assert all("sin(x0)" in r.text and r.seconds >= 0 for r in record)


def test_rounds_go_on_until_nothing_shrinks():
    def fn(x):
        y = x
        for _ in range(3):
            y = ew.neg(ew.neg(ew.cast(y, dtype=np.dtype(float))))
        return y

    record = []
    program = optimize(build(fn, ()), record=record)
    assert program.eqns == [] and len(record) == 2 * len(PASSES)


def test_fast_rules_fire_only_where_they_are_allowed():
    program = build(lambda x: ew.log(ew.exp(x)), ())
    assert len(optimize(program).eqns) == 2
    assert len(optimize(program, fast=True).eqns) == 0


# Dead code ----------------------------------------------------------------------------


def test_unread_equations_go_and_effects_stay():
    def fn(x):
        ew.sin(x)
        check_op(ew.lt(x, 3.0), error=Failure(ValueError, ("big",)))
        return x * x

    assert names(fn, ()) == ["lt", "check", "mul"]


def test_a_slot_that_only_keeps_itself_going_is_dead():
    def fn(x):
        a, _ = loop(0, 3, [x, x * 2.0], lambda i, a, b: (ew.sin(a), ew.cos(b)))
        return a

    assert names(fn, ()) == ["for", "sin"]


def test_a_slot_that_feeds_a_live_one_lives():
    def fn(x):
        a, _ = loop(0, 3, [x, x * 2.0], lambda i, a, b: (ew.sin(a) * b, ew.cos(b)))
        return a

    assert names(fn, ()) == ["mul", "for", "sin", "mul", "cos"]


def test_a_slot_that_the_test_reads_lives():
    def fn(x):
        _, y = while_loop(
            lambda a, b: ew.lt(a, 3.0), lambda a, b: (a + 1.0, ew.sin(b)), x, x
        )
        return y

    assert names(fn, ()) == ["while", "lt", "add", "sin"]


def test_dead_branch_results_go():
    def fn(x):
        y, _ = branch(
            ew.lt(x, 9.0), lambda: (ew.sin(x), ew.exp(x)), lambda: (x, ew.cos(x))
        )
        return y

    assert names(fn, ()) == ["lt", "cond", "sin"]


def test_a_loop_without_results_goes_unless_it_checks():
    def fn(x, failing):
        def body(i):
            ok = ew.lt(x, 9.0)
            if failing:
                check_op(ok, error=Failure(ValueError, ("big",)))
            return ()

        loop(0, 3, [], body)
        return x

    assert names(lambda x: fn(x, False), ()) == []
    assert names(lambda x: fn(x, True), ()) == ["for", "lt", "check"]


# Common subexpressions ----------------------------------------------------------------


def test_equal_equations_are_one_also_commuted():
    assert names(lambda x: ew.sin(x) * x + x * ew.sin(x), (3,)) == ["sin", "mul", "add"]


def test_an_outer_equation_serves_inside_but_not_the_other_way():
    def fn(x):
        a = ew.sin(x)
        b = branch(ew.lt(x, 9.0), lambda: ew.sin(x) * ew.exp(x), lambda: x)
        return a + b + ew.exp(x)

    assert names(fn, ()) == ["sin", "lt", "cond", "exp", "mul", "add", "exp", "add"]


def test_the_sign_of_a_zero_tells_literals_apart():
    assert names(lambda x: (ew.copysign(x, 0.0), ew.copysign(x, -0.0)), ()) == [
        "copysign",
        "copysign",
    ]


def test_buffers_that_are_overwritten_stay_apart():
    def fn(x):
        a, b = (broadcast(0.0, shape=(3,), axes=()) for _ in range(2))
        a = loop(0, 3, [a], lambda i, a: put(a, at(x, i), i))
        b = loop(0, 3, [b], lambda i, b: put(b, at(x, i) + 1.0, i))
        return a * b

    assert names(fn, (3,)).count("broadcast") == 2


# Constants, copies --------------------------------------------------------------------


def test_numbers_fold_and_what_is_not_correctly_rounded_does_not():
    half, quarter = Literal(0.5, float), Literal(0.25, float)
    assert names(lambda x: x * bind(ew.add, half, quarter), ()) == ["mul"]
    assert names(lambda x: x * bind(ew.exp, half), ()) == ["exp", "mul"]


def test_folding_rounds_as_the_dtype_does():
    third = np.dtype(np.float32)
    program = build(
        lambda x: (x, bind(ew.div, Literal(1, third), Literal(3, third))), ()
    )
    (folded,) = simplify(program).results[1:]
    assert folded.value == float(np.float32(1) / np.float32(3))


def test_what_is_computed_from_a_runtime_number_is_one():
    program = build(
        lambda x: bind(ew.div, Literal(1.0, float), Literal(7.0, float, True)), ()
    )
    assert simplify(program).results[0].runtime


def test_copies_go():
    def fn(x):
        x = transpose(transpose(x, perm=(1, 0)), perm=(1, 0))
        x = reshape(reshape(x, shape=(6,)), shape=(2, 3))
        x = ew.cast(x, dtype=np.dtype(float))
        x = broadcast(x, shape=(2, 3), axes=(0, 1))
        x = getitem(x, 0, 0, sizes=(2, 3), steps=(1, 1))
        return sum_(x, axes=())

    assert names(fn, (2, 3)) == []


def test_products_see_through_transposes():
    def turned(x):
        return transpose(x, perm=(1, 0))

    def product(a, b, left, right):
        return dot(a, b, contract=((left,), (right,)), batch=0)

    assert names(lambda a, b: product(turned(a), b, 1, 0), (3, 2), (3, 4)) == ["dot"]
    assert names(lambda a, b: turned(product(a, turned(b), 1, 0)), (2, 3), (4, 3)) == [
        "dot"
    ]
    # The axes that stay would change places.
    assert names(
        lambda a, b: dot(turned(a), b, contract=((), ()), batch=0), (3, 2), (2,)
    ) == ["transpose", "dot"]


def test_casts_back_from_a_wider_dtype_go_and_from_a_narrower_one_stay():
    def fn(x):
        f4, f8 = np.dtype("f4"), np.dtype("f8")
        narrow = ew.cast(x, dtype=f4)
        again = ew.cast(ew.cast(narrow, dtype=f8), dtype=f4)
        return ew.cast(again, dtype=f8)

    assert names(fn, ()) == ["cast", "cast"]


def test_a_sum_of_equal_terms_is_a_product_only_in_derivatives():
    def fn(x):
        return total(broadcast(x, shape=(4,), axes=()))

    assert names(fn, ()) == ["broadcast", "sum"]
    program = build(fn, ())
    for eqn in program.eqns:
        eqn.origin = eqn
    cleaned = eliminate_dead(simplify(program))
    assert [e.prim.name for e in cleaned.eqns] == ["mul"]
    same(program, cleaned)


# Indexing -----------------------------------------------------------------------------


def test_what_was_written_is_read_without_the_array():
    assert names(lambda x, v: at(put(x, ew.sin(v), 1), 1), (3,), ()) == ["sin"]


def test_a_read_apart_from_the_write_goes_past_it_if_the_write_dies():
    assert names(lambda x, v: at(put(x, v, 1), 2), (3,), ()) == ["getitem"]
    kept = names(lambda x, v: (put(x, v, 1), at(put(x, v, 1), 2)), (3,), ())
    assert kept == ["setitem", "getitem"]


def test_offsets_from_one_index_are_told_apart():
    def fn(x, v):
        return loop(1, 3, [0.0], lambda i, s: s + at(put(x, v, i), i - 1))

    assert names(fn, (4,), ()) == ["for", "sub", "getitem", "add"]


def test_unknown_indices_are_not_told_apart():
    def fn(x, v):
        k = ew.cast(v, dtype=I8)
        return at(put(x, v, k), 1)

    assert names(fn, (3,), ()) == ["cast", "setitem", "getitem"]


def test_overlapping_parts_are_not_told_apart():
    def fn(x, v):
        return part(setitem(x, v, 0, sizes=(2,), steps=(1,)), 1, 3)

    assert names(fn, (4,), (2,)) == ["setitem", "getitem"]


def test_writes_to_one_part_are_one_write():
    assert names(lambda x, v: put(put(x, v, 1), ew.sin(v), 1), (3,), ()) == [
        "sin",
        "setitem",
    ]


def test_a_write_to_all_is_its_value():
    assert (
        names(lambda x, v: setitem(x, v, 0, sizes=(3,), steps=(1,)), (3,), (3,)) == []
    )
    backwards = names(
        lambda x, v: setitem(x, v, 2, sizes=(3,), steps=(-1,)), (3,), (3,)
    )
    assert backwards == ["setitem"]


def test_accumulating_where_zero_was_written_is_writing():
    def fn(x, v):
        x = put(x, 0.0, 1)
        return acc_slice(x, v, 1, sizes=(None,), steps=(1,))

    assert names(fn, (3,), ()) == ["setitem"]


def test_accumulations_elsewhere_may_come_between():
    def fn(x, v):
        point = {"sizes": (None,), "steps": (1,)}

        def body(i, x):
            v = at(x, i)
            x = put(x, 0.0, i)
            x = acc_slice(x, v * 2.0, i - 1, **point)
            return acc_slice(x, v * 3.0, i, **point)

        return loop(1, 3, [x], body)

    assert names(fn, (4,), ()).count("acc_slice") == 1

    def clash(x, v):
        k = ew.cast(v, dtype=I8)
        x = put(x, 0.0, 1)
        x = acc_slice(x, v, k, sizes=(None,), steps=(1,))
        return acc_slice(x, v, 1, sizes=(None,), steps=(1,))

    assert names(clash, (4,), ()).count("acc_slice") == 2
    # In a derivative they may: a sum has no order there.
    program = build(clash, (4,), ())
    for eqn in program.eqns:
        eqn.origin = eqn
    cleaned = eliminate_dead(simplify(program))
    assert [e.prim.name for e in cleaned.eqns].count("acc_slice") == 1
    for index in (0.0, 1.0):
        args = [np.arange(1.0, 5.0), index]
        (a,), (b,) = evaluate(program, args), evaluate(cleaned, args)
        np.testing.assert_array_equal(a, b)


def test_a_part_of_a_broadcast_reads_the_small_array():
    def fn(x):
        big = broadcast(x, shape=(2, 3, 4), axes=(1,))
        return getitem(big, 1, 1, 0, sizes=(None, 2, 4), steps=(1, 1, 1))

    assert names(fn, (3,)) == ["getitem", "broadcast"]
    assert names(lambda x: at(broadcast(x, shape=(3,), axes=()), 1), ()) == []


# Control ------------------------------------------------------------------------------


def test_a_branch_on_a_known_predicate_is_inlined():
    def fn(x):
        return branch(Literal(False, bool), lambda: ew.sin(x), lambda: ew.cos(x))

    assert names(fn, ()) == ["cos"]


def test_a_loop_of_no_trips_is_its_inits():
    assert names(lambda x: loop(3, 3, [x], lambda i, c: ew.sin(c)), ()) == []


def test_a_slot_handed_on_is_its_init():
    def fn(x):
        a, b = loop(0, 3, [x, ew.exp(x)], lambda i, a, b: (a * b, b))
        return a + b

    program = simplify(build(fn, ()))
    (for_eqn,) = (e for e in program.eqns if e.prim.name == "for")
    assert len(for_eqn.outputs) == 1
    same(build(fn, ()), program)


def test_slots_that_go_together_are_one():
    def body(i, a, b):
        c = ew.sin(a) * ew.cos(b)
        return c, c

    def fn(x):
        a, b = loop(0, 3, [x, x], body)
        return a + b

    program = simplify(build(fn, ()))
    (for_eqn,) = (e for e in program.eqns if e.prim.name == "for")
    assert len(for_eqn.outputs) == 1
    same(build(fn, ()), program)


def test_counters_in_step_are_one():
    def fn(x):
        one = Literal(1, I8)

        def body(k, trips, y):
            return k + one, one + trips, y + 1.0

        return while_loop(
            lambda k, trips, y: ew.lt(k, 3), body, Literal(0, I8), Literal(0, I8), x
        )

    program = simplify(build(lambda x: tuple(fn(x)), ()))
    (eqn,) = program.eqns
    assert len(eqn.outputs) == 2
    assert program.results[0] is program.results[1]
    same(build(lambda x: tuple(fn(x)), ()), program)


def test_a_slot_may_go_with_one_that_is_handed_on():
    def fn(x):
        return tuple(loop(0, 3, [x, x], lambda i, a, b: (a, a)))

    program = optimize(build(fn, ()))
    assert program.eqns == [] and program.results == program.inputs * 2


def test_slots_told_apart_after_some_steps_are_two():
    """a and b start alike and take the same step, but of what differs by then."""

    def fn(x):
        return tuple(
            loop(0, 3, [x, x, x], lambda i, a, b, c: (ew.sin(a), ew.sin(c), ew.cos(c)))
        )

    program = simplify(build(fn, ()))
    assert len(program.eqns[0].outputs) == 3
    same(build(fn, ()), program)


def test_slots_that_start_differently_are_two():
    def fn(x):
        c = x * 2.0
        a, b = loop(0, 0 + 3, [x, c], lambda i, a, b: (lambda v: (v, v))(ew.sin(a) + b))
        return a + b

    program = simplify(build(fn, ()))
    (for_eqn,) = (e for e in program.eqns if e.prim.name == "for")
    assert len(for_eqn.outputs) == 2


def test_a_known_check_goes_and_a_repeated_one():
    def fn(x):
        failure = Failure(ValueError, ("big",))
        check_op(Literal(True, bool), error=failure)
        check_op(ew.lt(x, 9.0), error=failure)
        check_op(ew.lt(x, 9.0), error=failure)
        return x

    assert names(fn, ()) == ["lt", "check"]


def test_a_shared_index_is_not_mixed_up_with_what_it_was_elsewhere():
    """A reversed loop binds the Var of a slot that the primal loop lost."""

    def fn(x):
        _, y = while_loop(
            lambda k, y: ew.lt(y, 3.0), lambda k, y: (k, y + 1.0), Literal(2, I8), x
        )
        shared = current().stack[-1][-1].regions[1].params[0]
        inner = loop(0, 4, [y], lambda i, c: c + ew.cast(i, dtype=np.dtype(float)))
        body = current().stack[-1][-1].regions[0]
        body.eqns[0].inputs[0] = body.params[0] = shared
        return inner

    program = build(fn, ())
    check(program)
    same(program, simplify(program))


# Hoisting -----------------------------------------------------------------------------


def hoisted(fn, *shapes):
    """The primitives before the first loop."""
    before = names(fn, *shapes, passes=(hoist,))
    return before[: min(before.index(w) for w in ("for", "while") if w in before)]


def test_invariant_numbers_leave_all_loops():
    def fn(x, w):
        def row(i, s):
            return loop(0, 3, [s], lambda j, s: s * (w * 2.0) + at(x, i))

        return loop(0, 3, [0.0], row)

    assert hoisted(fn, (3,), ()) == ["mul"]


def test_arrays_leave_only_where_they_are_dear():
    def fn(x, w):
        return loop(0, 3, [x], lambda i, c: c * ew.exp(w * 2.0) + w * 3.0)

    assert hoisted(fn, (3,), (3,)) == ["mul", "exp"]


def test_arrays_in_another_form_leave_and_their_parts_stay():
    def fn(x):
        def body(i, s):
            y = reshape(part(x, 1, 5), shape=(2, 2))
            return s + at(y, 0, i) + at(part(x, 0, 3), i)

        return loop(0, 2, [0.0], body)

    assert names(fn, (6,), passes=(hoist,))[:3] == ["getitem", "reshape", "for"]
    # Its cotangent is formed once, not in every round.
    program = optimize(vjp(optimize(build(fn, (6,))), [0], seed=True))
    inside = [e for f in program.walk() for r in f.regions for e in r.eqns]
    assert all(e.prim is not reshape for e in inside)


def test_a_read_stays_in_a_loop_that_may_not_run():
    def fn(x, n, trips):
        k = ew.cast(n, dtype=I8)
        bound = ew.cast(n, dtype=I8) if trips is None else trips
        body_of = lambda i, s: s + at(x, k)  # noqa: E731
        return loop(0, bound, [0.0], body_of)

    assert "getitem" not in hoisted(lambda x, n: fn(x, n, None), (3,), ())
    assert "getitem" in hoisted(lambda x, n: fn(x, n, 3), (3,), ())


def test_a_read_stays_behind_its_check():
    def fn(x, n):
        k = ew.cast(n, dtype=I8)

        def body(i, s):
            check_op(ew.lt(k, 3), error=Failure(IndexError, ("k",)))
            return s + at(x, k)

        return loop(0, 3, [0.0], body)

    assert "getitem" not in hoisted(fn, (3,), ())


def test_nothing_leaves_a_branch():
    def fn(x, w):
        def body(i, s):
            return branch(ew.lt(s, 1.0), lambda: s + ew.log(w), lambda: s)

        return loop(0, 3, [x], body)

    assert hoisted(fn, (), ()) == []


def test_time_is_linear_in_the_size():
    def chain(count):
        def fn(x):
            y = x
            for k in range(count):
                y = ew.sin(y) * x + (-y) - 0.5 * k
            return total(y)

        return build(fn, (3,))

    def seconds(program):
        start = time.perf_counter()
        with override(check=False):
            optimize(program)
        return time.perf_counter() - start

    small, large = (min(seconds(chain(n)) for _ in range(3)) for n in (100, 1000))
    assert large < 30 * small  # quadratic would be 100
