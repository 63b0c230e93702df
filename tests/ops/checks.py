"""What must hold of every primitive on every one of its samples.

`CHECKS` name no primitive. `test_registry` runs them as they are, `tests.mutate`
with one derivative statement falsified.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tracejit.ops.bits
import tracejit.ops.complex_parts
import tracejit.ops.factor
import tracejit.ops.fourier
import tracejit.ops.index
import tracejit.ops.linalg
import tracejit.ops.matrix_functions
import tracejit.ops.scipy_families
import tracejit.ops.sort
import tracejit.ops.special
import tracejit.ops.spectral  # noqa: F401  (they fill the registry)
from tests.ops import straight
from tracejit.backend.helpers import plain_globals
from tracejit.base.errors import UnsupportedError
from tracejit.ir.aval import aval_of
from tracejit.ir.builder import building
from tracejit.ir.check import refuse_unknown
from tracejit.ir.primitive import REGISTRY, Elementwise, Linear, Primitive, Unknown
from tracejit.ir.program import Program, Region

PRIMITIVES = [p for p in REGISTRY.values() if p.kind not in ("structured", "unknown")]

#: Sixth-order differences with steps of 2e-3 err by about 1e-12 in smooth functions
#: of this scale, second ones by 1e-9 or so.
DIFFERENCES = 1e-6


def rng_of(prim: Primitive) -> np.random.Generator:
    """Its own: a new primitive changes no other one's numbers."""
    return np.random.default_rng(zlib.crc32(prim.name.encode()))


def samples(prim: Primitive) -> list[Any]:
    assert prim.samples is not None, f"{prim.name} has no samples"
    found = list(prim.samples(rng_of(prim)))
    complex_ones = any(np.iscomplexobj(x) for xs, _ in found for x in xs)
    if prim.complex and not isinstance(prim, Elementwise) and not complex_ones:
        found += [(list(map(turned, xs)), params) for xs, params in found]
    return found


def turned(x: Any) -> Any:
    """Complex numbers in place of floats: those of an array differ in direction."""
    x = np.asarray(x)
    if x.dtype.kind != "f":
        return x[()]
    return x * np.exp(1j * np.arange(1, x.size + 1).reshape(x.shape))


def differentiable(prim: Primitive) -> Iterator[Any]:
    """Program, operands, params, and a tangent for each inexact operand."""
    rng = rng_of(prim)
    for operands, params in samples(prim):
        program = straight.primal(prim, operands, params)
        active = straight.inexact(program)
        if active and any(r.aval.inexact for r in program.results):
            yield program, operands, [drawn(rng, operands[k]) for k in active]


def drawn(rng: np.random.Generator, like: Any) -> Any:
    """Random numbers of a shape, complex where `like` is."""
    draw = np.asarray(rng.normal(size=np.shape(like)))
    if np.iscomplexobj(like):
        draw = draw + 1j * rng.normal(size=np.shape(like))
    return draw


def paired(a: Any, b: Any) -> Any:
    """What tangents b come to under cotangents a: without conjugation, real."""
    return sum(np.sum(x * y).real for x, y in zip(a, b, strict=True))


def all_close(prim: Primitive, got: Any, wanted: Any, tolerance: float) -> None:
    """Every result, as `close` compares them."""
    for a, b in zip(got, wanted, strict=True):
        close(a, b, prim.name, tolerance)


def close(a: Any, b: Any, what: str, tolerance: float) -> None:
    if np.asarray(a).dtype.char in "fF":
        tolerance = max(tolerance, 1e-3)  # a cast: the rest is in double precision
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=what)


def value(prim: Primitive) -> None:
    """The shape rule and the dtype rule say what `impl` returns; no operand changes."""
    for operands, params in samples(prim):
        for floats in (np.float64, np.float32):
            args = [_as_float(x, floats) for x in operands]
            before = [np.array(x) for x in args]
            with np.errstate(all="ignore"):
                out = prim.impl(*args, **params)
            ruled = [r.aval for r in straight.primal(prim, args, params).results]
            found = list(map(aval_of, [out] if prim.single else out))
            assert found == ruled, (prim, found, ruled)
            for x, old in zip(args, before, strict=True):
                np.testing.assert_array_equal(x, old)


def in_place(prim: Primitive) -> None:
    """An update done in place gives what it gives on a copy."""
    for operands, params in samples(prim) if prim.updates else []:
        target = np.array(operands[0])
        out = prim.impl(target, *operands[1:], **params, inplace=True)
        assert out is target
        np.testing.assert_array_equal(out, prim.impl(*operands, **params))


def scalar_code(prim: Primitive) -> None:
    """`emit`, run as plain Python on every element, is what `impl` computes."""
    for operands, params in samples(prim) if isinstance(prim, Elementwise) else []:
        want = np.asarray(prim.impl(*operands, **params))
        texts = [f"x{k}" for k in range(len(operands))]
        text = prim.code(texts, want.dtype, params)
        code, names = compile(text, prim.name, "eval"), plain_globals(text)
        for index in np.ndindex(want.shape):
            here = {t: x[index] for t, x in zip(texts, operands, strict=True)}
            with np.errstate(all="ignore"):
                got = eval(code, names | here)
            what = f"{prim.name}{tuple(here.values())}"
            np.testing.assert_allclose(got, want[index], rtol=1e-13, err_msg=what)


