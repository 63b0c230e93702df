"""Lists, tuples and dicts of traced values: made, passed, compared, put in order."""

from __future__ import annotations

import copy
import functools
import itertools
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

from tracejit import check_grads, grad, jit
from tracejit.base.errors import TracejitError
from tracejit.base.pytree import flatten

X = np.array([0.3, -0.8, 1.1, 0.2])
PAIR = {"a": X, "b": (2.0, [X[::-1].copy(), 0.5])}
Point = namedtuple("Point", "x y")

#: Functions of X and of PAIR.
OF_ARRAY: dict = {}
OF_TREE: dict = {}


def of(programs):
    def keep(fn):
        programs[fn.__name__] = fn
        return fn

    return keep


@of(OF_ARRAY)
def nested_lists(x):
    return np.array([[x[0], x[1] * x[2]], [3.0, x[3] ** 2]])


@of(OF_ARRAY)
def arrays_among_lists(x):
    rows = [x, 2 * x, np.ones(4), [x[0], 1.0, 2.0, x[1]]]
    return np.array(rows) + np.stack(rows, axis=-1) * np.concatenate(rows).sum()


@of(OF_ARRAY)
def results_of_every_kind(x):
    return {"t": (x, [x * 2]), "p": Point(x[0], x[1:]), "n": 3}


@of(OF_ARRAY)
def methods_of_lists(x):
    values = [x, x * 2]
    values.append(x * 3)
    values.insert(0, x**2)
    values.extend([x[::-1]])
    values.reverse()
    last = values.pop()
    first, *middle, _ = values
    return first * last + sum(middle) * len(values)


@of(OF_ARRAY)
def methods_of_dicts(x):
    d = OrderedDict(a=x[0], b=x[1:])
    d["c"] = d["a"] * d["b"]
    e = {**d, "z": 2.0}
    e.update(q=e.pop("z") * x)
    total = sum(np.sum(v) for k, v in e.items() if k != "b")
    return total + e.get("none", 1.0) * len(e) + np.prod(list(e["c"]))


@of(OF_ARRAY)
def iterators(x):
    pairs = sum(a * b for a, b in itertools.combinations(x, 2))
    chained = sum(itertools.chain(x[:2], [x[0] ** 2]))
    folded = functools.reduce(lambda a, b: a * b + 1, list(x))
    return pairs * chained + folded + sum(k * v for k, v in enumerate(x.tolist()))


@of(OF_ARRAY)
def in_order(x):
    up, down = sorted(x), sorted(x, reverse=True)
    by = sorted(x, key=lambda v: -(v**2))
    return np.array([up[0] * 2, up[3], down[1] * 3, by[0] ** 2])


@of(OF_ARRAY)
def records_in_order(x):
    records = [(x[0], x[1:3], 1.0), (x[1], x[:2], 2.0), (x[2], x[2:], 3.0)]
    records.sort(key=lambda r: r[0])
    return sum(k * np.sum(r[1]) * r[2] for k, r in enumerate(records))


@of(OF_ARRAY)
def equal_ones_stay_as_they_stand(x):
    pairs = sorted(zip([x[0], x[0], x[1]], [3.0, 1.0, 2.0], strict=True))
    keyed = sorted([x[3], x[2], x[1]], key=lambda v: v > 0)
    back = sorted([x[3], x[2], x[1]], key=lambda v: v > 0, reverse=True)
    return np.array([*(a * b for a, b in pairs), *keyed, *back])


@of(OF_ARRAY)
def comparisons_of_tuples(x):
    a, b = (x[0], x[1]), (x[0], x[2])
    y = x[0] ** 2 if a < b else x[1]
    z = x[2] if a == (x[0], x[1]) and a != b and [1.0, x[0]] >= [1.0, x[0]] else x[3]
    return y * z if a != (x[0], x[1], x[2]) else y


@of(OF_TREE)
def taken_apart(p):
    scale, (w, c) = p["b"]
    return np.sum(p["a"] * w) * scale + c**2


@of(OF_TREE)
def passed_to_helpers(p):
    def helper(items, *more, key):
        return items[0] * more[0], {"k": items[-1] * key}

    y, d = helper([p["a"], p["b"][0]], *p["b"][1], key=p["b"][1][1])
    return np.sum(y) * d["k"]


@of(OF_TREE)
def walked_over(p):
    total = 1.0
    for key in sorted(p):
        total = total * np.sum(flat(p[key]))
    return total


def flat(value):
    if isinstance(value, (list, tuple)):
        return np.concatenate([flat(v) for v in value])
    return np.atleast_1d(value)


def both(fn, arg):
    """Its value is NumPy's, its derivatives are those of differences."""
    expected, structure = flatten(fn(copy.deepcopy(arg)))
    got, found = flatten(jit(fn, backend="numpy")(arg))
    assert str(found) == str(structure)
    for a, b in zip(got, expected, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=1e-12)
    check_grads(fn, (arg,), order=2, backend="numpy")


@pytest.mark.parametrize("name", OF_ARRAY)
def test_made_of_an_array(name):
    both(OF_ARRAY[name], X)


@pytest.mark.parametrize("name", OF_TREE)
def test_given_as_an_argument(name):
    both(OF_TREE[name], PAIR)


@pytest.mark.parametrize(
    "tree",
    [
        (X, 2.0),
        [X, [2.0, (X,)]],
        {"b": 1.0, "a": {"c": X}},
        Point(2.0, X),
        OrderedDict(z=X, a=1.0),
        (),
        {"none": None, "x": X},
    ],
    ids=str,
)
def test_the_gradient_has_the_structure_of_its_argument(tree):
    def square(t):
        return sum(np.sum(leaf**2) for leaf in flat_leaves(t)) + 0.0

    got = grad(square, backend="numpy")(tree)
    (a, structure), (b, wanted) = flatten(got), flatten(tree)
    assert structure == wanted and type(got) is type(tree)
    for mine, leaf in zip(a, b, strict=True):
        assert type(mine) is type(leaf)
        np.testing.assert_allclose(mine, 2 * np.asarray(leaf))


