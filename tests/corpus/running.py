"""Programs in source text: making modules of them, judging them, making them small."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.corpus.judge import UNFIT, Verdict, judge

_count = itertools.count()


def load(text: str, folder: Path) -> ModuleType:
    """The module with this source, in a file of its own, where it can be read."""
    path = folder / f"program{next(_count)}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def judge_text(text: str, backend: str = "numpy") -> Verdict:
    """The verdict on a program that defines `make` and `f`."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            module = load(text, Path(folder))
        except (SyntaxError, NameError) as error:
            return Verdict(UNFIT, f"{type(error).__name__}: {error}")
        return judge(module.f, module.make, backend, "float32" in text)


def shrink(text: str, backend: str = "numpy", trials: int = 400) -> str:
    """A smaller program with the same verdict, cause included."""
    wanted = symptom(judge_text(text, backend))
    smaller = True
    while smaller and trials > 0:
        smaller = False
        for candidate in reductions(text):
            trials -= 1
            if trials < 0:
                break
            if symptom(judge_text(candidate, backend)) == wanted:
                text, smaller = candidate, True
                break
    return text


def symptom(verdict: Verdict) -> tuple[str, str]:
    """What two failures of one cause have in common."""
    words = verdict.why.split("\n")[0].split()
    return verdict.kind, " ".join(words[:3] if verdict.kind != "wrong" else words[:1])


def reductions(text: str) -> Iterator[str]:
    """The program with one statement less, or one expression made simpler."""
    count = sum(1 for _ in sites(ast.parse(text)))
    for k in range(count - 1, -1, -1):
        tree = ast.parse(text)
        site = next(itertools.islice(sites(tree), k, None))
        site()
        try:
            yield ast.unparse(ast.fix_missing_locations(tree))
        except Exception:
            continue


def sites(tree: ast.Module) -> Iterator[object]:
    """Thunks that each make the tree smaller in one place."""
    f = next(d for d in tree.body if isinstance(d, ast.FunctionDef) and d.name == "f")
    for d in tree.body:
        if isinstance(d, ast.FunctionDef) and d.name not in ("f", "make"):
            yield lambda d=d: tree.body.remove(d)
    for node in ast.walk(f):
        yield from _smaller_expressions(node)
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if not isinstance(block, list):
                continue
            for k, statement in enumerate(block):
                inner = getattr(statement, "body", None)
                if inner and not isinstance(statement, ast.FunctionDef):
                    yield lambda b=block, k=k, i=inner: b.__setitem__(slice(k, k + 1), i)
                if len(block) > 1 or field == "orelse":
                    yield lambda b=block, k=k: b.__delitem__(k)


def _smaller_expressions(node: ast.AST) -> Iterator[object]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.expr):
            for part in _parts(value):
                yield lambda n=node, f=name, p=part: setattr(n, f, p)
        if isinstance(value, list) and not isinstance(node, ast.Module):
            for k, item in enumerate(value):
                if not isinstance(item, ast.expr):
                    continue
                for part in _parts(item):
                    yield lambda v=value, k=k, p=part: v.__setitem__(k, p)
        if isinstance(node, ast.Tuple) and name == "elts" and len(value) > 1:
            for k in range(len(value)):
                yield lambda v=value, k=k: v.__delitem__(k)


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
