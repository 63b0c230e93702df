"""NumPy's products of arrays, all of them by the primitive `dot`."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from tracejit.base.errors import ShapeMismatchError
from tracejit.ir.builder import current
from tracejit.ir.program import Atom
from tracejit.ops import linalg
from tracejit.ops.numpy_names import apply, conjugate, emit, implements, unsupported
from tracejit.ops.numpy_reduce import normal_axis, sum_
from tracejit.ops.numpy_shape import (
    diagonal,
    expand_dims,
    last_diagonal,
    permuted,
    reshape,
)
from tracejit.ops.promote import (
    BOOL,
    broadcast_shapes,
    broadcast_to,
    convert,
    result_type,
    shape_text,
    strong,
)

_DECLARES = (linalg,)

Axes = tuple[int, ...]


def contract(a: Any, b: Any, axes_a: Axes, axes_b: Axes, batch: int = 0) -> Atom:
    """`dot` on a common dtype: sums of products along pairs of axes."""
    a, b = strong(a), strong(b)
    dtype = result_type(a, b)
    a, b = convert(a, dtype), convert(b, dtype)
    for k, m in zip(axes_a, axes_b, strict=True):
        if a.aval.shape[k] != b.aval.shape[m]:
            raise _not_aligned(a, b, k, m)
    if dtype == BOOL:  # a sum of bools is whether any is true
        a, b = convert(a, np.int64), convert(b, np.int64)
    out = emit("dot", a, b, contract=(tuple(axes_a), tuple(axes_b)), batch=batch)
    return convert(out, dtype)


def _not_aligned(a: Atom, b: Atom, k: int, m: int) -> ShapeMismatchError:
    n, o = int(a.aval.shape[k]), int(b.aval.shape[m])
    return ShapeMismatchError(
        f"shapes {shape_text(a.aval.shape)} and {shape_text(b.aval.shape)} "
        f"not aligned: {n} (dim {k}) != {o} (dim {m})",
        current().loc,
    )


def _multiply(a: Any, b: Any) -> Atom:
    return apply(np.multiply, strong(a), strong(b))


@implements(np.dot)
def dot(a: Any, b: Any) -> Atom:
    """`np.dot`: the last axis of a with the last but one of b."""
    a, b = strong(a), strong(b)
    if not a.aval.shape or not b.aval.shape:
        return _multiply(a, b)
    return contract(a, b, (a.aval.ndim - 1,), (max(b.aval.ndim - 2, 0),))


@implements(np.matmul)
def matmul(a: Any, b: Any) -> Atom:
    """`a @ b`: matrices at the end, leading axes broadcast."""
    a, b = strong(a), strong(b)
    if not a.aval.shape or not b.aval.shape:
        which = 0 if not a.aval.shape else 1
        raise ShapeMismatchError(
            f"matmul: Input operand {which} does not have enough dimensions "
            "(has 0, gufunc core with signature (n?,k),(k,m?)->(n?,m?) requires 1)",
            current().loc,
            "a * b",
        )
    k, m = a.aval.ndim - 1, max(b.aval.ndim - 2, 0)
    if a.aval.shape[k] != b.aval.shape[m]:
        raise ShapeMismatchError(
            "matmul: Input operand 1 has a mismatch in its core dimension 0, with "
            "gufunc signature (n?,k),(k,m?)->(n?,m?) "
            f"(size {int(b.aval.shape[m])} is different from {int(a.aval.shape[k])})",
            current().loc,
        )
    if b.aval.ndim <= 2:
        return contract(a, b, (k,), (m,))
    if a.aval.ndim == 1:
        return contract(a, b, (0,), (m,))
    lead = broadcast_shapes(a.aval.shape[:-2], b.aval.shape[:-2])
    a = broadcast_to(a, (*lead, *a.aval.shape[-2:]))
    b = broadcast_to(b, (*lead, *b.aval.shape[-2:]))
    n = len(lead)
    return contract(a, b, (n + 1,), (n,), batch=n)


@implements(np.inner)
def inner(a: Any, b: Any) -> Atom:
    """`np.inner`: the last axes of both."""
    a, b = strong(a), strong(b)
    if not a.aval.shape or not b.aval.shape:
        return _multiply(a, b)
    return contract(a, b, (a.aval.ndim - 1,), (b.aval.ndim - 1,))


@implements(np.vdot)
def vdot(a: Any, b: Any) -> Atom:
    """`np.vdot`: of all elements."""
    a, b = (reshape(x, (x.aval.size,)) for x in (strong(a), strong(b)))
    return contract(conjugate(a), b, (0,), (0,))


@implements(np.vecdot, np.linalg.vecdot)
def vecdot(a: Any, b: Any, axis: int = -1) -> Atom:
    """`np.vecdot`: along the last axes, elementwise in the others."""
    return sum_(_multiply(conjugate(strong(a)), b), axis)


@implements(getattr(np, "matvec", "np.matvec"))
def matvec(a: Any, b: Any) -> Atom:
    """`np.matvec`: matrices times vectors."""
    b = strong(b)
    out = matmul(a, expand_dims(b, b.aval.ndim))
    return reshape(out, out.aval.shape[:-1])


@implements(getattr(np, "vecmat", "np.vecmat"))
def vecmat(a: Any, b: Any) -> Atom:
    """`np.vecmat`: conjugated vectors times matrices."""
    a = conjugate(strong(a))
    out = matmul(expand_dims(a, a.aval.ndim - 1), b)
    return reshape(out, (*out.aval.shape[:-2], out.aval.shape[-1]))


@implements(np.outer, np.linalg.outer)
def outer(a: Any, b: Any) -> Atom:
    """`np.outer`: of all elements with all elements."""
    a, b = (reshape(x, (x.aval.size,)) for x in (strong(a), strong(b)))
    return _multiply(expand_dims(a, 1), expand_dims(b, 0))


@implements(np.kron)
def kron(a: Any, b: Any) -> Atom:
    """`np.kron`."""
    a, b = strong(a), strong(b)
    ndim = max(a.aval.ndim, b.aval.ndim)
    sa = (1,) * (ndim - a.aval.ndim) + a.aval.shape
    sb = (1,) * (ndim - b.aval.ndim) + b.aval.shape
    a = reshape(a, [n for extent in sa for n in (extent, 1)])
    b = reshape(b, [n for extent in sb for n in (1, extent)])
    shape = [n * m for n, m in zip(sa, sb, strict=True)]
    return reshape(_multiply(a, b), shape)


@implements(np.cross, np.linalg.cross)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None
) -> Atom:
    """`np.cross` of vectors with three components (or two: the third is 0)."""
    a, b = strong(a), strong(b)
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = _components_last(a, axisa), _components_last(b, axisb)
    lead = broadcast_shapes(a.aval.shape[:-1], b.aval.shape[:-1])
    flat = a.aval.shape[-1] == b.aval.shape[-1] == 2
    parts = []
    for k in (2,) if flat else (0, 1, 2):
        parts += [_cross_component(a, b, k, lead)]
    if flat:
        return reshape(parts[0], lead)
    out = emit("concatenate", *parts, axis=len(lead))
    place = normal_axis(axisc, len(lead) + 1)
    order = [*range(place), len(lead), *range(place, len(lead))]
    return permuted(out, order)


def _along(x: Atom, k: int) -> Atom:
    """The k-th component along the last axis, as an extent of 1."""
    ndim = x.aval.ndim
    starts = [0] * (ndim - 1) + [k]
    sizes = (*x.aval.shape[:-1], 1)
    return emit("getitem", x, *starts, sizes=sizes, steps=(1,) * ndim)


def _components_last(x: Atom, axis: int) -> Atom:
    axis = normal_axis(axis, x.aval.ndim)
    if x.aval.shape[axis] not in (2, 3):
        raise ShapeMismatchError(
            "incompatible dimensions for cross product (dimension must be 2 or 3)",
            current().loc,
        )
    rest = [k for k in range(x.aval.ndim) if k != axis]
    return permuted(x, (*rest, axis))


def _cross_component(a: Atom, b: Atom, k: int, lead: tuple[int, ...]) -> Atom:
    """One component: a difference of two products, where there are both."""
    i, j = (k + 1) % 3, (k + 2) % 3

    def product(m: int, n: int) -> Any:
        if m >= a.aval.shape[-1] or n >= b.aval.shape[-1]:
            return np.dtype(result_type(a, b)).type(0)
        return broadcast_to(_multiply(_along(a, m), _along(b, n)), (*lead, 1))

    return strong(apply(np.subtract, product(i, j), product(j, i)))


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Atom:
    """`np.tensordot`."""
    a, b = strong(a), strong(b)
    if isinstance(axes, int):
        ours: Any = range(-axes, 0)
        theirs: Any = range(axes)
    else:
        ours, theirs = (x if isinstance(x, list | tuple) else [x] for x in axes)
    if len(ours) != len(theirs):
        raise ShapeMismatchError("shape-mismatch for sum", current().loc)
    axes_a = tuple([normal_axis(k, a.aval.ndim) for k in ours])
    axes_b = tuple([normal_axis(k, b.aval.ndim) for k in theirs])
    return contract(a, b, axes_a, axes_b)


@implements(np.trace)
def trace(
    x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None
) -> Atom:
    """`np.trace`."""
    return sum_(diagonal(x, offset, axis1, axis2), -1, dtype)


@implements(np.linalg.trace)
def matrix_trace(x: Any, *, offset: int = 0, dtype: Any = None) -> Atom:
    """`np.linalg.trace`: of the matrices in the last two axes."""
    return trace(x, offset, -2, -1, dtype)


# einsum -------------------------------------------------------------------------------

#: An operand of einsum and the letters of its axes.
Named = tuple[Atom, str]


@implements(np.einsum)
def einsum(*args: Any, optimize: Any = True, dtype: Any = None, **options: Any) -> Atom:
    """`np.einsum`, pair by pair in the order that `np.einsum_path` finds."""
    options = {k: v for k, v in options.items() if k not in ("order", "casting")}
    if options:
        raise unsupported(f"np.einsum({', '.join(options)}=…)")
    atoms, inputs, output = subscripts(args)
    dtype = result_type(*atoms) if dtype is None else np.dtype(dtype)
    work = [
        _own_diagonals(convert(x, dtype), names)
        for x, names in zip(atoms, inputs, strict=True)
    ]
    work = _without_units(work)
    path: list[Any] = [tuple(range(len(work)))]
    if len(work) > 2:
        shapes = [np.broadcast_to(0.0, x.aval.shape) for x, _ in work]
        text = ",".join(names for _, names in work)
        kept = "".join(n for n in output if n in text)
        path = np.einsum_path(f"{text}->{kept}", *shapes, optimize="greedy")[0][1:]
    for step in path:
        chosen = [work.pop(k) for k in sorted(step, reverse=True)][::-1]
        result = chosen[0]
        for k, other in enumerate(chosen[1:], 2):
            later = [names for _, names in (*work, *chosen[k:])]
            result = _pair(result, other, set(output).union(*later))
        work.append(result)
    ((x, names),) = work
    x, names = _sum_out(x, names, set(output))
    x = permuted(x, tuple([names.index(n) for n in output if n in names]))
    # What is left over had an extent of 1 in every operand.
    return x if len(names) == len(output) else _with_units(x, names, output)


def subscripts(args: Any) -> tuple[list[Atom], list[str], str]:
    """The operands, the letters of their axes, and those of the result."""
    if isinstance(args[0], str):
        text, atoms = args[0].replace(" ", ""), [strong(x) for x in args[1:]]
        left, arrow, output = text.partition("->")
        inputs = left.split(",")
    else:
        atoms = [strong(x) for x in args[: len(args) // 2 * 2 : 2]]
        inputs = [_lettered(names) for names in args[1::2]]
        arrow, output = ("->", _lettered(args[-1])) if len(args) % 2 else ("", "")
    used = set("".join(inputs))
    spare = [c for c in string.ascii_letters if c not in used]
    spread = 0
    for k, (x, names) in enumerate(zip(atoms, inputs, strict=True)):
        if "..." in names:
            count = x.aval.ndim - (len(names) - 3)
            spread = max(spread, count)
            dots = "".join(spare[:count][::-1])
            inputs[k] = names.replace("...", dots)
        if len(inputs[k]) != x.aval.ndim:
            raise ShapeMismatchError(
                f"einstein sum subscripts string {names!r} does not fit operand {k}, "
                f"of {x.aval.ndim} dimensions",
                current().loc,
            )
    dots = "".join(spare[:spread][::-1])
    if arrow:
        return atoms, inputs, output.replace("...", dots)
    every = "".join(inputs)
    once = sorted(c for c in used - {"."} if every.count(c) == 1)
    return atoms, inputs, dots + "".join(once)


def _lettered(names: Any) -> str:
    """einsum's other form: axes are numbers, 26 or fewer."""
    return "".join(
        "..." if n is Ellipsis else string.ascii_letters[int(n)] for n in names
    )


