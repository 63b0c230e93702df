"""Programs with growing lists that arrays cannot stand for: what they are unrolled for.

Arguments are those of `list_programs`.
"""

from __future__ import annotations

import numpy as np

UNROLLED: list = []


def unrolled(fn):
    UNROLLED.append(fn)
    return fn


@unrolled
def changed_afterwards(c, x, m):
    ys = []
    for t in range(len(x)):
        u = m[t] * c
        ys.append(u)
        u += 1.0
    return np.array(ys) ** 2


@unrolled
def one_array(c, x, m):
    u, ys = np.zeros(3), []
    for t in range(len(x)):
        u += m[t] * c
        ys.append(u)
    return np.array(ys) ** 2


@unrolled
def changed_a_round_later(c, x, m):
    u, ys = np.ones(3), []
    for t in range(len(x)):
        u[0] = u[0] * 0.5 + c
        u = u + m[t] * c
        ys.append(u)
    return np.array(ys) ** 2


@unrolled
def changed_after_the_loop(c, x, m):
    u, ys = np.ones(3), []
    for t in range(len(x)):
        u = u + m[t] * c
        ys.append(u)
    u *= 3
    return np.array(ys) ** 2


@unrolled
def changed_in_the_list(c, x, m):
    u, ys = np.ones(3), []
    for t in range(len(x)):
        u = u + m[t] * c
        ys.append(u)
    ys[-1] *= 3
    return u**2


@unrolled
def views(c, x, m):
    m, ys = m.copy(), []
    for t in range(len(x)):
        ys.append(m[t])
    m *= c
    return np.array(ys) ** 2


@unrolled
def by_a_view(c, x, m):
    u, ys = np.ones(3), []
    for t in range(len(x)):
        u = u + m[t] * c
        ys.append(u[1:])
        part = u[:2]
    part += 1.0
    return np.array(ys) ** 2


@unrolled
def in_a_part(c, x, m):
    ys = []
    for t in range(len(x)):
        ys.append(m[t] * c)
    some = ys[4:]
    some[0] += c
    ys[-1][1] = 0.0
    return np.array(ys) * np.sum(np.array(some))


@unrolled
def one_state(c, x, m):
    state, path = [c, c], []
    for t in range(len(x)):
        state[0] = state[0] + x[t]
        path.append(state)
    return np.array(path) ** 2


@unrolled
def state_changed_later(c, x, m):
    state, path = [c, c], []
    for t in range(len(x)):
        state[1] = state[1] * 0.5
        state = [state[0] + x[t], state[1]]
        path.append(state)
    return np.array(path) ** 2


@unrolled
def identities(c, x, m):
    u, ys = np.ones(3), []
    for t in range(len(x)):
        u = u + m[t] * c
        ys.append(u)
    return u * (2.0 if ys[-1] is u else 3.0) * (5.0 if ys[0] is ys[0] else 7.0)


@unrolled
def swapped(c, x, m):
    a, b = [], []
    for t in range(len(x)):
        a.append(x[t] * c)
        a, b = b, a
    return np.sum(np.array(a)) + np.sum(np.array(b) ** 2)


@unrolled
def begun_anew(c, x, m):
    a, s = [], 0.0
    for t in range(len(x)):
        a.append(x[t] * c)
        if len(a) == 4:
            s += a[0] * a[3]
            a = []
    return s


@unrolled
def grown_while_looped_over(c, x, m):
    ys, s = [], 0.0
    for t in range(12):
        ys.append(x[t] * c)
    for y in ys:
        s += y
        if len(ys) < 20:
            ys.append(y * 0.5)
    return s * len(ys)


@unrolled
def of_several_shapes(c, x, m):
    ys, s = [], 0.0
    for t in range(12):
        ys.append(x[: t + 1] * c)
    for y in ys:
        s += np.sum(y**2)
    return s


@unrolled
def positions(c, x, m):
    idx = []
    for i in range(len(x)):
        if i % 3 == 0:
            idx.append(i)
    return x[idx] * c, np.zeros(len(idx))


@unrolled
def sorted_and_reversed(c, x, m):
    ys = []
    for v in x:
        ys.append(v * c)
    ys.sort()
    ys.reverse()
    ys.insert(3, c)
    del ys[2]
    return np.array(ys), ys


@unrolled
def put_in_order(c, x, m):
    ys = [np.sin(v) * c for v in x]
    up, down = sorted(ys), sorted(ys, reverse=True)
    pairs = sorted((abs(v), v) for v in x)
    return up[0] * 2 + up[1] * down[0] + down[2] + sum(a * b for a, b in pairs[:3])


@unrolled
def all_of_a_list(c, x, m):
    ys = [np.sin(v) * c for v in x]
    a, b, *rest = ys
    d = dict(enumerate(ys))
    return a * b + sum(rest) + tuple(ys)[2] * [*ys, *ys][-1] + d[3]
