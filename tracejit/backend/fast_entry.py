"""Plans for the entry of calls, and the builtin functions that follow them.

`fast_entry` gives a function that takes a call's arguments and returns what the call
returns, or NotImplemented where the way through Python has to be taken. It is None
where memory is laid out otherwise than `entry_code` expects, which is looked at, not
assumed: by reading known objects, then by running a kernel that shows what it got.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import struct
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from tracejit.backend import entry_words as words
from tracejit.backend import object_cache, object_code, quick_call
from tracejit.backend.call_plan import Call, Given, Leaf, Reading
from tracejit.backend.entry_code import module_text
from tracejit.backend.entry_words import Head
from tracejit.backend.object_cache import ObjectCode
from tracejit.backend.workspace import give, take
from tracejit.base.pytree import by_items, one_level, unflatten

#: What the entry returns where it does not serve.
MISS = NotImplemented
#: From this size on, in bytes, temporaries lie in memory that all functions share.
LARGE = 1 << 20
#: Slots are copied at every call, to the stack, as objects are.
MOST_SLOTS = 4000


def fast_entry(call: Call, tree: Any) -> Callable[..., Any] | None:
    """A function that makes this call and returns `tree`.

    Leafs in it stand for results and arguments; what else there is, is returned as it
    stands.
    """
    return _plan(call, tree, _machine_code()) if _works() else None


def call_address() -> int:
    """The C function by which objects with a fast entry are called; see `Quick`."""
    return int(_machine_code().get_function_address(words.CALL))


def word_of(value: float, dtype: str) -> int:
    """A number as a kernel's argument: the word that holds it."""
    raw = np.array(value, dtype).tobytes()
    return int.from_bytes(raw.ljust(8, b"\0"), "little", signed=True)


