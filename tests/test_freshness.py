"""By whatever way a function comes to an object of the outside: nothing is stale.

Each program computes with what `model` holds. All of that is changed after the first
call, and the second one must know.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import operator
import types
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj

X = np.array([1.0, 2.0, 0.5])
Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Record:
    a: Any
    b: float


class Own(dict):
    """A dict with access of its own."""

    def __getitem__(self, key):
        try:
            return super().__getitem__(key)
        except KeyError:
            return 1.0


class Model:
    def __init__(self):
        self.k, self.w = 2.0, np.full(3, 2.0)
        self.p = {"a": np.full(3, 2.0), "b": 2.0}
        self.l = [np.full(3, 2.0), 2.0]
        self.record, self.pair = Record(self.w, 2.0), Pair(self.w, 2.0)
        self.space = types.SimpleNamespace(a=self.w, b=2.0)
        self.own = Own(b=2.0)

    def change(self):
        self.k = 3.0
        self.w[:] = self.p["a"][:] = self.l[0][:] = 3.0
        self.p["b"] = self.l[1] = self.own["b"] = 3.0
        self.record.b = self.space.b = 3.0
        self.pair = Pair(self.w, 3.0)
        self.new = 4.0

    def loss(self, x):
        return np.sum(x * self.k * self.w)

    def __len__(self):
        return int(self.k)

    def __iter__(self):
        return iter(self.l)

    def __contains__(self, value):
        return value == self.k

    def __float__(self):
        return self.k

    def __getitem__(self, i):
        return self.l[i]

    def __array__(self, dtype=None, copy=None):
        return self.w


class Called:
    def __init__(self, model):
        self.model, self.k = model, 2.0

    def __call__(self, x):
        return np.sum(x) * self.k * self.model.k


class Holder:
    """Made anew in the function; what its class has is of the outside."""

    table: Any = None
    k = 2.0
    model: Any = None


WAYS: dict[str, Callable[[Model], Callable[[Any], Any]]] = {
    "method": lambda m: m.loss,
    "method in a closure": lambda m: (lambda loss: lambda x: loss(x))(m.loss),
    "method in a list": lambda m: (lambda fs: lambda x: fs[0](x))([m.loss]),
    "callable": Called,
    "partial": lambda m: functools.partial(Model.loss, m),
    "partial by name": lambda m: functools.partial(lambda x, m: m.loss(x), m=m),
    "partial inside": lambda m: (lambda p: lambda x: p(x))(
        functools.partial(Model.loss, m)
    ),
    "partial of a list": lambda m: functools.partial(
        lambda values, x: np.sum(values[0] * x) * values[1], m.l
    ),
    "copy": lambda m: lambda x: copy.copy(m).loss(x),
    "deepcopy": lambda m: lambda x: copy.deepcopy(m).loss(x),
    "deepcopy of a dict": lambda m: lambda x: np.sum(copy.deepcopy(m.p)["a"] * x),
    "copy of a dict": lambda m: lambda x: np.sum(x) * copy.copy(m.p)["b"],
    "copy of a list": lambda m: lambda x: np.sum(copy.copy(m.l)[0] * x) * m.l.copy()[1],
    "vars": lambda m: lambda x: np.sum(vars(m)["w"] * x) * vars(m)["k"],
    "__dict__": lambda m: lambda x: np.sum(m.__dict__["w"] * x),
    "attrgetter": lambda m: lambda x: np.sum(operator.attrgetter("w")(m) * x),
    "nested attrgetter": lambda m: (
        lambda x: np.sum(x) * operator.attrgetter("record.b", "k")(m)[0]
    ),
    "itemgetter": lambda m: lambda x: np.sum(x) * operator.itemgetter("b")(m.p),
    "methodcaller": lambda m: lambda x: operator.methodcaller("loss", x)(m),
    "getitem": lambda m: lambda x: np.sum(x) * operator.getitem(m.l, 1),
    "len and float": lambda m: lambda x: np.sum(x) * len(m) * float(m),
    "iter": lambda m: lambda x: np.sum(x) * sum(np.sum(v) for v in m),
    "contains": lambda m: lambda x: np.sum(x) * (5.0 if 2.0 in m else 7.0),
    "its getitem": lambda m: lambda x: np.sum(x * m[0]) * m[1],
    "__array__": lambda m: lambda x: np.sum(x * np.asarray(m)),
    "map": lambda m: lambda x: sum(map(lambda v: np.sum(v * x), m.l)),
    "chain": lambda m: (
        lambda x: sum(np.sum(v * x) for v in itertools.chain(m.l, m.p.values()))
    ),
    "stars": lambda m: lambda x: (lambda a, b: np.sum(a * x) * b)(*m.l),
    "double stars": lambda m: lambda x: (lambda a, b: np.sum(a * x) * b)(**m.p),
    "unpacking": lambda m: lambda x: np.sum([*m.l, 0][0] * x) * {**m.p}["b"],
    "sum of lists": lambda m: lambda x: np.sum((m.l + m.l)[0] * x) * (m.l * 2)[3],
    "max": lambda m: lambda x: np.sum(x) * max(m.l[1:]) * min(m.p["b"], 9),
    "replace": lambda m: lambda x: np.sum(x * dataclasses.replace(m.record, b=0.0).a),
    "kept by replace": lambda m: (
        lambda x: np.sum(x) * dataclasses.replace(m.record, a=0.0).b
    ),
    "asdict": lambda m: lambda x: np.sum(x * dataclasses.asdict(m.record)["a"]),
    "astuple": lambda m: lambda x: np.sum(x) * dataclasses.astuple(m.record)[1],
    "namedtuple": lambda m: lambda x: np.sum(x * m.pair._replace(b=0).a) * m.pair.b,
    "namespace": lambda m: lambda x: np.sum(x * m.space.a) * m.space.b,
    "hasattr": lambda m: lambda x: np.sum(x) * (5.0 if hasattr(m, "new") else 2.0),
    "getattr": lambda m: lambda x: np.sum(x) * getattr(m, "new", 2.0),
    "dict of its own": lambda m: lambda x: np.sum(x) * m.own["b"] * m.own["none"],
    "class": lambda m: lambda x: np.sum(x) * type(m.record)(0, 2.0).b * m.k,
    "globals": lambda m: lambda x: np.sum(x) * globals()["FACTOR"][0],
    "class of the new": lambda m: lambda x: np.sum(x) * Holder().k,
    "table of a class": lambda m: lambda x: np.sum(x) * Holder().table["c"],
    "object of a class": lambda m: lambda x: np.sum(x) * Holder().model.k,
}
FACTOR = [2.0]


@pytest.fixture
def model():
    Holder.k, Holder.model, FACTOR[0] = 2.0, Model(), 2.0
    Holder.table = {"c": 2.0}
    return Model()


@pytest.mark.parametrize("way", WAYS)
def test_changes_are_noticed(way, model):
    plain = WAYS[way](model)
    fn = tj.grad(plain, backend="numpy")

    def expected():
        # All of these are linear.
        return np.array([float(plain(e)) for e in np.eye(3)])

    before = expected()
    np.testing.assert_allclose(fn(X), before)
    model.change()
    Holder.model.change()
    Holder.k = Holder.table["c"] = FACTOR[0] = 3.0
    if way == "callable":
        plain.k = 5.0
    assert not np.array_equal(expected(), before)
    np.testing.assert_allclose(fn(X), expected())
