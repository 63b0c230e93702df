"""Arrays whose length is traced: `x[:i]` where `i` counts a loop or comes from data.

A Ragged is a view of a box whose shape is known: along some axes it is a Span, which
starts anywhere and has a traced length. It is read and written element by element, by
loops of that length; nothing is unrolled, and nothing beyond the length is touched.

What is computed from it is stored in a new array that is as long as the Ragged can
get. Where it is used up at once, that array is never read and goes away: the formula of
an element is remembered (`Trace.formulas`) and read in place of the stored one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np

from tracejit.base.errors import DataDependentShapeError, ShapeMismatchError
from tracejit.frontend.box import C_ORDER, Box, box_of, call, integer_form
from tracejit.frontend.lens import Part, Reshaped, shifted
from tracejit.frontend.trace import current_trace
from tracejit.ir import affine
from tracejit.ir.aval import Aval
from tracejit.ir.builder import fresh, new_region
from tracejit.ir.program import Atom, Var
from tracejit.ops.control import Failure, check, emit_for
from tracejit.ops.numpy_names import emit
from tracejit.ops.promote import INT, broadcast_to, convert, fit

#: Where the arrays that a loop changes stand, while its body is staged.
Env: TypeAlias = Mapping[Atom, Atom]
Counters: TypeAlias = Sequence[Atom]

#: Formulas that read more than this are stored, so that no use computes them again.
MOST_LEAVES = 12


@dataclass(frozen=True, slots=True)
class Span:
    """An axis of traced length: from `start` by `step`; `bound` is the most there is.

    `start` and `length` are ints or boxes of integers, in range.
    """

    start: Any
    step: int
    length: Any
    bound: int


class _Axis:
    """An axis that is no Span."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return self.name


