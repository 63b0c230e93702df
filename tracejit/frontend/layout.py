"""What an array says of its memory, and what assigning to its attributes does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tracejit.base.errors import ShapeMismatchError, TracedValueError
from tracejit.frontend import methods
from tracejit.frontend.box import Box, call
from tracejit.frontend.indexing import assign
from tracejit.frontend.lens import c_ordered, unsure_alias
from tracejit.frontend.memory import may_share
from tracejit.frontend.numpy_calls import library, python_number
from tracejit.frontend.parts import choose, put, resize
from tracejit.frontend.trace import Write, current_trace
from tracejit.frontend.views import flat, reshape
from tracejit.ops.numpy_names import unsupported

#: Its attributes come first: here they get setters.
_ATTRIBUTES_OF = methods


# Shape --------------------------------------------------------------------------------


def set_shape(self: Box, shape: Any) -> None:
    """`x.shape = …`: the same array, seen at another shape.

    The box becomes a view of one that is as it was, to which its views move.
    """
    seen = reshape(self, shape)
    if seen.base is None or seen.strides_in_elements is None:
        raise ShapeMismatchError(
            "cannot set the shape of an array whose elements are apart in memory",
            current_trace().builder.loc,
            "x = x.reshape(…)",
        )
    inner = Box(self.value, self.aval, self.kind, self.base, self.lens)
    before = {name: getattr(self, name) for name in _MOVED}
    for name, value in before.items():
        setattr(inner, name, value)
    living = [view() for view in self.views]
    views = [v for v in living if v is not None and v.base is self and v is not seen]
    self.views = []

    def undo() -> None:
        for name, value in before.items():
            setattr(self, name, value)
        for view in views:
            view.base, view._cache = self, None

    current_trace().log.append(Write(self, undo))
    for view in views:
        view.base, view._cache = inner, None
    # A reshape of a reshaped view is one of what that view is of.
    self.base = inner if seen.base is self else seen.base
    self.lens, self.aval = seen.lens, seen.aval
    self.value, self._cache, self._layout = None, None, seen._layout


_MOVED = "value aval base lens _layout _cache depth region twins origins unsure".split()


# Memory -------------------------------------------------------------------------------


def _strides(self: Box) -> tuple[int, ...]:
    found = self.strides_in_elements
    if found is None:
        raise unsure_alias()
    return tuple([int(s) * self.aval.dtype.itemsize for s in found])


def _flags(self: Box) -> Any:
    strides, shape = self.strides_in_elements, self.aval.shape
    if strides is None:
        raise unsure_alias()
    rows = c_ordered(shape, strides)
    columns = c_ordered(shape[::-1], strides[::-1])
    return Flags(
        c_contiguous=rows,
        f_contiguous=columns,
        contiguous=rows or columns,
        fortran=columns and not rows,
        owndata=self.base is None,
        writeable=not self.readonly,
        aligned=True,
    )


class Flags(SimpleNamespace):
    """`x.flags`: by attribute, or by name."""

    def __getitem__(self, name: str) -> bool:
        return getattr(self, _FLAGS.get(name, name.lower()))


#: The short names of flags.
_FLAGS = {
    "C": "c_contiguous",
    "F": "f_contiguous",
    "W": "writeable",
    "A": "aligned",
    "O": "owndata",
}


def _memory(self: Box) -> Any:
    raise TracedValueError(
        "a traced array has no memory to look at", current_trace().builder.loc
    )


def _shares_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    """`np.may_share_memory`: arrays of two names may, if data decides what they are."""
    if type(a) is not Box or type(b) is not Box:
        return False
    if a.root is not b.root:
        return any(twin is b.root for twin, _ in a.root.twins)
    return may_share(a, b)


for _fn in (np.may_share_memory, np.shares_memory):
    library(_fn)(_shares_memory)


# Elements -----------------------------------------------------------------------------


def _set_flat(self: Box, values: Any) -> None:
    """`x.flat = values`: repeated as often as it takes."""
    assign(flat(self), resize(values, self.aval.size))


def _tolist(self: Box) -> Any:
    """`x.tolist()`: Python numbers, which may be traced, in nested lists."""
    if self.known:
        return self.array.tolist()
    if not self.aval.shape:
        return python_number(self)
    return [_tolist(row) if type(row) is Box else row.item() for row in self]


def _resize(self: Box, *shape: Any, refcheck: bool = True) -> None:
    raise unsupported("x.resize()", "x = np.resize(x, shape), or a slice")


def _refused(name: str, cure: str) -> Any:
    def method(self: Box, *args: Any, **options: Any) -> Any:
        raise unsupported(f"x.{name}()", cure)

    return method


def _setflags(self: Box, write: Any = None, **flags: Any) -> None:
    # What writes afterwards is an error in NumPy, and no program of use.
    if flags or write:
        raise unsupported("x.setflags()", "leave the flags as they are")


def _compress(self: Box, condition: Any, axis: Any = None, **options: Any) -> Any:
    return call(np.compress, condition, self, axis, **options)


_INSTALLED: dict[str, Any] = {
    "shape": property(lambda self: self.aval.shape, set_shape),
    "flat": property(flat, _set_flat),
    "strides": property(_strides),
    "flags": property(_flags),
    "ctypes": property(_memory),
    "tolist": _tolist,
    "put": put,
    "resize": _resize,
    "choose": choose,
    "compress": _compress,
    "setflags": _setflags,
    "itemset": _refused("itemset", "x[i] = v"),
    "getfield": _refused("getfield", "x.astype(dtype)"),
}
for _name, _attribute in _INSTALLED.items():
    setattr(Box, _name, _attribute)
