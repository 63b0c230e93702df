"""What a choice leaves out contributes nothing to a derivative, not even a NaN."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, make_ir, vjp
from tracejit.ir.program import walk


def by_where(x):
    r = np.sqrt(x)
    return np.sum(np.triu(np.where(r > 0, 1.0 / r, r), 1))


def by_mask(x):
    r = np.sqrt(x)
    r[r > 0] = 1.0 / r[r > 0]
    return np.sum(np.triu(r, 1))


def by_two_masks(x):
    r = np.sqrt(x)
    near, far = (x > 0.1) & (x < 1), x >= 1
    return np.sum(np.where(near, r, 0.0)) + np.sum(np.where(far, 2 * r, 0.0))


def slope(name, x):
    if name == "by_two_masks":
        return np.where(x >= 1, 2.0, 1.0) * np.where(x > 0.1, 0.5, 0) / np.sqrt(x)
    return np.triu(-0.5 * x**-1.5, 1)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("fn", [by_where, by_mask, by_two_masks])
def test_of_several_uses(fn, backend):
    x = np.abs(np.random.default_rng(0).normal(size=(3, 3))) + 0.2
    x[np.diag_indices(3)] = 0  # where the slope of the root is infinite
    with np.errstate(all="ignore"):
        expected = np.nan_to_num(slope(fn.__name__, x), posinf=0)
    np.testing.assert_allclose(grad(fn, backend=backend)(x), expected, rtol=1e-12)


@pytest.mark.parametrize("fn", [by_where, by_mask])
def test_of_second_derivatives(fn):
    x = np.abs(np.random.default_rng(0).normal(size=(3, 3)))
    x[np.diag_indices(3)] = 0

    def total(x):
        return np.sum(grad(fn, backend="numpy")(x))

    with np.errstate(divide="ignore"):
        expected = np.triu(0.75 * x**-2.5, 1)
    np.testing.assert_allclose(grad(total, backend="numpy")(x), expected, rtol=1e-12)


# What nobody reads --------------------------------------------------------------------


def read_in_no_round(x, y):
    for i in range(3):
        x = x + np.where(y > i + 1, np.log(y), 2.0)
    return x


def branched_on_in_no_round(x, y):
    z = np.log(y)
    for i in range(3):
        if y > i + 1:
            x = x + z
    return x


def on_the_other_side(x, y):
    z = np.log(y)
    return z * 2 if y > 1 else x


def behind_the_last_round(x, y):
    for i in range(3):
        x = x + np.where(y > i + 1, y, 2.0)
        y = np.sqrt(y)
    return x


def overwritten(x, y):
    z = np.sqrt(np.stack([y, y + 1]))
    z[0] = x
    return np.sum(z)


def outside_of_a_slice(x, y):
    return x * np.sum(np.sqrt(np.stack([y, y + 1, y + 3]))[1:]) / (1 + np.sqrt(3.0))


def outside_of_a_loop(x, y):
    z = 1 / np.stack([y, y - 1, y - 1])
    for i in range(1, 3):
        x = x - z[i] / 2
    return x


def sorted_away(x, y):
    return x * np.sort(np.sqrt(np.stack([y, y + 1])))[-1]


def broadcast_and_left_out(x, y):
    z = np.log(np.stack([y, y + 1]))
    return x + np.sum(np.where(np.array([[False], [False]]), z, 1.0))


def filled_diagonal(x, y):
    d = 1 / np.sqrt((np.stack([y, y + 1])[:, None] - np.stack([y, y + 1])) ** 2)
    np.fill_diagonal(d, 0)
    return x * np.sum(d)


UNREAD = {
    read_in_no_round: 0.0,
    branched_on_in_no_round: 0.0,
    on_the_other_side: 0.0,
    behind_the_last_round: 0.0,
    overwritten: 0.5,
    outside_of_a_slice: 1.5 * (0.5 + 0.5 / np.sqrt(3)) / (1 + np.sqrt(3)),
    outside_of_a_loop: 1.0,
    sorted_away: 0.75,
    broadcast_and_left_out: 0.0,
    filled_diagonal: 0.0,
}


@pytest.mark.parametrize("fn", UNREAD, ids=lambda fn: fn.__name__)
def test_what_nobody_reads_has_slope_zero_where_its_own_is_infinite(fn):
    with np.errstate(all="ignore"):
        gradient = grad(fn, argnums=1, backend="numpy")(1.5, 0.0)
        _, pull = vjp(fn, 1.5, 0.0, backend="numpy")
        np.testing.assert_allclose(gradient, UNREAD[fn], rtol=1e-12)
        np.testing.assert_allclose(pull(1.0)[1], UNREAD[fn], rtol=1e-12)


@pytest.mark.parametrize("fn", [branched_on_in_no_round, outside_of_a_loop])
def test_compiled_too(fn):
    assert grad(fn, argnums=1)(1.5, 0.0) == pytest.approx(UNREAD[fn], rel=1e-12)


def test_what_is_read_keeps_its_infinite_slope():
    def fn(y):
        return np.sum(np.sqrt(np.stack([y, y + 1]))[:1])

    assert grad(fn, backend="numpy")(0.0) == np.inf


def test_a_long_row_of_choices_has_a_program_in_proportion():
    def greatest(x):
        return max([np.sin(v * k) for k, v in enumerate([*x])])

    def size(n):
        return len(list(walk(make_ir(grad(greatest))(np.ones(n)).region)))

    assert size(64) - size(32) < 2.2 * (size(32) - size(16))
