"""The discrete Fourier transform, for kernels: see `helpers`.

Stockham's self-sorting form for any factors; where a prime factor is large, the
transform becomes a convolution whose length is a power of two (Bluestein).
"""

from __future__ import annotations

import math
from typing import Any


def _tj_factor(n: int) -> int:
    """The smallest prime factor, of a number over 1."""
    r = 2
    while r * r <= n:
        if n % r == 0:
            return r
        r += 1
    return n


def _tj_roots(n: int, inverse: bool, roots: Any) -> None:
    """The n-th roots of unity, in the order of the exponents."""
    for k in range(n):
        angle = 2 * math.pi * k / n
        sine = math.sin(angle)
        roots[k] = complex(math.cos(angle), sine if inverse else -sine)


def _tj_stockham(n: int, roots: Any, x: Any, other: Any) -> None:
    """The transform of the first n numbers of x, in place; `other` is room."""
    source, target, done, swapped = x, other, 1, False
    while done < n:
        r = _tj_factor(n // done)
        rows, step = n // r, n // (done * r)
        for i in range(rows):
            k = i % done
            for q in range(r):
                turn = (k + q * done) * step
                at, total = 0, source[i]
                for t in range(1, r):
                    at += turn
                    if at >= n:
                        at -= n
                    total += source[i + t * rows] * roots[at]
                target[(i - k) * r + k + q * done] = total
        source, target, swapped = target, source, not swapped
        done *= r
    if swapped:
        for k in range(n):
            x[k] = other[k]


def _tj_chirp(n: int, m: int, inverse: bool, roots: Any, chirp: Any, room: Any) -> None:
    """The transform of the chirp that Bluestein convolves with, of length m."""
    for k in range(m):
        chirp[k] = complex(0.0, 0.0)
    for k in range(n):
        angle = math.pi * (k * k % (2 * n)) / n
        sine = math.sin(angle)
        chirp[k] = complex(math.cos(angle), -sine if inverse else sine)
        if k:
            chirp[m - k] = chirp[k]
    _tj_stockham(m, roots, chirp, room)


def _tj_bluestein(
    n: int, m: int, inverse: bool, roots: Any, chirp: Any, x: Any, room: Any
) -> None:
    """The transform of the first n of x, in place, by one of length m and back."""
    for k in range(n):
        angle = math.pi * (k * k % (2 * n)) / n
        sine = math.sin(angle)
        x[k] = x[k] * complex(math.cos(angle), sine if inverse else -sine)
    for k in range(n, m):
        x[k] = complex(0.0, 0.0)
    _tj_stockham(m, roots, x, room)
    for k in range(m):
        x[k] = (x[k] * chirp[k]).conjugate()
    _tj_stockham(m, roots, x, room)
    for k in range(n):
        angle = math.pi * (k * k % (2 * n)) / n
        sine = math.sin(angle)
        turn = complex(math.cos(angle), sine if inverse else -sine)
        x[k] = x[k].conjugate() * turn / m


def _tj_dft(
    inverse: bool,
    outer: int,
    n: int,
    inner: int,
    m: int,
    x: Any,
    out: Any,
    roots: Any,
    chirp: Any,
    line: Any,
    room: Any,
) -> None:
    """out = the transform of x (outer, n, inner) along its middle axis.

    Room is for m numbers: n, or the length for Bluestein.
    """
    _tj_roots(m, inverse and m == n, roots)
    if m > n:
        _tj_chirp(n, m, inverse, roots, chirp, room)
    for row in range(outer):
        for column in range(inner):
            start = row * n * inner + column
            for k in range(n):
                line[k] = x[start + k * inner]
            if m > n:
                _tj_bluestein(n, m, inverse, roots, chirp, line, room)
            else:
                _tj_stockham(n, roots, line, room)
            for k in range(n):
                out[start + k * inner] = line[k]


#: By the name they have in kernels.
HELPERS = {
    f.__name__: f
    for f in (
        *(_tj_factor, _tj_roots, _tj_stockham, _tj_chirp, _tj_bluestein),
        _tj_dft,
    )
}
