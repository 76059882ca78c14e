"""Broken inputs in bulk: each ends in success or in one line with exit status 2, never in a wrong number.

`python benchmarks/fuzz.py --trials 2000 --places 1500 --names 150 --limits 150` does the same for longer.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import Answer
from fuzz_groups import GROUPS
from fuzz_mutations import ANY, REFUSED, Mutation, rewrite
from fuzz_places import make_world
from fuzz_run import KINDS, FaultError, Trial, make_inputs, run_trial, trials
from tiny_study import use_tiny_resnet

TRIALS = 200
PLACES = 20
DICOM = 30
FUZZER = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
SLOW = ("roi/bomb", "predict roi/bomb", "predict image/bomb")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"), preprocessing__registration="geometry")


def quick_trials():
    """The first TRIALS that are quick."""
    quick = [trial for trial in trials(2 * TRIALS, 0) if not str(trial).startswith(SLOW)]
    return quick[:TRIALS]


@pytest.mark.parametrize("trial", quick_trials(), ids=str)
def test_broken_input(inputs, tmp_path, trial):
    assert run_trial(inputs, trial, tmp_path) in trial.mutation.allowed


def test_every_kind_is_tried_often():
    tried = [trial.kind for trial in quick_trials()]
    assert len(tried) >= 200
    assert all(tried.count(kind) >= 5 for kind in KINDS)


@pytest.mark.parametrize(
    ("kind", "mutation", "fault"),
    [
        ("image", Mutation("nothing", lambda *_: None, REFUSED), "same, allowed"),
        ("clinical.csv", Mutation("one year more", lambda path, _: _older(path), ANY), None),
        ("image", Mutation("darker", lambda path, _: _darker(path), REFUSED), "changed, allowed"),
        ("predict image", Mutation("darker", lambda path, _: _darker(path), REFUSED), "changed, allowed"),
    ],
)
def test_the_judge_itself(inputs, tmp_path, kind, mutation, fault):
    """An input that is not broken is not refused, and other voxels are other numbers."""
    trial = Trial(kind, mutation, 3)
    if fault is None:
        assert run_trial(inputs, trial, tmp_path) == "same"
        return
    with pytest.raises(FaultError, match=fault):
        run_trial(inputs, trial, tmp_path)


def _older(path):
    rewrite(path, path.read_bytes().replace(b",63,", b",64,"))


def _darker(path):
    from autodls.imaging.volumes import Volume, read_volume, write_volume

    volume = read_volume(path)
    array = volume.array.astype(np.float32)
    array[: len(array) // 2] *= 0.5
    path.unlink()
    write_volume(path, Volume(array, volume.geometry))


ENDINGS = {".nii.gz": "image", ".gz": "image", ".nrrd": "nrrd", ".nhdr": "nrrd", ".raw": "mha"}


@pytest.mark.long
def test_odd_files_of_other_readers(inputs, shared_data, tmp_path):
    """Each file of other libraries' test suites as an image and as an ROI of a study: refused, or another number."""
    files = sorted(path for path in (shared_data / "odd").rglob("*") if path.is_file())
    assert len(files) > 40
    outcomes = {}
    for number, odd in enumerate(files):
        kind = ENDINGS.get(odd.suffix, "roi" if number % 2 else "image")
        mutation = Mutation(odd.name, lambda path, _, odd=odd: rewrite(path, odd.read_bytes()), ANY)
        outcomes[odd.name] = run_trial(inputs, Trial(kind, mutation, number), tmp_path)
        shutil.rmtree(tmp_path / {"nrrd": "nrrd", "mha": "mha"}.get(kind, "nii"))
    assert {"brain1_image.nrrd", "BallBinary30x30x30_gz.nrrd"} & {
        name for name, outcome in outcomes.items() if outcome != "refused"
    } or set(outcomes.values()) == {"refused"}
    assert all(outcomes[name] == "refused" for name in ("example4d.nii.gz", "test1d_ascii.nrrd", "test.mgz", "COPYING"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("places") / "world")


@pytest.mark.parametrize("number", range(PLACES))
def test_an_output_aimed_at_what_is_there(world, tmp_path, monkeypatch, number):
    """Each command that takes a place, at a place that holds something: what AutoDLS did not write stays as it was."""
    use_tiny_resnet(monkeypatch)
    group = GROUPS["places"]
    assert group.run(world, group.draw(number), tmp_path) in ("refused", "same", "changed")


@pytest.mark.parametrize("number", [0, 1])
def test_a_hostile_name(tmp_path, number):
    group = GROUPS["names"]
    assert group.run(group.make(tmp_path / "names"), group.draw(number), tmp_path / "work") in ("refused", "same")


@pytest.mark.slow
def test_hostile_names_and_small_files_that_claim_much():
    """In a process of their own, whose children are limited."""
    words = [sys.executable, str(FUZZER), "--trials", "0", "--names", "8", "--limits", "12", "--seed", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    assert "| names | 8 |" in done.stdout and "| limits | 12 |" in done.stdout


@pytest.mark.parametrize(
    ("meddle", "part"),
    [
        (lambda root: (root / "person" / "scores.csv").write_text("x"), "changed what AutoDLS did not write"),
        (lambda root: (root / "person" / ".tmp-0123abcd-x").write_text("x"), "left half-written"),
        (lambda root: (root / "model" / "note").write_text("x"), "wrote among what is only read"),
        (lambda root: (root / "person" / ".lock").write_text("x"), "took a folder for a workspace"),
        (lambda root: (root / "person" / "more.txt").write_text("x"), "refused, yet touched"),
    ],
)
def test_the_judge_of_places(world, tmp_path, monkeypatch, meddle, part):
    import fuzz_places

    def run(*_words):
        meddle(tmp_path / "world")
        return Answer(2, "", "autodls: error: no; repair it\n")

    monkeypatch.setattr(fuzz_places, "run_command", run)
    with pytest.raises(FaultError, match=part):
        fuzz_places.run_place(world, fuzz_places.PlaceTrial(0), tmp_path)


@pytest.fixture(scope="module")
def broken_dicom(tmp_path_factory):
    return GROUPS["dicom"].make(tmp_path_factory.mktemp("dicom"))


@pytest.mark.parametrize("number", range(DICOM))
def test_broken_dicom(broken_dicom, tmp_path, number):
    """Both steps of an import of damaged files, folders and tables."""
    group = GROUPS["dicom"]
    assert group.run(broken_dicom, group.draw(number), tmp_path) in ("refused", "same", "changed")
