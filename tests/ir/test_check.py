"""What `check` refuses: one broken Program for each rule of the grammar."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transform.programs import PROGRAMS, branch, build, loop, total, while_loop
from tracejit.base.config import override
from tracejit.base.errors import InternalError
from tracejit.ir.aval import Aval
from tracejit.ir.check import check, checked
from tracejit.ir.program import Literal, Var
from tracejit.ops import elementwise as ew

F4, F8, I8 = (np.dtype(d) for d in ("f4", "f8", "i8"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_well_formed(name):
    fn, shapes = PROGRAMS[name]
    check(build(fn, *shapes))


def broken(program, complaint):
    with pytest.raises(InternalError, match=complaint):
        check(program)


@pytest.fixture
def straight():
    return build(lambda x: total(ew.sin(x) * x), (3,))


@pytest.fixture
def looped():
    return build(lambda x: loop(0, 3, [x], lambda i, c: ew.sin(c)), (3,))


def test_bound_twice(straight):
    straight.eqns.insert(0, straight.eqns[0])
    broken(straight, "bound twice")


def test_used_before_it_is_bound(straight):
    straight.eqns[0], straight.eqns[1] = straight.eqns[1], straight.eqns[0]
    broken(straight, "bound nowhere before")


def test_used_outside_its_region(looped):
    inner = looped.eqns[0].regions[0].eqns[0].out
    looped.region.results[:] = [inner]
    broken(looped, "out of scope")


def test_free_in_the_results(straight):
    straight.region.results[:] = [Var(Aval(F8))]
    broken(straight, "bound nowhere")


def test_wrong_output_type(straight):
    straight.eqns[0].out.aval = Aval(F4, (3,))
    broken(straight, r"outputs are \(f32\[3\]\), not \(f64\[3\]\)")


def test_operands_that_the_rule_refuses(straight):
    straight.eqns[1].inputs[1] = Literal(1, I8)
    broken(straight, "does not take this")


def test_message_shows_equation(straight):
    straight.eqns[0].out.aval = Aval(F4, (3,))
    broken(straight, r"x0 = |= sin\(")


def test_region_where_there_is_none(straight, looped):
    straight.eqns[0].regions = looped.eqns[0].regions
    broken(straight, "holds a region")


def test_body_must_return_what_it_takes(looped):
    looped.eqns[0].regions[0].results[:] = [Literal(0.0, F8)]
    broken(looped, r"body returns \(f64\[\]\), not \(f64\[3\]\)")


def test_body_must_take_the_inits(looped):
    looped.eqns[0].regions[0].params.pop()
    broken(looped, r"body takes \(\), not \(f64\[3\]\)")


def test_bounds_are_int64(looped):
    looped.eqns[0].inputs[1] = Literal(3.0, F8)
    broken(looped, "bounds, step and index")


def test_while_tests_a_bool():
    program = build(
        lambda x: while_loop(lambda c: ew.lt(c, 3.0), lambda c: c + 1.0, x)[0], ()
    )
    check(program)
    program.eqns[0].regions[0].results[:] = [Literal(1, I8)]
    broken(program, "no single bool")


def test_branches_agree():
    program = build(lambda x: branch(ew.lt(x, 0.0), lambda: x, lambda: x * x), ())
    check(program)
    program.eqns[1].regions[1].results.append(Literal(0.0, F8))
    broken(program, "branches return")


def test_loops_may_share_an_index_one_after_another_but_not_nested():
    def two(x):
        a = loop(0, 3, [x], lambda i, c: ew.sin(c))
        return loop(0, 3, [a], lambda i, c: ew.cos(c), reverse=True)

    program = build(two, ())
    first, second = (eqn.regions[0] for eqn in program.eqns)
    second.params[0] = first.params[0]
    check(program)
    inner = program.eqns.pop()
    inner.inputs[3] = program.inputs[0]
    first.eqns.append(inner)
    broken(program, "bound twice")


def test_checked_obeys_the_configuration(straight):
    straight.eqns[0].out.aval = Aval(F4, (3,))
    with override(check=False):
        assert checked(straight) is straight
    with override(check=True), pytest.raises(InternalError):
        checked(straight)
