"""`python -m tests.corpus --count 20000 --seed 0`: random programs, many of them.

Prints how many came out right, were refused by an error of our own, were silently wrong
or crashed, and the source of every program of the last two kinds, made small.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter

from tests.corpus.generator import Writer
from tests.corpus.judge import CRASHED, REFUSED, SLOW, UNFIT, WRONG
from tests.corpus.running import judge_text, shrink


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.corpus")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for each")
    parser.add_argument("--minutes", type=float, default=1e9, help="for all of them")
    parser.add_argument("--refused", action="store_true", help="show refused ones too")
    options = parser.parse_args()
    backend = "numba" if options.compiled else "numpy"
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    numeric = 0
    warnings.simplefilter("ignore")
    shown = (WRONG, CRASHED, SLOW) + (REFUSED,) * options.refused
    started = time.perf_counter()
    seed = options.seed
    end = started + 60 * options.minutes
    while counts.total() - counts[UNFIT] < options.count and time.perf_counter() < end:
        text = Writer(seed).text
        verdict = judge_text(text, backend, options.limit)
        counts[verdict.kind] += 1
        numeric += verdict.kind == "right" and verdict.numeric
        if verdict.kind == REFUSED:
            reasons[verdict.why.split("\n")[0][:110]] += 1
        if verdict.kind in shown:
            print(f"\n# seed {seed}: {verdict.kind}: {verdict.why}")
            whole = options.no_shrink or verdict.kind == SLOW
            print(text if whole else shrink(text, backend), flush=True)
        seed += 1
    seconds = time.perf_counter() - started
    print(f"\n{backend}, seeds {options.seed} to {seed - 1}, {seconds:.0f} s")
    for kind, count in counts.most_common():
        print(f"{count:7d}  {kind}")
    print(f"{numeric:7d}  of the right ones also by numeric differences")
    for reason, count in reasons.most_common():
        print(f"{count:7d}  refused: {reason}")


main()
