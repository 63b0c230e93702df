"""Ufuncs on boxes, and Python's operators as ufuncs: `a + b`, `a += b`, `-a`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit.base.errors import CastingError, ShapeMismatchError
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    as_box,
    box_of,
    fresh,
    from_plain,
    has_box,
    integer_form,
    is_static,
    operand,
    plain,
)
from tracejit.frontend.masked import Masked, elementwise
from tracejit.frontend.ragged import Ragged
from tracejit.frontend.trace import current_trace
from tracejit.ir import affine
from tracejit.ir.program import Atom, Literal
from tracejit.ops import numpy_names
from tracejit.ops.promote import (
    BOOL,
    INT,
    Weak,
    broadcast_to,
    convert,
    shape_text,
    strong,
)

# Python computes with bools as with ints; these are not arithmetic.
_LOGIC = {
    np.logical_and,
    np.logical_or,
    np.logical_xor,
    np.logical_not,
    np.bitwise_and,
    np.bitwise_or,
    np.bitwise_xor,
}
_FORMS: dict[Any, Callable[[affine.Form, affine.Form], affine.Form | None]] = {
    np.add: affine.add,
    np.subtract: lambda a, b: affine.add(a, b, -1),
    np.multiply: affine.mul,
}


def apply(ufunc: np.ufunc, *args: Any, dtype: Any = None) -> Any:
    """`ufunc(*args)`, where at least one is a box: a box, or several."""
    if any(type(a) is Masked for a in args):
        return elementwise(partial(apply, ufunc, dtype=dtype), *args)
    if all(map(is_static, args)):
        values = [plain(a) for a in args]
        kwargs = {} if dtype is None else {"dtype": dtype}
        return from_plain(_quietly(ufunc, *values, **kwargs), *values)
    operands = [operand(a) for a in args]
    if all(isinstance(op, Weak) for op in operands):
        return _on_numbers(ufunc, args, operands)
    out = numpy_names.apply(ufunc, *operands, dtype=dtype)
    if isinstance(out, tuple):
        return tuple([fresh(x, *args) for x in out])
    box = fresh(out, *(() if ufunc.signature else args))  # products are in C order
    if ufunc in _FORMS and not box.aval.shape:
        _keep_form(box, ufunc, args)
    return box


def _quietly(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """As the compiled program will: without floating-point warnings."""
    with np.errstate(all="ignore"):
        return fn(*args, **kwargs)


def _keep_form(box: Box, ufunc: np.ufunc, args: Any) -> None:
    if box.aval.dtype.kind in "iu":
        forms = [integer_form(a) for a in args]
        if None not in forms:
            box.linear = _FORMS[ufunc](*forms)  # type: ignore[arg-type]
            current_trace().forms[box.value] = box.linear


def _on_numbers(ufunc: np.ufunc, args: Any, operands: list[Weak]) -> Any:
    """An operation on numbers of Python's: the result is one, too."""
    atoms = [op.atom for op in operands]
    if ufunc not in _LOGIC:
        atoms = [convert(a, INT) if a.aval.dtype == BOOL else a for a in atoms]
    if ufunc is np.power and _negative(atoms[1]):
        atoms[0] = convert(atoms[0], np.float64)
    out = numpy_names.apply(ufunc, *atoms)
    if isinstance(out, tuple):
        return tuple([box_of(x, "python") for x in out])
    box = box_of(out, "python")
    if ufunc in _FORMS:
        _keep_form(box, ufunc, args)
    return box


def _negative(exponent: Atom) -> bool:
    return isinstance(exponent, Literal) and exponent.value < 0


def apply_in_place(ufunc: np.ufunc, target: Box, *args: Any) -> Box:
    """`ufunc(*args, out=target)`."""
    target.require_writable()
    if target.stays_known() and all(map(is_static, args)):
        values = [plain(a) for a in args]
        out = target.array.copy()
        _quietly(ufunc, *values, out=out)
        target.write_known(out)
        return target
    atom = numpy_names.apply(ufunc, *[operand(a) for a in args])
    store(target, atom, f"ufunc {ufunc.__name__!r} output")
    return target


def store(target: Box, atom: Atom, what: str, casting: str = "same_kind") -> None:
    """Write a result into an existing array, by NumPy's rules for `out=`."""
    loc = current_trace().builder.loc
    have, want = atom.aval, target.aval
    if not np.can_cast(have.dtype, want.dtype, casting):  # type: ignore[arg-type]
        raise CastingError(
            f"Cannot cast {what} from {have.dtype!r} to {want.dtype!r} "
            f"with casting rule {casting!r}",
            loc,
            "bind the result to a name of its own: `y = x + …`",
        )
    lead = want.ndim - have.ndim
    fits = lead >= 0 and all(
        n in (1, m) for n, m in zip(have.shape, want.shape[lead:], strict=True)
    )
    if not fits:
        raise ShapeMismatchError(
            f"non-broadcastable output operand with shape {shape_text(want.shape)} "
            f"doesn't match the broadcast shape {shape_text(have.shape)}",
            loc,
            "bind the result to a name of its own: `y = x + …`",
        )
    target.write(broadcast_to(convert(atom, want.dtype), want.shape))


# The protocol of ufuncs ---------------------------------------------------------------


#: Options of ufuncs that ask for what is so anyway.
_SAYING_NOTHING = [("subok", True), ("subok", False), ("order", "K"), ("order", "C")]


