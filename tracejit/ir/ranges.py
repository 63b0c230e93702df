"""Between what an integer lies, and whether parts of an array have cells in common.

    for k in range(n):
        for i in range(k + 1, n):
            A[i, k] …                 never A[k, k], for i - k is at least 1

An integer is written as a linear form of loop indices and others (see `affine`); its
least value is found by putting the bounds of the indices in place of them, those of
inner loops first, since they may depend on outer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from tracejit.ir import affine
from tracejit.ir.affine import Form
from tracejit.ir.program import Atom, Eqn, Literal, Var

#: By axis: the first index of a part of an array, how many there are (None: a point),
#: and the distance between them.
Part: TypeAlias = Sequence[tuple[Form, int | None, int]]


INT64 = np.dtype(np.int64)

_FORMS: dict[str, Callable[..., Form | None]] = {
    "add": affine.add,
    "sub": lambda a, b: affine.add(a, b, -1),
    "neg": lambda a: affine.add(Form(0, {}), a, -1),
    "mul": affine.mul,
}


class Ranges:
    """`defs` says how integers are made, and may grow; loops are told by `enter`."""

    def __init__(self, defs: dict[Var, Eqn]):
        self.defs = defs
        #: The least and the greatest value of each loop's index, outer loops first.
        self.bounds: dict[Var, tuple[Form, Form]] = {}

    def form(self, atom: Atom) -> Form:
        """An integer in terms of what is not computed from other integers."""
        if isinstance(atom, Literal):
            return Form(int(atom.value), {})
        eqn = self.defs.get(atom)
        if (
            eqn is None
            or not eqn.prim.single
            or not all(_is_index(v) for v in (eqn.out, *eqn.inputs))
        ):
            return Form(0, {atom: 1})
        rule = _FORMS.get(eqn.prim.name)
        form = rule(*map(self.form, eqn.inputs)) if rule else None
        return Form(0, {atom: 1}) if form is None else form

    def enter(self, loop: Eqn) -> None:
        """Know the bounds of a `for` loop's index, in what is looked at from now on."""
        lo, hi, step = loop.inputs[:3]
        if isinstance(step, Literal):
            index = loop.regions[0].params[0]
            self.bind(index, self.form(lo), self.form(hi), int(step.value))

    def bind(self, index: Var, lo: Form, hi: Form, step: int) -> None:
        """`index` goes from `lo` up, or down, to before `hi`."""
        one = Form(1 if step > 0 else -1, {})
        ends = lo, affine.add(hi, one, -1)
        self.bounds.pop(index, None)  # a reversed loop shares it; it is inmost again
        self.bounds[index] = ends if step > 0 else ends[::-1]

    def least(self, form: Form) -> int | None:
        """A number that is not greater than `form`, as great as can be told."""
        if not form.terms:
            return form.const
        inmost = next((v for v in reversed(self.bounds) if v in form.terms), None)
        if inmost is not None:
            factor = form.terms[inmost]
            bound = self.bounds[inmost][0 if factor > 0 else 1]
            found = self.least(affine.replaced(form, inmost, bound))
            if found is not None:
                return found
        var = next((v for v in form.terms if v.interval is not None), None)
        if var is None:
            return None
        end = var.interval[0 if form.terms[var] > 0 else 1]  # type: ignore[index]
        return self.least(affine.replaced(form, var, Form(end, {})))

    def ordered(self, a: Form, b: Form) -> bool:
        """Whether `a` is surely less than `b`."""
        gap = self.least(affine.add(b, a, -1))
        return gap is not None and gap > 0

    def inside(self, index: Form, extent: int) -> bool:
        """Whether `index` surely is one of an axis of this extent."""
        return self.ordered(Form(-1, {}), index) and self.ordered(
            index, Form(int(extent), {})
        )

    def apart(self, a: Part, b: Part) -> bool:
        """Whether two parts of one array surely have no cell in common."""
        for (x, y), (v, w) in zip(map(ends_of, a), map(ends_of, b), strict=True):
            if self.ordered(y, v) or self.ordered(w, x):
                return True
        return False

    def part(self, starts: Sequence[Atom], eqn: Eqn) -> Part:
        """The part that an equation with `sizes` and `steps` reads or writes."""
        sizes, steps = eqn.params["sizes"], eqn.params["steps"]
        return list(zip(map(self.form, starts), sizes, steps, strict=True))


def _is_index(atom: Atom) -> bool:
    """Whether it is of the type that indices are computed in, which do not overflow."""
    return not atom.aval.shape and atom.aval.dtype == INT64


def ends_of(axis: tuple[Form, int | None, int]) -> tuple[Form, Form]:
    """The least and the greatest index of a part on one axis."""
    start, size, step = axis
    reach = 0 if size is None else (int(size) - 1) * step
    ends = start, affine.add(start, Form(reach, {}))
    return ends if reach >= 0 else ends[::-1]


__all__ = ["Part", "Ranges", "ends_of"]
