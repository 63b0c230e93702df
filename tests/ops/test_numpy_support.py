"""The table of support holds: values, derivatives, compiled code, refusals.

Here one routine of four is compiled, of distributions one of sixteen, and the first
expression of each has its second order tried; `python -m tests.support --all` does that
with all of them.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import tracejit
from tests.ops.numpy_table import ROUTINES, arguments, function
from tests.support import ROOT, document
from tracejit.base.errors import TracejitError, UnsupportedError
from tracejit.base.pytree import flatten
from tracejit.testing import check_grads

SMOOTH = [text for r in ROUTINES.values() for text in r.smooth]
VALUE_ONLY = [text for r in ROUTINES.values() for text in r.values]
VALUES = SMOOTH + [text for r in ROUTINES.values() for text in r.constant] + VALUE_ONLY
#: One of each routine.
FIRST = {r.smooth[0] for r in ROUTINES.values() if r.smooth}
REFUSED = [text for r in ROUTINES.values() for text in r.refused]

#: Compiled by the tests; the others by the command. Distributions are alike.
SOME = [
    name
    for name in ROUTINES
    if zlib.crc32(name.encode()) % (16 if "scipy.stats" in name else 4) == 0
]


def given(text):
    """The arguments of an expression, each time anew."""
    return [np.array(v) if np.ndim(v) else v for v in arguments(text).values()]


def assert_same(got, want, tolerance=1e-12):
    """Structure, dtypes, shapes and values."""
    got, want = flatten(got)[0], flatten(want)[0]
    assert len(got) == len(want)
    for mine, theirs in zip(got, want, strict=True):
        mine, theirs = np.asarray(mine), np.asarray(theirs)
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("text", VALUES)
def test_value_is_numpys(text):
    fn = function(text)
    with np.errstate(all="ignore"):
        want = fn(*given(text))
    assert_same(tracejit.jit(fn, backend="numpy")(*given(text)), want)


def converted(value, dtype):
    """An argument in another dtype, scaled so that integers differ."""
    if dtype is np.int64:
        value = np.round(np.asarray(value) * 3)
    if dtype is np.complex128:
        places = np.arange(np.size(value)).reshape(np.shape(value))
        value = value + 1j * np.sin(3 * np.asarray(value) + places + 0.3)
    array = np.asarray(value).astype(dtype)
    return array if array.ndim else array[()]


#: What NumPy raises where a function has no such arguments; it warns of imaginary parts
#: that are lost, which we refuse.
NOT_OF_THESE = (
    *(ValueError, TypeError, IndexError, NotImplementedError, np.linalg.LinAlgError),
    np.exceptions.ComplexWarning,
)
#: What compares real numbers only.
NO_COMPLEX_ORDER = {
    *("np.searchsorted", "ndarray.searchsorted", "np.histogram", "ufunc.accumulate")
}


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.complex128])
@pytest.mark.parametrize("name", ROUTINES)
def test_value_is_numpys_in_other_dtypes(name, dtype):
    """Wherever NumPy computes something, the same comes out in the same dtype."""
    routine = ROUTINES[name]
    for text in [*routine.smooth, *routine.constant, *routine.values]:
        args = [converted(v, dtype) for v in given(text)]
        fn = function(text)
        try:
            with np.errstate(all="ignore"):
                want = fn(*[np.copy(a)[()] for a in args])
        except NOT_OF_THESE:
            continue
        if dtype is np.complex128 and (name in NO_COMPLEX_ORDER or only_real(name)):
            continue
        assert_same(tracejit.jit(fn, backend="numpy")(*args), want, 2e-5)


def only_real(name):
    """Whether complex numbers are refused, as by some functions of SciPy."""
    routine = ROUTINES[name]
    if not name.startswith("scipy"):
        return False
    try:
        for text in [*routine.smooth, *routine.constant, *routine.values]:
            args = [converted(v, np.complex128) for v in given(text)]
            tracejit.jit(function(text), backend="numpy")(*args)
    except UnsupportedError as error:
        return "of complex numbers is not supported" in str(error)
    except NOT_OF_THESE:
        pass
    return False


def check_derivatives(text, order):
    """Both modes against differences."""
    with np.errstate(all="ignore"):
        check_grads(function(text), given(text), order, backend="numpy")


@pytest.mark.parametrize("text", SMOOTH)
def test_derivatives_are_differences(text):
    check_derivatives(text, 2 if text in FIRST else 1)


@pytest.mark.parametrize("name", [n for n in ROUTINES if n not in NO_COMPLEX_ORDER])
def test_derivatives_by_complex_arguments(name):
    for text in [] if only_real(name) else ROUTINES[name].smooth[:2]:
        fn, args = function(text), [converted(v, np.complex128) for v in given(text)]
        try:
            with np.errstate(all="ignore"):
                fn(*[np.copy(a)[()] for a in args])
        except NOT_OF_THESE:
            continue
        with np.errstate(all="ignore"):
            check_grads(fn, args, 1, backend="numpy")


@pytest.mark.parametrize("text", REFUSED)
def test_refused_by_an_error_of_ours(text):
    with pytest.raises(TracejitError):
        tracejit.jit(function(text), backend="numpy")(*given(text))


@pytest.mark.parametrize("text", VALUE_ONLY)
def test_a_derivative_is_refused(text):
    f = function(text)
    with pytest.raises(UnsupportedError, match="not known"):
        tracejit.grad(lambda *xs: np.sum(f(*xs)), backend="numpy")(*given(text))


def check_compiled(name):
    """All expressions of a routine in one kernel, with their gradient."""
    routine = ROUTINES[name]
    texts = routine.smooth or routine.constant or list(routine.values)
    if not texts:
        return
    fn, args = function(*texts), list(arguments(*texts).values())

    def weighted(*xs):
        out = fn(*xs)
        total = 0.0
        for k, y in enumerate(flatten(out)[0]):
            total = total + np.sum(np.sin(np.asarray(y) + k)).real
        return total, out

    def run(backend):
        places = tuple(range(len(args)))
        gradient = tracejit.value_and_grad(
            weighted, argnums=places, has_aux=True, backend=backend
        )
        return gradient(*[np.array(v) if np.ndim(v) else v for v in args])

    if routine.smooth:
        assert_same(run("numba"), run("numpy"), 1e-10)
    else:
        here, there = (tracejit.jit(fn, backend=b)(*args) for b in ("numba", "numpy"))
        assert_same(here, there, 1e-10)


@pytest.mark.parametrize("name", SOME)
def test_compiled_is_interpreted(name):
    with np.errstate(all="ignore"):
        check_compiled(name)


def test_the_document_is_up_to_date():
    text = (ROOT / "SUPPORT.md").read_text(encoding="utf-8")
    assert text == document(), "run `python -m tests.support`"
