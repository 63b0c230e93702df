"""Products of several matrices in the order, and the form, that takes least work.

    (A @ B) @ v                     A @ (B @ v)
    solve(K, u vᵀ)                  solve(K, u) vᵀ
    diag(d) @ A                     d[:, None] * A
    (u 1ᵀ) @ A                      u (sum of the rows of A)
    sum(A @ B, axis=0)              sum(A, axis=0) @ B
    diag(A @ B)                     sum(A * B.T, axis=1)

Those that the user wrote are rounded as they stand: but for the last one, the rules are
for what a derivative makes, and for all under `fastmath`. Of systems with a triangular
matrix, known by how it was made, only that half is solved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tracejit.ir.program import Atom, Eqn, Literal
from tracejit.ops.elementwise import add, mul, neg
from tracejit.ops.factor import lu_inverse, lu_solve, solve_triangular
from tracejit.ops.index import gather, getitem
from tracejit.ops.linalg import dot
from tracejit.ops.reduce import sum_
from tracejit.ops.shape import broadcast, reshape, transpose
from tracejit.optimize.matrices import diagonal, is_identity, triangle, turning
from tracejit.optimize.view import View

Axes = tuple[int, ...]

#: Sums of products are made a product of matrices with no side shorter than this.
LEAST_SIDE = 9


def is_free(eqn: Eqn, view: View) -> bool:
    """Whether it may be rounded otherwise than as it is written."""
    return eqn.out.aval.inexact and (eqn.origin is not None or view.fast)


# Products -----------------------------------------------------------------------------


def multiplied(eqn: Eqn, view: View) -> Any:
    """`dot` of a diagonal matrix; of what is alike along it; of another `dot`."""
    if eqn.params["batch"] or not eqn.out.aval.inexact:
        return None
    rules = [_by_number, _by_rows, _by_constant]
    if is_free(eqn, view):
        rules += [_by_diagonal, _by_factor, _in_order]
    for swap in (False, True):
        found = _Product(eqn, swap)
        for rule in rules:
            result = rule(found, view)
            if result is not None:
                return result
    return None


class _Product:
    """A product of two operands in one of two orders: `swap` names the second `a`."""

    def __init__(self, eqn: Eqn, swap: bool):
        self.eqn, self.swap, self.shape = eqn, swap, eqn.out.aval.shape
        order = slice(None, None, -1 if swap else 1)
        self.a, self.b = eqn.inputs[order]
        self.ca, self.cb = eqn.params["contract"][order]
        self.rest_a = rest(self.a, self.ca)
        self.rest_b = rest(self.b, self.cb)

    def times_b(self, x: Any) -> Any:
        """The product with another array for `a`, what is left of that in front."""
        return dot(x, self.b, contract=(self.ca, self.cb), batch=0)

    def ordered(self, shape: Axes) -> Axes:
        """The extents of the result with what is left of `a` in front."""
        count = len(self.rest_b) if self.swap else 0
        return (*shape[count:], *shape[:count])

    def placed(self, out: Any) -> Any:
        """A result with what is left of `a` in front, as the product has it."""
        count = len(self.rest_a)
        turn = [*range(count, len(self.shape)), *range(count)]
        return permuted(out, turn) if self.swap else out


def rest(x: Atom, axes: Axes) -> Axes:
    """The other axes."""
    return tuple(k for k in range(x.aval.ndim) if k not in axes)


def permuted(x: Any, perm: Sequence[int]) -> Any:
    return x if list(perm) == sorted(perm) else transpose(x, perm=tuple(perm))


def _by_diagonal(p: _Product, view: View) -> Any:
    """Rows times numbers."""
    if p.a.aval.ndim != 2 or len(p.ca) != 1 or not view.movable(p.b):
        return None
    numbers = diagonal(p.a, view)
    if numbers is None:
        return None
    out = permuted(p.b, [*p.cb, *p.rest_b])
    if isinstance(numbers, Literal):
        return p.placed(out if view.is_one(numbers) else mul(out, numbers))
    spread = broadcast(numbers, shape=out.aval.shape, axes=(0,))
    return p.placed(mul(spread, out))


def _by_number(p: _Product, view: View) -> Any:
    """Of a number there is nothing to sum; the sign of another product may wait."""
    if not p.a.aval.shape:
        return mul(spread(p.a, p.b.aval.shape), p.b)
    minus = view.definition(p.a, "neg")
    if minus is not None and view.form(minus.inputs[0]) in CHAINED:
        return neg(p.placed(p.times_b(minus.inputs[0])))
    return None


def _by_rows(p: _Product, view: View) -> Any:
    """What an operand repeats is multiplied once."""
    fill = view.definition(p.a, "broadcast")
    if fill is None or not p.ca or not view.movable(fill.inputs[0]):
        return None
    grown, (x,) = fill.params["axes"], fill.inputs
    if set(p.ca) - set(grown) or set(p.rest_a) <= set(grown):
        return None
    contract = tuple(grown.index(k) for k in p.ca)
    out = dot(x, p.b, contract=(contract, p.cb), batch=0)
    kept = [p.rest_a.index(k) for k in grown if k in p.rest_a]
    ends = range(len(p.rest_a), len(p.shape))
    shape = p.ordered(p.shape)
    return p.placed(broadcast(out, shape=shape, axes=(*kept, *ends)))


def _by_constant(p: _Product, view: View) -> Any:
    """The sum of an operand, if the other is the same along all contracted axes."""
    left = _along_rest(p, p.a, view)
    if left is None or not p.ca or not p.rest_b:
        return None
    if not is_free(p.eqn, view) and not view.is_one(p.a):
        return None
    return p.placed(dot(left, sum_(p.b, axes=p.cb), contract=((), ()), batch=0))


def _by_factor(p: _Product, view: View) -> Any:
    """What is the same along all contracted axes comes after the sums."""
    product = view.definition(p.a, "mul")
    for k in (0, 1) if product is not None and p.ca else ():
        x, other = product.inputs[k], product.inputs[1 - k]  # type: ignore[union-attr]
        factor = _along_rest(p, x, view)
        if factor is not None and view.movable(other):
            out = p.times_b(other)
            axes = tuple(range(len(p.rest_a)))
            return p.placed(
                mul(broadcast(factor, shape=out.aval.shape, axes=axes), out)
            )
    return None


def _along_rest(p: _Product, x: Atom, view: View) -> Any:
    """An operand that is spread along the contracted axes, without these."""
    fill = view.definition(x, "broadcast")
    if fill is None or set(fill.params["axes"]) & set(p.ca) or not p.rest_a:
        return None
    if not view.movable(fill.inputs[0]):
        return None
    shape = tuple(x.aval.shape[k] for k in p.rest_a)
    axes = tuple(p.rest_a.index(k) for k in fill.params["axes"])
    return broadcast(fill.inputs[0], shape=shape, axes=axes)


def spread(x: Any, shape: Any) -> Any:
    return x if not shape else broadcast(x, shape=shape, axes=())


def _in_order(p: _Product, view: View) -> Any:
    """`(x y) b` as `x (y b)`, or `(x b) y`, if that takes fewer products."""
    inner = view.definition(p.a, "dot")
    if (
        inner is None
        or inner.params["batch"]
        or not all(map(view.movable, inner.inputs))
    ):
        return None
    (x, y), (cx, cy) = inner.inputs, inner.params["contract"]
    rest_x, rest_y = rest(x, cx), rest(y, cy)
    if set(p.ca) <= set(range(len(rest_x), p.a.aval.ndim)) and p.ca:
        side, own = y, tuple(rest_y[k - len(rest_x)] for k in p.ca)
    elif set(p.ca) <= set(range(len(rest_x))) and p.ca:
        side, own = x, tuple(rest_x[k] for k in p.ca)
    else:
        return None
    before = work(p.a, p.b, p.ca)
    readers = view.uses[inner.out]
    if readers == view.factors[inner.out] or readers == 1:
        before += work(x, y, cx) // readers  # they may all do without it
    kept = rest(side, own)
    size = size_of(side, kept) * size_of(p.b, p.rest_b)
    other, c_other = (x, cx) if side is y else (y, cy)
    after = work(side, p.b, own) + size * size_of(other, rest(other, c_other))
    if after >= before:
        return None
    part = dot(side, p.b, contract=(own, p.cb), batch=0)
    mine = tuple(kept.index(k) for k in (cy if side is y else cx))
    out = dot(other, part, contract=(c_other, mine), batch=0)
    if side is x:  # what is left of x stands in front of what is left of y
        middle, front = len(rest_y), len(kept) - len(cx)
        turn = [*range(middle, middle + front), *range(middle)]
        out = permuted(out, [*turn, *range(middle + front, out.aval.ndim)])
    return p.placed(out)


def size_of(x: Atom, axes: Axes) -> int:
    """The number of elements along these axes."""
    return math.prod(int(x.aval.shape[k]) for k in axes)


def work(a: Atom, b: Atom, contract: Axes) -> int:
    """How many products of numbers a product of arrays takes."""
    return int(a.aval.size) * int(b.aval.size) // max(size_of(a, contract), 1)


def summed(eqn: Eqn, view: View) -> Any:
    """`sum` of a product: a product of sums, or with one operand more."""
    (x,), axes = eqn.inputs, eqn.params["axes"]
    factors = view.definition(x, "mul")
    if factors is not None and view.once(factors.out):
        found = _contracted(factors, axes, view)
        if found is not None:
            return found
    if not is_free(eqn, view):
        return None
    if size_of(x, axes) >= LEAST_SIDE:
        waiting = _waiting(x, axes, view)
        if waiting is not None:
            return waiting
    if factors is not None and view.once(factors.out):
        return _weighted(factors, axes, view)
    inner = view.definition(x, "dot")
    if inner is None or not view.once(inner.out):
        return None
    (a, b), contract = inner.inputs, inner.params["contract"]
    batch = inner.params["batch"]
    if not (view.movable(a) and view.movable(b)):
        return None
    if batch:  # what runs together is summed as well
        own = tuple(range(batch))
        ca, cb = contract
        return (
            dot(a, b, contract=(own + ca, own + cb), batch=0) if axes == own else None
        )
    count = len(rest(a, contract[0]))
    mine = [k for k in axes if k < count], [k - count for k in axes if k >= count]
    pairs = zip((a, b), contract, mine, strict=True)
    sides = [_without(x, c, gone) for x, c, gone in pairs]
    (a, ca), (b, cb) = sides
    return dot(a, b, contract=(ca, cb), batch=0)


def _waiting(x: Atom, axes: Axes, view: View) -> Any:
    """The sum of what has a sign, or is added to itself, of many terms: without."""
    minus, twice = view.definition(x, "neg"), view.definition(x, "add")
    if minus is not None and view.movable(minus.inputs[0]):
        return neg(sum_(minus.inputs[0], axes=axes))
    if twice is None or twice.inputs[0] is not twice.inputs[1]:
        return None
    if not view.movable(twice.inputs[0]):
        return None
    total = sum_(twice.inputs[0], axes=axes)
    return add(total, total)


def _contracted(eqn: Eqn, axes: Axes, view: View) -> Any:
    """A product of matrices that is written as a sum of products, both spread."""
    if not eqn.out.aval.inexact:
        return None
    (x, own), (y, other) = (_spread_from(a, view) for a in eqn.inputs)
    kept = [k for k in range(eqn.out.aval.ndim) if k not in axes]
    left, right = (
        [k for k in kept if k in a and k not in b]
        for a, b in ((own, other), (other, own))
    )
    batch = [k for k in kept if k in own and k in other]
    inside = all(k in own and k in other for k in axes)
    shape = eqn.out.aval.shape
    sizes = [math.prod(int(shape[k]) for k in part) for part in (axes, left, right)]
    if not inside or len(batch + left + right) < len(kept) or min(sizes) < LEAST_SIDE:
        return None
    if not (view.movable(x) and view.movable(y)):
        return None
    first, second = ([*batch, *axes, *rest] for rest in (left, right))
    x = permuted(x, [own.index(k) for k in first])
    y = permuted(y, [other.index(k) for k in second])
    places = tuple(range(len(batch), len(batch) + len(axes)))
    out = dot(x, y, contract=(places, places), batch=len(batch))
    order = [*batch, *left, *right]
    return permuted(out, [order.index(k) for k in kept])


def _spread_from(atom: Atom, view: View) -> tuple[Atom, list[int]]:
    """What an array is spread from, and along which of its axes that goes."""
    fill = view.definition(atom, "broadcast")
    if fill is None:
        return atom, list(range(atom.aval.ndim))
    return fill.inputs[0], list(fill.params["axes"])


def added(eqn: Eqn, view: View) -> Any:
    """`add` of two products with one matrix: the product with a sum."""
    products = [view.definition(a, "dot") for a in eqn.inputs]
    if not is_free(eqn, view) or None in products:
        return None
    first, second = products
    assert first is not None and second is not None
    if first is second or first.params["batch"] or second.params["batch"]:
        return None
    if not all(p.out.aval.ndim and view.once(p.out) for p in (first, second)):
        return None
    for swap in (False, True):
        p, q = _Product(first, swap), _Product(second, swap)
        same = p.a is q.a and p.ca == q.ca and p.ca
        if not same or not (p.rest_a or p.b.aval.ndim > 1):
            continue
        if not all(map(view.movable, (p.a, p.b, q.b))):
            continue
        turn = [*p.cb, *p.rest_b], [*q.cb, *q.rest_b]
        total = add(permuted(p.b, turn[0]), permuted(q.b, turn[1]))
        inside = tuple(range(len(p.cb)))
        return p.placed(dot(p.a, total, contract=(p.ca, inside), batch=0))
    return None


def _weighted(eqn: Eqn, axes: Axes, view: View) -> Any:
    """The sums of a product's elements times weights, that go along these axes."""
    for product, weights in (eqn.inputs, eqn.inputs[::-1]):
        inner = view.definition(product, "dot")
        fill = view.definition(weights, "broadcast")
        if inner is None or fill is None or inner.params["batch"]:
            continue
        if fill.params["axes"] == axes and view.movable(fill.inputs[0]):
            own = tuple(range(len(axes)))
            return dot(product, fill.inputs[0], contract=(axes, own), batch=0)
    return None


