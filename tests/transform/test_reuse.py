"""What the primal computes anyway, its derivative reads."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, hessian, make_ir
from tracejit.ir.program import walk


def pendulum(x, a):
    for _ in range(7):
        x = x - a * np.sin(x) + 0.1 * np.cos(x)
    return x * a


def kepler(x, a):
    step = 1.0
    while abs(step) > 1e-9:
        step = (x - a * np.sin(x) - 1.2) / (1.0 - a * np.cos(x))
        x -= step
    return x * a


def turned(x, a):
    s = 0.0
    for k in range(5):
        if k % 2:
            for _ in range(k):
                x = a * np.cos(x) * np.sin(x)
        else:
            s += np.sin(x)
    return s * x


def outside(x, a):
    s, c = np.sin(x), np.cos(x)
    for k in range(5):
        s = s + a * k * c * np.cos(s)
    return s


def finite_difference(fn, args, k, h=1e-5):
    up, down = ([*args[:k], args[k] + d, *args[k + 1 :]] for d in (h, -h))
    return (fn(*up) - fn(*down)) / (2 * h)


@pytest.mark.parametrize("fn", [pendulum, kepler, turned, outside])
def test_right(fn):
    args = 0.4, 0.3
    for k in (0, 1):
        slope = grad(fn, argnums=k, backend="numpy")(*args)
        assert np.isclose(slope, finite_difference(fn, args, k), rtol=1e-6)
    second = hessian(fn, argnums=1, backend="numpy")(*args)
    inner = grad(fn, argnums=1, backend="numpy")
    assert np.isclose(second, finite_difference(inner, args, 1), rtol=1e-5)


@pytest.mark.parametrize("fn", [pendulum, kepler])
def test_nothing_is_computed_on_the_way_back(fn):
    program = make_ir(grad(fn, argnums=(0, 1)))(0.4, 0.3)
    loops = [e for e in program.eqns if e.params.get("reverse")]
    assert loops
    names = {e.prim.name for loop in loops for r in loop.regions for e in walk(r)}
    assert names.isdisjoint({"sin", "cos"})
