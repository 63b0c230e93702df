"""Primitives and calls that are short for a program of others, written out."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.program import Atom, Eqn, Program
from tracejit.ir.rewrite import Rewriter, Rule, rewrite
from tracejit.ops.control import CALLS, stop_gradient


def expand(program: Program) -> Program:
    """The Program with all of them written out: the form that is lowered."""
    return _where_needed(program, _all)


def settle(program: Program) -> Program:
    """The Program after its last derivative: calls have no rules to be kept for.

    What a checkpoint computes again stays apart until it is lowered.
    """
    return _where_needed(program, _calls)


def _where_needed(program: Program, rule: Rule) -> Program:
    needed = any(_text(e) or e.prim in (*CALLS, stop_gradient) for e in program.walk())
    return rewrite(program, rule) if needed else program


def _text(eqn: Eqn) -> bool:
    return getattr(eqn.prim, "program", None) is not None


def _calls(eqn: Eqn, rewriter: Rewriter) -> Sequence[Atom] | None:
    if eqn.prim is stop_gradient:
        return eqn.inputs
    if eqn.prim in CALLS and not eqn.params.get("apart"):
        return rewriter.run(eqn.regions[0], eqn.inputs)
    return None


def _all(eqn: Eqn, rewriter: Rewriter) -> Sequence[Atom] | None:
    if eqn.prim in CALLS:
        return rewriter.run(eqn.regions[0], eqn.inputs)
    if _text(eqn):
        out = eqn.prim.program(*eqn.inputs, **eqn.params)  # type: ignore[attr-defined]
        return [out] if eqn.prim.single else list(out)
    return _calls(eqn, rewriter)
