"""The IR: array-level SSA with value semantics and structured regions.

    Program ::= name, Region                 a Region without free variables
    Region  ::= params, Eqn*, results        a scope; it may read outer variables
    Eqn     ::= outputs = Primitive(inputs; static params; Regions) @ SrcLoc
    Atom    ::= Var | Literal
    Aval    ::= dtype and shape

Every Var is bound once: as a parameter or as an output. A reversed loop is the one
exception: it shares the Var of its index with the primal loop that it reverses.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from tracejit.base.source import UNKNOWN, SrcLoc
from tracejit.ir.aval import Aval

if TYPE_CHECKING:
    from tracejit.ir.primitive import Primitive

_counter = itertools.count()


class Arithmetic:
    """Operators on Atoms emit equations; `ops.elementwise` fills in `operators`.

    They are strict (no promotion, no broadcasting of arrays): for rules, not users.
    """

    __slots__ = ()
    operators: ClassVar[dict[str, Any]] = {}

    def __add__(self, other: Any) -> Any:
        return self.operators["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return self.operators["add"](other, self)

    def __sub__(self, other: Any) -> Any:
        return self.operators["sub"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.operators["sub"](other, self)

    def __mul__(self, other: Any) -> Any:
        return self.operators["mul"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.operators["mul"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.operators["div"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.operators["div"](other, self)

    def __neg__(self) -> Any:
        return self.operators["neg"](self)


class Var(Arithmetic):
    """A value with a type; `hint` is the user's name for it, if it had one.

    `interval` bounds an integer scalar when staging could prove bounds for it.
    """

    __slots__ = ("aval", "hint", "id", "interval")

    def __init__(self, aval: Aval, hint: str = ""):
        self.aval, self.hint = aval, hint
        self.id = next(_counter)
        self.interval: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"{self.hint or 'v'}_{self.id}:{self.aval}"


class Literal(Arithmetic):
    """A scalar number known while staging.

    `runtime` marks one that was computed (an extent, a captured number, `1 / n`)
    rather than written down: emitted source takes it as an argument.
    """

    __slots__ = ("aval", "runtime", "value")

    def __init__(self, value: Any, dtype: Any, runtime: bool = False):
        self.aval = Aval(np.dtype(dtype))
        self.value = value
        self.runtime = runtime

    def key(self) -> tuple[Any, ...]:
        """Equal keys mean equal values: NaN equals NaN, 0.0 differs from -0.0."""
        real = self.aval.dtype.kind == "f"  # 1 is 1.0
        value = float(self.value) if real else self.value
        return ("lit", self.aval.dtype.str, repr(value), self.runtime)

    @property
    def scalar(self) -> Any:
        """The value as a NumPy scalar of the literal's dtype."""
        return self.aval.dtype.type(self.value)

    def __repr__(self) -> str:
        return f"{self.value!r}"


Atom: TypeAlias = Var | Literal


@dataclass(slots=True, eq=False)
class Region:
    """A block of equations with parameters; free variables are its captures."""

    params: list[Var]
    eqns: list[Eqn]
    results: list[Atom]

    def free_vars(self) -> list[Var]:
        """Outer variables read here, nested regions included, in order of use."""
        bound: set[Var] = set(self.params)
        free: dict[Var, None] = {}

        def use(atom: Atom) -> None:
            if isinstance(atom, Var) and atom not in bound:
                free[atom] = None

        for eqn in self.eqns:
            for atom in eqn.inputs:
                use(atom)
            for region in eqn.regions:
                for var in region.free_vars():
                    use(var)
            bound.update(eqn.outputs)
        for atom in self.results:
            use(atom)
        return list(free)


@dataclass(slots=True, eq=False)
class Eqn:
    """One application of a primitive. `origin` is the primal eqn it derives from."""

    prim: Primitive
    inputs: list[Atom]
    outputs: list[Var]
    params: dict[str, Any] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)
    loc: SrcLoc = UNKNOWN
    origin: Eqn | None = None

    @property
    def out(self) -> Var:
        """The only output."""
        (var,) = self.outputs
        return var

    def uses(self) -> Iterator[Var]:
        """Every Var read: inputs, then what the regions capture."""
        for atom in self.inputs:
            if isinstance(atom, Var):
                yield atom
        for region in self.regions:
            yield from region.free_vars()

    def avals(self) -> list[Aval]:
        return [atom.aval for atom in self.inputs]


@dataclass(frozen=True, slots=True)
class Note:
    """What there is to say of a value, or without a name, of a line: see `show`."""

    name: str
    how: str
    loc: SrcLoc


@dataclass(slots=True, eq=False)
class Program:
    """A closed region with a name. `stage` is where in the pipeline it stands.

    `writes` are positions of inputs that belong to the caller and are written to: the
    last results, one for each, are what these inputs hold in the end.
    """

    name: str
    region: Region
    stage: str = "staged"
    checks: list[Any] = field(default_factory=list)
    writes: tuple[int, ...] = ()
    #: Of an adjoint: tells what was decided for each value that it reads; see `show`.
    residuals: Callable[[], tuple[Note, ...]] = tuple
    #: `ir.text` sets it: printing is a room that stands on this one.
    printer: ClassVar[Callable[[Program], str]] = repr

    @property
    def inputs(self) -> list[Var]:
        return self.region.params

    @property
    def eqns(self) -> list[Eqn]:
        return self.region.eqns

    @property
    def results(self) -> list[Atom]:
        return self.region.results

    def __str__(self) -> str:
        return Program.printer(self)

    def walk(self) -> Iterator[Eqn]:
        """Every equation, nested ones after the one that holds them."""
        return walk(self.region)


def replace_region(program: Program, region: Region) -> Program:
    """The same Program, its region apart."""
    return replace(program, region=region)


def walk(region: Region) -> Iterator[Eqn]:
    """Every equation of a region, nested ones after the one that holds them."""
    for eqn in region.eqns:
        yield eqn
        for inner in eqn.regions:
            yield from walk(inner)


def substitute(atoms: Iterable[Atom], env: dict[Var, Atom]) -> list[Atom]:
    """Atoms with the variables of `env` replaced; others stay."""
    return [env.get(a, a) if isinstance(a, Var) else a for a in atoms]


def reading(eqn: Eqn, env: dict[Var, Atom]) -> Eqn:
    """The same equation, which reads other atoms, in its regions too."""
    regions = [
        Region(r.params, [reading(e, env) for e in r.eqns], substitute(r.results, env))
        for r in eqn.regions
    ]
    return replace(eqn, inputs=substitute(eqn.inputs, env), regions=regions)


def clone_region(region: Region, env: dict[Var, Atom]) -> Region:
    """A copy with fresh binders; `env` maps outer variables and grows by the inner."""
    params = [_fresh(p, env) for p in region.params]
    eqns = [clone_eqn(eqn, env) for eqn in region.eqns]
    return Region(params, eqns, substitute(region.results, env))


def clone_eqn(eqn: Eqn, env: dict[Var, Atom]) -> Eqn:
    """A copy with fresh outputs, which are added to `env`."""
    inputs = substitute(eqn.inputs, env)
    regions = [clone_region(r, env) for r in eqn.regions]
    outputs = [_fresh(v, env) for v in eqn.outputs]
    return Eqn(
        eqn.prim, inputs, outputs, dict(eqn.params), regions, eqn.loc, eqn.origin
    )


def _fresh(var: Var, env: dict[Var, Atom]) -> Var:
    new = Var(var.aval, var.hint)
    new.interval = var.interval
    env[var] = new
    return new
