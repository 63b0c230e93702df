"""The source of generator functions, where `yield v` becomes a call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

#: What `yield` calls, as a name in the source and as one in lifted code.
EMIT, STOP, EACH = ".emit", ".stop", ".each"


def is_generator(node: ast.FunctionDef) -> bool:
    """Whether a function has a `yield` of its own."""
    return any(isinstance(n, ast.Yield | ast.YieldFrom) for n in _own(node))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes inside a function that are not inside another one."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.Lambda | ast.FunctionDef | ast.ClassDef):
            yield from _own(child)


def yields_to_calls(node: ast.FunctionDef) -> bool:
    """Rewrite `yield v` as a call; False where a `yield` has a value or is caught."""
    plain = {
        id(n.value)
        for n in _own(node)
        if isinstance(n, ast.Expr) and isinstance(n.value, ast.Yield | ast.YieldFrom)
    }
    caught = {
        id(inner)
        for n in _own(node)
        if isinstance(n, ast.Try) and n.handlers
        for inner in _own(n)
    }
    for n in _own(node):
        if isinstance(n, ast.Yield | ast.YieldFrom):
            if id(n) not in plain or id(n) in caught:
                return False
    rewriter = _Yields()
    node.body = [s for old in node.body for s in rewriter.statement(old)]
    return True


class _Yields(ast.NodeTransformer):
    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        new = self.visit(node)
        return new if isinstance(new, list) else [new]

    def _keep(self, node: Any) -> Any:
        return node

    visit_FunctionDef = visit_ClassDef = visit_Lambda = _keep

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        return ast.copy_location(ast.Return(None), node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        if isinstance(node.value, ast.Yield):
            new = _emit(node.value.value or ast.Constant(None))
        elif isinstance(node.value, ast.YieldFrom):
            target = ast.Name(EACH, ast.Store())
            body = _emit(ast.Name(EACH, ast.Load()))
            new = [ast.For(target, node.value.value, body, [])]
        else:
            return node
        for statement in new:
            ast.copy_location(statement, node)
            ast.fix_missing_locations(statement)
        return new


def _emit(value: ast.expr) -> list[ast.stmt]:
    call = ast.Call(ast.Name(EMIT, ast.Load()), [value], [])
    stop = ast.Name(STOP, ast.Load())
    leave: list[ast.stmt] = [ast.Return(None)]
    return [ast.Assign([ast.Name(STOP, ast.Store())], call), ast.If(stop, leave, [])]
