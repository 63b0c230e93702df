"""Generators: a consumer pulls their values, or its body is run at every `yield`.

    def g(x):                       for v in g(x):
        for i in range(len(x)):         s += v
            yield x[i] * 2

Pulled, a generator runs as Python runs it, and can decide nothing on traced data. So
wherever the whole of it is consumed it is *pushed*: `yield` calls the consumer's body,
in just the order of Python, and the loops and branches around it are staged as any.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from tracejit.frontend.growth import append
from tracejit.frontend.places import UNDEFINED, Frame, Variable
from tracejit.frontend.session import session
from tracejit.frontend.trace import Write

#: What `yield` calls, as a name in the source and as one in lifted code.
EMIT, STOP, EACH = ".emit", ".stop", ".each"


class Generator(Iterator[Any]):
    """What a generator function or expression gives.

    `lazy()` is Python's own generator; `each(emit)` calls `emit` with every value,
    until it returns true. `whole()` makes a list of all values, where `each` cannot be
    stopped.
    """

    def __init__(
        self,
        lazy: Callable[[], Any],
        each: Callable[[Callable[[Any], Any]], Any] | None,
        whole: Callable[[], list[Any]] | None = None,
    ):
        self.lazy, self.each, self.whole = lazy, each, whole
        self.running: Any = None

    def _started(self) -> Any:
        if self.running is None:
            self.running = self.lazy()
        return self.running

    def __next__(self) -> Any:
        return next(self._started())

    def send(self, value: Any) -> Any:
        """As Python's."""
        return self._started().send(value)

    def throw(self, *error: Any) -> Any:
        """As Python's."""
        return self._started().throw(*error)

    def close(self) -> None:
        """As Python's."""
        self._started().close()

    def can_push(self, stops: bool) -> bool:
        """Whether `push` may be called, for a consumer that may stop early."""
        return (
            self.each is not None
            and self.running is None
            and not (self.whole is not None and stops)
        )

    def push(self, emit: Callable[[Any], Any]) -> None:
        """Call `emit` with all values."""
        assert self.each is not None
        self.running = iter(())
        self.each(emit)

    def collect(self) -> list[Any]:
        """All values, in a list."""
        if not self.can_push(False):
            return session().make(list(self))
        if self.whole is not None:
            self.running = iter(())
            return session().make(self.whole())
        out: list[Any] = session().make([])

        def emit(value: Any) -> bool:
            append(out, value)
            return False

        self.push(emit)
        return out


def log_changes(frame: Frame, before: dict[str, Any], live: frozenset[str]) -> None:
    """Log what a consumer's body did to its variables: no Watch sees to that frame.

    Those that nothing reads afterwards are put back.
    """
    past = Frame()
    past.__dict__.update(before)
    names = {name.lstrip("?") for name in {**before, **frame.__dict__}}
    for name in sorted(names):
        place, old = Variable(frame, name, logged=True), Variable(past, name).get()
        if place.get() is old:
            continue
        if name not in live and not (old is UNDEFINED and name.startswith(".")):
            place.set(old)
        else:
            undo = _Restore(place, old)
            session().log.append(Write(place, undo))


class _Restore:
    def __init__(self, place: Variable, value: Any):
        self.place, self.value = place, value

    def __call__(self) -> None:
        self.place.set(self.value)


# The source ---------------------------------------------------------------------------


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
