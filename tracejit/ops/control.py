"""Structured control: `for`, `while`, `cond`, `check`, and calls.

    finals  = for_(lo, hi, step, *inits; body(i, *carried) -> carried)    [reverse]
    finals  = while_(*inits; test(*carried) -> bool, body(*carried) -> carried)
    results = cond(pred; then() -> results, otherwise() -> results)
    check(ok, *values; error=...)            stops the run where `ok` is False
    results = checkpoint(*inputs; body(*inputs) -> results)  [apart, snapshots]
    results = march(*inputs; body(*inputs) -> results)       [turn]
    results = custom_jvp(*inputs; body, rule(*inputs, *tangents, *consts))
    results = custom_vjp(*inputs; body, fwd(*inputs), bwd(*residuals, *cts, *consts))
    y       = stop_gradient(x)

Regions capture outer variables freely. `reverse=True` runs the same indices in the
opposite order. Their derivatives live in `transform`: they are about regions.

The regions of calls are closed: they read nothing but their parameters. A call means
its body, which is written out once no transform asks for anything else; `apart=True`
keeps a checkpoint's body by itself until then, so that what is computed again is not
found to be computed already. `snapshots` is from how many states reverse mode goes
through its loops. A march is a call, too: `turn` says how reverse mode goes through it
(see `transform.snapshots`). Of the inputs of a custom call, the first `args` are its
arguments and the rest, `consts`, is what the function and its rules have captured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.errors import InternalError, TracejitError
from tracejit.ir.aval import Aval
from tracejit.ir.primitive import REGISTRY, Structured
from tracejit.ir.program import Atom, Eqn, Literal, Region

#: Runs a region on a list of arguments, which it takes over (and empties).
Run = Callable[[Region, list[Any]], list[Any]]


@dataclass(eq=False)
class Control(Structured):
    """A primitive with regions; `evaluate` is its meaning in the interpreter."""

    evaluate: Callable[[Eqn, list[Any], Run], list[Any]] = None  # type: ignore

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        if self is check:
            return []
        return [atom.aval for atom in regions[-1].results]


def _no_impl(*args: Any, **params: Any) -> Any:
    raise InternalError("a structured primitive is run by `evaluate`")


def trip_range(lo: Any, hi: Any, step: Any, reverse: bool = False) -> range:
    """The indices that a `for` visits, in its order."""
    trips = range(int(lo), int(hi), int(step))
    return trips[::-1] if reverse else trips


def known_range(eqn: Eqn) -> tuple[int, int, int] | None:
    """Least index, greatest index + 1 and step of a `for`, where staging knew them."""
    if eqn.prim is not for_:
        return None
    lo, hi, step = eqn.inputs[:3]
    if not isinstance(step, Literal):
        return None
    if isinstance(lo, Literal) and isinstance(hi, Literal):
        if step.value == 1:
            # Extents keep their expression through this subtraction.
            return lo.value, max(hi.value, lo.value), 1
        trips = range(int(lo.value), int(hi.value), int(step.value))
        ends = (trips[0], trips[-1]) if trips else (0, -1)
        return min(ends), max(ends) + 1, abs(int(step.value))
    interval = eqn.regions[0].params[0].interval
    if interval is None:
        return None
    return interval[0], interval[1] + 1, abs(int(step.value))


def rows_of(known: tuple[int, int, int]) -> int:
    """How many rows an array has with one for each round of a known range."""
    low, high, step = known
    return high - low if step == 1 else -((low - high) // step)


def row_of(index: Atom, low: int, step: int) -> Any:
    """Emit the row of the round with this index of a known range."""
    distance = index - Literal(low, np.int64) if low else index
    if step == 1:
        return distance
    return REGISTRY["floor_divide"](distance, Literal(step, np.int64))


def _for(eqn: Eqn, args: list[Any], run: Run) -> list[Any]:
    lo, hi, step = args[:3]
    indices = trip_range(lo, hi, step, eqn.params["reverse"])
    carried = args[3:]
    del args[:]
    for i in indices:
        carried = run(eqn.regions[0], [np.int64(i), *_drain(carried)])
    return carried


def _while(eqn: Eqn, args: list[Any], run: Run) -> list[Any]:
    test, body = eqn.regions
    carried = list(_drain(args))
    while run(test, list(carried))[0]:
        carried = run(body, carried)
    return carried


def _cond(eqn: Eqn, args: list[Any], run: Run) -> list[Any]:
    return run(eqn.regions[0 if args[0] else 1], [])


def _check(eqn: Eqn, args: list[Any], run: Run) -> list[Any]:
    if not args[0]:
        error: Failure = eqn.params["error"]
        raise error.exception()
    return []


def _drain(values: list[Any]) -> list[Any]:
    """The values in a new list; the old one lets go, so that buffers can be reused."""
    taken = values[:]
    values.clear()
    return taken


@dataclass(frozen=True)
class Failure:
    """What a failed `check` raises: an exception class, its message, the user's line.

    Kernels return its number (from 1) as their status.
    """

    kind: type[Exception]
    args: tuple[Any, ...]
    loc: Any = None

    def exception(self) -> Exception:
        if issubclass(self.kind, TracejitError):
            (message,) = self.args
            return self.kind(message, loc=self.loc)
        error = self.kind(*self.args)
        if self.loc is not None and self.loc.line:
            error.add_note(self.loc.caret())
        return error


@dataclass(eq=False)
class Call(Control):
    """A closed region run on the inputs; further regions are its rules."""

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return [atom.aval for atom in regions[0].results]

    def linear_operands(self, inputs: list[Atom], params: dict[str, Any]) -> list[int]:
        return list(range(len(inputs)))


def _call(eqn: Eqn, args: list[Any], run: Run) -> list[Any]:
    return run(eqn.regions[0], args)


@dataclass(eq=False)
class Identity(Control):
    """Its first operand; only what derivatives make of it differs."""

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return [inputs[0].aval]


def _identity(eqn: Eqn, args: list[Any], run: Run) -> list[Any]:
    return args[:1]


for_ = Control("for", _no_impl, evaluate=_for, single=False)
while_ = Control("while", _no_impl, evaluate=_while, single=False)
cond = Control("cond", _no_impl, evaluate=_cond, single=False)
check = Control("check", _no_impl, evaluate=_check, single=False, effect=True)
checkpoint = Call("checkpoint", _no_impl, evaluate=_call, single=False)
march = Call("march", _no_impl, evaluate=_call, single=False)
custom_jvp = Call("custom_jvp", _no_impl, evaluate=_call, single=False)
custom_vjp = Call("custom_vjp", _no_impl, evaluate=_call, single=False)
stop_gradient = Identity("stop_gradient", _no_impl, evaluate=_identity)
CALLS = (checkpoint, march, custom_jvp, custom_vjp)


def emit_for(
    lo: Any, hi: Any, step: Any, inits: Sequence[Any], body: Region, reverse: bool
) -> list[Any]:
    """Bind a `for`; the carried parameters of `body` must have the inits' types."""
    return for_(
        _index(lo), _index(hi), _index(step), *inits, regions=[body], reverse=reverse
    )


def _index(value: Any) -> Any:
    from_python = isinstance(value, int | np.integer)
    return np.int64(value) if from_python else value
