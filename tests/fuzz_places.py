"""Places: a random command aimed at a random place that already holds something, with and without --overwrite.

Nothing that AutoDLS did not write may change, whatever becomes of the command; what is refused leaves nothing behind.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from command_line import SEQUENCES, write_phantom, write_preset
from fuzz_dicom import make_folder
from fuzz_mutations import choose
from fuzz_run import FaultError, bounded, run_command
from fuzz_scores import write_scores
from tiny_keys import write_pair
from tiny_model_folder import write_model_folder
from tiny_models import tiny_model, tiny_plan
from tiny_workspace import tiny_workspace

from autodls.errors import ArgumentError
from autodls.phantom import cohort as phantom_cohort
from autodls.records.results_folder import UNFINISHED
from autodls.stages import run as run_stage
from autodls.stages import segment as segment_stage

OVERWRITE = ("predict", "evaluate table", "report")
OWN = (  # what AutoDLS wrote
    "study", "planned", "dataset/autodls", "predicted", "judged", "page.html", "listed-confidential", "imported",
    "imported-confidential",
)  # fmt: skip
FOLDERS = ("person", "predicted", "judged", "new", "dataset", "imported")  # no workspace may come into being there
OTHERS = ("other/study",)  # AutoDLS wrote it as well, from another dataset: only --restart may throw it away
BELOW = ("new", "new/er", "rois", "-o", "a\nb", "\x1b[2J", "\u202egnp", "con", "é" * 130)
PAGES = ("new.html", "report.html", "index.HTM", "-.html", "x" * 300 + ".html")
READ = (  # where nothing new may come either
    "dataset/imagesTr", "dataset/labelsTr", "model", "other/dataset/imagesTr", "other/dataset/labelsTr",
    "archive",
)  # fmt: skip
SIGNED = "model/signature.json"  # what `sign` writes beside a model


def make_world(root):
    """A study, its model, its results, another study, and a person's own files beside and among them."""
    dataset = write_phantom(root / "dataset", cases=8, external_cases=2, prevalence=0.5, seed=4)
    plan = tiny_plan(SEQUENCES, input_size_px=32, slice_size_px=40, crop_mm=60.0, registration="geometry")
    tiny_workspace(dataset, root / "study", plan)
    other = write_phantom(root / "other" / "dataset", cases=8, external_cases=0, prevalence=0.5, seed=5)
    tiny_workspace(other, root / "other" / "study", plan)
    write_model_folder(root / "model", tiny_model(plan))
    (root / "person").mkdir()
    write_preset(root / "person" / "preset.json")
    write_scores(root / "person" / "scores.csv")
    write_pair(root / "keys", 0)
    for part, pattern in (("images", "imagesTr/PH0001_*"), ("rois", "labelsTr/PH0001.*")):
        (root / "new" / part).mkdir(parents=True)
        for path in dataset.glob(pattern):
            shutil.copyfile(path, root / "new" / part / path.name)
    for name in ("person/rois/PH0001.nii.gz", "person/page.html", "person/metrics.json", "person/heatmaps/a.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("drawn by hand")
    make_folder(root / "archive", "plain")
    for words in (
        *(("import", root / "archive", "-o", root / name) for name in ("listed", "imported", "imported")),
        ("plan", "-d", dataset, "-w", root / "planned", "--preset", root / "person" / "preset.json", "--workers", 1),
        ("plan", "-d", dataset, "--preset", root / "person" / "preset.json", "--workers", 1),
        ("evaluate", "-d", dataset, "-w", root / "study", "--workers", 1),
        ("predict", *_inputs(root), "-o", root / "predicted"),
        ("evaluate", *_table(root), "-o", root / "judged"),
        ("report", "-d", dataset, "-w", root / "study", "-o", root / "page.html"),
    ):
        answer = run_command(*words)
        assert answer.status == 0, answer.err
    for name in ("study/results/my notes.txt", "planned/notes.txt", "study/folds/0/mine.csv"):
        (root / name).write_text("mine")
    return root


def _inputs(root):
    return ("-i", root / "new/images", "--rois", root / "new/rois", "-m", root / "model", "--workers", 1)


def _table(root):
    return ("--scores", root / "person/scores.csv", "--label", "label", "--score", "dls", "--cohort", "cohort")


def commands(root, target):
    """Every command that takes a place to write to, aimed at `target`; those that only read must write nothing."""
    study, one, archive = ("-d", root / "dataset"), ("--workers", 1), root / "archive"
    return {
        "predict": ("predict", *_inputs(root), "-o", target),
        "evaluate table": ("evaluate", *_table(root), "-o", target),
        "report": ("report", *study, "-w", root / "study", "-o", target),
        "report -w": ("report", *study, "-w", target),
        "evaluate -w": ("evaluate", *study, "-w", target, *one),
        "explain": ("explain", *study, "-w", target, "--cases", "PH0001", *one),
        "plan": ("plan", *study, "-w", target, "--preset", root / "person/preset.json", *one),
        "plan --restart": ("plan", *study, "-w", target, "--preset", "auto", "--encoder-weights", "random",
                           "--restart", *one),
        "plan --preset": ("plan", *study, "-w", root / "fresh", "--preset", target, *one),
        "plan -d": ("plan", "-d", target, "--preset", root / "person/preset.json", *one),
        "preprocess": ("preprocess", *study, "-w", target, *one),
        "train": ("train", "fold", "0", *study, "-w", target, *one),
        "train --restart": ("train", "fold", "all", "--restart", *study, "-w", target, *one),
        "segment": ("segment", "fold", "0", *study, "-w", target, "--workers", 1),
        "benchmark rois": ("benchmark", "rois", *study, "-w", target, *one),
        "benchmark images": ("benchmark", "images", *study, "-w", target, "--most-cases", 1, *one),
        "demo": ("demo", target, "--cases", 4),
        "run": ("run", *study, "-w", target, *one),
        "init": ("init", root / "dataset/imagesTr", "--table", root / "dataset/clinical.csv", "--outcome", "cps",
                 "--positive", ">= 20", "-o", target, "--yes", *one),
        "import": ("import", archive, "-o", target, *one),
        "import -i": ("import", target, "-o", root / "fresh", *one),
        "import listed": ("import", archive, "-o", target, "--confidential", root / "listed-confidential", *one),
        "import again": ("import", archive, "-o", target, "--confidential", root / "imported-confidential", *one),
        "import --confidential": ("import", archive, "-o", root / "imported", "--confidential", target, *one),
        "import --restart": ("import", archive, "-o", root / "imported", "--confidential", target, "--restart", *one),
        "check": ("check", "-d", target, *one),
        "verify": ("verify", target, *one),
        "verify --key": ("verify", root / "model", "--key", target, *one),
        "sign": ("sign", target, "--key", root / "keys" / "private.pem"),
        "sign --key": ("sign", root / "model", "--key", target),
        "track": ("track", *study, "-w", root / "study", "--tensorboard", target),
        "track -w": ("track", *study, "-w", target, "--tensorboard", root / "curves"),
        "--log": ("verify", root / "model", *one, "--log", target),
    }  # fmt: skip


@dataclass(frozen=True)
class PlaceTrial:
    """A command and a place, drawn from a seed."""

    seed: int

    def __str__(self) -> str:
        return f"places/{self.seed}"


def run_place(world, trial, work):
    """Run it in a copy of `world`; "refused", "same" (done, without touching what was there) or "changed" (its own)."""
    chance = np.random.default_rng((trial.seed, 71))
    root = work / "world"
    shutil.copytree(world, root, symlinks=True)
    _link(root, chance)
    target, held = _target(root, chance)
    name = choose(chance, tuple(commands(root, "")))
    words = commands(root, target)[name]
    if name in OVERWRITE and chance.random() < 0.6:
        words = (*words, "--overwrite")
    said = " ".join(map(str, words)).replace(str(root), ".")
    before = _state(root)
    with bounded(), _quick(), _in_use(held) if held else contextlib.nullcontext():
        answer = run_command(*words)
    after = _state(root)
    try:
        return _judge(answer, before, after, (*OWN, *OTHERS) if "--restart" in words else OWN)
    except FaultError as fault:
        raise FaultError(f"{said!r}{' (in use)' if held else ''}: {fault}") from None


def _link(root, chance):
    """Links to places, as a person keeps on a small disk."""
    (root / "links").mkdir()
    for number, path in enumerate(_any_of(root, chance, 3)):
        (root / "links" / f"l{number}{path.suffix}").symlink_to(path)
    (root / "links" / "nowhere").symlink_to(root / "not there")
    (root / "links" / "round").symlink_to("round")


def _any_of(root, chance, count):
    every = sorted(path for path in root.rglob("*") if "links" not in path.parts[len(root.parts) :])
    folders = [path for path in every if path.is_dir()]
    return [choose(chance, folders if chance.random() < 0.6 else every) for _ in range(count)]


def _target(root, chance):
    """A place as a person may write it, and the folder that another process holds meanwhile, if any."""
    kind = choose(chance, ("there", "there", "below", "link", "page", "above", "slash", "dots", "case", "held"))
    if kind == "link":
        return choose(chance, sorted((root / "links").iterdir())), None
    (path,) = _any_of(root, chance, 1)
    if kind == "held":
        held = root / choose(chance, ("study", "planned", "predicted", "dataset/autodls"))
        return held, held
    return {
        "below": path
        / choose(chance, ("new", "new/er", "rois", "-o", "a\nb", "\x1b[2J", "\u202egnp", "con", "é" * 130)),
        "page": path / choose(chance, ("new.html", "report.html", "index.HTM", "-.html", "x" * 300 + ".html")),
        "above": path.parent,
        "slash": f"{path}/",
        "dots": path / ".." / path.name,
        "case": path.with_name(path.name.swapcase()),
    }.get(kind, path), None


@contextlib.contextmanager
def _in_use(folder):
    """As another process of AutoDLS would hold it."""
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _quick():
    """The demo and nnU-Net end when they have claimed their place: the rest takes minutes."""

    def stop(*_given, **_named):
        raise ArgumentError("far enough; nothing to repair")

    with (
        mock.patch.object(phantom_cohort, "map_parallel", lambda *_: None),
        mock.patch.object(run_stage, "check", stop),
        mock.patch.object(segment_stage, "prepare_cohort", stop),
    ):
        yield


def _state(root):
    """What lies below `root`: of each place what it is, and a hash of what it holds."""
    found = {}
    for at, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(at) / name
            key = path.relative_to(root).as_posix()
            if path.is_symlink():
                found[key] = f"link to {path.readlink()}"
            elif path.is_dir():
                found[key] = "folder"
            else:
                found[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _judge(answer, before, after, own):
    """The outcome of a trial by what it said, and by what lay there before and after."""
    changed = [key for key in before if after.get(key) != before[key]]
    new = [key for key in after if key not in before]
    faults = {
        "changed what AutoDLS did not write": [key for key in changed if not _is_own(key, own)],
        "left half-written": [key for key in new if ".tmp-" in key or UNFINISHED in key.split("/")],
        "wrote among what is only read": [key for key in [*new, *changed] if _lies_in(key, READ) and key != SIGNED],
        "took a folder for a workspace": [
            key for key in new if Path(key).name == ".lock" and str(Path(key).parent) in FOLDERS
        ],
    }
    for fault, keys in faults.items():
        if keys:
            raise FaultError(f"status {answer.status}, {fault}: {keys[:5]}: {answer.err[-200:]}")
    if answer.status and not (answer.status == 2 and answer.out):  # check and verify list what they find
        return _refused(answer, [*new, *changed])
    return "changed" if changed else "same"


def _refused(answer, touched):
    """A refusal is one line, and leaves nothing: of a command that writes a workspace, its lock."""
    errors = [line for line in answer.err.splitlines() if line.startswith("autodls: error: ")]
    if len(errors) != 1 or "; " not in errors[0]:
        raise FaultError(f"status {answer.status}, not one line that says how to repair: {answer.err[-300:]!r}")
    if "far enough" in errors[0]:
        return "same"
    locks = [key for key in touched if Path(key).name.startswith(".lock")]
    allowed = {*locks, *(str(Path(key).parent) for key in locks)} if answer.status == 2 else set()
    if found := [key for key in touched if key not in allowed]:
        raise FaultError(f"refused, yet touched {found[:5]}: {errors[0][:200]}")
    return "refused"


def _is_own(key, own):
    """Whether a file is AutoDLS's, in a place of its own; a person's files lie among them."""
    return _lies_in(key, own) and "mine" not in key and "notes" not in key


def _lies_in(key, places):
    return any(key == place or key.startswith(f"{place}/") for place in places)
