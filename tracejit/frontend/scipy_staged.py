"""Functions of SciPy that are C code, or ask data for shapes, as NumPy code."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit.base.errors import TracejitError
from tracejit.frontend import plain_bands, plain_filters, plain_splines
from tracejit.frontend.box import HANDLERS, has_box, is_static, leaves
from tracejit.frontend.calls import call
from tracejit.frontend.functions import lifted
from tracejit.frontend.numpy_calls import on_plain
from tracejit.frontend.scipy_calls import STAGED
from tracejit.ops.numpy_names import unsupported

# Distances: of each row of one matrix and each of another ---------------------------


def _norm(d: Any, order: Any = 2) -> Any:
    return call(np.linalg.norm, d, order, axis=-1)


def _sum(x: Any) -> Any:
    return call(np.sum, x, axis=-1)


def _cosine(a: Any, b: Any) -> Any:
    return 1.0 - _sum(a * b) / (_norm(a) * _norm(b))


def _centred(a: Any) -> Any:
    return a - call(np.mean, a, axis=-1, keepdims=True)


def _share(above: Any, below: Any) -> Any:
    """above / below, and 0 where both are 0."""
    nothing = call(np.equal, below, 0)
    return above / call(np.where, nothing, 1.0, below)


def _minkowski(a: Any, b: Any, p: Any = 2.0, w: Any = None) -> Any:
    size = call(np.abs, a - b) ** p
    return _sum(size if w is None else w * size) ** (1.0 / p)


#: By name; of rows that broadcast, and options.
METRICS: dict[str, Callable[..., Any]] = {
    "euclidean": lambda a, b: _norm(a - b),
    "sqeuclidean": lambda a, b: _sum((a - b) ** 2),
    "cityblock": lambda a, b: _sum(call(np.abs, a - b)),
    "chebyshev": lambda a, b: call(np.max, call(np.abs, a - b), axis=-1),
    "minkowski": _minkowski,
    "seuclidean": lambda a, b, V: _norm((a - b) / call(np.sqrt, V)),
    "mahalanobis": lambda a, b, VI: call(
        np.sqrt, _sum(call(np.matmul, a - b, VI) * (a - b))
    ),
    "cosine": _cosine,
    "correlation": lambda a, b: _cosine(_centred(a), _centred(b)),
    "canberra": lambda a, b: _sum(
        _share(call(np.abs, a - b), call(np.abs, a) + call(np.abs, b))
    ),
    "braycurtis": lambda a, b: _sum(call(np.abs, a - b)) / _sum(call(np.abs, a + b)),
}


def _metric(metric: Any, options: dict[str, Any]) -> Callable[[Any, Any], Any]:
    if not isinstance(metric, str) or metric not in METRICS:
        raise unsupported(f"scipy.spatial.distance by {metric!r}")
    return lambda a, b: METRICS[metric](a, b, **options)


def cdist(fn: Any) -> Callable[..., Any]:
    """`scipy.spatial.distance.cdist`."""

    def handler(
        XA: Any, XB: Any, metric: Any = "euclidean", *, out: Any = None, **options: Any
    ) -> Any:
        if not has_box(XA, XB, *options.values()):
            return fn(XA, XB, metric, out=out, **options)
        a, b = (call(np.asarray, x, float) for x in (XA, XB))
        return _metric(metric, options)(a[:, None, :], b[None, :, :])

    return handler


def pdist(fn: Any) -> Callable[..., Any]:
    """`scipy.spatial.distance.pdist`: of the pairs of rows of a matrix."""

    def handler(
        X: Any, metric: Any = "euclidean", *, out: Any = None, **options: Any
    ) -> Any:
        if not has_box(X, *options.values()):
            return fn(X, metric, out=out, **options)
        x = call(np.asarray, X, float)
        first, second = np.triu_indices(int(x.shape[0]), 1)
        return _metric(metric, options)(x[first], x[second])

    return handler


def squareform(fn: Any) -> Callable[..., Any]:
    """`scipy.spatial.distance.squareform`: pairs to a matrix, and back."""

    def handler(X: Any, force: str = "no", checks: bool = True) -> Any:
        if not has_box(X):
            return fn(X, force, checks)
        if X.ndim == 2:
            return X[np.triu_indices(int(X.shape[0]), 1)]
        n = round((1 + np.sqrt(1 + 8 * X.shape[0])) / 2)
        pairs = np.triu_indices(n, 1)
        out = call(np.zeros, (n, n), X.dtype)
        out[pairs] = X
        return out + out.T

    return handler


# Fourier transforms: SciPy chooses a library for them at run time ---------------------

_TRANSFORMS = (
    "fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn"
).split()
_OTHERS = "dct idct dst idst dctn idctn dstn idstn fht ifht".split()


def transform(fn: Any) -> Callable[..., Any]:
    """A function of `scipy.fft` as that of `np.fft`."""
    numpys = getattr(np.fft, fn.__name__)

    def handler(*args: Any, **options: Any) -> Any:
        if not has_box(*args):
            return fn(*args, **options)
        manner = ("overwrite_x", "workers", "plan")
        return call(
            numpys, *args, **{k: v for k, v in options.items() if k not in manner}
        )

    return handler


def refuse_transform(fn: Any) -> Callable[..., Any]:
    """One that NumPy does not have."""

    def handler(*args: Any, **options: Any) -> Any:
        if not has_box(*args):
            return fn(*args, **options)
        raise unsupported(f"scipy.fft.{fn.__name__}", "np.fft.fft of an extended array")

    return handler


# What SciPy's own Python code is written with -----------------------------------------

_UPDATES = {
    "set": lambda old, new: new,
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "min": lambda old, new: call(np.minimum, old, new),
    "max": lambda old, new: call(np.maximum, old, new),
}


def update(fn: Any) -> Callable[..., Any]:
    """`at(x)[index].set(y)` of `array_api_extra` and its like: into x itself."""

    def handler(
        place: Any, kind: Any, inside: Any, outside: Any, y: Any, /, **options: Any
    ) -> Any:
        x, index = place._x, place._idx
        if not has_box(x, index, y):
            return fn(place, kind, inside, outside, y, **options)
        if not x.shape:
            y = y if kind.value == "set" else _UPDATES[kind.value](x, y)
            return call(np.where, index, y, x)
        x = call(np.array, x) if options.get("copy") or not has_box(x) else x
        change = _UPDATES[kind.value]
        x[index] = y if kind.value == "set" else change(x[index], y)
        return x

    return handler


def factored(fn: Any) -> Callable[..., Any]:
    """`_PSD.__init__`: a covariance by its Cholesky factor, so it must not be singular.

    SciPy takes eigenvectors, which have no derivative where eigenvalues are equal.
    """

    def handler(self: Any, M: Any, *args: Any, **options: Any) -> None:
        if not has_box(M):
            return fn(self, M, *args, **options)
        root = call(np.linalg.cholesky, M)
        diagonal = call(np.diagonal, root)
        self._M, self._pinv, self.rank = M, None, int(M.shape[0])
        self.U = call(np.linalg.inv, root).T
        self.log_pdet = 2.0 * call(np.sum, call(np.log, diagonal))
        self.V, self.eps = np.zeros((self.rank, 0)), 0.0
        return None

    return handler


def staged_as(program: Any) -> Callable[[Any], Callable[..., Any]]:
    """A function of SciPy as a function that is written in NumPy."""

    def make(fn: Any) -> Callable[..., Any]:
        def handler(*args: Any, **options: Any) -> Any:
            values = list(leaves([*args, *options.values()]))
            if all(map(is_static, values)):
                return (
                    on_plain(fn, args, options)
                    if has_box(*values)
                    else fn(*args, **options)
                )
            try:
                return lifted(program)(*args, **options)
            except NotImplementedError as error:
                if isinstance(error, TracejitError):
                    raise
                raise unsupported(str(error)) from None

        return handler

    return make


def of_known(fn: Any) -> Callable[..., Any]:
    """A function of SciPy that has no program, of what is known."""

    def handler(*args: Any, **options: Any) -> Any:
        if not all(map(is_static, leaves([*args, *options.values()]))):
            raise unsupported(f"scipy.interpolate.{fn.__name__}", "make_interp_spline")
        return on_plain(fn, args, options)

    return handler


def lapack(fn: Any) -> Callable[..., Any]:
    """`scipy.linalg.get_lapack_funcs`, of functions that there are programs for."""

    def handler(names: Any, arrays: Any = (), *args: Any, **options: Any) -> Any:
        listed = [names] if isinstance(names, str) else names
        if not has_box(*arrays) or not all(name in _LAPACK for name in listed):
            return fn(names, arrays, *args, **options)
        found = [_LAPACK[name] for name in listed]
        return found[0] if isinstance(names, str) else found

    return handler


def _gbsv(kl: int, ku: int, ab: Any, b: Any, **options: Any) -> Any:
    """Solves a system of a band matrix, which stands below `kl` empty rows."""
    solve = sys.modules["scipy.linalg"].solve_banded
    return ab, None, call(solve, (kl, ku), ab[kl:], b), 0


_LAPACK = {"gbsv": _gbsv}


STAGED |= {
    name: staged_as(program)
    for module in (plain_bands, plain_filters, plain_splines)
    for name, program in module.PROGRAMS.items()
}
STAGED["scipy.interpolate.splrep"] = of_known
STAGED["scipy.linalg.get_lapack_funcs"] = lapack
STAGED["scipy._lib.solve"] = lambda fn: partial(call, np.linalg.solve)
STAGED |= {
    "scipy.spatial.cdist": cdist,
    "scipy.spatial.pdist": pdist,
    "scipy.spatial.squareform": squareform,
    **{f"scipy.fft.{name}": transform for name in _TRANSFORMS},
    **{f"scipy.fft.{name}": refuse_transform for name in _OTHERS},
    "scipy._lib.at._op": update,
    "scipy.stats._PSD.__init__": factored,
}
HANDLERS[np.ma.isMaskedArray] = lambda x: isinstance(x, np.ma.MaskedArray)
