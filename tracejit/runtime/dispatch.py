"""From a call to an entry: signature, guards, staging, compiling, running.

A `Dispatcher` keeps, for every signature of arguments, the traces that served it.
"""

from __future__ import annotations

import inspect
import sys
import threading
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial, update_wrapper
from typing import Any, Literal, get_args

import numpy as np

from tracejit.backend.numba_build import Compiled, compile_program
from tracejit.backend.quick_call import Quick
from tracejit.base.config import config
from tracejit.base.errors import OutOfRoomError
from tracejit.base.garbage import uncollected
from tracejit.base.pytree import flatten, unflatten
from tracejit.base.source import UNKNOWN, SrcLoc
from tracejit.frontend.box import Box, box_of
from tracejit.frontend.memory import Memory
from tracejit.frontend.session import ROOM
from tracejit.frontend.stage import Staged, stage
from tracejit.frontend.trace import current_trace
from tracejit.ir.aval import aval_of
from tracejit.ir.check import checked, refuse_unknown
from tracejit.ir.evaluate import evaluate
from tracejit.ir.program import (
    Program,
    Region,
    clone_eqn,
    replace_region,
    substitute,
)
from tracejit.optimize.expand import settle
from tracejit.optimize.passes import optimize
from tracejit.runtime.arguments import Arguments, Fixed, is_traced
from tracejit.runtime.inline import inline, name_of
from tracejit.runtime.memory import memory_of, stage_in_memory, stretches
from tracejit.runtime.quick import quick_entry

#: Traces kept for one signature: captured values that come back find theirs.
MOST_ENTRIES = 8

#: Retraces in a row for one cause before the user is told.
RETRACES_BEFORE_WARNING = 3


class RetraceWarning(UserWarning):
    """The same captured value or guard makes every call stage anew."""


#: What computes exp, log and their like: what is fastest, within 4 units in the last
#: place, or the C library's scalar functions.
Accuracy = Literal["fast", "high"]


@dataclass(frozen=True)
class Options:
    """How a function is staged and run; see `tracejit.grad`."""

    backend: str | None = None
    boundscheck: bool = True
    fastmath: bool = False
    accuracy: Accuracy = "fast"
    static_argnames: tuple[str, ...] = ()
    memory: int | None = None
    threads: int = 1
    donated: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.accuracy not in get_args(Accuracy):
            raise ValueError(
                f"accuracy must be 'fast' or 'high', not {self.accuracy!r}"
            )


