"""Stores into objects and containers: logged, so that a probe can be undone."""

from __future__ import annotations

import operator
from types import FunctionType
from typing import Any

import numpy as np

from tracejit.base.errors import OutsideStoreError
from tracejit.frontend.box import Box
from tracejit.frontend.outside import (
    attribute,
    imported,
    is_outside,
    item,
    loose,
)
from tracejit.frontend.places import AttributePlace, Contents, Frame, Variable
from tracejit.frontend.session import session

_CONTAINERS = list | dict | set


def set_attr(value: Any, obj: Any, name: str) -> None:
    """`obj.name = value`."""
    if isinstance(obj, Box):
        setattr(obj, name, value)
        return
    trace = session()
    found = getattr(type(obj), name, None)
    if isinstance(found, property) and isinstance(found.fset, FunctionType):
        trace.call(found.fset, obj, value)
        return
    place = AttributePlace(obj, name)
    trace.entries.setdefault(place.key, place.get())
    trace.record(place)
    setattr(obj, name, value)


def del_attr(obj: Any, name: str) -> None:
    """`del obj.name`."""
    session().record(AttributePlace(obj, name))
    delattr(obj, name)


def attr_to_update(obj: Any, name: str) -> Any:
    """`obj.name` where it is read in `obj.name += …`: no guard on a plain number."""
    if isinstance(obj, Box):
        return getattr(obj, name)
    value = getattr(obj, name)
    if isinstance(value, int | float | str) and is_outside(obj):
        session().entries.setdefault(("attribute", id(obj), name), value)
        return value
    return attribute(obj, name)


def set_item(value: Any, obj: Any, key: Any) -> None:
    """`obj[key] = value`."""
    if isinstance(obj, _CONTAINERS):
        trace = session()
        if isinstance(obj, list) and isinstance(key, Box):
            key = key.__index__()
        trace.record(Contents(obj))
        if is_outside(obj) and not isinstance(key, slice):
            before = obj.get(key) if isinstance(obj, dict) else obj[key]  # type: ignore
            trace.entries.setdefault(("item", id(obj), key), before)
    elif isinstance(obj, np.ndarray):
        obj = loose(obj)
    else:
        store = getattr(type(obj), "__setitem__", None)
        if isinstance(store, FunctionType) and not isinstance(obj, Box):
            session().call(store, obj, key, value)
            return
    if isinstance(obj, Box):
        require_inside(obj)
    obj[key] = value


def del_item(obj: Any, key: Any) -> None:
    """`del obj[key]`."""
    if isinstance(obj, _CONTAINERS):
        session().record(Contents(obj))
    del obj[key]


def get_item(obj: Any, key: Any) -> Any:
    """`obj[key]`."""
    load = getattr(type(obj), "__getitem__", None)
    if (
        isinstance(load, FunctionType)
        and type(obj).__module__.partition(".")[0] != "tracejit"
    ):
        return session().call(load, obj, key)
    return item(obj, key)


def iop(symbol: str, old: Any, value: Any) -> Any:
    """`old += value` and its like; the new value of the target."""
    if isinstance(old, list | set | dict):
        session().record(Contents(old))
        value = imported(value)
    elif isinstance(old, np.ndarray):
        old = loose(old)
    if isinstance(old, Box) and old.kind == "array":
        require_inside(old)
    return getattr(operator, symbol)(old, value)


def require_inside(box: Box) -> None:
    """Raise where a store would write to an array of the outside."""
    root = box.root
    for key, found in session().boxes.items():
        if found is root:
            what = session().captured[key].what
            raise OutsideStoreError(
                f"a value is stored into the array `{what}`, which comes from outside "
                "of the staged function",
                session().builder.loc,
                "work on a copy of it, and return that",
            )


def set_local(frame: Frame, name: str, value: Any) -> Any:
    """Assign a variable of an enclosing function, or by `:=`."""
    place = Variable(frame, name)
    session().record(place)
    place.set(value)
    return value


def forget(frame: Frame, name: str) -> None:
    """`except … as name` ends: the name is unbound."""
    frame.__dict__.pop(name, None)
