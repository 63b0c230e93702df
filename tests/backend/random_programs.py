"""Programs put together at random, and kernels run as plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.transform.programs import F8, I8
from tracejit.backend.numba_build import python_function
from tracejit.backend.numba_source import write
from tracejit.ir.aval import Aval
from tracejit.ir.builder import as_atom, building, current
from tracejit.ir.program import Literal, Program, Region, Var
from tracejit.ops import elementwise as ew
from tracejit.ops import index, linalg, reduce, shape
from tracejit.ops.control import cond, emit_for, while_
from tracejit.optimize.lower import lower
from tracejit.optimize.nest import Buffer, Size

SHAPES = [(), (4,), (9,), (4, 9), (9, 4), (3, 3)]


class Maker:
    """Emits random equations on a pool of values that grows by their outputs."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.pool: list[Any] = []

    def program(self, length: int) -> Program:
        params = [Var(Aval(F8, s), "x") for s in SHAPES]
        self.pool = list(params)
        with building() as builder, builder.open() as eqns:
            for _ in range(length):
                self.step(2)
            picks = self.rng.choice(len(self.pool), size=4)
            results = [self.pool[k] for k in picks]
            results.append(self.pool[-1])
        return Program("program", Region(params, eqns, results))

    def some(self, shape: Any = None) -> Any:
        """A value of the pool, rather a late one."""
        found = [v for v in self.pool if shape is None or v.aval.shape == shape]
        k = len(found) - 1 - int(self.rng.integers(0, len(found)) ** 1.0)
        if self.rng.random() < 0.5:
            k = max(k, len(found) - 1 - int(self.rng.integers(0, 3)))
        return found[k]

    def array(self) -> Any:
        return self.some(SHAPES[self.rng.integers(1, len(SHAPES))])

    def step(self, depth: int) -> None:
        kinds = ["unary", "binary", "binary", "slice", "point", "update", "update"]
        kinds += ["arrange", "reduce", "dot", "gather", "scatter", "join"]
        kinds += ["loop", "loop", "branch", "until"] if depth else []
        kind = kinds[self.rng.integers(len(kinds))]
        out = getattr(self, kind)(depth) if kind in CONTROL else getattr(self, kind)()
        self.pool += [v for v in out if isinstance(v, Var) and v.aval.shape in SHAPES]

    # Equations ----------------------------------------------------------------------

    def unary(self) -> list[Any]:
        f = [ew.sin, ew.tanh, ew.neg, lambda x: 0.5 * x][self.rng.integers(4)]
        return [f(self.some())]

    def binary(self) -> list[Any]:
        x = self.some()
        y = self.some(x.aval.shape)
        f = [ew.add, ew.sub, ew.mul, ew.maximum][self.rng.integers(4)]
        out = f(x, y)
        return [ew.tanh(out) if f is ew.mul else out]

    def part(self, x: Any, points: bool) -> tuple[list[Any], dict[str, Any]]:
        starts: list[Any] = []
        sizes: list[Any] = []
        steps = []
        for n in x.aval.shape:
            if points or self.rng.random() < 0.2:
                starts.append(int(self.rng.integers(n)))
                sizes.append(None)
                steps.append(1)
                continue
            size = n if self.rng.random() < 0.4 else int(self.rng.integers(1, n + 1))
            start = int(self.rng.integers(0, n - size + 1))
            if self.rng.random() < 0.2:
                starts.append(start + size - 1)
                steps.append(-1)
            else:
                starts.append(start)
                steps.append(1)
            sizes.append(size)
        return starts, {"sizes": tuple(sizes), "steps": tuple(steps)}

    def slice(self) -> list[Any]:
        x = self.array()
        starts, params = self.part(x, False)
        y = index.getitem(x, *starts, **params)
        return [y, *self.spread(y)]

    def spread(self, y: Any) -> list[Any]:
        """A value of any shape made one of the pool's, by summing and broadcasting."""
        s = reduce.sum_(y, axes=tuple(range(y.aval.ndim))) if y.aval.shape else y
        target = SHAPES[self.rng.integers(len(SHAPES))]
        s = ew.tanh(s)
        return [shape.broadcast(s, shape=target, axes=()) if target else s]

    def point(self) -> list[Any]:
        x = self.array()
        starts, params = self.part(x, True)
        return [index.getitem(x, *starts, **params)]

    def update(self) -> list[Any]:
        x = self.array()
        starts, params = self.part(x, self.rng.random() < 0.3)
        sizes = tuple(n for n in params["sizes"] if n is not None)
        if self.rng.random() < 0.6:
            other, _ = self.part(x, False)
            same = self.some(x.aval.shape)
            # The value comes from the same part, or from a shifted one.
            moved = [
                s if n is None or k < 0 or self.rng.random() < 0.5 else m
                for s, n, k, m in zip(
                    starts,
                    params["sizes"],
                    params["steps"],
                    [
                        self.start(n, m)
                        for n, m in zip(x.aval.shape, params["sizes"], strict=True)
                    ],
                    strict=True,
                )
            ]
            del other
            v = index.getitem(same, *moved, **params)
        else:
            s = self.some(())
            v = shape.broadcast(s, shape=sizes, axes=()) if sizes else s
        if self.rng.random() < 0.5:
            v = 0.5 * v
        f = index.setitem if self.rng.random() < 0.5 else index.acc_slice
        return [f(x, v, *starts, **params)]

    def start(self, extent: int, size: int | None) -> int:
        return int(self.rng.integers(0, extent - (size or 1) + 1))

    def arrange(self) -> list[Any]:
        x = self.array()
        pick = self.rng.integers(4)
        if pick == 0 and x.aval.ndim == 2:
            return [shape.transpose(x, perm=(1, 0))]
        if pick == 1:
            return [shape.flip(x, axes=(int(self.rng.integers(x.aval.ndim)),))]
        if pick == 2 and x.aval.shape == (9,):
            return [shape.reshape(x, shape=(3, 3))]
        if x.aval.shape == (3, 3):
            return [shape.reshape(x, shape=(9,))]
        if x.aval.ndim == 1:
            n = x.aval.shape[0]
            m = 13 - n
            return [shape.broadcast(x, shape=(m, n), axes=(1,))]
        return [x]

    def reduce(self) -> list[Any]:
        x = self.array()
        axes = tuple(k for k in range(x.aval.ndim) if self.rng.random() < 0.6)
        f = [reduce.sum_, reduce.max_, reduce.cumsum][self.rng.integers(3)]
        if f is reduce.cumsum:
            axis = int(self.rng.integers(x.aval.ndim))
            return [ew.tanh(f(x, axis=axis, reverse=bool(self.rng.integers(2))))]
        return [ew.tanh(f(x, axes=axes))]

    def dot(self) -> list[Any]:
        x = self.some((4, 9))
        pick = self.rng.integers(4)
        if pick == 0:
            return [
                ew.tanh(linalg.dot(x, self.some((9,)), contract=((1,), (0,)), batch=0))
            ]
        if pick == 1:
            return [
                ew.tanh(linalg.dot(x, self.some((4,)), contract=((0,), (0,)), batch=0))
            ]
        if pick == 2:
            a, b = self.some((4,)), self.some((9,))
            return [linalg.dot(a, b, contract=((), ()), batch=0)]
        y = linalg.dot(
            self.some((3, 3)), self.some((3, 3)), contract=((1,), (0,)), batch=0
        )
        return [ew.tanh(y)]

    def indices(self, n: int) -> Any:
        table = self.rng.integers(0, n, size=4)
        out = shape.broadcast(Literal(0, I8), shape=(4,), axes=())
        for k, i in enumerate(table):
            out = index.setitem(out, Literal(int(i), I8), k, sizes=(None,), steps=(1,))
        return out

    def gather(self) -> list[Any]:
        x = self.some((9,))
        return [index.gather(x, self.indices(9), axes=(0,))]

    def scatter(self) -> list[Any]:
        x, v = self.some((9,)), self.some((4,))
        return [index.scatter_add(x, v, self.indices(9), axes=(0,))]

    def join(self) -> list[Any]:
        x = self.some((9,))
        a = index.getitem(x, 5, sizes=(4,), steps=(1,))
        b = index.getitem(x, 0, sizes=(5,), steps=(1,))
        return [shape.concatenate(a, b, axis=0)]

    # Control ------------------------------------------------------------------------

    def carried(self) -> list[Any]:
        return [self.some() for _ in range(self.rng.integers(1, 4))]

    def body(self, params: list[Any], wanted: list[Any], depth: int) -> Any:
        """Equations of a region, and results of the wanted types."""
        saved = list(self.pool)
        self.pool += params * 2
        with current().open() as eqns:
            for _ in range(self.rng.integers(1, 5)):
                self.step(depth - 1)
            results = [as_atom(self.some(w.aval.shape)) for w in wanted]
        self.pool = saved
        return eqns, results

    def loop(self, depth: int) -> list[Any]:
        inits = self.carried()
        i = Var(Aval(I8), "i")
        params = [Var(x.aval, "c") for x in inits]
        eqns, results = self.body(params, inits, depth)
        region = Region([i, *params], eqns, results)
        trips = int(self.rng.integers(0, 4))
        return emit_for(0, trips, 1, inits, region, bool(self.rng.integers(2)))

    def until(self, depth: int) -> list[Any]:
        inits = [Literal(0, I8), *self.carried()]
        params = [Var(x.aval, "c") for x in inits]
        with current().open() as eqns:
            more = params[0] + Literal(1, I8)
        inner, results = self.body(params[1:], inits[1:], depth)
        body = Region(params, [*eqns, *inner], [more, *results])
        test_params = [Var(x.aval, "c") for x in inits]
        with current().open() as eqns:
            ok = ew.lt(test_params[0], Literal(3, I8))
        test = Region(test_params, eqns, [ok])
        return while_(*inits, regions=[test, body])[1:]

    def branch(self, depth: int) -> list[Any]:
        wanted = self.carried()
        pred = ew.gt(self.some(()), Literal(0.1, F8))
        regions = []
        for _ in range(2):
            eqns, results = self.body([], wanted, depth)
            regions.append(Region([], eqns, results))
        return cond(pred, regions=regions)


