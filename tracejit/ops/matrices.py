"""Matrices in the last two axes, in the words that the rules of `factor` use.

Leading axes run along: a batch of matrices is handled as one matrix is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.primitive import cast_to
from tracejit.ops.complex_parts import conj, real
from tracejit.ops.elementwise import abs_, cast, eq, ge, le, mul, select, sub
from tracejit.ops.linalg import dot
from tracejit.ops.reduce import sum_
from tracejit.ops.shape import broadcast, iota, transpose

INT = np.dtype(np.int64)


def turned(x: Any) -> Any:
    """The transpose of every matrix."""
    n = x.aval.ndim
    return transpose(x, perm=(*range(n - 2), n - 1, n - 2))


def conjugated(x: Any) -> Any:
    """The complex conjugate; real numbers are their own."""
    return conj(x) if x.aval.dtype.kind == "c" else x


def real_part(x: Any) -> Any:
    """The real part; real numbers are their own."""
    return real(x) if x.aval.dtype.kind == "c" else x


def adjoint(x: Any) -> Any:
    """The conjugate transpose of every matrix."""
    return conjugated(turned(x))


def scaled(x: Any, factors: Any) -> Any:
    """`x * factors`, elementwise: factors are of its dtype or real."""
    return mul(x, cast_to(factors, x.aval.dtype))


def product(a: Any, b: Any) -> Any:
    """`a @ b`, the leading axes of both being the same."""
    n = a.aval.ndim
    return dot(a, b, contract=((n - 1,), (n - 2,)), batch=n - 2)


def column_sums(x: Any) -> Any:
    """Sums over the rows."""
    return sum_(x, axes=(x.aval.ndim - 2,))


def by_column(v: Any, x: Any) -> Any:
    """`v[..., None, :]` in the shape of the matrices x: a number for each column."""
    n = x.aval.ndim
    return broadcast(v, shape=x.aval.shape, axes=(*range(n - 2), n - 1))


def by_row(v: Any, x: Any) -> Any:
    """`v[..., :, None]` in the shape of the matrices x: a number for each row."""
    n = x.aval.ndim
    return broadcast(v, shape=x.aval.shape, axes=tuple(range(n - 1)))


def _places(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The row and the column of every element."""
    n = len(shape)
    rows, columns = (iota(size=size, dtype=INT) for size in shape[-2:])
    return (
        broadcast(rows, shape=shape, axes=(n - 2,)),
        broadcast(columns, shape=shape, axes=(n - 1,)),
    )


def rows_of(shape: tuple[int, ...]) -> Any:
    """The number of the row that every element is in."""
    return _places(shape)[0]


def lower_part(x: Any, strict: bool = False) -> Any:
    """What is on and below the diagonal, or only below; zero elsewhere."""
    rows, columns = _places(x.aval.shape)
    return select(ge(sub(rows, 1) if strict else rows, columns), x, 0)


def upper_part(x: Any, strict: bool = False) -> Any:
    """What is on and above the diagonal, or only above; zero elsewhere."""
    rows, columns = _places(x.aval.shape)
    return select(le(rows, sub(columns, 1) if strict else columns), x, 0)


def symmetric(x: Any) -> Any:
    """The symmetric matrices that have the lower triangles of x."""
    rows, columns = _places(x.aval.shape)
    return select(ge(rows, columns), x, turned(x))


def band(x: Any, width: int) -> Any:
    """What is no further from the diagonal than this; zero elsewhere."""
    rows, columns = _places(x.aval.shape)
    return select(le(abs_(sub(rows, columns)), width), x, 0)


def mirrored(x: Any) -> Any:
    """The Hermitian matrices that have the lower triangles of x."""
    rows, columns = _places(x.aval.shape)
    if x.aval.dtype.kind == "c":
        x = select(eq(rows, columns), cast_to(real(x), x.aval.dtype), x)
    return select(ge(rows, columns), x, adjoint(x))


def identity(shape: tuple[int, ...], dtype: Any) -> Any:
    """Identity matrices."""
    return cast(eq(*_places(shape)), dtype=np.dtype(dtype))
