"""The mathematical part of the table of support; see `numpy_cases`."""

from __future__ import annotations

from tests.ops.numpy_cases import (
    _DATA,
    _LOOP,
    _MEMORY,
    _OWNER,
    _VALUE,
    _YET,
    Routine,
    constant,
    smooth,
)

_ONE = (
    "negative positive absolute fabs sign rint floor ceil trunc exp exp2 expm1 sin cos "
    "tan arctan sinh cosh tanh arcsinh square cbrt deg2rad rad2deg degrees radians "
    "reciprocal conjugate sinc i0 fix"
).split()
_POSITIVE = "sqrt log log2 log10 log1p".split()
_UNIT = "arcsin arccos arctanh".split()
_TWO = (
    "add subtract multiply divide true_divide maximum minimum fmax fmin hypot arctan2 "
    "logaddexp logaddexp2 copysign"
).split()
_DIVISION = "floor_divide remainder mod fmod".split()
_COMPARISON = "less less_equal greater greater_equal equal not_equal".split()
_LOGIC = "logical_and logical_or logical_xor".split()
_BITS = "bitwise_and bitwise_or bitwise_xor left_shift right_shift gcd lcm".split()
_TESTS = "isnan isfinite isinf signbit isneginf isposinf isreal iscomplex".split()

UFUNCS: dict[str, Routine] = {
    **{f"np.{f}": smooth(f"np.{f}(x)") for f in _ONE},
    **{f"np.{f}": smooth(f"np.{f}(x ** 2 + 0.1)") for f in _POSITIVE},
    **{f"np.{f}": smooth(f"np.{f}(np.tanh(x))") for f in _UNIT},
    "np.arccosh": smooth("np.arccosh(x ** 2 + 1.1)"),
    **{f"np.{f}": smooth(f"np.{f}(x, y)", f"np.{f}(A, 0.7)") for f in _TWO},
    **{f"np.{f}": smooth(f"np.{f}(x, y ** 2 + 0.5)") for f in _DIVISION},
    "np.power": smooth(
        "np.power(x ** 2 + 0.1, y)", "np.power(x, 3)", "x ** 2.5 if 0 else x ** 4"
    ),
    "np.float_power": smooth(
        "np.float_power(x ** 2 + 0.1, y)", "np.float_power(k5 + 1, a)"
    ),
    "np.divmod": smooth("np.divmod(x, 0.7)", "divmod(y, 0.7)[1]"),
    "np.modf": smooth("np.modf(x)"),
    "np.frexp": smooth("np.frexp(x)[0]", "np.frexp(x)"),
    "np.ldexp": smooth("np.ldexp(x, 3)", "np.ldexp(x, k5 - 2)"),
    "np.nextafter": smooth("np.nextafter(x, y)"),
    "np.spacing": constant("np.spacing(x)"),
    "np.heaviside": smooth("np.heaviside(x, 0.5)"),
    "np.clip": smooth(
        "np.clip(x, -0.5, 0.5)",
        "np.clip(x, None, 0.5)",
        "np.clip(x, y, None)",
        "np.clip(x, a_min=0.1, a_max=2.0)",
        "np.clip(A, -1, B)",
        "z = x.copy(); np.clip(z, 0, 1, out=z); return z",
        "np.clip(x, max=0.5)",
    ),
    "np.nan_to_num": smooth(
        "np.nan_to_num(np.where(km, np.nan, x), nan=2.0)",
        "np.nan_to_num(np.where(km, np.inf, x), posinf=1.0)",
    ),
    "np.round": smooth("np.round(x, 1)", "np.around(x)", "np.round(x * 100, -1)"),
    "np.unwrap": smooth("np.unwrap(x * 7)", "np.unwrap(A * 5, axis=0)"),
    "np.angle": smooth("np.angle(x)", "np.angle(x, deg=True)"),
    "np.real": smooth("np.real(x) * 2", "np.real_if_close(x) * 2"),
    "np.imag": constant("np.imag(x)"),
    "np.conj": smooth("np.conj(x)"),
    "np.abs": smooth("np.abs(x)", "abs(A)"),
    **{f"np.{f}": constant(f"np.{f}(x, y)", f"np.{f}(A, 0.5)") for f in _COMPARISON},
    **{f"np.{f}": constant(f"np.{f}(x > 0, y > 0)", f"np.{f}(x, km)") for f in _LOGIC},
    "np.logical_not": constant("np.logical_not(x > 0)", "np.logical_not(x)"),
    **{f"np.{f}": constant(f"np.{f}(np.rint(x * x).astype(int), k5)") for f in _BITS},
    "np.invert": constant("np.invert(x > 0)", "~np.rint(x).astype(int)"),
    "np.bitwise_count": Routine(
        refused={"np.bitwise_count(np.rint(x * 9).astype(int))": _YET}
    ),
    **{f"np.{f}": constant(f"np.{f}(x)") for f in _TESTS},
    "np.isclose": constant("np.isclose(x, x + 1e-9)", "np.isclose(x, y, atol=0.5)"),
    "np.allclose": constant("np.allclose(x, x + 1e-9)", "np.allclose(x, y)"),
    "np.array_equal": constant("np.array_equal(x, y)", "np.array_equal(x, A)"),
    "np.array_equiv": constant("np.array_equiv(x, x[None])", "np.array_equiv(x, S)"),
    "np.iscomplexobj": smooth("x * (2 if np.iscomplexobj(x) else 3)"),
    "np.isscalar": smooth("x * (2 if np.isscalar(x) else 3)"),
}

