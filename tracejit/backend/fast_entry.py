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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from tracejit.backend import entry_code as code
from tracejit.backend import object_cache, object_code, quick_call
from tracejit.backend.entry_code import Head
from tracejit.backend.object_cache import ObjectCode

#: What the entry returns where it does not serve.
MISS = NotImplemented
#: Slots are copied at every call, to the stack.
MOST_SLOTS = 1000
_FORMS = {"array": code.ARRAY, "python": code.PYTHON, "scalar": code.SCALAR}


@dataclass(frozen=True)
class Given:
    """An argument in the structure that a call returns."""

    number: int


@dataclass(frozen=True)
class Leaf:
    """A result in the structure that a call returns: which, and as what kind."""

    kind: str
    number: int | Given


@dataclass(frozen=True)
class Static:
    """An argument that must be the same: an int by value, all else by identity."""

    value: Any


@dataclass
class Call:
    """What the entry has to know of a kernel.

    `slots` are the kernel's arguments as words, those fixed for all calls filled in;
    `arguments` and `results` are (slot, dtype, shape), dtype None for a float; of the
    arguments, those that the kernel does not get are Static; it writes to those in
    `written`, those in `exclusive` share no memory;
    `fail(status)` raises what a status other than 0 stands for;
    `recycled` are the results whose memory serves again; `temporaries` are (slot,
    offset) in `block`; `run` is the address of the kernel, which `owner` keeps.
    """

    run: int
    fail: Callable[[int], Any]
    slots: list[int]
    arguments: list[Static | tuple[int, np.dtype[Any] | None, tuple[int, ...]]]
    results: list[tuple[int, np.dtype[Any], tuple[int, ...]]]
    written: Sequence[int] = ()
    exclusive: Sequence[int] = ()
    recycled: Sequence[int] = ()
    temporaries: Sequence[tuple[int, int]] = ()
    block: np.ndarray | None = None
    owner: Any = None


def fast_entry(call: Call, tree: Any) -> Callable[..., Any] | None:
    """A function that makes this call and returns `tree`.

    Leafs in it stand for results and arguments; what else there is, is returned as it
    stands.
    """
    return _plan(call, tree, _machine_code()) if _works() else None


def call_address() -> int:
    """The C function by which objects with a fast entry are called; see `Quick`."""
    return int(_machine_code().get_function_address(code.CALL))


def word_of(value: float, dtype: str) -> int:
    """A number as a kernel's argument: the word that holds it."""
    raw = np.array(value, dtype).tobytes()
    return int.from_bytes(raw.ljust(8, b"\0"), "little", signed=True)


def _plan(call: Call, tree: Any, engine: Any) -> Callable[..., Any] | None:
    recipe = _Recipe(len(call.results), len(call.arguments))
    if len(call.slots) > MOST_SLOTS or not recipe.write(tree):
        return None
    forms = recipe.forms
    for number, kind in forms.items():
        _, made, extents = call.results[number]
        if (kind != "array" and extents) or (kind == "python" and made != np.float64):
            return None
    held: list[Any] = [call.owner, call.fail, recipe.constants]
    kept = [None] * len(call.results)
    arguments, results = [], []
    for k, argument in enumerate(call.arguments):
        if isinstance(argument, Static):
            arguments += _same(argument.value, held)
            continue
        slot, dtype, shape = argument
        descr = _address(dtype) if dtype is not None else code.FLOAT
        flags = code.READABLE | (code.WRITEABLE if k in call.written else 0)
        size = math.prod(map(int, shape)) * dtype.itemsize if dtype is not None else 0
        arguments += [slot, descr, *_dimensions(shape, held), flags, size]
    for k, (slot, dtype, shape) in enumerate(call.results):
        form = _FORMS[forms.get(k, "array")]
        results += [slot, _address(dtype), *_dimensions(shape, held), form]
        results.append(int(k in call.recycled))
    temporaries = [word for pair in call.temporaries for word in pair]
    tables = {
        Head.ARGS: (arguments, code.ARG_WORDS),
        Head.EXCLUSIVE: (call.exclusive, 1),
        Head.CONSTANTS: (list(map(id, recipe.constants)), 1),
        Head.RESULTS: (results, code.RESULT_WORDS),
        Head.TEMPORARIES: (temporaries, code.TEMPORARY_WORDS),
        Head.RECIPE: (recipe.codes, 1),
        Head.SLOTS: (call.slots, 1),
    }
    plan = np.zeros(len(Head), np.int64)
    for head, (words, width) in tables.items():
        table = np.array(words, np.int64)
        held.append(table)
        plan[head], plan[head + 1] = table.ctypes.data, len(words) // width
    plan[Head.RUN] = call.run
    if call.block is not None:
        plan[Head.BLOCK] = call.block.ctypes.data
        plan[Head.BLOCK_BYTES] = call.block.nbytes
    plan[Head.KEPT], plan[Head.MISS] = id(kept), id(MISS)
    plan[Head.FAIL] = id(call.fail)
    plan[Head.ARRAY_TYPE], plan[Head.FLOAT_TYPE] = id(np.ndarray), id(float)
    plan[Head.INT_TYPE], plan[Head.NAME] = id(int), id(_NAME)
    return _builtin(engine, (plan, kept, call.block, engine, *held))


