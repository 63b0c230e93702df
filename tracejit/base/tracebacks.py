"""Tracebacks that show the user's frames and none of ours.

`TRACEJIT_FULL_TRACEBACK=1` in the environment keeps all of them. Wherever the user's
code calls ours, `outermost` takes ours out; a bare `raise` then adds none anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tracejit.base.errors import InternalError

_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep
Error = TypeVar("Error", bound=BaseException)
Function = TypeVar("Function", bound=Callable[..., Any])


def outermost(fn: Function) -> Function:
    """`fn`, whose errors show no frame of ours; for what users call.

    >>> outermost(abs)(-1)
    1
    """

    @wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            for_users(error)
            raise

    return call  # type: ignore[return-value]


def for_users(error: Error) -> Error:
    """The error, and those that led to it, without frames of tracejit's files.

    Those of an InternalError, a bug of ours, stay.
    """
    asked = os.environ.get("TRACEJIT_FULL_TRACEBACK", "") not in ("", "0")
    if asked or isinstance(error, InternalError):
        return error
    seen: set[int] = set()
    part: BaseException | None = error
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        part.__traceback__ = _stripped(part.__traceback__)
        if part.__context__ is not None and part.__context__.__traceback__:
            # What staging tried before is not what the user did.
            part.__suppress_context__ |= _is_ours(part.__context__)
        part = part.__cause__ or part.__context__
    return error


def _stripped(trace: TracebackType | None) -> TracebackType | None:
    if trace is None:
        return None
    rest = _stripped(trace.tb_next)
    if trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        return rest
    return TracebackType(rest, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


def _is_ours(error: BaseException) -> bool:
    return type(error).__module__.startswith("tracejit.")