OPTIONS = {
    "out=": smooth(
        "z = np.empty(5); np.multiply(x, y, out=z); return z",
        "z = np.empty(5); np.sin(x, z); return z",
        "z = np.zeros(4); np.sum(A, axis=0, out=z); return z",
        "z = x.copy(); np.add(z, y, out=z); return z",
        "z, w = np.empty(5), np.empty(5); np.divmod(x, 0.7, out=(z, w)); return z",
        "z = np.zeros((4, 4)); np.matmul(S, S, out=z); return z",
        "z = np.zeros(4); np.dot(S, x[:4], out=z); return z",
        "z = np.zeros(5); np.cumsum(x, out=z); return z",
    ),
    "where=": smooth(
        "z = np.ones(5); np.sqrt(x, out=z, where=x > 0); return z",
        "np.sum(A, axis=0, where=KM)",
        "np.sum(A, axis=0, where=[True, False, True, True])",
        "np.std(A, (0, 1), ddof=1, where=KM)",
        "np.add(x, y, where=km, out=np.zeros(5))",
        "np.divide(x, y, out=np.zeros_like(x), where=y != 0)",
        "np.prod(x, where=x > 0)",
        "np.mean(A, axis=1, where=A > -1)",
    ),
    "dtype=": constant(
        "np.add(x, y, dtype=np.float32)",
        "np.sum(x, dtype=np.float32)",
        "np.mean(k5, dtype=np.float32) * x.astype(np.float32)",
    ),
    "casting=": smooth("np.add(x, y, casting='unsafe')"),
}

