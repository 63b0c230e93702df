"""Random NumPy programs, written as Python source."""

from __future__ import annotations

import random

import numpy as np

from tests.corpus.expressions import Expressions

HEADER = "import numpy as np\n\n"
HELPERS = {
    "mutating": """
def mutating(A, z):
    A[0] = A[0] * 0.5 + z * 0.1
    return A[0] + 1
""",
    "pure": """
def pure(A, z):
    total = 0.0
    for k in range(len(A)):
        if A[k] > z:
            return total * 0.5 + A[k]
        total = total + np.sin(A[k]) * z
    return total
""",
    "recursive": """
def recursive(A, z):
    if len(A) <= 1:
        return A[0] * z
    half = len(A) // 2
    return np.tanh(recursive(A[:half], z) - recursive(A[half:], z))
""",
    "generated": """
def smoothed(A, z):
    last = z
    for k in range(len(A)):
        last = last * 0.5 + A[k]
        if last > 0.3:
            yield last


def generated(A, z):
    total = z
    for v in smoothed(A, z):
        total = total + v * 0.5
        if total > 2.0:
            break
    return total
""",
    "searched": """
def searched(A, z):
    k = 0
    while k < len(A) and A[k] < z:
        k += 1
    if k == len(A):
        return z
    return A[k] * z
""",
    "remembered": """
class Memory:
    def __init__(self, z):
        self.total, self.worst = z, None

    def see(self, v):
        self.total += v
        if self.worst is None or v < self.worst:
            self.worst = v


def remembered(A, z):
    memory = Memory(z)
    for k in range(len(A)):
        memory.see(A[k])
    return memory.total * 0.1 + memory.worst
""",
}
INPUTS = (
    "rng.normal(size={0})",
    "rng.normal(size={0})",
    "rng.normal(size={0})",
    "np.asfortranarray(rng.normal(size={0}))",
    "rng.normal(size={0})[::-1]",
    "rng.normal(size={1})[..., ::2]",
    "rng.normal(size={0}).astype(np.float32)",
    "rng.normal(size={2}).T",
    "np.round(rng.normal(size={0}))",
)


