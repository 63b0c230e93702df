"""The text of a function's kernel, which has been run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.backend.random_programs import run_as_python
from tracejit import make_ir
from tracejit.backend.numba_source import write
from tracejit.ir.evaluate import evaluate
from tracejit.optimize.lower import lower


def text_of(fn: Callable[..., Any], *args: Any) -> str:
    """The kernel's text, after it was run as Python against the interpreter."""
    program = make_ir(fn)(*args)
    for mine, other in zip(
        run_as_python(program, args), evaluate(program, args), strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-13, atol=1e-13)
    lines = write(lower(program)).text.splitlines()
    return "\n".join(ln for ln in lines if not ln.lstrip().startswith("#"))