REDUCTIONS = {
    "np.sum": smooth(
        "np.sum(x)",
        "np.sum(T, axis=(0, -1))",
        "np.sum(A, axis=1, keepdims=True)",
        "np.sum(x, initial=a)",
        "np.sum([a, b])",
        "np.sum(A, 0, where=A > 0)",
    ),
    "np.prod": smooth("np.prod(x)", "np.prod(A, axis=0)", "np.prod(x, initial=2.0)"),
    "np.cumsum": smooth("np.cumsum(x)", "np.cumsum(A, axis=0)", "np.cumsum(A)"),
    "np.cumprod": smooth("np.cumprod(x)", "np.cumprod(A, axis=1)"),
    "np.cumulative_sum": smooth(
        "np.cumulative_sum(x)", "np.cumulative_sum(A, axis=0, include_initial=True)"
    ),
    "np.cumulative_prod": smooth("np.cumulative_prod(x, include_initial=True)"),
    "np.any": constant("np.any(x > 1)", "np.any(A > 0, axis=0, keepdims=True)"),
    "np.all": constant("np.all(x > 1)", "np.all(A > -1, axis=1)"),
    "ufunc.reduce": smooth(
        "np.add.reduce(A)",
        "np.multiply.reduce(A, axis=1)",
        "np.maximum.reduce(x)",
        "np.add.reduce(A, axis=None, keepdims=True)",
        "np.minimum.reduce([x, y])",
        "np.add.reduce(x, initial=2.0, where=km)",
        "np.subtract.reduce(A)",
        "np.logaddexp.reduce(x)",
        "np.hypot.reduce(A, axis=1)",
        "np.divide.reduce(y)",
        "np.fmax.reduce(x)",
        "np.copysign.reduce(x)",
    ),
    "ufunc.accumulate": smooth(
        "np.add.accumulate(x)",
        "np.multiply.accumulate(A, axis=1)",
        "np.maximum.accumulate(x)",
        "np.minimum.accumulate(A, axis=0)",
        "np.subtract.accumulate(x)",
        "np.divide.accumulate(x)",
        "np.logaddexp.accumulate(A, axis=1)",
        "np.hypot.accumulate(x)",
        "np.fmin.accumulate(x)",
        refused={"np.power.reduce(x, where=km)": _LOOP},
    ),
    "ufunc.reduceat": smooth(
        "np.add.reduceat(x, [0, 2, 4])",
        "np.add.reduceat(A, [0, 2], axis=1)",
        "np.multiply.reduceat(x, [0, 3, 1])",
        "np.maximum.reduceat(x, [0, 2])",
    ),
    "ufunc.outer": smooth(
        "np.add.outer(x, y)",
        "np.subtract.outer(A, x)",
        "np.multiply.outer(x, a)",
        "np.maximum.outer(x, y)",
        "np.power.outer(x ** 2 + 0.1, [1.0, 2.0])",
    ),
    "ufunc.at": smooth(
        "z = np.zeros(3); np.add.at(z, k5 % 3, x); return z",
        "z = np.ones(3); np.subtract.at(z, [0, 0, 2], x[:3]); return z",
        "z = x.copy(); np.multiply.at(z, [0, 0, 2], y[:3]); return z",
        "z = x.copy(); np.maximum.at(z, [0, 0, 2], y[:3]); return z",
        "z = x.copy(); np.divide.at(z, [0, 1], 2.0); return z",
        "z = x.copy(); np.negative.at(z, [0, 1]); return z",
        "z = A.copy(); np.add.at(z, ([0, 0], [1, 1]), x[:2]); return z",
        "z = x.copy(); np.add.at(z, slice(1, 3), 2.0); return z * x",
    ),
}

PRODUCTS = {
    "np.dot": smooth(
        "np.dot(x, y)", "np.dot(S, A.T)", "np.dot(A, x[:4])", "np.dot(a, x)"
    ),
    "np.matmul": smooth(
        "np.matmul(S, S)",
        "np.matmul(T, S)",
        "A @ S",
        "x[:3] @ A",
        "np.matmul(T, np.swapaxes(T, 1, 2))",
    ),
    "np.inner": smooth("np.inner(x, y)", "np.inner(A, B)"),
    "np.vdot": smooth("np.vdot(A, B)"),
    "np.vecdot": smooth("np.vecdot(A, B)"),
    "np.matvec": smooth("np.matvec(T, x[:4])"),
    "np.vecmat": smooth("np.vecmat(x[:3], T)"),
    "np.outer": smooth("np.outer(x, y)", "np.outer(A, x)"),
    "np.tensordot": smooth(
        "np.tensordot(A, S, 1)",
        "np.tensordot(T, T, ([0, 1], [0, 1]))",
        "np.tensordot(x, y, 0)",
        "np.tensordot(T, A, axes=((1, 2), (0, 1)))",
    ),
    "np.einsum": smooth(
        "np.einsum('ij,jk->ik', A, S)",
        "np.einsum('ii', S)",
        "np.einsum('ij->j', A)",
        "np.einsum('i,j', x, y)",
        "np.einsum('...ij,...j->...i', T, x[:4])",
        "np.einsum(A, [0, 1], x[:4], [1])",
        "np.einsum('ij,ij', A, B)",
        "np.einsum('ij,jk,kl->il', A, S, S, optimize=True)",
        "np.einsum('ij->ji', A)",
        "np.einsum('ii->i', S)",
        "np.einsum('ijk,jk->', T, A, optimize='optimal')",
        "z = np.zeros(3); np.einsum('ij,j->i', A, x[:4], out=z); return z",
        "np.einsum('ij,jk', A, S, dtype=float)",
    ),
    "np.einsum_path": smooth("x * len(np.einsum_path('i,i', x, y)[0])"),
    "np.kron": smooth("np.kron(x, y)", "np.kron(A, S)", "np.kron(A, x)"),
    "np.cross": smooth(
        "np.cross(x[:3], y[:3])",
        "np.cross(T[:, :, :3], y[:3])",
        "np.cross(A, B, axis=0)",
        "np.cross(A.T, B, axisa=1, axisb=0, axisc=0)",
        "np.cross(A[:, :3], y[:3])",
    ),
    "np.trace": smooth("np.trace(S)", "np.trace(T, 1, 1, 2)", "np.trace(A, offset=-1)"),
}

