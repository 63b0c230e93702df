"""`python -m tests.corpus.rules`: how often rules of algebra fire, and what is left.

Every program of the corpus is differentiated. Printed are the rules of the table with
their firings, and then, of the adjoints as they are lowered, the pairs of equations of
which one reads the other alone: the commonest come first, those on which a new rule
might pay. With `--fast`, rules that hold on paper only are in force.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Iterator

from tests.corpus.test_corpus import PROGRAMS
from tracejit.base.errors import TracejitError
from tracejit.ir.program import Atom, Eqn, Literal, Region, Var
from tracejit.ir.program import Program as IR
from tracejit.optimize.algebra import RULES
from tracejit.optimize.passes import optimize
from tracejit.show import _at_stage


def adjoints(fast: bool) -> Iterator[IR]:
    """The adjoint of each program, as it is lowered."""
    for program in PROGRAMS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                adjoint = _at_stage(program.fn, program.make(), {}, "adjoint")
        except (TracejitError, TypeError, ValueError):
            continue  # one that is refused, or has nothing to differentiate
        yield optimize(adjoint, fast=fast, last=True)


def pairs(region: Region) -> Iterator[str]:
    """Pairs of elementwise equations of derivative code, letters for what they read."""
    uses = Counter(a for eqn in region.eqns for a in eqn.uses())
    uses.update(a for a in region.results if isinstance(a, Var))
    made = {v: eqn for eqn in region.eqns for v in eqn.outputs}
    for eqn in region.eqns:
        for inner in eqn.regions:
            yield from pairs(inner)
        if eqn.prim.kind == "elementwise" and eqn.origin is not None:
            for atom in eqn.inputs:
                below = made.get(atom) if isinstance(atom, Var) else None
                if below is not None and below.prim.kind == "elementwise":
                    if uses[below.out] == 1:
                        yield written(eqn, below)


def written(eqn: Eqn, below: Eqn) -> str:
    """`mul(neg(a), b)`"""
    letters: dict[Atom, str] = {}

    def name(atom: Atom) -> str:
        if isinstance(atom, Literal):
            return "c" if atom.runtime else repr(atom.value)
        if atom is below.out:
            return f"{below.prim.name}({', '.join(map(name, below.inputs))})"
        return letters.setdefault(atom, "abcdefgh"[len(letters)])

    return f"{eqn.prim.name}({', '.join(map(name, eqn.inputs))})"


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.corpus.rules")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--most", type=int, default=40, help="pairs to print")
    options = parser.parse_args(args)
    before = [rule.fired for rule in RULES]
    left: Counter[str] = Counter()
    count = 0
    for adjoint in adjoints(options.fast):
        left.update(pairs(adjoint.region))
        count += 1
    print(f"{count} programs\n\nfired")
    fired = [(r.fired - n, r) for r, n in zip(RULES, before, strict=True)]
    for times, rule in sorted(fired, key=lambda pair: -pair[0]):
        print(f"{times:6d}  {rule.scope:8s}{rule}")
    print("\nleft")
    for text, times in left.most_common(options.most):
        print(f"{times:6d}  {text}")


if __name__ == "__main__":
    main()