WHOLE, NEW = _Axis("WHOLE"), _Axis("NEW")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A Ragged that a formula reads, while its root's value is `atom`.

    `counters` says which of the formula's counters run along its spans; it is None
    where they do so from elsewhere.
    """

    ragged: Ragged
    atom: Atom
    counters: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Formula:
    """How to compute the element at some counters: an array of the other axes.

    `leaves` is what it reads. One that is `heavy` is computed once, and stored.
    """

    at: Callable[[Counters, Env], Box]
    leaves: tuple[Leaf, ...] = ()
    heavy: bool = False


class Ragged:
    """See the module's docstring.

    `axes` has an entry for each axis of the view: a Span or WHOLE for each axis of
    `box` in order, and NEW for axes of length 1 between them.
    """

    __slots__ = ("axes", "box")
    __array_priority__ = 1002.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, box: Box, axes: Sequence[Any]):
        self.box, self.axes = box, tuple(axes)

    if TYPE_CHECKING:  # filled in by `ragged_calls`

        def __getitem__(self, key: Any) -> Any: ...
        def __setitem__(self, key: Any, value: Any) -> None: ...

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.box.aval.dtype

    @property
    def ndim(self) -> int:
        return len(self.axes)

    @property
    def shape(self) -> tuple[Any, ...]:
        extents = iter(self.box.aval.shape)
        found = []
        for axis in self.axes:
            extent = 1 if axis is NEW else next(extents)
            found.append(axis.length if isinstance(axis, Span) else extent)
        return tuple(found)

    @property
    def room(self) -> tuple[int, ...]:
        """The shape of an array that surely holds it."""
        pairs = zip(self.axes, self.shape, strict=True)
        return tuple([a.bound if isinstance(a, Span) else n for a, n in pairs])

    @property
    def spans(self) -> list[Span]:
        return [axis for axis in self.axes if isinstance(axis, Span)]

    @property
    def own_axes(self) -> list[Any]:
        """The entries of the axes that the box has."""
        return [axis for axis in self.axes if axis is not NEW]

    def element(self, counters: Counters) -> Box:
        """The part at these counters, one for each span: a view of the other axes."""
        rest = iter(counters)
        starts: list[Any] = []
        sizes: list[int | None] = []
        for axis, extent in zip(self.own_axes, self.box.aval.shape, strict=True):
            if isinstance(axis, Span):
                starts.append(shifted(atom_of(axis.start), next(rest), axis.step))
                sizes.append(None)
            else:
                starts.append(0)
                sizes.append(extent)
        shape = self.box.aval.shape
        steps = (1,) * len(shape)
        view = self.box.through(Part(shape, tuple(starts), tuple(sizes), steps))
        if NEW not in self.axes:
            return view
        extents = iter(view.aval.shape)
        kept = [a for a in self.axes if not isinstance(a, Span)]
        new = tuple([1 if axis is NEW else next(extents) for axis in kept])
        return view.through(Reshaped(view.aval.shape, new))

    def formula(self, stored: bool = False) -> Formula:
        """How its elements are found; `stored`: where they are, not how they came."""
        if self.box.one_of:
            return Ragged(box_of(self.box.read()), self.axes).formula()
        root = self.box.root
        atom = root.read()
        found = current_trace().formulas.get(atom)
        if found and not stored and self.box is root and self._matches(found[0]):
            return self._inner(found[1])

        def at(counters: Counters, env: Env) -> Box:
            element = self.element(counters)
            read = read_from(element, env.get(atom, atom))
            return box_of(read, "array" if element.aval.shape else "scalar")

        return Formula(at, (Leaf(self, atom, tuple(range(len(self.spans)))),))

    def _matches(self, axes: Sequence[Any]) -> bool:
        kinds = [isinstance(axis, Span) for axis in self.axes]
        return NEW not in self.axes and kinds == [isinstance(a, Span) for a in axes]

    def _inner(self, formula: Formula) -> Formula:
        """The formula of the array that this is a part of, at the part's counters."""
        spans = self.spans
        if all(
            isinstance(s.start, int) and s.start == 0 and s.step == 1 for s in spans
        ):
            return formula

        def at(counters: Counters, env: Env) -> Box:
            places = [
                shifted(atom_of(s.start), c, s.step)
                for s, c in zip(spans, counters, strict=True)
            ]
            return formula.at([index_atom(p) for p in places], env)

        moved = [Leaf(leaf.ragged, leaf.atom, None) for leaf in formula.leaves]
        return Formula(at, tuple(moved))

    def refuse(self, what: str) -> NoReturn:
        """`what` is not done on arrays of traced length.

        Loops may be unrolled, or the length be made known: staging begins again.
        """
        for span in self.spans:
            if type(span.length) is Box:
                span.length.concrete()
        raise DataDependentShapeError(
            f"the length of this array depends on traced bounds, and {what} needs to "
            "know it",
            current_trace().builder.loc,
            "slices whose bounds differ by a constant, as in x[i : i + 3], or a mask: "
            "np.where(np.arange(n) < i, x, 0)",
        )

    def __bool__(self) -> NoReturn:
        self.refuse("a decision")

    def __iter__(self) -> NoReturn:
        self.refuse("a loop of Python's")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.refuse("an array of NumPy's")

    def __repr__(self) -> str:
        return f"<traced array of shape {self.shape}>"


# Integers -----------------------------------------------------------------------------


def atom_of(value: Any) -> Any:
    """A bound as a lens takes it: an int or an int64 Atom."""
    return convert(value.read(), INT) if type(value) is Box else value


def index_atom(value: Any) -> Atom:
    """A bound as an int64 Atom."""
    value = atom_of(value)
    return current_trace().literal(value, INT) if isinstance(value, int) else value


def difference(a: Any, b: Any) -> int | None:
    """`a - b` of two bounds, where it is a constant."""
    first, second = _form(a), _form(b)
    if first is None or second is None:
        return None
    return affine.difference(first, second)


def _form(value: Any) -> affine.Form | None:
    if isinstance(value, Var):
        return current_trace().forms.get(value) or affine.of_atom(value)
    return integer_form(value)


