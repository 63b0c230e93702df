"""Programs that would be silently wrong if staging guessed. See `programs`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from tests.frontend.programs import M, X, Y

HARD: list = []


def case(*args):
    """Register a function with arguments to run it on."""

    def register(fn):
        label = f"{fn.__name__}{sum(c[0].__name__ == fn.__name__ for c in HARD) or ''}"
        HARD.append((fn, args, label))
        return fn

    return register


@case(X)
def nested_list_keeps_identity(x):
    inner = [x]
    outer = [inner, 0.0]
    for i in range(3):
        outer[1] = outer[1] + inner[0] * i
    inner[0] = x * 2
    return outer[0][0], outer[1]


@case(X)
def rebound_list_with_alias(x):
    state = [x, 0.0]
    first = state
    for _ in range(3):
        state = [state[0] * 2, state[1] + 1]
    state[1] = 100.0
    return state, first


@case(X)
def rebound_list_written_in_the_loop(x):
    state = [x, 0.0]
    first = state
    for _ in range(3):
        state[1] = state[1] + 1
        state = [state[0] * 2, state[1]]
    return state, first


@case(X)
@case(-X)
def merged_list_then_read(x):
    a = [x, 1.0]
    if x[0] > 0:
        a = [x * 2, 2.0]
    return a[0] * a[1]


@case(X)
def generator_used_up(x):
    numbers = (v for v in [1.0, 2.0, 3.0])
    s = 0.0
    for _ in range(3):
        for v in numbers:
            s += v * x[0]
    return s


class Model:
    def __init__(self):
        self.calls = 0
        self.t = 1

    def step(self, x):
        self.calls += 1
        return x * 2

    def timed(self, x):
        self.t += 1
        return x * self.t


@case(X)
def counter_inside(x):
    model = Model()
    for _ in range(4):
        x = model.step(x)
    return x * model.calls


@case(X)
def counter_read(x):
    model = Model()
    for _ in range(4):
        x = model.timed(x)
    return x


@dataclass
class State:
    x: object
    v: object = 0.0
    seen: list = field(default_factory=list)


@case(X)
def dataclass_rebound(x):
    s = State(x, x * 0)
    for _ in range(5):
        s = State(s.x + 0.1 * s.v, s.v - 0.1 * s.x)
    return s.x


@case(X)
def dataclass_mutated(x):
    s = State(x, x * 0)
    alias = s
    for _ in range(5):
        s.x = s.x + 0.1 * s.v
        s.v = s.v - 0.1 * s.x
    return alias.x


@case(X)
def attribute_appears(x):
    s = State(x)
    for i in range(3):
        s.last = x[i]
    return s.last


@case(X)
def shift_register(x):
    a, b, c = x[0], x[1], x[2]
    for i in range(3, len(x)):
        a, b, c = b, c, x[i] + a
    return a, b, c


@case(X, Y)
def three_buffers(x, y):
    a, b, c = x.copy(), y.copy(), x * 0
    for _ in range(7):
        c[1:-1] = a[2:] + b[:-2]
        a, b, c = b, c, a
    return a, b, c


@case(X, Y)
def buffers_written_after(x, y):
    a, b = x.copy(), y.copy()
    keep = [a, b]
    for _ in range(3):
        b[:] = a * 2
        a, b = b, a
    a[0] = 7.0
    return a, b, keep


@case(X, Y)
def same_array_under_two_names(x, y):
    a = x.copy()
    b = a
    for _ in range(3):
        a = a * 2
        b = a
    b[0] = 9.0
    return a, b


@case(X)
def names_part_in_the_loop(x):
    a = b = x.copy()
    for i in range(3):
        a[i] += 1
        a = a + 1
    return a, b


@case(X)
def view_of_a_carried(x):
    u = x.copy()
    inner = u[1:-1]
    for _ in range(3):
        u[0] += 1
        inner += u[0]
        inner[0] = 2.0
    return u, inner


@case(M)
def rows_swapped(A):
    A = A.copy()
    a, b = A[0], A[1]
    for _ in range(3):
        b += a
        a, b = b, a
    return A, a, b


@case(X)
def queue(x):
    q = deque([x[0], x[1]])
    for i in range(2, len(x)):
        q.append(q.popleft() + x[i])
    return list(q)


@case(X)
def dict_grows(x):
    d = {}
    for i in range(3):
        d[f"k{i}"] = x[i]
    return d


@case(X)
def stack_machine(x):
    stack = [0]
    s = 0.0
    while stack:
        k = stack.pop()
        s += x[k]
        if k < 4:
            stack += [k + 1, k + 2]
    return s


@case(X)
def flag_python_then_traced(x):
    found = False
    i = 0
    while not found and i < len(x):
        found = bool(x[i] > 0.5)
        i += 1
    return i, found


@case(X)
def continue_in_while(x):
    i = 0
    s = 0.0
    while i < len(x):
        i += 1
        if x[i - 1] < 0:
            continue
        if x[i - 1] > 1:
            break
        s += x[i - 1]
    return s, i


@case(X)
def return_in_with_and_try(x):
    for i in range(len(x)):
        with np.errstate(all="ignore"):
            if x[i] < -0.5:
                return x[i]
    try:
        return x[0] * 2
    finally:
        x = x + 1


@case(X)
def returns_tuple_early(x):
    for i in range(len(x)):
        if x[i] < -0.5:
            return i, x * 2
    return -1, x


@case(0.2)
@case(3.0)
def ternary_nested(x):
    return (x if x < 1 else 2 * x) if x > 0 else -x


@case(X)
def short_circuit_protects(x):
    n = len(x)
    total = 0.0
    for i in range(n + 3):
        if i < n and x[i] > 0:
            total += x[i]
    return total


@case(M)
def loop_over_rows_and_columns(A):
    total = 0.0
    for row in A:
        for v in row:
            if v > 0:
                total += v
    for i, (r, s) in enumerate(zip(A, A[::-1], strict=True)):
        total += i * np.dot(r, s)
    return total


@case(X)
def python_ints_stay(x):
    n = 0
    for _ in range(3):
        n += 1
    return x[:n]


@case(X)
def length_from_while(x):
    n = len(x)
    k = 0
    y = x
    while n > 1:
        y = y * 2
        n = n // 2
        k += 1
    return np.zeros(k), y


@case(X)
def index_from_loop(x):
    names = ["a", "b", "c"]
    best, where = x[0], 0
    for i in range(1, 3):
        best = best + x[i]
        where = where + 1
    return best, len(names[where])


@case(2)
@case(5)
def integer_argument(n):
    s = 0
    for i in range(n):
        s += i * i
    return s / n


@case(X)
def undefined_until_first(x):
    for i in range(len(x)):
        if i == 0:
            m = x[0]
        else:
            m = max(m, x[i])
    return m


@case(X)
def except_keeps_variables(x):
    y = 1.0
    try:
        y = x * 2
        z = {}["missing"]
    except KeyError:
        z = y
    return z


@case(X)
def closure_over_counter(x):
    s = 0.0
    for i in range(4):

        def f(v):
            return v * i  # noqa: B023

        s += f(x[i])
    return s


@case(X)
def nonlocal_flag(x):
    hits = 0

    def visit(v):
        nonlocal hits
        if v > 0:
            hits += 1

    for v in x:
        visit(v)
    return hits


@case(np.arange(5), X)
def integer_arrays(idx, x):
    s = 0.0
    for k in idx:
        s += x[k]
    return s


@case(X)
def in_and_not_in(x):
    s = 0.0
    for name in ["a", "b", "c"]:
        if name in ("a", "c"):
            s += x[0]
        if name not in {"a": 1}:
            s += x[1]
    return s


@case(X)
def unpacks_rows(x):
    pairs = x[:6].reshape(3, 2)
    s = 0.0
    for a, b in pairs:
        s += a * b
    (p, q), *_ = pairs
    return s + p - q


@case(X)
def mutates_in_branch_of_callee(x):
    out = np.zeros(len(x))

    def put(i, v):
        if v > 0:
            out[i] = v
            return True
        return False

    n = 0
    for i in range(len(x)):
        if put(i, x[i]):
            n += 1
    return out, n


@case(X)
def scalar_array_in_place(x):
    s = np.zeros(())
    for v in x:
        s += v
    return s


@case(X)
def known_tables(x):
    table = np.arange(3) * 2
    s = 0.0
    for k in table:
        s += x[k]
    for k in range(3):
        s += x[table[k]]
    return s


@case(X)
def overwritten_argument_name(x):
    for x in [x, x * 2]:  # noqa: B007, B020
        pass
    return x


@case(1.3, 0.2)
def kahan(x, y):
    s = c = 0.0
    for i in range(20):
        t = x * i + y - c
        u = s + t
        c = (u - s) - t
        s = u
    return s, c


@case(X)
def star_and_keywords(x):
    def f(a, b=2.0, *args, c, **kw):
        return a + b + sum(args) + c + kw["d"]

    return f(*[x, 1.0, 3.0], **{"c": 1.0, "d": x})


@case(X)
def augmented_everywhere(x):
    s = State(x.copy(), [x[0]])
    d = {"k": x.copy()}
    for i in range(3):
        s.x += 1
        s.x[i] *= 2
        s.v[0] += x[i]
        d["k"][i] -= 1
        d["k"] = d["k"] * 2
    return s.x, s.v, d


@case(X)
def unused_result_of_last_round(x):
    t = None
    for i in range(len(x)):
        t = x[i]
    return t * 2


@case(5.0)
def two_exits(x):
    k = 0
    while x > 1:
        for _ in range(3):
            x = x * 0.9
            k += 1
            if x < 2:
                return 1, x, k
        else:
            continue
    return 2, x, k


@case(X)
def zero_trips_by_data(x):
    n = int(np.sum(x > 100))
    last = -1
    for i in range(n):
        last = i
    while n > 0:
        n -= 1
    return last, n


@case(X)
def reversed_traced(x):
    n = int(np.sum(x > 0))
    s = 0.0
    for i in range(n, 0, -1):
        s = s * 2 + x[i]
    for i in range(0, n, 2):
        s -= x[i]
    return s


@case(X)
def unrolled_rounds_read_what_earlier_ones_wrote(x):
    x = x.copy()
    for i, first in enumerate(x):
        x[i:] = first - 0.1 * i
    return x


@case(X)
def local_function_of_a_round(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] < 0:
            continue

        def double(z):
            return 2 * z

        s += double(x[i])
    return s


@case(X)
def written_then_replaced_on_one_path(x):
    x = x.copy()
    if x[0] > 0:
        y = x
    else:
        x[0] = 1.0
        y = x
        if x[1] > 0:
            x = x * 0.5
    return x, y


@case(X)
def helper_without_return(x):
    def scale(A):
        for i in range(len(A)):
            A[i] *= i
        else:
            A[0] = 1.0

    x = x.copy()
    scale(x)
    return x
