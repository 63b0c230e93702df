"""Elementwise functions of arrays of traced length, and storing (see `ragged`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tracejit.base.errors import CastingError, ShapeMismatchError
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    as_box,
    call,
)
from tracejit.frontend.indexing import getitem
from tracejit.frontend.masked import Masked
from tracejit.frontend.ragged import (
    NEW,
    WHOLE,
    Counters,
    Env,
    Formula,
    Leaf,
    Ragged,
    Span,
    difference,
    from_zero,
    require_same,
    same_place,
    stored,
    write,
)
from tracejit.frontend.trace import current_trace

#: What a NumPy function or a builtin does where a Ragged is among its arguments.
PROGRAMS: dict[Any, Callable[..., Any]] = {}


def does(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter what functions do on arrays of traced length."""

    def enter(program: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS.update(dict.fromkeys(functions, program))
        return program

    return enter


def ragged(value: Any) -> Ragged:
    """Any operand as a Ragged, of no span if need be."""
    if type(value) is Ragged:
        return value
    if type(value) is Masked:
        value.refuse("an array of traced length is paired with them")
    box = as_box(value)
    return Ragged(box, (WHOLE,) * box.aval.ndim)


def finished(formula: Formula, axes: Sequence[Any]) -> Any:
    """An array of these axes: a Ragged, or a box where no length is traced."""
    if any(isinstance(axis, Span) for axis in axes):
        return stored(formula, axes)
    return formula.at([], {})


# Shapes that meet ---------------------------------------------------------------------


def align(operands: Sequence[Ragged]) -> tuple[list[Any], list[Formula]]:
    """The axes of what operands broadcast to, and the operands at their counters."""
    ndim = max(r.ndim for r in operands)
    columns = [[NEW] * (ndim - r.ndim) + list(r.axes) for r in operands]
    axes = [
        common([c[k] for c in columns if isinstance(c[k], Span)]) for k in range(ndim)
    ]
    return axes, [taking(r, axes) for r in operands]


def common(spans: Sequence[Span]) -> Any:
    """The span that all of them are; WHOLE where there is none."""
    if not spans:
        return WHOLE
    for other in spans[1:]:
        require_same(spans[0].length, other.length)
    least = min(spans, key=lambda span: int(span.bound))
    return Span(0, 1, spans[0].length, least.bound)


def taking(r: Ragged, axes: Sequence[Any]) -> Formula:
    """An operand's formula at the counters of a result with these axes.

    Along a span of the result the operand has a span, or one element, or no axis.
    """
    lead = len(axes) - r.ndim
    numbers = [sum(isinstance(a, Span) for a in axes[:k]) for k in range(len(axes))]
    box, kept, mine, at = r.box, [], [], 0
    for own, wanted, number in zip(r.axes, axes[lead:], numbers[lead:], strict=True):
        if not isinstance(wanted, Span):
            kept.append(own)
        elif own is NEW:
            continue
        elif own is WHOLE and box.aval.shape[at] == 1:
            box = getitem(box, (*(slice(None),) * at, 0, ...))
            continue
        else:
            if own is WHOLE:
                extent = box.aval.shape[at]
                require_same(wanted.length, extent)
                own = Span(0, 1, wanted.length, extent)
            kept.append(own)
            mine.append(number)
        at += own is not NEW
    return at_counters(Ragged(box, kept).formula(), mine)


def at_counters(formula: Formula, mine: Sequence[int]) -> Formula:
    """A formula over some of the counters of another one."""

    def at(counters: Counters, env: Env) -> Box:
        return formula.at([counters[k] for k in mine], env)

    leaves = [
        Leaf(
            leaf.ragged,
            leaf.atom,
            None if leaf.counters is None else tuple([mine[c] for c in leaf.counters]),
        )
        for leaf in formula.leaves
    ]
    return Formula(at, tuple(leaves))


#: Functions that reduce by a ufunc.
REDUCED = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.logical_or: np.any,
    np.logical_and: np.all,
    np.maximum: np.max,
    np.minimum: np.min,
}


# Elementwise --------------------------------------------------------------------------


def elementwise(fn: Callable[..., Any], *args: Any) -> Any:
    """`fn` of every element."""
    axes, formulas = align([ragged(a) for a in args])
    numbers = [a if _is_number(a) else None for a in args]

    def at(counters: Counters, env: Env) -> Box:
        values = [
            formula.at(counters, env) if number is None else number
            for formula, number in zip(formulas, numbers, strict=True)
        ]
        return as_box(fn(*values))

    leaves = tuple([leaf for formula in formulas for leaf in formula.leaves])
    return finished(Formula(at, leaves), axes)


