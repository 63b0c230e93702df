"""The kinds of primitive. The kind fixes what must be said; the rest follows.

    kind         declared by                                      gets for free
    elementwise  ufunc, partials, scalar code, sample domain      shape, JVP, VJP
    linear       function, shape rule, a transpose per operand    JVP (itself), VJP
    multilinear  function, shape rule, a transpose per operand    JVP, VJP
    nonlinear    function, shape rule, tangent                    VJP
    constant     function, shape rule                             zero derivative
    structured   its own evaluation, shape, jvp, linearize, transpose
    unknown      nothing: it marks what has no formula

(`nonlinear` is what an array function needs that is none of the others, such as a
maximum over axes: the tangent spelled out, in equations linear in the tangents.)

Rules are written in the ops' own vocabulary and emit equations into the current
builder: `sin = elementwise("sin", np.sin, lambda y, x: cos(x), emit="sin({0})")`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tracejit.base.errors import InternalError
from tracejit.ir.aval import Aval
from tracejit.ir.builder import as_atom, bind
from tracejit.ir.program import Atom, Literal, Region, Var

REGISTRY: dict[str, Primitive] = {}

#: A test sample: operands (arrays) and static params.
Sample = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(eq=False)
class Primitive:
    """What every kind has: a name, a NumPy implementation, types and samples.

    `impl(*arrays, **params)` is the interpreter's meaning of the primitive.
    `samples(rng)` yields operands and params for the registry's tests.
    `cost` is in flops per element of output: what recomputing it costs.
    `effect` marks one that must stay though nothing reads it (a check).
    `updates` marks one that returns its first operand changed: its `impl` takes
    `inplace=`, whether it may overwrite that operand.
    `complex` marks one whose rules hold for complex operands, too.
    """

    name: str
    impl: Callable[..., Any] = field(repr=False)
    samples: Callable[[np.random.Generator], Sequence[Sample]] | None = field(
        default=None, repr=False, kw_only=True
    )
    cost: float = field(default=1.0, kw_only=True)
    effect: bool = field(default=False, kw_only=True)
    updates: bool = field(default=False, kw_only=True)
    single: bool = field(default=True, kw_only=True)
    complex: bool = field(default=False, kw_only=True)
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.name in REGISTRY:
            raise InternalError(f"primitive {self.name!r} is declared twice")
        REGISTRY[self.name] = self

    def __call__(self, *args: Any, **params: Any) -> Any:
        return bind(self, *args, **params)

    def coerce(self, args: Sequence[Any]) -> list[Atom]:
        """Operands as Atoms."""
        return [as_atom(a) for a in args]

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        raise NotImplementedError

    def linear_operands(self, inputs: list[Atom], params: dict[str, Any]) -> list[int]:
        """Positions whose tangents reach the output."""
        return []

    def jvp(
        self,
        inputs: list[Atom],
        tangents: list[Atom | None],
        outputs: list[Var],
        params: dict[str, Any],
    ) -> list[Atom | None]:
        """Tangents of the outputs; None is a zero. `inputs` are primal Atoms."""
        return [None] * len(outputs)


@dataclass(eq=False)
class Elementwise(Primitive):
    """One scalar function at every element. Operands have the output's shape.

    Literals stand for constant arrays of any shape. `partials` has one function
    `(y, *x) -> ∂y/∂x_k` per operand, or None where the derivative is zero; a Python
    number returned is a constant partial (see `scale` for what else it may be).
    `emit` is the scalar code (see `code`). `result` is "same" (the operands' dtype),
    "bool", or a function of the operands' dtypes. `dtypes` are the NumPy kinds that
    it accepts, for all operands or for each. From these, `domain` (bounds for each
    operand) and `sample_params` come its samples.

    One that is linear but not by a factor (`real`) has `transposes` instead of
    partials: `transposes[k](ct, *inputs, **params)` is the cotangent of operand k.
    """

    partials: tuple[Callable[..., Any] | None, ...] = ()
    emit: str = field(default="", kw_only=True)
    emit_complex: str = field(default="", kw_only=True)
    result: Any = field(default="same", kw_only=True)
    domain: Sequence[tuple[float, float]] = field(default=(), kw_only=True)
    dtypes: str | tuple[str, ...] = field(default="f", kw_only=True)
    arity: int = field(default=0, kw_only=True)
    sample_params: Sequence[dict[str, Any]] = field(default=({},), kw_only=True)
    transposes: Sequence[Callable[..., Any]] = field(default=(), kw_only=True)
    kind: ClassVar[str] = "elementwise"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.complex |= any("c" in kinds for kinds in self.dtypes)
        if self.samples is None:
            self.samples = self._samples

    def _samples(self, rng: np.random.Generator) -> list[Sample]:
        domain = self.domain or ((-2, 2),) * self.arity
        kinds = self.dtypes
        if isinstance(kinds, str):
            kinds = (kinds,) * self.arity
        drawn: list[Sample] = []
        for kind in max(kinds, key=len):
            # An operand that cannot be of this kind is of its own.
            mine = [kind if kind in own else own[0] for own in kinds]
            for params in self.sample_params:
                for shape in ((3,), (), (2, 3), (0,)):
                    operands = [
                        _draw(rng, k, bounds, shape)
                        for k, bounds in zip(mine, domain, strict=True)
                    ]
                    drawn.append((tuple(operands), params))
        return drawn

    def code(
        self,
        operands: Sequence[str],
        dtype: np.dtype[Any],
        params: dict[str, Any],
        of_complex: bool = False,
    ) -> str:
        """The scalar code on operands that are names or in parentheses.

        In `emit`, {0} {1} … are the operands, {dtype} is the name of the output's
        dtype, {bits} its width, and the rest are the static params. Where the output
        is complex, or `of_complex` an operand, `emit_complex` stands for it; or NumPy's
        function of the same name for one of `math` that gives complex numbers.
        """
        known = {"dtype": dtype.name, "bits": 8 * dtype.itemsize}
        if (of_complex or dtype.kind == "c") and self.emit_complex:
            return self.emit_complex.format(*operands, **params | known)
        if dtype.kind == "c" and self.emit.startswith("math."):
            return f"np.{self.name}({', '.join(operands)})"
        return self.emit.format(*operands, **params | known)

    def __call__(self, *args: Any, **params: Any) -> Any:
        inputs = self.coerce(args)
        literals = [a for a in inputs if isinstance(a, Literal)]
        if len(literals) == len(inputs) and inputs:
            # A function of numbers is a number: there is no shape to compute it in.
            (aval,) = self.out_avals(inputs, params, [])
            with np.errstate(all="ignore"):
                value = aval.dtype.type(
                    self.impl(*(a.scalar for a in literals), **params)
                )
            return Literal(value.item(), aval.dtype, any(a.runtime for a in literals))
        return bind(self, *inputs, **params)

    def coerce(self, args: Sequence[Any]) -> list[Atom]:
        dtype = next(
            (a.aval.dtype for a in reversed(args) if isinstance(a, Var | Literal)), None
        )
        return [as_atom(a, dtype) for a in args]

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        shapes = [a.aval.shape for a in inputs if isinstance(a, Var)]
        shape = shapes[0] if shapes else ()
        dtypes = [a.aval.dtype for a in inputs]
        if any(s != shape for s in shapes):
            raise InternalError(f"{self.name}: operands of shapes {shapes}")
        if callable(self.result):
            return [Aval(np.dtype(self.result(*dtypes, **params)), shape)]
        if any(d != dtypes[0] for d in dtypes):
            raise InternalError(f"{self.name}: operands of dtypes {dtypes}")
        dtype = np.dtype(bool) if self.result == "bool" else dtypes[0]
        return [Aval(dtype, shape)]

    def linear_operands(self, inputs: list[Atom], params: dict[str, Any]) -> list[int]:
        if self.transposes:
            return list(range(self.arity))
        return [k for k, p in enumerate(self.partials) if p is not None]

    def jvp(
        self,
        inputs: list[Atom],
        tangents: list[Atom | None],
        outputs: list[Var],
        params: dict[str, Any],
    ) -> list[Atom | None]:
        (y,) = outputs
        total: Any = None
        if not y.aval.inexact:
            return [None]
        if self.transposes:
            pairs = zip(inputs, tangents, strict=True)
            dots = [Literal(0, x.aval.dtype) if t is None else t for x, t in pairs]
            return [bind(self, *dots, **params)]
        for partial, tangent in zip(self.partials, tangents, strict=True):
            if partial is None or tangent is None:
                continue
            slope = partial(y, *inputs, **params)
            if not callable(slope):
                tangent = cast_to(tangent, y.aval.dtype)
            term = scale(slope, tangent)
            total = term if total is None else total + term
        return [total]

    def transpose_rule(self, k: int) -> Callable[..., Any]:
        """Cotangent of operand `k` of an equation that is linear in it.

        The partial of a linear operand reads neither that operand nor the output.
        """
        if self.transposes:
            return self.transposes[k]
        partial = self.partials[k]
        assert partial is not None

        def rule(ct: Any, *inputs: Any, **params: Any) -> Any:
            term = scale(partial(None, *inputs, **params), ct)
            return cast_to(term, inputs[k].aval.dtype)

        return rule


def _draw(
    rng: np.random.Generator, kind: str, bounds: tuple[float, float], shape: Any
) -> Any:
    """A random array of a NumPy kind within bounds."""
    lo, hi = bounds
    if kind == "b":
        return rng.random(shape) < 0.5
    if kind in "iu":
        lo = max(lo, 0) if kind == "u" else lo
        drawn = rng.integers(math.ceil(lo), math.floor(hi), shape, endpoint=True)
        return np.asarray(drawn, f"{kind}8")
    real = np.asarray(rng.uniform(lo, hi, shape))
    if kind != "c":
        return real
    return np.asarray(real + 1j * np.asarray(rng.uniform(lo, hi, shape)))


@dataclass(frozen=True)
class Mask:
    """A partial that is 1 where `pred` equals `where` and 0 elsewhere.

    Unlike a product with 0, it lets no NaN or infinity through.
    """

    pred: Any
    where: bool = True


@dataclass(frozen=True)
class Unknown:
    """A partial that there is no formula for: a Program that needs it is an error."""

    what: str

    def __call__(self, y: Any, *operands: Any, **params: Any) -> Any:
        return bind(REGISTRY["unknown"], y, what=self.what)


def scale(partial: Any, tangent: Any) -> Any:
    """`partial * tangent`; the constants 1 and -1, and masks, need no product.

    A partial may also be a linear function of the tangent: it is applied.
    """
    if callable(partial):
        return partial(tangent)
    if isinstance(partial, Mask):
        zero = Literal(0, tangent.aval.dtype)
        sides = (tangent, zero) if partial.where else (zero, tangent)
        return REGISTRY["select"](partial.pred, *sides)
    if isinstance(partial, int | float):
        if partial == 1:
            return tangent
        if partial == -1:
            return -tangent
        partial = Literal(partial, tangent.aval.dtype)
    return REGISTRY["mul"](tangent, partial)


def cast_to(atom: Any, dtype: np.dtype[Any]) -> Any:
    """The atom itself where it has the dtype already; of a complex, the real part."""
    if atom.aval.dtype == dtype:
        return atom
    if atom.aval.dtype.kind == "c" and dtype.kind != "c":
        if dtype.kind == "b":
            return REGISTRY["ne"](atom, 0)
        return cast_to(REGISTRY["real"](atom), dtype)
    return REGISTRY["cast"](atom, dtype=dtype)


@dataclass(eq=False)
class Linear(Primitive):
    """Linear jointly in the operands that `transposes` names by position.

    `transposes[k](ct, *inputs, **params)` is the cotangent of operand k; the other
    operands (indices, predicates) are primal values it may read, while of linear
    operands it may read the aval only. `accumulate[k](acc, ct, *inputs, **params)`
    adds that cotangent into an existing one in place of a fresh array; `acc` is
    never None.
    """

    shape: Callable[..., Aval] = field(repr=False)
    transposes: dict[int, Callable[..., Any]] = field(default_factory=dict, repr=False)
    accumulate: dict[int, Callable[..., Any]] = field(
        default_factory=dict, repr=False, kw_only=True
    )
    kind: ClassVar[str] = "linear"

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return [self.shape(*(a.aval for a in inputs), **params)]

    def linear_operands(self, inputs: list[Atom], params: dict[str, Any]) -> list[int]:
        # The key -1 means "every operand" (concatenate); its rule is told which.
        if -1 in self.transposes:
            return list(range(len(inputs)))
        return list(self.transposes)

    def transpose_rule(self, k: int) -> Callable[..., Any]:
        if -1 in self.transposes:
            rule = self.transposes[-1]
            return lambda ct, *inputs, **params: rule(ct, k, *inputs, **params)
        return self.transposes[k]

    def jvp(
        self,
        inputs: list[Atom],
        tangents: list[Atom | None],
        outputs: list[Var],
        params: dict[str, Any],
    ) -> list[Atom | None]:
        (y,) = outputs
        linear = self.linear_operands(inputs, params)
        if not y.aval.inexact or all(tangents[k] is None for k in linear):
            return [None]
        args = list(inputs)
        for k in linear:
            tangent = tangents[k]
            args[k] = zeros(inputs[k].aval) if tangent is None else tangent
        return [bind(self, *args, **params)]


@dataclass(eq=False)
class Multilinear(Primitive):
    """Linear in each operand alone: `transposes[k](ct, *inputs, **params)`.

    In rule k every operand but k may be read.
    """

    shape: Callable[..., Aval] = field(repr=False)
    transposes: tuple[Callable[..., Any], ...] = field(default=(), repr=False)
    kind: ClassVar[str] = "multilinear"

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return [self.shape(*(a.aval for a in inputs), **params)]

    def linear_operands(self, inputs: list[Atom], params: dict[str, Any]) -> list[int]:
        return list(range(len(self.transposes)))

    def transpose_rule(self, k: int) -> Callable[..., Any]:
        return self.transposes[k]

    def jvp(
        self,
        inputs: list[Atom],
        tangents: list[Atom | None],
        outputs: list[Var],
        params: dict[str, Any],
    ) -> list[Atom | None]:
        total: Any = None
        for k, tangent in enumerate(tangents):
            if tangent is None:
                continue
            args = [*inputs[:k], tangent, *inputs[k + 1 :]]
            term = bind(self, *args, **params)
            total = term if total is None else total + term
        return [total]


@dataclass(eq=False)
class Nonlinear(Linear):
    """`tangent(y, inputs, tangents, **params)` spells its tangent out.

    `active` are the positions whose tangents it reads; they may be None. What it is
    linear in besides has `transposes`. Where there are several outputs (`single` is
    False), the shape rule, `impl` and `tangent` return a tuple, and `y` is a list.
    `program(*inputs, **params)` emits the value in other primitives: such a one has a
    derivative of its own, but no code of its own.
    """

    shape: Callable[..., Any] = field(repr=False)
    tangent: Callable[..., Any] = field(repr=False, kw_only=True)
    active: tuple[int, ...] = field(default=(0,), kw_only=True)
    program: Callable[..., Any] | None = field(default=None, repr=False, kw_only=True)
    kind: ClassVar[str] = "nonlinear"

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        out: Any = self.shape(*(a.aval for a in inputs), **params)
        return [out] if self.single else list(out)

    def linear_operands(self, inputs: list[Atom], params: dict[str, Any]) -> list[int]:
        return list(self.active)

    def jvp(
        self,
        inputs: list[Atom],
        tangents: list[Atom | None],
        outputs: list[Var],
        params: dict[str, Any],
    ) -> list[Atom | None]:
        inexact = any(y.aval.inexact for y in outputs)
        if not inexact or all(tangents[k] is None for k in self.active):
            return [None] * len(outputs)
        if self.single:
            return [self.tangent(outputs[0], inputs, tangents, **params)]
        return list(self.tangent(outputs, inputs, tangents, **params))


@dataclass(eq=False)
class Constant(Primitive):
    """A function whose derivative is zero everywhere that it has one."""

    shape: Callable[..., Aval] = field(repr=False)
    kind: ClassVar[str] = "constant"

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return [self.shape(*(a.aval for a in inputs), **params)]


@dataclass(eq=False)
class Structured(Primitive):
    """Holds regions; subclasses in `ops.control` state all of its meanings."""

    complex: bool = field(default=True, kw_only=True)
    kind: ClassVar[str] = "structured"


@dataclass(eq=False)
class UnknownSlope(Primitive):
    """A number that nobody can compute; see `ir.check.refuse_unknown`.

    Where it is not needed (a derivative that only a comparison would read), it goes
    with what is dead.
    """

    complex: bool = field(default=True, kw_only=True)
    kind: ClassVar[str] = "unknown"

    def out_avals(
        self, inputs: list[Atom], params: dict[str, Any], regions: list[Region]
    ) -> list[Aval]:
        return [inputs[0].aval]

    def linear_operands(self, inputs: list[Atom], params: dict[str, Any]) -> list[int]:
        return [0]

    def jvp(
        self,
        inputs: list[Atom],
        tangents: list[Atom | None],
        outputs: list[Var],
        params: dict[str, Any],
    ) -> list[Atom | None]:
        return [scale(bind(self, inputs[0], **params), tangents[0])]


def _no_number(y: Any, what: str) -> Any:
    raise InternalError(f"{what} is not known, and has not been refused")


unknown_slope = UnknownSlope("unknown", _no_number)


def elementwise(name: str, ufunc: Any, *partials: Any, **options: Any) -> Elementwise:
    """Declare an elementwise primitive; see `Elementwise`."""
    options.setdefault("arity", len(partials))
    return Elementwise(name, ufunc, partials, **options)


def zeros(aval: Aval) -> Atom:
    """An array of zeros; a Literal where the shape is ()."""
    zero = Literal(aval.dtype.type(0).item(), aval.dtype)
    return (
        zero
        if not aval.shape
        else REGISTRY["broadcast"](zero, shape=aval.shape, axes=())
    )
