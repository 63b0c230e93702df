"""Programs in the Python that numerical code is wrapped in. See `programs`."""

from __future__ import annotations

import contextlib
import enum
import io
import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from tests.frontend.hard_programs import case
from tests.frontend.programs import X

# Counters of the outside ----------------------------------------------------------


class Model:
    calls = 0

    def __init__(self):
        self.hits = 0

    def branch(self, x):
        self.hits += 1
        Model.calls += 1
        if x[0] > 0:
            self.hits += 1
            return x.sum()
        return x[0]

    def loop(self, x):
        s = 0.0
        for i in range(len(x)):
            if x[i] > 0:
                self.hits += 1
                s += x[i]
        return s


MODEL = Model()
COUNT = 0


@case(X)
def counters_under_branches(x):
    return MODEL.branch(x) + MODEL.loop(x)


@case(X)
def counter_in_a_global(x):
    global COUNT
    for v in x:
        if v > 0:
            COUNT += 1
    return x.sum()


@case(X)
def counter_in_an_enclosing_function(x):
    def make():
        total, count = 0.0, 0

        def add(v):
            nonlocal total, count
            if v > 0:
                total = total + v
                count += 1
            return total + count

        return add

    add = make()
    for i in range(len(x)):
        add(x[i])
    return add(0.0)


# match ------------------------------------------------------------------------------


class Mode(enum.Enum):
    SUM = "sum"
    SQUARE = "square"


@dataclass
class Circle:
    r: object


class Box:
    __match_args__ = ("w", "h")

    def __init__(self, w, h):
        self.w, self.h = w, h


def area(shape):
    match shape:
        case Circle(r=0.0):
            return 0.0
        case Circle(r):
            return 3.0 * r * r
        case Box(w, h) if len(w) > 100:
            return w
        case Box(w, h=h) | (Box(h=h), w):
            return (w * h).sum()
        case [first, *_, last] if isinstance(first, np.ndarray):
            return first.sum() * last
        case {"side": side, **rest}:
            return side * side + len(rest)
        case float(side) | int(side):
            return side
        case None:
            return 7.0


@case(X)
def matches(x):
    shapes = [Circle(x[0]), Box(x, x + 1), [x, 1, 2.0], {"side": x[1], "k": 1}, 3, None]
    total = 0.0
    for shape in shapes:
        total += area(shape)
    return total


@case(X, Mode.SQUARE)
def match_on_static_values(x, mode):
    match mode, len(x):
        case Mode.SUM, _:
            return x.sum()
        case Mode.SQUARE, 0 | 1:
            return 0.0
        case Mode.SQUARE, n:
            return (x * x).sum() / n


@case(X)
def match_on_traced_values(x):
    total = 0.0
    for i in range(len(x)):
        match int(x[i] > 0) + i % 2:
            case 0:
                total += x[i]
            case 1 if x[i] < 0.2:
                total -= 1
                continue
            case k:
                total += k * x[i] ** 2
        total *= 1.1
    return total


# Generators -------------------------------------------------------------------------


def positive(x):
    for i in range(len(x)):
        if x[i] > 0:
            yield i, x[i] * 2
        elif i % 2:
            yield i, -x[i]


@case(X)
def generators_that_decide(x):
    total, last = 0.0, 0.0
    for i, v in positive(x):
        half = v / 2
        total += i * half
        if v > 0.5:
            last = v
    return total, last, sum(v for _, v in positive(x)), sum(map(float, x))


@case(X)
def generator_left_early(x):
    def halves(v):
        try:
            while True:
                v = v * 0.5
                if v > 1.0:
                    v = v - 0.25
                yield v
        finally:
            v = 0.0

    steps = 0
    for v in halves(x[0] ** 2 + 9):
        steps += 1
        if v < 0.01:
            break
    return v, steps, first_above(x, 0.2)


def first_above(x, limit):
    for i, v in positive(x):
        if v > limit:
            return i
    return -1


@case(X)
def generator_and_consumer_take_turns(x):
    state = x.copy()

    def steps():
        for i in range(len(state) - 1):
            if state[i] > 0:
                state[i + 1] += state[i]
            yield state

    seen = 0.0
    for s in steps():
        seen += s.sum()
        s *= 0.9
    return seen, state


@case(X)
def generator_of_one_buffer(x):
    def moving():
        buffer = np.zeros(2)
        for i in range(len(x) - 1):
            buffer[:] = x[i : i + 2]
            yield buffer

    everything = list(moving())
    return sum(b[0] * b[1] for b in moving()), everything[0], len(everything)


@case(X)
def generators_of_generators(x):
    def inner(v):
        yield v
        yield from (v * k for k in range(1, 3))

    def outer():
        for i in range(len(x)):
            yield from inner(x[i] if x[i] > 0 else 0.0)
        return None

    a, b, *rest = outer()
    pairs = [(k, v) for k, v in zip(range(3), outer(), strict=False)]
    flat = np.fromiter((v + 1 for v in outer()), float)
    return sum(outer(), 1.0), a + b + len(rest), pairs[2][1], flat, max(outer())


