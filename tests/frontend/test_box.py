"""Arithmetic on boxes, known and traced; Python's builtins and math on them."""

from __future__ import annotations

import builtins
import math as plain_math
import operator

import numpy
import pytest

from tests.frontend.staging import Lifted, assert_as_numpy, math, np, run, stage
from tracejit.base import errors
from tracejit.frontend.box import Box, as_box, box_of, known_box
from tracejit.frontend.dispatch import C_ORDER, dispatch
from tracejit.frontend.trace import Trace, tracing
from tracejit.ir.aval import Extent, aval_of
from tracejit.ir.program import Var

py = Lifted(builtins)
V = numpy.array([1.5, -2.0, 0.25])
A = numpy.arange(6.0).reshape(2, 3)

OPERANDS = [
    numpy.array([3.0, -2.0, 7.0]),
    numpy.array([3.0, -2.0, 7.0], numpy.float32),
    numpy.array([3, -2, 7]),
    numpy.array([3, 2, 7], numpy.uint8),
    numpy.array([True, False, True]),
    numpy.float32(2.5),
    numpy.int64(-3),
    numpy.float64(1.25),
    2.5,
    3,
    True,
]
OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "<<": lambda a, b: a << b,
    "divmod": divmod,
}


def numpy_result(fn, *args):
    with numpy.errstate(all="ignore"):
        try:
            return fn(*args)
        except (TypeError, ValueError, OverflowError, ZeroDivisionError):
            return None


@pytest.mark.parametrize("symbol", OPERATORS)
def test_promotion(symbol):
    """Every pair of operand kinds, each of them traced or written down."""
    fn = OPERATORS[symbol]
    for a in OPERANDS:
        for b in OPERANDS:
            expected = numpy_result(fn, a, b)
            kinds = [numpy.asarray(x).dtype for x in _listed(expected)]
            if expected is None or any(d == numpy.float16 for d in kinds):
                continue
            if numpy.asarray(b).dtype.kind in "iub" and symbol in ("//", "%", "divmod"):
                if not numpy.all(b):
                    continue
            if symbol in ("<<", "**") and numpy.any(numpy.asarray(b) < 0):
                continue
            if isinstance(a, int | float) and isinstance(b, int | float):
                continue  # Python's own rules: see below
            assert_as_numpy(fn, a, b, rtol=1e-14)
            assert_as_numpy(lambda x, b=b: fn(x, b), a, rtol=1e-14)
            assert_as_numpy(lambda y, a=a: fn(a, y), b, rtol=1e-14)


def _listed(x):
    return x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("symbol", OPERATORS)
def test_numbers_of_python_stay_so(symbol):
    fn = OPERATORS[symbol]
    for a in (2.5, 3, -7, True):
        for b in (2.5, 3, True):
            expected = numpy_result(fn, a, b)
            if expected is None or isinstance(expected, complex):
                continue
            results, out = run(fn, a, b)
            for got, want, box in zip(
                results, _listed(expected), _listed(out), strict=True
            ):
                assert got == pytest.approx(want, rel=1e-15)
                assert box.kind == "python"
                if not isinstance(want, bool):
                    assert numpy.asarray(got).dtype == numpy.asarray(want).dtype


def test_weak_numbers_keep_float32():
    def fn(x, s):
        return x * s + 0.5, x * float(2), x * math.sin(0.3), s * np.float32(2)

    x = numpy.float32([1, 2, 3])
    assert_as_numpy(fn, x, 1.5)


def test_in_place_keeps_the_name_or_not():
    def fn(x, s, p):
        other, number, python = x, s, p
        x += 1
        s += 1
        p += 1
        return other, x, number, s, python, p

    assert_as_numpy(fn, V, numpy.float64(2.0), 3.0)