class Writer(Expressions):
    """Writes one program: `make()` returns the arguments of `f`."""

    def __init__(self, seed: int, single: float = 0.05):
        super().__init__(random.Random(seed))
        self.lines: list[str] = []
        self.names = 0
        self.loops = 0
        self.n = self.pick(1, 2, 3, 4, 4, 5, 9)
        self.m = self.pick(1, 2, 3, 3, 4)
        if self.chance(0.04):
            self.n = 0
        self.helpers = [h for h in HELPERS if self.chance(0.4)] if self.n else []
        #: One path, all in single precision: there, dtypes can be told for certain.
        self.straight = self.chance(0.05)
        makers = self.inputs(single)
        self.header = HEADER + "".join(
            HELPERS[h].lstrip() + "\n\n" for h in self.helpers
        )
        self.header += f"def make():\n    rng = np.random.default_rng({seed})\n"
        self.header += f"    return {', '.join(makers)}\n\n\n"
        self.early = self.chance(0.15)
        given = [*self.arrays, *self.numbers]
        for _ in range(self.random.randint(3, 8)):
            self.statement(1, 3)
        names = given if self.early else [*self.arrays, *self.numbers]
        body = "\n".join(self.lines)
        result = ", ".join(names)
        self.text = f"{self.header}def f(x, y, A, s):\n{body}\n    return {result}\n"

    def inputs(self, single: float) -> list[str]:
        makers = []
        n, m = self.n, self.m
        for name, shape in (("x", (n,)), ("y", (n,)), ("A", (n, m))):
            maker = self.pick(*INPUTS)
            if self.straight:
                maker = "rng.normal(size={0}).astype(np.float32)"
            elif "float32" in maker and not self.chance(10 * single):
                maker = INPUTS[0]
            wide = (*shape[:-1], 2 * shape[-1])
            makers.append(maker.format(shape, wide, shape[::-1]))
            dtype = np.float32 if "float32" in maker else np.float64
            self.arrays[name] = np.zeros(shape, dtype)
        self.numbers.append("s")
        makers.append(self.pick("0.4137", "-0.8291", "np.float64(0.6173)", "1.2391"))
        return makers

    # Statements -----------------------------------------------------------------------

    def name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def emit(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def statement(self, indent: int, depth: int) -> None:
        if self.early and self.chance(0.06):
            self.emit(indent, f"if {self.condition(1)}:")
            return self.emit(indent + 1, "return x, y, A, s")
        r = self.random.random()
        if depth <= 0 or self.straight or r < 0.62:
            self.simple(indent)
        elif r < 0.75:
            self.branch(indent, depth)
        elif r < 0.95:
            self.loop(indent, depth)
        else:
            self.bounded_while(indent, depth)

    def block(self, indent: int, depth: int) -> None:
        """Statements in a block of their own; what they name first ends with it."""
        saved = self.scope()
        for _ in range(self.random.randint(1, 3)):
            self.statement(indent, depth)
        self.leave(saved)

    def scope(self) -> tuple[object, ...]:
        """What is in scope; from here on `leave` may put it back."""
        fields = (self.arrays, self.numbers, self.counters, self.masks, self.places)
        self.arrays, self.counters = dict(self.arrays), dict(self.counters)
        self.numbers = list(self.numbers)
        self.masks, self.places = dict(self.masks), dict(self.places)
        return fields

    def leave(self, saved: tuple[object, ...]) -> None:
        """End a scope."""
        arrays, numbers, counters, masks, places = saved
        self.arrays, self.numbers = arrays, numbers  # type: ignore[assignment]
        self.counters = counters  # type: ignore[assignment]
        self.masks, self.places = masks, places  # type: ignore[assignment]

    def branch(self, indent: int, depth: int) -> None:
        self.emit(indent, f"if {self.condition(1)}:")
        self.block(indent + 1, depth - 1)
        if self.chance(0.25):
            self.emit(indent, f"elif {self.condition(1)}:")
            self.block(indent + 1, depth - 1)
        if self.chance(0.5):
            self.emit(indent, "else:")
            self.block(indent + 1, depth - 1)

    def jump(self, indent: int, looping: bool = True) -> None:
        self.emit(indent, f"if {self.condition(1)}:")
        jumps = ["break", "break", "continue"]
        self.emit(indent + 1, self.pick(*jumps))

    def loop(self, indent: int, depth: int) -> None:
        kind = self.random.random()
        saved = self.scope()
        i = self.name("i")
        extent = max(1, self.pick(self.n, self.n, self.m, 3, 2))
        if kind < 0.55:
            self.emit(indent, f"for {i} in range({self.bounds(extent)}):")
            self.counters[i] = extent
        else:
            self.over_arrays(indent, i)
        start = len(self.lines)
        for _ in range(self.random.randint(1, 3)):
            self.statement(indent + 1, depth - 1)
        if self.chance(0.3):
            self.jump(indent + 1)
            self.statement(indent + 1, 0)
        assert len(self.lines) > start
        self.leave(saved)

    def bounds(self, extent: int) -> str:
        ways = [f"{extent}", f"0, {extent}, 2", f"{extent - 1}, -1, -1", f"1, {extent}"]
        for outer, bound in self.counters.items():
            if bound <= extent:
                ways += [f"{outer}", f"{outer} + 1", f"{outer}, {extent}"]
                ways += [f"{outer}, -1, -1"]
        if extent == self.n:
            ways += ["len(x)", "x.shape[0]", "A.shape[0]"]
        return self.pick(*ways)

    def over_arrays(self, indent: int, i: str) -> None:
        """A loop over the rows, elements or lists of arrays."""
        vector, matrix = self.with_extent(1), self.with_extent(2)
        row = self.name("r")
        if matrix and self.chance(0.4):
            name, a = matrix
            if self.chance(0.5):
                self.emit(indent, f"for {row} in {name}:")
            else:
                self.emit(indent, f"for {i}, {row} in enumerate({name}):")
                self.counters[i] = a.shape[0]
            self.arrays[row] = a[0]
        elif vector and self.chance(0.75):
            name, a = vector
            way = self.random.random()
            if way < 0.3:
                self.emit(indent, f"for {row} in {name}:")
                self.numbers.append(row)
            elif way < 0.6:
                self.emit(indent, f"for {row} in {name}[:, None]:")
                self.arrays[row] = a[:1]
            elif way < 0.8:
                other = self.array(a.shape, 0)
                self.emit(indent, f"for {i}, {row} in zip({name}, {other}):")
                self.numbers += [i, row]
            else:
                self.emit(indent, f"for {i}, {row} in enumerate({name}):")
                self.counters[i] = a.shape[0]
                self.numbers.append(row)
        else:
            name = self.pick(*self.arrays)
            shape = self.arrays[name].shape
            other = self.leaf(shape) if self.chance(0.6) else name
            self.emit(indent, f"for {row} in [{name}, {other}]:")
            self.arrays[row] = np.zeros(shape)

    def bounded_while(self, indent: int, depth: int) -> None:
        if self.chance(0.3):
            return self.shrinking_while(indent, depth)
        m = self.name("m")
        saved = self.counters
        self.emit(indent, f"{m} = 0")
        self.emit(indent, f"while {m} < 3 and ({self.condition(1)}):")
        self.emit(indent + 1, f"{m} += 1")
        self.counters = {**saved, m: 4}
        self.block(indent + 1, depth - 1)
        self.counters = saved

    def shrinking_while(self, indent: int, depth: int) -> None:
        """A loop of which nobody can tell how long it runs."""
        t = self.name("t")
        self.emit(indent, f"{t} = abs(np.tanh({self.number(1)})) + 0.1")
        self.emit(indent, f"while {t} > 0.3:")
        self.emit(indent + 1, f"{t} = {t} * {self.pick('0.5', '0.8')}")
        self.block(indent + 1, depth - 1)

    # Simple statements ----------------------------------------------------------------

    def simple(self, indent: int) -> None:
        way = self.pick(
            self.new_array,
            self.new_number,
            self.rebind,
            self.alias,
            self.alias,
            self.in_place,
            self.in_place,
            self.in_place,
            self.store,
            self.store,
            self.store,
            self.swap,
            self.containers,
            self.numpy_writes,
            self.numpy_writes,
            self.closure,
            self.lists,
            self.other_dtypes,
        )
        way(indent)

    def writable(self) -> tuple[str, np.ndarray]:
        name = self.pick(*self.arrays)
        return name, self.arrays[name]

    def new_array(self, indent: int) -> None:
        shape = self.pick((self.n,), (self.n, self.m), (self.m,), (self.n, self.n))
        text = self.array(shape, 2)
        name = self.name("v")
        if "broadcast_to" in text or "diag" in text:
            text = f"np.array({text})"
        self.emit(indent, f"{name} = {text}")
        self.arrays[name] = np.zeros(shape)

    def new_number(self, indent: int) -> None:
        name = self.name("t")
        self.emit(indent, f"{name} = 0.1 * {self.number(2)}")
        self.numbers.append(name)

    def rebind(self, indent: int) -> None:
        if self.chance(0.5):
            name = self.pick(*self.numbers)
            value = self.number(2)
            op = self.pick("=", "=", "+=", "*=", "-=")
            self.emit(indent, f"{name} {op} 0.5 * ({value})")
        else:
            name, a = self.writable()
            self.emit(indent, f"{name} = {name} * 0.5 + {self.array(a.shape, 1)}")

    def alias(self, indent: int) -> None:
        """A second name for an array, or for a part of it."""
        name, a = self.writable()
        ways = ["", "[:]", "[...]", "[::-1]", ".T", "[1:]", "[:-1]", "[::2]"]
        if not a.ndim:
            return self.new_number(indent)
        if a.ndim == 1:
            ways += ["[:, None]", ".reshape(-1, 1)", ".ravel()", ".copy()", "[None]"]
        if a.ndim == 2:
            ways += [
                "[:, 1:]",
                "[:, ::-1]",
                ".reshape(-1)",
                ".ravel()",
                ".swapaxes(0, 1)",
            ]
            if a.size:
                ways += [f"[:, {self.index(a.shape[1])}]", "[0]", "[-1]", "[1:, :1]"]
                ways += [f"[{self.index(a.shape[0])}]"]
        way = self.pick(*ways)
        scope = {**self.counters_in_scope(), "w": a}
        fresh = [k for k in self.arrays if k.startswith("w")]
        part = eval(f"w{way}", {}, scope)
        same = [k for k in fresh if self.arrays[k].shape == part.shape]
        reused = same and self.chance(0.3)
        target = self.pick(*same) if reused else self.name("w")
        self.emit(indent, f"{target} = {name}{way}")
        self.arrays[target] = part

    def counters_in_scope(self) -> dict[str, int]:
        return dict.fromkeys(self.counters, 0)

    def in_place(self, indent: int) -> None:
        name, a = self.writable()
        op = self.pick("+=", "-=", "*=", "/=")
        shape = self.smaller(a.shape)
        value = self.array(shape, 1)
        if op == "/=":
            value = f"1.5 + np.abs({value})"
        self.emit(indent, f"{name} {op} {value}")

    def store(self, indent: int) -> None:
        """A write to elements, slices, masks or fancy indices."""
        found = self.with_extent()
        if found is None:
            return self.in_place(indent)
        name, a = found
        n = a.shape[0]
        where: list[str] = [self.index(n), "1:", ":-1", "::2", "::-1", ":", "..."]
        where += [f"{self.index(n)}" for _ in range(4)]
        where += [str(self.random.sample(range(n), self.random.randint(1, n)))]
        mask = self.mask(a.shape, 0)
        for counter, bound in self.counters.items():
            if bound <= n:
                where += [f":{counter}", f"{counter}:", f"{counter}:{counter} + 1"]
        if a.ndim == 2:
            m = a.shape[1]
            where += [f"{self.index(n)}, {self.index(m)}" for _ in range(5)]
            where += [f":, {self.index(m)}", f"{self.index(n)}, 1:", "1:, :-1"]
            where += [f"{[0] * min(n, 1)}, {self.index(m)}"]
        part = self.pick(*where, *where, mask)
        scope = {**self.counters_in_scope(), "w": a}
        if part == mask:
            shape: tuple[int, ...] = ()
        elif any(f":{c}" in part or f"{c}:" in part for c in self.counters):
            shape = ()
        else:
            shape = self.smaller(np.shape(eval(f"w[{part}]", {}, scope)))
        value = self.array(shape, 1) if shape else self.number(2)
        self.emit(indent, f"{name}[{part}] {self.pick('=', '+=', '*=', '-=')} {value}")

    def swap(self, indent: int) -> None:
        name, a = self.writable()
        same = [k for k, b in self.arrays.items() if b.shape == a.shape]
        other = self.pick(*same)
        kind = self.random.random()
        if kind < 0.4:
            self.emit(indent, f"{name}, {other} = {other}, {name}")
            pair = self.arrays[other], self.arrays[name]
            self.arrays[name], self.arrays[other] = pair
        elif kind < 0.6:
            self.emit(indent, f"{name} = {other}")
        elif a.ndim and a.shape[0] > 1:
            i, j = self.index(a.shape[0]), self.index(a.shape[0])
            if a.ndim == 1:
                self.emit(
                    indent, f"{name}[{i}], {name}[{j}] = {name}[{j}], {name}[{i}]"
                )
            else:
                self.emit(indent, f"{name}[[0, 1]] = {name}[[1, 0]]")
        else:
            p, q = self.pick(*self.numbers), self.pick(*self.numbers)
            self.emit(indent, f"{p}, {q} = {q}, {p}")

    def containers(self, indent: int) -> None:
        """Arrays reached through lists and dicts."""
        name, a = self.writable()
        same = [k for k, b in self.arrays.items() if b.shape == a.shape]
        other = self.pick(*same)
        box = self.name("box")
        value = self.array(self.smaller(a.shape), 1)
        kind = self.random.random()
        if kind < 0.35:
            self.emit(indent, f"{box} = [{name}, {other}]")
            self.emit(indent, f"{box}[{self.pick(0, 1, -1)}] += {value}")
        elif kind < 0.6:
            self.emit(indent, f"{box} = {{'p': {name}, 'q': {self.number(0)}}}")
            self.emit(indent, f"{box}['p'] *= {value}")
            self.emit(indent, f"{box}['q'] = {box}['q'] + {self.number(1)}")
            self.emit(indent, f"{name} = {box}['p'] + {box}['q']")
        elif kind < 0.8:
            number = self.pick(*self.numbers)
            self.emit(indent, f"{box} = []")
            self.emit(indent, f"for e in [{name}, {other}]:")
            self.emit(indent + 1, f"{box}.append(e * {number})")
            self.emit(indent, f"{name} = {box}[0] + {box}[-1]")
        else:
            u = self.name("u")
            self.emit(indent, f"{u}, {box} = {name}, {other}")
            self.emit(indent, f"{u} -= {value}")
            self.arrays[u] = a

    def lists(self, indent: int) -> None:
        """Lists of arrays that are bound, swapped and changed on some ways only."""
        name, a = self.writable()
        other = self.pick(*[k for k, b in self.arrays.items() if b.shape == a.shape])
        box, e = self.name("box"), self.name("e")
        value = self.array(self.smaller(a.shape), 1)
        self.emit(indent, f"{box} = [{name}, {other}]")
        kind = self.random.random()
        if kind < 0.3:
            self.emit(indent, f"{box}[0], {box}[1] = {box}[1], {box}[0]")
        elif kind < 0.5:
            self.emit(indent, f"if {self.condition(1)}:")
            self.emit(indent + 1, f"{box} = [{other}, {name}]")
        elif kind < 0.7:
            self.emit(indent, f"{box}.append({name} * 0.5)")
        self.emit(indent, f"for {e} in {box}:")
        self.emit(indent + 1, f"{e} {self.pick('+=', '*=')} {value}")
        self.emit(indent, f"{name} = {box}[{self.pick(0, 1, -1)}]")

    def other_dtypes(self, indent: int) -> None:
        """Arrays of bools and integers, and arrays without axes."""
        found = self.with_extent()
        kind = self.random.random()
        if kind < 0.4 and found:
            name = self.name("mask")
            self.emit(indent, f"{name} = {self.mask(found[1].shape, 1)}")
            self.masks[name] = found[1].shape
        elif kind < 0.75 and found:
            n = found[1].shape[0]
            name = self.name("k")
            ways = [f"np.arange({n})", f"np.arange({n})[::-1]"]
            ways += [f"np.argsort({self.array((n,), 1)}, kind='stable')"]
            ways += [f"(np.arange({n}) * 2) % {n}"]
            self.emit(indent, f"{name} = {self.pick(*ways)}")
            self.places[name] = n, n
        else:
            name = self.name("z")
            self.emit(indent, f"{name} = np.array({self.number(1)} * 0.5)")
            op = self.pick("+=", "*=", "-=")
            self.emit(indent, f"{name} {op} {self.number(1)}")
            self.numbers.append(name)

    def numpy_writes(self, indent: int) -> None:
        name, a = self.writable()
        value = self.array(a.shape, 1)
        ways = [
            f"np.{self.pick('add', 'multiply')}({value}, {name}, out={name})",
            f"np.tanh({value}, out={name})",
            f"np.copyto({name}, {self.array(self.smaller(a.shape), 1)})",
            f"np.copyto({name}, {value}, where={self.mask(a.shape, 0)})",
            f"{name}.fill({self.number(1)})",
            f"{name}[...] = {value}",
            f"np.add({name}, {value}, where={self.mask(a.shape, 0)}, out={name})",
            f"np.putmask({name}, {self.mask(a.shape, 0)}, {value})",
        ]
        if a.ndim and a.size:
            order = [self.random.randrange(a.shape[0]) for _ in range(3)]
            shape = self.smaller((3, *a.shape[1:]))
            ways += [f"np.add.at({name}, {order}, {self.array(shape, 1)})"]
            ways += [f"{name}.sort()", f"{name}[{order}] += {self.number(0)}"]
            ways += [f"{name}.sort(axis=0)", f"np.subtract.at({name}, 0, 0.5)"]
            for k in self.fitting_places(a.shape[0]):
                ways += [f"{name}[{k}] {self.pick('=', '+=', '*=')} {self.number(1)}"]
                ways += [f"np.add.at({name}, {k}, {self.number(0)})"]
        if a.ndim == 2 and a.size:
            ways += [f"np.fill_diagonal({name}, {self.number(1)})"]
        if a.size and self.masks:
            ways += [f"{name}[{self.mask(a.shape, 0)}] += {self.number(1)}"]
        self.emit(indent, self.pick(*ways))

    def closure(self, indent: int) -> None:
        """A local function that reads, and perhaps writes, what is around it."""
        g, number = self.name("g"), self.pick(*self.numbers)
        name, a = self.writable()
        self.emit(indent, f"def {g}(z):")
        kind = self.random.random()
        if kind < 0.35:
            self.emit(indent + 1, f"nonlocal {number}")
            self.emit(indent + 1, f"{number} = {number} * 0.5 + z")
        elif kind < 0.7 and a.ndim and a.size:
            place = ", ".join(["-1"] * a.ndim)
            self.emit(indent + 1, f"{name}[{place}] += z")
        elif kind < 0.85:
            self.emit(indent + 1, f"if {self.condition(0)}:")
            self.emit(indent + 2, "return z * 0.5")
        self.emit(indent + 1, f"return z * {self.number(1)}")
        t = self.name("t")
        self.emit(indent, f"{t} = {g}({self.number(0)}) + {g}({self.number(1)})")
        self.numbers.append(t)
