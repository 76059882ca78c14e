"""Coverage of the intervals and error of the P values that are printed, before and after they were mended.

    python benchmarks/intervals.py [PART ...] [--studies 2000]

Every number is a percentage of simulated studies whose truth is known. `should` is the bound that holds the number; a
line that breaks it ends with "NO", and the exit status is 1. With 2,000 studies a coverage of 95 is known to 1.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Mapping

from interval_parts import Row, added_value, expectation, few_cases, noninferiority, out_of_fold, survival

Texts = tuple[str, str, str, str, str]
Part = Callable[[int], Iterable[Row | Texts]]
PARTS: Mapping[str, Part] = {
    "out_of_fold": out_of_fold.rows,
    "noninferiority": noninferiority.rows,
    "expectation": expectation.rows,
    "survival": survival.rows,
    "few_cases": few_cases.rows,
    "added_value": lambda _studies: added_value.rows(),  # with numbers of studies and aims of its own
}


def main() -> None:
    """The parts that are asked for, all without a name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--studies", type=int, default=2000)
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"{min(unknown)}: the parts are {', '.join(PARTS)}")
    broken = 0
    for name in options.parts or PARTS:
        started = time.perf_counter()
        print(f"\n{name}\n{'quantity':<58}{'setting':<44}{'before':>8}{'after':>8}  should")
        for row in PARTS[name](options.studies):
            print(line(row), flush=True)
            broken += isinstance(row, Row) and not row.holds
        print(f"({time.perf_counter() - started:.0f} s, {options.studies} studies a setting)")
    raise SystemExit(bool(broken))


def line(row: Row | Texts) -> str:
    """A row as it is printed."""
    if not isinstance(row, Row):
        quantity, setting, was, now, aim = row
        return f"{quantity:<58} {setting:<43} {was:>16} {now:>16}  {aim}"
    before, after = ("-" if value is None else f"{value:.1f}" for value in (row.before, row.after))
    bounds = [f"{sign} {value:g}" for sign, value in ((">=", row.least), ("<=", row.most)) if value is not None]
    return f"{row.quantity:<58}{row.setting:<44}{before:>8}{after:>8}  {' '.join(bounds)}{'' if row.holds else '  NO'}"


if __name__ == "__main__":
    main()
