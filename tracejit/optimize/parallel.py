"""Loops whose rounds are shared among threads.

    for i in range(lo, hi): body          for part in range(parts):  # on threads
                                              for i in range(its share): body

The rounds are dealt out in stretches, by their number alone: whichever thread runs a
part, the result is the same to the last bit. What a loop adds up, each part adds up for
itself, and the totals of the parts are added in order: scalars and, where any round may
add to any cell, whole arrays. Where only neighbours add to the same cells, each part
leaves out its first rounds, and those are run when all parts have ended.

The outermost loop that is free to (see `independence`) and has enough to do is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Eqn, Literal, Var
from tracejit.optimize.clones import clone
from tracejit.optimize.independence import Freedom, Kernelwide, Refused
from tracejit.optimize.nest import (
    BLOCKS,
    INT64,
    MOST_PARTS,
    ZERO,
    Accumulate,
    Affine,
    Buffer,
    Check,
    Grow,
    Index,
    Let,
    Load,
    Loop,
    Node,
    Parallel,
    Reset,
    Rotate,
    Size,
    Store,
    While,
    is_local,
    scalar_var,
    size_of,
)
from tracejit.optimize.statements import extreme
from tracejit.optimize.traffic import trips, work
from tracejit.optimize.walks import buffers_of, common_buffers, everything

ONE = Affine.of(1)
#: The work of a loop (see `traffic.work`) below which it is not shared: some 30 µs,
#: which is what it takes to wake a thread. In a loop, threads are awake from the round
#: before; but what one thread writes and several read goes from cache to cache, so that
#: all or nothing is shared: where the longest round of the kernel has so much to do.
ENOUGH, ENOUGH_AWAKE, ENOUGH_ROUND = 300_000.0, 60_000.0, 550_000.0
#: A part has at least so much to do, and a thread this many parts, if they are large.
PART, PARTS_EACH = 15_000.0, 4
#: Adding up arrays of its own may take a loop this share of its work.
ADDING_UP = 0.25
#: Of its rounds, so many may be left for when the parts have ended.
LEFT_OVER = 0.05


def share(body: Sequence[Node], outputs: Sequence[Buffer], threads: int) -> list[Node]:
    """The nodes of a kernel with loops shared among threads.

    Args:
        body: they are changed. Loops are remarked on: shared, or why they are not.
        outputs: the buffers that outlive the kernel.
        threads: how many there are.
    """
    rounds = [work(node.body) for node in body if isinstance(node, Loop)]
    awake = max(rounds, default=0.0) >= ENOUGH_ROUND
    kernel = Kernelwide(body, outputs)
    return _Sharing(kernel, min(threads, MOST_PARTS), awake).block(body, ())


class _Sharing:
    """Goes through the loops of a kernel."""

    def __init__(self, kernel: Kernelwide, threads: int, awake: bool):
        self.kernel, self.threads, self.awake = kernel, threads, awake
        self.loops = 0

    def block(self, nodes: Sequence[Node], around: tuple[Loop, ...]) -> list[Node]:
        out: list[Node] = []
        for node in nodes:
            new = self.shared(node, around) if isinstance(node, Loop) else None
            if new is not None:
                out += new
                continue
            inside = (*around, node) if isinstance(node, Loop) else around
            for name in BLOCKS:
                if hasattr(node, name):
                    setattr(node, name, self.block(getattr(node, name), inside))
            out.append(node)
        return out

    def shared(self, loop: Loop, around: Sequence[Loop]) -> list[Node] | None:
        """What stands for a loop on threads; None where it stays as it is."""
        rounds, amount = trips(loop), work([loop])
        if amount < (ENOUGH_AWAKE if self.awake and around else ENOUGH):
            loop.remark = "serial: too little to do"
            return None
        if rounds < self.threads:
            loop.remark = "serial: fewer rounds than threads"
            return None
        try:
            freedom = self.kernel.freedom(loop, around)
            parts = self.parts(freedom, rounds, amount, _may_fail(loop))
        except Refused as refused:
            loop.remark = f"serial: {refused}"
            return None
        return self.on_threads(loop, freedom, parts)

    def parts(
        self, freedom: Freedom, rounds: float, amount: float, may_fail: bool
    ) -> int:
        """How many parts; arrays that are added to by neighbours alone are settled.

        Of rounds that may fail none are left for the end: the first is to be told.
        """
        most = min(rounds, amount / PART, self.threads * PARTS_EACH, MOST_PARTS)
        reach = max([r for _, r in freedom.added.values() if r is not None], default=0)
        if may_fail or reach * self.threads > LEFT_OVER * rounds:
            for buffer, (op, _) in freedom.added.items():
                freedom.added[buffer] = op, None
        elif reach:
            most = min(most, LEFT_OVER * rounds / reach)
        whole = [b for b, (_, reach) in freedom.added.items() if reach is None]
        if whole:
            # Each copy is cleared, written and read.
            copies = ADDING_UP * amount / sum(3 * size_of(b.aval.shape) for b in whole)
            if copies < self.threads:
                names = ", ".join(b.hint or "an array" for b in whole)
                raise Refused(f"a copy of {names} for each thread would cost too much")
            most = min(most, copies)
        return max(int(most) // self.threads, 1) * self.threads

    def on_threads(self, loop: Loop, freedom: Freedom, parts: int) -> list[Node]:
        """The nodes: parts on threads, the sums of their sums, what they left out."""
        self.loops += 1
        loop.remark = f"on {self.threads} threads"
        return _Shared(loop, freedom, parts, self.threads, self.loops).nodes()


class _Shared:
    """A loop that is shared: the part, and what goes before and after all parts."""

    def __init__(
        self, loop: Loop, freedom: Freedom, parts: int, threads: int, number: int
    ):
        self.loop, self.freedom = loop, freedom
        self.count = Size(f"parts of loop {number}", parts)
        self.parts = Affine({self.count: 1})
        self.threads = Affine({Size("threads", threads): 1})
        self.before: list[Node] = []
        self.after: list[Node] = []

    def nodes(self) -> list[Node]:
        loop, rounds, part = self.loop, self.rounds(), scalar_var(INT64, "part")
        reach = max([r or 0 for _, r in self.freedom.added.values()], default=0)
        late = self.late(rounds, reach) if reach else []
        inside, lo, hi = self.stretch(rounds, part)
        if reach:
            lo = _first_rounds(inside, loop, lo, hi, reach)
        end: list[Node] = []
        for var, op in self.freedom.sums.items():
            inside.append(Let(var, _neutral(op, var.aval.dtype)))
            end.append(self.own_sum(var, op, part))
        body = loop.body
        for buffer, (op, near) in self.freedom.added.items():
            if near is None:
                own = _copies(buffer, self.count)
                inside += _cleared(buffer, own, op, part)
                body = _moved(body, buffer, own, (_copy(buffer, part),))
                self.after += _added_up(buffer, own, op, self.parts)
        for buffer in self.freedom.private:
            body = _moved(body, buffer, _again(buffer), ())
        inside += [replace(loop, lo=lo, hi=hi, body=body), *end]
        shared = Parallel(part, self.parts, self.threads, inside, loop.loc)
        return [*self.before, shared, *self.after, *late]

    def rounds(self) -> Var:
        """How many rounds the loop has."""
        loop, out, step = self.loop, self.before, self.loop.step.constant
        assert step
        span = _named(out, loop.hi - loop.lo if step > 0 else loop.lo - loop.hi)
        if abs(step) > 1:
            more = _named(out, Affine.of(span) + (abs(step) - 1))
            span = _computed(out, "floor_divide", more, Literal(abs(step), INT64))
        return _computed(out, "maximum", span, Literal(0, INT64))

    def stretch(self, rounds: Var, part: Var) -> tuple[list[Node], Affine, Affine]:
        """The bounds of a part's rounds, and how they are computed.

        The same rounds are the same part's in every loop, forwards or backwards: what
        one left in a processor's cache, another finds there. But where rounds can fail,
        parts are in the order of the rounds, so that the first to fail is known.
        """
        out: list[Node] = []
        backwards = self.loop.reverse and _may_fail(self.loop)
        number = self.parts - 1 - part if backwards else Affine.of(part)
        parts, ends = _named(out, self.parts), []
        step = self.loop.step.constant
        assert step
        for k in (number, number + 1):
            share = _computed(out, "mul", rounds, _named(out, k))
            first = _computed(out, "floor_divide", share, parts)
            ends.append(Affine.of(_named(out, self.loop.lo + Affine({first: step}))))
        return out, ends[0], ends[1]

    def late(self, rounds: Var, reach: int) -> list[Node]:
        """The rounds that the parts leave out, in a loop over the parts."""
        part = scalar_var(INT64, "part")
        inside, lo, hi = self.stretch(rounds, part)
        middle = _first_rounds(inside, self.loop, lo, hi, reach)
        index = scalar_var(INT64, self.loop.index.hint)
        body = clone(self.loop.body, {self.loop.index: index})
        inside.append(replace(self.loop, index=index, lo=lo, hi=middle, body=body))
        return [Loop(part, ZERO, self.parts, ONE, inside, loc=self.loop.loc)]

    def own_sum(self, var: Var, op: str, part: Var) -> Node:
        """What stores the total of a part, which are added up when all have ended."""
        dtype, shape = var.aval.dtype, (self.count.value,)
        totals = Buffer(Aval(dtype, shape), var.hint or "total")
        kept, one = scalar_var(dtype, var.hint), scalar_var(dtype, var.hint)
        self.before.append(Let(kept, var))
        k = scalar_var(INT64, "part")
        each: list[Node] = [Load(one, totals, shape, (Affine.of(k),))]
        each.append(Accumulate(var, op, one))
        self.after += [Let(var, kept), Loop(k, ZERO, self.parts, ONE, each)]
        return Store(totals, shape, (Affine.of(part),), var)


def _may_fail(loop: Loop) -> bool:
    return any(isinstance(node, Check) for node in everything(loop.body))


def _first_rounds(
    out: list[Node], loop: Loop, lo: Affine, hi: Affine, reach: int
) -> Affine:
    """Where the first `reach` rounds of a stretch end."""
    step = loop.step.constant
    assert step
    far = _named(out, lo + reach * step)
    nearer = "minimum" if step > 0 else "maximum"
    return Affine.of(_computed(out, nearer, far, _named(out, hi)))


def apart(buffer: Buffer) -> int:
    """How far apart copies of an array are, in copies: not in one cache line."""
    return 2 if size_of(buffer.aval.shape) >= 8 else 17


def _named(out: list[Node], value: Affine) -> Var:
    """A name for an integer."""
    name = scalar_var(INT64)
    out.append(Let(name, value))
    return name


def _computed(out: list[Node], name: str, *operands: Var | Literal) -> Var:
    result = scalar_var(INT64)
    out.append(Eqn(REGISTRY[name], list(operands), [result]))
    return result


def _neutral(op: str, dtype: Any) -> Literal:
    """What changes nothing when it is combined by an operation."""
    if op in ("maximum", "minimum"):
        return Literal(extreme(dtype, op == "maximum"), dtype)
    return Literal(dtype.type(op in ("mul", "logical_and")).item(), dtype)


def keep_apart(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel, with arrays that only parts of one loop touch, each for
    itself, as one for each part. What is on the stack is its own already."""
    common = common_buffers(nodes)
    for node in everything(nodes):
        if isinstance(node, Parallel):
            (count,) = node.count.terms
            assert isinstance(count, Size)
            for buffer in buffers_of(everything(node.body)):
                mine = buffer not in common and buffer.role == "temporary"
                if mine and not is_local(buffer):
                    own, at = _copies(buffer, count), _copy(buffer, node.index)
                    node.body = _moved(node.body, buffer, own, (at,))
    return list(nodes)


