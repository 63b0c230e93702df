"""Stores into objects and containers: logged, so that a probe can be undone."""

from __future__ import annotations

import operator
import re
from inspect import getattr_static
from types import FunctionType
from typing import Any

import numpy as np

from tracejit.base.errors import OutsideStoreError
from tracejit.frontend.aliases import same_array
from tracejit.frontend.box import Box, box_of, has_box
from tracejit.frontend.grown import grown_in, settle, stacked
from tracejit.frontend.growth import append
from tracejit.frontend.masked import Masked
from tracejit.frontend.ordering import COMPARISONS, lexicographic
from tracejit.frontend.outside import (
    attribute,
    imported,
    is_library,
    is_outside,
    item,
    iter_,
    loose,
    meet,
    plain_range,
    to_count,
)
from tracejit.frontend.places import (
    AttributePlace,
    Contents,
    Frame,
    Variable,
    assign,
    base_of,
)
from tracejit.frontend.ragged import Ragged
from tracejit.frontend.references import same_form
from tracejit.frontend.session import Count, session
from tracejit.frontend.undecided import (
    Optional,
    require_decided,
    settled,
    settled_key,
)
from tracejit.ir.aval import Extent

_CONTAINERS = list | dict | set
_NUMBERS = (Box, int, float, Extent, bool, str)
_REFLECTED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def set_attr(value: Any, obj: Any, name: str, own: bool = False) -> None:
    """`obj.name = value`; `own`: as `object` does, whatever the class says."""
    require_decided(value, obj)
    obj = settled(obj)
    if isinstance(obj, Box):
        setattr(obj, name, value)
        return
    trace = session()
    meet(obj)
    setter: Any = None if own else type(obj).__setattr__
    if setter is dict.__setitem__:
        set_item(value, obj, name)
        return
    if isinstance(setter, FunctionType) and users_method(obj, "__setattr__"):
        trace.call(setter, obj, name, value)
        return
    found = getattr_static(type(obj), name, None)
    if isinstance(found, property) and isinstance(found.fset, FunctionType):
        trace.call(found.fset, obj, value)
        return
    store = users_method(found, "__set__")
    if store is not None:
        trace.call(store, found, obj, value)
        return
    trace.record(AttributePlace(obj, name))
    (object.__setattr__ if own else setattr)(obj, name, value)


def del_attr(obj: Any, name: str) -> None:
    """`del obj.name`."""
    session().record(AttributePlace(obj, name))
    delattr(obj, name)


def attr_to_update(obj: Any, name: str) -> Any:
    """`obj.name` where it is read in `obj.name += …`: no guard on a count."""
    obj = settled(obj)
    found = getattr(type(obj), name, None)
    if isinstance(found, property) and isinstance(found.fget, FunctionType):
        return session().call(found.fget, obj)
    meet(obj)
    if isinstance(obj, Box) or not is_outside(obj):
        return attribute(obj, name)
    key = "attribute", id(obj), name
    return to_count(key, getattr(obj, name), lambda: attribute(obj, name))


def item_to_update(obj: Any, key: Any) -> Any:
    """`obj[key]` where it is read in `obj[key] += …`: no guard on a count."""
    obj, key = settled(obj), settled_key(key)
    counter = isinstance(obj, list | dict) and isinstance(key, int | str)
    counter = counter and is_outside(obj) and not (isinstance(obj, list) and key < 0)
    if not counter:
        return get_item(obj, key)
    return to_count(("item", id(obj), key), obj[key], lambda: item(obj, key))


