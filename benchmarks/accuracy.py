"""Print how far compiled functions are from the truth: `python -m benchmarks.accuracy`.

Errors are in units in the last place of the true value, which mpmath computes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np

from tracejit.backend.numba_build import compile_program
from tracejit.ir.aval import aval_of
from tracejit.ir.builder import building
from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Program, Region, Var
from tracejit.ops import elementwise, special

assert elementwise and special  # they fill the registry

TRUTH: dict[str, Callable[..., Any]] = {
    **{name: getattr(mpmath, name) for name in ("exp", "expm1", "log", "log1p")},
    **{name: getattr(mpmath, name) for name in ("sin", "cos", "tan", "erf")},
    **{name: getattr(mpmath, name) for name in ("sinh", "cosh", "tanh", "hypot")},
    # mpmath fails on huge arguments, where erfc is 0 or 2.
    "erfc": lambda x: mpmath.erfc(max(min(x, 40), -40)),
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
    "arcsinh": mpmath.asinh,
    "arccosh": mpmath.acosh,
    "arctanh": mpmath.atanh,
    "arctan2": mpmath.atan2,
    "pow": mpmath.power,
    "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
    "ndtr": lambda x: mpmath.ncdf(max(min(x, 60), -60)),
    "erfcx": lambda x: _erfcx(x),
    "lgamma": lambda x: _but_poles(mpmath.loggamma, x, mpmath.inf).real,
    "digamma": lambda x: _but_poles(mpmath.digamma, x, mpmath.nan),
}


def _erfcx(x: Any) -> Any:
    if abs(x) < 1000:
        return mpmath.exp(x * x) * mpmath.erfc(x)
    w = 1 / (2 * x * x)
    series = (1 - w + 3 * w**2 - 15 * w**3) / (x * mpmath.sqrt(mpmath.pi))
    return series if x > 0 else mpmath.inf


def _but_poles(function: Any, x: Any, pole: Any) -> Any:
    """A function, and a number where Γ has a pole but 0."""
    return pole if x < 0 and x == mpmath.floor(x) else function(x)


BINARY = {"arctan2", "pow", "hypot"}
#: Ulps allowed.
LIMIT = dict.fromkeys(TRUTH, 4.0) | dict.fromkeys(
    ("exp", "exp2", "log", "log2", "log10"), 2.0
)
LIMIT["digamma"] = 8.0  # beside its poles, and where what it is a sum of cancels
#: Where a function crosses zero away from the origin: errors are then in units of the
#: last place of at least 1.
ABSOLUTE = {"lgamma", "digamma"}


def numbers(count: int, dtype: Any, rng: np.random.Generator) -> np.ndarray:
    """Of everyday size, and of every exponent, subnormal and huge ones included."""
    info = np.finfo(dtype)
    low, high = np.log2(float(info.smallest_subnormal)), np.log2(float(info.max))
    third = count // 3
    wide = 2.0 ** rng.uniform(low, high, count - 2 * third)
    near = [rng.uniform(-3, 3, third), rng.uniform(-800, 800, third)]
    x = np.concatenate([*near, wide * rng.choice([-1, 1], wide.size)])
    return rng.permutation(x).astype(dtype)


def program_of(name: str, operands: Sequence[np.ndarray]) -> Program:
    """A primitive applied to arrays like these."""
    inputs = [Var(aval_of(x)) for x in operands]
    with building() as builder, builder.open() as eqns:
        out = REGISTRY[name](*inputs)
    return Program(name, Region(inputs, eqns, [out]))


def compiled(name: str, operands: Sequence[np.ndarray]) -> np.ndarray:
    """A primitive applied by a kernel."""
    return compile_program(program_of(name, operands))(operands)[0]


def errors(name: str, operands: Sequence[np.ndarray], got: np.ndarray) -> np.ndarray:
    """Ulps from the truth; infinity where only one of the two is a number."""
    return np.array(
        [
            _ulps(name, [x.item() for x in point], value)
            for *point, value in zip(*operands, got, strict=True)
        ]
    )


def _ulps(name: str, point: list[float], value: Any) -> float:
    with mpmath.workprec(200), np.errstate(over="ignore"):
        true = TRUTH[name](*map(mpmath.mpf, point))
        if isinstance(true, mpmath.mpc):
            return 0.0 if np.isnan(value) else np.inf
        rounded = value.dtype.type(float(true))
        if not np.isfinite(rounded) or not np.isfinite(value):
            same = value == rounded or (np.isnan(value) and np.isnan(rounded))
            return 0.0 if same else np.inf
        place = abs(np.spacing(rounded)).item()
        if name in ABSOLUTE:
            place = max(place, float(np.finfo(value.dtype).eps))
        return float(abs(value.item() - true) / place)


def worst(name: str, dtype: Any, count: int, seed: int = 0) -> tuple[float, list[Any]]:
    """The greatest error in a sample, and where it is."""
    rng = np.random.default_rng(seed)
    operands = [numbers(count, dtype, rng) for _ in range(1 + (name in BINARY))]
    if name == "pow":
        operands[0] = abs(operands[0])
        operands[1] = rng.uniform(-3, 3, count).astype(dtype)
    found = errors(name, operands, compiled(name, operands))
    k = int(np.argmax(found))
    return float(found[k]), [x[k].item() for x in operands]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.accuracy")
    parser.add_argument("--count", type=int, default=20_000, help="points of each")
    count = parser.parse_args(arguments).count
    print(f"{'function':<10}{'float64':>9}{'float32':>9}  ulps at most; worst points")
    failed = False
    for name, limit in LIMIT.items():
        rows = [worst(name, dtype, count) for dtype in (np.float64, np.float32)]
        at = "  ".join(", ".join(f"{x:.6g}" for x in point) for _, point in rows)
        print(f"{name:<10}{rows[0][0]:>9.2f}{rows[1][0]:>9.2f}  {at}", flush=True)
        failed |= any(error > limit for error, _ in rows)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
