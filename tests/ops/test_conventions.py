"""Values and slopes at the points where differences say nothing.

Kinks, ties, zeros, NaN and infinities: what DESIGN promises, by hand.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.ops import straight
from tracejit.ir.aval import Aval, aval_of
from tracejit.ops import elementwise as ew
from tracejit.ops import index, reduce, shape, special
from tracejit.ops.numpy_reduce import std
from tracejit.transform.vjp import vjp

INF, NAN = np.inf, np.nan
I8 = np.dtype(np.int64)


def slopes(fn, *args):
    """The partial derivatives of a function of scalars."""
    args = [np.float64(x) for x in args]
    program = straight.build(fn, [aval_of(x) for x in args])
    adjoint = vjp(program, range(len(args)))
    return [float(x) for x in straight.run(adjoint, *args, np.float64(1))[1:]]


def second(fn, *args):
    """The second derivatives along each argument alone."""
    args = [np.float64(x) for x in args]
    first = straight.jvp(straight.build(fn, [aval_of(x) for x in args]))
    twice = straight.jvp(first)
    zero = [np.float64(0)] * len(args)
    out = []
    for u in np.eye(len(args)):
        u = list(map(np.float64, u))
        out.append(float(straight.run(twice, *args, *u, *u, *zero)[0]))
    return out


def gradient(fn, x, *rest):
    """The gradient of a scalar function of an array."""
    args = [np.asarray(x, float), *rest]
    adjoint = vjp(straight.build(fn, [aval_of(a) for a in args]), [0])
    return straight.run(adjoint, *args, np.float64(1))[-1].tolist()


@pytest.mark.parametrize(
    "fn, at, want",
    [
        (ew.abs_, [0.0], [0.0]),
        (ew.abs_, [-0.0], [0.0]),
        (ew.sign, [0.0], [0.0]),
        (ew.maximum, [1.0, 1.0], [0.5, 0.5]),
        (ew.minimum, [1.0, 1.0], [0.5, 0.5]),
        (ew.maximum, [2.0, 1.0], [1.0, 0.0]),
        (ew.minimum, [2.0, 1.0], [0.0, 1.0]),
        (ew.maximum, [INF, 1.0], [1.0, 0.0]),
        (ew.maximum, [-INF, -INF], [0.5, 0.5]),
        (ew.hypot, [0.0, 0.0], [0.0, 0.0]),
        (ew.copysign, [-2.0, 1.0], [-1.0, 0.0]),
        (ew.sqrt, [0.0], [INF]),
        (ew.cbrt, [0.0], [INF]),
        (ew.log, [0.0], [INF]),
        (ew.pow_, [0.0, 0.0], [0.0, 0.0]),
        (ew.pow_, [0.0, 1.0], [1.0, 0.0]),
        (ew.pow_, [0.0, 2.0], [0.0, 0.0]),
        (ew.pow_, [0.0, 0.5], [INF, 0.0]),
        (ew.pow_, [3.0, 0.0], [0.0, math.log(3)]),
        (ew.pow_, [-2.0, 3.0], [12.0, NAN]),
        (ew.mod, [5.5, 2.0], [1.0, -2.0]),
        (ew.mod, [-5.5, 2.0], [1.0, 3.0]),
        (ew.fmod, [-5.5, 2.0], [1.0, 2.0]),
        (ew.floor_divide, [5.5, 2.0], [0.0, 0.0]),
        (ew.floor, [1.0], [0.0]),
        (ew.logaddexp, [-INF, 0.0], [0.0, 1.0]),
        (ew.logaddexp, [800.0, -800.0], [1.0, 0.0]),
        (ew.arctan2, [0.0, -1.0], [-1.0, 0.0]),
        (special.erf, [0.0], [2 / math.sqrt(math.pi)]),
        (special.lgamma, [1.0], [-0.5772156649015329]),
        (special.lgamma, [-0.5], [0.03648997397857652]),
    ],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_slopes(fn, at, want):
    np.testing.assert_allclose(slopes(fn, *at), want, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    "n, first, twice", [(0, 0, 0), (1, 1, 0), (2, 0, 2), (3, 0, 0)]
)
def test_integer_powers_at_zero(n, first, twice):
    fn = lambda x: ew.integer_pow(x, n=n)  # noqa: E731
    assert slopes(fn, 0.0) == [first]
    assert second(fn, 0.0) == [twice]


@pytest.mark.parametrize("b, twice", [(0.0, 0.0), (1.0, 0.0), (2.0, 2.0), (3.0, 0.0)])
def test_second_slope_of_a_power_at_zero(b, twice):
    assert second(ew.pow_, 0.0, b)[0] == twice


def test_negative_integer_powers_of_zero_are_infinite():
    fn = lambda x: ew.integer_pow(x, n=-1)  # noqa: E731
    assert slopes(fn, 0.0) == [-INF]


def test_integer_powers_agree_with_numpy():
    x = np.array([-3.0, -0.5, 0.0, 1.5, 1e100, INF, NAN])
    for n in range(-5, 12):
        with np.errstate(all="ignore"):
            mine, numpys = ew.integer_pow.impl(x, n=n), x**n
        np.testing.assert_allclose(mine, numpys, rtol=1e-14)


# The untaken side ---------------------------------------------------------------------


def test_the_untaken_side_of_select_contributes_no_nan():
    def safe_log(x):
        return ew.select(ew.gt(x, 0.0), ew.log(x), 0.0)

    assert slopes(safe_log, 0.0) == [0.0]
    assert slopes(safe_log, -1.0) == [0.0]
    assert slopes(safe_log, 2.0) == [0.5]


def test_what_loses_a_maximum_contributes_no_nan():
    def clipped(x):
        return ew.maximum(ew.log(x), -5.0)

    assert slopes(clipped, 0.0) == [0.0]  # log: -inf, with an infinite slope
    assert slopes(lambda x: ew.minimum(1 / x, 5.0), 0.0) == [0.0]


def test_maximum_over_an_axis_ignores_what_loses():
    def fn(x):
        return reduce.max_(ew.log(x), axes=(0,))

    assert gradient(fn, [0.0, 2.0, 1.0]) == [0.0, 0.5, 0.0]


# NaN ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prim", [ew.maximum, ew.minimum])
def test_nan_comes_out_of_maximum_and_minimum(prim):
    for a, b in [(NAN, 1.0), (1.0, NAN), (NAN, NAN)]:
        assert np.isnan(prim.impl(np.float64(a), np.float64(b)))
        code = prim.code(["a", "b"], np.dtype(float), {})
        assert np.isnan(eval(code, {"a": a, "b": b}))


def test_scalar_code_at_odd_operands():
    odd = [0.0, -0.0, 1.0, -1.5, 2.5, INF, -INF, NAN, 1e-310, 1e300]
    names = {"math": np, "np": np, "float64": np.float64}
    for prim in (ew.sign, ew.maximum, ew.minimum, ew.logaddexp, ew.mod, ew.rint):
        for a in map(np.float64, odd):
            for b in map(np.float64, odd):
                operands = [a, b][: prim.arity]
                code = prim.code(["a", "b"][: prim.arity], np.dtype(float), {})
                with np.errstate(all="ignore"):
                    got = eval(code, names | {"a": a, "b": b})
                    want = prim.impl(*operands)
                np.testing.assert_allclose(got, want, rtol=1e-15, err_msg=prim.name)


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_shifts_beyond_the_width(dtype):
    for prim in (ew.shift_left, ew.shift_right):
        code = prim.code(["a", "b"], np.dtype(dtype), {})
        for a in (5, -5):
            for b in (0, 3, 31, 63, 64, 100):
                a, b = dtype(a), dtype(b)
                with np.errstate(all="ignore"):
                    names = {"a": a, "b": b, np.dtype(dtype).name: dtype}
                    assert eval(code, names) == prim.impl(a, b), (prim.name, a, b)


# Ties and zeros in reductions ---------------------------------------------------------


def test_ties_in_max_and_min_share():
    fn = lambda x: reduce.max_(x, axes=(0,))  # noqa: E731
    assert gradient(fn, [3.0, 1.0, 3.0]) == [0.5, 0.0, 0.5]
    fn = lambda x: reduce.min_(x, axes=(0, 1))  # noqa: E731
    assert gradient(fn, [[1.0, 1.0], [1.0, 2.0]]) == [[1 / 3, 1 / 3], [1 / 3, 0.0]]


@pytest.mark.parametrize(
    "x, want",
    [
        ([2.0, 3.0, 5.0], [15.0, 10.0, 6.0]),
        ([0.0, 3.0, 5.0], [15.0, 0.0, 0.0]),
        ([0.0, 3.0, 0.0], [0.0, 0.0, 0.0]),
    ],
)
def test_products_with_zeros(x, want):
    fn = lambda x: reduce.prod(x, axes=(0,))  # noqa: E731
    assert gradient(fn, x) == want


def test_second_order_of_products_with_zeros():
    """d²(xyz) is exact at every number of zeros: here along (1, 1, 1)."""
    fn = lambda x: reduce.prod(x, axes=(0,))  # noqa: E731
    twice = straight.jvp(
        straight.jvp(straight.build(fn, [Aval(np.dtype(float), (3,))]))
    )
    one, nil = np.ones(3), np.zeros(3)
    for x, y, z in [(2.0, 3.0, 5.0), (0.0, 3.0, 5.0), (0.0, 3.0, 0.0), (0.0,) * 3]:
        (out,) = straight.run(twice, np.array([x, y, z]), one, one, nil)
        assert out == 2 * (x + y + z)


def test_cumulative_products_with_zeros():
    def fn(x):
        return reduce.sum_(reduce.cumprod(x, axis=0, reverse=False), axes=(0,))

    # x + xy + xyz at (2, 0, 5): 1 + y + yz, x + xz, xy
    assert gradient(fn, [2.0, 0.0, 5.0]) == [1.0, 12.0, 0.0]


# Repeated indices ---------------------------------------------------------------------


def test_the_last_of_repeated_writes_wins_and_gets_the_cotangent():
    where = np.array([1, 0, 1])

    def fn(v, x, where):
        y = index.scatter_set(x, v, where, axes=(0,))
        weights = ew.cast(
            ew.add(shape.iota(size=3, dtype=I8), 1), dtype=np.dtype(float)
        )
        return reduce.sum_(y * weights, axes=(0,))

    x, v = np.zeros(3), np.array([10.0, 20.0, 30.0])
    out = index.scatter_set.impl(x, v, where, axes=(0,))
    assert out.tolist() == [20.0, 30.0, 0.0]
    assert gradient(fn, v, x, where) == [0.0, 1.0, 2.0]


def test_repeated_additions_all_count():
    where = np.array([1, 0, 1])
    out = index.scatter_add.impl(np.zeros(3), np.ones(3), where, axes=(0,))
    assert out.tolist() == [1.0, 2.0, 0.0]


def test_deviations_of_equal_numbers_have_slope_zero():
    x = np.full(3, 1.5)
    adjoint = vjp(straight.build(std, [aval_of(x)]), [0])
    np.testing.assert_array_equal(straight.run(adjoint, x, np.float64(1))[1], 0)
