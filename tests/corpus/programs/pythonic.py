"""Numerical code that leans on Python: closures, classes, containers, recursion."""

from __future__ import annotations

import functools
import itertools
import operator
from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np

from tests.corpus.programs.kernels import arrays
from tests.corpus.table import program

SCALE = 0.7
TABLE = np.array([0.5, -1.0, 2.0, 0.3])
Point = namedtuple("Point", "x y")


@program(arrays(5))
def counter_in_a_closure(x):
    count = 0
    total = 0.0

    def add(v):
        nonlocal count, total
        count += 1
        total += v * count
        return total

    for v in x:
        add(v)
    return total / count


@program(arrays(4))
def functions_in_a_dict(x):
    ops = {"sin": np.sin, "square": lambda z: z**2, "half": lambda z: z / 2}
    state = {"value": x, "log": []}
    for name in ("sin", "square", "half"):
        state["value"] = ops[name](state["value"])
        state["log"].append(np.sum(state["value"]))
    return state["value"], state["log"]


@dataclass
class Particle:
    position: np.ndarray
    velocity: np.ndarray
    mass: float = 1.0
    trail: list = field(default_factory=list)

    def kick(self, force, dt):
        self.velocity = self.velocity + dt * force / self.mass

    def drift(self, dt):
        self.trail.append(self.position)
        self.position = self.position + dt * self.velocity

    @property
    def energy(self):
        return 0.5 * self.mass * np.sum(self.velocity**2)


@program(arrays(3, 3))
def dataclass_particle(position, velocity):
    p = Particle(position, velocity, mass=2.0)
    for _ in range(4):
        p.kick(-p.position, 0.1)
        p.drift(0.1)
    return p.energy + sum(np.sum(q) for q in p.trail)


class Value:
    """A small class with operators of its own."""

    def __init__(self, data):
        self.data = data

    def __add__(self, other):
        return Value(self.data + other.data)

    def __mul__(self, other):
        return Value(self.data * (other.data if isinstance(other, Value) else other))

    def __rmul__(self, other):
        return self * other

    def __getitem__(self, key):
        return Value(self.data[key])

    def __len__(self):
        return len(self.data)


@program(arrays(4, 4))
def class_with_operators(a, b):
    u, v = Value(a), Value(b)
    w = u * v + 2.0 * u
    return sum(w[i].data * i for i in range(len(w)))


@program(lambda rng: (rng.normal(size=8),))
def recursive_halving(x):
    if len(x) == 1:
        return x[0]
    m = len(x) // 2
    left, right = recursive_halving(x[:m]), recursive_halving(x[m:])
    return left * right + np.sin(left - right)


@program(lambda rng: (1.7, 0.3))
def recursion_with_a_memo(a, b):
    memo = {}

    def f(n):
        if n < 2:
            return a if n else b
        if n not in memo:
            memo[n] = f(n - 1) * 0.5 + f(n - 2)
        return memo[n]

    return f(12)


@program(lambda rng: (0.2, 0.8, 1.3))
def recursive_quadrature(a, b, w):
    def f(t):
        return np.exp(-w * t * t)

    def simpson(lo, hi, depth):
        mid = 0.5 * (lo + hi)
        whole = (hi - lo) / 6 * (f(lo) + 4 * f(mid) + f(hi))
        if depth == 0:
            return whole
        return simpson(lo, mid, depth - 1) + simpson(mid, hi, depth - 1)

    return simpson(a, b, 4)


@program(arrays(6))
def generator_of_partial_sums(x):
    def partial_sums(values):
        total = 0.0
        for v in values:
            total = total + v
            yield total

    return sum(s**2 for s in partial_sums(x))


@program(arrays(3, 3))
def comprehensions_of_all_kinds(a, b):
    pairs = [(u, v) for u in a for v in b]
    products = {k: u * v for k, (u, v) in enumerate(pairs)}
    rows = np.array([[products[3 * i + j] for j in range(3)] for i in range(3)])
    return rows, max(abs(v) for v in products.values())