# Arrays of each part ------------------------------------------------------------------


def _over_cells(
    shape: Sequence[int], body: Callable[[Index], list[Node]]
) -> list[Node]:
    """Loops over all cells of an array."""
    axes = [
        scalar_var(INT64, name) for name, _ in zip("ijklmn" * 9, shape, strict=False)
    ]
    nodes = body(tuple(map(Affine.of, axes)))
    for axis, extent in zip(axes[::-1], shape[::-1], strict=True):
        nodes = [Loop(axis, ZERO, Affine.of(extent), ONE, nodes)]
    return nodes


def _copies(buffer: Buffer, count: Size) -> Buffer:
    """An array like this one for each part."""
    shape = (apart(buffer) * count.value, *buffer.aval.shape)
    return Buffer(Aval(buffer.aval.dtype, shape), buffer.hint)


def _copy(buffer: Buffer, part: Var) -> Affine:
    """The number of a part's copy of an array."""
    return Affine({part: apart(buffer)})


def _cleared(buffer: Buffer, own: Buffer, op: str, part: Var) -> list[Node]:
    """A part's copy of an array as it begins."""
    first, shape = _neutral(op, own.aval.dtype), own.aval.shape

    def clear(index: Index) -> list[Node]:
        return [Store(own, shape, (_copy(buffer, part), *index), first)]

    return _over_cells(shape[1:], clear)


