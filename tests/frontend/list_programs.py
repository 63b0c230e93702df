"""Programs with lists that grow in loops, as people write them.

Their loops stay loops. Each has a number, a vector and a matrix of as many rows, by 3,
for arguments.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

STAGED: list = []


def staged(fn):
    STAGED.append(fn)
    return fn


# Numbers ------------------------------------------------------------------------------


@staged
def recurrence(c, x, m):
    y, ys = 0.1, []
    for t in range(len(x)):
        y = y + 0.1 * np.sin(c * x[t]) * y + x[t]
        ys.append(y)
    return np.sum(np.array(ys) ** 2)


@staged
def read_back(c, x, m):
    ys = [c, c * c]
    for t in range(2, len(x)):
        ys.append(0.5 * ys[-1] + 0.3 * ys[t - 2] * x[t])
    total = sum(ys) + ys[-1] + ys[3] * ys[0] + len(ys)
    return total + np.sum(ys[1:]) + max(ys) - min(ys)


@staged
def two_lists(c, x, m):
    places, speeds = [], []
    a, v = 1.0, 0.0
    for t in range(len(x)):
        v = v - 0.1 * a * c
        a = a + 0.1 * v
        places.append(a)
        speeds.append(v * x[t])
    s = np.dot(places, speeds)
    for p, q in zip(places, speeds, strict=True):
        s += p * q
    for k, p in enumerate(places):
        s += p * k
    return s


@staged
def times_and_values(c, x, m):
    ts, ys, y = [], [], c
    for i in range(len(x)):
        ts.append(i * 0.1)
        y = y + 0.1 * x[i] * y
        ys.append(y)
    return np.sum(np.array(ys) * np.array(ts)) + np.trapezoid(ys, ts)


@staged
def backwards(c, x, m):
    ys, zs = [], []
    for i in range(len(x) - 1, -1, -1):
        ys.append(x[i] * c)
    for i in range(1, 20, 2):
        zs.append(x[i] * c + len(zs))
    return np.sum(np.array(ys) * x) + np.sum(np.array(zs) ** 2)


@staged
def promoted(c, x, m):
    ys = [0]
    for i in range(len(x)):
        ys.append(x[i] * c)
    return np.array(ys) ** 2


@staged
def single_precision(c, x, m):
    x = x.astype(np.float32)
    ys = []
    for v in x:
        ys.append(v * v)
    return np.array(ys), ys[3] * c


@staged
def added_at_once(c, x, m):
    ys, zs = [], []
    for i in range(len(x)):
        ys += [x[i] * c, c]
        zs.extend((x[i] * c, c * c))
    return np.sum(np.array(ys) * np.array(zs) * np.arange(2.0 * len(x)))


@staged
def looped_over(c, x, m):
    ys, zs = [], []
    for v in x:
        ys.append(v * c)
    for y in ys:
        zs.append(y * y)
    for z in reversed(zs):
        ys.append(z)
    return np.array(ys) ** 2


@staged
def appended_afterwards(c, x, m):
    ys = []
    for v in x:
        ys.append(v * c)
    ys.append(c)
    ys.append(3.0)
    return np.sum(np.array(ys) ** 2) + np.mean(ys) + np.max(ys)


@staged
def assigned(c, x, m):
    ys = []
    for i in range(len(x)):
        ys.append(x[i] * c)
        if i > 3:
            ys[-1] = ys[-1] + ys[i - 3]
    ys[3] = c * c
    ys[-1] += 2 * c
    return np.array(ys) ** 2


@staged
def slices(c, x, m):
    ys = []
    for i in range(len(x)):
        ys.append(x[i] * c)
    s = np.sum(np.diff(ys) ** 2) + np.sum(np.array(ys[::-2]) ** 2)
    for a, b, v in zip(ys[:-1], ys[1:], x, strict=False):
        s += a * b * v
    for k in range(len(x) - 10):
        s += np.prod(ys[k : k + 3]) + np.mean(ys[k : k + 10])
    last = ys[-12:]
    last.append(c)
    return s + np.sum(np.array(last) ** 2) + len(ys) + sum(ys[-2:])


@staged
def all_so_far(c, x, m):
    ys = [c]
    for t in range(len(x)):
        ys.append(np.sum(np.array(ys)) * 0.1 + x[t])
    return np.array(ys)


@staged
def moving_window(c, x, m):
    ys = [c, c, c]
    for t in range(len(x)):
        ys.append(sum(ys[-3:]) * 0.4 + x[t])
    return np.array(ys)


@staged
def lengths(c, x, m):
    ys, s = [], 0.0
    for t in range(len(x)):
        if ys:
            s += ys[-1] * len(ys)
        ys.append(x[t] * c)
    return s if ys else 0.0


@staged
def comprehensions(c, x, m):
    ys = [c * x[i] ** 2 for i in range(len(x))]
    zs = [np.sin(y) * v for y, v in zip(ys, x, strict=True) if v > 0.5]
    pairs = [(i * c, v) for i, v in enumerate(x)]
    rows = [[y * v for y in range(3)] for v in x]
    s = np.sum(np.array(ys) ** 2) + sum(ys) + sum(zs) + sum(y * y for y in ys)
    return s + np.sum(np.array(pairs) ** 2) + np.sum(np.array(rows) * m)


# Arrays and trees ---------------------------------------------------------------------


@staged
def rows(c, x, m):
    h, ys = np.zeros(3), []
    for t in range(len(x)):
        h = np.tanh(c * h + m[t])
        ys.append(h)
    y = np.stack(ys)
    s = np.sum(y**2) + np.sum(y[3:5] * m[3:5]) + np.sum(np.concatenate(ys) ** 3)
    return s + np.sum(np.vstack(ys)[:, 1]) + np.sum(np.array(ys).T @ m) + sum(ys)[1]


@staged
def joined(c, x, m):
    ys = []
    for t in range(len(x)):
        ys.append(m[t].reshape(1, 3) * c)
    return (
        *(np.concatenate(ys, axis=0), np.concatenate(ys, axis=1), np.hstack(ys)),
        *(np.column_stack(ys), np.dstack(ys), np.vstack(ys), np.stack(ys, axis=1)),
        *(np.concatenate(ys, axis=None), np.stack(ys, axis=-1)),
    )


@staged
def joined_vectors(c, x, m):
    ys, zs = [], []
    for t in range(len(x)):
        ys.append(m[t] * c)
        zs.append(x[t] * c)
    return (
        *(np.concatenate(ys), np.hstack(ys), np.column_stack(ys), np.dstack(ys)),
        *(np.hstack(zs), np.vstack(zs), np.column_stack(zs), np.stack(zs)),
        *(np.array([zs, zs]), np.column_stack([zs, x]), np.vstack((zs, x))),
    )


@staged
def copies(c, x, m):
    u, ys = np.zeros(3), []
    for t in range(len(x)):
        u += m[t] * c
        ys.append(u.copy())
    return np.array(ys) ** 2


@staged
def from_the_last(c, x, m):
    ys = [np.ones(3) * c]
    for t in range(len(x)):
        u = ys[-1]
        u = u * 0.5 + x[t]
        ys.append(u)
    return np.array(ys) ** 2


@staged
def written_through(c, x, m):
    u, ys = np.ones(3), []
    for t in range(len(x)):
        u = u + m[t] * c
        ys.append(u)
    ys[-1] *= 3
    ys[2][1] = c * c
    return np.array(ys) ** 2


@staged
def pairs(c, x, m):
    a, v, path = 1.0, c, []
    for t in range(len(x)):
        v = v - 0.1 * a * c
        a = a + 0.1 * v * x[t]
        path.append((a, v))
    table = np.array(path)
    s = np.sum(table[:, 0] * table[:, 1] ** 2)
    for a, v in path:
        s += a * v
    return s + path[3][1] * path[-1][0]


@staged
def states(c, x, m):
    state, path = [1.0, c], []
    for t in range(len(x)):
        state = [state[0] + 0.1 * state[1], state[1] - 0.1 * x[t]]
        path.append(state)
    log = []
    for t in range(len(x)):
        log.append({"time": 0.1 * t, "rows": m[t] * c, "name": "row"})
    return np.array(path) ** 2, log[3]["rows"] * log[-1]["time"]


# Loops and branches -------------------------------------------------------------------


@staged
def nested(c, x, m):
    ys = []
    for i in range(len(x)):
        s = 0.0
        for j in range(3):
            s += c * m[i, j]
            ys.append(np.sin(s))
    for i in range(len(x) - 8):
        for j in range(len(x)):
            ys.append(np.sin(c * x[j] + i))
    return np.array(ys) ** 2


@staged
def new_in_every_round(c, x, m):
    s = 0.0
    for i in range(12):
        ys = []
        for j in range(len(x)):
            ys.append(np.sin(c * x[j] + i))
        s += np.sum(np.array(ys) ** 2) * ys[2] + ys[-1]
    return s


@staged
def rows_of_rows(c, x, m):
    ys = []
    for t in range(len(x)):
        row = []
        for j in range(3):
            row.append(m[t, j] * c)
        ys.append(row)
    return np.array(ys) ** 2


@staged
def matrix(c, x, m):
    rows = []
    for i in range(12):
        row = []
        for j in range(len(x)):
            row.append(x[i] * x[j] * c)
        rows.append(row)
    table = [[v * k for v in x] for k in range(len(x))]
    s = np.sum(np.array(rows) ** 2) + rows[3][4] * len(rows[-1])
    for row in rows:
        s += row[0] * row[-1]
    return s + np.sum(np.array(table) * np.outer(x, x))


@staged
def triangle(c, x, m):
    ys = []
    for i in range(len(x)):
        for j in range(i):
            ys.append(x[i] * x[j] * c)
    return np.sum(np.array(ys) ** 2) + len(ys)


@staged
def some(c, x, m):
    ys, zs = [], [c]
    for t in range(len(x)):
        if x[t] > 1.0:
            ys.append(x[t] * c)
        else:
            zs.append(x[t] * zs[-1])
    s = np.sum(np.array(ys) ** 2) + len(ys) * c
    for z in zs:
        s += z * c
    for k in range(len(ys)):
        s += ys[k] * k
    return s + sum(ys)


@staged
def on_both_sides(c, x, m):
    ys = []
    for t in range(len(x)):
        if x[t] > 1.0:
            ys.append(x[t] * c)
        else:
            ys.append(c)
    return np.array(ys) ** 2


@staged
def left_early(c, x, m):
    y, ys = c, []
    for t in range(len(x)):
        y = y * 1.2 + x[t]
        ys.append(y)
        if y > 5:
            break
    ys.append(c * c)
    for t in range(len(x) - 1, 0, -1):
        ys.append(x[t] * c)
        if x[t] > 1.0:
            break
    ys.append(3.0)
    return sum(ys) * len(ys) + ys[-2] * ys[0]


@staged
def never(c, x, m):
    ys, zs = [], []
    for i in range(0):
        ys.append(x[i])
    for i in range(len(x)):
        if x[i] > 100:
            zs.append(x[i] * c)
    return c + len(ys) + sum(ys) + sum(zs) + np.sum(np.array(zs))


@staged
def pushed_and_popped(c, x, m):
    ys, s = [], 0.0
    for v in x:
        ys.append(v * c)
        if v > 1:
            ys.append(ys.pop() * 2)
    while ys:
        s = 0.9 * (s + ys.pop() ** 2)
    return s


class Recorder:
    def __init__(self):
        self.history = []

    def step(self, y):
        self.history.append(y)
        return y * 1.1


def push(items, value):
    items.append(value)


@staged
def elsewhere(c, x, m):
    recorder, kept, y = Recorder(), {"ys": []}, c
    for i in range(len(x)):
        y = recorder.step(y) + x[i]
        push(kept["ys"], x[i] * c)
    return np.array(recorder.history) ** 2, np.array(kept["ys"])


# As long as it takes ------------------------------------------------------------------


@staged
def until_small(c, x, m):
    y, ys, ts = 1.0 + np.sum(x**2), [], []
    while y > 0.1:
        y *= 0.5 + 0.1 * np.cos(c)
        ys.append(y * x[len(ys) % len(x)])
        if y < 1.0:
            ts.append((y, y * c))
    return np.sum(np.array(ys) ** 2) + len(ys) + sum(a * b for a, b in ts)


@staged
def adaptive_steps(c, x, m):
    t, y, h = 0.0, np.array([1.0, c]), 0.2
    ts, ys = [t], [y]
    while t < 1.0:
        h = min(h, 1.0 - t)
        k = np.array([y[1], -y[0] * x[0] ** 2])
        after = y + 0.5 * h * k
        new = y + h * np.array([after[1], -after[0] * x[0] ** 2])
        if np.max(np.abs(new - y - h * k)) < 1e-2:
            t, y = t + h, new
            ts.append(t)
            ys.append(y)
            h *= 1.3
        else:
            h *= 0.5
    return np.trapezoid(np.array(ys)[:, 0], np.array(ts)), ys[-1]


# What generators and `map` give -------------------------------------------------------


@staged
def extremes(c, x, m):
    return max(v**2 * c for v in x) + min(abs(v - c) for v in x) * max([*x[:3]])


@staged
def mapped(c, x, m):
    ys = list(map(lambda v, row: v * row @ row, x, m))
    total = sum(map(lambda v: np.sin(c * v), x)) + max(map(abs, x))
    return total + np.sum(np.array(ys)) + len(ys)


@staged
def a_few_by_their_values(c, x, m):
    pairs = [v * w for v, w in zip(x[:4], x[2:6], strict=True) if v < w + c]
    return sum(pairs) + sum(v for v in (c, x[0], x[1]) if v > 0.0) + len(pairs)


@staged
def mapped_once(c, x, m):
    squares = map(lambda v: v * v * c, x)
    first = next(squares)
    rest = map(np.sin, x)
    return first + sum(rest) + sum(rest) + sum(map(np.cos, x))


# Stacks: data decides what is taken out -----------------------------------------------


@staged
def pooled(c, x, m):
    values, weights = [], []
    for v in x:
        values.append(v * c)
        weights.append(1.0)
        while len(values) > 1 and values[-2] > values[-1]:
            v2, w2 = values.pop(), weights.pop()
            v1, w1 = values.pop(), weights.pop()
            values.append((v1 * w1 + v2 * w2) / (w1 + w2))
            weights.append(w1 + w2)
    return sum(v * v * w for v, w in zip(values, weights, strict=True))


@staged
def lower_hull(c, x, m):
    t, hull = np.linspace(0.0, 1.0, len(x)), []
    for i in range(len(x)):
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            if (t[b] - t[a]) * (x[i] - x[a]) > (x[b] - x[a]) * (t[i] - t[a]):
                break
            hull.pop()
        hull.append(i)
    s = 0.0
    for a, b in itertools.pairwise(hull):
        s += (t[b] - t[a]) * (x[a] + c * x[b])
    return s


@staged
def next_greater(c, x, m):
    waiting, out = [], np.zeros(len(x))
    for i in range(len(x)):
        while waiting and x[waiting[-1]] < x[i]:
            out[waiting.pop()] = x[i] * c
        waiting.append(i)
    return np.sum(out * x) + len(waiting)


@staged
def copied_by_list(c, x, m):
    ys = [v * c for v in x]
    zs = list(ys)
    zs.append(c)
    zs[0] = 5.0 * x[1]
    return sum(ys) + 2.0 * sum(zs) + len(ys) + len(zs)


@staged
def picked_and_put_in_order(c, x, m):
    ys = [v * c for v in x if v > 0]
    up, down = sorted(ys), sorted(ys, reverse=True)
    s = functools.reduce(lambda a, b: 0.5 * a + b * b, ys)
    s += functools.reduce(lambda a, b: a - b * c, x, 1.0)
    return (
        s
        + up[0]
        + 2.0 * up[-1] * down[1]
        + sum(a * b for a, b in zip(up, down, strict=True))
    )
