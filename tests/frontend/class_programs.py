"""Programs about the user's classes, lambdas and globals. See `programs`."""

from __future__ import annotations

import numpy as np

from tests.frontend.hard_programs import case
from tests.frontend.programs import X


class Vec:
    """A user's number type, with control flow in its operators."""

    def __init__(self, *parts):
        self.parts = list(parts)

    def __add__(self, other):
        out = np.zeros(len(self.parts))
        for i in range(len(self.parts)):
            if self.parts[i] > 0:
                out[i] = self.parts[i] + other.parts[i]
        return Vec(*out)

    def __rmul__(self, k):
        return Vec(*[k * p for p in self.parts])

    def __iadd__(self, k):
        for i in range(len(self.parts)):
            self.parts[i] += k
        return self

    def __getitem__(self, i):
        return self.parts[i]

    def __iter__(self):
        return iter(self.parts)

    def __lt__(self, other):
        return self.parts[0] < other.parts[0]


@case(0.7, -0.2)
def operators_of_a_class(x, y):
    v = x * Vec(x, y) + Vec(y, 1.0)
    for _ in range(3):
        v += x
    s = 0.0
    for p in v:
        s += p
    return s + v[1] + (1.0 if v < Vec(9.0) else 0.0)


class Base:
    scale = 2.0

    def __init__(self, w):
        self.__w = w

    def value(self, x):
        return self.__w * x * self.scale

    @staticmethod
    def twice(x):
        return x * 2

    @classmethod
    def make(cls, w):
        return cls(w)


class Derived(Base):
    def __init__(self, w):
        super().__init__(w + 1)
        self.hits = 0

    @property
    def count(self):
        return self.hits

    @count.setter
    def count(self, value):
        self.hits = value

    def value(self, x):
        self.count += 1
        return super().value(x) + self.twice(x)


@case(X)
def inheritance(x):
    d = Derived.make(3.0)
    for _ in range(2):
        x = d.value(x)
    return x, d.count


@case(X)
def ranges_as_values(x):
    n = len(x)
    ks = list(range(n))
    idx = np.array(range(1, n - 1))
    return x[idx].sum() + ks[-1] + sum(range(n)) + x[list(range(3))] + len(range(2, n))


@case(X)
def one_loop_called_twice(x):
    def total(v, n):
        s = 0.0
        for i in range(n):
            s += v[i]
        return s

    return total(x, 3) * total(x * 2, len(x))


@case(X)
def conditional_definition(x):
    if x.shape[0] > 3:

        def f(v):
            return v * 2
    else:

        def f(v):
            return v

    return f(x)


@case(X)
def many_lambdas_on_a_line(x):
    f, g = (lambda v: v * 2), (lambda v: v + 3)
    h = lambda v: (lambda w: w - 1)(v) * 5  # noqa: E731
    return f(g(h(x)))


LAMBDAS = (lambda v: v * 2), (lambda v: v + 3), (lambda v: (lambda w: w - v)(1.0))


@case(X)
def lambdas_from_outside(x):
    for f in LAMBDAS:
        x = f(x)
    return x


TOTAL = 0.0


@case(X)
def global_is_put_back(x):
    global TOTAL
    TOTAL = 0.0
    for i in [1, 2]:
        TOTAL += float(i)
    return x + TOTAL


@case(X)
def classes_of_its_own(x):
    class Base:
        def __init__(self, w):
            self.w = w

        def value(self, x):
            return self.w * x

    class Derived(Base):
        def __init__(self, w):
            super().__init__(w + 1)

        def value(self, x):
            return sum([super().value(x), self.w])

    return Derived(x[0]).value(x)


LEADING, SWITCH = np.array([0.0, 0.0, 2.0, 1.0]), np.array([1.0])


@case(X)
def shapes_that_arrays_of_the_outside_decide(x):
    a = LEADING
    while a[0] == 0.0:
        a = a[1:]
    if SWITCH[0] > 0:
        y = x[len(a) - 1 :]
    else:
        y = x @ x
    return np.sum(a) * y


@case(X)
def items_by_name(x):
    parts = {"c": x[:2], "a": [x[1:], x[0]], "b": 3.0}
    found = [name for name, _ in sorted(parts.items())]
    return parts[found[-1]] * len(found) + sorted([("z", x[0]), ("y", x[1])])[0][1]
