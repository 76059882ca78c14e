"""Trials: one broken input through the command line, and what came of it.

A trial ends in an outcome: `refused` (exit status 2, one line or a listed problem that names the file or the case; 1
from predict where the case is listed), `same` (the numbers of the unbroken input), `told` (other numbers, with a
warning that the unbroken input does not have), `changed` (other numbers without a word). Else a FaultError.
"""

import contextlib
import functools
import json
import os
import re
import resource
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import typer.main
from command_line import SEQUENCES, autodls, edit_json, write_phantom, write_preset
from fuzz_images import IMAGE_MUTATIONS, IMAGES_ONLY, ROI_MUTATIONS
from fuzz_mutations import Mutation
from fuzz_scores import SCORE_MUTATIONS, write_scores
from fuzz_tables import CSV_MUTATIONS, JSON_MUTATIONS, NAME_MUTATIONS
from fuzz_text_headers import META_MUTATIONS, NRRD_MUTATIONS
from tiny_model_folder import write_model_folder
from tiny_models import tiny_model, tiny_plan

from autodls.imaging.volumes import read_labels, read_volume, write_volume

MEMORY_BYTES = 1 << 30  # that a trial may take beyond what the process holds already
SECONDS, WAITING = 20, 10  # of the processor; times as long by the clock, on a busy machine
KINDS = {
    "image": (*IMAGE_MUTATIONS, *IMAGES_ONLY),
    "roi": ROI_MUTATIONS,
    "nrrd": NRRD_MUTATIONS,
    "mha": META_MUTATIONS,
    "dataset.json": JSON_MUTATIONS,
    "clinical.csv": CSV_MUTATIONS,
    "name": NAME_MUTATIONS,
    "predict image": IMAGE_MUTATIONS,
    "predict roi": ROI_MUTATIONS,
    "predict name": NAME_MUTATIONS,
    "scores": SCORE_MUTATIONS,
}


_command = functools.cache(typer.main.get_command)


class FaultError(Exception):
    """A trial that ended as none may."""


class Overrun(BaseException):
    """A trial that took too long; no Exception, so that nothing of the program catches it."""


@dataclass(frozen=True)
class Trial:
    """One broken input: a mutation of a kind of file, and the seed of its chance."""

    kind: str
    mutation: Mutation
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.mutation.name}/{self.seed}"


@dataclass(frozen=True)
class Inputs:
    """The unbroken inputs, and the numbers that they give."""

    root: Path
    known: dict = field(default_factory=dict)


def trials(count, seed):
    """`count` trials: every mutation in turn, as often as they go, each with its own seed."""
    every = [(kind, mutation) for kind, mutations in KINDS.items() for mutation in mutations]
    order = np.random.default_rng(seed).permutation(len(every))
    return [Trial(*every[order[number % len(every)]], seed + number) for number in range(count)]


def make_inputs(root, **given):
    """Write the unbroken inputs: a phantom study in three file formats, a model, a table of scores.

    `given` goes into the preset, as `preprocessing__registration="geometry"`.
    """
    study = write_phantom(root / "nii", cases=8, external_cases=1, prevalence=0.5, seed=4)
    preset = json.loads(write_preset(root / "preset.json").read_text())
    preset["given"] |= {name.replace("__", "."): value for name, value in given.items()}
    (root / "preset.json").write_text(json.dumps(preset))
    for ending in ("nrrd", "mha"):
        _converted(study, root / ending, f".{ending}")
    for part, pattern in (("images", "imagesTr/PH000[12]_*"), ("rois", "labelsTr/PH000[12].*")):
        (root / "new" / part).mkdir(parents=True)
        for path in study.glob(pattern):
            shutil.copyfile(path, root / "new" / part / path.name)
    plan = tiny_plan(SEQUENCES, input_size_px=32, slice_size_px=40, crop_mm=60.0, registration="geometry")
    write_model_folder(root / "model", tiny_model(plan))
    write_scores(root / "scores.csv")
    inputs = Inputs(root)
    for kind in ("image", "nrrd", "mha", "predict image", "scores"):
        inputs.known[_base(kind)] = _RUNS[_base(kind)](inputs, root / _base(kind), "")
        assert inputs.known[_base(kind)].numbers and not inputs.known[_base(kind)].refusals
    return inputs


