"""Programs built by hand, equation by equation: no staging is needed to test these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.builder import as_atom, building, current
from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Program, Region, Var
from tracejit.ops import elementwise as ew
from tracejit.ops import linalg, reduce, shape
from tracejit.ops.control import cond, emit_for, while_
from tracejit.ops.index import getitem, setitem

F8, I8 = np.dtype(np.float64), np.dtype(np.int64)


def build(fn: Callable[..., Any], *shapes: tuple[int, ...]) -> Program:
    """The Program of a function of Atoms."""
    params = [Var(Aval(F8, s), f"x{k}") for k, s in enumerate(shapes)]
    with building() as builder, builder.open() as eqns:
        out = fn(*params)
    results = list(out) if isinstance(out, tuple) else [out]
    return Program(fn.__name__, Region(params, eqns, results))


def loop(
    lo: Any,
    hi: Any,
    inits: Sequence[Any],
    body: Callable[..., Any],
    step: int = 1,
    reverse: bool = False,
) -> Any:
    index = Var(Aval(I8), "i")
    if isinstance(lo, int) and isinstance(hi, int) and range(lo, hi, step):
        trips = range(lo, hi, step)
        index.interval = min(trips), max(trips)
    inits = [as_atom(x) for x in inits]
    carried = [Var(x.aval, "c") for x in inits]
    with current().open() as eqns:
        out = body(index, *carried)
    results = list(out) if isinstance(out, tuple) else [out]
    region = Region([index, *carried], eqns, [as_atom(r) for r in results])
    outs = emit_for(lo, hi, step, inits, region, reverse)
    return outs[0] if len(outs) == 1 else outs


def while_loop(test: Callable[..., Any], body: Callable[..., Any], *inits: Any) -> Any:
    inits = tuple(as_atom(x) for x in inits)
    regions = []
    for fn in (test, body):
        carried = [Var(x.aval, "c") for x in inits]
        with current().open() as eqns:
            out = fn(*carried)
        results = list(out) if isinstance(out, tuple) else [out]
        regions.append(Region(carried, eqns, [as_atom(r) for r in results]))
    return while_(*inits, regions=regions)


def branch(
    pred: Any, then: Callable[[], Any], otherwise: Callable[[], Any], dtype: Any = F8
) -> Any:
    regions = []
    for fn in (then, otherwise):
        with current().open() as eqns:
            out = fn()
        results = list(out) if isinstance(out, tuple) else [out]
        regions.append(Region([], eqns, [as_atom(r, dtype) for r in results]))
    outs = cond(pred, regions=regions)
    return outs[0] if len(outs) == 1 else outs


def at(x: Any, *index: Any) -> Any:
    none = (None,) * len(index)
    return getitem(x, *index, sizes=none, steps=(1,) * len(index))


def put(x: Any, v: Any, *index: Any) -> Any:
    none = (None,) * len(index)
    return setitem(x, v, *index, sizes=none, steps=(1,) * len(index))


def part(x: Any, lo: int, hi: int) -> Any:
    return getitem(x, lo, sizes=(hi - lo,), steps=(1,))


def total(x: Any) -> Any:
    return reduce.sum_(x, axes=tuple(range(x.aval.ndim)))


def seidel(A: Any, w: Any) -> Any:
    """The scalar triple loop, nonlinear and in place."""
    n = A.aval.shape[0]

    def cell(i: Any, j: Any, A: Any) -> Any:
        near = at(A, i - 1, j) + at(A, i, j - 1) + at(A, i, j)
        near = near + at(A, i, j + 1) + at(A, i + 1, j)
        return put(A, ew.tanh(w * near), i, j)

    A = loop(
        0,
        3,
        [A],
        lambda t, A: loop(
            1, n - 1, [A], lambda i, A: loop(1, n - 1, [A], lambda j, A: cell(i, j, A))
        ),
    )
    return total(A * A)


def heat(u: Any, c: Any) -> Any:
    n = u.aval.shape[0]

    def step(t: Any, u: Any) -> Any:
        mid = part(u, 1, n - 1)
        lap = part(u, 2, n) - 2.0 * mid + part(u, 0, n - 2)
        factor = shape.broadcast(c, shape=(n - 2,), axes=())
        return setitem(u, mid + factor * lap, 1, sizes=(n - 2,), steps=(1,))

    u = loop(0, 4, [u], step)
    return total(u * u)


def newton(a: Any) -> Any:
    """The square root of `a` by Newton's `while`."""
    (x,) = while_loop(
        lambda x: ew.gt(REGISTRY["abs"](x * x - a), 1e-10),
        lambda x: 0.5 * (x + a / x),
        1.0,
    )
    return x


def nested_while(x: Any) -> Any:
    """A `while` whose trips depend on the row, within a `for`, with a branch."""
    n = x.aval.shape[0]

    def row(i: Any, s: Any) -> Any:
        v, _ = while_loop(
            lambda v, k: ew.lt(v, 3.0),
            lambda v, k: (
                branch(
                    ew.lt(v, 1.5),
                    lambda: v * v + 0.4,
                    lambda: ew.sin(v) * 0.1 + 1.2 * v,
                ),
                k + 1,
            ),
            at(x, i),
            0,
        )
        return s + v * v

    return loop(0, n, [0.0], row)


def triangular(L: Any) -> Any:
    """Inner bounds that depend on the outer index; a step of -2 outside."""
    n = L.aval.shape[0]

    def outer(i: Any, s: Any) -> Any:
        return loop(0, i, [s], lambda j, s: ew.sin(s * at(L, i, j)) + at(L, j, i))

    return loop(n - 1, -1, [0.3], outer, step=-2)


def fill(x: Any) -> Any:
    """out[i] = f(x[i]) with if and else."""
    n = x.aval.shape[0]

    def cell(i: Any, out: Any) -> Any:
        v = at(x, i)
        return branch(
            ew.gt(v, 0.0), lambda: put(out, ew.sin(v) * v, i), lambda: put(out, v, i)
        )

    out = loop(0, n, [shape.broadcast(0.0, shape=(n,), axes=())], cell)
    return total(out * out)


def recurrent(W: Any, x: Any, h: Any) -> Any:
    """An RNN: one W, used at every step."""
    T, n = x.aval.shape

    def step(t: Any, h: Any) -> Any:
        row = getitem(x, t, 0, sizes=(None, n), steps=(1, 1))
        return ew.tanh(linalg.dot(W, h, contract=((1,), (0,)), batch=0) + row)

    return total(loop(0, T, [h], step))


def double_buffer(a: Any, b: Any) -> Any:
    """Two arrays that swap at every step."""
    n = a.aval.shape[0]
    a, b = loop(
        0,
        3,
        [a, b],
        lambda t, a, b: (b, put(a, ew.sin(at(b, 0)) * at(a, 1), 1)),
    )
    assert n
    return total(a * b)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "seidel": (seidel, ((5, 5), ())),
    "heat": (heat, ((7,), ())),
    "newton": (newton, ((),)),
    "nested_while": (nested_while, ((4,),)),
    "triangular": (triangular, ((5, 5),)),
    "fill": (fill, ((6,),)),
    "recurrent": (recurrent, ((3, 3), (4, 3), (3,))),
    "double_buffer": (double_buffer, ((3,), (3,))),
}
