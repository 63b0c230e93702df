"""Emitting equations: the current region, `bind`, and literals."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tracejit.base.errors import UnsupportedError
from tracejit.base.source import UNKNOWN, SrcLoc
from tracejit.ir.aval import Aval
from tracejit.ir.program import Atom, Eqn, Literal, Region, Var

if TYPE_CHECKING:
    from tracejit.ir.primitive import Primitive


class Builder:
    """A stack of open regions; `bind` appends to the innermost one.

    `loc` and `origin` are stamped on every equation emitted meanwhile.
    """

    def __init__(self) -> None:
        self.stack: list[list[Eqn]] = []
        self.loc: SrcLoc = UNKNOWN
        self.origin: Eqn | None = None

    @contextmanager
    def open(self) -> Iterator[list[Eqn]]:
        """Collect the equations emitted in the block into the yielded list."""
        eqns: list[Eqn] = []
        depth = len(self.stack)
        self.stack.append(eqns)
        try:
            yield eqns
        finally:
            # An exception may leave inner regions open: drop them too.
            del self.stack[depth:]

    @contextmanager
    def at(self, loc: SrcLoc, origin: Eqn | None = None) -> Iterator[None]:
        """Stamp what is emitted in the block with this location and origin."""
        saved = self.loc, self.origin
        self.loc, self.origin = loc, origin
        try:
            yield
        finally:
            self.loc, self.origin = saved

    @contextmanager
    def outer(self, depth: int) -> Iterator[None]:
        """Emit in the region at `depth` of the stack (0 is the outermost)."""
        inner = self.stack[depth + 1 :]
        del self.stack[depth + 1 :]
        try:
            yield
        finally:
            self.stack.extend(inner)

    def append(self, eqn: Eqn) -> None:
        self.stack[-1].append(eqn)


class _State(threading.local):
    def __init__(self) -> None:
        self.builder: Builder | None = None


_state = _State()


@contextmanager
def building(builder: Builder | None = None) -> Iterator[Builder]:
    """Make a builder the current one of this thread."""
    saved, _state.builder = _state.builder, builder or Builder()
    try:
        yield _state.builder
    finally:
        _state.builder = saved


def current() -> Builder:
    """The builder in force; there is one wherever rules or staging run."""
    assert _state.builder is not None, "no builder: wrap the call in `building()`"
    return _state.builder


def active() -> bool:
    """Whether this thread is building a Program."""
    return _state.builder is not None


def bind(
    prim: Primitive,
    *args: Any,
    regions: Sequence[Region] = (),
    hints: Sequence[str] = (),
    **params: Any,
) -> Any:
    """Emit `prim(*args)`; its output Var, or a list of them for several outputs."""
    builder = current()
    inputs = prim.coerce(args)
    if not prim.complex and any(a.aval.dtype.kind == "c" for a in inputs):
        raise UnsupportedError(
            f"{prim.name} of complex numbers is not supported",
            builder.loc,
            "compute with x.real and x.imag",
        )
    avals = prim.out_avals(inputs, params, list(regions))
    outputs = [Var(a) for a in avals]
    for var, hint in zip(outputs, hints, strict=False):
        var.hint = hint
    builder.append(
        Eqn(
            prim,
            inputs,
            outputs,
            params,
            list(regions),
            builder.loc,
            builder.origin,
        )
    )
    return outputs[0] if prim.single else outputs


def as_atom(value: Any, dtype: Any = None) -> Atom:
    """An Atom: Vars and Literals stay, a number becomes a Literal of `dtype`."""
    if isinstance(value, Var | Literal):
        return value
    if dtype is None:
        dtype = np.asarray(value).dtype
    return Literal(value, dtype)


def new_region(params: list[Var], eqns: list[Eqn], results: Sequence[Any]) -> Region:
    return Region(params, eqns, [as_atom(r) for r in results])


def fresh(aval: Aval, hint: str = "") -> Var:
    """A new parameter."""
    return Var(aval, hint)