def _own_diagonals(x: Atom, names: str) -> Named:
    """An operand without repeated letters: `ii` is its diagonal."""
    for name in names:
        while names.count(name) > 1:
            i = names.index(name)
            j = names.index(name, i + 1)
            rest = [k for k in range(len(names)) if k not in (i, j)]
            x = last_diagonal(permuted(x, (*rest, i, j)), 0)
            names = "".join(names[k] for k in rest) + name
    return x, names


def _without_units(work: list[Named]) -> list[Named]:
    """Axes of extent 1 dropped: they go with any extent of the same letter."""
    extents: dict[str, int] = {}
    for x, names in work:
        for name, n in zip(names, x.aval.shape, strict=True):
            if n != 1 and extents.setdefault(name, n) != n:
                raise ShapeMismatchError(
                    f"einsum: axes {name!r} have extents {int(extents[name])} and "
                    f"{int(n)}",
                    current().loc,
                )
    found: list[Named] = []
    for x, names in work:
        kept = [k for k, n in enumerate(x.aval.shape) if n != 1]
        shape = [x.aval.shape[k] for k in kept]
        found.append((reshape(x, shape), "".join(names[k] for k in kept)))
    return found


def _with_units(x: Atom, names: str, output: str) -> Atom:
    kept = iter(x.aval.shape)
    return reshape(x, [next(kept) if n in names else 1 for n in output])


