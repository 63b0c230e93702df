"""Which variables may still be read after each branch and loop of a function.

Without this every variable of a loop's body would be carried. It runs on bodies
without jumps (see `jumps`), so that one walk backwards is enough. Where in doubt a
variable is live.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from tracejit.frontend.scopes import captured, names_read


class Liveness:
    """Annotates `if` with `.live` (after it) and loops with `.head` and `.again`.

    `head` are the variables that are live when a round of the loop ends, `again` those
    whose value the next round may read.
    """

    def __init__(self, always: set[str]):
        self.always = always

    def block(self, body: Sequence[ast.stmt], after: set[str]) -> set[str]:
        """The variables live before a block."""
        live = after
        for node in reversed(body):
            live = self.statement(node, live)
        return live

    def statement(self, node: ast.stmt, after: set[str]) -> set[str]:
        match node:
            case ast.If():
                node.live = after | self.always  # type: ignore[attr-defined]
                then, orelse = (
                    self.block(node.body, after),
                    self.block(node.orelse, after),
                )
                return names_read(node.test) | then | orelse
            case ast.For() | ast.While():
                return self.loop(node, after)
            case ast.With():
                items = set().union(*(names_read(item) for item in node.items))
                return items | self.block(node.body, after)
            case ast.Try():
                return self.attempt(node, after)
            case ast.Assign(targets=targets):
                return (after - _assigned(targets)) | names_read(node)
            case ast.AugAssign(target=ast.Name(id=name)):
                return after | {name} | names_read(node.value)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                return (after - {name}) | names_read(node)
        return after | names_read(node)

    def loop(self, node: ast.For | ast.While, after: set[str]) -> set[str]:
        exits = set(node.exits)  # type: ignore[union-attr]
        if isinstance(node, ast.For):
            again, targets = names_read(node.target), _assigned([node.target])
        else:
            again, targets = names_read(node.test), set()
        head = after | exits | again
        while True:
            again |= self.block(node.body, head) - targets
            wider = head | again
            if wider == head:
                break
            head = wider
        node.head = head | self.always  # type: ignore[union-attr]
        node.again = again | exits | self.always  # type: ignore[union-attr]
        return head | (names_read(node.iter) if isinstance(node, ast.For) else set())

    def attempt(self, node: ast.Try, after: set[str]) -> set[str]:
        # An exception may leave the body anywhere: what the rest reads stays live.
        rest = [*node.orelse, *node.finalbody]
        rest += [s for handler in node.handlers for s in handler.body]
        live = after.union(*(names_read(s) for s in rest))
        live = live.union(*(names_read(h.type) for h in node.handlers if h.type))
        for block in (node.body, rest):
            for statement in block:
                self.statement(statement, live | names_read(node))
        return live | names_read(node)


def annotate(node: ast.FunctionDef) -> None:
    """Annotate a function whose body has no jumps."""
    Liveness(captured(node)).block(node.body, set())


def _assigned(targets: Sequence[ast.expr]) -> set[str]:
    """The plain names that an assignment surely binds."""
    names: set[str] = set()
    for target in targets:
        if isinstance(target, ast.Name):
            names.add(target.id)
        elif isinstance(target, ast.Tuple | ast.List):
            names |= _assigned(target.elts)
        elif isinstance(target, ast.Starred):
            names |= _assigned([target.value])
    return names
