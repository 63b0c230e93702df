"""Which loops are shared among threads, and that their parts may come in any order.

The kernels run as plain Python, every loop in as many parts as it has rounds, the last
part first.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.backend.random_programs import Maker, arguments, run_as_python
from tracejit import grad, make_ir, show, value_and_grad
from tracejit.base.pytree import flatten
from tracejit.ir.evaluate import evaluate
from tracejit.optimize import parallel
from tracejit.optimize.lower import lower
from tracejit.optimize.nest import Load, Loop, Parallel, Store, is_local
from tracejit.optimize.traffic import trips
from tracejit.optimize.walks import common_buffers, everything

rng = np.random.default_rng(0)


@pytest.fixture
def every_loop(monkeypatch):
    """Even the shortest loops are shared, in parts of one round."""
    monkeypatch.setattr(parallel, "ENOUGH", 0.0)
    monkeypatch.setattr(parallel, "ENOUGH_AWAKE", 0.0)
    monkeypatch.setattr(parallel, "ENOUGH_ROUND", 0.0)
    monkeypatch.setattr(parallel, "PART", 1e-9)
    monkeypatch.setattr(parallel, "PARTS_EACH", 1000)
    monkeypatch.setattr(parallel, "ADDING_UP", 1e9)


def adjoint(f, *args):
    """The program of value and gradient in all floats, and its inputs."""
    floats = [k for k, x in enumerate(args) if np.asarray(x).dtype.kind == "f"]
    return make_ir(value_and_grad(f, tuple(floats)))(*args), flatten(args)[0]


def remarks(program):
    """What is said of the loops of a program's kernel."""
    nodes = everything(lower(program, threads=2).body)
    return [n.remark for n in nodes if isinstance(n, Loop) and n.remark]


def agree(program, args):
    got = run_as_python(program, args, threads=2)
    for mine, theirs in zip(got, evaluate(program, args), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10)


# Shared -------------------------------------------------------------------------------


def elements(x, w):
    out, s = np.zeros(len(x)), 0.0
    for i in range(len(x)):
        out[i] = math.exp(-x[i] * w) + math.sin(x[i])
        s += out[i] ** 2
    return s


def rows(A, w):
    s = 0.0
    for row in A:
        s += np.tanh(row @ w) ** 2
    return s


def stencil(u, c):
    v = np.zeros(len(u))
    for i in range(1, len(u) - 1):
        v[i] = math.sin(u[i - 1]) + c * u[i] ** 2 + u[i + 1] * u[i - 1]
    return np.sum(v * v)


def pairs(x, q):
    e = 0.0
    for i in range(len(x)):
        for j in range(i):
            e += q[i] * q[j] / math.sqrt((x[i] - x[j]) ** 2 + 0.1)
    return e


def histogram(x, w):
    h = np.zeros(5)
    for i in range(len(x)):
        h[int(x[i] * 5)] += w[i] * x[i]
    return np.sum(h**2)


def paths(z, s0, vol):
    total = 0.0
    for p in range(z.shape[0]):
        s, a = s0, 0.0
        for t in range(z.shape[1]):
            s = s * math.exp(vol * z[p, t] - 0.5 * vol * vol)
            a += s
        total += max(a / z.shape[1] - s0, 0.0)
    return total / z.shape[0]


