"""Objects that are called from C, without a Python frame: CPython's vectorcall.

An object of a class of ours holds, behind its head, the address of a C function, which
CPython calls in place of `__call__` unless it is 0. `quicken` sets it. Elsewhere than
in the CPython that this was written for, `__call__` serves.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import sysconfig
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

#: Where an object of such a class holds the address, the entry that is asked first,
#: and the others.
ADDRESS, FAST, MORE = 16, 24, 32
#: How many entries are asked: functions of several shapes take turns.
MOST = 4
_HAVE_VECTORCALL, _DEFAULT, _BASETYPE = 1 << 11, 1 << 18, 1 << 10
#: In a type: its flags.
_FLAGS = 168
_WORD, _OFFSET, _READ_ONLY = 18, 19, 1
_MEMBERS = 72


class _Member(ctypes.Structure):
    """CPython's PyMemberDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Slot(ctypes.Structure):
    """CPython's PyType_Slot."""

    _fields_ = (("number", ctypes.c_int), ("value", ctypes.c_void_p))


class _Spec(ctypes.Structure):
    """CPython's PyType_Spec."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("size", ctypes.c_int),
        ("item_size", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


def _is_known() -> bool:
    """Whether this is a CPython whose objects lie as they do here."""
    return (
        sys.implementation.name == "cpython"
        and (3, 11) <= sys.version_info < (3, 14)
        and struct.calcsize("P") == 8
        and sys.byteorder == "little"
        and not hasattr(sys, "gettotalrefcount")
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and object.__basicsize__ == ADDRESS
        and _flags(int).value == int.__flags__
    )


def _flags(cls: type) -> Any:
    return ctypes.c_ulong.from_address(id(cls) + _FLAGS)


def _with_address() -> type:
    """A class whose objects have a word for the address, `vectorcall`."""
    members = (_Member * 3)(
        _Member(b"__vectorcalloffset__", _OFFSET, ADDRESS, _READ_ONLY, None),
        _Member(b"vectorcall", _WORD, ADDRESS, 0, None),
    )
    slots = (_Slot * 2)(_Slot(_MEMBERS, ctypes.addressof(members)))
    flags = _DEFAULT | _BASETYPE
    spec = _Spec(b"tracejit.backend.quick_call.Callable", FAST, 0, flags, slots)
    make = ctypes.pythonapi.PyType_FromSpec
    make.restype, make.argtypes = ctypes.py_object, [ctypes.POINTER(_Spec)]
    made = make(ctypes.byref(spec))
    _kept.append((members, slots, spec))
    return made


#: What the class refers to.
_kept: list[Any] = []
KNOWN = _is_known()


class _Elsewhere:
    """The same for a Python that does not look at it."""

    __slots__ = ("vectorcall",)
    vectorcall: int


if TYPE_CHECKING or not KNOWN:
    _Callable = _Elsewhere
else:
    _Callable = _with_address()


class Quick(_Callable):
    """What may be called from C: by `fast`, the entry in C of the last call, if it is
    not None, or by one of `more`, those of calls before.

    Subclasses define `__call__` for all calls that they do not serve.
    """

    __slots__ = ("fast", "more")
    fast: Callable[..., Any] | None
    more: tuple[Callable[..., Any], ...]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if KNOWN:
            # Each class is asked whether its objects have an address, not its bases.
            _flags(cls).value |= _HAVE_VECTORCALL

    def slow_down(self) -> None:
        """Have all calls go to `__call__`."""
        self.vectorcall = 0  # first: no call may go there that finds no entry
        self.fast, self.more = None, ()

    def quicken(self, fast: Callable[..., Any], address: int) -> None:
        """Have calls go to the C function at `address`, which asks `fast` first."""
        others = (self.fast, *self.more)
        kept = [f for f in others if f is not None and f is not fast]
        self.more = tuple(kept[: MOST - 1])
        self.fast = fast
        self.vectorcall = address