IN_PLACE = [
    lambda x, y: x.__iadd__(y),
    lambda x, y: x.__isub__(y[0]),
    lambda x, y: x.__imul__(2),
    lambda x, y: x.__itruediv__(y),
    lambda x, y: x.__ipow__(2),
    lambda x, y: x.__ifloordiv__(y),
    lambda x, y: x.__imod__(1.5),
    lambda x, y: np.add(x, y, out=x),
    lambda x, y: np.add(x, y, x),
    lambda x, y: np.multiply(x[:2], y[1:], out=x[1:]),
    lambda x, y: np.sum(A * y[0], axis=0, out=x),
    lambda x, y: np.copyto(x, y),
    lambda x, y: x.fill(y[0]),
    lambda x, y: np.clip(x, 0, 1, out=x),
    lambda x, y: np.fill_diagonal(x.reshape(1, 3), y[1]),
    lambda x, y: np.add.at(x, [0, 0, 2], y),
    lambda x, y: np.subtract.at(x, np.array([1, 1]), 2.0),
    lambda x, y: np.add.at(x, slice(1, None), 1.0),
]


@pytest.mark.parametrize("fn", IN_PLACE)
def test_in_place(fn):
    assert_as_numpy(lambda x, y: (fn(x, y), None)[1], V, V[::-1].copy())


def test_integer_in_place():
    def fn(n, m):
        n += m > 0
        n *= 3
        n //= 2
        n[1:] -= m[1:]

    assert_as_numpy(fn, numpy.array([4, 5, -6]), numpy.array([1, -1, 2]))


MATH = [
    "acos acosh asin asinh atan atanh cbrt ceil cos cosh degrees exp exp2 expm1 fabs",
    "floor isfinite isinf isnan log log10 log1p log2 radians sin sinh sqrt tan tanh",
    "trunc",
]


@pytest.mark.parametrize("name", " ".join(MATH).split())
def test_math(name):
    x = 1.25 if name == "acosh" else 0.75

    def fn(x):
        return getattr(math, name)(x)

    results, out = run(fn, x)
    want = getattr(plain_math, name)(x)
    assert out.kind == "python"
    assert type(numpy.asarray(results[0]).item()) is type(want)
    assert results[0] == pytest.approx(want, rel=1e-15)
    assert fn(x) == want  # without a box it is Python's own


def test_math_of_several():
    def fn(x, y):
        return (
            math.atan2(x, y),
            math.pow(x, y),
            math.hypot(x, y),
            math.log(x, 3),
            math.copysign(x, -y),
            math.fmod(x, y),
            math.fsum([x, y, 1.0]),
            math.prod([x, y]),
        )

    results, _ = run(fn, 2.5, 0.75)
    numpy.testing.assert_allclose(results, fn(2.5, 0.75), rtol=1e-15)


BUILTINS = {
    "abs": lambda x, n: py.abs(x),
    "float": lambda x, n: py.float(n),
    "int": lambda x, n: py.int(x * 10),
    "bool": lambda x, n: py.bool(x),
    "round": lambda x, n: py.round(x * 10),
    "round digits": lambda x, n: py.round(x, 1),
    "max": lambda x, n: py.max(x, 0.5, n),
    "min of list": lambda x, n: py.min([x, n, -1]),
    "sum": lambda x, n: py.sum([x, n, 2]),
    "sum generator": lambda x, n: py.sum((k * x for k in range(3)), 1.0),
    "pow": lambda x, n: py.pow(x, 3),
    "divmod": lambda x, n: py.divmod(n, 2),
    "any": lambda x, n: py.any([x > 3, n > 3]),
    "all": lambda x, n: py.all([x > 3, n > 3, True]),
    "isinstance": lambda x, n: (
        float(py.isinstance(x, float)) + 2 * py.isinstance(n, int) + x
    ),
}


def as_lifted(name):
    """float, int and bool are types: looked up as functions here."""
    fn = BUILTINS[name]

    class Py:
        def __getattr__(self, wanted):
            found = getattr(builtins, wanted)
            return lambda *a, **k: (dispatch(found) or found)(*a, **k)

    return lambda *args: eval_with(fn, Py(), *args)


def eval_with(fn, py_namespace, *args):
    new = type(fn)(fn.__code__, {**fn.__globals__, "py": py_namespace})
    return new(*args)


@pytest.mark.parametrize("name", BUILTINS)
def test_builtins(name):
    fn = as_lifted(name)
    for args in ((1.25, 4), (-0.5, -3)):
        results, _ = run(fn, *args)
        want = _listed(fn(*args))
        for got, expected in zip(results, want, strict=True):
            assert got == pytest.approx(expected)
            if name[:3] in ("max", "min"):
                continue  # the type would depend on data: it is the common one
            assert numpy.asarray(got).dtype == numpy.asarray(expected).dtype


