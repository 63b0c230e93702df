"""Random programs with lists that grow: in loops, branches, of arrays that change."""

from __future__ import annotations

import random

ROUNDS = 10


class Writer:
    """Writes one program: `Writer(seed).text` defines `f(c, x, m)`."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.counters: list[str] = []
        self.lines = [
            "def f(c, x, m):",
            "    s, u, w = 0.1, np.ones(3) * c, np.zeros(3)",
            "    ls, vs, ts, rs, row = [], [], [], [], [c, c]",
        ]
        for _ in range(self.random.randint(2, 5)):
            self.statement(1)
        self.lines += [
            "    s += sum(k * y for k, y in enumerate(ls))",
            "    if vs: u = u + np.sum(np.array(vs) ** 2) + vs[0]",
            "    for a, v in ts: w = w + a * v",
            "    for r in rs: s += r[0] * r[1]",
            "    return s, u, w, row, len(ls), len(vs), len(ts), len(rs)",
        ]
        self.text = "\n".join(self.lines) + "\n"

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def number(self) -> str:
        key = self.pick("0", "-1", "1", "-2")
        at = self.pick("0", "3", "-1", *self.counters)
        return self.pick(
            *("c", "s", "0.7", f"x[{at}]", f"(ls[{key}] if len(ls) > 2 else c)"),
            *("sum(ls) * 0.1", "0.1 * len(ls)"),
        )

    def array(self) -> str:
        at = self.pick("0", "3", "-1", *self.counters)
        return self.pick(
            *("u", "w", f"m[{at}]", "u[::-1]", "np.full(3, s)"),
            *("(vs[-1] if vs else u)", "(vs[0] if vs else w)"),
        )

    def simple(self) -> str:
        n, v = self.number, self.array
        return self.pick(
            f"s = np.tanh({n()} + 0.5 * {n()})",
            *(f"ls.append({n()} * {n()})" for _ in range(3)),
            *(f"vs.append({v()}{self.pick('', '', f' * {n()}', '.copy()')})",) * 3,
            *(f"u = {v()} * 0.5 + {n()}", f"u += {n()}", f"w[1] = {n()}"),
            *("u, w = w, u", f"w = {v()}", f"row[0] = {n()}"),
            f"if vs: vs[{self.pick('0', '-1')}][2] = {n()}",
            "if vs: vs[-1] *= 0.5",
            f"if len(ls) > 3: ls[{self.pick('0', '-1')}] = {n()}",
            "if ls: s = 0.5 * s + 0.1 * ls.pop()",
            f"ts.append(({n()}, {v()}))",
            "if ts: s = 0.5 * s + 0.1 * ts[-1][0]; u = ts[0][1] + s",
            f"ls += [{n()}, s]",
            "if ls: s = 0.5 * s + 0.01 * np.sum(np.array(ls) ** 2)",
            f"row = [{n()}, {n()}]; rs.append(row)",
            "if rs: row = rs[-1]",
            "s = 0.5 * s + 0.1 * sum(ls[1:])",
        )

    def loop(self) -> str:
        counter = "ijk"[len(self.counters)]
        n = ROUNDS
        spans = f"{n}", f"{n}", f"1, {n}", f"{n - 1}, -1, -1", "4", *self.counters[-1:]
        self.counters.append(counter)
        return f"for {counter} in range({self.pick(*spans)}):"

    def statement(self, depth: int) -> None:
        pad, kind = "    " * depth, self.random.random()
        if kind < 0.25 and depth < 3:
            self.lines.append(pad + self.loop())
            self.block(depth + 1)
            if self.random.random() < 0.1:
                self.lines.append(f"{pad}    if {self.number()} > 1.5: break")
            self.counters.pop()
        elif kind < 0.4 and depth < 4:
            self.lines.append(f"{pad}if {self.number()} > {self.number()}:")
            self.block(depth + 1)
            if self.random.random() < 0.5:
                self.lines.append(f"{pad}else:")
                self.block(depth + 1)
        else:
            self.lines.append(pad + self.simple())

    def block(self, depth: int) -> None:
        for _ in range(self.random.randint(1, 4)):
            self.statement(depth)