def jvp(prim: Primitive) -> None:
    """Tangents against differences."""
    for program, args, dots in differentiable(prim):
        got = straight.run(straight.jvp(program), *args, *dots)
        all_close(prim, got, straight.differences(program, args, dots), DIFFERENCES)


def second_order(prim: Primitive) -> None:
    """Tangents of tangents against differences of tangents."""
    rng = rng_of(prim)
    for program, args, dots in differentiable(prim):
        first = straight.jvp(program)
        args = [*args, *dots]
        more = [
            drawn(rng, args[k]) if k < len(args) - len(dots) else 0 * d
            for k, d in zip(straight.inexact(first), dots + dots, strict=True)
        ]
        got = straight.run(straight.jvp(first), *args, *more)
        all_close(prim, got, straight.differences(first, args, more), DIFFERENCES)


def unknown(prim: Primitive) -> None:
    """A derivative without a formula is an error that says which, never a number."""
    for k, partial in enumerate(straight.partials(prim)):
        for operands, params in samples(prim)[:1] * isinstance(partial, Unknown):
            primal = straight.primal(prim, operands, params)
            (eqn,) = primal.eqns
            tangents = [None] * len(operands)
            tangents[k] = primal.inputs[k]
            with building() as builder, builder.open() as eqns:
                prim.jvp(eqn.inputs, tangents, eqn.outputs, params)
            first = Program("first", Region(primal.inputs, [eqn, *eqns], []))
            for program in first, straight.jvp(first):
                with pytest.raises(UnsupportedError, match="scipy"):
                    refuse_unknown(program)


def vjp(prim: Primitive) -> None:
    """The transpose of the tangents' program: <ct, J t> = <Jᵀ ct, t>."""
    rng = rng_of(prim)
    for program, args, dots in differentiable(prim):
        linear = straight.jvp(program)
        tangents = straight.run(linear, *args, *dots)
        ones = [drawn(rng, t) for t in tangents]
        turned = straight.transpose(linear, len(dots))
        cts = straight.run(turned, *args, *ones)
        back, forth = paired(cts, dots), paired(ones, tangents)
        single = any(t.dtype.char in "fF" for t in tangents)
        close(back, forth, prim.name, 1e-6 if single else 1e-10)


def accumulate(prim: Primitive) -> None:
    """Adding a cotangent in place is adding it."""
    rng = rng_of(prim)
    rules = prim.accumulate if isinstance(prim, Linear) else {}
    for k, rule in rules.items():
        for operands, params in samples(prim):
            y = aval_of(prim.impl(*operands, **params))
            x = aval_of(operands[k])
            acc, ct = drawn(rng, operands[k]), drawn(rng, np.empty(y.shape, y.dtype))

            def both(acc: Any, ct: Any, *xs: Any) -> list[Any]:
                fresh = prim.transpose_rule(k)(ct, *xs, **params)  # noqa: B023
                return [rule(acc, ct, *xs, **params), acc + fresh]  # noqa: B023

            avals = [x, y, *map(aval_of, operands)]
            in_place, added = straight.run(
                straight.build(both, avals), acc, ct, *operands
            )
            close(in_place, added, prim.name, 1e-12)


def single_precision(prim: Primitive) -> None:
    """float32 in, float32 out, in value, tangent and cotangent."""
    for wide, operands, dots in differentiable(prim):
        args = [_as_float(x, np.float32) for x in operands]
        narrow = straight.build(
            lambda *xs: prim(*xs, **wide.eqns[-1].params),  # noqa: B023
            [aval_of(x) for x in args],
        )
        if all(r.aval.dtype.char not in "fF" for r in narrow.results):
            continue  # a cast to another dtype
        dots = [_as_float(d, np.float32) for d in dots]
        linear = straight.jvp(narrow)
        tangents = straight.run(linear, *args, *dots)
        exact = straight.run(straight.jvp(wide), *operands, *dots)
        for mine, theirs in zip(tangents, exact, strict=True):
            assert mine.dtype.char in "fF" or theirs.dtype.kind not in "fc", prim
            scale = np.max(np.abs(theirs), initial=1.0)
            close(mine / scale, theirs / scale, prim.name, 1e-3)
        turned = straight.transpose(linear, len(dots))
        for ct in straight.run(turned, *args, *map(np.ones_like, tangents)):
            assert ct.dtype.char in "fF", prim


def _as_float(x: Any, dtype: Any) -> Any:
    """Floats in another precision; integers and booleans as they are."""
    x = np.asarray(x)
    if x.dtype.kind == "c":
        dtype = np.result_type(dtype, np.complex64)
    return x.astype(dtype)[()] if x.dtype.kind in "fc" else x[()]


CHECKS = [
    value,
    in_place,
    scalar_code,
    jvp,
    second_order,
    unknown,
    vjp,
    accumulate,
    single_precision,
]
