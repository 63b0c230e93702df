"""From a function to its lifted form: finding the source, compiling, caching."""

from __future__ import annotations
import __future__

import ast
import copy
import functools
import linecache
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from tracejit.frontend import fence
from tracejit.frontend.expressions import HOOK
from tracejit.frontend.lift import THUNK, Lifter, Meta
from tracejit.frontend.outside import Surroundings
from tracejit.frontend.scopes import arguments
from tracejit.frontend.session import LIFTED, session

#: What lifted code calls, by name; `control` fills it.
HOOKS: dict[str, Any] = {}


@dataclass
class Lifted:
    """The lifted form of one code object."""

    code: CodeType
    metas: dict[str, Meta]
    numbers: frozenset[Any]


#: Flags of `from __future__ import …`: `exec` may hand them on to what it runs.
FUTURE = functools.reduce(
    operator.or_,
    (getattr(__future__, n).compiler_flag for n in __future__.all_feature_names),
)

_trees: dict[tuple[str, int, int], tuple[ast.Module, set[CodeType]] | None] = {}
_cache: dict[CodeType, Lifted | None] = {}


def is_lifted(fn: FunctionType) -> bool:
    """Whether a function is one of lifted code."""
    return LIFTED in fn.__globals__


def has_source(fn: FunctionType) -> bool:
    """Whether the source of a function can be found."""
    return _lift_code(fn) is not None


def lifted(fn: FunctionType) -> FunctionType:
    """The lifted form of a function that has source."""
    trace = session()
    found = trace.lifted.get(id(fn))
    if found is not None:
        return found[1]
    form = _lift_code(fn)
    assert form is not None
    trace.source_numbers |= form.numbers
    around = Surroundings(fn)
    namespace = {
        LIFTED: True,
        "__name__": fn.__module__,
        "__builtins__": fn.__globals__.get("__builtins__", {}),
        **{HOOK + name: hook for name, hook in HOOKS.items()},
        **form.metas,
        f"{HOOK}global": around.global_,
        f"{HOOK}closure": around.closure,
        f"{HOOK}globals": around.all_globals,
        f"{HOOK}to_update": around.to_update,
        f"{HOOK}set_global": around.set_global,
        f"{HOOK}set_closure": around.set_closure,
    }
    exec(form.code, namespace)
    new: FunctionType = namespace[f"{HOOK}result"]
    new.__defaults__, new.__kwdefaults__ = around.defaults(), around.keyword_defaults()
    new.__qualname__ = fn.__qualname__
    trace.lifted[id(fn)] = fn, new
    return new


def _lift_code(fn: FunctionType) -> Lifted | None:
    code = fn.__code__
    if code not in _cache:
        node = find(code)
        _cache[code] = None if node is None else _compile(fn, copy.deepcopy(node))
    return _cache[code]


def _compile(fn: FunctionType, node: ast.FunctionDef | ast.Lambda) -> Lifted:
    code = fn.__code__
    fence.check(node, code.co_filename)
    if isinstance(node, ast.Lambda):
        body = ast.copy_location(ast.Return(node.body), node.body)
        node = _definition("<lambda>", node.args, body)
    owner = fn.__qualname__.split(".")[-2:-1]
    lifter = Lifter(
        code.co_freevars, owner[0] if owner != ["<locals>"] and owner else ""
    )
    node.decorator_list = []
    node.args.defaults = [ast.Constant(None) for _ in node.args.defaults]
    node.args.kw_defaults = [d and ast.Constant(None) for d in node.args.kw_defaults]
    name, node.name = node.name, f"{HOOK}result"
    lifter.names.append(name)
    node = lifter.function(node)
    module = ast.fix_missing_locations(ast.Module([node], []))
    compiled = _renamed(compile(module, code.co_filename, "exec"), name)
    return Lifted(compiled, lifter.metas, frozenset(lifter.numbers))


def _definition(name: str, args: ast.arguments, body: ast.stmt) -> ast.FunctionDef:
    node = ast.FunctionDef(name, args, [body], [], None, None, type_params=[])  # type: ignore
    return ast.copy_location(node, body)