SERIES = {
    "np.diff": smooth(
        "np.diff(x)",
        "np.diff(A, axis=0)",
        "np.diff(x, n=2)",
        "np.diff(x, prepend=0.0)",
        "np.diff(A, prepend=0.0, append=A[:, :1])",
        "np.diff(x, n=0)",
    ),
    "np.ediff1d": smooth(
        "np.ediff1d(A)", "np.ediff1d(x, to_begin=a, to_end=[1.0, 2.0])"
    ),
    "np.gradient": smooth(
        "np.gradient(x)",
        "np.gradient(A)",
        "np.gradient(x, 0.5)",
        "np.gradient(x, edge_order=2)",
        "np.gradient(x, k5 ** 1.5)",
        "np.gradient(A, 0.5, axis=1)",
        "np.gradient(A, 0.5, [0.0, 1.0, 3.0, 4.0])",
        "np.gradient(x, k5 ** 1.5, edge_order=2)",
        "np.gradient(y, np.cumsum(x ** 2 + 1))",
        "np.gradient(T, 1.0, 2.0, axis=(1, 2), edge_order=2)",
    ),
    "np.trapezoid": smooth(
        "np.trapezoid(x)",
        "np.trapezoid(x, dx=0.1)",
        "np.trapezoid(y, x)",
        "np.trapezoid(A, axis=0)",
        "np.trapezoid(A, B, axis=0)",
        "np.trapezoid(A, x[:4])",
    ),
    "np.interp": smooth(
        "np.interp(x, [-1.0, 0.0, 1.0], [2.0, 0.5, 3.0])",
        "np.interp(0.3, np.cumsum(x ** 2), y)",
        "np.interp(a, k5, x)",
        "np.interp(x, [-1.0, 0.0, 1.0], y[:3], left=0.0, right=a)",
        "np.interp(A, np.sort(x), y)",
        "np.interp(x * 9, k5, y, period=5.0)",
    ),
    "np.convolve": smooth(
        "np.convolve(x, y)",
        "np.convolve(x, y[:2], 'same')",
        "np.convolve(x, y[:3], mode='valid')",
        "np.convolve(x[:2], y)",
    ),
    "np.correlate": smooth(
        "np.correlate(x, y)",
        "np.correlate(x, y[:2], 'full')",
        "np.correlate(x[:2], y, 'same')",
    ),
    "np.poly": smooth("np.poly(x)"),
    "np.polyval": smooth(
        "np.polyval(x, a)", "np.polyval([1.0, a, 2.0], A)", "np.polyval(x, y)"
    ),
    "np.polyder": smooth("np.polyder(x)", "np.polyder(x, 2)"),
    "np.polyint": smooth("np.polyint(x)", "np.polyint(x, 2)", "np.polyint(x, k=a)"),
    "np.polyfit": smooth("np.polyfit(x, y, 2)", "np.polyfit(y, x, 1, w=np.abs(x))"),
    "np.polyadd": smooth("np.polyadd(x, y[:3])"),
    "np.polysub": smooth("np.polysub(x[:2], y)"),
    "np.polymul": smooth("np.polymul(x, y[:3])"),
    "np.polydiv": Routine(refused={"np.polydiv(x, y[:3])[0]": _DATA}),
    "np.polynomial": smooth(
        "np.polynomial.polynomial.polyval(a, x)",
        "np.polynomial.polynomial.polyval(y, x)",
        "np.polynomial.chebyshev.chebval(x, y)",
        "np.polynomial.legendre.legval(x, y)",
        "np.polynomial.hermite.hermval(x, y)",
        "np.polynomial.laguerre.lagval(x, y)",
        "np.polynomial.polynomial.polyvander(x, 3)",
        "np.polynomial.polynomial.polyder(x)",
        refused={"np.polynomial.polynomial.polymul(x, y)": _DATA},
    ),
    "np.hamming": smooth(
        "np.hamming(5) * x",
        "np.hanning(5) * x",
        "np.bartlett(5) * x",
        "np.blackman(5) * x",
        "np.kaiser(5, 2.0) * x",
    ),
}

