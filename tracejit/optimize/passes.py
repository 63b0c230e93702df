"""The passes, in order, and the one driver that runs, checks and records them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import is_
from typing import Any

from tracejit.ir.check import checked
from tracejit.ir.program import Eqn, Program, Region
from tracejit.ir.text import program_text
from tracejit.ops.dead import eliminate_dead
from tracejit.optimize.clean import simplify
from tracejit.optimize.distribute import distribute
from tracejit.optimize.factors import take_out_factors
from tracejit.optimize.hoist import hoist
from tracejit.optimize.maps import batch_maps
from tracejit.optimize.merge import merge_loops
from tracejit.optimize.products import gather_products
from tracejit.optimize.reciprocals import share_reciprocals
from tracejit.optimize.row_work import work_on_rows

Pass = Callable[[Program], Program]

#: Run before and after differentiating.
PASSES: list[tuple[str, Pass]] = [
    ("dead code", eliminate_dead),
    ("simplify", simplify),
    ("hoist", hoist),
    ("rows", work_on_rows),
    ("reciprocals", share_reciprocals),
    ("distribute", distribute),
    ("merge", merge_loops),
    ("simplify", simplify),
    ("dead code", eliminate_dead),
]
#: Run on what no derivative will be taken of: it is further from the user's program.
LAST_PASSES: list[tuple[str, Pass]] = [
    ("dead code", eliminate_dead),
    ("simplify", simplify),
    ("hoist", hoist),
    ("rows", work_on_rows),
    ("reciprocals", share_reciprocals),
    ("factors", take_out_factors),
    ("distribute", distribute),
    ("merge", merge_loops),
    ("maps", batch_maps),
    ("products", gather_products),
    ("hoist", hoist),
    ("simplify", simplify),
    ("dead code", eliminate_dead),
]
#: The same where what holds on paper only is allowed: the first, and the last ones.
FAST: dict[Pass, Pass] = {simplify: partial(simplify, fast=True)}
FAST_LAST: dict[Pass, Pass] = FAST | {
    share_reciprocals: partial(share_reciprocals, fast=True)
}

#: What one round leaves, the next one seldom makes smaller, and a third hardly ever.
MAX_ROUNDS = 4


@dataclass(frozen=True)
class Record:
    """What one pass made of a Program, as text, and how long it took."""

    name: str
    seconds: float
    text: str


def optimize(
    program: Program,
    *,
    fast: bool = False,
    last: bool = False,
    record: list[Record] | None = None,
) -> Program:
    """The Program after every pass, in rounds, until it gets no smaller.

    `fast` allows what holds on paper only; `last`: no derivative will be taken of it;
    `record` collects the text after each pass.
    """
    #: By pass: the Program that it has left as it was.
    settled: dict[Pass, Program] = {}
    faster = (FAST_LAST if last else FAST) if fast else {}
    for _ in range(MAX_ROUNDS):
        before = size(program)
        for name, function in LAST_PASSES if last else PASSES:
            start = time.perf_counter()
            function = faster.get(function, function)
            if settled.get(function) is not program:
                new = function(program)
                if unchanged(program.region, new.region):
                    settled[function] = program
                else:
                    program = new
            seconds = time.perf_counter() - start
            checked(program)
            if record is not None:
                record.append(Record(name, seconds, program_text(program)))
        if size(program) == before:
            break
    return program


def unchanged(old: Region, new: Region) -> bool:
    """Whether a pass made a region of the same equations on the same variables."""
    return (
        len(old.eqns) == len(new.eqns)
        and _same(old.params, new.params)
        and _same(old.results, new.results)
        and all(map(_unchanged_eqn, old.eqns, new.eqns))
    )


def _unchanged_eqn(old: Eqn, new: Eqn) -> bool:
    return old is new or (
        old.prim is new.prim
        and _same(old.inputs, new.inputs)
        and _same(old.outputs, new.outputs)
        and (old.params is new.params or old.params == new.params)
        and all(map(unchanged, old.regions, new.regions))
    )


def _same(old: Sequence[Any], new: Sequence[Any]) -> bool:
    return len(old) == len(new) and all(map(is_, old, new))


def size(program: Program) -> int:
    """The number of equations, nested ones included."""
    return sum(1 for _ in program.walk())
