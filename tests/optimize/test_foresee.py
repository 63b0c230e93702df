"""Selections in a chain of rounds are branches; their results are the same."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, make_ir
from tracejit.backend.numba_source import write
from tracejit.optimize.lower import lower


def swept(x, m):
    y = np.zeros(len(x))
    y[0] = x[0]
    for i in range(1, len(x)):
        y[i] = (x[i] - 0.5 * y[i - 1]) / m[i]
    return np.sum(y[:6] ** 2)


def side_by_side(x, m):
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i] = x[i] / m[i]
    return np.sum(y[:6] ** 2)


def in_a_number(x, m):
    s = 1.0
    for i in range(len(x)):
        s = x[i] / (m[i] + s)
        if i > 5:
            s = 1.0
    return s + np.sum(x)


X, M = np.random.default_rng(0).uniform(0.5, 1.5, (2, 12))


def text(f):
    return write(lower(make_ir(grad(f))(X, M))).text


def test_only_chains_have_branches():
    assert "_tj_unless_zero" in text(swept)
    assert "_tj_unless_zero" not in text(side_by_side)


@pytest.mark.parametrize("f", [swept, side_by_side, in_a_number])
@pytest.mark.parametrize("pole", [8, 9])
def test_what_nobody_reads_contributes_nothing(f, pole):
    m = M.copy()
    m[pole] = -1.0 if f is in_a_number else 0.0  # divides by 0, for nobody
    with np.errstate(all="ignore"):
        slopes = grad(f, argnums=(0, 1))(X, m)
        wanted = grad(f, argnums=(0, 1), backend="numpy")(X, m)
    for slope, want in zip(slopes, wanted, strict=True):
        assert np.all(np.isfinite(want))
        np.testing.assert_allclose(slope, want, rtol=1e-12)


def test_what_is_read_at_a_pole_is_infinite():
    m = M.copy()
    m[3] = 0.0
    with np.errstate(all="ignore"):
        slope = grad(swept)(X, m)
        wanted = grad(swept, backend="numpy")(X, m)
    np.testing.assert_array_equal(np.isfinite(slope), np.isfinite(wanted))
    assert not np.isfinite(wanted).all()
