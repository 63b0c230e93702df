"""What factorisations become: calls of LAPACK, on memory of the kernel's own.

What a routine overwrites is filled with the operand first, by the nest that computes
it. Workspaces have the sizes that LAPACK's manual asks for, in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.optimize.buffers import Scope
from tracejit.optimize.lowering import Lowering, Rule
from tracejit.optimize.nest import INT64, Affine, Buffer, Call

#: The widest blocks of columns that LAPACK works in.
_BLOCK = 64


def read_whole(low: Lowering, x: Atom, scope: Scope) -> Buffer:
    """A buffer that holds x: its own, which is asked for if there is none."""
    buffer = low.buffers.buffer_of(x)
    if buffer is None:
        if isinstance(x, Var):
            low.want([x], "a routine reads it")
        buffer = low.buffers.new(x.aval)
        low.fill(buffer, x, scope)
    return buffer


def _filled(
    low: Lowering, out: Var, x: Atom, scope: Scope, reads: Sequence[Buffer] = ()
) -> Buffer:
    """The home of `out`, which starts as x: the buffer that x dies in, or a copy.

    `reads` are what the routine reads beside it.
    """
    own = low.buffers.buffer_of(x)
    if own is not None and own not in reads and low.buffers.free_for(own, scope):
        low.overwrite(own, scope)
        low.buffers.hand_over(own, out)
        return own
    buffer = low.buffers.new(out.aval, out.hint)
    low.fill(buffer, x, scope)
    low.buffers.settle(out, buffer)
    return buffer


def _room(low: Lowering, size: Any, dtype: Any) -> Buffer:
    return low.buffers.new(Aval(np.dtype(dtype), (size,)), "work")


def _sizes(x: Atom) -> list[Affine]:
    """How many matrices, their rows and their columns."""
    *lead, m, n = x.aval.shape
    return [Affine.of(math.prod(lead)), Affine.of(m), Affine.of(n)]


def _call(
    scope: Scope, eqn: Eqn, name: str, args: Any, reads: Any, writes: Any
) -> None:
    scope.items.append(Call(name, list(args), list(reads), list(writes), eqn.loc))


def _is_complex(x: Atom) -> bool:
    return x.aval.dtype.kind == "c"


def _flag(value: bool) -> Literal:
    return Literal(value, bool)


def solve_triangular(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    a, b = eqn.inputs
    own = read_whole(low, a, scope)
    out = _filled(low, eqn.out, b, scope, [own])
    flags = [_flag(eqn.params[name]) for name in ("lower", "trans", "unit")]
    args = [*flags, *_sizes(b), own, out]
    _call(scope, eqn, "_tj_solve_triangular", args, [own, out], [out])


def lu_solve(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    _, factors, pivots, b = eqn.inputs
    reads = [read_whole(low, factors, scope), read_whole(low, pivots, scope)]
    out = _filled(low, eqn.out, b, scope, reads)
    args = [_flag(eqn.params["trans"]), *_sizes(b), *reads, out]
    _call(scope, eqn, "_tj_lu_solve", args, [*reads, out], [out])


def lu_inverse(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    reads = [read_whole(low, x, scope) for x in eqn.inputs[1:]]
    out, dtype = low.home_for(eqn.out).buffer, eqn.out.aval.dtype
    n = eqn.out.aval.shape[-1]
    lwork = n * _BLOCK
    rooms = [_room(low, n, INT64), _room(low, lwork, dtype)]
    batch, size, _ = _sizes(eqn.out)
    args = [batch, size, *reads, out, *rooms]
    args.append(Affine.of(lwork))
    _call(scope, eqn, "_tj_lu_inverse", args, reads, [out, *rooms])


def lu(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (a,) = eqn.inputs
    factors, pivots = eqn.outputs
    out = _filled(low, factors, a, scope)
    batch, n, _ = _sizes(a)
    writes = [out, low.home_for(pivots).buffer, _room(low, a.aval.shape[-1], INT64)]
    _call(scope, eqn, "_tj_lu", [batch, n, *writes], [out], writes)


def order_of(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (pivots,) = eqn.inputs
    own, out = read_whole(low, pivots, scope), low.home_for(eqn.out).buffer
    *lead, n = pivots.aval.shape
    args = [Affine.of(math.prod(lead)), Affine.of(n), own, out]
    _call(scope, eqn, "_tj_order_of", args, [own], [out])


def cholesky(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (a,) = eqn.inputs
    out = _filled(low, eqn.out, a, scope)
    batch, n, _ = _sizes(a)
    _call(scope, eqn, "_tj_cholesky", [batch, n, out], [out], [out])


def cholesky_pull(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    factor, bar = eqn.inputs
    own = read_whole(low, factor, scope)
    out = _filled(low, eqn.out, bar, scope, [own])
    batch, n, _ = _sizes(factor)
    args = [batch, n, own, out]
    if not low.blas:
        _call(scope, eqn, "_tj_cholesky_pull_in_loops", args, [own, out], [out])
        return
    block = _room(low, _BLOCK * _BLOCK, factor.aval.dtype)
    _call(scope, eqn, "_tj_cholesky_pull", [*args, block], [own, out], [out, block])


def qr(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (a,) = eqn.inputs
    *_, m, n = a.aval.shape
    own, dtype = read_whole(low, a, scope), a.aval.dtype
    outs = [low.home_for(v).buffer for v in eqn.outputs]
    lwork = n * _BLOCK
    rooms = [_room(low, size, dtype) for size in (m * n, n, lwork)]
    args = [*_sizes(a), own, *outs, *rooms, Affine.of(lwork)]
    _call(scope, eqn, "_tj_qr", args, [own], [*outs, *rooms])


def eigh(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (a,) = eqn.inputs
    w, v = eqn.outputs
    out, values = _filled(low, v, a, scope), low.home_for(w).buffer
    n = a.aval.shape[-1]
    lwork, count = n * n * 2 + n * _BLOCK + 1, n * 5 + 3
    lreals = n * n * 2 + n * 5 + 1 if _is_complex(a) else 1
    work, integers = _room(low, lwork, a.aval.dtype), _room(low, count, INT64)
    reals = _room(low, lreals, w.aval.dtype)
    batch, size, _ = _sizes(a)
    args = [batch, size, out, values, work, Affine.of(lwork)]
    args += [reals, Affine.of(lreals), integers, Affine.of(count)]
    writes = [out, values, work, reals, integers]
    _call(scope, eqn, "_tj_eigh", args, [out], writes)


def eig(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (a,) = eqn.inputs
    n, dtype = a.aval.shape[-1], a.aval.dtype
    own = low.buffers.new(a.aval)
    low.fill(own, a, scope)
    outs = [low.home_for(v).buffer for v in eqn.outputs]
    lwork = n * _BLOCK + 1
    rooms = [_room(low, size, dtype) for size in (n, n, n * n, lwork)]
    reals = _room(low, n * 2, np.empty(0, dtype).real.dtype)
    batch, size, _ = _sizes(a)
    args = [batch, size, own, *outs, *rooms, Affine.of(lwork), reals]
    _call(scope, eqn, "_tj_eig", args, [own], [own, *outs, *rooms, reals])


def svd(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (a,) = eqn.inputs
    u, s, vt = eqn.outputs
    *_, m, n = a.aval.shape
    own, dtype = read_whole(low, a, scope), a.aval.dtype
    outs = [low.home_for(v).buffer for v in eqn.outputs]
    k = s.aval.shape[-1]
    lwork = k * k * 6 + k * 10 + (m + n) * _BLOCK
    sizes = m * n, m * u.aval.shape[-1], vt.aval.shape[-2] * n, lwork
    rooms = [_room(low, size, dtype) for size in sizes]
    integers = _room(low, k * 8, INT64)
    lreals = k * k * 7 + k * 6 + m * n * 2 if _is_complex(a) else 1
    reals = _room(low, lreals, s.aval.dtype)
    args = [_flag(eqn.params["full"]), *_sizes(a), own, *outs, *rooms]
    args += [Affine.of(lwork), reals, integers]
    _call(scope, eqn, "_tj_svd", args, [own], [*outs, *rooms, reals, integers])


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        *(
            solve_triangular,
            lu_solve,
            lu_inverse,
            lu,
            order_of,
            cholesky,
            cholesky_pull,
            qr,
        ),
        *(eigh, eig, svd),
    )
}