@program(arrays(5, 5))
def zipped_and_enumerated(x, y):
    s = 0.0
    for k, (a, b) in enumerate(zip(x, reversed(y)), 1):
        if k == 3:
            continue
        s += k * a * b
    else:
        s *= 2
    return s


@program(arrays((3, 4)))
def unpacking_everywhere(A):
    first, *rest = A
    (a, b), c = (first[0], first[1]), first[2:]
    *init, last = rest
    return a * b + np.sum(c) + sum(np.prod(r) for r in init) + last @ first


@program(arrays(5))
def early_returns(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] > 1.5:
            return s * x[i]
        if x[i] < -1.5:
            return s - x[i]
        s += x[i] ** 2
    if s > 100:
        return 0.0 * s
    return np.sqrt(s + 1)


@program(arrays(6))
def masks_written_and_read(x):
    y = x.copy()
    y[y < 0] = 0.0
    y[y > 1] = 1 + np.log(y[y > 1])
    y[~(x > 0.5)] *= 0.3
    return np.sum(y), y


@program(arrays(6))
def select_and_clip(x):
    a = np.select([x < -0.5, x < 0.5], [x**2, np.sin(x)], default=1.0)
    b = np.clip(x, -0.4, 0.8)
    c = np.where(x > 0, np.sqrt(np.abs(x)), -np.sqrt(np.abs(x)))
    return a + b * c


@program(arrays(6))
def sqrt_behind_where(x):
    safe = np.where(x > 0, x, 1.0)
    return np.sum(np.where(x > 0, np.sqrt(safe) * np.log(safe), 0.0))


@program(arrays(7))
def fancy_indexing(x):
    idx = np.array([3, 1, 1, 6, 0])
    y = x[idx] * x[[0, 1, 2, 3, 4]]
    z = np.zeros(7)
    np.add.at(z, idx, y)
    z[[1, 2]] = z[[2, 1]]
    z[idx] += 1.0
    return z


@program(arrays((4, 5)))
def fancy_indexing_of_matrices(A):
    rows, cols = np.array([0, 2, 3]), np.array([1, 1, 4])
    A[rows, cols] *= 2
    sub = A[np.ix_([0, 1], [2, 4])]
    A[:, [0, 3]] = A[:, [3, 0]]
    return A, sub, A[[0, 1]][:, [1, 2]].sum()


@program(arrays(6))
def views_through_aliases(v):
    w = v[1:]
    w += v[:-1]
    u = w[::2]
    u *= 0.5
    pair = [v, v]
    pair[0][0] = 3.0 * pair[1][1]
    for row in v[:, None]:
        row += 0.1
    return v


@program(arrays((3, 4)))
def rows_changed_in_place(A):
    for k, row in enumerate(A):
        row -= row.mean()
        row[k] = 2.0
    diagonal = A[:, :3]
    diagonal[np.arange(3), np.arange(3)] += 1
    return A.T[1] @ A.T[2]


@program(arrays((2, 3, 4)))
def reshapes_that_share(A):
    flat = A.reshape(-1)
    flat[::5] = 0.5
    B = A.transpose(2, 0, 1)
    B[0] += 1.0
    C = A.swapaxes(0, 1)[1]
    C[...] = np.tanh(C)
    return A


def mutate(a, k):
    a[k] = a[k] ** 2
    return a[k]


@program(arrays(4))
def helper_that_writes(x):
    total = 0.0
    for k in range(len(x)):
        total += mutate(x, k)
    return total, mutate(x, -1)


@program(arrays(4))
def globals_and_defaults(x, power=3, *, shift=0.5):
    def poly(z, coefficients=TABLE):
        out = 0.0
        for c in coefficients[::-1]:
            out = out * z + c
        return out

    return SCALE * np.sum(poly(x + shift) ** power)


