"""How the entry of calls reads its arguments: taken apart, checked, put into slots.

A call whose arguments are not what the plan says leaves by `miss`, or before anything
is held, by `refuse`; where Python code raised, by `fault`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir

from tracejit.backend.entry_words import (
    ARGUMENT_WORDS,
    ARRAY,
    ATTRIBUTES,
    BYTE,
    DATA,
    DESCR,
    DICT,
    ELEMENT,
    ENTRY,
    FETCHED,
    FIRST_ITEM,
    FLAGS,
    FLOAT_VALUE,
    INT,
    INTEGER,
    KIND,
    LENGTH,
    LIST,
    NDIM,
    NUMBER,
    OBJECT,
    OPENED,
    PLACE,
    REAL,
    SHAPE,
    STEP_WORDS,
    TEXT,
    TUPLE,
    TYPE,
    VALUE,
    WORD,
    Code,
    Head,
)


class Reader(Code):
    """The first part of the entry.

    `objects` are the results, what the caller gave and what is read from that, `slots`
    what the kernel gets, `scratch` three words; `made` is the number of results.
    """

    objects: Any
    slots: Any
    scratch: Any

    def __init__(self, module: ir.Module):
        super().__init__(module, ENTRY, 4)
        owner, self.args, self.count, self.names = self.function.args
        # `self` is a tuple whose first item is the array that holds the plan.
        self.plan = self.load(self.load(owner, FIRST_ITEM), DATA)
        blocks = (self.function.append_basic_block() for _ in range(3))
        self.refuse, self.miss, self.fault = blocks
        self.matches = _write_matches(module)
        self.same_text = _write_same_text(module)

    def head(self, which: Head) -> Any:
        return self.load(self.plan, 8 * which)

    def require_form(self) -> None:
        """As many positional arguments, and the same keywords."""
        b, names, wanted = self.builder, self.names, self.head(Head.NAMES)
        self.unless(self.equal(self.count, self.head(Head.POSITIONAL)), self.refuse)
        with b.if_then(b.not_(self.equal(names, wanted))):
            self.leave_if(self.zero(names), self.refuse)
            self.leave_if(self.zero(wanted), self.refuse)
            count = self.load(wanted, LENGTH)
            self.unless(self.equal(self.load(names, LENGTH), count), self.refuse)
            with self.loop(count) as k:
                one = self.load(self.at(names, k), FIRST_ITEM)
                other = self.load(self.at(wanted, k), FIRST_ITEM)
                self.unless(self.equal(one, other), self.refuse)

    def put(self, value: Any, record: Any, offset: int = 0) -> None:
        """Enter a value into the slot that a record names."""
        self.store(value, self.at(self.slots, self.load(record, offset)))

    def text(self, found: Any, wanted: Any) -> Any:
        """Whether an object is another one, or a text equal to it."""
        kind = self.head(Head.TEXT_TYPE)
        same = self.builder.call(self.same_text, [found, wanted, kind])
        return self.builder.not_(self.zero(same))

    # Reading what the arguments contain

    def read(self) -> None:
        with self.loop(self.head(Head.STEP_COUNT)) as k:
            record = self.at(self.head(Head.STEPS), k, STEP_WORDS)
            subject = self.load(self.at(self.objects, self.load(record, 8)))
            writers = {
                TUPLE: lambda: self.read_items(subject, record, inline=True),
                LIST: lambda: self.read_items(subject, record, inline=False),
                DICT: lambda: self.read_dict(subject, record),
                ATTRIBUTES: lambda: self.read_attributes(subject, record),
                OPENED: lambda: self.open(subject, record),
                FETCHED: lambda: self.fetch(record),
                VALUE: lambda: self.hold(self.load(record, 40), record),
            }
            self.cases(self.load(record), writers, self.miss)

    def hold(self, thing: Any, record: Any, index: Any = None, own: bool = True) -> Any:
        """Enter an object among those read; one that is not `own` is borrowed."""
        if own:
            self.call("Py_IncRef", thing)
        first = self.at(self.objects, self.load(record, 32))
        self.store(thing, first if index is None else self.at(first, index))

    def require_type(self, subject: Any, record: Any) -> None:
        right = self.equal(self.load(subject, TYPE), self.load(record, 16))
        self.unless(right, self.miss)

    def require_length(self, subject: Any, record: Any) -> None:
        right = self.equal(self.load(subject, LENGTH), self.load(record, 24))
        self.unless(right, self.miss)

    def read_items(self, subject: Any, record: Any, inline: bool) -> None:
        self.require_type(subject, record)
        self.require_length(subject, record)
        items = self.builder.add(subject, self.word(FIRST_ITEM))
        if not inline:
            items = self.load(items)
        with self.loop(self.load(record, 24)) as k:
            self.hold(self.load(self.at(items, k)), record, k)

    def read_dict(self, subject: Any, record: Any) -> None:
        """Values of a dict that has these keys in this order."""
        self.require_type(subject, record)
        self.require_length(subject, record)
        key, value = (
            self.builder.add(self.scratch, self.word(offset)) for offset in (8, 16)
        )
        self.store(self.word(0), self.scratch)
        with self.loop(self.load(record, 24)) as k:
            found = self.call("PyDict_Next", subject, self.scratch, key, value)
            self.leave_if(self.builder.not_(self.positive(found)), self.miss)
            wanted = self.load(self.at(self.load(record, 40), k), FIRST_ITEM)
            self.unless(self.text(self.load(key), wanted), self.miss)
            self.hold(self.load(value), record, k)

    def read_attributes(self, subject: Any, record: Any) -> None:
        self.require_type(subject, record)
        with self.loop(self.load(record, 24)) as k:
            name = self.load(self.at(self.load(record, 40), k), FIRST_ITEM)
            found = self.call("PyObject_GetAttr", subject, name)
            self.leave_if(self.zero(found), self.fault)
            self.hold(found, record, k, own=False)

    def open(self, subject: Any, record: Any) -> None:
        """What a function takes an object apart to, if that is a tuple as long."""
        function = self.load(record, 40)
        found = self.call("PyObject_CallOneArg", function, subject)
        self.leave_if(self.zero(found), self.fault)
        kind, length = self.load(found, TYPE), self.load(record, 24)
        right = self.equal(kind, self.head(Head.TUPLE_TYPE))
        with self.builder.if_then(self.builder.not_(right)):
            self.call("Py_DecRef", found)
        self.unless(right, self.miss)
        with self.builder.if_then(self.equal(self.load(found, LENGTH), length)):
            with self.loop(length) as k:
                self.hold(self.load(self.at(found, k), FIRST_ITEM), record, k)
        fits = self.equal(self.load(found, LENGTH), length)
        self.call("Py_DecRef", found)
        self.unless(fits, self.miss)

    def fetch(self, record: Any) -> None:
        found = self.call("PyObject_CallNoArgs", self.load(record, 40))
        self.leave_if(self.zero(found), self.fault)
        self.hold(found, record, own=False)

    # Checking

    def take_arguments(self) -> None:
        with self.loop(self.head(Head.ARGUMENT_COUNT)) as k:
            record = self.at(self.head(Head.ARGUMENTS), k, ARGUMENT_WORDS)
            value = self.load(self.at(self.objects, self.load(record)))
            writers = {
                ARRAY: lambda: self.take_array(value, record),
                ELEMENT: lambda: self.take_element(value, record),
                NUMBER: lambda: self.take_number(value, record),
                PLACE: lambda: self.take_place(value, record),
                INTEGER: lambda: self.require_integer(value, record),
                REAL: lambda: self.require_real(value, record),
                TEXT: lambda: self.unless(
                    self.text(value, self.load(record, 32)), self.miss
                ),
                OBJECT: lambda: self.unless(
                    self.equal(value, self.load(record, 32)), self.miss
                ),
            }
            self.cases(self.load(record, 16), writers, self.miss)

    def take_array(self, value: Any, record: Any) -> None:
        shape = self.builder.add(record, self.word(16))
        self.unless(self.fits(value, shape, self.load(record, 48)), self.miss)
        self.put(self.load(value, DATA), record, 8)

    def take_element(self, value: Any, record: Any) -> None:
        """The element of an array without axes, of which there may be no byte more."""
        shape = self.builder.add(record, self.word(16))
        self.unless(self.fits(value, shape, self.load(record, 48)), self.miss)
        data = self.load(value, DATA)
        kinds = {1: BYTE, 2: ir.IntType(16), 4: INT, 8: WORD}

        def take(kind: Any) -> None:
            self.put(self.load(data, kind=kind), record, 8)

        writers = {size: partial(take, kind) for size, kind in kinds.items()}
        self.cases(self.load(record, 56), writers, self.miss)

    def require_kind(self, value: Any, record: Any) -> None:
        right = self.equal(self.load(value, TYPE), self.load(record, 24))
        self.unless(right, self.miss)

    def take_number(self, value: Any, record: Any) -> None:
        """Python's floats and NumPy's scalars have it in the same place."""
        self.require_kind(value, record)
        self.put(self.load(value, FLOAT_VALUE), record, 8)

    def take_place(self, value: Any, record: Any) -> None:
        self.require_kind(value, record)
        self.put(self.builder.add(value, self.word(FLOAT_VALUE)), record, 8)

    def require_integer(self, value: Any, record: Any) -> None:
        right = self.equal(self.load(value, TYPE), self.head(Head.INT_TYPE))
        self.unless(right, self.miss)
        number = self.call("PyLong_AsLongLongAndOverflow", value, self.scratch)
        fits = self.zero(self.load(self.scratch, kind=INT))
        right = self.builder.and_(fits, self.equal(number, self.load(record, 32)))
        self.unless(right, self.miss)

    def require_real(self, value: Any, record: Any) -> None:
        right = self.equal(self.load(value, TYPE), self.head(Head.FLOAT_TYPE))
        self.unless(right, self.miss)
        bits = self.load(value, FLOAT_VALUE)
        self.unless(self.equal(bits, self.load(record, 32)), self.miss)

    def fits(self, array: Any, record: Any, flags: Any) -> Any:
        """Whether an object is an array as the record describes it."""
        kind = self.head(Head.ARRAY_TYPE)
        found = self.builder.call(self.matches, [array, kind, record, flags])
        return self.builder.not_(self.zero(found))

    def require_apart(self) -> None:
        """No array that is written to shares memory with another one."""
        b = self.builder

        def span(k: Any) -> tuple[Any, Any]:
            record = self.at(self.head(Head.ARGUMENTS), k, ARGUMENT_WORDS)
            start = self.load(self.at(self.slots, self.load(record, 8)))
            return start, self.load(record, 56)

        with self.loop(self.head(Head.EXCLUSIVE_COUNT)) as e:
            written = self.load(self.at(self.head(Head.EXCLUSIVE), e))
            start, size = span(written)
            with self.loop(self.head(Head.ARGUMENT_COUNT)) as k:
                other, length = span(k)
                before = b.icmp_unsigned("<", start, b.add(other, length))
                after = b.icmp_unsigned("<", other, b.add(start, size))
                met = b.and_(b.and_(before, after), b.not_(self.equal(k, written)))
                is_array = b.not_(self.zero(length))
                self.leave_if(b.and_(met, is_array), self.miss)


def _write_same_text(module: ir.Module) -> ir.Function:
    """Whether (object, other, type of texts) are one, or texts that are equal."""
    code = Code(module, "tracejit_same_text", 3)
    found, wanted, kind = code.function.args
    yes, no = (code.function.append_basic_block() for _ in range(2))
    code.leave_if(code.equal(found, wanted), yes)
    code.unless(code.equal(code.load(found, TYPE), kind), no)
    code.unless(code.equal(code.load(wanted, TYPE), kind), no)
    equal = ir.Constant(INT, 2)
    same = code.call("PyObject_RichCompareBool", found, wanted, equal)
    code.unless(code.positive(same), no)
    code.builder.branch(yes)
    code.builder.position_at_end(yes)
    code.builder.ret(code.word(1))
    code.builder.position_at_end(no)
    code.builder.ret(code.word(0))
    return code.function


def _write_matches(module: ir.Module) -> ir.Function:
    """Whether (object, array type, record, flags) fit together."""
    code = Code(module, "tracejit_matches", 4)
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
