"""Whether integers can satisfy linear inequalities (Fourier and Motzkin's method).

One unknown after another is eliminated: every lower bound of it must not exceed any
upper one. What is left in the end are numbers, which hold or do not.

>>> from tracejit.ir.aval import Aval
>>> import numpy as np
>>> i, k = (Var(Aval(np.dtype(np.int64))) for _ in "ik")
>>> above = Form(-1, {i: 1, k: -1})  # i - k - 1 >= 0
>>> possible([], [above]), possible([Form(0, {i: 1, k: -1})], [above])
(True, False)
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tracejit.ir import affine
from tracejit.ir.affine import Form
from tracejit.ir.program import Var

#: With more inequalities than this, what is asked is not found out.
MOST = 300


def possible(zero: Iterable[Form], natural: Iterable[Form]) -> bool:
    """Whether all of `zero` may be 0 while all of `natural` are at least 0.

    False is certain; True may be wrong, as for what only fractions satisfy.
    """
    equations, bounds = list(zero), list(natural)
    while equations:
        form = equations.pop()
        divisor = math.gcd(*form.terms.values())
        if form.const % divisor if divisor else form.const:
            return False
        unit = next((v for v, c in form.terms.items() if abs(c) == divisor), None)
        if unit is None:
            if divisor:
                bounds += [form, _times(form, -1)]
            continue
        # Once divided, c * unit + rest = 0 says unit = -c * rest, for c is 1 or -1.
        factor = form.terms[unit] // divisor
        rest = {v: -factor * c // divisor for v, c in form.terms.items() if v != unit}
        value = Form(-factor * form.const // divisor, rest)
        equations = [_with(f, unit, value) for f in equations]
        bounds = [_with(f, unit, value) for f in bounds]
    return _satisfiable(bounds)


def _satisfiable(bounds: list[Form]) -> bool:
    while True:
        tight: dict[frozenset[tuple[Var, int]], Form] = {}
        for bound in bounds:
            divisor = math.gcd(*bound.terms.values())
            if not divisor:
                if bound.const < 0:
                    return False
                continue
            terms = {v: c // divisor for v, c in bound.terms.items()}
            form = Form(bound.const // divisor, terms)
            key = frozenset(terms.items())
            if key not in tight or form.const < tight[key].const:
                tight[key] = form
        bounds = list(tight.values())
        if not bounds or len(bounds) > MOST:
            return True
        bounds = _without(_cheapest(bounds), bounds)


def _cheapest(bounds: list[Form]) -> Var:
    """The unknown whose elimination makes the fewest inequalities."""
    lower: dict[Var, int] = {}
    upper: dict[Var, int] = {}
    for bound in bounds:
        for var, factor in bound.terms.items():
            side = lower if factor > 0 else upper
            side[var] = side.get(var, 0) + 1
    found = dict.fromkeys([*lower, *upper])
    return min(found, key=lambda v: lower.get(v, 0) * upper.get(v, 0))


def _without(var: Var, bounds: list[Form]) -> list[Form]:
    """What the inequalities say about the other unknowns."""
    lower = [b for b in bounds if b.terms.get(var, 0) > 0]
    upper = [b for b in bounds if b.terms.get(var, 0) < 0]
    rest = [b for b in bounds if var not in b.terms]
    for low in lower:
        for high in upper:
            a, b = low.terms[var], -high.terms[var]
            rest.append(affine.add(_times(low, b), _times(high, a)))
    return rest


def _times(form: Form, factor: int) -> Form:
    return Form(form.const * factor, {v: c * factor for v, c in form.terms.items()})


def _with(form: Form, var: Var, value: Form) -> Form:
    return affine.replaced(form, var, value) if var in form.terms else form


__all__ = ["possible"]
