"""Loops taken apart: those of a few rounds one by one, others where a branch says so.

    for j in range(n): for k in range(3): a[i, k] += d[k]

LLVM unrolls the inner loop, too, but late, when the three sums have been left in
memory. Done here, each has a place that does not change in the outer loop, and so
goes to a register (see `registers`).

    for j in range(n): if j != i: …

is a loop up to i and one from behind it: without a branch inside, and in both it is
known that a[i] and a[j] are apart. With `j > i` it is the second of them alone.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.ir.ranges import Ranges
from tracejit.optimize.cells import enter
from tracejit.optimize.clones import Renamed, clone
from tracejit.optimize.nest import (
    BLOCKS,
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
from tracejit.optimize.walks import assigned, everything, reads_of

#: Loops of so many rounds are taken apart, or right inside a loop of many, if that adds
#: no more nodes than this: of one loop, and of a kernel. Each costs some milliseconds
#: of compilation.
FEW, FEW_IN_MANY, MOST_OF_LOOP, MOST = 4, 8, 64, 240
#: So many rounds are many.
MANY = 64
#: What may stand in a loop that is taken apart.
PLAIN = (Eqn, Load, Store, Let, Accumulate, If, Check)


class Unroller:
    """Takes the loops of one kernel apart."""

    def __init__(self) -> None:
        self.left = MOST

    def block(self, nodes: Sequence[Node], most: int = 1) -> list[Node]:
        """The nodes with such loops of at most so many rounds taken apart."""
        out: list[Node] = []
        for node in nodes:
            inside = _most_inside(node, most) if isinstance(node, Loop) else most
            for name in ("body", "then", "otherwise"):
                if hasattr(node, name):
                    setattr(node, name, self.block(getattr(node, name), inside))
            if isinstance(node, Loop) and self.worth_it(node, most):
                out += unrolled(node)
            else:
                out.append(node)
        return out

    def worth_it(self, loop: Loop, most: int) -> bool:
        count = rounds(loop)
        if count == 1:
            return True
        if count is None or not 1 < count <= most or not _plain(loop.body):
            return False
        more = (count - 1) * _size(loop.body)
        if more > min(self.left, MOST_OF_LOOP):
            return False
        self.left -= more
        return True


def _most_inside(loop: Loop, most: int) -> int:
    """How many rounds may be taken apart in a loop, by how many may where it stands."""
    if rounds(loop) is not None:
        return min(most, FEW)
    count = expected(loop)
    return FEW if count is not None and count < MANY else FEW_IN_MANY


def unroll(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel with their small loops taken apart."""
    return Unroller().block(nodes)


def rounds(loop: Loop) -> int | None:
    """How many rounds a loop has, at any size."""
    bounds = [a.constant for a in (loop.lo, loop.hi, loop.step)]
    known = [b for b in bounds if b is not None]
    return len(range(*known)) if len(known) == 3 else None


def expected(loop: Loop) -> int | None:
    """How many rounds a loop has at the sizes of this trace, if they are known."""
    ends = []
    for end in (loop.lo, loop.hi):
        if any(isinstance(s, Var) for s in end.terms):
            return None
        ends.append(end.const + sum(c * s.value for s, c in end.terms.items()))  # type: ignore
    return ends[1] - ends[0]


def unrolled(loop: Loop) -> list[Node]:
    """The rounds of a loop, one after the other."""
    bounds = [a.constant for a in (loop.lo, loop.hi, loop.step)]
    trips = range(*(b for b in bounds if b is not None))
    out: list[Node] = []
    for k in reversed(trips) if loop.reverse else trips:
        renamed: Renamed = {loop.index: Literal(k, INT64)}
        out += decided(clone(loop.body, renamed))
    return out


