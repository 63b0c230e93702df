"""The passes, in order, and the one driver that runs, checks and records them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tracejit.ir.check import checked
from tracejit.ir.program import Program
from tracejit.ir.text import program_text
from tracejit.optimize.clean import simplify
from tracejit.optimize.dead import eliminate_dead
from tracejit.optimize.hoist import hoist
from tracejit.optimize.registers import accumulate_in_registers

#: Run before and after differentiating. Each is a function Program -> Program.
PASSES: list[tuple[str, Callable[[Program], Program]]] = [
    ("dead code", eliminate_dead),
    ("simplify", simplify),
    ("hoist", hoist),
    ("registers", accumulate_in_registers),
    ("simplify", simplify),
    ("dead code", eliminate_dead),
]


@dataclass(frozen=True)
class Record:
    """What one pass made of a Program, as text, and how long it took."""

    name: str
    seconds: float
    text: str


def optimize(program: Program, *, record: list[Record] | None = None) -> Program:
    """The Program after every pass; `record` collects the text after each."""
    for name, function in PASSES:
        start = time.perf_counter()
        program = checked(function(program))
        seconds = time.perf_counter() - start
        if record is not None:
            record.append(Record(name, seconds, program_text(program)))
    return program
