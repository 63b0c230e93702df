"""What sorting and searching become: calls of helpers on whole buffers."""

from __future__ import annotations

import math

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.program import Eqn, Literal
from tracejit.optimize.buffers import Scope
from tracejit.optimize.lowering import Lowering, Rule
from tracejit.optimize.matrix_rules import read_whole
from tracejit.optimize.nest import INT64, Affine, Call


def argsort(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (x,), axis = eqn.inputs, eqn.params["axis"]
    shape = x.aval.shape
    own, out = read_whole(low, x, scope), low.home_for(eqn.out).buffer
    room = Aval(np.dtype(INT64), (shape[axis],))
    work = [low.buffers.new(room, "work") for _ in range(2)]
    sizes = [math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])]
    args = [*map(Affine.of, sizes), own, out, *work]
    scope.items.append(Call("_tj_argsort", args, [own], [out, *work], eqn.loc))


def searchsorted(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    a, v = eqn.inputs
    reads = [read_whole(low, x, scope) for x in (a, v)]
    out = low.home_for(eqn.out).buffer
    sizes = map(Affine.of, (a.aval.size, v.aval.size))
    args = [Literal(eqn.params["right"], bool), *sizes, *reads, out]
    scope.items.append(Call("_tj_searchsorted", args, reads, [out], eqn.loc))


RULES: dict[str, Rule] = {"argsort": argsort, "searchsorted": searchsorted}
