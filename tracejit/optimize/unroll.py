"""Loops taken apart: those of a few rounds one by one, others where a branch says so.

    for j in range(n): for k in range(3): a[i, k] += d[k]

LLVM unrolls the inner loop, too, but late, when the three sums have been left in
memory. Done here, each has a place that does not change in the outer loop, and so
goes to a register (see `registers`).

    for j in range(n): if j != i: …

is a loop up to i and one from behind it: without a branch inside, and in both it is
known that a[i] and a[j] are apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracejit.ir.program import Eqn, Literal, Var
from tracejit.optimize.clones import Renamed, clone
from tracejit.optimize.nest import (
    INT64,
    Accumulate,
    Affine,
    Check,
    If,
    Let,
    Load,
    Loop,
    Node,
    Store,
    children,
    scalar_var,
)

#: Loops of so many rounds are taken apart, if that adds no more nodes than this: of
#: one loop, and of a kernel. Each costs some milliseconds of compilation.
FEW, MOST_OF_LOOP, MOST = 4, 48, 240
#: What may stand in a loop that is taken apart.
PLAIN = (Eqn, Load, Store, Let, Accumulate, If, Check)


class Unroller:
    """Takes the loops of one kernel apart."""

    def __init__(self) -> None:
        self.left = MOST

    def block(self, nodes: Sequence[Node], deep: bool = False) -> list[Node]:
        """The nodes with such loops taken apart; `deep`: inside a loop of many rounds.

        Those of one round are taken apart anywhere.
        """
        out: list[Node] = []
        for node in nodes:
            inside = deep or (isinstance(node, Loop) and rounds(node) is None)
            for name in ("body", "then", "otherwise"):
                if hasattr(node, name):
                    setattr(node, name, self.block(getattr(node, name), inside))
            if isinstance(node, Loop) and self.worth_it(node, deep):
                out += unrolled(node)
            else:
                out.append(node)
        return out

    def worth_it(self, loop: Loop, deep: bool) -> bool:
        count = rounds(loop)
        if count == 1:
            return True
        if count is None or not deep or not 1 < count <= FEW or not _plain(loop.body):
            return False
        more = (count - 1) * _size(loop.body)
        if more > min(self.left, MOST_OF_LOOP):
            return False
        self.left -= more
        return True


def unroll(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel with their small loops taken apart."""
    return Unroller().block(nodes)


def rounds(loop: Loop) -> int | None:
    """How many rounds a loop has, at any size."""
    bounds = [a.constant for a in (loop.lo, loop.hi, loop.step)]
    known = [b for b in bounds if b is not None]
    return len(range(*known)) if len(known) == 3 else None


def unrolled(loop: Loop) -> list[Node]:
    """The rounds of a loop, one after the other."""
    bounds = [a.constant for a in (loop.lo, loop.hi, loop.step)]
    trips = range(*(b for b in bounds if b is not None))
    out: list[Node] = []
    for k in reversed(trips) if loop.reverse else trips:
        renamed: Renamed = {loop.index: Literal(k, INT64)}
        out += clone(loop.body, renamed)
    return out


def _plain(nodes: Sequence[Node]) -> bool:
    return all(isinstance(n, PLAIN) and _plain(list(children(n))) for n in nodes)


def _size(nodes: Sequence[Node]) -> int:
    return sum(1 + _size(list(children(n))) for n in nodes)


# Where a branch leaves out one round --------------------------------------------------


def split(nodes: Sequence[Node], around: tuple[Loop, ...] = ()) -> list[Node]:
    """The nodes with the loops that leave out one round made two loops.

    `around` are the loops that the nodes stand in.
    """
    out: list[Node] = []
    for node in nodes:
        inside = (*around, node) if isinstance(node, Loop) else around
        for name in ("body", "then", "otherwise"):
            if hasattr(node, name):
                setattr(node, name, split(getattr(node, name), inside))
        out += _halves(node, around) if isinstance(node, Loop) else [node]
    return out


def _halves(loop: Loop, around: Sequence[Loop]) -> list[Node]:
    """`for j: if j != i: …` inside of a loop over no other i than there are j."""
    found = _left_out(loop)
    outer = next((o for o in around if o.index is found), None)
    if found is None or outer is None:
        return [loop]
    beyond = [(outer.lo - loop.lo).constant, (loop.hi - outer.hi).constant]
    if any(k is None or k < 0 for k in beyond):
        return [loop]
    run = _branch(loop).then or _branch(loop).otherwise
    here = Affine.of(found)
    first = replace(loop, hi=here, body=run)
    index = scalar_var(INT64, loop.index.hint)
    body = clone(run, {loop.index: index})
    second = replace(loop, index=index, lo=here + 1, body=body)
    return [second, first] if loop.reverse else [first, second]


def _left_out(loop: Loop) -> Var | None:
    """The round without which a loop, which does nothing else, may run."""
    if len(loop.body) != 2 or loop.step.constant != 1:
        return None
    test, branch = loop.body
    if not (isinstance(test, Eqn) and isinstance(branch, If)):
        return None
    if test.outputs != [branch.pred] or loop.index not in test.inputs:
        return None
    others = {"ne": branch.otherwise, "eq": branch.then}
    if others.get(test.prim.name) != []:
        return None
    (other,) = (a for a in test.inputs if a is not loop.index)
    return other if isinstance(other, Var) else None


def _branch(loop: Loop) -> If:
    branch = loop.body[1]
    assert isinstance(branch, If)
    return branch
