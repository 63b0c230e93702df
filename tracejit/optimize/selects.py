"""Branches that leave one round out of an inner loop, as selections.

    for j: if j != i: s += f(j)            for j: s += f(j) if j != i else -0.0
                                           (x + -0.0 is x, whatever x is)

Every round computes, in vectors; what the one that is left out has computed is not
used. Only sums can do without: where a round overwrites something, the loop is taken
apart instead (see `unroll.split`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tracejit.ir.primitive import REGISTRY
from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.ir.ranges import Ranges
from tracejit.optimize.additions import added_in_place
from tracejit.optimize.cells import enter
from tracejit.optimize.nest import (
    BLOCKS,
    Accumulate,
    Affine,
    If,
    Let,
    Load,
    Loop,
    Node,
    Store,
    scalar_var,
)
from tracejit.optimize.registers import sum_chain
from tracejit.optimize.walks import assigned, everything, reads_of

PLAIN = (Eqn, Load, Store, Let, Accumulate)


def select_rounds(nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a kernel with such branches in its innermost loops replaced."""
    reads = Counter(v for node in everything(nodes) for v in reads_of(node))
    return _block(nodes, Ranges({}), reads)


def _block(nodes: Sequence[Node], ranges: Ranges, reads: Counter[Var]) -> list[Node]:
    for node in nodes:
        if isinstance(node, Loop):
            enter(node, ranges)
            if any(isinstance(n, If) for n in node.body):
                node.body = _rounds(node, ranges, reads)
        for name in BLOCKS:
            if hasattr(node, name):
                setattr(node, name, _block(getattr(node, name), ranges, reads))
    return list(nodes)


def _rounds(loop: Loop, ranges: Ranges, reads: Counter[Var]) -> list[Node]:
    """The body of a loop, its branches replaced if all of them can be."""
    made = {n.out: n for n in loop.body if isinstance(n, Eqn) and n.prim.single}
    moving = {v for node in everything(loop.body) for v in assigned(node)}
    out: list[Node] = []
    for node in loop.body:
        if isinstance(node, If):
            then = _leaves_one_out(node, made, loop.index, moving)
            run = None if then is None else Selection(node, then, ranges, reads)
            if run is None or not run.possible():
                return loop.body
            out += run.nodes()
        elif isinstance(node, PLAIN):
            out.append(node)
        else:
            return loop.body
    return out


def _leaves_one_out(
    branch: If, made: dict[Var, Eqn], index: Var, moving: set[Var]
) -> bool | None:
    """Whether all rounds but one take `then`, or `otherwise`; None if neither."""
    test = made.get(branch.pred)  # type: ignore[arg-type]
    if test is None or test.prim.name not in ("ne", "eq"):
        return None
    (other, *more) = [a for a in test.inputs if a is not index]
    if more or other in moving or len(test.inputs) != 2:
        return None
    return test.prim.name == "ne"


