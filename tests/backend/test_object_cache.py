"""Object code on disk: reused, never trusted, loaded without Numba."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tests.transform.programs import build, total
from tracejit.backend import numba_build, object_cache
from tracejit.base.config import override
from tracejit.ops import elementwise as ew


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty cache directory and a process that has loaded nothing."""
    monkeypatch.setattr(numba_build, "_loaded", {})
    with override(cache_dir=tmp_path / "cache"):
        yield tmp_path / "cache"


def again(monkeypatch):
    monkeypatch.setattr(numba_build, "_loaded", {})


def wave(x):
    return total(ew.sin(x) * x)


def run():
    """The number of compilations that building and running `wave` took."""
    before = numba_build.compile_count()
    (value,) = numba_build.compile_program(build(wave, (20,)))([np.arange(20.0)])
    assert value == pytest.approx(np.sum(np.sin(np.arange(20.0)) * np.arange(20.0)))
    return numba_build.compile_count() - before


def test_second_process_compiles_nothing(fresh, monkeypatch):
    assert run() == 1
    again(monkeypatch)
    assert run() == 0
    (entry,) = (p for p in fresh.rglob("*") if p.is_file())
    assert os.stat(fresh).st_mode & 0o777 == 0o700
    assert entry.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "foreign"])
def test_a_damaged_entry_is_a_miss(fresh, monkeypatch, damage):
    run()
    (entry,) = (p for p in fresh.rglob("*") if p.is_file())
    data = bytearray(entry.read_bytes())
    if damage == "flip":
        data[-100] ^= 1
    entry.write_bytes(
        {"truncate": data[:-7], "flip": data, "empty": b"", "foreign": b"\x7fELF"}[
            damage
        ]
    )
    again(monkeypatch)
    assert run() == 1
    again(monkeypatch)
    assert run() == 0


def test_an_entry_that_needs_an_unknown_symbol_is_a_miss(fresh, monkeypatch):
    run()
    (entry,) = (p for p in fresh.rglob("*") if p.is_file())
    made = object_cache.ObjectCode.from_bytes(entry.read_bytes())
    strange = object_cache.ObjectCode(made.code, made.symbol, ("no_such_symbol_",))
    entry.write_bytes(strange.to_bytes())
    again(monkeypatch)
    assert run() == 1


def test_a_directory_that_others_may_write_is_not_used(fresh, monkeypatch):
    run()
    fresh.chmod(0o777)
    again(monkeypatch)
    assert run() == 1


def test_a_disk_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    again(monkeypatch)
    (tmp_path / "file").write_text("not a directory")
    with override(cache_dir=tmp_path / "file" / "cache"):
        assert run() == 1


def test_a_warm_start_does_not_import_numba(fresh):
    run()
    program = textwrap.dedent(
        """
        import sys
        from tests.backend.test_object_cache import run
        assert run() == 0
        heavy = {"numba", "scipy"} & sys.modules.keys()
        assert not heavy, heavy
        """
    )
    env = {**os.environ, "TRACEJIT_CACHE_DIR": str(fresh)}
    subprocess.run([sys.executable, "-c", program], check=True, env=env)
