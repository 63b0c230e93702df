"""Programs with variables that are None until data gives them a value.

Each has a vector and a matrix of as many rows, by 3, for arguments.
"""

from __future__ import annotations

import numpy as np

OPTIONAL: list = []


def optional(fn):
    OPTIONAL.append(fn)
    return fn


@optional
def the_place_of_the_largest(x, m):
    best, arg = -1e9, None
    for i in range(len(x)):
        if x[i] > best:
            best, arg = x[i], i
    return x[arg] ** 2 + arg * x[0] + m[arg, 1]


@optional
def the_last_above(x, m):
    k = None
    for i in range(len(x)):
        if x[i] > 0.3:
            k = i
    y = x.copy()
    if k == 3:
        y[0] = 5 * x[1]
    if k != None:  # noqa: E711
        y[k] *= 4
    return np.sum(y**2)


@optional
def the_one_before(x, m):
    prev, s = None, 0.0
    for v in x:
        if v < -0.5:
            continue
        if prev is not None:
            s += (v - prev) ** 2
        prev = v
    return s


@optional
def until_found(x, m):
    found = None
    for i in range(len(x)):
        if x[i] > 0.3:
            found = x[i] * i
            break
    return found if found is not None else -x[0]


@optional
def in_every_row(x, m):
    s = 0.0
    for i in range(len(m)):
        hit = None
        for j in range(3):
            if m[i, j] > 0.2:
                hit = j
                break
        if hit is None:
            continue
        s += m[i, hit] ** 2 * (hit + 1)
    return s


def find(v, c):
    for i in range(len(v)):
        if v[i] > c:
            return i
    return None


@optional
def given_by_a_helper(x, m):
    i, j = find(x, 0.3), find(x, 9.0)
    s = x[0] if j is None else 100 * x[j]
    if i is not None:
        s = s + x[i] ** 2
    return s


@optional
def or_else(x, m):
    best = None
    for v in x:
        if v > 0.1:
            best = v if not best else max(best, v)
    none = None
    for v in x:
        if v > 9.0:
            none = v
    return (best or 0.5) ** 2 + (none or x[1]) * 3


@optional
def both_ends(x, m):
    lo = hi = None
    for v in x:
        if v < 0:
            if lo is None or v < lo:
                lo = v
        elif hi is None or v > hi:
            hi = v
    return (hi - lo) ** 2


@optional
def runs_that_begin_and_end(x, m):
    start, s = None, 0.0
    for i in range(len(x)):
        if x[i] > 0 and start is None:
            start = i
        elif x[i] <= 0 and start is not None:
            s += np.sum(x[start:i]) ** 2
            start = None
    if start is not None:
        s += np.sum(x[start:]) ** 2
    return s


@optional
def a_tuple(x, m):
    best = None
    for i in range(len(x) - 1):
        cost = (x[i] - x[i + 1]) ** 2
        if cost > 0.1 and (best is None or cost < best[0]):
            best = cost, i, x[i]
    cost, i, v = best
    return cost * v + i


@optional
def a_row_written_to(x, m):
    a, pick = m.copy(), None
    for i in range(len(m)):
        if a[i, 1] > 0:
            pick = a[i]
    if pick is not None:
        pick *= 3.0
    return np.sum(a * a * np.arange(a.size).reshape(a.shape))


class Tracker:
    def __init__(self):
        self.last, self.seen = None, {"first": None}

    def feed(self, v):
        d = 0.0
        if self.last is not None:
            d = v - self.last
        if v > -0.3:
            self.last = v
            if self.seen["first"] is None:
                self.seen["first"] = v * v
        return d * d


@optional
def in_objects_and_dicts(x, m):
    t, s = Tracker(), 0.0
    for v in x:
        s += t.feed(v)
    return s + t.last * t.seen["first"]


@optional
def while_it_changes(x, m):
    prev, s, k = None, 0.0, 0
    while k < len(x):
        if prev is None or abs(x[k] - prev) > 0.1:
            s += x[k] * x[k]
            prev = x[k]
        k += 1
    return s


@optional
def handed_down(x, m):
    a = b = None
    for v in x:
        if v > 0:
            a, b = v, a
    return (a if a is not None else 0) + (10 * b if b is not None else 0)


@optional
def kept_in_a_list(x, m):
    last, seen = None, []
    for v in x:
        if v > 0:
            last = v
        seen.append(0.0 if last is None else last)
    return np.sum(np.array(seen) ** 2)
