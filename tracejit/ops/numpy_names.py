"""NumPy's elementwise functions as programs: which equations `np.f(operands)` emits.

`apply(ufunc, *operands)` promotes, broadcasts and emits as NumPy would compute; see
`promote` for what an operand is. Reductions, shapes and products have files of their
own (`numpy_reduce`, `numpy_shape`, `numpy_products`); each adds to `FUNCTIONS`, the
table from a NumPy function to its program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tracejit.base.errors import OperandTypeError, UnsupportedError
from tracejit.ir.aval import Aval
from tracejit.ir.builder import current
from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Literal, Var
from tracejit.ops import (
    complex_order,
    complex_parts,
    control,
    elementwise,
    index,
    linalg,
    reduce,
    shape,
    sort,
    special,
)
from tracejit.ops.promote import (
    BOOL,
    Weak,
    bound,
    broadcast_shapes,
    broadcast_to,
    convert,
    dtype_spec,
    interval_of,
    loop_dtypes,
    result_type,
    shape_of,
    strong,
)
from tracejit.ops.ufuncs import by_name, is_scipys, result_dtype

# Their import declares the primitives that are looked up by name below.
_DECLARES = (
    complex_parts,
    control,
    elementwise,
    index,
    linalg,
    reduce,
    shape,
    sort,
    special,
)

#: Programs by NumPy function; each takes operands and returns one or more Atoms.
FUNCTIONS: dict[Any, Callable[..., Any]] = {}

#: Those whose programs are not right on complex operands, by name.
REAL_ONLY = set("digitize i0 nanpercentile nanquantile percentile quantile".split())


def require_complex(fn: Any, operands: Iterable[Any]) -> None:
    """Refuse complex operands of a function whose program is for real ones."""
    if fn.__name__ not in REAL_ONLY:
        return
    for x in operands:
        atom = x.atom if isinstance(x, Weak) else x
        aval = atom.aval if isinstance(atom, Var | Literal) else atom
        if isinstance(aval, Aval) and aval.dtype.kind == "c":
            name = f"{fn.__module__}.{fn.__name__}".replace("numpy", "np", 1)
            raise UnsupportedError(
                f"{name} of complex numbers is not supported",
                current().loc,
                "compose it of supported NumPy functions",
            )


#: The inline powers: `x ** n` by multiplication, as Numba and NumPy's x ** 2 do.
MAX_INLINE_POWER = 16


def emit(name: str, *atoms: Any, **params: Any) -> Any:
    """Bind the primitive of this name, and prove bounds of an integer result."""
    return bound(name, REGISTRY[name](*atoms, **params), atoms)


def implements(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a program into `FUNCTIONS` for these NumPy functions."""

    def enter(program: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update(dict.fromkeys(functions, program))
        return program

    return enter


# A ufunc's program takes Atoms of the dtypes of NumPy's loop and of one shape. --------

#: Ufuncs that are a primitive.
PRIMITIVES: dict[np.ufunc, str] = {
    np.add: "add",
    np.subtract: "sub",
    np.multiply: "mul",
    np.true_divide: "div",
    np.negative: "neg",
    np.floor_divide: "floor_divide",
    np.remainder: "mod",
    np.fmod: "fmod",
    np.power: "pow",
    np.absolute: "abs",
    np.maximum: "maximum",
    np.minimum: "minimum",
    np.less: "lt",
    np.less_equal: "le",
    np.greater: "gt",
    np.greater_equal: "ge",
    np.equal: "eq",
    np.not_equal: "ne",
    np.invert: "bitwise_not",
    np.left_shift: "shift_left",
    np.right_shift: "shift_right",
    **{
        getattr(np, name): name
        for name in (
            "exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan arcsin arccos "
            "arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh hypot sign floor "
            "ceil trunc rint copysign logaddexp logical_and logical_or logical_xor "
            "logical_not bitwise_and bitwise_or bitwise_xor isnan isfinite isinf"
        ).split()
    },
}

#: What stands for a primitive where the loop runs on bools.
ON_BOOLS = {
    "add": "logical_or",
    "mul": "logical_and",
    "maximum": "logical_or",
    "minimum": "logical_and",
    "bitwise_not": "logical_not",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "ne": "logical_xor",
}

_IDENTITIES_OF_INTEGERS = {"floor", "ceil", "trunc", "rint"}


#: What tests of complex numbers ask of their two parts.
_OF_PARTS = {"isnan": "logical_or", "isinf": "logical_or", "isfinite": "logical_and"}


def _on_complex(name: str, *atoms: Atom) -> Atom:
    z = atoms[0]
    if name in _OF_PARTS:
        return emit(
            _OF_PARTS[name], emit(name, emit("real", z)), emit(name, emit("imag", z))
        )
    if name == "sign":
        size = emit("abs", z)
        zero = emit("eq", size, _like(0, size))
        unit = emit("select", zero, _like(1, size), size)
        return emit("div", z, convert(unit, z.aval.dtype))
    if name == "rint":
        return emit("complex", *[emit("rint", emit(p, z)) for p in ("real", "imag")])
    if name in complex_order.ORDERS:
        return complex_order.ORDERS[name](*atoms)
    return emit(name, *atoms)


def _primitive(name: str, *atoms: Atom) -> Atom:
    dtype = atoms[0].aval.dtype
    if name.startswith("logical"):
        return emit(name, *[convert(x, BOOL) for x in atoms])
    if dtype.kind == "c":
        return _on_complex(name, *atoms)
    if dtype == BOOL:
        if name == "abs":
            return atoms[0]
        if name == "eq":
            return emit("logical_not", emit("logical_xor", *atoms))
        name = ON_BOOLS.get(name, name)
    elif dtype.kind in "iu":
        if name in _IDENTITIES_OF_INTEGERS:
            return atoms[0]
        if name in ("isnan", "isinf", "isfinite"):
            return emit(name, convert(atoms[0], np.float64))
        if name == "fmod":
            return _integer_fmod(*atoms)
    return emit(name, *atoms)


def _integer_fmod(a: Atom, b: Atom) -> Atom:
    """Remainder with the dividend's sign."""
    m = emit("mod", a, b)
    zero = Literal(0, a.aval.dtype)
    apart = emit("logical_and", emit("ne", m, zero), _negative_product(a, b))
    return emit("select", apart, emit("sub", m, b), m)


def _negative_product(a: Atom, b: Atom) -> Atom:
    zero = Literal(0, a.aval.dtype)
    return emit("logical_xor", emit("lt", a, zero), emit("lt", b, zero))


def _power(x: Atom, n: Atom) -> Atom:
    integers = x.aval.dtype.kind in "iu"
    number = n.value if isinstance(n, Literal) else 0.5
    if isinstance(number, complex) and not number.imag:
        number = number.real
    if not isinstance(number, complex) and float(number).is_integer():
        power = int(number)
        if integers and power < 0:
            raise OperandTypeError(
                "Integers to negative integer powers are not allowed.",
                current().loc,
                "a float base: x.astype(float) ** n",
            )
        if abs(power) <= MAX_INLINE_POWER and not n.runtime:  # type: ignore[union-attr]
            return emit("integer_pow", x, n=power)
    if integers and not isinstance(n, Literal):
        _require_no_negative(n)
    if isinstance(n, Literal) and number == 0.5 and not integers:
        return emit("sqrt", x)
    return emit("pow", x, n)


def _require_no_negative(n: Atom) -> None:
    """What NumPy finds out when it runs, the program does, too."""
    interval = interval_of(n)
    if n.aval.dtype.kind == "u" or (interval and interval[0] >= 0):
        return
    ok = emit("ge", n, Literal(0, n.aval.dtype))
    if n.aval.shape:
        ok = emit("all", ok, axes=tuple(range(n.aval.ndim)))
    text = "Integers to negative integer powers are not allowed."
    control.check(ok, error=control.Failure(ValueError, (text,), current().loc))


def _like(value: Any, x: Atom) -> Literal:
    """A number in the dtype of an Atom."""
    return Literal(x.aval.dtype.type(value).item(), x.aval.dtype)


def _fmax(name: str) -> Callable[[Atom, Atom], Atom]:
    def program(a: Atom, b: Atom) -> Atom:
        """As maximum or minimum, but a number wins over NaN."""
        if not a.aval.inexact:
            return _primitive(name, a, b)
        best = _primitive(name, a, b)
        best = emit("select", _primitive("isnan", b), a, best)
        return emit("select", _primitive("isnan", a), b, best)

    return program


def _heaviside(x: Atom, h: Atom) -> Atom:
    zero = _like(0, x)
    step = emit("select", emit("gt", x, zero), _like(1, x), zero)
    step = emit("select", emit("isnan", x), x, step)
    return emit("select", emit("eq", x, zero), h, step)


def _logaddexp2(a: Atom, b: Atom) -> Atom:
    ln2 = _like(math.log(2), a)
    nats = emit("logaddexp", emit("mul", a, ln2), emit("mul", b, ln2))
    return emit("div", nats, ln2)


def conjugate(x: Atom) -> Atom:
    """`np.conjugate`: a real number is its own."""
    return emit("conj", x) if x.aval.dtype.kind == "c" else x


def _reciprocal(x: Atom) -> Atom:
    if x.aval.inexact:
        return emit("div", _like(1, x), x)
    unit = emit("eq", emit("abs", x), _like(1, x))
    return emit("select", unit, x, _like(0, x))


def _times(factor: float) -> Callable[[Atom], Atom]:
    return lambda x: emit("mul", x, _like(factor, x))


def _signbit(x: Atom) -> Atom:
    if x.aval.inexact:
        x = emit("copysign", _like(1, x), x)
    return emit("lt", x, _like(0, x))


def _divmod(a: Atom, b: Atom) -> tuple[Atom, Atom]:
    return emit("floor_divide", a, b), emit("mod", a, b)


def _modf(x: Atom) -> tuple[Atom, Atom]:
    whole = emit("trunc", x)
    part = emit("sub", x, whole)
    # The fraction of an infinity is 0, and of a negative number not positive.
    part = emit("select", emit("isinf", x), _like(0, x), part)
    return emit("copysign", part, x), whole


#: Ufuncs composed of primitives.
COMPOSED: dict[np.ufunc, Callable[..., Any]] = {
    np.power: _power,
    np.float_power: _power,
    np.positive: lambda x: x,
    np.conjugate: conjugate,
    np.square: lambda x: emit("integer_pow", x, n=2),
    np.fabs: lambda x: emit("abs", x),
    np.reciprocal: _reciprocal,
    np.fmax: _fmax("maximum"),
    np.fmin: _fmax("minimum"),
    np.heaviside: _heaviside,
    np.logaddexp2: _logaddexp2,
    np.deg2rad: _times(math.pi / 180),
    np.radians: _times(math.pi / 180),
    np.rad2deg: _times(180 / math.pi),
    np.degrees: _times(180 / math.pi),
    np.signbit: _signbit,
    np.divmod: _divmod,
    np.modf: _modf,
}


#: Ufuncs of scipy.special, by name, as SciPy is not imported; see `scipy_special`.
SPECIAL: dict[str, Callable[..., Any]] = {}


def known_ufunc(ufunc: np.ufunc) -> bool:
    """Whether there is a program for the ufunc."""
    return ufunc in PRIMITIVES or ufunc in COMPOSED or is_scipys(ufunc)


def apply(ufunc: np.ufunc, *operands: Any, dtype: Any = None) -> Any:
    """`ufunc(*operands)`: an Atom, or a tuple of them where it has several results."""
    if not known_ufunc(ufunc):
        raise unsupported(f"np.{ufunc.__name__}")
    if ufunc in COMPARISONS:
        operands = _comparable(operands)
    dtypes = loop_dtypes(ufunc, *operands)
    if dtype is not None:
        # NumPy picks the loop that makes this dtype: the same for all operands here.
        dtypes = (np.dtype(dtype),) * len(dtypes)
    return _emit_ufunc(ufunc, operands, dtypes)


COMPARISONS = {
    *(np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.equal, np.not_equal),
}


def _comparable(operands: Any) -> Any:
    """Operands where a number of Python's may be out of the other one's range.

    NumPy compares them as they are: no small integer is above 300.
    """
    numbers = [op for op in operands if dtype_spec(op) is int]
    others = [op for op in operands if dtype_spec(op) is not int]
    if len(numbers) != 1 or dtype_spec(others[0]).kind not in "iu":
        return operands
    number, dtype = strong(numbers[0]), dtype_spec(others[0])
    info = np.iinfo(dtype)
    fits = isinstance(number, Literal) and info.min <= number.value <= info.max
    if fits or dtype == np.int64:
        return operands
    wide = np.float64 if dtype == np.uint64 else np.int64
    return [convert(strong(op), wide) for op in operands]


def _emit_ufunc(ufunc: np.ufunc, operands: Any, dtypes: Any) -> Any:
    atoms = [convert(op, dt) for op, dt in zip(operands, dtypes, strict=False)]
    shapes = [a.aval.shape for a in atoms if not isinstance(a, Literal)]
    if shapes:
        common = broadcast_shapes(*shapes)
        atoms = [
            a if isinstance(a, Literal) else broadcast_to(a, common) for a in atoms
        ]
    if ufunc in COMPOSED:
        out = COMPOSED[ufunc](*atoms)
    elif ufunc in PRIMITIVES:
        out = _primitive(PRIMITIVES[ufunc], *atoms)
    else:
        out = _of_scipy(ufunc, dtypes)(*atoms)
    if isinstance(out, tuple):
        return tuple(map(convert, out, dtypes[ufunc.nin :]))
    return convert(out, dtypes[-1])


def _of_scipy(ufunc: np.ufunc, dtypes: Any) -> Callable[..., Any]:
    """The program of a ufunc of `scipy.special` for a loop of these dtypes."""
    if ufunc.__name__ in SPECIAL:
        return SPECIAL[ufunc.__name__]
    own, results = dtypes[: ufunc.nin], dtypes[ufunc.nin :]
    if any(dtype != result_dtype(*own) for dtype in results):
        raise unsupported(f"scipy.special.{ufunc.__name__}")
    return by_name(ufunc)


def unsupported(what: str, cure: str = "") -> UnsupportedError:
    """The error for a function or option that there is no program for."""
    return UnsupportedError(
        f"{what} is not supported on traced arrays",
        current().loc,
        cure or "compose it of supported NumPy functions",
    )


# Elementwise functions that are no ufuncs ---------------------------------------------


@implements(np.where)
def where(pred: Any, *sides: Any) -> Atom:
    """`np.where(pred, a, b)`; the form with one argument has a shape of its own."""
    if len(sides) != 2:
        raise unsupported("np.where with one argument", "np.where(condition, a, b)")
    pred = convert(pred, BOOL)
    dtype = result_type(*sides)
    common = broadcast_shapes(*map(shape_of, (pred, *sides)))
    atoms = [convert(s, dtype) for s in sides]
    if isinstance(pred, Literal):
        return broadcast_to(atoms[0 if pred.value else 1], common)
    atoms = [a if isinstance(a, Literal) else broadcast_to(a, common) for a in atoms]
    return emit("select", broadcast_to(pred, common), *atoms)


@implements(np.clip)
def clip(x: Any, a_min: Any = None, a_max: Any = None, **bounds: Any) -> Any:
    """`np.clip`: the lower bound first, then the upper, which so wins."""
    a_min = bounds.pop("min", a_min)
    a_max = bounds.pop("max", a_max)
    if bounds:
        raise unsupported(f"np.clip({', '.join(bounds)}=…)")
    dtype = result_type(*(op for op in (x, a_min, a_max) if op is not None))
    if a_min is not None:
        x = apply(np.maximum, x, a_min)
    if a_max is not None:
        x = apply(np.minimum, x, a_max)
    return convert(x, dtype)


def real(x: Any) -> Atom:
    """The real part."""
    x = strong(x)
    return emit("real", x) if x.aval.dtype.kind == "c" else x


def imag(x: Any) -> Atom:
    """The imaginary part: zeros where there is none."""
    x = strong(x)
    if x.aval.dtype.kind == "c":
        return emit("imag", x)
    return broadcast_to(convert(0, x.aval.dtype), x.aval.shape)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Atom:
    """`np.angle`."""
    z = strong(z)
    z = z if z.aval.inexact else convert(z, np.float64)
    out = apply(np.arctan2, imag(z), real(z))
    return apply(np.rad2deg, out) if deg else out


@implements(np.iscomplex)
def iscomplex(x: Any) -> Atom:
    """`np.iscomplex`: where there is an imaginary part."""
    return apply(np.not_equal, imag(x), 0)


@implements(np.nan_to_num)
def nan_to_num(
    x: Any, *, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Atom:
    """`np.nan_to_num`."""
    x = strong(x)
    if not x.aval.inexact:
        return x
    limits = np.finfo(x.aval.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    y = where(apply(np.isnan, x), convert(nan, x.aval.dtype), x)
    y = where(apply(np.equal, x, np.inf), convert(high, x.aval.dtype), y)
    return where(apply(np.equal, x, -np.inf), convert(low, x.aval.dtype), y)


@implements(np.sinc)
def sinc(x: Any) -> Atom:
    """`np.sinc`, smooth at 0."""
    angle = apply(np.multiply, x, math.pi)
    safe = where(apply(np.equal, angle, 0), 1.0, angle)
    ratio = apply(np.divide, apply(np.sin, safe), safe)
    # 1 - a²/6 has the value and the first three derivatives of sinc at 0.
    series = apply(np.subtract, 1.0, apply(np.divide, apply(np.square, angle), 6.0))
    return where(apply(np.equal, angle, 0), series, ratio)


@implements(np.round, np.around)
def round_(x: Any, decimals: int = 0) -> Atom:
    """`np.round`: half to even, scaled by a power of ten as NumPy does."""
    x = strong(x)
    if not x.aval.inexact:
        if decimals >= 0:
            return x
        tens = 10.0**-decimals
        whole = apply(np.rint, apply(np.divide, x, tens))
        return convert(apply(np.multiply, whole, tens), x.aval.dtype)
    if decimals == 0:
        return apply(np.rint, x)
    shift = convert(10.0 ** abs(decimals), x.aval.dtype)
    there, back = (np.multiply, np.divide)[:: 1 if decimals > 0 else -1]
    return apply(back, apply(np.rint, apply(there, x, shift)), shift)


@implements(np.isclose)
def isclose(
    a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False
) -> Atom:
    """`np.isclose`."""
    gap = apply(np.absolute, apply(np.subtract, a, b))
    slack = apply(np.add, atol, apply(np.multiply, rtol, apply(np.absolute, b)))
    near = apply(
        np.logical_and, apply(np.less_equal, gap, slack), apply(np.isfinite, b)
    )
    near = apply(np.logical_or, near, apply(np.equal, a, b))
    if equal_nan:
        both = apply(np.logical_and, apply(np.isnan, a), apply(np.isnan, b))
        near = apply(np.logical_or, near, both)
    return near


@implements(np.isreal)
def isreal(x: Any) -> Atom:
    """`np.isreal`: where there is no imaginary part."""
    return apply(np.equal, imag(x), 0)
