"""What a product of arrays becomes: loops in the order of memory, or a BLAS call."""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.optimize.buffers import Scope
from tracejit.optimize.lowering import Lowering
from tracejit.optimize.nest import SMALL, Affine, Call
from tracejit.optimize.pull import Home
from tracejit.optimize.statements import DotStmt, OuterStmt, Product

#: One of many products of matrices is left to BLAS from so many products of numbers on.
LEAST_PRODUCTS = 4096
#: A matrix times its own transpose is computed by halves from so many rows on.
LEAST_GRAM = 32


@dataclass(frozen=True)
class Axes:
    """The axes of both operands by role, and the loops that run along them.

    Loops are numbered as the result's axes, then the contracted ones.
    """

    batch: int
    rest_a: tuple[int, ...]
    rest_b: tuple[int, ...]
    contract_a: tuple[int, ...]
    contract_b: tuple[int, ...]

    @staticmethod
    def of(eqn: Eqn) -> Axes:
        a, b = eqn.inputs
        (ca, cb), batch = eqn.params["contract"], eqn.params["batch"]
        rest_a = (k for k in range(batch, a.aval.ndim) if k not in ca)
        rest_b = (k for k in range(batch, b.aval.ndim) if k not in cb)
        return Axes(batch, tuple(rest_a), tuple(rest_b), tuple(ca), tuple(cb))

    @property
    def outer(self) -> int:
        return self.batch + len(self.rest_a) + len(self.rest_b)

    def loops(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The loop that runs along each axis of a, and of b."""
        shared = dict(zip(range(self.batch), range(self.batch), strict=True))
        inner = range(self.outer, self.outer + len(self.contract_a))
        middle = self.batch + len(self.rest_a)
        of_a = shared | dict(zip(self.rest_a, range(self.batch, middle), strict=True))
        of_b = shared | dict(zip(self.rest_b, range(middle, self.outer), strict=True))
        of_a |= dict(zip(self.contract_a, inner, strict=True))
        of_b |= dict(zip(self.contract_b, inner, strict=True))
        return (
            tuple(of_a[k] for k in range(len(of_a))),
            tuple(of_b[k] for k in range(len(of_b))),
        )


def dot(low: Lowering, eqn: Eqn, scope: Scope) -> None:
    (a, b), out = eqn.inputs, eqn.out
    axes = Axes.of(eqn)
    if low.blas and _pays(eqn, axes) and _gemm(low, eqn, scope, axes):
        return
    if not axes.contract_a:
        low.pulled(eqn, scope)  # one product an element: nothing to sum
        return
    extents = (*out.aval.shape, *(a.aval.shape[k] for k in axes.contract_a))
    product = Product((a, b), axes.loops())
    home = low.home_for(out) if out.aval.shape else None
    if home is None or _runs_along_memory(eqn, axes):
        first, kept = Literal(0, out.aval.dtype), out.aval.ndim
        stmt = DotStmt(extents, a, eqn.loc, out, "add", first, kept, home)
        stmt.product = product
        scope.items.append(stmt)
    else:
        low.fill(home.buffer, Literal(0, out.aval.dtype), scope)
        order = _memory_order(axes, len(extents), a)
        scope.items.append(_sum_of_outer(eqn, extents, order, product, home))


def _runs_along_memory(eqn: Eqn, axes: Axes) -> bool:
    """Whether contracted loops, innermost, run along the last axis of what is large:
    of both operands, or of the one with more axes."""
    a, b = eqn.inputs
    last_a = a.aval.ndim - 1 in axes.contract_a
    last_b = b.aval.ndim - 1 in axes.contract_b
    if a.aval.ndim == b.aval.ndim:
        return last_a and last_b
    return last_a if a.aval.ndim > b.aval.ndim else last_b


def _memory_order(axes: Axes, count: int, a: Atom) -> list[int]:
    """The order of loops in which the innermost run along the last axes of memory."""
    contracted = list(range(axes.outer, count))
    batch = list(range(axes.batch))
    middle = axes.batch + len(axes.rest_a)
    rest_a = list(range(axes.batch, middle))
    rest_b = list(range(middle, axes.outer))
    if a.aval.ndim - 1 in axes.contract_a:
        return [*batch, *rest_a, *contracted, *rest_b]
    return [*batch, *contracted, *rest_a, *rest_b]


def _sum_of_outer(
    eqn: Eqn, extents: tuple[int, ...], order: list[int], product: Product, home: Home
) -> OuterStmt:
    """Products accumulated in the result, the loops in this order."""
    place = {old: new for new, old in enumerate(order)}
    of_a, of_b = (tuple(place[k] for k in own) for own in product.loops)
    return OuterStmt(
        tuple(extents[k] for k in order),
        eqn.inputs[0],
        eqn.loc,
        home,
        op="add",
        kept=tuple(place[k] for k in range(eqn.out.aval.ndim)),
        product=Product(product.operands, (of_a, of_b)),
    )


# Matrix products by BLAS --------------------------------------------------------------


def _pays(eqn: Eqn, axes: Axes) -> bool:
    """Whether this is a product of matrices that are not small, or of many such."""
    if eqn.out.aval.dtype.kind not in "fc" or not axes.contract_a:
        return False
    a, b = eqn.inputs
    if not axes.rest_a or not axes.rest_b or 0 in (a.aval.size, b.aval.size):
        return False
    inner = _size(a, axes.contract_a) not in SMALL
    sides = _size(a, axes.rest_a), _size(b, axes.rest_b)
    outer = all(n not in SMALL for n in sides)
    if axes.batch:
        large = _size(a, axes.contract_a) * math.prod(map(int, sides)) >= LEAST_PRODUCTS
        return inner and outer and large
    return inner or outer


def _gemm(low: Lowering, eqn: Eqn, scope: Scope, axes: Axes) -> bool:
    """Emit the call, if both operands lie in buffers (or want them to)."""
    a, b = eqn.inputs
    left = _matrix(low, a, axes.batch, axes.rest_a, axes.contract_a)
    right = _matrix(low, b, axes.batch, axes.contract_b, axes.rest_b)
    if left is None or right is None:
        return False
    out = low.home_for(eqn.out)
    rows, inner = _size(a, axes.rest_a), _size(a, axes.contract_a)
    columns = _size(b, axes.rest_b)
    sizes = tuple(map(Affine.of, (rows, columns, inner)))
    flags = Literal(left.turned, bool), Literal(right.turned, bool)
    reads = [left.home.buffer, right.home.buffer]
    if axes.batch:
        count = math.prod(a.aval.shape[: axes.batch])
        args = [*flags, Affine.of(count), *sizes, *reads, out.buffer]
        scope.items.append(Call("_tj_gemms", args, reads, [out.buffer], eqn.loc))
        return True
    if a is b and axes.contract_a == axes.contract_b and rows >= LEAST_GRAM:
        args = [flags[0], sizes[0], sizes[2], reads[0], out.buffer]
        scope.items.append(Call("_tj_gram", args, reads, [out.buffer], eqn.loc))
        return True
    args = [
        *(*flags, *sizes, Literal(1.0, np.float64)),
        *(reads[0], Affine.of(rows if left.turned else inner)),
        *(reads[1], Affine.of(inner if right.turned else columns)),
        *(Literal(0.0, np.float64), out.buffer, Affine.of(columns)),
    ]
    scope.items.append(Call("_tj_gemm", args, reads, [out.buffer], eqn.loc))
    return True


def _size(x: Atom, axes: tuple[int, ...]) -> int:
    """The number of elements along axes, named as the extent is if there is one."""
    return functools.reduce(operator.mul, [x.aval.shape[k] for k in axes])


class _Matrix(NamedTuple):
    """Where a matrix lies, or one for each step of the batch, and if transposed."""

    home: Home
    turned: bool


def _matrix(
    low: Lowering, x: Atom, batch: int, rows: tuple[int, ...], columns: tuple[int, ...]
) -> _Matrix | None:
    """An operand as a matrix: its rows go along some axes, its columns along others."""
    order = list(range(x.aval.ndim))  # the axes of x, as they lie in memory
    source = x
    while isinstance(source, Var) and source in low.defs:
        if source in low.buffers.homes:
            break
        eqn = low.defs[source]
        if eqn.prim.name != "transpose":
            low.want([source], "a product of matrices reads it")
            return None
        perm = eqn.params["perm"]
        order = [order[perm.index(k)] for k in range(len(perm))]
        source = eqn.inputs[0]
    home = low.buffers.homes.get(source)  # type: ignore[arg-type]
    lead = list(range(batch))
    for turned, (first, second) in enumerate(((rows, columns), (columns, rows))):
        if home is not None and order == [*lead, *first, *second]:
            return _Matrix(home, bool(turned))
    if home is not None and isinstance(x, Var) and x is not source:
        low.want([x], "a product of matrices reads its axes in another order")
    return None
