"""A call in two: the value now, sweeps of its derivative later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tracejit.frontend.stage import Staged
from tracejit.frontend.trace import current_trace
from tracejit.ir.program import Program
from tracejit.runtime.arguments import Arguments, is_traced
from tracejit.runtime.dispatch import Dispatcher, Entry, Options, beside
from tracejit.runtime.inline import emit, inline

#: From the staged Program, the positions of the inputs to differentiate and how many
#: results are: the one to run now, whose last results the one to run later begins with.
Splitting = Callable[[Program, Sequence[int], int], tuple[Program, Program]]

Sweep = Callable[[Sequence[Any]], list[Any]]


class Split(Dispatcher):
    """A function under a transform that makes two Programs; see `Splitting`."""

    def __init__(
        self,
        fn: Callable[..., Any],
        splitting: Splitting,
        options: Options,
        argnums: tuple[int, ...],
    ):
        super().__init__(fn, lambda program, wrt: program, options, argnums)
        self.splitting = splitting

    def differentiated(self, staged: Staged) -> int:
        """How many of the Program's results are."""
        return len(staged.program.results)

    def compile(self, arguments: Arguments) -> Entry:
        staged, program = self.stage(arguments)
        first, second = self._split(staged, program, arguments)
        first = self.finish(beside(first, staged.stores))
        second = self.finish(second)
        run, sweep = self.runner(first), self.runner(second)
        larger = self.larger(arguments)
        return Entry(staged, first, run, arguments, sweep=sweep, larger=larger)

    def _split(
        self, staged: Staged, program: Program, arguments: Arguments
    ) -> tuple[Program, Program]:
        wrt, count = self.wrt(arguments), self.differentiated(staged)
        return self.splitting(program, wrt, count)

    def run(self, arguments: Arguments) -> tuple[Staged, list[Any], Sweep]:
        """Results of the function, and what goes on from where they were computed."""
        entry = self.entry(arguments)
        results = entry(arguments.traced())
        assert entry.sweep is not None
        return _parted(entry.staged, results, entry.sweep)

    def join(self, arguments: Arguments) -> tuple[Staged, list[Any], Sweep]:
        """The same while staging: the Programs join the one being staged."""
        later: list[Program] = []

        def derive(staged: Staged) -> Program:
            self.check_outputs(staged)
            first, second = self._split(staged, staged.program, arguments)
            later.append(second)
            return first

        self.check_inputs(arguments)
        leaves, treedef = arguments.leaves, arguments.treedef
        with current_trace().deriving(self.derivatives):
            staged, results = inline(self.py_func, leaves, treedef, is_traced, derive)
        return _parted(staged, results, partial(emit, later[0]))


def _parted(
    staged: Staged, results: list[Any], sweep: Sweep
) -> tuple[Staged, list[Any], Sweep]:
    count = len(staged.program.results)
    saved = results[count:]
    return staged, results[:count], lambda seeds: sweep([*saved, *seeds])
