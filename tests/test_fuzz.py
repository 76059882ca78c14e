"""Broken inputs in bulk: each ends in success or in one line with exit status 2, never in a wrong number.

`python benchmarks/fuzz.py --trials 2000` does the same for longer.
"""

import shutil

import numpy as np
import pytest
from fuzz_mutations import ANY, REFUSED, Mutation, rewrite
from fuzz_run import KINDS, FaultError, Trial, make_inputs, run_trial, trials

TRIALS = 200
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