def set_item(value: Any, obj: Any, key: Any, own: bool = False) -> None:
    """`obj[key] = value`; `own`: as a list or dict does, whatever the class says."""
    require_decided(value, obj, key)
    obj, key = settled(obj), settled_key(key)
    store = None if own else users_method(obj, "__setitem__")
    if store is not None:
        session().call(store, obj, key, value)
        return
    if _is_set(obj, key, value):
        return
    if isinstance(obj, _CONTAINERS):
        trace = session()
        if isinstance(obj, list) and isinstance(key, Box):
            key = key.__index__()
        sliced = isinstance(key, slice)
        if id(obj) in trace.frozen and not sliced:
            if not isinstance(obj, set) and obj[key] is value:
                return  # the second half of `obj[key] += v`, where v went into an array
        trace.record(Contents(obj), *(() if sliced else [("item", id(obj), key)]))
        if sliced:
            trace.reordered.add(id(obj))
    elif isinstance(obj, np.ndarray):
        obj = loose(obj)
    if isinstance(obj, Box | Ragged):
        require_inside(obj.box if isinstance(obj, Ragged) else obj)
        key, value = stacked(key), stacked(settled(value))
    if own:
        base_of(obj).__setitem__(obj, key, value)
    else:
        obj[key] = value


def _is_set(obj: Any, key: Any, value: Any) -> bool:
    """Set an element of a list that is kept in arrays; else it is made a plain one."""
    grown = grown_in(obj)
    if grown is None:
        return False
    if not isinstance(key, slice) and grown.has(key, value):
        return True
    session().require_unfrozen(obj)
    if not isinstance(key, slice) and grown.set(key, value):
        return True
    settle(obj)
    return False


def del_item(obj: Any, key: Any) -> None:
    """`del obj[key]`."""
    settle(obj)
    if isinstance(obj, _CONTAINERS):
        session().record(Contents(obj))
        session().reordered.add(id(obj))
    del obj[key]


def get_item(obj: Any, key: Any) -> Any:
    """`obj[key]`."""
    obj, key = settled(obj), settled_key(key)
    if isinstance(obj, Ragged):
        return obj[key]
    load = users_method(obj, "__getitem__")
    if load is not None:
        return session().call(load, obj, key)
    return item(obj, stacked(plain_range(key)))


def unary(symbol: str, x: Any) -> Any:
    """`-x`, `+x` and `~x`; a user's operators are lifted."""
    x = settled(x)
    method = users_method(x, f"__{symbol}__")
    if method is not None:
        return session().call(method, x)
    return getattr(operator, symbol)(x)


def binary(symbol: str, a: Any, b: Any) -> Any:
    """`a + b`, `a < b`, `a in b` and their like; a user's operators are lifted."""
    if symbol in ("in_", "not_in"):
        method = users_method(b, "__contains__")
        found = (
            operator.contains(imported(b), a)
            if method is None
            else session().call(method, b, a)
        )
        if isinstance(found, Box):
            return found if symbol == "in_" else np.logical_not(found)
        return found if symbol == "in_" else not found
    if symbol in ("is_", "is_not", "eq", "ne") and Optional in (type(a), type(b)):
        return _compared(symbol, a, b)
    a, b = settled(a), settled(b)
    if symbol in ("is_", "is_not"):
        same = identical(a, b)
        if isinstance(same, Box):
            return same if symbol == "is_" else np.logical_not(same)
        return same if symbol == "is_" else not same
    if type(a) is str and symbol == "mod":
        return formatted(a, b)
    a, b = _as_operand(a, b), _as_operand(b, a)
    if symbol in COMPARISONS and type(a) in (list, tuple) and type(b) is type(a):
        if has_box(*a, *b):
            return lexicographic(symbol, a, b, binary)
    if type(a) in _NUMBERS and type(b) in _NUMBERS:
        return getattr(operator, symbol)(a, b)
    a, b = imported(a), imported(b)
    name = symbol.strip("_")
    for obj, other, part in ((a, b, name), (b, a, _REFLECTED.get(name, f"r{name}"))):
        method = users_method(obj, f"__{part}__")
        if method is not None:
            result = session().call(method, obj, other)
            if result is not NotImplemented:
                return result
    result = getattr(operator, symbol)(a, b)
    return session().make(result) if isinstance(result, _CONTAINERS) else result


