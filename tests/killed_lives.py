"""One command in a process of its own that is killed, stopped, or finds the disk full, at a chosen moment."""

import contextlib
import errno
import itertools
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from autodls.cli.app import main
from autodls.records.files import sha256_of_file
from autodls.records.results_folder import UNFINISHED
from autodls.tracking.event_files import EVENTS

READ_A_STALE_FILE, WROTE_TO_DATASET = 99, 98
STRIKES = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGINT}
SECONDS_ALLOWED, SECONDS_FOR_WORKERS = 600, 90
SEGMENTED = ("segment", "train auto", "benchmark rois")
CHANGES = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.utime")
TIMED = ("log.jsonl", "nnunet.log", "resume-", ".lock", EVENTS)  # hold seconds, or come and go
INNER = "workspace/segmentation/"
TOLD = (f"{INNER}masks.json", f"{INNER}segmenter/fold_", f"{INNER}segmenter/segmenter.json")


def is_inner(name: str) -> bool:
    """Whether a file belongs to nnU-Net's own working folders, which hold paths and are written as it pleases."""
    return name.startswith(INNER) and not name.startswith(TOLD)


@dataclass(frozen=True)
class Study:
    """Folders of one run of all commands; the dataset is shared by all runs."""

    dataset: Path
    preset: Path
    root: Path

    @property
    def workspace(self) -> Path:
        """Where its results go."""
        return self.root / "workspace"

    @property
    def few(self) -> Path:
        """Some of the cases, whose results come into the place of those of all."""
        return self.dataset.with_name("few")

    @property
    def key(self) -> Path:
        """A private key to sign with."""
        return self.dataset.with_name("private.pem")

    @staticmethod
    def _inputs(folder: Path) -> list[str]:
        return ["-i", str(folder / "imagesTr"), "--rois", str(folder / "labelsTr")]

    def steps(self, segment: bool, workers: int) -> dict[str, list[str]]:
        """The commands, in the order of a study."""
        place = ["-d", str(self.dataset), "-w", str(self.workspace)]
        readers = ["--workers", str(workers)]
        all_cases, few = self._inputs(self.dataset), self._inputs(self.few)
        predicted, of_manual = ["-o", str(self.root / "predicted"), "--overwrite"], [*place, "--rois", "manual"]
        table = ["--scores", str(self.workspace / "oof_scores.csv"), "--score", "dls", "--label", "label"]
        judged = ["--out-of-fold", "all", "-o", str(self.root / "judged"), "--overwrite"]
        table_of_all = ["--table", str(self.dataset / "clinical.csv"), "--outcome", "cps", "--positive", ">= 20"]
        steps = {
            "init": ["init", str(self.dataset.with_name("scans")), *table_of_all, "--yes",
                     "-o", str(self.root / "made"), "--overwrite", *readers],
            "check": ["check", "-d", str(self.dataset), *readers],
            "plan": ["plan", *place, "--preset", str(self.preset), *readers],
            "preprocess": ["preprocess", *place, *readers],
            "segment": ["segment", "fold", "all", *place],
            "train": ["train", "fold", "all", *place, *readers],
            "train auto": ["train", "fold", "all", "--rois", "auto", *place, *readers],
            "sign": ["sign", str(self.workspace / "model"), "--key", str(self.key)],
            "track": ["track", *place, "--tensorboard", str(self.root / "curves")],
            "predict": ["predict", *place, *all_cases, *predicted, *readers],
            "predict others": ["predict", *place, *few, "--heatmaps", *predicted, *readers],
            "evaluate": ["evaluate", *of_manual, *readers],
            "evaluate table": ["evaluate", *table, *judged],
            "benchmark rois": ["benchmark", "rois", *place, "--robustness-cases", "1", *readers],
            "benchmark images": ["benchmark", "images", *place, "--most-cases", "1", *readers],
            "explain": ["explain", *of_manual, "--cases", "PH0001", *readers],
            "explain others": ["explain", *of_manual, "--cases", "PH0002,EX0001", *readers],
            "report": ["report", *of_manual, "--docx"],
            "report elsewhere": ["report", *of_manual, "-o", str(self.root / "page.html"), "--overwrite"],
            "run": ["run", *place[:2], "-w", str(self.root / "ran"), "--preset", str(self.preset), *readers],
        }  # fmt: skip
        return steps if segment else {name: words for name, words in steps.items() if name not in SEGMENTED}

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every file by its name in the study, of a set of results that is not finished by its name to be."""
        for path in sorted(self.root.rglob("*")):
            if path.is_file():
                yield path.relative_to(self.root).as_posix().replace(f"{UNFINISHED}/", ""), path

    def hashes(self) -> dict[str, str]:
        """SHA-256 of what must be the same in every run."""
        return {
            name: sha256_of_file(path)
            for name, path in self.files()
            if not path.name.startswith((*TIMED, ".tmp-")) and not is_inner(name)
        }


@dataclass(frozen=True)
class Ending:
    """How a life ends: `kind` at file operation `operation` of the study's folder, or after `seconds`.

    A disk that is "full at" `operation` has no room for that many files.

    All the while, its clock goes to and fro by `clock_s`.
    """

    kind: str = "none"
    operation: int = 0
    seconds: float = 0.0
    most_bytes: int = 0
    clock_s: float = 0.0


@dataclass
class Life:
    """What became of one process."""

    status: int
    said: str
    operations: int
    files: int
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it, or SIGTERM, which nobody catches either."""
        return self.status in (-signal.SIGKILL, -signal.SIGTERM)


