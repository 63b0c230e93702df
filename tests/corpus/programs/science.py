"""Models of physics, chemistry, biology and finance."""

from __future__ import annotations

import cmath
import functools
import math
from collections import defaultdict, deque
from enum import Enum
from typing import NamedTuple

import numpy as np

from tests.corpus.programs.kernels import arrays
from tests.corpus.programs.learning import positive
from tests.corpus.table import program

GRAVITY, GAS, BOLTZMANN = 9.81, 8.314, 1.380649e-23


def numbers(*values):
    """Python floats as arguments."""
    return lambda rng: values


# Finance ------------------------------------------------------------------------------


class Right(Enum):
    CALL = 1
    PUT = -1

    @property
    def sign(self):
        return float(self.value)


def normal_cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


class European:
    """An option whose Greeks are properties."""

    def __init__(self, S, K, T, r, sigma, q=0.0, right=Right.CALL):
        assert S >= 0.0 and K > 0.0, "prices are positive"
        self.S, self.K, self.T, self.r, self.sigma, self.q = S, K, T, r, sigma, q
        self.right = right

    @property
    def d1(self):
        drift = self.r - self.q + 0.5 * self.sigma**2
        return (math.log(self.S / self.K) + drift * self.T) / (
            self.sigma * math.sqrt(self.T)
        )

    @property
    def d2(self):
        return self.d1 - self.sigma * self.T**0.5

    def price(self):
        s = self.right.sign
        return s * (
            self.S * math.exp(-self.q * self.T) * normal_cdf(s * self.d1)
            - self.K * math.exp(-self.r * self.T) * normal_cdf(s * self.d2)
        )

    def vega(self):
        density = math.exp(-0.5 * self.d1**2) / math.sqrt(2 * math.pi)
        return self.S * density * math.sqrt(self.T)


