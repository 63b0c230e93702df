"""NumPy's functions on traced arrays give NumPy's values, dtypes and shapes."""

from __future__ import annotations

import numpy
import pytest

from tests.frontend.staging import assert_as_numpy, np

RNG = np.random.default_rng(0)
V = RNG.uniform(0.1, 0.9, 5)
A = RNG.normal(size=(3, 4))
B = RNG.normal(size=(4, 2))
S = RNG.normal(size=(3, 3))
C = RNG.normal(size=(2, 3, 4))
D = RNG.normal(size=(2, 4, 5))
N = np.array([[3, -2, 0], [7, 1, -5]])
M = np.array([True, False, True])

UNARY = [
    u
    for u in vars(numpy).values()
    if isinstance(u, np.ufunc) and u.nin == 1 and u.nout == 1
]
BINARY = [
    u
    for u in vars(numpy).values()
    if isinstance(u, np.ufunc) and u.nin == 2 and u.nout == 1 and not u.signature
]
NOT_THERE = {"frexp", "ldexp", "spacing", "nextafter", "gcd", "lcm", "isnat"}
NOT_THERE |= {"bitwise_count", "_arg"}


def usable(ufuncs):
    """Each once (np.abs is np.absolute), in an order that test runners share."""
    found = {u.__name__: u for u in ufuncs if u.__name__ not in NOT_THERE}
    return [found[name] for name in sorted(found)]


def dtypes_of(ufunc, count):
    """Sample dtypes of which NumPy has a loop that we have, too."""
    names = ["float64", "float32", "int64", "int32", "uint8", "bool"]
    for name in names:
        dtype = np.dtype(name)
        try:
            found = ufunc.resolve_dtypes((dtype,) * count + (None,) * ufunc.nout)
        except TypeError:
            continue
        if all(d.itemsize != 2 or d.kind != "f" for d in found):
            if all(d.kind in "fiub" for d in found):
                yield dtype


def sample(dtype, seed=0, low=0.1, high=0.9):
    rng = np.random.default_rng(seed)
    if dtype.kind == "b":
        return rng.random(6) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -5, 6, 6).astype(dtype)
    return rng.uniform(low, high, 6).astype(dtype)


@pytest.mark.parametrize("ufunc", usable(UNARY), ids=lambda u: u.__name__)
def test_unary_ufuncs(ufunc):
    for dtype in dtypes_of(ufunc, 1):
        low = 1.1 if ufunc is np.arccosh else 0.1
        x = sample(dtype, low=low, high=low + 0.8)
        if dtype.kind in "iu" and ufunc is np.reciprocal:
            x[x == 0] = 1
        assert_as_numpy(ufunc, x)
        assert_as_numpy(ufunc, x[0])


@pytest.mark.parametrize("ufunc", usable(BINARY), ids=lambda u: u.__name__)
def test_binary_ufuncs(ufunc):
    for dtype in dtypes_of(ufunc, 2):
        x, y = sample(dtype), sample(dtype, 1)
        if dtype.kind in "iu" and ufunc in (np.power, np.left_shift, np.right_shift):
            y = abs(y)
        if dtype.kind in "iu" and ufunc in DIVISIONS:
            y = np.where(y == 0, 1, y).astype(dtype)
        assert_as_numpy(ufunc, x, y, rtol=2e-14)
        assert_as_numpy(ufunc, x, y[:1], rtol=2e-14)


DIVISIONS = (np.floor_divide, np.remainder, np.fmod)


@pytest.mark.parametrize("ufunc", [np.divmod, np.modf])
def test_ufuncs_with_two_results(ufunc):
    args = (V, V[::-1]) if ufunc is np.divmod else (V * 10 - 5,)
    assert_as_numpy(ufunc, *args)


SPECIAL_VALUES = np.array([-np.inf, -1.5, -0.0, 0.0, 0.5, 2.5, np.inf, np.nan])


