"""`python -m tests.mutate`: are the registry's tests able to fail?

Each derivative statement of the registry (a partial, a transpose, an accumulation, a
tangent) is scaled by 1.01, one at a time, and the tests of its primitive are run. Every
one of these lies must be caught.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.ops.checks import CHECKS, PRIMITIVES
from tracejit.base.errors import InternalError
from tracejit.ir.builder import as_atom
from tracejit.ir.primitive import (
    REGISTRY,
    Elementwise,
    Linear,
    Multilinear,
    Nonlinear,
    Primitive,
    Unknown,
    scale,
)

FACTOR = 1.01


@dataclass
class Mutant:
    """One statement, and how to put the false one in its place and back."""

    prim: Primitive
    what: str
    true: Any
    false: Any
    place: Callable[[Any], None]

    def caught_by(self) -> str | None:
        self.place(self.false)
        try:
            return failing(self.prim)
        finally:
            self.place(self.true)


def failing(prim: Primitive) -> str | None:
    """The first check that a primitive fails, or None. Only a wrong number counts."""
    for check in CHECKS:
        try:
            check(prim)
        except InternalError:
            raise
        except AssertionError:
            return check.__name__
    return None


def _scaled(out: Any) -> Any:
    if isinstance(out, tuple):
        return tuple(x if x is None else _scaled(x) for x in out)
    return REGISTRY["mul"](out, as_atom(FACTOR, out.aval.dtype))


def _false_rule(rule: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **params: _scaled(rule(*args, **params))


def _false_partial(partial: Callable[..., Any]) -> Callable[..., Any]:
    def false(*args: Any, **params: Any) -> Any:
        true = partial(*args, **params)
        return lambda tangent: _scaled(scale(true, tangent))

    return false


def _entry(prim: Primitive, table: dict[int, Any], name: str, k: int) -> Mutant:
    place = lambda rule: table.__setitem__(k, rule)  # noqa: E731
    return Mutant(prim, f"{name}[{k}]", table[k], _false_rule(table[k]), place)


def _slot(prim: Any, field: str, k: int, false: Callable[..., Any]) -> Mutant:
    """One of a tuple of statements."""
    whole = getattr(prim, field)

    def place(rule: Any) -> None:
        setattr(prim, field, (*whole[:k], rule, *whole[k + 1 :]))

    return Mutant(prim, f"{field}[{k}]", whole[k], false(whole[k]), place)


def mutants() -> Iterator[Mutant]:
    """Every derivative statement of the registry, falsified."""
    for prim in PRIMITIVES:
        if isinstance(prim, Elementwise):
            for k, partial in enumerate(prim.partials):
                if partial is not None and not isinstance(partial, Unknown):
                    yield _slot(prim, "partials", k, _false_partial)
        if isinstance(prim, Multilinear | Elementwise):
            for k in range(len(prim.transposes)):
                yield _slot(prim, "transposes", k, _false_rule)
        if isinstance(prim, Linear):
            for k in prim.transposes:
                yield _entry(prim, prim.transposes, "transposes", k)
            for k in prim.accumulate:
                yield _entry(prim, prim.accumulate, "accumulate", k)
        if isinstance(prim, Nonlinear):
            place = lambda rule, prim=prim: setattr(prim, "tangent", rule)  # noqa: E731
            yield Mutant(
                prim, "tangent", prim.tangent, _false_rule(prim.tangent), place
            )


def main() -> int:
    broken = [prim.name for prim in PRIMITIVES if failing(prim)]
    if broken:
        print(f"these fail as they are: {', '.join(broken)}")
        return 1
    missed = total = 0
    for mutant in mutants():
        total += 1
        caught = mutant.caught_by()
        missed += caught is None
        verdict = f"caught by {caught}" if caught else "MISSED"
        print(f"{mutant.prim.name:14} {mutant.what:14} {verdict}")
    print(f"{total - missed} of {total} falsified derivative statements caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
