"""Kill every command at random moments, again and again, and go on until the study is done.

A life is one process that runs one command on a small phantom cohort with tiny networks. It ends by SIGKILL or SIGTERM,
by Ctrl-C, or on a disk that is full, for large files or from the n-th file on, at a moment drawn from the seed; the
clock jumps while it lives, and between lives. After each life every file must be whole, and at the end everything must
be what an uninterrupted run wrote, byte by byte.

Then every command finds its disk full between two of the files that it writes (`--full-disks`, at most so many places a
command), and a set of results must be of one run. Then come whole studies on file systems that are too small (root may
mount them; else that is skipped, and said), two processes on one workspace, and a dataset folder that may only be read.
`--quick` leaves out nnU-Net and what is trained on its ROIs.

    OMP_NUM_THREADS=1 python benchmarks/kill_anywhere.py --kills 200 --seed 0

Some of those that are killed have two workers, which must end with them and leave nothing half-written either.

Lives are forked from a process that has imported everything, so that they are killed at work and not while they import.
"""

import argparse
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from command_line import PRESET, write_phantom
from killed_lives import (
    READ_A_STALE_FILE,
    STRIKES,
    TIMED,
    WROTE_TO_DATASET,
    Ending,
    Life,
    Study,
    be_born,
    is_inner,
    live,
)
from killed_results import GROWING, KEPT_ROWS, Generations, require_rows, require_whole
from small_disks import grow_disk, read_only, small_disk
from tiny_keys import write_pair
from tiny_study import use_tiny_resnet

from autodls.records.files import sha256_of_file
from autodls.training import loop

IMPORTED_LATE = (
    "autodls.cli.show_scores",
    "autodls.cli.show_study",
    "autodls.inference.heldout",
    "autodls.report.html.document",
    "autodls.report.study_results",
    "autodls.stages.evaluate",
    "autodls.stages.explain",
    "autodls.stages.heatmaps",
    "autodls.stages.predict",
    "autodls.training.cohort",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "autodls.stages.sign",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "tensorboard.summary.writer.record_writer",
    "torch._dynamo",
)
FULL = ("full", "full at")  # for every file beyond a size, and for all from the n-th on
GROWING_BY_ROWS = "workspace/segmentation/masks.json"
WITH_WORKERS = 0.2  # share of the killed lives that have two workers, where a command can
SECONDS_TO_START = 12.0  # workers import what the harness itself has, and then work
FINISHED = ("preprocessed/", "folds/", "auto/preprocessed/", "auto/folds/")
ROOM = 1 << 30
SCHEDULE = {"training.epochs": 4, "training.patience": 4, "training.fusion_epochs": 3}
SEGMENT = {"segmentation.planner": "small", "segmentation.epochs": 2, "segmentation.iterations_per_epoch": 2}