def _without(x: Atom, contract: Axes, gone: Sequence[int]) -> tuple[Any, Axes]:
    """An operand summed over some of the axes that are left of it, and its others."""
    left = rest(x, contract)
    axes = tuple(left[k] for k in gone)
    if not axes:
        return x, contract
    kept = rest(x, axes)
    return sum_(x, axes=axes), tuple(kept.index(k) for k in contract)


def on_diagonal(eqn: Eqn, view: View) -> Any:
    """`getitem` of the diagonal of a product: just these sums."""
    flat = view.definition(eqn.inputs[0], "reshape")
    product = None if flat is None else view.definition(flat.inputs[0], "dot")
    if product is None or eqn.inputs[0].aval.ndim != 1:
        return None
    start = eqn.inputs[1]
    whole, (size,), (step,) = product.out.aval, eqn.params["sizes"], eqn.params["steps"]
    alone = view.once(flat.out) and view.once(product.out)  # type: ignore
    if whole.ndim != 2 or not alone or not isinstance(start, Literal) or size is None:
        return None
    rows, columns = whole.shape
    if (
        step != columns + 1
        or start.value >= columns * min(rows, columns)
        or product.params["batch"]
    ):
        return None
    first = divmod(start.value, int(columns))
    (a, b), (ca, cb) = product.inputs, product.params["contract"]
    if len(ca) != 1 or not (view.movable(a) and view.movable(b)):
        return None
    if max(first[0] + size - rows, first[1] + size - columns) > 0:
        return None
    left, right = (
        _rows(x, c[0], k, size) for x, c, k in ((a, ca, first[0]), (b, cb, first[1]))
    )
    return sum_(mul(left, right), axes=(1,))


