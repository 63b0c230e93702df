"""Library functions that look into objects of the user's: copies, `operator`'s getters.

What they find there is read as `obj.name` and `obj[key]` are: no value is stale.
"""

from __future__ import annotations

import copy
import dataclasses
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from tracejit.base.pytree import tuple_like
from tracejit.frontend.outside import attribute, imported, is_users
from tracejit.frontend.session import session
from tracejit.frontend.state import get_item

Call = Callable[..., Any]


def _shadow(obj: Any, deep: bool) -> Any:
    """An object as one that holds what is read from it; `deep`: all the way down."""
    if isinstance(obj, list | tuple | dict):
        found = imported(obj)
        return _of_elements(found) if deep else found
    if not is_users(obj):
        return obj
    new = object.__new__(type(obj))
    slots = [s for c in type(obj).__mro__ for s in getattr(c, "__slots__", ())]
    for name in [*getattr(obj, "__dict__", ()), *slots]:
        if hasattr(obj, name):
            value = attribute(obj, name)
            object.__setattr__(new, name, _shadow(value, True) if deep else value)
    return new


def _of_elements(found: Any) -> Any:
    if isinstance(found, dict):
        return type(found)({k: _shadow(v, True) for k, v in found.items()})
    parts = [_shadow(v, True) for v in found]
    return tuple_like(found, parts) if isinstance(found, tuple) else type(found)(parts)


def _copied(fn: Any, deep: bool) -> Call:
    return lambda obj, *memo: session().make(fn(_shadow(obj, deep)))


def _replaced(obj: Any, /, **changes: Any) -> Any:
    kept = {
        part.name: attribute(obj, part.name)
        for part in dataclasses.fields(obj)
        if part.init and part.name not in changes
    }
    return session().call(type(obj), **kept, **changes)


def _members(fn: Any) -> Call:
    return lambda obj, **options: session().make(fn(_shadow(obj, True), **options))


GETTERS: dict[Any, Call] = {
    copy.copy: _copied(copy.copy, False),
    copy.deepcopy: _copied(copy.deepcopy, True),
    dataclasses.replace: _replaced,
    dataclasses.asdict: _members(dataclasses.asdict),
    dataclasses.astuple: _members(dataclasses.astuple),
    operator.getitem: get_item,
}


def getter(fn: Any, attr: Call) -> Call | None:
    """What an `attrgetter`, `itemgetter` or `methodcaller` does; None: it is none."""
    if not isinstance(
        fn, operator.attrgetter | operator.itemgetter | operator.methodcaller
    ):
        return None
    # How it pickles tells what it was made of.
    made, names = cast(tuple[Any, tuple[Any, ...]], fn.__reduce__())
    if isinstance(fn, operator.methodcaller):
        options = made.keywords if isinstance(made, partial) else {}
        bound = made.args if isinstance(made, partial) else ()
        name, *args = *bound, *names
        return lambda obj: session().call(attr(obj, name), *args, **options)
    get = _attributes(attr) if isinstance(fn, operator.attrgetter) else get_item

    def run(obj: Any) -> Any:
        found = tuple([get(obj, name) for name in names])
        return found if len(found) > 1 else found[0]

    return run


def _attributes(attr: Call) -> Call:
    def get(obj: Any, path: str) -> Any:
        for name in path.split("."):
            obj = attr(obj, name)
        return obj

    return get
