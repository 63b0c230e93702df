"""Small loops unrolled, loops split where they leave out a round, elements held."""

from __future__ import annotations

import numpy as np
import pytest

from tests.optimize.kernels import text_of
from tracejit.ir.aval import Aval
from tracejit.ir.program import Var
from tracejit.optimize.held import apart
from tracejit.optimize.nest import Affine

RNG = np.random.default_rng(0)


def forces(x):
    f = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                d = x[j] - x[i]
                f[i] += d / (0.1 + d[0] ** 2 + d[1] ** 2)
                f[j] -= 0.1 * d
    return f


def without_one(x):
    out = np.zeros(len(x))
    for i in range(len(x)):
        for j in range(len(x) - 1, -1, -1):
            if j == i:
                continue
            out[i] = out[i] * 0.5 + x[j]
    return out


def shorter(x):
    """The round left out may be none of the loop's."""
    out = np.zeros(len(x))
    for i in range(len(x)):
        for j in range(2, len(x) - 1):
            if j != i:
                out[i] += x[j]
    return out


def above(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if j > i:
                s += x[i] / (0.1 + x[j] * x[j])
    return s


def both_sides(x):
    out = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x) - 1, -1, -1):
            if i <= j:
                out[i, j] = x[i] * x[j]
            else:
                out[i, j] = 2.0 * out[j, i]
    return out


def diagonal(x):
    out, n = np.zeros((len(x), len(x))), 0
    for i in range(len(x)):
        for j in range(len(x)):
            if i == j:
                out[i, j] = out[i, j] + x[i]
                n += 1
    return out + n


def change_places(x):
    a, b, s = x[0], 1.0, 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if j >= i:
                a, b = b, a * 0.9
            s += a * x[j]
    return s


def from_behind(x):
    """Where the loop begins, the branch may have been taken already."""
    s = 0.0
    for i in range(len(x)):
        for j in range(3, len(x)):
            if j > i:
                s += x[j] * x[i]
            if j > i + 1:
                s -= x[j]
    return s


def below_a_float(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if j < 3.5 * x[i]:
                s += x[j]
    return s


def at_one_place(x):
    x = x.copy()
    for i in range(1, len(x)):
        for j in range(i):
            x[i] = 0.9 * x[i] + 0.1 * x[j]
    return x


def at_places_that_meet(x):
    x = x.copy()
    for i in range(1, len(x)):
        for j in range(i + 1):
            x[i] = 0.9 * x[i] + 0.1 * x[j]
    return x


def perhaps_nowhere(x):
    """Nothing is read where there is nothing: the loop may have no round."""
    x = x.copy()
    for i in range(len(x) + 2):
        for j in range(i, len(x) - 1):
            x[i] = x[i] + x[j + 1]
    return x


PROGRAMS = [
    *[without_one, shorter, at_one_place, at_places_that_meet, perhaps_nowhere],
    *[above, both_sides, diagonal, change_places, from_behind, below_a_float],
]


@pytest.mark.parametrize("fn", PROGRAMS)
@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_numbers(fn, n):
    text_of(fn, RNG.normal(size=n))


@pytest.mark.parametrize("n", [1, 2, 9])
@pytest.mark.parametrize("m", [2, 3, 4])
def test_rows_of_a_few_numbers(n, m):
    text_of(forces, RNG.normal(size=(n, m)))


def test_which_loops_are_taken_apart():
    text = text_of(forces, RNG.normal(size=(9, 3)))
    assert "range(3)" not in text.split("for i_1")[1]
    assert text.split("for i_1")[1].count("for j") == 1
    assert "!=" not in text_of(without_one, RNG.normal(size=9))
    assert "!=" in text_of(shorter, RNG.normal(size=9))


def a_few_columns(w, X):
    s, g = 0.0, np.zeros(len(w))
    for i in range(len(X)):
        r = 0.0
        for j in range(len(w)):
            r += X[i, j] * w[j]
        for j in range(len(w)):
            g[j] += X[i, j] * np.tanh(r)
        s += np.exp(r)
    return s * g


@pytest.mark.parametrize("rows, columns, apart", [(99, 8, 1), (99, 9, 0), (20, 8, 0)])
def test_few_columns_of_many_rows(rows, columns, apart):
    """The sum of each column is in a register; and so the rows can be vectors."""
    args = RNG.normal(size=columns), RNG.normal(size=(rows, columns))
    loops = text_of(a_few_columns, *args).split("\nfor i_")
    rows_of = [text for text in "".join(loops).split("\n    for ") if "tanh" in text]
    assert rows_of and all(("for j" not in text) == apart for text in rows_of)


@pytest.mark.parametrize("fn", [above, both_sides, diagonal])
def test_loops_that_a_comparison_divides(fn):
    assert " " * 12 + "if " not in text_of(fn, RNG.normal(size=9))


def test_loops_that_may_begin_behind_it_stay():
    assert " > " in text_of(from_behind, RNG.normal(size=9))


def test_what_is_held_in_a_register():
    inner = text_of(at_one_place, RNG.normal(size=9)).split("for j")[1]
    assert "] = " not in inner.split("if")[0]
    inner = text_of(at_places_that_meet, RNG.normal(size=9)).split("for j")[1]
    assert "] = " in inner


def of_each_round(x):
    s = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            d = np.zeros(2)
            d[0] = x[i] - x[j]
            d[0] += 0.1
            d[1] = d[0] * x[j]
            d[1] = d[1] - 0.5 * d[0]
            s += d[0] * d[1]
    return s


def handed_on(x):
    s = 0.0
    for k in range(len(x)):
        d = np.zeros(2)
        for i in range(len(x)):
            d[0] = 0.5 * d[1] + x[i]
            s += d[0] * d[1]
            if x[i] > x[k]:
                d[1] = 0.3 * d[0]
        s += d[1]
    return s


@pytest.mark.parametrize("fn", [of_each_round, handed_on])
def test_small_arrays_are_registers(fn):
    for n in (1, 2, 9):
        text = text_of(fn, RNG.normal(size=n))
    assert "_tj_local" not in text


def test_places_apart():
    i, j, k = (Var(Aval(np.dtype(np.int64))) for _ in range(3))
    zero, one = Affine.of(0), Affine.of(1)
    known = {j: (zero, Affine.of(i) - 1), k: (Affine.of(i) + 1, Affine.of(9))}
    assert apart((zero,), (one,), {})
    assert not apart((zero,), (zero,), {})
    assert not apart((Affine.of(i),), (Affine.of(j),), {})
    assert apart((Affine.of(i),), (Affine.of(j),), known)
    assert apart((Affine.of(k),), (Affine.of(i),), known)
    assert apart((Affine.of(k),), (Affine.of(j) + 1,), known)
    assert not apart((Affine.of(k),), (Affine.of(j) + 2,), known)


def doublings(x, s):
    x = x.copy()
    for k in range(1):
        while s < 5.0:
            s = s * 2
            x[k] += s
    return x * s


def test_a_loop_as_long_as_the_data_say_in_a_single_round():
    text = text_of(doublings, np.ones(3), 1.3)
    assert "for k" not in text and "while True" in text
