"""The entry of calls, in LLVM IR: what a C extension would be, without a C compiler.

One function serves every kernel: it reads a *plan*, a table of 64-bit words that
`fast_entry` fills in. It checks the arguments against the plan, makes the results,
runs the kernel without the GIL, and returns what the user's call returns; whatever it
does not know, it answers with NotImplemented. All values are 64-bit words here,
pointers too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, auto
from typing import Any

from llvmlite import ir

from tracejit.backend.quick_call import FAST

WORD, BYTE, INT = ir.IntType(64), ir.IntType(8), ir.IntType(32)
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

    ARGS = 0
    ARG_COUNT = auto()
    EXCLUSIVE = auto()
    EXCLUSIVE_COUNT = auto()
    CONSTANTS = auto()
    CONSTANT_COUNT = auto()
    RESULTS = auto()
    RESULT_COUNT = auto()
    TEMPORARIES = auto()
    TEMPORARY_COUNT = auto()
    RECIPE = auto()
    RECIPE_COUNT = auto()
    SLOTS = auto()
    SLOT_COUNT = auto()
    RUN = auto()
    BLOCK = auto()
    BLOCK_BYTES = auto()
    KEPT = auto()
    ARRAY_TYPE = auto()
    FLOAT_TYPE = auto()
    INT_TYPE = auto()
    MISS = auto()
    FAIL = auto()
    NAME = auto()


#: An argument: its slot, its dtype (or what it is instead), its dimensions and their
#: address, the flags it must have, and its bytes.
ARG_WORDS = 6
#: What stands for a dtype: a float; an int of the value, or the very object, that
#: stands in place of the dimensions.
FLOAT, INTEGER, OBJECT = range(3)
#: A result: the first four, its form, and whether it is recycled.
RESULT_WORDS = 6
#: A result is an array, a Python float or a NumPy scalar.
ARRAY, PYTHON, SCALAR = range(3)
#: A temporary: its slot and its offset in the block.
TEMPORARY_WORDS = 2
#: Bytes for a number that a kernel stores.
CELL = 16

#: Functions called, with the number of their arguments; all take and return words.
PYTHON_API = {
    **dict.fromkeys(("Py_IncRef", "Py_DecRef", "PyFloat_FromDouble", "PyTuple_New"), 1),
    **{"PyList_GetItem": 2, "PyList_SetItem": 3, "PyTuple_SetItem": 3},
    **{"PyEval_SaveThread": 0, "PyEval_RestoreThread": 1},
    **{"PyMem_RawMalloc": 1, "PyMem_RawFree": 1, "PyErr_NoMemory": 0},
    **{"PyLong_FromLongLong": 1, "PyObject_CallOneArg": 2},
    **{"PyLong_AsLongLongAndOverflow": 2, "PyErr_SetObject": 2},
    "PyObject_VectorcallMethod": 4,
}
_WITHOUT_RESULT = {
    *("Py_IncRef", "Py_DecRef", "PyEval_RestoreThread", "PyMem_RawFree"),
    "PyErr_SetObject",
}
#: NumPy's, with their places in its table of functions.
NUMPY_API = {
    "tracejit_PyArray_Scalar": (3, 60),
    "tracejit_PyArray_NewFromDescr": (8, 94),
}


def module_text() -> str:
    """The module: the entry, what objects are called by, and a kernel for tests."""
    module = ir.Module("tracejit_entry")
    entry = _Entry(module)
    entry.write()
    _write_call(module, entry.function)
    _write_probe(module)
    return str(module)


class _Code:
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
        return value if kind in (WORD, ir.DoubleType()) else self.widen(value)

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
        if name in ("PyList_SetItem", "PyTuple_SetItem"):
            result = INT
        f = module.globals.get(name)
        if f is None:
            f = ir.Function(module, ir.FunctionType(result, kinds), name)
        return self.builder.call(f, args)

    def equal(self, a: Any, b: Any) -> Any:
        return self.builder.icmp_unsigned("==", a, b)

    def zero(self, a: Any) -> Any:
        return self.equal(a, self.word(0))

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


class _Entry(_Code):
    """PyObject *entry(PyObject *self, PyObject **args, Py_ssize_t count, names)"""

    def __init__(self, module: ir.Module):
        super().__init__(module, ENTRY, 4)
        owner, self.args, self.count, self.names = self.function.args
        # `self` is a tuple whose first item is the array that holds the plan.
        self.plan = self.load(self.load(owner, FIRST_ITEM), DATA)
        self.miss = self.function.append_basic_block("miss")
        self.matches = _write_matches(module)

    def head(self, which: Head) -> Any:
        return self.load(self.plan, 8 * which)

    def write(self) -> None:
        wanted = self.head(Head.ARG_COUNT)
        right = self.builder.and_(self.equal(self.count, wanted), self.zero(self.names))
        self.leave_if(self.builder.not_(right), self.miss)
        made = self.head(Head.RESULT_COUNT)
        self.slots = self.room(self.head(Head.SLOT_COUNT))
        self.cells = self.room(self.builder.mul(made, self.word(CELL // 8)))
        # What the call may return: results, arguments, constants.
        self.given = self.builder.add(made, self.count)
        constants = self.head(Head.CONSTANT_COUNT)
        self.objects = self.room(self.builder.add(self.given, constants))
        self.stack = self.room(self.head(Head.RECIPE_COUNT))
        self.undo = self.function.append_basic_block("undo")
        self.failed = self.function.append_basic_block("failed")
        with self.loop(self.head(Head.SLOT_COUNT)) as k:
            fixed = self.load(self.at(self.head(Head.SLOTS), k))
            self.store(fixed, self.at(self.slots, k))
        with self.loop(made) as k:
            self.store(self.word(0), self.at(self.objects, k))
        with self.loop(constants) as k:
            constant = self.load(self.at(self.head(Head.CONSTANTS), k))
            place = self.builder.add(self.given, k)
            self.store(constant, self.at(self.objects, place))
        self.take_arguments()
        self.require_apart()
        self.make_results()
        self.run()
        self.wrap_numbers()
        self.return_results()
        self.write_exits()

    def put(self, value: Any, record: Any) -> None:
        """Enter a value into the slot that a record names first."""
        self.store(value, self.at(self.slots, self.load(record)))

    def take_arguments(self) -> None:
        self.overflow = self.room(self.word(1))
        with self.loop(self.count) as k:
            record = self.at(self.head(Head.ARGS), k, ARG_WORDS)
            value = self.load(self.at(self.args, k))
            place = self.builder.add(self.head(Head.RESULT_COUNT), k)
            self.store(value, self.at(self.objects, place))
            kind = self.load(record, 8)
            plain = self.builder.icmp_unsigned("<=", kind, self.word(OBJECT))
            with self.builder.if_else(plain) as (number, array):
                with number:
                    self.take_number(kind, value, record)
                with array:
                    right = self.fits(value, record, self.load(record, 32))
                    self.leave_if(self.builder.not_(right), self.miss)
                    self.put(self.load(value, DATA), record)

    def take_number(self, kind: Any, value: Any, record: Any) -> None:
        """A float goes into its slot; all else must be what the plan was made for."""
        builder, wanted = self.builder, self.load(record, 16)
        found = self.load(value, TYPE)
        with builder.if_then(self.equal(kind, self.word(FLOAT))):
            right = self.equal(found, self.head(Head.FLOAT_TYPE))
            self.leave_if(builder.not_(right), self.miss)
            self.put(self.load(value, FLOAT_VALUE), record)
        with builder.if_then(self.equal(kind, self.word(OBJECT))):
            self.leave_if(builder.not_(self.equal(value, wanted)), self.miss)
        with builder.if_then(self.equal(kind, self.word(INTEGER))):
            right = self.equal(found, self.head(Head.INT_TYPE))
            self.leave_if(builder.not_(right), self.miss)
            number = self.call("PyLong_AsLongLongAndOverflow", value, self.overflow)
            fits = self.zero(self.load(self.overflow, kind=INT))
            right = builder.and_(fits, self.equal(number, wanted))
            self.leave_if(builder.not_(right), self.miss)

    def fits(self, array: Any, record: Any, flags: Any) -> Any:
        """Whether an object is an array as the record describes it."""
        kind = self.head(Head.ARRAY_TYPE)
        found = self.builder.call(self.matches, [array, kind, record, flags])
        return self.builder.not_(self.zero(found))

    def require_apart(self) -> None:
        """No argument that the function writes to shares memory with another one."""
        b = self.builder

        def span(k: Any) -> tuple[Any, Any]:
            record = self.at(self.head(Head.ARGS), k, ARG_WORDS)
            start = self.load(self.at(self.slots, self.load(record)))
            return start, self.load(record, 40)

        with self.loop(self.head(Head.EXCLUSIVE_COUNT)) as e:
            written = self.load(self.at(self.head(Head.EXCLUSIVE), e))
            start, size = span(written)
            with self.loop(self.count) as k:
                other, length = span(k)
                before = b.icmp_unsigned("<", start, b.add(other, length))
                after = b.icmp_unsigned("<", other, b.add(start, size))
                met = b.and_(b.and_(before, after), b.not_(self.equal(k, written)))
                is_array = b.not_(self.zero(length))
                self.leave_if(b.and_(met, is_array), self.miss)

    def make_results(self) -> None:
        with self.loop(self.head(Head.RESULT_COUNT)) as k:
            record = self.at(self.head(Head.RESULTS), k, RESULT_WORDS)
            is_array = self.equal(self.load(record, 32), self.word(ARRAY))
            with self.builder.if_else(is_array) as (array, number):
                with array:
                    recycled = self.builder.not_(self.zero(self.load(record, 40)))
                    with self.builder.if_then(recycled):
                        self.recycle(k, record)
                    lacking = self.zero(self.load(self.at(self.objects, k)))
                    with self.builder.if_then(lacking):
                        self.new_array(k, record)
                    self.put(
                        self.load(self.load(self.at(self.objects, k)), DATA), record
                    )
                with number:
                    self.put(self.at(self.cells, k, CELL // 8), record)

    def recycle(self, k: Any, record: Any) -> None:
        """Use the array of the last call again, if nobody else holds it."""
        last = self.call("PyList_GetItem", self.head(Head.KEPT), k)
        alone = self.equal(self.load(last, REFERENCES), self.word(1))
        with (
            self.builder.if_then(alone),
            self.builder.if_then(self.fits(last, record, self.word(OURS))),
        ):
            self.call("Py_IncRef", last)
            self.store(last, self.at(self.objects, k))

    def new_array(self, k: Any, record: Any) -> None:
        descr = self.load(record, 8)
        self.call("Py_IncRef", descr)
        zero = self.word(0)
        array = self.call(
            "tracejit_PyArray_NewFromDescr",
            self.head(Head.ARRAY_TYPE),
            descr,
            self.builder.trunc(self.load(record, 16), INT),
            self.load(record, 24),
            zero,
            zero,
            ir.Constant(INT, 0),
            zero,
        )
        self.leave_if(self.zero(array), self.failed)
        self.store(array, self.at(self.objects, k))
        with self.builder.if_then(self.builder.not_(self.zero(self.load(record, 40)))):
            self.call("Py_IncRef", array)
            self.call("PyList_SetItem", self.head(Head.KEPT), k, array)

    def run(self) -> None:
        """Run the kernel in a block of memory: the plan's own, or one for this call."""
        builder, size = self.builder, self.head(Head.BLOCK_BYTES)
        wanted = builder.not_(self.zero(size))
        block = self.room(self.word(2))  # its address; whether it is the plan's
        with builder.if_then(wanted):
            own = self.head(Head.BLOCK)
            self.store(own, block)
            self.store(own, block, 8)
            self.store(self.word(0), self.plan, 8 * Head.BLOCK)
            with builder.if_then(self.zero(own)):
                fresh = self.call("PyMem_RawMalloc", size)
                with builder.if_then(self.zero(fresh)):
                    self.call("PyErr_NoMemory")
                    builder.branch(self.failed)
                    builder.position_at_end(self.function.append_basic_block())
                self.store(fresh, block)
            start = builder.add(self.load(block), self.word(63))
            start = builder.and_(start, self.word(-64))
            with self.loop(self.head(Head.TEMPORARY_COUNT)) as k:
                record = self.at(self.head(Head.TEMPORARIES), k, TEMPORARY_WORDS)
                self.put(builder.add(start, self.load(record, 8)), record)
        kernel = ir.FunctionType(WORD, [WORD]).as_pointer()
        state = self.call("PyEval_SaveThread")
        function = builder.inttoptr(self.head(Head.RUN), kernel)
        status = builder.call(function, [self.slots])
        self.call("PyEval_RestoreThread", state)
        with builder.if_then(wanted):
            own = self.load(block, 8)
            with builder.if_else(self.zero(own)) as (fresh, ours):
                with fresh:
                    self.call("PyMem_RawFree", self.load(block))
                with ours:
                    self.store(own, self.plan, 8 * Head.BLOCK)
        self.status = status
        self.leave_if(builder.not_(self.zero(status)), self.undo)

    def wrap_numbers(self) -> None:
        with self.loop(self.head(Head.RESULT_COUNT)) as k:
            record = self.at(self.head(Head.RESULTS), k, RESULT_WORDS)
            cell = self.at(self.cells, k, CELL // 8)
            form = self.load(record, 32)
            with self.builder.if_then(self.equal(form, self.word(PYTHON))):
                number = self.load(cell, kind=ir.DoubleType())
                self.keep(k, self.call("PyFloat_FromDouble", number))
            with self.builder.if_then(self.equal(form, self.word(SCALAR))):
                descr = self.load(record, 8)
                scalar = "tracejit_PyArray_Scalar"
                self.keep(k, self.call(scalar, cell, descr, self.word(0)))

    def keep(self, k: Any, made: Any) -> None:
        self.leave_if(self.zero(made), self.failed)
        self.store(made, self.at(self.objects, k))

    def return_results(self) -> None:
        """The recipe: k ≥ 0 puts a result on the stack, -n makes a tuple of the last n.

        Tuples are made of n > 0 items: the stack is never empty.
        """
        builder = self.builder
        height = self.room(self.word(1))
        self.store(self.word(0), height)
        with self.loop(self.head(Head.RECIPE_COUNT)) as k:
            code = self.load(self.at(self.head(Head.RECIPE), k))
            leaf = builder.icmp_signed(">=", code, self.word(0))
            with builder.if_else(leaf) as (result, group):
                with result:
                    item = self.load(self.at(self.objects, code))
                    self.call("Py_IncRef", item)
                    self.push(height, item)
                with group:
                    count = builder.neg(code)
                    first = builder.sub(self.load(height), count)
                    made = self.call("PyTuple_New", count)
                    with builder.if_then(self.zero(made)):
                        self.release(self.stack, self.load(height))
                        builder.branch(self.failed)
                        builder.position_at_end(self.function.append_basic_block())
                    with self.loop(count) as n:
                        item = self.load(self.at(self.stack, builder.add(first, n)))
                        self.call("PyTuple_SetItem", made, n, item)
                    self.store(first, height)
                    self.push(height, made)
        self.release(self.objects, self.head(Head.RESULT_COUNT))
        builder.ret(self.load(self.stack))

    def push(self, height: Any, item: Any) -> None:
        top = self.load(height)
        self.store(item, self.at(self.stack, top))
        self.store(self.builder.add(top, self.word(1)), height)

    def release(self, table: Any, count: Any) -> None:
        """Give up the references in a table; those not made yet are 0."""
        with self.loop(count) as k:
            item = self.load(self.at(table, k))
            with self.builder.if_then(self.builder.not_(self.zero(item))):
                self.call("Py_DecRef", item)

    def write_exits(self) -> None:
        self.builder.position_at_end(self.failed)
        self.release(self.objects, self.head(Head.RESULT_COUNT))
        self.builder.ret(self.word(0))
        self.builder.position_at_end(self.undo)
        self.release(self.objects, self.head(Head.RESULT_COUNT))
        number = self.call("PyLong_FromLongLong", self.status)
        told = self.call("PyObject_CallOneArg", self.head(Head.FAIL), number)
        self.call("Py_DecRef", number)
        plain = self.function.append_basic_block()
        known = self.builder.or_(
            self.zero(told), self.equal(told, self.head(Head.MISS))
        )
        self.leave_if(known, plain)
        # Raised here, it has no frame of ours.
        self.call("PyErr_SetObject", self.load(told, TYPE), told)
        self.call("Py_DecRef", told)
        self.builder.ret(self.word(0))
        self.builder.position_at_end(plain)
        self.builder.ret(told)
        self.builder.position_at_end(self.miss)
        nothing = self.head(Head.MISS)
        self.call("Py_IncRef", nothing)
        self.builder.ret(nothing)


def _write_call(module: ir.Module, entry: ir.Function) -> None:
    """PyObject *call(PyObject *callable, PyObject **args, size_t count, names)

    The entry of `callable`, or where that does not serve, its `__call__`.
    """
    code = _Code(module, CALL, 4)
    b = code.builder
    callable_, args, flagged, names = code.function.args
    count = b.and_(flagged, code.word(2**63 - 1))
    fast = code.load(callable_, FAST)
    code.call("Py_IncRef", fast)  # it may be replaced while the kernel runs
    owner = code.load(fast, SELF)
    name = code.load(code.load(code.load(owner, FIRST_ITEM), DATA), 8 * Head.NAME)
    missed = code.load(code.load(code.load(owner, FIRST_ITEM), DATA), 8 * Head.MISS)
    result = b.call(entry, [owner, args, count, names])
    code.call("Py_DecRef", fast)
    slow = code.function.append_basic_block()
    code.leave_if(code.equal(result, missed), slow)
    b.ret(result)
    b.position_at_end(slow)
    code.call("Py_DecRef", result)
    total = code.room(code.word(1))
    code.store(count, total)
    with b.if_then(b.not_(code.zero(names))):
        code.store(b.add(count, code.load(names, LENGTH)), total)
    given = code.load(total)
    passed = code.room(b.add(given, code.word(1)))
    code.store(callable_, passed)
    with code.loop(given) as k:
        value = code.load(code.at(args, k))
        code.store(value, code.at(passed, b.add(k, code.word(1))))
    count = b.add(count, code.word(1))
    b.ret(code.call("PyObject_VectorcallMethod", name, passed, count, names))


def _write_matches(module: ir.Module) -> ir.Function:
    """Whether (object, array type, record, flags) fit together."""
    code = _Code(module, "tracejit_matches", 4)
    array, kind, record, flags = code.function.args
    no = code.function.append_basic_block()
    b = code.builder
    code.leave_if(b.not_(code.equal(code.load(array, TYPE), kind)), no)
    ndim = code.load(array, NDIM, INT)
    have = code.load(array, FLAGS, INT)
    right = b.and_(
        code.equal(
            code.load(code.load(array, DESCR), KIND),
            code.load(code.load(record, 8), KIND),
        ),
        b.and_(
            code.equal(ndim, code.load(record, 16)),
            code.equal(b.and_(have, flags), flags),
        ),
    )
    code.leave_if(b.not_(right), no)
    with code.loop(ndim) as k:
        extent = code.load(code.at(code.load(array, SHAPE), k))
        wanted = code.load(code.at(code.load(record, 24), k))
        code.leave_if(b.not_(code.equal(extent, wanted)), no)
    b.ret(code.word(1))
    b.position_at_end(no)
    b.ret(code.word(0))
    return code.function


def _write_probe(module: ir.Module) -> None:
    """A kernel that adds a number to one of an array; it fails if that is 0."""
    code = _Code(module, PROBE, 1)
    (slots,) = code.function.args
    double = ir.DoubleType()
    x = code.load(code.load(slots, 0), kind=double)
    total = code.builder.fadd(x, code.load(slots, 8, double))
    for k in range(2, 5):
        code.store(total, code.load(slots, 8 * k))
    zero = code.builder.fcmp_ordered("==", x, ir.Constant(double, 0))
    code.builder.ret(code.widen(zero))
