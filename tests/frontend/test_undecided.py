"""Objects that data decides on may be shown and handed on, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import grad, jit
from tracejit.base.errors import StagingError

X = np.array([0.5, 1.0, 2.0])


def test_a_text_that_is_shown():
    def f(x):
        if np.any(np.isnan(x)):
            kind = "NaN"
        else:
            kind = "infinity"
        if np.any(~np.isfinite(x)):
            raise ValueError(f"x contains {kind}")
        return np.sum(x * x)

    np.testing.assert_allclose(grad(f, backend="numpy")(X), 2 * X)
    with pytest.raises(ValueError, match="contains 'NaN' or 'infinity'"):
        jit(f, backend="numpy")(np.array([np.inf]))


def compared(x, mode):
    return x.sum() if mode == "a" else x.prod()


def looked_up(x, mode):
    return x.sum() * {"a": 1.0, "b": 2.0}[mode]


def sought(x, mode):
    return x.sum() * (2.0 if mode in ("a", "c") else 1.0)


def asked_for_its_type(x, mode):
    return x.sum() * (2.0 if isinstance(mode, str) else 1.0)


def matched(x, mode):
    match mode:
        case "a":
            return x.sum()
        case _:
            return x.prod()


def told_from_none(x, mode):
    return x.sum() if mode is None else x.prod()


def measured(x, mode):
    return x.sum() * len(mode)


def a_method(x, mode):
    return x.sum() if mode.startswith("a") else x.prod()


def stored(x, mode):
    x.mode = mode


def stored_in_a_list(x, mode):
    found = [None]
    found[0] = mode
    return x.sum() if found[0] == "a" else x.prod()


def appended(x, mode):
    found = []
    found.append(mode)
    return x.sum()


def returned(x, mode):
    return x.sum(), mode


USES = [
    compared,
    looked_up,
    sought,
    asked_for_its_type,
    matched,
    told_from_none,
    measured,
    a_method,
    stored,
    stored_in_a_list,
    appended,
    returned,
]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_a_use_is_an_error(use):
    def f(x):
        if x[0] > 0:
            mode = "a"
        else:
            mode = "b"
        return use(x, mode)

    with pytest.raises(StagingError, match="'a' or 'b', which depends on traced data"):
        jit(f, backend="numpy")(X)


def test_a_function_that_data_chooses():
    def f(x):
        if x[0] > 0:
            fn = np.sin
        else:
            fn = np.cos
        return fn(x).sum()

    with pytest.raises(StagingError, match=r"`fn` is .*sin.* or .*cos"):
        jit(f, backend="numpy")(X)


def test_what_a_loop_decides_is_unrolled():
    def f(x):
        s = 0.0
        for i in range(3):
            if i == 1:
                kind = "middle"
            else:
                kind = "end"
            s += x[i] * {"middle": 2.0, "end": 1.0}[kind]
        return s * {"middle": 2.0, "end": 1.0}[kind]

    np.testing.assert_allclose(jit(f, backend="numpy")(X), f(X))
