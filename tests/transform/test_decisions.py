"""What is decided for every value that the way back reads, as `show` tells it."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, show


def recurrence(x, a):
    y = np.zeros(9)
    y[0] = x
    for t in range(8):
        y[t + 1] = a * np.sin(y[t])
    return np.sum(y * y)


def recurrent(W, xs):
    h = np.zeros(3)
    loss = 0.0
    for t in range(len(xs)):
        h = np.tanh(W @ h + xs[t])
        loss += np.sum((h - xs[t]) ** 2)
    return loss


def in_place(A, b):
    A = A.copy()
    for i in range(len(b)):
        A[i] = np.sin(A[i] * np.sum(A * A))
    return np.sum(A * b)


def newton(x):
    y = x
    while abs(y * y - x) > 1e-9:
        y = 0.5 * (y + x / y)
    return y


CASES = {
    recurrence: (0.3, 2.0),
    recurrent: (np.eye(3), np.ones((4, 3))),
    in_place: (np.ones(5), np.ones(5)),
    newton: (2.0,),
}


@pytest.mark.parametrize("fn", CASES, ids=lambda fn: fn.__name__)
def test_golden(fn, golden, capsys):
    text = show(fn, *CASES[fn])
    assert capsys.readouterr().out.rstrip() == text.rstrip()
    start = text.index("# what the way back reads")
    golden(text[start:], fn.__name__)


def test_of_a_gradient_by_one_argument():
    text = show(grad(recurrence, argnums=1), 0.3, 2.0)
    assert "y[t]          re-read from `y`" in text
    assert "np.sin(y[t])  taped (8,)" in text


def doubled(x):
    return 2.0 * x


def test_where_nothing_is_read_nothing_is_told():
    assert "way back" not in show(doubled, 1.0)
    for stage in ("staged", "clean", "tangent"):
        assert "way back" not in show(recurrence, 0.3, 2.0, stage=stage)
