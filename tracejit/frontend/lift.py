"""Rewriting a function's source so that its control flow can be staged.

    def f(x, n):                        def f(x, n):
        s = 0.0                             _l0 = frame(); _l0.x = x; _l0.n = n
        for i in range(n):                  _l0.s = 0.0
            s += x[i]                       def f(v):
        return s                                _l0.i = v
                                                _l0.s = iop("iadd", _l0.s, item(...))
                                            for_(_l0, call(range, _l0.n), f, meta)
                                            return _l0.s

Every local lives in a frame object, so that taking a snapshot, undoing and noticing
what was rebound are copies of one dict. Bodies and branches are functions over that
frame; calls, attributes, items and everything read from outside go through hooks (see
`control`, `calls`, `outside`). Lines and columns stay the user's.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from tracejit.frontend.jumps import NONE_OF, jumps_to_flags
from tracejit.frontend.liveness import annotate
from tracejit.frontend.scopes import COMPREHENSIONS, Scope, arguments, scope_of

#: Names of hooks in lifted code start with this; a thunk's with what follows.
HOOK = "_tj_"
THUNK = "_tj_of_"

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
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
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


class Meta:
    """What the hooks are told about one `if` or loop.

    `live` are the variables that matter after an `if`, `head` those that matter when a
    round of a loop ends, `again` those whose value the next round reads; `exits` are
    the flags that end the loop early.
    """

    def __init__(self, node: ast.stmt):
        self.line, self.col = node.lineno, node.col_offset
        self.live: frozenset[str] = frozenset(getattr(node, "live", ()))
        self.head: frozenset[str] = frozenset(getattr(node, "head", ()))
        self.again: frozenset[str] = frozenset(getattr(node, "again", ()))
        self.exits: tuple[str, ...] = tuple(getattr(node, "exits", ()))


def _hook(name: str) -> ast.expr:
    return ast.Name(HOOK + name, ast.Load())


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(_hook(name), list(args), [])


def _text(value: Any) -> ast.expr:
    return ast.Constant(value)


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _store(name: str) -> ast.expr:
    return ast.Name(name, ast.Store())


class Lifter(ast.NodeTransformer):
    """Rewrites the body of one function, and of those defined in it."""

    def __init__(self, freevars: Sequence[str], owner: str):
        self.freevars = frozenset(freevars)
        self.owner = owner  # the class whose private names are mangled
        self.metas: dict[str, Meta] = {}
        self.numbers: set[Any] = set()
        self.scope: Scope = None  # type: ignore[assignment]
        self.names: list[str] = []  # of the functions around
        self.native = False  # a generator: its statements stay as they are
        self.temporaries = 0
        self.depth = 0

    # Functions ------------------------------------------------------------------------

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """A `def`, decorators and defaults aside."""
        saved = self.scope, self.native
        self.scope = scope = scope_of(node, self.scope, self.depth)
        self.native = _is_generator(node)
        self.depth += 1
        self.names.append(node.name)
        first = arguments(node)
        node.first = first[0] if first else None  # type: ignore[attr-defined]
        scope.first = node.first  # type: ignore[attr-defined]
        if not self.native:
            node.body = jumps_to_flags(node.body)
            scope.bound |= {
                n.id
                for s in node.body
                for n in ast.walk(s)
                if isinstance(n, ast.Name) and n.id.startswith(".")
            }
            annotate(node)
        frame: list[ast.stmt] = [ast.Assign([_store(scope.frame)], _call("frame"))]
        for name in first:
            target = ast.Attribute(_load(scope.frame), name, ast.Store())
            frame.append(ast.Assign([target], _load(name)))
        for statement in frame:
            ast.copy_location(statement, node)
            ast.fix_missing_locations(statement)
        doc = ast.get_docstring(node, clean=False) is not None
        body = node.body[1:] if doc else node.body
        node.body = [*frame, *self.block(body)]
        for arg in ast.walk(node.args):
            if isinstance(arg, ast.arg):
                arg.annotation = None
        node.returns = None
        self.names.pop()
        self.depth -= 1
        self.scope, self.native = saved
        return node

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements of a block, rewritten; never empty."""
        out: list[ast.stmt] = []
        for node in body:
            new = self.visit(node)
            for statement in new if isinstance(new, list) else [new]:
                ast.copy_location(statement, node)
                ast.fix_missing_locations(statement)
                out.append(statement)
        return out or [ast.Pass()]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        decorators = [self.visit(d) for d in node.decorator_list]
        self._defaults(node.args)
        name = node.name
        node.decorator_list = []
        node = self.function(node)
        value = _load(name)
        for decorator in reversed(decorators):
            value = ast.copy_location(_call("call", decorator, value), decorator)
        return [node, *self.bind(_store(name), value)]

    def _defaults(self, args: ast.arguments) -> None:
        args.defaults = [self.visit(d) for d in args.defaults]
        args.kw_defaults = [d and self.visit(d) for d in args.kw_defaults]

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        self._defaults(node.args)
        return self.inner(node, self.lambda_)

    def lambda_(self, node: ast.Lambda) -> ast.expr:
        node.body = self.visit(node.body)
        return node

    def inner(self, node: Any, rewrite: Any) -> Any:
        """Rewrite in the scope that `node` makes."""
        saved, self.scope = self.scope, scope_of(node, self.scope, self.depth)
        try:
            return rewrite(node)
        finally:
            self.scope = saved

    def visit_ClassDef(self, node: ast.ClassDef) -> list[ast.stmt]:
        decorators = [self.visit(d) for d in node.decorator_list]
        node.bases = [self.visit(b) for b in node.bases]
        node.keywords = [self.visit(k) for k in node.keywords]
        node.decorator_list = []
        saved = self.owner, self.native
        self.owner, self.native = node.name, True

        def body(node: ast.ClassDef) -> ast.ClassDef:
            node.body = self.block(node.body)
            return node

        node = self.inner(node, body)
        self.owner, self.native = saved
        value = _load(node.name)
        for decorator in reversed(decorators):
            value = ast.copy_location(_call("call", decorator, value), decorator)
        return [node, *self.bind(_store(node.name), value)]

    def comprehension(self, node: Any) -> Any:
        """A list, set, dict or generator expression: it runs as Python does."""
        first = self.visit(node.generators[0].iter)

        def rewrite(node: Any) -> Any:
            for k, part in enumerate(node.generators):
                part.iter = _call("iter", first if k == 0 else self.visit(part.iter))
                ast.copy_location(part.iter, first)
                part.ifs = [self.visit(test) for test in part.ifs]
            if isinstance(node, ast.DictComp):
                node.key, node.value = self.visit(node.key), self.visit(node.value)
            else:
                node.elt = self.visit(node.elt)
            return node

        return self.made(node, self.inner(node, rewrite))

    def made(self, node: ast.AST, new: ast.expr) -> ast.expr:
        """A new list, set, dict or generator, which the hooks are told of."""
        return ast.copy_location(_call("made", new), node)

    def visit_List(self, node: ast.List) -> ast.expr:
        return self.made(node, self.generic_visit(node))  # type: ignore[arg-type]

    visit_Set = visit_Dict = visit_List

    # Names ----------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == NONE_OF:
            return ast.copy_location(_hook("none_of"), node)
        scope = self.scope.find(node.id)
        if scope is None:
            name = self.mangled(node.id)
            kind = "closure" if name in self.freevars else "global"
            return ast.copy_location(_call(kind, _text(name)), node)
        if scope.kind != "function":
            return node
        return ast.copy_location(
            ast.Attribute(_load(scope.frame), node.id, node.ctx), node
        )

    def mangled(self, name: str) -> str:
        """A private name as the class it stands in makes it."""
        private = name.startswith("__") and not name.endswith("__")
        return f"_{self.owner.lstrip('_')}{name}" if private and self.owner else name

    def bind(self, target: ast.expr, value: ast.expr) -> list[ast.stmt]:
        """Statements that assign `value` (already rewritten) to a target."""
        if isinstance(target, ast.Tuple | ast.List):
            return self._unpack(target, value)
        if isinstance(target, ast.Name):
            return [self._bind_name(target, value)]
        if isinstance(target, ast.Attribute):
            where = [self.visit(target.value), _text(self.mangled(target.attr))]
            store = _call("set_attr", value, *where)
        else:
            assert isinstance(target, ast.Subscript)
            where = [self.visit(target.value), self.visit(target.slice)]
            store = _call("set_item", value, *where)
        return [ast.Expr(ast.copy_location(store, target))]

    def _bind_name(self, target: ast.Name, value: ast.expr) -> ast.stmt:
        scope = self.scope.find(target.id)
        name = _text(self.mangled(target.id))
        if scope is None:
            kind = "closure" if target.id in self.freevars else "global"
            return ast.Expr(_call(f"set_{kind}", name, value))
        if scope.kind != "function":
            return ast.Assign([_store(target.id)], value)
        if scope is not self.scope.function:
            return ast.Expr(_call("set_local", _load(scope.frame), name, value))
        place = ast.Attribute(_load(scope.frame), target.id, ast.Store())
        return ast.Assign([place], value)

    def _unpack(self, target: ast.Tuple | ast.List, value: ast.expr) -> list[ast.stmt]:
        """Unpack into temporaries, then store one after the other, as Python does."""
        names: list[ast.expr] = []
        stores: list[ast.stmt] = []
        for element in target.elts:
            starred = isinstance(element, ast.Starred)
            inner = element.value if isinstance(element, ast.Starred) else element
            name = self.temporary()
            names.append(
                ast.Starred(_store(name), ast.Store()) if starred else _store(name)
            )
            new = _call("made", _load(name)) if starred else _load(name)
            stores += self.bind(inner, new)
        source = ast.copy_location(_call("iter", value), value)
        return [ast.Assign([ast.Tuple(names, ast.Store())], source), *stores]

    def temporary(self) -> str:
        """The name of a plain variable that no user name meets."""
        self.temporaries += 1
        return f"{HOOK}t{self.temporaries}"

    # Statements -----------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        value = self.visit(node.value)
        if len(node.targets) == 1:
            return self.bind(node.targets[0], value)
        name = self.temporary()
        out: list[ast.stmt] = [ast.Assign([_store(name)], value)]
        for target in node.targets:
            out += self.bind(target, _load(name))
        return out

    def visit_AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is None:
            return [ast.Pass()]
        return self.bind(node.target, self.visit(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        symbol = _text("i" + BINARY[type(node.op)].removesuffix("_"))
        target = node.target
        if isinstance(target, ast.Name):
            old = self.visit_Name(ast.copy_location(_load(target.id), target))  # type: ignore[arg-type]
            new = _call("iop", symbol, old, self.visit(node.value))
            return self.bind(target, ast.copy_location(new, node))
        holder = self.temporary()
        first = ast.NamedExpr(_store(holder), self.visit(target.value))
        if isinstance(target, ast.Attribute):
            part = _text(self.mangled(target.attr))
            old = _call("attr_to_update", first, part)
            key: ast.expr = part
            store = "set_attr"
        else:
            name = self.temporary()
            old = _call(
                "item_to_update",
                first,
                ast.NamedExpr(_store(name), self.visit(target.slice)),
            )
            key = _load(name)
            store = "set_item"
        ast.copy_location(old, target)
        new = ast.copy_location(_call("iop", symbol, old, self.visit(node.value)), node)
        return [
            ast.Expr(ast.copy_location(_call(store, new, _load(holder), key), node))
        ]

    def visit_Delete(self, node: ast.Delete) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for target in node.targets:
            if isinstance(target, ast.Name):
                out.append(ast.Delete([self.visit(target)]))
            elif isinstance(target, ast.Attribute):
                out.append(
                    ast.Expr(
                        _call("del_attr", self.visit(target.value), _text(target.attr))
                    )
                )
            elif isinstance(target, ast.Subscript):
                part = self.visit(target.slice)
                out.append(ast.Expr(_call("del_item", self.visit(target.value), part)))
        return out

    def visit_Global(self, node: ast.AST) -> ast.stmt:
        return ast.Pass()

    visit_Nonlocal = visit_Global

    def visit_Import(self, node: Any) -> list[ast.stmt]:
        names = [a.asname or a.name.split(".")[0] for a in node.names]
        out: list[ast.stmt] = [node]
        for name in names:
            out += self.bind(_store(name), _load(name))
        return out

    visit_ImportFrom = visit_Import

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        error = ast.Call(_load("AssertionError"), [node.msg] if node.msg else [], [])
        raised = ast.copy_location(ast.Raise(error, None), node)
        test = ast.UnaryOp(ast.Not(), node.test)
        new = ast.copy_location(ast.If(test, [raised], []), node)
        new.live = self.scope.function.bound  # type: ignore[attr-defined]
        ast.fix_missing_locations(new)
        return self.block([new])

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        if node.exc is None or self.native:
            return self.generic_visit(node)  # type: ignore[return-value]
        error = ast.copy_location(self.thunk_expr(node.exc), node)
        cause = self.visit(node.cause) if node.cause else _text(None)
        return ast.Expr(ast.copy_location(_call("raise", error, cause), node))

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_With(self, node: ast.With) -> ast.stmt:
        before: list[ast.stmt] = []
        for item in node.items:
            item.context_expr = self.visit(item.context_expr)
            if item.optional_vars is not None:
                name = self.temporary()
                before += self.bind(item.optional_vars, _load(name))
                item.optional_vars = _store(name)
        node.body = [*before, *self.block(node.body)]
        return node

    def visit_Try(self, node: ast.Try) -> ast.stmt:
        node.body = self.block(node.body)
        if node.handlers:
            mark = self.temporary()
            start = ast.Assign([_store(mark)], _call("try_begins"))
            end = ast.Expr(_call("try_ends", _load(mark)))
            node.body = [start, *node.body, end]
        for handler in node.handlers:
            handler.type = handler.type and self.visit(handler.type)
            begin: list[ast.stmt] = [ast.Expr(_call("caught"))]
            end_: list[ast.stmt] = []
            if handler.name:
                name, handler.name = handler.name, self.temporary()
                begin += self.bind(_store(name), _load(handler.name))
                place = self.visit_Name(ast.Name(name, ast.Del()))
                end_ = [
                    ast.Expr(
                        _call("forget", _load(self.scope.function.frame), _text(name))
                    )
                ]
                if not isinstance(place, ast.Attribute):
                    end_ = []
            handler.body = [*begin, *self.block(handler.body), *end_]
        node.orelse = self.block(node.orelse) if node.orelse else []
        node.finalbody = self.block(node.finalbody) if node.finalbody else []
        return node

    # Control flow ---------------------------------------------------------------------

    def visit_If(self, node: ast.If) -> Any:
        test = self.test(node.test)
        if self.native:
            node.test = test
            node.body = self.block(node.body)
            node.orelse = self.block(node.orelse) if node.orelse else []
            return node
        then = self.thunk("then", self.block(node.body), node)
        orelse: list[ast.stmt] = []
        other: ast.expr = _text(None)
        if node.orelse:
            orelse = [self.thunk("else", self.block(node.orelse), node)]
            other = _load(self.thunk_name("else"))
        call = _call(
            "if",
            self.frame,
            test,
            _load(self.thunk_name("then")),
            other,
            self.meta(node),
        )
        ast.copy_location(call, test)
        return [then, *orelse, ast.Expr(call)]

    def visit_For(self, node: ast.For) -> Any:
        source = self.visit(node.iter)
        if self.native:
            name = self.temporary()
            bind = self.bind(node.target, _load(name))
            node.target, node.iter = _store(name), _call("iter", source)
            node.body = [*bind, *self.block(node.body)]
            node.orelse = self.block(node.orelse) if node.orelse else []
            return node
        value = self.temporary()
        bind = self.bind(node.target, _load(value))
        for statement in bind:
            ast.copy_location(statement, node.target)
            ast.fix_missing_locations(statement)
        body = self.thunk("loop", [*bind, *self.block(node.body)], node, value)
        name = _load(self.thunk_name("loop"))
        call = _call("for", self.frame, source, name, self.meta(node))
        ast.copy_location(call, node.iter)
        return [body, ast.Expr(call)]

    def visit_While(self, node: ast.While) -> Any:
        test = self.test(node.test)
        if self.native:
            node.test = test
            node.body = self.block(node.body)
            node.orelse = self.block(node.orelse) if node.orelse else []
            return node
        body = self.thunk("loop", self.block(node.body), node)
        name = _load(self.thunk_name("loop"))
        call = _call("while", self.frame, self.delayed(test), name, self.meta(node))
        ast.copy_location(call, test)
        return [body, ast.Expr(call)]

    @property
    def frame(self) -> ast.expr:
        return _load(self.scope.function.frame)

    def meta(self, node: ast.stmt) -> ast.expr:
        name = f"{HOOK}m{len(self.metas)}"
        self.metas[name] = Meta(node)
        return _load(name)

    def thunk_name(self, part: str) -> str:
        return f"{THUNK}{part}_{self.names[-1]}"

    def thunk(
        self, part: str, body: list[ast.stmt], where: ast.AST, *params: str
    ) -> ast.FunctionDef:
        """A block as a function over the frame."""
        args = ast.arguments([], [ast.arg(p) for p in params], None, [], [], None, [])
        name = self.thunk_name(part)
        node = ast.FunctionDef(name, args, body, [], None, None, type_params=[])  # type: ignore
        return ast.copy_location(node, where)

    # Expressions ----------------------------------------------------------------------

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
        return ast.copy_location(_call(kind, self.visit(first), *thunks), node)

    def test(self, node: ast.expr) -> ast.expr:
        """An expression of which only the truth matters."""
        if isinstance(node, ast.BoolOp):
            kind = "all_of" if isinstance(node.op, ast.And) else "any_of"
            first, *rest = node.values
            thunks = [self.delayed(self.test(v)) for v in rest]
            return ast.copy_location(_call(kind, self.test(first), *thunks), node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ast.copy_location(_call("not", self.test(node.operand)), node)
        return self.visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        sides = self.thunk_expr(node.body), self.thunk_expr(node.orelse)
        return ast.copy_location(_call("choose", self.test(node.test), *sides), node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Not):
            return self.test(node)
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) == 1:
            return self.generic_visit(node)  # type: ignore[return-value]
        symbols = [_text(COMPARISONS[type(op)]) for op in node.ops]
        thunks = [self.thunk_expr(c) for c in node.comparators]
        new = _call(
            "compare",
            ast.Tuple(symbols, ast.Load()),
            self.visit(node.left),
            *thunks,
        )
        return ast.copy_location(new, node)

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
        new = _call("set_local", _load(found.frame), _text(name), value)
        return ast.copy_location(new, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = self.visit(node.value)
        new = _call("attr", value, _text(self.mangled(node.attr)))
        return ast.copy_location(new, node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        value, key = self.visit(node.value), self.visit(node.slice)
        return ast.copy_location(_call("item", value, key), node)

    def visit_Slice(self, node: ast.Slice) -> ast.expr:
        parts = [
            self.visit(p) if p is not None else _text(None)
            for p in (node.lower, node.upper, node.step)
        ]
        return ast.copy_location(_call("slice", *parts), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if self._is_super(node):
            frame = self.scope.function
            first = ast.Attribute(_load(frame.frame), frame.first, ast.Load())  # type: ignore
            owner = self.visit_Name(ast.Name("__class__", ast.Load()))
            new = ast.Call(_hook("call"), [_hook("super"), owner, first], [])
            return ast.copy_location(new, node)
        if isinstance(node.func, ast.Name) and node.func.id == NONE_OF:
            return self.generic_visit(node)  # type: ignore[return-value]
        args = [_hook("call"), self.visit(node.func)]
        node.args = [self.visit(a) for a in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
            if keyword.arg is None:
                keyword.value = _call("mapping", keyword.value)
        node.func, node.args = args[0], [args[1], *node.args]
        return node

    def _is_super(self, node: ast.Call) -> bool:
        is_super = isinstance(node.func, ast.Name) and node.func.id == "super"
        return is_super and not node.args and self.scope.find("super") is None

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        node.value = _call("iter", self.visit(node.value))
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, int | float | complex):
            self.numbers.add(node.value)
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension


def _is_generator(node: ast.FunctionDef) -> bool:
    own = ast.Lambda, ast.FunctionDef, ast.ClassDef, *COMPREHENSIONS

    def search(part: ast.AST) -> bool:
        if isinstance(part, ast.Yield | ast.YieldFrom):
            return True
        if isinstance(part, own) and part is not node:
            return False
        return any(search(child) for child in ast.iter_child_nodes(part))

    return search(node)