METHODS = {
    "ndarray.shape": smooth(
        "z = A.copy(); z.shape = (4, 3); return z @ A",
        "x * A.shape[0]",
        "z = np.zeros(6); z.shape = 2, 3; z[0] = x[:3]; return z",
    ),
    "ndarray.flat": smooth(
        "A.flat[5] * a",
        "z = A.copy(); z.flat[::2] = 1.0; return z * A",
        "sum(A.flat)",
        "z = np.zeros((2, 3)); z.flat = x[:3]; return z",
        "z = np.zeros((2, 3)); z.flat[[1, 4]] = x[:2]; return z",
        "A.flat[2:7]",
    ),
    "ndarray.T": smooth("A.T @ A", "T.mT"),
    "ndarray.real": smooth("x.real * 2"),
    "ndarray.imag": constant("x.imag"),
    "ndarray.item": smooth(
        "x.item(2) * x", "A.item(1, 2)", "A.item((1, 2))", "a * x[:1].item()"
    ),
    "ndarray.tolist": smooth("sum(x.tolist())", "np.array(A.tolist())"),
    "ndarray.fill": smooth("z = np.zeros(5); z.fill(a); return z * x"),
    "ndarray.sort": smooth(
        "z = x.copy(); z.sort(); return z",
        "z = A.copy(); z.sort(axis=0); return z * A",
        "z = A.copy(); z[1].sort(); return z",
    ),
    "ndarray.argsort": smooth("x[x.argsort()]", "x[(-x).argsort()[:2]]"),
    "ndarray.partition": smooth("z = x.copy(); z.partition(2); return z[2]"),
    "ndarray.argpartition": smooth("x[x.argpartition(1)[1]]"),
    "ndarray.searchsorted": constant("np.sort(x).searchsorted(y)"),
    "ndarray.put": smooth("z = x.copy(); z.put([0, 1], [a, b]); return z"),
    "ndarray.take": smooth("x.take([0, 2])", "A.take([1], axis=1)"),
    "ndarray.compress": smooth("x.compress(km)", "A.compress([1, 0, 1], axis=0)"),
    "ndarray.choose": smooth(
        "k5.choose([x] * 5)", "(x > 0).astype(int).choose([x, y])"
    ),
    "ndarray.repeat": smooth("x.repeat(2)"),
    "ndarray.diagonal": smooth("S.diagonal()", "S.diagonal(1)"),
    "ndarray.trace": smooth("S.trace()", "S.trace(1)"),
    "ndarray.dot": smooth("A.dot(S)", "x.dot(y)"),
    "ndarray.nonzero": smooth("x[km.nonzero()]"),
    "ndarray.astype": smooth(
        "x.astype(float, copy=False) * 2",
        "x.astype('float64')",
        "x.astype(np.float64, order='C', casting='safe')",
    ),
    "ndarray.copy": smooth("z = x.copy(); z[0] = a; return z * x"),
    "ndarray.reshape": smooth(
        "A.reshape(4, 3)", "A.reshape((2, -1))", "A.reshape(-1, order='F')"
    ),
    "ndarray.resize": Routine(
        refused={"z = x.copy(); z.resize(3, refcheck=False); return z": _OWNER}
    ),
    "ndarray.ravel": smooth("A.ravel()", "A.flatten()", "A.T.flatten('F')"),
    "ndarray.squeeze": smooth("A[None].squeeze()"),
    "ndarray.swapaxes": smooth("T.swapaxes(0, 1)"),
    "ndarray.transpose": smooth(
        "T.transpose(1, 0, 2)", "A.transpose()", "T.transpose((1, 2, 0))"
    ),
    "ndarray.sum": smooth("x.sum()", "A.sum(axis=0)", "A.sum(0, keepdims=True)"),
    "ndarray.prod": smooth("x.prod()"),
    "ndarray.mean": smooth("A.mean(axis=1)", "A.mean(1)"),
    "ndarray.var": smooth("x.var(ddof=1)"),
    "ndarray.std": smooth("A.std(axis=0)"),
    "ndarray.max": smooth("x.max()", "A.max(axis=0)", "x.max(initial=3.0)"),
    "ndarray.min": smooth("A.min()"),
    "ndarray.argmax": constant("x.argmax()", "A.argmax(axis=0)"),
    "ndarray.argmin": constant("A.argmin()"),
    "ndarray.cumsum": smooth("x.cumsum()", "A.cumsum(axis=1)"),
    "ndarray.cumprod": smooth("x.cumprod()"),
    "ndarray.clip": smooth("x.clip(0, 1)", "x.clip(max=0.5)", "x.clip(min=0.0)"),
    "ndarray.round": smooth("x.round(1)", "x.round()"),
    "ndarray.conj": smooth("x.conj()", "x.conjugate()"),
    "ndarray.any": constant("(x > 0).any()", "(A > 0).all(axis=0)"),
    "ndarray.size": smooth("x / x.size", "x * A.ndim", "x * A.nbytes", "x * len(A)"),
    "ndarray.dtype": smooth("x * np.finfo(x.dtype).eps", "x * x.dtype.itemsize"),
    "ndarray.flags": smooth("x * (2 if x.flags.c_contiguous else 3)"),
    "ndarray.strides": constant("x * A.strides[0]"),
    "ndarray.view": Routine(
        smooth=["x.view() * 2"], refused={"x.view(np.int64)": _MEMORY}
    ),
    "ndarray.base": smooth("x * (2 if x[1:].base is not None else 3)"),
    "ndarray.tobytes": Routine(
        refused={
            "x.tobytes()": _MEMORY,
            "x.tofile('nothing')": _MEMORY,
            "x.data": _MEMORY,
            "x.ctypes": _MEMORY,
            "x.byteswap()": _MEMORY,
            "x.dumps()": _MEMORY,
        }
    ),
    "ndarray.__iter__": smooth("sum(r @ r for r in A)", "np.stack([t * t for t in x])"),
    "ndarray.__contains__": Routine(refused={"np.where(0.5 in x, 1, 2)": _VALUE}),
    "A[True]": smooth(
        "x[True] * x[None, False].sum() + x[np.True_]",
        "A[True, 1:3, [0, 2]]",
        "A[1:3, True, 2]",
        "A[..., True, None]",
        "z = A.copy(); z[True] *= a; z[False, 1] = 7.0; z[1, True] = x[:4]; return z",
    ),
    "A[mask] = …": smooth(
        "z = x.copy(); z[z > 0] = 0.0; return z * x",
        "z = np.zeros(5); z[x > 0] = x[x > 0]; return z",
        "z = x.copy(); z[x > 0] *= y[x > 0]; return z",
        "z = x.copy(); z[km] = y[km]; return z",
        "z = x.copy(); z[x > 0] = np.sqrt(x[x > 0]) + y[x > 0]; return z",
        "z = A.copy(); z[A < 0] = -B[A < 0]; return z",
    ),
    "A[mask]": Routine(
        smooth=[
            "x[km]",
            "A[KM]",
            "np.sum(x[x > 0])",
            "x[x > 0].sum()",
            "np.mean(x[x > 0])",
            "np.max(x[x > 0])",
            "np.prod(x[x > 0])",
            "np.sum(np.sin(A[A > 0]) ** 2)",
        ],
        constant=[
            "len(x[km]) * np.sign(x)",
            "np.count_nonzero(x[x > 0] > 1)",
            "x[x > 0].size",
        ],
        refused={"x[x > 0]": _DATA, "np.sort(x[x > 0])": _DATA},
    ),
    "A[…, i, newaxis]": smooth(
        "A[..., 1, None]",
        "T[:, ::-1, [0, 2]]",
        "T[0, :, 1:][..., ::2]",
        "A[[0, 2], [1, 3]]",
        "A[:, k3]",
        "z = A.copy(); z[[0, 2]] += 1.0; return z * A",
    ),
}