def _renamed(code: CodeType, result: str) -> CodeType:
    """Thunks get the name of the function that they are part of, for tracebacks."""
    consts = tuple(
        [_renamed(c, result) if isinstance(c, CodeType) else c for c in code.co_consts]
    )
    name = code.co_name
    if name.startswith(THUNK):
        name = name.removeprefix(THUNK).partition("_")[2]
    if name == f"{HOOK}result":
        name = result
    return code.replace(co_consts=consts, co_name=name, co_qualname=name)


# Finding the source -------------------------------------------------------------------


def find(code: CodeType) -> ast.FunctionDef | ast.Lambda | None:
    """The definition of a code object in its file, or None.

    The file may have been edited since, or be another's of the same name: what is
    found there must compile to this very code.
    """
    source = _parsed(code.co_filename, code.co_flags & FUTURE)
    if source is None:
        return None
    tree, codes = source
    node = _find(tree, code)
    if node is None or not (code in codes or _rewritten(node, code, codes)):
        return None
    return node


def _rewritten(
    node: ast.FunctionDef | ast.Lambda, code: CodeType, codes: set[CodeType]
) -> bool:
    """Whether the code differs from its source by its assertions alone.

    Test runners make them explain themselves, which adds names and constants.
    """
    if not any(isinstance(part, ast.Assert) for part in ast.walk(node)):
        return False
    return any(
        (c.co_name, c.co_firstlineno) == (code.co_name, code.co_firstlineno)
        and set(c.co_names) <= set(code.co_names)
        and set(c.co_varnames) <= set(code.co_varnames)
        and set(map(repr, _plain(c))) <= set(map(repr, _plain(code)))
        for c in codes
    )


def _plain(code: CodeType) -> list[Any]:
    return [c for c in code.co_consts if not isinstance(c, CodeType)]


def _all_codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _all_codes(const)


def _find(tree: ast.Module, code: CodeType) -> ast.FunctionDef | ast.Lambda | None:
    if code.co_name == "<lambda>":
        return _find_lambda(tree, code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = (
                node.decorator_list[0].lineno if node.decorator_list else node.lineno
            )
            if first == code.co_firstlineno and node.name == code.co_name:
                return node if _fits(node, code) else None  # type: ignore[return-value]
    return None


def _find_lambda(tree: ast.Module, code: CodeType) -> ast.Lambda | None:
    """The lambda whose body encloses all of the code's positions, most tightly."""
    spots = [p for p in list(code.co_positions())[1:] if None not in p]
    spots = [p for p in spots if p[3]]
    best: ast.Lambda | None = None
    for node in ast.walk(tree):
        if not isinstance(node, ast.Lambda) or not _fits(node, code):
            continue
        body = node.body
        start, end = (
            (body.lineno, body.col_offset),
            (body.end_lineno, body.end_col_offset),
        )
        # The first instructions of some lambdas stand for the whole of it.
        inner = [p for p in spots if (p[0], p[2]) != (node.lineno, node.col_offset)]
        if all(start <= (p[0], p[2]) and (p[1], p[3]) <= end for p in inner):
            if best is None or _within(node, best):
                best = node
    return best


def _within(a: ast.Lambda, b: ast.Lambda) -> bool:
    return (b.lineno, b.col_offset) <= (a.lineno, a.col_offset) and (
        a.end_lineno,
        a.end_col_offset,
    ) <= (b.end_lineno, b.end_col_offset)


def _fits(node: Any, code: CodeType) -> bool:
    """Whether a definition has the parameters of a code object."""
    a = node.args
    named = [arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    count = code.co_argcount + code.co_kwonlyargcount
    own = [n.rpartition("__")[2] for n in code.co_varnames[:count]]
    return (
        own == [n.rpartition("__")[2] for n in named] and len(arguments(node)) >= count
    )


def _parsed(filename: str, flags: int) -> tuple[ast.Module, set[CodeType]] | None:
    """The tree of a file and every code object that it compiles to."""
    linecache.checkcache(filename)
    lines = linecache.getlines(filename)
    if not lines:
        return None
    source = "".join(lines)
    key = filename, flags, hash(source)
    if key not in _trees:
        try:
            code = compile(source, filename, "exec", flags, dont_inherit=True)
            _trees[key] = ast.parse(source), set(_all_codes(code))
        except SyntaxError:
            _trees[key] = None
    return _trees[key]
