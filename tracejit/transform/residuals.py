"""Supplying the primal values that a derivative reads.

A transposed loop, or a linear one that stands apart from its primal, names variables
that are local to the primal loop's body. Each is supplied in the first way that fits:

    captured     it is bound outside the loop, or is the loop's index
    recomputed   by cheap equations, from the index, captured or other residuals
    read again   an array still has it when the loops have run: see `reread`
    handed down  what an iteration carries out is what the next one carries in, so
                 if that is taped, going backwards it is the value read last
    undone       an array that is overwritten piece by piece: see `undo`
    taped        saved in an array indexed by the enclosing loops' counters

Which values are taped is a minimum vertex cut (`cut`) between what cannot be
recomputed and what is needed, weighted by bytes. Tapes are ordinary arrays, zero at
the top of the Program and carried through every loop and branch down to the variable
that they save, so that nesting and second order need no rules of their own.

A loop whose number of trips is known only when it has run makes its tapes growable:
their rows are counted by a pointer, carried through the loops outside it, whose value
on entry to the loop is a residual like any other. A growable array made inside of a
loop, as by the derivative of a function called there, cannot be saved round by round:
what made it is run again, loops and all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from functools import cached_property
from typing import Any

from tracejit.base.errors import UnsupportedError
from tracejit.ir.aval import GROW, Aval
from tracejit.ir.builder import building
from tracejit.ir.program import (
    Atom,
    Eqn,
    Region,
    Var,
    clone_eqn,
    substitute,
    walk,
)
from tracejit.ops.control import cond, for_, known_range, rows_of
from tracejit.ops.index import getitem, setitem
from tracejit.transform.cut import min_vertex_cut
from tracejit.transform.decisions import Decisions
from tracejit.transform.reread import Reading, Rereader
from tracejit.transform.threads import (
    INT,
    Index,
    Path,
    Thread,
    loop_index,
    tape_slice,
)
from tracejit.transform.undo import (
    WRITES,
    Chain,
    bare,
    chain_of,
    in_order,
    mirrored,
    place_of,
    read_before,
    slot_of,
)

#: Recomputing costs at most this many flops per element and equation.
CHEAP = 3

#: The weight of a growable array, of which there can be no tape.
HUGE = 1 << 60

#: The transposed loops and branches from the outermost inwards, each with its region.
Way = tuple[tuple[Eqn, Region], ...]


class Supplier:
    """Supplies residuals to the transposed regions in `pairs`; see the module.

    `region` is the Program's, which the regions in `pairs` derive from.
    """

    def __init__(self, pairs: dict[Eqn, Eqn], region: Region):
        self.pairs = pairs
        self.region = region
        self.decisions = Decisions(region)
        self.threads: list[Thread] = []
        self.tapes: dict[Var, Thread] = {}
        self.pointers: dict[Eqn, Thread] = {}
        #: Pointers' parameters, by the body of the loop that carries them.
        self.extra: dict[Region, list[Var]] = {}
        #: What transposed loops and branches put back: by slot, as it was before them.
        self.undone: dict[tuple[Eqn, int], Var] = {}
        #: Versions of arrays that are undone in a transposed region.
        self.fading: dict[Region, set[Var]] = {}
        #: What the primal reads before a write replaces it.
        self.replaced: dict[Eqn, Var] = {}

    def supply(self, eqns: Iterable[Eqn], path: Path = (), way: Way = ()) -> None:
        """Rewrite the transposed regions among `eqns` so that they read tapes."""
        for eqn in eqns:
            if eqn not in self.pairs:
                continue
            levels = [
                (region, (*path, (self.pairs[eqn], which)), (*way, (eqn, region)))
                for region, which in mirrored(eqn, self.pairs[eqn])
            ]
            # Innermost first: what an inner region recomputes from is needed here.
            for region, inner, inner_way in levels:
                self.supply(region.eqns, inner, inner_way)
            for region, inner, inner_way in levels:
                for k in self.undoable(region, inner, inner_way):
                    if (eqn, k) not in self.undone:
                        self.undo(eqn, k, path, way)
            self.provide(eqn, path, way)
            if not path:
                self.decisions.captured(eqn)

    def needed(self, region: Region, path: Path) -> tuple[list[Var], set[Var]]:
        """What a region reads of those local to the end of a path, and all of them."""
        primal, which = path[-1]
        body = primal.regions[which]
        bound = {v for eqn in body.eqns for v in eqn.outputs}
        bound.update(body.params)
        bound.update(self.extra.get(body, ()))
        if primal.prim is not cond:
            bound.discard(loop_index(primal))
        return [v for v in region.free_vars() if v in bound], bound

    def provide(self, eqn: Eqn, path: Path, way: Way) -> None:
        """Tape or recompute what the regions of a transposed equation still lack."""
        for region, which in mirrored(eqn, self.pairs[eqn]):
            inner = *path, (self.pairs[eqn], which)
            self.provide_region(inner, (*way, (eqn, region)))

    def provide_region(self, path: Path, way: Way) -> None:
        eqn, region = way[-1]
        primal, which = path[-1]
        needed, bound = self.needed(region, path)
        if not needed:
            return
        fading = self.fading.get(region, set())
        body = primal.regions[which]
        rather = self.rather_saved(path, way)
        still = self.still_there(path)
        taped, recomputed = plan(body, bound - fading, needed, rather, still, fading)
        again = {v: r for v in taped if (r := still(v)) is not None}
        taped = [v for v in taped if v not in again]
        env: dict[Var, Atom] = {}
        handed = handed_down(primal, taped) if _runs_backwards(eqn, primal) else {}
        with building() as builder, builder.open() as reads:
            for var, reading in again.items():
                env[var] = reading.emit()
                self.decisions.read_again(var, reading.array)
            for var in taped:
                if var not in handed:
                    env[var] = self.tape(var, path)
                    self.decisions.taped(var, self.tapes[var].aval)
            for var, (entering, leaving) in handed.items():
                env[var] = hand_down(eqn, var, env[entering], leaving)
                self.decisions.handed_down(var)
            rest = [var for var in needed if var not in env]
            self.decisions.recomputed(rest, recomputed, env)
            reads += _run_again(recomputed, env, exactly=_decides(region))
        substitute_in(region, env)
        region.eqns[:0] = reads

    @cached_property
    def rereader(self) -> Rereader:
        return Rereader(self.region)

    def still_there(self, path: Path) -> Callable[[Var], Reading | None]:
        """How what is bound at the end of a path can be read when all has run.

        An array of a round further out is saved for it, if it is no larger than all
        that is read, or not by much.
        """

        def still(var: Var) -> Reading | None:
            reading = self.rereader.reading(var, path)
            if reading is not None and reading.depth:
                saved = saved_bytes(var, path[reading.depth :])
                if 2 * saved < reading.array.aval.nbytes:
                    return None
            return reading

        return still

    def rather_saved(self, path: Path, way: Way) -> Callable[[Var, Var], bool]:
        """Whether a part of what is bound around is better saved than read again.

        It is where that has the whole array saved, and where the parts of all rounds
        are less than half of it. Indices are not counted: derivatives have them, too.
        """
        depths: dict[Var, int] = {}
        for depth, (eqn, which) in enumerate(path[:-1], 1):
            body = eqn.regions[which]
            found = [*body.params, *(v for e in body.eqns for v in e.outputs)]
            depths |= dict.fromkeys(found, depth)
            if eqn.prim is not cond:
                del depths[loop_index(eqn)]

        def rather(part: Var, whole: Var) -> bool:
            depth = depths.get(whole)
            if depth is None or not _is_part(part, whole):
                return False
            little = 2 * saved_bytes(part, path[depth:]) < whole.aval.nbytes
            if not (little or whole.aval.grows):  # there is no tape of tapes
                return False
            return self.slot(whole, path[:depth], way[:depth]) is None

        return rather

    # Undoing writes (see `undo`) ------------------------------------------------------

    def undoable(self, region: Region, path: Path, way: Way) -> list[int]:
        """The slots whose arrays are better put back than saved."""
        primal, which = path[-1]
        needed, bound = self.needed(region, path)
        if not any(v.aval.shape for v in needed):
            return []
        rather = self.rather_saved(path, way)
        still = self.still_there(path)
        taped, _ = plan(primal.regions[which], bound, needed, rather, still)
        slots = [self.slot(v, path, way) for v in taped if v.aval.shape]
        return list(dict.fromkeys([k for k in slots if k is not None]))

    def slot(self, var: Var, path: Path, way: Way) -> int | None:
        """The slot that an array is in, if it has one of every loop all the way out."""
        (primal, which), (eqn, region) = path[-1], way[-1]
        found = slot_of(primal, which, var)
        if found is None:
            return None
        k, chain = found
        if primal.prim is not cond and not _runs_backwards(eqn, primal):
            return None
        if not in_order(region.eqns, chain, self.pairs):
            return None
        if len(path) > 1 and self.slot(primal.outputs[k], path[:-1], way[:-1]) is None:
            return None
        return k

    def undo(self, eqn: Eqn, k: int, path: Path, way: Way) -> Var:
        """Have a transposed loop or branch carry slot `k` of its primal back.

        Returns the array that the primal began with. Its regions read primal variables
        for this that are yet to be provided.
        """
        primal = self.pairs[eqn]
        last = primal.outputs[k]
        out = self.undone[eqn, k] = Var(last.aval, last.hint)
        for region, which in mirrored(eqn, self.pairs[eqn]):
            body = primal.regions[which]
            chain = chain_of(body, body.results[k])
            assert chain is not None
            start = last if primal.prim is cond else Var(last.aval, last.hint)
            inner = *path, (primal, which)
            first = self.put_back(chain, start, inner, (*way, (eqn, region)))
            if primal.prim is not cond:
                eqn.inputs.append(last)
                region.params.append(start)
            region.results.append(first)
        eqn.outputs.append(out)
        return out

    def put_back(self, chain: Chain, start: Var, path: Path, way: Way) -> Atom:
        """Undo the steps of a chain in a transposed region; its first version."""
        (primal, which), (_, region) = path[-1], way[-1]
        versions: dict[Var, Atom] = {chain.versions[0]: start}
        self.fading.setdefault(region, set()).update(chain.versions)
        current = start
        for k, step in enumerate(chain.steps):
            at = place_of(region.eqns, chain, k, self.pairs)
            if step.prim in WRITES:
                if step not in self.replaced:
                    self.replaced[step] = read_before(step, primal.regions[which])
                with building() as builder, builder.open() as eqns:
                    old = self.tape(self.replaced[step], path)
                    saved = self.tapes[self.replaced[step]].aval
                    self.decisions.undone(chain.versions[k], saved)
                    current = setitem(current, old, *step.inputs[2:], **step.params)
                region.eqns[at:at] = eqns
            else:
                current = self.put_back_through(at, step, chain.versions[k], path, way)
            versions[chain.versions[k + 1]] = current
        substitute_in(region, versions)
        return versions[chain.first]

    def put_back_through(
        self, at: int, step: Eqn, version: Var, path: Path, way: Way
    ) -> Var:
        """Undo what a loop or branch wrote, by its transpose, or by one made for it."""
        _, region = way[-1]
        mirrors = (e for e in region.eqns if self.pairs.get(e) is step)
        turned = next(mirrors, None)
        if turned is None:
            turned = bare(step)
            self.pairs[turned] = step
            region.eqns.insert(at, turned)
        slot = step.outputs.index(version)
        if (turned, slot) not in self.undone:
            self.undo(turned, slot, path, way)
            self.provide(turned, path, way)
        return self.undone[turned, slot]

    def tape(self, var: Var, path: Path) -> Atom:
        """Have `var` saved at the end of `path`; emit its reading."""
        if var not in self.tapes:
            if var.aval.grows:
                raise UnsupportedError(
                    "a derivative of this order needs a tape of tapes, for a loop "
                    "whose length follows from the data",
                    path[-1][0].loc,
                    "give the loop a number of rounds that shapes and numbers fix",
                )
            index = self.index(path)
            aval = var.aval.update(shape=(*index.dims, *var.aval.shape))
            self.tapes[var] = Thread(path, aval, saved=var, index=index)
            self.threads.append(self.tapes[var])
        thread = self.tapes[var]
        index = thread.index  # type: ignore[assignment]
        if not index.dims:
            return thread.final
        starts, sizes = tape_slice(index, var)
        steps = (1,) * len(sizes)
        return getitem(thread.final, *starts, sizes=sizes, steps=steps)

    def index(self, path: Path) -> Index:
        dims: list[int] = []
        parts: list[tuple[str, Any]] = []
        for depth, (eqn, _) in enumerate(path):
            if eqn.prim is cond:
                continue
            known = known_range(eqn)
            if known is None:
                # Rows are counted from here on: what was outside is in the pointer.
                dims, parts = [GROW], [("row", (eqn, self.pointer(path[:depth], eqn)))]
                continue
            low, _, step = known
            dims.append(rows_of(known))
            parts.append(("offset", (loop_index(eqn), low, step)))
        return Index(tuple(dims), parts)

    def pointer(self, path: Path, eqn: Eqn) -> Thread | None:
        """The count of rows on entry to `eqn`; None where that is 0."""
        loops = [e for e, _ in path if e.prim is not cond]
        if not loops:
            return None
        if eqn not in self.pointers:
            thread = Thread(path, Aval(INT), counts=eqn)
            self.pointers[eqn] = thread
            self.threads.append(thread)
            body = loops[-1].regions[-1]
            self.extra.setdefault(body, []).append(thread.inner)
        return self.pointers[eqn]


def saved_bytes(var: Var, path: Path) -> int:
    """What the tape of a variable takes; 0 where the number of rounds is not known."""
    count = var.aval.nbytes
    for eqn, _ in path:
        if eqn.prim is not cond:
            known = known_range(eqn)
            count *= 0 if known is None else rows_of(known)
    return count


def _runs_backwards(eqn: Eqn, primal: Eqn) -> bool:
    """Whether a loop goes through the rounds of its primal in the opposite order."""
    return eqn.params.get("reverse", False) != primal.params.get("reverse", False)


def handed_down(primal: Eqn, taped: Sequence[Var]) -> dict[Var, tuple[Var, Var]]:
    """Of a loop's taped variables, those carried out of a slot whose entry is taped.

    Each comes with what the slot carries in and with its value after the loop.
    """
    if primal.prim is cond:
        return {}
    body = primal.regions[-1]
    carried = body.params[1:] if primal.prim is for_ else body.params
    slots = zip(carried, body.results, primal.outputs, strict=True)
    return {
        leaving: (entering, last)
        for entering, leaving, last in slots
        if isinstance(leaving, Var)
        and leaving is not entering
        and leaving not in body.params
        and {entering, leaving} <= set(taped)
    }


def hand_down(eqn: Eqn, var: Var, read: Atom, last: Var) -> Var:
    """Carry `read`, of this iteration, to the one run next, the one before it."""
    (region,) = eqn.regions
    handed = Var(var.aval, var.hint)
    eqn.inputs.append(last)
    eqn.outputs.append(Var(var.aval, var.hint))
    region.params.append(handed)
    region.results.append(read)
    return handed


def _run_again(eqns: list[Eqn], env: dict[Var, Atom], exactly: bool) -> list[Eqn]:
    """Copies of primal equations; `env` grows by what they compute.

    Unless it must come out `exactly` as in the primal, this is derivative code, whose
    rounding is ours: it has an origin.
    """
    inner = dict(env)  # grows by what regions bind, too: indices that others share
    copies = [clone_eqn(eqn, inner) for eqn in eqns]
    env.update((v, inner[v]) for eqn in eqns for v in eqn.outputs)
    if not exactly and not any(_chooses(eqn) for eqn in eqns):
        for copy, eqn in zip(copies, eqns, strict=True):
            copy.origin = eqn
    return copies


def _decides(region: Region) -> bool:
    """Whether a transposed region decides anything by primal values."""
    return any(_chooses(eqn) for eqn in walk(region))


def _chooses(eqn: Eqn) -> bool:
    """Whether a float enters a comparison, a rounding or a branch."""
    return any(a.aval.inexact for a in eqn.inputs) and any(
        not v.aval.inexact for v in eqn.outputs
    )


def plan(
    body: Region,
    bound: set[Var],
    needed: Sequence[Var],
    rather_saved: Callable[[Var, Var], bool] = lambda part, whole: False,
    still_there: Callable[[Var], Any] = lambda var: None,
    fading: Set[Var] = frozenset(),
) -> tuple[list[Var], list[Eqn]]:
    """What to tape, and the equations that recompute the rest of `needed`.

    What is bound outside can be read, unless its part is `rather_saved`; so can, free
    of cost, what is `still_there`. Nothing is recomputed from arrays that are `fading`:
    undone on the way back.
    """
    defs = {v: eqn for eqn in body.eqns for v in eqn.outputs}
    sources, edges = [], []
    free: set[Var] = set()
    seen: set[Var] = set()
    stack = list(needed)
    while stack:
        var = stack.pop()
        if var in seen:
            continue
        seen.add(var)
        if still_there(var) is not None:
            free.add(var)
            sources.append(var)
            continue
        eqn = defs.get(var)
        runs = eqn is not None and (is_cheap(eqn) or var.aval.grows)
        if eqn is None or not runs or not fading.isdisjoint(eqn.uses()):
            sources.append(var)
            continue
        for source in eqn.uses():
            if source in bound or rather_saved(var, source):
                edges.append((source, var))
                stack.append(source)
    weights = {v: HUGE if v.aval.grows else max(v.aval.nbytes, 1) for v in seen}
    weights |= dict.fromkeys(free, 0)
    saved = min_vertex_cut(weights, edges, sources, needed)
    recompute: set[Eqn] = set()
    stack = [v for v in needed if v not in saved]
    while stack:
        eqn = defs[stack.pop()]
        if eqn in recompute:
            continue
        recompute.add(eqn)
        stack += [v for v in eqn.uses() if v in bound and v not in saved]
    order = {v: k for k, v in enumerate([*body.params, *defs])}
    taped = sorted(saved & bound, key=lambda v: order.get(v, -1))
    return taped, [eqn for eqn in body.eqns if eqn in recompute]


def _is_part(var: Var, source: Var) -> bool:
    """Whether a value has fewer bytes than what it is computed from."""
    return source.aval.grows or source.aval.nbytes > var.aval.nbytes


def is_cheap(eqn: Eqn) -> bool:
    """Whether an equation may be run again going backwards."""
    prim = eqn.prim
    if eqn.regions or prim.updates:
        return False
    return prim.cost <= CHEAP or all(map(_is_integer, (*eqn.inputs, *eqn.outputs)))


def _is_integer(atom: Atom) -> bool:
    """Whether it is such as an index is computed from: never dear."""
    return not atom.aval.shape and atom.aval.dtype.kind in "iu"


def substitute_in(region: Region, env: dict[Var, Atom]) -> None:
    """Replace uses in place: transposed regions belong to us alone."""
    for eqn in region.eqns:
        eqn.inputs = substitute(eqn.inputs, env)
        for inner in eqn.regions:
            substitute_in(inner, env)
    region.results = substitute(region.results, env)
