"""Programs about functions, classes and containers. See `programs`."""

from __future__ import annotations

import functools
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from tests.frontend.programs import SCALE, TABLE, WEIGHTS, X, Y, case


def helper(A, i, v):
    A[i] = v * SCALE
    return A[i] + 1


@case(X)
def calls_helper(x):
    out = np.zeros(len(x))
    s = 0.0
    for i in range(len(x)):
        s += helper(out, i, x[i])
    return out, s


@case(X)
def closure(x):
    total = 0.0

    def add(v):
        nonlocal total
        total += v * SCALE
        return total

    for i in range(len(x)):
        add(x[i])
    return total


def power(x, n):
    return 1.0 if n == 0 else x * power(x, n - 1)


@case(1.1)
def recursion(x):
    return power(x, 5)


@case(X)
def comprehensions(x):
    squares = [v * v for v in x]
    table = {k: x[k] for k in range(3)}
    total = sum(x[i] for i in range(len(x)) if i % 2 == 0)
    return np.array(squares), table[2], total


@case(X)
def lambdas(x):
    f = lambda v, k=2: v * k  # noqa: E731
    g = functools.partial(f, k=5)
    return f(x) + g(x) + sum(map(lambda v: v * v, [x, x]))


@dataclass
class Layer:
    w: object
    b: object = 0.0

    def __call__(self, x):
        return np.tanh(self.scaled(x) + self.b)

    def scaled(self, x):
        return self.w * x

    @property
    def norm(self):
        return np.sum(self.w**2)


class Counter:
    def __init__(self, start):
        self.total = start

    def add(self, v):
        self.total = self.total + v
        return self


LAYER = Layer(TABLE)


@case(X)
def objects(x):
    layer = Layer(x, 1.0)
    c = Counter(0.0)
    for i in range(len(x)):
        c.add(x[i])
    return layer(x) + layer.norm + c.total + LAYER(x)


Point = namedtuple("Point", "x y")


@case(1.5)
def namedtuples(v):
    p = Point(v, 2 * v)
    for _ in range(4):
        p = p._replace(x=p.y, y=p.x + 0.1)
    p = Point(p.y, p.x)
    return p


@case(X[:3])
def outside_lists(x):
    for w in WEIGHTS:
        x = np.tanh(w @ x)
    return x


@case(X)
def list_state(x):
    out = []
    for i in range(len(x)):
        out.append(x[i] * 2)
    return out[-1], len(out)


@case(X)
def list_slots(x):
    state = [0.0, 1.0]
    for i in range(len(x)):
        state[0] = state[0] + x[i]
        state[1] *= 0.5
    return state


@case(X)
def dict_slots(x):
    state = {"s": 0.0, "k": 0}
    for i in range(len(x)):
        state["s"] += x[i]
        state["k"] += 1
    return state


@case(X)
def nested_lists(x):
    layers = [[x, x * 2], [x * 3, 1.0]]
    for _ in range(3):
        layers[0][0] = layers[0][0] + layers[1][0]
    return layers[0][0]


@case(X)
def python_list_index(x):
    coefficients = [1.0, 2.0, 3.0, 4.0]
    y = 0.0
    for k in range(4):
        y = y * 0.5 + coefficients[k] * x[k]
    return y


@case(X)
def generator(x):
    def halves(n):
        for k in range(n):
            yield x[k] / 2

    s = 0.0
    for h in halves(4):
        s += h
    return s


@case(X)
def try_static(x):
    try:
        k = {"a": 1}["b"]
    except KeyError as error:
        k = len(str(error))
    finally:
        x = x + 1
    with np.errstate(all="ignore"):
        return x * k


@case(X, keepdims=True)
def keyword_only(x, *, keepdims=False):
    return np.sum(x, keepdims=keepdims)


@case(X, Y, Y)
def star_args(x, *rest):
    for r in rest:
        x = x + r
    return np.maximum(*(x, rest[0]))


@case({"w": X, "b": (1.0, Y)})
def pytree_args(params):
    w, (b, y) = params["w"], params["b"]
    return {"out": w * b + y}


@case(X, 3)
def static_int(x, n):
    for _ in range(n):
        x = x * n
    return x[:n]


@case(X)
def factorial_shape(x):
    p = 1
    for k in range(3):
        p *= k + 1
    return np.zeros(p) + x[0]


@case(X)
def mutates_argument(x):
    x[0] = 3.0
    x += 1
    return x


@case(X)
def chained(x):
    a = b = x[0]
    (c, d), *rest = (a, b), x[1], x[2]
    a += 1
    return a + b + c + d + rest[0]


@case(X)
def fills_with_conditions(x):
    out = np.zeros((len(x), 2))
    for i in range(len(x)):
        if i == 0:
            out[i, 0] = x[i]
        elif x[i] > 0:
            out[i, 1] = out[i - 1, 0] + x[i]
        else:
            out[i] = -x[i]
    return out


@case(X)
def prev_defined_later(x):
    s = 0.0
    for i in range(len(x)):
        if i > 0:
            s += x[i] * prev  # noqa: F821
        prev = x[i]  # noqa: F841
    return s


@case(X)
def type_changes(x):
    s = 0.0
    for i in range(3):
        s = s + x[i : i + 2]
    return s


@case(0.3)
@case(3.0)
def maybe_in_loop(x):
    for i in range(4):
        if x > i:
            y = i * x
    return y if x > 0 else 0.0


@case(X)
def deletes(x):
    t = x * 2
    del t
    d = {"a": x, "b": x}
    del d["a"]
    return d["b"] + len(d)


@case(X)
def closes_over_loop(x):
    fs = []
    for k in range(3):
        fs.append(lambda v, k=k: v * k)
    return sum(f(x[0]) for f in fs)