def test_builtins_on_vectors():
    def fn(x):
        big = dispatch(max)(x) + dispatch(min)(x) * dispatch(len)(x)
        return big, dispatch(sum)(x), dispatch(any)(x > 1), dispatch(all)(x > 1)

    results, _ = run(fn, V)
    want = max(V) + min(V) * 3, sum(V), any(V > 1), all(V > 1)
    numpy.testing.assert_allclose(results, want)


def test_a_number_that_min_picks_is_not_rounded_to_the_other():
    def fn(x, s):
        return dispatch(min)(s, x[0]), dispatch(max)(2, x[0])

    (least, most), _ = run(fn, numpy.full(1, 5.0, numpy.float32), 0.7)
    assert (float(least), most.dtype) == (0.7, numpy.float32)


def test_max_and_min_meet_nan_as_python_does():
    for fn in (max, min):
        for a in (1.0, numpy.nan):
            for b in (2.0, numpy.nan):
                results, _ = run(lambda x, y, fn=fn: dispatch(fn)(x, y), a, b)
                numpy.testing.assert_equal(results[0], fn(a, b))


def test_arrays_have_no_truth():
    for fn in (lambda x: dispatch(max)(x, 0.0), lambda x: dispatch(bool)(x)):
        with pytest.raises(ValueError, match="ambiguous"):
            stage(fn, V)


def test_types_of_boxes():
    def fn(x, s, p, n):
        isinstance_, type_ = dispatch(isinstance), dispatch(type)
        assert isinstance_(x, numpy.ndarray) and not isinstance_(x, float)
        assert isinstance_(s, numpy.floating) and isinstance_(s, float)
        assert isinstance_(p, float) and not isinstance_(p, numpy.generic)
        assert isinstance_(n, int) and type_(n) is int
        assert type_(x) is numpy.ndarray and isinstance_(3, (int, str))
        assert dispatch(callable)(len) and not dispatch(callable)(x)
        return x.ndim + len(x) + x.size + x.dtype.itemsize + x.itemsize

    results, _ = run(fn, V, numpy.float64(1), 1.0, 1)
    assert results == [23]


# Known arrays -------------------------------------------------------------------------


def test_known_arrays_run_at_once():
    def fn(s):
        table = np.zeros(3)
        table[1:] = np.arange(2) + 1.0
        assert table.known
        assert table[2] > 1 and int(table[1]) == 1
        assert [float(t) for t in table] == [0, 1, 2]
        index = np.argsort(-table)
        assert list(index) == [2, 1, 0]
        assert table.tolist() == [0, 1, 2] and repr(table) == repr(table.array)
        return table * s

    program, _, _ = stage(fn, 2.0)
    assert {eqn.prim.name for eqn in program.eqns} == {"broadcast", "mul"}
    assert_as_numpy(fn_without_asserts, 2.0)


def fn_without_asserts(s):
    table = np.zeros(3)
    table[1:] = np.arange(2) + 1.0
    return table * s


def test_known_array_becomes_traced():
    def fn(x):
        out = np.empty(4)
        out[:] = 0.0
        out[0] = 5.0
        row = out[1:3]
        out[2] = x[0]
        out[3] += 1
        row += 1
        return out, row

    assert_as_numpy(fn, V)


def test_known_array_written_in_an_inner_region_is_traced():
    trace = Trace()
    with tracing(trace), trace.builder.open() as outer:
        box = known_box(numpy.zeros(3))
        uniform = box.read()
        with trace.builder.open() as inner:
            assert box.read() is uniform
            box[0] = 1.0
            assert not box.known
            mine = known_box(numpy.ones(2))
            mine[0] = 3.0
            assert mine.known
        assert [e.prim.name for e in outer] == ["broadcast"]
        assert [e.prim.name for e in inner] == ["setitem"]
        trace.undo_to(0)
        assert box.known and list(box.array) == [0, 0, 0]


def test_writes_are_undone():
    trace = Trace()
    with tracing(trace), trace.builder.open():
        x = box_of(Var(aval_of(2.0)), "scalar")
        box = known_box(numpy.arange(3.0))
        mark = len(trace.log)
        box[1] = 7.0
        box += 1
        box[0] = as_box(2.0)
        assert box.known
        box[2] = x
        assert not box.known
        assert [w.target for w in trace.log[mark:]] == [box] * 4
        trace.undo_to(mark)
        assert list(box.array) == [0, 1, 2]


