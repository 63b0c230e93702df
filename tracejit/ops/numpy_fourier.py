"""`np.fft` as programs, all of them by the primitive `dft`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.base.errors import OperandTypeError, ShapeMismatchError
from tracejit.ir.builder import current
from tracejit.ir.program import Atom
from tracejit.ops import fourier
from tracejit.ops.numpy_names import apply, conjugate, emit, implements, real
from tracejit.ops.numpy_reduce import normal_axis
from tracejit.ops.numpy_shape import part, roll
from tracejit.ops.promote import computed, convert, strong

_DECLARES = (fourier,)


def _complex(x: Any) -> Atom:
    x = strong(x)
    return convert(x, np.result_type(x.aval.dtype, np.complex64))


def _require_real(x: Any) -> Atom:
    x = strong(x)
    if x.aval.dtype.kind == "c":
        raise OperandTypeError(
            "a transform of real numbers was given complex ones",
            current().loc,
            "np.fft.fft, or the part that is meant: x.real",
        )
    return _complex(x)


def _fitted(x: Atom, n: Any, axis: int) -> Atom:
    """The first n elements along an axis, zeros where there are fewer."""
    have = x.aval.shape[axis]
    n = have if n is None else n.__index__()
    if n < 1:
        raise ShapeMismatchError(
            f"Invalid number of FFT data points ({int(n)}) specified.", current().loc
        )
    if n < have:
        return part(x, axis, 0, n)
    if n == have:
        return x
    lo = (0,) * x.aval.ndim
    hi = tuple([n - have if k == axis else 0 for k in range(x.aval.ndim)])
    return emit("pad", x, convert(0, x.aval.dtype), lo=lo, hi=hi)


def _scaled(x: Atom, n: int, norm: Any, inverse: bool) -> Atom:
    """Divided by what `norm` says belongs to this direction."""
    if norm not in (None, "backward", "ortho", "forward"):
        raise ShapeMismatchError(
            f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".',
            current().loc,
        )
    if norm == "ortho":
        return apply(np.multiply, x, computed(int(n) ** -0.5, x.aval.dtype))
    if (norm == "forward") == inverse:
        return x
    return apply(np.multiply, x, computed(1 / int(n), x.aval.dtype))


def _transform(x: Atom, n: Any, axis: Any, norm: Any, inverse: bool) -> Atom:
    axis = normal_axis(axis, x.aval.ndim)
    x = _fitted(x, n, axis)
    out = emit("dft", x, axis=axis, inverse=inverse)
    return _scaled(out, x.aval.shape[axis], norm, inverse)


@implements(np.fft.fft)
def fft(x: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Atom:
    """`np.fft.fft`."""
    return _transform(_complex(x), n, axis, norm, False)


@implements(np.fft.ifft)
def ifft(x: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Atom:
    """`np.fft.ifft`."""
    return _transform(_complex(x), n, axis, norm, True)


@implements(np.fft.rfft)
def rfft(x: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Atom:
    """`np.fft.rfft`: the half that determines the other."""
    out = _transform(_require_real(x), n, axis, norm, False)
    axis = normal_axis(axis, out.aval.ndim)
    return part(out, axis, 0, out.aval.shape[axis] // 2 + 1)


@implements(np.fft.irfft)
def irfft(x: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Atom:
    """`np.fft.irfft`: the other half is the conjugate, from the last to the second.

    What the first (and the middle) element have of an imaginary part goes into that of
    the result, which is left out.
    """
    x = _complex(x)
    axis = normal_axis(axis, x.aval.ndim)
    n = 2 * (x.aval.shape[axis] - 1) if n is None else n.__index__()
    half = _fitted(x, n // 2 + 1 if n > 0 else 0, axis)
    mirrored = part(half, axis, 1, (n - 1) // 2) if n > 2 else None
    if mirrored is not None:
        turned = emit("flip", conjugate(mirrored), axes=(axis,))
        half = emit("concatenate", half, turned, axis=axis)
    return real(_transform(half, n, axis, norm, True))


_OTHER = {None: "forward", "backward": "forward", "forward": "backward"}


@implements(np.fft.hfft)
def hfft(x: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Atom:
    """`np.fft.hfft`."""
    return irfft(conjugate(_complex(x)), n, axis, _OTHER.get(norm, norm))


@implements(np.fft.ihfft)
def ihfft(x: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Atom:
    """`np.fft.ihfft`."""
    return conjugate(rfft(x, n, axis, _OTHER.get(norm, norm)))


# Several axes -------------------------------------------------------------------------


def _several(x: Atom, s: Any, axes: Any) -> list[tuple[Any, int]]:
    """The length (None: its own) and number of each axis to transform, in order."""
    if axes is None:
        count = x.aval.ndim if s is None else len(s)
        axes = range(-count, 0)
    lengths: Sequence[Any] = [None] * len(axes) if s is None else list(s)
    if len(lengths) != len(axes):
        raise ShapeMismatchError(
            "Shape and axes have different lengths.", current().loc
        )
    # NumPy takes -1 for the whole axis.
    lengths = [None if n == -1 else n for n in lengths]
    return list(zip(lengths, axes, strict=True))


def _over_axes(inverse: bool, default: Any) -> Callable[..., Atom]:
    def program(x: Any, s: Any = None, axes: Any = default, norm: Any = None) -> Atom:
        x = _complex(x)
        for n, axis in reversed(_several(x, s, axes)):
            x = _transform(x, n, axis, norm, inverse)
        return x

    return program


def _real_over_axes(default: Any) -> Callable[..., Atom]:
    def program(x: Any, s: Any = None, axes: Any = default, norm: Any = None) -> Atom:
        x = strong(x)
        *rest, (n, axis) = _several(x, s, axes)
        out = rfft(x, n, axis, norm)
        for n, axis in reversed(rest):
            out = fft(out, n, axis, norm)
        return out

    return program


def _inverse_real_over_axes(default: Any) -> Callable[..., Atom]:
    def program(x: Any, s: Any = None, axes: Any = default, norm: Any = None) -> Atom:
        x = _complex(x)
        *rest, (n, axis) = _several(x, s, axes)
        for m, k in rest:
            x = ifft(x, m, k, norm)
        return irfft(x, n, axis, norm)

    return program


fftn = implements(np.fft.fftn)(_over_axes(False, None))
ifftn = implements(np.fft.ifftn)(_over_axes(True, None))
fft2 = implements(np.fft.fft2)(_over_axes(False, (-2, -1)))
ifft2 = implements(np.fft.ifft2)(_over_axes(True, (-2, -1)))
rfftn = implements(np.fft.rfftn)(_real_over_axes(None))
rfft2 = implements(np.fft.rfft2)(_real_over_axes((-2, -1)))
irfftn = implements(np.fft.irfftn)(_inverse_real_over_axes(None))
irfft2 = implements(np.fft.irfft2)(_inverse_real_over_axes((-2, -1)))


def _shift(sign: int) -> Callable[..., Atom]:
    def program(x: Any, axes: Any = None) -> Atom:
        x = strong(x)
        if axes is None:
            axes = range(x.aval.ndim)
        axes = (axes,) if isinstance(axes, int) else tuple(axes)
        for k in axes:
            half = int(x.aval.shape[k]) // 2
            x = roll(x, sign * half, k)
        return x

    return program


fftshift = implements(np.fft.fftshift)(_shift(1))
ifftshift = implements(np.fft.ifftshift)(_shift(-1))
