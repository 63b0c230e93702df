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
import copy
from collections.abc import Sequence
from typing import Any

from tracejit.frontend.expressions import (
    BINARY,
    EMITTER,
    HOOK,
    Expressions,
    call_hook,
    load,
    store,
    text,
)
from tracejit.frontend.jumps import jumps_to_flags
from tracejit.frontend.liveness import annotate
from tracejit.frontend.matches import matches_to_branches
from tracejit.frontend.scopes import arguments, scope_of
from tracejit.frontend.yields import is_generator, yields_to_calls

#: Names of thunks in lifted code start with this.
THUNK = "_tj_of_"


class Meta:
    """What the hooks are told about one `if` or loop.

    `live` are the variables that matter after an `if`, `head` those that matter when a
    round of a loop ends, `again` those whose value the next round reads; `exits` are
    the flags that end the loop early.
    """

    def __init__(self, node: object = None):
        self.live: frozenset[str] = frozenset(getattr(node, "live", ()))
        self.head: frozenset[str] = frozenset(getattr(node, "head", ()))
        self.again: frozenset[str] = frozenset(getattr(node, "again", ()))
        self.exits: tuple[str, ...] = tuple(getattr(node, "exits", ()))

    def carrying(self, name: str) -> Meta:
        """The same, of a body that counts in a variable."""
        new = Meta(self)
        new.live, new.head, new.again = (
            names | {name} for names in (self.live, self.head, self.again)
        )
        return new


NO_META = Meta()


