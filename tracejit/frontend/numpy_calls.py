"""NumPy's functions on boxes: those that make arrays, those that view, all others.

A function of `ops.numpy_names.FUNCTIONS` runs in NumPy where all of its arguments are
known, and emits its program where one is traced.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit.base.errors import DataDependentShapeError
from tracejit.base.pytree import tuple_like
from tracejit.frontend.box import (
    C_ORDER,
    HANDLERS,
    Box,
    as_box,
    box_of,
    copied,
    fresh,
    from_plain,
    is_static,
    known_box,
    leaves,
    made,
    mapped,
    operand,
    plain,
)
from tracejit.frontend.lens import c_strides
from tracejit.frontend.operators import outside, store
from tracejit.frontend.trace import current_trace
from tracejit.ir.program import Literal
from tracejit.ops import (
    bits,
    numpy_fourier,
    numpy_linalg,
    numpy_norms,
    numpy_products,
    numpy_reduce,
    numpy_series,
    numpy_shape,
)
from tracejit.ops.numpy_names import FUNCTIONS, require_complex, unsupported
from tracejit.ops.promote import (
    BOOL,
    COMPLEX,
    FLOAT,
    INT,
    convert,
    is_supported,
    strong,
    supported,
)

_PROGRAMS_COME_FROM = (
    bits,
    numpy_fourier,
    numpy_linalg,
    numpy_norms,
    numpy_products,
    numpy_reduce,
    numpy_series,
    numpy_shape,
)


# Any function with a program ----------------------------------------------------------


#: Functions whose integers are operands, never axes or extents.
_OF_NUMBERS = {np.where, np.clip, np.select}


#: Functions whose results are in C order, whatever their operands are in.
_IN_C_ORDER = {
    *(np.dot, np.inner, np.outer, np.tensordot, np.vdot),
    *(np.linalg.inv, np.linalg.solve, np.linalg.cholesky, np.linalg.pinv),
}

#: Functions of a sequence of arrays.
_JOINS = (np.concatenate, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack)

#: How many of the operands are arrays, for which lists may stand, where not all are:
#: others are lists of arrays, of extents, of axes.
_ARRAYS: dict[Any, int] = {
    **dict.fromkeys(_JOINS, 0),
    **dict.fromkeys((np.select, np.einsum, np.linalg.multi_dot, np.polyval), 0),
    **dict.fromkeys((np.tile, np.roll, np.repeat, np.pad), 1),
}


#: Options that are arrays, for which lists may stand.
_ARRAY_OPTIONS = {
    *("where", "weights", "prepend", "append", "to_begin", "to_end"),
    *("a_min", "a_max", "min", "max", "x", "y"),
}

_AXES = {"axis", "axes", "axis1", "axis2", "keepdims"}


def _known(x: Any) -> Any:
    """An axis or a number of something as Python's own, where it is NumPy's."""
    x = plain(x)
    return x.item() if isinstance(x, np.integer | np.bool) else x


def _operand(x: Any, numbers: bool = False) -> Any:
    """Arrays and floats as Atoms; an axis, an extent, a name or an option stays."""
    if type(x) is Box and isinstance(x.value, Literal) and x.aval.dtype.kind in "ib":
        x = plain(x)
    kinds = Box | np.ndarray | np.generic | float | complex
    is_operand = isinstance(x, kinds) or (numbers and isinstance(x, int))
    return operand(x) if is_operand else x


def on_plain(fn: Any, args: Any, kwargs: Any) -> Any:
    """NumPy itself, on real arrays; its results as boxes."""
    args = [mapped(plain, a) for a in args]
    kwargs = {k: mapped(plain, v) for k, v in kwargs.items()}
    with np.errstate(all="ignore"):
        out = fn(*args, **kwargs)
    return from_plain(out, *leaves([*args, *kwargs.values()]))


def handler_of(
    fn: Any, program: Callable[..., Any], arrays: int | None = None
) -> Callable[..., Any]:
    """What `fn` does on boxes, given its program on Atoms."""
    binding = Binding(fn, program, arrays)
    to_operand = partial(_operand, numbers=fn in _OF_NUMBERS)

    def handler(*args: Any, **kwargs: Any) -> Any:
        values = list(leaves([*args, *kwargs.values()]))
        if not any(type(x) is Box for x in values):
            return fn(*args, **kwargs)
        operands, kwargs = binding(args, kwargs)
        out = kwargs.pop("out", None)
        if all(map(is_static, values)):
            result = on_plain(fn, operands, kwargs)
        else:
            operands = [mapped(to_operand, a) for a in operands]
            options = {k: mapped(to_operand, v) for k, v in kwargs.items()}
            require_complex(fn, leaves([*operands, *options.values()]))
            out_of = () if fn in _IN_C_ORDER else values
            result = boxed(program(*operands, **options), out_of)
        return result if out is None else put_out(out, result, fn)

    return handler


def library(
    *functions: Any, arrays: int = 9
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter what NumPy functions do on boxes, written as NumPy code on them.

    `arrays` is how many of the operands are arrays, for which lists may stand.
    """

    def enter(program: Callable[..., Any]) -> Callable[..., Any]:
        for fn in functions:
            HANDLERS[fn] = _library_handler(fn, program, Binding(fn, program, arrays))
        return program

    return enter


