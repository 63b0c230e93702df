"""Functions of the C library for numbers that polynomials do not serve: huge angles.

Vector functions of ours hand them what they have computed, and its argument. Mostly
no angle is huge, which is all that is looked at first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PREFIX = "tracejit_rare_"
#: What is called of the C library.
NAMES = ("sin", "cos", "tan")
#: Up to where polynomials serve, in double and single precision.
FAR = (1e12, 1e5)
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
    truth = "i1" if n == 1 else f"<{n} x i1>"
    absolute = f"@llvm.fabs.{'' if n == 1 else f'v{n}'}f{32 if single else 64}"
    far = f"{kind} {FAR[single]:e}"
    limit = far.split()[1] if n == 1 else f"<{', '.join([far] * n)}>"
    test = [
        f"%size = call {wide} {absolute}({wide} %x)",
        f"%far = fcmp ogt {wide} %size, {limit}",
    ]
    if n == 1:
        test += ["%any = or i1 %far, false"]
        work = [f"%z = call {kind} @{scalar}({kind} %x)"]
    else:
        test += [
            f"%mask = bitcast {truth} %far to i{n}",
            f"%any = icmp ne i{n} %mask, 0",
        ]
        work, last = [], "poison"
        for k in range(n):
            made = "%z" if k == n - 1 else f"%v{k}"
            work += [
                f"%x{k} = extractelement {wide} %x, i32 {k}",
                f"%z{k} = call {kind} @{scalar}({kind} %x{k})",
                f"{made} = insertelement {wide} {last}, {kind} %z{k}, i32 {k}",
            ]
            last = made
    lines = [
        f"define linkonce_odr {wide} @{name}({wide} %y, {wide} %x) alwaysinline {{",
        "entry:",
        *test,
        "br i1 %any, label %some, label %done, !prof !0",
        "some:",
        *work,
        f"%chosen = select {truth} %far, {wide} %z, {wide} %y",
        "br label %done",
        "done:",
        f"%out = phi {wide} [ %y, %entry ], [ %chosen, %some ]",
        f"ret {wide} %out",
        "}",
    ]
    return "\n".join(lines)