@dataclass
class Harness:
    """Draws endings, and judges what each life leaves."""

    chance: np.random.Generator
    generations: Generations
    rows: list[dict[str, object]]  # of masks.json, which is written after each mask
    tally: Counter[str] = field(default_factory=Counter)
    finished: dict[str, int] = field(default_factory=dict)

    def draw(self, usual: Life) -> Ending:
        """An ending for a command that usually takes as long as `usual`."""
        kind = str(self.chance.choice(["kill", "term", "stop", "full", "full at"], p=[0.65, 0.1, 0.1, 0.1, 0.05]))
        clock_s = float(self.chance.uniform(-1e9, 1e9))
        if kind == "full":
            return Ending(kind, most_bytes=int(10 ** self.chance.uniform(0, 5.5)), clock_s=clock_s)
        if kind == "full at":
            return Ending(kind, operation=1 + int(self.chance.integers(0, usual.files + 1)), clock_s=clock_s)
        if usual.operations and self.chance.random() < 0.5:
            share = self.chance.random() ** 2  # what is done is not done again: a later life is shorter
            return Ending(kind, operation=1 + int(share * usual.operations), clock_s=clock_s)
        return Ending(kind, seconds=float(self.chance.uniform(0.005, usual.seconds)), clock_s=clock_s)

    def judge(self, study: Study, step: str, life: Life, ending: Ending, *, after_kills: bool = False) -> None:
        """Every file is whole, none of the finished ones was written again, and the last word was a tidy one.

        What a life before, that was killed, has left of a set of results stays there until one of them ends.
        """
        where = f"{study.root.name}, {step}, {ending}"
        assert "Traceback" not in life.said or _died_starting_a_worker(life), f"{where}: {life.said}"
        assert life.status != READ_A_STALE_FILE, f"{where}: read a file that a killed process had left half-written"
        assert life.status != WROTE_TO_DATASET, f"{where}: changed the dataset"
        if not life.killed and life.status:
            expected = {"stop": (130, "continue where it was"), **dict.fromkeys(FULL, (1, "autodls: error: "))}.get(
                ending.kind
            )
            assert expected is not None, f"{where}: status {life.status}: {life.said}"
            assert life.status == expected[0] and expected[1] in life.said, f"{where}: {life.status}: {life.said}"
        outcome = {"kill": "killed", "term": "ended by SIGTERM", "stop": "stopped"}.get(ending.kind, "disk full")
        self.tally[outcome if life.status else "ended before"] += 1
        self.tally[f"{step}: killed"] += life.killed
        self.judge_files(study, where, exchanged=ending.kind in STRIKES or after_kills)

    def judge_files(self, study: Study, where: str, *, exchanged: bool = False) -> None:
        """Every file is whole, as the uninterrupted run had it byte by byte, and every set of results is of one run."""
        self.generations.require_one_run(study, where, exchanged=exchanged)
        for name, path in study.files():
            if not is_inner(name):
                self._judge_file(where, name, path)

    def judge_end(self, study: Study) -> None:
        """All is what the uninterrupted run wrote, and nothing else lies there."""
        left = [
            name for name, path in study.files() if path.name.startswith((".tmp-", "resume-")) and not is_inner(name)
        ]
        assert not left, f"{study.root.name}: left behind: {left}"
        found, whole = study.hashes(), self.generations.last
        differing = sorted(name for name in found.keys() | whole.keys() if found.get(name) != whole.get(name))
        assert not differing, f"{study.root.name}: differ from the uninterrupted run: {differing}"

    def _judge_file(self, where: str, name: str, path: Path) -> None:
        if path.name.startswith(".tmp-"):
            self.tally["stale files met"] += 1
            return
        if path.name.endswith(KEPT_ROWS):
            require_rows(path)
        elif path.name.startswith((*TIMED, *GROWING)):
            require_whole(path)
        elif name == GROWING_BY_ROWS:
            odd = [row for row in _rows(path) if row not in self.rows]
            assert not odd, f"{where}: {name} has rows that the uninterrupted run has not: {odd}"
        else:
            known = self.generations.knows(name, sha256_of_file(path))
            assert known, f"{where}: {name} is no file of the uninterrupted run, or differs from it"
        if name.removeprefix("workspace/").removeprefix("ran/").startswith(FINISHED) and not path.name.startswith(
            TIMED
        ):
            inode = path.stat().st_ino
            assert self.finished.setdefault(name, inode) == inode, f"{where}: {name} was finished and written again"

    def skip(self, trial: str) -> None:
        """Say aloud what could not be tried."""
        self.tally[f"{trial}: SKIPPED"] += 1
        sys.stderr.write(f"SKIPPED: no file system can be mounted here, so there was no {trial}\n")

    def jump(self, study: Study) -> None:
        """Let the clock have been wrong by up to thirty years, either way."""
        for _, path in study.files():
            then = time.time() + self.chance.uniform(-1e9, 1e9)
            os.utime(path, (then, then))


def _rows(masks: Path) -> list[dict[str, object]]:
    return json.loads(masks.read_text())["cases"] if masks.exists() else []


def _died_starting_a_worker(life: Life) -> bool:
    """Whether the command was killed as it started a worker, of which Python then complains on its own account."""
    return life.killed and life.said.count("Traceback") == life.said.count("EOFError: Ran out of input")


def run_whole(study: Study, steps: dict[str, list[str]], generations: Generations) -> dict[str, Life]:
    """All commands without an interruption; what each of them leaves is noted."""
    lives = {}
    for step, words in steps.items():
        lives[step] = life = live(study, words, Ending())
        assert life.status == 0, f"{step}: status {life.status}: {life.said}"
        generations.add(study)
    return lives


