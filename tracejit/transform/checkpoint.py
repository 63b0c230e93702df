"""Checkpoints in reverse mode: the body is run again instead of saved from.

    y = checkpoint(x; f)       x̄ = checkpoint(x, ȳ; f and its adjoint)

Going backwards, a checkpoint reads its inputs and nothing else: what its adjoint needs
is computed again, and taped in memory that lives for this one call. It is a checkpoint
itself, so that the next derivative treats it alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.program import Atom, Eqn, Program, Region, clone_region
from tracejit.ops.control import checkpoint
from tracejit.transform.modes import MODES


def run_again(eqn: Eqn, out_cts: Sequence[Atom | None], apart: bool) -> list[Atom]:
    """Emit the transpose of a `linear_checkpoint`: a cotangent for each of its `wrt`.

    `apart`: whether the primal call stands in the same region, where equal equations
    would become one.
    """
    wrt, outs, name = (eqn.params[k] for k in ("wrt", "outs", "name"))
    wanted = [k for k, ct in zip(outs, out_cts, strict=True) if ct is not None]
    body = _part(eqn, wanted)
    region = MODES["vjp"](Program(name, body), wrt).region
    region.results = region.results[len(wanted) :]
    cts = [ct for ct in out_cts if ct is not None]
    inputs = eqn.inputs[: len(body.params)]
    return checkpoint(*inputs, *cts, regions=[region], name=name, apart=apart)


def push_checkpoint(eqn: Eqn) -> list[Atom]:
    """Emit the forward form of a `linear_checkpoint`, which runs the body, too."""
    wrt, outs, name = (eqn.params[k] for k in ("wrt", "outs", "name"))
    body = _part(eqn, outs)
    region = MODES["jvp"](Program(name, body), wrt).region
    region.results = region.results[len(outs) :]
    return checkpoint(*eqn.inputs, regions=[region], name=name, apart=True)


def _part(eqn: Eqn, outs: Sequence[int]) -> Region:
    """The body of the call with some of its results."""
    body = clone_region(eqn.params["body"], {})
    return Region(body.params, body.eqns, [body.results[k] for k in outs])