def _library_handler(
    fn: Any, program: Callable[..., Any], binding: Binding
) -> Callable[..., Any]:
    def handler(*args: Any, **kwargs: Any) -> Any:
        values = list(leaves([*args, *kwargs.values()]))
        if not any(type(x) is Box for x in values):
            return fn(*args, **kwargs)
        if all(map(is_static, values)) and type(kwargs.get("out")) is not Box:
            return on_plain(fn, args, kwargs)
        require_complex(fn, (x.aval for x in values if type(x) is Box))
        operands, options = binding(args, kwargs)
        out = options.pop("out", None)
        result = program(*operands, **options)
        return result if out is None else put_out(out, result, fn)

    return handler


def boxed(out: Any, values: Any) -> Any:
    """Boxes on the results of a program with these arguments."""
    if isinstance(out, tuple | list):
        parts = [boxed(x, values) for x in out]
        return tuple_like(out, parts) if isinstance(out, tuple) else parts
    return out if isinstance(out, bool) else fresh(out, *values)


class Binding:
    """Fits a call of a NumPy function to its program, whose options are fewer.

    Options that say what is said without them are left out; any other option that
    the program does not have is an error.
    """

    def __init__(self, fn: Any, program: Callable[..., Any], arrays: int | None = None):
        self.fn = fn
        self.arrays = _ARRAYS.get(fn, 9) if arrays is None else arrays
        self.of_matrices = "linalg" in (getattr(fn, "__module__", None) or "")
        ours = inspect.signature(program).parameters.values()
        self.ours = [p.name for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.options = {p.name for p in ours if p.kind is p.KEYWORD_ONLY}
        self.more = any(p.kind is p.VAR_POSITIONAL for p in ours)
        self.any_option = any(p.kind is p.VAR_KEYWORD for p in ours)
        try:
            theirs = list(inspect.signature(fn).parameters.values())
        except (TypeError, ValueError):  # some functions in C have none
            theirs = list(ours)
        by_place = (inspect.Parameter.POSITIONAL_OR_KEYWORD, theirs[0].POSITIONAL_ONLY)
        self.names = [p.name for p in theirs if p.kind in by_place]
        self.defaults = {p.name: p.default for p in theirs if p.default is not p.empty}

    def __call__(self, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        placed: list[Any] = []
        named: dict[str, Any] = {}
        for place, value in enumerate(args):
            name = self.name_at(place)
            if place == 0 and self.fn in _JOINS and type(value) is not Box:
                placed.append([_listed(part) for part in value])
            elif name is None:
                placed.append(_listed(value) if place < self.arrays else value)
            elif name == self.our_name(place):
                placed.append(self.settled(name, value))
            else:
                named[name] = self.settled(name, value)
        for name, value in kwargs.items():
            if name in self.names and name not in self.defaults:
                name = self.our_name(self.names.index(name)) or name
            named[name] = self.settled(name, value) if name in self.defaults else value
        return placed, {k: v for k, v in named.items() if self.says_something(k, v)}

    def settled(self, name: str, option: Any) -> Any:
        """An option; a known one if it is an axis, or of linear algebra."""
        if name in _ARRAY_OPTIONS:
            return _listed(option)
        if name in _AXES:
            return mapped(_known, option)
        if isinstance(option, np.integer) and name != "initial":
            return _known(option)
        number = type(option) is Box and not option.aval.shape
        return plain(option) if self.of_matrices and number else option

    def name_at(self, place: int) -> str | None:
        """The option at a place of the call; None for an operand."""
        if place >= len(self.names) or self.names[place] not in self.defaults:
            return None
        return None if self.more and place >= len(self.ours) else self.names[place]

    def our_name(self, place: int) -> str | None:
        return self.ours[place] if place < len(self.ours) else None

    def says_something(self, name: str, value: Any) -> bool:
        if name in self.defaults and _same(value, self.defaults[name]):
            return False
        known = name in self.options or name in self.ours or name == "out"
        if not known and not self.any_option:
            raise unsupported(f"{_name(self.fn)}({name}=…)")
        return True


def _listed(value: Any) -> Any:
    """An operand: a list stands for the array of its values."""
    return asarray(value) if isinstance(value, list | tuple) else value


def _same(value: Any, default: Any) -> bool:
    plainly = isinstance(value, bool | int | float | complex | str)
    same = plainly and type(value) is type(default) and value == default
    return same or value is default


def _name(fn: Any) -> str:
    module = (getattr(fn, "__module__", None) or "numpy").replace("numpy", "np")
    return f"{module}.{getattr(fn, '__name__', fn)}"


def put_out(out: Any, result: Any, fn: Any) -> Box:
    """Store a result into the array that `out=` names."""
    out = out[0] if isinstance(out, tuple) else out
    if type(out) is not Box:
        raise outside(out)
    out.require_writable()
    store(out, strong(operand(result)), f"the result of np.{fn.__name__}")
    return out


def ask_for(*values: Any) -> None:
    """Have staging begin again if that makes all of the values known."""
    for x in leaves(values):
        if not is_static(x) and x.concrete() is None:
            return


def unknown_function(fn: Any, *args: Any, **kwargs: Any) -> Any:
    """A NumPy function without a program: known arrays only."""
    if all(map(is_static, leaves([*args, *kwargs.values()]))):
        return on_plain(fn, args, kwargs)
    ask_for(*args, *kwargs.values())
    raise unsupported(_name(fn))


HANDLERS["other"] = unknown_function


# Functions that make arrays -----------------------------------------------------------


def _shape(shape: Any) -> tuple[int, ...]:
    """A shape as given: an int or several, Extents kept."""
    if isinstance(shape, np.ndarray) or (type(shape) is Box and shape.aval.shape):
        shape = tuple(plain(shape))
    entries = shape if isinstance(shape, tuple | list) else (shape,)
    return tuple([n if isinstance(n, int) else n.__index__() for n in entries])


def _maker(fn: Any) -> Callable[..., Box]:
    def make(
        shape: Any,
        dtype: Any = float,
        order: str = "C",
        like: Any = None,
        **options: Any,
    ) -> Box:
        shape = _shape(shape)
        return made(fn(shape, _dtype(dtype), order, **options), shape)

    return make


def _dtype(dtype: Any) -> Any:
    return np.dtype(float if dtype is None else dtype)


# The contents of np.empty are arbitrary: zeros are as good, and the same every time.
HANDLERS[np.empty] = _maker(np.zeros)
HANDLERS[np.zeros] = _maker(np.zeros)


def ndarray(shape: Any, dtype: Any = float, buffer: Any = None, **options: Any) -> Box:
    """`np.ndarray(shape)`: room, as by `np.empty`."""
    if buffer is not None or options.keys() - {"order"}:
        raise unsupported("np.ndarray(buffer=…)", "np.frombuffer, or a view")
    return HANDLERS[np.empty](shape, dtype)


HANDLERS[np.ndarray] = ndarray
HANDLERS[np.ones] = _maker(np.ones)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C") -> Box:
    """`np.full`."""
    shape = _shape(shape)
    if is_static(fill_value):
        return made(np.full(shape, plain(fill_value), dtype, order), shape)
    value = strong(operand(fill_value))
    atom = convert(value, supported(dtype or value.aval.dtype))
    out = known_box(np.zeros(shape, atom.aval.dtype), shape)
    store(out, atom, "fill value", "unsafe")
    return out


HANDLERS[np.full] = full


def _maker_like(value: Any) -> Callable[..., Box]:
    def make(x: Any, dtype: Any = None, order: Any = "K", shape: Any = None) -> Box:
        box = as_box(x)
        dtype = supported(dtype or box.aval.dtype)
        if shape is not None:
            return full(shape, value, dtype)
        if box.known:
            return known_box(np.full_like(box.array, value, dtype), box.aval.shape)
        return full(box.aval.shape, value, dtype)

    return make


HANDLERS[np.zeros_like] = HANDLERS[np.empty_like] = _maker_like(0)
HANDLERS[np.ones_like] = _maker_like(1)


def full_like(x: Any, fill_value: Any, dtype: Any = None, **options: Any) -> Box:
    """`np.full_like`."""
    box = as_box(x)
    shape = options.pop("shape", None)
    shape = box.aval.shape if shape is None else shape
    return full(shape, fill_value, dtype or box.aval.dtype)


HANDLERS[np.full_like] = full_like


def _known_maker(fn: Any) -> Callable[..., Any]:
    """np.eye and its like: from numbers that are known."""

    def make(*args: Any, **kwargs: Any) -> Any:
        args = tuple([mapped(plain, a) for a in args])
        return from_plain(fn(*args, **{k: plain(v) for k, v in kwargs.items()}))

    return make


for _make in (np.eye, np.identity, np.tri, np.indices):
    HANDLERS[_make] = _known_maker(_make)


def array(
    value: Any,
    dtype: Any = None,
    *,
    copy: Any = True,
    order: Any = "K",
    ndmin: int = 0,
    subok: bool = False,
    like: Any = None,
) -> Any:
    """`np.array`; lists may hold traced values."""
    if isinstance(value, np.ndarray) and value.ndim and is_supported(value.dtype):
        value = as_box(value)  # an outside array, whose contents may change
    if type(value) is Box and value.kind == "array":
        out = copied(value, order or "K") if copy is True else in_order(value, order)
        out = out if dtype is None else astype(out, dtype, copy=False)
    elif all(map(is_static, leaves([value]))):
        out = made(np.array(mapped(plain, value), dtype))
        if type(out) is not Box:
            return out
    else:
        atom = numpy_shape.array(mapped(operand, value), dtype and supported(dtype))
        out = box_of(atom, layout=C_ORDER)
    lead = ndmin - out.aval.ndim
    return out.reshaped((1,) * lead + out.aval.shape) if lead > 0 else out


def asarray(
    value: Any, dtype: Any = None, order: Any = None, *, copy: Any = None
) -> Any:
    """`np.asarray`: the array itself where it is one."""
    return array(value, dtype, copy=copy, order=order)


def _by_columns(box: Box) -> Box:
    """A copy whose columns are contiguous, as `np.asfortranarray` makes."""
    perm = tuple(range(box.aval.ndim))[::-1]
    return copied(box.transposed(perm)).transposed(perm)


def in_order(box: Box, order: Any) -> Box:
    """The array itself where it is laid out as asked for, else a copy."""
    if box.one_of:
        return box.each(lambda one: in_order(one, order))
    strides = box.strides_in_elements
    wanted = c_strides(box.aval.shape)
    if order in (None, "K", "A") or strides == wanted or box.aval.ndim == 0:
        return box
    if order != "C":
        same = strides is not None and strides[::-1] == c_strides(box.aval.shape[::-1])
        return box if same else _by_columns(box)
    # Where the layout is not known, the reshape of it is: view or copy.
    return copied(box) if strides is not None else box.reshaped(box.aval.shape)


def astype(box: Box, dtype: Any, copy: bool = True, **options: Any) -> Any:
    """`x.astype(dtype)`: a cast as in C."""
    dtype = supported(dtype)
    if dtype == box.aval.dtype:
        if box.kind == "scalar" or not copy:
            return box
        return copied(box, "K")
    if is_static(box):
        with np.errstate(all="ignore"):
            return from_plain(np.asarray(plain(box)).astype(dtype)[()])
    out = fresh(convert(box.read(), dtype), box)
    return box_of(out.value, box.kind) if not box.aval.shape else out


def python_number(x: Any) -> Any:
    """A scalar as the Python number that `.item()` gives; it may be traced."""
    if is_static(x):
        return np.asarray(plain(x)).item()
    atom = x.read()
    wide = {"f": FLOAT, "i": INT, "u": INT, "b": BOOL, "c": COMPLEX}[
        atom.aval.dtype.kind
    ]
    return box_of(convert(atom, wide), "python")


def _as_it_is(fn: Any, program: Callable[..., Any]) -> Callable[..., Any]:
    """`np.asarray` and its like make no array where there is one."""

    def handler(x: Any, *args: Any, **kwargs: Any) -> Any:
        make = fn if isinstance(x, np.ndarray) else program
        return make(x, *args, **kwargs)

    return handler


HANDLERS[np.asarray] = _as_it_is(np.asarray, asarray)
HANDLERS[np.asanyarray] = _as_it_is(np.asanyarray, asarray)
HANDLERS[np.ascontiguousarray] = _as_it_is(
    np.ascontiguousarray, lambda x, dtype=None: asarray(x, dtype, "C")
)
HANDLERS[np.asfortranarray] = lambda x, dtype=None: asarray(x, dtype, "F")
HANDLERS[np.array] = array
HANDLERS[np.copy] = lambda x, order="K", subok=False: copied(asarray(x), order)
if hasattr(np, "astype"):  # from NumPy 2.1 on
    HANDLERS[np.astype] = lambda x, dtype, copy=True: astype(asarray(x), dtype, copy)


def arange(*args: Any, dtype: Any = None, **options: Any) -> Box:
    """`np.arange`: its length must follow from what is known."""
    if any(not is_static(a) and a.concrete() is None for a in args):
        raise DataDependentShapeError(
            "the length of np.arange depends on a traced value",
            current_trace().builder.loc,
            "np.linspace(start, stop, n), or start + step * np.arange(n)",
        )
    values = [plain(a) for a in args]
    out = np.arange(*values, dtype=dtype)
    extent = values[0] if len(values) == 1 and out.size == values[0] else out.size
    return known_box(out, (extent,) if isinstance(extent, int) else out.shape)


HANDLERS[np.arange] = arange


def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`np.linspace`; start and stop may be traced."""
    num = num if isinstance(num, int) else num.__index__()
    if is_static(start) and is_static(stop):
        ends: Any = (plain(start), plain(stop), num, endpoint, retstep, dtype, axis)
        out = np.linspace(*ends)
        made, *more = out if retstep else (out,)
        box = known_box(made, (num,) if made.ndim == 1 else None)
        return (box, *more) if retstep else box
    gaps = num - 1 if endpoint else num
    start, stop = (as_box(x) for x in (start, stop))
    step = (stop - start) / max(gaps, 1)
    ndim = max(start.aval.ndim, stop.aval.ndim)
    counts = known_box(np.arange(num, dtype=step.aval.dtype), (num,)).reshaped(
        (num,) + (1,) * ndim
    )
    out = start + counts * step
    if endpoint and num > 1:
        out[-1] = stop
    if dtype is not None:
        whole = np.dtype(dtype).kind in "iu"
        out = astype(
            HANDLERS["ufunc"](np.floor, "__call__", out) if whole else out, dtype
        )
    out = out if axis == 0 else HANDLERS[np.moveaxis](out, 0, axis)
    return (out, step) if retstep else out


HANDLERS[np.linspace] = linspace


def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """`np.copyto`."""
    if type(dst) is not Box:
        raise outside(dst)
    dst.require_writable()
    if where is not True:
        src = FUNCTIONS[np.where](*map(operand, (where, src, dst)))
        src = box_of(convert(src, dst.aval.dtype))
    if is_static(src) and dst.stays_known():
        dst.write_known(plain(src))
    else:
        store(dst, strong(operand(src)), "array data", casting)


HANDLERS[np.copyto] = copyto

for _fn, _program in FUNCTIONS.items():
    HANDLERS[_fn] = handler_of(_fn, _program)