def run_killed(study: Study, harness: Harness, usual: dict[str, Life], steps: dict[str, list[str]], most: int) -> None:
    """All commands, each with up to `most` lives that are cut short and one that is not."""
    harness.finished.clear()
    for step, words in steps.items():
        for _ in range(int(harness.chance.integers(0, most + 1))):  # by chance none: then it follows a killed step
            ending = harness.draw(usual[step])
            if ending.kind == "kill" and "--workers" in words and harness.chance.random() < WITH_WORKERS:
                ending = Ending("kill", seconds=float(harness.chance.uniform(0.005, SECONDS_TO_START)))
                harness.tally["with two workers"] += 1
                harness.judge(study, step, live(study, [*words[:-1], "2"], ending), ending, after_kills=True)
            else:
                harness.judge(study, step, live(study, words, ending), ending, after_kills=True)
            harness.jump(study)
        last = live(study, words, Ending())
        assert last.status == 0, f"{study.root.name}, {step}, after its killed lives: {last.said}"
    harness.judge_end(study)


def run_on_full_disks(study: Study, harness: Harness, steps: dict[str, list[str]], most: int) -> None:
    """All commands, each at first on disks that are full from one of its files on, up to `most` of these.

    Each finds what the step before has left, so that every disk is full between two files that it writes anew.
    """
    before = study.root.with_name(f"{study.root.name}-before")
    for step, words in steps.items():
        shutil.rmtree(before, ignore_errors=True)
        if study.root.exists():
            shutil.copytree(study.root, before)
        harness.finished.clear()
        whole = live(study, words, Ending())
        assert whole.status == 0, f"{study.root.name}, {step}: {whole.said}"
        every = 1 + np.arange(whole.files)
        drawn = every if len(every) <= most else harness.chance.choice(every, most, replace=False)
        for number in [*map(int, sorted(drawn)), None]:
            shutil.rmtree(study.root)
            if before.exists():
                shutil.copytree(before, study.root)
            harness.finished.clear()
            ending = Ending() if number is None else Ending("full at", operation=number)
            life = live(study, words, ending)
            harness.judge(study, step, life, ending)
            harness.tally[f"{step}: full disks"] += bool(life.status)
    shutil.rmtree(before, ignore_errors=True)
    harness.judge_end(study)


def run_on_small_disk(study: Study, harness: Harness, steps: dict[str, list[str]], size: int) -> None:
    """All commands on a file system of `size` bytes: the one that finds it full says so; with room, all goes on."""
    harness.finished.clear()
    with small_disk(study.root, size) as mounted:
        if not mounted:
            harness.skip("small disk")
            return
        for step, words in steps.items():
            life = live(study, words, Ending())
            if life.status:
                where = f"{study.root.name} of {size} bytes, {step}"
                assert "Traceback" not in life.said, f"{where}: {life.said}"
                assert life.status == 1 and "space left" in life.said, f"{where}: {life.status}: {life.said}"
                harness.judge_files(study, where)
                harness.tally["small disk: full"] += 1
                grow_disk(study.root, ROOM)
                life = live(study, words, Ending())
            assert life.status == 0, f"{study.root.name}, {step}: {life.said}"
        harness.judge_end(study)


def run_read_only(study: Study, harness: Harness, steps: dict[str, list[str]]) -> None:
    """A dataset that may only be read: the workspace of default is refused by a line that names -w, another will do."""
    with read_only(study.dataset) as mounted:
        if not mounted:
            harness.skip("read-only dataset")
            return
        by_default = [word for word in steps["plan"] if word not in ("-w", str(study.workspace))]
        unguarded = replace(study, dataset=Path(os.devnull))  # the attempt to write is what is tried
        refused = live(unguarded, by_default, Ending())
        assert refused.status == 2 and "with -w" in refused.said, f"{refused.status}: {refused.said}"
        planned = live(study, steps["plan"], Ending())
        assert planned.status == 0, planned.said
        harness.tally["read-only dataset"] += 1


def run_rivals(study: Study, steps: dict[str, list[str]]) -> None:
    """Two processes on one workspace at once: one writes, the other is refused with one line."""
    for step in ("check", "plan"):
        live(study, steps[step], Ending())
    first = os.fork()
    if first == 0:
        be_born(study, steps["train"], Ending(), os.open(os.devnull, os.O_WRONLY))
    while not list(study.workspace.glob("preprocessed/*")):
        time.sleep(0.01)
    second = live(study, steps["train"], Ending())
    assert second.status == 1 and "another autodls process is writing" in second.said, second.said
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 0


