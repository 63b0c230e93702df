"""Text as LLVM instructions: every construct does what it does in Python."""

from __future__ import annotations

import inspect
import math
import textwrap

import numpy as np
import pytest

from tracejit.backend import (
    helpers,
    numba_compile,
    numba_lower,
    numba_scopes,
    object_code,
)
from tracejit.backend.vector_math import Library
from tracejit.base.errors import InternalError

SIGNATURE = ("float64*", "int64", "float64*")


def assigned_again(x, n, out):
    total = 0.0
    last = -1.0
    for i in range(n):
        total = total + x[i]
        if x[i] > 0:
            last = x[i]
    out[0] = total
    out[1] = last
    return 0


def read_behind_the_loop(x, n, out):
    found = 0
    for i in range(n):
        square = x[i] * x[i]
        found = i
    out[0] = square
    out[1] = found
    return 0


def handed_on(x, n, out):
    a, b = x[0], x[1]
    for i in range(2, n):
        out[i] = a - b
        a, b = b, a + x[i]
    return 0


def rotated(x, n, out):
    y, z = x, out
    for i in range(n):
        z[i] = y[i] + 1.0
        spare = y
        y = z
        z = spare
    return 0


def in_steps(x, n, out):
    up, down = n - 3, 3 - n
    for i in range(0, n, up):
        out[i] += 1.0
    for i in range(n - 1, -1, down):
        out[i] += 2.0
    for i in range(n - 1, 0, -2):
        out[i] += 4.0
    for i in range(n, 0):
        out[0] = i
    return 0


def leaves_early(x, n, out):
    k = 0
    while True:
        ok = k < n
        if not ok:
            break
        k += 1
        if x[k - 1] < 0:
            continue
        out[k - 1] = x[k - 1]
        if x[k - 1] > 1.5:
            return 7
    return 0


def inner_breaks(x, n, out):
    for i in range(n):
        for j in range(n):
            if j == i:
                continue
            if x[j] > x[i]:
                out[i] = j
                break
    return 0


def guarded(x, n, out):
    for i in range(-3, n + 3):
        inside = x[i] if 0 <= i < n else 0.5
        out[0] += inside
        if (i >= 0 and i < n and x[i] > 0) or i == n + 1:
            out[1] += 1.0
        if i < 0 or not x[min(i, n - 1)] > 0:
            out[2] += 1.0
    return 0


def chosen(x, n, out):
    for i in range(n):
        a, b = x[i], x[n - 1 - i]
        out[i] = (a if a >= b or a != a else b) + (1 if i in (1, 3) else 0.25)
    out[0] = max(2 * n, n + 1, 16)
    out[1] = min(x[0], x[1], 0.0)
    return 0


def powers(x, n, out):
    out[0] = x[0] ** 3
    out[1] = x[1] ** -2
    out[2] = x[2] ** 0
    out[3] = n**5
    out[4] = -(n**2)
    out[5] = n // -4 + n % 3 + (-n) % 4 + (-7) // 2
    out[6] = (n << 3) ^ (n >> 1) | (n & 5)
    out[7] = math.floor(x[3]) + abs(x[4]) + float(~n)
    return 0


def of_numpy(x, n, out):
    out[0] = np.sign(x[0]) + np.floor(x[1]) + np.gcd(n, 6)
    out[1] = math.frexp(x[2])[1]
    z = complex(x[0], x[1]) * complex(x[2], x[3]).conjugate()
    out[2] = z.real
    out[3] = abs(z)
    out[4] = math.inf if x[0] > 9 else np.pi
    return 0


def calls_helpers(x, n, out):
    _tj_turn(2, 3, x, out)  # noqa: F821
    _tj_swap_rows(0, 1, 3, out)  # noqa: F821
    out[6] = _tj_erfcinv(0.3) + _tj_polygamma(1, 2.5)  # noqa: F821
    out[7] = _tj_bessel_j(2, 30.0) + _tj_trips(9, 0, -2)  # noqa: F821
    return 0


KERNELS = (
    *(assigned_again, read_behind_the_loop, handed_on, rotated, in_steps),
    *(leaves_early, inner_breaks, guarded, chosen, powers, of_numpy, calls_helpers),
)


