"""`break`, `continue` and early `return`, turned into flags and guarded remainders.

    for x in xs:                    .break1 = False
        if p(x):                    for x in xs while not .break1:
            break                       if p(x):
        f(x)                                .break1 = True
                                        else:
                                            f(x)

The names of flags start with a dot, so that no user name meets them. After this pass a
function has no jump left but a `return` as its last statement.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)
RETURNED = ".return"
RESULT = ".result"
NONE_OF = ".none_of"


def is_flag(name: str) -> bool:
    """Whether a name is one of ours."""
    return name.startswith(".")


@dataclass
class _Loop:
    """The loop around a statement: the names of its flags."""

    broken: str
    continued: str


def jumps_to_flags(body: list[ast.stmt]) -> list[ast.stmt]:
    """The body of a function without jumps."""
    if not always_jumps(body):
        last = body[-1]
        body = [*body, _at(last, ast.Return(ast.Constant(None)))]
    loops = any(isinstance(n, ast.For | ast.While) for s in body for n in ast.walk(s))
    if not _jumps(body[:-1]) and isinstance(body[-1], ast.Return) and not loops:
        return body
    rewritten = _Rewriter().block(body, None)
    start = _assign(RETURNED, ast.Constant(False), body[0])
    end = _at(body[-1], ast.Return(ast.Name(RESULT, ast.Load())))
    return [start, *rewritten, end]


def always_jumps(body: list[ast.stmt]) -> bool:
    """Whether control never reaches the end of a block."""
    for node in body:
        if isinstance(node, ast.Return | ast.Break | ast.Continue | ast.Raise):
            return True
        if isinstance(node, ast.If):
            if always_jumps(node.body) and always_jumps(node.orelse):
                return True
        if isinstance(node, ast.With) and always_jumps(node.body):
            # A context manager may swallow what is raised, so a raise is no end.
            return not any(isinstance(n, ast.Raise) for n in ast.walk(node))
    return False


def _jumps(body: list[ast.stmt]) -> bool:
    return bool(_flags_set(body, None))


def _flags_set(body: list[ast.stmt], loop: _Loop | None) -> set[str]:
    """The flags that may be set by the jumps of a block; inner loops catch theirs."""
    flags: set[str] = set()
    for node in body:
        match node:
            case ast.Return():
                flags.add(RETURNED)
            case ast.Break():
                flags.add(loop.broken if loop else ".break")
            case ast.Continue():
                flags.add(loop.continued if loop else ".continue")
            case ast.For() | ast.While():
                inner = _flags_set(node.body, None)
                flags |= inner & {RETURNED} | _flags_set(node.orelse, loop)
            case ast.If() | ast.With() | ast.Try():
                for block in _blocks(node):
                    flags |= _flags_set(block, loop)
    return flags


def _blocks(node: ast.stmt) -> list[list[ast.stmt]]:
    match node:
        case ast.If():
            return [node.body, node.orelse]
        case ast.With():
            return [node.body]
        case ast.Try():
            handlers = [h.body for h in node.handlers]
            return [node.body, *handlers, node.orelse, node.finalbody]
    return []


class _Rewriter:
    def __init__(self) -> None:
        self.loops = 0

    def block(self, body: list[ast.stmt], loop: _Loop | None) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for k, node in enumerate(body):
            rest = body[k + 1 :]
            flags = _flags_set([node], loop)
            if isinstance(node, ast.Return | ast.Break | ast.Continue):
                return [*out, *self.jump(node, loop)]
            if isinstance(node, ast.If):
                then, orelse = node.body, node.orelse
                if flags and rest:
                    # What follows a branch that always jumps belongs to the other.
                    if always_jumps(then):
                        orelse, rest = [*orelse, *rest], []
                    elif always_jumps(orelse):
                        then, rest = [*then, *rest], []
                new = ast.If(node.test, self.block(then, loop), [])
                new.orelse = self.block(orelse, loop)
                out.append(_at(node, new))
            else:
                out += self.statement(node, loop)
            if flags and rest:
                guarded = self.block(rest, loop)
                test = _at(node, unset(sorted(flags)))
                return [*out, _at(rest[0], ast.If(test, guarded, []))]
            if not rest:
                return out
        return out

    def statement(self, node: ast.stmt, loop: _Loop | None) -> list[ast.stmt]:
        match node:
            case ast.For() | ast.While():
                return self.loop(node, loop)
            case ast.With():
                node.body = self.block(node.body, loop)
            case ast.Try():
                node.body = self.block(node.body, loop)
                for handler in node.handlers:
                    handler.body = self.block(handler.body, loop)
                node.orelse = self.block(node.orelse, loop)
                node.finalbody = self.block(node.finalbody, loop)
        return [node]

    def loop(self, node: ast.For | ast.While, outer: _Loop | None) -> list[ast.stmt]:
        if isinstance(node, ast.While) and _binds(node.test):
            # `while (d := f()) > 0`: a condition that assigns belongs into the body.
            leave = ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Break()], [])
            node.body = [_at(node.test, leave), *node.body]
            node.test = _at(node.test, ast.Constant(True))
        self.loops += 1
        loop = _Loop(f".break{self.loops}", f".continue{self.loops}")
        used = _flags_set(node.body, loop)
        body = self.block(node.body, loop)
        if loop.continued in used:
            body.insert(0, _assign(loop.continued, ast.Constant(False), node))
        node.body = body
        orelse, node.orelse = node.orelse, []
        exits = sorted(used - {loop.continued})
        node.exits = exits  # type: ignore[union-attr]
        out: list[ast.stmt] = [node]
        if loop.broken in used:
            out.insert(0, _assign(loop.broken, ast.Constant(False), node))
        if orelse:
            block = self.block(orelse, outer)
            test = _at(node, unset(exits))
            out += [_at(orelse[0], ast.If(test, block, []))] if exits else block
        return out

    def jump(self, node: ast.stmt, loop: _Loop | None) -> list[ast.stmt]:
        if isinstance(node, ast.Return):
            value = node.value or ast.Constant(None)
            return [
                _assign(RESULT, value, node),
                _assign(RETURNED, ast.Constant(True), node),
            ]
        assert loop is not None
        flag = loop.broken if isinstance(node, ast.Break) else loop.continued
        return [_assign(flag, ast.Constant(True), node)]


def _binds(test: ast.expr) -> bool:
    return any(isinstance(n, ast.NamedExpr) for n in ast.walk(test))


def unset(flags: list[str]) -> ast.expr:
    """An expression: none of these flags is set. Lifted as `control.none_of`."""
    names: list[ast.expr] = [ast.Name(f, ast.Load()) for f in flags]
    return ast.Call(ast.Name(NONE_OF, ast.Load()), names, [])


def _assign(name: str, value: ast.expr, where: ast.AST) -> ast.stmt:
    target = ast.Name(name, ast.Store())
    return _at(where, ast.Assign([target], value))


def _at(where: ast.AST, node: Node) -> Node:
    """`node` with the position of `where`, where it has none."""
    ast.copy_location(node, where)
    return ast.fix_missing_locations(node)
