"""What names mean in a function: values, or variables; and where to take it apart.

LLVM's time grows faster than a function does, from some eighty loops on: every loop
that becomes vector code makes it look at the others again. So runs of statements of a
large function become functions of their own. They take what they read, and return what
they assign and others read.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

from tracejit.backend.vector_math import ARITY

#: What takes long, by its name in `math` or as a helper; how many make a loop wait: of
#: fewer LLVM itself takes several rounds at once, more take too long to compile.
FUNCTIONS = {*ARITY, "lgamma", "digamma", "ndtr", "erfcx"}
MANY = (5, 16)
#: A function with more loops is taken apart, into parts of no more than so many; what
#: has fewer stays where it is.
LARGE, MOST, LEAST = 80, 12, 4


def variables(tree: ast.FunctionDef) -> set[str]:
    """The names that are assigned more than once, or read where their one assignment
    need not have run: behind the loop or the branch that it stands in, or before it.
    """
    scan = _Scan()
    for argument in tree.args.args:
        scan.paths[argument.arg].append(())
    scan.block(tree.body, ())
    return {n for n, p in scan.paths.items() if p and (len(p) > 1 or n in scan.unsure)}


class Part(NamedTuple):
    """Statements that can be a function, which returns `outputs`.

    `inputs` are names that it may read before it assigns them, those of the outside
    among them.
    """

    body: list[ast.stmt]
    inputs: set[str]
    outputs: list[str]


def waits(body: Sequence[ast.stmt]) -> bool:
    """Whether the rounds of a loop mostly wait for the results of exp, log and their
    like: there are many, in a loop without another."""
    names = [
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute | ast.Name)
    ]
    many = sum(name.removeprefix("_tj_") in FUNCTIONS for name in names)
    return MANY[0] <= many <= MANY[1] and loops_in(body) == 0


def is_large(tree: ast.FunctionDef) -> bool:
    """Whether a function is better taken apart."""
    return loops_in(tree.body) > LARGE


def parts(body: Sequence[ast.stmt], reads: Counter[str]) -> list[ast.stmt | Part]:
    """The statements of a block, those that can be grouped in parts.

    `reads` counts how often each name is read in the whole function.
    """
    if loops_in(body) <= MOST:
        return list(body)
    out: list[ast.stmt | Part] = []
    group: list[ast.stmt] = []
    held = 0
    stacked = [node for node in body if _is_on_stack(node)]
    for node in (n for n in body if n not in stacked):
        loops = loops_in([node])
        held += loops
        fits = loops <= LARGE and not _leaves(node)
        if not fits or held > MOST:
            out += _closed(group, stacked, reads)
            group, held = [], loops
        if fits:
            group.append(node)
        else:
            out.append(node)
    out += _closed(group, stacked, reads)
    return [*stacked, *out]


def _closed(
    group: list[ast.stmt], stacked: list[ast.stmt], reads: Counter[str]
) -> list[ast.stmt | Part]:
    """A group as a part, to which goes what is on the stack for it alone."""
    if loops_in(group) < LEAST:
        return [*group]
    inside = reads_in(group)
    for node in stacked[:]:
        (name,) = (n.id for n in ast.walk(node) if _is_written(n))
        if inside[name] == reads[name]:
            stacked.remove(node)
            group.insert(0, node)
    scan = _Scan()
    scan.block(group, ())
    outputs = [
        name
        for name, paths in scan.paths.items()
        if paths and (reads[name] > inside[name] or name in scan.unsure)
    ]
    kept = {name for name in outputs if () not in scan.paths[name]}
    return [Part(group, scan.unsure | kept, outputs)]


def _is_on_stack(node: ast.stmt) -> bool:
    """`x = _tj_local(…)`: memory that is gone with the function that asks for it."""
    calls = (n for n in ast.walk(node) if isinstance(n, ast.Call))
    return isinstance(node, ast.Assign) and any(
        isinstance(c.func, ast.Name) and c.func.id == "_tj_local" for c in calls
    )


def reads_in(body: Sequence[ast.stmt]) -> Counter[str]:
    """How often each name is read."""
    names = (part for node in body for part in ast.walk(node))
    return Counter(n.id for n in names if isinstance(n, ast.Name) and _is_read(n))


def loops_in(body: Sequence[ast.stmt]) -> int:
    """How many loops there are whose length the text does not state."""
    every = (part for node in body for part in ast.walk(node))
    return sum(
        isinstance(n, ast.While)
        or (isinstance(n, ast.For) and bool(reads_in([ast.Expr(n.iter)]) - _RANGE))
        for n in every
    )


_RANGE = Counter(["range"])


def _leaves(node: ast.stmt) -> bool:
    """Whether a statement returns, or leads to another round of a loop around it."""
    if isinstance(node, ast.Return | ast.Break | ast.Continue):
        return True
    if isinstance(node, ast.For | ast.While):
        return any(isinstance(n, ast.Return) for n in ast.walk(node))
    inner = (n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt))
    return any(map(_leaves, inner))


def copied_names(tree: ast.FunctionDef) -> set[str]:
    """Names that are, or have been, another name for one thing."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return found


def _is_read(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _is_written(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


class _Scan:
    """Reads statements in order; a path names the blocks that one stands in."""

    def __init__(self) -> None:
        #: Where each name was assigned.
        self.paths: defaultdict[str, list[tuple[int, ...]]] = defaultdict(list)
        #: Names read where none of their assignments must have run.
        self.unsure: set[str] = set()
        self.blocks = 0

    def read(self, node: ast.AST, path: tuple[int, ...]) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and _is_read(part):
                where = self.paths.get(part.id, [])
                if not any(path[: len(p)] == p for p in where):
                    self.unsure.add(part.id)

    def targets(self, node: ast.AST, path: tuple[int, ...]) -> None:
        for part in ast.walk(node):
            if _is_written(part):
                self.paths[part.id].append(path)

    def block(self, body: Sequence[ast.stmt], path: tuple[int, ...]) -> None:
        for node in body:
            self.statement(node, path)

    def statement(self, node: ast.stmt, path: tuple[int, ...]) -> None:
        if isinstance(node, ast.For):
            self.read(node.iter, path)
            inside = self.inner(path)
            self.targets(node.target, inside)
            self.block(node.body, inside)
        elif isinstance(node, ast.While):
            inside = self.inner(path)
            self.read(node.test, inside)
            self.block(node.body, inside)
        elif isinstance(node, ast.If):
            self.read(node.test, path)
            self.block(node.body, self.inner(path))
            self.block(node.orelse, self.inner(path))
        else:
            self.read(node, path)
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                self.read(ast.Name(node.target.id, ast.Load()), path)
                self.targets(node.target, path)
            self.targets(node, path)

    def inner(self, path: tuple[int, ...]) -> tuple[int, ...]:
        self.blocks += 1
        return (*path, self.blocks)
