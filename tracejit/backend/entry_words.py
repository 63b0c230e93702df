"""What the entry of calls is written in, and of: words of 64 bits.

Where CPython and NumPy keep things, the tables of a plan, and the writer of LLVM IR
that knows no other type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum, auto
from typing import Any

from llvmlite import ir

WORD, BYTE, INT = ir.IntType(64), ir.IntType(8), ir.IntType(32)
DOUBLE = ir.DoubleType()
ENTRY, CALL, PROBE = "tracejit_entry", "tracejit_call", "tracejit_probe"
#: Where CPython and NumPy keep things, in bytes from the start of an object.
REFERENCES, TYPE, FLOAT_VALUE, FIRST_ITEM = 0, 8, 16, 24
DATA, NDIM, SHAPE, DESCR, FLAGS = 16, 24, 32, 56, 64
#: In a dtype: its letters, its order of bytes and its number.
KIND = 24
#: In a builtin function: its `self`. In a tuple: its length.
SELF, LENGTH = 24, 16
#: NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED, and the same with OWNDATA | WRITEABLE.
READABLE, OURS = 0x101, 0x505
WRITEABLE = 0x400


class Head(IntEnum):
    """The first words of a plan. Tables are given by address, and their lengths."""

    STEPS = 0
    STEP_COUNT = auto()
    ARGUMENTS = auto()
    ARGUMENT_COUNT = auto()
    EXCLUSIVE = auto()
    EXCLUSIVE_COUNT = auto()
    RESULTS = auto()
    RESULT_COUNT = auto()
    DONATED = auto()
    DONATED_COUNT = auto()
    TEMPORARIES = auto()
    TEMPORARY_COUNT = auto()
    RECIPE = auto()
    RECIPE_COUNT = auto()
    SLOTS = auto()
    SLOT_COUNT = auto()
    POSITIONAL = auto()
    GIVEN = auto()
    NAMES = auto()
    READ = auto()
    RUN = auto()
    BRIEF = auto()
    BLOCK = auto()
    BLOCK_BYTES = auto()
    ROOM = auto()
    TAKE = auto()
    GIVE = auto()
    KEPT = auto()
    ARRAY_TYPE = auto()
    INT_TYPE = auto()
    FLOAT_TYPE = auto()
    TEXT_TYPE = auto()
    TUPLE_TYPE = auto()
    EXCEPTION = auto()
    MISS = auto()
    FAIL = auto()
    NAME = auto()


#: A step of reading the arguments: what to do, with which object, the type that it
#: must be of, how many objects that gives, the first of them, and what else it takes.
STEP_WORDS = 6
#: The items of a tuple, of a list; the values of a dict, of attributes; what a function
#: of the object returns, a tuple; what a function without arguments returns; a thing.
TUPLE, LIST, DICT, ATTRIBUTES, OPENED, FETCHED, VALUE = range(7)
#: An argument: which object, its slot, what it is, its type or dtype, its dimensions
#: (or the value that it must have), the address of these, the flags it must have, and
#: its bytes.
ARGUMENT_WORDS = 8
#: An array; the one element of an array; a number, which the slot holds; a number,
#: of which the slot holds the address; an int of the value, a float of these bits, a
#: text that is equal, the very object.
ARRAY, ELEMENT, NUMBER, PLACE, INTEGER, REAL, TEXT, OBJECT = range(8)
#: A result: its slot, its dtype, its dimensions, their address, its form, and whether
#: it is recycled.
RESULT_WORDS = 6
#: A result is a new array, a Python float, a NumPy scalar, or the caller's array.
FRESH, PYTHON, SCALAR, GIVEN = range(4)
#: A temporary: its slot and its offset in the block.
TEMPORARY_WORDS = 2
#: A donated argument: which object, and the result that its memory may serve.
DONATED_WORDS = 2
#: How to put together what the call returns: an object; a result, for the last time; a
#: tuple, a list, a dict of the last n; what a function of a tuple of these returns.
RECIPE_WORDS = 3
PUT, MOVE, MAKE_TUPLE, MAKE_LIST, MAKE_DICT, MAKE = range(6)
#: Bytes for a number that a kernel stores.
CELL = 16

#: Functions called, with the number of their arguments; all take and return words.
PYTHON_API = {
    **{"Py_IncRef": 1, "Py_DecRef": 1, "PyFloat_FromDouble": 1, "PyTuple_New": 1},
    **{"PyList_GetItem": 2, "PyList_SetItem": 3},
    **{"PyList_New": 1, "PyDict_New": 0, "PyDict_SetItem": 3, "PyDict_Next": 4},
    **{"PyObject_GetAttr": 2, "PyObject_CallNoArgs": 1, "PyObject_RichCompareBool": 3},
    **{"PyEval_SaveThread": 0, "PyEval_RestoreThread": 1},
    **{"PyMem_RawMalloc": 1, "PyMem_RawFree": 1, "PyErr_NoMemory": 0, "PyErr_Clear": 0},
    **{"PyLong_FromLongLong": 1, "PyObject_CallOneArg": 2},
    **{"PyLong_AsLongLongAndOverflow": 2, "PyErr_SetObject": 2},
    "PyErr_ExceptionMatches": 1,
    "PyObject_VectorcallMethod": 4,
}
_WITHOUT_RESULT = {
    *("Py_IncRef", "Py_DecRef", "PyEval_RestoreThread", "PyMem_RawFree"),
    *("PyErr_SetObject", "PyErr_Clear"),
}
_INTEGERS = {
    *("PyList_SetItem", "PyDict_SetItem", "PyDict_Next"),
    *("PyObject_RichCompareBool", "PyErr_ExceptionMatches"),
}
#: NumPy's, with their places in its table of functions.
NUMPY_API = {
    "tracejit_PyArray_Scalar": (3, 60),
    "tracejit_PyArray_NewFromDescr": (8, 94),
}


class Code:
    """A function being written: words in, words out."""

    def __init__(self, module: ir.Module, name: str, parameters: int):
        kind = ir.FunctionType(WORD, [WORD] * parameters)
        self.function = ir.Function(module, kind, name)
        self.builder = ir.IRBuilder(self.function.append_basic_block())

    def word(self, value: int) -> ir.Constant:
        return ir.Constant(WORD, value)

    def load(self, address: Any, offset: int = 0, kind: Any = WORD) -> Any:
        place = self.builder.add(address, self.word(offset))
        value = self.builder.load(self.builder.inttoptr(place, kind.as_pointer()))
        return value if kind in (WORD, DOUBLE) else self.widen(value)

    def widen(self, value: Any) -> Any:
        return self.builder.zext(value, WORD)

    def store(self, value: Any, address: Any, offset: int = 0) -> None:
        place = self.builder.add(address, self.word(offset))
        pointer = self.builder.inttoptr(place, value.type.as_pointer())
        self.builder.store(value, pointer)

    def at(self, table: Any, index: Any, words: int = 1) -> Any:
        """The address of an element of a table."""
        return self.builder.add(table, self.builder.mul(index, self.word(8 * words)))

    def room(self, words: Any) -> Any:
        """Memory on the stack, by its address."""
        return self.builder.ptrtoint(self.builder.alloca(WORD, words), WORD)

    def call(self, name: str, *args: Any) -> Any:
        module = self.builder.module
        result: Any = WORD
        kinds = [a.type for a in args]
        if name in _WITHOUT_RESULT:
            result = ir.VoidType()
        if name in _INTEGERS:
            result = INT
        f = module.globals.get(name)
        if f is None:
            f = ir.Function(module, ir.FunctionType(result, kinds), name)
        return self.builder.call(f, args)

    def equal(self, a: Any, b: Any) -> Any:
        return self.builder.icmp_unsigned("==", a, b)

    def zero(self, a: Any) -> Any:
        return self.equal(a, self.word(0))

    def positive(self, a: Any) -> Any:
        """Of what C calls an int."""
        return self.builder.icmp_signed(">", a, ir.Constant(INT, 0))

    def cases(
        self, value: Any, writers: Mapping[int, Callable[[], Any]], other: ir.Block
    ) -> None:
        """What is written for the value; elsewhere control goes to `other`."""
        after = self.function.append_basic_block()
        switch = self.builder.switch(value, other)
        for number, write in writers.items():
            block = self.function.append_basic_block()
            switch.add_case(self.word(number), block)
            self.builder.position_at_end(block)
            write()
            self.builder.branch(after)
        self.builder.position_at_end(after)

    def unless(self, condition: Any, target: ir.Block) -> None:
        """Go on where the condition holds."""
        self.leave_if(self.builder.not_(condition), target)

    @contextmanager
    def loop(self, count: Any) -> Iterator[Any]:
        """Its body runs with an index below `count`."""
        builder = self.builder
        before = builder.block
        head, body, after = (self.function.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(WORD)
        index.add_incoming(self.word(0), before)
        builder.cbranch(builder.icmp_unsigned("<", index, count), body, after)
        builder.position_at_end(body)
        yield index
        index.add_incoming(builder.add(index, self.word(1)), builder.block)
        builder.branch(head)
        builder.position_at_end(after)

    def leave_if(self, condition: Any, target: ir.Block) -> None:
        following = self.function.append_basic_block()
        self.builder.cbranch(condition, target, following)
        self.builder.position_at_end(following)