@case(X)
def generator_expressions_that_decide(x):
    n = len(x)
    a = sum(x[i] * x[j] for i in range(n) for j in range(i) if x[j] > 0)
    b = sum(u if u > v else v for u, v in zip(x, x[::-1], strict=False))
    total = 0.0
    for v in (u * u for u in x if u < 0.5):
        total += v
    return a, b, total, tuple(v * 2 for v in x)


@case(X)
def generator_loops_stay_in_order(x):
    out = []

    def walk():
        for i in range(3):
            out.append(i)
            yield i

    for i in walk():
        out.append(10 * i)
        x = x + len(out)
    return x, np.array(out)


# Objects of the user's --------------------------------------------------------------


class Vector:
    def __init__(self, d):
        self.d = d

    def __len__(self):
        return len(self.d)

    def __neg__(self):
        for i in range(len(self.d)):
            if self.d[i] > 0:
                self.d[i] *= -1
        return self

    def __abs__(self):
        return sum(v if v > 0 else -v for v in self.d)

    def __float__(self):
        return float(self.d[0] if self.d[0] > 0 else self.d[1])

    def __contains__(self, v):
        return any(p > v for p in self.d)

    def __iter__(self):
        for v in self.d:
            if v > 0:
                yield v
            else:
                yield 0.0

    def __divmod__(self, k):
        return (k, 1.0) if self.d[0] > 0 else (k, 2.0)


@case(X)
def special_methods(x):
    v = Vector(x.copy())
    total = float(v) + abs(v) + len(v) + sum(v) + divmod(v, 3)[1]
    for part in v:
        total += part**2
    if 0.5 in v:
        total += 1
    return total, (-v).d


class Scaled:
    def __init__(self, s):
        self.s = s

    def __enter__(self):
        self.old = self.s
        if self.s > 0:
            self.s = self.s * 2
        return self

    def __exit__(self, *error):
        self.s = self.old if self.s < 10 else 0.0
        return False


@case(X)
def context_managers(x):
    with Scaled(x[0]) as a, np.errstate(all="ignore"), Scaled(2.0):
        y = a.s * x
        if y[0] > 0:
            y = y + 1
    return y, a.s


@dataclass
class Layer:
    w: np.ndarray
    scale: float = 1.0
    seen: list = field(default_factory=list)

    def __post_init__(self):
        if self.scale > 0:
            self.scale = self.scale * 2
        self.seen.append(self.scale)


@case(X)
def dataclasses_with_post_init(x):
    layer = Layer(x, x[0])
    layer.seen.append(1.0)
    return layer.w * layer.scale, sum(layer.seen)


class Plain:
    pass


@case(X)
def new_objects_may_hold_traced_values(x):
    p = Plain()
    p.x = x
    groups = defaultdict(list)
    for i in range(4):
        groups[i % 2].append(x[i])
    rows = [[0.0] * 2 for _ in range(2)]
    rows[1][0] = x[0]
    part = [x[0], x[1], x[2]][1:]
    part.append(1.0)
    double = part.copy()
    double.append(x[3])
    return p.x.sum() + sum(groups[1]), np.array(rows), sum(part), sum(double)


# Errors, text and numbers -----------------------------------------------------------


@case(X)
def errors_that_plain_python_raises(x):
    try:
        n = len(x[0])
    except TypeError:
        n = 1
    try:
        y = x + np.ones(len(x) + 1)
    except ValueError as error:
        y = x * len(error.args)
    finally:
        n += 1
    with contextlib.suppress(IndexError):
        n += x[100]
    return y * n


@case(X)
def text_of_traced_values(x):
    old = "%s is %5.2f" % (x, x[1])  # noqa: UP031
    lines = [f"{x[0]:8.3f}", old, f"{x.sum():>10}", f"{x[0]:5.1f}"]
    print(*lines, file=io.StringIO())
    return x * len(lines), x.__class__ is np.ndarray


@case(X)
def best_by_a_key(x):
    points = [(x[k], float(k)) for k in range(4)]
    low = min(points, key=lambda p: p[0])
    high, where = max(points, key=lambda p: p[0] ** 2)
    same = max([1, 3, 2], key=lambda k: k % 3)
    return low[1], high, where, same, any([x[0] > 0, x[1] > 0]), all(v < 9 for v in x)


@case(0.75, -3.5)
def more_of_math(a, b):
    near = math.isclose(a, b) or math.isclose(a, a + 1e-12)
    parts = math.dist([a, b], [1.0, 2.0]), math.modf(b), math.ldexp(a, 3)
    return near, parts, math.erf(a), math.erfc(b), math.gamma(a), math.lgamma(a)
