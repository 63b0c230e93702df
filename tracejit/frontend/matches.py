"""`match`, turned into `if` and `elif` before anything else is.

    match p:                        .subject1 = p
        case (a, 0.0):              if ((.parts2 := .sequence(.subject1, 2)) is not None
            f(a)                        and .parts2[1] == 0.0 and (a := .parts2[0],)):
        case Circle(r=r):               f(a)
            g(r)                    elif …

Comparisons with traced data thereby become branches; structure is Python's.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SEQUENCE, MAPPING, CLASS = ".sequence", ".mapping_parts", ".class"
_SELF_MATCHING = (
    *(bool, bytearray, bytes, dict, float, frozenset, int, list, set, str, tuple),
)


def matches_to_branches(node: ast.FunctionDef) -> None:
    """Rewrite every `match` of a function, those of functions in it aside."""
    rewriter = _Rewriter()
    node.body = [s for old in node.body for s in rewriter.statement(old)]


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _all(tests: Sequence[ast.expr]) -> ast.expr:
    if not tests:
        return ast.Constant(True)
    return tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), list(tests))


class _Rewriter(ast.NodeTransformer):
    def __init__(self) -> None:
        self.count = 0

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        new = self.visit(node)
        return new if isinstance(new, list) else [new]

    def _keep(self, node: Any) -> Any:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _keep

    def new_name(self, kind: str) -> str:
        self.count += 1
        return f".{kind}{self.count}"

    def visit_Match(self, node: ast.Match) -> list[ast.stmt]:
        subject = self.new_name("subject")
        start = ast.Assign([ast.Name(subject, ast.Store())], node.subject)
        ast.copy_location(start, node.subject)
        chain: list[ast.stmt] = []
        for case in reversed(node.cases):
            names: list[ast.expr] = []
            tests = self.pattern(case.pattern, _name(subject), names)
            tests += [*names, *([case.guard] if case.guard else [])]
            body = [s for old in case.body for s in self.statement(old)]
            branch = ast.If(_all(tests), body, chain)
            ast.copy_location(branch.test, case.pattern)
            chain = [ast.copy_location(branch, case.pattern)]
        for statement in (start, *chain):
            ast.fix_missing_locations(statement)
        return [start, *chain]

    def pattern(
        self, node: ast.pattern, value: ast.expr, names: list[ast.expr]
    ) -> list[ast.expr]:
        """What must hold for `value` to match; `names`: captures, to be made last."""
        match node:
            case ast.MatchValue():
                return [ast.Compare(value, [ast.Eq()], [node.value])]
            case ast.MatchSingleton():
                return [ast.Compare(value, [ast.Is()], [ast.Constant(node.value)])]
            case ast.MatchOr():
                return [
                    ast.BoolOp(ast.Or(), [self.whole(p, value) for p in node.patterns])
                ]
            case ast.MatchAs():
                tests = self.pattern(node.pattern, value, names) if node.pattern else []
                self.bind(node.name, value, names)
                return tests
            case ast.MatchSequence():
                return self.sequence(node, value, names)
            case ast.MatchMapping():
                keys = ast.Tuple(node.keys, ast.Load())
                rest = ast.Constant(node.rest is not None)
                test, part = self.parts(MAPPING, value, keys, rest)
                tests = self.inner(node.patterns, part, names)
                if node.rest is not None:
                    self.bind(node.rest, part(len(node.keys)), names)
                return [test, *tests]
            case ast.MatchClass():
                count = ast.Constant(len(node.patterns))
                attrs = ast.Tuple([ast.Constant(n) for n in node.kwd_attrs], ast.Load())
                test, part = self.parts(CLASS, value, node.cls, count, attrs)
                inner = [*node.patterns, *node.kwd_patterns]
                return [test, *self.inner(inner, part, names)]
        raise AssertionError(node)

    def sequence(
        self, node: ast.MatchSequence, value: ast.expr, names: list[ast.expr]
    ) -> list[ast.expr]:
        stars = [isinstance(p, ast.MatchStar) for p in node.patterns]
        star = ast.Constant(stars.index(True) if any(stars) else None)
        count = ast.Constant(len(stars))
        test, part = self.parts(SEQUENCE, value, count, star)
        return [test, *self.inner(node.patterns, part, names)]

    def inner(
        self,
        patterns: Sequence[ast.pattern],
        part: Callable[[int], ast.expr],
        names: list[ast.expr],
    ) -> list[ast.expr]:
        tests: list[ast.expr] = []
        for k, pattern in enumerate(patterns):
            if isinstance(pattern, ast.MatchStar):
                self.bind(pattern.name, part(k), names)
            else:
                tests += self.pattern(pattern, part(k), names)
        return tests

    def whole(self, node: ast.pattern, value: ast.expr) -> ast.expr:
        """One side of `|`, which makes its captures itself."""
        names: list[ast.expr] = []
        tests = self.pattern(node, value, names)
        return _all([*tests, *names])

    def parts(
        self, kind: str, value: ast.expr, *args: ast.expr
    ) -> tuple[ast.expr, Callable[[int], ast.expr]]:
        """A test that takes `value` apart, and what the parts are called."""
        name = self.new_name("parts")
        found = ast.Call(_name(kind), [value, *args], [])
        bound = ast.NamedExpr(ast.Name(name, ast.Store()), found)
        test = ast.Compare(bound, [ast.IsNot()], [ast.Constant(None)])
        return test, lambda k: ast.Subscript(_name(name), ast.Constant(k), ast.Load())

    def bind(self, name: str | None, value: ast.expr, names: list[ast.expr]) -> None:
        if name is not None:
            bound = ast.NamedExpr(ast.Name(name, ast.Store()), value)
            names.append(
                ast.Tuple([bound], ast.Load())
            )  # it is true, whatever it holds


# What takes values apart while staging ------------------------------------------------


def as_sequence(value: Any, count: int, star: int | None) -> list[Any] | None:
    """The elements of a sequence of this length, those of the star in a list."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
        return None
    elements = list(value)
    if star is None:
        return elements if len(elements) == count else None
    after = count - 1 - star
    if len(elements) < count - 1:
        return None
    stop = len(elements) - after
    return [*elements[:star], elements[star:stop], *elements[stop:]]


def as_mapping(value: Any, keys: tuple[Any, ...], rest: bool) -> list[Any] | None:
    """The values of these keys, then a dict of the others."""
    if not isinstance(value, Mapping) or any(key not in value for key in keys):
        return None
    others = {k: v for k, v in value.items() if k not in keys}
    return [*(value[key] for key in keys), *([others] if rest else [])]


def as_instance(
    value: Any,
    cls: Any,
    count: int,
    names: tuple[str, ...],
    attribute: Callable[[Any, str], Any],
    type_of: Callable[[Any], type],
) -> list[Any] | None:
    """The attributes of an instance of a class: first those that it orders."""
    if not isinstance(cls, type):
        raise TypeError("called match pattern must be a class")
    if not issubclass(type_of(value), cls):
        return None
    own = issubclass(cls, _SELF_MATCHING) and "__match_args__" not in vars(cls)
    if own and count == 1:
        return [value, *(attribute(value, name) for name in names)]
    ordered = getattr(cls, "__match_args__", ())
    if len(ordered) < count:
        raise TypeError(
            f"{cls.__name__}() accepts {len(ordered)} positional sub-patterns "
            f"({count} given)"
        )
    wanted = [*ordered[:count], *names]
    if not all(hasattr(value, name) for name in wanted):
        return None
    return [attribute(value, name) for name in wanted]
