"""What `show` says of arrays on the way: stored or computed where read, and why."""

from __future__ import annotations

import re

import numpy as np

from tracejit import jit, show


def said(f, *args):
    """The lines under the title, by what they are about."""
    text = show(jit(f), *args)
    if "# arrays on the way" not in text:
        return []
    text = text[text.index("# arrays on the way") :]
    return [line.removeprefix("#").split() for line in text.splitlines()[1:]]


def notes(f, *args):
    return {words[0]: " ".join(words[1:]) for words in said(f, *args)}


def test_what_is_dear_and_read_by_two_loops_is_stored():
    def f(x):
        dear = np.exp(np.sin(x))
        return np.cumsum(dear), np.cumsum(dear[::-1])

    how = notes(f, np.ones(9))["dear"]
    assert re.fullmatch(
        r"stored: computed .* otherwise, at [\d.]+ loads an element", how
    )


def test_what_is_cheap_is_computed_where_it_is_read():
    def f(x):
        cheap = x + 1.0
        return np.cumsum(cheap), np.cumsum(cheap[::-1])

    assert notes(f, np.ones(9))["cheap"].startswith("computed 2 times, where read")


def test_what_is_overwritten_before_it_is_read_is_stored():
    def f(x):
        x, total = x.copy(), 0.0
        for i in range(len(x)):
            old = x * 2.0
            x[i] += np.sum(x)
            total += np.sum(x * old)
        return total

    assert "overwritten before it is read" in notes(f, np.ones(9))["old"]


def test_a_product_of_matrices_has_its_operands_stored():
    def f(A):
        B = A + 1.0
        return B @ A

    assert notes(f, np.ones((40, 40)))["B"] == "stored: a product of matrices reads it"


def test_of_one_loop_there_is_nothing_to_say():
    assert said(lambda x: np.sum(np.sin(x) * x), np.ones(9)) == []
