"""Object code on disk, by content: what made it is its name.

An entry is a digest and what the digest is of. Whatever is wrong with one (truncated,
foreign, unreadable, calling a symbol that this process lacks) makes it a miss, never a
crash; writing is atomic, and a disk that cannot be written is no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from tracejit.base.config import config

#: Raised when the calling convention or the meaning of a text changes.
ABI = 1
#: What they change is in the text that they write.
_WRITERS = {"numba_source.py", "numba_build.py"}


@dataclass(frozen=True)
class ObjectCode:
    """Native code, the symbol of its entry, the symbols it needs from outside."""

    code: bytes
    symbol: str
    needs: tuple[str, ...]

    def to_bytes(self) -> bytes:
        head = json.dumps([self.symbol, self.needs]).encode()
        content = head + b"\n" + self.code
        return hashlib.sha256(content).digest() + content

    @staticmethod
    def from_bytes(data: bytes) -> ObjectCode | None:
        """None where the content is not what was written."""
        mark, content = data[:32], data[32:]
        if hashlib.sha256(content).digest() != mark:
            return None
        head, _, code = content.partition(b"\n")
        symbol, needs = json.loads(head)
        return ObjectCode(code, symbol, tuple(needs))


def content_key(*parts: str) -> str:
    """A name for what is made from `parts` by these versions of everything."""
    return hashlib.sha256("\0".join([*parts, *_makers()]).encode()).hexdigest()


@cache
def _makers() -> tuple[str, ...]:
    """What turns text into code: versions, and the source of the helpers it calls."""
    here = Path(__file__).parent
    files = [*here.glob("*helpers.py"), *here.glob("numba_*.py"), here / "rare_code.py"]
    files = sorted(f for f in files if f.name not in _WRITERS)
    sources = [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]
    return (str(ABI), version("numba"), version("llvmlite"), *sources)


def load(key: str) -> ObjectCode | None:
    """The entry, or None."""
    try:
        return ObjectCode.from_bytes(_path(key).read_bytes())
    except (OSError, ValueError):
        return None


def save(key: str, code: ObjectCode) -> None:
    """Write an entry, all at once."""
    with contextlib.suppress(OSError):
        path = _path(key)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(code.to_bytes())
            os.replace(name, path)
        except OSError:
            os.unlink(name)


def _path(key: str) -> Path:
    """Where an entry is. Only a directory of our own is trusted: it holds code."""
    directory = config().cache_dir
    with contextlib.suppress(FileNotFoundError):
        status = directory.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise PermissionError(f"{directory} can be written by others")
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory / key[:2] / key
