"""Objectives and models in the idioms of Python: state, protocols, iterators."""

from __future__ import annotations

import abc
import collections
import contextlib
import copy
import dataclasses
import enum
import functools
import itertools
import logging
import math
import operator
import warnings
from typing import Any, ClassVar, Protocol

import numpy as np

from tests.corpus.programs.kernels import arrays
from tests.corpus.programs.learning import positive
from tests.corpus.programs.objectives import method, vec
from tests.corpus.table import program

log = logging.getLogger(__name__)
CALLS = 0
WEIGHTS = np.array([0.5, 1.5, -0.7, 2.0, 0.1])
SETTINGS = {"p": 1.5, "weights": [0.2, 0.3, 0.5], "mode": "smooth"}


# Objectives with state ----------------------------------------------------------------


class Problem(abc.ABC):
    """Counts, checks, keeps the best; what a problem computes is its `_evaluate`."""

    registry: ClassVar[dict[str, type]] = {}
    scale = 0.5

    def __init_subclass__(cls, **options: Any) -> None:
        Problem.registry[cls.__name__] = cls

    def __init__(self, ndim=4, *, shift=None, **options):
        self.ndim, self.n_fe, self.best = ndim, 0, math.inf
        self.shift = np.zeros(ndim) if shift is None else np.asarray(shift)
        self.__dict__.update(options)
        self.fun = self.evaluate

    def check(self, x):
        if not isinstance(x, (list, tuple, np.ndarray)):
            raise TypeError("a solution must be a sequence")
        if len(x) != self.ndim:
            raise ValueError(f"{self.ndim} values are needed, not {len(x)}")
        return np.asarray(x, dtype=None)

    def evaluate(self, x, *args):
        self.n_fe += 1
        value = self._evaluate(self.check(x) - self.shift, *args)
        if value < self.best:
            self.best = value
        return value * self.scale

    @abc.abstractmethod
    def _evaluate(self, x): ...


@method(vec(4))
class Ackley(Problem):
    a, b, c = 20.0, 0.2, 2 * np.pi

    def _evaluate(self, x):
        root = np.sqrt(np.mean(x**2))
        return (
            -self.a * np.exp(-self.b * root)
            - np.exp(np.mean(np.cos(self.c * x)))
            + self.a
            + math.e
        )


@method(vec(4))
class Shifted(Problem):
    def __init__(self):
        super().__init__(4, shift=[0.1, 0.2, 0.3, 0.4], power=3)

    def _evaluate(self, x):
        return sum(abs(v) ** self.power * (i + 1) for i, v in enumerate(x))


@method(vec(4))
class Composed(Problem):
    """Other problems, found by name, weighted by where the point is."""

    names = ("Ackley", "Shifted")

    def __init__(self):
        super().__init__(4)
        self.parts = [self.registry[name]() for name in self.names]
        self.centres = [np.full(4, 0.3 * k) for k in range(len(self.parts))]

    def _evaluate(self, x):
        w = [np.exp(-np.sum((x - c) ** 2) / 8) for c in self.centres]
        values = [part.evaluate(x) + 10 * k for k, part in enumerate(self.parts)]
        return np.dot(w, values) / np.sum(w) + self.parts[0].n_fe * 0


@method(vec(3, 0.1, 0.9))
class Hybrid(Problem):
    """Several objectives from one method, by a list of methods."""

    def __init__(self):
        super().__init__(3)
        self.functions = [self._g, self._h, lambda x: np.prod(x + 1)]

    def _g(self, x):
        return 1 + 9 * np.mean(x[1:])

    def _h(self, x):
        g = self._g(x)
        return g * (1 - np.sqrt(x[0] / g) - x[0] / g * np.sin(10 * np.pi * x[0]))

    def _evaluate(self, x):
        out = {}
        out["F"] = np.column_stack([f(x) for f in self.functions])
        out["G"] = [x[0] - 0.5, 0.2 - x[1]]
        return out["F"].sum() + 10 * sum(max(0, g) ** 2 for g in out["G"])


@program(vec(5))
def counted_by_a_decorator(x):
    global CALLS

    def counted(fn):
        @functools.wraps(fn)
        def wrapper(*args, **kwargs):
            wrapper.calls += 1
            return fn(*args, **kwargs)

        wrapper.calls = 0
        return wrapper

    @counted
    def f(v, power=2):
        return np.sum(np.abs(v) ** power)

    CALLS += 1
    total = f(x) + f(x[1:], power=3) + sum(f(x[k:]) for k in range(2))
    return total * f.calls


def penalised(*constraints, weight=10.0):
    """A decorator with arguments: an exterior penalty."""

    def decorate(fn):
        def inner(x):
            broken = [max(0.0, c(x)) for c in constraints]
            return fn(x) + weight * sum(map(operator.mul, broken, broken))

        return inner

    return decorate


@program(vec(3))
@penalised(lambda x: x[0] + x[1] - 1, lambda x: x[2] ** 2 - 0.5, weight=5.0)
def constrained_by_decorator(x):
    return (x[0] - 1) ** 2 + (x[1] - 2) ** 2 + x[2]


