"""What of NumPy works on traced arrays: routine by routine, expressions that show it.

The tests hold every expression against NumPy: value, dtype and shape; those under
`smooth` also against differences, to second order. `refused` are expressions that raise
an error of ours, with the reason. `python -m tests.support` writes it up as SUPPORT.md.

The names in expressions are the arrays of `numpy_table`: lower case are vectors, upper
case are matrices; those that start with `k` or `K` are known while staging.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Routine:
    """Expressions of one routine, by what is true of them."""

    smooth: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    #: What has a value, but no derivative, and why.
    values: dict[str, str] = field(default_factory=dict)


def smooth(*expressions: str, refused: dict[str, str] | None = None) -> Routine:
    """A value and its derivatives."""
    return Routine(list(expressions), refused=refused or {})


def constant(*expressions: str) -> Routine:
    """A value whose derivative is zero."""
    return Routine(constant=list(expressions))


_DATA = "its shape depends on data"
_MEMORY = "a traced array has no memory to look at"
_LOOP = "no program for this ufunc: a loop"
_OWNER = "other names may share its memory"
_VALUE = "Python needs the values"
_YET = "not there yet"

CREATION = {
    "np.array": smooth(
        "np.array([x[0], 2.0, x[1]])",
        "np.array([[a, b], [b, a]])",
        "np.array(x, copy=True)",
        "np.array([x, y])",
        "np.array(x, ndmin=2)",
        "np.array(A, dtype=np.float32).astype(float) * 0 + A",
        "np.array((x[1:], x[:-1])).T",
    ),
    "np.asarray": smooth(
        "np.asarray([0.0, x[0]] + list(x[1::2]))", "np.asarray(A, dtype=float)"
    ),
    "np.asanyarray": smooth("np.asanyarray(x) * 2", "np.asanyarray([a, b])"),
    "np.asfarray": Routine(),
    "np.ascontiguousarray": smooth("np.ascontiguousarray(A.T)"),
    "np.asfortranarray": smooth("np.asfortranarray(A)"),
    "np.require": smooth("np.require(A, float, 'C')"),
    "np.copy": smooth("np.copy(x) * x"),
    "np.zeros": smooth("z = np.zeros((2, 5)); z[1] = x; return z"),
    "np.ones": smooth("z = np.ones(5, dtype=float); z *= x; return z"),
    "np.empty": smooth("z = np.empty(5); z[:] = x ** 2; return z"),
    "np.full": smooth("np.full((2, 3), a)", "np.full(5, x)", "np.full(3, 2.0) * a"),
    "np.zeros_like": smooth(
        "z = np.zeros_like(A); z[0] = x[:4]; return z",
        "np.zeros_like(A, shape=(2, 5)) + x",
    ),
    "np.ones_like": smooth("np.ones_like(A, dtype=float) * A"),
    "np.empty_like": smooth("z = np.empty_like(x); z[...] = y; return z * x"),
    "np.full_like": smooth("np.full_like(A, a)", "np.full_like(k3, a, dtype=float)"),
    "np.eye": smooth("np.eye(4) * S", "np.eye(3, 4, k=1) @ S"),
    "np.identity": smooth("np.identity(4) + S"),
    "np.arange": smooth("np.arange(5) * x", "np.arange(1.0, 2.0, 0.25) * a"),
    "np.linspace": smooth(
        "np.linspace(0, 1, 5) * x",
        "np.linspace(a, b, 7)",
        "np.linspace(a, 2.0, 7, endpoint=False)",
        "np.linspace(x, y, 4)",
        "np.linspace(x, y, 4, axis=-1)",
        "np.linspace(a, b, 5, retstep=True)[1]",
    ),
    "np.logspace": smooth("np.logspace(a, b, 5)", "np.logspace(0, 1, 5) * x"),
    "np.geomspace": smooth("np.geomspace(1.0, 4.0, 5) * x", "np.geomspace(a, b, 5)"),
    "np.meshgrid": smooth(
        "np.meshgrid(x, y[:3])",
        "np.meshgrid(x, y[:3], indexing='ij')",
        "np.meshgrid(x, y[:3], sparse=True)[0]",
    ),
    "np.mgrid": smooth("np.mgrid[0:2, 0:5][1] * x", "np.mgrid[0:1:5j] * x"),
    "np.ogrid": smooth("np.ogrid[0:3, 0:4][0] * A"),
    "np.indices": smooth("np.indices((3, 4))[0] * A"),
    "np.ix_": smooth("A[np.ix_([0, 2], [1, 3])]", "A[np.ix_(k3, k3)]"),
    "np.r_": smooth("np.r_[x, y]", "np.r_[0.0, x, a]", "np.r_[x[:2], 1:3, y]"),
    "np.c_": smooth("np.c_[x, y]", "np.c_[A, A]"),
    "np.diag": smooth("np.diag(x)", "np.diag(A)", "np.diag(x, k=1)", "np.diag(S, -1)"),
    "np.diagflat": smooth("np.diagflat(x)", "np.diagflat(A[:2, :2], 1)"),
    "np.tri": smooth("np.tri(4) * S"),
    "np.tril": smooth("np.tril(A)", "np.tril(S, -1)", "np.tril(T, 1)"),
    "np.triu": smooth("np.triu(A)", "np.triu(S, 1)"),
    "np.tril_indices": smooth("S[np.tril_indices(4)]", "S[np.tril_indices(4, -1)]"),
    "np.triu_indices": smooth(
        "S[np.triu_indices(4, 1)]",
        "z = np.zeros((3, 3)); z[np.triu_indices(3)] = T.ravel()[:6]; return z",
    ),
    "np.tril_indices_from": smooth("S[np.tril_indices_from(S)]"),
    "np.triu_indices_from": smooth("S[np.triu_indices_from(S, k=1)]"),
    "np.diag_indices": smooth("S[np.diag_indices(4)]"),
    "np.diag_indices_from": smooth("S[np.diag_indices_from(S)]"),
    "np.mask_indices": smooth("S[np.mask_indices(4, np.triu)]"),
    "np.vander": smooth("np.vander(x)", "np.vander(x, 3)", "np.vander(x, 4, True)"),
    "np.frombuffer": smooth("np.frombuffer(bytes(40), dtype=float) + x"),
    "np.fromiter": smooth("np.fromiter((i * 0.5 for i in range(5)), float) * x"),
    "np.fromfunction": smooth("np.fromfunction(lambda i, j: i + j, (3, 4)) * A"),
    "np.ndarray": smooth("z = np.ndarray(5, float); z[:] = x; return z"),
    "np.block": smooth(
        "np.block([[A, A], [A, A]])",
        "np.block([[S, S[:, :1]], [S[:1], 1.0]])",
        "np.block([x, y])",
        "np.block([a, b])",
    ),
    "np.bmat": Routine(),
}
CREATION = {name: r for name, r in CREATION.items() if r != Routine()}

SHAPES = {
    "np.reshape": smooth(
        "np.reshape(A, (4, 3))", "np.reshape(A, -1)", "np.reshape(A, (2, 6), order='F')"
    ),
    "np.ravel": smooth("np.ravel(A)", "np.ravel(A, 'F')", "np.ravel(A.T)"),
    "np.transpose": smooth("np.transpose(A)", "np.transpose(T, (2, 0, 1))"),
    "np.permute_dims": smooth("np.permute_dims(T, (2, 0, 1))"),
    "np.matrix_transpose": smooth("np.matrix_transpose(T)"),
    "np.swapaxes": smooth("np.swapaxes(T, 0, 2)"),
    "np.moveaxis": smooth("np.moveaxis(T, 0, -1)", "np.moveaxis(T, [0, 1], [-1, -2])"),
    "np.rollaxis": smooth("np.rollaxis(T, 2)"),
    "np.squeeze": smooth("np.squeeze(A[None])", "np.squeeze(A[:, :, None], axis=2)"),
    "np.expand_dims": smooth("np.expand_dims(x, 0)", "np.expand_dims(A, (0, 2))"),
    "np.atleast_1d": smooth("np.atleast_1d(a)", "np.atleast_1d(a, x)"),
    "np.atleast_2d": smooth("np.atleast_2d(x)", "np.atleast_2d(a)"),
    "np.atleast_3d": smooth("np.atleast_3d(A)"),
    "np.broadcast_to": smooth("np.broadcast_to(x, (3, 5))"),
    "np.broadcast_arrays": smooth("np.broadcast_arrays(x, y[:, None])"),
    "np.broadcast_shapes": smooth("np.zeros(np.broadcast_shapes((5,), (1, 5))) + x"),
    "np.concatenate": smooth(
        "np.concatenate([x, y])",
        "np.concatenate((A, B), axis=1)",
        "np.concatenate([A, x], axis=None)",
        "np.concatenate([[x[0]], x, (-y[1], 2.0)])",
        "z = np.zeros(10); np.concatenate([x, y], out=z); return z",
    ),
    "np.concat": smooth("np.concat([x, y])"),
    "np.stack": smooth("np.stack([x, y])", "np.stack([x, y], axis=-1)"),
    "np.unstack": smooth("np.unstack(A)", "np.unstack(A, axis=1)"),
    "np.vstack": smooth("np.vstack([x, y])"),
    "np.hstack": smooth("np.hstack([x, y])", "np.hstack((A, B))"),
    "np.dstack": smooth("np.dstack([A, B])", "np.dstack((x, y))"),
    "np.column_stack": smooth("np.column_stack([x, y])"),
    "np.append": smooth(
        "np.append(x, a)", "np.append(A, B, axis=0)", "np.append(A, x)"
    ),
    "np.insert": smooth(
        "np.insert(x, 1, a)",
        "np.insert(x, [1, 3], y[:2])",
        "np.insert(A, 1, 0.0, axis=1)",
        "np.insert(A, -1, x[:4], axis=0)",
        "np.insert(A, 2, a)",
    ),
    "np.delete": smooth(
        "np.delete(x, 1)",
        "np.delete(x, [0, -1])",
        "np.delete(A, 1, axis=0)",
        "np.delete(A, slice(0, 2), axis=1)",
        "np.delete(A, 5)",
    ),
    "np.split": smooth("np.split(A, 2, axis=1)", "np.split(x, [1, 3])"),
    "np.array_split": smooth("np.array_split(x, 3)"),
    "np.hsplit": smooth("np.hsplit(A, 2)"),
    "np.vsplit": smooth("np.vsplit(A, 3)"),
    "np.dsplit": smooth("np.dsplit(T, 2)"),
    "np.tile": smooth("np.tile(x, 2)", "np.tile(A, (2, 1))", "np.tile(x, (2, 2))"),
    "np.repeat": smooth(
        "np.repeat(x, 2)", "np.repeat(A, 2, axis=0)", "np.repeat(x, [1, 0, 2, 1, 1])"
    ),
    "np.resize": smooth("np.resize(x, (3, 4))", "np.resize(A, 5)"),
    "np.flip": smooth("np.flip(x)", "np.flip(A, 0)", "np.flip(T, (0, 2))"),
    "np.fliplr": smooth("np.fliplr(A)"),
    "np.flipud": smooth("np.flipud(A)"),
    "np.rot90": smooth("np.rot90(A)", "np.rot90(A, 2)", "np.rot90(T, -1, (1, 2))"),
    "np.roll": smooth(
        "np.roll(x, 2)", "np.roll(A, -1, axis=0)", "np.roll(A, (1, 2), axis=(0, 1))"
    ),
    "np.pad": smooth(
        "np.pad(x, 2)",
        "np.pad(A, ((1, 0), (0, 2)), mode='edge')",
        "np.pad(x, (1, 2), constant_values=(1.0, 2.0))",
        "np.pad(x, 3, mode='reflect')",
        "np.pad(x, 3, mode='symmetric')",
        "np.pad(x, 3, mode='wrap')",
        "np.pad(x, 2, mode='linear_ramp', end_values=1.0)",
        "np.pad(x, 2, mode='mean')",
        "np.pad(A, 1, mode='maximum')",
        "np.pad(x, 7, mode='reflect')",
        "np.pad(x, 7, mode='wrap')",
    ),
    "np.trim_zeros": Routine(
        smooth=["np.trim_zeros(np.array([0.0, 2.0, 0.0])) * a"],
        refused={"np.trim_zeros(x)": _DATA},
    ),
    "np.shape": smooth("x * np.shape(A)[1]"),
    "np.ndim": smooth("x * np.ndim(A)"),
    "np.size": smooth("x * np.size(A)", "x * np.size(A, 0)"),
    "np.copyto": smooth(
        "z = np.zeros(5); np.copyto(z, x); return z",
        "z = y.copy(); np.copyto(z, x, where=km); return z",
        "z = y.copy(); np.copyto(z, x, where=x > 0); return z",
    ),
    "np.apply_along_axis": smooth(
        "np.apply_along_axis(np.sum, 0, A)",
        "np.apply_along_axis(lambda r: r ** 2, 1, A)",
        "np.apply_along_axis(lambda r: r * r.sum(), 0, A)",
        "np.apply_along_axis(lambda r: np.outer(r, r), 1, A)",
    ),
    "np.apply_over_axes": smooth("np.apply_over_axes(np.sum, T, [0, 2])"),
    "np.vectorize": smooth(
        "np.vectorize(lambda t: t * t)(x)",
        "np.vectorize(lambda t, u: t * u if t > u else u)(x, y)",
        "np.vectorize(lambda r: r @ r, signature='(n)->()')(A)",
    ),
}

INDEXING = {
    "np.take": smooth(
        "np.take(x, [0, 2])",
        "np.take(A, 1, axis=0)",
        "np.take(A, [[0, 1], [2, 3]], axis=1)",
        "np.take(x, [7, -9], mode='wrap')",
        "np.take(x, [7, -9], mode='clip')",
    ),
    "np.take_along_axis": smooth(
        "np.take_along_axis(A, np.argsort(A, axis=1), axis=1)",
        "np.take_along_axis(A, np.argmax(A, axis=0, keepdims=True), axis=0)",
        "np.take_along_axis(A, KI, axis=1)",
    ),
    "np.put_along_axis": smooth(
        "z = A.copy(); np.put_along_axis(z, KI, 0.0, axis=1); return z * A",
        "z = A.copy(); i = np.argmax(A, axis=1, keepdims=True); "
        "np.put_along_axis(z, i, B[:, :1], axis=1); return z",
    ),
    "np.put": smooth(
        "z = x.copy(); np.put(z, [0, 2], [a, b]); return z",
        "z = A.copy(); np.put(z, [5, 1], a); return z",
    ),
    "np.place": smooth(
        "z = x.copy(); np.place(z, km, [a, b]); return z",
        "z = x.copy(); np.place(z, z > 0, 1.0); return z * x",
    ),
    "np.putmask": smooth(
        "z = x.copy(); np.putmask(z, z > 0, y); return z",
        "z = x.copy(); np.putmask(z, km, 2.0); return z * x",
    ),
    "np.choose": smooth(
        "np.choose([0, 1, 0, 1, 1], [x, y])", "np.choose(k5 % 2, [x, y])"
    ),
    "np.compress": smooth(
        "np.compress(km, x)", "np.compress([True, False, True], A, axis=0)"
    ),
    "np.extract": Routine(
        smooth=["np.extract(km, x)"], refused={"np.extract(x > 0, x)": _DATA}
    ),
    "np.select": smooth(
        "np.select([x > 1, x > 0], [x ** 2, y], 0.5)", "np.select([x > 0], [x])"
    ),
    "np.piecewise": smooth(
        "np.piecewise(x, [x < 0, x >= 0], [lambda t: -t, lambda t: t ** 2])",
        "np.piecewise(x, [x < 0], [0.0, lambda t: t ** 3])",
        "np.piecewise(a, [a < 0, a >= 0], [lambda t: -t, lambda t: t * 2])",
    ),
    "np.where": smooth(
        "np.where(x > 0, x, y)",
        "np.where(km, x, 0.0)",
        "x[np.where(km)]",
        "np.where(a > 0, a, b)",
    ),
    "np.nonzero": Routine(
        smooth=["x[np.nonzero(km)]"], refused={"x[np.nonzero(x > 0)]": _DATA}
    ),
    "np.flatnonzero": smooth("x[np.flatnonzero(km)]"),
    "np.argwhere": smooth("x[np.argwhere(km)]"),
    "np.fill_diagonal": smooth(
        "z = S.copy(); np.fill_diagonal(z, a); return z",
        "z = S.copy(); np.fill_diagonal(z, x[:4]); return z",
    ),
    "np.diagonal": smooth("np.diagonal(A)", "np.diagonal(T, 1, 0, 2)"),
    "np.unravel_index": smooth(
        "A[np.unravel_index(5, A.shape)]", "A[np.unravel_index(np.argmax(A), A.shape)]"
    ),
    "np.ravel_multi_index": smooth(
        "A.ravel()[np.ravel_multi_index((1, 2), A.shape)]",
        "A.ravel()[np.ravel_multi_index((A.argmax(axis=0), range(4)), A.shape)]",
    ),
    "np.nditer": smooth(
        "sum(v * v for v in np.nditer(x))",
        "z = A.copy(); [v.fill(a) for v in np.nditer(z, op_flags=['readwrite'])]; "
        "return z",
        refused={
            "[i for i in np.nditer([x, y])]": _YET,
            "[v.fill(a) for v in np.nditer(x)]": "read-only, in NumPy too",
        },
    ),
    "np.ndenumerate": smooth("sum(i[0] * v for i, v in np.ndenumerate(x))"),
    "np.ndindex": smooth("sum(A[i] ** 2 for i in np.ndindex(3, 4))"),
    "np.sliding_window_view": smooth(
        "np.lib.stride_tricks.sliding_window_view(x, 3)",
        "np.lib.stride_tricks.sliding_window_view(A, (2, 2))",
        "np.lib.stride_tricks.sliding_window_view(A.T, 2, axis=1)",
        "z = x.copy(); w = np.lib.stride_tricks.sliding_window_view(z, 2); "
        "z[1] = a; return w * 2",
    ),
    "np.as_strided": smooth(
        "np.lib.stride_tricks.as_strided(x, (3, 3), x.strides * 2)",
        "np.lib.stride_tricks.as_strided(A, (2, 3, 2, 2), A.strides + A.strides)",
        "np.lib.stride_tricks.as_strided(A.T, (3, 2), A.T.strides)",
        refused={
            "np.lib.stride_tricks.as_strided(x, (3,), x.strides).fill(0)": _OWNER,
        },
    ),
}

SORTING = {
    "np.sort": smooth(
        "np.sort(x)",
        "np.sort(A, axis=0)",
        "np.sort(A, axis=None)",
        "np.sort(T, 1, kind='stable')",
    ),
    "np.argsort": Routine(
        smooth=["x[np.argsort(x)]", "x[np.argsort(-y)]"],
        constant=["np.argsort(A, axis=0)", "np.argsort(x)[::-1]"],
    ),
    "np.lexsort": smooth("x[np.lexsort((k5, k5[::-1]))]", "x[np.lexsort((x, k5 % 2))]"),
    "np.partition": smooth("np.sort(np.partition(x, 2)[:3])", "np.partition(x, 2)[2]"),
    "np.argpartition": smooth("x[np.argpartition(x, 2)][2]"),
    "np.msort": Routine(),
    "np.searchsorted": constant(
        "np.searchsorted(k5, x)",
        "np.searchsorted(np.sort(x), y)",
        "np.searchsorted(np.sort(x), 0.3, side='right')",
        "np.searchsorted(x, y, sorter=np.argsort(x))",
    ),
    "np.digitize": constant(
        "np.digitize(x, [0.0, 0.5, 1.0])", "np.digitize(x, [1.0, 0.5, 0.0], right=True)"
    ),
    "np.unique": Routine(
        smooth=["np.unique(k5 % 2) * a", "x[np.unique(k5, return_index=True)[1]]"],
        refused={"np.unique(x)": _DATA},
    ),
    "np.isin": constant("np.isin(k5, [1, 2]) * 1", "np.isin(np.rint(x), [0.0, 1.0])"),
    "np.setdiff1d": Routine(
        smooth=["x[np.setdiff1d(np.arange(5), [1, 2])]"],
        refused={"np.setdiff1d(x, y)": _DATA},
    ),
    "np.union1d": Routine(
        smooth=["x[np.union1d([0, 1], [1, 3])]"], refused={"np.union1d(x, y)": _DATA}
    ),
    "np.intersect1d": Routine(
        smooth=["x[np.intersect1d([0, 1], [1, 3])]"],
        refused={"np.intersect1d(x, y)": _DATA},
    ),
    "np.argmax": constant(
        "np.argmax(x)",
        "np.argmax(A, axis=1)",
        "np.argmax(A, axis=0, keepdims=True)",
    ),
    "np.argmin": constant("np.argmin(x)", "np.argmin(A, axis=-1)"),
    "np.nanargmax": constant("np.nanargmax(np.where(km, np.nan, x))"),
    "np.nanargmin": constant("np.nanargmin(np.where(KM, np.nan, A), axis=1)"),
    "np.count_nonzero": constant(
        "np.count_nonzero(x > 0)", "np.count_nonzero(A, axis=1)"
    ),
}

STATISTICS = {
    "np.mean": smooth(
        "np.mean(x)",
        "np.mean(A, axis=0)",
        "np.mean(T, axis=(0, 2), keepdims=True)",
        "np.mean(x, where=km)",
        "np.mean(A, dtype=np.float64)",
        "z = np.zeros(4); np.mean(A, axis=0, out=z); return z",
    ),
    "np.average": smooth(
        "np.average(x)",
        "np.average(x, weights=y ** 2)",
        "np.average(A, axis=0, weights=x[:3] ** 2)",
        "np.average(x, weights=y ** 2, returned=True)",
        "np.average(A, axis=1, keepdims=True)",
    ),
    "np.median": smooth(
        "np.median(x)",
        "np.median(A)",
        "np.median(A, axis=1)",
        "np.median(T, axis=(0, 1), keepdims=True)",
    ),
    "np.percentile": smooth(
        "np.percentile(x, 30)",
        "np.percentile(A, [25, 50, 75], axis=0)",
        "np.percentile(x, 40, method='lower')",
        "np.percentile(x, 40, method='higher')",
        "np.percentile(x, 40, method='midpoint')",
        "np.percentile(x, 40, method='nearest')",
        "np.percentile(x, 40, method='median_unbiased')",
        "np.percentile(x, 40, method='hazen')",
    ),
    "np.quantile": smooth(
        "np.quantile(x, 0.3)",
        "np.quantile(A, [0.0, 1.0], axis=1, keepdims=True)",
        "np.quantile(x, 0.3, method='weibull')",
    ),
    "np.nanmedian": smooth("np.nanmedian(np.where(km, np.nan, x))"),
    "np.nanpercentile": smooth("np.nanpercentile(np.where(km, np.nan, x), 30)"),
    "np.nanquantile": smooth("np.nanquantile(np.where(KM, np.nan, A), 0.4, axis=1)"),
    "np.var": smooth(
        "np.var(x)",
        "np.var(A, axis=0, ddof=1)",
        "np.var(x, where=km)",
        "np.var(A, axis=(0, 1), keepdims=True)",
    ),
    "np.std": smooth("np.std(x)", "np.std(A, axis=1, ddof=1, keepdims=True)"),
    "np.nansum": smooth("np.nansum(np.where(KM, np.nan, A), axis=0)"),
    "np.nanprod": smooth("np.nanprod(np.where(KM, np.nan, A), axis=0)"),
    "np.nanmean": smooth(
        "np.nanmean(np.where(KM, np.nan, A), axis=1)",
        "np.nanmean(np.where(KM, np.nan, A))",
    ),
    "np.nanvar": smooth("np.nanvar(np.where(KM, np.nan, A), axis=1)"),
    "np.nanstd": smooth("np.nanstd(np.where(KM, np.nan, A), ddof=1)"),
    "np.nanmax": smooth("np.nanmax(np.where(KM, np.nan, A), axis=1)", "np.nanmax(x)"),
    "np.nanmin": smooth("np.nanmin(np.where(KM, np.nan, A))"),
    "np.nancumsum": smooth("np.nancumsum(np.where(km, np.nan, x))"),
    "np.nancumprod": smooth("np.nancumprod(np.where(KM, np.nan, A), axis=1)"),
    "np.ptp": smooth("np.ptp(x)", "np.ptp(A, axis=0)"),
    "np.max": smooth(
        "np.max(x)",
        "np.max(A, axis=1)",
        "np.max(x, initial=9.0)",
        "np.max(A, axis=0, where=KM, initial=-9.0)",
        "np.amax(x)",
    ),
    "np.min": smooth(
        "np.min(x)", "np.min(T, axis=(0, 2), keepdims=True)", "np.amin(x)"
    ),
    "np.cov": smooth(
        "np.cov(A)",
        "np.cov(x, y)",
        "np.cov(A, rowvar=False)",
        "np.cov(A, bias=True)",
        "np.cov(x)",
        "np.cov(A, ddof=0)",
        "np.cov(A, fweights=[1, 2, 1, 3])",
        "np.cov(A, aweights=x[:4] ** 2)",
    ),
    "np.corrcoef": smooth("np.corrcoef(x, y)", "np.corrcoef(A)"),
    "np.histogram": Routine(
        smooth=[
            "np.histogram(k5 * 0.2, bins=3, weights=x)[0]",
            "np.histogram(x, bins=4, range=(-2, 2), weights=y)[0]",
            "np.histogram(x, bins=[-2.0, 0.0, 0.5, 2.0], weights=y)[0]",
            "np.histogram(x, bins=3)[1]",
        ],
        constant=[
            "np.histogram(x, bins=4, range=(-2, 2))[0]",
            "np.histogram(x, bins=4, range=(-2, 2), density=True)[0]",
        ],
        refused={"np.histogram(x, bins='auto')[0]": _DATA},
    ),
    "np.histogram2d": smooth(
        "np.histogram2d(k5, k5 ** 2, bins=2, weights=x)[0]",
    ),
    "np.histogram_bin_edges": smooth(
        "np.histogram_bin_edges(x, 4)", "np.histogram_bin_edges(k5, 3) * a"
    ),
    "np.bincount": Routine(
        smooth=["np.bincount(k5, weights=x)", "np.bincount(k5, x, minlength=9)"],
        constant=["np.bincount(np.rint(x * x).astype(int) % 3, minlength=3)"],
        refused={"np.bincount(np.rint(x * x).astype(int))": _DATA},
    ),
}