def prepare(root: Path) -> Study:
    """A phantom cohort, a preset that trains in seconds, and tiny networks, in this process and all that it forks."""
    dataset = write_phantom(root / "dataset", cases=10, external_cases=2)
    for part, pattern in (("imagesTr", "PH000[12]_*"), ("labelsTr", "PH000[12].*")):
        (root / "few" / part).mkdir(parents=True)
        for path in (dataset / part).glob(pattern):
            shutil.copyfile(path, root / "few" / part / path.name)
    for path in (dataset / "labelsTr").glob("*.nii.gz"):  # one sequence and its ROIs, under names of a person's own
        case = path.name.removesuffix(".nii.gz")
        (root / "scans" / case).mkdir(parents=True)
        shutil.copyfile(path, root / "scans" / case / "mask.nii.gz")
        image = max((dataset / "imagesTr").glob(f"{case}_*"))
        shutil.copyfile(image, root / "scans" / case / "T1_gd.nii.gz")
    write_pair(root, 0)
    preset = root / "preset.json"
    preset.write_text(json.dumps({**PRESET, "given": {**PRESET["given"], **SCHEDULE, **SEGMENT}}))
    return Study(dataset, preset, root / "whole")


class _Patch:
    """The one method of pytest's monkeypatch that is needed, without pytest."""

    @staticmethod
    def setitem(mapping: dict[str, object], key: str, value: object) -> None:
        mapping[key] = value


def steps_of(study: Study, asked: argparse.Namespace) -> dict[str, list[str]]:
    """The commands that are asked for."""
    steps = study.steps(not asked.quick, asked.workers)
    return {name: words for name, words in steps.items() if not (asked.once and name.endswith(" others"))}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="without the nnU-Net stage")
    parser.add_argument("--once", action="store_true", help="predict and explain no other cases a second time")
    parser.add_argument("--full-disks", type=int, default=10, help="of each command, at most")
    parser.add_argument("--small-disks", type=int, default=5, help="studies on file systems too small, at most 5")
    return parser.parse_args()


def run_all(study: Study, harness: Harness, usual: dict[str, Life], asked: argparse.Namespace) -> int:
    """Every trial, each on a study of its own; how many rounds of killed lives there were."""

    def another(name: str) -> tuple[Study, dict[str, list[str]]]:
        made = Study(study.dataset, study.preset, study.root.with_name(name))
        return made, steps_of(made, asked)

    rounds = 0
    while harness.tally["killed"] < asked.kills:
        rounds += 1
        again, steps = another(f"round-{rounds}")
        run_killed(again, harness, usual, steps, most=6)
    if asked.full_disks:
        again, steps = another("full-disks")
        run_on_full_disks(again, harness, steps, asked.full_disks)
    size = sum(path.stat().st_size for _, path in study.files())
    for index, share in enumerate((0.3, 0.6, 0.02, 0.8, 0.2)[: asked.small_disks]):
        again, steps = another(f"small-disk-{index}")
        run_on_small_disk(again, harness, steps, int(share * size))
    run_rivals(*another("rivals"))
    again, steps = another("read-only")
    run_read_only(again, harness, steps)
    return rounds


def run() -> None:
    """Rounds of a whole study until enough processes were killed; one JSON object at the end."""
    asked, began = parse(), time.monotonic()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it
    use_tiny_resnet(_Patch)
    for name in IMPORTED_LATE:
        importlib.import_module(name)
    loop._SECONDS_BETWEEN_SAVES = 0.0
    with tempfile.TemporaryDirectory() as folder:
        study = prepare(Path(folder).resolve())
        generations = Generations()
        usual = run_whole(study, steps_of(study, asked), generations)
        drawn = _rows(study.root / GROWING_BY_ROWS)
        harness = Harness(np.random.default_rng(asked.seed), generations, drawn)
        rounds = run_all(study, harness, usual, asked)
    seconds = {step: round(life.seconds, 2) for step, life in usual.items()}
    result = {"rounds": rounds, **harness.tally, "seconds": round(time.monotonic() - began), "a step takes": seconds}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run()