def require_same(a: Any, b: Any) -> None:
    """Two lengths must agree; the program checks what staging cannot tell."""
    text = "operands could not be broadcast together: their lengths differ"
    gap = difference(a, b)
    loc = current_trace().builder.loc
    if gap is None:
        equal = emit("eq", index_atom(a), index_atom(b))
        check(equal, error=Failure(ShapeMismatchError, (text,), loc))
    elif gap:
        raise ShapeMismatchError(f"{text} by {abs(gap)}", loc)


# Loops --------------------------------------------------------------------------------


def nest(
    spans: Sequence[Span],
    inits: Sequence[Atom],
    body: Callable[[Counters, Sequence[Atom]], Sequence[Atom]],
) -> list[Any]:
    """Loops over all spans, one in the other; `body` hands on what is carried."""
    builder = current_trace().builder

    def level(counters: list[Atom], carried: Sequence[Atom]) -> Sequence[Atom]:
        if len(counters) == len(spans):
            return body(counters, carried)
        span = spans[len(counters)]
        counter = counter_of(span)
        params = [fresh(atom.aval) for atom in carried]
        with builder.open() as eqns:
            outs = level([*counters, counter], params)
            region = new_region([counter, *params], eqns, outs)
        zero = current_trace().literal(0, INT)
        one = current_trace().literal(1, INT)
        return emit_for(zero, index_atom(span.length), one, carried, region, False)

    return list(level([], inits))


def counter_of(span: Span) -> Var:
    counter = fresh(Aval(INT))
    counter.interval = 0, max(int(span.bound) - 1, 0)
    return counter


def type_of(formula: Formula, spans: Sequence[Span]) -> Aval:
    """The type of a formula's elements; what finding it out emits is dropped."""
    with current_trace().builder.open():
        return formula.at([counter_of(span) for span in spans], {}).read().aval


def zeros(aval: Aval) -> Atom:
    """An array of zeros to begin with."""
    literal = current_trace().literal(np.zeros((), aval.dtype).item(), aval.dtype)
    return broadcast_to(literal, aval.shape)


def stored(formula: Formula, axes: Sequence[Any]) -> Ragged:
    """A new array of what the formula gives; `axes` are those of the result.

    Its formula is remembered unless it is heavy.
    """
    spans = [axis for axis in axes if isinstance(axis, Span)]
    element = type_of(formula, spans)
    extents = iter(element.shape)
    shape = [a.bound if isinstance(a, Span) else next(extents) for a in axes]
    own = from_zero(axes)
    aval = Aval(element.dtype, tuple(shape))

    def body(counters: Counters, carried: Sequence[Atom]) -> list[Atom]:
        part = Ragged(box_of(carried[0], layout=C_ORDER), own).element(counters)
        part.write(formula.at(counters, {}).read())
        return [part.root.read()]

    (out,) = nest(spans, [zeros(aval)], body)
    if not formula.heavy and len(formula.leaves) <= MOST_LEAVES:
        current_trace().formulas[out] = own, formula
    return Ragged(box_of(out, layout=C_ORDER), own)


def from_zero(axes: Sequence[Any]) -> list[Any]:
    """The axes of a new array for what lies along these."""
    return [
        Span(0, 1, axis.length, axis.bound) if isinstance(axis, Span) else WHOLE
        for axis in axes
    ]


# Writing ------------------------------------------------------------------------------


def write(target: Ragged, formula: Formula) -> None:
    """Store a formula over the target's spans into the target."""
    if target.box.one_of:
        _write_to_one(target, formula)
        return
    root = target.box.root
    before = root.read()
    hazards = [leaf for leaf in formula.leaves if leaf.atom is before]
    if not all(_is_same(leaf, target) or _is_apart(leaf, target) for leaf in hazards):
        rest = type_of(formula, target.spans).ndim
        kept = stored(formula, [*target.spans, *[WHOLE] * rest])
        formula = kept.formula(stored=True)
    dtype = target.dtype

    def body(counters: Counters, carried: Sequence[Atom]) -> list[Atom]:
        atom = convert(formula.at(counters, {before: carried[0]}).read(), dtype)
        element = target.element(counters)
        atom = fit(atom, element.aval.shape)
        return [put_into(element, carried[0], atom)]

    (after,) = nest(target.spans, [before], body)
    root.write(after)


