"""Functions are lifted from the source that they were compiled from, or not at all."""

from __future__ import annotations

import importlib.util
import linecache

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import TracejitError

TWICE = """
import numpy as np

def f(x):
    s = 0.0
    for i in range(len(x)):
        s += 2.0 * x[i]
    return s
"""


def load(path):
    spec = importlib.util.spec_from_file_location("edited_module", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_file_edited_since_its_import_is_not_believed(tmp_path):
    path = tmp_path / "edited_module.py"
    path.write_text(TWICE)
    before = load(path)
    path.write_text(TWICE.replace("2.0", "3.0"))
    linecache.checkcache(str(path))
    # Without its source it runs as it is, here: a loop over a known range.
    x = np.ones(3)
    np.testing.assert_array_equal(tj.grad(before.f)(x), [2.0, 2.0, 2.0])
    after = load(path)
    np.testing.assert_array_equal(tj.grad(after.f)(x), [3.0, 3.0, 3.0])


def test_anothers_text_of_the_same_name_is_not_believed():
    name = "<made up>"
    lines = ["def f(x):\n", "    return x if x > 2 else -x\n"]
    linecache.cache[name] = (1, None, lines, name)
    try:
        namespace = {}
        code = "def f(x):\n    return x if x > 0 else -x\n"
        exec(compile(code, name, "exec"), namespace)
        with pytest.raises(TracejitError):
            tj.grad(namespace["f"])(1.0)
        exec(compile("".join(lines), name, "exec"), namespace)
        assert tj.grad(namespace["f"])(1.0) == -1.0
    finally:
        del linecache.cache[name]


def test_assertions_rewritten_by_a_test_runner_are_the_users():
    def f(x):
        assert x > 0, "positive"
        y = x * x if x > 1 else x
        assert y > 0
        return y

    assert tj.grad(f)(3.0) == 6.0
    with pytest.raises(AssertionError, match="positive"):
        tj.grad(f)(-3.0)
