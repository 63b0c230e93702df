"""Whether the rounds of a loop may run at the same time, in any order.

    for i in range(n):
        s += f(x[i])            a sum: each thread has one of its own
        y[i] = s_i              cells of the round's own
        d[i - 1] += e           cells that rounds at most so far apart also add to
        h[k[i]] += w            cells that any round may add to

Two accesses of an array, at least one of them a write, are compared axis by axis:
indices are linear forms of the loop's index, of what does not change in the loop, and
of what does, which lies between bounds (see `ranges`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeAlias

from tracejit.ir import affine
from tracejit.ir.affine import Form
from tracejit.ir.program import Eqn, Var
from tracejit.ir.ranges import Ranges
from tracejit.optimize.nest import (
    Accumulate,
    Affine,
    Buffer,
    Call,
    Grow,
    If,
    Let,
    Load,
    Loop,
    Node,
    Parallel,
    Reset,
    Rotate,
    Store,
    While,
)
from tracejit.optimize.walks import assigned, buffers_of, everything, reads_of

Access: TypeAlias = Load | Store
#: Combinations that may be taken in any order, with how they begin.
SUMS = ("add", "mul", "maximum", "minimum", "logical_or", "logical_and")
#: By operation: how a chain of them looks where the user writes it.
_CHAINS = {"add": "add", "sub": "add", "maximum": "maximum", "minimum": "minimum"}


class Refused(Exception):
    """Why the rounds of a loop do not run at the same time."""


@dataclass
class Freedom:
    """What it takes to run the rounds of a loop in any order.

    `sums` are scalars that it only combines with others, by operation; `private` arrays
    that every round fills for itself; `added` those that it only adds to, or the like,
    at cells that other rounds add to: the operation, and how many rounds apart those
    are at most (None: any may be).
    """

    sums: dict[Var, str] = field(default_factory=dict)
    private: list[Buffer] = field(default_factory=list)
    added: dict[Buffer, tuple[str, int | None]] = field(default_factory=dict)


class Kernelwide:
    """What must be known of a whole kernel: who reads what, and what is handed out."""

    def __init__(self, body: Sequence[Node], outputs: Sequence[Buffer]):
        self.body = body
        nodes = list(everything(body))
        self.touched = Counter(b for node in nodes for b in buffers_of([node]))
        self.outputs = set(outputs)
        #: How scalars are computed that are computed once.
        self.defs = {v: n for n in nodes if isinstance(n, Eqn) for v in n.outputs}

    def freedom(self, loop: Loop, around: Sequence[Loop]) -> Freedom:
        """What it takes to run the rounds of `loop`, which stands in the loops
        `around`, in any order. Raises Refused with the reason why they cannot be."""
        return _Judge(self, loop, around).freedom()


class _Judge:
    """Looks at one loop."""

    def __init__(self, kernel: Kernelwide, loop: Loop, around: Sequence[Loop]):
        self.kernel, self.loop = kernel, loop
        self.inside = list(everything(loop.body))
        self.changing = {v for node in [loop, *self.inside] for v in assigned(node)}
        self.reads = Counter(v for node in self.inside for v in reads_of(node))
        self.ranges = Ranges(kernel.defs)
        inner = [node for node in self.inside if isinstance(node, Loop)]
        for outer in (*around, loop, *_once(inner)):
            if outer.step.constant is not None:
                bounds = outer.lo.form, outer.hi.form
                self.ranges.bind(outer.index, *bounds, outer.step.constant)

    def freedom(self) -> Freedom:
        if not self.loop.step.constant:
            raise Refused("its step is not known")
        found = Freedom(private=self.private())
        self.require_plain(found)
        found.sums = self.sums()
        by_buffer: dict[Buffer, list[Access]] = {}
        for node in self.inside:
            if isinstance(node, Load | Store) and node.buffer not in found.private:
                by_buffer.setdefault(node.buffer, []).append(node)
        for buffer, accesses in by_buffer.items():
            self.judge(buffer, accesses, found)
        return found

    # Scalars --------------------------------------------------------------------------

    def sums(self) -> dict[Var, str]:
        """The scalars that go from round to round, if all of them only grow."""
        here = {v for node in self.inside for v in assigned(node)}
        carried = _Exposed().by(self.loop.body) & here
        sums = {}
        for var in carried:
            op = _Sum(var, self.reads).op(self.loop.body)
            if op is None or var.aval.dtype.kind == "c":
                name = var.hint or "a number"
                raise Refused(f"a round needs {name} of the round before")
            sums[var] = op
        last = _Exposed(self.loop, here - carried).by(self.kernel.body)
        for var in last & (here - carried):
            name = var.hint or "a number"
            raise Refused(f"{name} of the last round is read after it")
        return sums

    # Arrays ---------------------------------------------------------------------------

    def private(self) -> list[Buffer]:
        """Temporaries of each round: nobody else touches them, nothing is carried."""
        if self.loop.carried is None:
            return []
        touched = Counter(b for node in self.inside for b in buffers_of([node]))
        return [
            b
            for b, count in touched.items()
            if b.role in ("temporary", "tape")
            and b not in self.loop.carried
            and b not in self.kernel.outputs
            and count == self.kernel.touched[b]
        ]

    def require_plain(self, found: Freedom) -> None:
        """Whole arrays are touched only where they are a round's own."""
        for node in self.inside:
            if isinstance(node, Call):
                raise Refused("it calls a routine for whole arrays")
            if isinstance(node, Grow | Reset | Rotate):
                if not set(buffers_of([node])) <= set(found.private):
                    what = "exchanges arrays" if isinstance(node, Rotate) else "saves"
                    raise Refused(f"it {what} round by round")

    def judge(self, buffer: Buffer, accesses: list[Access], found: Freedom) -> None:
        """Note what an array takes."""
        writes = [a for a in accesses if isinstance(a, Store)]
        if not writes:
            return
        distances = [self.distance(a, b) for a in writes for b in accesses]
        known = [d for d in distances if d is not None]
        if len(known) == len(distances) and not any(known):
            return
        ops = {a.op if isinstance(a, Store) else None for a in accesses}
        op = ops.pop() if len(ops) == 1 else None
        if op not in SUMS:
            name = buffer.hint or "an array"
            raise Refused(f"rounds meet in {name}")
        assert op is not None
        reach = max(known) if len(known) == len(distances) else None
        found.added[buffer] = op, reach

    def distance(self, a: Access, b: Access) -> int | None:
        """How far apart rounds may be in which these meet; 0: only in one round; None:
        that is not known."""
        if len(a.shape) != len(b.shape) or any(
            Affine.of(m) != Affine.of(n) for m, n in zip(a.shape, b.shape, strict=True)
        ):
            return None
        found = [self.on_axis(x, y) for x, y in zip(a.index, b.index, strict=True)]
        return min((d for d in found if d is not None), default=None)

    def on_axis(self, a: Affine, b: Affine) -> int | None:
        """The same, as one axis has it."""
        index, step = self.loop.index, self.loop.step.constant
        left, right = self.form(a), self.form(b)
        if left == right and self.is_quotient(left):
            return 0
        factor = left.terms.get(index, 0)
        uniform = factor == right.terms.get(index, 0)
        if uniform:  # what remains of their difference is not up to the index
            own = Form(0, {index: factor} if factor else {})
            left, right = affine.add(left, own, -1), affine.add(right, own, -1)
        (p, left), (q, right) = self.parted(left), self.parted(right)
        fixed = affine.add(p, q, -1)
        low = self.least(fixed, left, right)
        negative = affine.add(Form(0, {}), fixed, -1)
        high = self.least(negative, right, left)
        if (low is not None and low > 0) or (high is not None and high > 0):
            if not uniform or not factor:
                return 0
        if not uniform or not factor:
            return None
        if not fixed.terms and not left.terms and not right.terms:
            if fixed.const % factor:
                return 0
        if low is None or high is None:
            return None
        return max(-low, -high, 0) // abs(factor * (step or 1))

    def is_quotient(self, form: Form) -> bool:
        """Whether it is what grows with the index, over no more than it grows by."""
        (var, *more) = form.terms or (None,)
        eqn = None if var is None else self.kernel.defs.get(var)
        if more or eqn is None or eqn.prim.name != "floor_divide":
            return False
        above, below = map(self.ranges.form, eqn.inputs)
        factor = above.terms.get(self.loop.index, 0) * (self.loop.step.constant or 0)
        others = set(above.terms) - {self.loop.index}
        if below.terms or not self.changing.isdisjoint(others):
            return False
        return 0 < abs(below.const) <= abs(factor)

    def form(self, index: Affine) -> Form:
        """An index in terms of what is not computed from other integers."""
        out = Form(index.form.const, {})
        for var, factor in index.form.terms.items():
            own = self.ranges.form(var)
            scaled = affine.mul(own, Form(factor, {}))
            assert scaled is not None
            out = affine.add(out, scaled)
        return out

    def parted(self, form: Form) -> tuple[Form, Form]:
        """What is the same in every round, and what is not."""
        moving = {v: c for v, c in form.terms.items() if v in self.changing}
        fixed = {v: c for v, c in form.terms.items() if v not in self.changing}
        return Form(form.const, fixed), Form(0, moving)

    def least(self, fixed: Form, left: Form, right: Form) -> int | None:
        """What `fixed + left - right` is at least, the last two of different rounds."""
        minus = affine.add(Form(0, {}), right, -1)
        tries = []
        for a, b in (
            (affine.add(fixed, left), minus),
            (affine.add(fixed, minus), left),
        ):
            x, y = self.ranges.least(affine.add(fixed, a)), self.ranges.least(b)
            if x is not None and y is not None:
                tries.append(x + y)
        return max(tries, default=None)