def _write_to_one(target: Ragged, formula: Formula) -> None:
    """Store into the one of several arrays that the target is when it runs."""

    def chosen(k: int, own: Formula) -> Formula:
        def at(counters: Counters, env: Env) -> Box:
            flag = box_of(target.box.value.flag(k), "scalar")
            return call(
                np.where, flag, formula.at(counters, env), own.at(counters, env)
            )

        return Formula(at, (*formula.leaves, *own.leaves))

    for k, one in enumerate(target.box.one_of):
        part = Ragged(one, target.axes)
        write(part, chosen(k, part.formula(stored=True)))


def read_from(view: Box, root: Atom) -> Atom:
    """What a view shows of another value of its root."""
    if view.base is None:
        return root
    return view.lens.get(read_from(view.base, root))  # type: ignore[union-attr]


def put_into(view: Box, root: Atom, atom: Atom) -> Atom:
    """Another value of a view's root, with the view replaced."""
    if view.base is None:
        return atom
    base = read_from(view.base, root)
    put = view.lens.put(base, atom)  # type: ignore[union-attr]
    return put_into(view.base, root, put)


def _is_same(leaf: Leaf, target: Ragged) -> bool:
    """Whether every element is read just where it is written to."""
    mine, spans = leaf.ragged, target.spans
    if leaf.counters != tuple(range(len(spans))) or len(mine.spans) != len(spans):
        return False
    if not same_place(mine.box, target.box):
        return False
    if [a is WHOLE for a in mine.own_axes] != [a is WHOLE for a in target.own_axes]:
        return False
    pairs = zip(mine.spans, spans, strict=True)
    return all(s.step == t.step and difference(s.start, t.start) == 0 for s, t in pairs)


def same_place(a: Box, b: Box) -> bool:
    while a is not b:
        if a.base is None or b.base is None or a.lens != b.lens:
            return False
        a, b = a.base, b.base
    return True


def _is_apart(leaf: Leaf, target: Ragged) -> bool:
    """Whether no element is read that is written to."""
    mine, other = _ranges(leaf.ragged), _ranges(target)
    if mine is None or other is None:
        return False
    return any(
        _ends_before(a, b) or _ends_before(b, a)
        for a, b in zip(mine, other, strict=True)
    )


def _ends_before(a: tuple[Any, Any], b: tuple[Any, Any]) -> bool:
    if a[1] is None or b[0] is None:
        return False
    gap = affine.difference(b[0], a[1])
    return gap is not None and gap >= 0


def _ranges(ragged: Ragged) -> list[tuple[Any, Any]] | None:
    """For each axis of the root the first index and the one past the last, as forms."""
    box = ragged.box
    shape = box.aval.shape
    if box.base is None:
        part = Part(shape, (0,) * len(shape), tuple(shape), (1,) * len(shape))
    elif box.base.base is None and isinstance(box.lens, Part):
        part = box.lens
    else:
        return None
    axes = iter(ragged.own_axes)
    found: list[tuple[Any, Any]] = []
    for start, size, step in zip(part.starts, part.sizes, part.steps, strict=True):
        first = _form(start)
        axis = None if size is None else next(axes)
        if first is None or step != 1:
            found.append((None, None))
        elif isinstance(axis, Span):
            found.append(_range_of(first, axis))
        else:
            found.append((first, affine.add(first, affine.Form(size or 1, {}))))
    return found


def _range_of(first: affine.Form, span: Span) -> tuple[Any, Any]:
    start, length = _form(span.start), _form(span.length)
    if start is None or span.step < 1:
        return None, None
    first = affine.add(first, start)
    if length is None or span.step != 1:
        return first, None
    return first, affine.add(first, length)
