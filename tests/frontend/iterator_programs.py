"""Programs with iterators, which are used up once, as people write them.

Their loops stay loops. Each has a number and a vector for arguments.
"""

# ruff: noqa: B905 (Python's default is meant)
from __future__ import annotations

import numpy as np

STAGED: list = []
UNROLLED: list = []


def staged(fn):
    STAGED.append(fn)
    return fn


def unrolled(fn):
    UNROLLED.append(fn)
    return fn


# Used up ------------------------------------------------------------------------------


@staged
def a_zip_twice(c, x):
    z, s = zip(x, x * c), 0.0
    for a, b in z:
        s += a * b
    for a, _ in z:
        s += 100.0 * a
    return s


@staged
def enumerated_and_reversed_twice(c, x):
    e, r, s = enumerate(x, 1), reversed(x), c
    for i, v in e:
        s += i * v
    for v in r:
        s = 0.5 * s + v * v
    for i, v in e:
        s += 100.0 * v * i
    return s + 100.0 * sum(r)


@staged
def lists_of_a_zip(c, x):
    z = zip(x, x**2)
    first, second = list(z), list(z)
    return c * sum([a * b for a, b in first]) + 100 * len(second) + len(first)


@staged
def sums_of_a_zip(c, x):
    z = zip(x, np.cos(x))
    return c * sum(a * b for a, b in z) + sum(a for a, b in z)


@staged
def zips_of_zips(c, x):
    s = 0.0
    z = enumerate(zip(zip(x, x + c), enumerate(x)))
    for k, ((a, b), (i, v)) in z:
        s += a * b * v * i + k
    return s + len(list(z))


@staged
def ranges_and_arrays_are_none(c, x):
    r, s = range(1, len(x)), 0.0
    for i in r:
        for j in r:
            s += x[i] * x[j - 1]
    for v in x:
        s += c * v
    for v in x:
        s += v * v
    return s


# In part ------------------------------------------------------------------------------


@staged
def the_first_and_the_rest(c, x):
    z = zip(x, np.sin(x))
    a, b = next(z)
    s = a * b * c
    for p, q in z:
        s += p * q * a
    return s


@staged
def on_after_a_break(c, x):
    it, s, t = enumerate(x), 0.0, 0.0
    for k, v in it:
        s += v * v * k
        if s > 2.0:
            break
    for k, v in it:
        t += np.sin(v) * 3 * k
    return c * s + t * s


@staged
def with_an_else(c, x):
    it, s = iter(x), 0.0
    for v in it:
        s += v
        if s > 100.0:
            break
    else:
        s *= 2
    for _ in it:
        s += 1000.0
    return c * s


@staged
def found_by_a_helper(c, x):
    def find(it):
        for v in it:
            if v > 1.0:
                return v
        return 0.0

    it = iter(x)
    return c * find(it) + 10 * find(it) + 100 * find(it)


@staged
def in_the_loop_itself(c, x):
    it, s = iter(x), 0.0
    for a in it:
        s += a * np.sin(next(it)) * c
    return s


@staged
def nested_in_itself(c, x):
    z, s = zip(x, x[::-1]), 0.0
    for a, b in z:
        for p, q in z:
            s += a * p - b * q * q * c
    return s


@staged
def two_by_two(c, x):
    it, s = iter(x), 0.0
    for a, b in zip(it, it):
        s += a * np.sin(b)
    for a, b, d in zip(*[iter(x)] * 3):
        s += a * np.sin(b) - c * d
    return s


@staged
def neighbours(c, x):
    a, b, s = iter(x), iter(x), 0.0
    next(b)
    for p, q in zip(a, b):
        s += p * q * q
    for p in a:  # the last one was taken before `b` had no more
        s += 100 * p
    a, b = iter(x), iter(x)
    next(b)
    for q, p in zip(b, a):
        s += p * q * c
    for p in a:
        s += 1000 * p
    return s


@staged
def next_in_branches(c, x):
    it = iter(x)
    s = next(it)
    if s > 0.2:
        s *= next(it)
    for k in range(5):
        s += k * c * next(it)
    for v in it:
        s += v * v
    return s


@staged
def next_while(c, x):
    it, s = iter(x), 0.0
    while s < 1.5:
        s += next(it) ** 2
    return c * s + sum(it)