def _once(loops: Sequence[Loop]) -> Iterator[Loop]:
    """The loops whose indices have the same bounds wherever they are used."""
    bounds: dict[Var, set[object]] = {}
    for loop in loops:
        found = bounds.setdefault(loop.index, set())
        found.add((loop.lo, loop.hi, loop.step))
    return (loop for loop in loops if len(bounds[loop.index]) == 1)


# Scalars that go from round to round --------------------------------------------------


class _Exposed:
    """Who reads scalars that may not have been assigned to.

    A given loop leaves behind what it assigns to (`lost`) without a value.
    """

    def __init__(self, loop: Loop | None = None, lost: Set[Var] = frozenset()):
        self.loop, self.lost = loop, lost
        self.found: set[Var] = set()

    def by(self, nodes: Sequence[Node]) -> set[Var]:
        """The scalars that these nodes may read before they are assigned to."""
        self.walk(nodes, set())
        return self.found

    def walk(self, nodes: Sequence[Node], known: set[Var]) -> None:
        """Go through nodes; `known` are assigned to, and grows by those that are."""
        for node in nodes:
            if node is self.loop:
                known -= self.lost
                continue
            if self.lost and isinstance(node, Loop | Parallel | While):
                if any(inner is self.loop for inner in everything(node.body)):
                    known -= self.lost  # a round of this one may come after it
            self.walk(getattr(node, "test", []), known)
            self.found |= {v for v in reads_of(node) if v not in known}
            if isinstance(node, Accumulate) and node.target not in known:
                self.found.add(node.target)
            if isinstance(node, Loop | Parallel | While):
                self.walk(node.body, known | set(assigned(node)))
            elif isinstance(node, If):
                sides = set(known), set(known)
                self.walk(node.then, sides[0])
                self.walk(node.otherwise, sides[1])
                known |= sides[0] & sides[1]
                known -= self.lost - (sides[0] & sides[1])
            else:
                known.update(assigned(node))


