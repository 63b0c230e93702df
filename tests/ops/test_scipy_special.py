"""`scipy.special` on traced arrays: as exact as SciPy, with derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj

sp = pytest.importorskip("scipy.special")

REAL = np.linspace(-7.9, 7.9, 42)
POSITIVE = np.linspace(0.05, 30, 42)
UNIT = np.linspace(0.01, 0.99, 42)
#: Function and arguments; tolerance beside the largest value nearby, in units of 1e-15.
UNARY = {
    "erf": REAL,
    "erfc": REAL,
    "erfcx": np.linspace(-4, 40, 45),
    "erfinv": 2 * UNIT - 1,
    "erfcinv": 2 * UNIT,
    "ndtr": REAL,
    "ndtri": UNIT,
    "log_ndtr": np.linspace(-50, 8, 41),
    "expit": 4 * REAL,
    "logit": UNIT,
    "log_expit": 4 * REAL,
    "entr": POSITIVE,
    "gamma": REAL,
    "gammaln": POSITIVE,
    "psi": REAL,
    "digamma": POSITIVE,
    "j0": 4 * REAL,
    "j1": 4 * REAL,
    "i0": 4 * REAL,
    "i1": 4 * REAL,
    "i0e": 4 * REAL,
    "i1e": 4 * REAL,
    "exprel": REAL,
}
BINARY = {
    "xlogy": (REAL, POSITIVE),
    "xlog1py": (REAL, POSITIVE),
    "rel_entr": (POSITIVE, POSITIVE[::-1].copy()),
    "kl_div": (POSITIVE, POSITIVE[::-1].copy()),
    "beta": (POSITIVE, UNIT),
    "betaln": (POSITIVE, POSITIVE[::-1] + 3),
    "boxcox": (POSITIVE, UNIT),
    "binom": (POSITIVE + 10, 5 * UNIT),
    "poch": (POSITIVE, UNIT),
}
CASES = {k: (v,) for k, v in UNARY.items()} | BINARY
OTHERS = {
    "polygamma": (lambda x: sp.polygamma(2, x), POSITIVE),
    "polygamma 0": (lambda x: sp.polygamma(0, x), POSITIVE),
    "multigammaln": (lambda x: sp.multigammaln(x[3] + 3, 3), POSITIVE),
    "jv": (lambda x: sp.jv(3, x), REAL),
    "iv": (lambda x: sp.iv(2, x), REAL),
    "logsumexp": (sp.logsumexp, REAL),
    "logsumexp axis": (
        lambda x: sp.logsumexp(x.reshape(42, 1) * np.ones(3), axis=0, keepdims=True),
        REAL,
    ),
    "logsumexp weights": (lambda x: sp.logsumexp(x, b=x * x), REAL),
    "softmax": (lambda x: sp.softmax(x), REAL),
    "softmax axis": (lambda x: sp.softmax(np.outer(x[:3], x[:4]), axis=1), REAL),
    "log_softmax": (lambda x: sp.log_softmax(x, axis=0), REAL),
}


@pytest.mark.parametrize("name", CASES)
def test_value(name):
    f, args = getattr(sp, name), CASES[name]
    got, wanted = tj.jit(lambda *xs: f(*xs), backend="numpy")(*args), f(*args)
    # Near a zero of the function the neighbours say what can be asked for.
    scale = np.maximum(np.abs(wanted), np.abs(np.roll(wanted, 1)) * 0.1)
    assert np.max(np.abs(got - wanted) / scale) < 1e-13


@pytest.mark.parametrize("name", OTHERS)
def test_value_of_functions(name):
    f, x = OTHERS[name]
    np.testing.assert_allclose(tj.jit(f, backend="numpy")(x), f(x), rtol=1e-12)


@pytest.mark.parametrize("name", [*CASES, *OTHERS])
def test_derivatives(name):
    if name in OTHERS:
        f, x = OTHERS[name]
        tj.check_grads(f, (x / 2 if name == "jv" else x,), backend="numpy", rtol=1e-5)
        return
    f, args = getattr(sp, name), CASES[name]
    for k in (5, 12, 20, 33):  # one at a time: they differ in scale
        point = tuple(float(x[k]) + 0.011 for x in args)
        tj.check_grads(lambda *xs: f(*xs), point, backend="numpy", rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_compiled(dtype):
    """All ufuncs in one kernel."""
    args = {k: tuple(x.astype(dtype) for x in v) for k, v in CASES.items()}

    def every(args):
        return {k: getattr(sp, k)(*v) for k, v in args.items()}

    got, wanted = tj.jit(every)(args), tj.jit(every, backend="numpy")(args)
    for name in CASES:
        assert got[name].dtype == dtype, name
        # Where digamma crosses zero, its accuracy is that of numbers about 1.
        atol = 4 * np.finfo(dtype).eps if name == "digamma" else 0.0
        rtol = 2e-14 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(got[name], wanted[name], rtol=rtol, atol=atol)


def test_limits():
    """Where the formulas end."""
    inf, nan = np.inf, np.nan
    points = {
        "xlogy": (np.array([0, 0.0, 1]), np.array([0, nan, 0.0])),
        "entr": (np.array([0, -1.0, nan]),),
        "rel_entr": (np.array([0, 1, -1.0]), np.array([0, 0, 1.0])),
        "kl_div": (np.array([0, 1, 0.0]), np.array([2, 0, 0.0])),
        "expit": (np.array([-inf, 800, -800.0]),),
        "logit": (np.array([0, 1, 0.5]),),
        "log_expit": (np.array([-800, 800.0]),),
        "gamma": (np.array([-1, 200.0, 0.0]),),
        "erfinv": (np.array([-1, 1, 2.0]),),
        "j0": (np.array([0.0, 1e-8, inf]),),
        "exprel": (np.array([0.0, 1e-9, inf, -inf]),),
        "i1": (np.array([0.0, -1e-8]),),
    }
    for name, args in points.items():
        f = getattr(sp, name)
        got = tj.jit(lambda *xs: f(*xs), backend="numpy")(*args)  # noqa: B023
        np.testing.assert_allclose(got, f(*args), rtol=1e-14, err_msg=name)
    for x in ([-inf, -inf], [inf, 1.0], [1.0, -inf], [1000.0, 1001]):
        x = np.array(x)
        got = tj.jit(sp.logsumexp, backend="numpy")(x)
        np.testing.assert_allclose(got, sp.logsumexp(x), rtol=1e-15)
    slope = tj.grad(lambda x: sp.logsumexp(x))(np.array([1.0, -inf, 1.0]))
    np.testing.assert_allclose(slope, [0.5, 0, 0.5], rtol=1e-15)
