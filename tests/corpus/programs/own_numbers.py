"""Classes of numbers: operators, protocols and containers of one's own."""

from __future__ import annotations

import bisect
import functools
import heapq
import itertools
import math
import statistics

from tests.corpus.programs.kernels import arrays
from tests.corpus.programs.learning import positive
from tests.corpus.table import program


@functools.total_ordering
class Dual:
    """Forward mode by hand, inside of what is differentiated from outside."""

    __slots__ = ("dx", "x")

    def __init__(self, x, dx=0.0):
        self.x, self.dx = x, dx

    @staticmethod
    def lift(other):
        return other if isinstance(other, Dual) else Dual(other)

    def __add__(self, other):
        other = self.lift(other)
        return Dual(self.x + other.x, self.dx + other.dx)

    __radd__ = __add__

    def __neg__(self):
        return Dual(-self.x, -self.dx)

    def __sub__(self, other):
        return self + (-self.lift(other))

    def __mul__(self, other):
        other = self.lift(other)
        return Dual(self.x * other.x, self.x * other.dx + self.dx * other.x)

    __rmul__ = __mul__

    def __truediv__(self, other):
        other = self.lift(other)
        return self * Dual(1 / other.x, -other.dx / other.x**2)

    def __rtruediv__(self, other):
        return self.lift(other) / self

    def __pow__(self, n):
        return Dual(self.x**n, n * self.x ** (n - 1) * self.dx)

    def __lt__(self, other):
        return self.x < self.lift(other).x

    def __eq__(self, other):
        return self.x == self.lift(other).x

    def exp(self):
        return Dual(math.exp(self.x), math.exp(self.x) * self.dx)


@program(arrays(3))
def second_derivative_by_dual_numbers(x):
    def f(a, b, c):
        return (a * b - 2.0 / (c**2 + 1)) * a.exp() + sum([a, b, c], Dual(0.0)) ** 3

    slopes = []
    for k in range(3):
        args = [Dual(v, 1.0 if i == k else 0.0) for i, v in enumerate(x)]
        slopes.append(f(*args).dx)
    return slopes


class Interval:
    def __init__(self, lo, hi):
        self.lo, self.hi = lo, hi

    def __mul__(self, other):
        ends = [a * b for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        return Interval(min(ends), max(ends))

    def __add__(self, other):
        return Interval(self.lo + other.lo, self.hi + other.hi)

    def __matmul__(self, other):
        return (self * other).width

    @property
    def width(self):
        return self.hi - self.lo

    def __iter__(self):
        yield self.lo
        yield self.hi


@program(positive(4))
def interval_arithmetic(x):
    a, b = Interval(x[0], x[0] + x[1]), Interval(-x[2], x[3])
    lo, hi = a * b + a
    return lo * hi + (a @ b)


class Polynomial:
    """A container with every protocol: len, index, iteration, call, comparison."""

    def __init__(self, *coefficients):
        self.coefficients = list(coefficients)

    def __len__(self):
        return len(self.coefficients)

    def __getitem__(self, k):
        return self.coefficients[k]

    def __setitem__(self, k, value):
        self.coefficients[k] = value

    def __iter__(self):
        return iter(self.coefficients)

    def __reversed__(self):
        return reversed(self.coefficients)

    def __contains__(self, degree):
        return degree < len(self)

    def __bool__(self):
        return len(self) > 0

    def __call__(self, x):
        return functools.reduce(lambda s, c: s * x + c, reversed(self), 0.0)

    def __add__(self, other):
        pairs = itertools.zip_longest(self, other, fillvalue=0.0)
        return Polynomial(*(a + b for a, b in pairs))

    def __mul__(self, other):
        out = Polynomial(*[0.0] * (len(self) + len(other) - 1))
        for i, a in enumerate(self):
            for j, b in enumerate(other):
                out[i + j] += a * b
        return out

    def derivative(self):
        return Polynomial(*(k * c for k, c in enumerate(self) if k))


@program(arrays(3, 2))
def polynomial_class(a, b):
    p, q = Polynomial(*a), Polynomial(*b)
    r = p * q + p
    if 2 in r and r:
        r[0] += 1.0
    return r(0.7) + r.derivative()(0.3), r.coefficients


class AttributeDict(dict):
    """Keys as attributes, as configurations like to have them."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


class Defaults(dict):
    """A dict with access of its own."""

    def __getitem__(self, key):
        try:
            return super().__getitem__(key)
        except KeyError:
            super().__setitem__(key, 1.0)
            return super().__getitem__(key)

    def __setitem__(self, key, value):
        super().__setitem__(key, 2 * value)


class Tracked:
    """Every attribute set is noted, by a `__setattr__` of its own."""

    def __init__(self, **values):
        object.__setattr__(self, "changes", [])
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name, value):
        self.changes.append(name)
        super().__setattr__(name, value)


class Doubled:
    """A descriptor that stores twice what it is given."""

    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, obj, owner=None):
        return self if obj is None else getattr(obj, self.name)

    def __set__(self, obj, value):
        setattr(obj, self.name, 2 * value)


class Body:
    mass = Doubled()


@program(arrays(4))
def access_of_ones_own(x):
    config, defaults = AttributeDict(a=x[0], n=2), Defaults(b=x[1])
    config.c = x[2]
    config.a *= config.n
    defaults["c"] = x[3]
    tracked, body = Tracked(u=x[0], v=x[1]), Body()
    tracked.u = tracked.u * tracked.v
    body.mass = x[2]
    body.mass += 1.0
    total = config.a * config["c"] + defaults["b"] * defaults["c"] * defaults["d"]
    return total + tracked.u * len(tracked.changes) + body.mass


@program(positive(7))
def standard_library_numerics(x):
    """`statistics`, `bisect`, `heapq` and `math` on numbers that are traced."""
    knots, heights = [0.0, 0.5, 1.0, 2.0], [0.0, 2.0, 1.0, 3.0]
    total = statistics.fmean(x) * statistics.pvariance(x.tolist())
    total += statistics.stdev(list(x)) + statistics.median(x)
    for v in x:
        k = min(max(bisect.bisect_right(knots, v) - 1, 0), len(knots) - 2)
        share = (v - knots[k]) / (knots[k + 1] - knots[k])
        total += heights[k] + share * (heights[k + 1] - heights[k])
    heap = [(3, x[0]), (1, x[1]), (2, x[2])]
    heapq.heapify(heap)
    heapq.heappush(heap, (0, x[3]))
    return total + heapq.heappop(heap)[1] * heapq.heappop(heap)[1] + math.fsum(x)


@program(positive(5))
def errors_by_counters(x):
    class TooFar(Exception):
        pass

    def nth(i):
        if i > 3:
            raise TooFar(i)
        return x[i]

    total = 0.0
    for i in range(6):
        try:
            total += nth(i)
        except TooFar as error:
            total += x[0] * error.args[0]
            break
    spread = x.ptp() if hasattr(x, "ptp") else x.max() - x.min()
    return total * spread
