"""A Program as Python-like text: one equation a line, its type at the right.

    # stage: staged, 3 equations
    def loss(u: f64[8], c: f64[]):
        v0 = u[1:-1]                # f64[6]
        u_1 = u.at[1:-1].add(v0)    # f64[8]
        v1 = sum(u_1, axes=(0,))    # f64[]
        return v1

A carried variable has one name: before its loop, in it and after it, as in Python.
Names come from the user's where there are any, and are the same in every run.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.program import Atom, Eqn, Literal, Note, Program, Region, Var

#: Where the types stand, unless the code is longer, or all of it shorter.
COLUMN = 56
INDENT = "    "

#: `emit` templates that read well as they stand: `{0} + {1}`, `{0} ** {n}`, `-{0}`.
_OPERATOR = re.compile(r"\{0\} \S+ \{\w+\}|[-~]\{0\}|not \{0\}")


def program_text(program: Program) -> str:
    """The text of a Program; `str(program)` is the same."""
    count = sum(1 for _ in program.walk())
    stage = f"# stage: {program.stage}, {count} equation{'s' * (count != 1)}"
    writer = _Writer(program.stage)
    names = writer.names
    params = [f"{names.bind(p)}: {p.aval}" for p in program.inputs]
    writer.region(program.region, 1)
    results = names.each(program.results)
    split = len(results) - len(program.writes)
    for k, value in zip(program.writes, results[split:], strict=True):
        writer.line(1, f"{names(program.inputs[k])}[...] = {value}")
    writer.line(1, f"return {_tuple(results[:split])}".rstrip())
    return "\n".join([stage, _signature(program.name, params), *writer.aligned(), ""])


def notes_text(title: str, notes: Iterable[Note]) -> str:
    """What is said under a title, by the user's lines."""
    groups: dict[str, list[Note]] = {}
    for note in notes:
        loc = note.loc
        line = f"line {loc.line}: {loc.text}" if loc.line else "arguments"
        groups.setdefault(line, []).append(note)
    lines = [f"# {title}"] if groups else []
    for line, said in groups.items():
        lines.append(f"#   {line}")
        width = max(len(note.name) for note in said)
        names = (f"{note.name:{width}}  " if width else "" for note in said)
        lines += [f"#       {n}{note.how}" for n, note in zip(names, said, strict=True)]
    return "\n".join([*lines, ""]) if lines else ""


def eqn_text(eqn: Eqn) -> str:
    """The text of one equation, with whatever it holds."""
    writer = _Writer("")
    writer.equation(eqn, 0)
    return "\n".join(writer.aligned())


def diff(old: str, new: str, before: str = "", after: str = "") -> str:
    """What changed between two texts, as a unified diff."""
    a, b = old.splitlines(keepends=True), new.splitlines(keepends=True)
    return "".join(difflib.unified_diff(a, b, before, after))


class _Names:
    """A name for every Var: the user's if there is one, with a number if taken."""

    def __init__(self) -> None:
        self.of: dict[Var, str] = {}
        self.taken: dict[str, int] = {}
        self.unnamed = 0

    def fresh(self, hint: str) -> str:
        if not hint.isidentifier() or keyword.iskeyword(hint):
            hint, self.unnamed = f"v{self.unnamed}", self.unnamed + 1
        name = hint
        while name in self.taken:
            self.taken[hint] += 1
            name = f"{hint}_{self.taken[hint]}"
        self.taken[name] = 0
        return name

    def bind(self, *variables: Var) -> str:
        """One name for these; what has a name already keeps it."""
        known = next((self.of[v] for v in variables if v in self.of), None)
        hint = next((v.hint for v in variables if v.hint), "")
        name = known or self.fresh(hint)
        for var in variables:
            self.of[var] = name
        return name

    def __call__(self, atom: Atom) -> str:
        if isinstance(atom, Literal):
            return _number(atom.value)
        return self.bind(atom)

    def each(self, atoms: Iterable[Atom]) -> list[str]:
        return [self(a) for a in atoms]