@program(vec(4))
def reported_and_logged(x):
    """Prints, logs, warns, and formats what it computes."""
    log.debug("x = %s", x)
    value = np.sum(x**2)
    text = f"{value:.3e} at {x[0]!r:>10}" + "{:6.2f}".format(value) + "%d" % len(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(text) < 3:
            warnings.warn(f"short: {text}", stacklevel=2)
    logging.getLogger("none").info(text)
    return value * len("abc")


# Containers and iteration -------------------------------------------------------------


@program(arrays(9))
def grouped_and_counted(x):
    groups = collections.defaultdict(list)
    for k, v in enumerate(x):
        groups["even" if k % 2 == 0 else "odd"].append(v)
    count = collections.Counter(len(g) for g in groups.values())
    chained = collections.ChainMap({"a": x[0]}, {"a": 0.0, "b": x[1]})
    queue = collections.deque(x[:3], maxlen=3)
    queue.append(x[4])
    queue.rotate(1)
    means = {k: sum(g) / len(g) for k, g in groups.items()}
    return means["even"] * chained["b"] + means["odd"] * chained["a"], sum(
        v * (i + 1) for i, v in enumerate(queue)
    ) * count[4]


@program(arrays(6))
def iterators_of_all_kinds(x):
    total = sum(a * b for a, b in itertools.combinations(x, 2))
    total += sum(itertools.accumulate(x)) + sum(itertools.islice(x, 1, None, 2))
    for (a, b), k in zip(itertools.pairwise(x), itertools.count(1)):
        total += (b - a) ** 2 / k
    for sign, v in zip(itertools.cycle((1, -1)), x):
        total += sign * v
    for row in itertools.product(*[(x[0], 1.0)] * 2):
        total *= 1 + 0.1 * math.prod(row)
    first, *_, last = itertools.chain([x[1]], x, [x[2]])
    return total + first * last + sum(itertools.starmap(operator.mul, zip(x, x[::-1])))


@program(arrays(5))
def walrus_stars_and_slices(x):
    if (n := len(x)) > 3 and (s := np.sum(x)) > -100:
        x = x * n + s
    a, (b, *c), *d = x[0], x[1:4], x[4], n
    out = [*c, b, *(v for v in d if isinstance(v, float))]
    out[1:1] = [a, a * b]
    del out[-1]
    return np.array(out)[::-1] @ np.arange(len(out)), [y := a + b, y**2][1]


@program(arrays((4, 3)))
def rows_as_records(table):
    """Records of traced values in dicts, sorted and picked by what is known."""
    rows = [dict(zip(("id", "u", "v", "w"), (k, *row))) for k, row in enumerate(table)]
    rows.sort(key=lambda r: -r["id"])
    get = operator.itemgetter("u", "w")
    picked = [get(r) for r in rows if r["id"] % 2 == 0]
    best = max(rows, key=lambda r: r["v"])
    return sum(u * w for u, w in picked) + best["u"] * best["w"]


@program(vec(5))
def search_with_else(x):
    """Loops with `else`, early ends, and a result that may never be assigned."""
    for i in range(1, len(x)):
        if x[i] < x[i - 1] - 5:
            found = x[i]
            break
    else:
        found = np.min(x) * 2
    k = 0
    while k < len(x):
        if x[k] > 10:
            return found
        k += 1
    else:
        found += x[-1]
    return found


def pairs_below(x, limit):
    for i, a in enumerate(x):
        for b in x[:i]:
            if i > limit:
                return
            yield i, a * b


@program(arrays(6))
def generators_within_generators(x):
    def weighted():
        for i, p in pairs_below(x, 4):
            yield p / (i + 1)
        yield from (v**2 for v in x if v is not None)

    return sum(weighted()), max(p for _, p in pairs_below(x, 3))


# Dispatch -----------------------------------------------------------------------------


@functools.singledispatch
def size_of(value):
    raise NotImplementedError(type(value))


@size_of.register
def _(value: float):
    return abs(value)


@size_of.register
def _(value: np.ndarray):
    return np.sqrt(np.sum(value**2))


@size_of.register
def _(value: list):
    return sum(size_of(v) for v in value)


@program(arrays(4))
def dispatched_by_type(x):
    return size_of(x) + size_of([float(x[0]), x[1:], [float(x[2])]])


class Shape(Protocol):
    def area(self) -> float: ...


@dataclasses.dataclass(frozen=True)
class Circle:
    r: float

    def area(self):
        return math.pi * self.r**2


@dataclasses.dataclass(frozen=True)
class Box:
    w: float
    h: float = 1.0

    def area(self):
        return self.w * self.h


@program(positive(4))
def matched_shapes(x):
    def perimeter(shape: Shape) -> float:
        match shape:
            case Circle(r=r):
                return 2 * math.pi * r
            case Box(w=w, h=h) if shape.area() is not None:
                return 2 * (w + h)
            case [Circle() | Box() as first, *rest]:
                return perimeter(first) + sum(map(perimeter, rest))
            case _:
                raise TypeError(shape)

    shapes = [Circle(x[0]), Box(x[1], x[2]), Box(x[3])]
    wider = dataclasses.replace(shapes[1], w=shapes[1].w * 2)
    return perimeter([*shapes, wider]) / sum(s.area() for s in shapes)


class Activation(enum.Enum):
    RELU = "relu"
    SWISH = "swish"

    def __call__(self, z):
        if self is Activation.RELU:
            return np.maximum(z, 0)
        return z / (1 + np.exp(-z))

    @classmethod
    def parse(cls, name):
        return cls(name.lower())


@program(arrays((3, 4), 4))
def configured_by_names(A, x):
    config = {"layers": ["Swish", "relu"], "bias": True, "norm": None}
    for name in config["layers"]:
        z = A @ x + (0.1 if config.get("bias") else 0.0)
        x = np.append(Activation.parse(name)(z), z.mean())
        if (norm := config.get("norm")) is not None:
            x = norm(x)
    return x


class Settings:
    """Attributes by `__getattr__`, items by `__getitem__`, a context by `with`."""

    def __init__(self, **values):
        self._values = values

    def __getattr__(self, name):
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, name):
        return self._values[name]

    @contextlib.contextmanager
    def override(self, **values):
        saved = copy.copy(self._values)
        self._values.update(values)
        try:
            yield self
        finally:
            self._values = saved


