"""Programs in the Python that numerical code is wrapped in. See `programs`."""

from __future__ import annotations

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
