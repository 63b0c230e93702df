"""Vector functions: called in loops, right to a few ulps, and not missed if missing."""

from __future__ import annotations

import importlib
import os
import re
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from scipy import special

from benchmarks import accuracy
from tracejit import grad, hessian, jacfwd, jit, value_and_grad, vmap
from tracejit.backend import (
    numba_build,
    numba_scopes,
    object_cache,
    object_code,
    vector_math,
)
from tracejit.base.config import config, override
from tracejit.ir.primitive import REGISTRY

needs_libmvec = pytest.mark.skipif(
    not vector_math.addresses(), reason="the C library has no vector functions"
)
DTYPES = (np.float64, np.float32)
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, 1e-45, 1e308, -3e38]


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty cache directory and a process that has loaded nothing."""
    monkeypatch.setattr(numba_build, "_loaded", {})
    with override(cache_dir=tmp_path):
        yield tmp_path


def called(directory):
    """The vector functions called by the object code in a cache directory."""
    code = b"".join(p.read_bytes() for p in directory.rglob("*") if p.is_file())
    return {
        n for n in vector_math.addresses() if n[:4] == "_ZGV" and n.encode() in code
    }


@pytest.fixture
def modules(fresh, monkeypatch):
    """The texts of what LLVM makes of the kernels that are compiled."""
    compiler = importlib.import_module("tracejit.backend.numba_compile")
    link, texts = compiler._link_own, []

    def linking(module, machine):
        link(module, machine)
        texts.append(str(module))

    monkeypatch.setattr(compiler, "_link_own", linking)
    return texts


def vectors(text, dtype):
    """How many operations on vectors of numbers a module has: multiplications and
    additions in one, and calls of vector functions."""
    kind = {np.float64: "double", np.float32: "float"}[dtype]
    return len(re.findall(rf"call [\w ]*<\d+ x {kind}> @(llvm.fma|_ZGV)", text))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", accuracy.LIMIT)
def test_values_are_right_to_a_few_ulps(name, dtype):
    error, point = accuracy.worst(name, dtype, 150)
    assert error <= accuracy.LIMIT[name], point


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", accuracy.LIMIT)
def test_special_values_are_numpys(name, dtype):
    """Infinities, NaN, zeros with their signs, subnormals."""
    with np.errstate(all="ignore"):
        x = np.array(SPECIAL * 8).astype(dtype)
        operands = [x]
        if name in accuracy.BINARY:
            operands = [np.repeat(x, 11), np.tile(x, 11)]
        expected = np.asarray(REGISTRY[name].impl(*operands))
    got = accuracy.compiled(name, operands)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    np.testing.assert_array_equal(np.signbit(got[finite]), np.signbit(expected[finite]))
    tiny = 8 * np.finfo(dtype).smallest_subnormal
    np.testing.assert_allclose(
        got[finite], expected[finite], rtol=8 * np.finfo(dtype).eps, atol=tiny
    )


@pytest.fixture
def plain(fresh, monkeypatch):
    """A machine that has neither AVX-512 nor vector functions."""
    library = vector_math.Library(polynomials=True)
    monkeypatch.setattr(object_code, "vector_library", lambda: library)


@pytest.mark.parametrize("name", accuracy.LIMIT)
def test_values_are_right_on_plain_machines_too(name, plain):
    for dtype in DTYPES:
        test_values_are_right_to_a_few_ulps(name, dtype)
        test_special_values_are_numpys(name, dtype)


@needs_libmvec
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", accuracy.LIMIT)
def test_loops_are_vectorised(name, dtype, modules):
    operands = [np.full(64, 0.5, dtype)] * (2 if name in accuracy.BINARY else 1)
    accuracy.compiled(name, operands)
    (text,) = modules
    assert vectors(text, dtype)
    assert dtype == np.float64 or not vectors(text, np.float64)


HUGE = [1e13, -3e15, 1e22, -1e300, 2.0**60]


@pytest.mark.parametrize("fastmath", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_huge_angles_are_the_c_librarys(name, dtype, fastmath, fresh):
    """One of them among others, at each place of a vector."""
    f = getattr(np, name)
    for size in HUGE[: 3 if dtype == np.float32 else None]:
        for k in range(17):
            x = np.linspace(-3, 3, 40).astype(dtype)
            x[k] = size
            got = jit(f, fastmath=fastmath)(x)
            np.testing.assert_array_max_ulp(got, f(x), 4)


def digits(x):
    return np.log1p(x) + np.expm1(x) + np.exp(x) + np.log2(1.5 + x) + np.tanh(x)


def test_fastmath_loses_no_digits(fresh):
    """What is exact on paper is, though the user's sums may be reordered."""
    x = np.geomspace(1e-12, 1, 64)
    f = jit(np.log1p, fastmath=True)
    np.testing.assert_array_max_ulp(f(x), np.log1p(x), 2)
    np.testing.assert_allclose(jit(digits, fastmath=True)(x), digits(x), rtol=1e-15)


