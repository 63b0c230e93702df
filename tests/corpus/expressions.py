"""Random NumPy expressions as text, of a shape that is asked for."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

Shape = tuple[int, ...]

UNARY = (
    "np.tanh({})",
    "np.sin({})",
    "np.cos({})",
    "np.exp(-np.abs({}))",
    "np.sqrt(1.0 + {} ** 2)",
    "np.log1p(np.abs({}))",
    "np.arctan({})",
    "abs({})",
    "(-{})",
    "np.square({})",
    "np.clip({}, -0.6, 0.7)",
    "(1.0 / (1.0 + np.exp(-{})))",
    "np.multiply({}, 0.5)",
)
BINARY = (
    "({} + {})",
    "({} - {})",
    "({} * {})",
    "({} / (1.5 + np.abs({})))",
    "np.maximum({}, {})",
    "np.minimum({}, {})",
    "np.hypot(1.0 + {}, {})",
    "np.add({}, {})",
)
#: Of a whole array, where the side not taken may be infinite or NaN.
GUARDED = (
    "np.where({0} > 0.1, np.log({0}), {1})",
    "np.where({0} > 0, np.sqrt({0}), {1})",
    "np.where(np.abs({0}) > 0.1, 1.0 / {0}, {1})",
)
REDUCE = ("sum", "mean", "max", "min", "std", "var")


class Expressions:
    """Draws expressions over the names in scope, whose shapes it knows.

    `arrays`: names of float arrays with a stand-in of the same shape and dtype;
    `numbers`: names of float scalars; `counters`: names of ints, all below a bound.
    """

    def __init__(self, rng: random.Random):
        self.random = rng
        self.arrays: dict[str, np.ndarray] = {}
        self.numbers: list[str] = []
        self.counters: dict[str, int] = {}
        self.helpers: list[str] = []
        #: Names of arrays of bools, and of integers that are below a bound.
        self.masks: dict[str, Shape] = {}
        self.places: dict[str, tuple[int, int]] = {}

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    # Numbers --------------------------------------------------------------------------

    def constant(self) -> str:
        return self.pick("0.53", "1.47", "-0.71", "0.29", "2.0", "1", "-1")

    def index(self, extent: int) -> str:
        """An index within `extent`, which is not 0."""
        fixed = [str(self.random.randrange(extent)), "-1", "0"]
        moving = []
        for name, bound in self.counters.items():
            moving += [name] * 3 if bound <= extent else [f"{name} % {extent}"]
            moving.append(f"({name} + 1) % {extent}")
            if bound <= extent:
                moving += [f"{name} - 1", f"-{name}", f"{extent - 1} - {name}"]
        return self.pick(*fixed, *moving, *moving)

    def element(self) -> str | None:
        found = self.with_extent()
        if found is None:
            return None
        name, array = found
        return f"{name}[{', '.join(self.index(n) for n in array.shape)}]"

    def with_extent(self, ndim: int | None = None) -> tuple[str, np.ndarray] | None:
        """An array that is not empty and has axes."""
        fits = [
            (k, a)
            for k, a in self.arrays.items()
            if a.ndim and a.size and ndim in (None, a.ndim)
        ]
        return self.random.choice(fits) if fits else None

    def number(self, depth: int) -> str:
        r = self.random.random()
        if depth <= 0 or r < 0.3:
            options = [self.constant(), *self.numbers, *self.numbers]
            options += [x for x in (self.element(), self.element()) if x]
            options += [n for n in self.counters if self.chance(0.3)]
            return self.pick(*options)
        if r < 0.55:
            return self.reduction(depth)
        if r < 0.65:
            other = self.number(depth - 1)
            return f"({self.number(depth - 1)} if {self.condition(depth)} else {other})"
        if r < 0.72:
            fn = self.pick("max", "min")
            return f"{fn}({self.number(depth - 1)}, {self.number(depth - 1)})"
        if r < 0.8 and self.helpers:
            found = self.with_extent(1)
            if found:
                return f"{self.pick(*self.helpers)}({found[0]}, {self.number(0)})"
        return self.elementwise((), depth)

    def reduction(self, depth: int) -> str:
        found = self.with_extent()
        if found is None:
            return self.constant()
        name, a = found
        source = name if self.chance(0.5) else self.array(a.shape, depth - 1)
        ways = [
            f"np.{self.pick(*REDUCE)}({source})",
            f"{name}.{self.pick(*REDUCE)}()",
            f"np.sum({source}, where={self.mask(a.shape, depth - 1)})",
            f"np.prod(np.tanh({source}))",
            f"np.linalg.norm({source})",
            f"np.dot({name}.ravel(), {name}.ravel())",
        ]
        if a.ndim == 1:
            ways += [
                f"sum([u * 0.5 for u in {name}])",
                f"sum(u * {self.constant()} for u in {name})",
                f"np.dot({source}, {self.array(a.shape, depth - 1)})",
                f"({name} @ {self.array(a.shape, 0)})",
                f"max({name})",
                f"{name}[np.argmax({name})]",
                f"np.median({name})",
                f"np.trapezoid({source})",
                f"sum(sorted({name})[1:])",
                f"sum(u for u in {name} if u > {self.constant()})",
                f"np.linalg.norm({source}, {self.pick('1', 'np.inf', '2')})",
                f"np.exp(1j * {source}).sum().{self.pick('real', 'imag')}",
            ]
            n = a.shape[0]
            ways += [f"np.linalg.det({self.regular(n)})"] * (n < 5)
            ways += [f"{name}[{k}].sum()" for k in self.fitting_places(n)]
        mask = self.mask(a.shape, 0)
        ways += [
            f"{name}[{mask}].sum()",
            f"np.count_nonzero({mask})",
            f"np.linalg.norm({name})",
            f"abs({name}.ravel()[-1] + 1j * {self.number(0)})",
        ]
        return self.pick(*ways)

    def condition(self, depth: int) -> str:
        a, b = self.number(depth - 1), self.number(depth - 1)
        simple = f"{a} {self.pick('<', '>', '<=', '>=')} {b}"
        found = self.with_extent()
        ways = [simple] * 4 + [
            f"{a} > 0 and {b} < 0.5",
            f"not ({a} > 0.1)",
            f"{a} < 0 or {b} > 0.2",
            f"0.0 < {a} < 1.0",
        ]
        if found:
            mask = self.mask(found[1].shape, 0)
            ways += [f"np.{self.pick('any', 'all')}({mask})"]
        for name in self.counters:
            ways += [f"{name} % 2 == 0", f"{name} > 0"]
        return self.pick(*ways)

    # Arrays ---------------------------------------------------------------------------

    def regular(self, n: int) -> str:
        """A square matrix that has an inverse."""
        return f"(3.0 * np.eye({n}) + np.tanh({self.array((n, n), 0)}))"

    def fitting_places(self, n: int) -> list[str]:
        """Names of arrays of integers that index an axis of n elements."""
        return [k for k, (_, bound) in self.places.items() if bound <= n]

    def mask(self, shape: Shape, depth: int) -> str:
        known = [k for k, own in self.masks.items() if own == shape]
        if known and self.chance(0.4):
            return self.pick(*known)
        a = self.array(shape, depth - 1)
        simple = f"({a} {self.pick('>', '<')} {self.number(0)})"
        other = f"({self.array(shape, 0)} < 0.4)"
        return self.pick(simple, simple, f"({simple} & {other})", f"~{simple}")

    def leaf(self, shape: Shape) -> str:
        if not shape:
            return self.number(0)
        fits = [k for k, a in self.arrays.items() if a.shape == shape]
        if fits and self.chance(0.85):
            return self.pick(*fits)
        if len(shape) == 1:
            longer = self.cut(shape[0])
            if longer and self.chance(0.8):
                return longer
        size = int(np.prod(shape))
        dims = str(shape) if len(shape) != 1 else str(shape[0])
        return self.pick(
            f"np.full({dims}, {self.number(0)})",
            f"np.linspace(-1.0, 1.0, {size}).reshape({dims})",
            f"(np.arange({size}).reshape({dims}) * 0.1)",
            f"np.ones({dims})",
        )

    def cut(self, n: int) -> str | None:
        """Part of an array as a vector of n elements."""
        ways = []
        for k, a in self.arrays.items():
            if a.ndim == 1 and a.shape[0] > n:
                start = self.random.randint(0, a.shape[0] - n)
                stop = start + n
                ways.append(f"{k}[{start}:{stop}]")
                if start:
                    ways.append(f"{k}[{stop - 1}:{start - 1}:-1]")
                if 2 * n <= a.shape[0]:
                    ways.append(f"{k}[:{2 * n}:2]")
            if a.ndim == 2 and a.size:
                if a.shape[0] == n:
                    ways.append(f"{k}[:, {self.index(a.shape[1])}]")
                if a.shape[1] == n:
                    ways.append(f"{k}[{self.index(a.shape[0])}]")
                if min(a.shape) == n:
                    ways.append(f"np.diag({k})")
        return self.pick(*ways) if ways else None

    def array(self, shape: Shape, depth: int) -> str:
        """An expression of this shape."""
        r = self.random.random()
        if depth <= 0 or r < 0.2:
            return self.leaf(shape)
        if r < 0.6 or not shape:
            return self.elementwise(shape, depth)
        return (
            self.vector(shape[0], depth)
            if len(shape) == 1
            else self.matrix(shape, depth)
        )

    def smaller(self, shape: Shape) -> Shape:
        """A shape that broadcasts to this one."""
        cut = shape[self.random.randint(0, len(shape)) :]
        return tuple(1 if self.chance(0.1) else n for n in cut)

    def elementwise(self, shape: Shape, depth: int) -> str:
        a = self.number if not shape else lambda d: self.array(shape, d)
        r = self.random.random()
        if r < 0.35:
            return self.pick(*UNARY).format(a(depth - 1))
        if r < 0.85 or not shape:
            other = self.array(self.smaller(shape), depth - 1)
            pair = [a(depth - 1), other]
            self.random.shuffle(pair)
            return self.pick(*BINARY).format(*pair)
        if self.chance(0.25):
            return self.pick(*GUARDED).format(self.leaf(shape), a(0))
        mask = self.mask(shape, depth)
        x, y = a(depth - 1), self.array(self.smaller(shape), depth - 1)
        return self.pick(
            f"np.where({mask}, {x}, {y})",
            f"np.where({mask}, {y}, {x})",
            f"np.select([{mask}, {self.mask(shape, 0)}], [{x}, {a(0)}], 0.25)",
        )

    def vector(self, n: int, depth: int) -> str:
        v = self.array((n,), depth - 1)
        ways = [
            f"{v}[::-1]",
            f"np.roll({v}, {self.pick(1, -1, 2)})",
            f"np.cumsum({v})",
            f"np.flip({v})",
            f"np.sort({v})",
            f"{v}.copy()",
            f"np.array({v})",
            f"np.stack([{v}, {self.array((n,), 0)}]).sum(axis=0)",
            f"np.array([{v}, {self.array((n,), 0)}])[{self.pick(0, 1, -1)}]",
            f"np.pad({v}, 1)[{self.pick('1:-1', '2:', ':-2')}]",
            f"({v} * {self.array((3, n), depth - 1)})"
            f".{self.pick('sum', 'max')}(axis=0)",
        ]
        if n:
            order = [self.random.randrange(n) for _ in range(n)]
            numbers = ", ".join(self.number(0) for _ in range(n))
            k = self.random.randint(0, n)
            parts = f"{self.array((k,), 0)}, {self.array((n - k,), depth - 1)}"
            axis = f"{self.pick('sum', 'mean', 'max')}(axis=1)"
            if n < 5:
                M = self.regular(n)
                ways += [f"np.linalg.solve({M}, {v})", f"(np.linalg.inv({M}) @ {v})"]
            half = self.array((n // 2,), 0)
            ways += [f"np.kron({half}, {self.array((2,), 0)})"] * (n % 2 == 0)
            ways += [
                f"{name}[{k}]"
                for name, a in self.arrays.items()
                for k, (count, bound) in self.places.items()
                if a.ndim == 1 and count == n and bound <= a.shape[0]
            ]
            ways += [
                f"{v}[np.argsort({self.array((n,), 0)}, kind='stable')]",
                f"np.repeat({self.array((1,), 0)}, {n})",
                f"np.abs({v} + 1j * {self.array((n,), 0)})",
                f"({v} * np.exp(0.5j)).{self.pick('real', 'imag')}",
                f"np.array(sorted({v}))",
                f"np.tile({self.array((1,), 0)}, {n})",
                f"np.cumprod(np.tanh({v}))",
                f"np.convolve({v}, {self.array((3,), 0)}, mode='same')[:{n}]"
                if n >= 3
                else v,
                f"np.fft.irfft(np.fft.rfft({v}), {n})",
                f"{v}.astype(np.float32).astype(float)"
                if self.chance(0.1)
                else f"{v}.astype(float)",
                f"{v}[{order}]",
                f"np.take({v}, {order})",
                f"np.array([{numbers}])",
                f"np.array([u * {self.constant()} + 0.1 for u in {v}])",
                f"np.concatenate([{parts}])",
                f"np.concatenate(({parts}))",
                f"{self.array((n, 3), depth - 1)}.{axis}",
                f"np.diff({v}, prepend={self.number(0)})",
                f"({self.array((n, 2), depth - 1)} @ {self.array((2,), 0)})",
                f"np.diagonal({self.array((n, n), depth - 1)})",
                f"({v} - {v}.mean(keepdims=True))",
                f"np.append({self.array((n - 1,), 0)}, {self.number(0)})",
                f"np.interp({v}, np.linspace(-1, 1, {n}), {self.array((n,), 0)})"
                if n > 1
                else v,
            ]
        return self.pick(*ways)

    def matrix(self, shape: Shape, depth: int) -> str:
        n, m = shape
        A = self.array(shape, depth - 1)
        u, v = self.array((n,), depth - 1), self.array((m,), depth - 1)
        rows = ", ".join(self.array((m,), 0) for _ in range(n))
        ways = [
            f"{self.array((m, n), depth - 1)}.T",
            f"np.outer({u}, {v})",
            f"({u}[:, None] * {v})",
            f"np.{self.pick('tril', 'triu')}({A})",
            f"({self.array((n, 2), 0)} @ {self.array((2, m), depth - 1)})",
            f"{self.array((n * m,), depth - 1)}.reshape({n}, {m})",
            f"np.cumsum({A}, axis={self.pick(0, 1)})",
            f"{A}[::-1, {self.pick('::-1', ':')}]",
            f"np.tile({v}, ({n}, 1))",
            f"np.repeat({u}[:, None], {m}, axis=1)",
            f"np.broadcast_to({v}, ({n}, {m}))",
            f"np.add.outer({u}, {v})",
            f"np.transpose({self.array((m, n), depth - 1)})",
            f"np.einsum('i,j->ij', {u}, {v})",
        ]
        if n == m and n:
            v = self.array((n,), depth - 1)
            ways += [f"np.diag({v})", f"(np.diag({v}) + {A})", f"({A} @ {A})"]
        if n and m:
            ways += [f"np.roll({A}, 1, axis={self.pick(0, 1)})"]
            ways += [f"np.kron({self.array((n, 1), 0)}, {self.array((1, m), 0)})"]
            ways += [f"np.sort({A}, axis={self.pick(0, 1)})"]
            keep = f"axis={self.pick(0, 1)}, keepdims=True"
            ways += [
                f"np.stack([{rows}])",
                f"np.array([{rows}])",
                f"np.vstack([{rows}])",
                f"({A} - {A}.{self.pick('mean', 'max', 'sum')}({keep}))",
                f"{A}[{[self.random.randrange(n) for _ in range(n)]}]",
                f"{A}[:, {[self.random.randrange(m) for _ in range(m)]}]",
            ]
        return self.pick(*ways)