@dataclass
class Entry:
    """A trace, the Program derived from it, and how to run that."""

    staged: Staged
    program: Program
    run: Callable[[Sequence[Any]], list[Any]]
    arguments: Arguments  # keeps what the signature names by identity alive
    #: By the form of a call and of `out`: what serves it from C, or None.
    fast: dict[Any, Callable[..., Any] | None] = field(default_factory=dict)
    #: What may be run after it, on what it left (see `Split`).
    sweep: Callable[[Sequence[Any]], list[Any]] | None = None
    #: The same with more room for lists of which nobody knows how long they get.
    larger: Callable[[], Entry] | None = None

    def __post_init__(self) -> None:
        trace = self.staged.trace
        #: Whether it knows nothing but its arguments.
        self.closed = not (trace.guards or trace.captured or trace.draws)
        self.closed &= not (self.staged.effects or self.staged.pinned)

    def stale(self, traced: Sequence[Any]) -> str | None:
        """What has changed since staging, outside or among the arguments, or None."""
        if self.closed:
            return None
        for k, (label, pinned) in self.staged.pinned.items():
            if np.asarray(traced[k]).tobytes() != pinned:
                return label
        trace = self.staged.trace
        for guard in trace.guards.values():
            if not guard.holds():
                return guard.what
        for captured in trace.captured.values():
            found = captured.fetch()
            value = np.asarray(found)
            aval = captured.var.aval
            if aval_of(value) != aval or type(found) is not type(captured.value):
                return captured.what
            if captured.pinned is not None and value.tobytes() != captured.pinned:
                return captured.what
        return None

    def fits(self, traced: Sequence[Any]) -> bool:
        """Whether these arguments lie in memory as the trace relies on."""
        writes = self.staged.writes
        return not writes.exclusive or memory_of(self.staged, traced) == writes.memory

    def __call__(self, traced: Sequence[Any], extra: Sequence[Any] = ()) -> list[Any]:
        """Run on the traced leaves; `extra` are tangents."""
        if self.closed and not extra and not self.staged.writes.acting:
            return self.attempt(traced)
        trace = self.staged.trace
        captured = (c.fetch() for c in trace.captured.values())
        draws = (d.draw() for d in trace.draws)
        inputs = [*traced, *captured, *draws, *stretches(self.staged, traced)]
        results = self.attempt([*inputs, *extra])
        n = len(results) - len(self.staged.stores.results if self.staged.stores else ())
        stored = iter(results[n:])
        for effect in self.staged.effects:
            effect.happen(stored, convert)
        completed = self.complete(results[:n], inputs)
        for k, shape in self.staged.writes.shapes.items():
            inputs[k].shape = shape
        return completed

    def attempt(self, inputs: Sequence[Any]) -> list[Any]:
        """Run, again and again where lists turn out to need more room."""
        while True:
            try:
                return self.run(inputs)
            except OutOfRoomError:
                if self.larger is None or self.staged.writes.acting:
                    raise
                self.__dict__.update(vars(self.larger()))

    def complete(self, results: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """The results with those put in that are of the caller's memory."""
        rest, aliases = iter(results), self.staged.writes.aliases
        count = len(results) + len(aliases)
        return [
            aliases[k].of(inputs) if k in aliases else next(rest) for k in range(count)
        ]


#: From the staged Program and the positions of the inputs to differentiate.
Transform = Callable[[Program, Sequence[int]], Program]


class Dispatcher(Quick):
    """A user function under a transform. Subclasses say what a call returns.

    `recipe` are a subclass's arguments beside the function. `staged_as` is what is
    staged: the function, or what calls it while staging. `acting`: what the function
    does to its arguments is done to them, else to copies.
    """

    recipe: tuple[Any, ...] = ()
    #: How many derivatives the transform takes.
    derivatives = 1

    def __init__(
        self,
        fn: Callable[..., Any],
        transform: Transform,
        options: Options,
        argnums: tuple[int, ...] = (),
        *,
        acting: bool = False,
    ):
        update_wrapper(self, fn)  # type: ignore[arg-type]
        self.py_func = fn
        self.staged_as = fn
        self.transform = transform
        self.options = options
        self.argnums = argnums
        self.acting = acting
        self.entries: dict[tuple[Any, ...], list[Entry]] = {}
        self.lock = threading.RLock()
        self.causes: list[str] = []
        self.room = ROOM
        self.parameters = _positional(fn)
        self.last: tuple[list[Any], Entry] | None = None
        # Serves calls like the last one from C; NotImplemented where it cannot.
        self.slow_down()

    def recent(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Entry, list[Any]] | None:
        """The entry of the last call, and the inputs, if it serves this one too.

        This is the way of hot loops: it knows arrays, numbers and what is `Fixed`, and
        asks for nothing that can be skipped.
        """
        if self.last is None or kwargs:
            return None
        specs, entry = self.last
        if len(specs) != len(args):
            return None
        traced = []
        for spec, arg in zip(specs, args, strict=True):
            if type(spec) is Fixed:
                if type(arg) is not type(spec.value) or arg != spec.value:
                    return None
                continue
            traced.append(arg)
            if spec is None:
                if type(arg) is not float:
                    return None
            elif (
                type(arg) is not np.ndarray
                or arg.shape != spec[1]
                or arg.dtype != spec[0]
                or not arg.flags.c_contiguous
            ):
                return None
        fits = entry.stale(traced) is None and entry.fits(traced)
        return (entry, traced) if fits else None

    def hasten(
        self,
        entry: Entry,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        arguments: Arguments,
        arrange: Callable[..., Any],
        out: Any = None,
    ) -> None:
        """Let further calls like this one go by the entry in C, if it can serve them.

        `arrange(results, wrap)` is what a call returns, in the arrays `out` if there
        are any.
        """
        form = len(args), tuple(kwargs)
        shape = form if out is None else (*form, flatten(out)[1])
        if shape not in entry.fast:

            def arranged(results: Any, inputs: Any, wrap: Wrap) -> Any:
                return arrange(entry.complete(results, inputs), wrap)

            count = len(arguments.args)
            given = [k for k in self.options.donated if -count <= k < count]
            donated = self.inputs_of(arguments, given)
            entry.fast[shape] = quick_entry(
                entry.run,
                entry.staged,
                form,
                self.bind,
                arguments,
                donated,
                arranged,
                out,
            )
        fast = entry.fast[shape]
        if fast is not None and fast is not self.fast:
            self.quicken(fast, Compiled.call_address())

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Arguments with keywords moved to their places.

        Defaults stay the function's own, so that Python may decide by them, but for
        those that are differentiated.
        """
        if self.parameters is None or (not kwargs and len(args) == self.parameters):
            return Arguments(args, kwargs)
        bound = inspect.signature(self.py_func).bind(*args, **kwargs)
        if any(argnum >= len(bound.args) for argnum in self.argnums):
            bound.apply_defaults()
        return Arguments(bound.args, bound.kwargs)

    def entry(self, arguments: Arguments) -> Entry:
        """The entry that serves these arguments, staged now if there is none."""
        key = arguments.signature()
        with self.lock:
            entries = self.entries.setdefault(key, [])
            cause = None
            for entry in entries:
                cause = entry.stale(arguments.traced())
                if cause is None and entry.fits(arguments.traced()):
                    self.causes.clear()
                    break
            else:
                if cause is not None:
                    self.retraced(cause)
                entry = self.compile(arguments)
                entries.insert(0, entry)
                del entries[MOST_ENTRIES:]
            specs = arguments.plain()
            self.last = None if specs is None else (specs, entry)
            return entry

    def retraced(self, cause: str) -> None:
        """Count retraces; warn when one cause keeps coming back."""
        if self.causes and self.causes[-1] != cause:
            self.causes.clear()
        self.causes.append(cause)
        if len(self.causes) == RETRACES_BEFORE_WARNING:
            warnings.warn(
                f"{name_of(self.py_func)} was staged again "
                f"{RETRACES_BEFORE_WARNING} times running because {cause} changed; "
                "pass it as an argument instead",
                RetraceWarning,
                stacklevel=4,
            )

    def compile(self, arguments: Arguments) -> Entry:
        """Trace, and build what runs the result."""
        with uncollected():
            staged, program = self.trace(arguments)
        run = self.runner(program)
        return Entry(staged, program, run, arguments, larger=self.larger(arguments))

    def larger(self, arguments: Arguments) -> Callable[[], Entry]:
        """What makes an entry with more room for lists."""

        def make() -> Entry:
            with self.lock:
                self.room *= 8
                return self.compile(arguments)

        return make

    def trace(self, arguments: Arguments) -> tuple[Staged, Program]:
        """Stage, clean, transform, clean again."""
        staged, program = self.stage(arguments)
        derived = self.derive(staged, program, arguments)
        return staged, self.finish(beside(derived, staged.stores))

    def finish(self, program: Program) -> Program:
        """A Program that no derivative will be taken of, as it is run."""
        return refuse_unknown(self.clean(settle(checked(program)), last=True))

    def clean(self, program: Program, *, last: bool = False) -> Program:
        """The Program optimized, as the options have it; see `optimize`."""
        return optimize(program, fast=self.options.fastmath, last=last)

    def stage(self, arguments: Arguments) -> tuple[Staged, Program]:
        """The function staged, and its Program cleaned."""
        self.check_inputs(arguments)
        moving = self.wrt(arguments)

        def make(memory: Memory) -> Staged:
            return stage(
                self.staged_as,
                arguments.args,
                arguments.kwargs,
                boundscheck=self.options.boundscheck,
                derivatives=self.derivatives,
                memory=memory,
                acting=self.acting,
                moving=moving,
                room=self.room,
            )

        staged = stage_in_memory(make, arguments.traced(), self.acting)
        self.check_outputs(staged)
        program = staged.program
        if self.acting:
            program = staged.writes.program(program)
        return staged, self.clean(checked(program))

    def derive(self, staged: Staged, program: Program, arguments: Arguments) -> Program:
        """What the call runs, from the Program of the function."""
        return self.transform(program, self.wrt(arguments))

    def runner(self, program: Program) -> Callable[[Sequence[Any]], list[Any]]:
        backend = self.options.backend or config().backend
        if backend == "numpy":
            return partial(interpret, program)
        if backend != "numba":
            raise ValueError(f"backend must be 'numba' or 'numpy', not {backend!r}")
        options = self.options
        return compile_program(
            program,
            fastmath=options.fastmath,
            exact=options.accuracy == "high",
            threads=options.threads,
        )

    def wrt(self, arguments: Arguments) -> list[int]:
        """Positions among the Program's inputs of the selected arguments' leaves."""
        return self.inputs_of(arguments, self.argnums)

    @staticmethod
    def inputs_of(arguments: Arguments, argnums: Sequence[int]) -> list[int]:
        """Positions among the Program's inputs of some arguments' leaves."""
        positions: list[int] = []
        for argnum in argnums:
            before, own = arguments.args[:argnum], arguments.args[argnum]
            first = sum(map(is_traced, flatten(before)[0]))
            count = sum(map(is_traced, flatten(own)[0]))
            positions += range(first, first + count)
        return positions

    def check_inputs(self, arguments: Arguments) -> None:
        """Refuse arguments that the transform cannot take."""

    def check_outputs(self, staged: Staged) -> None:
        """Refuse outputs that the transform cannot take."""

    def inline(
        self, arguments: Arguments, extra: Sequence[Any] = ()
    ) -> tuple[Staged, list[Any]]:
        """Join the derived program to the one being staged; its results as Atoms."""

        self.check_inputs(arguments)

        def derive(staged: Staged) -> Program:
            self.check_outputs(staged)
            return self.derive(staged, staged.program, arguments)

        leaves, treedef = arguments.leaves, arguments.treedef
        with current_trace().deriving(self.derivatives):
            return inline(self.py_func, leaves, treedef, is_traced, derive, extra)

    def rebound(self, fn: Callable[..., Any]) -> Dispatcher:
        """The same transform, with the same options, of another function."""
        return type(self)(fn, *self.recipe)

    def __reduce__(self) -> Any:
        """By name where it has one, as decorated functions do; else by its function."""
        name = name_of(self)
        if getattr(sys.modules.get(self.__module__), name, None) is self:
            return name
        return type(self), (self.py_func, *self.recipe)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return types.MethodType(_Method(self), instance)


class _Held(dict[Any, Any]):
    """An instance's dispatchers. Copies and pickles of the instance begin anew."""

    def __reduce__(self) -> Any:
        return _Held, ()


class _Method:
    """Calls a decorated method: one Dispatcher per instance, `self` being static."""

    def __init__(self, dispatcher: Dispatcher):
        self.dispatcher = dispatcher

    def __call__(self, instance: Any, *args: Any, **kwargs: Any) -> Any:
        return self.bound(instance)(*args, **kwargs)

    def bound(self, instance: Any) -> Any:
        # The instance holds its dispatchers, so that they live and die together.
        own = self.dispatcher
        method = types.MethodType(own.py_func, instance)
        held = getattr(instance, "__dict__", {}).setdefault("_tracejit_", _Held())
        if own not in held:
            held[own] = own.rebound(method)
        return held[own]


def _positional(fn: Callable[..., Any]) -> int | None:
    """How many parameters `fn` has, if all are positional; else -1.

    None for functions of NumPy and of C: their defaults are not values to pass on.
    """
    if isinstance(fn, np.ufunc) or (getattr(fn, "__module__", None) or "").startswith(
        "numpy"
    ):
        return None
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, _EITHER)
    return len(parameters) if all(p.kind in positional for p in parameters) else -1


