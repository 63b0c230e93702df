"""Programs in source text: making modules of them, judging them, making them small."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

from tests.corpus.judge import SLOW, UNFIT, Verdict, judge

_count = itertools.count()

#: Makes a syntax tree smaller in one place.
Edit = Callable[[], object]


def load(text: str, folder: Path) -> ModuleType:
    """The module with this source, in a file of its own, where it can be read."""
    path = folder / f"program{next(_count)}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Late(BaseException):
    """A program took too long: no `except Exception` may catch this."""


@contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """Raise Late in the block when it has run that long, by the processor's clock."""

    def bark(*_: object) -> None:
        raise Late

    before = signal.signal(signal.SIGPROF, bark)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def judge_text(text: str, backend: str = "numpy", limit: float = 60.0) -> Verdict:
    """The verdict on a program that defines `make` and `f`; SLOW after `limit` s."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            module = load(text, Path(folder))
        except (SyntaxError, NameError) as error:
            return Verdict(UNFIT, f"{type(error).__name__}: {error}")
        try:
            with watchdog(limit):
                single, paths = "float32" in text, branches(text)
                return judge(module.f, module.make, backend, single, paths)
        except Late:
            return Verdict(SLOW, f"more than {limit:g} s")


def branches(text: str) -> bool:
    """Whether a program has several paths: `max` picks one of its arguments, too."""
    kinds = ast.If | ast.IfExp | ast.For | ast.While | ast.comprehension | ast.BoolOp
    picks = ("max", "min", "sorted")
    return any(
        isinstance(node, kinds) or (isinstance(node, ast.Name) and node.id in picks)
        for part in _reached(ast.parse(text))
        for node in ast.walk(part)
    )


def _reached(tree: ast.Module) -> list[ast.AST]:
    """`f`, and the functions and classes that it names, and those that they name."""
    kinds = ast.FunctionDef | ast.ClassDef
    known = {part.name: part for part in tree.body if isinstance(part, kinds)}
    found = ["f"]
    for name in found:
        names = {n.id for n in ast.walk(known[name]) if isinstance(n, ast.Name)}
        found += [n for n in names if n in known and n not in found]
    return [known[name] for name in found]


def shrink(text: str, backend: str = "numpy", trials: int = 1500) -> str:
    """A smaller program with the same verdict, cause included."""
    wanted = symptom(judge_text(text, backend))
    before = ""
    while before != text:
        before = text
        for kind in (_statements, _expressions):
            k = 0
            while trials > 0:
                candidate = reduction(text, kind, k)
                if candidate is None:
                    break
                trials -= 1
                if symptom(judge_text(candidate, backend)) == wanted:
                    text = candidate
                else:
                    k += 1
    return text


def symptom(verdict: Verdict) -> tuple[str, str]:
    """What two failures of one cause have in common."""
    words = verdict.why.split("\n")[0].split()
    return verdict.kind, " ".join(words[:3] if verdict.kind != "wrong" else words[:1])


def reduction(text: str, kind: Callable[..., Iterator[Edit]], k: int) -> str | None:
    """The program after the k-th edit of a kind, None when there are not as many."""
    tree = ast.parse(text)
    edit = next(itertools.islice(kind(tree), k, None), None)
    if edit is None:
        return None
    edit()
    return ast.unparse(ast.fix_missing_locations(tree))


def _function(tree: ast.Module) -> ast.FunctionDef:
    return next(
        d for d in tree.body if isinstance(d, ast.FunctionDef) and d.name == "f"
    )


def _statements(tree: ast.Module) -> Iterator[Edit]:
    """Leave out one statement, or put the body of a compound one in its place."""
    for d in tree.body:
        if isinstance(d, ast.FunctionDef) and d.name not in ("f", "make"):
            yield partial(tree.body.remove, d)
    for node in ast.walk(_function(tree)):
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if not isinstance(block, list):
                continue
            for k, statement in enumerate(block):
                if len(block) > 1 or field == "orelse":
                    yield partial(block.__delitem__, k)
                if isinstance(statement, ast.If | ast.For | ast.While):
                    for inner in (statement.body, statement.orelse):
                        if inner:
                            yield partial(block.__setitem__, slice(k, k + 1), inner)


def _expressions(tree: ast.Module) -> Iterator[Edit]:
    for node in ast.walk(_function(tree)):
        yield from _smaller_expressions(node)


def _smaller_expressions(node: ast.AST) -> Iterator[Edit]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.expr):
            for part in _parts(value):
                yield partial(setattr, node, name, part)
        if isinstance(value, list) and not isinstance(node, ast.Module):
            for k, item in enumerate(value):
                if not isinstance(item, ast.expr):
                    continue
                for part in _parts(item):
                    yield partial(value.__setitem__, k, part)
        if isinstance(node, ast.Tuple) and name == "elts" and len(value) > 1:
            for k in range(len(value)):
                yield partial(value.__delitem__, k)


def _parts(value: ast.expr) -> list[ast.expr]:
    if isinstance(value, ast.Name | ast.Constant):
        return []
    parts = [p for p in ast.iter_child_nodes(value) if isinstance(p, ast.expr)]
    if isinstance(value, ast.Call):
        parts = parts[1:] + [
            f.value for f in [value.func] if isinstance(f, ast.Attribute)
        ]
    if isinstance(value, ast.Subscript):
        parts = parts[:1]
    return [p for p in parts if not (isinstance(p, ast.Name) and p.id == "np")]
