"""Plain functions to be staged; nothing in them knows of tracejit."""

from __future__ import annotations

import math

import numpy as np

CASES: list = []


def case(*args, **options):
    """Register a function with arguments to run it on."""

    def register(fn):
        label = f"{fn.__name__}{sum(c[0].__name__ == fn.__name__ for c in CASES) or ''}"
        CASES.append((fn, args, label, options))
        return fn

    return register


rng = np.random.default_rng(0)
X = rng.normal(size=7)
Y = rng.normal(size=7)
M = rng.normal(size=(5, 6))
SWEEPS = 3
SCALE = 0.25
TABLE = rng.normal(size=7)
WEIGHTS = [rng.normal(size=(3, 3)), rng.normal(size=(3, 3))]


# for ----------------------------------------------------------------------------------


@case(M, 0.3)
def seidel(A, w):
    A = A.copy()
    n, m = A.shape
    for _ in range(SWEEPS):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                A[i, j] = np.tanh(
                    w
                    * (A[i - 1, j] + A[i, j - 1] + A[i, j] + A[i, j + 1] + A[i + 1, j])
                )
    return np.sum(A * A)


@case(X, 0.1)
def heat(u, c):
    u = u.copy()
    for _ in range(20):
        u[1:-1] += c * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.sum(u**2)


@case(X)
def sum_from_int(x):
    s = 0
    for i in range(len(x)):
        s += x[i]
    return s


@case(X.astype(np.float32))
def sum_float32(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i]
    return s


@case(X, Y)
def over_zip(x, y):
    s = 0.0
    for a, b in zip(x, y, strict=False):
        s += a * b
    return s


@case(X)
def over_enumerate(x):
    out = np.zeros_like(x)
    for i, v in enumerate(x):
        out[i] = v * i
    return out


@case(X)
def over_enumerate_from(x):
    s = 0.0
    for i, v in enumerate(x, 3):
        s = s + v * i
    return s


@case(M)
def rows_write_through(A):
    A = A.copy()
    for row in A:
        row += 1.0
        row[0] *= 2.0
    return A


@case(X)
def backwards(x):
    y = x.copy()
    for i in reversed(range(1, len(x))):
        y[i - 1] = y[i] * 0.5 + y[i - 1]
    for i in range(len(x) - 2, -1, -2):
        y[i] -= y[i + 1]
    return y


