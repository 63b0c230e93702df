"""Programs as text: golden texts of small ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transform.programs import PROGRAMS, build, loop, part, total
from tracejit.base.source import SrcLoc
from tracejit.ir.aval import Aval
from tracejit.ir.builder import building, current
from tracejit.ir.program import Program, Region, Var
from tracejit.ir.text import diff, eqn_text
from tracejit.ops import elementwise as ew
from tracejit.ops import shape
from tracejit.ops.control import Failure, check
from tracejit.ops.index import acc_slice, gather, getitem, scatter_add

F8, I8 = np.dtype(np.float64), np.dtype(np.int64)


@pytest.mark.parametrize("name", ["heat", "newton", "fill", "double_buffer"])
def test_control_flow(name, golden):
    fn, shapes = PROGRAMS[name]
    golden(str(build(fn, *shapes)), name)


def test_text_is_the_same_every_time():
    fn, shapes = PROGRAMS["nested_while"]
    assert str(build(fn, *shapes)) == str(build(fn, *shapes))


def indexing(u, A, k):
    """Every way in which a part can be written."""
    outs = []
    for start, size, step in [
        (0, 8, 1),
        (1, 6, 1),
        (0, 3, 1),
        (5, 3, 1),
        (0, 4, 2),
        (7, 8, -1),
        (6, 3, -2),
        (k, 2, 1),
        (k, None, 1),
    ]:
        outs.append(getitem(u, start, sizes=(size,), steps=(step,)))
    outs.append(getitem(A, 2, 0, sizes=(None, 3), steps=(1, 1)))
    outs.append(acc_slice(A, outs[-1], k, 0, sizes=(None, 3), steps=(1, 1)))
    index = ew.cast(outs[1], dtype=I8)
    outs.append(gather(A, index, axes=(1,)))
    outs.append(scatter_add(u, outs[1], index, axes=(0,)))
    return outs


def test_parts(golden):
    params = [
        Var(Aval(F8, (8,)), "u"),
        Var(Aval(F8, (4, 3)), "A"),
        Var(Aval(I8), "k"),
    ]
    with building() as builder, builder.open() as eqns:
        outs = indexing(*params)
    golden(str(Program("parts", Region(params, eqns, outs))), "parts")


def test_names_keep_the_users_and_never_clash():
    variables = [Var(Aval(F8), hint) for hint in ("x", "x", "x_1", "", "for", "v0")]
    text = str(Program("names", Region(variables, [], list(variables))))
    assert "(x: f64[], x_1: f64[], x_1_1: f64[], v0: f64[], v1: f64[]" in text


def test_literals_and_operators():
    def numbers(x):
        return [ew.integer_pow(x, n=3), -2.5 * x, ew.pow_(-2.0, x), ew.lt(x, np.inf)]

    params = [Var(Aval(F8), "x")]
    with building() as builder, builder.open() as eqns:
        outs = numbers(*params)
    text = str(Program("f", Region(params, eqns, outs)))
    for code in ("x ** 3", "-2.5 * x", "pow(-2.0, x)", "x < inf"):
        assert f" = {code} " in text


def test_groups_name_the_line_that_they_derive_from(golden, tmp_path):
    user = tmp_path / "user.py"
    user.write_text("y = x * x\n")
    primal = build(lambda x: total(x * x), (3,))
    square, summed = primal.eqns
    square.loc = SrcLoc(str(user), 1)
    ct = Var(Aval(F8), "ct")
    (x,) = primal.inputs
    with building() as builder, builder.open() as eqns:
        with current().at(summed.loc, summed):
            spread = shape.broadcast(ct, shape=(3,), axes=())
        with current().at(square.loc, square):
            out = spread * x + spread * x
    region = Region([x, ct], [*primal.eqns, *eqns], [out])
    golden(str(Program("square_adjoint", region, "adjoint")), "origins")


def test_a_loop_without_carried_values_has_a_body():
    program = build(lambda x: (loop(0, 3, [], lambda i: ()), x)[1], ())
    assert "for i in range(0, 3):\n        pass\n" in str(program)


def test_an_equation_prints_alone():
    program = build(lambda x: part(x, 1, 3), (4,))
    assert eqn_text(program.eqns[0]) == "v0 = x0[1:-1]  # f64[2]"


def test_a_check_says_what_it_raises():
    def fn(x):
        check(ew.lt(x, 3.0), error=Failure(IndexError, ("out of range",)))
        return x

    assert "    check(v0, IndexError('out of range'))\n" in str(build(fn, ()))


def test_diff():
    assert diff("a\nb\n", "a\nc\n", "old", "new") == (
        "--- old\n+++ new\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    )
