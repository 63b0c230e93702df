"""What a Fourier transform becomes: a call, with room for one line of the array."""

from __future__ import annotations

import math

from tracejit.ir.aval import Aval
from tracejit.ir.program import Eqn, Literal
from tracejit.optimize.buffers import Scope
from tracejit.optimize.lowering import Lowering, Rule
from tracejit.optimize.matrix_rules import read_whole
from tracejit.optimize.nest import Affine, Call

#: A prime factor over this makes a convolution cheaper than its square.
_LARGEST_FACTOR = 32


def dft(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (x,), axis = eqn.inputs, eqn.params["axis"]
    shape = x.aval.shape
    own, out = read_whole(low, x, scope), low.home_for(eqn.out).buffer
    m = _length(shape[axis])
    rooms = [low.buffers.new(Aval(x.aval.dtype, (m,)), "work") for _ in range(4)]
    sizes = [math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]), m]
    args = [Literal(eqn.params["inverse"], bool), *map(Affine.of, sizes)]
    args += [own, out, *rooms]
    scope.items.append(Call("_tj_dft", args, [own], [out, *rooms], eqn.loc))


def _length(n: int) -> int:
    """The length itself, or the power of two of the convolution that replaces it."""
    rest, factor = int(n), 2
    while factor <= _LARGEST_FACTOR:
        if rest % factor:
            factor += 1
        else:
            rest //= factor
    return n if rest <= 1 else 1 << (2 * int(n) - 2).bit_length()


RULES: dict[str, Rule] = {"dft": dft}
