"""The parts of complex numbers, and numbers made of them.

Cotangents are transposed without conjugation, as in JAX: of a real function of x + iy
the cotangent is ∂x - i ∂y, and Re(ct * dz) is the change that it stands for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.primitive import REGISTRY, Elementwise, elementwise
from tracejit.ops.elementwise import real_dtype


def _complex_dtype(x: Any, *rest: Any) -> Any:
    return np.result_type(x, np.complex64)


def _complex(re: Any, im: Any) -> Any:
    out = np.empty(np.shape(re) or np.shape(im), _complex_dtype(np.asarray(re).dtype))
    out.real, out.imag = re, im
    return out[()]


complex_: Elementwise = elementwise(
    "complex",
    _complex,
    emit="{dtype}(complex({0}, {1}))",
    result=_complex_dtype,
    arity=2,
    transposes=(lambda ct, re, im: real(ct), lambda ct, re, im: -imag(ct)),
)
real: Elementwise = elementwise(
    "real",
    np.real,
    emit="{0}.real",
    result=real_dtype,
    dtypes="c",
    arity=1,
    transposes=(lambda ct, z: complex_(ct, 0),),
)
imag: Elementwise = elementwise(
    "imag",
    np.imag,
    emit="{0}.imag",
    result=real_dtype,
    dtypes="c",
    arity=1,
    transposes=(lambda ct, z: complex_(0, -ct),),
)
conj: Elementwise = elementwise(
    "conj",
    np.conj,
    emit="{0}.conjugate()",
    dtypes="c",
    arity=1,
    transposes=(lambda ct, z: conj(ct),),
)

__all__ = [name for name in REGISTRY if name in globals()]