def _added_up(buffer: Buffer, own: Buffer, op: str, parts: Affine) -> list[Node]:
    """What the parts have added to their copies, added to the array."""
    shape, part = buffer.aval.shape, scalar_var(INT64, "part")

    def add(index: Index) -> list[Node]:
        one = scalar_var(buffer.aval.dtype, buffer.hint)
        return [
            Load(one, own, own.aval.shape, (_copy(buffer, part), *index)),
            Store(buffer, shape, index, one, op),
        ]

    return [Loop(part, ZERO, parts, ONE, _over_cells(shape, add))]


def _again(buffer: Buffer) -> Buffer:
    """Another one of the same kind."""
    rows = None if buffer.rows is None else scalar_var(INT64, buffer.rows.hint)
    return replace(buffer, rows=rows)


def _moved(nodes: Sequence[Node], old: Buffer, new: Buffer, at: Index) -> list[Node]:
    """The nodes with another array in place of one, which lies in it at an index."""
    return [_moved_node(node, old, new, at) for node in nodes]


def _moved_node(node: Node, old: Buffer, new: Buffer, at: Index) -> Node:
    changes: dict[str, Any] = {
        name: _moved(getattr(node, name), old, new, at)
        for name in BLOCKS
        if hasattr(node, name)
    }
    if isinstance(node, Load | Store) and node.buffer is old:
        shape = (*new.aval.shape[: len(at)], *node.shape)
        changes |= {"buffer": new, "shape": shape, "index": (*at, *node.index)}
    elif isinstance(node, Grow | Reset):
        for name in ("buffer", "source"):
            if getattr(node, name, None) is old:
                changes[name] = new
    elif isinstance(node, Rotate):
        swap = {old: new}
        changes["moves"] = [(swap.get(a, a), swap.get(b, b)) for a, b in node.moves]
    if isinstance(node, Loop | While) and node.carried:
        changes["carried"] = [new if b is old else b for b in node.carried]
    return replace(node, **changes) if changes else node
