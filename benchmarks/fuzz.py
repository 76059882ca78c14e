"""Break inputs in bulk and print what came of it: `python benchmarks/fuzz.py --trials 2000 --seed 1`.

Broken inputs (`--trials`), every command's output aimed at every place that holds something (`--places`), hostile names
(`--names`), and small files that claim much, each in a child with limits (`--limits`).

Leaves with 1 where a trial ended in a traceback, a hang, more memory than its bound, a wrong number without a word, or
with a file changed that AutoDLS did not write.
"""

import argparse
import faulthandler
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzz_groups import GROUPS
from fuzz_limits import CHILD_GIB, CHILD_SECONDS
from fuzz_run import KINDS, MEMORY_BYTES, SECONDS, FaultError, make_inputs, run_trial, trials
from tiny_study import use_tiny_resnet

MOST_SECONDS = 300
OUTCOMES = ("refused", "same", "told", "changed", "fault")


def main() -> int:
    """Run the trials; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the name of a trial, such as 'roi/' or 'bomb'")
    for name in GROUPS:
        parser.add_argument(f"--{name}", type=int, default=0)
    given = parser.parse_args()
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in (*KINDS, *GROUPS)}
    use_tiny_resnet(_Patch)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for kind, run, trial in _drawn(given, root):
            if given.only in str(trial):
                counts[kind][_outcome(run, trial, root)] += 1
    _print(counts, time.monotonic() - start)
    return int(any(count["fault"] for count in counts.values()))


def _drawn(given, root):
    """Kind, function and trial of all that is asked for; what trials of a group start from is made before the first."""
    for name, group in GROUPS.items():
        count = getattr(given, name)
        made = group.make(root / name) if count else root
        for number in range(count):
            yield name, partial(group.run, made), group.draw(given.seed + number)
    if given.trials:
        inputs = make_inputs(root / "inputs")
        for trial in trials(given.trials, given.seed):
            yield trial.kind, partial(run_trial, inputs), trial


class _Patch:
    """The one method of pytest's monkeypatch that is needed, without pytest."""

    @staticmethod
    def setitem(mapping, key, value):
        mapping[key] = value


def _outcome(run, trial, folder):
    faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)  # a hang inside a library, which no signal interrupts
    with tempfile.TemporaryDirectory(dir=folder) as work:
        try:
            return run(trial, Path(work))
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
    bounds = f"{SECONDS} s of the processor, {MEMORY_BYTES >> 30} GiB beyond what the process holds"
    print(f"{seconds:.0f} s; bounds of a trial: {bounds}")
    print(f"of one in a child: {CHILD_SECONDS} s, {CHILD_GIB} GiB")


if __name__ == "__main__":
    sys.exit(main())
