"""`scipy.signal` and `scipy.ndimage` where they are C code, as plain NumPy.

These functions are staged as a user's helpers would be. All but the ranks are linear
in the data: sums of windows times weights, or recurrences.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Recurrences --------------------------------------------------------------------------


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """`scipy.signal.lfilter`: the direct form II transposed.

    Oppenheim and Schafer, Discrete-Time Signal Processing, section 6.3.
    """
    b, a, x = np.atleast_1d(b), np.atleast_1d(a), np.asarray(x)
    order = max(len(a), len(b))
    b = np.concatenate([b, np.zeros(order - len(b), b.dtype)]) / a[0]
    a = np.concatenate([a, np.zeros(order - len(a), a.dtype)]) / a[0]
    rows = np.moveaxis(x, axis, 0)
    dtype = np.result_type(b, a, x, 0.0)
    y = np.zeros(rows.shape, dtype)
    z = np.zeros((order, *rows.shape[1:]), dtype)
    if zi is not None:
        z[:-1] = np.moveaxis(zi, axis, 0)
    for t in range(len(rows)):
        y[t] = b[0] * rows[t] + z[0]
        for k in range(order - 1):
            z[k] = z[k + 1] + b[k + 1] * rows[t] - a[k + 1] * y[t]
    y = np.moveaxis(y, 0, axis)
    return y if zi is None else (y, np.moveaxis(z[:-1], 0, axis))


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """`scipy.signal.sosfilt`: one section after the other."""
    sos, y, after = np.asarray(sos), np.asarray(x), []
    for k in range(len(sos)):
        if zi is None:
            y = lfilter(sos[k, :3], sos[k, 3:], y, axis)
        else:
            y, z = lfilter(sos[k, :3], sos[k, 3:], y, axis, zi[k])
            after.append(z)
    return y if zi is None else (y, np.array(after))


# Sums of windows ----------------------------------------------------------------------


def _accumulate(out: Any, x: Any, w: Any, axis: int) -> None:
    """Add to `out` all windows of `x`, times `w`, along the axes from `axis` on."""
    if w.ndim == 0:
        out += w * x
        return
    extent, lead = x.shape[axis] - len(w) + 1, (slice(None),) * axis
    for j in range(len(w)):
        _accumulate(out, x[(*lead, slice(j, j + extent))], w[j], axis + 1)


def _correlated(x: Any, w: Any) -> Any:
    """The sum of every window of `x` that is as large as `w`, times that."""
    inner = [n - m + 1 for n, m in zip(x.shape, w.shape, strict=False)]
    out = np.zeros((*inner, *x.shape[w.ndim :]), np.result_type(x, w))
    _accumulate(out, x, w, 0)
    return out


_BEYOND = {"fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap"}
_BEYOND |= {"symm": "symmetric", "symmetric": "symmetric"}


def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """`scipy.signal.correlate2d`."""
    x, w = np.asarray(in1), np.conj(np.asarray(in2))
    if mode == "valid" and x.shape[0] <= w.shape[0] and x.shape[1] <= w.shape[1]:
        return _correlated(np.conj(w), np.conj(x))[::-1, ::-1]
    extra = [m - 1 for m in w.shape]
    if mode == "same":
        x = _around(x, [k // 2 for k in extra], extra, boundary, fillvalue)
    elif mode == "full":
        x = _around(x, extra, [2 * k for k in extra], boundary, fillvalue)
    return _correlated(x, w)


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """`scipy.signal.convolve2d`."""
    x, w = np.asarray(in1), np.asarray(in2)
    if mode == "valid" and x.shape[0] <= w.shape[0] and x.shape[1] <= w.shape[1]:
        x, w = w, x
    extra = [m - 1 for m in w.shape]
    if mode == "same":
        x = _around(x, [m // 2 for m in w.shape], extra, boundary, fillvalue)
    elif mode == "full":
        x = _around(x, extra, [2 * k for k in extra], boundary, fillvalue)
    return _correlated(x, w[::-1, ::-1])


def _around(x: Any, before: Any, extra: Any, boundary: str, value: Any) -> Any:
    """`x` with so much `extra` along each axis, `before` it and behind."""
    kind: Any = _BEYOND[boundary]
    widths = [(k, n - k) for k, n in zip(before, extra, strict=True)]
    if kind == "constant":
        return np.pad(x, widths, constant_values=value)
    return np.pad(x, widths, kind)


def upfirdn(
    h: Any,
    x: Any,
    up: int = 1,
    down: int = 1,
    axis: int = -1,
    mode: str = "constant",
    cval: Any = 0,
) -> Any:
    """`scipy.signal.upfirdn`: zeros between samples, a filter, a part of what comes."""
    h, rows = np.asarray(h), np.moveaxis(np.asarray(x), axis, 0)
    if mode != "constant" or cval:
        raise NotImplementedError("upfirdn with a mode")
    size = (len(rows) - 1) * up + 1
    spread = np.zeros((size + 2 * (len(h) - 1), *rows.shape[1:]), rows.dtype)
    spread[len(h) - 1 : len(h) - 1 + size : up] = rows
    dtype = np.result_type(h, x, np.float32)
    out = _correlated(spread, h[::-1])[::down].astype(dtype)
    return np.moveaxis(out, 0, axis)


_EDGES = {"reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect"}
_EDGES |= {"nearest": "edge", "wrap": "wrap", "grid-wrap": "wrap"}


def _padded(x: Any, widths: Any, mode: str, cval: Any) -> Any:
    if mode in ("constant", "grid-constant"):
        return np.pad(x, widths, constant_values=cval)
    kind: Any = _EDGES[mode]
    return np.pad(x, widths, kind)


def _sides(x: Any, size: int, axis: int, origin: int) -> Any:
    """How much is added along an axis, in front and behind."""
    before = size // 2 + origin
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, size - 1 - before)
    return widths


def _stored(result: Any, x: Any, output: Any) -> Any:
    """The result in the dtype of the data, or in `output`."""
    if isinstance(output, np.ndarray):
        output[...] = result
        return output
    return result.astype(x.dtype if output is None else output)


def _real(x: Any) -> Any:
    """In double precision, as the C code computes."""
    return x.astype(np.result_type(x, np.float64))


def correlate1d(
    input: Any,
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """`scipy.ndimage.correlate1d`."""
    x, w = np.asarray(input), np.conj(np.asarray(weights))
    axis = axis % x.ndim
    padded = _padded(_real(x), _sides(x, len(w), axis, origin), mode, cval)
    out = np.zeros(x.shape, np.result_type(padded, w))
    _accumulate(out, padded, _real(w), axis)
    return _stored(out, x, output)


def uniform_filter1d(
    input: Any,
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """`scipy.ndimage.uniform_filter1d`."""
    weights = np.ones(size) / size
    return correlate1d(input, weights, axis, output, mode, cval, origin)


def correlate(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
) -> Any:
    """`scipy.ndimage.correlate`."""
    x, w = np.asarray(input), np.conj(np.asarray(weights))
    origins = [origin] * x.ndim if np.ndim(origin) == 0 else origin
    before = [m // 2 + k for m, k in zip(w.shape, origins, strict=True)]
    widths = [(k, m - 1 - k) for m, k in zip(w.shape, before, strict=True)]
    return _stored(
        _correlated(_padded(_real(x), widths, mode, cval), _real(w)), x, output
    )


def convolve(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
) -> Any:
    """`scipy.ndimage.convolve`."""
    w = np.conj(np.flip(np.asarray(weights)))
    origins = [origin] * w.ndim if np.ndim(origin) == 0 else origin
    turned = [-k - (m % 2 == 0) for m, k in zip(w.shape, origins, strict=True)]
    return correlate(input, w, output, mode, cval, turned)


# Ranks of windows ---------------------------------------------------------------------


def maximum_filter1d(
    input: Any,
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """`scipy.ndimage.maximum_filter1d`."""
    x = np.asarray(input)
    padded = _padded(x, _sides(x, size, axis % x.ndim, origin), mode, cval)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis)
    return _stored(np.max(windows, axis=-1), x, output)


def minimum_filter1d(
    input: Any,
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """`scipy.ndimage.minimum_filter1d`."""
    return _stored(
        -maximum_filter1d(-np.asarray(input), size, axis, None, mode, -cval, origin),
        np.asarray(input),
        output,
    )


def _middle(padded: Any, size: Any) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)
    rows = np.sort(windows.reshape((*windows.shape[: len(size)], -1)), axis=-1)
    return rows[..., rows.shape[-1] // 2]


def median_filter(
    input: Any, size: Any, *, output: Any = None, mode: str = "reflect", cval: Any = 0.0
) -> Any:
    """`scipy.ndimage.median_filter` of windows of a size."""
    x = np.asarray(input)
    sizes = [size] * x.ndim if np.ndim(size) == 0 else list(size)
    widths = [(m // 2, m - 1 - m // 2) for m in sizes]
    return _stored(_middle(_padded(x, widths, mode, cval), sizes), x, output)


def medfilt(volume: Any, kernel_size: Any = 3) -> Any:
    """`scipy.signal.medfilt`: zeros are around."""
    return median_filter(volume, kernel_size, mode="constant")


# Between samples ----------------------------------------------------------------------


def map_coordinates(
    input: Any,
    coordinates: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> Any:
    """`scipy.ndimage.map_coordinates`, linear (or the nearest sample)."""
    x, places = np.asarray(input), np.asarray(coordinates)
    if order > 1 or mode not in ("constant", "nearest"):
        raise NotImplementedError(
            "map_coordinates but order 0 and 1, constant, nearest"
        )
    inside = np.ones(places.shape[1:], bool)
    corners: list[Any] = [(1.0, ())]
    for k in range(x.ndim):
        end, at = x.shape[k] - 1, places[k]
        inside &= (at >= 0) & (at <= end)
        at = np.clip(at, 0, end)
        if order == 0:
            at = np.floor(at + 0.5)
        low = np.minimum(np.floor(at).astype(int), max(end - 1, 0))
        high, part = np.minimum(low + 1, end), at - low
        corners = [
            (weight * share, (*index, where))
            for weight, index in corners
            for share, where in ((1 - part, low), (part, high))
        ]
    out = sum(weight * x[index] for weight, index in corners)
    if mode == "constant":
        out = np.where(inside, out, cval)
    return _stored(out, x, output)


#: By the names of SciPy's functions.
PROGRAMS = {
    **{f"scipy.signal.{f.__name__}": f for f in (lfilter, sosfilt, medfilt)},
    **{f"scipy.signal.{f.__name__}": f for f in (correlate2d, convolve2d, upfirdn)},
    **{
        f"scipy.ndimage.{f.__name__}": f
        for f in (
            *(correlate1d, uniform_filter1d, correlate, convolve, median_filter),
            *(maximum_filter1d, minimum_filter1d, map_coordinates),
        )
    },
}