def strided(x):
    y = np.zeros(len(x))
    for i in range(len(x) // 2):
        y[2 * i] = math.exp(x[2 * i])
        y[2 * i + 1] = math.sin(x[2 * i + 1]) * x[2 * i]
    return np.sum(y**2)


def downward(x):
    y, s = np.zeros(len(x)), 0.0
    for i in range(len(x) - 1, -1, -3):
        y[i] = math.exp(x[i]) * x[i]
        s -= y[i] ** 2
    return s + np.sum(y)


def flat(x):
    n, m = len(x) // 3, 3
    y = np.zeros(n * m)
    for i in range(n):
        for j in range(m):
            y[i * m + j] = math.exp(x[i * m + j] * 0.5)
    return np.sum(y**3)


def workspace(A):
    """Each round has an array of its own, in which there is a recurrence."""
    s, m = 0.0, A.shape[1]
    for i in range(A.shape[0]):
        t = np.zeros(m)
        for j in range(1, m):
            t[j] = math.sin(A[i, j]) + t[j - 1]
        for j in range(m):
            s += t[j] ** 2
    return s


def small(P):
    s = 0.0
    for i in range(len(P)):
        r = np.zeros(3)
        for k in range(3):
            r[k] = P[i, k] * P[i, (k + 1) % 3]
        s += math.sqrt(r[0] ** 2 + r[1] ** 2 + r[2] ** 2 + 1)
    return s


def steps(u, c):
    """The loop over cells, at every step of one that has to stay serial."""
    for _ in range(3):
        new = u.copy()
        for i in range(1, len(u) - 1):
            new[i] = u[i] + c * math.tanh(u[i - 1] - 2 * u[i] + u[i + 1])
        u = new
    return np.sum(u**2)


def whole(x, y):
    return np.sum(np.exp(-(x**2)) * np.sin(y) + np.log1p(x * x))


SHARED = [
    (elements, rng.random(11), 0.7),
    (rows, rng.random((5, 3)), rng.random(3)),
    (stencil, rng.random(30), 0.3),
    (pairs, rng.random(7), rng.random(7)),
    (histogram, rng.random(20), rng.random(20)),
    (paths, rng.random((5, 4)) - 0.5, 1.0, 0.2),
    (strided, rng.random(10)),
    (downward, rng.random(14)),
    (flat, rng.random(12)),
    (workspace, rng.random((4, 5))),
    (small, rng.random((6, 3))),
    (steps, rng.random(40), 0.1),
    (whole, rng.random(9), rng.random(9)),
]


@pytest.mark.parametrize("case", SHARED, ids=lambda case: case[0].__name__)
def test_the_parts_of_a_loop_may_come_in_any_order(every_loop, case):
    program, args = adjoint(*case)
    assert "on 2 threads" in remarks(program)
    agree(program, args)


@pytest.mark.parametrize("case", SHARED, ids=lambda case: case[0].__name__)
def test_each_part_has_arrays_of_its_own(every_loop, case):
    """What only the parts of one loop touch lies at the number of the part."""
    body = lower(adjoint(*case)[0], threads=2).body
    common = common_buffers(body)
    for part in [n for n in everything(body) if isinstance(n, Parallel)]:
        for node in everything(part.body):
            if isinstance(node, Load | Store) and node.buffer not in common:
                if node.buffer.role == "temporary" and not is_local(node.buffer):
                    assert part.index in node.index[0].terms


def spread(x):
    y = np.zeros(len(x))
    for i in range(1, len(x) - 1):
        y[i - 1] += x[i]
        y[i] += math.sin(x[i])
        y[i + 1] += x[i] ** 2
    return np.sum(y**2)


@pytest.mark.parametrize("f", [spread, stencil])
def test_rounds_that_only_neighbours_add_to_are_left_for_the_end(
    every_loop, monkeypatch, f
):
    monkeypatch.setattr(parallel, "LEFT_OVER", 1.0)
    monkeypatch.setattr(parallel, "PARTS_EACH", 4)
    program, args = adjoint(f, rng.random(60), *([0.3] if f is stencil else []))
    nodes = list(everything(lower(program, threads=2).body))
    late = [n for n in nodes if isinstance(n, Loop) and n.index.hint == "part"]
    assert any(isinstance(n, Loop) for loop in late for n in loop.body)
    agree(program, args)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(every_loop, seed):
    program = Maker(seed).program(4 + seed % 9)
    agree(program, arguments(program))


# Serial -------------------------------------------------------------------------------


def recurrence(x):
    y = np.zeros(len(x))
    for i in range(1, len(x)):
        y[i] = math.sin(y[i - 1]) * x[i]
    return y[-1]


def running(x):
    s = 0.5
    for i in range(len(x)):
        s = math.sin(s) * x[i] + 1
    return s


def scattered(x, k):
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[k[i]] = math.exp(x[i])
    return y[0]


def crossing(x):
    """Writes to cells that other rounds read: from both ends to the middle."""
    x = x.copy()
    for i in range(len(x)):
        x[i] = math.sin(x[len(x) - 1 - i])
    return x[0]


def overlapping(x):
    y = np.zeros(2 * len(x))
    for i in range(len(x)):
        y[i] = math.exp(x[i])
        y[i + 2] = math.sin(x[i])
    return y[0]


def unfilled(x):
    """What is carried is touched in the loop alone."""
    y, s = np.empty(len(x)), 0.0
    for i in range(len(x)):
        y[i] = x[i] if i == 0 else math.sin(y[i - 1]) * x[i]
        s += y[i]
    return s


def last(x):
    t = 0.0
    for i in range(len(x)):
        t = math.exp(x[i])
    return t


SERIAL = [
    (recurrence, "rounds meet in", rng.random(9)),
    (running, "needs s of the round before", rng.random(9)),
    (scattered, "rounds meet in", rng.random(9), np.array([0, 1, 0, 2, 3, 1, 4, 0, 1])),
    (crossing, "rounds meet in x", rng.random(9)),
    (overlapping, "rounds meet in", rng.random(9)),
    (unfilled, "rounds meet in", rng.random(9)),
    (last, "t of the last round is read after it", rng.random(9)),
]


@pytest.mark.parametrize("case", SERIAL, ids=lambda case: case[0].__name__)
def test_loops_that_stay_serial_say_why(every_loop, case):
    f, why, *args = case
    program, inputs = adjoint(f, *args)
    assert any(r.startswith("serial") and why in r for r in remarks(program))
    agree(program, inputs)


def test_show_tells_which_loops_are_shared(every_loop, capsys):
    text = show(grad(elements, parallel=2), rng.random(9), 0.7)
    assert "# loops on 2 threads" in text and "on 2 threads\n" in text
    text = show(grad(running, parallel=2), rng.random(9))
    told = text.partition("for i in range(len(x)):\n# ")[2].splitlines()
    assert "#       serial: a round needs s of the round before" in told
    assert "threads" not in show(grad(running), rng.random(9))


def test_short_loops_stay_as_they_are():
    program, _ = adjoint(elements, rng.random(50), 0.7)
    kernel, alone = lower(program, threads=2), lower(program)
    assert not any(isinstance(n, Parallel) for n in everything(kernel.body))
    assert len(list(everything(kernel.body))) == len(list(everything(alone.body)))
    assert set(remarks(program)) == {"serial: too little to do"}


def heat(u, c):
    u = u.copy()
    for _ in range(20):
        u[1:-1] += c * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.sum(u**2)


def test_the_borders_of_a_stencil_are_known_to_be_short():
    program, _ = adjoint(heat, rng.random((3000, 300)), 0.1)
    nodes = everything(lower(program, threads=2).body)
    loops = [n for n in nodes if isinstance(n, Loop) and n.remark]
    short = {loop.remark for loop in loops if trips(loop) < 10}
    assert short == {"serial: too little to do"}
    assert any(loop.remark == "on 2 threads" for loop in loops)
