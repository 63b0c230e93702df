"""What kernels promise: rounding, shared text, in-place updates, errors, threads."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest

from tests.backend.random_programs import run_as_python
from tests.transform.programs import (
    F8,
    I8,
    at,
    build,
    loop,
    part,
    put,
    total,
    while_loop,
)
from tracejit import jit, make_ir, vjp
from tracejit.backend import numba_build
from tracejit.backend.numba_build import compile_program, workspace
from tracejit.backend.numba_source import write
from tracejit.ir.aval import Aval, Extent
from tracejit.ir.builder import building
from tracejit.ir.evaluate import evaluate
from tracejit.ir.program import Literal, Program, Region, Var
from tracejit.ops import elementwise as ew
from tracejit.ops import index, linalg, shape, sort
from tracejit.ops.control import Failure, check
from tracejit.optimize.lower import lower

# Rounding -----------------------------------------------------------------------------


def kahan(x):
    """A compensated sum: reordered, it would be the naive one."""

    def add(i, s, c):
        y = at(x, i) - c
        t = s + y
        return t, (t - s) - y

    s, _ = loop(0, x.aval.shape[0], [0.0, 0.0], add)
    return s


def two_sums(x):
    """The exact errors of successive additions."""

    def add(i, s, e):
        a = at(x, i)
        t = s + a
        b = t - s
        return t, e + ((s - (t - b)) + (a - b))

    s, e = loop(0, x.aval.shape[0], [0.0, 0.0], add)
    return s, e


@pytest.mark.parametrize("f", [kahan, two_sums])
def test_compensated_sums_are_exact(f):
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000) * 10.0 ** rng.integers(-9, 9, 1000)
    program = build(f, (1000,))
    assert compile_program(program)([x]) == evaluate(program, [x])


def test_plain_sums_may_be_reordered():
    """`s += e` runs as vector instructions: partial sums, in one order or another."""
    program = build(
        lambda x: loop(0, x.aval.shape[0], [0.0], lambda i, s: s + at(x, i)), (1000,)
    )
    assert "_tj_add(" in compile_program(program).source


def test_a_sum_that_is_read_meanwhile_is_not_reordered():
    def f(x):
        n = x.aval.shape[0]
        out = shape.broadcast(0.0, shape=(n,), axes=())
        _, out = loop(
            0, n, [0.0, out], lambda i, s, out: ((t := s + at(x, i)), put(out, t, i))
        )
        return out

    program = build(f, (100,))
    compiled = compile_program(program)
    assert "_tj_add(" not in compiled.source
    x = np.random.default_rng(0).normal(size=100)
    np.testing.assert_array_equal(compiled([x])[0], evaluate(program, [x])[0])


# Types --------------------------------------------------------------------------------


def typed(f, dtype, *shapes):
    params = [Var(Aval(np.dtype(dtype), s), "x") for s in shapes]
    with building() as builder, builder.open() as eqns:
        out = f(*params)
    return Program("typed", Region(params, eqns, [out]))


def test_float32_stays_float32():
    """A float64 literal in a chain would show in the last digits."""
    program = typed(lambda x: 0.1 * x + 0.7 * ew.sin(x * 3.0), "float32", (500,))
    x = np.linspace(-3, 3, 500, dtype=np.float32)
    (got,) = compile_program(program)([x])
    (expected,) = evaluate(program, [x])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint16", "uint64", "int64"])
def test_integers_wrap_as_in_numpy(dtype):
    program = typed(lambda x, y: x * y + x, dtype, (6,), (6,))
    top = np.iinfo(dtype).max
    x = np.array([0, 1, 2, 7, top, top - 1], dtype)
    y = np.array([3, top, top, 100, top, 2], dtype)
    np.testing.assert_array_equal(
        compile_program(program)([x, y])[0], evaluate(program, [x, y])[0]
    )


# Products by BLAS ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("turned", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("contract", [((1,), (0,)), ((0,), (0,)), ((1,), (1,))])
def test_matrix_products(dtype, turned, contract):
    m, n, k = 12, 17, 23
    (ca,), (cb,) = contract
    a = (m, k) if ca else (k, m)
    b = (n, k) if cb else (k, n)

    def f(x, y):
        x, y = (
            shape.transpose(v, perm=(1, 0)) if t else v
            for v, t in zip((x, y), turned, strict=True)
        )
        return linalg.dot(x, y, contract=contract, batch=0)

    shapes = [s[::-1] if t else s for s, t in zip((a, b), turned, strict=True)]
    program = typed(f, dtype, *shapes)
    rng = np.random.default_rng(0)
    args = [rng.normal(size=s).astype(dtype) for s in shapes]
    compiled = compile_program(program)
    assert "_tj_gemm(" in compiled.source and "[" not in compiled.source
    (expected,) = evaluate(program, args)
    for (got,) in (compiled(args), run_as_python(program, args)):
        np.testing.assert_allclose(
            got, expected, rtol=2e-5 if dtype[5:] == "32" else 1e-12
        )


def test_without_blas_a_product_is_loops():
    program = typed(
        lambda x, y: linalg.dot(x, y, contract=((1,), (0,)), batch=0),
        "float64",
        (12, 9),
        (9, 10),
    )
    assert "_tj_gemm" not in write(lower(program, blas=False)).text


# Sizes --------------------------------------------------------------------------------


def stencil(n):
    """A program on an array of n elements whose extents say where they come from."""
    size = Extent(n, "x.0")
    x = Var(Aval(F8, (size,)), "x")
    h = Literal(1.0 / (n - 1), F8, runtime=True)
    with building() as builder, builder.open() as eqns:
        d = index.getitem(x, 1, sizes=(size - 1,), steps=(1,))
        d = d - index.getitem(x, 0, sizes=(size - 1,), steps=(1,))
        s = total(d * d) * h
        out = index.acc_slice(
            shape.broadcast(s, shape=(size,), axes=()),
            d,
            1,
            sizes=(size - 1,),
            steps=(1,),
        )
    return Program("stencil", Region([x], eqns, [out, s]))


def test_a_new_size_compiles_nothing():
    sources = [write(lower(stencil(n))) for n in (20, 50, 1000)]
    assert len({s.text for s in sources}) == len({s.key for s in sources}) == 1
    before = None
    for n in (20, 50, 1000):
        x = np.random.default_rng(n).normal(size=n)
        got = compile_program(stencil(n))([x])
        for mine, theirs in zip(got, evaluate(stencil(n), [x]), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12)
        before = numba_build.compile_count() if before is None else before
    assert numba_build.compile_count() == before


# In place -----------------------------------------------------------------------------


def counted(f, *shapes):
    program = build(f, *shapes)
    kernel = lower(program)
    args = [np.random.default_rng(0).normal(size=s) for s in shapes]
    for mine, theirs in zip(
        run_as_python(program, args), evaluate(program, args), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    return kernel.copies_in_loops


def test_updates_in_loops_copy_nothing():
    def points(x):
        return loop(0, 9, [x], lambda i, x: put(x, ew.sin(at(x, i)), i))

    def shifted(x):
        def step(i, x):
            return index.setitem(x, 0.5 * part(x, 0, 8), 1, sizes=(8,), steps=(1,))

        return loop(0, 4, [x], step)

    def swapped(x, y):
        return tuple(loop(0, 5, [x, y], lambda i, x, y: (y, put(x, at(y, i), 0))))

    def whole(x, y):
        return tuple(loop(0, 3, [x, y], lambda i, x, y: (x + y, ew.sin(x) - y)))

    assert counted(points, (9,)) == 0
    assert counted(shifted, (9,)) == 0
    assert counted(swapped, (9,), (9,)) == 0
    assert counted(whole, (9,), (9,)) == 0


def test_a_copy_in_a_loop_is_counted():
    def both(x):
        """The old value is needed beside the new one."""
        step = lambda i, x, y: (put(y, at(x, 0), i), y)  # noqa: E731
        return tuple(loop(0, 3, [x, x], step))

    assert counted(both, (9,)) == 1


@pytest.mark.parametrize("offsets", [(-1, 0), (-1, 0, 1), (1, 2), (-2, 2), (0, 1)])
@pytest.mark.parametrize("reverse", [False, True])
def test_windows_slide_as_memory_would(offsets, reverse):
    """Neighbours read and added to while a loop goes along them, also without trips."""

    def f(x, y):
        def cell(i, x):
            s = sum((at(x, i + k) for k in offsets[1:]), at(x, i + offsets[0]))
            x = put(x, ew.sin(s), i + offsets[-1])
            one = {"sizes": (None,), "steps": (1,)}
            return index.acc_slice(x, 0.5 * s, i + offsets[0], **one)

        x = loop(2, 10, [x], cell, reverse=reverse)
        y = loop(3, 3, [y], cell, reverse=reverse)
        return x, y

    assert counted(f, (12,), (12,)) == 0


# What is computed how often -----------------------------------------------------------


def test_a_costly_operand_is_computed_once_not_in_every_row():
    def f(W, x):
        return linalg.dot(W, ew.tanh(x), contract=((1,), (0,)), batch=0)

    def lines(text):
        depth = {line.strip(): len(line) - len(line.lstrip()) for line in text}
        return [d for line, d in depth.items() if "math.tanh" in line]

    source = write(lower(build(f, (20, 30), (30,)))).text.splitlines()
    assert lines(source) == [8]  # in a loop of its own, not in the inner one


def test_long_programs_are_lowered_without_deep_recursion():
    def f(x):
        for _ in range(1500):
            x = x + 1.0
        return x

    program = build(f, (12,))
    kernel = write(lower(program)).text
    assert kernel.count("for ") == 1 and kernel.count("] = ") == 1
    np.testing.assert_array_equal(run_as_python(program, [np.zeros(12)])[0], 1500.0)


# Calls --------------------------------------------------------------------------------


def test_a_failed_check_raises_what_it_holds():
    def f(x):
        def row(i, s):
            ok = ew.lt(at(x, i), 2.0)
            check(ok, error=Failure(IndexError, ("too large",)))
            return s + at(x, i)

        return loop(0, x.aval.shape[0], [0.0], row)

    compiled = compile_program(build(f, (12,)))
    assert compiled([np.ones(12)])[0] == 12
    with pytest.raises(IndexError, match="too large"):
        compiled([np.arange(12.0)])


def test_results_are_fresh_and_inputs_unchanged():
    program = build(lambda x: (ew.sin(x), x), (20_000,))
    compiled = compile_program(program)
    x = np.linspace(0, 1, 20_000)
    first, same = compiled([x])
    kept = first.copy()
    second, _ = compiled([2 * x])
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(same, x)
    np.testing.assert_array_equal(first, kept)
    view = second[5:]
    del second
    third, _ = compiled([3 * x])
    assert not np.shares_memory(view, third)


@pytest.mark.parametrize("store", [index.scatter_set, index.scatter_add])
def test_elements_that_come_up_twice_are_read_before_they_are_written(store):
    def f(x, where):
        i = ew.cast(where, dtype=I8)
        z = ew.sin(x)
        once = store(z, index.gather(z, i, axes=(0,)) * 2.0, i, axes=(0,))
        return store(once, once, i, axes=(0,))

    program = build(f, (6,), (6,))
    args = [np.linspace(0.1, 1.0, 6), np.array([3.0, 1, 1, 0, 1, 3])]
    expected = evaluate(program, args)
    np.testing.assert_allclose(run_as_python(program, args)[0], expected[0])
    np.testing.assert_allclose(compile_program(program)(args)[0], expected[0])


def test_indices_into_themselves_are_read_before_they_are_written():
    def f(x):
        p = sort.argsort(x, axis=0)
        return index.scatter_set(p, shape.iota(size=5, dtype=I8), p, axes=(0,))

    compiled = compile_program(build(f, (5,)))
    assert compiled([np.array([0.3, -1.0, 2.0, 0.7, -0.2])])[0].tolist() == [
        2,
        0,
        4,
        3,
        1,
    ]


def test_strided_arguments_are_taken():
    compiled = compile_program(build(lambda x: 2.0 * x, (3, 4)))
    x = np.arange(24.0).reshape(4, 6)[:, ::2].T
    np.testing.assert_array_equal(compiled([x])[0], 2 * x)


def test_small_temporaries_are_the_kernels_own():
    """Of a fixed size they may be in registers; larger ones are the caller's."""

    def fn(x, y):
        small, large = ew.exp(x), ew.exp(y)
        for k in range(3):
            small = put(small, at(small, k) * 2.0, 2 - k)
            large = put(large, at(large, k) * 2.0, 2 - k)
        return total(small * small) + total(large * large)

    text = write(lower(build(fn, (3,), (9,)))).text
    assert text.count("_tj_local(float64(0), 3)") == text.count("_tj_local") == 1
    args = np.arange(3.0), np.arange(9.0)
    program = build(fn, (3,), (9,))
    (value,), (expected,) = compile_program(program)(args), evaluate(program, args)
    assert value == pytest.approx(expected, rel=1e-14)


