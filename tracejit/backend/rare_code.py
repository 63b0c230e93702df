"""Functions of the C library for numbers that polynomials do not serve.

Vector functions of ours call them at every round, on a vector that is 0 but where they
are needed: mostly nowhere, which is all that they look at first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PREFIX = "tracejit_rare_"
#: What is called of the C library.
NAMES = ("sin", "cos", "tan", "lgamma")
_KINDS = {False: "double", True: "float"}


def symbol(name: str, single: bool, count: int) -> str:
    """The name of a function for so many numbers at once."""
    return f"{PREFIX}{name}{'f' if single else ''}_{count}"


def lanes(single: bool) -> tuple[int, ...]:
    """The lengths of the vectors there are functions for."""
    return (2, 4, 8, 16) if single else (2, 4, 8)


def _all() -> Iterator[tuple[str, str, bool, int]]:
    """(symbol, function of the C library, whether single, lanes) of each."""
    for name in NAMES:
        for single in (False, True):
            scalar = name + ("f" if single else "")
            for n in (1, 2, 4, 8, 16):
                yield symbol(name, single, n), scalar, single, n


def definitions(needed: Iterable[str]) -> str:
    """The functions in LLVM's language, of those that are `needed`."""
    wanted = set(needed)
    found = [f for f in _all() if f[0] in wanted]
    scalars = {(scalar, _KINDS[single]) for _, scalar, single, _ in found}
    declared = [f"declare {kind} @{name}({kind})" for name, kind in sorted(scalars)]
    bodies = [_definition(*f) for f in found]
    return "\n".join([*declared, *bodies, '!0 = !{!"branch_weights", i32 1, i32 9999}'])


def _definition(name: str, scalar: str, single: bool, n: int) -> str:
    kind = _KINDS[single]
    wide = kind if n == 1 else f"<{n} x {kind}>"
    if n == 1:
        test = [f"%any = fcmp une {kind} %x, 0.0"]
        work = [f"%y0 = call {kind} @{scalar}({kind} %x)"]
    else:
        test = [
            f"%each = fcmp une {wide} %x, zeroinitializer",
            f"%mask = bitcast <{n} x i1> %each to i{n}",
            f"%any = icmp ne i{n} %mask, 0",
        ]
        work, last = [], "poison"
        for k in range(n):
            work += [
                f"%x{k} = extractelement {wide} %x, i32 {k}",
                f"%z{k} = call {kind} @{scalar}({kind} %x{k})",
                f"%y{k} = insertelement {wide} {last}, {kind} %z{k}, i32 {k}",
            ]
            last = f"%y{k}"
    lines = [
        f"define linkonce_odr {wide} @{name}({wide} %x) alwaysinline {{",
        "entry:",
        *test,
        "br i1 %any, label %some, label %done, !prof !0",
        "some:",
        *work,
        "br label %done",
        "done:",
        f"%out = phi {wide} [ %x, %entry ], [ %y{n - 1}, %some ]",
        f"ret {wide} %out",
        "}",
    ]
    return "\n".join(lines)