def _is_number(value: Any) -> bool:
    """A number of Python's, whose type does not count."""
    return isinstance(value, int | float | complex) or (
        type(value) is Box and value.kind == "python"
    )


def ufunc(fn: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
    """A ufunc, or a method of one."""
    if method == "outer" and not kwargs:
        a, b = map(ragged, args)
        return elementwise(partial(call, fn), column(a, b.ndim), b)
    if method == "reduce" and fn in REDUCED:
        return PROGRAMS[REDUCED[fn]](args[0], *(args[1:] or (0,)), **kwargs)
    if method == "at" and type(args[0]) is Box and len(args) == 3:
        return HANDLERS["scatter at ragged"](*args, fn)
    if method != "__call__":
        ragged(args[0]).refuse(f"np.{fn.__name__}.{method}")
    if fn in PROGRAMS:
        return PROGRAMS[fn](*args, **kwargs)
    args, outs = args[: fn.nin], args[fn.nin :] or kwargs.pop("out", None)
    out = outs[0] if isinstance(outs, tuple) else outs
    if kwargs or fn.nout > 1:
        ragged(args[0]).refuse(f"np.{fn.__name__} with these options")
    result = elementwise(partial(call, fn), *args)
    if out is None:
        return result
    into(out, result, f"ufunc {fn.__name__!r} output")
    return out


def into(out: Any, value: Any, what: str) -> None:
    """Write a result into an array that exists, by NumPy's rules for `out=`."""
    if not np.can_cast(value.dtype, out.dtype, "same_kind"):
        raise CastingError(
            f"Cannot cast {what} from {value.dtype!r} to {out.dtype!r} "
            "with casting rule 'same_kind'",
            current_trace().builder.loc,
            "bind the result to a name of its own: `y = x + …`",
        )
    assign(out, value)


def column(r: Ragged, ndim: int) -> Ragged:
    return Ragged(r.box, [*r.axes, *[NEW] * ndim])


def _of_elements(fn: Any) -> None:
    PROGRAMS[fn] = lambda *args, **kw: elementwise(
        lambda *values: call(fn, *values, **kw), *args
    )


_ELEMENTWISE: list[Any] = [
    *(np.where, np.clip, np.round, np.around, np.nan_to_num, np.real, np.imag),
    *(np.angle, np.sinc, np.isclose, np.fix),
]
for _fn in _ELEMENTWISE:
    _of_elements(_fn)


def astype(x: Ragged, dtype: Any, **options: Any) -> Any:
    """`x.astype(dtype)`."""
    return elementwise(lambda v: v.astype(dtype), x)


# Writing ------------------------------------------------------------------------------


def assign(target: Any, value: Any) -> None:
    """`target[...] = value`, where one of them has a traced length."""
    target = ragged(target)
    target.box.require_writable()
    value = ragged(value)
    while value.ndim > target.ndim and value.axes[0] is NEW:
        value = Ragged(value.box, value.axes[1:])
    if value.ndim > target.ndim:
        raise ShapeMismatchError(
            f"could not broadcast an array of {value.ndim} axes into one of "
            f"{target.ndim}",
            current_trace().builder.loc,
        )
    axes = from_zero(target.axes)
    lead = target.ndim - value.ndim
    for k, axis in enumerate(value.axes, lead):
        if isinstance(axis, Span):
            if axes[k] is WHOLE:
                target, axes[k] = _as_span(target, k, axis)
            require_same(axes[k].length, axis.length)
    write(target, taking(value, axes))


def _as_span(r: Ragged, k: int, span: Span) -> tuple[Ragged, Span]:
    """An axis of known length, taken for one of the traced length that it must have."""
    extent = r.shape[k]
    require_same(extent, span.length)
    if r.axes[k] is NEW:
        r.refuse("storing into an axis of one element")
    new = Span(0, 1, span.length, extent)
    return Ragged(r.box, [*r.axes[:k], new, *r.axes[k + 1 :]]), new


def store(view: Any, value: Any) -> None:
    """`x[key] = value`; nothing is left to do after `x[key] += v`."""
    if isinstance(view, Ragged) and isinstance(value, Ragged) and _same(view, value):
        return
    assign(view, value)


def _same(a: Ragged, b: Ragged) -> bool:
    if not same_place(a.box, b.box) or len(a.axes) != len(b.axes):
        return False
    return all(map(_same_axis, a.axes, b.axes))


def _same_axis(a: Any, b: Any) -> bool:
    if not (isinstance(a, Span) and isinstance(b, Span)):
        return a is b
    starts = difference(a.start, b.start) == 0
    return starts and a.step == b.step and difference(a.length, b.length) == 0


HANDLERS["ragged ufunc"] = ufunc
HANDLERS["ragged store"] = store
