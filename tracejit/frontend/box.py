"""The traced array: a mutable handle on its current value in the program.

A *root* box holds an Atom (it is traced) or a real ndarray (it is known: what is
computed from known boxes alone runs at once in NumPy). A *view* box reads and writes
through a lens on its base, so that aliases behave as in NumPy. Every rebinding of a
root is logged, to be undone after a probe.

`kind` says what the box stands for: "array" (an ndarray: mutable, `+=` in place),
"scalar" (a NumPy scalar: `s += 1` rebinds the name) or "python" (a Python number,
whose dtype yields to others). Nothing here is an ndarray subclass: one would leak
silently through `np.asarray`, `.item` or compiled calls.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from tracejit.base.errors import (
    OperandTypeError,
    ReadOnlyError,
    TracedValueError,
)
from tracejit.base.pytree import tuple_like
from tracejit.frontend.lens import (
    Broadcasted,
    Component,
    Lens,
    Part,
    Reshaped,
    Shape,
    Strides,
    Transposed,
    Unsure,
    c_ordered,
    c_strides,
    unsure_alias,
)
from tracejit.frontend.stand_in import Stale, StandIn
from tracejit.frontend.trace import Write, current_trace
from tracejit.ir import affine
from tracejit.ir.aval import Aval, Extent
from tracejit.ir.program import Atom, Literal
from tracejit.ops.promote import Weak, broadcast_to, is_supported, supported

#: A stand-in for the strides of a box: those of a fresh array in C order.
C_ORDER: tuple[int, ...] = ()
UNKNOWN: Strides = None


#: What a call does on boxes, by function object; `dispatch` fills it.
HANDLERS: dict[Any, Callable[..., Any]] = {}


class Box:
    """See the module's docstring."""

    __slots__ = (
        "__weakref__",
        "_cache",
        "_layout",
        "aval",
        "base",
        "depth",
        "kind",
        "lens",
        "linear",
        "origins",
        "region",
        "twins",
        "unsure",
        "value",
        "views",
    )

    #: NumPy's operators defer to ours.
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        value: Any,
        aval: Aval,
        kind: str = "array",
        base: Box | None = None,
        lens: Lens | None = None,
        layout: Strides = C_ORDER,
    ):
        stack = current_trace().builder.stack
        self.value, self.aval, self.kind = value, aval, kind
        self.base, self.lens, self._layout = base, lens, layout
        self.depth = len(stack)
        self.region = stack[-1] if stack else None
        self.linear: Any = None
        self._cache: Any = None
        #: Its views, as far as they live on.
        self.views: list[ref[Box]] = []
        if base is not None:
            if len(base.views) > 64:
                base.views = [view for view in base.views if view() is not None]
            base.views.append(ref(self))
        #: Boxes that may stand for the same array: a write makes them stale.
        self.twins: list[tuple[Box, Any]] = []
        #: Of a merged box: the arrays that it may be (see `aliases`).
        self.origins: tuple[Box, ...] = ()
        #: Of a merged box that only on some ways may be written to: what to raise.
        self.unsure: Stale | None = None

    if TYPE_CHECKING:  # filled in by `operators`, `indexing` and `methods`

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, key: Any) -> Any: ...
        def __setitem__(self, key: Any, value: Any) -> None: ...
        def __iter__(self) -> Any: ...
        def __add__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...

    # What it is -----------------------------------------------------------------------

    @property
    def root(self) -> Box:
        """The box that a view reads and writes, through all lenses."""
        box = self
        while box.base is not None:
            box = box.base
        return box

    @property
    def known(self) -> bool:
        """Whether the root holds a real array that this box is a part of."""
        box = self
        while box.base is not None:
            if not box.lens.static:  # type: ignore[union-attr]
                return False
            box = box.base
        return isinstance(box.value, np.ndarray)

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The real array of a known box: a NumPy view into the root's."""
        if self.base is None:
            return self.value
        return self.lens.of(self.base.array)  # type: ignore[union-attr]

    @property
    def strides_in_elements(self) -> Strides:
        """Strides as NumPy has them here; None where they are not known."""
        return c_strides(self.aval.shape) if self._layout == C_ORDER else self._layout

    @property
    def readonly(self) -> bool:
        """Whether NumPy forbids to write to it."""
        box = self
        while box.base is not None:
            if isinstance(box.lens, Broadcasted):
                return True
            box = box.base
        return False

    # Reading and writing --------------------------------------------------------------

    def read(self) -> Atom:
        """The current value, in the program."""
        if self.base is None and not isinstance(self.value, np.ndarray):
            if isinstance(self.value, StandIn):
                return self.value.read(self)
            return self.value
        stack = current_trace().builder.stack
        if self.known:
            return self._read_known(stack)
        base = self.base.read()  # type: ignore[union-attr]
        cache = self._cache
        if cache and cache[0] is base and _open(stack, cache[2]):
            return cache[1]
        atom = self.lens.get(base)  # type: ignore[union-attr]
        self._cache = base, atom, stack[-1]
        return atom

    def _read_known(self, stack: list[Any]) -> Atom:
        """A real array as an Atom, made in the region where the box is at home."""
        cache = self._cache
        if cache and cache[0] is None and _open(stack, cache[2]):
            return cache[1]
        home = self.root.region
        level = next((k for k, r in enumerate(stack) if r is home), len(stack) - 1)
        with current_trace().builder.outer(level):
            atom = constant(self.array, self.aval.shape)
        # Views keep none: they are not told when the root's array changes.
        if self.base is None:
            self._cache = None, atom, stack[level]
        return atom

    def write(self, atom: Atom) -> None:
        """Replace the whole contents; `atom` has this box's dtype and shape."""
        if self.base is None:
            if isinstance(self.value, StandIn):
                self.value.write(self, atom)
                return
            if not atom.aval.shape and self.aval.shape:
                atom = broadcast_to(atom, self.aval.shape)
            self._rebind(atom)
        elif isinstance(self.lens, Part) and self.lens.whole:
            self.base.write(atom)
        else:
            base = self.base.read()
            self.base.write(self.lens.put(base, atom))  # type: ignore[union-attr]

    def _rebind(self, value: Any) -> None:
        before = self.value

        def undo() -> None:
            self.value, self._cache = before, None

        current_trace().log.append(Write(self, undo))
        self.value, self._cache = value, None
        self._outdate_twins()

    def _outdate_twins(self) -> None:
        for twin, source in self.twins:
            if twin is not self:
                twin.go_stale(Stale(source))

    def go_stale(self, stale: Stale) -> None:
        """Forget the contents: a box that may be the same array was written to."""
        if type(self.value) is not Stale:
            self.rebind_alone(stale)

    def rebind_alone(self, value: Any) -> None:
        """Replace the whole contents, and leave those of its twins."""
        twins, self.twins = self.twins, []
        self._rebind(value)
        self.twins = twins

    def write_known(self, value: Any) -> None:
        """Store real numbers into the part of the real array that this box is."""
        root, part = self.root, self.array
        before = part.copy()

        def undo() -> None:
            part[...] = before
            root._cache = None

        current_trace().log.append(Write(root, undo))
        part[...] = value
        root._cache = None
        root._outdate_twins()

    def stays_known(self) -> bool:
        """Whether real numbers stored now leave it known.

        In a loop or branch that the array comes from outside of, a write is staged.
        """
        if not self.known:
            return False
        root = self.root
        aliased = root is self or np.may_share_memory(self.array, root.value)
        return aliased and root.region is current_trace().builder.stack[-1]

    def require_writable(self) -> None:
        """Raise where NumPy would refuse the write, or where the alias is unsure."""
        loc = current_trace().builder.loc
        for one in self.one_of:
            one.require_writable()
        if self.readonly:
            raise ReadOnlyError(
                "assignment destination is read-only",
                loc,
                "write to a copy: `y = np.broadcast_to(…).copy()`",
            )
        box: Box | None = self
        while box is not None:
            if isinstance(box.lens, Unsure):
                raise unsure_alias()
            if box.unsure is not None:
                raise current_trace().stale_read(box.unsure, box.aval)
            box = box.base

    # Views ----------------------------------------------------------------------------

    @property
    def one_of(self) -> tuple[Box, ...]:
        """The boxes of which it is, at run time, one; none where it is itself."""
        return self.value.boxes if isinstance(self.value, StandIn) else ()

    def each(self, fn: Callable[[Box], Box]) -> Box:
        """`fn(self)`, where `fn` makes a view or, depending on the layout, a copy."""
        return self.value.each(fn) if self.one_of else fn(self)

    def through(self, lens: Lens) -> Box:
        """A box on a part of this one."""
        if self.one_of:
            return self.each(lambda one: one.through(lens))
        if isinstance(lens, Part):
            if isinstance(self.lens, Part):
                base: Box = self.base  # type: ignore[assignment]
                return base.through(lens.after(self.lens))
            if isinstance(self.lens, Transposed):
                part, perm = lens.across(self.lens.perm)
                inner = self.base.through(part)  # type: ignore[union-attr]
                ordered = perm == tuple(range(len(perm)))
                return inner if ordered else inner.through(Transposed(part.shape, perm))
        if isinstance(lens, Transposed) and isinstance(self.lens, Transposed):
            perm = tuple([self.lens.perm[k] for k in lens.perm])
            return self.base.through(Transposed(self.lens.base, perm))  # type: ignore[union-attr]
        strides = lens.strides(self.strides_in_elements)
        if type(lens) is Reshaped and type(self.lens) is Reshaped:
            lens = Reshaped(self.lens.base, lens.shape)
            aval = self.aval.update(shape=lens.shape)
            return Box(None, aval, "array", self.base, lens, strides)
        dtype = self.aval.dtype
        if isinstance(lens, Component):
            dtype = np.empty(0, dtype).real.dtype
        aval = Aval(dtype, lens.shape)
        return Box(None, aval, "array", self, lens, strides)

    def component(self, name: str) -> Box:
        """The "real" or "imag" part: a view of an array, the number of a number."""
        if self.aval.dtype.kind != "c":
            return self if name == "real" else call(np.zeros_like, self)
        part = self.through(Component(self.aval.shape, name))
        return part if self.kind == "array" else box_of(part.read(), self.kind)

    def transposed(self, perm: tuple[int, ...]) -> Box:
        """A view with permuted axes."""
        return self.through(Transposed(self.aval.shape, perm))

    def reshaped(self, shape: Shape) -> Box:
        """A view at another shape where NumPy makes one, else a copy."""
        if self.one_of:
            return self.each(lambda one: one.reshaped(shape))
        lens = Reshaped(self.aval.shape, shape)
        strides = self.strides_in_elements
        if strides is None:
            return self.through(Unsure(self.aval.shape, shape, self.read()))
        if lens.strides(strides) is None:
            return box_of(lens.get(self.read()), layout=C_ORDER)
        return self.through(lens)

    # Decisions of Python need a number ------------------------------------------------

    def concretize(self, what: str = "its value") -> Any:
        """The real array or number behind the box, if it can be had while staging."""
        found = self.concrete()
        if found is not None:
            return found
        trace = current_trace()
        name = getattr(self.value, "hint", "") or "a traced value"
        raise TracedValueError(
            f"Python needs {what} of {name} ({self.aval}), which is only known when "
            "the compiled program runs",
            trace.builder.loc,
            "keep it in NumPy: np.where, masks, arrays indexed by traced integers",
        )

    def concrete(self, of_arguments: bool = True) -> Any:
        """The real array or number behind the box; None where there is none.

        Staging may also begin again with what would make the value known: a number
        computed from arguments only where it is to be known `of_arguments`, too.
        """
        if self.known:
            return self.array
        if isinstance(self.value, Literal):
            literal = self.value
            return literal.value if self.kind == "python" else literal.scalar
        ask = current_trace().concretize
        return None if ask is None else ask(self, of_arguments)

    def __bool__(self) -> bool:
        return bool(self.concretize("the truth"))

    def __index__(self) -> int:
        return self.concretize("the integer value").__index__()

    def __int__(self) -> int:
        return int(self.concretize("the integer value"))

    def __float__(self) -> float:
        return float(self.concretize("the float value"))

    def __complex__(self) -> complex:
        return complex(self.concretize("the complex value"))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        # A copy: writes to the real array must not pass by the undo log.
        return np.array(self.concretize("an ndarray"), dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kw: Any) -> Any:
        return HANDLERS["ufunc"](ufunc, method, *args, **kw)

    def __array_function__(self, fn: Any, types: Any, args: Any, kw: Any) -> Any:
        return call(fn, *args, **kw)

    def __len__(self) -> int:
        if not self.aval.shape:
            loc = current_trace().builder.loc
            raise OperandTypeError("len() of unsized object", loc)
        return int(self.aval.shape[0])

    def __repr__(self) -> str:
        if self.known:
            return repr(self.array)
        return f"<traced {self.kind} {self.aval}>"

    def __format__(self, spec: str) -> str:
        if self.known or isinstance(self.value, Literal):
            return format(self.concretize(), spec)
        return repr(self)


