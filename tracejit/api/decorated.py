"""What decorators return that leave a function what it is outside of transforms."""

from __future__ import annotations

import sys
import types
from functools import update_wrapper
from typing import Any

from tracejit.api.shared import Function
from tracejit.frontend.calls import call
from tracejit.frontend.trace import staging
from tracejit.runtime.inline import name_of


class Decorated:
    """A function that transforms take in a way of its own: `__tracejit_call__`."""

    def __init__(self, fun: Function):
        update_wrapper(self, fun)
        self.fun = fun
        self.name = name_of(fun) if name_of(fun).isidentifier() else "function"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # While staging, code that is not lifted calls it so.
        return call(self, *args, **kwargs) if staging() else self.fun(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self) -> Any:
        """By name where it has one, as decorated functions do; else by its parts."""
        name = getattr(self, "__qualname__", "")
        module = sys.modules.get(getattr(self, "__module__", ""))
        if getattr(module, name, None) is self:
            return name
        return type(self).__new__, (type(self),), self.__dict__
