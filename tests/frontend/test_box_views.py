"""Indices and views on boxes: the same values and the same aliases as in NumPy."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.frontend.staging import assert_as_numpy, np, stage
from tracejit.base import errors
from tracejit.frontend.lens import reshaped_strides

A = numpy.arange(12.0).reshape(3, 4)
C = numpy.arange(24.0).reshape(2, 3, 4)
V = numpy.arange(5.0)

SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)


@st.composite
def array_and_key(draw, key):
    shape = draw(SHAPES)
    x = numpy.arange(float(numpy.prod(shape, dtype=int))).reshape(shape)
    return x, draw(key(shape))


def basic(shape):
    return arrays.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)


@given(array_and_key(basic))
@settings(max_examples=200, deadline=None)
def test_basic_indices(case):
    x, key = case
    assert_as_numpy(lambda x: x[key], x)


@given(array_and_key(basic), st.sampled_from(["set", "add", "alias"]))
@settings(max_examples=200, deadline=None)
def test_writes_to_basic_indices(case, how):
    x, key = case

    def fn(x):
        if how == "set":
            x[key] = 7.5
        elif how == "add":
            x[key] += 7.5
        else:
            view = x[key]
            x[...] = 2 * x
            return view * 3
        return x.sum()

    assert_as_numpy(fn, x)


@st.composite
def mixed_key(draw, shape):
    """Integers, slices, new axes and arrays of integers that broadcast."""
    key = []
    arrayed = draw(st.sampled_from([(2,), (1, 2), (2, 1)]))
    for n in shape:
        kinds = ["slice"] + (["array", "int"] if n else [])
        kind = draw(st.sampled_from(kinds))
        if draw(st.integers(0, 4)) == 0:
            key.append(None)
        if kind == "int":
            key.append(draw(st.integers(-n, n - 1)))
        elif kind == "array":
            elements = st.integers(-n, n - 1)
            key.append(draw(arrays.arrays(numpy.int64, arrayed, elements=elements)))
        else:
            key.append(draw(st.slices(n)))
    return tuple(key)


@given(array_and_key(mixed_key))
@settings(max_examples=300, deadline=None)
def test_indices_by_arrays(case):
    x, key = case
    assert_as_numpy(lambda x: x[key], x)


@given(array_and_key(mixed_key))
@settings(max_examples=200, deadline=None)
def test_writes_by_arrays(case):
    x, key = case
    shape = x[key].shape
    value = numpy.random.default_rng(0).normal(size=shape)
    distinct = numpy.unique(
        numpy.arange(x.size).reshape(x.shape)[key]
    ).size == numpy.prod(shape, dtype=int)

    def fn(x, v):
        x[key] += 1.0
        if distinct:
            x[key] = v

    assert_as_numpy(fn, x, value)


@given(array_and_key(mixed_key))
@settings(max_examples=100, deadline=None)
def test_traced_arrays_of_indices(case):
    x, key = case
    traced = [numpy.asarray(k) for k in key if isinstance(k, int | numpy.ndarray)]

    def fn(x, *indices):
        rest = iter(indices)
        mine = [next(rest) if isinstance(k, int | numpy.ndarray) else k for k in key]
        out = x[tuple(mine)]
        x[tuple(mine)] = 3.0
        return out

    if traced:
        assert_as_numpy(fn, x, *traced)


VIEWS = {
    "slice of slice": lambda x: x[1:][:, ::-2],
    "transpose": lambda x: x.T[1],
    "transpose of slice": lambda x: x[1:, 1:].T[::-1],
    "reshape": lambda x: x.reshape(2, 6)[1],
    "reshape of slice": lambda x: x[1:].reshape(-1),
    "reshape that copies": lambda x: x[:, 1:].reshape(-1),
    "reshape of transpose": lambda x: x.T.reshape(-1),
    "reshape back": lambda x: x.T.T.reshape(12)[3:5],
    "ravel": lambda x: x.ravel()[::5],
    "ravel of row": lambda x: x[1].ravel(),
    "ravel of column": lambda x: x[:, 1].ravel(),
    "flatten": lambda x: x.flatten(),
    "flat": lambda x: x.flat[4:6] * 2,
    "newaxis": lambda x: x[:, None, 1],
    "expand": lambda x: np.expand_dims(x, 0)[0, 1],
    "squeeze": lambda x: np.squeeze(x[:1]),
    "flip": lambda x: np.flip(x, 1)[:, 0],
    "swapaxes": lambda x: x.swapaxes(0, 1)[2],
    "moveaxis": lambda x: np.moveaxis(x, 0, 1)[2],
    "rot90": lambda x: np.rot90(x)[0],
    "split": lambda x: np.split(x, 2, axis=1)[1],
    "atleast": lambda x: np.atleast_3d(x)[1],
    "copy": lambda x: x.copy(),
    "array": lambda x: np.array(x),
    "asarray": lambda x: np.asarray(x),
    "view": lambda x: x.view(),
    "ellipsis point": lambda x: x[1, 2, ...],
    "gather": lambda x: x[[0, 1]],
    "astype": lambda x: x.astype(np.float64),
    "astype no copy": lambda x: x.astype(np.float64, copy=False),
    "positive": lambda x: +x,
    "ascontiguous": lambda x: np.ascontiguousarray(x),
    "ascontiguous of columns": lambda x: np.ascontiguousarray(x[:, 1:]),
    "ascontiguous of T": lambda x: np.ascontiguousarray(x.T),
    "ravel F": lambda x: x.ravel("F"),
    "ravel F of T": lambda x: x.T.ravel("F"),
    "ravel K": lambda x: x.ravel("K"),
    "flip of vector": lambda x: x[0][::-1].reshape(2, 2),
    "real": lambda x: np.real(x),
    "einsum diagonal": lambda x: np.einsum("ii->i", x[:, 1:]),
    "einsum transpose": lambda x: np.einsum("ij->ji", x),
    "einsum sum": lambda x: np.einsum("ij->i", x),
    "nan_to_num": lambda x: np.nan_to_num(x),
    "diag of vector": lambda x: np.diag(x[0]),
    "meshgrid": lambda x: np.meshgrid(x[0], x[1])[1],
    "one concatenated": lambda x: np.concatenate([x]),
    "no reduction": lambda x: np.sum(x, axis=()),
    "list of rows": lambda x: list(x)[1],
}


@pytest.mark.parametrize("name", VIEWS)
def test_aliases(name):
    make = VIEWS[name]

    def fn(x):
        view = make(x)
        before = view * 2
        view += 10
        view[...] = view * 2
        x[1] -= 3
        return before, view

    assert_as_numpy(fn, A)


@pytest.mark.parametrize("name", VIEWS)
def test_aliases_of_known_arrays(name):
    """As above, but the array is made inside; a traced value enters at the end."""
    make = VIEWS[name]

    def fn(s):
        x = np.zeros((3, 4))
        x[1] = 3
        view = make(x)
        view += 10
        x[1] -= 3
        view[...] = view * s
        x[2] += s
        return x, view

    assert_as_numpy(fn, 2.0)


def test_diagonals_follow_their_matrix():
    def fn(x):
        a, b, c = np.diag(x), x.diagonal(1), np.diagonal(x.T, -1)
        x += 1.0
        x[0, 0] = 9.0
        return a, b, c

    assert_as_numpy(fn, A)
    with pytest.raises(errors.ReadOnlyError):
        stage(lambda x: np.diag(x).fill(0), A)


def test_an_update_writes_once():
    def fn(x):
        x[1] += x[0]
        x[0][1:3] *= 2.0

    program, _, _ = stage(fn, A)
    names = [eqn.prim.name for eqn in program.eqns]
    assert names.count("setitem") == 2


def test_a_row_of_a_row_writes_no_row():
    def fn(x):
        x[1][2] = 3.0

    program, _, _ = stage(fn, A)
    assert [eqn.prim.name for eqn in program.eqns] == ["setitem"]


def test_scalars_are_values():
    def fn(x):
        s = x[0]
        x[0] = 9.0
        s += 1
        return s, x[0]

    assert_as_numpy(fn, V)


def test_swapped_rows():
    def fn(x):
        x[0], x[1] = x[1], x[0]  # views: both rows end up equal, as in NumPy

    assert_as_numpy(fn, A)


INDICES = {
    "traced": lambda x, i: x[i],
    "from the end": lambda x, i: x[i - 3],
    "next": lambda x, i: x[i + 1] + x[-1],
    "matrix": lambda x, i: np.outer(x, x)[i, i + 1],
    "row": lambda x, i: np.outer(x, x)[i],
    "window": lambda x, i: x[i : i + 2],
    "scaled window": lambda x, i: x[2 * i : 2 * (i + 1)],
    "window up": lambda x, i: x[i - 1 : i + 1],
    "modulo": lambda x, i: x[(i + 7) % 5],
    "mask": lambda x, i: x[np.arange(5) > 2] * i,
    "known array": lambda x, i: x[np.arange(0, 5, 2)] + i,
    "computed array": lambda x, i: x[np.arange(3) + i],
    "negative array": lambda x, i: x[np.arange(3) - i],
    "list": lambda x, i: x[[0, i, -1]],
    "numpy int": lambda x, i: x[np.int64(2)] + x[i.astype(np.int32)],
}


@pytest.mark.parametrize("name", INDICES)
def test_traced_indices(name):
    fn = INDICES[name]
    assert_as_numpy(fn, V, numpy.int64(1))

    def write(x, i):
        y = x.copy()
        if name in ("traced", "from the end"):
            y[i - 1] += fn(x, i)
        return y

    assert_as_numpy(write, V, numpy.int64(0))


def check_errors(program):
    return [e for e in program.eqns if e.prim.name == "check"]


def test_indices_out_of_range():
    def fn(x, i):
        return x[i]

    for i in (5, -6):
        with pytest.raises(IndexError, match="out of bounds for axis 0 with size 5"):
            assert_index(fn, i)
    program, _, _ = stage(fn, V, numpy.int64(0), boundscheck=False)
    assert not check_errors(program)


def assert_index(fn, i):
    from tests.frontend.staging import run

    run(fn, V, numpy.int64(i))


def test_bounded_indices_need_no_check():
    def fn(x, i):
        i.read().interval = (1, 3)
        return x[i] + x[i - 1] + x[i + 1] + x[i // 2]

    program, _, _ = stage(fn, V, numpy.int64(1))
    names = {eqn.prim.name for eqn in program.eqns}
    assert not names & {"check", "select"}


MASKS = {
    "number": lambda x, m: x.__setitem__(m, 0.0),
    "scalar": lambda x, m: x.__setitem__(m, x[0, 0]),
    "rows": lambda x, m: x.__setitem__(m[:, 0], x[0] * 2),
    "columns": lambda x, m: x.__setitem__((slice(None), m[0]), 5.0),
    "where": lambda x, m: np.where(m, x, -x),
    "add": lambda x, m: x.__setitem__(m, x[m].__iadd__(2)),
    "multiply rows": lambda x, m: (lambda rows: x.__setitem__(rows, x[rows] * x[0]))(
        m[:, 1]
    ),
    "function": lambda x, m: x.__setitem__(m, np.sqrt(x[m]) + 3 / (1 + x[m])),
    "of another": lambda x, m: x.__setitem__(m, (x.T[::-1] * 2).T[m] - x[0, 1]),
    "compared": lambda x, m: x.__setitem__(m, x[m] > 4),
    "unit value": lambda x, m: x.__setitem__(m, np.ones(1)),
    "copyto": lambda x, m: np.copyto(x, 2 * x, where=m),
    "out": lambda x, m: np.add(x, 1, out=x, where=m),
    "of a view": lambda x, m: x[1:].T.__setitem__(m[1:].T, 3.0),
}


@pytest.mark.parametrize("name", MASKS)
def test_traced_masks(name):
    assert_as_numpy(MASKS[name], A, A % 3 > 1)


@pytest.mark.parametrize(
    "fn, error",
    [
        (lambda x, i: np.sort(x[x > 1]), errors.DataDependentShapeError),
        (lambda x, i: x[x > 1].cumsum(), errors.DataDependentShapeError),
        (lambda x, i: np.arange(len(x[x > 1])), errors.DataDependentShapeError),
        (lambda x, i: x[x > 1] + x[x > 2], errors.DataDependentShapeError),
        (lambda x, i: x[x > 1] + x, errors.DataDependentShapeError),
        (lambda x, i: list(x[x > 1]), errors.DataDependentShapeError),
        (lambda x, i: x[x > 1], errors.DataDependentShapeError),
        (lambda x, i: x[x[:2] > 1], errors.IndexRangeError),
        (lambda x, i: i.__setitem__(0, 1), errors.OperandTypeError),
        (lambda x, i: x[:i], errors.DataDependentShapeError),
        (lambda x, i: np.arange(i), errors.DataDependentShapeError),
        (lambda x, i: np.nonzero(x), errors.DataDependentShapeError),
        (lambda x, i: np.repeat(x, x.astype(int)), errors.DataDependentShapeError),
        (lambda x, i: x[5], errors.IndexRangeError),
        (lambda x, i: x[0, 0], errors.IndexRangeError),
        (lambda x, i: x[[0, 9]], errors.IndexRangeError),
        (lambda x, i: x[np.array([0.5])], errors.OperandTypeError),
        (lambda x, i: x.__setitem__(slice(2), x), errors.ShapeMismatchError),
        (lambda x, i: x + x[:2], errors.ShapeMismatchError),
        (lambda x, i: x.__iadd__(np.ones((2, 5))), errors.ShapeMismatchError),
        (lambda x, i: i.reshape(1).__iadd__(0.5), errors.CastingError),
        (lambda x, i: np.sum(x, axis=1), errors.AxisRangeError),
        (lambda x, i: x.reshape(2, 3), errors.ShapeMismatchError),
        (lambda x, i: float(x), errors.TracedValueError),
        (lambda x, i: [1, 2][i], errors.TracedValueError),
        (lambda x, i: 1 if x[0] > 0 else 2, errors.TracedValueError),
        (lambda x, i: {x: 1}, TypeError),
        (lambda x, i: numpy.zeros(5).__setitem__(0, x[0]), ValueError),
        (lambda x, i: numpy.array([x[0]]), errors.TracedValueError),
        (lambda x, i: numpy.polydiv(x, x), errors.UnsupportedError),
        (lambda x, i: x.resize(2), errors.UnsupportedError),
        (lambda x, i: numpy.sum(x, 0, None, numpy.zeros(())), errors.UnsupportedError),
        (lambda x, i: x.astype(np.float16), errors.UnsupportedDTypeError),
        (lambda x, i: (x > 0) - (x > 1), errors.OperandTypeError),
        (lambda x, i: np.broadcast_to(x, (2, 5)).fill(0), errors.ReadOnlyError),
        (lambda x, i: (np.outer(x, x).T * 2).ravel().fill(0), errors.UnknownAliasError),
        (lambda x, i: i**-1, errors.OperandTypeError),
    ],
)
def test_errors_name_the_cause(fn, error):
    with pytest.raises(error):
        stage(fn, V, numpy.int64(1))


def test_errors_are_numpys_too():
    for fn, error in [
        (lambda x: x[7], IndexError),
        (lambda x: x + x[:2], ValueError),
        (lambda x: np.sum(x, axis=3), numpy.exceptions.AxisError),
        (lambda x: float(x), TypeError),
        (lambda x: np.polydiv(x, x), NotImplementedError),
    ]:
        with pytest.raises(error):
            stage(fn, V)


def test_unsure_alias_is_void_after_a_write():
    def fn(x):
        y = x.T * 2
        z = y.reshape(-1)
        y += 1
        return z

    with pytest.raises(errors.UnknownAliasError):
        stage(fn, A)


@st.composite
def strided_and_shape(draw):
    """An array with odd strides, and another shape for as many elements."""
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=4, max_side=4))
    x = numpy.zeros(shape)
    x = x.transpose(draw(st.permutations(range(x.ndim))))
    steps = draw(st.lists(st.sampled_from([1, 1, 2, -1]), min_size=4, max_size=4))
    x = x[tuple(slice(None, None, step) for step in steps[: x.ndim])]
    factors = [n for n in x.shape if n != 1]
    factors = [f for n in factors for f in ((2, 2) if n == 4 else (n,))]
    factors += [1] * draw(st.integers(0, 2))
    factors = draw(st.permutations(factors))
    shape = []
    while factors:
        count = draw(st.integers(1, len(factors)))
        shape.append(int(numpy.prod(factors[:count])))
        factors = factors[count:]
    return x, tuple(shape)


@given(strided_and_shape())
@settings(max_examples=400, deadline=None)
def test_a_reshape_is_a_view_where_it_is_one_in_numpy(case):
    x, shape = case
    y = x.reshape(shape)
    ours = reshaped_strides(x.shape, tuple(s // 8 for s in x.strides), shape)
    assert (ours is not None) == numpy.may_share_memory(x, y)
    if ours is not None:
        for n, mine, theirs in zip(shape, ours, y.strides, strict=True):
            assert n == 1 or mine * 8 == theirs


@given(strided_and_shape(), st.sampled_from(["unary", "self", "row", "copy", "sum"]))
@settings(max_examples=200, deadline=None)
def test_layouts_of_results(case, how):
    """On views with odd strides: a layout that is claimed is NumPy's."""
    x, _ = case
    perm = numpy.argsort([-abs(s) for s in x.strides], kind="stable")
    base = numpy.ascontiguousarray(x.transpose(perm))
    back = tuple(int(k) for k in numpy.argsort(perm))

    def fn(base):
        y = base.transpose(back)[::-1]
        if how == "unary":
            return np.sin(y)
        if how == "self":
            return y + y[..., ::-1]
        if how == "row":
            return y * y[0]
        if how == "copy":
            return y.copy(), np.copy(y), y.flatten(), y.astype(np.float32)
        return np.sum(y, axis=0), np.cumsum(y, axis=-1), np.mean(y, -1, keepdims=True)

    assert_as_numpy(fn, base)
