"""Running a staged function by the interpreter, as a call will."""

from __future__ import annotations

from tracejit.base.pytree import flatten, unflatten
from tracejit.frontend.stage import Staged, stage
from tracejit.ir.check import check
from tracejit.ir.evaluate import evaluate


def inputs(staged: Staged) -> list:
    """What the program of a staged call is run on."""
    leaves = [leaf.value for leaf in staged.in_leaves if leaf.kind is not None]
    captured = [c.fetch() for c in staged.trace.captured.values()]
    return [*leaves, *captured, *(draw.draw() for draw in staged.trace.draws)]


def result(staged: Staged, values: list):
    """The function's result from the program's."""
    rest = iter(values)
    leaves = [
        staged.out_static[k] if kind == "static" else next(rest)
        for k, kind in enumerate(staged.out_kinds)
    ]
    return unflatten(staged.out_tree, leaves)


def run(fn, *args, **kwargs):
    """`fn(*args, **kwargs)`, staged and interpreted."""
    staged = stage(fn, args, kwargs)
    check(staged.program)
    return result(staged, evaluate(staged.program, inputs(staged)))


def outcome(value) -> list:
    """The leaves of a result."""
    return flatten(value)[0]
