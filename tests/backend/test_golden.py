"""The kernels' text, as people read it: named after the user's code, line by line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tracejit as tj


def heat(u, c):
    for _ in range(100):
        u[1:-1] += c * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.sum(u * u)


def weighted(x, w):
    total = 0.0
    for i in range(len(x)):
        if x[i] > 0.5:
            total += w[i] * x[i] ** 2
        else:
            total -= w[i]
    return total


def halved(x, a):
    while x > a:
        x = x - a * x * x
    return x


def regression(W, x, y):
    error = W @ x - y
    return error @ error


U = np.linspace(0.0, 1.0, 20)


@pytest.mark.parametrize(
    "fn, args",
    [
        (heat, (U, 0.1)),
        (weighted, (U, U)),
        (halved, (3.0, 0.1)),
        (regression, (np.ones((30, 20)), U, np.ones(30))),
    ],
)
def test_kernels_read_as_agreed(fn, args, golden, capsys):
    text = tj.show(tj.value_and_grad(fn), *args, stage="source")
    assert capsys.readouterr().out == text + "\n"
    # Lines and places change with this file; that they are its own must not.
    where = re.compile(rf"# {re.escape(__file__)}:(\d+): (.*)")
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    for number, code in where.findall(text):
        assert lines[int(number) - 1].strip() == code
    golden(where.sub(r"# \2", text), fn.__name__)
