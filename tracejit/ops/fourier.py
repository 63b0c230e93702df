"""The discrete Fourier transform along one axis, without a factor.

    dft(x; axis, inverse)      y_k = Σ_j exp(∓2πi jk / n) x_j

Its matrix is symmetric, so it is its own transpose.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.primitive import Linear


def _dft(x: Any, axis: int, inverse: bool) -> Any:
    if inverse:
        return np.fft.ifft(x, axis=axis, norm="forward")
    return np.fft.fft(x, axis=axis)


def _samples(rng: np.random.Generator) -> list[Any]:
    def draw(*shape: int) -> Any:
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)

    shapes: list[Any] = [((n,), 0) for n in (1, 2, 6, 7, 20)]
    shapes += [((2, 5), 1), ((5, 2), 0), ((2, 6, 3), 1), ((0, 3), 1), ((71,), 0)]
    return [
        ((draw(*shape),), {"axis": axis, "inverse": inverse})
        for shape, axis in shapes
        for inverse in (False, True)
    ]


dft: Linear = Linear(
    "dft",
    _dft,
    lambda x, axis, inverse: x,
    {0: lambda ct, x, axis, inverse: dft(ct, axis=axis, inverse=inverse)},
    samples=_samples,
    cost=50,
    complex=True,
)