@dataclass
class Selection:
    """A branch that runs in all rounds but one, the `then` of it or not."""

    branch: If
    then: bool
    ranges: Ranges
    reads: Counter[Var]
    made: dict[Var, Eqn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sides = self.branch.then, self.branch.otherwise
        self.run, self.rest = sides if self.then else sides[::-1]
        self.run = added_in_place(self.run, self.reads)
        self.made = {n.out: n for n in self.run if isinstance(n, Eqn) and n.prim.single}
        self.inside = Counter(v for node in self.run for v in reads_of(node))
        self.instead = {
            n.target: n.value
            for n in self.rest
            if isinstance(n, Let) and not isinstance(n.value, Affine)
        }
        self.own = self._own()

    def _own(self) -> set[Var]:
        """The scalars that each round binds for itself."""
        own: set[Var] = set()
        touched: set[Var] = set()
        for node in self.run:
            touched.update(reads_of(node))
            for var in assigned(node):
                unread = self.reads[var] == self.inside[var]
                if isinstance(node, Let) and var not in touched and unread:
                    own.add(var)
                touched.add(var)
        return own

    def possible(self) -> bool:
        """Whether the left-out round may compute, and changes nothing but sums."""
        bound = {n.target for n in self.run if isinstance(n, Let)}
        if not all(isinstance(n, Let) and n.target in bound for n in self.rest):
            return False
        return len(self.instead) == len(self.rest) and all(map(self._may_run, self.run))

    def _may_run(self, node: Node) -> bool:
        if isinstance(node, Eqn):
            return not any(_divides_integers(node, v) for v in node.outputs)
        if isinstance(node, Load):
            return self._inside(node)
        if isinstance(node, Store):
            return node.op == "add" and self._inside(node) and _is_number(node.value)
        if isinstance(node, Accumulate):
            sums = node.op == "add" and _is_number(node.value)
            return sums or self._is_own(node)
        if isinstance(node, Let):
            chosen = node.target in self.instead and not isinstance(node.value, Affine)
            return self._stays(node) or chosen
        return False

    def _stays(self, node: Let) -> bool:
        """Whether a round binds a scalar for itself, or binds what the others do."""
        return node.target in self.own or (
            self.instead.get(node.target) is node.value is not None
        )

    def _inside(self, access: Load | Store) -> bool:
        """Whether there is such an element in the round left out, too."""
        pairs = zip(access.index, access.shape, strict=True)
        return all(self.ranges.inside(i.form, n) for i, n in pairs)

    def _chain(self, node: Let) -> list[tuple[Eqn, Atom, bool]]:
        """The additions that lead to a value from what stands in its place."""
        old, value = self.instead.get(node.target), node.value
        if not isinstance(old, Var) or not isinstance(value, Var):
            return []
        if self.reads[value] != 1 or not _is_number(value):
            return []
        return sum_chain(old, value, self.made, {}, self.inside)[0]

    def nodes(self) -> list[Node]:
        """What stands for the branch."""
        chains = {n: self._chain(n) for n in self.run if isinstance(n, Let)}
        terms = {eqn: (term, minus) for c in chains.values() for eqn, term, minus in c}
        named = {let.value: let.target for let, chain in chains.items() if chain}
        out: list[Node] = []
        for node in self.run:
            if isinstance(node, Eqn) and node in terms:
                term, minus = terms[node]
                pick = self._picked(term, minus)
                inputs = [pick.out if a is term else a for a in node.inputs]
                # The last addition has the name of the sum.
                outputs = [named.get(v, v) for v in node.outputs]
                out += [pick, replace(node, inputs=inputs, outputs=outputs)]
            elif isinstance(node, Let) and not self._stays(node):
                if not chains[node]:
                    out.append(self._either(node))
            elif isinstance(node, Store | Accumulate) and not self._is_own(node):
                pick = self._picked(node.value)
                out += [pick, replace(node, value=pick.out)]
            else:
                out.append(node)
        return out

    def _is_own(self, node: Node) -> bool:
        return isinstance(node, Accumulate) and node.target in self.own

    def _either(self, node: Let) -> Eqn:
        """A value, or the one that stands in its place."""
        assert not isinstance(node.value, Affine)
        choice = self._choice(node.value, self.instead[node.target])
        return replace(choice, outputs=[node.target])

    def _picked(self, term: Atom, minus: bool = False) -> Eqn:
        """A term of a sum, or in the round left out what changes none."""
        dtype = term.aval.dtype
        none = -0.0 if dtype.kind == "f" and not minus else 0
        return self._choice(term, Literal(dtype.type(none).item(), dtype))

    def _choice(self, usual: Atom, else_: Atom) -> Eqn:
        sides = [usual, else_] if self.then else [else_, usual]
        out = scalar_var(usual.aval.dtype)
        return Eqn(REGISTRY["select"], [self.branch.pred, *sides], [out])


def _is_number(atom: Atom) -> bool:
    return atom.aval.dtype.kind in "fiu"


def _divides_integers(eqn: Eqn, out: Var) -> bool:
    """Whether an equation may stop the machine: integers divided by zero."""
    return out.aval.dtype.kind in "iu" and eqn.prim.name not in SAFE


#: What integers may go through where the result is not used.
SAFE = {"add", "sub", "mul", "neg", "select", "maximum", "minimum"}

__all__ = ["select_rounds"]