def masked(x):
    return np.sum(np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), np.exp(x)))


@needs_libmvec
def test_loops_with_a_choice_and_a_sum_are_vectorised(modules):
    x = np.linspace(-2, 2, 1001)
    value, slope = value_and_grad(masked)(x)
    assert vectors(modules[0], np.float64) > 20
    assert value == pytest.approx(masked(x), rel=1e-13)
    np.testing.assert_allclose(
        slope, np.where(x > 0, 1 / np.where(x > 0, x, 1), np.exp(x)), rtol=1e-14
    )


def turned(x, y):
    z = np.exp(x + 1j * y)
    return np.sum(np.abs(z / (2.0 + z * z)))


def test_complex_exponentials_and_quotients_are_vectorised(modules):
    x = np.linspace(-2, 2, 1001)
    value, _ = value_and_grad(turned)(x, x)
    assert vectors(modules[0], np.float64) > 20
    assert not re.search(r"> @llvm\.(exp|sin|cos)\.", modules[0])
    assert value == pytest.approx(turned(x, x), rel=1e-13)


def wave(x):
    return np.exp(x) * np.cbrt(x) + np.logaddexp(x, 0.5) ** x


def scalar_wave():
    """`wave` of 100 numbers, and of each alone."""
    x = np.linspace(0.1, 3, 100)
    return jit(wave)(x), np.array([jit(wave)(t) for t in x])


def test_switched_off_loops_call_scalar_functions(fresh):
    with override(vector_math=False):
        together, alone = scalar_wave()
    np.testing.assert_array_equal(together, alone)
    assert not called(fresh)