_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD


def beside(program: Program, other: Program | None) -> Program:
    """The program with the results of another one of the same first inputs added."""
    if other is None:
        return program
    env: dict[Any, Any] = dict(zip(other.inputs, program.inputs, strict=False))
    eqns = [*program.eqns, *(clone_eqn(eqn, env) for eqn in other.eqns)]
    split = len(program.results) - len(program.writes)
    added = substitute(other.results, env)
    results = [*program.results[:split], *added, *program.results[split:]]
    return replace_region(program, Region(program.inputs, eqns, results))


def interpret(program: Program, inputs: Sequence[Any]) -> list[Any]:
    """Results of the interpreter, which share no memory with the inputs.

    Inputs that the Program writes to are written to once it has run.
    """
    typed = [
        x if isinstance(x, np.ndarray) else v.aval.dtype.type(x)
        for x, v in zip(inputs, program.inputs, strict=True)
    ]
    results = fresh(evaluate(program, typed), typed)
    count = len(results) - len(program.writes)
    for k, final in zip(program.writes, results[count:], strict=True):
        inputs[k][...] = final
    return results[:count]


def fresh(results: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Results that share no memory with the inputs or with one another."""
    seen = {id(x) for x in inputs}
    out = []
    for result in results:
        shared = isinstance(result, np.ndarray) and (
            result.base is not None or id(result) in seen
        )
        seen.add(id(result))
        out.append(result.copy() if shared else result)
    return out


def dtype_of(leaf: Any) -> np.dtype[Any]:
    """The dtype of a traced leaf."""
    return leaf.aval.dtype if isinstance(leaf, Box) else np.asarray(leaf).dtype


def convert(kind: str, value: Any) -> Any:
    """A result as the user sees it: a Python number, a NumPy scalar, or an array."""
    if kind == "python":
        return value.item()
    return np.asanyarray(value) if kind == "array" else value


def boxed(kind: str, value: Any) -> Any:
    """A result of a transform that was called while staging."""
    return box_of(value, kind)


#: How a result is handed to the user: `convert`, or `boxed` while staging.
Wrap = Callable[[str, Any], Any]


def unflatten_results(
    staged: Staged, values: Sequence[Any], wrap: Wrap = convert
) -> Any:
    """The user's result structure: computed leaves filled in, static ones as staged."""
    rest = iter(values)
    if staged.out_tree.kind is None and staged.out_kinds[0] != "static":
        return wrap(staged.out_kinds[0], next(rest))
    leaves = [
        staged.out_static[k] if kind == "static" else wrap(kind, next(rest))
        for k, kind in enumerate(staged.out_kinds)
    ]
    return unflatten(staged.out_tree, leaves)


def result_loc(staged: Staged, fn: Any) -> SrcLoc:
    """Where the first result is computed; the function's first line failing that."""
    for eqn in staged.program.eqns:
        if staged.program.results[:1] and staged.program.results[0] in eqn.outputs:
            return eqn.loc
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    if code is None:
        return UNKNOWN
    return SrcLoc(code.co_filename, code.co_firstlineno, function=code.co_name)
