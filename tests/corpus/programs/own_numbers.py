"""Classes of numbers: operators, protocols and containers of one's own."""

from __future__ import annotations

import functools
import itertools
import math

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
