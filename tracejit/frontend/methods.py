"""The methods and attributes of ndarray, on boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.errors import OperandTypeError, ShapeMismatchError, TracedValueError
from tracejit.frontend import numpy_calls, views
from tracejit.frontend.box import Box, call, copied
from tracejit.frontend.indexing import assign, same_view
from tracejit.frontend.masked import Masked
from tracejit.frontend.numpy_calls import astype
from tracejit.frontend.ragged import Ragged
from tracejit.frontend.trace import current_trace
from tracejit.ops.numpy_names import unsupported

# Methods that are the NumPy function of the same name.
_FUNCTIONS = (
    "all any argmax argmin clip cumprod cumsum diagonal dot max mean min nonzero prod "
    "ptp repeat round searchsorted std sum take trace var squeeze swapaxes compress "
    "choose"
).split()
_UNSUPPORTED = "sort argsort partition byteswap dump dumps tobytes tofile resize put"


def _method(fn: Any) -> Callable[..., Any]:
    def method(self: Box, *args: Any, **kwargs: Any) -> Any:
        return call(fn, self, *args, **kwargs)

    return method


def _refused(name: str) -> Callable[..., Any]:
    def method(self: Box, *args: Any, **kwargs: Any) -> Any:
        if self.known:
            return getattr(self.array.copy(), name)(*args, **kwargs)
        raise unsupported(f"the method {name}()")

    return method


def _item(self: Box, *args: Any) -> Any:
    """`x.item()`: a Python number; a traced one stays traced."""
    if self.known:
        return self.array.item(*args)
    if args:
        key = args[0] if len(args) == 1 and isinstance(args[0], tuple) else args
        box = self.reshaped((self.aval.size,)) if len(key) == 1 else self
        box = box[key]
    elif self.aval.size == 1:
        box = self.reshaped(())
    else:
        raise ShapeMismatchError(
            "can only convert an array of size 1 to a Python scalar",
            current_trace().builder.loc,
        )
    return numpy_calls.python_number(box)


def _tolist(self: Box) -> Any:
    """`x.tolist()`: of known numbers only."""
    found = self.concretize("a list of the values")
    return found.tolist() if isinstance(found, np.ndarray) else found


def _fill(self: Box, value: Any) -> None:
    self.require_writable()
    assign(self, value)


def _reshape(self: Box, *shape: Any, order: str = "C", copy: Any = None) -> Box:
    new = shape[0] if len(shape) == 1 else shape
    return views.reshape(self, new, order, copy=copy)


def _transpose(self: Box, *axes: Any) -> Box:
    listed = len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list))
    return views.transpose(self, (axes[0] if listed else axes) or None)


def _flatten(self: Box, order: str = "C") -> Box:
    return copied(views.ravel(self, order))


def _view(self: Box, *args: Any, **kwargs: Any) -> Box:
    if args or kwargs:
        raise unsupported("x.view(dtype)", "x.astype(dtype)")
    return self.reshaped(self.aval.shape)


def _product(self: Box, other: Any) -> Any:
    theirs = type(other) in (Masked, Ragged)
    return NotImplemented if theirs else call(np.matmul, self, other)


def _is_integer(self: Box) -> Any:
    return call(np.equal, self, call(np.floor, self))


def _buffer(self: Box) -> Any:
    raise TracedValueError(
        "a traced array has no memory to look at", current_trace().builder.loc
    )


def _component(name: str) -> property:
    """`z.real` and `z.imag`, which can be assigned to."""

    def get(self: Box) -> Box:
        return self.component(name)

    def put(self: Box, value: Any) -> None:
        part = self.component(name)
        if self.aval.dtype.kind != "c" and name == "imag":
            raise OperandTypeError("array does not have imaginary part to set")
        if type(value) is Box and same_view(part, value):
            return  # the second half of `z.real += v`, which has written already
        part.require_writable()
        assign(part, value)

    return property(get, put)


def _install() -> None:
    for name in _FUNCTIONS:
        setattr(Box, name, _method(getattr(np, name)))
    for name in _UNSUPPORTED.split():
        setattr(Box, name, _refused(name))
    methods = {
        "astype": astype,
        "copy": copied,
        "conj": lambda self: call(np.conjugate, self),
        "conjugate": lambda self: call(np.conjugate, self),
        "fill": _fill,
        "flatten": _flatten,
        "is_integer": _is_integer,
        "item": _item,
        "ravel": views.ravel,
        "reshape": _reshape,
        "tolist": _tolist,
        "transpose": _transpose,
        "view": _view,
        "__copy__": lambda self: copied(self),
        "__deepcopy__": lambda self, memo: copied(self),
        "__matmul__": lambda self, other: _product(self, other),
        "__rmatmul__": lambda self, other: call(np.matmul, other, self),
        "__contains__": lambda self, x: bool(call(np.any, self == x)),
        "__round__": lambda self, digits=0: call(np.round, self, digits or 0),
    }
    attributes: dict[str, Callable[[Box], Any]] = {
        "shape": lambda self: self.aval.shape,
        "ndim": lambda self: len(self.aval.shape),
        "size": views.size,
        "dtype": lambda self: self.aval.dtype,
        "itemsize": lambda self: self.aval.dtype.itemsize,
        "nbytes": lambda self: views.size(self) * self.aval.dtype.itemsize,
        "T": views.transpose,
        "mT": lambda self: views.swapaxes(self, -1, -2),
        "flat": views.flat,
        "data": _buffer,
        "__array_interface__": _buffer,
    }
    for name, method in methods.items():
        setattr(Box, name, method)
    for name, getter in attributes.items():
        setattr(Box, name, property(getter))
    for name in ("real", "imag"):
        setattr(Box, name, _component(name))


_install()
