"""Integers as linear forms of traced ones: is `(i + k) - i` the same at every run?

A form is a constant and a coefficient for each Var. Slices with traced bounds need
it: `x[i : i + 3]` has 3 elements because the bounds differ by a constant.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tracejit.ir.program import Literal, Var


class Form(NamedTuple):
    """`const + sum(coefficient * var)`; zero coefficients are left out."""

    const: int
    terms: dict[Var, int]


def of_atom(atom: Any) -> Form | None:
    """An integer scalar by itself."""
    if isinstance(atom, Literal):
        return Form(int(atom.value), {})
    integer = not atom.aval.shape and atom.aval.dtype.kind in "iu"
    return Form(0, {atom: 1}) if integer else None


def add(a: Form, b: Form, sign: int = 1) -> Form:
    """`a + sign * b`."""
    terms = dict(a.terms)
    for var, factor in b.terms.items():
        terms[var] = terms.get(var, 0) + sign * factor
    const = a.const + b.const if sign == 1 else a.const - b.const
    return Form(const, {v: c for v, c in terms.items() if c})


def mul(a: Form, b: Form) -> Form | None:
    """The product, where it is linear."""
    if a.terms:
        a, b = b, a
    if a.terms:
        return None
    return Form(
        a.const * b.const, {v: c * a.const for v, c in b.terms.items() if a.const}
    )


def replaced(form: Form, var: Var, by: Form) -> Form:
    """The form with another one in place of a Var."""
    factor = form.terms[var]
    rest = Form(form.const, {v: c for v, c in form.terms.items() if v is not var})
    return add(
        rest, Form(by.const * factor, {v: c * factor for v, c in by.terms.items()})
    )


def difference(a: Form, b: Form) -> int | None:
    """`a - b` where it is a constant."""
    form = add(a, b, -1)
    return None if form.terms else form.const
