"""Which names of a function are variables, and which are just names of values."""

from __future__ import annotations

import ast
from collections.abc import Sequence


def variables(tree: ast.FunctionDef) -> set[str]:
    """The names that are assigned more than once, or read where their one assignment
    need not have run: behind the loop or the branch that it stands in, or before it.
    """
    scan = _Scan()
    for argument in tree.args.args:
        scan.assigned(argument.arg, ())
    scan.block(tree.body, ())
    return scan.found


class _Scan:
    """Reads statements in order; a path names the blocks that one stands in."""

    def __init__(self) -> None:
        self.paths: dict[str, tuple[int, ...]] = {}
        self.early: set[str] = set()
        self.found: set[str] = set()
        self.blocks = 0

    def assigned(self, name: str, path: tuple[int, ...]) -> None:
        if name in self.paths or name in self.early:
            self.found.add(name)
        self.paths[name] = path

    def read(self, node: ast.AST, path: tuple[int, ...]) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                where = self.paths.get(part.id)
                if where is None:
                    self.early.add(part.id)
                elif path[: len(where)] != where:
                    self.found.add(part.id)

    def targets(self, node: ast.AST, path: tuple[int, ...]) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self.assigned(part.id, path)

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
                self.found.add(node.target.id)
            self.targets(node, path)

    def inner(self, path: tuple[int, ...]) -> tuple[int, ...]:
        self.blocks += 1
        return (*path, self.blocks)
