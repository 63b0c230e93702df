"""`python -m tests.reach`: how many of the frozen functions can be differentiated.

Prints a line for each function: right (value and gradient agree with the plain function
and with numeric differences), refused (our error, with its cause), wrong or crashed.
`--check` only runs the plain functions, to see that the calls are valid.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter

import numpy as np

from tests.corpus.judge import judge
from tests.reach.functions import PACKAGES
from tracejit.base.pytree import flatten


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.reach")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    for package in PACKAGES:
        try:
            rows = list(package())
        except ImportError as missing:
            print(f"{package.__name__}: {missing}")
            continue
        for name, fn, args in rows:
            name = f"{package.__name__}: {name}"
            if options.only not in name:
                continue
            if options.check:
                print(name, [np.shape(leaf) for leaf in flatten(fn(*args))[0]])
                continue
            started = time.perf_counter()
            backend = "numba" if options.compiled else "numpy"
            verdict = judge(fn, lambda args=args: args, backend)
            seconds = time.perf_counter() - started
            counts[verdict.kind] += 1
            why = verdict.why.strip().split("\n")[0]
            print(f"{verdict.kind:8} {seconds:5.1f} s  {name}  {why}", flush=True)
    print(dict(counts), counts.total())


main()
