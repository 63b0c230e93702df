"""From a Program to loop nests: what is stored, where, and in which order.

Scalars become registers at once. Array values stay lazy (see `pull`) unless a statement
must store them: results, reductions, updates, what a loop carries. Some others must be
stored, too: a lazy value that reads what is overwritten before its last use, one that a
loop captures though it is costly, one that two loops would compute. Those are found by
lowering, so lowering is repeated until there are no more.
"""

from __future__ import annotations

from typing import Any

from tracejit.ir.program import Program
from tracejit.optimize import (
    array_rules,
    control_rules,
    fft_rules,
    matrix_rules,
    sort_rules,
)
from tracejit.optimize.additions import gather_additions
from tracejit.optimize.blocks import in_blocks
from tracejit.optimize.cells import split_at_cells
from tracejit.optimize.columns import split_columns
from tracejit.optimize.expand import expand
from tracejit.optimize.fission import fission
from tracejit.optimize.foresee import foresee
from tracejit.optimize.handed import hand_on, name_sums
from tracejit.optimize.held import hold_small
from tracejit.optimize.jam import jam
from tracejit.optimize.late import fill_late
from tracejit.optimize.lowering import Lowering
from tracejit.optimize.nest import Kernel
from tracejit.optimize.parallel import keep_apart, share
from tracejit.optimize.pull import only_unit_axes
from tracejit.optimize.quotients import guess_quotients
from tracejit.optimize.recurrences import shorten
from tracejit.optimize.registers import (
    drop_dead_stores,
    drop_unread,
    use_registers,
)
from tracejit.optimize.room import make_room_early
from tracejit.optimize.rows import hide_rows
from tracejit.optimize.selects import select_rounds
from tracejit.optimize.sink import sink_stores
from tracejit.optimize.skips import skip_void
from tracejit.optimize.taps import write_out
from tracejit.optimize.turns import take_turns
from tracejit.optimize.unroll import split, unroll
from tracejit.optimize.windows import slide_all

RULES = array_rules.RULES | control_rules.RULES | matrix_rules.RULES
RULES |= sort_rules.RULES | fft_rules.RULES


def lower(
    program: Program, *, blas: bool = True, threads: int = 1, fast: bool = False
) -> Kernel:
    """The loop nests of a Program.

    Args:
        program: what is to be computed.
        blas: whether routines may be called.
        threads: how many may share a loop that has enough to do.
        fast: whether what holds on paper only is allowed.
    """
    program = write_out(expand(program))
    if threads == 1:  # else they share the loops over whole arrays
        program = in_blocks(program)
    program = fill_late(program)
    stored: dict[Any, str] = {
        eqn.inputs[0]: "it is read in another shape"
        for eqn in program.walk()
        if eqn.prim.name == "reshape" and not only_unit_axes(eqn)
    }
    while True:
        lowering = Lowering(program, stored, RULES, blas)
        kernel = lowering.run()
        wanted = lowering.wanted or lowering.computed_twice()
        if wanted.keys() <= stored.keys():
            body = kernel.body
            if threads == 1:  # else it is seen which loops may move their tapes
                body = make_room_early(body)
            body = drop_unread(drop_dead_stores(body, kernel.outputs))
            body = hand_on(name_sums(unroll(body)))
            body = drop_unread(drop_dead_stores(body, kernel.outputs))
            body = split_columns(kernel, body)
            body = select_rounds(hold_small(body))
            body = split_at_cells(split(body))
            if threads > 1:
                body = share(gather_additions(body), kernel.outputs, threads)
            body = jam(keep_apart(drop_unread(fission(body))))
            body = sink_stores(slide_all(use_registers(body)))
            body = shorten(hide_rows(body), fast)
            kernel.body = skip_void(guess_quotients(foresee(body)))
            take_turns(kernel)
            kernel.notes = lowering.notes()
            return kernel
        stored = wanted | stored