def call_ufunc(ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
    """`Box.__array_ufunc__`: `np.add(a, b, out=c, where=m)` and the ufunc's methods."""
    if any(type(a) is Ragged for a in (*args, kwargs.get("out"))):
        return HANDLERS["ragged ufunc"](ufunc, method, *args, **kwargs)
    if method != "__call__":
        return HANDLERS["ufunc method"](ufunc, method, *args, **kwargs)
    if ufunc in HANDLERS:  # np.matmul: a ufunc, but not an elementwise one
        return HANDLERS[ufunc](*args, **kwargs)
    args, outs = args[: ufunc.nin], args[ufunc.nin :] or kwargs.pop("out", ())
    outs = outs if isinstance(outs, tuple) else (outs,)
    mask, dtype = kwargs.pop("where", True), kwargs.pop("dtype", None)
    casting = kwargs.pop("casting", "same_kind")
    kwargs = {k: v for k, v in kwargs.items() if (k, v) not in _SAYING_NOTHING}
    if kwargs:
        options = ", ".join(f"{k}=…" for k in kwargs)
        raise numpy_names.unsupported(f"np.{ufunc.__name__}({options})")
    args = tuple([as_box(a) if isinstance(a, list | tuple) else a for a in args])
    if not outs or outs[0] is None:
        if mask is not True:
            raise numpy_names.unsupported(
                f"np.{ufunc.__name__}(where=…) without out=", "np.where(mask, f(x), y)"
            )
        return apply(ufunc, *args, dtype=dtype)
    if len(outs) > 1:
        return _call_with_outs(ufunc, args, outs, mask)
    return _call_with_out(ufunc, args, outs[0], mask, casting)


def _call_with_out(
    ufunc: np.ufunc, args: Any, out: Any, mask: Any, casting: str
) -> Box:
    if type(out) is not Box:
        raise outside(out)
    if mask is True and casting == "same_kind":
        return apply_in_place(ufunc, out, *args)
    out.require_writable()
    atom = numpy_names.apply(ufunc, *[operand(a) for a in args])
    atom = convert(atom, out.aval.dtype)
    if mask is not True:
        atom = numpy_names.where(operand(mask), atom, out.read())
    store(out, atom, f"ufunc {ufunc.__name__!r} output", casting)
    return out


def _call_with_outs(ufunc: np.ufunc, args: Any, outs: Any, mask: Any) -> Any:
    """`np.divmod(a, b, out=(q, r))`; what has no array is made anew."""
    if mask is not True:
        raise numpy_names.unsupported(f"np.{ufunc.__name__}(where=…)")
    results = []
    for found, out in zip(apply(ufunc, *args), outs, strict=True):
        if out is not None:
            if type(out) is not Box:
                raise outside(out)
            out.require_writable()
            store(out, strong(operand(found)), f"ufunc {ufunc.__name__!r} output")
        results.append(found if out is None else out)
    return tuple(results)


def outside(out: Any) -> Exception:
    """The error for writing a traced value into an array that is no box."""
    return numpy_names.unsupported(
        f"out= of type {type(out).__name__}",
        "an array made inside the function, by np.empty_like or np.zeros",
    )


HANDLERS["ufunc"] = call_ufunc


def ufunc_handler(ufunc: np.ufunc, method: str) -> Callable[..., Any]:
    """What a ufunc, or a method of one, does where a box may be among the operands."""
    plainly = getattr(ufunc, method)

    def handler(*args: Any, **kwargs: Any) -> Any:
        if has_box(*args, *kwargs.values()):
            return _as_numpys(call_ufunc(ufunc, method, *args, **kwargs))
        return plainly(*args, **kwargs)

    return handler


def _as_numpys(result: Any) -> Any:
    """Of Python's numbers, too, a ufunc makes NumPy's, whose dtype counts."""
    if isinstance(result, tuple):
        return tuple(map(_as_numpys, result))
    if type(result) is not Box or result.kind != "python":
        return result
    box = box_of(result.read(), "scalar")
    box.linear = result.linear
    return box


# Python's operators -------------------------------------------------------------------

BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
    "divmod": np.divmod,
}
COMPARISONS = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
UNARY = {
    "neg": np.negative,
    "pos": np.positive,
    "abs": np.absolute,
    "invert": np.invert,
}
_NUMERIC = (Box, Masked, int, float, complex, np.ndarray, np.generic)


def _coerced(other: Any) -> Any:
    """The other operand; NotImplemented where it has no numbers, or its own way."""
    if isinstance(other, _NUMERIC):
        return other
    return as_box(other) if isinstance(other, list | tuple) else NotImplemented


def _forward(ufunc: np.ufunc) -> Callable[[Box, Any], Any]:
    def operator(self: Box, other: Any) -> Any:
        other = _coerced(other)
        return other if other is NotImplemented else apply(ufunc, self, other)

    return operator


def _backward(ufunc: np.ufunc) -> Callable[[Box, Any], Any]:
    def operator(self: Box, other: Any) -> Any:
        other = _coerced(other)
        return other if other is NotImplemented else apply(ufunc, other, self)

    return operator


def _in_place(ufunc: np.ufunc) -> Callable[[Box, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        other = _coerced(other)
        if other is NotImplemented:
            return other
        if type(self) is Masked:
            apply_in_place(ufunc, self.values, self.everywhere(), self.whole(other))
            return self
        if self.kind != "array":
            return apply(ufunc, self, other)
        return apply_in_place(ufunc, self, self, other)

    return operator


def _install(cls: type) -> None:
    for name, ufunc in BINARY.items():
        setattr(cls, f"__{name}__", _forward(ufunc))
        setattr(cls, f"__r{name}__", _backward(ufunc))
        if name != "divmod":
            setattr(cls, f"__i{name}__", _in_place(ufunc))
    for name, ufunc in COMPARISONS.items():
        setattr(cls, f"__{name}__", _forward(ufunc))
    for name, ufunc in UNARY.items():
        setattr(cls, f"__{name}__", lambda self, ufunc=ufunc: apply(ufunc, self))


_install(Box)
_install(Masked)
