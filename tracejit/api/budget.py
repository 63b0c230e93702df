"""Amounts of memory, as users write them."""

from __future__ import annotations

import re

#: Bytes of each unit: the decimal ones, and those in powers of two.
UNITS = {"": 1, "B": 1} | {
    f"{prefix}{infix}B": base**power
    for power, prefix in enumerate("kMGT", 1)
    for infix, base in (("", 1000), ("i", 1024))
}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def bytes_of(amount: int | str | None) -> int | None:
    """A number of bytes, from one or from text as "64 MB"; None stays.

    >>> bytes_of("64 MB"), bytes_of("1.5KiB"), bytes_of(100)
    (64000000, 1536, 100)
    """
    if amount is None:
        return None
    found = _AMOUNT.fullmatch(amount) if isinstance(amount, str) else None
    units = {name.lower(): size for name, size in UNITS.items()}
    if found is not None and found[2].lower() in units:
        amount = int(float(found[1]) * units[found[2].lower()])
    if isinstance(amount, str) or isinstance(amount, bool) or int(amount) < 0:
        raise ValueError(
            f"memory must be a number of bytes, or text like '64 MB', not {amount!r}"
        )
    return int(amount)


def amount(count: float) -> str:
    """A number of bytes as text.

    >>> amount(0), amount(1536), amount(64e6)
    ('0 B', '1.54 kB', '64 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