@program(arrays(5))
def functional_tools(x):
    product = functools.reduce(operator.mul, x)
    scaled = functools.partial(np.multiply, 2.0)
    chained = list(itertools.chain(x[:2], x[3:]))
    return product + sum(map(scaled, chained)) + max(x, key=lambda v: -v)


@program(arrays(2, 2))
def namedtuples(a, b):
    p, q = Point(*a), Point(x=b[0], y=b[1])
    moved = p._replace(x=p.x * q.y)
    return Point(moved.x + q.x, moved.y * p.y)


@program(arrays(4))
def ternaries_and_logic(x):
    a = x[0] if x[0] > 0 else -x[0]
    b = x[1] and x[2]
    c = 1.0 if 0 < a < 1 or x[3] > 0 else x[3] ** 2
    return a + b * c


@program(arrays(5))
def while_with_two_conditions(x):
    i, s = 0, 0.0
    while i < len(x) and s < 1.0:
        s += x[i] ** 2
        i += 1
    return s * i


@program(arrays(5))
def stack_machine(x):
    program_text = "0 1 + 2 * 3 4 - +"
    stack = []
    for token in program_text.split():
        if token.isdigit():
            stack.append(x[int(token)])
        else:
            b, a = stack.pop(), stack.pop()
            stack.append({"+": a + b, "-": a - b, "*": a * b}[token])
    return stack[-1]


@program(arrays((4, 4)))
def bubble_sort_of_rows(A):
    n = len(A)
    for i in range(n):
        for j in range(n - 1 - i):
            if A[j, 0] > A[j + 1, 0]:
                A[[j, j + 1]] = A[[j + 1, j]]
    return A


@program(arrays(6))
def insertion_sort(x):
    for i in range(1, len(x)):
        key = x[i]
        j = i - 1
        while j >= 0 and x[j] > key:
            x[j + 1] = x[j]
            j -= 1
        x[j + 1] = key
    return x * np.arange(6)


@program(arrays(5))
def argmax_updates(x):
    best, where = None, -1
    for i, v in enumerate(x):
        if best is None or v > best:
            best, where = v, i
    return best * (where + 1)


@program(lambda rng: (np.array(0.7), rng.normal(size=(1, 3)), rng.normal(size=(3, 1))))
def odd_shapes(a, row, column):
    a *= 2.0
    table = row * column + a
    return table.squeeze(), np.atleast_1d(a), np.ravel(column)[::-1] @ row[0]


@program(arrays(0, (0, 3)))
def empty_arrays(x, A):
    return np.sum(x) + np.prod(x), A.sum(axis=0), np.concatenate([x, np.ones(2)])


@program(arrays(4))
def integers_beside_floats(x):
    count = np.zeros(4, dtype=np.int64)
    order = np.argsort(x)
    count[order] = np.arange(4)
    bits = (x > 0).astype(int)
    return x * count + bits, int(np.sum(bits))


@program(arrays(4))
def assertions_and_errors(x):
    assert x.ndim == 1, "one axis"
    if np.isnan(x).any():
        raise ValueError("not a number")
    try:
        scale = float("0.5")
    except ValueError:
        scale = 1.0
    return np.sum(x) * scale


@program(arrays((3, 3)))
def matrix_functions_by_series(A):
    result, term = np.eye(3), np.eye(3)
    for k in range(1, 8):
        term = term @ A / k
        result += term
    return result


@program(lambda rng: (rng.uniform(0.5, 2, size=4),), single=False)
def newton_root_of_each(a):
    def root(c):
        z = c
        while abs(z * z - c) > 1e-12:
            z = 0.5 * (z + c / z)
        return z

    return np.array([root(c) for c in a])


@program(arrays(3))
def state_machine(x):
    state, out = "start", 0.0
    for k in range(6):
        if state == "start":
            out, state = out + x[0], "middle"
        elif state == "middle":
            out, state = out * x[1], "end" if k > 2 else "start"
        else:
            out -= x[2]
    return out