def flat_leaves(tree):
    if isinstance(tree, dict):
        return [leaf for v in tree.values() for leaf in flat_leaves(v)]
    if isinstance(tree, (list, tuple)):
        return [leaf for v in tree for leaf in flat_leaves(v)]
    return [] if tree is None else [tree]


def test_compiled():
    def loss(x):
        total = 0.0
        for k, v in enumerate(sorted(x * x[0])):
            total = total + k * v
        return total + np.sum(comparisons_of_tuples(x))

    got = grad(loss)(X)
    np.testing.assert_allclose(got, grad(loss, backend="numpy")(X), rtol=1e-12)


def test_objects_whose_order_depends_on_data_are_refused():
    class Thing:
        def __init__(self, v):
            self.v = v

    def loss(x):
        return sorted([Thing(x[0]), Thing(x[1])], key=lambda t: t.v)[0].v

    with pytest.raises(TracejitError, match="which of these objects comes first"):
        grad(loss, backend="numpy")(X)


def test_lists_that_a_library_makes_do_not_retrace():
    def f(x):
        path = np.einsum_path("i,i,i->i", x, x, x)[0]
        return np.sum(np.einsum("i,i,i->i", x, x, x, optimize=path))

    cube = grad(f, backend="numpy")
    for k in range(3):
        np.testing.assert_allclose(cube(X + k), 3 * (X + k) ** 2)
    assert sum(map(len, cube.entries.values())) == 1


def test_numbers_among_the_arguments_may_decide():
    def size(x, order, n, axis):
        head = sum(x[k] for k in range(int(n)))
        return np.linalg.norm(x, ord=order) + head + np.sum(np.sum(x[None], axis=axis))

    slope = grad(size, backend="numpy")
    np.testing.assert_allclose(slope(X, np.inf, 2.0, np.int64(1)), [2, 2, 2, 1])
    # Another number is another program; the first one is still there.
    np.testing.assert_allclose(slope(X, 1.0, 1.0, np.int64(0)), [3, 0, 2, 2])
    slope(X, np.inf, 2.0, np.int64(1))
    assert sum(map(len, slope.entries.values())) == 2
    # What it is differentiated by cannot be known: its derivative would be lost.
    with pytest.raises(TracejitError, match="Python needs"):
        grad(size, argnums=1, backend="numpy")(X, 2.0, 1.0, 0)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_number_that_decides_is_looked_at_in_every_call(backend):
    def power(x, n):
        y = 1.0
        for _ in range(int(n)):
            y = y * x
        return y

    slope = grad(power, backend=backend)
    for n in (1.0, 3.0, 2.0, 3.0):
        assert slope(2.0, n) == n * 2.0 ** (n - 1)


def test_integers_of_numpy_are_integers():
    one, two = np.int64(1), np.int32(2)
    m = np.arange(6.0).reshape(2, 3)

    def f(x):
        total = np.sum(x, axis=one) @ np.diff(x, one, one)
        halves = np.split(x, np.int64(3), axis=one)
        return total * np.trace(x, offset=one) + halves[two] * x.var(ddof=one)

    both(f, m)


def test_defaults_may_decide():
    def size(x, order=np.inf, *, scale=2.0):
        return scale * np.linalg.norm(x, ord=order)

    np.testing.assert_allclose(grad(size, backend="numpy")(X), [0, 0, 2.0, 0])
    assert grad(size, argnums=0, backend="numpy")(X, scale=3.0)[2] == 3.0


class Pair(tuple):
    """A tuple with an attribute beside its elements."""

    def __new__(cls, *elements, scale):
        self = super().__new__(cls, elements)
        self.scale = scale
        return self


def test_tuples_with_attributes():
    def f(x):
        if x[0] > 0:
            p = Pair(x, 2 * x, scale=np.sum(x))
        else:
            p = Pair(x**2, x, scale=x[1])
        return np.sum(p[0] * p[1]) * p.scale

    for x in (np.array([1.0, 2.0]), np.array([-1.0, 2.0])):
        check_grads(f, (x,), order=2, backend="numpy")
    tree = Pair(np.ones(2), 3.0, scale=2.0)
    g = grad(lambda p: np.sum(p[0]) * p[1] * p.scale, backend="numpy")(tree)
    assert type(g) is Pair and (g[1], g.scale) == (4.0, 6.0)
    np.testing.assert_array_equal(g[0], [6.0, 6.0])


def test_results_of_scipy_where_branches_meet():
    stats = pytest.importorskip("scipy.stats")

    def line(x, y):
        r = stats.linregress(x, y) if x[0] > 0 else stats.linregress(y, x)
        return r.slope * 2 + r.intercept_stderr

    def test(x, y):
        s = 0.0
        for k in range(3):
            if x[k] > 0:
                r = stats.ttest_ind(x, y * k)
            else:
                r = stats.ttest_ind(y, x)
            s += r.statistic + r.pvalue * r.df
        return s

    def correlation(x, y):
        r = stats.pearsonr(x, y) if y[0] > 0 else stats.pearsonr(x, y**2)
        return r.statistic + r.pvalue

    x, y = np.random.default_rng(0).normal(size=(2, 8))
    for fn in (line, test, correlation):
        for a, b in ((x, y), (-y, x)):
            with np.errstate(all="ignore"):
                expected = fn(a, b)
                np.testing.assert_allclose(jit(fn, backend="numpy")(a, b), expected)
                check_grads(fn, (a, b), order=1, backend="numpy")