def decided(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with one side in place of each branch that compares two constants.

    The other may read where the array has nothing.
    """
    known: dict[Atom, bool] = {}
    out: list[Node] = []
    for node in nodes:
        if isinstance(node, Eqn) and node.prim.name in MIRRORED:
            left, right = node.inputs
            if isinstance(left, Literal) and isinstance(right, Literal):
                compare = getattr(operator, node.prim.name)
                known[node.out] = bool(compare(left.value, right.value))
        if isinstance(node, If) and node.pred in known:
            out += decided(node.then if known[node.pred] else node.otherwise)
        else:
            out.append(node)
    return out


def _plain(nodes: Sequence[Node]) -> bool:
    return all(isinstance(n, PLAIN) and _plain(list(children(n))) for n in nodes)


def _size(nodes: Sequence[Node]) -> int:
    return sum(1 + _size(list(children(n))) for n in nodes)


# Where a branch depends on the round alone --------------------------------------------


@dataclass
class Fork:
    """A loop over `if index … at: then, else otherwise`, and what comes behind it.

    `where` is the comparison's primitive, the loop's index on its left.
    """

    where: str
    at: Affine
    branch: If
    rest: list[Node]

    def pieces(self, loop: Loop) -> list[tuple[Affine, Affine, list[Node]]]:
        """From where, to before where, what the rounds are."""
        lo, hi, at = loop.lo, loop.hi, self.at
        yes, no = map(self.round, (self.branch.then, self.branch.otherwise))
        if self.where in ("ne", "eq"):
            most, one = (yes, no) if self.where == "ne" else (no, yes)
            return [(lo, at, most), (at, at + 1, one), (at + 1, hi, most)]
        if self.where in ("gt", "le"):
            at = at + 1
        first, second = (yes, no) if self.where in ("lt", "le") else (no, yes)
        return [(lo, at, first), (at, hi, second)]

    def round(self, side: Sequence[Node]) -> list[Node]:
        """A round on one side; none where what is carried stays as it was."""
        made = {n.target: n.value for n in side if isinstance(n, Let)}
        lets = [n for n in self.rest if isinstance(n, Let)]
        carried = {n.target for n in lets}
        into = [(n, n.value) for n in lets if isinstance(n.value, Var)]
        new = {n: made[v] for n, v in into if v in made}
        swapped = any(v in carried and v is not n.target for n, v in new.items())
        if swapped or len(lets) < len(self.rest):
            return [*side, *self.rest]
        gone = {v for _, v in into}
        kept = [n for n in side if not isinstance(n, Let) or n.target not in gone]
        last = [replace(n, value=new.get(n, n.value)) for n in lets]
        return [*kept, *(n for n in last if n.value is not n.target)]


def split(nodes: Sequence[Node], ranges: Ranges | None = None) -> list[Node]:
    """The nodes with the loops that a comparison of their index divides taken apart."""
    if ranges is None:
        made = (n for n in everything(nodes) if isinstance(n, Eqn) and n.prim.single)
        ranges = Ranges({eqn.out: eqn for eqn in made})
    out: list[Node] = []
    for node in nodes:
        if isinstance(node, Loop):
            enter(node, ranges)
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, split(getattr(node, name), ranges))
        out += _parts(node, ranges) if isinstance(node, Loop) else [node]
    return out


def _parts(loop: Loop, ranges: Ranges) -> list[Node]:
    fork = _fork(loop)
    if fork is None:
        return [loop]
    pieces = [p for p in fork.pieces(loop) if p[2]]
    # What runs where nothing did before, or twice, would be wrong.
    wrong = [(loop.lo, lo) for lo, _, _ in pieces if lo is not loop.lo]
    wrong += [(hi, loop.hi) for _, hi, _ in pieces if hi is not loop.hi]
    if not all(_at_most(a, b, ranges) for a, b in wrong):
        return [loop]
    parts: list[Node] = []
    for lo, hi, round_ in pieces:
        index = scalar_var(INT64, loop.index.hint)
        body = clone(round_, {loop.index: index})
        parts.append(replace(loop, index=index, lo=lo, hi=hi, body=body))
    return parts[::-1] if loop.reverse else parts


def _at_most(a: Affine, b: Affine, ranges: Ranges) -> bool:
    gap = ranges.least((b - a).form)
    return gap is not None and gap >= 0


def _fork(loop: Loop) -> Fork | None:
    """The branch that a loop is, if it depends on nothing but the round."""
    if len(loop.body) < 2 or loop.step.constant != 1:
        return None
    test, branch, *rest = loop.body
    if not (isinstance(test, Eqn) and isinstance(branch, If)):
        return None
    if test.outputs != [branch.pred] or loop.index not in test.inputs:
        return None
    left, right = test.inputs
    where = test.prim.name
    if left is not loop.index:
        left, right, where = right, left, MIRRORED.get(where, where)
    inside = list(everything(loop.body))
    moving = {v for node in inside for v in assigned(node)} | {loop.index}
    read = [v for node in inside for v in reads_of(node)]
    if where not in MIRRORED or right in moving or read.count(test.out) != 1:
        return None
    return Fork(where, Affine.of(right), branch, rest)


#: Comparisons, and what they are the other way around.
MIRRORED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
