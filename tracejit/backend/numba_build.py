"""From a Program to a function on arrays, by way of source text and object code."""

from __future__ import annotations

import ctypes
import importlib
import linecache
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.backend import blas, object_cache
from tracejit.backend.call_plan import Call, Given, Leaf, Reading, placed
from tracejit.backend.helpers import plain_globals
from tracejit.backend.numba_source import Source, write
from tracejit.backend.object_cache import ObjectCode
from tracejit.backend.vector_math import Library
from tracejit.backend.workspace import claim, give, take
from tracejit.base.config import config
from tracejit.base.errors import InternalError, OutOfRoomError
from tracejit.base.garbage import uncollected
from tracejit.ir.aval import Aval
from tracejit.ir.cost import flops, growing_bytes
from tracejit.ir.program import Literal, Note, Program, Var
from tracejit.optimize.lower import lower
from tracejit.optimize.nest import Buffer, Loop, Size
from tracejit.optimize.traffic import bytes_moved
from tracejit.optimize.walks import everything

_lock = threading.RLock()
_loaded: dict[tuple[str, bool, bool], Any] = {}
_compiled = 0
#: Temporaries start at multiples of this many bytes: a cache line.
_ALIGN = 64
#: And not so near the same place in another page of memory: a processor takes a load
#: there for one of what it has just stored, and waits.
_PAGE, _APART = 4096, 5 * _ALIGN
#: Results between these sizes, in bytes, are recycled.
LARGE, HUGE = 1 << 16, 1 << 27
#: Operations that are done sooner than the GIL is given away and taken back.
BRIEF = 1000
#: References to a recycled result: the dictionary's, a local name's, the call's.
_OURS = 3


def compile_count() -> int:
    """How many kernels this process has compiled (not loaded from disk)."""
    return _compiled


def compile_program(
    program: Program,
    *,
    fastmath: bool = False,
    exact: bool = False,
    threads: int = 1,
) -> Compiled:
    """A Program as native code. Programs that differ only in sizes share it.

    `exact`: exp, log and their like are the C library's scalar functions.
    """
    with uncollected():
        source = _written(program, threads, fastmath)
    return Compiled(program, source, _entry(source, fastmath, exact))


def workspace(source: Source) -> tuple[list[tuple[int, int]], int]:
    """Temporaries lie behind one another in one block, which calls reuse.

    Returns which of the kernel's arguments begin where in it, and its bytes.
    """
    offsets, size = [], 0
    for k, argument in enumerate(source.arguments):
        if isinstance(argument, Buffer) and argument.role == "temporary":
            offsets.append((k, size))
            size += _padded(argument.aval.nbytes)
    return offsets, size


@dataclass(frozen=True)
class Needs:
    """What running a Program takes beside its arguments, in bytes; see `needs`."""

    moved: float
    results: int
    workspace: int
    growing: float


def needs(program: Program, threads: int = 1) -> Needs:
    """What calls of the Program's kernel will take, which is not compiled for it."""
    source = _written(program, threads)
    made = {b for b in source.kernel.results if b.role == "output"}
    return Needs(
        bytes_moved(source.kernel),
        sum(b.aval.nbytes for b in made),
        workspace(source)[1],
        sum(growing_bytes(tape.aval) for tape in source.tapes),
    )


def remarks(program: Program, threads: int) -> tuple[list[Note], list[Note]]:
    """Why arrays of the Program's kernel are stored, or computed several times; and
    which of its loops run on threads, and why others do not."""
    kernel = _written(program, threads).kernel
    loops = (n for n in everything(kernel.body) if isinstance(n, Loop) and n.remark)
    shared = {(n.loc.line, n.remark): Note("", n.remark, n.loc) for n in loops}
    return kernel.notes, list(shared.values())


def _written(program: Program, threads: int = 1, fast: bool = False) -> Source:
    routines = bool(blas.addresses())
    return write(lower(program, blas=routines, threads=threads, fast=fast))


def _entry(source: Source, fastmath: bool, exact: bool) -> Any:
    """Native code for a source text: loaded before, or from disk, or compiled."""
    with _lock:
        library_only = exact or not config().vector_math
        key = source.key, fastmath, library_only
        if key not in _loaded:
            objects = importlib.import_module("tracejit.backend.object_code")
            library = Library() if library_only else objects.vector_library()
            made = _object_code(source, fastmath, library, objects)
            _loaded[key] = objects.Entry(made.code, made.symbol, source.signature)
        return _loaded[key]


