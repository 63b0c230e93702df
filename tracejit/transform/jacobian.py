"""Jacobians: sweeps over the columns or the rows of an identity.

    forward   for k: J[…, k] = tangents of the results, along element k of an input
    reverse   for k: J[k, …] = cotangents of the inputs, from element k of a result

There is a block for every result and input, of the result's shape, then the input's.
The primal is run once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.builder import building
from tracejit.ir.primitive import cast_to, zeros
from tracejit.ir.program import Atom, Eqn, Literal, Program, Region, Var
from tracejit.ops.elementwise import eq, select
from tracejit.ops.rows import Row, rows
from tracejit.ops.shape import broadcast, iota, reshape
from tracejit.transform.custom import closed
from tracejit.transform.jvp import jvp
from tracejit.transform.sweeps import Sweeps, substitute_in

INT = np.dtype(np.int64)


def jacfwd(program: Program, wrt: Sequence[int], count: int) -> Program:
    """The Jacobian of the first `count` results by the inputs in `wrt`, by columns.

    Its results are the blocks, in the result's dtype, all of the first result before
    those of the next one, and then the program's further results.
    """
    if len(wrt) == 1 and not program.inputs[wrt[0]].aval.shape:
        return _along_a_number(program, wrt[0], count)
    inputs = [program.inputs[k] for k in wrt]
    sweeps = Sweeps(program, inputs)
    outputs = sweeps.region.results[:count]
    found = []
    with building() as builder, builder.open() as eqns:
        for x in inputs:
            columns = _stacked(x.aval, partial(_column, sweeps, x, count), last=True)
            found.append(
                [
                    _block(column, y.aval, x.aval, y.aval.dtype)
                    for column, y in zip(columns, outputs, strict=True)
                ]
            )
    blocks = [column[i] for i in range(count) for column in found]
    return _assembled(f"{program.name}_jacfwd", sweeps, eqns, blocks, count)


def jacrev(
    program: Program, wrt: Sequence[int], count: int, as_results: bool = False
) -> Program:
    """The same by rows; the blocks have the input's dtype, or with `as_results` the
    result's."""
    inputs = [program.inputs[k] for k in wrt]
    sweeps = Sweeps(program, inputs)
    outputs = sweeps.region.results[:count]
    blocks: list[Atom] = []
    with building() as builder, builder.open() as eqns:
        for i, y in enumerate(outputs):
            found = _stacked(y.aval, partial(_row, sweeps, inputs, i), last=False)
            blocks += [
                _block(row, y.aval, x.aval, (y if as_results else x).aval.dtype)
                for row, x in zip(found, inputs, strict=True)
            ]
    return _assembled(f"{program.name}_jacrev", sweeps, eqns, blocks, count)


def _column(sweeps: Sweeps, x: Var, count: int, seed: Atom) -> list[Atom | None]:
    return sweeps.forward({x: seed})[:count]


def _row(sweeps: Sweeps, wrt: list[Var], i: int, seed: Atom) -> list[Atom | None]:
    return sweeps.reverse(wrt, {i: seed})


def _along_a_number(program: Program, wrt: int, count: int) -> Program:
    """There is one column: the tangents go along with the primal, and save nothing."""
    tangent = jvp(program, [wrt], count)
    *params, seed = tangent.inputs
    whole = Region(params, tangent.eqns, tangent.results)
    substitute_in(whole, {seed: Literal(1.0, seed.aval.dtype)})
    end = len(program.results)
    whole.results = [*whole.results[end:], *whole.results[count:end]]
    return Program(f"{program.name}_jacfwd", whole, "tangent")


def _stacked(
    seeded: Aval, sweep: Callable[[Atom], Sequence[Atom | None]], last: bool
) -> list[Atom | None]:
    """What `sweep` makes of every element of an identity; with the axis that counts
    them in front, or `last`. None is a zero."""
    if not seeded.shape:
        return list(sweep(Literal(1.0, seeded.dtype)))
    size = math.prod(seeded.shape)
    found: list[Atom | None] = []

    def body(k: Var) -> list[Row]:
        found.extend(sweep(_unit(k, size, seeded)))
        some = [atom for atom in found if atom is not None]
        return [(atom, atom.aval.ndim if last else 0) for atom in some]

    stacks = iter(rows(size, body))
    return [None if atom is None else next(stacks) for atom in found]


def _unit(k: Var, size: int, aval: Aval) -> Atom:
    """An array with 1 as its element `k`, counted in C order, and 0 elsewhere."""
    places = iota(size=size, dtype=INT)
    here = eq(places, broadcast(k, shape=(size,), axes=()))
    one, zero = Literal(1.0, aval.dtype), Literal(0.0, aval.dtype)
    return reshape(select(here, one, zero), shape=aval.shape)


def _block(stack: Atom | None, y: Aval, x: Aval, dtype: np.dtype) -> Atom:
    """A stack of sweeps in the shape and dtype of a block."""
    aval = Aval(dtype, (*y.shape, *x.shape))
    if stack is None:
        return zeros(aval)
    if stack.aval.shape != aval.shape:
        stack = reshape(stack, shape=aval.shape)
    return cast_to(stack, dtype)


def _assembled(
    name: str, sweeps: Sweeps, eqns: list[Eqn], blocks: list[Atom], count: int
) -> Program:
    region = sweeps.region
    results = [*blocks, *region.results[count:]]
    whole = Region(region.params, [*sweeps.primal(), *eqns], results)
    return closed(Program(name, whole, "jacobian"))