@pytest.mark.parametrize(
    "transform", [jit, grad, value_and_grad, vmap, jacfwd, hessian]
)
def test_high_accuracy_is_the_c_librarys(transform, fresh):
    def f(x):
        return np.sum(np.exp(x) * np.tanh(x))

    x = np.linspace(0.1, 3, 24)
    x = x.reshape(2, 12) if transform is vmap else x
    high = parts_of(transform(f, accuracy="high")(x))
    with override(vector_math=False):
        expected = parts_of(transform(f)(x))
    assert not called(fresh)
    for a, b in zip(high, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def parts_of(result):
    return result if isinstance(result, tuple) else (result,)


def test_high_accuracy_is_scalar_code(modules):
    x = np.linspace(0.1, 3, 64)
    jit(wave, accuracy="high")(x)
    jit(wave)(x)
    assert [vectors(text, np.float64) > 0 for text in modules] == [False, True]
    np.testing.assert_array_max_ulp(jit(np.exp, accuracy="high")(x), np.exp(x), 1)


@pytest.mark.parametrize("name", ["ndtr", "lgamma", "digamma", "expit", "exp"])
def test_the_c_librarys_way_is_right_too(name, fresh):
    x = np.linspace(0.1, 6, 64)
    run = numba_build.compile_program(accuracy.program_of(name, [x]), exact=True)
    assert accuracy.errors(name, [x], run([x])[0]).max() <= 8


def test_an_unknown_accuracy_is_refused():
    with pytest.raises(ValueError, match="accuracy must be 'fast' or 'high', not 1"):
        jit(wave, accuracy=1)


def test_both_ways_are_kept_apart(fresh):
    x = np.linspace(0.1, 3, 100)
    before = numba_build.compile_count()
    for _ in range(2):
        for on in (True, False):
            with override(vector_math=on):
                jit(wave)(x)
    expected = 2 if vector_math.addresses() else 1
    assert numba_build.compile_count() - before == 2
    assert sum(p.is_file() for p in fresh.rglob("*")) == expected


def test_without_vector_functions_ours_serve(modules, fresh, monkeypatch):
    monkeypatch.setattr(vector_math, "addresses", dict)
    monkeypatch.setattr(object_code, "_routines", {})
    together, alone = scalar_wave()
    np.testing.assert_allclose(together, alone, rtol=1e-14)
    assert vectors(modules[0], np.float64) > 50
    monkeypatch.undo()
    with override(cache_dir=fresh):
        assert not called(fresh)


@needs_libmvec
def test_code_that_needs_a_missing_function_is_compiled_anew(fresh, monkeypatch):
    x = np.linspace(0.1, 3, 100)
    expected = jit(wave)(x)
    (entry,) = (p for p in fresh.rglob("*") if p.is_file())
    made = object_cache.ObjectCode.from_bytes(entry.read_bytes())
    assert any(name.startswith("_ZGV") for name in made.needs)
    monkeypatch.setattr(numba_build, "_loaded", {})
    monkeypatch.setattr(vector_math, "addresses", dict)
    before = numba_build.compile_count()
    np.testing.assert_allclose(jit(wave)(x), expected, rtol=1e-14)
    assert numba_build.compile_count() == before + 1


@needs_libmvec
def test_a_warm_start_calls_vector_functions_without_numba(fresh):
    x = np.linspace(0.1, 3, 100)
    expected = jit(wave)(x)
    program = textwrap.dedent(
        """
        import sys
        import numpy as np
        from tracejit import jit
        from tracejit.testing import compilations
        from tests.backend.test_vector_math import wave
        out = jit(wave)(np.linspace(0.1, 3, 100))
        assert compilations() == 0 and "numba" not in sys.modules
        print(out.tobytes().hex())
        """
    )
    env = {**os.environ, "TRACEJIT_CACHE_DIR": str(fresh)}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, check=True, env=env, capture_output=True, text=True)
    assert run.stdout.strip() == expected.tobytes().hex()


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_powers_keep_their_digits(dtype, fresh):
    """Up to where they overflow, and down to where they vanish."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.3, 3, 200).astype(dtype)
    most = 709 if dtype == np.float64 else 88
    y = (rng.uniform(-most, most, 200) / np.log(x)).astype(dtype)
    found = accuracy.errors("pow", [x, y], accuracy.compiled("pow", [x, y]))
    assert found.max() <= 2


def test_numba_may_compile_for_another_cpu(tmp_path):
    program = (
        "import numpy as np; from tracejit import jit; x = np.linspace(1, 2, 50);"
        "print(abs(jit(np.log)(x) - np.log(x)).max() < 1e-15)"
    )
    env = {**os.environ, "TRACEJIT_CACHE_DIR": str(tmp_path)}
    env |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, check=True, env=env, capture_output=True, text=True)
    assert run.stdout.strip() == "True"


def waves(a, b):
    return np.sum(np.sin(a) * np.exp(b) + np.log(a) * np.tanh(b) * np.cosh(a - b))


@needs_libmvec
def test_loops_that_wait_for_functions_run_two_vectors_at_once(modules, monkeypatch):
    x = np.linspace(0.1, 3, 1001)
    got = grad(waves)(x, x)
    monkeypatch.setattr(numba_scopes, "MANY", (99, 99))
    monkeypatch.setattr(numba_build, "_loaded", {})
    with override(cache_dir=config().cache_dir / "other"):
        np.testing.assert_array_equal(grad(waves)(x, x), got)
    two, one = (vectors(text, np.float64) for text in modules)
    assert two > 1.3 * one


def distribution(x):
    return np.sum(special.ndtr(x))


def power(x):
    return np.sum(x**0.3)


@pytest.mark.skipif(
    not object_code.vector_library().avx512, reason="scales numbers by several steps"
)
@pytest.mark.parametrize(
    "f, module, last, share",
    [
        (distribution, "numba_polynomials", lambda m: m._EXP[0][-1], 0.7),
        (power, "numba_powers", lambda m: m._CUBIC[0][0], 0.35),
    ],
)
def test_functions_of_one_argument_share_their_work(f, module, last, share, modules):
    """A function and its slope scale two exponentials, of one polynomial; powers, of
    one logarithm, each two, as they are written for rare arguments too."""
    last = last(importlib.import_module(f"tracejit.backend.{module}"))
    value_and_grad(f)(np.linspace(0.1, 3, 64))
    written = f"{struct.unpack('Q', struct.pack('d', last))[0]:X}"
    polynomials, scaled = modules[0].count(written), modules[0].count("mask.scalef.pd")
    assert 0 < polynomials < share * scaled


@pytest.mark.parametrize("dtype", DTYPES)
def test_rare_arguments_among_others(dtype, fresh):
    """One of them at each place of a vector, where the others need no care."""
    x = np.linspace(0.2, 3, 40).astype(dtype)
    for k in range(17):
        z = x.copy()
        z[k] = -2.3
        for f in (special.gammaln, special.digamma, special.erfcx):
            np.testing.assert_allclose(
                jit(f)(z), f(z), rtol=20 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps
            )
        y = np.full_like(x, 3.0)
        np.testing.assert_array_max_ulp(jit(np.power)(z, y), z**y, 2)


def test_chains_are_vectorised(modules):
    """A sine and a cosine of one argument, beside sums, under a choice."""

    def f(x):
        y = np.where(x > 0, np.sin(x) * np.exp(-(x**2)), np.tanh(x))
        return np.sum(y + np.log1p(x * x))

    x = np.linspace(-3, 3, 1001)
    slope = grad(f)(x)
    both = np.where(
        x > 0,
        (np.cos(x) - 2 * x * np.sin(x)) * np.exp(-(x**2)),
        1 - np.tanh(x) ** 2,
    )
    np.testing.assert_allclose(
        slope, both + 2 * x / (1 + x * x), rtol=1e-12, atol=1e-15
    )
    assert vectors(modules[0], np.float64) > 40