@staged
def next_or_else(c, x):
    it, s = iter(x), 0.0
    for i in range(len(x) + 3):
        s += (i + 1) * next(it, c)
    return s


@staged
def merged(c, x):
    a, b, s = iter(np.sort(x[:10])), iter(np.sort(x[10:])), 0.0
    u, v = next(a), next(b)
    for k in range(9):
        if u < v:
            s += u * k
            u = next(a)
        else:
            s += c * v * k
            v = next(b)
    return s


@staged
def mapped_of_one(c, x):
    it, s = iter(x), c
    for v in map(lambda a, b: a * b, it, x):
        s += v * s
    return s + sum(v for v in it)


@unrolled
def with_the_first_apart(c, x):
    it, best = iter(x), None
    for v in it:
        if best is None or v > best:
            best = v
    s = 0.0
    for v in it:
        s += v
    return c * best + s


@unrolled
def names_and_a_break(c, x):
    names = {k: 0.1 * k for k in range(len(x))}
    it, s = enumerate(x), 0.0
    for k, v in it:
        s += v * names[k]
        if v > 1.2:
            break
    for k, v in it:
        s += c * v * k
    return s


@unrolled
def by_python_itself(c, x):
    z = zip(range(30), x)
    d = dict(z)
    a, *rest = r = reversed(x)
    it = iter(x)
    found = 3 in reversed(range(5))
    return d[2] * c + a * rest[1] + len(list(z)) + sum(r) + len([*it, *it]) + found


@unrolled
def a_list_that_grows_meanwhile(c, x):
    ys, s = [c], 0.0
    z = zip(ys, x)
    for v in x:
        ys.append(v * c)
    for a, b in z:
        s += a * b
    return s


# Generator expressions, map, filter ---------------------------------------------------


@staged
def an_expression_in_itself(c, x):
    g, s = (v * v for v in x), 0.0
    for a in g:
        for b in g:
            s += a * b * c
    return s


@staged
def an_expression_left_early(c, x):
    g, s = (c * v * v for v in x), 0.0
    for a in g:
        s += a
        if s > 1.0:
            break
    for a in g:
        s += np.sin(a)
    return s + len(list(g))


@staged
def the_next_of_a_map(c, x):
    m, s = map(np.sin, x), 0.0
    for a in m:
        s += a * next(m) * c
    return s


@staged
def the_next_that_fits(c, x):
    g = (v for v in x if v > 0)
    k = next(i for i in range(len(x)) if x[i] > 0.2)
    none = next((v for v in x if v > 9.0), c)
    i = next((i for i, v in enumerate(x) if v > 0.3), None)
    return next(g) * 2 + next(g) * c + x[k] ** 2 + none + (0.0 if i is None else x[i])


@staged
def filtered(c, x):
    f, s = filter(lambda v: v > 0, x), 0.0
    for v in f:
        s += v * v
        if s > 1.0:
            break
    s += c * sum(f)
    return s + sum(filter(lambda v: v < c, x)) + len(list(filter(None, x)))


@staged
def any_and_all(c, x):
    s = 0.0
    for i in range(len(x)):
        if any(abs(v - x[i]) < 0.05 for v in x[:i]):
            s += c * x[i]
        if all(x[j] <= x[i] for j in range(i)):
            s += x[i] ** 2
    if all(x[i] < x[i + 1] for i in range(len(x))):  # stops before the end
        s *= 2
    return s


@staged
def the_best_by_a_key(c, x):
    k = max(range(len(x)), key=lambda i: x[i])
    v = min(x, key=lambda v: abs(v - 0.3))
    far = max(((v, i) for i, v in enumerate(x)), key=lambda t: abs(t[0]))
    return x[k] ** 2 + c * v + far[0] * far[1] + min(zip(x, range(99)))[0]


@staged
def a_generator_counted(c, x):
    def smoothed(v, a):
        s = v[0]
        for q in v:
            s = a * q + (1 - a) * s
            if s > 1.6:
                return
            yield s

    s = 0.0
    for k, v in enumerate(smoothed(x, 0.3), 1):
        s += k * v
    for k, v in enumerate(smoothed(x, 0.6)):
        if v > 1.0:
            break
        s += k * v
    return c * s + max(smoothed(x, 0.5))