def _object_code(
    source: Source, fastmath: bool, library: Library, objects: Any
) -> ObjectCode:
    """From disk if it is there and can run in this process, else compiled."""
    global _compiled
    parts = source.key, str(fastmath), *objects.host(), *library.key()
    key = object_cache.content_key(*parts)
    made = object_cache.load(key)
    if made is None or not all([objects.resolves(name) for name in made.needs]):
        # Numba is imported here alone: a warm start does without.
        compiler = importlib.import_module("tracejit.backend.numba_compile")
        known = compiler.kernel_globals(library, source.text)
        made = compiler.compile_object(source.text, known, source.signature, fastmath)
        _compiled += 1
        # Of every one: what is asked for is made known.
        if all([objects.resolves_alone(name) for name in made.needs]):
            object_cache.save(key, made)
    return made


def python_function(source: Source) -> Callable[..., int]:
    """The text as a Python function, with its lines known to tracebacks."""
    filename = f"<tracejit {source.name} {source.key[:12]}>"
    lines = source.text.splitlines(keepends=True)
    linecache.cache[filename] = (len(source.text), None, lines, filename)
    namespace = plain_globals(source.text)
    exec(compile(source.text, filename, "exec"), namespace)
    return namespace[source.name]


class Compiled:
    """A Program's native code. Call it with a list of arguments.

    `source` is the kernel's text, `kernel_key` the name that equal kernels share.
    """

    def __init__(self, program: Program, source: Source, entry: Any):
        self.entry = entry
        self.source = source.text
        self.kernel_key = source.key
        self.copies_in_loops = source.kernel.copies_in_loops
        self.failures = source.kernel.failures
        self.inputs = [v.aval for v in program.inputs]
        self.results = source.kernel.results
        self._text = source
        self._fixed = [_fixed(a) for a in source.arguments]
        #: Arrays among the inputs that are written to in place, and numbers (arrays
        #: without axes) that are results, the last ones.
        self.written = [k for k in program.writes if self.inputs[k].shape]
        self.stored = [k for k in program.writes if not self.inputs[k].shape]
        inputs = list(enumerate(self.inputs))
        by_address = [(k, a) for k, a in inputs if a.shape or a.dtype.kind == "c"]
        self._arrays = [(k, tuple(a.shape), a.dtype) for k, a in by_address]
        by_value = [(k, a) for k, a in inputs if not a.shape and a.dtype.kind != "c"]
        self._numbers = [(k, _NUMBER[a.dtype.kind]) for k, a in by_value]
        self._made = list(dict.fromkeys(self.results))
        order = [self._made.index(b) for b in self.results]
        self._order = order if order != list(range(len(self._made))) else None
        self._last_results: dict[Buffer, np.ndarray] = {}
        self._brief = _is_brief(program)
        self._offsets, self.workspace_bytes = workspace(source)
        #: Bytes of a block of memory that has room for it, wherever that begins.
        self._room = self.workspace_bytes + _ALIGN if self._offsets else 0
        if self._room:
            claim(self, self._room)

    def __call__(self, args: Sequence[Any]) -> list[Any]:
        """Fresh results: arrays, or NumPy scalars where the shape is ().

        Inputs that the Program writes to are written to.
        """
        values = self._fixed[:]
        kept = self._put_inputs(values, args)
        made = [self._new_result(b) for b in self._made]
        for k, result in enumerate(made, len(self.inputs)):
            values[k] = address_of(result)
        block = None
        if self._offsets:
            block = take(self._room)
            self._place_temporaries(values, address_of(block))
        number = self.entry(values)
        if block is not None:
            give(block)
        if number:
            self.fail(number)
        for k in self.written:
            if kept[k] is not args[k]:
                args[k][...] = kept[k]
        del kept
        results = [made[k] for k in self._order] if self._order else made
        if self.stored:
            count = len(results) - len(self.stored)
            for k, result in zip(self.stored, results[count:], strict=True):
                args[k][...] = result
            results = results[:count]
        return [r if r.ndim else r[()] for r in results]

    def fail(self, status: int) -> None:
        """Raise what a status other than 0 stands for."""
        raise self.failures[status - 1].exception()

    def miss(self, status: int) -> Any:
        """What a call by the entry in C raises, which more room is no business of."""
        failure = self.failures[status - 1]
        if failure.kind is OutOfRoomError and not self.written:
            return NotImplemented
        return failure.exception()

    def fast_entry(
        self,
        reading: Reading,
        arrange: Callable[..., Any],
        exclusive: Sequence[int],
        out: tuple[int, Any] | None = None,
    ) -> Callable[..., Any] | None:
        """Calls from their arguments to what they return, as a builtin function.

        `reading` tells how the inputs are found; `arrange(results, inputs, wrap)` is
        what a call returns, every result wrapped by `wrap(kind, result)`; `exclusive`
        inputs share no memory with others; `out` are arrays for the results, and the
        number of this object. None where `tracejit.backend.fast_entry` cannot serve.
        """
        fast = importlib.import_module("tracejit.backend.fast_entry")
        kinds = self._text.signature
        copied = [reading.inputs[k][0] in reading.origins for k in self.written]
        if any(copied) or (exclusive and reading.origins):
            return None  # what is written to is not what the kernel gets
        if "complex128" in kinds or self.stored:  # a number of two words
            return None
        slots = [
            0 if value is None else fast.word_of(value, kind)
            for value, kind in zip(self._fixed, kinds, strict=True)
        ]
        results = [(b.aval.dtype, tuple(b.aval.shape)) for b in self._made]
        inputs = [(a.dtype, tuple(a.shape)) for a in self.inputs]
        call = Call(
            run=self.entry.run,
            fail=self.miss,
            slots=slots,
            reading=reading,
            inputs=[(k, *i) for k, i in enumerate(inputs)],
            results=[(k, *r) for k, r in enumerate(results, len(inputs))],
            written=self.written,
            exclusive=exclusive,
            recycled=[k for k, b in enumerate(self._made) if _is_recycled(b)],
            temporaries=self._offsets,
            room=self._room,
            owner=self.entry,
            brief=self._brief,
        )
        self._last_results.clear()
        order = self._order or range(len(self._made))
        given = [Given(reading.origins.get(n, n)) for n, _ in reading.inputs]
        tree = arrange(list(order), given, Leaf)
        if out is not None:
            number, arrays = out
            try:
                tree = placed(tree, arrays, number, reading)
            except ValueError:
                return None
        return fast.fast_entry(call, tree)

    @staticmethod
    def call_address() -> int:
        """Of the C function that objects with such an entry are called by."""
        fast = importlib.import_module("tracejit.backend.fast_entry")
        return int(fast.call_address())

    def _put_inputs(
        self, values: list[Any], args: Sequence[Any]
    ) -> dict[int, np.ndarray]:
        """Enter the arguments; the arrays returned must live as long as the call."""
        kept = {}
        for k, shape, dtype in self._arrays:
            array = args[k]
            if (
                type(array) is not np.ndarray
                or array.dtype != dtype
                or not array.flags.c_contiguous
            ):
                array = np.asarray(array, dtype, order="C")
            if array.shape != shape:
                raise InternalError(
                    f"argument {k} has shape {array.shape}, not {shape}"
                )
            kept[k] = array
            values[k] = address_of(array)
        for k, number in self._numbers:
            values[k] = number(args[k])
        return kept

    def _place_temporaries(self, values: list[Any], address: int) -> None:
        address += -address % _ALIGN
        for k, offset in self._offsets:
            values[k] = address + offset

    def _new_result(self, buffer: Buffer) -> np.ndarray:
        """Memory for a result that nobody holds.

        A large result of the last call that was dropped since serves again: fresh
        pages cost more than most kernels that fill them.
        """
        aval = buffer.aval
        if not _is_recycled(buffer):
            return np.empty(aval.shape, aval.dtype)
        last = self._last_results.get(buffer)
        if last is None or sys.getrefcount(last) > _OURS or not _is_as_made(last, aval):
            last = self._last_results[buffer] = np.empty(aval.shape, aval.dtype)
        return last


