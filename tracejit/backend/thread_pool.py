"""Threads that run the parts of a loop, in LLVM IR: they need neither Python nor Numba.

A *job* is a function `part(environment, k)`, to be called for k = 0 … parts - 1, each
once, by whichever thread is free: the caller itself, and workers that are started when
they are first needed and sleep between jobs. There is a bit for each part that nobody
has taken yet. Every thread begins with the same parts each time, so that it finds in
its cache what it left there, and then takes what is left of the others. The caller
never waits for a worker to wake up, only for parts that one has begun. Where the
threads are busy with another job (of another thread of the caller's process), the
caller runs all parts itself. A forked child has no workers yet, and starts its own.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from tracejit.optimize.nest import MOST_PARTS

#: Runs a job: (part, environment, parts, threads).
RUN = "tracejit_threads"
WORD, BYTE, INT = ir.IntType(64), ir.IntType(8), ir.IntType(32)
POINTER = BYTE.as_pointer()
#: What the threads share, in words: the parts to be taken, how many have ended, the
#: number of the job; who has the threads, the process they are of; the job; how many
#: workers there are. What all of them write to, or wait for, has a cache line.
LEFT, DONE, JOB = 0, 8, 16
OWNER, HOME, PART, ENVIRONMENT, PARTS, THREADS, STARTED = range(24, 31)
#: More than a mutex and a condition variable take on any system.
MUTEX, WAKE, SHARED_WORDS = 32, 64, 96
#: How often a worker looks for another job before it goes to sleep.
PATIENCE = 1000
CALLS = {
    "getpid": (INT, []),
    "sched_yield": (INT, []),
    "pthread_create": (INT, [POINTER] * 4),
    "pthread_detach": (INT, [WORD]),
    "pthread_mutex_init": (INT, [POINTER] * 2),
    "pthread_mutex_lock": (INT, [POINTER]),
    "pthread_mutex_unlock": (INT, [POINTER]),
    "pthread_cond_init": (INT, [POINTER] * 2),
    "pthread_cond_wait": (INT, [POINTER] * 2),
    "pthread_cond_broadcast": (INT, [POINTER]),
}


def module_text() -> str:
    """The module: `RUN`, and what the workers do."""
    module = ir.Module("tracejit_threads")
    kind = ir.ArrayType(WORD, SHARED_WORDS)
    shared = ir.GlobalVariable(module, kind, "tracejit_shared")
    shared.linkage, shared.align = "internal", 64
    shared.initializer = ir.Constant(kind, None)
    for name, (result, parameters) in CALLS.items():
        ir.Function(module, ir.FunctionType(result, parameters), name)
    take_parts = _write_take_parts(module)
    worker = _write_worker(module, take_parts)
    _write_run(module, take_parts, worker)
    return str(module)


class _Code:
    """A function being written."""

    def __init__(self, module: ir.Module, name: str, kind: ir.FunctionType):
        self.function = ir.Function(module, kind, name)
        self.module = module
        self.builder = ir.IRBuilder(self.function.append_basic_block())

    def place(self, word: int, kind: Any = WORD) -> Any:
        shared = self.module.globals["tracejit_shared"]
        place = self.builder.gep(shared, [INT(0), INT(word)])
        return self.builder.bitcast(place, kind.as_pointer())

    def load(self, word: int) -> Any:
        return self.builder.load_atomic(self.place(word), "acquire", 8)

    def store(self, value: Any, word: int) -> None:
        self.builder.store_atomic(value, self.place(word), "release", 8)

    def call(self, name: str, *args: Any) -> Any:
        return self.builder.call(self.module.globals[name], args)

    def call_on(self, name: str, *words: int | None) -> Any:
        """A call with addresses of words; None is a null pointer."""
        args = [POINTER(None) if w is None else self.place(w, BYTE) for w in words]
        return self.call(name, *args)

    def block(self) -> ir.Block:
        return self.function.append_basic_block()

    def leave_if(self, condition: Any, target: ir.Block) -> None:
        following = self.block()
        self.builder.cbranch(condition, target, following)
        self.builder.position_at_end(following)

    def begin(self, block: ir.Block) -> None:
        """Go on to a block, and write it."""
        self.builder.branch(block)
        self.builder.position_at_end(block)


def _write_take_parts(module: ir.Module) -> ir.Function:
    """void take_parts(number): run parts of the current job until all are taken."""
    code = _Code(module, "take_parts", ir.FunctionType(ir.VoidType(), [WORD]))
    code.function.linkage = "internal"
    builder, again, end = code.builder, code.block(), code.block()
    code.begin(again)
    left = code.load(LEFT)
    code.leave_if(builder.icmp_unsigned("==", left, WORD(0)), end)
    # Its own parts first: the bits from there on, then those before.
    share = builder.mul(code.function.args[0], code.load(PARTS))
    first = builder.udiv(share, code.load(THREADS))
    first = builder.and_(first, WORD(63))
    opposite = builder.and_(builder.sub(WORD(64), first), WORD(63))
    turned = builder.or_(builder.lshr(left, first), builder.shl(left, opposite))
    skipped = builder.cttz(turned, ir.IntType(1)(True))
    number = builder.and_(builder.add(first, skipped), WORD(63))
    less = builder.xor(left, builder.shl(WORD(1), number))
    taken = builder.cmpxchg(code.place(LEFT), left, less, "acq_rel", "acquire")
    code.leave_if(builder.not_(builder.extract_value(taken, 1)), again)
    # The job cannot end now, before this part has: what it says stays true.
    call_part(code, code.load(PART), code.load(ENVIRONMENT), number)
    builder.atomic_rmw("add", code.place(DONE), WORD(1), "acq_rel")
    builder.branch(again)
    builder.position_at_end(end)
    builder.ret_void()
    return code.function


def call_part(code: _Code, part: Any, environment: Any, number: Any) -> None:
    """Call a function that is given by its address."""
    kind = ir.FunctionType(ir.VoidType(), [POINTER, WORD])
    function = code.builder.inttoptr(part, kind.as_pointer())
    environment = code.builder.inttoptr(environment, POINTER)
    code.builder.call(function, [environment, number])


def _write_worker(module: ir.Module, take_parts: ir.Function) -> ir.Function:
    """void *worker(void *number): take part in jobs for more threads than `number`."""
    code = _Code(module, "worker", ir.FunctionType(POINTER, [POINTER]))
    code.function.linkage = "internal"
    builder = code.builder
    number = builder.ptrtoint(code.function.args[0], WORD)
    first = builder.block
    watch, rest, sleep, asleep, awake, join = (code.block() for _ in range(6))
    builder.branch(watch)

    builder.position_at_end(watch)  # until there is another job
    seen, looks = builder.phi(WORD), builder.phi(WORD)
    job = code.load(JOB)
    code.leave_if(builder.icmp_unsigned("!=", job, seen), join)
    tired = builder.icmp_unsigned(">", looks, WORD(PATIENCE))
    builder.cbranch(tired, sleep, rest)

    builder.position_at_end(rest)
    code.call("sched_yield")
    builder.branch(watch)

    builder.position_at_end(sleep)
    code.call_on("pthread_mutex_lock", MUTEX)
    code.begin(asleep)
    now = code.load(JOB)
    waiting = code.block()
    builder.cbranch(builder.icmp_unsigned("==", now, seen), waiting, awake)
    builder.position_at_end(waiting)
    code.call_on("pthread_cond_wait", WAKE, MUTEX)
    builder.branch(asleep)

    builder.position_at_end(awake)
    code.call_on("pthread_mutex_unlock", MUTEX)
    builder.branch(watch)

    builder.position_at_end(join)
    ours, done = code.block(), code.block()
    wanted = builder.icmp_unsigned("<", number, code.load(THREADS))
    builder.cbranch(wanted, ours, done)
    builder.position_at_end(ours)
    builder.call(take_parts, [number])
    code.begin(done)
    builder.branch(watch)
    for block, number_seen, count in (
        (first, WORD(0), WORD(0)),
        (rest, seen, builder_add_after(rest, looks)),
        (awake, seen, WORD(0)),
        (done, job, WORD(0)),
    ):
        seen.add_incoming(number_seen, block)
        looks.add_incoming(count, block)
    return code.function


def builder_add_after(block: ir.Block, value: Any) -> Any:
    """One more than a value, computed at the end of a block that is written."""
    builder = ir.IRBuilder(block)
    builder.position_before(block.terminator)
    return builder.add(value, WORD(1))


def _write_run(module: ir.Module, take_parts: ir.Function, worker: Any) -> None:
    """void RUN(part, environment, parts, threads)"""
    kind = ir.FunctionType(ir.VoidType(), [WORD] * 4)
    code = _Code(module, RUN, kind)
    builder = code.builder
    part, environment, parts, threads = code.function.args
    alone = code.block()
    code.leave_if(builder.icmp_unsigned("<=", threads, WORD(1)), alone)
    code.leave_if(builder.icmp_unsigned("<=", parts, WORD(1)), alone)
    code.leave_if(builder.icmp_unsigned(">", parts, WORD(MOST_PARTS)), alone)

    # Nobody else of this process may have the threads: a parent's claim is void.
    process = builder.zext(code.call("getpid"), WORD)
    owner = code.load(OWNER)
    code.leave_if(builder.icmp_unsigned("==", owner, process), alone)
    place = code.place(OWNER)
    claim = builder.cmpxchg(place, owner, process, "acq_rel", "acquire")
    code.leave_if(builder.not_(builder.extract_value(claim, 1)), alone)
    home, new, ready = code.load(HOME), code.block(), code.block()
    builder.cbranch(builder.icmp_unsigned("==", home, process), ready, new)
    builder.position_at_end(new)
    code.call_on("pthread_mutex_init", MUTEX, None)
    code.call_on("pthread_cond_init", WAKE, None)
    code.store(process, HOME)
    code.store(WORD(0), STARTED)
    code.store(WORD(0), LEFT)
    code.begin(ready)
    _start_workers(code, threads, worker)

    for value, word in ((part, PART), (environment, ENVIRONMENT), (parts, PARTS)):
        code.store(value, word)
    code.store(threads, THREADS)
    code.store(WORD(0), DONE)
    # All bits below `parts`, which are at least one.
    unused = builder.sub(WORD(MOST_PARTS), parts)
    code.store(builder.lshr(WORD(-1), unused), LEFT)
    code.call_on("pthread_mutex_lock", MUTEX)
    code.store(builder.add(code.load(JOB), WORD(1)), JOB)
    code.call_on("pthread_mutex_unlock", MUTEX)
    code.call_on("pthread_cond_broadcast", WAKE)
    builder.call(take_parts, [WORD(0)])
    wait, rest, end = code.block(), code.block(), code.block()
    code.begin(wait)
    builder.cbranch(builder.icmp_unsigned("==", code.load(DONE), parts), end, rest)
    builder.position_at_end(rest)
    code.call("sched_yield")
    builder.branch(wait)
    builder.position_at_end(end)
    code.store(WORD(0), OWNER)
    builder.ret_void()

    builder.position_at_end(alone)
    _write_alone(code, part, environment, parts)


def _start_workers(code: _Code, threads: Any, worker: ir.Function) -> None:
    """Start the workers that this many threads need and that are not there yet."""
    builder = code.builder
    room = builder.alloca(WORD)
    again, failed, end = code.block(), code.block(), code.block()
    code.begin(again)
    number = builder.add(code.load(STARTED), WORD(1))
    code.leave_if(builder.icmp_unsigned(">=", number, threads), end)
    code.store(number, STARTED)
    status = code.call(
        "pthread_create",
        builder.bitcast(room, POINTER),
        POINTER(None),
        builder.bitcast(worker, POINTER),
        builder.inttoptr(number, POINTER),
    )
    code.leave_if(builder.icmp_signed("!=", status, INT(0)), failed)
    code.call("pthread_detach", builder.load(room))
    builder.branch(again)
    builder.position_at_end(failed)  # another job may try again
    code.store(builder.sub(number, WORD(1)), STARTED)
    code.begin(end)


def _write_alone(code: _Code, part: Any, environment: Any, parts: Any) -> None:
    """All parts, one after the other."""
    builder = code.builder
    before, again, body, end = builder.block, *(code.block() for _ in range(3))
    code.begin(again)
    number = builder.phi(WORD)
    builder.cbranch(builder.icmp_unsigned("<", number, parts), body, end)
    builder.position_at_end(body)
    call_part(code, part, environment, number)
    number.add_incoming(WORD(0), before)
    number.add_incoming(builder.add(number, WORD(1)), body)
    builder.branch(again)
    builder.position_at_end(end)
    builder.ret_void()


@cache
def engine() -> Any:
    """The loaded module; threads run its code as long as the process lives."""
    target = llvm.Target.from_default_triple()
    module = llvm.parse_assembly(module_text())
    module.verify()
    machine = target.create_target_machine(opt=2, jit=True)
    made = llvm.create_mcjit_compiler(module, machine)
    made.finalize_object()
    return made


def address() -> int:
    """Where `RUN` is."""
    return engine().get_function_address(RUN)


def run(part: Any, parts: int, threads: int) -> None:
    """Call `part(k)` for every k below `parts`, as a job for this many threads.

    Python takes part in no job: the function is one of ctypes, and takes its turns
    with the interpreter's lock. For tests.
    """
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    called = kind(lambda _, number: part(number))
    launch = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address())
    launch(ctypes.cast(called, ctypes.c_void_p).value, 0, parts, threads)
