"""Lists that grow in loops and branches, kept in arrays.

    ys = []                         a, n = zeros((T, 3)), 0
    for t in range(T):              for t in range(T):
        ys.append(y)                    a = a.at[n].set(y); n = n + 1
    np.array(ys)                    a[:n]

The list stays the object that it is; what it contains is one `Grown`, which has an
array for each leaf of the elements. An element that is read is a view of these, as the
array that was appended is no more: should one of the two be written to, the other one
goes stale, and where that is read staging begins again and leaves the list alone
(`Session.unsure`). See `growth` for how a list comes to be kept so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tracejit.base.errors import IndexRangeError, OutOfRoomError, StagingError
from tracejit.base.pytree import LEAF, TreeDef, flatten, one_level, unflatten
from tracejit.frontend.aliases import settled_layout, share
from tracejit.frontend.box import (
    C_ORDER,
    HANDLERS,
    UNKNOWN,
    Box,
    as_box,
    box_of,
    call,
    copied,
    is_static,
    plain,
)
from tracejit.frontend.carry import Carried, Same, joined, leaf_type
from tracejit.frontend.lens import Part
from tracejit.frontend.places import AttributePlace, Contents
from tracejit.frontend.ragged import WHOLE, Ragged, Span, difference, index_atom
from tracejit.frontend.session import session
from tracejit.frontend.trees import containers, leaves_as
from tracejit.ops.control import Failure, check
from tracejit.ops.promote import convert, interval_of

#: Lists of no more elements are better left alone: each may stay in a register.
FEW = 8

#: What nothing is known to be less than.
FAR = 2**31


class Form:
    """What all elements of a list have in common: their structure and leaves.

    `contiguous`: arrays among them are in C order. `grown_in`: the loops and branches,
    by place in the source, in which the list grows. As the source of a Stale, a Form
    says that the list is better left alone there.
    """

    def __init__(
        self,
        tree: TreeDef,
        leaves: Sequence[Carried | Same],
        contiguous: bool = True,
        grown_in: Iterable[Any] = (),
    ):
        self.tree, self.leaves, self.contiguous = tree, tuple(leaves), contiguous
        self.grown_in = set(grown_in)

    def __str__(self) -> str:
        return f"{self.tree} of {', '.join(map(_described, self.leaves))}"

    @property
    def key(self) -> Any:
        """All there is to it; a Form for each key is kept in the Session."""
        return self.tree, self.leaves, self.contiguous, frozenset(self.grown_in)

    def alike(self, other: Form) -> bool:
        """Whether lists of the one form and of the other are kept alike."""
        mine, theirs = ((f.tree, f.leaves, f.contiguous) for f in (self, other))
        return mine == theirs

    def joined(self, other: Form | None) -> Form | None:
        """The form of all that have the one or the other; None: there is none."""
        if other is None or self.tree != other.tree:
            return None
        leaves = [_join(a, b) for a, b in zip(self.leaves, other.leaves, strict=True)]
        if None in leaves:
            return None
        contiguous = self.contiguous and other.contiguous
        return Form(
            self.tree,
            [leaf for leaf in leaves if leaf is not None],
            contiguous,
            self.grown_in | other.grown_in,
        )


def form_of(value: Any) -> Form | None:
    """The form of a list of which this is an element; None: it has none."""
    leaves, tree = flatten(value)
    found: list[Carried | Same] = []
    for leaf, is_length in zip(leaves, _are_lengths(tree), strict=True):
        kind = None if is_length and isinstance(leaf, int) else leaf_type(leaf)
        if kind is None and not isinstance(leaf, _PLAIN):
            return None
        found.append(Same(leaf) if kind is None else kind)
    arrays = [as_box(x) for x, f in zip(leaves, found, strict=True) if _is_array(f)]
    return Form(tree, found, all(settled_layout(a) == C_ORDER for a in arrays))


def _are_lengths(tree: TreeDef) -> list[bool]:
    """Which leaves are the lengths of lists that are kept in arrays, within a list."""
    if tree.kind is Grown:
        return [False] * (tree.num_leaves - 1) + [True]
    return [x for c in tree.children for x in _are_lengths(c)] if tree.kind else [False]


def _is_array(leaf: Carried | Same) -> bool:
    return isinstance(leaf, Carried) and leaf.kind == "array"


def _join(a: Carried | Same, b: Carried | Same) -> Carried | Same | None:
    """One leaf for both; None where Python would tell them apart."""
    if isinstance(a, Same) or isinstance(b, Same):
        return a if a == b else None
    mine, theirs = a.aval.dtype, b.aval.dtype
    if _is_array(a) != _is_array(b) or (mine.kind == "b") != (theirs.kind == "b"):
        return None
    both = joined(a, b)
    # A number of Python's yields to others, but not in an array that NumPy makes.
    fits = both is not None and both.aval.dtype == np.result_type(mine, theirs)
    return both if fits else None


def _described(leaf: Carried | Same) -> str:
    return repr(leaf.value) if isinstance(leaf, Same) else str(leaf.aval)


#: What elements may hold beside arrays and numbers, where it is the same in all: so is
#: the length of lists in a list.
_PLAIN = str | bytes | np.dtype | int | Form


class Growing(StagingError):
    """A list grows in the loop or branch being staged, and has no room for it.

    `form` is that of its elements. It needs a `capacity` (None: nobody knows), and in a
    loop so much more for every round after the first as it has a `growth`.
    """

    def __init__(
        self, items: list[Any], form: Form, capacity: int | None, growth: int = 0
    ):
        super().__init__(
            f"a list (elements: {form}) grows in a loop or branch on traced data, and "
            "how long it gets is not known",
            session().builder.loc,
            "bound the rounds: `for k in range(most):` with a `break`",
        )
        self.items, self.form = items, form
        self.capacity, self.growth = capacity, growth


@dataclass(eq=False, repr=False)
class Grown:
    """The contents of a list that is kept in arrays: its one element.

    `arrays` (capacity, ...) are those of the leaves that are Carried; `length` is an
    int or a box. `limited`: there may be more elements than there is room for, which
    the program checks.
    """

    form: Form
    arrays: tuple[Box, ...]
    length: Any

    def __post_init__(self) -> None:
        self.limited = False  # not of its structure: no part of a list has it

    @property
    def capacity(self) -> int:
        """For how many elements there is room."""
        return self.arrays[0].aval.shape[0]

    @property
    def of_numbers(self) -> bool:
        """Whether each element is a number."""
        one = self.form.tree == LEAF and self.form.leaves[0]
        return isinstance(one, Carried) and not one.aval.shape

    def refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """What cannot be done is tried again, with a plain list."""
        error = StagingError(
            "what is done here with a list that grows in a loop or branch on traced "
            "data needs to know how many elements it has, or a list of Python's",
            session().builder.loc,
            "make an array of it, np.array(ys), or fill one by out[i] = y",
        )
        raise session().unsure(error, {self.form})

    # Reading --------------------------------------------------------------------------

    def element(self, place: Any) -> Any:
        """The element at a place in range: an int, or an int64 Atom."""
        trace, kept = session(), iter(self.arrays)
        leaves: list[Any] = []
        for leaf in self.form.leaves:
            if isinstance(leaf, Same):
                leaves.append(leaf.value)
                continue
            view = _part_at(next(kept), place)
            if leaf.kind != "array":
                leaves.append(box_of(view.read(), leaf.kind))
                continue
            if not self.form.contiguous:
                view._layout = UNKNOWN
            leaves.append(view)
        value = unflatten(self.form.tree, leaves)
        for obj in containers(self.form.tree, value):
            # Not the one that was appended, which shows as soon as it is changed.
            trace.make(obj)
            trace.frozen[id(obj)] = obj, self.form
        return value

    def place_of(self, key: Any) -> Any:
        """Where the element is that an index means; the program checks its bounds."""
        if is_static(key):
            key = plain(key).__index__()
            place = self.length + key if key < 0 else key
        else:
            place = key = HANDLERS[int](key)
            if bounds(key)[0] < 0:
                place = HANDLERS[int](call(np.where, key < 0, key + self.length, key))
        if bounds(place)[0] < 0:
            _require(place >= 0)
        gap = difference(self.length, place)
        if gap is None and bounds(place)[1] >= bounds(self.length)[0]:
            _require(place < self.length)
        elif gap is not None and gap <= 0:
            _require(False)
        return place if isinstance(place, int) else index_atom(place)

    def elements(self) -> list[Any]:
        """All elements, where it is known how many there are."""
        if not isinstance(self.length, int):
            self.refuse()
        return [self.element(k) for k in range(int(self.length))]

    def part(self, key: slice) -> list[Any]:
        """A part of the list, as a list that is kept in arrays where it is long."""
        entries = key.start, key.stop, key.step
        if not all(map(is_static, entries)):
            return self._moving(key)
        start, stop, step = map(plain, entries)
        if isinstance(self.length, int):
            where = range(int(self.length))[start:stop:step]
        else:
            least = bounds(self.length)[0]
            if step not in (None, 1) or least < max(-(start or 0), stop or 0):
                self.refuse()
            start, stop = start or 0, stop or 0
            if start < 0 and stop <= 0:  # the last ones: so many, wherever they are
                return [self.element(self.place_of(k)) for k in range(start, stop)]
            if start < 0 or stop <= 0:
                return self._rest(start, stop)
            where = range(start, stop)
        if len(where) <= FEW:
            return [self.element(k) for k in where]
        return self._of_rows(where.start, len(where), where.step, len(where))

    def _moving(self, key: slice) -> list[Any]:
        """`ys[i : i + 3]`: so many elements, from a traced place on."""
        if not isinstance(self.length, int):
            self.refuse()
        parts = [a.through(_rows(a, 0, self.length))[key] for a in self.arrays]
        if any(type(part) is not Box for part in parts):
            self.refuse()
        size = parts[0].aval.shape[0]
        return self._of_views(parts, size)

    def _rest(self, start: int, stop: int) -> list[Any]:
        """`ys[start:stop]` of a list of traced length, `stop` from the end or 0."""
        if start < 0:
            self.refuse()
        length = HANDLERS[int](call(np.maximum, self.length - start + stop, 0))
        return self._of_rows(start, max(self.capacity - start, 0), 1, length)

    def _of_rows(self, start: int, size: int, step: int, length: Any) -> list[Any]:
        """A new list of some of the elements."""
        lenses = [_rows(array, start, size, step) for array in self.arrays]
        pairs = zip(self.arrays, lenses, strict=True)
        return self._of_views([array.through(lens) for array, lens in pairs], length)

    def _of_views(self, views: Sequence[Box], length: Any) -> list[Any]:
        """A new list of elements of this one, which `views` show."""
        arrays = tuple(map(copied, views))
        kept = [leaf for leaf in self.form.leaves if isinstance(leaf, Carried)]
        for leaf, array, view in zip(kept, arrays, views, strict=True):
            if leaf.kind == "array":
                share(array, view.root, self.form)
        part = Grown(self.form, arrays, length)
        few = isinstance(length, int) and length <= FEW
        return part.elements() if few else [session().make(part)]

    def stacked(self) -> Any:
        """The array that NumPy makes of the list: a box, or a Ragged."""
        kept = map(self._filled, self.arrays)
        pairs = [x if isinstance(x, Same) else next(kept) for x in self.form.leaves]
        return self._nested(self.form.tree, iter(pairs), 1)

    def _nested(self, tree: TreeDef, parts: Iterator[Any], depth: int) -> Any:
        """The array of a part of the elements; those are told apart by `depth` axes."""
        if tree.kind is None:
            part = next(parts)
            return self.refuse() if isinstance(part, Same) else part
        if type(tree.kind) is not type or not issubclass(tree.kind, tuple | list):
            self.refuse()
        if len(tree.children) == 1 and tree.children[0].kind is Grown:
            form, *arrays = [next(parts) for _ in range(tree.num_leaves)]
            length = arrays.pop()
            if type(length) is not Same or any(type(a) is Ragged for a in arrays):
                self.refuse()
            rows = (*[slice(None)] * depth, slice(0, length.value))
            inner = form.value
            kept = iter([array[rows] for array in arrays])
            pairs = [x if isinstance(x, Same) else next(kept) for x in inner.leaves]
            return self._nested(inner.tree, iter(pairs), depth + 1)
        children = [self._nested(child, parts, depth) for child in tree.children]
        if not children or any(type(child) is Ragged for child in children):
            self.refuse()
        return call(np.stack, children, axis=depth)

    def _filled(self, array: Box) -> Any:
        """A copy of the part of an array that is in use."""
        if isinstance(self.length, int):
            return copied(array.through(_rows(array, 0, self.length)))
        span = Span(0, 1, self.length, int(self.capacity))
        whole = box_of(array.read(), layout=C_ORDER)
        return Ragged(whole, [span, *[WHOLE] * (array.aval.ndim - 1)])

    def item_of(self, items: list[Any]) -> Callable[[Any], Any]:
        """What a loop over the list has for an element, by the loop's counter."""
        length = self.length

        def at(counter: Any) -> Any:
            if grown_in(items) is not self or self.length is not length:
                self.refuse()  # it grows while it is looped over
            is_box = type(counter) is Box
            return self.element(index_atom(counter) if is_box else int(counter))

        return at

    # Writing --------------------------------------------------------------------------

    def check_room(self) -> None:
        """Let the program check that there is room for one more element."""
        text = f"a list (elements: {self.form}) got longer than {self.capacity}; "
        text += "bound the rounds: `for k in range(most):` with a `break`"
        failure = Failure(OutOfRoomError, (text,), session().builder.loc)
        check((self.length < self.capacity).read(), error=failure)

    def put(self, place: Any, value: Any) -> None:
        """Store an element of this form where there was none."""
        pairs = zip(self.form.leaves, leaves_as(self.form.tree, value), strict=True)
        carried = [(leaf, x) for leaf, x in pairs if isinstance(leaf, Carried)]
        for array, (leaf, x) in zip(self.arrays, carried, strict=True):
            box = as_box(x)
            new = convert(box.read(), leaf.aval.dtype)
            lens = _part_at(array, place).lens
            if lens is None:  # one of several arrays: data decides on which
                self.refuse()
            array.rebind_alone(lens.put(array.read(), new))
            if leaf.kind == "array":
                share(array, box.root, self.form)
        for obj in containers(self.form.tree, value):
            session().frozen.setdefault(id(obj), (obj, self.form))

    def has(self, key: Any, value: Any) -> bool:
        """Whether a value is the array at `key`: `ys[key] += v` has written to it."""
        if type(value) is not Box or not any(value.base is a for a in self.arrays):
            return False
        return value.lens == _part_at(value.base, self.place_of(key)).lens  # type: ignore

    def set(self, key: Any, value: Any) -> bool:
        """`ys[key] = value`, where elements are numbers; else False."""
        form = self.form.joined(form_of(value))
        if form is None or not form.alike(self.form):
            return False
        if any(map(_is_array, form.leaves)):
            return False
        self.put(self.place_of(key), value)
        return True

    def pop(self) -> Any:
        """`ys.pop()`, where elements are numbers."""
        if any(map(_is_array, self.form.leaves)):
            self.refuse()
        place = self.place_of(-1)
        value = self.element(place)
        self.move(-1)
        return value

    def move(self, change: int) -> None:
        """Make the list longer."""
        place = Length(self)
        session().record(place)
        place.set(self.length + change)

    def __repr__(self) -> str:
        return f"<list of traced elements: {self.form}>"