def _open(stack: list[Any], region: Any) -> bool:
    return any(r is region for r in stack)


def constant(array: np.ndarray[Any, Any], shape: Shape) -> Atom:
    """A real array as an Atom: equal numbers by broadcasting, else as an input."""
    trace = current_trace()
    supported(array.dtype)
    if array.ndim == 0:
        return trace.literal(array.item(), array.dtype)
    flat = np.ascontiguousarray(array).reshape(-1)
    word = min(array.itemsize, 8)
    bits = flat.view(f"u{word}").reshape(len(flat), array.itemsize // word)
    if (bits == bits[:1]).all():
        number = array.flat[0].item() if array.size else 0
        return broadcast_to(trace.literal(number, array.dtype), shape)
    copy = array.copy()
    key = ("constant", copy.dtype.str, copy.shape, sha256(copy.tobytes()).digest())
    return trace.capture(key, copy, lambda: copy, "constant").var


# Boxes from values, values from boxes -------------------------------------------------


def box_of(atom: Atom, kind: str = "array", layout: Strides = UNKNOWN) -> Box:
    """A root box on an Atom.

    `layout` is C_ORDER for a fresh array; where nothing is said, whether a reshape
    of a matrix is a view is not known, and writing through one is an error.
    """
    if layout is UNKNOWN and len(atom.aval.shape) < 2:
        layout = C_ORDER
    return Box(atom, atom.aval, kind, layout=layout)


def fresh(atom: Atom, *operands: Any) -> Box:
    """A box on the result of a NumPy function: an array, or a scalar without axes."""
    if not atom.aval.shape:
        return Box(atom, atom.aval, "scalar")
    ordered = len(atom.aval.shape) < 2 or all(map(_in_c_order, operands))
    return Box(atom, atom.aval, "array", layout=C_ORDER if ordered else UNKNOWN)


def _in_c_order(x: Any) -> bool:
    if type(x) is not Box or x._layout == C_ORDER:
        return True
    return c_ordered(x.aval.shape, x._layout)


def known_box(array: Any, shape: Shape | None = None) -> Box:
    """A root box on a real array, which it owns; `shape` may name its extents."""
    array = np.asarray(array)
    aval = Aval(supported(array.dtype), array.shape if shape is None else shape)
    return Box(array, aval, "array", layout=layout_of(array))


def layout_of(array: Any) -> Strides:
    """How a real array lies in memory, for a box that stands for it."""
    if array.flags.c_contiguous:
        return C_ORDER
    if any(s % array.itemsize for s in array.strides):
        return UNKNOWN  # a field of records
    return tuple([s // array.itemsize for s in array.strides])


def captured_box(
    key: Any, array: np.ndarray[Any, Any], fetch: Callable[[], Any], what: str
) -> Box:
    """The box for an array of the outside, which is an input of the Program."""
    trace = current_trace()
    if key not in trace.boxes:
        supported(array.dtype)
        captured = trace.capture(key, array, fetch, what)
        with trace.builder.outer(0):
            box = box_of(captured.var, "array", layout_of(array))
            if trace.is_pinned(key):
                captured.pinned = array.tobytes()
                box = known_box(array.copy())
        trace.boxes[key] = trace.adopt(key, captured.var, box)
    return trace.boxes[key]


def made(array: Any, shape: Shape | None = None) -> Any:
    """A new array as a known box; one of strings, objects, … stays what it is."""
    return known_box(array, shape) if is_supported(array.dtype) else array


def copied(box: Box, order: Any = "C") -> Box:
    """A copy: the same value, of which there is no alias."""
    if box.known:
        return known_box(box.array.copy(order), box.aval.shape)
    atom = box.read()
    if order == "C" or box.aval.ndim < 2:
        return box_of(atom, layout=C_ORDER)
    return fresh(atom, box) if box.aval.shape else box_of(atom)


def as_box(value: Any) -> Box:
    """The value as a box: numbers by value, arrays of the outside as inputs."""
    if type(value) is Box:
        return value
    trace = current_trace()
    if isinstance(value, np.ndarray) and value.ndim:
        # By reference: its contents are read anew at every call.
        return captured_box(("array", id(value)), value, lambda: value, "array")
    if isinstance(value, np.generic | np.ndarray):
        literal = trace.literal(value.item(), supported(value.dtype))
        return box_of(literal, "scalar" if isinstance(value, np.generic) else "array")
    if isinstance(value, int | float | complex):
        return box_of(trace.literal(value), "python")
    return call(np.asarray, value)


def operand(x: Any) -> Any:
    """What `ops.promote` calls an operand: an Atom, or a Weak one."""
    box = x if type(x) is Box else as_box(x)
    atom = box.read()
    return Weak(atom) if box.kind == "python" else atom


def leaves(args: Any) -> Any:
    """The values in nested lists and tuples (of arguments)."""
    for x in args:
        if isinstance(x, list | tuple):
            yield from leaves(x)
        else:
            yield x


def mapped(fn: Callable[[Any], Any], x: Any) -> Any:
    """`fn` on every value of nested lists and tuples."""
    if isinstance(x, list | tuple):
        return (list if isinstance(x, list) else tuple)(mapped(fn, e) for e in x)
    return fn(x)


def has_box(*args: Any) -> bool:
    """Whether a box is among the arguments, or in a list of them."""
    return any(type(x) is Box for x in leaves(args))


def is_static(x: Any) -> bool:
    """Whether a plain value stands for it: no box, or one that is not traced."""
    return type(x) is not Box or x.known or isinstance(x.value, Literal)


def plain(x: Any) -> Any:
    """The real array, NumPy scalar or Python number of something static."""
    return x.concretize() if type(x) is Box else x


def from_plain(x: Any, *sources: Any) -> Any:
    """What NumPy returned for known operands: arrays become boxes, the rest stays."""
    if isinstance(x, np.ndarray):
        # Views are made by lenses only: here NumPy's would alias behind our back.
        aliased = any(
            np.may_share_memory(x, s) for s in sources if isinstance(s, np.ndarray)
        )
        return made(x.copy(order="K") if aliased else x)
    if isinstance(x, tuple | list):
        parts = [from_plain(e, *sources) for e in x]
        return tuple_like(x, parts) if isinstance(x, tuple) else type(x)(parts)
    return x


def integer_form(x: Any) -> affine.Form | None:
    """An integer scalar as a linear form of traced ones."""
    if isinstance(x, int | np.integer):
        return affine.Form(x if isinstance(x, Extent) else int(x), {})
    if type(x) is Box and not x.aval.shape and x.aval.dtype.kind in "iu":
        return x.linear or affine.of_atom(x.read())
    return None


def call(fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call a NumPy function on boxes."""
    if isinstance(fn, np.ufunc):
        return HANDLERS["ufunc"](fn, "__call__", *args, **kwargs)
    handler = HANDLERS.get(fn)
    return (handler or HANDLERS["other"])(
        *((args) if handler else (fn, *args)), **kwargs
    )