class Lifter(Expressions):
    """Rewrites the body of one function, and of those defined in it."""

    # Functions ------------------------------------------------------------------------

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """A `def`, decorators and defaults aside."""
        matches_to_branches(node)
        return self._generator(node) if is_generator(node) else self._plain(node, False)

    def _generator(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """A function of the same parameters that gives both forms of a generator."""
        lazy, each = copy.deepcopy(node), copy.deepcopy(node)
        can_push = yields_to_calls(each)
        self.names.append(node.name)
        parts = [self.thunk("lazy", self._plain(lazy, True).body, node)]
        forms: list[ast.expr] = [load(self.thunk_name("lazy")), text(None)]
        if can_push:
            body = self._plain(each, False).body
            parts.append(self.thunk("each", body, node, EMITTER))
            forms[1] = load(self.thunk_name("each"))
        self.names.pop()
        result = ast.Return(call_hook("generator", *forms))
        node.body = [*parts, result]
        node.args, node.returns = lazy.args, None
        return ast.fix_missing_locations(node)

    def _plain(self, node: ast.FunctionDef, native: bool) -> ast.FunctionDef:
        """`native`: its statements stay Python's, as no function can hold a `yield`."""
        saved = self.scope, self.native
        self.scope = scope = scope_of(node, self.scope, self.depth)
        self.native = native
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
        frame: list[ast.stmt] = [ast.Assign([store(scope.frame)], call_hook("frame"))]
        for name in first:
            target = ast.Attribute(load(scope.frame), name, ast.Store())
            rest = node.args.kwarg is not None and node.args.kwarg.arg == name
            value = call_hook("made", load(name)) if rest else load(name)
            frame.append(ast.Assign([target], value))
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
        value: ast.expr = load(name)
        for decorator in reversed(decorators):
            value = ast.copy_location(call_hook("call", decorator, value), decorator)
        return [node, *self.bind(store(name), value)]

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
        value: ast.expr = load(node.name)
        for decorator in reversed(decorators):
            value = ast.copy_location(call_hook("call", decorator, value), decorator)
        return [node, *self.bind(store(node.name), value)]

    def bind(self, target: ast.expr, value: ast.expr) -> list[ast.stmt]:
        """Statements that assign `value` (already rewritten) to a target."""
        if isinstance(target, ast.Tuple | ast.List):
            return self._unpack(target, value)
        if isinstance(target, ast.Name):
            return [self._bind_name(target, value)]
        if isinstance(target, ast.Attribute):
            where = [self.visit(target.value), text(self.mangled(target.attr))]
            stored = call_hook("set_attr", value, *where)
        else:
            assert isinstance(target, ast.Subscript)
            where = [self.visit(target.value), self.visit(target.slice)]
            stored = call_hook("set_item", value, *where)
        return [ast.Expr(ast.copy_location(stored, target))]

    def _bind_name(self, target: ast.Name, value: ast.expr) -> ast.stmt:
        scope = self.scope.find(target.id)
        name = text(self.mangled(target.id))
        if scope is None:
            kind = "closure" if target.id in self.freevars else "global"
            return ast.Expr(call_hook(f"set_{kind}", name, value))
        if scope.kind != "function":
            return ast.Assign([store(target.id)], value)
        if scope is not self.scope.function:
            return ast.Expr(call_hook("set_local", load(scope.frame), name, value))
        place = ast.Attribute(load(scope.frame), target.id, ast.Store())
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
                ast.Starred(store(name), ast.Store()) if starred else store(name)
            )
            new = call_hook("made", load(name)) if starred else load(name)
            stores += self.bind(inner, new)
        source = ast.copy_location(call_hook("iter", value), value)
        return [ast.Assign([ast.Tuple(names, ast.Store())], source), *stores]

    # Statements -----------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        value = self.visit(node.value)
        if len(node.targets) == 1:
            return self.bind(node.targets[0], value)
        name = self.temporary()
        out: list[ast.stmt] = [ast.Assign([store(name)], value)]
        for target in node.targets:
            out += self.bind(target, load(name))
        return out

    def visit_AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is None:
            return [ast.Pass()]
        return self.bind(node.target, self.visit(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        symbol = text("i" + BINARY[type(node.op)].removesuffix("_"))
        target = node.target
        if isinstance(target, ast.Name):
            old: ast.expr = ast.copy_location(load(target.id), target)
            if self.scope.find(target.id) is None:
                old = call_hook("to_update", text(self.mangled(target.id)))
                ast.copy_location(old, target)
            else:
                old = self.visit(old)
            new = call_hook("iop", symbol, old, self.visit(node.value))
            return self.bind(target, ast.copy_location(new, node))
        holder = self.temporary()
        first = ast.NamedExpr(store(holder), self.visit(target.value))
        if isinstance(target, ast.Attribute):
            part = text(self.mangled(target.attr))
            old = call_hook("attr_to_update", first, part)
            key: ast.expr = part
            hook = "set_attr"
        else:
            name = self.temporary()
            old = call_hook(
                "item_to_update",
                first,
                ast.NamedExpr(store(name), self.visit(target.slice)),
            )
            key = load(name)
            hook = "set_item"
        ast.copy_location(old, target)
        new = ast.copy_location(
            call_hook("iop", symbol, old, self.visit(node.value)), node
        )
        return [
            ast.Expr(ast.copy_location(call_hook(hook, new, load(holder), key), node))
        ]

    def visit_Delete(self, node: ast.Delete) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for target in node.targets:
            if isinstance(target, ast.Name):
                out.append(ast.Delete([self.visit(target)]))
            elif isinstance(target, ast.Attribute):
                out.append(
                    ast.Expr(
                        call_hook(
                            "del_attr", self.visit(target.value), text(target.attr)
                        )
                    )
                )
            elif isinstance(target, ast.Subscript):
                part = self.visit(target.slice)
                out.append(
                    ast.Expr(call_hook("del_item", self.visit(target.value), part))
                )
        return out

    def visit_Global(self, node: ast.AST) -> ast.stmt:
        return ast.Pass()

    visit_Nonlocal = visit_Global

    def visit_Import(self, node: Any) -> list[ast.stmt]:
        names = [a.asname or a.name.split(".")[0] for a in node.names]
        out: list[ast.stmt] = [node]
        for name in names:
            out += self.bind(store(name), load(name))
        return out

    visit_ImportFrom = visit_Import

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        error = ast.Call(load("AssertionError"), [node.msg] if node.msg else [], [])
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
        cause = self.visit(node.cause) if node.cause else text(None)
        return ast.Expr(ast.copy_location(call_hook("raise", error, cause), node))

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_With(self, node: ast.With) -> ast.stmt:
        before: list[ast.stmt] = []
        for item in node.items:
            item.context_expr = call_hook("context", self.visit(item.context_expr))
            if item.optional_vars is not None:
                name = self.temporary()
                before += self.bind(item.optional_vars, load(name))
                item.optional_vars = store(name)
        node.body = [*before, *self.block(node.body)]
        return node

    def visit_Try(self, node: ast.Try) -> ast.stmt:
        node.body = self.block(node.body)
        if node.handlers:
            mark = self.temporary()
            start = ast.Assign([store(mark)], call_hook("try_begins"))
            kinds = [copy.deepcopy(h.type) or text(None) for h in node.handlers]
            types = [self.thunk_expr(kind) for kind in kinds]
            end = ast.Expr(call_hook("try_ends", load(mark), *types))
            node.body = [start, *node.body, end]
        for handler in node.handlers:
            handler.type = handler.type and self.visit(handler.type)
            begin: list[ast.stmt] = [ast.Expr(call_hook("caught"))]
            end_: list[ast.stmt] = []
            if handler.name:
                name, handler.name = handler.name, self.temporary()
                begin += self.bind(store(name), load(handler.name))
                place = self.visit_Name(ast.Name(name, ast.Del()))
                end_ = [
                    ast.Expr(
                        call_hook("forget", load(self.scope.function.frame), text(name))
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
        other: ast.expr = text(None)
        if node.orelse:
            orelse = [self.thunk("else", self.block(node.orelse), node)]
            other = load(self.thunk_name("else"))
        call = call_hook(
            "if",
            self.frame,
            test,
            load(self.thunk_name("then")),
            other,
            self.meta(node),
        )
        ast.copy_location(call, test)
        return [then, *orelse, ast.Expr(call)]

    def visit_For(self, node: ast.For) -> Any:
        source = self.visit(node.iter)
        if self.native:
            item = self.temporary()
            bind = self.bind(node.target, load(item))
            node.target, node.iter = store(item), call_hook("iter", source)
            node.body = [*bind, *self.block(node.body)]
            node.orelse = self.block(node.orelse) if node.orelse else []
            return node
        item = self.temporary()
        bind = self.bind(node.target, load(item))
        for statement in bind:
            ast.copy_location(statement, node.target)
            ast.fix_missing_locations(statement)
        body = self.thunk("loop", [*bind, *self.block(node.body)], node, item)
        name = load(self.thunk_name("loop"))
        call = call_hook("for", self.frame, source, name, self.meta(node))
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
        name = load(self.thunk_name("loop"))
        call = call_hook("while", self.frame, self.delayed(test), name, self.meta(node))
        ast.copy_location(call, test)
        return [body, ast.Expr(call)]

    @property
    def frame(self) -> ast.expr:
        return load(self.scope.function.frame)

    def meta(self, node: ast.stmt) -> ast.expr:
        name = f"{HOOK}m{len(self.metas)}"
        self.metas[name] = Meta(node)
        return load(name)

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
