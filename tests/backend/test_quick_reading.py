"""What calls by C take apart: keywords, numbers, containers, what is read outside."""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from tests.backend.test_fast_entry import same
from tracejit import grad, jit, register_pytree_node, value_and_grad
from tracejit.backend import fast_entry

pytestmark = pytest.mark.skipif(
    not fast_entry._works(), reason="the entry does not know this Python or NumPy"
)
X = np.linspace(0.5, 1.5, 6)
Y = np.linspace(-1.0, 2.0, 6)
M = np.arange(12.0).reshape(4, 3)
RATE, WEIGHTS, FLAGS = 0.5, np.ones(6), {"twice": True}
Pair = namedtuple("Pair", "a b")


@dataclass
class Layer:
    w: object
    name: str
    steps: int = 2


class Own:
    def __init__(self, *parts):
        self.parts = parts


register_pytree_node(Own, lambda o: (o.parts, None), lambda meta, parts: Own(*parts))


class Model:
    def __init__(self, w, rate):
        self.w, self.rate = w, rate

    def loss(self, x):
        return np.sum(np.tanh(x * self.w)) * self.rate


def total(a, b, c=2.0, *, sign=1):
    return sign * np.sum(a * b) * c


def many(*args, **kwargs):
    return np.sum(args[0] * args[1]) + kwargs["p"] * np.sum(kwargs["q"])


def of_dict(p, n):
    return np.sum(np.sin(p["a"]) * p["in"]["b"]) * n


def of_layer(layer, x):
    for _ in range(layer.steps):
        x = x * layer.w
    return np.sum(x) if layer.name == "sum" else x[0]


def of_list(xs):
    return sum(np.sum(x**2) for x in xs)


def answers(x):
    return {"x": 2 * x, "n": [np.sum(x), None, (x > 1).any()]}, Pair(x + 1, 3), "text"


def outside(x):
    return np.sum(x * WEIGHTS) * (2 if FLAGS["twice"] else 1) * RATE


def layer_of(x):
    return Layer(2 * x, "made")


NUMBERS = [
    *(np.dtype(c).type(2) for c in "fdFD"),
    *(2.0, 2.0 + 1.0j),
    *(np.array(2.0, c) for c in "fdD"),
]
CASES = {
    "keyword": (value_and_grad(total), (X, Y), {"c": 3.0}),
    "keywords": (value_and_grad(total), (), {"sign": -1, "b": Y, "a": X}),
    "default": (value_and_grad(total, (0, 2)), (X, Y), {}),
    "variadic": (value_and_grad(many, (0, 1)), (X, Y), {"q": X, "p": 2.0}),
    "dict": (value_and_grad(of_dict), ({"a": X, "in": {"b": Y}}, 2), {}),
    "list": (grad(of_list), ([X, Y, X],), {}),
    "tuple": (grad(of_list), ((X, 2.0),), {}),
    "named tuple": (grad(lambda p: np.sum(p.a * p.b)), (Pair(X, Y),), {}),
    "dataclass": (value_and_grad(of_layer, 1), (Layer(X, "sum"), Y), {}),
    "result dataclass": (jit(layer_of), (X,), {}),
    "ordered": (value_and_grad(of_dict), (OrderedDict(a=X, **{"in": {"b": Y}}), 2), {}),
    "registered": (jit(lambda o: np.sum(o.parts[0] * o.parts[1])), (Own(X, Y),), {}),
    "answers": (jit(answers), (X,), {}),
    "empty": (jit(lambda x, t: ([], {}, x + 1)), (X, ()), {}),
    "outside": (value_and_grad(outside), (X,), {}),
    "model": (value_and_grad(Model(Y, 0.5).loss), (X,), {}),
    "transposed": (value_and_grad(total), (M.T, np.ones((3, 4))), {}),
    "columns": (grad(of_list), ([M[:, 0], M[:, ::2], M[::-1]],), {}),
    "returned": (jit(lambda x: (x, np.sum(x))), (M.T,), {}),
    "integers": (jit(lambda a: (int(a.sum()), a * 2)), (np.arange(4),), {}),
    "flags": (jit(lambda a: bool(a.any())), (np.array([True, False]),), {}),
    **{
        f"number {k} {type(x).__name__} {np.asarray(x).dtype}": (
            jit(lambda x, y: (x * y, x + 1)),
            (x, X),
            {},
        )
        for k, x in enumerate(NUMBERS)
    },
    **{
        f"integer {np.dtype(c)}": (jit(lambda x, y: (x + y, x)), (x, X), {})
        for c in "bHil?"
        for x in [np.dtype(c).type(1)]
    },
}


def quick(f, args, kwargs):
    """The result by Python; the next one is by C."""
    f.slow_down()  # other entries might be asked first
    expected = f(*args, **kwargs)
    assert f.fast is not None
    return expected