CONTROL = ("loop", "branch", "until")


def arguments(program: Program) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=v.aval.shape) for v in program.inputs]


def backwards(part: Any, parts: int, threads: int, *args: Any) -> int:
    """The parts of a loop, the last one first: they must not depend on each other."""
    statuses = [part(k, *args) for k in reversed(range(parts))]
    return next((status for status in reversed(statuses) if status), 0)


def run_as_python(program: Program, args: list[Any], threads: int = 1) -> list[Any]:
    """The kernel's text run without Numba, on flat arrays; threads: parts backwards."""
    source = write(lower(program, threads=threads))
    inputs = dict(zip(source.kernel.params, args, strict=True))
    memory: dict[Any, np.ndarray] = {}
    values: list[Any] = []
    for argument in source.arguments:
        if isinstance(argument, Buffer):
            if argument.role == "input":
                given = np.array(inputs[argument], argument.aval.dtype).ravel()
            else:
                given = np.full(max(argument.aval.size, 1), 77, argument.aval.dtype)
            memory[argument] = given
            values.append(given)
        elif isinstance(argument, Size):
            values.append(argument.value)
        elif isinstance(argument, Literal):
            values.append(argument.scalar)
        else:
            values.append(inputs[argument])
    with np.errstate(all="ignore"):
        function = python_function(source)
        function.__globals__["_tj_threads"] = backwards
        status = function(*values)
    assert status == 0
    return [memory[b].reshape(b.aval.shape) for b in source.kernel.results]