def test_reads_of_views_are_cached_while_their_region_is_open():
    trace = Trace()
    with tracing(trace), trace.builder.open():
        base = box_of(Var(aval_of(A)))
        view = base[0]
        with trace.builder.open():
            inner = view.read()
            assert view.read() is inner
        assert view.read() is not inner


def test_arrays_of_other_things_stay_plain():
    def fn(x):
        assert list(np.array(["a", "b"])) == ["a", "b"]
        assert np.empty(2, dtype=object).dtype == object
        table = np.zeros(3)
        assert np.fft.fft(table).dtype == complex
        return x

    assert_as_numpy(fn, V)
    for dtype in (numpy.float16, numpy.longdouble, numpy.clongdouble):
        with pytest.raises(errors.UnsupportedDTypeError):
            stage(lambda x, dtype=dtype: x + np.ones(3, dtype), V)


def test_extents_keep_their_names():
    trace = Trace()
    with tracing(trace), trace.builder.open():
        n = Extent(5, "x.shape[0]")
        box = dispatch(np.plain.zeros)((n, 2))
        assert box.shape[0].expr == "x.shape[0]"
        assert box[1:-1].shape[0].expr == "((-1+x.shape[0])-1)"
        assert dispatch(len)(box).expr == "x.shape[0]"
        assert box.T.shape[1] is box.shape[0]
        assert isinstance(box.reshape(-1).shape[0], Extent)
        assert isinstance(dispatch(np.plain.arange)(n).shape[0], Extent)


def test_concretize_hook():
    class Again(Exception):
        """Staging begins again, with the mask pinned."""

    def value(box, of_arguments):
        if box.aval.shape:
            raise Again
        return numpy.int64(2)

    trace = Trace(concretize=value)
    with tracing(trace), trace.builder.open():
        x = box_of(as_box(V).read())
        n = box_of(Var(aval_of(1)), "python")
        assert float(n) == 2.0
        assert x[:n].shape == (2,)
        x[x > 0] *= 2.0  # needs no number of elements
        with pytest.raises(Again):
            np.plain.sort(x[x > 0])
        assert dispatch(np.plain.arange)(n).shape == (2,)


def test_outside_arrays_enter_by_reference():
    weights = numpy.array([1.0, 2.0, 3.0])
    program, _, constants = stage(lambda x: x @ weights, V)
    assert constants[0] is weights
    assert len(program.inputs) == 2


def test_copies_of_outside_arrays_are_made_at_every_call():
    weights = numpy.array([1.0, 2.0, 3.0])

    def fn(x):
        assert np.asarray(weights) is weights
        w = np.array(weights)
        w *= x
        return w + np.copy(weights)

    program, _, constants = stage(fn, V)
    assert len(program.inputs) == 2 and constants[0] is weights
    assert_as_numpy(fn, V)
    numpy.testing.assert_array_equal(weights, [1, 2, 3])


def test_messages_say_where_and_what_instead():
    with pytest.raises(errors.TracedValueError, match="Instead"):
        stage(lambda x: bool(x[0]), V)
    with pytest.raises(errors.ShapeMismatchError, match=r"shapes \(3,\) \(2,\)"):
        stage(lambda x: x + x[:2], V)


def test_layouts_of_inputs():
    """A matrix of which nothing is said may be in any order."""
    trace = Trace()
    with tracing(trace), trace.builder.open():
        var = as_box(A).read()
        sure, unsure = box_of(var, layout=C_ORDER), box_of(var)
        sure.reshape(-1)[0] = 1.0
        assert unsure.reshape(-1).read().aval.shape == (6,)
        with pytest.raises(errors.UnknownAliasError):
            unsure.reshape(-1)[0] = 1.0


def test_a_box_is_no_ndarray():
    assert not issubclass(Box, numpy.ndarray)
    trace = Trace()
    with tracing(trace), trace.builder.open():
        box = box_of(as_box(V).read())
        with pytest.raises(TypeError):
            numpy.asarray(box)
        with pytest.raises(TypeError):
            hash(box)
        assert isinstance(V + box, Box) and isinstance(V[0] * box, Box)
        assert isinstance(operator.add([1.0, 2.0, 3.0], box), Box)
