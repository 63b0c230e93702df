"""The shape of the house: who may import whom, how errors read, how long files are.

Everything here is read from the source, so it holds for whatever is added.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("tracejit", "tests", "benchmarks", "examples")
FLOORS = {
    "base": 0,
    "ir": 1,
    "ops": 2,
    "frontend": 3,
    "transform": 3,
    "optimize": 3,
    "backend": 4,
    "runtime": 5,
}
TOP = 6
MAX_LINES = 600


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(p): p for p in sorted((ROOT / "tracejit").rglob("*.py"))}


def room(module: str) -> str:
    """`ir` of `tracejit.ir.aval`; the modules of the top floor share one room."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else "top"


def floor(module: str) -> int:
    return FLOORS.get(room(module), TOP)


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imported(node: ast.AST, module: str) -> Iterator[str]:
    """The dotted names a statement imports; of tracejit's own, the modules."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        source = node.module or ""
        if node.level:  # relative: counted from the module's own package
            parts = module.split(".")
            if MODULES[module].name != "__init__.py":
                parts.pop()
            base = parts[: len(parts) - node.level + 1]
            source = ".".join([*base, source] if source else base)
        for alias in node.names:
            full = f"{source}.{alias.name}"
            yield full if full in MODULES else source


@cache
def imports(module: str) -> tuple[tuple[str, int], ...]:
    return tuple(
        (name, node.lineno)
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(node, module)
    )


def is_own(name: str) -> bool:
    return name.split(".")[0] == "tracejit"


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_lower_floors_or_the_same_room(module):
    for name, line in imports(module):
        if not is_own(name):
            continue
        where = f"{MODULES[module].relative_to(ROOT)}:{line} imports {name}"
        assert name in MODULES, f"{where}, which does not exist"
        if room(name) != room(module):
            assert floor(name) < floor(module), (
                f"{where}: {room(module)} (floor {floor(module)}) must not see "
                f"{room(name)} (floor {floor(name)})"
            )


def for_types_only(module: str) -> set[int]:
    """The lines under `if TYPE_CHECKING:`, which never run."""
    guards = (
        node
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {line for g in guards for line in range(g.lineno, g.body[-1].lineno + 1)}


def test_imports_are_acyclic():
    graph = {
        module: {
            name
            for name, line in imports(module)
            if name in MODULES and line not in for_types_only(module)
        }
        for module in MODULES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(error.args[1]))


@pytest.mark.parametrize("module", MODULES)
def test_no_function_imports_tracejit(module):
    for function in ast.walk(tree_of(module)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                own = [name for name in imported(node, module) if is_own(name)]
                assert not own, f"{module}:{node.lineno} imports {own} locally"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_backend_imports_numba(module):
    for name, line in imports(module):
        if name.split(".")[0] in ("numba", "llvmlite"):
            assert room(module) == "backend", f"{module}:{line} imports {name}"


def test_importing_tracejit_imports_neither_numba_nor_scipy():
    if "tracejit" not in MODULES:
        pytest.skip("tracejit/__init__.py is not there yet")
    program = (
        "import sys, tracejit\n"
        "heavy = {'numba', 'llvmlite', 'scipy'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def error_classes() -> list[ast.ClassDef]:
    tree = tree_of("tracejit.base.errors")
    return [node for node in tree.body if isinstance(node, ast.ClassDef)]


def program_of(docstring: str) -> str:
    """What a docstring shows from its first paragraph with a comment in it."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    texts = takewhile(lambda paragraph: "#" not in paragraph, paragraphs)
    return textwrap.dedent("\n\n".join(paragraphs[len(list(texts)) :]))


@pytest.mark.parametrize("node", error_classes(), ids=lambda node: node.name)
def test_every_error_shows_a_failing_program_and_its_cure(node):
    """A program with `# <name of the error>` beside the line that fails, and
    `# write …` beside what to write instead."""
    if node.name == "InternalError":
        return  # a bug of ours: no program should raise it, and users have no cure
    program = program_of(ast.get_docstring(node) or "")
    ast.parse(program)
    comments = "\n".join(line.partition("#")[2] for line in program.splitlines())
    base = node.name == "TracejitError"  # any of its subclasses will do
    names = [c.name for c in error_classes()] if base else [node.name]
    assert any(name in comments for name in names), f"{node.name}: what fails?"
    assert "write" in comments.lower(), f"{node.name}: what to write instead?"


@pytest.mark.parametrize("module", MODULES)
def test_no_bare_type_error(module):
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            name = ast.unparse(node.exc)
            assert name not in ("TypeError", "TypeError()"), (
                f"{module}:{node.lineno} raises a TypeError that says nothing"
            )


def source_files() -> list[Path]:
    return sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short_or_say_why(path):
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert text.count("\n") <= MAX_LINES or "lines because" in docstring, (
        f"{path.name} has over {MAX_LINES} lines: split it, or say in its docstring "
        '"this file has N lines because …"'
    )