def compiled(kernel, signature=SIGNATURE):
    text = textwrap.dedent(inspect.getsource(kernel))
    names = numba_compile.kernel_globals(Library(), text)
    made = numba_compile.compile_object(text, names, signature, False)
    return object_code.Entry(made.code, made.symbol, signature)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda f: f.__name__)
def test_compiled_as_in_python(kernel):
    values = np.array([0.5, -0.75, 1.25, -2.5, 0.125, 3.0, -1.0, 2.0])
    x, out = values.copy(), np.zeros(8)
    status = compiled(kernel)([x.ctypes.data, 8, out.ctypes.data])
    x_plain, out_plain = values.copy(), np.zeros(8)
    plain = dict(vars(math)) | helpers.plain_globals()
    exec(inspect.getsource(kernel), plain)
    assert status == plain[kernel.__name__](x_plain, 8, out_plain)
    np.testing.assert_array_equal(x, x_plain)
    np.testing.assert_allclose(out, out_plain, rtol=1e-15)


def changes_its_type(x, n, out):
    total = 0
    for i in range(n):
        total = total + x[i]
    out[0] = total
    return 0


def test_a_name_keeps_its_type():
    with pytest.raises(InternalError, match="total is int64, then float64"):
        compiled(changes_its_type)


def test_nothing_of_an_empty_range_is_computed():
    def reads(x, n, out):
        for i in range(n):
            out[0] = x[i]
        return 0

    assert compiled(reads)([None, 0, None]) == 0


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "complex128", "int64"])
def test_dtypes_are_numpys(dtype):
    def sums(x, n, out):
        for i in range(n):
            out[i] = x[i] * x[i] + x[0]
        return 0

    x, out = np.arange(1, 6).astype(dtype), np.zeros(5, dtype)
    run = compiled(sums, (f"{dtype}*", "int64", f"{dtype}*"))
    assert run([x.ctypes.data, 5, out.ctypes.data]) == 0
    np.testing.assert_array_equal(out, x * x + x[0])


def branches(x, n, out):
    y = _tj_local(float64(0), 2)  # noqa: F821
    z = _tj_local(float64(0), 2)  # noqa: F821
    total, most = 0.0, -1.0
    for i in range(n):
        total = total + x[i]
        if x[i] > most:
            most = x[i]
            where = i
    y[0] = total
    for i in range(n):
        z[0] = x[i]
        y[1] = y[0] + z[0]
        out[i] = out[i] + y[1]
    old, new = x, out
    for i in range(n):
        for j in range(i):
            new[j] = old[j] * 0.5 + new[j]
        spare = old
        for j in range(i, n):
            new[j] = old[j] + most
        old = new
        new = spare
        ok = old[0] < 5.0
        if not ok:
            break
    for i in range(n):
        old[i] = old[i] + where
        if old[i] > 100.0:
            return 3
    return 0


@pytest.mark.parametrize("limits", [(1, 1, 1), (3, 2, 1)])
@pytest.mark.parametrize(
    "kernel",
    [branches, assigned_again, read_behind_the_loop, rotated, leaves_early],
    ids=lambda f: f.__name__,
)
def test_taken_apart(kernel, limits, monkeypatch):
    """Functions of a few loops each compute the same."""
    for name, limit in zip(("LARGE", "MOST", "LEAST"), limits, strict=True):
        monkeypatch.setattr(numba_scopes, name, limit)
    test_compiled_as_in_python(kernel)


def test_large_kernels_are_taken_apart(monkeypatch):
    made = []
    monkeypatch.setattr(numba_lower.Lowering, "do_part", lambda self, p: made.append(p))
    nests = "".join(
        f"    for i in range(n):\n        out[{k}] = i\n" for k in range(90)
    )
    text = f"def kernel(x, n, out):\n{nests}    return 0\n"
    names = numba_compile.kernel_globals(Library(), text)
    numba_compile.compile_object(text, names, SIGNATURE, False)
    assert [len(p.body) for p in made] == [12] * 7 + [6]
