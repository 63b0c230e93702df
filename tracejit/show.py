"""Looking inside: the Program of a function at any stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.api.budget import amount
from tracejit.api.jit import Jit
from tracejit.api.reverse import Grad
from tracejit.backend.numba_build import compile_program, needs, remarks
from tracejit.ir.cost import flops, tape_bytes
from tracejit.ir.program import Program
from tracejit.ir.text import notes_text
from tracejit.runtime.dispatch import (
    Dispatcher,
    Options,
    Transform,
    dtype_of,
    is_traced,
)
from tracejit.transform.jvp import jvp
from tracejit.transform.vjp import vjp

STAGES = ("staged", "clean", "tangent", "adjoint", "source")


def make_ir(fn: Callable[..., Any]) -> Callable[..., Program]:
    """The cleaned Program that `fn` runs as: of `grad(f)`, the adjoint.

    Returns a function of the same arguments that returns the Program; printing it
    shows it as Python-like text.

    >>> print(make_ir(lambda a, b: (a + b) * (b + 1))(2.0, 1.0))  # doctest: +ELLIPSIS
    # stage: ...
    """
    dispatcher = fn if isinstance(fn, Dispatcher) else Jit(fn, Options("numpy"))

    def of(*args: Any, **kwargs: Any) -> Program:
        return dispatcher.trace(dispatcher.bind(args, kwargs))[1]

    return of


@dataclass(frozen=True)
class Cost:
    """What one call takes, on paper.

    `flops`: floating-point operations, functions such as `exp` by their price;
    `bytes_moved`: what its loops load and store, whether caches serve it or not;
    `tape_bytes`: what is saved for the way back, by tapes and snapshots; `peak_bytes`:
    all the memory that the call needs beside its arguments: results, tapes, and room
    for values on the way (which, above 1 MB, is kept for further calls, of whichever
    function, as long as there is one that needs as much).
    """

    flops: float
    bytes_moved: float
    tape_bytes: float
    peak_bytes: float

    def __str__(self) -> str:
        tape, peak, moved = map(
            amount, (self.tape_bytes, self.peak_bytes, self.bytes_moved)
        )
        return f"{self.flops:.4g} flops, {moved} moved, tape {tape}, peak {peak}"


@dataclass(frozen=True)
class Costs:
    """Of a function, and of its adjoint, if it has one; see `Cost`."""

    primal: Cost
    adjoint: Cost | None

    def __str__(self) -> str:
        return f"primal:  {self.primal}\nadjoint: {self.adjoint}"


def cost(fn: Callable[..., Any]) -> Callable[..., Costs]:
    """What a call costs on paper: operations, traffic, tape and peak memory.

    Arguments: `fn`, a function, or `grad` or `value_and_grad` of one. Returns a
    function of the same arguments that runs and compiles nothing, and returns `primal`,
    the function's own `Cost`, and `adjoint`, that of its gradient: of `grad(f)` with
    all its options, of `f` that in every float that it reads (None where there is
    none, and for other transforms, whose own cost is `primal`).

    Memory is that of the compiled program, as it is laid out. A loop whose length
    follows from the data counts as 100 rounds, of a branch the dearer side counts.

    >>> import numpy as np
    >>> found = cost(lambda A, x: A @ x)(np.ones((3, 4)), np.ones(4))
    >>> found.primal.flops, found.primal.peak_bytes
    (24.0, 24)
    """

    def of(*args: Any, **kwargs: Any) -> Costs:
        own = _cost(make_ir(fn)(*args, **kwargs), _threads_of(fn))
        kind: type = type(fn)
        user = getattr(fn, "py_func", fn) if issubclass(kind, Dispatcher) else fn
        if issubclass(kind, Grad):
            return Costs(_cost(make_ir(user)(*args, **kwargs)), own)
        if issubclass(kind, Dispatcher) and not issubclass(kind, Jit):
            return Costs(own, None)
        derived = Dispatcher(user, _in_all_floats(_seeded), Options("numpy"))
        arguments = derived.bind(args, kwargs)
        if not any(map(_is_float, arguments.leaves)):
            return Costs(own, None)
        return Costs(own, _cost(derived.trace(arguments)[1]))

    return of


def _cost(program: Program, threads: int = 1) -> Cost:
    room = needs(program, threads)
    peak = room.results + room.workspace + room.growing
    return Cost(flops(program), room.moved, tape_bytes(program), peak)


def _seeded(program: Program, wrt: Sequence[int]) -> Program:
    """The adjoint that `grad` runs where the result is a number, or else that of
    `vjp`."""
    first = [r.aval for r in program.results[:1]]
    number = bool(first) and not first[0].shape and first[0].dtype.kind == "f"
    return vjp(program, wrt, seed=number)


def _is_float(leaf: Any) -> bool:
    return is_traced(leaf) and dtype_of(leaf).kind in "fc"


def show(
    fn: Callable[..., Any], *args: Any, stage: str = "adjoint", **kwargs: Any
) -> str:
    """Print, and return, a function's program at one stage of the pipeline.

    `stage`: "staged" (as traced), "clean", "tangent" (jvp), "adjoint" (vjp in every
    float argument, cleaned), "source" (what Numba compiles), or "all". Below the
    adjoint stands how it comes by each value of the function that it reads: captured,
    recomputed, re-read from an array that still has it, handed down from one round to
    the one before, taped, or put back by an undo log; and which arrays on the way are
    stored (in registers, where the loop that computes one is all that reads it), or
    computed in several places, and why. Of functions made with `parallel` it
    stands below which loops run on threads, and why the others do not.
    """
    if stage == "all":
        return "\n".join(show(fn, *args, stage=s, **kwargs) for s in STAGES)
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {(*STAGES, 'all')}, not {stage!r}")
    found = _at_stage(fn, args, kwargs, stage)
    text = str(found)
    if stage == "adjoint":
        arrays, loops = remarks(found, threads := _threads_of(fn))
        text += notes_text("what the way back reads", found.residuals())
        text += notes_text("arrays on the way", arrays)
        text += notes_text(f"loops on {threads} threads", loops)
    print(text)
    return text


def _threads_of(fn: Callable[..., Any]) -> int:
    """How many threads a function of ours may use."""
    options = getattr(fn, "options", None)
    return options.threads if isinstance(options, Options) else 1


def _at_stage(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], stage: str
) -> Any:
    user = fn.py_func if isinstance(fn, Dispatcher) else fn
    threads = _threads_of(fn)
    options = Options("numpy", threads=threads)
    if stage in ("staged", "clean"):
        plain = Jit(user, options)
        staged, program = plain.trace(plain.bind(args, kwargs))
        return staged.program if stage == "staged" else program
    derived = Dispatcher(user, _in_all_floats(vjp), options)
    if stage == "tangent":
        derived = Dispatcher(user, _in_all_floats(jvp), options)
    elif isinstance(fn, Grad):
        derived = fn
    program = derived.trace(derived.bind(args, kwargs))[1]
    compiled = stage == "source"
    return compile_program(program, threads=threads).source if compiled else program


def _in_all_floats(transform: Transform) -> Transform:
    """The transform in every float that the program reads, whatever is asked for."""

    def of(program: Program, wrt: Sequence[int]) -> Program:
        floats = [k for k, v in enumerate(program.inputs) if v.aval.inexact]
        return transform(program, floats)

    return of