for _name in (
    "eq ne lt le gt ge bool len iter getitem contains call index int float complex "
    "add radd sub rsub mul rmul truediv rtruediv mod rmod and rand or ror array neg "
    "abs pow rpow floordiv rfloordiv matmul rmatmul next array_ufunc setitem"
).split():
    setattr(Grown, f"__{_name}__", Grown.refuse)


class Length(AttributePlace):
    """The length of a list that is kept in arrays."""

    def __init__(self, grown: Grown):
        super().__init__(grown, "length")

    def __str__(self) -> str:
        return "the length of a list"


# Lists --------------------------------------------------------------------------------


def grown_in(obj: Any) -> Grown | None:
    """What a list contains that is kept in arrays; None of anything else."""
    if type(obj) is list and len(obj) == 1 and type(obj[0]) is Grown:
        return obj[0]
    return None


def settle(items: Any) -> None:
    """Make a list that is kept in arrays a plain one."""
    grown = grown_in(items)
    if grown is not None:
        elements, place = grown.elements(), Contents(items)
        session().record(place)
        place.set(elements)


def opened(tree: Any) -> Any:
    """A pytree in which lists that are kept in arrays are lists of their elements."""
    grown = grown_in(tree)
    if grown is not None:
        return [opened(x) for x in grown.elements()]
    level = one_level(tree)
    if level is None:
        return tree
    children = [opened(child) for child in level[0]]
    same = all(a is b for a, b in zip(children, level[0], strict=True))
    return tree if same else unflatten(level[1], children)