@case(X)
def triangular(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(i):
            s += x[i] * x[j]
        for j in range(i + 1, len(x)):
            s -= x[j]
    return s


@case(X)
def counter_after(x):
    for i in range(len(x)):
        y = x[i] * 2
    return y + i


@case(X)
def for_else(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] > 100:
            break
        s += x[i]
    else:
        s += 1000.0
    return s


@case(X)
def with_break(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] < -0.6:
            break
        s += x[i]
    return s


@case(X)
def with_continue(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] < 0:
            continue
        s += x[i]
        if s > 1:
            continue
        s *= 1.5
    return s


@case(X)
@case(X + 5)
def returns_inside_nested(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if x[i] * x[j] > 0.5:
                return s + 100 * i + j
            s += x[j]
    return -s


@case(M)
def breaks_inner(A):
    total = 0.0
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            if A[i, j] > 0.5:
                break
            total += A[i, j]
        else:
            total += 10
            continue
        if total > 15:
            break
        total -= 1
    return total


@case(X)
def empty_range(x):
    s = 1.5
    for i in range(3, 3):
        s += x[i]
    return s


@case(X)
def one_trip(x):
    s = 0.0
    for i in range(1):
        s += x[i]
    return s


@case(X)
def running_maximum(x):
    best = x[0]
    where = 0
    for i in range(1, len(x)):
        if x[i] > best:
            best = x[i]
            where = i
    return best, where


@case(X)
def best_from_none(x):
    best = None
    for i in range(len(x)):
        if best is None or x[i] > best:
            best = x[i]
    return best


@case(X)
def from_traced_int(x):
    n = int(np.sum(x > 0))
    s = 0.0
    for i in range(n):
        s += x[i]
    return s


# while --------------------------------------------------------------------------------


@case(2.0)
def newton(a):
    x = a
    while abs(x * x - a) > 1e-12:
        x = 0.5 * (x + a / x)
    return x


@case(2.0)
def newton_true(a):
    x = a
    k = 0
    while True:
        new = 0.5 * (x + a / x)
        k += 1
        if abs(new - x) < 1e-9 or k > 50:
            break
        x = new
    return new, k


@case(X)
def guarded_index(x):
    i = 0
    while i < len(x) and x[i] < 1.0:
        i += 1
    return i


@case(2.0)
def walrus(a):
    x = a
    while (d := abs(x * x - a)) > 1e-9:
        x = 0.5 * (x + a / x)
    return x, d


@case(3.0)
def python_while(x):
    m = 1
    while m < 7:
        m *= 2
    return np.zeros(m) + x


@case(0.5)
def counted_while(x):
    k = 0
    while k < 10:
        x = np.cos(x)
        k += 1
    return x * k


@case(5.0)
@case(-5.0)
def collatz_like(x):
    steps = 0
    while abs(x) > 1:
        if x > 0:
            x = x / 3
        else:
            x = x / 2
        steps += 1
        if steps == 100:
            return x, -1
    return x, steps


# if, and, or, ternary -----------------------------------------------------------------


@case(0.5)
@case(-0.5)
@case(2.5)
def elif_chain(x):
    if x < 0:
        y = -x
    elif x < 1:
        y = x * x
    else:
        y = math.sqrt(x)
    return y


@case(0.5)
@case(-0.5)
def early_return(x):
    if x > 0:
        return x * 2
    y = x * 3
    if y < -1:
        return y
    return y + 1


@case(X)
def if_mutates(x):
    y = x.copy()
    if x[0] > 0:
        y[0] = 100.0
    else:
        y[1:3] = -1.0
    return y


@case(1.5)
@case(-1.5)
def logic(x):
    a = x > 0 and x < 1
    b = x < 0 or x > 10
    c = not a
    d = -1 < x < 2
    return (1.0 if a else 2.0) + (10.0 if b else 20.0) + c * 100 + d * 1000


@case(1.5)
@case(-1.5)
def values_of_or(x):
    return max(x, 0.0) or x * 2


@case(0.5)
@case(-0.5)
def promotes(x):
    if x > 0:
        y = 1
    else:
        y = x
    return y * 2


@case(0.5)
@case(-0.5)
def merges_structures(x):
    if x > 0:
        state = {"a": x, "b": [x, 1.0]}
    else:
        state = {"a": x * x, "b": [2.0, x]}
    return state["a"] + state["b"][0] + state["b"][1]


@case(0.5)
@case(-0.5)
def sometimes_defined(x):
    if x > 0:
        y = 2 * x
    z = 1.0
    if x > 0:
        z = y
    return z


@case(1.0)
def raises_not(x):
    if x < 0:
        raise ValueError("negative")
    assert x < 10, "large"
    return math.sqrt(x)


# swaps, aliases, views ----------------------------------------------------------------


@case(X, Y)
def double_buffer(a, b):
    a, b = a.copy(), b.copy()
    for _ in range(5):
        b[1:-1] = 0.5 * (a[2:] + a[:-2])
        a, b = b, a
    return a


@case(X, Y)
def double_buffer_aliased(a, b):
    a, b = a.copy(), b.copy()
    first = a
    for _ in range(5):
        b[1:-1] = 0.5 * (a[2:] + a[:-2])
        a, b = b, a
    return a, first


@case(1.0)
def fibonacci(x):
    a, b = 0.0, x
    for _ in range(10):
        a, b = b, a + b
    return a


@case(X)
def alias_in_loop(x):
    y = x.copy()
    z = y
    for i in range(len(x)):
        y[i] = x[i] * 2
        z[0] += 1
    return y, z


@case(M)
def view_kept(A):
    A = A.copy()
    first = A[0]
    for i in range(1, A.shape[0]):
        A[i] += first
        first[0] += 1.0
    return A


@case(M)
def view_rebound(A):
    A = A.copy()
    prev = A[0]
    for i in range(1, A.shape[0]):
        A[i] = prev * 0.5 + A[i]
        prev = A[i]
    return A, prev


@case(M)
def view_rebound_then_written(A):
    A = A.copy()
    prev = A[0]
    for i in range(1, A.shape[0]):
        prev = A[i]
        A[0] += prev
    A[-1] = 5.0
    return A, prev


@case(X)
def mutated_then_rebound(x):
    x = x.copy()
    y = x
    for _ in range(3):
        x[0] += 1.0
        x = x * 2
    return x, y


@case(X)
@case(-X)
def merged_alias(x):
    a = x.copy()
    b = x * 2
    c = a if x[0] > 0 else b
    c[0] = 50.0
    return c