@pytest.mark.parametrize(
    "fn",
    [
        np.fmax,
        np.fmin,
        np.maximum,
        np.heaviside,
        np.signbit,
        np.sign,
        np.modf,
        np.nan_to_num,
        np.rint,
        np.floor,
        np.abs,
        np.isfinite,
        np.square,
        np.reciprocal,
        lambda x: np.round(x, 1),
        lambda x: np.clip(x, -1, 1),
        np.nansum,
        np.max,
        np.any,
        np.mean,
        np.std,
        np.argmax,
        np.cumsum,
        np.sinc,
        lambda x: x**2,
        lambda x: x**0,
        lambda x: x**-1,
        lambda x: x**0.5,
        lambda x: x // 1,
        lambda x: x % 2,
        lambda x: np.isclose(x, 0.5, equal_nan=True),
    ],
)
def test_infinities_zeros_and_nan(fn):
    def one_or_two(x):
        nin = getattr(fn, "nin", 1)
        return fn(x) if nin == 1 else fn(x, x[::-1])

    assert_as_numpy(one_or_two, SPECIAL_VALUES)


REDUCTIONS = [
    np.sum,
    np.prod,
    np.max,
    np.min,
    np.mean,
    np.var,
    np.std,
    np.any,
    np.all,
    np.ptp,
    np.count_nonzero,
]


