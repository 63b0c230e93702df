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
from tracejit.transform.modes import MODES, TAPE, Saving


def turned(
    eqn: Eqn, out_cts: Sequence[Atom | None], apart: bool, saving: Saving
) -> list[Atom | None]:
    """Emit the transpose of a `linear_checkpoint`: a cotangent for each of its `wrt`.

    `apart`: whether the primal call stands in the same region, where equal equations
    would become one. `saving` is what loops in the call may save.
    """
    turn = eqn.params.get("turn", run_again)
    return turn(eqn, out_cts, apart, saving)


def run_again(
    eqn: Eqn, out_cts: Sequence[Atom | None], apart: bool, saving: Saving
) -> list[Atom | None]:
    """The same by the adjoint of the whole call; see `turned`."""
    wrt, outs, name = (eqn.params[k] for k in ("wrt", "outs", "name"))
    wanted = [k for k, ct in zip(outs, out_cts, strict=True) if ct is not None]
    if eqn.params.get("snapshots") is not None:
        saving = Saving(eqn.params["snapshots"])
    body = eqn.params["body"]
    region = adjoint_of(body, wrt, wanted, name, saving)
    cts = [ct for ct in out_cts if ct is not None]
    inputs = eqn.inputs[: len(body.params)]
    return checkpoint(*inputs, *cts, regions=[region], name=name, apart=apart)


def adjoint_of(
    body: Region,
    wrt: Sequence[int],
    outs: Sequence[int],
    name: str,
    saving: Saving = TAPE,
) -> Region:
    """(*inputs, *cotangents of `outs`) -> cotangents of the inputs in `wrt`."""
    program = Program(name, _part(body, outs))
    region = MODES["vjp"](program, wrt, saving=saving).region
    region.results = region.results[len(outs) :]
    return region


def push_checkpoint(eqn: Eqn) -> list[Atom]:
    """Emit the forward form of a `linear_checkpoint`, which runs the body, too."""
    wrt, outs, name = (eqn.params[k] for k in ("wrt", "outs", "name"))
    body = _part(eqn.params["body"], outs)
    region = MODES["jvp"](Program(name, body), wrt).region
    region.results = region.results[len(outs) :]
    inputs = eqn.inputs[: len(body.params)]
    dots = eqn.inputs[len(eqn.inputs) - len(wrt) :]
    return checkpoint(*inputs, *dots, regions=[region], name=name, apart=True)


def _part(body: Region, outs: Sequence[int]) -> Region:
    """The body of a call with some of its results."""
    body = clone_region(body, {})
    return Region(body.params, body.eqns, [body.results[k] for k in outs])
