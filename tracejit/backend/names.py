"""Names for the text: the user's where there is one, unique, in order of first use."""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Hashable

#: The dtypes that source text may name.
DTYPES = (
    *("float64", "float32", "bool", "complex128", "complex64"),
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
)

_TAKEN = {*keyword.kwlist, *dir(builtins), "math", "np", *DTYPES}


class Names:
    """One name per object. The same code with the same hints gets the same names."""

    def __init__(self) -> None:
        self.of: dict[Hashable, str] = {}
        self.used: dict[str, int] = dict.fromkeys(_TAKEN, 0)

    def __call__(self, thing: Hashable, hint: str = "") -> str:
        if thing not in self.of:
            self.of[thing] = self.fresh(hint or "v")
        return self.of[thing]

    def fresh(self, hint: str) -> str:
        """A name nobody has yet: `x`, `x_1`, `x_2`, …"""
        # A digit at the end would meet the numbers that make names unique.
        hint = re.sub(r"\W|^(?=\d)", "_", hint).rstrip("0123456789_") or "v"
        if hint.startswith("_tj"):
            hint = "v" + hint
        count = self.used.get(hint)
        self.used[hint] = 0 if count is None else count + 1
        return hint if count is None else f"{hint}_{count + 1}"


def number(value: float, dtype: str) -> str:
    """A number of a dtype as source text: exact, and of that dtype in Numba too."""
    if dtype == "bool":
        return str(bool(value))
    if dtype.startswith(("int", "uint")):
        text = str(int(value))
        return text if dtype == "int64" else f"{dtype}({text})"
    if dtype.startswith("complex"):
        parts = (number(x, "float64") for x in (value.real, value.imag))
        text = f"complex({', '.join(parts)})"
        return text if dtype == "complex128" else f"{dtype}({text})"
    value = float(value)
    text = repr(value)
    if math.isnan(value):
        text = "math.nan"
    elif math.isinf(value):
        text = "math.inf" if value > 0 else "-math.inf"
    return text if dtype == "float64" else f"{dtype}({text})"