class _Recipe:
    """How the entry makes what a call returns: `codes` number results, arguments and
    constants, in this order; `forms` are the kinds of the results."""

    def __init__(self, results: int, arguments: int):
        self.results, self.arguments = results, arguments
        self.codes: list[int] = []
        self.forms: dict[int, str] = {}
        self.constants: list[Any] = []

    def write(self, tree: Any) -> bool:
        """Whether the entry can make it: tuples, each result of one kind."""
        if type(tree) is tuple and tree:
            done = all(map(self.write, tree))
            self.codes.append(-len(tree))
            return done
        if not isinstance(tree, Leaf):
            self.codes.append(self.results + self.arguments + len(self.constants))
            self.constants.append(tree)
            return True
        if isinstance(tree.number, Given):
            self.codes.append(self.results + tree.number.number)
            return True
        self.codes.append(tree.number)
        return self.forms.setdefault(tree.number, tree.kind) == tree.kind


def _same(value: Any, held: list[Any]) -> list[int]:
    """The words of an argument that must be this value."""
    held.append(value)
    if type(value) is int and -(2**63) <= value < 2**63:
        return [0, code.INTEGER, value, 0, 0, 0]
    return [0, code.OBJECT, id(value), 0, 0, 0]


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
#: What serves the calls that the entry does not.
_NAME = sys.intern("__call__")
#: Method definitions must outlive their functions.
_methods: dict[int, _Method] = {}


def _builtin(engine: Any, owner: tuple[Any, ...]) -> Callable[..., Any]:
    """The entry as a builtin function whose `self` is `owner`."""
    address = engine.get_function_address(code.ENTRY)
    if address not in _methods:
        _methods[address] = _Method(b"tracejit", address, _FASTCALL_AND_KEYWORDS, None)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return make(ctypes.addressof(_methods[address]), owner, None)


@cache
def _machine_code() -> Any:
    """The entry, loaded; it stays as long as the process."""
    for name in code.PYTHON_API:
        function = getattr(ctypes.pythonapi, name)
        llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    table = _numpy_api()
    for name, (_, place) in code.NUMPY_API.items():
        llvm.add_symbol(name, table[place])
    text = code.module_text()
    key = object_cache.content_key(text, *object_code.host())
    made = object_cache.load(key)
    target = llvm.Target.from_default_triple()
    if made is None:
        module = llvm.parse_assembly(text)
        module.verify()
        machine = target.create_target_machine(opt=3, jit=True)
        made = ObjectCode(machine.emit_object(module), code.ENTRY, ())
        object_cache.save(key, made)
    return object_code.load(made.code)


def _numpy_api() -> Any:
    """NumPy's table of C functions."""
    capsule = importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    size = 1 + max(place for _, place in code.NUMPY_API.values())
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
    number, pair = 2.5, (array, 1)

    def word(thing: Any, offset: int, kind: Any = ctypes.c_int64) -> Any:
        return kind.from_address(id(thing) + offset).value

    shape = (ctypes.c_int64 * 2).from_address(word(array, code.SHAPE))
    flags = word(array, code.FLAGS, ctypes.c_int)
    table = _numpy_api()
    kind = struct.pack("=3sxi", b"fd=", np.dtype(float).num)
    version = ctypes.CFUNCTYPE(ctypes.c_uint)(table[0])()
    return (
        version == 0x2000000
        and table[2] == id(np.ndarray) == word(array, code.TYPE)
        and word(array, code.DATA) == array.ctypes.data
        and word(array, code.NDIM, ctypes.c_int) == 2
        and tuple(shape) == (1, 3)
        and word(array, code.DESCR) == id(array.dtype)
        and word(array.dtype, code.KIND) == int.from_bytes(kind, "little")
        and flags & code.READABLE == code.READABLE
        and flags & code.OURS != code.OURS
        and word(np.zeros(2), code.FLAGS, ctypes.c_int) & code.OURS == code.OURS
        and word(number, code.TYPE) == id(float)
        and word(number, code.FLOAT_VALUE, ctypes.c_double) == number
        and word(pair, code.FIRST_ITEM) == id(array)
        and word(pair, code.LENGTH) == len(pair)
        and word(pair.count, code.SELF) == id(pair)
        and word([array, array], code.REFERENCES) == 1
    )


def _probe() -> bool:
    """Run a kernel that adds its arguments."""
    engine, real = _machine_code(), np.dtype(np.float64)
    call = Call(
        engine.get_function_address(code.PROBE),
        lambda status: MISS,
        [0] * 5,
        [(0, real, (1, 2)), (1, None, ()), Static(7), Static(None)],
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