@program(numbers(1.1, 1.0, 0.7, 0.05, 0.3))
def option_book(S, K, T, r, sigma):
    book = [European(S, K * m, T, r, sigma, right=w) for m in (0.9, 1.1) for w in Right]
    prices = {(k // 2, o.right.name): o.price() for k, o in enumerate(book)}
    return sum(prices.values()) + max(o.vega() for o in book)


@program(numbers(0.2, 1.1, 1.0, 0.5))
def implied_volatility_by_newton(price, S, K, T):
    sigma = 0.3
    for _ in range(50):
        option = European(S, K, T, 0.02, sigma)
        error = option.price() - price
        if abs(error) < 1e-12:
            break
        sigma -= error / option.vega()
    return sigma


@program(numbers(0.03, 0.08, -0.4, 0.5), single=False)
def heston_by_characteristic_function(v0, theta, rho, xi):
    """A call's probability by integrating a characteristic function."""
    kappa, r, T, k = 1.5, 0.02, 1.0, 0.05
    total = 0.0
    for u in np.linspace(0.1, 20, 40):
        d = cmath.sqrt((rho * xi * u * 1j - kappa) ** 2 + xi**2 * (u * 1j + u**2))
        g = (kappa - rho * xi * u * 1j - d) / (kappa - rho * xi * u * 1j + d)
        e = cmath.exp(-d * T)
        C = r * u * 1j * T + kappa * theta / xi**2 * (
            (kappa - rho * xi * u * 1j - d) * T - 2 * cmath.log((1 - g * e) / (1 - g))
        )
        D = (kappa - rho * xi * u * 1j - d) / xi**2 * (1 - e) / (1 - g * e)
        f = cmath.exp(C + D * v0 - 1j * u * k) / (1j * u)
        total += f.real * 0.5
    return 0.5 + total / math.pi


@program(positive(6, 6))
def bond_ladder(rates, coupons):
    """Bootstrapped discounts, duration and convexity."""
    discounts = []
    for n, c in enumerate(coupons, start=1):
        annuity = sum(discounts)
        discounts.append((1 - 0.05 * c * annuity) / (1 + 0.05 * c))
    flows = [(t, 100 * c * d) for t, (c, d) in enumerate(zip(coupons, discounts), 1)]
    value = sum(f / (1 + 0.1 * r) ** t for (t, f), r in zip(flows, rates))
    duration = sum(t * f / (1 + 0.1 * rates[0]) ** t for t, f in flows) / value
    return value, duration


@program(lambda rng: (rng.uniform(0.1, 1, 4), rng.normal(size=(20, 4)) * 0.02))
def risk_parity_and_drawdown(w, returns):
    w = w / np.sum(np.abs(w))
    cov = np.cov(returns, rowvar=False)
    risk = math.sqrt(w @ cov @ w)
    shares = w * (cov @ w) / risk
    parity = np.sum((shares - risk / len(w)) ** 2)
    wealth = np.cumprod(1 + returns @ w)
    drawdown = np.min(wealth / np.maximum.accumulate(wealth) - 1)
    tail = np.sort(returns @ w)[:2].mean()
    return 1e3 * parity, drawdown, tail


# Mechanics ----------------------------------------------------------------------------


class Vector(NamedTuple):
    x: float
    y: float

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __sub__(self, other):
        return Vector(self.x - other.x, self.y - other.y)

    def __mul__(self, k):
        return Vector(self.x * k, self.y * k)

    def __abs__(self):
        return math.hypot(*self)


class Body:
    count = 0

    def __init__(self, position, velocity, mass=1.0):
        self.position, self.velocity, self.mass = position, velocity, mass
        Body.count += 1


@program(arrays(12))
def bodies_of_vectors(state):
    it = iter(state)
    bodies = [
        Body(Vector(a, b), Vector(c, d), mass=1.0 + k)
        for k, (a, b, c, d) in enumerate(zip(it, it, it, it))
    ]
    for _ in range(4):
        for one in bodies:
            pull = Vector(0.0, 0.0)
            for other in bodies:
                if other is one:
                    continue
                d = other.position - one.position
                pull = pull + d * (other.mass / (abs(d) ** 2 + 0.5) ** 1.5)
            one.velocity = one.velocity + pull * 0.05
        for body in bodies:
            body.position = body.position + body.velocity * 0.05
    energy = sum(0.5 * b.mass * abs(b.velocity) ** 2 for b in bodies)
    return energy, [tuple(b.position) for b in bodies]


def rk4(f, y, t, h, *args, **options):
    k1 = f(t, y, *args, **options)
    k2 = f(t + h / 2, y + h / 2 * k1, *args, **options)
    k3 = f(t + h / 2, y + h / 2 * k2, *args, **options)
    k4 = f(t + h, y + h * k3, *args, **options)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@program(lambda rng: (np.array([1.2, -0.4, 0.1, 0.2]), np.array([1.0, 0.8])))
def double_pendulum(y, lengths):
    l1, l2 = lengths

    def slope(t, y, *, drag=0.0):
        a, b, da, db = y
        d = a - b
        den = 2 - np.cos(2 * d) + drag
        dda = (
            -GRAVITY * (2 * np.sin(a) + np.sin(a - 2 * b))
            - 2 * np.sin(d) * (db**2 * l2 + da**2 * l1 * np.cos(d))
        ) / (l1 * den)
        ddb = (
            2
            * np.sin(d)
            * (2 * da**2 * l1 + 2 * GRAVITY * np.cos(a) + db**2 * l2 * np.cos(d))
        ) / (l2 * den)
        return np.array([da, db, dda, ddb])

    t = 0.0
    while t < 0.195:
        y = rk4(slope, y, t, 0.02, drag=1.0)
        t += 0.02
    return y


@program(numbers(0.9, 30.0, 0.02))
def projectile_until_it_lands(angle, speed, drag):
    x = y = 0.0
    vx, vy = speed * math.cos(angle), speed * math.sin(angle)
    h, top = 0.02, 0.0
    while True:
        v = math.sqrt(vx * vx + vy * vy)
        vx -= h * drag * v * vx
        vy -= h * (GRAVITY + drag * v * vy)
        x, y, before = x + h * vx, y + h * vy, (x, y)
        top = max(top, y)
        if y < 0:
            break
    share = before[1] / (before[1] - y)
    return before[0] + share * (x - before[0]), top


@program(arrays((4, 4), (4, 4)))
def spin_chain_energy(J, h):
    """Neighbours through rolled arrays, and an exact sum over a few states."""
    spins = np.array([1, -1])
    levels = []
    for a in spins:
        for b in spins:
            s = np.outer([a, b, -a, b], [1, -1, b, a])
            bonds = s * np.roll(s, 1, axis=0) + s * np.roll(s, -1, axis=1)
            levels.append(-np.sum(J * bonds) - np.sum(h * s))
    return -np.log(np.sum(np.exp(-0.3 * np.array(levels))))


@program(positive(4))
def optics_by_matrices(thicknesses):
    """Transfer matrices of a stack of films."""
    indices = [1.38, 2.1, 1.38, 2.1]
    M = np.eye(2, dtype=complex)
    for n, d in zip(indices, thicknesses):
        phase = 2 * np.pi * n * d / 2.5
        layer = [
            [np.cos(phase), 1j * np.sin(phase) / n],
            [1j * n * np.sin(phase), np.cos(phase)],
        ]
        M = M @ np.array(layer)
    b, c = M @ np.array([1.0, 1.52])
    r = (b - c) / (b + c)
    return abs(r) ** 2


# Chemistry and biology ----------------------------------------------------------------


@program(positive(3, 2))
def reactions_in_a_table(k, c0):
    """Mass action kinetics from a table of reactions, by dicts of concentrations."""
    species = dict(zip("AB", c0), C=0.0, D=0.0)
    reactions = [("AB", "C", 0), ("C", "AB", 1), ("CB", "D", 2)]
    for _ in range(20):
        rate = defaultdict(float)
        for left, right, which in reactions:
            v = k[which] * functools.reduce(lambda a, s: a * species[s], left, 1.0)
            for s in left:
                rate[s] -= v
            for s in right:
                rate[s] += v
        species = {s: c + 0.02 * rate[s] for s, c in species.items()}
    return [species[s] for s in sorted(species)]


@program(numbers(300.0, 2.5, 0.3))
def van_der_waals_volume(T, a, b):
    """The largest root of a cubic by Newton's method from above."""
    p = 5.0
    v = 0.05 * GAS * T / p
    for _ in range(100):
        f = (p + a / v**2) * (v - b) - 0.05 * GAS * T
        df = p + a / v**2 - 2 * a * (v - b) / v**3
        step = f / df
        v -= step
        if abs(step) < 1e-13 * abs(v):
            break
    else:
        raise RuntimeError("no root")
    return v


@program(lambda rng: (rng.uniform(0.2, 0.6, 3), rng.uniform(0.5, 2, 5)))
def seir_with_delays(rates, contacts):
    """An epidemic with a queue of those who are on their way."""
    beta, sigma, gamma = rates
    s, e, i, r = 0.97, 0.02, 0.01, 0.0
    waiting = deque([0.0] * 3, maxlen=3)
    peak = 0.0
    for day in range(15):
        caught = beta * contacts[day % len(contacts)] * s * i
        ready = waiting[0]
        waiting.append(sigma * e)
        s, e, i, r = s - caught, e + caught - sigma * e, i + ready - gamma * i, r + i
        peak = max(peak, i)
    return peak, s, sum(waiting)


@program(arrays(3), single=False)
def hodgkin_huxley_gates(x):
    def safe(z):
        return z / (1 - np.exp(-z)) if abs(z) > 1e-6 else 1 + z / 2

    v, current = -65 + x[0], 10 + x[1]
    m, h, n = 0.05, 0.6, 0.32 + 0.01 * x[2]
    for _ in range(30):
        m += 0.02 * (safe((v + 40) / 10) * (1 - m) - 4 * np.exp(-(v + 65) / 18) * m)
        h += 0.02 * (
            0.07 * np.exp(-(v + 65) / 20) * (1 - h) - h / (1 + np.exp(-(v + 35) / 10))
        )
        n += 0.02 * (
            0.1 * safe((v + 55) / 10) * (1 - n) - 0.125 * np.exp(-(v + 65) / 80) * n
        )
        ions = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.4)
        v += 0.02 * (current - ions)
    return v, m, h, n


@program(lambda rng: (rng.normal(size=(6, 3)),))
def bonds_angles_and_torsions(r):
    def unit(v):
        return v / np.linalg.norm(v)

    energy = 0.0
    for i, j in zip(range(5), range(1, 6)):
        energy += 50 * (np.linalg.norm(r[j] - r[i]) - 1.0) ** 2
    for a, b, c in zip(r, r[1:], r[2:]):
        cosine = np.dot(unit(a - b), unit(c - b))
        energy += (np.arccos(np.clip(cosine, -0.999, 0.999)) - 1.9) ** 2
    for p, q, s, t in zip(r, r[1:], r[2:], r[3:]):
        b1, b2, b3 = q - p, s - q, t - s
        n1, n2 = np.cross(b1, b2), np.cross(b2, b3)
        angle = np.arctan2(np.dot(np.cross(n1, n2), unit(b2)), np.dot(n1, n2))
        energy += 1 + np.cos(3 * angle)
    return energy


@program(positive(5, (5, 5)))
def logistic_food_web(n, A):
    A = A * (1 - np.eye(5)) * 0.1

    @functools.lru_cache(maxsize=None)
    def harvest(step):
        return 0.05 * (1 + (step % 3))

    for step in range(12):
        growth = n * (1 - n - A @ n) - harvest(step) * n / (0.5 + n)
        n = np.maximum(n + 0.1 * growth, 1e-3)
    return n
