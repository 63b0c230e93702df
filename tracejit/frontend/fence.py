"""What is refused before anything runs, with a caret under it."""

from __future__ import annotations

import ast

from tracejit.base.errors import FenceError
from tracejit.base.source import SrcLoc

_REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.AsyncFunctionDef: ("`async def`", "write a plain function"),
    ast.AsyncFor: ("`async for`", "write a plain loop"),
    ast.AsyncWith: ("`async with`", "write a plain `with`"),
    ast.Await: ("`await`", "call a plain function"),
    ast.TryStar: ("`except*`", "use `except`"),
}
_CALLS = {
    "locals": "name the variables",
    "vars": "use `obj.__dict__`",
    "exec": "write the code itself",
    "eval": "write the expression itself",
}


def check(node: ast.FunctionDef | ast.Lambda, filename: str) -> None:
    """Raise FenceError at the first construct that cannot be lifted."""
    name = getattr(node, "name", "<lambda>")
    for part in ast.walk(node):
        found = _REFUSED.get(type(part))
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
            if part.func.id in _CALLS and not (part.func.id == "vars" and part.args):
                found = f"`{part.func.id}()`", _CALLS[part.func.id]
        if isinstance(part, ast.ImportFrom) and part.names[0].name == "*":
            found = "`import *`", "import names"
        if found is not None:
            what, cure = found
            raise FenceError(
                f"{what} cannot be staged", _loc(part, filename, name), cure
            )


def _loc(node: ast.AST, filename: str, function: str) -> SrcLoc:
    line, col = node.lineno, node.col_offset  # type: ignore[attr-defined]
    one_line = node.end_lineno == line  # type: ignore[attr-defined]
    end = node.end_col_offset if one_line else None  # type: ignore[attr-defined]
    return SrcLoc(filename, line, col, end, function)