class _Writer:
    """Collects lines, each of code and a type, and aligns the types."""

    def __init__(self, stage: str):
        self.stage = stage
        self.names = _Names()
        self.lines: list[tuple[str, str]] = []

    def line(self, depth: int, code: str, types: Sequence[Var] = ()) -> None:
        note = ", ".join(str(v.aval) for v in types)
        self.lines.append((INDENT * depth + code, note))

    def aligned(self) -> list[str]:
        width = max(
            (len(c) for c, t in self.lines if t and len(c) <= COLUMN), default=0
        )
        return [f"{c:{width}}  # {t}" if t else c for c, t in self.lines]

    def region(self, region: Region, depth: int) -> None:
        """The equations; above each group that derives from one line, that line."""
        last = ""
        for eqn in region.eqns:
            source = "" if eqn.origin is None else _source(eqn)
            if source and source != last:
                self.line(depth, f"# {self.derived} of: {source}")
            last = source
            self.equation(eqn, depth)

    @property
    def derived(self) -> str:
        return "tangent" if self.stage.startswith("tangent") else "adjoint"

    def equation(self, eqn: Eqn, depth: int) -> None:
        write = getattr(self, f"_{eqn.prim.name}", None)
        if write is not None and eqn.regions:
            write(eqn, depth)
            return
        texts = self.names.each(eqn.inputs)
        code = expression(eqn, texts)
        if eqn.outputs:
            code = f"{_tuple([self.names.bind(v) for v in eqn.outputs])} = {code}"
        self.line(depth, code, eqn.outputs)

    def _carried(self, eqn: Eqn, inits: Sequence[Atom], depth: int) -> list[str]:
        """Name the slots of a loop and set them to their inits."""
        values = self.names.each(inits)
        slots = [r.params[-len(inits) :] if inits else [] for r in eqn.regions]
        names = [
            self.names.bind(*group) for group in zip(*slots, eqn.outputs, strict=False)
        ]
        if inits:
            self.line(depth, f"{_tuple(names)} = {_tuple(values)}", eqn.outputs)
        return names

    def _assign(self, names: list[str], results: Iterable[Atom], depth: int) -> None:
        values = self.names.each(results)
        # No `strict` here and above: a malformed equation must print, too.
        moved = [(n, v) for n, v in zip(names, values, strict=False) if n != v]
        if moved:
            targets, sources = zip(*moved, strict=True)
            self.line(depth, f"{_tuple(targets)} = {_tuple(sources)}")

    def _for(self, eqn: Eqn, depth: int) -> None:
        (body,) = eqn.regions
        names = self._carried(eqn, eqn.inputs[3:], depth)
        lo, hi, step = self.names.each(eqn.inputs[:3])
        bounds = [lo, hi] if step == "1" else [lo, hi, step]
        trips = f"range({', '.join(bounds)})"
        if eqn.params["reverse"]:
            trips = f"reversed({trips})"
        self.line(depth, f"for {self.names.bind(body.params[0])} in {trips}:")
        self._block(body, names, depth + 1)

    def _while(self, eqn: Eqn, depth: int) -> None:
        test, body = eqn.regions
        names = self._carried(eqn, eqn.inputs, depth)
        if test.eqns:
            self.line(depth, "while True:")
            self.region(test, depth + 1)
            self.line(depth + 1, f"if not {self.names(test.results[0])}: break")
        else:
            self.line(depth, f"while {self.names(test.results[0])}:")
        self._block(body, names, depth + 1)

    def _cond(self, eqn: Eqn, depth: int) -> None:
        names = [self.names.bind(v) for v in eqn.outputs]
        then, otherwise = eqn.regions
        self.line(depth, f"if {self.names(eqn.inputs[0])}:", eqn.outputs)
        self._block(then, names, depth + 1)
        if otherwise.eqns or names:
            self.line(depth, "else:")
            self._block(otherwise, names, depth + 1)

    def _call(self, eqn: Eqn, depth: int) -> None:
        """The body and the rules as functions, then the call itself."""
        name = eqn.params["name"]
        for region, part in zip(eqn.regions, _PARTS[eqn.prim.name], strict=False):
            params = [self.names.bind(v) for v in region.params]
            self.line(depth, f"def {name}{part}({_tuple(params)}):")
            self.region(region, depth + 1)
            results = self.names.each(region.results)
            self.line(depth + 1, f"return {_tuple(results)}")
        code = f"{eqn.prim.name}({name})({_tuple(self.names.each(eqn.inputs))})"
        if eqn.outputs:
            code = f"{_tuple([self.names.bind(v) for v in eqn.outputs])} = {code}"
        self.line(depth, code, eqn.outputs)

    _checkpoint = _march = _custom_jvp = _custom_vjp = _call

    def _block(self, region: Region, names: list[str], depth: int) -> None:
        start = len(self.lines)
        self.region(region, depth)
        self._assign(names, region.results, depth)
        if len(self.lines) == start:
            self.line(depth, "pass")


