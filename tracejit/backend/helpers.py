"""Functions that kernels call by name, in plain Python.

Numba compiles them as they stand, except those that `numba_compile` replaces by
instructions Python cannot name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.backend import fft_helpers, matrix_helpers, sort_helpers
from tracejit.backend.names import DTYPES
from tracejit.ops.scalars import SCALARS
from tracejit.ops.ufuncs import calls_in, plain_call


def _tj_add(total: Any, value: Any) -> Any:
    """One term of a sum that may be taken in any order."""
    return total + value


def _tj_mul(total: Any, value: Any) -> Any:
    """One factor of a product that may be taken in any order."""
    return total * value


def _tj_pow(base: Any, exponent: Any) -> Any:
    """A power of numbers of one dtype."""
    return base**exponent


def _tj_select(pred: Any, a: Any, b: Any) -> Any:
    """One of two values at hand: an instruction, where an expression would branch."""
    return a if pred else b


def _tj_unless_zero(a: Any, x: Any) -> Any:
    """`x`, but 0 where `a` is."""
    return x if a != 0 else type(x)(0)


def _tj_foreseen(guess: Any, x: Any) -> Any:
    """`x`, for which there is a guess that is earlier at hand, and mostly right."""
    return x


def _tj_fma(a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once where the processor can."""
    return a * b + c


def _tj_if_finite(x: Any, other: Any) -> Any:
    """`x`, but the other number where it is infinite or NaN."""
    return x if math.isfinite(x) else other


def _tj_hidden(x: int) -> int:
    """The same number, of which the compiler knows nothing."""
    return x


def _tj_stride(n: int) -> int:
    """The same extent, by which LLVM steps as it is: it would make vectors for an
    extent of 1 alone."""
    return n


def _tj_integer_pow(x: Any, n: int) -> Any:
    """A power of a complex number by repeated squaring."""
    if n == 0:
        return complex(1.0, 0.0)
    square, rest = x, abs(n)
    while rest & 1 == 0:
        square = square * square
        rest >>= 1
    out = square
    rest >>= 1
    while rest:
        square = square * square
        if rest & 1:
            out = out * square
        rest >>= 1
    return np.true_divide(1, out) if n < 0 else out


def _tj_complex_exp(x: Any) -> Any:
    """exp(a + bi), all of it for vectors. As in C, exp(a) may be beyond the largest
    number where the result is not, and what is infinite outweighs what is not known."""
    a, b = float(x.real), float(x.imag)
    large = a > 700.0
    e = math.exp(_tj_select(large, a - 700.0, a))
    scale = _tj_select(large, 1.0142320547350045e304, 1.0)  # exp(700)
    real, imag = e * math.cos(b) * scale, e * math.sin(b) * scale
    endless = b - b != 0.0
    low, high = endless & (a == -math.inf), endless & (a == math.inf)
    real = _tj_select(low, 0.0, _tj_select(high, a, real))
    return complex(real, _tj_select(low, 0.0, _tj_select(b == 0.0, b, imag)))


def _tj_complex_div(x: Any, y: Any) -> Any:
    """x / y as NumPy does it, by the quotient of y's parts, without a branch."""
    a, b, c, d = float(x.real), float(x.imag), float(y.real), float(y.imag)
    first = abs(c) >= abs(d)
    zero = (c == 0.0) & (d == 0.0)
    large = _tj_select(zero, abs(c), _tj_select(first, c, d))
    ratio = _tj_select(first, d, c) / _tj_select(zero, 1.0, large)
    scale = 1.0 / _tj_select(zero, large, large + _tj_select(first, d, c) * ratio)
    m, n = _tj_select(first, a, b), _tj_select(first, b, a)
    real = m + _tj_select(zero, 0.0, n * ratio)
    turned = _tj_select(zero, 0.0, m * ratio)
    imag = _tj_select(first, n - turned, turned - n)
    return complex(real * scale, imag * scale)


