"""jvp and vjp of whole programs, against numbers, to second order."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transform.programs import PROGRAMS, build
from tracejit.ir.evaluate import evaluate
from tracejit.ir.program import Program
from tracejit.transform.jvp import jvp
from tracejit.transform.vjp import vjp


def arguments(program: Program, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.2, 1.1, v.aval.shape) for v in program.inputs]


def difference(program: Program, args: list, dots: list, which: int = 0) -> float:
    """A central difference along `dots`, extrapolated once (Richardson)."""

    def slope(h: float) -> float:
        up = evaluate(program, [a + h * d for a, d in zip(args, dots, strict=True)])
        down = evaluate(program, [a - h * d for a, d in zip(args, dots, strict=True)])
        return (up[which] - down[which]) / (2 * h)

    return (4 * slope(5e-5) - slope(1e-4)) / 3


@pytest.mark.parametrize("name", PROGRAMS)
def test_jvp_against_differences(name: str) -> None:
    fn, shapes = PROGRAMS[name]
    program = build(fn, *shapes)
    args, dots = arguments(program), arguments(program, 1)
    wrt = range(len(args))
    value, slope = evaluate(jvp(program, wrt), [*args, *dots])
    assert value == evaluate(program, args)[0]
    assert slope == pytest.approx(difference(program, args, dots), rel=1e-7)


@pytest.mark.parametrize("name", PROGRAMS)
def test_vjp_against_jvp(name: str) -> None:
    fn, shapes = PROGRAMS[name]
    program = build(fn, *shapes)
    args, dots = arguments(program), arguments(program, 1)
    wrt = range(len(args))
    value, *grads = evaluate(vjp(program, wrt, seed=True), args)
    slope = evaluate(jvp(program, wrt), [*args, *dots])[1]
    assert value == evaluate(program, args)[0]
    total = sum(np.sum(g * d) for g, d in zip(grads, dots, strict=True))
    assert total == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_second_order(name: str) -> None:
    """Forward over reverse, and reverse over reverse, of the same direction."""
    fn, shapes = PROGRAMS[name]
    program = build(fn, *shapes)
    args, dots = arguments(program), arguments(program, 1)
    adjoint = vjp(program, range(len(args)), seed=True)
    forward = evaluate(jvp(adjoint, range(len(args))), [*args, *dots])
    n = len(args)
    products = forward[1 + n + 1 :]
    for k, product in enumerate(products):
        probe = np.ones(shapes[k])
        expected = difference_sum(adjoint, args, dots, 1 + k, probe)
        assert np.sum(product) == pytest.approx(expected, rel=1e-6, abs=1e-8)
    cts = [np.float64(0.0), *dots]
    again = evaluate(vjp(adjoint, range(n)), [*args, *cts])[1 + n :]
    for a, b in zip(again, products, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def difference_sum(
    program: Program, args: list, dots: list, which: int, probe: np.ndarray
) -> float:
    def slope(h: float) -> float:
        up = evaluate(program, [a + h * d for a, d in zip(args, dots, strict=True)])
        down = evaluate(program, [a - h * d for a, d in zip(args, dots, strict=True)])
        return np.sum(probe * (up[which] - down[which])) / (2 * h)

    return (4 * slope(5e-5) - slope(1e-4)) / 3
