"""Random programs full of aliases, views, swaps, jumps and branches on data."""

from __future__ import annotations

import random


class Writer:
    """Writes one program: `Writer(seed).text` defines `f(x, y)`."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.loops = 0
        self.lines = [
            "def f(x, y):",
            "    a, b, c = x.copy(), y.copy(), x + y",
            "    v = a[1:3]; s, t, k, i = 0.0, x[1], 1, 0",
            "    p = [0.25, x[0]]; q = p; d = {'u': 0.5}",
        ]
        for _ in range(self.random.randint(3, 6)):
            self.statement(1, 3)
        self.lines.append("    return s, t, k, a, b, c, v, p, q, d")
        self.text = "\n".join(self.lines) + "\n"

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def number(self) -> str:
        return self.pick(
            "s", "t", "x[0]", "a[1]", "b[2]", "float(k)", "1.5", "p[0]", "d['u']"
        )

    def array(self) -> str:
        return self.pick("a", "b", "c")

    def index(self) -> str:
        return self.pick("0", "1", "-1", *(["i % 4", "(i + 1) % 4"] * bool(self.loops)))

    def condition(self) -> str:
        n = self.number
        return self.pick(
            f"{n()} > {n()}",
            f"{n()} < 0.3",
            "k % 2 == 0",
            f"{n()} > 0 and {n()} < 1",
            f"not ({n()} > 0)",
            "i > 1",
            "a is b",
            "p is q",
        )

    def simple(self) -> str:
        n, a = self.number, self.array
        one, other = self.random.sample("abc", 2)
        return self.pick(
            f"{self.pick('s', 't')} = {n()} * 0.5 + {n()}",
            f"s = {n()} if {self.condition()} else {n()}",
            f"t = {a()}.sum() * 0.1",
            f"s += {n()}",
            f"{self.pick('a', 'b', 'c', 'v')}[{self.pick('0', '1')}] = {n()}",
            f"{a()}[{self.index()}] += {n()}",
            f"{a()} = {a()} * 0.5 + {n()}",
            f"{one} = {other}",
            f"{one}, {other} = {other}, {one}",
            f"v = {a()}[{self.pick('0:2', '1:3', '2:')}]",
            f"{self.pick('a', 'b', 'c', 'v')} *= {n()}",
            f"p[{self.pick('0', '1')}] = {n()}",
            f"p = [{n()}, p[0]]",
            "q = p",
            f"d['u'] = {n()}",
            "k += 1",
            f"t = helper({a()}, {n()})",
        )

    def statement(self, indent: int, depth: int) -> None:
        pad, choice = "    " * indent, self.random.random()
        if choice < 0.5 or not depth:
            self.lines.append(pad + self.simple())
        elif choice < 0.7:
            self.lines.append(f"{pad}if {self.condition()}:")
            self.block(indent + 1, depth - 1)
            if self.random.random() < 0.5:
                self.lines.append(f"{pad}else:")
                self.block(indent + 1, depth - 1)
        elif choice < 0.93:
            trips = self.pick("3", "4", "k % 3", "len(a)")
            self.lines.append(f"{pad}for i in range({trips}):")
            self.loop(indent + 1, depth - 1)
        else:
            m = f"m{len(self.lines)}"
            self.lines.append(f"{pad}{m} = 0")
            self.lines.append(f"{pad}while {m} < 3 and {self.condition()}:")
            self.lines.append(f"{pad}    {m} += 1")
            self.loop(indent + 1, depth - 1)

    def block(self, indent: int, depth: int) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.statement(indent, depth)

    def loop(self, indent: int, depth: int) -> None:
        self.loops += 1
        self.block(indent, depth)
        self.loops -= 1
        if self.random.random() < 0.35:
            jump = self.pick("break", "continue", "return s, a, p")
            pad = "    " * indent
            self.lines += [f"{pad}if {self.condition()}:", f"{pad}    {jump}"]
            self.statement(indent, 0)


def helper(A, z):
    """Mutates its argument."""
    A[0] = A[0] * 0.5 + z
    return A[0] + 1
