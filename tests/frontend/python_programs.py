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
