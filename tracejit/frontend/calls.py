"""The call hook: what `f(x)` does while staging, by what `f` is."""

from __future__ import annotations

import builtins
import functools
import io
import math
import sys
import time
import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    SimpleNamespace,
)
from typing import Any

import numpy as np

from tracejit.base.errors import ImpureCallError, StagingError
from tracejit.frontend import draws, iterables, masked, trips
from tracejit.frontend.box import Box, from_plain, has_box, leaves
from tracejit.frontend.builtin_calls import type_of
from tracejit.frontend.dispatch import dispatch
from tracejit.frontend.functions import has_source, is_lifted, lifted
from tracejit.frontend.getters import GETTERS, getter
from tracejit.frontend.grown import grown_in, opened, settle, stacked
from tracejit.frontend.growth import append
from tracejit.frontend.iterables import argument, sorted_, whole
from tracejit.frontend.outside import (
    attribute,
    imported,
    is_library,
    is_outside,
    iter_,
    meet,
    name_of,
    read,
)
from tracejit.frontend.places import Contents
from tracejit.frontend.ragged import Ragged
from tracejit.frontend.ragged_calls import PROGRAMS, maker_of, program_of
from tracejit.frontend.session import session
from tracejit.frontend.state import set_attr, set_item, users_method
from tracejit.frontend.trace import Guard
from tracejit.frontend.undecided import Undecided, settled
from tracejit.ops.numpy_names import unsupported

#: References to what a function returned: of three lists and names, and of the call's.
_OURS = 4
CONTAINERS = (list, dict, set, deque, OrderedDict, defaultdict)
MADE = (*CONTAINERS, functools.partial, SimpleNamespace)
_READING = {"get", "items", "keys", "values", "index", "count", "copy", "union"}


