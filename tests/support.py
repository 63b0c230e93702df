"""`python -m tests.support`: writes SUPPORT.md from the table of NumPy's routines.

The tests hold what it says, and try a part of it to be quick. With `--all` this command
compiles all of the routines, and takes second derivatives of all expressions.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.ops.numpy_cases import Routine
from tests.ops.numpy_table import KNOWN, ROUTINES, SECTIONS

ROOT = Path(__file__).parent.parent

_HEAD = """\
# What of NumPy and SciPy is supported

Written by `python -m tests.support`; do not edit. Every line stands for expressions in
`tests/ops/numpy_cases*.py`, which the tests hold against NumPy (value, dtype, shape),
against numeric differences (gradient and second order), and compiled against
interpreted. Those of SciPy are in `tests/ops/scipy_cases.py`.

*gradient*: **yes**, or **0** where the derivative is zero everywhere that it exists.
*why not*: expressions that raise an error of tracejit's, and the reason. Arrays that do
not depend on traced values are NumPy's own: any function works on them.
"""


def row(name: str, routine: Routine) -> str:
    """One line of a table."""
    works = bool(routine.smooth or routine.constant or routine.values)
    value = "yes" if works else "no"
    slope = "yes" if routine.smooth else "0" if routine.constant else "no"
    apart = routine.refused | routine.values
    reasons = "; ".join(f"`{text}`: {why}" for text, why in apart.items())
    cells = [f"`{name}`", value, slope, slope, value, reasons.replace("|", "\\|")]
    return f"| {' | '.join(cells)} |"


def counts() -> dict[str, int]:
    """How many routines and expressions there are, by what is true of them."""
    table = ROUTINES.values()
    return {
        "routines": len(table),
        "with a gradient": sum(bool(r.smooth) for r in table),
        "constant": sum(bool(r.constant) and not r.smooth for r in table),
        "with a value alone": sum(bool(r.values) for r in table),
        "refused altogether": sum(
            not r.smooth and not r.constant and not r.values for r in table
        ),
        "expressions": sum(len(r.smooth) + len(r.constant) for r in table),
        "expressions refused": sum(len(r.refused) for r in table),
    }


def document() -> str:
    """The text of SUPPORT.md."""
    lines = [_HEAD]
    lines.append(", ".join(f"{n} {what}" for what, n in counts().items()) + ".\n")
    lines.append("Known arrays in expressions:\n")
    lines += [f"- `{name} = {text}`" for name, text in KNOWN.items()]
    for title, routines in SECTIONS.items():
        lines += [f"\n## {title}\n"]
        lines += ["| routine | value | gradient | second order | compiled | why not |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [row(name, routine) for name, routine in routines.items()]
    return "\n".join(lines) + "\n"


def try_all() -> int:
    """Compile and differentiate every routine; how many fail."""
    # The tests import this module.
    from tests.ops.test_numpy_support import check_compiled, check_derivatives

    failed = 0
    for name, routine in ROUTINES.items():
        try:
            check_compiled(name)
            for text in routine.smooth:
                check_derivatives(text, 2)
        except Exception as error:
            failed += 1
            print(f"{name}: {type(error).__name__}: {error}")
    print(
        f"{len(ROUTINES) - failed} of {len(ROUTINES)} routines compile as they should"
    )
    return failed


def main() -> int:
    (ROOT / "SUPPORT.md").write_text(document(), encoding="utf-8")
    print(", ".join(f"{n} {what}" for what, n in counts().items()))
    return 1 if "--all" in sys.argv and try_all() else 0


if __name__ == "__main__":
    sys.exit(main())