def _converted(study, target, ending):
    shutil.copytree(study, target, ignore=shutil.ignore_patterns("*.nii.gz"))
    for path in sorted(study.glob("*Tr/*")):
        image = read_labels(path) if path.parent.name == "labelsTr" else read_volume(path)
        write_volume(target / path.parent.name / path.name.replace(".nii.gz", ending), image)
    edit_json(target / "dataset.json", file_ending=ending)


def _base(kind):
    if kind.startswith("predict"):
        return "new"
    return {"nrrd": "nrrd", "mha": "mha", "scores": "scores.csv"}.get(kind, "nii")


def run_trial(inputs, trial, work):
    """Break a copy of the inputs in folder `work`, run it, and return the outcome; raises FaultError."""
    base = _base(trial.kind)
    source, target = inputs.root / base, work / base
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)
    else:
        shutil.copyfile(source, target)
    chance = np.random.default_rng(trial.seed)
    path = _victim(trial.kind, target, chance)
    trial.mutation.apply(path, chance)
    by_case = trial.kind not in ("dataset.json", "clinical.csv", "scores", "predict name")
    with bounded():
        found = _RUNS[base](inputs, target, path.name[:6] if by_case else r"\.json|\.csv|case|column|dataset|/images")
    outcome = _outcome(found, inputs.known[base])
    if outcome not in trial.mutation.allowed:
        raise FaultError(f"{outcome}, allowed {sorted(trial.mutation.allowed)}: {found}")
    return outcome


def _victim(kind, target, chance):
    """The file that is broken: of one of the first cases, so that refusal comes soon."""
    if target.is_file():
        return target
    if kind in ("dataset.json", "clinical.csv"):
        return target / kind
    if kind.startswith("predict"):
        return _one_of((target / ("rois" if kind.endswith("roi") else "images")).glob("PH0001*"), chance)
    return _one_of((target / ("labelsTr" if kind == "roi" else "imagesTr")).glob("PH000[12]*"), chance)


def _one_of(paths, chance):
    paths = sorted(paths)
    return paths[int(chance.integers(len(paths)))]


