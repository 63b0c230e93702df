"""Objectives of optimisation, as libraries of test functions write them."""

from __future__ import annotations

import math

import numpy as np
from numpy import arange, cos, exp, pi, prod, sin, sqrt, sum

from tests.corpus.table import program


class Benchmark:
    """What such libraries derive their functions from."""

    def __init__(self, dimensions=2):
        self.N = dimensions
        self.nfev = 0
        self.bounds = [(-5.0, 5.0)] * dimensions
        self.custom_bounds = []

    def success(self, x, tol=1e-5):
        return abs(self.fun(np.asarray(x)) - self.fglob) < tol


def vec(n, low=-1.5, high=1.5):
    return lambda rng: (rng.uniform(low, high, size=n),)


def method(maker, **options):
    """Enter the `fun` of a class, on an instance, as a function of its name."""

    def enter(cls):
        problem = cls()

        def objective(x):
            return problem.fun(x)

        objective.__name__ = cls.__name__
        program(maker, **options)(objective)
        return cls

    return enter


@method(vec(2))
class Ackley01(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        u = sum(x**2)
        v = sum(cos(2 * pi * x))
        return -20.0 * exp(-0.2 * sqrt(u / self.N)) - exp(v / self.N) + 20.0 + exp(1.0)


@method(vec(2))
class Beale(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        return (
            (1.5 - x[0] + x[0] * x[1]) ** 2
            + (2.25 - x[0] + x[0] * x[1] ** 2) ** 2
            + (2.625 - x[0] + x[0] * x[1] ** 3) ** 2
        )


@method(vec(4), single=False)
class Colville(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        return (
            100 * (x[0] - x[1] ** 2) ** 2
            + (1 - x[0]) ** 2
            + (1 - x[2]) ** 2
            + 90 * (x[3] - x[2] ** 2) ** 2
            + 10.1 * ((x[1] - 1) ** 2 + (x[3] - 1) ** 2)
            + 19.8 * (1 / x[1]) * (x[3] - 1)
        )


@method(vec(5))
class DixonPrice(Benchmark):
    def __init__(self, dimensions=5):
        Benchmark.__init__(self, dimensions)

    def fun(self, x, *args):
        self.nfev += 1
        i = arange(2, self.N + 1)
        s = i * (2.0 * x[1:] ** 2.0 - x[:-1]) ** 2.0
        return sum(s) + (x[0] - 1.0) ** 2.0


@method(vec(6))
class Griewank(Benchmark):
    def __init__(self, dimensions=6):
        Benchmark.__init__(self, dimensions)

    def fun(self, x, *args):
        self.nfev += 1
        i = arange(1.0, np.atleast_1d(x).shape[-1] + 1.0)
        return sum(x**2 / 4000) - prod(cos(x / sqrt(i))) + 1


@method(vec(3))
class HelicalValley(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        r = sqrt(x[0] ** 2 + x[1] ** 2)
        theta = 1 / (2.0 * pi) * np.arctan2(x[1], x[0])
        return x[2] ** 2 + 100 * ((x[2] - 10 * theta) ** 2 + (r - 1) ** 2)


@method(vec(3, 0.1, 0.9))
class Hartmann3(Benchmark):
    def __init__(self, dimensions=3):
        super().__init__(dimensions)
        self.a = np.array([[3.0, 10, 30], [0.1, 10, 35], [3.0, 10, 30], [0.1, 10, 35]])
        self.p = np.array(
            [
                [0.3689, 0.1170, 0.2673],
                [0.4699, 0.4387, 0.7470],
                [0.1091, 0.8732, 0.5547],
                [0.03815, 0.5743, 0.8828],
            ]
        )
        self.c = np.asarray([1.0, 1.2, 3.0, 3.2])

    def fun(self, x, *args):
        self.nfev += 1
        XX = np.atleast_2d(x)
        d = sum(self.a * (XX - self.p) ** 2, axis=1)
        return -sum(self.c * exp(-d))


@method(vec(4))
class Levy03(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        y = 1 + (x - 1) / 4
        v = sum((y[:-1] - 1) ** 2 * (1 + 10 * sin(pi * y[1:]) ** 2))
        z = (y[-1] - 1) ** 2
        return sin(pi * y[0]) ** 2 + v + z


@method(vec(5, 0.2, 2.0))
class Michalewicz(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        m = 2.0
        i = arange(1, len(x) + 1)
        return -sum(sin(x) * sin(i * x**2 / pi) ** (2 * m))


@method(vec(4))
class Paviani(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        y = x * 0.5 + 6.0
        return sum(np.log(y - 2) ** 2.0 + np.log(10.0 - y) ** 2.0) - prod(y) ** 0.2


@method(vec(4))
class Powell(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        x1, x2, x3, x4 = x
        return (
            (x1 + 10 * x2) ** 2
            + 5 * (x3 - x4) ** 2
            + (x2 - 2 * x3) ** 4
            + 10 * (x1 - x4) ** 4
        )


@method(vec(6))
class Rastrigin(Benchmark):
    def __init__(self, dimensions=6):
        super().__init__(dimensions)

    def fun(self, x, *args):
        self.nfev += 1
        return 10.0 * self.N + sum(x**2.0 - 10.0 * cos(2.0 * pi * x))


@method(vec(7))
class Rosenbrock(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        return sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0)


@method(vec(3))
class RosenbrockLoop(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        total = 0
        for i in range(len(x) - 1):
            total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2
        return total


@method(vec(4))
class Schwefel12(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        i = np.atleast_2d(arange(self.N)).T
        x = x[: self.N]
        return sum([sum(x[0 : j[0] + 1]) ** 2 for j in i])


@method(vec(3, 2.0, 4.0))
class Shekel(Benchmark):
    def __init__(self, dimensions=3):
        super().__init__(dimensions)
        self.A = np.array([[4.0, 4, 4], [1, 1, 1], [8, 8, 8], [6, 6, 6], [3, 7, 3]])
        self.C = np.array([0.1, 0.2, 0.2, 0.4, 0.4])

    def fun(self, x, *args):
        self.nfev += 1
        return -sum(1 / (sum((x - self.A) ** 2, axis=1) + self.C))


@method(vec(2))
class ThreeHumpCamel(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        return (
            2.0 * x[0] ** 2.0
            - 1.05 * x[0] ** 4.0
            + x[0] ** 6 / 6.0
            + x[0] * x[1]
            + x[1] ** 2.0
        )


@method(vec(5))
class Trid(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        return sum((x - 1.0) ** 2) - sum(x[1:] * x[:-1])


@method(vec(4))
class Trigonometric(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        n = len(x)
        total = 0.0
        c = np.sum(np.cos(x))
        for i in range(1, n + 1):
            total += (n - c + i * (1 - cos(x[i - 1])) - sin(x[i - 1])) ** 2
        return total


@method(vec(5, 0.3, 2.5))
class Vincent(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        return -sum(sin(10.0 * np.log(x)))


@method(vec(3))
class Watson(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        i = np.atleast_2d(arange(30.0)).T
        a = i / 29.0
        j = arange(3.0)
        k = arange(3.0)
        t1 = sum((j[1:]) * a ** j[:-1] * x[1:], axis=1)
        t2 = sum(a**k * x, axis=1)
        inner = (t1 - t2**2 - 1) ** 2
        return sum(inner[1:]) + x[0] ** 2 + (x[1] - x[0] ** 2 - 1) ** 2


@method(vec(3))
class Weierstrass(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        kmax = 5
        a, b = 0.5, 3.0
        k = np.atleast_2d(arange(kmax + 1.0)).T
        t1 = a**k * cos(2 * pi * b**k * (x + 0.5))
        t2 = self.N * sum(a**k.T * cos(pi * b**k.T))
        return sum(sum(t1, axis=0)) - t2


@method(vec(2, -3.0, 3.0))
class XinSheYang(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        return sum(abs(x)) * exp(-sum(sin(x**2.0)))


@method(vec(4))
class Zakharov(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        i = arange(1.0, len(x) + 1.0)
        u = sum(x**2)
        v = sum(0.5 * i * x)
        return u + v**2 + v**4


@method(vec(2))
class Easom(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        a = (x[0] - pi) ** 2 + (x[1] - pi) ** 2
        return -cos(x[0]) * cos(x[1]) * exp(-a / 8)


@method(vec(2, 0.2, 1.4))
class Plateau(Benchmark):
    """A piecewise function that decides on its data."""

    def fun(self, x, *args):
        self.nfev += 1
        if x[0] >= 1.0:
            return 6.0 - x[0] * x[1]
        elif 0.4 < x[0] < 0.8:
            return x[1] ** 2 + 7.0
        return float(x[0] >= 0) * x[1] + x[0]


@method(vec(3))
class Corana(Benchmark):
    """Holes of constant value, whose sides are found by rounding."""

    def fun(self, x, *args):
        self.nfev += 1
        d = [1.0, 1000.0, 10.0]
        r = 0
        for j in range(3):
            zj = np.floor(np.abs(x[j] / 0.2) + 0.49999) * np.sign(x[j]) * 0.2
            if abs(x[j] - zj) < 0.05:
                r += 0.15 * ((zj - 0.05 * np.sign(zj)) ** 2) * d[j]
            else:
                r += d[j] * x[j] * x[j] * 1e-2
        return r


@method(vec(5))
class PenaltyFunction(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        a, b, c = 1.0, 10.0, 4.0
        u = np.where(np.abs(x) > a, b * (np.abs(x) - a) ** c, 0.0)
        y = 1 + (x + 1) / 4
        tail = sum((y[:-1] - 1) ** 2 * (1 + 10 * sin(pi * y[1:]) ** 2))
        return pi / 5 * (10 * sin(pi * y[0]) ** 2 + tail + (y[-1] - 1) ** 2) + sum(u)


@method(vec(4))
class Mishra(Benchmark):
    def fun(self, x, *args):
        self.nfev += 1
        xn = self.N - sum(x[0 : self.N - 1]) + 2.5
        padded = np.asarray([0.0, x[0]] + list(x[1::2]))
        return (1 + abs(xn)) ** 1.5 + sum(padded**2)


@method(vec(3))
class OwnData(Benchmark):
    """Reads data, a property and a method of its own."""

    def __init__(self):
        super().__init__(3)
        self.scale = np.array([1.0, 2.0, 3.0])
        self.offset = 0.25

    @property
    def weights(self):
        return self.scale / np.sum(self.scale)

    def transform(self, x):
        return np.tanh(x - self.offset)

    def fun(self, x, *args):
        self.nfev += 1
        z = self.transform(x)
        return self.weights @ z**2


@program(vec(6))
def sphere_comprehension(x):
    return sum([xi**2 for xi in x])


@program(vec(6))
def styblinski_tang_math(x):
    total = 0.0
    for xi in x:
        total += math.pow(xi, 4) - 16 * xi**2 + 5 * xi + math.exp(-xi) * math.cos(xi)
    return 0.5 * total


@program(vec(8))
def schaffer_pairs(x):
    s = 0.0
    for a, b in zip(x[:-1], x[1:]):
        r = a * a + b * b
        s += r**0.25 * (math.sin(50 * r**0.1) ** 2 + 1)
    return s


@program(vec(6))
def alpine_product(x):
    return np.prod(np.sqrt(x + 2)) * np.prod(np.sin(x + 2))


@program(vec(4, -0.9, 0.9))
def chained_crescent(x):
    first, second = 0.0, 0.0
    for i in range(len(x) - 1):
        a = x[i] ** 2 + (x[i + 1] - 1) ** 2
        first += a + x[i + 1] - 1
        second += -a + x[i + 1] + 1
    return max(first, second)


@program(vec(5))
def maxq_and_l1(x):
    return np.max(x**2) + np.linalg.norm(x, 1) + np.linalg.norm(x)


@program(lambda rng: (rng.uniform(0.5, 1.5, size=3), rng.uniform(size=8)))
def exponential_fit(p, t):
    y = np.array([0.3, 0.5, 0.8, 0.9, 1.1, 1.0, 1.3, 1.2])
    residual = y - p[0] * np.exp(-p[1] * t) - p[2]
    return np.sum(np.where(np.abs(residual) < 0.3, residual**2, 0.6 * np.abs(residual)))


@program(vec(3))
def objective_of_augmented_lagrangian(x):
    constraints = [lambda z: z[0] ** 2 + z[1] - 1, lambda z: z[1] * z[2] - 0.5]
    multipliers = [0.3, -0.2]
    rho = 2.0
    value = np.sum((x - 0.5) ** 2)
    for c, m in zip(constraints, multipliers, strict=True):
        violation = c(x)
        value += m * violation + 0.5 * rho * violation**2
    return value


@program(vec(2))
def simulated_line_search(x):
    def f(z):
        return (z[0] - 1) ** 2 + 2 * (z[1] + 0.5) ** 2 + z[0] * z[1]

    g = np.array([2 * (x[0] - 1) + x[1], 4 * (x[1] + 0.5) + x[0]])
    step = 1.0
    while f(x - step * g) > f(x) - 0.1 * step * np.dot(g, g):
        step *= 0.5
        if step < 1e-3:
            break
    return f(x - step * g)
