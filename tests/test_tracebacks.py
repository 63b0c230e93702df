"""Errors show the user's lines: no frame of tracejit's, and the caller of a library."""

from __future__ import annotations

import traceback

import numpy as np
import pytest

import tracejit as tj
from tracejit.base import tracebacks
from tracejit.base.errors import IndexRangeError, InternalError, NonScalarOutputError

X = np.ones(3)


def helper(x):
    return np.sum(x[5])


def wrong(x):
    return helper(x)


def picks(x, k):
    return np.sum(x[int(k)])


def mutates(x, k):
    x += 1
    return x[int(k)]


def served(transform):
    """Fails by the entry of calls, which has served before."""

    def call():
        for _ in range(3):
            transform(X.copy(), 1.0)
        transform(X.copy(), 9.0)

    return call


CALLS = {
    "grad": lambda: tj.grad(wrong)(X),
    "jit": lambda: tj.jit(wrong)(X),
    "value_and_grad": lambda: tj.value_and_grad(wrong, backend="numpy")(X),
    "vjp": lambda: tj.vjp(wrong, X),
    "jvp": lambda: tj.jvp(wrong, (X,), (X,)),
    "linearize": lambda: tj.linearize(wrong, X),
    "hvp": lambda: tj.hvp(wrong, (X,), (X,)),
    "hessian": lambda: tj.hessian(wrong)(X),
    "jacrev": lambda: tj.jacrev(wrong)(X),
    "vmap": lambda: tj.vmap(wrong)(X[None]),
    "compiled": served(tj.jit(picks)),
    "compiled, written to": served(tj.jit(mutates)),
    "compiled gradient": served(tj.grad(picks)),
    "interpreted": served(tj.grad(picks, backend="numpy")),
}


@pytest.mark.parametrize("how", CALLS)
def test_no_frame_is_ours(how, monkeypatch):
    def frames():
        with pytest.raises(IndexRangeError) as info:
            CALLS[how]()
        return {f.filename for f in traceback.extract_tb(info.value.__traceback__)}

    assert frames() == {__file__}
    monkeypatch.setenv("TRACEJIT_FULL_TRACEBACK", "1")
    ours = any(file.startswith(tracebacks._PACKAGE) for file in frames())
    assert ours != how.startswith("compiled")  # C has no frames


def test_errors_of_later_calls():
    _, pull = tj.vjp(lambda x: 2 * x, X)
    for call in (lambda: pull(np.ones(2)), lambda: tj.grad(lambda x: x)(X)):
        with pytest.raises((ValueError, NonScalarOutputError)) as info:
            call()
        files = traceback.extract_tb(info.value.__traceback__)
        assert {f.filename for f in files} == {__file__}


def test_bugs_of_ours_keep_their_frames():
    def fails():
        raise InternalError("a bug")

    path = tracebacks._PACKAGE + "api/made_up.py"
    namespace = {"fails": fails}
    exec(compile("def call():\n    fails()\n", path, "exec"), namespace)
    with pytest.raises(InternalError) as info:
        tracebacks.outermost(namespace["call"])()
    files = [f.filename for f in traceback.extract_tb(info.value.__traceback__)]
    assert path in files


LIBRARY = """
def picks(x, k):
    return x[int(k)]

def through(x, k):
    return picks(x, k)

def wrong(x):
    return x[7]
"""


def test_errors_in_libraries_name_the_line_that_called_them(tmp_path, monkeypatch):
    path = tmp_path / "site-packages" / "some_library.py"
    path.parent.mkdir()
    path.write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(path.parent))
    library = pytest.importorskip("some_library")

    def staged(x):
        return np.sum(x) + library.wrong(x)

    def runs(x, k):
        return library.through(x, k)

    calls = {
        "staged": lambda: tj.grad(staged)(X),
        "runs": lambda: tj.grad(runs, backend="numpy")(X, 9.0),
    }
    lines = {"staged": "library.wrong(x)", "runs": "library.through(x, k)"}
    inner = {"staged": "return x[7]", "runs": "return x[int(k)]"}
    for name, call in calls.items():
        with pytest.raises(IndexRangeError) as info:
            call()
        text = str(info.value)
        assert text.index(lines[name]) < text.index(inner[name])
        assert info.value.loc.file == __file__
        assert info.value.loc.inside.file == str(path)
