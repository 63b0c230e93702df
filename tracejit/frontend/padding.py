"""`np.pad` in the modes that the plain program does not have, axis by axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.frontend.box import HANDLERS, Box, call, known_box
from tracejit.frontend.numpy_calls import asarray, astype, library
from tracejit.frontend.picking import take
from tracejit.frontend.views import moveaxis
from tracejit.ops.numpy_names import unsupported
from tracejit.ops.numpy_shape import sides

_PLAINLY = HANDLERS[np.pad]
_STATISTICS = {
    "maximum": np.max,
    "minimum": np.min,
    "mean": np.mean,
    "median": np.median,
}


@library(np.pad, arrays=1)
def pad(
    array: Any,
    pad_width: Any,
    mode: Any = "constant",
    *,
    constant_values: Any = 0,
    end_values: Any = 0,
    stat_length: Any = None,
    reflect_type: str = "even",
) -> Box:
    """`np.pad`."""
    box = asarray(array)
    if mode in ("constant", "edge"):
        return _PLAINLY(box, pad_width, mode, constant_values=constant_values)
    if callable(mode) or reflect_type != "even":
        raise unsupported("np.pad by a function, or by odd reflection")
    widths = sides(pad_width, box.aval.ndim, "pad_width")
    for k, (lo, hi) in enumerate(widths):
        box = _SIDES.get(mode, _mirrored)(box, k, int(lo), int(hi), mode, end_values)
        if stat_length is not None and mode in _STATISTICS:
            raise unsupported("np.pad(stat_length=…)")
    return box


def _mirrored(x: Box, axis: int, lo: int, hi: int, mode: str, ends: Any) -> Box:
    """What is there, in the order that padding its numbers says."""
    if not lo and not hi:
        return x
    index = np.pad(np.arange(int(x.aval.shape[axis])), (lo, hi), mode)  # type: ignore[call-overload]
    return take(x, known_box(index), axis)


def _statistic(x: Box, axis: int, lo: int, hi: int, mode: str, ends: Any) -> Box:
    value = call(_STATISTICS[mode], x, axis=axis, keepdims=True)
    if not x.aval.inexact:
        value = call(np.rint, value)
    value = astype(asarray(value), x.aval.dtype)
    parts = [call(np.repeat, value, n, axis=axis) for n in (lo, hi)]
    return call(np.concatenate, [parts[0], x, parts[1]], axis=axis)


def _ramp(x: Box, axis: int, lo: int, hi: int, mode: str, ends: Any) -> Box:
    first, last = sides(ends, x.aval.ndim, "end_values")[axis]
    rows, dtype = moveaxis(x, axis, 0), x.aval.dtype
    left = call(np.linspace, first, rows[0], lo, endpoint=False, dtype=dtype)
    right = call(np.linspace, last, rows[-1], hi, endpoint=False, dtype=dtype)[::-1]
    parts = [asarray(left), rows, asarray(right)]
    whole = call(np.concatenate, [p for p in parts if p.aval.shape[0]])
    return moveaxis(whole, 0, axis)


_SIDES: dict[Any, Callable[..., Box]] = {
    **dict.fromkeys(_STATISTICS, _statistic),
    "linear_ramp": _ramp,
}