def call(fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """`fn(*args, **kwargs)`."""
    for value in (fn, *args, *kwargs.values()):
        if type(value) is Undecided and not _only_shows(fn):
            value.refuse()
    if not (_only_shows(fn) or _keeps(fn)):
        args = tuple(map(settled, args))
        kwargs = {k: settled(v) for k, v in kwargs.items()}
    if _of_arrays(fn):
        args = tuple(map(stacked, args))
        kwargs = {k: stacked(v) for k, v in kwargs.items()}
    result = _call(fn, *args, **kwargs)
    return session().make(result) if isinstance(result, Iterator) else result


def _of_arrays(fn: Any) -> bool:
    """Whether a function takes the array for a list."""
    if isinstance(fn, np.ufunc) or isinstance(
        getattr(fn, "__self__", 0), np.ufunc | Box
    ):
        return True
    module = getattr(fn, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] in ("numpy", "scipy")


def _only_shows(fn: Any) -> bool:
    """Whether a function does no more with its arguments than show or hand them on."""
    if isinstance(fn, MethodType):
        return _only_shows(fn.__func__)
    if isinstance(fn, FunctionType):
        return is_lifted(fn) or has_source(fn)
    if isinstance(fn, type):
        return fn is str or issubclass(fn, BaseException)
    owner = getattr(fn, "__self__", None)
    return fn in (repr, format, print) or (
        isinstance(owner, str) and fn.__name__ == "format"
    )


def _keeps(fn: Any) -> bool:
    """Whether a function puts its arguments into a container, whatever they are."""
    return isinstance(getattr(fn, "__self__", None), CONTAINERS)


def _call(fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    if isinstance(fn, FunctionType):
        return _function(fn, args, kwargs)
    if args and type(args[0]) is not Box and _hashable(fn) and fn in _METHODS:
        method = users_method(args[0], _METHODS[fn])
        if method is not None:
            return call(method, *args)
    staged_call = getattr(type(fn), "__tracejit_call__", None)
    if staged_call is not None:  # a transform: its program joins this one
        return staged_call(fn, *map(opened, args), **opened(kwargs))
    if _hashable(fn):
        program = _of_traced_length(fn, args, kwargs)
        if program is not None:
            return program(*map(whole, args), **kwargs)
        if any(type(a) is masked.Masked for a in args) and fn in masked.PROGRAMS:
            return masked.run(fn, *args, **kwargs)
    handler = _SPECIAL.get(fn) if _hashable(fn) else None
    if handler is not None:
        return handler(*map(_listed, args), **kwargs)
    if draws.is_draw(fn):
        return draws.draw(fn, args, kwargs)
    if isinstance(fn, MethodType):
        return _method(fn, args, kwargs)
    handler = dispatch(fn)
    if handler is not None:
        return _made(handler(*map(whole, args), **kwargs))
    if isinstance(fn, functools.partial):
        bound, named = _bound(fn)
        return call(fn.func, *bound, *args, **{**named, **kwargs})
    get = getter(fn, attr)
    if get is not None:
        return get(*args, **kwargs)
    if isinstance(fn, type):
        return _construct(fn, args, kwargs)
    python = getattr(fn, "py_func", None) or getattr(fn, "__wrapped__", None)
    if hasattr(fn, "gufunc_builder"):
        raise unsupported(f"{fn.__name__}, a ufunc of Numba's making", "a @njit loop")
    if isinstance(python, FunctionType) and not isinstance(fn, Box):
        return call(python, *args, **kwargs)
    owner = getattr(fn, "__self__", None)
    if isinstance(fn, BuiltinFunctionType) and isinstance(owner, CONTAINERS):
        return _container_method(owner, fn, args, kwargs)
    if isinstance(fn, MethodWrapperType) and fn.__name__ == "__setattr__":
        return set_attr(args[1], owner, args[0], own=True)
    if isinstance(fn, MethodWrapperType) and isinstance(owner, list | dict):
        return _own_method(owner, fn, *args)
    called = type(fn).__call__ if callable(fn) else None
    if isinstance(called, FunctionType):
        return call(called, fn, *args, **kwargs)
    return _foreign(fn, args, kwargs)


def _listed(value: Any) -> Any:
    """An argument of a function that reads lists by itself."""
    return imported(value) if grown_in(value) is None else value


def _made(result: Any) -> Any:
    """What a library's function returned: its lists are new ones.

    So are dicts and sets that nobody else holds.
    """
    parts = list(result) if type(result) is tuple else [result]
    for part in parts:
        alone = sys.getrefcount(part) <= _OURS
        if type(part) is list or (type(part) in (dict, set) and alone):
            session().make(part)
    return result


def _of_traced_length(fn: Any, args: Any, kwargs: Any) -> Callable[..., Any] | None:
    """What `fn` does to make an array of traced length, or with one; None: as ever."""
    maker = maker_of(fn, args)
    if maker is not None:
        return maker
    own = getattr(fn, "__module__", None) == "builtins"  # of a list, it is the list's
    values = args if own else leaves([*args, *kwargs.values()])
    if not any(type(x) is Ragged for x in values):
        return None
    known = fn in PROGRAMS or dispatch(fn) is not None
    return program_of(fn) if known and fn not in trips.HANDLERS else None


def _hashable(fn: Any) -> bool:
    return type(fn).__hash__ is not None


def _function(fn: FunctionType, args: Any, kwargs: Any) -> Any:
    if is_lifted(fn):
        return fn(*args, **kwargs)
    program = _of_traced_length(fn, args, kwargs)
    if program is not None:
        return program(*map(whole, args), **kwargs)
    handler = _SPECIAL.get(fn) or dispatch(fn)
    if handler is not None:
        return handler(*map(_listed, args), **kwargs)
    wrapped = getattr(fn, "py_func", None)
    if isinstance(wrapped, FunctionType):
        return call(wrapped, *args, **kwargs)
    own = is_library(fn.__module__) and not _stageable(fn, args, kwargs)
    if own or not has_source(fn):
        return _foreign(fn, args, kwargs)
    return lifted(fn)(*args, **kwargs)


def _bound(fn: functools.partial[Any]) -> tuple[Any, Any]:
    """What a `partial` has bound; of one from outside it is read like any container."""
    trace = session()
    if id(fn) not in trace.born:
        for part in (fn.args, fn.keywords):
            trace.outside.setdefault(id(part), (part, "partial"))
    return imported(fn.args), imported(fn.keywords)


def _stageable(fn: FunctionType | type, args: Any, kwargs: Any) -> bool:
    """Whether a library's function, written in Python, is to compute with boxes."""
    if (fn.__module__ or "").startswith("numpy.ma.") and has_box(*args):
        raise unsupported(f"np.ma.{fn.__name__}", "np.where, with the mask beside it")
    root = (fn.__module__ or "").partition(".")[0]
    if root not in ("numpy", "scipy"):
        return False
    return has_box(*args, *kwargs.values()) or any(map(_holds_box, args))


def _holds_box(x: Any, depth: int = 2) -> bool:
    """Whether it is an object of a library's class with traced attributes."""
    if type(x).__module__.partition(".")[0] not in ("numpy", "scipy"):
        return False
    slots = [getattr(x, name, None) for name in getattr(x, "__slots__", ())]
    values = [*getattr(x, "__dict__", {}).values(), *slots]
    values += [v for d in values if isinstance(d, dict) for v in d.values()]
    return has_box(*values) or (
        depth > 0 and any(_holds_box(v, depth - 1) for v in values)
    )


def _method(fn: MethodType, args: Any, kwargs: Any) -> Any:
    if isinstance(fn.__self__, Box):
        return fn(*map(argument, args), **kwargs)
    return call(fn.__func__, fn.__self__, *args, **kwargs)


def _construct(cls: type, args: Any, kwargs: Any) -> Any:
    """An instance of a class; the `__init__` of a user's class is lifted."""
    init, new = cls.__init__, cls.__new__  # type: ignore[misc]
    plain = isinstance(init, FunctionType) and new is object.__new__
    ours = not is_library(cls.__module__) or _stageable(cls, args, kwargs)
    if plain and ours and not issubclass(cls, BaseException):
        obj = session().make(cls.__new__(cls))
        if is_dataclass(cls) and not has_source(init):
            _generated_init(obj, init, args, kwargs)
        else:
            call(init, obj, *args, **kwargs)
        return obj
    if cls is super:
        return super(*args)
    args = tuple([_callback(argument(a)) for a in args])
    obj = cls(*args, **kwargs)
    own = cls.__module__ and not is_library(cls.__module__)
    return session().make(obj) if own or isinstance(obj, MADE) else obj


def _generated_init(obj: Any, init: Any, args: Any, kwargs: Any) -> None:
    """The `__init__` of a dataclass stores its arguments; what it calls is lifted."""
    after = users_method(obj, "__post_init__")
    if after is not None and hasattr(obj, "__dict__"):

        def post_init(*rest: Any) -> None:
            del obj.__dict__["__post_init__"]
            call(after, obj, *rest)

        obj.__dict__["__post_init__"] = post_init
    init(obj, *args, **kwargs)
    for part in fields(obj):
        if part.default_factory is not MISSING and part.name not in kwargs:
            made = getattr(obj, part.name)
            if not is_outside(made):
                session().make(made)


def _container_method(owner: Any, fn: Any, args: Any, kwargs: Any) -> Any:
    name = fn.__name__
    if name in _READING:
        found = getattr(imported(owner), name)(*args, **kwargs)
        return session().make(found) if name in ("copy", "union") else found
    grown = grown_in(owner)
    if type(owner) is list and name == "append":
        append(owner, *args)
        return None
    if grown is not None and name == "extend":
        for value in iter_(*args):
            append(owner, value)
        return None
    if grown is not None and name == "pop" and not args:
        return grown.pop()
    settle(owner)
    if not is_outside(owner) or name in ("pop", "popitem", "popleft", "setdefault"):
        imported(owner)
    session().record(Contents(owner))
    if name not in ("append", "extend", "add", "update"):
        session().reordered.add(id(owner))
    if name == "sort":
        owner[:] = sorted_(owner, **kwargs)
        return None
    result = fn(*args, **kwargs)
    return session().make(result) if isinstance(result, CONTAINERS) else result


def _own_method(owner: Any, fn: Any, *args: Any) -> Any:
    """`super().__getitem__(key)` and its like in a list or dict of the user's."""
    name = fn.__name__
    if name == "__setitem__":
        return set_item(args[1], owner, args[0], own=True)
    if name == "__getitem__" and is_outside(owner) and not isinstance(args[0], slice):
        where = "item", id(owner), args[0]
        return read(where, fn(*args), lambda: fn(*args), f"{args[0]!r}")
    if name in ("__delitem__", "__iadd__", "__ior__", "__imul__"):
        session().record(Contents(owner))
        session().reordered.add(id(owner))
    else:
        imported(owner)
    return fn(*args)


def _callback(fn: Any) -> Any:
    """A function of the user's that library code is going to call."""
    if not isinstance(fn, FunctionType) or is_lifted(fn) or is_library(fn.__module__):
        return fn
    return lifted(fn) if has_source(fn) else fn


_IMPURE = ("input", "open", "exec", "eval", "breakpoint")
_MODULES = (
    *("builtins", "math", "cmath", "operator", "_operator", "itertools", "functools"),
    *("typing", "inspect", "types"),
    *("copy", "collections", "dataclasses", "statistics", "numbers"),
)
_VALUES = (str, bytes, int, float, complex, tuple, range, frozenset, slice)


def _foreign(fn: Any, args: Any, kwargs: Any) -> Any:
    """A call that nothing is known about: it runs once, as it is."""
    trace = session()
    module = (
        getattr(fn, "__module__", None) or type(getattr(fn, "__self__", fn)).__module__
    )
    name = getattr(fn, "__qualname__", repr(fn))
    owner = getattr(fn, "__self__", None)
    pure = (
        module in _MODULES
        or isinstance(owner, _VALUES)
        or module.startswith(("numpy", "scipy", "tracejit"))
    )
    if not pure and trace.inside:
        raise StagingError(
            f"`{name}` cannot be run more than once, as staging a loop or branch does",
            trace.builder.loc,
            "call it before the loop",
        )
    args = tuple([_callback(argument(a)) for a in args])
    kwargs = {k: _callback(v) for k, v in kwargs.items()}
    return _made(from_plain(fn(*args, **kwargs)))


def _refused(fn: Any) -> Callable[..., Any]:
    name = getattr(fn, "__qualname__", str(fn))
    module = getattr(fn, "__module__", "")
    full = name if module in ("builtins", "io", "_io") else f"{module}.{name}"

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ImpureCallError(
            f"`{full}()` gives another result at each run, so it cannot be staged",
            session().builder.loc,
            "call it outside and pass its result as an argument",
        )

    return refuse


# Builtins that need more than a function on boxes -------------------------------------


def _print(*args: Any, **kwargs: Any) -> None:
    trace = session()
    out = kwargs.pop("file", None)
    buffer = io.StringIO()
    print(*args, file=buffer, **kwargs)
    text = buffer.getvalue()
    trace.effects.append(lambda: print(text, end="", file=out))


def _warn(*args: Any, **kwargs: Any) -> None:
    """A warning, once per trace; whether a staged branch would give it is not known."""
    if session().certain:
        warnings.warn(*args, **kwargs)


def _hasattr(obj: Any, name: str) -> bool:
    """Whether there is one, which is asked again at every call."""
    if type(obj) is Box:
        return hasattr(type_of(obj), name)
    found = hasattr(obj, name)
    meet(obj)
    trace = session()
    if is_outside(obj) and ("attribute", id(obj), name) not in trace.entries:
        key = "hasattr", id(obj), name
        what = f"whether {name_of(obj)} has {name}"
        trace.guards.setdefault(key, Guard(lambda: hasattr(obj, name) == found, what))
    return found


def _getattr(obj: Any, name: str, *default: Any) -> Any:
    if default and not _hasattr(obj, name):
        return default[0]
    return attr(obj, name)


def attr(obj: Any, name: str) -> Any:
    """`obj.name`; properties of the user's classes are lifted."""
    obj = settled(obj)
    if type(obj) is Box and name == "__class__":
        return type_of(obj)
    if type(obj) is Ragged:
        return getattr(obj, name)
    if type(obj) is not Box:
        found = getattr(type(obj), name, None)
        if isinstance(found, property) and isinstance(found.fget, FunctionType):
            return call(found.fget, obj)
        if isinstance(found, functools.cached_property) and name not in vars(obj):
            value = call(found.func, obj)
            set_attr(value, obj, name)
            return value
    return attribute(obj, name)


def _type(*args: Any) -> Any:
    if len(args) != 1:
        return type(*args)
    cls = type_of(args[0])
    if not is_library(cls.__module__):
        session().outside.setdefault(id(cls), (cls, cls.__name__))
    return cls


def _default_rng(*args: Any, **kwargs: Any) -> Any:
    if not args and not kwargs:
        return _refused(np.random.default_rng)()
    return np.random.default_rng(*args, **kwargs)


#: Builtins that are a method of their first argument.
_METHODS = {
    len: "__len__",
    abs: "__abs__",
    float: "__float__",
    int: "__int__",
    bool: "__bool__",
    round: "__round__",
    next: "__next__",
    reversed: "__reversed__",
    divmod: "__divmod__",
    math.floor: "__floor__",
    math.ceil: "__ceil__",
}
_SPECIAL: dict[Any, Callable[..., Any]] = {
    **trips.HANDLERS,
    **iterables.HANDLERS,
    print: _print,
    warnings.warn: _warn,
    **GETTERS,
    getattr: _getattr,
    hasattr: _hasattr,
    vars: lambda obj: attr(obj, "__dict__"),
    type: lambda *args: _type(*args),
    setattr: lambda obj, name, value: set_attr(value, obj, name),
    object.__setattr__: lambda obj, name, value: set_attr(value, obj, name, own=True),
    np.random.default_rng: _default_rng,
}
for _fn in (
    *(getattr(builtins, name) for name in _IMPURE),
    time.time,
    time.perf_counter,
    time.monotonic,
    time.process_time,
    time.time_ns,
    time.perf_counter_ns,
):
    _SPECIAL[_fn] = _refused(_fn)
