"""Is a staged program right? Its value against NumPy, its gradient against numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import jvp, vjp
from tracejit.base.errors import InternalError, TracejitError
from tracejit.base.pytree import flatten, unflatten

RIGHT, REFUSED, WRONG, CRASHED = "right", "refused", "wrong", "crashed"
#: It took longer than the watchdog has patience.
SLOW = "slow"
#: The plain program itself fails, or leaves the range where numbers can be compared.
UNFIT = "unfit"
LARGEST = 1e5

#: Makes the arguments anew, the same ones at every call: floats and arrays of floats.
Make = Callable[[], tuple[Any, ...]]


@dataclass
class Verdict:
    """What came out, why, and whether numeric differences could judge the gradient."""

    kind: str
    why: str = ""
    numeric: bool = True


class Mismatch(Exception):
    """A value, dtype, shape or gradient that is not the expected one."""


class Apart(Mismatch):
    """Numbers of the right dtype and shape that are not the expected ones."""


def judge(
    fn: Callable[..., Any],
    make: Make,
    backend: str = "numpy",
    single: bool = False,
    branches: bool = True,
) -> Verdict:
    """Run `fn(*make())` plainly and staged, and say whether they agree.

    `single`: somewhere in it are numbers of single precision; `branches`: and what they
    are combined with may depend on the path.
    """
    try:
        # Past an overflow, a slope of 0 times infinity is as good as any.
        with np.errstate(all="ignore", over="raise"):
            expected = [np.array(y) for y in flatten(fn(*make()))[0]]
    except Exception as error:
        return Verdict(UNFIT, f"{type(error).__name__}: {error}")
    if not all(np.all(np.abs(y) < LARGEST) for y in expected):
        return Verdict(UNFIT, "large or not finite")
    try:
        with np.errstate(all="ignore"):
            numeric = compare(fn, make, expected, backend, single, branches)
    except Mismatch as wrong:
        return Verdict(WRONG, str(wrong))
    except InternalError as error:
        return Verdict(CRASHED, f"{type(error).__name__}: {error}")
    except TracejitError as error:
        return Verdict(REFUSED, f"{type(error).__name__}: {error}")
    except Exception as error:
        return Verdict(CRASHED, f"{type(error).__name__}: {error}")
    return Verdict(RIGHT, numeric=numeric)


def compare(
    fn: Callable[..., Any],
    make: Make,
    expected: list[np.ndarray],
    backend: str,
    single: bool,
    branches: bool,
) -> bool:
    """Raise `Mismatch` unless staged and plain agree; was the gradient comparable?"""
    args = make()
    value, pull = vjp(fn, *args, backend=backend)
    got = flatten(value)[0]
    try:
        check_values(got, expected, single, branches)
    except Apart:
        if not (single and is_rounding(fn, make, got, expected)):
            raise
        return False
    rng = np.random.default_rng(1)
    cts = [
        rng.normal(size=y.shape) * np.ones((), y.dtype)
        if y.dtype.kind == "f"
        else np.zeros(y.shape, y.dtype)
        for y in expected
    ]
    weights = [np.asarray(c, y.dtype) for c, y in zip(cts, expected, strict=True)]
    grads = flatten(pull(unflatten(flatten(value)[1], weights)))[0]
    for before, after in zip(flatten(make())[0], flatten(args)[0], strict=True):
        if not np.array_equal(before, after):
            raise Mismatch("an argument of the caller was changed")
    leaves, _ = flatten(make())
    for g, x in zip(grads, leaves, strict=True):
        if np.shape(g) != np.shape(x) or np.asarray(g).dtype != np.asarray(x).dtype:
            raise Mismatch(f"gradient {np.shape(g)} {np.asarray(g).dtype} of {x!r}")
    single |= any(np.asarray(x).dtype == np.float32 for x in [*leaves, *expected])
    numeric = False
    for _ in range(2):
        dots = [rng.normal(size=np.shape(x)) for x in leaves]
        ours = along(grads, dots)
        line = Line(fn, make, dots, weights, single)
        try:
            found = check_slope(line, ours)
            if not found:
                check_against_jvp(line, ours, backend)
            numeric |= found
        except Mismatch:
            if is_steady(line, ours, backend):
                raise
    return numeric


def along(grads: list[Any], dots: list[np.ndarray]) -> float:
    """The slope in a direction."""
    return sum(
        float(np.sum(np.float64(g) * d)) for g, d in zip(grads, dots, strict=True)
    )


def is_steady(line: Line, ours: float, backend: str) -> bool:
    """Whether the gradient hardly changes from the point to those right beside it.

    It does at the boundary of a branch, and where rounding is all that there is, which
    also shows where the gradients of the single results sum up to another one. It does
    not from one call to the next.
    """
    for seed in range(6):
        args = line.nudged(1e-12 if seed else 0.0, seed)
        value, pull = vjp(line.fn, *args, backend=backend)
        treedef = flatten(value)[1]
        theirs = along(flatten(pull(unflatten(treedef, line.weights)))[0], line.dots)
        if not abs(theirs - ours) <= line.rtol * max(1.0, abs(ours)):
            return not seed
    parts = 0.0
    for k, weight in enumerate(line.weights):
        weights = [np.zeros_like(w) for w in line.weights]
        weights[k] = weight
        parts += along(flatten(pull(unflatten(treedef, weights)))[0], line.dots)
    return abs(parts - ours) <= line.rtol * max(1.0, abs(ours))


def is_rounding(
    fn: Callable[..., Any], make: Make, got: list[Any], expected: list[np.ndarray]
) -> bool:
    """Whether rounding the arguments to single precision moves NumPy's own results as
    far as ours are off."""
    if [np.shape(x) for x in got] != [y.shape for y in expected]:
        return False
    off = [np.max(np.abs(x - y), initial=0) for x, y in zip(got, expected, strict=True)]
    zeros = [np.zeros(np.shape(x)) for x in flatten(make())[0]]
    line = Line(fn, make, zeros, [], single=True)
    moved = np.zeros(len(expected))
    for seed in range(8):
        beside = flatten(fn(*line.nudged(1e-7, seed, each=False)))[0]
        if [np.shape(x) for x in beside] != [y.shape for y in expected]:
            return False
        for k, (x, y) in enumerate(zip(beside, expected, strict=True)):
            moved[k] = max(moved[k], np.max(np.abs(x - y), initial=0))
    return bool(np.all(moved >= np.multiply(off, 0.5)))


def check_values(
    got: list[Any], expected: list[np.ndarray], single: bool, branches: bool
) -> None:
    """Shape, dtype and numbers as NumPy has them.

    A number that one path makes in single and another in double precision is of one
    dtype in a program: in programs that mix them, which of the two is not compared.
    """
    if len(got) != len(expected):
        raise Mismatch(f"{len(got)} results instead of {len(expected)}")
    for k, (mine, want) in enumerate(zip(got, expected, strict=True)):
        mine = np.asarray(mine)
        floats = single and branches and mine.dtype.kind == want.dtype.kind == "f"
        if mine.shape != want.shape or not (floats or mine.dtype == want.dtype):
            raise Mismatch(
                f"result {k} is {mine.dtype}{mine.shape}, not {want.dtype}{want.shape}"
            )
        size = max(1.0, float(np.max(np.abs(want), initial=0.0)))
        rtol = 1e-3 if single else 1e-9
        if not np.allclose(mine, want, rtol=rtol, atol=rtol * size):
            raise Apart(f"result {k} is {mine!r}, not {want!r}")


class Line:
    """The weighted sum of the results along a line through the arguments."""

    def __init__(
        self,
        fn: Callable[..., Any],
        make: Make,
        dots: list[np.ndarray],
        weights: list[np.ndarray],
        single: bool,
    ):
        self.fn, self.make, self.dots, self.weights = fn, make, dots, weights
        self.single = single
        self.aside = [np.zeros(d.shape) for d in dots]
        self.step = 2e-2 if single else 2e-4
        self.rtol = 2e-2 if single else 1e-5

    def beside(self, offset: float, seed: int) -> Line:
        """A parallel line that far away, in a random direction."""
        line, rng = copy.copy(self), np.random.default_rng(seed)
        line.aside = [offset * rng.normal(size=d.shape) for d in self.dots]
        return line

    def moved(self, steps: list[Any]) -> Any:
        """The arguments, each a step away."""
        leaves, treedef = flatten(self.make())
        moved = []
        for x, step in zip(leaves, steps, strict=True):
            if isinstance(x, np.ndarray):
                x += step  # in place: its strides stay
                moved.append(x)
            else:
                moved.append(type(x)(x + float(step)))
        return unflatten(treedef, moved)

    def nudged(self, size: float, seed: int, each: bool = True) -> Any:
        """The arguments a rounding error away: `each` by that of its own dtype."""
        rng = np.random.default_rng(seed)
        return self.moved(
            [
                rng.normal(size=np.shape(x))
                * (1e6 * size if each and np.asarray(x).dtype == np.float32 else size)
                for x in flatten(self.make())[0]
            ]
        )

    def __call__(self, h: float) -> float:
        steps = [h * d + a for d, a in zip(self.dots, self.aside, strict=True)]
        with np.errstate(all="ignore"):
            out = flatten(self.fn(*self.moved(steps)))[0]
        return sum(
            float(np.sum(np.float64(w) * y))
            for w, y in zip(self.weights, out, strict=True)
            if w.dtype.kind == "f"
        )


def check_slope(line: Line, ours: float) -> bool:
    """Compare with numeric differences; False where they see a kink or only noise."""
    best = slope(line, line.step)
    if best is None:
        return False
    size = max(1.0, abs(best), abs(line(0.0)))
    if abs(ours - best) <= 10 * line.rtol * size:
        return True
    # Looked at more closely, a kink nearby or a steep bend is another one; and where
    # ties make a kink of every direction, the slopes on either side differ from it.
    close = line.step / 16
    for seed in range(6):
        sides = [slope(line.beside(e, seed), close) for e in (line.step, -line.step)]
        mean = None if None in sides else sum(sides) / 2  # type: ignore[arg-type]
        if mean is None or abs(mean - best) > 5 * line.rtol * size:
            return False
    closer = slope(line, close)
    if closer is None or abs(closer - best) > 5 * line.rtol * size:
        return False
    raise Mismatch(f"slope {ours!r} instead of {best!r}")


def slope(line: Line, h: float) -> float | None:
    """The slope by numeric differences; None where they see a kink or only noise."""
    try:
        middle, steps = line(0.0), (h, -h, h / 2, -h / 2)
        up, down, near_up, near_down = (line(s) for s in steps)
    except Exception:
        return None
    coarse, fine = (up - down) / (2 * h), (near_up - near_down) / h
    best = (4 * fine - coarse) / 3
    size = max(1.0, abs(best), abs(middle))
    bent = abs(near_up + near_down - 2 * middle) / h
    bent_more = abs(up + down - 2 * middle) / h
    smooth = abs(coarse - fine) < 0.1 * line.rtol**0.5 * size
    # Half the step halves the second difference at a kink, and quarters it elsewhere.
    if not np.isfinite(best) or not smooth or bent > 0.37 * bent_more + line.rtol:
        return None
    return best if abs(coarse - fine) / 3 <= line.rtol * size else None


def check_against_jvp(line: Line, ours: float, backend: str) -> None:
    """Where numbers cannot judge: forward mode must agree with reverse mode.

    Unless it has rounding only: it is another one right beside the point, or is not
    the sum of its parts.
    """
    rtol = 1e-2 if line.single else 1e-6
    theirs = forward(line, line.make(), line.dots, backend)
    if not np.isfinite(theirs) or abs(theirs) > LARGEST:
        return
    limit = rtol * max(1.0, abs(theirs))
    if abs(ours - theirs) <= limit:
        return
    rng = np.random.default_rng(0)
    for seed in range(6):
        args = line.nudged(1e-12, seed)
        some = [d * rng.integers(2, size=d.shape) for d in line.dots]
        rest = [d - one for d, one in zip(line.dots, some, strict=True)]
        parts = [forward(line, line.make(), part, backend) for part in (some, rest)]
        for other in (forward(line, args, line.dots, backend), sum(parts)):
            if not abs(other - theirs) <= limit:
                return
    raise Mismatch(f"reverse mode says {ours!r}, forward mode {theirs!r}")


def forward(line: Line, primals: Any, dots: list[np.ndarray], backend: str) -> float:
    """The slope in a direction by forward mode."""
    leaves, treedef = flatten(primals)
    tangents = [
        d.astype(x.dtype) if isinstance(x, np.ndarray) else type(x)(d)
        for d, x in zip(dots, leaves, strict=True)
    ]
    _, slopes = jvp(line.fn, primals, unflatten(treedef, tangents), backend=backend)
    return sum(
        float(np.sum(np.float64(w) * s))
        for w, s in zip(line.weights, flatten(slopes)[0], strict=True)
        if w.dtype.kind == "f"
    )