@program(arrays(4))
def settings_in_a_context(x):
    settings = Settings(scale=2.0, shift=x[0])
    with settings.override(scale=x[1], power=2) as inner:
        y = (x * inner.scale + inner["shift"]) ** inner.power
    power = getattr(settings, "power", 1)
    return np.sum(y * settings.scale) ** power


@program(arrays(5))
def options_of_functions(x):
    def norm(v, /, p=SETTINGS["p"], *extra, weights=WEIGHTS, **options):
        v = np.abs(v * weights) ** p
        for name in sorted(options):
            v = options[name](v)
        return np.sum(v) ** (1 / p) + sum(extra)

    cube = functools.partial(norm, p=3, log=np.log1p)
    args, options = (x, 2.0, x[0]), {"weights": x, "sqrt": np.sqrt}
    return norm(x) + cube(x, weights=1.0) + norm(*args, **options)


class Tree:
    def __init__(self, value, *children):
        self.value, self.children = value, children

    def fold(self, fn):
        return fn(self.value, [c.fold(fn) for c in self.children])

    def __iter__(self):
        yield self.value
        for child in self.children:
            yield from child

    @functools.cached_property
    def depth(self):
        return 1 + max((c.depth for c in self.children), default=0)


@program(arrays(6))
def tree_folded(x):
    leaf = [Tree(v) for v in x[:3]]
    tree = Tree(x[3], leaf[0], Tree(x[4], *leaf[1:]), Tree(x[5]))
    mixed = tree.fold(lambda v, below: np.tanh(v) + 0.5 * sum(below))
    return mixed * tree.depth + sum(v * k for k, v in enumerate(tree))


@program(lambda rng: (1.3, 0.4))
def recursion_on_numbers(a, b):
    @functools.lru_cache(maxsize=None)
    def bessel_like(n):
        if n == 0:
            return math.cos(a)
        if n == 1:
            return math.sin(b)
        return 2 * (n - 1) / a * bessel_like(n - 1) - b * bessel_like(n - 2)

    def ackermann_of(m, n, v):
        if m == 0:
            return v + n * b
        if n == 0:
            return ackermann_of(m - 1, 1, v * 1.1)
        return ackermann_of(m - 1, 2, ackermann_of(m, n - 1, v))

    return bessel_like(6) + ackermann_of(2, 1, a)


@program(arrays(5))
def helpers_of_numpy(x):
    """`vectorize`, `piecewise`, `apply_along_axis` and their like."""
    step = np.vectorize(lambda v, k=2.0: v**k if v > 0 else k * v)
    table = np.fromfunction(lambda i, j: x[0] * i + x[1] * j, (3, 2))
    rows = np.apply_along_axis(lambda r: r / (1 + np.sum(r**2)), 1, np.outer(x, x))
    bent = np.piecewise(x, [x < -0.5, x > 0.5], [-1.0, lambda v: v**2, np.sin])
    walked = sum(v * i for (i,), v in np.ndenumerate(x))
    return step(x).sum() + table.sum() + rows.sum() + bent.sum() + walked


@program(arrays((3, 3)), single=False)
def checked_before_it_computes(A):
    """Assertions, errors and `try` that do not depend on data."""
    assert A.ndim == 2 and A.shape[0] == A.shape[1], "a square matrix"
    assert np.all(np.isfinite(A)), f"finite: {A}"
    try:
        power = int(SETTINGS["power"])
    except KeyError as error:
        power = 1 + len(error.args)
    try:
        top, middle = A
    except ValueError:
        top, middle, _ = A
    try:
        order = SETTINGS["weights"].order
    except AttributeError:
        order = "C"
    else:
        raise AssertionError("lists have no order")
    finally:
        power += 1
    return np.linalg.matrix_power(A, power).ravel(order=order)[:2] * (top @ middle)
