"""`python -m tests.corpus.faults`: are faults found by random programs, and how soon?

Plants every fault of the table, one at a time, in staging, rules, passes and lowering,
and judges random programs until one of them is wrong that is right without the fault.
Prints after how many programs that was. Exits with 1 if a fault stays hidden.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.corpus.generator import Writer
from tests.corpus.judge import CRASHED, RIGHT, UNFIT, WRONG
from tests.corpus.running import judge_text
from tracejit.backend.numba_source import Writer as SourceWriter
from tracejit.frontend import branches, fancy, probing
from tracejit.frontend.box import Box, copied
from tracejit.frontend.lens import Part, Reshaped
from tracejit.frontend.references import Either, References
from tracejit.ir.primitive import Mask
from tracejit.ir.program import Eqn, Literal, Program, Region, replace_region
from tracejit.ops import elementwise, index, promote, reduce, shape
from tracejit.ops.numpy_names import where
from tracejit.optimize import (
    array_rules,
    clean,
    forward,
    fuse,
    passes,
    pull,
)
from tracejit.optimize.buffers import Buffers
from tracejit.transform import residuals, transpose
from tracejit.transform.transpose import Transposer

#: Puts one thing in place of another: an object, the name of its attribute, the new
#: value as a function of the old one.
Change = tuple[Any, str, Callable[[Any], Any]]


@dataclass(frozen=True)
class Fault:
    """What is done wrong, and where; `compiled`: only compiled code shows it."""

    what: str
    changes: tuple[Change, ...]
    compiled: bool = False


FAULTS: list[Fault] = []


def fault(what: str, *changes: Change, compiled: bool = False) -> None:
    """Enter a fault into the table."""
    FAULTS.append(Fault(what, changes, compiled))


@contextmanager
def planted(one: Fault) -> Iterator[None]:
    """The fault is there in the block."""
    with ExitStack() as stack:
        for owner, name, change in one.changes:
            old = owner[name] if isinstance(owner, dict) else getattr(owner, name)
            if isinstance(owner, dict):
                stack.enter_context(patch.dict(owner, {name: change(old)}))
            else:
                stack.enter_context(patch.object(owner, name, change(old)))
        yield


def always(value: Any) -> Callable[[Any], Any]:
    """Whatever it was, now it is `value`."""
    return lambda old: value


# Staging ------------------------------------------------------------------------------


def _copies(old: Any) -> Any:
    def getitem(self: Box, key: Any) -> Any:
        out = old(self, key)
        is_view = type(out) is Box and (out.base is not None or out.one_of)
        return copied(out) if is_view else out

    return getitem


def _remembers(old: Any) -> Any:
    def read(self: Box) -> Any:
        cache = self._cache
        still = self.base is not None and cache and cache[0] is not None
        return cache[1] if still else old(self)

    return read


def _first_alone(self: Either, box: Box, atom: Any) -> None:
    one = self.boxes[0]
    one.write(where(self.flag(0), promote.convert(atom, one.aval.dtype), one.read()))


def _own_cells(old: Any) -> Any:
    def homes(self: Any, sights: Any, key: Any, sight: Any) -> Any:
        return [(key, True)] if sight.inner else [(None, True)]

    return homes


def _takes_last_for_invariant(old: Any) -> Any:
    def results(self: Any, probe: Any) -> Any:
        atoms = old(self, probe)
        return [*atoms[:-1], self.params[-1]] if atoms else atoms

    return results


def _loses_writes(old: Any) -> Any:
    def put(place: Any, *rest: Any) -> Any:
        return {} if isinstance(place, branches.Buffer) else old(place, *rest)

    return put


def _doubles(old: Any) -> Any:
    def spec(operand: Any) -> Any:
        found = old(operand)
        return np.dtype(float) if found is float else found

    return spec


def _ignores_the_index(old: Any) -> Any:
    def scatter(box: Any, entries: Any, value: Any, prim: str = "scatter_set") -> None:
        old(box, entries, value, "scatter_set")

    return scatter


def _starts_forwards(old: Any) -> Any:
    def after(self: Part, outer: Part) -> Part:
        part = old(self, outer)
        turned = [
            (s - (n - 1) * -t, -t) if n and t < 0 and isinstance(s, int) else (s, t)
            for s, n, t in zip(part.starts, part.sizes, part.steps, strict=True)
        ]
        return Part(
            part.base,
            tuple(s for s, _ in turned),
            part.sizes,
            tuple(t for _, t in turned),
        )

    return after


fault("a view is a copy", (Box, "__getitem__", _copies))
fault(
    "a view forgets to look whether its base was written to", (Box, "read", _remembers)
)
fault(
    "a reshape is a view, whatever the layout",
    (Box, "reshaped", always(lambda b, s: b.through(Reshaped(b.aval.shape, s)))),
)
fault(
    "a reshape is a copy, whatever the layout",
    (Box, "reshaped", lambda old: lambda b, s: copied(old(b, s))),
)
fault(
    "what may be the same array stays as it was after a write",
    (Box, "_outdate_twins", always(lambda self: None)),
)
fault(
    "only the first of several candidates is written",
    (Either, "write", always(_first_alone)),
)
fault(
    "two names of one new array get an array each", (References, "_homes", _own_cells)
)
fault(
    "a carried value is taken for an invariant",
    (probing.Loop, "results", _takes_last_for_invariant),
)
fault("an array written in a branch stays as it was", (branches, "put", _loses_writes))
fault(
    "a number of Python's makes single precision double",
    (promote, "dtype_spec", _doubles),
)
fault(
    "np.add.at adds once where an index is repeated",
    (fancy, "scatter", _ignores_the_index),
)
fault("part of a reversed view runs forwards", (Part, "after", _starts_forwards))


# Rules --------------------------------------------------------------------------------


def _one_axis_off(ct: Any, x: Any, shape: Any, axes: Any) -> Any:
    gone = [k for k in range(len(shape)) if k not in axes]
    other = (
        [k for k in range(len(shape)) if k not in gone and shape[k] == shape[gone[0]]]
        if gone
        else []
    )
    picked = [other[0], *gone[1:]] if other else gone
    return reduce.sum_(ct, axes=tuple(sorted(picked)))


def _ties_count_double(y: Any, inputs: Any, tangents: Any, axes: Any) -> Any:
    (x,), (t,) = inputs, tangents
    hit = elementwise.eq(x, reduce._spread(y, x, axes))
    return reduce.sum_(elementwise.select(hit, t, 0), axes=axes)


def _overwrites(
    x: Any, v: Any, *starts: Any, sizes: Any, steps: Any, inplace: bool = False
) -> Any:
    x = x if inplace else x.copy()
    x[index._key(starts, sizes, steps)] = v
    return x


def _chooses_at_once(self: Transposer, eqn: Eqn, k: int, ct: Any) -> Any:
    prim: Any = eqn.prim
    return prim.transpose_rule(k)(ct, *eqn.inputs, **eqn.params)


def _forwards(old: Any) -> Any:
    def emit_for(
        lo: Any, hi: Any, step: Any, inits: Any, region: Any, reverse: bool
    ) -> Any:
        return old(lo, hi, step, inits, region, False)

    return emit_for


def _hands_down_late(old: Any) -> Any:
    def hand_down(eqn: Eqn, var: Any, read: Any, last: Any) -> Any:
        old(eqn, var, read, last)
        return read

    return hand_down


def _previous_round(old: Any) -> Any:
    def tape(self: Any, var: Any, path: Any) -> Any:
        atom = old(self, var, path)
        eqn = (
            residuals.current().stack[-1][-1] if residuals.current().stack[-1] else None
        )
        if eqn is None or eqn.prim is not index.getitem or len(eqn.inputs) < 2:
            return atom
        start = eqn.inputs[1]
        if not isinstance(start, Literal):
            least = Literal(0, np.int64)
            eqn.inputs[1] = elementwise.maximum(elementwise.sub(start, 1), least)
            stack = residuals.current().stack[-1]
            stack.append(stack.pop(stack.index(eqn)))
        return atom

    return tape


def _rule(prim: Any, k: int, rule: Any) -> Change:
    return prim, "transposes", lambda old: {**old, k: rule}


fault(
    "minus is transposed as plus",
    (elementwise.sub, "partials", lambda old: (old[0], old[0])),
)
fault("acc_slice overwrites", (index.acc_slice, "impl", always(_overwrites)))
fault(
    "a broadcast is summed over the wrong axis",
    _rule(shape.broadcast, 0, _one_axis_off),
)
fault(
    "a tie of max counts for every one of them",
    (reduce.max_, "tangent", always(_ties_count_double)),
)
fault(
    "select gives its cotangent to both sides",
    (elementwise.select, "partials", always((None, lambda *_: 1, lambda *_: 1))),
)
fault(
    "select gives its cotangent to the wrong side",
    (
        elementwise.select,
        "partials",
        always((None, lambda y, p, a, b: Mask(p, False), lambda y, p, a, b: Mask(p))),
    ),
)
fault(
    "cumsum is transposed as itself",
    _rule(
        reduce.cumsum,
        0,
        lambda ct, x, axis, reverse: reduce.cumsum(ct, axis=axis, reverse=reverse),
    ),
)
fault(
    "the side that np.where did not take leaks its NaN",
    (Transposer, "transposed", always(_chooses_at_once)),
)
fault("a reversed loop runs forwards", (transpose, "emit_for", _forwards))
fault(
    "what a write replaced keeps its cotangent",
    _rule(index.setitem, 0, lambda ct, *_, **__: ct),
)
fault(
    "all writes to one cell get its cotangent",
    _rule(
        index.scatter_set, 1, lambda ct, x, v, *i, axes: index.gather(ct, *i, axes=axes)
    ),
)
fault(
    "a residual is that of the round before", (residuals, "hand_down", _hands_down_late)
)
fault("a tape is read a round too early", (residuals.Supplier, "tape", _previous_round))


# Passes -------------------------------------------------------------------------------


def _everywhere(change: Callable[[Region], list[Eqn]]) -> Callable[[Program], Program]:
    """A pass that changes the equations of every region, the inner ones first."""

    def region(old: Region) -> Region:
        eqns = [
            Eqn(
                e.prim,
                e.inputs,
                e.outputs,
                e.params,
                list(map(region, e.regions)),
                e.loc,
                e.origin,
            )
            for e in old.eqns
        ]
        new = Region(old.params, eqns, list(old.results))
        new.eqns = change(new)
        return new

    return lambda program: replace_region(program, region(program.region))


def _reads(eqns: list[Eqn], old: Any, new: Any) -> None:
    """Have equations read one value in place of another."""
    for eqn in eqns:
        eqn.inputs = [new if a is old else a for a in eqn.inputs]


def _drops_a_write(region: Region) -> list[Eqn]:
    """The last write of a region that another write follows is dead to it."""
    writes = [e for e in region.eqns if e.prim is index.setitem]
    for eqn, after in itertools.pairwise(writes):
        if after.inputs[0] is eqn.out:
            after.inputs = [eqn.inputs[0], *after.inputs[1:]]
    return region.eqns


def _hoists_reads(region: Region) -> list[Eqn]:
    """Have a loop read what it writes to as it was before."""
    for loop in region.eqns:
        if loop.prim.name == "for":
            inits = zip(loop.regions[0].params[1:], loop.inputs[3:], strict=True)
            for param, init in inits:
                reads = [e for e in loop.regions[0].eqns if e.prim is index.getitem]
                _reads([e for e in reads if e.inputs[0] is param], param, init)
    return region.eqns


def _with_pass(change: Callable[[Region], list[Eqn]]) -> Change:
    extra = [("fault", _everywhere(change))]
    return passes, "PASSES", lambda old: [*extra, *old]


def _key_without_params(old: Any) -> Any:
    def key(eqn: Eqn) -> Any:
        found = old(eqn)
        return found and (found[0], found[1], tuple(str(v.aval) for v in eqn.outputs))

    return key


fault("a write that another one follows is dead", _with_pass(_drops_a_write))
fault("what a loop writes to is read in front of it", _with_pass(_hoists_reads))
fault(
    "equations of other parameters compute the same",
    (clean, "key_of_eqn", _key_without_params),
)
fault(
    "parts of one array are always apart", (forward, "_apart", always(lambda *_: True))
)
fault(
    "what is read is always what was written last",
    (
        forward,
        "_same_part",
        always(lambda a, b, view: a.out.aval.shape == b.inputs[1].aval.shape),
    ),
)


# Lowering -----------------------------------------------------------------------------


def _forward_steps(old: Any) -> Any:
    def part_index(body: Any, starts: Any, eqn: Eqn, place: Any) -> Any:
        sizes, steps = eqn.params["sizes"], eqn.params["steps"]
        inner, out = iter(place), []
        for start, size, step in zip(starts, sizes, steps, strict=True):
            offset = body.as_index(start)
            if size is None:
                out.append(offset)
                continue
            first = offset - (int(size) - 1) * -int(step) if step < 0 else offset
            out.append(first + next(inner).times(abs(int(step))))
        return tuple(out)

    return part_index


def _starts_at_one(old: Any) -> Any:
    def first_of(eqn: Eqn) -> Literal:
        first = old(eqn)
        return Literal(1.0, first.aval.dtype) if eqn.prim.name == "sum" else first

    return first_of


def _flips_one_off(old: Any) -> Any:
    def at(body: Any, eqn: Eqn, place: Any) -> Any:
        return body.at(eqn.inputs[0], place)

    return at


fault(
    "a negative step goes forwards", (pull, "part_index", _forward_steps), compiled=True
)
fault("sums start from 1", (array_rules, "first_of", _starts_at_one), compiled=True)
fault(
    "adding to an element replaces it",
    (
        SourceWriter,
        "combined",
        lambda old: lambda self, op, was, value: self.atom(value),
    ),
    compiled=True,
)
fault(
    "a buffer is used again while it is alive",
    (Buffers, "alive", always(lambda *_: False)),
    compiled=True,
)
fault(
    "a fused loop reads what it has written",
    (fuse, "_same_lane", always(lambda *_: True)),
    compiled=True,
)


# Finding them -------------------------------------------------------------------------


def found_after(one: Fault, seed: int, most: int) -> tuple[int, str] | None:
    """How many programs it takes to find a fault, and what the last one shows."""
    backend = "numba" if one.compiled else "numpy"
    tried = 0
    for k in itertools.count(seed):
        if tried >= most:
            return None
        text = Writer(k).text
        with planted(one):
            verdict = judge_text(text, backend, 30.0)
        tried += verdict.kind != UNFIT
        if verdict.kind in (WRONG, CRASHED) and judge_text(text, backend).kind == RIGHT:
            return tried, verdict.kind
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.corpus.faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=1000, help="programs for each")
    parser.add_argument("--only", default="", help="faults whose text has this in it")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    hidden = 0
    for one in [f for f in FAULTS if options.only in f.what]:
        began = time.perf_counter()
        found = found_after(one, options.seed, options.most)
        seconds = time.perf_counter() - began
        hidden += found is None
        count, kind = found or (options.most, "HIDDEN")
        print(f"{count:6d}  {kind:8s} {seconds:6.1f} s  {one.what}", flush=True)
    print(f"{len(FAULTS)} faults, {hidden} hidden")
    sys.exit(bool(hidden))


if __name__ == "__main__":
    main()
