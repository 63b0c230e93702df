"""Rules about structure: what reads what was just written, copies, constants.

Each takes an equation whose operands are simplified already, and the View around it;
it emits what stands in its place and returns that, or returns None.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from tracejit.ir.primitive import cast_to
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.ops import elementwise as ew
from tracejit.ops.index import acc_slice, getitem, setitem
from tracejit.ops.linalg import dot
from tracejit.ops.shape import broadcast, concatenate, reshape, transpose
from tracejit.optimize import chains
from tracejit.optimize.view import View, fitted

#: Correctly rounded on every machine: folding gives the bits that running gives.
FOLDABLE = {
    *(ew.add, ew.sub, ew.mul, ew.div, ew.neg, ew.sqrt, ew.abs_, ew.sign, ew.copysign),
    *(ew.floor, ew.ceil, ew.trunc, ew.rint, ew.maximum, ew.minimum, ew.select, ew.cast),
    *(ew.lt, ew.le, ew.gt, ew.ge, ew.eq, ew.ne, ew.isnan, ew.isinf, ew.isfinite),
    *(ew.logical_and, ew.logical_or, ew.logical_xor, ew.logical_not),
    *(ew.bitwise_and, ew.bitwise_or, ew.bitwise_xor, ew.bitwise_not),
}

#: How many accumulations may stand between two writes that are made one.
FAR = 8


def fold(eqn: Eqn, view: View) -> Any:
    """An elementwise function of known numbers is a known number."""
    if not _foldable(eqn, view):
        return None
    found = (view.literal(a) for a in eqn.inputs)
    known = [x for x in found if x is not None]
    with np.errstate(all="ignore"):
        value = eqn.prim.impl(*(x.scalar for x in known), **eqn.params)
    dtype = eqn.out.aval.dtype
    number = Literal(
        dtype.type(value).item(), dtype, runtime=any(x.runtime for x in known)
    )
    return fitted(number, eqn.out.aval)


def _foldable(eqn: Eqn, view: View) -> bool:
    return eqn.prim in FOLDABLE and all(view.literal(a) is not None for a in eqn.inputs)


def choose(eqn: Eqn, view: View) -> Any:
    """`select` by a known predicate, or of which one side is all that is seen."""
    pred = view.literal(eqn.inputs[0])
    if pred is not None:
        return eqn.inputs[1 if pred.value else 2]
    side = view.sides.get(eqn.out)
    if side is None and eqn.origin is not None and view.zero(eqn.inputs[2]):
        side = 1 if _zero_beyond(eqn.inputs[1], eqn.inputs[0], view) else None
    if side is None or not view.may_be(eqn.out, eqn.inputs[side]):
        return None
    return eqn.inputs[side]


def _zero_beyond(atom: Atom, pred: Atom, view: View, depth: int = 4) -> bool:
    """Whether a value is 0, whatever its sign, where a predicate does not hold."""
    eqn = view.defs.get(atom) if isinstance(atom, Var) else None
    if eqn is None or depth == 0:
        return False
    if eqn.prim.name == "select":
        return eqn.inputs[0] is pred and view.zero(eqn.inputs[2])
    return eqn.prim.name in ("add", "sub", "neg") and all(
        _zero_beyond(a, pred, view, depth - 1) for a in eqn.inputs
    )


def cast(eqn: Eqn, view: View) -> Any:
    """To its own dtype; or back from a wider one; or of a constant."""
    (x,), dtype = eqn.inputs, eqn.out.aval.dtype
    if x.aval.dtype == dtype:
        return x
    inner = view.definition(x, "cast")
    if inner is None:
        return None
    (source,) = inner.inputs
    if np.can_cast(source.aval.dtype, x.aval.dtype) and view.movable(source):
        return cast_to(source, dtype)
    return None


def _unchanged(eqn: Eqn) -> bool:
    return eqn.inputs[0].aval.shape == eqn.out.aval.shape


def spread(eqn: Eqn, view: View) -> Any:
    """`broadcast` to its own shape; of a broadcast."""
    (x,), axes = eqn.inputs, eqn.params["axes"]
    if _unchanged(eqn):
        return x
    inner = view.definition(x, "broadcast")
    if inner is None or not view.movable(inner.inputs[0]):
        return None
    through = tuple(axes[k] for k in inner.params["axes"])
    return broadcast(inner.inputs[0], shape=eqn.params["shape"], axes=through)


def reshaped(eqn: Eqn, view: View) -> Any:
    """`reshape` to its own shape; of a reshape; of a constant."""
    (x,), shape = eqn.inputs, eqn.params["shape"]
    if _unchanged(eqn):
        return x
    inner = view.definition(x, "reshape")
    if inner is not None and view.movable(inner.inputs[0]):
        return reshape(inner.inputs[0], shape=shape)
    fill = view.definition(x, "broadcast")
    if fill is not None and not fill.inputs[0].aval.shape:
        return broadcast(fill.inputs[0], shape=shape, axes=())
    return None


def transposed(eqn: Eqn, view: View) -> Any:
    """`transpose` that leaves the axes; of a transpose; of a constant; of a product."""
    (x,), perm = eqn.inputs, eqn.params["perm"]
    if perm == tuple(range(len(perm))):
        return x
    inner = view.definition(x, "transpose")
    if inner is not None and view.movable(inner.inputs[0]):
        first = inner.params["perm"]
        return transpose(inner.inputs[0], perm=tuple(first[k] for k in perm))
    fill = view.definition(x, "broadcast")
    if fill is not None and not fill.inputs[0].aval.shape:
        return broadcast(fill.inputs[0], shape=eqn.out.aval.shape, axes=())
    product = view.definition(x, "dot")
    if product is not None and view.once(product.out):
        return _turned(product, view)
    return None


def _turned(product: Eqn, view: View) -> Any:
    """The transpose of a product of two axes: the operands change places."""
    (ca, cb), (a, b) = product.params["contract"], product.inputs
    sides = a.aval.ndim - len(ca), b.aval.ndim - len(cb)
    movable = view.movable(a) and view.movable(b)
    if sides != (1, 1) or product.params["batch"] or not movable:
        return None
    return dot(b, a, contract=(cb, ca), batch=0)


def along_memory(eqn: Eqn, view: View) -> Any:
    """A reduction of a transpose: of the array as it lies."""
    (x,), axes = eqn.inputs, eqn.params["axes"]
    inner = view.definition(x, "transpose")
    if inner is None or not axes or not view.movable(inner.inputs[0]):
        return None
    perm = inner.params["perm"]
    kept = [perm[k] for k in range(len(perm)) if k not in axes]
    through = tuple(sorted(perm[k] for k in axes))
    out = eqn.prim(inner.inputs[0], **eqn.params | {"axes": through})
    order = sorted(kept)
    turned = tuple(order.index(k) for k in kept)
    return out if kept == order else transpose(out, perm=turned)


def elements_of_transposes(eqn: Eqn, view: View) -> Any:
    """A function of transposes: the transpose of what it gives for the arrays as they
    lie. What reads that may have no need of the transpose."""
    perms = {d.params["perm"] for a in eqn.inputs if (d := _transpose_at(a, view))}
    if len(perms) != 1:
        return None
    (perm,) = perms
    operands = [_as_it_lies(a, perm, view) for a in eqn.inputs]
    if None in operands:
        return None
    return transpose(eqn.prim(*operands, **eqn.params), perm=perm)


def _transpose_at(atom: Atom, view: View) -> Eqn | None:
    return view.definition(atom, "transpose")


def _as_it_lies(atom: Atom, perm: tuple[int, ...], view: View) -> Atom | None:
    """What an operand is a transpose of; a number, or a row that is spread, is one."""
    if not atom.aval.shape:
        return atom
    inner = view.definition(atom, "transpose")
    if inner is not None:
        return inner.inputs[0] if view.movable(inner.inputs[0]) else None
    spread = view.definition(atom, "broadcast")
    if spread is None or not view.movable(spread.inputs[0]):
        return None
    axes = tuple(perm[k] for k in spread.params["axes"])
    shape = tuple(atom.aval.shape[perm.index(k)] for k in range(len(perm)))
    if axes != tuple(sorted(axes)):
        return None
    return broadcast(spread.inputs[0], shape=shape, axes=axes)


def multiplied(eqn: Eqn, view: View) -> Any:
    """`dot` of a transpose that leaves the order of the axes that stay."""
    batch, contract = eqn.params["batch"], list(eqn.params["contract"])
    operands = list(eqn.inputs)
    for k, x in enumerate(eqn.inputs):
        inner = view.definition(x, "transpose")
        if inner is None or not view.movable(inner.inputs[0]):
            continue
        perm = inner.params["perm"]
        rest = [perm[axis] for axis in range(len(perm)) if axis not in contract[k]]
        if rest == sorted(rest) and perm[:batch] == tuple(range(batch)):
            contract[k] = tuple(perm[axis] for axis in contract[k])
            operands[k] = inner.inputs[0]
    if operands == eqn.inputs:
        return None
    return dot(*operands, contract=tuple(contract), batch=batch)


def flipped(eqn: Eqn, view: View) -> Any:
    """`flip` of no axis, or of its own result."""
    (x,), axes = eqn.inputs, eqn.params["axes"]
    inner = view.definition(x, "flip")
    if not axes:
        return x
    if inner is not None and inner.params["axes"] == axes:
        return inner.inputs[0] if view.movable(inner.inputs[0]) else None
    return None


def single(eqn: Eqn, view: View) -> Any:
    """`concatenate` of one array."""
    return eqn.inputs[0] if len(eqn.inputs) == 1 else None


def padded(eqn: Eqn, view: View) -> Any:
    """`pad` by nothing."""
    return eqn.inputs[0] if _unchanged(eqn) else None


def summed(eqn: Eqn, view: View) -> Any:
    """`sum` over no axis; in a derivative, of equal terms: a product."""
    (x,), axes = eqn.inputs, eqn.params["axes"]
    if not axes:
        return x
    inner = view.definition(x, "broadcast")
    if inner is None or eqn.origin is None or not view.movable(inner.inputs[0]):
        return None
    grown = inner.params["axes"]
    if set(axes) & set(grown):
        return None
    extents = [x.aval.shape[k] for k in axes]
    count = Literal(math.prod(map(int, extents)), x.aval.dtype, runtime=True)
    rest = [k for k in range(x.aval.ndim) if k not in axes]
    term = inner.inputs[0] * count
    through = tuple(rest.index(k) for k in grown)
    return broadcast(term, shape=eqn.out.aval.shape, axes=through)


# Indexing -----------------------------------------------------------------------------


def _starts(eqn: Eqn) -> list[Atom]:
    return eqn.inputs[1:] if eqn.prim is getitem else eqn.inputs[2:]


def _whole(eqn: Eqn) -> bool:
    """Whether the part is all of the array, in order."""
    return (
        eqn.params["sizes"] == eqn.inputs[0].aval.shape
        and set(eqn.params["steps"]) <= {1}
        and all(isinstance(s, Literal) and s.value == 0 for s in _starts(eqn))
    )


def _same_part(a: Eqn, b: Eqn, view: View) -> bool:
    return (
        a.params == b.params
        and len(_starts(a)) == len(_starts(b))
        and all(view.same(x, y) for x, y in zip(_starts(a), _starts(b), strict=True))
    )


def _apart(a: Eqn, b: Eqn, view: View) -> bool:
    """Whether two parts of one array have provably nothing in common."""
    parts = (view.ranges.part(_starts(eqn), eqn) for eqn in (a, b))
    return view.ranges.apart(*parts)


def read(eqn: Eqn, view: View) -> Any:
    """`getitem` of all; of what was just written; of a constant."""
    x = eqn.inputs[0]
    if _whole(eqn):
        return x
    write = view.definition(x, "setitem")
    if write is not None:
        v = write.inputs[1]
        if _same_part(eqn, write, view) and view.movable(v):
            return fitted(v, eqn.out.aval)
        # The older array is read instead, later than now: only where the write dies.
        if view.once(write.out) and _apart(eqn, write, view):
            return getitem(write.inputs[0], *_starts(eqn), **eqn.params)
    inner = view.definition(x, "broadcast")
    if inner is not None and view.movable(inner.inputs[0]):
        return _read_broadcast(eqn, inner)
    return None


def _read_broadcast(eqn: Eqn, inner: Eqn) -> Any:
    axes, sizes, steps = inner.params["axes"], eqn.params["sizes"], eqn.params["steps"]
    out = inner.inputs[0]
    starts = _starts(eqn)
    if axes:
        out = getitem(
            out,
            *(starts[k] for k in axes),
            sizes=tuple(sizes[k] for k in axes),
            steps=tuple(steps[k] for k in axes),
        )
    kept = [k for k, n in enumerate(sizes) if n is not None]
    through = tuple(kept.index(k) for k in axes if k in kept)
    return broadcast(out, shape=eqn.out.aval.shape, axes=through)


def write(eqn: Eqn, view: View) -> Any:
    """`setitem` of all; over another one of the same part; of what is there."""
    x, v = eqn.inputs[:2]
    if _whole(eqn):
        return fitted(v, eqn.out.aval)
    source = view.definition(v, "getitem")
    if source is not None and source.inputs[0] is x and _same_part(eqn, source, view):
        return x
    inner = view.definition(x, "setitem")
    if inner is not None and view.once(inner.out) and _same_part(eqn, inner, view):
        return setitem(inner.inputs[0], v, *_starts(eqn), **eqn.params)
    return None


def accumulated(eqn: Eqn, view: View) -> Any:
    """`acc_slice` onto zeros, of zeros, to all, to what was just set to zero."""
    x, v = eqn.inputs[:2]
    if _whole(eqn):
        return fitted(v, eqn.out.aval) if view.zero(x) else x + fitted(v, x.aval)
    if view.zero(v):
        return x
    tiled = _tiled(eqn, view)
    return _onto_zero(eqn, view) if tiled is None else tiled


def _tiled(eqn: Eqn, view: View) -> Any:
    """What is added to all of an array, part by part along one axis, is added at once.

    So it is where one of the parts is most of it: nothing is stored then to join them.
    The adjoint of `np.roll` is one.
    """
    shape = eqn.out.aval.shape
    pairs = zip(eqn.params["sizes"], shape, strict=True)
    axes = [k for k, (n, m) in enumerate(pairs) if n is None or int(n) != int(m)]
    if len(axes) != 1:
        return None
    (axis,) = axes
    whole, covered = int(shape[axis]), 0
    parts: list[tuple[int, int, Eqn]] = []
    step: Eqn | None = eqn
    while covered < whole:
        place = None if step is None else _extent(step, axis)
        if step is None or place is None or len(parts) == FAR:
            return None
        if parts and not view.once(step.out):
            return None
        parts.append((*place, step))
        covered += place[1] - place[0]
        x = step.inputs[0]
        step = view.definition(x, "acc_slice")
    parts.sort(key=lambda part: part[:2])
    if not parts:  # of an array without elements
        return None
    meet = any(a[1] > b[0] for a, b in pairwise(parts))
    values = [part.inputs[1] for _, _, part in parts]
    most = max(hi - lo for lo, hi, _ in parts)
    if meet or 4 * most < 3 * whole or not all(map(view.movable, values)):
        return None
    joined = concatenate(*values, axis=axis)
    return joined if view.zero(x) else x + joined


def _extent(eqn: Eqn, axis: int) -> tuple[int, int] | None:
    """Where an update of all but one axis begins and ends along that one."""
    params, shape = eqn.params, eqn.out.aval.shape
    where = None
    for k, start in enumerate(_starts(eqn)):
        size = params["sizes"][k]
        if not isinstance(start, Literal) or size is None or params["steps"][k] != 1:
            return None
        if k == axis:
            where = int(start.value), int(start.value) + int(size)
        elif int(size) != int(shape[k]):
            return None
    return where


def _onto_zero(eqn: Eqn, view: View) -> Any:
    """What is added to a part just set to 0 is set; other parts may come between."""
    between: list[Eqn] = []
    x = eqn.inputs[0]
    while len(between) < FAR:
        step = view.defs.get(x) if isinstance(x, Var) else None
        if step is None or not step.prim.single or not view.once(step.out):
            return None
        if step.prim is setitem and _same_part(eqn, step, view):
            break
        if step.prim is not acc_slice:
            return None
        # Sums may be formed in any order, if they are not the user's own.
        if eqn.origin is None and not _apart(eqn, step, view):
            return None
        between.append(step)
        x = step.inputs[0]
    else:
        return None
    if not view.zero(step.inputs[1]):
        return None
    out = setitem(step.inputs[0], eqn.inputs[1], *_starts(eqn), **eqn.params)
    for later in reversed(between):
        out = acc_slice(out, *later.inputs[1:], **later.params)
    return out


STRUCTURE: dict[str, Callable[[Eqn, View], Any]] = {
    "select": choose,
    "cast": cast,
    "broadcast": spread,
    "reshape": reshaped,
    "transpose": transposed,
    "dot": multiplied,
    "flip": flipped,
    "concatenate": single,
    "pad": padded,
    "sum": lambda eqn, view: summed(eqn, view) or along_memory(eqn, view),
    **dict.fromkeys(("prod", "max", "min", "any", "all"), along_memory),
    "getitem": read,
    "setitem": write,
    "acc_slice": accumulated,
}


def may_forward(eqn: Eqn, view: View) -> bool:
    """Whether anything of the above is about such an equation."""
    name = eqn.prim.name
    if name in STRUCTURE or name in chains.RULES or _foldable(eqn, view):
        return True
    return _is_of_transposes(eqn, view)


def _is_of_transposes(eqn: Eqn, view: View) -> bool:
    elementwise = eqn.prim.kind == "elementwise"
    return elementwise and any(_transpose_at(a, view) for a in eqn.inputs)


def forward(eqn: Eqn, view: View) -> Any:
    """Whatever of the above fits."""
    folded = fold(eqn, view)
    if folded is not None:
        return folded
    for rules in (STRUCTURE, chains.RULES):
        rule = rules.get(eqn.prim.name)
        found = None if rule is None else rule(eqn, view)
        if found is not None:
            return found
    if _is_of_transposes(eqn, view):
        return elements_of_transposes(eqn, view)
    return None


__all__ = ["STRUCTURE", "forward", "may_forward"]