def alike(a, b):
    """The same, bit by bit, containers too."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        a, b = tuple(a.values()), tuple(b.values())
    if isinstance(a, Layer):
        a, b = tuple(vars(a).values()), tuple(vars(b).values())
    if isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            alike(one, other)
        return
    if a is None or isinstance(a, str):
        assert a == b
    else:
        same(a, b)


@pytest.mark.parametrize("f, args, kwargs", CASES.values(), ids=CASES)
def test_answers_are_those_of_python(f, args, kwargs):
    expected = quick(f, args, kwargs)
    for _ in range(3):
        found = f.fast(*args, **kwargs)
        assert found is not NotImplemented
        alike(found, expected)
        alike(f(*args, **kwargs), expected)


CHANGES = {
    "order of keys": ("dict", lambda p, n: ({"in": p["in"], "a": p["a"]}, n)),
    "one more key": ("dict", lambda p, n: ({**p, "c": X}, n)),
    "other shape": ("dict", lambda p, n: ({**p, "a": X[:1].copy()}, n)),
    "other number": ("dict", lambda p, n: (p, n + 1)),
    "a class of dicts": ("dict", lambda p, n: (OrderedDict(p), n)),
    "a tuple": ("list", lambda xs: (tuple(xs),)),
    "shorter": ("list", lambda xs: (xs[:2],)),
    "longer": ("list", lambda xs: ([*xs, Y],)),
    "other text": ("dataclass", lambda s, x: (Layer(s.w, "first"), x)),
    "other steps": ("dataclass", lambda s, x: (Layer(s.w, s.name, 3), x)),
    "registered, longer": ("registered", lambda o: (Own(*o.parts, Y),)),
    "other strides": ("transposed", lambda a, b: (np.asarray(a, order="C"), b)),
    "other steps of it": ("columns", lambda xs: ([xs[0], M[:, 1:], xs[2]],)),
    "of NumPy": ("tuple", lambda p: ((p[0], np.float64(p[1])),)),
}


@pytest.mark.parametrize("name, change", CHANGES.values(), ids=CHANGES)
def test_other_arguments_go_the_way_through_python(name, change):
    f, args, _ = CASES[name]
    expected = quick(f, args, {})
    other = change(*args)
    fast = f.fast
    assert fast(*other) is NotImplemented
    wanted = f.rebound(f.py_func)(*other)
    for _ in range(3):
        alike(f(*other), wanted)
        alike(f(*args), expected)


def test_equal_keys_and_texts_need_not_be_the_same():
    f, (p, n), _ = CASES["dict"]
    quick(f, (p, n), {})
    other = {"".join(["a"]): X, "".join(["i", "n"]): {"".join(["b"]): Y}}
    assert f.fast(other, n) is not NotImplemented
    g, (layer, x), _ = CASES["dataclass"]
    quick(g, (layer, x), {})
    assert g.fast(Layer(X, "".join(["su", "m"])), x) is not NotImplemented


def test_an_argument_that_is_returned_is_the_very_one():
    f, (x,), _ = CASES["returned"]
    quick(f, (x,), {})
    assert f.fast(x)[0] is x and f(x)[0] is x


def test_strided_arrays_are_written_to():
    def double(x, y):
        x *= y
        return x.sum()

    f = jit(double)
    for _ in range(4):
        x, y = np.ones((3, 4)), np.full((3, 4), 2.0)
        f(x.T, y.T)
        np.testing.assert_array_equal(x, y)
        x = np.ones((3, 4))
        f(x, y)
        f(x[:, ::2], y[:, ::2])
        np.testing.assert_array_equal(x[0], [4, 2, 4, 2])


@pytest.mark.filterwarnings("ignore::tracejit.runtime.dispatch.RetraceWarning")
def test_what_is_outside_is_never_stale():
    model = Model(Y.copy(), 0.5)
    f = value_and_grad(model.loss)
    for change in [
        lambda: None,
        lambda: setattr(model, "rate", 0.25),
        lambda: setattr(model, "rate", 1),
        lambda: model.w.fill(2.0),
        lambda: setattr(model, "w", np.ones(6)),
        lambda: setattr(model, "w", np.ones(1)),
        lambda: setattr(model, "w", 2.0),
        lambda: setattr(model, "w", Y),
    ]:
        change()
        for _ in range(3):
            value, slope = f(X)
            np.testing.assert_allclose(value, model.loss(X))
            wanted = model.rate * model.w / np.cosh(X * model.w) ** 2
            np.testing.assert_allclose(slope, wanted)
    assert f.fast is not None


@pytest.mark.filterwarnings("ignore::tracejit.runtime.dispatch.RetraceWarning")
def test_globals_and_closures_are_never_stale(monkeypatch):
    scale = 3.0
    f = jit(outside)

    def inner(x):
        return np.sum(x) * scale

    g = jit(inner)
    for rate, flag in [(0.5, True), (0.25, True), (0.25, False), (0.5, True)]:
        monkeypatch.setattr(sys.modules[__name__], "RATE", rate)
        monkeypatch.setitem(FLAGS, "twice", flag)
        scale = 1 / rate
        for _ in range(3):
            np.testing.assert_allclose(f(X), outside(X))
            np.testing.assert_allclose(g(X), inner(X))
        assert f.fast is not None and g.fast is not None


@pytest.mark.filterwarnings("ignore::tracejit.runtime.dispatch.RetraceWarning")
def test_a_changed_default_is_noticed():
    def f(x, c=2.0):
        return np.sum(x) * c

    g = jit(f)
    for c in (2.0, 3.0, 2.0):
        f.__defaults__ = (c,)
        for _ in range(3):
            np.testing.assert_allclose(g(X), np.sum(X) * c)


def test_an_attribute_that_cannot_be_read_is_pythons_to_say():
    f, (layer, x), _ = CASES["dataclass"]
    quick(f, (layer, x), {})
    broken = Layer(X, "sum")
    del broken.w
    assert f.fast(broken, x) is NotImplemented
    with pytest.raises(AttributeError, match="w"):
        f(broken, x)


def test_an_interrupt_is_not_swallowed():
    f = jit(lambda o: np.sum(o.parts[0]))
    quick(f, (Own(X),), {})

    class Slow(Own):
        pass

    hit = Own(X)
    with pytest.MonkeyPatch.context() as patch:

        def interrupt(*args):
            raise KeyboardInterrupt

        patch.setattr("tracejit.backend.call_plan.one_level", interrupt)
        with pytest.raises(KeyboardInterrupt):
            f.fast(hit)
    assert f(hit) == np.sum(X)


# References ---------------------------------------------------------------------------


def things_of(f, args, kwargs):
    leaves = [*args, *kwargs.values()]
    for thing in list(leaves):
        if isinstance(thing, dict):
            leaves += thing.values()
        if isinstance(thing, list | tuple):
            leaves += thing
        if isinstance(thing, Layer):
            leaves += vars(thing).values()
        if isinstance(thing, Own):
            leaves += thing.parts
    types = [Pair, Layer, Own, dict, np.ndarray, Exception]
    dtypes = [np.dtype(c) for c in "fdFDilb?"]
    shared = [X, Y, WEIGHTS, RATE, FLAGS, NotImplemented, True, None]
    return [*leaves, *types, *dtypes, *shared, f.fast, f]


def counts(things):
    gc.collect()
    return [sys.getrefcount(t) for t in things], sys.getallocatedblocks()


@pytest.mark.parametrize("f, args, kwargs", CASES.values(), ids=CASES)
def test_references_are_neither_lost_nor_kept(f, args, kwargs):
    quick(f, args, kwargs)
    things = things_of(f, args, kwargs)

    def run(times):
        for _ in range(times):
            f(*args, **kwargs)
            f.fast(*args, **kwargs, other=1)
            f.fast(*args, 1, **kwargs)
        return counts(things)

    run(50)  # what Python keeps for itself
    before, after = run(1), run(1_000)
    assert max(abs(a - b) for a, b in zip(after[0], before[0], strict=True)) < 5
    assert abs(after[1] - before[1]) < 500  # a leak would be of a block per call


def test_references_of_calls_that_fail():
    def pick(p, k):
        return [p["a"][int(k)] * 2.0, {"b": p["a"]}]

    f = jit(pick)
    p = {"a": X}
    quick(f, (p, 1.0), {})
    things = [p, X, f.fast, np.dtype(float), NotImplemented]
    before = counts(things)
    for _ in range(10_000):
        f(p, 1.0)
        f.fast({"a": Y[:3]}, 1.0)
        with pytest.raises(IndexError):
            f(p, 99.0)
    after = counts(things)
    assert max(abs(a - b) for a, b in zip(after[0], before[0], strict=True)) < 5
    assert abs(after[1] - before[1]) < 200


WITHOUT_MEMORY = ("dict", "list", "answers", "dataclass", "named tuple", "integers")


@pytest.mark.parametrize("name", [*WITHOUT_MEMORY, "registered", "model", "keywords"])
def test_every_allocation_may_fail(name):
    testcapi = pytest.importorskip("_testcapi")
    f, args, kwargs = CASES[name]
    quick(f, args, kwargs)
    call = partial(f.fast, *args, **kwargs)
    expected = call()
    things = things_of(f, args, kwargs)
    _with_failing_memory(testcapi, call, expected)  # what Python keeps for itself
    before = counts(things)
    failed, served = _with_failing_memory(testcapi, call, expected)
    after = counts(things)
    assert served
    assert failed or name in ("registered",)
    assert max(abs(a - b) for a, b in zip(after[0], before[0], strict=True)) < 5
    assert abs(after[1] - before[1]) < 500


def _with_failing_memory(testcapi, call, expected):
    """How often there is an error, and a result, where one allocation fails."""
    failed = served = 0
    for start in range(1, 40):
        found = NotImplemented
        try:
            testcapi.set_nomemory(start, start + 1)
            try:
                found = call()
            finally:
                testcapi.remove_mem_hooks()
        except MemoryError:
            failed += 1
        else:
            served += found is not NotImplemented
        if found is not NotImplemented:
            alike(found, expected)
    return failed, served