@pytest.mark.parametrize("fn", REDUCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(fn, axis, keepdims):
    for x in (C, C.astype(np.float32), (C * 4).astype(np.int32), C > 0):
        if x.dtype == bool and fn is np.ptp:
            continue
        assert_as_numpy(lambda x: fn(x, axis=axis, keepdims=keepdims), x, rtol=1e-14)


@pytest.mark.parametrize("fn", [np.argmax, np.argmin])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_positions_of_extrema(fn, axis, keepdims):
    for x in (C, N, C > 0):
        x = x if axis != -1 else x.T
        assert_as_numpy(lambda x: fn(x, axis=axis, keepdims=keepdims), x)


FUNCTIONS = {
    "sum dtype": (lambda x: np.sum(x, dtype=np.float32), A),
    "sum where": (lambda x: np.sum(x, where=x > 0), A),
    "sum initial": (lambda x: np.sum(x, axis=1, initial=3.0), A),
    "mean where": (lambda x: np.mean(x, axis=0, where=x > -9), A),
    "max where": (lambda x: np.max(x, where=x < 0, initial=-9.0), A),
    "var ddof": (lambda x: np.var(x, axis=1, ddof=1), A),
    "average": (lambda x, w: np.average(x, axis=1, weights=w), A, abs(A[0])),
    "cumsum": (lambda x: np.cumsum(x, axis=1), A),
    "cumsum flat": (np.cumsum, N),
    "cumprod": (lambda x: np.cumprod(x, axis=0), A),
    "all methods": (
        lambda x: [x.sum(), x.mean(0), x.std(1), x.max(), x.argmin(), x.prod(1)],
        A,
    ),
    "dot vv": (np.dot, V, V[::-1].copy()),
    "dot mv": (np.dot, A, B[:, 0].copy()),
    "dot mm": (np.dot, A, B),
    "dot nd": (np.dot, C, D),
    "dot scalar": (lambda x: np.dot(2.0, x), A),
    "dot int": (np.dot, N, N.T.copy()),
    "dot bool": (np.dot, N > 0, N.T > 0),
    "matmul mm": (lambda a, b: a @ b, A, B),
    "matmul vm": (lambda a, b: a @ b, B[:, 0].copy(), B),
    "matmul mv": (lambda a, b: a @ b[:, 1], A, B),
    "matmul batch": (np.matmul, C, D),
    "matmul broadcast": (np.matmul, A, D),
    "matmul nd m": (np.matmul, C, B),
    "matmul v nd": (np.matmul, B[:, 0].copy(), D),
    "matmul mixed": (np.matmul, A.astype(np.float32), B),
    "inner": (np.inner, A, C),
    "outer": (np.outer, A, V),
    "vdot": (np.vdot, A, A + 1),
    "kron": (np.kron, A, B),
    "cross": (np.cross, S, S[::-1].copy()),
    "tensordot 2": (np.tensordot, C, C[0].copy().reshape(3, 4, 1)),
    "tensordot axes": (lambda a, b: np.tensordot(a, b, ((0, 2), (0, 1))), C, D),
    "tensordot 0": (lambda a, b: np.tensordot(a, b, 0), V, A),
    "einsum mm": (lambda a, b: np.einsum("ij,jk->ik", a, b), A, B),
    "einsum implicit": (lambda a, b: np.einsum("ij,jk", a, b), A, B),
    "einsum trace": (lambda a: np.einsum("ii", a), S),
    "einsum diagonal": (lambda a: np.einsum("ii->i", a), S),
    "einsum transpose": (lambda a: np.einsum("ji", a), A),
    "einsum sum": (lambda a: np.einsum("ijk->j", a), C),
    "einsum batch": (lambda a, b: np.einsum("bij,bjk->bik", a, b), C, D),
    "einsum dots": (lambda a, b: np.einsum("...ij,...jk->...ik", a, b), C, D),
    "einsum dots one": (lambda a, b: np.einsum("...i,i", a, b), C, B[:, 0].copy()),
    "einsum mul": (lambda a, b: np.einsum("ij,ij->ij", a, b), A, A + 1),
    "einsum outer": (lambda a, b: np.einsum("i,j->ji", a, b), V, V + 1),
    "einsum three": (lambda a, b: np.einsum("ij,jk,il->kl", a, b, a), A, B),
    "einsum units": (lambda a, b: np.einsum("ij,ij->ij", a, b), A, A[:1].copy()),
    "einsum lists": (lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]), A, B),
    "norm": (np.linalg.norm, A),
    "norm axis": (lambda x: np.linalg.norm(x, axis=1, keepdims=True), A),
    "norm 1": (lambda x: np.linalg.norm(x, 1), V),
    "norm 3": (lambda x: np.linalg.norm(x, 3, axis=0), A),
    "norm inf": (lambda x: np.linalg.norm(x, np.inf, axis=0), A),
    "norm fro": (lambda x: np.linalg.norm(x, "fro"), A),
    "trace": (lambda x: np.trace(x, 1), A),
    "concatenate": (lambda a, b: np.concatenate([a, b.T], axis=0), B.T.copy(), B),
    "concatenate promote": (lambda a, b: np.concatenate((a, b)), N, A[:, :3].copy()),
    "concatenate flat": (lambda a, b: np.concatenate((a, b), axis=None), N, A),
    "stack": (lambda a: np.stack([a, 2 * a], axis=-1), A),
    "stack scalars": (lambda a: np.stack([a[0], a[1] * 2]), V),
    "vstack": (lambda a: np.vstack([a, a[0]]), A),
    "hstack": (lambda a: np.hstack([a, a]), A),
    "hstack vectors": (lambda a: np.hstack((a, 1.0, a[0])), V),
    "column_stack": (lambda a: np.column_stack((a, a)), V),
    "dstack": (lambda a: np.dstack((a, a)), A),
    "append": (lambda a: np.append(a, 3), V),
    "pad": (lambda a: np.pad(a, ((1, 2), (0, 3)), constant_values=2.5), A),
    "pad each": (lambda a: np.pad(a, 1, constant_values=((1, 2), (3, 4))), A),
    "pad edge": (lambda a: np.pad(a, 2, mode="edge"), A),
    "pad reflect": (lambda a: np.pad(a, (1, 2), mode="reflect"), A),
    "pad symmetric": (lambda a: np.pad(a, (1, 2), mode="symmetric"), A),
    "pad wrap": (lambda a: np.pad(a, (2, 1), mode="wrap"), A),
    "flip": (np.flip, C),
    "flip axis": (lambda a: np.flip(a, (0, 2)), C),
    "roll": (lambda a: np.roll(a, 2), A),
    "roll axis": (lambda a: np.roll(a, -1, axis=1), A),
    "roll axes": (lambda a: np.roll(a, (1, 2), axis=(0, 1)), A),
    "tile": (lambda a: np.tile(a, (2, 1, 3)), A),
    "tile vector": (lambda a: np.tile(a, 2), V),
    "repeat": (lambda a: np.repeat(a, 3, axis=0), A),
    "repeat flat": (lambda a: np.repeat(a, 2), A),
    "repeat counts": (lambda a: np.repeat(a, [1, 0, 2], axis=0), A),
    "diag": (np.diag, A),
    "diag k": (lambda a: np.diag(a, -1), A),
    "diag far": (lambda a: np.diag(a, 9), A),
    "diag of vector": (lambda a: np.diag(a, 2), V),
    "tril": (np.tril, A),
    "triu k": (lambda a: np.triu(a, -1), C),
    "diagonal": (lambda a: np.diagonal(a, 1, 2, 0), C),
    "split": (lambda a: np.split(a, 2, axis=1), A),
    "split at": (lambda a: np.split(a, [1, 3]), V),
    "array_split": (lambda a: np.array_split(a, 3), V),
    "hsplit": (lambda a: np.hsplit(a, 2), A),
    "squeeze": (lambda a: np.squeeze(a[:, None]), A),
    "expand_dims": (lambda a: np.expand_dims(a, (0, -1)), A),
    "moveaxis": (lambda a: np.moveaxis(a, 0, -1), C),
    "swapaxes": (lambda a: a.swapaxes(0, 2), C),
    "transpose": (lambda a: a.transpose(1, 0, 2), C),
    "T": (lambda a: a.T, C),
    "rot90": (lambda a: [np.rot90(a, k) for k in range(4)], A),
    "broadcast_to": (lambda a: np.broadcast_to(a[:, None, :], (3, 2, 4)), A),
    "broadcast_arrays": (lambda a, b: np.broadcast_arrays(a, b), A, A[0]),
    "atleast": (
        lambda a: [np.atleast_1d(a[0]), np.atleast_2d(a), np.atleast_3d(a)],
        V,
    ),
    "reshape": (lambda a: a.reshape(2, -1, 2), A),
    "reshape F": (lambda a: a.reshape(2, 6, order="F"), A),
    "ravel F": (lambda a: a.ravel("F"), A),
    "flatten": (lambda a: a.flatten(), A),
    "array nested": (lambda a: np.array([[a[0], 1.0], [2, a[1]]]), V),
    "array rows": (lambda a: np.array([a, 2 * a]), V),
    "array of ints": (lambda a: np.array([a[0, 0], 1.5]), N),
    "array dtype": (lambda a: np.array([a[0], 1], dtype=np.float32), V),
    "array of one": (lambda a: np.array(a[0]), V),
    "asarray": (lambda a: np.asarray(a) + np.asarray([1.0] * 5), V),
    "linspace": (lambda a: np.linspace(a[0], a[1], 7), V),
    "linspace open": (lambda a: np.linspace(0, a[1], 7, endpoint=False), V),
    "linspace vectors": (lambda a: np.linspace(a, 2.0, 4), V),
    "full": (lambda a: np.full((2, 3), a[0]), V),
    "full int": (lambda a: np.full(3, a[0], dtype=int), V * 10),
    "full_like": (lambda a: np.full_like(a, a[0]), V),
    "zeros_like": (lambda a: np.zeros_like(a, dtype=int) + np.ones_like(a), V),
    "eye": (lambda a: a @ np.eye(4) + np.tri(3, 4), A),
    "arange": (lambda a: a * np.arange(5) + np.arange(1, 2, 0.2), V),
    "where": (lambda a: np.where(a > 0, a, 0), A),
    "where weak": (lambda a: np.where(a > 0, a, 0.5), A.astype(np.float32)),
    "where broadcast": (lambda a: np.where(a[:, :1] > 0, a, a[0]), A),
    "where known": (lambda a: np.where(np.arange(4) > 1, a, -a), A),
    "where scalar": (lambda a: np.where(a[0] > 0, 1, a[1]), V),
    "clip": (lambda a: np.clip(a, -0.5, 0.5), A),
    "clip one side": (lambda a: a.clip(0) + a.clip(max=0.2), A),
    "clip ints": (lambda a: np.clip(a, -1, 3), N),
    "clip arrays": (lambda a: np.clip(a, a[0], a[1] + 1), A),
    "select": (lambda a: np.select([a > 0.5, a > 0], [a, 2 * a], -1), A),
    "round": (lambda a: [np.round(a, 2), a.round(), round(a[0, 0], 1)], A),
    "isclose": (lambda a: np.isclose(a, a * (1 + 1e-6)), A),
    "allclose": (lambda a: np.allclose(a, a + 1e-9), A),
    "array_equal": (lambda a: np.array_equal(a, a), A),
    "diff": (lambda a: np.diff(a, axis=0), A),
    "diff n": (lambda a: np.diff(a, n=2), V),
    "diff ends": (lambda a: np.diff(a, prepend=0.0, append=a[:1]), V),
    "diff bool": (lambda a: np.diff(a > 0.5), V),
    "ediff1d": (np.ediff1d, A),
    "gradient": (lambda a: np.gradient(a, 0.5), A),
    "gradient axis": (lambda a: np.gradient(a, axis=1), A),
    "trapezoid": (lambda a: np.trapezoid(a, dx=0.5), A),
    "trapezoid x": (lambda a, x: np.trapezoid(a, x), V, np.sort(V)),
    "trapezoid axis": (lambda a: np.trapezoid(a, np.arange(3.0) ** 2, axis=0), A),
    "polyval": (lambda p, x: np.polyval(p, x), V, A),
    "polyval list": (lambda x: np.polyval([1, x[0], 3], x), V),
    "convolve": (lambda a, v: np.convolve(a, v), V, B[:, 0].copy()),
    "convolve same": (lambda a, v: np.convolve(a, v, "same"), B[:, 0].copy(), V),
    "convolve valid": (lambda a, v: np.convolve(a, v, "valid"), V, V[:2].copy()),
    "correlate": (lambda a, v: np.correlate(a, v, "full"), V[:3].copy(), V),
    "correlate valid": (np.correlate, V, V[:2].copy()),
    "take": (lambda a: np.take(a, [0, -1, 1], axis=1), A),
    "take flat": (lambda a: a.take([[0, 5], [-1, 2]]), A),
    "take modes": (lambda a: [a.take([-9, 9], mode=m) for m in ("clip", "wrap")], V),
    "take_along_axis": (
        lambda a: np.take_along_axis(a, np.argmax(a, 1, keepdims=True), 1),
        A,
    ),
    "reduce": (lambda a: [np.add.reduce(a), np.maximum.reduce(a, axis=1)], A),
    "accumulate": (lambda a: np.add.accumulate(a, axis=1), A),
    "outer of ufunc": (lambda a, b: np.subtract.outer(a, b), V, A),
    "logaddexp": (np.logaddexp, V, V[::-1].copy()),
    "astype": (lambda a: [(a * 9).astype(int), a.astype(bool), a.astype("f4")], A),
    "to int8": (lambda a: (a * 9).astype(np.int8), A),
    "lists of scalars": (
        lambda a: [np.sum([a[0], 1.0]), np.max([a[0], a[1]]), np.mean([a, a], axis=0)],
        V,
    ),
    "lists of numbers": (
        lambda a: [
            np.dot([1, 2.5, 3, 4, 5], a),
            np.maximum([0] * 5, a),
            np.outer([1], a),
        ],
        V,
    ),
    "lists to ufuncs": (lambda a: [np.sqrt([a[0], a[1]]), np.hypot([a[0]], 2)], V),
    "axes by place": (lambda a: [np.sum(a, (0, 1)), np.max(a, 0), a.mean((1,))], A),
    "result_type": (lambda a: np.zeros(3, np.result_type(a, np.float64)) + a[0, 0], A),
    "copy": (lambda a: [a.copy(), np.copy(a)], A),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    fn, *args = FUNCTIONS[name]
    assert_as_numpy(fn, *args, rtol=2e-14)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint64", "int64"])
def test_comparisons_with_numbers_out_of_range(dtype):
    x = np.array([0, 1, 100], dtype)
    for number in (300, -5, 1, 2**40):
        assert_as_numpy(lambda x, n=number: (x < n, x >= n, n == x, n != x), x)
        assert_as_numpy(lambda x, n: (x < n, x >= n, n == x), x, number)


def test_where_of_scalars_makes_an_array_without_axes():
    out, _ = assert_as_numpy(lambda a, b: np.where(a > 0, a, b), 1.5, 2.5)
    assert out.kind == "array"
