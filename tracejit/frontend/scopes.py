"""Which scope each name of a lifted function belongs to.

Names are bound as Python binds them: a function, lambda, comprehension or class is a
scope; `global` and `nonlocal` redirect; what no scope binds comes from outside the
lifted source, through a closure cell, the globals or the builtins.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Function = ast.FunctionDef | ast.Lambda


@dataclass(eq=False)
class Scope:
    """One scope. The variables of a `function` live in a frame object, the others
    stay plain Python variables."""

    kind: str
    parent: Scope | None
    bound: set[str]
    outer: dict[str, str] = field(default_factory=dict)
    frame: str = ""

    def find(self, name: str) -> Scope | None:
        """The scope whose variable `name` is here; None: it comes from outside."""
        redirect = self.outer.get(name)
        if redirect == "global":
            return None
        if redirect is None and name in self.bound:
            return self
        scope = self.parent
        while scope is not None:
            if scope.outer.get(name) == "global":
                return None
            # The body of a class is not seen from the functions in it.
            if scope.kind != "class" and name in scope.bound:
                if name not in scope.outer:
                    return scope
            scope = scope.parent
        return None

    @property
    def in_class(self) -> bool:
        """Whether a class stands around it, in the source that is lifted."""
        parent = self.parent
        return parent is not None and (parent.kind == "class" or parent.in_class)

    @property
    def function(self) -> Scope:
        """The innermost scope with a frame, this one included."""
        scope = self
        while scope.kind != "function":
            assert scope.parent is not None
            scope = scope.parent
        return scope


def arguments(node: Function) -> list[str]:
    """The names of all parameters, in the order of the signature."""
    a = node.args
    args = [*a.posonlyargs, *a.args, *([a.vararg] if a.vararg else []), *a.kwonlyargs]
    return [arg.arg for arg in [*args, *([a.kwarg] if a.kwarg else [])]]


def children(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes inside `node` that are evaluated in its own scope."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            for part in _evaluated_outside(child):
                yield part
                yield from children(part)
        elif isinstance(child, ast.Lambda):
            for default in [*child.args.defaults, *child.args.kw_defaults]:
                if default is not None:
                    yield default
                    yield from children(default)
        elif isinstance(child, COMPREHENSIONS):
            first = child.generators[0].iter
            yield first
            yield from children(first)
            # A walrus in a comprehension binds in the scope around it.
            yield from (n for n in ast.walk(child) if isinstance(n, ast.NamedExpr))
        else:
            yield from children(child)


def _evaluated_outside(node: ast.AST) -> list[ast.AST]:
    """Of a function or class: decorators, defaults and bases."""
    parts: list[ast.AST] = list(node.decorator_list)  # type: ignore[attr-defined]
    if isinstance(node, ast.ClassDef):
        return [*parts, *node.bases, *(k.value for k in node.keywords)]
    args: ast.arguments = node.args  # type: ignore[attr-defined]
    defaults = [*args.defaults, *(d for d in args.kw_defaults if d is not None)]
    return [*parts, *defaults]


def _names_bound(node: ast.AST) -> set[str]:
    match node:
        case ast.Name(ctx=ast.Store() | ast.Del()):
            return {node.id}
        case ast.NamedExpr():
            return {node.target.id}
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.ExceptHandler(name=str()):
            return {node.name}  # type: ignore[arg-type]
        case ast.Import() | ast.ImportFrom():
            return {a.asname or a.name.split(".")[0] for a in node.names}
    return set()


def scope_of(node: ast.AST, parent: Scope | None, depth: int = 0) -> Scope:
    """The scope that a function, lambda, comprehension or class makes."""
    if isinstance(node, COMPREHENSIONS):
        targets = [n for g in node.generators for n in ast.walk(g.target)]
        names = {n.id for n in targets if isinstance(n, ast.Name)}
        return Scope("comprehension", parent, names)
    if isinstance(node, ast.Lambda):
        return Scope("lambda", parent, set(arguments(node)))
    kind = "class" if isinstance(node, ast.ClassDef) else "function"
    bound = set(arguments(node)) if isinstance(node, ast.FunctionDef) else set()
    scope = Scope(kind, parent, bound, frame=f"_l{depth}")
    body = ast.Module(node.body, [])  # type: ignore[attr-defined]
    for inner in children(body):
        scope.bound |= _names_bound(inner)
        if isinstance(inner, ast.Global | ast.Nonlocal):
            where = "global" if isinstance(inner, ast.Global) else "nonlocal"
            scope.outer.update(dict.fromkeys(inner.names, where))
    return scope


def names_read(node: ast.AST) -> set[str]:
    """Every name read anywhere inside `node`, inner functions included."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and _is_read(n)}


def _is_read(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load | ast.Del)


def captured(node: ast.AST) -> set[str]:
    """Names that functions, lambdas, generators and classes inside `node` mention.

    They may be read at any later time.
    """
    lazy = (*FUNCTIONS, ast.Lambda, ast.GeneratorExp, ast.ClassDef)
    names: set[str] = set()
    for inner in ast.walk(node):
        if inner is not node and isinstance(inner, lazy):
            names |= {n.id for n in ast.walk(inner) if isinstance(n, ast.Name)}
            for n in ast.walk(inner):
                if isinstance(n, ast.Nonlocal):
                    names |= set(n.names)
    return names