def _address_reader() -> Callable[[np.ndarray], int]:
    """How to read where an array's data lie: from the object, if it is laid out so.

    `array.ctypes.data` takes longer than a short kernel runs.
    """
    offset, read = object.__basicsize__, ctypes.c_void_p.from_address

    def directly(array: np.ndarray) -> int:
        return read(id(array) + offset).value or 0

    probe = np.zeros(3)[1:]
    right = directly(probe) == probe.ctypes.data
    return directly if right else lambda array: array.ctypes.data


address_of = _address_reader()

#: Kernels take Python's numbers.
_NUMBER = {"f": float, "i": int, "u": int, "b": bool}


def _is_brief(program: Program) -> bool:
    """Whether it runs for less than a microsecond or so, whatever the data are."""
    plain = not any(eqn.regions for eqn in program.eqns)
    return plain and flops(program) < BRIEF


def _fixed(argument: Any) -> Any:
    """The value of an argument that is the same for every call."""
    if isinstance(argument, Size):
        return argument.value
    if isinstance(argument, Literal):
        return argument.scalar.item()
    assert isinstance(argument, Var | Buffer)
    return None


def _is_recycled(buffer: Buffer) -> bool:
    return LARGE <= buffer.aval.nbytes <= HUGE


def _is_as_made(array: np.ndarray, aval: Aval) -> bool:
    """Whether an array that was given away still is what it was, its data apart."""
    same = array.shape == tuple(aval.shape) and array.dtype == aval.dtype
    return same and array.flags.writeable and array.flags.c_contiguous


def _padded(nbytes: int) -> int:
    nbytes = int(nbytes)  # it may be a NumPy integer
    nbytes += -nbytes % _ALIGN
    beyond = nbytes % _PAGE
    return nbytes + (_APART - beyond if nbytes >= _PAGE and beyond < _APART else 0)
