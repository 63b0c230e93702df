"""Products of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import Multilinear
from tracejit.ops.shape import transpose

# dot(a, b; contract=(axes of a, axes of b), batch=n): the first n axes of both run
# together, the contracted ones vanish; the result has the batch axes, then the rest
# of a's, then the rest of b's.


def _rest(ndim: int, contract: tuple[int, ...], batch: int) -> list[int]:
    return [k for k in range(batch, ndim) if k not in contract]


def _dot(a: Any, b: Any, contract: Any, batch: int) -> Any:
    ca, cb = contract
    if not batch:
        return np.tensordot(a, b, (ca, cb))
    letters = iter(range(a.ndim + b.ndim))
    names_a = [next(letters) for _ in range(a.ndim)]
    names_b = names_a[:batch] + [-1] * (b.ndim - batch)
    for k, axis in enumerate(cb):
        names_b[axis] = names_a[ca[k]]
    names_b = [next(letters) if n < 0 else n for n in names_b]
    out = [names_a[k] for k in [*range(batch), *_rest(a.ndim, ca, batch)]]
    out += [names_b[k] for k in _rest(b.ndim, cb, batch)]
    return np.einsum(a, names_a, b, names_b, out)


def _dot_shape(a: Aval, b: Aval, contract: Any, batch: int) -> Aval:
    ca, cb = contract
    shape = [a.shape[k] for k in [*range(batch), *_rest(a.ndim, ca, batch)]]
    shape += [b.shape[k] for k in _rest(b.ndim, cb, batch)]
    assert [a.shape[k] for k in ca] == [b.shape[k] for k in cb], (a, b, contract)
    return Aval(a.dtype, tuple(shape))


def _permuted(x: Any, axes: list[int]) -> Any:
    """`x`, whose axis k stands for axis axes[k] of the operand, in operand order."""
    perm = tuple(int(k) for k in np.argsort(axes))
    return x if perm == tuple(range(len(perm))) else transpose(x, perm=perm)


def _dot_left(ct: Any, a: Any, b: Any, contract: Any, batch: int) -> Any:
    ca, cb = contract
    rest_a = _rest(a.aval.ndim, ca, batch)
    rest_b = _rest(b.aval.ndim, cb, batch)
    ct_b = tuple(range(batch + len(rest_a), ct.aval.ndim))
    out = dot(ct, b, contract=(ct_b, tuple(rest_b)), batch=batch)
    # What is left of b are its contracted axes, in b's order.
    order = [ca[cb.index(k)] for k in sorted(cb)]
    return _permuted(out, [*range(batch), *rest_a, *order])


def _dot_right(ct: Any, a: Any, b: Any, contract: Any, batch: int) -> Any:
    ca, cb = contract
    rest_a = _rest(a.aval.ndim, ca, batch)
    rest_b = _rest(b.aval.ndim, cb, batch)
    ct_a = tuple(range(batch, batch + len(rest_a)))
    out = dot(a, ct, contract=(tuple(rest_a), ct_a), batch=batch)
    order = [cb[ca.index(k)] for k in sorted(ca)]
    return _permuted(out, [*range(batch), *order, *rest_b])


def _dot_samples(rng: np.random.Generator) -> list[Any]:
    def case(a: Any, b: Any, ca: Any, cb: Any, batch: int = 0) -> Any:
        operands = rng.normal(size=a), rng.normal(size=b)
        return operands, {"contract": (ca, cb), "batch": batch}

    return [
        case((3,), (3,), (0,), (0,)),
        case((2, 3), (3,), (1,), (0,)),
        case((3,), (3, 4), (0,), (0,)),
        case((2, 3), (3, 4), (1,), (0,)),
        case((3, 2), (4, 3), (0,), (1,)),
        case((2,), (3,), (), ()),
        case((2, 3, 4), (2, 4, 5), (2,), (1,), 1),
        case((2, 3, 4), (4, 3, 5), (1, 2), (1, 0)),
    ]


dot = Multilinear(
    "dot",
    _dot,
    _dot_shape,
    (_dot_left, _dot_right),
    samples=_dot_samples,
    cost=20,
    complex=True,
)