def _rows(x: Atom, contracted: int, first: int, count: int) -> Any:
    """So many rows of a matrix from one on: what is left of it when contracted."""
    x = permuted(x, [1 - contracted, contracted])
    if first == 0 and count == x.aval.shape[0]:
        return x
    sizes = (count, x.aval.shape[1])
    return getitem(x, first, 0, sizes=sizes, steps=(1, 1))


# Systems of equations -----------------------------------------------------------------


def solved(eqn: Eqn, view: View) -> Any:
    """`lu_solve` of a triangle; of an identity; of a thin product."""
    a, factors, pivots, b = eqn.inputs
    trans = eqn.params["trans"]
    lower = triangle(a, view)
    if lower is not None and view.movable(a):
        return solve_triangular(a, b, lower=lower, trans=trans, unit=False)
    if is_identity(b, view):
        out = lu_inverse(a, factors, pivots)
        return transpose(out, perm=turning(b.aval.ndim)) if trans else out
    return _thinner(eqn, view)


def substituted(eqn: Eqn, view: View) -> Any:
    """`solve_triangular` of a thin product."""
    return _thinner(eqn, view)


def _thinner(eqn: Eqn, view: View) -> Any:
    """A system with a product on its right: with its left factor, if that has fewer
    columns. A sign may wait."""
    *matrices, b = eqn.inputs
    minus = view.definition(b, "neg")
    if minus is not None and view.movable(minus.inputs[0]):
        solve: Any = eqn.prim
        return neg(solve(*matrices, minus.inputs[0], **eqn.params))
    inner = view.definition(b, "dot")
    if inner is None or inner.params["batch"] or not is_free(eqn, view):
        return None
    (x, y), (cx, cy) = inner.inputs, inner.params["contract"]
    sides = len(rest(x, cx)), len(rest(y, cy))
    if sides != (1, 1) or not (view.movable(x) and view.movable(y)):
        return None
    thin = size_of(x, cx)
    if thin >= b.aval.shape[1]:
        return None
    x = permuted(x, [*rest(x, cx), *cx])
    column = reshape(x, shape=(x.aval.shape[0], thin)) if len(cx) != 1 else x
    rule: Any = eqn.prim
    out = rule(*matrices, column, **eqn.params)
    if len(cx) != 1:
        out = reshape(out, shape=x.aval.shape)
    inside = tuple(range(1, x.aval.ndim))
    return dot(out, y, contract=(inside, cy), batch=0)


def pivots_of(eqn: Eqn, view: View) -> Any:
    """`gather` of the diagonal of the factors of a triangle: its own diagonal."""
    x, *places = eqn.inputs
    made = view.definition(x, "lu")
    ndim = x.aval.ndim
    here = len(places) == 2 and eqn.params["axes"] == (ndim - 2, ndim - 1)
    if made is None or x is not made.outputs[0] or not here:
        return None
    same = places[0] is places[1] and triangle(made.inputs[0], view) is not None
    if not same or not view.movable(made.inputs[0]):
        return None
    return gather(made.inputs[0], *places, axes=eqn.params["axes"])


#: What the rules above look at through a sign.
CHAINED = (dot, lu_solve, solve_triangular)

RULES: dict[str, Callable[[Eqn, View], Any]] = {
    "dot": multiplied,
    "add": added,
    "sum": summed,
    "getitem": on_diagonal,
    "lu_solve": solved,
    "solve_triangular": substituted,
    "gather": pivots_of,
}
