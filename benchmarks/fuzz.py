"""Break inputs in bulk and print what came of it: `python benchmarks/fuzz.py --trials 2000 --seed 1`.

Leaves with 1 where a trial ended in a traceback, a hang, more memory than its bound, or a wrong number without a word.
"""

import argparse
import faulthandler
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzz_run import KINDS, MEMORY_BYTES, SECONDS, FaultError, make_inputs, run_trial, trials

OUTCOMES = ("refused", "same", "told", "changed", "fault")


def main() -> int:
    """Run the trials; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the name of a trial, such as 'roi/' or 'bomb'")
    given = parser.parse_args()
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        inputs = make_inputs(Path(folder) / "inputs")
        for trial in trials(given.trials, given.seed):
            if given.only in str(trial):
                counts[trial.kind][_outcome(inputs, trial, Path(folder))] += 1
    _print(counts, time.monotonic() - start)
    return int(any(count["fault"] for count in counts.values()))


def _outcome(inputs, trial, folder):
    faulthandler.dump_traceback_later(5 * SECONDS, exit=True)  # a hang inside a library, which no signal interrupts
    with tempfile.TemporaryDirectory(dir=folder) as work:
        try:
            return run_trial(inputs, trial, Path(work))
        except FaultError as fault:
            print(f"FAULT {trial}: {fault}"[:600], flush=True)
            return "fault"
        finally:
            faulthandler.cancel_dump_traceback_later()


def _print(counts, seconds):
    print(f"| input | trials | {' | '.join(OUTCOMES)} |")
    print("|---" * (len(OUTCOMES) + 2) + "|")
    for kind, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        print(f"| {kind} | {count.total()} | {' | '.join(str(count[outcome]) for outcome in OUTCOMES)} |")
    print(f"{seconds:.0f} s; bounds of a trial: {SECONDS} s, {MEMORY_BYTES >> 30} GiB beyond what the process holds")


if __name__ == "__main__":
    sys.exit(main())