def _compared(symbol: str, a: Any, b: Any) -> Any:
    """Whether an Optional is, or equals, something; None equals nothing but None."""
    if type(a) is not Optional:
        a, b = b, a
    negated = symbol in ("is_not", "ne")
    if b is None:
        known = a.known
        if known is not None:
            return known if negated else not known
        return a.given if negated else a.none
    if type(b) is Optional or symbol in ("is_", "is_not"):
        a.refuse()
    if np.ndim(a.value if isinstance(a.value, Box) else 0) or np.ndim(b):
        return binary(symbol, a.get(), b)
    equal = np.logical_and(a.given, binary("eq", a.value, b))
    return np.logical_not(equal) if negated else equal


def _as_operand(value: Any, other: Any) -> Any:
    """A list that is kept in arrays: beside an array it is one."""
    if grown_in(value) is None:
        return value
    return stacked(value) if isinstance(other, Box | Ragged) else imported(value)


def formatted(pattern: str, values: Any) -> str:
    """`pattern % values`: of traced values it shows what they are."""
    parts = values if isinstance(values, tuple) else (values,)
    if any(isinstance(v, Box) for v in parts):
        pattern = re.sub(r"%[-+ #0]*\d*(\.\d+)?[diouxXeEfFgG]", "%s", pattern)
    return pattern % values


def identical(a: Any, b: Any) -> Any:
    """`a is b`; an error where a loop or branch made that uncertain."""
    require_decided(a, b)
    if isinstance(a, Box) and isinstance(b, Box):
        session().compared += [a, b]
        if a is b or not (a.one_of or b.one_of):
            return same_array(a, b)
        flag = same_form(a, b)
        return flag if isinstance(flag, bool) else box_of(flag, "python")
    if a is not b and type(a) is type(b):
        for obj in (a, b):
            session().require_unfrozen(obj)
    if type(a) is Extent or type(b) is Extent:
        a, b = (int(n) if type(n) is Extent else n for n in (a, b))
    return a is b


def users_method(obj: Any, name: str) -> FunctionType | None:
    """A special method that a class of the user's defines, and that has source."""
    method = getattr(type(obj), name, None)
    if not isinstance(method, FunctionType) or is_library(type(obj).__module__):
        return None
    return None if method.__code__.co_filename.startswith("<string") else method


def iop(symbol: str, old: Any, value: Any) -> Any:
    """`old += value` and its like; the new value of the target."""
    old, value = settled(old), settled(value)
    plainly = Box | Masked | Ragged | int | float | np.ndarray | _CONTAINERS
    if not isinstance(old, plainly):
        method = users_method(old, f"__{symbol}__")
        if method is not None:
            return session().call(method, old, value)
        plain = symbol[1:]
        return binary(f"{plain}_" if plain in ("and", "or") else plain, old, value)
    if isinstance(old, list) and grown_in(old) is not None:
        if symbol == "iadd":
            for new in iter_(value):
                append(old, new)
            return old
        settle(old)
    if isinstance(old, list | set | dict):
        session().record(Contents(old))
        if symbol not in ("iadd", "ior"):
            session().reordered.add(id(old))
        value = imported(value)
    elif isinstance(old, np.ndarray):
        old = loose(old)
    if isinstance(old, Ragged):
        require_inside(old.box)
    if isinstance(old, Box) and old.kind == "array":
        require_inside(old)
    if type(old) is Count:
        if symbol in ("iadd", "isub") and isinstance(value, int):
            return old.moved(int(value) if symbol == "iadd" else -int(value))
        raise session().restage(inputs=[old.key])
    return getattr(operator, symbol)(old, value)


def require_inside(box: Box) -> None:
    """Raise where a store would write to an array that a library may have made while
    this was staged: the next call would find it written to."""
    roots = [one.root for one in box.root.one_of] or [box.root]
    for key, found in session().boxes.items():
        if key[0] == "array" and any(found is root for root in roots):
            raise OutsideStoreError(
                "a value is stored into an array that was not made by staged code",
                session().builder.loc,
                "work on a copy of it",
            )


def set_local(frame: Frame, name: str, value: Any) -> Any:
    """Assign a variable of an enclosing function, or by `:=`."""
    assign(Variable(frame, name, logged=True), value)
    return value


def forget(frame: Frame, name: str) -> None:
    """`except … as name` ends: the name is unbound."""
    frame.__dict__.pop(name, None)
