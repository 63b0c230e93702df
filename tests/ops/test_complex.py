"""Complex operands through NumPy's functions: values, dtypes, derivatives, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import jit, jvp, value_and_grad, vjp
from tracejit.base.errors import CastingError, UnsupportedError
from tracejit.testing import check_grads

Z = np.array([1 + 2j, 3 - 1j, -0.5 + 0.3j, -1.2 - 0.7j])
W = np.array([0.3 - 1j, 1.5 + 0.2j, -0.4j, 2.0])
X = np.array([0.1, 0.5, 2.0, -0.7])
A = np.outer(Z, W) + np.diag(Z)

HOLOMORPHIC = (
    "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan sinh cosh tanh arcsin arccos "
    "arctan arcsinh arccosh arctanh square reciprocal negative positive"
).split()
OTHERS = "abs angle conj real imag sign mean sum prod cumsum cumprod var std".split()

PROGRAMS = {
    "mixed dtypes": lambda z, w, x: x * z + w / x - x,
    "integer powers": lambda z, w, x: z**3 - w**2 + z**-2,
    "powers": lambda z, w, x: z**2.5 + z**x + np.abs(x) ** w + z**w,
    "choice": lambda z, w, x: np.where(x > 0.3, z, x) * np.where(z == w, 0, w),
    "product": lambda z, w, x: np.outer(z, w) @ x,
    "vdot": lambda z, w, x: np.vdot(z, w) + np.vecdot(w, z) + z @ w,
    "einsum": lambda z, w, x: np.einsum("i,j,i->ij", z, w, x),
    "gathered": lambda z, w, x: z[[0, 2, 2]] * w[np.array([1, 3, 0])],
    "padded": lambda z, w, x: np.pad(z, 1)[1:5] * np.pad(w, 2, "edge")[:4] + np.sinc(w),
    "pieces": lambda z, w, x: np.concatenate([z[::-1], np.stack([w, x])[1]]),
    "python": lambda z, w, x: complex(x[0], 2.0) * abs(z[1]) + 3j * w[0].conjugate(),
    "polar": lambda z, w, x: np.abs(z) * np.exp(1j * np.angle(w)),
    "weighted": lambda z, w, x: np.average(z, weights=x) + np.trapezoid(w, x),
    "convolved": lambda z, w, x: np.convolve(z, w[:2]) + np.diff(w, n=0)[0],
}


def outcomes_agree(fn, *args):
    got, want = jit(fn, backend="numpy")(*args), fn(*args)
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-14)
    assert np.asarray(got).dtype == np.asarray(want).dtype


@pytest.mark.parametrize("name", HOLOMORPHIC + OTHERS)
def test_function(name):
    ufunc = getattr(np, name)
    outcomes_agree(lambda z: ufunc(z), Z)
    single = Z.astype(np.complex64)
    got = jit(lambda z: ufunc(z), backend="numpy")(single)
    assert got.dtype == ufunc(single).dtype
    check_grads(lambda z: ufunc(z), (Z,), backend="numpy")


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_derivative_of_a_holomorphic_function_is_a_number(name):
    """The tangent along i is i times that along 1."""
    ufunc = getattr(np, name)
    along = [
        jvp(lambda z: ufunc(z), (Z,), (d,), backend="numpy")[1] for d in (Z, 1j * Z)
    ]
    np.testing.assert_allclose(along[1], 1j * along[0], rtol=1e-13)


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    fn = PROGRAMS[name]
    outcomes_agree(fn, Z, W, X)
    check_grads(fn, (Z, W, X), backend="numpy")


@pytest.mark.parametrize("name", "isnan isinf isfinite isreal iscomplex".split())
def test_question(name):
    question = getattr(np, name)
    values = np.array([complex(np.nan, 1), complex(0, np.inf), 0, 2, 1 + 1j])
    got = jit(lambda z: question(z), backend="numpy")(values)
    np.testing.assert_array_equal(got, question(values))


def test_logic_asks_for_zero():
    values = np.array([0, 1j, 2, 0])
    fn = lambda z: (np.logical_not(z), np.any(z), np.logical_and(z, z[::-1]))  # noqa: E731
    for got, want in zip(jit(fn, backend="numpy")(values), fn(values), strict=True):
        np.testing.assert_array_equal(got, want)


REFUSED = {
    "percentile": lambda z: np.percentile(z, 50),
    "interp": lambda z: np.interp(z, [0.0, 1.0], [0.0, 1.0]),
    "searchsorted": lambda z: np.searchsorted(z, z),
    "hypot": lambda z: np.hypot.reduce(z),
    "i0": lambda z: np.i0(z),
    "floor": lambda z: np.floor(z),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_program_for_complex_numbers_is_refused(name):
    with pytest.raises((UnsupportedError, TypeError)):
        jit(REFUSED[name], backend="numpy")(Z)


def stored(z, x):
    x = x.copy()
    x[0] = z[0]
    return x


def added(z, x):
    x = x.copy()
    x += z
    return x


@pytest.mark.parametrize(
    "fn",
    [
        stored,
        added,
        lambda z, x: z.astype(float),
        lambda z, x: float(z[0]),
        lambda z, x: int(z[0]),
        lambda z, x: np.float64(z[0]),
        lambda z, x: np.array([z[0]], dtype=float),
    ],
)
def test_no_imaginary_part_is_dropped(fn):
    with pytest.raises((CastingError, UnsupportedError)):
        jit(fn, backend="numpy")(Z, X)


# Order --------------------------------------------------------------------------------

TIES = np.array([1 + 2j, 1 - 1j, 3, 1 + 2j, 0.5 + 7j, 3, 3 - 2j])
STRANGE = [1 + 1j, complex(np.nan, 2), complex(0, np.nan), complex(np.nan, 1), 0.5j]
STRANGE = np.array([*STRANGE, complex(np.nan, np.nan), complex(-1, np.nan)])
ORDERS = {
    "sort": lambda z: np.sort(z),
    "argsort": lambda z: np.argsort(z, kind="stable"),
    "sort_complex": lambda z: np.sort_complex(z),
    "max": lambda z: np.max(z),
    "min": lambda z: np.min(z.reshape(-1, 1), axis=0),
    "argmax": lambda z: np.argmax(z),
    "argmin": lambda z: np.argmin(z.reshape(-1, 1), axis=0),
    "maximum": lambda z: np.maximum(z, z[::-1]),
    "fmin": lambda z: np.fmin(z, z[::-1]),
    "less": lambda z: z < z[::-1],
    "greater_equal": lambda z: z >= z[::-1],
    "median": lambda z: np.median(z),
    "clip": lambda z: np.clip(z, 0.9, 2 + 1j),
    "masked": lambda z: np.max(z[z > 1]),
}


@pytest.mark.parametrize("name", ORDERS)
def test_order_is_by_the_real_part_then_the_imaginary(name):
    outcomes_agree(ORDERS[name], TIES)
    fn = ORDERS[name]
    if np.asarray(fn(TIES)).dtype.kind == "c":
        check_grads(fn, (Z,), backend="numpy")


@pytest.mark.parametrize("name", sorted(set(ORDERS) - {"median", "clip", "masked"}))
def test_order_of_what_is_no_number(name):
    with np.errstate(invalid="ignore"):
        want = np.asarray(ORDERS[name](STRANGE))
    got = np.asarray(jit(ORDERS[name], backend="numpy")(STRANGE))
    if want.dtype.kind == "c":
        # Which part is NaN is not promised of results that are no numbers.
        got, want = (np.where(np.isnan(x), np.nan, x) for x in (got, want))
    np.testing.assert_array_equal(got, want)


def test_equal_extremes_share_the_derivative():
    slope = vjp(lambda z: np.max(z), TIES, backend="numpy")[1](np.complex128(1))[0]
    np.testing.assert_array_equal(slope, [0, 0, 0.5, 0, 0, 0.5, 0])


def test_equal_operands_share_the_derivative():
    both = vjp(lambda a, b: np.maximum(a, b), Z, Z, backend="numpy")[1](np.ones_like(Z))
    for slope in both:
        np.testing.assert_array_equal(slope, np.full(4, 0.5))


def test_order_compiled():
    def fn(z):
        small = np.maximum(z, 1) - np.clip(z[::-1], -1, 2j)
        return np.sum(np.abs(np.sort(z) * small + np.max(z)) ** 2)

    got, slope = value_and_grad(fn)(TIES)
    want, slow = value_and_grad(fn, backend="numpy")(TIES)
    np.testing.assert_allclose(got, want, rtol=1e-13)
    np.testing.assert_allclose(slope, slow, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_products_of_matrices_compiled(dtype):
    """By BLAS, where they are not small."""
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 20, 30)) + 1j * rng.normal(size=(2, 20, 30))
    a, b = a.astype(dtype), b.T.astype(dtype)

    def fn(a, b):
        return np.sum(np.abs(a @ b + (a.conj() @ a.T) @ (b.T @ b)) ** 2)

    got, slope = value_and_grad(fn)(a, b)
    want, slow = value_and_grad(fn, backend="numpy")(a, b)
    tolerance = 1e-12 if dtype is np.complex128 else 1e-5
    np.testing.assert_allclose(got, want, rtol=tolerance)
    scale = np.max(np.abs(slow))
    np.testing.assert_allclose(slope / scale, slow / scale, atol=tolerance)


# Fourier transforms -------------------------------------------------------------------

REAL = np.random.default_rng(0).normal(size=(4, 6))
ODD = np.random.default_rng(1).normal(size=(3, 7))
COMPLEX = REAL + 1j * REAL[::-1] ** 2
OF_COMPLEX = "fft ifft irfft hfft fft2 ifft2 irfft2 fftn ifftn irfftn".split()
OF_REAL = "rfft rfft2 rfftn ihfft".split()
ONE_AXIS = [{}, {"n": 5}, {"n": 9, "axis": 0}, {"norm": "ortho"}, {"norm": "forward"}]
SEVERAL = [{}, {"s": (5, 9), "axes": (0, 1)}, {"axes": (1, 0)}, {"norm": "ortho"}]


@pytest.mark.parametrize("name", OF_COMPLEX + OF_REAL)
def test_transform(name):
    transform = getattr(np.fft, name)
    several = name[-1] in "2n"
    for options in SEVERAL if several else ONE_AXIS:
        fn = lambda a: transform(a, **options)  # noqa: B023, E731
        for a in (REAL, ODD, *([COMPLEX] if name in OF_COMPLEX else [])):
            got, want = jit(fn, backend="numpy")(a), fn(a)
            np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)
            single = a.astype(np.float32 if a.dtype == float else np.complex64)
            assert jit(fn, backend="numpy")(single).dtype == fn(single).dtype
        check_grads(fn, (a,), order=1, backend="numpy")


@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
def test_shift(name):
    shift = getattr(np.fft, name)
    for options in ({}, {"axes": 1}, {"axes": (0,)}):
        for a in (ODD, COMPLEX):
            outcomes_agree(lambda a: shift(a, **options), a)  # noqa: B023


def test_a_transform_of_real_numbers_takes_no_others():
    with pytest.raises(TypeError):
        jit(lambda z: np.fft.rfft(z), backend="numpy")(Z)