STATE = {
    "np.errstate": smooth("with np.errstate(all='ignore'): z = x / y\n return z"),
    "np.seterr": smooth(
        "old = np.seterr(all='ignore'); z = np.log(x * x); np.seterr(**old); return z"
    ),
    "np.finfo": smooth(
        "x + np.finfo(float).eps", "np.maximum(x, np.finfo(x.dtype).tiny)"
    ),
    "np.iinfo": smooth("x * (np.iinfo(np.int8).max)"),
    "np.testing": Routine(
        refused={
            "np.testing.assert_allclose(x, y)": _VALUE,
            "np.testing.assert_array_equal(x, y)": _VALUE,
        }
    ),
    "np.random": constant(
        "x * np.random.RandomState(0).normal(size=5)",
        "x * np.random.default_rng(0).random(5)",
        "np.random.default_rng(3).permutation(5) * x",
    ),
    "np.result_type": smooth(
        "x.astype(np.result_type(x, np.float32))", "x * np.can_cast(int, float)"
    ),
    "np.issubdtype": smooth("x * (2 if np.issubdtype(x.dtype, np.floating) else 3)"),
    "np.array_repr": Routine(),
    "np.save": Routine(refused={"np.save('nothing', x)": _VALUE}),
}
STATE = {name: r for name, r in STATE.items() if r != Routine()}