#: What the functions of a call are called, after its name.
_PARTS = {
    "checkpoint": ("",),
    "march": ("",),
    "custom_jvp": ("", "_jvp"),
    "custom_vjp": ("", "_fwd", "_bwd"),
}


def _source(eqn: Eqn) -> str:
    """The user's line that an equation derives from, or else the primitive."""
    assert eqn.origin is not None
    return eqn.origin.loc.text or eqn.loc.text or eqn.origin.prim.name


def _signature(name: str, params: list[str]) -> str:
    head = f"def {name}({', '.join(params)}):"
    if len(head) <= 88:
        return head
    return f"def {name}(\n" + "".join(f"{INDENT}{p},\n" for p in params) + "):"


def _tuple(texts: Sequence[str]) -> str:
    return ", ".join(texts)


def _number(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _param(value: Any) -> str:
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, int):
        return repr(value) if isinstance(value, bool) else str(int(value))
    if isinstance(value, tuple):
        inner = ", ".join(_param(v) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return str(value)


# Forms of expression ------------------------------------------------------------------


def expression(eqn: Eqn, texts: list[str]) -> str:
    """The right side of an equation, its operands given as text."""
    return _FORMS.get(eqn.prim.name, _call)(eqn, texts)


def _call(eqn: Eqn, texts: list[str]) -> str:
    emit = getattr(eqn.prim, "emit", "")
    if _OPERATOR.fullmatch(emit):
        if "**" in emit and texts[0].startswith("-"):
            texts = [f"({texts[0]})", *texts[1:]]
        return emit.format(*texts, **eqn.params)
    params = [f"{k}={_param(v)}" for k, v in eqn.params.items()]
    return f"{eqn.prim.name}({', '.join([*texts, *params])})"


def _broadcast(eqn: Eqn, texts: list[str]) -> str:
    if eqn.inputs[0].aval.shape:
        return _call(eqn, texts)
    return f"full({_param(eqn.params['shape'])}, {texts[0]})"


def _slice(start: str, size: int, step: int, extent: int) -> str:
    """`start:stop:step` as one would write it for an axis of this extent."""
    if not start.isdigit():
        end = f"{start}+{size * step}" if step > 0 else f"{start}-{-size * step}"
        return f"{start}:{end}" + (f":{step}" if step != 1 else "")
    first = int(start)
    stop = first + size * step
    if step < 0:
        return f"{first}:{stop if stop >= 0 else ''}:{step}"
    near_end = 0 < extent - stop < stop
    end = "" if stop >= extent else str(stop - extent if near_end else stop)
    return f"{first or ''}:{end}" + (f":{step}" if step != 1 else "")


def _part(eqn: Eqn, starts: list[str]) -> str:
    """What stands in the brackets of a getitem, setitem or acc_slice."""
    shape = eqn.inputs[0].aval.shape
    parts = [
        start if size is None else _slice(start, int(size), int(step), int(extent))
        for start, size, step, extent in zip(
            starts, eqn.params["sizes"], eqn.params["steps"], shape, strict=True
        )
    ]
    return ", ".join(parts) if parts else "()"


def _points(eqn: Eqn, indices: list[str]) -> str:
    """What stands in the brackets of a gather or scatter."""
    axes = eqn.params["axes"]
    parts = [":"] * (max(axes) + 1)
    for axis, index in zip(axes, indices, strict=True):
        parts[axis] = index
    return ", ".join(parts)


def _read(key: Callable[[Eqn, list[str]], str]) -> Callable[[Eqn, list[str]], str]:
    return lambda eqn, texts: f"{texts[0]}[{key(eqn, texts[1:])}]"


def _write(
    key: Callable[[Eqn, list[str]], str], how: str
) -> Callable[[Eqn, list[str]], str]:
    return lambda eqn, t: f"{t[0]}.at[{key(eqn, t[2:])}].{how}({t[1]})"


def _check(eqn: Eqn, texts: list[str]) -> str:
    error = eqn.params["error"]
    raised = f"{error.kind.__name__}({', '.join(map(repr, error.args))})"
    return f"check({texts[0]}, {raised})"


_FORMS: dict[str, Callable[[Eqn, list[str]], str]] = {
    "check": _check,
    "broadcast": _broadcast,
    "getitem": _read(_part),
    "setitem": _write(_part, "set"),
    "acc_slice": _write(_part, "add"),
    "gather": _read(_points),
    "scatter_set": _write(_points, "set"),
    "scatter_add": _write(_points, "add"),
}

Program.printer = staticmethod(program_text)
