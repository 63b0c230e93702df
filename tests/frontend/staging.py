"""Stage a straight-line function on boxes, run the program, compare with NumPy."""

from __future__ import annotations

import math as cmath
import types
from typing import Any

import numpy

from tracejit.base.pytree import flatten
from tracejit.frontend.box import Box, box_of, operand
from tracejit.frontend.dispatch import C_ORDER, dispatch
from tracejit.frontend.trace import Trace, staging, tracing
from tracejit.ir.aval import aval_of
from tracejit.ir.evaluate import evaluate
from tracejit.ir.program import Program, Region, Var
from tracejit.ops.promote import strong


class Lifted:
    """A module or function as lifted code calls it: by way of `dispatch`."""

    def __init__(self, plain: Any):
        self.plain = plain

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.plain, name)
        if isinstance(found, types.ModuleType) or (
            staging() and callable(found) and not isinstance(found, type)
        ):
            return Lifted(found)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return (dispatch(self.plain) or self.plain)(*args, **kwargs)


#: NumPy and math in functions under test.
np, math = Lifted(numpy), Lifted(cmath)


def traced_input(value: Any) -> tuple[Var, Box]:
    """An input of the program: an array, a NumPy scalar or a Python number."""
    var = Var(aval_of(value), "x")
    if isinstance(value, numpy.ndarray):
        return var, box_of(var, layout=C_ORDER)
    return var, box_of(var, "scalar" if isinstance(value, numpy.generic) else "python")


def stage(fn: Any, *args: Any, **options: Any) -> tuple[Program, Any, list[Any]]:
    """The program of `fn(*args)`, what `fn` returned, and the captured constants."""
    trace = Trace(**options)
    with tracing(trace), trace.builder.open() as eqns:
        inputs = [traced_input(a) for a in args]
        out = fn(*[box for _, box in inputs])
        atoms = [strong(operand(x)) for x in flatten(out)[0]]
    captured = list(trace.captured.values())
    params = [var for var, _ in inputs] + [c.var for c in captured]
    program = Program("f", Region(params, eqns, atoms))
    return program, out, [c.fetch() for c in captured]


def run(fn: Any, *args: Any, **options: Any) -> tuple[list[Any], Any]:
    """The program's results on these arguments, and what staging returned."""
    program, out, constants = stage(fn, *args, **options)
    return evaluate(program, [*args, *constants]), out


def fresh_copy(value: Any) -> Any:
    return value.copy() if isinstance(value, numpy.ndarray) else value


def assert_same_layout(box: Any, want: Any) -> None:
    """What a box says of its strides is so; it may say that it does not know."""
    if not isinstance(box, Box) or not isinstance(want, numpy.ndarray):
        return
    ours = box.strides_in_elements
    if ours is None or want.size == 0:
        return
    for n, mine, theirs in zip(want.shape, ours, want.strides, strict=True):
        assert n == 1 or mine * want.itemsize == theirs, (ours, want.strides)


def assert_as_numpy(fn: Any, *args: Any, rtol: float = 4e-15, **options: Any) -> Any:
    """Values, dtypes and shapes as NumPy's; the arguments are changed alike."""
    ours = [fresh_copy(a) for a in args]
    theirs = [fresh_copy(a) for a in args]
    with numpy.errstate(all="ignore"):
        expected = fn(*theirs)

    def with_arguments(*boxes: Any) -> Any:
        out = fn(*boxes)
        return out, [b for b in boxes if b.kind == "array"]

    results, out = run(with_arguments, *ours, **options)
    arrays = [a for a in theirs if isinstance(a, numpy.ndarray)]
    wanted = [*flatten(expected)[0], *arrays]
    assert len(results) == len(wanted)
    boxes = flatten(out)[0]
    for got, want, box in zip(results, wanted, boxes, strict=True):
        assert_same_layout(box, want)
        want = numpy.asarray(want)
        assert numpy.shape(got) == want.shape
        assert numpy.asarray(got).dtype == want.dtype
        if isinstance(box, Box):
            assert tuple(box.aval.shape) == want.shape
            assert box.aval.dtype == want.dtype
        scale = rtol * (2**29 if want.dtype == numpy.float32 else 1)
        numpy.testing.assert_allclose(got, want, rtol=scale, atol=scale)
    return out