class _Sum:
    """Follows a total through a block, under all the names that it is handed to."""

    def __init__(self, var: Var, reads: Counter[Var]):
        self.var, self.reads = var, reads
        self.ops: set[str] = set()
        self.names = {var}
        self.followed: Counter[Var] = Counter()

    def op(self, body: Sequence[Node]) -> str | None:
        """By what operation the block adds to it, if that is all it does with it."""
        end = self.follow(body, self.var)
        read = all(self.reads[v] == self.followed[v] for v in self.names)
        return (
            self.ops.pop() if end is self.var and read and len(self.ops) == 1 else None
        )

    def follow(self, nodes: Sequence[Node], name: Var) -> Var | None:
        """Its name after these nodes, that before them given; None: it is lost."""
        for node in nodes:
            if isinstance(node, Accumulate):
                if node.target is name:
                    self.ops.add(node.op)
                elif node.target in self.names:
                    return None
            elif isinstance(node, Let) and node.value is name:
                name = self.handed(name, node.target)
            elif isinstance(node, Eqn) and name in node.inputs:
                op = _CHAINS.get(node.prim.name)
                if op is None or not _is_chain(node, name):
                    return None
                self.ops.add(op)
                name = self.handed(name, node.out)
            elif isinstance(node, If):
                first, second = self.names_after(node.then, node.otherwise, name)
                if first is None or first is not second:
                    return None
                name = first
            elif isinstance(node, Loop | While):
                blocks = getattr(node, "test", []), node.body
                if self.names_after(*blocks, name) != (name, name):
                    return None
            elif not self.names.isdisjoint(assigned(node)):
                return None
        return name

    def names_after(
        self, a: Sequence[Node], b: Sequence[Node], name: Var
    ) -> tuple[Var | None, Var | None]:
        return self.follow(a, name), self.follow(b, name)

    def handed(self, old: Var, new: Var) -> Var:
        self.followed[old] += 1
        self.names.add(new)
        return new


def _is_chain(node: Eqn, name: Var) -> bool:
    """Whether a name is one operand, and may be the first of a chain."""
    a, b = node.inputs
    return (a is name) != (b is name) and (a is name or node.prim.name != "sub")


__all__ = ["SUMS", "Freedom", "Kernelwide", "Refused"]
