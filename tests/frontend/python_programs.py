"""Programs in the Python that numerical code is wrapped in. See `programs`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

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