def _plan(call: Call, tree: Any, engine: Any) -> Callable[..., Any] | None:
    recipe = _Recipe(call)
    if not recipe.write(tree):
        return None
    recipe.move()
    reading, offset = call.reading, len(call.results)
    held: list[Any] = [call.owner, call.fail, reading, recipe]
    kept = [None] * offset
    arguments: list[int] = []
    for k, (number, kind) in enumerate(reading.inputs):
        record = _input(kind, call.inputs[k], k in call.written, held)
        if record is None:
            return None
        arguments += [offset + number, *record]
    exclusive = list(call.exclusive)
    for number, result in reading.outs:
        exclusive.append(len(arguments) // words.ARGUMENT_WORDS)
        record = _input(np.ndarray, call.results[result], True, held)
        assert record is not None
        arguments += [offset + number, *record]
    for number, value in reading.same:
        arguments += [offset + number, 0, *_same(value, held)]
    steps, first = [], offset + reading.given
    for step in reading.steps:
        kind = getattr(words, step.kind)
        steps += [kind, offset + step.source, id(step.type), step.count, first]
        steps.append(id(step.extra))
        first += step.count
    outs = {result for _, result in reading.outs}
    donated = _donated(call, recipe, outs)
    recycled = {*call.recycled, *donated.values()}
    results = []
    for k, (slot, dtype, shape) in enumerate(call.results):
        form = _form(recipe.forms.get(k, "array"), dtype)
        form = words.GIVEN if k in outs else form
        results += [slot, _address(dtype), *_dimensions(shape, held), form]
        results.append(int(k in recycled))
    tables = {
        Head.STEPS: (steps, words.STEP_WORDS),
        Head.ARGUMENTS: (arguments, words.ARGUMENT_WORDS),
        Head.EXCLUSIVE: (exclusive, 1),
        Head.RESULTS: (results, words.RESULT_WORDS),
        Head.DONATED: (_pairs(call, donated), words.DONATED_WORDS),
        Head.TEMPORARIES: (sum(call.temporaries, ()), words.TEMPORARY_WORDS),
        Head.RECIPE: (recipe.codes, words.RECIPE_WORDS),
        Head.SLOTS: (call.slots, 1),
    }
    plan = np.zeros(len(Head), np.int64)
    for head, (numbers, width) in tables.items():
        table = np.array(numbers, np.int64)
        held.append(table)
        plan[head], plan[head + 1] = table.ctypes.data, len(numbers) // width
    if max(first, len(call.slots), len(recipe.codes)) > MOST_SLOTS:
        return None
    names = reading.names
    if names:
        held.append(names)
        plan[Head.NAMES] = id(names)
    plan[Head.POSITIONAL], plan[Head.GIVEN] = reading.positional, reading.given
    plan[Head.READ] = first - offset - reading.given
    plan[Head.RUN], plan[Head.BRIEF] = call.run, call.brief
    block = np.empty(call.room if call.room < LARGE else 0, np.uint8)
    if call.room:
        held.append(call.room)
        plan[Head.BLOCK], plan[Head.BLOCK_BYTES] = block.ctypes.data, call.room
    if call.room >= LARGE:
        plan[Head.ROOM] = id(held[-1])
        plan[Head.TAKE], plan[Head.GIVE] = id(take), id(give)
    plan[Head.KEPT], plan[Head.FAIL] = id(kept), id(call.fail)
    for head, thing in _KNOWN_OBJECTS.items():
        plan[head] = id(thing)
    return _builtin(engine, (plan, kept, block, engine, *held))


def _donated(call: Call, recipe: _Recipe, outs: Collection[int]) -> dict[int, int]:
    """By donated input, the result that its memory can serve."""
    found: dict[int, int] = {}
    for k in call.reading.donated:
        for n, (_, dtype, shape) in enumerate(call.results):
            fits = (dtype, shape) == call.inputs[k][1:] and n not in found.values()
            if fits and n not in outs and recipe.forms.get(n, "array") == "array":
                found[k] = n
                break
    return found


def _pairs(call: Call, donated: Mapping[int, int]) -> list[int]:
    """The words of donations: which object, and which result."""
    offset, inputs = len(call.results), call.reading.inputs
    return [w for k, n in donated.items() for w in (offset + inputs[k][0], n)]


#: What serves the calls that the entry does not.
_NAME = sys.intern("__call__")
_KNOWN_OBJECTS = {
    Head.MISS: MISS,
    Head.NAME: _NAME,
    Head.ARRAY_TYPE: np.ndarray,
    Head.INT_TYPE: int,
    Head.FLOAT_TYPE: float,
    Head.TEXT_TYPE: str,
    Head.TUPLE_TYPE: tuple,
    Head.EXCEPTION: Exception,
}


class _Recipe:
    """How the entry makes what a call returns: `codes` are its instructions; `forms`
    are the kinds of the results."""

    def __init__(self, call: Call):
        self.call, self.offset = call, len(call.results)
        self.codes: list[int] = []
        self.forms: dict[int, str] = {}
        self.functions: list[Any] = []

    def write(self, tree: Any) -> bool:
        """Whether the entry can make it: containers of results, each of one kind."""
        if isinstance(tree, Leaf):
            return self.put(tree)
        plain = tree is None or (type(tree) is tuple and not tree)
        parts = None if plain else one_level(tree)
        if parts is None:
            (number,) = self.call.reading.read("VALUE", extra=tree)
            self.add(words.PUT, self.offset + number)
            return True
        children, kind = parts
        done = all(map(self.write, children))
        if kind.kind in _MAKERS:
            extra = kind.meta if kind.kind is dict else None
            self.add(_MAKERS[kind.kind], len(children), extra)
        else:
            plain = by_items(kind)
            make = partial(tuple.__new__, kind.kind) if plain else None
            self.add(words.MAKE, len(children), make or partial(unflatten, kind))
        return done

    def put(self, leaf: Leaf) -> bool:
        """A result, or an object of the call."""
        if isinstance(leaf.number, Given):
            self.add(words.PUT, self.offset + leaf.number.number)
            return True
        self.add(words.PUT, leaf.number)
        if any(leaf.number == result for _, result in self.call.reading.outs):
            return False  # it is wanted in two places
        _, dtype, shape = self.call.results[leaf.number]
        if leaf.kind == "python" and dtype != np.float64:
            self.add(words.MAKE, 1, _item)
        kind = self.forms.setdefault(leaf.number, leaf.kind)
        return kind == leaf.kind and (kind == "array" or not shape)

    def move(self) -> None:
        """Let go of each result where it is put for the last time."""
        last = {}
        for k in range(0, len(self.codes), words.RECIPE_WORDS):
            code, number = self.codes[k : k + 2]
            if code == words.PUT and number < self.offset:
                last[number] = k
        for k in last.values():
            self.codes[k] = words.MOVE

    def add(self, code: int, number: int, extra: Any = None) -> None:
        self.functions.append(extra)
        self.codes += [code, number, id(extra)]


_MAKERS = {tuple: words.MAKE_TUPLE, list: words.MAKE_LIST, dict: words.MAKE_DICT}


def _item(values: tuple[Any]) -> Any:
    """Python's number for NumPy's."""
    return values[0].item()


def _form(kind: str, dtype: np.dtype[Any]) -> int:
    """How the entry makes a result of that kind."""
    if kind == "array":
        return words.FRESH
    real = kind == "python" and dtype == np.float64
    return words.PYTHON if real else words.SCALAR


def _input(
    kind: type,
    place: tuple[int, np.dtype[Any], tuple[int, ...]],
    written: bool,
    held: list[Any],
) -> list[int] | None:
    """The words of an input, after the first, or None where it cannot be one."""
    slot, dtype, shape = place
    by_address = bool(shape) or dtype.kind == "c" or written
    if kind is np.ndarray:
        form = words.ARRAY if by_address else words.ELEMENT
        size = math.prod(map(int, shape)) * dtype.itemsize
        flags = words.READABLE | (words.WRITEABLE if written else 0)
        dimensions = _dimensions(shape, held)
        return [slot, form, _address(dtype), *dimensions, flags, size]
    if shape or (kind is not dtype.type and (kind, dtype.char) not in _NUMBERS):
        return None
    form = words.PLACE if by_address else words.NUMBER
    return [slot, form, id(kind), 0, 0, 0, 0]


#: Python's numbers, beside NumPy's own.
_NUMBERS = {(float, "d"), (complex, "D")}


def _same(value: Any, held: list[Any]) -> list[int]:
    """The words of an object that must be this, after its slot."""
    held.append(value)
    form, word = words.OBJECT, id(value)
    if type(value) is int and -(2**63) <= value < 2**63:
        form, word = words.INTEGER, value
    elif type(value) is float:
        form, word = words.REAL, word_of(value, "float64")
    elif type(value) is str:
        form = words.TEXT
    return [form, 0, word, 0, 0, 0]


def _address(dtype: np.dtype[Any]) -> int:
    """Of NumPy's one object for a dtype; it is never freed."""
    return id(np.dtype(dtype.type))


def _dimensions(shape: Sequence[int], held: list[Any]) -> list[int]:
    held.append(np.array(shape, np.int64))
    return [len(shape), held[-1].ctypes.data]


# Machine code ---------------------------------------------------------------------


class _Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_FASTCALL_AND_KEYWORDS = 0x82
#: Method definitions must outlive their functions.
_methods: dict[int, _Method] = {}


def _builtin(engine: Any, owner: tuple[Any, ...]) -> Callable[..., Any]:
    """The entry as a builtin function whose `self` is `owner`."""
    address = engine.get_function_address(words.ENTRY)
    if address not in _methods:
        _methods[address] = _Method(b"tracejit", address, _FASTCALL_AND_KEYWORDS, None)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return make(ctypes.addressof(_methods[address]), owner, None)


#: The files that the text of the entry follows from.
_WRITERS = ("entry_code.py", "entry_reading.py", "entry_words.py", "quick_call.py")


@cache
def _machine_code() -> Any:
    """The entry, loaded; it stays as long as the process."""
    for name in words.PYTHON_API:
        function = getattr(ctypes.pythonapi, name)
        llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    table = _numpy_api()
    for name, (_, place) in words.NUMPY_API.items():
        llvm.add_symbol(name, table[place])
    here = Path(__file__)
    sources = [here.with_name(name).read_text("utf-8") for name in _WRITERS]
    # Not by its text, which takes longer to write than all the rest of a start.
    key = object_cache.content_key(*sources, *object_code.host())
    made = object_cache.load(key)
    target = llvm.Target.from_default_triple()
    if made is None:
        module = llvm.parse_assembly(module_text())
        module.verify()
        machine = target.create_target_machine(opt=3, jit=True)
        made = ObjectCode(machine.emit_object(module), words.ENTRY, ())
        object_cache.save(key, made)
    return object_code.load(made.code)


def _numpy_api() -> Any:
    """NumPy's table of C functions."""
    capsule = importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    size = 1 + max(place for _, place in words.NUMPY_API.values())
    return (ctypes.c_void_p * size).from_address(get(capsule, None))


# Tests at the start -----------------------------------------------------------------


@cache
def _works() -> bool:
    """Whether this process is one that the entry was written for."""
    try:
        return _is_known() and _has_known_layout() and _probe()
    except Exception:
        # Whatever is different here, the way through Python is open.
        return False


def _is_known() -> bool:
    return quick_call.KNOWN and np.lib.NumpyVersion(np.__version__) >= "2.0.0"


def _has_known_layout() -> bool:
    """Read objects whose contents are known."""
    array = np.arange(6.0).reshape(2, 3)[1:]
    number, pair, things = 2.5, (array, 1), [array]
    quick = quick_call.Quick()
    quick.fast, quick.more = len, (abs,)

    def word(thing: Any, offset: int, kind: Any = ctypes.c_int64) -> Any:
        return kind.from_address(id(thing) + offset).value

    shape = (ctypes.c_int64 * 2).from_address(word(array, words.SHAPE))
    flags = word(array, words.FLAGS, ctypes.c_int)
    table = _numpy_api()
    kind = struct.pack("=3sxi", b"fd=", np.dtype(float).num)
    version = ctypes.CFUNCTYPE(ctypes.c_uint)(table[0])()
    return (
        version == 0x2000000
        and table[2] == id(np.ndarray) == word(array, words.TYPE)
        and word(array, words.DATA) == array.ctypes.data
        and word(array, words.NDIM, ctypes.c_int) == 2
        and tuple(shape) == (1, 3)
        and word(array, words.DESCR) == id(array.dtype)
        and word(array.dtype, words.KIND) == int.from_bytes(kind, "little")
        and flags & words.READABLE == words.READABLE
        and flags & words.OURS != words.OURS
        and word(np.zeros(2), words.FLAGS, ctypes.c_int) & words.OURS == words.OURS
        and word(number, words.TYPE) == id(float)
        and word(number, words.FLOAT_VALUE, ctypes.c_double) == number
        and _has_known_numbers()
        and word(quick, quick_call.FAST) == id(quick.fast)
        and word(quick, quick_call.MORE) == id(quick.more)
        and word(pair, words.FIRST_ITEM) == id(array)
        and word(pair, words.LENGTH) == len(pair)
        and word(things, words.LENGTH) == len(things)
        and ctypes.c_int64.from_address(word(things, words.FIRST_ITEM)).value
        == id(array)
        and word({1: array, 2: 3}, words.LENGTH) == 2
        and word(pair.count, words.SELF) == id(pair)
        and word([array, array], words.REFERENCES) == 1
    )


def _has_known_numbers() -> bool:
    """NumPy's scalars hold their numbers where Python's floats do."""
    numbers = [np.dtype(c).type(1) for c in "?bBhHiIlLfdFD"]
    addresses = [id(x) + words.FLOAT_VALUE for x in numbers]
    pairs = zip(numbers, addresses, strict=True)
    found = [ctypes.string_at(a, x.nbytes) == x.tobytes() for x, a in pairs]
    return all(found) and all(type(x).__basicsize__ >= 24 for x in numbers)


def _probe() -> bool:
    """Run a kernel that adds its arguments."""
    engine, real = _machine_code(), np.dtype(np.float64)
    reading = Reading(4, ())
    reading.inputs = [(0, np.ndarray), (1, float)]
    reading.same = [(2, 7), (3, None)]
    call = Call(
        engine.get_function_address(words.PROBE),
        lambda status: MISS,
        [0] * 5,
        reading,
        [(0, real, (1, 2)), (1, real, ())],
        [(2, real, ()), (3, real, ()), (4, real, (1,))],
    )
    tree = (Leaf("python", 0), (Leaf("scalar", 1), Leaf("array", 2)))
    entry = _plan(call, tree, engine)
    assert entry is not None
    a, (b, c) = entry(np.array([[2.0, 3.0]]), 0.5, 7, None)
    return (
        (type(a), type(b), type(c)) == (float, np.float64, np.ndarray)
        and (a, b, c.shape, c[0]) == (2.5, 2.5, (1,), 2.5)
        and entry(np.zeros((1, 2)), 0.5, 7, None) is MISS
        and entry(np.ones((2, 1)), 0.5, 7, None) is MISS
        and entry(np.ones((1, 2)), 0.5, 8, None) is MISS
    )