def test_threads_have_temporaries_of_their_own():
    def f(x):
        y = loop(0, 50, [x], lambda i, x: put(x, at(x, i) + 1.0, i))
        return total(y * y)

    compiled = compile_program(build(f, (50,)))
    wrong = []

    def run(k):
        for _ in range(50):
            if compiled([np.full(50, float(k))])[0] != 50 * (k + 1) ** 2:
                wrong.append(k)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_loop_that_ends_on_its_data():
    def f(x):
        (out,) = while_loop(lambda s: ew.lt(s, 100.0), lambda s: s + at(x, 3), 0.0)
        return out

    program = build(f, (9,))
    assert compile_program(program)([np.full(9, 7.0)])[0] == 105.0


def test_lines_of_a_buffer_seen_in_two_shapes():
    def f(A):
        A = A.copy()
        for i in range(0, -1, -1):
            A += np.tile(A[i], (1, 1))
        return A

    A = np.arange(4.0).reshape(1, 4)
    value, pull = vjp(f, A)
    np.testing.assert_array_equal(value, 2 * A)
    np.testing.assert_array_equal(pull(A)[0], 2 * A)


@pytest.mark.parametrize("n", [512, 1024, 520, 1000])
def test_large_temporaries_do_not_begin_at_one_place_of_their_pages(n):
    """Else what is stored in one is taken for what is loaded from the next."""

    def f(x, y):
        a = np.cumsum(x)
        b = np.cumsum(y)
        return np.sum(np.cumsum(a[::-1] * b) * a * b)

    program = make_ir(jit(f))(np.ones(n), np.ones(n))
    offsets, size = workspace(write(lower(program)))
    places = [offset % 4096 for _, offset in offsets]
    assert len(places) == 3 and size < 3 * (8 * n + 400)
    assert all(320 <= (b - a) % 4096 for a, b in pairwise(places))
