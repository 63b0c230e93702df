"""Rewriting the expressions of a function: names, calls, logic, comprehensions.

Each becomes a call of a hook, or stays. `lift` does the statements.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence
from typing import Any

from tracejit.frontend.jumps import NONE_OF
from tracejit.frontend.matches import CLASS, MAPPING, SEQUENCE
from tracejit.frontend.scopes import Scope, scope_of
from tracejit.frontend.yields import EMIT

#: Names of hooks in lifted code start with this.
HOOK = "_tj_"
EMITTER = HOOK + EMIT[1:]
#: The frame and the Meta of the loops of a pushed comprehension.
FRAME, META = HOOK + "loop_frame", HOOK + "loop_meta"

BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
    ast.BitXor: "xor",
}
UNARY: dict[type[ast.unaryop], str] = {
    ast.USub: "neg",
    ast.UAdd: "pos",
    ast.Invert: "invert",
}
COMPARISONS = {
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Is: "is_",
    ast.IsNot: "is_not",
    ast.In: "in_",
    ast.NotIn: "not_in",
}


#: Hooks that earlier rewritings call, by names of theirs.
INTRINSICS = {name: name[1:] for name in (NONE_OF, SEQUENCE, MAPPING, CLASS, EMIT)}


def hook(name: str) -> ast.expr:
    """A hook, by its name in `control`."""
    return ast.Name(HOOK + name, ast.Load())


def call_hook(name: str, *args: ast.expr) -> ast.Call:
    """A call of a hook."""
    return ast.Call(hook(name), list(args), [])


def text(value: Any) -> ast.expr:
    """A constant."""
    return ast.Constant(value)


def load(name: str) -> ast.Name:
    """A plain variable, read."""
    return ast.Name(name, ast.Load())


def store(name: str) -> ast.Name:
    """A plain variable, assigned."""
    return ast.Name(name, ast.Store())


def _function(params: Sequence[str], value: ast.expr) -> ast.Lambda:
    args = [ast.arg(p) for p in params]
    return ast.Lambda(ast.arguments([], args, None, [], [], None, []), value)


def _is_simple(target: ast.expr) -> bool:
    """Whether an assignment to a target is what passing arguments is."""
    if isinstance(target, ast.Name):
        return True
    return isinstance(target, ast.Tuple | ast.List) and all(
        isinstance(t, ast.Name) for t in target.elts
    )


class Expressions(ast.NodeTransformer):
    """Rewrites expressions, in the scope that it stands in."""

    def __init__(self, freevars: Sequence[str], owner: str):
        self.freevars = frozenset(freevars)
        self.owner = owner  # the class whose private names are mangled
        self.metas: dict[str, Any] = {}
        self.numbers: set[Any] = set()
        self.scope: Scope = None  # type: ignore[assignment]
        self.names: list[str] = []  # of the functions around
        self.native = False  # a generator: its statements stay as they are
        self.temporaries = 0
        self.depth = 0

    # Scopes and names -------------------------------------------------------------

    def inner(self, node: Any, rewrite: Any) -> Any:
        """Rewrite in the scope that `node` makes."""
        saved, self.scope = self.scope, scope_of(node, self.scope, self.depth)
        try:
            return rewrite(node)
        finally:
            self.scope = saved

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in INTRINSICS:
            return ast.copy_location(hook(INTRINSICS[node.id]), node)
        scope = self.scope.find(node.id)
        if scope is None:
            name = self.mangled(node.id)
            kind = "closure" if name in self.freevars else "global"
            return ast.copy_location(call_hook(kind, text(name)), node)
        if scope.kind != "function":
            return node
        return ast.copy_location(
            ast.Attribute(load(scope.frame), node.id, node.ctx), node
        )

    def mangled(self, name: str) -> str:
        """A private name as the class it stands in makes it."""
        private = name.startswith("__") and not name.endswith("__")
        return f"_{self.owner.lstrip('_')}{name}" if private and self.owner else name

    def temporary(self) -> str:
        """The name of a plain variable that no user name meets."""
        self.temporaries += 1
        return f"{HOOK}t{self.temporaries}"

    # Functions and containers -----------------------------------------------------

    def _defaults(self, args: ast.arguments) -> None:
        args.defaults = [self.visit(d) for d in args.defaults]
        args.kw_defaults = [d and self.visit(d) for d in args.kw_defaults]

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        self._defaults(node.args)
        return self.inner(node, self.lambda_)

    def lambda_(self, node: ast.Lambda) -> ast.expr:
        node.body = self.visit(node.body)
        return node

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        """Pulled, it runs as Python does; pushed, it is a nest of loops."""
        return self._either(node, "genexp")

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        """As a generator expression, of which a list is made at once."""
        return self._either(node, "listcomp")

    def _either(self, node: ast.GeneratorExp | ast.ListComp, kind: str) -> ast.expr:
        simple = all(_is_simple(part.target) for part in node.generators)
        if not simple or any(isinstance(n, ast.NamedExpr) for n in ast.walk(node)):
            return self.comprehension(node)
        pushed, name = copy.deepcopy(node), self.temporary()
        source = self.visit(node.generators[0].iter)
        lazy = self.inner(node, lambda n: self._pulled(n, load(name)))
        each = self.inner(pushed, lambda n: self._pushed(n, load(name)))
        filtered = ast.Constant(any(part.ifs for part in node.generators))
        nested = ast.Constant(len(node.generators) > 1)
        ways = (
            _function([name], lazy),
            _function([EMITTER, name, FRAME, META], each),
        )
        new = call_hook(kind, source, *ways, filtered, nested)
        return self.made(node, new)

    def _pushed(
        self, node: ast.GeneratorExp | ast.ListComp, source: ast.expr
    ) -> ast.expr:
        loops = []
        for k, part in enumerate(node.generators):
            values = source if k == 0 else self.visit(part.iter)
            loops.append((part.target, values, [self.test(t) for t in part.ifs]))
        body: ast.expr = ast.Call(hook(EMIT[1:]), [self.visit(node.elt)], [])
        meta, frame = load(META), load(FRAME)
        for target, values, tests in reversed(loops):
            for test in reversed(tests):
                then = _function([], body)
                body = call_hook("if", frame, test, then, text(None), meta)
            names = [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]
            run = _function(names, body)
            if not isinstance(target, ast.Name):
                item = self.temporary()
                parts = ast.Starred(call_hook("iter", load(item)), ast.Load())
                run = _function([item], ast.Call(run, [parts], []))
            body = call_hook("for", frame, values, run, meta)
        return body

    def comprehension(self, node: Any) -> Any:
        """A list, set, dict or generator expression: it runs as Python does."""
        first = self.visit(node.generators[0].iter)
        return self.made(node, self.inner(node, lambda n: self._pulled(n, first)))

    def _pulled(self, node: Any, first: ast.expr) -> Any:
        for k, part in enumerate(node.generators):
            values = first if k == 0 else self.visit(part.iter)
            part.iter = ast.copy_location(call_hook("iter", values), node)
            part.ifs = [self.visit(test) for test in part.ifs]
        if isinstance(node, ast.DictComp):
            node.key, node.value = self.visit(node.key), self.visit(node.value)
        else:
            node.elt = self.visit(node.elt)
        return node

    def made(self, node: ast.AST, new: ast.expr) -> ast.expr:
        """A new list, set, dict or generator, which the hooks are told of."""
        return ast.copy_location(call_hook("made", new), node)

    def visit_List(self, node: ast.List) -> ast.expr:
        return self.made(node, self.generic_visit(node))  # type: ignore[arg-type]

    visit_Set = visit_List  # type: ignore[assignment]
    visit_Dict = visit_List  # type: ignore[assignment]
    visit_SetComp = visit_DictComp = comprehension

    # Logic ------------------------------------------------------------------------

    def delayed(self, value: ast.expr) -> ast.expr:
        """A rewritten expression as a function without parameters."""
        none = ast.arguments([], [], None, [], [], None, [])
        return ast.copy_location(ast.Lambda(none, value), value)

    def thunk_expr(self, value: ast.expr) -> ast.expr:
        return self.delayed(self.visit(value))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        kind = "and" if isinstance(node.op, ast.And) else "or"
        first, *rest = node.values
        thunks = [self.thunk_expr(v) for v in rest]
        return ast.copy_location(call_hook(kind, self.visit(first), *thunks), node)

    def test(self, node: ast.expr) -> ast.expr:
        """An expression of which only the truth matters."""
        if isinstance(node, ast.BoolOp):
            kind = "all_of" if isinstance(node.op, ast.And) else "any_of"
            first, *rest = node.values
            thunks = [self.delayed(self.test(v)) for v in rest]
            return ast.copy_location(call_hook(kind, self.test(first), *thunks), node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ast.copy_location(call_hook("not", self.test(node.operand)), node)
        return self.visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        sides = self.thunk_expr(node.body), self.thunk_expr(node.orelse)
        return ast.copy_location(
            call_hook("choose", self.test(node.test), *sides), node
        )

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Not):
            return self.test(node)
        if isinstance(node.operand, ast.Constant):
            return self.generic_visit(node)  # type: ignore[return-value]
        new = call_hook("unary", text(UNARY[type(node.op)]), self.visit(node.operand))
        return ast.copy_location(new, node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        symbol = text(BINARY[type(node.op)])
        sides = self.visit(node.left), self.visit(node.right)
        return ast.copy_location(call_hook("binary", symbol, *sides), node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) == 1:
            symbol = text(COMPARISONS[type(node.ops[0])])
            sides = self.visit(node.left), self.visit(node.comparators[0])
            return ast.copy_location(call_hook("binary", symbol, *sides), node)
        symbols = [text(COMPARISONS[type(op)]) for op in node.ops]
        thunks = [self.thunk_expr(c) for c in node.comparators]
        new = call_hook(
            "compare",
            ast.Tuple(symbols, ast.Load()),
            self.visit(node.left),
            *thunks,
        )
        return ast.copy_location(new, node)

    # Everything else --------------------------------------------------------------

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        value = self.visit(node.value)
        name = node.target.id
        scope = self.scope
        while scope.kind == "comprehension":
            assert scope.parent is not None
            scope = scope.parent
        found = scope.find(name)
        if found is None or found.kind != "function":
            return ast.copy_location(ast.NamedExpr(node.target, value), node)
        new = call_hook("set_local", load(found.frame), text(name), value)
        return ast.copy_location(new, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = self.visit(node.value)
        new = call_hook("attr", value, text(self.mangled(node.attr)))
        return ast.copy_location(new, node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        value, key = self.visit(node.value), self.visit(node.slice)
        return ast.copy_location(call_hook("item", value, key), node)

    def visit_Slice(self, node: ast.Slice) -> ast.expr:
        parts = [
            self.visit(p) if p is not None else text(None)
            for p in (node.lower, node.upper, node.step)
        ]
        return ast.copy_location(call_hook("slice", *parts), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if self._is_builtin(node, "super"):
            frame = self.scope.function
            first = ast.Attribute(load(frame.frame), frame.first, ast.Load())  # type: ignore
            # A class that stands in this source has Python's own cell for it.
            name = ast.Name("__class__", ast.Load())
            owner = name if self.scope.in_class else self.visit_Name(name)
            new = ast.Call(hook("call"), [hook("super"), owner, first], [])
            return ast.copy_location(new, node)
        if isinstance(node.func, ast.Name) and node.func.id in INTRINSICS:
            return self.generic_visit(node)  # type: ignore[return-value]
        if self._is_builtin(node, "globals"):
            return ast.copy_location(call_hook("globals"), node)
        args = [hook("call"), self.visit(node.func)]
        node.args = [self.visit(a) for a in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
            if keyword.arg is None:
                keyword.value = call_hook("mapping", keyword.value)
        node.func, node.args = args[0], [args[1], *node.args]
        return node

    def _is_builtin(self, node: ast.Call, name: str) -> bool:
        """Whether a call is `name()`, without arguments."""
        named = isinstance(node.func, ast.Name) and node.func.id == name
        return named and not node.args and self.scope.find(name) is None

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        node.value = call_hook("iter", self.visit(node.value))
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, int | float | complex):
            self.numbers.add(node.value)
        return node