def live(study: Study, words: list[str], ending: Ending) -> Life:
    """Run a command in a process of its own until it ends, or is ended."""
    study.root.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        be_born(study, words, ending, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        return _watch_over(child, said, ending)


def _watch_over(child: int, said: BinaryIO, ending: Ending) -> Life:
    """Read what the child says until it ends, and strike when its time has come."""
    os.set_blocking(said.fileno(), False)
    began, heard, struck = time.monotonic(), b"", False
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        heard += said.read() or b""
        age = time.monotonic() - began
        if age > SECONDS_ALLOWED:
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"a command hung for more than {SECONDS_ALLOWED} s: {heard.decode()}")
        if ending.seconds and age > ending.seconds and not struck:
            os.kill(child, STRIKES[ending.kind])
            struck = True
        time.sleep(0.002)
    heard += _last_words(said)
    counts = re.findall(rb"\n(\d+) operations, (\d+) files", heard)
    operations, files = map(int, counts[-1]) if counts else (0, 0)
    status = os.waitstatus_to_exitcode(ended[1])
    return Life(status, heard.decode(), operations, files, time.monotonic() - began)


def _last_words(said: BinaryIO) -> bytes:
    """What is left to hear; workers hold the same pipe, so it ends when the last of them has."""
    heard, deadline = b"", time.monotonic() + SECONDS_FOR_WORKERS
    while (piece := said.read()) != b"":
        heard += piece or b""
        if time.monotonic() > deadline:
            raise AssertionError(f"workers outlived their command by {SECONDS_FOR_WORKERS} s: {heard.decode()}")
        time.sleep(0.002)
    return heard


def be_born(study: Study, words: list[str], ending: Ending, writer: int) -> None:
    """The child: never returns."""
    for stream in (1, 2):
        os.dup2(writer, stream)
    operations = _watch(study, ending)
    _let_the_clock_jump(ending.clock_s)
    if ending.kind == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (ending.most_bytes, resource.RLIM_INFINITY))
    files = itertools.count()
    os.fsync = no_room_from(ending.operation if ending.kind == "full at" else None, files)
    sys.argv = ["autodls", *words]
    status = 1
    try:
        main()
    except SystemExit as leave:
        status = int(leave.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, f"\n{operations[0]} operations, {next(files)} files".encode())
        os._exit(status)


def _let_the_clock_jump(seconds: float) -> None:
    """Every third time that somebody asks `time.time()`, it jumps by `seconds`, or back."""
    seconds_now, ns_now, asked = time.time, time.time_ns, itertools.count()

    def ahead() -> float:
        return seconds * (next(asked) // 3 % 2)

    time.time = lambda: seconds_now() + ahead()
    time.time_ns = lambda: ns_now() + int(ahead() * 1e9)


def no_room_from(number: int | None, asked: Iterator[int]) -> Callable[[int], None]:
    """An `os.fsync`, which every file of ours goes through, that finds the disk full from the `number`-th file on.

    `asked` counts the files from 0.
    """
    flush = os.fsync

    def fsync(handle: int) -> None:
        asked_before = next(asked)
        if number is not None and asked_before >= number - 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    return fsync


@contextlib.contextmanager
def files_end_at(most_bytes: int) -> Iterator[None]:
    """No file of this process can grow beyond `most_bytes`: what a full disk is like for the one who writes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def _watch(study: Study, ending: Ending) -> list[int]:
    """Count file operations in the study's folder, strike at the chosen one, and forbid two things.

    No file that a killed process left half-written may be opened, and nothing may be changed in the dataset.
    """
    prefix, dataset = str(study.root), str(study.dataset)
    stale = {str(path) for path in study.root.rglob(".tmp-*")}
    count = [0]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event != "open" and event not in CHANGES:
            return
        path = str(arguments[0])
        if path.startswith(dataset) and (event in CHANGES or int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)):
            os._exit(WROTE_TO_DATASET)
        if not path.startswith(prefix):
            return
        if event == "open" and path in stale:
            os._exit(READ_A_STALE_FILE)
        count[0] += 1
        if count[0] == ending.operation and ending.kind in STRIKES:
            os.kill(os.getpid(), STRIKES[ending.kind])

    sys.addaudithook(hook)
    return count


def die(_task: object) -> None:
    """Work that no process survives; imported here, it costs a worker no torch."""
    os.kill(os.getpid(), signal.SIGKILL)