def _tj_complex_pow(x: Any, y: Any) -> Any:
    """A power of complex numbers, exp(y log x): small integer ones by squaring."""
    a, b, c, d = float(x.real), float(x.imag), float(y.real), float(y.imag)
    if d == 0 and c == math.floor(c) and abs(c) < 100:
        return _tj_integer_pow(complex(a, b), int(c))
    if a == 0 and b == 0:
        # Of 0 there are powers with positive real exponents.
        return complex(0.0, 0.0) if d == 0 and c > 0 else complex(math.nan, math.nan)
    size, angle = math.log(math.hypot(a, b)), math.atan2(b, a)
    modulus, turn = math.exp(c * size - d * angle), c * angle + d * size
    return complex(modulus * math.cos(turn), modulus * math.sin(turn))


def _tj_max(best: Any, value: Any) -> Any:
    """The greater, or NaN if there is one."""
    return best if best >= value or best != best else value


def _tj_min(best: Any, value: Any) -> Any:
    """The smaller, or NaN if there is one."""
    return best if best <= value or best != best else value


def _tj_trips(lo: int, hi: int, step: int) -> int:
    """The length of range(lo, hi, step)."""
    if step > 0:
        return max((hi - lo + step - 1) // step, 0)
    return max((lo - hi - step - 1) // -step, 0)


def _tj_tape(zero: Any) -> Any:
    """A tape without rows, of the dtype of `zero`."""
    return np.zeros(0, type(zero))


def _tj_local(zero: Any, size: int) -> Any:
    """Room for a few numbers of the dtype of `zero`, for as long as the kernel runs."""
    return np.empty(size, type(zero))


def _tj_grow(tape: Any, old: int, new: int) -> Any:
    """The tape with room for `new` numbers; those behind the first `old` are zero."""
    tape = _tj_realloc(tape, new)
    for k in range(old, new):
        tape[k] = 0
    return tape


def _tj_realloc(tape: Any, size: int) -> Any:
    """The tape moved to where there is room for `size` numbers."""
    return np.concatenate([tape, np.empty(size - len(tape), tape.dtype)])


def _tj_clear(tape: Any, size: int) -> None:
    for k in range(size):
        tape[k] = 0


def _tj_copy(tape: Any, source: Any, size: int) -> None:
    for k in range(size):
        tape[k] = source[k]


def _tj_free(tape: Any) -> None:
    """Gives a tape's memory back; Python does that by itself."""


def _tj_threads(part: Any, parts: int, threads: int, *args: Any) -> int:
    """The parts of a loop; the status of the first that fails, or 0."""
    for k in range(parts):
        status = part(k, *args)
        if status:
            return status
    return 0


#: By the name they have in kernels.
HELPERS: dict[str, Callable[..., Any]] = (
    {
        f.__name__: f
        for f in (
            *(_tj_add, _tj_mul, _tj_pow, _tj_integer_pow, _tj_complex_pow),
            *(_tj_complex_exp, _tj_complex_div),
            *(_tj_select, _tj_unless_zero, _tj_foreseen, _tj_if_finite),
            *(_tj_fma, _tj_hidden, _tj_stride),
            *(_tj_max, _tj_min, _tj_trips),
            *(
                _tj_local,
                _tj_tape,
                _tj_realloc,
                _tj_grow,
                _tj_clear,
                _tj_copy,
                _tj_free,
            ),
            _tj_threads,
        )
    }
    | matrix_helpers.HELPERS
    | sort_helpers.HELPERS
    | fft_helpers.HELPERS
    | SCALARS
)


def plain_globals(text: str = "") -> dict[str, Any]:
    """The globals of a kernel that runs as plain Python, for what its text calls."""
    dtypes = {name: getattr(np, name) for name in DTYPES}
    loops = {call: plain_call(*parts) for call, parts in calls_in(text).items()}
    return {"math": math, "np": np} | dtypes | {"bool": np.bool_} | HELPERS | loops