@contextlib.contextmanager
def bounded():
    """Take the run down when it claims more memory, or takes longer, than it may."""

    def overrun(*_):
        raise Overrun(f"more than {SECONDS} s")

    Path("/proc/self/clear_refs").write_text("5")  # the peak of the memory in use is counted from here
    before_bytes, claimed_bytes = memory_bytes("VmRSS"), memory_bytes("VmSize")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (claimed_bytes + 8 * MEMORY_BYTES, hard))  # before the machine suffers
    before = {sign: signal.signal(sign, overrun) for sign in (signal.SIGALRM, signal.SIGPROF)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(WAITING * SECONDS)
    try:
        yield
    except Overrun as failure:
        raise FaultError(str(failure)) from None
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for sign, action in before.items():
            signal.signal(sign, action)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    if (used := memory_bytes("VmHWM") - before_bytes) > MEMORY_BYTES:
        raise FaultError(f"took {used >> 20} MiB of memory")


def memory_bytes(name):
    """A line of /proc/self/status: memory in use, its peak, or what is claimed."""
    return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def run_command(*words):
    """Run a command; a traceback, printed or raised, is a FaultError."""
    try:
        with mock.patch.object(typer.main, "get_command", _command):  # made anew, it takes longer than what it runs
            answer = autodls(*words)
    except Exception as failure:
        raise FaultError(f"{words[0]} raised {type(failure).__name__}: {str(failure)[:300]}") from failure
    if "Traceback" in answer.out + answer.err or answer.status not in (0, 1, 2):
        raise FaultError(f"{words[0]} left with {answer.status}: {answer.err[-500:]}")
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", answer.err.replace("\r", "")) and "autodls: error" in answer.err:
        raise FaultError(f"{words[0]} lets control signs through: {answer.err[-300:]!r}")
    return answer


def _complaint(answer, names):
    """The one line of a refusal; a FaultError where it is not one line, names nothing, or is of another exit status."""
    errors = [line for line in answer.err.splitlines() if line.startswith("autodls: error: ")]
    if answer.status != 2 or len(errors) != 1:
        raise FaultError(f"left with {answer.status}: {answer.err[-500:]}")
    if not re.search(names, errors[0], re.IGNORECASE) or "; " not in errors[0]:
        raise FaultError(f"names no file or no repair: {errors[0]}")
    return errors[0]


@dataclass(frozen=True)
class Found:
    """What a run left: its refusals, its warnings, its numbers (None where it was refused)."""

    refusals: tuple = ()
    warnings: frozenset = frozenset()
    numbers: object = None


def _outcome(found, known):
    if found.refusals:
        return "refused"
    if found.numbers == known.numbers:
        return "told" if found.warnings - known.warnings else "same"
    return "told" if found.warnings - known.warnings else "changed"


def _study(inputs, folder, names):
    """Check, plan and preprocess."""
    refusals, warnings = [], set()
    checked = run_command("check", "-d", folder, "--workers", 1, "--json")
    if checked.status == 2 and not checked.out:
        refusals.append(_complaint(checked, names))
    else:
        problems = json.loads(checked.out)["problems"]
        refusals += [str(problem) for problem in problems if problem["severity"] == "error"]
        warnings |= {str(problem) for problem in problems if problem["severity"] == "warning"}
        if refusals and not any(re.search(names, line, re.IGNORECASE) for line in refusals):
            raise FaultError(f"check names no file: {refusals}")
    planned = run_command("plan", "-d", folder, "--preset", inputs.root / "preset.json", "--workers", 1)
    if planned.status:
        refusals.append(_complaint(planned, names))
        return Found(tuple(refusals), frozenset(warnings))
    prepared = run_command("preprocess", "-d", folder, "--workers", 1)
    if prepared.status:
        refusals.append(_complaint(prepared, names))
    fingerprint = json.loads((folder / "autodls" / "fingerprint.json").read_text())
    numbers = {name: value for name, value in fingerprint.items() if not name.endswith("sha256")}
    return Found(tuple(refusals), frozenset(warnings), numbers)


def _predict(inputs, folder, names):
    out = folder.parent / "predicted"
    answer = run_command(
        "predict", "-i", folder / "images", "--rois", folder / "rois", "-o", out, "-m", inputs.root / "model"
    )
    if answer.status == 2:
        return Found((_complaint(answer, names or "."),))
    if not (out / "predict.json").is_file():
        raise FaultError(f"predict left with {answer.status} and no predict.json: {answer.err[-300:]}")
    prediction = json.loads((out / "predict.json").read_text())
    refusals = tuple(failure["case"] + ": " + failure["reason"] for failure in prediction["failed"])
    if bool(refusals) != (answer.status == 1):
        raise FaultError(f"status {answer.status} with {len(refusals)} failed cases")
    scores = {score["case"]: score for score in prediction["cases"]}
    flags = frozenset(f"{case}: {flag}" for case, score in scores.items() for flag in score["flags"])
    numbers = {case: (score["dls"], score["sequences"]) for case, score in scores.items()}
    if "new" in inputs.known and numbers.get("PH0002") != inputs.known["new"].numbers["PH0002"]:
        raise FaultError(f"the other case is scored differently: {numbers}")
    shutil.rmtree(out)
    return Found(refusals, flags, numbers)


def _scores(inputs, table, _names):
    del inputs
    answer = run_command(
        "evaluate", "--scores", table, "--score", "dls", "--score", "other", "--label", "label", "--cohort", "cohort",
        "--time", "time", "--event", "event", "--landmark", 6, "--json",
    )  # fmt: skip
    if answer.status:
        return Found((_complaint(answer, "scores.csv|column"),))
    metrics = json.loads(answer.out, parse_constant=_no_constant)
    excluded = {f"{name}: {row}" for name, cohort in metrics["cohorts"].items() for row in cohort["excluded"]}
    return Found((), frozenset({*metrics["warnings"], *excluded}), metrics["cohorts"])


def _no_constant(name):
    raise FaultError(f"metrics.json holds {name}")


_RUNS = {"nii": _study, "nrrd": _study, "mha": _study, "new": _predict, "scores.csv": _scores}
