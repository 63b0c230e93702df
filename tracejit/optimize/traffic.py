"""What a kernel moves between registers and memory, counted on paper."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.cost import ASSUMED_ROUNDS
from tracejit.ir.program import Eqn
from tracejit.optimize.nest import (
    Accumulate,
    Affine,
    Call,
    If,
    Kernel,
    Load,
    Loop,
    Node,
    Parallel,
    Size,
    Store,
    While,
)


def bytes_moved(kernel: Kernel) -> float:
    """Bytes that a kernel loads and stores, caches or not.

    Of a branch's two sides the dearer one counts, of a routine called every operand and
    result once.
    """
    return _of_block(kernel.body)


def _of_block(nodes: Sequence[Node]) -> float:
    return sum(map(_of, nodes))


def _of(node: Node) -> float:
    match node:
        case Load():
            return node.buffer.aval.dtype.itemsize
        case Store():
            # One that adds loads as well.
            return node.buffer.aval.dtype.itemsize * (1 if node.op is None else 2)
        case Loop():
            return trips(node) * _of_block(node.body)
        case Parallel():
            return (value_of(node.count) or 0) * _of_block(node.body)
        case While():
            return node.rounds * (_of_block(node.test) + _of_block(node.body))
        case If():
            return max(_of_block(node.then), _of_block(node.otherwise))
        case Call():
            return sum(b.aval.nbytes for b in (*node.reads, *node.writes))
    return 0


#: As many rounds a loop surely has of which nothing is known, for what must not be too
#: much.
SURELY = 10


def work(nodes: Sequence[Node]) -> float:
    """What nodes take to run at least, where a number loaded or stored counts 1."""
    return sum(map(_work, nodes))


def _work(node: Node) -> float:
    match node:
        case Load() | Store() | Accumulate():
            return 1
        case Eqn():
            # Arithmetic is cheaper than a load; functions are as declared.
            return node.prim.cost / 2
        case Loop():
            unknown = value_of(node.hi - node.lo) is None
            rounds = trips(node)
            if unknown and rounds == ASSUMED_ROUNDS:
                rounds = SURELY
            return rounds * work(node.body)
        case While():
            rounds = SURELY if node.rounds == ASSUMED_ROUNDS else node.rounds
            return rounds * work([*node.test, *node.body])
        case If():
            return max(work(node.then), work(node.otherwise))
        case Call():
            return sum(b.aval.size for b in (*node.reads, *node.writes))
    return 0


def trips(loop: Loop) -> float:
    """How many rounds a loop has, or may have."""
    if loop.rounds is not None:
        return loop.rounds
    span, step = value_of(loop.hi - loop.lo), value_of(loop.step)
    return ASSUMED_ROUNDS if span is None or not step else max(span / step, 0)


def value_of(number: Affine) -> float | None:
    """The value of what depends on sizes alone; None where it does not."""
    total = float(number.const)
    for symbol, factor in number.terms.items():
        if not isinstance(symbol, Size):
            return None
        total += factor * symbol.value
    return total
