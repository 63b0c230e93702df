"""The entry of calls, in LLVM IR: what a C extension would be, without a C compiler.

One function serves every kernel: it reads a *plan*, a table of 64-bit words that
`fast_entry` fills in. It takes the arguments apart and checks them against the plan,
makes the results, runs the kernel without the GIL, and returns what the user's call
returns; whatever it does not know, it answers with NotImplemented. A table on the stack
has the objects of a call: the results, what the caller gave, and what was read from
that; the first and the last are held until the call ends.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from tracejit.backend.entry_reading import Reader
from tracejit.backend.entry_words import (
    CALL,
    CELL,
    DATA,
    DONATED_WORDS,
    DOUBLE,
    FIRST_ITEM,
    FRESH,
    GIVEN,
    INT,
    LENGTH,
    MAKE,
    MAKE_DICT,
    MAKE_LIST,
    MAKE_TUPLE,
    MOVE,
    OURS,
    PROBE,
    PUT,
    PYTHON,
    RECIPE_WORDS,
    REFERENCES,
    RESULT_WORDS,
    SCALAR,
    SELF,
    TEMPORARY_WORDS,
    TYPE,
    WORD,
    Code,
    Head,
)
from tracejit.backend.quick_call import FAST, MORE


def module_text() -> str:
    """The module: the entry, what objects are called by, and a kernel for tests."""
    module = ir.Module("tracejit_entry")
    entry = _Entry(module)
    entry.write()
    _write_call(module, entry.function)
    _write_probe(module)
    return str(module)


class _Entry(Reader):
    """PyObject *entry(PyObject *self, PyObject **args, Py_ssize_t count, names)"""

    def __init__(self, module: ir.Module):
        super().__init__(module)
        blocks = (self.function.append_basic_block() for _ in range(3))
        self.undo, self.failed, self.broken = blocks

    def write(self) -> None:
        self.require_form()
        self.made = self.head(Head.RESULT_COUNT)
        self.slots = self.room(self.head(Head.SLOT_COUNT))
        self.cells = self.room(self.builder.mul(self.made, self.word(CELL // 8)))
        self.first_read = self.builder.add(self.made, self.head(Head.GIVEN))
        count = self.builder.add(self.first_read, self.head(Head.READ))
        self.objects = self.room(count)
        self.stack = self.room(self.head(Head.RECIPE_COUNT))
        self.height = self.room(self.word(1))
        self.scratch = self.room(self.word(3))
        with self.loop(self.head(Head.SLOT_COUNT)) as k:
            fixed = self.load(self.at(self.head(Head.SLOTS), k))
            self.store(fixed, self.at(self.slots, k))
        with self.loop(count) as k:
            self.store(self.word(0), self.at(self.objects, k))
        with self.loop(self.head(Head.GIVEN)) as k:
            place = self.builder.add(self.made, k)
            self.store(self.load(self.at(self.args, k)), self.at(self.objects, place))
        self.read()
        self.take_arguments()
        self.require_apart()
        self.make_results()
        self.run()
        self.wrap_numbers()
        self.take_donated()
        self.return_results()
        self.write_exits()

    # Running

    def make_results(self) -> None:
        with self.loop(self.made) as k:
            record = self.at(self.head(Head.RESULTS), k, RESULT_WORDS)
            cell = self.at(self.cells, k, CELL // 8)
            writers = {
                FRESH: lambda: self.make_array(k, record),
                PYTHON: lambda: self.put(cell, record),
                SCALAR: lambda: self.put(cell, record),
                GIVEN: lambda: None,
            }
            self.cases(self.load(record, 32), writers, self.miss)

    def make_array(self, k: Any, record: Any) -> None:
        recycled = self.builder.not_(self.zero(self.load(record, 40)))
        with self.builder.if_then(recycled):
            self.recycle(k, record)
        lacking = self.zero(self.load(self.at(self.objects, k)))
        with self.builder.if_then(lacking):
            self.new_array(k, record)
        self.put(self.load(self.load(self.at(self.objects, k)), DATA), record)

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
        """Run the kernel in memory for its temporaries, if it has any."""
        builder = self.builder
        # Where it begins; what is to be freed; a block shared by all functions.
        room = self.room(self.word(3))
        for offset in (0, 8, 16):
            self.store(self.word(0), room, offset)
        wanted = builder.not_(self.zero(self.head(Head.BLOCK_BYTES)))
        shared = builder.not_(self.zero(self.head(Head.TAKE)))
        with builder.if_then(wanted):
            with builder.if_else(shared) as (large, small):
                with large:
                    self.take_shared(room)
                with small:
                    self.take_own(room)
            start = builder.add(self.load(room), self.word(63))
            start = builder.and_(start, self.word(-64))
            with self.loop(self.head(Head.TEMPORARY_COUNT)) as k:
                record = self.at(self.head(Head.TEMPORARIES), k, TEMPORARY_WORDS)
                self.put(builder.add(start, self.load(record, 8)), record)
        self.status = self.run_kernel()
        with builder.if_then(wanted), builder.if_else(shared) as (large, small):
            with large:
                self.give_shared(self.load(room, 16))
            with small:
                self.give_own(room)
        self.leave_if(builder.not_(self.zero(self.status)), self.undo)

    def take_shared(self, room: Any) -> None:
        ask, size = self.head(Head.TAKE), self.head(Head.ROOM)
        block = self.call("PyObject_CallOneArg", ask, size)
        self.leave_if(self.zero(block), self.failed)
        self.store(block, room, 16)
        self.store(self.load(block, DATA), room)

    def give_shared(self, block: Any) -> None:
        done = self.call("PyObject_CallOneArg", self.head(Head.GIVE), block)
        self.call("Py_DecRef", block)
        self.leave_if(self.zero(done), self.failed)  # as by an interrupt
        self.call("Py_DecRef", done)

    def take_own(self, room: Any) -> None:
        """The plan's, unless another call has it."""
        own = self.head(Head.BLOCK)
        self.store(own, room)
        self.store(self.word(0), self.plan, 8 * Head.BLOCK)
        with self.builder.if_then(self.zero(own)):
            fresh = self.call("PyMem_RawMalloc", self.head(Head.BLOCK_BYTES))
            with self.builder.if_then(self.zero(fresh)):
                self.call("PyErr_NoMemory")
                self.builder.branch(self.failed)
                self.builder.position_at_end(self.function.append_basic_block())
            self.store(fresh, room)
            self.store(fresh, room, 8)

    def give_own(self, room: Any) -> None:
        fresh = self.load(room, 8)
        with self.builder.if_else(self.zero(fresh)) as (own, other):
            with own:
                self.store(self.load(room), self.plan, 8 * Head.BLOCK)
            with other:
                self.call("PyMem_RawFree", fresh)

    def run_kernel(self) -> Any:
        """Its status. A brief one ends sooner than the GIL is handed over."""
        builder = self.builder
        free = self.zero(self.head(Head.BRIEF))
        with builder.if_then(free):
            self.store(self.call("PyEval_SaveThread"), self.scratch)
        kernel = ir.FunctionType(WORD, [WORD]).as_pointer()
        function = builder.inttoptr(self.head(Head.RUN), kernel)
        status = builder.call(function, [self.slots])
        with builder.if_then(free):
            self.call("PyEval_RestoreThread", self.load(self.scratch))
        return status

    def wrap_numbers(self) -> None:
        with self.loop(self.head(Head.RESULT_COUNT)) as k:
            record = self.at(self.head(Head.RESULTS), k, RESULT_WORDS)
            cell = self.at(self.cells, k, CELL // 8)
            form = self.load(record, 32)
            with self.builder.if_then(self.equal(form, self.word(PYTHON))):
                number = self.load(cell, kind=DOUBLE)
                self.keep(k, self.call("PyFloat_FromDouble", number))
            with self.builder.if_then(self.equal(form, self.word(SCALAR))):
                descr = self.load(record, 8)
                scalar = "tracejit_PyArray_Scalar"
                self.keep(k, self.call(scalar, cell, descr, self.word(0)))

    def keep(self, k: Any, made: Any) -> None:
        self.leave_if(self.zero(made), self.failed)
        self.store(made, self.at(self.objects, k))

    def take_donated(self) -> None:
        """Keep donated arrays: they are results once nobody else holds them."""
        with self.loop(self.head(Head.DONATED_COUNT)) as k:
            pair = self.at(self.head(Head.DONATED), k, DONATED_WORDS)
            array = self.load(self.at(self.objects, self.load(pair)))
            number = self.load(pair, 8)
            record = self.at(self.head(Head.RESULTS), number, RESULT_WORDS)
            with self.builder.if_then(self.fits(array, record, self.word(OURS))):
                self.call("Py_IncRef", array)
                self.call("PyList_SetItem", self.head(Head.KEPT), number, array)

    def return_results(self) -> None:
        """Follow the recipe; what it makes is of n > 0 things or of none."""
        self.store(self.word(0), self.height)
        with self.loop(self.head(Head.RECIPE_COUNT)) as k:
            record = self.at(self.head(Head.RECIPE), k, RECIPE_WORDS)
            number, extra = self.load(record, 8), self.load(record, 16)
            writers = {
                PUT: lambda: self.put_object(number),
                MOVE: lambda: self.move_result(number),
                MAKE_TUPLE: lambda: self.push(self.sequence("Tuple", number)),
                MAKE_LIST: lambda: self.push(self.sequence("List", number)),
                MAKE_DICT: lambda: self.make_dict(number, extra),
                MAKE: lambda: self.make(number, extra),
            }
            self.cases(self.load(record), writers, self.broken)
        self.release_all()
        self.builder.ret(self.load(self.stack))

    def put_object(self, number: Any) -> None:
        item = self.load(self.at(self.objects, number))
        self.call("Py_IncRef", item)
        self.push(item)

    def move_result(self, number: Any) -> None:
        place = self.at(self.objects, number)
        self.push(self.load(place))
        self.store(self.word(0), place)

    def push(self, item: Any) -> None:
        top = self.load(self.height)
        self.store(item, self.at(self.stack, top))
        self.store(self.builder.add(top, self.word(1)), self.height)

    def below(self, count: Any) -> Any:
        """The first of the last things on the stack."""
        return self.builder.sub(self.load(self.height), count)

    def sequence(self, kind: str, count: Any) -> Any:
        """The last things on the stack in a tuple or list, which takes them over."""
        made = self.call(f"Py{kind}_New", count)
        self.leave_if(self.zero(made), self.broken)
        first = self.below(count)
        with self.loop(count) as n:
            item = self.load(self.at(self.stack, self.builder.add(first, n)))
            if kind == "Tuple":
                self.store(item, self.at(made, n), FIRST_ITEM)
            else:
                self.call("PyList_SetItem", made, n, item)
        self.store(first, self.height)
        return made

    def make_dict(self, count: Any, keys: Any) -> None:
        made = self.call("PyDict_New")
        self.leave_if(self.zero(made), self.broken)
        with self.loop(count) as n:
            place = self.builder.add(self.below(count), n)
            item = self.load(self.at(self.stack, place))
            key = self.load(self.at(keys, n), FIRST_ITEM)
            self.call("PyDict_SetItem", made, key, item)
        with self.loop(count):
            last = self.below(self.word(1))
            self.store(last, self.height)
            self.call("Py_DecRef", self.load(self.at(self.stack, last)))
        whole = self.equal(self.load(made, LENGTH), count)
        with self.builder.if_then(self.builder.not_(whole)):
            self.call("Py_DecRef", made)
        self.unless(whole, self.broken)
        self.push(made)

    def make(self, count: Any, function: Any) -> None:
        parts = self.sequence("Tuple", count)
        made = self.call("PyObject_CallOneArg", function, parts)
        self.call("Py_DecRef", parts)
        self.leave_if(self.zero(made), self.broken)
        self.push(made)

    def release(self, table: Any, count: Any) -> None:
        """Give up the references in a table; those not made yet are 0."""
        with self.loop(count) as k:
            item = self.load(self.at(table, k))
            with self.builder.if_then(self.builder.not_(self.zero(item))):
                self.call("Py_DecRef", item)

    def release_all(self) -> None:
        """All that is held: results, and what was read."""
        self.release(self.objects, self.made)
        self.release(self.at(self.objects, self.first_read), self.head(Head.READ))

    def write_exits(self) -> None:
        b = self.builder
        b.position_at_end(self.broken)
        self.release(self.stack, self.load(self.height))
        b.branch(self.failed)
        b.position_at_end(self.failed)
        self.release_all()
        b.ret(self.word(0))
        b.position_at_end(self.fault)
        # What is no Exception, as an interrupt, is nobody's to keep to himself.
        found = self.call("PyErr_ExceptionMatches", self.head(Head.EXCEPTION))
        self.unless(self.positive(found), self.failed)
        self.call("PyErr_Clear")
        b.branch(self.miss)
        b.position_at_end(self.undo)
        self.release_all()
        self.raise_status()
        b.position_at_end(self.miss)
        self.release_all()
        b.branch(self.refuse)
        b.position_at_end(self.refuse)
        nothing = self.head(Head.MISS)
        self.call("Py_IncRef", nothing)
        b.ret(nothing)

    def raise_status(self) -> None:
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


def _write_call(module: ir.Module, entry: ir.Function) -> None:
    """PyObject *call(PyObject *callable, PyObject **args, size_t count, names)

    An entry of `callable`, or where none serves, its `__call__`.
    """
    code = Code(module, CALL, 4)
    b = code.builder
    callable_, args, flagged, names = code.function.args
    count = b.and_(flagged, code.word(2**63 - 1))
    # They may be replaced while the kernel runs.
    fast, more = code.load(callable_, FAST), code.load(callable_, MORE)
    for held in (fast, more):
        code.call("Py_IncRef", held)
    plan = code.load(code.load(code.load(fast, SELF), FIRST_ITEM), DATA)
    name, missed = code.load(plan, 8 * Head.NAME), code.load(plan, 8 * Head.MISS)
    answer = code.room(code.word(1))
    given = [args, count, names]
    code.store(b.call(entry, [code.load(fast, SELF), *given]), answer)
    with code.loop(code.load(more, LENGTH)) as k:
        with b.if_then(code.equal(code.load(answer), missed)):
            code.call("Py_DecRef", missed)
            owner = code.load(code.load(code.at(more, k), FIRST_ITEM), SELF)
            code.store(b.call(entry, [owner, *given]), answer)
    for held in (fast, more):
        code.call("Py_DecRef", held)
    result = code.load(answer)
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


def _write_probe(module: ir.Module) -> None:
    """A kernel that adds a number to one of an array; it fails if that is 0."""
    code = Code(module, PROBE, 1)
    (slots,) = code.function.args
    x = code.load(code.load(slots, 0), kind=DOUBLE)
    total = code.builder.fadd(x, code.load(slots, 8, DOUBLE))
    for k in range(2, 5):
        code.store(total, code.load(slots, 8 * k))
    zero = code.builder.fcmp_ordered("==", x, ir.Constant(DOUBLE, 0))
    code.builder.ret(code.widen(zero))
