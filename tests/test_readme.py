"""The README's programs run, in order, and print what they say beside `print`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = list(re.finditer(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))


def test_programs_run_and_print_what_they_say(tmp_path, capsys):
    namespace: dict[str, object] = {"__name__": "readme"}
    for block in BLOCKS:
        # In a file, since functions are read from their source, at the README's line.
        line = TEXT.count("\n", 0, block.start(1))
        path = tmp_path / f"readme_{line}.py"
        path.write_text("\n" * line + block[1], encoding="utf-8")
        exec(compile(path.read_text(encoding="utf-8"), path, "exec"), namespace)
        expected = re.findall(r"^print\(.*\)  # (.*)$", block[1], re.MULTILINE)
        assert capsys.readouterr().out.splitlines() == expected


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", TEXT))))
def test_links_lead_somewhere(target):
    assert target.startswith("http") or (README.parent / target).exists()


def test_the_first_program_is_short():
    program = BLOCKS[0][1]
    body = program[program.index("def ") :].splitlines()
    assert len([line for line in body if line.strip()]) <= 10
