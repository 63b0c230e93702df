"""Derivatives of whole Programs, for rooms below those that take them.

What a call is differentiated to is a derivative of its body: `vjp` and `jvp` enter
themselves here.
"""

from __future__ import annotations

from collections.abc import Callable

from tracejit.ir.program import Program

MODES: dict[str, Callable[..., Program]] = {}