def _sum_out(x: Atom, names: str, keep: set[str]) -> Named:
    """Sum over the axes that nothing else needs."""
    axes = tuple([k for k, n in enumerate(names) if n not in keep])
    if not axes:
        return x, names
    return emit("sum", x, axes=axes), "".join(n for n in names if n in keep)


def _pair(left: Named, right: Named, keep: set[str]) -> Named:
    """Two operands as one: letters in both are multiplied, summed unless kept."""
    a, names_a = _sum_out(*left, keep | set(right[1]))
    b, names_b = _sum_out(*right, keep | set(names_a))
    both = [n for n in names_a if n in names_b]
    batch = [n for n in both if n in keep]
    summed = [n for n in both if n not in keep]
    rest_a = [n for n in names_a if n not in both]
    rest_b = [n for n in names_b if n not in both]
    out = "".join([*batch, *rest_a, *rest_b])
    if not summed:
        return _multiply(_laid(a, names_a, out), _laid(b, names_b, out)), out
    order_a, order_b = [*batch, *rest_a, *summed], [*batch, *summed, *rest_b]
    a = permuted(a, tuple([names_a.index(n) for n in order_a]))
    b = permuted(b, tuple([names_b.index(n) for n in order_b]))
    axes_a = tuple([order_a.index(n) for n in summed])
    axes_b = tuple([order_b.index(n) for n in summed])
    return contract(a, b, axes_a, axes_b, batch=len(batch)), out


def _laid(x: Atom, names: str, out: str) -> Atom:
    """An operand with its axes in the order of `out`, and extents of 1 between."""
    order = [n for n in out if n in names]
    x = permuted(x, tuple([names.index(n) for n in order]))
    return _with_units(x, names, out)
