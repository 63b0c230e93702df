"""Where in the user's source something comes from."""

from __future__ import annotations

import linecache
import os
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SrcLoc:
    """A span of one line of user code; `line` counts from 1, `col` from 0.

    `inside` is the line of a library, called from here, that it is about.
    """

    file: str
    line: int
    col: int = 0
    end_col: int | None = None
    function: str = ""
    inside: SrcLoc | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def text(self) -> str:
        """The source line itself, stripped, or "" where it cannot be read."""
        return linecache.getline(self.file, self.line).strip()

    def caret(self) -> str:
        """File, line, source text and a caret under the span."""
        text = self._span()
        return text if self.inside is None else f"{text}\n{self.inside._span()}"

    def _span(self) -> str:
        where = f'File "{self.file}", line {self.line}'
        if self.function:
            where += f", in {self.function}"
        raw = linecache.getline(self.file, self.line).rstrip("\n")
        if not raw:
            return where
        indent = len(raw) - len(raw.lstrip())
        start = max(self.col - indent, 0)
        stop = len(raw) if self.end_col is None else self.end_col
        width = max(min(stop, len(raw)) - self.col, 1)
        return f"{where}\n    {raw.lstrip()}\n    {' ' * start}{'^' * width}"


UNKNOWN = SrcLoc("<unknown>", 0)


@lru_cache(maxsize=1024)
def is_installed(file: str) -> bool:
    """Whether a file belongs to a package that was installed, to this, or to Python."""
    parts = Path(file).parts
    installed = "site-packages" in parts or "dist-packages" in parts
    installed |= Path(file).is_relative_to(Path(__file__).parent.parent)
    return installed or file.startswith(sysconfig.get_path("stdlib") + os.sep)