def stacked(value: Any) -> Any:
    """An argument of NumPy's: a list that is kept in arrays is one of these."""
    grown = grown_in(value)
    if grown is not None:
        return grown.stacked()
    if type(value) not in (list, tuple):
        return value
    parts = [stacked(part) for part in value]
    same = all(a is b for a, b in zip(parts, value, strict=True))
    return value if same else type(value)(parts)


# Integers -----------------------------------------------------------------------------


def bounds(value: Any) -> tuple[int, int]:
    """The least and the greatest that an integer can be."""
    if type(value) is not Box:
        return int(value), int(value)
    return interval_of(value.read()) or (-FAR, FAR)


def _require(ok: Any) -> None:
    """Check, now or in the program, that an index is in range."""
    trace, text = session(), "list index out of range"
    if isinstance(ok, bool | np.bool_):
        if not ok:
            raise IndexRangeError(text, trace.builder.loc)
    elif trace.boundscheck:
        check(ok.read(), error=Failure(IndexRangeError, (text,), trace.builder.loc))


def _part_at(array: Box, place: Any) -> Box:
    """The view of the row at a place."""
    shape = array.aval.shape
    starts, sizes = (place, *[0] * (len(shape) - 1)), (None, *shape[1:])
    return array.through(Part(shape, starts, sizes, (1,) * len(shape)))


def _rows(array: Box, start: int, size: int, step: int = 1) -> Part:
    """Rows of an array, as a lens."""
    shape = array.aval.shape
    rest = len(shape) - 1
    return Part(shape, (start, *[0] * rest), (size, *shape[1:]), (step, *[1] * rest))
